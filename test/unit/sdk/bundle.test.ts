// The SDK's size in a bundle, and that it depends on no particular runtime.
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { expect, test } from "vitest";

const KILOBYTE = 1024;

const EVERYTHING = `export * from "./src/sdk/index.ts"`;
/** With their means of reaching a broker. */
const PRODUCER_AND_CONSUMER = `
  export { Producer } from "./src/sdk/producer.ts";
  export { Consumer } from "./src/sdk/consumer.ts";
  export { HttpClient } from "./src/admin/http.ts";
  export { networkTransport } from "./src/sdk/transport/network.ts";`;

async function bundle(contents: string) {
  const root = fileURLToPath(new URL("../../..", import.meta.url));
  const { outputFiles, metafile } = await build({
    absWorkingDir: root,
    stdin: { contents, resolveDir: root, sourcefile: "src/sdk.ts", loader: "ts" },
    entryNames: "client",
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
  /** The entry and its static imports. */
  const initial = (path: string): string[] => [
    path,
    ...(metafile.outputs[path]?.imports ?? [])
      .filter(({ kind }) => kind === "import-statement")
      .flatMap((each) => initial(each.path)),
  ];
  return { sizes, metafile, initial: new Set(initial("out/client.js")) };
}

test.each([
  { what: "producer and consumer", contents: PRODUCER_AND_CONSUMER, kilobytes: 20 },
  { what: "all of the SDK", contents: EVERYTHING, kilobytes: 24 },
])(
  "[PKG-1] $what: at most $kilobytes KB, gzipped, before the first compressed batch",
  async ({ contents, kilobytes }) => {
    const { sizes, initial } = await bundle(contents);
    const bytes = sizes
      .filter(({ path }) => initial.has(path))
      .reduce((sum, { gzipped }) => sum + gzipped, 0);
    expect(bytes).toBeGreaterThan(5_000);
    expect(bytes).toBeLessThanOrEqual(kilobytes * KILOBYTE);
  },
);

test("[PKG-2] it imports nothing of Node, nor any package except for decompression", async () => {
  const { metafile, initial } = await bundle(EVERYTHING);
  const inputs = Object.keys(metafile.inputs).filter((path) => !path.startsWith("src/"));
  expect(inputs.every((path) => /node_modules\/(fflate|fzstd)\//.test(path))).toBe(true);
  for (const path of initial)
    for (const input of Object.keys(metafile.outputs[path]?.inputs ?? {}))
      expect(input).toMatch(/^src\//);
});
