// Writes the progress of a long produce or consume as a line. It is pure: numbers and width in, text out.
import { bytesText, grouped } from "./figures.ts";

export interface Numbers {
  readonly records: number;
  readonly bytes: number;
  readonly elapsedMs: number;
}

const MAX_BAR = 30;
const MIN_BAR = 5;

/**
 * Writes a line of at most `width` characters. `part` is the fraction that is done, 0 to 1, or null if it is not known.
 */
export function progressLine(numbers: Numbers, part: number | null, width: number): string {
  const figures = figuresOf(numbers).join("  ");
  if (part === null) return figures.slice(0, width);
  const done = Math.min(1, Math.max(0, part));
  const percent = `${Math.floor(done * 100)}%`.padStart(4);
  const room = Math.min(MAX_BAR, width - figures.length - percent.length - "  []".length);
  if (room < MIN_BAR) return `${percent}  ${figures}`.slice(0, width);
  const filled = Math.floor(done * room);
  return `${figures}  [${"#".repeat(filled)}${"-".repeat(room - filled)}]${percent}`;
}

export function totalsLine(numbers: Numbers): string {
  const [records, rate, bytes] = figuresOf(numbers);
  return `${records}, ${bytes} in ${(numbers.elapsedMs / 1_000).toFixed(1)} s, ${rate}`;
}

function figuresOf({ records, bytes, elapsedMs }: Numbers): [string, string, string] {
  const rate = elapsedMs > 0 ? Math.round((records * 1_000) / elapsedMs) : 0;
  return [
    `${grouped(records)} record${records === 1 ? "" : "s"}`,
    `${grouped(rate)}/s`,
    bytesText(bytes),
  ];
}
