// A group's state in SQLite. An operation costs one row for each thing that it changes, and a commit costs one
// row. Rows are read on demand, so waking up costs only what is needed, however large the group is.
//
// group_state     one row: incarnation, epochs, next member number, config, when it became empty, the group's id [FIL-7],
//                 the number of members that do not poll.
// stored_members  member id → member as JSON, including its partitions. The epoch of a STABLE member is the group's, so a
//                 new epoch of the group writes only the rows of members whose partitions change.
// targets         member id → target assignment as JSON.
// topics          topic name → id and partition count.
// positions       committed offsets: see stored-positions.ts.
// classic         one row: the members of a classic group as JSON, written when a rebalance begins and when it ends.
//                 JSON that is too long for a row continues in the next ones.
// deadline        one row: when the group has to examine all members, whatever their sockets say.
// notes           what the cluster has answered or knows already (shared/notes.ts).
// history         a ring with one row for each operation that is worth recording.
//
//
// The previous release knows a table `members`, with the epoch in each row. A view of that name shows it
// [VER-6]. That release does not know the table `deadline`, so what it writes makes the group examine all
// members at the next alarm.
import { BrokerError, type Failure } from "../../src/core/errors.ts";
import type { ClassicState } from "../../src/core/group/classic-state.ts";
import type { HistoryEntry } from "../../src/core/group/history.ts";
import {
  type PartitionKey,
  type PartitionSet,
  parsePartitionKey,
  partitionKey,
} from "../../src/core/group/partition-key.ts";
import {
  type CommittedOffset,
  emptyGroup,
  type GroupEvent,
  type GroupState,
  type GroupTopic,
  type Member,
  replay,
  type TopicMap,
} from "../../src/core/group/state.ts";
import { MAX_HISTORY_OPERATIONS, MAX_METADATA_BYTES } from "../../src/core/limits.ts";
import { damaged, failureOf as platformFailureOf } from "../../src/core/platform-errors.ts";
import { anothers } from "../shared/identity.ts";
import { CREATE_NOTES } from "../shared/notes.ts";
import { joinPieces, piecesOf } from "../shared/pieces.ts";
import {
  addColumn,
  createTables,
  execAll,
  migrate,
  type Schema,
  storedVersion,
} from "../shared/schema.ts";
import { whyNoSpace } from "../shared/space.ts";
import { firstRow, hasColumn, type SizedSql, type Sql, type Transactional } from "../shared/sql.ts";
import { parseStored, storedOverrides } from "../shared/stored-json.ts";
import { type RowSource, StoredMap } from "../shared/stored-map.ts";
import { wallClockMs } from "../shared/wall-clock.ts";
import {
  formatClassic,
  formatMember,
  formatTarget,
  parseClassic,
  parseHistory,
  parseMember,
  parseTarget,
  parseTopic,
} from "./stored-group.ts";
import { CREATE_POSITIONS, StoredPositions, toPositions } from "./stored-positions.ts";

const CREATE_CLASSIC =
  "CREATE TABLE IF NOT EXISTS classic (id INTEGER PRIMARY KEY, json TEXT NOT NULL)";

const CREATE_DEADLINE =
  "CREATE TABLE deadline (id INTEGER PRIMARY KEY, at_ms INTEGER, set_at_ms INTEGER NOT NULL)";
/** The deadline does not cover rows that the previous release has written. */
const IS_DUE = "INSERT OR REPLACE INTO deadline VALUES (1, 0, 0)";

