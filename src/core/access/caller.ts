// The caller of a request, as its credential says.
import { type Principal, ROLES } from "./grants.ts";
import { WHOLE } from "./namespace.ts";
import type { Quota } from "./quota.ts";

export interface Caller extends Principal {
  /** When the credential expires, in milliseconds since the epoch. Null if it never does. */
  readonly expiresAtMs: number | null;
  /** The API key that it came with. Null for the root's key, for tokens, and for nobody's. */
  readonly keyId: string | null;
  /** [TEN-1] The prefix of every name that it sees. Its grants have it already. Absent if it sees names as they are. */
  readonly namespace?: string | undefined;
  /** [QUO-1] How much it may do. Absent is as much as anybody. */
  readonly quota?: Quota | undefined;
  /** Who made its token here. Absent without one. */
  readonly madeBy?: Maker | undefined;
}

/** The caller that made a token. Tokens have these names in them. */
export interface Maker {
  readonly principal: string;
  readonly keyId?: string | undefined;
  /** [QUO-1] The maker's quota, which all of its tokens share with it. */
  readonly quota?: Quota | undefined;
}

export function namespaceOf({ namespace }: Pick<Caller, "namespace">): string {
  return namespace ?? WHOLE;
}

/** A caller without a credential, where none is asked for: a developer's machine. The name is Kafka's. */
export const ANYBODY: Caller = {
  principal: "User:ANONYMOUS",
  grants: ROLES.admin,
  expiresAtMs: null,
  keyId: null,
};

/** A caller with the root's key. */
export const ROOT: Caller = { ...ANYBODY, principal: "User:root" };

/** The Worker itself, for connections to objects over which only it speaks. It judges what it sends before. */
export const WORKER: Caller = { ...ANYBODY, principal: "User:worker" };

/** A caller that may do nothing: whoever has not said who it is where that is asked for. */
export const NOBODY: Caller = { ...ANYBODY, grants: [] };

/** True if a token says who calls. A token always expires, and belongs to no key. */
export function isToken({ keyId, expiresAtMs }: Caller): boolean {
  return keyId === null && expiresAtMs !== null;
}

export function hasExpired({ expiresAtMs }: Pick<Caller, "expiresAtMs">, nowMs: number): boolean {
  return expiresAtMs !== null && nowMs >= expiresAtMs;
}
