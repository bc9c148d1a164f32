// CreatePartitions (API key 37), versions 0 to 3: adds partitions to topics.
// v1 answers a client before it is throttled (KIP-219).
// v2 makes fields flexible (KIP-482).
// v3 may answer THROTTLING_QUOTA_EXCEEDED (KIP-599).
//
// Unlike Kafka:
// - Only the number of assignments is checked against the added partitions. A partition has one replica, wherever they
//   put it.
// - `timeoutMs` is ignored: a change is made when its answer comes.

import { BrokerError, KAFKA_ERRORS } from "../../../core/errors.ts";
import type { Env } from "../../../env.ts";
import { assertMayUseTopic } from "../../edge/authorize.ts";
import { refresh } from "../../edge/metadata.ts";
import { alterTopic } from "../../edge/topics.ts";
import { api, type RequestOf } from "../api.ts";
import { changeEach } from "../change-each.ts";
import { service } from "../context.ts";
import { KafkaError } from "../errors.ts";
import {
  array,
  boolean,
  int16,
  int32,
  message,
  nullableArray,
  since,
  struct,
  topicName,
} from "../schema.ts";

export const CREATE_PARTITIONS = api({
  key: 37,
  name: "CreatePartitions",
  versions: [0, 3],
  flexibleFrom: 2,
  request: struct({
    topics: array(
      struct({
        name: topicName,
        count: int32,
        assignments: nullableArray(struct({ brokerIds: array(int32) })),
      }),
    ),
    timeoutMs: int32,
    validateOnly: boolean,
  }),
  response: struct({
    throttleTimeMs: since(0, int32),
    topics: array(struct({ name: topicName, errorCode: int16, errorMessage: message })),
  }),
});

export const createPartitions = service(
  CREATE_PARTITIONS,
  async ({ topics, validateOnly }, context) => ({
    topics: await changeEach(
      context,
      topics,
      ({ name }) => ({ key: name, shown: `topic ${name}`, fields: { name } }),
      (topic) => grow(context.env, topic, validateOnly),
    ),
  }),
);

type Growth = RequestOf<typeof CREATE_PARTITIONS>["topics"][number];

async function grow(env: Env, { name, count, assignments }: Growth, validateOnly: boolean) {
  assertMayUseTopic(env, "ALTER", name);
  const topic = await refresh(env, name);
  if (count <= topic.partitions)
    throw new BrokerError(
      "INVALID_PARTITIONS",
      `count is ${count}, topic ${name} already has ${topic.partitions} partitions, and their number may only grow`,
    );
  const added = count - topic.partitions;
  if (assignments !== null && assignments.length !== added)
    throw new KafkaError(
      KAFKA_ERRORS.INVALID_REPLICA_ASSIGNMENT,
      `there are ${assignments.length} assignments, count ${count} adds ${added} partitions to topic ${name}`,
    );
  if (validateOnly) return {};
  await alterTopic(env, { name, partitions: count });
  return {};
}
