// The secrets of this deployment that nobody has to set: the cluster keeps each, and whoever first needs one makes it.
import { toBase64 } from "../../core/bytes.ts";
import { clusterStub, type Env } from "../../env.ts";
import { isolate } from "../edge/isolate.ts";

/** The names are on disk. */
export type SecretName = "signing-key" | "scram-salts" | "key-ids";

/** Returns the secret. `make` is called if there is none yet; another Worker may have been faster, and its secret counts. */
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
