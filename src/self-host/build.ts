// Bundles the Worker (which `npm start` runs on workerd, `npm run dev` serves and `npm run deploy` uploads),
// the SDK and the CLI into dist/. The package is made of the latter two, and they need no other package [PKG-4].
import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";
import { esbuildPlugin, licensesOf } from "./browser-files.ts";
import { STAMP } from "./build-stamp.ts";
import { CONSOLE_MODULE } from "./console-bundle.ts";
import { DOCS_MODULE } from "./docs-bundle.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/**
 * Builds everything, and returns the paths of what was made. Throws with esbuild's report if something does not compile.
 */
export async function build(): Promise<readonly string[]> {
  const { version } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8"));
  const shared = {
    absWorkingDir: ROOT,
    bundle: true,
    format: "esm",
    target: "es2024",
    logLevel: "warning",
    metafile: true,
    write: false,
  } as const;
  const [worker, ...published] = await Promise.all([
    esbuild.build({
      ...shared,
      entryPoints: ["src/index.ts"],
      outfile: "dist/worker.js",
      sourcemap: true,
      conditions: ["workerd", "worker", "browser"],
      define: { RIVULET_VERSION: JSON.stringify(version) },
      external: ["cloudflare:*", "node:*"],
      plugins: [esbuildPlugin(CONSOLE_MODULE), esbuildPlugin(DOCS_MODULE)],
    }),
    esbuild.build({
      ...shared,
      entryPoints: { client: "src/sdk/index.ts" },
      outdir: "dist",
      // The code that folds and unfolds batches is loaded on demand. Files of an earlier build stay, because a process
      // that was started with them may not have loaded them yet.
      splitting: true,
      chunkNames: "client-[name]-[hash]",
    }),
    esbuild.build({
      ...shared,
      entryPoints: {
        kafkajs: "src/kafkajs/socket-factory.ts",
        "worker-binding": "src/sdk/worker-binding.ts",
      },
      outdir: "dist",
      external: ["node:*"],
    }),
    esbuild.build({
      ...shared,
      entryPoints: ["src/cli/main.ts"],
      outfile: "dist/rivulet.js",
      platform: "node",
      define: { RIVULET_VERSION: JSON.stringify(version) },
      banner: { js: "#!/usr/bin/env node" },
    }),
  ]);
  const licenses = await licensesOf(published.map((result) => result.metafile));
  const files = [
    ...[worker, ...published].flatMap((result) => result.outputFiles),
    { path: join(ROOT, "dist/licenses.txt"), contents: Buffer.from(licenses) },
  ];
  for (const { path, contents } of files) await replaceFile(path, contents);
  await writeFile(STAMP, "");
  return files.map(({ path }) => path);
}

/** Removes the SDK's files of earlier builds, so that the package does not hold them. */
async function removeStale(built: readonly string[]): Promise<void> {
  const stale = (await readdir(join(ROOT, "dist")))
    .filter((name) => name.startsWith("client-"))
    .map((name) => join(ROOT, "dist", name))
    .filter((path) => !built.includes(path));
  await Promise.all(stale.map((path) => rm(path)));
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

if (import.meta.main) {
  const built = await build();
  if (process.argv.includes("--remove-stale")) await removeStale(built);
}
