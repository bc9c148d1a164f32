// An object's notes: it remembers them so that it need not ask or tell the cluster again in each of its lives.
//
// notes  name → value. The names are on disk: owner-tokens is the secret that signs owners (owner-signature.ts), and
//        summary is what the cluster was last told of a group (group/registration.ts), and budget-until until when a topic's
//        budget is used up (partition-object.ts).
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

  /** Returns the value, or null if there is none. It reads one row in a life of the object. */
  get(name: string): string | null {
    const known = this.#known.get(name);
    if (known !== undefined || !this.#exists()) return known ?? null;
    const query = "SELECT value FROM notes WHERE name = ?";
    const row = firstRow<{ value: string }>(this.#sql, query, name);
    if (row !== undefined) this.#known.set(name, row.value);
    return row?.value ?? null;
  }

  /**
   * Notes the value, if the object has stored something. An object that was only asked about stores nothing [FIL-1]. Nothing
   * depends on a note: if it cannot be written, another life asks or tells the cluster again.
   */
  set(name: string, value: string): void {
    if (this.#known.get(name) === value || !this.#exists()) return;
    try {
      this.#sql.exec("INSERT OR REPLACE INTO notes VALUES (?, ?)", name, value);
    } catch {
      return; // What the object stores next says that the disk is full.
    }
    this.#known.set(name, value);
  }

  /** Called when everything that the object had stored is gone. */
  forget(): void {
    this.#known.clear();
  }
}
