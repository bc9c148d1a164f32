// Who may reach a broker on this machine: everybody where only this machine does, and otherwise whoever has a key.
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { isLoopback } from "./settings.ts";

/** The variables of the way in. They are those of the Worker: see src/env.ts. */
const VARIABLES = [
  "RIVULET_ROOT_KEY",
  "RIVULET_ROOT_KEY_NEXT",
  "RIVULET_ALLOWED_ORIGINS",
  "RIVULET_JWT_ISSUERS",
  "RIVULET_SIGNING_KEY",
  "RIVULET_AUDIENCE",
  "RIVULET_QUOTA",
  "RIVULET_KAFKA_TLS_IN_FRONT",
] as const;

const KEY_FILE = "root-key";
const KEY_BYTES = 32;
const OWNER_ONLY = 0o600;

export interface Access {
  readonly isOpen: boolean;
  /** The variables to pass on, and the root's key among them, if there is one. */
  readonly variables: Readonly<Record<string, string>>;
  /** A line for whoever has started the broker, if a root key was just made. */
  readonly notice: string | null;
}

/**
 * [MODE-1] [MODE-2] Returns how the broker is reached on this host. Without a root key it is open on a loopback address.
 * On any other it gets one, which is kept in the data folder and said once, when it is made.
 */
export function accessFor(
  host: string,
  dataDir: string,
  environment: NodeJS.ProcessEnv = process.env,
): Access {
  const entries = VARIABLES.flatMap((name) => {
    const value = environment[name];
    return value === undefined || value === "" ? [] : [[name, value] as const];
  });
  const local = isLoopback(host) ? { RIVULET_KAFKA_LOOPBACK: "1" } : {};
  const variables: Record<string, string> = { ...Object.fromEntries(entries), ...local };
  if (variables.RIVULET_ROOT_KEY !== undefined) return { isOpen: false, variables, notice: null };
  if (isLoopback(host)) return { isOpen: true, variables, notice: null };
  const file = resolve(dataDir, KEY_FILE);
  if (existsSync(file)) {
    const key = readFileSync(file, "utf8").trim();
    return { isOpen: false, variables: { ...variables, RIVULET_ROOT_KEY: key }, notice: null };
  }
  const key = randomBytes(KEY_BYTES).toString("base64url");
  writeFileSync(file, `${key}\n`, { mode: OWNER_ONLY });
  chmodSync(file, OWNER_ONLY);
  return {
    isOpen: false,
    variables: { ...variables, RIVULET_ROOT_KEY: key },
    notice: `The root key of this broker is ${key} (kept in ${file}; it is not shown again)`,
  };
}
