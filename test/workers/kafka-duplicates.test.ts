// Names that a request repeats. Every served API is in a table here, or is listed as naming nothing.

import { expect, test } from "vitest";
import { ANYBODY } from "../../src/core/access/caller.ts";
import { concatBytes, sizeOf } from "../../src/core/bytes.ts";
import { resolveConfig } from "../../src/core/cluster/config.ts";
import { ERRORS } from "../../src/core/errors.ts";
import type { Env } from "../../src/env.ts";
import type { Api } from "../../src/worker/kafka/api.ts";
import { Connection } from "../../src/worker/kafka/connection.ts";
import { Nodes } from "../../src/worker/kafka/nodes.ts";
import { SERVICES } from "../../src/worker/kafka/services.ts";
import { decodeResponse, encodeRequest } from "../support/kafka-frames.ts";
import * as messages from "../support/kafka-schemas.ts";

const TIMES = 3_000;
// Other tests run in the same isolate, which remembers their data.
const [TOPIC, GROUP] = ["topic-named-twice", "group-named-twice"];
const TOPIC_ID = "00000000-0000-0000-0000-00000000000a";
const topic = {
  name: TOPIC,
  topicId: TOPIC_ID,
  partitions: 100,
  config: resolveConfig({}, {}),
  overrides: {},
};
const bytes = new Uint8Array(1_000);
const member = { memberId: "m", groupInstanceId: null, clientId: "c", clientHost: "/" };
const committed = Array.from({ length: 100 }, (_, partition) => ({
  topic: TOPIC,
  partition,
  offset: 1,
  metadata: "m".repeat(100),
}));

/** The objects' responses for a broker that has topic `t` and group `g`. */
const ANSWERS: Readonly<Record<string, unknown>> = {
  topics: [topic],
  topic: { ok: true, topic },
  topicById: { ok: true, topic },
  createTopic: { ok: true, topic },
  alterTopic: { ok: true, topic },
  deleteTopic: { ok: true },
  hasGroup: true,
  describeClassic: {
    groupState: "Stable",
    protocolType: "consumer",
    protocolData: "range",
    members: [{ ...member, memberMetadata: bytes, memberAssignment: bytes }],
  },
  describeConsumers: {
    ok: true,
    subscriptions: {},
    group: {
      state: "STABLE",
      epoch: 1,
      assignor: "uniform",
      members: [
        {
          memberId: "m",
          memberEpoch: 1,
          assignment: [{ topic: TOPIC, partitions: [1, 2, 3] }],
          target: [{ topic: TOPIC, partitions: [1, 2, 3] }],
        },
      ],
    },
  },
  committedOffsets: { offsets: committed },
  offsets: { ok: true, logStartOffset: 0, highWatermark: 5 },
  deleteRecords: { ok: true, logStartOffset: 5 },
  destroy: { ok: true },
};

/** A connection to that broker, and the calls of its objects. */
function broker() {
  const asked: string[] = [];
  const stub = new Proxy(
    {},
    {
      get: (_, name) => async () => {
        asked.push(String(name));
        return ANSWERS[String(name)];
      },
    },
  );
  const namespace = { getByName: () => stub };
  const objects = { CLUSTER: namespace, PARTITION: namespace, GROUP: namespace };
  const env = { ...objects, caller: ANYBODY } as unknown as Env;
  const nodes = new Nodes([{ host: "h", port: 1 }], null);
  const connection = new Connection({ env, nodes, clientHost: "/", way: "tcp", end: () => {} });
  return { asked, connection };
}

async function ask(api: Api, version: number, request: unknown) {
  const { asked, connection } = broker();
  const pieces = await connection.answer(encodeRequest(api, version, request));
  connection.close();
  const frame = concatBytes(pieces).subarray(4);
  return {
    asked,
    size: sizeOf(pieces),
    answer: decodeResponse<Record<string, unknown>>(api, version, frame),
  };
}

type Named = (count: number) => unknown;
const many = <T>(count: number, item: T): T[] => Array.from({ length: count }, () => item);
/** A topic, and a partition of it, this many times. */
const partitions =
  <P>(partition: P) =>
  (count: number) => ({ topics: [{ name: TOPIC, partitions: many(count, partition) }] });
