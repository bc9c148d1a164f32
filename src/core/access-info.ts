// API keys, tokens and callers as people see them: the shapes that the HTTP API and the SDK share. These are types
// only. Times are ISO 8601.
import type { Grant, Role } from "./access/grants.ts";
import type { Quota } from "./access/quota.ts";

export type { Grant, Quota, Role };

/** The rights of a key or a token: a list of grants, or a role that stands for one. */
export type Rights =
  | { readonly grants: readonly Grant[]; readonly role?: undefined }
  | { readonly role: Role; readonly grants?: undefined };

/** An API key, without its text. */
export interface KeyInfo {
  /** The key's id, which is not secret. For a Kafka client it is the user name. */
  readonly id: string;
  /** The principal that the key authenticates. */
  readonly principal: string;
  readonly grants: readonly Grant[];
  /** The prefix of every name that the key sees, if it belongs to a tenant. */
  readonly namespace?: string;
  readonly quota?: Quota;
  readonly createdAt: string;
  /** Null if it never expires. */
  readonly expiresAt: string | null;
  /** The day on which it was last used, or null. */
  readonly lastUsed: string | null;
}

/** A key that was just created. `key` is never shown again. */
export interface CreatedKey extends KeyInfo {
  readonly key: string;
  /** The part of `key` that a Kafka client sends as its password. The user name is `id`. */
  readonly secret: string;
}

/** A token that was just created. It is not stored by the broker. */
export interface TokenInfo {
  readonly token: string;
  readonly expiresAt: string;
}

/** The caller of a request, and its rights. */
export interface CallerInfo {
  readonly principal: string;
  readonly grants: readonly Grant[];
  readonly namespace?: string;
  readonly quota?: Quota;
  /** Absent if the caller did not use an API key. */
  readonly keyId?: string;
  /** Absent if the credential never expires. */
  readonly expiresAt?: string;
}
