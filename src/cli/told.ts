// Figures of topics and groups from the broker's metrics. One object has them all: no partition and no group is woken.
import { MAX_LISTED_LAGS } from "../core/limits.ts";
import type { GroupOrder, GroupSummary } from "../core/metrics/group-summaries.ts";
import { GROUP_LAGS_PATH } from "../protocol/paths.ts";
import type { GlobalOptions } from "./context.ts";
import { httpOf, ifAnswered, textAt } from "./http.ts";
import { samplesIn } from "./samples.ts";

/** Returns the groups that have reported by id, MAX_LISTED_LAGS at most, the first in this order. */
export async function groupSummaries(
  global: GlobalOptions,
  order: GroupOrder,
): Promise<ReadonlyMap<string, GroupSummary>> {
  const path = `${GROUP_LAGS_PATH}?order=${order}&limit=${MAX_LISTED_LAGS}`;
  const answer = await ifAnswered(httpOf(global).request<{ groups: GroupSummary[] }>("GET", path));
  return new Map((answer?.groups ?? []).map((group) => [group.groupId, group]));
}

export interface TopicSize {
  /** The offsets between the starts and the ends of the logs. Compaction leaves fewer records. Null if not known. */
  readonly records: number | null;
  /** The bytes that the partitions store. Null if not known. */
  readonly bytes: number | null;
}

const LOG_END = "kafka_topic_partition_current_offset";
const LOG_START = "kafka_topic_partition_oldest_offset";
const STORED = "rivulet_stored_bytes";
const METRICS_PATH = "/metrics";

/** Returns the sizes of the topics that have reported. It takes DESCRIBE on the cluster. */
export async function topicSizes(global: GlobalOptions): Promise<ReadonlyMap<string, TopicSize>> {
  return sizesIn((await ifAnswered(textAt(global, METRICS_PATH))) ?? "");
}

export function sizesIn(metrics: string): ReadonlyMap<string, TopicSize> {
  const sizes = new Map<string, TopicSize>();
  for (const { name, labels, value } of samplesIn(metrics, new Set([LOG_END, LOG_START, STORED]))) {
    const topic = labels.get("topic");
    if (topic === undefined || (name === STORED && labels.get("class") !== "partition")) continue;
    const { records, bytes } = sizes.get(topic) ?? { records: null, bytes: null };
    sizes.set(
      topic,
      name === STORED
        ? { records, bytes: (bytes ?? 0) + value }
        : { records: (records ?? 0) + (name === LOG_END ? value : -value), bytes },
    );
  }
  return sizes;
}
