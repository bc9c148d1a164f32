// rivulet config show: the settings of this command line
import { existsSync } from "node:fs";
import type { Command } from "../command.ts";
import { type GlobalOptions, print } from "../context.ts";
import { heldSettings } from "../settings.ts";
import { table } from "../table.ts";

export function addConfig(program: Command): void {
  const config = program
    .command("config")
    .summary("show the settings of this command line")
    .description("Shows the settings of this command line: the broker's address, and the token.")
    .seeAlso("whoami")
    .examples("rivulet config show", "rivulet --json config show");

  config
    .command("show")
    .summary("show each setting and its source")
    .description(
      "Shows each setting and where it comes from. An option comes before the environment, the environment before the " +
        "config file, and the config file before the default. Most of a token is masked.",
    )
    .details(
      "The config file is ~/.config/rivulet/config.json ($XDG_CONFIG_HOME moves its folder, and $RIVULET_CONFIG " +
        'names another file), for example {"url": "https://rivulet.example.com", "token": "…"}',
    )
    .examples(
      "rivulet config show",
      "rivulet --url http://127.0.0.1:8788 config show --json | jq .settings",
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
