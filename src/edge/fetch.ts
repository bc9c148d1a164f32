// Reading, as far as a Worker does it: batches in, records out.
import { visitAnyBatch } from "../compression/decode.ts";
import { attempt, unwrap } from "../core/errors.ts";
import { ANSWER_ITEM_BYTES, MAX_DECODED_FETCH_BYTES } from "../core/limits.ts";
import { damageError } from "../core/log/damage.ts";
import { batches } from "../core/log/record-batch.ts";
import type { ConsumerRecord, TopicPartition } from "../core/record.ts";
import { type Env, partitionStub } from "../env.ts";
import { isolate } from "./isolate.ts";
import { atPartition } from "./metadata.ts";
import { stubTransport } from "./stub-transport.ts";

export interface FetchRequest {
  readonly topic: string;
  readonly partition: number;
  /** Null starts at the log start. */
  readonly offset: number | null;
  readonly maxRecords: number;
  readonly maxBytes: number;
  readonly waitMs: number;
}

export interface FetchResult {
  readonly records: readonly ConsumerRecord[];
  /** Where the next fetch goes on. */
  readonly nextOffset: number;
  readonly logStartOffset: number;
  readonly highWatermark: number;
}

/** [FCH-1] Records from `offset` on. Waits up to `waitMs` where there is none yet. */
export function fetchRecords(env: Env, request: FetchRequest): Promise<FetchResult> {
  return atPartition(env, request.topic, request.partition, (topicId) =>
    fetchFrom(env, topicId, request),
  );
}

/** [BND-6] What a read takes counts from when it is asked for; where little is free it asks for less, and is not refused. */
async function fetchFrom(env: Env, topicId: string, request: FetchRequest): Promise<FetchResult> {
  const { partition, maxBytes, waitMs } = request;
  const stub = () => partitionStub(env, topicId, partition);
  const offset = request.offset ?? unwrap(await stub().offsets()).logStartOffset;
  const read = async () => {
    const room = Math.min(maxBytes, isolate.answers.share);
    const holding = isolate.answers.hold(() => {});
    try {
      holding.set(room);
      return unwrap(await stub().read({ offset, maxBytes: room }));
    } finally {
      holding.release();
    }
  };
  let result = await read();
  if (result.batches.length === 0 && waitMs > 0) {
    await waitForRecords(env, topicId, partition, offset, waitMs).ended;
    result = await read();
  }
  const { topic, maxRecords } = request;
  const place = { topic, partition };
  const { records, nextOffset } = decodeFrom(result.batches, offset, maxRecords, place);
  const { logStartOffset, highWatermark } = result;
  return { records, nextOffset: nextOffset ?? result.nextOffset, logStartOffset, highWatermark };
}

/**
 * [BND-5] The first `maxRecords` records at or behind `offset`; the first batch may begin before it. Stops at the last
 * of them, or behind the record with which what they unfold to passes its bound: a compressed batch may hold a thousand
 * times its size. Stops before a batch that does not decode, too, and throws CORRUPT_MESSAGE where that is the first
 * [CRC-4]; `place` is for the error.
 */
export function decodeFrom(
  bytes: Uint8Array,
  offset: number,
  maxRecords: number,
  place: TopicPartition = { topic: "", partition: 0 },
): { records: ConsumerRecord[]; nextOffset: number | null } {
  const records: ConsumerRecord[] = [];
  let decodedBytes = 0;
  for (const { start, header } of batches(bytes)) {
    // What lies before the offset is not even unfolded.
    if (header.baseOffset + header.lastOffsetDelta < offset) continue;
    const before = records.length;
    let nextOffset: number | null = null;
    const visit = (record: ConsumerRecord): boolean => {
      if (record.offset < offset) return true;
      records.push(record);
      decodedBytes += recordBytes(record);
      const isEnough = records.length === maxRecords || decodedBytes >= MAX_DECODED_FETCH_BYTES;
      if (isEnough) nextOffset = record.offset + 1;
      return !isEnough;
    };
    const read = attempt(() => {
      visitAnyBatch(bytes, start, visit);
      return null;
    });
    if (read !== null) {
      records.length = before; // What came out of it before it broke off is nothing either.
      if (before > 0) return { records, nextOffset: header.baseOffset };
      throw damageError(place, header.baseOffset, read.detail);
    }
    if (nextOffset !== null) return { records, nextOffset };
  }
  return { records, nextOffset: null };
}

/** What a record takes in memory, about. */
export function recordBytes({ key, value, headers }: ConsumerRecord): number {
  let bytes = ANSWER_ITEM_BYTES + (key?.length ?? 0) + (value?.length ?? 0);
  for (const header of headers)
    bytes += ANSWER_ITEM_BYTES + header.key.length + (header.value?.length ?? 0);
  return bytes;
}

/**
 * [FCH-2] Waits as a tail reader: the partition pushes when there is something, and meanwhile sleeps. A
 * call held open would keep it awake.
 */
export function waitForRecords(
  env: Env,
  topicId: string,
  partition: number,
  offset: number,
  waitMs: number,
): { readonly ended: Promise<void>; stop(): void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const stop = () => {
    clearTimeout(timer);
    socket.close(1000, "done");
    resolve();
  };
  const timer = setTimeout(stop, waitMs);
  const socket = stubTransport(env).openPartition(
    { topic: "", topicId, partition },
    {
      opened: () =>
        socket.send(JSON.stringify({ type: "attach", attachId: 1, offset, windowBytes: 1 })),
      text: () => {},
      bytes: stop,
      closed: stop,
    },
  );
  return { ended: promise, stop };
}