const topics =
  <P>(partition: P) =>
  (count: number) => ({ topics: many(count, { name: TOPIC, partitions: [partition] }) });

const fetchOf = (name: string) => (count: number) => ({
  maxWaitMs: 0,
  minBytes: 1,
  maxBytes: 1_000,
  topics: many(count, {
    name,
    topicId: TOPIC_ID,
    partitions: [{ partition: 100, fetchOffset: 0, partitionMaxBytes: 1_000 }],
  }),
});
const time = { partition: 1, timestamp: -2 };
const epoch = { partition: 1, leaderEpoch: 0 };
const own = { name: TOPIC, partitions: [1] };
const resource = { resourceType: 2, resourceName: TOPIC };
const config = { ...resource, configs: [{ name: "retention.ms", value: "1000", operation: 0 }] };

const READS: readonly (readonly [what: string, Api, version: number, Named])[] = [
  ["topics by name", messages.METADATA, 9, (n) => ({ topics: many(n, { name: TOPIC }) })],
  [
    "topics by id",
    messages.METADATA,
    12,
    (n) => ({ topics: many(n, { name: null, topicId: TOPIC_ID }) }),
  ],
  ["topics by name", messages.FETCH, 12, fetchOf(TOPIC)],
  ["topics by id", messages.FETCH, 13, fetchOf("")],
  [
    "partitions",
    messages.FETCH,
    12,
    (n) => {
      const asked = fetchOf(TOPIC)(1);
      const partitions = asked.topics.flatMap((each) => each.partitions);
      return { ...asked, topics: [{ name: TOPIC, partitions: many(n, partitions[0]) }] };
    },
  ],
  [
    "partitions",
    messages.OFFSET_FETCH,
    7,
    (n) => ({ groupId: GROUP, topics: [{ name: TOPIC, partitions: many(n, 1) }] }),
  ],
  ["topics", messages.OFFSET_FETCH, 7, (n) => ({ groupId: GROUP, topics: many(n, own) })],
  [
    "groups",
    messages.OFFSET_FETCH,
    8,
    (n) => ({ groups: many(n, { groupId: GROUP, topics: null }) }),
  ],
  [
    "groups, on behalf of nobody in many ways",
    messages.OFFSET_FETCH,
    9,
    (n) => ({
      groups: Array.from({ length: n }, (_, i) => ({
        groupId: GROUP,
        memberId: i % 2 === 0 ? "" : null,
        memberEpoch: -1 - i,
        topics: null,
      })),
    }),
  ],
  ["partitions", messages.OFFSET_FOR_LEADER_EPOCH, 4, partitions(epoch)],
  ["topics", messages.OFFSET_FOR_LEADER_EPOCH, 4, topics(epoch)],
  ["groups", messages.FIND_COORDINATOR, 4, (n) => ({ keyType: 0, keys: many(n, GROUP) })],
  ["groups", messages.DESCRIBE_GROUPS, 5, (n) => ({ groups: many(n, GROUP) })],
  ["groups", messages.CONSUMER_GROUP_DESCRIBE, 1, (n) => ({ groupIds: many(n, GROUP) })],
  [
    "resources",
    messages.DESCRIBE_CONFIGS,
    4,
    (n) => ({ resources: many(n, { ...resource, configurationKeys: null }) }),
  ],
  [
    "topics",
    messages.DESCRIBE_TOPIC_PARTITIONS,
    0,
    (n) => ({ topics: many(n, { name: TOPIC }), responsePartitionLimit: 2_000, cursor: null }),
  ],
];

/** Answered INVALID_REQUEST, as in Kafka: the response could not say which is which, or both would be done. */
const REFUSED: readonly (readonly [what: string, Api, version: number, Named])[] = [
  ["partitions", messages.LIST_OFFSETS, 5, partitions(time)],
  ["topics", messages.LIST_OFFSETS, 5, topics(time)],
  [
    "topics",
    messages.CREATE_TOPICS,
    5,
    (n) => ({
      topics: many(n, {
        name: TOPIC,
        numPartitions: 1,
        replicationFactor: 1,
        assignments: [],
        configs: [],
      }),
      timeoutMs: 1,
    }),
  ],
  [
    "topics by name",
    messages.DELETE_TOPICS,
    5,
    (n) => ({ topicNames: many(n, TOPIC), timeoutMs: 1 }),
  ],
  [
    "topics by id",
    messages.DELETE_TOPICS,
    6,
    (n) => ({ topics: many(n, { name: null, topicId: TOPIC_ID }), timeoutMs: 1 }),
  ],
  [
    "topics",
    messages.CREATE_PARTITIONS,
    3,
    (n) => ({ topics: many(n, { name: TOPIC, count: 200, assignments: null }), timeoutMs: 1 }),
  ],
  ["resources", messages.ALTER_CONFIGS, 2, (n) => ({ resources: many(n, config) })],
  ["resources", messages.INCREMENTAL_ALTER_CONFIGS, 1, (n) => ({ resources: many(n, config) })],
];

