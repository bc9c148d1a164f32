// Topics that are created because a Kafka client requests them.
import { expect, test } from "vitest";
import { START_CONFIGS } from "../../src/core/cluster/config.ts";
import { ERRORS, KAFKA_ERRORS } from "../../src/core/errors.ts";
import { DEFAULT_PARTITIONS, MAX_PARTITIONS_PER_TOPIC } from "../../src/core/limits.ts";
import { clusterStub } from "../../src/env.ts";
import * as messages from "../support/kafka-schemas.ts";
import { Kafka } from "./kafka-socket.ts";
import { call, createTopic, env, TWINS, unique } from "./support.ts";

const { NONE } = KAFKA_ERRORS;
const UNKNOWN = ERRORS.UNKNOWN_TOPIC_OR_PARTITION.code;

interface Metadata {
  readonly topics: readonly {
    readonly errorCode: number;
    readonly name: string | null;
    readonly topicId: string;
    readonly partitions: readonly unknown[];
  }[];
}

const ON = { AUTO_CREATE_TOPICS_ENABLE: "true", NUM_PARTITIONS: "3" };
const NO_ID = "00000000-0000-0000-0000-000000000000";

async function metadata(
  variables: object,
  topics: readonly { name: string | null; topicId: string }[] | null,
  { version = 12, allowAutoTopicCreation = true } = {},
) {
  const kafka = Kafka.openWith({ ...env, ...variables });
  const request = { topics, allowAutoTopicCreation };
  const told = await kafka.ask<Metadata>(messages.METADATA, version, request);
  return told.topics;
}

function named(...names: string[]) {
  return names.map((name) => ({ name, topicId: NO_ID }));
}

async function exists(name: string): Promise<boolean> {
  return (await call("GET", `/v1/topics/${name}`)).status === 200;
}

test.each(TWINS)(
  "[KFK-23] a topic that a client requests is created, once, and returned at once$when",
  async ({ interrupt }) => {
    const [name, other] = [unique("auto"), unique("auto")];
    const both = await Promise.all([metadata(ON, named(name)), metadata(ON, named(name, other))]);
    expect(both.flat()).toMatchObject(
      [name, name, other].map((each) => ({ name: each, errorCode: NONE })),
    );
    await interrupt(clusterStub(env));
    const [again] = await metadata(ON, named(name));
    expect(again).toMatchObject({ topicId: both[0][0]?.topicId });
    expect(again?.partitions).toHaveLength(3);
  },
);

test.each([
  ["is not set", {}, {}],
  ["is false", { AUTO_CREATE_TOPICS_ENABLE: "false" }, {}],
  ["is no flag", { AUTO_CREATE_TOPICS_ENABLE: "yes" }, {}],
  ["is true and the client does not want it", ON, { allowAutoTopicCreation: false }],
])("[KFK-23] nothing is created if the flag %s", async (_, variables, options) => {
  const name = unique("auto");
  expect(await metadata(variables, named(name), options)).toMatchObject([{ errorCode: UNKNOWN }]);
  expect(await exists(name)).toBe(false);
});

test("[KFK-23] a version that cannot say whether it wants creation gets it, as in Kafka", async () => {
  const name = unique("auto");
  expect(await metadata(ON, named(name), { version: 1 })).toMatchObject([{ errorCode: NONE }]);
  expect(await exists(name)).toBe(true);
});

test("[KFK-23] a bad name, a topic id and a list of all topics create nothing", async () => {
  const topicId = crypto.randomUUID();
  expect(await metadata(ON, named("no such topic"))).toMatchObject([
    { errorCode: ERRORS.INVALID_TOPIC_EXCEPTION.code },
  ]);
  const [byId] = await metadata(ON, [{ name: null, topicId }]);
  expect(byId?.errorCode).not.toBe(NONE);
  const { body: before } = await call<{ topics: unknown[] }>("GET", "/v1/topics");
  await metadata(ON, null);
  const { body: after } = await call<{ topics: unknown[] }>("GET", "/v1/topics");
  expect(after.topics.length).toBe(before.topics.length);
});

