// The whole broker under seeded faults: see test/simulation. `npm run simulate` runs more seeds.
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { runs } from "../support/effort.ts";
import { bundle } from "./bundle.ts";
import { GLOBALS } from "./globals.ts";
import { idle } from "./idle.ts";
import { simulate } from "./simulation.ts";

const MAIN = fileURLToPath(new URL("./main.ts", import.meta.url));

/** In a process of its own, as a person runs it. */
function run(...args: readonly string[]): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...args], (error, stdout, stderr) => {
      const code = error === null ? 0 : Number(error.code ?? 1);
      resolve({ code, output: stdout + stderr });
    });
  });
}

const SEEDS = runs(6).numRuns;

test(`[SIM-1] ${SEEDS} seeds: no invariant is ever broken, and everything comes to rest`, async () => {
  const { code, output } = await run("--seeds", `${SEEDS}`);
  const [, seeds, steps] = /^(\d+) seeds, (\d+) steps, 0 with findings/m.exec(output) ?? [];
  expect(Number(seeds), output).toBe(SEEDS);
  expect(Number(steps)).toBeGreaterThan(1_000 * SEEDS);
  expect(Number(/handled: (\d+)/.exec(output)?.[1])).toBeGreaterThan(50 * SEEDS);
  expect(code).toBe(0);
}, 600_000);

test("[SIM-2] a seed run twice gives the same trace, and another seed another one", async () => {
  const program = await bundle(GLOBALS);
  const [first, again, other] = [
    await simulate(program, 7),
    await simulate(program, 7),
    await simulate(program, 8),
  ];
  expect(again).toEqual(first);
  expect(other.trace).not.toBe(first.trace);
});

test("[GRP-11] quiet groups wake twice an hour, write a row each time, and keep all members", async () => {
  const counts = await idle({ groups: 2, membersPerGroup: 10, hours: 2 });
  expect(counts.members).toBe(20);
  expect(counts.wakes).toBeLessThanOrEqual(2);
  expect(counts.writes).toBeLessThanOrEqual(2);
}, 120_000);