const CREATE_MEMBERS = [
  "CREATE TABLE stored_members (member_id TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID",
  `CREATE VIEW members AS SELECT member_id,
     CASE json_extract(json, '$.state') WHEN 'STABLE'
       THEN json_set(json, '$.memberEpoch', (SELECT assignment_epoch FROM group_state WHERE id = 1)) ELSE json END AS json
     FROM stored_members`,
  `CREATE TRIGGER members_insert INSTEAD OF INSERT ON members BEGIN
     INSERT OR REPLACE INTO stored_members VALUES (NEW.member_id, NEW.json);
     ${IS_DUE};
   END`,
  `CREATE TRIGGER members_delete INSTEAD OF DELETE ON members BEGIN
     DELETE FROM stored_members WHERE member_id = OLD.member_id;
     ${IS_DUE};
   END`,
  // The previous release does not know the column. It becomes null when that release writes, even for a group
  // that it has left empty.
  `CREATE TRIGGER group_of_the_release_before AFTER INSERT ON group_state WHEN NEW.attached_members IS NULL BEGIN
     ${IS_DUE};
   END`,
];

/** Only share groups have this table. Each table is read at every wake-up. */
const CREATE_SHARE_PARTITIONS =
  "CREATE TABLE IF NOT EXISTS share_partitions (topic_id TEXT, partition INTEGER, PRIMARY KEY (topic_id, partition)) WITHOUT ROWID";

const CREATE_TOPIC_IDS = "CREATE INDEX topic_ids ON topics (json_extract(json, '$.topicId'))";

const TABLES = [
  `CREATE TABLE group_state (id INTEGER PRIMARY KEY, incarnation INTEGER NOT NULL, group_epoch INTEGER NOT NULL,
     assignment_epoch INTEGER NOT NULL, next_member_number INTEGER NOT NULL, overrides TEXT NOT NULL,
     empty_since_ms INTEGER, group_id TEXT, attached_members INTEGER, member_count INTEGER, kind TEXT)`,
  "CREATE TABLE history (slot INTEGER PRIMARY KEY, operation INTEGER NOT NULL, at_ms INTEGER NOT NULL, entries TEXT NOT NULL)",
  CREATE_DEADLINE,
  ...CREATE_MEMBERS,
  "CREATE TABLE targets (member_id TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID",
  "CREATE TABLE topics (name TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID",
  CREATE_TOPIC_IDS,
  ...CREATE_POSITIONS,
  CREATE_CLASSIC,
  CREATE_NOTES,
];

/** Release 0.1 created the last table and these columns when it first needed them. */
function toVersion2(sql: Sql, groupId: string): void {
  addColumn(sql, "group_state", "group_id", "TEXT");
  sql.exec("UPDATE group_state SET group_id = ? WHERE id = 1", groupId); // [FIL-7]
  addColumn(sql, "offsets", "leader_epoch", "INTEGER"); // [OFF-13]
  sql.exec(CREATE_CLASSIC);
}

/** Release 0.2 wrote a row for each committed partition, and for each member at every epoch. */
function toVersion3(sql: Sql): void {
  addColumn(sql, "group_state", "attached_members", "INTEGER");
  toPositions(sql);
  const [create, ...shows] = CREATE_MEMBERS as [string, ...string[]];
  sql.exec(create);
  sql.exec("INSERT INTO stored_members SELECT member_id, json FROM members");
  execAll(sql, ["DROP TABLE members", CREATE_DEADLINE, IS_DUE, ...shows, CREATE_TOPIC_IDS]);
}

/** Earlier releases did not store how many members there are, and had no share groups. */
function toVersion5(sql: Sql): void {
  addColumn(sql, "group_state", "member_count", "INTEGER");
  addColumn(sql, "group_state", "kind", "TEXT");
}

/** When the group has to examine all its members. */
export interface Deadline {
  /** Null if no member can expire. */
  readonly atMs: number | null;
  /** The time of the group's clock when this was computed; 0 if it never was. */
  readonly setAtMs: number;
}

const NO_DEADLINE: Deadline = { atMs: null, setAtMs: 0 };

export class GroupStore {
  readonly #storage: Transactional;
  readonly #sql: SizedSql;
  readonly groupId: string;
  readonly #schema: Schema;
  readonly #noted: (atMs: number) => void;
  #isCreated: boolean;
  #lastOperation: number | null = null;
  #state: GroupState;
  #positions: StoredPositions;
  #attached: number | null = null;
  #memberCount: number | null = null;
  #classicRows = 0;
  #deadline: Deadline | null = null;
  /** The epoch of STABLE members whose rows have not been read. */
  #storedEpoch = 0;

