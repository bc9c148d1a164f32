// A group's state in SQLite. Each event of the coordinator is one upsert or one delete,
// so an operation costs as many rows as it has events.
//
// group_state  one row: incarnation, epochs, next member number, config, when it became empty, the group's id [FIL-7].
// members      member id → member as JSON, its partitions included.
// targets      member id → target assignment as JSON.
// topics       topic name → id and partition count.
// offsets      partition → committed offset. Releases before OFF-13 did not write `leader_epoch`.
// classic      one row: the members of a classic group as JSON, written when a rebalance begins and when it is done.
// history      the flight recorder, a ring: one row for each operation that is worth telling about.
import type { ConfigOverrides } from "../../src/core/config-table.ts";
import type { ClassicState } from "../../src/core/group/classic.ts";
import type { HistoryEntry } from "../../src/core/group/history.ts";
import {
  fromSet,
  type PartitionKey,
  type TopicPartitions,
  toSet,
} from "../../src/core/group/partition-key.ts";
import {
  type CommittedOffset,
  emptyGroup,
  type GroupEvent,
  type GroupState,
  type GroupTopic,
  type Member,
  replay,
  withPartitions,
} from "../../src/core/group/state.ts";
import { MAX_HISTORY_OPERATIONS } from "../../src/core/limits.ts";
import { anothers, isStored } from "../shared/identity.ts";
import { firstRow, hasTable, type Sql, type Transactional } from "../shared/sql.ts";
import { parseStored } from "../shared/stored-json.ts";

/**
 * A member as it is stored. The names are on disk, so fields may only be
 * added. An older release may not have written them all.
 */
type StoredMember = Omit<
  Member,
  "assigned" | "revoking" | "assignmentEpochs" | "delivered" | "refusedAcks" | "heartbeats"
> & {
  readonly heartbeats?: boolean;
  readonly assigned: TopicPartitions[];
  readonly revoking: TopicPartitions[];
  /** Epochs, each with the partitions that the member has held since then. */
  readonly assignmentEpochs?: readonly (readonly [number, TopicPartitions[]])[];
  /** Offsets by partition. Left out if there are none. */
  readonly delivered?: Readonly<Record<PartitionKey, number>>;
  readonly refusedAcks?: Readonly<Record<PartitionKey, number>>;
};

export class GroupStore {
  readonly #storage: Transactional;
  readonly #sql: Sql;
  readonly #groupId: string;
  #isCreated: boolean;
  /** True if the group's id is stored. Releases before FIL-7 did not write it. */
  #isNamed = false;
  /** True if the committed offsets are known to have a column for the leader epoch [OFF-13]. */
  #hasLeaderEpochs = false;
  #lastOperation: number | null = null;

