// RecordBatch v2, Kafka's wire format (clients/…/record/DefaultRecordBatch.java). Batches are stored and fetched in the
// same format. This module works on bytes only, so it runs in the Worker, in the SDK and in a PartitionObject. The
// partition itself reads only headers (`readBatchHeader`) and patches the base offset (`patchBaseOffset`), which is
// outside the CRC. It never decodes a record.
//
//   0 baseOffset i64 | 8 batchLength i32 | 12 partitionLeaderEpoch i32 | 16 magic i8 | 17 crc u32
//  21 attributes i16 | 23 lastOffsetDelta i32 | 27 baseTimestamp i64 | 35 maxTimestamp i64
//  43 producerId i64 | 51 producerEpoch i16 | 53 baseSequence i32 | 57 recordCount i32 | 61 records
import { concatBytes } from "../bytes.ts";
import { BrokerError, brokerErrorOf } from "../errors.ts";
import { MAX_HEADERS_PER_BATCH, MAX_RECORDS_PER_BATCH } from "../limits.ts";
import type { ConsumerRecord, ProducerRecord, RecordHeader } from "../record.ts";
import type { CompressionType } from "./compression.ts";
import { crc32c } from "./crc32c.ts";
import { VarintReader, varintSize, writeVarint } from "./varint.ts";

export const BATCH_HEADER_BYTES = 61;
/** The size of `baseOffset` and `batchLength`. The value of `batchLength` does not include them. */
const LENGTH_PREFIX_BYTES = 12;
/** The CRC covers all bytes from the attributes on. */
const CRC_START = 21;
/** The smallest record: length, attributes, two deltas, two null lengths, a header count. */
const MIN_RECORD_BYTES = 7;

export const NO_PRODUCER_ID = -1;
/**
 * KIP-534: `baseTimestamp` is the time at which the batch's tombstones may be removed. Record timestamps are still
 * relative to it.
 */
const DELETE_HORIZON_BIT = 0x40;
const CONTROL_BIT = 0x20;
const TRANSACTIONAL_BIT = 0x10;
const LOG_APPEND_TIME_BIT = 0x08;
const COMPRESSION_MASK = 0x07;
const KNOWN_BITS = 0x7f;

export interface BatchHeader {
  readonly baseOffset: number;
  /** The bytes of the whole batch, prefix included. */
  readonly sizeInBytes: number;
  readonly lastOffsetDelta: number;
  readonly recordCount: number;
  readonly baseTimestamp: number;
  readonly maxTimestamp: number;
  /** One of COMPRESSIONS. Decoding checks that. */
  readonly compression: number;
  /** True if all records have the time of the append, which is `maxTimestamp`. */
  readonly isLogAppendTime: boolean;
  readonly hasDeleteHorizon: boolean;
  /** True if attribute bits without a meaning are set. */
  readonly hasUnknownBits: boolean;
  readonly isTransactional: boolean;
  readonly isControl: boolean;
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
}

export interface EncodeOptions {
  readonly baseOffset?: number;
  readonly producerId?: number;
  readonly producerEpoch?: number;
  readonly baseSequence?: number;
  readonly compression?: Compressor | undefined;
}

/** Compresses the records of a batch. `type` is written to its header. */
export interface Compressor {
  readonly type: CompressionType;
  compress(bytes: Uint8Array): Uint8Array;
}

/**
 * Decompresses the records of a batch. Throws a BrokerError: CORRUPT_MESSAGE if the bytes are malformed or decompress
 * to more than MAX_DECOMPRESSED_BYTES, UNSUPPORTED_COMPRESSION_TYPE if the compression is unknown.
 */
export type Decompress = (compression: number, bytes: Uint8Array) => Uint8Array;

const UTF8 = new TextEncoder();
const FROM_UTF8 = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });

function corrupt(detail: string): BrokerError {
  return new BrokerError("CORRUPT_MESSAGE", detail);
}

/** Returns the size of an encoded record, including its length prefix. */
export function recordSize(
  record: ProducerRecord,
  offsetDelta: number,
  baseTimestamp: number,
): number {
  const body = recordBodySize(record, offsetDelta, record.timestamp - baseTimestamp);
  return varintSize(body) + body;
}

