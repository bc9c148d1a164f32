// The API keys that the Worker knows. Once per API_KEY_AGE_MS it asks the ClusterObject which keys have
// changed, however many it knows. So a revoked key is refused after that time. Known keys stay valid while the
// ClusterObject cannot be reached.

import {
  API_KEY_BYTES,
  type ApiKey,
  apiKeyOf,
  apiKeyText,
  isApiKeyId,
  markedId,
  nonceOf,
} from "../../core/access/api-key.ts";
import type { Grant } from "../../core/access/grants.ts";
import { whyNotKept } from "../../core/access/kept-caller.ts";
import type { Quota } from "../../core/access/quota.ts";
import {
  callerOfKey,
  dayOf,
  type ShownKey,
  type StoredKey,
  shownKey,
} from "../../core/access/stored-key.ts";
import { fromBase64, toBase64 } from "../../core/bytes.ts";
import { isSame } from "../../core/constant-time.ts";
import { isWithin } from "../../core/elapsed.ts";
import { BrokerError, errorOf, unwrap } from "../../core/errors.ts";
import {
  API_KEY_AGE_MS,
  API_KEY_CACHE,
  STALE_API_KEY_AGE_MS,
  UNKNOWN_API_KEY_AGE_MS,
} from "../../core/limits.ts";
import { clusterStub, type Env } from "../../env.ts";
import { noteChange } from "../edge/audit.ts";
import { forgetOldest, isolate } from "../edge/isolate.ts";
import { sha256 } from "./digest.ts";
import { SCRAM_SALT_BYTES, scramVerifier } from "./scram.ts";
import { randomSecret, secretNamed } from "./secrets.ts";

/**
 * [APK-4] Returns the key with this id, or null if there is none.
 * @throws BrokerError NETWORK_EXCEPTION if the key was not known before and the cluster cannot be asked
 */
export async function keyById(env: Env, id: string): Promise<StoredKey | null> {
  if (!isApiKeyId(id)) return null;
  const known = isolate.apiKeys.get(id);
  if (known !== undefined && isWithin(known.atMs, API_KEY_AGE_MS, Date.now())) return known.key;
  if (known !== undefined && (await areKeysCurrent(env))) {
    const still = isolate.apiKeys.get(id);
    if (still !== undefined) return still.key;
  }
  const unknownMs = isolate.unknownApiKeys.get(id);
  if (unknownMs !== undefined && isWithin(unknownMs, UNKNOWN_API_KEY_AGE_MS, Date.now()))
    return null;
  try {
    if (known === undefined && !(await isOurs(env, id))) return null;
    const atMs = Date.now();
    const { key, version } = await clusterStub(env).apiKey({ id });
    if (version !== undefined) isolate.apiKeysAsOf ??= { version, atMs };
    remember(id, key);
    return key;
  } catch (cause) {
    const wasCurrentMs = Math.max(known?.atMs ?? 0, isolate.apiKeysAsOf?.atMs ?? 0);
    if (known !== undefined && isWithin(wasCurrentMs, STALE_API_KEY_AGE_MS, Date.now()))
      return known.key;
    const detail = "the API key cannot be looked up now; try again";
    throw new BrokerError("NETWORK_EXCEPTION", detail, { cause });
  }
}

/**
 * [APK-4] True if all keys known here were current at most API_KEY_AGE_MS ago. Forgets those that have changed
 * since the cluster was last asked. False if the cluster cannot be asked, or does not know the changes.
 */
async function areKeysCurrent(env: Env): Promise<boolean> {
  const asOf = isolate.apiKeysAsOf;
  if (asOf === null) return false;
  const atMs = Date.now();
  if (isWithin(asOf.atMs, API_KEY_AGE_MS, atMs)) return true;
  try {
    const { version, changed } = await clusterStub(env).apiKeyChanges({ since: asOf.version });
    for (const id of changed ?? [...isolate.apiKeys.keys()]) isolate.apiKeys.delete(id);
    isolate.apiKeysAsOf = { version, atMs };
    return true;
  } catch {
    return false; // The stub has logged why.
  }
}

