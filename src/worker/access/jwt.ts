// Tokens: JSON Web Tokens of the configured issuers, and of this deployment itself. They are verified here,
// without the cluster. The issuer's configuration decides everything; a token's header only says which key it
// wants.

import {
  createLocalJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  errors,
  type FlattenedJWSInput,
  type JSONWebKeySet,
  type JWTHeaderParameters,
  type JWTPayload,
  jwtVerify,
  type ProtectedHeaderParameters,
} from "jose";
import * as z from "zod";
import type { Caller, Maker } from "../../core/access/caller.ts";
import { type Grant, ROLES } from "../../core/access/grants.ts";
import { whyNotKept } from "../../core/access/kept-caller.ts";
import { confined, WHOLE } from "../../core/access/namespace.ts";
import type { Quota } from "../../core/access/quota.ts";
import { concatBytes } from "../../core/bytes.ts";
import { isWithin, wasSetBack } from "../../core/elapsed.ts";
import { BrokerError, fail, preview, type Result } from "../../core/errors.ts";
import {
  MAX_GRANTS,
  MAX_PRINCIPAL_CHARS,
  MAX_TOKEN_CHARS,
  MAX_TOKEN_TTL_MS,
} from "../../core/limits.ts";
import { logLine } from "../../log.ts";
import { grantsSchema, isReserved, roleSchema } from "../../protocol/grants.ts";
import { parse, parseJson } from "../../protocol/parse.ts";
import { makerSchema, namespaceSchema, quotaSchema } from "../../protocol/tenancy.ts";
import { type Issuer, MAX_ISSUER_KEYS, OWN_ISSUER } from "./issuers.ts";

/** The most by which the clocks of an issuer and of this machine may differ. */
const LEEWAY_SECONDS = 30;

/** A fetched key set is not fetched again for this long, unless a token wants a key that it lacks. */
export const JWKS_MAX_AGE_MS = 10 * 60_000;
/** [JWT-4] The least time between two fetches of a key set, whatever tokens ask for. */
export const JWKS_PAUSE_MS = 30_000;
/** The same while there is no key set at all, so that a momentary failure ends soon. */
export const JWKS_RETRY_MS = 5_000;
/** The time for which a key set stays valid while it cannot be fetched again. */
export const JWKS_STALE_MS = 24 * 3_600_000;
export const JWKS_TIMEOUT_MS = 5_000;
export const MAX_JWKS_BYTES = 64 * 1_024;

/** Stores fetched key sets for new isolates. */
export interface JwksKeeper {
  /** Returns the stored set for this URL and the time of its fetch. Null if there is none. */
  load(url: string): Promise<{ readonly jwks: unknown; readonly atMs: number } | null>;
  keep(url: string, jwks: JSONWebKeySet, atMs: number): Promise<void>;
}

export interface TokenServices {
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  readonly keeper: JwksKeeper;
}

/** The parts of a token that select one of its issuer's keys. */
type Wanted = [header: JWTHeaderParameters, token: FlattenedJWSInput];
type KeySource = (...wanted: [...Wanted, nowMs: number]) => Promise<CryptoKey | Uint8Array>;

/** The rights that a token gives its bearer. */
interface Rights {
  readonly grants: readonly Grant[];
  readonly namespace?: string | undefined;
  readonly quota?: Quota | undefined;
  readonly madeBy?: Maker | undefined;
}

/** An issuer, with everything that is derived once from its configuration. */
interface Known {
  readonly issuer: Issuer;
  readonly key: KeySource;
  readonly claims: z.ZodType<Readonly<Record<string, Rights>>>;
}

export class Tokens {
  readonly #issuers: ReadonlyMap<string, Known>;

