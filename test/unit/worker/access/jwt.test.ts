import fc from "fast-check";
import {
  exportJWK,
  exportSPKI,
  generateKeyPair,
  type JSONWebKeySet,
  type JWK,
  type JWTPayload,
  SignJWT,
} from "jose";
import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { type Grant, ROLES } from "../../../../src/core/access/grants.ts";
import { MAX_TOKEN_CHARS } from "../../../../src/core/limits.ts";
import { type Issuer, issuersOf } from "../../../../src/worker/access/issuers.ts";
import {
  JWKS_MAX_AGE_MS,
  JWKS_PAUSE_MS,
  JWKS_RETRY_MS,
  JWKS_STALE_MS,
  JWKS_TIMEOUT_MS,
  MAX_JWKS_BYTES,
  Tokens,
} from "../../../../src/worker/access/jwt.ts";
import { runs } from "../../../support/effort.ts";

const NOW = Date.UTC(2026, 10, 30);
const SECONDS = NOW / 1_000;
const ISS = "https://id.example";
const JWKS_URL = "https://id.example/keys";
const SECRET = "a secret that both sides have, and nobody else";
const GRANTS: Grant[] = [{ topics: { prefix: "orders." }, operations: ["READ"] }];

interface Signer {
  readonly alg: string;
  readonly sign: CryptoKey;
  readonly jwk: JWK;
  readonly spki: string;
}

async function newSigner(alg: string, kid?: string): Promise<Signer> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), ...(kid === undefined ? {} : { kid }) };
  return { alg, sign: privateKey, jwk, spki: await exportSPKI(publicKey) };
}

let es: Signer;
let es2: Signer;
let ed: Signer;
let rs: Signer;
let ps: Signer;

