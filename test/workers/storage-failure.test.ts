// The behavior of a partition or a group when its storage refuses a write, at any point of an append. Nothing is stored,
// nothing is lost, reads continue, and so does the next append.
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { GroupStore } from "../../durable-objects/group/group-store.ts";
import { KAFKA_ERRORS } from "../../src/core/errors.ts";
import { MAX_METADATA_BYTES, MAX_PARTITION_BYTES } from "../../src/core/limits.ts";
import { clusterStub, groupStub, partitionStub } from "../../src/env.ts";
import { failingObjects, forgetTroubles } from "../../src/storage-health.ts";
import * as messages from "../support/kafka-schemas.ts";
import { Kafka } from "./kafka-socket.ts";
import {
  alarmOf,
  call,
  createTopic,
  describeGroup,
  env,
  eventually,
  evict,
  expectStatus,
  fetchRecords,
  produce,
  readAs,
  readValues,
  recordBatch,
  refuse,
  segmentsOf,
  type TopicJson,
  TWINS,
  unique,
} from "./support.ts";

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** Every statement of an append that rolls the segment and stores a snapshot. */
const PLACES = [
  { place: "the row", pattern: /^INSERT INTO segment_/ },
  { place: "the new segment's table", pattern: /^CREATE TABLE segment_/ },
  { place: "the new segment's entry", pattern: /^INSERT INTO segments/ },
  { place: "the state", pattern: /^INSERT OR REPLACE INTO log/ },
  { place: "the producers' snapshot", pattern: /^INSERT OR REPLACE INTO producers/ },
];

describe("a refused write", () => {
  test.each(TWINS.flatMap((twin) => PLACES.map((each) => ({ ...twin, ...each }))))(
    "[LOG-12] of $place leaves the log as it was, and the next append is stored$when",
    async ({ interrupt, pattern }) => {
      const startMs = Date.now();
      vi.setSystemTime(startMs);
      const topic = await createTopic(1, { "segment.ms": 1_000, "retention.ms": -1 });
      const stub = partitionStub(env, topic.topicId, 0);
      await produce(topic.name, [{ value: "a" }, { value: "b" }]);
      await interrupt(stub);
      const before = await fetchRecords(topic.name, 0);
      vi.setSystemTime(startMs + 5_000);
      const restore = await refuse(stub, pattern);
      const path = `/v1/topics/${topic.name}/records`;
      const answer = await call("POST", path, { records: [{ value: "no" }, { value: "room" }] });
      expect(answer).toMatchObject({
        status: 503,
        body: { code: "KAFKA_STORAGE_ERROR", errorCode: 56, retriable: true },
      });
      expect(await stub.append({ batches: recordBatch(["no"]) })).toMatchObject({
        ok: false,
        error: "KAFKA_STORAGE_ERROR",
        detail: expect.stringContaining("SQLITE_FULL"),
      });
      expect(await fetchRecords(topic.name, 0)).toEqual(before);
      expect(restore()).toBe(2);
      await interrupt(stub);
      expect(await fetchRecords(topic.name, 0)).toEqual(before);
      expect(await segmentsOf(stub)).toEqual([0]);
      expect(await produce(topic.name, [{ value: "c" }])).toMatchObject([{ offset: 2 }]);
      await interrupt(stub);
      expect(await segmentsOf(stub)).toEqual([0, 2]);
      expect(await readValues(topic)).toEqual([
        [0, "a"],
        [1, "b"],
        [2, "c"],
      ]);
    },
  );

  test.each(TWINS)(
    "[LOG-12] [IDM-1] is not taken for stored when a producer sends it again$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      const stub = partitionStub(env, topic.topicId, 0);
      const batch = (sequence: number) =>
        recordBatch([`${sequence}`], { producer: [5, 0, sequence] });
      await stub.append({ batches: batch(0) });
      await interrupt(stub);
      const restore = await refuse(stub, /^INSERT INTO segment_/);
      expect(await stub.append({ batches: batch(1) })).toMatchObject({
        error: "KAFKA_STORAGE_ERROR",
      });
      // A repeat writes nothing, so it is answered as ever.
      expect(await stub.append({ batches: batch(0) })).toMatchObject({ ok: true, baseOffset: 0 });
      restore();
      await interrupt(stub);
      expect(await stub.append({ batches: batch(1) })).toMatchObject({ ok: true, baseOffset: 1 });
      expect(await stub.append({ batches: batch(1) })).toMatchObject({ ok: true, baseOffset: 1 });
      expect(await readValues(topic)).toHaveLength(2);
    },
  );

  test.each(TWINS)("[LOG-12] [LOG-3] refuses all that shared it$when", async ({ interrupt }) => {
    const topic = await createTopic(1);
    const stub = partitionStub(env, topic.topicId, 0);
    await stub.append({ batches: recordBatch(["first"]) });
    await interrupt(stub);
    const restore = await refuse(stub, /^INSERT INTO segment_/);
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) => stub.append({ batches: recordBatch([`${index}`]) })),
    );
    for (const answer of answers) expect(answer).toMatchObject({ error: "KAFKA_STORAGE_ERROR" });
    restore();
    const again = await Promise.all(
      Array.from({ length: 20 }, (_, index) => stub.append({ batches: recordBatch([`${index}`]) })),
    );
    for (const answer of again) expect(answer).toMatchObject({ ok: true });
    await interrupt(stub);
    expect(await readValues(topic)).toHaveLength(21);
  });

  test("[LOG-12] of a partition's very first append leaves an empty partition", async () => {
    const topic = await createTopic(1);
    const stub = partitionStub(env, topic.topicId, 0);
    await stub.offsets();
    const restore = await refuse(stub, /^INSERT INTO segment_/);
    expect(await stub.append({ batches: recordBatch(["no"]) })).toMatchObject({
      error: "KAFKA_STORAGE_ERROR",
    });
    restore();
    expect(await readValues(topic)).toEqual([]);
    expect(await stub.append({ batches: recordBatch(["yes"]) })).toMatchObject({
      ok: true,
      baseOffset: 0,
    });
    expect(await readValues(topic)).toEqual([[0, "yes"]]);
  });
});

