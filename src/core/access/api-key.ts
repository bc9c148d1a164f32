// The text of an API key: rvk_<id>_<secret><checksum>. The id is 16 characters of base32 and not secret; its last six
// mark the deployment. The secret is 32 random bytes in base64url, 43 characters. The checksum is the CRC-32C of
// everything before it, 6 characters of base64url. It detects a mistyped key, and lets scanners find keys that were
// published by mistake.
import { toBase64 } from "../bytes.ts";
import { crc32c } from "../log/crc32c.ts";

const UTF8 = new TextEncoder();

export const API_KEY_PREFIX = "rvk_";
const API_KEY = /^rvk_([a-z2-7]{16})_([A-Za-z0-9_-]{43})([A-Za-z0-9_-]{6})$/;
const API_KEY_ID = /^[a-z2-7]{16}$/;
const BASE32 = "abcdefghijklmnopqrstuvwxyz234567";
const ID_BYTES = 10;
const SECRET_BYTES = 32;
/** The number of random bytes that a key is made from. */
export const API_KEY_BYTES = ID_BYTES + SECRET_BYTES;

export interface ApiKey {
  readonly id: string;
  readonly secret: string;
}

/** Returns the parts of an API key, or null if the text is not a valid key. */
export function parseApiKey(text: string): ApiKey | null {
  const [, id, secret, checksum] = API_KEY.exec(text) ?? [];
  if (id === undefined || secret === undefined || checksum === undefined) return null;
  return checksum === checksumOf(id, secret) ? { id, secret } : null;
}

/** True if the text may be the id of an API key. */
export function isApiKeyId(text: string): boolean {
  return API_KEY_ID.test(text);
}

/** The number of random characters in an id: 50 bits. The other six characters are its mark. */
const NONCE_CHARS = 10;

/** Returns the random part of an id, from which its mark is computed. */
export function nonceOf(id: string): string {
  return id.slice(0, NONCE_CHARS);
}

/**
 * [APK-6] Returns the id with its mark: the first 30 bits of a digest of its random part and of a secret of the
 * deployment. A made-up id is thus recognized without a lookup.
 */
export function markedId(id: string, digest: Uint8Array): string {
  return nonceOf(id) + base32(digest.subarray(0, 4)).slice(0, 6);
}

/** Makes an API key from API_KEY_BYTES random bytes. */
export function apiKeyOf(random: Uint8Array): ApiKey {
  return {
    id: base32(random.subarray(0, ID_BYTES)),
    secret: base64url(random.subarray(ID_BYTES, API_KEY_BYTES)),
  };
}

export function apiKeyText({ id, secret }: ApiKey): string {
  return `${API_KEY_PREFIX}${id}_${secret}${checksumOf(id, secret)}`;
}

function checksumOf(id: string, secret: string): string {
  const crc = crc32c(UTF8.encode(`${API_KEY_PREFIX}${id}_${secret}`));
  return base64url(Uint8Array.of(crc >>> 24, crc >>> 16, crc >>> 8, crc));
}

function base64url(bytes: Uint8Array): string {
  return toBase64(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** Encodes each group of five bits as one character. */
function base32(bytes: Uint8Array): string {
  let text = "";
  for (let bit = 0; bit < bytes.length * 8; bit += 5) {
    const pair = ((bytes[bit >> 3] ?? 0) << 8) | (bytes[(bit >> 3) + 1] ?? 0);
    text += BASE32[(pair >> (11 - (bit & 7))) & 31];
  }
  return text;
}
