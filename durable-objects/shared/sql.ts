// The small part of Durable Object storage that stores use. It lets them run over any SQLite.

export interface Sql {
  exec<Row extends Record<string, SqlValue>>(query: string, ...bindings: SqlValue[]): Iterable<Row>;
}

export interface SizedSql extends Sql {
  /** The bytes in use. Reading it reads no row. */
  readonly databaseSize: number;
}

export type SqlValue = ArrayBuffer | Uint8Array | string | number | null;

export interface Transactional {
  readonly sql: Sql;
  transactionSync<T>(body: () => T): T;
}

/** Returns the first row of a query, or undefined. */
export function firstRow<Row extends Record<string, SqlValue>>(
  sql: Sql,
  query: string,
  ...bindings: SqlValue[]
): Row | undefined {
  for (const row of sql.exec<Row>(query, ...bindings)) return row;
  return undefined;
}

/** Returns the storage of an object as stores see it. */
export function storageOf(
  storage: DurableObjectStorage,
): Transactional & { readonly sql: SizedSql } {
  return storage as unknown as Transactional & { readonly sql: SizedSql };
}

/** True if the table exists. An object that was only asked about owns no table. */
export function hasTable(sql: Sql, name: string): boolean {
  return (
    firstRow(
      sql,
      "SELECT 1 AS found FROM sqlite_master WHERE type = 'table' AND name = ?",
      name,
    ) !== undefined
  );
}
