// The version of an object's storage, and the steps that bring older storage up to it [VER-1].
//
// schema_version  one row: the version of the tables and of their contents, and the oldest version of the program that
//                 can use them. Release 0.1 did not write this table. Its storage is version 1.
//
//
// Stored data is permanent: a stored name is never given another meaning. A change takes three releases, so
// that the previous release can always use what a newer one has written [VER-6]:
//   expand    adds the new form and still writes the old one beside it. `oldestReader` stays.
//   migrate   reads the new form only. Both are still written.
//   contract  no longer writes the old form. `oldestReader` becomes the version of the release that migrated.
import type { ObjectKind } from "../../src/calls/calls.ts";
import { damaged } from "../../src/core/platform-errors.ts";
import { anothers, KIND_TABLES, kindOf } from "./identity.ts";
import { firstRow, hasColumn, type Sql, type Transactional, whichExist } from "./sql.ts";

export interface Schema {
  readonly kind: ObjectKind;
  /** The object, as an error names it: "group orders". */
  readonly own: string;
  /** The oldest version of the program that can use what this one writes. */
  readonly oldestReader: number;
  /** Creates the tables of the newest version. The steps turn older tables into the same ones. */
  readonly create: (sql: Sql) => void;
  /** The first step brings version 1 to version 2, and so on. */
  readonly steps: readonly ((sql: Sql) => void)[];
}

const VERSION_TABLE = "schema_version";
/** Storage of release 0.1, which has no table for its version. */
const UNVERSIONED = 1;

export function newestVersion({ steps }: Schema): number {
  return steps.length + 1;
}

/**
 * Returns the version of the storage, or null if nothing is stored. [FIL-7] Throws if the storage belongs to an
 * object of another kind. [VER-2] Throws if only a newer release can use it. In both cases nothing is written.
 */
export function storedVersion(sql: Sql, schema: Schema): number | null {
  const tables = whichExist(sql, [...KIND_TABLES, VERSION_TABLE]);
  const kind = kindOf(tables);
  if (kind !== null && kind !== schema.kind) throw anothers(schema.own, `a ${kind}`);
  // A newer release may have renamed the table that identifies the kind. So the version is read first.
  const query = "SELECT version, oldest_reader FROM schema_version WHERE id = 1";
  const row = tables.includes(VERSION_TABLE)
    ? firstRow<{ version: number; oldest_reader: number }>(sql, query)
    : undefined;
  const newest = newestVersion(schema);
  if (row === undefined || row.oldest_reader <= newest)
    return kind === null ? null : (row?.version ?? UNVERSIONED);
  throw damaged(
    `${schema.own}: its storage has version ${row.version} and needs a release that knows version ` +
      `${row.oldest_reader}; this release knows versions up to ${newest}. Run a newer release`,
  );
}

/**
 * [VER-1] Migrates the storage of an earlier release to the newest version, in one transaction. Storage that a
 * newer release has written and this one can use stays as it is.
 */
export function migrate(storage: Transactional, schema: Schema, version: number): void {
  const steps = schema.steps.slice(version - 1);
  if (steps.length === 0) return;
  storage.transactionSync(() => {
    for (const step of steps) step(storage.sql);
    writeVersion(storage.sql, schema);
  });
}

/** Creates the tables. Must run in the transaction that stores something for the first time. */
export function createTables(sql: Sql, schema: Schema): void {
  schema.create(sql);
  writeVersion(sql, schema);
}

function writeVersion(sql: Sql, schema: Schema): void {
  sql.exec(
    `CREATE TABLE IF NOT EXISTS schema_version
       (id INTEGER PRIMARY KEY, version INTEGER NOT NULL, oldest_reader INTEGER NOT NULL)`,
  );
  sql.exec(
    "INSERT OR REPLACE INTO schema_version (id, version, oldest_reader) VALUES (1, ?, ?)",
    newestVersion(schema),
    schema.oldestReader,
  );
}

export function execAll(sql: Sql, queries: readonly string[]): void {
  for (const query of queries) sql.exec(query);
}

/** Adds a column that an earlier release did not create. A later release may have created it before a rollback. */
export function addColumn(sql: Sql, table: string, column: string, type: string): void {
  if (!hasColumn(sql, table, column)) sql.exec(`ALTER TABLE ${table} ADD COLUMN ${column} ${type}`);
}
