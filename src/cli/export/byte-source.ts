// Reads a file from its start, a bounded number of bytes at a time.
import type { FileHandle } from "node:fs/promises";

const READ_BYTES = 1_048_576;

export class ByteSource {
  readonly #file: FileHandle;
  #position = 0;
  #held: Buffer = Buffer.alloc(0);
  #isAtEnd = false;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  /** The number of bytes that were returned. */
  get position(): number {
    return this.#position - this.#held.length;
  }

  /** Returns the next bytes, or fewer at the end of the file. */
  async take(length: number): Promise<Buffer> {
    const pieces = [this.#held];
    let size = this.#held.length;
    while (size < length && !this.#isAtEnd) {
      const piece = await this.#read();
      pieces.push(piece);
      size += piece.length;
    }
    const all = pieces.length === 1 ? this.#held : Buffer.concat(pieces);
    this.#held = all.subarray(length);
    return all.subarray(0, length);
  }

  /**
   * Returns the next bytes up to and including `byte`. Returns the rest of the file if that byte does not come, or more
   * than `max` bytes if it does not come within them.
   */
  async takeThrough(byte: number, max: number): Promise<Buffer> {
    let found = this.#held.indexOf(byte);
    if (found !== -1) return this.take(found + 1);
    const pieces = [this.#held];
    let size = this.#held.length;
    while (!this.#isAtEnd && size <= max) {
      const piece = await this.#read();
      pieces.push(piece);
      found = piece.indexOf(byte);
      size += found === -1 ? piece.length : found + 1;
      if (found !== -1) break;
    }
    this.#held = Buffer.concat(pieces);
    return this.take(size);
  }

  async #read(): Promise<Buffer> {
    const buffer = Buffer.alloc(READ_BYTES);
    const { bytesRead } = await this.#file.read(buffer, 0, READ_BYTES, this.#position);
    this.#position += bytesRead;
    if (bytesRead === 0) this.#isAtEnd = true;
    return buffer.subarray(0, bytesRead);
  }
}
