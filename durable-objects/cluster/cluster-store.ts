// The metadata of a deployment in SQLite.
//
// topics         topic name → topic as JSON (id, partitions, config). It is indexed by topic_id.
// groups         one row per group that exists, with its state and type as it last reported them.
// counts         the numbers of rows in `topics`, `groups` and `deleted_topics`. Triggers count, whichever release writes.
// subscriptions  topic name × group: the groups to notify when a topic changes. It is indexed by group.
// patterns       group × pattern: the groups to notify when a matching topic is created. `prefix` begins all names
//                that match. It is null in rows that the previous release has written.
// cluster        one row: the config values set for all topics as JSON. Older releases count producer ids in
//                next_producer_id. Nothing else uses it.
// deleted_topics topics that were deleted and are kept for a while, with the times when they were deleted and will be freed.
// deleted_positions  topic id × group: the committed offsets of the group in a deleted topic.
// tasks          messages that other objects must still receive. They are kept until they are delivered.
// groups_made    groups that have stored something on a machine's disk. A group in `groups` may have stored nothing yet.
// partition_use  topic id × partition: the partitions that have been used, and their log ends, as last
//                reported (null until the partition has its tables). A row for partition -1 says that all used
//                partitions are listed. Topics older than this table lack that row.
// jurisdiction   one row with the jurisdiction, if the deployment has one. The cluster's object there has it, and so does
//                the object outside of all jurisdictions, which holds nothing else.
// incarnations   one row: the newest incarnation that a deleted group may have had.
// api_keys, secrets, audit, audit_changes, audit_refusals, issuer_keys: see access-store.ts.
import * as z from "zod";
import type { ForgottenPositions, KeptPosition } from "../../src/calls/group-calls.ts";
import type { ConfigOverrides } from "../../src/core/cluster/config.ts";
import { resolveTopic, type Topic } from "../../src/core/cluster/topics.ts";
import type { BrokerError, Failure } from "../../src/core/errors.ts";
import type { GroupSummary } from "../../src/core/group/describe.ts";
import { beginningOfNames } from "../../src/core/group/topic-pattern.ts";
import { MAX_METADATA_BYTES, MAX_ROW_BYTES, MAX_TOPICS } from "../../src/core/limits.ts";
import { brokerError } from "../../src/core/platform-errors.ts";
import {
  addColumn,
  createTables,
  execAll,
  migrate,
  type Schema,
  storedVersion,
} from "../shared/schema.ts";
import { whyNoSpace } from "../shared/space.ts";
import { firstRow, type SizedSql, type Sql, type Transactional } from "../shared/sql.ts";
import { parseStored, storedOverrides } from "../shared/stored-json.ts";
import { storedTopic } from "../shared/stored-topic.ts";
import { wallClockMs } from "../shared/wall-clock.ts";
import { ACCESS_TABLES, AccessStore, AUDIT_TABLES, splitAudit } from "./access-store.ts";

/** A task that involves other objects. Every task may run more than once. The names are stored. */
const storedTask = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("destroy-topic"),
    topicId: z.string(),
    partitions: z.number(),
    /** The partitions that were used, if that is known. */
    used: z.array(z.number()).optional(),
  }),
  z.object({ type: z.literal("configure-topic"), topicId: z.string() }),
  /**
   * Distributes a change of the defaults. `keys` are the keys that have changed. Release 0.3 does not know this
   * type.
   */
  z.object({ type: z.literal("configure-all"), keys: z.array(z.string()) }),
  z.object({ type: z.literal("tell-group"), groupId: z.string(), topic: z.string() }),
  // The next types are new. Release 0.3 leaves them to a newer release.
  /** [DEL-1] Makes the partitions of a deleted topic keep their data and serve nothing. */
  z.object({ type: z.literal("retire-topic"), topicId: z.string() }),
  /** [DEL-2] Makes the partitions serve the topic again. */
  z.object({ type: z.literal("restore-topic"), topicId: z.string() }),
  /** [DEL-3] Restores a group's committed offsets in a topic. */
  z.object({
    type: z.literal("restore-positions"),
    groupId: z.string(),
    topic: z.string(),
    topicId: z.string(),
  }),
]);
export type Task = z.output<typeof storedTask>;

