// A group's state in SQLite. Each event of the coordinator is one upsert or one delete,
// so an operation costs as many rows as it has events.
//
// group_state  one row: incarnation, epochs, next member number, config, when it became empty, the group's id [FIL-7].
// members      member id → member as JSON, its partitions included.
// targets      member id → target assignment as JSON.
// topics       topic name → id and partition count.
// offsets      partition → committed offset.
// classic      one row: the members of a classic group as JSON, written when a rebalance begins and when it is done.
// history      the flight recorder, a ring: one row for each operation that is worth telling about.
import type { ClassicState } from "../../src/core/group/classic.ts";
import type { HistoryEntry } from "../../src/core/group/history.ts";
import type { PartitionKey } from "../../src/core/group/partition-key.ts";
import {
  type CommittedOffset,
  emptyGroup,
  type GroupEvent,
  type GroupState,
  replay,
} from "../../src/core/group/state.ts";
import { MAX_HISTORY_OPERATIONS } from "../../src/core/limits.ts";
import { anothers } from "../shared/identity.ts";
import {
  addColumn,
  createTables,
  execAll,
  migrate,
  type Schema,
  storedVersion,
} from "../shared/schema.ts";
import { firstRow, hasColumn, type Sql, type Transactional } from "../shared/sql.ts";
import { parseStored, storedOverrides } from "../shared/stored-json.ts";
import {
  formatClassic,
  formatMember,
  formatTarget,
  parseClassic,
  parseHistory,
  parseMember,
  parseTarget,
  storedGroupTopic,
} from "./stored-group.ts";

const CREATE_CLASSIC =
  "CREATE TABLE IF NOT EXISTS classic (id INTEGER PRIMARY KEY, json TEXT NOT NULL)";

const TABLES = [
  `CREATE TABLE group_state (id INTEGER PRIMARY KEY, incarnation INTEGER NOT NULL, group_epoch INTEGER NOT NULL,
     assignment_epoch INTEGER NOT NULL, next_member_number INTEGER NOT NULL, overrides TEXT NOT NULL,
     empty_since_ms INTEGER, group_id TEXT)`,
  "CREATE TABLE history (slot INTEGER PRIMARY KEY, operation INTEGER NOT NULL, at_ms INTEGER NOT NULL, entries TEXT NOT NULL)",
  "CREATE TABLE members (member_id TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID",
  "CREATE TABLE targets (member_id TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID",
  "CREATE TABLE topics (name TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID",
  `CREATE TABLE offsets (partition TEXT PRIMARY KEY, committed_offset INTEGER NOT NULL, metadata TEXT NOT NULL,
     committed_at_ms INTEGER NOT NULL, leader_epoch INTEGER) WITHOUT ROWID`,
  CREATE_CLASSIC,
];

/** Release 0.1 made the last table and these columns when it first needed them. */
function toVersion2(sql: Sql, groupId: string): void {
  addColumn(sql, "group_state", "group_id", "TEXT");
  sql.exec("UPDATE group_state SET group_id = ? WHERE id = 1", groupId); // [FIL-7]
  addColumn(sql, "offsets", "leader_epoch", "INTEGER"); // [OFF-13]
  sql.exec(CREATE_CLASSIC);
}

export class GroupStore {
  readonly #storage: Transactional;
  readonly #sql: Sql;
  readonly #groupId: string;
  readonly #schema: Schema;
  #isCreated: boolean;
  #lastOperation: number | null = null;

