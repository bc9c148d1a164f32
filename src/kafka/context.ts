// What a request is served with.
import { FAN_OUT } from "../core/limits.ts";
import { mapConcurrently } from "../core/map-concurrently.ts";
import type { Env } from "../env.ts";
import { Lazily } from "./answer-weight.ts";
import type { Appends } from "./appends.ts";
import type { Feeds } from "./feeds.ts";
import type { Api } from "./messages.ts";
import type { Nodes } from "./nodes.ts";
import type { Watches } from "./watches.ts";
import type { Work } from "./work.ts";

export interface RequestContext {
  readonly env: Env;
  readonly nodes: Nodes;
  /** What this connection reads, appends, and watches for its members. */
  readonly feeds: Feeds;
  readonly appends: Appends;
  readonly watches: Watches;
  readonly work: Work;
  readonly clientId: string | null;
  /** As Kafka shows it: a slash and the address, or the slash alone where that is not known. */
  readonly clientHost: string;
  readonly version: number;
}

export interface Service {
  readonly api: Api;
  /** Whether it changes nothing: then it is not gone on with for a client that has gone. */
  readonly isReadOnly: boolean;
  /** Null where the client waits for no answer. */
  readonly serve: (request: unknown, context: RequestContext) => Promise<unknown>;
}

/** Whoever calls it hands over what `api` has read. */
export function service<Request, Response>(
  api: Api<Request, Response>,
  serve: (request: Request, context: RequestContext) => Promise<Response | null>,
): Service {
  return { api, isReadOnly: false, serve: serve as Service["serve"] };
}

/** One that changes nothing. What it is asked twice it answers once (distinct.ts) [BND-16]. */
export function readingService<Request, Response>(
  api: Api<Request, Response>,
  serve: (request: Request, context: RequestContext) => Promise<Response>,
): Service {
  return { ...service(api, serve), isReadOnly: true };
}

/** Asked at once on behalf of one request. */
export const AT_ONCE = 64;

/** In order. A request that names thousands lets others through, and ends with its client where it is a read [BND-16]. */
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

/** The same, for what becomes part of the answer: it counts as it is made [BND-16]. */
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

/** Does something with each partition that is named, many at the same time, and answers topic by topic. */
export async function eachPartition<P, R>(
  context: RequestContext,
  topics: readonly { readonly name: string; readonly partitions: readonly P[] }[],
  action: (topic: string, partition: P) => Promise<R>,
): Promise<{ name: string; partitions: R[] }[]> {
  const all = topics.flatMap(({ name, partitions }) => partitions.map((each) => ({ name, each })));
  const results = await answerEach(context, all, ({ name, each }) => action(name, each), AT_ONCE);
  return byTopic(topics, results, (_, result) => result);
}

/** Answers that stand in the order of the partitions, topic by topic. */
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

/** Partitions of a topic, from `first` on, made as they are written: a cluster may have a million. */
export function describePartitions(nodes: Nodes, topicId: string, first: number, count: number) {
  return new Lazily(count, (i) => describePartition(nodes, topicId, first + i));
}

/** One partition as clients are told of it: its leader is its only replica. */
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
/** Nothing is ever taken over by another leader here. */
export const LEADER_EPOCH = 0;
