// The caller of a request, according to its credential.
import { type Principal, ROLES } from "./grants.ts";
import { WHOLE } from "./namespace.ts";
import type { Quota } from "./quota.ts";

export interface Caller extends Principal {
  /** The time at which the credential expires, in milliseconds since the epoch. Null if it never does. */
  readonly expiresAtMs: number | null;
  /** The API key that the caller used. Null for the root key, for tokens, and without a credential. */
  readonly keyId: string | null;
  /**
   * [TEN-1] The prefix of every name that the caller sees. `grants` already contain it. Absent if it sees names
   * unchanged.
   */
  readonly namespace?: string | undefined;
  /** [QUO-1] The caller's quota. Absent if nothing bounds it. */
  readonly quota?: Quota | undefined;
  /** The caller that made this token here. Absent for other callers. */
  readonly madeBy?: Maker | undefined;
}

/** The caller that made a token. The field names are stored in tokens. */
export interface Maker {
  readonly principal: string;
  readonly keyId?: string | undefined;
  /** [QUO-1] The maker's quota, shared with all of its tokens. */
  readonly quota?: Quota | undefined;
}

export function namespaceOf({ namespace }: Pick<Caller, "namespace">): string {
  return namespace ?? WHOLE;
}

/** A caller without a credential on a broker that asks for none, such as a developer's machine. The name is Kafka's. */
export const ANYBODY: Caller = {
  principal: "User:ANONYMOUS",
  grants: ROLES.admin,
  expiresAtMs: null,
  keyId: null,
};

/** A caller with the root key. */
export const ROOT: Caller = { ...ANYBODY, principal: "User:root" };

/** The Worker itself, on connections to objects that only it uses. It checks rights before it sends anything. */
export const WORKER: Caller = { ...ANYBODY, principal: "User:worker" };

/** A caller without any rights: it has not authenticated, and the broker requires that. */
export const NOBODY: Caller = { ...ANYBODY, grants: [] };

/** True if the caller used a token. A token always expires, and has no key id. */
export function isToken({ keyId, expiresAtMs }: Caller): boolean {
  return keyId === null && expiresAtMs !== null;
}

export function hasExpired({ expiresAtMs }: Pick<Caller, "expiresAtMs">, nowMs: number): boolean {
  return expiresAtMs !== null && nowMs >= expiresAtMs;
}
