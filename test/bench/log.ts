// The log against a bare object on the same workerd, with the same bytes and one row per message there. Rounds alternate,
// and the report has medians.
import {
  bareSide,
  createTopic,
  payload,
  rivuletSide,
  rivuletTarget,
  type Side,
} from "./clients.ts";
import { median, printTable, round } from "./report.ts";
import { type Servers, startServers } from "./servers.ts";

const ROUNDS = 5;

/** A shape of work: what it measures on one side, in one round. */
interface Shape {
  readonly name: string;
  readonly unit: string;
  readonly aim: string;
  /** True if less is better, so that the ratio is rivulet's time to the bare object's. */
  readonly isTime?: true;
  run(side: Side): Promise<number>;
}

const SHAPES: readonly Shape[] = [
  produceShape("batches of 1000 x 100 B, 8 in flight", 1000, 100, 200, 8, "≥ 0.85"),
  produceShape("batches of 100 x 1 KB, 8 in flight", 100, 1024, 200, 8, "≥ 0.9"),
  produceShape("single 100 B records, 64 in flight", 1, 100, 20_000, 64, "≥ 3"),
  {
    name: "single 100 B record, 1 in flight",
    unit: "ms",
    aim: "≤ 1.3",
    isTime: true,
    run: async (side) => {
      const target = await side.create();
      const one = payload(1, 100);
      const payloads = () => Array.from({ length: 1_000 }, () => one.slice());
      await target.latencies(payloads());
      const times = await target.latencies(payloads());
      target.close();
      return median(times);
    },
  },
  {
    name: "catch-up read of 1,000,000 x 100 B",
    unit: "records/s",
    aim: "≥ 0.8",
    run: async (side) => {
      const target = await side.create();
      const batch = payload(1000, 100);
      await target.produce(
        Array.from({ length: 1000 }, () => batch.slice()),
        8,
      );
      const startMs = performance.now();
      await target.readAll(1000 * batch.length);
      const rate = 1_000_000 / seconds(startMs);
      target.close();
      return rate;
    },
  },
  tailShape(1, 200),
  tailShape(1000, 20),
  tailLatencyShape(1, 300),
  tailLatencyShape(1000, 30),
];

function produceShape(
  name: string,
  count: number,
  size: number,
  messages: number,
  inFlight: number,
  aim: string,
): Shape {
  return {
    name,
    unit: "records/s",
    aim,
    run: async (side) => {
      const target = await side.create();
      const batch = payload(count, size);
      const payloads = (some: number) => Array.from({ length: some }, () => batch.slice());
      await target.produce(payloads(messages / 4), inFlight);
      const all = payloads(messages);
      const startMs = performance.now();
      await target.produce(all, inFlight);
      const rate = (messages * count) / seconds(startMs);
      target.close();
      return rate;
    },
  };
}

function tailShape(readers: number, messages: number): Shape {
  return {
    name: `tail delivery to ${readers} reader(s), batches of 100 x 100 B`,
    unit: "records/s",
    aim: "",
    run: async (side) => {
      const target = await side.create();
      const listeners = await target.listen(readers);
      const batch = payload(100, 100);
      await target.produce([batch.slice()], 1);
      await listeners.received(batch.length);
      const startMs = performance.now();
      const all = Array.from({ length: messages }, () => batch.slice());
      await Promise.all([
        target.produce(all, 8),
        listeners.received((messages + 1) * batch.length),
      ]);
      const rate = (messages * 100 * readers) / seconds(startMs);
      listeners.close();
      target.close();
      return rate;
    },
  };
}

/** From sending a record until the last reader has it. */
function tailLatencyShape(readers: number, messages: number): Shape {
  return {
    name: `tail latency to ${readers} reader(s), 1 record`,
    unit: "ms",
    aim: "",
    isTime: true,
    run: async (side) => {
      const target = await side.create();
      const listeners = await target.listen(readers);
      const one = payload(1, 100);
      const times: number[] = [];
      for (let i = 1; i <= messages; i++) {
        const startMs = performance.now();
        const received = listeners.received(i * one.length);
        await target.produce([one.slice()], 1);
        await received;
        times.push(performance.now() - startMs);
      }
      listeners.close();
      target.close();
      return median(times);
    },
  };
}

function seconds(startMs: number): number {
  return (performance.now() - startMs) / 1000;
}