export interface StoredTask {
  readonly id: number;
  readonly task: Task;
}

const TASK_TYPES: ReadonlySet<string> = new Set(
  storedTask.options.map(({ shape }) => shape.type.value),
);

/** [VER-3] Parses a task of a type that only a newer release knows as null. It is left to that release. */
const anyTask = z.union([
  storedTask,
  z.object({ type: z.string().refine((type) => !TASK_TYPES.has(type)) }).transform(() => null),
]);

function readTask(json: string): Task | BrokerError | null {
  try {
    return parseStored(anyTask, json, "tasks.task");
  } catch (error) {
    return brokerError(error);
  }
}

/**
 * This number stands in place of a partition number. It marks topics that were created by a release that
 * remembers use.
 */
const USE_IS_REMEMBERED = -1;

const CREATE_GROUPS_MADE =
  "CREATE TABLE IF NOT EXISTS groups_made (group_id TEXT PRIMARY KEY) WITHOUT ROWID";
const CREATE_PARTITION_USE = `CREATE TABLE IF NOT EXISTS partition_use
  (topic_id TEXT NOT NULL, partition INTEGER NOT NULL, log_end INTEGER, PRIMARY KEY (topic_id, partition)) WITHOUT ROWID`;
const CREATE_INCARNATIONS =
  "CREATE TABLE IF NOT EXISTS incarnations (id INTEGER PRIMARY KEY, newest INTEGER NOT NULL)";

const CREATE_JURISDICTION =
  "CREATE TABLE IF NOT EXISTS jurisdiction (id INTEGER PRIMARY KEY, name TEXT NOT NULL)";

const CREATE_SUBSCRIPTIONS_BY_GROUP =
  "CREATE INDEX IF NOT EXISTS subscriptions_by_group ON subscriptions (group_id)";

/**
 * Counting rows reads them all, so triggers count them as they come and go. An upsert that updates or keeps a
 * row is not an insert.
 */
const CREATE_COUNTS = [
  "CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, rows INTEGER NOT NULL) WITHOUT ROWID",
  ...["topics", "groups", "deleted_topics"].flatMap((table) => [
    `INSERT OR REPLACE INTO counts SELECT '${table}', count(*) FROM ${table}`,
    `CREATE TRIGGER IF NOT EXISTS ${table}_come AFTER INSERT ON ${table} BEGIN
       UPDATE counts SET rows = rows + 1 WHERE name = '${table}';
     END`,
    `CREATE TRIGGER IF NOT EXISTS ${table}_go AFTER DELETE ON ${table} BEGIN
       UPDATE counts SET rows = rows - 1 WHERE name = '${table}';
     END`,
  ]),
];
const CREATE_DELETED = [
  `CREATE TABLE IF NOT EXISTS deleted_topics (topic_id TEXT PRIMARY KEY, name TEXT NOT NULL, topic TEXT NOT NULL,
     deleted_at_ms INTEGER NOT NULL, purge_at_ms INTEGER NOT NULL) WITHOUT ROWID`,
  "CREATE INDEX IF NOT EXISTS deleted_by_name ON deleted_topics (name, topic_id)",
  "CREATE INDEX IF NOT EXISTS deleted_by_end ON deleted_topics (purge_at_ms)",
  `CREATE TABLE IF NOT EXISTS deleted_positions (topic_id TEXT NOT NULL, group_id TEXT NOT NULL, positions TEXT NOT NULL,
     PRIMARY KEY (topic_id, group_id)) WITHOUT ROWID`,
];
const CREATE_PATTERNS_BY_PREFIX =
  "CREATE INDEX IF NOT EXISTS patterns_by_prefix ON patterns (prefix, pattern)";

