// Wake-ups and writes of idle members. SDK consumers with all their sockets: one to the group and one per partition each,
// all with their heartbeats.
import { setTimeout as wait } from "node:timers/promises";
import { type Consumer, Rivulet } from "../../../src/sdk/index.ts";
import { BrokerProcess } from "../../e2e/broker.ts";
import { until } from "../../support/until.ts";
import { printTable, round } from "../report.ts";
import { RowWatch } from "./row-watch.ts";

const GROUPS = 10;
const MEMBERS_PER_GROUP = 100;
const PARTITIONS = 100;
const IDLE_MS = 120_000;
const LOOK_MS = 1_000;
/** workerd evicts an idle object after ten seconds; the effects of joining are over by then. */
const SETTLE_MS = 15_000;
const SETUP_GUARD_MS = 120_000;

interface TraceLine {
  readonly trace: "start" | "alarm";
  readonly object: "cluster" | "group" | "partition";
  readonly atMs: number;
}

/** The count of each thing that happened, by its name. */
type Counts = Map<string, number>;

export async function benchIdle(): Promise<void> {
  const broker = await BrokerProcess.start({ env: { RIVULET_TRACE: "1" } });
  const rivulet = new Rivulet({ url: broker.url });
  const consumers: Consumer[] = [];
  const troubles: string[] = [];
  try {
    await rivulet.admin.createTopic({ name: "quiet", partitions: PARTITIONS });
    for (let group = 0; group < GROUPS; group++) {
      const members = Array.from({ length: MEMBERS_PER_GROUP }, () =>
        startMember(rivulet, `idle-${group}`, troubles),
      );
      consumers.push(...members);
      const isSpread = () => members.every(({ assignment }) => assignment.length === 1);
      await until("one partition each", isSpread, SETUP_GUARD_MS);
    }
    await wait(SETTLE_MS);
    const joinTroubles = troubles.splice(0).length;
    report(await watchIdle(broker));
    console.log(
      `(errors told to the members: ${joinTroubles} while they joined, ${troubles.length} while idle)\n`,
    );
  } finally {
    for (const consumer of consumers) consumer.close();
    await broker.stop();
  }
}

function startMember(rivulet: Rivulet, groupId: string, troubles: string[]): Consumer {
  const consumer = rivulet.consumer({
    groupId,
    topics: ["quiet"],
    onError: ({ message }) => troubles.push(message),
    onLost: () => troubles.push("partitions lost"),
  });
  void consumer.run({ eachRecord: () => {} });
  return consumer;
}

async function watchIdle(broker: BrokerProcess): Promise<Counts> {
  const counts: Counts = new Map();
  const rows = new RowWatch(broker.dataDir);
  const fromMs = Date.now();
  while (Date.now() - fromMs < IDLE_MS) {
    await wait(LOOK_MS);
    const { byTable, unexplained } = rows.look();
    for (const [table, count] of byTable) add(counts, `rows written in ${table}`, count);
    add(counts, "files changed without a row", unexplained);
  }
  rows.close();
  const toMs = fromMs + IDLE_MS;
  const kinds: readonly TraceLine["object"][] = ["group", "partition", "cluster"];
  for (const object of kinds) {
    for (const trace of ["start", "alarm"]) add(counts, `${object}: ${trace}`, 0);
  }
  for (const text of broker.lines) {
    if (!text.startsWith('{"trace"')) continue;
    const { object, trace, atMs } = JSON.parse(text) as TraceLine;
    if (atMs >= fromMs && atMs < toMs) add(counts, `${object}: ${trace}`, 1);
  }
  return counts;
}

function add(counts: Counts, name: string, count: number): void {
  counts.set(name, (counts.get(name) ?? 0) + count);
}

function report(counts: Counts): void {
  const members = GROUPS * MEMBERS_PER_GROUP;
  console.log(
    `Idle: ${members} members in ${GROUPS} groups, ${members} partition sockets, session timeout 45 s, for ${IDLE_MS / 1000} s`,
  );
  console.log("start: an object is loaded, for whatever reason; alarm: its alarm rings.");
  console.log("_cf_METADATA holds an object's alarm. Rows are compared once a second.\n");
  const minutes = IDLE_MS / 60_000;
  printTable(
    ["what", "in all", "per minute", "per group and minute"],
    [...counts].map(([name, count]) => [
      name,
      String(count),
      round(count / minutes, 1),
      round(count / minutes / GROUPS),
    ]),
  );
}
