// The beginning of topics and groups: the region in which their objects are requested, whoever calls first.
import { exports } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { clusterStub } from "../../src/env.ts";
import { forgetEverything } from "../../src/worker/edge/isolate.ts";
import * as messages from "../support/kafka-schemas.ts";
import { Kafka } from "./kafka-socket.ts";
import {
  call,
  env,
  evict,
  ORIGIN,
  recordBatch,
  TestSocket,
  type TopicJson,
  TWINS,
  unique,
} from "./support.ts";

const PARIS = { continent: "EU", country: "FR", longitude: "2.35" };
const SYDNEY = { continent: "OC", country: "AU", longitude: "151.2" };

/**
 * The regions in which objects with such a name were requested. Only the first call of a group says where it begins. Others
 * may have no region at hand, and need none.
 */
function regionsOf(namespace: "PARTITION" | "GROUP") {
  const asked = vi.spyOn(env[namespace], "getByName");
  return (name: string): Set<string | undefined> => {
    const calls = asked.mock.calls
      .filter(([of]) => of === name || of.startsWith(`${name}/`))
      .slice(0, namespace === "GROUP" ? 1 : undefined);
    return new Set(calls.map(([, options]) => options?.locationHint));
  };
}

beforeEach(forgetEverything);
afterEach(() => void vi.restoreAllMocks());

async function http<T>(
  from: object,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: T }> {
  const response = await exports.default.fetch(`${ORIGIN}${path}`, {
    method,
    headers,
    cf: from,
    ...(body === undefined
      ? {}
      : { body: body instanceof Uint8Array ? body : JSON.stringify(body) }),
  } as RequestInit);
  const text = await response.text();
  const isJson = response.headers.get("content-type")?.endsWith("json") === true;
  return {
    status: response.status,
    body: (isJson ? JSON.parse(text.split("\n")[0] ?? "") : text) as T,
  };
}

async function topicIn(from: object, config: object = {}, partitions = 1): Promise<TopicJson> {
  const name = unique("topic");
  const created = await http<TopicJson>(from, "POST", "/v1/topics", { name, partitions, config });
  expect(created.status).toBe(201);
  return created.body;
}

const regionShown = async (name: string) =>
  (await call<TopicJson>("GET", `/v1/topics/${name}`)).body.config["rivulet.region"];

describe("a topic is created", () => {
  const kafka =
    (from: object, config: object[] = []) =>
    async (name: string) => {
      const topics = [
        { name, numPartitions: 1, replicationFactor: 1, assignments: [], configs: config },
      ];
      await (await Kafka.open("", from)).ask(messages.CREATE_TOPICS, 5, {
        topics,
        timeoutMs: 1_000,
      });
    };
  const over =
    (from: object, config = {}) =>
    async (name: string) => {
      await http(from, "POST", "/v1/topics", { name, config });
    };
  const byAsking = async (name: string) => {
    const client = Kafka.openWith({ ...env, region: "sam", AUTO_CREATE_TOPICS_ENABLE: "true" });
    await client.ask(messages.METADATA, 8, { topics: [{ name }], allowAutoTopicCreation: true });
  };
  const inTheWest = [{ name: "rivulet.region", value: "wnam" }];

  test.each([
    ["over HTTP, where that comes from", over(PARIS), "weur"],
    ["over HTTP, where its config says", over(PARIS, { "rivulet.region": "afr" }), "afr"],
    [
      "over HTTP, where that comes from, if its config leaves it open",
      over(PARIS, { "rivulet.region": "" }),
      "weur",
    ],
    ["over HTTP from nobody knows where", over({}), ""],
    ["over Kafka's protocol, where that comes from", kafka(SYDNEY), "oc"],
    ["over Kafka's protocol, where its config says", kafka(SYDNEY, inTheWest), "wnam"],
    ["over Kafka's protocol by asking for it, where that comes from", byAsking, "sam"],
  ] as const)("[PLC-2] %s", async (_, create, region) => {
    const name = unique("topic");
    await create(name);
    expect(await regionShown(name)).toBe(region);
    await evict(clusterStub(env));
    forgetEverything();
    expect(await regionShown(name)).toBe(region);
    const regions = regionsOf("PARTITION");
    await http(SYDNEY, "POST", `/v1/topics/${name}/records`, { records: [{ value: 1 }] });
    const { topicId } = (await call<TopicJson>("GET", `/v1/topics/${name}`)).body;
    expect(regions(topicId)).toEqual(new Set([region === "" ? undefined : region]));
  });
});

