// [FIL-7] Checks who owns the storage that an object has found. On a machine's disk a database is a file, and files can
// be swapped or restored under another's name. So the stored data itself names its owner.
import type { BrokerError } from "../../src/core/errors.ts";
import { damaged } from "../../src/core/platform-errors.ts";
import { firstRow, type Sql } from "./sql.ts";

type ObjectKind = "cluster" | "group" | "partition";

/** The table that every object of a kind has from its first write on. No object of another kind has it. */
const KIND_OF_TABLE: Readonly<Record<string, ObjectKind>> = {
  cluster: "cluster",
  group_state: "group",
  partition: "partition",
};

/** Returns the kind of the object that has stored something here, or null if none has. */
export function storedKind(sql: Sql): ObjectKind | null {
  const tables = Object.keys(KIND_OF_TABLE);
  const query = `SELECT name FROM sqlite_master WHERE type = 'table' AND name IN (${tables.map(() => "?").join(", ")}) LIMIT 1`;
  const found = firstRow<{ name: string }>(sql, query, ...tables);
  return found === undefined ? null : (KIND_OF_TABLE[found.name] ?? null);
}

/** True if an object of this kind has stored something here. Throws if an object of another kind has. */
export function isStored(sql: Sql, kind: ObjectKind, own: string): boolean {
  const found = storedKind(sql);
  if (found !== null && found !== kind) throw anothers(own, `a ${found}`);
  return found !== null;
}

/** Makes KAFKA_STORAGE_ERROR, not retriable. Data of another object is neither served nor overwritten. */
export function anothers(own: string, found: string): BrokerError {
  return damaged(`${own}: its storage is that of ${found}; put each file back in its place`);
}
