const ISO_TIME = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?)?$/;

/** Parses an ISO 8601 date or time, in UTC if it names no zone. Returns milliseconds since 1970, or null for anything else. */
export function isoTimeMs(text: string): number | null {
  const [, time, , , zone] = ISO_TIME.exec(text) ?? [];
  const isWithoutZone = time !== undefined && zone === undefined;
  const ms = ISO_TIME.test(text) ? Date.parse(isWithoutZone ? `${text}Z` : text) : Number.NaN;
  return Number.isSafeInteger(ms) && hasDay(text) ? ms : null;
}

/** True if the text does not begin with a day that no calendar has, such as 2026-02-30. `Date.parse` accepts such days. */
export function hasDay(text: string): boolean {
  const [day] = /^\d{4}-\d\d-\d\d/.exec(text) ?? [];
  if (day === undefined) return true;
  const ms = Date.parse(day);
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(day);
}
