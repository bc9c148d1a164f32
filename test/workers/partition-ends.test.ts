// A partition that ends while it works, and others that act while it asks the cluster or a group.

import { runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { ClusterObject } from "../../durable-objects/cluster/cluster-object.ts";
import { GroupObject } from "../../durable-objects/group/group-object.ts";
import { PartitionObject } from "../../durable-objects/partition/partition-object.ts";
import { Turns } from "../../durable-objects/shared/turns.ts";
import { IDEMPOTENCY_KEY_TTL_MS, MAX_FETCH_BYTES } from "../../src/core/limits.ts";
import { Compactor } from "../../src/core/log/compaction.ts";
import { PartitionLog } from "../../src/core/log/partition-log.ts";
import { clusterStub, groupStub, type PartitionStub, partitionStub } from "../../src/env.ts";
import { type AppendAnswer, writeAppendFrame } from "../../src/protocol/append-frame.ts";
import type { PartitionMessage as ReaderMessage } from "../../src/protocol/partition-socket.ts";
import { callInside, requestIn } from "./calls.ts";
import {
  alarmOf,
  createTopic,
  decodeAll,
  env,
  eventually,
  evict,
  isBytes,
  produce,
  recordBatch,
  shiftWall,
  TestSocket,
  type TopicJson,
  TWINS,
  UPGRADE,
  unique,
  whileAsked,
} from "./support.ts";

afterEach(() => void vi.restoreAllMocks());

type PartitionMessage = ReaderMessage | AppendAnswer;
type Stub = PartitionStub;

const GONE = { ok: false, error: "UNKNOWN_TOPIC_ID" };

/** A partition with one record, unless given otherwise. */
async function newPartition(values: readonly string[] = ["a"]) {
  const topic = await createTopic(1);
  const stub = partitionStub(env, topic.topicId, 0);
  for (const value of values)
    expect(await stub.append({ batches: recordBatch([value]) })).toMatchObject({ ok: true });
  return { topic, stub };
}

function tablesOf(stub: Stub): Promise<string[]> {
  return runInDurableObject(stub, (_, { storage }) =>
    Array.from(
      storage.sql.exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'"),
      ({ name }) => name,
    ).filter((name) => !name.startsWith("_cf_")),
  );
}

function open(topic: TopicJson): Promise<TestSocket<PartitionMessage>> {
  return TestSocket.open(`/v1/topics/${topic.name}/partitions/0/socket`);
}

const isMessage = (message: unknown): message is PartitionMessage =>
  typeof message === "object" && message !== null && "type" in message;

describe("a partition that is destroyed", () => {
  test("[CLU-4] while it compacts does no more, and sets no alarm", async () => {
    const { stub } = await newPartition();
    const step = vi.spyOn(Compactor.prototype, "step").mockReturnValue(true);
    const next = vi.spyOn(Turns.prototype, "next");
    await runInDurableObject(stub, async (partition) => {
      next.mockImplementationOnce(async () => {
        await callInside(partition, "partition", "destroy", {});
      });
      await partition.alarm?.();
    });
    expect(step).toHaveBeenCalledTimes(1);
    expect(await tablesOf(stub)).toEqual([]);
    expect(await alarmOf(stub)).toBe(null);
    await runInDurableObject(stub, (partition) => partition.alarm?.());
    expect(step).toHaveBeenCalledTimes(1);
  });

  test.each(TWINS)(
    "[CLU-4] frees everything, however often it is asked to, and has nothing left to do$when",
    async ({ interrupt }) => {
      const { topic, stub } = await newPartition();
      const socket = await open(topic);
      await interrupt(stub);
      await stub.destroy();
      const reason = "UNKNOWN_TOPIC_ID: the topic was deleted";
      expect(await socket.closed).toEqual({ code: 4000, reason });
      await stub.destroy();
      const known = await clusterStub(env).topic({ name: topic.name });
      if (known.ok) await stub.configure({ topic: known.topic });
      await stub.noticeClock();
      await runInDurableObject(stub, (partition) => partition.alarm?.());
      expect(await stub.append({ batches: recordBatch(["late"]) })).toMatchObject(GONE);
      expect(await stub.beginRequest({ key: "key", bodyHash: "hash", plan: null })).toMatchObject(
        GONE,
      );
      expect(await stub.maxTimestamp()).toMatchObject(GONE);
      expect(await tablesOf(stub)).toEqual([]);
    },
  );

  test("[CLU-4] during its first use is not used, and stores nothing", async () => {
    const topic = await createTopic(1);
    const stub = partitionStub(env, topic.topicId, 0);
    whileAsked("usePartition", () => partitionStub(env, topic.topicId, 0).destroy());
    const answers = await Promise.all([
      stub.append({ batches: recordBatch(["a"]) }),
      stub.offsets(),
    ]);
    expect(answers).toMatchObject([GONE, GONE]);
    expect(await tablesOf(stub)).toEqual([]);
  });
});

describe("a partition's first use", () => {
  test("[FIL-3] asks the cluster once, whoever comes meanwhile", async () => {
    const topic = await createTopic(1);
    const stub = partitionStub(env, topic.topicId, 0);
    const asked = vi.spyOn(ClusterObject.prototype, "usePartition");
    const results = await Promise.all(
      ["a", "b", "c"].map((value) => stub.append({ batches: recordBatch([value]) })),
    );
    expect(results.map((result) => result.ok && result.baseOffset)).toEqual([0, 1, 2]);
    expect(
      asked.mock.calls.filter(
        (args) => requestIn("cluster", "usePartition", args).topicId === topic.topicId,
      ),
    ).toHaveLength(1);
  });

  test("[CLU-1] with a number that the topic does not have is refused, and stores nothing", async () => {
    const topic = await createTopic(2);
    const stub = partitionStub(env, topic.topicId, 2);
    expect(await stub.append({ batches: recordBatch(["a"]) })).toMatchObject({
      error: "UNKNOWN_TOPIC_OR_PARTITION",
      detail: `topic ${topic.name} has no partition 2`,
    });
    expect(await tablesOf(stub)).toEqual([]);
    expect(await partitionStub(env, topic.topicId, 1).offsets()).toMatchObject({ ok: true });
  });
});

describe("an owner from ahead of the clock", () => {
  const owner = (group: string) => ({
    group,
    incarnation: Date.now() + 3_600_000,
    memberEpoch: 1,
    memberNumber: 1,
  });
  const read = (stub: Stub, group: string) =>
    stub.readAs({ owner: owner(group), offset: 0, maxBytes: 1_000 });

  test("[CLK-5] of an unknown group is refused, and its group is not asked", async () => {
    const { stub } = await newPartition();
    const asked = vi.spyOn(GroupObject.prototype, "hasIncarnation");
    expect(await read(stub, unique("nobody"))).toMatchObject({ error: "INVALID_REQUEST" });
    expect(asked).not.toHaveBeenCalled();
  });

  test.each(TWINS)(
    "[CLK-5] is admitted by its group's word, which is requested once$when",
    async ({ interrupt }) => {
      const { stub } = await newPartition();
      const group = unique("group");
      await groupStub(env, group).alterConfig({ changes: { "group.max.size": 1 } });
      const asked = vi.spyOn(GroupObject.prototype, "hasIncarnation");
      const ahead = owner(group);
      const request = { offset: 0, maxBytes: 1_000 };
      asked.mockResolvedValueOnce(false);
      expect(await stub.readAs({ owner: ahead, ...request })).toMatchObject({
        error: "INVALID_REQUEST",
      });
      asked.mockRejectedValueOnce(new Error("out of reach, for the test") as never);
      expect(await stub.readAs({ owner: ahead, ...request })).toMatchObject({
        error: "COORDINATOR_NOT_AVAILABLE",
      });
      asked.mockResolvedValueOnce(true);
      expect(await stub.readAs({ owner: ahead, ...request })).toMatchObject({
        ok: true,
        nextOffset: 1,
      });
      const { length } = asked.mock.calls;
      await interrupt(stub);
      await stub.offsets(); // It wakes, and then knows the fence.
      expect(await stub.readAs({ owner: ahead, ...request })).toMatchObject({ ok: true });
      expect(asked.mock.calls).toHaveLength(length);
      // Another incarnation of the group is another question.
      asked.mockResolvedValueOnce(false);
      const later = { ...ahead, incarnation: ahead.incarnation + 1 };
      expect(await stub.readAs({ owner: later, ...request })).toMatchObject({
        error: "INVALID_REQUEST",
      });
    },
  );
});

describe("a socket", () => {
  test.each(TWINS)(
    "[HIB-1] that reads and appends keeps its place as a reader$when",
    async ({ interrupt }) => {
      const { topic, stub } = await newPartition();
      const socket = await open(topic);
      socket.send({ type: "attach", attachId: 1, offset: 0, windowBytes: 100_000 });
      const next = async () => decodeAll(await socket.next(isBytes)).map(({ offset }) => offset);
      expect(await next()).toEqual([0]);
      const append = (requestId: number, expectedOffset: number | null) =>
        socket.send(writeAppendFrame({ requestId, expectedOffset, batches: recordBatch(["own"]) }));
      append(1, null);
      expect(await next()).toEqual([1]);
      await interrupt(stub);
      await stub.append({ batches: recordBatch(["b"]) });
      expect(await next()).toEqual([2]);
      append(2, 2);
      expect(
        await socket.next(
          (message): message is PartitionMessage => isMessage(message) && message.type === "error",
        ),
      ).toMatchObject({
        requestId: 2,
        code: "INVALID_UPDATE_VERSION",
        nextOffset: 3,
      });
      append(3, 3);
      expect(await next()).toEqual([3]);
    },
  );

  test.each(TWINS)(
    "[CND-1] appends that wait together are each stored at their expected offset, or not$when",
    async ({ interrupt }) => {
      const { topic, stub } = await newPartition();
      const socket = await open(topic);
      await interrupt(stub);
      for (const [requestId, expectedOffset] of [
        [1, 1],
        [2, 1],
        [3, 2],
        [4, null],
        [5, 3],
        [6, 4],
      ] as const)
        socket.send(
          writeAppendFrame({ requestId, expectedOffset, batches: recordBatch([`${requestId}`]) }),
        );
      const outcomes = new Map<number, unknown>();
      while (outcomes.size < 6) {
        const message = await socket.next(isMessage);
        if (message.type === "appended") outcomes.set(message.requestId, message.baseOffset);
        else if ("requestId" in message) outcomes.set(message.requestId, message.code);
      }
      expect([...outcomes.values()]).toEqual([
        ...[1, "INVALID_UPDATE_VERSION", 2, 3, "INVALID_UPDATE_VERSION", 4],
      ]);
    },
  );
});

test("[KEY-1] a partition that only remembers a key has an alarm for when it has expired", async () => {
  const { stub } = await newPartition([]);
  await stub.offsets();
  expect(await alarmOf(stub)).toBe(null);
  const plan = {
    ...{ producerId: 1, requestId: "r", atMs: 1, partitions: 1 },
    ...{ maxMessageBytes: 1_000, isCompacted: false, random: 0 },
  };
  expect(await stub.beginRequest({ key: "key", bodyHash: "hash", plan: null })).toEqual({
    ok: true,
    request: null,
  });
  expect(await alarmOf(stub)).toBe(null);
  const nowMs = Date.now();
  expect(await stub.beginRequest({ key: "key", bodyHash: "hash", plan })).toEqual({
    ok: true,
    request: { plan },
  });
  const afterMs = ((await alarmOf(stub)) ?? 0) - nowMs;
  expect(afterMs).toBeGreaterThanOrEqual(IDEMPOTENCY_KEY_TTL_MS);
  expect(afterMs).toBeLessThanOrEqual(2 * IDEMPOTENCY_KEY_TTL_MS);
});

describe("a read", () => {
  test("[FCH-1] is never larger than the bound, whatever it requests", async () => {
    const { stub } = await newPartition(["a", "b"]);
    const read = vi.spyOn(PartitionLog.prototype, "read");
    for (const [asked, taken] of [
      [MAX_FETCH_BYTES + 1, MAX_FETCH_BYTES],
      [1, 1],
    ] as const) {
      expect(await stub.read({ offset: 1, maxBytes: asked })).toMatchObject({ nextOffset: 2 });
      expect(read).toHaveBeenLastCalledWith(1, taken);
    }
  });

  test("[LOG-8] records are deleted up to the end of the log, and not beyond it", async () => {
    const { topic, stub } = await newPartition(["a", "b"]);
    expect(await stub.deleteRecords({ before: 3 })).toMatchObject({ error: "OFFSET_OUT_OF_RANGE" });
    expect(await stub.deleteRecords({ before: 2 })).toEqual({
      ok: true,
      logStartOffset: 2,
      isChanged: true,
    });
    expect(await stub.append({ batches: recordBatch(["c"]) })).toMatchObject({
      baseOffset: 2,
      logStartOffset: 2,
    });
    expect(await produce(topic.name, [{ value: "d" }])).toMatchObject([{ offset: 3 }]);
  });
});

describe("a clock that was set back", () => {
  test("[CLK-2] ends the life of a partition that learns of it, if its time stands still and only then", async () => {
    const { topic, stub } = await newPartition();
    await evict(stub); // No commit is on its way, which would end the life as well.
    const first = await runInDurableObject(stub, (partition) => partition);
    const isFirst = () =>
      runInDurableObject(partitionStub(env, topic.topicId, 0), (one) => one === first).catch(
        () => null,
      );
    await stub.noticeClock();
    expect(await isFirst()).toBe(true);
    await runInDurableObject(stub, (_, { storage }) => shiftWall(storage.sql, -3_600_000));
    await stub.noticeClock().catch(() => {});
    await eventually(async () => (await isFirst()) === false, "another life");
    expect(
      await partitionStub(env, topic.topicId, 0).append({ batches: recordBatch(["b"]) }),
    ).toMatchObject({
      baseOffset: 1,
    });
  });
});

describe("on a machine's disk", () => {
  /** Does something in a life of the partition that keeps its data in a file. */
  function inFile<T>(stub: Stub, act: (partition: PartitionObject) => Promise<T>): Promise<T> {
    return runInDurableObject(stub, (_, state) =>
      act(new PartitionObject(state, { ...env, RIVULET_FILES: "1" })),
    );
  }

  const append = (partition: PartitionObject, values: readonly string[]) =>
    callInside(partition, "partition", "append", { batches: recordBatch(values) });

  const known = async ({ topicId }: TopicJson) => {
    const use = await clusterStub(env).usePartition({ topicId, partition: 0 });
    return use.ok ? use.knownLogEnd : use.error;
  };

  test.each(TWINS)(
    "[FIL-4] the cluster learns where a log ends: with its first use, and from then on$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      const stub = partitionStub(env, topic.topicId, 0);
      expect(await inFile(stub, (partition) => partition.offsets())).toMatchObject({ ok: true });
      expect(await known(topic)).toBe(0);
      await interrupt(stub, clusterStub(env));
      const appended = inFile(stub, (partition) => append(partition, ["a"]));
      expect(await appended).toMatchObject({ baseOffset: 0 });
      await eventually(async () => (await known(topic)) === 1, "the end to be told");
    },
  );

  test.each([
    { told: 1, serves: true },
    { told: 2, serves: true },
    { told: 3, serves: false },
  ])("[FIL-4] a log that ends at 2 where $told was told serves: $serves", async (row) => {
    const { topic, stub } = await newPartition(["a", "b"]);
    await clusterStub(env).noteLogEnd({ topicId: topic.topicId, partition: 0, logEnd: row.told });
    const results = await inFile(stub, async (partition) => [
      await partition.offsets(),
      await append(partition, ["c"]),
      await partition.read({ offset: 0, maxBytes: 1_000 }),
      (await partition.fetch(UPGRADE)).status,
    ]);
    if (row.serves) {
      expect(results.slice(0, 3)).toMatchObject([{ ok: true }, { baseOffset: 2 }, { ok: true }]);
      expect(results[3]).toBe(101);
      return;
    }
    const detail = expect.stringMatching(/^.*\/0: its log ends at 2, but had ended at 3/);
    const lost = { ok: false, error: "KAFKA_STORAGE_ERROR", retriable: false, detail };
    expect(results).toEqual([lost, lost, lost, 503]);
  });

  test("[FIL-4] if its cluster is unreachable, a partition continues, even in its first use", async () => {
    const { topic, stub } = await newPartition();
    await clusterStub(env).noteLogEnd({ topicId: topic.topicId, partition: 0, logEnd: 9 });
    whileAsked("usePartition", () => Promise.reject(new Error("out of reach, for the test")));
    expect(await inFile(stub, (partition) => append(partition, ["b"]))).toMatchObject({
      baseOffset: 1,
    });
    const next = await createTopic(1);
    whileAsked("noteLogEnd", () => Promise.reject(new Error("out of reach, for the test")));
    const appended = inFile(partitionStub(env, next.topicId, 0), (partition) =>
      append(partition, ["a"]),
    );
    expect(await appended).toMatchObject({ baseOffset: 0 });
  });

  test("[FIL-3] a stopped partition is not maintained, and its topic can be deleted", async () => {
    const { topic, stub } = await newPartition();
    await clusterStub(env).noteLogEnd({ topicId: topic.topicId, partition: 0, logEnd: 9 });
    const step = vi.spyOn(Compactor.prototype, "step").mockReturnValue(false);
    await inFile(stub, async (partition) => {
      await partition.offsets();
      await partition.alarm();
      expect(step).not.toHaveBeenCalled();
      await partition.destroy();
      expect(await partition.offsets()).toMatchObject(GONE);
    });
    expect(await tablesOf(stub)).toEqual([]);
  });
});
