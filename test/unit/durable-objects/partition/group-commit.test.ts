import { describe, expect, test } from "vitest";
import {
  type CommitTarget,
  GroupCommit,
} from "../../../../durable-objects/partition/group-commit.ts";
import { concatBytes } from "../../../../src/core/bytes.ts";
import { fail, unwrap } from "../../../../src/core/errors.ts";
import { Budget, Ledger } from "../../../../src/core/ledger.ts";
import { MAX_APPEND_BYTES, MAX_PENDING_APPENDS_BYTES } from "../../../../src/core/limits.ts";
import { type Append, validateAppend } from "../../../../src/core/log/append.ts";
import { type AppendOutcome, PartitionLog } from "../../../../src/core/log/partition-log.ts";
import { decodeBatch, encodeBatch } from "../../../../src/core/log/record-batch.ts";
import { damaged } from "../../../../src/core/platform-errors.ts";
import { configOf, RULES } from "../../../support/log-fixtures.ts";
import { MemoryLogStore } from "../../../support/memory-log-store.ts";

const NOW_MS = 1_000;

/** A clock that nobody sets. */
const CLOCK = {
  glance: () => ({ wallMs: Date.now(), shownMs: Date.now(), isAhead: false }),
};

/** The room for appends of an isolate of its own. */
function appends(): Ledger {
  const budget = new Budget(2 * MAX_PENDING_APPENDS_BYTES, () => 0);
  return new Ledger(MAX_PENDING_APPENDS_BYTES, "appends that wait for a commit", budget);
}

/** A log whose disk responds on the test's command, and which throws on request. */
class Target implements CommitTarget {
  readonly log = new PartitionLog(new MemoryLogStore(), configOf());
  /** The number of appends in each commit, including those that threw. */
  readonly commits: number[] = [];
  /** The end of the log at each call of `committed`. */
  readonly told: number[] = [];
  error: unknown = null;
  linger = 0;
  readonly #syncs: PromiseWithResolvers<void>[] = [];

  commit(appends: readonly Append[]): readonly AppendOutcome[] {
    this.commits.push(appends.length);
    if (this.error !== null) throw this.error;
    return this.log.commit(appends, NOW_MS);
  }

  sync(): Promise<void> {
    const sync = Promise.withResolvers<void>();
    this.#syncs.push(sync);
    return sync.promise;
  }

  committed(): void {
    this.told.push(this.log.logEndOffset);
  }

  lingerMs(): number {
    return this.linger;
  }

  get syncsPending(): number {
    return this.#syncs.length;
  }

  /** Ends the oldest sync and lets everything that waits for it run. */
  async synced(error?: Error): Promise<void> {
    const sync = this.#syncs.shift();
    if (sync === undefined) throw new Error("no sync is pending");
    if (error === undefined) sync.resolve();
    else sync.reject(error);
    await turn();
  }
}

/** Resolves when every promise that is settled, or settles by it, has run its listeners. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function appendOf(...values: string[]): Append {
  const records = values.map((value) => ({
    key: null,
    value: Buffer.from(value),
    headers: [],
    timestamp: 0,
  }));
  return unwrap(validateAppend(encodeBatch(records), RULES));
}

/** With the given size, and one record; the content does not matter to a group commit. */
function largeAppend(size: number): Append {
  const place = { start: 0, sizeInBytes: size, recordCount: 1, maxTimestamp: 0 };
  return {
    bytes: new Uint8Array(size),
    batches: [place],
    recordCount: 1,
    origin: null,
    expectedOffset: null,
  };
}

/** The response to an append with this offset. */
function stored(baseOffset: number): AppendOutcome {
  return { ok: true, baseOffset, appendedAtMs: NOW_MS };
}

function storedAt(log: PartitionLog, offset: number): string {
  const records = decodeBatch(concatBytes(log.read(offset, 1).pieces));
  return Buffer.from(records.find((each) => each.offset === offset)?.value ?? "none").toString();
}

/** The outcome of an append so far, or null while it waits. */
function watch(promise: Promise<AppendOutcome>): { result: AppendOutcome | null } {
  const watched: { result: AppendOutcome | null } = { result: null };
  void promise.then((result) => {
    watched.result = result;
  });
  return watched;
}

