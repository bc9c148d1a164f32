// `npm test`: two runs of Vitest side by side. The end-to-end tests wait most of the time, and the others compute meanwhile.
// `npm run test:long`: the files that `npm test` leaves out. With other arguments it is one run of Vitest with these, and
// leaves out nothing: `npm test -- --project unit`.
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";

/** They wait for a minute, move much data, start many brokers, or simulate for long. */
const LONG = [
  "test/e2e/backup.test.ts",
  "test/e2e/bounds.test.ts",
  "test/e2e/files.test.ts",
  "test/e2e/idle.test.ts",
  "test/e2e/kafka-silence.test.ts",
  "test/e2e/relays.test.ts",
  "test/e2e/session-cpu.test.ts",
  "test/e2e/standstill.test.ts",
  "test/simulation/cost.test.ts",
  "test/simulation/planted-faults.test.ts",
];
const WITHOUT_LONG = LONG.flatMap((file) => ["--exclude", file]);

/** Made for two cores. Each further process or runtime costs seconds of CPU to start. */
const SIDE_BY_SIDE = [
  ["--project", "e2e", "--maxWorkers", "6", ...WITHOUT_LONG],
  ["--project", "workers", "--project", "unit", "--maxWorkers", "3", ...WITHOUT_LONG],
];
/** Half of them wait. */
const LONG_ONLY = [...LONG, "--project", "e2e", "--project", "unit", "--maxWorkers", "8"];

const VITEST = join(
  dirname(createRequire(import.meta.url).resolve("vitest/package.json")),
  "vitest.mjs",
);
const COMMAND = [VITEST, "run", "--config", "test/vitest.config.ts", "--root", "."];

/** Resolves to the exit code. The whole lines of runs side by side alternate. */
function run(options: readonly string[], isAlone: boolean): Promise<number> {
  const isColored = process.stdout.isTTY && process.env.NO_COLOR === undefined;
  const child = spawn(process.execPath, [...COMMAND, ...options], {
    stdio: isAlone ? "inherit" : ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...(isColored && !isAlone ? { FORCE_COLOR: "1" } : {}) },
  });
  process.once("SIGTERM", () => child.kill("SIGTERM"));
  for (const name of ["stdout", "stderr"] as const) {
    const stream = child[name];
    if (stream !== null)
      createInterface({ input: stream }).on("line", (line) => process[name].write(`${line}\n`));
  }
  return new Promise((resolve) => child.once("close", (code) => resolve(code ?? 1)));
}

process.on("SIGINT", () => {}); // The runs get it too, and end what they have started.
const given = process.argv.slice(2);
const runs =
  given.length === 0
    ? SIDE_BY_SIDE.map((options) => run(options, false))
    : [run(given[0] === "long" ? [...LONG_ONLY, ...given.slice(1)] : given, true)];
process.exitCode = Math.max(...(await Promise.all(runs)));
