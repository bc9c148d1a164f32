// The lines of a body that is still coming in. Some of them may be read ahead, to see whether there are more.
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
  readonly #source: AsyncIterator<Line>;
  #ahead: Line[] = [];
  #aheadBytes = 0;
  #restBytes = 0;
  #heldBytes = 0;

  constructor(body: IncomingBody) {
    this.body = body;
    const lines = linesOf(body.pieces(), (bytes) => {
      this.#restBytes = bytes;
      this.#hold();
    });
    this.#source = lines[Symbol.asyncIterator]();
  }

  /**
   * Reads ahead until the body ends, or there are more than `maxLines` lines, or `maxBytes` bytes in them. What is read
   * ahead is iterated all the same. @throws BrokerError as linesOf
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

  /** States how many lines, with so many bytes, the reader still has. */
  hold(lines: number, bytes: number): void {
    this.#heldBytes = memoryOf(lines, bytes);
  }

  #hold(): void {
    this.body.hold(this.#restBytes + this.#aheadBytes + this.#heldBytes);
  }
}

/** Returns the memory that lines take. */
function memoryOf(lines: number, bytes: number): number {
  return bytes + LINE_BYTES * lines;
}
