// Bundles the Worker (which `npm start` runs on workerd, `npm run dev` serves and `npm run deploy` uploads),
// the SDK and the CLI into dist/.
import { chmod } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Builds everything. Throws with esbuild's report where something does not compile. */
export async function build(): Promise<void> {
  const shared = {
    absWorkingDir: ROOT,
    bundle: true,
    format: "esm",
    target: "es2024",
    sourcemap: true,
    logLevel: "warning",
  } as const;
  await Promise.all([
    esbuild.build({
      ...shared,
      entryPoints: ["src/index.ts"],
      outfile: "dist/worker.js",
      conditions: ["workerd", "worker", "browser"],
      external: ["cloudflare:*", "node:*"],
    }),
    esbuild.build({ ...shared, entryPoints: ["src/client/index.ts"], outfile: "dist/client.js" }),
    esbuild.build({
      ...shared,
      entryPoints: ["src/cli/main.ts"],
      outfile: "dist/rivulet.js",
      platform: "node",
      packages: "external",
      banner: { js: "#!/usr/bin/env node" },
    }),
  ]);
  await chmod(`${ROOT}/dist/rivulet.js`, 0o755);
}

if (import.meta.main) await build();
