// node:sqlite behind the slice of Durable Object storage that the stores use, so that they run in plain Node. It keeps what
// the stores rely on. Writes happen when `exec` is called and not when its rows are read, and rows are read lazily. BLOBs
// are ArrayBuffers, integers are doubles, and a throw rolls back.
import { DatabaseSync, type SQLOutputValue, type StatementSync } from "node:sqlite";
import type { SqlValue, Transactional } from "../../durable-objects/shared/sql.ts";

declare global {
  // The objects' parts name these types of the Workers runtime; Node's types lack them.
  interface DurableObjectStorage {
    getAlarm(): Promise<number | null>;
    setAlarm(atMs: number): Promise<void>;
    sync(): Promise<void>;
  }
  interface DurableObjectState {
    readonly storage: DurableObjectStorage;
    waitUntil(promise: Promise<unknown>): void;
    abort(reason?: string): void;
    getWebSocketAutoResponseTimestamp(socket: WebSocket): Date | null;
  }
}

type Binding = Uint8Array | string | number | null;

/** A database in memory, or the given one. The next store on it finds what one store wrote. */
export function nodeSql(database = new DatabaseSync(":memory:")): Transactional {
  /** Statements that return no rows are prepared once. */
  const writes = new Map<string, StatementSync>();
  /** Two may read the rows of one query at the same time, so each takes a statement that nobody else reads. */
  const idle = new Map<string, StatementSync[]>();
  const pages = database.prepare("SELECT page_count AS pages FROM pragma_page_count");
  const sizes = database.prepare("SELECT page_size AS size FROM pragma_page_size");
  return {
    sql: {
      get databaseSize() {
        return Number(pages.get()?.pages) * Number(sizes.get()?.size);
      },
      exec<Row extends Record<string, SqlValue>>(query: string, ...bindings: SqlValue[]) {
        const write = writes.get(query);
        const statement = write ?? idle.get(query)?.pop() ?? database.prepare(query);
        const values = bindings.map((value) =>
          value instanceof ArrayBuffer ? new Uint8Array(value) : value,
        );
        if (write === undefined && statement.columns().length > 0)
          return readRows<Row>(statement, values, () => {
            const others = idle.get(query);
            if (others === undefined) idle.set(query, [statement]);
            else others.push(statement);
          });
        writes.set(query, statement);
        statement.run(...values);
        return [];
      },
    },

    /** Savepoints nest, as transactionSync does on Durable Objects. */
    transactionSync<T>(body: () => T): T {
      database.exec("SAVEPOINT body");
      try {
        const result = body();
        database.exec("RELEASE body");
        return result;
      } catch (error) {
        database.exec("ROLLBACK TO body; RELEASE body");
        throw error;
      }
    },
  };
}

function* readRows<Row extends Record<string, SqlValue>>(
  statement: StatementSync,
  values: readonly Binding[],
  release: () => void,
): Generator<Row> {
  // Read as bigint: node:sqlite rejects integers beyond 2^53 where Durable Objects round them.
  statement.setReadBigInts(true);
  let isUsable = true;
  try {
    for (const row of statement.iterate(...values)) {
      const cells = row as Record<string, SQLOutputValue | SqlValue>;
      for (const column in cells) cells[column] = toSqlValue(cells[column] as SQLOutputValue);
      yield cells as Row;
    }
  } catch (error) {
    isUsable = false; // Its table is gone, for example. Node does not reset it.
    throw error;
  } finally {
    if (isUsable) release();
  }
}

function toSqlValue(cell: SQLOutputValue): SqlValue {
  if (typeof cell === "bigint") return Number(cell);
  return cell instanceof Uint8Array ? new Uint8Array(cell).buffer : cell;
}
