// Fetches of a Kafka connection: which partitions one waits for and how long, and what its response has of each.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { concatBytes } from "../../../../src/core/bytes.ts";
import { ERRORS, type ErrorName, KAFKA_ERRORS } from "../../../../src/core/errors.ts";
import { MAX_FEED_BYTES, MAX_KAFKA_FEEDS } from "../../../../src/core/limits.ts";
import { forgetEverything } from "../../../../src/worker/edge/isolate.ts";
import { fetch } from "../../../../src/worker/kafka/apis/fetch.ts";
import type { RequestContext } from "../../../../src/worker/kafka/context.ts";
import type { Feeds } from "../../../../src/worker/kafka/feeds.ts";
import { Nodes } from "../../../../src/worker/kafka/nodes.ts";
import { batchAt, FeedBench, settle } from "./feed-bench.ts";

let bench: FeedBench;
let feeds: Feeds;
let nodes: Nodes;
beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  forgetEverything();
  bench = new FeedBench();
  bench.topic("t", "id", 4);
  feeds = bench.feeds();
  nodes = new Nodes([{ host: "h", port: 1 }], null);
});
afterEach(() => {
  feeds.close();
  forgetEverything();
  vi.useRealTimers();
});

interface Asked {
  readonly partition: number;
  readonly fetchOffset?: number;
  readonly partitionMaxBytes?: number;
}

interface Answered {
  readonly partition: number;
  readonly errorCode: number;
  readonly highWatermark: number;
  readonly logStartOffset?: number;
  readonly records: readonly Uint8Array[];
  readonly abortedTransactions?: unknown;
}

interface Options {
  readonly maxWaitMs?: number;
  readonly minBytes?: number;
  readonly maxBytes?: number;
  readonly isolationLevel?: number;
  readonly version?: number;
  readonly name?: string;
  readonly topicId?: string;
}

/** A fetch, and its response once there is one. */
function ask(asked: readonly Asked[], options: Options = {}) {
  const { version = 11, name = version < 13 ? "t" : "", topicId = "id" } = options;
  const { maxWaitMs = 1_000, minBytes = 1, maxBytes = 1_000_000, isolationLevel = 0 } = options;
  const partitions = asked.map((each) => ({
    fetchOffset: 0,
    partitionMaxBytes: 1_000_000,
    ...each,
  }));
  const topics = [{ name, topicId: version < 13 ? "" : topicId, partitions }];
  const request = { maxWaitMs, minBytes, maxBytes, isolationLevel, topics };
  const work = { made: () => {}, look: () => {}, pause: async () => {} };
  const login = { isOver: async () => false };
  const context = {
    env: bench.env,
    nodes,
    login,
    feeds,
    work,
    version,
  } as unknown as RequestContext;
  const fetched = {
    answer: null as null | readonly Answered[],
    /** The response for one partition. */
    of: (partition: number) =>
      fetched.answer?.find((each) => each.partition === partition) as Answered,
    bytesOf: (partition: number) => concatBytes([...fetched.of(partition).records]),
  };
  void fetch.serve(request, context).then((response) => {
    const { topics } = response as { topics: { partitions: readonly Answered[] }[] };
    fetched.answer = topics.flatMap((each) => each.partitions);
  });
  return fetched;
}

/** A fetch of these partitions, which are open and end here. */
async function opened(ends: readonly number[], options: Options = {}) {
  const fetched = ask(
    ends.map((fetchOffset, partition) => ({ partition, fetchOffset })),
    { maxWaitMs: 0, ...options },
  );
  await settle();
  for (const [partition, end] of ends.entries()) bench.socket(`id/${partition}`).attached(end);
  await settle();
  expect(fetched.answer).not.toBeNull();
}

