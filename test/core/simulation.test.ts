// The whole broker under seeded faults: see test/simulation. `npm run simulate` runs more seeds.
import { expect, test } from "vitest";
import { bundle } from "../simulation/bundle.ts";
import { GLOBALS } from "../simulation/globals.ts";
import { simulate } from "../simulation/simulation.ts";

const SEEDS = 500;

test(`[SIM-1] ${SEEDS} seeds: nothing that must hold is ever broken, and everything comes to rest`, async () => {
  const program = await bundle(GLOBALS);
  const findings: string[] = [];
  let handled = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const outcome = await simulate(program, seed);
    handled += outcome.counts.handled ?? 0;
    for (const finding of outcome.findings) findings.push(`seed ${seed}: ${finding}`);
  }
  expect(findings).toEqual([]);
  expect(handled).toBeGreaterThan(10_000);
}, 180_000);

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
