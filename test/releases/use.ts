// Finds a release's data in a broker, and continues with it: every kind of data, on every interface.

import { expect } from "vitest";
import { fromBase64, toBase64 } from "../../src/core/bytes.ts";
import { DEFAULT_RETENTION_BYTES } from "../../src/core/limits.ts";
import { encodeBatch, readBatchHeader } from "../../src/core/log/record-batch.ts";
import { Rivulet } from "../../src/sdk/index.ts";
import { PlainClient } from "../e2e/plain-client.ts";
import { RawKafka } from "../support/kafka-client.ts";
import * as messages from "../support/kafka-schemas.ts";
import { until } from "../support/until.ts";
import { ask } from "./ask.ts";
import { type Found, type FoundTopic, find } from "./found.ts";
import type { ReleaseBroker } from "./release-broker.ts";
import { commit, type Repeats, SESSION_MS, type Written } from "./write.ts";

/** The content of a broker. */
export interface Content extends Written {
  readonly found: Found;
}

type Append = Repeats["appends"][number];

/** Expects everything to be there, and answered requests to be answered the same without storing anything. */
export async function expectContent(broker: ReleaseBroker, content: Content): Promise<void> {
  expectFound(await find(broker), content.found);
  for (const append of content.repeats.appends)
    expect(await sendAppend(broker, append), `${append.topic}/${append.partition}`).toBe(
      append.baseOffset,
    );
  for (const { topic, key, body, answer } of content.repeats.keyed) {
    const headers = { "idempotency-key": key };
    const path = `/v1/topics/${topic}/records`;
    expect(await ask(broker.url, "POST", path, body, headers), key).toEqual(answer);
  }
  const ends = ({ topics }: Found) =>
    topics.map(({ logs }) => logs.map(({ highWatermark }) => highWatermark));
  expect(ends(await find(broker))).toEqual(ends(content.found));
}

/** The defaults that releases had for a key whose default has changed. */
const DEFAULTS: Readonly<Record<string, readonly unknown[]>> = {
  "retention.bytes": [-1, DEFAULT_RETENTION_BYTES],
};

/** Returns the config, with a word for each value that is some release's default of its key. */
export function defaultlessConfig(config: Readonly<Record<string, unknown>>) {
  return Object.fromEntries(
    Object.entries(config).map(([key, value]) => [key, defaultless(key, value)]),
  );
}

/** Returns the value, or that it is some release's default. */
function defaultless(key: string, value: unknown): unknown {
  return DEFAULTS[key]?.includes(value) ? "the default" : value;
}

function expectFound(found: Found, expected: Found): void {
  expect(found.defaults).toEqual(expected.defaults);
  expect(found.topics.map(({ name }) => name)).toEqual(expected.topics.map(({ name }) => name));
  for (const [i, topic] of found.topics.entries()) {
    const wanted = expected.topics[i] as FoundTopic;
    // A release has keys that the other does not know.
    const { config, ...rest } = topic;
    const { config: wantedConfig, ...wantedRest } = wanted;
    expect(rest, topic.name).toEqual(wantedRest);
    const shared = Object.keys(config).filter((key) => key in wantedConfig);
    expect(shared.length, topic.name).toBeGreaterThan(10);
    for (const key of shared)
      expect(defaultless(key, config[key]), `${topic.name}: ${key}`).toEqual(
        defaultless(key, wantedConfig[key]),
      );
  }
  expect(found.groups.map(comparable)).toEqual(expected.groups.map(comparable));
  for (const [i, { history, groupId }] of found.groups.entries())
    expect(history, groupId).toEqual(
      expect.arrayContaining([...(expected.groups[i]?.history ?? [])]),
    );
}

/**
 * The group without its history, which is compared separately. An empty group shows its newest epoch; before release 0.3 it
 * showed 0 if its last members were classic ones.
 */
function comparable({ history: _, epoch, ...group }: Found["groups"][number]): unknown {
  return group.state === "EMPTY" ? group : { ...group, epoch };
}

async function sendAppend(
  broker: ReleaseBroker,
  append: Omit<Append, "baseOffset">,
): Promise<number> {
  const path = `/v1/topics/${append.topic}/partitions/${append.partition}/batches`;
  const body = new Uint8Array(fromBase64(append.batches));
  const response = await fetch(`${broker.url}${path}`, { method: "POST", body });
  const text = await response.text();
  if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
  return (JSON.parse(text) as { baseOffset: number }).baseOffset;
}