  constructor(issuers: readonly Issuer[], services: TokenServices) {
    this.#issuers = new Map(
      issuers.map((issuer) => [
        issuer.iss,
        { issuer, key: keySource(issuer, services), claims: claimsSchema(issuer) },
      ]),
    );
  }

  /**
   * [JWT-3] Returns the caller with this token, or SASL_AUTHENTICATION_FAILED with the reason. The reason shows
   * only single values of the token.
   * @throws BrokerError NETWORK_EXCEPTION if the token cannot be checked now, because the issuer's keys are out
   * of reach
   */
  async callerOf(token: string, nowMs: number): Promise<Result<{ readonly caller: Caller }>> {
    try {
      const { issuer, key, claims } = this.#issuerOf(token);
      // This deployment's own tokens expire exactly on time, because the clock is the same.
      const leewaySeconds = issuer.iss === OWN_ISSUER ? 0 : LEEWAY_SECONDS;
      const { payload } = await jwtVerify(token, (header, input) => key(header, input, nowMs), {
        algorithms: [...issuer.algorithms],
        issuer: issuer.iss,
        audience: issuer.aud,
        requiredClaims: ["exp", "iat", "sub"],
        clockTolerance: leewaySeconds,
        currentDate: new Date(nowMs),
      });
      const { sub, exp } = timely(payload, nowMs);
      const { grants, namespace, quota, madeBy } = rightsIn(payload, issuer, claims);
      const isOwn = issuer.iss === OWN_ISSUER;
      if (!isOwn && isReserved(`User:${sub}`))
        throw new Refusal(`sub is ${preview(sub)}, which is the broker's own name`);
      const caller: Caller = {
        principal: `User:${sub}`,
        grants: confined(grants, namespace ?? WHOLE),
        expiresAtMs: Math.floor((exp + leewaySeconds) * 1_000),
        keyId: null,
        ...(namespace === undefined ? {} : { namespace }),
        ...(quota === undefined ? {} : { quota }),
        // The claim is ignored in tokens of other issuers: nobody may use up the quota of somebody else.
        ...(madeBy === undefined || !isOwn ? {} : { madeBy }),
      };
      const tooLarge = whyNotKept(caller);
      if (tooLarge !== null) throw new Refusal(tooLarge.detail);
      return { ok: true, caller };
    } catch (error) {
      if (error instanceof BrokerError) throw error;
      return fail("SASL_AUTHENTICATION_FAILED", reasonOf(error));
    }
  }

  /** Returns the issuer that the token names. Nothing in the token is verified yet. */
  #issuerOf(token: string): Known {
    if (token.length > MAX_TOKEN_CHARS)
      throw new Refusal(
        `the token has ${token.length} characters, the bound is ${MAX_TOKEN_CHARS}`,
      );
    const { header, iss } = partsOf(token);
    const field = REFUSED_FIELDS.find((each) => Object.hasOwn(header, each));
    if (field !== undefined)
      throw new Refusal(`the token's header has ${field}, which no token may have here`);
    const known = typeof iss === "string" ? this.#issuers.get(iss) : undefined;
    if (known === undefined)
      throw new Refusal(`iss is ${preview(iss)}, which is not an issuer known here`);
    const { algorithms } = known.issuer;
    if (!algorithms.some((each) => each === header.alg))
      throw new Refusal(
        `alg is ${preview(header.alg)}, it must be ${algorithms.join(" or ")} for this issuer`,
      );
    return known;
  }
}

const TOKEN = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/;
const MALFORMED = "this is not a JSON Web Token";

/** Returns the parts that decide who verifies the token, and how. */
function partsOf(token: string): { header: ProtectedHeaderParameters; iss: unknown } {
  if (!TOKEN.test(token)) throw new Refusal(MALFORMED);
  try {
    return { header: decodeProtectedHeader(token), iss: decodeJwt(token).iss };
  } catch {
    throw new Refusal(MALFORMED);
  }
}

/** Header fields by which a token would bring its own key, or change how it is read. */
const REFUSED_FIELDS = ["crit", "jku", "jwk", "x5u"];

