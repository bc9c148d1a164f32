// Decides whether the credential of each socket is still valid.
//
//
// An expired credential is noticed before anything is sent or done. An API key is looked up again at the
// socket's next activity once SOCKET_KEY_AGE_MS have passed. A revoked key closes the socket, and a changed key
// changes its rights. Nobody waits for the lookup, because messages of one socket must not overtake each other.
import { auditLog } from "../../src/audit-log.ts";
import { type Caller, hasExpired } from "../../src/core/access/caller.ts";
import type { Resource } from "../../src/core/access/grants.ts";
import { whyNotKept } from "../../src/core/access/kept-caller.ts";
import type { Operation } from "../../src/core/access/operations.ts";
import { whyNotAllowed } from "../../src/core/access/refusal.ts";
import { callerOfKey } from "../../src/core/access/stored-key.ts";
import { isWithin } from "../../src/core/elapsed.ts";
import type { Failure } from "../../src/core/errors.ts";
import { SOCKET_KEY_AGE_MS } from "../../src/core/limits.ts";
import { clusterStub, type Env } from "../../src/env.ts";
import { CLOSE_UNAUTHENTICATED } from "../../src/protocol/close-codes.ts";
import type { ObjectSocket } from "./object-socket.ts";
import { close } from "./socket.ts";
import { attachAgain, callerOn, keyCheckedMs, setCaller, setKeyChecked } from "./socket-caller.ts";

/** The parts of an object that are needed here. */
export interface AccessParts {
  readonly env: Env;
  waitUntil(promise: Promise<unknown>): void;
  /** Called when the socket was closed because its credential is no longer valid. */
  ended(socket: ObjectSocket): void;
  /** Called when the API key of the socket has different rights. */
  changed(socket: ObjectSocket): void;
}

export class SocketAccess {
  readonly #parts: AccessParts;

  constructor(parts: AccessParts) {
    this.#parts = parts;
  }

  /** Notes who opened a socket that was just accepted. */
  admit(socket: ObjectSocket, caller: Caller, nowMs: number): void {
    setCaller(socket, caller);
    setKeyChecked(socket, nowMs);
  }

  /** False if the credential has expired. The socket is then closed. */
  isGood(socket: ObjectSocket, nowMs: number): boolean {
    const caller = callerOn(socket);
    if (hasExpired(caller, nowMs)) {
      this.#end(socket, "the credential has expired");
      return false;
    }
    if (caller.keyId !== null) this.#lookAgain(socket, caller, caller.keyId, nowMs);
    return true;
  }

  /**
   * [ACL-7] Returns why the caller of the socket may not do this, or null. [AUD-1] A refusal is added to the
   * audit log, because the caller named the resource.
   */
  whyNot(socket: ObjectSocket, operation: Operation, resource: Resource): Failure | null {
    const caller = callerOn(socket);
    const refused = whyNotAllowed({ caller }, operation, resource);
    if (refused === null) return null;
    const noted = { decision: "refused", action: operation, resource } as const;
    const { env, waitUntil } = this.#parts;
    auditLog.note(env, caller, { way: "socket" }, noted, waitUntil);
    return refused;
  }

  /** Closes the sockets that were opened with a revoked key. */
  revoke(sockets: readonly ObjectSocket[]): void {
    for (const socket of sockets) this.#end(socket, "the API key was revoked");
  }

  #lookAgain(socket: ObjectSocket, caller: Caller, keyId: string, nowMs: number): void {
    if (isWithin(keyCheckedMs(socket), SOCKET_KEY_AGE_MS, nowMs)) return;
    setKeyChecked(socket, nowMs);
    // If the cluster is out of reach, the socket goes on, and asks again later.
    this.#parts.waitUntil(this.#renew(socket, caller, keyId).catch(() => {}));
  }

  async #renew(socket: ObjectSocket, caller: Caller, keyId: string): Promise<void> {
    const { key } = await clusterStub(this.#parts.env).apiKey({ id: keyId });
    attachAgain(socket); // Otherwise the object would ask again each time it wakes up.
    if (key === null) return this.#end(socket, "the API key was revoked");
    // The Worker's own sockets see names as stored, even if the key has a namespace.
    const { namespace } = caller;
    const { quota = caller.quota, namespace: _own, ...known } = callerOfKey(key); // It may be the default of the deployment.
    const renewed = {
      ...known,
      ...(namespace === undefined ? {} : { namespace }),
      ...(quota === undefined ? {} : { quota }),
    };
    if (JSON.stringify(renewed) === JSON.stringify(caller)) return;
    const tooLarge = whyNotKept(renewed);
    if (tooLarge !== null) return this.#end(socket, tooLarge.detail);
    setCaller(socket, renewed);
    attachAgain(socket);
    this.#parts.changed(socket);
  }

  #end(socket: ObjectSocket, why: string): void {
    close(socket, CLOSE_UNAUTHENTICATED, `SASL_AUTHENTICATION_FAILED: ${why}`);
    this.#parts.ended(socket);
  }
}
