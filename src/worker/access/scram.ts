// The server's side of SCRAM (RFC 5802 and 7677): a client proves that it knows a password without sending it.
// The server proves that it knows the password's verifier. The password itself is stored nowhere.
//
//   client-first:  n,,n=user,r=<client's nonce>
//   server-first:  r=<client's nonce><server's nonce>,s=<salt>,i=<iterations>
//   client-final:  c=<client-first's header>,r=<both nonces>,p=<proof>
//   server-final:  v=<signature>
//
// Channel binding is not offered: the TLS connection ends before this broker. As in Kafka, names and passwords
// are taken as they are, without SASLprep.

import { readSaslName, readUtf8 } from "../../core/access/sasl.ts";
import type { ScramVerifier } from "../../core/access/stored-key.ts";
import { fromBase64, toBase64 } from "../../core/bytes.ts";
import { isSame } from "../../core/constant-time.ts";

export type ScramHash = "SHA-256" | "SHA-512";

export type { ScramVerifier };
export { isSame };

/** The size of salts. It is fixed because the salts of unknown users must look like the others. */
export const SCRAM_SALT_BYTES = 16;
/** The least that clients accept. More would only slow down clients, because passwords here are random. */
export const SCRAM_ITERATIONS = 4096;
/** Both messages of a client stay far below this. */
const MAX_MESSAGE_BYTES = 4096;
/** A multiple of three, which makes base64 without padding: some clients cut their input at every equals sign. */
const NONCE_BYTES = 18;

const UTF8 = new TextEncoder();

/**
 * Returns the verifier of the password. The salt is SCRAM_SALT_BYTES random bytes, different for each verifier.
 * If both verifiers of a user shared a salt, that would reveal that the user exists.
 */
export async function scramVerifier(
  password: string,
  hash: ScramHash,
  salt: Uint8Array,
  iterations = SCRAM_ITERATIONS,
): Promise<ScramVerifier> {
  const key = await crypto.subtle.importKey("raw", UTF8.encode(password), "PBKDF2", false, [
    "deriveBits",
  ]);
  const derivation = { name: "PBKDF2", hash, salt, iterations };
  const salted = await crypto.subtle.deriveBits(derivation, key, hashBits(hash));
  const clientKey = await hmac(hash, new Uint8Array(salted), "Client Key");
  return {
    salt: toBase64(salt),
    iterations,
    storedKey: toBase64(await digest(hash, clientKey)),
    serverKey: toBase64(await hmac(hash, new Uint8Array(salted), "Server Key")),
  };
}

/**
 * Returns the verifier that answers for an unknown user. It is the same each time, like a real one, and no
 * password fits it. `secret` is the deployment's, and not empty.
 */
export async function absentVerifier(
  user: string,
  hash: ScramHash,
  secret: string,
): Promise<ScramVerifier> {
  const key = UTF8.encode(secret);
  const derived = (what: string) => hmac(hash, key, `${what} ${hash} ${user}`);
  return {
    salt: toBase64((await derived("salt")).subarray(0, SCRAM_SALT_BYTES)),
    iterations: SCRAM_ITERATIONS,
    storedKey: toBase64(await derived("stored key")),
    serverKey: toBase64(await derived("server key")),
  };
}

/** A client's first message. */
export interface ClientFirst {
  readonly user: string;
  readonly nonce: string;
  /**
   * The part before the message itself. The client has to repeat it in its last message, where its proof covers
   * it.
   */
  readonly header: string;
  /** The message without its header. It is part of what both sides sign. */
  readonly bare: string;
}

/**
 * Returns the parts of a client's first message. Null if it is not one, or asks for something unsupported:
 * channel binding, another name to act by, a mandatory extension or a delegation token.
 */
export function readClientFirst(bytes: Uint8Array): ClientFirst | null {
  const text = readMessage(bytes);
  // `y` says that the client could bind the channel but thinks that the server cannot. It is right.
  const [, header, authzid, bare] = /^([ny],(?:a=([^,]*))?,)(.*)$/s.exec(text ?? "") ?? [];
  if (header === undefined || bare === undefined) return null;
  const [name = "", nonce = "", ...extensions] = bare.split(",");
  const user = name.startsWith("n=") ? readSaslName(name.slice(2)) : null;
  if (user === null || (authzid !== undefined && readSaslName(authzid) !== user)) return null;
  if (!/^r=[!-~]+$/.test(nonce) || !extensions.every(isExtension)) return null;
  // Kafka's mark of a delegation token: the name would be the token's id.
  if (extensions.some((extension) => /^tokenauth=true$/i.test(extension))) return null;
  return { user, nonce: nonce.slice(2), header, bare };
}

