// The sessions that read for a client in the Worker: server-sent events, and plain WebSockets without a group.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Topic } from "../../../../src/core/cluster/topics.ts";
import {
  EVENT_STREAM_BUFFER_BYTES,
  MAX_PLAIN_UNSENT_BYTES,
  SESSION_END_MS,
} from "../../../../src/core/limits.ts";
import { memory } from "../../../../src/memory.ts";
import { CLOSE_SPENT } from "../../../../src/protocol/close-codes.ts";
import type { DeliveryOptions } from "../../../../src/protocol/plain-consumer.ts";
import { forgetEverything } from "../../../../src/worker/edge/isolate.ts";
import { learn } from "../../../../src/worker/edge/metadata.ts";
import {
  EventStream,
  type EventStreamOptions,
} from "../../../../src/worker/session/event-stream.ts";
import { watchGrowth } from "../../../../src/worker/session/growth.ts";
import { PlainConsumerSession } from "../../../../src/worker/session/plain-consumer-session.ts";
import { batchAt, FeedBench, settle } from "../kafka/feed-bench.ts";

let bench: FeedBench;
beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000_000 });
  forgetEverything();
  bench = new FeedBench();
});
afterEach(() => {
  forgetEverything();
  vi.useRealTimers();
});

const place = (partition: number, offset?: number) => ({
  topic: "t",
  topicId: "id",
  partition,
  ...(offset === undefined ? {} : { offset }),
});

/** A value so large that a few of them fill what a client may leave unread. */
const LARGE = "x".repeat(EVENT_STREAM_BUFFER_BYTES);

