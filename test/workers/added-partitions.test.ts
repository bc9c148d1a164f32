// Partitions that were added while nobody looked, for clients of every kind.
import { describe, expect, test } from "vitest";
import { groupStub, partitionStub } from "../../src/env.ts";
import type { PlainServerMessage } from "../../src/protocol/plain-consumer.ts";
import * as messages from "../support/kafka-schemas.ts";
import { Kafka } from "./kafka-socket.ts";
import { sdkClient } from "./sdk-client.ts";
import {
  createTopic,
  describeGroup,
  env,
  eventually,
  expectStatus,
  produce,
  TestSocket,
  type TopicJson,
  TWINS,
  unique,
} from "./support.ts";

const HOUR = "PT1H";

/**
 * Reads as a member of the group that begins at `from`, until it was assigned everything and has received this many values,
 * and leaves.
 */
type Visit = (
  group: string,
  topic: TopicJson,
  from: "latest" | undefined,
  count: number,
) => Promise<string[]>;

const bySdk: Visit = async (groupId, { name, partitions }, from, count) => {
  const seen: string[] = [];
  let assigned = 0;
  const consumer = sdkClient().consumer({
    groupId,
    topics: [name],
    ...(from === undefined ? {} : { from }),
    onAssigned: (places) => {
      assigned += places.length;
    },
  });
  const running = consumer.run({
    eachRecord: ({ value }) => void seen.push(new TextDecoder().decode(value ?? undefined)),
  });
  await eventually(
    async () => assigned === partitions && seen.length >= count,
    `${count} records of the SDK, in ${partitions} partitions`,
  );
  await consumer.close();
  await running;
  return seen;
};

const byPlainSocket: Visit = async (group, { name, partitions }, from, count) => {
  const seen: string[] = [];
  let assigned = 0;
  const query = from === undefined ? "" : `&from=${from}`;
  const path = `/v1/groups/${group}/consume?topics=${name}${query}`;
  const socket = await TestSocket.open<PlainServerMessage>(path, (event) => {
    if (typeof event !== "object" || !("type" in event)) return;
    if (event.type === "assigned") assigned += event.partitions.length;
    if (event.type === "records") seen.push(...event.records.map(({ value }) => String(value)));
  });
  await socket.until(() => assigned === partitions && seen.length >= count, `${count} records`);
  socket.close(1000);
  await eventually(async () => (await describeGroup(group)).members.length === 0, "it to be gone");
  return seen;
};

const byPoll: Visit = async (group, { name, partitions }, from, count) => {
  const body = { instanceId: "i", topics: [name], ...(from === undefined ? {} : { from }) };
  const path = `/v1/groups/${group}/poll`;
  interface Polled {
    readonly assignment: readonly { readonly partitions: readonly number[] }[];
    readonly records: readonly { readonly value: string }[];
  }
  const seen: string[] = [];
  await eventually(async () => {
    const polled = await expectStatus<Polled>(200, "POST", path, body);
    seen.splice(0, seen.length, ...polled.records.map(({ value }) => value));
    return polled.assignment[0]?.partitions.length === partitions && seen.length >= count;
  }, `${count} records of a poll`);
  await expectStatus(200, "POST", path, { ...body, leave: true });
  return seen;
};

const WAYS = [
  { by: "the SDK", visit: bySdk },
  { by: "a plain socket", visit: byPlainSocket },
  { by: "polls", visit: byPoll },
];

const STARTS: readonly { start: string; from: "latest" | undefined; config: string | null }[] = [
  { start: "latest", from: "latest", config: null },
  { start: "latest by the group's config", from: undefined, config: "latest" },
  { start: "an hour ago", from: undefined, config: `by_duration:${HOUR}` },
];

describe.each(WAYS)("by $by", ({ visit }) => {
  describe.each(STARTS)("from $start", ({ from, config }) => {
    test.each(TWINS)(
      "[OFF-14] partitions added while nobody looked are read from their start$when",
      async ({ interrupt }) => {
        const topic = await createTopic(1);
        const group = unique("group");
        if (config !== null) {
          await expectStatus(200, "PATCH", `/v1/groups/${group}`, {
            config: { "consumer.auto.offset.reset": config },
          });
        }
        // Older than an hour, so that every start is behind them.
        const old = Date.now() - 2 * 3_600_000;
        await produce(topic.name, [{ value: "before", timestamp: old }]);
        await visit(group, topic, from, 0);
        await expectStatus(200, "PATCH", `/v1/topics/${topic.name}`, { partitions: 3 });
        await produce(
          topic.name,
          [0, 1, 2].map((partition) => ({ value: `of ${partition}`, partition, timestamp: old })),
        );
        await interrupt(groupStub(env, group), partitionStub(env, topic.topicId, 1));
        const seen = await visit(group, { ...topic, partitions: 3 }, from, 3);
        expect(seen.sort()).toEqual(["of 0", "of 1", "of 2"]);
      },
    );
  });

  test("[OFF-14] one whose committed offset was deleted is read from its start again, and no other", async () => {
    const topic = await createTopic(1);
    const group = unique("group");
    await visit(group, topic, "latest", 0);
    await expectStatus(200, "PATCH", `/v1/topics/${topic.name}`, { partitions: 2 });
    const values = [0, 1].map((partition) => ({ value: `of ${partition}`, partition }));
    await produce(topic.name, values);
    const grown = { ...topic, partitions: 2 };
    expect((await visit(group, grown, "latest", 2)).sort()).toEqual(["of 0", "of 1"]);
    const kafka = await Kafka.open();
    const topics = [{ name: topic.name, partitions: [{ partition: 0 }, { partition: 1 }] }];
    const deleted = { groupId: group, topics };
    expect(await kafka.ask(messages.OFFSET_DELETE, 0, deleted)).toMatchObject({ errorCode: 0 });
    kafka.close();
    expect(await visit(group, grown, "latest", 1)).toEqual(["of 1"]);
    // A group that must forget the topic has never read it [OFF-7].
    await expectStatus(204, "DELETE", `/v1/groups/${group}/offsets?topics=${topic.name}`);
    expect(await visit(group, grown, "latest", 0)).toEqual([]);
  });

  test("[OFF-14] a group that begins at latest in a topic that had grown before begins at its ends", async () => {
    const topic = await createTopic(1);
    await expectStatus(200, "PATCH", `/v1/topics/${topic.name}`, { partitions: 2 });
    const grown = { ...topic, partitions: 2 };
    await produce(topic.name, [{ value: "before", partition: 1 }]);
    const group = unique("group");
    expect(await visit(group, grown, "latest", 0)).toEqual([]);
    await produce(topic.name, [{ value: "after", partition: 1 }]);
    expect(await visit(group, grown, "latest", 1)).toEqual(["after"]);
  });
});
