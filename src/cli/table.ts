import { plain } from "./plain.ts";

/** A text that is aligned to the right and never cut, such as `4.5 MB`. */
export interface Figure {
  readonly figure: string;
}

export type Cell = string | number | Figure | null;

/** Cells that are never cut: numbers, and times written in digits. */
const NUMERIC = /^[\d.:TZ+-]*$/;
const GAP = "  ";

/**
 * Prints rows under their headings. Control characters of a cell are shown as text. Columns are as wide as they need to be, and numbers are aligned to the right. If
 * that is wider than `width`, the widest columns of text are cut, as far as their headings and numbers allow.
 */
export function table(
  headings: readonly string[],
  rows: readonly (readonly Cell[])[],
  width = terminalWidth(),
): string {
  const cells = rows.map((row) => row.map(textOf));
  const widest = (column: number, isCounted: (row: number, cell: string) => boolean) =>
    cells.reduce(
      (most, { [column]: cell = "" }, row) =>
        isCounted(row, cell) ? Math.max(most, cell.length) : most,
      headings[column]?.length ?? 0,
    );
  const isUncut = (column: number) => (row: number, cell: string) =>
    NUMERIC.test(cell) || isFigure(rows[row]?.[column]);
  const widths = fitted(
    headings.map((_, column) => widest(column, () => true)),
    headings.map((_, column) => widest(column, isUncut(column))),
    width - GAP.length * (headings.length - 1),
  );
  const isRight = headings.map(
    (_, column) => rows.length > 0 && rows.every((row) => typeof row[column] !== "string"),
  );
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => {
        const room = widths[column] ?? 0;
        const shown = cell.length > room ? `${cell.slice(0, room - 1)}…` : cell;
        return isRight[column] ? shown.padStart(room) : shown.padEnd(room);
      })
      .join(GAP)
      .trimEnd();
  return [line(headings), ...cells.map(line)].join("\n");
}

function isFigure(cell: Cell | undefined): cell is Figure {
  return typeof cell === "object" && cell !== null;
}

function textOf(cell: Cell | undefined): string {
  if (cell === null || cell === undefined) return "-"; // An older broker leaves fields out.
  return plain(isFigure(cell) ? cell.figure : String(cell));
}

/**
 * Fits the widths into `room`. The widest is reduced first, and none below its
 * least. The sum may exceed `room` if that is not enough.
 */
function fitted(widths: readonly number[], least: readonly number[], room: number): number[] {
  const fitting = [...widths];
  let excess = fitting.reduce((sum, each) => sum + each, -room);
  while (excess > 0) {
    const cuttable = fitting.map((each, column) => (each > (least[column] ?? 0) ? each : 0));
    const most = Math.max(...cuttable);
    if (most === 0) break;
    fitting[cuttable.indexOf(most)] = most - 1;
    excess--;
  }
  return fitting;
}

/** Returns the width. It is unlimited if the output is not a terminal, or a terminal of unknown width. */
function terminalWidth(): number {
  return (process.stdout.isTTY && process.stdout.columns) || Number.POSITIVE_INFINITY;
}
