// Damage to what is stored: a bit that changed on a disk. Whatever is read from storage is checked before anybody is
// given it [CRC-1]: the CRC of each batch, and what lies outside the CRC by how the batches of a chunk follow one
// another. What is damaged is never served, and never written anew; what is not damaged is, around it.
import { BrokerError } from "../errors.ts";
import { MAX_VERIFIED_CHUNKS } from "../limits.ts";
import type { ConsumerRecord, TopicPartition } from "../record.ts";
import type { StoredChunk } from "./log-store.ts";
import {
  BATCH_HEADER_BYTES,
  type BatchHeader,
  checkCrc,
  readBatchHeader,
  readBatchSize,
  readLeaderEpoch,
} from "./record-batch.ts";

/** A part of a stored chunk: whole batches as they were stored, or bytes that are not. */
export interface Run extends StoredChunk {
  /** What is wrong with the first of its batches, where something is. */
  readonly damage?: string;
}

export type Decode = (bytes: Uint8Array, start: number) => readonly ConsumerRecord[];

/** CORRUPT_MESSAGE as the broker's fault: the batch at `offset` can be read by nobody. */
export function damageError(
  { topic, partition }: TopicPartition,
  offset: number,
  why: string,
): BrokerError {
  return new BrokerError(
    "CORRUPT_MESSAGE",
    `what is stored of ${topic}/${partition} at offset ${offset} cannot be read: ${why}`,
    { data: { topic, partition, offset } },
  );
}

/** The chunks that are read from storage, checked once in the life of a partition: the CRC of a batch is what costs. */
export class ChunkVerifier {
  readonly #place: TopicPartition;
  readonly #report: (error: BrokerError) => void;
  /** Base offsets of chunks that were found as they were stored, or were stored in this life. */
  readonly #verified = new Set<number>();
  /** Those of chunks whose damage was reported. */
  readonly #reported = new Set<number>();

  /** `report` hears of each damaged chunk once. */
  constructor(
    place: TopicPartition = { topic: "", partition: 0 },
    report: (error: BrokerError) => void = () => {},
  ) {
    this.#place = place;
    this.#report = report;
  }

