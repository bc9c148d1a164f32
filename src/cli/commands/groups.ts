// rivulet groups list | describe | lag | config | alter | history | reset | delete-offsets | delete
import { readFile } from "node:fs/promises";
import { InvalidArgumentError, Option } from "commander";
import { GROUP_ORDERS, type GroupOrder } from "../../core/metrics/group-summaries.ts";
import type { GroupInfo, GroupReset, HistoryInfo, ResetTo } from "../../sdk/index.ts";
import { listed, whole } from "../answer.ts";
import { type Command, suggestingOption } from "../command.ts";
import { configTable, configText } from "../config-text.ts";
import { connect, type GlobalOptions, print, UsageError, withoutMark } from "../context.ts";
import { durationText } from "../figures.ts";
import { lagText, offsetsOf, offsetsTable, unreadableText, wholeGroup } from "../group-offsets.ts";
import { listGroups } from "../lists.ts";
import {
  type ConfigChange,
  changeOf,
  collectConfig,
  collectKey,
  parseDay,
  positiveNumber,
} from "../options.ts";
import { plain } from "../plain.ts";
import { parsePlan } from "../reset-plan.ts";
import { table } from "../table.ts";
import { assertAfter1970, durationIn } from "../times.ts";
import { groupSummaries } from "../told.ts";
import { addLag } from "./lag.ts";

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

/** The states of a group that exists. */
const STATES = ["EMPTY", "ASSIGNING", "RECONCILING", "STABLE"] as const;

