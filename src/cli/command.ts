// A command of the command line: commander's class, with what its help and its manual page show besides.
import { Command as CommanderCommand, Option } from "commander";
import { wrapped } from "./wrap.ts";

export class Command extends CommanderCommand {
  /** Command lines that work. The help ends with them. */
  readonly exampleLines: string[] = [];
  /** The names of related commands, such as "groups lag". */
  readonly related: string[] = [];
  /** Explains what does not fit the description of one option. */
  readonly detailTexts: string[] = [];
  /** A reason for exit code 1 other than an error. */
  exitNote: string | null = null;

  override createCommand(name?: string): Command {
    return new Command(name);
  }

  /** Adds a text between the options and the examples. Each line is a paragraph, unless it begins with a space. */
  details(text: string): this {
    this.detailTexts.push(text);
    return this.addHelpText("after", () => `\n${wrapped(text, helpWidth())}`);
  }

  /** Adds the examples. Call it last: the help ends with them. */
  examples(...lines: readonly string[]): this {
    this.exampleLines.push(...lines);
    return this.addHelpText("after", `\nExamples:\n${lines.map((line) => `  ${line}`).join("\n")}`);
  }

  seeAlso(...commands: readonly string[]): this {
    this.related.push(...commands);
    return this;
  }

  /** Names a reason for exit code 1 other than an error. */
  failsIf(reason: string): this {
    this.exitNote = reason;
    return this;
  }
}

/** Returns the width of help in columns. Commander wraps options at the same. */
export function helpWidth(): number {
  return (process.stdout.isTTY && process.stdout.columns) || 80;
}

const SUGGESTIONS = new WeakMap<Option, readonly string[]>();

/** Makes an option that takes any text. Tab offers the values. */
export function suggestingOption(
  flags: string,
  description: string,
  values: readonly string[],
): Option {
  const option = new Option(flags, description);
  SUGGESTIONS.set(option, values);
  return option;
}

/** Returns the values that Tab offers, or undefined if the name of the value says what they are. */
export function suggestionsOf(option: Option): readonly string[] | undefined {
  return option.argChoices ?? SUGGESTIONS.get(option);
}
