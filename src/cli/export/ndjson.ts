// An export as lines of JSON, which people and other programs can read:
//
//   {"rivulet":"export","version":1,"topic":…}            the header
//   {"group":"billing","offsets":[…]}                     the committed offsets of a group
//   {"partition":0,"offset":7,"timestamp":…,"value":…}    a record
//   {"checkpoint":{"partition":0,"nextOffset":8,"records":8},"sum":"…"}   the end of a chunk
//   {"end":{"partitions":[8]},"sum":"…"}                  the end of the file
//
// A sum covers its own line up to the sum, and all lines since the previous sum.
import { decodeAnyBatch } from "../../compression/decode.ts";
import { batches as batchesIn } from "../../core/log/record-batch.ts";
import type { ConsumerRecord } from "../../core/record.ts";
import type { ByteSource } from "./byte-source.ts";
import { type Chunk, type Content, DamagedExport, type GroupPositions } from "./content.ts";
import {
  type Before,
  CHUNK_BYTES,
  FIRST_SUM,
  type Format,
  MAX_CHUNK_BYTES,
  sumOf,
  type WrittenChunk,
} from "./format.ts";
import { headerJson, object, offset, parseEnd, parseGroup, parseHeader } from "./parse-content.ts";
import { parseRecord, recordLine } from "./record-lines.ts";
import { assertExportable } from "./stored-batches.ts";

export const ndjson: Format = {
  name: "ndjson",
  extension: ".ndjson",
  header: (header, before) => chunk([headerJson(header)], { checkpoint: { records: 0 } }, before),
  groups: (groups, before) =>
    chunk(
      groups.map((group) => JSON.stringify(group)),
      { checkpoint: { records: before.total } },
      before,
    ),
  *records(partition, bytes, { from, end }, before) {
    let { sum, total } = before;
    let lines: string[] = [];
    let size = 0;
    let nextOffset = from;
    const take = (): WrittenChunk => {
      const records = lines.length;
      total += records;
      const checkpoint = { partition, nextOffset, records: total };
      const taken = { ...chunk(lines, { checkpoint }, { sum, total }), records, nextOffset };
      ({ sum } = taken);
      lines = [];
      size = 0;
      return taken;
    };
    for (const { start, header } of batchesIn(bytes)) {
      if (header.baseOffset >= end) break;
      assertExportable(header);
      for (const record of header.isControl ? [] : decodeAnyBatch(bytes, start)) {
        if (record.offset < from || record.offset >= end) continue;
        const line = recordLine(partition, record);
        lines.push(line);
        size += line.length;
        nextOffset = record.offset + 1;
        if (size >= CHUNK_BYTES) yield take();
      }
      nextOffset = header.baseOffset + header.lastOffsetDelta + 1;
    }
    if (lines.length > 0) yield take();
  },
  end: (partitions, before) => chunk([], { end: { partitions } }, before),
  read,
};

function chunk(lines: readonly string[], last: object, before: Before): WrittenChunk {
  const start = `${[...lines, JSON.stringify(last).slice(0, -1)].join("\n")},`;
  const covered = Buffer.from(start);
  const sum = sumOf(before.sum, covered);
  const bytes = Buffer.concat([covered, Buffer.from(`"sum":"${sum.toString("hex")}"}\n`)]);
  return { bytes, sum, records: 0, nextOffset: 0 };
}

const NEWLINE = 10;
const MARKS = ['{"checkpoint":', '{"end":'].map((text) => Buffer.from(text));
const SUM = /^"sum":"([0-9a-f]{64})"\}\n$/;
/** The length of the sum with its name and the end of the line. */
const SUM_BYTES = `"sum":"${"0".repeat(64)}"}\n`.length;

async function* read(source: ByteSource): AsyncGenerator<Chunk> {
  let sum: Buffer = FIRST_SUM;
  let line = 0;
  let goodEnd = 0;
  for (;;) {
    const first = line + 1;
    const lines: Buffer[] = [];
    let size = 0;
    for (;;) {
      const next = await source.takeThrough(NEWLINE, MAX_CHUNK_BYTES);
      if (next.length === 0 && lines.length === 0) return;
      line++;
      lines.push(next);
      size += next.length;
      if (next.at(-1) !== NEWLINE && size <= MAX_CHUNK_BYTES)
        throw new DamagedExport(
          `it ends in line ${line} before it is complete; lines 1 to ${first - 1} are whole`,
          goodEnd,
          true,
        );
      if (MARKS.some((mark) => next.subarray(0, mark.length).equals(mark))) break;
      if (size > MAX_CHUNK_BYTES)
        throw new DamagedExport(`line ${first} and what follows it has no sum`, goodEnd);
    }
    const place = `line${first === line ? "" : "s"} ${first === line ? line : `${first} to ${line}`}`;
    const last = lines.at(-1) as Buffer;
    const [, told = ""] = SUM.exec(last.subarray(-SUM_BYTES).toString("latin1")) ?? [];
    const covered = [...lines.slice(0, -1), last.subarray(0, -SUM_BYTES)];
    const found = sumOf(sum, ...covered);
    if (told !== found.toString("hex"))
      throw new DamagedExport(`${place}: the sum does not match the lines`, goodEnd);
    const contents = contentsOf(lines, (i, error) => {
      const reason = error instanceof Error ? error.message : String(error);
      return new DamagedExport(`line ${first + i}: ${reason}`, goodEnd);
    });
    sum = found;
    goodEnd = source.position;
    yield { contents, end: goodEnd, sum };
  }
}

/** Turns the lines of a chunk into contents. Its records are of one partition. */
function contentsOf(
  lines: readonly Buffer[],
  wrong: (line: number, error: unknown) => DamagedExport,
): Content[] {
  const contents: Content[] = [];
  const groups: GroupPositions[] = [];
  const records: ConsumerRecord[] = [];
  let of: number | null = null;
  for (const [i, line] of lines.entries()) {
    try {
      const value = object(JSON.parse(line.toString()), "the line");
      if ("rivulet" in value) contents.push({ type: "header", header: parseHeader(value) });
      else if ("group" in value) groups.push(parseGroup(value));
      else if ("end" in value) contents.push({ type: "end", partitions: parseEnd(value.end) });
      else if ("checkpoint" in value) {
        const { partition, nextOffset, records: total } = object(value.checkpoint, "checkpoint");
        if (groups.length > 0) contents.push({ type: "groups", groups });
        if (partition === undefined) continue;
        if (of !== null && partition !== of) throw new Error("it is of another partition");
        contents.push({
          type: "records",
          partition: offset(partition, "partition"),
          nextOffset: offset(nextOffset, "nextOffset"),
          total: offset(total, "records"),
          records,
          batches: null,
        });
      } else {
        const { partition, record } = parseRecord(value);
        if (of !== null && partition !== of) throw new Error("it is of another partition");
        of = partition;
        records.push(record);
      }
    } catch (error) {
      throw wrong(i, error);
    }
  }
  return contents;
}
