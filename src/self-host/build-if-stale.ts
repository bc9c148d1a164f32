// Builds the bundles if their sources have changed since the last build. It loads the builder only then, so that a broker
// starts fast.
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { STAMP } from "./build-stamp.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

const SOURCES = [
  ...["src", "durable-objects", "docs", "package.json"],
  // Pages of the documentation: see docs-bundle.ts.
  ...["PROTOCOL.md", "SPEC.md", "ARCHITECTURE.md", "CHANGELOG.md"],
].map((name) => join(ROOT, name));

/** Builds if a source has changed since the last build. */
export async function buildIfStale(): Promise<void> {
  const builtMs = await stat(STAMP).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0,
  );
  for (const path of SOURCES) {
    if (!(await isNewer(path, builtMs))) continue;
    const { build } = await import("./build.ts");
    await build();
    return;
  }
}

/** True if the path, or a path below it, is newer. A folder changes when an entry is added or removed. */
async function isNewer(path: string, thanMs: number): Promise<boolean> {
  const about = await stat(path);
  if (about.mtimeMs >= thanMs) return true;
  if (!about.isDirectory()) return false;
  const below = await readdir(path);
  const newer = await Promise.all(below.map((name) => isNewer(join(path, name), thanMs)));
  return newer.includes(true);
}
