// Members whose process stands still. Their sockets stay open, so only those that wait for them notice.
import { afterAll, beforeAll, expect, test } from "vitest";
import { Rivulet } from "../../src/sdk/index.ts";
import { until } from "../support/until.ts";
import { BrokerProcess } from "./broker.ts";
import { PlainClient } from "./plain-client.ts";
import { Reporter } from "./processes/reporter.ts";

interface Handled {
  readonly partition: number;
  readonly offset: number;
}

/** The session timeout of processes/consumer.ts. */
const SESSION_MS = 3_000;
const PARTITIONS = 4;

let broker: BrokerProcess;
let rivulet: Rivulet;
beforeAll(async () => {
  broker = await BrokerProcess.start();
  rivulet = new Rivulet({ url: broker.url });
});
afterAll(() => broker.stop());

let round = 0;

/** A record to each of these partitions. */
function produce(topic: string, partitions: readonly number[]): Promise<unknown> {
  round++;
  const records = partitions.map((partition) => ({ partition, value: `${round}` }));
  return rivulet.producer.send(topic, records);
}

const ALL = Array.from({ length: PARTITIONS }, (_, partition) => partition);

/** The partitions whose newest record the member has handled. */
function newestOf({ lines }: Reporter<Handled>, from: number): number[] {
  return [...new Set(lines.slice(from).map(({ partition }) => partition))].sort((a, b) => a - b);
}

/** Two members that share the partitions, and got no new ones for longer than a session timeout. */
async function settledPair(topic: string, group: string) {
  await rivulet.admin.createTopic({ name: topic, partitions: PARTITIONS });
  const pair = [1, 2].map(
    () => new Reporter<Handled>("consumer.ts", [broker.url, topic, group]),
  ) as [Reporter<Handled>, Reporter<Handled>];
  await until("the group is settled", async () => {
    const found = await rivulet.admin.describeGroup(group).catch(() => null);
    return found?.state === "STABLE" && found.members.length === 2;
  });
  const settledMs = Date.now();
  let shares: [number[], number[]] = [[], []];
  for (let isLong = false; !isLong; ) {
    isLong = Date.now() - settledMs > 2 * SESSION_MS;
    const before = pair.map(({ lines }) => lines.length) as [number, number];
    await produce(topic, ALL);
    await until("each record is handled", () => {
      shares = [newestOf(pair[0], before[0]), newestOf(pair[1], before[1])];
      return shares.flat().length === PARTITIONS;
    });
  }
  expect(shares.map(({ length }) => length)).toEqual([2, 2]);
  await until("all is committed", async () =>
    (await rivulet.admin.describeGroup(group)).offsets.every(({ lag }) => lag === 0),
  );
  return { pair, shares };
}

async function end(pair: readonly Reporter<Handled>[]): Promise<void> {
  for (const member of pair) expect(await member.signal("SIGTERM")).toBe(0);
}

test("[GRP-17] a member that stands still while it has records to read loses its partitions to the other", async () => {
  const { pair, shares } = await settledPair("waiting", "waited-for");
  const [stands, goesOn] = pair;
  void stands.signal("SIGSTOP");
  const from = goesOn.lines.length;
  await produce("waiting", shares[0]);
  // The safety alarm is half an hour away. Nothing else happens in the group.
  await until("the other handles its records", () =>
    shares[0].every((partition) => newestOf(goesOn, from).includes(partition)),
  );
  void stands.signal("SIGCONT");
  await until("it is back", async () => {
    const { state, members } = await rivulet.admin.describeGroup("waited-for");
    return state === "STABLE" && members.length === 2;
  });
  const again = stands.lines.length;
  await until("it has its share of the records", async () => {
    await produce("waiting", ALL);
    return stands.lines.length > again + 2;
  });
  await end(pair);
});

test("[GRP-17] a member that stands still and has nothing to read is removed once something wakes the group", async () => {
  const { pair } = await settledPair("quiet", "not-waited-for");
  const [stands, goesOn] = pair;
  void stands.signal("SIGSTOP");
  // Others show the time: one that is cut off is removed after three of its sessions.
  await rivulet.admin.createTopic({ name: "clock", partitions: 2 });
  const query = `topics=clock&sessionTimeoutMs=${3 * SESSION_MS}`;
  const [stays, goes] = [1, 2].map(() => new PlainClient(broker.url, "clock", query)) as [
    PlainClient,
    PlainClient,
  ];
  await until("both have their share", () => stays.held.size === 1 && goes.held.size === 1);
  goes.cut();
  await until("one is removed", () => stays.held.size === 2);
  stays.close();
  // The first description wakes the group, if nothing has before: on a busy machine the other member may connect again.
  await until(
    "it is removed",
    async () => (await rivulet.admin.describeGroup("not-waited-for")).members.length === 1,
  );
  const from = goesOn.lines.length;
  await produce("quiet", ALL);
  await until("the other handles all", () => newestOf(goesOn, from).length === PARTITIONS);
  void stands.signal("SIGCONT");
  await until("it is back", async () => {
    const { state, members: now } = await rivulet.admin.describeGroup("not-waited-for");
    return state === "STABLE" && now.length === 2;
  });
  await end(pair);
});