  /** The chunks, in parts where they are damaged. Parts that end at or before `from` are left out. */
  *runs(chunks: Iterable<StoredChunk>, from = 0): Generator<Run> {
    for (const chunk of chunks)
      for (const run of this.#runsOf(chunk)) if (run.nextOffset > from) yield run;
  }

  /** Damage that a reader has come to. */
  error({ baseOffset, nextOffset, damage }: Run): BrokerError {
    const why = `${damage}; what follows begins at offset ${nextOffset}`;
    return damageError(this.#place, baseOffset, why);
  }

  /** [CRC-4] The records of a batch that is as it was stored. It may never have been what it says it is. */
  decoded(decode: Decode, bytes: Uint8Array, start: number): readonly ConsumerRecord[] {
    try {
      return decode(bytes, start);
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      throw damageError(this.#place, readBatchHeader(bytes, start).baseOffset, error.message);
    }
  }

  /** The chunk was stored just now, and its batches were checked when they came: that counts for this life. */
  stored(baseOffset: number): void {
    remember(this.#verified, baseOffset);
  }

  /** Other chunks have taken the place of those that were read. */
  forget(): void {
    this.#verified.clear();
  }

  #runsOf(chunk: StoredChunk): readonly Run[] {
    const { baseOffset } = chunk;
    if (this.#verified.has(baseOffset)) return [chunk];
    const runs = runsOf(chunk);
    const damaged = runs.find(({ damage }) => damage !== undefined);
    if (damaged === undefined) remember(this.#verified, baseOffset);
    else if (!this.#reported.has(baseOffset)) {
      remember(this.#reported, baseOffset);
      this.#report(this.error(damaged));
    }
    return runs;
  }
}

function remember(offsets: Set<number>, offset: number): void {
  // What is forgotten is checked once more.
  if (offsets.size === MAX_VERIFIED_CHUNKS) offsets.clear();
  offsets.add(offset);
}

/**
 * [CRC-1] The chunk as runs of what is good and what is damaged, which together hold its offsets and its bytes. Behind a
 * damaged batch it goes on where the batch says that it ends, if a good one begins there; else the rest is damaged.
 */
export function runsOf(chunk: StoredChunk): readonly Run[] {
  const { bytes, baseOffset, nextOffset } = chunk;
  const runs: Run[] = [];
  /** The run that is being gathered. */
  let run: { position: number; baseOffset: number; damage: string | null } = {
    position: 0,
    baseOffset,
    damage: null,
  };
  const close = (position: number, offset: number, damage: string | null) => {
    const part = { baseOffset: run.baseOffset, nextOffset: offset };
    const whole = bytes.subarray(run.position, position);
    const wrong = run.damage === null ? {} : { damage: run.damage };
    if (whole.length > 0 || offset > run.baseOffset) runs.push({ ...part, bytes: whole, ...wrong });
    run = { position, baseOffset: offset, damage };
  };
  let hasGaps: boolean | null = null;
  let position = 0;
  let offset = baseOffset;
  while (position < bytes.length) {
    const batch = batchAt(bytes, position);
    let wrong = typeof batch === "string" ? batch : wrongWith(chunk, position, batch, offset);
    if (wrong === null && run.damage === null && (batch as BatchHeader).baseOffset !== offset) {
      hasGaps ??= mayHaveGaps(chunk);
      if (!hasGaps) wrong = misplaced(batch as BatchHeader);
    }
    if (wrong === null) {
      const { baseOffset: begin, lastOffsetDelta } = batch as BatchHeader;
      if (run.damage !== null) close(position, begin, null);
      offset = begin + lastOffsetDelta + 1;
    } else if (run.damage === null) {
      close(position, offset, wrong);
      offset++; // A good batch behind it has a later offset, whichever.
    }
    const size = typeof batch === "string" ? sizeAt(bytes, position) : batch.sizeInBytes;
    if (size === null) break;
    position += size;
  }
  if (run.damage === null && offset !== nextOffset)
    close(position, offset, `its batches end there, and not at ${nextOffset}`);
  if (runs.length === 0 && run.damage === null) return [chunk];
  close(bytes.length, nextOffset, null);
  return runs;
}

/** The header there, or what is wrong with it. */
function batchAt(bytes: Uint8Array, position: number): BatchHeader | string {
  try {
    return readBatchHeader(bytes, position);
  } catch (error) {
    if (error instanceof BrokerError) return error.message;
    throw error;
  }
}

/** What a batch whose header is wrong says of its size, where that is possible. */
function sizeAt(bytes: Uint8Array, position: number): number | null {
  const available = bytes.length - position;
  if (available < BATCH_HEADER_BYTES) return null;
  const sizeInBytes = readBatchSize(bytes, position);
  return sizeInBytes >= BATCH_HEADER_BYTES && sizeInBytes <= available ? sizeInBytes : null;
}

/** What is wrong with a batch that should begin at or behind `offset`, or null. */
function wrongWith(
  chunk: StoredChunk,
  position: number,
  batch: BatchHeader,
  offset: number,
): string | null {
  const { bytes, nextOffset } = chunk;
  const { baseOffset, lastOffsetDelta, sizeInBytes } = batch;
  if (!checkCrc(bytes, position, sizeInBytes))
    return "the CRC of the batch does not match its bytes";
  const end = baseOffset + lastOffsetDelta + 1;
  const isLast = position + sizeInBytes === bytes.length;
  const isNext = baseOffset === offset;
  const isInPlace = isNext || (position > 0 && baseOffset > offset);
  const isWithin = isLast && !isNext ? end === nextOffset : end <= nextOffset;
  const isPatched = readLeaderEpoch(bytes, position) === 0;
  return isInPlace && isWithin && isPatched ? null : misplaced(batch);
}

function misplaced({ baseOffset }: BatchHeader): string {
  return `what lies there is not the batch of offset ${baseOffset} that it says it is`;
}

/** False where the batches fill the chunk's offsets, as they do unless compaction has taken some. */
function mayHaveGaps({ bytes, baseOffset, nextOffset }: StoredChunk): boolean {
  let count = 0;
  for (let position = 0; position < bytes.length; ) {
    const batch = batchAt(bytes, position);
    if (typeof batch === "string") return true;
    count += batch.lastOffsetDelta + 1;
    position += batch.sizeInBytes;
  }
  return count !== nextOffset - baseOffset;
}
