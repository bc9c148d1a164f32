// Namespaces, over real sockets: two tenants that use the same names, on every interface, and neither sees the other.
import { Kafka, logLevel } from "kafkajs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import WebSocket from "ws";
import { ERRORS, KAFKA_ERRORS } from "../../src/core/errors.ts";
import { Rivulet } from "../../src/sdk/index.ts";
import { RawKafka } from "../support/kafka-client.ts";
import * as apis from "../support/kafka-schemas.ts";
import { until } from "../support/until.ts";
import { BrokerProcess } from "./broker.ts";

const ROOT_KEY = "the-root-key-of-this-test";
const TENANTS = ["acme.", "globex."] as const;
type Tenant = (typeof TENANTS)[number];

let broker: BrokerProcess;
const keys = {} as Record<Tenant, { id: string; key: string }>;

async function ask(credential: string, method: string, path: string, body?: unknown) {
  const response = await fetch(`${broker.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${credential}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(20_000),
  });
  const text = await response.text();
  return { status: response.status, text, body: text === "" ? {} : JSON.parse(text) };
}

/** Sends a request of a tenant. No response may show its namespace. */
async function asTenant(tenant: Tenant, method: string, path: string, body?: unknown) {
  const answer = await ask(keys[tenant].key, method, path, body);
  if (path !== "/v1/me") expect(answer.text).not.toContain(tenant);
  return answer;
}

beforeAll(async () => {
  broker = await BrokerProcess.start({ env: { RIVULET_ROOT_KEY: ROOT_KEY } });
  for (const namespace of TENANTS) {
    const made = { principal: "owner", role: "admin", namespace };
    const { status, body } = await ask(ROOT_KEY, "POST", "/v1/keys", made);
    expect(status).toBe(201);
    keys[namespace] = body;
  }
  for (const tenant of TENANTS) {
    const { status, body } = await asTenant(tenant, "POST", "/v1/topics", { name: "orders" });
    expect([status, body.name]).toEqual([201, "orders"]);
  }
});
afterAll(() => broker.stop());

async function produce(tenant: Tenant, value: string) {
  const records = { records: [{ value }] };
  const { status } = await asTenant(tenant, "POST", "/v1/topics/orders/records", records);
  expect(status).toBe(200);
}

describe.each(TENANTS)("tenant %s", (tenant) => {
  test("[TEN-2] sees its own topics and groups, without the prefix, over HTTP", async () => {
    await produce(tenant, `of ${tenant.slice(0, -1)}`);
    const { body: listed } = await asTenant(tenant, "GET", "/v1/topics");
    expect(listed.topics.map(({ name }: { name: string }) => name)).toEqual(["orders"]);
    const { body: read } = await asTenant(
      tenant,
      "GET",
      "/v1/topics/orders/partitions/0/records?offset=0",
    );
    expect(read.records[0].value).toBe(`of ${tenant.slice(0, -1)}`);
    const { body: me } = await asTenant(tenant, "GET", "/v1/me");
    expect(me).toMatchObject({ principal: "User:owner", namespace: tenant });
    expect(JSON.stringify(me.grants)).not.toContain(tenant);
    const poll = { instanceId: "p", topics: ["orders"], pattern: "^ord.*" };
    const { body: polled } = await asTenant(tenant, "POST", "/v1/groups/polled/poll", poll);
    expect(polled.assignment).toEqual([{ topic: "orders", partitions: [0] }]);
    expect(polled.records[0]).toMatchObject({ topic: "orders" });
    const { body: groups } = await asTenant(tenant, "GET", "/v1/groups");
    expect(groups.groups).toContainEqual({ groupId: "polled" });
    const { body: group } = await asTenant(tenant, "GET", "/v1/groups/polled");
    expect(group).toMatchObject({ groupId: "polled", offsets: [{ topic: "orders" }] });
    const { body: history } = await asTenant(tenant, "GET", "/v1/groups/polled/history");
    expect(history.history.length).toBeGreaterThan(0);
    const ack = [{ topic: "orders", partition: 0, offset: 0 }];
    const last = { ...poll, ack, leave: true };
    expect((await asTenant(tenant, "POST", "/v1/groups/polled/poll", last)).body).toMatchObject({
      records: [],
    });
    const reset = { topics: ["orders"], to: "earliest" };
    const { body: plan } = await asTenant(tenant, "POST", "/v1/groups/polled/offsets", reset);
    expect(plan).toMatchObject({ groupId: "polled", offsets: [{ topic: "orders", offset: 0 }] });
  });

  test("[TEN-2] gets errors with its own names", async () => {
    const { status, body } = await asTenant(tenant, "GET", "/v1/topics/missing");
    expect([status, body.detail]).toEqual([404, "topic missing does not exist"]);
    const again = await asTenant(tenant, "POST", "/v1/topics", { name: "orders" });
    expect(again.body.detail).toBe("topic orders exists");
    const ofNone = { topics: ["missing"], to: "earliest" };
    await asTenant(tenant, "POST", "/v1/groups/polled/offsets", ofNone);
    expect((await asTenant(tenant, "GET", "/v1/groups/missing")).status).toBe(404);
    expect((await asTenant(tenant, "GET", "/v1/topics/..")).status).not.toBe(500);
  });

  test("[TEN-1] has no rights outside its namespace, whatever it requests", async () => {
    const other = TENANTS.find((each) => each !== tenant) as Tenant;
    const named = await asTenant(tenant, "GET", `/v1/topics/${other}orders`);
    expect(named.status).toBe(404); // This is another topic, in its own namespace.
    for (const path of ["/v1/keys", "/v1/configs"])
      expect(await asTenant(tenant, "GET", path)).toMatchObject({
        status: 403,
        body: { detail: expect.stringContaining("its credential has a namespace") },
      });
    const key = { principal: "x", role: "read" };
    expect((await asTenant(tenant, "POST", "/v1/keys", key)).status).toBe(403);
    const { topicId } = (await ask(keys[other].key, "GET", "/v1/topics/orders")).body;
    const stolen = new WebSocket(
      `${broker.url.replace("http", "ws")}/v1/topics/orders/partitions/0/socket?topicId=${topicId}`,
      { headers: { authorization: `Bearer ${keys[tenant].key}` } },
    );
    stolen.on("error", () => {});
    const status = await new Promise((resolve) => {
      stolen.on("unexpected-response", (_, response) => resolve(response.statusCode));
      stolen.on("open", () => resolve("open"));
    });
    stolen.terminate();
    expect(status).toBe(404);
    // Neither does a token that it makes for others.
    const { body: made } = await asTenant(tenant, "POST", "/v1/tokens", { role: "read" });
    const answer = await ask(made.token, "GET", "/v1/topics");
    expect(answer.body.topics.map(({ name }: { name: string }) => name)).toEqual(["orders"]);
    expect(answer.text).not.toContain(tenant);
  });

  test("[TEN-2] consumes over a plain socket and by the SDK", async () => {
    const messages: Record<string, unknown>[] = [];
    const socket = new WebSocket(
      `${broker.url.replace("http", "ws")}/v1/groups/plain/consume?topics=orders&pattern=%5Eord.*`,
      { headers: { authorization: `Bearer ${keys[tenant].key}` } },
    );
    socket.on("message", (data) => messages.push(JSON.parse(String(data))));
    await until("records", () => messages.some(({ type }) => type === "records"));
    socket.send(JSON.stringify({ type: "ack", topic: "orders", partition: 0, offset: 0 }));
    socket.send(JSON.stringify({ type: "pause", topic: "nothing", partition: 0 }));
    await until("an error", () => messages.some(({ type }) => type === "error"));
    expect(messages[0]).toMatchObject({ type: "assigned", partitions: [{ topic: "orders" }] });
    expect(JSON.stringify(messages)).not.toContain(tenant);
    socket.close();

    const rivulet = new Rivulet({ url: broker.url, token: keys[tenant].key });
    await rivulet.producer.send("orders", [{ value: "by the SDK" }]);
    const consumer = rivulet.consumer({ groupId: "sdk", topics: ["orders"], from: "earliest" });
    const values: string[] = [];
    for await (const { topic, value } of consumer) {
      expect(topic).toBe("orders");
      values.push(new TextDecoder().decode(value ?? new Uint8Array()));
      if (values.at(-1) === "by the SDK") break;
    }
    await consumer.close();
    expect(values[0]).toBe(`of ${tenant.slice(0, -1)}`);
  });

  test("[TEN-2] produces and consumes with KafkaJS, in a classic group", async () => {
    const { id, key } = keys[tenant];
    const secret = key.slice(`rvk_${id}_`.length, -6);
    const kafka = new Kafka({
      brokers: [broker.kafka],
      logLevel: logLevel.NOTHING,
      sasl: { mechanism: "scram-sha-256", username: id, password: secret },
    });
    const admin = kafka.admin();
    await admin.connect();
    expect(await admin.listTopics()).toEqual(["orders"]);
    await admin.createTopics({ topics: [{ topic: "shipped", numPartitions: 1 }] });
    expect((await admin.listTopics()).sort()).toEqual(["orders", "shipped"]);
    const producer = kafka.producer();
    await producer.connect();
    await producer.send({ topic: "shipped", messages: [{ value: tenant }] });
    await producer.disconnect();
    const consumer = kafka.consumer({ groupId: "classic", maxWaitTimeInMs: 100 });
    await consumer.connect();
    await consumer.subscribe({ topics: ["shipped"], fromBeginning: true });
    const read: string[] = [];
    await consumer.run({
      eachMessage: async ({ topic, message }) => void read.push(`${topic} ${message.value}`),
    });
    await until("a record", () => read.length > 0);
    expect(read).toEqual([`shipped ${tenant}`]);
    const { groups } = await admin.describeGroups(["classic"]);
    expect(JSON.stringify(groups[0]?.members[0]?.memberAssignment)).toBeDefined();
    const { body: whole } = await ask(ROOT_KEY, "GET", `/v1/groups/${tenant}classic`);
    expect(whole.members[0].assignment).toEqual([{ topic: `${tenant}shipped`, partitions: [0] }]);
    const { body: own } = await asTenant(tenant, "GET", "/v1/groups/classic");
    expect(own.members[0].assignment).toEqual([{ topic: "shipped", partitions: [0] }]);
    await consumer.disconnect();
    await until("the position is committed", async () => {
      const offsets = await admin.fetchOffsets({ groupId: "classic", topics: ["shipped"] });
      return offsets[0]?.partitions[0]?.offset === "1";
    });
    await admin.deleteGroups(["classic"]);
    await admin.deleteTopics({ topics: ["shipped"] });
    await admin.disconnect();
  });

  test("[TEN-2] joins a group of KIP-848 by a pattern of its own", async () => {
    const { id, key } = keys[tenant];
    const client = new RawKafka(broker.kafka);
    await client.ask(apis.SASL_HANDSHAKE, 1, { mechanism: "PLAIN" });
    const authBytes = Buffer.from(`\0${id}\0${key}`);
    await client.ask(apis.SASL_AUTHENTICATE, 2, { authBytes });
    const member = { groupId: "next", memberId: "m", instanceId: null, rackId: null };
    const joined = await client.ask(apis.CONSUMER_GROUP_HEARTBEAT, 1, {
      ...member,
      memberEpoch: 0,
      rebalanceTimeoutMs: 10_000,
      subscribedTopicNames: [],
      subscribedTopicRegex: "^o.*s$",
      serverAssignor: null,
      topicPartitions: [],
    });
    expect(joined).toMatchObject({ errorCode: 0, assignment: { topicPartitions: [{}] } });
    const described = await client.ask(apis.CONSUMER_GROUP_DESCRIBE, 1, {
      groupIds: ["next"],
      includeAuthorizedOperations: false,
    });
    expect(described).toMatchObject({
      groups: [
        {
          groupId: "next",
          members: [
            {
              subscribedTopicRegex: "^o.*s$",
              assignment: { topicPartitions: [{ topicName: "orders", partitions: [0] }] },
            },
          ],
        },
      ],
    });
    client.close();
  });
});

/** A connection that has authenticated. */
async function loggedIn({ id, secret }: { id: string; secret: string }): Promise<RawKafka> {
  const client = new RawKafka(broker.kafka);
  await client.ask(apis.SASL_HANDSHAKE, 1, { mechanism: "PLAIN" });
  await client.ask(apis.SASL_AUTHENTICATE, 2, { authBytes: Buffer.from(`\0${id}\0${secret}`) });
  return client;
}

/** A subscription to these topics, or an assignment of partition 0 of each. */
function listOf(names: readonly (string | Buffer)[], isAssigned: boolean): Buffer {
  const head = Buffer.alloc(6);
  head.writeInt32BE(names.length, 2);
  const partitions = Buffer.from(isAssigned ? [0, 0, 0, 1, 0, 0, 0, 0] : []);
  const entries = names.flatMap((each) => {
    const name = Buffer.from(each);
    return [Buffer.of(name.length >> 8, name.length & 0xff), name, partitions];
  });
  return Buffer.concat([head, ...entries, Buffer.alloc(4)]);
}

interface Joined {
  readonly errorCode: number;
  readonly memberId: string;
  readonly generationId: number;
  readonly members: readonly { readonly metadata: Uint8Array }[];
}

/** Joins a classic group as its only member. */
async function joinAlone(client: RawKafka, groupId: string, ...all: Uint8Array[]): Promise<Joined> {
  const join = (memberId: string) =>
    client.ask<Joined>(apis.JOIN_GROUP, 5, {
      ...{ groupId, memberId, sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 10_000 },
      ...{ groupInstanceId: null, protocolType: "consumer" },
      protocols: all.map((metadata, i) => ({ name: `p${i}`, metadata })),
    });
  const first = await join("");
  return first.errorCode === KAFKA_ERRORS.MEMBER_ID_REQUIRED ? join(first.memberId) : first;
}

function syncAlone(client: RawKafka, groupId: string, joined: Joined, assignment: Uint8Array) {
  const { memberId, generationId } = joined;
  return client.ask<{ errorCode: number; assignment: Buffer }>(apis.SYNC_GROUP, 4, {
    ...{ groupId, generationId, memberId, groupInstanceId: null },
    assignments: [{ memberId, assignment }],
  });
}

function leaveAlone(client: RawKafka, groupId: string, { memberId }: Joined) {
  return client.ask(apis.LEAVE_GROUP, 3, {
    groupId,
    members: [{ memberId, groupInstanceId: null }],
  });
}

test("[TEN-2] names from classic members are in the namespace, however many there are, or are refused", async () => {
  const made = { principal: "many", role: "admin", namespace: "acme." };
  const { body: key } = await ask(ROOT_KEY, "POST", "/v1/keys", made);
  const client = await loggedIn(key);
  const groupOf = async (groupId: string) =>
    (await ask(ROOT_KEY, "GET", `/v1/groups/acme.${groupId}`)).body;
  const long = "x".repeat(32_767);
  const many = Array.from({ length: 2_000 }, (_, i) => `topic-${i}`);
  const own = listOf(["orders"], false);

  const metadata = listOf(["globex.orders", ...many], false);
  const joined = await joinAlone(client, "names", metadata);
  expect(joined).toMatchObject({ errorCode: 0, members: [{ metadata }] });
  const assignment = listOf(["orders", "globex.orders", ...many], true);
  expect(await syncAlone(client, "names", joined, assignment)).toMatchObject({
    errorCode: 0,
    assignment,
  });
  const held = await groupOf("names");
  const topics = held.members[0].assignment.map(({ topic }: { topic: string }) => topic);
  expect(topics).toHaveLength(2_002);
  expect(topics.filter((topic: string) => !topic.startsWith("acme."))).toEqual([]);
  expect(held.offsets.map(({ topic }: { topic: string }) => topic)).toEqual(["acme.orders"]);
  await leaveAlone(client, "names", joined);

  const refused = { errorCode: ERRORS.INVALID_REQUEST.code };
  for (const bytes of [
    listOf(["globex.orders", long], false),
    Buffer.concat([listOf(["globex.orders"], false), Buffer.alloc(1_100_000)]),
  ])
    expect(await joinAlone(client, "none", bytes)).toMatchObject(refused);
  expect(await groupOf("none")).toMatchObject({ code: "GROUP_ID_NOT_FOUND" });

  const again = await joinAlone(client, "syncs", own);
  for (const bytes of [
    listOf(["globex.orders", long], true),
    Buffer.concat([listOf(["globex.orders"], true), Buffer.alloc(8_500_000)]),
  ])
    expect(await syncAlone(client, "syncs", again, bytes)).toMatchObject(refused);
  expect(await groupOf("syncs")).toMatchObject({ state: "ASSIGNING", offsets: [] });
  // More than a member's metadata may have is fine for assignments.
  const padded = Buffer.concat([listOf(["orders"], true), Buffer.alloc(1_100_000)]);
  expect(await syncAlone(client, "syncs", again, padded)).toMatchObject({
    errorCode: 0,
    assignment: padded,
  });
  await leaveAlone(client, "syncs", again);
  client.close();
  await ask(ROOT_KEY, "DELETE", `/v1/keys/${key.id}`);
});

test("[TEN-2] names from a member of the whole deployment are hidden from a tenant in its group", async () => {
  const { body: key } = await ask(ROOT_KEY, "POST", "/v1/keys", { principal: "w", role: "admin" });
  const whole = await loggedIn(key);
  const names = ["globex.orders", "acme.orders"];
  const joined = await joinAlone(whole, "acme.mixed", listOf(names, false));
  await syncAlone(whole, "acme.mixed", joined, listOf(names, true));
  const { id, key: text } = keys["acme."];
  const tenant = await loggedIn({ id, secret: text.slice(`rvk_${id}_`.length, -6) });
  const described = await tenant.ask(apis.DESCRIBE_GROUPS, 5, {
    groups: ["mixed"],
    includeAuthorizedOperations: false,
  });
  expect(described).toMatchObject({
    groups: [
      {
        groupId: "mixed",
        members: [
          {
            memberMetadata: listOf(["orders"], false),
            memberAssignment: listOf(["orders"], true),
          },
        ],
      },
    ],
  });
  await leaveAlone(whole, "acme.mixed", joined);
  for (const client of [whole, tenant]) client.close();
  await ask(ROOT_KEY, "DELETE", `/v1/keys/${key.id}`);
});

describe.each([
  ["a tenant", { namespace: "acme." }, ""],
  ["whoever has no namespace", {}, "spy."],
] as const)("%s", (_, namespace, prefix) => {
  test("[ACL-6] does not learn from a group whether a topic exists that it may not see", async () => {
    const grants = [{ groups: { prefix }, operations: ["READ"] }];
    const made = { principal: "spy", grants, ...namespace };
    const { body: key } = await ask(ROOT_KEY, "POST", "/v1/keys", made);
    const client = await loggedIn(key);
    const told = async (topic: string, groupId: string) => {
      const joined = await joinAlone(client, groupId, listOf([topic], false));
      const synced = await syncAlone(client, groupId, joined, listOf([topic], true));
      await leaveAlone(client, groupId, joined);
      const asked = async (method: string, path: string, body?: unknown) => {
        const answer = await ask(key.key, method, `/v1/groups/${groupId}${path}`, body);
        const text = answer.text.replaceAll(groupId, "GROUP").replaceAll(topic, "TOPIC");
        return [answer.status, text.replaceAll(joined.memberId, "MEMBER").replace(TIMES, "")];
      };
      return {
        synced: synced.errorCode,
        resets: await asked("POST", "/offsets", { to: "earliest" }),
        named: await asked("POST", "/offsets", { to: "earliest", topics: [topic] }),
        deleted: await asked("DELETE", `/offsets?topics=${topic}`),
        described: await asked("GET", ""),
        history: await asked("GET", "/history?limit=2"),
        positions: await client.ask(apis.OFFSET_FETCH, 7, {
          groupId,
          topics: null,
          requireStable: false,
        }),
      };
    };
    const existing = await told("globex.orders", `${prefix}spied-1`);
    expect(existing).toMatchObject({ synced: 0, resets: [200, expect.any(String)] });
    expect(await told("globex.absent", `${prefix}spied-2`)).toEqual(existing);
    client.close();
    await ask(ROOT_KEY, "DELETE", `/v1/keys/${key.id}`);
  });
});
const TIMES = /"atMs":\d+,?/g;

test("[TEN-2] a caller that may not join a group has nothing of its request processed, and nobody sends a million names", async () => {
  const named = (count: number) => {
    const bytes = Buffer.alloc(6 + 3 * count, 1);
    bytes.writeInt32BE(count, 2);
    for (let i = 0; i < count; i++) bytes.writeInt16BE(1, 6 + 3 * i);
    return bytes;
  };
  const requests = [[named(5_000_000)], Array<Buffer>(1_000).fill(named(1_000))];
  for (const [grants, code] of [
    [[], ERRORS.GROUP_AUTHORIZATION_FAILED.code],
    [[{ groups: { prefix: "" }, operations: ["READ"] }], ERRORS.INVALID_REQUEST.code],
  ]) {
    const made = { principal: "hostile", grants, namespace: "acme." };
    const { body: key } = await ask(ROOT_KEY, "POST", "/v1/keys", made);
    const client = await loggedIn(key);
    for (const all of requests)
      expect(await joinAlone(client, "g", ...all)).toMatchObject({ errorCode: code });
    client.close();
    await ask(ROOT_KEY, "DELETE", `/v1/keys/${key.id}`);
  }
  expect((await ask(ROOT_KEY, "GET", "/v1/groups/acme.g")).status).toBe(404);
});

test("[TEN-1] the deployment's admin sees all names in full, and the key's namespace", async () => {
  const { body } = await ask(ROOT_KEY, "GET", "/v1/topics");
  expect(body.topics.map(({ name }: { name: string }) => name)).toEqual(
    expect.arrayContaining(["acme.orders", "globex.orders"]),
  );
  const { body: listed } = await ask(ROOT_KEY, "GET", "/v1/keys");
  expect(listed.keys.map(({ namespace }: { namespace: string }) => namespace).sort()).toEqual([
    ...TENANTS,
  ]);
});

test.each(["acme", "a me.", ".acme.", "", `${"x".repeat(64)}.`])(
  "[TEN-1] %j is not a namespace",
  async (namespace) => {
    const key = { principal: "x", role: "read", namespace };
    const { status, body } = await ask(ROOT_KEY, "POST", "/v1/keys", key);
    expect([status, body.code]).toEqual([400, "INVALID_REQUEST"]);
    expect(body.detail).toContain("namespace");
  },
);