export function addGroups(program: Command): void {
  const groups = program
    .command("groups")
    .summary("list, describe, reset and delete consumer groups")
    .description(
      "Lists, describes, alters, resets and deletes consumer groups, and shows their history.",
    )
    .seeAlso("consume", "topics", "alerts")
    .examples("rivulet groups list --sort lag", "rivulet groups lag billing --watch");

  groups
    .command("list")
    .summary("list the groups with state, members and lag")
    .description(
      "Lists the groups with their state, their members, and how far they are behind: in records, and by the age of the " +
        "oldest unread record. This comes from the broker's metrics, which wakes no group, so it may be a minute old. " +
        "Where nothing is known, or you may not see a topic that the group reads, the column shows a dash. " +
        "Metrics cover 1,000 groups at most, the first in the order.",
    )
    .addOption(
      new Option("--sort <order>", "sort by name, by lag in records, or by age, the largest first")
        .choices(GROUP_ORDERS)
        .default("name"),
    )
    .addOption(
      suggestingOption(
        "--state <state>",
        `only groups in this state: ${STATES.join(", ")}`,
        STATES,
      ).argParser(parseState),
    )
    .examples(
      "rivulet groups list --sort lag",
      "rivulet groups list --state empty",
      "rivulet --json groups list | jq '.[] | select(.lag > 1000) | .groupId'",
    )
    .action(async (options: { sort: GroupOrder; state?: string }, command: Command) => {
      await list(options, command.optsWithGlobals<GlobalOptions>());
    });

  groups
    .command("describe <group>")
    .summary("show a group's members and offsets")
    .description(
      "Shows a group's members, the partitions that each has, and how far they have read.",
    )
    .examples(
      "rivulet groups describe billing",
      "rivulet --json groups describe billing | jq .members",
    )
    .action(async (groupId: string, _options: object, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      print(global, wholeGroup(await connect(global).admin.describeGroup(groupId)), describe);
    });

  addLag(groups);

  groups
    .command("config <group>")
    .summary("show a group's configuration")
    .description(
      "Shows every configuration key of a group with the value in effect, and which are set.",
    )
    .examples("rivulet groups config billing", "rivulet --json groups config billing | jq .config")
    .action(async (groupId: string, _options: object, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const info = whole(await connect(global).admin.groupConfig(groupId), "config", "overrides");
      print(global, info, (configs) => configTable(configs, "VALUE"));
    });

  groups
    .command("alter <group>")
    .summary("change a group's configuration")
    .description(
      "Changes a group's configuration. A group that does not exist is created, without members.",
    )
    .option(
      "-c, --config <key=value>",
      "set a configuration value, such as consumer.assignor=range; may be repeated",
      collectConfig,
    )
    .option("--unset <key>", "set a key back to its default; may be repeated", collectKey)
    .examples(
      "rivulet groups alter billing --config consumer.assignor=range",
      "rivulet groups alter billing --unset consumer.assignor",
    )
    .action(async (groupId: string, keys: ConfigChange, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const config = changeOf(keys);
      if (config === null) throw new UsageError("give --config or --unset");
      const { admin } = connect(global);
      const altered = whole(await admin.alterGroup(groupId, { config }), "overrides");
      print(global, altered, () => `Altered group ${groupId}.\n${configText(altered.overrides)}`);
    });

  groups
    .command("history <group>")
    .summary("show what happened in a group")
    .description(
      "Shows what happened in a group, the newest last: who joined and left, and why it rebalanced.",
    )
    .option("--max <count>", "show so many of the newest entries", positiveNumber, 50)
    .examples(
      "rivulet groups history billing --max 10",
      "rivulet --json groups history billing | jq '.[] | select(.type == \"rebalanced\").reason'",
    )
    .action(async (groupId: string, options: { max: number }, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const { admin } = connect(global);
      const history = listed(await admin.groupHistory(groupId, options.max), "history");
      print(global, history, () =>
        table(["TIME", "EPOCH", "EVENT", "MEMBER", "DETAIL"], history.map(historyRow)),
      );
    });

  groups
    .command("reset <group>")
    .summary("set a group's committed offsets")
    .description(
      "Sets the committed offsets of a group that has no members now. Give one option that says where to.",
    )
    .addOption(
      new Option(
        "--to <position>",
        "the start of the log, its end, or the committed offset moved into the log",
      ).choices(["earliest", "latest", "current"]),
    )
    .option("--to-offset <offset>", "this offset, moved into each partition's log")
    .option(
      "--to-timestamp <time>",
      "the first record at or after this time: ISO 8601, or milliseconds since 1970",
      parseDay,
    )
    .option(
      "--by-duration <duration>",
      "the first record since so long ago: 15m, 2h, 7d or PT2H",
      parseAgo,
    )
    .option("--shift-by <count>", "so many records on, or back if negative (--shift-by=-100)")
    .option(
      "--from-file <path>",
      "a plan: lines of topic,partition,offset, or the JSON of a dry run; - is standard input",
    )
    .option("--topic <topic...>", "only these topics (default: all of the group)")
    .option("--dry-run", "show what would be set, and set nothing")
    .examples(
      "rivulet groups reset billing --to-timestamp 2026-11-01T00:00:00Z --dry-run",
      "rivulet --json groups reset billing --to current --dry-run > plan.json",
      "rivulet groups reset billing --from-file plan.json",
    )
    .action(async (groupId: string, options: ResetOptions, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const { admin } = connect(global);
      const result = whole(await admin.resetGroup(groupId, await resetOf(options)), "offsets");
      if (result.offsets.length === 0)
        throw new Error(
          `group ${groupId} has committed nothing yet, and so nothing was set; name its topics with --topic`,
        );
      print(global, result, () => {
        const rows = result.offsets.map((row) => [
          row.topic,
          row.partition,
          row.committedOffset,
          row.offset,
        ]);
        const title = result.dryRun
          ? `Group ${groupId} would continue at (dry run, nothing was set):`
          : `Group ${groupId} continues at:`;
        return `${title}\n${table(["TOPIC", "PARTITION", "FROM", "TO"], rows)}`;
      });
    });

  groups
    .command("delete-offsets <group> <topics...>")
    .summary("forget a group's committed offsets in topics")
    .description(
      "Forgets a group's committed offsets in topics that none of its members reads now.",
    )
    .examples(
      "rivulet groups delete-offsets billing orders payments",
      "rivulet groups describe billing",
    )
    .action(async (groupId: string, topics: string[], _options: object, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      await connect(global).admin.deleteGroupOffsets(groupId, topics);
      const deleted = { groupId, topics };
      print(
        global,
        deleted,
        () => `Group ${groupId} has no committed offsets in ${topics.join(", ")}.`,
      );
    });

  groups
    .command("delete <group>")
    .summary("delete a group")
    .description(
      "Deletes a group that has no members now, with its committed offsets and its history.",
    )
    .examples("rivulet groups delete billing", "rivulet groups list --state empty")
    .action(async (groupId: string, _options: object, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      await connect(global).admin.deleteGroup(groupId);
      print(global, { deleted: groupId }, () => `Deleted group ${groupId}.`);
    });
}

