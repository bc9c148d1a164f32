// The beginning of a partition: from the Worker's word about its topic, with the cluster informed afterward.
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { ClusterObject } from "../../durable-objects/cluster/cluster-object.ts";
import { PartitionObject } from "../../durable-objects/partition/partition-object.ts";
import type { TopicDescription } from "../../src/core/cluster/topics.ts";
import { clusterStub, partitionStub } from "../../src/env.ts";
import { forgetEverything } from "../../src/worker/edge/isolate.ts";
import { callInside } from "./calls.ts";
import {
  alarmOf,
  call,
  createFreedTopic as createTopic,
  env,
  eventually,
  evict,
  expectStatus,
  FREED,
  fetchRecords,
  produce,
  readValues,
  recordBatch,
  stopCluster,
  TestSocket,
  type TopicJson,
  TWINS,
  unique,
  whileAsked,
} from "./support.ts";

afterEach(() => void vi.restoreAllMocks());

const cluster = clusterStub(env);
const GONE = { ok: false, error: "UNKNOWN_TOPIC_ID" };

/** The Worker's word about a known topic. */
function wordOf({ name, topicId, partitions }: TopicJson): TopicDescription {
  return { name, topicId, partitions, initialPartitions: partitions, overrides: {}, defaults: {} };
}

const used = async ({ topicId }: TopicJson) =>
  (await clusterStub(env).usedPartitions({ topicIds: [topicId] }))[0];

/** The tables of a partition. */
function tablesOf({ topicId }: TopicJson, partition = 0): Promise<string[]> {
  return runInDurableObject(partitionStub(env, topicId, partition), (_, { storage }) =>
    Array.from(
      storage.sql.exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'"),
      ({ name }) => name,
    ).filter((name) => !name.startsWith("_cf_")),
  );
}

/** The cluster answers no question of a partition about its use until the returned function is called. */
function holdUse(): { release: () => void; asked: () => number } {
  const { promise, resolve } = Promise.withResolvers<void>();
  let asked = 0;
  type Call = (...args: unknown[]) => unknown;
  const original = ClusterObject.prototype.usePartition as Call;
  const spy = vi.spyOn(ClusterObject.prototype, "usePartition") as unknown as {
    mockImplementation(call: (this: unknown, ...args: unknown[]) => Promise<unknown>): void;
  };
  spy.mockImplementation(async function (this: unknown, ...args) {
    asked++;
    await promise;
    return original.apply(this, args);
  });
  return { release: () => resolve(), asked: () => asked };
}

/** True if the promise has settled by the time that an object has answered another call. */
async function hasSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  void promise.then(
    () => {
      settled = true;
    },
    () => {
      settled = true;
    },
  );
  for (let i = 0; i < 5; i++) await cluster.defaults();
  return settled;
}

