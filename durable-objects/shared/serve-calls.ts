// Makes the methods of an object's class accept calls of every release (src/calls/calls.ts).
import { retryable } from "cloudflare:durable-objects";
import { type ObjectKind, requestIdIn, toRequest } from "../../src/calls/calls.ts";
import { BrokerError } from "../../src/core/errors.ts";
import { failureOf } from "../../src/core/platform-errors.ts";
import { logLine, stackOf } from "../../src/log.ts";
import type { Counting } from "./usage.ts";

/** [ERR-5] Logs an unexpected failure for the operator, with the request in which it happened. */
function logFailure(
  error: unknown,
  failed: object,
  object: ObjectKind,
  method: string,
  args: readonly unknown[],
): void {
  if (error instanceof BrokerError || failureOf(error) !== "unexpected") return;
  // The platform shows the state of an object only to its own class.
  const name = (failed as { readonly ctx?: DurableObjectState }).ctx?.id.name ?? object;
  const message = `${object} ${name}: ${method} failed: ${stackOf(error)}`;
  logLine("error", message, { requestId: requestIdIn(args), object, name, method });
}

type Serve = (request: object) => unknown;

/**
 * Makes each method in `calls` take one object of named fields, whichever release calls, and counts the calls.
 * [VER-10] The platform may repeat those that are true. A call waits for the promise of `before`, if there is
 * one, and is not made if that throws.
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
      const failed = (error: unknown): never => {
        logFailure(error, this, kind, method, args);
        throw error;
      };
      return this.usage.serve("request", () => {
        const request = toRequest(kind, method, args);
        const ready = before(this as never, method);
        const answer =
          ready === null ? serve.call(this, request) : ready.then(() => serve.call(this, request));
        return answer instanceof Promise ? answer.catch(failed) : answer;
      });
    };
    prototype[method] = served;
    if (isRepeatable) retryable(served);
  }
}
