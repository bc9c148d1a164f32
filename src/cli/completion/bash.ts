// Names come from the broker, where other people choose them. They do not go through `compgen -W`, which would expand
// them and could run a command.
import { type CommandNode, steps, type Values } from "../command-tree.ts";

/** Returns a script for bash 3.2, which macOS has, and newer ones. */
export function bashCompletion(tree: readonly CommandNode[]): string {
  return `# Completes rivulet in bash. \`rivulet completion --help\` says how to install it.
_rivulet_names() {
  local name
  while IFS= read -r name; do
    if [[ $name == "$current"* ]]; then COMPREPLY+=("$(printf %q "$name")"); fi
  done < <(rivulet complete "$1" 2>/dev/null </dev/null)
}

_rivulet_words() {
  COMPREPLY+=($(compgen -W "$1" -- "$current"))
}

_rivulet() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} at="" word
  COMPREPLY=()
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$at $word" in
      ${steps(tree).map(quoted).join("|")}) at="\${at:+$at }$word" ;;
    esac
  done
  case "$at $previous" in
${tree.flatMap(optionValues).join("\n")}
  esac
  case "$at $current" in
${tree.map(optionNames).join("\n")}
  esac
  case "$at" in
${tree.flatMap(operands).join("\n")}
  esac
}

complete -F _rivulet rivulet
`;
}

function optionValues({ path, options }: CommandNode): string[] {
  return options
    .filter(({ takesValue }) => takesValue)
    .map(({ flags, values }) => {
      const places = flags.map((flag) => quoted(`${path} ${flag}`)).join("|");
      return `    ${places}) ${[...actions(values), "return"].join("; ")} ;;`;
    });
}

function optionNames({ path, options }: CommandNode): string {
  const flags = options.flatMap((option) => option.flags).join(" ");
  return `    ${quoted(`${path} -`)}*) _rivulet_words ${quoted(flags)}; return ;;`;
}

function operands({ path, commands, operands: kinds }: CommandNode): string[] {
  const names = commands.map(({ name }) => name);
  const all = [...(names.length === 0 ? [] : actions(names)), ...kinds.flatMap(actions)];
  return all.length === 0 ? [] : [`    ${quoted(path)}) ${all.join("; ")} ;;`];
}

function actions(values: Values): string[] {
  if (values === null) return [];
  if (values === "files") return ["compopt -o default 2>/dev/null"];
  if (typeof values === "string") return [`_rivulet_names ${values}`];
  return [`_rivulet_words ${quoted(values.join(" "))}`];
}

function quoted(text: string): string {
  return `'${text}'`;
}
