// Numbers, sizes, durations and dollars as people read them. It is pure.

export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** Writes a number with commas between the thousands. */
export function grouped(number: number): string {
  return number.toLocaleString("en-US");
}

const BYTE_UNITS = ["kB", "MB", "GB", "TB"];

export function bytesText(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`;
  let value = bytes / 1_000;
  let unit = 0;
  // A value that would be rounded to 1000.0 is shown in the next unit.
  while (value >= 999.95 && unit < BYTE_UNITS.length - 1) {
    value /= 1_000;
    unit++;
  }
  return `${value.toFixed(1)} ${BYTE_UNITS[unit]}`;
}

const TIME_UNITS = [
  { ms: 86_400_000, name: "d" },
  { ms: 3_600_000, name: "h" },
  { ms: 60_000, name: "m" },
  { ms: 1_000, name: "s" },
];

/** Writes a duration in the largest unit that fits at least once, as 3s, 2m or 1h. */
export function durationText(ms: number): string {
  const unit = TIME_UNITS.find((each) => ms >= each.ms);
  return unit === undefined ? `${ms}ms` : `${Math.floor(ms / unit.ms)}${unit.name}`;
}

/** Writes dollars with two digits after the point, or with two that are not 0 below a cent: $1.20, $0.00031. */
export function dollarsText(dollars: number): string {
  if (dollars === 0 || dollars >= 0.01) return `$${dollars.toFixed(2)}`;
  if (dollars < 1e-9) return "<$0.000000001";
  return `$${dollars.toFixed(1 - Math.floor(Math.log10(dollars)))}`;
}
