// The bound on what an object stores. The platform's is 10 GB, beyond which every write is refused. Ours is below it, so that
// what makes room can still be written.
import type { Failure } from "../../src/core/errors.ts";
import { full } from "../../src/core/platform-errors.ts";
import type { SizedSql } from "./sql.ts";

/**
 * [LOG-13] Returns why nothing may be added, or null. `wayOut` says what makes room. Asking for the size reads no row.
 */
export function whyNoSpace(
  what: string,
  { databaseSize }: SizedSql,
  bound: number,
  wayOut: string,
): Failure | null {
  return databaseSize < bound ? null : full(what, databaseSize, bound, wayOut);
}
