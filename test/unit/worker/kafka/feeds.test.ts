// The feeds of a Kafka connection: what a partition pushes, and what a fetch takes of it.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { concatBytes } from "../../../../src/core/bytes.ts";
import type { ErrorName } from "../../../../src/core/errors.ts";
import {
  MAX_ALL_FEEDS_BYTES,
  MAX_FEED_BYTES,
  MAX_FEEDS_BYTES,
  MAX_KAFKA_FEEDS,
  MIN_FEED_BYTES,
} from "../../../../src/core/limits.ts";
import { memory } from "../../../../src/memory.ts";
import { CLOSE_FATAL } from "../../../../src/protocol/close-codes.ts";
import type { Feed, Feeds } from "../../../../src/worker/kafka/feeds.ts";
import { batchAt, FeedBench, settle } from "./feed-bench.ts";

let bench: FeedBench;
let feeds: Feeds;
beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  bench = new FeedBench();
  feeds = bench.feeds();
});
afterEach(() => {
  feeds.close();
  expect(memory.feeds.bytes).toBe(0);
  expect(memory.feeds.size).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

const at = (offset: number, partition = 0) => feeds.of("id", partition, offset, Date.now());

/** A feed that is attached to a partition, which ends at `highWatermark`. */
async function attached(offset = 0, highWatermark = offset, partition = 0) {
  const feed = at(offset, partition);
  await settle();
  const socket = bench.socket(`id/${partition}`);
  socket.attached(highWatermark);
  return { feed, socket };
}

const ALL = 10_000_000;
const bytesOf = (feed: Feed, maxBytes = ALL, isFirst = true) => {
  const { records, error } = feed.take(maxBytes, isFirst);
  return { bytes: concatBytes([...records]), error };
};

describe("what a feed hands out", () => {
  // Batches of 3, 2 and 1 records, of different sizes, in two frames.
  const [a, b, c] = [batchAt(0, "a", "a", "a"), batchAt(3, "bb", "bb"), batchAt(5, "c")];
  const [sizeA, sizeB, sizeC] = [a.length, b.length, c.length];

  test.each([
    ["everything that there is", sizeA + sizeB + sizeC, true, [a, b, c], 6],
    ["all but the last, for want of a byte", sizeA + sizeB + sizeC - 1, true, [a, b], 5],
    ["of a frame what fits", sizeA, true, [a], 3],
    ["the first, if nothing fits and it is the first of the answer", 1, true, [a], 3],
    ["the first, where there is no room at all", 0, true, [a], 3],
    ["nothing, if nothing fits and others came before it", sizeA - 1, false, [], 0],
    ["what fits, behind others too", sizeA, false, [a], 3],
  ])("[KFK-4] %s", async (_, maxBytes, isFirst, expected, next) => {
    const { feed, socket } = await attached(0, 6);
    socket.push(a, b);
    socket.push(c);
    const taken = feed.take(maxBytes, isFirst);
    expect(concatBytes([...taken.records])).toEqual(concatBytes(expected));
    expect(taken).toMatchObject({ error: null, highWatermark: 6, logStartOffset: 0 });
    const size = expected.reduce((sum, { length }) => sum + length, 0);
    expect(taken.bytes).toBe(size);
    expect(feed.bytes).toBe(sizeA + sizeB + sizeC - size);
    expect(feeds.heldBytes).toBe(feed.bytes);
    expect(memory.feeds.bytes).toBe(feed.bytes);
    // Once the response is on its way, the partition may push as much again. The next fetch continues where this one ended.
    expect(socket.givenBack).toBe(0);
    for (let i = 0; i < 2; i++) feeds.giveBack();
    expect(socket.givenBack).toBe(size);
    expect(socket.sent.filter(({ type }) => type === "window")).toHaveLength(size === 0 ? 0 : 1);
    expect(at(next)).toBe(feed);
    expect(socket.sent.filter(({ type }) => type === "attach")).toHaveLength(1);
    const rest = concatBytes([a, b, c]).subarray(size);
    expect(bytesOf(feed).bytes).toEqual(rest);
    feeds.giveBack();
    expect(socket.givenBack).toBe(sizeA + sizeB + sizeC);
    expect(feed.bytes).toBe(0);
  });

  test("[KFK-4] batch after batch, by as many fetches as it takes", async () => {
    const { feed, socket } = await attached(0, 6);
    socket.push(a, b, c);
    for (const [offset, batch] of [
      [0, a],
      [3, b],
      [5, c],
    ] as const) {
      expect(at(offset)).toBe(feed);
      expect(bytesOf(feed, 1).bytes).toEqual(batch);
    }
    expect(feed.isSettled).toBe(true);
    expect(feed.take(1, true)).toMatchObject({ records: [], bytes: 0 });
  });

  test("[KFK-4] the log's end as it was reported, and as it is pushed", async () => {
    const { feed, socket } = await attached(0, 4);
    expect(feed.isSettled).toBe(false);
    socket.push(a);
    expect(feed.isSettled).toBe(true);
    expect(feed.take(ALL, true).highWatermark).toBe(4);
    expect(feed.isSettled).toBe(false);
    socket.push(b);
    expect(feed.take(ALL, true).highWatermark).toBe(5);
    expect(feed.isSettled).toBe(true);
  });

  test("[KFK-4] bytes that are no batch are an error, and end the feed", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const { feed, socket } = await attached(0, 6);
    socket.push(a);
    socket.push(new Uint8Array(100));
    expect(socket.isClosed).toBe(true);
    expect(bytesOf(feed)).toEqual({ bytes: a, error: null });
    expect(feed.take(ALL, true).error).toBe("CORRUPT_MESSAGE");
  });
});

describe("where a feed reads", () => {
  test("[KFK-4] it asks once it is open, from the last requested offset, for its share of the room", async () => {
    const feed = at(7);
    expect(at(9)).toBe(feed);
    await settle();
    const socket = bench.socket("id/0");
    expect(socket.sent).toEqual([
      {
        type: "attach",
        attachId: socket.attach.attachId,
        offset: 9,
        windowBytes: MAX_FEED_BYTES,
        relays: true,
      },
    ]);
    expect(feed.isSettled).toBe(false);
    socket.attached(9);
    expect(feed.isSettled).toBe(true);
  });

  test.each([
    [1, MAX_FEED_BYTES],
    [8, MAX_FEED_BYTES],
    [9, Math.floor(MAX_FEEDS_BYTES / 9)],
    [256, MIN_FEED_BYTES],
    [300, MIN_FEED_BYTES],
  ])("[KFK-4] the share of the last of %i feeds", async (count, windowBytes) => {
    for (let partition = 0; partition < count; partition++) at(0, partition);
    await settle();
    expect(bench.socket(`id/${count - 1}`).attach).toMatchObject({ windowBytes });
  });

  test("[KFK-4] after a seek nothing counts that was meant for the earlier place", async () => {
    const { feed, socket } = await attached(0, 9);
    const { attachId } = socket.attach;
    socket.push(batchAt(0, "a", "a"));
    expect(at(5)).toBe(feed);
    expect(feed.bytes).toBe(0);
    expect(socket.attach).toMatchObject({ offset: 5 });
    expect(socket.attach.attachId).not.toBe(attachId);
    // Data in flight comes first.
    socket.push(batchAt(2, "b"));
    socket.say({
      type: "attached",
      attachId,
      offset: 0,
      highWatermark: 3,
      windowBytes: 1,
      logStartOffset: 2,
    });
    socket.say({ type: "error", attachId, code: "CORRUPT_MESSAGE" });
    expect(feed.error).toBeNull();
    expect(feed.bytes).toBe(0);
    expect(feed.isSettled).toBe(false);
    const inFlight = 100;
    socket.attached(9, { windowBytes: (socket.attach.windowBytes as number) - inFlight });
    // The bytes in flight were dropped, so they are returned.
    expect(socket.givenBack).toBe(inFlight);
    const own = batchAt(5, "own");
    socket.push(own);
    expect(bytesOf(feed).bytes).toEqual(own);
  });

  test.each([0, 1, 2])("[KFK-4] wherever it begins: at %i", async (offset) => {
    const { socket } = await attached(offset);
    expect(socket.attach.offset).toBe(offset);
  });

  test("[KFK-4] nothing is returned if nothing was in flight", async () => {
    const { socket } = await attached();
    expect(socket.sent.map(({ type }) => type)).toEqual(["attach"]);
  });

  test("[KFK-4] each partition has its own feed, and each topic", async () => {
    const { feed } = await attached();
    expect(at(0, 1)).not.toBe(feed);
    expect(feeds.of("other", 0, 0, Date.now())).not.toBe(feed);
    expect(feeds.has("id", 0)).toBe(true);
    expect(feeds.has("id", 2)).toBe(false);
    await settle();
    expect(bench.sockets.map(({ place }) => place)).toEqual(["id/0", "id/1", "other/0"]);
  });
});

describe("a feed that ends", () => {
  const FINAL = "CORRUPT_MESSAGE";
  const PASSING = "KAFKA_STORAGE_ERROR";

  test.each([FINAL, PASSING] as ErrorName[])(
    "[CRC-2] hands out what came before %s, and then the error",
    async (code) => {
      const { feed, socket } = await attached(0, 9);
      const batch = batchAt(0, "a");
      socket.push(batch);
      socket.error(code, { highWatermark: 12, logStartOffset: 1 });
      expect(socket.isClosed).toBe(true);
      expect(feeds.has("id", 0)).toBe(false);
      expect(feed.isSettled).toBe(true);
      expect(at(0)).toBe(feed);
      expect(feed.take(ALL, true)).toMatchObject({ error: null, bytes: batch.length });
      const next = at(1);
      // A temporary error is asked about again at once; another one is reported first, and then asked about again.
      expect(next === feed).toBe(code === FINAL);
      if (code === PASSING) return;
      const told = feed.take(ALL, true);
      expect(told).toMatchObject({
        error: code,
        highWatermark: 12,
        logStartOffset: 1,
        records: [],
      });
      expect(at(1)).not.toBe(feed);
    },
  );

  test("[CRC-2] is begun again by a client that reads elsewhere", async () => {
    const { feed, socket } = await attached(0, 9);
    socket.push(batchAt(0, "a"));
    socket.error(FINAL);
    const other = at(4);
    expect(other).not.toBe(feed);
    expect(feeds.heldBytes).toBe(0);
    await settle();
    expect(bench.sockets).toHaveLength(2);
    expect(bench.socket("id/0").attach.offset).toBe(4);
  });

  test.each([
    ["a reason", CLOSE_FATAL, "UNKNOWN_TOPIC_ID: it was deleted", "UNKNOWN_TOPIC_ID"],
    ["no reason", CLOSE_FATAL, "", "UNKNOWN_SERVER_ERROR"],
    ["a break", 1006, "", "NETWORK_EXCEPTION"],
  ])("[KFK-4] says why: closed with %s", async (_, code, reason, error) => {
    const { feed, socket } = await attached();
    const news = feeds.news(60_000);
    socket.closed(code, reason);
    await news;
    expect(feed.take(ALL, true).error).toBe(error);
    expect(bench.asked).toEqual([]);
  });

  test.each([
    [
      "the partition says",
      async () => ({ ok: false, error: "UNKNOWN_TOPIC_ID" }),
      "UNKNOWN_TOPIC_ID",
    ],
    ["it is well", async () => ({ ok: true }), "NETWORK_EXCEPTION"],
    ["it cannot be asked", async () => Promise.reject(new Error("reset")), "NETWORK_EXCEPTION"],
  ])("[KFK-4] a refused socket has the partition asked why: %s", async (_, offsets, error) => {
    bench.isRefusing = true;
    bench.offsets = offsets;
    const feed = at(0);
    await settle();
    expect(bench.asked).toEqual(["id/0"]);
    const nowhere = { highWatermark: -1, logStartOffset: -1, records: [] };
    expect(feed.take(ALL, true)).toMatchObject({ error, ...nowhere });
  });

  test("[KFK-4] an error that was reported first stays the error", async () => {
    const { feed, socket } = await attached();
    socket.error(FINAL);
    socket.closed(CLOSE_FATAL, "UNKNOWN_TOPIC_ID: gone");
    expect(feed.take(ALL, true).error).toBe(FINAL);
  });
});

describe("room", () => {
  const full = batchAt(0, "x".repeat(MAX_FEED_BYTES));

  /** Nobody else has anything to give back, and yet there is no room. */
  function crowd(): () => void {
    const full = vi.spyOn(memory.feeds, "bytes", "get").mockReturnValue(MAX_ALL_FEEDS_BYTES);
    const none = vi.spyOn(memory.feeds, "next").mockReturnValue(null);
    return () => {
      full.mockRestore();
      none.mockRestore();
    };
  }

  test("[BND-13] data that does not fit is dropped, and pushed again from the next fetch on", async () => {
    const count = Math.floor(MAX_FEEDS_BYTES / full.length) + 1;
    const all: Feed[] = [];
    for (let partition = 0; partition < count; partition++) {
      const { feed, socket } = await attached(0, 1, partition);
      all.push(feed);
      const news = feeds.news(60_000);
      socket.push(full);
      await news;
    }
    const last = all.at(-1) as Feed;
    expect(last.isWaiting).toBe(true);
    expect(last.isSettled).toBe(true);
    expect(last.bytes).toBe(0);
    expect(feeds.heldBytes).toBe((count - 1) * full.length);
    // Later frames are ignored until they are requested again.
    const { socket } = bench.sockets.at(-1) as (typeof bench.sockets)[number];
    socket.push(batchAt(1, "y"));
    expect(last.bytes).toBe(0);
    (all[0] as Feed).take(ALL, true);
    vi.advanceTimersByTime(1);
    expect(at(0, count - 1)).toBe(last);
    expect(last.isWaiting).toBe(false);
    expect(socket.attach.offset).toBe(0);
    socket.attached(1);
    socket.push(full);
    expect(bytesOf(last).bytes).toEqual(full);
  });

  test("[BND-13] without any room, data that the current fetch does not request is given back", async () => {
    const { feed, socket } = await attached(0, 9);
    socket.push(batchAt(0, "a"));
    const other = await attached(0, 9, 1);
    const release = crowd();
    expect(feed.bytes).toBeGreaterThan(0);
    vi.advanceTimersByTime(1);
    at(0, 1);
    release();
    expect(feed.isWaiting).toBe(true);
    expect(feeds.heldBytes).toBe(0);
    expect(other.feed.isWaiting).toBe(false);
  });

  test("[BND-13] a feed that is told to let go does so, and its fetch ends", async () => {
    const { feed, socket } = await attached(0, 9);
    const empty = await attached(0, 0, 1);
    socket.push(batchAt(0, "a"));
    const news = feeds.news(60_000);
    feeds.drop();
    await news;
    expect(feeds.heldBytes).toBe(0);
    expect(feed).toMatchObject({ isWaiting: true, isSettled: true, bytes: 0 });
    // A feed that held nothing continues.
    expect(empty.feed.isWaiting).toBe(false);
    at(0);
    expect(feed.isWaiting).toBe(false);
    expect(socket.attach.offset).toBe(0);
  });

  test("[BND-13] a feed that needs the room makes nothing that ends with others: a promise belongs to its connection", async () => {
    const { socket } = await attached(0, 9);
    socket.push(batchAt(0, "a"));
    const news = feeds.news(60_000);
    const made = vi.spyOn(Promise, "withResolvers");
    feeds.drop();
    expect(made).not.toHaveBeenCalled();
    made.mockRestore();
    await news;
    const next = feeds.news(60_000);
    feeds.drop();
    await next;
  });

  test("[BND-13] a feed that is read empty queues behind those of the same fetch that wait", async () => {
    const [one, two] = [await attached(0, 9), await attached(0, 9, 1)];
    one.socket.push(batchAt(0, "a"));
    two.feed.discard();
    expect(feeds.isCrowded).toBe(true);
    one.feed.take(ALL, true);
    feeds.giveBack();
    expect(one.feed.isWaiting).toBe(true);
    expect(one.socket.givenBack).toBe(0);
    // One that no fetch requests any more delays nobody.
    vi.advanceTimersByTime(1);
    at(1);
    expect(feeds.isCrowded).toBe(false);
  });

  test("[BND-13] a feed that has more keeps its place, however many wait", async () => {
    const [one, two] = [await attached(0, 9), await attached(0, 9, 1)];
    one.socket.push(batchAt(0, "a"));
    one.socket.push(batchAt(1, "b"));
    two.feed.discard();
    one.feed.take(1, true);
    feeds.giveBack();
    expect(one.feed.isWaiting).toBe(false);
    expect(one.socket.givenBack).toBeGreaterThan(0);
  });

  test("[KFK-21] one connection reads a bounded number of partitions, and no more until one is given up", async () => {
    for (let partition = 0; partition < MAX_KAFKA_FEEDS; partition++) at(0, partition);
    expect(() => at(0, MAX_KAFKA_FEEDS)).toThrow(`reads ${MAX_KAFKA_FEEDS} partitions already`);
    expect(() => at(5, 0)).not.toThrow();
    await settle();
    // One that ended may be opened again.
    bench.socket("id/3").error("UNKNOWN_TOPIC_ID");
    feeds.of("id", 3, 0, Date.now()).take(1, true);
    expect(() => at(1, 3)).not.toThrow();
    await settle();
  });
});

describe("what nobody fetches from", () => {
  const MINUTE_MS = 60_000;

  test("[KFK-4] is closed after a minute, and its topic's id forgotten; what is read stays", async () => {
    const [idle, busy] = [await attached(), await attached(0, 9, 1)];
    feeds.setId("t", 0, "id");
    feeds.setId("t", 1, "id");
    idle.socket.push(batchAt(0, "a"));
    await vi.advanceTimersByTimeAsync(MINUTE_MS - 1);
    at(0, 1);
    expect(idle.socket.isClosed).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(idle.socket.isClosed).toBe(true);
    expect(busy.socket.isClosed).toBe(false);
    expect(feeds.heldBytes).toBe(0);
    expect([feeds.knownId("t", 0), feeds.knownId("t", 1)]).toEqual([null, "id"]);
    expect([feeds.has("id", 0), feeds.has("id", 1)]).toEqual([false, true]);
    await vi.advanceTimersByTimeAsync(MINUTE_MS);
    expect(busy.socket.isClosed).toBe(true);
    expect(feeds.knownId("t", 1)).toBeNull();
    expect(vi.getTimerCount()).toBe(0);
    // And a feed that returns is served.
    const again = await attached(0, 0, 1);
    expect(again.socket).not.toBe(busy.socket);
    await vi.advanceTimersByTimeAsync(MINUTE_MS);
    expect(again.socket.isClosed).toBe(true);
  });

  test("[CLK-3] after the clock was set back it has a minute from then on", async () => {
    const { socket } = await attached();
    vi.setSystemTime(1_000);
    await vi.advanceTimersByTimeAsync(MINUTE_MS);
    expect(socket.isClosed).toBe(false);
    await vi.advanceTimersByTimeAsync(MINUTE_MS);
    expect(socket.isClosed).toBe(true);
  });

  test("[KFK-21] ids are remembered for as many partitions as a connection reads", () => {
    for (let partition = 0; partition <= MAX_KAFKA_FEEDS; partition++)
      feeds.setId("t", partition, "id");
    expect(feeds.knownId("t", MAX_KAFKA_FEEDS - 1)).toBe("id");
    expect(feeds.knownId("t", MAX_KAFKA_FEEDS)).toBeNull();
    feeds.setId("t", 0, "new");
    expect(feeds.knownId("t", 0)).toBe("new");
  });
});

describe("news", () => {
  test("[KFK-4] wakes those that wait, and nobody waits beyond the time", async () => {
    const { feed, socket } = await attached(0, 9);
    const seen: string[] = [];
    const wait = (name: string, ms: number) => feeds.news(ms).then(() => seen.push(name));
    void wait("short", 10);
    void wait("long", 1_000);
    await vi.advanceTimersByTimeAsync(9);
    expect(seen).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(seen).toEqual(["short"]);
    socket.push(batchAt(0, "a"));
    await settle();
    expect(seen).toEqual(["short", "long"]);
    void wait("next", 1_000);
    await settle();
    expect(seen).toHaveLength(2);
    socket.error("CORRUPT_MESSAGE");
    await settle();
    expect(seen).toHaveLength(3);
    expect(feed.error).toBe("CORRUPT_MESSAGE");
  });

  test("[KFK-26] makes a late feed one to wait for again", async () => {
    const { feed, socket } = await attached(0, 9);
    feed.isLate = true;
    socket.push(batchAt(0, "a"));
    expect(feed.isLate).toBe(false);
    feed.isLate = true;
    at(5);
    socket.attached(9);
    expect(feed.isLate).toBe(false);
  });
});

test("[BND-10] feeds of an ended connection hold nothing, wait for nothing and take nothing", async () => {
  const { feed, socket } = await attached(0, 9);
  feeds.setId("t", 0, "id");
  socket.push(batchAt(0, "a"));
  const opening = at(0, 1);
  const news = feeds.news(60_000);
  feeds.close();
  await news;
  expect(socket.isClosed).toBe(true);
  expect(feed.bytes).toBe(0);
  expect(memory.feeds.bytes).toBe(0);
  await settle();
  expect(bench.socket("id/1").isClosed).toBe(true);
  expect(opening.isSettled).toBe(true);
  expect(feeds.knownId("t", 0)).toBeNull();
  expect(() => at(0)).toThrow("the client has gone");
  socket.push(batchAt(1, "b"));
  expect(memory.feeds.bytes).toBe(0);
});