/** Done once, as in Kafka. */
const DONE_ONCE: readonly (readonly [what: string, Api, version: number, Named])[] = [
  ["groups", messages.DELETE_GROUPS, 2, (n) => ({ groups: many(n, GROUP) })],
  [
    "partitions",
    messages.DELETE_RECORDS,
    2,
    (n) => ({ ...partitions({ partition: 1, offset: 3 })(n), timeoutMs: 1 }),
  ],
  [
    "topics",
    messages.DELETE_RECORDS,
    2,
    (n) => ({ ...topics({ partition: 1, offset: 3 })(n), timeoutMs: 1 }),
  ],
];

/** They name nothing that needs a response. */
const NAMELESS = new Set<Api>([
  messages.DESCRIBE_ACLS,
  messages.DESCRIBE_CLUSTER,
  messages.LIST_GROUPS,
]);

test.each([...READS, ...DONE_ONCE])(
  "[BND-16] %s that are named many times are looked up and answered once (%#)",
  async (_what, api, version, named) => {
    await ask(api, version, named(1)); // What is remembered is remembered from here on.
    const once = await ask(api, version, named(1));
    const often = await ask(api, version, named(TIMES));
    expect(often.answer).toEqual(once.answer);
    expect(often.size).toBe(once.size);
    expect(often.asked).toEqual(once.asked);
  },
);

test.each(REFUSED)(
  "[BND-16] %s that are named many times are refused once, and nothing is done (%#)",
  async (_what, api, version, named) => {
    const once = await ask(api, version, named(1));
    expect(JSON.stringify(once.answer)).not.toContain(`"errorCode":${ERRORS.INVALID_REQUEST.code}`);
    const often = await ask(api, version, named(TIMES));
    expect(JSON.stringify(often.answer)).toContain(`"errorCode":${ERRORS.INVALID_REQUEST.code}`);
    expect(often.size).toBeLessThan(once.size + 1_000);
    expect(often.asked).toEqual([]);
  },
);

test("[BND-16] every API that only reads is in this table", () => {
  const tested = new Set([...READS, ...REFUSED].map(([, api]) => api));
  const reading = [...SERVICES.values()].filter(({ isReadOnly }) => isReadOnly);
  const missing = reading.filter(({ api }) => !tested.has(api) && !NAMELESS.has(api));
  expect(missing.map(({ api }) => api.name)).toEqual([]);
  expect(reading.length).toBeGreaterThan(10);
});

test("[BND-16] different questions about the same thing are each answered", async () => {
  const { answer } = await ask(messages.OFFSET_FETCH, 8, {
    groups: [
      { groupId: GROUP, topics: [{ name: TOPIC, partitions: [1] }] },
      { groupId: GROUP, topics: [{ name: TOPIC, partitions: [2] }] },
    ],
  });
  expect(answer).toMatchObject({
    groups: [
      { groupId: GROUP, topics: [{ partitions: [{ partition: 1 }] }] },
      { groupId: GROUP, topics: [{ partitions: [{ partition: 2 }] }] },
    ],
  });
  const epochs = [
    { partition: 1, leaderEpoch: 0 },
    { partition: 1, leaderEpoch: 3 },
  ];
  const found = await ask(messages.OFFSET_FOR_LEADER_EPOCH, 4, {
    topics: epochs.map((each) => ({ name: TOPIC, partitions: [each] })),
  });
  expect(found.answer).toMatchObject({
    topics: [{ name: TOPIC, partitions: [{ endOffset: 5 }, { endOffset: -1 }] }],
  });
});
