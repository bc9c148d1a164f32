// Every reader of credentials under fire: any input is refused with its proper error, which reveals nothing of the input.
// test/e2e/credential-fuzz.test.ts does the same over sockets.
import fc from "fast-check";
import { exportJWK, generateKeyPair } from "jose";
import { beforeAll, expect, test } from "vitest";
import { CALLER_HEADER, callerOfUpgrade } from "../../../../src/calls/socket-caller.ts";
import { apiKeyOf, apiKeyText, parseApiKey } from "../../../../src/core/access/api-key.ts";
import { ROLES } from "../../../../src/core/access/grants.ts";
import { OPERATIONS_OF } from "../../../../src/core/access/operations.ts";
import { readOauthBearer, readPlain, SASL_MECHANISMS } from "../../../../src/core/access/sasl.ts";
import { BrokerError } from "../../../../src/core/errors.ts";
import { MAX_TOKEN_CHARS } from "../../../../src/core/limits.ts";
import { grantsSchema } from "../../../../src/protocol/grants.ts";
import { parse } from "../../../../src/protocol/parse.ts";
import type { Credential } from "../../../../src/worker/access/authenticate.ts";
import { issuersOf } from "../../../../src/worker/access/issuers.ts";
import { Tokens } from "../../../../src/worker/access/jwt.ts";
import { mint, newSigningKey, ownIssuer } from "../../../../src/worker/access/own-tokens.ts";
import { SaslLogin } from "../../../../src/worker/access/sasl-login.ts";
import {
  readClientFinal,
  readClientFirst,
  scramVerifier,
} from "../../../../src/worker/access/scram.ts";
import { credentialOf } from "../../../../src/worker/http/credential.ts";
import { CredentialFuzz, type Good, sendable } from "../../../support/credential-fuzz.ts";
import { runs } from "../../../support/effort.ts";

const NOW = Date.UTC(2026, 10, 30);
const SECRET = "a secret that both sides have, and nobody else";
/** A shorter part of an error's text is no secret: it may be a word of the text itself. */
const MIN_TOLD = 12;

let good: Good;
let tokens: Tokens;

beforeAll(async () => {
  const signingKey = await newSigningKey();
  const { token } = await mint({
    sub: "alice",
    grants: ROLES.read,
    ttlMs: 900_000,
    nowMs: NOW,
    signingKey,
    audience: "rivulet",
  });
  const key = apiKeyText(apiKeyOf(Uint8Array.from({ length: 42 }, (_, i) => i)));
  good = { rootKey: "the-root-key-of-this-test", key, token };
  const { publicKey } = await generateKeyPair("ES256", { extractable: true });
  const others = issuersOf(
    JSON.stringify([
      { iss: "ES256", aud: "rivulet", algorithms: ["ES256"], keys: [await exportJWK(publicKey)] },
      { iss: "HS256", aud: "rivulet", algorithms: ["HS256"], secret: SECRET },
    ]),
  );
  tokens = new Tokens([ownIssuer(signingKey, "rivulet"), ...others], {
    fetch: () => Promise.reject(new Error("nothing is fetched")),
    keeper: { load: async () => null, keep: async () => {} },
  });
  expect(await tokens.callerOf(token, NOW)).toMatchObject({ ok: true });
});

/** Runs a check repeatedly with a source of hostile input. A failing seed is reported. */
function underFire(
  count: number,
  check: (fuzz: CredentialFuzz) => void | Promise<void>,
): Promise<void> {
  const seeds = fc.noShrink(fc.nat());
  return fc.assert(
    fc.asyncProperty(seeds, async (seed) => void (await check(new CredentialFuzz(seed, good)))),
    runs(count),
  );
}

function request(headers: Record<string, string>, path = "/v1/topics/a/stream"): Request {
  return { url: `https://broker.example${path}`, headers: new Headers(headers) } as Request;
}

/** Returns the credential, or null if it is properly refused. */
function read(of: Request, shown: string): Credential | null {
  try {
    return credentialOf(of);
  } catch (error) {
    expect(error).toBeInstanceOf(BrokerError);
    const { code, message } = error as BrokerError;
    expect(code).toBe("SASL_AUTHENTICATION_FAILED");
    if (shown.length >= MIN_TOLD) expect(message).not.toContain(shown);
    return null;
  }
}

