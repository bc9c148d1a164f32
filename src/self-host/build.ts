// Bundles the Worker, the SDK and the CLI into dist/, of which the package is made. They need no other package [PKG-4].
// `npm start` and `rivulet start` run the Worker on workerd, `npm run dev` serves it and `npm run deploy` uploads it.
import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";
import { esbuildPlugin, licensesOf } from "./browser-files.ts";
import { STAMP } from "./build-stamp.ts";
import { CONSOLE_MODULE } from "./console-bundle.ts";
import { DOCS_MODULE } from "./docs-bundle.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Loads Node's modules for the parts of the CLI that are CommonJS, which are those of ws. */
const REQUIRE = `import { createRequire as requireOf } from "node:module"; const require = requireOf(import.meta.url);`;

/** Builds everything, and returns the paths of the files. Throws with esbuild's report if something does not compile. */
export async function build(): Promise<readonly string[]> {
  const { version, devDependencies } = JSON.parse(
    await readFile(join(ROOT, "package.json"), "utf8"),
  );
  const shared = {
    absWorkingDir: ROOT,
    bundle: true,
    format: "esm",
    target: "es2024",
    logLevel: "warning",
    metafile: true,
    write: false,
  } as const;
  const results = await Promise.all([
    esbuild.build({
      ...shared,
      entryPoints: ["src/index.ts"],
      outfile: "dist/worker.js",
      sourcemap: true,
      // Names stay, for stack traces.
      minifySyntax: true,
      minifyWhitespace: true,
      conditions: ["workerd", "worker", "browser"],
      define: { RIVULET_VERSION: JSON.stringify(version) },
      external: ["cloudflare:*", "node:*"],
      plugins: [esbuildPlugin(CONSOLE_MODULE), esbuildPlugin(DOCS_MODULE)],
    }),
    esbuild.build({
      ...shared,
      entryPoints: { client: "src/sdk/index.ts" },
      outdir: "dist",
      sourcemap: true,
      // Code that compresses and decompresses is loaded on demand. Files of an earlier build stay, because a process that
      // was started with them may not have loaded them yet.
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
      sourcemap: true,
      external: ["node:*"],
    }),
    esbuild.build({
      ...shared,
      entryPoints: { rivulet: "src/cli/main.ts" },
      outdir: "dist",
      platform: "node",
      target: "node20",
      // The broker, and the WebSocket that only Node 20 needs, are loaded on demand.
      splitting: true,
      chunkNames: "rivulet-[name]-[hash]",
      define: {
        RIVULET_VERSION: JSON.stringify(version),
        RIVULET_WORKERD_VERSION: JSON.stringify(devDependencies.workerd),
      },
      banner: { js: REQUIRE },
    }),
  ]);
  const licenses = await licensesOf(results.map((result) => result.metafile));
  const files = [
    ...results.flatMap((result) => result.outputFiles),
    { path: join(ROOT, "dist/licenses.txt"), contents: Buffer.from(licenses) },
  ];
  for (const { path, contents } of files) await replaceFile(path, contents);
  await writeFile(STAMP, "");
  return files.map(({ path }) => path);
}

/** Removes the scripts of earlier builds, so that the package does not hold them. */
async function removeStale(built: readonly string[]): Promise<void> {
  const stale = (await readdir(join(ROOT, "dist")))
    .filter((name) => /\.js(\.map)?$/.test(name))
    .map((name) => join(ROOT, "dist", name))
    .filter((path) => !built.includes(path));
  await Promise.all(stale.map((path) => rm(path)));
}

/** Replaces a file wholly or not at all: a broker that starts must not break a command line that runs. */
export async function replaceFile(path: string, contents: Uint8Array): Promise<void> {
  const before = await readFile(path).catch(() => null);
  if (before?.equals(contents)) return;
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}`;
  await writeFile(temporary, contents);
  if (basename(path) === "rivulet.js") await chmod(temporary, 0o755);
  await rename(temporary, path);
}

if (import.meta.main) {
  const built = await build();
  if (process.argv.includes("--remove-stale")) await removeStale(built);
}
