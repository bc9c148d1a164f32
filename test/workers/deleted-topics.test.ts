// Kept deleted topics: the fate of their records and of the committed offsets in them, and their restoration.
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { DELETE_DELAY_MS } from "../../src/core/limits.ts";
import { clusterStub, groupStub, partitionStub } from "../../src/env.ts";
import {
  alarmOf,
  call,
  committedOffsets,
  createTopic,
  env,
  eventually,
  evict,
  expectStatus,
  fetchRecords,
  produce,
  readAs,
  refuse,
  type TopicJson,
  TWINS,
  unique,
} from "./support.ts";

afterEach(() => void vi.restoreAllMocks());

const cluster = clusterStub(env);
const KEPT = { "topic.delete.delay.ms": 60_000 };

interface Deleted {
  readonly name: string;
  readonly topicId: string;
  readonly partitions: number;
  readonly deletedAt: string;
  readonly purgeAt: string;
}

async function deleted(name: string): Promise<Deleted[]> {
  const all: Deleted[] = [];
  for (let after: string | undefined = ""; after !== undefined; ) {
    const page: { topics: Deleted[]; next?: string } = await expectStatus(
      200,
      "GET",
      `/v1/deleted-topics?limit=2&after=${encodeURIComponent(after)}`,
    );
    all.push(...page.topics);
    after = page.next;
  }
  return all.filter((each) => each.name === name);
}

const remove = (name: string) => expectStatus(204, "DELETE", `/v1/topics/${name}`);
const undelete = (name: string, body: object = {}) =>
  expectStatus<TopicJson>(200, "POST", `/v1/deleted-topics/${name}/undelete`, body);

function tablesOf(topicId: string, partition: number): Promise<string[]> {
  const stub = partitionStub(env, topicId, partition);
  return runInDurableObject(stub, (_, { storage }) =>
    Array.from(
      storage.sql.exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'"),
      ({ name }) => name,
    ),
  );
}