describe("a partition that is used for the first time", () => {
  test("[PLC-3] begins from the Worker's word, and answers before the cluster does", async () => {
    const topic = await createTopic(2);
    const stub = partitionStub(env, topic.topicId, 1);
    const use = holdUse();
    const begin = wordOf(topic);
    expect(await stub.offsets({ begin })).toMatchObject({ ok: true, highWatermark: 0 });
    expect(await stub.read({ offset: 0, maxBytes: 1_000, begin })).toMatchObject({ nextOffset: 0 });
    const socket = await TestSocket.open(`/v1/topics/${topic.name}/partitions/1/socket`);
    await socket.untilPong();
    socket.close();
    await eventually(async () => use.asked() === 1, "the cluster to be told, once");
    expect(await used(topic)).toEqual([]);
    use.release();
    await eventually(async () => (await used(topic))?.includes(1), "the partition to be listed");
    expect(use.asked()).toBe(1);
  });

  test("[PLC-3] appends once the cluster has listed it, and not before", async () => {
    const topic = await createTopic(1);
    const use = holdUse();
    const first = produce(topic.name, [{ value: "a" }]);
    const second = produce(topic.name, [{ value: "b" }]);
    await eventually(async () => use.asked() > 0, "the cluster to be asked");
    expect([await hasSettled(first), await hasSettled(second)]).toEqual([false, false]);
    use.release();
    await Promise.all([first, second]);
    expect(use.asked(), "both wait for one call").toBe(1);
    expect(await used(topic)).toEqual([0]);
    await produce(topic.name, [{ value: "c" }]);
    expect(use.asked()).toBe(1);
    expect(await readValues(topic)).toHaveLength(3);
  });

  test.each(TWINS)(
    "[PLC-3] asks the cluster if the Worker says nothing, or names another topic$when",
    async ({ interrupt }) => {
      const [topic, other] = [await createTopic(1), await createTopic(1)];
      const use = vi.spyOn(ClusterObject.prototype, "usePartition");
      const stub = partitionStub(env, topic.topicId, 0);
      await interrupt(stub, cluster);
      const restart = stopCluster();
      await expect(stub.offsets({ begin: wordOf(other) })).rejects.toThrow("Network connection");
      await expect(stub.offsets()).rejects.toThrow("Network connection");
      restart();
      expect(await tablesOf(topic)).toEqual([]);
      use.mockClear();
      expect(await stub.offsets()).toMatchObject({ ok: true });
      const gone = partitionStub(env, crypto.randomUUID(), 0);
      expect(await gone.offsets({ begin: wordOf(topic) })).toMatchObject(GONE);
    },
  );

  test("[FIL-1] stores nothing for a partition that its topic does not have", async () => {
    const topic = await createTopic(1);
    const refused = { error: "UNKNOWN_TOPIC_OR_PARTITION" };
    const stub = partitionStub(env, topic.topicId, 1);
    expect(await stub.offsets({ begin: wordOf(topic) })).toMatchObject(refused);
    expect(await tablesOf(topic, 1)).toEqual([]);
    expect(await used(topic)).toEqual([]);
  });

  test.each(TWINS)(
    "[PLC-3] has the config that its topic has by then$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1, { "max.message.bytes": 100 });
      const stub = partitionStub(env, topic.topicId, 0);
      // The Worker does not know yet that it has changed.
      await cluster.alterTopic({ name: topic.name, config: { "max.message.bytes": 200 } });
      await interrupt(stub);
      const batches = recordBatch(["x".repeat(300)]);
      const begin = { ...wordOf(topic), overrides: { "max.message.bytes": 100 } };
      expect(await stub.append({ batches, begin })).toMatchObject({ error: "MESSAGE_TOO_LARGE" });
      await eventually(async () => (await used(topic))?.length === 1, "the partition to be listed");
      await interrupt(stub);
      const refused = (await stub.append({ batches, begin })) as { detail: string };
      expect(refused.detail).toContain("200");
    },
  );
});

describe("a topic that is deleted meanwhile, and created anew under its name", () => {
  const recreate = async ({ name }: TopicJson) => {
    expect(await clusterStub(env).deleteTopic({ name })).toMatchObject({ ok: true });
    const created = await clusterStub(env).createTopic({ name, partitions: 1, overrides: FREED });
    return (created as { topic: { topicId: string } }).topic.topicId;
  };

  test.each(TWINS)(
    "[PLC-3] [CLU-4] gets the records, each once, and nothing is left of the previous one$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      const topicId = await recreate(topic); // This isolate does not know.
      await interrupt(cluster);
      const stored = await produce(topic.name, [{ value: "a" }]);
      expect(stored).toMatchObject([{ partition: 0, offset: 0 }]);
      expect((await readValues({ ...topic, topicId })).map(([, value]) => value)).toEqual(["a"]);
      await interrupt(partitionStub(env, topic.topicId, 0), partitionStub(env, topicId, 0));
      expect(await tablesOf(topic)).toEqual([]);
      expect(await partitionStub(env, topic.topicId, 0).offsets()).toMatchObject(GONE);
      expect((await fetchRecords(topic.name, 0)).records).toMatchObject([{ value: "a" }]);
    },
  );

  test.each(TWINS)(
    "[PLC-3] [CLU-4] also if that happens while the first append waits for the cluster$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      let topicId = "";
      whileAsked("usePartition", async () => {
        topicId = await recreate(topic);
      });
      await produce(topic.name, [{ value: "a" }, { value: "b" }]);
      await interrupt(partitionStub(env, topicId, 0), partitionStub(env, topic.topicId, 0));
      const values = await readValues({ ...topic, topicId });
      expect(values.map(([, value]) => value)).toEqual(["a", "b"]);
      expect(await tablesOf(topic)).toEqual([]);
    },
  );

  test.each(TWINS)(
    "[PLC-3] [CLU-4] a reader that starts a partition leaves nothing behind$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      const stub = partitionStub(env, topic.topicId, 0);
      await recreate(topic);
      expect(await stub.offsets({ begin: wordOf(topic) })).toMatchObject({ ok: true });
      await eventually(async () => (await tablesOf(topic)).length === 0, "the partition to go");
      await interrupt(stub);
      expect(await stub.offsets()).toMatchObject(GONE);
      expect(await alarmOf(stub)).toBe(null);
    },
  );
});

