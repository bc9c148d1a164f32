// Alerts: rules about the metrics, and the messages to a webhook when a rule is met and when it no longer is.

export const ALERT_TYPES = ["group-lag", "group-empty", "partition-full", "budget"] as const;

/**
 * - group-lag: the oldest record that a group has not read is this many seconds old.
 * - group-empty: a group has no members. It takes no threshold.
 * - partition-full: a partition has used this percentage of its storage.
 * - budget: a topic or a principal has used this percentage of its budget for the day.
 */
export type AlertType = (typeof ALERT_TYPES)[number];

/** The rule of an alert. The names are on disk and on the wire. */
export interface AlertRule {
  readonly name: string;
  readonly type: AlertType;
  /** The groups, topics or budgets that the rule covers: a name, or a prefix followed by `*`. */
  readonly match: string;
  /** In seconds or percent. */
  readonly threshold: number;
  /** The seconds for which the condition must hold before the alert fires. */
  readonly forSeconds: number;
  /** The webhook's URL. Null sends no messages; the alert is only shown. */
  readonly webhook: string | null;
}

/** A rule with the secret that signs its messages. */
export interface SecretRule extends AlertRule {
  readonly secret: string;
}

/** The state of one subject of a rule. */
export interface Reading {
  /** The subject: a group, a topic or a partition. */
  readonly subject: string;
  readonly value: number;
  readonly isMet: boolean;
  /** The state as a sentence without its period: `group billing is 92 s behind`. */
  readonly text: string;
  /** The time at which the state may change without a new report. */
  readonly changesMs?: number;
}

export type AlertStatus = "firing" | "resolved" | "test";

/** A message on its way to a webhook. */
export interface Delivery {
  /** The same for each attempt, so a receiver can detect a repeat. */
  readonly id: string;
  /**
   * The rule when the message was made. The message goes to the rule's current webhook, or to this one if the rule is
   * gone.
   */
  readonly rule: SecretRule & { readonly webhook: string };
  readonly subject: string;
  readonly status: AlertStatus;
  readonly value: number;
  readonly text: string;
  /** The time at which the condition began to hold. */
  readonly sinceMs: number;
  /** The time at which the message was made. */
  readonly atMs: number;
  readonly attempts: number;
  /** The time of the next attempt. */
  readonly nextMs: number;
}

/** An alert that is firing. */
export interface Firing {
  readonly subject: string;
  readonly sinceMs: number;
  readonly value: number;
  readonly text: string;
}

/** The outcome of a rule's last message. */
export interface LastDelivery {
  readonly atMs: number;
  readonly outcome: "delivered" | "failing" | "given up";
  /** The webhook's answer, or the reason why it could not be reached. */
  readonly detail: string;
}

export interface AlertInfo extends AlertRule {
  readonly firing: readonly Firing[];
  /** The number of further subjects that meet the rule but have no room. They are not reported. */
  readonly beyond: number;
  readonly lastDelivery: LastDelivery | null;
}

/** True if the pattern covers this name. */
export function isAbout(match: string, name: string): boolean {
  return match.endsWith("*") ? name.startsWith(match.slice(0, -1)) : name === match;
}

/** Returns the body of a message. The names are on the wire. */
export function bodyOf({ rule, subject, status, value, text, sinceMs, atMs }: Delivery): string {
  const { name, type, threshold } = rule;
  const since = new Date(sinceMs).toISOString();
  return JSON.stringify({
    type: `alert.${status}`,
    timestamp: new Date(atMs).toISOString(),
    text: status === "resolved" ? `resolved: ${text}` : text, // Chat services show it unchanged.
    data: { alert: name, rule: type, subject, value, threshold, since },
  });
}
