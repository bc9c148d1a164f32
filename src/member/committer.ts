// Sends commits, one in flight at a time. Records processed in the meantime share the next commit. An answer settles
// the whole commit. A reconnect neither repeats a commit nor loses one.
//
// A commit costs the group a request and a row. So a busy consumer commits once per interval, and a consumer without
// further records commits at once. If the consumer crashes, the records processed since its last commit come again.
import { type PartitionKey, partitionKey } from "../core/group/partition-key.ts";
import type { CommittedMessage } from "../protocol/group-socket.ts";
import type { AssignedPartition } from "./assigned-partition.ts";
import { NEVER_MS, type Outbox } from "./effects.ts";

export interface Commit {
  readonly requestId: number;
  readonly offsets: { topicId: string; partition: number; offset: number; isRewind?: true }[];
}

/** The same fields as in ConsumerCoreConfig. */
interface CommitterConfig {
  readonly commitIntervalMs: number;
  readonly commitsFirstAtOnce?: boolean;
}

const RETRY_MS = 500;
/** A partition is committed after it has had no unprocessed records for this long. */
const IDLE_MS = 250;
/** The shortest time between such commits, unless the interval is shorter. */
const SPACING_MS = 1_000;

export class Committer {
  readonly #partitions: ReadonlyMap<PartitionKey, AssignedPartition>;
  readonly #outbox: Outbox;
  readonly #config: CommitterConfig;
  /** Sends a commit to the coordinator. Returns false if that is not possible now. */
  readonly #send: (commit: Commit) => boolean;
  #inFlight: number | null = null;
  #nextRequestId = 1;
  /** The time of the next commit, and its latest time, whatever is processed until then. */
  #dueAtMs = NEVER_MS;
  #latestMs = NEVER_MS;
  /** The time at which there was last something to commit. */
  #lastMs = 0;
  /** True if a requested commit was not sent yet, or lost its connection before the answer. */
  #isAsked = false;

  constructor(
    partitions: ReadonlyMap<PartitionKey, AssignedPartition>,
    outbox: Outbox,
    config: CommitterConfig,
    send: (commit: Commit) => boolean,
  ) {
    this.#partitions = partitions;
    this.#outbox = outbox;
    this.#config = config;
    this.#send = send;
  }

  get nextTimerMs(): number {
    return this.#dueAtMs;
  }

  /** The request id of the unanswered commit. */
  get inFlight(): number | null {
    return this.#inFlight;
  }

  get hasUncommitted(): boolean {
    return this.#uncommitted.length > 0;
  }

  get #uncommitted(): AssignedPartition[] {
    return [...this.#partitions.values()].filter(({ hasUncommitted }) => hasUncommitted);
  }

  /**
   * Notes that a record was processed, or that the coordinator has answered. Processed records are committed at once if
   * that was requested, or else when a commit is due.
   */
  schedule(nowMs: number): void {
    const { commitIntervalMs: intervalMs, commitsFirstAtOnce } = this.#config;
    let latestMs = NEVER_MS;
    let idleMs = NEVER_MS;
    // This runs after every record, so it builds no list.
    for (const partition of this.#partitions.values()) {
      if (!partition.hasUncommitted) continue;
      if (latestMs === NEVER_MS) latestMs = Math.min(this.#latestMs, nowMs + intervalMs);
      if (partition.hasUnprocessed || intervalMs === NEVER_MS) continue;
      const atMs = Math.max(partition.processedAtMs + IDLE_MS, this.#lastMs + SPACING_MS);
      if (atMs < idleMs) idleMs = atMs;
    }
    this.#latestMs = latestMs;
    this.#dueAtMs = Math.min(latestMs, idleMs);
    const isFirst = commitsFirstAtOnce && nowMs >= this.#lastMs + intervalMs;
    if (intervalMs === 0 || this.#isAsked || isFirst) this.#dueAtMs = nowMs;
    this.tick(nowMs);
  }

  /** Notes that the coordinator could not take the commit now. */
  retryLater(nowMs: number): void {
    this.#isAsked = false;
    this.#dueAtMs = this.#latestMs = nowMs + RETRY_MS;
  }

  tick(nowMs: number): void {
    if (this.#dueAtMs <= nowMs) this.commitNow(nowMs);
  }

  /** Commits all processed records, now or as soon as the commit in flight is answered. */
  commitNow(nowMs = this.#lastMs): void {
    if (this.hasUncommitted) this.#lastMs = nowMs;
    this.#dueAtMs = this.#latestMs = NEVER_MS;
    this.#isAsked = this.#inFlight !== null || !this.flush();
  }

  /**
   * Commits all processed records, whatever is in flight, for a member that leaves without waiting. Returns false if
   * that cannot be sent now.
   */
  flush(): boolean {
    const uncommitted = this.#uncommitted;
    const offsets = uncommitted.map(({ topicId, partition, processed, isRewind }) => ({
      topicId,
      partition,
      offset: processed as number,
      ...(isRewind ? { isRewind } : {}),
    }));
    if (offsets.length === 0) return true;
    const requestId = this.#nextRequestId;
    if (!this.#send({ requestId, offsets })) return false;
    this.#nextRequestId++;
    this.#inFlight = requestId;
    for (const partition of uncommitted) partition.committing = partition.processed;
    return true;
  }

  /** Handles an answer. Returns false if it does not answer the commit in flight. */
  answered(message: CommittedMessage): boolean {
    if (message.requestId !== this.#inFlight) return false;
    this.#inFlight = null;
    for (const { topicId, partition, code, detail } of message.rejected) {
      const topic = this.#partitions.get(partitionKey(topicId, partition))?.topic ?? topicId;
      this.#outbox.warn(code, `commit of ${topic}/${partition}: ${detail}`);
    }
    // A rejected offset is not retried: the partition belongs to another member, or the offset is wrong.
    for (const partition of this.#partitions.values()) partition.markCommitted();
    return true;
  }

  /** Handles the rejection of a whole commit. Returns false if it does not concern the commit in flight. */
  refused(requestId: number): boolean {
    if (requestId !== this.#inFlight) return false;
    this.disconnected();
    return true;
  }

  /** Handles a broken connection. It is unknown whether the commit arrived, so it is sent again. */
  disconnected(): void {
    this.#isAsked ||= this.#inFlight !== null;
    this.#inFlight = null;
    for (const partition of this.#partitions.values()) partition.committing = null;
  }
}
