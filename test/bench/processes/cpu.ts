// The CPU time of a process.
import { readdirSync, readFileSync } from "node:fs";

/** Returns the CPU time of a process's threads, in nanoseconds, as Linux reports it. */
export function cpuNs(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const ranNs = (thread: string) =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]);
  return threads.reduce((sum, thread) => sum + ranNs(thread), 0);
}