describe("server-sent events", () => {
  async function stream(options: Partial<EventStreamOptions> = {}, ends: readonly number[] = [9]) {
    const partitions = ends.map((_, partition) => place(partition, 0));
    const events = new EventStream(bench.env, "t", { partitions, from: "earliest", ...options });
    let hasEnded = false;
    void events.closed.then(() => {
      hasEnded = true;
    });
    await settle();
    for (const [partition, end] of ends.entries()) bench.socket(`id/${partition}`).attached(end);
    await settle();
    const reader = events.body.getReader();
    return {
      reader,
      hasEnded: () => hasEnded,
      /** The next data. */
      next: async () => new TextDecoder().decode((await reader.read()).value),
    };
  }

  const idsIn = (text: string) => [...text.matchAll(/^id: (.*)$/gm)].map(([, id]) => id);

  test("[STR-1] [STR-2] begin with where they are, and say with each record where to continue", async () => {
    const { next, reader } = await stream({}, [9, 9]);
    expect(await next()).toBe("retry: 1000\n\n");
    expect(idsIn(await next())).toEqual(["0:0,1:0"]);
    bench.socket("id/1").push(batchAt(0, "a", "b"));
    const text = await next();
    expect(idsIn(text)).toEqual(["0:0,1:1", "0:0,1:2"]);
    expect(text).toContain('data: {"partition":1,"offset":0,');
    bench.socket("id/0").push(batchAt(0, "c"));
    expect(idsIn(await next())).toEqual(["0:1,1:2"]);
    await reader.cancel();
  });

  test("[STR-3] say where to continue after omitted records, too", async () => {
    const { next, reader } = await stream({ key: "k" });
    await next();
    await next();
    bench.socket("id/0").push(batchAt(0, "a", "b", "c"));
    const text = await next();
    expect(idsIn(text)).toEqual(["0:3"]);
    expect(text).not.toContain("data:");
    await reader.cancel();
  });

  test("[STR-4] [BND-6] write no more than the client reads, count what it has not, and leave nothing out", async () => {
    const { next, reader } = await stream();
    for (let offset = 0; offset < 4; offset++) bench.socket("id/0").push(batchAt(offset, LARGE));
    await settle();
    expect(memory.answers.bytes).toBeGreaterThan(3 * LARGE.length);
    // Only written bytes are returned to the partition.
    expect(bench.socket("id/0").givenBack).toBeLessThan(2 * LARGE.length);
    await next();
    await next();
    for (let offset = 0; offset < 4; offset++) {
      expect(idsIn(await next())).toEqual([`0:${offset + 1}`]);
      await settle();
    }
    expect(memory.answers.bytes).toBeLessThan(1_000);
    await reader.cancel();
    await settle();
    expect(memory.answers.bytes).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("[BND-6] send a sign of life every quarter of a minute, to a client that reads", async () => {
    const { next, reader, hasEnded } = await stream();
    await next();
    await next();
    for (let i = 0; i < 5; i++) {
      await vi.advanceTimersByTimeAsync(15_000);
      expect(await next()).toBe(": \n\n");
    }
    expect(hasEnded()).toBe(false);
    await reader.cancel();
    await settle();
    expect(hasEnded()).toBe(true);
  });

  test.each([
    ["as long as it may", 0, 46_000],
    ["as long as it may where the clock was set back", -3_600_000, 61_000],
  ])("[BND-6] [CLK-3] wait for a client that takes nothing %s", async (_, setBackMs, withinMs) => {
    const { reader, hasEnded } = await stream();
    bench.socket("id/0").push(batchAt(0, LARGE));
    bench.socket("id/0").push(batchAt(1, LARGE));
    await settle();
    vi.setSystemTime(Date.now() + setBackMs);
    await vi.advanceTimersByTimeAsync(29_000);
    expect(hasEnded()).toBe(false);
    await vi.advanceTimersByTimeAsync(withinMs - 29_000);
    expect(hasEnded()).toBe(true);
    await expect(reader.read()).rejects.toMatchObject({ code: "REQUEST_TIMED_OUT" });
    expect(memory.answers.bytes).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("[BND-6] keep waiting for a client that takes something, however little", async () => {
    const { next, reader, hasEnded } = await stream();
    await next();
    await next();
    for (let offset = 0; offset < 8; offset++) bench.socket("id/0").push(batchAt(offset, LARGE));
    await settle();
    for (let i = 0; i < 8; i++) {
      await vi.advanceTimersByTimeAsync(29_000);
      expect(hasEnded()).toBe(false);
      await next();
    }
    await reader.cancel();
  });

  test("[STR-1] a topic that is gone ends them with the reason", async () => {
    const { next, hasEnded } = await stream();
    await next();
    await next();
    bench.socket("id/0").error("UNKNOWN_TOPIC_ID", { detail: "it was deleted", retriable: true });
    const text = await next();
    expect(text).toMatch(/^event: problem\ndata: \{"code":"UNKNOWN_TOPIC_ID"/);
    await settle();
    expect(hasEnded()).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("a topic that grows", () => {
  const known = { name: "t", topicId: "id", partitions: 1 };

  /** Partitions are added through this isolate, which then knows of them. */
  const grow = (partitions: number) => {
    bench.topic("t", "id", partitions);
    learn(bench.topics.get("t") as Topic);
  };

  test("[STR-7] reads added partitions from their beginning, each once", async () => {
    grow(1);
    const added: unknown[] = [];
    const stop = watchGrowth(bench.env, known, (places) => added.push(...places));
    await vi.advanceTimersByTimeAsync(15_000);
    expect(added).toEqual([]);
    grow(3);
    await vi.advanceTimersByTimeAsync(15_000);
    expect(added).toEqual([place(1, 0), place(2, 0)]);
    await vi.advanceTimersByTimeAsync(15_000);
    expect(added).toHaveLength(2);
    grow(4);
    await vi.advanceTimersByTimeAsync(15_000);
    expect(added).toHaveLength(3);
    stop();
    expect(vi.getTimerCount()).toBe(0);
  });

  test("[STR-7] reads partitions added at another isolate within seven minutes, and asks once in five", async () => {
    bench.topic("t", "id", 1);
    const added: unknown[] = [];
    const stop = watchGrowth(bench.env, known, (places) => added.push(...places));
    await vi.advanceTimersByTimeAsync(15_000);
    expect(bench.lookUps).toBe(1);
    bench.topic("t", "id", 3);
    await vi.advanceTimersByTimeAsync(7 * 60_000);
    expect(added).toEqual([place(1, 0), place(2, 0)]);
    expect(bench.lookUps).toBe(2);
    stop();
  });

  test("[STR-7] and another of its name reads nothing, nor does one that is gone", async () => {
    bench.topic("t", "new", 3);
    const added: unknown[] = [];
    const stop = watchGrowth(bench.env, known, (places) => added.push(...places));
    await vi.advanceTimersByTimeAsync(15_000);
    bench.topics.clear();
    await vi.advanceTimersByTimeAsync(15_000);
    expect(added).toEqual([]);
    stop();
  });
});

describe("a plain client without a group", () => {
  /** The Worker's side of a client's socket. The client reads nothing unless told to. */
  class ClientSocket {
    readonly #listeners = new Map<string, (event: unknown) => void>();
    readonly sent: { type: string; records?: { offset: number }[]; code?: string }[] = [];
    bufferedAmount = 0;
    closed: { code: number; reason: string } | null = null;
    isReading = true;
    accept(): void {}
    addEventListener(type: string, listener: (event: unknown) => void): void {
      this.#listeners.set(type, listener);
    }
    send(text: string): void {
      this.sent.push(JSON.parse(text));
      if (!this.isReading) this.bufferedAmount += text.length;
    }
    close(code: number, reason: string): void {
      this.closed = { code, reason };
    }
    say(message: object | string): void {
      const data = typeof message === "string" ? message : JSON.stringify(message);
      this.#listeners.get("message")?.({ data });
    }
    goes(code: number): void {
      this.#listeners.get("close")?.({ code });
    }
    get offsets(): number[] {
      return this.sent.flatMap(({ records = [] }) => records.map(({ offset }) => offset));
    }
  }

  async function session(options: Partial<DeliveryOptions> = {}, count = 1) {
    const socket = new ClientSocket();
    const partitions = Array.from({ length: count }, (_, partition) => place(partition, 0));
    const member = {
      groupId: null,
      topics: ["t"],
      partitions,
      instanceId: null,
      clientId: null,
      from: "earliest" as const,
    };
    const delivery = { ack: "explicit" as const, window: 3, sessionTimeoutMs: 8_000, ...options };
    const plain = new PlainConsumerSession(
      bench.env,
      member,
      delivery,
      socket as unknown as WebSocket,
    );
    plain.start();
    await settle();
    for (const { socket: each } of bench.sockets) each.attached(1_000);
    await settle();
    const push = async (offset: number, ...values: string[]) => {
      bench.socket("id/0").push(batchAt(offset, ...values));
      await settle();
    };
    return { socket, push };
  }

  describe("whose session has used its CPU", () => {
    const acknowledged = { type: "ack", topic: "t", partition: 0 };
    beforeEach(() => void Object.assign(bench.env, { RIVULET_SESSION_CPU_MS: "1" }));

    test("[SES-14] is sent nothing more, and acknowledges what it has before its socket closes", async () => {
      const { socket, push } = await session();
      await push(0, LARGE, "b", "c", "d");
      await push(4, "e");
      expect(socket.offsets).toEqual([0, 1, 2]);
      socket.say({ ...acknowledged, offset: 1 });
      await settle();
      expect(socket.closed).toBeNull();
      socket.say({ ...acknowledged, offset: 2 });
      await settle();
      expect(socket.offsets).toEqual([0, 1, 2]);
      expect(socket.closed).toEqual({
        code: CLOSE_SPENT,
        reason: "the session has used up its CPU; connect again",
      });
      expect(vi.getTimerCount()).toBe(0);
    });

    test("[SES-14] is not waited for longer than half a minute", async () => {
      const { socket, push } = await session({ sessionTimeoutMs: 600_000 });
      await push(0, LARGE);
      await vi.advanceTimersByTimeAsync(SESSION_END_MS - 1);
      expect(socket.closed).toBeNull();
      await vi.advanceTimersByTimeAsync(1);
      expect(socket.closed?.code).toBe(CLOSE_SPENT);
      expect(vi.getTimerCount()).toBe(0);
    });

    test("[SES-14] and that goes meanwhile is closed as it asked to be", async () => {
      const { socket, push } = await session();
      await push(0, LARGE);
      socket.say({ type: "leave" });
      await settle();
      expect(socket.closed?.code).toBe(1000);
      await vi.advanceTimersByTimeAsync(SESSION_END_MS);
      expect(vi.getTimerCount()).toBe(0);
    });
  });

  test("[PLN-2] is sent as many records as the window holds, and more as it acknowledges", async () => {
    const { socket, push } = await session();
    await push(0, "a", "b", "c", "d", "e");
    expect(socket.offsets).toEqual([0, 1, 2]);
    const ack = (offset: number) => {
      socket.say({ type: "ack", topic: "t", partition: 0, offset });
      return settle();
    };
    await ack(0);
    expect(socket.offsets).toEqual([0, 1, 2, 3]);
    // Earlier messages change nothing.
    await ack(0);
    expect(socket.offsets).toEqual([0, 1, 2, 3]);
    await ack(3);
    expect(socket.offsets).toEqual([0, 1, 2, 3, 4]);
    await ack(4);
    expect(socket.sent.filter(({ type }) => type === "error")).toEqual([]);
    await ack(5);
    expect(socket.sent.at(-1)).toMatchObject({ type: "error", code: "INVALID_REQUEST" });
    expect(socket.closed).toBeNull();
    socket.goes(1000);
    await settle();
    expect(vi.getTimerCount()).toBe(0);
  });

  test.each([
    ["holds records", ["a"], [], 1],
    ["holds none", [], [], 0],
    ["has acknowledged all", ["a"], [{ type: "ack", topic: "t", partition: 0, offset: 0 }], 0],
  ] as [string, string[], object[], number][])(
    "[PLN-4] that %s and is silent for its session is removed, or not",
    async (_, values, said, count) => {
      const { socket, push } = await session();
      if (values.length > 0) await push(0, ...values);
      for (const message of said) socket.say(message);
      await vi.advanceTimersByTimeAsync(6_900);
      expect(socket.closed).toBeNull();
      await vi.advanceTimersByTimeAsync(2_200);
      expect(socket.closed === null ? 0 : 1).toBe(count);
      if (count === 0) socket.goes(1000);
      await settle();
    },
  );

  test.each([["ping"], [{ type: "ping" }]])("[PLN-4] that says %j is there", async (message) => {
    const { socket, push } = await session();
    await push(0, "a");
    socket.send = () => {}; // The answer to a plain ping is not JSON.
    for (let i = 0; i < 4; i++) {
      await vi.advanceTimersByTimeAsync(6_900);
      socket.say(message);
    }
    expect(socket.closed).toBeNull();
    socket.goes(1000);
    await settle();
  });

  const HALF = "x".repeat(MAX_PLAIN_UNSENT_BYTES / 2);

  test("[BND-7] that does not read is sent nothing more until it has read", async () => {
    const { socket, push } = await session({ ack: "auto", window: 1_000 });
    socket.isReading = false;
    for (let offset = 0; offset < 6; offset++) await push(offset, HALF);
    expect(socket.offsets).toEqual([0, 1]);
    await vi.advanceTimersByTimeAsync(29_000);
    expect(socket.closed).toBeNull();
    socket.bufferedAmount = MAX_PLAIN_UNSENT_BYTES;
    await vi.advanceTimersByTimeAsync(20);
    expect(socket.offsets.slice(0, 3)).toEqual([0, 1, 2]);
    socket.isReading = true;
    socket.bufferedAmount = 0;
    await vi.advanceTimersByTimeAsync(1_000);
    expect(socket.offsets).toEqual([0, 1, 2, 3, 4, 5]);
    socket.goes(1000);
    await settle();
    expect(vi.getTimerCount()).toBe(0);
  });

  test.each([
    ["", 0],
    [" from when the clock was set back", -3_600_000],
  ])(
    "[BND-7] [CLK-3] that takes nothing for 30 seconds%s is disconnected",
    async (_, setBackMs) => {
      const { socket, push } = await session({ ack: "auto", window: 1_000 });
      socket.isReading = false;
      for (let offset = 0; offset < 4; offset++) await push(offset, HALF);
      vi.setSystemTime(Date.now() + setBackMs);
      await vi.advanceTimersByTimeAsync(29_900);
      expect(socket.closed).toBeNull();
      await vi.advanceTimersByTimeAsync(200);
      expect(socket.closed).toMatchObject({
        code: 4000,
        reason: expect.stringMatching(/^REQUEST_TIMED_OUT/),
      });
    },
  );

  test("[BND-7] that takes a little from time to time is waited for", async () => {
    const { socket, push } = await session({ ack: "auto", window: 1_000 });
    socket.isReading = false;
    for (let offset = 0; offset < 4; offset++) await push(offset, HALF);
    for (let i = 0; i < 3; i++) {
      await vi.advanceTimersByTimeAsync(29_000);
      socket.bufferedAmount--;
    }
    await vi.advanceTimersByTimeAsync(29_000);
    expect(socket.closed).toBeNull();
    socket.goes(1006);
    await settle();
    expect(vi.getTimerCount()).toBe(0);
  });

  test("[PLN-6] pauses, resumes, seeks and leaves", async () => {
    const { socket, push } = await session({ window: 100 });
    const say = (type: string, more: object = {}) => {
      socket.say({ type, topic: "t", partition: 0, ...more });
      return settle();
    };
    await say("pause");
    await push(0, "a", "b");
    expect(socket.offsets).toEqual([]);
    await say("resume");
    expect(socket.offsets).toEqual([0, 1]);
    await say("seek", { offset: 1 });
    expect(bench.socket("id/0").attach).toMatchObject({ offset: 1 });
    bench.socket("id/0").attached(1_000);
    await push(1, "b");
    expect(socket.offsets).toEqual([0, 1, 1]);
    socket.say({ type: "leave" });
    await settle();
    expect(socket.closed).toEqual({ code: 1000, reason: "left" });
    // Nothing is done from then on.
    const { length } = socket.sent;
    await say("pause");
    expect(socket.sent).toHaveLength(length);
    expect(vi.getTimerCount()).toBe(0);
  });

  test.each([
    { type: "pause" },
    { type: "resume" },
    { type: "seek", offset: 1 },
    { type: "ack", offset: 1 },
  ])("[PLN-6] is told that a partition is not its own, and continues: $type", async (message) => {
    const { socket, push } = await session();
    socket.say({ topic: "t", partition: 7, ...message });
    await settle();
    expect(socket.sent.at(-1)).toMatchObject({ type: "error", code: "FENCED_MEMBER_EPOCH" });
    expect(socket.closed).toBeNull();
    await push(0, "a");
    expect(socket.offsets).toEqual([0]);
    socket.goes(1000);
    await settle();
  });

  test("[STR-5] [STR-1] is told that its topic is gone, and ended", async () => {
    const { socket } = await session();
    bench.socket("id/0").error("UNKNOWN_TOPIC_ID", { detail: "it was deleted", retriable: true });
    await settle();
    expect(socket.sent.at(-1)).toMatchObject({ type: "error", code: "UNKNOWN_TOPIC_ID" });
    expect(socket.closed).toMatchObject({ code: 4000 });
    expect(vi.getTimerCount()).toBe(0);
  });
});
