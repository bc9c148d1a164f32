// Access over Kafka's protocol: a closed broker, over TCP, with each mechanism and with real clients.
import { Admin as PlatformaticAdmin } from "@platformatic/kafka";
import { Kafka, logLevel } from "kafkajs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ERRORS, KAFKA_ERRORS } from "../../src/core/errors.ts";
import { kafkaSocketFactory } from "../../src/kafkajs/socket-factory.ts";
import type { RawKafka } from "../support/kafka-client.ts";
import { framed } from "../support/kafka-frames.ts";
import { filled, MATRIX, named, REQUESTS, refusalsIn } from "../support/kafka-requests.ts";
import * as apis from "../support/kafka-schemas.ts";
import { until } from "../support/until.ts";
import {
  ClosedBroker,
  COLUMNS,
  GRANTS,
  type Key,
  logIn,
  type Name,
  ROOT_KEY,
} from "./closed-broker.ts";

const NAMES = Object.keys(GRANTS) as Name[];

let broker: ClosedBroker;

/** Sends a request as root. */
async function admin<T>(method: string, path: string, body?: unknown): Promise<T> {
  return (await broker.admin(method, path, body)) as T;
}

beforeAll(async () => {
  broker = await ClosedBroker.start(["orders.x", "other.y"]);
  for (const group of ["billing.x", "other.g"])
    await admin("PATCH", `/v1/groups/${group}`, {
      config: { "consumer.session.timeout.ms": 10_000 },
    });
});
afterAll(() => broker.stop());

const NONE = KAFKA_ERRORS.NONE;
const REFUSED = {
  T: ERRORS.TOPIC_AUTHORIZATION_FAILED.code,
  G: ERRORS.GROUP_AUTHORIZATION_FAILED.code,
  C: ERRORS.CLUSTER_AUTHORIZATION_FAILED.code,
};

/** A connection that has authenticated by PLAIN. */
async function loggedIn(key: Pick<Key, "id" | "secret">): Promise<RawKafka> {
  const client = broker.tcp();
  expect(await logIn(client, "PLAIN", key)).toMatchObject({ errorCode: NONE });
  return client;
}

const topic = (name: string, partition: object) => [
  { name, topicId: ZERO, partitions: [partition] },
];
const ZERO = "00000000-0000-0000-0000-000000000000";

interface Row {
  readonly what: string;
  readonly ask: (client: RawKafka) => Promise<unknown>;
  /** The error code, or the list, for R, W, G, P and C. */
  readonly answers: readonly unknown[];
}

const codes = (answer: { topics: { partitions: { errorCode: number }[] }[] }) =>
  answer.topics[0]?.partitions[0]?.errorCode;
const { T, G, C } = REFUSED;

