// What a topic is and what may be asked of one.
import { type Failure, fail, type Result } from "../errors.ts";
import {
  MAX_GROUP_ID_LENGTH,
  MAX_MESSAGE_BYTES,
  MAX_PARTITIONS_PER_TOPIC,
  MAX_TOPIC_NAME_LENGTH,
} from "../limits.ts";

export interface Topic {
  readonly name: string;
  /** A UUID; a topic deleted and created again under its name gets another. */
  readonly topicId: string;
  readonly partitions: number;
  readonly config: TopicConfig;
}

/** Kafka's keys at the edge, camelCase inside. */
export interface TopicConfig {
  /** `max.message.bytes`: the largest record batch accepted, in bytes. */
  readonly maxMessageBytes: number;
}

export const DEFAULT_TOPIC_CONFIG: TopicConfig = { maxMessageBytes: MAX_MESSAGE_BYTES };

/** The one table of topic configuration: Kafka's key, our field, its bounds. */
const CONFIG_KEYS = {
  "max.message.bytes": { field: "maxMessageBytes", minimum: 1, maximum: MAX_MESSAGE_BYTES },
} as const satisfies Record<string, { field: keyof TopicConfig; minimum: number; maximum: number }>;

/** Kafka's rules for names (Topic.java): 1 to 249 of `[a-zA-Z0-9._-]`, not `.` or `..`. */
export function checkTopicName(name: string): Failure | null {
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

/** 1 to 255 characters, none of them a control character. */
export function checkGroupId(groupId: string): Failure | null {
  if (groupId.length < 1 || groupId.length > MAX_GROUP_ID_LENGTH) {
    return fail(
      "INVALID_GROUP_ID",
      `group id has ${groupId.length} characters, it needs 1 to ${MAX_GROUP_ID_LENGTH}`,
    );
  }
  for (const character of groupId) {
    if (character < " " || character === "\u007f") {
      return fail(
        "INVALID_GROUP_ID",
        `group id ${JSON.stringify(groupId)} holds a control character`,
      );
    }
  }
  return null;
}

export function checkPartitionCount(partitions: number): Failure | null {
  if (Number.isInteger(partitions) && partitions >= 1 && partitions <= MAX_PARTITIONS_PER_TOPIC)
    return null;
  return fail(
    "INVALID_PARTITIONS",
    `partitions is ${partitions}, it must be 1 to ${MAX_PARTITIONS_PER_TOPIC}`,
  );
}

/** Overrides, by Kafka's key, laid over `base`. `null` sets a key back to its default. */
export function resolveConfig(
  base: TopicConfig,
  overrides: Readonly<Record<string, unknown>>,
): Result<{ config: TopicConfig }> {
  const config: { -readonly [Field in keyof TopicConfig]: TopicConfig[Field] } = { ...base };
  for (const [key, value] of Object.entries(overrides)) {
    const rule = Object.hasOwn(CONFIG_KEYS, key)
      ? CONFIG_KEYS[key as keyof typeof CONFIG_KEYS]
      : undefined;
    if (rule === undefined) {
      return fail(
        "INVALID_CONFIG",
        `config ${JSON.stringify(key)} is not known; known: ${Object.keys(CONFIG_KEYS).join(", ")}`,
      );
    }
    if (value === null) {
      config[rule.field] = DEFAULT_TOPIC_CONFIG[rule.field];
      continue;
    }
    const number = typeof value === "string" && /^-?\d+$/.test(value) ? Number(value) : value;
    if (
      typeof number !== "number" ||
      !Number.isSafeInteger(number) ||
      number < rule.minimum ||
      number > rule.maximum
    ) {
      return fail(
        "INVALID_CONFIG",
        `config ${key} is ${JSON.stringify(value)}, it must be a whole number from ${rule.minimum} to ${rule.maximum}`,
      );
    }
    config[rule.field] = number;
  }
  return { ok: true, config };
}

/** The config by Kafka's keys. */
export function configByKey(config: TopicConfig): Record<string, number> {
  return Object.fromEntries(
    Object.entries(CONFIG_KEYS).map(([key, { field }]) => [key, config[field]]),
  );
}
