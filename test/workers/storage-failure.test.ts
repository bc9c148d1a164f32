// What a partition or a group does when its storage refuses a write, wherever in an append that is: nothing is stored,
// nothing is lost, reads go on, and so does the next append.
import { runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { MAX_PARTITION_BYTES } from "../../src/core/limits.ts";
import { groupStub, partitionStub } from "../../src/env.ts";
import {
  call,
  createTopic,
  describeGroup,
  env,
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

describe("a full partition", () => {
  test.each(TWINS)(
    "[LOG-12] refuses appends, is read, and takes appends again when there is room$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1, { "retention.ms": -1 });
      const stub = partitionStub(env, topic.topicId, 0);
      await produce(topic.name, [{ value: "a" }]);
      const setSealedBytes = async (bytes: number) => {
        await runInDurableObject(stub, (_, { storage }) => {
          const update = "UPDATE log SET state = json_set(state, '$.sealedBytes', ?)";
          storage.sql.exec(update, bytes);
        });
        await evict(stub);
      };
      await setSealedBytes(MAX_PARTITION_BYTES - 200);
      const path = `/v1/topics/${topic.name}/records`;
      const body = { records: [{ value: "x".repeat(200) }] };
      expect(await call("POST", path, body)).toMatchObject({
        status: 503,
        body: {
          code: "KAFKA_STORAGE_ERROR",
          detail: expect.stringMatching(/9500000000.*retention/),
        },
      });
      await interrupt(stub);
      expect(await readValues(topic)).toEqual([[0, "a"]]);
      await setSealedBytes(0);
      expect(await expectStatus(200, "POST", path, body)).toMatchObject({
        results: [{ offset: 1 }],
      });
      await interrupt(stub);
      expect(await readValues(topic)).toHaveLength(2);
    },
  );
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
