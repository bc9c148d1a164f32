// Detects whether an append whose bytes differ from the stored ones is the same append, encoded again [IDM-8]. Its
// records then have the same keys, values and headers in the same order, with any times and any compression. This is
// needed only when a known sequence comes again with another fingerprint, which is rare.
//
// Records are compared as bytes, because the part of a record after its time has only one encoding.
import { BrokerError } from "../errors.ts";
import { MAX_COMPARED_BYTES, MAX_DECOMPRESSED_BYTES } from "../limits.ts";
import {
  BATCH_HEADER_BYTES,
  type BatchHeader,
  type Decompress,
  decompressedRecords,
  readBatchHeader,
} from "./record-batch.ts";
import { VarintReader } from "./varint.ts";

/** A batch, and its start in its bytes. */
export interface BatchBytes {
  readonly bytes: Uint8Array;
  readonly start: number;
}

/** The bytes that one commit may still read, decompress and compare. */
export class ComparisonBudget {
  #leftBytes = MAX_COMPARED_BYTES;

  /** False if others have used it up. An append that needs it now must be sent again. */
  get isLeft(): boolean {
    return this.#leftBytes > 0;
  }

  spend(sizeInBytes: number): void {
    this.#leftBytes -= sizeInBytes;
  }
}

/**
 * True if each batch of `sent` has the same records as the next batch of `stored`. Batches that cannot be decoded are
 * not the same, nor are batches that take more than a whole budget to compare.
 */
export function isSameAppend(
  sent: Iterable<BatchBytes>,
  stored: Iterable<BatchBytes>,
  decompress: Decompress,
  budget: ComparisonBudget,
): boolean {
  let comparedBytes = 0;
  const spend = (sizeInBytes: number) => {
    comparedBytes += sizeInBytes;
    budget.spend(sizeInBytes);
  };
  const recordsOf = ({ bytes, start }: BatchBytes, header: BatchHeader) => {
    try {
      const records =
        header.compression === 0
          ? bytes.subarray(start + BATCH_HEADER_BYTES, start + header.sizeInBytes)
          : decompressedRecords(bytes, start, header, decompress);
      spend(records.length);
      return records;
    } catch (error) {
      spend(MAX_DECOMPRESSED_BYTES); // It may have decompressed to this size before the error.
      throw error;
    }
  };
  const rest = stored[Symbol.iterator]();
  try {
    for (const one of sent) {
      const { value: other } = rest.next();
      if (other === undefined || comparedBytes > MAX_COMPARED_BYTES) return false;
      const header = readBatchHeader(one.bytes, one.start);
      const otherHeader = readBatchHeader(other.bytes, other.start);
      if (!isSameRange(header, otherHeader)) return false;
      if (
        !areSameRecords(recordsOf(one, header), recordsOf(other, otherHeader), header.recordCount)
      )
        return false;
    }
    return true;
  } catch (error) {
    if (error instanceof BrokerError || error instanceof RangeError) return false;
    throw error;
  }
}

/** True if producer, sequence and number of records are equal. Then compaction has removed none. */
function isSameRange(one: BatchHeader, other: BatchHeader): boolean {
  return (
    one.producerId === other.producerId &&
    one.producerEpoch === other.producerEpoch &&
    one.baseSequence === other.baseSequence &&
    one.recordCount === other.recordCount
  );
}

function areSameRecords(one: Uint8Array, other: Uint8Array, count: number): boolean {
  const reader = new VarintReader(one, 0, one.length);
  const otherReader = new VarintReader(other, 0, other.length);
  for (let i = 0; i < count; i++) {
    const end = readTimes(one, reader);
    const otherEnd = readTimes(other, otherReader);
    const rest = one.subarray(reader.position, end);
    if (!isEqual(rest, other.subarray(otherReader.position, otherEnd))) return false;
    reader.position = end;
    otherReader.position = otherEnd;
  }
  return reader.position === one.length && otherReader.position === other.length;
}

/** Skips a record's length, attributes (which are unused) and time. Returns the end of the record. */
function readTimes(batch: Uint8Array, reader: VarintReader): number {
  const length = reader.read();
  const end = reader.position + length;
  reader.position++;
  reader.read();
  if (end < reader.position || end > batch.length)
    throw new RangeError("a record runs past the end");
  return end;
}

function isEqual(one: Uint8Array, other: Uint8Array): boolean {
  if (one.length !== other.length) return false;
  for (let i = 0; i < one.length; i++) if (one[i] !== other[i]) return false;
  return true;
}
