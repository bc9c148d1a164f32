import { exportJWK, generateKeyPair, type JWK } from "jose";
import { beforeAll, describe, expect, test } from "vitest";
import { ROLES } from "../../../../src/core/access/grants.ts";
import { BrokerError } from "../../../../src/core/errors.ts";
import { issuersOf, MAX_ISSUER_KEYS, MAX_ISSUERS } from "../../../../src/worker/access/issuers.ts";

const SECRET = "a secret that both sides have, and nobody else";
const jwks = { iss: "https://id.example", aud: "orders", algorithms: ["RS256"] };
const remote = { ...jwks, jwksUrl: "https://id.example/keys" };
const shared = { iss: "us", aud: "orders", algorithms: ["HS256"], secret: SECRET };

let ec: JWK;
let ecPrivate: JWK;
let ed: JWK;
let rsa: JWK;

beforeAll(async () => {
  const pair = await generateKeyPair("ES256", { extractable: true });
  ec = await exportJWK(pair.publicKey);
  ecPrivate = await exportJWK(pair.privateKey);
  ed = await exportJWK((await generateKeyPair("EdDSA")).publicKey);
  rsa = await exportJWK((await generateKeyPair("RS256")).publicKey);
});

function read(...issuers: unknown[]) {
  return issuersOf(JSON.stringify(issuers));
}

/** Returns why the text is rejected. */
function refusalOf(text: string): string {
  try {
    issuersOf(text);
  } catch (error) {
    if (error instanceof BrokerError && error.code === "INVALID_CONFIG") return error.message;
    throw error;
  }
  throw new Error("it was taken");
}

const refusal = (...issuers: unknown[]) => refusalOf(JSON.stringify(issuers));

