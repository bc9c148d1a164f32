// rivulet completion: prints a script for the shell. rivulet complete: answers that script when Tab is pressed.
import { Argument, type Command } from "commander";
import { type CommandNode, commandTree } from "../command-tree.ts";
import { bashCompletion } from "../completion/bash.ts";
import { fishCompletion } from "../completion/fish.ts";
import { zshCompletion } from "../completion/zsh.ts";
import { connect, examples, type GlobalOptions, print } from "../context.ts";

const SCRIPTS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } satisfies Record<
  string,
  (tree: readonly CommandNode[]) => string
>;
type Shell = keyof typeof SCRIPTS;

/** A user who presses Tab does not wait for longer. */
const NAMES_TIMEOUT_MS = 1_000;

export function addCompletion(program: Command): void {
  program
    .command("completion")
    .description("print a script that completes commands, options, topics and groups in a shell")
    .addArgument(new Argument("<shell>", "which shell").choices(Object.keys(SCRIPTS)))
    .addHelpText(
      "after",
      `
Needs rivulet on the PATH: \`npm link\` in a clone puts it there. To install it, put into
  ~/.bashrc                    source <(rivulet completion bash)
  ~/.zshrc, behind compinit    source <(rivulet completion zsh)
  ~/.config/fish/config.fish   rivulet completion fish | source
${examples("rivulet completion bash > ~/.rivulet-completion.bash", "rivulet completion fish > ~/.config/fish/completions/rivulet.fish")}`,
    )
    .action((shell: Shell, _options: object, command: Command) => {
      const script = SCRIPTS[shell](commandTree(program));
      print(command.optsWithGlobals<GlobalOptions>(), { shell, script }, () => script.trimEnd());
    });

  program
    .command("complete", { hidden: true })
    .addArgument(new Argument("<what>").choices(["topics", "groups"]))
    .action(async (what: "topics" | "groups", _options: object, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const names = await namesOf(what, global).catch(() => []); // The line has room for silence only.
      // A name that would be two lines, or would move the cursor, is not offered.
      const plain = names.filter((name) => !/\p{Cc}/u.test(name));
      print(global, plain, () => plain.join("\n"));
    });
}

async function namesOf(what: "topics" | "groups", global: GlobalOptions): Promise<string[]> {
  const admin = connect(global).admin.with({ signal: AbortSignal.timeout(NAMES_TIMEOUT_MS) });
  return what === "topics"
    ? (await admin.listTopics()).map(({ name }) => name)
    : (await admin.listGroups()).map(({ groupId }) => groupId);
}
