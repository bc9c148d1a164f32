// librdkafka comes as a package for each platform. npm leaves it out if npm itself runs on a Node that the package does not
// name. This holds even if the tests run on one that it does. Then the tests' own Node installs it.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

export async function installNativeClient(): Promise<void> {
  const isThere = await import("kafka-crab-js").then(
    () => true,
    () => false,
  );
  if (isThere) return;
  const manifest = join(ROOT, "node_modules/kafka-crab-js/package.json");
  const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { version: string };
  // npm takes the first `node` on the PATH.
  const PATH = `${dirname(process.execPath)}:${process.env.PATH}`;
  const spec = `kafka-crab-js@${version}`;
  const quiet = ["--no-audit", "--no-fund", "--loglevel=error"];
  execFileSync("npm", ["install", "--no-save", "--force", ...quiet, spec], {
    cwd: ROOT,
    env: { ...process.env, PATH },
    stdio: ["ignore", "ignore", "inherit"],
  });
}
