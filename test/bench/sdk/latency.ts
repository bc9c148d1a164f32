// From before a record is given to the producer until a consumer's handler has it, under little load.
import { setTimeout as wait } from "node:timers/promises";
import { type Comparison, inTurns, Measured, printComparisons, ROUNDS } from "./compare.ts";
import type { Side } from "./side.ts";

const WARM_UP_RECORDS = 50;
const RECORDS = 400;
const INTERVAL_MS = 5;
const VALUE_BYTES = 100;

export async function benchLatency(sides: readonly Side[]): Promise<void> {
  const p50 = new Measured();
  const p99 = new Measured();
  await inTurns(sides, async (side) => {
    const times = (await latencies(side)).sort((a, b) => a - b);
    p50.add(side, percentile(times, 50));
    p99.add(side, percentile(times, 99));
  });
  process.stderr.write("latency: done\n");
  const unit = "ms";
  const comparisons: Comparison[] = [
    { name: "p50", unit, aims: { redis: "≤ 2", jetstream: "≤ 2" }, measured: p50 },
    { name: "p99", unit, aims: { redis: "", jetstream: "" }, measured: p99 },
  ];
  printComparisons(
    `Latency: a record of ${VALUE_BYTES} B every ${INTERVAL_MS} ms, from producer to handler; medians of ${ROUNDS} rounds`,
    comparisons,
  );
}

async function latencies(side: Side): Promise<number[]> {
  const target = await side.create(1, VALUE_BYTES);
  const sentMs: number[] = [];
  const handledMs: number[] = [];
  // One partition, so they are handled in the order in which they were sent.
  const consuming = await target.consume(() => handledMs.push(performance.now()));
  await sendSteadily(WARM_UP_RECORDS);
  await sendSteadily(RECORDS);
  await consuming.stop();
  await target.close();
  return sentMs.map((ms, i) => (handledMs[i] as number) - ms).slice(WARM_UP_RECORDS);

  async function sendSteadily(count: number): Promise<void> {
    const startMs = performance.now();
    const sends: Promise<void>[] = [];
    for (let i = 0; i < count; i++) {
      await wait(Math.max(0, startMs + i * INTERVAL_MS - performance.now()));
      sentMs.push(performance.now());
      sends.push(target.send(0, 1));
    }
    await Promise.all(sends);
    while (handledMs.length < sentMs.length) await wait(1);
  }
}

function percentile(sorted: readonly number[], percent: number): number {
  return sorted[Math.ceil((sorted.length * percent) / 100) - 1] as number;
}
