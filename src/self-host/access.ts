// Access to a broker on this machine: open to everybody on a loopback address, and behind a key on any other.
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { quotaSchema } from "../protocol/tenancy.ts";
import { isLoopback, StartError } from "./settings.ts";

/** The variables about access. The Worker's have the same names: see src/env.ts. */
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
/** A file whose presence says that the data was behind a key. */
const CLOSED_FILE = "closed";
const KEY_BYTES = 32;
/** A shorter root key is easily guessed. */
const MIN_KEY_CHARS = 16;
const OWNER_ONLY = 0o600;

export interface Access {
  readonly isOpen: boolean;
  /** The variables to pass on, with the root key if there is one. */
  readonly variables: Readonly<Record<string, string>>;
  /** A line for the person who starts the broker: a new root key, or what is wrong with one. */
  readonly notice: string | null;
}

/**
 * [MODE-1] [MODE-2] Returns the access to the broker on this host. Without a root key it is open on a loopback address,
 * except for data that was behind a key. On any other host it gets a key, which is kept in the data folder and printed once.
 * @throws StartError
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
  assertQuota(variables.RIVULET_QUOTA);
  const keyFile = resolve(dataDir, KEY_FILE);
  const kept = existsSync(keyFile) ? readFileSync(keyFile, "utf8").trim() : null;
  const { RIVULET_ROOT_KEY: given, RIVULET_ROOT_KEY_NEXT: next } = variables;
  const current = given ?? kept ?? undefined;
  if (current !== undefined || next !== undefined) {
    const keys = [current, next].filter((key) => key !== undefined);
    const root = current === undefined ? {} : { RIVULET_ROOT_KEY: current };
    const notice =
      current === "" ? noticeOfEmpty(keyFile, host, next) : noticeOf(keys, kept, keyFile);
    return closed(dataDir, { ...variables, ...root }, notice);
  }
  const closedFile = resolve(dataDir, CLOSED_FILE);
  if (isLoopback(host)) {
    if (!existsSync(closedFile)) return { isOpen: true, variables, notice: null };
    throw new StartError(
      `the data in ${dataDir} was behind a root key, and now there is none; set RIVULET_ROOT_KEY, or delete ${closedFile} to open it to everybody on this machine`,
    );
  }
  const key = randomBytes(KEY_BYTES).toString("base64url");
  writeFileSync(keyFile, `${key}\n`, { mode: OWNER_ONLY });
  chmodSync(keyFile, OWNER_ONLY);
  const notice = `The root key of this broker is ${key} (kept in ${keyFile}; it is not shown again)`;
  return closed(dataDir, { ...variables, RIVULET_ROOT_KEY: key }, notice);
}

/** Writes down that the data is behind a key, so that a start without one does not open it. */
function closed(dataDir: string, variables: Access["variables"], notice: string | null): Access {
  writeFileSync(resolve(dataDir, CLOSED_FILE), "");
  return { isOpen: false, variables, notice };
}

/** Returns what is wrong with the root keys, or null. Removes a kept key that is no longer good: it would come back later. */
function noticeOf(given: readonly string[], kept: string | null, keyFile: string): string | null {
  if (kept !== null && !given.includes(kept)) {
    rmSync(keyFile);
    return `The root key in ${keyFile} was a different one, and was deleted: RIVULET_ROOT_KEY counts`;
  }
  return given.some((key) => key.length < MIN_KEY_CHARS)
    ? `The root key has fewer than ${MIN_KEY_CHARS} characters, and is easily guessed; use 32 random bytes: openssl rand -hex 32`
    : null;
}

/** Returns a line about a key file without a key. The file may have been cut off, so no new key is made in its place. */
function noticeOfEmpty(keyFile: string, host: string, next: string | undefined): string {
  const mend = isLoopback(host)
    ? "set RIVULET_ROOT_KEY"
    : "set RIVULET_ROOT_KEY, or delete the file and start again to get a new key";
  return next === undefined
    ? `${keyFile} is empty, so there is no root key, and only earlier API keys and tokens are good; ${mend}`
    : `${keyFile} is empty, so RIVULET_ROOT_KEY_NEXT is the only root key; ${mend}`;
}

/** [QUO-1] @throws StartError */
function assertQuota(text: string | undefined): void {
  if (text === undefined) return;
  try {
    const problem = quotaSchema.safeParse(JSON.parse(text)).error?.issues[0];
    if (problem === undefined) return;
    throw new StartError(`RIVULET_QUOTA: ${[...problem.path, problem.message].join(": ")}`);
  } catch (error) {
    if (error instanceof StartError) throw error;
    throw new StartError(`RIVULET_QUOTA is not JSON, such as {"requestRate": 50}`);
  }
}
