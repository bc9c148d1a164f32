// Access over Kafka's protocol, and how a client authenticates. A closed broker answers each request of a caller with a
// right too few, with just enough rights, or without authentication.
import { env as bindings } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import type { Caller } from "../../src/core/access/caller.ts";
import { type Grant, isAllowed, REFUSED, ROLES } from "../../src/core/access/grants.ts";
import {
  includes,
  OPERATION_CODES,
  OPERATIONS_OF,
  type Operation,
  type ResourceType,
} from "../../src/core/access/operations.ts";
import { SASL_MECHANISMS, type SaslMechanism } from "../../src/core/access/sasl.ts";
import { concatBytes } from "../../src/core/bytes.ts";
import { ERRORS, KAFKA_ERRORS } from "../../src/core/errors.ts";
import { MAX_KAFKA_SESSION_MS } from "../../src/core/limits.ts";
import { type Env, withCaller } from "../../src/env.ts";
import { createKey } from "../../src/worker/access/keys.ts";
import { createToken } from "../../src/worker/access/tokens.ts";
import { isolate } from "../../src/worker/edge/isolate.ts";
import { Connection } from "../../src/worker/kafka/connection.ts";
import { Nodes } from "../../src/worker/kafka/nodes.ts";
import { NEEDS, type Need } from "../../src/worker/kafka/services.ts";
import { ZERO_UUID } from "../../src/worker/kafka/wire.ts";
import { decodeResponse, encodeRequest } from "../support/kafka-frames.ts";
import {
  codesIn,
  filled,
  MATRIX,
  type Names,
  named,
  partition,
  REQUESTS,
  refusalsIn,
} from "../support/kafka-requests.ts";
import * as messages from "../support/kafka-schemas.ts";
import { SERVED } from "../support/kafka-served.ts";
import { bareOf, bytes, clientFinal, textOf } from "../support/scram-client.ts";
import { Kafka } from "./kafka-socket.ts";
import { closeSockets, createTopic, env, expectStatus, ORIGIN, unique } from "./support.ts";

const ROOT_KEY = "the-root-key-of-this-test";
const CLOSED: Env = { ...bindings, RIVULET_OPEN: "", RIVULET_ROOT_KEY: ROOT_KEY };
const NONE = KAFKA_ERRORS.NONE;
const T = ERRORS.TOPIC_AUTHORIZATION_FAILED.code;
const G = ERRORS.GROUP_AUTHORIZATION_FAILED.code;
const C = ERRORS.CLUSTER_AUTHORIZATION_FAILED.code;
const WRONG = ERRORS.SASL_AUTHENTICATION_FAILED.code;
const NOT_TOLD = -2_147_483_648;

afterEach(() => {
  closeSockets();
  vi.useRealTimers();
});

function callerWith(grants: readonly Grant[], expiresAtMs: number | null = null): Caller {
  return { principal: "User:test", grants, expiresAtMs, keyId: null };
}

/** A connection of a client with these rights. */
function clientWith(grants: readonly Grant[]): Kafka {
  return Kafka.openWith(withCaller(CLOSED, callerWith(grants)));
}

async function answerTo(client: Kafka, name: string, names: Names): Promise<unknown> {
  const [version, request] = REQUESTS[name] ?? [0, () => ({})];
  return await client.ask(named(name), version, filled(request(names)));
}

/** All rights except these, and except those that would include them. */
function allBut(need: Need): Grant[] {
  const operationsOf = (type: ResourceType) =>
    OPERATIONS_OF[type].filter(
      (operation) =>
        !need.some((each) => each.type === type && includes(operation, each.operation)),
    );
  const prefix = { prefix: "" };
  return [
    { topics: prefix, operations: operationsOf("topic") },
    { groups: prefix, operations: operationsOf("group") },
    { cluster: operationsOf("cluster") },
  ];
}

function grantOf(type: ResourceType, operation: Operation): Grant {
  const prefix = { prefix: "" };
  if (type === "cluster") return { cluster: [operation] };
  return type === "topic"
    ? { topics: prefix, operations: [operation] }
    : { groups: prefix, operations: [operation] };
}

/** Its request names no topic, and the group of the request holds none. It has a test of its own. */
const HOLDS_TOPICS = "ConsumerGroupDescribe";

const ALL_NEEDS = [...NEEDS].flatMap(([name, needs]) =>
  needs.map((need) => ({
    name,
    need,
    what: need.map(({ type, operation }) => `${operation} on ${type}`).join(" or "),
  })),
);

