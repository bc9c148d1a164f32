// rivulet recover partition | group | cluster: back to an earlier time, if the platform keeps earlier states.
import type { Recovery, RecoveryTarget } from "../../core/recovery-info.ts";
import { RECOVERY_PATH } from "../../protocol/paths.ts";
import { whole } from "../answer.ts";
import { agrees, mayAsk } from "../ask.ts";
import { Broker } from "../broker.ts";
import type { Command } from "../command.ts";
import { type GlobalOptions, print, UsageError } from "../context.ts";
import { parseDay, parseWholeNumber } from "../options.ts";
import { plainLines } from "../plain.ts";
import { restoredText, warningText } from "../recovery-text.ts";

interface RecoverOptions {
  readonly to?: string;
  readonly bookmark?: string;
  readonly dryRun?: true;
  readonly yes?: true;
}

export function addRecover(program: Command): void {
  const recover = program
    .command("recover")
    .summary("take a partition, a group or the cluster back in time")
    .description(
      "Takes a partition, a group or the cluster back to an earlier time, up to 30 days. It works on Cloudflare only. " +
        "It says what will be lost and asks before it changes anything.",
    )
    .seeAlso("doctor", "export", "groups reset")
    .examples(
      "rivulet recover partition orders 0 --to 2026-11-29T12:00:00Z --dry-run",
      "rivulet recover group billing --to 2026-11-29T12:00:00Z",
    );
  withOptions(
    recover
      .command("partition <topic>")
      .summary("take the log of a partition back")
      .description("Takes the log of a partition back. Records that were stored since are lost.")
      .argument("<number>", "the partition", parseWholeNumber)
      .examples(
        "rivulet recover partition orders 0 --to 2026-11-29T12:00:00Z --dry-run",
        "rivulet recover partition orders 0 --to 2026-11-29T12:00:00Z --yes",
      ),
  ).action(async (topic: string, partition: number, options: RecoverOptions, command: Command) => {
    await run({ type: "partition", topic, partition }, options, command);
  });
  withOptions(
    recover
      .command("group <group>")
      .summary("take a group back")
      .description(
        "Takes the committed offsets and the configuration of a group back. Its members join anew.",
      )
      .examples(
        "rivulet recover group billing --to 2026-11-29T12:00:00Z --dry-run",
        "rivulet recover group billing --to 2026-11-29T12:00:00Z",
      ),
  ).action(async (group: string, options: RecoverOptions, command: Command) => {
    await run({ type: "group", group }, options, command);
  });
  withOptions(
    recover
      .command("cluster")
      .summary("take the topics, keys and list of groups back")
      .description("Takes the topics, the list of groups, the API keys and the audit log back.")
      .examples(
        "rivulet recover cluster --to 2026-11-29T12:00:00Z --dry-run",
        "rivulet recover cluster --to 2026-11-29T12:00:00Z",
      ),
  ).action(async (options: RecoverOptions, command: Command) => {
    await run({ type: "cluster" }, options, command);
  });
}

function withOptions(command: Command): Command {
  return command
    .option("--to <time>", "back to this time: ISO 8601, or milliseconds since 1970", parseDay)
    .option("--bookmark <bookmark>", "back to this state, which an earlier recovery printed")
    .option("--dry-run", "show what would be lost, and change nothing")
    .option("-y, --yes", "do not ask before the change");
}

async function run(target: RecoveryTarget, options: RecoverOptions, command: Command) {
  const global = command.optsWithGlobals<GlobalOptions>();
  const { to, bookmark, dryRun, yes } = options;
  if ((to === undefined) === (bookmark === undefined))
    throw new UsageError("give --to, or --bookmark");
  if (!dryRun && !yes && !mayAsk())
    throw new UsageError("the loss is confirmed on a terminal; elsewhere give --yes");
  const broker = new Broker(global, () => {});
  const ask = (point: object, isDry: boolean) =>
    broker.json<Recovery>("POST", RECOVERY_PATH, { target, ...point, dryRun: isDry });
  const plan = whole(await ask(to === undefined ? { bookmark } : { to }, true), "bookmark");
  const warning = warningText(target, plan, to ?? null);
  if (dryRun) return print(global, plan, () => warning);
  if (!global.quiet || !yes) process.stderr.write(`${plainLines(warning)}\n`);
  if (!yes && !(await agrees("\nGo back, and lose what is listed above? [y/N] ")))
    return process.stderr.write("Nothing was changed.\n");
  // The bookmark is the state that was shown. The time might mean another one by now.
  const answer = await ask({ bookmark: plan.bookmark }, false);
  const restored = whole(answer, "undoBookmark");
  return print(global, restored, () => restoredText(target, restored));
}
