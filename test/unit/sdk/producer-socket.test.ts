// The SDK's producer when it has more to send than one append at a time can carry. It uses a partition socket, in order,
// with a few appends unanswered.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ZLIB } from "../../../src/compression/zlib.ts";
import { busyProducer, settle } from "../../support/fake-partition.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("over a partition socket", () => {
  test("[PRO-6] at most five appends are unanswered, in order", async () => {
    const { partition, socket, send, outcomes } = await busyProducer();
    for (const value of "abcdefg") void send(value);
    await settle();
    expect(socket.waiting).toHaveLength(5);
    while (socket.waiting.length > 0) await socket.letIn();
    expect(partition.log.join("")).toBe("abcdefg");
    expect(partition.ways).toEqual(Array(7).fill("socket"));
    expect(await outcomes()).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  test("[PRO-6] records stored before the connection broke are not stored again", async () => {
    const { partition, socket, send, outcomes } = await busyProducer();
    for (const value of "abcd") void send(value);
    await settle();
    await socket.letIn();
    socket.swallow();
    socket.swallow();
    socket.break();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(partition.log.join("")).toBe("abcd");
    expect(await outcomes()).toEqual([0, 1, 2, 3]);
  });

  test("[PRO-6] a rejected append fails alone, and later ones keep their order", async () => {
    const { partition, socket, send, outcomes } = await busyProducer();
    for (const value of "abcd") void send(value);
    await settle();
    partition.refused = "b";
    while (socket.waiting.length > 0) {
      await socket.letIn();
      await vi.advanceTimersByTimeAsync(100);
    }
    await vi.advanceTimersByTimeAsync(1_000);
    expect(partition.log.join("")).toBe("acd");
    expect(await outcomes()).toEqual([0, "INVALID_RECORD", 1, 2]);
    // One other producer is enough for everything behind it.
    const lastOf = (value: string) => partition.came.findLast(({ values }) => values === value);
    expect(["a", "c", "d"].map((value) => lastOf(value)?.producer)).toEqual([1, 2, 2]);
  });

  test("[ACL-7] an append without the right to write is refused for good, and retried nowhere else", async () => {
    const { partition, socket, send, outcomes } = await busyProducer();
    void send("a");
    await settle();
    await socket.letIn("TOPIC_AUTHORIZATION_FAILED");
    await vi.advanceTimersByTimeAsync(1_000);
    // One more try, alone and over the same socket, finds the append at fault.
    while (socket.waiting.length > 0) await socket.letIn("TOPIC_AUTHORIZATION_FAILED");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await outcomes()).toEqual(["TOPIC_AUTHORIZATION_FAILED"]);
    expect(new Set(partition.ways)).toEqual(new Set(["socket"]));
    expect(partition.ways.length).toBeLessThanOrEqual(2);
  });

  test.each(["SASL_AUTHENTICATION_FAILED", "TOPIC_AUTHORIZATION_FAILED"] as const)(
    "[SDK-40] behind a socket that was closed for its credential, %s over HTTP is final",
    async (code) => {
      const { partition, socket, send, outcomes } = await busyProducer();
      void send("a");
      await settle();
      partition.troubles.push(code);
      socket.break(4005);
      await vi.advanceTimersByTimeAsync(60_000);
      expect(await outcomes()).toEqual(["REQUEST_TIMED_OUT"]);
      expect(partition.ways).toEqual(["socket", "http"]);
    },
  );

  test("[PRO-6] a retriable append is retried before later ones", async () => {
    const { partition, socket, send, outcomes } = await busyProducer();
    for (const value of "abc") void send(value);
    await settle();
    await socket.letIn("THROTTLING_QUOTA_EXCEEDED");
    while (socket.waiting.length > 0) {
      await socket.letIn();
      await vi.advanceTimersByTimeAsync(100);
    }
    await vi.advanceTimersByTimeAsync(1_000);
    expect(partition.log.join("")).toBe("abc");
    expect(await outcomes()).toEqual([0, 1, 2]);
  });

  test("[PRO-6] after an append with an unknown outcome, nothing is sent as another producer's", async () => {
    const { partition, socket, send, outcomes } = await busyProducer();
    for (const value of "abc") void send(value);
    await settle();
    const late = socket.waiting.splice(0);
    partition.isHttpDown = true;
    socket.break();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await outcomes()).toEqual(Array(3).fill("ConnectionError"));
    // They were in flight all the same: each is stored once, in order, before the next send.
    for (const { batches: bytes } of late) partition.append(bytes);
    partition.isHttpDown = false;
    void send("d");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(partition.log.join("")).toBe("abcd");
  });

  test.each([
    ["alone", 1],
    ["sharing an append", 2],
  ])(
    "[PRO-6] [TRB-1] after an append that may yet be stored, nothing is reported refused or sent as another producer's: %s",
    async (_how, count) => {
      const { partition, socket, send, outcomes } = await busyProducer(count);
      void send("a", { deliveryTimeoutMs: 3_000 });
      await settle();
      const values = "bc".slice(0, count);
      for (const value of values) void send(value, { deliveryTimeoutMs: 20_000 });
      await settle();
      const late = socket.waiting.splice(0);
      partition.isHttpDown = true;
      socket.break();
      await vi.advanceTimersByTimeAsync(4_000);
      partition.isHttpDown = false;
      await vi.advanceTimersByTimeAsync(2_000);
      // The partition lacks the earlier appends; a delayed message may bring them, and the first copy.
      expect(partition.log.join("")).toBe("");
      for (const { batches: bytes } of late) partition.append(bytes);
      await vi.advanceTimersByTimeAsync(2_000);
      void send("d");
      await vi.advanceTimersByTimeAsync(2_000);
      expect(partition.log.join("")).toBe(`a${values}d`);
      const stored = Array.from({ length: count + 1 }, (_, i) => i + 1);
      expect(await outcomes()).toEqual(["ConnectionError", ...stored]);
    },
  );

  test("[PRO-6] [TRB-3] a compression that this runtime lacks is rejected, and the records around it are stored", async () => {
    const { partition, socket, send, outcomes, producer } = await busyProducer();
    vi.spyOn(
      ZLIB as object as { zstdCompressSync: unknown },
      "zstdCompressSync",
      "get" as never,
    ).mockReturnValue(undefined as never);
    void send("a");
    void send("b", { compression: "zstd" });
    void send("c");
    for (let i = 0; i < 20; i++) {
      await vi.dynamicImportSettled();
      await vi.advanceTimersByTimeAsync(100);
      while (socket.waiting.length > 0) await socket.letIn();
    }
    expect(partition.log.join("")).toBe("ac");
    expect(await outcomes()).toEqual([0, "UNSUPPORTED_COMPRESSION_TYPE", 1]);
    await producer.close();
  });

  test("[PRO-6] a partition that does not answer is abandoned with its socket", async () => {
    const { partition, socket, send, outcomes } = await busyProducer();
    void send("a");
    await settle();
    expect(socket.waiting).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(11_000);
    expect(socket.isClosed).toBe(true);
    expect(partition.log.join("")).toBe("a");
    expect(await outcomes()).toEqual([0]);
  });

  test("[PRO-6] an idle socket is closed after a second, and a closed producer's at once", async () => {
    const { producer, socket, send } = await busyProducer();
    void send("a");
    await settle();
    await socket.letIn();
    await vi.advanceTimersByTimeAsync(999);
    expect(socket.isClosed).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(socket.isClosed).toBe(true);
    const other = await busyProducer();
    await other.producer.close();
    expect(other.socket.isClosed).toBe(true);
    await producer.close();
  });
});
