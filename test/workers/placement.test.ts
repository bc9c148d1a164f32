// The creation of objects: nobody creates one by querying, by configuring, or by deleting what is not there.
import { listDurableObjectIds } from "cloudflare:test";
import { exports } from "cloudflare:workers";
import { expect, test } from "vitest";
import { clusterStub } from "../../src/env.ts";
import { forgetEverything } from "../../src/worker/edge/isolate.ts";
import { OPERATIONS } from "../../src/worker/http/operations.ts";
import type { Api } from "../../src/worker/kafka/api.ts";
import * as messages from "../support/kafka-schemas.ts";
import { SERVED } from "../support/kafka-served.ts";
import { Kafka } from "./kafka-socket.ts";
import {
  createTopic,
  env,
  expectStatus,
  fetchRecords,
  ORIGIN,
  produce,
  TestSocket,
  TWINS,
  unique,
} from "./support.ts";

/** The existing partitions and groups. */
async function objects(): Promise<Set<string>> {
  const namespaces = [env.PARTITION, env.GROUP];
  const lists = await Promise.all(namespaces.map((each) => listDurableObjectIds(each)));
  return new Set(lists.flat().map(String));
}

/** The groups on the cluster's list. Another test may have listed one that has no object yet. */
async function listed(): Promise<Set<string>> {
  const groups = await clusterStub(env).groups();
  return new Set(groups.map((group) => String(env.GROUP.idFromName(group))));
}

/** The places of names. A topic of four partitions that nobody has produced to, a group that has read nothing. */
const TOPIC = "{topic}";
const KNOWN = "{known}";
const NOBODY = "{nobody}";
type Names = Readonly<Record<typeof TOPIC | typeof KNOWN | typeof NOBODY, string>>;

function withNames<T>(value: T, names: Names): T {
  const text = Object.entries(names).reduce(
    (json, [place, name]) => json.replaceAll(place, name),
    JSON.stringify(value),
  );
  return JSON.parse(text) as T;
}

interface Look {
  /** The listed operation or API. */
  readonly way: string;
  /** The request. */
  readonly what: string;
  readonly look: (names: Names) => Promise<unknown>;
  readonly answer: unknown;
}

interface HttpRequest {
  readonly body?: unknown;
  readonly topic?: string;
  readonly partition?: number;
  readonly group?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A request to an operation, which is named by its method and path. */
function http(way: string, answer: unknown, query = "", request: HttpRequest = {}): Look {
  const { topic = TOPIC, partition = 3, group = NOBODY, body, headers = {} } = request;
  const [method = "", path = ""] = way.split(" ");
  const place = `${path
    .replace("{topic}", topic)
    .replace("{partition}", String(partition))
    .replace("{group}", group)
    .replace("{alert}", "late")
    .replace("{id}", NOBODY)}${query}`;
  const look = async (names: Names) => {
    const response = await exports.default.fetch(`${ORIGIN}${withNames(place, names)}`, {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(withNames(body, names)) }),
    });
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.includes("json") === true;
    return [response.status, isJson && text !== "" ? JSON.parse(text) : text];
  };
  const sent = body === undefined ? "" : ` ${JSON.stringify(body)}`;
  return { way, what: `${method} ${place}${sent}`, look, answer };
}

const any = expect.anything();
const ok = (fields: object) => [200, expect.objectContaining(fields)];
const refused = (status: number, code: string) => [status, expect.objectContaining({ code })];
const noGroup = refused(404, "GROUP_ID_NOT_FOUND");
const empty = ok({ records: [], nextOffset: 0, logStartOffset: 0, highWatermark: 0 });
const known = { group: KNOWN };
const PARTITION = "/v1/topics/{topic}/partitions/{partition}";
const GROUP = "/v1/groups/{group}";
const SHARE_GROUP = "/v1/share-groups/{group}";
const resets = [
  "earliest",
  "latest",
  "current",
  { offset: 7 },
  { timestamp: 1 },
  { duration: 1 },
  { shiftBy: -2 },
];
const none = { topic: any, partition: 3, committedOffset: null, offset: 0 };

