// The tokens of this deployment: its own, and those of the issuers that it trusts.
import { decodeJwt } from "jose";
import { type Caller, hasExpired, isToken, namespaceOf } from "../../core/access/caller.ts";
import { type Grant, grantBeyond } from "../../core/access/grants.ts";
import { whyNotKept } from "../../core/access/kept-caller.ts";
import { confined, grantsOutside } from "../../core/access/namespace.ts";
import type { Quota } from "../../core/access/quota.ts";
import { isWithin } from "../../core/elapsed.ts";
import { BrokerError, errorOf, unwrap } from "../../core/errors.ts";
import { TOKEN_AGE_MS, TOKEN_CACHE } from "../../core/limits.ts";
import { clusterStub, type Env } from "../../env.ts";
import { callerIn } from "../edge/authorize.ts";
import { forgetOldest } from "../edge/isolate.ts";
import { withDefaultQuota } from "./default-quota.ts";
import { type Issuer, issuersOf } from "./issuers.ts";
import { type JwksKeeper, type TokenServices, Tokens } from "./jwt.ts";
import {
  mint,
  newSigningKey,
  OWN_ISSUER,
  ownIssuer,
  readSigningKey,
  type SigningKey,
} from "./own-tokens.ts";
import { secretNamed } from "./secrets.ts";

/** A verifier of this isolate, and the configuration that it was built from. It holds the keys of its issuers. */
interface Verifier {
  readonly configuration: string;
  readonly tokens: Tokens;
}

const verifiers: { own: Verifier | null; others: Verifier | null } = { own: null, others: null };

/** A token that was recently verified. */
interface Verified {
  readonly caller: Caller;
  readonly atMs: number;
  /** The variables that decided which tokens are valid. */
  readonly settings: readonly (string | undefined)[];
}

/**
 * Verified tokens by their text. Hashing a token would cost as much as the rest of the check. A map finds a
 * text by a hash with a seed of the process, so the time it takes reveals nothing about a guess.
 */
const verified = new Map<string, Verified>();

/**
 * [JWT-1] [JWT-2] Returns the caller with this token. [JWT-5] Its signature is verified once per TOKEN_AGE_MS,
 * because that costs a third of a small request.
 * @throws BrokerError SASL_AUTHENTICATION_FAILED if it is not valid, or NETWORK_EXCEPTION if it cannot be
 * checked now
 */
export async function callerOfToken(env: Env, token: string): Promise<Caller> {
  const nowMs = Date.now();
  const known = verified.get(token);
  if (known !== undefined && isGood(known, env, nowMs)) return withDefaultQuota(env, known.caller);
  verified.delete(token);
  const { tokens } = isOwn(token) ? await ownVerifier(env) : verifierOfOthers(env);
  const { caller } = unwrap(await tokens.callerOf(token, nowMs));
  verified.set(token, { caller, atMs: nowMs, settings: settingsOf(env) });
  forgetOld(nowMs);
  return withDefaultQuota(env, caller);
}

/** Forgets the tokens that must be verified again, and the oldest if there are too many. */
function forgetOld(nowMs: number): void {
  for (const [token, { atMs }] of verified) {
    if (isWithin(atMs, TOKEN_AGE_MS, nowMs)) break;
    verified.delete(token);
  }
  forgetOldest(verified, TOKEN_CACHE);
}

function isGood({ caller, atMs, settings }: Verified, env: Env, nowMs: number): boolean {
  return (
    isWithin(atMs, TOKEN_AGE_MS, nowMs) &&
    !hasExpired(caller, nowMs) &&
    settingsOf(env).every((setting, i) => setting === settings[i])
  );
}

function settingsOf({ RIVULET_JWT_ISSUERS, RIVULET_SIGNING_KEY, RIVULET_AUDIENCE }: Env) {
  return [RIVULET_JWT_ISSUERS, RIVULET_SIGNING_KEY, RIVULET_AUDIENCE];
}

/** True if the token claims to be made by this broker. Nothing in it is verified yet. */
function isOwn(token: string): boolean {
  try {
    return decodeJwt(token).iss === OWN_ISSUER;
  } catch {
    return false; // It is not a token, and is refused as such.
  }
}

async function ownVerifier(env: Env): Promise<Verifier> {
  const key = await signingKey(env);
  const audience = audienceOf(env);
  const configuration = `${key.kid} ${audience}`;
  if (verifiers.own?.configuration !== configuration)
    verifiers.own = newVerifier(env, configuration, [ownIssuer(key, audience)]);
  return verifiers.own;
}

