// Bundles the Worker (which `npm start` runs on workerd, `npm run dev` serves and `npm run deploy` uploads),
// the SDK and the CLI into dist/.
import { chmod, mkdir, readdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Builds everything. Throws with esbuild's report if something does not compile. */
export async function build(): Promise<void> {
  const { version } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8"));
  const shared = {
    absWorkingDir: ROOT,
    bundle: true,
    format: "esm",
    target: "es2024",
    sourcemap: true,
    logLevel: "warning",
    write: false,
  } as const;
  const results = await Promise.all([
    esbuild.build({
      ...shared,
      entryPoints: ["src/index.ts"],
      outfile: "dist/worker.js",
      conditions: ["workerd", "worker", "browser"],
      external: ["cloudflare:*", "node:*"],
    }),
    esbuild.build({
      ...shared,
      entryPoints: { client: "src/client/index.ts" },
      outdir: "dist",
      // The code that folds and unfolds batches is loaded on demand. Files of an earlier build stay, because a process
      // that was started with them may not have loaded them yet.
      splitting: true,
      chunkNames: "client-[name]-[hash]",
    }),
    esbuild.build({
      ...shared,
      entryPoints: { kafkajs: "src/kafkajs/socket-factory.ts" },
      outdir: "dist",
      external: ["node:*"],
    }),
    esbuild.build({
      ...shared,
      entryPoints: ["src/cli/main.ts"],
      outfile: "dist/rivulet.js",
      platform: "node",
      packages: "external",
      define: { RIVULET_VERSION: JSON.stringify(version) },
      banner: { js: "#!/usr/bin/env node" },
    }),
  ]);
  for (const { path, contents } of results.flatMap((result) => result.outputFiles)) {
    await replaceFile(path, contents);
  }
  await writeFile(STAMP, "");
}

/** Its modification time is that of the last build. A file whose contents stay the same keeps its time. */
const STAMP = join(ROOT, "dist/.built");
const SOURCES = ["src", "durable-objects", "package.json"].map((name) => join(ROOT, name));

/** Builds unless nothing has changed since. */
export async function buildIfStale(): Promise<void> {
  const builtMs = await stat(STAMP).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0,
  );
  for (const path of SOURCES) if (await isNewer(path, builtMs)) return build();
}

/** True if the path is newer. A folder changes when something in it comes or goes. */
async function isNewer(path: string, thanMs: number): Promise<boolean> {
  const about = await stat(path);
  if (about.mtimeMs >= thanMs) return true;
  if (!about.isDirectory()) return false;
  const below = await readdir(path);
  const newer = await Promise.all(below.map((name) => isNewer(join(path, name), thanMs)));
  return newer.includes(true);
}

/**
 * Replaces a file wholly or not at all. A broker that starts must not pull the command line from under a running one.
 */
export async function replaceFile(path: string, contents: Uint8Array): Promise<void> {
  const before = await readFile(path).catch(() => null);
  if (before?.equals(contents)) return;
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}`;
  await writeFile(temporary, contents);
  if (path.endsWith("/rivulet.js")) await chmod(temporary, 0o755);
  await rename(temporary, path);
}

if (import.meta.main) await build();
