// Topic configuration: Kafka's keys (TopicConfig.java) in one table, with the type, bounds and default of each. A topic
// has overrides. A key without an override takes the cluster's default if set, else the table's.
import {
  type ConfigOverrides,
  type ConfigRule,
  ConfigTable,
  numberOf,
  oneOf,
  wholeNumber,
} from "../config-table.ts";
import { fail, preview, type Result } from "../errors.ts";
import {
  DEFAULT_RETENTION_BYTES,
  DEFAULT_SEGMENT_BYTES,
  MAX_BUDGET_DOLLARS,
  MAX_COMMIT_LINGER_MS,
  MAX_DELETE_DELAY_MS,
  MAX_MESSAGE_BYTES,
  MAX_SEGMENT_BYTES,
  MIN_SEGMENT_BYTES,
} from "../limits.ts";
import { REGION_KEY, regionRule } from "../placement.ts";

/** The resolved configuration. Times are in milliseconds, sizes in bytes. */
export interface TopicConfig {
  /** The largest record batch accepted. */
  readonly maxMessageBytes: number;
  /**
   * [BGT-1] The most that the topic may cost per UTC day, in dollars, at the prices of the dollar meter. -1 sets no
   * bound. This key is not Kafka's.
   */
  readonly budgetDollars: number;
  /**
   * The way in which old records are removed: whole segments by age and size, superseded records by key, or not at all.
   */
  readonly cleanupPolicy: readonly CleanupPolicy[];
  /** [LNG-1] How long an append waits for others to share its row. 0 commits at once. This key is not Kafka's. */
  readonly commitLingerMs: number;
  /** A segment is deleted when its newest record is older than this. -1 deletes none. Needs the policy `delete`. */
  readonly retentionMs: number;
  /** The oldest segments are deleted as long as the remaining ones have at least this size. -1 deletes none. */
  readonly retentionBytes: number;
  /** A segment is closed at this size … */
  readonly segmentBytes: number;
  /** … or with the first append after this age. */
  readonly segmentMs: number;
  /** The time for which a tombstone is kept after compaction first finds it. */
  readonly deleteRetentionMs: number;
  /** A record younger than this is not compacted. */
  readonly minCompactionLagMs: number;
  /** A segment that has waited this long is compacted, however little that frees. */
  readonly maxCompactionLagMs: number;
  /** Compaction waits until this share of the bytes has not been compacted yet. */
  readonly minCleanableDirtyRatio: number;
  /** CreateTime keeps the producer's timestamps. LogAppendTime replaces them with the time of the append. */
  readonly messageTimestampType: TimestampType;
  /** With CreateTime: how far a timestamp may lie in the past … */
  readonly messageTimestampBeforeMaxMs: number;
  /** … and in the future. */
  readonly messageTimestampAfterMaxMs: number;
  /**
   * The time for which a deleted topic is kept so that it can be restored. -1 uses the deployment's default: a day on
   * Cloudflare, and no time on a machine's disk.
   */
  readonly deleteDelayMs: number;
  /** An idempotent producer is forgotten after it has been silent for this long. */
  readonly producerIdExpirationMs: number;
  /** [PLC-2] The region where the topic's partitions are created. Empty if unknown. */
  readonly region: string;
}

export type { ConfigOverrides };
export type CleanupPolicy = "delete" | "compact";
export type TimestampType = "CreateTime" | "LogAppendTime";

const DAY_MS = 24 * 60 * 60_000;
/** Kafka's Long.MAX_VALUE, as far as numbers here are exact. It means no bound. */
const FOREVER = Number.MAX_SAFE_INTEGER;

const TABLE = new ConfigTable<TopicConfig>({
  budgetDollars: budget("budget.usd.per.day"),
  cleanupPolicy: policies("cleanup.policy", ["delete"]),
  commitLingerMs: wholeNumber("commit.linger.ms", 0, 0, MAX_COMMIT_LINGER_MS),
  deleteDelayMs: wholeNumber("topic.delete.delay.ms", -1, -1, MAX_DELETE_DELAY_MS),
  deleteRetentionMs: wholeNumber("delete.retention.ms", DAY_MS, 0, FOREVER),
  maxCompactionLagMs: wholeNumber("max.compaction.lag.ms", FOREVER, 1, FOREVER),
  maxMessageBytes: wholeNumber("max.message.bytes", MAX_MESSAGE_BYTES, 1, MAX_MESSAGE_BYTES),
  messageTimestampAfterMaxMs: wholeNumber("message.timestamp.after.max.ms", FOREVER, 0, FOREVER),
  messageTimestampBeforeMaxMs: wholeNumber("message.timestamp.before.max.ms", FOREVER, 0, FOREVER),
  messageTimestampType: oneOf("message.timestamp.type", ["CreateTime", "LogAppendTime"]),
  minCleanableDirtyRatio: ratio("min.cleanable.dirty.ratio", 0.5),
  minCompactionLagMs: wholeNumber("min.compaction.lag.ms", 0, 0, FOREVER),
  producerIdExpirationMs: wholeNumber("producer.id.expiration.ms", DAY_MS, 1, FOREVER),
  region: regionRule,
  retentionBytes: wholeNumber("retention.bytes", DEFAULT_RETENTION_BYTES, -1, FOREVER),
  retentionMs: wholeNumber("retention.ms", 7 * DAY_MS, -1, FOREVER),
  segmentBytes: wholeNumber(
    "segment.bytes",
    DEFAULT_SEGMENT_BYTES,
    MIN_SEGMENT_BYTES,
    MAX_SEGMENT_BYTES,
  ),
  segmentMs: wholeNumber("segment.ms", 7 * DAY_MS, 1, FOREVER),
});

