// Describes alerts in sentences.
import type { AlertRule, AlertType } from "../core/alerts/alert.ts";
import { durationText } from "./format.ts";

export const ALERT_KINDS: readonly (readonly [AlertType, string])[] = [
  ["group-lag", "a group is behind"],
  ["group-empty", "a group has no members"],
  ["partition-full", "a partition is nearly full"],
  ["budget", "a budget is nearly used up"],
];

/** Returns a rule in words: "Group billing is 60 s behind, for 5 min." */
export function ruleText({ type, match, threshold, forSeconds }: AlertRule): string {
  const lasting = forSeconds === 0 ? "" : `, for ${durationText(forSeconds * 1_000)}`;
  return `${conditionText(type, match, threshold)}${lasting}.`;
}

function conditionText(type: AlertType, match: string, threshold: number): string {
  const about = (one: string, many: string) =>
    match === "*"
      ? `Any ${one}`
      : match.endsWith("*")
        ? `Any of the ${many} ${match}`
        : `${capital(one)} ${match}`;
  switch (type) {
    case "group-lag":
      return `${about("group", "groups")} is ${durationText(threshold * 1_000)} behind`;
    case "group-empty":
      return `${about("group", "groups")} has no members`;
    case "partition-full":
      return `A partition of ${match === "*" ? "any topic" : `topic ${match}`} has used ${threshold} % of its storage`;
    case "budget":
      return `${about("budget", "budgets")} is ${threshold} % used`;
  }
}

function capital(word: string): string {
  return `${word.slice(0, 1).toUpperCase()}${word.slice(1)}`;
}
