// CreateTopics, DeleteTopics, CreatePartitions, DeleteRecords.
import { changeOverrides, configByKey, resolveConfig } from "../../core/cluster/config.ts";
import { checkPartitionCount, checkTopicName, type Topic } from "../../core/cluster/topics.ts";
import { BrokerError, ERRORS, errorOf, KAFKA_ERRORS, unwrap } from "../../core/errors.ts";
import { forget, remember } from "../../edge/metadata.ts";
import { clusterStub, type Env, partitionStub } from "../../env.ts";
import { numPartitions } from "../broker-config.ts";
import { answerEach, atLeader, eachPartition, type RequestContext, service } from "../context.ts";
import { distinct, distinctPartitions, namedTwice, repeated } from "../distinct.ts";
import { KafkaError, NO_ERROR, type Told, told, toldOf } from "../errors.ts";
import { keptConfigs } from "../kafka-configs.ts";
import {
  CREATE_PARTITIONS,
  CREATE_TOPICS,
  DELETE_RECORDS,
  DELETE_TOPICS,
  type RequestOf,
} from "../messages.ts";
import { ZERO_UUID } from "../wire.ts";
import { entries, SOURCES } from "./configs.ts";

type NewTopic = RequestOf<typeof CREATE_TOPICS>["topics"][number];

export const createTopics = service(CREATE_TOPICS, async ({ topics, validateOnly }, context) => ({
  topics: await changeEach(context, topics, async (topic) => ({
    name: topic.name,
    ...((wrongIn(topic) ?? (await toldOf(() => create(context.env, topic, validateOnly)))) as Told),
  })),
}));

/** Changes each topic independently. A topic that is named twice is not changed at all, as in Kafka. */
function changeEach<T extends { readonly name: string }, R>(
  context: RequestContext,
  topics: readonly T[],
  change: (topic: T) => Promise<R>,
) {
  const nameOf = ({ name }: T) => name;
  const twice = repeated(topics, nameOf);
  return answerEach(context, distinct(topics, nameOf), async (topic) => {
    const { name } = topic;
    return twice.has(name) ? { name, ...namedTwice(`topic ${name}`) } : change(topic);
  });
}

/**
 * Returns what is wrong with a new topic, or null. There is always one replica, however the platform copies its data.
 */
function wrongIn({ numPartitions, replicationFactor, assignments }: NewTopic): Told | null {
  if (assignments.length > 0) {
    const named = new Set(assignments.map(({ partition }) => partition));
    const isWhole = named.size === assignments.length && assignments.every((_, i) => named.has(i));
    if (numPartitions === -1 && replicationFactor === -1 && isWhole) return null;
    return {
      errorCode: KAFKA_ERRORS.INVALID_REPLICA_ASSIGNMENT,
      errorMessage:
        "assignments must name each of the partitions from 0 on once, in any order, and go with numPartitions and replicationFactor -1",
    };
  }
  if (replicationFactor === -1 || replicationFactor > 0) return null;
  return {
    errorCode: KAFKA_ERRORS.INVALID_REPLICATION_FACTOR,
    errorMessage: `replicationFactor is ${replicationFactor}, it must be -1 or more than 0`,
  };
}

async function create(env: Env, topic: NewTopic, validateOnly: boolean) {
  const { name, assignments, configs } = topic;
  const asked = assignments.length > 0 ? assignments.length : topic.numPartitions;
  const partitions = asked === -1 ? numPartitions(env) : asked;
  const config = Object.fromEntries(keptConfigs(configs).map((each) => [each.name, each.value]));
  const shown = { numPartitions: partitions, replicationFactor: 1 };
  if (validateOnly) {
    const { overrides } = await checkNew(env, name, partitions, config);
    const { overrides: defaults } = await clusterStub(env).defaults();
    const resolved = { config: resolveConfig(defaults, overrides), overrides };
    return { ...shown, configs: shownConfigs(resolved) };
  }
  const made = unwrap(await clusterStub(env).createTopic(name, partitions, config)).topic;
  remember(made);
  return { ...shown, topicId: made.topicId, configs: shownConfigs(made) };
}

/** Checks a new topic as the cluster would, without creating it. */
async function checkNew(env: Env, name: string, partitions: number, config: object) {
  const invalid = checkTopicName(name) ?? checkPartitionCount(partitions);
  if (invalid !== null) throw errorOf(invalid);
  if ((await clusterStub(env).topic(name)).ok)
    throw new BrokerError("TOPIC_ALREADY_EXISTS", `topic ${name} exists`);
  return unwrap(changeOverrides({}, { ...config }));
}