let existing: Names;
beforeAll(async () => {
  existing = { topic: (await createTopic(1)).name, group: unique("group") };
  await expectStatus(200, "PATCH", `/v1/groups/${existing.group}`, {
    config: { "consumer.session.timeout.ms": 10_000 },
  });
});
const missing = (): Names => ({ topic: unique("missing"), group: unique("missing") });

describe("an API", () => {
  test("[KFK-31] says what it requires, and is tested here", () => {
    const free = ["ApiVersions", "SaslHandshake", "SaslAuthenticate", "DescribeCluster"];
    expect([...NEEDS.keys()].sort()).toEqual(SERVED.map(({ name }) => name).sort());
    expect(
      [...NEEDS]
        .filter(([, needs]) => needs.length === 0)
        .map(([name]) => name)
        .sort(),
    ).toEqual(free.sort());
    expect([...Object.keys(REQUESTS), ...free].sort()).toEqual([...NEEDS.keys()].sort());
  });

  test.each(ALL_NEEDS.filter(({ name, what }) => name !== HOLDS_TOPICS || !what.endsWith("topic")))(
    "[KFK-31] $name requires $what, and everything else is not enough",
    async ({ name, need }) => {
      const client = clientWith(allBut(need));
      for (const names of [existing, missing()]) {
        const answer = await answerTo(client, name, names);
        if (name === "ListGroups") expect(answer).toMatchObject({ errorCode: NONE, groups: [] });
        else {
          const refusals: number[] = need.map(({ type }) => ERRORS[REFUSED[type]].code);
          expect(codesIn(answer).filter((code) => refusals.includes(code))).not.toEqual([]);
        }
      }
    },
  );

  test.each(ALL_NEEDS)(
    "[KFK-31] $name is satisfied with $what, besides its other requirements",
    async ({ name, need }) => {
      const others = (NEEDS.get(name) ?? []).filter((each) => each !== need);
      for (const right of need) {
        const grants = [right, ...others.flatMap(([first]) => first ?? [])].map(
          ({ type, operation }) => grantOf(type, operation),
        );
        const answer = await answerTo(clientWith(grants), name, missing());
        expect(codesIn(answer)).not.toEqual(
          expect.arrayContaining([expect.toSatisfy((code) => [T, G, C].includes(code as number))]),
        );
      }
    },
  );

  test.each(Object.keys(REQUESTS))(
    "[KFK-31] %s shows a caller without rights no difference between existing and missing",
    async (name) => {
      const client = clientWith([]);
      const told = async (names: Names) => {
        const answer = JSON.stringify(await answerTo(client, name, names), (_, value) =>
          typeof value === "bigint" ? String(value) : value,
        );
        return answer.replaceAll(names.topic, "TOPIC").replaceAll(names.group, "GROUP");
      };
      expect(await told(existing)).toBe(await told(missing()));
    },
  );
});

