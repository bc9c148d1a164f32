// Point-in-time recovery. The local runtime has none, and says so; where needed, the platform's two functions are replaced
// here. A restored object's storage is then what the test has made of it meanwhile.
import { runInDurableObject } from "cloudflare:test";
import { describe, expect, test, vi } from "vitest";
import { RECOVERY_MS } from "../../src/core/limits.ts";
import { clusterStub, type Env, groupStub, partitionStub } from "../../src/env.ts";
import type { CoordinatorMessage } from "../../src/protocol/group-socket.ts";
import { createToken } from "../../src/worker/access/tokens.ts";
import { app } from "../../src/worker/http/app.ts";
import { recovery } from "../../src/worker/http/responses.ts";
import {
  call,
  createTopic,
  env,
  eventually,
  evict,
  expectStatus,
  fetchRecords,
  produce,
  readAs,
  recordBatch,
  TestSocket,
  unique,
} from "./support.ts";

const ROOT_KEY = "the-root-key-of-this-test";
const cluster = clusterStub(env);
const secondsAgo = (seconds: number) => new Date(Date.now() - 1_000 * seconds).toISOString();

interface Recovered {
  readonly bookmark: string;
  readonly undoBookmark?: string;
}

const recover = (target: object, more: object) =>
  call<Recovered & { code?: string; detail?: string }>("POST", "/v1/recovery", {
    target,
    ...more,
  });

/** Gives an object's storage what Cloudflare's has. `restoring` stands for the platform's work between two lives. */
function withHistory(
  stub: DurableObjectStub,
  restoring: (storage: DurableObjectStorage) => void = () => {},
): Promise<{ asked: string[] }> {
  const asked: string[] = [];
  return runInDurableObject(stub, (_, { storage }) => {
    storage.getBookmarkForTime = async (time) => `at ${new Date(time).toISOString()}`;
    storage.onNextSessionRestoreBookmark = async (bookmark) => {
      asked.push(bookmark);
      restoring(storage);
      return "undo";
    };
    return { asked };
  });
}

describe("where the platform keeps no earlier states", () => {
  test("[RCV-1] each recovery is refused, says so, and changes nothing", async () => {
    const topic = await createTopic(1);
    const group = unique("group");
    await produce(topic.name, [{ value: 1 }]);
    await readAs(group, topic, { 0: 1 });
    const targets = [
      { type: "partition", topic: topic.name, partition: 0 },
      { type: "group", group },
      { type: "cluster" },
    ];
    for (const target of targets) {
      for (const dryRun of [true, false]) {
        const refused = await recover(target, { to: secondsAgo(60), dryRun });
        expect(refused).toMatchObject({ status: 400, body: { code: "UNSUPPORTED_VERSION" } });
        expect(refused.body.detail).toContain("only Cloudflare's does, for 30 days");
      }
      const byBookmark = await recover(target, { bookmark: "b" });
      expect(byBookmark).toMatchObject({ status: 400, body: { code: "UNSUPPORTED_VERSION" } });
    }
    expect(await fetchRecords(topic.name, 0)).toMatchObject({ highWatermark: 1 });
    const { offsets } = await groupStub(env, group).committedOffsets({ member: null });
    expect(offsets).toMatchObject([{ offset: 1 }]);
  });
});

test("[RCV-1] a time beyond what is kept, no time, or one with a bookmark, is rejected, and so is an unused object", async () => {
  const { name } = await createTopic(1);
  const target = { type: "partition", topic: name, partition: 0 };
  const times = [
    new Date(Date.now() - RECOVERY_MS - 60_000).toISOString(),
    new Date(Date.now() + 60_000).toISOString(),
    "yesterday",
  ];
  for (const to of times)
    expect(await recover(target, { to })).toMatchObject({
      status: 400,
      body: { code: "INVALID_REQUEST" },
    });
  for (const more of [{}, { to: secondsAgo(1), bookmark: "b" }])
    expect(await recover(target, more)).toMatchObject({
      status: 400,
      body: { code: "INVALID_REQUEST" },
    });
  const unused = await recover(target, { to: secondsAgo(1) });
  expect(unused.body.detail).toContain("was never used");
  const nobody = await recover({ type: "group", group: unique("nobody") }, { to: secondsAgo(1) });
  expect(nobody).toMatchObject({ status: 404, body: { code: "GROUP_ID_NOT_FOUND" } });
});

