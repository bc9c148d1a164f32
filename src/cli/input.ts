// What is to be produced: the lines of a file or of standard input, or the elements of one JSON array.
import { createReadStream, type ReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { parseRecords, UsageError } from "./context.ts";

export interface Piece {
  readonly bytes: Buffer;
  /** Where it stands in the input, from 1: its line, or its place in the array. */
  readonly line: number;
}

export interface Input {
  /** What is to be a record each, as it comes; empty lines are none. */
  readonly pieces: AsyncIterable<Iterable<Piece>>;
  /** How much of it is done, 0 to 1, once so many records are; null where its length is not known. */
  part(records: number): number | null;
}

/** Standard input where there is no path. */
export async function openInput(path: string | undefined, isArray: boolean): Promise<Input> {
  if (isArray) return arrayInput(path);
  const size = await sizeOf(path);
  const input = path === undefined ? process.stdin : createReadStream(path);
  return {
    pieces: lines(input),
    part: () => (size === null ? null : (input as ReadStream).bytesRead / size),
  };
}

/** Null for what is no file: a pipe, a terminal. */
async function sizeOf(path = "/dev/stdin"): Promise<number | null> {
  // Why a file cannot be read is told where it is read.
  const about = await stat(path).catch(() => null);
  return about?.isFile() && about.size > 0 ? about.size : null;
}

async function arrayInput(path: string | undefined): Promise<Input> {
  const text = path === undefined ? await readAll(process.stdin) : await readFile(path, "utf8");
  const parsed = parseRecords(text, "the input");
  if (!Array.isArray(parsed)) throw new UsageError("--array: the input is JSON, but not an array");
  return {
    pieces: once(
      parsed.map((element, i) => ({ bytes: Buffer.from(JSON.stringify(element)), line: i + 1 })),
    ),
    part: (records) => records / parsed.length,
  };
}

async function* once<T>(value: T): AsyncGenerator<T> {
  yield value;
}

const NEWLINE = 10;
const RETURN = 13;

/** Not by readline: it ends lines at U+2028 too, which a JSON text may hold. Bytes stay as they are, whatever they mean. */
async function* lines(input: AsyncIterable<Buffer>): AsyncGenerator<Piece[]> {
  let rest: Buffer[] = [];
  let line = 0;
  for await (const chunk of input) {
    const pieces: Piece[] = [];
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      const bytes = chunk.subarray(start, end);
      pieces.push({
        bytes: rest.length === 0 ? bytes : Buffer.concat([...rest, bytes]),
        line: ++line,
      });
      rest = [];
      start = end + 1;
    }
    if (start < chunk.length) rest.push(chunk.subarray(start));
    yield filled(pieces);
  }
  yield filled([{ bytes: Buffer.concat(rest), line: ++line }]);
}

function filled(all: readonly Piece[]): Piece[] {
  return all
    .map(({ bytes, line }) => ({
      bytes: bytes.at(-1) === RETURN ? bytes.subarray(0, -1) : bytes,
      line,
    }))
    .filter(({ bytes }) => bytes.length > 0);
}

async function readAll(stream: AsyncIterable<Buffer | string>): Promise<string> {
  let text = "";
  for await (const chunk of stream) text += chunk;
  return text;
}
