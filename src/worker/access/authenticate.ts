// Authentication: turns a credential into a caller. The same function serves every way in.

import { API_KEY_PREFIX, parseApiKey } from "../../core/access/api-key.ts";
import { ANYBODY, type Caller, hasExpired, ROOT } from "../../core/access/caller.ts";
import { callerOfKey, type StoredKey } from "../../core/access/stored-key.ts";
import { isSame } from "../../core/constant-time.ts";
import { BrokerError } from "../../core/errors.ts";
import { type Env, withCaller } from "../../env.ts";
import { callerIn } from "../edge/authorize.ts";
import { withDefaultQuota } from "./default-quota.ts";
import { sha256 } from "./digest.ts";
import { keyById, keyOfSecret, noteKeyUsed } from "./keys.ts";
import { credentialMissing, isOpen, rootKeysOf } from "./mode.ts";
import { callerOfToken } from "./tokens.ts";

/** A credential that a client presents. */
export type Credential =
  | { readonly type: "none" }
  /** An API key, the root key, or a token. */
  | { readonly type: "bearer"; readonly text: string }
  /** A token only: it came in a URL, where a key must not stand. */
  | { readonly type: "token"; readonly text: string }
  /** A credential in the query of a request that should have come in another place. */
  | { readonly type: "misplaced"; readonly text: string }
  | { readonly type: "password"; readonly user: string; readonly password: string };

/** The user name of the root, if there is one beside the key. */
export const ROOT_USER = "root";

/**
 * [APK-5] Returns the caller.
 * @throws BrokerError SASL_AUTHENTICATION_FAILED if the credential is missing, wrong or expired, or
 * NETWORK_EXCEPTION if it cannot be checked now
 */
export async function callerOf(env: Env, credential: Credential): Promise<Caller> {
  switch (credential.type) {
    case "none": {
      if (isOpen(env)) return ANYBODY;
      throw credentialMissing(env);
    }
    case "password": {
      const caller = await callerOfPassword(env, credential.user, credential.password);
      if (caller === null) throw refused("the user name or the password is wrong");
      return caller;
    }
    case "token":
      assertNoKey(env, credential.text);
      return await callerOfToken(env, credential.text);
    case "misplaced":
      assertNoKey(env, credential.text);
      // Clients of release 0.2 send it, for proxies in front of an open broker.
      if (isOpen(env)) return ANYBODY;
      throw refused(
        "access_token is for EventSource; send Authorization, or for a WebSocket the subprotocol rivulet.token.TOKEN",
      );
    case "bearer":
      return await callerOfBearer(env, credential.text);
  }
}

async function callerOfBearer(env: Env, text: string): Promise<Caller> {
  if (isRootKey(env, text)) return ROOT;
  if (!text.startsWith(API_KEY_PREFIX)) return await callerOfToken(env, text);
  const apiKey = parseApiKey(text);
  if (apiKey === null) throw refused("the API key is mistyped: its checksum does not match");
  const caller = await callerWithKey(env, await keyOfSecret(env, apiKey));
  if (caller === null) throw refused("the API key is wrong, expired or revoked");
  return caller;
}

/**
 * [APK-5] Returns the caller with this user name and password, or null. They are the id and secret of an API
 * key, or root and its key.
 */
export async function callerOfPassword(
  env: Env,
  user: string,
  password: string,
): Promise<Caller | null> {
  if (user === ROOT_USER) return isRootKey(env, password) ? ROOT : null;
  const whole = parseApiKey(password); // A whole key in place of the password stands for its secret.
  if (whole !== null && whole.id !== user) return null;
  const secret = whole?.secret ?? password;
  return await callerWithKey(env, await keyOfSecret(env, { id: user, secret }));
}

/**
 * [APK-2] Returns the caller with this key, or null if there is none or it has expired. Notes that the key is
 * in use.
 */
export async function callerWithKey(env: Env, key: StoredKey | null): Promise<Caller | null> {
  if (key === null) return null;
  const caller = withDefaultQuota(env, callerOfKey(key));
  if (hasExpired(caller, Date.now())) return null;
  await noteKeyUsed(env, key);
  return caller;
}

/**
 * [APK-4] Returns the caller with the current rights of its key. Null if the key is revoked, or the key or the
 * credential has expired. The caller is unchanged while the cluster cannot be asked.
 */
export async function renewed(env: Env, caller: Caller): Promise<Caller | null> {
  if (hasExpired(caller, Date.now())) return null;
  if (caller.keyId === null) return caller;
  try {
    const key = await keyById(env, caller.keyId);
    return key === null ? null : await callerWithKey(env, key);
  } catch {
    return caller;
  }
}

/**
 * [ACL-8] Returns the bindings and variables with the caller as its credential is now, for an answer that took
 * some time.
 * @throws BrokerError SASL_AUTHENTICATION_FAILED if the credential has expired or was revoked since
 */
export async function stillGood(env: Env): Promise<Env> {
  const caller = await renewed(env, callerIn(env));
  if (caller === null) throw refused("the credential has expired or was revoked in the meantime");
  return withCaller(env, caller);
}

/** [ACL-8] Returns how much of this wait the caller may have: it ends with its credential. */
export function waitWithin(env: Env, waitMs: number): number {
  const { expiresAtMs } = callerIn(env);
  return expiresAtMs === null ? waitMs : Math.max(0, Math.min(waitMs, expiresAtMs - Date.now()));
}

/** Refuses a key in a URL. */
function assertNoKey(env: Env, text: string): void {
  if (text.startsWith(API_KEY_PREFIX) || isRootKey(env, text))
    throw refused("a key must not be in a URL, which logs record; send a token there");
}

/**
 * Compares hashes, so that the time it takes reveals neither the key nor its length. Texts of different shapes
 * cannot be equal, so API keys and tokens cost no hash here, unless a root key looks like one.
 */
function isRootKey(env: Env, text: string): boolean {
  const shape = shapeOf(text);
  const keys = rootKeysOf(env).filter((key) => shapeOf(key) === shape);
  if (keys.length === 0) return false;
  const given = sha256(text);
  let isRoot = false;
  for (const key of keys) if (isSame(given, sha256(key))) isRoot = true;
  return isRoot;
}

/** The base64url text with which a token begins. It is the beginning of a JSON object. */
const TOKEN_PREFIX = "eyJ";

/** Returns the shape of a text by its beginning. */
function shapeOf(text: string): "key" | "token" | "other" {
  if (text.startsWith(API_KEY_PREFIX)) return "key";
  return text.startsWith(TOKEN_PREFIX) ? "token" : "other";
}

function refused(detail: string): BrokerError {
  return new BrokerError("SASL_AUTHENTICATION_FAILED", detail);
}