const HTTP: Look[] = [
  http("GET /health", any),
  http("GET /metrics", [200, any]),
  http("GET /", any),
  http("GET /openapi.json", any),
  http("GET /kafka", any),
  http("GET /v1/me", ok({})),
  http("GET /v1/audit", ok({ events: any })),
  http("GET /v1/keys", ok({ keys: any })),
  http("GET /v1/costs", ok({ lines: any })),
  http("GET /v1/alerts", ok({ alerts: any })),
  http("GET /v1/group-lags", ok({ groups: any })),
  http("PUT /v1/alerts/{alert}", ok({ name: "late" }), "", {
    body: { type: "group-empty" },
  }),
  http("PUT /v1/alerts/{alert}", refused(400, "INVALID_REQUEST"), "", { body: {} }),
  http("POST /v1/alerts/{alert}/test", refused(404, "RESOURCE_NOT_FOUND")),
  http("DELETE /v1/alerts/{alert}", [204, ""]),
  http("POST /v1/keys", [201, any], "", { body: { principal: "User:looker", role: "read" } }),
  http("POST /v1/keys", refused(400, "INVALID_REQUEST"), "", { body: {} }),
  http("PATCH /v1/keys/{id}", refused(404, "RESOURCE_NOT_FOUND"), "", { body: {} }),
  http("DELETE /v1/keys/{id}", refused(404, "RESOURCE_NOT_FOUND")),
  http("GET /v1/doctor/topics", ok({ topics: any })),
  http("GET /v1/doctor/tasks", ok({ tasks: any })),
  http("POST /v1/doctor/groups", refused(400, "INVALID_REQUEST"), "", { body: {} }),
  http("POST /v1/doctor/orphans", refused(400, "INVALID_REQUEST"), "", { body: {} }),
  http("POST /v1/recovery", refused(400, "INVALID_REQUEST"), "", { body: {} }),
  http("POST /v1/recovery", noGroup, "", {
    body: { target: { type: "group", group: NOBODY }, bookmark: "b", dryRun: true },
  }),
  http("POST /v1/recovery", refused(400, "INVALID_REQUEST"), "", {
    body: { target: { type: "partition", topic: TOPIC, partition: 3 }, bookmark: "b" },
  }),
  http("POST /v1/tokens", ok({ token: any }), "", { body: {} }),
  http("GET /v1/topics", ok({})),
  http("HEAD /v1/topics", any),
  http("POST /v1/topics", [201, any], "", { body: { name: `${TOPIC}-made`, partitions: 9 } }),
  http("POST /v1/topics", refused(409, "TOPIC_ALREADY_EXISTS"), "", { body: { name: TOPIC } }),
  http("GET /v1/topics/{topic}", ok({ partitions: 4 })),
  http("GET /v1/topics/{topic}", refused(404, "UNKNOWN_TOPIC_OR_PARTITION"), "", { topic: NOBODY }),
  http("PATCH /v1/topics/{topic}", ok({}), "", { body: { config: { "retention.ms": 7_000_000 } } }),
  http("PATCH /v1/topics/{topic}", ok({ partitions: 5 }), "", { body: { partitions: 5 } }),
  http("DELETE /v1/topics/{topic}", [204, ""]),
  http("GET /v1/deleted-topics", ok({})),
  http("HEAD /v1/deleted-topics", any),
  http("POST /v1/deleted-topics/{topic}/undelete", any, "", { body: {} }),
  http("DELETE /v1/deleted-topics/{topic}", any),
  http("DELETE /v1/topics/{topic}", refused(404, "UNKNOWN_TOPIC_OR_PARTITION"), "", {
    topic: NOBODY,
  }),
  http("GET /v1/configs", ok({})),
  http("PATCH /v1/configs", ok({}), "", { body: { config: { "segment.ms": null } } }),
  http("POST /v1/topics/{topic}/records", refused(400, "INVALID_REQUEST"), "", {
    body: { records: 1 },
  }),
  http("POST /v1/topics/{topic}/records", refused(404, "UNKNOWN_TOPIC_OR_PARTITION"), "", {
    topic: NOBODY,
    body: { records: [{ value: 1 }] },
  }),
  http("HEAD /v1/topics/{topic}/stream", any),
  http("GET /v1/topics/{topic}/stream", refused(404, "UNKNOWN_TOPIC_OR_PARTITION"), "?partition=9"),
  http("GET /v1/topics/{topic}/stream", refused(400, "INVALID_REQUEST"), "?from=x"),
  http(`GET ${PARTITION}/records`, empty),
  http(`GET ${PARTITION}/records`, empty, "?offset=0"),
  http(`GET ${PARTITION}/records`, refused(416, "OFFSET_OUT_OF_RANGE"), "?offset=1"),
  http(`GET ${PARTITION}/records`, refused(416, "OFFSET_OUT_OF_RANGE"), "?offset=1&waitMs=10"),
  http(`GET ${PARTITION}/records`, [200, ""], "", { headers: { accept: "application/x-ndjson" } }),
  http(`HEAD ${PARTITION}/records`, any),
  http(`DELETE ${PARTITION}/records`, ok({ logStartOffset: 0 }), "?before=0"),
  http(`DELETE ${PARTITION}/records`, refused(416, "OFFSET_OUT_OF_RANGE"), "?before=1"),
  ...["earliest", "latest", "max-timestamp", "1", "2020-01-01T00:00:00Z"].map((at) =>
    http(`GET ${PARTITION}/offsets`, [200, { offset: 0 }], `?at=${at}`),
  ),
  http(`GET ${PARTITION}/offsets`, refused(404, "UNKNOWN_TOPIC_OR_PARTITION"), "", {
    partition: 9,
  }),
  http(`GET ${PARTITION}/state`, ok({ highWatermark: 0, hasConfig: true })),
  http(`GET ${PARTITION}/batches`, [200, ""]),
  http(`GET ${PARTITION}/batches`, refused(416, "OFFSET_OUT_OF_RANGE"), "?offset=1"),
  http(`POST ${PARTITION}/batches`, refused(404, "UNKNOWN_TOPIC_OR_PARTITION"), "", {
    topic: NOBODY,
  }),
  http(`GET ${PARTITION}/socket`, refused(400, "INVALID_REQUEST")),
  http("POST /v1/producers", [201, any]),
  http("GET /v1/groups", ok({})),
  http(`GET ${GROUP}`, noGroup),
  http(`GET ${GROUP}`, ok({ offsets: [] }), "", known),
  http(`PATCH ${GROUP}`, refused(400, "INVALID_CONFIG"), "", { body: { config: { no: 1 } } }),
  http(`PATCH ${GROUP}`, ok({ overrides: {} }), "", {
    body: { config: { "consumer.assignor": null, "rivulet.region": null } },
  }),
  http(`DELETE ${GROUP}`, noGroup),
  http(`GET ${GROUP}/config`, noGroup),
  http(`GET ${GROUP}/history`, noGroup),
  http(`GET ${GROUP}/offsets`, noGroup),
  http(`GET ${GROUP}/offsets`, [200, { groupId: any, offsets: [] }], "", known),
  http(`POST ${GROUP}/offsets`, noGroup, "", { body: { to: "earliest", dryRun: true } }),
  http(`POST ${GROUP}/offsets`, noGroup, "", { body: { to: "earliest" } }),
  ...resets.map((to) =>
    http(`POST ${GROUP}/offsets`, ok({ offsets: expect.arrayContaining([none]) }), "", {
      ...known,
      body: { topics: [TOPIC], to, dryRun: true },
    }),
  ),
  http(`POST ${GROUP}/offsets`, ok({ offsets: [{ ...none, offset: 0 }] }), "", {
    ...known,
    body: { offsets: [{ topic: TOPIC, partition: 3, offset: 9 }] },
  }),
  http(`DELETE ${GROUP}/offsets`, noGroup, `?topics=${TOPIC}`),
  http(`POST ${GROUP}/poll`, ok({ assignment: [] }), "", {
    body: { instanceId: "i", topics: [TOPIC], leave: true },
  }),
  http(`GET ${SHARE_GROUP}`, noGroup),
  http(`GET ${SHARE_GROUP}`, noGroup, "", known),
  http(`POST ${SHARE_GROUP}/acquire`, refused(404, "UNKNOWN_TOPIC_OR_PARTITION"), "", {
    body: { topics: [NOBODY] },
  }),
  http(`POST ${SHARE_GROUP}/redrive`, noGroup, "", { body: {} }),
  http(
    `POST ${SHARE_GROUP}/acknowledge`,
    ok({ results: [expect.objectContaining({ ok: false, code: "GROUP_ID_NOT_FOUND" })] }),
    "",
    { body: { acks: [{ leaseId: `1.id.3.0.holder.${TOPIC}`, type: "accept" }] } },
  ),
  http(`GET ${GROUP}/consume`, refused(400, "INVALID_REQUEST"), `?topics=${TOPIC}`),
  http(`GET ${GROUP}/consume`, refused(404, "UNKNOWN_TOPIC_OR_PARTITION"), `?topics=${NOBODY}`),
  http(`GET ${GROUP}/socket`, refused(400, "INVALID_REQUEST")),
  http(`GET ${GROUP}/events`, refused(400, "INVALID_REQUEST")),
  http(`GET ${GROUP}/lag`, ok({ offsets: [] })),
];

