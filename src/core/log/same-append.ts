// Whether an append whose bytes are not those that are stored is the same append all the same, encoded anew [IDM-8]: its
// records have the keys, values and headers of the stored ones, in their order, whatever their times and whatever folds
// them. It is asked only where a known sequence comes again with another fingerprint, which is rare.
//
// Records are compared as bytes: what stands behind a record's time is written in one way only.
import { BrokerError } from "../errors.ts";
import { MAX_COMPARED_BYTES, MAX_DECOMPRESSED_BYTES } from "../limits.ts";
import {
  BATCH_HEADER_BYTES,
  type BatchHeader,
  type Decompress,
  readBatchHeader,
  unfolded,
} from "./record-batch.ts";
import { VarintReader } from "./varint.ts";

/** A batch, and where it begins in its bytes. */
export interface BatchBytes {
  readonly bytes: Uint8Array;
  readonly start: number;
}

/** Bytes that may still be read, unfolded and compared for the appends of one commit. */
export class ComparisonBudget {
  #leftBytes = MAX_COMPARED_BYTES;

  /** False where others have used it up: whoever comes now has to come again. */
  get isLeft(): boolean {
    return this.#leftBytes > 0;
  }

  spend(sizeInBytes: number): void {
    this.#leftBytes -= sizeInBytes;
  }
}

/**
 * True where each batch of `sent` has the records of the next one of `stored`. What cannot be decoded is not the same, nor
 * is what takes more than a whole budget to compare.
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
  const unfold = ({ bytes, start }: BatchBytes, header: BatchHeader) => {
    try {
      const records =
        header.compression === 0
          ? bytes.subarray(start + BATCH_HEADER_BYTES, start + header.sizeInBytes)
          : unfolded(bytes, start, header, decompress);
      spend(records.length);
      return records;
    } catch (error) {
      spend(MAX_DECOMPRESSED_BYTES); // It may have unfolded to so much before that was seen.
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
      if (!areSameRecords(unfold(one, header), unfold(other, otherHeader), header.recordCount))
        return false;
    }
    return true;
  } catch (error) {
    if (error instanceof BrokerError || error instanceof RangeError) return false;
    throw error;
  }
}

/** The same producer's, at the same sequence, with as many records: compaction has taken none. */
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

/** Passes a record's length, attributes (which mean nothing) and time. Returns where the record ends. */
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
