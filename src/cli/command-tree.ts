// The command line as data, read from commander. It tells what completion offers at each place.
import type { Command, Option } from "commander";

/** The kind of a value: names that the broker knows, a path, one of some words, or null if only its user knows it. */
export type Values = "topics" | "groups" | "files" | readonly string[] | null;

export interface OptionNode {
  readonly flags: readonly string[];
  readonly description: string;
  readonly takesValue: boolean;
  readonly values: Values;
}

export interface CommandNode {
  /** The command as it is typed: "" for rivulet itself, "groups reset" for one below it. */
  readonly path: string;
  readonly commands: readonly { readonly name: string; readonly description: string }[];
  readonly options: readonly OptionNode[];
  /** The kinds of its operands, besides options, each kind once. Their order is not told. */
  readonly operands: readonly Values[];
}

/**
 * Returns the command and all commands below it. Each also has the options of those above it, which may stand anywhere.
 */
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
    // Commander's own `help` is not a command with options and operands of its own.
    command.commands.includes(each)
      ? commandTree(each, `${path} ${each.name()}`.trimStart(), [...own, ...inherited])
      : [],
  );
  return [node, ...below];
}

/** Returns "at word" for every word that leads from a command to one below it. */
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

/** Finds the kind of value by the name that the help uses. */
function valuesOf(name: string): Values {
  if (/^topics?$/.test(name)) return "topics";
  if (name === "group") return "groups";
  return name === "path" ? "files" : null;
}