const TABLES = [
  "CREATE TABLE topics (name TEXT PRIMARY KEY, topic TEXT NOT NULL) WITHOUT ROWID",
  "CREATE TABLE topic_ids (topic_id TEXT PRIMARY KEY, name TEXT NOT NULL) WITHOUT ROWID",
  "CREATE TABLE groups (group_id TEXT PRIMARY KEY, summary TEXT) WITHOUT ROWID",
  "CREATE TABLE subscriptions (topic TEXT NOT NULL, group_id TEXT NOT NULL, PRIMARY KEY (topic, group_id)) WITHOUT ROWID",
  "CREATE TABLE patterns (group_id TEXT NOT NULL, pattern TEXT NOT NULL, prefix TEXT, PRIMARY KEY (group_id, pattern)) WITHOUT ROWID",
  "CREATE TABLE cluster (id INTEGER PRIMARY KEY, defaults TEXT NOT NULL, next_producer_id INTEGER NOT NULL)",
  "INSERT INTO cluster (id, defaults, next_producer_id) VALUES (1, '{}', 0)",
  "CREATE TABLE tasks (id INTEGER PRIMARY KEY, task TEXT NOT NULL)",
  CREATE_GROUPS_MADE,
  CREATE_PARTITION_USE,
  CREATE_INCARNATIONS,
  CREATE_JURISDICTION,
  ...ACCESS_TABLES,
  CREATE_SUBSCRIPTIONS_BY_GROUP,
  ...AUDIT_TABLES,
  ...CREATE_DELETED,
  ...CREATE_COUNTS,
  CREATE_PATTERNS_BY_PREFIX,
];

/** Release 0.1 made these tables when it first needed them, all but the last. */
const STEP_2 = [CREATE_GROUPS_MADE, CREATE_PARTITION_USE, CREATE_INCARNATIONS, CREATE_JURISDICTION];

const SCHEMA: Schema = {
  kind: "cluster",
  own: "cluster",
  oldestReader: 1,
  create: (sql) => execAll(sql, TABLES),
  steps: [
    (sql) => execAll(sql, STEP_2),
    countIncarnations,
    (sql) => execAll(sql, [...ACCESS_TABLES, CREATE_SUBSCRIPTIONS_BY_GROUP]),
    (sql) => {
      execAll(sql, AUDIT_TABLES);
      splitAudit(sql);
    },
    toVersion6,
  ],
};

/** Incarnations were times up to release 0.2. From now on they are counted, starting after all times so far. */
function countIncarnations(sql: Sql): void {
  sql.exec(
    "INSERT OR REPLACE INTO incarnations VALUES (1, max(?, coalesce((SELECT newest FROM incarnations WHERE id = 1), 0)))",
    wallClockMs(sql),
  );
}

/**
 * From now on rows are counted, groups have a summary, and patterns are found by the beginning of the names
 * that match.
 */
function toVersion6(sql: Sql): void {
  execAll(sql, [...CREATE_DELETED, ...CREATE_COUNTS]);
  addColumn(sql, "groups", "summary", "TEXT");
  addColumn(sql, "patterns", "prefix", "TEXT");
  sql.exec(CREATE_PATTERNS_BY_PREFIX);
}

const storedPositions = z.array(
  z.object({
    partition: z.number(),
    offset: z.number(),
    metadata: z.string().exactOptional(),
    leaderEpoch: z.number().exactOptional(),
  }),
);

const DELETED = "SELECT topic, deleted_at_ms, purge_at_ms FROM deleted_topics";

type DeletedRow = {
  readonly topic: string;
  readonly deleted_at_ms: number;
  readonly purge_at_ms: number;
};

/** A deleted topic that is kept for a while. */
export interface KeptTopic {
  readonly topic: Topic;
  readonly deletedAtMs: number;
  readonly purgeAtMs: number;
}

/** A group's state and type, as lists show them. The names are stored. */
const storedSummary = z.object({
  protocolType: z.string(),
  groupState: z.string(),
  groupType: z.string(),
});

export interface ListedGroup {
  readonly groupId: string;
  /** Null if the group has not reported it yet. */
  readonly summary: GroupSummary | null;
}

export class ClusterStore {
  /** API keys, secrets, and the key sets of issuers. */
  readonly access: AccessStore;
  readonly #storage: Transactional;
  readonly #sql: SizedSql;
  /** The config values set for all topics. Null until they are first read. */
  #defaults: ConfigOverrides | null = null;

