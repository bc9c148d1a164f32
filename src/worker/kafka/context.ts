// The context in which a request is served.
import type { Operation } from "../../core/access/operations.ts";
import { KAFKA_ERRORS } from "../../core/errors.ts";
import { FAN_OUT } from "../../core/limits.ts";
import { mapConcurrently } from "../../core/map-concurrently.ts";
import type { Env } from "../../env.ts";
import { assertMayUseTopic } from "../edge/authorize.ts";
import { atPartition } from "../edge/metadata.ts";
import { Lazily } from "./answer-weight.ts";
import type { Api } from "./api.ts";
import type { Appends } from "./appends.ts";
import { KafkaError } from "./errors.ts";
import type { Feeds } from "./feeds.ts";
import type { Login } from "./login.ts";
import type { Nodes } from "./nodes.ts";
import type { Watches } from "./watches.ts";
import type { Work } from "./work.ts";

export interface RequestContext {
  /** The bindings, with the caller once it is known. */
  readonly env: Env;
  readonly nodes: Nodes;
  readonly login: Login;
  /** The reads of this connection, its appends, and the watches for its members. */
  readonly feeds: Feeds;
  readonly appends: Appends;
  readonly watches: Watches;
  readonly work: Work;
  readonly clientId: string | null;
  /** The address in Kafka's form: a slash and the address, or only the slash if the address is not known. */
  readonly clientHost: string;
  readonly version: number;
}

export interface Service {
  readonly api: Api;
  /** True if the service changes nothing. Its work then stops once the client has gone. */
  readonly isReadOnly: boolean;
  /** True if the next request may begin before this one is answered, provided that it may overlap too. */
  readonly mayOverlap: (request: unknown) => boolean;
  /** Resolves to null if the client waits for no answer. */
  readonly serve: (request: unknown, context: RequestContext) => Promise<unknown>;
}

/** Makes a service. The caller of `serve` must pass it a request that `api` has read. */
export function service<Request, Response>(
  api: Api<Request, Response>,
  serve: (request: Request, context: RequestContext) => Promise<Response | null>,
  mayOverlap: (request: Request) => boolean = () => false,
): Service {
  return {
    api,
    isReadOnly: false,
    mayOverlap: mayOverlap as Service["mayOverlap"],
    serve: serve as Service["serve"],
  };
}

/**
 * Makes a service that changes nothing. A question that a request repeats is answered once (distinct.ts)
 * [BND-16].
 */
export function readingService<Request, Response>(
  api: Api<Request, Response>,
  serve: (request: Request, context: RequestContext) => Promise<Response>,
): Service {
  return { ...service(api, serve), isReadOnly: true };
}

/** The number of questions of one request that run at once. After this many, the request also yields to others. */
export const AT_ONCE = 64;

/**
 * Runs the action on each item and keeps their order. A request with thousands of items yields to others, and a
 * read stops when its client has gone [BND-16].
 */
export function inTurn<T, R>(
  { work }: RequestContext,
  items: readonly T[],
  action: (item: T) => Promise<R>,
  atOnce: number = FAN_OUT,
): Promise<R[]> {
  let done = 0;
  return mapConcurrently(items, atOnce, async (item) => {
    const result = await action(item);
    if (++done % AT_ONCE === 0) await work.pause();
    return result;
  });
}

/** Does the same for items that become parts of the answer. Each part counts as soon as it is made [BND-16]. */
export function answerEach<T, R>(
  context: RequestContext,
  items: readonly T[],
  answer: (item: T) => Promise<R>,
  atOnce: number = FAN_OUT,
): Promise<R[]> {
  const counted = async (item: T) => {
    const part = await answer(item);
    context.work.made(part);
    return part;
  };
  return inTurn(context, items, counted, atOnce);
}

/** Runs the action on each named partition, many at the same time, and answers topic by topic. */
export async function eachPartition<P, R>(
  context: RequestContext,
  topics: readonly { readonly name: string; readonly partitions: readonly P[] }[],
  action: (topic: string, partition: P) => Promise<R>,
): Promise<{ name: string; partitions: R[] }[]> {
  const all = topics.flatMap(({ name, partitions }) => partitions.map((each) => ({ name, each })));
  const results = await answerEach(context, all, ({ name, each }) => action(name, each), AT_ONCE);
  return byTopic(topics, results, (_, result) => result);
}

/**
 * Acts on a partition at its leader, if the caller may do this to the topic. Throws NOT_LEADER_OR_FOLLOWER if
 * the connection goes to another node [KFK-6], so that the client looks up the leader.
 */
export async function atLeader<T>(
  { env, nodes }: RequestContext,
  operation: Operation,
  topic: string,
  partition: number,
  action: (topicId: string) => Promise<T>,
): Promise<T> {
  assertMayUseTopic(env, operation, topic); // Checked first, so that a caller without rights learns nothing.
  return atPartition(env, topic, partition, (topicId) => {
    const leader = nodes.leaderOf(topicId, partition);
    if (nodes.isOwn(leader)) return action(topicId);
    throw new KafkaError(
      KAFKA_ERRORS.NOT_LEADER_OR_FOLLOWER,
      `node ${leader.nodeId} leads ${topic}/${partition}`,
    );
  });
}

/** Groups answers by topic, in the order of the partitions. */
export function byTopic<P, A, R>(
  topics: readonly { readonly name: string; readonly partitions: readonly P[] }[],
  answers: readonly A[],
  show: (partition: P, answer: A) => R,
): { name: string; partitions: R[] }[] {
  let index = 0;
  return topics.map(({ name, partitions }) => ({
    name,
    partitions: partitions.map((each) => show(each, answers[index++] as A)),
  }));
}

/**
 * Describes partitions of a topic, starting at `first`. Each is made as it is written, because a cluster may
 * have a million.
 */
export function describePartitions(nodes: Nodes, topicId: string, first: number, count: number) {
  return new Lazily(count, (i) => describePartition(nodes, topicId, first + i));
}

/** Describes one partition to clients. Its leader is its only replica. */
function describePartition(nodes: Nodes, topicId: string, partition: number) {
  const { nodeId } = nodes.leaderOf(topicId, partition);
  const replicas = [nodeId];
  return {
    partition,
    leaderId: nodeId,
    leaderEpoch: LEADER_EPOCH,
    replicaNodes: replicas,
    isrNodes: replicas,
  };
}

export const CLUSTER_ID = "rivulet";
/** The only leader epoch. No other leader ever takes over here. */
export const LEADER_EPOCH = 0;
