// Request bodies as they arrive, decompressed, and bounded in bytes and in time. Nothing that a request
// announces is trusted.
import { decompressed, type Encoding } from "../../compression/decompress-stream.ts";
import { BrokerError, brokerErrorOf } from "../../core/errors.ts";
import type { Holding } from "../../core/ledger.ts";
import {
  BODY_PIECE_BYTES,
  BODY_PIECE_MS,
  MAX_DISCARD_MS,
  MAX_DISCARDED_BYTES,
  MAX_REQUEST_BYTES,
} from "../../core/limits.ts";
import { memory } from "../../memory.ts";
import { after } from "../edge/timer.ts";

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });
const UTF8_INSIDE = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const NOTHING = new Uint8Array();

/** Thrown for a body that stands still. Its answer is a 408: nothing was done, and the request may be repeated. */
export class SlowBodyError extends BrokerError {
  constructor(bytes: number) {
    super(
      "REQUEST_TIMED_OUT",
      `the body came too slowly: ${bytes} bytes had come, and ${BODY_PIECE_MS} ms went by without ${BODY_PIECE_BYTES} bytes more, or its end`,
    );
  }
}

/** [BND-2] A body that is arriving. It ends if it stands still, or if the bytes that it holds are needed. */
export class IncomingBody {
  readonly #headers: Headers;
  readonly #reader: ReadableStreamBYOBReader | null;
  readonly #holding: Holding;
  /** The reason why nothing more is read. */
  #stopped: BrokerError | null = null;
  #bytes = 0;
  /** The bytes that must still arrive within the current time limit, unless the body ends. */
  #missing = BODY_PIECE_BYTES;
  #leftMs = BODY_PIECE_MS;

  constructor(request: Request) {
    this.#headers = request.headers;
    this.#reader = request.body?.getReader({ mode: "byob" }) ?? null;
    this.#holding = memory.bodies.hold((error) => this.#stop(error));
  }

