// `npm run release:freeze`: keeps this release for the tests of later ones. It keeps its bundles, databases that it has
// written, and the content that must be found in them. `-- --dist PATH --version 0.1.0` keeps another release, from the
// folder of its bundles.
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import * as esbuild from "esbuild";
import { build } from "../../src/self-host/build.ts";
import { ask } from "./ask.ts";
import { find } from "./found.ts";
import { ReleaseBroker } from "./release-broker.ts";
import { inFolder, isKept, keep, partitionFileOf } from "./releases.ts";
import { write } from "./write.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const { values } = parseArgs({
  options: { dist: { type: "string" }, version: { type: "string" } },
});
const { version = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")).version as string } =
  values;
if (isKept(version)) {
  console.error(
    `release ${version} is kept already, and what a release has written stays as it is`,
  );
  process.exit(1);
}
if (values.dist === undefined) await build();
const dist = resolve(values.dist ?? join(ROOT, "dist"));
const bundle = join(dist, "worker.js");
const { outputFiles } = await esbuild.build({
  entryPoints: [join(dist, "client.js")],
  bundle: true,
  format: "esm",
  write: false,
});
const code = { worker: readFileSync(bundle, "utf8"), sdk: outputFiles[0]?.text ?? "" };
process.env.KAFKAJS_NO_PARTITIONER_WARNING = "1";

await inFolder(async (dataDir) => {
  const first = await ReleaseBroker.start({ dataDir, bundle });
  const written = await write(first);
  await ask(first.url, "POST", "/v1/topics", { name: "doomed" });
  await ask(first.url, "POST", "/v1/topics/doomed/records", { records: [{ value: "to go" }] });
  await first.stop();
  // While its file is damaged, the partition of a deleted topic cannot be freed. So the cluster still has a task.
  const { path, topicId } = partitionFileOf(dataDir, "doomed");
  const file = readFileSync(path);
  writeFileSync(path, Buffer.alloc(file.length, 0xff));
  // A restart finds the same: members whose sockets are gone, and nothing in memory.
  const second = await ReleaseBroker.start({ dataDir, bundle });
  await ask(second.url, "DELETE", "/v1/topics/doomed");
  const found = await find(second);
  await second.stop();
  writeFileSync(path, file);
  const frozenAtMs = Date.now();
  keep({ version, frozenAtMs, ...written, deleting: topicId, found }, code, dataDir);
});
console.log(`release ${version} is kept in test/releases/${version}`);
process.exit(0);
