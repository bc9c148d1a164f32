// application/x-ndjson, streamed. Requests and answers of any length take bounded memory.
import { concatBytes } from "../../core/bytes.ts";
import { BrokerError } from "../../core/errors.ts";
import { MAX_LINE_BYTES } from "../../core/limits.ts";
import { turn } from "../edge/timer.ts";
import { accepts } from "./accept.ts";
import { PacedBody } from "./answer.ts";

export const NDJSON = "application/x-ndjson";

/** True if the client wants an answer in lines. */
export function acceptsLines(request: Request): boolean {
  return accepts(request, NDJSON);
}

/** Returns the media type of the body, without its parameters. */
export function contentType(request: Request): string {
  return request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase() ?? "";
}

export interface Line {
  /** The number of the line, from 1. Blank lines count. */
  readonly number: number;
  readonly text: string;
  /** The size of the line as received, in UTF-8. */
  readonly sizeInBytes: number;
}

export function numbersOf(lines: readonly Line[]): number[] {
  return lines.map(({ number }) => number);
}

const NEWLINE = 10;
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Yields the lines that are not blank. `hold` is called with the bytes in memory. A line above MAX_LINE_BYTES
 * or not in UTF-8 is INVALID_REQUEST, after the lines before it. A body of blank lines takes little memory,
 * however long it is, and yields to others [BND-19].
 */
export async function* linesOf(
  body: AsyncIterable<Uint8Array>,
  hold: (bytes: number) => void = () => {},
): AsyncGenerator<Line> {
  let before = 0;
  const rest = new Rest();
  for await (const chunk of body) {
    const end = chunk.lastIndexOf(NEWLINE) + 1;
    if (end > 0) {
      const lines = new Lines(concatBytes([rest.take(), chunk.subarray(0, end - 1)]), before);
      let isBlank = true;
      for (const line of lines) {
        isBlank = false;
        yield line;
      }
      before = lines.number;
      if (isBlank) await turn();
    }
    rest.add(chunk.subarray(end));
    hold(rest.capacity);
    if (rest.size > MAX_LINE_BYTES) throw tooLong(before + 1);
  }
  yield* new Lines(rest.take(), before);
}

/** The incomplete line at the end of a piece. It is one buffer, because a line may arrive byte by byte. */
class Rest {
  #buffer = new Uint8Array();
  size = 0;

  get capacity(): number {
    return this.#buffer.length;
  }

  add(bytes: Uint8Array): void {
    const size = this.size + bytes.length;
    if (size > this.#buffer.length) {
      const larger = new Uint8Array(Math.max(size, 2 * this.#buffer.length));
      larger.set(this.#buffer.subarray(0, this.size));
      this.#buffer = larger;
    }
    this.#buffer.set(bytes, this.size);
    this.size = size;
  }

  take(): Uint8Array {
    const bytes = this.#buffer.subarray(0, this.size);
    this.#buffer = new Uint8Array();
    this.size = 0;
    return bytes;
  }
}

/** The lines of a piece of the body. They are decoded at once, unless something in them is invalid. */
class Lines implements Iterable<Line> {
  readonly #bytes: Uint8Array;
  /** The number of the line that was read last. */
  number: number;

  /** `before` is the number of lines before this piece. */
  constructor(bytes: Uint8Array, before: number) {
    this.#bytes = bytes;
    this.number = before;
  }

  *[Symbol.iterator](): Generator<Line> {
    let text: string | null = null;
    try {
      text = UTF8.decode(this.#bytes);
    } catch {} // One line is invalid. The code below finds it.
    if (text === null) yield* this.#oneByOne();
    else yield* this.#linesOf(text);
  }

  *#linesOf(text: string): Generator<Line> {
    const { length } = text;
    const isAscii = length === this.#bytes.length;
    for (let start = 0; start <= length; ) {
      this.number++;
      // Blank lines make no strings: a small body may decompress to millions of them.
      const at = endOfBlanks(text, start);
      const last = text.lastIndexOf("\n", at - 1);
      if (last >= start) {
        this.number += newlinesIn(text, start, at);
        start = last + 1;
      }
      const newline = text.indexOf("\n", at);
      const end = newline === -1 ? length : newline;
      if (end - start > MAX_LINE_BYTES) throw tooLong(this.number);
      if (end > at) {
        const line = text.slice(start, end);
        const sizeInBytes = isAscii ? line.length : utf8Bytes(line);
        if (sizeInBytes > MAX_LINE_BYTES) throw tooLong(this.number);
        yield* this.#line(line, sizeInBytes);
      }
      start = end + 1;
    }
  }

  *#oneByOne(): Generator<Line> {
    for (const line of split(this.#bytes)) {
      this.number++;
      if (line.length > MAX_LINE_BYTES) throw tooLong(this.number);
      yield* this.#line(decoded(line, this.number), line.length);
    }
  }

  *#line(line: string, sizeInBytes: number): Generator<Line> {
    const { number } = this;
    const text = number === 1 ? line.replace(/^\ufeff/, "") : line;
    if (text.trim() !== "") yield { number, text, sizeInBytes };
  }
}

/** Returns the size of a well-formed text in UTF-8, without encoding it. */
function utf8Bytes(text: string): number {
  let bytes = text.length;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code >= 0x80) bytes++;
    // Each half of a surrogate pair counts for two of its four bytes.
    if (code >= 0x800 && (code < 0xd800 || code > 0xdfff)) bytes++;
  }
  return bytes;
}

function isBlank(code: number): boolean {
  return code === NEWLINE || code === 0x20 || code === 0x0d || code === 0x09;
}

function endOfBlanks(text: string, start: number): number {
  let at = start;
  while (isBlank(text.charCodeAt(at))) at++;
  return at;
}

function newlinesIn(text: string, start: number, end: number): number {
  let count = 0;
  for (let at = start; at < end; at++) if (text.charCodeAt(at) === NEWLINE) count++;
  return count;
}

function* split(bytes: Uint8Array): Generator<Uint8Array> {
  let start = 0;
  for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
    yield bytes.subarray(start, end);
    start = end + 1;
  }
  yield bytes.subarray(start);
}

function decoded(bytes: Uint8Array, number: number): string {
  try {
    return UTF8.decode(bytes);
  } catch {
    throw new BrokerError("INVALID_REQUEST", `line ${number} is not valid UTF-8`);
  }
}

function tooLong(number: number): BrokerError {
  const detail = `line ${number} has more than ${MAX_LINE_BYTES} bytes, the bound`;
  return new BrokerError("MESSAGE_TOO_LARGE", detail);
}

/**
 * Makes an answer as the client reads, and counts the bytes that it holds. `lines` must report its errors as
 * lines.
 */
export function lineResponse(
  lines: (hold: (bytes: number) => void) => AsyncGenerator<string>,
): Response {
  const source = lines((bytes) => body.hold(bytes));
  const body = new PacedBody({
    next: async () => {
      const { done, value } = await source.next();
      return done ? null : value;
    },
    end: () => void source.return(undefined),
  });
  return new Response(body.stream, { headers: { "content-type": NDJSON } });
}
