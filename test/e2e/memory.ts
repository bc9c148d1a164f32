// The memory of the process that does the work, as Linux reports it.
import { readdirSync, readFileSync } from "node:fs";

/** Returns the workerd that this process has started, and its resident memory in MiB. */
export function workerdBelow(parentPid: number): { pid: number; memoryMib: number } {
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    const status = statusOf(pid);
    if (
      /^Name:\s+workerd$/m.test(status) &&
      Number(/^PPid:\s+(\d+)/m.exec(status)?.[1]) === parentPid
    )
      return { pid: Number(pid), memoryMib: Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) / 1_024 };
  }
  throw new Error("workerd does not run");
}

function statusOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/status`, "utf8");
  } catch {
    return ""; // It has just ended.
  }
}
