// Quotas, over real sockets: what a principal may do within a second, and how many connections, topics and groups it may
// have.
import { request } from "node:http";
import { Kafka, logLevel } from "kafkajs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { KAFKA_ERRORS } from "../../src/core/errors.ts";
import { Rivulet } from "../../src/sdk/index.ts";
import { decodeResponse } from "../support/kafka-frames.ts";
import * as apis from "../support/kafka-schemas.ts";
import { until } from "../support/until.ts";
import { ClosedBroker, type Key, logIn, ROOT_KEY, type TestSocket } from "./closed-broker.ts";

let broker: ClosedBroker;

beforeAll(async () => {
  broker = await ClosedBroker.start(["orders"]);
});
afterAll(() => broker.stop());

const ALL = [
  { topics: { prefix: "" }, operations: ["ALL"] },
  { groups: { prefix: "" }, operations: ["ALL"] },
];
let made = 0;

// biome-ignore lint/suspicious/noExplicitAny: each test says what it expects of an answer.
type Answer = any;

async function keyWith(quota: object, grants: readonly object[] = ALL): Promise<Key> {
  const body = { principal: `quota-${made++}`, grants, quota };
  const { id, key } = (await broker.admin("POST", "/v1/keys", body)) as { id: string; key: string };
  return { id, key, secret: key.slice(`rvk_${id}_`.length, -6) };
}

