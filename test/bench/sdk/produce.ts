// The number of records a second that a client gets acknowledged if it sends them in calls of 100, 64 calls at once.
import { type Comparison, inTurns, Measured, printComparisons, ROUNDS } from "./compare.ts";
import { type Side, sendAll } from "./side.ts";

const SHAPES = [
  { valueBytes: 100, records: 200_000, partitions: 1 },
  { valueBytes: 100, records: 200_000, partitions: 6 },
  { valueBytes: 1024, records: 50_000, partitions: 1 },
  { valueBytes: 1024, records: 50_000, partitions: 6 },
];
/** The factor by which the preceding round is smaller. */
const WARM_UP = 10;

export async function benchProduce(sides: readonly Side[]): Promise<void> {
  const comparisons: Comparison[] = [];
  for (const { valueBytes, records, partitions } of SHAPES) {
    const measured = new Measured();
    await inTurns(sides, async (side) => {
      const target = await side.create(partitions, valueBytes);
      const count = records * side.produceShare;
      await sendAll(target, count / WARM_UP);
      const startMs = performance.now();
      await sendAll(target, count);
      measured.add(side, count / ((performance.now() - startMs) / 1000));
      await target.close();
    });
    const name = `${valueBytes} B, ${partitions} partition(s)`;
    process.stderr.write(`produce ${name}: done\n`);
    const aims = { redis: "≥ 3", jetstream: "≥ 10" };
    comparisons.push({ name, unit: "records/s", aims, measured });
  }
  for (const { name, produceShare } of sides)
    if (produceShare < 1) console.log(`(${name} is given ${produceShare} of the records)`);
  printComparisons(
    `Produce: calls of 100 records, 64 at once, until all are acknowledged; medians of ${ROUNDS} rounds`,
    comparisons,
  );
}