/** The alarm of a partition with work of each kind: a segment to drop, one to close, one to compact, keys to forget. */
describe("an alarm whose storage refuses", () => {
  const DAY_MS = 86_400_000;
  const STAGES = [
    { work: "retention", pattern: /^DROP TABLE segment_0$/ },
    { work: "closing a segment", pattern: /^CREATE TABLE segment_[1-9]/ },
    { work: "compaction", pattern: /^CREATE TABLE compacting/ },
    { work: "dropping expired keys", pattern: /^DROP TABLE requests_/ },
  ];

  test.each(TWINS.flatMap((twin) => STAGES.map((each) => ({ ...twin, ...each }))))(
    "[ALM-1] $work does the rest, comes back, and does it once there is room$when",
    async ({ interrupt, pattern, work }) => {
      const startMs = Date.now() + DAY_MS;
      vi.setSystemTime(startMs);
      const topic = await createTopic(1, {
        "cleanup.policy": "compact,delete",
        "segment.ms": 1_000,
        "retention.ms": 3 * DAY_MS,
        "min.cleanable.dirty.ratio": 0,
        // Segments closed for compaction are compacted only if retention has left them.
        "delete.retention.ms": 0,
      });
      const stub = partitionStub(env, topic.topicId, 0);
      const body = { records: [{ key: "k", value: "old" }] };
      const path = `/v1/topics/${topic.name}/records`;
      await expectStatus(200, "POST", path, body, { "idempotency-key": "k" });
      vi.setSystemTime(startMs + 2 * DAY_MS);
      for (const value of ["a", "b"]) {
        await produce(topic.name, [{ key: "k", value }]);
        vi.setSystemTime(Date.now() + 2_000);
      }
      vi.setSystemTime(startMs + 3 * DAY_MS + 60_000);
      await interrupt(stub);
      const log = vi.spyOn(console, "error").mockReturnValue();
      const restore = await refuse(stub, pattern);
      expect(await runDurableObjectAlarm(stub)).toBe(true);
      expect(restore()).toBeGreaterThan(0);
      expect(log.mock.calls.flat().join("\n")).toContain(`/0: ${work} failed`);
      log.mockRestore();
      const retryMs = (await alarmOf(stub)) ?? 0;
      expect(retryMs).toBeGreaterThan(Date.now());
      expect(retryMs).toBeLessThanOrEqual(Date.now() + 60_000);
      // Work that needs no room was done.
      const firstSegment = (await segmentsOf(stub))[0];
      if (work !== "retention") expect(firstSegment).toBeGreaterThan(0);
      await interrupt(stub);
      vi.setSystemTime(retryMs);
      for (let i = 0; i < 3; i++) await runDurableObjectAlarm(stub);
      expect((await segmentsOf(stub))[0]).toBeGreaterThan(0);
      expect((await readValues(topic)).map(([, value]) => value)).toEqual(["b"]);
      const tables = await runInDurableObject(stub, (_, { storage }) =>
        storage.sql
          .exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'")
          .toArray()
          .map(({ name }) => name),
      );
      expect(tables.filter((name) => /^(requests|appends)_/.test(name))).toEqual([]);
    },
  );

  test.each(TWINS)(
    "[ALM-1] [RET-1] a damaged row holds up its own work only, until it is fixed$when",
    async ({ interrupt }) => {
      const startMs = Date.now() + DAY_MS;
      vi.setSystemTime(startMs);
      const topic = await createTopic(1, { "retention.ms": 1_000, "segment.ms": 1 });
      const stub = partitionStub(env, topic.topicId, 0);
      for (const [sequence, value] of ["a", "b"].entries())
        await stub.append({ batches: recordBatch([value], { producer: [5, 0, sequence] }) });
      vi.setSystemTime(startMs + 10_000);
      const damage = (json: string) =>
        runInDurableObject(stub, (_, { storage }) => {
          storage.sql.exec("UPDATE segment_0 SET appends = ? WHERE base_offset = 1", json);
        });
      const [{ appends }] = (await runInDurableObject(stub, (_, { storage }) =>
        storage.sql
          .exec<{ appends: string }>("SELECT appends FROM segment_0 WHERE base_offset = 1")
          .toArray(),
      )) as [{ appends: string }];
      await damage("[[");
      await evict(stub);
      const log = vi.spyOn(console, "error").mockReturnValue();
      // The snapshot of the producers needs the row.
      expect(await runDurableObjectAlarm(stub)).toBe(true);
      expect(log.mock.calls.flat().join("\n")).toContain("retention failed");
      log.mockRestore();
      expect(await alarmOf(stub)).toBe(Date.now() + 60_000);
      expect(await readValues(topic)).toHaveLength(2);
      await damage(appends);
      await interrupt(stub);
      vi.setSystemTime(startMs + 70_000);
      expect(await runDurableObjectAlarm(stub)).toBe(true);
      expect(await segmentsOf(stub)).toEqual([2]);
      expect(await alarmOf(stub)).toBe(null);
    },
  );

  test.each(TWINS)(
    "[RET-4] a full disk drops expired data, with an append that rolls and with the alarm$when",
    async ({ interrupt }) => {
      const startMs = Date.now() + DAY_MS;
      vi.setSystemTime(startMs);
      const topic = await createTopic(1, { "segment.ms": 1_000, "retention.ms": 10_000 });
      const stub = partitionStub(env, topic.topicId, 0);
      for (const value of ["a", "b"]) {
        await produce(topic.name, [{ value }]);
        vi.setSystemTime(Date.now() + 4_000);
      }
      vi.setSystemTime(startMs + 12_000);
      await interrupt(stub);
      // The disk has room only once a table was dropped.
      const order: string[] = [];
      const note = (query: string) => {
        if (/^(DROP|CREATE) TABLE segment_/.test(query)) order.push(query.split(" (")[0] as string);
      };
      await runInDurableObject(stub, (_, { storage }) => {
        const { sql } = storage;
        const exec = sql.exec.bind(sql);
        sql.exec = ((query: string, ...bindings: unknown[]) => {
          note(query);
          const isRefused =
            query.startsWith("CREATE") && !order.some((each) => each.startsWith("DROP"));
          if (isRefused) throw new Error("database or disk is full: SQLITE_FULL");
          return exec(query, ...bindings);
        }) as typeof sql.exec;
      });
      expect(await produce(topic.name, [{ value: "c" }])).toMatchObject([{ offset: 2 }]);
      expect(order).toEqual(["DROP TABLE segment_0", "CREATE TABLE segment_2"]);
      order.length = 0;
      vi.setSystemTime(startMs + 60_000);
      expect(await runDurableObjectAlarm(stub)).toBe(true);
      expect(order[0]).toBe("DROP TABLE segment_1");
      expect(await segmentsOf(stub)).toEqual([3]);
    },
  );
});

