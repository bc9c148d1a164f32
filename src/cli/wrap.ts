/** Breaks lines at spaces so that they fit into `width`, with `indent` before each. Lines that begin with a space stay. */
export function wrapped(text: string, width: number, indent = ""): string {
  return text
    .split("\n")
    .flatMap((line) => (line.startsWith(" ") ? [line] : broken(line, width - indent.length)))
    .map((line) => (line === "" ? "" : `${indent}${line}`))
    .join("\n");
}

function broken(line: string, room: number): string[] {
  const lines: string[] = [];
  let current = "";
  for (const word of line.split(" ")) {
    const next = current === "" ? word : `${current} ${word}`;
    if (next.length > room && current !== "") lines.push(current);
    current = next.length > room ? word : next;
  }
  return [...lines, current];
}
