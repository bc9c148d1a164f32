// rivulet completion: prints a script for the shell. rivulet complete: gives that script names from the broker.
import { Argument } from "commander";
import type { Command } from "../command.ts";
import { type BrokerNames, type CommandNode, commandTree, NAMES } from "../command-tree.ts";
import { bashCompletion } from "../completion/bash.ts";
import { fishCompletion } from "../completion/fish.ts";
import { zshCompletion } from "../completion/zsh.ts";
import { connect, type GlobalOptions, print } from "../context.ts";
import { listAlerts } from "./alerts.ts";

const SCRIPTS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } satisfies Record<
  string,
  (tree: readonly CommandNode[]) => string
>;
type Shell = keyof typeof SCRIPTS;

/** A user who presses Tab does not wait for longer. */
const NAMES_TIMEOUT_MS = 1_000;

const INSTALL = `It needs rivulet on the PATH: \`npm link\` in a clone puts it there. To install it, add this line to:
  ~/.bashrc                    source <(rivulet completion bash)
  ~/.zshrc, after compinit     source <(rivulet completion zsh)
  ~/.config/fish/config.fish   rivulet completion fish | source`;

export function addCompletion(program: Command): void {
  program
    .command("completion")
    .summary("print a script that completes commands in a shell")
    .description(
      "Prints a script that completes commands, options and their values in a shell, and the names of topics, groups and " +
        "alerts, for which it asks the broker.",
    )
    .addArgument(new Argument("<shell>", "the shell").choices(Object.keys(SCRIPTS)))
    .details(INSTALL)
    .examples(
      "rivulet completion bash > ~/.rivulet-completion.bash",
      "rivulet completion fish > ~/.config/fish/completions/rivulet.fish",
    )
    .action((shell: Shell, _options: object, command: Command) => {
      const script = SCRIPTS[shell](commandTree(program));
      print(command.optsWithGlobals<GlobalOptions>(), { shell, script }, () => script.trimEnd());
    });

  program
    .command("complete", { hidden: true })
    .addArgument(new Argument("<what>").choices(NAMES))
    .action(async (what: BrokerNames, _options: object, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const names = await namesOf(what, global).catch(() => []); // An error has no place in the line.
      // A name that would take two lines, or move the cursor, is not offered.
      const plain = names.filter((name) => !/\p{Cc}/u.test(name));
      print(global, plain, () => plain.join("\n"));
    });
}

async function namesOf(what: BrokerNames, global: GlobalOptions): Promise<string[]> {
  const signal = AbortSignal.timeout(NAMES_TIMEOUT_MS);
  const admin = connect(global).admin.with({ signal });
  switch (what) {
    case "topics":
      return (await admin.listTopics()).map(({ name }) => name);
    case "groups":
      return (await admin.listGroups()).map(({ groupId }) => groupId);
    case "alerts":
      return (await listAlerts(global, signal)).map(({ name }) => name);
  }
}
