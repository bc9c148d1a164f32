// rivulet configs describe | alter: the config of topics that do not set a key themselves
import type { Command } from "commander";
import { connect, examples, type GlobalOptions, print, UsageError } from "../context.ts";
import {
  type ConfigChange,
  changeOf,
  collectConfig,
  collectKey,
  configTable,
  configText,
} from "./topics.ts";

export function addConfigs(program: Command): void {
  const configs = program
    .command("configs")
    .description("show and change the defaults of topics")
    .addHelpText("after", examples("rivulet configs describe"));

  configs
    .command("describe")
    .description("show every configuration key and its default")
    .addHelpText(
      "after",
      examples("rivulet configs describe", "rivulet --json configs describe | jq .overrides"),
    )
    .action(async (_options: object, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const info = await connect(global).admin.describeConfigs();
      print(global, info, (configs) => configTable(configs, "DEFAULT"));
    });

  configs
    .command("alter")
    .description("change defaults, for every topic that does not set the key itself")
    .addHelpText(
      "after",
      examples(
        "rivulet configs alter --config min.cleanable.dirty.ratio=0.3",
        "rivulet configs alter --unset min.cleanable.dirty.ratio",
      ),
    )
    .option("-c, --config <key=value>", "a configuration value; may be repeated", collectConfig)
    .option("--unset <key>", "set a key back; may be repeated", collectKey)
    .action(async (keys: ConfigChange, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const change = changeOf(keys);
      if (change === null) throw new UsageError("give --config or --unset");
      const info = await connect(global).admin.alterConfigs(change);
      print(global, info, ({ overrides }) => `Altered the defaults.\n${configText(overrides)}`);
    });
}
