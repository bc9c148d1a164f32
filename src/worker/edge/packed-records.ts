// Many records in few objects. A list of records takes several objects per record, which is many times the
// bytes of small records. Here they lie one after another in blocks, and each is created on access.
import type { PlacedRecord, Records } from "../../core/produce-plan.ts";
import type { RecordHeader } from "../../core/record.ts";
import type { UnplacedRecord } from "../../protocol/json-record.ts";

const BLOCK_BYTES = 256 * 1024;
/**
 * The bytes before each record: its time or NaN, the lengths of key and value or -1, partition or -1, number of
 * headers.
 */
const HEAD_BYTES = 24;
const NONE = -1;
const UTF8 = new TextEncoder();
const FROM_UTF8 = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });

export class PackedRecords implements Records<UnplacedRecord> {
  #blocks: DataView[] = [];
  #used = 0;
  #sizeInBytes = 0;
  /** The block of each record, and its start there. */
  #places: { readonly blocks: number[]; readonly starts: number[] } = { blocks: [], starts: [] };
  /** The time of records without one. */
  #atMs: number | null = null;

  get length(): number {
    return this.#places.blocks.length;
  }

  /** The memory that the records take. */
  get sizeInBytes(): number {
    return this.#sizeInBytes;
  }

  add({ key, value, headers, timestamp, partition }: UnplacedRecord): void {
    const names = headers.map((header) => UTF8.encode(header.key));
    let size = HEAD_BYTES + (key?.length ?? 0) + (value?.length ?? 0);
    for (const [i, header] of headers.entries())
      size += 8 + (names[i] as Uint8Array).length + (header.value?.length ?? 0);
    const block = this.#blockFor(size);
    const start = this.#used;
    block.setFloat64(start, timestamp ?? Number.NaN);
    block.setInt32(start + 8, key?.length ?? NONE);
    block.setInt32(start + 12, value?.length ?? NONE);
    block.setInt32(start + 16, partition ?? NONE);
    block.setInt32(start + 20, headers.length);
    const bytes = new Uint8Array(block.buffer);
    let at = start + HEAD_BYTES;
    const put = (some: Uint8Array | null) => {
      if (some === null) return;
      bytes.set(some, at);
      at += some.length;
    };
    put(key);
    put(value);
    for (const [i, header] of headers.entries()) {
      const name = names[i] as Uint8Array;
      block.setInt32(at, name.length);
      block.setInt32(at + 4, header.value?.length ?? NONE);
      at += 8;
      put(name);
      put(header.value);
    }
    this.#used = at;
    this.#places.blocks.push(this.#blocks.length - 1);
    this.#places.starts.push(start);
  }

  at(place: number): UnplacedRecord | undefined {
    const block = this.#blocks[this.#places.blocks[place] ?? -1];
    return block && new PackedRecord(block, this.#places.starts[place] as number, this.#atMs);
  }

  /** Returns the same records. Those without a time get this one. */
  timed(atMs: number): Records<PlacedRecord> {
    const timed = new PackedRecords();
    timed.#blocks = this.#blocks;
    timed.#places = this.#places;
    timed.#atMs = atMs;
    return timed as unknown as Records<PlacedRecord>;
  }

  *entries(): Generator<[number, UnplacedRecord]> {
    for (let place = 0; place < this.length; place++)
      yield [place, this.at(place) as UnplacedRecord];
  }

  #blockFor(size: number): DataView {
    const last = this.#blocks.at(-1);
    if (last !== undefined && this.#used + size <= last.byteLength) return last;
    const block = new DataView(new ArrayBuffer(Math.max(size, BLOCK_BYTES)));
    this.#blocks.push(block);
    this.#used = 0;
    this.#sizeInBytes += block.byteLength;
    return block;
  }
}

/** A record in its block. Key and value are views. */
class PackedRecord implements UnplacedRecord {
  readonly #block: DataView;
  readonly #start: number;
  readonly #atMs: number | null;

  constructor(block: DataView, start: number, atMs: number | null) {
    this.#block = block;
    this.#start = start;
    this.#atMs = atMs;
  }

  get timestamp(): number | null {
    const timestamp = this.#block.getFloat64(this.#start);
    return Number.isNaN(timestamp) ? this.#atMs : timestamp;
  }

  get partition(): number | null {
    const partition = this.#block.getInt32(this.#start + 16);
    return partition === NONE ? null : partition;
  }

  get key(): Uint8Array | null {
    return this.#bytes(this.#start + HEAD_BYTES, this.#keyLength);
  }

  get value(): Uint8Array | null {
    const length = this.#block.getInt32(this.#start + 12);
    return this.#bytes(this.#start + HEAD_BYTES + Math.max(0, this.#keyLength), length);
  }

  get headers(): RecordHeader[] {
    const count = this.#block.getInt32(this.#start + 20);
    if (count === 0) return [];
    const valueLength = this.#block.getInt32(this.#start + 12);
    let at = this.#start + HEAD_BYTES + Math.max(0, this.#keyLength) + Math.max(0, valueLength);
    return Array.from({ length: count }, () => {
      const [nameLength, length] = [this.#block.getInt32(at), this.#block.getInt32(at + 4)];
      const name = this.#bytes(at + 8, nameLength) as Uint8Array;
      const value = this.#bytes(at + 8 + nameLength, length);
      at += 8 + nameLength + Math.max(0, length);
      return { key: FROM_UTF8.decode(name), value };
    });
  }

  get #keyLength(): number {
    return this.#block.getInt32(this.#start + 8);
  }

  #bytes(start: number, length: number): Uint8Array | null {
    return length === NONE ? null : new Uint8Array(this.#block.buffer, start, length);
  }
}
