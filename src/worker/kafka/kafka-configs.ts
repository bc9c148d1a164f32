// Configs by the names of Kafka's tools: their types and their meaning. Some have a fixed value here, and some
// concern things that do not exist here. Those are accepted and not stored, so that tools that create topics
// for Kafka work here too. They are described with the fixed value.
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
  /** The fixed value. */
  readonly value: string;
  /** True if other values are refused. */
  readonly isStrict?: true;
}

const DURABLE = "A record is durable once its append is answered.";
const ONE_LEADER = "A partition has one leader, and no replica replaces it.";
const AS_THEY_CAME = "Batches are stored and returned unchanged.";
const NO_FILES = "Segments are rows of a database, not files.";

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
  "segment.jitter.ms": fixed("long", "0", "Segments are not closed at the same time."),
  "unclean.leader.election.enable": fixed("boolean", "false", ONE_LEADER),
};

function fixed(type: About["type"], value: string, documentation: string): Fixed {
  return { type, value, documentation };
}

/** The configs of topics and groups that are stored. */
const KEPT: Readonly<Record<string, About>> = {
  "cleanup.policy": about(
    "list",
    "How old records are removed: delete, compact, both, or not at all.",
  ),
  "budget.usd.per.day": about(
    "double",
    "The dollars that the topic may cost per day. -1: no bound.",
  ),
  "commit.linger.ms": about("int", "How long an append waits for others that share its row."),
  "delete.retention.ms": about("long", "How long compaction keeps the tombstone of a key."),
  "max.compaction.lag.ms": about("long", "The age at which a segment is compacted in any case."),
  "max.message.bytes": about("int", "The largest record batch that is accepted."),
  "message.timestamp.after.max.ms": about("long", "How far in the future a timestamp may be."),
  "message.timestamp.before.max.ms": about("long", "How far in the past a timestamp may be."),
  "message.timestamp.type": about(
    "string",
    "CreateTime keeps the producer's timestamps; LogAppendTime replaces them.",
  ),
  "min.cleanable.dirty.ratio": about(
    "double",
    "The share of uncompacted bytes at which compaction begins.",
  ),
  "min.compaction.lag.ms": about("long", "The age below which a record is not compacted."),
  "producer.id.expiration.ms": about("int", "The silence after which a producer is forgotten."),
  "retention.bytes": about(
    "long",
    "The size above which the oldest segments are deleted. -1: no bound.",
  ),
  "retention.ms": about("long", "The age at which segments are deleted. -1: no bound."),
  "rivulet.region": about(
    "string",
    "The region of the partitions or the group. Set at creation only.",
  ),
  "segment.bytes": about("int", "The size at which a segment is closed."),
  "segment.ms": about("long", "The age at which a segment is closed."),
  "topic.delete.delay.ms": about(
    "long",
    "How long a deleted topic is kept. -1: the deployment's default.",
  ),
  "consumer.assignor": about("string", "How partitions are assigned to members."),
  "consumer.auto.offset.reset": about("string", "Where members start if nothing is committed."),
  "consumer.heartbeat.interval.ms": about("int", "The interval of members' heartbeats."),
  "consumer.max.session.timeout.ms": about(
    "int",
    "The longest session timeout that a member may set.",
  ),
  "consumer.min.session.timeout.ms": about(
    "int",
    "The shortest session timeout that a member may set.",
  ),
  "consumer.session.timeout.ms": about("int", "The session timeout of members that set none."),
  "group.max.size": about("int", "The most members that a group may have."),
  "share.auto.offset.reset": about("string", "Where a share group begins in a partition."),
  "share.delivery.count.limit": about("int", "The most deliveries of a record."),
  "share.partition.max.record.locks": about(
    "int",
    "The most records of a partition that are held at the same time.",
  ),
  "share.record.lock.duration.ms": about("int", "How long a consumer has a record."),
  "share.renew.acknowledge.enable": about("boolean", "True if consumers may renew their locks."),
  "share.retry.backoff.ms": about("list", "The waits between the deliveries of a record."),
  "errors.deadletterqueue.topic.name": about("string", "The topic for records that are given up."),
  "errors.deadletterqueue.copy.record.enable": about(
    "boolean",
    "True if dead letters have the key, value and headers of the record.",
  ),
  "errors.deadletterqueue.auto.create.topics.enable": about(
    "boolean",
    "True if the dead-letter topic is created when it is missing.",
  ),
  "offsets.retention.minutes": about("int", "How long an empty group keeps its committed offsets."),
};

/** The configs that are set where the broker is started. */
const STARTED: Readonly<Record<(typeof START_CONFIGS)[number], About>> = {
  "auto.create.topics.enable": about(
    "boolean",
    "True if a request for a missing topic's metadata creates the topic.",
  ),
  "default.replication.factor": about("int", "The number of replicas of a partition."),
  "num.partitions": about(
    "int",
    "The number of partitions of a topic that is created without one.",
  ),
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

/** The fixed values, for topics and for the broker. */
export const FIXED_VALUES: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(FIXED).map(([name, { value }]) => [name, value]),
);

export interface NamedConfig {
  readonly name: string;
  readonly value: string | null;
}

/**
 * Returns the configs of a topic, or of the broker, for our own table, which refuses unknown names.
 * @throws BrokerError if a config with a strictly fixed value has another one
 */
export function keptConfigs<C extends NamedConfig>(configs: readonly C[]): C[] {
  return withoutBound(configs.filter((config) => !isTaken(config)));
}

/** Returns the configs with Kafka's value for no bound replaced by ours. */
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
