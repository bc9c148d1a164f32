// The client's side of SCRAM (RFC 5802), with the nonce "client".

export const bytes = (text: string) => new TextEncoder().encode(text);
export const textOf = (from: Uint8Array) => new TextDecoder().decode(from);
const base64 = (from: Uint8Array) => btoa(String.fromCharCode(...from));

/** A client's first message of SCRAM, without its header. */
export function bareOf(user: string): string {
  return `n=${user.replaceAll("=", "=3D").replaceAll(",", "=2C")},r=client`;
}

/** A client's last message of SCRAM, and the server's that it waits for. */
export async function clientFinal(
  hash: string,
  user: string,
  password: string,
  serverFirst: string,
) {
  const hmac = async (key: ArrayBuffer, text: string) => {
    const algorithm = { name: "HMAC", hash };
    const imported = await crypto.subtle.importKey("raw", key, algorithm, false, ["sign"]);
    return crypto.subtle.sign("HMAC", imported, bytes(text));
  };
  const [, nonce, encoded = "", iterations] =
    /^r=([^,]+),s=([^,]+),i=(\d+)$/.exec(serverFirst) ?? [];
  const salt = Uint8Array.from(atob(encoded), (each) => each.charCodeAt(0));
  const key = await crypto.subtle.importKey("raw", bytes(password), "PBKDF2", false, [
    "deriveBits",
  ]);
  const salted = await crypto.subtle.deriveBits(
    { name: "PBKDF2", hash, salt, iterations: Number(iterations) },
    key,
    hash === "SHA-256" ? 256 : 512,
  );
  const clientKey = await hmac(salted, "Client Key");
  const withoutProof = `c=biws,r=${nonce}`;
  const message = `${bareOf(user)},${serverFirst},${withoutProof}`;
  const storedKey = await crypto.subtle.digest(hash, clientKey);
  const signature = new Uint8Array(await hmac(storedKey, message));
  const proof = new Uint8Array(clientKey).map((byte, i) => byte ^ (signature[i] ?? 0));
  const serverSignature = await hmac(await hmac(salted, "Server Key"), message);
  return {
    message: bytes(`${withoutProof},p=${base64(proof)}`),
    serverFinal: `v=${base64(new Uint8Array(serverSignature))}`,
  };
}