  /** [FIL-7] Throws if the stored data is not a group's, or belongs to another group. */
  constructor(storage: Transactional, groupId: string) {
    this.#storage = storage;
    this.#sql = storage.sql;
    this.#groupId = groupId;
    this.#isCreated = isStored(storage.sql, "group", `group ${groupId}`);
    if (!this.#isCreated) return;
    const stored = firstRow<{ group_id?: string | null }>(this.#sql, "SELECT * FROM group_state");
    const owner = stored?.group_id ?? null;
    if (owner !== null && owner !== groupId) throw anothers(`group ${groupId}`, `group ${owner}`);
    this.#isNamed = owner !== null;
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
      overrides: parseStored<ConfigOverrides>(group.overrides, "group_state.overrides"),
      emptySinceMs: group.empty_since_ms,
    });
    for (const { json } of this.#sql.exec<{ json: string }>(
      "SELECT json FROM topics ORDER BY name",
    )) {
      replay(state, { type: "topic", topic: parseStored<GroupTopic>(json, "topics.json") });
    }
    for (const { json } of this.#sql.exec<{ json: string }>("SELECT json FROM members")) {
      replay(state, { type: "member", member: parseMember(json) });
    }
    for (const { member_id, json } of this.#sql.exec<{ member_id: string; json: string }>(
      "SELECT member_id, json FROM targets",
    )) {
      replay(state, {
        type: "target",
        memberId: member_id,
        partitions: toSet(parseStored<TopicPartitions[]>(json, "targets.json")),
      });
    }
    const offsets = this.#sql.exec<{
      partition: string;
      committed_offset: number;
      metadata: string;
      committed_at_ms: number;
      leader_epoch?: number | null;
    }>("SELECT * FROM offsets");
    for (const row of offsets) {
      replay(state, {
        type: "offset",
        key: row.partition as PartitionKey,
        committed: {
          offset: row.committed_offset,
          metadata: row.metadata,
          ...(typeof row.leader_epoch === "number" ? { leaderEpoch: row.leader_epoch } : {}),
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
    const haveLeaderEpochs = events.some(
      (event) => event.type === "offset" && event.committed.leaderEpoch !== undefined,
    );
    this.#storage.transactionSync(() => {
      if (!this.#isCreated) this.#create();
      else if (!this.#isNamed) this.#name();
      if (haveLeaderEpochs && !this.#hasLeaderEpochs)
        this.#addColumn("offsets", "leader_epoch", "INTEGER");
      for (const event of lastOfEach(events)) this.#write(event);
      if (history.length > 0) this.#tell(history, nowMs);
    });
    this.#isCreated = true;
    this.#isNamed = true;
    this.#hasLeaderEpochs ||= haveLeaderEpochs;
  }

  /** [FIL-7] Writes the group's id into data that an earlier release created. */
  #name(): void {
    this.#addColumn("group_state", "group_id", "TEXT");
    this.#sql.exec("UPDATE group_state SET group_id = ? WHERE id = 1", this.#groupId);
  }

  /** Adds a column that an earlier release did not make. */
  #addColumn(table: string, column: string, type: string): void {
    const query = `SELECT 1 AS found FROM pragma_table_info('${table}') WHERE name = '${column}'`;
    if (firstRow(this.#sql, query) === undefined)
      this.#sql.exec(`ALTER TABLE ${table} ADD COLUMN ${column} ${type}`);
  }

  /** Stores a history row. If the ring is full, it replaces the oldest operation, so it always costs one row. */
  #tell(history: readonly HistoryEntry[], nowMs: number): void {
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
      parseStored<HistoryEntry[]>(json, "history.entries").map((entry) => ({ atMs, ...entry })),
    );
    return entries.reverse().flat().slice(-limit);
  }

  /** Returns null if the group has never had classic members. */
  loadClassic(): ClassicState | null {
    if (!hasTable(this.#sql, "classic")) return null;
    const row = firstRow<{ json: string }>(this.#sql, "SELECT json FROM classic WHERE id = 1");
    return row === undefined ? null : parseClassic(row.json);
  }

  setClassic(state: ClassicState): void {
    this.#sql.exec(
      "CREATE TABLE IF NOT EXISTS classic (id INTEGER PRIMARY KEY, json TEXT NOT NULL)",
    );
    const json = JSON.stringify(state, (_key, value) =>
      value instanceof Uint8Array ? { base64: value.toBase64() } : value,
    );
    this.#sql.exec("INSERT OR REPLACE INTO classic (id, json) VALUES (1, ?)", json);
  }

  #create(): void {
    this.#sql.exec(
      `CREATE TABLE group_state (id INTEGER PRIMARY KEY, incarnation INTEGER NOT NULL, group_epoch INTEGER NOT NULL,
         assignment_epoch INTEGER NOT NULL, next_member_number INTEGER NOT NULL, overrides TEXT NOT NULL,
         empty_since_ms INTEGER, group_id TEXT)`,
    );
    this.#sql.exec(
      "CREATE TABLE history (slot INTEGER PRIMARY KEY, operation INTEGER NOT NULL, at_ms INTEGER NOT NULL, entries TEXT NOT NULL)",
    );
    this.#sql.exec(
      "CREATE TABLE members (member_id TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID",
    );
    this.#sql.exec(
      "CREATE TABLE targets (member_id TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID",
    );
    this.#sql.exec("CREATE TABLE topics (name TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID");
    this.#sql.exec(
      `CREATE TABLE offsets (partition TEXT PRIMARY KEY, committed_offset INTEGER NOT NULL, metadata TEXT NOT NULL,
         committed_at_ms INTEGER NOT NULL) WITHOUT ROWID`,
    );
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
        this.#put(
          "targets",
          "member_id",
          event.memberId,
          JSON.stringify(fromSet(event.partitions)),
        );
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
    const [column, place] = leaderEpoch === undefined ? ["", ""] : [", leader_epoch", ", ?"];
    this.#sql.exec(
      `INSERT OR REPLACE INTO offsets (partition, committed_offset, metadata, committed_at_ms${column}) VALUES (?, ?, ?, ?${place})`,
      key,
      offset,
      metadata,
      committedAtMs,
      ...(leaderEpoch === undefined ? [] : [leaderEpoch]),
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

function formatMember(member: Member): string {
  const { assignmentEpochs, delivered, refusedAcks, ...rest } = member;
  const byEpoch = Map.groupBy(assignmentEpochs, ([, epoch]) => epoch);
  const stored: StoredMember = {
    ...rest,
    assigned: fromSet(member.assigned),
    revoking: fromSet(member.revoking),
    assignmentEpochs: Array.from(
      byEpoch,
      ([epoch, entries]) => [epoch, fromSet(new Set(entries.map(([key]) => key)))] as const,
    ),
    ...(delivered.size === 0 ? {} : { delivered: Object.fromEntries(delivered) }),
    ...(refusedAcks.size === 0 ? {} : { refusedAcks: Object.fromEntries(refusedAcks) }),
  };
  return JSON.stringify(stored);
}

function parseMember(json: string): Member {
  const stored = parseStored<StoredMember>(json, "members.json");
  const sets = { assigned: toSet(stored.assigned), revoking: toSet(stored.revoking) };
  const epochs = (stored.assignmentEpochs ?? []).flatMap(([epoch, topics]) =>
    [...toSet(topics)].map((key): [PartitionKey, number] => [key, epoch]),
  );
  const member = {
    ...stored,
    ...sets,
    heartbeats: stored.heartbeats ?? false,
    assignmentEpochs: new Map(epochs),
    delivered: toOffsets(stored.delivered),
    refusedAcks: toOffsets(stored.refusedAcks),
  };
  return withPartitions(member, sets, stored.memberEpoch);
}

function toOffsets(stored: Readonly<Record<PartitionKey, number>> = {}): Map<PartitionKey, number> {
  return new Map(Object.entries(stored) as [PartitionKey, number][]);
}

function parseClassic(json: string): ClassicState {
  return parseStored<ClassicState>(json, "classic.json", (_key, value) => {
    const isBytes = typeof value === "object" && value !== null && "base64" in value;
    return isBytes ? Uint8Array.fromBase64(value.base64 as string) : value;
  });
}