/** The partition claims to have closed segments of this many bytes. */
async function setSealedBytes(stub: Parameters<typeof evict>[0], bytes: number): Promise<void> {
  await runInDurableObject(stub, (_, { storage }) => {
    const update = "UPDATE log SET state = json_set(state, '$.sealedBytes', ?)";
    storage.sql.exec(update, bytes);
  });
  await evict(stub);
}

/** The size that an object's storage reports, until it is evicted. */
async function setSize(stub: Parameters<typeof evict>[0], bytes: number): Promise<void> {
  await runInDurableObject(stub, (_, { storage }) => {
    Object.defineProperty(storage.sql, "databaseSize", { value: bytes, configurable: true });
  });
}

describe("a full partition", () => {
  test.each(TWINS)(
    "[LOG-13] refuses appends for good, can be read, and accepts appends again when there is room$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1, { "retention.ms": -1 });
      const stub = partitionStub(env, topic.topicId, 0);
      await produce(topic.name, [{ value: "a" }]);
      await setSealedBytes(stub, MAX_PARTITION_BYTES - 200);
      const path = `/v1/topics/${topic.name}/records`;
      const body = { records: [{ value: "x".repeat(200) }] };
      expect(await call("POST", path, body)).toMatchObject({
        status: 503,
        body: {
          code: "KAFKA_STORAGE_ERROR",
          retriable: false,
          detail: expect.stringMatching(/9500000000.*retention/),
        },
      });
      await interrupt(stub);
      expect(await readValues(topic)).toEqual([[0, "a"]]);
      await setSealedBytes(stub, 0);
      expect(await expectStatus(200, "POST", path, body)).toMatchObject({
        results: [{ offset: 1 }],
      });
      await interrupt(stub);
      expect(await readValues(topic)).toHaveLength(2);
    },
  );
});

