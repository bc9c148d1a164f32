// Produces and reads any number of records, one per line: POST …/records with NDJSON and an answer in lines,
// and GET …/partitions/:partition/records as NDJSON.
import { BrokerError } from "../../core/errors.ts";
import {
  ANSWER_PIECE_BYTES,
  BULK_CHUNK_BYTES,
  BULK_CHUNK_RECORDS,
  JSON_VALUE_BYTES,
  MAX_BULK_ERRORS,
} from "../../core/limits.ts";
import type { ConsumerRecord } from "../../core/record.ts";
import type { Env } from "../../env.ts";
import { fromJsonRecord, type JsonRecordInput } from "../../protocol/json-record.ts";
import { parseRecordJson, recordList } from "../../protocol/json-record-schema.ts";
import { atLine, placeIn } from "../../protocol/line-errors.ts";
import { parse } from "../../protocol/parse.ts";
import { stillGood } from "../access/authenticate.ts";
import { isRefused } from "../edge/append.ts";
import { assertMayUseTopic } from "../edge/authorize.ts";
import { fetchRecords, recordBytes } from "../edge/fetch.ts";
import type { Work } from "../edge/holders.ts";
import { Invocation } from "../edge/invocation.ts";
import { atPartition } from "../edge/metadata.ts";
import { outsideError } from "../edge/namespace.ts";
import { listOffset } from "../edge/offsets.ts";
import { produce, type RecordResult } from "../edge/produce.ts";
import { untilWithinQuota } from "../edge/quotas.ts";
import { type BodyLines, spentError } from "./body-lines.ts";
import { textBytes, whileRoom } from "./in-progress.ts";
import { type Line, numbersOf } from "./lines.ts";
import { problemOf } from "./problem.ts";

/** The progress of a bulk request. Its answer has a line of progress after each stored chunk. */
interface Progress {
  /** The number of lines that are done, stored or refused. */
  lines: number;
  stored: number;
  refused: number;
  /** The first refused records, with the reasons. */
  errors: { line: number; code: string; detail: string }[];
}

/**
 * [BLK-1] Stores the lines chunk by chunk, in order, and reports the progress after each chunk. A line that is
 * not a record ends the request with an `error`; earlier records are stored. The last line says `done: true`.
 * An answer without it broke off.
 */
export async function* produceLines(
  invocation: Invocation,
  topic: string,
  lines: BodyLines,
): AsyncGenerator<string> {
  const { env } = invocation;
  const progress: Progress = { lines: 0, stored: 0, refused: 0, errors: [] };
  const lineOf = (more: object = {}) => `${JSON.stringify({ ...progress, ...more })}\n`;
  try {
    for await (const chunk of chunksOf(lines)) {
      await untilWithinQuota(env, "producerByteRate");
      assertMayUseTopic(await stillGood(env), "WRITE", topic);
      invocation.did("record", chunk.length);
      const bytes = chunk.reduce((sum, { sizeInBytes }) => sum + sizeInBytes, 0);
      invocation.did("byte", bytes);
      await whileRoom((work) => storeChunk(env, topic, chunk, progress, work));
      yield lineOf();
    }
    yield lineOf({ done: true });
  } catch (error) {
    yield lineOf({ done: false, error: problemOf(outsideError(env, error)) });
  } finally {
    lines.body.close();
  }
}

async function* chunksOf(lines: BodyLines): AsyncGenerator<Line[]> {
  let chunk: Line[] = [];
  let size = 0;
  const source = lines[Symbol.asyncIterator]();
  for (;;) {
    let next: IteratorResult<Line>;
    try {
      next = await source.next();
    } catch (error) {
      if (chunk.length > 0) yield chunk; // The earlier lines are stored.
      throw error;
    }
    if (next.done) break;
    const line = next.value;
    if (size + line.sizeInBytes > BULK_CHUNK_BYTES || chunk.length === BULK_CHUNK_RECORDS) {
      if (chunk.length > 0) yield chunk;
      chunk = [];
      size = 0;
    }
    chunk.push(line);
    size += line.sizeInBytes;
    lines.hold(chunk.length, size);
  }
  if (chunk.length > 0) yield chunk;
}

async function storeChunk(
  env: Env,
  topic: string,
  chunk: readonly Line[],
  progress: Progress,
  work: Work,
): Promise<void> {
  const { records, failure } = recordsOf(chunk, work);
  if (records.length > 0) await store(env, topic, chunk, records, progress);
  if (failure !== null) throw failure;
}