function api(of: Api, version: number, request: object, answer: unknown): Look {
  const look = async (names: Names) => {
    const kafka = await Kafka.open();
    return kafka.ask(of, version, withNames(request, names));
  };
  return { way: of.name, what: `${of.name} ${JSON.stringify(request)}`, look, answer };
}

const named = (...partitions: object[]) => ({ topics: [{ name: TOPIC, partitions }] });
const told = (fields: object) =>
  expect.objectContaining({
    topics: [expect.objectContaining({ partitions: [expect.objectContaining(fields)] })],
  });
const member = { groupId: NOBODY, memberId: "m", generationId: 1, groupInstanceId: null };
const resource = (resourceType: number, resourceName: string, configs: unknown) => ({
  resources: [{ resourceType, resourceName, configs, configurationKeys: null }],
});
const anyAcl = {
  resourceType: 1,
  resourceName: NOBODY,
  patternType: 1,
  principal: "User:x",
  host: "*",
  operation: 1,
  permissionType: 1,
};
const change = (name: string, value: string) => [{ name, value, configOperation: 0 }];

const KAFKA: Look[] = [
  api(messages.API_VERSIONS, 3, { clientSoftwareName: "x", clientSoftwareVersion: "1" }, any),
  api(messages.METADATA, 12, { topics: [{ topicId: crypto.randomUUID(), name: null }] }, any),
  api(messages.METADATA, 8, { topics: null }, any),
  api(
    messages.DESCRIBE_TOPIC_PARTITIONS,
    0,
    { topics: [{ name: TOPIC }], responsePartitionLimit: 9, cursor: null },
    any,
  ),
  api(messages.DESCRIBE_CLUSTER, 0, {}, any),
  api(messages.FIND_COORDINATOR, 4, { keyType: 0, keys: [NOBODY] }, any),
  api(messages.INIT_PRODUCER_ID, 4, { transactionalId: null }, any),
  api(messages.SASL_HANDSHAKE, 1, { mechanism: "PLAIN" }, any),
  api(messages.SASL_AUTHENTICATE, 2, { authBytes: [] }, any),
  api(
    messages.PRODUCE,
    9,
    { acks: -1, topics: [{ name: NOBODY, partitions: [{ partition: 0, records: null }] }] },
    any,
  ),
  api(
    messages.JOIN_GROUP,
    5,
    {
      groupId: "",
      sessionTimeoutMs: 9_000,
      rebalanceTimeoutMs: 9_000,
      memberId: "",
      groupInstanceId: null,
      protocolType: "consumer",
      protocols: [],
    },
    any,
  ),
  ...[-1, -2, -3, -4, 1].map((timestamp) =>
    api(
      messages.LIST_OFFSETS,
      8,
      named({ partition: 3, timestamp }),
      told({
        errorCode: 0,
        offset: timestamp === 1 || timestamp === -3 ? -1 : 0,
      }),
    ),
  ),
  api(
    messages.OFFSET_FOR_LEADER_EPOCH,
    4,
    named({ partition: 3, leaderEpoch: 0 }),
    told({ errorCode: 0, endOffset: 0 }),
  ),
  api(
    messages.DELETE_RECORDS,
    2,
    named({ partition: 3, offset: -1 }),
    told({ errorCode: 0, lowWatermark: 0 }),
  ),
  api(messages.DELETE_RECORDS, 2, named({ partition: 3, offset: 5 }), told({ errorCode: 1 })),
  api(
    messages.FETCH,
    12,
    {
      maxWaitMs: 0,
      minBytes: 1,
      topics: [
        { name: NOBODY, partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 9 }] },
      ],
    },
    any,
  ),
  api(messages.DESCRIBE_ACLS, 3, anyAcl, any),
  api(messages.CREATE_ACLS, 3, { creations: [anyAcl] }, any),
  api(messages.DELETE_ACLS, 3, { filters: [anyAcl] }, any),
  api(messages.DESCRIBE_CONFIGS, 4, resource(2, TOPIC, []), any),
  api(messages.DESCRIBE_CONFIGS, 4, resource(32, NOBODY, []), any),
  api(messages.DESCRIBE_CONFIGS, 4, resource(4, "0", []), any),
  api(
    messages.INCREMENTAL_ALTER_CONFIGS,
    1,
    { ...resource(2, TOPIC, change("retention.ms", "8000000")), validateOnly: false },
    any,
  ),
  api(
    messages.INCREMENTAL_ALTER_CONFIGS,
    1,
    { ...resource(32, NOBODY, change("consumer.session.timeout.ms", "45000")), validateOnly: true },
    any,
  ),
  api(
    messages.INCREMENTAL_ALTER_CONFIGS,
    1,
    { ...resource(32, NOBODY, change("consumer.session.timeout.ms", "x")), validateOnly: false },
    any,
  ),
  api(
    messages.INCREMENTAL_ALTER_CONFIGS,
    1,
    {
      ...resource(32, NOBODY, [
        { name: "consumer.session.timeout.ms", configOperation: 1, value: null },
      ]),
      validateOnly: false,
    },
    any,
  ),
  api(
    messages.ALTER_CONFIGS,
    2,
    { ...resource(2, TOPIC, [{ name: "retention.ms", value: "9000000" }]), validateOnly: false },
    any,
  ),
  api(
    messages.CREATE_TOPICS,
    7,
    {
      topics: [
        {
          name: `${TOPIC}-made`,
          numPartitions: 3,
          replicationFactor: 1,
          assignments: [],
          configs: [],
        },
      ],
      timeoutMs: 1_000,
    },
    any,
  ),
  api(
    messages.CREATE_PARTITIONS,
    3,
    { topics: [{ name: TOPIC, count: 6, assignments: null }], timeoutMs: 1_000 },
    any,
  ),
  api(messages.DELETE_TOPICS, 5, { topicNames: [TOPIC], timeoutMs: 1_000 }, any),
  api(messages.DELETE_TOPICS, 5, { topicNames: [NOBODY], timeoutMs: 1_000 }, any),
  api(messages.LIST_GROUPS, 4, {}, any),
  api(messages.DESCRIBE_GROUPS, 5, { groups: [NOBODY] }, any),
  api(messages.CONSUMER_GROUP_DESCRIBE, 0, { groupIds: [NOBODY] }, any),
  api(messages.DELETE_GROUPS, 2, { groups: [NOBODY] }, any),
  api(
    messages.OFFSET_FETCH,
    7,
    { groupId: NOBODY, topics: [{ name: TOPIC, partitions: [3] }] },
    told({ committedOffset: -1 }),
  ),
  api(
    messages.OFFSET_FETCH,
    7,
    { groupId: KNOWN, topics: [{ name: TOPIC, partitions: [3] }] },
    any,
  ),
  api(messages.OFFSET_DELETE, 0, { groupId: NOBODY, ...named({ partition: 3 }) }, any),
  api(
    messages.OFFSET_COMMIT,
    7,
    { ...member, ...named({ partition: 3, committedOffset: 0, committedMetadata: "" }) },
    told({ errorCode: 25 }),
  ),
  ...[-1, -2].map((committedOffset) =>
    api(
      messages.OFFSET_COMMIT,
      7,
      {
        groupId: KNOWN,
        memberId: "",
        generationId: -1,
        groupInstanceId: null,
        ...named({ partition: 3, committedOffset, committedMetadata: "" }),
      },
      told({ errorCode: 0 }),
    ),
  ),
  api(messages.HEARTBEAT, 4, member, any),
  api(messages.SYNC_GROUP, 4, { ...member, assignments: [] }, any),
  api(
    messages.LEAVE_GROUP,
    4,
    { groupId: NOBODY, members: [{ memberId: "m", groupInstanceId: null }] },
    any,
  ),
  api(
    messages.CONSUMER_GROUP_HEARTBEAT,
    0,
    {
      groupId: NOBODY,
      memberId: "m",
      memberEpoch: 3,
      instanceId: null,
      rackId: null,
      rebalanceTimeoutMs: -1,
      subscribedTopicNames: null,
      serverAssignor: null,
      topicPartitions: null,
    },
    any,
  ),
];

