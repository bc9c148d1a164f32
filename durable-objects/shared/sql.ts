// The small part of Durable Object storage that stores use. It lets them run on any SQLite.

export interface Sql {
  exec<Row extends Record<string, SqlValue>>(query: string, ...bindings: SqlValue[]): Iterable<Row>;
}

export interface SizedSql extends Sql {
  /** The number of bytes in use. Reading it reads no row. */
  readonly databaseSize: number;
}

export type SqlValue = ArrayBuffer | Uint8Array | string | number | null;

export interface Transactional {
  readonly sql: SizedSql;
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

/** The rows that a statement has read and written so far. The platform bills by them. */
interface Rows {
  readonly rowsRead?: number;
  readonly rowsWritten?: number;
}

/** Counts rows. */
export interface RowCounter {
  rowsRead: number;
  rowsWritten: number;
}

/** Returns the storage of an object in the form that stores use. Rows read and written are counted. */
export function storageOf(storage: DurableObjectStorage, counter: RowCounter): Transactional {
  const own = storage as unknown as Transactional;
  return {
    sql: new CountedSql(own.sql, counter),
    transactionSync: (body) => own.transactionSync(body),
  };
}

class CountedSql implements SizedSql {
  readonly #sql: SizedSql;
  readonly #counter: RowCounter;

  constructor(sql: SizedSql, counter: RowCounter) {
    this.#sql = sql;
    this.#counter = counter;
  }

  get databaseSize(): number {
    return this.#sql.databaseSize;
  }

  exec<Row extends Record<string, SqlValue>>(
    query: string,
    ...bindings: SqlValue[]
  ): Iterable<Row> {
    const cursor: Iterable<Row> & Rows = this.#sql.exec<Row>(query, ...bindings);
    // A statement without results has already run.
    const { rowsRead = 0, rowsWritten = 0 } = cursor;
    this.#counter.rowsRead += rowsRead;
    this.#counter.rowsWritten += rowsWritten;
    return { [Symbol.iterator]: () => this.#iterate(cursor, rowsRead, rowsWritten) };
  }

  *#iterate<Row>(cursor: Iterable<Row> & Rows, read: number, written: number): Generator<Row> {
    try {
      yield* cursor;
    } finally {
      this.#counter.rowsRead += (cursor.rowsRead ?? read) - read;
      this.#counter.rowsWritten += (cursor.rowsWritten ?? written) - written;
    }
  }
}

/** Returns the tables in this list that exist. An object that has only been asked owns none. */
export function whichExist(sql: Sql, tables: readonly string[]): string[] {
  const query = `SELECT name FROM sqlite_master WHERE type = 'table' AND name IN (${tables.map(() => "?").join(", ")})`;
  return Array.from(sql.exec<{ name: string }>(query, ...tables), ({ name }) => name);
}

/** True if the table has the column. */
export function hasColumn(sql: Sql, table: string, column: string): boolean {
  const query = "SELECT 1 AS found FROM pragma_table_info(?) WHERE name = ?";
  return firstRow(sql, query, table, column) !== undefined;
}
