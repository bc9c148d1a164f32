// The caller that opens a socket to an object. The Worker has authenticated it, and passes it in a header of a request
// that it makes itself. The client's own headers are not passed on, so no client can forge it.
import * as z from "zod";
import { ANYBODY, type Caller, NOBODY } from "../core/access/caller.ts";
import { whyNotKept } from "../core/access/kept-caller.ts";
import type { TopicDescription } from "../core/cluster/topics.ts";
import { errorOf } from "../core/errors.ts";
import { grantSchema } from "../protocol/grants.ts";
import { parse, parseJson } from "../protocol/parse.ts";
import { makerSchema, namespaceSchema, quotaSchema } from "../protocol/tenancy.ts";

export const CALLER_HEADER = "x-rivulet-caller";

/** The topic of a partition that may be about to start: see partition-calls.ts. */
export const BEGIN_HEADER = "x-rivulet-begin";

/** The path has no meaning. The object's name identifies it. */
export const OBJECT_SOCKET_URL = "https://object/socket";

const sentCaller = z.object({
  principal: z.string(),
  grants: z.array(grantSchema),
  expiresAtMs: z.number().nullable(),
  keyId: z.string().nullable(),
  namespace: namespaceSchema.optional(),
  quota: quotaSchema.optional(),
  madeBy: makerSchema.optional(),
});

/**
 * Returns the options for fetching an object's socket on behalf of this caller. `begin` is for a partition.
 * @throws BrokerError INVALID_REQUEST if the caller is too large for a socket
 */
export function upgradeFor(
  caller: Caller,
  begin?: TopicDescription,
): { headers: Record<string, string> } {
  assertKept(caller);
  const { principal, grants, expiresAtMs, keyId, namespace, quota, madeBy } = caller;
  const sent = { principal, grants, expiresAtMs, keyId, namespace, quota, madeBy };
  const text = JSON.stringify(sent);
  const beginning = begin === undefined ? {} : { [BEGIN_HEADER]: asciiOf(JSON.stringify(begin)) };
  return { headers: { upgrade: "websocket", [CALLER_HEADER]: asciiOf(text), ...beginning } };
}

/**
 * [ACL-9] Refuses a caller that is too large for a socket's attachment. Credentials of earlier releases may be.
 * @throws BrokerError INVALID_REQUEST
 */
export function assertKept(caller: Caller): void {
  const tooLarge = whyNotKept(caller);
  if (tooLarge !== null) throw errorOf(tooLarge);
}

/**
 * Returns the caller in the header. [ACL-7] Without the header, it is a caller without rights. [VER-9] But on an open
 * broker such a request comes from a Worker of release 0.2, which sends no caller.
 * @throws BrokerError INVALID_REQUEST if the header is malformed
 */
export function callerOfUpgrade(request: Pick<Request, "headers">, isOpen: boolean): Caller {
  const text = request.headers.get(CALLER_HEADER);
  if (text !== null) return parse(sentCaller, parseJson(text, CALLER_HEADER));
  return isOpen ? ANYBODY : NOBODY;
}

/** Returns the topic that the Worker has sent with an upgrade, or null. The object checks that the topic is its own. */
export function beginOfUpgrade(request: Pick<Request, "headers">): TopicDescription | null {
  const text = request.headers.get(BEGIN_HEADER);
  return text === null ? null : (JSON.parse(text) as TopicDescription);
}

/** Escapes JSON for a header, which may only contain ASCII. */
function asciiOf(json: string): string {
  return json.replace(
    /[^\x20-\x7e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