describe("the ways out of a full partition", () => {
  /** A partition of two segments that claims to be full. */
  async function fullPartition(config: object = {}) {
    const topic = await createTopic(1, {
      "retention.ms": -1,
      "segment.bytes": 1_048_576,
      ...config,
    });
    const stub = partitionStub(env, topic.topicId, 0);
    for (let i = 0; i < 2; i++) await stub.append({ batches: recordBatch(["x".repeat(900_000)]) });
    expect(await segmentsOf(stub)).toEqual([0, 1]);
    await setSealedBytes(stub, MAX_PARTITION_BYTES - 900_000);
    expect(await append(stub)).toMatchObject({ error: "KAFKA_STORAGE_ERROR", retriable: false });
    return { topic, stub };
  }
  const append = (stub: ReturnType<typeof partitionStub>) =>
    stub.append({ batches: recordBatch(["y".repeat(100_000)]) });

  test.each(TWINS)("[LOG-13] deleted records make room$when", async ({ interrupt }) => {
    const { topic, stub } = await fullPartition();
    const path = `/v1/topics/${topic.name}/partitions/0/records?before=1`;
    await expectStatus(200, "DELETE", path);
    await setSealedBytes(stub, 0); // The closed segment's own bytes.
    await interrupt(stub);
    expect(await append(stub)).toMatchObject({ baseOffset: 2 });
  });

  test("[LOG-13] [LOG-8] a large active segment goes once all of it is deleted", async () => {
    const topic = await createTopic(1, { "retention.ms": -1 });
    const stub = partitionStub(env, topic.topicId, 0);
    for (let i = 0; i < 2; i++) await stub.append({ batches: recordBatch(["x".repeat(900_000)]) });
    expect(await segmentsOf(stub)).toEqual([0]);
    const path = `/v1/topics/${topic.name}/partitions/0/records`;
    await expectStatus(200, "DELETE", `${path}?before=1`);
    expect(await segmentsOf(stub)).toEqual([0]);
    await expectStatus(200, "DELETE", `${path}?before=2`);
    expect(await segmentsOf(stub)).toEqual([2]);
    await evict(stub);
    expect(await stub.offsets()).toMatchObject({ logStartOffset: 2, highWatermark: 2 });
    expect(await append(stub)).toMatchObject({ baseOffset: 2 });
  });

  test.each(TWINS)(
    "[LOG-13] [CFG-3] a lower retention makes room at once, not minutes later$when",
    async ({ interrupt }) => {
      const { topic, stub } = await fullPartition();
      await interrupt(stub);
      const config = { "retention.bytes": 500_000 };
      await expectStatus(200, "PATCH", `/v1/topics/${topic.name}`, { config });
      const dueMs = await alarmOf(stub);
      expect(dueMs === null || dueMs <= Date.now()).toBe(true); // It may have rung.
      await runDurableObjectAlarm(stub);
      await eventually(async () => (await segmentsOf(stub)).join() === "1", "the segment to go");
    },
  );

  test("[LOG-13] [CLU-4] its topic is deleted like any other", async () => {
    const { topic, stub } = await fullPartition();
    await expectStatus(204, "DELETE", `/v1/topics/${topic.name}`);
    expect(await stub.offsets()).toMatchObject({ error: "UNKNOWN_TOPIC_ID" });
  });

  test("[LOG-13] Kafka's producers get an error that they treat as final, by a call and over a socket", async () => {
    const { topic } = await fullPartition();
    const kafka = await Kafka.open();
    for (let i = 0; i < 4; i++) {
      const answer = await kafka.ask<{
        topics: { partitions: { errorCode: number; errorMessage: string }[] }[];
      }>(messages.PRODUCE, 9, {
        transactionalId: null,
        acks: -1,
        timeoutMs: 1_000,
        topics: [
          {
            name: topic.name,
            partitions: [{ partition: 0, records: [recordBatch(["y".repeat(100_000)])] }],
          },
        ],
      });
      expect(answer.topics[0]?.partitions[0]).toMatchObject({
        errorCode: KAFKA_ERRORS.POLICY_VIOLATION,
        errorMessage: expect.stringContaining("the partition is full"),
      });
    }
  });

  test("[LOG-13] [ERR-4] the operator learns which, until an append is stored", async () => {
    forgetTroubles();
    const log = vi.spyOn(console, "error").mockReturnValue();
    vi.spyOn(console, "log").mockReturnValue();
    const { stub } = await fullPartition();
    expect(log.mock.calls.flat().join("\n")).toMatch(
      /storage full: partition .*the bound is 9500000000/,
    );
    expect(failingObjects()).toBe(1);
    await setSealedBytes(stub, 0);
    expect(await append(stub)).toMatchObject({ ok: true });
    expect(failingObjects()).toBe(0);
  });
});

