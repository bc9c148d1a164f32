export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length % 2 === 1) return sorted[middle] as number;
  return ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

export function round(value: number, digits = 2): string {
  return value >= 1000 ? Math.round(value).toLocaleString("en") : value.toFixed(digits);
}

/** The median of the rounds' ratios, and their range. */
export function ratios(own: readonly number[], theirs: readonly number[]): string {
  const all = own.map((value, i) => value / (theirs[i] ?? Number.NaN));
  return `${round(median(all))} (${round(Math.min(...all))} to ${round(Math.max(...all))})`;
}

/** Rows under a head, columns aligned. */
export function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = head.map((title, i) =>
    Math.max(title.length, ...rows.map((row) => (row[i] ?? "").length)),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join("  ");
  console.log([head, ...rows].map(line).join("\n"));
  console.log();
}
