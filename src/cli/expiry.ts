// How long keys and tokens are good, as it is written on the command line.
import { InvalidArgumentError } from "commander";

const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Parses 90s, 15m, 12h, 30d. Returns milliseconds. */
export function parseDuration(text: string): number {
  const ms = durationOf(text);
  if (ms === null) throw new InvalidArgumentError("It must be like 90s, 15m, 12h or 30d.");
  return ms;
}

/** An end, or null for none. Commander takes a bare null for no value. */
export interface Expiry {
  readonly atMs: number | null;
}

/** Parses a time, a duration from now, or `never`. */
export function parseExpiry(text: string): Expiry {
  if (text === "never") return { atMs: null };
  const ms = durationOf(text);
  if (ms !== null) return { atMs: Date.now() + ms };
  const at = /^\d{4}-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(at))
    throw new InvalidArgumentError(
      "It must be like 12h or 30d from now, a time such as 2027-01-31T00:00Z, or never.",
    );
  return { atMs: at };
}

function durationOf(text: string): number | null {
  const [, number, unit = ""] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? [];
  return number === undefined ? null : Number(number) * (UNITS[unit] ?? 0);
}
