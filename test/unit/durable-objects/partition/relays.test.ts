// A partition's relays over its real log and store: whom it sends where, what it pushes and when, and when it stops.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { PartitionStore } from "../../../../durable-objects/partition/partition-store.ts";
import { Relays } from "../../../../durable-objects/partition/relays.ts";
import type { Push } from "../../../../src/calls/relay-calls.ts";
import {
  MAX_READERS_PER_RELAY,
  MAX_RELAYS_PER_PARTITION,
  RELAY_LOOK_MS,
  RELAY_PUSH_BYTES,
} from "../../../../src/core/limits.ts";
import { PartitionLog } from "../../../../src/core/log/partition-log.ts";
import {
  appendOf,
  batchOf,
  configOf,
  PARTITION,
  shape,
  TOPIC,
} from "../../../support/log-fixtures.ts";
import { MemoryLogStore } from "../../../support/memory-log-store.ts";
import { nodeSql } from "../../../support/node-sql.ts";

const START_MS = 1_700_000_000_000;

beforeEach(() => {
  vi.useFakeTimers({ now: START_MS });
});
afterEach(() => {
  vi.useRealTimers();
});

interface Pushed extends Push {
  readonly relay: number;
}

class Partition {
  readonly log = new PartitionLog(new MemoryLogStore(), configOf());
  readonly store = new PartitionStore(nodeSql(), PARTITION);
  readonly pushed: Pushed[] = [];
  /** The readers of each relay, as it reports them. */
  readonly readers = new Map<number, number>();
  /** Pushes that wait for a response, if the test controls it. */
  waiting: PromiseWithResolvers<void>[] | null = null;
  /** A relay that does not answer. */
  unreachable: number | null = null;
  /** The number of pushes that fail from now on. */
  failures = 0;
  failed = 0;
  relays: Relays;

  constructor() {
    this.store.setTopic(TOPIC);
    this.relays = this.begin();
  }