async function ask({ key }: Pick<Key, "key">, method: string, path: string, body?: unknown) {
  const response = await fetch(`${broker.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${key}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const retryAfter = response.headers.get("retry-after");
  return { status: response.status, retryAfter, body: (await response.json()) as Answer };
}

function expectThrottled({ status, retryAfter, body }: Awaited<ReturnType<typeof ask>>) {
  expect([status, body.code]).toEqual([429, "THROTTLING_QUOTA_EXCEEDED"]);
  expect(body.retriable).toBe(true);
  expect(body.retryAfterMs).toBeGreaterThan(0);
  expect(Number(retryAfter)).toBe(Math.ceil(body.retryAfterMs / 1_000));
}

const record = (bytes: number) => ({ records: [{ value: "x".repeat(bytes) }] });
const RECORDS = "/v1/topics/orders/records";
const READ = "/v1/topics/orders/partitions/0/records?offset=0";

describe("over HTTP", () => {
  test("[QUO-2] requests beyond the rate are refused, with the time to return", async () => {
    const key = await keyWith({ requestRate: 5 });
    const answers = await Promise.all(
      Array.from({ length: 60 }, () => ask(key, "GET", "/v1/topics/orders")),
    );
    const refused = answers.filter(({ status }) => status !== 200);
    expect(answers.length - refused.length).toBeGreaterThanOrEqual(5);
    expect(refused.length).toBeGreaterThan(0);
    for (const each of refused) expectThrottled(each);
    // Others are served meanwhile, and this one after its wait.
    expect((await ask({ key: ROOT_KEY }, "GET", "/v1/topics/orders")).status).toBe(200);
    await until(
      "there is some again",
      async () => (await ask(key, "GET", "/v1/topics/orders")).status === 200,
    );
  });

  test("[QUO-2] produced bytes count: a large request is served, and the next one waits", async () => {
    const key = await keyWith({ producerByteRate: 2_000 });
    expect((await ask(key, "POST", RECORDS, record(20_000))).status).toBe(200);
    const { body } = await ask(key, "GET", "/v1/topics/orders/partitions/0/offsets");
    for (let i = 0; i < 3; i++) expectThrottled(await ask(key, "POST", RECORDS, record(1)));
    // Nothing was stored, and reading is another quota.
    expect((await ask(key, "GET", "/v1/topics/orders/partitions/0/offsets")).body).toEqual(body);
    expect((await ask(key, "GET", READ)).status).toBe(200);
  });

  test("[QUO-2] read bytes count, by polls too", async () => {
    const key = await keyWith({ consumerByteRate: 2_000 });
    expect((await ask(key, "GET", READ)).status).toBe(200);
    expectThrottled(await ask(key, "GET", READ));
    const poll = { instanceId: "p", topics: ["orders"] };
    expectThrottled(await ask(key, "POST", "/v1/groups/polled/poll", poll));
    expect((await ask(key, "POST", RECORDS, record(1))).status).toBe(200);
  });

  test("[QUO-1] a token has its maker's quota, or a stricter one", async () => {
    const key = await keyWith({ requestRate: 50 });
    const wanted = { role: "read", quota: { requestRate: 500, connections: 2 } };
    const { body: token } = await ask(key, "POST", "/v1/tokens", wanted);
    const { body: me } = await ask({ key: token.token }, "GET", "/v1/me");
    expect(me.quota).toEqual({ requestRate: 50, connections: 2 });
    for (const quota of [{ requestRate: 0 }, { producerByteRate: 1 }, { speed: 1 }]) {
      const { status } = await ask(key, "POST", "/v1/tokens", { role: "read", quota });
      expect(status).toBe(400);
    }
  });

  test("[QUO-1] all tokens of a key share its quota with it, whatever their subjects", async () => {
    const key = await keyWith({ requestRate: 20, connections: 2 });
    const tokens: { key: string }[] = [];
    for (const subject of ["a", "b", "c", "d"]) {
      const { body } = await ask(key, "POST", "/v1/tokens", { subject, role: "read" });
      tokens.push({ key: body.token });
    }
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, i) =>
        ask(tokens[i % tokens.length] as { key: string }, "GET", "/v1/topics/orders"),
      ),
    );
    const served = answers.filter(({ status }) => status === 200);
    expect(served.length).toBeLessThan(100);
    await until(
      "there is some again",
      async () => (await ask(key, "GET", "/v1/me")).status === 200,
    );
    const path = "/v1/topics/orders/stream";
    const open: TestSocket[] = [];
    for (const { key: token } of tokens) {
      const socket = await until("it is not too early", async () => {
        const opened = await broker.open(path, token);
        return "status" in opened && opened.body.retryAfterMs !== undefined ? null : opened;
      });
      if (!("status" in socket)) open.push(socket);
    }
    expect(open).toHaveLength(2);
    for (const socket of open) socket.close();
  });

  test("[QUO-1] a key's quota can be changed, and removed", async () => {
    const key = await keyWith({ connections: 3 });
    const path = `/v1/keys/${key.id}`;
    const changed = await broker.admin("PATCH", path, { quota: { requestRate: 7 } });
    expect(changed.quota).toEqual({ requestRate: 7 });
    expect((await broker.admin("PATCH", path, { expiresAt: null })).quota).toEqual({
      requestRate: 7,
    });
    expect(await broker.admin("PATCH", path, { quota: null })).not.toHaveProperty("quota");
  });
});

describe("the SDK", () => {
  test("[QUO-2] [QUO-3] produces and consumes everything, at its rate", async () => {
    await broker.createTopic("slow");
    const key = await keyWith({ producerByteRate: 20_000, consumerByteRate: 20_000 });
    const rivulet = new Rivulet({ url: broker.url, token: key.key });
    const values = Array.from({ length: 12 }, (_, i) => `${i} ${"x".repeat(4_000)}`);
    // One after another, so that each is an append of its own.
    for (const value of values) await rivulet.producer.send("slow", [{ value }]);
    const read: string[] = [];
    const reader = await rivulet.reader({ topic: "slow", from: "earliest" });
    for await (const { value } of reader) {
      read.push(new TextDecoder().decode(value ?? new Uint8Array()));
      if (read.length === values.length) break;
    }
    await reader.close();
    expect(read).toEqual(values);
  });
});

describe("over Kafka's protocol", () => {
  test("[QUO-3] the response says how long the client is muted, and the next one comes after that", async () => {
    const key = await keyWith({ requestRate: 2 });
    const client = broker.tcp();
    await logIn(client, "PLAIN", key);
    // All at once, and they are answered one after another.
    for (let i = 0; i < 5; i++) client.send(apis.METADATA, 9, { topics: [] });
    const throttled: number[] = [];
    for (let i = 0; i < 5; i++)
      throttled.push(
        decodeResponse<{ throttleTimeMs: number }>(apis.METADATA, 9, await client.frame())
          .throttleTimeMs,
      );
    expect(Math.max(...throttled)).toBeGreaterThan(0);
    client.close();
  });

  test("[QUO-3] KafkaJS produces and consumes everything", async () => {
    await broker.createTopic("muted");
    const key = await keyWith({ producerByteRate: 10_000, consumerByteRate: 10_000 });
    const kafka = new Kafka({
      brokers: [broker.kafka],
      logLevel: logLevel.NOTHING,
      sasl: { mechanism: "plain", username: key.id, password: key.secret },
    });
    const producer = kafka.producer();
    await producer.connect();
    const values = Array.from({ length: 6 }, (_, i) => `${i} ${"x".repeat(3_000)}`);
    for (const value of values) await producer.send({ topic: "muted", messages: [{ value }] });
    await producer.disconnect();
    const consumer = kafka.consumer({ groupId: "muted", maxWaitTimeInMs: 100 });
    await consumer.connect();
    await consumer.subscribe({ topics: ["muted"], fromBeginning: true });
    const read: string[] = [];
    await consumer.run({ eachMessage: async ({ message }) => void read.push(`${message.value}`) });
    await until("all are read", () => read.length === values.length);
    expect(read).toEqual(values);
    await consumer.disconnect();
  });

  test("[QUO-4] a connection too many is closed once it has authenticated", async () => {
    const key = await keyWith({ connections: 1 });
    const [first, second] = [broker.tcp(), broker.tcp()];
    await logIn(first, "PLAIN", key);
    await first.ask(apis.METADATA, 9, { topics: [] });
    await logIn(second, "PLAIN", key);
    await expect(second.ask(apis.METADATA, 9, { topics: [] })).rejects.toThrow("closed");
    await until("the log says why", () =>
      broker.lines.some((line) => line.includes("has 1 connections, its bound")),
    );
    first.close();
    await until("its place is free", () => hasPlace(key));
  });

  test("[QUO-4] a client that leaves while its fetch waits gives its place back at once", async () => {
    const key = await keyWith({ connections: 1 });
    const topic = `empty-${made}`;
    await broker.admin("POST", "/v1/topics", { name: topic });
    const client = broker.tcp();
    await logIn(client, "PLAIN", key);
    const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1_000 }];
    const fetching = client.ask(apis.FETCH, 11, {
      maxWaitMs: 30_000,
      minBytes: 1,
      maxBytes: 1_000,
      topics: [{ name: topic, partitions }],
    });
    const gone = expect(fetching).rejects.toThrow("closed");
    client.close();
    await gone;
    await until("its place is free", () => hasPlace(key), 15_000);
  });

  async function hasPlace(key: Key): Promise<boolean> {
    const client = broker.tcp();
    await logIn(client, "PLAIN", key);
    const answer = await client.ask(apis.METADATA, 9, { topics: [] }).catch(() => null);
    client.close();
    return answer !== null;
  }
});

describe("connections", () => {
  test.each([
    "/v1/groups/g/consume?topics=orders",
    "/v1/groups/g/socket",
    "/v1/topics/orders/stream",
    "/v1/topics/orders/partitions/0/socket",
  ])(
    "[QUO-4] one too many of %s is refused, and an ended one gives its place back",
    async (path) => {
      const key = await keyWith({ connections: 1 });
      const first = await broker.opened(path, key.key);
      expect(await broker.open(path, key.key)).toMatchObject({
        status: 429,
        body: { code: "THROTTLING_QUOTA_EXCEEDED" },
      });
      first.close();
      await until("its place is free", async () => {
        const third = await broker.open(path, key.key);
        if ("status" in third) return false;
        third.close();
        return true;
      });
    },
  );
});

describe("an upgrade that is no WebSocket's", () => {
  test.each([
    "/v1/groups/g/consume?topics=orders",
    "/v1/topics/orders/stream",
    "/v1/topics/orders/partitions/0/socket",
    "/v1/groups/g/socket",
    "/kafka",
  ])("[BND-22] %s starts nothing", async (path) => {
    const key = await keyWith({ connections: 1 });
    const authorization = `Bearer ${key.key}`;
    for (const more of [{}, { "sec-websocket-version": "13" }, { "sec-websocket-key": "short" }]) {
      const headers = { authorization, connection: "Upgrade", upgrade: "websocket", ...more };
      const status = await new Promise((resolve, reject) => {
        const asked = request(`${broker.url}${path}`, { headers }, (response) => {
          response.resume();
          resolve(response.statusCode);
        });
        asked.on("error", reject);
        asked.end();
      });
      expect(status).toBe(400);
    }
    if (path === "/kafka") return;
    const socket = await broker.opened(path, key.key); // No place was taken.
    socket.close();
  });
});

describe("the number of names", () => {
  test("[QUO-5] topics by a grant are bounded, and existing ones may be used", async () => {
    const grants = [{ topics: { prefix: "few." }, operations: ["CREATE", "WRITE"], max: 2 }];
    const key = await keyWith({}, grants);
    const answers = await Promise.all(
      ["few.1", "few.2", "few.3", "few.4"].map((name) => ask(key, "POST", "/v1/topics", { name })),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 201, 429, 429]);
    const refused = answers.find(({ status }) => status === 429);
    expect(refused?.body.detail).toContain("there are 2 topics that begin with few.");
    expect(refused).toMatchObject({ retryAfter: null, body: { retriable: false } });
    const client = broker.tcp();
    await logIn(client, "PLAIN", key);
    const topic = { name: "few.6", numPartitions: 1, replicationFactor: 1 };
    const asked = { topics: [{ ...topic, assignments: [], configs: [] }], timeoutMs: 1_000 };
    expect(await client.ask(apis.CREATE_TOPICS, 5, asked)).toMatchObject({
      topics: [{ errorCode: KAFKA_ERRORS.POLICY_VIOLATION }],
    });
    client.close();
    const one = answers.find(({ status }) => status === 201)?.body.name;
    expect((await ask(key, "POST", `/v1/topics/${one}/records`, record(1))).status).toBe(200);
    await broker.admin("DELETE", `/v1/topics/${one}`);
    expect((await ask(key, "POST", "/v1/topics", { name: "few.5" })).status).toBe(201);
  });

  test("[QUO-5] groups are too, however they are created", async () => {
    const grants = [
      { topics: { prefix: "orders" }, operations: ["READ"] },
      { groups: { prefix: "few." }, operations: ["READ", "ALTER_CONFIGS"], max: 1 },
    ];
    const key = await keyWith({}, grants);
    const poll = { instanceId: "p", topics: ["orders"] };
    expect((await ask(key, "POST", "/v1/groups/few.1/poll", poll)).status).toBe(200);
    expect((await ask(key, "POST", "/v1/groups/few.1/poll", poll)).status).toBe(200);
    const refused = await ask(key, "POST", "/v1/groups/few.2/poll", poll);
    expect([refused.status, refused.body.code]).toEqual([429, "THROTTLING_QUOTA_EXCEEDED"]);
    const config = { config: { "consumer.session.timeout.ms": 10_000 } };
    expect((await ask(key, "PATCH", "/v1/groups/few.2", config)).status).toBe(429);
    const client = broker.tcp();
    await logIn(client, "PLAIN", key);
    const commit = await client.ask<{ topics: { partitions: { errorCode: number }[] }[] }>(
      apis.OFFSET_COMMIT,
      8,
      {
        groupId: "few.2",
        generationId: -1,
        memberId: "",
        groupInstanceId: null,
        topics: [
          {
            name: "orders",
            partitions: [
              {
                partition: 0,
                committedOffset: 0,
                committedLeaderEpoch: -1,
                committedMetadata: null,
              },
            ],
          },
        ],
      },
    );
    expect(commit.topics[0]?.partitions[0]?.errorCode).not.toBe(0);
    client.close();
    const { groups } = (await broker.admin("GET", "/v1/groups")) as {
      groups: { groupId: string }[];
    };
    expect(groups.map(({ groupId }) => groupId).filter((id) => id.startsWith("few."))).toEqual([
      "few.1",
    ]);
  });
});

test("[QUO-1] RIVULET_QUOTA is the quota of callers without one, and not of root", async () => {
  const other = await ClosedBroker.start([], { RIVULET_QUOTA: '{"requestRate": 1000}' });
  try {
    const { body } = await other.ask(other.keys.R.key, "GET", "/v1/me");
    expect(body.quota).toEqual({ requestRate: 1_000 });
    expect((await other.ask(ROOT_KEY, "GET", "/v1/me")).body).not.toHaveProperty("quota");
  } finally {
    await other.stop();
  }
});
