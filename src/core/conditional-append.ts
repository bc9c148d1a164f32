// Checks an append with an expected offset. The file imports nothing, so the SDK loads it only when it is needed.
import type { Failure } from "./errors.ts";
import type { PlacedRecord, PlannedAppend, Records } from "./produce-plan.ts";

/**
 * [CND-1] Checks records that must be stored at a given offset. They must fit into one append to one partition, and
 * that partition must be known. Returns INVALID_REQUEST, MESSAGE_TOO_LARGE or null.
 */
export function whyNotConditional(
  records: Records<PlacedRecord>,
  appends: readonly PlannedAppend[],
  partitions: number,
): Failure | null {
  const wrong = (error: Failure["error"], why: string): Failure => ({
    ok: false,
    error,
    detail: `expectedOffset: ${why}`,
  });
  for (const [index, { partition, key }] of partitions > 1 ? records.entries() : [])
    if (partition === null && key === null)
      return wrong("INVALID_REQUEST", `records[${index}] needs a partition or a key`);
  const places = new Set(appends.map((append) => append.partition));
  if (places.size > 1) {
    const named = [...places].join(", ");
    return wrong("INVALID_REQUEST", `the records go to the partitions ${named}, not to one`);
  }
  if (appends.length > 1)
    return wrong("MESSAGE_TOO_LARGE", "the records are too many for one append");
  return null;
}
