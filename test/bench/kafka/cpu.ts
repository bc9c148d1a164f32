// The CPU time of a process, as Linux reports it: of all its threads, including those that have ended.
import { readdirSync, readFileSync } from "node:fs";

/** Milliseconds. Finer than a clock tick for living threads, if the kernel keeps it so. */
export class CpuMeter {
  readonly #pid: number;
  readonly #before: ReadonlyMap<string, number>;

  constructor(pid: number) {
    this.#pid = pid;
    this.#before = threads(pid);
  }

  /** Returns the CPU time of its threads since then, except threads that have begun and ended in between. */
  get ms(): number {
    let ns = 0;
    for (const [thread, all] of threads(this.#pid)) ns += all - (this.#before.get(thread) ?? 0);
    return ns / 1e6;
  }
}

function threads(pid: number): ReadonlyMap<string, number> {
  const times = new Map<string, number>();
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      const [ns = 0] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8")
        .split(" ")
        .map(Number);
      times.set(thread, ns);
    } catch {
      // It has just ended.
    }
  }
  return times;
}