function shownConfigs({ config, overrides }: Pick<Topic, "config" | "overrides">) {
  return entries({ config: configByKey(config), overrides, source: SOURCES.topic });
}

export const deleteTopics = service(DELETE_TOPICS, async ({ topics, topicNames }, context) => {
  const named = topicNames.map((name) => ({ name: name as string | null, topicId: ZERO_UUID }));
  // [KFK-25] An id may come with an empty name.
  const byId = topics.map((one) =>
    one.topicId === ZERO_UUID ? one : { ...one, name: one.name || null },
  );
  const all = context.version < 6 ? named : byId;
  const keyOf = ({ name, topicId }: (typeof all)[number]) => name ?? `id ${topicId}`;
  const twice = repeated(all, keyOf);
  return {
    topics: await answerEach(context, distinct(all, keyOf), async (topic) => ({
      ...topic,
      ...(twice.has(keyOf(topic))
        ? namedTwice(`topic ${keyOf(topic)}`)
        : await toldOf(() => remove(context.env, topic))),
    })),
  };
});

async function remove(env: Env, { name, topicId }: { name: string | null; topicId: string }) {
  if (name !== null && topicId !== ZERO_UUID)
    throw new BrokerError(
      "INVALID_REQUEST",
      `name is ${name} and topicId is ${topicId}, a topic must be named by one of them`,
    );
  const found = name ?? (await nameOf(env, topicId));
  forget(found);
  unwrap(await clusterStub(env).deleteTopic(found));
  return { name: found };
}

async function nameOf(env: Env, topicId: string): Promise<string> {
  const found = await clusterStub(env).topicById(topicId);
  if (found.ok) return found.topic.name;
  // Clients that name the topic by its id know this error by its own code.
  throw new KafkaError(ERRORS.UNKNOWN_TOPIC_ID.code, found.detail);
}

export const createPartitions = service(
  CREATE_PARTITIONS,
  async ({ topics, validateOnly }, context) => ({
    topics: await changeEach(context, topics, async ({ name, count, assignments }) => ({
      name,
      ...(await toldOf(() => grow(context.env, { name, count, assignments }, validateOnly))),
    })),
  }),
);

type Growth = RequestOf<typeof CREATE_PARTITIONS>["topics"][number];

async function grow(env: Env, { name, count, assignments }: Growth, validateOnly: boolean) {
  const { topic } = unwrap(await clusterStub(env).topic(name));
  if (count <= topic.partitions)
    throw new BrokerError(
      "INVALID_PARTITIONS",
      `count is ${count}, topic ${name} has ${topic.partitions} partitions already; they only grow`,
    );
  const added = count - topic.partitions;
  if (assignments !== null && assignments.length !== added)
    throw new KafkaError(
      KAFKA_ERRORS.INVALID_REPLICA_ASSIGNMENT,
      `there are ${assignments.length} assignments, count ${count} adds ${added} partitions to topic ${name}`,
    );
  if (validateOnly) return {};
  const altered = await clusterStub(env).alterTopic(name, { partitions: count });
  remember(unwrap(altered).topic);
  return {};
}

/** The special offset that deletes everything up to the end of the log. */
const TO_THE_END = -1;

/** DeleteRecords. If a partition is named twice, the last one counts, as in Kafka. */
export const deleteRecords = service(DELETE_RECORDS, async (request, context) => {
  const topics = distinctPartitions(
    request.topics,
    ({ name }) => name,
    ({ partition }) => partition,
  );
  return {
    topics: await eachPartition(context, topics, (name, { partition, offset }) =>
      deleteBefore(context, name, partition, offset),
    ),
  };
});

async function deleteBefore(
  context: RequestContext,
  topic: string,
  partition: number,
  offset: number,
) {
  try {
    return await atLeader(context, topic, partition, async (topicId) => {
      const stub = partitionStub(context.env, topicId, partition);
      const before = offset === TO_THE_END ? unwrap(await stub.offsets()).highWatermark : offset;
      if (before < 0)
        throw new BrokerError("OFFSET_OUT_OF_RANGE", `offset is ${offset}, it must be -1 or more`);
      const { logStartOffset } = unwrap(await stub.deleteRecords(before));
      return { partition, lowWatermark: logStartOffset, errorCode: NO_ERROR.errorCode };
    });
  } catch (error) {
    return { partition, lowWatermark: -1, errorCode: told(error).errorCode };
  }
}
