// The command line as data, read from commander: what completion offers where.
import type { Command, Option } from "commander";

/** What a value is: what the broker knows, a path, one of some words; null: what only its user knows. */
export type Values = "topics" | "groups" | "files" | readonly string[] | null;

export interface OptionNode {
  readonly flags: readonly string[];
  readonly description: string;
  readonly takesValue: boolean;
  readonly values: Values;
}

export interface CommandNode {
  /** As it is typed: "" for rivulet itself, "groups reset" below. */
  readonly path: string;
  readonly commands: readonly { readonly name: string; readonly description: string }[];
  readonly options: readonly OptionNode[];
  /** What it takes besides options, each kind once; in which place is not told. */
  readonly operands: readonly Values[];
}

/** The command and all below it. Each has the options of those above it too: they may stand anywhere. */
export function commandTree(
  command: Command,
  path = "",
  inherited: readonly OptionNode[] = [],
): CommandNode[] {
  const help = command.createHelp();
  const options = help.visibleOptions(command).map(optionNode);
  const own = options.filter(({ flags }) => !flags.includes("--help"));
  const children = help.visibleCommands(command);
  const node: CommandNode = {
    path,
    commands: children.map((each) => ({ name: each.name(), description: each.description() })),
    options: [...options, ...inherited],
    operands: [
      ...new Set(
        command.registeredArguments.map((each) => each.argChoices ?? valuesOf(each.name())),
      ),
    ],
  };
  const below = children.flatMap((each) =>
    // Commander's own `help` is no command with options and operands of its own.
    command.commands.includes(each)
      ? commandTree(each, `${path} ${each.name()}`.trimStart(), [...own, ...inherited])
      : [],
  );
  return [node, ...below];
}

/** "at word", for every word that leads from a command to one below it. */
export function steps(tree: readonly CommandNode[]): string[] {
  return tree
    .filter(({ path }) => path !== "")
    .map(({ path }) => (path.includes(" ") ? path : ` ${path}`));
}

function optionNode(option: Option): OptionNode {
  const placeholder = option.flags.match(/[<[]([^\].>]+)/)?.[1] ?? "";
  return {
    flags: [option.short, option.long].filter((flag) => flag !== undefined),
    description: option.description,
    takesValue: option.required,
    values: option.argChoices ?? valuesOf(placeholder),
  };
}

/** By the name that the help gives it. */
function valuesOf(name: string): Values {
  if (/^topics?$/.test(name)) return "topics";
  if (name === "group") return "groups";
  return name === "path" ? "files" : null;
}
