// Group commit: appends that arrive while a commit is on its way to disk share the next one; an idle
// partition commits at once. Busy partitions so write few large rows instead of many small ones, and
// nobody waits for a timer.

import { type Failure, fail, type Result } from "../../src/core/errors.ts";
import { MAX_PENDING_APPEND_BYTES } from "../../src/core/limits.ts";
import type { Append } from "../../src/core/log/append.ts";

export type AppendResult = Result<{ readonly baseOffset: number }>;

interface Waiting {
  readonly append: Append;
  readonly resolve: (result: AppendResult) => void;
}

export interface CommitTarget {
  /** Stores all or nothing, synchronously. */
  commit(appends: readonly Append[]): readonly number[];
  /** Resolves when everything committed so far is durable. */
  sync(): Promise<void>;
  /** Called after each commit, in the same turn. */
  committed(): void;
}

export class GroupCommit {
  readonly #target: CommitTarget;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #isSyncing = false;

  constructor(target: CommitTarget) {
    this.#target = target;
  }

  /**
   * [LOG-3] Each append gets its own answer. The result is only a value here: that nobody hears of it
   * before the write is durable is the output gate's work, which holds back replies and socket frames.
   */
  append(append: Append): Promise<AppendResult> {
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

  #commit(): void {
    const batch = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    let baseOffsets: readonly number[];
    try {
      baseOffsets = this.#target.commit(batch.map((waiting) => waiting.append));
    } catch (error) {
      const failure = storageFailure(error);
      for (const { resolve } of batch) resolve(failure);
      return;
    }
    for (const [index, { resolve }] of batch.entries()) {
      resolve({ ok: true, baseOffset: baseOffsets[index] as number });
    }
    this.#target.committed();
    this.#isSyncing = true;
    const next = () => {
      this.#isSyncing = false;
      if (this.#waiting.length > 0) this.#commit();
    };
    // A failed sync breaks the output gate and resets the object; whoever waits hears of it from the runtime.
    this.#target.sync().then(next, next);
  }
}

function storageFailure(error: unknown): Failure {
  return fail(
    "KAFKA_STORAGE_ERROR",
    `the write failed, nothing was stored: ${error instanceof Error ? error.message : error}`,
  );
}