describe("a group's alarm whose storage refuses", () => {
  test("[ALM-1] comes back after ever longer, and soon again once it has succeeded", async () => {
    const topic = await createTopic(1);
    const group = unique("group");
    await readAs(group, topic, { 0: 5 });
    const stub = groupStub(env, group);
    const log = vi.spyOn(console, "error").mockReturnValue();
    const ring = async () => {
      const beforeMs = Date.now();
      await runInDurableObject(stub, (_, { storage }) => storage.setAlarm(beforeMs + 3_600_000));
      await runDurableObjectAlarm(stub);
      const alarmMs = (await alarmOf(stub)) ?? 0;
      return Math.round((alarmMs - beforeMs) / 1_000);
    };
    // The deadline is in memory, so no statement reads it.
    const fail = () =>
      vi.spyOn(GroupStore.prototype, "deadline").mockImplementation(() => {
        throw new Error("database or disk is full: SQLITE_FULL");
      });
    const failing = fail();
    expect(await ring()).toBe(1);
    expect(await ring()).toBe(2);
    expect(await ring()).toBe(4);
    failing.mockRestore();
    expect(log.mock.calls.flat().join()).toContain("the alarm failed");
    await ring();
    const again = fail();
    expect(await ring()).toBe(1);
    again.mockRestore();
    expect((await describeGroup(group)).offsets[0]?.committedOffset).toBe(5);
  });
});

describe("a full group", () => {
  test("[LOG-13] accepts no members and no commits, can be viewed, and continues once committed offsets are gone", async () => {
    const topic = await createTopic(2);
    const group = unique("group");
    await readAs(group, topic, { 0: 5, 1: 6 });
    const stub = groupStub(env, group);
    await setSize(stub, MAX_METADATA_BYTES);
    vi.spyOn(console, "error").mockReturnValue();
    const poll = () =>
      call("POST", `/v1/groups/${group}/poll`, { instanceId: "i", topics: [topic.name] });
    expect(await poll()).toMatchObject({
      status: 503,
      body: {
        code: "KAFKA_STORAGE_ERROR",
        retriable: false,
        detail: expect.stringMatching(/group .* is full.*9500000000.*delete/),
      },
    });
    const token = { memberId: "", instanceId: null, generation: -1 };
    const offset = { topic: topic.name, partition: 0, offset: 9, metadata: "" };
    await expect(stub.commitOffsets({ token, offsets: [offset] })).rejects.toThrow("is full");
    expect((await describeGroup(group)).state).toBe("EMPTY");
    const positions = [{ topic: topic.name, partition: 0 }];
    expect(await stub.deletePositions({ positions })).toEqual([0]);
    const config = { "offsets.retention.minutes": 1 };
    await expectStatus(200, "PATCH", `/v1/groups/${group}`, { config });
    await setSize(stub, MAX_METADATA_BYTES - 1);
    expect((await poll()).status).toBe(200);
    await setSize(stub, MAX_METADATA_BYTES);
    const leaving = { instanceId: "i", topics: [topic.name], leave: true };
    await expectStatus(200, "POST", `/v1/groups/${group}/poll`, leaving);
    await expectStatus(204, "DELETE", `/v1/groups/${group}`);
  });
});

