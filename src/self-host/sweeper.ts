// Removes the databases of deleted partitions and groups, and of relays, from the disk [FIL-2]. workerd keeps an empty one
// for every object that was ever called.
//
// Stored data must never be removed, and workerd may open any file at any moment. These steps make the removal safe:
//
//   1. Only an empty file is removed: one without a table. An object without a table has nothing stored.
//   2. The file is examined under SQLite's exclusive lock. workerd holds a shared lock on each database that it has open,
//      so a file that is locked here is not open there. An object that opens it now is refused at once (SQLITE_BUSY),
//      before it has read or written anything. It opens the file again with its next try (src/env.ts).
//   3. workerd may have just made a file, or made it again for an object that deleted everything. Then it has no lock on
//      the file until that object's code first reads, some turns of its event loop later. So several looks must have seen
//      the file unchanged: same inode, same time of change. workerd must have answered a request after each of them. A
//      machine that slept between two looks therefore proves nothing. (A deleted partition never reads again, so its
//      file may be removed.)
//   4. The path must still lead to the locked file. It then stays so, because a change needs the lock.
//   5. Its `-wal` and `-shm` are removed first, while it is locked. Later they could belong to a new file of that name. A
//      checkpoint has written the write-ahead log into the file before. If the process is killed in between, an empty
//      database is left.
//   6. The file is removed. A process that opens the name from now on makes a new file, which the lock does not cover.
//   7. A process that opened the old file before step 6 must never get the lock, because its writes would be lost with
//      the file. So the lock is kept until workerd has answered a request that was sent after step 6. Its one thread opens
//      a file and asks for the first lock without a pause. Once it answers, every object that had opened the file was
//      refused and has closed it. While it does not answer, the lock is kept.
//   8. When SQLite closes a database whose file was removed, it leaves the files of that name alone.
//
// Before workerd is started, no process has a file open. Steps 1, 2, 4, 5 and 6 are enough then.
import { type BigIntStats, readdirSync, rmSync, statSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";

/** The folders of objects that can be deleted. There is one cluster. */
const FOLDERS = ["rivulet-partition-v1", "rivulet-group-v1"];
/**
 * A relay stores nothing, even while its readers' sockets hibernate. A lock at the moment when it wakes up would break them,
 * so its file is removed only before workerd is started.
 */
const FOLDERS_AT_REST = [...FOLDERS, "rivulet-relay-v1"];
const DATABASE = /^[0-9a-f]{64}\.sqlite$/;
/** The size of an empty database: one page. A larger one is not examined. */
const EMPTY_BYTES = 4_096n;
/** The number of looks that must see a file unchanged before it is locked. */
const LOOKS = 2;
/** The bound on files that are locked at the same time. Each is an open file of this process. */
const MAX_LOCKED = 64;
/**
 * The largest share of the time for examining the folders and removing files. A broker whose topics come and go all the
 * time leaves fifty files a second: with a twentieth of the time, 17,000 were left half an hour later.
 */
const MAX_SHARE = 1 / 5;

/** Resolves once workerd has answered a request that was sent after the call. */
export type Barrier = () => Promise<void>;

/** The version of a file on the last look, and the number of looks that have seen it. */
interface Seen {
  readonly version: string;
  readonly looks: number;
}

/** Removes empty databases before workerd is started. Returns the number of removed files. */
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

  /** Looks once, and removes the databases that enough looks have seen. Resolves to the number of removed files. */
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

  /** Looks repeatedly, until this process ends. */
  run(intervalMs: number): void {
    const next = async () => {
      const startMs = performance.now(); // [CLK-3] Nobody can set this clock.
      await this.look();
      const pauseMs = Math.max(intervalMs, (performance.now() - startMs) / MAX_SHARE);
      setTimeout(next, pauseMs).unref();
    };
    setTimeout(next, intervalMs).unref();
  }
}

/**
 * Returns databases that may be empty, each with a version that differs from that of a later file of the same name. It
 * leaves out a database beside which there is a file with a suffix in `open`.
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
 * Does steps 2 and 4 to 6 from above. Returns the lock, or null if the file stays because it is in use, is not empty or
 * cannot be removed.
 */
function remove(path: string): DatabaseSync | null {
  let database: DatabaseSync | null = null;
  try {
    const before = statsOf(path)?.ino;
    const url = pathToFileURL(path);
    url.searchParams.set("mode", "rw"); // Never makes a file.
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
    // The file stays.
  }
  database?.close();
  return null;
}

/** Returns a text that changes whenever a file is added or removed. */
function changesOf(storagePath: string): string {
  return FOLDERS.map((name) => statsOf(join(storagePath, name))?.mtimeNs ?? 0).join(" ");
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // The folder does not exist yet.
  }
}

function statsOf(path: string): BigIntStats | null {
  try {
    return statSync(path, { bigint: true });
  } catch {
    return null; // The file has been removed.
  }
}
