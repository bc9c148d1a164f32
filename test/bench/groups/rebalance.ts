// The effect of a join or a leave on other members: records flow into every partition, and each delivery is noted.

import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as wait } from "node:timers/promises";
import { type Consumer, Rivulet } from "../../../src/sdk/index.ts";
import { BrokerProcess } from "../../e2e/broker.ts";
import { Reporter } from "../../e2e/processes/reporter.ts";
import { until } from "../../support/until.ts";
import { median, printTable, round } from "../report.ts";
import { Deliveries } from "./deliveries.ts";

const MEMBERS = 100;
const PARTITIONS = 200;
const ROUNDS = 3;
/**
 * Each partition gets a record this often. Each is a commit of its own object, which nothing shares: a broker near its bound
 * of these would make everybody wait, rebalance or not.
 */
const INTERVAL_MS = 500;
const WINDOW_MS = 10_000;
const SETUP_GUARD_MS = 120_000;
const NANOSECONDS_PER_MS = 1e6;

interface Rig {
  readonly rivulet: Rivulet;
  readonly topic: string;
  readonly deliveries: Deliveries;
}

interface Outcome {
  readonly moved: readonly number[];
  readonly takenFrom: number;
  readonly takenPartitions: number;
  readonly pauses: readonly number[];
  /** The longest that a record of a moved partition waited: the pause without the time between records. */
  readonly waits: readonly number[];
  readonly gaps: Comparison;
  readonly delays: Comparison;
  readonly typicalDelays: Comparison;
  /** The longest that this process itself could not accept anything, before and after the change. */
  readonly stalls: Comparison;
  readonly troubles: readonly string[];
}

