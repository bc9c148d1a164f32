// rivulet consume: as a member of a group, or alone. rivulet tail: new records from now on.
import { fstatSync } from "node:fs";
import { Option } from "commander";
import type { TopicPartition } from "../../sdk/index.ts";
import { whole } from "../answer.ts";
import { type Command, suggestingOption } from "../command.ts";
import { connect, type GlobalOptions, UsageError, wantsNotes } from "../context.ts";
import { GroupReader } from "../group-reader.ts";
import { parseWholeNumber, positiveNumber } from "../options.ts";
import { plainLines } from "../plain.ts";
import {
  type FixedPosition,
  fixedUpToNow,
  type Position,
  parseFrom,
  parseUntil,
} from "../position.ts";
import { Progress } from "../progress.ts";
import { offsetAt, openReader } from "../reader.ts";
import {
  lineOf,
  PRINTED_FIELDS,
  type PrintedField,
  parseFields,
  parseSeparator,
  VALUE_ONLY,
} from "../record-text.ts";
import { jsonLine, type PrintOptions, printRecords } from "../records.ts";
import { keyOf } from "../unread.ts";

interface PrintedOptions {
  readonly max?: number;
  readonly print?: PrintedField[];
  readonly keySeparator?: string;
}

interface AloneOptions extends PrintedOptions {
  readonly from: Position;
  readonly partition?: number;
  readonly until?: Position;
  readonly exit?: true;
}

interface ConsumeOptions extends AloneOptions {
  readonly group?: string;
  readonly pattern?: string;
  readonly instanceId?: string;
  readonly sessionTimeout: number;
}

const POSITIONS =
  "A position is a time (2026-11-01T12:00:00Z, in UTC if it names no zone, or milliseconds since 1970), a duration back " +
  "from now (15m, 2h, 7d or PT1H), or with --partition an offset. A time means the first record at or after it. --from " +
  "also takes earliest and latest, and --until takes now.";

const ENDS =
  "With --exit or --until, a group's member reads what each of its partitions holds when it is assigned, commits and " +
  "leaves. It drops a partition that the group takes away, and waits for one that another member still has to give up. " +
  "If other members have all partitions, it ends at once, with exit code 0.";

const LINES =
  "On a terminal, control characters other than tab and newline are shown as \\x1b, and bytes that are not UTF-8 as \ufffd. " +
  "A pipe or a file gets keys and values byte for byte. Lines may be ambiguous: a value may hold newlines, and null is " +
  "written for a value that is absent and for the text null. With --json each record is one line, and nothing is " +
  "ambiguous.";

export function addConsume(program: Command): void {
  const consume = program
    .command("consume [topics...]")
    .summary("print the records of topics")
    .description(
      "Prints the values of records as they come, one a line. With --group it shares the partitions with the " +
        "group's other members, and commits what it has printed. Without a group it reads all partitions and commits " +
        "nothing. With --json each line is a whole record with its place.",
    )
    .option("-g, --group <group>", "join this consumer group")
    .option(
      "--pattern <regex>",
      "with --group: topics whose whole names match this RE2 pattern, also topics created later",
    )
    .option(
      "--instance-id <id>",
      "with --group: be a static member, whose partitions wait for it for the session timeout",
    )
    .addOption(
      fromOption("start here; in a group, only where it has committed nothing", "earliest"),
    )
    .addOption(
      suggestingOption("--until <position>", "stop before this position", ["now"]).argParser(
        parseUntil,
      ),
    )
    .option("-e, --exit", "stop at the end of the log, as --until now does");
  printOptions(consume)
    .option(
      "--session-timeout <ms>",
      "with --group: silence in milliseconds after which the group removes this member",
      parseWholeNumber,
      45_000,
    )
    .details(POSITIONS)
    .details(ENDS)
    .details(LINES)
    .seeAlso("tail", "produce", "groups lag", "groups reset")
    .examples(
      "rivulet consume orders --from 2h --exit --print timestamp,key,value",
      "rivulet consume orders --partition 0 --from 42 --max 1",
      "rivulet --json consume orders --group billing --exit | jq .value",
    )
    .action(async (topics: string[], options: ConsumeOptions, command: Command) => {
      await run(topics, options, command.optsWithGlobals<GlobalOptions>());
    });
}

export function addTail(program: Command): void {
  const tail = program
    .command("tail <topic>")
    .summary("print new records until Ctrl-C")
    .description(
      "Prints the records that come from now on, of all partitions and without a group, until Ctrl-C.",
    )
    .addOption(fromOption("start here", "latest"));
  printOptions(tail)
    .details(POSITIONS.replace(/ --from also[^.]*\./, " --from also takes earliest and latest."))
    .details(LINES)
    .seeAlso("consume", "produce")
    .examples(
      "rivulet tail orders",
      "rivulet tail orders --from 10m --print partition,offset,value",
      "rivulet --json tail orders | jq '{key, value}'",
    )
    .action(async (topic: string, options: AloneOptions, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      await readAlone([topic], options, global, printing(options, global));
    });
}

function fromOption(description: string, initially: "earliest" | "latest"): Option {
  return suggestingOption("--from <position>", description, ["earliest", "latest"])
    .argParser(parseFrom)
    .default({ at: initially }, initially);
}

