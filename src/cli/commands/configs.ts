// rivulet configs describe | alter: the defaults of topics
import { whole } from "../answer.ts";
import type { Command } from "../command.ts";
import { configTable, configText } from "../config-text.ts";
import { connect, type GlobalOptions, print, UsageError } from "../context.ts";
import { type ConfigChange, changeOf, collectConfig, collectKey } from "../options.ts";

export function addConfigs(program: Command): void {
  const configs = program
    .command("configs")
    .summary("show and change the defaults of topics")
    .description("Shows and changes the configuration of topics that do not set a key themselves.")
    .seeAlso("topics alter")
    .examples("rivulet configs describe", "rivulet configs alter --config retention.ms=3600000");

  configs
    .command("describe")
    .summary("show every configuration key and its default")
    .description(
      "Shows every configuration key of topics with its default, and which defaults were changed.",
    )
    .examples("rivulet configs describe", "rivulet --json configs describe | jq .overrides")
    .action(async (_options: object, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const info = whole(await connect(global).admin.describeConfigs(), "config", "overrides");
      print(global, info, (configs) => configTable(configs, "DEFAULT"));
    });

  configs
    .command("alter")
    .summary("change defaults of topics")
    .description("Changes defaults, for every topic that does not set the key itself.")
    .examples(
      "rivulet configs alter --config min.cleanable.dirty.ratio=0.3",
      "rivulet configs alter --unset min.cleanable.dirty.ratio",
    )
    .option("-c, --config <key=value>", "set a default; may be repeated", collectConfig)
    .option(
      "--unset <key>",
      "set a key back to the broker's own default; may be repeated",
      collectKey,
    )
    .action(async (keys: ConfigChange, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const change = changeOf(keys);
      if (change === null) throw new UsageError("give --config or --unset");
      const info = whole(await connect(global).admin.alterConfigs(change), "overrides");
      print(global, info, ({ overrides }) => `Altered the defaults.\n${configText(overrides)}`);
    });
}
