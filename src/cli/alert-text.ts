// Alerts as people write and read them. It is pure.
import { InvalidArgumentError } from "commander";
import type { AlertRule, AlertType } from "../core/alerts/alert.ts";
import { UsageError } from "./context.ts";
import { durationText } from "./figures.ts";
import { durationIn } from "./times.ts";

/** A threshold before it is known which type of alert it is for. */
export interface Threshold {
  readonly text: string;
  readonly value: number;
  readonly unit: "duration" | "percent" | null;
}

/** Parses 60, 90s, 5m or 80%. A duration becomes seconds. */
export function parseThreshold(text: string): Threshold {
  const [, number, sign] = /^(\d{1,9}(?:\.\d{1,6})?)(%?)$/.exec(text) ?? [];
  if (number !== undefined)
    return { text, value: Number(number), unit: sign === "%" ? "percent" : null };
  const ms = durationIn(text);
  if (ms !== null) return { text, value: ms / 1_000, unit: "duration" };
  throw new InvalidArgumentError(
    "It must be seconds or a duration such as 5m for group-lag, or percent such as 80.",
  );
}

/** Returns the threshold as the broker takes it: seconds, or percent. @throws UsageError if the unit does not fit */
export function thresholdOf(type: AlertType, threshold: Threshold | undefined): number | undefined {
  if (threshold === undefined) return undefined;
  const wrong = type === "group-lag" ? "percent" : "duration";
  if (threshold.unit !== wrong) return threshold.value;
  const unit = type === "group-lag" ? "seconds or a duration" : "percent";
  throw new UsageError(`--threshold is ${threshold.text}, for ${type} it must be in ${unit}`);
}

/** Says when a rule is met, as "a group is 5m behind". */
export function conditionText({
  type,
  match,
  threshold,
}: Pick<AlertRule, "type" | "match" | "threshold">): string {
  const subject = (kind: string) => (match === "*" ? `any ${kind}` : `${kind} ${match}`);
  switch (type) {
    case "group-lag":
      return `${subject("group")} is ${durationText(threshold * 1_000)} behind`;
    case "group-empty":
      return `${subject("group")} has no members`;
    case "partition-full":
      return `a partition of ${subject("topic")} is ${threshold}% full`;
    case "budget":
      return `${subject("budget")} is ${threshold}% used`;
  }
}
