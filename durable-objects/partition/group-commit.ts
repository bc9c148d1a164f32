// Group commit. Appends that arrive while a commit is on its way to disk share the next commit. An idle
// partition commits at once. So a busy partition writes few large rows instead of many small ones, and nobody
// waits for a timer. If rows cost more than time does, a topic may make appends wait longer for each other
// (`commit.linger.ms`).

import { attempt, type Failure, fail } from "../../src/core/errors.ts";
import type { Holding } from "../../src/core/ledger.ts";
import { MAX_APPENDS_PER_CHUNK, MAX_CHUNK_BYTES } from "../../src/core/limits.ts";
import type { Append } from "../../src/core/log/append.ts";
import type { AppendOutcome } from "../../src/core/log/partition-log.ts";
import { failureOf } from "../../src/core/platform-errors.ts";
import { memory } from "../../src/memory.ts";
import type { ObjectClock } from "../shared/clock.ts";
import { Linger } from "./linger.ts";

interface Waiting {
  readonly append: Append;
  readonly resolve: (outcome: AppendOutcome) => void;
}

export interface CommitTarget {
  /** Decides on each append and stores all good ones, or throws and stores nothing. Runs synchronously. */
  commit(appends: readonly Append[]): readonly AppendOutcome[];
  /** Resolves once everything committed so far is durable and the events that have arrived are handled. */
  sync(): Promise<void>;
  /** Called after each commit, in the same turn. */
  committed(): void;
  /** The time in milliseconds that the first waiting append lets others share its row. 0 commits at once. */
  lingerMs(): number;
}

export class GroupCommit {
  readonly #target: CommitTarget;
  readonly #linger: Linger;
  #waiting: Waiting[] = [];
  /** The bytes that wait, counted among those of all partitions in this isolate. */
  readonly #holding: Holding;
  #isSyncing = false;
  #ended: Failure | null = null;

  constructor(target: CommitTarget, clock: Pick<ObjectClock, "glance">, appends = memory.appends) {
    this.#target = target;
    this.#linger = new Linger(clock, () => this.#commitWaiting());
    this.#holding = appends.holdFixed();
  }

  /**
   * [LOG-3] Returns each append's own outcome. It is only a value here. The output gate holds back replies and
   * socket frames, so nobody hears of the outcome before the write is durable.
   */
  append(append: Append): Promise<AppendOutcome> {
    if (this.#ended !== null) return Promise.resolve(this.#ended);
    const room = attempt(() => {
      this.#holding.set(this.#holding.bytes + append.bytes.length);
      return { ok: true as const };
    });
    if (!room.ok) return Promise.resolve(room);
    return new Promise((resolve) => {
      this.#waiting.push({ append, resolve });
      if (!this.#mayLinger()) this.hurry();
    });
  }

  /** [LNG-1] True if the waiting appends may wait longer for others. The first append starts the time. */
  #mayLinger(): boolean {
    const { length } = this.#waiting;
    if (this.#holding.bytes >= MAX_CHUNK_BYTES || length >= MAX_APPENDS_PER_CHUNK) return false;
    if (this.#linger.isPending) return !this.#linger.isLate;
    const lingerMs = length === 1 ? this.#target.lingerMs() : 0;
    return lingerMs > 0 && this.#linger.begin(lingerMs);
  }

  /** Ends the wait for other appends. The waiting ones are committed now, or after the commit in progress. */
  hurry(): void {
    this.#linger.end();
    this.#commitWaiting();
  }

  /** [CLK-1] Ends the wait if its time is over but its timer is late, because somebody set the clock. */
  hurryIfLate(): void {
    if (this.#linger.isLate) this.hurry();
  }

  /**
   * Stops committing, because the object is about to begin a new life. Waiting appends are committed first.
   * Returns false if a commit is on its way to disk.
   */
  stop(): boolean {
    this.hurry();
    if (this.#isSyncing) return false;
    this.#isSyncing = true;
    return true;
  }

  /** Ends for good, because there is nothing left to commit to. Waiting and later appends get the failure. */
  end(failure: Failure): void {
    this.#ended = failure;
    for (const { resolve } of this.#takeWaiting()) resolve(failure);
  }

  #takeWaiting(): Waiting[] {
    this.#linger.end();
    const batch = this.#waiting;
    this.#waiting = [];
    this.#holding.release();
    return batch;
  }

  #commitWaiting(): void {
    if (!this.#isSyncing && !this.#linger.isPending && this.#waiting.length > 0) this.#commit();
  }

  #commit(): void {
    const batch = this.#takeWaiting();
    let outcomes: readonly AppendOutcome[];
    try {
      outcomes = this.#target.commit(batch.map((waiting) => waiting.append));
    } catch (error) {
      const failure = storageFailure(error);
      for (const { resolve } of batch) resolve(failure);
      return;
    }
    for (const [index, { resolve }] of batch.entries()) resolve(outcomes[index] as AppendOutcome);
    this.#target.committed();
    this.#isSyncing = true;
    const next = () => {
      this.#isSyncing = false;
      this.#commitWaiting();
    };
    // A failed sync breaks the output gate and resets the object. The runtime reports that to the waiting
    // callers.
    this.#target.sync().then(next, next);
  }
}

/** [ERR-2] Makes the failure of a write. Retries do not fix damage. */
function storageFailure(error: unknown): Failure {
  const failure = fail(
    "KAFKA_STORAGE_ERROR",
    `the write failed, nothing was stored: ${error instanceof Error ? error.message : error}`,
  );
  return failureOf(error) === "damaged" ? { ...failure, retriable: false } : failure;
}