beforeAll(async () => {
  es = await newSigner("ES256", "1");
  es2 = await newSigner("ES256", "2");
  ed = await newSigner("EdDSA", "3");
  rs = await newSigner("RS256", "4");
  ps = await newSigner("PS256", "5");
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const GOOD = {
  iss: ISS,
  aud: "shop",
  sub: "alice",
  iat: SECONDS,
  exp: SECONDS + 900,
  rivulet: GRANTS,
};

/** Signs the claims of a good token, changed. Claims that are undefined are left out. */
async function signed(
  { alg, sign, jwk }: Pick<Signer, "alg" | "jwk"> & { sign: CryptoKey | Uint8Array },
  change: Record<string, unknown> = {},
  header: Record<string, unknown> = {},
): Promise<string> {
  const claims = JSON.parse(JSON.stringify({ ...GOOD, ...change })) as JWTPayload;
  const options = header.crit === undefined ? {} : { crit: { exp: true, b64: true } };
  const named = jwk.kid === undefined ? {} : { kid: jwk.kid };
  return new SignJWT(claims).setProtectedHeader({ alg, ...named, ...header }).sign(sign, options);
}

function base64url(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return base64urlOf(new TextEncoder().encode(text));
}

function base64urlOf(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

const NO_SERVICES = {
  fetch: () => Promise.reject(new Error("nothing is fetched")),
  keeper: { load: async () => null, keep: async () => {} },
};

function issuer(fields: Record<string, unknown>): Issuer {
  const [only] = issuersOf(JSON.stringify([{ iss: ISS, aud: "shop", ...fields }]));
  if (only === undefined) throw new Error("there is none");
  return only;
}

function withKeys(...signers: Signer[]): Issuer {
  const algorithms = [...new Set(signers.map(({ alg }) => alg))];
  return issuer({ algorithms, keys: signers.map(({ jwk }) => jwk) });
}

const tokensOf = (...issuers: Issuer[]) => new Tokens(issuers, NO_SERVICES);

/** Returns why the token is refused. */
async function refusal(tokens: Tokens, token: string, nowMs = NOW): Promise<string> {
  const result = await tokens.callerOf(token, nowMs);
  if (result.ok) throw new Error("it was taken");
  expect(result.error).toBe("SASL_AUTHENTICATION_FAILED");
  if (token.length > 80) expect(result.detail).not.toContain(token.slice(0, 80));
  return result.detail;
}

const alice = {
  principal: "User:alice",
  grants: GRANTS,
  expiresAtMs: NOW + 900_000 + 30_000, // The clocks may differ by this much.
  keyId: null,
};

describe("a token", () => {
  test("[JWT-3] of each algorithm says who calls", async () => {
    const tokens = tokensOf(withKeys(es, ed, rs, ps));
    for (const signer of [es, ed, rs, ps])
      expect(await tokens.callerOf(await signed(signer), NOW)).toEqual({ ok: true, caller: alice });
    const shared = issuer({ iss: "us", algorithms: ["HS256"], secret: SECRET });
    const sign = new TextEncoder().encode(SECRET);
    const token = await signed({ alg: "HS256", sign, jwk: {} }, { iss: "us" });
    expect(await tokensOf(shared).callerOf(token, NOW)).toEqual({ ok: true, caller: alice });
  });

  test("[JWT-3] is judged by its own issuer's keys", async () => {
    const other = { ...withKeys(es2), iss: "other" };
    const tokens = tokensOf(withKeys(es), other);
    expect(await tokens.callerOf(await signed(es), NOW)).toMatchObject({ ok: true });
    const token = await signed(es2, { iss: "other" });
    expect(await tokens.callerOf(token, NOW)).toMatchObject({ ok: true });
    const named = { kid: "2" };
    expect(await refusal(tokens, await signed(es, { iss: "other" }, named))).toMatch(/signature/);
    expect(await refusal(tokens, await signed(es, { iss: "other" }))).toMatch(/has no key like/);
    expect(await refusal(tokens, await signed(es, { iss: "third" }))).toMatch(/^iss is "third", /);
  });

  test.each<[string, Record<string, unknown>, RegExp]>([
    ["no iss", { iss: undefined }, /^iss is nothing, which is not an issuer/],
    ["an iss that is a list", { iss: [ISS] }, /^iss is \["https:/],
    ["an iss in other letters", { iss: ISS.toUpperCase() }, /^iss is /],
    ["an iss with a slash", { iss: `${ISS}/` }, /^iss is /],
    ["no aud", { aud: undefined }, /^aud is required/],
    ["another aud", { aud: "bank" }, /^aud is "bank", which this broker does not accept/],
    ["other auds", { aud: ["bank", "shop2"] }, /^aud is \["bank"/],
    ["an aud that is no string", { aud: { shop: 1 } }, /^aud is \{/],
    ["no exp", { exp: undefined }, /^exp is required/],
    ["an exp that is text", { exp: `${SECONDS + 900}` }, /^exp is "/],
    ["an exp in the past", { exp: SECONDS - 30, iat: SECONDS - 60 }, /^the token has expired/],
    ["no iat", { iat: undefined }, /^iat is required/],
    ["an iat that is text", { iat: "now" }, /^iat is "now"/],
    ["an iat in the future", { iat: SECONDS + 31 }, /^iat is \d+, which is in the future/],
    ["an iat after exp", { iat: SECONDS + 20, exp: SECONDS + 10 }, /which is not after iat/],
    ["a life of a second too much", { exp: SECONDS + 86_401 }, /86401 s after iat; the bound is/],
    ["an nbf in the future", { nbf: SECONDS + 31 }, /^nbf is \d+, which this broker/],
    ["no sub", { sub: undefined }, /^sub is required/],
    ["an empty sub", { sub: "" }, /^sub is "", it must be 1 to 256/],
    ["a long sub", { sub: "s".repeat(257) }, /^sub is "s+…, it must be 1 to 256/],
    ["a sub that is a number", { sub: 1 }, /^sub is 1, /],
    ["a sub with a line break", { sub: "a\nb" }, /^sub is "a\\nb", /],
    ["a sub with a zero", { sub: "a\u0000" }, /^sub is /],
    ["a sub that turns text around", { sub: "a\u202eb" }, /^sub is /],
    ["the root's sub", { sub: "root" }, /^sub is "root", which is the broker's own name/],
    ["a sub that reads like the root's", { sub: "ROOT " }, /which is the broker's own name/],
    ["the root's sub with its type", { sub: "User:root" }, /which is the broker's own name/],
    ["nobody's sub", { sub: "anonymous" }, /which is the broker's own name/],
    ["no grants", { rivulet: undefined }, /^rivulet: must be a list of grants, .*got nothing/],
    ["grants that are text", { rivulet: "admin" }, /^rivulet: must be a list of grants/],
    [
      "a bad grant",
      { rivulet: [{ cluster: ["FLY"] }] },
      /^rivulet\[0\]\.cluster\[0\]: must be an op/,
    ],
    [
      "a bad grant inside",
      { rivulet: { grants: [{ cluster: ["READ"] }] } },
      /^rivulet\.grants\[0\]\.cluster\[0\]: must be an operation on a cluster/,
    ],
    ["an unknown role", { rivulet: { role: "owner" } }, /^rivulet\.role: must be one of read/],
    ["grants and a role", { rivulet: { role: "read", grants: [] } }, /^rivulet: must be a list/],
    ["too many grants", { rivulet: Array(101).fill({ cluster: ["ALL"] }) }, /^rivulet: must /],
  ])("[JWT-3] with %s is refused", async (_what, change, detail) => {
    expect(await refusal(tokensOf(withKeys(es)), await signed(es, change))).toMatch(detail);
  });

  test("[JWT-3] with invalid times is refused", async () => {
    const tokens = tokensOf(withKeys(es));
    for (const [iat, exp] of [
      ["1e999", "1e999"],
      ["-1e999", `${SECONDS + 60}`],
      ["-1e999", "-1e999"],
      [`${SECONDS}`, "1e999"],
    ]) {
      const head = base64url({ alg: "ES256", kid: "1" });
      const claims = JSON.stringify({ ...GOOD, iat: 0, exp: 1 })
        .replace('"iat":0', `"iat":${iat}`)
        .replace('"exp":1', `"exp":${exp}`);
      const text = `${head}.${base64url(claims)}`;
      const signature = await crypto.subtle.sign(
        { name: "ECDSA", hash: "SHA-256" },
        es.sign,
        new TextEncoder().encode(text),
      );
      const token = `${text}.${base64urlOf(new Uint8Array(signature))}`;
      expect(await refusal(tokens, token)).toMatch(/^(iat|exp) is|^the token has expired/);
    }
  });

  test("[JWT-3] may come from a clock that is half a minute off, and live for a day", async () => {
    const tokens = tokensOf(withKeys(es));
    for (const change of [
      { iat: SECONDS + 30 },
      { iat: SECONDS - 100, exp: SECONDS - 29 },
      { nbf: SECONDS + 30 },
      { exp: SECONDS + 86_400 },
    ]) {
      const { exp } = { ...GOOD, ...change };
      expect(await tokens.callerOf(await signed(es, change), NOW)).toMatchObject({
        caller: { expiresAtMs: (exp + 30) * 1_000 },
      });
    }
    const token = await signed(es);
    expect(await tokens.callerOf(token, NOW + 929_999)).toMatchObject({ ok: true });
    expect(await refusal(tokens, token, NOW + 930_000)).toBe("the token has expired");
    expect(await refusal(tokens, token, NOW - 31_000)).toMatch(/^iat is /);
  });

  test("[JWT-3] may have this broker among its audiences, and any visible subject", async () => {
    const tokens = tokensOf(withKeys(es));
    for (const sub of [
      "s".repeat(256),
      "auth0|12 3",
      "system:serviceaccount:a:b",
      "Zoë 🙂",
      "a ",
      "ro ot",
    ]) {
      const token = await signed(es, { sub, aud: ["bank", "shop"] }, { typ: "at+jwt", x5t: "a" });
      expect(await tokens.callerOf(token, NOW)).toMatchObject({
        caller: { principal: `User:${sub}` },
      });
    }
  });

  test("[JWT-3] never chooses its algorithm", async () => {
    const tokens = tokensOf(withKeys(es));
    const [head = "", body = "", signature = ""] = (await signed(es)).split(".");
    expect(await refusal(tokens, `${base64url({ alg: "none" })}.${body}.`)).toMatch(
      /^alg is "none", it must be ES256 for this issuer/,
    );
    for (const alg of ["None", "NONE", "HS256", "ES384", "RS256", "", null, 1, ["ES256"]])
      expect(await refusal(tokens, `${base64url({ alg, kid: "1" })}.${body}.${signature}`)).toMatch(
        /^alg is /,
      );
    expect(await refusal(tokens, `${base64url({ kid: "1" })}.${body}.${signature}`)).toMatch(
      /^alg is nothing/,
    );
    expect(await refusal(tokens, `${head}.${body}.`)).toBe("the token's signature is wrong");
    // Keys of one kind verify two algorithms, of which the issuer has one.
    const narrow = tokensOf(withKeys(rs));
    expect(await refusal(narrow, await signed({ ...rs, alg: "PS256", sign: ps.sign }))).toMatch(
      /^alg is "PS256", it must be RS256/,
    );
  });

  test("[JWT-3] is never signed with public data", async () => {
    const bytes = (text: string) => new TextEncoder().encode(text);
    for (const signer of [es, rs]) {
      const tokens = tokensOf(withKeys(signer));
      const remote = issuer({ algorithms: [signer.alg], jwksUrl: JWKS_URL });
      const fetched = new Tokens([remote], publisher(signer).services);
      for (const text of [
        signer.spki,
        `${signer.spki}\n`,
        signer.spki.replace(/-----.*?-----|\s/g, ""),
        JSON.stringify(signer.jwk),
        signer.jwk.x ?? "",
        signer.jwk.n ?? "",
      ].filter((each) => each !== "")) {
        const forged = await signed({ alg: "HS256", sign: bytes(text), jwk: signer.jwk });
        expect(await refusal(tokens, forged)).toMatch(/^alg is "HS256", it must be (ES|RS)256/);
        expect(await refusal(fetched, forged)).toMatch(/^alg is "HS256", it must be (ES|RS)256/);
      }
    }
  });

  test("[JWT-3] is never verified with a key if the issuer has a secret", async () => {
    const tokens = tokensOf(issuer({ algorithms: ["HS256"], secret: SECRET }));
    expect(await refusal(tokens, await signed(es))).toMatch(/^alg is "ES256", it must be HS256/);
    const sign = new TextEncoder().encode(`${SECRET}!`);
    const token = await signed({ alg: "HS256", sign, jwk: {} });
    expect(await refusal(tokens, token)).toBe("the token's signature is wrong");
  });

  test.each<[string, unknown]>([
    ["jwk", { kty: "EC" }],
    ["jku", "https://evil.example/keys"],
    ["x5u", "https://evil.example/chain"],
    ["crit", ["exp"]],
    ["crit", ["b64"]],
    ["jwk", null],
  ])("[JWT-3] never brings its own key, nor a meaning: %s %j", async (field, value) => {
    const header = { [field]: value, ...(field === "crit" ? { exp: SECONDS, b64: true } : {}) };
    const detail = `the token's header has ${field}, which no token may have here`;
    const tokens = tokensOf(withKeys(es));
    expect(await refusal(tokens, await signed(es, {}, header))).toBe(detail);
    const own = { ...header, ...(field === "jwk" ? { jwk: es2.jwk } : {}) };
    expect(await refusal(tokens, await signed(es2, {}, own))).toBe(detail);
  });

  test("[JWT-3] is never longer than the bound", async () => {
    const tokens = tokensOf(withKeys(es));
    let fill = 2_000;
    let token = "";
    do token = await signed(es, { fill: "f".repeat(fill++) });
    while (token.length < MAX_TOKEN_CHARS - 1);
    expect(await tokens.callerOf(token, NOW)).toMatchObject({ ok: true });
    const long = await signed(es, { fill: "f".repeat(fill + 2) });
    expect(await refusal(tokens, long)).toBe(
      `the token has ${long.length} characters, the bound is 4096`,
    );
  });

  test("[JWT-3] that two keys fit is refused", async () => {
    const { kid: _one, ...first } = es.jwk;
    const { kid: _two, ...second } = es2.jwk;
    const ambiguous = /^several keys of the token's issuer fit; the token needs a kid/;
    const nameless = issuer({ algorithms: ["ES256"], keys: [first, second] });
    expect(await refusal(tokensOf(nameless), await signed(es, {}, { kid: undefined }))).toMatch(
      ambiguous,
    );
    const named = tokensOf(withKeys(es, es2));
    expect(await refusal(named, await signed(es, {}, { kid: undefined }))).toMatch(ambiguous);
    expect(await named.callerOf(await signed(es), NOW)).toMatchObject({ ok: true });
    const twins = issuer({ algorithms: ["ES256"], keys: [es.jwk, { ...es2.jwk, kid: "1" }] });
    expect(await refusal(tokensOf(twins), await signed(es))).toMatch(ambiguous);
    // One key that fits needs no name.
    const alone = await signed(es, {}, { kid: undefined });
    expect(await tokensOf(withKeys(es, ed)).callerOf(alone, NOW)).toMatchObject({ ok: true });
  });

  test("[JWT-3] is refused, not a fault, if the issuer's key is not a point of its curve", async () => {
    const jwk = { ...es.jwk, x: es2.jwk.x };
    const tokens = tokensOf(issuer({ algorithms: ["ES256"], keys: [jwk] }));
    expect(await refusal(tokens, await signed(es))).toBe("the token cannot be verified");
  });
});

describe("grants in a token", () => {
  const grantsOf = async (fields: Record<string, unknown>, claims: Record<string, unknown>) => {
    const configured = issuer({ algorithms: ["ES256"], keys: [es.jwk], ...fields });
    const result = await tokensOf(configured).callerOf(await signed(es, claims), NOW);
    return result.ok ? result.caller.grants : result.detail;
  };

  test("[JWT-2] are a list, a list inside, or a role", async () => {
    expect(await grantsOf({}, { rivulet: { grants: GRANTS } })).toEqual(GRANTS);
    expect(await grantsOf({}, { rivulet: { role: "consume" } })).toEqual(ROLES.consume);
    expect(await grantsOf({}, { rivulet: [] })).toEqual([]);
    const claim = "https://rivulet.example/grants";
    expect(await grantsOf({ claim }, { [claim]: { role: "write" } })).toEqual(ROLES.write);
    expect(await grantsOf({ claim }, {})).toMatch(/^https:\/\/.*: must be a list of grants/);
  });

  test("[JWT-2] come from scopes and groups by the issuer's map", async () => {
    const map = { "orders.read": "read", ops: GRANTS, admins: "admin" };
    const scope = { claim: "scope", map };
    expect(await grantsOf(scope, { scope: "openid orders.read" })).toEqual(ROLES.read);
    expect(await grantsOf(scope, { scope: "ops  ops orders.read" })).toEqual([
      ...GRANTS,
      ...ROLES.read,
    ]);
    expect(await grantsOf(scope, { scope: ["ops"] })).toEqual(GRANTS);
    expect(await grantsOf(scope, { scope: [] })).toEqual([]);
    expect(await grantsOf(scope, { scope: "" })).toEqual([]);
    expect(await grantsOf(scope, { scope: "Admins constructor toString" })).toEqual([]);
    // The token's claims under another name count for nothing.
    expect(await grantsOf(scope, { rivulet: { role: "admin" } })).toEqual([]);
    expect(await grantsOf(scope, { scope: { admins: true } })).toMatch(/^scope: must be a string/);
    expect(await grantsOf(scope, { scope: ["ops", 1] })).toMatch(
      /^scope(\[1\])?: must be a string/,
    );
    expect(await grantsOf(scope, { scope: null })).toMatch(/^scope: must be a string/);
  });

  test("[JWT-2] are bounded, wherever they come from", async () => {
    const many: Grant[] = Array(60).fill(GRANTS[0]);
    const map = { a: many, b: many };
    expect(await grantsOf({ claim: "groups", map }, { groups: ["a"] })).toHaveLength(60);
    expect(await grantsOf({ claim: "groups", map }, { groups: ["a", "b"] })).toBe(
      'groups: must amount to at most 100 grants, and amounts to 120; got ["a","b"]',
    );
  });

  test.each(["x", "語", "🚀"])(
    "[ACL-9] that come to more bytes than a socket keeps are rejected: %s",
    async (letter) => {
      const bytes = new TextEncoder().encode(letter).length;
      const names = (count: number): Grant[] =>
        Array.from({ length: count }, (_, i) => ({
          topics: { prefix: `${i}${letter.repeat(Math.floor(240 / bytes))}` },
          operations: ["READ"],
        }));
      const map = { a: names(27), b: names(27) };
      expect(await grantsOf({ claim: "groups", map }, { groups: ["a"] })).toHaveLength(27);
      expect(await grantsOf({ claim: "groups", map }, { groups: ["a", "b"] })).toMatch(
        /^grants: User:\S+'s 54 grants and .* come to 1[56]\d{3} bytes, the bound is 15200; give fewer/,
      );
    },
  );
});

describe("whatever is no token", () => {
  const result = async (tokens: Tokens, text: string) => {
    const { ok } = await tokens.callerOf(text, NOW);
    return ok;
  };

  test.each(["", ".", "..", "a.b.c", "a.b.c.d.e", "rvk_a", "Bearer a.b.c", "é.é.é", "e30.e30.e30"])(
    "[JWT-3] is refused: %j",
    async (text) => {
      const tokens = tokensOf(withKeys(es));
      expect(await refusal(tokens, text)).toMatch(/not a JSON Web Token|^iss is nothing/);
    },
  );

  test("[JWT-3] is refused, and nothing is thrown, for any text", async () => {
    const tokens = tokensOf(
      withKeys(es),
      issuer({ iss: "b", algorithms: ["HS256"], secret: SECRET }),
    );
    const part = fc.oneof(
      fc.string({ unit: fc.constantFrom(..."abcXYZ019-_=+/ ") }),
      fc.json().map(base64url),
      fc
        .record(
          {
            alg: fc.constantFrom("ES256", "HS256", "none", "RS256", "dir"),
            kid: fc.oneof(fc.constant("1"), fc.jsonValue()),
            crit: fc.jsonValue(),
            b64: fc.boolean(),
            __proto__: fc.jsonValue(),
          },
          { requiredKeys: [] },
        )
        .map(base64url),
      fc
        .record(
          {
            iss: fc.constantFrom(ISS, "b", "__proto__", "constructor"),
            aud: fc.oneof(fc.constant("shop"), fc.jsonValue()),
            sub: fc.jsonValue(),
            exp: fc.jsonValue(),
          },
          { requiredKeys: [] },
        )
        .map(base64url),
    );
    const texts = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.array(part, { minLength: 1, maxLength: 6 }).map((parts) => parts.join(".")),
      fc.tuple(part, part, part).map((parts) => parts.join(".")),
    );
    await fc.assert(
      fc.asyncProperty(texts, async (text) => {
        expect(await result(tokens, text)).toBe(false);
      }),
      runs(500),
    );
  });

  test("[JWT-3] is refused after any change of a token's text", async () => {
    const tokens = tokensOf(withKeys(es));
    const token = await signed(es);
    const kept = (text: string) => {
      // The last character of a part has unused bits.
      const bits = (part: string) => part.slice(0, -1);
      return text.split(".").map(bits).join(".");
    };
    const change = fc.tuple(
      fc.nat(token.length - 1),
      fc.constantFrom(..."ABCxyz019-_.=\u0000 "),
      fc.nat(2),
    );
    await fc.assert(
      fc.asyncProperty(change, async ([at, char, removed]) => {
        const text = token.slice(0, at) + char + token.slice(at + removed);
        fc.pre(text !== token && kept(text) !== kept(token));
        expect(await result(tokens, text)).toBe(false);
      }),
      runs(500),
    );
  });

  test("[JWT-3] claims of any kind, well signed, throw nothing", async () => {
    const tokens = tokensOf(
      withKeys(es),
      issuer({
        iss: "m",
        algorithms: ["ES256"],
        keys: [es.jwk],
        claim: "scope",
        map: { a: "read" },
      }),
    );
    const claims = fc.record(
      {
        iss: fc.constantFrom(ISS, "m"),
        sub: fc.jsonValue(),
        aud: fc.oneof(fc.constant("shop"), fc.jsonValue()),
        iat: fc.oneof(fc.constant(SECONDS), fc.jsonValue()),
        exp: fc.oneof(fc.constant(SECONDS + 60), fc.jsonValue()),
        nbf: fc.jsonValue(),
        rivulet: fc.jsonValue(),
        scope: fc.jsonValue(),
      },
      { requiredKeys: [] },
    );
    await fc.assert(
      fc.asyncProperty(claims, async (each) => {
        const token = await signed(es, each);
        expect(typeof (await result(tokens, token))).toBe("boolean");
      }),
      runs(200),
    );
  });
});

/** An issuer that publishes keys, and counts the requests. */
function publisher(...signers: Signer[]) {
  const state = {
    keys: signers.map(({ jwk }) => jwk),
    /** Its alternative response, if any. */
    answer: null as (() => Promise<Response> | Response) | null,
    fetches: 0,
    inits: [] as RequestInit[],
    kept: null as { jwks: unknown; atMs: number } | null,
    loads: 0,
    services: {
      fetch: async (url: string, init: RequestInit) => {
        expect(url).toBe(JWKS_URL);
        state.fetches++;
        state.inits.push(init);
        return state.answer === null ? Response.json({ keys: state.keys }) : state.answer();
      },
      keeper: {
        load: async (url: string) => {
          expect(url).toBe(JWKS_URL);
          state.loads++;
          return state.kept;
        },
        keep: async (url: string, jwks: JSONWebKeySet, atMs: number) => {
          expect(url).toBe(JWKS_URL);
          state.kept = { jwks: structuredClone(jwks), atMs };
        },
      },
    },
  };
  return state;
}

const down = () => Promise.reject(new TypeError("no connection"));

describe("keys at a URL", () => {
  const configured = () => issuer({ algorithms: ["ES256"], jwksUrl: JWKS_URL });
  const start = (...signers: Signer[]) => {
    const published = publisher(...signers);
    return { published, tokens: new Tokens([configured()], published.services) };
  };
  /** A token that is valid at the time. */
  const at = (nowMs: number, signer: Signer, header = {}) =>
    signed(signer, { iat: nowMs / 1_000 - 1, exp: nowMs / 1_000 + 60 }, header);
  const isTaken = async (tokens: Tokens, signer: Signer, nowMs: number) =>
    (await tokens.callerOf(await at(nowMs, signer), nowMs)).ok;
  const quiet = () => vi.spyOn(console, "warn").mockImplementation(() => {});

  test("[JWT-4] are fetched once in ten minutes, and kept", async () => {
    const { published, tokens } = start(es, rs);
    for (const nowMs of [NOW, NOW + 1_000, NOW + JWKS_MAX_AGE_MS - 1])
      expect(await isTaken(tokens, es, nowMs)).toBe(true);
    expect(published.fetches).toBe(1);
    expect(published.kept).toEqual({ jwks: { keys: [es.jwk, rs.jwk] }, atMs: NOW });
    expect(published.inits).toMatchObject([{ redirect: "manual" }]);
    expect(await isTaken(tokens, es, NOW + JWKS_MAX_AGE_MS)).toBe(true);
    expect(published.fetches).toBe(2);
    expect(published.kept?.atMs).toBe(NOW + JWKS_MAX_AGE_MS);
    expect(published.loads).toBe(1);
  });

  test("[JWT-4] that rotate are found at once, and those that are gone within ten minutes", async () => {
    const { published, tokens } = start(es);
    expect(await isTaken(tokens, es, NOW)).toBe(true);
    published.keys = [es2.jwk];
    expect(await isTaken(tokens, es, NOW + JWKS_PAUSE_MS)).toBe(true);
    expect(published.fetches).toBe(1);
    expect(await isTaken(tokens, es2, NOW + JWKS_PAUSE_MS)).toBe(true);
    expect(published.fetches).toBe(2);
    expect(await isTaken(tokens, es, NOW + JWKS_PAUSE_MS + 1)).toBe(false);
    published.keys = [];
    expect(await isTaken(tokens, es2, NOW + JWKS_PAUSE_MS + JWKS_MAX_AGE_MS)).toBe(false);
  });

  test("[JWT-4] a flood of made-up names fetches once in 30 s", async () => {
    const { published, tokens } = start(es);
    for (let ms = 0; ms < 3 * JWKS_PAUSE_MS; ms += 500) {
      const nowMs = NOW + ms;
      const token = await at(nowMs, es, { kid: `made up ${ms}` });
      expect(await refusal(tokens, token, nowMs)).toMatch(/has no key like the one/);
    }
    expect(published.fetches).toBe(3);
    // Many at once.
    const nowMs = NOW + 4 * JWKS_PAUSE_MS;
    const flood = await Promise.all(
      Array.from({ length: 100 }, (_, i) => at(nowMs, es, { kid: `another ${i}` })),
    );
    const results = await Promise.all(flood.map((token) => tokens.callerOf(token, nowMs)));
    expect(results.filter(({ ok }) => ok)).toEqual([]);
    expect(published.fetches).toBe(4);
  });

  test("[JWT-4] a flood fetches no more often while the fetches fail", async () => {
    const warnings = quiet();
    const { published, tokens } = start(es);
    expect(await isTaken(tokens, es, NOW)).toBe(true);
    published.answer = down;
    for (let ms = JWKS_PAUSE_MS; ms < 3 * JWKS_PAUSE_MS; ms += 500)
      await refusal(tokens, await at(NOW + ms, es, { kid: `made up ${ms}` }), NOW + ms);
    expect(published.fetches).toBe(3);
    expect(warnings).toHaveBeenCalledTimes(2);
  });

  test("[JWT-4] of concurrent requests are fetched once", async () => {
    const { published, tokens } = start(es);
    const token = await signed(es);
    const calls = Array.from({ length: 50 }, (_, i) => tokens.callerOf(token, NOW + (i % 3)));
    for (const result of await Promise.all(calls)) expect(result).toMatchObject({ ok: true });
    expect(published.fetches).toBe(1);
  });

  test("[JWT-4] that another isolate has fetched are used, and are as old as they are", async () => {
    const { published, tokens } = start(es2);
    published.kept = { jwks: { keys: [es.jwk] }, atMs: NOW - 60_000 };
    expect(await isTaken(tokens, es, NOW)).toBe(true);
    expect(published.fetches).toBe(0);
    expect(await isTaken(tokens, es2, NOW)).toBe(true);
    expect(published.fetches).toBe(1);

    const old = start(es2);
    old.published.kept = { jwks: { keys: [es.jwk] }, atMs: NOW - JWKS_MAX_AGE_MS };
    expect(await isTaken(old.tokens, es2, NOW)).toBe(true);
    expect(old.published.fetches).toBe(1);
  });

  test.each([
    ["out of reach", down],
    ["in error", () => new Response("{}", { status: 500 })],
    ["somewhere else", () => Response.redirect("https://evil.example/keys", 302)],
    ["not JSON", () => new Response("<html>")],
    ["no key set", () => Response.json({ key: [] })],
    ["no keys", () => Response.json({ keys: [1] })],
    ["without a body", () => new Response(null)],
    ["deep", () => new Response("[".repeat(10_000))],
    ["large", () => Response.json({ keys: [], fill: "f".repeat(MAX_JWKS_BYTES) })],
    ["many", () => Response.json({ keys: Array(101).fill({ kty: "EC" }) })],
  ])("[JWT-4] that are %s stay as they were, for a day", async (_what, answer) => {
    quiet();
    const { published, tokens } = start(es);
    expect(await isTaken(tokens, es, NOW)).toBe(true);
    published.answer = answer;
    for (const ageMs of [JWKS_MAX_AGE_MS, JWKS_STALE_MS / 2, JWKS_STALE_MS - 1])
      expect(await isTaken(tokens, es, NOW + ageMs)).toBe(true);
    expect(published.fetches).toBe(4);
    // A new isolate has what was kept.
    const begun = new Tokens([configured()], published.services);
    expect(await isTaken(begun, es, NOW + JWKS_STALE_MS - 1)).toBe(true);
    expect(await refusal(begun, await at(NOW, es2), NOW)).toMatch(/has no key like/);
    // After a day nobody can decide.
    for (const each of [tokens, begun, new Tokens([configured()], published.services)]) {
      const late = NOW + JWKS_STALE_MS + JWKS_PAUSE_MS;
      await expect(each.callerOf(await at(late, es), late)).rejects.toMatchObject({
        code: "NETWORK_EXCEPTION",
        message: "the keys of the token's issuer cannot be fetched now; try again",
      });
    }
    published.answer = null;
    const mended = NOW + JWKS_STALE_MS + 2 * JWKS_PAUSE_MS;
    expect(await isTaken(tokens, es, mended)).toBe(true);
  });

  test("[JWT-4] that were never fetched are retried soon, and not at each request", async () => {
    quiet();
    const { published, tokens } = start(es);
    published.answer = down;
    const token = await signed(es);
    for (let ms = 0; ms < JWKS_RETRY_MS; ms += 500)
      await expect(tokens.callerOf(token, NOW + ms)).rejects.toMatchObject({
        code: "NETWORK_EXCEPTION",
      });
    expect(published.fetches).toBe(1);
    published.answer = null;
    expect(await isTaken(tokens, es, NOW + JWKS_RETRY_MS)).toBe(true);
    // Other refusals need no keys.
    published.answer = down;
    expect(await refusal(start(es).tokens, "a.b.c")).toBe("this is not a JSON Web Token");
  });

  test("[JWT-4] do without the keeper", async () => {
    const { published } = start(es);
    const keeper = { load: down, keep: down };
    const tokens = new Tokens([configured()], { ...published.services, keeper });
    expect(await isTaken(tokens, es, NOW)).toBe(true);
    expect(published.fetches).toBe(1);
    for (const kept of [
      { jwks: "damaged", atMs: NOW },
      { jwks: { keys: [es2.jwk] }, atMs: NOW + 3_600_000 }, // The clock was set back since.
    ]) {
      const other = start(es);
      other.published.kept = kept;
      expect(await isTaken(other.tokens, es, NOW)).toBe(true);
      expect(other.published.fetches).toBe(1);
    }
  });

  test("[JWT-4] that do not come are waited for so long and no longer", async () => {
    quiet();
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { published, tokens } = start(es);
    published.answer = () => new Promise<Response>(() => {});
    const token = await signed(es);
    const both = [tokens.callerOf(token, NOW), tokens.callerOf(token, NOW + 1)];
    const settled = Promise.allSettled(both);
    await vi.advanceTimersByTimeAsync(JWKS_TIMEOUT_MS);
    await vi.advanceTimersByTimeAsync(JWKS_TIMEOUT_MS);
    for (const { status } of await settled) expect(status).toBe("rejected");
    expect(published.inits[0]?.signal?.aborted).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("[JWT-4] whose body does not end are waited for so long and no longer", async () => {
    quiet();
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { published, tokens } = start(es);
    published.answer = () => new Response(new ReadableStream({}));
    const call = expect(tokens.callerOf(await signed(es), NOW)).rejects.toThrow(
      /cannot be fetched/,
    );
    await vi.advanceTimersByTimeAsync(JWKS_TIMEOUT_MS);
    await call;
    expect(vi.getTimerCount()).toBe(0);
  });

  test("[JWT-4] of a set that is old are not waited for while another request fetches it", async () => {
    const { published, tokens } = start(es);
    expect(await isTaken(tokens, es, NOW)).toBe(true);
    const { promise, resolve } = Promise.withResolvers<Response>();
    published.answer = () => promise;
    const later = NOW + JWKS_MAX_AGE_MS;
    const token = await at(later, es);
    const first = tokens.callerOf(token, later);
    await vi.waitFor(() => expect(published.fetches).toBe(2));
    expect(await tokens.callerOf(token, later + 1)).toMatchObject({ ok: true });
    // A new key is waited for.
    const rotated = tokens.callerOf(await at(later, es2), later + 2);
    resolve(Response.json({ keys: [es.jwk, es2.jwk] }));
    expect(await first).toMatchObject({ ok: true });
    expect(await rotated).toMatchObject({ ok: true });
    expect(published.fetches).toBe(2);
  });

  test("[JWT-4] are fetched by another request if the one that fetches is cancelled", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { published, tokens } = start(es);
    const token = await signed(es);
    // The code of a cancelled request stops where it is: not even its timers ring.
    published.answer = () => new Promise<Response>(() => {});
    void tokens.callerOf(token, NOW);
    await vi.waitFor(() => expect(published.fetches).toBe(1));
    vi.clearAllTimers();
    published.answer = null;
    const waiting = tokens.callerOf(token, NOW + 1);
    await vi.advanceTimersByTimeAsync(JWKS_TIMEOUT_MS);
    expect(await waiting).toMatchObject({ ok: true });
    expect(published.fetches).toBe(2);
  });

  test("[JWT-4] an old set is fetched again, even if a request was cancelled while it fetched", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { published, tokens } = start(es);
    expect(await isTaken(tokens, es, NOW)).toBe(true);
    published.answer = () => new Promise<Response>(() => {});
    const later = NOW + JWKS_MAX_AGE_MS;
    void tokens.callerOf(await at(later, es), later);
    await vi.waitFor(() => expect(published.fetches).toBe(2));
    vi.clearAllTimers();
    published.answer = null;
    expect(await isTaken(tokens, es, later + JWKS_TIMEOUT_MS)).toBe(true);
    expect(published.fetches).toBe(2);
    expect(await isTaken(tokens, es, later + JWKS_PAUSE_MS)).toBe(true);
    expect(published.fetches).toBe(3);
  });

  test("[JWT-4] of other kinds are skipped, and of two that fit none is taken", async () => {
    const odd = [{ kty: "oct", k: "YQ" }, { kty: "AKP", alg: "ML-DSA-44" }, { kty: "new" }, ed.jwk];
    const { published, tokens } = start();
    published.keys = [...odd, es.jwk] as JWK[];
    expect(await isTaken(tokens, es, NOW)).toBe(true);
    const { kid: _one, ...first } = es.jwk;
    const { kid: _two, ...second } = es2.jwk;
    const ambiguous = start();
    ambiguous.published.keys = [first, second];
    const nameless = await signed(es, {}, { kid: undefined });
    expect(await refusal(ambiguous.tokens, nameless)).toMatch(/^several keys/);
    expect(ambiguous.published.fetches).toBe(1);
  });

  test("[JWT-4] that are private, or secrets, verify nothing", async () => {
    const leaked = start();
    leaked.published.keys = [{ ...(await exportJWK(es.sign)), kid: "1" }];
    expect(await refusal(leaked.tokens, await signed(es))).toBe("the token cannot be verified");
    const secret = new TextEncoder().encode(SECRET);
    const shared = start();
    shared.published.keys = [{ kty: "oct", k: base64url(SECRET), kid: "1", alg: "HS256" }];
    const forged = await signed({ alg: "HS256", sign: secret, jwk: { kid: "1" } });
    expect(await refusal(shared.tokens, forged)).toMatch(/^alg is "HS256"/);
    expect(shared.published.fetches).toBe(0);
  });

  test("[JWT-4] are fetched again, once, after the clock was set back", async () => {
    const { published, tokens } = start(es);
    expect(await isTaken(tokens, es, NOW)).toBe(true);
    expect(await isTaken(tokens, es, NOW - 3_600_000)).toBe(true);
    expect(published.fetches).toBe(2);
    expect(await isTaken(tokens, es, NOW - 3_600_000 + 1)).toBe(true);
    expect(published.fetches).toBe(2);
  });
});