  /** Sets the bytes of the body that are in memory now. @throws BrokerError THROTTLING_QUOTA_EXCEEDED */
  hold(bytes: number): void {
    if (this.#stopped !== null) throw this.#stopped;
    this.#holding.set(bytes);
  }

  /** Yields the decompressed body. The reader may keep the pieces. @throws BrokerError */
  async *pieces(): AsyncGenerator<Uint8Array> {
    const encoding = encodingOf(this.#headers);
    if (encoding === null) {
      yield* this.#pieces();
      return;
    }
    try {
      yield* decompressed(this.#pieces(), encoding);
    } catch (error) {
      throw this.#stopped ?? brokerErrorOf(error, "INVALID_REQUEST");
    }
  }

  async *#pieces(): AsyncGenerator<Uint8Array> {
    let target = new Uint8Array(BODY_PIECE_BYTES);
    for (;;) {
      const piece = await this.#read(target, 1);
      if (piece.length === 0) return;
      const isSmall = 2 * piece.length < BODY_PIECE_BYTES;
      yield isSmall ? piece.slice() : piece;
      target = isSmall
        ? new Uint8Array(piece.buffer as ArrayBuffer)
        : new Uint8Array(BODY_PIECE_BYTES);
    }
  }

  /** Returns the whole body, decompressed. @throws BrokerError MESSAGE_TOO_LARGE above MAX_REQUEST_BYTES */
  async bytes(): Promise<Uint8Array> {
    const announced = Number(this.#headers.get("content-length") ?? 0);
    if (announced > MAX_REQUEST_BYTES) throw tooLarge(`${announced} bytes`);
    const pieces = encodingOf(this.#headers) === null ? null : this.pieces();
    // There is one buffer, and it grows. The announced size only sets its first size.
    let buffer = new Uint8Array(Math.min(Math.max(announced, 1_024) + 1, BODY_PIECE_BYTES));
    let size = 0;
    for (;;) {
      if (size === buffer.length) buffer = grown(buffer, announced);
      let piece: Uint8Array;
      // Fewer bytes arrive only at the end.
      const least = Math.min(buffer.length - size, BODY_PIECE_BYTES);
      if (pieces === null) {
        piece = await this.#read(buffer.subarray(size), least);
        buffer = new Uint8Array(piece.buffer as ArrayBuffer);
      } else piece = (await pieces.next()).value ?? NOTHING;
      if (piece.length === 0) break;
      if (size + piece.length > MAX_REQUEST_BYTES) {
        await pieces?.return(undefined);
        throw tooLarge(`${size + piece.length} bytes or more`);
      }
      while (size + piece.length > buffer.length) buffer = grown(buffer, announced);
      if (pieces !== null) buffer.set(piece, size);
      size += piece.length;
      this.hold(buffer.length);
      if (pieces === null && piece.length < least) break;
    }
    return buffer.subarray(0, size);
  }

  /**
   * Reads the next bytes, at least `least` of them, into `target`, whose buffer is then detached. Empty at the
   * end.
   * @throws BrokerError INVALID_REQUEST if the body is broken; SlowBodyError; the reason why it was dropped
   */
  async #read(target: Uint8Array, least: number): Promise<Uint8Array> {
    if (this.#stopped !== null) throw this.#stopped;
    if (this.#reader === null) return NOTHING;
    const sinceMs = Date.now();
    const stop = after(this.#leftMs, () => this.#stop(new SlowBodyError(this.#bytes)));
    try {
      const { value } = await this.#reader.readAtLeast(Math.min(least, target.length), target);
      const piece = value ?? NOTHING;
      this.#bytes += piece.length;
      this.#missing -= piece.length;
      return piece;
    } catch (error) {
      if (this.#stopped !== null) throw this.#stopped;
      const reason = error instanceof Error ? error.message : String(error);
      const detail = `the body is broken, or broke off, after its first ${this.#bytes} bytes: ${reason}`;
      throw new BrokerError("INVALID_REQUEST", detail);
    } finally {
      stop();
      // Only the time in which bytes could have arrived counts.
      this.#leftMs -= Math.max(0, Date.now() - sinceMs);
      if (this.#missing <= 0) {
        this.#missing = BODY_PIECE_BYTES;
        this.#leftMs = BODY_PIECE_MS;
      }
    }
  }

  #stop(error: BrokerError): void {
    this.#stopped ??= error;
    this.#holding.release();
    void this.#reader?.cancel(error).catch(() => {});
  }

  /**
   * [BND-2] Reads on and discards, within bounds of bytes and time, so that a client that is still sending sees
   * the answer.
   */
  async discard(): Promise<void> {
    this.#holding.release();
    if (this.#stopped !== null || this.#reader === null) return;
    const stop = after(MAX_DISCARD_MS, () => void this.#reader?.cancel().catch(() => {}));
    try {
      let target = new Uint8Array(BODY_PIECE_BYTES);
      for (let size = 0; size <= MAX_DISCARDED_BYTES; ) {
        const { value } = await this.#reader.read(target);
        if (value === undefined || value.length === 0) break;
        size += value.length;
        target = new Uint8Array(value.buffer);
      }
    } catch {
      // The body broke off. Nobody waits for the answer.
    } finally {
      stop();
    }
  }

  /** Stops reading. The body then holds nothing. */
  close(): void {
    this.#holding.release();
    void this.#reader?.cancel().catch(() => {});
  }
}

/** Returns a buffer of twice the size, or of the rest's size if that is known. */
function grown(buffer: Uint8Array, announced: number): Uint8Array<ArrayBuffer> {
  const twice = 2 * buffer.length;
  const isLast = announced + 1 > buffer.length && announced + 1 < twice;
  const size = isLast ? announced + 1 : Math.min(twice, MAX_REQUEST_BYTES + 1);
  // The memory of the old buffer is freed at once, without garbage collection.
  return new Uint8Array((buffer.buffer as ArrayBuffer).transfer(size));
}

function tooLarge(size: string): BrokerError {
  const detail = `the body has ${size}, the bound is ${MAX_REQUEST_BYTES}`;
  return new BrokerError("MESSAGE_TOO_LARGE", detail);
}

/** Returns the encoding, or null if the body is not encoded. */
function encodingOf(headers: Headers): Encoding | null {
  const encoding = (headers.get("content-encoding") ?? "identity").toLowerCase();
  if (encoding === "identity") return null;
  if (encoding === "gzip" || encoding === "deflate") return encoding;
  throw new BrokerError(
    "INVALID_REQUEST",
    `content-encoding is ${encoding}, it must be gzip, deflate or identity`,
  );
}

/** [BND-2] Reads the whole body, decompressed. Throws MESSAGE_TOO_LARGE above MAX_REQUEST_BYTES. */
export async function readBytes(request: Request): Promise<Uint8Array> {
  const body = new IncomingBody(request);
  try {
    return await body.bytes();
  } catch (error) {
    await body.discard();
    throw error;
  } finally {
    body.close();
  }
}

/** Reads the body as text, which must be UTF-8. */
export async function readText(request: Request): Promise<string> {
  return textOf(await readBytes(request));
}

/** Returns the text of a body, or of a later part of one. @throws BrokerError INVALID_REQUEST */
export function textOf(bytes: Uint8Array, isStart = true): string {
  try {
    return (isStart ? UTF8 : UTF8_INSIDE).decode(bytes);
  } catch {
    throw new BrokerError("INVALID_REQUEST", "the body is not valid UTF-8");
  }
}