  /** [FIL-7] [VER-2] Throws if the stored data does not belong to a cluster, or only a newer release can use it. */
  constructor(storage: Transactional) {
    this.#storage = storage;
    this.#sql = storage.sql;
    this.access = new AccessStore(this.#sql);
    const version = storedVersion(this.#sql, SCHEMA);
    if (version === null) this.transaction(() => createTables(this.#sql, SCHEMA));
    else migrate(storage, SCHEMA, version);
  }

  transaction<T>(body: () => T): T {
    try {
      return this.#storage.transactionSync(body);
    } catch (error) {
      this.#defaults = null; // They may have been changed in the transaction, which was rolled back.
      throw error;
    }
  }

  /** [LOG-13] Returns why nothing may be added, or null. Deleted data makes room at once. */
  whyNoSpace(): Failure | null {
    const wayOut = "delete topics, groups or API keys";
    return whyNoSpace("the cluster's metadata", this.#sql, MAX_METADATA_BYTES, wayOut);
  }

  topic(name: string): Topic | null {
    const row = firstRow<{ topic: string }>(
      this.#sql,
      "SELECT topic FROM topics WHERE name = ?",
      name,
    );
    return row === undefined ? null : this.#parseTopic(row.topic);
  }

  topicById(topicId: string): Topic | null {
    const row = firstRow<{ name: string }>(
      this.#sql,
      "SELECT name FROM topic_ids WHERE topic_id = ?",
      topicId,
    );
    return row === undefined ? null : this.topic(row.name);
  }

  /** The number of topics. It costs the same however many there are, unlike `topics`. */
  get topicCount(): number {
    return this.#countOf("topics");
  }

  #countOf(table: "topics" | "groups" | "deleted_topics"): number {
    const query = "SELECT rows FROM counts WHERE name = ?";
    return firstRow<{ rows: number }>(this.#sql, query, table)?.rows ?? 0;
  }

  hasTopic(name: string): boolean {
    return firstRow(this.#sql, "SELECT 1 AS found FROM topics WHERE name = ?", name) !== undefined;
  }

  /** Returns the names of topics that begin with the prefix, up to `limit`. */
  topicNames(prefix: string, limit = MAX_TOPICS): string[] {
    const rows = this.#sql.exec<{ name: string }>(
      "SELECT name FROM topics WHERE name >= ? AND name < ? ORDER BY name LIMIT ?",
      prefix,
      endOf(prefix),
      limit,
    );
    return Array.from(rows, ({ name }) => name);
  }

  topics(): Topic[] {
    return this.topicsAfter("", MAX_TOPICS);
  }

  /** Returns the topics whose names come after this one, by name, up to `limit`. */
  topicsAfter(name: string, limit: number): Topic[] {
    const rows = this.#sql.exec<{ topic: string }>(
      "SELECT topic FROM topics WHERE name > ? ORDER BY name LIMIT ?",
      name,
      limit,
    );
    return Array.from(rows, (row) => this.#parseTopic(row.topic));
  }

  #parseTopic(json: string): Topic {
    const topic = parseStored(storedTopic, json, "topics.topic");
    return resolveTopic({ ...topic, defaults: this.defaults() });
  }

  putTopic(topic: Topic): void {
    const json = JSON.stringify(topic);
    this.#sql.exec(
      "INSERT INTO topics (name, topic) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET topic = excluded.topic",
      topic.name,
      json,
    );
    this.#sql.exec(
      "INSERT INTO topic_ids (topic_id, name) VALUES (?, ?) ON CONFLICT (topic_id) DO NOTHING",
      topic.topicId,
      topic.name,
    );
  }

  /** Starts to remember which partitions are used. Called when the topic is created. */
  rememberUse(topicId: string): void {
    this.#sql.exec(
      "INSERT INTO partition_use (topic_id, partition) VALUES (?, ?)",
      topicId,
      USE_IS_REMEMBERED,
    );
  }

  /**
   * Notes that the partition is in use, and that it has its tables if `hasBegun`. Returns the last reported end
   * of its log, or null if none was reported.
   */
  usePartition(topicId: string, partition: number, hasBegun: boolean): number | null {
    const known = firstRow<{ log_end: number | null }>(
      this.#sql,
      "SELECT log_end FROM partition_use WHERE topic_id = ? AND partition = ?",
      topicId,
      partition,
    );
    if (known === undefined)
      this.#sql.exec(
        "INSERT INTO partition_use (topic_id, partition, log_end) VALUES (?, ?, ?)",
        topicId,
        partition,
        hasBegun ? 0 : null,
      );
    else if (known.log_end === null && hasBegun) this.noteLogEnd(topicId, partition, 0);
    return known?.log_end ?? null;
  }