test("[PLC-3] every operation and every API is covered here", () => {
  const listed = OPERATIONS.map(({ method, path }) => `${method.toUpperCase()} ${path}`);
  const looked = [...HTTP, ...KAFKA].map(({ way }) => way);
  expect([
    ...new Set([...listed, ...SERVED.map(({ name }) => name)]).difference(new Set(looked)),
  ]).toEqual([]);
});

test.for([...HTTP, ...KAFKA])("[PLC-3] no object is created by $what", async ({ look, answer }) => {
  const { name: topic } = await createTopic(4);
  const known = unique("known");
  await expectStatus(200, "PATCH", `/v1/groups/${known}`, { config: {} });
  const before = (await objects()).union(await listed());
  const names = { [TOPIC]: topic, [KNOWN]: known, [NOBODY]: unique("nobody") } as Names;
  expect(await look(names)).toEqual(answer);
  expect([...(await objects()).difference(before)]).toEqual([]);
});

test.each(TWINS)(
  "[PLC-3] an object queried before and after the first produce is seen at once$when",
  async ({ interrupt }) => {
    const { name } = await createTopic(2);
    const path = `/v1/topics/${name}/partitions/1`;
    const end = () => expectStatus(200, "GET", `${path}/offsets`);
    expect(await end()).toEqual({ offset: 0 });
    await interrupt(clusterStub(env));
    await produce(name, [{ value: "a", partition: 1 }]);
    expect(await end()).toEqual({ offset: 1 });
    await interrupt(clusterStub(env));
    forgetEverything();
    expect(await fetchRecords(name, 1)).toMatchObject({ nextOffset: 1 });
    expect(await expectStatus(200, "DELETE", `${path}/records?before=1`)).toEqual({
      logStartOffset: 1,
    });
  },
);

