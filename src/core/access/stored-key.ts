// An API key as the cluster stores it. It does not contain the secret, only enough to verify it.
import type { Caller } from "./caller.ts";
import type { Grant } from "./grants.ts";
import { confined, WHOLE } from "./namespace.ts";
import type { Quota } from "./quota.ts";

/** The values by which SCRAM verifies a password (RFC 5802). The bytes are in base64. */
export interface ScramVerifier {
  readonly salt: string;
  readonly iterations: number;
  readonly storedKey: string;
  readonly serverKey: string;
}

export interface StoredKey {
  readonly id: string;
  readonly principal: string;
  readonly grants: readonly Grant[];
  /** SHA-256 of the secret, in base64. The secret has 256 random bits, so nothing slower is needed. */
  readonly hash: string;
  /** These can only be computed while the secret is known. */
  readonly scram: { readonly "SHA-256": ScramVerifier; readonly "SHA-512": ScramVerifier };
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
  /** The day on which it was last used, as days since the epoch. Null if it never was. */
  readonly lastUsedDay: number | null;
  /** [TEN-1] The namespace that confines its grants. The grants are stored as the tenant wrote them. */
  readonly namespace?: string | undefined;
  readonly quota?: Quota | undefined;
}

/** A key as it is shown, without anything derived from its secret. */
export type ShownKey = Omit<StoredKey, "hash" | "scram">;

export function shownKey({ hash: _hash, scram: _scram, ...shown }: StoredKey): ShownKey {
  return shown;
}

/** The fields of a key that describe its caller. */
type Known = Pick<StoredKey, "id" | "principal" | "grants" | "expiresAtMs" | "namespace" | "quota">;

export function callerOfKey(key: Known): Caller {
  const { id, principal, grants, expiresAtMs, namespace, quota } = key;
  return {
    principal,
    grants: confined(grants, namespace ?? WHOLE),
    expiresAtMs,
    keyId: id,
    ...(namespace === undefined ? {} : { namespace }),
    ...(quota === undefined ? {} : { quota }),
  };
}

const DAY_MS = 86_400_000;

export function dayOf(atMs: number): number {
  return Math.floor(atMs / DAY_MS);
}
