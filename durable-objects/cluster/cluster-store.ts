// The metadata of a deployment in SQLite.
//
// topics         topic name → topic as JSON (id, partitions, config). It is indexed by topic_id.
// groups         one row per group that exists.
// subscriptions  topic name × group: the groups to tell when a topic changes. It is indexed by group.
// patterns       group × pattern: the groups to tell when a topic is created whose name matches.
// cluster        one row: the config values set for all topics as JSON. Older releases count producer ids in
//                next_producer_id. Nothing else uses it.
// tasks          messages that other objects must still receive. They are kept until they are delivered.
// groups_made    groups that have stored something on a machine's disk. A group in `groups` may only be about to.
// partition_use  topic id × partition: the partitions that have been used, and the ends of their logs, as last
//                reported (null until the partition has its tables). A row for partition -1 says that all used
//                partitions are listed. Topics that are older than this table do not have that row.
// jurisdiction   one row, in a deployment with a jurisdiction: which one. So it is in the cluster's object there, and in
//                the one outside of any, which holds nothing else.
// incarnations   one row: the newest incarnation that a deleted group may have had.
// api_keys, secrets, audit, audit_changes, audit_refusals, issuer_keys: see access-store.ts.
import * as z from "zod";
import type { ConfigOverrides } from "../../src/core/cluster/config.ts";
import { resolveTopic, type Topic } from "../../src/core/cluster/topics.ts";
import type { BrokerError, Failure } from "../../src/core/errors.ts";
import { MAX_METADATA_BYTES } from "../../src/core/limits.ts";
import { brokerError } from "../../src/core/platform-errors.ts";
import { createTables, execAll, migrate, type Schema, storedVersion } from "../shared/schema.ts";
import { whyNoSpace } from "../shared/space.ts";
import { firstRow, type SizedSql, type Sql, type Transactional } from "../shared/sql.ts";
import { parseStored, storedOverrides } from "../shared/stored-json.ts";
import { storedTopic } from "../shared/stored-topic.ts";
import { wallClockMs } from "../shared/wall-clock.ts";
import { ACCESS_TABLES, AccessStore, AUDIT_TABLES, splitAudit } from "./access-store.ts";

/** A task that involves other objects. Every task may run more than once. The names are on disk. */
const storedTask = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("destroy-topic"),
    topicId: z.string(),
    partitions: z.number(),
    /** The partitions that were used, if that is remembered. */
    used: z.array(z.number()).optional(),
  }),
  z.object({ type: z.literal("configure-topic"), topicId: z.string() }),
  z.object({ type: z.literal("tell-group"), groupId: z.string(), topic: z.string() }),
]);
export type Task = z.output<typeof storedTask>;

const TASK_TYPES: ReadonlySet<string> = new Set(
  storedTask.options.map(({ shape }) => shape.type.value),
);

/** [VER-3] A task of a type that only a newer release knows is null. It is left to that release. */
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
 * This number stands in the place of a partition's number. It says that a release that remembers use created the topic.
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

const TABLES = [
  "CREATE TABLE topics (name TEXT PRIMARY KEY, topic TEXT NOT NULL) WITHOUT ROWID",
  "CREATE TABLE topic_ids (topic_id TEXT PRIMARY KEY, name TEXT NOT NULL) WITHOUT ROWID",
  "CREATE TABLE groups (group_id TEXT PRIMARY KEY) WITHOUT ROWID",
  "CREATE TABLE subscriptions (topic TEXT NOT NULL, group_id TEXT NOT NULL, PRIMARY KEY (topic, group_id)) WITHOUT ROWID",
  "CREATE TABLE patterns (group_id TEXT NOT NULL, pattern TEXT NOT NULL, PRIMARY KEY (group_id, pattern)) WITHOUT ROWID",
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
  ],
};

/** Up to release 0.2, incarnations were times. From now on they are counted, beginning after all times so far. */
function countIncarnations(sql: Sql): void {
  sql.exec(
    "INSERT OR REPLACE INTO incarnations VALUES (1, max(?, coalesce((SELECT newest FROM incarnations WHERE id = 1), 0)))",
    wallClockMs(sql),
  );
}

/** The number of a table's rows. Counting them reads every row, so that is done once in a life. */
class RowCount {
  readonly #sql: Sql;
  readonly #table: "topics" | "groups";
  #rows: number | null = null;

