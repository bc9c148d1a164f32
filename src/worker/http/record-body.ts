// The records of a produce request, whatever the form of its body. Small bodies become lists. The records of a
// large body are stored compactly piece by piece, so that they take little more than its bytes [PRD-9]. Either
// all records are valid, or none counts.
import * as z from "zod";
import { discardBytes } from "../../core/bytes.ts";
import { BrokerError } from "../../core/errors.ts";
import {
  BULK_CHUNK_BYTES,
  BULK_CHUNK_RECORDS,
  JSON_VALUE_BYTES,
  MAX_MESSAGE_BYTES,
  MAX_RECORD_JSON_VALUES,
} from "../../core/limits.ts";
import type { Records } from "../../core/produce-plan.ts";
import { fromJsonRecord, type UnplacedRecord } from "../../protocol/json-record.ts";
import {
  parseRecordJson,
  parseRecordsJson,
  recordList,
} from "../../protocol/json-record-schema.ts";
import { countJsonValues, integer, parse, parseShaped } from "../../protocol/parse.ts";
import type { Work } from "../edge/holders.ts";
import { PackedRecords } from "../edge/packed-records.ts";
import { turn } from "../edge/timer.ts";
import { readBytes, textOf } from "./body.ts";
import { textBytes } from "./in-progress.ts";
import type { Line } from "./lines.ts";
import { type RecordPieces, recordPieces } from "./record-pieces.ts";

const expectedOffset = integer(0, Number.MAX_SAFE_INTEGER).optional();
export const produceSchema = z.strictObject({ records: recordList, expectedOffset });
/** The body without the elements of its list. */
const emptiedSchema = z.strictObject({ records: z.array(z.unknown()), expectedOffset });
/** A value takes at least one byte, so a part has no more values than this, if each of its records can be stored. */
const MAX_PART_VALUES = MAX_MESSAGE_BYTES + BULK_CHUNK_BYTES;
/** The bytes after which others get a turn. */
const TURN_BYTES = 1024 * 1024;

export interface ProduceBody {
  readonly records: Records<UnplacedRecord>;
  readonly expectedOffset?: number | undefined;
}

/** Reads `{records: […], expectedOffset?}`. */
export async function readRecords(request: Request, work: Work): Promise<ProduceBody> {
  const bytes = await readBytes(request);
  const pieces = bytes.length > BULK_CHUNK_BYTES ? recordPieces(bytes) : null;
  if (pieces !== null) return readInPieces(bytes, pieces, work);
  const text = textOf(bytes);
  work.add(textBytes(text));
  if (bytes.length > BULK_CHUNK_BYTES) countJsonValues(text, "the body"); // It has no records.
  const admit = (values: number) => work.add(values * JSON_VALUE_BYTES);
  const body = parse(produceSchema, parseRecordsJson(text, "the body", admit));
  return { ...body, records: body.records.map(fromJsonRecord) };
}

async function readInPieces(
  bytes: Uint8Array,
  { pieces, from, to }: RecordPieces,
  work: Work,
): Promise<ProduceBody> {
  const packer = new Packer(work, bytes.length);
  let turnAt = from + TURN_BYTES;
  for (const piece of pieces) {
    const text = `{"records":[${textOf(bytes.subarray(piece.from, piece.to), false)}]}`;
    const count = packer.add(text.length, (admit) => parseRecordsJson(text, "the body", admit));
    if (count !== piece.count)
      throw new BrokerError(
        "INVALID_REQUEST",
        "the body is not JSON: the list of records is broken",
      );
    if (piece.to < turnAt) continue;
    turnAt = piece.to + TURN_BYTES;
    await turn();
  }
  const emptied = textOf(bytes.subarray(0, from)) + textOf(bytes.subarray(to), false);
  countJsonValues(emptied, "the body");
  const rest = parse(emptiedSchema, parseShaped(emptied, "the body"));
  discardBytes(bytes);
  return { records: packer.records, expectedOffset: rest.expectedOffset };
}

/** Turns lines into records. */
export function recordsOfLines(lines: readonly Line[], work: Work): ProduceBody {
  const packer = new Packer(work, 0);
  let chunk: Line[] = [];
  let size = 0;
  const close = () => {
    packer.add(size, (admit) => {
      const parsed = ({ number, text }: Line) => parseRecordJson(text, `line ${number}`, admit);
      return { records: chunk.map(parsed) };
    });
    chunk = [];
    size = 0;
  };
  for (const line of lines) {
    chunk.push(line);
    size += line.text.length;
    if (size >= BULK_CHUNK_BYTES || chunk.length === BULK_CHUNK_RECORDS) close();
  }
  if (chunk.length > 0 || lines.length === 0) close();
  return { records: packer.records };
}

/** Stores records compactly, some at a time, and counts the memory. */
class Packer {
  readonly records = new PackedRecords();
  readonly #work: Work;
  readonly #bodyBytes: number;
  #values = 0;
  /** The bytes counted so far. */
  #counted = 0;

  constructor(work: Work, bodyBytes: number) {
    this.#work = work;
    this.#bodyBytes = bodyBytes;
  }

  /** Adds the records of a part with this many characters. Returns their number. @throws BrokerError */
  add(characters: number, parsed: (admit: (values: number) => void) => unknown): number {
    let values = 0;
    const admit = (more: number) => {
      values += more;
      this.#values += more;
      if (this.#values > MAX_RECORD_JSON_VALUES || more > MAX_PART_VALUES)
        throw new BrokerError(
          "INVALID_REQUEST",
          `the body has more than ${MAX_RECORD_JSON_VALUES} JSON values, or a record more than ${MAX_PART_VALUES}, the bound`,
        );
      this.#count(2 * characters + values * JSON_VALUE_BYTES);
    };
    const before = this.records.length;
    try {
      const { records } = parse(z.strictObject({ records: recordList }), parsed(admit));
      for (const [index, record] of records.entries())
        this.records.add(fromJsonRecord(record, index));
    } catch (error) {
      throw atRecord(error, before);
    }
    this.#count(0);
    return this.records.length - before;
  }

  /** Counted bytes count until the end, because nobody knows when they are collected. */
  #count(partBytes: number): void {
    const bytes = this.#bodyBytes + this.records.sizeInBytes + partBytes;
    if (bytes <= this.#counted) return;
    this.#work.add(bytes - this.#counted);
    this.#counted = bytes;
  }
}

/** Returns an error that names a record by its place in the whole body. */
function atRecord(error: unknown, before: number): unknown {
  if (!(error instanceof BrokerError)) return error;
  const message = error.message.replace(
    /^records\[(\d+)\]/,
    (_, index: string) => `records[${before + Number(index)}]`,
  );
  return new BrokerError(error.code, message);
}
