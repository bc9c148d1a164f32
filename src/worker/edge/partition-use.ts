// Reading a partition does not create it [PLC-3]. A call to an object creates the object and its file, in a
// place where it then stays. So code that only reads first asks the cluster, which knows every partition that
// has ever been used. The logs of the others are empty. Code that appends to a partition, or waits for its
// records, goes straight to its object.
import type { Bounds } from "../../calls/partition-calls.ts";
import { topicResource } from "../../core/access/grants.ts";
import { fail, type Result, unwrap } from "../../core/errors.ts";
import { clusterStub, type Env } from "../../env.ts";
import { noteChange } from "./audit.ts";
import { beginOf, isKnownAsUsed, nameOfTopic, noteUsed, partitionAt } from "./metadata.ts";

export const EMPTY_LOG = { ok: true, logStartOffset: 0, highWatermark: 0 } as const;

/**
 * The partitions of a topic that have been used. Null if the cluster does not remember that. Undefined if the cluster is
 * out of reach.
 */
type Used = ReadonlySet<number> | null | undefined;

/** The questions of one request. It asks about each topic once, however many partitions it reads. */
export class PartitionUse {
  readonly #env: Env;
  readonly #asked = new Map<string, Promise<Used>>();

  constructor(env: Env) {
    this.#env = env;
  }

  /** Asks about all these topics in one call. */
  ask(topicIds: readonly string[]): void {
    const answers = this.#usedOf(topicIds);
    for (const [i, topicId] of topicIds.entries()) {
      const used = answers.then((all) => all?.[i] ?? (all === undefined ? undefined : null));
      this.#asked.set(topicId, used);
    }
  }

  /**
   * True if the partition has never been used. Once used it stays so, which is remembered. Throws
   * UNKNOWN_TOPIC_ID if the topic was deleted.
   */
  async isUnused(topicId: string, partition: number): Promise<boolean> {
    if (isKnownAsUsed(topicId, partition)) return false;
    if (!this.#asked.has(topicId)) this.ask([topicId]);
    const used = await this.#asked.get(topicId);
    if (used?.has(partition) === false) return true;
    if (used === undefined) return false; // The partition itself knows.
    if (used === null) unwrap(await clusterStub(this.#env).topicById({ topicId }));
    noteUsed(topicId, partition);
    return false;
  }

  /** Returns the bounds of a log. */
  async boundsOf(topicId: string, partition: number): Promise<Result<Bounds>> {
    if (await this.isUnused(topicId, partition)) return EMPTY_LOG;
    const begin = beginOf(this.#env, topicId, partition);
    return await partitionAt(this.#env, topicId, partition).offsets({ begin });
  }

  async #usedOf(topicIds: readonly string[]): Promise<Used[] | undefined> {
    try {
      const all = await clusterStub(this.#env).usedPartitions({ topicIds });
      return all.map((used) => (used === null ? null : new Set(used)));
    } catch {
      return undefined;
    }
  }
}

/** [LOG-8] Deletes the records before an offset, or all of them. Returns the new start of the log. */
export async function deleteRecords(
  env: Env,
  topicId: string,
  partition: number,
  before: number | "latest",
  use = new PartitionUse(env),
): Promise<Result<{ logStartOffset: number }>> {
  if (await use.isUnused(topicId, partition)) {
    if (before === "latest" || before === 0) return EMPTY_LOG;
    return fail("OFFSET_OUT_OF_RANGE", `before is ${before}, the log ends at 0`);
  }
  const stub = partitionAt(env, topicId, partition);
  const offset = before === "latest" ? unwrap(await stub.offsets()).highWatermark : before;
  const deleted = await stub.deleteRecords({ before: offset });
  const topic = nameOfTopic(topicId) ?? topicId;
  if (deleted.ok && deleted.isChanged !== false)
    noteChange(env, "deleteRecords", topicResource(topic), `${partition}: before ${offset}`);
  return deleted;
}
