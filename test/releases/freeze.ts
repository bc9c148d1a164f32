// `npm run release:freeze`: keeps this release for the tests of later ones: its bundle, databases that it has written, and
// what must be found in them. `-- --bundle PATH --version 0.1.0` keeps another release, by its bundle.
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "../../src/self-host/build.ts";
import { find } from "./found.ts";
import { ReleaseBroker } from "./release-broker.ts";
import { inFolder, isKept, keep } from "./releases.ts";
import { write } from "./write.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const { values } = parseArgs({
  options: { bundle: { type: "string" }, version: { type: "string" } },
});
const { version = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")).version as string } =
  values;
if (isKept(version)) {
  console.error(
    `release ${version} is kept already, and what a release has written stays as it is`,
  );
  process.exit(1);
}
const bundle = resolve(values.bundle ?? join(ROOT, "dist/worker.js"));
if (values.bundle === undefined) await build();
process.env.KAFKAJS_NO_PARTITIONER_WARNING = "1";

await inFolder(async (dataDir) => {
  const first = await ReleaseBroker.start({ dataDir, bundle });
  const written = await write(first);
  await first.stop();
  // What is found is what a restart finds: members whose sockets are gone, and nothing in memory.
  const second = await ReleaseBroker.start({ dataDir, bundle });
  const found = await find(second);
  await second.stop();
  keep({ version, frozenAtMs: Date.now(), ...written, found }, bundle, dataDir);
});
console.log(`release ${version} is kept in test/releases/${version}`);
process.exit(0);
