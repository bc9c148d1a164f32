// The features of the Java client besides writing and reading, in its newest version and an older one: its admin, offsets,
// groups.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Rivulet } from "../../src/sdk/index.ts";
import { until } from "../support/until.ts";
import { beatOften } from "./client.ts";
import type { WireRecord } from "./driven.ts";
import { Driver, javaSettings } from "./drivers.ts";
import { numbered } from "./records.ts";
import { JAVA_CLIENTS } from "./toolchains.ts";
import { Ways } from "./ways.ts";

const drivers = {} as Record<(typeof JAVA_CLIENTS)[number], Driver>;
let ways: Ways;
let rivulet: Rivulet;
beforeAll(async () => {
  for (const version of JAVA_CLIENTS) drivers[version] = Driver.java(version);
  ways = await Ways.start();
  rivulet = new Rivulet({ url: ways.url });
});
afterAll(() => Promise.all([ways.stop(), ...Object.values(drivers).map((each) => each.end())]));

let names = 0;
async function newTopic(partitions: number): Promise<string> {
  const name = `java-${++names}`;
  await rivulet.admin.createTopic({ name, partitions });
  return name;
}

type DescribedTopics = Record<
  string,
  { id: string; partitions: [partition: number, leader: number][] }
>;
type DescribedGroup = { state: string; type: string; members: { assignment: string[] }[] };

