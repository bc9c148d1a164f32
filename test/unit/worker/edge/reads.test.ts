// The Worker's reads from a log for a client, and from the logs of a group. The tests show where it begins and ends, and
// what it reports of offsets.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ANYBODY } from "../../../../src/core/access/caller.ts";
import type { Grant } from "../../../../src/core/access/grants.ts";
import { concatBytes } from "../../../../src/core/bytes.ts";
import { type ErrorName, fail } from "../../../../src/core/errors.ts";
import type { GroupDescription } from "../../../../src/core/group/describe.ts";
import type { Env } from "../../../../src/env.ts";
import { withCaller } from "../../../../src/env.ts";
import { decodeFrom, waitForRecords } from "../../../../src/worker/edge/fetch.ts";
import {
  groupOffsets,
  listOffset,
  type ResetTarget,
  resetGroup,
} from "../../../../src/worker/edge/offsets.ts";
import { readLines } from "../../../../src/worker/http/bulk.ts";
import { batchAt, FeedBench, settle } from "../kafka/feed-bench.ts";
import { brokerOf, freshQuietIsolate } from "../kafka/kafka-bench.ts";

freshQuietIsolate();

/** A batch that cannot be decoded. */
function brokenAt(offset: number): Uint8Array {
  return batchAt(offset, "x").fill(0xff, 61);
}

/** A log of these batches, each of one record or more. It grows when `batches` does. */
class Log {
  start = 0;
  end = 0;
  readonly batches: { readonly base: number; readonly next: number; readonly bytes: Uint8Array }[] =
    [];
  readonly reads: number[] = [];
  onRead: () => void = () => {};

  add(...values: string[]): this {
    const [base, next] = [this.end, this.end + values.length];
    this.batches.push({ base, next, bytes: batchAt(base, ...values) });
    this.end = next;
    return this;
  }

  addBroken(): this {
    this.batches.push({ base: this.end, next: this.end + 1, bytes: brokenAt(this.end) });
    this.end++;
    return this;
  }

  get stub() {
    const bounds = () => ({ ok: true, logStartOffset: this.start, highWatermark: this.end });
    return {
      offsets: async () => bounds(),
      read: async ({ offset, maxBytes }: { offset: number; maxBytes: number }) => {
        this.reads.push(offset);
        this.onRead();
        const from = this.batches.filter(({ next }) => next > offset);
        const taken = from.slice(0, maxBytes === 1 ? 1 : 2);
        return {
          ...bounds(),
          batches: concatBytes(taken.map(({ bytes }) => bytes)),
          nextOffset: taken.at(-1)?.next ?? offset,
        };
      },
    };
  }
}

const offsetsOf = (records: readonly { readonly offset: number }[]) =>
  records.map(({ offset }) => offset);

describe("what is decoded of batches", () => {
  const bytes = concatBytes([batchAt(0, "a", "b"), batchAt(2, "c", "d", "e"), batchAt(5, "f")]);
  const damaged = concatBytes([batchAt(0, "a"), brokenAt(1), batchAt(2, "c")]);

  test.each([
    ["all", 0, 9, [0, 1, 2, 3, 4, 5], null],
    ["from within a batch on", 3, 9, [3, 4, 5], null],
    ["from the last record of a batch on", 1, 9, [1, 2, 3, 4, 5], null],
    ["as many as are asked for", 0, 3, [0, 1, 2], 3],
    ["to the end of a batch", 0, 2, [0, 1], 2],
    ["to the end of the last batch", 0, 6, [0, 1, 2, 3, 4, 5], 6],
    ["one of the middle", 3, 1, [3], 4],
    ["none from behind the end", 6, 9, [], null],
  ])("[FCH-1] %s", (_, offset, maxRecords, expected, nextOffset) => {
    const read = decodeFrom(bytes, offset, maxRecords);
    expect(offsetsOf(read.records)).toEqual(expected);
    expect(read.nextOffset).toBe(nextOffset);
  });

  test("[CRC-4] data before an undecodable one, and then the error with its place", () => {
    const read = decodeFrom(damaged, 0, 9);
    expect(offsetsOf(read.records)).toEqual([0]);
    expect(read.nextOffset).toBe(1);
    const place = { topic: "t", partition: 7 };
    expect(() => decodeFrom(damaged, 1, 9, place)).toThrow(/t\/7 at offset 1/);
    expect(offsetsOf(decodeFrom(damaged, 2, 9).records)).toEqual([2]);
    expect(offsetsOf(decodeFrom(damaged, 0, 1).records)).toEqual([0]);
  });
});