  noteLogEnd(topicId: string, partition: number, logEnd: number): void {
    this.#sql.exec(
      `INSERT INTO partition_use (topic_id, partition, log_end) VALUES (?, ?, ?)
         ON CONFLICT (topic_id, partition) DO UPDATE SET log_end = max(coalesce(log_end, 0), excluded.log_end)`,
      topicId,
      partition,
      logEnd,
    );
  }

  /** Returns the topic's used partitions, or null if they are not remembered. */
  usedPartitions(topicId: string): number[] | null {
    const rows = this.#sql.exec<{ partition: number }>(
      "SELECT partition FROM partition_use WHERE topic_id = ? ORDER BY partition",
      topicId,
    );
    const [first, ...used] = Array.from(rows, ({ partition }) => partition);
    return first === USE_IS_REMEMBERED ? used : null;
  }

  deleteTopic(topic: Topic): void {
    this.#takeTopic(topic);
    this.#sql.exec("DELETE FROM partition_use WHERE topic_id = ?", topic.topicId);
  }

  #takeTopic(topic: Topic): void {
    this.#sql.exec("DELETE FROM topics WHERE name = ?", topic.name);
    this.#sql.exec("DELETE FROM topic_ids WHERE topic_id = ?", topic.topicId);
  }

  // Deleted topics that are kept [DEL-1].

  /** Removes the topic from the list, and keeps the record of its used partitions. */
  keepDeleted(topic: Topic, deletedAtMs: number, purgeAtMs: number): void {
    this.#takeTopic(topic);
    this.#sql.exec(
      "INSERT OR REPLACE INTO deleted_topics VALUES (?, ?, ?, ?, ?)",
      topic.topicId,
      topic.name,
      JSON.stringify(topic),
      deletedAtMs,
      purgeAtMs,
    );
  }

  deletedTopic(topicId: string): KeptTopic | null {
    const query = `${DELETED} WHERE topic_id = ?`;
    const row = firstRow<DeletedRow>(this.#sql, query, topicId);
    return row === undefined ? null : this.#keptTopic(row);
  }

  /** Returns the deleted topics with this name. */
  deletedNamed(name: string, limit: number): KeptTopic[] {
    const query = `${DELETED} WHERE name = ? ORDER BY topic_id LIMIT ?`;
    return Array.from(this.#sql.exec<DeletedRow>(query, name, limit), (row) =>
      this.#keptTopic(row),
    );
  }

  /** Returns the deleted topics after a name and an id, by name and then by id. */
  deletedAfter(name: string, topicId: string, limit: number): KeptTopic[] {
    const query = `${DELETED} WHERE (name, topic_id) > (?, ?) ORDER BY name, topic_id LIMIT ?`;
    return Array.from(this.#sql.exec<DeletedRow>(query, name, topicId, limit), (row) =>
      this.#keptTopic(row),
    );
  }

  /** Returns the deleted topics in the order in which they are due to be freed. */
  deletedByEnd(limit: number): KeptTopic[] {
    const query = `${DELETED} ORDER BY purge_at_ms LIMIT ?`;
    return Array.from(this.#sql.exec<DeletedRow>(query, limit), (row) => this.#keptTopic(row));
  }

  /** The time when the next deleted topic is freed. Null if there is none. */
  nextPurgeMs(): number | null {
    const query = "SELECT min(purge_at_ms) AS at_ms FROM deleted_topics";
    return firstRow<{ at_ms: number | null }>(this.#sql, query)?.at_ms ?? null;
  }

  get deletedCount(): number {
    return this.#countOf("deleted_topics");
  }

  #keptTopic(row: DeletedRow): KeptTopic {
    const topic = resolveTopic({
      ...parseStored(storedTopic, row.topic, "deleted_topics.topic"),
      defaults: this.defaults(),
    });
    return { topic, deletedAtMs: row.deleted_at_ms, purgeAtMs: row.purge_at_ms };
  }

  /** Forgets that the topic was deleted. The record of its used partitions is kept. */
  forgetDeleted(topicId: string): void {
    this.#sql.exec("DELETE FROM deleted_topics WHERE topic_id = ?", topicId);
  }

  /** Forgets everything about a deleted topic. */
  purgeDeleted(topicId: string): void {
    this.forgetDeleted(topicId);
    this.#sql.exec("DELETE FROM partition_use WHERE topic_id = ?", topicId);
    this.#sql.exec("DELETE FROM deleted_positions WHERE topic_id = ?", topicId);
  }

  /**
   * [DEL-3] Keeps the committed offsets of a group in a deleted topic. Client metadata that would not fit a row
   * is left out.
   */
  keepPositions(groupId: string, { topicId, positions }: ForgottenPositions): void {
    let json = JSON.stringify(positions);
    if (json.length * 3 > MAX_ROW_BYTES)
      json = JSON.stringify(positions.map(({ metadata: _, ...position }) => position));
    this.#sql.exec(
      "INSERT OR REPLACE INTO deleted_positions VALUES (?, ?, ?)",
      topicId,
      groupId,
      json,
    );
  }

  /** Returns the groups that had committed offsets in a deleted topic. */
  groupsWithPositions(topicId: string): string[] {
    const query = "SELECT group_id FROM deleted_positions WHERE topic_id = ?";
    return Array.from(
      this.#sql.exec<{ group_id: string }>(query, topicId),
      ({ group_id }) => group_id,
    );
  }

  positionsKept(topicId: string, groupId: string): KeptPosition[] {
    const query = "SELECT positions FROM deleted_positions WHERE topic_id = ? AND group_id = ?";
    const row = firstRow<{ positions: string }>(this.#sql, query, topicId, groupId);
    return parseStored(storedPositions, row?.positions ?? "[]", "deleted_positions.positions");
  }

  forgetPositions(topicId: string, groupId: string): void {
    const query = "DELETE FROM deleted_positions WHERE topic_id = ? AND group_id = ?";
    this.#sql.exec(query, topicId, groupId);
  }

  defaults(): ConfigOverrides {
    if (this.#defaults === null) {
      const query = "SELECT defaults FROM cluster WHERE id = 1";
      const row = firstRow<{ defaults: string }>(this.#sql, query);
      this.#defaults = parseStored(storedOverrides, row?.defaults ?? "{}", "cluster.defaults");
    }
    return this.#defaults;
  }

  setDefaults(defaults: ConfigOverrides): void {
    this.#sql.exec("UPDATE cluster SET defaults = ? WHERE id = 1", JSON.stringify(defaults));
    this.#defaults = defaults;
  }

  /** Returns the newest incarnation of any deleted group, or 0 if there was none. */
  retiredIncarnation(): number {
    const query = "SELECT newest FROM incarnations WHERE id = 1";
    return firstRow<{ newest: number }>(this.#sql, query)?.newest ?? 0;
  }

  setRetiredIncarnation(incarnation: number): void {
    this.#sql.exec("INSERT OR REPLACE INTO incarnations VALUES (1, ?)", incarnation);
  }

  /** The number of groups. It costs the same however many there are, unlike `groups`. */
  get groupCount(): number {
    return this.#countOf("groups");
  }

  /** [PLC-1] Returns the noted jurisdiction, or null. */
  jurisdiction(): string | null {
    const query = "SELECT name FROM jurisdiction WHERE id = 1";
    return firstRow<{ name: string }>(this.#sql, query)?.name ?? null;
  }

  setJurisdiction(name: string): void {
    this.#sql.exec("INSERT OR REPLACE INTO jurisdiction (id, name) VALUES (1, ?)", name);
  }

  /** True if nothing has ever been set or created, or nothing of it is left. */
  isEmpty(): boolean {
    const found = firstRow<{ count: number }>(
      this.#sql,
      `SELECT (SELECT count(*) FROM topics) + (SELECT count(*) FROM groups) + (SELECT count(*) FROM tasks)
         + (SELECT count(*) FROM api_keys)
         + (SELECT count(*) FROM cluster WHERE defaults != '{}') AS count`,
    );
    return found?.count === 0;
  }

  groups(): string[] {
    return Array.from(
      this.#sql.exec<{ group_id: string }>("SELECT group_id FROM groups ORDER BY group_id"),
      (row) => row.group_id,
    );
  }

  /** Returns the ids of groups that begin with the prefix, up to `limit`. */
  groupIds(prefix: string, limit: number): string[] {
    const rows = this.#sql.exec<{ group_id: string }>(
      "SELECT group_id FROM groups WHERE group_id >= ? AND group_id < ? ORDER BY group_id LIMIT ?",
      prefix,
      endOf(prefix),
      limit,
    );
    return Array.from(rows, (row) => row.group_id);
  }

  /** Returns the groups whose ids come after this one, by id, up to `limit`. */
  groupsAfter(groupId: string, limit: number): ListedGroup[] {
    const rows = this.#sql.exec<{ group_id: string; summary: string | null }>(
      "SELECT group_id, summary FROM groups WHERE group_id > ? ORDER BY group_id LIMIT ?",
      groupId,
      limit,
    );
    return Array.from(rows, ({ group_id, summary }) => ({
      groupId: group_id,
      summary: summary === null ? null : parseStored(storedSummary, summary, "groups.summary"),
    }));
  }

  /** Notes a group's state and type, if the group is listed. */
  summarizeGroup(groupId: string, summary: GroupSummary): void {
    this.#sql.exec(
      "UPDATE groups SET summary = ? WHERE group_id = ?",
      JSON.stringify(summary),
      groupId,
    );
  }

  hasGroup(groupId: string): boolean {
    return (
      firstRow(this.#sql, "SELECT 1 AS found FROM groups WHERE group_id = ?", groupId) !== undefined
    );
  }

  /** Lists a group unless it is listed. The summary is that of a new group. */
  putGroup(groupId: string, summary: GroupSummary | null = null): void {
    this.#sql.exec(
      "INSERT INTO groups (group_id, summary) VALUES (?, ?) ON CONFLICT DO NOTHING",
      groupId,
      summary === null ? null : JSON.stringify(summary),
    );
  }

  /** Notes that the group has stored something. */
  noteGroupMade(groupId: string): void {
    this.#sql.exec("INSERT INTO groups_made (group_id) VALUES (?) ON CONFLICT DO NOTHING", groupId);
  }

  isGroupMade(groupId: string): boolean {
    return (
      firstRow(this.#sql, "SELECT 1 AS found FROM groups_made WHERE group_id = ?", groupId) !==
      undefined
    );
  }

  deleteGroup(groupId: string): void {
    this.#sql.exec("DELETE FROM groups_made WHERE group_id = ?", groupId);
    this.#sql.exec("DELETE FROM groups WHERE group_id = ?", groupId);
    this.#sql.exec("DELETE FROM subscriptions WHERE group_id = ?", groupId);
    this.#sql.exec("DELETE FROM patterns WHERE group_id = ?", groupId);
  }

  subscribe(groupId: string, topic: string): void {
    this.#sql.exec(
      "INSERT INTO subscriptions (topic, group_id) VALUES (?, ?) ON CONFLICT DO NOTHING",
      topic,
      groupId,
    );
  }

  /** Returns how many subscriptions the group has, and how many of these names would be new. */
  subscriptionCounts(groupId: string, names: readonly string[]): { known: number; added: number } {
    const count = "SELECT count(*) AS known FROM subscriptions WHERE group_id = ?";
    const known = firstRow<{ known: number }>(this.#sql, count, groupId)?.known ?? 0;
    const query = "SELECT 1 AS found FROM subscriptions WHERE topic = ? AND group_id = ?";
    const added = names.filter(
      (name) => firstRow(this.#sql, query, name, groupId) === undefined,
    ).length;
    return { known, added };
  }

  /** Forgets all subscriptions of a group except these. */
  keepSubscriptions(
    groupId: string,
    names: ReadonlySet<string>,
    patterns: ReadonlySet<string>,
  ): void {
    const rows = this.#sql.exec<{ topic: string }>(
      "SELECT topic FROM subscriptions WHERE group_id = ?",
      groupId,
    );
    for (const { topic } of Array.from(rows)) {
      if (names.has(topic)) continue;
      this.#sql.exec("DELETE FROM subscriptions WHERE topic = ? AND group_id = ?", topic, groupId);
    }
    for (const pattern of this.patternsOf(groupId)) {
      if (patterns.has(pattern)) continue;
      this.#sql.exec("DELETE FROM patterns WHERE group_id = ? AND pattern = ?", groupId, pattern);
    }
  }

  subscribers(topic: string): string[] {
    const rows = this.#sql.exec<{ group_id: string }>(
      "SELECT group_id FROM subscriptions WHERE topic = ?",
      topic,
    );
    return Array.from(rows, (row) => row.group_id);
  }

  /**
   * Remembers the pattern. Also notes the beginning of the names that match, if the previous release has not
   * noted it.
   */
  subscribeToPattern(groupId: string, pattern: string): void {
    this.#sql.exec(
      `INSERT INTO patterns (group_id, pattern, prefix) VALUES (?, ?, ?)
         ON CONFLICT DO UPDATE SET prefix = excluded.prefix WHERE prefix IS NULL`,
      groupId,
      pattern,
      beginningOfNames(pattern),
    );
  }

  patternsOf(groupId: string): string[] {
    const rows = this.#sql.exec<{ pattern: string }>(
      "SELECT pattern FROM patterns WHERE group_id = ?",
      groupId,
    );
    return Array.from(rows, (row) => row.pattern);
  }

  /**
   * Returns the patterns that may match a topic's name, each with its groups. It reads only the patterns whose
   * names begin like this one, and those whose beginning is not known.
   */
  patternsFor(name: string): Map<string, string[]> {
    const beginnings = Array.from({ length: name.length + 1 }, (_, i) => name.slice(0, i));
    const query = "SELECT group_id, pattern FROM patterns WHERE prefix";
    const found = new Map<string, string[]>();
    for (const rows of [
      this.#sql.exec<{ group_id: string; pattern: string }>(
        `${query} IN (SELECT value FROM json_each(?))`,
        JSON.stringify(beginnings),
      ),
      this.#sql.exec<{ group_id: string; pattern: string }>(`${query} IS NULL`),
    ])
      for (const { group_id, pattern } of rows) {
        const groups = found.get(pattern);
        if (groups === undefined) found.set(pattern, [group_id]);
        else groups.push(group_id);
      }
    return found;
  }

  /** Stores a task and returns it with its number. */
  addTask(task: Task): StoredTask {
    const query = "INSERT INTO tasks (task) VALUES (?) RETURNING id";
    const id = firstRow<{ id: number }>(this.#sql, query, JSON.stringify(task))?.id ?? 0;
    return { id, task };
  }

  /**
   * Returns the oldest tasks after this one, up to `limit`, and the number of the last task examined. [CRC-2] A
   * damaged task is reported as an error, and does not stop the others.
   */
  tasksAfter(
    id: number,
    limit: number,
  ): { tasks: StoredTask[]; damaged: BrokerError[]; lastId: number | null } {
    const rows = Array.from(
      this.#sql.exec<{ id: number; task: string }>(
        "SELECT id, task FROM tasks WHERE id > ? ORDER BY id LIMIT ?",
        id,
        limit,
      ),
    );
    const tasks: StoredTask[] = [];
    const damaged: BrokerError[] = [];
    for (const row of rows) {
      const task = readTask(row.task);
      if (task instanceof Error) damaged.push(task);
      else if (task !== null) tasks.push({ id: row.id, task });
    }
    return { tasks, damaged, lastId: rows.at(-1)?.id ?? null };
  }

  get hasTasks(): boolean {
    return firstRow(this.#sql, "SELECT 1 AS found FROM tasks LIMIT 1") !== undefined;
  }

  deleteTask(id: number): void {
    this.#sql.exec("DELETE FROM tasks WHERE id = ?", id);
  }
}

/** Returns the text that comes after all texts with this prefix. SQLite compares texts by their UTF-8. */
function endOf(prefix: string): string {
  return `${prefix}\u{10ffff}`;
}
