// The folder of a run's temporary files. It is in memory if there is plenty, because the tests create databases by the
// thousand. It is removed when the run ends, with everything that a test leaves behind.
import { mkdtempSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

const MEMORY = "/dev/shm";
const MIN_MEMORY_BYTES = 4 * 2 ** 30;
const PREFIX = "rivulet-run-";

/** Sets TMPDIR for this process and those that it starts. Called in a run's main process, which may read its config twice. */
export function useRunFolder(): void {
  if (basename(tmpdir()).startsWith(PREFIX)) return;
  const isInMemory = process.env.TMPDIR === undefined && freeBytes(MEMORY) >= MIN_MEMORY_BYTES;
  const folder = mkdtempSync(join(isInMemory ? MEMORY : tmpdir(), PREFIX));
  process.env.TMPDIR = folder;
  process.once("exit", () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
}

function freeBytes(folder: string): number {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  } catch {
    return 0; // There is no such folder.
  }
}