const ROWS: readonly Row[] = [
  {
    what: "Metadata of all topics",
    ask: async (client) =>
      (
        await client.ask<{ topics: { name: string }[] }>(apis.METADATA, 9, { topics: null })
      ).topics.map(({ name }) => name),
    answers: [["orders.x"], ["orders.x"], [], ["other.y"], ["orders.x"]],
  },
  ...["orders.x", "orders.missing"].map((name) => ({
    what: `Metadata of ${name}`,
    ask: async (client: RawKafka) =>
      (
        await client.ask<{ topics: { errorCode: number }[] }>(apis.METADATA, 9, {
          topics: [{ topicId: ZERO, name }],
          allowAutoTopicCreation: false,
        })
      ).topics[0]?.errorCode,
    answers: name === "orders.x" ? [NONE, NONE, T, T, NONE] : [3, 3, T, T, 3],
  })),
  {
    what: "Fetch",
    ask: async (client) =>
      codes(
        await client.ask(apis.FETCH, 11, {
          replicaId: -1,
          maxWaitMs: 0,
          minBytes: 0,
          maxBytes: 1,
          isolationLevel: 0,
          sessionId: 0,
          sessionEpoch: -1,
          topics: topic("orders.x", {
            partition: 0,
            currentLeaderEpoch: -1,
            fetchOffset: 0,
            logStartOffset: -1,
            partitionMaxBytes: 1,
          }),
          forgottenTopics: [],
          rackId: "",
        }),
      ),
    answers: [NONE, T, T, T, NONE],
  },
  {
    what: "Produce",
    ask: async (client) =>
      codes(
        await client.ask(apis.PRODUCE, 9, {
          transactionalId: null,
          acks: -1,
          timeoutMs: 1_000,
          topics: topic("orders.x", { partition: 0, records: null }),
        }),
      ),
    answers: [T, ERRORS.INVALID_RECORD.code, T, T, T],
  },
  {
    what: "InitProducerId",
    ask: async (client) =>
      (
        await client.ask(apis.INIT_PRODUCER_ID, 4, {
          transactionalId: null,
          transactionTimeoutMs: 1,
          producerId: -1,
          producerEpoch: -1,
        })
      ).errorCode,
    answers: [C, NONE, C, NONE, C],
  },
  {
    what: "ListOffsets",
    ask: async (client) =>
      codes(
        await client.ask(apis.LIST_OFFSETS, 7, {
          replicaId: -1,
          isolationLevel: 0,
          topics: topic("orders.x", { partition: 0, currentLeaderEpoch: -1, timestamp: -1 }),
        }),
      ),
    answers: [NONE, NONE, T, T, NONE],
  },
  {
    what: "FindCoordinator",
    ask: async (client) =>
      (
        await client.ask<{ coordinators: { errorCode: number }[] }>(apis.FIND_COORDINATOR, 4, {
          key: "",
          keyType: 0,
          keys: ["billing.x"],
        })
      ).coordinators[0]?.errorCode,
    answers: [G, G, NONE, G, NONE],
  },
  {
    what: "Heartbeat",
    ask: async (client) =>
      (
        await client.ask(apis.HEARTBEAT, 4, {
          groupId: "billing.x",
          generationId: 1,
          memberId: "m",
          groupInstanceId: null,
        })
      ).errorCode,
    answers: [G, G, 25, G, 25],
  },
  {
    what: "ConsumerGroupHeartbeat",
    ask: async (client) => {
      const memberId = crypto.randomUUID();
      const request = {
        groupId: "billing.h",
        memberId,
        memberEpoch: 0,
        instanceId: null,
        rackId: null,
        rebalanceTimeoutMs: 1_000,
        subscribedTopicNames: ["orders.x"],
        subscribedTopicRegex: null,
        serverAssignor: null,
        topicPartitions: [],
      };
      const { errorCode } = await client.ask(apis.CONSUMER_GROUP_HEARTBEAT, 1, request);
      if (errorCode === NONE)
        await client.ask(apis.CONSUMER_GROUP_HEARTBEAT, 1, { ...request, memberEpoch: -1 });
      return errorCode;
    },
    answers: [G, G, T, G, NONE],
  },
  {
    what: "OffsetCommit",
    ask: async (client) =>
      codes(
        await client.ask(apis.OFFSET_COMMIT, 8, {
          groupId: "billing.x",
          generationId: -1,
          memberId: "",
          groupInstanceId: null,
          topics: topic("orders.x", {
            partition: 0,
            committedOffset: 0,
            committedLeaderEpoch: -1,
            committedMetadata: "",
          }),
        }),
      ),
    answers: [G, G, T, G, NONE],
  },
  {
    what: "OffsetFetch",
    ask: async (client) => {
      const { groups } = await client.ask<{
        groups: { errorCode: number; topics: { partitions: { errorCode: number }[] }[] }[];
      }>(apis.OFFSET_FETCH, 8, {
        groups: [{ groupId: "billing.x", topics: [{ name: "orders.x", partitions: [0] }] }],
        requireStable: false,
      });
      return groups[0]?.errorCode || groups[0]?.topics[0]?.partitions[0]?.errorCode;
    },
    answers: [G, G, T, G, NONE],
  },
  {
    what: "ListGroups",
    ask: async (client) =>
      (
        await client.ask<{ groups: { groupId: string }[] }>(apis.LIST_GROUPS, 4, {
          statesFilter: [],
        })
      ).groups
        .map(({ groupId }) => groupId)
        .filter((groupId) => groupId !== "billing.h"),
    answers: [[], [], ["billing.x"], ["other.g"], ["billing.x"]],
  },
  {
    what: "DescribeGroups",
    ask: async (client) =>
      (
        await client.ask<{ groups: { errorCode: number }[] }>(apis.DESCRIBE_GROUPS, 5, {
          groups: ["billing.x"],
          includeAuthorizedOperations: false,
        })
      ).groups[0]?.errorCode,
    answers: [G, G, NONE, G, NONE],
  },
  {
    what: "CreateTopics",
    ask: async (client) =>
      (
        await client.ask<{ topics: { errorCode: number }[] }>(apis.CREATE_TOPICS, 7, {
          topics: [
            {
              name: "orders.n",
              numPartitions: 1,
              replicationFactor: 1,
              assignments: [],
              configs: [],
            },
          ],
          timeoutMs: 1_000,
          validateOnly: false,
        })
      ).topics[0]?.errorCode,
    answers: [T, T, T, T, T],
  },
  {
    what: "DeleteTopics",
    ask: async (client) =>
      (
        await client.ask<{ topics: { errorCode: number }[] }>(apis.DELETE_TOPICS, 5, {
          topicNames: ["orders.x"],
          timeoutMs: 1_000,
        })
      ).topics[0]?.errorCode,
    answers: [T, T, T, T, T],
  },
  {
    what: "DeleteGroups",
    ask: async (client) =>
      (
        await client.ask<{ groups: { errorCode: number }[] }>(apis.DELETE_GROUPS, 2, {
          groups: ["billing.x"],
        })
      ).groups[0]?.errorCode,
    answers: [G, G, G, G, G],
  },
  ...(
    [
      [2, "orders.x", T],
      [32, "billing.x", G],
      [4, "0", C],
    ] as const
  ).map(([resourceType, resourceName, code]) => ({
    what: `DescribeConfigs of ${resourceType}`,
    ask: async (client: RawKafka) =>
      (
        await client.ask<{ results: { errorCode: number }[] }>(apis.DESCRIBE_CONFIGS, 4, {
          resources: [{ resourceType, resourceName, configurationKeys: null }],
          includeSynonyms: false,
          includeDocumentation: false,
        })
      ).results[0]?.errorCode,
    answers: [code, code, code, code, code],
  })),
];