  /**
   * Brings storage of an earlier release to the newest version [VER-1]. Throws if the stored data is not this group's
   * [FIL-7], or only a newer release can use it [VER-2].
   */
  constructor(storage: Transactional, groupId: string) {
    this.#storage = storage;
    this.#sql = storage.sql;
    this.#groupId = groupId;
    const own = `group ${groupId}`;
    this.#schema = {
      kind: "group",
      own,
      oldestReader: 1,
      create: (sql) => execAll(sql, TABLES),
      steps: [(sql) => toVersion2(sql, groupId)],
    };
    const version = storedVersion(this.#sql, this.#schema);
    this.#isCreated = version !== null;
    if (version === null) return;
    const owner = this.#owner();
    if (owner !== null && owner !== groupId) throw anothers(own, `group ${owner}`);
    migrate(storage, this.#schema, version);
  }

  /** Returns the id of the group whose storage this is, or null if it is not written. */
  #owner(): string | null {
    if (!hasColumn(this.#sql, "group_state", "group_id")) return null;
    const query = "SELECT group_id FROM group_state WHERE id = 1";
    return firstRow<{ group_id: string | null }>(this.#sql, query)?.group_id ?? null;
  }

  /** Returns the state that the events left. A group that nobody ever joined is empty and owns no tables. */
  load(): GroupState {
    const state = emptyGroup(this.#groupId);
    if (!this.#isCreated) return state;
    const group = firstRow<{
      incarnation: number;
      group_epoch: number;
      assignment_epoch: number;
      next_member_number: number;
      overrides: string;
      empty_since_ms: number | null;
    }>(this.#sql, "SELECT * FROM group_state WHERE id = 1");
    if (group === undefined) return state;
    replay(state, {
      type: "group",
      incarnation: group.incarnation,
      groupEpoch: group.group_epoch,
      assignmentEpoch: group.assignment_epoch,
      nextMemberNumber: group.next_member_number,
      overrides: parseStored(storedOverrides, group.overrides, "group_state.overrides"),
      emptySinceMs: group.empty_since_ms,
    });
    for (const { json } of this.#sql.exec<{ json: string }>(
      "SELECT json FROM topics ORDER BY name",
    )) {
      replay(state, { type: "topic", topic: parseStored(storedGroupTopic, json, "topics.json") });
    }
    for (const { json } of this.#sql.exec<{ json: string }>("SELECT json FROM members")) {
      replay(state, { type: "member", member: parseMember(json) });
    }
    for (const { member_id, json } of this.#sql.exec<{ member_id: string; json: string }>(
      "SELECT member_id, json FROM targets",
    )) {
      replay(state, { type: "target", memberId: member_id, partitions: parseTarget(json) });
    }
    const offsets = this.#sql.exec<{
      partition: string;
      committed_offset: number;
      metadata: string;
      committed_at_ms: number;
      leader_epoch: number | null;
    }>("SELECT * FROM offsets");
    for (const row of offsets) {
      replay(state, {
        type: "offset",
        key: row.partition as PartitionKey,
        committed: {
          offset: row.committed_offset,
          metadata: row.metadata,
          ...(row.leader_epoch === null ? {} : { leaderEpoch: row.leader_epoch }),
          committedAtMs: row.committed_at_ms,
        },
      });
    }
    return state;
  }

  /**
   * Stores the effect of the events, and the history entries about them, all or nothing. If several
   * events are about one thing, only the last one counts.
   */
  apply(events: readonly GroupEvent[], history: readonly HistoryEntry[] = [], nowMs = 0): void {
    if (events.length === 0 && history.length === 0) return;
    this.#storage.transactionSync(() => {
      if (!this.#isCreated) createTables(this.#sql, this.#schema);
      for (const event of lastOfEach(events)) this.#write(event);
      if (history.length > 0) this.#logHistory(history, nowMs);
    });
    this.#isCreated = true;
  }

  /** Stores a history row. If the ring is full, it replaces the oldest operation, so it always costs one row. */
  #logHistory(history: readonly HistoryEntry[], nowMs: number): void {
    const last = this.#lastOperation ?? this.#findLastOperation();
    const operation = last + 1;
    this.#sql.exec(
      "INSERT OR REPLACE INTO history (slot, operation, at_ms, entries) VALUES (?, ?, ?, ?)",
      operation % MAX_HISTORY_OPERATIONS,
      operation,
      nowMs,
      JSON.stringify(history),
    );
    this.#lastOperation = operation;
  }

  #findLastOperation(): number {
    const query = "SELECT max(operation) AS last FROM history";
    return firstRow<{ last: number | null }>(this.#sql, query)?.last ?? 0;
  }