  /** As after an eviction. */
  begin(): Relays {
    this.relays = new Relays({
      log: this.log,
      store: this.store,
      topic: TOPIC.name,
      stub: (relay) => ({ push: (push: Push) => this.#pushed(relay, push) }),
      waitUntil: () => {},
      failed: () => {
        this.failed++;
      },
    });
    return this.relays;
  }

  async #pushed(relay: number, push: Push): Promise<{ readers: number }> {
    this.pushed.push({ relay, ...push });
    if (relay === this.unreachable) throw new Error("Network connection lost.");
    if (this.failures > 0) {
      this.failures--;
      throw new Error("Network connection lost.");
    }
    const readers = this.readers.get(relay) ?? 1;
    if (this.waiting !== null) {
      const answer = Promise.withResolvers<void>();
      this.waiting.push(answer);
      await answer.promise;
    }
    return { readers };
  }

  async append(valueBytes = 10): Promise<void> {
    const { logEndOffset } = this.log;
    const batch = batchOf([shape(START_MS + logEndOffset, valueBytes)], logEndOffset, 0);
    this.log.commit([appendOf([batch])], START_MS + logEndOffset);
    this.relays.committed(Date.now());
    await settle();
  }

  /** The ranges that were pushed since the last call. */
  take(): [relay: number, from: number, to: number][] {
    return this.pushed
      .splice(0)
      .map(({ relay, from, nextOffset }) => [relay, from, nextOffset] as const)
      .map(([relay, from, to]) => [relay, from, to]);
  }
}

const settle = () => vi.advanceTimersByTimeAsync(0);

describe("whom a partition sends where", () => {
  test("[RLY-1] it fills a relay, then the next, and has room for no more than all of them", () => {
    const { relays, store } = new Partition();
    const sent = Array.from({ length: MAX_READERS_PER_RELAY * MAX_RELAYS_PER_PARTITION + 1 }, () =>
      relays.assign(START_MS),
    );
    expect(sent[MAX_READERS_PER_RELAY - 1]).toBe(0);
    expect(sent[MAX_READERS_PER_RELAY]).toBe(1);
    expect(sent.at(-2)).toBe(MAX_RELAYS_PER_PARTITION - 1);
    expect(sent.at(-1)).toBe(null);
    expect(store.relays()).toHaveLength(MAX_RELAYS_PER_PARTITION);
  });

  test("[RLY-1] a relay that reports few readers is sent more", async () => {
    const partition = new Partition();
    for (let i = 0; i < MAX_READERS_PER_RELAY; i++) partition.relays.assign(START_MS);
    expect(partition.relays.assign(START_MS)).toBe(1);
    partition.readers.set(0, MAX_READERS_PER_RELAY - 2);
    await partition.append();
    expect([1, 2, 3].map(() => partition.relays.assign(START_MS))).toEqual([0, 0, 1]);
  });

  test("[RLY-1] in a new life it asks them for their numbers, and one that does not answer is full", async () => {
    const partition = new Partition();
    for (let i = 0; i <= 2 * MAX_READERS_PER_RELAY; i++) partition.relays.assign(START_MS);
    expect(partition.relays.numbers).toEqual([0, 1, 2]);
    const next = partition.begin();
    partition.unreachable = 0;
    partition.readers.set(1, MAX_READERS_PER_RELAY);
    await next.learn();
    expect(new Set(partition.take().map(([relay]) => relay))).toEqual(new Set([0, 1, 2]));
    expect(next.assign(START_MS)).toBe(2);
    partition.unreachable = null;
    await next.learn();
    expect(partition.take(), "only the one that has not answered is asked again").toEqual([
      [0, 0, 0],
    ]);
    expect(next.assign(START_MS)).toBe(0);
  });
});

describe("what a partition pushes", () => {
  test("[RLY-2] appends from the time on when somebody was sent there", async () => {
    const partition = new Partition();
    await partition.append();
    expect(partition.take()).toEqual([]);
    partition.relays.assign(START_MS);
    await partition.append();
    await partition.append();
    expect(partition.take()).toEqual([
      [0, 1, 2],
      [0, 2, 3],
    ]);
  });

  test("[RLY-2] one push at a time to each, with all that arrived meanwhile, up to its bound", async () => {
    const partition = new Partition();
    partition.relays.assign(START_MS);
    partition.waiting = [];
    for (let i = 0; i < 5; i++) await partition.append(400_000);
    expect(partition.take()).toEqual([[0, 0, 1]]);
    partition.waiting.shift()?.resolve();
    await settle();
    const [second] = partition.pushed as [Pushed];
    expect(second.batches.length).toBeLessThanOrEqual(RELAY_PUSH_BYTES);
    expect(partition.take()).toEqual([[0, 1, 3]]);
    partition.waiting.shift()?.resolve();
    await settle();
    expect(partition.take()).toEqual([[0, 3, 5]]);
    partition.waiting.shift()?.resolve();
    await settle();
    expect(partition.take()).toEqual([]);
  });

  test("[RLY-2] a slow relay does not delay the others", async () => {
    const partition = new Partition();
    for (let i = 0; i <= MAX_READERS_PER_RELAY; i++) partition.relays.assign(START_MS);
    partition.waiting = [];
    await partition.append();
    partition.waiting[1]?.resolve();
    await partition.append();
    expect(partition.take()).toEqual([
      [0, 0, 1],
      [1, 0, 1],
      [1, 1, 2],
    ]);
  });

  test("[RLY-2] in a new life it begins with the first append of that life", async () => {
    const partition = new Partition();
    partition.relays.assign(START_MS);
    await partition.append();
    await partition.append();
    partition.take();
    partition.begin();
    await partition.append();
    expect(partition.take()).toEqual([[0, 2, 3]]);
  });

  test("[RLY-2] nothing that was deleted in between", async () => {
    const partition = new Partition();
    partition.relays.assign(START_MS);
    partition.waiting = [];
    for (let i = 0; i < 4; i++) await partition.append();
    partition.log.deleteRecordsBefore(3, Date.now());
    partition.take();
    partition.waiting.shift()?.resolve();
    await settle();
    expect(partition.pushed).toMatchObject([{ from: 3, nextOffset: 4, logStartOffset: 3 }]);
  });

  test("[CRC-2] [RLY-3] unreadable data is left out, and the relay learns where the log ends", async () => {
    const partition = new Partition();
    partition.relays.assign(START_MS);
    const read = vi.spyOn(partition.log, "read").mockImplementation(() => {
      throw partition.log.verifier.error({ baseOffset: 0, nextOffset: 1 } as never);
    });
    await partition.append();
    expect(partition.pushed).toMatchObject([{ from: 1, nextOffset: 1 }]);
    expect(partition.pushed[0]?.batches).toHaveLength(0);
    read.mockRestore();
    partition.take();
    await partition.append();
    expect(partition.take()).toEqual([[0, 1, 2]]);
  });
});

describe("a relay without readers", () => {
  test("[RLY-2] is dropped once nobody was sent there for ten seconds", async () => {
    const partition = new Partition();
    partition.relays.assign(Date.now());
    partition.readers.set(0, 0);
    vi.setSystemTime(START_MS + RELAY_LOOK_MS);
    await partition.append();
    expect(partition.store.relays(), "its reader may be on the way").toEqual([0]);
    vi.setSystemTime(START_MS + RELAY_LOOK_MS + 1);
    await partition.append();
    expect(partition.store.relays()).toEqual([]);
    expect(partition.relays.has(0)).toBe(false);
    partition.take();
    await partition.append();
    expect(partition.take()).toEqual([]);
  });

  test("[RLY-2] is kept if a reader comes while its answer is under way", async () => {
    const partition = new Partition();
    partition.relays.assign(Date.now());
    partition.readers.set(0, 0);
    partition.waiting = [];
    vi.setSystemTime(START_MS + 2 * RELAY_LOOK_MS);
    await partition.append();
    partition.relays.subscribe(0, Date.now());
    partition.waiting.shift()?.resolve();
    await settle();
    expect(partition.store.relays()).toEqual([0]);
    await partition.append();
    expect(partition.take()).toEqual([
      [0, 0, 1],
      [0, 1, 2],
    ]);
  });

  test("[RLY-2] is there again once it subscribes", async () => {
    const partition = new Partition();
    await partition.append();
    partition.relays.subscribe(3, Date.now());
    expect(partition.store.relays()).toEqual([3]);
    await partition.append();
    expect(partition.take()).toEqual([[3, 1, 2]]);
  });
});

describe("a push that fails", () => {
  test("[RLY-5] is retried at once, and then with the next append, with what it lacks", async () => {
    const partition = new Partition();
    partition.relays.assign(START_MS);
    partition.failures = 1;
    await partition.append();
    expect(partition.take()).toEqual([
      [0, 0, 1],
      [0, 0, 1],
    ]);
    expect(partition.failed).toBe(0);
    partition.failures = 2;
    await partition.append();
    expect(partition.failed).toBe(1);
    partition.take();
    await partition.append();
    expect(partition.take()).toEqual([[0, 1, 3]]);
  });

  test("[RLY-5] is checked ten seconds after an append, and only then", async () => {
    const partition = new Partition();
    expect(partition.relays.nextLookMs()).toBe(Number.POSITIVE_INFINITY);
    await partition.append();
    expect(partition.relays.nextLookMs(), "without relays").toBe(Number.POSITIVE_INFINITY);
    partition.relays.assign(START_MS);
    await partition.append();
    vi.setSystemTime(START_MS + 3);
    await partition.append();
    expect(partition.relays.nextLookMs()).toBe(START_MS + RELAY_LOOK_MS);
    partition.take();
    partition.relays.look();
    await settle();
    expect(partition.take(), "all is well").toEqual([]);
    expect(partition.relays.nextLookMs()).toBe(Number.POSITIVE_INFINITY);
    partition.failures = 2;
    await partition.append();
    partition.take();
    partition.relays.look();
    await settle();
    expect(partition.take()).toEqual([[0, 3, 4]]);
  });

  test("[RLY-5] after a crash the check says where the log ends", async () => {
    const partition = new Partition();
    partition.relays.assign(START_MS);
    await partition.append();
    partition.take();
    partition.begin().look();
    await settle();
    expect(partition.take()).toEqual([[0, 1, 1]]);
  });

  test("[RLY-5] one that fails during the check is checked again", async () => {
    const partition = new Partition();
    partition.relays.assign(START_MS);
    await partition.append();
    partition.failures = 2;
    partition.begin().look();
    await settle();
    expect(partition.relays.nextLookMs()).toBe(START_MS + RELAY_LOOK_MS);
    expect(partition.failed).toBe(1);
  });
});
