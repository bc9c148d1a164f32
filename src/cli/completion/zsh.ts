import { type CommandNode, steps, type Values } from "../command-tree.ts";

/** Returns a script to be sourced, or to be saved as the file `_rivulet` in a folder of $fpath. */
export function zshCompletion(tree: readonly CommandNode[]): string {
  return `#compdef rivulet
# Completes rivulet in zsh. \`rivulet completion --help\` says how to install it.
_rivulet_names() {
  local -a names
  names=(\${(f)"$(rivulet complete $1 2>/dev/null </dev/null)"})
  compadd -a names
}

_rivulet() {
  local at="" word
  local -a known
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "$at $word" in
      (${steps(tree).map(quoted).join("|")}) at="\${at:+$at }$word" ;;
    esac
  done
  case "$at \${words[CURRENT-1]}" in
${tree.flatMap(optionValues).join("\n")}
  esac
  case "$at \${words[CURRENT]}" in
${tree.map(optionNames).join("\n")}
  esac
  case "$at" in
${tree.flatMap(operands).join("\n")}
  esac
}

if [[ $funcstack[1] == _rivulet ]]; then _rivulet "$@"; else compdef _rivulet rivulet; fi
`;
}

function optionValues({ path, options }: CommandNode): string[] {
  return options
    .filter(({ takesValue }) => takesValue)
    .map(({ flags, values }) => {
      const places = flags.map((flag) => quoted(`${path} ${flag}`)).join("|");
      return `    (${places}) ${[...actions(values), "return"].join("; ")} ;;`;
    });
}

function optionNames({ path, options }: CommandNode): string {
  const described = options.flatMap(({ flags, description }) =>
    flags.map((flag) => quoted(`${flag}:${description}`)),
  );
  return `    (${quoted(`${path} -`)}*) known=(${described.join(" ")}); _describe option known; return ;;`;
}

function operands({ path, commands, operands: kinds }: CommandNode): string[] {
  const described = commands.map(({ name, description }) => quoted(`${name}:${description}`));
  const all = [
    ...(described.length === 0 ? [] : [`known=(${described.join(" ")}); _describe command known`]),
    ...kinds.flatMap(actions),
  ];
  return all.length === 0 ? [] : [`    (${quoted(path)}) ${all.join("; ")} ;;`];
}

function actions(values: Values): string[] {
  if (values === null) return [];
  if (values === "files") return ["_files"];
  if (typeof values === "string") return [`_rivulet_names ${values}`];
  return [`compadd -- ${values.join(" ")}`];
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