  /**
   * Migrates storage of an earlier release to the newest version [VER-1]. Throws if the stored data is not this
   * group's [FIL-7], or only a newer release can use it [VER-2]. `noted` is called with times that the clock
   * had reached in an earlier life [CLK-4].
   */
  constructor(storage: Transactional, groupId: string, noted: (atMs: number) => void = () => {}) {
    this.#noted = noted;
    this.#storage = storage;
    this.#sql = storage.sql;
    this.groupId = groupId;
    this.#state = emptyGroup(groupId);
    this.#positions = new StoredPositions(this.#sql);
    const own = `group ${groupId}`;
    this.#schema = {
      kind: "group",
      own,
      oldestReader: 2,
      create: (sql) => execAll(sql, TABLES),
      steps: [
        (sql) => toVersion2(sql, groupId),
        toVersion3,
        (sql) => execAll(sql, [CREATE_NOTES]),
        toVersion5,
      ],
    };
    const version = storedVersion(this.#sql, this.#schema);
    this.#isCreated = version !== null;
    if (version === null) return;
    const owner = this.#owner(version);
    if (owner !== null && owner !== groupId) throw anothers(own, `group ${owner}`);
    migrate(storage, this.#schema, version);
  }

  /** Returns the id of the group that owns this storage, or null if it is not stored. Version 1 may lack it. */
  #owner(version: number): string | null {
    if (version === 1 && !hasColumn(this.#sql, "group_state", "group_id")) return null;
    const query = "SELECT group_id FROM group_state WHERE id = 1";
    return firstRow<{ group_id: string | null }>(this.#sql, query)?.group_id ?? null;
  }

  /** [LOG-13] */
  whyNoSpace(): Failure | null {
    const wayOut = "delete committed offsets that nobody needs, delete topics, or delete the group";
    return whyNoSpace(`group ${this.groupId}`, this.#sql, MAX_METADATA_BYTES, wayOut);
  }

  /**
   * Returns the state after all events. Members, topics and committed offsets are read on demand. A group that
   * nobody has ever joined is empty and owns no tables.
   */
  load(): GroupState {
    this.#positions = new StoredPositions(this.#sql);
    this.#attached = null;
    this.#memberCount = null;
    this.#state = this.#isCreated ? readable(() => this.#stored()) : emptyGroup(this.groupId);
    return this.#state;
  }

  #stored(): GroupState {
    const group = firstRow<{
      incarnation: number;
      group_epoch: number;
      assignment_epoch: number;
      next_member_number: number;
      overrides: string;
      empty_since_ms: number | null;
      attached_members: number | null;
      member_count: number | null;
      kind: string | null;
    }>(this.#sql, "SELECT * FROM group_state WHERE id = 1");
    if (group === undefined) return emptyGroup(this.groupId);
    const members = this.#memberRows();
    const state: GroupState = {
      ...emptyGroup(this.groupId),
      members,
      targets: this.#targetRows(),
      topics: this.#topicRows(),
      offsets: new StoredMap(wholly(() => readable(() => this.#positions.load()))),
      owners: new StoredMap(wholly(() => ownersOf(members))),
      sharePartitions: group.kind === null ? new Set() : this.#sharePartitions(),
    };
    replay(state, {
      type: "group",
      incarnation: group.incarnation,
      groupEpoch: group.group_epoch,
      assignmentEpoch: group.assignment_epoch,
      nextMemberNumber: group.next_member_number,
      overrides: parseStored(storedOverrides, group.overrides, "group_state.overrides"),
      emptySinceMs: group.empty_since_ms,
      ...(group.kind === "share" ? { kind: group.kind } : {}),
    });
    this.#attached = group.attached_members;
    this.#memberCount = group.member_count;
    this.#storedEpoch = group.assignment_epoch;
    const classic = this.#classic();
    for (const { silentSinceMs } of classic?.members.values() ?? [])
      this.#noted(silentSinceMs ?? 0);
    if (classic !== null)
      replay(state, { type: "classic", classic, isStored: true, reason: "left" });
    return state;
  }

  /** The number of members that do not poll. Null if it is not known. */
  get attachedMembers(): number | null {
    return this.#isCreated ? this.#attached : 0;
  }

  /** The number of native members, those that poll included. Null if it is not known. */
  get memberCount(): number | null {
    return this.#isCreated ? this.#memberCount : 0;
  }

  #sharePartitions(): Set<PartitionKey> {
    this.#sql.exec(CREATE_SHARE_PARTITIONS);
    const query = "SELECT topic_id, partition FROM share_partitions";
    const rows = this.#sql.exec<{ topic_id: string; partition: number }>(query);
    return new Set(Array.from(rows, (row) => partitionKey(row.topic_id, row.partition)));
  }

  /** Must run before the topic's own row is deleted. */
  #forgetSharePartitions(topic: string): void {
    this.#sql.exec(CREATE_SHARE_PARTITIONS);
    this.#sql.exec(
      `DELETE FROM share_partitions
         WHERE topic_id IN (SELECT json_extract(json, '$.topicId') FROM topics WHERE name = ?)`,
      topic,
    );
  }

  #memberRows(): StoredMap<string, Member> {
    const parse = (json: string, memberId: string) => {
      // Release 0.2 accepted ids with half a surrogate pair. The key of their row differs.
      const member = { ...parseMember(json, this.#storedEpoch), memberId };
      this.#noted(member.silentSinceMs ?? 0);
      return member;
    };
    return this.#rows("stored_members", "member_id", parse);
  }

  #targetRows(): StoredMap<string, PartitionSet> {
    return this.#rows("targets", "member_id", parseTarget);
  }

  #topicRows(): TopicMap {
    const rows = this.#rows("topics", "name", parseTopic);
    const query = "SELECT json FROM topics WHERE json_extract(json, '$.topicId') = ?";
    const withId = (topicId: string): GroupTopic | undefined => {
      for (const topic of rows.inMemory()) if (topic.topicId === topicId) return topic;
      const row = firstRow<{ json: string }>(this.#sql, query, topicId);
      // The name may have another topic by now, or none, which is not stored yet.
      const topic = row === undefined ? undefined : rows.get(parseTopic(row.json).name);
      return topic?.topicId === topicId ? topic : undefined;
    };
    return Object.assign(rows, { withId });
  }

  /** Reads the rows of a table with a key and JSON. */
  #rows<Value>(
    table: "stored_members" | "targets" | "topics",
    key: string,
    parse: (json: string, id: string) => Value,
  ): StoredMap<string, Value> {
    return new StoredMap({
      one: (id) =>
        readable(() => {
          const query = `SELECT json FROM ${table} WHERE ${key} = ?`;
          const row = firstRow<{ json: string }>(this.#sql, query, id);
          return row === undefined ? undefined : parse(row.json, id);
        }),
      all: () =>
        readable(() => {
          const query = `SELECT ${key} AS id, json FROM ${table} ORDER BY ${key}`;
          const rows = this.#sql.exec<{ id: string; json: string }>(query);
          return Array.from(rows, ({ id, json }): [string, Value] => [id, parse(json, id)]);
        }),
      any: () => firstRow(this.#sql, `SELECT ${key} FROM ${table} LIMIT 1`) !== undefined,
    });
  }

  /** Returns null if the group has never had classic members. */
  #classic(): ClassicState | null {
    const rows = this.#sql.exec<{ json: string }>("SELECT json FROM classic ORDER BY id");
    const pieces = Array.from(rows, ({ json }) => json);
    this.#classicRows = pieces.length;
    return pieces.length === 0 ? null : parseClassic(joinPieces(pieces));
  }

  /**
   * Stores the effect of the events and their history entries, all or nothing. If several events are about one
   * thing, only the last one counts. Returns false if there is nothing to store.
   */
  apply(events: readonly GroupEvent[], history: readonly HistoryEntry[] = [], nowMs = 0): boolean {
    const last = lastOfEach(events);
    if (last.length === 0 && history.length === 0) return false;
    this.#storage.transactionSync(() => {
      if (!this.#isCreated) createTables(this.#sql, this.#schema);
      for (const event of last) this.#write(event);
      this.#writePositions(last);
      if (history.length > 0) this.#logHistory(history, nowMs);
    });
    this.#isCreated = true;
    return true;
  }

  /**
   * [RCV-4] Removes the members and gives the group another incarnation, empty from now on by the wall clock.
   * Committed offsets and config stay. Anything loaded before is void.
   */
  beginAnew(incarnation: number): void {
    this.#storage.transactionSync(() => {
      for (const table of ["stored_members", "targets", "classic"])
        this.#sql.exec(`DELETE FROM ${table}`);
      this.#sql.exec(
        // The epoch of a group that has only had classic members stays 0.
        `UPDATE group_state SET incarnation = ?, empty_since_ms = ?, attached_members = 0,
           group_epoch = group_epoch + (group_epoch > 0), assignment_epoch = group_epoch + (group_epoch > 0)
         WHERE id = 1`,
        incarnation,
        wallClockMs(this.#sql),
      );
    });
  }

  /** Stores a history row. In a full ring it replaces the oldest operation, so it always costs one row. */
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

  #write(event: StoredEvent): void {
    switch (event.type) {
      case "group":
        this.#attached = attachedMembers(this.#state);
        this.#memberCount = this.#state.members.size;
        this.#storedEpoch = event.assignmentEpoch;
        this.#sql.exec(
          `INSERT OR REPLACE INTO group_state (id, incarnation, group_epoch, assignment_epoch, next_member_number,
             overrides, empty_since_ms, group_id, attached_members, member_count, kind)
             VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
          event.incarnation,
          event.groupEpoch,
          event.assignmentEpoch,
          event.nextMemberNumber,
          JSON.stringify(event.overrides),
          event.emptySinceMs,
          this.groupId,
          this.#attached,
          this.#memberCount,
          event.kind ?? null,
        );
        return;
      case "member":
        this.#put("stored_members", "member_id", event.member.memberId, formatMember(event.member));
        return;
      case "member-removed":
        this.#sql.exec("DELETE FROM stored_members WHERE member_id = ?", event.memberId);
        this.#sql.exec("DELETE FROM targets WHERE member_id = ?", event.memberId);
        return;
      case "target":
        this.#put("targets", "member_id", event.memberId, formatTarget(event.partitions));
        return;
      case "topic":
        this.#put("topics", "name", event.topic.name, JSON.stringify(event.topic));
        return;
      case "topic-removed":
        if (this.#state.kind === "share") this.#forgetSharePartitions(event.name);
        this.#sql.exec("DELETE FROM topics WHERE name = ?", event.name);
        return;
      case "share-partition": {
        const { topicId, partition } = parsePartitionKey(event.key);
        this.#sql.exec(CREATE_SHARE_PARTITIONS);
        this.#sql.exec("INSERT OR IGNORE INTO share_partitions VALUES (?, ?)", topicId, partition);
        return;
      }
      case "offset":
      case "offset-removed":
        return; // Both are written together.
      case "classic": {
        this.#writeClassic(piecesOf(formatClassic(event.classic)));
        return;
      }
    }
  }

  #writeClassic(pieces: readonly string[]): void {
    for (const [index, json] of pieces.entries())
      this.#sql.exec("INSERT OR REPLACE INTO classic (id, json) VALUES (?, ?)", index + 1, json);
    if (this.#classicRows > pieces.length)
      this.#sql.exec("DELETE FROM classic WHERE id > ?", pieces.length);
    this.#classicRows = pieces.length;
  }

  #writePositions(events: readonly StoredEvent[]): void {
    const changed = new Map<PartitionKey, CommittedOffset | null>();
    for (const event of events) {
      if (event.type === "offset") changed.set(event.key, event.committed);
      if (event.type === "offset-removed") changed.set(event.key, null);
    }
    if (changed.size === 0) return;
    readable(() => this.#positions.load());
    this.#positions.write(changed, this.#state.offsets);
  }

  // The time when the group has to examine its members: see group-alarm.ts.

  deadline(): Deadline {
    this.#deadline ??= this.#readDeadline();
    return this.#deadline;
  }

  #readDeadline(): Deadline {
    if (!this.#isCreated) return NO_DEADLINE;
    const query = "SELECT at_ms, set_at_ms FROM deadline WHERE id = 1";
    const row = firstRow<{ at_ms: number | null; set_at_ms: number }>(this.#sql, query);
    this.#noted(row?.set_at_ms ?? 0);
    return row === undefined ? NO_DEADLINE : { atMs: row.at_ms, setAtMs: row.set_at_ms };
  }

  /** Stores the deadline. Does nothing if the group has stored nothing. */
  setDeadline(deadline: Deadline): void {
    if (!this.#isCreated) return;
    this.#deadline = null; // The write may fail.
    const query = "INSERT OR REPLACE INTO deadline (id, at_ms, set_at_ms) VALUES (1, ?, ?)";
    this.#sql.exec(query, deadline.atMs, deadline.setAtMs);
    this.#deadline = deadline;
  }

  #put(
    table: "stored_members" | "targets" | "topics",
    key: string,
    id: string,
    json: string,
  ): void {
    this.#sql.exec(`INSERT OR REPLACE INTO ${table} (${key}, json) VALUES (?, ?)`, id, json);
  }
}

/**
 * Runs a query. Throws a KAFKA_STORAGE_ERROR that is not retriable if the result makes no sense [FIL-6]. If the
 * database itself cannot be read, the platform's error describes that better.
 */
function readable<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof BrokerError || platformFailureOf(error) !== "unexpected") throw error;
    throw damaged((error as Error).message);
  }
}

/** Reads all entries at once. */
function wholly<Key, Value>(load: () => ReadonlyMap<Key, Value>): RowSource<Key, Value> {
  let loaded: ReadonlyMap<Key, Value> | null = null;
  const all = () => {
    loaded ??= load();
    return loaded;
  };
  return { one: (key) => all().get(key), all };
}

function ownersOf(members: ReadonlyMap<string, Member>): Map<PartitionKey, string> {
  const owners = new Map<PartitionKey, string>();
  for (const { memberId, assigned, revoking } of members.values())
    for (const key of assigned.union(revoking)) owners.set(key, memberId);
  return owners;
}

function attachedMembers({ members }: GroupState): number {
  return [...members.values()].filter(({ polls }) => !polls).length;
}

type StoredEvent = Exclude<GroupEvent, { readonly type: "heard" | "unheard" | "told" }>;

/**
 * Returns the events to store. It drops events that a later one about the same thing makes void, because they
 * would only cost rows. A classic group is one thing: its last state is stored if any of its changes must
 * outlive a restart.
 */
function lastOfEach(events: readonly GroupEvent[]): StoredEvent[] {
  const last = new Map<string, StoredEvent>();
  let isClassicStored = false;
  for (const event of events) {
    if (event.type === "heard" || event.type === "unheard" || event.type === "told") continue;
    const subject = subjectOf(event);
    const isKept = event.type === "member" && event.isOnlyEpoch && !last.has(subject);
    last.delete(subject); // Its place in the order is that of the later event.
    if (!isKept) last.set(subject, event);
    if (event.type === "member-removed") last.delete(`target ${event.memberId}`);
    if (event.type === "classic" && event.isStored) isClassicStored = true;
  }
  if (!isClassicStored) last.delete("classic");
  return [...last.values()];
}

function subjectOf(event: StoredEvent): string {
  switch (event.type) {
    case "group":
    case "classic":
      return event.type;
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
    case "offset-removed":
      return `offset ${event.key}`;
    case "share-partition":
      return `share ${event.key}`;
  }
}
