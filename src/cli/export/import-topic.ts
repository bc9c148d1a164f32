// Restores a topic from a file. The whole file is read first. Then its records are stored, the topic gets its config, and
// groups get their committed offsets. Each step looks at what is there, so running a broken-off import again continues it.
import { open } from "node:fs/promises";
import { MAX_MESSAGE_BYTES } from "../../core/limits.ts";
import { BrokerError, type TopicInfo } from "../../sdk/index.ts";
import type { Broker } from "../broker.ts";
import { withAfterword } from "../context.ts";
import { count } from "../figures.ts";
import { ByteSource } from "./byte-source.ts";
import type { Reporting } from "./export-topic.ts";
import { PartitionImport } from "./partition-import.ts";
import type { WholeFile } from "./whole-file.ts";

export interface Imported {
  readonly topic: string;
  readonly partitions: number;
  readonly records: number;
  /** The number of records that this run has stored. The others were stored before. */
  readonly stored: number;
  readonly groups: readonly ImportedGroup[];
}

export interface ImportedGroup {
  readonly group: string;
  /** The number of partitions in which the committed offset was set. */
  readonly set: number;
  /** The number of partitions in which the group had a committed offset before, which stays. */
  readonly kept: number;
  /** The reason why its committed offsets could not be set. */
  readonly error?: string;
}

/**
 * The config during the import: no record is refused, gets another time, or is deleted. These keys get their own values
 * at the end.
 */
const WHILE_IMPORTING = {
  "cleanup.policy": "",
  "max.message.bytes": MAX_MESSAGE_BYTES,
  "message.timestamp.type": "CreateTime",
  "message.timestamp.before.max.ms": Number.MAX_SAFE_INTEGER,
  "message.timestamp.after.max.ms": Number.MAX_SAFE_INTEGER,
} as const;

type Config = Readonly<Record<string, string | number>>;

function importingConfig(config: Config): Config {
  return { ...config, ...WHILE_IMPORTING };
}

function isImporting(overrides: Config, config: Config): boolean {
  const wanted = importingConfig(config);
  const keys = new Set([...Object.keys(wanted), ...Object.keys(overrides)]);
  return [...keys].every((key) => String(overrides[key]) === String(wanted[key]));
}

export async function importTopic(
  broker: Broker,
  path: string,
  name: string,
  whole: WholeFile,
  report: Reporting,
): Promise<Imported> {
  const { header, counts } = whole;
  const topic = await target(broker, name, whole);
  const bounds = await boundsOf(broker, topic);
  for (const [partition, { storedEnd }] of bounds.entries()) {
    const count = counts[partition] ?? 0;
    if (storedEnd > count)
      throw new Error(
        `${name}/${partition} ends at ${storedEnd}, the file has ${count} records of it: the topic is neither empty nor from this file. Nothing was changed; import into another one with --topic`,
      );
  }
  const stored = await storeRecords(broker, path, topic, whole, bounds, report);
  if (isImporting(topic.overrides, header.config)) {
    const config = Object.fromEntries(
      Object.keys(WHILE_IMPORTING).map((key) => [key, header.config[key] ?? null]),
    );
    await broker.again(() => broker.admin.alterTopic(name, { config }));
  }
  const groups: ImportedGroup[] = [];
  for (const each of whole.groups) groups.push(await restoreGroup(broker, name, each));
  const records = counts.reduce((sum, count) => sum + count, 0);
  return { topic: name, partitions: header.partitions, records, stored, groups };
}

