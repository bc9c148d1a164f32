// The releases that are kept in the folders beside this file, each with
//   worker.js.br       its Worker's bundle
//   sdk.js.br          its SDK's bundle
//   manifest.json.br   what was written and what must be found (Manifest)
//   objects/…          the databases that it has written, in the folders of their kinds
// All of it is compressed with Brotli.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, brotliDecompressSync, constants } from "node:zlib";
import type { Found } from "./found.ts";
import type { Written } from "./write.ts";

const FOLDER = fileURLToPath(new URL(".", import.meta.url));
const DAY_MS = 24 * 60 * 60_000;

export interface Manifest extends Written {
  readonly version: string;
  readonly frozenAtMs: number;
  /** The id of a deleted topic whose partition the cluster has yet to free. */
  readonly deleting: string;
  readonly found: Found;
}

/** The versions that are kept, oldest first. */
export function keptVersions(): string[] {
  return readdirSync(FOLDER, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && /^\d+\.\d+\.\d+$/.test(entry.name))
    .map(({ name }) => name)
    .sort(compareVersions);
}

/** The newest kept release that is older than this tree. */
export function previousVersion(): string {
  const path = new URL("../../package.json", import.meta.url);
  const { version } = JSON.parse(readFileSync(path, "utf8")) as { version: string };
  const older = keptVersions().filter((kept) => compareVersions(kept, version) < 0);
  const previous = older.at(-1);
  if (previous === undefined) throw new Error(`no release before ${version} is kept`);
  return previous;
}

function compareVersions(a: string, b: string): number {
  return a.localeCompare(b, "en", { numeric: true });
}

export function isKept(version: string): boolean {
  return existsSync(join(FOLDER, version));
}

export function manifestOf(version: string): Manifest {
  return JSON.parse(String(unpacked(join(FOLDER, version, "manifest.json.br")))) as Manifest;
}

/** Writes the release's bundle into a folder, and returns its path. */
export function bundleOf(version: string, into: string): string {
  const path = join(into, `worker-${version}.js`);
  writeFileSync(path, unpacked(join(FOLDER, version, "worker.js.br")));
  return path;
}

/** Writes the release's SDK into a folder, and returns its path. */
export function sdkOf(version: string, into: string): string {
  const path = join(into, `sdk-${version}.mjs`);
  writeFileSync(path, unpacked(join(FOLDER, version, "sdk.js.br")));
  return path;
}

/** Makes a data folder of the databases of a release, with keys of requests as if they were sent just now. */
export function thaw(version: string, dataDir: string): void {
  const { frozenAtMs } = manifestOf(version);
  for (const [path, bytes] of databasesOf(version)) {
    const target = join(dataDir, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, bytes);
    const database = new DatabaseSync(target);
    redate(database, Date.now() - frozenAtMs);
    database.close();
  }
}

/** The databases of a release, by their paths in its data folder. */
export function databasesOf(version: string): [path: string, bytes: Uint8Array][] {
  const folder = join(FOLDER, version, "objects");
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => {
      const path = join(parentPath, name);
      const inData = path.slice(join(FOLDER, version).length + 1, -".br".length);
      return [inData, unpacked(path)];
    });
}

/** [KEY-1] Keys of requests are kept for a day, in tables named by the day. */
export function redate(database: DatabaseSync, byMs: number): void {
  const query =
    "SELECT name FROM sqlite_master WHERE name GLOB 'requests_[0-9]*' OR name GLOB 'appends_[0-9]*'";
  const tables = database.prepare(query).all() as { name: string }[];
  const today = Math.floor(Date.now() / DAY_MS);
  for (const { name } of tables) {
    const kind = name.slice(0, name.indexOf("_"));
    if (kind === "requests") database.exec(`UPDATE ${name} SET at_ms = at_ms + ${byMs}`);
    if (name !== `${kind}_${today}`)
      database.exec(`ALTER TABLE ${name} RENAME TO ${kind}_${today}`);
  }
}

/** The database of the first partition of a topic. */
export function partitionFileOf(dataDir: string, topic: string): { path: string; topicId: string } {
  for (const path of databasesIn(dataDir)) {
    const database = new DatabaseSync(path);
    try {
      for (const { stored } of rowsOf<{ stored: string }>(
        database,
        "partition",
        "topic AS stored",
      )) {
        const { name, topicId } = JSON.parse(stored) as { name: string; topicId: string };
        if (name === topic) return { path, topicId };
      }
    } finally {
      database.close();
    }
  }
  throw new Error(`no partition of ${topic} is stored`);
}

/** The tasks that the cluster has not yet done, and the ids of the topics with stored partitions. */
export function leftIn(dataDir: string): { tasks: string[]; topicIds: Set<string> } {
  const tasks: string[] = [];
  const topicIds = new Set<string>();
  for (const path of databasesIn(dataDir)) {
    const database = new DatabaseSync(path);
    for (const { task } of rowsOf<{ task: string }>(database, "tasks", "task")) tasks.push(task);
    for (const { stored } of rowsOf<{ stored: string }>(database, "partition", "topic AS stored"))
      topicIds.add((JSON.parse(stored) as { topicId: string }).topicId);
    database.close();
  }
  return { tasks, topicIds };
}

/** The rows of a table, if the database has it. */
function rowsOf<Row>(database: DatabaseSync, table: string, columns: string): Row[] {
  const isThere = database.prepare("SELECT 1 FROM sqlite_master WHERE name = ?").get(table);
  if (isThere === undefined) return [];
  return database.prepare(`SELECT ${columns} FROM ${table}`).all() as Row[];
}

/** The code of a release: its Worker, and its SDK in one piece. */
export interface Code {
  readonly worker: string;
  readonly sdk: string;
}

/** Keeps a release permanently. */
export function keep(manifest: Manifest, { worker, sdk }: Code, dataDir: string): void {
  const folder = join(FOLDER, manifest.version);
  writePacked(join(folder, "worker.js.br"), withoutMap(worker));
  writePacked(join(folder, "sdk.js.br"), withoutMap(sdk));
  writePacked(join(folder, "manifest.json.br"), JSON.stringify(manifest));
  for (const path of databasesIn(dataDir)) {
    const database = new DatabaseSync(path);
    database.exec("PRAGMA wal_checkpoint(TRUNCATE); VACUUM; PRAGMA wal_checkpoint(TRUNCATE)");
    database.close();
    writePacked(join(folder, `${path.slice(dataDir.length + 1)}.br`), readFileSync(path));
  }
}

function withoutMap(code: string): string {
  return code.replace(/\n\/\/# sourceMappingURL=.*\s*$/, "\n");
}

function databasesIn(dataDir: string): string[] {
  return readdirSync(join(dataDir, "objects"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".sqlite"))
    .map(({ parentPath, name }) => join(parentPath, name));
}

function writePacked(path: string, data: string | Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true });
  const params = { [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS };
  const packed = brotliCompressSync(data, { params });
  writeFileSync(path, packed);
}

function unpacked(path: string): Uint8Array {
  return brotliDecompressSync(readFileSync(path));
}

/** Runs with a folder of its own, which is removed afterward. */
export async function inFolder<T>(body: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "rivulet-release-"));
  try {
    return await body(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
