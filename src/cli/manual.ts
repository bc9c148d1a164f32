// The manual page of a command: what `rivulet help COMMAND` prints. It is pure.
import type { Argument, Help, Option } from "commander";
import { Command } from "./command.ts";
import { CONFIG_VARIABLES } from "./settings.ts";
import { wrapped } from "./wrap.ts";

const INDENT = "    ";
const MAX_WIDTH = 100;

export function manualOf(program: Command, command: Command, width: number): string {
  const help = command.createHelp();
  const room = Math.min(width, MAX_WIDTH);
  const path = pathOf(command);
  const children = help
    .visibleCommands(command)
    .filter((each): each is Command => each instanceof Command && command.commands.includes(each));
  const named = (term: string, text: string) => `${term}\n${wrapped(text, room - 4, INDENT)}`;
  const option = (each: Option) =>
    named(help.optionTerm(each), sentence(help.optionDescription(each)));
  const sections: readonly (readonly [string, readonly string[]])[] = [
    ["NAME", [`${path} - ${command.summary() || command.description()}`]],
    ["SYNOPSIS", [`rivulet [global options] ${usageOf(command, help)}`]],
    ["DESCRIPTION", paragraphs(command)],
    [
      "ARGUMENTS",
      help
        .visibleArguments(command)
        .filter(({ description }) => description !== "")
        .map((each: Argument) =>
          named(help.argumentTerm(each), sentence(help.argumentDescription(each))),
        ),
    ],
    ["COMMANDS", children.map((each) => named(each.name(), sentence(each.summary())))],
    ["OPTIONS", help.visibleOptions(command).filter(isOwn).map(option)],
    ["GLOBAL OPTIONS", help.visibleOptions(program).filter(isOwn).map(option)],
    ["EXAMPLES", command.exampleLines],
    ["EXIT STATUS", exitCodes(command)],
    [
      "ENVIRONMENT",
      CONFIG_VARIABLES.map(({ name, description }) => named(name, sentence(description))),
    ],
    ["SEE ALSO", seeAlso(command, children)],
  ];
  return sections
    .filter(([, items]) => items.length > 0)
    .map(([title, items]) => {
      // A command line stays whole, so that it can be copied.
      const text = (item: string) =>
        title === "EXAMPLES" ? `${INDENT}${item}` : wrapped(item, room, INDENT);
      return `${title}\n${items.map(text).join("\n")}`;
    })
    .join("\n\n");
}

/** Returns "rivulet groups lag". */
function pathOf(command: Command): string {
  return command.parent === null
    ? command.name()
    : `${pathOf(command.parent as Command)} ${command.name()}`;
}

/** Returns "groups lag [options] <group>". */
function usageOf(command: Command, help: Help): string {
  const [, ...below] = pathOf(command).split(" ");
  const hasChildren = command.commands.length > 0;
  const operands = command.registeredArguments.map((each) => help.argumentTerm(each));
  const terms = command.registeredArguments.map((each, index) => {
    const name = `${operands[index]}${each.variadic ? "..." : ""}`;
    return each.required ? `<${name}>` : `[${name}]`;
  });
  return [...below, ...(hasChildren ? ["<command>"] : ["[options]"]), ...terms].join(" ");
}

/** The description and the details, with empty lines between them. */
function paragraphs(command: Command): string[] {
  return [[command.description(), ...command.detailTexts].join("\n\n")];
}

function isOwn({ long }: Option): boolean {
  return long !== "--help";
}

function exitCodes({ exitNote }: Command): string[] {
  return [
    "0  The command is done.",
    `1  It failed.${exitNote === null ? "" : ` Also if ${exitNote}.`}`,
    "2  It was used wrongly.",
  ];
}

/** Names the related commands, and those beside or below the command. */
function seeAlso(command: Command, children: readonly Command[]): string[] {
  const { parent } = command;
  const siblings = parent?.parent ? parent.commands.filter((each) => each !== command) : [];
  const near = [...children, ...(siblings as Command[])].map((each) =>
    pathOf(each).replace(/^rivulet /, ""),
  );
  const all = [...new Set([...command.related, ...near])];
  return all.length === 0 ? [] : [all.map((each) => `rivulet help ${each}`).join(", ")];
}

/** Makes a sentence of the text of an option. */
function sentence(text: string): string {
  const first = text.slice(0, 1).toUpperCase();
  return `${first}${text.slice(1)}${text.endsWith(".") ? "" : "."}`;
}
