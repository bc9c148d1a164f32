// Configs as Kafka's tools say them. What holds here in any case, or has nothing here that it could be about, is taken and
// not kept, so that what creates topics for Kafka creates them here.

/** Kafka's Long.MAX_VALUE, for no bound; ours is the largest number that is exact here. */
const LONG_MAX = "9223372036854775807";
const OUR_MAX = String(Number.MAX_SAFE_INTEGER);

/** The values that are taken; null for all of them. */
const NOT_KEPT: Readonly<Record<string, readonly string[] | null>> = {
  // An acknowledged record is durable, and has one leader.
  "flush.messages": null,
  "flush.ms": null,
  "min.insync.replicas": null,
  "unclean.leader.election.enable": null,
  "leader.replication.throttled.replicas": null,
  "follower.replication.throttled.replicas": null,
  // Batches are stored and answered as they came.
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

/** Those that are for our own table, which refuses what it does not know. */
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
