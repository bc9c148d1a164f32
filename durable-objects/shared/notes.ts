// An object's notes. They save asking or notifying the cluster again in each life of the object.
//
// notes  name → value. The names are stored. owner-tokens is the secret that signs owners (owner-signature.ts).
//        summary is what a group last reported to the cluster (group/registration.ts). budget-until is the time until
//        which a topic's budget is used up (partition-object.ts).
import { firstRow, type Sql } from "./sql.ts";

export const CREATE_NOTES =
  "CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID";

export class Notes {
  readonly #sql: Sql;
  /** True if the object has stored something, and so has the table. */
  readonly #exists: () => boolean;
  readonly #known = new Map<string, string>();

  constructor(sql: Sql, exists: () => boolean) {
    this.#sql = sql;
    this.#exists = exists;
  }

  /** Returns the value, or null if there is none. It reads one row per life of the object. */
  get(name: string): string | null {
    const known = this.#known.get(name);
    if (known !== undefined || !this.#exists()) return known ?? null;
    const query = "SELECT value FROM notes WHERE name = ?";
    const row = firstRow<{ value: string }>(this.#sql, query, name);
    if (row !== undefined) this.#known.set(name, row.value);
    return row?.value ?? null;
  }

  /**
   * Notes the value, if the object has stored something. An object that has only been asked stores nothing
   * [FIL-1]. Nothing depends on a note: if it cannot be written, another life asks or notifies the cluster
   * again.
   */
  set(name: string, value: string): void {
    if (this.#known.get(name) === value || !this.#exists()) return;
    try {
      this.#sql.exec("INSERT OR REPLACE INTO notes VALUES (?, ?)", name, value);
    } catch {
      return; // The next regular write will report that the disk is full.
    }
    this.#known.set(name, value);
  }

  /** Called when everything that the object has stored is gone. */
  forget(): void {
    this.#known.clear();
  }
}
