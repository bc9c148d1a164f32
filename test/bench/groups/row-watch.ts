// Rows written in a broker's data folder, seen from outside. Each object is an SQLite database there. Each file that has
// changed since the last look is copied, read and compared with its former content.
//
// A row that is new, gone or different counts as written once. This cannot see a row written again unchanged, or the
// second of two writes of a row between two looks. Looks are a second apart. As a check on the first,
// `unexplained` counts the changes of a database in which no row differs.
import { copyFileSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** Rows of all tables, each as text: its table and its values. */
type Rows = ReadonlyMap<string, ReadonlySet<string>>;

interface Watched {
  readonly stamp: string;
  readonly rows: Rows;
}

export interface Writes {
  /** Written rows by table. `_cf_METADATA` holds an object's alarm. */
  readonly byTable: ReadonlyMap<string, number>;
  readonly unexplained: number;
}

export class RowWatch {
  readonly #objects: string;
  readonly #scratch = mkdtempSync(join(tmpdir(), "rivulet-bench-rows-"));
  readonly #known = new Map<string, Watched>();

  constructor(dataDir: string) {
    this.#objects = join(dataDir, "objects");
    this.look();
  }

  /** The rows written since the last look. */
  look(): Writes {
    const byTable = new Map<string, number>();
    let unexplained = 0;
    for (const path of this.#databases()) {
      const known = this.#known.get(path);
      if (known?.stamp === stampOf(path)) continue;
      const now = this.#read(path);
      this.#known.set(path, now);
      const changed = compare(known?.rows ?? new Map(), now.rows);
      // Writing the log back into its database changes the files and no row.
      if (changed.size === 0 && !now.stamp.endsWith(NO_WAL)) unexplained++;
      for (const [table, count] of changed) byTable.set(table, (byTable.get(table) ?? 0) + count);
    }
    return { byTable, unexplained };
  }

  close(): void {
    rmSync(this.#scratch, { recursive: true, force: true });
  }

  /** Objects only: `metadata.sqlite` is workerd's own list of alarms, which is not billed. */
  #databases(): string[] {
    return readdirSync(this.#objects).flatMap((namespace) =>
      readdirSync(join(this.#objects, namespace))
        .filter((file) => file.endsWith(".sqlite") && file !== "metadata.sqlite")
        .map((file) => join(this.#objects, namespace, file)),
    );
  }

  /** Reads a copy, so that the broker's locks are not disturbed, and repeats if it wrote meanwhile. */
  #read(path: string): Watched {
    const copy = join(this.#scratch, "copy.sqlite");
    for (;;) {
      const stamp = stampOf(path);
      for (const suffix of ["", "-wal", "-shm"]) rmSync(`${copy}${suffix}`, { force: true });
      copyFileSync(path, copy);
      if (!stamp.endsWith(NO_WAL)) copyIfThere(`${path}-wal`, `${copy}-wal`);
      if (stamp === stampOf(path)) return { stamp, rows: rowsOf(copy) };
    }
  }
}

const NO_WAL = "no log";

function stampOf(path: string): string {
  const stamp = (file: string) => {
    const stat = statSync(file, { throwIfNoEntry: false, bigint: true });
    return stat === undefined ? NO_WAL : `${stat.size} ${stat.mtimeNs}`;
  };
  return `${stamp(path)}, ${stamp(`${path}-wal`)}`;
}

/** The object may be evicted just now: then its log is gone, and the stamp has changed. */
function copyIfThere(from: string, to: string): void {
  try {
    copyFileSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

function rowsOf(path: string): Rows {
  const database = new DatabaseSync(path);
  try {
    const tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all();
    return new Map(
      tables.map(({ name }) => {
        const query = database.prepare(`SELECT * FROM "${name}"`);
        query.setReadBigInts(true);
        const texts = query.all().map((row) => JSON.stringify(row, asText));
        return [String(name), new Set(texts)];
      }),
    );
  } finally {
    database.close();
  }
}

function asText(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}

/** A changed row is a new one and a removed one: one write. */
function compare(before: Rows, after: Rows): Map<string, number> {
  const changed = new Map<string, number>();
  for (const table of new Set([...before.keys(), ...after.keys()])) {
    const [old, now] = [before.get(table) ?? new Set(), after.get(table) ?? new Set()];
    const count = Math.max(now.difference(old).size, old.difference(now).size);
    if (count > 0) changed.set(table, count);
  }
  return changed;
}