describe("a deleted topic", () => {
  test.each(TWINS)(
    "[DEL-1] is gone on every interface, and its stored data is kept$when",
    async ({ interrupt }) => {
      const topic = await createTopic(2, KEPT);
      const { name, topicId } = topic;
      await produce(name, [{ value: "a", partition: 0 }]);
      await remove(name);
      await interrupt(cluster, partitionStub(env, topicId, 0));
      for (const [method, path, body] of [
        ["GET", `/v1/topics/${name}`, undefined],
        ["GET", `/v1/topics/${name}/partitions/0/records`, undefined],
        ["POST", `/v1/topics/${name}/records`, { records: [{ value: "b" }] }],
        ["DELETE", `/v1/topics/${name}`, undefined],
      ] as const)
        expect(await call(method, path, body)).toMatchObject({
          status: 404,
          body: { code: "UNKNOWN_TOPIC_OR_PARTITION" },
        });
      expect(await partitionStub(env, topicId, 0).offsets()).toMatchObject({
        error: "UNKNOWN_TOPIC_ID",
      });
      expect(await partitionStub(env, topicId, 1).offsets()).toMatchObject({
        error: "UNKNOWN_TOPIC_ID",
      });
      const { topics } = await expectStatus<{ topics: TopicJson[] }>(200, "GET", "/v1/topics");
      expect(topics.map((each) => each.name)).not.toContain(name);
      const [kept] = await deleted(name);
      expect(kept).toMatchObject({ topicId, partitions: 2 });
      expect(Date.parse(kept?.purgeAt ?? "") - Date.parse(kept?.deletedAt ?? "")).toBe(60_000);
      expect(await tablesOf(topicId, 0)).toContain("segment_0");
      expect(await tablesOf(topicId, 1)).toEqual([]); // It was never used, and this does not create it.
    },
  );

  test("[DEL-1] is kept for a day on Cloudflare, and not at all if set so", async () => {
    const { name } = await createTopic(1);
    await remove(name);
    const [kept] = await deleted(name);
    expect(Date.parse(kept?.purgeAt ?? "") - Date.parse(kept?.deletedAt ?? "")).toBe(
      DELETE_DELAY_MS,
    );
    const { name: other, topicId } = await createTopic(1, { "topic.delete.delay.ms": 0 });
    await produce(other, [{ value: "a" }]);
    await remove(other);
    expect(await deleted(other)).toEqual([]);
    expect(await tablesOf(topicId, 0)).toEqual([]);
  });

  test.each(TWINS)("[DEL-1] is freed when its time is over$when", async ({ interrupt }) => {
    const { name, topicId } = await createTopic(1, { "topic.delete.delay.ms": 1 });
    await produce(name, [{ value: "a" }]);
    await remove(name);
    await interrupt(cluster, partitionStub(env, topicId, 0));
    expect(await alarmOf(cluster)).not.toBeNull();
    await eventually(async () => {
      await runDurableObjectAlarm(cluster);
      return (await deleted(name)).length === 0;
    }, "its end");
    await eventually(async () => {
      await runDurableObjectAlarm(cluster);
      return (await tablesOf(topicId, 0)).length === 0;
    }, "its storage to be freed");
    expect(await call("POST", `/v1/deleted-topics/${name}/undelete`, {})).toMatchObject({
      status: 404,
    });
  });

  test("[DEL-1] is freed at once on request", async () => {
    const { name, topicId } = await createTopic(1, KEPT);
    await produce(name, [{ value: "a" }]);
    await remove(name);
    await expectStatus(204, "DELETE", `/v1/deleted-topics/${name}`);
    expect([await deleted(name), await tablesOf(topicId, 0)]).toEqual([[], []]);
    expect(await call("DELETE", `/v1/deleted-topics/${name}`)).toMatchObject({ status: 404 });
  });

  test.each(TWINS)(
    "[DEL-2] is restored with its id, config and records$when",
    async ({ interrupt }) => {
      const topic = await createTopic(2, { ...KEPT, "retention.ms": 1_000_000 });
      const { name, topicId } = topic;
      await produce(name, [
        { value: "a", partition: 0 },
        { value: "b", partition: 0 },
      ]);
      await remove(name);
      await interrupt(cluster, partitionStub(env, topicId, 0));
      expect(await undelete(name)).toEqual(topic);
      await interrupt(cluster, partitionStub(env, topicId, 0));
      const { records } = await fetchRecords(name, 0);
      expect(records.map(({ value }) => value)).toEqual(["a", "b"]);
      expect(await produce(name, [{ value: "c", partition: 0 }])).toMatchObject([{ offset: 2 }]);
      expect(await produce(name, [{ value: "d", partition: 1 }])).toMatchObject([{ offset: 0 }]);
      expect(await deleted(name)).toEqual([]);
    },
  );

  test("[DEL-2] gets the defaults that changed meanwhile once it is back", async () => {
    const { name, topicId } = await createTopic(1, KEPT);
    await produce(name, [{ value: "a" }]);
    await remove(name);
    await expectStatus(200, "PATCH", "/v1/configs", { config: { "max.message.bytes": 500 } });
    try {
      expect((await undelete(name)).config).toMatchObject({ "max.message.bytes": 500 });
      const refused = await partitionStub(env, topicId, 0).append({ batches: new Uint8Array(600) });
      expect(refused).toMatchObject({ ok: false });
      const answer = await call("POST", `/v1/topics/${name}/records`, {
        records: [{ value: "x".repeat(600) }],
      });
      expect(answer).toMatchObject({ status: 413 });
    } finally {
      await expectStatus(200, "PATCH", "/v1/configs", { config: { "max.message.bytes": null } });
    }
  });

  test("[DEL-2] is not restored in the place of another one, and its id selects it", async () => {
    const first = await createTopic(1, KEPT);
    const { name } = first;
    await produce(name, [{ value: "first" }]);
    await remove(name);
    const second = await createTopic(1, KEPT, name);
    expect(await call("POST", `/v1/deleted-topics/${name}/undelete`, {})).toMatchObject({
      status: 409,
      body: { code: "TOPIC_ALREADY_EXISTS" },
    });
    await produce(name, [{ value: "second" }]);
    await remove(name);
    const several = await call<{ detail: string }>(
      "POST",
      `/v1/deleted-topics/${name}/undelete`,
      {},
    );
    expect(several).toMatchObject({ status: 400, body: { code: "INVALID_REQUEST" } });
    for (const { topicId } of [first, second]) expect(several.body.detail).toContain(topicId);
    expect(await undelete(name, { topicId: first.topicId })).toEqual(first);
    const { records } = await fetchRecords(name, 0);
    expect(records.map(({ value }) => value)).toEqual(["first"]);
    await expectStatus(204, "DELETE", `/v1/deleted-topics/${name}?topicId=${second.topicId}`);
    expect(await deleted(name)).toEqual([]);
    expect((await fetchRecords(name, 0)).records).toHaveLength(1);
  });

  test.each(TWINS)(
    "[DEL-3] brings back the groups' committed offsets$when",
    async ({ interrupt }) => {
      const topic = await createTopic(2, KEPT);
      const { name, topicId } = topic;
      await produce(
        name,
        [0, 0, 0, 1].map((partition) => ({ value: "a", partition })),
      );
      const [early, late, gone] = [unique("g"), unique("g"), unique("g")];
      await readAs(early, topic, { 0: 2, 1: 1 });
      await readAs(late, topic, { 0: 1 });
      await readAs(gone, topic, { 0: 1 });
      await remove(name);
      expect(await committedOffsets(early, name)).toEqual([]);
      await expectStatus(204, "DELETE", `/v1/groups/${gone}`);
      await interrupt(cluster, groupStub(env, early), groupStub(env, late));
      await undelete(name);
      await interrupt(groupStub(env, early), groupStub(env, late));
      expect(await committedOffsets(early, name)).toEqual([2, 1]);
      expect(await committedOffsets(late, name)).toEqual([1, null]);
      expect(await call("GET", `/v1/groups/${gone}`)).toMatchObject({ status: 404 });
      const kept = await runInDurableObject(cluster, (_, { storage }) =>
        Array.from(storage.sql.exec("SELECT * FROM deleted_positions WHERE topic_id = ?", topicId)),
      );
      expect(kept).toEqual([]);
    },
  );

  test("[DEL-1] a partition that could not be told is told by the alarm", async () => {
    const { name, topicId } = await createTopic(1, KEPT);
    await produce(name, [{ value: "a" }]);
    const partition = partitionStub(env, topicId, 0);
    const mend = await refuse(partition, /INSERT OR REPLACE INTO partition/);
    vi.spyOn(console, "error").mockImplementation(() => {});
    await remove(name);
    expect(await mend()).toBeGreaterThan(0);
    await eventually(async () => {
      await runDurableObjectAlarm(cluster);
      const answer = await partition.offsets();
      return "error" in answer && answer.error === "UNKNOWN_TOPIC_ID";
    }, "the partition to retire");
    expect(await undelete(name)).toMatchObject({ topicId });
    expect((await fetchRecords(name, 0)).records).toHaveLength(1);
  });
});

