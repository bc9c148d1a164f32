// Metadata (API key 3), versions 0 to 12: describes the brokers, and topics with their partitions.
// v1 asks for all topics with a null list, and for none with an empty one. It adds `rack`, `controllerId` and
//   `isInternal` to the answer.
// v2 adds `clusterId` to the answer (KIP-78).
// v3 adds `throttleTimeMs` to the answer.
// v4 adds `allowAutoTopicCreation`.
// v5 adds `offlineReplicas` to the answer (KIP-112).
// v6 answers a client before it is throttled (KIP-219).
// v7 adds `leaderEpoch` to the answer (KIP-320).
// v8 adds authorized operations, if the request asks for them (KIP-430).
// v9 makes fields flexible (KIP-482).
// v10 adds `topicId` (KIP-516).
// v11 leaves out the authorized operations of the cluster, which DescribeCluster reports (KIP-700).
// v12 lets a request name a topic by its id, without a name.
//
// Unlike Kafka:
// - A leader is its partition's only replica, however the platform copies the data.
// - A topic that a request creates [KFK-23] is described at once. Kafka first answers with a
//   retriable error.
// - From version 10 a topic is found by its id, whatever name comes with the id [KFK-25].

import { topicResource } from "../../../core/access/grants.ts";
import { type Topic, whyNotTopicName } from "../../../core/cluster/topics.ts";
import { BrokerError, ERRORS } from "../../../core/errors.ts";
import type { Env } from "../../../env.ts";
import {
  assertMayCreateTopic,
  assertMayUseTopic,
  mayUseTopic,
  seesTopic,
} from "../../edge/authorize.ts";
import { isolate } from "../../edge/isolate.ts";
import { remember, topicById, topicMetadata } from "../../edge/metadata.ts";
import { createTopic, listTopics, newestTopics } from "../../edge/topics.ts";
import { Lazily } from "../answer-weight.ts";
import { api, type RequestOf } from "../api.ts";
import { authorized, clusterAuthorized } from "../authorized-operations.ts";
import { autoCreatesTopics, numPartitions } from "../broker-config.ts";
import {
  answerEach,
  CLUSTER_ID,
  describePartitions,
  type RequestContext,
  readingService,
} from "../context.ts";
import { distinct } from "../distinct.ts";
import { codeOf, codeOfLookUpById, NO_ERROR, outcomeOfError } from "../errors.ts";
import {
  array,
  between,
  boolean,
  int16,
  int32,
  nullableArray,
  nullableString,
  nullableTopicName,
  since,
  string,
  struct,
  uuid,
} from "../schema.ts";
import { NO_OPERATIONS } from "../structs.ts";
import { ZERO_UUID } from "../wire.ts";

export const METADATA = api({
  key: 3,
  name: "Metadata",
  versions: [0, 12],
  flexibleFrom: 9,
  request: struct({
    /** Null means all topics. So does an empty list in version 0. */
    topics: nullableArray(struct({ topicId: since(10, uuid), name: nullableTopicName })),
    allowAutoTopicCreation: since(4, boolean, true),
    includeClusterAuthorizedOperations: between(8, 10, boolean),
    includeTopicAuthorizedOperations: since(8, boolean),
  }),
  response: struct({
    throttleTimeMs: since(3, int32),
    brokers: array(
      struct({ nodeId: int32, host: string, port: int32, rack: since(1, nullableString) }),
    ),
    clusterId: since(2, nullableString),
    controllerId: since(1, int32),
    topics: array(
      struct({
        errorCode: int16,
        name: nullableTopicName,
        topicId: since(10, uuid),
        isInternal: since(1, boolean),
        partitions: array(
          struct({
            errorCode: since(0, int16),
            partition: int32,
            leaderId: int32,
            leaderEpoch: since(7, int32),
            replicaNodes: array(int32),
            isrNodes: array(int32),
            offlineReplicas: since(5, array(int32)),
          }),
        ),
        authorizedOperations: since(8, int32, NO_OPERATIONS),
      }),
    ),
    clusterAuthorizedOperations: between(8, 10, int32, NO_OPERATIONS),
  }),
});

