// CreateTopics (API key 19), versions 0 to 7: creates topics.
// v1 adds `validateOnly`, and `errorMessage` to the answer.
// v2 adds `throttleTimeMs` to the answer.
// v3 answers a client before it is throttled (KIP-219).
// v4 accepts -1 for `numPartitions` and `replicationFactor`, which means the defaults (KIP-464).
// v5 makes fields flexible (KIP-482), and adds partitions, replicas and configs to the answer (KIP-525).
// v6 may answer THROTTLING_QUOTA_EXCEEDED (KIP-599).
// v7 adds `topicId` to the answer (KIP-516).
//
// Unlike Kafka:
// - Any replication factor is accepted, and the answer says 1. Assignments only determine the number of partitions.
// - Configs that always have the same value here are accepted and not stored (kafka-configs.ts).
// - A caller that may not describe the configs of a new topic gets none. No field says why (`topicConfigErrorCode`).
// - `timeoutMs` is ignored: a change is made when its answer comes.

import { changeOverrides, configByKey } from "../../../core/cluster/config.ts";
import {
  resolveTopic,
  type Topic,
  whyNotPartitionCount,
  whyNotTopicName,
} from "../../../core/cluster/topics.ts";
import { BrokerError, errorOf, KAFKA_ERRORS, unwrap } from "../../../core/errors.ts";
import { regionSet } from "../../../core/placement.ts";
import { clusterStub, type Env } from "../../../env.ts";
import { assertMayCreateTopic, seesTopic } from "../../edge/authorize.ts";
import { createTopic } from "../../edge/topics.ts";
import { api, type RequestOf } from "../api.ts";
import { numPartitions } from "../broker-config.ts";
import { changeEach } from "../change-each.ts";
import { configEntries, SOURCES } from "../config-entries.ts";
import { service } from "../context.ts";
import { KafkaError } from "../errors.ts";
import { keptConfigs } from "../kafka-configs.ts";
import {
  array,
  boolean,
  int8,
  int16,
  int32,
  message,
  nullableArray,
  nullableString,
  since,
  string,
  struct,
  topicName,
  uuid,
} from "../schema.ts";

const createdConfig = struct({
  name: string,
  value: nullableString,
  readOnly: boolean,
  configSource: int8,
  isSensitive: boolean,
});

export const CREATE_TOPICS = api({
  key: 19,
  name: "CreateTopics",
  versions: [0, 7],
  flexibleFrom: 5,
  request: struct({
    topics: array(
      struct({
        name: topicName,
        numPartitions: int32,
        replicationFactor: int16,
        assignments: array(struct({ partition: int32, brokerIds: array(int32) })),
        configs: array(struct({ name: string, value: nullableString })),
      }),
    ),
    timeoutMs: int32,
    validateOnly: since(1, boolean),
  }),
  response: struct({
    throttleTimeMs: since(2, int32),
    topics: array(
      struct({
        name: string,
        topicId: since(7, uuid),
        errorCode: int16,
        errorMessage: since(1, message),
        numPartitions: since(5, int32, -1),
        replicationFactor: since(5, int16, -1),
        configs: since(5, nullableArray(createdConfig), []),
      }),
    ),
  }),
});

type NewTopic = RequestOf<typeof CREATE_TOPICS>["topics"][number];

export const createTopics = service(CREATE_TOPICS, async ({ topics, validateOnly }, context) => ({
  topics: await changeEach(
    context,
    topics,
    ({ name }) => ({ key: name, shown: `topic ${name}`, fields: { name } }),
    async (topic) => {
      assertMayCreateTopic(context.env, topic.name);
      assertReplicas(topic);
      return create(context.env, topic, validateOnly);
    },
  ),
}));

/** Checks the replicas of a new topic. There is always one, however the platform copies its data. */
function assertReplicas({ numPartitions, replicationFactor, assignments }: NewTopic): void {
  if (assignments.length > 0) {
    const named = new Set(assignments.map(({ partition }) => partition));
    const isWhole = named.size === assignments.length && assignments.every((_, i) => named.has(i));
    if (numPartitions === -1 && replicationFactor === -1 && isWhole) return;
    throw new KafkaError(
      KAFKA_ERRORS.INVALID_REPLICA_ASSIGNMENT,
      "assignments must name each partition from 0 once, in any order, and require numPartitions and replicationFactor to be -1",
    );
  }
  if (replicationFactor === -1 || replicationFactor > 0) return;
  throw new KafkaError(
    KAFKA_ERRORS.INVALID_REPLICATION_FACTOR,
    `replicationFactor is ${replicationFactor}, it must be -1 or more than 0`,
  );
}

async function create(env: Env, topic: NewTopic, validateOnly: boolean) {
  const { name, assignments, configs } = topic;
  const asked = assignments.length > 0 ? assignments.length : topic.numPartitions;
  const partitions = asked === -1 ? numPartitions(env) : asked;
  const config = Object.fromEntries(keptConfigs(configs).map((each) => [each.name, each.value]));
  const shown = { numPartitions: partitions, replicationFactor: 1 };
  if (validateOnly) {
    const { overrides } = await overridesOfNewTopic(env, name, partitions, config);
    const { overrides: defaults } = await clusterStub(env).defaults();
    const made = { name, topicId: "", partitions, initialPartitions: partitions };
    const region = regionSet(overrides) ?? env.region;
    const resolved = resolveTopic({ ...made, region, overrides, defaults });
    return { ...shown, configs: shownConfigs(env, resolved) };
  }
  const request = { name, partitions, overrides: config };
  const { topic: made } = unwrap(await createTopic(env, request));
  return { ...shown, topicId: made.topicId, configs: shownConfigs(env, made) };
}

/** Checks a new topic as the cluster would, without creating it. */
async function overridesOfNewTopic(env: Env, name: string, partitions: number, config: object) {
  const invalid = whyNotTopicName(name) ?? whyNotPartitionCount(partitions);
  if (invalid !== null) throw errorOf(invalid);
  if ((await clusterStub(env).topic({ name })).ok)
    throw new BrokerError("TOPIC_ALREADY_EXISTS", `topic ${name} exists`);
  return unwrap(changeOverrides({}, { ...config }));
}

function shownConfigs(
  env: Env,
  { name, config, overrides }: Pick<Topic, "name" | "config" | "overrides">,
) {
  if (!seesTopic(env, name, "DESCRIBE_CONFIGS")) return [];
  return configEntries({ config: configByKey(config), overrides, source: SOURCES.topic });
}
