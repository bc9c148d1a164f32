// The calls that the MetricsObject answers. The names are on the wire: see calls.ts.
import type { CostLine } from "../core/metrics/cost-ledger.ts";
import type { GroupLag } from "../core/metrics/group-lags.ts";
import type { AnySnapshot } from "../core/metrics/snapshot.ts";

export interface MetricsCalls {
  /** [RPT-1] Takes what objects and isolates tell about themselves. A repeated snapshot counts once. */
  report(request: { snapshots: readonly AnySnapshot[] }): Promise<void>;

  /**
   * [RPT-5] Asks the partitions and the groups that have told of themselves how they are now, which wakes them. Those of
   * topics that begin with `topicPrefix`, and the groups that have positions in them. Returns how many were asked, and how
   * many have answered.
   * @throws BrokerError INVALID_REQUEST, before any is asked, if there are more than MAX_METRICS_ASKED
   */
  refresh(request: { topicPrefix: string }): Promise<{ asked: number; answered: number }>;

  /** [RPT-2] Returns the metrics as text, for Prometheus. */
  exposition(request: ExpositionRequest): Promise<{ text: string }>;

  /** Returns how far a group is behind, from what was told, or null if it has told nothing. */
  groupLag(request: { groupId: string }): Promise<GroupLag | null>;

  /** [MTR-1] Returns what each topic and group costs. */
  costs(): Promise<{ nowMs: number; lines: readonly CostLine[] }>;

  /** A topic was deleted. Its figures stay in the totals. */
  forgetTopic(request: { topicId: string }): Promise<void>;

  /** A group was deleted. */
  forgetGroup(request: { groupId: string }): Promise<void>;
}

export interface ExpositionRequest {
  readonly format: "openmetrics" | "text";
  /** Whether partitions get series of their own. They do by default, unless there are too many. */
  readonly partitions?: boolean;
  /** Only topics whose names begin with this. */
  readonly topicPrefix?: string;
}

/** The fields of a call. */
export type MetricsRequest<Method extends keyof MetricsCalls> = Parameters<MetricsCalls[Method]>[0];

/** [VER-10] The calls that do no harm if they run twice. */
export const METRICS_CALLS: Readonly<Record<keyof MetricsCalls, boolean>> = {
  report: true,
  refresh: true,
  exposition: true,
  groupLag: true,
  costs: true,
  forgetTopic: true,
  forgetGroup: true,
};
