// The members of a group, whatever their client and however they take part.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Rivulet } from "../../src/sdk/index.ts";
import { until } from "../support/until.ts";
import { beatOften, type Client, type Member, type Read } from "./client.ts";
import { Driver, franzKinds, javaKinds, type MemberKind } from "./drivers.ts";
import { kafkaPython } from "./kafka-python.ts";
import { kcat } from "./kcat.ts";
import { numbered } from "./records.ts";
import { sdkOf } from "./sdk.ts";
import { BETWEEN, WAYS, Ways } from "./ways.ts";

/** The partitions of a topic that a group reads. */
const PARTITIONS = 6;

let ways: Ways;
let rivulet: Rivulet;
let sdk: Client;
let java: Driver;
let older: Driver;
let franz: Driver;
beforeAll(async () => {
  java = Driver.java("newest");
  older = Driver.java("older");
  franz = Driver.franz();
  ways = await Ways.start();
  rivulet = new Rivulet({ url: ways.url });
  sdk = sdkOf(ways.url);
});
afterAll(() => Promise.all([ways.stop(), java.end(), older.end(), franz.end()]));

let names = 0;
async function newTopic(partitions: number): Promise<string> {
  const name = `groups-${++names}`;
  await rivulet.admin.createTopic({ name, partitions });
  return name;
}

// Members wait for heartbeats most of the time, so the groups run in parallel.
describe.each(WAYS)("over %s", { concurrent: true }, (way) => {
  const others = [
    ...javaKinds(() => java, "the Java client"),
    ...javaKinds(() => older, "an older Java client"),
    ...franzKinds(() => franz),
  ];
  test.each<MemberKind>(way === BETWEEN ? [kcat, kafkaPython] : [kcat, kafkaPython, ...others])(
    "[KFK-10] $name: two members share a group's partitions, one continues where the other left, a third where both stopped",
    async (client) => {
      const topic = await newTopic(PARTITIONS);
      const groupId = `${topic}-group`;
      await beatOften(rivulet, groupId);
      const brokers = ways.brokers(way);
      const join = () => client.join(brokers, groupId, topic);
      const send = (from: number, to: number) =>
        sdk.send(brokers, topic, numbered(from, to, PARTITIONS));
      const stable = (count: number) =>
        until(`${count} share the partitions`, async () => {
          const { state, members } = await rivulet.admin.describeGroup(groupId);
          const shares = members.map(({ assignment }) => assignment[0]?.partitions ?? []);
          return (
            state === "STABLE" &&
            shares.length === count &&
            shares.every(({ length }) => length === PARTITIONS / count)
          );
        });

      await send(0, 60);
      const first = await join();
      await until("the first has read", () => first.read.length >= 60);
      expect(values(first)).toEqual(range(0, 60));

      const second = await join();
      await stable(2);
      const before = first.read.length + second.read.length;
      await send(60, 120);
      await until("both have read", () => first.read.length + second.read.length >= before + 60);
      const since = [...first.read, ...second.read].filter((record) => numberOf(record) >= 60);
      expect(since.map(numberOf).sort((a, b) => a - b)).toEqual(range(60, 120));
      for (const { read } of [first, second])
        expect(partitionsOf(read.filter((record) => numberOf(record) >= 60)).size).toBe(3);

      await first.stop();
      await stable(1);
      await send(120, 180);
      const isNew = (record: Read) => numberOf(record) >= 120;
      await until("the second has read all", () => second.read.filter(isNew).length >= 60);
      expect(partitionsOf(second.read.filter(isNew)).size).toBe(6);
      expect(values(second).slice(-60)).toEqual(range(120, 180));
      // Nothing that the first had read comes again.
      const ofFirst = new Set(values(first).filter((value) => value >= 60));
      expect(values(second).filter((value) => ofFirst.has(value))).toEqual([]);
      await until("all is committed", async () => {
        const { offsets } = await rivulet.admin.describeGroup(groupId);
        return offsets.length === PARTITIONS && offsets.every(({ lag }) => lag === 0);
      });
      await second.stop();

      await send(180, 240);
      const third = await join();
      await until("the third has read", () => third.read.length >= 60);
      expect(values(third)).toEqual(range(180, 240));
      await third.stop();
    },
  );
});

const numberOf = ({ value }: Read) => Number(value?.toString());
const partitionsOf = (records: readonly Read[]) => new Set(records.map((each) => each.partition));
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

function values({ read }: Member): number[] {
  return read.map(numberOf).sort((a, b) => a - b);
}
