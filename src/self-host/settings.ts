// The settings of a broker on this machine: environment variables, and the errors about them.
import { fstatSync } from "node:fs";
import { BlockList, isIP } from "node:net";
import { basename } from "node:path";
import { isatty } from "node:tty";

export const DEFAULT_PORT = 8787;
/** The same number as MAX_PARTITIONS_PER_TOPIC in src/core/limits.ts, which is not imported here. */
export const MAX_PARTITIONS = 1_000;
/** The same number as in src/core/limits.ts. */
export const MAX_SESSION_CPU_MS = 300_000;

/** A problem that the person who starts the broker can solve. */
export class StartError extends Error {}

/** Runs `main`. A StartError is printed as a sentence, and ends the process with 1. */
export async function runOrExplain(main: () => Promise<void>): Promise<void> {
  try {
    await main();
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    console.error(`rivulet: ${error.message}`);
    process.exit(1);
  }
}

/** Returns the number in the variable, from 1 to `max`. @throws StartError */
export function numberOf(variable: string, byDefault: number, max: number): number {
  const text = process.env[variable] || String(byDefault);
  const number = Number(text);
  if (Number.isInteger(number) && number >= 1 && number <= max) return number;
  throw new StartError(`${variable} is "${text}", it must be a number from 1 to ${max}`);
}

/** Returns the flag in the variable: true or false. @throws StartError */
export function flagOf(variable: string, byDefault: boolean): boolean {
  const text = process.env[variable] || String(byDefault);
  if (text === "true" || text === "false") return text === "true";
  throw new StartError(`${variable} is "${text}", it must be true or false`);
}

/** True if lines of the log are to be printed as JSON: RIVULET_LOG. @throws StartError */
export function isJsonLog(): boolean {
  const text = process.env.RIVULET_LOG || "text";
  if (text === "text" || text === "json") return text === "json";
  throw new StartError(`RIVULET_LOG is "${text}", it must be text or json`);
}

/**
 * True if the broker is to go on when its terminal is closed: nohup has started it, or it has no terminal, and its output
 * goes to files. Node resets the signals that a process inherits as ignored, so nohup alone would not keep it from ending.
 */
export function outlivesTerminal(): boolean {
  if (process.platform === "win32") return false;
  if (basename(process.env._ ?? "") === "nohup") return true; // Most shells say there what they have started.
  return !isatty(0) && goesToFile(1) && goesToFile(2);
}

/** True for a file or /dev/null. False for a pipe, whose reader may be the one that wants the broker to end. */
function goesToFile(descriptor: number): boolean {
  try {
    const stats = fstatSync(descriptor);
    return stats.isFile() || (stats.isCharacterDevice() && !isatty(descriptor));
  } catch {
    return false; // It is closed.
  }
}

/** [PLC-1] workerd has no jurisdictions, and data meant for one must not go to this machine. @throws StartError */
export function assertNoJurisdiction(
  jurisdiction: string | undefined = process.env.RIVULET_JURISDICTION,
): void {
  if (!jurisdiction) return;
  throw new StartError(
    `RIVULET_JURISDICTION is "${jurisdiction}", but only Cloudflare has jurisdictions, and a broker here keeps its data on this machine; leave it out`,
  );
}

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8);
LOOPBACK.addAddress("::1", "ipv6");

/** True if only this machine reaches a server on this host. */
export function isLoopback(host: string): boolean {
  if (host === "localhost") return true;
  const family = isIP(host);
  return family !== 0 && LOOPBACK.check(host, family === 4 ? "ipv4" : "ipv6");
}

const PARENT_CHECK_MS = 250;

/**
 * Calls `stop` when npm has ended. npm passes a SIGTERM to the shell that runs a script, and not every shell passes it on:
 * the broker would keep running, and hold its ports and its folder.
 */
export function stopWithNpm(stop: () => void): void {
  if (process.env.npm_lifecycle_event === undefined) return;
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    stop();
  }, PARENT_CHECK_MS);
}
