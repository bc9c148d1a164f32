import {
  calculateJwkThumbprint,
  decodeJwt,
  decodeProtectedHeader,
  exportJWK,
  exportPKCS8,
  generateKeyPair,
} from "jose";
import { beforeAll, describe, expect, test } from "vitest";
import type { Grant } from "../../../../src/core/access/grants.ts";
import { BrokerError } from "../../../../src/core/errors.ts";
import { MAX_TOKEN_CHARS, MAX_TOKEN_TTL_MS } from "../../../../src/core/limits.ts";
import { Tokens } from "../../../../src/worker/access/jwt.ts";
import {
  mint,
  newSigningKey,
  OWN_ISSUER,
  ownIssuer,
  readSigningKey,
  type SigningKey,
} from "../../../../src/worker/access/own-tokens.ts";

const NOW = Date.UTC(2026, 10, 30) + 999;
const GRANTS: Grant[] = [
  { topics: { prefix: "orders." }, operations: ["READ", "WRITE"] },
  { groups: { exact: "billing" }, operations: ["READ"] },
  { cluster: ["DESCRIBE"] },
];

let signingKey: SigningKey;

beforeAll(async () => {
  signingKey = await newSigningKey();
});

const asked = () => ({
  sub: "alice",
  grants: GRANTS,
  ttlMs: 900_000,
  nowMs: NOW,
  signingKey,
  audience: "shop",
});

function tokensOf(key: SigningKey, audience = "shop") {
  const nobody = () => {
    throw new Error("own tokens ask nobody");
  };
  return new Tokens([ownIssuer(key, audience)], {
    fetch: nobody,
    keeper: { load: nobody, keep: nobody },
  });
}

describe("own tokens", () => {
  test("[JWT-1] say who may do what, and until when", async () => {
    const { token, expiresAt } = await mint(asked());
    expect(expiresAt).toBe(NOW - 999 + 900_000);
    expect(decodeProtectedHeader(token)).toEqual({ alg: "ES256", kid: signingKey.kid, typ: "JWT" });
    expect(decodeJwt(token)).toEqual({
      iss: OWN_ISSUER,
      aud: "shop",
      sub: "alice",
      iat: (NOW - 999) / 1_000,
      exp: expiresAt / 1_000,
      jti: expect.stringMatching(/^[0-9a-f-]{36}$/),
      rivulet: { grants: GRANTS },
    });
    expect(await tokensOf(signingKey).callerOf(token, NOW)).toEqual({
      ok: true,
      caller: { principal: "User:alice", grants: GRANTS, expiresAtMs: expiresAt, keyId: null },
    });
  });

  test("[JWT-1] differ from each other", async () => {
    const one = await mint(asked());
    expect((await mint(asked())).token).not.toBe(one.token);
  });

  test("[JWT-1] may live for the longest time, whatever the millisecond", async () => {
    for (const nowMs of [NOW, NOW + 1, NOW + 500]) {
      const { token, expiresAt } = await mint({ ...asked(), nowMs, ttlMs: MAX_TOKEN_TTL_MS });
      expect(expiresAt).toBeLessThanOrEqual(nowMs + MAX_TOKEN_TTL_MS);
      expect(expiresAt).toBeGreaterThan(nowMs + MAX_TOKEN_TTL_MS - 1_000);
      expect(await tokensOf(signingKey).callerOf(token, nowMs)).toMatchObject({ ok: true });
    }
  });

  test("[JWT-1] are never too long for their receivers", async () => {
    const grants = (count: number) => Array.from({ length: count }, () => GRANTS[0] as Grant);
    const { token } = await mint({ ...asked(), grants: grants(35) });
    expect(token.length).toBeLessThanOrEqual(MAX_TOKEN_CHARS);
    const refused = await mint({ ...asked(), grants: grants(60) }).catch((error) => error);
    expect(refused).toBeInstanceOf(BrokerError);
    expect(refused.code).toBe("INVALID_REQUEST");
    expect(refused.message).toMatch(/^the token would have \d{4} characters, the bound is 4096;/);
  });

  test("[JWT-3] of another deployment are refused, by the key and by the audience", async () => {
    const { token } = await mint(asked());
    const other = await newSigningKey();
    expect(await tokensOf(other).callerOf(token, NOW)).toMatchObject({
      error: "SASL_AUTHENTICATION_FAILED",
      detail: "the token's issuer has no key like the one that the token names",
    });
    const named = { ...other, kid: signingKey.kid };
    expect(await tokensOf(named).callerOf(token, NOW)).toMatchObject({
      error: "SASL_AUTHENTICATION_FAILED",
      detail: "the token's signature is wrong",
    });
    expect(await tokensOf(signingKey, "bank").callerOf(token, NOW)).toMatchObject({
      error: "SASL_AUTHENTICATION_FAILED",
      detail: 'aud is "shop", which this broker does not accept',
    });
  });
});

