// Doctor's requests to the broker, and the repairs that no other operation makes.
import { runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import { clusterStub, groupStub, partitionStub } from "../../src/env.ts";
import {
  createTopic,
  env,
  expectStatus,
  listedGroups,
  produce,
  readAs,
  segmentsOf,
  unique,
} from "./support.ts";

const cluster = clusterStub(env);

interface Topics {
  readonly topics: readonly { readonly name: string; readonly used: unknown }[];
}

test("[DRX-1] topics are listed by name, a page at a time, with their used partitions", async () => {
  const prefix = unique("page");
  for (const name of ["c", "a", "b"]) await createTopic(2, {}, `${prefix}-${name}`);
  await produce(`${prefix}-b`, [{ value: 1, partition: 1 }]);
  const page = (after: string, limit: number) =>
    expectStatus<Topics>(200, "GET", `/v1/doctor/topics?after=${after}&limit=${limit}`);
  const { topics } = await page(prefix, 2);
  expect(topics).toMatchObject([
    { name: `${prefix}-a`, used: [] },
    { name: `${prefix}-b`, used: [{ partition: 1 }] },
  ]);
  expect((await page(`${prefix}-b`, 1)).topics.map(({ name }) => name)).toEqual([`${prefix}-c`]);
  await runInDurableObject(cluster, (_, { storage }) =>
    storage.sql.exec(
      "DELETE FROM partition_use WHERE topic_id = (SELECT topic_id FROM topic_ids WHERE name = ?)",
      `${prefix}-a`,
    ),
  );
  expect((await page(prefix, 1)).topics[0]?.used).toBe(null);
});

test("[DRX-1] a partition says whether it has the topic's config", async () => {
  const { name, topicId } = await createTopic(2, { "retention.ms": 7_000_000 });
  await produce(name, [{ value: 1, partition: 0 }]);
  const path = `/v1/topics/${name}/partitions/0/state`;
  const state = { logStartOffset: 0, highWatermark: 1, hasConfig: true };
  expect(await expectStatus(200, "GET", path)).toEqual(state);
  const described = await cluster.topic({ name });
  if (!described.ok) throw new Error(described.detail);
  const older = { ...described.topic, overrides: { "retention.ms": 1_000_000 } };
  await partitionStub(env, topicId, 0).configure({ topic: older });
  expect(await expectStatus(200, "GET", path)).toEqual({ ...state, hasConfig: false });
  // Any change of the topic's config, even none, reaches all of its partitions.
  await expectStatus(200, "PATCH", `/v1/topics/${name}`, { config: {} });
  expect(await expectStatus(200, "GET", path)).toEqual(state);
});

test("[DRX-1] waiting tasks are listed, those of a newer release too", async () => {
  const { name, topicId } = await createTopic(1);
  const type = unique("newer");
  await runInDurableObject(cluster, (_, { storage }) =>
    storage.sql.exec("INSERT INTO tasks (task) VALUES (?)", JSON.stringify({ type, topicId })),
  );
  const { tasks } = await expectStatus<{ tasks: { type: string; about: string }[] }>(
    200,
    "GET",
    "/v1/doctor/tasks",
  );
  expect(tasks.find((each) => each.type === type)).toMatchObject({ about: name });
  await runInDurableObject(cluster, (_, { storage }) =>
    storage.sql.exec("DELETE FROM tasks WHERE task LIKE ?", `%${type}%`),
  );
});

test("[DRX-3] an existing group is listed again with its topics, and a missing one is not", async () => {
  const topic = await createTopic(1);
  const group = unique("hidden");
  await readAs(group, topic, { 0: 0 });
  await runInDurableObject(cluster, (_, { storage }) => {
    storage.sql.exec("DELETE FROM groups WHERE group_id = ?", group);
    storage.sql.exec("DELETE FROM subscriptions WHERE group_id = ?", group);
  });
  expect(await listedGroups()).not.toContain(group);
  await expectStatus(204, "POST", "/v1/doctor/groups", { groupId: group });
  expect(await listedGroups()).toContain(group);
  await expectStatus(204, "DELETE", `/v1/topics/${topic.name}`);
  const offsets = await groupStub(env, group).committedOffsets({ member: null });
  expect(offsets).toEqual({ offsets: [] });
  const nobody = unique("nobody");
  const refused = await expectStatus(404, "POST", "/v1/doctor/groups", { groupId: nobody });
  expect(refused).toMatchObject({ code: "GROUP_ID_NOT_FOUND" });
  expect(await listedGroups()).not.toContain(nobody);
});

test("[DRX-3] a partition is freed if nobody knows its topic, and not while its topic is about to be freed", async () => {
  const { name, topicId } = await createTopic(1);
  await produce(name, [{ value: 1 }]);
  const stub = partitionStub(env, topicId, 0);
  const free = (status: number) =>
    expectStatus(status, "POST", "/v1/doctor/orphans", { topicId, partition: 0 });
  await free(400);
  await runInDurableObject(cluster, (_, { storage }) => {
    storage.sql.exec("DELETE FROM topics WHERE name = ?", name);
    storage.sql.exec("DELETE FROM topic_ids WHERE name = ?", name);
    storage.sql.exec(
      "INSERT INTO tasks (task) VALUES (?)",
      JSON.stringify({ type: "unknown", topicId }),
    );
  });
  await free(400);
  expect(await segmentsOf(stub)).toEqual([0]);
  await runInDurableObject(cluster, (_, { storage }) =>
    storage.sql.exec("DELETE FROM tasks WHERE task LIKE ?", `%${topicId}%`),
  );
  await free(204);
  const tables = await runInDurableObject(
    stub,
    (_, { storage }) => [...storage.sql.exec("SELECT name FROM sqlite_master")].length,
  );
  expect(tables).toBe(0);
});
