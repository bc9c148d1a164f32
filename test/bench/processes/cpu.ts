// What a process has had of the machine's processors.
import { readdirSync, readFileSync } from "node:fs";

/** Returns what the threads of a process have had, in nanoseconds, as Linux tells it. */
export function cpuNs(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const ranNs = (thread: string) =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]);
  return threads.reduce((sum, thread) => sum + ranNs(thread), 0);
}
