// `npm run test:mutation -- [--area NAME] [--file PATH] [--sample N] [--seed S] [--jobs J]`: puts small faults into the
// code, one at a time, and runs its tests. A fault that no test finds is printed. N mutants of each area are tried, chosen
// by the seed. Exits with 1 if the tests of an area find less than its target.
import { parseArgs } from "node:util";
import { Random } from "../support/random.ts";
import { AREAS, type Area, type Stage } from "./areas.ts";
import { type Mutant, mutantsOf, shown } from "./mutants.ts";
import { projectFiles, readProjectFile, Tree } from "./tree.ts";

/** A mutant that makes the tests wait this much longer than without it counts as found. */
const SLOWER = 4;
const SLACK_MS = 20_000;
const BASELINE_LIMIT_MS = 600_000;

const { values } = parseArgs({
  options: {
    area: { type: "string" },
    file: { type: "string" },
    sample: { type: "string", default: "20" },
    seed: { type: "string", default: "1" },
    jobs: { type: "string", default: "2" },
  },
});
const [sample, seed, jobs] = [values.sample, values.seed, values.jobs].map(Number) as [
  number,
  number,
  number,
];
const areas = AREAS.filter(({ name }) => values.area === undefined || name === values.area);
if (areas.length === 0 || !(sample > 0) || !Number.isSafeInteger(seed) || !(jobs > 0)) {
  const names = AREAS.map(({ name }) => `"${name}"`).join(", ");
  console.error(
    "Usage: npm run test:mutation -- [--area NAME] [--file PATH] [--sample N] [--seed S] [--jobs J]\n" +
      `Areas: ${names}`,
  );
  process.exit(2);
}
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(130));

const trees = Array.from({ length: jobs }, () => new Tree());
process.once("exit", () => {
  for (const tree of trees) tree.remove();
});

/** Chooses mutants evenly among all of an area's code. */
async function chosen(area: Area): Promise<Mutant[]> {
  const files = projectFiles().filter(
    (path) =>
      path.endsWith(".ts") &&
      area.files.some((beginning) => path.startsWith(beginning)) &&
      (values.file === undefined || path === values.file),
  );
  const all: Mutant[] = [];
  for (const file of files) all.push(...(await mutantsOf(file, readProjectFile(file))));
  const random = new Random(seed);
  const order = all.map((mutant) => ({ mutant, place: random.next() }));
  return order
    .sort((a, b) => a.place - b.place)
    .slice(0, sample)
    .map(({ mutant }) => mutant);
}

/** The time of each stage without a mutant. */
async function baseline(stages: readonly Stage[]): Promise<number[]> {
  const took: number[] = [];
  for (const stage of stages) {
    const startMs = performance.now();
    if (!(await (trees[0] as Tree).passes(stage, BASELINE_LIMIT_MS))) {
      throw new Error(`the tests fail without a mutant: ${stage.project} ${stage.tests.join(" ")}`);
    }
    took.push(performance.now() - startMs);
  }
  return took;
}

interface Score {
  readonly area: Area;
  readonly tried: number;
  readonly lived: number;
}

async function tryArea(area: Area): Promise<Score> {
  const left = await chosen(area);
  const tried = left.length;
  const took = await baseline(area.stages);
  let lived = 0;
  const isFound = async (tree: Tree) => {
    for (const [index, stage] of area.stages.entries()) {
      if (!(await tree.passes(stage, (took[index] as number) * SLOWER + SLACK_MS))) return true;
    }
    return false;
  };
  await Promise.all(
    trees.map(async (tree) => {
      for (let mutant = left.pop(); mutant !== undefined; mutant = left.pop()) {
        if (await tree.with(mutant, () => isFound(tree))) continue;
        lived++;
        console.log(`lived: ${shown(readProjectFile(mutant.file), mutant)}`);
      }
    }),
  );
  console.log(`${area.name}: ${tried - lived} of ${tried} found\n`);
  return { area, tried, lived };
}

const scores: Score[] = [];
for (const area of areas) scores.push(await tryArea(area));

console.log(`seed ${seed}\n`);
for (const { area, tried, lived } of scores) {
  const share = tried === 0 ? 1 : (tried - lived) / tried;
  const percent = (value: number) => `${Math.round(value * 100)} %`;
  console.log(
    `${area.name.padEnd(20)} ${`${tried - lived} of ${tried}`.padStart(10)} ${percent(share).padStart(6)}   aim ${percent(area.aim)}`,
  );
  if (share < area.aim) process.exitCode = 1;
}
