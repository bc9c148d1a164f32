// What the SDK weighs in somebody's bundle, and that it needs nothing of any runtime in particular.
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { expect, test } from "vitest";

const MAX_GZIPPED_BYTES = 20 * 1024;

async function bundle() {
  const { outputFiles, metafile } = await build({
    absWorkingDir: fileURLToPath(new URL("../..", import.meta.url)),
    entryPoints: { client: "src/client/index.ts" },
    outdir: "out",
    bundle: true,
    minify: true,
    splitting: true,
    format: "esm",
    platform: "neutral",
    mainFields: ["module", "main"],
    metafile: true,
    write: false,
  });
  const sizes = outputFiles.map(({ path, contents }) => ({
    path: `out/${path.split("/").at(-1)}`,
    gzipped: gzipSync(contents, { level: 9 }).length,
  }));
  /** The entry and what it imports before anything runs. */
  const initial = (path: string): string[] => [
    path,
    ...(metafile.outputs[path]?.imports ?? [])
      .filter(({ kind }) => kind === "import-statement")
      .flatMap((each) => initial(each.path)),
  ];
  return { sizes, metafile, initial: new Set(initial("out/client.js")) };
}

test("[PKG-1] producer, consumer and admin weigh at most 20 KB, gzipped, before the first compressed batch", async () => {
  const { sizes, initial } = await bundle();
  const bytes = sizes
    .filter(({ path }) => initial.has(path))
    .reduce((sum, { gzipped }) => sum + gzipped, 0);
  expect(bytes).toBeGreaterThan(5_000);
  expect(bytes).toBeLessThanOrEqual(MAX_GZIPPED_BYTES);
});

test("[PKG-2] it imports nothing of Node, nor any package but what unfolds compressed batches", async () => {
  const { metafile, initial } = await bundle();
  const inputs = Object.keys(metafile.inputs).filter((path) => !path.startsWith("src/"));
  expect(inputs.every((path) => /node_modules\/(fflate|fzstd)\//.test(path))).toBe(true);
  for (const path of initial)
    for (const input of Object.keys(metafile.outputs[path]?.inputs ?? {}))
      expect(input).toMatch(/^src\//);
});
