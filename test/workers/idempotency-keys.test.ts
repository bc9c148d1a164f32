// Requests with an Idempotency-Key, over HTTP: repeated, concurrent, changed, after crashes in between, after their topic
// has changed, and after a day.

import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { PartitionObject } from "../../durable-objects/partition/partition-object.ts";
import { MAX_PRODUCERS_PER_PARTITION } from "../../src/core/limits.ts";
import { encodeBatch } from "../../src/core/log/record-batch.ts";
import { partitionStub } from "../../src/env.ts";
import { OPERATIONS } from "../../src/worker/http/operations.ts";
import { callInside } from "./calls.ts";
import {
  type Answer,
  alarmOf,
  call,
  createTopic,
  env,
  expectStatus,
  readValues,
  type Stored,
  type TopicJson,
  TWINS,
  unique,
} from "./support.ts";

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const DAY_MS = 24 * 60 * 60_000;

interface Produced {
  readonly results: readonly Stored[];
}
type Records = readonly Readonly<Record<string, unknown>>[];

function produceAs(
  key: string,
  topic: TopicJson,
  records: Records,
  more: object = {},
): Promise<Answer<Produced>> {
  const path = `/v1/topics/${topic.name}/records`;
  return call("POST", path, { records, ...more }, { "idempotency-key": key });
}

function allOf(topic: TopicJson, partitions = topic.partitions) {
  return Array.from({ length: partitions }, (_, partition) =>
    partitionStub(env, topic.topicId, partition),
  );
}

/** The number of records in all partitions. */
async function countIn(topic: TopicJson, partitions = topic.partitions): Promise<number> {
  const all = await Promise.all(
    Array.from({ length: partitions }, (_, partition) => readValues(topic, partition)),
  );
  return all.flat().length;
}

/** Keyed, keyless and placed records: they go to several of the partitions. */
const MIXED: Records = [
  { key: "a", value: { total: 1 } },
  { key: "b", value: "two", headers: { trace: "x" } },
  { value: "keyless" },
  { key: "c", value: null },
  { value: "placed", partition: 1 },
  { value: "dated", timestamp: 1_900_000_000_000 },
  { key: "d", valueBase64: "/w==" },
];