function recordBodySize(
  record: ProducerRecord,
  offsetDelta: number,
  timestampDelta: number,
): number {
  let size = 1 + varintSize(timestampDelta) + varintSize(offsetDelta);
  size += bytesSize(record.key) + bytesSize(record.value) + varintSize(record.headers.length);
  for (const header of record.headers) {
    const keyLength = utf8Length(header.key);
    size += varintSize(keyLength) + keyLength + bytesSize(header.value);
  }
  return size;
}

function bytesSize(bytes: Uint8Array | null): number {
  return bytes === null ? 1 : varintSize(bytes.length) + bytes.length;
}

function utf8Length(text: string): number {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 0x7f) return UTF8.encode(text).length;
  }
  return text.length;
}

/** Encodes records as one batch. The records get consecutive offsets from `baseOffset`. */
export function encodeBatch(
  records: readonly ProducerRecord[],
  {
    baseOffset = 0,
    producerId = NO_PRODUCER_ID,
    producerEpoch = -1,
    baseSequence = -1,
    compression,
  }: EncodeOptions = {},
): Uint8Array {
  const first = records[0];
  if (first === undefined) throw new BrokerError("INVALID_RECORD", "a batch needs a record");
  return encode(
    records,
    (index) => index,
    {
      baseOffset,
      attributes: 0,
      lastOffsetDelta: records.length - 1,
      baseTimestamp: first.timestamp,
      producerId,
      producerEpoch,
      baseSequence,
    },
    compression,
  );
}

/**
 * Encodes the records of a batch that survive compaction, at their old offsets. Base offset, last offset delta and
 * producer are kept, as in Kafka, so the batch still covers the same offsets. `deleteHorizonMs`, if not null, is the
 * time at which its tombstones may be removed.
 */
export function encodeCompacted(
  header: BatchHeader,
  records: readonly ConsumerRecord[],
  deleteHorizonMs: number | null,
  compressor: Compressor | undefined,
): Uint8Array {
  let attributes = deleteHorizonMs === null ? 0 : DELETE_HORIZON_BIT;
  if (header.isLogAppendTime) attributes |= LOG_APPEND_TIME_BIT;
  return encode(
    records,
    (_, record) => record.offset - header.baseOffset,
    { ...header, attributes, baseTimestamp: deleteHorizonMs ?? header.baseTimestamp },
    compressor,
  );
}

type BatchFields = Pick<
  BatchHeader,
  | "baseOffset"
  | "lastOffsetDelta"
  | "baseTimestamp"
  | "producerId"
  | "producerEpoch"
  | "baseSequence"
> & { readonly attributes: number };

function encode<R extends ProducerRecord>(
  records: readonly R[],
  offsetDelta: (index: number, record: R) => number,
  fields: BatchFields,
  compressor: Compressor | undefined,
): Uint8Array {
  const { baseTimestamp } = fields;
  let size = BATCH_HEADER_BYTES;
  let maxTimestamp = Number.NEGATIVE_INFINITY;
  const bodySizes = new Array<number>(records.length);
  for (const [index, record] of records.entries()) {
    const delta = offsetDelta(index, record);
    const body = recordBodySize(record, delta, record.timestamp - baseTimestamp);
    bodySizes[index] = body;
    size += varintSize(body) + body;
    if (record.timestamp > maxTimestamp) maxTimestamp = record.timestamp;
  }
  let bytes: Uint8Array = new Uint8Array(size);
  let position = BATCH_HEADER_BYTES;
  for (const [index, record] of records.entries()) {
    position = writeVarint(bytes, position, bodySizes[index] as number);
    position++; // Record attributes are unused and zero.
    position = writeVarint(bytes, position, record.timestamp - baseTimestamp);
    position = writeVarint(bytes, position, offsetDelta(index, record));
    position = writeBytes(bytes, position, record.key);
    position = writeBytes(bytes, position, record.value);
    position = writeVarint(bytes, position, record.headers.length);
    for (const header of record.headers) {
      position = writeBytes(bytes, position, UTF8.encode(header.key));
      position = writeBytes(bytes, position, header.value);
    }
  }
  if (compressor !== undefined)
    bytes = afterHeader(compressor.compress(bytes.subarray(BATCH_HEADER_BYTES)));
  writeHeader(bytes, fields, compressor?.type ?? 0, maxTimestamp, records.length);
  return bytes;
}