describe("lists", () => {
  const mayRead = (topic: string): Grant[] => [{ topics: { exact: topic }, operations: ["READ"] }];

  test("[KFK-31] hold the topics that the caller may describe", async () => {
    const [own, other] = [await createTopic(1), await createTopic(1)];
    const client = clientWith(mayRead(own.name));
    const { topics } = await client.ask<{ topics: { name: string }[] }>(messages.METADATA, 12, {
      topics: null,
    });
    expect(topics).toMatchObject([{ name: own.name }]);
    const described = await client.ask<{ topics: object[] }>(
      messages.DESCRIBE_TOPIC_PARTITIONS,
      0,
      {
        topics: [],
        responsePartitionLimit: 100,
        cursor: null,
      },
    );
    expect(described.topics).toMatchObject([{ name: own.name, errorCode: NONE }]);
    const [byId] = (
      await client.ask<{ topics: object[] }>(messages.METADATA, 12, {
        topics: [{ name: null, topicId: other.topicId }],
      })
    ).topics;
    expect(byId).toMatchObject({
      errorCode: T,
      name: null,
      topicId: other.topicId,
      partitions: [],
    });
  });

  test("[KFK-31] of many named topics say the same as of a few", async () => {
    const [own, other] = [await createTopic(1), await createTopic(1)];
    const names = [own.name, other.name, ...Array.from({ length: 120 }, () => unique("missing"))];
    const { topics } = await clientWith(mayRead(own.name)).ask<{
      topics: { name: string; errorCode: number; topicId: string }[];
    }>(messages.METADATA, 12, {
      topics: names.map((name) => ({ name, topicId: ZERO_UUID })),
      allowAutoTopicCreation: true,
    });
    expect(topics.map(({ errorCode }) => errorCode)).toEqual(
      names.map((name) => (name === own.name ? NONE : T)),
    );
    expect(topics[1]?.topicId).toBe(ZERO_UUID);
  });

  test("[KFK-31] hold the groups that the caller may describe", async () => {
    const grants: Grant[] = [{ groups: { exact: existing.group }, operations: ["READ"] }];
    expect(await answerTo(clientWith(grants), "ListGroups", existing)).toMatchObject({
      groups: [{ groupId: existing.group }],
    });
  });

  test("[KFK-31] of a group's offsets leave out topics that the caller may not describe", async () => {
    const group = unique("group");
    const [own, other] = [await createTopic(1), await createTopic(1)];
    const commit = (client: Kafka) =>
      client.ask<{ topics: { partitions: { errorCode: number }[] }[] }>(messages.OFFSET_COMMIT, 9, {
        groupId: group,
        topics: [other, own].flatMap(({ name }) =>
          partition(name, { committedOffset: 0, committedMetadata: "" }),
        ),
      });
    const client = clientWith([
      ...mayRead(own.name),
      { groups: { exact: group }, operations: ["READ"] },
    ]);
    expect(codesIn(await commit(client))).toEqual([T, NONE]);
    expect(codesIn(await commit(clientWith(ROLES.admin)))).toEqual([NONE, NONE]);
    const { groups } = await client.ask<{ groups: { topics: { name: string }[] }[] }>(
      messages.OFFSET_FETCH,
      9,
      { groups: [{ groupId: group, topics: null }] },
    );
    expect(groups[0]?.topics.map(({ name }) => name)).toEqual([own.name]);
    expect(
      codesIn(
        await clientWith([
          ...mayRead(own.name),
          { groups: { exact: group }, operations: ["DELETE"] },
        ]).ask(messages.OFFSET_DELETE, 0, {
          groupId: group,
          topics: [other, own].flatMap(({ name }) => partition(name, {})),
        }),
      ),
    ).toEqual([NONE, T, NONE]);
  });
});

describe("a topic that its id names", () => {
  test("[KFK-31] is read by a caller that may read its name", async () => {
    const { name, topicId } = await createTopic(1);
    const read = async (grants: readonly Grant[], id: string) =>
      codesIn(
        await clientWith(grants).ask(messages.FETCH, 16, {
          maxWaitMs: 0,
          minBytes: 0,
          isolationLevel: 0,
          topics: [
            { topicId: id, partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1 }] },
          ],
        }),
      );
    expect(await read([{ topics: { exact: name }, operations: ["READ"] }], topicId)).toEqual([
      NONE,
      NONE,
    ]);
    expect(await read([{ topics: { exact: name }, operations: ["WRITE"] }], topicId)).toEqual([
      NONE,
      T,
    ]);
    expect(await read([], crypto.randomUUID())).toEqual([NONE, ERRORS.UNKNOWN_TOPIC_ID.code]);
  });

  test("[KFK-31] is not named to a caller that may not delete it", async () => {
    const { name, topicId } = await createTopic(1);
    const answer = await clientWith([]).ask(messages.DELETE_TOPICS, 6, {
      topics: [{ name: null, topicId }],
      timeoutMs: 1_000,
    });
    expect(answer).toMatchObject({ topics: [{ name: null, topicId, errorCode: T }] });
    expect(JSON.stringify(answer)).not.toContain(name);
  });
});

test("[KFK-31] a group of KIP-848 with topics that the caller may not describe is not shown", async () => {
  const names = { topic: (await createTopic(1)).name, group: unique("group") };
  const admin = clientWith(ROLES.admin);
  expect(await answerTo(admin, "ConsumerGroupHeartbeat", names)).toMatchObject({ errorCode: NONE });
  const group: Grant = { groups: { exact: names.group }, operations: ["DESCRIBE"] };
  expect(await answerTo(clientWith([group]), "ConsumerGroupDescribe", names)).toMatchObject({
    groups: [{ groupId: names.group, errorCode: T, members: [] }],
  });
  expect(await answerTo(admin, "ConsumerGroupDescribe", names)).toMatchObject({
    groups: [{ errorCode: NONE, members: [{ subscribedTopicNames: [names.topic] }] }],
  });
});

test("[KFK-31] a producer that waits for no response learns by the closed connection that it may not write", async () => {
  const client = clientWith(ROLES.read);
  const request = {
    acks: 0,
    timeoutMs: 1_000,
    topics: partition(existing.topic, { records: null }),
  };
  client.send(messages.PRODUCE, 9, request);
  expect((await client.closed).reason).toContain("TOPIC_AUTHORIZATION_FAILED");
  const other = clientWith(ROLES.write);
  other.send(messages.PRODUCE, 9, request); // There are no records, but it may write.
  expect(await other.ask(messages.API_VERSIONS, 3, {})).toMatchObject({ errorCode: NONE });
});

