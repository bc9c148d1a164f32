// The end of access, over real sockets, while everything that can be open is open. A token expires, a key is revoked, and a
// key's rights are narrowed.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ERRORS } from "../../src/core/errors.ts";
import { Rivulet } from "../../src/sdk/index.ts";
import type { RawKafka } from "../support/kafka-client.ts";
import * as apis from "../support/kafka-schemas.ts";
import { until } from "../support/until.ts";
import {
  CLOSED,
  ClosedBroker,
  fetchOf,
  GRANTS,
  logIn,
  REFUSED,
  type TestSocket,
  UNAUTHENTICATED,
} from "./closed-broker.ts";

/** Long enough to open everything on a busy machine. */
const TTL_MS = 10_000;
const READERS = [
  "partition socket",
  "consume",
  "WS stream",
  "SSE",
  "the SDK's consumer",
  "Kafka over TCP",
  "Kafka over a WebSocket",
] as const;

let broker: ClosedBroker;
beforeAll(async () => {
  broker = await ClosedBroker.start([]);
});
afterAll(() => broker.stop());

const expired = (expiresAtMs: number) =>
  until("the token has expired", () => Date.now() >= expiresAtMs);

async function kafkaWith(token: string): Promise<RawKafka> {
  const client = broker.tcp();
  expect(await logIn(client, "OAUTHBEARER", { id: "", secret: token })).toMatchObject({
    errorCode: 0,
  });
  return client;
}

interface Reader {
  /** Everything that it was sent. */
  text(): string;
  readonly ended: Promise<unknown>;
}

const ofSocket = (socket: TestSocket): Reader => ({
  text: () => socket.text,
  ended: socket.closed.then((closed) => expect(closed).toMatchObject({ code: CLOSED })),
});

/** Reads a topic in this way for as long as it may. */
async function read(how: (typeof READERS)[number], topic: string, token: string): Promise<Reader> {
  switch (how) {
    case "partition socket":
      return ofSocket(await broker.reader(topic, token));
    case "consume":
      return ofSocket(
        await broker.opened(`/v1/groups/billing.flow/consume?topics=${topic}&ack=auto`, token),
      );
    case "WS stream":
      return ofSocket(await broker.opened(`/v1/topics/${topic}/stream?from=earliest`, token));
    case "SSE": {
      const events = await broker.events(`/v1/topics/${topic}/stream?from=earliest`, token);
      return { text: () => events.text, ended: events.ended };
    }
    case "the SDK's consumer": {
      let text = "";
      const consumer = new Rivulet({ url: broker.url, token }).consumer({
        groupId: "billing.flow.sdk",
        topics: [topic],
        onError: () => {},
      });
      const run = consumer.run({
        eachRecord: ({ value }) => {
          text += new TextDecoder().decode(value ?? undefined);
        },
      });
      const ended = run.catch((error) => expect(error.code).toBe(UNAUTHENTICATED));
      return { text: () => text, ended };
    }
    case "Kafka over TCP":
    case "Kafka over a WebSocket": {
      const client = await (how === "Kafka over TCP"
        ? kafkaWith(token)
        : broker.kafkaWebSocket(token));
      let text = "";
      const fetched = async () => {
        for (;;) {
          client.send(apis.FETCH, 11, fetchOf(topic, 0, 200));
          text += String(await client.frame());
        }
      };
      const ended = fetched().catch((error) => expect(String(error)).toContain("closed"));
      return { text: () => text, ended };
    }
  }
}