/** Returns the topic, and creates it if it does not exist. @throws Error if it cannot take these records */
async function target(broker: Broker, name: string, { header }: WholeFile): Promise<TopicInfo> {
  const describe = () => broker.again(() => broker.admin.describeTopic(name));
  let topic: TopicInfo;
  try {
    topic = await describe();
  } catch (error) {
    if (!isCode(error, "UNKNOWN_TOPIC_OR_PARTITION")) throw error;
    const { partitions } = header;
    const config = { ...importingConfig(header.config) };
    try {
      topic = await broker.again(() => broker.admin.createTopic({ name, partitions, config }));
    } catch (failure) {
      // The answer to an earlier try was lost, or another import was faster.
      if (isCode(failure, "TOPIC_ALREADY_EXISTS")) topic = await describe();
      else if (isCode(failure, "INVALID_CONFIG"))
        throw new Error(
          `${(failure as Error).message}. Nothing was changed; create topic ${name} with ${partitions} partitions yourself, and import into it`,
        );
      else throw failure;
    }
  }
  if (topic.partitions !== header.partitions)
    throw new Error(
      `topic ${name} has ${topic.partitions} partitions, the file ${header.partitions}. Nothing was changed; import into another one with --topic`,
    );
  if (topic.config["message.timestamp.type"] === "LogAppendTime")
    await assertEmptyOrDone(broker, topic);
  return topic;
}

/** @throws Error if records would get the current time. A finished import is compared all the same. */
async function assertEmptyOrDone(broker: Broker, topic: TopicInfo): Promise<void> {
  const bounds = await boundsOf(broker, topic);
  if (bounds.some(({ storedEnd }) => storedEnd > 0)) return;
  throw new Error(
    `topic ${topic.name} has message.timestamp.type=LogAppendTime, which would give the records other times. Nothing was changed; delete the topic and let the import create it`,
  );
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof BrokerError && error.code === code;
}

interface Bounds {
  readonly storedStart: number;
  readonly storedEnd: number;
}

async function boundsOf(broker: Broker, { name, partitions }: TopicInfo): Promise<Bounds[]> {
  const bounds = await broker.bounds(name, partitions);
  return bounds.map(({ start, end }) => ({ storedStart: start, storedEnd: end }));
}

async function storeRecords(
  broker: Broker,
  path: string,
  { name }: TopicInfo,
  { format, header, size }: WholeFile,
  bounds: readonly Bounds[],
  report: Reporting,
): Promise<number> {
  const producer = await broker.newProducer();
  const file = await open(path, "r");
  let stored = 0;
  let of = -1;
  let current: PartitionImport | null = null;
  const finish = async () => {
    await current?.flush();
    stored += current?.added ?? 0;
    current = null;
  };
  try {
    for await (const { contents, end } of format.read(new ByteSource(file))) {
      for (const content of contents) {
        if (content.type !== "records") continue;
        const { partition } = content;
        if (partition !== of) {
          await finish();
          const from = header.ranges[partition]?.start ?? 0;
          const there = bounds[partition] ?? { storedStart: 0, storedEnd: 0 };
          current = new PartitionImport(broker, { topic: name, partition }, producer, {
            from,
            ...there,
          });
          of = partition;
        }
        await (current as PartitionImport | null)?.add(content);
        report.add(content.records?.length ?? recordCount(content.batches ?? []), 0);
      }
      report.offsets(end, size);
    }
    await finish();
  } catch (error) {
    const added = stored + ((current as PartitionImport | null)?.added ?? 0);
    throw withAfterword(error, `${count(added, "record")} stored before that.`);
  } finally {
    await file.close();
  }
  return stored;
}

function recordCount(
  batches: readonly { readonly header: { readonly recordCount: number } }[],
): number {
  return batches.reduce((sum, { header }) => sum + header.recordCount, 0);
}

/** Sets the group's offsets in partitions without a committed offset. A group that has read on is not set back. */
async function restoreGroup(
  broker: Broker,
  topic: string,
  { group, positions }: WholeFile["groups"][number],
): Promise<ImportedGroup> {
  const held = await broker.positions(group);
  const has = new Set(held?.filter((each) => each.topic === topic).map((each) => each.partition));
  const missing = positions.filter(({ partition }) => !has.has(partition));
  const kept = positions.length - missing.length;
  if (missing.length === 0) return { group, set: 0, kept };
  try {
    if (held === null) await broker.again(() => broker.admin.alterGroup(group, { config: {} }));
    const offsets = missing.map(({ partition, offset }) => ({ topic, partition, offset }));
    await broker.again(() => broker.admin.resetGroup(group, { offsets }));
    return { group, set: missing.length, kept };
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    return { group, set: 0, kept, error: `${error.code}: ${error.message}` };
  }
}
