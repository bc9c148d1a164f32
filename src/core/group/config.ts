// The configuration of one group (Kafka's GroupConfig, and settings that Kafka's broker has for all groups).

import { whyNotTopicName } from "../cluster/topics.ts";
import {
  type ConfigOverrides,
  type ConfigRule,
  ConfigTable,
  oneOf,
  wholeNumber,
} from "../config-table.ts";
import { durationMs } from "../duration.ts";
import { fail, type Result } from "../errors.ts";
import {
  DEFAULT_OFFSETS_RETENTION_MINUTES,
  DEFAULT_SESSION_TIMEOUT_MS,
  DEFAULT_SHARE_DELIVERIES,
  DEFAULT_SHARE_LOCK_MS,
  DEFAULT_SHARE_LOCKS,
  MAX_HEARTBEAT_INTERVAL_MS,
  MAX_KAFKA_HEARTBEAT_INTERVAL_MS,
  MAX_MEMBERS_PER_GROUP,
  MAX_OFFSETS_RETENTION_MINUTES,
  MAX_SESSION_TIMEOUT_MS,
  MAX_SHARE_BACKOFFS,
  MAX_SHARE_CONFIG_LOCK_MS,
  MAX_SHARE_DELAY_MS,
  MAX_SHARE_DELIVERIES,
  MAX_SHARE_LOCKS,
  MIN_HEARTBEAT_INTERVAL_MS,
  MIN_SESSION_TIMEOUT_MS,
  MIN_SHARE_LOCK_MS,
  MIN_SHARE_LOCKS,
} from "../limits.ts";
import { regionRule, regionSet, whyNotRegion } from "../placement.ts";
import type { AssignorName } from "./assignor/assignors.ts";

export interface GroupConfig {
  /** The way in which partitions are assigned. A change starts a rebalance at once. */
  readonly assignor: AssignorName;
  /** Further members are refused with GROUP_MAX_SIZE_REACHED. */
  readonly maxSize: number;
  /** A member whose session timeout is outside these bounds is refused with INVALID_SESSION_TIMEOUT. */
  readonly minSessionTimeoutMs: number;
  readonly maxSessionTimeoutMs: number;
  /** The session timeout of Kafka's consumers (KIP-848), which do not send one. The bounds take precedence. */
  readonly sessionTimeoutMs: number;
  /**
   * The heartbeat interval of members with long session timeouts. With a short one, a member sends three heartbeats per
   * session.
   */
  readonly heartbeatIntervalMs: number;
  /** The start position if no offset is committed. With "member", each member decides by itself. */
  readonly autoOffsetReset: InitialPosition;
  /** An empty group forgets committed offsets after this time, and finally itself. */
  readonly offsetsRetentionMinutes: number;
  // Share groups.

  /** The time for which a consumer has a record that it has acquired, unless it says otherwise. */
  readonly shareLockMs: number;
  /** The most deliveries of a record. */
  readonly shareMaxDeliveries: number;
  /** The most records of a partition that are held at the same time. */
  readonly shareMaxLocks: number;
  /** True if consumers may renew their locks. */
  readonly shareMayRenew: boolean;
  /** The waits before the second delivery of a record, the third, and so on. The last one repeats. */
  readonly shareBackoff: readonly number[];
  /** Where a share group begins to read a partition. With "member", the first consumer decides. */
  readonly shareAutoOffsetReset: InitialPosition;
  /** [DLQ-1] The topic for records that are given up. Empty if there is none. */
  readonly deadLetterTopic: string;
  /** True if dead letters have the key, value and headers of the record. */
  readonly copiesDeadLetters: boolean;
  /** True if the dead-letter topic is created when it is missing. */
  readonly createsDeadLetterTopic: boolean;
  /** [PLC-2] The region where the group is created. Empty for the region of the client that creates it. */
  readonly region: string;
}

/** A duration starts at the first record that is at most this old (KIP-1106). */
export type InitialPosition =
  | "member"
  | "earliest"
  | "latest"
  | { readonly durationMs: number; readonly text: string };

