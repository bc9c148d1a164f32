// The Worker's reports to the MetricsObject, and its questions. Nothing else depends on the answers.
import type { ToldLag } from "../../calls/metrics-calls.ts";
import type { GroupDescription } from "../../core/group/describe.ts";
import { partitionKey } from "../../core/group/partition-key.ts";
import type { GroupOffsetInfo } from "../../core/group-info.ts";
import type { GroupLag } from "../../core/metrics/group-lags.ts";
import { type Env, type MetricsStub, metricsStub } from "../../env.ts";
import { seesTopic } from "./authorize.ts";
import { outside } from "./namespace.ts";

/**
 * Reports something to the MetricsObject in the background. If the report is lost, figures stay longer than
 * they should.
 */
export function noteInMetrics(env: Env, tell: (metrics: MetricsStub) => Promise<unknown>): void {
  if (env.METRICS === undefined) return;
  const told = tell(metricsStub(env)).catch(() => {});
  env.from?.waitUntil?.(told);
}

/** [RPT-2] Returns the lag of a group, as last reported. Asking wakes no partition and no group. */
export async function lagInMetrics(env: Env, groupId: string): Promise<ToldLag | null> {
  const lag = await metricsStub(env).groupLag({ groupId });
  if (lag === null) return null;
  const visible = lag.offsets.filter(({ topic }) => seesTopic(env, topic));
  // The trend covers all topics together.
  const trend = visible.length === lag.offsets.length ? (lag.trend ?? []) : [];
  return {
    ...{ ...lag, trend },
    offsets: visible.map((each) => ({ ...each, topic: outside(env, each.topic) })),
  };
}

/** Returns the group's committed offsets beside the log ends, as last reported. */
export function withToldEnds(
  { offsets }: GroupDescription,
  told: GroupLag | null,
): GroupOffsetInfo[] {
  const ends = new Map(
    told?.offsets.map((each) => [partitionKey(each.topicId, each.partition), each]) ?? [],
  );
  return offsets.flatMap(({ topic, topicId, partition, committedOffset }) => {
    const end = ends.get(partitionKey(topicId, partition));
    if (end === undefined) return [];
    const lag = committedOffset === null ? null : Math.max(0, end.logEndOffset - committedOffset);
    // Anything that the group has committed since the report is no longer behind.
    const oldestUnreadMs = lag === null || lag === 0 ? null : end.oldestUnreadMs;
    // Committed records were read, so the log reaches at least that far.
    const logEndOffset = Math.max(end.logEndOffset, committedOffset ?? 0);
    return [{ topic, partition, committedOffset, logEndOffset, lag, oldestUnreadMs }];
  });
}
