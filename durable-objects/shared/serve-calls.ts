// Makes the methods of an object's class take calls of every release (src/calls/calls.ts).
import { retryable } from "cloudflare:durable-objects";
import { type ObjectKind, toRequest } from "../../src/calls/calls.ts";
import type { Counting } from "./usage.ts";

type Serve = (request: object) => unknown;

/**
 * Each method in `calls` is called with one object of named fields from here on, whichever release calls, and counted. [VER-10] Those
 * that are true may be repeated by the platform. A call waits for what `before` returns, if anything, and is not made if that throws.
 */
export function serveCalls(
  objectClass: { readonly prototype: Counting },
  kind: ObjectKind,
  calls: Readonly<Record<string, boolean>>,
  before: (object: never, method: string) => Promise<void> | null = () => null,
): void {
  const prototype = objectClass.prototype as unknown as Record<string, Serve>;
  for (const [method, isRepeatable] of Object.entries(calls)) {
    const serve = prototype[method] as Serve;
    const served = function (this: Counting, ...args: unknown[]) {
      return this.usage.serve("request", () => {
        const request = toRequest(kind, method, args);
        const ready = before(this as never, method);
        if (ready === null) return serve.call(this, request);
        return ready.then(() => serve.call(this, request));
      });
    };
    prototype[method] = served;
    if (isRepeatable) retryable(served);
  }
}
