// The memory that Kafka connections hold in the isolate, and a broker that responds as a test wants.

import { ANYBODY } from "../../src/core/access/caller.ts";
import type { Env } from "../../src/env.ts";
import { memory } from "../../src/memory.ts";
import { isolate } from "../../src/worker/edge/isolate.ts";

export function held() {
  const { connections } = isolate.kafka;
  return {
    connections: connections.size,
    inFlightBytes: memory.kafka.bytes,
    feeds: memory.feeds.size,
    fedBytes: memory.feeds.bytes,
  };
}

export const NOTHING = { connections: 0, inFlightBytes: 0, feeds: 0, fedBytes: 0 };

/** A broker whose objects respond with nothing, or as `answer` makes a method of this name respond. */
export function envOf(
  answer: (method: string, ...args: unknown[]) => Promise<unknown> = () => new Promise(() => {}),
): Env {
  const stub = new Proxy(
    {},
    {
      get:
        (_, method) =>
        (...args: unknown[]) =>
          answer(String(method), ...args),
    },
  );
  const namespace = { getByName: () => stub };
  const objects = { CLUSTER: namespace, PARTITION: namespace, GROUP: namespace };
  return { ...objects, caller: ANYBODY } as unknown as Env;
}
