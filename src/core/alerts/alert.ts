// Alerts: rules about what the metrics say, and what is sent to a webhook when a rule is met and when it no longer is.

export const ALERT_TYPES = ["group-lag", "group-empty", "partition-full", "budget"] as const;

/**
 * - group-lag: the oldest record that a group has not read is so many seconds old.
 * - group-empty: a group has no members. It takes no threshold.
 * - partition-full: a partition stores so many percent of what it can.
 * - budget: a topic or a principal has used so many percent of its budget for the day.
 */
export type AlertType = (typeof ALERT_TYPES)[number];

/** The rule of an alert. The names are on disk and on the wire. */
export interface AlertRule {
  readonly name: string;
  readonly type: AlertType;
  /** The groups, topics or budgets that it is about: a name, or the beginning of names with a `*` behind it. */
  readonly match: string;
  /** Seconds, or percent. */
  readonly threshold: number;
  /** How long it has to be so before the alert fires. */
  readonly forSeconds: number;
  /** Where it is sent to. Null sends it nowhere: it is only shown. */
  readonly webhook: string | null;
}

/** A rule with the secret that signs what is sent. */
export interface SecretRule extends AlertRule {
  readonly secret: string;
}

/** How it is with one of the things that a rule is about. */
export interface Reading {
  /** Names it: a group, a topic, or a partition. */
  readonly subject: string;
  readonly value: number;
  readonly isMet: boolean;
  /** How it is, as a sentence without its end: `group billing is 92 s behind`. */
  readonly text: string;
  /** When it may be different though nobody tells anything. */
  readonly changesMs?: number;
}

export type AlertStatus = "firing" | "resolved" | "test";

/** A message on its way to a webhook. */
export interface Delivery {
  /** The same for each attempt, so that whoever gets it twice can tell. */
  readonly id: string;
  /** As it was when the message was made. It is sent to where the rule says by then, unless that is gone. */
  readonly rule: SecretRule & { readonly webhook: string };
  readonly subject: string;
  readonly status: AlertStatus;
  readonly value: number;
  readonly text: string;
  /** When it began to be so. */
  readonly sinceMs: number;
  /** When the message was made. */
  readonly atMs: number;
  readonly attempts: number;
  /** When it is sent next. */
  readonly nextMs: number;
}

/** An alert that is firing. */
export interface Firing {
  readonly subject: string;
  readonly sinceMs: number;
  readonly value: number;
  readonly text: string;
}

/** How the last message of a rule fared. */
export interface LastDelivery {
  readonly atMs: number;
  readonly outcome: "delivered" | "failing" | "given up";
  /** Says how the webhook answered, or why it could not be reached. */
  readonly detail: string;
}

export interface AlertInfo extends AlertRule {
  readonly firing: readonly Firing[];
  /** How many more meet the rule than there is room for. They are not told. */
  readonly beyond: number;
  readonly lastDelivery: LastDelivery | null;
}

/** Returns whether a pattern is about this name. */
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
    text: status === "resolved" ? `resolved: ${text}` : text, // Chats show it as it is.
    data: { alert: name, rule: type, subject, value, threshold, since },
  });
}