  /** Returns the newest entries, oldest first. */
  history(limit: number): (HistoryEntry & { readonly atMs: number })[] {
    if (!this.#isCreated) return [];
    // Every row holds at least one entry.
    const rows = this.#sql.exec<{ at_ms: number; entries: string }>(
      "SELECT at_ms, entries FROM history ORDER BY operation DESC LIMIT ?",
      limit,
    );
    const entries = Array.from(rows, ({ at_ms: atMs, entries: json }) =>
      parseHistory(json).map((entry) => ({ atMs, ...entry })),
    );
    return entries.reverse().flat().slice(-limit);
  }

  /** Returns null if the group has never had classic members. */
  loadClassic(): ClassicState | null {
    if (!this.#isCreated) return null;
    const row = firstRow<{ json: string }>(this.#sql, "SELECT json FROM classic WHERE id = 1");
    return row === undefined ? null : parseClassic(row.json);
  }

  setClassic(state: ClassicState): void {
    this.#storage.transactionSync(() => {
      if (!this.#isCreated) createTables(this.#sql, this.#schema);
      const json = formatClassic(state);
      this.#sql.exec("INSERT OR REPLACE INTO classic (id, json) VALUES (1, ?)", json);
    });
    this.#isCreated = true;
  }

  #write(event: GroupEvent): void {
    switch (event.type) {
      case "group":
        this.#sql.exec(
          `INSERT OR REPLACE INTO group_state (id, incarnation, group_epoch, assignment_epoch, next_member_number,
             overrides, empty_since_ms, group_id) VALUES (1, ?, ?, ?, ?, ?, ?, ?)`,
          event.incarnation,
          event.groupEpoch,
          event.assignmentEpoch,
          event.nextMemberNumber,
          JSON.stringify(event.overrides),
          event.emptySinceMs,
          this.#groupId,
        );
        return;
      case "member":
        this.#put("members", "member_id", event.member.memberId, formatMember(event.member));
        return;
      case "member-removed":
        this.#sql.exec("DELETE FROM members WHERE member_id = ?", event.memberId);
        this.#sql.exec("DELETE FROM targets WHERE member_id = ?", event.memberId);
        return;
      case "target":
        this.#put("targets", "member_id", event.memberId, formatTarget(event.partitions));
        return;
      case "topic":
        this.#put("topics", "name", event.topic.name, JSON.stringify(event.topic));
        return;
      case "topic-removed":
        this.#sql.exec("DELETE FROM topics WHERE name = ?", event.name);
        return;
      case "offset":
        this.#writeOffset(event.key, event.committed);
        return;
      case "offset-removed":
        this.#sql.exec("DELETE FROM offsets WHERE partition = ?", event.key);
        return;
    }
  }

  #writeOffset(key: PartitionKey, committed: CommittedOffset): void {
    const { offset, metadata, committedAtMs, leaderEpoch } = committed;
    this.#sql.exec(
      "INSERT OR REPLACE INTO offsets (partition, committed_offset, metadata, committed_at_ms, leader_epoch) VALUES (?, ?, ?, ?, ?)",
      key,
      offset,
      metadata,
      committedAtMs,
      leaderEpoch ?? null,
    );
  }

  #put(table: "members" | "targets" | "topics", key: string, id: string, json: string): void {
    this.#sql.exec(`INSERT OR REPLACE INTO ${table} (${key}, json) VALUES (?, ?)`, id, json);
  }
}

/** Drops events that a later one about the same thing makes void. They would only cost rows. */
function lastOfEach(events: readonly GroupEvent[]): GroupEvent[] {
  const last = new Map<string, GroupEvent>();
  for (const event of events) {
    const subject = subjectOf(event);
    last.delete(subject); // So that it takes the later one's place in the order.
    last.set(subject, event);
    if (event.type === "member-removed") last.delete(`target ${event.memberId}`);
  }
  return [...last.values()];
}

function subjectOf(event: GroupEvent): string {
  switch (event.type) {
    case "group":
      return "group";
    case "member":
      return `member ${event.member.memberId}`;
    case "member-removed":
      return `member ${event.memberId}`;
    case "target":
      return `target ${event.memberId}`;
    case "topic":
      return `topic ${event.topic.name}`;
    case "topic-removed":
      return `topic ${event.name}`;
    case "offset":
      return `offset ${event.key}`;
    case "offset-removed":
      return `offset ${event.key}`;
  }
}
