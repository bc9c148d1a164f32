// Who opens a socket to an object. The Worker has found that out, and tells it in a header of a request that it makes
// itself: nothing of the client's request comes along, so no client can say who it is in this way.
import * as z from "zod";
import { ANYBODY, type Caller, NOBODY } from "../core/access/caller.ts";
import { whyNotKept } from "../core/access/kept-caller.ts";
import type { TopicDescription } from "../core/cluster/topics.ts";
import { errorOf } from "../core/errors.ts";
import { grantSchema } from "../protocol/grants.ts";
import { parse, parseJson } from "../protocol/parse.ts";
import { makerSchema, namespaceSchema, quotaSchema } from "../protocol/tenancy.ts";

export const CALLER_HEADER = "x-rivulet-caller";

/** The topic of a partition that may be about to begin: see partition-calls.ts. */
export const BEGIN_HEADER = "x-rivulet-begin";

/** The path says nothing. An object's name says which object it is. */
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
 * Returns what to fetch an object's socket with, on behalf of this caller. `begin` is for a partition.
 * @throws BrokerError INVALID_REQUEST if no socket can keep the caller
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
 * [ACL-9] Refuses who no socket can keep. Credentials of releases before may be so large.
 * @throws BrokerError INVALID_REQUEST
 */
export function assertKept(caller: Caller): void {
  const tooLarge = whyNotKept(caller);
  if (tooLarge !== null) throw errorOf(tooLarge);
}

/**
 * Returns the caller in the header. [ACL-7] Without it, it is somebody who may do nothing. [VER-9] But in an open broker the
 * request is that of a Worker of release 0.2, which says nothing of callers.
 * @throws BrokerError INVALID_REQUEST if the header is none that a Worker makes
 */
export function callerOfUpgrade(request: Pick<Request, "headers">, isOpen: boolean): Caller {
  const text = request.headers.get(CALLER_HEADER);
  if (text !== null) return parse(sentCaller, parseJson(text, CALLER_HEADER));
  return isOpen ? ANYBODY : NOBODY;
}

/** Returns the topic that the Worker has sent with an upgrade, or null. The object checks that it is its own. */
export function beginOfUpgrade(request: Pick<Request, "headers">): TopicDescription | null {
  const text = request.headers.get(BEGIN_HEADER);
  return text === null ? null : (JSON.parse(text) as TopicDescription);
}

/** A header carries ASCII. JSON has an escape for everything else. */
function asciiOf(json: string): string {
  return json.replace(
    /[^\x20-\x7e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