describe("whoever calls a partition first, from elsewhere", () => {
  const records = { records: [{ value: 1 }] };
  const NDJSON = { "content-type": "application/x-ndjson", accept: "application/x-ndjson" };
  const send =
    (path: string, body: unknown, headers = {}) =>
    ({ name }: TopicJson) =>
      http(SYDNEY, "POST", `/v1/topics/${name}${path}`, body, headers);
  const socket = (path: (topic: TopicJson) => string) => async (topic: TopicJson) => {
    const opened = await TestSocket.open(path(topic), () => {}, SYDNEY);
    opened.send({ type: "attach", attachId: 1, offset: 0, windowBytes: 1_000 });
    await opened.next((_): _ is never => true);
  };
  const group = (query: string) => async (topic: TopicJson) => {
    const path = `/v1/groups/${unique("group")}/consume?${query.replace("NAME", topic.name)}`;
    const client = await TestSocket.open<{ type?: string }>(path, () => {}, SYDNEY);
    await client.next((each): each is never => (each as { type?: string }).type === "assigned");
  };
  const poll =
    (query: (name: string) => object) =>
    ({ name }: TopicJson) =>
      http(SYDNEY, "POST", `/v1/groups/${unique("group")}/poll`, {
        instanceId: "i",
        ...query(name),
      });

  test.each<[string, (topic: TopicJson) => Promise<unknown>]>([
    ["produces", send("/records", records)],
    ["produces lines", send("/records", records.records[0], NDJSON)],
    ["produces under a key", send("/records", records, { "idempotency-key": "k" })],
    ["produces a batch", send("/partitions/0/batches", recordBatch(["a"]))],
    [
      "reads and waits",
      ({ name }) => http(SYDNEY, "GET", `/v1/topics/${name}/partitions/0/records?waitMs=1`),
    ],
    ["opens a socket by name", socket(({ name }) => `/v1/topics/${name}/partitions/0/socket`)],
    [
      "opens a socket by id",
      socket(({ name, topicId }) => `/v1/topics/${name}/partitions/0/socket?topicId=${topicId}`),
    ],
    [
      "opens a stream",
      async ({ name }) => {
        const init = { cf: SYDNEY } as RequestInit;
        const { body } = await exports.default.fetch(`${ORIGIN}/v1/topics/${name}/stream`, init);
        const reader = body?.getReader();
        for (let text = ""; !text.includes("id:"); )
          text += new TextDecoder().decode((await reader?.read())?.value);
        await reader?.cancel();
      },
    ],
    ["consumes by name", group("topics=NAME&from=earliest")],
    ["consumes by a pattern", group("pattern=NAME&from=earliest")],
    ["polls by name", poll((name) => ({ topics: [name] }))],
    ["polls by a pattern", poll((name) => ({ topics: [], pattern: name }))],
    [
      "produces over Kafka's protocol",
      async ({ name }) => {
        const partitions = [{ partition: 0, records: [recordBatch(["a"])] }];
        const kafka = await Kafka.open("", SYDNEY);
        await kafka.ask(messages.PRODUCE, 8, {
          acks: -1,
          timeoutMs: 1,
          topics: [{ name, partitions }],
        });
      },
    ],
    [
      "fetches over Kafka's protocol",
      async ({ name }) => {
        const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1_000 }];
        const kafka = await Kafka.open("", SYDNEY);
        await kafka.ask(messages.FETCH, 12, {
          maxWaitMs: 1,
          minBytes: 1,
          topics: [{ name, partitions }],
        });
      },
    ],
  ])("[PLC-2] a caller that %s requests it in its topic's region", async (_, use) => {
    const topic = await topicIn(PARIS);
    forgetEverything();
    const regions = regionsOf("PARTITION");
    await use(topic);
    expect(regions(topic.topicId)).toEqual(new Set(["weur"]));
  });

  test.each(TWINS)(
    "[PLC-2] the same holds for partitions added later$when",
    async ({ interrupt }) => {
      const { name, topicId } = await topicIn(PARIS);
      await http(SYDNEY, "PATCH", `/v1/topics/${name}`, { partitions: 3 });
      await interrupt(clusterStub(env));
      forgetEverything();
      const regions = regionsOf("PARTITION");
      await http(SYDNEY, "POST", `/v1/topics/${name}/records`, {
        records: [{ value: 1, partition: 2 }],
      });
      expect(regions(topicId)).toEqual(new Set(["weur"]));
    },
  );
});

