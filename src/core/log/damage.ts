// Damage to stored data, such as a bit that flipped on a disk. All data read from storage is verified before anybody
// gets it [CRC-1]. Each batch has a CRC. The sequence of batches in a chunk verifies the bytes outside the CRC. Damaged
// data is never served or rewritten. The intact data around it is.
import { BrokerError } from "../errors.ts";
import { MAX_VERIFIED_CHUNKS } from "../limits.ts";
import type { ConsumerRecord, TopicPartition } from "../record.ts";
import type { StoredChunk } from "./log-store.ts";
import {
  BATCH_HEADER_BYTES,
  type BatchHeader,
  hasValidCrc,
  readBatchHeader,
  readBatchSize,
  readLeaderEpoch,
} from "./record-batch.ts";

/** A part of a stored chunk: either whole intact batches, or damaged bytes. */
export interface Run extends StoredChunk {
  /** Describes the damage to the first of its batches. Absent if it is intact. */
  readonly damage?: string;
}

export type Decode = (bytes: Uint8Array, start: number) => readonly ConsumerRecord[];

/** Makes CORRUPT_MESSAGE as the broker's fault: the batch at `offset` is unreadable. */
export function damageError(
  { topic, partition }: TopicPartition,
  offset: number,
  why: string,
): BrokerError {
  return new BrokerError(
    "CORRUPT_MESSAGE",
    `the batch stored in ${topic}/${partition} at offset ${offset} cannot be read: ${why}`,
    { data: { topic, partition, offset } },
  );
}

/**
 * Verifies the chunks that are read from storage, each once in the life of a partition object, because CRCs are costly.
 */
export class ChunkVerifier {
  readonly #place: TopicPartition;
  readonly #report: (error: BrokerError) => void;
  /** Base offsets of chunks that were verified or stored in this life. */
  readonly #verified = new Set<number>();
  /** Base offsets of chunks whose damage was reported. */
  readonly #reported = new Set<number>();

  /** `report` is called once for each damaged chunk. */
  constructor(
    place: TopicPartition = { topic: "", partition: 0 },
    report: (error: BrokerError) => void = () => {},
  ) {
    this.#place = place;
    this.#report = report;
  }

  /** Yields the chunks, split into parts if they are damaged. Parts that end at or before `from` are left out. */
  *runs(chunks: Iterable<StoredChunk>, from = 0): Generator<Run> {
    for (const chunk of chunks)
      for (const run of this.#runsOf(chunk)) if (run.nextOffset > from) yield run;
  }

  /** Makes the error for damage that a reader has reached. */
  error({ baseOffset, nextOffset, damage }: Run): BrokerError {
    const why = `${damage}; the data after it begins at offset ${nextOffset}`;
    return damageError(this.#place, baseOffset, why);
  }

  /** [CRC-4] Decodes the records of a batch that is stored intact. It may have been malformed from the start. */
  decoded(decode: Decode, bytes: Uint8Array, start: number): readonly ConsumerRecord[] {
    try {
      return decode(bytes, start);
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      throw damageError(this.#place, readBatchHeader(bytes, start).baseOffset, error.message);
    }
  }

  /** Notes that the chunk was just stored. Its batches were checked on arrival, which is enough for this life. */
  stored(baseOffset: number): void {
    remember(this.#verified, baseOffset);
  }

  /** Forgets all verifications, because other chunks have replaced the verified ones. */
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
  // A forgotten chunk is verified again.
  if (offsets.size === MAX_VERIFIED_CHUNKS) offsets.clear();
  offsets.add(offset);
}

/**
 * [CRC-1] Splits the chunk into intact and damaged runs, which together cover its offsets and its bytes. After a
 * damaged batch it continues at the end that this batch claims, if an intact batch begins there. Otherwise the rest is
 * damaged.
 */
export function runsOf(chunk: StoredChunk): readonly Run[] {
  const { bytes, baseOffset, nextOffset } = chunk;
  const runs: Run[] = [];
  /** The run being gathered. */
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
      offset++; // An intact batch after it has some later offset.
    }
    const size = typeof batch === "string" ? sizeAt(bytes, position) : batch.sizeInBytes;
    if (size === null) break;
    position += size;
  }
  if (run.damage === null && offset !== nextOffset)
    close(position, offset, `its batches end there, not at ${nextOffset}`);
  if (runs.length === 0 && run.damage === null) return [chunk];
  close(bytes.length, nextOffset, null);
  return runs;
}

/** Returns the header at the position, or a description of its error. */
function batchAt(bytes: Uint8Array, position: number): BatchHeader | string {
  try {
    return readBatchHeader(bytes, position);
  } catch (error) {
    if (error instanceof BrokerError) return error.message;
    throw error;
  }
}

/** Returns the size that a batch with a bad header claims, if it is possible. */
function sizeAt(bytes: Uint8Array, position: number): number | null {
  const available = bytes.length - position;
  if (available < BATCH_HEADER_BYTES) return null;
  const sizeInBytes = readBatchSize(bytes, position);
  return sizeInBytes >= BATCH_HEADER_BYTES && sizeInBytes <= available ? sizeInBytes : null;
}

/** Returns the error in a batch that should begin at or after `offset`, or null. */
function wrongWith(
  chunk: StoredChunk,
  position: number,
  batch: BatchHeader,
  offset: number,
): string | null {
  const { bytes, nextOffset } = chunk;
  const { baseOffset, lastOffsetDelta, sizeInBytes } = batch;
  if (!hasValidCrc(bytes, position, sizeInBytes))
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
  return `the data there is not the batch of offset ${baseOffset} that it claims to be`;
}

/** False if the batches fill the chunk's offsets, as they do unless compaction has removed some. */
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
