// The command line as data, read from commander. Completion offers what it has at each place.
import type { Command, Option } from "commander";
import { suggestionsOf } from "./command.ts";

/** The kinds of names that the broker knows. */
export const NAMES = ["topics", "groups", "alerts"] as const;
export type BrokerNames = (typeof NAMES)[number];

/** The kind of a value: names that the broker knows, a path, some words, or null if only its user knows it. */
export type Values = BrokerNames | "files" | readonly string[] | null;

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
  /** The kinds of its operands, each kind once and in no order. */
  readonly operands: readonly Values[];
}

/**
 * Returns the command and all commands below it. Each also has the options of those above it, which may come anywhere.
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
    commands: children.map((each) => ({ name: each.name(), description: summaryOf(each) })),
    options: [...options, ...inherited],
    operands: [
      ...new Set(
        command.registeredArguments.map((each) => each.argChoices ?? valuesOf(each.name())),
      ),
    ],
  };
  const below = children.flatMap((each) =>
    // After `help` come commands, as at the start, so it is no step.
    command.commands.includes(each) && each.name() !== "help"
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
    values: suggestionsOf(option) ?? valuesOf(placeholder),
  };
}

/** Returns one line that says what a command does. */
function summaryOf(command: Command): string {
  return command.summary() || command.description();
}

/** Finds the kind of a value by its name in the help. */
function valuesOf(name: string): Values {
  if (/^topics?$/.test(name)) return "topics";
  if (name === "group") return "groups";
  if (name === "alert") return "alerts";
  return name === "path" ? "files" : null;
}