describe("where it keeps them", () => {
  test("[RCV-2] [RCV-3] [DOC-1] a partition shows what would be lost, goes back, and the cluster knows its earlier end", async () => {
    const topic = await createTopic(1);
    const stub = partitionStub(env, topic.topicId, 0);
    const base = Date.now() - 60_000;
    for (const i of [0, 1, 2])
      await produce(topic.name, [{ value: i, timestamp: base + i * 10_000 }]);
    // The platform takes back everything stored since: here the last record, in its own row.
    const { asked } = await withHistory(stub, (storage) => {
      const [{ name }] = Array.from(
        storage.sql.exec<{ name: string }>(
          "SELECT name FROM sqlite_master WHERE name LIKE 'segment\\_%' ESCAPE '\\'",
        ),
      ) as [{ name: string }];
      storage.sql.exec(`DELETE FROM ${name} WHERE base_offset = 2`);
    });
    const target = { type: "partition", topic: topic.name, partition: 0 };
    const to = new Date(base + 15_000).toISOString();
    const { body: plan } = await recover(target, { to, dryRun: true });
    expect(plan).toEqual({
      ...{ bookmark: `at ${to}`, dryRun: true },
      ...{ logStartOffset: 0, logEndOffset: 3, firstLostOffset: 2 },
    });
    recovery.parse(plan);
    expect(asked).toEqual([]);
    expect(await fetchRecords(topic.name, 0)).toMatchObject({ highWatermark: 3 });
    const { status, body } = await recover(target, { bookmark: plan.bookmark });
    expect([status, asked]).toEqual([200, [plan.bookmark]]);
    expect(body).toMatchObject({ undoBookmark: "undo", logEndOffset: 3, restoredLogEndOffset: 2 });
    recovery.parse(body);
    expect(await fetchRecords(topic.name, 0)).toMatchObject({ highWatermark: 2 });
    const { topics } = await cluster.inspectTopics({ after: null, limit: 1_000 });
    const known = topics.find(({ name }) => name === topic.name);
    expect(known?.used).toEqual([{ partition: 0, logEnd: 3 }]);
  });

  test("[RCV-1] [RCV-2] only a caller that may ALTER the cluster recovers, and it is in the audit log", async () => {
    const topic = await createTopic(1);
    await produce(topic.name, [{ value: 1 }]);
    await withHistory(partitionStub(env, topic.topicId, 0));
    const { caller: _, ...open } = env;
    const closed: Env = { ...open, RIVULET_OPEN: "", RIVULET_ROOT_KEY: ROOT_KEY };
    const ask = async (credential: string) => {
      const body = JSON.stringify({
        ...{ target: { type: "partition", topic: topic.name, partition: 0 }, bookmark: "b-1" },
      });
      const headers = { authorization: `Bearer ${credential}` };
      const request = new Request("https://broker.example/v1/recovery", {
        ...{ method: "POST", headers, body },
      });
      const context = { waitUntil: () => {}, passThroughOnException: () => {}, props: {} };
      return (await app.fetch(request, closed, context as never)).status;
    };
    const { token } = await createToken(env, { grants: [], ttlMs: 60_000, subject: "User:nobody" });
    expect([await ask(token), await ask(ROOT_KEY)]).toEqual([403, 200]);
    await eventually(async () => {
      const { events } = await clusterStub(env).audit({ limit: 20 });
      const told = events.find(({ action }) => action === "recoverPartition");
      return told?.detail?.includes("b-1") && told.resource.name === topic.name;
    }, "a line of the audit log");
  });

  test("[RCV-2] nothing is acknowledged between the restore and the end of the life", async () => {
    const topic = await createTopic(1);
    await produce(topic.name, [{ value: 1 }]);
    const stub = partitionStub(env, topic.topicId, 0);
    await withHistory(stub);
    await runInDurableObject(stub, (object) => {
      (object as unknown as { ctx: { abort(): void } }).ctx.abort = () => {};
    });
    expect(await stub.recoverTo({ bookmark: "b" })).toEqual({ ok: true, undoBookmark: "undo" });
    expect(await stub.offsets()).toMatchObject({ error: "COORDINATOR_NOT_AVAILABLE" });
    const append = await stub.append({ batches: recordBatch(["lost"]) });
    expect(append).toMatchObject({ ok: false, error: "COORDINATOR_NOT_AVAILABLE" });
    await evict(stub);
    expect(await partitionStub(env, topic.topicId, 0).offsets()).toMatchObject({
      highWatermark: 1,
    });
  });

  test("[RCV-4] a group goes back with its committed offsets and without members, who join again under a later incarnation", async () => {
    const topic = await createTopic(1);
    const group = unique("restored");
    await produce(topic.name, [{ value: 1 }, { value: 2 }]);
    await readAs(group, topic, { 0: 1 });
    const join = async () => {
      const member = await TestSocket.open<CoordinatorMessage>(`/v1/groups/${group}/socket`);
      member.send({ type: "join", memberId: unique("m"), memberEpoch: 0, topics: [topic.name] });
      const assignment = await member.next(
        (message): message is CoordinatorMessage =>
          typeof message === "object" && "type" in message && message.type === "assignment",
      );
      if (assignment.type !== "assignment") throw new Error(assignment.type);
      return { member, assignment };
    };
    const before = await join();
    const stub = groupStub(env, group);
    const { asked } = await withHistory(stub);
    const target = { type: "group", group };
    const { body: plan } = await recover(target, { to: secondsAgo(60), dryRun: true });
    expect(plan).toEqual({ bookmark: expect.any(String), dryRun: true, positions: 1 });
    const { status, body } = await recover(target, { bookmark: plan.bookmark });
    expect([status, asked, body.undoBookmark]).toEqual([200, [plan.bookmark], "undo"]);
    await before.member.closed;
    const restored = groupStub(env, group);
    expect(await restored.describe()).toMatchObject({ group: { state: "EMPTY", members: [] } });
    expect(await restored.committedOffsets({ member: null })).toMatchObject({
      offsets: [{ offset: 1 }],
    });
    const after = await join();
    expect(after.assignment.incarnation).toBeGreaterThan(before.assignment.incarnation);
    expect(after.assignment.partitions).toMatchObject([{ partition: 0, committedOffset: 1 }]);
    // The partition accepts the new owner, whatever epochs the group had before.
    const { topicId } = topic;
    const { incarnation, memberEpoch, memberNumber, partitions } = after.assignment;
    const signature = (partitions[0] as { signature?: string }).signature;
    const reader = await TestSocket.open<unknown>(
      `/v1/topics/${topic.name}/partitions/0/socket?topicId=${topicId}`,
    );
    const owner = {
      group,
      incarnation,
      memberEpoch,
      memberNumber,
      ...(signature ? { signature } : {}),
    };
    reader.send({ type: "attach", attachId: 1, offset: 1, windowBytes: 1_000, owner });
    expect(await reader.next((message) => message instanceof Uint8Array)).toBeInstanceOf(
      Uint8Array,
    );
    for (const each of [after.member, reader]) each.close();
  });

  test("[RCV-2] the cluster goes back, and answers again", async () => {
    const gone = await createTopic(1);
    const { asked } = await withHistory(cluster, ({ sql }) => {
      sql.exec("DELETE FROM topics WHERE name = ?", gone.name);
      sql.exec("DELETE FROM topic_ids WHERE name = ?", gone.name);
    });
    const { body: plan } = await recover({ type: "cluster" }, { to: secondsAgo(60), dryRun: true });
    expect(plan).toMatchObject({ topics: expect.any(Number), groups: expect.any(Number) });
    const { status } = await recover({ type: "cluster" }, { bookmark: plan.bookmark });
    expect([status, asked]).toEqual([200, [plan.bookmark]]);
    await expectStatus(404, "GET", `/v1/topics/${gone.name}`);
    await createTopic(1);
    vi.restoreAllMocks();
  });
});
