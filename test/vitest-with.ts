// Runs Vitest with variables in every shell, cmd of Windows too: `node test/vitest-with.ts NAME=VALUE … ARGUMENTS`.
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const VARIABLE = /^([A-Z][A-Z0-9_]*)=(.*)$/s;

const given = process.argv.slice(2);
const end = given.findIndex((each) => !VARIABLE.test(each));
const variables = given.slice(0, end === -1 ? given.length : end);
for (const each of variables) {
  const [, name = "", value = ""] = VARIABLE.exec(each) ?? [];
  process.env[name] = value;
}
const vitest = dirname(createRequire(import.meta.url).resolve("vitest/package.json"));
const options = ["run", "--config", "test/vitest.config.ts", "--root", "."];
const { status } = spawnSync(
  process.execPath,
  [join(vitest, "vitest.mjs"), ...options, ...given.slice(variables.length)],
  { stdio: "inherit" },
);
process.exit(status ?? 1);
