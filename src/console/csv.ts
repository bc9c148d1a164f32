// Tables as CSV (RFC 4180), for spreadsheets that must not run their content.

/** A number is written unchanged. Null is an empty cell, and an empty text a quoted one. */
export type Cell = string | number | null;

/** The beginnings that make a spreadsheet treat a text as a formula, including full-width ones. */
const FORMULA = /^[=+\-@\t\r\n＝＋－＠]/;

/** Returns a cell that is always text, whatever it begins with. */
function cellText(cell: Cell): string {
  if (cell === null) return "";
  if (typeof cell === "number") return String(cell);
  const safe = FORMULA.test(cell) ? `'${cell}` : cell;
  return `"${safe.replaceAll('"', '""')}"`;
}

export function csvOf(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  return [head, ...rows].map((row) => `${row.map(cellText).join(",")}\r\n`).join("");
}

/** Returns a file name of characters that every file system accepts. */
export function fileName(parts: readonly string[], ending: string): string {
  const base = parts.join("-").replaceAll(/[^\w.-]+/g, "_");
  return `${base.slice(0, 100)}.${ending}`;
}
