// Who opened each socket of an object. It lies in the socket's attachment, beside what the object keeps there, so it
// outlives hibernation.
import { ANYBODY, type Caller, NOBODY } from "../../src/core/access/caller.ts";
import type { ObjectSocket } from "./object-socket.ts";

/** A caller whom nobody has asked for a credential is a word, because attachments are written often. */
const OPEN = "anybody";

interface Attachment {
  readonly caller?: Caller | typeof OPEN;
}

const callers = new WeakMap<ObjectSocket, Caller>();

/** Notes who opened the socket. It takes the place of what the attachment says. */
export function setCaller(socket: ObjectSocket, caller: Caller): void {
  callers.set(socket, caller);
}

/** Returns who opened the socket. Where nobody has said, it is somebody who may do nothing. */
export function callerOn(socket: ObjectSocket): Caller {
  const known = callers.get(socket);
  if (known !== undefined) return known;
  const { caller = NOBODY } = (socket.deserializeAttachment() ?? {}) as Attachment;
  const found = caller === OPEN ? ANYBODY : caller;
  callers.set(socket, found);
  return found;
}

/** Stores the object's state of the socket in its attachment, with who opened it. Null if there is none. */
export function attachState(socket: ObjectSocket, state: object | null): void {
  const caller = callerOn(socket);
  const isOpen = caller.principal === ANYBODY.principal && caller.keyId === null;
  socket.serializeAttachment({ ...state, caller: isOpen ? OPEN : caller });
}

/** True if an attachment holds something besides who opened the socket. */
export function hasState(attachment: object): boolean {
  return Object.keys(attachment).some((field) => field !== "caller");
}

/** The tag of sockets that were opened with an API key. */
export function keyTag(keyId: string): string {
  return `key:${keyId}`;
}

export function tagsOf({ keyId }: Caller): string[] {
  return keyId === null ? [] : [keyTag(keyId)];
}
