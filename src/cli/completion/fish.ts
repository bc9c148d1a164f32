import { type CommandNode, type OptionNode, steps, type Values } from "../command-tree.ts";

export function fishCompletion(tree: readonly CommandNode[]): string {
  return `# Completes rivulet in fish. \`rivulet completion --help\` says how to install it.
function __rivulet_at
    set -l at ""
    for word in (commandline -opc)[2..]
        switch "$at $word"
            case ${steps(tree).map(quoted).join(" ")}
                set at (string trim -- "$at $word")
        end
    end
    test "$at" = "$argv[1]"
end

complete -c rivulet -f
${tree.flatMap(lines).join("\n")}
`;
}

function lines({ path, commands, options, operands }: CommandNode): string[] {
  const here = `complete -c rivulet -n ${quoted(`__rivulet_at "${path}"`)}`;
  return [
    ...commands.map(
      ({ name, description }) => `${here} -a ${quoted(name)} -d ${quoted(description)}`,
    ),
    ...options.map((option) => `${here} ${optionText(option)}`),
    ...operands.flatMap((values) => completed(values).map((text) => `${here} ${text}`)),
  ];
}

function optionText({ flags, description, takesValue, values }: OptionNode): string {
  const names = flags.map((flag) =>
    flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`,
  );
  const value = takesValue ? [values === "files" ? "-r" : "-x", ...completed(values)] : [];
  return [...names, ...value, `-d ${quoted(description)}`].join(" ");
}

function completed(values: Values): string[] {
  if (values === null) return [];
  if (values === "files") return ["-F"];
  if (typeof values === "string")
    return [`-a ${quoted(`(rivulet complete ${values} 2>/dev/null)`)}`];
  return [`-a ${quoted(values.join(" "))}`];
}

function quoted(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
