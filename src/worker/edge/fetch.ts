// The Worker's part of reading: it takes batches and returns records.

import type { PartitionRequest } from "../../calls/partition-calls.ts";
import { visitAnyBatch } from "../../compression/decode.ts";
import { WORKER } from "../../core/access/caller.ts";
import { discardBytes } from "../../core/bytes.ts";
import { attempt, unwrap } from "../../core/errors.ts";
import { ANSWER_ITEM_BYTES, MAX_DECODED_FETCH_BYTES } from "../../core/limits.ts";
import { damageError } from "../../core/log/damage.ts";
import { validateInRange } from "../../core/log/in-range.ts";
import { batches } from "../../core/log/record-batch.ts";
import type { ConsumerRecord, TopicPartition } from "../../core/record.ts";
import type { Env, PartitionStub } from "../../env.ts";
import { memory } from "../../memory.ts";
import { atPartition, beginOf, partitionAt } from "./metadata.ts";
import { EMPTY_LOG, PartitionUse } from "./partition-use.ts";
import { assertWithinQuota, countUse } from "./quotas.ts";
import { readInTurn } from "./read-room.ts";
import { stubTransport } from "./stub-transport.ts";

export interface FetchRequest {
  readonly topic: string;
  readonly partition: number;
  /** Null starts at the beginning of the log. */
  readonly offset: number | null;
  readonly maxRecords: number;
  readonly maxBytes: number;
  readonly waitMs: number;
}

export interface FetchResult {
  readonly records: readonly ConsumerRecord[];
  /** The offset at which the next fetch continues. */
  readonly nextOffset: number;
  readonly logStartOffset: number;
  readonly highWatermark: number;
  /** Frees the memory of the records. Call it once nobody uses them any more. */
  discard(): void;
}

/**
 * [FCH-1] Returns records from `offset` on. If there are none yet, it waits up to `waitMs`. [PLC-3] Only a read
 * that waits creates a partition that was never used, because the partition reports the first record.
 */
export async function fetchRecords(env: Env, request: FetchRequest): Promise<FetchResult> {
  assertWithinQuota(env, "consumerByteRate");
  return atPartition(env, request.topic, request.partition, (topicId) =>
    fetchFrom(env, topicId, request),
  );
}

/**
 * [BND-6] Counts a read's memory from the moment it is requested. If
 * little is free, the read is smaller but not refused.
 */
async function fetchFrom(env: Env, topicId: string, request: FetchRequest): Promise<FetchResult> {
  const { partition, maxBytes, waitMs } = request;
  const mayWait = waitMs > 0 && (request.offset ?? 0) === 0;
  if (!mayWait && (await new PartitionUse(env).isUnused(topicId, partition)))
    return readNothing(request.offset ?? 0);
  const stub = () => partitionAt(env, topicId, partition);
  const begin = beginOf(env, topicId, partition);
  const offset = request.offset ?? unwrap(await stub().offsets({ begin })).logStartOffset;
  const read = async () => unwrap(await readWithin(stub(), { offset, maxBytes, begin }));
  let result = await read();
  if (result.batches.length === 0 && waitMs > 0) {
    await waitForRecords(env, topicId, partition, offset, waitMs).ended;
    result = await read();
  }
  const { topic, maxRecords } = request;
  const place = { topic, partition };
  const { records, nextOffset } = decodeFrom(result.batches, offset, maxRecords, place);
  // [QUO-2] Compressed records count with their decompressed size.
  const sentBytes = records.reduce((sum, record) => sum + recordBytes(record), 0);
  countUse(env, "consumerByteRate", Math.max(result.batches.length, sentBytes));
  const { logStartOffset, highWatermark } = result;
  return {
    records,
    nextOffset: nextOffset ?? result.nextOffset,
    logStartOffset,
    highWatermark,
    discard: () => discardBytes(result.batches), // They are a copy, because a call of the object returned them.
  };
}

export interface FetchedBatches {
  readonly topicId: string;
  /** Whole batches as stored, starting with the one that holds the offset. */
  readonly batches: Uint8Array;
  readonly nextOffset: number;
  readonly logStartOffset: number;
  readonly highWatermark: number;
}

/**
 * [FCH-3] Returns batches as stored, undecoded. [PLC-3] It never creates a partition. [BND-6] If little room is
 * free for answers, the read is smaller but not refused.
 */
export async function fetchBatches(
  env: Env,
  {
    topic,
    partition,
    ...request
  }: Pick<FetchRequest, "topic" | "partition" | "offset" | "maxBytes">,
): Promise<FetchedBatches> {
  assertWithinQuota(env, "consumerByteRate");
  return atPartition(env, topic, partition, async (topicId) => {
    if (await new PartitionUse(env).isUnused(topicId, partition)) {
      const { nextOffset, logStartOffset, highWatermark } = readNothing(request.offset ?? 0);
      return { topicId, batches: new Uint8Array(), nextOffset, logStartOffset, highWatermark };
    }
    const stub = partitionAt(env, topicId, partition);
    const offset = request.offset ?? unwrap(await stub.offsets()).logStartOffset;
    const { ok: _, ...read } = unwrap(
      await readWithin(stub, { offset, maxBytes: request.maxBytes }),
    );
    countUse(env, "consumerByteRate", read.batches.length);
    return { topicId, ...read };
  });
}

/** [BND-6] [BND-26] Reads in turn, and no more than there is room for among the answers. */
function readWithin(stub: PartitionStub, request: PartitionRequest<"read">) {
  const room = Math.min(request.maxBytes, memory.answers.share);
  return readInTurn(room, async () => await stub.read({ ...request, maxBytes: room }));
}

/** Returns the result of reading an empty log. */
function readNothing(offset: number): FetchResult {
  unwrap(validateInRange(offset, EMPTY_LOG));
  const { logStartOffset, highWatermark } = EMPTY_LOG;
  return { records: [], nextOffset: offset, logStartOffset, highWatermark, discard: () => {} };
}

/**
 * [BND-5] Returns the first `maxRecords` records at or after `offset`. The first batch may begin before it. It
 * also stops after the record that takes the decompressed bytes past their bound, because a compressed batch
 * may hold a thousand times its size. It stops before a batch that does not decode, and throws CORRUPT_MESSAGE
 * if that is the first [CRC-4]. `place` is for the error text.
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
    // Batches before the offset are not even decompressed.
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
      records.length = before; // Records decoded before the failure do not count either.
      if (before > 0) return { records, nextOffset: header.baseOffset };
      throw damageError(place, header.baseOffset, read.detail);
    }
    if (nextOffset !== null) return { records, nextOffset };
  }
  return { records, nextOffset: null };
}

/** Estimates the memory that a record takes. */
export function recordBytes({ key, value, headers }: ConsumerRecord): number {
  let bytes = ANSWER_ITEM_BYTES + (key?.length ?? 0) + (value?.length ?? 0);
  for (const header of headers)
    bytes += ANSWER_ITEM_BYTES + header.key.length + (header.value?.length ?? 0);
  return bytes;
}

/**
 * [FCH-2] Waits as a tail reader. The partition pushes once there is a record, and sleeps until then. An open
 * call would keep it awake.
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
  const socket = stubTransport(env, WORKER).openPartition(
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