describe("how long a fetch waits", () => {
  test("[KFK-4] as long as it may, if there is nothing", async () => {
    await opened([0, 0]);
    const fetched = ask([{ partition: 0 }, { partition: 1 }], { maxWaitMs: 700 });
    await vi.advanceTimersByTimeAsync(699);
    expect(fetched.answer).toBeNull();
    await vi.advanceTimersByTimeAsync(1);
    expect(fetched.answer).toMatchObject([
      { errorCode: 0, highWatermark: 0, records: [] },
      { errorCode: 0, highWatermark: 0, records: [] },
    ]);
  });

  test.each([
    ["it asks for no bytes", { minBytes: 0 }],
    ["it may not wait", { maxWaitMs: 0 }],
    ["it may wait a negative time", { maxWaitMs: -1 }],
  ])("[KFK-4] not at all, if %s", async (_, options) => {
    await opened([0]);
    const fetched = ask([{ partition: 0 }], options);
    await settle();
    expect(fetched.answer).toMatchObject([{ errorCode: 0 }]);
  });

  test("[KFK-4] half a minute at most, whatever it says", async () => {
    await opened([0]);
    const fetched = ask([{ partition: 0 }], { maxWaitMs: 2 ** 31 - 1 });
    await vi.advanceTimersByTimeAsync(29_999);
    expect(fetched.answer).toBeNull();
    await vi.advanceTimersByTimeAsync(1);
    expect(fetched.answer).not.toBeNull();
  });

  test("[KFK-4] until there are as many bytes as it requests, of all partitions together", async () => {
    await opened([0, 0]);
    const [a, b] = [batchAt(0, "a"), batchAt(0, "b")];
    const fetched = ask([{ partition: 0 }, { partition: 1 }], { minBytes: a.length + b.length });
    bench.socket("id/0").push(a);
    await settle();
    expect(fetched.answer).toBeNull();
    bench.socket("id/1").push(b);
    await settle();
    expect([fetched.bytesOf(0), fetched.bytesOf(1)]).toEqual([a, b]);
  });

  test("[KFK-4] its time, if it wants more bytes than come, and then gets what there is", async () => {
    await opened([0]);
    const a = batchAt(0, "a");
    const fetched = ask([{ partition: 0 }], { minBytes: a.length + 1 });
    bench.socket("id/0").push(a);
    await vi.advanceTimersByTimeAsync(999);
    expect(fetched.answer).toBeNull();
    await vi.advanceTimersByTimeAsync(1);
    expect(fetched.bytesOf(0)).toEqual(a);
  });

  test("[KFK-4] not for more than a partition may push ahead, nor than the response may have", async () => {
    await opened([0, 0]);
    const full = batchAt(0, "x".repeat(MAX_FEED_BYTES));
    const asked = [{ partition: 0 }, { partition: 1 }];
    const fetched = ask(asked, { minBytes: 2 * MAX_FEED_BYTES, maxBytes: 4 * MAX_FEED_BYTES });
    bench.socket("id/0").push(full);
    await settle();
    expect(fetched.answer).not.toBeNull();
    feeds.giveBack();
    const a = batchAt(0, "a");
    const small = ask([{ partition: 1 }], { minBytes: 1_000_000, maxBytes: a.length });
    bench.socket("id/1").push(a);
    await settle();
    expect(small.bytesOf(1)).toEqual(a);
  });

  test("[KFK-4] a second for a partition that is being opened, even if it would not wait", async () => {
    const fetched = ask([{ partition: 0 }], { maxWaitMs: 0 });
    await vi.advanceTimersByTimeAsync(999);
    expect(fetched.answer).toBeNull();
    await vi.advanceTimersByTimeAsync(1);
    expect(fetched.answer).toMatchObject([{ errorCode: 0, records: [] }]);
    const again = ask([{ partition: 0 }], { maxWaitMs: 0 });
    await settle();
    const a = batchAt(0, "a");
    bench.socket("id/0").attached(1);
    await settle();
    expect(again.answer).toBeNull();
    bench.socket("id/0").push(a);
    await settle();
    expect(again.bytesOf(0)).toEqual(a);
  });

  test("[KFK-4] not for the others, if one has an error", async () => {
    await opened([0, 0]);
    const fetched = ask([{ partition: 0 }, { partition: 1 }]);
    bench.socket("id/1").error("CORRUPT_MESSAGE", { highWatermark: 3, logStartOffset: 2 });
    await settle();
    expect(fetched.of(0)).toMatchObject({ errorCode: 0 });
    expect(fetched.of(1)).toMatchObject({
      errorCode: ERRORS.CORRUPT_MESSAGE.code,
      highWatermark: 3,
      logStartOffset: 2,
      records: [],
    });
  });

  test("[KFK-26] half a second for the others that are about to push, once there is enough", async () => {
    const fetched = ask([{ partition: 0 }, { partition: 1 }], { maxWaitMs: 20_000 });
    await settle();
    const a = batchAt(0, "a");
    bench.socket("id/0").attached(1);
    bench.socket("id/0").push(a);
    await vi.advanceTimersByTimeAsync(499);
    expect(fetched.answer).toBeNull();
    await vi.advanceTimersByTimeAsync(1);
    expect([fetched.bytesOf(0), fetched.bytesOf(1)]).toEqual([a, new Uint8Array()]);
    // One that was late is not waited for again, until it has news.
    const b = batchAt(1, "b");
    bench.socket("id/0").push(b);
    const asked = [{ partition: 0, fetchOffset: 1 }, { partition: 1 }];
    const next = ask(asked, { maxWaitMs: 20_000 });
    await settle();
    expect(next.bytesOf(0)).toEqual(b);
    bench.socket("id/1").attached(1);
    bench.socket("id/0").push(batchAt(2, "c"));
    const last = ask([{ partition: 0, fetchOffset: 2 }, { partition: 1 }], { maxWaitMs: 20_000 });
    await settle();
    expect(last.answer).toBeNull();
    bench.socket("id/1").push(a);
    await settle();
    expect(last.bytesOf(1)).toEqual(a);
  });

  test("[KFK-26] not for the others, if the response is full", async () => {
    const a = batchAt(0, "a");
    const fetched = ask([{ partition: 0 }, { partition: 1 }], { maxBytes: a.length });
    await settle();
    bench.socket("id/0").attached(1);
    bench.socket("id/0").push(a);
    await settle();
    expect(fetched.bytesOf(0)).toEqual(a);
  });

  test("[BND-13] not for what was given back to others: its client asks again", async () => {
    await opened([0, 0]);
    bench.socket("id/0").push(batchAt(0, "a"));
    const asked = [{ partition: 0 }, { partition: 1 }];
    const fetched = ask(asked, { minBytes: 1_000_000, maxWaitMs: 20_000 });
    await settle();
    feeds.drop();
    await settle();
    expect(fetched.answer).toMatchObject([
      { errorCode: 0, records: [] },
      { errorCode: 0, records: [] },
    ]);
  });

  test("[KFK-21] not for a partition beyond those that a connection reads, which is refused for now", async () => {
    for (let partition = 0; partition < MAX_KAFKA_FEEDS; partition++)
      feeds.of("other", partition, 0, Date.now());
    const fetched = ask([{ partition: 0 }]);
    await settle();
    expect(fetched.answer).toMatchObject([{ errorCode: ERRORS.KAFKA_STORAGE_ERROR.code }]);
  });
});