describe("the same request", () => {
  test.each(TWINS)(
    "[KEY-1] a repeat gets the first response and stores nothing$when",
    async ({ interrupt }) => {
      const topic = await createTopic(4);
      const key = unique("key");
      const startMs = Date.now();
      vi.setSystemTime(startMs);
      const first = await produceAs(key, topic, MIXED);
      expect(first.status).toBe(200);
      expect(first.body.results).toHaveLength(MIXED.length);
      expect(new Set(first.body.results.map(({ partition }) => partition)).size).toBeGreaterThan(1);
      await interrupt(...allOf(topic));
      vi.setSystemTime(startMs + DAY_MS - 1);
      expect(await produceAs(key, topic, MIXED)).toEqual(first);
      const lines = MIXED.map((record) => JSON.stringify(record)).join("\n");
      const path = `/v1/topics/${topic.name}/records`;
      const headers = { "idempotency-key": key, "content-type": "application/x-ndjson" };
      expect(await call("POST", path, lines, headers)).toEqual(first);
      expect(await countIn(topic)).toBe(MIXED.length);
      // Under another key it is another request.
      const other = await produceAs(unique("key"), topic, MIXED);
      expect(other.status).toBe(200);
      expect(await countIn(topic)).toBe(2 * MIXED.length);
    },
  );

  test.each(TWINS)(
    "[KEY-1] ten at once get the same response and are stored once$when",
    async ({ interrupt }) => {
      const topic = await createTopic(3);
      await interrupt(...allOf(topic));
      const key = unique("key");
      const answers = await Promise.all(
        Array.from({ length: 10 }, () => produceAs(key, topic, MIXED)),
      );
      for (const answer of answers) expect(answer).toEqual(answers[0]);
      expect(answers[0]?.status).toBe(200);
      await interrupt(...allOf(topic));
      expect(await produceAs(key, topic, MIXED)).toEqual(answers[0]);
      expect(await countIn(topic)).toBe(MIXED.length);
    },
  );

  test.each(TWINS)(
    "[KEY-1] a key counts for its topic only, whatever it is made of$when",
    async ({ interrupt }) => {
      const [one, two] = [await createTopic(2), await createTopic(2)];
      const keys = ["k", "k".repeat(255), "'; DROP TABLE requests_1; --", "%/?# ~", "K"];
      for (const key of keys) {
        expect((await produceAs(key, one, [{ value: key }])).status).toBe(200);
        expect((await produceAs(key, two, [{ value: "another" }])).status).toBe(200);
      }
      await interrupt(...allOf(one), ...allOf(two));
      for (const key of keys)
        expect((await produceAs(key, one, [{ value: key }])).status).toBe(200);
      expect(await countIn(one)).toBe(keys.length);
      expect(await countIn(two)).toBe(keys.length);
    },
  );

  test.each(TWINS)(
    "[KEY-1] a repeat after partitions were added goes where the first went$when",
    async ({ interrupt }) => {
      const topic = await createTopic(2);
      const keys = Array.from({ length: 20 }, () => unique("key"));
      const records = [
        ...MIXED,
        ...Array.from({ length: 20 }, (_, i) => ({ key: `k${i}`, value: "v" })),
      ];
      const firsts = await Promise.all(keys.map((key) => produceAs(key, topic, records)));
      await expectStatus(200, "PATCH", `/v1/topics/${topic.name}`, { partitions: 7 });
      await interrupt(...allOf(topic));
      for (const [index, key] of keys.entries())
        expect(await produceAs(key, topic, records)).toEqual(firsts[index]);
      expect(await countIn(topic, 7)).toBe(keys.length * records.length);
    },
  );

  test.each(TWINS)(
    "[KEY-1] [LOG-10] a repeat gets the first one's times$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1, { "message.timestamp.type": "LogAppendTime" });
      const startMs = Date.now();
      vi.setSystemTime(startMs);
      const first = await produceAs("once", topic, [{ value: "a", timestamp: 5 }, { value: "b" }]);
      expect(first.body.results).toMatchObject([{ timestamp: startMs }, { timestamp: startMs }]);
      await interrupt(...allOf(topic));
      vi.setSystemTime(startMs + 60_000);
      const second = await produceAs("once", topic, [{ value: "a", timestamp: 5 }, { value: "b" }]);
      expect(second).toEqual(first);
    },
  );

  const CHANGES: readonly { what: string; patch: object; records: Records; more?: object }[] = [
    {
      what: "max.message.bytes was lowered",
      patch: { config: { "max.message.bytes": 100 } },
      records: [{ value: "x".repeat(200), partition: 0 }],
    },
    {
      what: "the topic became a compacted one",
      patch: { config: { "cleanup.policy": "compact" } },
      records: [{ value: "keyless", partition: 0 }],
    },
    {
      what: "a keyless condition has more places",
      patch: { partitions: 3 },
      records: [{ value: "keyless" }],
      more: { expectedOffset: 0 },
    },
    {
      what: "a keyed condition has more places",
      patch: { partitions: 50 },
      records: [
        { key: "a", value: "1" },
        { key: "b", value: "2" },
        { key: "c", value: "3" },
      ],
      more: { expectedOffset: 0 },
    },
  ];

  test.each(TWINS.flatMap((twin) => CHANGES.map((each) => ({ ...twin, ...each }))))(
    "[KEY-1] when $what, a repeat still gets the first response$when",
    async ({ interrupt, patch, records, more }) => {
      const topic = await createTopic(1);
      const first = await produceAs("once", topic, records, more);
      expect(first.status).toBe(200);
      await expectStatus(200, "PATCH", `/v1/topics/${topic.name}`, patch);
      await interrupt(...allOf(topic));
      expect(await produceAs("once", topic, records, more)).toEqual(first);
      expect(await countIn(topic)).toBe(records.length);
    },
  );
});