test("[KFK-31] a missing topic is created by a caller that may create it", async () => {
  const create = async (grants: readonly Grant[]) => {
    const name = unique("created");
    const caller = callerWith(grants);
    const client = Kafka.openWith(
      withCaller({ ...CLOSED, AUTO_CREATE_TOPICS_ENABLE: "true" }, caller),
    );
    return codesIn(
      await client.ask<{ topics: { errorCode: number }[] }>(messages.METADATA, 12, {
        topics: [{ name, topicId: ZERO_UUID }],
        allowAutoTopicCreation: true,
      }),
    )[0];
  };
  const all = { prefix: "" };
  expect(await create([{ topics: all, operations: ["WRITE"] }])).toBe(T);
  expect(await create([{ topics: all, operations: ["WRITE", "CREATE"] }])).toBe(NONE);
  expect(await create([{ topics: all, operations: ["WRITE"] }, { cluster: ["CREATE"] }])).toBe(
    NONE,
  );
});

test("[KFK-31] the configs of a new topic are shown to callers that may describe them", async () => {
  const create = async (operations: readonly Operation[]) => {
    const client = clientWith([{ topics: { prefix: "" }, operations }]);
    const { topics } = (await answerTo(client, "CreateTopics", missing())) as {
      topics: { errorCode: number; configs: object[] }[];
    };
    expect(topics[0]?.errorCode).toBe(NONE);
    return topics[0]?.configs.length;
  };
  expect(await create(["CREATE"])).toBe(0);
  expect(await create(["CREATE", "DESCRIBE_CONFIGS"])).toBeGreaterThan(0);
});

describe("the operations that a client may do", () => {
  const bitsOf = (operations: readonly Operation[]) =>
    operations.reduce((bits, operation) => bits | (1 << OPERATION_CODES[operation]), 0);

  const told = async (grants: readonly Grant[], isAsked: boolean) => {
    const client = clientWith(grants);
    const { topic, group } = existing;
    const operationsIn = (value: unknown): number[] => {
      if (typeof value !== "object" || value === null) return [];
      return Object.entries(value).flatMap(([name, each]) =>
        /authorizedOperations$/i.test(name) ? [each as number] : operationsIn(each),
      );
    };
    const metadata = await client.ask(messages.METADATA, 10, {
      topics: [{ name: topic, topicId: ZERO_UUID }],
      includeClusterAuthorizedOperations: isAsked,
      includeTopicAuthorizedOperations: isAsked,
    });
    const cluster = await client.ask(messages.DESCRIBE_CLUSTER, 1, {
      includeClusterAuthorizedOperations: isAsked,
    });
    const classic = await client.ask(messages.DESCRIBE_GROUPS, 5, {
      groups: [group],
      includeAuthorizedOperations: isAsked,
    });
    return [metadata, cluster, classic].flatMap(operationsIn);
  };

  test("[KFK-31] are returned on request", async () => {
    const [topics, cluster, groups] = (["topic", "cluster", "group"] as const).map((type) =>
      bitsOf(OPERATIONS_OF[type]),
    );
    expect(await told(ROLES.admin, true)).toEqual([topics, cluster, cluster, groups]);
    expect(await told(ROLES.admin, false)).toEqual([NOT_TOLD, NOT_TOLD, NOT_TOLD, NOT_TOLD]);
    const read = bitsOf(["READ", "DESCRIBE"]);
    expect(await told(ROLES.consume, true)).toEqual([read, 0, 0, read]);
  });

  test("[KFK-31] are always returned by DescribeTopicPartitions", async () => {
    const answer = await answerTo(clientWith(ROLES.read), "DescribeTopicPartitions", existing);
    expect(answer).toMatchObject({
      topics: [{ authorizedOperations: bitsOf(["READ", "DESCRIBE"]) }],
    });
  });
});

/** The rights of the columns of the access matrix. */
const COLUMNS: Readonly<Record<string, readonly Grant[]>> = {
  R: [{ topics: { prefix: "orders." }, operations: ["READ"] }],
  W: [{ topics: { prefix: "orders." }, operations: ["WRITE"] }],
  G: [{ groups: { prefix: "billing." }, operations: ["READ"] }],
  P: [
    { topics: { prefix: "other." }, operations: ["READ", "WRITE"] },
    { groups: { prefix: "other." }, operations: ["READ", "DESCRIBE"] },
  ],
  C: [
    { topics: { prefix: "orders." }, operations: ["READ"] },
    { groups: { prefix: "billing." }, operations: ["READ"] },
  ],
  A: ROLES.admin,
};

