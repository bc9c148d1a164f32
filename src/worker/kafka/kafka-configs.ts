// Configs as Kafka's tools name them: their types and what they mean. Some always hold here, and some concern nothing
// that exists here. Those are accepted and not stored, so that tools that create topics for Kafka work here too. They are
// described with the value that holds.
import type { START_CONFIGS } from "../../core/cluster/config.ts";
import { BrokerError, preview } from "../../core/errors.ts";

/** Kafka's Long.MAX_VALUE, which means no bound. Ours is the largest integer that is exact in JavaScript. */
const LONG_MAX = "9223372036854775807";
const OUR_MAX = String(Number.MAX_SAFE_INTEGER);

/** The types of values (Kafka's ConfigType). */
export const TYPES = { boolean: 1, string: 2, int: 3, long: 5, double: 6, list: 7 } as const;

interface About {
  readonly type: keyof typeof TYPES;
  readonly documentation: string;
}

/** A config that is accepted and not stored. */
interface Fixed extends About {
  /** The value that holds. */
  readonly value: string;
  /** True if other values are refused. */
  readonly isStrict?: true;
}

const DURABLE = "A record is durable when its append is answered.";
const ONE_LEADER = "A partition has one leader, which no replica replaces.";
const AS_THEY_CAME = "Batches are stored and returned as they came.";
const NO_FILES = "Segments are rows of a database and not files.";

const FIXED: Readonly<Record<string, Fixed>> = {
  "compression.gzip.level": fixed("int", "-1", AS_THEY_CAME),
  "compression.lz4.level": fixed("int", "9", AS_THEY_CAME),
  "compression.type": { ...fixed("string", "producer", AS_THEY_CAME), isStrict: true },
  "compression.zstd.level": fixed("int", "3", AS_THEY_CAME),
  "file.delete.delay.ms": fixed("long", "60000", NO_FILES),
  "flush.messages": fixed("long", LONG_MAX, DURABLE),
  "flush.ms": fixed("long", LONG_MAX, DURABLE),
  "follower.replication.throttled.replicas": fixed("list", "", ONE_LEADER),
  "index.interval.bytes": fixed("int", "4096", NO_FILES),
  "leader.replication.throttled.replicas": fixed("list", "", ONE_LEADER),
  "message.downconversion.enable": fixed("boolean", "true", AS_THEY_CAME),
  "message.format.version": fixed("string", "3.0-IV1", AS_THEY_CAME),
  "min.insync.replicas": fixed("int", "1", DURABLE),
  preallocate: fixed("boolean", "false", NO_FILES),
  "remote.storage.enable": {
    ...fixed("boolean", "false", "All data is local."),
    isStrict: true,
  },
  "segment.index.bytes": fixed("int", "10485760", NO_FILES),
  "segment.jitter.ms": fixed("long", "0", "Segments are not closed together."),
  "unclean.leader.election.enable": fixed("boolean", "false", ONE_LEADER),
};

function fixed(type: About["type"], value: string, documentation: string): Fixed {
  return { type, value, documentation };
}

