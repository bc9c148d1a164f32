// What a partition stores besides its log.
//
// partition   one row: the topic this is a partition of, with its config.
// fences      per group, the newest owner that attached (core/log/fences.ts).
import type { Topic } from "../../src/core/cluster/topics.ts";
import { MAX_FENCES_PER_PARTITION } from "../../src/core/limits.ts";
import type { OwnerToken } from "../../src/core/log/fences.ts";
import { firstRow, hasTable, type Sql, type Transactional } from "../shared/sql.ts";
import { parseStored } from "../shared/stored-json.ts";
import { SqlLogStore } from "./sql-log-store.ts";

export class PartitionStore {
  readonly #storage: Transactional;
  readonly #sql: Sql;

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

  /** The newest owner that attached for the group, or null. */
  fence(groupId: string): OwnerToken | null {
    const row = firstRow<{ incarnation: number; member_epoch: number; member_number: number }>(
      this.#sql,
      "SELECT incarnation, member_epoch, member_number FROM fences WHERE group_id = ?",
      groupId,
    );
    if (row === undefined) return null;
    return {
      incarnation: row.incarnation,
      memberEpoch: row.member_epoch,
      memberNumber: row.member_number,
    };
  }

  /** Remembers the owner; beyond MAX_FENCES_PER_PARTITION the group that attached longest ago is forgotten. */
  setFence(groupId: string, owner: OwnerToken, nowMs: number, isNew: boolean): void {
    this.#sql.exec(
      `INSERT INTO fences (group_id, incarnation, member_epoch, member_number, attached_at_ms) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (group_id) DO UPDATE SET incarnation = excluded.incarnation, member_epoch = excluded.member_epoch,
         member_number = excluded.member_number, attached_at_ms = excluded.attached_at_ms`,
      groupId,
      owner.incarnation,
      owner.memberEpoch,
      owner.memberNumber,
      nowMs,
    );
    if (!isNew) return;
    const count =
      firstRow<{ count: number }>(this.#sql, "SELECT count(*) AS count FROM fences")?.count ?? 0;
    if (count > MAX_FENCES_PER_PARTITION) {
      // Never the one that attached just now, whatever the clocks say.
      this.#sql.exec(
        `DELETE FROM fences WHERE group_id =
           (SELECT group_id FROM fences WHERE group_id <> ? ORDER BY attached_at_ms LIMIT 1)`,
        groupId,
      );
    }
  }
}
