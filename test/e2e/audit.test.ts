// The audit log, over real sockets: who was refused what, and who changed what, on every interface.
import { Kafka, logLevel } from "kafkajs";
import { afterAll, beforeAll, expect, test } from "vitest";
import WebSocket from "ws";
import { RawKafka } from "../support/kafka-client.ts";
import * as apis from "../support/kafka-schemas.ts";
import { until } from "../support/until.ts";
import { BrokerProcess } from "./broker.ts";

const ROOT_KEY = "the-root-key-of-this-test";

interface Event {
  readonly number: number;
  readonly decision: string;
  readonly action: string;
  readonly resource: { readonly type: string; readonly name: string };
  readonly principal: string;
  readonly way: string;
  readonly keyId?: string;
  readonly ip?: string;
  readonly userAgent?: string;
  readonly omitted?: number;
}

let broker: BrokerProcess;
let key: { id: string; key: string };

async function ask(credential: string, method: string, path: string, body?: unknown) {
  const response = await fetch(`${broker.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${credential}`, "user-agent": "auditor/1" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: text === "" ? {} : JSON.parse(text) };
}

const admin = (method: string, path: string, body?: unknown) => ask(ROOT_KEY, method, path, body);

async function events(query = ""): Promise<Event[]> {
  return (await admin("GET", `/v1/audit?limit=1000${query}`)).body.events;
}

/** Waits for a line like this. Nobody waits for the log, so it comes a little later. */
async function told(
  what: Partial<Record<"decision" | "action" | "principal" | "way", string>> & { name: string },
) {
  const { name, ...fields } = what;
  return await until(`a line of ${JSON.stringify(what)}`, async () =>
    (await events()).find(
      (event) =>
        event.resource.name === name &&
        Object.entries(fields).every(([field, value]) => event[field as keyof Event] === value),
    ),
  );
}

beforeAll(async () => {
  broker = await BrokerProcess.start({ env: { RIVULET_ROOT_KEY: ROOT_KEY } });
  key = (
    await admin("POST", "/v1/keys", {
      principal: "clerk",
      grants: [
        { topics: { prefix: "orders" }, operations: ["READ"] },
        { groups: { exact: "g" }, operations: ["READ"] },
      ],
    })
  ).body;
});
afterAll(() => broker.stop());

test("[AUD-1] every change is noted, with its caller", async () => {
  await admin("POST", "/v1/topics", { name: "orders" });
  await admin("PATCH", "/v1/topics/orders", { partitions: 2 });
  await admin("POST", "/v1/topics/orders/records", { records: [{ value: "a", partition: 0 }] });
  await admin("DELETE", "/v1/topics/orders/partitions/0/records?before=1");
  await admin("PATCH", "/v1/configs", { config: { "retention.ms": 86_400_000 } });
  await admin("PATCH", "/v1/groups/made", { config: { "consumer.session.timeout.ms": 10_000 } });
  await admin("POST", "/v1/groups/made/offsets", { topics: ["orders"], to: "earliest" });
  await admin("DELETE", "/v1/groups/made/offsets?topics=orders");
  await admin("DELETE", "/v1/groups/made");
  await admin("PATCH", `/v1/keys/${key.id}`, { expiresAt: Date.now() + 86_400_000 });
  const { body: other } = await admin("POST", "/v1/keys", { principal: "x", role: "read" });
  await admin("DELETE", `/v1/keys/${other.id}`);
  await admin("POST", "/v1/topics", { name: "gone" });
  await admin("DELETE", "/v1/topics/gone");
  const made = [
    ["createKey", key.id],
    ["createTopic", "orders"],
    ["alterTopic", "orders"],
    ["deleteRecords", "orders"],
    ["alterConfigs", "kafka-cluster"],
    ["alterGroup", "made"],
    ["resetOffsets", "made"],
    ["deleteOffsets", "made"],
    ["deleteGroup", "made"],
    ["alterKey", key.id],
    ["deleteKey", other.id],
    ["deleteTopic", "gone"],
  ] as const;
  for (const [action, name] of made)
    expect(await told({ action, name })).toMatchObject({
      decision: "allowed",
      principal: "User:root",
      way: "http",
      ip: "127.0.0.1",
      userAgent: "auditor/1",
    });
});

