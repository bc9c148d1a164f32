// The issuers whose tokens are accepted, as the variable RIVULET_JWT_ISSUERS lists them in JSON. Only this
// configuration says what an issuer may do: no token chooses its algorithm, its keys, or what its claims mean.
import type { JWK } from "jose";
import * as z from "zod";
import { type Grant, ROLES } from "../../core/access/grants.ts";
import { BrokerError } from "../../core/errors.ts";
import { grantsSchema, roleSchema } from "../../protocol/grants.ts";
import { countJsonValues, parse } from "../../protocol/parse.ts";

/**
 * The issuer of a deployment's own tokens, in all deployments. The key and the audience distinguish the
 * deployments.
 */
export const OWN_ISSUER = "rivulet";

/** The claim that holds grants, unless the issuer is configured with another one. */
export const GRANTS_CLAIM = "rivulet";

/** The kind of key that verifies each algorithm. */
const KEY_TYPES = { ES256: "EC", EdDSA: "OKP", RS256: "RSA", PS256: "RSA" } as const;
/** The algorithm for a shared secret. */
const SECRET_ALGORITHM = "HS256";

type KeyAlgorithm = keyof typeof KEY_TYPES;
export type Algorithm = KeyAlgorithm | typeof SECRET_ALGORITHM;

const KEY_ALGORITHMS = Object.keys(KEY_TYPES) as [KeyAlgorithm, ...KeyAlgorithm[]];
const ALGORITHMS = [...KEY_ALGORITHMS, SECRET_ALGORITHM] as const;

export const MAX_ISSUERS = 16;
/** The most keys of one issuer. */
export const MAX_ISSUER_KEYS = 100;
export const MIN_SECRET_BYTES = 32;
const MAX_SECRET_CHARS = 1_024;
/** The most characters in an issuer's texts: its name, the audience, the claim, a key id. */
const MAX_TEXT_CHARS = 1_024;
const MAX_URL_CHARS = 2_048;
/** The most values of a foreign claim that one issuer maps to grants. */
const MAX_MAPPED = 1_000;

/**
 * The keys that verify an issuer's tokens. An issuer has only one of these kinds, because a public key must
 * never pass for a secret.
 */
export type IssuerKeys =
  | { readonly jwksUrl: string }
  | { readonly keys: readonly JWK[] }
  | { readonly secret: string };

export type Issuer = IssuerKeys & {
  readonly iss: string;
  /** The required audience of a token. A token may list others besides. */
  readonly aud: string;
  readonly algorithms: readonly Algorithm[];
  /** The claim of a token that holds its grants. */
  readonly claim: string;
  /** Grants by the values of a foreign claim. Null if the claim holds grants itself. */
  readonly map: ReadonlyMap<string, readonly Grant[]> | null;
};

/** A secret of the configuration. No error shows it. */
class Hidden {
  readonly value: unknown;

  constructor(value: unknown) {
    this.value = value;
  }

  toJSON(): string {
    return "(hidden)";
  }
}

const text = z.string().min(1).max(MAX_TEXT_CHARS);

const SECRET_RULE = `must be a text of at least ${MIN_SECRET_BYTES} bytes and at most ${MAX_SECRET_CHARS} characters`;

const secretSchema = z
  .instanceof(Hidden, { error: SECRET_RULE })
  .transform(({ value }, context): string => {
    if (
      typeof value === "string" &&
      value.length <= MAX_SECRET_CHARS &&
      new TextEncoder().encode(value).length >= MIN_SECRET_BYTES
    )
      return value;
    context.addIssue({ code: "custom", message: SECRET_RULE });
    return z.NEVER;
  });

const jwksUrlSchema = z
  .string()
  .max(MAX_URL_CHARS)
  .refine(
    isJwksUrl,
    "must be a URL that begins with https: and has no password; http: is for localhost and 127.0.0.1 only",
  );

function isJwksUrl(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, hostname, username, password } = new URL(url);
  if (username !== "" || password !== "") return false;
  return (
    protocol === "https:" ||
    (protocol === "http:" && (hostname === "localhost" || hostname === "127.0.0.1"))
  );
}