/** Uses everything once more, and returns the broker's content then. `round` tells one use from the next. */
export async function use(broker: ReleaseBroker, before: Content, round: string): Promise<Content> {
  await produceEverywhere(broker, before.found, round);
  const appends = await goOnAppending(broker, before.repeats.appends);
  const keyed = [...before.repeats.keyed, await sendKeyed(broker, round)];
  await goOnBySocket(broker, before, round);
  await goOnByPoll(broker, before);
  await goOnByKafka(broker, before, round);
  await readAll(broker, round);
  await administer(broker, round);
  const found = await find(broker);
  return { repeats: { appends, keyed }, members: before.members, found };
}

/** Appends to each partition, including unused ones. */
async function produceEverywhere(
  broker: ReleaseBroker,
  { topics }: Found,
  round: string,
): Promise<void> {
  for (const { name, logs } of topics) {
    const records = logs.map((_, partition) => ({ key: round, value: round, partition }));
    const path = `/v1/topics/${name}/records`;
    const { results } = await ask<{ results: unknown[] }>(broker.url, "POST", path, { records });
    expect(results, name).toMatchObject(
      logs.map(({ highWatermark }, partition) => ({ partition, offset: highWatermark })),
    );
  }
}

/** Each idempotent producer continues with its next sequence number. Returns the appends that can be repeated now. */
async function goOnAppending(
  broker: ReleaseBroker,
  appends: Repeats["appends"],
): Promise<Repeats["appends"]> {
  const byProducer = Object.groupBy(appends, ({ partition, batches }) => {
    const { producerId } = readBatchHeader(fromBase64(batches));
    return `${partition} ${producerId}`;
  });
  const all: Append[] = [];
  for (const own of Object.values(byProducer)) {
    const last = own?.at(-1) as Append;
    const header = readBatchHeader(fromBase64(last.batches));
    const { producerId, producerEpoch } = header;
    const baseSequence = header.baseSequence + header.lastOffsetDelta + 1;
    const value = new TextEncoder().encode(`sequence ${baseSequence}`);
    const record = { key: null, value, headers: [], timestamp: 0 };
    const batch = encodeBatch([record], { producerId, producerEpoch, baseSequence });
    const append = { topic: last.topic, partition: last.partition, batches: toBase64(batch) };
    const baseOffset = await sendAppend(broker, append);
    all.push(...(own ?? []).slice(-4), { ...append, baseOffset });
  }
  return all;
}

async function sendKeyed(broker: ReleaseBroker, round: string): Promise<Repeats["keyed"][number]> {
  const topic = "keyed";
  const key = `round-${round}`;
  const body = {
    records: [
      { key: "a", value: round },
      { key: "b", value: round },
    ],
  };
  const headers = { "idempotency-key": key };
  const path = `/v1/topics/${topic}/records`;
  return { topic, key, body, answer: await ask(broker.url, "POST", path, body, headers) };
}

/** The static member returns over a plain WebSocket, and reads on where its group is. */
async function goOnBySocket(broker: ReleaseBroker, before: Content, round: string): Promise<void> {
  const { groupId, query } = before.members.socket;
  const plain = new PlainClient(broker.url, groupId, query);
  await until("the static member has read on", () =>
    ["orders", "appended"].every((topic) =>
      plain.records.some((record) => record.topic === topic && record.value === round),
    ),
  );
  expect(plain.records.map(({ value }) => value)).toEqual([round, round]);
  await until("it has committed", async () => {
    const group = await groupOf(broker, groupId);
    const ownLag = group.offsets.filter(({ topic, partition }) =>
      plain.records.some((record) => record.topic === topic && record.partition === partition),
    );
    return ownLag.length === 2 && ownLag.every(({ lag }) => lag === 0);
  });
  plain.cut();
  await until("its socket is gone", () => plain.closed);
}

interface Group {
  readonly offsets: { topic: string; partition: number; lag: number | null }[];
}

function groupOf(broker: ReleaseBroker, groupId: string): Promise<Group> {
  return ask<Group>(broker.url, "GET", `/v1/groups/${groupId}`);
}

