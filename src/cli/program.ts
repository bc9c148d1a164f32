// The `rivulet` command and all commands below it, built with commander.
import type { Command as CommanderCommand } from "commander";
import { Command } from "./command.ts";
import { addAccess, addWhoami } from "./commands/access.ts";
import { addAlerts } from "./commands/alerts.ts";
import { addCompletion } from "./commands/completion.ts";
import { addConfig } from "./commands/config.ts";
import { addConfigs } from "./commands/configs.ts";
import { addConsume, addTail } from "./commands/consume.ts";
import { addCosts } from "./commands/costs.ts";
import { addDoctor } from "./commands/doctor.ts";
import { addExport, addImport } from "./commands/export.ts";
import { addGroups } from "./commands/groups.ts";
import { addHelp } from "./commands/help.ts";
import { addInit } from "./commands/init.ts";
import { addKafkaBridge } from "./commands/kafka-bridge.ts";
import { addKeys } from "./commands/keys.ts";
import { addProduce } from "./commands/produce.ts";
import { addQueue } from "./commands/queue.ts";
import { addRecover } from "./commands/recover.ts";
import { addLearn, addStart } from "./commands/start.ts";
import { addTokens } from "./commands/tokens.ts";
import { addTopics } from "./commands/topics.ts";
import { UsageError } from "./context.ts";
import { addSettings, settle } from "./settings.ts";

/** The version in package.json. The build puts it here. */
declare const RIVULET_VERSION: string;

type Add = (program: Command) => void;

/** The commands as the help groups them. */
const GROUPS: readonly (readonly [string, readonly Add[]])[] = [
  ["Records:", [addProduce, addConsume, addTail, addExport, addImport]],
  ["Topics and groups:", [addTopics, addGroups, addQueue, addConfigs]],
  ["Operations:", [addAlerts, addCosts, addDoctor, addRecover]],
  ["Access:", [addKeys, addTokens, addWhoami, addAccess]],
  [
    "This machine:",
    [addStart, addLearn, addInit, addConfig, addKafkaBridge, addCompletion, addHelp],
  ],
];

/** @throws UsageError for an operand that is empty, such as an unset variable of a shell */
function assertNamed({ registeredArguments, args }: CommanderCommand): void {
  for (const [place, text] of args.entries()) {
    const operand = registeredArguments[Math.min(place, registeredArguments.length - 1)];
    if (text !== "" || operand === undefined) continue;
    const kind = operand.name().replace(/s$/, "");
    const isNamed = ["topic", "group", "alert"].includes(kind);
    throw new UsageError(`the ${isNamed ? `name of the ${kind}` : kind} is empty`);
  }
}

export function createProgram(): Command {
  const program = new Command("rivulet").description(
    "Talks to a Rivulet broker: records, topics, consumer groups, access and costs.",
  );
  addSettings(program);
  program
    .version(RIVULET_VERSION, "-V, --version", "print the version")
    .option("--json", "print JSON for programs: one value, or one a line")
    .option("-q, --quiet", "print no progress and no notes on standard error, only errors")
    .showHelpAfterError("(--help shows how to use it)")
    .examples(
      "rivulet topics create orders --partitions 6",
      "echo hello | rivulet produce orders",
      "rivulet consume orders --exit",
    )
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
    .hook("preAction", (_, command) => {
      assertNamed(command);
      settle(program);
    });
  for (const [heading, commands] of GROUPS) {
    program.commandsGroup(heading);
    for (const add of commands) add(program);
  }
  return program;
}
