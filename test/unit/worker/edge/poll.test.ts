// A poll of a member without a socket: what it reads of its partitions, what it tells the group, and how it waits.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ANYBODY } from "../../../../src/core/access/caller.ts";
import { concatBytes } from "../../../../src/core/bytes.ts";
import { type ErrorName, fail } from "../../../../src/core/errors.ts";
import type { Delivery } from "../../../../src/core/group/requests.ts";
import { DEFAULT_FETCH_BYTES } from "../../../../src/core/limits.ts";
import type { Env } from "../../../../src/env.ts";
import { forgetEverything } from "../../../../src/worker/edge/isolate.ts";
import {
  leave,
  type PollOptions,
  type PollResult,
  poll,
} from "../../../../src/worker/edge/poll.ts";
import { batchAt, FakeFeedSocket, settle } from "../kafka/feed-bench.ts";

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  forgetEverything();
});
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  forgetEverything();
  vi.useRealTimers();
});

interface Log {
  /** The offset of the first record. */
  start: number;
  end: number;
  committed: number | null;
  /** The partition's response, in place of records. */
  error?: ErrorName;
  /** The batch from here on cannot be read. */
  brokenFrom?: number;
}

/** A group of one member, and its partitions. Each record is a batch by itself. */
class Bench {
  readonly logs: Log[];
  readonly polls: { acks: unknown; memberId: string; sessionTimeoutMs: number }[] = [];
  readonly reads: { partition: number; offset: unknown; maxBytes: number; owner: object }[] = [];
  readonly delivered = new Map<string, number>();
  readonly deliveries: (readonly Delivery[])[] = [];
  readonly sockets: FakeFeedSocket[] = [];
  readonly left: unknown[] = [];
  readonly lookedUp: string[] = [];
  /** The partitions that belong to another by the time the records are to be sent. */
  readonly lost = new Set<number>();
  rejected: PollResult["rejected"] = [];
  initialOffset: unknown;
  groupExists = true;
  readonly env: Env;

  constructor(...logs: Partial<Log>[]) {
    this.logs = logs.map((log) => ({ start: 0, end: 0, committed: null, ...log }));
    this.env = {
      CLUSTER: { getByName: () => this.#cluster },
      GROUP: { getByName: () => this.#group },
      PARTITION: { getByName: (place: string) => this.#partition(Number(place.split("/")[1])) },
      caller: ANYBODY,
    } as unknown as Env;
  }

  readonly #cluster = {
    topic: async ({ name }: { name: string }) => {
      this.lookedUp.push(name);
      return name === "gone"
        ? fail("UNKNOWN_TOPIC_OR_PARTITION", "none")
        : { ok: true, topic: { name, topicId: "other", overrides: {} } };
    },
    hasGroup: async () => this.groupExists,
  };

  readonly #group = {
    poll: async (request: Bench["polls"][number]) => {
      this.polls.push(request);
      const partitions = this.logs.map(({ committed }, partition) => ({
        topic: "t",
        topicId: "id",
        partition,
        committedOffset: committed,
      }));
      const { initialOffset } = this;
      const owner = { incarnation: 1, memberEpoch: 2, memberNumber: 3 };
      const assignment = {
        ...owner,
        partitions,
        ...(initialOffset === undefined ? {} : { initialOffset }),
      };
      return { ok: true, assignment, rejected: this.rejected, delivered: this.delivered };
    },
    deliver: async ({
      memberId,
      memberEpoch: epoch,
      deliveries,
    }: {
      memberId: string;
      memberEpoch: number;
      deliveries: readonly Delivery[];
    }) => {
      expect([memberId, epoch]).toEqual(["poll:i", 2]);
      this.deliveries.push(deliveries);
      const own = deliveries.filter(({ key }) => !this.lost.has(Number(key.split(":")[1])));
      return new Set(own.map(({ key }) => key));
    },
    leave: async (request: object) => {
      this.left.push(request);
      return { ok: true, rejected: this.rejected };
    },
  };

  #partition(partition: number) {
    const log = this.logs[partition] as Log;
    return {
      readAs: async ({
        owner,
        offset: asked,
        maxBytes,
      }: {
        owner: object;
        offset: unknown;
        maxBytes: number;
      }) => {
        this.reads.push({ partition, offset: asked, maxBytes, owner });
        if (log.error !== undefined) return { ...fail(log.error, "for the test"), offset: 7 };
        const offset =
          asked === "earliest" ? log.start : asked === "latest" ? log.end : Number(asked);
        if (offset < log.start || offset > log.end) return fail("OFFSET_OUT_OF_RANGE", "outside");
        const all = [];
        for (let at = offset; at < log.end; at++) {
          const batch = batchAt(at, `${at}`);
          if (log.brokenFrom !== undefined && at >= log.brokenFrom) batch.fill(0xff, 61);
          all.push(batch);
        }
        return { ok: true, offset, batches: concatBytes(all), nextOffset: log.end };
      },
      fetch: async () => {
        const webSocket = new FakeFeedSocket();
        this.sockets.push(webSocket);
        return { status: 101, webSocket };
      },
    };
  }

