// A topic as the cluster and each of its partitions store it. The names are stored: fields are added with a
// default, and none is ever renamed.
import * as z from "zod";
import { resolveTopic, type Topic, type TopicDescription } from "../../src/core/cluster/topics.ts";
import { storedOverrides, storedPartitionCount } from "./stored-json.ts";

const description = z.object({
  name: z.string(),
  topicId: z.string(),
  partitions: storedPartitionCount.min(1),
  initialPartitions: storedPartitionCount.optional(),
  region: z.string().optional(),
  overrides: storedOverrides.default({}),
  defaults: storedOverrides.optional(),
  config: z.record(z.string(), z.unknown()).optional(),
});

/**
 * [VER-4] The config is derived from the values that were set. The resolved config is for release 0.1, which
 * reads nothing else.
 */
export const storedTopic = description.transform(resolve);

/**
 * A partition's topic and number. They identify whose storage this is [FIL-7]. The first releases wrote no
 * number. A partition that the cluster does not list yet is marked, and so is a partition of a deleted topic
 * that is kept.
 */
export const storedPartition = description
  .extend({
    partition: z.int().optional(),
    isUnlisted: z.boolean().optional(),
    isRetired: z.boolean().optional(),
  })
  .transform(({ partition, isUnlisted, isRetired, ...topic }) => ({
    partition,
    isUnlisted,
    isRetired,
    topic: resolve(topic),
  }));

function resolve(stored: z.output<typeof description>): Topic {
  return resolveTopic({
    ...stored,
    initialPartitions: stored.initialPartitions ?? stored.partitions,
    config: stored.config as TopicDescription["config"],
  });
}
