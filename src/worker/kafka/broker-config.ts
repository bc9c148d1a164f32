// Kafka's broker configs that this broker has. As in Kafka, they are set where the broker is started, and are
// read-only.
import { DEFAULT_PARTITIONS } from "../../core/limits.ts";
import type { Env } from "../../env.ts";

/**
 * `auto.create.topics.enable`: true if asking for a missing topic's metadata creates the topic. False unless
 * AUTO_CREATE_TOPICS_ENABLE is "true", because anyone who knows the address could create topics. `npm start`
 * and `npm run dev` set it for a broker that only its own machine can reach.
 */
export function autoCreatesTopics(env: Env): boolean {
  return env.AUTO_CREATE_TOPICS_ENABLE === "true";
}

/**
 * `num.partitions`: the number of partitions of a topic that is created without one. NUM_PARTITIONS sets it.
 * The cluster refuses a number out of bounds, as it refuses a creator's own.
 */
export function numPartitions(env: Env): number {
  return Number(env.NUM_PARTITIONS ?? DEFAULT_PARTITIONS);
}

/** A partition has one replica. The underlying platform keeps more. */
const REPLICATION_FACTOR = 1;

/** The broker's configs in effect, and whether each was set at its start. */
export function startConfigs(
  env: Env,
): Readonly<Record<string, { readonly value: string; readonly isSet: boolean }>> {
  return {
    "auto.create.topics.enable": {
      value: String(autoCreatesTopics(env)),
      isSet: env.AUTO_CREATE_TOPICS_ENABLE !== undefined,
    },
    "default.replication.factor": { value: String(REPLICATION_FACTOR), isSet: false },
    "num.partitions": {
      value: String(numPartitions(env)),
      isSet: env.NUM_PARTITIONS !== undefined,
    },
  };
}
