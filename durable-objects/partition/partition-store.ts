// A partition's stored data besides its log.
//
// partition   one row: the topic of this partition, with its config, and the partition's number [FIL-7].
// fences      per group, the newest owner that attached (core/log/fences.ts).
// fence_polls per group that reads by polls, when it last did, to the hour. The first poll creates the table.
import type { Topic } from "../../src/core/cluster/topics.ts";
import type { BrokerError } from "../../src/core/errors.ts";
import {
  FENCE_REFRESH_MS,
  FENCES_FORGOTTEN_AT_ONCE,
  MAX_FENCES_PER_PARTITION,
  MAX_SESSION_TIMEOUT_MS,
} from "../../src/core/limits.ts";
import type { OwnerToken } from "../../src/core/log/fences.ts";
import { anothers, storedKind } from "../shared/identity.ts";
import { firstRow, hasTable, type Sql, type Transactional } from "../shared/sql.ts";
import { parseStored } from "../shared/stored-json.ts";
import { SqlLogStore } from "./sql-log-store.ts";

/** The topic and number of a partition. */
export interface PartitionName {
  readonly topicId: string;
  readonly partition: number;
}

/** The topic as it is stored. Releases before FIL-7 did not write the number. */
type StoredTopic = Topic & { readonly partition?: number };

export class PartitionStore {
  readonly #storage: Transactional;
  readonly #sql: Sql;
  readonly #own: PartitionName;
  /** True if the partition's number is stored. Releases before FIL-7 did not write it. */
  #isNamed = false;
  #isAnothers = false;
  /**
   * The number of fences, and when the last was written. Null until a group attaches for the first time in this life.
   */
  #fences: { count: number; lastMs: number } | null = null;
  /** True if the table of polls exists. Null before the first look. */
  #hasPolls: boolean | null = null;

  constructor(storage: Transactional, own: PartitionName) {
    this.#storage = storage;
    this.#sql = storage.sql;
    this.#own = own;
  }