test("[KFK-23] of more than a hundred topics the missing ones are created", async () => {
  const { name } = await createTopic(1);
  const missing = Array.from({ length: 101 }, () => unique("auto"));
  const topics = await metadata(ON, named(name, ...missing));
  expect(topics.map((topic) => [topic.name, topic.partitions.length])).toEqual([
    [name, 1],
    ...missing.map((each) => [each, 3]),
  ]);
});

test.each([0, -1, 1.5, MAX_PARTITIONS_PER_TOPIC + 1, "many"])(
  "[KFK-23] if NUM_PARTITIONS is %s nothing is created",
  async (count) => {
    const name = unique("auto");
    const variables = { ...ON, NUM_PARTITIONS: String(count) };
    expect(await metadata(variables, named(name))).toMatchObject([{ errorCode: UNKNOWN }]);
    expect(await exists(name)).toBe(false);
  },
);

test("[KFK-23] CreateTopics without a number of partitions takes NUM_PARTITIONS", async () => {
  const name = unique("auto");
  const kafka = Kafka.openWith({ ...env, ...ON });
  const topic = { name, numPartitions: -1, replicationFactor: -1, assignments: [], configs: [] };
  const request = { topics: [topic], timeoutMs: 1_000, validateOnly: false };
  expect(await kafka.ask(messages.CREATE_TOPICS, 7, request)).toMatchObject({
    topics: [{ name, errorCode: NONE, numPartitions: 3 }],
  });
});

test.each([
  { set: "both", variables: ON, values: ["true", "1", "3"], sources: [4, 5, 4] },
  {
    set: "nothing",
    variables: {},
    values: ["false", "1", String(DEFAULT_PARTITIONS)],
    sources: [5, 5, 5],
  },
])("[KFK-30] the broker's configs show it, read-only, with $set set", async (each) => {
  const kafka = Kafka.openWith({ ...env, ...each.variables });
  const names = START_CONFIGS;
  const { results } = await kafka.ask<{ readonly results: readonly { configs: object[] }[] }>(
    messages.DESCRIBE_CONFIGS,
    4,
    {
      resources: [{ resourceType: 4, resourceName: "1", configurationKeys: names }],
      includeSynonyms: false,
      includeDocumentation: true,
    },
  );
  expect(results[0]?.configs).toMatchObject(
    names.map((name, i) => ({
      name,
      value: each.values[i],
      readOnly: true,
      configSource: each.sources[i],
      documentation: expect.stringMatching(/\w/),
    })),
  );
});

test.each(START_CONFIGS)(
  "[KFK-30] %s cannot be changed on any interface, and the error says why",
  async (name) => {
    const topic = await createTopic(1);
    const kafka = Kafka.openWith({ ...env, ...ON });
    const detail = `config ${name} is read-only: it is set when the broker starts`;
    const code = "INVALID_CONFIG";
    for (const [resourceType, resourceName] of [
      [4, "1"],
      [2, topic.name],
    ] as const) {
      const refused = { resources: [{ errorCode: ERRORS[code].code, errorMessage: detail }] };
      const of = (config: object) => ({
        resources: [{ resourceType, resourceName, configs: [{ name, ...config }] }],
        validateOnly: false,
      });
      const set = of({ value: "2" });
      expect(await kafka.ask(messages.ALTER_CONFIGS, 1, set)).toMatchObject(refused);
      for (const change of [of({ operation: 0, value: "2" }), of({ operation: 1, value: null })])
        expect(await kafka.ask(messages.INCREMENTAL_ALTER_CONFIGS, 1, change)).toMatchObject(
          refused,
        );
    }
    for (const path of ["/v1/configs", `/v1/topics/${topic.name}`])
      expect(await call("PATCH", path, { config: { [name]: 2 } })).toMatchObject({
        status: 400,
        body: { code, detail },
      });
  },
);
