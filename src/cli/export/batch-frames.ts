// An export as frames of record batches, byte for byte as they are stored:
//
//   magic "RIVULET\n" | frame …
//   frame: length of the payload u32 | type u8 | payload | sum (32 bytes, over the frame and the previous sum)
//   type 1: the header as JSON · 2: groups as JSON · 3: partition u32, total u53 as f64, batches · 4: the end as JSON
import { batches as batchesIn } from "../../core/log/record-batch.ts";
import type { ByteSource } from "./byte-source.ts";
import { type Chunk, type Content, DamagedExport } from "./content.ts";
import {
  type Before,
  CHUNK_BYTES,
  FIRST_SUM,
  type Format,
  MAX_CHUNK_BYTES,
  sumOf,
  type WrittenChunk,
} from "./format.ts";
import { headerJson, parseEnd, parseGroup, parseHeader } from "./parse-content.ts";
import { assertExportable, countFrom, type StoredBatch } from "./stored-batches.ts";

export const MAGIC = Buffer.from("RIVULET\n");
const TYPES = { header: 1, groups: 2, records: 3, end: 4 } as const;
const PREFIX_BYTES = 5;
const SUM_BYTES = 32;
/** The length of the partition and the total, which come before the batches. */
const PLACE_BYTES = 12;

export const batchFrames: Format = {
  name: "batches",
  extension: ".batches",
  header: (header, before) => {
    const { bytes, ...rest } = frame(TYPES.header, Buffer.from(headerJson(header)), before);
    return { ...rest, bytes: Buffer.concat([MAGIC, bytes]) };
  },
  groups: (groups, before) => frame(TYPES.groups, Buffer.from(JSON.stringify(groups)), before),
  *records(partition, bytes, { from, end }, before) {
    let { sum, total } = before;
    let pieces: Uint8Array[] = [];
    let size = 0;
    let records = 0;
    let nextOffset = from;
    const take = (): WrittenChunk => {
      total += records;
      const place = Buffer.alloc(PLACE_BYTES);
      place.writeUInt32BE(partition);
      place.writeDoubleBE(total, 4);
      const payload = Buffer.concat([place, ...pieces]);
      const taken = { ...frame(TYPES.records, payload, { sum, total }), records, nextOffset };
      ({ sum } = taken);
      pieces = [];
      size = 0;
      records = 0;
      return taken;
    };
    for (const { start, header } of batchesIn(bytes)) {
      const next = header.baseOffset + header.lastOffsetDelta + 1;
      if (header.baseOffset >= end) break;
      if (next <= from) continue;
      assertExportable(header);
      pieces.push(bytes.subarray(start, start + header.sizeInBytes));
      size += header.sizeInBytes;
      records += countFrom({ bytes, start, header }, from);
      nextOffset = next;
      if (size >= CHUNK_BYTES) yield take();
    }
    if (size > 0) yield take();
  },
  end: (partitions, before) =>
    frame(TYPES.end, Buffer.from(JSON.stringify({ partitions })), before),
  read,
};

function frame(type: number, payload: Buffer, before: Before): WrittenChunk {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(payload.length);
  prefix.writeUInt8(type, 4);
  const sum = sumOf(before.sum, prefix, payload);
  return { bytes: Buffer.concat([prefix, payload, sum]), sum, records: 0, nextOffset: 0 };
}

async function* read(source: ByteSource): AsyncGenerator<Chunk> {
  const magic = await source.take(MAGIC.length);
  if (magic.length === 0) return;
  const isBegun = MAGIC.subarray(0, magic.length).equals(magic);
  if (!isBegun) throw new DamagedExport("it is not an export of Rivulet", 0);
  let sum: Buffer = FIRST_SUM;
  let goodEnd = 0;
  for (;;) {
    const start = source.position;
    const prefix = await source.take(PREFIX_BYTES);
    if (prefix.length === 0 && goodEnd > 0) return;
    const cut = () =>
      new DamagedExport(
        `it ends at byte ${source.position} before it is complete; everything before byte ${goodEnd} is whole`,
        goodEnd,
        true,
      );
    if (prefix.length < PREFIX_BYTES) throw cut();
    const length = prefix.readUInt32BE();
    const wrong = (why: string) => new DamagedExport(`the frame at byte ${start}: ${why}`, goodEnd);
    if (length > MAX_CHUNK_BYTES) throw wrong(`its length is ${length}`);
    const rest = await source.take(length + SUM_BYTES);
    if (rest.length < length + SUM_BYTES) throw cut();
    const payload = rest.subarray(0, length);
    const found = sumOf(sum, prefix, payload);
    if (!found.equals(rest.subarray(length))) throw wrong("the sum does not match the bytes");
    let content: Content;
    try {
      content = contentOf(prefix.readUInt8(4), payload);
    } catch (error) {
      throw wrong(error instanceof Error ? error.message : String(error));
    }
    sum = found;
    goodEnd = source.position;
    yield { contents: [content], end: goodEnd, sum };
  }
}

function contentOf(type: number, payload: Buffer): Content {
  switch (type) {
    case TYPES.header:
      return { type: "header", header: parseHeader(JSON.parse(payload.toString())) };
    case TYPES.groups: {
      const groups: unknown = JSON.parse(payload.toString());
      if (!Array.isArray(groups)) throw new Error("groups is not a list");
      return { type: "groups", groups: groups.map(parseGroup) };
    }
    case TYPES.end:
      return { type: "end", partitions: parseEnd(JSON.parse(payload.toString())) };
    case TYPES.records: {
      const bytes = payload.subarray(PLACE_BYTES);
      const batches = Array.from(batchesIn(bytes), (each): StoredBatch => ({ bytes, ...each }));
      const last = batches.at(-1)?.header;
      if (last === undefined) throw new Error("it has no batch");
      return {
        type: "records",
        partition: payload.readUInt32BE(),
        nextOffset: last.baseOffset + last.lastOffsetDelta + 1,
        total: payload.readDoubleBE(4),
        records: null,
        batches,
      };
    }
    default:
      throw new Error(`its type ${type} is not known`);
  }
}