/** The server's answer to a client's first message. */
export interface ServerFirst {
  /** Both nonces. */
  readonly nonce: string;
  readonly text: string;
}

export function serverFirst(
  { nonce: clientNonce }: Pick<ClientFirst, "nonce">,
  { salt, iterations }: Pick<ScramVerifier, "salt" | "iterations">,
  serverNonce: string,
): ServerFirst {
  const nonce = clientNonce + serverNonce;
  return { nonce, text: `r=${nonce},s=${salt},i=${iterations}` };
}

/** Returns a nonce of the server. It is random, so that an old proof cannot be sent again. */
export function newServerNonce(): string {
  return toBase64(crypto.getRandomValues(new Uint8Array(NONCE_BYTES)));
}

/** A client's last message. */
export interface ClientFinal {
  readonly proof: Uint8Array;
  /** The message without the proof. It is part of what both sides sign. */
  readonly withoutProof: string;
}

/** Returns the parts of a client's last message. Null if it is not one, or belongs to another first message. */
export function readClientFinal(
  bytes: Uint8Array,
  { header }: Pick<ClientFirst, "header">,
  { nonce }: Pick<ServerFirst, "nonce">,
): ClientFinal | null {
  const text = readMessage(bytes);
  if (text === null) return null;
  const [channel, bothNonces, ...extensions] = text.split(",");
  const proof = extensions.pop();
  // This detects a header that was changed on the way, because the client's proof covers this one.
  if (channel !== `c=${toBase64(UTF8.encode(header))}`) return null;
  // As in Kafka, a text that ends with both nonces is accepted: librdkafka before 2.6.1 repeats its own before
  // them.
  if (!bothNonces?.startsWith("r=") || !bothNonces.endsWith(nonce)) return null;
  if (!proof?.startsWith("p=") || !extensions.every(isExtension)) return null;
  const decoded = decodedBase64(proof.slice(2));
  if (decoded === null) return null;
  return { proof: decoded, withoutProof: text.slice(0, -proof.length - 1) };
}

/** Returns the server's last message, or null if the client has not proven that it knows the password. */
export async function finalAnswer(
  hash: ScramHash,
  { storedKey, serverKey }: Pick<ScramVerifier, "storedKey" | "serverKey">,
  { bare }: Pick<ClientFirst, "bare">,
  { text }: Pick<ServerFirst, "text">,
  { proof, withoutProof }: ClientFinal,
): Promise<string | null> {
  const message = `${bare},${text},${withoutProof}`;
  const expected = fromBase64(storedKey);
  const signature = await hmac(hash, expected, message);
  if (proof.length !== signature.length) return null;
  const clientKey = proof.map((byte, i) => byte ^ (signature[i] as number));
  if (!isSame(await digest(hash, clientKey), expected)) return null;
  return `v=${toBase64(await hmac(hash, fromBase64(serverKey), message))}`;
}

function readMessage(bytes: Uint8Array): string | null {
  const text = bytes.length > MAX_MESSAGE_BYTES ? null : readUtf8(bytes);
  return text?.includes("\u0000") ? null : text;
}

/** True for an extension that may be ignored. `m` is for those that may not, and `p` is the proof, which comes last. */
function isExtension(text: string): boolean {
  return /^[a-z]+=./is.test(text) && !/^[mp]=/.test(text);
}

function decodedBase64(text: string): Uint8Array | null {
  try {
    return fromBase64(text);
  } catch {
    return null;
  }
}

async function digest(hash: ScramHash, bytes: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest(hash, bytes));
}

async function hmac(hash: ScramHash, key: Uint8Array, text: string): Promise<Uint8Array> {
  const imported = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash }, false, [
    "sign",
  ]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, UTF8.encode(text)));
}

function hashBits(hash: ScramHash): number {
  return hash === "SHA-256" ? 256 : 512;
}
