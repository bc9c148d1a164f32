import { plainLines } from "./plain.ts";

const HOME_AND_CLEAR = "\x1b[H\x1b[J";

/** Shows the text, without control characters, in the place of the terminal's contents. */
export function redraw(text: string): void {
  const { rows } = process.stdout;
  const shown = screenful(plainLines(text), rows || Number.POSITIVE_INFINITY);
  process.stdout.write(`${HOME_AND_CLEAR}${shown}\n`);
}

/**
 * Fits the text into so many rows, the cursor's included. If it is too long, lines
 * above its last one are dropped, and that line says so.
 */
export function screenful(text: string, rows: number): string {
  const lines = text.split("\n");
  const tooMany = lines.length - (rows - 1);
  const last = lines.at(-1) ?? "";
  if (tooMany <= 0) return text;
  const shown = lines.slice(0, Math.max(0, rows - 3));
  return [...shown, `… ${lines.length - 1 - shown.length} more lines`, last].join("\n");
}
