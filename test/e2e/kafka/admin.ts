// An admin of Kafka's, behind one interface. librdkafka has none in JavaScript.
import type { Address } from "./client.ts";

export type Config = Readonly<Record<string, string>>;

export interface Group {
  readonly state: string;
  /** The partitions of one topic that each of its members holds. */
  readonly shares: readonly (readonly number[])[];
}

/** A refused request is not repeated, as these clients otherwise do. */
export interface Admin {
  /** False if it already exists. */
  createTopic(name: string, partitions: number, config: Config): Promise<boolean>;
  /** In all. */
  addPartitions(name: string, count: number): Promise<void>;
  /** The leader of each partition. */
  leaders(name: string): Promise<number[]>;
  /** `id host:port` of each. */
  brokers(): Promise<string[]>;
  topicConfig(name: string): Promise<Config>;
  /** Keys that are not named are reset to their default. */
  replaceConfig(name: string, config: Config): Promise<void>;
  /** Keys that are not named stay, and null is the default. KafkaJS does not support it. */
  changeConfig?(name: string, changes: Readonly<Record<string, string | null>>): Promise<void>;
  listTopics(): Promise<string[]>;
  deleteTopic(name: string): Promise<void>;
  /** The first record's, and that of the next. */
  bounds(topic: string, partition: number): Promise<[number, number]>;
  /** The offset of the first record that is no older. */
  offsetAt(topic: string, partition: number, timestamp: number): Promise<number>;
  listGroups(): Promise<string[]>;
  describeGroup(groupId: string, topic: string): Promise<Group>;
  /** Partition by partition, where something is committed. */
  committed(groupId: string, topic: string): Promise<Record<number, number>>;
  setOffsets(groupId: string, topic: string, offsets: readonly number[]): Promise<void>;
  /** KafkaJS does not support it. */
  forgetOffsets?(groupId: string, topic: string, partitions: readonly number[]): Promise<void>;
  deleteGroup(groupId: string): Promise<void>;
  close(): Promise<void>;
}

export interface AdminKind {
  readonly name: string;
  connect(address: Address): Promise<Admin>;
}

/** Kafka's names of all the errors. */
export function errorNames(error: unknown): string[] {
  if (typeof error !== "object" || error === null) return [];
  const { type, apiId, errors, groups, error: inner, cause } = error as Record<string, unknown>;
  const own = [type, apiId].filter((name) => typeof name === "string");
  const others = [errors, groups].flatMap((list) => (Array.isArray(list) ? list : []));
  return [...own, ...[...others, inner, cause].flatMap(errorNames)];
}