describe("a topic's region", () => {
  const refused = {
    status: 400,
    body: {
      code: "INVALID_CONFIG",
      detail: expect.stringMatching(/stays there; it can only be set when it is created/),
    },
  };

  test.each([
    ["another", "eeur", refused],
    ["none", null, refused],
    ["the empty one", "", refused],
    [
      "what is no region",
      "europe",
      {
        status: 400,
        body: { code: "INVALID_CONFIG", detail: expect.stringMatching(/must be wnam, /) },
      },
    ],
    ["the same", "afr", { status: 200, body: { config: { "rivulet.region": "afr" } } }],
  ])("[PLC-2] that was set does not become %s", async (_, value, answer) => {
    const { name } = await topicIn(PARIS, { "rivulet.region": "afr" });
    const config = { "rivulet.region": value, "retention.ms": 70_000 };
    expect(await http(PARIS, "PATCH", `/v1/topics/${name}`, { config })).toMatchObject(answer);
    const { body } = await call<TopicJson>("GET", `/v1/topics/${name}`);
    const isChanged = answer.status === 200;
    expect(body.config).toMatchObject({
      "rivulet.region": "afr",
      "retention.ms": isChanged ? 70_000 : 604_800_000,
    });
  });

  test.each([
    ["another", "eeur", 400],
    ["none", null, 200],
    ["the same", "weur", 200],
  ])("[PLC-2] that its creator had does not become %s", async (_, value, status) => {
    const { name } = await topicIn(PARIS);
    const config = { "rivulet.region": value };
    expect(await http(SYDNEY, "PATCH", `/v1/topics/${name}`, { config })).toMatchObject({ status });
    expect(await regionShown(name)).toBe("weur");
  });

  test.each([true, false])(
    "[PLC-2] cannot be altered by Kafka clients, and leaving it out leaves it (validateOnly %s)",
    async (validateOnly) => {
      const { name } = await topicIn(PARIS, { "rivulet.region": "afr" });
      const kafka = await Kafka.open();
      const ask = async (
        api: typeof messages.ALTER_CONFIGS,
        version: number,
        configs: object[],
      ) => {
        const resources = [{ resourceType: 2, resourceName: name, configs }];
        const answer = await kafka.ask<{ resources: { errorCode: number }[] }>(api, version, {
          resources,
          validateOnly,
        });
        return answer.resources[0]?.errorCode;
      };
      const INVALID_CONFIG = 40;
      const { ALTER_CONFIGS, INCREMENTAL_ALTER_CONFIGS } = messages;
      const set = (value: string | null) => [
        { name: "rivulet.region", operation: value === null ? 1 : 0, value },
      ];
      expect(await ask(INCREMENTAL_ALTER_CONFIGS, 1, set("oc"))).toBe(INVALID_CONFIG);
      expect(await ask(INCREMENTAL_ALTER_CONFIGS, 1, set(null))).toBe(INVALID_CONFIG);
      expect(await ask(INCREMENTAL_ALTER_CONFIGS, 1, set("afr"))).toBe(0);
      expect(await ask(ALTER_CONFIGS, 1, set("oc"))).toBe(INVALID_CONFIG);
      expect(await ask(ALTER_CONFIGS, 1, [{ name: "retention.ms", value: "70000" }])).toBe(0);
      expect(await regionShown(name)).toBe("afr");
    },
  );

  test("[PLC-2] is chosen for a topic, not for all of them", async () => {
    const config = { "rivulet.region": "oc" };
    const answer = await http(PARIS, "PATCH", "/v1/configs", { config });
    expect(answer).toMatchObject({ status: 400, body: { code: "INVALID_CONFIG" } });
    expect(
      (await http(PARIS, "PATCH", "/v1/configs", { config: { "rivulet.region": null } })).status,
    ).toBe(200);
    expect(await regionShown((await topicIn({})).name)).toBe("");
  });
});