describe.concurrent("a token that expires", () => {
  test("[ACL-8] while records flow ends every reader, and no later record is sent", async () => {
    const topic = "orders.flow";
    await broker.createTopic(topic);
    await broker.produce(topic, "early");
    const { token, expiresAtMs } = await broker.token(TTL_MS);
    const readers = await Promise.all(READERS.map((how) => read(how, topic, token)));
    while (Date.now() < expiresAtMs) await broker.produce(topic, "early");
    await broker.produce(topic, "late");
    for (const [i, reader] of readers.entries()) {
      await reader.ended;
      expect(reader.text(), READERS[i]).toContain("early");
      expect(reader.text(), READERS[i]).not.toContain("late");
    }
  });

  test("[ACL-8] while nothing flows ends the streams by itself", async () => {
    const topic = "orders.idle";
    await broker.createTopic(topic);
    const { token, expiresAtMs } = await broker.token(TTL_MS);
    const socket = await broker.opened(`/v1/topics/${topic}/stream`, token);
    const events = await broker.events(`/v1/topics/${topic}/stream`, token);
    expect(await socket.closed).toMatchObject({ code: CLOSED });
    await events.ended;
    expect(Date.now()).toBeGreaterThanOrEqual(expiresAtMs);
    expect(events.text).toContain(UNAUTHENTICATED);
  });

  test.each(["stream?from=earliest&ack=explicit", "consume"])(
    "[ACL-8] ends what waits for an acknowledgment: %s",
    async (what) => {
      const topic = `orders.window.${what.slice(0, 6)}`;
      await broker.createTopic(topic);
      await broker.produce(topic, "first", "second");
      const { token, expiresAtMs } = await broker.token(TTL_MS);
      const path =
        what === "consume"
          ? `/v1/groups/billing.window/consume?topics=${topic}`
          : `/v1/topics/${topic}/${what}`;
      const socket = await broker.opened(`${path}&window=1`, token);
      await socket.next("records");
      await expired(expiresAtMs);
      socket.send({ type: "ack", topic, partition: 0, offset: 0 });
      expect(await socket.closed).toMatchObject({ code: CLOSED });
      expect(socket.text).toContain("first");
      expect(socket.text).not.toContain("second");
    },
  );

  test.each(["poll", "read"])(
    "[ACL-8] while a %s waits ends the wait, without a response",
    async (how) => {
      const topic = `orders.wait.${how}`;
      await broker.createTopic(topic);
      const { token, expiresAtMs } = await broker.token(TTL_MS);
      const waitMs = 25_000;
      const answer =
        how === "read"
          ? broker.ask(token, "GET", `/v1/topics/${topic}/partitions/0/records?waitMs=${waitMs}`)
          : broker.ask(token, "POST", "/v1/groups/billing.wait/poll", {
              ...{ instanceId: "p", topics: [topic], waitMs },
            });
      await expired(expiresAtMs);
      await broker.produce(topic, "late");
      expect(await answer).toMatchObject({ status: 401, body: { code: UNAUTHENTICATED } });
    },
  );

  test.each(["reads", "takes nothing"])(
    "[ACL-8] takes its place from a member that only pings, and %s",
    async (what) => {
      const topic = `orders.ping.${what.slice(0, 5)}`;
      const group = `billing.ping.${what.slice(0, 5)}`;
      await broker.createTopic(topic);
      const { token, expiresAtMs } = await broker.token(TTL_MS);
      const member = await broker.member(group, topic, token);
      const pinging = setInterval(() => member.send("ping"), 100);
      await member.next("pong");
      if (what !== "reads") member.stopReading();
      const next = await broker.member(group, topic, broker.keys.C.key);
      const keeping = setInterval(() => next.send("ping"), 100);
      const partitions = () =>
        next.messages.flatMap((each) => (each.partitions ?? []) as { topic: string }[]);
      await expired(expiresAtMs - 200);
      expect(partitions()).toEqual([]);
      await until("the other has its place", () => partitions().length > 0);
      if (what === "reads") expect(await member.closed).toMatchObject({ code: CLOSED });
      clearInterval(pinging);
      clearInterval(keeping);
      member.cut();
      next.close();
    },
  );

  test("[SDK-40] does not end a consumer that gets another", async () => {
    const topic = "orders.renewed";
    await broker.createTopic(topic);
    const { expiresAtMs } = await broker.token(TTL_MS);
    const values: string[] = [];
    const consumer = new Rivulet({
      url: broker.url,
      token: async () => (await broker.token(TTL_MS)).token,
    }).consumer({ groupId: "billing.renewed", topics: [topic], onError: () => {} });
    const run = consumer.run({
      eachRecord: ({ value }) => values.push(new TextDecoder().decode(value ?? undefined)),
    });
    await broker.produce(topic, "early");
    await until("the first was read", () => values.length > 0);
    await expired(expiresAtMs);
    await broker.produce(topic, "late");
    await until("the second was read", () => values.length > 1);
    expect(values).toEqual(["early", "late"]);
    await consumer.close();
    await run;
  });

  test("[SASL-5] while a Kafka fetch waits ends the wait with nothing", async () => {
    const topic = "orders.fetch";
    await broker.createTopic(topic);
    const { token, expiresAtMs } = await broker.token(TTL_MS);
    const client = await kafkaWith(token);
    client.send(apis.FETCH, 11, fetchOf(topic, 0, 25_000));
    const frame = client.frame();
    await expired(expiresAtMs);
    await broker.produce(topic, "late");
    expect(String(await frame)).not.toContain("late");
    await expect(client.ask(apis.FETCH, 11, fetchOf(topic, 0, 0))).rejects.toThrow("closed");
  });
});

