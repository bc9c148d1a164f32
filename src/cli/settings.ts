// The broker's address and the user's token. An option comes before the environment,
// the environment before the config file, and the config file before the default.
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { type Command, Option } from "commander";
import { parseJson, UsageError, withoutMark } from "./context.ts";

interface Setting {
  readonly flags: string;
  readonly variable: string;
  readonly description: string;
  readonly default?: string;
  readonly isSecret?: true;
  readonly isValid: (value: string) => boolean;
  readonly bound: string;
}

/** The settings by their names in the config file, which are also the names of the options. */
const SETTINGS: Readonly<Record<string, Setting>> = {
  url: {
    flags: "--url <url>",
    variable: "RIVULET_URL",
    description: "the broker's address",
    default: "http://127.0.0.1:8787",
    isValid: (value) => URL.canParse(value) && /^https?:$/.test(new URL(value).protocol),
    bound: "an http or https address such as http://127.0.0.1:8787",
  },
  token: {
    flags: "--token <token>",
    variable: "RIVULET_TOKEN",
    description: "an API key or a token; other users of the machine can see it in a command line",
    isSecret: true,
    isValid: (value) => /^[\x21-\x7e]+$/.test(value), // The characters of a header.
    bound: "ASCII text without spaces",
  },
};

/** The variables of the environment that the command line reads. */
export const CONFIG_VARIABLES: readonly { readonly name: string; readonly description: string }[] =
  [
    ...Object.values(SETTINGS).map(({ variable, flags, description }) => ({
      name: variable,
      description: `${description} (${flags.split(" ")[0]} takes precedence)`,
    })),
    {
      name: "RIVULET_CONFIG",
      description:
        "the config file (default: rivulet/config.json in $XDG_CONFIG_HOME, or in ~/.config)",
    },
  ];

export interface HeldSetting {
  readonly name: string;
  readonly value: string | null;
  /** An option, a variable, a file, or "default". */
  readonly from: string;
}

export function addSettings(program: Command): void {
  for (const { flags, variable, description, ...setting } of Object.values(SETTINGS)) {
    const option = new Option(flags, description).env(variable);
    program.addOption(setting.default === undefined ? option : option.default(setting.default));
  }
}

/** Fills in the values of the config file, and checks all values. @throws UsageError */
export function settle(program: Command): void {
  const { path, values } = readConfig();
  for (const [name, setting] of Object.entries(SETTINGS)) {
    const source = program.getOptionValueSource(name);
    const isGiven = source === "cli" || (source === "env" && program.getOptionValue(name) !== "");
    if (!isGiven) {
      const inFile = values[name] !== undefined;
      const value = inFile ? values[name] : setting.default;
      program.setOptionValueWithSource(name, value, inFile ? "config" : "default");
    }
    const value: unknown = program.getOptionValue(name);
    if (value === undefined || (typeof value === "string" && setting.isValid(value))) continue;
    const origin = originOf(program, name, setting, path);
    const place = origin === path ? `${path}: ${name}` : origin;
    const isShown = !setting.isSecret || typeof value !== "string";
    const found = isShown ? `is ${JSON.stringify(value)}, it ` : "";
    throw new UsageError(`${place} ${found}must be ${setting.bound}`);
  }
}

/** Returns the values in effect and their sources, with secrets masked. */
export function heldSettings(program: Command): {
  readonly file: string;
  readonly settings: readonly HeldSetting[];
} {
  const file = configPath().path;
  const settings = Object.entries(SETTINGS).map(([name, setting]) => {
    const value: string | undefined = program.getOptionValue(name);
    const shown = value !== undefined && setting.isSecret ? masked(value) : (value ?? null);
    return { name, value: shown, from: originOf(program, name, setting, file) };
  });
  return { file, settings };
}

function originOf(program: Command, name: string, setting: Setting, path: string): string {
  switch (program.getOptionValueSource(name)) {
    case "cli":
      return `--${name}`;
    case "env":
      return setting.variable;
    case "config":
      return path;
    default:
      return "default";
  }
}

/** Shows the end of a secret, so that its owner recognizes it, and nothing of a short one. */
function masked(secret: string): string {
  return secret.length < 16 ? "****" : `****${secret.slice(-4)}`;
}

function readConfig(): {
  readonly path: string;
  readonly values: Readonly<Record<string, unknown>>;
} {
  const { path, isNamed } = configPath();
  let text: string;
  try {
    text = withoutMark(readFileSync(path, "utf8"));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const isAbsent = code === "ENOENT" || code === "ENOTDIR";
    if (isAbsent && !isNamed) return { path, values: {} };
    throw new UsageError(`the config file ${path} cannot be read: ${message}`);
  }
  const values = parseJson(text, path);
  if (typeof values !== "object" || values === null || Array.isArray(values))
    throw new UsageError(`${path} is JSON, but not an object`);
  const stray = Object.keys(values).find((key) => !Object.hasOwn(SETTINGS, key));
  if (stray === undefined) return { path, values: values as Record<string, unknown> };
  const known = Object.keys(SETTINGS).join(" and ");
  throw new UsageError(`${path}: ${JSON.stringify(stray)} is not a setting, there are ${known}`);
}

/** Returns the path of the config file. A file that RIVULET_CONFIG names must exist. */
function configPath(): { path: string; isNamed: boolean } {
  const { RIVULET_CONFIG: named, XDG_CONFIG_HOME: folder } = process.env;
  if (named) return { path: named, isNamed: true };
  const path = join(folder || join(homedir(), ".config"), "rivulet", "config.json");
  return { path, isNamed: false };
}