/** The configs that are stored, of topics and of groups. */
const KEPT: Readonly<Record<string, About>> = {
  "cleanup.policy": about("list", "How old records are removed: delete, compact, both, or never."),
  "budget.usd.per.day": about(
    "double",
    "Dollars that the topic may cost in a day. -1 is no bound.",
  ),
  "commit.linger.ms": about("int", "How long an append waits for others to share its row."),
  "delete.retention.ms": about("long", "How long compaction keeps the tombstone of a key."),
  "max.compaction.lag.ms": about("long", "A segment that waited so long is compacted in any case."),
  "max.message.bytes": about("int", "The largest record batch that is accepted."),
  "message.timestamp.after.max.ms": about("long", "How far in the future a timestamp may lie."),
  "message.timestamp.before.max.ms": about("long", "How far in the past a timestamp may lie."),
  "message.timestamp.type": about(
    "string",
    "CreateTime keeps the producer's timestamps, LogAppendTime replaces them.",
  ),
  "min.cleanable.dirty.ratio": about(
    "double",
    "The share of new bytes at which compaction begins.",
  ),
  "min.compaction.lag.ms": about("long", "A record that is younger is not compacted."),
  "producer.id.expiration.ms": about("int", "A producer that is silent so long is forgotten."),
  "retention.bytes": about(
    "long",
    "The size beyond which the oldest segments are deleted. -1: none.",
  ),
  "retention.ms": about("long", "The age at which segments are deleted. -1: none."),
  "rivulet.region": about("string", "Where it begins. It is set at creation only."),
  "segment.bytes": about("int", "The size at which a segment is closed."),
  "segment.ms": about("long", "The age at which a segment is closed."),
  "topic.delete.delay.ms": about(
    "long",
    "How long a deleted topic is kept. -1: as the deployment does.",
  ),
  "consumer.assignor": about("string", "How partitions are shared among the members."),
  "consumer.auto.offset.reset": about("string", "Where to begin where nothing is committed."),
  "consumer.heartbeat.interval.ms": about("int", "How often members beat."),
  "consumer.max.session.timeout.ms": about("int", "The longest session that a member may ask for."),
  "consumer.min.session.timeout.ms": about(
    "int",
    "The shortest session that a member may ask for.",
  ),
  "consumer.session.timeout.ms": about(
    "int",
    "How long a member may be silent that names no time.",
  ),
  "group.max.size": about("int", "The most members that a group may have."),
  "offsets.retention.minutes": about("int", "How long an empty group keeps its offsets."),
};

/** The configs that are set where the broker is started. */
const STARTED: Readonly<Record<(typeof START_CONFIGS)[number], About>> = {
  "auto.create.topics.enable": about(
    "boolean",
    "Whether a client that asks for a missing topic creates it.",
  ),
  "default.replication.factor": about("int", "The replicas of a partition."),
  "num.partitions": about("int", "The partitions of a topic whose creator names no number."),
};

function about(type: About["type"], documentation: string): About {
  return { type, documentation };
}

/** Returns the type and the meaning of a config, or undefined if it is not known. */
export function aboutConfig(name: string): About | undefined {
  const tables: Readonly<Record<string, About>>[] = [KEPT, FIXED, STARTED];
  for (const table of tables) if (Object.hasOwn(table, name)) return table[name];
  return undefined;
}

/** The values that always hold, for topics and for the broker. */
export const FIXED_VALUES: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(FIXED).map(([name, { value }]) => [name, value]),
);

export interface NamedConfig {
  readonly name: string;
  readonly value: string | null;
}

/**
 * Returns the configs of a topic, or of the broker, that go to our own table, which refuses names
 * that it does not know. @throws BrokerError if one is accepted as it holds only, and has another value
 */
export function keptConfigs<C extends NamedConfig>(configs: readonly C[]): C[] {
  return withoutBound(configs.filter((config) => !isTaken(config)));
}

/** Returns the configs with Kafka's word for no bound as ours. */
export function withoutBound<C extends NamedConfig>(configs: readonly C[]): C[] {
  return configs.map((config) =>
    config.value === LONG_MAX ? { ...config, value: OUR_MAX } : config,
  );
}

function isTaken({ name, value }: NamedConfig): boolean {
  const holds = Object.hasOwn(FIXED, name) ? FIXED[name] : undefined;
  if (holds === undefined) return false;
  if (value === null || isLegal(holds, value)) return true;
  const bound = holds.isStrict ? holds.value : `of type ${holds.type}`;
  throw new BrokerError(
    "INVALID_CONFIG",
    `config ${name} is ${preview(value)}, it must be ${bound}`,
  );
}

function isLegal({ type, value: held, isStrict }: Fixed, value: string): boolean {
  if (isStrict) return value === held;
  if (type === "boolean") return /^(true|false)$/i.test(value);
  return type === "int" || type === "long" ? /^-?\d+$/.test(value) : true;
}

export function shownConfig(value: string | number): string {
  return String(value) === OUR_MAX ? LONG_MAX : String(value);
}
