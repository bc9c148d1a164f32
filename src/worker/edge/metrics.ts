// What the Worker tells the MetricsObject, and asks it. Nothing else depends on the answers.
import type { ToldLag } from "../../calls/metrics-calls.ts";
import type { GroupDescription } from "../../core/group/describe.ts";
import { partitionKey } from "../../core/group/partition-key.ts";
import type { GroupOffsetInfo } from "../../core/group-info.ts";
import type { GroupLag } from "../../core/metrics/group-lags.ts";
import { type Env, type MetricsStub, metricsStub } from "../../env.ts";
import { seesTopic } from "./authorize.ts";
import { outside } from "./namespace.ts";

/** Tells the MetricsObject something beside the request. If it does not arrive, figures stay longer than they should. */
export function noteInMetrics(env: Env, tell: (metrics: MetricsStub) => Promise<unknown>): void {
  if (env.METRICS === undefined) return;
  const told = tell(metricsStub(env)).catch(() => {});
  env.from?.waitUntil?.(told);
}

/** [RPT-2] Returns how far a group is behind, as far as it has been told. Asking wakes no partition and no group. */
export async function lagInMetrics(env: Env, groupId: string): Promise<ToldLag | null> {
  const lag = await metricsStub(env).groupLag({ groupId });
  if (lag === null) return null;
  const visible = lag.offsets.filter(({ topic }) => seesTopic(env, topic));
  // The trend is of all topics together.
  const trend = visible.length === lag.offsets.length ? (lag.trend ?? []) : [];
  return {
    ...{ ...lag, trend },
    offsets: visible.map((each) => ({ ...each, topic: outside(env, each.topic) })),
  };
}

/** Returns the group's positions beside the ends of the logs, as far as they have been told. */
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
    // What the group has committed since it told is not behind any more.
    const oldestUnreadMs = lag === null || lag === 0 ? null : end.oldestUnreadMs;
    // What was committed was read, so the log goes at least so far.
    const logEndOffset = Math.max(end.logEndOffset, committedOffset ?? 0);
    return [{ topic, partition, committedOffset, logEndOffset, lag, oldestUnreadMs }];
  });
}
