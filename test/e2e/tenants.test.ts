// Name spaces, over real sockets: two tenants that use the same names, by every way in, and neither sees the other.
import { Kafka, logLevel } from "kafkajs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import WebSocket from "ws";
import { ERRORS } from "../../src/core/errors.ts";
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

/** Asks for a tenant. No answer may show its name space. */
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

  test("[TEN-2] is told of errors in its own words", async () => {
    const { status, body } = await asTenant(tenant, "GET", "/v1/topics/missing");
    expect([status, body.detail]).toEqual([404, "topic missing does not exist"]);
    const again = await asTenant(tenant, "POST", "/v1/topics", { name: "orders" });
    expect(again.body.detail).toBe("topic orders exists");
    const ofNone = { topics: ["missing"], to: "earliest" };
    await asTenant(tenant, "POST", "/v1/groups/polled/offsets", ofNone);
    expect((await asTenant(tenant, "GET", "/v1/groups/missing")).status).toBe(404);
    expect((await asTenant(tenant, "GET", "/v1/topics/..")).status).not.toBe(500);
  });

  test("[TEN-1] has no rights beyond its name space, whatever it asks", async () => {
    const other = TENANTS.find((each) => each !== tenant) as Tenant;
    const named = await asTenant(tenant, "GET", `/v1/topics/${other}orders`);
    expect(named.status).toBe(404); // This is another topic, in its own name space.
    for (const path of ["/v1/keys", "/v1/configs"])
      expect(await asTenant(tenant, "GET", path)).toMatchObject({
        status: 403,
        body: { detail: expect.stringContaining("its credential has a name space") },
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

test("[TEN-2] whoever sends a million names in a member's bytes is refused, and costs nothing", async () => {
  const made = { principal: "hostile", grants: [], namespace: "acme." };
  const { body } = await ask(ROOT_KEY, "POST", "/v1/keys", made);
  const join = (metadata: Uint8Array, protocols: number) => ({
    ...{ groupId: "g", sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 10_000, memberId: "" },
    ...{ groupInstanceId: null, protocolType: "consumer" },
    protocols: Array.from({ length: protocols }, (_, i) => ({ name: `p${i}`, metadata })),
  });
  const named = (count: number) => {
    const bytes = Buffer.alloc(6 + 3 * count, 1);
    bytes.writeInt32BE(count, 2);
    for (let i = 0; i < count; i++) bytes.writeInt16BE(1, 6 + 3 * i);
    return bytes;
  };
  const client = new RawKafka(broker.kafka);
  await client.ask(apis.SASL_HANDSHAKE, 1, { mechanism: "PLAIN" });
  const authBytes = Buffer.from(`\0${body.id}\0${body.secret}`);
  await client.ask(apis.SASL_AUTHENTICATE, 2, { authBytes });
  expect(await client.ask(apis.JOIN_GROUP, 5, join(named(5_000_000), 1))).toMatchObject({
    errorCode: ERRORS.GROUP_AUTHORIZATION_FAILED.code,
  });
  // Many protocols with as many names as one may have are more than a request may have.
  client.send(apis.JOIN_GROUP, 5, join(named(1_000), 1_000));
  await expect(client.frame()).rejects.toThrow("closed");
  expect((await ask(ROOT_KEY, "GET", "/v1/topics")).status).toBe(200);
  await ask(ROOT_KEY, "DELETE", `/v1/keys/${body.id}`);
});

test("[TEN-1] the deployment's admin sees all names as they are, and the key's name space", async () => {
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
  "[TEN-1] %j is no name space",
  async (namespace) => {
    const key = { principal: "x", role: "read", namespace };
    const { status, body } = await ask(ROOT_KEY, "POST", "/v1/keys", key);
    expect([status, body.code]).toEqual([400, "INVALID_REQUEST"]);
    expect(body.detail).toContain("namespace");
  },
);
