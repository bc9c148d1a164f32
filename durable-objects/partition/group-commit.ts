// Group commit. Appends that arrive while a commit is on its way to disk share the next commit. An idle partition
// commits at once. So a busy partition writes few large rows instead of many small ones, and nobody waits for a timer.
// A topic may have appends wait longer for one another (`commit.linger.ms`), where rows are worth more than time.

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
  /** Decides on each append and stores all good ones, or throws and stores nothing. It runs synchronously. */
  commit(appends: readonly Append[]): readonly AppendOutcome[];
  /** Resolves when everything committed so far is durable and the events that arrived meanwhile are handled. */
  sync(): Promise<void>;
  /** Called after each commit, in the same turn. */
  committed(): void;
  /** How long the first append that waits lets others share its row, in milliseconds. 0 commits at once. */
  lingerMs(): number;
}

export class GroupCommit {
  readonly #target: CommitTarget;
  readonly #linger: Linger;
  #waiting: Waiting[] = [];
  /** The bytes that wait, counted among those of all partitions of this isolate. */
  readonly #holding: Holding;
  #isSyncing = false;
  #ended: Failure | null = null;

  constructor(target: CommitTarget, clock: Pick<ObjectClock, "glance">, appends = memory.appends) {
    this.#target = target;
    this.#linger = new Linger(clock, () => this.#commitWaiting());
    this.#holding = appends.holdFixed();
  }

  /**
   * [LOG-3] Gives each append its own answer. The result is only a value here. The output gate makes sure that nobody
   * hears of it before the write is durable, because it holds back replies and socket frames.
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

  /** [LNG-1] True if the appends that wait may go on waiting for others. The first of them begins the time. */
  #mayLinger(): boolean {
    const { length } = this.#waiting;
    if (this.#holding.bytes >= MAX_CHUNK_BYTES || length >= MAX_APPENDS_PER_CHUNK) return false;
    if (this.#linger.isPending) return !this.#linger.isLate;
    const lingerMs = length === 1 ? this.#target.lingerMs() : 0;
    return lingerMs > 0 && this.#linger.begin(lingerMs);
  }

  /** Ends the time for which appends wait for others. They are committed now, or behind the commit under way. */
  hurry(): void {
    this.#linger.end();
    this.#commitWaiting();
  }

  /** [CLK-1] Hurries if the time is over and its timer is held up, because somebody set the clock. */
  hurryIfLate(): void {
    if (this.#linger.isLate) this.hurry();
  }

  /**
   * Stops committing, because the object is about to begin a new life. What waits for others is committed first. Returns
   * false if a commit is on its way to disk.
   */
  stop(): boolean {
    this.hurry();
    if (this.#isSyncing) return false;
    this.#isSyncing = true;
    return true;
  }

  /** Ends for good, because there is nothing to commit to. Everybody who waits, or comes later, gets the failure. */
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
    // A failed sync breaks the output gate and resets the object. The waiting callers hear of it from the runtime.
    this.#target.sync().then(next, next);
  }
}

/** [ERR-2] Makes the failure of a write. Trying again does not mend damage. */
function storageFailure(error: unknown): Failure {
  const failure = fail(
    "KAFKA_STORAGE_ERROR",
    `the write failed, nothing was stored: ${error instanceof Error ? error.message : error}`,
  );
  return failureOf(error) === "damaged" ? { ...failure, retriable: false } : failure;
}