describe("while the cluster is out of reach", () => {
  test.each(TWINS)(
    "[PLC-3] [CLU-5] a partition begins and appends, and the next append has it listed$when",
    async ({ interrupt }) => {
      const topic = await createTopic(2);
      const stub = partitionStub(env, topic.topicId, 1);
      const restart = stopCluster();
      await produce(topic.name, [{ value: "a", partition: 1 }]);
      expect((await fetchRecords(topic.name, 1)).records).toMatchObject([{ value: "a" }]);
      await interrupt(stub);
      await produce(topic.name, [{ value: "b", partition: 1 }]);
      expect(restart()).toContain("usePartition");
      expect(await used(topic)).toEqual([]);
      await produce(topic.name, [{ value: "c", partition: 1 }]);
      expect(await used(topic)).toEqual([1]);
      await interrupt(stub);
      expect(await readValues(topic, 1)).toHaveLength(3);
      // From here on it asks nobody.
      const use = vi.spyOn(ClusterObject.prototype, "usePartition");
      await produce(topic.name, [{ value: "d", partition: 1 }]);
      expect(use).not.toHaveBeenCalled();
    },
  );

  test.each(TWINS)(
    "[PLC-3] its alarm has it listed, and tries again until it is$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      const stub = partitionStub(env, topic.topicId, 0);
      const restart = stopCluster();
      await produce(topic.name, [{ value: "a" }]);
      const untilAlarm = () =>
        eventually(
          async () => ((await alarmOf(stub)) ?? Number.POSITIVE_INFINITY) <= Date.now() + 60_000,
          "an alarm within a minute",
        );
      await untilAlarm();
      await interrupt(stub);
      expect(await runDurableObjectAlarm(stub)).toBe(true);
      await untilAlarm();
      restart();
      expect(await used(topic)).toEqual([]);
      expect(await runDurableObjectAlarm(stub)).toBe(true);
      expect(await used(topic)).toEqual([0]);
      await expectStatus(204, "DELETE", `/v1/topics/${topic.name}`);
      expect(await tablesOf(topic)).toEqual([]);
    },
  );

  test("[PLC-3] another life has it listed, without waiting for anybody", async () => {
    const topic = await createTopic(1);
    const stub = partitionStub(env, topic.topicId, 0);
    const restart = stopCluster();
    await produce(topic.name, [{ value: "a" }]);
    restart();
    await evict(stub);
    expect(await used(topic)).toEqual([]);
    expect(await stub.offsets()).toMatchObject({ highWatermark: 1 });
    await eventually(async () => (await used(topic))?.length === 1, "the partition to be listed");
  });

  test.each(TWINS)(
    "[PLC-3] [CLU-4] an unlisted partition goes by itself after its topic was deleted$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      const stub = partitionStub(env, topic.topicId, 0);
      const restart = stopCluster();
      await produce(topic.name, [{ value: "a" }]);
      restart();
      await expectStatus(204, "DELETE", `/v1/topics/${topic.name}`);
      expect(await tablesOf(topic)).not.toEqual([]);
      await interrupt(stub);
      await runDurableObjectAlarm(stub);
      expect(await tablesOf(topic)).toEqual([]);
      expect(await stub.offsets()).toMatchObject(GONE);
    },
  );

  test("[PLC-3] a partition unknown to everybody here cannot begin, and says that it may later", async () => {
    const topic = await createTopic(1);
    forgetEverything();
    const restart = stopCluster();
    const answer = await call("POST", `/v1/topics/${topic.name}/records`, {
      records: [{ value: "a" }],
    });
    expect(answer.status).toBeGreaterThanOrEqual(500);
    expect(answer.body).toMatchObject({ retriable: true });
    restart();
    await produce(topic.name, [{ value: "a" }]);
    expect(await readValues(topic)).toHaveLength(1);
  });
});

