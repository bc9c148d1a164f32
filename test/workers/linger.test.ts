// Topics with `commit.linger.ms`: on whichever interface appends come they share a row. Whatever happens while they wait,
// answered ones are stored and others are not. Each test has a twin that evicts the partition in the middle.
import { runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { partitionStub } from "../../src/env.ts";
import { type AppendAnswer, writeAppendFrame } from "../../src/protocol/append-frame.ts";
import type { PartitionMessage } from "../../src/protocol/partition-socket.ts";
import * as messages from "../support/kafka-schemas.ts";
import { Kafka } from "./kafka-socket.ts";
import {
  call,
  createTopic,
  env,
  eventually,
  evict,
  expectStatus,
  guarded,
  produce,
  readValues,
  recordBatch,
  shiftWall,
  TestSocket,
  type TopicJson,
  TWINS,
} from "./support.ts";

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

type Answer = AppendAnswer | PartitionMessage;
type Stub = ReturnType<typeof partitionStub>;

/** Long enough that everything a test sends arrives meanwhile. */
const LINGER_MS = 400;

async function newPartition(lingerMs = LINGER_MS): Promise<{ topic: TopicJson; stub: Stub }> {
  const topic = await createTopic(1, { "commit.linger.ms": lingerMs });
  const stub = partitionStub(env, topic.topicId, 0);
  await stub.offsets(); // It is awake, and its tables are there.
  return { topic, stub };
}

/** The first offsets of rows. */
function rowsOf(stub: Stub): Promise<number[]> {
  return runInDurableObject(stub, (_, { storage }) =>
    storage.sql
      .exec<{ base_offset: number }>("SELECT base_offset FROM segment_0 ORDER BY base_offset")
      .toArray()
      .map(({ base_offset }) => base_offset),
  );
}

/** The timers of this isolate with this delay do not ring: the test rings them, or never does. */
function heldTimers(ms: number): (() => void)[] {
  const ring = globalThis.setTimeout;
  const held: (() => void)[] = [];
  vi.spyOn(globalThis, "setTimeout").mockImplementation(((run: () => void, after?: number) => {
    if (after !== ms) return ring(run, after);
    held.push(run);
    return 0;
  }) as typeof setTimeout);
  return held;
}

async function kafkaAppend(kafka: Kafka, { name }: TopicJson, value: string): Promise<number> {
  const { topics } = await kafka.ask<{ topics: { partitions: { baseOffset: number }[] }[] }>(
    messages.PRODUCE,
    9,
    {
      transactionalId: null,
      acks: -1,
      timeoutMs: 1_000,
      topics: [{ name, partitions: [{ partition: 0, records: [recordBatch([value])] }] }],
    },
  );
  return topics[0]?.partitions[0]?.baseOffset ?? Number.NaN;
}

describe("appends that linger", () => {
  test.each(TWINS)(
    "[LNG-1] over HTTP, sockets, RPC and Kafka's protocol share one row$when",
    async ({ interrupt }) => {
      const { topic, stub } = await newPartition();
      const path = `/v1/topics/${topic.name}/partitions/0/socket`;
      const socket = await TestSocket.open<Answer>(path);
      const kafka = await Kafka.open();
      for (let round = 0; round < 2; round++) {
        const frame = { requestId: round, expectedOffset: null, batches: recordBatch(["socket"]) };
        socket.send(writeAppendFrame(frame));
        const offsets = await Promise.all([
          produce(topic.name, [{ value: "http" }]).then(([stored]) => stored?.offset),
          stub
            .append({ batches: recordBatch(["rpc"]) })
            .then((answer) => answer.ok && answer.baseOffset),
          kafkaAppend(kafka, topic, "kafka"),
          socket
            .next(
              (message): message is AppendAnswer =>
                typeof message === "object" && "requestId" in message,
            )
            .then((answer) => answer.type === "appended" && answer.baseOffset),
        ]);
        expect(offsets.sort()).toEqual([0, 1, 2, 3].map((each) => 4 * round + each));
        await interrupt(stub);
        expect(await rowsOf(stub)).toEqual(round === 0 ? [0] : [0, 4]);
      }
      const values = (await readValues(topic)).map(([, value]) => value);
      expect(values.sort().join()).toBe("http,http,kafka,kafka,rpc,rpc,socket,socket");
    },
  );

  test.each(TWINS)(
    "[LNG-1] [CND-1] conditional appends are decided in order of arrival$when",
    async ({ interrupt }) => {
      const { topic, stub } = await newPartition();
      const append = (value: string, expectedOffset: number | null) =>
        stub.append({ batches: recordBatch([value]), expectedOffset });
      const answers = await Promise.all([
        append("a", 0),
        append("too late", 0),
        append("b", null),
        append("c", 2),
        append("too early", 4),
      ]);
      expect(answers).toMatchObject([
        { baseOffset: 0 },
        { error: "INVALID_UPDATE_VERSION", nextOffset: 1 },
        { baseOffset: 1 },
        { baseOffset: 2 },
        { error: "INVALID_UPDATE_VERSION", nextOffset: 3 },
      ]);
      await interrupt(stub);
      expect(await readValues(topic)).toEqual([
        [0, "a"],
        [1, "b"],
        [2, "c"],
      ]);
      expect(await rowsOf(stub)).toEqual([0]);
    },
  );

  test.each(TWINS)(
    "[LNG-1] [KEY-1] a request and its repeat that wait together are stored once$when",
    async ({ interrupt }) => {
      const { topic, stub } = await newPartition();
      const path = `/v1/topics/${topic.name}/records`;
      const keyed = () =>
        expectStatus<{ results: { offset: number }[] }>(
          200,
          "POST",
          path,
          { records: [{ value: "once" }] },
          { "idempotency-key": "k" },
        );
      const answers = await Promise.all([keyed(), keyed(), produce(topic.name, [{ value: "x" }])]);
      expect(answers[1]).toEqual(answers[0]);
      await interrupt(stub);
      expect(await keyed()).toEqual(answers[0]);
      expect((await readValues(topic)).map(([, value]) => value).sort()).toEqual(["once", "x"]);
    },
  );

  test.each(TWINS)(
    "[LNG-1] [IDM-1] a producer's appends under way keep their order, and a repeat its offset$when",
    async ({ interrupt }) => {
      const { topic, stub } = await newPartition();
      const batch = (sequence: number) =>
        recordBatch([`${sequence}`], { producer: [5, 0, sequence] });
      const sent = [0, 1, 2, 1, 3].map((sequence) => stub.append({ batches: batch(sequence) }));
      const offsets = (await Promise.all(sent)).map((answer) => answer.ok && answer.baseOffset);
      expect(offsets).toEqual([0, 1, 2, 1, 3]);
      await interrupt(stub);
      expect(await stub.append({ batches: batch(2) })).toMatchObject({ baseOffset: 2 });
      expect(await readValues(topic)).toHaveLength(4);
    },
  );

  test("[LNG-2] a row's worth of bytes is stored at once", async () => {
    const { topic, stub } = await newPartition();
    heldTimers(LINGER_MS);
    const large = "x".repeat(600_000);
    const both = Promise.all([
      stub.append({ batches: recordBatch([large]) }),
      stub.append({ batches: recordBatch([large]) }),
    ]);
    expect(await guarded(both, "what fills a row")).toMatchObject([
      { baseOffset: 0 },
      { baseOffset: 1 },
    ]);
    expect(await readValues(topic)).toHaveLength(2);
  });
});

describe("while an append waits", () => {
  /** An append that waits until the test ends that. */
  async function waiting() {
    const { topic, stub } = await newPartition();
    const timers = heldTimers(LINGER_MS);
    const answer = stub.append({ batches: recordBatch(["a"], { producer: [7, 0, 0] }) });
    answer.catch(() => {});
    await eventually(async () => timers.length > 0, "the append to wait");
    return { topic, stub, timers, answer };
  }

  test("[LNG-3] nobody reads it, and it is there once it is stored", async () => {
    const { topic, stub, timers, answer } = await waiting();
    const socket = await TestSocket.open<PartitionMessage>(
      `/v1/topics/${topic.name}/partitions/0/socket`,
    );
    socket.send({ type: "attach", offset: 0 });
    await socket.next((message): message is PartitionMessage => typeof message === "object");
    expect(await stub.offsets()).toMatchObject({ highWatermark: 0 });
    expect(await stub.read({ offset: 0, maxBytes: 1_000 })).toMatchObject({ nextOffset: 0 });
    expect(await stub.deleteRecords({ before: 1 })).toMatchObject({ error: "OFFSET_OUT_OF_RANGE" });
    await runInDurableObject(stub, () => timers[0]?.());
    expect(await answer).toMatchObject({ baseOffset: 0 });
    expect(await readValues(topic)).toEqual([[0, "a"]]);
    await eventually(
      async () => socket.received.some((each) => each instanceof Uint8Array),
      "the reader to be sent it",
    );
    socket.close(1000);
  });

  test("[LNG-3] [CFG-3] a change of the config to 0 commits it", async () => {
    const { topic, stub, answer } = await waiting();
    const config = { "commit.linger.ms": 0 };
    await expectStatus(200, "PATCH", `/v1/topics/${topic.name}`, { config });
    expect(await guarded(answer, "the append")).toMatchObject({ baseOffset: 0 });
    const next = stub.append({ batches: recordBatch(["b"]) });
    expect(await guarded(next, "an append that waits for nobody")).toMatchObject({ baseOffset: 1 });
  });

  test("[LNG-3] [CLU-4] its topic's deletion refuses it", async () => {
    const { topic, answer } = await waiting();
    expect((await call("DELETE", `/v1/topics/${topic.name}`)).status).toBeLessThan(300);
    expect(await guarded(answer, "the append")).toMatchObject({ error: "UNKNOWN_TOPIC_ID" });
  });

  test("[LNG-3] [IDM-1] a partition that dies has not stored it, and stores the repeat once", async () => {
    const { topic, stub, answer } = await waiting();
    await runInDurableObject(stub, (_, ctx) => ctx.abort("it dies, for the test")).catch(() => {});
    await expect(guarded(answer, "the append")).rejects.toThrow("dies");
    vi.restoreAllMocks();
    const again = partitionStub(env, topic.topicId, 0);
    expect(await readValues(topic)).toEqual([]);
    const repeat = { batches: recordBatch(["a"], { producer: [7, 0, 0] as const }) };
    expect(await again.append(repeat)).toMatchObject({ baseOffset: 0 });
    expect(await again.append(repeat)).toMatchObject({ baseOffset: 0 });
    expect(await readValues(topic)).toEqual([[0, "a"]]);
  });

  test("[LNG-3] [LOG-5] an eviction loses nothing that was answered", async () => {
    const { topic, stub } = await newPartition(50);
    const answers = Promise.all(
      ["a", "b"].map((value) => stub.append({ batches: recordBatch([value]) })),
    );
    await evict(stub);
    const stored = (await answers.catch(() => [])).filter(({ ok }) => ok).length;
    expect((await readValues(topic)).length).toBeGreaterThanOrEqual(stored);
  });

  test("[CLK-1] a timer that is held up is not waited for once a reader, or the next append, comes", async () => {
    const { topic, stub, answer } = await waiting();
    await runInDurableObject(stub, (_, { storage }) => shiftWall(storage.sql, -3_600_000));
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() - 1_000 }); // The object's time does not move.
    await stub.read({ offset: 0, maxBytes: 1_000 });
    vi.useRealTimers();
    expect(await guarded(answer, "the append")).toMatchObject({ baseOffset: 0 });
    await eventually(
      async () => (await readValues(topic).catch(() => [])).length === 1,
      "the partition's next life, which has it",
    );
  });

  test("[CLK-1] whoever notices that the clock was set ends the wait", async () => {
    const { stub, answer } = await waiting();
    await stub.noticeClock();
    expect(await guarded(answer, "the append")).toMatchObject({ baseOffset: 0 });
  });
});
