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

/** A verifier of this isolate, and the configuration that it was made of. It keeps the keys of its issuers. */
interface Verifier {
  readonly configuration: string;
  readonly tokens: Tokens;
}

const verifiers: { own: Verifier | null; others: Verifier | null } = { own: null, others: null };

/** A token that was verified a moment ago. */
interface Verified {
  readonly caller: Caller;
  readonly atMs: number;
  /** The variables that said which tokens are good. */
  readonly settings: readonly (string | undefined)[];
}

/**
 * By the tokens' texts. To hash a token would cost what is left of the check. A map finds a text by a hash with a seed of the
 * process, so the time it takes tells nobody how much of a guess is right.
 */
const verified = new Map<string, Verified>();

/**
 * [JWT-1] [JWT-2] Returns who calls with this token. [JWT-5] Its signature is verified every TOKEN_AGE_MS, because that
 * costs a third of what a small request does.
 * @throws BrokerError SASL_AUTHENTICATION_FAILED if it is not valid, or NETWORK_EXCEPTION if nobody can tell now
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

/** Forgets the tokens that have to be verified again, and the oldest if there are too many. */
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

/** True if the token says that this broker has made it. Nothing of it is verified yet. */
function isOwn(token: string): boolean {
  try {
    return decodeJwt(token).iss === OWN_ISSUER;
  } catch {
    return false; // It is none, and is refused as such.
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
  /** What the token may do. Undefined is all that the caller may do. */
  readonly grants: readonly Grant[] | undefined;
  readonly ttlMs: number;
  /** The principal of whoever will have the token. Undefined is the caller's own. */
  readonly subject: string | undefined;
  /** How much its bearer may do. What the caller's own quota bounds, it bounds here as well. */
  readonly quota?: Quota | undefined;
}

/**
 * [JWT-1] Makes a token with at most the rights of the caller, good for no longer than the caller's credential.
 * @throws BrokerError CLUSTER_AUTHORIZATION_FAILED if it would go beyond, or if the caller has a token itself
 * @throws BrokerError INVALID_REQUEST if its rights are too large to be kept
 */
export async function createToken(
  env: Env,
  { grants, ttlMs, subject, quota }: TokenRequest,
): Promise<{ token: string; expiresAtMs: number }> {
  const caller = callerIn(env);
  if (isToken(caller)) throw refused("a token makes no tokens; ask with an API key");
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

/** A key that was parsed, and the text that it was parsed from. */
let parsed: { readonly text: string; readonly key: SigningKey } | null = null;

async function signingKey(env: Env): Promise<SigningKey> {
  const text =
    env.RIVULET_SIGNING_KEY ||
    (await secretNamed(env, "signing-key", async () => JSON.stringify(await newSigningKey())));
  if (parsed?.text !== text) parsed = { text, key: await readSigningKey(text) };
  return parsed.key;
}

/** The cluster keeps the key sets of issuers for isolates that begin while an issuer is out of reach. */
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
