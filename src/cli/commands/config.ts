// rivulet config show: this command line's own settings
import { existsSync } from "node:fs";
import type { Command } from "commander";
import { examples, type GlobalOptions, print } from "../context.ts";
import { heldSettings } from "../settings.ts";
import { table } from "../table.ts";

export function addConfig(program: Command): void {
  const config = program
    .command("config")
    .description("show where the broker is and who asks, and what says so")
    .addHelpText("after", examples("rivulet config show"));

  config
    .command("show")
    .description("show what holds: an option, else the environment, else the config file")
    .addHelpText(
      "after",
      "\nThe config file is ~/.config/rivulet/config.json ($XDG_CONFIG_HOME moves its folder, $RIVULET_CONFIG names" +
        '\nanother file), e.g. {"url": "https://rivulet.example.com", "token": "…"}\n' +
        examples(
          "rivulet config show",
          "rivulet --url http://127.0.0.1:8788 config show --json | jq .settings",
        ),
    )
    .action((_options: object, command: Command) => {
      const held = heldSettings(program);
      print(command.optsWithGlobals<GlobalOptions>(), held, ({ file, settings }) => {
        const rows = settings.map(({ name, value, from }) => [name, value, from]);
        const absent = existsSync(file) ? "" : " (not there)";
        return `Config file: ${file}${absent}\n\n${table(["SETTING", "VALUE", "FROM"], rows)}`;
      });
    });
}
