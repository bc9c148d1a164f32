// rivulet consume: as a member of a group, or alone.
import { once } from "node:events";
import { type Command, Option } from "commander";
import type { Consumer, ConsumerRecord, TopicPartition } from "../../client/index.ts";
import { connect, type GlobalOptions, UsageError } from "../context.ts";
import { positiveNumber, wholeNumber } from "./topics.ts";

interface ConsumeOptions {
  readonly group?: string;
  readonly pattern?: string;
  readonly instanceId?: string;
  readonly from: "earliest" | "latest";
  readonly max?: number;
  readonly exit?: true;
  readonly sessionTimeout: number;
}

export function addConsume(program: Command): void {
  program
    .command("consume [topics...]")
    .description("print records as they come; --json prints each with its place, key and headers")
    .option(
      "-g, --group <id>",
      "join this consumer group: its members share the partitions, its position is kept",
    )
    .option(
      "--pattern <regex>",
      "with --group: all topics whose whole names match (RE2), those created later too",
    )
    .option(
      "--instance-id <id>",
      "with --group: a static member, whose partitions wait for it for its session timeout",
    )
    .addOption(
      new Option("--from <where>", "where to begin; for a group, only where it has no position yet")
        .choices(["earliest", "latest"])
        .default("earliest"),
    )
    .option("-n, --max <count>", "stop after this many records", positiveNumber)
    .option(
      "-e, --exit",
      "without a group: stop at the end of the topic instead of waiting for more",
    )
    .option(
      "--session-timeout <ms>",
      "silence after which the group takes this member for dead",
      wholeNumber,
      45_000,
    )
    .addHelpText(
      "after",
      "\nExamples:\n  rivulet consume orders --exit\n  rivulet --json consume orders --group billing | jq .value\n  rivulet consume --pattern 'orders-.*' --group audit",
    )
    .action(async (topics: string[], options: ConsumeOptions, command: Command) => {
      await consume(topics, options, command.optsWithGlobals<GlobalOptions>());
    });
}

async function consume(
  topics: string[],
  options: ConsumeOptions,
  global: GlobalOptions,
): Promise<void> {
  const rivulet = connect(global);
  if (topics.length === 0 && options.pattern === undefined)
    throw new UsageError("name a topic, or give a --pattern");
  if (options.group === undefined && (options.pattern ?? options.instanceId) !== undefined)
    throw new UsageError("--pattern and --instance-id go with --group only");
  for (const topic of topics) await rivulet.admin.describeTopic(topic); // A typo is an error now, not silence.
  const note = (text: string) => {
    if (!global.json && process.stderr.isTTY) process.stderr.write(`${text}\n`);
  };
  const onAssigned = (partitions: readonly TopicPartition[]) =>
    note(`# assigned ${list(partitions)}`);
  const onError = (error: Error) => process.stderr.write(`# ${error.message}\n`);

  let consumer: Consumer;
  let ends: Map<string, number> | null = null;
  if (options.group !== undefined) {
    if (options.exit)
      throw new UsageError(
        "--exit goes without --group; a group's member stops with --max or Ctrl-C",
      );
    consumer = rivulet.consumer({
      groupId: options.group,
      topics,
      ...(options.pattern === undefined ? {} : { topicPattern: options.pattern }),
      ...(options.instanceId === undefined ? {} : { instanceId: options.instanceId }),
      from: options.from,
      clientId: `cli-${process.pid}`,
      sessionTimeoutMs: options.sessionTimeout,
      onAssigned,
      onRevoked: (partitions) => note(`# revoked ${list(partitions)}`),
      onLost: (partitions) => note(`# lost ${list(partitions)}`),
      onError,
    });
  } else {
    const [topic] = topics;
    if (topic === undefined || topics.length > 1)
      throw new UsageError("several topics can be read with --group only");
    if (options.exit) ends = await unreadEnds(rivulet.admin, topic, options.from);
    if (ends?.size === 0) return;
    consumer = await rivulet.reader({ topic, from: options.from, onAssigned, onError });
  }

  const stop = () => consumer.close();
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    process.exit(0); // The reader of the pipe has had enough.
  });
  let left = options.max ?? Number.POSITIVE_INFINITY;
  await consumer.run({
    eachRecord: async (record, place) => {
      if (left === 0) return;
      const isRoomLeft = process.stdout.write(`${format(record, place, global)}\n`);
      left--;
      const key = `${place.topic}/${place.partition}`;
      if (ends !== null && record.offset + 1 >= (ends.get(key) ?? 0)) ends.delete(key);
      if (left === 0 || ends?.size === 0) consumer.close();
      if (!isRoomLeft) await once(process.stdout, "drain");
    },
  });
}

/** Where each partition that has something to read ends now. */
async function unreadEnds(
  admin: ReturnType<typeof connect>["admin"],
  topic: string,
  from: "earliest" | "latest",
): Promise<Map<string, number>> {
  const ends = new Map<string, number>();
  if (from === "latest") return ends;
  const { partitions } = await admin.describeTopic(topic);
  for (let partition = 0; partition < partitions; partition++) {
    const { offset: start } = await admin.listOffset(topic, partition, "earliest");
    const { offset: end } = await admin.listOffset(topic, partition, "latest");
    if (end > start) ends.set(`${topic}/${partition}`, end);
  }
  return ends;
}

function format(record: ConsumerRecord, place: TopicPartition, global: GlobalOptions): string {
  if (!global.json)
    return record.value === null ? "null" : Buffer.from(record.value).toString("utf8");
  const headers: Record<string, unknown> = {};
  for (const { key, value } of record.headers) {
    const before = Object.hasOwn(headers, key) ? [headers[key]].flat() : [];
    headers[key] = before.length === 0 ? text(value) : [...before, text(value)];
  }
  return JSON.stringify({
    ...place,
    offset: record.offset,
    timestamp: record.timestamp,
    ...field("key", record.key),
    ...field("value", record.value),
    headers,
  });
}

/** As the HTTP API has it: bytes that are no UTF-8 are `keyBase64` and `valueBase64`. */
function field(name: "key" | "value", bytes: Uint8Array | null): object {
  const shown = text(bytes);
  return shown === null || typeof shown === "string"
    ? { [name]: shown }
    : { [`${name}Base64`]: shown.base64 };
}

/** Bytes that are no UTF-8 are shown as `{base64}`, as the HTTP API does in headers. */
function text(bytes: Uint8Array | null): string | null | { base64: string } {
  if (bytes === null) return null;
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const decoded = buffer.toString("utf8");
  return decoded.includes("\ufffd") && !buffer.equals(Buffer.from(decoded))
    ? { base64: buffer.toString("base64") }
    : decoded;
}

function list(partitions: readonly TopicPartition[]): string {
  return partitions.length === 0
    ? "nothing"
    : partitions.map(({ topic, partition }) => `${topic}/${partition}`).join(" ");
}
