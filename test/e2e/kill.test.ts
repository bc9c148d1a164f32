import { afterAll, expect, test } from "vitest";
import { Rivulet } from "../../src/sdk/index.ts";
import { until } from "../support/until.ts";
import { BrokerProcess } from "./broker.ts";
import { Reporter } from "./processes/reporter.ts";

interface Acknowledged {
  readonly id: string;
  readonly partition: number;
  readonly offset: number;
}
type Handled = Acknowledged;

const TOPIC = "killed";
const GROUP = "survivors";
const PARTITIONS = 4;
const KILLS = 3;

let broker: BrokerProcess;
afterAll(() => broker.stop());

async function readLog(url: string, partition: number): Promise<string[]> {
  const values: string[] = [];
  for (;;) {
    const response = await fetch(
      `${url}/v1/topics/${TOPIC}/partitions/${partition}/records?offset=${values.length}&maxRecords=10000`,
    );
    const { records } = (await response.json()) as { records: { offset: number; value: string }[] };
    if (records.length === 0) return values;
    for (const { offset, value } of records) {
      expect(offset).toBe(values.length); // Dense.
      values.push(value);
    }
  }
}

test("[SYS-2] kill -9 of the broker under load loses no acknowledged record, moves none, and the group continues", async () => {
  broker = await BrokerProcess.start();
  const { url, port, dataDir } = broker;
  const { admin } = new Rivulet({ url });
  await admin.createTopic({ name: TOPIC, partitions: PARTITIONS });
  const producers = ["a", "b"].map(
    (name) => new Reporter<Acknowledged>("producer.ts", [url, TOPIC, name]),
  );
  const consumers = [1, 2].map(() => new Reporter<Handled>("consumer.ts", [url, TOPIC, GROUP]));
  const acknowledged = () => producers.flatMap((producer) => producer.lines);
  const handled = () => consumers.flatMap((consumer) => consumer.lines);

  for (let kill = 0; kill < KILLS; kill++) {
    const [acks, done] = [acknowledged().length, handled().length];
    await until(
      "producers produce and consumers consume",
      () => acknowledged().length > acks + 500 && handled().length > done + 500,
      60_000,
    );
    await broker.kill();
    broker = await BrokerProcess.start({ port, dataDir });
  }
  const [acks, done] = [acknowledged().length, handled().length];
  await until(
    "both go on after the last restart",
    () => acknowledged().length > acks + 500 && handled().length > done + 500,
    60_000,
  );
  for (const producer of producers) expect(await producer.signal("SIGTERM")).toBe(0);

  // Every acknowledged record is in the log once, at its acknowledged offset.
  const logs = await Promise.all(
    Array.from({ length: PARTITIONS }, (_, partition) => readLog(url, partition)),
  );
  for (const { id, partition, offset } of acknowledged())
    expect(logs[partition]?.[offset], id).toBe(id);
  const everything = logs.flat();
  expect(new Set(everything).size).toBe(everything.length);
  expect(acknowledged().length).toBeGreaterThan(2_000);

  // The group handles everything, each record under the offset it has in the log.
  const seen = () => new Set(handled().map(({ partition, offset }) => `${partition}/${offset}`));
  await until("everything is handled", () => seen().size === everything.length, 60_000);
  for (const { id, partition, offset } of handled()) expect(logs[partition]?.[offset]).toBe(id);

  // A member whose connection to the group came back last commits last.
  await until("everything is committed", async () =>
    (await admin.describeGroup(GROUP)).offsets.every(({ lag }) => lag === 0),
  );

  // A new member continues exactly where the group's commits are.
  for (const consumer of consumers) expect(await consumer.signal("SIGTERM")).toBe(0);
  const { offsets } = await until("the group is empty", async () => {
    const group = await admin.describeGroup(GROUP);
    return group.state === "EMPTY" && group;
  });
  expect(offsets.map(({ lag }) => lag)).toEqual(new Array(PARTITIONS).fill(0));
  const more = Array.from({ length: PARTITIONS }, (_, partition) => ({
    partition,
    value: `more-${partition}`,
  }));
  await new Rivulet({ url }).producer.send(TOPIC, more);
  const successor = new Reporter<Handled>("consumer.ts", [url, TOPIC, GROUP]);
  await until("it has the new records", () => successor.lines.length >= PARTITIONS);
  expect(await successor.signal("SIGTERM")).toBe(0);
  const first = successor.lines
    .map(({ partition, offset, id }) => ({ partition, offset, id }))
    .sort((a, b) => a.partition - b.partition);
  expect(first).toEqual(
    offsets.map(({ partition, committedOffset }) => ({
      partition,
      offset: committedOffset,
      id: `more-${partition}`,
    })),
  );
});