/** Returns the encoded records of a batch with room for its header before them. */
function afterHeader(records: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(BATCH_HEADER_BYTES + records.length);
  bytes.set(records, BATCH_HEADER_BYTES);
  return bytes;
}

/** Writes the header of a new batch. Its leader epoch stays 0. */
function writeHeader(
  bytes: Uint8Array,
  fields: BatchFields,
  compression: number,
  maxTimestamp: number,
  recordCount: number,
): void {
  const view = new DataView(bytes.buffer);
  writeInt64(view, 0, fields.baseOffset);
  view.setInt32(8, bytes.length - LENGTH_PREFIX_BYTES);
  view.setInt8(16, 2);
  view.setInt16(21, fields.attributes | compression);
  view.setInt32(23, fields.lastOffsetDelta);
  writeInt64(view, 27, fields.baseTimestamp);
  writeInt64(view, 35, maxTimestamp);
  writeInt64(view, 43, fields.producerId);
  view.setInt16(51, fields.producerEpoch);
  view.setInt32(53, fields.baseSequence);
  view.setInt32(57, recordCount);
  view.setUint32(17, crc32c(bytes, CRC_START));
}

function writeBytes(target: Uint8Array, position: number, value: Uint8Array | null): number {
  if (value === null) return writeVarint(target, position, -1);
  const start = writeVarint(target, position, value.length);
  target.set(value, start);
  return start + value.length;
}

/**
 * Reads the header of the batch at `start`. Throws CORRUPT_MESSAGE unless there is a whole batch of magic 2. It does
 * not check the CRC: `hasValidCrc` does.
 */