describe("crashes", () => {
  test.each(TWINS)(
    "[KEY-1] a repeat stores nothing even if the first was not answered and its producer is forgotten$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      const original = PartitionObject.prototype.append;
      const lost = vi.spyOn(PartitionObject.prototype, "append").mockImplementation(async function (
        this: PartitionObject,
        ...args
      ) {
        await original.apply(this, args);
        throw new Error("the answer is lost, for the test");
      });
      const records = [{ value: "a" }, { value: "b" }];
      expect((await produceAs("once", topic, records)).status).toBe(504);
      lost.mockRestore();
      const stub = partitionStub(env, topic.topicId, 0);
      const others = Array.from({ length: MAX_PRODUCERS_PER_PARTITION + 1 }, (_, producerId) =>
        encodeBatch([{ key: null, value: null, headers: [], timestamp: Date.now() }], {
          producerId,
          producerEpoch: 0,
          baseSequence: 0,
        }),
      );
      // Inside the object: thousands of calls from outside would take most of this test's time.
      await runInDurableObject(stub, (partition) =>
        Promise.all(
          others.map((batches) => callInside(partition, "partition", "append", { batches })),
        ),
      );
      await interrupt(...allOf(topic));
      const again = await produceAs("once", topic, records);
      expect(again).toMatchObject({
        status: 200,
        body: { results: [{ offset: 0 }, { offset: 1 }] },
      });
      expect(await countIn(topic)).toBe(2 + others.length);
    },
  );

  /** Appends to partition 1 fail, before or after they are stored. */
  test.each(TWINS.flatMap((twin) => [true, false].map((isStored) => ({ ...twin, isStored }))))(
    "[KEY-1] a repeat completes what the first left undone (it was stored: $isStored)$when",
    async ({ interrupt, isStored }) => {
      const topic = await createTopic(2);
      const original = PartitionObject.prototype.append;
      vi.spyOn(PartitionObject.prototype, "append").mockImplementation(async function (
        this: PartitionObject,
        ...args
      ) {
        const { ctx } = this as unknown as { ctx: DurableObjectState };
        if (!ctx.id.name?.endsWith("/1")) return original.apply(this, args);
        if (isStored) await original.apply(this, args);
        throw new Error("no answer, for the test");
      });
      const records = [0, 1, 0, 1].map((partition, index) => ({ value: `${index}`, partition }));
      const first = await produceAs("once", topic, records);
      expect(first.status).toBe(207);
      expect(first.body.results).toMatchObject([
        { partition: 0, offset: 0 },
        { partition: 1, error: { code: "REQUEST_TIMED_OUT", retriable: true } },
        { partition: 0, offset: 1 },
        { partition: 1, error: { code: "REQUEST_TIMED_OUT" } },
      ]);
      vi.restoreAllMocks();
      await interrupt(...allOf(topic));
      const second = await produceAs("once", topic, records);
      expect(second.status).toBe(200);
      expect(second.body.results).toMatchObject([
        first.body.results[0],
        { partition: 1, offset: 0 },
        first.body.results[2],
        { partition: 1, offset: 1 },
      ]);
      expect(await produceAs("once", topic, records)).toEqual(second);
      expect(await countIn(topic)).toBe(4);
    },
  );

  test.each(TWINS)(
    "[KEY-1] a refused request may be repeated until it is stored$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      vi.spyOn(PartitionObject.prototype, "append").mockResolvedValueOnce({
        ok: false,
        error: "KAFKA_STORAGE_ERROR",
        detail: "no room, for the test",
      });
      const refused = await produceAs("once", topic, [{ value: "a" }]);
      expect(refused).toMatchObject({ status: 503, body: { code: "KAFKA_STORAGE_ERROR" } });
      await interrupt(...allOf(topic));
      const stored = await produceAs("once", topic, [{ value: "a" }]);
      expect(stored.body.results).toMatchObject([{ offset: 0 }]);
      expect(await produceAs("once", topic, [{ value: "a" }])).toEqual(stored);
      expect(await countIn(topic)).toBe(1);
    },
  );
});

describe("another request", () => {
  const FIRST = { records: [{ key: "k", value: "a", headers: { h: "1" } }] };
  const OTHERS = [
    { what: "another value", body: { records: [{ key: "k", value: "b", headers: { h: "1" } }] } },
    { what: "another key", body: { records: [{ key: "l", value: "a", headers: { h: "1" } }] } },
    { what: "another header", body: { records: [{ key: "k", value: "a", headers: { h: "2" } }] } },
    { what: "a partition", body: { records: [{ ...FIRST.records[0], partition: 0 }] } },
    { what: "a timestamp", body: { records: [{ ...FIRST.records[0], timestamp: 0 }] } },
    { what: "an expected offset", body: { ...FIRST, expectedOffset: 1 } },
    { what: "one record more", body: { records: [...FIRST.records, { value: "b" }] } },
  ];

  test.each(TWINS.flatMap((twin) => OTHERS.map((each) => ({ ...twin, ...each }))))(
    "[KEY-2] $what under the same key is rejected and nothing is stored$when",
    async ({ interrupt, body }) => {
      const topic = await createTopic(1);
      const first = await produceAs("once", topic, FIRST.records);
      expect(first.status).toBe(200);
      await interrupt(...allOf(topic));
      const { records, ...more } = body as { records: Records };
      expect(await produceAs("once", topic, records, more)).toMatchObject({
        status: 422,
        contentType: "application/problem+json",
        body: {
          code: "DUPLICATE_RESOURCE",
          errorCode: 92,
          retriable: false,
          detail: expect.stringContaining('"once"'),
        },
      });
      await interrupt(...allOf(topic));
      expect(await produceAs("once", topic, FIRST.records)).toEqual(first);
      expect(await countIn(topic)).toBe(1);
    },
  );

  test.each([
    { what: "an empty key", key: "", detail: /0 characters.*1 to 255/ },
    { what: "a key that is not ASCII", key: "\u00ff", detail: /visible ASCII/ },
    { what: "a key of 256 characters", key: "k".repeat(256), detail: /256 characters.*1 to 255/ },
  ])("[KEY-1] [PRD-4] $what is rejected and nothing is stored", async ({ key, detail }) => {
    const topic = await createTopic(1);
    expect(await produceAs(key, topic, [{ value: "a" }])).toMatchObject({
      status: 400,
      body: { code: "INVALID_REQUEST", detail: expect.stringMatching(detail) },
    });
    expect(await countIn(topic)).toBe(0);
  });
});

