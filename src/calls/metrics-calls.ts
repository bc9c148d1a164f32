// The calls that the MetricsObject answers. The names are on the wire: see calls.ts.
import type { SpentBatch } from "../core/access/principal-budgets.ts";
import type { AlertInfo, AlertRule } from "../core/alerts/alert.ts";
import type { BudgetUse } from "../core/metrics/budgets.ts";
import type { CostLine } from "../core/metrics/cost-ledger.ts";
import type { GroupLag } from "../core/metrics/group-lags.ts";
import type { GroupOrder, GroupSummary } from "../core/metrics/group-summaries.ts";
import type { LagPoint } from "../core/metrics/lag-trends.ts";
import type { AnySnapshot } from "../core/metrics/snapshot.ts";

export interface MetricsCalls {
  /** [RPT-1] Takes what objects and isolates tell about themselves. A repeated snapshot counts once. */
  report(request: ReportRequest): Promise<ReportAnswer>;

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
  groupLag(request: { groupId: string }): Promise<ToldLag | null>;

  /** [MET-15] Returns how all groups are that have told of themselves. */
  groupLags(request: { order: GroupOrder }): Promise<{ groups: readonly GroupSummary[] }>;

  /** [MTR-1] Returns what each topic and group costs. */
  costs(): Promise<{ nowMs: number; lines: readonly CostLine[] }>;

  /** Returns the alerts, and how much of each budget is used. */
  alerts(): Promise<{ alerts: readonly AlertInfo[]; budgets: readonly BudgetUse[] }>;

  /**
   * [ALR-1] Sets the rule of an alert. Returns the secret that signs its messages if it was made now: for a rule that is new,
   * or because the request says so.
   * @throws BrokerError INVALID_REQUEST if there are MAX_ALERT_RULES
   */
  setAlert(request: { rule: AlertRule; newSecret?: boolean }): Promise<{ secret: string | null }>;

  /** [ALR-1] Removes an alert. What was firing is resolved. */
  removeAlert(request: { name: string }): Promise<{ isRemoved: boolean }>;

  /** Sends a test to an alert's webhook, if it has one. */
  testAlert(request: { name: string }): Promise<{ isSent: boolean }>;

  /** A topic was deleted. Its figures stay in the totals. */
  forgetTopic(request: { topicId: string }): Promise<void>;

  /** A group was deleted. */
  forgetGroup(request: { groupId: string }): Promise<void>;
}

export interface ToldLag extends GroupLag {
  /** [MET-14] How far it was behind over the last day, the oldest first. Objects of an earlier release tell none. */
  readonly trend?: readonly LagPoint[];
}

export interface ReportRequest {
  readonly snapshots: readonly AnySnapshot[];
  /** [BGT-3] What principals with budgets have cost since it was told last. */
  readonly spent?: SpentBatch;
}

/** [BGT-3] What principals have cost today in all. Objects of an earlier release answer nothing. */
export interface ReportAnswer {
  /** Holds the principals that the request has told of, and all that have nothing left. */
  readonly principals: readonly { readonly principal: string; readonly dollars: number }[];
  /** The end of the day: midnight UTC. */
  readonly untilMs: number;
  /** Until when the topic of the first snapshot has nothing left. Null if it has, or has no budget. */
  readonly topicUntilMs: number | null;
}

export interface ExpositionRequest {
  readonly format: "openmetrics" | "text";
  /** If true, each partition gets series of its own. The default is true, unless there are too many partitions. */
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
  groupLags: true,
  costs: true,
  alerts: true,
  setAlert: true,
  removeAlert: true,
  testAlert: false,
  forgetTopic: true,
  forgetGroup: true,
};
