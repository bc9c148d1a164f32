// The secrets of this deployment that nobody has to set. The cluster stores each, and the first Worker that
// needs one makes it.
import { toBase64 } from "../../core/bytes.ts";
import { clusterStub, type Env } from "../../env.ts";
import { isolate } from "../edge/isolate.ts";

/** The names are stored. */
export type SecretName = "signing-key" | "scram-salts" | "key-ids";

/**
 * Returns the secret. Calls `make` if there is none yet. Another Worker may have been faster; its secret then
 * counts.
 */
export async function secretNamed(
  env: Env,
  name: SecretName,
  make: () => string | Promise<string>,
): Promise<string> {
  const known = isolate.secrets.get(name);
  if (known !== undefined) return known;
  const cluster = clusterStub(env);
  let { value } = await cluster.secret({ name });
  if (value === null) ({ value } = await cluster.secret({ name, proposal: await make() }));
  if (value === null) throw new Error(`the cluster keeps no secret ${name}`);
  isolate.secrets.set(name, value);
  return value;
}

const SECRET_BYTES = 32;

export function randomSecret(): string {
  return toBase64(crypto.getRandomValues(new Uint8Array(SECRET_BYTES)));
}
