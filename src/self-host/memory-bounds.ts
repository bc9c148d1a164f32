// Bounds on workerd's memory, for tests: on a machine it takes all that there is, while Cloudflare gives an isolate 128 MB.
// V8's flags bound the heap, and Linux bounds the data of the process. Beyond that bound an array buffer cannot be made, and
// JavaScript gets a RangeError.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { StartError } from "./settings.ts";

const MIB = 1024 * 1024;

/** Returns the flags for V8 in RIVULET_V8_FLAGS, which blanks separate. */
export function v8FlagsOf(): readonly string[] {
  return (process.env.RIVULET_V8_FLAGS ?? "").split(" ").filter((flag) => flag !== "");
}

/** Bounds the data that the process may take in addition to what it has, with Linux's `prlimit`. @throws StartError */
export function boundData(pid: number, mib: number): void {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const dataBytes = 1_024 * Number(/^VmData:\s+(\d+)/m.exec(status)?.[1]);
  const bound = `--data=${dataBytes + mib * MIB}`;
  const {
    error,
    status: code,
    stderr,
  } = spawnSync("prlimit", ["--pid", String(pid), bound], {
    encoding: "utf8",
  });
  if (code !== 0)
    throw new StartError(`prlimit could not bound workerd's data: ${error ?? stderr}`);
}
