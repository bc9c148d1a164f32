// The reset of a group's committed offsets: the user's choice, the request for a plan, and the plan itself.
import type { GroupOffsetInfo, ResetResult } from "../core/group-info.ts";

export const RESET_MODES = [
  ["earliest", "the earliest record"],
  ["latest", "the end of the log"],
  ["current", "the committed offset, clamped to the log"],
  ["offset", "one offset"],
  ["timestamp", "the first record since a time"],
  ["duration", "the first record since a duration ago"],
  ["shiftBy", "a number of records forward or back"],
  ["each", "an offset for each partition"],
] as const;

export type ResetMode = (typeof RESET_MODES)[number][0];

/** A value of `to`, in the API's form. */
export type ResetTo = ResetMode | Readonly<Record<string, number | string>>;

export type PlannedOffset = ResetResult["offsets"][number];

/** The text that a mode needs, and its field. */
export const MODE_FIELDS: Partial<
  Record<
    ResetMode,
    { readonly label: string; readonly hint: string; readonly type: "text" | "datetime-local" }
  >
> = {
  offset: { label: "Offset", hint: "A whole number. It is clamped to each log.", type: "text" },
  timestamp: { label: "Time", hint: "In the time zone of this browser.", type: "datetime-local" },
  duration: { label: "How long ago", hint: "ISO 8601: PT2H, P1DT12H.", type: "text" },
  shiftBy: { label: "Records", hint: "A whole number. A negative number goes back.", type: "text" },
};

/** Returns `to` for the API, or null if the text is not valid yet. */
export function resetTo(mode: ResetMode, text: string): ResetTo | null {
  switch (mode) {
    case "earliest":
    case "latest":
    case "current":
    case "each":
      return mode;
    case "offset":
      return /^\d{1,16}$/.test(text.trim()) ? { offset: Number(text) } : null;
    case "shiftBy":
      return /^-?\d{1,15}$/.test(text.trim()) ? { shiftBy: Number(text) } : null;
    case "timestamp": {
      const ms = Date.parse(text);
      return Number.isNaN(ms) ? null : { timestamp: ms };
    }
    case "duration":
      return /^P[\dDTHMS.]+$/.test(text.trim()) ? { duration: text.trim() } : null;
  }
}

export function placeKey({ topic, partition }: { topic: string; partition: number }): string {
  return `${topic}/${partition}`;
}

/** Returns a plan that keeps each committed offset, or 0 if there is none, for editing. */
export function planAsIs(
  offsets: readonly GroupOffsetInfo[],
  chosen: ReadonlySet<string>,
): PlannedOffset[] {
  return offsets
    .filter((each) => chosen.has(placeKey(each)))
    .map(({ topic, partition, committedOffset }) => ({
      topic,
      partition,
      committedOffset,
      offset: committedOffset ?? 0,
    }));
}

/** Describes a step of the plan in words. */
export function changeText({ committedOffset, offset }: PlannedOffset): string {
  if (committedOffset === null) return "set for the first time";
  const by = offset - committedOffset;
  if (by === 0) return "stays";
  return by > 0 ? `${by} forward: these are skipped` : `${-by} back: these are delivered again`;
}
