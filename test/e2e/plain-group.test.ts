import { afterAll, beforeAll, expect, test } from "vitest";
import { Rivulet } from "../../src/sdk/index.ts";
import { until } from "../support/until.ts";
import { BrokerProcess } from "./broker.ts";
import { PlainClient } from "./plain-client.ts";

let broker: BrokerProcess;
let rivulet: Rivulet;

beforeAll(async () => {
  broker = await BrokerProcess.start();
  rivulet = new Rivulet({ url: broker.url });
});
afterAll(() => broker.stop());

const shares = (...clients: PlainClient[]) => clients.map((client) => client.held.size);

test("[ASN-5] two clients split six partitions 3 and 3; a third makes it 2, 2, 2 with two moves", async () => {
  await rivulet.admin.createTopic({ name: "split", partitions: 6 });
  const one = new PlainClient(broker.url, "splitters", "topics=split");
  await until("the first has all", () => one.held.size === 6);
  const two = new PlainClient(broker.url, "splitters", "topics=split");
  await until("3 and 3", () => shares(one, two).join() === "3,3");
  const before = [new Set(one.held), new Set(two.held)] as const;
  const three = new PlainClient(broker.url, "splitters", "topics=split");
  await until("2, 2, 2", () => shares(one, two, three).join() === "2,2,2");
  // Fewest moves: both kept two of their three, and the newcomer has exactly what they gave.
  expect(one.held.isSubsetOf(before[0])).toBe(true);
  expect(two.held.isSubsetOf(before[1])).toBe(true);
  const all = [...one.held, ...two.held, ...three.held];
  expect(all.sort()).toEqual([0, 1, 2, 3, 4, 5]);
  for (const client of [one, two, three]) client.close();
});

test("[GRP-6] a client cut off without a close keeps its partitions for its full session timeout", async () => {
  await rivulet.admin.createTopic({ name: "cut", partitions: 6 });
  const query = "topics=cut&sessionTimeoutMs=2000";
  const one = new PlainClient(broker.url, "cutters", query);
  const two = new PlainClient(broker.url, "cutters", query);
  await until("3 and 3", () => shares(one, two).join() === "3,3");
  const cutMs = Date.now();
  two.cut();
  await until("the other has all", () => one.held.size === 6);
  expect(Date.now() - cutMs).toBeGreaterThanOrEqual(2_000);
  // Not a single partition came earlier: all three came in one assignment.
  const assigned = one.messages.filter((message) => message.type === "assigned");
  expect(assigned.at(-1)?.partitions).toHaveLength(3);
  one.close();
});

test("[GRP-5] a clean close is a leave: the partitions move at once", async () => {
  await rivulet.admin.createTopic({ name: "leave", partitions: 4 });
  const query = "topics=leave&sessionTimeoutMs=600000";
  const one = new PlainClient(broker.url, "leavers", query);
  const two = new PlainClient(broker.url, "leavers", query);
  await until("2 and 2", () => shares(one, two).join() === "2,2");
  two.close();
  // The session timeout is ten minutes: only a leave can cause this.
  await until("the other has all", () => one.held.size === 4);
  one.close();
});

test("[GRP-8] a static client that returns gets its partitions without a rebalance", async () => {
  await rivulet.admin.createTopic({ name: "static", partitions: 4 });
  const query = "topics=static&sessionTimeoutMs=600000";
  const other = new PlainClient(broker.url, "statics", query);
  await until("the first has all", () => other.held.size === 4);
  const first = new PlainClient(broker.url, "statics", `${query}&instanceId=a`);
  await until("2 and 2", () => shares(other, first).join() === "2,2");
  const { epoch } = await rivulet.admin.describeGroup("statics");
  const refused = new PlainClient(broker.url, "statics", `${query}&instanceId=a`);
  await until("a second live holder is refused", () => refused.closed);
  expect(refused.closed).toMatchObject({
    code: 4000,
    reason: expect.stringContaining("UNRELEASED_INSTANCE_ID"),
  });
  first.close();
  await until("the socket is gone", () => first.closed);
  const second = new PlainClient(broker.url, "statics", `${query}&instanceId=a`);
  await until("it has its two again", () => second.held.size === 2);
  expect(second.held).toEqual(first.held);
  expect((await rivulet.admin.describeGroup("statics")).epoch).toBe(epoch);
  expect(other.messages.filter((message) => message.type === "revoked")).toHaveLength(1);
  other.close();
  second.close();
});

