// A broker whose objects respond as a test wants, for the services of Kafka's requests.
import { afterEach, beforeEach, vi } from "vitest";
import { ANYBODY } from "../../../../src/core/access/caller.ts";
import { resolveConfig } from "../../../../src/core/cluster/config.ts";
import type { Topic } from "../../../../src/core/cluster/topics.ts";
import { ERRORS, fail } from "../../../../src/core/errors.ts";
import type { Env } from "../../../../src/env.ts";
import { forgetEverything } from "../../../../src/worker/edge/isolate.ts";
import type { Service } from "../../../../src/worker/kafka/context.ts";
import { Nodes } from "../../../../src/worker/kafka/nodes.ts";

const ONE = new Nodes([{ host: "h", port: 1 }], null);
export const UNKNOWN = ERRORS.UNKNOWN_TOPIC_OR_PARTITION.code;

/** For every test of a file: the isolate remembers nothing of others, and the broker's log is not printed. */
export function freshQuietIsolate(): void {
  beforeEach(() => {
    forgetEverything();
    vi.spyOn(console, "error").mockImplementation(() => {});
  });
  afterEach(() => {
    forgetEverything();
    vi.restoreAllMocks();
  });
}

type Stub = Record<string, (...args: never[]) => unknown>;

/** A cluster with these topics, with their numbers of partitions, and objects that respond as a test wants. */
export function brokerOf(
  topics: Readonly<Record<string, number>>,
  {
    partition = {},
    group = {},
    cluster = {},
  }: { partition?: Stub; group?: Stub; cluster?: Stub } = {},
): Env {
  const overrides = { "retention.ms": 1_000 };
  const all = Object.entries(topics).map(
    ([name, partitions]) =>
      ({
        name,
        topicId: `id-${name}`,
        partitions,
        overrides,
        config: resolveConfig(overrides),
      }) as unknown as Topic,
  );
  const found = (
    topic: Topic | undefined,
    error: "UNKNOWN_TOPIC_OR_PARTITION" | "UNKNOWN_TOPIC_ID",
  ) => (topic === undefined ? fail(error, "there is none") : { ok: true, topic });
  const known = {
    topic: async ({ name }: { name: string }) =>
      found(
        all.find((each) => each.name === name),
        "UNKNOWN_TOPIC_OR_PARTITION",
      ),
    topicById: async ({ topicId: id }: { topicId: string }) =>
      found(
        all.find((each) => each.topicId === id),
        "UNKNOWN_TOPIC_ID",
      ),
    topicPage: async ({ after }: { after: string }) => ({
      topics: all.filter(({ name }) => name > after),
    }),
    hasGroup: async () => true,
    ...cluster,
  };
  return {
    CLUSTER: { getByName: () => known },
    PARTITION: { getByName: () => partition },
    GROUP: { getByName: () => group },
    caller: ANYBODY,
  } as unknown as Env;
}

/** The response of a service, without what a connection adds. */
export async function ask<T = Record<string, never>>(
  { serve, api }: Service,
  env: Env,
  request: object,
  {
    version = api.versions[1],
    nodes = ONE,
    ...more
  }: {
    version?: number;
    nodes?: Nodes;
    appends?: object;
    watches?: object;
    work?: object;
  } = {},
): Promise<T> {
  const work = { made: () => {}, pause: async () => {} };
  const context = { env, nodes, work, version, clientId: "c", clientHost: "/h", ...more };
  return (await serve(request, context as never)) as T;
}

export const asked = (...partitions: object[]) => ({ topics: [{ name: "t", partitions }] });

export interface PerPartition {
  topics: { name: string; partitions: Record<string, unknown>[] }[];
}

export const partitionsOf = ({ topics }: PerPartition) =>
  topics.flatMap(({ partitions }) => partitions);