/** Describes topics. Creates missing ones, if the client allows it and the broker is configured to [KFK-23]. */
export const metadata = readingService(METADATA, async (request, context) => {
  const { env, nodes } = context;
  const asked = askedTopics(request, context);
  const topics =
    asked === null
      ? (await newestTopics(env)).filter(({ name }) => seesTopic(env, name))
      : asked.length > MANY
        ? await findAmongAll(asked, env)
        : await answerEach(context, asked, find);
  const isMissing = (one: Topic | NotFound) =>
    "errorCode" in one && one.errorCode === UNKNOWN && one.name !== null;
  const created =
    request.allowAutoTopicCreation && autoCreatesTopics(env) && topics.some(isMissing)
      ? await answerEach(context, topics, async (one) => (isMissing(one) ? create(one) : one))
      : topics;
  return {
    brokers: nodes.all,
    clusterId: CLUSTER_ID,
    controllerId: nodes.controller.nodeId,
    ...clusterAuthorized(env, request.includeClusterAuthorizedOperations),
    topics: new Lazily(created.length, (i) =>
      describe(created[i] as Topic | NotFound, context, request.includeTopicAuthorizedOperations),
    ),
  };

  async function find(one: AskedTopic): Promise<Topic | NotFound> {
    try {
      // Checked first, so that a caller without rights learns nothing of what exists.
      if (one.name !== null) assertMayUseTopic(env, "DESCRIBE", one.name);
      const found = await topicAsked(env, one);
      assertMayUseTopic(env, "DESCRIBE", found.name);
      return found;
    } catch (error) {
      const errorCode =
        one.name === null ? codeOfLookUpById(error) : outcomeOfError(error).errorCode;
      return { ...one, errorCode };
    }
  }

  async function create(missing: Topic | NotFound): Promise<Topic | NotFound> {
    const name = missing.name as string;
    try {
      assertMayCreateTopic(env, name);
    } catch (error) {
      return { ...(missing as NotFound), errorCode: outcomeOfError(error).errorCode };
    }
    const made = await createTopic(env, { name, partitions: numPartitions(env), overrides: {} });
    await context.work.pause(); // As after every change.
    return made.ok ? made.topic : find({ name, topicId: ZERO_UUID }); // Somebody else created it, or nobody may.
  }
});

const UNKNOWN = codeOf("UNKNOWN_TOPIC_OR_PARTITION");

/** Returns each requested topic once. Null means all topics. [KFK-25] The id counts, whatever name comes with it. */
function askedTopics({ topics }: Request, { version }: RequestContext) {
  if (topics === null || (version === 0 && topics.length === 0)) return null;
  const asked = topics.map((one) => (one.topicId === ZERO_UUID ? one : { ...one, name: null }));
  return distinct(asked, ({ name, topicId }) => name ?? `id ${topicId}`);
}

/** Above this number, topics are looked up with one call that lists all topics. */
const MANY = 100;

async function findAmongAll(asked: readonly AskedTopic[], env: Env): Promise<(Topic | NotFound)[]> {
  const { topics: all, unreached } = await allTopics(env);
  const byName = new Map(all.map((topic) => [topic.name, topic]));
  const byId = new Map(all.map((topic) => [topic.topicId, topic]));
  const missing = ({ name }: AskedTopic) => {
    const invalid = name === null ? null : whyNotTopicName(name);
    if (invalid !== null) return codeOf(invalid.error);
    if (unreached !== null) return unreached;
    return name === null ? ERRORS.UNKNOWN_TOPIC_ID.code : UNKNOWN;
  };
  return asked.map((one) => {
    const found = one.name === null ? byId.get(one.topicId) : byName.get(one.name);
    const name = one.name ?? found?.name;
    if (name !== undefined && !mayUseTopic(env, "DESCRIBE", name))
      return { ...one, errorCode: ERRORS.TOPIC_AUTHORIZATION_FAILED.code };
    return found ?? { ...one, errorCode: missing(one) };
  });
}

type Request = RequestOf<typeof METADATA>;
type AskedTopic = NonNullable<Request["topics"]>[number];
type NotFound = AskedTopic & { readonly errorCode: number };

/**
 * Returns all topics. [CLU-5] If the cluster is out of reach, these are the topics that this isolate knows, and `unreached`
 * is the error code of the others.
 */
async function allTopics(env: Env): Promise<{ topics: Topic[]; unreached: number | null }> {
  try {
    const topics = await listTopics(env);
    for (const topic of topics) remember(topic);
    return { topics, unreached: null };
  } catch (error) {
    if (error instanceof BrokerError) throw error;
    const topics = Array.from(isolate.topics.values(), ({ topic }) => topic);
    return { topics, unreached: outcomeOfError(error).errorCode };
  }
}

/** Finds a topic by its name, or by its id if no name is given. */
async function topicAsked(env: Env, { name, topicId }: AskedTopic): Promise<Topic> {
  if (name !== null) return topicMetadata(env, name);
  return topicById(env, topicId);
}

/** The first version in which a name may be null. */
const FIRST_WITHOUT_NAME = 12;

function describe(
  found: Topic | NotFound,
  { env, nodes, version }: RequestContext,
  tellsOperations: boolean,
) {
  if ("errorCode" in found) {
    const { errorCode, name, topicId } = found;
    const shownName = version < FIRST_WITHOUT_NAME ? (name ?? "") : name;
    const shownId = name === null ? topicId : ZERO_UUID;
    return { errorCode, name: shownName, topicId: shownId, partitions: [] };
  }
  const { name, topicId, partitions } = found;
  return {
    errorCode: NO_ERROR.errorCode,
    name,
    topicId,
    partitions: describePartitions(nodes, topicId, 0, partitions),
    ...authorized(env, tellsOperations, topicResource(name)),
  };
}
