// Appends of a topic with `commit.linger.ms`: how long they wait for one another, and what ends that.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  type CommitTarget,
  GroupCommit,
} from "../../../../durable-objects/partition/group-commit.ts";
import { fail } from "../../../../src/core/errors.ts";
import { MAX_APPENDS_PER_CHUNK, MAX_CHUNK_BYTES } from "../../../../src/core/limits.ts";
import type { Append } from "../../../../src/core/log/append.ts";
import type { AppendOutcome } from "../../../../src/core/log/partition-log.ts";

const LINGER_MS = 20;
const START_MS = 1_700_000_000_000;

beforeEach(
  () => void vi.useFakeTimers({ now: START_MS, toFake: ["Date", "setTimeout", "clearTimeout"] }),
);
afterEach(() => void vi.useRealTimers());

/** A partition whose disk is as fast as the test says, and whose wall clock may differ from the object's. */
class Rig implements CommitTarget {
  linger = LINGER_MS;
  /** The wall clock's difference from the object's. */
  wallOffMs = 0;
  /** The number of reads of the wall clock. */
  glances = 0;
  /** The appends of each commit, by their names, and the time of it. */
  readonly commits: string[] = [];
  isFull = false;
  #syncs: (() => void)[] = [];
  readonly #commits = new GroupCommit(this, {
    glance: () => {
      this.glances++;
      const shownMs = Date.now();
      const wallMs = shownMs + this.wallOffMs;
      return { wallMs, shownMs, isAhead: shownMs > wallMs + 20 };
    },
  });
  readonly #names = new Map<Append, string>();
  readonly answers: string[] = [];

  lingerMs(): number {
    return this.linger;
  }

  commit(appends: readonly Append[]): readonly AppendOutcome[] {
    const names = appends.map((append) => this.#names.get(append)).join("");
    this.commits.push(`${names}+${Date.now() - START_MS}`);
    if (this.isFull) throw new Error("the disk is full");
    return appends.map((_, i) => ({ ok: true, baseOffset: i, appendedAtMs: 0 }));
  }

  committed(): void {}

  sync(): Promise<void> {
    return new Promise((resolve) => {
      this.#syncs.push(resolve);
    });
  }

  get core(): GroupCommit {
    return this.#commits;
  }

  append(name: string, size = 1): void {
    const append: Append = {
      bytes: new Uint8Array(size),
      batches: [{ start: 0, sizeInBytes: size, recordCount: 1, maxTimestamp: 0 }],
      recordCount: 1,
      origin: null,
      expectedOffset: null,
    };
    this.#names.set(append, name);
    void this.#commits
      .append(append)
      .then((outcome) => this.answers.push(name + (outcome.ok ? "" : ` ${outcome.error}`)));
  }

  /** The commit under way is durable. */
  async synced(): Promise<void> {
    this.#syncs.shift()?.();
    await vi.advanceTimersByTimeAsync(0);
  }
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

describe("appends that linger", () => {
  test("[LNG-1] the first waits the full time, and those that arrive meanwhile share its row", async () => {
    const rig = new Rig();
    rig.append("a");
    await pass(15);
    rig.append("b");
    rig.append("c");
    await pass(4);
    expect([rig.commits, rig.answers]).toEqual([[], []]);
    await pass(1);
    expect([rig.commits, rig.answers]).toEqual([["abc+20"], ["a", "b", "c"]]);
  });

  test("[LNG-1] 0 commits at once, and sets no timer", async () => {
    const rig = Object.assign(new Rig(), { linger: 0 });
    rig.append("a");
    expect(rig.commits).toEqual(["a+0"]);
    expect([vi.getTimerCount(), rig.glances]).toEqual([0, 0]);
  });

  test("[LNG-1] [LOG-3] the time begins with the first that waits, even for a commit under way", async () => {
    const rig = new Rig();
    rig.append("a");
    await pass(20);
    rig.append("b");
    await pass(15);
    await rig.synced();
    rig.append("c");
    expect(rig.commits).toEqual(["a+20"]);
    await pass(5);
    expect(rig.commits).toEqual(["a+20", "bc+40"]);
    // If the commit takes longer than that, the next follows at once.
    rig.append("d");
    await pass(50);
    rig.append("e");
    expect(rig.commits).toHaveLength(2);
    await rig.synced();
    expect(rig.commits).toEqual(["a+20", "bc+40", "de+90"]);
  });

  test("[LNG-2] a chunk's worth of bytes is committed at once", async () => {
    const rig = new Rig();
    rig.append("a");
    rig.append("b", MAX_CHUNK_BYTES - 2);
    expect(rig.commits).toEqual([]);
    rig.append("c");
    expect(rig.commits).toEqual(["abc+0"]);
    expect(vi.getTimerCount()).toBe(0);
    await rig.synced();
    rig.append("d", MAX_CHUNK_BYTES);
    expect(rig.commits).toEqual(["abc+0", "d+0"]);
  });

  test("[LNG-2] so are as many appends as a row takes", async () => {
    const rig = new Rig();
    for (let i = 1; i < MAX_APPENDS_PER_CHUNK; i++) rig.append("a");
    expect(rig.commits).toEqual([]);
    rig.append("b");
    expect(rig.commits).toHaveLength(1);
  });

  test("[LNG-2] [LOG-3] during a commit a chunk's worth waits for it, and no longer", async () => {
    const rig = new Rig();
    rig.append("a", MAX_CHUNK_BYTES);
    rig.append("b", MAX_CHUNK_BYTES);
    rig.append("c");
    expect(rig.commits).toEqual(["a+0"]);
    await rig.synced();
    expect(rig.commits).toEqual(["a+0", "bc+0"]);
  });

  test("[LNG-1] they are committed in order of arrival", async () => {
    const rig = new Rig();
    for (const name of "abcdefgh") {
      rig.append(name);
      await pass(1);
    }
    await pass(20);
    expect(rig.commits).toEqual(["abcdefgh+20"]);
  });

  test("[LNG-3] a failed write refuses them all, and the next begins again", async () => {
    const rig = Object.assign(new Rig(), { isFull: true });
    rig.append("a");
    rig.append("b");
    await pass(20);
    expect(rig.answers).toEqual(["a KAFKA_STORAGE_ERROR", "b KAFKA_STORAGE_ERROR"]);
    rig.isFull = false;
    rig.append("c");
    await pass(20);
    expect(rig.answers.at(-1)).toBe("c");
    expect(rig.commits).toEqual(["ab+20", "c+40"]);
  });

  test("[LNG-3] [CLU-4] if the topic is deleted they get that error, and nothing is committed", async () => {
    const rig = new Rig();
    rig.append("a");
    rig.core.end(fail("UNKNOWN_TOPIC_ID", "the topic was deleted"));
    await pass(100);
    expect([rig.commits, rig.answers]).toEqual([[], ["a UNKNOWN_TOPIC_ID"]]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("[LNG-3] if the time changes they are committed at once", async () => {
    const rig = new Rig();
    rig.append("a");
    rig.linger = 0;
    rig.core.hurry();
    expect(rig.commits).toEqual(["a+0"]);
    await rig.synced();
    rig.core.hurry(); // Nobody waits.
    expect(rig.commits).toEqual(["a+0"]);
  });
});

describe("where somebody sets the clock", () => {
  /** The timer is held up for an hour. */
  const holdUp = () => {
    const ring = globalThis.setTimeout;
    vi.spyOn(globalThis, "setTimeout").mockImplementation(((run: () => void, ms = 0) =>
      ring(run, ms + 3_600_000)) as typeof setTimeout);
  };
  afterEach(() => void vi.restoreAllMocks());

  test("[CLK-1] while the object's time stands still, nobody waits", async () => {
    const rig = new Rig();
    rig.wallOffMs = -3_600_000;
    rig.append("a");
    expect(rig.commits).toEqual(["a+0"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("[CLK-1] an append after the time commits those whose timer is held up", async () => {
    holdUp();
    const rig = new Rig();
    rig.append("a");
    await pass(19);
    rig.append("b");
    expect(rig.commits).toEqual([]);
    await pass(1);
    rig.append("c");
    expect(rig.commits).toEqual(["abc+20"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("[CLK-1] so does one that arrives while the clock is set back", async () => {
    holdUp();
    const rig = new Rig();
    rig.append("a");
    rig.wallOffMs = -1_000; // The object's time does not move.
    rig.append("b");
    expect(rig.commits).toEqual(["ab+0"]);
  });

  test("[CLK-1] so do a reader, and a report that the clock was set", async () => {
    holdUp();
    const rig = new Rig();
    rig.append("a");
    rig.core.hurryIfLate();
    expect(rig.commits).toEqual([]);
    rig.wallOffMs = -1_000;
    rig.core.hurryIfLate();
    expect(rig.commits).toEqual(["a+0"]);
    rig.wallOffMs = 0;
    await rig.synced();
    rig.append("b");
    rig.core.hurry();
    expect(rig.commits).toEqual(["a+0", "b+0"]);
  });

  test("[CLK-2] before a life ends waiting appends are committed, and nothing after that", async () => {
    const rig = new Rig();
    rig.append("a");
    expect(rig.core.stop()).toBe(false);
    expect(rig.commits).toEqual(["a+0"]);
    await rig.synced();
    expect(rig.core.stop()).toBe(true);
    rig.append("b");
    await pass(100);
    expect(rig.commits).toEqual(["a+0"]);
  });

  test("[CLK-1] one that arrives after the object's time has moved a little and then stood still ends it too", async () => {
    holdUp();
    const rig = new Rig();
    rig.append("a");
    await pass(5);
    rig.wallOffMs = -1_000;
    rig.append("b");
    expect(rig.commits).toEqual(["ab+5"]);
  });
});