describe("a signing key", () => {
  test("[JWT-1] is new each time, and its id is its thumbprint", async () => {
    expect(signingKey).toMatchObject({ kty: "EC", crv: "P-256", d: expect.any(String) });
    expect(signingKey.kid).toBe(await calculateJwkThumbprint(signingKey));
    expect((await newSigningKey()).kid).not.toBe(signingKey.kid);
  });

  test("[JWT-1] shows only its public half to verifiers", () => {
    const issuer = ownIssuer(signingKey, "shop");
    expect(issuer).toMatchObject({ iss: OWN_ISSUER, aud: "shop", algorithms: ["ES256"] });
    expect(JSON.stringify(issuer)).not.toContain(signingKey.d);
  });

  test("[JWT-1] is read from JSON, whatever else is in there", async () => {
    expect(await readSigningKey(JSON.stringify(signingKey))).toEqual(signingKey);
    const { kid: _kid, ...key } = signingKey;
    const extra = { ...key, kid: "mine", alg: "ES256", use: "sig", key_ops: ["sign"], ext: true };
    expect(await readSigningKey(` ${JSON.stringify(extra, null, 2)}\n`)).toEqual(signingKey);
  });

  test("[JWT-1] is read from PEM, in lines or in one", async () => {
    const { privateKey } = await generateKeyPair("ES256", { extractable: true });
    const pem = await exportPKCS8(privateKey);
    const key = await readSigningKey(pem);
    expect(key).toMatchObject(await exportJWK(privateKey));
    expect(key.kid).toBe(await calculateJwkThumbprint(key));
    expect(await readSigningKey(`\n${pem}\n\n`)).toEqual(key);
    expect(await readSigningKey(pem.replaceAll("\n", "\\n"))).toEqual(key);
    const { token } = await mint({ ...asked(), signingKey: key });
    expect(await tokensOf(key).callerOf(token, NOW)).toMatchObject({ ok: true });
  });

  test("[JWT-1] is a private key of P-256 and nothing else, and no error shows it", async () => {
    const { kty, crv, x, y, d } = signingKey;
    const other = await newSigningKey();
    const pemOf = async (alg: string) =>
      exportPKCS8((await generateKeyPair(alg, { extractable: true })).privateKey);
    const pem = await pemOf("ES256");
    const wrong: [string, string][] = [
      ["", "these 0 characters are neither"],
      [d, "these 43 characters are neither"],
      ["null", "these 4 characters are neither"],
      [JSON.stringify({ kty, crv, x, y }), "this JSON is not such a key"],
      [JSON.stringify({ kty, crv: "P-384", x, y, d }), "this JSON is not such a key"],
      [JSON.stringify({ kty, crv, x, y, d: d.slice(1) }), "this JSON is not such a key"],
      [JSON.stringify({ kty, crv, x: other.x, y: other.y, d }), "this JSON is not such a key"],
      [JSON.stringify({ kty, crv, x: other.x, y, d }), "this JSON is not such a key"],
      [JSON.stringify(signingKey).slice(0, -1), "this JSON is not such a key"],
      [await pemOf("RS256"), "this PEM has another key, or is damaged"],
      [await pemOf("EdDSA"), "this PEM has another key, or is damaged"],
      [await pemOf("ES384"), "this PEM has another key, or is damaged"],
      [pem.slice(0, 100), "this PEM has another key, or is damaged"],
      [pem.replaceAll("PRIVATE", "EC PRIVATE"), "this PEM is not PKCS #8 without a password"],
      [pem.replaceAll("PRIVATE", "ENCRYPTED PRIVATE"), "this PEM is not PKCS #8 without a pass"],
    ];
    for (const [text, why] of wrong) {
      const error = await readSigningKey(text).catch((each) => each);
      expect(error, text).toBeInstanceOf(BrokerError);
      expect(error.code).toBe("INVALID_CONFIG");
      expect(error.message).toMatch(
        /^RIVULET_SIGNING_KEY must be a private key of P-256, as a JSON/,
      );
      expect(error.message).toContain(why);
      expect(error.message).not.toContain(d.slice(0, 10));
      expect(error.message).not.toContain(text.slice(40, 80) || "?");
    }
  });
});