describe("a day later", () => {
  const tables = (topic: TopicJson) =>
    runInDurableObject(partitionStub(env, topic.topicId, 0), (_, { storage }) =>
      Array.from(
        storage.sql.exec<{ name: string }>(
          "SELECT name FROM sqlite_master WHERE name GLOB 'requests_*' AND type = 'table' ORDER BY name",
        ),
        ({ name }) => name,
      ),
    );

  test.each(TWINS)("[KEY-1] a key is free again after 24 hours$when", async ({ interrupt }) => {
    const topic = await createTopic(1);
    const startMs = Date.now();
    vi.setSystemTime(startMs);
    await produceAs("once", topic, [{ value: "a" }]);
    await interrupt(...allOf(topic));
    vi.setSystemTime(startMs + DAY_MS);
    const later = await produceAs("once", topic, [{ value: "another" }]);
    expect(later).toMatchObject({ status: 200, body: { results: [{ offset: 1 }] } });
    await interrupt(...allOf(topic));
    expect(await produceAs("once", topic, [{ value: "another" }])).toEqual(later);
    expect(await countIn(topic)).toBe(2);
  });

  test.each(TWINS)(
    "[KEY-1] the alarm drops expired keys, on an idle partition too$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1, { "retention.ms": -1 });
      const [stub] = allOf(topic);
      if (stub === undefined) throw new Error("there is a partition");
      // Noon, some days ahead: a real alarm does not come in between.
      const day = Math.floor(Date.now() / DAY_MS) + 10;
      vi.setSystemTime((day + 0.5) * DAY_MS);
      await produceAs("first", topic, [{ value: "a" }]);
      vi.setSystemTime((day + 1.5) * DAY_MS);
      await produceAs("second", topic, [{ value: "b" }]);
      expect(await tables(topic)).toEqual([`requests_${day}`, `requests_${day + 1}`]);
      expect(await alarmOf(stub)).toBe((day + 2) * DAY_MS);
      await interrupt(stub);
      vi.setSystemTime((day + 2) * DAY_MS);
      expect(await runDurableObjectAlarm(stub)).toBe(true);
      expect(await tables(topic)).toEqual([`requests_${day + 1}`]);
      expect(await alarmOf(stub)).toBe((day + 3) * DAY_MS);
      await interrupt(stub);
      vi.setSystemTime((day + 3) * DAY_MS);
      expect(await runDurableObjectAlarm(stub)).toBe(true);
      expect(await tables(topic)).toEqual([]);
      expect(await alarmOf(stub)).toBe(null);
    },
  );
});

describe("where no key is kept", () => {
  const CHANGES = OPERATIONS.filter(({ method }) => method !== "get").map(
    ({ method, path }) => [method.toUpperCase(), path] as const,
  );
  const isKept = (path: string) => path === "/v1/topics/{topic}/records";

  test.each(CHANGES.filter(([, path]) => !isKept(path)))(
    "[KEY-1] %s %s rejects one, with the reason, and changes nothing",
    async (method, template) => {
      const topic = await createTopic(1);
      const path = template
        .replace("{topic}", topic.name)
        .replace("{partition}", "0")
        .replace("{group}", unique("group"))
        .replace("{alert}", unique("alert"))
        .replace("{id}", unique("key"));
      const body = template.endsWith("/batches") ? encodeBatch([RECORD]) : { name: topic.name };
      const refused = await call<{ detail: string }>(method, path, body, {
        "idempotency-key": "a key",
      });
      expect(refused).toMatchObject({ status: 400, body: { code: "INVALID_REQUEST" } });
      for (const part of ["Idempotency-Key", "a key", `${method} "${path}"`, "/records, not for"])
        expect(refused.body.detail).toContain(part);
      expect(await readValues(topic)).toEqual([]);
      await expectStatus(200, "GET", `/v1/topics/${topic.name}`, undefined, {
        "idempotency-key": "a key",
      });
    },
  );

  test("[KEY-1] every other operation that changes something is in the table", () => {
    expect(CHANGES.filter(([, path]) => isKept(path))).toEqual([
      ["POST", "/v1/topics/{topic}/records"],
    ]);
    expect(CHANGES.length).toBeGreaterThan(10);
  });
});

const RECORD = { key: null, value: null, headers: [], timestamp: Date.now() };
