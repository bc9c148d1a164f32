// Request bodies, bounded.
import { concatBytes } from "../core/bytes.ts";
import { BrokerError } from "../core/errors.ts";
import { MAX_DISCARDED_BYTES, MAX_REQUEST_BYTES } from "../core/limits.ts";

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

/**
 * The body. Above MAX_REQUEST_BYTES it is MESSAGE_TOO_LARGE; what is left of the body is read and
 * thrown away first (up to MAX_DISCARDED_BYTES), so that a client that is still sending gets to see the answer.
 */
export async function readBytes(request: Request): Promise<Uint8Array> {
  const announced = Number(request.headers.get("content-length") ?? 0);
  // In one piece where it says how long it is: reading pieces costs more than all the rest of an append.
  const isPlain = announced > 0 && !request.headers.has("content-encoding");
  if (isPlain && announced <= MAX_REQUEST_BYTES) return new Uint8Array(await request.arrayBuffer());
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of bodyOf(request)) {
    size += chunk.length;
    if (announced <= MAX_REQUEST_BYTES && size <= MAX_REQUEST_BYTES) chunks.push(chunk);
    else chunks.length = 0;
    if (size > MAX_DISCARDED_BYTES) break;
  }
  if (Math.max(announced, size) > MAX_REQUEST_BYTES) {
    throw new BrokerError(
      "MESSAGE_TOO_LARGE",
      `the body has ${Math.max(announced, size)} bytes, the bound is ${MAX_REQUEST_BYTES}`,
    );
  }
  return concatBytes(chunks);
}

/** The body, unpacked where it came in gzip or deflate. What does not unpack is INVALID_REQUEST. */
export async function* bodyOf(request: Request): AsyncGenerator<Uint8Array> {
  const encoding = (request.headers.get("content-encoding") ?? "identity").toLowerCase();
  if (encoding !== "identity" && encoding !== "gzip" && encoding !== "deflate") {
    await discardBody(request);
    throw new BrokerError(
      "INVALID_REQUEST",
      `content-encoding is ${encoding}, it must be gzip, deflate or identity`,
    );
  }
  if (request.body === null) return;
  if (encoding === "identity") {
    yield* request.body as ReadableStream<Uint8Array>;
    return;
  }
  try {
    yield* request.body.pipeThrough(
      new DecompressionStream(encoding),
    ) as ReadableStream<Uint8Array>;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new BrokerError("INVALID_REQUEST", `the body is not ${encoding}: ${reason}`);
  }
}

/** Reads and throws away, up to MAX_DISCARDED_BYTES, so that a client that is sending gets to see the answer. */
export async function discardBody(request: Request): Promise<void> {
  let size = 0;
  if (request.body === null) return;
  for await (const chunk of request.body as ReadableStream<Uint8Array>) {
    size += chunk.length;
    if (size > MAX_DISCARDED_BYTES) break;
  }
}

/** The body as text, which must be UTF-8. */
export async function readText(request: Request): Promise<string> {
  const bytes = await readBytes(request);
  try {
    return UTF8.decode(bytes);
  } catch {
    throw new BrokerError("INVALID_REQUEST", "the body is not valid UTF-8");
  }
}