test("[ACL-8] a revoked key ends everything that is open with it", async () => {
  const [topic, group] = ["orders.revoked", "billing.revoked"];
  await broker.createTopic(topic);
  const key = await broker.createKey("revoked", GRANTS.C);
  const sockets = {
    partition: await broker.reader(topic, key.key),
    member: await broker.member(group, topic, key.key),
    consume: await broker.opened(`/v1/groups/${group}/consume?topics=${topic}`, key.key),
    stream: await broker.opened(`/v1/topics/${topic}/stream?from=earliest`, key.key),
  };
  const events = await broker.events(`/v1/topics/${topic}/stream?from=earliest`, key.key);
  const kafka = [broker.tcp(), await broker.kafkaWebSocket(key.key)] as const;
  await logIn(kafka[0], "PLAIN", key);
  const poll = () =>
    broker.ask(key.key, "POST", `/v1/groups/${group}.polled/poll`, {
      ...{ instanceId: "p", topics: [topic] },
    });
  for (const client of kafka)
    expect(await client.ask(apis.FETCH, 11, fetchOf(topic, 0, 0))).toMatchObject({
      topics: [{ partitions: [{ errorCode: 0 }] }],
    });
  expect((await poll()).status).toBe(200);
  await sockets.stream.next("assigned");
  await events.until("id: 0:0");

  for (const client of kafka) client.send(apis.FETCH, 11, fetchOf(topic, 0, 25_000));
  await broker.admin("DELETE", `/v1/keys/${key.id}?now=${topic}&nowGroups=${group}`);
  await broker.produce(topic, "late");
  for (const [what, socket] of Object.entries(sockets)) {
    expect(await socket.closed, what).toMatchObject({ code: CLOSED });
    expect(socket.text, what).not.toContain("late");
  }
  await events.ended;
  expect(events.text).toContain(UNAUTHENTICATED);
  expect(events.text).not.toContain("late");
  // A wait that had not begun by then does not begin.
  for (const client of kafka)
    expect(await client.frame().then(String, String)).not.toContain("late");
  for (const client of kafka)
    await expect(client.ask(apis.FETCH, 11, fetchOf(topic, 0, 0))).rejects.toThrow("closed");
  expect(await poll()).toMatchObject({ status: 401 });
});

test("[ACL-8] a narrowed key has its new rights in a member's next call", async () => {
  const [kept, gone] = ["orders.kept", "orders.gone"];
  for (const topic of [kept, gone]) {
    await broker.createTopic(topic);
    await broker.produce(topic, topic);
  }
  const key = await broker.createKey("narrowed", GRANTS.C);
  const client = broker.tcp();
  await logIn(client, "PLAIN", key);
  const poll = async (more: object) => {
    const body = { instanceId: "p", pattern: "orders\\.(kept|gone)", ...more };
    const answer = await broker.ask(key.key, "POST", "/v1/groups/billing.narrow/poll", body);
    return answer.body as { assignment: { topic: string }[]; records: { topic: string }[] };
  };
  const topicsOf = (list: readonly { topic: string }[]) => list.map(({ topic }) => topic).sort();
  const fetched = async () =>
    (
      await client.ask<{ topics: { partitions: { errorCode: number }[] }[] }>(
        apis.FETCH,
        11,
        fetchOf(gone, 0, 0),
      )
    ).topics[0]?.partitions[0]?.errorCode;
  const before = await poll({});
  expect(topicsOf(before.assignment)).toEqual([gone, kept]);
  expect(topicsOf(before.records)).toEqual([gone, kept]);
  expect(await fetched()).toBe(0);

  const grants = [
    { topics: { exact: kept }, operations: ["READ"] },
    { groups: { prefix: "billing." }, operations: ["READ"] },
  ];
  await broker.admin("PATCH", `/v1/keys/${key.id}`, { grants });
  const after = await poll({});
  expect(topicsOf(after.assignment)).toEqual([kept]);
  expect(topicsOf(after.records)).toEqual([kept]);
  const ack = [{ topic: gone, partition: 0, offset: 0 }];
  expect(await poll({ ack })).toMatchObject({ code: REFUSED.T });
  expect(await fetched()).toBe(ERRORS.TOPIC_AUTHORIZATION_FAILED.code);
  client.close();
});