test.each(MATRIX)("[KFK-31] the access matrix: %s", async (name, codes) => {
  for (const [i, column] of Object.keys(COLUMNS).entries()) {
    const names = { topic: unique("orders.x"), group: unique("billing.x") };
    const client = clientWith(COLUMNS[column] ?? []);
    const refusals = refusalsIn(await answerTo(client, name, names));
    expect(refusals[0] ?? 0, column).toBe(codes[i]);
    // Each kind of resource is refused by itself.
    if (name.endsWith("Configs") && column !== "A") expect(refusals).toEqual([T, G, C]);
  }
});

// Logging in.

interface Authenticated {
  readonly errorCode: number;
  readonly errorMessage: string | null;
  readonly authBytes: Uint8Array;
  readonly sessionLifetimeMs: number;
}

/** Authenticates, from the handshake to the last response. For OAUTHBEARER, the password is the token. */
async function logIn(
  client: Kafka,
  mechanism: SaslMechanism,
  user: string,
  password: string,
): Promise<Authenticated> {
  const shaken = await client.ask(messages.SASL_HANDSHAKE, 1, { mechanism });
  expect(shaken).toEqual({ errorCode: NONE, mechanisms: SASL_MECHANISMS });
  const send = (authBytes: Uint8Array) =>
    client.ask<Authenticated>(messages.SASL_AUTHENTICATE, 2, { authBytes });
  if (mechanism === "PLAIN") return await send(bytes(`\0${user}\0${password}`));
  if (mechanism === "OAUTHBEARER")
    return await send(bytes(`n,,\x01auth=Bearer ${password}\x01\x01`));
  const first = await send(bytes(`n,,${bareOf(user)}`));
  if (first.errorCode !== NONE) return first;
  const hash = mechanism.replace("SCRAM-", "");
  const { message, serverFinal } = await clientFinal(hash, user, password, textOf(first.authBytes));
  const last = await send(message);
  if (last.errorCode === NONE) expect(textOf(last.authBytes)).toBe(serverFinal);
  return last;
}

/** An API key with these rights, in a Kafka client's form. */
async function keyWith(grants: readonly Grant[], expiresAtMs: number | null = null) {
  const made = { principal: `User:${unique("user")}`, grants, expiresAtMs };
  const { text, key } = await createKey(env, made);
  return { ...made, id: key.id, text, secret: text.slice(`rvk_${key.id}_`.length, -6) };
}

async function tokenOf(subject: string, grants: readonly Grant[], ttlMs = 60_000): Promise<string> {
  const asRoot = withCaller(CLOSED, callerWith(ROLES.admin));
  return (await createToken(asRoot, { grants, ttlMs, subject })).token;
}

const all = (client: Kafka) =>
  client.ask<{ topics: { name: string }[] }>(messages.METADATA, 12, { topics: null });