describe.each([
  ["newest", "TCP"],
  ["newest", "a bridge with three nodes"],
  ["older", "TCP"],
] as const)("the %s client over %s", (version, way) => {
  const ask = <T>(op: string, args: object = {}) =>
    drivers[version].ask<T>(op, { brokers: ways.brokers(way), ...args });
  const send = (topic: string, from: number, to: number, partitions: number) =>
    drivers[version].send(ways.brokers(way), topic, numbered(from, to, partitions));

  test("[KFK-10] the Java admin creates a topic, describes it by name and id, grows and deletes it", async () => {
    const topic = `java-admin-${++names}`;
    await ask("create_topic", { topic, partitions: 2, config: { "retention.ms": "3600000" } });
    await expect(ask("create_topic", { topic, partitions: 2 })).rejects.toThrow(
      `TopicExistsException: topic ${topic} exists`,
    );
    expect(await ask("list_topics")).toContain(topic);
    await ask("create_partitions", { topic, count: 6 });
    await expect(ask("create_partitions", { topic, count: 3 })).rejects.toThrow(
      "InvalidPartitionsException",
    );
    const described = await ask<DescribedTopics>("describe_topics", { topics: [topic] });
    const { id = "", partitions = [] } = described[topic] ?? {};
    expect(partitions.map(([partition]) => partition)).toEqual([0, 1, 2, 3, 4, 5]);
    const leaders = new Set(partitions.map(([, leader]) => leader));
    expect(leaders.size).toBe(ways.nodes(way).length);
    expect(await ask("describe_cluster")).toBe(ways.nodes(way).length);
    expect(await ask("describe_topics_by_id", { ids: [id] })).toEqual(described);
    expect((await rivulet.admin.describeTopic(topic)).overrides).toEqual({
      "retention.ms": 3_600_000,
    });

    await ask("delete_topics", { topics: [topic] });
    expect(await ask("list_topics")).not.toContain(topic);
    await expect(ask("delete_topics", { topics: [topic] })).rejects.toThrow(
      "UnknownTopicOrPartitionException",
    );
    await expect(ask("describe_topics_by_id", { ids: [id] })).rejects.toThrow(
      /UnknownTopicIdException|InvalidTopicException/,
    );
  });

  test("[KFK-10] the Java admin sets, appends to, subtracts from and removes a topic's configs, and reads the broker's", async () => {
    const topic = await newTopic(1);
    const resource = { type: "TOPIC", name: topic };
    const alter = (...changes: [op: string, config: string, value: string][]) =>
      ask("alter_config", { ...resource, changes });
    const described = () => ask<Record<string, [string, string]>>("describe_config", resource);
    await alter(["SET", "max.message.bytes", "2000"], ["SET", "cleanup.policy", "delete"]);
    expect(await described()).toMatchObject({
      "max.message.bytes": ["2000", "DYNAMIC_TOPIC_CONFIG"],
      "cleanup.policy": ["delete", "DYNAMIC_TOPIC_CONFIG"],
      "retention.ms": ["604800000", "DEFAULT_CONFIG"],
    });
    await alter(["APPEND", "cleanup.policy", "compact"]);
    const both = (await described())["cleanup.policy"]?.[0].split(",");
    expect(both?.sort()).toEqual(["compact", "delete"]);
    await alter(["SUBTRACT", "cleanup.policy", "delete"], ["DELETE", "max.message.bytes", ""]);
    expect(await described()).toMatchObject({
      "cleanup.policy": ["compact", "DYNAMIC_TOPIC_CONFIG"],
      "max.message.bytes": ["1048588", "DEFAULT_CONFIG"],
    });
    await expect(alter(["SET", "cleanup.policy", "never"])).rejects.toThrow(
      /InvalidConfigurationException.*cleanup\.policy/,
    );
    await alter(["SET", "max.message.bytes", "500"]);
    await expect(
      drivers[version].send(ways.brokers(way), topic, [
        { partition: 0, key: null, value: Buffer.alloc(600), headers: [], timestamp: Date.now() },
      ]),
    ).rejects.toThrow("RecordTooLargeException");
    // The broker's configs are the defaults of topics, under their keys.
    const broker = { type: "BROKER", name: "0" };
    expect(await ask("describe_config", broker)).toMatchObject({
      "retention.ms": ["604800000", "DEFAULT_CONFIG"],
    });
  });

  test("[KFK-10] the Java admin finds offsets by time, deletes records, and a consumer reads from where it seeks to", async () => {
    const topic = await newTopic(2);
    await send(topic, 0, 40, 2);
    const times = numbered(0, 40, 2).map(({ timestamp }) => timestamp);
    const [time = 0] = times.slice(10);
    expect(await ask("delete_records", { topic, before: { 1: 5 } })).toBeNull();
    const found = (at: object) => ask("list_offsets", { topic, at });
    expect(await found({ 0: "earliest", 1: "earliest" })).toEqual({ 0: [0, -1], 1: [5, -1] });
    expect(await found({ 0: "latest", 1: "latest" })).toEqual({ 0: [20, -1], 1: [20, -1] });
    expect(await found({ 0: time, 1: time })).toEqual({ 0: [5, time], 1: [5, times[11]] });
    expect(await found({ 0: "max timestamp" })).toEqual({ 0: [19, times[38]] });
    expect(await found({ 0: Date.now() })).toEqual({ 0: [-1, -1] });

    const settings = { "group.id": `${topic}-group`, "enable.auto.commit": "false" };
    const consumer = await ask<number>("open", { topic, settings });
    const on = <T>(op: string, args: object = {}) => ask<T>(op, { consumer, topic, ...args });
    expect(await on("beginning_offsets")).toEqual({ 0: 0, 1: 5 });
    expect(await on("end_offsets")).toEqual({ 0: 20, 1: 20 });
    expect(await on("offsets_for_times", { times: { 0: time, 1: Date.now() } })).toEqual({
      0: [5, time],
      1: null,
    });
    expect(await on<WireRecord[]>("read", { count: 35 })).toHaveLength(35);
    await on("seek", { partition: 0, offset: 17 });
    const again = await on<WireRecord[]>("read", { count: 3 });
    expect(again.map(({ partition, offset }) => [partition, offset])).toEqual([
      [0, 17],
      [0, 18],
      [0, 19],
    ]);
    expect(await on("committed")).toEqual({ 0: null, 1: null });
    await on("commit", { offsets: { 0: 17 }, metadata: "half way" });
    expect(await on("committed")).toEqual({ 0: [17, "half way"], 1: null });
    expect(await on("position", { partition: 1 })).toBe(20);
    await on("seek", { partition: 1, offset: 2 }); // No longer there, so the earliest, as configured.
    const left = await on<WireRecord[]>("read", { count: 15 });
    expect(left.map(({ offset }) => offset)).toEqual(Array.from({ length: 15 }, (_, i) => 5 + i));
    await on("close");
  });

  test.each(["eager", "cooperative", "consumer"])(
    "[KFK-10] the Java admin lists, describes, resets and deletes a group of %s members",
    async (protocol) => {
      const topic = await newTopic(2);
      const groupId = `${topic}-group`;
      if (protocol === "consumer") await beatOften(rivulet, groupId);
      await send(topic, 0, 20, 2);
      const settings = javaSettings(protocol);
      const brokers = ways.brokers(way);
      const join = () => drivers[version].join({ brokers, groupId, topics: [topic], settings });
      const member = await join();
      await until("it has read", () => member.read.length >= 20);
      const type = protocol === "consumer" ? "Consumer" : "Classic";
      const groups = await ask<Record<string, string[]>>("list_groups");
      expect(groups[groupId]).toEqual(["Stable", type]);
      expect(await ask<DescribedGroup>("describe_group", { groupId })).toMatchObject({
        state: "Stable",
        type,
        members: [{ assignment: [`${topic}-0`, `${topic}-1`] }],
      });
      await expect(ask("delete_group", { groupId })).rejects.toThrow("GroupNotEmptyException");
      await expect(
        ask("alter_group_offsets", { groupId, topic, offsets: { 0: 3 } }),
      ).rejects.toThrow("UnknownMemberIdException");
      await member.stop();

      const described = await ask<DescribedGroup>("describe_group", { groupId });
      expect(described).toMatchObject({ state: "Empty", members: [] });
      const offsets = () => ask<Record<string, [number, string]>>("group_offsets", { groupId });
      expect(await offsets()).toEqual({ 0: [10, ""], 1: [10, ""] });
      await ask("alter_group_offsets", { groupId, topic, offsets: { 0: 3 } });
      await ask("delete_group_offsets", { groupId, topic, partitions: [1] });
      expect(await offsets()).toEqual({ 0: [3, "reset"] });
      const next = await join();
      await until("it has read what was reset", () => next.read.length >= 17);
      expect(next.read.filter(({ partition }) => partition === 0)[0]?.offset).toBe(3);
      await next.stop();
      expect(next.read).toHaveLength(17);
      await ask("delete_group", { groupId });
      expect(await ask("list_groups")).not.toHaveProperty(groupId);
    },
  );

  test("[KFK-10] a cooperative Java member keeps what it need not give up, and an eager one gives up everything", async () => {
    const topic = await newTopic(4);
    const brokers = ways.brokers(way);
    for (const [protocol, given] of [
      ["cooperative", 2],
      ["eager", 4],
      ["consumer", 2],
    ] as const) {
      const args = {
        brokers,
        groupId: `${topic}-${protocol}`,
        topics: [topic],
        settings: javaSettings(protocol),
      };
      if (protocol === "consumer") await beatOften(rivulet, args.groupId);
      const first = await drivers[version].join(args);
      await until("the first has all", () => first.assigned.size === 4);
      const second = await drivers[version].join(args);
      await until("each has half", () => first.assigned.size === 2 && second.assigned.size === 2);
      expect(first.revoked).toHaveLength(given);
      expect(new Set([...first.assigned, ...second.assigned]).size).toBe(4);
      await second.stop();
      await until("the first has all again", () => first.assigned.size === 4);
      await first.stop();
    }
  });

  test.each([
    ["eager", "pattern"],
    ["consumer", "pattern"],
    ...(version === "newest" ? [["consumer", "brokerPattern"] as const] : []),
  ] as const)(
    "[KFK-10] %s Java members read the topics of a %s, including a later one",
    async (protocol, how) => {
      const stem = `java-pattern-${++names}`;
      const brokers = ways.brokers(way);
      for (const end of ["a", "b"])
        await rivulet.admin.createTopic({ name: `${stem}-${end}`, partitions: 1 });
      await rivulet.admin.createTopic({ name: `other-${stem}-a`, partitions: 1 });
      if (protocol === "consumer") await beatOften(rivulet, stem);
      const member = await drivers[version].join({
        brokers,
        groupId: stem,
        [how]: `${stem}-[a-c]`,
        settings: { ...javaSettings(protocol), "metadata.max.age.ms": "500" },
      });
      await until("it has both", () => member.assigned.size === 2);
      expect([...member.assigned].sort()).toEqual([`${stem}-a-0`, `${stem}-b-0`]);
      await rivulet.admin.createTopic({ name: `${stem}-c`, partitions: 1 });
      await send(`${stem}-c`, 0, 5, 1);
      await until("it has read the third", () => member.read.length >= 5);
      expect(member.assigned.size).toBe(3);
      await member.stop();
    },
  );

  test("[KFK-10] the Java client is told in plain words that there are no transactions", async () => {
    await expect(ask("begin_transaction", { transactionalId: "tx" })).rejects.toThrow(
      "does not serve transactions",
    );
  });
});