test("[AUD-1] a request that changes nothing has no line", async () => {
  const config = { "retention.ms": 86_400_000 };
  const session = { "consumer.session.timeout.ms": 10_000 };
  await admin("POST", "/v1/topics", { name: "still" });
  await admin("PATCH", "/v1/topics/still", { partitions: 2, config });
  await admin("PATCH", "/v1/configs", { config });
  await admin("PATCH", "/v1/groups/still", { config: session });
  await admin("POST", "/v1/topics/still/records", { records: [{ value: "a", partition: 0 }] });
  await admin("DELETE", "/v1/topics/still/partitions/0/records?before=1");
  await admin("POST", "/v1/groups/still/offsets", { topics: ["still"], to: "latest" });
  await admin("PATCH", `/v1/keys/${key.id}`, { expiresAt: null });
  const client = new RawKafka(broker.kafka);
  await client.ask(apis.SASL_HANDSHAKE, 1, { mechanism: "PLAIN" });
  const authBytes = Buffer.from(`\0root\0${ROOT_KEY}`);
  await client.ask(apis.SASL_AUTHENTICATE, 2, { authBytes });
  const forget = async (...partitions: number[]) => {
    const named = partitions.map((partition) => ({ partition }));
    const topics = [{ name: "still", partitions: named }];
    return await client.ask(apis.OFFSET_DELETE, 0, { groupId: "still", topics });
  };
  await admin("POST", "/v1/topics", { name: "before" });
  const { number: before } = await told({ action: "createTopic", name: "before" });
  const nothing: [string, string, unknown?][] = [
    ["PATCH", "/v1/topics/still", { config: {} }],
    ["PATCH", "/v1/topics/still", { partitions: 2, config }],
    ["PATCH", "/v1/configs", { config: {} }],
    ["PATCH", "/v1/configs", { config }],
    ["PATCH", "/v1/groups/still", { config: {} }],
    ["PATCH", "/v1/groups/still", { config: session }],
    ["DELETE", "/v1/topics/still/partitions/0/records?before=1"],
    ["POST", "/v1/groups/still/offsets", { topics: ["still"], to: "latest" }],
    ["PATCH", `/v1/keys/${key.id}`, { expiresAt: null }],
  ];
  for (const [method, path, body] of nothing)
    expect((await admin(method, path, body)).status).toBe(200);
  const codes = [{ errorCode: 0 }, { errorCode: 0 }];
  expect(await forget(5, 77)).toMatchObject({ errorCode: 0, topics: [{ partitions: codes }] });
  await forget(1, 77);
  await forget(1);
  const after = await told({ action: "deleteOffsets", name: "still" });
  const changes = (await events()).filter(
    ({ number, decision }) => number > before && decision === "allowed",
  );
  expect(changes).toEqual([after]);
  client.close();
});

test("[AUD-1] a refusal is noted if something was named; what a list leaves out is no refusal", async () => {
  const before = (await events())[0]?.number ?? 0;
  await ask(key.key, "GET", "/v1/topics");
  await ask(key.key, "GET", "/v1/groups");
  await ask(key.key, "GET", "/v1/topics/billing");
  expect(await told({ name: "billing", way: "http" })).toMatchObject({
    decision: "refused",
    action: "DESCRIBE",
    principal: "User:clerk",
    keyId: key.id,
  });
  const since = (await events()).filter(({ number }) => number > before);
  expect(since.map(({ resource }) => resource.name)).toEqual(["billing"]);
});

test("[AUD-1] refusals over Kafka's protocol and over the sockets of objects are noted too", async () => {
  const kafka = new Kafka({
    brokers: [broker.kafka],
    clientId: "auditor",
    logLevel: logLevel.NOTHING,
    retry: { retries: 0 },
    sasl: { mechanism: "plain", username: key.id, password: key.key },
  });
  const producer = kafka.producer();
  await producer.connect();
  await producer.send({ topic: "secret", messages: [{ value: "a" }] }).catch(() => {});
  await producer.disconnect();
  expect(await told({ name: "secret", way: "kafka" })).toMatchObject({
    decision: "refused",
    userAgent: "auditor",
    ip: "127.0.0.1",
  });
  const socket = new WebSocket(`${broker.url.replace("http", "ws")}/v1/groups/g/socket`, {
    headers: { authorization: `Bearer ${key.key}` },
  });
  await new Promise((resolve) => socket.once("open", resolve));
  const join = { type: "join", memberId: "m", memberEpoch: 0, topics: ["payments"], owned: [] };
  socket.send(JSON.stringify({ ...join, sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 10_000 }));
  expect(await told({ name: "payments", way: "socket" })).toMatchObject({
    decision: "refused",
    action: "READ",
    principal: "User:clerk",
  });
  socket.close();
});

test("[AUD-1] a token is noted with the key that made it, and nobody can be named like root", async () => {
  const { body: made } = await ask(key.key, "POST", "/v1/tokens", { subject: "visitor" });
  await ask(made.token, "GET", "/v1/topics/by-token");
  expect(await told({ name: "by-token" })).toMatchObject({
    principal: "User:visitor",
    keyId: key.id,
  });
  for (const name of [
    "root",
    "User:root",
    "ANONYMOUS",
    "root ",
    "ROOT",
    "User:User:root",
    "a\u2028",
  ]) {
    const token = await ask(key.key, "POST", "/v1/tokens", { subject: name });
    const made = await admin("POST", "/v1/keys", { principal: name, role: "read" });
    expect([token.status, made.status]).toEqual([400, 400]);
  }
});

