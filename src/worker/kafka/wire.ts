// Kafka's primitive types, read from and written to bytes: https://kafka.apache.org/protocol#protocol_types. int64 is a
// JavaScript number: every offset, timestamp and producer id is exact.
import { MAX_KAFKA_ELEMENTS } from "../../core/limits.ts";

/**
 * Thrown if a client sent bytes that are not a request. Nothing after them can be understood, so the connection
 * is closed.
 */
export class MalformedError extends Error {
  override readonly name = "MalformedError";
}

export const ZERO_UUID = "00000000-0000-0000-0000-000000000000";

const FROM_UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const UTF8 = new TextEncoder();

/** Reads one request. All bytes that it returns are views into the request. */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #position = 0;
  #elements = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  get left(): number {
    return this.#bytes.length - this.#position;
  }

  int8(): number {
    return this.#view.getInt8(this.#take(1));
  }

  int16(): number {
    return this.#view.getInt16(this.#take(2));
  }

  int32(): number {
    return this.#view.getInt32(this.#take(4));
  }

  int64(): number {
    const at = this.#take(8);
    return this.#view.getInt32(at) * 2 ** 32 + this.#view.getUint32(at + 4);
  }

  /** Reads a number of at most 32 bits. */
  unsignedVarint(): number {
    let value = 0;
    for (let scale = 1; scale <= 2 ** 28; scale *= 128) {
      const byte = this.#view.getUint8(this.#take(1));
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    throw new MalformedError("a varint has more than five bytes");
  }

  uuid(): string {
    const hex = this.bytes(16).reduce(
      (text, byte) => text + byte.toString(16).padStart(2, "0"),
      "",
    );
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  }

  bytes(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  text(length: number): string {
    try {
      return FROM_UTF8.decode(this.bytes(length));
    } catch (error) {
      if (error instanceof MalformedError) throw error;
      throw new MalformedError("a string is not UTF-8");
    }
  }

  /** Must be called before this many elements are read. It bounds the memory that a request's bytes may expand to. */
  expectElements(count: number): void {
    this.#elements += count;
    if (this.#elements > MAX_KAFKA_ELEMENTS)
      throw new MalformedError(
        `an array of ${count} elements: the bound is ${MAX_KAFKA_ELEMENTS} in all`,
      );
    if (count <= this.left) return;
    throw new MalformedError(`an array of ${count} elements: ${this.left} bytes are left`);
  }

  #take(length: number): number {
    const at = this.#position;
    if (length < 0 || length > this.left)
      throw new MalformedError(`${length} bytes are announced, ${this.left} are left`);
    this.#position += length;
    return at;
  }
}

const FIRST_BYTES = 512;
/** Bytes of this size or more are passed on without a copy. */
const OWN_PIECE_BYTES = 4_096;
/** A piece of this size does not grow. The next piece begins. */
const LARGE_PIECE_BYTES = 65_536;

/** Writes one response as pieces to be sent one after another. */
export class Writer {
  readonly #pieces: Uint8Array[] = [];
  readonly #check: (bytes: number) => void;
  #bytes = new Uint8Array(FIRST_BYTES);
  #view = new DataView(this.#bytes.buffer);
  #position = 0;
  #sealedBytes = 0;

  /** `check` is called from time to time with the number of bytes so far, and throws if there are too many. */
  constructor(check: (bytes: number) => void = () => {}) {
    this.#check = check;
  }

  int8(value: number): void {
    const at = this.#room(1); // First: it may replace the view.
    this.#view.setInt8(at, value);
  }

  int16(value: number): void {
    const at = this.#room(2); // First: it may replace the view.
    this.#view.setInt16(at, value);
  }

  int32(value: number): void {
    const at = this.#room(4); // First: it may replace the view.
    this.#view.setInt32(at, value);
  }

  int64(value: number): void {
    const at = this.#room(8);
    const high = Math.floor(value / 2 ** 32);
    this.#view.setInt32(at, high);
    this.#view.setUint32(at + 4, value - high * 2 ** 32);
  }

  unsignedVarint(value: number): void {
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.#uint8((rest & 0x7f) | 0x80);
    this.#uint8(rest);
  }

  uuid(value: string): void {
    const hex = value.replaceAll("-", "");
    for (let i = 0; i < 32; i += 2) this.#uint8(Number.parseInt(hex.slice(i, i + 2), 16));
  }

  #uint8(value: number): void {
    const at = this.#room(1);
    this.#view.setUint8(at, value);
  }

  bytes(value: Uint8Array): void {
    if (value.length < OWN_PIECE_BYTES) {
      const at = this.#room(value.length);
      this.#bytes.set(value, at);
      return;
    }
    this.#seal();
    this.#pieces.push(value);
    this.#sealedBytes += value.length;
    this.#check(this.#sealedBytes);
  }

  get length(): number {
    return this.#sealedBytes + this.#position;
  }

  finish(): Uint8Array[] {
    this.#seal();
    return this.#pieces;
  }

  #seal(): void {
    if (this.#position === 0) return;
    this.#pieces.push(this.#bytes.subarray(0, this.#position));
    this.#sealedBytes += this.#position;
    this.#check(this.#sealedBytes);
    this.#bytes = new Uint8Array(FIRST_BYTES);
    this.#view = new DataView(this.#bytes.buffer);
    this.#position = 0;
  }

  /** Returns the position for the next `length` bytes. */
  #room(length: number): number {
    if (this.#position + length > LARGE_PIECE_BYTES) this.#seal();
    const at = this.#position;
    const needed = at + length;
    if (needed > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, at));
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    this.#position = needed;
    return at;
  }
}

export function encodeText(text: string): Uint8Array {
  return UTF8.encode(text);
}