  poll(options: Partial<PollOptions> = {}): Promise<PollResult> {
    return poll(this.env, "g", {
      instanceId: "i",
      clientId: null,
      topics: ["t"],
      topicPattern: null,
      sessionTimeoutMs: 30_000,
      from: "earliest",
      maxRecords: 100,
      waitMs: 0,
      ack: [],
      ...options,
    });
  }
}

/** The records of a response, as partition:offset. */
const shown = ({ records }: PollResult) =>
  records.map(({ partition, record }) => `${partition}:${record.offset}`).join(" ");

describe("what a poll reads", () => {
  test.each([
    ["an equal share of each partition, and then more of the first", [9, 2, 9], 10, [5, 2, 3]],
    ["at least one of each", [3, 3, 3], 2, [1, 1, 0]],
    ["all that there is", [1, 2, 3], 100, [1, 2, 3]],
    ["of one partition as many as it asks for", [9], 4, [4]],
    ["what the first ones leave", [1, 9, 9], 9, [1, 5, 3]],
  ] as [string, number[], number, number[]][])(
    "[POL-3] %s",
    async (_, ends, maxRecords, counts) => {
      const bench = new Bench(...ends.map((end) => ({ end })));
      const { records } = await bench.poll({ maxRecords });
      expect(ends.map((_end, i) => records.filter((each) => each.partition === i).length)).toEqual(
        counts,
      );
      for (const [i] of ends.entries()) {
        const offsets = records
          .filter((each) => each.partition === i)
          .map((each) => each.record.offset);
        expect(offsets).toEqual(offsets.map((_offset, at) => at));
      }
    },
  );

  test("[POL-3] begins with another partition as the group moves on", async () => {
    const bench = new Bench(
      { end: 9, committed: 1 },
      { end: 9, committed: 1 },
      { end: 9, committed: 2 },
    );
    expect(shown(await bench.poll({ maxRecords: 2 }))).toBe("1:1 2:2");
    (bench.logs[2] as Log).committed = 3;
    expect(shown(await bench.poll({ maxRecords: 2 }))).toBe("2:3 0:1");
  });

  test("[POL-2] as its owner, and less of each of many partitions", async () => {
    const one = new Bench({ end: 1 });
    await one.poll();
    expect(one.reads).toEqual([
      {
        partition: 0,
        offset: "earliest",
        maxBytes: DEFAULT_FETCH_BYTES,
        owner: { group: "g", incarnation: 1, memberEpoch: 2, memberNumber: 3 },
      },
    ]);
    const four = new Bench({ end: 1 }, { end: 1 }, { end: 1 }, { end: 1 });
    await four.poll();
    expect(four.reads.map(({ maxBytes }) => maxBytes)).toEqual(
      Array(4).fill(DEFAULT_FETCH_BYTES / 4),
    );
    const many = new Bench(...Array.from({ length: 200 }, () => ({ end: 0 })));
    await many.poll();
    expect(many.reads).toHaveLength(200);
    expect(many.reads[0]?.maxBytes).toBe(64 * 1024);
  });

  test("[POL-7] no more partitions once it has enough records", async () => {
    const bench = new Bench(...Array.from({ length: 200 }, () => ({ end: 5 })));
    expect((await bench.poll({ maxRecords: 3 })).records).toHaveLength(3);
    expect(bench.reads.length).toBeLessThan(200);
  });

  test.each([
    ["what is committed", { committed: 4 }, "earliest", undefined, "0:4 0:5", null],
    ["the start", {}, "earliest", undefined, "0:2 0:3 0:4 0:5", null],
    ["the end, which is committed", {}, "latest", undefined, "", 6],
    ["where the group says", {}, "latest", "earliest", "0:2 0:3 0:4 0:5", null],
    ["where the group says, which is committed", {}, "earliest", "latest", "", 6],
    [
      "the start, where the log no longer has what is committed",
      { committed: 1 },
      "earliest",
      undefined,
      "0:2 0:3 0:4 0:5",
      2,
    ],
    [
      "the end, where the log no longer has what is committed",
      { committed: 1 },
      "latest",
      undefined,
      "",
      6,
    ],
  ] as [string, Partial<Log>, "earliest" | "latest", unknown, string, number | null][])(
    "[POL-4] [SES-7] from %s",
    async (_, log, from, initialOffset, expected, beginOffset) => {
      const bench = new Bench({ start: 2, end: 6, ...log });
      bench.initialOffset = initialOffset;
      expect(shown(await bench.poll({ from }))).toBe(expected);
      expect(bench.deliveries.flat()).toEqual([
        {
          key: "id:0",
          beginOffset,
          committedOffset: log.committed ?? null,
          nextOffset: expected === "" ? null : 6,
        },
      ]);
    },
  );
});