/** The poller still has its partitions. It reads its unacknowledged records, and acknowledges them. */
async function goOnByPoll(broker: ReleaseBroker, before: Content): Promise<void> {
  const { groupId, instanceId } = before.members.poller;
  const body = { instanceId, topics: ["orders"], sessionTimeoutMs: SESSION_MS };
  const poll = (more: object = {}) =>
    ask<{
      assignment: { topic: string; partitions: number[] }[];
      records: { topic: string; partition: number; offset: number }[];
    }>(broker.url, "POST", `/v1/groups/${groupId}/poll`, { ...body, ...more });
  const group = before.found.groups.find((each) => each.groupId === groupId);
  const lag = (group?.offsets ?? []).reduce((sum, offset) => sum + Number(offset.lag), 0);
  const { records } = await poll();
  expect(records).toHaveLength(lag + 2); // A record came to each of its two partitions.
  const ack = records.map(({ topic, partition, offset }) => ({ topic, partition, offset }));
  await poll({ ack });
  expect((await groupOf(broker, groupId)).offsets.every((offset) => offset.lag === 0)).toBe(true);
}

/** Members of Kafka's two protocols are still known, and commit. */
async function goOnByKafka(broker: ReleaseBroker, before: Content, round: string): Promise<void> {
  const kafka = new RawKafka(broker.kafka);
  const { beating, classic } = before.members;
  const beaten = await kafka.ask(messages.CONSUMER_GROUP_HEARTBEAT, 1, {
    ...beating,
    instanceId: null,
    rackId: null,
    rebalanceTimeoutMs: -1,
    subscribedTopicNames: null,
    subscribedTopicRegex: null,
    serverAssignor: null,
    topicPartitions: null,
  });
  expect(beaten).toMatchObject({ errorCode: 0, memberEpoch: beating.memberEpoch });
  const heard = await kafka.ask(messages.HEARTBEAT, 3, classic);
  expect(heard).toMatchObject({ errorCode: 0 });
  const { groupId, memberId, memberEpoch: generationId } = beating;
  const position = { topic: "segments", partition: 0, leaderEpoch: 0, metadata: round };
  await commit(kafka, { groupId, memberId, generationId }, [{ ...position, offset: 8 }]);
  await commit(kafka, classic, [{ ...position, topic: "orders", offset: 2 }]);
  const refused = commit(kafka, { ...classic, generationId: classic.generationId + 1 }, [
    { ...position, topic: "orders", offset: 0 },
  ]);
  await expect(refused).rejects.toThrow("commit: errors 22"); // ILLEGAL_GENERATION
  kafka.close();
}

/** A new group of the SDK reads everything. */
async function readAll(broker: ReleaseBroker, round: string): Promise<void> {
  const topics = ["orders", "segments", "latest", "folded", "idempotent", "keyed", "again"];
  const rivulet = new Rivulet({ url: broker.url });
  const { topics: found } = await find(broker);
  const expected = found
    .filter(({ name }) => topics.includes(name))
    .reduce((sum, { logs }) => sum + logs.reduce((all, log) => all + log.records.length, 0), 0);
  let read = 0;
  const consumer = rivulet.consumer({ groupId: `readers-${round}`, topics, from: "earliest" });
  await consumer.run({
    eachRecord: () => {
      if (++read === expected) consumer.close();
    },
  });
  const { offsets } = await groupOf(broker, `readers-${round}`);
  expect(offsets.every(({ lag }) => lag === 0)).toBe(true);
}

async function administer(broker: ReleaseBroker, round: string): Promise<void> {
  const { url } = broker;
  const config = { "retention.ms": -1, "retention.bytes": 1_000_000 + round.length };
  const { groups, topics } = await find(broker);
  for (const { name } of topics)
    if (name === "unused" || name === "placed")
      await ask(url, "PATCH", `/v1/topics/${name}`, { config });
  for (const { groupId } of groups)
    if (groupId === "committed" || groupId === "placed")
      await ask(url, "PATCH", `/v1/groups/${groupId}`, { config: { "group.max.size": 90 } });
  await ask(url, "POST", "/v1/topics", { name: `short-${round}`, partitions: 2 });
  await ask(url, "POST", `/v1/topics/short-${round}/records`, { records: [{ value: 1 }] });
  await ask(url, "DELETE", `/v1/topics/short-${round}`);
  await ask(url, "POST", "/v1/topics", { name: `new-${round}`, config: { "retention.ms": -1 } });
  await ask(url, "POST", "/v1/groups/reset/offsets", { to: "latest" });
  await ask(url, "DELETE", `/v1/groups/readers-${round}`);
}
