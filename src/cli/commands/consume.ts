// rivulet consume: as a member of a group, or alone. rivulet tail: new records from now on.
import { fstatSync } from "node:fs";
import { type Command, Option } from "commander";
import type { Consumer, Rivulet, TopicPartition } from "../../sdk/index.ts";
import { connect, examples, type GlobalOptions, UsageError, wantsNotes } from "../context.ts";
import { Progress } from "../progress.ts";
import { keyOf, printRecords, type Unread, unreadOffsets } from "../records.ts";
import { parseWholeNumber, positiveNumber } from "./topics.ts";

type From = "earliest" | "latest";

interface ConsumeOptions {
  readonly group?: string;
  readonly pattern?: string;
  readonly instanceId?: string;
  readonly from: From;
  readonly max?: number;
  readonly exit?: true;
  readonly sessionTimeout: number;
}

export function addConsume(program: Command): void {
  program
    .command("consume [topics...]")
    .description("print records as they come; --json prints each with its place, key and headers")
    .option(
      "-g, --group <group>",
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
      fromOption("where to begin; for a group, only where it has no position yet", "earliest"),
    )
    .addOption(maxOption())
    .option(
      "-e, --exit",
      "without a group: stop at the end of the topic instead of waiting for more",
    )
    .option(
      "--session-timeout <ms>",
      "silence after which the group takes this member for dead",
      parseWholeNumber,
      45_000,
    )
    .addHelpText(
      "after",
      examples(
        "rivulet consume orders --exit > orders.ndjson",
        "rivulet --json consume orders --group billing | jq .value",
        "rivulet consume --pattern 'orders-.*' --group audit",
      ),
    )
    .action(async (topics: string[], options: ConsumeOptions, command: Command) => {
      await consume(topics, options, command.optsWithGlobals<GlobalOptions>());
    });
}

export function addTail(program: Command): void {
  program
    .command("tail <topic>")
    .description("print what comes from now on, of all partitions, without a group, until Ctrl-C")
    .addOption(fromOption("where to begin", "latest"))
    .addOption(maxOption())
    .addHelpText(
      "after",
      examples("rivulet tail orders", "rivulet --json tail orders | jq '{key, value}'"),
    )
    .action(async (topic: string, options: { from: From; max?: number }, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const progress = new Progress(wantsProgress(global), () => null);
      const { from, ...rest } = options;
      const consumer = await connect(global).reader({
        topic,
        from,
        ...callbacksOf(global, progress),
      });
      await printRecords(consumer, global, { ...rest, progress });
    });
}

function fromOption(description: string, initially: From): Option {
  return new Option("--from <where>", description)
    .choices(["earliest", "latest"])
    .default(initially);
}

function maxOption(): Option {
  return new Option("-n, --max <count>", "stop after this many records").argParser(positiveNumber);
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

  const { from, max } = options;
  const limit = max === undefined ? {} : { max };
  if (options.group !== undefined) {
    if (options.exit)
      throw new UsageError(
        "--exit goes without --group; a group's member stops with --max or Ctrl-C",
      );
    const progress = new Progress(wantsProgress(global), () => null);
    const consumer = member(rivulet, options.group, topics, options, callbacksOf(global, progress));
    return printRecords(consumer, global, { ...limit, progress });
  }
  const [topic] = topics;
  if (topic === undefined || topics.length > 1)
    throw new UsageError("several topics can be read with --group only");
  const unread = options.exit ? await unreadOf(rivulet.admin, topic, from) : undefined;
  if (unread?.size === 0) return;
  const all = unread === undefined ? 0 : unreadOffsets(unread);
  const progress = new Progress(wantsProgress(global), () =>
    unread === undefined ? null : 1 - unreadOffsets(unread) / all,
  );
  const consumer = await rivulet.reader({ topic, from, ...callbacksOf(global, progress) });
  await printRecords(consumer, global, {
    ...limit,
    ...(unread === undefined ? {} : { unread }),
    startOf: async (place) => {
      const partition = Number(place.slice(place.lastIndexOf("/") + 1));
      return (await rivulet.admin.listOffset(topic, partition, "earliest")).offset;
    },
    progress,
  });
}

function member(
  rivulet: Rivulet,
  groupId: string,
  topics: string[],
  { pattern, instanceId, from, sessionTimeout }: ConsumeOptions,
  callbacks: ReturnType<typeof callbacksOf>,
): Consumer {
  return rivulet.consumer({
    groupId,
    topics,
    ...(pattern === undefined ? {} : { topicPattern: pattern }),
    ...(instanceId === undefined ? {} : { instanceId }),
    from,
    clientId: `cli-${process.pid}`,
    sessionTimeoutMs: sessionTimeout,
    ...callbacks,
  });
}

/** Reports events besides the records: errors to everyone, the rest to people. */
function callbacksOf(global: GlobalOptions, progress: Progress) {
  const note = (what: string) => (partitions: readonly TopicPartition[]) => {
    if (wantsNotes(global))
      progress.note(`# ${what} ${partitions.map(keyOf).join(" ") || "nothing"}`);
  };
  return {
    onAssigned: note("assigned"),
    onRevoked: note("revoked"),
    onLost: note("lost"),
    onError: (error: Error) => progress.note(`# ${error.message}`),
  };
}

/**
 * True if progress is shown. On a terminal, the records themselves show the progress. Behind a pipe, another program
 * may write to the same terminal. So progress is shown only if the records go to a file, or nowhere.
 */
function wantsProgress(global: GlobalOptions): boolean {
  if (!wantsNotes(global) || process.stdout.isTTY) return false;
  const output = fstatSync(1);
  return output.isFile() || output.isCharacterDevice();
}

/** Returns the range of offsets that each partition holds now, for partitions with something to read. */
async function unreadOf(admin: Rivulet["admin"], topic: string, from: From): Promise<Unread> {
  const unread: Unread = new Map();
  if (from === "latest") return unread;
  const { partitions } = await admin.describeTopic(topic);
  for (let partition = 0; partition < partitions; partition++) {
    const { offset: next } = await admin.listOffset(topic, partition, "earliest");
    const { offset: end } = await admin.listOffset(topic, partition, "latest");
    if (end > next) unread.set(keyOf({ topic, partition }), { next, end });
  }
  return unread;
}