/** The reason why a token is not valid. */
class Refusal extends Error {}

/** Says why a token is not valid. The library's own messages are not passed on. */
function reasonOf(error: unknown): string {
  if (error instanceof Refusal) return error.message;
  if (error instanceof errors.JWTExpired) return "the token has expired";
  if (error instanceof errors.JWTClaimValidationFailed) {
    const { claim, reason, payload } = error;
    if (reason === "missing") return `${claim} is required in the token`;
    return `${claim} is ${preview(payload[claim])}, which this broker does not accept`;
  }
  if (error instanceof errors.JWSSignatureVerificationFailed)
    return "the token's signature is wrong";
  if (error instanceof errors.JWKSNoMatchingKey)
    return "the token's issuer has no key like the one that the token names";
  if (error instanceof errors.JWKSMultipleMatchingKeys)
    return "several keys of the token's issuer fit; the token needs a kid that only one of them has";
  if (error instanceof errors.JWTInvalid || error instanceof errors.JWSInvalid) return MALFORMED;
  return "the token cannot be verified";
}

const SUBJECT = /^\P{C}+$/u;

/** Returns the claims that remain to be judged once the token is verified. */
function timely({ sub, iat, exp }: JWTPayload, nowMs: number): { sub: string; exp: number } {
  if (typeof sub !== "string" || sub.length > MAX_PRINCIPAL_CHARS || !SUBJECT.test(sub))
    throw new Refusal(
      `sub is ${preview(sub)}, it must be 1 to ${MAX_PRINCIPAL_CHARS} visible characters`,
    );
  if (iat === undefined || exp === undefined) throw new Refusal("iat and exp are required");
  if (iat > nowMs / 1_000 + LEEWAY_SECONDS)
    throw new Refusal(`iat is ${preview(iat)}, which is in the future`);
  if (exp <= iat) throw new Refusal(`exp is ${preview(exp)}, which is not after iat`);
  if ((exp - iat) * 1_000 > MAX_TOKEN_TTL_MS)
    throw new Refusal(
      `exp is ${preview(exp)}, ${exp - iat} s after iat; the bound is ${MAX_TOKEN_TTL_MS / 1_000} s`,
    );
  return { sub, exp };
}

const bounds = {
  namespace: namespaceSchema.optional(),
  quota: quotaSchema.optional(),
  madeBy: makerSchema.optional(),
};

/** The claim that holds grants itself, or the name of a role. */
const claimSchema = z.union(
  [
    grantsSchema.transform((grants): Rights => ({ grants })),
    z.strictObject({ grants: grantsSchema, ...bounds }),
    z
      .strictObject({ role: roleSchema, ...bounds })
      .transform(({ role, ...rest }): Rights => ({ ...rest, grants: ROLES[role] })),
  ],
  'must be a list of grants, {"grants": […]} or {"role": "…"}',
);

const VALUES_RULE = "must be a string with spaces between values, or a list of strings";

/** The rights in a token, by the name of the claim. */
function claimsSchema({ claim, map }: Issuer): Known["claims"] {
  if (map === null) return z.object({ [claim]: claimSchema });
  const values = z.union(
    [z.string().transform((text) => text.split(" ")), z.array(z.string(VALUES_RULE))],
    VALUES_RULE,
  );
  // Many issuers leave out an empty list. A caller in no group has no rights, but is known nonetheless.
  const rights = values.default([]).transform((found, context): Rights => {
    const grants = [...new Set(found)].flatMap((value) => map.get(value) ?? []);
    if (grants.length <= MAX_GRANTS) return { grants };
    const message = `must amount to at most ${MAX_GRANTS} grants, and amounts to ${grants.length}`;
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  });
  return z.object({ [claim]: rights });
}

function rightsIn(payload: JWTPayload, { claim }: Issuer, claims: Known["claims"]): Rights {
  try {
    return parse(claims, payload)[claim] ?? { grants: [] };
  } catch (error) {
    throw error instanceof BrokerError ? new Refusal(error.message) : error;
  }
}