test("[AUD-4] wrong credentials are in the operator's log, and not in the kept log", async () => {
  await ask("wrong-over-http", "GET", "/v1/topics");
  const kafka = new Kafka({
    brokers: [broker.kafka],
    logLevel: logLevel.NOTHING,
    retry: { retries: 0 },
    sasl: { mechanism: "scram-sha-256", username: key.id, password: "wrong" },
  });
  await kafka
    .admin()
    .connect()
    .catch(() => {});
  const lines = () => broker.lines.filter((line) => line.includes('"logIn"'));
  await until("both are told", () => lines().length >= 2);
  expect(lines()[0]).toContain('"way":"http","ip":"127.0.0.1"');
  expect(lines()[1]).toContain('"way":"kafka","ip":"127.0.0.1"');
  expect(lines().join("")).not.toContain("wrong-over-http");
  expect((await events()).some(({ action }) => action === "logIn")).toBe(false);
  // A caller without a credential has not tried anything.
  const before = lines().length;
  await fetch(`${broker.url}/v1/topics`);
  await ask("wrong-again", "GET", "/v1/topics");
  await until("the last is told", () => lines().length > before);
  expect(lines().length).toBe(before + 1);
});

test("[AUD-2] a flood of refusals is counted, and the log can be read back as far as requested", async () => {
  await Promise.all(Array.from({ length: 100 }, () => ask(key.key, "GET", "/v1/topics/flooded")));
  const first = await told({ name: "flooded" });
  const flooded = (await events()).filter(({ resource }) => resource.name === "flooded");
  expect(flooded.length).toBeLessThan(60);
  const earlier = await events(`&before=${first.number}`);
  expect(earlier.every(({ number }) => number < first.number)).toBe(true);
  expect(earlier.map(({ number }) => number)).toEqual(
    earlier.map(({ number }) => number).toSorted((a, b) => b - a),
  );
});

test("[AUD-2] tokens of one key crowd out nobody, and each of their refusals is noted or counted", async () => {
  const { body: other } = await admin("POST", "/v1/keys", {
    principal: "other",
    grants: [{ topics: { prefix: "orders" }, operations: ["READ"] }],
  });
  const tokens = await Promise.all(
    Array.from({ length: 14 }, async (_, i) => {
      const made = await ask(key.key, "POST", "/v1/tokens", { subject: `one-of-many-${i}` });
      return made.body.token as string;
    }),
  );
  const refusals = (credential: string, name: string, count: number) =>
    Array.from({ length: count }, () => ask(credential, "GET", `/v1/topics/${name}`));
  await Promise.all([
    ...tokens.flatMap((token) => refusals(token, "crowded", 30)),
    ...refusals(other.key, "alone", 10),
  ]);
  const toldOf = (all: readonly Event[], name: string) =>
    all
      .filter(({ resource }) => resource.name === name)
      .reduce((sum, { omitted = 0 }) => sum + 1 + omitted, 0);
  await until("each is told or counted", async () => {
    const all = await events();
    return toldOf(all, "crowded") === 14 * 30 && toldOf(all, "alone") === 10;
  });
  const crowded = (await events()).filter(({ resource }) => resource.name === "crowded");
  expect(crowded.length).toBeLessThan(140);
  await admin("DELETE", `/v1/keys/${other.id}`);
});

test("[AUD-1] a caller that may not DESCRIBE the cluster does not see it", async () => {
  const { status, body } = await ask(key.key, "GET", "/v1/audit");
  expect([status, body.code]).toEqual([403, "CLUSTER_AUTHORIZATION_FAILED"]);
  for (const query of ["limit=0", "limit=1001", "before=0", "after=1"])
    expect((await admin("GET", `/v1/audit?${query}`)).status).toBe(400);
});

test("[AUD-1] the lines are in the operator's log, and contain no secret", async () => {
  const lines = broker.lines.filter((line) => line.includes('"audit"'));
  expect(lines.some((line) => line.includes('"createTopic"'))).toBe(true);
  const all = JSON.stringify([lines, await events()]);
  for (const secret of [ROOT_KEY, key.key, key.key.slice(-49)]) expect(all).not.toContain(secret);
});

test("[AUD-3] an open broker notes nothing", async () => {
  const open = await BrokerProcess.start({});
  try {
    const body = JSON.stringify({ name: "t" });
    await fetch(`${open.url}/v1/topics`, { method: "POST", body });
    const { events: none } = (await (await fetch(`${open.url}/v1/audit`)).json()) as {
      events: Event[];
    };
    expect(none).toEqual([]);
    expect(open.lines.join("\n")).not.toContain('"audit"');
  } finally {
    await open.stop();
  }
});
