// DeleteTopics (API key 20), versions 0 to 6: deletes topics.
// v1 adds `throttleTimeMs` to the answer.
// v2 answers a client before it is throttled (KIP-219).
// v3 may answer TOPIC_DELETION_DISABLED.
// v4 makes fields flexible (KIP-482).
// v5 adds `errorMessage` to the answer, which may be THROTTLING_QUOTA_EXCEEDED (KIP-599).
// v6 names a topic by its name or its id (KIP-516).
//
// Unlike Kafka:
// - An id may come with an empty name [KFK-25].
// - If a topic is given by its id and the caller may not delete it, the error leaves out its name, even for a caller
//   that may describe it.
// - `timeoutMs` is ignored: a change is made when its answer comes.

import { BrokerError, ERRORS } from "../../../core/errors.ts";
import { clusterStub, type Env } from "../../../env.ts";
import { assertMayUseTopic, mayUseTopic } from "../../edge/authorize.ts";
import { deleteTopic } from "../../edge/topics.ts";
import { api } from "../api.ts";
import { changeEach } from "../change-each.ts";
import { service } from "../context.ts";
import { KafkaError } from "../errors.ts";
import {
  array,
  between,
  int16,
  int32,
  message,
  nullableTopicName,
  since,
  struct,
  topicName,
  uuid,
} from "../schema.ts";
import { ZERO_UUID } from "../wire.ts";

export const DELETE_TOPICS = api({
  key: 20,
  name: "DeleteTopics",
  versions: [0, 6],
  flexibleFrom: 4,
  request: struct({
    topics: since(6, array(struct({ name: nullableTopicName, topicId: uuid }))),
    topicNames: between(0, 5, array(topicName)),
    timeoutMs: int32,
  }),
  response: struct({
    throttleTimeMs: since(1, int32),
    topics: array(
      struct({
        name: nullableTopicName,
        topicId: since(6, uuid),
        errorCode: int16,
        errorMessage: since(5, message),
      }),
    ),
  }),
});

/** The first version that names topics by name or by id, in one list. */
const FIRST_BY_ID = 6;

export const deleteTopics = service(DELETE_TOPICS, async ({ topics, topicNames }, context) => {
  const named = topicNames.map((name) => ({ name: name as string | null, topicId: ZERO_UUID }));
  // [KFK-25] An id may come with an empty name.
  const byId = topics.map((one) =>
    one.topicId === ZERO_UUID ? one : { ...one, name: one.name || null },
  );
  return {
    topics: await changeEach(
      context,
      context.version < FIRST_BY_ID ? named : byId,
      (topic) => {
        const key = topic.name ?? `id ${topic.topicId}`;
        return { key, shown: `topic ${key}`, fields: topic };
      },
      (topic) => remove(context.env, topic),
    ),
  };
});

async function remove(env: Env, { name, topicId }: { name: string | null; topicId: string }) {
  if (name !== null && topicId !== ZERO_UUID)
    throw new BrokerError(
      "INVALID_REQUEST",
      `name is ${name} and topicId is ${topicId}, a topic must be named by one of them`,
    );
  const found = name ?? (await nameOf(env, topicId));
  // The error must not reveal the name to a caller that only knows the id.
  if (name === null && !mayUseTopic(env, "DELETE", found))
    throw new BrokerError("TOPIC_AUTHORIZATION_FAILED", `topic id ${topicId} may not be deleted`);
  assertMayUseTopic(env, "DELETE", found);
  await deleteTopic(env, found);
  return { name: found };
}

async function nameOf(env: Env, topicId: string): Promise<string> {
  const found = await clusterStub(env).topicById({ topicId });
  if (found.ok) return found.topic.name;
  // Clients that name topics by id know this error by its own code.
  throw new KafkaError(ERRORS.UNKNOWN_TOPIC_ID.code, found.detail);
}