const attach = { type: "attach", attachId: 1, offset: 0, windowBytes: 1_000 };
const starts: [string, (topic: string) => Promise<unknown>][] = [
  ["a read with waitMs", (topic) => fetchRecords(topic, 3, "?waitMs=1")],
  [
    "a reader's socket",
    async (topic) => {
      const socket = await TestSocket.open(`/v1/topics/${topic}/partitions/3/socket`);
      socket.send(attach);
      await socket.next((_): _ is never => true);
    },
  ],
  [
    "a stream",
    async (topic) => {
      const response = await exports.default.fetch(
        `${ORIGIN}/v1/topics/${topic}/stream?partition=3`,
      );
      const reader = response.body?.getReader();
      await reader?.read();
      await reader?.read();
      await reader?.cancel();
    },
  ],
  [
    "a poll",
    (topic) =>
      expectStatus(200, "POST", `/v1/groups/${unique("group")}/poll`, {
        instanceId: "i",
        topics: [topic],
      }),
  ],
  [
    "Fetch",
    async (topic) => {
      const kafka = await Kafka.open();
      const partitions = [{ partition: 3, fetchOffset: 0, partitionMaxBytes: 1_000 }];
      await kafka.ask(messages.FETCH, 12, {
        maxWaitMs: 0,
        minBytes: 1,
        topics: [{ name: topic, partitions }],
      });
    },
  ],
];

test.for(starts)("[PLC-3] %s waits for records, so it starts the partition", async ([, read]) => {
  const topic = await createTopic(4);
  await read(topic.name);
  const id = env.PARTITION.idFromName(`${topic.topicId}/3`);
  expect(await objects()).toContain(String(id));
});