/** Stores records. If one of them is invalid for the request, the records before it are stored all the same. */
async function store(
  env: Env,
  topic: string,
  chunk: readonly Line[],
  records: readonly JsonRecordInput[],
  progress: Progress,
): Promise<void> {
  const options = { random: Math.random, nowMs: Date.now() };
  let results: RecordResult[];
  try {
    results = await produce(env, topic, records.map(fromJsonRecord), options);
  } catch (error) {
    const before = records.slice(0, placeIn(error) ?? 0);
    if (before.length > 0) await store(env, topic, chunk, before, progress);
    throw atLine(error, numbersOf(chunk));
  }
  for (const [i, result] of results.entries()) {
    progress.lines = chunk[i]?.number ?? progress.lines;
    if (!isRefused(result)) {
      progress.stored++;
      continue;
    }
    progress.refused++;
    const { code, detail } = result;
    if (progress.errors.length < MAX_BULK_ERRORS)
      progress.errors.push({ line: progress.lines, code, detail });
  }
}

/** Returns the records up to the first line that is not a record, and the error of that line. */
function recordsOf(
  chunk: readonly Line[],
  work: Work,
): { records: JsonRecordInput[]; failure: unknown } {
  const records: JsonRecordInput[] = [];
  for (const { number, text } of chunk) {
    const admit = (values: number) => work.add(textBytes(text) + values * JSON_VALUE_BYTES);
    try {
      const value = parseRecordJson(text, `line ${number}`, admit);
      const [record] = parse(recordList, [value]);
      if (record !== undefined) records.push(record);
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      const detail = error.message.replace(/^\[0\](\.|: )?/, "");
      const named = detail.startsWith("line ") ? detail : `line ${number}: ${detail}`;
      return { records, failure: new BrokerError(error.code, named) };
    }
  }
  return { records, failure: null };
}

export interface LinesRequest {
  /** Null starts at the beginning of the log. */
  readonly offset: number | null;
  readonly maxRecords: number;
  /** Called with the number of bytes in memory that have not been read. */
  readonly hold: (bytes: number) => void;
}

/**
 * [BLK-2] Yields every record from `offset` to the current end of the log, at most `maxRecords`, as fast as the
 * client reads. [SES-14] A request that has to end early reports where it ended.
 */
export async function* readLines(
  callersEnv: Env,
  topic: string,
  partition: number,
  { offset, maxRecords, hold }: LinesRequest,
): AsyncGenerator<string> {
  const invocation = new Invocation(callersEnv);
  const { env } = invocation;
  const { offset: end } = await atPartition(env, topic, partition, (topicId) =>
    listOffset(env, topicId, partition, "latest"),
  );
  let next = offset;
  let left = maxRecords;
  try {
    while (left > 0 && (next === null || next < end)) {
      await untilWithinQuota(env, "consumerByteRate");
      const request = { topic, partition, offset: next, maxBytes: BULK_CHUNK_BYTES, waitMs: 0 };
      const read = await fetchRecords(env, {
        ...request,
        maxRecords: Math.min(left, BULK_CHUNK_RECORDS),
      });
      assertMayUseTopic(await stillGood(env), "READ", topic);
      const records = read.records.filter((record) => record.offset < end);
      left -= records.length;
      invocation.didRecords(records);
      hold(records.reduce((sum, record) => sum + recordBytes(record), 0));
      yield* textsOf(invocation, records);
      read.discard();
      if (read.nextOffset === next || read.nextOffset >= end) return;
      next = read.nextOffset;
      if (left > 0 && invocation.isSpent)
        throw spentError(`the next record is at offset ${next}`, { nextOffset: next });
    }
  } catch (error) {
    // The status was sent long ago, so a line that is not a record reports the error.
    yield `${JSON.stringify({ error: problemOf(outsideError(env, error)) })}\n`;
  }
}

/** Yields the records, one per line, in pieces of about ANSWER_PIECE_BYTES. */
function* textsOf(invocation: Invocation, records: readonly ConsumerRecord[]): Generator<string> {
  let text = "";
  for (const record of records) {
    text += `${JSON.stringify(invocation.jsonOf(record))}\n`;
    if (text.length < ANSWER_PIECE_BYTES) continue;
    yield text;
    text = "";
  }
  if (text !== "") yield text;
}
