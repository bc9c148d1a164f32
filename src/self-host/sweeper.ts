// Removes the databases of deleted partitions and groups, and of relays, from the disk [FIL-2]. workerd keeps
// an empty one for every object that was ever called.
//
// Stored data must never go, and workerd may open any file at any moment. These steps make it safe:
//
//   1. Only an empty file may go: one without a table. An object without a table has nothing stored.
//   2. It is looked at under SQLite's exclusive lock. workerd holds a shared lock on each database that it has open, so
//      a file that is locked here is not open there. An object that opens it now is refused at once (SQLITE_BUSY), before
//      it has read or written anything, and opens it again with its next try (src/env.ts).
//   3. workerd has no lock on a file that it has just made, or made anew for an object that deleted everything, until
//      that object's code first reads, some turns of its event loop later. So a file must have been seen unchanged
//      (same inode, same time of change) on several looks before, and workerd must have answered a request after each
//      of them. A machine that slept between two looks therefore proves nothing. (A deleted partition never reads
//      again, so its file may go.)
//   4. The path must still lead to the file that is locked. It then stays so, because a change needs the lock.
//   5. Its `-wal` and `-shm` go first, while it is locked. Later they could be those of a new file under that name. The
//      write-ahead log was folded into the file before. If the process is killed in between, an empty database is left.
//   6. The file goes. A process that opens the name from now on makes a new file, which the lock does not concern.
//   7. A process that opened the old file before step 6 must never get the lock, because its writes would go with the
//      file. So the lock is kept until workerd has answered a request that was sent after step 6. Its one thread opens
//      a file and asks for the first lock in one go. Once it answers, any object that had opened the file was refused
//      and has closed it. While it does not answer, the lock is kept.
//   8. SQLite, closing a database that is no longer where it was, leaves the files of that name alone.
//
// Before workerd is started, nobody has a file open. Steps 1, 2, 4, 5 and 6 are enough then.
import { type BigIntStats, readdirSync, rmSync, statSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";

/** The folders of objects that come and go. There is one cluster. */
const FOLDERS = ["rivulet-partition-v1", "rivulet-group-v1"];
/**
 * A relay stores nothing, also while its readers' sockets hibernate. A lock at the moment that it wakes up would break them,
 * so its file goes only before workerd is started.
 */
const FOLDERS_AT_REST = [...FOLDERS, "rivulet-relay-v1"];
const DATABASE = /^[0-9a-f]{64}\.sqlite$/;
/** The size of an empty database: one page. A larger one is not examined. */
const EMPTY_BYTES = 4_096n;
/** The number of looks on which a file must be unchanged before it is locked. */
const LOOKS = 2;
/** The most files that are locked at the same time. Each is an open file of this process. */
const MAX_LOCKED = 64;
/**
 * The largest share of the time that looking at the folders and removing may take. A broker on which topics come and go all
 * the time leaves fifty files a second: with a twentieth of the time, 17,000 were left half an hour later.
 */
const MAX_SHARE = 1 / 5;

/** Resolves once workerd has answered a request that was sent after the call. */
export type Barrier = () => Promise<void>;

/** The version of a file on the last look, and the number of looks on which it has been the same. */
interface Seen {
  readonly version: string;
  readonly looks: number;
}

/** Removes empty databases before workerd is started. */
export function sweepAtRest(storagePath: string): number {
  let removed = 0;
  for (const path of smallFiles(storagePath, FOLDERS_AT_REST, new Set()).keys()) {
    const lock = remove(path);
    lock?.close();
    if (lock !== null) removed++;
  }
  return removed;
}

/** Removes empty databases while workerd runs. */
export class Sweeper {
  readonly #storagePath: string;
  readonly #barrier: Barrier;
  #seen = new Map<string, Seen>();
  #changes = "";

  constructor(storagePath: string, barrier: Barrier) {
    this.#storagePath = storagePath;
    this.#barrier = barrier;
  }

  /** Looks once, and removes the databases that were seen often enough. Resolves to the number of removed files. */
  async look(): Promise<number> {
    const changes = changesOf(this.#storagePath);
    if (changes === this.#changes && this.#seen.size === 0) return 0; // Nothing came or went.
    this.#changes = changes;
    const seen = new Map<string, Seen>();
    const due: string[] = [];
    for (const [path, version] of smallFiles(this.#storagePath, FOLDERS, new Set(["-shm"]))) {
      const before = this.#seen.get(path);
      const looks = before?.version === version ? before.looks : 0;
      if (looks >= LOOKS) due.push(path);
      else seen.set(path, { version, looks: looks + 1 });
    }
    this.#seen = seen;
    let removed = 0;
    for (let i = 0; i === 0 || i < due.length; i += MAX_LOCKED) {
      const locks = due.slice(i, i + MAX_LOCKED).flatMap((path) => remove(path) ?? []);
      await this.#barrier();
      for (const lock of locks) lock.close();
      removed += locks.length;
    }
    return removed;
  }

  /** Looks again and again, until this process ends. */
  run(intervalMs: number): void {
    const next = async () => {
      const startMs = performance.now(); // [CLK-3] Nobody can set that clock.
      await this.look();
      const pauseMs = Math.max(intervalMs, (performance.now() - startMs) / MAX_SHARE);
      setTimeout(next, pauseMs).unref();
    };
    setTimeout(next, intervalMs).unref();
  }
}

/**
 * Returns databases that may be empty, each with a version that tells it from a later one of that name. Databases
 * in `open`, or open by their neighbors, are left out.
 */
function smallFiles(
  storagePath: string,
  folders: readonly string[],
  open: ReadonlySet<string>,
): Map<string, string> {
  const small = new Map<string, string>();
  for (const folder of folders.map((name) => join(storagePath, name))) {
    const names = new Set(namesIn(folder));
    for (const name of names) {
      if (!DATABASE.test(name) || [...open].some((suffix) => names.has(`${name}${suffix}`)))
        continue;
      const stats = statsOf(join(folder, name));
      if (stats === null || !stats.isFile() || stats.size > EMPTY_BYTES) continue;
      small.set(join(folder, name), `${stats.ino} ${stats.mtimeNs} ${stats.ctimeNs}`);
    }
  }
  return small;
}

/**
 * Does steps 2 and 4 to 6 from above. Returns the lock, or null if the file
 * stays: it is in use, or not empty, or cannot be removed.
 */
function remove(path: string): DatabaseSync | null {
  let database: DatabaseSync | null = null;
  try {
    const before = statsOf(path)?.ino;
    const url = pathToFileURL(path);
    url.searchParams.set("mode", "rw"); // It never makes a file.
    database = new DatabaseSync(url, { timeout: 0 });
    database.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
    const tables = database.prepare("SELECT 1 FROM sqlite_master LIMIT 1").all();
    if (tables.length === 0 && statsOf(path)?.ino === before) {
      database.exec("COMMIT; PRAGMA wal_checkpoint(TRUNCATE); BEGIN EXCLUSIVE");
      for (const suffix of ["-wal", "-shm"]) rmSync(`${path}${suffix}`, { force: true });
      unlinkSync(path);
      return database;
    }
  } catch {
    // It stays.
  }
  database?.close();
  return null;
}

/** Returns a text that changes whenever a file comes or goes. */
function changesOf(storagePath: string): string {
  return FOLDERS.map((name) => statsOf(join(storagePath, name))?.mtimeNs ?? 0).join(" ");
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // Nobody has needed the folder yet.
  }
}

function statsOf(path: string): BigIntStats | null {
  try {
    return statSync(path, { bigint: true });
  } catch {
    return null; // The file is gone meanwhile.
  }
}
