// The bound on an object's storage. The platform's bound is 10 GB; beyond it every write is refused. Ours is
// lower, so that the writes that make room still succeed.
import type { Failure } from "../../src/core/errors.ts";
import { full } from "../../src/core/platform-errors.ts";
import type { SizedSql } from "./sql.ts";

/**
 * [LOG-13] Returns why nothing may be added, or null. `wayOut` says how to make room. Reading the size reads no
 * row.
 */
export function whyNoSpace(
  what: string,
  { databaseSize }: SizedSql,
  bound: number,
  wayOut: string,
): Failure | null {
  return databaseSize < bound ? null : full(what, databaseSize, bound, wayOut);
}
