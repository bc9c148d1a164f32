// Topics, and the rules for their names and partition counts.
import { type Failure, fail, type Result } from "../errors.ts";
import { MAX_GROUP_ID_LENGTH, MAX_PARTITIONS_PER_TOPIC, MAX_TOPIC_NAME_LENGTH } from "../limits.ts";
import { regionSet, whyNotRegion } from "../placement.ts";
import {
  type ConfigOverrides,
  changeOverrides,
  resolveConfig,
  setInRelease01,
  type TopicConfig,
} from "./config.ts";

/**
 * A topic as objects store it and send it to each other. The names are on disk and on the wire: fields may be added,
 * with a default, and are never renamed.
 */
export interface TopicDescription {
  readonly name: string;
  /** A UUID. A topic that is deleted and created again under the same name gets a new one. */
  readonly topicId: string;
  readonly partitions: number;
  /** The number of partitions at creation. It never changes, so keys spread by it stay in place. */
  readonly initialPartitions: number;
  /**
   * [PLC-2] The region where its partitions are created. It never changes. Absent if the topic's origin is unknown, and
   * in topics of release 0.1.
   */
  readonly region?: string | undefined;
  /** The config values set on this topic, by Kafka's keys. */
  readonly overrides: ConfigOverrides;
  /** The config values set for all topics, by Kafka's keys. Release 0.1 leaves them out. */
  readonly defaults?: ConfigOverrides | undefined;
  /**
   * The config in effect where the description was made. Release 0.1 reads only this field, so it is still written for
   * a rollback. It is read only if `defaults` is missing, because the next release may know more keys.
   */
  readonly config?: Partial<TopicConfig> | undefined;
}

export interface Topic extends TopicDescription {
  readonly defaults: ConfigOverrides;
  /** The config in effect: the topic's overrides on top of the values set for all topics. */
  readonly config: TopicConfig;
}

/** [VER-4] Returns the topic, with its config resolved by this release. */
export function resolveTopic(described: TopicDescription): Topic {
  const { name, topicId, partitions, initialPartitions, overrides } = described;
  const region = described.region ?? regionSet(overrides) ?? undefined;
  const defaults = described.defaults ?? defaultsIn(described);
  const config = { ...resolveConfig(defaults, overrides), region: region ?? "" };
  return { name, topicId, partitions, initialPartitions, region, overrides, defaults, config };
}

/** Changes the overrides of a topic, as ConfigTable.change does. [PLC-2] Its region cannot change. */
export function changeTopicConfig(
  { name, region, overrides }: Topic,
  changes: Readonly<Record<string, unknown>>,
): Result<{ overrides: ConfigOverrides }> {
  const moved = whyNotRegion(`topic ${name}`, region ?? null, overrides, changes);
  const changed = changeOverrides(overrides, changes);
  return changed.ok && moved !== null ? moved : changed;
}

/** Infers the values that were set for all topics, for a description by a release that did not include them. */
function defaultsIn({ config = {}, overrides }: TopicDescription): ConfigOverrides {
  const isInherited = ([key]: [string, unknown]) => !Object.hasOwn(overrides, key);
  return Object.fromEntries(Object.entries(setInRelease01(config)).filter(isInherited));
}

/** Checks a name by Kafka's rules (Topic.java): 1 to 249 of `[a-zA-Z0-9._-]`, not `.` or `..`. */
export function whyNotTopicName(name: string): Failure | null {
  if (name.length < 1 || name.length > MAX_TOPIC_NAME_LENGTH) {
    return fail(
      "INVALID_TOPIC_EXCEPTION",
      `topic name has ${name.length} characters, it needs 1 to ${MAX_TOPIC_NAME_LENGTH}`,
    );
  }
  if (name === "." || name === "..")
    return fail("INVALID_TOPIC_EXCEPTION", `topic name may not be "${name}"`);
  if (!/^[a-zA-Z0-9._-]+$/.test(name)) {
    return fail(
      "INVALID_TOPIC_EXCEPTION",
      `topic name ${JSON.stringify(name)} may only use a-z, A-Z, 0-9, '.', '_' and '-'`,
    );
  }
  return null;
}

/**
 * Checks a group id: 1 to 255 characters, no lone surrogates or control characters, and not `.` or `..`, which a URL
 * cannot contain.
 */
export function whyNotGroupId(groupId: string): Failure | null {
  const wrong = (why: string) => fail("INVALID_GROUP_ID", `group id ${why}`);
  if (groupId.length < 1 || groupId.length > MAX_GROUP_ID_LENGTH)
    return wrong(`has ${groupId.length} characters, it needs 1 to ${MAX_GROUP_ID_LENGTH}`);
  if (groupId === "." || groupId === "..") return wrong(`may not be "${groupId}"`);
  if (/[\p{Cc}\p{Cs}]/u.test(groupId))
    return wrong(`${JSON.stringify(groupId)} holds a control character, or half a character`);
  return null;
}

export function whyNotPartitionCount(partitions: number): Failure | null {
  if (Number.isInteger(partitions) && partitions >= 1 && partitions <= MAX_PARTITIONS_PER_TOPIC)
    return null;
  return fail(
    "INVALID_PARTITIONS",
    `partitions is ${partitions}, it must be 1 to ${MAX_PARTITIONS_PER_TOPIC}`,
  );
}