/** [APK-6] Unknown ids are remembered separately, so that ids of revoked keys displace no other key. */
function remember(id: string, key: StoredKey | null): void {
  const { apiKeys, unknownApiKeys } = isolate;
  apiKeys.delete(id);
  unknownApiKeys.delete(id);
  if (key === null) {
    unknownApiKeys.set(id, Date.now());
    forgetOldest(unknownApiKeys, API_KEY_CACHE);
  } else {
    apiKeys.set(id, { key, atMs: Date.now() });
    forgetOldest(apiKeys, API_KEY_CACHE);
  }
}

/** [APK-6] True if this deployment has made the id, judging by its mark. */
async function isOurs(env: Env, id: string): Promise<boolean> {
  return isSame(await marked(env, id), id);
}

async function marked(env: Env, id: string): Promise<string> {
  const secret = await secretNamed(env, "key-ids", randomSecret);
  return markedId(id, sha256(`${secret} ${nonceOf(id)}`));
}

/** [APK-1] Returns the key that this secret belongs to, or null. */
export async function keyOfSecret(env: Env, { id, secret }: ApiKey): Promise<StoredKey | null> {
  const key = await keyById(env, id);
  if (key === null || !isSame(sha256(secret), fromBase64(key.hash))) return null;
  return key;
}

/** [APK-2] Notes that the key is in use today. It asks the cluster once a day, and ignores failures. */
export async function noteKeyUsed(env: Env, key: StoredKey): Promise<void> {
  const lastUsedDay = dayOf(Date.now());
  if (key.lastUsedDay !== null && key.lastUsedDay >= lastUsedDay) return;
  const known = isolate.apiKeys.get(key.id);
  if (known !== undefined) isolate.apiKeys.set(key.id, { ...known, key: { ...key, lastUsedDay } });
  await clusterStub(env)
    .noteApiKeyUsed({ id: key.id })
    .catch(() => {});
}

export interface NewKey {
  readonly principal: string;
  readonly grants: readonly Grant[];
  readonly expiresAtMs: number | null;
  readonly namespace?: string | undefined;
  readonly quota?: Quota | undefined;
}

/**
 * [APK-2] Makes an API key and stores what identifies it. The text of the key is returned here and never again.
 * @throws BrokerError INVALID_REQUEST if its rights are too large to be stored
 */
export async function createKey(
  env: Env,
  made: NewKey,
): Promise<{ text: string; secret: string; key: ShownKey }> {
  const random = apiKeyOf(crypto.getRandomValues(new Uint8Array(API_KEY_BYTES)));
  const apiKey = { ...random, id: await marked(env, random.id) };
  const { id, secret } = apiKey;
  const tooLarge = whyNotKept(callerOfKey({ ...made, id }));
  if (tooLarge !== null) throw errorOf(tooLarge);
  const key: StoredKey = {
    ...made,
    id,
    hash: toBase64(sha256(secret)),
    scram: {
      "SHA-256": await scramVerifier(secret, "SHA-256", newSalt()),
      "SHA-512": await scramVerifier(secret, "SHA-512", newSalt()),
    },
    createdAtMs: Date.now(),
    lastUsedDay: null,
  };
  unwrap(await clusterStub(env).putApiKey({ key }));
  noteChange(env, "createKey", { type: "key", name: id }, summaryOf(made));
  return { text: apiKeyText(apiKey), secret, key: shownKey(key) };
}

/** [APK-3] Changes the key. Other isolates follow within API_KEY_AGE_MS. */
export async function alterKey(
  env: Env,
  id: string,
  change: {
    readonly grants: readonly Grant[] | undefined;
    readonly expiresAtMs: number | null | undefined;
    readonly quota: Quota | null | undefined;
  },
): Promise<ShownKey> {
  const { key, isChanged } = unwrap(await clusterStub(env).alterApiKey({ id, ...change }));
  isolate.apiKeys.delete(id);
  if (isChanged !== false) noteChange(env, "alterKey", { type: "key", name: id }, summaryOf(key));
  return key;
}

export async function deleteKey(env: Env, id: string): Promise<ShownKey> {
  const { key } = unwrap(await clusterStub(env).deleteApiKey({ id }));
  isolate.apiKeys.delete(id);
  noteChange(env, "deleteKey", { type: "key", name: id }, key.principal);
  return key;
}

function summaryOf({ principal, grants, namespace, quota, expiresAtMs }: NewKey): string {
  return JSON.stringify({ principal, namespace, quota, expiresAtMs, grants });
}

function newSalt(): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(SCRAM_SALT_BYTES));
}
