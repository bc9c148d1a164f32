// The caller who opened each socket of an object. The caller is in the socket's attachment, beside the object's
// own state, so it outlives hibernation.
import { ANYBODY, type Caller, NOBODY } from "../../src/core/access/caller.ts";
import { bytesOfCaller, callerOfBytes } from "../../src/core/access/kept-caller.ts";
import { type Share, sharesOf } from "../../src/core/access/quota-book.ts";
import { type Failure, fail } from "../../src/core/errors.ts";
import { textHash } from "../../src/core/text-hash.ts";
import type { ObjectSocket, ObjectSockets } from "./object-socket.ts";

/** Stands for a caller who was not asked for a credential. It is short because attachments are written often. */
const OPEN = "anybody";

interface Attachment {
  /** Attachments of an earlier build hold the caller as an object. */
  readonly caller?: Uint8Array | Caller | typeof OPEN;
  /** The time when the caller's API key was last known to be valid. Release 0.3 does not write it. */
  readonly keyCheckedMs?: number;
}

const callers = new WeakMap<ObjectSocket, Caller>();
const keysCheckedMs = new WeakMap<ObjectSocket, number>();

/**
 * Notes when the API key of the socket's caller was known to be valid. The next write of the attachment stores
 * it.
 */
export function setKeyChecked(socket: ObjectSocket, atMs: number): void {
  keysCheckedMs.set(socket, atMs);
}

/** Returns when the API key of the socket's caller was last known to be valid; 0 if that is not noted. */
export function keyCheckedMs(socket: ObjectSocket): number {
  const known = keysCheckedMs.get(socket);
  if (known !== undefined) return known;
  const { keyCheckedMs: noted = 0 } = (socket.deserializeAttachment() ?? {}) as Attachment;
  keysCheckedMs.set(socket, noted);
  return noted;
}

/** Notes who opened the socket. This replaces the caller in the attachment. */
export function setCaller(socket: ObjectSocket, caller: Caller): void {
  callers.set(socket, caller);
}

/** Returns the caller who opened the socket. If none is noted, returns a caller without rights. */
export function callerOn(socket: ObjectSocket): Caller {
  const known = callers.get(socket);
  if (known !== undefined) return known;
  const { caller = NOBODY } = (socket.deserializeAttachment() ?? {}) as Attachment;
  const found =
    caller === OPEN ? ANYBODY : caller instanceof Uint8Array ? callerOfBytes(caller) : caller;
  callers.set(socket, found);
  return found;
}

/**
 * Stores the object's state of the socket in its attachment, beside the caller. A null state stores only the
 * caller.
 */
export function attachState(socket: ObjectSocket, state: object | null): void {
  const caller = callerOn(socket);
  socket.serializeAttachment({
    ...state,
    caller: isAnybody(caller) ? OPEN : bytesOfCaller(caller),
    ...(caller.keyId === null ? {} : { keyCheckedMs: keyCheckedMs(socket) }),
  });
}

/** Stores the changed caller, or the changed check of its key, beside the object's state in the attachment. */
export function attachAgain(socket: ObjectSocket): void {
  const attached = (socket.deserializeAttachment() ?? {}) as Attachment & object;
  const { caller: _caller, keyCheckedMs: _checked, ...state } = attached;
  attachState(socket, state);
}

/**
 * True for a caller of an open broker without a credential. On a closed broker such a caller has the same name
 * but no rights. A token made by such a caller has fewer rights, and expires.
 */
function isAnybody({ principal, keyId, expiresAtMs, grants }: Caller): boolean {
  const isCalledSo = principal === ANYBODY.principal && keyId === null;
  return isCalledSo && expiresAtMs === null && grants.length > 0;
}

/** True if an attachment holds something besides the caller. */
export function hasState(attachment: object): boolean {
  const own: readonly string[] = ["caller", "keyCheckedMs"];
  return Object.keys(attachment).some((field) => !own.includes(field));
}

/** The tag of sockets that were opened with an API key. */
export function keyTag(keyId: string): string {
  return `key:${keyId}`;
}

/** The tag of sockets that count against the connections of a principal. A tag has at most 256 characters. */
function quotaTag({ key }: Share): string {
  return `quota:${textHash(key).toString(36)}:${encodeURIComponent(key.toWellFormed()).slice(0, 200)}`;
}

export function tagsOf(caller: Caller): string[] {
  const ofKey = caller.keyId === null ? [] : [keyTag(caller.keyId)];
  const shares = sharesOf(caller).filter(({ quota }) => quota.connections !== undefined);
  return [...new Set([...ofKey, ...shares.map(quotaTag)])];
}

/**
 * [QUO-4] Returns why the caller may not open one more socket here, or null. Sockets that are being closed do
 * not count, however long their clients take to answer. [BND-22] `makeRoom` closes useless sockets if there are
 * too many.
 */
export function whyNoConnection(
  caller: Caller,
  sockets: Pick<ObjectSockets, "getWebSockets">,
  makeRoom: () => void,
): Failure | null {
  if (whyTooMany(caller, sockets) === null) return null;
  makeRoom();
  return whyTooMany(caller, sockets);
}

function whyTooMany(caller: Caller, sockets: Pick<ObjectSockets, "getWebSockets">): Failure | null {
  for (const share of sharesOf(caller)) {
    const bound = share.quota.connections;
    if (bound === undefined) continue;
    const open = sockets
      .getWebSockets(quotaTag(share))
      .filter(({ readyState }) => readyState === WebSocket.OPEN);
    if (open.length < bound) continue;
    const detail = `${caller.principal} has ${open.length} connections here, its bound is ${bound}; close one first`;
    return fail("THROTTLING_QUOTA_EXCEEDED", detail);
  }
  return null;
}