describe("on a machine's disk", () => {
  /** A life of the partition on a machine. */
  const onMachine = <T>(topic: TopicJson, act: (object: PartitionObject) => Promise<T>) =>
    runInDurableObject(partitionStub(env, topic.topicId, 0), (_, state) =>
      act(new PartitionObject(state, { ...env, RIVULET_FILES: "/data/{object}/{id}" })),
    );
  const offsets = (object: PartitionObject, topic: TopicJson) =>
    callInside(object, "partition", "offsets", { begin: wordOf(topic) });

  test("[PLC-3] [FIL-3] the cluster is asked first, and the Worker's word counts while it is unreachable", async () => {
    const topic = await createTopic(1);
    const use = vi.spyOn(ClusterObject.prototype, "usePartition");
    await onMachine(topic, async (object) => {
      expect(await offsets(object, topic)).toMatchObject({ ok: true });
    });
    expect(use).toHaveBeenCalledTimes(1);
    expect(await used(topic)).toEqual([0]);
    const other = await createTopic(1);
    const restart = stopCluster();
    await onMachine(other, async (object) => {
      expect(await offsets(object, other)).toMatchObject({ ok: true });
      const appended = await callInside(object, "partition", "append", {
        batches: recordBatch(["a"]),
      });
      expect(appended).toMatchObject({ ok: true, baseOffset: 0 });
      restart();
      expect(await used(other)).toEqual([]);
      await callInside(object, "partition", "append", { batches: recordBatch(["b"]) });
      expect(await used(other)).toEqual([0]);
    });
  });

  test("[FIL-3] a partition whose storage is gone stays stopped, whatever the Worker says", async () => {
    const topic = await createTopic(1);
    await produce(topic.name, [{ value: "a" }, { value: "b" }]);
    await cluster.noteLogEnd({ topicId: topic.topicId, partition: 0, logEnd: 2 });
    const stub = partitionStub(env, topic.topicId, 0);
    await runInDurableObject(stub, (_, { storage }) => storage.deleteAll());
    await evict(stub);
    vi.spyOn(console, "error").mockReturnValue();
    const gone = { error: "KAFKA_STORAGE_ERROR", retriable: false };
    await onMachine(topic, async (object) => {
      expect(await offsets(object, topic)).toMatchObject(gone);
    });
    expect(await tablesOf(topic)).toEqual([]);
    // While the cluster is unreachable it begins, and stops with the cluster's word.
    const restart = stopCluster();
    await onMachine(topic, async (object) => {
      expect(await offsets(object, topic)).toMatchObject({ ok: true });
      restart();
      const append = () =>
        callInside(object, "partition", "append", { batches: recordBatch(["c"]) });
      expect(await append()).toMatchObject(gone);
      expect(await append()).toMatchObject(gone);
    });
  });
});

test("[PLC-3] a name that this isolate no longer knows is not taken from an older word", async () => {
  const name = unique("topic");
  const topic = await createTopic(1, {}, name);
  await expectStatus(204, "DELETE", `/v1/topics/${name}`);
  const answer = await call("POST", `/v1/topics/${name}/records`, { records: [{ value: "a" }] });
  expect(answer).toMatchObject({ status: 404 });
  expect(await tablesOf(topic)).toEqual([]);
});
