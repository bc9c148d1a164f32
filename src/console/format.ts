// Numbers, sizes and times in a form for people.

const WHOLE = new Intl.NumberFormat("en");

export function numberText(value: number): string {
  return WHOLE.format(value);
}

/** "1 record", "2,000 records". */
export function countText(count: number, one: string, many = `${one}s`): string {
  return `${numberText(count)} ${count === 1 ? one : many}`;
}

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"] as const;

export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return unit === 0 ? countText(bytes, "byte") : `${value.toFixed(1)} ${UNITS[unit]}`;
}

const STEPS = [
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "min"],
  [1_000, "s"],
] as const;

/** A length of time in its two largest units, or in the largest alone if that is enough: "2 h 5 min", "56 min". */
export function durationText(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  const from = STEPS.findIndex(([step]) => ms >= step);
  const [[step, unit] = [1_000, "s"], below] = STEPS.slice(from, from + 2);
  const whole = Math.floor(ms / step);
  // Seconds mean nothing beside an hour.
  const rest = below === undefined || whole >= 10 ? 0 : Math.floor((ms % step) / below[0]);
  return rest === 0 || below === undefined
    ? `${whole} ${unit}`
    : `${whole} ${unit} ${rest} ${below[1]}`;
}

/** "12 s ago", "in 3 min". */
export function relativeText(atMs: number, nowMs: number): string {
  const ms = nowMs - atMs;
  if (Math.abs(ms) < 1_000) return "just now";
  return ms > 0 ? `${durationText(ms)} ago` : `in ${durationText(-ms)}`;
}

const MAX_TIME_MS = 8.64e15;

/** ISO 8601 in UTC, or the number itself if it is not a valid time. */
export function timeText(ms: number): string {
  return Math.abs(ms) <= MAX_TIME_MS ? new Date(ms).toISOString() : String(ms);
}

/** Cuts a long name in its middle, because both ends distinguish names. */
export function shortened(text: string, maxChars: number): string {
  const chars = [...text];
  if (chars.length <= maxChars) return text;
  const head = Math.ceil((maxChars - 1) / 2);
  return `${chars.slice(0, head).join("")}…${chars.slice(chars.length - (maxChars - 1 - head)).join("")}`;
}

/** Dollars with two decimals, or with two significant digits below one cent: "$1.20", "$0.00031". */
export function dollarsText(dollars: number): string {
  if (dollars === 0 || dollars >= 0.01) return `$${dollars.toFixed(2)}`;
  return dollars < 1e-9
    ? "< $0.000000001"
    : `$${dollars.toFixed(1 - Math.floor(Math.log10(dollars)))}`;
}