test("[APK-5] anything in a request is a bounded credential, or refused", () =>
  underFire(1_000, (fuzz) => {
    const authorization = sendable(fuzz.authorization()).trim();
    const offered = sendable(fuzz.subprotocols()).trim();
    const query = `/v1/topics/a/stream?access_token=${encodeURIComponent(fuzz.bearer().toWellFormed())}`;
    const upgrade = { upgrade: "websocket" };
    for (const [of, shown] of [
      [request({ authorization }), authorization],
      [request({ ...upgrade, "sec-websocket-protocol": offered }), offered],
      [request({}, query), query],
      [request(upgrade, query), query],
    ] as const) {
      const credential = read(of, shown);
      if (credential === null || credential.type === "none") continue;
      const text = credential.type === "password" ? credential.password : credential.text;
      expect(text.length).toBeLessThanOrEqual(MAX_TOKEN_CHARS);
    }
  }));

test("[APK-1] anything like a key is a valid key, or none", () =>
  underFire(1_000, (fuzz) => {
    const text = fuzz.bearer();
    const key = parseApiKey(text);
    if (key !== null) expect(apiKeyText(key)).toBe(text);
  }));

test("[JWT-3] anything like a token is refused as such", () =>
  underFire(500, async (fuzz) => {
    const text = fuzz.bearer();
    const result = await tokens.callerOf(text, NOW);
    if (result.ok) throw new Error(`it was taken: ${text}`);
    expect(result.error).toBe("SASL_AUTHENTICATION_FAILED");
    if (text.length >= MIN_TOLD) expect(result.detail).not.toContain(text);
  }));

test("[SASL-1] any login is refused, and an invalid message is reported as such", () => {
  const { id = "", secret = "" } = parseApiKey(good.key) ?? {};
  const verifier = scramVerifier(secret, "SHA-256", new Uint8Array(16), 1);
  const caller = { principal: "User:a", grants: ROLES.read, expiresAtMs: null, keyId: id };
  const credentials = {
    saltSecret: "the deployment's",
    byPassword: async (user: string, password: string) =>
      user === id && password === secret ? caller : null,
    byToken: async (token: string) => (token === good.token ? caller : null),
    scram: async (user: string) =>
      user === id ? { verifiers: [await verifier] as const, caller } : null,
  };
  return underFire(500, async (fuzz) => {
    const { mechanism, first, next } = fuzz.sasl();
    for (const message of [first, fuzz.bytes()]) {
      expect(readPlain(message)).not.toBe(undefined);
      expect(readOauthBearer(message)).not.toBe(undefined);
      expect(readClientFirst(message)).not.toBe(undefined);
      expect(readClientFinal(message, { header: "n,," }, { nonce: "a" })).not.toBe(undefined);
    }
    const login = new SaslLogin(credentials, 0);
    login.handshake(mechanism, SASL_MECHANISMS);
    let answer = await login.authenticate(first, NOW);
    if (answer.type === "challenge")
      answer = await login.authenticate(next(new TextDecoder().decode(answer.bytes)), NOW);
    if (answer.type !== "refused") throw new Error(`it was ${answer.type}`);
    expect(["SASL_AUTHENTICATION_FAILED", "ILLEGAL_SASL_STATE"]).toContain(answer.error);
  });
});

/** Returns the result of a JSON reader, or null if the input is properly rejected. */
function parsed<T>(reader: () => T): T | null {
  try {
    return reader();
  } catch (error) {
    expect(error).toBeInstanceOf(BrokerError);
    expect((error as BrokerError).code).toBe("INVALID_REQUEST");
    return null;
  }
}

const OPERATIONS = new Set<string>(["ALL", ...Object.values(OPERATIONS_OF).flat()]);

test("[ACL-3] anything in place of grants is a list of them, or rejected", () =>
  underFire(1_000, (fuzz) => {
    for (const value of [fuzz.value(), [fuzz.grant(), fuzz.grant()], [fuzz.value()]])
      for (const grant of parsed(() => parse(grantsSchema, value)) ?? []) {
        const operations = "cluster" in grant ? grant.cluster : grant.operations;
        expect(operations.length).toBeGreaterThan(0);
        expect(operations.filter((operation) => !OPERATIONS.has(operation))).toEqual([]);
      }
  }));

test("[ACL-7] anything said to an object about a caller is a caller, or refused", () =>
  underFire(1_000, (fuzz) => {
    const said = {
      principal: fuzz.value(),
      grants: [fuzz.grant()],
      expiresAtMs: null,
      keyId: fuzz.value(),
    };
    for (const text of [
      JSON.stringify(said),
      JSON.stringify({ ...said, principal: "User:a", keyId: null }),
      JSON.stringify(fuzz.value()) ?? "",
      fuzz.bearer(),
    ]) {
      const headers = { get: (name: string) => (name === CALLER_HEADER ? text : null) };
      const caller = parsed(() => callerOfUpgrade({ headers: headers as Headers }, true));
      if (caller !== null) expect(typeof caller.principal).toBe("string");
    }
  }));