function parseState(text: string): string {
  const state = text.toUpperCase();
  if ((STATES as readonly string[]).includes(state)) return state;
  throw new InvalidArgumentError(`It must be ${STATES.join(", ")}.`);
}

async function list(
  { sort, state }: { readonly sort: GroupOrder; readonly state?: string },
  global: GlobalOptions,
): Promise<void> {
  const [ids, summaries] = await Promise.all([listGroups(global), groupSummaries(global, sort)]);
  // The list is by name, and metrics have their order. A group of which they know nothing comes last.
  const places = new Map([...summaries.keys()].map((groupId, place) => [groupId, place]));
  const sorted =
    sort === "name"
      ? ids
      : ids.toSorted(
          (a, b) => (places.get(a.groupId) ?? places.size) - (places.get(b.groupId) ?? places.size),
        );
  const all = sorted
    .map(({ groupId }) => {
      const {
        state = null,
        members = null,
        lag = null,
        oldestUnreadMs = null,
      } = summaries.get(groupId) ?? {};
      return { groupId, state, members, lag, oldestUnreadMs };
    })
    .filter((group) => state === undefined || group.state === state);
  print(global, all, () =>
    all.length === 0
      ? noGroups(state)
      : table(
          ["GROUP", "STATE", "MEMBERS", "LAG", "BEHIND"],
          all.map((group) => [
            group.groupId,
            group.state,
            group.members,
            group.lag,
            group.oldestUnreadMs === null ? null : { figure: durationText(group.oldestUnreadMs) },
          ]),
        ),
  );
}

function noGroups(state: string | undefined): string {
  return state === undefined
    ? "There are no groups. `rivulet consume TOPIC --group ID` starts one."
    : `There are no groups in the state ${state}.`;
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
    `Group:  ${plain(group.groupId)}`,
    plain(`State:  ${group.state} at epoch ${group.epoch}, assigned by ${group.assignor}`),
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
        "--from-file names the partitions and their offsets: give no --topic and no other target",
      );
    return { offsets: parsePlan(await readPlan(fromFile), fromFile), dryRun };
  }
  const [to] = targets;
  if (to === undefined || targets.length > 1) {
    throw new UsageError(
      `say where to with one option (${targets.length} given): --to, --to-offset, --to-timestamp, --by-duration, --shift-by or --from-file`,
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
  const { toTimestamp, byDuration } = options;
  if (toTimestamp !== undefined) targets.push({ timestamp: toTimestamp });
  if (byDuration !== undefined) targets.push({ duration: durationIn(byDuration) ?? byDuration });
  if (options.shiftBy !== undefined)
    targets.push({ shiftBy: number("--shift-by", options.shiftBy) });
  return targets;
}

/** Leaves anything but a duration that is too long to the broker. */
function parseAgo(text: string): string {
  assertAfter1970(durationIn(text) ?? 0);
  return text;
}

function number(option: string, text: string): number {
  if (/^-?\d{1,15}$/.test(text)) return Number(text);
  throw new UsageError(`${option} is "${text}", it must be a whole number`);
}