function verifierOfOthers(env: Env): Verifier {
  const configuration = env.RIVULET_JWT_ISSUERS ?? "";
  if (verifiers.others?.configuration !== configuration)
    verifiers.others = newVerifier(env, configuration, issuersOf(env.RIVULET_JWT_ISSUERS));
  return verifiers.others;
}

function newVerifier(env: Env, configuration: string, issuers: readonly Issuer[]): Verifier {
  return { configuration, tokens: new Tokens(issuers, servicesIn(env)) };
}

function servicesIn(env: Env): TokenServices {
  return {
    fetch: (url: string, init: RequestInit) => fetch(url, init),
    keeper: keeperIn(env),
  };
}

export interface TokenRequest {
  /** The rights of the token. Undefined means all rights of the caller. */
  readonly grants: readonly Grant[] | undefined;
  readonly ttlMs: number;
  /** The principal of the future bearer. Undefined means the caller's own. */
  readonly subject: string | undefined;
  /** The quota of its bearer. The caller's own quota applies to the token as well. */
  readonly quota?: Quota | undefined;
}

/**
 * [JWT-1] Makes a token with at most the rights of the caller, valid for no longer than the caller's
 * credential.
 * @throws BrokerError CLUSTER_AUTHORIZATION_FAILED if it would go beyond them, or if the caller itself has a
 * token
 * @throws BrokerError INVALID_REQUEST if its rights are too large to be stored
 */
export async function createToken(
  env: Env,
  { grants, ttlMs, subject, quota }: TokenRequest,
): Promise<{ token: string; expiresAtMs: number }> {
  const caller = callerIn(env);
  if (isToken(caller)) throw refused("a token cannot make tokens; use an API key");
  const namespace = namespaceOf(caller);
  const wanted = grants ?? grantsOutside(caller.grants, namespace);
  const inside = confined(wanted, namespace);
  const beyond = grantBeyond(caller, inside);
  if (beyond !== null)
    throw refused(
      `grants: ${JSON.stringify(grantsOutside([beyond], namespace)[0])} goes beyond what ${caller.principal} may do`,
    );
  const nowMs = Date.now();
  if (hasExpired(caller, nowMs)) throw refused("the caller's credential has expired");
  const sub = (subject ?? caller.principal).replace(/^User:/, "");
  const madeBy = {
    principal: caller.principal,
    keyId: caller.keyId ?? undefined,
    quota: caller.quota,
  };
  const bearer = { ...caller, principal: `User:${sub}`, grants: inside, keyId: null, madeBy };
  const tooLarge = whyNotKept(bearer);
  if (tooLarge !== null) throw errorOf(tooLarge);
  const leftMs = caller.expiresAtMs === null ? ttlMs : caller.expiresAtMs - nowMs;
  const { token, expiresAt } = await mint({
    sub,
    grants: wanted,
    namespace: caller.namespace,
    quota,
    madeBy,
    ttlMs: Math.min(ttlMs, leftMs),
    nowMs,
    signingKey: await signingKey(env),
    audience: audienceOf(env),
  });
  return { token, expiresAtMs: expiresAt };
}

function refused(detail: string): BrokerError {
  return new BrokerError("CLUSTER_AUTHORIZATION_FAILED", detail);
}

function audienceOf({ RIVULET_AUDIENCE }: Env): string {
  return RIVULET_AUDIENCE || OWN_ISSUER;
}

/** The last parsed key, and the text that it was parsed from. */
let parsed: { readonly text: string; readonly key: SigningKey } | null = null;

async function signingKey(env: Env): Promise<SigningKey> {
  const text =
    env.RIVULET_SIGNING_KEY ||
    (await secretNamed(env, "signing-key", async () => JSON.stringify(await newSigningKey())));
  if (parsed?.text !== text) parsed = { text, key: await readSigningKey(text) };
  return parsed.key;
}

/** The cluster stores the key sets of issuers for isolates that start while an issuer is out of reach. */
function keeperIn(env: Env): JwksKeeper {
  return {
    load: async (url) => {
      const { kept } = await clusterStub(env).issuerKeys({ url });
      return kept === null ? null : { jwks: JSON.parse(kept.jwks), atMs: kept.atMs };
    },
    keep: async (url, jwks, atMs) => {
      await clusterStub(env).keepIssuerKeys({ url, jwks: JSON.stringify(jwks), atMs });
    },
  };
}
