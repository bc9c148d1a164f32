// Counts the rows of one object from its constructor on, including the cost of waking.
import { runInDurableObject } from "cloudflare:test";
import { clusterStub } from "../../src/env.ts";
import { env } from "./support.ts";

export interface Rows {
  readonly written: number;
  readonly read: number;
}

export interface Metered extends Rows {
  /** The tables' statements that wrote or read rows, for a test that fails. */
  readonly statements: readonly string[];
}

type Cursor = Pick<SqlStorageCursor<Record<string, SqlStorageValue>>, "rowsRead" | "rowsWritten">;

/** Cloudflare counts setting an alarm as a row. */
const ALARM_ROWS = 1;

/**
 * Counts what the object reads and writes while `action` runs. The statements of all objects pass here, and the object is
 * recognized by its storage. So it must not begin another life during the action, but it may begin one.
 */
export async function meteredFromStart(
  stub: DurableObjectStub,
  action: () => Promise<unknown>,
): Promise<Metered> {
  const cursors = new Map<unknown, { query: string; cursor: Cursor }[]>();
  const alarms = new Map<unknown, number>();
  // All storages share their prototypes. The cluster's is at hand, and the object sleeps on.
  const { sqlMethods, methods } = await runInDurableObject(clusterStub(env), (_, { storage }) => ({
    sqlMethods: Object.getPrototypeOf(storage.sql) as SqlStorage,
    methods: Object.getPrototypeOf(storage) as DurableObjectStorage,
  }));
  const { exec } = sqlMethods;
  const { setAlarm } = methods;
  sqlMethods.exec = function (this: SqlStorage, ...args: Parameters<typeof exec>) {
    const cursor = exec.apply(this, args);
    cursors.set(this, [...(cursors.get(this) ?? []), { query: args[0], cursor }]);
    return cursor;
  } as typeof exec;
  methods.setAlarm = function (this: DurableObjectStorage, ...args: Parameters<typeof setAlarm>) {
    alarms.set(this, (alarms.get(this) ?? 0) + ALARM_ROWS);
    return setAlarm.apply(this, args);
  };
  try {
    await action();
  } finally {
    sqlMethods.exec = exec;
    methods.setAlarm = setAlarm;
  }
  return await runInDurableObject(stub, (_, { storage }) => {
    const own = cursors.get(storage.sql) ?? [];
    const alarmRows = alarms.get(storage) ?? 0;
    return {
      written: own.reduce((sum, { cursor }) => sum + cursor.rowsWritten, alarmRows),
      read: own.reduce((sum, { cursor }) => sum + cursor.rowsRead, 0),
      statements: [
        ...own
          .filter(({ cursor }) => cursor.rowsRead + cursor.rowsWritten > 0)
          .map(
            ({ query, cursor }) =>
              `${cursor.rowsRead} read, ${cursor.rowsWritten} written: ${query.replace(/\s+/g, " ").slice(0, 120)}`,
          ),
        ...(alarmRows > 0 ? [`${alarmRows} written: setAlarm`] : []),
      ],
    };
  });
}
