// npm run simulate -- --seeds N [--from X] | --seed X [--trace]
import { parseArgs } from "node:util";
import { bundle } from "./bundle.ts";
import { simulate } from "./simulation.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "100" },
    from: { type: "string", default: "1" },
    seed: { type: "string" },
    trace: { type: "boolean", default: false },
  },
});
const evaluate = await bundle();
const from = Number(values.seed ?? values.from);
const count = values.seed === undefined ? Number(values.seeds) : 1;
const startedMs = performance.now();
const totals: Record<string, number> = {};
let steps = 0;
let bad = 0;
for (let seed = from; seed < from + count; seed++) {
  const outcome = await simulate(evaluate, seed, values.trace ? console.log : undefined);
  steps += outcome.steps;
  for (const [name, value] of Object.entries(outcome.counts))
    totals[name] = (totals[name] ?? 0) + value;
  if (outcome.findings.length === 0) continue;
  bad++;
  console.log(`seed ${seed}:`);
  for (const finding of outcome.findings) console.log(`  ${finding}`);
}
console.log(
  `${count} seeds, ${steps} steps, ${bad} with findings, ${Math.round(performance.now() - startedMs)} ms`,
);
console.log(totals);
process.exitCode = bad === 0 ? 0 : 1;
