// A group's storage as release 0.2 reads and writes it: the queries of its group-store.ts (commit 0210fd9), and nothing of
// this release's. It knows version 2 of the tables, and uses those of version 3 unchanged [VER-6].
import {
  formatClassic,
  formatMember,
  formatTarget,
  parseClassic,
  parseMember,
  parseTarget,
  parseTopic,
} from "../../durable-objects/group/stored-group.ts";
import { execAll } from "../../durable-objects/shared/schema.ts";
import type { Sql, Transactional } from "../../durable-objects/shared/sql.ts";
import type { PartitionKey } from "../../src/core/group/partition-key.ts";
import {
  emptyGroup,
  type GroupEvent,
  type GroupState,
  replay,
} from "../../src/core/group/state.ts";

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
  "CREATE TABLE IF NOT EXISTS classic (id INTEGER PRIMARY KEY, json TEXT NOT NULL)",
  `CREATE TABLE IF NOT EXISTS schema_version
     (id INTEGER PRIMARY KEY, version INTEGER NOT NULL, oldest_reader INTEGER NOT NULL)`,
  "INSERT OR REPLACE INTO schema_version (id, version, oldest_reader) VALUES (1, 2, 1)",
];

export class GroupStoreOf02 {
  readonly #storage: Transactional;
  readonly #sql: Sql;
  readonly #groupId: string;

  constructor(storage: Transactional, groupId: string) {
    this.#storage = storage;
    this.#sql = storage.sql;
    this.#groupId = groupId;
  }

  get #isCreated(): boolean {
    const query =
      "SELECT 1 AS found FROM sqlite_master WHERE type = 'table' AND name = 'group_state'";
    return [...this.#sql.exec(query)].length > 0;
  }

  load(): GroupState {
    const state = emptyGroup(this.#groupId);
    if (!this.#isCreated) return state;
    const [group] = [
      ...this.#sql.exec<{
        incarnation: number;
        group_epoch: number;
        assignment_epoch: number;
        next_member_number: number;
        overrides: string;
        empty_since_ms: number | null;
      }>("SELECT * FROM group_state WHERE id = 1"),
    ];
    if (group === undefined) return state;
    replay(state, {
      type: "group",
      incarnation: group.incarnation,
      groupEpoch: group.group_epoch,
      assignmentEpoch: group.assignment_epoch,
      nextMemberNumber: group.next_member_number,
      overrides: JSON.parse(group.overrides),
      emptySinceMs: group.empty_since_ms,
    });
    for (const { json } of this.#sql.exec<{ json: string }>(
      "SELECT json FROM topics ORDER BY name",
    ))
      replay(state, { type: "topic", topic: parseTopic(json) });
    for (const { json } of this.#sql.exec<{ json: string }>("SELECT json FROM members")) {
      const { memberEpoch } = JSON.parse(json) as { memberEpoch: number };
      replay(state, { type: "member", member: parseMember(json, memberEpoch) });
    }
    for (const { member_id, json } of this.#sql.exec<{ member_id: string; json: string }>(
      "SELECT member_id, json FROM targets",
    ))
      replay(state, { type: "target", memberId: member_id, partitions: parseTarget(json) });
    const offsets = this.#sql.exec<{
      partition: string;
      committed_offset: number;
      metadata: string;
      committed_at_ms: number;
      leader_epoch: number | null;
    }>("SELECT * FROM offsets");
    for (const row of offsets)
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
    for (const { json } of this.#sql.exec<{ json: string }>(
      "SELECT json FROM classic WHERE id = 1",
    ))
      state.classic = parseClassic(json);
    return state;
  }

  apply(events: readonly GroupEvent[]): void {
    if (events.length === 0) return;
    this.#storage.transactionSync(() => {
      if (!this.#isCreated) execAll(this.#sql, TABLES);
      for (const event of events) this.#write(event);
    });
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
      case "offset": {
        const { offset, metadata, committedAtMs, leaderEpoch } = event.committed;
        this.#sql.exec(
          "INSERT OR REPLACE INTO offsets (partition, committed_offset, metadata, committed_at_ms, leader_epoch) VALUES (?, ?, ?, ?, ?)",
          event.key,
          offset,
          metadata,
          committedAtMs,
          leaderEpoch ?? null,
        );
        return;
      }
      case "offset-removed":
        this.#sql.exec("DELETE FROM offsets WHERE partition = ?", event.key);
        return;
      case "classic": {
        const json = formatClassic(event.classic);
        this.#sql.exec("INSERT OR REPLACE INTO classic (id, json) VALUES (1, ?)", json);
        return;
      }
      default: // It does not know the others, and stores nothing of them.
    }
  }

  #put(table: "members" | "targets" | "topics", key: string, id: string, json: string): void {
    this.#sql.exec(`INSERT OR REPLACE INTO ${table} (${key}, json) VALUES (?, ?)`, id, json);
  }
}
