// The memory that a process takes, as Linux reports it.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const SAMPLE_MS = 20;

/** In MB. */
export interface Memory {
  readonly before: number;
  readonly highest: number;
  readonly after: number;
}

/** The broker's own process is below that of `npm start`: found by its configuration. */
export function pidOfWorkerd(dataDir: string): number {
  const config = join(dataDir, "workerd.capnp");
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  const found = pids.find((pid) => textOf(`/proc/${pid}/cmdline`).split("\0").includes(config));
  if (found === undefined) throw new Error(`no process has ${config}`);
  return Number(found);
}

/** Measures repeatedly, from its creation to `stop`. */
export class Meter {
  readonly #pid: number;
  readonly #before: number;
  readonly #timer: NodeJS.Timeout;
  #highest: number;

  constructor(pid: number) {
    this.#pid = pid;
    this.#before = residentMb(pid);
    this.#highest = this.#before;
    this.#timer = setInterval(() => this.#sample(), SAMPLE_MS);
  }

  stop(): Memory {
    clearInterval(this.#timer);
    const after = this.#sample();
    return { before: this.#before, highest: this.#highest, after };
  }

  #sample(): number {
    const now = residentMb(this.#pid);
    this.#highest = Math.max(this.#highest, now);
    return now;
  }
}

function residentMb(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(textOf(`/proc/${pid}/status`))?.[1];
  if (kilobytes === undefined) throw new Error(`process ${pid} has ended`);
  return Number(kilobytes) / 1024;
}

/** Empty for a process that has just ended. */
function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