describe("a full cluster", () => {
  test("[LOG-13] accepts no topics, groups and keys, and continues with those it has", async () => {
    const topic = await createTopic(1);
    await produce(topic.name, [{ value: "a" }]);
    const group = unique("group");
    await readAs(group, topic, { 0: 1 });
    const cluster = clusterStub(env);
    await setSize(cluster, MAX_METADATA_BYTES);
    vi.spyOn(console, "error").mockReturnValue();
    const full = { error: "KAFKA_STORAGE_ERROR", retriable: false };
    const subscribe = (groupId: string, names: string[]) =>
      cluster.subscribe({ groupId, names, pattern: null });
    expect(await call("POST", "/v1/topics", { name: unique("t") })).toMatchObject({
      status: 503,
      body: { code: "KAFKA_STORAGE_ERROR", retriable: false },
    });
    expect(await subscribe(unique("g"), [topic.name])).toMatchObject(full);
    expect(await subscribe(group, [unique("t")])).toMatchObject(full);
    expect(await subscribe(group, [topic.name])).toMatchObject({ ok: true });
    await produce(topic.name, [{ value: "b" }]);
    const config = { "retention.ms": 5_000_000 };
    await expectStatus(200, "PATCH", `/v1/topics/${topic.name}`, { config });
    await expectStatus(204, "DELETE", `/v1/topics/${topic.name}`);
    await setSize(cluster, MAX_METADATA_BYTES - 1);
    await createTopic(1);
  });
});

describe("a write that a group's storage refuses", () => {
  /** Each is refused, and does the same again when there is room. */
  const WAYS: Record<string, (group: string, topic: TopicJson) => Promise<boolean>> = {
    "of a config": async (group) => {
      const config = { "group.max.size": 7 };
      return (await call("PATCH", `/v1/groups/${group}`, { config })).status === 200;
    },
    "of a member that joins": async (group, { name }) => {
      const body = { instanceId: "i", topics: [name] };
      return (await call("POST", `/v1/groups/${group}/poll`, body)).status === 200;
    },
    "of a commit by hand": async (group, { name }) => {
      const token = { memberId: "", instanceId: null, generation: -1 };
      const offset = { topic: name, partition: 0, offset: 9, metadata: "" };
      const committed = groupStub(env, group).commitOffsets({ token, offsets: [offset] });
      return (await committed.catch(() => null))?.errorCode === 0;
    },
    "of positions that are reset": async (group, { name }) => {
      const body = { topics: [name], to: "earliest" };
      return (await call("POST", `/v1/groups/${group}/offsets`, body)).status === 200;
    },
  };

  test.each(
    TWINS.flatMap((twin) => Object.entries(WAYS).map(([what, act]) => ({ ...twin, what, act }))),
  )("[GRP-3] [OFF-2] $what changes nothing, in memory or on disk$when", async (row) => {
    const topic = await createTopic(1);
    const group = unique("group");
    await readAs(group, topic, { 0: 5 });
    const stub = groupStub(env, group);
    const shown = async () => [
      await describeGroup(group),
      (await expectStatus<object>(200, "GET", `/v1/groups/${group}/config`)) as unknown,
    ];
    const before = await shown();
    const log = vi.spyOn(console, "error").mockReturnValue();
    const restore = await refuse(
      stub,
      /^INSERT OR REPLACE INTO (group_state|stored_members|positions)/,
    );
    expect(await row.act(group, topic)).toBe(false);
    expect(restore()).toBeGreaterThan(0);
    log.mockRestore();
    await row.interrupt(stub);
    expect(await shown()).toEqual(before);
    expect(await row.act(group, topic)).toBe(true);
    expect(await shown()).not.toEqual(before);
  });
});