test.each(ROWS)("[KFK-31] $what", async ({ ask, answers }) => {
  for (const [i, name] of NAMES.entries()) {
    const client = await loggedIn(broker.keys[name]);
    expect(await ask(client), name).toEqual(answers[i]);
    client.close();
  }
});

/** A connection of each column over TCP, and one over a WebSocket that its key has opened. */
const WAYS = {
  TCP: (key: Key) => loggedIn(key),
  "a WebSocket": ({ key }: Key) => broker.kafkaWebSocket(key),
};

describe.each(Object.keys(WAYS) as (keyof typeof WAYS)[])("over %s", (way) => {
  const clients: RawKafka[] = [];
  beforeAll(async () => {
    for (const column of COLUMNS) clients.push(await WAYS[way](broker.keys[column]));
  });
  afterAll(() => {
    for (const client of clients) client.close();
  });

  test.each(MATRIX)("[KFK-31] the access matrix: %s", async (name, expected) => {
    const [version = 0, request] = REQUESTS[name] ?? [];
    const unique = crypto.randomUUID();
    const names = { topic: `orders.${unique}`, group: `billing.${unique}` };
    for (const [i, client] of clients.entries()) {
      const asked = filled(request?.(names) ?? {});
      const [first = 0] = refusalsIn(await client.ask(named(name), version, asked));
      expect(first, COLUMNS[i]).toBe(expected[i]);
    }
  });

  test("[KFK-31] the access matrix: a fetch by the id of another's topic", async () => {
    const { topicId } = await admin<{ topicId: string }>("GET", "/v1/topics/other.y");
    const request = filled({
      maxWaitMs: 0,
      minBytes: 0,
      topics: [{ topicId, partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1 }] }],
    });
    const told = [];
    for (const client of clients)
      told.push(refusalsIn(await client.ask(apis.FETCH, 16, request))[0] ?? NONE);
    expect(told).toEqual([T, T, T, NONE, T, NONE]);
  });
});

