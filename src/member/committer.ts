// Sends commits, one in flight at a time. Records processed meanwhile share the next commit. Every answer settles all
// that the commit carried. A reconnect neither repeats a commit nor loses one.
import { type PartitionKey, partitionKey } from "../core/group/partition-key.ts";
import type { CommittedMessage } from "../protocol/group-socket.ts";
import type { AssignedPartition } from "./assigned-partition.ts";
import type { Outbox } from "./effects.ts";

export interface Commit {
  readonly requestId: number;
  readonly offsets: { topicId: string; partition: number; offset: number; isRewind?: true }[];
}

const RETRY_MS = 500;

export class Committer {
  readonly #partitions: ReadonlyMap<PartitionKey, AssignedPartition>;
  readonly #outbox: Outbox;
  readonly #intervalMs: number;
  /** Carries a commit to the coordinator. Returns false if that cannot be done now. */
  readonly #send: (commit: Commit) => boolean;
  #inFlight: number | null = null;
  #nextRequestId = 1;
  #dueAtMs: number | null = null;
  /** True if a commit that was asked for is not sent yet, or was cut off before its answer. */
  #isAsked = false;

  constructor(
    partitions: ReadonlyMap<PartitionKey, AssignedPartition>,
    outbox: Outbox,
    intervalMs: number,
    send: (commit: Commit) => boolean,
  ) {
    this.#partitions = partitions;
    this.#outbox = outbox;
    this.#intervalMs = intervalMs;
    this.#send = send;
  }

  get nextTimerMs(): number | null {
    return this.#dueAtMs;
  }

  /** The request id of the commit that is not answered yet. */
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
   * Notes that a record was processed, or that the coordinator has answered. What is uncommitted is
   * committed at once if that was asked for, or else with what comes within the interval.
   */
  schedule(nowMs: number): void {
    if (this.#intervalMs === 0 || this.#isAsked) this.commitNow();
    else if (this.hasUncommitted) this.#dueAtMs ??= nowMs + this.#intervalMs;
  }

  /** Notes that the coordinator could not take the commit just now. */
  retryLater(nowMs: number): void {
    this.#isAsked = false;
    this.#dueAtMs = nowMs + RETRY_MS;
  }

  tick(nowMs: number): void {
    if (this.#dueAtMs !== null && this.#dueAtMs <= nowMs) this.commitNow();
  }

  /** Commits what is uncommitted, now or as soon as the commit in flight is answered. */
  commitNow(): void {
    this.#dueAtMs = null;
    this.#isAsked = this.#inFlight !== null || !this.flush();
  }

  /**
   * Commits what is uncommitted, whatever is in flight. For a member that goes without
   * waiting. Returns false if it cannot be sent now.
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

  /** Handles an answer. Returns false if it is not the answer to the commit in flight. */
  answered(message: CommittedMessage): boolean {
    if (message.requestId !== this.#inFlight) return false;
    this.#inFlight = null;
    for (const { topicId, partition, code, detail } of message.rejected) {
      const topic = this.#partitions.get(partitionKey(topicId, partition))?.topic ?? topicId;
      this.#outbox.warn(code, `commit of ${topic}/${partition}: ${detail}`);
    }
    // A refused offset is not tried again. The partition belongs to another member, or the offset is wrong.
    for (const partition of this.#partitions.values()) partition.markCommitted();
    return true;
  }

  /** Handles a refusal of the whole commit. Returns false if it does not concern the commit in flight. */
  refused(requestId: number): boolean {
    if (requestId !== this.#inFlight) return false;
    this.disconnected();
    return true;
  }

  /** Handles a broken connection. Nobody knows if the commit arrived, so it is sent again. */
  disconnected(): void {
    this.#isAsked ||= this.#inFlight !== null;
    this.#inFlight = null;
    for (const partition of this.#partitions.values()) partition.committing = null;
  }
}