/** The fields of a key that only its issuer may know. */
const PRIVATE_FIELDS = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] as const;

const absent = z.undefined("must be absent: a private key stays with its issuer").optional();
const IN_EVERY_KEY = {
  kid: text.optional(),
  alg: z.string().optional(),
  use: z.literal("sig", "must be sig: other keys verify nothing").optional(),
  ...(Object.fromEntries(PRIVATE_FIELDS.map((field) => [field, absent])) as Record<
    (typeof PRIVATE_FIELDS)[number],
    typeof absent
  >),
};

function base64url(minChars: number, maxChars: number) {
  const chars = minChars === maxChars ? minChars : `${minChars} to ${maxChars}`;
  const rule = `must be ${chars} characters of base64url`;
  return z.string(rule).regex(new RegExp(`^[A-Za-z0-9_-]{${minChars},${maxChars}}$`), rule);
}

/** 32 bytes. */
const coordinate = base64url(43, 43);
/** The modulus of a key: 2,048 bits, as JOSE requires, to 8,192. */
const modulus = base64url(342, 1_366);

/** The other fields of a key are ignored, as the standard requires. */
const keySchema = z.discriminatedUnion(
  "kty",
  [
    z.object({
      ...IN_EVERY_KEY,
      kty: z.literal("EC"),
      crv: z.literal("P-256", "must be P-256"),
      x: coordinate,
      y: coordinate,
    }),
    z.object({
      ...IN_EVERY_KEY,
      kty: z.literal("OKP"),
      crv: z.literal("Ed25519", "must be Ed25519"),
      x: coordinate,
    }),
    z.object({ ...IN_EVERY_KEY, kty: z.literal("RSA"), n: modulus, e: base64url(1, 12) }),
  ],
  "must be EC, OKP or RSA",
);

const MAPPED_RULE = `must be a role (${Object.keys(ROLES).join(", ")}) or a list of grants`;

/** Says what is wrong with a list of grants. A list that is too large is still a list. */
const mappedSchema = z.unknown().transform((value, context): readonly Grant[] => {
  const role = roleSchema.safeParse(value);
  if (role.success) return ROLES[role.data];
  const grants = grantsSchema.safeParse(value);
  if (grants.success) return grants.data;
  const issues = Array.isArray(value) ? grants.error.issues : [{ path: [], message: MAPPED_RULE }];
  for (const { path, message } of issues) context.addIssue({ code: "custom", path, message });
  return z.NEVER;
});

const issuerSchema = z
  .strictObject({
    iss: text.refine(
      (iss) => iss !== OWN_ISSUER,
      `must not be ${OWN_ISSUER}, the name that this deployment gives itself in its own tokens`,
    ),
    aud: text,
    algorithms: z.array(z.enum(ALGORITHMS)).min(1).max(ALGORITHMS.length),
    jwksUrl: jwksUrlSchema.optional(),
    keys: z.array(keySchema).min(1).max(MAX_ISSUER_KEYS).optional(),
    secret: secretSchema.optional(),
    claim: text.default(GRANTS_CLAIM),
    map: z.record(z.string().max(MAX_TEXT_CHARS), mappedSchema).optional(),
  })
  .transform(({ jwksUrl, keys, secret, map, ...fields }, context): Issuer => {
    const refuse = (path: PropertyKey[], message: string) => {
      context.addIssue({ code: "custom", path, message });
      return z.NEVER;
    };
    const kinds: IssuerKeys[] = [];
    if (jwksUrl !== undefined) kinds.push({ jwksUrl });
    if (keys !== undefined) kinds.push({ keys: keys.map(publicKey) });
    if (secret !== undefined) kinds.push({ secret });
    const [kind, another] = kinds;
    if (kind === undefined)
      return refuse(["jwksUrl"], "one of jwksUrl, keys and secret is required");
    if (another !== undefined)
      return refuse(
        Object.keys(another),
        "must be absent: only one of jwksUrl, keys and secret is allowed",
      );
    const hasSecret = "secret" in kind;
    const { algorithms } = fields;
    for (const [i, algorithm] of algorithms.entries()) {
      const isOfSecret = algorithm === SECRET_ALGORITHM;
      if (isOfSecret === hasSecret) continue;
      const allowed = hasSecret ? SECRET_ALGORITHM : `one of ${KEY_ALGORITHMS.join(", ")}`;
      const what = hasSecret ? "a secret" : "public keys";
      return refuse(["algorithms", i], `must be ${allowed}, because the issuer has ${what}`);
    }
    const odd = keys?.findIndex((key) => !algorithms.some((each) => isFor(key, each))) ?? -1;
    if (odd !== -1) return refuse(["keys", odd], `must be for one of ${algorithms.join(", ")}`);
    if (map !== undefined && Object.keys(map).length > MAX_MAPPED)
      return refuse(["map"], `must have at most ${MAX_MAPPED} values`);
    return {
      ...fields,
      ...kind,
      map: map === undefined ? null : new Map(Object.entries(map)),
    };
  });

