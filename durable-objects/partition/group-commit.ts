// Group commit. Appends that arrive while a commit is on its way to disk share the next commit. An idle partition
// commits at once. So a busy partition writes few large rows instead of many small ones, and nobody waits for a timer.

import { type Failure, fail } from "../../src/core/errors.ts";
import { MAX_PENDING_APPEND_BYTES } from "../../src/core/limits.ts";
import type { Append } from "../../src/core/log/append.ts";
import type { AppendOutcome } from "../../src/core/log/partition-log.ts";
import { failureOf } from "../../src/core/platform-errors.ts";

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
}

export class GroupCommit {
  readonly #target: CommitTarget;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #isSyncing = false;
  #ended: Failure | null = null;

  constructor(target: CommitTarget) {
    this.#target = target;
  }

  /**
   * [LOG-3] Gives each append its own answer. The result is only a value here. The output gate makes sure that nobody
   * hears of it before the write is durable, because it holds back replies and socket frames.
   */
  append(append: Append): Promise<AppendOutcome> {
    if (this.#ended !== null) return Promise.resolve(this.#ended);
    if (this.#waitingBytes + append.bytes.length > MAX_PENDING_APPEND_BYTES) {
      return Promise.resolve(
        fail(
          "THROTTLING_QUOTA_EXCEEDED",
          `${this.#waitingBytes} bytes wait for a commit, the bound is ${MAX_PENDING_APPEND_BYTES}`,
        ),
      );
    }
    return new Promise((resolve) => {
      this.#waiting.push({ append, resolve });
      this.#waitingBytes += append.bytes.length;
      if (!this.#isSyncing) this.#commit();
    });
  }

  /**
   * Stops committing, because the object is about to begin a new life. Returns false if a commit is on its way to disk.
   */
  stop(): boolean {
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
    const batch = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    return batch;
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
      if (this.#waiting.length > 0) this.#commit();
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