describe("a partition that has been used", () => {
  test.each(TWINS)(
    "[DEL-4] does not begin again if the cluster was restored to before its deletion$when",
    async ({ interrupt }) => {
      const { name, topicId } = await createTopic(1, { "topic.delete.delay.ms": 0 });
      await produce(name, [{ value: "a" }]);
      const rows = await runInDurableObject(cluster, (_, { storage }) => ({
        topics: Array.from(storage.sql.exec("SELECT * FROM topics WHERE name = ?", name)),
        use: Array.from(
          storage.sql.exec("SELECT * FROM partition_use WHERE topic_id = ?", topicId),
        ),
      }));
      await remove(name);
      expect(await tablesOf(topicId, 0)).toEqual([]);
      // The cluster's storage is what it was, and the partition's is not.
      await runInDurableObject(cluster, (_, { storage }) => {
        for (const { name: topic, topic: json } of rows.topics)
          storage.sql.exec("INSERT INTO topics (name, topic) VALUES (?, ?)", topic, json);
        storage.sql.exec("INSERT INTO topic_ids (topic_id, name) VALUES (?, ?)", topicId, name);
        for (const { partition, log_end } of rows.use)
          storage.sql.exec(
            "INSERT INTO partition_use VALUES (?, ?, ?)",
            topicId,
            partition,
            log_end,
          );
      });
      await evict(partitionStub(env, topicId, 0)).catch(() => {});
      await interrupt(cluster);
      vi.spyOn(console, "error").mockImplementation(() => {});
      for (const [method, path, body] of [
        ["POST", `/v1/topics/${name}/records`, { records: [{ value: "b" }] }],
        ["GET", `/v1/topics/${name}/partitions/0/records`, undefined],
      ] as const) {
        const answer = await call<{ results?: { code: string }[]; code?: string }>(
          method,
          path,
          body,
        );
        expect(answer.body.results?.[0]?.code ?? answer.body.code).toBe("KAFKA_STORAGE_ERROR");
      }
      expect(await tablesOf(topicId, 0)).toEqual([]);
    },
  );
});
