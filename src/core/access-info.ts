// API keys, tokens and callers as they are shown to people: the shapes that the HTTP API and the SDK share. These are types
// only. Times are ISO 8601.
import type { Grant, Role } from "./access/grants.ts";
import type { Quota } from "./access/quota.ts";

export type { Grant, Quota, Role };

/** The rights of a key or a token: grants, or a role that stands for some. */
export type Rights =
  | { readonly grants: readonly Grant[]; readonly role?: undefined }
  | { readonly role: Role; readonly grants?: undefined };

export interface KeyInfo {
  readonly id: string;
  /** The principal that acts with the key. */
  readonly principal: string;
  readonly grants: readonly Grant[];
  /** The beginning of every name that it sees, if it is a tenant's. */
  readonly namespace?: string;
  readonly quota?: Quota;
  readonly createdAt: string;
  /** Null if it never expires. */
  readonly expiresAt: string | null;
  /** The day on which it was last used, or null. */
  readonly lastUsed: string | null;
}

/** A key that was created just now. Nobody will see `key` again. */
export interface CreatedKey extends KeyInfo {
  readonly key: string;
  /** The part of it that is the password of a Kafka client, whose user name is the id. */
  readonly secret: string;
}

export interface TokenInfo {
  readonly token: string;
  readonly expiresAt: string;
}

/** Who calls, and what it may do. */
export interface CallerInfo {
  readonly principal: string;
  readonly grants: readonly Grant[];
  readonly namespace?: string;
  readonly quota?: Quota;
  /** Absent without an API key. */
  readonly keyId?: string;
  /** Absent if the credential never expires. */
  readonly expiresAt?: string;
}
