// The SASL messages by which Kafka clients sign in: PLAIN (RFC 4616) and OAUTHBEARER (RFC 7628), one message each. It
// also reads the names in SCRAM and OAUTHBEARER (RFC 5802). scram.ts reads the rest of SCRAM.

/** Kafka's names of the mechanisms, in the order in which the answer to SaslHandshake lists them. */
export const SASL_MECHANISMS = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] as const;

export type SaslMechanism = (typeof SASL_MECHANISMS)[number];

/** A JWT may have 4 KiB here, and tokens of other issuers may be longer. */
const MAX_TOKEN_LENGTH = 8192;
const NUL = "\u0000";
/** Control-A. OAUTHBEARER ends each of its parts with it. */
const SEPARATOR = "\u0001";

/** Returns the user and the password of a PLAIN message, or null if it is malformed. */
export function readPlain(bytes: Uint8Array): { user: string; password: string } | null {
  const [authzid, user, password, ...rest] = readUtf8(bytes)?.split(NUL) ?? [];
  if (authzid === undefined || !user || !password || rest.length > 0) return null;
  // Acting for another user is not supported.
  if (authzid !== "" && authzid !== user) return null;
  return { user, password };
}

/**
 * Returns the token of an OAUTHBEARER message, and the name that the client asks to act under, if any. Returns null if
 * the message is malformed. Extensions are ignored: everything that matters is in the token.
 */
export function readOauthBearer(
  bytes: Uint8Array,
): { token: string; authzid: string | null } | null {
  // header ^A key=value ^A … key=value ^A ^A
  const [header, ...parts] = readUtf8(bytes)?.split(SEPARATOR) ?? [];
  if (header === undefined || parts.pop() !== "" || parts.pop() !== "") return null;
  const gs2 = /^n,(?:a=([^,]+))?,$/s.exec(header);
  if (gs2 === null || !parts.every((part) => /^[^=]+=/s.test(part))) return null;
  const authzid = gs2[1] === undefined ? null : readSaslName(gs2[1]);
  if (gs2[1] !== undefined && authzid === null) return null;
  // With two `auth` fields, one reader might use the first and another reader the second.
  const [auth, ...others] = parts.filter((part) => part.startsWith("auth="));
  if (auth === undefined || others.length > 0) return null;
  const token = /^auth=bearer +([A-Za-z0-9._~+/-]+=*)$/i.exec(auth)?.[1];
  return token === undefined || token.length > MAX_TOKEN_LENGTH ? null : { token, authzid };
}

/** Decodes a name in which =2C stands for a comma and =3D for an equals sign. Returns null if it is malformed. */
export function readSaslName(text: string): string | null {
  if (text === "" || /[,\0]|=(?!2C|3D)/.test(text)) return null;
  return text.replaceAll("=2C", ",").replaceAll("=3D", "=");
}

/** Returns the text of the bytes, or null if they are not UTF-8. A byte order mark is part of the text. */
export function readUtf8(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}
