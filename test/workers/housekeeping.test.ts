// The work of partitions without a request: retention; the configs of topics about it; and what they do when the storage
// refuses. Compaction: compaction.test.ts. Time is set, alarms are run: nothing waits for the clock.
import { runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { HOUSEKEEPING_INTERVAL_MS } from "../../src/core/limits.ts";
import { clusterStub, partitionStub } from "../../src/env.ts";
import {
  alarmOf,
  call,
  createTopic,
  env,
  evict,
  expectStatus,
  fetchRecords,
  produce,
  readValues,
  recordBatch,
  segmentsOf,
  TWINS,
} from "./support.ts";

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const MIB = 1024 * 1024;

/** Time stands still from here on, an hour from now: no real alarm comes in between. */
function stopClock(): number {
  const nowMs = Date.now() + HOUR_MS;
  vi.setSystemTime(nowMs);
  return nowMs;
}

async function newPartition(config: Readonly<Record<string, unknown>> = {}) {
  const topic = await createTopic(1, config);
  return { topic, stub: partitionStub(env, topic.topicId, 0) };
}

type Stub = ReturnType<typeof partitionStub>;

async function bounds(stub: Stub): Promise<[number, number]> {
  const result = await stub.offsets();
  if (!result.ok) throw new Error(result.detail);
  return [result.logStartOffset, result.highWatermark];
}

/** A batch of one record that fills most of a segment of the smallest size. */
function largeBatch(text: string): Uint8Array {
  return recordBatch([text.padEnd(900_000, ".")]);
}

describe("retention", () => {
  test.each(TWINS)(
    "[RET-1] the alarm drops records older than retention.ms from an idle partition$when",
    async ({ interrupt }) => {
      const startMs = stopClock();
      const { topic, stub } = await newPartition({ "retention.ms": HOUR_MS });
      await produce(topic.name, [{ value: "a" }, { value: "b" }]);
      expect(await alarmOf(stub)).toBe(startMs + HOUR_MS);
      await interrupt(stub);
      vi.setSystemTime(startMs + HOUR_MS - 1);
      expect(await runDurableObjectAlarm(stub)).toBe(true);
      expect(await bounds(stub)).toEqual([0, 2]);
      const againMs = await alarmOf(stub);
      expect(againMs).toBe(startMs + HOUR_MS - 1 + HOUSEKEEPING_INTERVAL_MS);
      await interrupt(stub);
      vi.setSystemTime(againMs as number);
      expect(await runDurableObjectAlarm(stub)).toBe(true);
      expect(await bounds(stub)).toEqual([2, 2]);
      expect(await segmentsOf(stub)).toEqual([2]);
      // There is nothing left to expire, so nothing wakes the partition.
      expect(await alarmOf(stub)).toBe(null);
      await interrupt(stub);
      const path = `/v1/topics/${topic.name}/partitions/0/records`;
      expect(await call("GET", `${path}?offset=0`)).toMatchObject({
        status: 416,
        body: { code: "OFFSET_OUT_OF_RANGE", logStartOffset: 2, highWatermark: 2 },
      });
      expect(await produce(topic.name, [{ value: "c" }])).toMatchObject([{ offset: 2 }]);
      expect(await alarmOf(stub)).toBe((againMs as number) + HOUR_MS);
    },
  );

  test.each(TWINS)("[RET-1] appends do not delay the alarm$when", async ({ interrupt }) => {
    const startMs = stopClock();
    const { stub } = await newPartition({ "retention.ms": HOUR_MS, "segment.ms": 10 * MINUTE_MS });
    for (let minute = 0; minute < 50; minute += 5) {
      vi.setSystemTime(startMs + minute * MINUTE_MS);
      await stub.append({ batches: recordBatch([`minute ${minute}`]) });
      expect(await alarmOf(stub)).toBe(startMs + HOUR_MS);
      await interrupt(stub);
    }
    expect(await segmentsOf(stub)).toEqual([0, 2, 4, 6, 8]);
    // It drops the segments that are old enough, and is set for the next one.
    vi.setSystemTime(startMs + HOUR_MS + 15 * MINUTE_MS);
    expect(await runDurableObjectAlarm(stub)).toBe(true);
    expect(await segmentsOf(stub)).toEqual([4, 6, 8]);
    expect(await bounds(stub)).toEqual([4, 10]);
    expect(await alarmOf(stub)).toBe(startMs + HOUR_MS + 25 * MINUTE_MS);
  });

  test.each(TWINS)(
    "[RET-1] [RET-3] if nothing is ever due, no alarm is set$when",
    async ({ interrupt }) => {
      const startMs = stopClock();
      for (const config of [
        { "retention.ms": -1 },
        { "cleanup.policy": "", "retention.ms": 1 },
        { "retention.ms": Number.MAX_SAFE_INTEGER },
      ]) {
        const { topic, stub } = await newPartition({ ...config, "segment.ms": 1 });
        for (let index = 0; index < 3; index++) {
          vi.setSystemTime(startMs + index * 1_000_000 * HOUR_MS);
          await stub.append({ batches: recordBatch([`${index}`]) });
          await interrupt(stub);
        }
        expect(await alarmOf(stub)).toBe(null);
        expect(await readValues(topic)).toHaveLength(3);
        expect(await segmentsOf(stub)).toEqual([0, 1, 2]);
      }
    },
  );

  test.each(TWINS)(
    "[RET-1] [CFG-3] work due after the last possible alarm sets none$when",
    async ({ interrupt }) => {
      const { topic, stub } = await newPartition();
      await produce(topic.name, [{ value: "of the year 9999", timestamp: 253_402_300_799_999 }]);
      await interrupt(stub);
      const found = await clusterStub(env).topic({ name: topic.name });
      if (!found.ok) throw new Error(found.detail);
      const configure = async () => await stub.configure({ topic: found.topic });
      await expect(configure()).resolves.toBeUndefined();
      expect(await alarmOf(stub)).toBe(null);
    },
  );

  test.each(TWINS)(
    "[RET-1] [CFG-3] a shortened retention reaches an idle partition$when",
    async ({ interrupt }) => {
      const startMs = stopClock();
      const { topic, stub } = await newPartition({ "retention.ms": -1 });
      await produce(topic.name, [{ value: "a" }]);
      await interrupt(stub);
      vi.setSystemTime(startMs + 10 * HOUR_MS);
      await expectStatus(200, "PATCH", `/v1/topics/${topic.name}`, {
        config: { "retention.ms": HOUR_MS },
      });
      await interrupt(stub);
      const alarmMs = await alarmOf(stub);
      expect(alarmMs).toBe(startMs + 10 * HOUR_MS + HOUSEKEEPING_INTERVAL_MS);
      vi.setSystemTime(alarmMs as number);
      expect(await runDurableObjectAlarm(stub)).toBe(true);
      expect(await bounds(stub)).toEqual([1, 1]);
    },
  );

  test.each(TWINS)(
    "[RET-2] the oldest segments go while retention.bytes remain$when",
    async ({ interrupt }) => {
      const { stub } = await newPartition({
        "segment.bytes": MIB,
        "retention.bytes": 2 * 900_000,
        "retention.ms": -1,
      });
      const starts: number[] = [];
      for (let index = 0; index < 6; index++) {
        expect(await stub.append({ batches: largeBatch(`${index}`) })).toMatchObject({
          baseOffset: index,
        });
        starts.push((await bounds(stub))[0]);
        await interrupt(stub);
      }
      expect(starts).toEqual([0, 0, 1, 2, 3, 4]);
      expect(await segmentsOf(stub)).toEqual([4, 5]);
      // A third would leave enough without it, so two stay.
      const { topic: kept, stub: other } = await newPartition({
        "segment.bytes": MIB,
        "retention.bytes": 2 * 900_000 + 1_000,
        "retention.ms": -1,
      });
      for (let index = 0; index < 6; index++)
        await other.append({ batches: largeBatch(`${index}`) });
      expect((await readValues(kept)).map(([offset]) => offset)).toEqual([3, 4, 5]);
    },
  );

  test.each(TWINS)(
    "[RET-2] [CFG-3] a lowered retention.bytes reaches an idle partition$when",
    async ({ interrupt }) => {
      const startMs = stopClock();
      const { topic, stub } = await newPartition({ "segment.bytes": MIB, "retention.ms": -1 });
      for (let index = 0; index < 4; index++)
        await stub.append({ batches: largeBatch(`${index}`) });
      await interrupt(stub);
      await expectStatus(200, "PATCH", `/v1/topics/${topic.name}`, {
        config: { "retention.bytes": 900_000 },
      });
      await interrupt(stub);
      const alarmMs = await alarmOf(stub);
      expect(alarmMs).not.toBe(null);
      expect(alarmMs).toBeLessThanOrEqual(startMs + HOUSEKEEPING_INTERVAL_MS);
      vi.setSystemTime(alarmMs as number);
      await runDurableObjectAlarm(stub);
      expect(await bounds(stub)).toEqual([3, 4]);
    },
  );

  const SMALL = { "segment.bytes": MIB, "retention.bytes": 900_000, "retention.ms": -1 };

  test("[RET-2] [LOG-8] segments are dropped even if a read has stopped inside them", async () => {
    const { stub } = await newPartition(SMALL);
    // Two chunks, and a read of the first only, from the storage.
    await stub.append({ batches: largeBatch("0") });
    await stub.append({ batches: recordBatch(["1"]) });
    await evict(stub);
    expect(await stub.read({ offset: 0, maxBytes: 1 })).toMatchObject({ ok: true, nextOffset: 1 });
    const next = recordBatch(["2".padEnd(900_000, ".")], { producer: [1, 0, 0] });
    expect(await stub.append({ batches: next })).toMatchObject({
      ok: true,
      baseOffset: 2,
      logStartOffset: 2,
    });
    expect(await bounds(stub)).toEqual([2, 3]);
    expect(await segmentsOf(stub)).toEqual([2]);
  });

  test("[RET-2] [LOG-8] an append that begins a segment drops the one before", async () => {
    const { stub } = await newPartition(SMALL);
    for (let index = 0; index < 3; index++) {
      expect(await stub.append({ batches: largeBatch(`${index}`) })).toEqual({
        ok: true,
        baseOffset: index,
        logAppendTimeMs: null,
        ...(index === 0 ? {} : { logStartOffset: index }),
      });
      // Nothing is known of the producers in this life: the stored data must be read.
      await evict(stub);
      expect(await segmentsOf(stub)).toEqual([index]);
      await evict(stub);
    }
  });

  test.each(TWINS)("[SEG-1] a segment is closed by segment.ms$when", async ({ interrupt }) => {
    const startMs = stopClock();
    const { stub } = await newPartition({ "segment.ms": MINUTE_MS, "retention.ms": -1 });
    for (const afterMs of [0, 1, MINUTE_MS - 1, MINUTE_MS, MINUTE_MS + 1, 2 * MINUTE_MS]) {
      vi.setSystemTime(startMs + afterMs);
      await stub.append({ batches: recordBatch(["x"]) });
      await interrupt(stub);
    }
    expect(await segmentsOf(stub)).toEqual([0, 3, 5]);
  });

  test.each(TWINS)("[SEG-1] a segment is closed by segment.bytes$when", async ({ interrupt }) => {
    const { stub } = await newPartition({ "segment.bytes": MIB, "retention.ms": -1 });
    const small = recordBatch(["x".repeat(200_000)]);
    const inOne = Math.floor(MIB / small.length);
    for (let index = 0; index < 2 * inOne + 1; index++) {
      await stub.append({ batches: small });
      if (index % 3 === 0) await interrupt(stub);
    }
    expect(await segmentsOf(stub)).toEqual([0, inOne, 2 * inOne]);
  });
});

describe("times", () => {
  test.each(TWINS)(
    "[LOG-10] with LogAppendTime records have the time of the append$when",
    async ({ interrupt }) => {
      const startMs = stopClock();
      const { topic, stub } = await newPartition({ "message.timestamp.type": "LogAppendTime" });
      const records = [{ value: "a", timestamp: 5 }, { value: "b" }];
      const results = await produce(topic.name, records);
      expect(results.map(({ timestamp }) => timestamp)).toEqual([startMs, startMs]);
      await interrupt(stub);
      vi.setSystemTime(startMs + 1_000);
      const path = `/v1/topics/${topic.name}/partitions/0`;
      const batch = recordBatch(["c"], { timestamps: [6], producer: [9, 0, 0] });
      const answer = { baseOffset: 2, logAppendTimeMs: startMs + 1_000 };
      expect(await expectStatus(200, "POST", `${path}/batches`, batch)).toEqual(answer);
      await interrupt(stub);
      vi.setSystemTime(startMs + 2_000);
      expect(await expectStatus(200, "POST", `${path}/batches`, batch)).toEqual(answer);
      const { records: read } = await fetchRecords(topic.name, 0);
      expect(read.map(({ timestamp }) => timestamp - startMs)).toEqual([0, 0, 1_000]);
      expect(await expectStatus(200, "GET", `${path}/offsets?at=${startMs + 1}`)).toEqual({
        offset: 2,
        timestamp: startMs + 1_000,
      });
    },
  );

  test.each(TWINS)(
    "[LOG-10] with CreateTime records keep their own time$when",
    async ({ interrupt }) => {
      const startMs = stopClock();
      const { topic, stub } = await newPartition();
      const results = await produce(topic.name, [{ value: "a", timestamp: 5 }, { value: "b" }]);
      expect(results.map(({ timestamp }) => timestamp)).toEqual([5, startMs]);
      await interrupt(stub);
      vi.setSystemTime(startMs + 1_000);
      const { records } = await fetchRecords(topic.name, 0);
      expect(records.map(({ timestamp }) => timestamp)).toEqual([5, startMs]);
    },
  );

  test.each(TWINS)(
    "[LOG-11] the largest timestamp is found at the first remaining record that has it$when",
    async ({ interrupt }) => {
      const startMs = stopClock();
      const { topic, stub } = await newPartition({ "segment.ms": 1_000, "retention.ms": -1 });
      const path = `/v1/topics/${topic.name}/partitions/0`;
      const largest = () => expectStatus(200, "GET", `${path}/offsets?at=max-timestamp`);
      expect(await largest()).toEqual({ offset: 0 });
      for (const [index, times] of [[9, 3], [5, 7, 7], [2, 7, 1], [4]].entries()) {
        vi.setSystemTime(startMs + 1_000 * index);
        await produce(
          topic.name,
          times.map((timestamp) => ({ value: "v", timestamp })),
        );
      }
      await interrupt(stub);
      expect(await segmentsOf(stub)).toEqual([0, 2, 5, 8]);
      const expected: [before: number, offset: number, timestamp: number][] = [
        [0, 0, 9],
        [1, 3, 7],
        [4, 4, 7],
        [5, 6, 7],
        [7, 8, 4],
      ];
      for (const [before, offset, timestamp] of expected) {
        await expectStatus(200, "DELETE", `${path}/records?before=${before}`);
        await interrupt(stub);
        expect(await largest(), `from ${before}`).toEqual({ offset, timestamp });
      }
      await expectStatus(200, "DELETE", `${path}/records?before=9`);
      await interrupt(stub);
      expect(await largest()).toEqual({ offset: 9 });
    },
  );
});

describe("configs", () => {
  interface Configs {
    readonly config: Readonly<Record<string, string | number>>;
    readonly overrides: Readonly<Record<string, string | number>>;
  }
  const defaults = (config: object) =>
    expectStatus<Configs>(200, "PATCH", "/v1/configs", { config });

  afterEach(async () => {
    const { overrides } = await expectStatus<Configs>(200, "GET", "/v1/configs");
    await defaults(Object.fromEntries(Object.keys(overrides).map((key) => [key, null])));
  });

  const describeTopic = (name: string) => expectStatus<Configs>(200, "GET", `/v1/topics/${name}`);

  test.each(TWINS)(
    "[CFG-2] a topic has its own keys, then the defaults, then the table's$when",
    async ({ interrupt }) => {
      const own = await createTopic(1, { "retention.ms": 1_000, "segment.ms": "2000" });
      const other = await createTopic(1);
      expect(other.config).toMatchObject({
        "retention.ms": 604_800_000,
        "cleanup.policy": "delete",
      });
      const set = await defaults({ "retention.ms": 5_000, "cleanup.policy": "compact,delete" });
      expect(set.overrides).toEqual({ "retention.ms": 5_000, "cleanup.policy": "compact,delete" });
      expect(set.config).toMatchObject({ ...set.overrides, "segment.ms": 604_800_000 });
      await interrupt(clusterStub(env));
      expect(await expectStatus(200, "GET", "/v1/configs")).toEqual(set);
      expect(await describeTopic(own.name)).toMatchObject({
        config: {
          "retention.ms": 1_000,
          "segment.ms": 2_000,
          "cleanup.policy": "compact,delete",
        },
        overrides: { "retention.ms": 1_000, "segment.ms": 2_000 },
      });
      expect(await describeTopic(other.name)).toMatchObject({ config: set.config, overrides: {} });
      expect((await createTopic(1)).config).toEqual(set.config);
      // Null removes a key: here the topic's, there the default.
      await expectStatus(200, "PATCH", `/v1/topics/${own.name}`, {
        config: { "retention.ms": null },
      });
      await interrupt(clusterStub(env));
      expect((await describeTopic(own.name)).config).toMatchObject({ "retention.ms": 5_000 });
      const left = await defaults({ "retention.ms": null });
      expect(left.overrides).toEqual({ "cleanup.policy": "compact,delete" });
      await interrupt(clusterStub(env));
      for (const { name } of [own, other])
        expect((await describeTopic(name)).config).toMatchObject({ "retention.ms": 604_800_000 });
    },
  );

  test.each(TWINS)(
    "[CFG-3] a default reaches partitions in use, idle and unused, but no override$when",
    async ({ interrupt }) => {
      const topic = await createTopic(3);
      const own = await createTopic(1, { "max.message.bytes": 5_000 });
      const stubs = [0, 1, 2].map((partition) => partitionStub(env, topic.topicId, partition));
      const [inUse, idle, unused] = stubs as [Stub, Stub, Stub];
      const ownStub = partitionStub(env, own.topicId, 0);
      for (const stub of [inUse, idle, ownStub]) await stub.append({ batches: recordBatch(["x"]) });
      await evict(idle);
      await defaults({ "max.message.bytes": 500 });
      await interrupt(inUse, idle, clusterStub(env));
      const large = recordBatch(["x".repeat(1_000)]);
      for (const stub of [inUse, idle, unused])
        expect(await stub.append({ batches: large })).toMatchObject({ error: "MESSAGE_TOO_LARGE" });
      expect(await ownStub.append({ batches: large })).toMatchObject({ ok: true, baseOffset: 1 });
      await defaults({ "max.message.bytes": null });
      await interrupt(inUse, idle, unused);
      for (const [index, stub] of [inUse, idle, unused].entries())
        expect(await stub.append({ batches: large })).toMatchObject({
          ok: true,
          baseOffset: index < 2 ? 1 : 0,
        });
    },
  );

  test.each(TWINS)(
    "[CFG-3] [RET-1] a default wakes an idle partition for its retention$when",
    async ({ interrupt }) => {
      const startMs = stopClock();
      const { topic, stub } = await newPartition();
      await produce(topic.name, [{ value: "a" }]);
      await evict(stub);
      await defaults({ "retention.ms": MINUTE_MS });
      await interrupt(stub, clusterStub(env));
      expect(await alarmOf(stub)).toBe(startMs + HOUSEKEEPING_INTERVAL_MS);
      vi.setSystemTime(startMs + HOUSEKEEPING_INTERVAL_MS);
      expect(await runDurableObjectAlarm(stub)).toBe(true);
      expect(await bounds(stub)).toEqual([1, 1]);
    },
  );

  const WRONG: readonly { key: string; value: unknown; detail: RegExp }[] = [
    { key: "retention.min", value: 5, detail: /"retention\.min" is not known.*retention\.ms/ },
    { key: "__proto__x", value: 5, detail: /__proto__x/ },
    { key: "toString", value: 5, detail: /"toString" is not known/ },
    { key: "retention.ms", value: -2, detail: /retention\.ms is -2.*-1 to/ },
    { key: "retention.ms", value: "soon", detail: /retention\.ms is "soon"/ },
    { key: "retention.ms", value: 1.5, detail: /retention\.ms is 1\.5/ },
    { key: "segment.bytes", value: 1_048_575, detail: /segment\.bytes is 1048575.*1048576/ },
    { key: "max.message.bytes", value: 1_048_589, detail: /1048589.*1 to 1048588/ },
    { key: "cleanup.policy", value: "shred", detail: /"shred".*"delete"/ },
    { key: "cleanup.policy", value: 1, detail: /cleanup\.policy is 1/ },
    { key: "min.cleanable.dirty.ratio", value: 1.1, detail: /1\.1.*from 0 to 1/ },
    { key: "message.timestamp.type", value: "Now", detail: /"Now".*CreateTime or LogAppendTime/ },
  ];

  test.each(WRONG.map((each) => ({ ...each, what: JSON.stringify(each.value) })))(
    "[CFG-1] $key of $what is rejected everywhere and changes nothing",
    async ({ key, value, detail }) => {
      const topic = await createTopic(1, { "segment.ms": 7 });
      const before = await expectStatus(200, "GET", "/v1/configs");
      const config = { "retention.ms": 77, [key]: value };
      const name = `${topic.name}-new`;
      const answers = [
        await call("PATCH", "/v1/configs", { config }),
        await call("PATCH", `/v1/topics/${topic.name}`, { config }),
        await call("POST", "/v1/topics", { name, config }),
      ];
      for (const answer of answers) {
        expect(answer).toMatchObject({
          status: 400,
          body: { code: "INVALID_CONFIG", errorCode: 40, detail: expect.stringMatching(detail) },
        });
      }
      expect(await expectStatus(200, "GET", "/v1/configs")).toEqual(before);
      expect(await describeTopic(topic.name)).toEqual(topic);
      await expectStatus(404, "GET", `/v1/topics/${name}`);
    },
  );
});
