// What a partition stores besides its log.
//
// partition   one row: the topic this is a partition of, with its config.
// fences      per group, the newest owner that attached (core/log/fences.ts).
import type { Topic } from "../../src/core/cluster/topics.ts";
import { FENCES_FORGOTTEN_AT_ONCE, MAX_FENCES_PER_PARTITION } from "../../src/core/limits.ts";
import type { OwnerToken } from "../../src/core/log/fences.ts";
import { firstRow, hasTable, type Sql, type Transactional } from "../shared/sql.ts";
import { parseStored } from "../shared/stored-json.ts";
import { SqlLogStore } from "./sql-log-store.ts";

export class PartitionStore {
  readonly #storage: Transactional;
  readonly #sql: Sql;
  /** How many fences there are, and when the last was written; null until a group attaches for the first time in this life. */
  #fences: { count: number; lastMs: number } | null = null;

  constructor(storage: Transactional) {
    this.#storage = storage;
    this.#sql = storage.sql;
  }

  /** The topic this partition belongs to, or null before its first use. */
  topic(): Topic | null {
    if (!hasTable(this.#sql, "partition")) return null;
    const row = firstRow<{ topic: string }>(this.#sql, "SELECT topic FROM partition WHERE id = 1");
    return row === undefined ? null : parseStored<Topic>(row.topic, "partition.topic");
  }

  /** The first use makes the tables. */
  setTopic(topic: Topic): void {
    this.#storage.transactionSync(() => {
      if (!hasTable(this.#sql, "partition")) this.#create();
      this.#sql.exec(
        "INSERT OR REPLACE INTO partition (id, topic) VALUES (1, ?)",
        JSON.stringify(topic),
      );
    });
  }

  #create(): void {
    this.#sql.exec("CREATE TABLE partition (id INTEGER PRIMARY KEY, topic TEXT NOT NULL)");
    this.#sql.exec(
      `CREATE TABLE fences (group_id TEXT PRIMARY KEY, incarnation INTEGER NOT NULL, member_epoch INTEGER NOT NULL,
         member_number INTEGER NOT NULL, attached_at_ms INTEGER NOT NULL) WITHOUT ROWID`,
    );
    SqlLogStore.create(this.#sql);
  }

  /** The newest owner that attached for the group, and when; or null. */
  fence(groupId: string): (OwnerToken & { readonly attachedAtMs: number }) | null {
    const row = firstRow<{
      incarnation: number;
      member_epoch: number;
      member_number: number;
      attached_at_ms: number;
    }>(
      this.#sql,
      "SELECT incarnation, member_epoch, member_number, attached_at_ms FROM fences WHERE group_id = ?",
      groupId,
    );
    if (row === undefined) return null;
    return {
      incarnation: row.incarnation,
      memberEpoch: row.member_epoch,
      memberNumber: row.member_number,
      attachedAtMs: row.attached_at_ms,
    };
  }

  /**
   * [ATT-4] Remembers the owner. Beyond MAX_FENCES_PER_PARTITION the groups that attached longest ago are forgotten, but
   * none of `attachedGroups`, which have readers now. Times never fall from one to the next, whatever the clock says.
   */
  setFence(
    groupId: string,
    owner: OwnerToken,
    nowMs: number,
    isNew: boolean,
    attachedGroups: () => ReadonlySet<string>,
  ): void {
    const fences = this.#fences ?? this.#countFences();
    this.#fences = fences;
    fences.lastMs = Math.max(nowMs, fences.lastMs + 1);
    this.#sql.exec(
      `INSERT INTO fences (group_id, incarnation, member_epoch, member_number, attached_at_ms) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (group_id) DO UPDATE SET incarnation = excluded.incarnation, member_epoch = excluded.member_epoch,
         member_number = excluded.member_number, attached_at_ms = excluded.attached_at_ms`,
      groupId,
      owner.incarnation,
      owner.memberEpoch,
      owner.memberNumber,
      fences.lastMs,
    );
    if (isNew) fences.count++;
    if (fences.count <= MAX_FENCES_PER_PARTITION) return;
    const attached = attachedGroups();
    const oldest = this.#sql.exec<{ group_id: string }>(
      "SELECT group_id FROM fences ORDER BY attached_at_ms LIMIT ?",
      attached.size + FENCES_FORGOTTEN_AT_ONCE,
    );
    const unused = Array.from(oldest, ({ group_id }) => group_id).filter((id) => !attached.has(id));
    for (const id of unused.slice(0, FENCES_FORGOTTEN_AT_ONCE)) {
      this.#sql.exec("DELETE FROM fences WHERE group_id = ?", id);
      fences.count--;
    }
  }

  #countFences(): { count: number; lastMs: number } {
    const query = "SELECT count(*) AS count, max(attached_at_ms) AS last FROM fences";
    const row = firstRow<{ count: number; last: number | null }>(this.#sql, query);
    return { count: row?.count ?? 0, lastMs: row?.last ?? 0 };
  }
}
