// The input of produce: the lines of a file or of standard input, or the elements of one JSON array.
import { createReadStream, type ReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { JsonCursor } from "../protocol/json-text.ts";
import { BrokerError } from "../sdk/index.ts";
import { parseJson, UsageError, withoutMark } from "./context.ts";
import { problemOfLines } from "./input-check.ts";

export interface Piece {
  readonly bytes: Buffer;
  /** The place in the input, from 1: the line, or the place in the array. */
  readonly line: number;
}

export interface Input {
  /** The pieces that become a record each, as they come. Empty lines are skipped. */
  readonly pieces: AsyncIterable<Iterable<Piece>>;
  /** Returns the fraction of the input that is done once so many records are. Null if its length is not known. */
  part(records: number): number | null;
}

export interface InputOptions {
  /** True if the input is one JSON array. */
  readonly isArray: boolean;
  /** True takes every byte of a line, and lines that look like something else, such as a compressed file. */
  readonly isRaw: boolean;
  /** The bytes of the longest line. A longer one is not collected to its end. */
  readonly maxBytes: number;
}

/** Opens the path, or standard input if there is none. @throws UsageError, at the latest before the first piece */
export async function openInput(
  path: string | undefined,
  { isArray, isRaw, maxBytes }: InputOptions,
): Promise<Input> {
  const check = (start: Buffer) => {
    const why = isRaw ? null : problemOfLines(start, { file: shellWord(path ?? "FILE"), isArray });
    if (why !== null) throw new UsageError(why);
  };
  if (isArray) return arrayInput(path, check);
  const size = await sizeOf(path);
  const input = path === undefined ? process.stdin : createReadStream(path);
  return {
    pieces: lines(input, check, isRaw, maxBytes),
    part: () => (size === null ? null : (input as ReadStream).bytesRead / size),
  };
}

function shellWord(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}

/** Returns the size of a file. Null if it is not a file but a pipe or a terminal. */
async function sizeOf(path = "/dev/stdin"): Promise<number | null> {
  // If a file cannot be read, the code that reads it reports why.
  const about = await stat(path).catch(() => null);
  return about?.isFile() && about.size > 0 ? about.size : null;
}

async function arrayInput(
  path: string | undefined,
  check: (start: Buffer) => void,
): Promise<Input> {
  const bytes = path === undefined ? await readAll(process.stdin) : await readFile(path);
  check(bytes.subarray(0, CHECKED_BYTES));
  const text = withoutMark(bytes.toString());
  if (!Array.isArray(parseJson(text, "the input")))
    throw new UsageError("--array: the input is JSON, but not an array");
  const elements: Piece[] = [];
  const cursor = new JsonCursor(text);
  cursor.items(() =>
    elements.push({ bytes: Buffer.from(cursor.skip()), line: elements.length + 1 }),
  );
  return { pieces: once(elements), part: (records) => records / elements.length };
}

async function* once<T>(value: T): AsyncGenerator<T> {
  yield value;
}

/** The bytes at the start that are checked. A file is read in chunks of this size. */
const CHECKED_BYTES = 65_536;
const NEWLINE = 10;
const RETURN = 13;
/** The byte-order mark in UTF-8. It is not part of the first line. */
const MARK = Buffer.from("\ufeff");

/**
 * Splits lines. It does not use readline, which also ends lines at U+2028, a character that a JSON text
 * may hold. Bytes stay as they are, whatever they mean.
 */
async function* lines(
  input: AsyncIterable<Buffer>,
  check: (start: Buffer) => void,
  isRaw: boolean,
  maxBytes: number,
): AsyncGenerator<Piece[]> {
  const filled = (pieces: readonly Piece[]) =>
    (isRaw ? pieces : pieces.map(withoutEnding)).filter(({ bytes }) => bytes.length > 0);
  let rest: Buffer[] = [];
  let restBytes = 0;
  let line = 0;
  let isFirst = true;
  for await (const chunk of input) {
    if (isFirst) check(chunk.subarray(0, CHECKED_BYTES));
    isFirst = false;
    const pieces: Piece[] = [];
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      const bytes = chunk.subarray(start, end);
      pieces.push({
        bytes: rest.length === 0 ? bytes : Buffer.concat([...rest, bytes]),
        line: ++line,
      });
      rest = [];
      restBytes = 0;
      start = end + 1;
    }
    yield filled(pieces);
    if (start === chunk.length) continue;
    rest.push(chunk.subarray(start));
    restBytes += chunk.length - start;
    if (restBytes > maxBytes)
      throw new BrokerError(
        "MESSAGE_TOO_LARGE",
        `line ${line + 1} has more than ${maxBytes} bytes, the bound`,
      );
  }
  yield filled([{ bytes: Buffer.concat(rest), line: ++line }]);
}

/** Removes the byte-order mark, and the carriage return of a line that ends with both. */
function withoutEnding({ bytes, line }: Piece): Piece {
  const start = line === 1 && bytes.subarray(0, MARK.length).equals(MARK) ? MARK.length : 0;
  const end = bytes.at(-1) === RETURN ? bytes.length - 1 : bytes.length;
  return { bytes: bytes.subarray(start, end), line };
}

async function readAll(stream: AsyncIterable<Buffer | string>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk as Buffer));
  return Buffer.concat(chunks);
}