test("[KFK-31] root may do all of that", async () => {
  const client = await loggedIn(broker.keys.A);
  for (const { what, ask } of ROWS) {
    if (what.startsWith("Delete")) continue;
    expect([T, G, C], what).not.toContain(await ask(client));
  }
  client.close();
});

test.each([
  [apis.METADATA, 9, { topics: null }],
  [apis.LIST_GROUPS, 4, { statesFilter: [] }],
  [apis.DELETE_TOPICS, 5, { topicNames: ["orders.x"], timeoutMs: 1 }],
] as const)(
  "[KFK-22] nothing is served before authentication: %#",
  async (api, version, request) => {
    const client = broker.tcp();
    await client.ask(apis.API_VERSIONS, 0, {});
    await expect(client.ask(api, version, request)).rejects.toThrow("closed");
  },
);

describe("a log-in", () => {
  test.each(["plain", "scram-sha-256", "scram-sha-512"] as const)(
    "[SASL-2] [SASL-3] KafkaJS by %s",
    async (mechanism) => {
      const { id, secret } = broker.keys.C;
      const kafkaOf = (username: string, password: string) =>
        new Kafka({
          brokers: [broker.kafka],
          logLevel: logLevel.NOTHING,
          sasl: { mechanism, username, password } as never,
          retry: { retries: 0 },
        }).admin();
      for (const [user, password] of [
        [id, secret],
        ["root", ROOT_KEY],
      ] as const) {
        const client = kafkaOf(user, password);
        await client.connect();
        expect(await client.listTopics()).toContain("orders.x");
        await client.disconnect();
      }
      for (const [user, password] of [
        [id, `${secret}x`],
        ["nobody", secret],
        ["a".repeat(16), secret],
      ] as const) {
        const client = kafkaOf(user, password);
        await expect(client.connect()).rejects.toThrow(/user name or the password is wrong|SASL/);
        await client.disconnect();
      }
    },
  );

  test.each(["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] as const)(
    "[SASL-2] [SASL-3] platformatic by %s",
    async (mechanism) => {
      const { id: username, secret: password } = broker.keys.C;
      const client = new PlatformaticAdmin({
        clientId: "c",
        bootstrapBrokers: [broker.kafka],
        retries: 0,
        sasl: { mechanism, username, password },
      });
      const listed = await client.listTopics();
      expect(listed).toContain("orders.x");
      expect(listed).not.toContain("other.y");
      await client.close();
    },
  );

  test("[SDK-40] KafkaJS over WebSockets asks for a token for each, and says why one is missing", async () => {
    let token: () => string | Promise<string> = () => broker.keys.C.key;
    const client = new Kafka({
      brokers: ["rivulet:9092"],
      logLevel: logLevel.NOTHING,
      retry: { retries: 0 },
      socketFactory: kafkaSocketFactory({ url: broker.url, token: () => token() }),
    }).admin();
    await client.connect();
    expect(await client.listTopics()).toContain("orders.x");
    await client.disconnect();
    token = async () => broker.keys.P.key;
    await client.connect();
    expect(await client.listTopics()).toEqual(["other.y"]);
    await client.disconnect();
    for (const failing of [
      () => Promise.reject(new Error("the vault is locked")),
      () => {
        throw "the vault is locked";
      },
    ]) {
      token = failing;
      await expect(client.connect()).rejects.toThrow("the vault is locked");
    }
  });

  test("[SASL-4] by a token, and again as long as the principal is the same", async () => {
    const ask = (credential: string, body: object) =>
      fetch(`${broker.url}/v1/tokens`, {
        method: "POST",
        headers: { authorization: `Bearer ${credential}` },
        body: JSON.stringify(body),
      }).then((response) => response.json() as Promise<{ token: string }>);
    const { token } = await ask(ROOT_KEY, { role: "read", subject: "t", ttlMs: 60_000 });
    const client = broker.tcp();
    const log = async (text: string, mechanism = "OAUTHBEARER") => {
      await client.ask(apis.SASL_HANDSHAKE, 1, { mechanism });
      return client.ask(apis.SASL_AUTHENTICATE, 2, { authBytes: Buffer.from(text) });
    };
    const bearer = (value: string) => `n,,\x01auth=Bearer ${value}\x01\x01`;
    const first = await log(bearer(token));
    expect(first).toMatchObject({ errorCode: NONE });
    expect(Number(first.sessionLifetimeMs)).toBeGreaterThan(50_000);
    const { token: next } = await ask(ROOT_KEY, { role: "read", subject: "t", ttlMs: 60_000 });
    expect(await log(bearer(next))).toMatchObject({ errorCode: NONE });
    expect(await client.ask(apis.METADATA, 9, { topics: null })).toMatchObject({
      topics: expect.arrayContaining([expect.objectContaining({ name: "other.y" })]),
    });
    const { token: other } = await ask(ROOT_KEY, { role: "read", subject: "u", ttlMs: 60_000 });
    expect(await log(bearer(other))).toMatchObject({
      errorCode: ERRORS.SASL_AUTHENTICATION_FAILED.code,
    });
    await client.closed;
  });

  test("[SASL-6] without headers after version 0 of the handshake; later messages have them", async () => {
    const logIn = async (password: string) => {
      const client = broker.tcp();
      const handshake = await client.ask(apis.SASL_HANDSHAKE, 0, { mechanism: "PLAIN" });
      expect(handshake).toMatchObject({ errorCode: NONE });
      client.socket.write(framed(Buffer.from(`\0root\0${password}`)));
      return client;
    };
    const client = await logIn(ROOT_KEY);
    expect(await client.frame()).toHaveLength(0);
    const metadata = await client.ask(apis.METADATA, 9, { topics: null });
    expect(metadata.topics).toContainEqual(expect.objectContaining({ name: "orders.x" }));
    await client.ask(apis.SASL_HANDSHAKE, 1, { mechanism: "PLAIN" });
    const authBytes = Buffer.from(`\0root\0${ROOT_KEY}`);
    const again = await client.ask(apis.SASL_AUTHENTICATE, 2, { authBytes });
    expect(again).toMatchObject({ errorCode: NONE });
    client.close();
    const refused = await logIn("another");
    await expect(refused.frame()).rejects.toThrow("closed");
    await until("the broker's log says why", () =>
      broker.lines.some((line) => line.includes("the user name or the password is wrong")),
    );
  });

  test("[SASL-1] another mechanism is refused with the list, and the connection closes", async () => {
    const client = broker.tcp();
    expect(await client.ask(apis.SASL_HANDSHAKE, 1, { mechanism: "GSSAPI" })).toEqual({
      errorCode: KAFKA_ERRORS.UNSUPPORTED_SASL_MECHANISM,
      mechanisms: ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"],
    });
    await client.closed;
  });

  test("[SASL-5] ends with its credential", async () => {
    const made = { principal: "e", role: "read" };
    const { id, key } = await admin<{ id: string; key: string }>("POST", "/v1/keys", made);
    const client = await loggedIn({ id, secret: key.slice(`rvk_${id}_`.length, -6) });
    await client.ask(apis.METADATA, 9, { topics: null });
    await admin("DELETE", `/v1/keys/${id}`);
    await expect(client.ask(apis.METADATA, 9, { topics: null })).rejects.toThrow("closed");
  });
});
