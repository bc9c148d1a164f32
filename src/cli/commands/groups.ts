// rivulet groups list | describe | lag | config | alter | history | reset | delete-offsets | delete
import { readFile } from "node:fs/promises";
import { type Command, Option } from "commander";
import type { GroupInfo, GroupReset, HistoryInfo, ResetTo } from "../../sdk/index.ts";
import {
  connect,
  examples,
  type GlobalOptions,
  print,
  UsageError,
  withoutMark,
} from "../context.ts";
import { lagText, offsetsOf, offsetsTable, unreadableText } from "../group-offsets.ts";
import { listGroups } from "../lists.ts";
import { parsePlan } from "../reset-plan.ts";
import { table } from "../table.ts";
import { addLag } from "./lag.ts";
import {
  type ConfigChange,
  changeOf,
  collectConfig,
  collectKey,
  configTable,
  configText,
  positiveNumber,
} from "./topics.ts";

interface ResetOptions {
  readonly to?: "earliest" | "latest" | "current";
  readonly byDuration?: string;
  readonly toOffset?: string;
  readonly toTimestamp?: string;
  readonly shiftBy?: string;
  readonly fromFile?: string;
  readonly topic?: string[];
  readonly dryRun?: true;
}

export function addGroups(program: Command): void {
  const groups = program
    .command("groups")
    .description("list, describe, reset and delete consumer groups, and tell what happened in them")
    .addHelpText("after", examples("rivulet groups list", "rivulet groups lag billing --watch"));

  groups
    .command("list")
    .description("list the groups")
    .addHelpText("after", examples("rivulet groups list"))
    .action(async (_options: object, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const all = await listGroups(global);
      print(global, all, () =>
        all.length === 0
          ? "There are no groups. `rivulet consume TOPIC --group ID` starts one."
          : table(
              ["GROUP"],
              all.map(({ groupId }) => [groupId]),
            ),
      );
    });

  groups
    .command("describe <group>")
    .description("show a group's members, who owns what, and how far it has read")
    .addHelpText(
      "after",
      examples(
        "rivulet groups describe billing",
        "rivulet --json groups describe billing | jq .members",
      ),
    )
    .action(async (groupId: string, _options: object, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      print(global, await connect(global).admin.describeGroup(groupId), describe);
    });

  addLag(groups);

  groups
    .command("config <group>")
    .description("show what is set for a group, and what holds")
    .addHelpText("after", examples("rivulet groups config billing"))
    .action(async (groupId: string, _options: object, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const info = await connect(global).admin.groupConfig(groupId);
      print(global, info, (configs) => configTable(configs, "VALUE"));
    });

  groups
    .command("alter <group>")
    .description("change a group's configuration; a group that nobody has joined yet comes to be")
    .addHelpText(
      "after",
      examples(
        "rivulet groups alter billing --config consumer.assignor=range",
        "rivulet groups alter billing --unset consumer.assignor",
      ),
    )
    .option(
      "-c, --config <key=value>",
      "e.g. consumer.assignor=range; may be repeated",
      collectConfig,
    )
    .option("--unset <key>", "set a key back to its default; may be repeated", collectKey)
    .action(async (groupId: string, keys: ConfigChange, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const config = changeOf(keys);
      if (config === null) throw new UsageError("give --config or --unset");
      const altered = await connect(global).admin.alterGroup(groupId, { config });
      print(global, altered, () => `Altered group ${groupId}.\n${configText(altered.overrides)}`);
    });

  groups
    .command("history <group>")
    .description("tell what happened in a group, and why it rebalanced")
    .addHelpText("after", examples("rivulet groups history billing --max 10"))
    .option("--max <count>", "the newest so many entries", positiveNumber, 50)
    .action(async (groupId: string, options: { max: number }, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const history = await connect(global).admin.groupHistory(groupId, options.max);
      print(global, history, () =>
        table(["TIME", "EPOCH", "WHAT", "WHO", "DETAIL"], history.map(historyRow)),
      );
    });

  groups
    .command("reset <group>")
    .description("set the position of a group that has no members now")
    .addOption(
      new Option(
        "--to <where>",
        "the oldest or the newest record, or where it is, clamped",
      ).choices(["earliest", "latest", "current"]),
    )
    .option("--to-offset <offset>", "this offset, clamped to each partition")
    .option("--to-timestamp <time>", "the first record at or after this time (ISO 8601 or ms)")
    .option("--by-duration <duration>", "the first record of this long ago, e.g. PT2H")
    .option("--shift-by <count>", "forward, or back where negative (--shift-by=-100)")
    .option("--from-file <path>", "a plan: lines of topic,partition,offset, or a dry run's JSON")
    .option("--topic <topic...>", "only these topics")
    .option("--dry-run", "show what would be set, and set nothing")
    .addHelpText(
      "after",
      examples(
        "rivulet groups reset billing --to-timestamp 2026-11-01T00:00:00Z --dry-run",
        "rivulet --json groups reset billing --to current --dry-run > plan.json",
        "rivulet groups reset billing --from-file plan.json",
      ),
    )
    .action(async (groupId: string, options: ResetOptions, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const result = await connect(global).admin.resetGroup(groupId, await resetOf(options));
      print(global, result, () => {
        const rows = result.offsets.map((row) => [
          row.topic,
          row.partition,
          row.committedOffset,
          row.offset,
        ]);
        const title = result.dryRun
          ? `Group ${groupId} would go to (dry run, nothing was set):`
          : `Group ${groupId} goes on at:`;
        return `${title}\n${table(["TOPIC", "PARTITION", "FROM", "TO"], rows)}`;
      });
    });

  groups
    .command("delete-offsets <group> <topics...>")
    .description("forget a group's positions in topics that none of its members reads now")
    .addHelpText("after", examples("rivulet groups delete-offsets billing orders payments"))
    .action(async (groupId: string, topics: string[], _options: object, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      await connect(global).admin.deleteGroupOffsets(groupId, topics);
      const deleted = { groupId, topics };
      print(global, deleted, () => `Group ${groupId} has no position in ${topics.join(", ")}.`);
    });

  groups
    .command("delete <group>")
    .description("delete a group that has no members now, and its position")
    .addHelpText("after", examples("rivulet groups delete billing"))
    .action(async (groupId: string, _options: object, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      await connect(global).admin.deleteGroup(groupId);
      print(global, { deleted: groupId }, () => `Deleted group ${groupId}.`);
    });
}