describe("what a fetch is answered with", () => {
  test.each([
    ["behind an empty partition", [0, 1]],
    ["before one", [1, 0]],
  ])("[KFK-4] the first batch of a response, however large it is: %s", async (_, places) => {
    const [empty, full] = places as [number, number];
    await opened([0, 0]);
    const large = batchAt(0, "x".repeat(10_000));
    const asked = [0, 1].map((partition) => ({ partition, partitionMaxBytes: 100 }));
    const fetched = ask(asked, { maxBytes: 50 });
    bench.socket(`id/${full}`).push(large);
    await settle();
    expect(fetched.bytesOf(full)).toEqual(large);
    expect(fetched.bytesOf(empty)).toHaveLength(0);
  });

  test("[KFK-4] no more than the response and each partition may have, except for the first batch", async () => {
    await opened([0, 0, 0]);
    const [a, b] = [batchAt(0, "a"), batchAt(1, "b")];
    const size = a.length;
    for (const partition of [0, 1, 2]) bench.socket(`id/${partition}`).push(a, b);
    const fetched = ask(
      [
        { partition: 0, partitionMaxBytes: size },
        { partition: 1, partitionMaxBytes: size - 1 },
        { partition: 2 },
      ],
      { maxBytes: 2 * size },
    );
    await settle();
    expect(fetched.answer?.map(({ records }) => concatBytes([...records]))).toEqual([
      a,
      new Uint8Array(),
      a,
    ]);
    const rest = ask([
      { partition: 0, fetchOffset: 1 },
      { partition: 1 },
      { partition: 2, fetchOffset: 1 },
    ]);
    await settle();
    expect(rest.answer?.map(({ records }) => concatBytes([...records]).length)).toEqual([
      size,
      2 * size,
      size,
    ]);
  });

  test.each([
    ["all records", 0, null],
    ["committed ones only", 1, []],
  ])(
    "[KFK-24] transactions are shown to readers of %s as Kafka does",
    async (_, isolationLevel, expected) => {
      await opened([0]);
      const fetched = ask([{ partition: 0 }], { isolationLevel, maxWaitMs: 0 });
      await settle();
      expect(fetched.of(0).abortedTransactions).toEqual(expected);
    },
  );

  test("[ACL-4] by an id whose name nobody can find now is refused, and is not allowed later unchecked", async () => {
    bench.failingLookUps = 1;
    const fetched = ask([{ partition: 0 }], { version: 13 });
    await settle();
    expect(fetched.of(0)).toMatchObject({ highWatermark: -1, records: [] });
    expect(fetched.of(0).errorCode).not.toBe(KAFKA_ERRORS.NONE);
    expect(bench.sockets).toEqual([]);
  });

  test.each([
    [
      "a topic that is not there",
      [{ partition: 0 }],
      { name: "none" },
      ERRORS.UNKNOWN_TOPIC_OR_PARTITION.code,
    ],
    [
      "a partition that is not there",
      [{ partition: 4 }],
      {},
      ERRORS.UNKNOWN_TOPIC_OR_PARTITION.code,
    ],
    ["a negative partition", [{ partition: -1 }], {}, ERRORS.UNKNOWN_TOPIC_OR_PARTITION.code],
    ["an offset below 0", [{ partition: 0, fetchOffset: -1 }], {}, ERRORS.OFFSET_OUT_OF_RANGE.code],
    [
      "an id of no topic",
      [{ partition: 0 }],
      { version: 13, topicId: "no" },
      ERRORS.UNKNOWN_TOPIC_ID.code,
    ],
    [
      "a partition that is not there, by id",
      [{ partition: 4 }],
      { version: 13 },
      ERRORS.UNKNOWN_TOPIC_OR_PARTITION.code,
    ],
  ] as [string, Asked[], Options, number][])(
    "[KFK-4] [KFK-25] %s is refused at once, and no partition is opened",
    async (_, asked, options, errorCode) => {
      const fetched = ask(asked, options);
      await settle();
      expect(fetched.answer).toMatchObject([{ errorCode, highWatermark: -1, records: [] }]);
      expect(bench.sockets).toEqual([]);
    },
  );

  test("[KFK-4] if some are refused, the others are not waited for, and have their response", async () => {
    await opened([0]);
    const fetched = ask([{ partition: 9 }, { partition: 0 }]);
    await settle();
    expect(fetched.answer).toMatchObject([
      { partition: 9, errorCode: ERRORS.UNKNOWN_TOPIC_OR_PARTITION.code },
      { partition: 0, errorCode: 0 },
    ]);
  });

  test("[KFK-6] a partition that another node leads is refused there", async () => {
    const addresses = [1, 2].map((port) => ({ host: "h", port }));
    const leader = new Nodes(addresses, null).leaderOf("id", 0).nodeId;
    nodes = new Nodes(addresses, leader);
    const fetched = ask([{ partition: 0 }, { partition: 1 }], { maxWaitMs: 0 });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(fetched.answer).toMatchObject([
      { partition: 0, errorCode: 0 },
      { partition: 1, errorCode: KAFKA_ERRORS.NOT_LEADER_OR_FOLLOWER },
    ]);
    expect(bench.sockets.map(({ place }) => place)).toEqual(["id/0"]);
  });

  test("[BND-16] a partition that is named twice is answered once, from where it was named last", async () => {
    await opened([0]);
    bench.socket("id/0").push(batchAt(0, "a"));
    const fetched = ask([{ partition: 0, fetchOffset: 7 }, { partition: 0 }]);
    await settle();
    expect(fetched.answer).toHaveLength(1);
    expect(fetched.bytesOf(0)).toEqual(batchAt(0, "a"));
  });
});

