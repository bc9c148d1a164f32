// The state of the subjects of alert rules, from the reports of partitions and groups. Nobody is asked.
import { MAX_PARTITION_BYTES } from "../limits.ts";
import type { BudgetBook } from "../metrics/budgets.ts";
import { groupLag } from "../metrics/group-lags.ts";
import type { MetricsState } from "../metrics/metrics-state.ts";
import type { GroupSight } from "../metrics/sights.ts";
import { type AlertRule, isAbout, type Reading } from "./alert.ts";

/** Returns the state of every subject of a rule. */
export function readingsFor(
  rule: AlertRule,
  state: MetricsState,
  budgets: BudgetBook,
  nowMs: number,
): Reading[] {
  switch (rule.type) {
    case "group-lag":
      return groupsOf(rule, state).map((sight) => lagOf(rule, state, sight, nowMs));
    case "group-empty":
      return groupsOf(rule, state).map(emptinessOf);
    case "partition-full":
      return partitionsOf(rule, state);
    case "budget":
      return budgets
        .uses(nowMs)
        .filter(({ name }) => isAbout(rule.match, name))
        .map(({ kind, name, percent, dollarsPerDay, endsMs }) => ({
          subject: `${kind} ${name}`,
          value: round(percent),
          isMet: percent >= rule.threshold,
          text: `${kind} ${name} has used ${round(percent)} % of its budget of $${dollarsPerDay} for today`,
          changesMs: endsMs,
        }));
  }
}

function groupsOf(rule: AlertRule, state: MetricsState): GroupSight[] {
  const sights: GroupSight[] = [];
  for (const { sight } of state.objects())
    if (sight.kind === "group" && isAbout(rule.match, sight.groupId)) sights.push(sight);
  return sights;
}

/** The lag grows even without reports, so the time at which it will exceed the threshold is known. */
function lagOf(
  rule: AlertRule,
  state: MetricsState,
  { groupId }: GroupSight,
  nowMs: number,
): Reading {
  const offsets = groupLag(state, groupId, nowMs)?.offsets ?? [];
  const ages = offsets.flatMap(({ lag, oldestUnreadMs }) =>
    lag === null || lag === 0 || oldestUnreadMs === null ? [] : [oldestUnreadMs],
  );
  const oldestMs = Math.max(0, ...ages);
  const thresholdMs = rule.threshold * 1_000;
  const isMet = ages.length > 0 && oldestMs >= thresholdMs;
  const value = Math.round(oldestMs / 1_000);
  return {
    ...{ subject: groupId, value, isMet, text: lagText(groupId, value) },
    ...(ages.length === 0 || isMet ? {} : { changesMs: nowMs + thresholdMs - oldestMs }),
  };
}

function lagText(groupId: string, seconds: number): string {
  return seconds === 0
    ? `group ${groupId} is not behind`
    : `group ${groupId} is ${seconds} s behind`;
}

function emptinessOf({ groupId, members }: GroupSight): Reading {
  const text = `group ${groupId} has ${members === 0 ? "no members" : `${members} members`}`;
  return { subject: groupId, value: members, isMet: members === 0, text };
}

function partitionsOf(rule: AlertRule, state: MetricsState): Reading[] {
  const readings: Reading[] = [];
  for (const { sight } of state.objects()) {
    if (sight.kind !== "partition" || !isAbout(rule.match, sight.topic)) continue;
    const percent = (100 * sight.storedBytes) / MAX_PARTITION_BYTES;
    const subject = `${sight.topic}/${sight.partition}`;
    readings.push({
      ...{ subject, value: round(percent), isMet: percent >= rule.threshold },
      text: `partition ${subject} has used ${round(percent)} % of its storage`,
    });
  }
  return readings;
}

function round(percent: number): number {
  return Math.round(percent * 10) / 10;
}