  constructor(sql: Sql, table: "topics" | "groups") {
    this.#sql = sql;
    this.#table = table;
  }

  get(): number {
    const query = `SELECT count(*) AS rows FROM ${this.#table}`;
    this.#rows ??= firstRow<{ rows: number }>(this.#sql, query)?.rows ?? 0;
    return this.#rows;
  }

  change(rows: number): void {
    if (this.#rows !== null) this.#rows += rows;
  }

  forget(): void {
    this.#rows = null;
  }
}

export class ClusterStore {
  /** API keys, secrets, and the key sets of issuers. */
  readonly access: AccessStore;
  readonly #topicCount: RowCount;
  readonly #groupCount: RowCount;
  readonly #storage: Transactional;
  readonly #sql: SizedSql;
  /** The config values set for all topics. Null before they are first read. */
  #defaults: ConfigOverrides | null = null;

  /** [FIL-7] [VER-2] Throws if the stored data does not belong to a cluster, or only a newer release can use it. */
  constructor(storage: Transactional) {
    this.#storage = storage;
    this.#sql = storage.sql;
    this.access = new AccessStore(this.#sql);
    this.#topicCount = new RowCount(this.#sql, "topics");
    this.#groupCount = new RowCount(this.#sql, "groups");
    const version = storedVersion(this.#sql, SCHEMA);
    if (version === null) this.transaction(() => createTables(this.#sql, SCHEMA));
    else migrate(storage, SCHEMA, version);
  }

  transaction<T>(body: () => T): T {
    try {
      return this.#storage.transactionSync(body);
    } catch (error) {
      // They may have been changed in the transaction, which was rolled back.
      this.#defaults = null;
      this.#topicCount.forget();
      this.#groupCount.forget();
      throw error;
    }
  }

  /** [LOG-13] Returns why nothing may be added, or null. What was deleted makes room at once. */
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

  /** The number of topics. Unlike `topics`, it costs the same however many there are. */
  get topicCount(): number {
    return this.#topicCount.get();
  }

  hasTopic(name: string): boolean {
    return firstRow(this.#sql, "SELECT 1 AS found FROM topics WHERE name = ?", name) !== undefined;
  }

  topicNames(): string[] {
    return Array.from(
      this.#sql.exec<{ name: string }>("SELECT name FROM topics"),
      ({ name }) => name,
    );
  }

  topics(): Topic[] {
    const rows = this.#sql.exec<{ topic: string }>("SELECT topic FROM topics ORDER BY name");
    return Array.from(rows, (row) => this.#parseTopic(row.topic));
  }

  #parseTopic(json: string): Topic {
    const topic = parseStored(storedTopic, json, "topics.topic");
    return resolveTopic({ ...topic, defaults: this.defaults() });
  }

  putTopic(topic: Topic): void {
    if (!this.hasTopic(topic.name)) this.#topicCount.change(1);
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

  /** Begins to remember which partitions are used. Called when the topic is created. */
  rememberUse(topicId: string): void {
    this.#sql.exec(
      "INSERT INTO partition_use (topic_id, partition) VALUES (?, ?)",
      topicId,
      USE_IS_REMEMBERED,
    );
  }

  /** Notes that the partition is in use. Returns the last reported end of its log, or null if the partition is new. */
  usePartition(topicId: string, partition: number): number | null {
    const known = firstRow<{ log_end: number | null }>(
      this.#sql,
      "SELECT log_end FROM partition_use WHERE topic_id = ? AND partition = ?",
      topicId,
      partition,
    );
    if (known === undefined)
      this.#sql.exec(
        "INSERT INTO partition_use (topic_id, partition) VALUES (?, ?)",
        topicId,
        partition,
      );
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

  /** Returns the topic's partitions that have been used, or null if that is not remembered. */
  usedPartitions(topicId: string): number[] | null {
    const rows = this.#sql.exec<{ partition: number }>(
      "SELECT partition FROM partition_use WHERE topic_id = ? ORDER BY partition",
      topicId,
    );
    const [first, ...used] = Array.from(rows, ({ partition }) => partition);
    return first === USE_IS_REMEMBERED ? used : null;
  }

  deleteTopic(topic: Topic): void {
    if (this.hasTopic(topic.name)) this.#topicCount.change(-1);
    this.#sql.exec("DELETE FROM partition_use WHERE topic_id = ?", topic.topicId);
    this.#sql.exec("DELETE FROM topics WHERE name = ?", topic.name);
    this.#sql.exec("DELETE FROM topic_ids WHERE topic_id = ?", topic.topicId);
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

  /** Returns the newest incarnation of any group that was deleted, or 0 if there was none. */
  retiredIncarnation(): number {
    const query = "SELECT newest FROM incarnations WHERE id = 1";
    return firstRow<{ newest: number }>(this.#sql, query)?.newest ?? 0;
  }

  setRetiredIncarnation(incarnation: number): void {
    this.#sql.exec("INSERT OR REPLACE INTO incarnations VALUES (1, ?)", incarnation);
  }

  /** The number of groups. Unlike `groups`, it costs the same however many there are. */
  get groupCount(): number {
    return this.#groupCount.get();
  }

  /** [PLC-1] Returns the jurisdiction that is noted, or null. */
  jurisdiction(): string | null {
    const query = "SELECT name FROM jurisdiction WHERE id = 1";
    return firstRow<{ name: string }>(this.#sql, query)?.name ?? null;
  }

  setJurisdiction(name: string): void {
    this.#sql.exec("INSERT OR REPLACE INTO jurisdiction (id, name) VALUES (1, ?)", name);
  }

  /** True if nothing was ever set or created, or nothing is left of it. */
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

  hasGroup(groupId: string): boolean {
    return (
      firstRow(this.#sql, "SELECT 1 AS found FROM groups WHERE group_id = ?", groupId) !== undefined
    );
  }

  putGroup(groupId: string): void {
    if (!this.hasGroup(groupId)) this.#groupCount.change(1);
    this.#sql.exec("INSERT INTO groups (group_id) VALUES (?) ON CONFLICT DO NOTHING", groupId);
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
    if (this.hasGroup(groupId)) this.#groupCount.change(-1);
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

  /** Returns how many of these names would be new to the group's subscriptions, and how many those are. */
  subscriptionCounts(groupId: string, names: readonly string[]): { known: number; added: number } {
    const count = "SELECT count(*) AS known FROM subscriptions WHERE group_id = ?";
    const known = firstRow<{ known: number }>(this.#sql, count, groupId)?.known ?? 0;
    const query = "SELECT 1 AS found FROM subscriptions WHERE topic = ? AND group_id = ?";
    const added = names.filter(
      (name) => firstRow(this.#sql, query, name, groupId) === undefined,
    ).length;
    return { known, added };
  }

  /** Forgets all subscriptions of a group but these. */
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

  subscribeToPattern(groupId: string, pattern: string): void {
    this.#sql.exec(
      "INSERT INTO patterns (group_id, pattern) VALUES (?, ?) ON CONFLICT DO NOTHING",
      groupId,
      pattern,
    );
  }

  patternsOf(groupId: string): string[] {
    const rows = this.#sql.exec<{ pattern: string }>(
      "SELECT pattern FROM patterns WHERE group_id = ?",
      groupId,
    );
    return Array.from(rows, (row) => row.pattern);
  }

  patterns(): { groupId: string; pattern: string }[] {
    const rows = this.#sql.exec<{ group_id: string; pattern: string }>(
      "SELECT group_id, pattern FROM patterns",
    );
    return Array.from(rows, ({ group_id: groupId, pattern }) => ({ groupId, pattern }));
  }

  addTask(task: Task): void {
    this.#sql.exec("INSERT INTO tasks (task) VALUES (?)", JSON.stringify(task));
  }

  /** Returns the oldest tasks, up to 1,000 of them. [CRC-2] One that is damaged is an error, and leaves the others to be done. */
  tasks(): { id: number; task: Task | BrokerError }[] {
    const rows = this.#sql.exec<{ id: number; task: string }>(
      "SELECT id, task FROM tasks ORDER BY id LIMIT 1000",
    );
    return Array.from(rows).flatMap(({ id, task: json }) => {
      const task = readTask(json);
      return task === null ? [] : [{ id, task }];
    });
  }

  deleteTask(id: number): void {
    this.#sql.exec("DELETE FROM tasks WHERE id = ?", id);
  }
}