describe("group commit", () => {
  test("[LOG-3] an idle partition commits an append at once, in the same turn", async () => {
    const target = new Target();
    const commits = new GroupCommit(target, CLOCK, appends());
    const answer = commits.append(appendOf("a", "b"));
    // Nothing was awaited so far.
    expect(target.commits).toEqual([1]);
    expect(target.log.logEndOffset).toBe(2);
    expect(target.told).toEqual([2]);
    expect(target.syncsPending).toBe(1);
    // The response does not wait for the disk; the output gate holds it back.
    expect(await answer).toEqual(stored(0));
    await target.synced();
    void commits.append(appendOf("c"));
    expect(target.commits).toEqual([1, 1]);
  });

  test("[LOG-3] appends that arrive during a commit share the next, answered singly", async () => {
    const target = new Target();
    const commits = new GroupCommit(target, CLOCK, appends());
    await commits.append(appendOf("a"));
    const waiting = [
      watch(commits.append(appendOf("b", "c"))),
      watch(commits.append(appendOf("d"))),
      watch(commits.append(appendOf("e", "f", "g"))),
    ];
    await turn();
    expect(target.commits).toEqual([1]);
    expect(target.log.logEndOffset).toBe(1);
    expect(waiting.map(({ result }) => result)).toEqual([null, null, null]);
    await target.synced();
    expect(target.commits).toEqual([1, 3]);
    expect(target.told).toEqual([1, 7]);
    expect(waiting.map(({ result }) => result)).toEqual([stored(1), stored(3), stored(4)]);
    expect([0, 1, 2, 3, 4, 5, 6].map((offset) => storedAt(target.log, offset))).toEqual([
      ..."abcdefg",
    ]);
  });

  test("[LOG-3] the shared commit is itself one that later appends wait for", async () => {
    const target = new Target();
    const commits = new GroupCommit(target, CLOCK, appends());
    void commits.append(appendOf("a"));
    void commits.append(appendOf("b"));
    await target.synced();
    expect(target.syncsPending).toBe(1);
    const later = watch(commits.append(appendOf("c")));
    await turn();
    expect(later.result).toBeNull();
    expect(target.commits).toEqual([1, 1]);
    await target.synced();
    expect(later.result).toEqual(stored(2));
    await target.synced();
    expect(target.syncsPending).toBe(0);
    expect(target.commits).toEqual([1, 1, 1]);
  });

  test("[LOG-3] a failed sync does not leave those behind it waiting", async () => {
    const target = new Target();
    const commits = new GroupCommit(target, CLOCK, appends());
    void commits.append(appendOf("a"));
    const waiting = watch(commits.append(appendOf("b")));
    await target.synced(new Error("the disk is gone"));
    expect(waiting.result).toEqual(stored(1));
  });

  test("[CLU-4] after its end nothing is committed: waiting and new appends get the reason", async () => {
    const target = new Target();
    const commits = new GroupCommit(target, CLOCK, appends());
    const stored1 = watch(commits.append(appendOf("a")));
    const waiting = [watch(commits.append(appendOf("b"))), watch(commits.append(appendOf("c")))];
    const gone = fail("UNKNOWN_TOPIC_ID", "the topic was deleted");
    commits.end(gone);
    const late = watch(commits.append(appendOf("d")));
    await turn();
    expect([...waiting, late].map(({ result }) => result)).toEqual([gone, gone, gone]);
    await target.synced();
    expect(stored1.result).toEqual(stored(0));
    expect(target.commits).toEqual([1]);
  });

  test("[LOG-2] a commit that throws answers its append, and the next one works", async () => {
    const target = new Target();
    const commits = new GroupCommit(target, CLOCK, appends());
    target.error = new Error("the disk is full");
    expect(await commits.append(appendOf("a"))).toEqual({
      ok: false,
      error: "KAFKA_STORAGE_ERROR",
      detail: "the write failed, nothing was stored: the disk is full",
    });
    expect(target.told).toEqual([]);
    expect(target.syncsPending).toBe(0);
    target.error = null;
    expect(await commits.append(appendOf("b"))).toEqual(stored(0));
    expect(storedAt(target.log, 0)).toBe("b");
  });

  test.each([
    { error: new Error("database disk image is malformed: SQLITE_CORRUPT"), retriable: false },
    { error: new Error("file is not a database: SQLITE_NOTADB"), retriable: false },
    { error: damaged("what is stored in a column is damaged"), retriable: false },
    { error: new Error("disk I/O error: SQLITE_IOERR"), retriable: undefined },
    { error: new Error("database or disk is full: SQLITE_FULL"), retriable: undefined },
  ])("[ERR-2] a commit that throws $error may be tried again: $retriable", async (row) => {
    const target = new Target();
    target.error = row.error;
    const outcome = await new GroupCommit(target, CLOCK, appends()).append(appendOf("a"));
    expect(outcome).toMatchObject({ ok: false, error: "KAFKA_STORAGE_ERROR" });
    expect(outcome.ok ? null : outcome.retriable).toBe(row.retriable);
  });

  test("[LOG-2] a shared commit that throws answers its appends and no others", async () => {
    const target = new Target();
    const commits = new GroupCommit(target, CLOCK, appends());
    const before = watch(commits.append(appendOf("a")));
    const shared = [appendOf("b"), appendOf("c")].map((each) => watch(commits.append(each)));
    target.error = "a throw of no Error";
    await target.synced();
    expect(before.result).toEqual(stored(0));
    for (const { result } of shared) {
      expect(result).toMatchObject({
        ok: false,
        error: "KAFKA_STORAGE_ERROR",
        detail: expect.stringContaining("a throw of no Error"),
      });
    }
    expect(target.commits).toEqual([1, 2]);
    expect(target.told).toEqual([1]);
    target.error = null;
    // Nothing is on its way to the disk: this one is committed at once, at their offset.
    expect(await commits.append(appendOf("d"))).toEqual(stored(1));
    expect(target.commits).toEqual([1, 2, 1]);
    expect(storedAt(target.log, 1)).toBe("d");
  });

  test("[LOG-3] an append that is rejected in a shared commit costs the others nothing", async () => {
    const target = new Target();
    const commits = new GroupCommit(target, CLOCK, appends());
    void commits.append(appendOf("a"));
    const late: Append = { ...appendOf("b"), expectedOffset: 0 };
    const shared = [appendOf("c"), late, appendOf("d")].map((each) => watch(commits.append(each)));
    await target.synced();
    expect(shared[0]?.result).toEqual(stored(1));
    expect(shared[1]?.result).toMatchObject({ error: "INVALID_UPDATE_VERSION", nextOffset: 2 });
    expect(shared[2]?.result).toEqual(stored(2));
    expect(target.commits).toEqual([1, 3]);
    expect([0, 1, 2].map((offset) => storedAt(target.log, offset))).toEqual([..."acd"]);
  });

  test("[LOG-3] waiting bytes are bounded: what exceeds the bound is refused", async () => {
    const target = new Target();
    const commits = new GroupCommit(target, CLOCK, appends());
    void commits.append(appendOf("a"));
    const waiting = Array.from({ length: MAX_PENDING_APPENDS_BYTES / MAX_APPEND_BYTES }, () =>
      watch(commits.append(largeAppend(MAX_APPEND_BYTES))),
    );
    expect(waiting.length).toBeGreaterThan(1);
    expect(await commits.append(appendOf("b"))).toMatchObject({
      ok: false,
      error: "THROTTLING_QUOTA_EXCEEDED",
    });
    expect(waiting.every(({ result }) => result === null)).toBe(true);
    await target.synced();
    expect(waiting.map(({ result }) => result)).toEqual(waiting.map((_, i) => stored(1 + i)));
    expect(target.commits).toEqual([1, waiting.length]);
    // The bound is on what waits now, so there is room again.
    const after = watch(commits.append(largeAppend(MAX_APPEND_BYTES)));
    await target.synced();
    expect(after.result).toEqual(stored(1 + waiting.length));
  });

  test("[LOG-3] the bound on waiting bytes is exact to the byte", async () => {
    const target = new Target();
    const commits = new GroupCommit(target, CLOCK, appends());
    void commits.append(appendOf("a"));
    const first = appendOf("first");
    void commits.append(first);
    const rest = MAX_PENDING_APPENDS_BYTES - first.bytes.length;
    expect(await commits.append(largeAppend(rest + 1))).toMatchObject({
      error: "THROTTLING_QUOTA_EXCEEDED",
      detail: expect.stringContaining("appends that wait for a commit take"),
    });
    const exact = watch(commits.append(largeAppend(rest)));
    await turn();
    expect(exact.result).toBeNull();
  });

  test("[CLK-2] an idle one stops, and commits nothing any more; a busy one does not stop", async () => {
    const target = new Target();
    const commits = new GroupCommit(target, CLOCK, appends());
    void commits.append(appendOf("a"));
    expect(commits.stop()).toBe(false);
    await target.synced();
    expect(commits.stop()).toBe(true);
    expect(commits.stop()).toBe(false);
    const late = watch(commits.append(appendOf("b")));
    await turn();
    expect([late.result, target.commits]).toEqual([null, [1]]);
  });

  test("[LOG-3] bytes of a commit that threw no longer count as waiting", async () => {
    const target = new Target();
    const commits = new GroupCommit(target, CLOCK, appends());
    void commits.append(appendOf("a"));
    const lost = watch(commits.append(largeAppend(MAX_PENDING_APPENDS_BYTES)));
    target.error = new Error("the disk is full");
    await target.synced();
    expect(lost.result?.ok).toBe(false);
    target.error = null;
    expect(await commits.append(appendOf("b"))).toEqual(stored(1));
  });
});
