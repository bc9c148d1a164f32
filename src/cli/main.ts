// The `rivulet` command: parses, runs one command, tells errors. Exit codes: 0 done, 1 failed, 2 used wrongly.
import { Command } from "commander";
import { addConfigs } from "./commands/configs.ts";
import { addConsume } from "./commands/consume.ts";
import { addGroups } from "./commands/groups.ts";
import { addProduce } from "./commands/produce.ts";
import { addTopics } from "./commands/topics.ts";
import { DEFAULT_URL, explain, type GlobalOptions, UsageError } from "./context.ts";

const program = new Command("rivulet")
  .description("Talk to a Rivulet broker: topics, records, consumer groups.")
  .option(
    "--url <url>",
    "the broker's address, also RIVULET_URL",
    process.env.RIVULET_URL || DEFAULT_URL,
  )
  .option("--json", "print JSON, for programs")
  .showHelpAfterError("(--help shows how it is used)")
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
addTopics(program);
addProduce(program);
addConsume(program);
addGroups(program);
addConfigs(program);

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`${explain(error, program.opts<GlobalOptions>())}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
