import { firstRow, type Sql } from "./sql.ts";

export const WALL_CLOCK = "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS ms";

/** Returns the wall clock as it is now, even if Date.now() stands still. Reads no row. */
export function wallClockMs(sql: Sql): number {
  return firstRow<{ ms: number }>(sql, WALL_CLOCK)?.ms ?? Date.now();
}
