// Times and durations as they are written on the command line.
import { InvalidArgumentError } from "commander";
import { durationMs } from "../core/duration.ts";
import { hasDay, isoTimeMs } from "../core/iso-time.ts";

const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Parses 500ms, 90s, 15m, 2h or 7d, or ISO 8601 as in PT1H. Returns milliseconds, or null for anything else. */
export function durationIn(text: string): number | null {
  const [, number, unit = ""] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? [];
  return number === undefined ? durationMs(text) : Number(number) * (UNITS[unit] ?? 0);
}

/** The latest time that a date can hold. */
const MAX_TIME_MS = 8.64e15;

/** @throws InvalidArgumentError for a duration that reaches back beyond 1970 */
export function assertAfter1970(agoMs: number): void {
  if (agoMs > Date.now()) throw new InvalidArgumentError("It must not reach back beyond 1970.");
}

/** Parses the value of an option that takes a duration. Returns milliseconds. */
export function parseDuration(text: string): number {
  const ms = durationIn(text);
  if (ms === null) throw new InvalidArgumentError("It must be a duration such as 90s, 15m or 2h.");
  if (ms > MAX_TIME_MS) throw new InvalidArgumentError("It is too long.");
  return ms;
}

/** Parses ISO 8601, or milliseconds since 1970. Returns milliseconds since 1970, or null for anything else. */
export function timeIn(text: string): number | null {
  return /^\d{1,15}$/.test(text) ? Number(text) : isoTimeMs(text);
}

/** Parses the value of an option that takes a time. Returns milliseconds since 1970. */
export function parseTime(text: string): number {
  const ms = timeIn(text);
  if (ms !== null) return ms;
  throw new InvalidArgumentError(
    "It must be a time such as 2026-11-01T12:00:00Z, or milliseconds since 1970.",
  );
}

/** An end, or null for none. Commander takes a bare null for no value. */
export interface Expiry {
  readonly atMs: number | null;
}

/** Parses a time, a duration from now, or `never`. */
export function parseExpiry(text: string): Expiry {
  if (text === "never") return { atMs: null };
  const ms = durationIn(text);
  if (ms !== null && Date.now() + ms > MAX_TIME_MS)
    throw new InvalidArgumentError("It is too long.");
  if (ms !== null) return { atMs: Date.now() + ms };
  const atMs = /^\d{4}-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(atMs) && hasDay(text)) return { atMs };
  throw new InvalidArgumentError(
    "It must be a duration from now such as 12h or 30d, a time such as 2027-01-31T00:00Z, or never.",
  );
}
