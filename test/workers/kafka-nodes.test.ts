// A broker that presents itself as several nodes: which of them answers what.
import { expect, test } from "vitest";
import { KAFKA_ERRORS } from "../../src/core/errors.ts";
import { encodeBatch } from "../../src/core/log/record-batch.ts";
import type { Api } from "../../src/worker/kafka/api.ts";
import * as messages from "../support/kafka-schemas.ts";
import { Kafka } from "./kafka-socket.ts";
import { createTopic, produce, unique } from "./support.ts";

const NODES = [0, 1, 2];
const { NONE, NOT_COORDINATOR, NOT_LEADER_OR_FOLLOWER } = KAFKA_ERRORS;

const nodes = () =>
  Promise.all(NODES.map((node) => Kafka.open(`?advertise=a:1,b:2,c:3&node=${node}`)));

const batch = () =>
  encodeBatch([{ key: null, value: new Uint8Array(1), headers: [], timestamp: 1 }]);

/** A question about partition 0 in each request that only its leader answers, by version. */
const OF_THE_LEADER: [string, Api, number, (topic: string) => object][] = [
  [
    "Produce",
    messages.PRODUCE,
    9,
    (name) => ({
      acks: 1,
      timeoutMs: 1_000,
      topics: [{ name, partitions: [{ partition: 0, records: [batch()] }] }],
    }),
  ],
  [
    "Fetch",
    messages.FETCH,
    12,
    (name) => ({
      maxWaitMs: 1_000,
      minBytes: 1,
      topics: [
        { name, partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1_000_000 }] },
      ],
    }),
  ],
  [
    "ListOffsets",
    messages.LIST_OFFSETS,
    7,
    (name) => ({
      replicaId: -1,
      topics: [{ name, partitions: [{ partition: 0, timestamp: -1 }] }],
    }),
  ],
  [
    "OffsetForLeaderEpoch",
    messages.OFFSET_FOR_LEADER_EPOCH,
    4,
    (name) => ({
      replicaId: -1,
      topics: [{ name, partitions: [{ partition: 0, leaderEpoch: 0 }] }],
    }),
  ],
  [
    "DeleteRecords",
    messages.DELETE_RECORDS,
    2,
    (name) => ({ timeoutMs: 1_000, topics: [{ name, partitions: [{ partition: 0, offset: 1 }] }] }),
  ],
];

test.each(OF_THE_LEADER)(
  "[KFK-6] only the leader of a partition answers, and changes anything: %s",
  async (_, api, version, requestOf) => {
    const { name } = await createTopic(1);
    await produce(name, [{ value: "a" }]);
    const all = await nodes();
    const leader = await leaderOf(all[0] as Kafka, name);
    const ask = async (node: number) => {
      const { topics } = await (all[node] as Kafka).ask<{
        topics: { partitions: { errorCode: number }[] }[];
      }>(api, version, requestOf(name));
      return topics[0]?.partitions[0]?.errorCode;
    };
    const others = NODES.filter((node) => node !== leader);
    for (const other of others) expect(await ask(other)).toBe(NOT_LEADER_OR_FOLLOWER);
    expect(await boundsOf(all[leader] as Kafka, name)).toEqual([0, 1]);
    expect(await ask(leader)).toBe(NONE);
  },
);

test("[KFK-6] each group is listed by the node that coordinates it, and by no other", async () => {
  const { name } = await createTopic(1);
  const whole = await Kafka.open();
  const groupIds = Array.from({ length: 9 }, () => unique("group"));
  const all = await nodes();
  const listedBy = async (kafka: Kafka) => {
    const { groups } = await kafka.ask<{ groups: { groupId: string }[] }>(
      messages.LIST_GROUPS,
      4,
      {},
    );
    return groups.map(({ groupId }) => groupId).filter((each) => groupIds.includes(each));
  };
  const coordinators = new Map<number, string[]>(NODES.map((node) => [node, []]));
  for (const groupId of groupIds) {
    const answers = await Promise.all(all.map((kafka) => commit(kafka, groupId, name)));
    const node = answers.indexOf(NONE);
    expect(answers.filter((code) => code !== NOT_COORDINATOR)).toEqual([NONE]);
    coordinators.get(node)?.push(groupId);
  }
  for (const node of NODES)
    expect((await listedBy(all[node] as Kafka)).sort()).toEqual(coordinators.get(node)?.sort());
  // A connection that names no node stands for all of them.
  expect((await listedBy(whole)).sort()).toEqual(groupIds.sort());
});

async function leaderOf(kafka: Kafka, name: string): Promise<number> {
  const { topics } = await kafka.ask<{ topics: { partitions: { leaderId: number }[] }[] }>(
    messages.METADATA,
    9,
    { topics: [{ name }] },
  );
  return topics[0]?.partitions[0]?.leaderId as number;
}

/** The first and the next offset of partition 0. */
async function boundsOf(kafka: Kafka, name: string) {
  const bounds = [];
  for (const timestamp of [-2, -1]) {
    const { topics } = await kafka.ask<{ topics: { partitions: { offset: number }[] }[] }>(
      messages.LIST_OFFSETS,
      7,
      { replicaId: -1, topics: [{ name, partitions: [{ partition: 0, timestamp }] }] },
    );
    bounds.push(topics[0]?.partitions[0]?.offset);
  }
  return bounds;
}

async function commit(kafka: Kafka, groupId: string, name: string) {
  const { topics } = await kafka.ask<{ topics: { partitions: { errorCode: number }[] }[] }>(
    messages.OFFSET_COMMIT,
    7,
    {
      groupId,
      generationId: -1,
      memberId: "",
      topics: [{ name, partitions: [{ partition: 0, committedOffset: 0, committedMetadata: "" }] }],
    },
  );
  return topics[0]?.partitions[0]?.errorCode;
}