describe("a client that logs in", () => {
  test.each(SASL_MECHANISMS)(
    "[SASL-2] [SASL-3] [SASL-4] by %s is its key's principal",
    async (mechanism) => {
      const { name } = await createTopic(1);
      const { id, secret, text } = await keyWith([
        { topics: { exact: name }, operations: ["READ"] },
      ]);
      const client = Kafka.openWith(CLOSED);
      const isBearer = mechanism === "OAUTHBEARER";
      expect(await logIn(client, mechanism, id, isBearer ? text : secret)).toMatchObject({
        errorCode: NONE,
        sessionLifetimeMs: MAX_KAFKA_SESSION_MS,
      });
      expect((await all(client)).topics).toMatchObject([{ name }]);
    },
  );

  test.each(SASL_MECHANISMS)(
    "[SASL-2] [SASL-3] [SASL-4] by %s with the root key is root",
    async (mechanism) => {
      const client = Kafka.openWith(CLOSED);
      expect(await logIn(client, mechanism, "root", ROOT_KEY)).toMatchObject({ errorCode: NONE });
      const { errorCode } = await client.ask<{ errorCode: number }>(messages.INIT_PRODUCER_ID, 5, {
        transactionalId: null,
        transactionTimeoutMs: 1,
      });
      expect(errorCode).toBe(NONE);
    },
  );

  test.each(SASL_MECHANISMS)(
    "[SASL-1] by %s with anything wrong is refused alike, and disconnected",
    async (mechanism) => {
      const { id, secret } = await keyWith(ROLES.read);
      const messagesSeen = new Set<string | null>();
      for (const [user, password] of [
        [id, `${secret}x`],
        ["a".repeat(16), secret],
        ["nobody", secret],
        ["root", "not-the-root-key"],
      ] as const) {
        const client = Kafka.openWith(CLOSED);
        const startMs = performance.now();
        const answer = await logIn(client, mechanism, user, password);
        expect(answer).toMatchObject({ errorCode: WRONG, authBytes: new Uint8Array() });
        expect(performance.now() - startMs).toBeGreaterThanOrEqual(90);
        messagesSeen.add(answer.errorMessage);
        expect(await client.closed).toMatchObject({ code: 1000 });
      }
      expect(messagesSeen.size).toBe(1);
    },
  );

  test("[SASL-4] by an expired token, or one that somebody else signed, is refused", async () => {
    const token = await tokenOf("t", ROLES.read);
    const [head, body] = token.split(".");
    for (const wrong of [`${head}.${body}.${"A".repeat(86)}`, "x.y.z", "nothing"])
      expect(await logIn(Kafka.openWith(CLOSED), "OAUTHBEARER", "", wrong)).toMatchObject({
        errorCode: WRONG,
      });
    vi.useFakeTimers({ toFake: ["Date"] });
    vi.setSystemTime(Date.now() + 10 * 60_000);
    expect(await logIn(Kafka.openWith(CLOSED), "OAUTHBEARER", "", token)).toMatchObject({
      errorCode: WRONG,
    });
  });

  test("[SASL-1] is disconnected without a word if nobody can check it, and never told that it is wrong", async () => {
    const { id } = await keyWith(ROLES.read);
    const down = () => Promise.reject(new Error("out of reach"));
    const CLUSTER = { getByName: () => ({ apiKey: down, secret: down }) };
    const client = Kafka.openWith({ ...CLOSED, CLUSTER } as unknown as Env);
    await client.ask(messages.SASL_HANDSHAKE, 1, { mechanism: "PLAIN" });
    client.send(messages.SASL_AUTHENTICATE, 2, { authBytes: bytes(`\0${id}\0secret`) });
    await client.closed;
    expect(client.unreadBytes).toBe(0);
  });

  test.each(SASL_MECHANISMS)(
    "[APK-4] by %s while the cluster is unreachable is known if its key or token was",
    async (mechanism) => {
      const isBearer = mechanism === "OAUTHBEARER";
      const made = await keyWith(ROLES.read);
      const known = isBearer ? await tokenOf("t", ROLES.read) : made.secret;
      const unknown = await keyWith(ROLES.read);
      expect(await logIn(Kafka.openWith(CLOSED), mechanism, made.id, known)).toMatchObject({
        errorCode: NONE,
      });
      const down = new Proxy({}, { get: () => () => Promise.reject(new Error("out of reach")) });
      const cut = { ...CLOSED, CLUSTER: { getByName: () => down } } as unknown as Env;
      // The remembered data is old.
      for (const [id, { key }] of isolate.apiKeys)
        isolate.apiKeys.set(id, { key, atMs: Date.now() - 60_000 });
      const client = Kafka.openWith(cut);
      expect(await logIn(client, mechanism, made.id, known)).toMatchObject({ errorCode: NONE });
      const other = Kafka.openWith(cut);
      const password = isBearer ? unknown.text : unknown.secret;
      await expect(logIn(other, mechanism, unknown.id, password)).rejects.toThrow();
      expect((await other.closed).reason).not.toContain("SASL_AUTHENTICATION_FAILED");
      expect(other.unreadBytes).toBe(0);
    },
  );

  test("[SASL-1] to an open broker is its principal, and anybody before", async () => {
    const { name } = await createTopic(1);
    const { id, secret } = await keyWith([{ topics: { exact: name }, operations: ["READ"] }]);
    const client = Kafka.openWith({ ...bindings });
    expect((await all(client)).topics.length).toBeGreaterThan(1);
    expect(await logIn(client, "PLAIN", id, secret)).toMatchObject({ errorCode: NONE });
    expect((await all(client)).topics).toMatchObject([{ name }]);
  });

  test("[SASL-1] is no longer the principal that opened its WebSocket", async () => {
    const { name } = await createTopic(1);
    const { id, secret } = await keyWith([{ topics: { exact: name }, operations: ["READ"] }]);
    const client = clientWith(ROLES.admin);
    expect((await all(client)).topics.length).toBeGreaterThan(1);
    expect(await logIn(client, "SCRAM-SHA-256", id, secret)).toMatchObject({ errorCode: NONE });
    expect((await all(client)).topics).toMatchObject([{ name }]);
  });
});

