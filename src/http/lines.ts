// application/x-ndjson, streamed: requests and answers of any length in bounded memory.
import { BrokerError } from "../core/errors.ts";
import { MAX_LINE_BYTES } from "../core/limits.ts";

export const NDJSON = "application/x-ndjson";

/** Whether the client asks for an answer in lines. */
export function acceptsLines(request: Request): boolean {
  return request.headers.get("accept")?.toLowerCase().includes(NDJSON) ?? false;
}

/** The media type of the body, without its parameters. */
export function contentType(request: Request): string {
  return request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase() ?? "";
}

export interface Line {
  /** From 1 on; empty lines count. */
  readonly number: number;
  readonly text: string;
}

/** The lines that are not empty. INVALID_REQUEST for one above MAX_LINE_BYTES, or that is not UTF-8. */
export async function* linesOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<Line> {
  const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });
  let number = 1;
  let rest = "";
  const check = (text: string): Line => {
    if (text.length <= MAX_LINE_BYTES) return { number: number++, text };
    throw new BrokerError(
      "MESSAGE_TOO_LARGE",
      `line ${number} has more than ${MAX_LINE_BYTES} characters, the bound`,
    );
  };
  const decode = (chunk?: Uint8Array): string => {
    try {
      return chunk === undefined ? utf8.decode() : utf8.decode(chunk, { stream: true });
    } catch {
      throw new BrokerError(
        "INVALID_REQUEST",
        `line ${number} or one of the next is not valid UTF-8`,
      );
    }
  };
  for await (const chunk of body) {
    const lines = (rest + decode(chunk)).split("\n");
    rest = lines.pop() ?? "";
    for (const text of lines) {
      const line = check(text);
      if (text.trim() !== "") yield line;
    }
    if (rest.length > MAX_LINE_BYTES) check(rest);
  }
  rest += decode();
  if (rest.trim() !== "") yield check(rest);
}

/** An answer made as the client reads it. What `lines` throws must be a line already. */
export function lineResponse(lines: AsyncGenerator<string>): Response {
  const utf8 = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await lines.next();
      if (done) controller.close();
      else controller.enqueue(utf8.encode(value));
    },
    async cancel() {
      await lines.return(undefined);
    },
  });
  return new Response(body, { headers: { "content-type": NDJSON } });
}
