// An object's storage: SQLite in memory behind Durable Object storage. Writes are durable only after a flush; a crash before
// takes them back. Rows are read at once, as the platform's cursor cannot be read later than the statement's table exists.
import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { SizedSql, SqlValue } from "../../durable-objects/shared/sql.ts";
import { WALL_CLOCK } from "../../durable-objects/shared/wall-clock.ts";

export interface StorageHost {
  /** Something is being written. */
  writing(): void;
  /** The first write after a flush. */
  written(): void;
  alarmChanged(): void;
  /** Resolves when everything written so far is durable. */
  durable(): Promise<void>;
  /** True if the disk refuses this write. */
  refuses(): boolean;
  /** The time of SQLite's own clock. */
  wallMs(): number;
  /** The time of the object's Date.now(). */
  shownMs(): number;
}

export class SimulatedStorage {
  readonly #host: StorageHost;
  #database: DatabaseSync | null = null;
  readonly #statements = new Map<string, { statement: StatementSync; hasRows: boolean }>();
  isDirty = false;
  writes = 0;
  /** The written rows, including a set alarm. Rows of a table that was created or dropped do not count. */
  rowsWritten = 0;
  alarmAtMs: number | null = null;
  #durableAlarmAtMs: number | null = null;

  constructor(host: StorageHost) {
    this.#host = host;
  }

  readonly sql: SizedSql = {
    databaseSize: 0,
    exec: <Row extends Record<string, SqlValue>>(query: string, ...bindings: SqlValue[]) =>
      this.#exec(query, bindings) as Row[],
  };

  #exec(query: string, bindings: readonly SqlValue[]): Record<string, SqlValue>[] {
    if (query === WALL_CLOCK) return [{ ms: this.#host.wallMs() }];
    if (!query.trimStart().startsWith("SELECT")) {
      if (this.#host.refuses()) throw new Error("database or disk is full: SQLITE_FULL");
      this.#beginWrite();
    }
    const { statement, hasRows } = this.#prepare(query);
    const values = bindings.map((value) =>
      value instanceof ArrayBuffer ? new Uint8Array(value) : value,
    );
    const isChange = /^\s*(INSERT|REPLACE|UPDATE|DELETE)/.test(query);
    if (!hasRows) {
      const { changes } = statement.run(...values);
      if (isChange) this.rowsWritten += Number(changes);
      return [];
    }
    const rows = statement.all(...values) as Record<string, SqlValue>[];
    if (isChange) this.rowsWritten += rows.length;
    for (const row of rows) {
      for (const [name, cell] of Object.entries(row))
        if (cell instanceof Uint8Array) row[name] = new Uint8Array(cell).buffer;
    }
    return rows;
  }

  #prepare(query: string): { statement: StatementSync; hasRows: boolean } {
    let prepared = this.#statements.get(query);
    if (prepared === undefined) {
      const statement = this.#db.prepare(query);
      prepared = { statement, hasRows: statement.columns().length > 0 };
      this.#statements.set(query, prepared);
    }
    return prepared;
  }

  #run(query: string): void {
    this.#prepare(query).statement.run();
  }

  /** The size of the database, in whole pages. */
  get bytes(): number {
    const query =
      "SELECT page_count * page_size AS bytes FROM pragma_page_count(), pragma_page_size()";
    return Number(this.#prepare(query).statement.get()?.bytes);
  }

  get #db(): DatabaseSync {
    this.#database ??= new DatabaseSync(":memory:");
    return this.#database;
  }

  #beginWrite(): void {
    this.writes++;
    this.#host.writing();
    if (this.isDirty) return;
    this.#run("BEGIN");
    this.isDirty = true;
    this.#host.written();
  }

  transactionSync<T>(body: () => T): T {
    this.#beginWrite();
    this.#run("SAVEPOINT body");
    try {
      const result = body();
      this.#run("RELEASE body");
      return result;
    } catch (error) {
      this.#db.exec("ROLLBACK TO body; RELEASE body");
      throw error;
    }
  }

  sync(): Promise<void> {
    return this.#host.durable();
  }

  async getAlarm(): Promise<number | null> {
    return this.alarmAtMs;
  }

  async setAlarm(atMs: number): Promise<void> {
    this.#beginWrite();
    this.rowsWritten++;
    this.alarmAtMs = Math.max(atMs, this.#host.shownMs()); // An alarm in the past rings now.
    this.#host.alarmChanged();
  }

  async deleteAlarm(): Promise<void> {
    this.#beginWrite();
    this.alarmAtMs = null;
  }

  async deleteAll(): Promise<void> {
    this.#beginWrite();
    const query =
      "SELECT type, name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY type DESC";
    for (const { type, name } of this.#exec(query, [])) this.#db.exec(`DROP ${type} "${name}"`);
    this.alarmAtMs = null;
  }

  /** Everything written so far is durable. */
  flush(): void {
    if (!this.isDirty) return;
    this.#run("COMMIT");
    this.isDirty = false;
    this.#durableAlarmAtMs = this.alarmAtMs;
  }

  /** Data that is not durable is lost. */
  crash(): void {
    if (this.isDirty) this.#db.exec("ROLLBACK");
    this.isDirty = false;
    this.alarmAtMs = this.#durableAlarmAtMs;
  }

  close(): void {
    this.#database?.close();
  }
}