describe("a topic under a Kafka client", () => {
  test.each([
    ["by name", 11],
    ["by id", 13],
  ])("[KFK-4] is not looked up again while its feeds are well: %s", async (_, version) => {
    let lookUps = 0;
    for (let i = 0; i < 3; i++) {
      const fetched = ask([{ partition: 0 }, { partition: 1 }], { version, maxWaitMs: 0 });
      await settle();
      for (const { socket } of bench.sockets) if (i === 0) socket.attached(0);
      await settle();
      expect(fetched.answer).not.toBeNull();
      if (i === 0) ({ lookUps } = bench);
      vi.setSystemTime(Date.now() + 50_000);
    }
    expect(bench.lookUps).toBe(lookUps);
    expect(bench.sockets).toHaveLength(2);
  });

  test("[KFK-4] is remembered for the next partitions of it", async () => {
    await opened([0]);
    const { lookUps } = bench;
    ask([{ partition: 2 }]);
    await settle();
    expect(bench.socket("id/2")).toBeDefined();
    expect(bench.lookUps).toBe(lookUps);
  });

  test("[GRP-9] [KFK-4] that is created again under its name is read from the start", async () => {
    await opened([3]);
    bench.topic("t", "new", 4);
    const told = ask([{ partition: 0, fetchOffset: 3 }]);
    await settle();
    bench.socket("id/0").error("UNKNOWN_TOPIC_ID");
    await settle();
    // By name the client must refresh its metadata.
    expect(told.of(0).errorCode).toBe(ERRORS.UNKNOWN_TOPIC_OR_PARTITION.code);
    const next = ask([{ partition: 0 }]);
    await settle();
    const own = batchAt(0, "of the new one");
    bench.socket("new/0").attached(1);
    bench.socket("new/0").push(own);
    await settle();
    expect(next.bytesOf(0)).toEqual(own);
  });

  test.each([
    ["KAFKA_STORAGE_ERROR", ERRORS.KAFKA_STORAGE_ERROR.code],
    ["CORRUPT_MESSAGE", ERRORS.CORRUPT_MESSAGE.code],
    ["UNKNOWN_TOPIC_OR_PARTITION", ERRORS.UNKNOWN_TOPIC_OR_PARTITION.code],
    ["THROTTLING_QUOTA_EXCEEDED", ERRORS.KAFKA_STORAGE_ERROR.code],
  ] as [ErrorName, number][])(
    "[KFK-4] [KFK-25] %s of a partition has the same code by name and by id",
    async (error, errorCode) => {
      for (const [partition, version] of [11, 13].entries()) {
        const told = ask([{ partition }], { version });
        await settle();
        bench.socket(`id/${partition}`).attached(0);
        bench.socket(`id/${partition}`).error(error);
        await settle();
        expect(told.answer).toMatchObject([{ partition, errorCode, records: [] }]);
      }
    },
  );

  test("[KFK-25] that is gone has its own code when named by its id", async () => {
    await opened([3], { version: 13 });
    bench.topics.delete("t");
    const told = ask([{ partition: 0, fetchOffset: 3 }], { version: 13 });
    await settle();
    bench.socket("id/0").error("UNKNOWN_TOPIC_ID");
    await settle();
    expect(told.of(0).errorCode).toBe(ERRORS.UNKNOWN_TOPIC_ID.code);
  });
});
