// Configs as Kafka's tools name them. Some always hold here, and some concern nothing that exists here. Those are
// accepted and not stored, so that tools that create topics for Kafka work here too.

/** Kafka's Long.MAX_VALUE, which means no bound. Ours is the largest integer that is exact in JavaScript. */
const LONG_MAX = "9223372036854775807";
const OUR_MAX = String(Number.MAX_SAFE_INTEGER);

/** The values that are accepted and not stored. Null accepts every value. */
const NOT_KEPT: Readonly<Record<string, readonly string[] | null>> = {
  // An acknowledged record is durable, and has one leader.
  "flush.messages": null,
  "flush.ms": null,
  "min.insync.replicas": null,
  "unclean.leader.election.enable": null,
  "leader.replication.throttled.replicas": null,
  "follower.replication.throttled.replicas": null,
  // Batches are stored and returned as they came.
  "compression.type": ["producer"],
  "compression.gzip.level": null,
  "compression.lz4.level": null,
  "compression.zstd.level": null,
  "message.downconversion.enable": null,
  "message.format.version": null,
  // There are no files.
  "file.delete.delay.ms": null,
  "index.interval.bytes": null,
  preallocate: null,
  "segment.index.bytes": null,
  "segment.jitter.ms": null,
  "remote.storage.enable": ["false"],
};

export interface NamedConfig {
  readonly name: string;
  readonly value: string | null;
}

/** Returns the configs that go to our own table, which refuses names that it does not know. */
export function keptConfigs<C extends NamedConfig>(configs: readonly C[]): C[] {
  return configs
    .filter((config) => !isTaken(config))
    .map((config) => (config.value === LONG_MAX ? { ...config, value: OUR_MAX } : config));
}

function isTaken({ name, value }: NamedConfig): boolean {
  if (!Object.hasOwn(NOT_KEPT, name)) return false;
  const values = NOT_KEPT[name] ?? null;
  return values === null || value === null || values.includes(value);
}

export function shownConfig(value: string | number): string {
  return String(value) === OUR_MAX ? LONG_MAX : String(value);
}
