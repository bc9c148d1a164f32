// The tables of ARCHITECTURE.md about costs. The tests compare them with the meter, and `npm run cost` computes with them,
// so they have exactly the counted values.

/** The cells of the row that begins with `shape`, in any table. */
export function documented(architecture: string, shape: string): string[] {
  const line = architecture.split("\n").find((each) => each.startsWith(`| ${shape} |`));
  if (line === undefined) throw new Error(`ARCHITECTURE.md has no row "${shape}"`);
  return line
    .split("|")
    .slice(2, -1)
    .map((cell) => cell.trim());
}

/** The first number of a cell. */
export function numberOf(cell: string | undefined): number {
  const match = cell?.replaceAll(",", "").match(/\d+(\.\d+)?/);
  if (match === null || match === undefined) throw new Error(`no number in "${cell}"`);
  return Number(match[0]);
}
