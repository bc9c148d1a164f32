// Tables as CSV (RFC 4180), for spreadsheets that must not run what is in them.

/** A number is written as it is. Null is an empty cell, and an empty text a quoted one. */
export type Cell = string | number | null;

/** A spreadsheet takes a text that begins so for a formula, in wide letters too. */
const FORMULA = /^[=+\-@\t\r\n＝＋－＠]/;

/** Returns a text as a cell: as text, whatever it begins with. */
function cellText(cell: Cell): string {
  if (cell === null) return "";
  if (typeof cell === "number") return String(cell);
  const safe = FORMULA.test(cell) ? `'${cell}` : cell;
  return `"${safe.replaceAll('"', '""')}"`;
}

export function csvOf(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  return [head, ...rows].map((row) => `${row.map(cellText).join(",")}\r\n`).join("");
}

/** Returns the name of a file, of letters that every file system takes. */
export function fileName(parts: readonly string[], ending: string): string {
  const base = parts.join("-").replaceAll(/[^\w.-]+/g, "_");
  return `${base.slice(0, 100)}.${ending}`;
}
