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
  /** [RPT-1] Takes the reports of objects and isolates. A repeated snapshot counts once. */
  report(request: ReportRequest): Promise<ReportAnswer>;

  /**
   * [RPT-5] Asks partitions and groups that have reported before for their current state, which wakes them. It asks the
   * partitions of topics with `topicPrefix`, and the groups with offsets in such topics. Returns how many were asked,
   * and how many have answered.
   * @throws BrokerError INVALID_REQUEST, before any is asked, if there are more than MAX_METRICS_ASKED
   */
  refresh(request: { topicPrefix: string }): Promise<{ asked: number; answered: number }>;

  /** [RPT-2] Returns the metrics as text, for Prometheus. */
  exposition(request: ExpositionRequest): Promise<{ text: string }>;

  /** Returns the lag of a group from the reports, or null if it has not reported. */
  groupLag(request: { groupId: string }): Promise<ToldLag | null>;

  /** [MET-15] Returns the summaries of all groups that have reported. */
  groupLags(request: { order: GroupOrder }): Promise<{ groups: readonly GroupSummary[] }>;

  /** [MTR-1] Returns the cost of each topic and group. */
  costs(): Promise<{ nowMs: number; lines: readonly CostLine[] }>;

  /** Returns the alerts, and the used part of each budget. */
  alerts(): Promise<{ alerts: readonly AlertInfo[]; budgets: readonly BudgetUse[] }>;

  /**
   * [ALR-1] Sets the rule of an alert. Returns the secret that signs its messages if it was made now: for a new rule,
   * or at the request of `newSecret`.
   * @throws BrokerError INVALID_REQUEST if there are MAX_ALERT_RULES
   */
  setAlert(request: { rule: AlertRule; newSecret?: boolean }): Promise<{ secret: string | null }>;

  /** [ALR-1] Removes an alert and resolves it if it fires. */
  removeAlert(request: { name: string }): Promise<{ isRemoved: boolean }>;

  /** Sends a test message to an alert's webhook, if it has one. */
  testAlert(request: { name: string }): Promise<{ isSent: boolean }>;

  /** Forgets a deleted topic. Its figures stay in the totals. */
  forgetTopic(request: { topicId: string }): Promise<void>;

  /** Forgets a deleted group. */
  forgetGroup(request: { groupId: string }): Promise<void>;
}

export interface ToldLag extends GroupLag {
  /** [MET-14] The lags over the last day, the oldest first. Objects of an earlier release return none. */
  readonly trend?: readonly LagPoint[];
}

export interface ReportRequest {
  readonly snapshots: readonly AnySnapshot[];
  /** [BGT-3] The costs of principals with budgets since the last report. */
  readonly spent?: SpentBatch;
}

/** [BGT-3] Today's total costs of principals. Objects of an earlier release return nothing. */
export interface ReportAnswer {
  /** The principals in the request, and all whose budget is used up. */
  readonly principals: readonly { readonly principal: string; readonly dollars: number }[];
  /** The end of the day: midnight UTC. */
  readonly untilMs: number;
  /** The time at which the budget of the first snapshot's topic is renewed, if it is used up. Otherwise null. */
  readonly topicUntilMs: number | null;
}

export interface ExpositionRequest {
  readonly format: "openmetrics" | "text";
  /** If true, each partition has its own series. The default is true, unless there are too many partitions. */
  readonly partitions?: boolean;
  /** Restricts the series to topics whose names begin with this. */
  readonly topicPrefix?: string;
}

/** The fields of a call. */
export type MetricsRequest<Method extends keyof MetricsCalls> = Parameters<MetricsCalls[Method]>[0];

/** [VER-10] True for calls that may run twice without harm. */
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