export async function benchLog(): Promise<void> {
  const servers = await startServers();
  try {
    const only = process.argv[3];
    const shapes = SHAPES.filter(({ name }) => only === undefined || name.includes(only));
    const sides = [bareSide(servers), rivuletSide(servers)];
    if (shapes.length === 0 && only !== "growth") {
      console.log(
        `Nothing has "${only}" in its name: ${SHAPES.map(({ name }) => name).join("; ")}; growth`,
      );
      return;
    }
    const rows: string[][] = [];
    for (const shape of shapes) {
      const row = await compare(shape, sides);
      process.stderr.write(`${row[0]}: ${row[4]}\n`);
      rows.push(row);
    }
    const head = ["shape", "bare", "rivulet", "unit", "ratio", "aim"];
    console.log(
      `Rivulet against a bare object, medians of ${ROUNDS} alternating rounds (ratio: median of the rounds' ratios)\n`,
    );
    if (rows.length > 0) printTable(head, rows);
    if (only === undefined || only === "growth") await growth(servers);
  } finally {
    await servers.stop();
  }
}

async function compare(shape: Shape, sides: readonly Side[]): Promise<string[]> {
  for (const side of sides) await shape.run(side); // Compiled and warm before anything counts.
  const measured = { bare: [] as number[], rivulet: [] as number[] };
  const ratios: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    for (const side of i % 2 === 0 ? sides : sides.toReversed())
      measured[side.name].push(await shape.run(side));
    ratios.push((measured.rivulet.at(-1) ?? 0) / (measured.bare.at(-1) ?? 1));
  }
  const cells = [median(measured.bare), median(measured.rivulet)].map((value) => round(value));
  return [shape.name, ...cells, shape.unit, round(median(ratios)), shape.aim];
}

/** The same operations on a short and on a long log. */
async function growth(servers: Servers): Promise<void> {
  const url = servers.rivulet;
  const logs = await Promise.all(
    [1, 1000].map(async (batches) => {
      const topic = await createTopic(url);
      const target = await rivuletTarget(url, topic);
      const batch = payload(1000, 100);
      await target.produce(
        Array.from({ length: batches }, () => batch.slice()),
        8,
      );
      target.close();
      return { topic, batches };
    }),
  );
  const appended = logs.map(() => [] as number[]);
  const read = logs.map(() => [] as number[]);
  const woken = logs.map(() => [] as number[]);
  for (let i = 0; i < 2 * ROUNDS; i++) {
    for (const [index, { topic }] of logs.entries()) {
      const target = await rivuletTarget(url, topic);
      const times = await target.latencies(Array.from({ length: 300 }, () => payload(1, 100)));
      appended[index]?.push(median(times));
      target.close();
      read[index]?.push(await tailRead(url, topic));
    }
  }
  for (let i = 0; i < 2 * ROUNDS; i++) {
    await untilEvicted(servers, logs.length, async () => {
      for (const index of i % 2 === 0 ? [0, 1] : [1, 0]) {
        const { topic } = logs[index] as (typeof logs)[number];
        const startMs = performance.now();
        await (await fetch(`${url}/v1/topics/${topic}/partitions/0/offsets`)).json();
        woken[index]?.push(performance.now() - startMs);
      }
    });
  }
  console.log(
    `Growth: the same at 1,000 and at 1,000,000 records, medians of ${2 * ROUNDS} rounds\n`,
  );
  const row = (name: string, [short, long]: readonly number[][]) => {
    const [a, b] = [median(short ?? []), median(long ?? [])];
    return [name, round(a), round(b), "ms", round(b / a), "≤ 1.1"];
  };
  printTable(
    ["operation", "1,000", "1,000,000", "unit", "ratio", "aim"],
    [
      row("append of a record", appended),
      row("read of the tail (HTTP)", read),
      row("wake-up of an evicted object, and an answer", woken),
    ],
  );
}

async function tailRead(url: string, topic: string): Promise<number> {
  const path = `${url}/v1/topics/${topic}/partitions/0`;
  const { offset } = (await (await fetch(`${path}/offsets`)).json()) as { offset: number };
  const times: number[] = [];
  for (let i = 0; i < 50; i++) {
    const startMs = performance.now();
    await (await fetch(`${path}/records?offset=${offset - 10}`)).text();
    times.push(performance.now() - startMs);
  }
  return median(times);
}

/** Leaves the objects alone until workerd evicts them (ten seconds), then does something with them. */
async function untilEvicted(
  servers: Servers,
  objects: number,
  action: () => Promise<void>,
): Promise<void> {
  const before = servers.partitionStarts();
  await new Promise((resolve) => setTimeout(resolve, 11_500));
  await action();
  await new Promise((resolve) => setTimeout(resolve, 50));
  const starts = servers.partitionStarts() - before;
  if (starts < objects) console.log(`(only ${starts} of ${objects} objects had been evicted)`);
}
