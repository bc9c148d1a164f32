// rivulet recover partition | group | cluster: back to an earlier time, where the platform keeps earlier states.
import type { Command } from "commander";
import type { Recovery, RecoveryTarget } from "../../core/recovery-info.ts";
import { RECOVERY_PATH } from "../../protocol/paths.ts";
import { agrees, mayAsk } from "../ask.ts";
import { Broker } from "../broker.ts";
import { examples, type GlobalOptions, print, UsageError } from "../context.ts";
import { restoredText, warningText } from "../recovery-text.ts";
import { parseWholeNumber } from "./topics.ts";

interface RecoverOptions {
  readonly to?: string;
  readonly bookmark?: string;
  readonly dryRun?: true;
  readonly yes?: true;
}

export function addRecover(program: Command): void {
  const recover = program
    .command("recover")
    .description(
      "take a partition, a group or the cluster back to an earlier time, up to 30 days; on Cloudflare only",
    )
    .addHelpText(
      "after",
      examples(
        "rivulet recover partition orders 0 --to 2026-11-29T12:00:00Z --dry-run",
        "rivulet recover group billing --to 2026-11-29T12:00:00Z",
      ),
    );
  withOptions(
    recover
      .command("partition <topic>")
      .description("take the log of a partition back")
      .argument("<number>", "which partition", parseWholeNumber)
      .addHelpText(
        "after",
        examples("rivulet recover partition orders 0 --to 2026-11-29T12:00:00Z --dry-run"),
      ),
  ).action(async (topic: string, partition: number, options: RecoverOptions, command: Command) => {
    await run({ type: "partition", topic, partition }, options, command);
  });
  withOptions(
    recover
      .command("group <group>")
      .description("take the positions and the config of a group back; its members join anew")
      .addHelpText("after", examples("rivulet recover group billing --to 2026-11-29T12:00:00Z")),
  ).action(async (group: string, options: RecoverOptions, command: Command) => {
    await run({ type: "group", group }, options, command);
  });
  withOptions(
    recover
      .command("cluster")
      .description("take the topics, the list of groups, the keys and the audit log back")
      .addHelpText(
        "after",
        examples("rivulet recover cluster --to 2026-11-29T12:00:00Z --dry-run"),
      ),
  ).action(async (options: RecoverOptions, command: Command) => {
    await run({ type: "cluster" }, options, command);
  });
}

function withOptions(command: Command): Command {
  return command
    .option("--to <time>", "this time (ISO 8601 or ms)")
    .option("--bookmark <bookmark>", "this state, as a recovery before has told it")
    .option("--dry-run", "tell what would be lost, and change nothing")
    .option("-y, --yes", "do not ask");
}

async function run(target: RecoveryTarget, options: RecoverOptions, command: Command) {
  const global = command.optsWithGlobals<GlobalOptions>();
  const { to, bookmark, dryRun, yes } = options;
  if ((to === undefined) === (bookmark === undefined))
    throw new UsageError("give --to, or --bookmark");
  if (!dryRun && !yes && !mayAsk())
    throw new UsageError("what will be lost is asked on a terminal; elsewhere give --yes");
  const broker = new Broker(global, () => {});
  const ask = (point: object, isDry: boolean) =>
    broker.json<Recovery>("POST", RECOVERY_PATH, { target, ...point, dryRun: isDry });
  const plan = await ask(to === undefined ? { bookmark } : { to }, true);
  const warning = warningText(target, plan, to ?? null);
  if (dryRun) return print(global, plan, () => warning);
  if (!global.quiet || !yes) process.stderr.write(`${warning}\n`);
  if (!yes && !(await agrees("\nGo back to that, and lose what is said above? [y/N] ")))
    return process.stderr.write("Nothing was changed.\n");
  // The state that was told, whatever the time means by now.
  const restored = await ask({ bookmark: plan.bookmark }, false);
  return print(global, restored, () => restoredText(target, restored));
}
