// A position in a log, as --from and --until name it.
import { InvalidArgumentError } from "commander";
import { isoTimeMs } from "../core/iso-time.ts";
import { UsageError } from "./context.ts";
import { timeText } from "./record-text.ts";
import { assertAfter1970, durationIn } from "./times.ts";

export type Position =
  | { readonly at: "earliest" | "latest" }
  | { readonly atMs: number }
  /** So long ago. */
  | { readonly agoMs: number }
  /** A whole number: an offset with --partition, else milliseconds since 1970. */
  | { readonly number: number };

/** A position that means the same whenever it is looked up. */
export type FixedPosition =
  | { readonly at: "earliest" | "latest" }
  | { readonly atMs: number }
  | { readonly offset: number };

/** A smaller number is no time that a record has: it is before March 1973, and an offset was meant. */
const LEAST_TIME_MS = 100_000_000_000;

/** Parses the value of --from. */
export function parseFrom(text: string): Position {
  if (text === "earliest" || text === "latest") return { at: text };
  return positionIn(text, "earliest, latest, ");
}

/** Parses the value of --until. `now` is the end of the log when the command starts. */
export function parseUntil(text: string): Position {
  return text === "now" ? { at: "latest" } : positionIn(text, "now, ");
}

function positionIn(text: string, words: string): Position {
  if (/^\d{1,15}$/.test(text)) return { number: Number(text) };
  const agoMs = durationIn(text);
  if (agoMs !== null) {
    assertAfter1970(agoMs);
    return { agoMs };
  }
  const atMs = isoTimeMs(text);
  if (atMs !== null) return { atMs };
  throw new InvalidArgumentError(
    `It must be ${words}a time such as 2026-11-01T12:00:00Z or milliseconds since 1970, a duration back such as 15m, 2h, 7d or PT1H, or with --partition an offset.`,
  );
}

/**
 * Fixes a position: a duration counts back from `nowMs`, and a number is an offset with --partition.
 * @throws UsageError that names the option
 */
export function fixed(
  option: string,
  position: Position,
  hasPartition: boolean,
  nowMs: number,
): FixedPosition {
  if ("agoMs" in position) return { atMs: nowMs - position.agoMs };
  if (!("number" in position)) return position;
  const { number } = position;
  if (hasPartition) return { offset: number };
  if (number >= LEAST_TIME_MS) return { atMs: number };
  throw new UsageError(
    `${option} is ${number}: an offset goes with --partition, and milliseconds since 1970 have at least 12 digits`,
  );
}

/** Fixes a position that is not later than now. A time that is still to come has no offset yet. @throws UsageError */
export function fixedUpToNow(
  option: string,
  position: Position,
  hasPartition: boolean,
  nowMs: number,
): FixedPosition {
  const place = fixed(option, position, hasPartition, nowMs);
  if (!("atMs" in place) || place.atMs <= nowMs) return place;
  throw new UsageError(`${option} is ${timeText(place.atMs)}, it must not be later than now`);
}
