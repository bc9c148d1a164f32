// The lines of a body that is still arriving. Some may be read ahead, to find out if there are more.
import { BrokerError, type FailureData } from "../../core/errors.ts";
import type { Invocation } from "../edge/invocation.ts";
import type { IncomingBody } from "./body.ts";
import { type Line, linesOf } from "./lines.ts";

/** The memory that a line takes besides its text. */
const LINE_BYTES = 64;

export interface Ahead {
  readonly lines: readonly Line[];
  /** True if the body has no more lines. */
  readonly isAll: boolean;
}

export class BodyLines implements AsyncIterable<Line> {
  readonly body: IncomingBody;
  readonly invocation: Invocation;
  readonly #source: AsyncIterator<Line>;
  #ahead: Line[] = [];
  #aheadBytes = 0;
  #restBytes = 0;
  #heldBytes = 0;

  /** `invocation` is the one that reads the body. The lines end when it has to end. */
  constructor(body: IncomingBody, invocation: Invocation) {
    this.body = body;
    this.invocation = invocation;
    const lines = linesOf(piecesWithin(invocation, body), (bytes) => {
      this.#restBytes = bytes;
      this.#hold();
    });
    this.#source = lines[Symbol.asyncIterator]();
  }

  /**
   * Reads ahead until the body ends, or there are more than `maxLines` lines, or more than `maxBytes` bytes in
   * them. Lines that were read ahead are still iterated. @throws BrokerError as linesOf
   */
  async readAhead(maxLines: number, maxBytes: number): Promise<Ahead> {
    let bytes = 0;
    for (;;) {
      const { done, value: line } = await this.#source.next();
      if (done === true) return { lines: this.#ahead, isAll: true };
      this.#ahead.push(line);
      bytes += line.sizeInBytes;
      this.#aheadBytes = memoryOf(this.#ahead.length, bytes);
      if (this.#ahead.length > maxLines || bytes > maxBytes)
        return { lines: this.#ahead, isAll: false };
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Line> {
    for (const line of this.#ahead) yield line;
    this.#ahead = [];
    this.#aheadBytes = 0;
    for (let next = await this.#source.next(); !next.done; next = await this.#source.next())
      yield next.value;
  }

  /** Sets the number of lines that the reader still has, and their bytes. */
  hold(lines: number, bytes: number): void {
    this.#heldBytes = memoryOf(lines, bytes);
  }

  #hold(): void {
    this.body.hold(this.#restBytes + this.#aheadBytes + this.#heldBytes);
  }
}

/** [SES-14] Yields the body as long as its invocation may continue. Complete lines come first. */
async function* piecesWithin(
  invocation: Invocation,
  body: IncomingBody,
): AsyncGenerator<Uint8Array> {
  for await (const piece of body.pieces()) {
    invocation.did("message");
    invocation.did("byte", piece.length);
    yield piece;
    if (invocation.isSpent) throw spentError("send the lines after `lines` in another request");
  }
}

/** Returns the error of a request that has used up its CPU, with the way to continue. */
export function spentError(howToGoOn: string, data: FailureData = {}): BrokerError {
  const detail = `this request has used up its CPU; ${howToGoOn}`;
  return new BrokerError("THROTTLING_QUOTA_EXCEEDED", detail, { data });
}

/** Returns the memory that lines take. */
function memoryOf(lines: number, bytes: number): number {
  return bytes + LINE_BYTES * lines;
}
