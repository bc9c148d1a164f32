// Readers that follow to relays, under seeded faults. `npm run simulate` runs more seeds.
import { expect, test } from "vitest";
import { runs } from "../support/effort.ts";
import { bundle } from "./bundle.ts";
import { GLOBALS } from "./globals.ts";
import { simulateRelays } from "./relays.ts";

const SEEDS = runs(6).numRuns;

test(`[SIM-1] [RLY-2] ${SEEDS} seeds: readers of relays get every record once and in order, and all of them in the end`, async () => {
  const program = await bundle(GLOBALS);
  const counts = { relayed: 0, relays: 0, moves: 0 };
  for (let seed = 1; seed <= SEEDS; seed++) {
    const outcome = await simulateRelays(program, seed);
    expect(outcome.findings, `seed ${seed}`).toEqual([]);
    counts.relayed += outcome.counts.relayed;
    counts.relays += outcome.counts.relays;
    counts.moves += outcome.counts.moves;
  }
  expect(counts.relayed).toBeGreaterThan(50 * SEEDS);
  expect(counts.relays).toBeGreaterThan(2 * SEEDS);
  expect(counts.moves).toBeGreaterThan(5 * SEEDS);
}, 600_000);
