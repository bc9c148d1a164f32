// npm run simulate -- --seeds N [--from X]     runs seeds X to X + N - 1
// npm run simulate -- --seed X [--trace]       runs one seed; --trace tells everything that happened in it
// npm run simulate -- --faults [--seeds N]     plants each fault of planted-faults.ts and looks for it in N seeds
import { parseArgs } from "node:util";
import { bundle } from "./bundle.ts";
import { findFault } from "./find-fault.ts";
import { GLOBALS } from "./globals.ts";
import { PLANTED_FAULTS } from "./planted-faults.ts";
import { simulateRelays } from "./relays.ts";
import { simulate } from "./simulation.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "500" },
    from: { type: "string", default: "1" },
    seed: { type: "string" },
    trace: { type: "boolean", default: false },
    faults: { type: "boolean", default: false },
  },
});
process.exitCode = (await (values.faults ? plantFaults() : runSeeds())) ? 0 : 1;

async function runSeeds(): Promise<boolean> {
  const program = await bundle(GLOBALS);
  const from = Number(values.seed ?? values.from);
  const count = values.seed === undefined ? Number(values.seeds) : 1;
  const startedMs = performance.now();
  const totals: Record<string, number> = {};
  let steps = 0;
  let bad = 0;
  for (let seed = from; seed < from + count; seed++) {
    const outcome = await simulate(program, seed, values.trace ? console.log : undefined);
    const relayed = await simulateRelays(program, seed);
    steps += outcome.steps + relayed.steps;
    for (const [name, value] of Object.entries({ ...outcome.counts, ...relayed.counts }))
      totals[name] = (totals[name] ?? 0) + value;
    const findings = [...outcome.findings, ...relayed.findings];
    if (findings.length === 0) continue;
    bad++;
    console.log(`seed ${seed}:`);
    for (const finding of findings) console.log(`  ${finding}`);
  }
  const seconds = Math.round((performance.now() - startedMs) / 1_000);
  console.log(`${count} seeds, ${steps} steps, ${bad} with findings, ${seconds} s`);
  console.log(totals);
  return bad === 0;
}

async function plantFaults(): Promise<boolean> {
  let areAllFound = true;
  console.log("planted fault | seeds until found | finding\n---|---|---");
  for (const fault of PLANTED_FAULTS) {
    const found = await findFault(fault, Number(values.seeds));
    areAllFound &&= found !== null;
    console.log(`${fault.name} | ${found?.seeds ?? "not found"} | ${found?.finding ?? ""}`);
  }
  return areAllFound;
}