describe("lines", () => {
  async function linesOf(log: Log, offset: number | null, maxRecords = 100) {
    const env = brokerOf({ t: 1 }, { partition: log.stub as never });
    const held: number[] = [];
    const hold = (bytes: number) => void held.push(bytes);
    const texts: string[] = [];
    for await (const text of readLines(env, "t", 0, { offset, maxRecords, hold })) texts.push(text);
    const lines = texts.join("").split("\n");
    expect(lines.pop()).toBe("");
    return { lines: lines.map((line) => JSON.parse(line)), held };
  }

  test.each([
    ["from the log start", null, 100, [2, 3, 4, 5, 6]],
    ["from an offset", 4, 100, [4, 5, 6]],
    ["as many as are asked for", 2, 3, [2, 3, 4]],
    ["none from the end on", 7, 100, []],
    ["none where none is asked for", 2, 0, []],
  ])("[BLK-2] come %s", async (_, offset, maxRecords, expected) => {
    const log = new Log().add("a", "b", "c").add("d").add("e", "f").add("g");
    log.start = 2;
    const { lines } = await linesOf(log, offset, maxRecords);
    expect(offsetsOf(lines)).toEqual(expected);
  });

  test("[BLK-2] end where the log ended as they began, whatever is appended meanwhile", async () => {
    const log = new Log().add("a").add("b", "c").add("d");
    log.onRead = () => void log.add("later");
    const { lines } = await linesOf(log, 0);
    expect(offsetsOf(lines)).toEqual([0, 1, 2, 3]);
    expect(log.reads).toEqual([0, 3]);
  });

  test("[BLK-2] [BND-6] count what they hold of each read", async () => {
    const log = new Log().add("x".repeat(1_000)).add("y").add("z").add("z");
    const { held } = await linesOf(log, 0);
    expect(held).toHaveLength(2);
    expect(held[0]).toBeGreaterThan(1_000);
    expect(held[1]).toBeLessThan(1_000);
    expect(held[1]).toBeGreaterThan(1);
  });

  test("[BLK-2] [CRC-4] end with the error of an undecodable batch", async () => {
    const log = new Log().add("a").addBroken().add("c");
    const { lines } = await linesOf(log, 0);
    expect(lines).toMatchObject([{ offset: 0 }, { error: { code: "CORRUPT_MESSAGE" } }]);
  });
});

