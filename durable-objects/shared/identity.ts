// [FIL-7] Tells who owns the storage that an object has found. On a machine's disk a database is a file, and files can
// be swapped or restored under another's name. So the stored data itself names its owner.
import type { ObjectKind } from "../../src/calls/calls.ts";
import type { BrokerError } from "../../src/core/errors.ts";
import { damaged } from "../../src/core/platform-errors.ts";

/** The table that every object of a kind has from its first write on. No object of another kind has it. */
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

/** The tables that tell an object's kind. */
export const KIND_TABLES: readonly string[] = Object.keys(KIND_OF_TABLE);

/** Makes KAFKA_STORAGE_ERROR, not retriable. Data of another object is neither served nor overwritten. */
export function anothers(own: string, found: string): BrokerError {
  return damaged(`${own}: its storage is that of ${found}; put each file back in its place`);
}
