// Cuts requests out of a stream of bytes, however the stream was split. Each request follows its length of four
// bytes.
import { concatBytes } from "../../core/bytes.ts";
import { MAX_KAFKA_REQUEST_BYTES } from "../../core/limits.ts";
import { MalformedError } from "./wire.ts";

export const LENGTH_BYTES = 4;
/** The first two bytes of a TLS connection. */
const TLS_HANDSHAKE = 0x16_03;

export class Frames {
  readonly #maxBytes: () => number;
  #pieces: Uint8Array[] = [];
  #buffered = 0;

  /** `maxBytes` is called for each request, because a client that has signed in may send longer ones. */
  constructor(maxBytes: () => number = () => MAX_KAFKA_REQUEST_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** The bytes kept for an incomplete request. */
  get buffered(): number {
    return this.#buffered;
  }

  /**
   * Yields the requests that end in `bytes`. @throws MalformedError for a length beyond the bound. Nothing can
   * be read after it.
   */
  *push(bytes: Uint8Array): Generator<Uint8Array> {
    if (bytes.length > 0) this.#pieces.push(bytes);
    this.#buffered += bytes.length;
    while (this.#buffered >= LENGTH_BYTES) {
      const end = endOfRequest(this.#head(), this.#maxBytes());
      if (this.#buffered < end) return;
      // Joins the pieces once per request, because a large request comes in many pieces.
      const all = concatBytes(this.#pieces);
      this.#pieces = end < all.length ? [all.subarray(end)] : [];
      this.#buffered -= end;
      yield all.subarray(LENGTH_BYTES, end);
    }
  }

  /** Returns a piece that holds the whole length. */
  #head(): Uint8Array {
    const [first] = this.#pieces;
    return first !== undefined && first.length >= LENGTH_BYTES ? first : this.#joined();
  }

  #joined(): Uint8Array {
    const all = concatBytes(this.#pieces);
    this.#pieces = [all];
    return all;
  }
}

/**
 * Returns the end of the request that begins, with its length, at the start of `bytes`.
 * @throws MalformedError for a length beyond the bound
 */
export function endOfRequest(bytes: Uint8Array, maxBytes: number): number {
  const length = new DataView(bytes.buffer, bytes.byteOffset).getInt32(0);
  if (length >= 0 && length <= maxBytes) return LENGTH_BYTES + length;
  throw new MalformedError(
    `a request of ${length} bytes is announced, the bound is ${maxBytes}${guess(length)}`,
  );
}

/** Guesses the meaning of the length's bytes if they are not Kafka's protocol. */
function guess(length: number): string {
  if (length >>> 16 === TLS_HANDSHAKE)
    return "; is this TLS? The port speaks Kafka's protocol without TLS";
  const text = String.fromCharCode(...[24, 16, 8, 0].map((shift) => (length >>> shift) & 0xff));
  return /^[A-Z]{3,4} ?$/.test(text) ? "; is this HTTP?" : "";
}