describe("a handshake", () => {
  test("[SASL-1] for another mechanism is refused with the list", async () => {
    const client = Kafka.openWith(CLOSED);
    expect(await client.ask(messages.SASL_HANDSHAKE, 1, { mechanism: "GSSAPI" })).toEqual({
      errorCode: KAFKA_ERRORS.UNSUPPORTED_SASL_MECHANISM,
      mechanisms: SASL_MECHANISMS,
    });
    await client.closed;
  });

  test("[SASL-1] must come first", async () => {
    const client = Kafka.openWith(CLOSED);
    const answer = await client.ask(messages.SASL_AUTHENTICATE, 2, { authBytes: bytes("\0a\0b") });
    expect(answer).toMatchObject({ errorCode: KAFKA_ERRORS.ILLEGAL_SASL_STATE });
    await client.closed;
  });

  test.each([
    ["", ["SCRAM-SHA-256", "SCRAM-SHA-512"]],
    ["RIVULET_KAFKA_LOOPBACK", SASL_MECHANISMS],
    ["RIVULET_KAFKA_TLS", SASL_MECHANISMS],
    ["RIVULET_KAFKA_TLS_IN_FRONT", SASL_MECHANISMS],
  ] as const)(
    "[SASL-1] over TCP lists no mechanism that sends a secret in the clear: %s",
    async (variable, expected) => {
      const connection = new Connection({
        env: { ...CLOSED, [variable]: "1" },
        nodes: new Nodes([{ host: "h", port: 1 }], null),
        clientHost: "/",
        way: "tcp",
        end: () => {},
      });
      const ask = async (mechanism: string) => {
        const frame = encodeRequest(messages.SASL_HANDSHAKE, 1, { mechanism });
        const pieces = await connection.answer(frame);
        const answer = concatBytes(pieces);
        return decodeResponse(messages.SASL_HANDSHAKE, 1, answer.subarray(4));
      };
      expect(await ask("SCRAM-SHA-256")).toEqual({ errorCode: NONE, mechanisms: expected });
      const isTaken = expected.length === SASL_MECHANISMS.length;
      expect(await ask("PLAIN")).toEqual({
        errorCode: isTaken ? NONE : KAFKA_ERRORS.UNSUPPORTED_SASL_MECHANISM,
        mechanisms: expected,
      });
      expect(connection.isSpent).toBe(!isTaken);
      connection.close();
    },
  );
});

describe("before a log-in", () => {
  test.each(Object.keys(REQUESTS))("[KFK-22] %s closes the connection", async (name) => {
    const client = Kafka.openWith(CLOSED);
    await client.ask(messages.API_VERSIONS, 3, {});
    const [version, request] = REQUESTS[name] ?? [0, () => ({})];
    client.send(named(name), version, filled(request(existing)));
    expect((await client.closed).reason).toContain("ILLEGAL_SASL_STATE");
    expect(client.unreadBytes).toBe(0);
  });

  test("[KFK-22] [BND-12] no long request is accepted, and after it one is", async () => {
    const authBytes = new Uint8Array(524_288);
    const client = Kafka.openWith(CLOSED);
    client.send(messages.SASL_AUTHENTICATE, 2, { authBytes });
    expect((await client.closed).reason).toContain("the bound is 524288");
    const other = clientWith(ROLES.admin);
    await other.ask(messages.SASL_HANDSHAKE, 1, { mechanism: "PLAIN" });
    other.send(messages.SASL_AUTHENTICATE, 2, { authBytes: new Uint8Array(524_289) });
    expect((await other.closed).reason).toContain("authBytes has 524289 bytes");
  });

  test("[SASL-1] a WebSocket with a wrong credential is not opened, and one without must authenticate", async () => {
    const { kafka } = await import("../../src/worker/http/kafka.ts");
    const open = (headers: Record<string, string>) =>
      kafka.request(`${ORIGIN}/`, { headers: { upgrade: "websocket", ...headers } }, CLOSED, {
        waitUntil: () => {},
        passThroughOnException: () => {},
        props: {},
      } as never);
    const [good, none] = [{ authorization: `Bearer ${ROOT_KEY}` }, {}];
    for (const headers of [good, none]) {
      const { status, webSocket } = await open(headers);
      expect(status).toBe(101);
      webSocket?.accept();
      webSocket?.close();
    }
    expect((await open({ authorization: "Bearer wrong" })).status).not.toBe(101);
  });
});