function historyRow(entry: HistoryInfo): (string | number)[] {
  const partitions = (entry.partitions ?? []).map(
    ({ topic, partitions: numbers }) => `${topic}:${numbers.join(",")}`,
  );
  const detail = [entry.topic, entry.reason, ...partitions].filter((part) => part !== undefined);
  return [
    new Date(entry.atMs).toISOString(),
    entry.epoch,
    entry.type,
    entry.clientId ?? entry.instanceId ?? entry.memberId ?? "",
    detail.join(" "),
  ];
}

function describe(group: GroupInfo): string {
  const offsets = offsetsOf(group);
  const members = group.members.map((member) => [
    `${member.clientId ?? member.instanceId ?? "-"}${member.connected ? "" : " (connection lost)"}`,
    member.memberId,
    partitionsText(member.assignment),
    partitionsText(member.target),
  ]);
  return [
    `Group:  ${group.groupId}`,
    `State:  ${group.state} at epoch ${group.epoch}, assigned by ${group.assignor}`,
    `Lag:    ${lagText(offsets, group.unreadable?.length)}`,
    "",
    members.length === 0
      ? "No members."
      : table(["CLIENT", "MEMBER", "ASSIGNMENT", "TARGET"], members),
    "",
    offsetsTable(offsets),
    ...(group.unreadable ?? []).map((each) => `\n${unreadableText(each)}`),
  ].join("\n");
}

function partitionsText(topics: GroupInfo["members"][number]["assignment"]): string {
  const texts = topics.map(({ topic, partitions }) => `${topic}:${partitions.join(",")}`);
  return texts.join(" ") || "nothing";
}

async function resetOf(options: ResetOptions): Promise<GroupReset> {
  const { fromFile, topic: topics } = options;
  const dryRun = options.dryRun ?? false;
  const targets = targetsOf(options);
  if (fromFile !== undefined) {
    if (targets.length > 0 || topics !== undefined)
      throw new UsageError(
        "--from-file says which partitions go where: no --topic, no other place to go",
      );
    return { offsets: parsePlan(await readPlan(fromFile), fromFile), dryRun };
  }
  const [to] = targets;
  if (to === undefined || targets.length > 1) {
    throw new UsageError(
      `say where to go, with one option (${targets.length} given): --to, --to-offset, --to-timestamp, --by-duration, --shift-by or --from-file`,
    );
  }
  return { to, dryRun, ...(topics === undefined ? {} : { topics }) };
}

/** Reads a file, or standard input if it is called "-". */
async function readPlan(file: string): Promise<string> {
  try {
    return withoutMark(await readFile(file === "-" ? "/dev/stdin" : file, "utf8"));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UsageError(`--from-file ${file} cannot be read: ${reason}`);
  }
}

function targetsOf(options: ResetOptions): ResetTo[] {
  const targets: ResetTo[] = [];
  if (options.to !== undefined) targets.push(options.to);
  if (options.toOffset !== undefined)
    targets.push({ offset: number("--to-offset", options.toOffset) });
  if (options.toTimestamp !== undefined) targets.push({ timestamp: options.toTimestamp });
  if (options.byDuration !== undefined) targets.push({ duration: options.byDuration });
  if (options.shiftBy !== undefined)
    targets.push({ shiftBy: number("--shift-by", options.shiftBy) });
  return targets;
}

function number(option: string, text: string): number {
  if (/^-?\d{1,15}$/.test(text)) return Number(text);
  throw new UsageError(`${option} is "${text}", it must be a whole number`);
}
