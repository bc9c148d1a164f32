// [FIL-5] Checks before workerd starts that the cluster's database exists and can be read. Without it, topics and groups
// would be gone while their files are still on the disk, and new ones would be made over them.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { StartError } from "./settings.ts";

const DATABASE = /^[0-9a-f]{64}\.sqlite$/;

/** Checks the database of the folder. @throws StartError that names the damage and the file */
export function assertCluster(storagePath: string): void {
  const folder = join(storagePath, "rivulet-cluster-v1");
  const count = (name: string) => databasesIn(join(storagePath, name)).length;
  const partitions = count("rivulet-partition-v1");
  const groups = count("rivulet-group-v1");
  const [file] = databasesIn(folder);
  const kept = `the files of ${partitions} partition(s) and ${groups} group(s) are there`;
  if (file === undefined) {
    if (partitions + groups === 0) return; // The folder is new.
    throw new StartError(
      `the cluster's database is gone from ${folder}, though ${kept}: restore it, or take another folder, such as DATA_DIR=/path`,
    );
  }
  const path = join(folder, file);
  const damage = damageOf(path);
  if (damage === "empty" && partitions + groups === 0) return;
  if (damage !== null)
    throw new StartError(
      `the cluster's database ${path} is damaged (${damage}), though ${kept}: restore it, or take another folder, such as DATA_DIR=/path`,
    );
}

/** Returns what is wrong with the database, or null. */
function damageOf(path: string): string | null {
  let database: DatabaseSync | null = null;
  try {
    database = new DatabaseSync(path);
    const check = database.prepare("PRAGMA quick_check(1)").get() as { quick_check: string };
    if (check.quick_check !== "ok") return check.quick_check.replaceAll("\n", " ");
    const tables = database
      .prepare("SELECT name FROM sqlite_master WHERE type = 'table'")
      .all()
      .map(({ name }) => String(name));
    if (tables.includes("cluster")) return null;
    const isUsed = tables.includes("group_state") || tables.includes("partition");
    return isUsed ? "it is not a cluster's" : "empty"; // [FIL-7]
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    database?.close();
  }
}

function databasesIn(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => DATABASE.test(name));
  } catch {
    return [];
  }
}
