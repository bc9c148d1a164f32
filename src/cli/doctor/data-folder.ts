// Finds the files of partitions and groups in a broker's data folder. Each file names its owner [FIL-7]. Files are only
// read. A file that is not open elsewhere is read without a lock and without a helper file. So a broker that opens it
// notices nothing.
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import type { Found } from "./findings.ts";

const FOLDERS = { partition: "rivulet-partition-v1", group: "rivulet-group-v1" } as const;
const DATABASE = /^[0-9a-f]{64}\.sqlite$/;

export interface Folder {
  readonly found: readonly Found[];
  /** The files that could not be read, with the reasons. */
  readonly unread: readonly string[];
}

/** @throws Error if it is not a data folder, or if this Node cannot read databases */
export async function readFolder(dataDir: string): Promise<Folder> {
  const objects = join(dataDir, "objects");
  if (!statSync(objects, { throwIfNoEntry: false })?.isDirectory())
    throw new Error(`${dataDir} is no DATA_DIR of a broker: it has no folder "objects"`);
  const { DatabaseSync: Database } = await import("node:sqlite").catch(() => {
    throw new Error(`Node ${process.versions.node} cannot read databases; take 22.13 or newer`);
  });
  const found: Found[] = [];
  const unread: string[] = [];
  for (const [kind, folder] of Object.entries(FOLDERS)) {
    const path = join(objects, folder);
    for (const name of existsSync(path) ? readdirSync(path).sort() : []) {
      if (!DATABASE.test(name)) continue;
      const file = join(path, name);
      try {
        const owner = ownerOf(Database, kind as keyof typeof FOLDERS, file);
        if (owner !== null) found.push(owner);
      } catch (error) {
        unread.push(`${file}: ${error instanceof Error ? error.message : error}`);
      }
    }
  }
  return { found, unread };
}

/** Returns the owner of a file, or null if nothing is stored in it. */
function ownerOf(
  Database: typeof DatabaseSync,
  kind: keyof typeof FOLDERS,
  file: string,
): Found | null {
  const url = pathToFileURL(file);
  // Without a write-ahead log, everything is in the file and nobody writes to it.
  if (existsSync(`${file}-wal`)) url.searchParams.set("mode", "ro");
  else url.searchParams.set("immutable", "1");
  const database = new Database(url, { readOnly: true });
  try {
    const tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all();
    const names = new Set(tables.map(({ name }) => name));
    if (kind === "partition" && names.has("partition")) {
      const row = database.prepare("SELECT topic FROM partition WHERE id = 1").get();
      if (row === undefined) return null;
      const { topicId, name, partition } = JSON.parse(String(row.topic));
      // Release 0.1 stored no partition number. A partition stores its number with its next use.
      if (typeof partition !== "number") return null;
      return { kind, file, topicId, topic: name, partition };
    }
    if (kind === "group" && names.has("group_state")) {
      const row = database.prepare("SELECT group_id FROM group_state WHERE id = 1").get();
      return row?.group_id == null ? null : { kind, file, group: String(row.group_id) };
    }
    return null;
  } finally {
    database.close();
  }
}