function ratio(key: string, byDefault: number): ConfigRule<number> {
  return {
    key,
    default: byDefault,
    parse: (value) => {
      const number = numberOf(value, /^\d*\.?\d+$/);
      return number >= 0 && number <= 1 ? number : null;
    },
    bound: "a number from 0 to 1",
    show: (value) => value,
  };
}

function budget(key: string): ConfigRule<number> {
  return {
    key,
    default: -1,
    parse: (value) => {
      const number = numberOf(value, /^(?:-1|\d*\.?\d+)$/);
      return number === -1 || (number > 0 && number <= MAX_BUDGET_DOLLARS) ? number : null;
    },
    bound: `-1 (none) or dollars above 0, up to ${MAX_BUDGET_DOLLARS}`,
    show: (value) => value,
  };
}

/** A comma-separated list. The empty list keeps everything forever. */
function policies(
  key: string,
  byDefault: readonly CleanupPolicy[],
): ConfigRule<readonly CleanupPolicy[]> {
  return {
    key,
    default: byDefault,
    parse: (value) => {
      if (typeof value !== "string") return null;
      const names = value.split(",").map((name) => name.trim());
      if (names.length === 1 && names[0] === "") return [];
      const isLegal = names.every((name) => name === "delete" || name === "compact");
      return isLegal ? ([...new Set(names)].sort() as CleanupPolicy[]) : null;
    },
    bound: '"delete", "compact", "compact,delete" or "" (keep everything)',
    show: (value) => value.join(","),
  };
}

/** [KFK-30] Kafka's broker configs that can only be set when the broker starts. */
export const START_CONFIGS = [
  "auto.create.topics.enable",
  "default.replication.factor",
  "num.partitions",
] as const;

/** Changes overrides as ConfigTable.change does. */
export function changeOverrides(
  base: ConfigOverrides,
  changes: Readonly<Record<string, unknown>>,
): Result<{ overrides: ConfigOverrides }> {
  const readOnly = START_CONFIGS.find((key) => Object.hasOwn(changes, key));
  if (readOnly !== undefined)
    return fail(
      "INVALID_CONFIG",
      `config ${readOnly} is read-only: it is set when the broker starts`,
    );
  return TABLE.change(base, changes);
}

/** Changes the defaults for all topics. A region can only be chosen for one topic, when it is created [PLC-2]. */
export function changeDefaults(
  base: ConfigOverrides,
  changes: Readonly<Record<string, unknown>>,
): Result<{ overrides: ConfigOverrides }> {
  const region = changes[REGION_KEY] ?? "";
  if (region === "") return changeOverrides(base, { ...changes, [REGION_KEY]: null });
  const detail = `config ${REGION_KEY} is ${preview(region)}, but it cannot be set for all topics, only for one that is created`;
  return fail("INVALID_CONFIG", detail);
}

export function resolveConfig(...layers: readonly ConfigOverrides[]): TopicConfig {
  return TABLE.resolve(...layers);
}

/** The defaults of release 0.1 that have changed since. */
const DEFAULTS_OF_0_1: ConfigOverrides = { "retention.bytes": -1 };

/** Returns the values of a config resolved by release 0.1 that differ from that release's defaults, by key. */
export function setInRelease01(config: Partial<TopicConfig>): ConfigOverrides {
  const differing = Object.entries(TABLE.differing(config));
  return Object.fromEntries(differing.filter(([key, value]) => DEFAULTS_OF_0_1[key] !== value));
}

export const DEFAULT_TOPIC_CONFIG: TopicConfig = resolveConfig();

/** Returns the config by Kafka's keys. */
export function configByKey(config: TopicConfig): Record<string, string | number> {
  return TABLE.byKey(config);
}

export function compacts(config: TopicConfig): boolean {
  return config.cleanupPolicy.includes("compact");
}

export function deletesByRetention(config: TopicConfig): boolean {
  return config.cleanupPolicy.includes("delete");
}