  /**
   * Returns the topic of this partition, or null before its first use. [FIL-7] Throws if the stored data is another's.
   */
  topic(): Topic | null {
    const kind = storedKind(this.#sql);
    if (kind === null) return null;
    if (kind !== "partition") throw this.#anothers(`a ${kind}`);
    const row = firstRow<{ topic: string }>(this.#sql, "SELECT topic FROM partition WHERE id = 1");
    if (row === undefined) return null;
    const stored = parseStored<StoredTopic>(row.topic, "partition.topic");
    const { partition = this.#own.partition, ...topic } = stored;
    const found = `partition ${topic.topicId}/${partition}, of topic ${topic.name}`;
    if (topic.topicId !== this.#own.topicId) throw this.#anothers(found);
    if (partition !== this.#own.partition) throw anothers(this.#title, found);
    this.#isNamed = stored.partition !== undefined;
    return topic;
  }

  #anothers(found: string): BrokerError {
    this.#isAnothers = true;
    return anothers(this.#title, found);
  }

  /**
   * [FIL-7] True if `topic` has found data that is not this topic's. Deleting the topic then leaves that data alone.
   */
  get isAnothers(): boolean {
    return this.#isAnothers;
  }

  get #title(): string {
    return `partition ${this.#own.topicId}/${this.#own.partition}`;
  }

  /** [FIL-7] Stores the partition's number in data of an earlier release. Must run before anything else is stored. */
  name(topic: Topic): void {
    if (!this.#isNamed) this.setTopic(topic);
  }

  /** Stores the topic. The first use creates the tables. */
  setTopic(topic: Topic): void {
    this.#storage.transactionSync(() => {
      if (!hasTable(this.#sql, "partition")) this.#create();
      this.#sql.exec(
        "INSERT OR REPLACE INTO partition (id, topic) VALUES (1, ?)",
        JSON.stringify({ ...topic, partition: this.#own.partition } satisfies StoredTopic),
      );
    });
    this.#isNamed = true;
  }

  #create(): void {
    this.#sql.exec("CREATE TABLE partition (id INTEGER PRIMARY KEY, topic TEXT NOT NULL)");
    this.#sql.exec(
      `CREATE TABLE fences (group_id TEXT PRIMARY KEY, incarnation INTEGER NOT NULL, member_epoch INTEGER NOT NULL,
         member_number INTEGER NOT NULL, attached_at_ms INTEGER NOT NULL) WITHOUT ROWID`,
    );
    SqlLogStore.create(this.#sql);
  }

  /** Returns the newest owner that attached for the group, or null. */
  fence(groupId: string): OwnerToken | null {
    const row = firstRow<{
      incarnation: number;
      member_epoch: number;
      member_number: number;
    }>(
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

  /** Returns when a poll of the group was last noted, or 0 if never. */
  polledAtMs(groupId: string): number {
    this.#hasPolls ??= hasTable(this.#sql, "fence_polls");
    if (!this.#hasPolls) return 0;
    const query = "SELECT polled_at_ms FROM fence_polls WHERE group_id = ?";
    return firstRow<{ polled_at_ms: number }>(this.#sql, query, groupId)?.polled_at_ms ?? 0;
  }

  /**
   * [ATT-4] Notes that a member of the group reads by polls. Such a reader is never attached, so it is remembered for
   * as long as a session may last: only its fence keeps an older owner out.
   */
  notePoll(groupId: string, nowMs: number): void {
    this.#sql.exec(
      "CREATE TABLE IF NOT EXISTS fence_polls (group_id TEXT PRIMARY KEY, polled_at_ms INTEGER NOT NULL) WITHOUT ROWID",
    );
    this.#hasPolls = true;
    this.#sql.exec("INSERT OR REPLACE INTO fence_polls VALUES (?, ?)", groupId, nowMs);
  }

  /**
   * [ATT-4] Remembers the owner. Beyond MAX_FENCES_PER_PARTITION, the groups that attached longest ago are forgotten.
   * Groups in `attachedGroups` have readers now and are never forgotten. Groups that poll are forgotten only if no
   * others are left. Times never decrease from one fence to the next, whatever the clock says.
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
    const attached = new Set([...attachedGroups(), groupId]);
    const unused = this.#forgettable(nowMs, attached.size + FENCES_FORGOTTEN_AT_ONCE).filter(
      (id) => !attached.has(id),
    );
    for (const id of unused.slice(0, FENCES_FORGOTTEN_AT_ONCE)) {
      this.#sql.exec("DELETE FROM fences WHERE group_id = ?", id);
      if (this.#hasPolls) this.#sql.exec("DELETE FROM fence_polls WHERE group_id = ?", id);
      fences.count--;
    }
  }

  /** Returns up to `count` groups. Those whose fence is needed least come first. */
  #forgettable(nowMs: number, count: number): string[] {
    this.#hasPolls ??= hasTable(this.#sql, "fence_polls");
    const rows = this.#hasPolls
      ? this.#sql.exec<{ group_id: string }>(
          `SELECT group_id FROM fences LEFT JOIN fence_polls USING (group_id)
             ORDER BY CASE WHEN polled_at_ms > ? THEN polled_at_ms ELSE 0 END, attached_at_ms LIMIT ?`,
          nowMs - FENCE_REFRESH_MS - MAX_SESSION_TIMEOUT_MS,
          count,
        )
      : this.#sql.exec<{ group_id: string }>(
          "SELECT group_id FROM fences ORDER BY attached_at_ms LIMIT ?",
          count,
        );
    return Array.from(rows, ({ group_id }) => group_id);
  }

  #countFences(): { count: number; lastMs: number } {
    const query = "SELECT count(*) AS count, max(attached_at_ms) AS last FROM fences";
    const row = firstRow<{ count: number; last: number | null }>(this.#sql, query);
    return { count: row?.count ?? 0, lastMs: row?.last ?? 0 };
  }
}
