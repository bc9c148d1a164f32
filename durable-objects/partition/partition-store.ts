// A partition's stored data besides its log.
//
// partition    one row: the topic of this partition with its set config values, the partition's number [FIL-7], whether the
//              cluster has yet to hear that the partition is in use, and whether its topic was deleted and is kept.
// fences       per group, the newest owner that attached (core/log/fences.ts).
// fence_polls  per group that reads by polls, the time of its last poll, to the hour.
// notes        what the cluster has answered already (shared/notes.ts).
// share_groups  per share group, which records are delivered to whom, and the group's terms (share-store.ts).
// relays       the relays to which appended records are pushed [RLY-2].
import type { Topic } from "../../src/core/cluster/topics.ts";
import {
  FENCE_REFRESH_MS,
  FENCES_FORGOTTEN_AT_ONCE,
  MAX_FENCES_PER_PARTITION,
  MAX_SESSION_TIMEOUT_MS,
} from "../../src/core/limits.ts";
import type { OwnerToken } from "../../src/core/log/fences.ts";
import { anothers } from "../shared/identity.ts";
import { CREATE_NOTES } from "../shared/notes.ts";
import { createTables, execAll, migrate, type Schema, storedVersion } from "../shared/schema.ts";
import { firstRow, type Sql, type Transactional } from "../shared/sql.ts";
import { parseStored } from "../shared/stored-json.ts";
import { storedPartition } from "../shared/stored-topic.ts";
import { CREATE_SHARE_GROUPS } from "./share-store.ts";
import { LOG_TABLES } from "./sql-log-store.ts";

/** The topic and number of a partition. */
export interface PartitionName {
  readonly topicId: string;
  readonly partition: number;
}

const CREATE_FENCE_POLLS =
  "CREATE TABLE IF NOT EXISTS fence_polls (group_id TEXT PRIMARY KEY, polled_at_ms INTEGER NOT NULL) WITHOUT ROWID";

const CREATE_RELAYS = "CREATE TABLE IF NOT EXISTS relays (relay INTEGER PRIMARY KEY)";

const TABLES = [
  "CREATE TABLE partition (id INTEGER PRIMARY KEY, topic TEXT NOT NULL)",
  `CREATE TABLE fences (group_id TEXT PRIMARY KEY, incarnation INTEGER NOT NULL, member_epoch INTEGER NOT NULL,
     member_number INTEGER NOT NULL, attached_at_ms INTEGER NOT NULL) WITHOUT ROWID`,
  CREATE_FENCE_POLLS,
  CREATE_NOTES,
  CREATE_RELAYS,
  CREATE_SHARE_GROUPS,
  ...LOG_TABLES,
];

export class PartitionStore {
  readonly #storage: Transactional;
  readonly #sql: Sql;
  readonly #own: PartitionName;
  readonly #title: string;
  readonly #schema: Schema;
  #isAnothers = false;
  #isUnlisted = false;
  #isRetired = false;
  /**
   * The number of fences, and when the last was written. Null until a group attaches for the first time in this
   * life.
   */
  #fences: { count: number; lastMs: number } | null = null;