describe("a group", () => {
  const member = { memberId: "", groupInstanceId: null };
  const kafka =
    (api: typeof messages.JOIN_GROUP, version: number, request: (topic: string) => object) =>
    async (groupId: string, topic: string) => {
      await (await Kafka.open("", SYDNEY)).ask(api, version, { groupId, ...request(topic) });
    };

  test.each<[string, (group: string, topic: string) => Promise<unknown>]>([
    [
      "a socket",
      async (group) => {
        const opened = await TestSocket.open(`/v1/groups/${group}/socket`, () => {}, SYDNEY);
        await opened.untilPong();
      },
    ],
    [
      "a plain consumer",
      async (group, topic) => {
        const client = await TestSocket.open(
          `/v1/groups/${group}/consume?topics=${topic}`,
          () => {},
          SYDNEY,
        );
        await client.next((_): _ is never => true);
      },
    ],
    [
      "a poll",
      (group, topic) =>
        http(SYDNEY, "POST", `/v1/groups/${group}/poll`, { instanceId: "i", topics: [topic] }),
    ],
    ["a config", (group) => http(SYDNEY, "PATCH", `/v1/groups/${group}`, { config: {} })],
    [
      "JoinGroup",
      kafka(messages.JOIN_GROUP, 5, () => ({
        ...member,
        sessionTimeoutMs: 9_000,
        rebalanceTimeoutMs: 9_000,
        protocolType: "consumer",
        protocols: [{ name: "range", metadata: [] }],
      })),
    ],
    [
      "ConsumerGroupHeartbeat",
      kafka(messages.CONSUMER_GROUP_HEARTBEAT, 0, (topic) => ({
        memberId: "m",
        memberEpoch: 0,
        instanceId: null,
        rackId: null,
        rebalanceTimeoutMs: 9_000,
        subscribedTopicNames: [topic],
        serverAssignor: null,
        topicPartitions: [],
      })),
    ],
    [
      "OffsetCommit",
      kafka(messages.OFFSET_COMMIT, 7, (name) => ({
        ...member,
        generationId: -1,
        topics: [
          { name, partitions: [{ partition: 0, committedOffset: 0, committedMetadata: "" }] },
        ],
      })),
    ],
  ])("[PLC-2] begins in the region of its creator with %s", async (_, make) => {
    const { name } = await topicIn(PARIS);
    const group = unique("group");
    const regions = regionsOf("GROUP");
    await make(group, name);
    expect(regions(group)).toEqual(new Set(["oc"]));
  });

  test.each(["HTTP", "Kafka's protocol"])(
    "[PLC-2] begins where its config says, over %s, and stays there",
    async (way) => {
      const group = unique("group");
      const regions = regionsOf("GROUP");
      const client = await Kafka.open("", SYDNEY);
      const set = async (value: string | null) => {
        if (way === "HTTP") {
          const config = { "rivulet.region": value };
          return (await http(SYDNEY, "PATCH", `/v1/groups/${group}`, { config })).status === 200;
        }
        const configs = [{ name: "rivulet.region", operation: value === null ? 1 : 0, value }];
        const resources = [{ resourceType: 32, resourceName: group, configs }];
        const answer = await client.ask<{ resources: { errorCode: number }[] }>(
          messages.INCREMENTAL_ALTER_CONFIGS,
          1,
          { resources, validateOnly: false },
        );
        return answer.resources[0]?.errorCode === 0;
      };
      expect(await set("europe")).toBe(false);
      expect(regions(group)).toEqual(new Set());
      expect(await set("sam")).toBe(true);
      expect(regions(group)).toEqual(new Set(["sam"]));
      expect([await set("afr"), await set(null), await set(""), await set("sam")]).toEqual([
        false,
        false,
        false,
        true,
      ]);
      const { body } = await call<{ config: object }>("GET", `/v1/groups/${group}/config`);
      expect(body.config).toMatchObject({ "rivulet.region": "sam" });
    },
  );

  test("[PLC-2] that began without one keeps none", async () => {
    const group = unique("group");
    await http(SYDNEY, "PATCH", `/v1/groups/${group}`, { config: {} });
    const answer = await http(SYDNEY, "PATCH", `/v1/groups/${group}`, {
      config: { "rivulet.region": "oc" },
    });
    expect(answer).toMatchObject({
      status: 400,
      body: {
        code: "INVALID_CONFIG",
        detail: expect.stringContaining("is where it was created from and stays there"),
      },
    });
  });
});
