// The `rivulet` command and all commands below it, built with commander.
import { Command } from "commander";
import { addAccess, addWhoami } from "./commands/access.ts";
import { addCompletion } from "./commands/completion.ts";
import { addConfig } from "./commands/config.ts";
import { addConfigs } from "./commands/configs.ts";
import { addConsume, addTail } from "./commands/consume.ts";
import { addDoctor } from "./commands/doctor.ts";
import { addExport, addImport } from "./commands/export.ts";
import { addGroups } from "./commands/groups.ts";
import { addKafkaBridge } from "./commands/kafka-bridge.ts";
import { addKeys } from "./commands/keys.ts";
import { addProduce } from "./commands/produce.ts";
import { addRecover } from "./commands/recover.ts";
import { addTokens } from "./commands/tokens.ts";
import { addTopics } from "./commands/topics.ts";
import { examples } from "./context.ts";
import { addSettings, settle } from "./settings.ts";

/** The version in package.json. The build puts it here. */
declare const RIVULET_VERSION: string;

export function createProgram(): Command {
  const program = new Command("rivulet").description(
    "Talk to a Rivulet broker: topics, records, consumer groups.",
  );
  addSettings(program);
  program
    .version(RIVULET_VERSION, "-V, --version", "print the version")
    .option("--json", "print JSON, for programs")
    .option("-q, --quiet", "no progress and no notes on standard error, only errors")
    .showHelpAfterError("(--help shows how it is used)")
    .addHelpText(
      "after",
      examples(
        "rivulet topics create orders --partitions 6",
        "echo hello | rivulet produce orders",
        "rivulet consume orders --exit",
      ),
    )
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
    .hook("preAction", () => settle(program));
  addTopics(program);
  addProduce(program);
  addConsume(program);
  addTail(program);
  addExport(program);
  addImport(program);
  addDoctor(program);
  addRecover(program);
  addGroups(program);
  addConfigs(program);
  addKeys(program);
  addTokens(program);
  addWhoami(program);
  addAccess(program);
  addConfig(program);
  addKafkaBridge(program);
  addCompletion(program);
  return program;
}