test("[OFF-4] a group rewound to earliest, to an offset and to a time reads the same records again", async () => {
  await rivulet.admin.createTopic({ name: "rewind", partitions: 3 });
  const baseMs = 1_700_000_000_000;
  const records = Array.from({ length: 90 }, (_, i) => ({
    key: `k${i}`,
    value: `v${i}`,
    timestamp: baseMs + i * 1_000,
  }));
  await rivulet.producer.send("rewind", records);

  const readAll = async (want: number) => {
    const client = new PlainClient(broker.url, "rewinders", "topics=rewind&from=earliest");
    await until(`${want} records`, () => client.records.length >= want);
    client.close();
    await until(
      "the group is empty",
      async () => (await rivulet.admin.describeGroup("rewinders")).state === "EMPTY",
    );
    return client.records
      .map(({ partition, offset, value }) => `${partition}/${offset} ${value}`)
      .sort();
  };
  const first = await readAll(90);
  expect(new Set(first).size).toBe(90);

  await rivulet.admin.resetGroup("rewinders", { to: "earliest" });
  expect(await readAll(90)).toEqual(first);

  await rivulet.admin.resetGroup("rewinders", { to: { offset: 10 } });
  const fromTen = first.filter((line) => Number(line.match(/\/(\d+)/)?.[1]) >= 10);
  expect(await readAll(fromTen.length)).toEqual(fromTen);

  await rivulet.admin.resetGroup("rewinders", {
    to: { timestamp: new Date(baseMs + 60_000).toISOString() },
  });
  const fromTime = first.filter((line) => Number(line.match(/v(\d+)/)?.[1]) >= 60);
  expect(await readAll(fromTime.length)).toEqual(fromTime);
});

test("[GRP-12] members of one group share a topic; each other group gets all of it", async () => {
  await rivulet.admin.createTopic({ name: "both", partitions: 4 });
  const workers = [1, 2].map(() => new PlainClient(broker.url, "queue", "topics=both"));
  const subscribers = ["a", "b"].map((group) => new PlainClient(broker.url, group, "topics=both"));
  await until("the queue is shared", () => shares(...workers).join() === "2,2");
  const records = Array.from({ length: 100 }, (_, i) => ({ key: `k${i}`, value: i }));
  await rivulet.producer.send("both", records);
  await until(
    "everything has come",
    () =>
      workers.flatMap((w) => w.records).length === 100 &&
      subscribers.every((s) => s.records.length === 100),
  );
  expect(workers.every((worker) => worker.records.length > 0)).toBe(true);
  for (const client of [...workers, ...subscribers]) client.close();
});

test("[PLN-5] a socket that breaks the protocol is closed with a reason, and others continue", async () => {
  await rivulet.admin.createTopic({ name: "rude", partitions: 2 });
  const good = new PlainClient(broker.url, "polite", "topics=rude");
  await until("the good one has all", () => good.held.size === 2);
  for (const frame of [
    "no json",
    "{}",
    '{"type":"ack"}',
    '{"type":"ack","topic":"rude","partition":"0","offset":0}',
    "[1]",
  ]) {
    const bad = new PlainClient(broker.url, "rude", "topics=rude");
    await until("it is open", () => bad.isOpen);
    bad.send(frame);
    await until("it is closed", () => bad.closed);
    expect(bad.closed, frame).toMatchObject({
      code: 4000,
      reason: expect.stringContaining("INVALID_REQUEST"),
    });
  }
  await rivulet.producer.send("rude", [{ value: "still here" }]);
  await until("the good one goes on", () => good.records.length === 1);
  good.close();
});

test("[ERR-1] a body of 100 MB is refused with 413, and the broker continues", async () => {
  await rivulet.admin.createTopic({ name: "large" });
  const response = await fetch(`${broker.url}/v1/topics/large/records`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: new Uint8Array(100_000_000).fill(0x20),
  });
  expect(response.status).toBe(413);
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  expect(await response.json()).toMatchObject({
    code: "MESSAGE_TOO_LARGE",
    errorCode: 10,
    detail: "the body has 100000000 bytes, the bound is 16777216",
  });
  expect((await rivulet.admin.listOffset("large", 0, "latest")).offset).toBe(0);
});