describe("a session", () => {
  test("[SASL-5] continues when its client authenticates again as the same principal by the same mechanism", async () => {
    const client = Kafka.openWith(CLOSED);
    const subject = unique("subject");
    for (let i = 0; i < 2; i++) {
      const token = await tokenOf(subject, ROLES.read);
      const answer = await logIn(client, "OAUTHBEARER", "", token);
      expect(answer).toMatchObject({ errorCode: NONE });
      expect(answer.sessionLifetimeMs).toBeGreaterThan(50_000);
      expect(answer.sessionLifetimeMs).toBeLessThanOrEqual(60_000);
      await all(client);
    }
    const other = await tokenOf(unique("other"), ROLES.read);
    expect(await logIn(client, "OAUTHBEARER", "", other)).toMatchObject({ errorCode: WRONG });
    await client.closed;
  });

  test("[SASL-5] does not continue by another mechanism", async () => {
    const { id, secret } = await keyWith(ROLES.read);
    const client = Kafka.openWith(CLOSED);
    expect(await logIn(client, "PLAIN", id, secret)).toMatchObject({ errorCode: NONE });
    expect(await logIn(client, "SCRAM-SHA-512", id, secret)).toMatchObject({ errorCode: WRONG });
    await client.closed;
  });

  test.each([
    ["its credential", 60_000],
    ["a day", null],
  ])(
    "[SASL-5] ends with %s, and a client that authenticates again continues",
    async (_, lifetimeMs) => {
      const nowMs = Date.now();
      const { id, secret } = await keyWith(
        ROLES.read,
        lifetimeMs === null ? null : nowMs + lifetimeMs,
      );
      const longer = await keyWith(ROLES.read);
      const [late, renewing] = [Kafka.openWith(CLOSED), Kafka.openWith(CLOSED)];
      await logIn(late, "PLAIN", id, secret);
      await logIn(
        renewing,
        "PLAIN",
        ...(lifetimeMs === null ? ([id, secret] as const) : ([longer.id, longer.secret] as const)),
      );
      vi.useFakeTimers({ toFake: ["Date"] });
      vi.setSystemTime(nowMs + (lifetimeMs ?? MAX_KAFKA_SESSION_MS + 1_000));
      late.send(messages.METADATA, 12, { topics: null });
      expect((await late.closed).reason).toMatch(/SASL_AUTHENTICATION_FAILED/);
      expect(late.unreadBytes).toBe(0);
      if (lifetimeMs === null)
        expect(await logIn(renewing, "PLAIN", id, secret)).toMatchObject({ errorCode: NONE });
      expect(codesIn(await all(renewing))).not.toContain(WRONG);
    },
  );

  test("[SASL-5] that ends is not sent what a fetch waits for", async () => {
    const { name } = await createTopic(1);
    const caller = callerWith(ROLES.read, Date.now() + 300);
    const client = Kafka.openWith(withCaller(CLOSED, caller));
    const startMs = performance.now();
    const answer = await client.ask(messages.FETCH, 12, {
      maxWaitMs: 8_000,
      minBytes: 1,
      isolationLevel: 0,
      topics: partition(name, { fetchOffset: 0, partitionMaxBytes: 1_000 }),
    });
    expect(performance.now() - startMs).toBeLessThan(5_000);
    expect(codesIn(answer).at(-1)).not.toBe(NONE);
    client.send(messages.METADATA, 12, { topics: null });
    expect((await client.closed).reason).toContain("SASL_AUTHENTICATION_FAILED");
  });

  test("[SASL-5] has the rights that its key has now, and ends when the key is deleted", async () => {
    const { id, secret } = await keyWith(ROLES.admin);
    const client = Kafka.openWith(CLOSED);
    await logIn(client, "SCRAM-SHA-256", id, secret);
    expect((await all(client)).topics.length).toBeGreaterThan(0);
    await expectStatus(200, "PATCH", `/v1/keys/${id}`, { grants: [] });
    expect((await all(client)).topics).toEqual([]);
    await expectStatus(204, "DELETE", `/v1/keys/${id}`);
    client.send(messages.METADATA, 12, { topics: null });
    expect((await client.closed).reason).toContain("SASL_AUTHENTICATION_FAILED");
  });
});

test("[KFK-31] the test's grants are what they say", () => {
  const caller = { grants: allBut([{ type: "topic", operation: "DESCRIBE" }]) };
  expect(isAllowed(caller, "READ", { type: "topic", name: "t" })).toBe(false);
  expect(isAllowed(caller, "CREATE", { type: "topic", name: "t" })).toBe(true);
});
