// What is to be produced: the lines of a file or of standard input, or the elements of one JSON array.
import { createReadStream, type ReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { parseJson, UsageError } from "./context.ts";

export interface Input {
  /** What is to be a record each, as it comes. */
  readonly pieces: AsyncIterable<Iterable<string>>;
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
  const parsed = parseJson(text, "the input");
  if (!Array.isArray(parsed)) throw new UsageError("--array: the input is JSON, but not an array");
  return {
    pieces: once(parsed.values().map((element) => JSON.stringify(element))),
    part: (records) => records / parsed.length,
  };
}

async function* once<T>(value: T): AsyncGenerator<T> {
  yield value;
}

/** Not by readline: it ends lines at U+2028 too, which a JSON text may hold. */
async function* lines(input: NodeJS.ReadableStream): AsyncGenerator<string[]> {
  input.setEncoding("utf8");
  let rest = "";
  for await (const chunk of input) {
    const all = `${rest}${chunk}`.split("\n");
    rest = all.pop() ?? "";
    yield filled(all);
  }
  yield filled([rest]);
}

function filled(all: readonly string[]): string[] {
  return all.map((line) => (line.endsWith("\r") ? line.slice(0, -1) : line)).filter(Boolean);
}

async function readAll(stream: AsyncIterable<Buffer | string>): Promise<string> {
  let text = "";
  for await (const chunk of stream) text += chunk;
  return text;
}