const SESSION_TIMEOUT = "consumer.session.timeout.ms";

export const DEAD_LETTER_TOPIC = "errors.deadletterqueue.topic.name";

const TABLE = new ConfigTable<GroupConfig>({
  assignor: oneOf("consumer.assignor", ["uniform", "range"]),
  autoOffsetReset: initialPosition("consumer.auto.offset.reset"),
  heartbeatIntervalMs: wholeNumber(
    "consumer.heartbeat.interval.ms",
    MAX_HEARTBEAT_INTERVAL_MS,
    MIN_HEARTBEAT_INTERVAL_MS,
    MAX_KAFKA_HEARTBEAT_INTERVAL_MS,
  ),
  maxSessionTimeoutMs: sessionTimeout("consumer.max.session.timeout.ms", MAX_SESSION_TIMEOUT_MS),
  minSessionTimeoutMs: sessionTimeout("consumer.min.session.timeout.ms", MIN_SESSION_TIMEOUT_MS),
  sessionTimeoutMs: sessionTimeout(SESSION_TIMEOUT, DEFAULT_SESSION_TIMEOUT_MS),
  maxSize: wholeNumber("group.max.size", MAX_MEMBERS_PER_GROUP, 1, MAX_MEMBERS_PER_GROUP),
  offsetsRetentionMinutes: wholeNumber(
    "offsets.retention.minutes",
    DEFAULT_OFFSETS_RETENTION_MINUTES,
    1,
    MAX_OFFSETS_RETENTION_MINUTES,
  ),
  region: regionRule,
  copiesDeadLetters: yesOrNo("errors.deadletterqueue.copy.record.enable", true),
  createsDeadLetterTopic: yesOrNo("errors.deadletterqueue.auto.create.topics.enable", true),
  deadLetterTopic: topicName(DEAD_LETTER_TOPIC),
  shareAutoOffsetReset: initialPosition("share.auto.offset.reset"),
  shareBackoff: waits("share.retry.backoff.ms"),
  shareLockMs: wholeNumber(
    "share.record.lock.duration.ms",
    DEFAULT_SHARE_LOCK_MS,
    MIN_SHARE_LOCK_MS,
    MAX_SHARE_CONFIG_LOCK_MS,
  ),
  shareMaxDeliveries: wholeNumber(
    "share.delivery.count.limit",
    DEFAULT_SHARE_DELIVERIES,
    1,
    MAX_SHARE_DELIVERIES,
  ),
  shareMaxLocks: wholeNumber(
    "share.partition.max.record.locks",
    DEFAULT_SHARE_LOCKS,
    MIN_SHARE_LOCKS,
    MAX_SHARE_LOCKS,
  ),
  shareMayRenew: yesOrNo("share.renew.acknowledge.enable", true),
});

/** A list of times in milliseconds, separated by commas. */
function waits(key: string): ConfigRule<readonly number[]> {
  return {
    key,
    default: [0],
    parse: (value) => {
      const text = typeof value === "number" ? String(value) : value;
      if (typeof text !== "string" || !/^\s*\d+(\s*,\s*\d+)*\s*$/.test(text)) return null;
      const parsed = text.split(",").map(Number);
      const isLegal =
        parsed.length <= MAX_SHARE_BACKOFFS && parsed.every((ms) => ms <= MAX_SHARE_DELAY_MS);
      return isLegal ? parsed : null;
    },
    bound: `1 to ${MAX_SHARE_BACKOFFS} times from 0 to ${MAX_SHARE_DELAY_MS} ms, separated by commas`,
    show: (value) => value.join(","),
  };
}

/** The name of a topic, or nothing. As in Kafka, it does not begin with two underscores. */
function topicName(key: string): ConfigRule<string> {
  return {
    key,
    default: "",
    parse: (value) => {
      if (value === "") return value;
      const isLegal =
        typeof value === "string" && whyNotTopicName(value) === null && !value.startsWith("__");
      return isLegal ? value : null;
    },
    bound: "empty, or the name of a topic that does not begin with __",
    show: (value) => value,
  };
}

