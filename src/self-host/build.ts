// Bundles the Worker (which `npm start` runs on workerd, `npm run dev` serves and `npm run deploy` uploads),
// the SDK and the CLI into dist/.
import { chmod, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Builds everything. Throws with esbuild's report where something does not compile. */
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
      // What folds and unfolds batches is loaded when it is needed. Files of an earlier build stay: a process that
      // was started with them may not have needed them yet.
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
}

/** Whole or not at all: a broker that starts must not pull the command line from under a running one. */
async function replaceFile(path: string, contents: Uint8Array): Promise<void> {
  const before = await readFile(path).catch(() => null);
  if (before?.equals(contents)) return;
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}`;
  await writeFile(temporary, contents);
  if (path.endsWith("/rivulet.js")) await chmod(temporary, 0o755);
  await rename(temporary, path);
}

if (import.meta.main) await build();