/** Returns a function that finds the key that verifies a token of this issuer. */
function keySource(issuer: Issuer, services: TokenServices): KeySource {
  if ("jwksUrl" in issuer) {
    const remote = new RemoteKeys(issuer.jwksUrl, services);
    return (header, token, nowMs) => remote.key([header, token], nowMs);
  }
  if ("keys" in issuer) return createLocalJWKSet({ keys: [...issuer.keys] });
  const secret = new TextEncoder().encode(issuer.secret);
  return async () => secret;
}

/** A key set is checked no further than this. The library skips the keys that it cannot use. */
const jwksSchema = z.object({
  keys: z.array(z.looseObject({ kty: z.string() })).max(MAX_ISSUER_KEYS),
});

/** A set of keys, and the time of its fetch. */
interface KeySet {
  readonly select: ReturnType<typeof createLocalJWKSet>;
  readonly atMs: number;
}

/**
 * [JWT-4] The keys that an issuer publishes at a URL. The library's own `createRemoteJWKSet` is not used. It
 * bounds neither the fetches while they fail, nor those of simultaneous requests, nor the bytes of an answer.
 * It also does not fall back to an old but valid set.
 */
class RemoteKeys {
  readonly #url: string;
  readonly #services: TokenServices;
  /** The latest time of any request. Requests overtake each other while they wait. */
  #nowMs = 0;
  #set: KeySet | null = null;
  #fetch: Fetch | null = null;
  #fetchedMs: number | null = null;

  constructor(url: string, services: TokenServices) {
    this.#url = url;
    this.#services = services;
  }