type Key = z.output<typeof keySchema>;

function isFor({ kty, alg }: Key, algorithm: Algorithm): boolean {
  if (algorithm === SECRET_ALGORITHM) return false;
  return KEY_TYPES[algorithm] === kty && (alg === undefined || alg === algorithm);
}

function publicKey(key: Key): JWK {
  const named = {
    ...(key.kid === undefined ? {} : { kid: key.kid }),
    ...(key.alg === undefined ? {} : { alg: key.alg }),
  };
  switch (key.kty) {
    case "EC":
      return { ...named, kty: key.kty, crv: key.crv, x: key.x, y: key.y };
    case "OKP":
      return { ...named, kty: key.kty, crv: key.crv, x: key.x };
    case "RSA":
      return { ...named, kty: key.kty, n: key.n, e: key.e };
  }
}

const VARIABLE = "RIVULET_JWT_ISSUERS";

const variableSchema = z.object({
  [VARIABLE]: z
    .array(issuerSchema)
    .max(MAX_ISSUERS)
    .superRefine((issuers, context) => {
      const seen = new Set<string>();
      for (const [i, { iss }] of issuers.entries()) {
        // With two entries for one issuer it would be unclear which applies, and one might have a secret where
        // the other has keys.
        if (seen.has(iss))
          context.addIssue({
            code: "custom",
            path: [i, "iss"],
            message: "must not appear twice",
          });
        seen.add(iss);
      }
    }),
});

/**
 * [JWT-2] Returns the issuers that the variable RIVULET_JWT_ISSUERS lists. There are none without it.
 * @throws BrokerError INVALID_CONFIG that shows no secret
 */
export function issuersOf(text: string | undefined): readonly Issuer[] {
  if (text === undefined || text.trim() === "") return [];
  return parse(variableSchema, { [VARIABLE]: listIn(text) }, "INVALID_CONFIG")[VARIABLE];
}

function listIn(text: string): unknown[] {
  let list: unknown;
  try {
    countJsonValues(text, VARIABLE);
    list = JSON.parse(text);
  } catch (error) {
    // The message of the platform's parser quotes a piece of the text, which may contain a secret.
    const why = error instanceof BrokerError ? error.message : `${VARIABLE} is not JSON`;
    throw new BrokerError("INVALID_CONFIG", `${why}; ${LIST_RULE}`);
  }
  if (Array.isArray(list)) return list.map(withoutSecrets);
  throw new BrokerError("INVALID_CONFIG", `${VARIABLE} is not a list; ${LIST_RULE}`);
}

const LIST_RULE = "it must be a list of issuers in JSON: [{iss, aud, algorithms, jwksUrl}, …]";

/** Hides the fields that no error may show. */
function withoutSecrets(issuer: unknown): unknown {
  if (!isObject(issuer)) return issuer;
  const shown = { ...issuer };
  if (shown.secret !== undefined) shown.secret = new Hidden(shown.secret);
  if (shown.keys !== undefined)
    shown.keys = JSON.parse(JSON.stringify(shown.keys), (field, value) =>
      PRIVATE_FIELDS.some((each) => each === field) ? new Hidden(value) : value,
    );
  return shown;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