function printOptions(command: Command): Command {
  return command
    .option("--partition <number>", "without a group: read this partition only", parseWholeNumber)
    .addOption(
      new Option("-n, --max <count>", "stop after this many records").argParser(positiveNumber),
    )
    .addOption(
      suggestingOption(
        "--print <fields>",
        `print these, with commas between them: ${PRINTED_FIELDS.join(", ")} (default: value)`,
        PRINTED_FIELDS,
      ).argParser(parseFields),
    )
    .option(
      "--key-separator <text>",
      "with --print key,value: stands between the two (default: a tab, also written \\t)",
      parseSeparator,
    );
}

/** Returns what prints a record. @throws UsageError */
function printing(
  { print, keySeparator }: PrintedOptions,
  { json }: GlobalOptions,
): PrintOptions["lineOf"] {
  if (json && (print ?? keySeparator) !== undefined)
    throw new UsageError("--json prints all fields: --print and --key-separator go without it");
  if (json) return jsonLine;
  const fields = print ?? VALUE_ONLY.fields;
  const hasPair = fields.some((field, index) => field === "key" && fields[index + 1] === "value");
  if (keySeparator !== undefined && !hasPair)
    throw new UsageError("--key-separator goes with --print key,value");
  const format = { fields, keySeparator: keySeparator ?? VALUE_ONLY.keySeparator };
  if (!process.stdout.isTTY) return (record, place) => lineOf(record, place, format);
  return (record, place) => plainLines(Buffer.from(lineOf(record, place, format)).toString());
}

async function run(
  topics: readonly string[],
  options: ConsumeOptions,
  global: GlobalOptions,
): Promise<void> {
  const { group, pattern, instanceId, partition } = options;
  if (group === "") throw new UsageError("--group is empty");
  if (topics.length === 0 && pattern === undefined)
    throw new UsageError("name a topic, or give --pattern");
  if (group === undefined && (pattern ?? instanceId) !== undefined)
    throw new UsageError("--pattern and --instance-id go with --group only");
  if (group !== undefined && partition !== undefined)
    throw new UsageError("--partition goes without --group: the group chooses the partitions");
  if (partition !== undefined && topics.length > 1)
    throw new UsageError("--partition goes with one topic");
  const print = printing(options, global);
  if (group === undefined) await readAlone(topics, options, global, print);
  else await readInGroup(group, topics, options, global, print);
}

async function readAlone(
  names: readonly string[],
  { from, until, exit, partition, max }: AloneOptions,
  global: GlobalOptions,
  lineOf: PrintOptions["lineOf"],
): Promise<void> {
  const nowMs = Date.now();
  const start = fixedUpToNow("--from", from, partition !== undefined, nowMs);
  const ends = endsOf(until, exit, partition !== undefined, nowMs);
  const { admin } = connect(global);
  const describe = async (name: string) =>
    whole(await admin.describeTopic(name), "name", "topicId", "partitions");
  const topics = await Promise.all([...new Set(names)].map(describe));
  let part: () => number | null = () => null;
  const progress = new Progress(wantsProgress(global), () => part());
  const callbacks = callbacksOf(global, progress);
  const reader = await openReader(global, admin, {
    ...{ topics, ends, callbacks },
    partition: partition ?? null,
    from: start,
  });
  if (reader === null) return progress.end();
  const { consumer, unread } = reader;
  const all = unread?.offsets ?? 0;
  part = () => (unread === null ? null : 1 - unread.offsets / all);
  await printRecords(consumer, {
    ...{ unread, lineOf, progress },
    ...(max === undefined ? {} : { max }),
    startOf: (place) => offsetAt(admin, place, { at: "earliest" }),
  });
}

async function readInGroup(
  groupId: string,
  topics: readonly string[],
  { from, until, exit, max, pattern, instanceId, sessionTimeout }: ConsumeOptions,
  global: GlobalOptions,
  lineOf: PrintOptions["lineOf"],
): Promise<void> {
  const nowMs = Date.now();
  // The group counts a duration back from when it is needed. A number can only be a time here.
  const start = "agoMs" in from ? from : fixedUpToNow("--from", from, false, nowMs);
  const ends = endsOf(until, exit, false, nowMs);
  const rivulet = connect(global);
  // A typo is an error now, not silence.
  for (const topic of topics) whole(await rivulet.admin.describeTopic(topic), "name", "partitions");
  const progress = new Progress(wantsProgress(global), () => null);
  const reader = new GroupReader(rivulet, global, {
    ...{ groupId, topics, ends },
    from: start as Exclude<typeof start, { offset: number }>,
    ...(pattern === undefined ? {} : { topicPattern: pattern }),
    ...(instanceId === undefined ? {} : { instanceId }),
    clientId: `cli-${process.pid}`,
    sessionTimeoutMs: sessionTimeout,
    ...callbacksOf(global, progress),
  });
  await printRecords(reader.consumer, {
    ...{ unread: reader.unread, lineOf, progress },
    ...(max === undefined ? {} : { max }),
    isAssigned: () => reader.isAssigned(),
    startOf: (place) => offsetAt(rivulet.admin, place, { at: "earliest" }),
  });
}

function endsOf(
  until: Position | undefined,
  exit: true | undefined,
  hasPartition: boolean,
  nowMs: number,
): FixedPosition[] {
  return [
    ...(until === undefined ? [] : [fixedUpToNow("--until", until, hasPartition, nowMs)]),
    ...(exit ? [{ at: "latest" } as const] : []),
  ];
}

/** Reports events other than records: errors to everyone, the rest to people. */
function callbacksOf(global: GlobalOptions, progress: Progress) {
  const note = (event: string) => (partitions: readonly TopicPartition[]) => {
    if (wantsNotes(global))
      progress.note(`# ${event} ${partitions.map(keyOf).join(" ") || "nothing"}`);
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