export function readBatchHeader(bytes: Uint8Array, start = 0): BatchHeader {
  const available = bytes.length - start;
  if (available < BATCH_HEADER_BYTES) {
    throw corrupt(`batch has ${available} bytes, its header alone needs ${BATCH_HEADER_BYTES}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, BATCH_HEADER_BYTES);
  const magic = view.getInt8(16);
  if (magic !== 2) throw corrupt(`batch has magic ${magic}, only 2 is accepted`);
  const sizeInBytes = view.getInt32(8) + LENGTH_PREFIX_BYTES;
  if (sizeInBytes < BATCH_HEADER_BYTES || sizeInBytes > available) {
    throw corrupt(`batchLength says ${sizeInBytes} bytes, ${available} are there`);
  }
  const recordCount = view.getInt32(57);
  const attributes = view.getInt16(21);
  const compression = attributes & COMPRESSION_MASK;
  const fitting = Math.floor((sizeInBytes - BATCH_HEADER_BYTES) / MIN_RECORD_BYTES);
  const most = compression === 0 ? fitting : MAX_RECORDS_PER_BATCH;
  if (recordCount < 0 || recordCount > most)
    throw corrupt(`recordCount is ${recordCount}, at most ${most} fit`);
  return {
    baseOffset: readInt64(view, 0),
    sizeInBytes,
    lastOffsetDelta: view.getInt32(23),
    recordCount,
    baseTimestamp: readInt64(view, 27),
    maxTimestamp: readInt64(view, 35),
    compression,
    isLogAppendTime: (attributes & LOG_APPEND_TIME_BIT) !== 0,
    hasDeleteHorizon: (attributes & DELETE_HORIZON_BIT) !== 0,
    hasUnknownBits: (attributes & ~KNOWN_BITS) !== 0,
    isTransactional: (attributes & TRANSACTIONAL_BIT) !== 0,
    isControl: (attributes & CONTROL_BIT) !== 0,
    producerId: readInt64(view, 43),
    producerEpoch: view.getInt16(51),
    baseSequence: view.getInt32(53),
  };
}

/** True if the stored CRC matches the bytes of the batch at `start`. */
export function hasValidCrc(bytes: Uint8Array, start: number, sizeInBytes: number): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, BATCH_HEADER_BYTES);
  return view.getUint32(17) === crc32c(bytes, start + CRC_START, start + sizeInBytes);
}

/** Returns the size that the batch at `start` claims, including the prefix. There must be a whole header. */
export function readBatchSize(bytes: Uint8Array, start: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, BATCH_HEADER_BYTES);
  return view.getInt32(8) + LENGTH_PREFIX_BYTES;
}

/** Reads the leader epoch. Like the base offset, it is outside the CRC. `patchBaseOffset` sets it to 0. */
export function readLeaderEpoch(bytes: Uint8Array, start: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset + start, BATCH_HEADER_BYTES).getInt32(12);
}

/** Sets the base offset of the batch at `start`. Base offset and leader epoch are outside the CRC. */
export function patchBaseOffset(bytes: Uint8Array, start: number, baseOffset: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, BATCH_HEADER_BYTES);
  writeInt64(view, 0, baseOffset);
  view.setInt32(12, 0);
}

/** Sets the producer of the batch at `start`. Its records stay unchanged. */
export function patchProducer(
  bytes: Uint8Array,
  start: number,
  producer: Required<Pick<EncodeOptions, "producerId" | "producerEpoch" | "baseSequence">>,
): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, BATCH_HEADER_BYTES);
  writeInt64(view, 43, producer.producerId);
  view.setInt16(51, producer.producerEpoch);
  view.setInt32(53, producer.baseSequence);
  const end = start + view.getInt32(8) + LENGTH_PREFIX_BYTES;
  view.setUint32(17, crc32c(bytes, start + CRC_START, end));
}

/**
 * Applies `message.timestamp.type=LogAppendTime`: the batch's records get the timestamp `nowMs` instead of the
 * producer's. Nothing is decoded, because readers use the header's time for all records.
 */
export function setLogAppendTime(bytes: Uint8Array, start: number, nowMs: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, BATCH_HEADER_BYTES);
  view.setInt16(21, view.getInt16(21) | LOG_APPEND_TIME_BIT);
  writeInt64(view, 35, nowMs);
  const end = start + view.getInt32(8) + LENGTH_PREFIX_BYTES;
  view.setUint32(17, crc32c(bytes, start + CRC_START, end));
}

/** Yields the headers of consecutive batches in `bytes`, with the start of each. */
export function* batches(bytes: Uint8Array): Generator<{ start: number; header: BatchHeader }> {
  let start = 0;
  while (start < bytes.length) {
    const header = readBatchHeader(bytes, start);
    yield { start, header };
    start += header.sizeInBytes;
  }
}

/** Compresses the records of each batch with `compress`. The batches must not be compressed yet. */
export async function compressBatches(
  bytes: Uint8Array,
  type: CompressionType,
  compress: (records: Uint8Array) => Promise<Uint8Array>,
): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for (const { start, header } of batches(bytes)) {
    const end = start + header.sizeInBytes;
    const compressed = await compress(bytes.subarray(start + BATCH_HEADER_BYTES, end));
    if (BATCH_HEADER_BYTES + compressed.length >= header.sizeInBytes) {
      pieces.push(bytes.subarray(start, end)); // Compression did not make it smaller.
      continue;
    }
    const batch = afterHeader(compressed);
    writeHeader(batch, { ...header, attributes: 0 }, type, header.maxTimestamp, header.recordCount);
    pieces.push(batch);
  }
  return concatBytes(pieces);
}

/**
 * Decodes the records of the batch at `start`. Keys, values and header values are views into `bytes`, or into the
 * decompressed bytes. Throws CORRUPT_MESSAGE for anything malformed, including a record count or offsets that
 * contradict the header. It never allocates more than a constant multiple of the input.
 */
export function decodeBatch(
  bytes: Uint8Array,
  start = 0,
  decompress: Decompress = uncompressedOnly,
): ConsumerRecord[] {
  return readRecords(bytes, start, decompress, null);
}

/** Decodes one record at a time. It stops when `visit` returns false, and does not read the rest. */
export function visitBatch(
  bytes: Uint8Array,
  start: number,
  decompress: Decompress,
  visit: (record: ConsumerRecord) => boolean,
): void {
  readRecords(bytes, start, decompress, visit);
}

/** Returns the records if `visit` is null. A callback for each record would cost a consumer a tenth of its speed. */
function readRecords(
  bytes: Uint8Array,
  start: number,
  decompress: Decompress,
  visit: ((record: ConsumerRecord) => boolean) | null,
): ConsumerRecord[] {
  const header = readBatchHeader(bytes, start);
  const records: ConsumerRecord[] = [];
  // Without compression, no view is made here: the records themselves are views, and readers read millions of them.
  const isCompressed = header.compression !== 0;
  const source = isCompressed ? decompressedRecords(bytes, start, header, decompress) : bytes;
  const end = isCompressed ? source.length : start + header.sizeInBytes;
  const reader = new VarintReader(source, isCompressed ? 0 : start + BATCH_HEADER_BYTES, end);
  let lastDelta = -1;
  let headerCount = 0;
  let index = 0;
  try {
    for (; index < header.recordCount; index++) {
      const record = decodeRecord(source, reader, header, end);
      const delta = record.offset - header.baseOffset;
      if (delta <= lastDelta || delta > header.lastOffsetDelta)
        throw corrupt(`record ${index}: offset delta is ${delta}`);
      lastDelta = delta;
      headerCount += record.headers.length;
      if (headerCount > MAX_HEADERS_PER_BATCH)
        throw corrupt(`over ${MAX_HEADERS_PER_BATCH} headers`);
      if (visit === null) records.push(record);
      else if (!visit(record)) return records;
    }
  } catch (error) {
    if (error instanceof RangeError) throw corrupt(`record ${index}: ${error.message}`);
    throw error;
  }
  if (reader.position !== end) throw corrupt(`${end - reader.position} bytes follow`);
  return records;
}

/** Returns the decompressed records of the compressed batch at `start`. Throws as `Decompress` does. */
export function decompressedRecords(
  bytes: Uint8Array,
  start: number,
  { compression, sizeInBytes }: BatchHeader,
  decompress: Decompress,
): Uint8Array {
  try {
    return decompress(compression, bytes.subarray(start + BATCH_HEADER_BYTES, start + sizeInBytes));
  } catch (error) {
    throw brokerErrorOf(error, "CORRUPT_MESSAGE");
  }
}

export function uncompressedOnly(compression: number): never {
  throw new BrokerError(
    "UNSUPPORTED_COMPRESSION_TYPE",
    `compression ${compression} is not decoded here`,
  );
}

function decodeRecord(
  bytes: Uint8Array,
  reader: VarintReader,
  batch: BatchHeader,
  batchEnd: number,
): ConsumerRecord {
  const length = reader.read();
  const recordEnd = reader.position + length;
  if (length < MIN_RECORD_BYTES - 1 || recordEnd > batchEnd)
    throw corrupt(`record length is ${length}`);
  reader.position++; // Skips the attributes.
  const created = batch.baseTimestamp + reader.read();
  const timestamp = batch.isLogAppendTime ? batch.maxTimestamp : created;
  const offset = batch.baseOffset + reader.read();
  const key = readBytes(bytes, reader, recordEnd);
  const value = readBytes(bytes, reader, recordEnd);
  const headerCount = reader.read();
  const mostHeaders = Math.min(recordEnd - reader.position, MAX_HEADERS_PER_BATCH);
  if (headerCount < 0 || headerCount > mostHeaders) {
    throw corrupt(`header count is ${headerCount}`);
  }
  const headers: RecordHeader[] = [];
  for (let i = 0; i < headerCount; i++) {
    const headerKey = readBytes(bytes, reader, recordEnd);
    if (headerKey === null) throw corrupt("a header key is null");
    headers.push({ key: FROM_UTF8.decode(headerKey), value: readBytes(bytes, reader, recordEnd) });
  }
  if (reader.position !== recordEnd) throw corrupt("wrong record length");
  return { offset, timestamp, key, value, headers };
}

function readBytes(bytes: Uint8Array, reader: VarintReader, end: number): Uint8Array | null {
  const length = reader.read();
  if (length === -1) return null;
  const start = reader.position;
  if (length < 0 || start + length > end) throw corrupt(`field length is ${length}`);
  reader.position = start + length;
  return bytes.subarray(start, start + length);
}

// 64-bit integers as numbers, exact for every offset and timestamp in use (below 2^53).

function readInt64(view: DataView, position: number): number {
  return view.getInt32(position) * 0x100000000 + view.getUint32(position + 4);
}

function writeInt64(view: DataView, position: number, value: number): void {
  view.setInt32(position, Math.floor(value / 0x100000000));
  view.setUint32(position + 4, value >>> 0);
}
