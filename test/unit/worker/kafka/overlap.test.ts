// Produce requests of one connection that are served concurrently: which may, what they hold, and what the client must do.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ANYBODY } from "../../../../src/core/access/caller.ts";
import type { Env } from "../../../../src/env.ts";
import { memory } from "../../../../src/memory.ts";
import { Connection } from "../../../../src/worker/kafka/connection.ts";
import { AT_ONCE } from "../../../../src/worker/kafka/context.ts";
import { Nodes } from "../../../../src/worker/kafka/nodes.ts";
import { encodeRequest } from "../../../support/kafka-frames.ts";
import { METADATA, PRODUCE } from "../../../support/kafka-schemas.ts";
import { batchAt, settle } from "./feed-bench.ts";
import { brokerOf, freshQuietIsolate } from "./kafka-bench.ts";

freshQuietIsolate();
beforeEach(() => void vi.useFakeTimers({ now: 1_000_000 }));
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

const PATIENCE = { silentMs: 1_000, halfSentMs: 2_000, stalledMs: 4_000, idleMs: 8_000 };
const metadata = encodeRequest(METADATA, 1, { topics: [] });
const toPartitions = (...partitions: number[]) =>
  encodeRequest(PRODUCE, 3, {
    transactionalId: null,
    acks: 1,
    timeoutMs: 1,
    topics: [
      {
        name: "t",
        partitions: partitions.map((partition) => ({ partition, records: [batchAt(0, "a")] })),
      },
    ],
  });
const produce = toPartitions(0);

/** A connection to a broker of one topic. Its partition answers appends on request. */
function opened(more: Partial<Env> = {}) {
  const ended: string[] = [];
  const waiting: (() => void)[] = [];
  const append = async () => {
    await new Promise<void>((resolve) => waiting.push(resolve));
    return { ok: true, baseOffset: 0, logAppendTimeMs: null };
  };
  const connection = new Connection({
    env: { ...brokerOf({ t: 100 }, { partition: { append } }), ...more },
    nodes: new Nodes([{ host: "h", port: 1 }], null),
    clientHost: "/",
    way: "tcp",
    end: ({ message }) => ended.push(message),
    patience: PATIENCE,
  });
  const answerAppend = async () => {
    await settle();
    waiting.shift()?.();
    await settle();
  };
  /** One after another: an append by a call holds back the later ones to its partition. */
  const served = async (frame: Uint8Array) => {
    const { answer } = await connection.begin(frame);
    await answerAppend();
    await answer;
    connection.answered();
  };
  return { connection, ended, waiting, answerAppend, served };
}

test("[KFK-35] a Produce request may overlap, once one has come", async () => {
  const { connection, served } = opened();
  expect(connection.mayOverlap(produce)).toBe(false);
  await served(produce);
  expect(connection.mayOverlap(produce)).toBe(true);
  for (const frame of [metadata, new Uint8Array(1), new Uint8Array()])
    expect(connection.mayOverlap(frame)).toBe(false);
  const { mayOverlap } = await connection.begin(produce);
  expect(mayOverlap).toBe(true);
  connection.close();
});

test("[KFK-35] a Produce request to many partitions has no place for all of them at once, so others wait for it", async () => {
  const { connection } = opened();
  const first = Array.from({ length: AT_ONCE }, (_, i) => i);
  expect(await connection.begin(toPartitions(...first))).toMatchObject({ mayOverlap: true });
  expect(await connection.begin(toPartitions(...first, 99))).toMatchObject({ mayOverlap: false });
  connection.close();
});

test("[KFK-35] [QUO-3] nothing overlaps for a principal that must wait for its quota", async () => {
  const caller = { ...ANYBODY, principal: "User:little", quota: { requestRate: 2 } };
  const { connection, served } = opened({ caller } as never);
  await served(produce);
  expect(connection.mayOverlap(produce)).toBe(true);
  await served(produce);
  expect(connection.mayOverlap(produce)).toBe(false);
  await vi.advanceTimersByTimeAsync(500);
  expect(connection.mayOverlap(produce)).toBe(true);
  connection.close();
});

test("[KFK-35] [BND-10] each response is held until it is taken, and the connection is at work until all are", async () => {
  const { connection, answerAppend } = opened();
  const inFlight = memory.kafka;
  const [first, second] = [await connection.begin(produce), await connection.begin(produce)];
  expect(inFlight.bytes).toBe(0);
  await answerAppend();
  const bytes = (await first.answer).reduce((sum, { length }) => sum + length, 0);
  expect(inFlight.bytes).toBe(bytes);
  await answerAppend();
  await second.answer;
  expect(inFlight.bytes).toBe(2 * bytes);
  connection.answered();
  connection.expectRequest(0);
  expect(inFlight.bytes).toBe(bytes);
  expect(connection.inFlight.quietSince).toBeNull();
  connection.answered();
  connection.expectRequest(0);
  expect(inFlight.bytes).toBe(0);
  expect(connection.inFlight.quietSince).not.toBeNull();
  connection.close();
});

test("[BND-11] [KFK-35] nothing is expected of a client that waits for a response, and half a request counts when all are answered", async () => {
  const { connection, ended, answerAppend } = opened();
  const both = [await connection.begin(produce), await connection.begin(produce)];
  connection.expectRequest(10);
  await vi.advanceTimersByTimeAsync(100_000);
  await answerAppend();
  await both[0]?.answer;
  connection.expectTaken();
  connection.answered();
  connection.expectRequest(10);
  await vi.advanceTimersByTimeAsync(100_000);
  expect(ended).toEqual([]);
  await answerAppend();
  await both[1]?.answer;
  connection.expectTaken();
  connection.answered();
  connection.expectRequest(10);
  await vi.advanceTimersByTimeAsync(2 * PATIENCE.halfSentMs);
  expect(ended).toEqual([expect.stringContaining("a request does not arrive")]);
  connection.close();
});

test("[BND-12] [KFK-35] a response must be taken, whatever is sent or requested meanwhile", async () => {
  const { connection, ended, answerAppend } = opened();
  const first = await connection.begin(produce);
  await answerAppend();
  await first.answer;
  connection.expectTaken();
  for (let i = 0; i < 2; i++) {
    connection.came(100_000);
    await connection.begin(produce);
    await vi.advanceTimersByTimeAsync(PATIENCE.stalledMs);
  }
  expect(ended).toEqual([expect.stringContaining("the answers were not taken")]);
  connection.close();
});

test("[KFK-35] an invalid request fails by itself, and earlier ones are answered", async () => {
  const { connection, answerAppend } = opened();
  const first = await connection.begin(produce);
  await expect(connection.begin(produce.subarray(0, 30))).rejects.toThrow("Produce version 3");
  await answerAppend();
  expect((await first.answer).length).toBeGreaterThan(0);
  connection.close();
});
