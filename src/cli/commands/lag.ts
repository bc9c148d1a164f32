// rivulet groups lag
import { setTimeout as wait } from "node:timers/promises";
import { ConnectionError, type GroupInfo } from "../../sdk/index.ts";
import type { Command } from "../command.ts";
import { connect, type GlobalOptions, print } from "../context.ts";
import {
  lagOf,
  lagText,
  offsetsOf,
  offsetsTable,
  unreadableText,
  wholeGroup,
} from "../group-offsets.ts";
import { positiveNumber } from "../options.ts";
import { note, plain } from "../plain.ts";
import { redraw } from "../screen.ts";
import { stopSignal } from "../stop.ts";

const WATCH_SECONDS = 2;

export function addLag(groups: Command): void {
  groups
    .command("lag <group>")
    .summary("show how far a group is behind")
    .description(
      "Shows how far a group is behind in each partition, in records and in time, and which member reads it. " +
        "It asks the partitions, so the numbers are exact.",
    )
    .option(
      "-w, --watch [seconds]",
      `show it again every so many seconds until Ctrl-C (default: ${WATCH_SECONDS})`,
      positiveNumber,
    )
    .failsIf("a partition does not answer, so that the lag is not known in full")
    .examples(
      "rivulet groups lag billing",
      "rivulet groups lag billing --watch 5",
      "rivulet --json groups lag billing --watch | jq .lag",
    )
    .action(async (groupId: string, options: { watch?: number | true }, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const { admin } = connect(global);
      if (options.watch === undefined)
        return printLag(global, lagInfo(wholeGroup(await admin.describeGroup(groupId))));
      const seconds = options.watch === true ? WATCH_SECONDS : options.watch;
      await watch(global, async () => wholeGroup(await admin.describeGroup(groupId)), seconds);
    });
}

type LagInfo = ReturnType<typeof lagInfo>;

/** A lag that is not known in full ends with 1, so that a script that watches it notices. */
function printLag(global: GlobalOptions, info: LagInfo): void {
  print(global, info, lagLines);
  if (info.unreadable !== undefined) process.exitCode = 1;
}

function lagInfo(group: GroupInfo) {
  const offsets = offsetsOf(group);
  const { groupId, unreadable } = group;
  const rest = unreadable === undefined ? {} : { unreadable };
  return { groupId, lag: lagOf(offsets), offsets, ...rest };
}

function lagLines({ offsets, unreadable = [] }: LagInfo): string {
  const total = `Total lag: ${lagText(offsets, unreadable.length)}`;
  return [offsetsTable(offsets), total, ...unreadable.map(unreadableText)].join("\n\n");
}

async function watch(
  global: GlobalOptions,
  ask: () => Promise<GroupInfo>,
  seconds: number,
): Promise<void> {
  const signal = stopSignal();
  for (let isFirst = true; !signal.aborted; isFirst = false) {
    const group = await ask().catch((error: unknown) => {
      if (isFirst || !(error instanceof ConnectionError)) throw error;
      note(`# ${error.message}; trying again`); // It answered before, so it may come back.
      return null;
    });
    if (signal.aborted) return;
    if (group !== null) show(global, lagInfo(group));
    await wait(seconds * 1_000, undefined, { signal }).catch(() => {}); // An abort ends the loop.
  }
}

function show(global: GlobalOptions, info: LagInfo): void {
  const text = `Group ${plain(info.groupId)}, ${new Date().toISOString()}\n${lagLines(info)}`;
  if (global.json || !process.stdout.isTTY) print(global, info, () => `${text}\n`);
  else redraw(text);
}
