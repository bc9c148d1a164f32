// The number of stored records a second that one consumer of a new group handles, from before it joins.
import { type Comparison, inTurns, Measured, printComparisons, ROUNDS } from "./compare.ts";
import { type Side, sendAll, type Target } from "./side.ts";

const RECORDS = 200_000;
const VALUE_BYTES = 100;

export async function benchCatchUp(sides: readonly Side[]): Promise<void> {
  const comparisons: Comparison[] = [];
  for (const partitions of [1, 6]) {
    const targets = new Map<Side, Target>();
    for (const side of sides) {
      const target = await side.create(partitions, VALUE_BYTES);
      await sendAll(target, RECORDS);
      await readAll(target); // Compiled and warm before anything counts.
      targets.set(side, target);
    }
    const measured = new Measured();
    await inTurns(sides, async (side) => {
      const startMs = performance.now();
      const endMs = await readAll(targets.get(side) as Target);
      measured.add(side, RECORDS / ((endMs - startMs) / 1000));
    });
    for (const target of targets.values()) await target.close();
    const name = `${VALUE_BYTES} B, ${partitions} partition(s)`;
    process.stderr.write(`catch-up ${name}: done\n`);
    const aims = { redis: "≥ 3", jetstream: "≥ 3" };
    comparisons.push({ name, unit: "records/s", aims, measured });
  }
  printComparisons(
    `Catch-up: ${RECORDS.toLocaleString("en")} stored records, each handed to a handler; medians of ${ROUNDS} rounds`,
    comparisons,
  );
}

/** Resolves with when the last record was handled. */
async function readAll(target: Target): Promise<number> {
  let records = 0;
  let bytes = 0;
  let done: (endMs: number) => void = () => {};
  const ended = new Promise<number>((resolve) => {
    done = resolve;
  });
  const consuming = await target.consume((valueBytes) => {
    bytes += valueBytes;
    if (++records === RECORDS) done(performance.now());
  });
  const endMs = await ended;
  await consuming.stop();
  if (records !== RECORDS || bytes !== RECORDS * VALUE_BYTES)
    throw new Error(`handled ${records} records with ${bytes} bytes`);
  return endMs;
}
