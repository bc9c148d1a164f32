// Keeps other programs' output out of the tests' output. It goes to a file, to look at if a test fails.
import { appendFileSync, mkdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

const KEPT = fileURLToPath(new URL("../node_modules/.cache/beside-the-tests.log", import.meta.url));

const BESIDE = [
  // workerd reports every exception that answers a call between objects. The caller gets it, too, and the tests check it.
  /^(uncaught exception; |exception = |stack: )/,
  // It counts the results of calls, which nobody disposes of by hand.
  /^An RPC (result|stub) was not disposed properly/,
  // It logs each alarm that rings late, or whose time is changed while it rings. Tests change the time of alarms.
  /^NOSENTRY SQLite alarm /,
  // It takes NDJSON for binary data.
  /^console warning; message = Called \.text\(\)/,
  // It reports invalid keys, which tests send on purpose.
  /^A header value for "idempotency-key" contains non-ASCII/,
  // librdkafka reports brokers that the tests kill, whatever its log level is.
  /^\{"timestamp":.*"librdkafka/,
];

function isBeside(text: string): boolean {
  return BESIDE.some((pattern) => pattern.test(text));
}

/** The main process of a run writes the output of its workers and their runtimes. */
export function quietOutput(): void {
  mkdirSync(dirname(KEPT), { recursive: true });
  rmSync(KEPT, { force: true });
  for (const stream of [process.stdout, process.stderr]) {
    const write = stream.write.bind(stream) as (...parameters: unknown[]) => boolean;
    stream.write = ((chunk: string | Uint8Array, ...rest: unknown[]) => {
      const text = typeof chunk === "string" ? chunk : new TextDecoder().decode(chunk);
      if (!isBeside(text)) return write(chunk, ...rest);
      appendFileSync(KEPT, text);
      const done = rest.at(-1);
      if (typeof done === "function") done();
      return true;
    }) as typeof stream.write;
  }
}
