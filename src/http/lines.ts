// application/x-ndjson, streamed. Requests and answers of any length take bounded memory.
import { concatBytes } from "../core/bytes.ts";
import { BrokerError } from "../core/errors.ts";
import { MAX_LINE_BYTES } from "../core/limits.ts";
import { PacedBody } from "./answer.ts";

export const NDJSON = "application/x-ndjson";

/** True if the client wants an answer in lines. */
export function acceptsLines(request: Request): boolean {
  return request.headers.get("accept")?.toLowerCase().includes(NDJSON) ?? false;
}

/** Returns the media type of the body, without its parameters. */
export function contentType(request: Request): string {
  return request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase() ?? "";
}

export interface Line {
  /** The number of the line, from 1 on. Empty lines count. */
  readonly number: number;
  readonly text: string;
}

const NEWLINE = 10;
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Yields the lines that are not empty. `hold` is called with the bytes in memory. INVALID_REQUEST for a line above
 * MAX_LINE_BYTES or not in UTF-8: the lines before it come first.
 */
export async function* linesOf(
  body: AsyncIterable<Uint8Array>,
  hold: (bytes: number) => void = () => {},
): AsyncGenerator<Line> {
  let number = 0;
  const rest = new Rest();
  for await (const chunk of body) {
    const end = chunk.lastIndexOf(NEWLINE) + 1;
    if (end > 0) {
      const whole = concatBytes([rest.take(), chunk.subarray(0, end - 1)]);
      for (const text of textsOf(whole, number)) {
        number++;
        if (text.trim() !== "") yield { number, text };
      }
    }
    rest.add(chunk.subarray(end));
    hold(rest.capacity);
    if (rest.size > MAX_LINE_BYTES) throw tooLong(number + 1);
  }
  for (const text of textsOf(rest.take(), number))
    if (text.trim() !== "") yield { number: number + 1, text };
}

/** The beginning of a line. It is one buffer, because a line may come a byte at a time. */
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

/**
 * Yields the texts between the newlines. `before` lines came before. They are
 * decoded at once, unless something in them is wrong.
 */
function* textsOf(bytes: Uint8Array, before: number): Generator<string> {
  let texts: string[] | null = null;
  try {
    texts = UTF8.decode(bytes).split("\n");
  } catch {} // One line is wrong. The code below finds it.
  let number = before;
  for (const line of texts ?? split(bytes)) {
    number++;
    if (line.length > MAX_LINE_BYTES) throw tooLong(number);
    const text = typeof line === "string" ? line : decoded(line, number);
    yield number === 1 ? text.replace(/^\ufeff/, "") : text;
  }
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
 * Makes an answer as the client reads, which states the bytes that it
 * holds. Errors thrown by `lines` must already be lines.
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