test("[KFK-10] Kafka Streams counts words, with its own topics, and continues from them when its disk is lost", async () => {
  const brokers = ways.brokers("TCP");
  const input = await newTopic(2);
  const output = await newTopic(2);
  const applicationId = `words-${++names}`;
  const stateDir = mkdtempSync(join(tmpdir(), "rivulet-streams-"));
  const java = drivers.newest;
  const settings = {
    "state.dir": stateDir,
    "commit.interval.ms": "100",
    "statestore.cache.max.bytes": "0",
    "repartition.purge.interval.ms": "100",
    "processing.guarantee": "at_least_once",
  };
  const start = () =>
    java.ask("start_word_count", { brokers, applicationId, input, output, settings });
  const sendLines = (...lines: string[]) =>
    rivulet.producer.send(
      input,
      lines.map((value, i) => ({ partition: i % 2, value })),
    );
  const counted = async (records: number) => {
    const read = await java.readAll(brokers, output, records);
    expect(read).toHaveLength(records);
    const counts = new Map<string, number>();
    for (const { key, value } of read)
      counts.set(`${key}`, Math.max(counts.get(`${key}`) ?? 0, Number(value)));
    return Object.fromEntries(counts);
  };

  await start();
  await sendLines("all streams lead", "to kafka all all");
  expect(await counted(7)).toEqual({ all: 3, streams: 1, lead: 1, to: 1, kafka: 1 });
  const { config: changelog } = await rivulet.admin.describeTopic(
    `${applicationId}-counts-changelog`,
  );
  expect(changelog["cleanup.policy"]).toBe("compact");
  const repartition = await rivulet.admin.describeTopic(`${applicationId}-words-repartition`);
  expect(repartition).toMatchObject({
    partitions: 2,
    config: { "cleanup.policy": "delete", "retention.ms": -1 },
  });
  // Counted records are deleted from the topic in between, by DeleteRecords.
  await until("the words are gone", async () => {
    const earliest = await Promise.all(
      [0, 1].map((partition) =>
        rivulet.admin.listOffset(`${applicationId}-words-repartition`, partition, "earliest"),
      ),
    );
    return earliest.reduce((sum, { offset }) => sum + offset, 0) > 0;
  });
  await java.ask("stop_word_count", { applicationId });

  await start();
  await sendLines("all roads lead", "to kafka");
  expect(await counted(12)).toEqual({ all: 4, streams: 1, lead: 2, to: 2, kafka: 2, roads: 1 });
  await java.ask("stop_word_count", { applicationId });
  rmSync(stateDir, { recursive: true, force: true });
});