function yesOrNo(key: string, byDefault: boolean): ConfigRule<boolean> {
  return {
    key,
    default: byDefault,
    parse: (value) => {
      if (typeof value === "boolean") return value;
      return value === "true" ? true : value === "false" ? false : null;
    },
    bound: "true or false",
    show: String,
  };
}

function sessionTimeout(key: string, byDefault: number): ConfigRule<number> {
  return wholeNumber(key, byDefault, MIN_SESSION_TIMEOUT_MS, MAX_SESSION_TIMEOUT_MS);
}

function initialPosition(key: string): ConfigRule<InitialPosition> {
  const prefix = "by_duration:";
  return {
    key,
    default: "member",
    parse: (value) => {
      if (value === "member" || value === "earliest" || value === "latest") return value;
      if (typeof value !== "string" || !value.startsWith(prefix)) return null;
      const text = value.slice(prefix.length);
      const ms = durationMs(text);
      return ms === null ? null : { durationMs: ms, text };
    },
    bound: `member, earliest, latest or ${prefix} and an ISO 8601 duration of days, hours, minutes, seconds`,
    show: (position) => (typeof position === "string" ? position : `${prefix}${position.text}`),
  };
}

/**
 * Changes overrides as ConfigTable.change does. The bounds of session timeouts must not cross, and a set session
 * timeout must lie within them.
 */
export function changeGroupConfig(
  base: ConfigOverrides,
  changes: Readonly<Record<string, unknown>>,
): Result<{ overrides: ConfigOverrides }> {
  const changed = TABLE.change(base, changes);
  if (!changed.ok) return changed;
  const { minSessionTimeoutMs, maxSessionTimeoutMs, sessionTimeoutMs } = TABLE.resolve(
    changed.overrides,
  );
  if (minSessionTimeoutMs > maxSessionTimeoutMs)
    return fail(
      "INVALID_CONFIG",
      `config consumer.min.session.timeout.ms is ${minSessionTimeoutMs}, it must be at most consumer.max.session.timeout.ms, which is ${maxSessionTimeoutMs}`,
    );
  const isWithin =
    sessionTimeoutMs >= minSessionTimeoutMs && sessionTimeoutMs <= maxSessionTimeoutMs;
  if (isWithin || !Object.hasOwn(changed.overrides, SESSION_TIMEOUT)) return changed;
  return fail(
    "INVALID_CONFIG",
    `config ${SESSION_TIMEOUT} is ${sessionTimeoutMs}, in this group it must be ${minSessionTimeoutMs} to ${maxSessionTimeoutMs}`,
  );
}

/** Does the same for an existing group. [PLC-2] Its region cannot change. */
export function changeConfigOf(
  groupId: string,
  base: ConfigOverrides,
  changes: Readonly<Record<string, unknown>>,
): Result<{ overrides: ConfigOverrides }> {
  const moved = whyNotRegion(`group ${groupId}`, regionSet(base), base, changes);
  const changed = changeGroupConfig(base, changes);
  return changed.ok && moved !== null ? moved : changed;
}

/**
 * [GCF-5] Returns the session timeout of a member that does not send one. The default is limited to the group's bounds.
 */
export function sessionTimeoutOf(config: GroupConfig): number {
  const { minSessionTimeoutMs, maxSessionTimeoutMs, sessionTimeoutMs } = config;
  return Math.min(Math.max(sessionTimeoutMs, minSessionTimeoutMs), maxSessionTimeoutMs);
}

export function resolveGroupConfig(overrides: ConfigOverrides): GroupConfig {
  return TABLE.resolve(overrides);
}

/** Returns the config by key. */
export function groupConfigByKey(config: GroupConfig): Record<string, string | number> {
  return TABLE.byKey(config);
}
