// Adds the Worker's actions to the audit log: see audit-log.ts.
import { auditLog, LOG_IN, type Noted } from "../../audit-log.ts";
import { NOBODY } from "../../core/access/caller.ts";
import { CLUSTER, type Resource } from "../../core/access/grants.ts";
import type { Operation } from "../../core/access/operations.ts";
import { callerIn } from "../../core/access/refusal.ts";
import { MAX_REQUEST_ID_CHARS } from "../../core/limits.ts";
import type { Env } from "../../env.ts";
import { REQUEST_ID_HEADER } from "../../log.ts";

/** workerd names the peer with its port. */
const PORT = /:\d+$/;
const NOT_KNOWN = { way: "http" } as const;

/** [AUD-1] Notes that the caller was refused something that it named. */
export function noteRefusal(env: Env, operation: Operation, resource: Resource): void {
  note(env, { decision: "refused", action: operation, resource });
}

/** [AUD-4] Reports a wrong credential to the operator. */
export function noteWrongCredential(env: Env, why: string): void {
  const refused = { decision: "refused", action: LOG_IN, resource: CLUSTER, detail: why } as const;
  note({ ...env, caller: NOBODY }, refused);
}

/** [AUD-1] Notes a change that the caller has made. Its name is a verb and an object, such as createTopic. */
export function noteChange(
  env: Env,
  action: string,
  resource: Resource | { readonly type: "key"; readonly name: string },
  detail?: string,
): void {
  note(env, { decision: "allowed", action, resource, detail });
}

function note(env: Env, noted: Noted): void {
  const { from } = env;
  auditLog.note(env, callerIn(env), from ?? NOT_KNOWN, noted, (promise) =>
    from?.waitUntil?.(promise),
  );
}

/** A client may name its requests, so that it can find them in the operator's log. */
const REQUEST_ID = /^[\w.:-]+$/;

/** [ERR-5] Returns the name of a request: the platform's, or else the client's, or a new one. */
function requestIdOf(headers: Headers, isOnCloudflare: boolean): string {
  const ray = isOnCloudflare ? headers.get("cf-ray") : null;
  if (ray !== null) return ray.slice(0, MAX_REQUEST_ID_CHARS);
  const named = headers.get(REQUEST_ID_HEADER) ?? "";
  const isGood = named.length <= MAX_REQUEST_ID_CHARS && REQUEST_ID.test(named);
  return isGood ? named : crypto.randomUUID();
}

/**
 * Returns what is known of the sender of a request. [RPC-5] If another Worker calls, its caller is known
 * already. On Cloudflare a header has the peer's address. On a machine, where a client may send any header,
 * `cf` has it.
 */
export function fromOf(
  { caller }: Env,
  { headers, cf = {} }: Request,
  context: Pick<ExecutionContext, "waitUntil">,
): NonNullable<Env["from"]> {
  const { colo, clientIp } = cf as { colo?: string; clientIp?: string };
  return {
    way: caller === undefined ? "http" : "rpc",
    ip:
      (colo === undefined ? clientIp?.replace(PORT, "") : headers.get("cf-connecting-ip")) ??
      undefined,
    userAgent: headers.get("user-agent") ?? undefined,
    requestId: requestIdOf(headers, colo !== undefined),
    waitUntil: (promise) => context.waitUntil(promise),
    request: Symbol(),
  };
}
