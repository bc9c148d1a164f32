// The features of kafka-python besides writing and reading: its admin, offsets and seeks, its own commits.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Rivulet } from "../../src/sdk/index.ts";
import { until } from "../support/until.ts";
import { KafkaPython, kafkaPython } from "./kafka-python.ts";
import { numbered } from "./records.ts";
import { WAYS, Ways } from "./ways.ts";

let ways: Ways;
let rivulet: Rivulet;
beforeAll(async () => {
  ways = await Ways.start();
  rivulet = new Rivulet({ url: ways.url });
});
afterAll(() => ways.stop());

let names = 0;
async function newTopic(partitions: number): Promise<string> {
  const name = `python-${++names}`;
  await rivulet.admin.createTopic({ name, partitions });
  return name;
}

describe.each(WAYS)("over %s", (way) => {
  test("[KFK-10] kafka-python creates a topic, describes, grows, configures and deletes it", async () => {
    const topic = `python-admin-${++names}`;
    const python = new KafkaPython(ways.brokers(way));
    const config = { "retention.ms": "3600000" };
    await python.ask("create_topic", { topic, partitions: 2, config });
    await expect(python.ask("create_topic", { topic, partitions: 2, config })).rejects.toThrow(
      "TopicAlreadyExistsError",
    );
    expect(await python.ask("list_topics")).toContain(topic);
    await python.ask("create_partitions", { topic, count: 6 });
    const described = await python.ask<{ partitions: { partition: number; leader: number }[] }>(
      "describe_topic",
      { topic },
    );
    const partitions = described.partitions.map(({ partition }) => partition);
    expect(partitions.sort()).toEqual([0, 1, 2, 3, 4, 5]);
    expect(new Set(described.partitions.map(({ leader }) => leader)).size).toBe(
      ways.nodes(way).length,
    );

    const describe = () => python.ask<Record<string, string>>("describe_config", { topic });
    expect(await describe()).toMatchObject({
      "retention.ms": "3600000",
      "cleanup.policy": "delete",
    });
    const altered = await python.ask("alter_config", {
      topic,
      config: { "cleanup.policy": "compact" },
    });
    expect(altered).toEqual([0]);
    // As in Kafka: a missing key is reset to its default.
    expect((await rivulet.admin.describeTopic(topic)).overrides).toEqual({
      "cleanup.policy": "compact",
    });
    expect(await describe()).toMatchObject({
      "retention.ms": "604800000",
      "cleanup.policy": "compact",
    });
    const wrong = { topic, config: { "cleanup.policy": "never" } };
    expect(await python.ask("alter_config", wrong)).toEqual([40]);

    await python.ask("delete_topic", { topic });
    expect(await python.ask("list_topics")).not.toContain(topic);
    await expect(python.ask("delete_topic", { topic })).rejects.toThrow(
      "UnknownTopicOrPartitionError",
    );
    await python.close();
  });

  test("[KFK-10] kafka-python lists, describes and deletes groups, and shows what they have committed", async () => {
    const topic = await newTopic(3);
    const groupId = `${topic}-group`;
    const brokers = ways.brokers(way);
    await kafkaPython.send(brokers, topic, numbered(0, 30, 3));
    const python = new KafkaPython(brokers);
    const member = await kafkaPython.join(brokers, groupId, topic);
    await until("it has read", () => member.read.length >= 30);
    expect(await python.ask("list_groups")).toContainEqual([groupId, "consumer"]);
    const assignment = [[topic, [0, 1, 2]]];
    const busy = await python.ask("describe_group", { group_id: groupId });
    expect(busy).toMatchObject({ state: "Stable", protocol: "range", members: [{ assignment }] });
    expect(await python.ask("delete_group", { group_id: groupId })).toEqual(["NonEmptyGroupError"]);
    await member.stop();
    const left = await python.ask("describe_group", { group_id: groupId });
    expect(left).toMatchObject({ state: "Empty", members: [] });
    const offsets = await python.ask("group_offsets", { group_id: groupId });
    expect(offsets).toEqual({ 0: 10, 1: 10, 2: 10 });
    expect(await python.ask("delete_group", { group_id: groupId })).toEqual(["NoError"]);
    expect(await python.ask("list_groups")).not.toContainEqual([groupId, "consumer"]);
    await python.close();
  });

  test("[KFK-10] kafka-python finds the first, the last and a time's offsets, and reads where it seeks to", async () => {
    const topic = await newTopic(2);
    const brokers = ways.brokers(way);
    const sent = numbered(0, 40, 2);
    await kafkaPython.send(brokers, topic, sent);
    await rivulet.admin.deleteRecords(topic, 1, 5);
    const python = new KafkaPython(brokers);
    const partitions = [0, 1];
    await python.ask("open");
    await python.ask("assign", { topic, partitions: [1] });
    expect(await python.ask("beginning_offsets", { topic, partitions })).toEqual({ 0: 0, 1: 5 });
    expect(await python.ask("end_offsets", { topic, partitions })).toEqual({ 0: 20, 1: 20 });
    const [, , , , time = 0] = sent.map(({ timestamp }) => timestamp);
    const late = (sent.at(-1)?.timestamp ?? 0) + 1;
    expect(await python.ask("offsets_for_times", { topic, times: { 0: time, 1: time } })).toEqual({
      0: [2, time],
      1: [5, sent[11]?.timestamp],
    });
    expect(await python.ask("offsets_for_times", { topic, times: { 1: late } })).toEqual({
      1: null,
    });
    expect(await offsets(python, 15)).toEqual(range(5, 20)); // From the first that is left.
    expect(await python.ask("position", { topic, partition: 1 })).toBe(20);
    await python.ask("seek", { topic, partition: 1, offset: 17 });
    expect(await offsets(python, 3)).toEqual([17, 18, 19]);
    await python.ask("seek", { topic, partition: 1, offset: 2 }); // No longer there, so the earliest, as configured.
    expect(await offsets(python, 15)).toEqual(range(5, 20));
    await python.ask("seek_to_end");
    expect(await python.ask("position", { topic, partition: 1 })).toBe(20);
    await python.close();
  });

  test("[KFK-10] kafka-python commits on request, and continues there", async () => {
    const topic = await newTopic(1);
    const group = {
      group_id: `${topic}-group`,
      settings: { enable_auto_commit: false, max_poll_records: 5 },
    };
    const place = { topic, partition: 0 };
    const brokers = ways.brokers(way);
    await kafkaPython.send(brokers, topic, numbered(0, 20, 1));
    const begin = async () => {
      const python = new KafkaPython(brokers);
      await python.ask("open", group);
      await python.ask("assign", { topic, partitions: [0] });
      return python;
    };
    const first = await begin();
    expect(await first.ask("committed", place)).toBeNull();
    expect(await offsets(first, 5)).toEqual(range(0, 5));
    await first.ask("commit");
    expect(await first.ask("committed", place)).toBe(5);
    expect(await offsets(first, 5)).toEqual(range(5, 10));
    await first.close(); // And commits nothing of this.
    const second = await begin();
    expect(await offsets(second, 5)).toEqual(range(5, 10));
    await second.close();
  });
});

async function offsets(python: KafkaPython, count: number): Promise<number[]> {
  return (await python.readRecords(count)).map(({ offset }) => offset);
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
