// The requests that a client sends over TCP. Each large one is read into a buffer of its own, so its bytes are copied once at
// most, and a read takes all that has come. A stream that hands out its own pieces makes them 4 KiB, and a read of them costs
// more than all else that is done for them.
import {
  KAFKA_FIRST_READ_BYTES,
  MAX_KAFKA_USUAL_BYTES,
  MIN_KAFKA_HALF_SENT_BYTES,
} from "../../core/limits.ts";
import { endOfRequest, LENGTH_BYTES } from "./frames.ts";

/** The platform's reader, as far as it is used. The buffer of `view` is gone, and its bytes are in that of `value`. */
export interface ByteSource {
  readAtLeast(minBytes: number, view: Uint8Array<ArrayBuffer>): Promise<Piece>;
}

interface Piece {
  readonly done: boolean;
  readonly value?: Uint8Array<ArrayBuffer> | undefined;
}

export interface IncomingEvents {
  /** So many bytes came. @throws BrokerError if the connection cannot go on */
  readonly came: (bytes: number) => void;
  /** There is no whole request, and the next bytes are waited for. @throws BrokerError as well */
  readonly waits: () => void;
}

const NOTHING = new Uint8Array(0);

export class Incoming {
  readonly #source: ByteSource;
  readonly #maxBytes: () => number;
  readonly #events: IncomingEvents;
  /** The buffer to read into. Its first bytes have come. */
  #buffer: Uint8Array<ArrayBuffer> = NOTHING;
  #buffered = 0;
  /** The size of the buffer. While it is read into, it is not here. */
  #bufferBytes = 0;
  /** True if a request that was handed out lies in the same buffer. Reading into it would take it away. */
  #isHandedOut = false;
  /** The size of the requests that came before, forgotten by halves. So much is trusted to come again. */
  #usualBytes = 0;
  #isReading = false;
  #ahead: Promise<Piece> | null = null;

  /** `maxBytes` is asked for each request, because a client that has logged in may send longer ones. */
  constructor(source: ByteSource, maxBytes: () => number, events: IncomingEvents) {
    this.#source = source;
    this.#maxBytes = maxBytes;
    this.#events = events;
  }

  /** The bytes that came of a request that is not complete yet. */
  get buffered(): number {
    return this.#buffered;
  }

  /** The memory that the request takes that is not complete yet. */
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
    // Not into the buffer, because there may be whole requests in it.
    this.#ahead = this.#source.readAtLeast(1, new Uint8Array(KAFKA_FIRST_READ_BYTES));
    this.#ahead.then(({ done }) => done && gone(), gone);
  }

  /** Returns where the request ends that has begun to come. Null if its length has not come. */
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

  /** Reads what has come, behind what is there. Returns the number of bytes, 0 at the end. */
  async #read(end: number | null): Promise<number> {
    const buffered = this.#buffered;
    const buffer = this.#withRoom(end);
    this.#events.waits();
    // A part of a request counts as soon as it is enough to go on [BND-11].
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
   * Returns the buffer, or a larger one with the same bytes, of at least that size. It takes the whole request, unless that
   * is larger than twice what came of it and than those before it: what is only announced takes no memory [BND-1].
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
