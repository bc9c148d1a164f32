// The metadata of a deployment in SQLite.
//
// topics         topic name → topic as JSON (id, partitions, config). It is indexed by topic_id.
// groups         one row per group that exists.
// subscriptions  topic name × group: the groups to tell when a topic changes.
// patterns       group × pattern: the groups to tell when a topic is created whose name matches.
// cluster        one row: the defaults of topic configs as JSON. Older releases count producer ids in
//                next_producer_id. Nothing else uses it.
// tasks          messages that other objects must still receive. They are kept until they are delivered.
// groups_made    groups that have stored something on a machine's disk. A group in `groups` may only be about to.
// partition_use  topic id × partition: the partitions that have been used, and the ends of their logs, as last
//                reported (null until the partition has its tables). A row for partition -1 says that all used
//                partitions are listed. Topics that are older than this table do not have that row.
import type { ConfigOverrides } from "../../src/core/cluster/config.ts";
import type { Topic } from "../../src/core/cluster/topics.ts";
import { isStored } from "../shared/identity.ts";
import { firstRow, hasTable, type Sql, type Transactional } from "../shared/sql.ts";
import { parseStored } from "../shared/stored-json.ts";

/** A task that involves other objects. Every task may run more than once. */
export type Task =
  | {
      readonly type: "destroy-topic";
      readonly topicId: string;
      readonly partitions: number;
      /** The partitions that were used, if that is remembered. */
      readonly used?: readonly number[];
    }
  | { readonly type: "configure-topic"; readonly topicId: string }
  | { readonly type: "tell-group"; readonly groupId: string; readonly topic: string };

/**
 * This number stands in the place of a partition's number. It says that a release that remembers use created the topic.
 */
const USE_IS_REMEMBERED = -1;

export class ClusterStore {
  readonly #storage: Transactional;
  readonly #sql: Sql;

  /** [FIL-7] Throws if the stored data does not belong to a cluster. */
  constructor(storage: Transactional) {
    this.#storage = storage;
    this.#sql = storage.sql;
    if (!isStored(this.#sql, "cluster", "cluster")) this.#create();
    if (!hasTable(this.#sql, "groups_made"))
      this.#sql.exec("CREATE TABLE groups_made (group_id TEXT PRIMARY KEY) WITHOUT ROWID");
    if (!hasTable(this.#sql, "partition_use"))
      this.#sql.exec(
        "CREATE TABLE partition_use (topic_id TEXT NOT NULL, partition INTEGER NOT NULL, log_end INTEGER, PRIMARY KEY (topic_id, partition)) WITHOUT ROWID",
      );
  }

  #create(): void {
    this.transaction(() => {
      this.#sql.exec(
        "CREATE TABLE topics (name TEXT PRIMARY KEY, topic TEXT NOT NULL) WITHOUT ROWID",
      );
      this.#sql.exec(
        "CREATE TABLE topic_ids (topic_id TEXT PRIMARY KEY, name TEXT NOT NULL) WITHOUT ROWID",
      );
      this.#sql.exec("CREATE TABLE groups (group_id TEXT PRIMARY KEY) WITHOUT ROWID");
      this.#sql.exec(
        "CREATE TABLE subscriptions (topic TEXT NOT NULL, group_id TEXT NOT NULL, PRIMARY KEY (topic, group_id)) WITHOUT ROWID",
      );
      this.#sql.exec(
        "CREATE TABLE patterns (group_id TEXT NOT NULL, pattern TEXT NOT NULL, PRIMARY KEY (group_id, pattern)) WITHOUT ROWID",
      );
      this.#sql.exec(
        "CREATE TABLE cluster (id INTEGER PRIMARY KEY, defaults TEXT NOT NULL, next_producer_id INTEGER NOT NULL)",
      );
      this.#sql.exec("INSERT INTO cluster (id, defaults, next_producer_id) VALUES (1, '{}', 0)");
      this.#sql.exec("CREATE TABLE tasks (id INTEGER PRIMARY KEY, task TEXT NOT NULL)");
    });
  }

  transaction<T>(body: () => T): T {
    return this.#storage.transactionSync(body);
  }

  topic(name: string): Topic | null {
    const row = firstRow<{ topic: string }>(
      this.#sql,
      "SELECT topic FROM topics WHERE name = ?",
      name,
    );
    return row === undefined ? null : parseStored<Topic>(row.topic, "topics.topic");
  }

  topicById(topicId: string): Topic | null {
    const row = firstRow<{ name: string }>(
      this.#sql,
      "SELECT name FROM topic_ids WHERE topic_id = ?",
      topicId,
    );
    return row === undefined ? null : this.topic(row.name);
  }

  topics(): Topic[] {
    const rows = this.#sql.exec<{ topic: string }>("SELECT topic FROM topics ORDER BY name");
    return Array.from(rows, (row) => parseStored<Topic>(row.topic, "topics.topic"));
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
    this.#sql.exec("DELETE FROM partition_use WHERE topic_id = ?", topic.topicId);
    this.#sql.exec("DELETE FROM topics WHERE name = ?", topic.name);
    this.#sql.exec("DELETE FROM topic_ids WHERE topic_id = ?", topic.topicId);
  }

  defaults(): ConfigOverrides {
    const row = firstRow<{ defaults: string }>(
      this.#sql,
      "SELECT defaults FROM cluster WHERE id = 1",
    );
    return parseStored<ConfigOverrides>(row?.defaults ?? "{}", "cluster.defaults");
  }

  setDefaults(defaults: ConfigOverrides): void {
    this.#sql.exec("UPDATE cluster SET defaults = ? WHERE id = 1", JSON.stringify(defaults));
  }

  /** Returns the newest incarnation of any group that was deleted, or 0 if there was none. */
  retiredIncarnation(): number {
    if (!hasTable(this.#sql, "incarnations")) return 0;
    const query = "SELECT newest FROM incarnations WHERE id = 1";
    return firstRow<{ newest: number }>(this.#sql, query)?.newest ?? 0;
  }

  setRetiredIncarnation(incarnation: number): void {
    this.#sql.exec(
      "CREATE TABLE IF NOT EXISTS incarnations (id INTEGER PRIMARY KEY, newest INTEGER NOT NULL)",
    );
    this.#sql.exec("INSERT OR REPLACE INTO incarnations VALUES (1, ?)", incarnation);
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

  tasks(): { id: number; task: Task }[] {
    const rows = this.#sql.exec<{ id: number; task: string }>(
      "SELECT id, task FROM tasks ORDER BY id LIMIT 1000",
    );
    return Array.from(rows, (row) => ({
      id: row.id,
      task: parseStored<Task>(row.task, "tasks.task"),
    }));
  }

  deleteTask(id: number): void {
    this.#sql.exec("DELETE FROM tasks WHERE id = ?", id);
  }
}
