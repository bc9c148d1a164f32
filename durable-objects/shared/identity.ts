// [FIL-7] Finds out which object owns the storage that an object has found. On a machine's disk a database is a
// file, and a file can be swapped or restored under another name. So the stored data itself names its owner.
import type { ObjectKind } from "../../src/calls/calls.ts";
import type { BrokerError } from "../../src/core/errors.ts";
import { damaged } from "../../src/core/platform-errors.ts";

/** The table that every object of a kind has from its first write on. Objects of other kinds lack it. */
const KIND_OF_TABLE: Readonly<Record<string, ObjectKind>> = {
  cluster: "cluster",
  group_state: "group",
  partition: "partition",
  metrics_state: "metrics",
};

/** Returns the kind of the object that has tables of these names, or null if there is none. */
export function kindOf(tables: readonly string[]): ObjectKind | null {
  for (const table of tables) {
    const kind = KIND_OF_TABLE[table];
    if (kind !== undefined) return kind;
  }
  return null;
}

/** The tables that identify an object's kind. */
export const KIND_TABLES: readonly string[] = Object.keys(KIND_OF_TABLE);

/**
 * Makes a KAFKA_STORAGE_ERROR that is not retriable. An object neither serves nor overwrites data of another
 * object.
 */
export function anothers(own: string, found: string): BrokerError {
  return damaged(`${own}: its storage is that of ${found}; put each file back in its place`);
}