  /** Returns the one key that fits. @throws BrokerError NETWORK_EXCEPTION if there is no set of keys */
  async key(wanted: Wanted, nowMs: number): Promise<CryptoKey> {
    this.#nowMs = wasSetBack(this.#nowMs, nowMs) ? nowMs : Math.max(this.#nowMs, nowMs);
    const set = await this.#current();
    try {
      return await set.select(...wanted);
    } catch (error) {
      // The issuer may have a new key, or somebody may have made up the key's name.
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      await this.#refresh();
      if (this.#set === null || this.#set === set) throw error;
      return await this.#set.select(...wanted);
    }
  }

  /** Returns the current set. Fetches it anew if it is old and can be fetched. */
  async #current(): Promise<KeySet> {
    if (this.#usable() === null) await this.#load();
    const known = this.#usable();
    if (known !== null && (this.#isSince(known.atMs, JWKS_MAX_AGE_MS) || this.#isFetching()))
      return known;
    await this.#refresh();
    const set = this.#usable();
    if (set !== null) return set;
    const detail = "the keys of the token's issuer cannot be fetched now; try again";
    throw new BrokerError("NETWORK_EXCEPTION", detail);
  }

  #usable(): KeySet | null {
    return this.#set !== null && this.#isSince(this.#set.atMs, JWKS_STALE_MS) ? this.#set : null;
  }

  #isSince(sinceMs: number, forMs: number): boolean {
    return isWithin(sinceMs, forMs, this.#nowMs);
  }

  /** True if another request is fetching the set, and not cancelled. */
  #isFetching(): boolean {
    return this.#fetch !== null && this.#isSince(this.#fetch.sinceMs, JWKS_TIMEOUT_MS);
  }

  /** Takes the set that another isolate has fetched. */
  async #load(): Promise<void> {
    try {
      const kept = await inTime(this.#services.keeper.load(this.#url));
      if (kept !== null && !wasSetBack(kept.atMs, this.#nowMs))
        this.#adopt(kept.jwks, Math.min(kept.atMs, this.#nowMs));
    } catch {} // Then the issuer is asked.
  }

  #adopt(jwks: unknown, atMs: number): JSONWebKeySet {
    const checked: JSONWebKeySet = jwksSchema.parse(jwks);
    const set = { select: createLocalJWKSet(checked), atMs };
    if (this.#set === null || this.#set.atMs <= atMs || !this.#usable()) this.#set = set;
    return checked;
  }

  /** Fetches the set, unless it is too early for that. Waits instead if another request is fetching it. */
  async #refresh(): Promise<void> {
    for (let other = this.#fetch; other !== null; other = this.#fetch) {
      if (this.#isFetching() && (await other.hasEnded())) return;
      // The fetching request was cancelled: its code has stopped where it was.
      if (this.#fetch !== other) continue;
      this.#fetch = null;
      if (this.#usable() === null) this.#fetchedMs = null;
    }
    if (this.#isTooEarly()) return;
    const own = new Fetch(this.#nowMs);
    this.#fetch = own;
    this.#fetchedMs = own.sinceMs;
    try {
      await this.#fetchSet(own);
    } catch (error) {
      logLine("warn", `the keys at ${this.#url} cannot be fetched: ${error}`);
    } finally {
      this.#end(own);
    }
  }

  #isTooEarly(): boolean {
    const set = this.#usable();
    const pauseMs = set === null ? JWKS_RETRY_MS : JWKS_PAUSE_MS;
    const lastMs = Math.max(this.#fetchedMs ?? -Infinity, set?.atMs ?? -Infinity);
    return this.#isSince(lastMs, pauseMs);
  }

  async #fetchSet(own: Fetch): Promise<void> {
    const { fetch, keeper } = this.#services;
    const cut = new AbortController();
    let jwks: JSONWebKeySet;
    try {
      jwks = this.#adopt(await inTime(bodyAt(fetch, this.#url, cut.signal)), own.sinceMs);
    } finally {
      cut.abort();
    }
    this.#end(own); // The others need not wait until it is stored.
    await inTime(keeper.keep(this.#url, jwks, own.sinceMs)).catch(() => {});
  }

  #end(own: Fetch): void {
    own.end();
    if (this.#fetch === own) this.#fetch = null;
  }
}

/**
 * A fetch that other requests wait for. Each waits for a promise of its own, and no longer than a fetch takes.
 * The platform may cancel the fetching request, and its promises then never settle.
 */
class Fetch {
  readonly sinceMs: number;
  readonly #waiting = new Set<(hasEnded: true) => void>();

  constructor(sinceMs: number) {
    this.sinceMs = sinceMs;
  }

  end(): void {
    for (const resolve of this.#waiting) resolve(true);
    this.#waiting.clear();
  }

  /** Waits. Returns false if the fetch has not ended in time. */
  async hasEnded(): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<true>();
    this.#waiting.add(resolve);
    try {
      return await inTime(promise);
    } catch {
      return false;
    } finally {
      this.#waiting.delete(resolve);
    }
  }
}

/** Returns the result of a promise, if it comes within JWKS_TIMEOUT_MS. */
async function inTime<T>(promise: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new Error(`no answer within ${JWKS_TIMEOUT_MS} ms`)),
    JWKS_TIMEOUT_MS,
  );
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Fetches JSON of bounded size. Redirects are not followed: keys come only from the configured URL. */
async function bodyAt(
  fetch: TokenServices["fetch"],
  url: string,
  signal: AbortSignal,
): Promise<unknown> {
  const headers = { accept: "application/jwk-set+json, application/json" };
  const { status, body } = await fetch(url, { headers, redirect: "manual", signal });
  if (status !== 200) throw new Error(`the answer is ${status}, it must be 200`);
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of body ?? []) {
    size += piece.length;
    if (size > MAX_JWKS_BYTES)
      throw new Error(`the answer has more than ${MAX_JWKS_BYTES} bytes, the bound`);
    pieces.push(piece);
  }
  return parseJson(new TextDecoder().decode(concatBytes(pieces)), "the answer");
}