describe("a partition that another has, or nobody can read", () => {
  test.each(["FENCED_MEMBER_EPOCH", "UNKNOWN_TOPIC_ID", "UNKNOWN_TOPIC_OR_PARTITION"] as const)(
    "[POL-2] is left out, and the others are read: %s",
    async (error) => {
      const bench = new Bench({ error }, { end: 1 });
      const answer = await bench.poll();
      expect(shown(answer)).toBe("1:0");
      expect(answer.unreadable).toEqual([]);
      expect(answer.assignment).toHaveLength(2);
    },
  );

  test("[POL-6] is reported with its place, beside the others' records", async () => {
    const bench = new Bench(
      { error: "KAFKA_STORAGE_ERROR" },
      { end: 3, brokenFrom: 0 },
      { end: 1 },
    );
    const answer = await bench.poll();
    expect(shown(answer)).toBe("2:0");
    expect(answer.unreadable).toMatchObject([
      { topic: "t", partition: 0, offset: 7, code: "KAFKA_STORAGE_ERROR", detail: "for the test" },
      { topic: "t", partition: 1, offset: 0, code: "CORRUPT_MESSAGE" },
    ]);
  });

  test("[POL-6] is reported once the records before the damage are read", async () => {
    const bench = new Bench({ end: 5, brokenFrom: 2 });
    const first = await bench.poll();
    expect(shown(first)).toBe("0:0 0:1");
    expect(first.unreadable).toEqual([]);
    (bench.logs[0] as Log).committed = 2;
    expect((await bench.poll()).unreadable).toMatchObject([{ partition: 0, offset: 2 }]);
  });

  test("[POL-2] that moved to another meanwhile is not sent", async () => {
    const bench = new Bench({ end: 2 }, { end: 2 });
    bench.lost.add(0);
    expect(shown(await bench.poll())).toBe("1:0 1:1");
  });
});

describe("what the group is told", () => {
  test("[POL-3] is what is about to be sent, and nothing if it was sent before", async () => {
    const bench = new Bench({ end: 2 }, { end: 3 }, { end: 0 });
    await bench.poll();
    expect(bench.deliveries).toEqual([
      [
        { key: "id:0", beginOffset: null, committedOffset: null, nextOffset: 2 },
        { key: "id:1", beginOffset: null, committedOffset: null, nextOffset: 3 },
        { key: "id:2", beginOffset: null, committedOffset: null, nextOffset: null },
      ],
    ]);
    bench.delivered.set("id:0", 2).set("id:1", 3);
    expect(shown(await bench.poll())).toBe("0:0 0:1 1:0 1:1 1:2");
    expect(bench.deliveries).toHaveLength(1);
    (bench.logs[1] as Log).end = 4;
    await bench.poll();
    expect(bench.deliveries).toHaveLength(2);
  });

  test("[POL-5] records from an ack that does not count are held back; from the first, if there are several", async () => {
    const bench = new Bench({ end: 6 }, { end: 2 });
    const rejection = (offset: number) => ({
      topic: "t",
      partition: 0,
      offset,
      code: "FENCED_MEMBER_EPOCH" as const,
      detail: "earlier",
    });
    bench.rejected = [rejection(4), rejection(2), rejection(3)];
    const answer = await bench.poll({ ack: [{ topic: "t", partition: 0, offset: 4 }] });
    expect(shown(answer)).toBe("0:0 0:1 1:0 1:1");
    expect(answer.rejected).toEqual(bench.rejected);
  });

  test("[POL-3] missing topics are named, and each is looked up once", async () => {
    const bench = new Bench({ end: 1 });
    const { missing } = await bench.poll({ topics: ["t", "gone", "empty"] });
    expect(missing).toEqual(["gone"]);
    expect(bench.lookedUp).toEqual(["t", "gone", "empty"]);
  });
});