describe("the positions of a group", () => {
  const NOW_MS = 10_000;
  beforeEach(() => {
    vi.useFakeTimers({ now: NOW_MS });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  /** A broker of one partition, and a group that has committed there. */
  function told(log: object, committedOffset: number | null, used: () => unknown = () => [[0]]) {
    const cluster = { usedPartitions: async () => used() };
    const env = brokerOf({ t: 1 }, { partition: log as never, cluster });
    const entry = { topic: "t", topicId: "id-t", partition: 0, committedOffset };
    return groupOffsets(env, { offsets: [entry] } as unknown as GroupDescription);
  }

  test.each([
    ["nothing is committed", null, { lag: null, oldestUnreadMs: NOW_MS }, 2],
    ["0 is committed, and deleted since", 0, { lag: 4, oldestUnreadMs: NOW_MS }, 2],
    ["it stands at the log start", 2, { lag: 4, oldestUnreadMs: NOW_MS }, 2],
    ["it stands within a batch", 3, { lag: 3, oldestUnreadMs: NOW_MS }, 3],
    ["it stands before the last record", 5, { lag: 1, oldestUnreadMs: NOW_MS }, 5],
    ["it has read all", 6, { lag: 0, oldestUnreadMs: null }, null],
    ["it stands behind the end", 9, { lag: 0, oldestUnreadMs: null }, null],
  ])(
    "[OFF-6] [OFF-9] [OFF-12] lag and age where %s",
    async (_, committedOffset, expected, readFrom) => {
      const log = new Log().add("a", "b", "c", "d").add("e", "f");
      log.start = 2;
      const { offsets, unreadable } = await told(log.stub, committedOffset);
      const place = { topic: "t", partition: 0, committedOffset, logEndOffset: 6 };
      expect(offsets).toEqual([{ ...place, ...expected }]);
      expect(unreadable).toEqual([]);
      expect(log.reads).toEqual(readFrom === null ? [] : [readFrom]);
    },
  );

  test("[OFF-9] no record has an age below zero", async () => {
    vi.setSystemTime(-5);
    const { offsets } = await told(new Log().add("a").stub, 0);
    expect(offsets).toMatchObject([{ lag: 1, oldestUnreadMs: 0 }]);
  });

  test("[OFF-9] the age is that of the next record, if the rest of a batch is gone", async () => {
    const log = new Log().add("a");
    // The batch covers offsets 0 to 2, and compaction has left only the first.
    log.batches.splice(0, 1, { base: 0, next: 3, bytes: batchAt(0, "a") });
    log.end = 3;
    log.add("d");
    const { offsets } = await told(log.stub, 1);
    expect(offsets).toMatchObject([{ lag: 3, oldestUnreadMs: NOW_MS }]);
    expect(log.reads).toEqual([1, 3]);
  });

  test("[OFF-9] [CRC-4] there is no age if the next batch does not decode", async () => {
    const { offsets } = await told(new Log().addBroken().stub, 0);
    expect(offsets).toMatchObject([{ lag: 1, oldestUnreadMs: null }]);
  });

  test.each([
    ["KAFKA_STORAGE_ERROR", 4, 4],
    ["KAFKA_STORAGE_ERROR", null, 0],
    ["UNKNOWN_TOPIC_ID", 4, null],
    ["UNKNOWN_TOPIC_OR_PARTITION", 4, null],
  ] as [ErrorName, number | null, number | null][])(
    "[OFF-6] a partition that answers %s, with %s committed",
    async (error, committedOffset, offset) => {
      const log = { offsets: async () => fail(error, "for the test") };
      const failed = { topic: "t", partition: 0, offset, code: error, detail: "for the test" };
      expect(await told(log, committedOffset)).toEqual({
        offsets: [],
        unreadable: offset === null ? [] : [failed],
      });
    },
  );

  test.each([
    ["is not in use is not asked", () => [[1, 2]], 0],
    ["is in use is asked", () => [[1, 0]], 1],
    ["is of a topic that the cluster does not know is asked", () => [null], 1],
    [
      "nobody knows of is asked, while the cluster is out of reach",
      () => {
        throw new Error("Network connection lost");
      },
      1,
    ],
  ])("[FIL-1] a partition that %s", async (_, used, times) => {
    const log = new Log().stub;
    const offsets = vi.spyOn(log, "offsets");
    const described = await told(log, null, used);
    expect(described.offsets).toMatchObject([{ logEndOffset: 0, lag: null }]);
    expect(offsets).toHaveBeenCalledTimes(times);
  });
});

describe("a look-up", () => {
  test("[LOG-6] continues if the record that made a batch new enough was deleted", async () => {
    const asked: number[] = [];
    const found = [
      { batch: batchAt(0, "a", "b"), nextOffset: 2 },
      { batch: batchAt(2, "c"), nextOffset: 3 },
    ];
    const partition = {
      findBatchByTimestamp: async ({ timestamp: _, from }: { timestamp: number; from: number }) => {
        asked.push(from);
        const candidate = found[asked.length - 1] ?? null;
        return { ok: true, candidate, topic: "t", logStartOffset: 2, highWatermark: 9 };
      },
    };
    const env = brokerOf({ t: 1 }, { partition: partition as never });
    expect(await listOffset(env, "id-t", 0, { timestamp: 0 })).toEqual({ offset: 2, timestamp: 0 });
    expect(asked).toEqual([0, 2]);
    asked.length = 0;
    found.length = 1;
    expect(await listOffset(env, "id-t", 0, { timestamp: 0 })).toEqual({ offset: 9 });
  });

  test("[LOG-11] of the largest timestamp finds the end of an empty log", async () => {
    const partition = {
      maxTimestamp: async () => ({ ok: true, timestamp: null }),
      offsets: async () => ({ ok: true, logStartOffset: 4, highWatermark: 4 }),
    };
    const env = brokerOf({ t: 1 }, { partition: partition as never });
    expect(await listOffset(env, "id-t", 0, "max-timestamp")).toEqual({ offset: 4 });
    expect(await listOffset(env, "id-t", 0, "earliest")).toEqual({ offset: 4 });
  });
});

describe("a reset", () => {
  const log = new Log().add("a", "b", "c", "d", "e", "f", "g", "h");
  log.start = 2;

  /** A group that has committed in both partitions of `t`, in the second nothing. */
  function groupOf(members: readonly object[] = []) {
    const resetOffsets = vi.fn(async (_: { offsets: readonly { offset: number }[] }) => ({
      ok: true,
    }));
    const entry = { topic: "t", topicId: "id-t" };
    const offsets = [
      { ...entry, partition: 0, committedOffset: 5 },
      { ...entry, partition: 1, committedOffset: null },
    ];
    const describe = async () => ({ ok: true, group: { members, offsets } });
    const partition = {
      ...log.stub,
      findBatchByTimestamp: async () => ({
        ok: true,
        candidate: null,
        topic: "t",
        logStartOffset: 2,
        highWatermark: 8,
      }),
    };
    const broker = brokerOf(
      { t: 2, other: 1 },
      { partition: partition as never, group: { describe, resetOffsets } as never },
    );
    const env = withCaller(broker, ANYBODY);
    return { env, resetOffsets };
  }

  test.each([
    ["the earliest", "earliest", [2, 2]],
    ["the latest", "latest", [8, 8]],
    ["where it is", "current", [5, 2]],
    ["an offset", { offset: 6 }, [6, 6]],
    ["an offset before the log", { offset: 0 }, [2, 2]],
    ["an offset behind the log", { offset: 99 }, [8, 8]],
    ["later", { shiftBy: 2 }, [7, 4]],
    ["earlier", { shiftBy: -2 }, [3, 2]],
    ["a time that no record has", { timestamp: 1 }, [8, 8]],
  ] as [string, ResetTarget, number[]][])(
    "[OFF-4] [OFF-5] to %s is clamped to the log, and a dry run changes nothing",
    async (_, to, expected) => {
      for (const dryRun of [true, false]) {
        const { env, resetOffsets } = groupOf();
        const plan = await resetGroup(env, "g", { dryRun, topics: undefined, to });
        expect(plan).toEqual(
          expected.map((offset, partition) => ({
            topic: "t",
            partition,
            committedOffset: partition === 0 ? 5 : null,
            offset,
          })),
        );
        const sent = resetOffsets.mock.calls.map(([{ offsets }]) => offsetsOf(offsets));
        expect(sent).toEqual(dryRun ? [] : [expected]);
      }
    },
  );

  test("[OFF-4] of one topic leaves the others, and begins one that the group has not read", async () => {
    const { env } = groupOf();
    const plan = (topics: readonly string[]) =>
      resetGroup(env, "g", { dryRun: true, topics, to: "latest" });
    expect((await plan(["t"])).map(({ topic }) => topic)).toEqual(["t", "t"]);
    expect(await plan(["other"])).toEqual([
      { topic: "other", partition: 0, committedOffset: null, offset: 8 },
    ]);
  });

  test("[ACL-6] that names no topics covers those that the caller may see, and must be allowed for them", async () => {
    const reset = { dryRun: true, topics: undefined, to: "latest" } as const;
    const plan = (grants: readonly Grant[]) =>
      resetGroup(withCaller(groupOf().env, { ...ANYBODY, grants }), "g", reset);
    expect(await plan([{ topics: { prefix: "s" }, operations: ["READ"] }])).toEqual([]);
    expect(await plan([{ topics: { prefix: "t" }, operations: ["READ"] }])).toHaveLength(2);
    await expect(
      plan([{ topics: { prefix: "t" }, operations: ["DESCRIBE"] }]),
    ).rejects.toMatchObject({ code: "TOPIC_AUTHORIZATION_FAILED" });
  });

  test("[OFF-8] takes a plan, and rejects one with a missing partition", async () => {
    const { env, resetOffsets } = groupOf();
    const at = (topic: string, partition: number, offset: number) => ({ topic, partition, offset });
    const plan = [at("t", 1, 3), at("other", 0, 4)];
    const done = await resetGroup(env, "g", { dryRun: false, offsets: plan });
    expect(done).toMatchObject(plan);
    expect(resetOffsets).toHaveBeenCalledTimes(1);
    for (const wrong of [at("t", 2, 0), at("other", 1, 0)]) {
      const request = { dryRun: false, offsets: [at("t", 0, 3), wrong] };
      await expect(resetGroup(env, "g", request)).rejects.toMatchObject({
        code: "UNKNOWN_TOPIC_OR_PARTITION",
      });
    }
    expect(resetOffsets).toHaveBeenCalledTimes(1);
  });

  test("[OFF-4] is refused while the group has members, as a dry run too", async () => {
    const { env, resetOffsets } = groupOf([{}]);
    const request = { dryRun: true, topics: undefined, to: "latest" } as const;
    await expect(resetGroup(env, "g", request)).rejects.toMatchObject({ code: "NON_EMPTY_GROUP" });
    expect(resetOffsets).not.toHaveBeenCalled();
  });
});

describe("a wait for records", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  async function waiting() {
    const bench = new FeedBench();
    const wait = waitForRecords(bench.env as Env, "id", 3, 7, 500);
    const state = { isOver: false };
    void wait.ended.then(() => {
      state.isOver = true;
    });
    await settle();
    return { wait, state, socket: bench.socket("id/3") };
  }

  test("[FCH-2] reads as a tail reader from its offset on, and takes no more than one batch", async () => {
    const { socket, state } = await waiting();
    expect(socket.sent).toEqual([
      { type: "attach", attachId: 1, offset: 7, windowBytes: 1, relays: true },
    ]);
    socket.attached(7);
    await settle();
    expect(state.isOver).toBe(false);
    expect(socket.isClosed).toBe(false);
  });

  test.each([
    ["there are any", async ({ socket }) => socket.push(batchAt(7, "a"))],
    ["its time is over", async () => void (await vi.advanceTimersByTimeAsync(500))],
    ["the partition has closed", async ({ socket }) => socket.closed(1_006)],
    ["it is told to", async ({ wait }) => wait.stop()],
  ] as [string, (one: Awaited<ReturnType<typeof waiting>>) => Promise<void>][])(
    "[FCH-2] ends as soon as %s, and leaves nothing behind",
    async (_, happens) => {
      const one = await waiting();
      await vi.advanceTimersByTimeAsync(499);
      expect(one.state.isOver).toBe(false);
      await happens(one);
      await settle();
      expect(one.state.isOver).toBe(true);
      expect(one.socket.isClosed).toBe(true);
      expect(vi.getTimerCount()).toBe(0);
    },
  );
});