describe("issuers", () => {
  test("[JWT-2] are none without the variable", () => {
    expect(issuersOf(undefined)).toEqual([]);
    expect(issuersOf("")).toEqual([]);
    expect(issuersOf(" \n")).toEqual([]);
    expect(issuersOf("[]")).toEqual([]);
  });

  test("[JWT-2] have keys at a URL, keys, or a secret", () => {
    const keyed = { iss: "k", aud: "orders", algorithms: ["ES256", "EdDSA", "PS256"] };
    const keys = [{ ...ec, kid: "1", alg: "ES256", use: "sig", x5c: ["a"] }, ed, rsa];
    const common = { claim: "rivulet", map: null };
    expect(read(remote, { ...keyed, keys }, shared)).toEqual([
      { ...remote, ...common },
      { ...keyed, ...common, keys: [{ ...ec, kid: "1", alg: "ES256" }, ed, rsa] },
      { ...shared, ...common },
    ]);
  });

  test("[JWT-2] may map a claim of their own to roles and grants", () => {
    const grant = { topics: { prefix: "orders." }, operations: ["Read"] };
    const map = { "orders.read": "read", ops: [grant], constructor: "admin" };
    const [issuer] = read({ ...remote, claim: "scope", map });
    expect(issuer?.claim).toBe("scope");
    expect([...(issuer?.map ?? [])]).toEqual([
      ["orders.read", ROLES.read],
      ["ops", [{ ...grant, operations: ["READ"] }]],
      ["constructor", ROLES.admin],
    ]);
  });

  test.each([
    "http://127.0.0.1:8080/keys",
    "http://localhost/keys",
    "https://id.example:8443/keys?a=b",
  ])("[JWT-2] may have their keys at %s", (jwksUrl) => {
    expect(read({ ...remote, jwksUrl })).toMatchObject([{ jwksUrl }]);
  });

  test.each([
    "http://id.example/keys",
    "http://localhost.id.example/keys",
    "http://127.0.0.2/keys",
    "ftp://id.example/keys",
    "data:application/json,{}",
    "//id.example/keys",
    "https://user:password@id.example/keys",
    "",
  ])("[JWT-2] never have their keys at %s", (jwksUrl) => {
    expect(refusal({ ...remote, jwksUrl })).toMatch(/^RIVULET_JWT_ISSUERS\[0\]\.jwksUrl: must be/);
  });

  test("[JWT-2] never have their keys at a very long URL", () => {
    const jwksUrl = `https://id.example/${"a".repeat(2_048)}`;
    expect(refusal({ ...remote, jwksUrl })).toMatch(/\.jwksUrl: must have at most 2048 characters/);
  });

  test.each<[string, Record<string, unknown>, RegExp]>([
    ["no iss", { iss: undefined }, /^RIVULET_JWT_ISSUERS\[1\]\.iss: is required/],
    ["no aud", { aud: undefined }, /\[1\]\.aud: is required/],
    ["an empty aud", { aud: "" }, /\[1\]\.aud: must have at least 1 character; got ""/],
    ["a long iss", { iss: "i".repeat(1_025) }, /\[1\]\.iss: must have at most 1024 characters/],
    ["this deployment's iss", { iss: "rivulet" }, /\[1\]\.iss: must not be rivulet/],
    ["no algorithms", { algorithms: undefined }, /\[1\]\.algorithms: is required/],
    ["none of them", { algorithms: [] }, /\[1\]\.algorithms: must have at least 1 item/],
    ["none", { algorithms: ["none"] }, /\[1\]\.algorithms\[0\]: must be one of ES256, .*"none"/],
    ["RS512", { algorithms: ["RS256", "RS512"] }, /\[1\]\.algorithms\[1\]: must be one of ES256/],
    ["HS256", { algorithms: ["HS256"] }, /\[1\]\.algorithms\[0\]: must be one of ES256, .* keys/],
    ["both", { algorithms: ["RS256", "HS256"] }, /\[1\]\.algorithms\[1\]: .* public keys; got "HS/],
    [
      "nothing to verify",
      { jwksUrl: undefined },
      /\[1\]\.jwksUrl: one of .* is required; got nothing/,
    ],
    ["an empty claim", { claim: "" }, /\[1\]\.claim: must have at least 1 character/],
    ["an unknown role", { map: { a: "owner" } }, /\[1\]\.map\.a: must be a role \(read, .*"owner"/],
    ["no list", { map: { a: { topics: "a" } } }, /\[1\]\.map\.a: must be a role .* or a list/],
    [
      "grants that are too large",
      { map: { a: Array(100).fill({ topics: { exact: "語".repeat(20) }, operations: ["READ"] }) } },
      /\[1\]\.map\.a: must have at most 8000 bytes as JSON, and have 10601; got/,
    ],
    ["no grant", { map: { a: [{ topics: "a" }] } }, /\[1\]\.map\.a\[0\]\.topics: must be {"exact"/],
    [
      "a bad grant",
      { map: { a: [{ cluster: ["FLY"] }] } },
      /\[1\]\.map\.a\[0\]\.cluster\[0\]: must be an operation on a cluster: .*"FLY"/,
    ],
    ["an unknown field", { jwksURL: "a" }, /\[1\]: unknown field "jwksURL"/],
    ["no keys", { jwksUrl: undefined, keys: [] }, /\[1\]\.keys: must have at least 1 item/],
  ])("[JWT-2] with %s are rejected", (_what, change, detail) => {
    expect(refusal({ ...remote, iss: "first" }, { ...remote, ...change })).toMatch(detail);
  });

  test("[JWT-2] never have keys of two kinds", () => {
    const { jwksUrl } = remote;
    expect(refusal({ ...shared, jwksUrl })).toMatch(/\[0\]\.secret: must be absent: .*hidden/);
    expect(refusal({ ...jwks, keys: [rsa], jwksUrl })).toMatch(/\[0\]\.keys: must be absent/);
    expect(refusal({ ...jwks, keys: [rsa], secret: SECRET })).toMatch(
      /\[0\]\.secret: must be absent/,
    );
    expect(refusal({ ...shared, algorithms: ["HS256", "ES256"] })).toMatch(
      /\[0\]\.algorithms\[1\]: must be HS256, because the issuer has a secret; got "ES256"/,
    );
    const twice = refusal(remote, { ...shared, iss: remote.iss });
    expect(twice).toMatch(/\[1\]\.iss: must not appear twice; got "https:\/\/id.example"/);
  });

  test("[JWT-2] have a secret of at least 32 bytes", () => {
    const secret = "é".repeat(16);
    expect(read({ ...shared, secret })).toMatchObject([{ secret }]);
    for (const bad of ["é".repeat(15), "", 1, null, { a: 1 }, "a".repeat(1_025)])
      expect(refusal({ ...shared, secret: bad })).toMatch(
        /\[0\]\.secret: must be a text of at least 32 bytes and at most 1024 characters; got "\(hid/,
      );
  });

  test("[JWT-2] have public keys that fit their algorithms", () => {
    const keyed = (key: unknown, ...algorithms: string[]) =>
      refusal({ ...jwks, algorithms, keys: [key] });
    expect(keyed(ec, "RS256", "EdDSA")).toMatch(/\.keys\[0\]: must be for one of RS256, EdDSA/);
    expect(keyed({ ...rsa, alg: "PS256" }, "RS256")).toMatch(/\.keys\[0\]: must be for one of/);
    expect(keyed({ ...rsa, use: "enc" }, "RS256")).toMatch(/\.keys\[0\]\.use: must be sig/);
    expect(keyed({ ...ec, crv: "P-384" }, "ES256")).toMatch(/\.keys\[0\]\.crv: must be P-256/);
    expect(keyed({ ...ed, crv: "X25519" }, "EdDSA")).toMatch(/\.keys\[0\]\.crv: must be Ed25519/);
    expect(keyed({ ...ec, y: "a" }, "ES256")).toMatch(/\.keys\[0\]\.y: must be 43 characters/);
    expect(keyed({ ...rsa, n: "a".repeat(300) }, "RS256")).toMatch(/\.n: must be 342 to 1366 ch/);
    expect(keyed({ kty: "oct", k: "YQ" }, "RS256")).toMatch(/\.kty: must be EC, OKP or RSA/);
    expect(keyed("a", "RS256")).toMatch(/\.keys\[0\]: must be EC, OKP or RSA/);
  });

  test("[JWT-2] are bounded in number", () => {
    const many = (count: number) =>
      Array.from({ length: count }, (_, i) => ({ ...remote, iss: `issuer ${i}` }));
    expect(read(...many(MAX_ISSUERS))).toHaveLength(MAX_ISSUERS);
    expect(refusal(...many(MAX_ISSUERS + 1))).toMatch(/^RIVULET_JWT_ISSUERS: must have at most 16/);
    const keys = Array.from({ length: MAX_ISSUER_KEYS + 1 }, () => rsa);
    expect(refusal({ ...jwks, keys })).toMatch(/\.keys: must have at most 100 items/);
    const map = Object.fromEntries(Array.from({ length: 1_001 }, (_, i) => [`group ${i}`, "read"]));
    expect(refusal({ ...remote, map })).toMatch(/\.map: must have at most 1000 values/);
  });

  test.each(["{}", "1", "null", '"a"', "[", "a", `[{"secret": "${SECRET}" "iss": "a"}]`, "deep"])(
    "[JWT-2] are a list in JSON, and %s is not",
    (given) => {
      const detail = refusalOf(given === "deep" ? "[".repeat(1_000) : given);
      expect(detail).toContain("RIVULET_JWT_ISSUERS");
      expect(detail).toContain("must be a list of issuers in JSON");
      expect(detail).not.toContain("secret");
    },
  );

  test("[JWT-2] no error shows a secret or a private key", () => {
    const { d = "" } = ecPrivate;
    const es = { ...jwks, algorithms: ["ES256"] };
    expect(refusal({ ...es, keys: [ecPrivate] })).toMatch(
      /\.keys\[0\]\.d: must be absent: a private key stays with its issuer; got "\(hidden\)"/,
    );
    for (const detail of [
      refusalOf(JSON.stringify({ secret: SECRET })),
      refusal({ secret: SECRET }),
      refusal({ secret: SECRET, iss: 1 }),
      refusal({ ...shared, extra: 1 }),
      refusal({ ...shared, secret: [SECRET] }),
      refusal([{ ...shared }]).replace(/got .*/, ""),
      refusal({ ...es, keys: [{ d, kty: "EC" }] }),
      refusal({ ...es, keys: { d } }),
      refusal({ ...es, keys: { keys: [{ d }] } }),
      refusal({ ...es, keys: [{ kty: "oct", k: d }] }),
    ]) {
      expect(detail).not.toContain(SECRET.slice(0, 10));
      expect(detail).not.toContain(d.slice(0, 10));
    }
  });
});