/** By partition that stayed where it was. */
interface Comparison {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

export async function benchRebalance(): Promise<void> {
  const broker = await BrokerProcess.start();
  const rivulet = new Rivulet({ url: broker.url });
  const topic = "flow";
  await rivulet.admin.createTopic({ name: topic, partitions: PARTITIONS });
  const rig: Rig = { rivulet, topic, deliveries: new Deliveries(PARTITIONS) };
  const members: Consumer[] = [];
  let producer: Reporter<never> | null = null;
  try {
    for (let member = 0; member < MEMBERS; member++) members.push(startMember(rig, member));
    const even = PARTITIONS / MEMBERS;
    const isSpread = () => members.every(({ assignment }) => assignment.length === even);
    await until("every member has its share", isSpread, SETUP_GUARD_MS);
    producer = new Reporter(new URL("../processes/steady-producer.ts", import.meta.url).href, [
      broker.url,
      topic,
      String(PARTITIONS),
      String(INTERVAL_MS),
    ]);
    const nowMs = Date.now();
    await until("records flow", () => rig.deliveries.isFlowing(nowMs), SETUP_GUARD_MS);
    await wait(WINDOW_MS); // Compiled and warm before anything counts.
    const joins: Outcome[] = [];
    const leaves: Outcome[] = [];
    for (let i = 0; i < ROUNDS; i++) {
      // A different number each time, so that no member is taken for the previous one.
      joins.push(await watch(rig, () => members.push(startMember(rig, MEMBERS + i))));
      leaves.push(await watch(rig, () => members.pop()?.close()));
    }
    report({ join: together(joins), leave: together(leaves) });
  } finally {
    await producer?.signal("SIGKILL");
    for (const member of members) member.close();
    await broker.stop();
  }
}

function startMember({ rivulet, topic, deliveries }: Rig, member: number): Consumer {
  const utf8 = new TextDecoder();
  const consumer = rivulet.consumer({
    groupId: "watched",
    topics: [topic],
    onRevoked: (places) => {
      const partitions = places.map(({ partition }) => partition);
      deliveries.taken.push({ atMs: Date.now(), member, partitions });
    },
    onLost: (places) => deliveries.troubles.push(`member ${member} lost ${places.length}`),
    onError: (error) => deliveries.troubles.push(`member ${member}: ${error.message}`),
  });
  void consumer.run({
    eachRecord: ({ value }, { partition }) => {
      const atMs = performance.timeOrigin + performance.now();
      const delayMs = atMs - Number(utf8.decode(value ?? new Uint8Array()));
      deliveries.add(partition, { atMs, member, delayMs });
    },
  });
  return consumer;
}

/** The same time without and with the change, one right after the other. */
async function watch(rig: Rig, change: () => void): Promise<Outcome> {
  const { deliveries } = rig;
  const loop = monitorEventLoopDelay({ resolution: 1 });
  loop.enable();
  await wait(WINDOW_MS);
  const stalledBefore = loop.max / NANOSECONDS_PER_MS;
  loop.reset();
  const changeMs = performance.timeOrigin + performance.now();
  change();
  await wait(WINDOW_MS);
  const stalledAfter = loop.max / NANOSECONDS_PER_MS;
  loop.disable();
  const endMs = changeMs + WINDOW_MS;
  const moved: number[] = [];
  const kept: number[] = [];
  for (const partition of deliveries.partitions) {
    const isMoved =
      deliveries.ownerAt(partition, changeMs) !== deliveries.ownerAt(partition, endMs);
    (isMoved ? moved : kept).push(partition);
  }
  const taken = deliveries.taken.filter(({ atMs }) => atMs >= changeMs - 1);
  const compare = (of: (partition: number, fromMs: number, toMs: number) => number) => ({
    before: kept.map((partition) => of(partition, changeMs - WINDOW_MS, changeMs)),
    after: kept.map((partition) => of(partition, changeMs, endMs)),
  });
  return {
    moved,
    takenFrom: new Set(taken.map(({ member }) => member)).size,
    takenPartitions: taken.reduce((sum, { partitions }) => sum + partitions.length, 0),
    pauses: moved.flatMap((partition) => deliveries.pauseMs(partition, changeMs) ?? []),
    waits: moved.map((partition) => Math.max(...deliveries.delaysMs(partition, changeMs, endMs))),
    gaps: compare((...window) => deliveries.longestGapMs(...window)),
    delays: compare((...window) => Math.max(0, ...deliveries.delaysMs(...window))),
    typicalDelays: compare((...window) => median(deliveries.delaysMs(...window))),
    stalls: { before: [stalledBefore], after: [stalledAfter] },
    troubles: deliveries.troubles.splice(0),
  };
}

function together(rounds: readonly Outcome[]): Outcome {
  const sum = (of: (outcome: Outcome) => number) =>
    rounds.reduce((total, outcome) => total + of(outcome), 0);
  const compare = (of: (outcome: Outcome) => Comparison) => ({
    before: rounds.flatMap((outcome) => of(outcome).before),
    after: rounds.flatMap((outcome) => of(outcome).after),
  });
  return {
    moved: rounds.flatMap(({ moved }) => moved),
    takenFrom: sum(({ takenFrom }) => takenFrom),
    takenPartitions: sum(({ takenPartitions }) => takenPartitions),
    pauses: rounds.flatMap(({ pauses }) => pauses),
    waits: rounds.flatMap(({ waits }) => waits),
    gaps: compare(({ gaps }) => gaps),
    delays: compare(({ delays }) => delays),
    typicalDelays: compare(({ typicalDelays }) => typicalDelays),
    stalls: compare(({ stalls }) => stalls),
    troubles: rounds.flatMap(({ troubles }) => troubles),
  };
}

function report(outcomes: Readonly<Record<string, Outcome>>): void {
  console.log(
    `Rebalance: ${MEMBERS} members, ${PARTITIONS} partitions, a record each ${INTERVAL_MS} ms into each; ${WINDOW_MS / 1000} s before and after; ${ROUNDS} times each\n`,
  );
  const entries = Object.entries(outcomes);
  const medianAndMax = (values: readonly number[]) =>
    values.length === 0 ? "-" : `${round(median(values), 0)}, ${round(Math.max(...values), 0)}`;
  const times = ["pause: median, max ms", "a record waited: median, max ms"];
  printTable(
    ["change", "members told to give up", "given up", "moved", ...times],
    entries.map(([name, { takenFrom, takenPartitions, moved, pauses, waits }]) => [
      name,
      String(takenFrom),
      String(takenPartitions),
      String(moved.length),
      medianAndMax(pauses),
      medianAndMax(waits),
    ]),
  );
  console.log("Partitions that stay, in ms, in the time before the change and in the time after\n");
  printTable(
    ["change", "what", "median before", "after", "ratio", "max before", "after", "ratio"],
    entries.flatMap(([name, { gaps, delays, typicalDelays, stalls }]) => [
      compared(name, "longest gap between deliveries", gaps),
      compared(name, "longest from production to handler", delays),
      compared(name, "median from production to handler", typicalDelays),
      compared(name, "longest stall of the members' process", stalls),
    ]),
  );
  for (const [name, { troubles }] of entries)
    for (const trouble of troubles) console.log(`(${name}: ${trouble})`);
}

function compared(name: string, what: string, { before, after }: Comparison): string[] {
  const cells = [median, (values: readonly number[]) => Math.max(...values)].flatMap((of) => [
    round(of(before), 1),
    round(of(after), 1),
    round(of(after) / of(before)),
  ]);
  return [name, what, ...cells];
}