describe("a poll that waits", () => {
  /** The response, once there is one. */
  function waiting(bench: Bench, options: Partial<PollOptions>) {
    const waited = { answer: null as PollResult | null };
    void bench.poll(options).then((answer) => {
      waited.answer = answer;
    });
    return waited;
  }

  test("[POL-3] is answered when there are records, and acknowledges once", async () => {
    const bench = new Bench({ end: 3, committed: 3 }, { end: 0, committed: 0 });
    const ack = [{ topic: "t", partition: 0, offset: 2 }];
    const waited = waiting(bench, { waitMs: 20_000, ack });
    await settle();
    expect(bench.sockets.map(({ attach }) => attach.offset).sort()).toEqual([0, 3]);
    expect(waited.answer).toBeNull();
    (bench.logs[0] as Log).end = 4;
    bench.sockets.find(({ attach }) => attach.offset === 3)?.push(batchAt(3, "3"));
    await settle();
    expect(shown(waited.answer as PollResult)).toBe("0:3");
    expect(bench.polls.map(({ acks }) => acks)).toEqual([ack, []]);
    expect(bench.sockets.every(({ isClosed }) => isClosed)).toBe(true);
  });

  test("[POL-3] is answered when its time is over, with nothing", async () => {
    const bench = new Bench({ end: 0, committed: 0 });
    const waited = waiting(bench, { waitMs: 10_000 });
    await vi.advanceTimersByTimeAsync(9_999);
    expect(waited.answer).toBeNull();
    await vi.advanceTimersByTimeAsync(1);
    expect(waited.answer).toMatchObject({ records: [] });
    expect(bench.polls).toHaveLength(2);
  });

  test("[POL-1] keeps its place twice a session while it waits", async () => {
    const bench = new Bench({ end: 0, committed: 0 });
    const waited = waiting(bench, { waitMs: 20_000, sessionTimeoutMs: 6_000 });
    await vi.advanceTimersByTimeAsync(2_999);
    expect(bench.polls).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(bench.polls).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(17_000);
    expect(bench.polls).toHaveLength(8);
    expect(bench.polls[0]).toMatchObject({ memberId: "poll:i", sessionTimeoutMs: 6_000 });
    expect(waited.answer).not.toBeNull();
  });

  test("[POL-3] looks every second for partitions, if it has none", async () => {
    const bench = new Bench();
    const waited = waiting(bench, { waitMs: 20_000 });
    await vi.advanceTimersByTimeAsync(3_000);
    expect(bench.polls).toHaveLength(4);
    bench.logs.push({ start: 0, end: 1, committed: null });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(shown(waited.answer as PollResult)).toBe("0:0");
  });

  test("[CLK-3] is answered if the clock was set back", async () => {
    const bench = new Bench({ end: 0, committed: 0 });
    const waited = waiting(bench, { waitMs: 20_000, sessionTimeoutMs: 6_000 });
    await settle();
    vi.setSystemTime(5_000);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(waited.answer).toMatchObject({ records: [] });
  });
});

describe("a poll that leaves", () => {
  const ack = [{ topic: "t", partition: 0, offset: 2 }];

  test("[POL-1] acknowledges, and reads nothing", async () => {
    const bench = new Bench({ end: 5 });
    const answer = await leave(bench.env, "g", { instanceId: "i", ack });
    expect(answer).toEqual({
      assignment: [],
      records: [],
      missing: [],
      unreadable: [],
      rejected: [],
    });
    expect(bench.left).toEqual([{ memberId: "poll:i", acks: ack }]);
    expect(bench.reads).toEqual([]);
  });

  test("[FIL-1] creates no group, and is told that its acks do not count", async () => {
    const bench = new Bench();
    bench.groupExists = false;
    const answer = await leave(bench.env, "g", { instanceId: "i", ack });
    expect(answer.rejected).toMatchObject([{ ...ack[0], code: "UNKNOWN_MEMBER_ID" }]);
    expect(bench.left).toEqual([]);
  });
});
