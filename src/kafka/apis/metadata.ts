import { checkTopicName, type Topic } from "../../core/cluster/topics.ts";
import { remember, topicById, topicMetadata } from "../../edge/metadata.ts";
import { clusterStub, type Env } from "../../env.ts";
import { CLUSTER_ID, describePartition, inTurn, service } from "../context.ts";
import { codeOf, NO_ERROR, told } from "../errors.ts";
import { METADATA, type RequestOf } from "../messages.ts";
import type { Nodes } from "../nodes.ts";
import { ZERO_UUID } from "../wire.ts";

/** Topics are never created by asking for them: a typo is an error. */
export const metadata = service(METADATA, async (request, { env, nodes, version }) => {
  const asked = version === 0 && request.topics?.length === 0 ? null : request.topics;
  const topics =
    asked === null
      ? await allTopics(env)
      : asked.length > MANY
        ? await findAmongAll(asked, env)
        : await inTurn(asked, find);
  return {
    brokers: nodes.all,
    clusterId: CLUSTER_ID,
    controllerId: nodes.controller.nodeId,
    topics: topics.map((found) => describe(found, nodes)),
  };

  async function find(one: AskedTopic): Promise<Topic | NotFound> {
    try {
      return await topicAsked(env, one);
    } catch (error) {
      return { ...one, errorCode: told(error).errorCode };
    }
  }
});

/** So many topics are looked up by one call that lists all of them. */
const MANY = 100;

async function findAmongAll(asked: readonly AskedTopic[], env: Env): Promise<(Topic | NotFound)[]> {
  const all = await allTopics(env);
  const byName = new Map(all.map((topic) => [topic.name, topic]));
  const byId = new Map(all.map((topic) => [topic.topicId, topic]));
  const missing = ({ name }: AskedTopic) =>
    codeOf(
      name === null
        ? "UNKNOWN_TOPIC_ID"
        : (checkTopicName(name)?.error ?? "UNKNOWN_TOPIC_OR_PARTITION"),
    );
  return asked.map((one) => {
    const found = one.name === null ? byId.get(one.topicId) : byName.get(one.name);
    return found ?? { ...one, errorCode: missing(one) };
  });
}

type AskedTopic = NonNullable<RequestOf<typeof METADATA>["topics"]>[number];
type NotFound = AskedTopic & { readonly errorCode: number };

async function allTopics(env: Env): Promise<Topic[]> {
  const topics = await clusterStub(env).topics();
  for (const topic of topics) remember(topic);
  return topics;
}

/** By name, or by id where there is none. */
async function topicAsked(env: Env, { name, topicId }: AskedTopic): Promise<Topic> {
  if (name !== null) return topicMetadata(env, name);
  return topicById(env, topicId);
}

function describe(found: Topic | NotFound, nodes: Nodes) {
  if ("errorCode" in found) {
    const { errorCode, name, topicId } = found;
    return { errorCode, name, topicId: name === null ? topicId : ZERO_UUID, partitions: [] };
  }
  const { name, topicId, partitions } = found;
  return {
    errorCode: NO_ERROR.errorCode,
    name,
    topicId,
    partitions: Array.from({ length: partitions }, (_, partition) =>
      describePartition(nodes, topicId, partition),
    ),
  };
}
