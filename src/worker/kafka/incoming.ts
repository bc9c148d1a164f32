// The requests that a client sends over TCP. Each large one is read into a buffer of its own. So its bytes are
// copied at most once, and a read takes all that has arrived. A stream that allocates its own pieces makes them
// 4 KiB, and reading one costs more than everything else that is done with it.
import {
  KAFKA_FIRST_READ_BYTES,
  MAX_KAFKA_USUAL_BYTES,
  MIN_KAFKA_HALF_SENT_BYTES,
} from "../../core/limits.ts";
import { endOfRequest, LENGTH_BYTES } from "./frames.ts";

/**
 * The used part of the platform's reader. It detaches the buffer of `view`, and returns the bytes in the buffer
 * of `value`.
 */
export interface ByteSource {
  readAtLeast(minBytes: number, view: Uint8Array<ArrayBuffer>): Promise<Piece>;
}

interface Piece {
  readonly done: boolean;
  readonly value?: Uint8Array<ArrayBuffer> | undefined;
}

export interface IncomingEvents {
  /** Called with the number of bytes that arrived. @throws BrokerError if the connection cannot continue */
  readonly came: (bytes: number) => void;
  /** Called if there is no complete request and the next bytes are awaited. @throws BrokerError likewise */
  readonly waits: () => void;
}

const NOTHING = new Uint8Array(0);

export class Incoming {
  readonly #source: ByteSource;
  readonly #maxBytes: () => number;
  readonly #events: IncomingEvents;
  /** The buffer to read into. Its first bytes have arrived. */
  #buffer: Uint8Array<ArrayBuffer> = NOTHING;
  #buffered = 0;
  /** The size of the buffer. During a read the buffer itself is not here. */
  #bufferBytes = 0;
  /** True if a request that was handed out is in the same buffer. Reading into it would overwrite the request. */
  #isHandedOut = false;
  /** The size of earlier requests, halved over time. This much is trusted to come again. */
  #usualBytes = 0;
  #isReading = false;
  #ahead: Promise<Piece> | null = null;

  /** `maxBytes` is called for each request, because a client that has signed in may send longer ones. */
  constructor(source: ByteSource, maxBytes: () => number, events: IncomingEvents) {
    this.#source = source;
    this.#maxBytes = maxBytes;
    this.#events = events;
  }

  /** The bytes of the incomplete request that have arrived. */
  get buffered(): number {
    return this.#buffered;
  }

  /** The memory that the incomplete request takes. */
  get heldBytes(): number {
    return this.#isHandedOut || this.#buffered === 0 ? this.#buffered : this.#bufferBytes;
  }

  /** Returns the next request, or null at the end. @throws MalformedError for a length beyond the bound */
  async next(): Promise<Uint8Array | null> {
    for (;;) {
      const end = this.#end();
      if (end !== null && end <= this.#buffered) return this.#take(end);
      const bytes = this.#ahead === null ? await this.#read(end) : await this.#takeAhead(end);
      if (bytes === 0) return null;
      this.#events.came(bytes);
    }
  }

  /** Reads one piece ahead, no more, and calls `gone` if the client has closed its side [BND-16]. */
  look(gone: () => void): void {
    if (this.#isReading || this.#ahead !== null) return;
    // Not into the buffer, because it may contain complete requests.
    this.#ahead = this.#source.readAtLeast(1, new Uint8Array(KAFKA_FIRST_READ_BYTES));
    this.#ahead.then(({ done }) => done && gone(), gone);
  }

  /** Returns the end of the request that has begun to arrive. Null if its length has not arrived. */
  #end(): number | null {
    return this.#buffered < LENGTH_BYTES ? null : endOfRequest(this.#buffer, this.#maxBytes());
  }

  #take(end: number): Uint8Array {
    const request = this.#buffer.subarray(LENGTH_BYTES, end);
    this.#buffer = this.#buffer.subarray(end);
    this.#buffered -= end;
    this.#isHandedOut = true;
    this.#usualBytes = Math.min(MAX_KAFKA_USUAL_BYTES, Math.max(end, this.#usualBytes >> 1));
    return request;
  }

  /** Reads the bytes that have arrived, and appends them. Returns their number, 0 at the end. */
  async #read(end: number | null): Promise<number> {
    const buffered = this.#buffered;
    const buffer = this.#withRoom(end);
    this.#events.waits();
    // A part of a request counts as soon as it is enough to continue [BND-11].
    const missing = end === null ? 1 : end - buffered;
    const least = Math.min(missing, buffer.length - buffered, MIN_KAFKA_HALF_SENT_BYTES);
    this.#isReading = true;
    const { done, value } = await this.#source.readAtLeast(least, buffer.subarray(buffered));
    this.#isReading = false;
    if (done || value === undefined) return 0;
    this.#buffer = new Uint8Array(value.buffer);
    this.#buffered += value.length;
    return value.length;
  }

  /** Does the same with the piece that was read ahead. */
  async #takeAhead(end: number | null): Promise<number> {
    this.#events.waits();
    const { done, value } = (await this.#ahead) as Piece;
    this.#ahead = null;
    if (done || value === undefined) return 0;
    this.#withRoom(end, this.#buffered + value.length).set(value, this.#buffered);
    this.#buffered += value.length;
    return value.length;
  }

  /**
   * Returns the buffer, or a larger one with the same bytes, of at least that size. It takes the whole request,
   * unless that is larger than the earlier requests and than twice the bytes that have arrived. So announced
   * bytes take no memory [BND-1].
   */
  #withRoom(end: number | null, least: number = KAFKA_FIRST_READ_BYTES): Uint8Array<ArrayBuffer> {
    const trusted = Math.max(2 * this.#buffered, this.#usualBytes);
    const size = Math.max(KAFKA_FIRST_READ_BYTES, least, Math.min(end ?? 0, trusted));
    if (!this.#isHandedOut && this.#buffer.length >= size) return this.#buffer;
    const buffer = new Uint8Array(size);
    buffer.set(this.#buffer.subarray(0, this.#buffered));
    this.#buffer = buffer;
    this.#bufferBytes = size;
    this.#isHandedOut = false;
    return buffer;
  }
}
