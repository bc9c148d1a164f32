// This deployment's own tokens. It signs them with its private key. Any isolate that has the public key
// verifies them without asking anybody.
import {
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  importJWK,
  importPKCS8,
  SignJWT,
} from "jose";
import * as z from "zod";
import type { Maker } from "../../core/access/caller.ts";
import type { Grant } from "../../core/access/grants.ts";
import type { Quota } from "../../core/access/quota.ts";
import { BrokerError } from "../../core/errors.ts";
import { MAX_TOKEN_CHARS } from "../../core/limits.ts";
import { GRANTS_CLAIM, type Issuer, OWN_ISSUER } from "./issuers.ts";

export { OWN_ISSUER };

const ALGORITHM = "ES256";

/** A private key of P-256. */
export interface SigningKey {
  readonly kty: "EC";
  readonly crv: "P-256";
  readonly x: string;
  readonly y: string;
  readonly d: string;
  /** The key's thumbprint (RFC 7638). */
  readonly kid: string;
}

const number = z.string().regex(/^[A-Za-z0-9_-]{43}$/); // 32 bytes.
const signingKeySchema = z.object({
  kty: z.literal("EC"),
  crv: z.literal("P-256"),
  x: number,
  y: number,
  d: number,
});

export async function newSigningKey(): Promise<SigningKey> {
  const { privateKey } = await generateKeyPair(ALGORITHM, { extractable: true });
  return await withThumbprint(await exportJWK(privateKey));
}

async function withThumbprint(jwk: unknown): Promise<SigningKey> {
  const key = signingKeySchema.parse(jwk);
  return { ...key, kid: await calculateJwkThumbprint(key) };
}

/**
 * [JWT-1] Reads the variable RIVULET_SIGNING_KEY: a private key of P-256, as a JSON Web Key or as PKCS #8 in
 * PEM.
 * @throws BrokerError INVALID_CONFIG that shows nothing of the key
 */
export async function readSigningKey(text: string): Promise<SigningKey> {
  const pem = text.trim().replaceAll("\\n", "\n"); // Variable files often have a PEM in one line.
  try {
    const isPem = pem.startsWith("-----");
    const jwk = isPem
      ? await exportJWK(await importPKCS8(pem, ALGORITHM, { extractable: true }))
      : JSON.parse(text);
    const key = await withThumbprint(jwk);
    await importJWK(key, ALGORITHM); // It throws if the numbers do not belong to one key.
    return key;
  } catch {
    throw new BrokerError(
      "INVALID_CONFIG",
      `RIVULET_SIGNING_KEY must be ${KEY_RULE}; ${whatIs(pem)}`,
    );
  }
}

const KEY_RULE =
  "a private key of P-256, as a JSON Web Key with kty, crv, x, y and d, or as PKCS #8 in PEM (openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256)";

/** Says what the text looks like, without showing any of it. */
function whatIs(text: string): string {
  if (text.startsWith("-----BEGIN PRIVATE KEY-----"))
    return "this PEM has another key, or is damaged";
  if (text.startsWith("-----BEGIN")) return "this PEM is not PKCS #8 without a password";
  if (text.startsWith("{")) return "this JSON is not such a key, or is damaged";
  return `these ${text.length} characters are neither`;
}

/** [JWT-1] Returns this deployment as an issuer of tokens. */
export function ownIssuer({ kty, crv, x, y, kid }: SigningKey, audience: string): Issuer {
  return {
    iss: OWN_ISSUER,
    aud: audience,
    algorithms: [ALGORITHM],
    keys: [{ kty, crv, x, y, kid, alg: ALGORITHM, use: "sig" }],
    claim: GRANTS_CLAIM,
    map: null,
  };
}

export interface Mint {
  /** The name of the principal, without its type. */
  readonly sub: string;
  readonly grants: readonly Grant[];
  readonly namespace?: string | undefined;
  readonly quota?: Quota | undefined;
  readonly madeBy?: Maker | undefined;
  readonly ttlMs: number;
  readonly nowMs: number;
  readonly signingKey: SigningKey;
  readonly audience: string;
}

/**
 * [JWT-1] Makes a token. Times in tokens are whole seconds, so a token may expire up to a second early, but
 * never late.
 * @returns the token, and its expiry in milliseconds since the epoch
 * @throws BrokerError INVALID_REQUEST if it would be too long
 */
export async function mint({
  sub,
  grants,
  namespace,
  quota,
  madeBy,
  ttlMs,
  nowMs,
  signingKey,
  audience,
}: Mint): Promise<{ token: string; expiresAt: number }> {
  const exp = Math.floor((nowMs + ttlMs) / 1_000);
  const token = await new SignJWT({ [GRANTS_CLAIM]: { grants, namespace, quota, madeBy } })
    .setProtectedHeader({ alg: ALGORITHM, kid: signingKey.kid, typ: "JWT" })
    .setIssuer(OWN_ISSUER)
    .setAudience(audience)
    .setSubject(sub)
    .setIssuedAt(Math.floor(nowMs / 1_000))
    .setExpirationTime(exp)
    .setJti(crypto.randomUUID())
    .sign(await importJWK(signingKey, ALGORITHM));
  if (token.length > MAX_TOKEN_CHARS)
    throw new BrokerError(
      "INVALID_REQUEST",
      `the token would have ${token.length} characters, the bound is ${MAX_TOKEN_CHARS}; ask for fewer grants, or shorter names`,
    );
  return { token, expiresAt: exp * 1_000 };
}