  constructor(storage: Transactional, own: PartitionName) {
    this.#storage = storage;
    this.#sql = storage.sql;
    this.#own = own;
    this.#title = `partition ${own.topicId}/${own.partition}`;
    this.#schema = {
      kind: "partition",
      own: this.#title,
      oldestReader: 1,
      create: (sql) => execAll(sql, TABLES),
      steps: [
        (sql) => {
          sql.exec(CREATE_FENCE_POLLS); // Release 0.1 created it with the first poll.
          const topic = this.#readTopic();
          if (topic !== null) this.#writeTopic(topic);
        },
        (sql) => execAll(sql, [CREATE_NOTES]),
        (sql) => sql.exec(CREATE_RELAYS),
        (sql) => sql.exec(CREATE_SHARE_GROUPS),
      ],
    };
  }

  /**
   * Returns the topic of this partition, or null before its first use. Migrates storage of an earlier release
   * to the newest version [VER-1]. Throws if the stored data is another object's [FIL-7], or only a newer
   * release can use it [VER-2].
   */
  open(): Topic | null {
    const version = storedVersion(this.#sql, this.#schema);
    if (version === null) return null;
    const topic = this.#readTopic();
    migrate(this.#storage, this.#schema, version);
    return topic;
  }

  #readTopic(): Topic | null {
    const row = firstRow<{ topic: string }>(this.#sql, "SELECT topic FROM partition WHERE id = 1");
    if (row === undefined) return null;
    const stored = parseStored(storedPartition, row.topic, "partition.topic");
    const {
      partition = this.#own.partition,
      isUnlisted = false,
      isRetired = false,
      topic,
    } = stored;
    this.#isUnlisted = isUnlisted;
    this.#isRetired = isRetired;
    const isAnothersTopic = topic.topicId !== this.#own.topicId;
    this.#isAnothers ||= isAnothersTopic;
    if (isAnothersTopic || partition !== this.#own.partition)
      throw anothers(
        this.#title,
        `partition ${topic.topicId}/${partition}, of topic ${topic.name}`,
      );
    return topic;
  }

  #writeTopic(topic: Topic): void {
    this.#sql.exec(
      "INSERT OR REPLACE INTO partition (id, topic) VALUES (1, ?)",
      JSON.stringify({
        ...topic,
        partition: this.#own.partition,
        ...(this.#isUnlisted ? { isUnlisted: true } : {}),
        ...(this.#isRetired ? { isRetired: true } : {}),
      }),
    );
  }

  /** [FIL-7] True if `open` has found data of another object. Deleting the topic then leaves that data alone. */
  get isAnothers(): boolean {
    return this.#isAnothers;
  }

  /** True if the cluster has not yet heard that the partition is in use. */
  get isUnlisted(): boolean {
    return this.#isUnlisted;
  }

  /** [DEL-1] True if the topic was deleted and is kept. */
  get isRetired(): boolean {
    return this.#isRetired;
  }

  /** [DEL-1] [DEL-2] Stores whether the topic was deleted and is kept. Returns the topic, or null if nothing is stored. */
  setRetired(isRetired: boolean): Topic | null {
    const topic = this.open();
    this.#isRetired = isRetired;
    if (topic !== null) this.#writeTopic(topic);
    return topic;
  }

  /** Stores the topic. The first use creates the tables. */
  setTopic(topic: Topic, isUnlisted = this.#isUnlisted): void {
    this.#isUnlisted = isUnlisted;
    this.#storage.transactionSync(() => {
      if (storedVersion(this.#sql, this.#schema) === null) createTables(this.#sql, this.#schema);
      this.#writeTopic(topic);
    });
  }

  /** The relays to which appended records are pushed. The partition must be in use. */
  relays(): number[] {
    const rows = this.#sql.exec<{ relay: number }>("SELECT relay FROM relays ORDER BY relay");
    return Array.from(rows, ({ relay }) => relay);
  }

  addRelay(relay: number): void {
    this.#sql.exec("INSERT OR IGNORE INTO relays (relay) VALUES (?)", relay);
  }

  removeRelay(relay: number): void {
    this.#sql.exec("DELETE FROM relays WHERE relay = ?", relay);
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
    const query = "SELECT polled_at_ms FROM fence_polls WHERE group_id = ?";
    return firstRow<{ polled_at_ms: number }>(this.#sql, query, groupId)?.polled_at_ms ?? 0;
  }

  /**
   * [ATT-4] Notes that a member of the group reads by polls. Such a reader is never attached, and only its
   * fence keeps an older owner out. So it is remembered for as long as a session may last.
   */
  notePoll(groupId: string, nowMs: number): void {
    this.#sql.exec("INSERT OR REPLACE INTO fence_polls VALUES (?, ?)", groupId, nowMs);
  }

  /**
   * [ATT-4] Remembers the owner. Beyond MAX_FENCES_PER_PARTITION, the groups that attached longest ago are
   * forgotten. Groups in `attachedGroups` have readers now and are never forgotten. Groups that poll are
   * forgotten only if no others are left. Times never decrease from one fence to the next, whatever the clock
   * says.
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
      this.#sql.exec("DELETE FROM fence_polls WHERE group_id = ?", id);
      fences.count--;
    }
  }

  /** Returns up to `count` groups, those whose fence is needed least first. */
  #forgettable(nowMs: number, count: number): string[] {
    const rows = this.#sql.exec<{ group_id: string }>(
      `SELECT group_id FROM fences LEFT JOIN fence_polls USING (group_id)
         ORDER BY CASE WHEN polled_at_ms > ? THEN polled_at_ms ELSE 0 END, attached_at_ms LIMIT ?`,
      nowMs - FENCE_REFRESH_MS - MAX_SESSION_TIMEOUT_MS,
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
