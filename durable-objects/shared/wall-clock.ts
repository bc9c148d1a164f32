import { firstRow, type Sql } from "./sql.ts";

export const WALL_CLOCK = "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS ms";

/** The wall clock as it is now, also where Date.now() stands still. Reads no row. */
export function wallClockMs(sql: Sql): number {
  return firstRow<{ ms: number }>(sql, WALL_CLOCK)?.ms ?? Date.now();
}
