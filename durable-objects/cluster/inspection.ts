// The answers to `rivulet doctor`: the topics with their used partitions, and the tasks that are waiting.
// Nothing here writes.
import type { InspectedTask, InspectedTopic } from "../../src/calls/cluster-calls.ts";
import { firstRow, type Sql } from "../shared/sql.ts";
import type { ClusterStore } from "./cluster-store.ts";

export class Inspection {
  readonly #sql: Sql;
  readonly #store: ClusterStore;

  constructor(sql: Sql, store: ClusterStore) {
    this.#sql = sql;
    this.#store = store;
  }

  /** Returns topics by name, starting after the topic `after`. */
  topics(after: string | null, limit: number): InspectedTopic[] {
    const rows = this.#sql.exec<{ name: string }>(
      "SELECT name FROM topics WHERE name > ? ORDER BY name LIMIT ?",
      after ?? "",
      limit,
    );
    return Array.from(rows).flatMap(({ name }) => {
      const topic = this.#store.topic(name);
      if (topic === null) return [];
      const { topicId, partitions } = topic;
      return [{ name, topicId, partitions, used: this.#usedOf(topicId) }];
    });
  }

  #usedOf(topicId: string): InspectedTopic["used"] {
    const used = this.#store.usedPartitions(topicId);
    if (used === null) return null;
    const rows = this.#sql.exec<{ partition: number; log_end: number | null }>(
      "SELECT partition, log_end FROM partition_use WHERE topic_id = ? AND partition >= 0 ORDER BY partition",
      topicId,
    );
    return Array.from(rows, ({ partition, log_end: logEnd }) => ({ partition, logEnd }));
  }

  /** Returns the oldest tasks, including tasks of a type that only a newer release knows. */
  tasks(limit: number): InspectedTask[] {
    const rows = this.#sql.exec<{ id: number; task: string }>(
      "SELECT id, task FROM tasks ORDER BY id LIMIT ?",
      limit,
    );
    return Array.from(rows, ({ id, task }) => {
      const { type, topicId, topic, groupId } = JSON.parse(task) as Record<string, unknown>;
      const about = [groupId, topic ?? this.#nameOf(topicId) ?? topicId];
      return {
        id,
        type: String(type),
        about: about.filter((each) => each !== undefined).join(" "),
      };
    });
  }

  #nameOf(topicId: unknown): string | undefined {
    return typeof topicId === "string" ? this.#store.topicById(topicId)?.name : undefined;
  }

  /** True if the topic exists, is deleted and kept, or has partitions with tasks left to do. */
  knowsTopic(topicId: string): boolean {
    if (this.#store.topicById(topicId) !== null) return true;
    if (this.#store.deletedTopic(topicId) !== null) return true;
    const query = "SELECT 1 AS found FROM tasks WHERE json_extract(task, '$.topicId') = ?";
    return firstRow(this.#sql, query, topicId) !== undefined;
  }
}
