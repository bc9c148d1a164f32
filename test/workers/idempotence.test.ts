// Idempotent producers and conditional appends through the real objects. They come by RPC, and over HTTP as the Worker makes
// them, with responses that get lost on the way. Idempotency keys: idempotency-keys.test.ts.

import { runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { PartitionObject } from "../../durable-objects/partition/partition-object.ts";
import { MAX_APPEND_TRIES, MAX_PRODUCERS_PER_PARTITION } from "../../src/core/limits.ts";
import { partitionStub } from "../../src/env.ts";
import { forgetEverything } from "../../src/worker/edge/isolate.ts";
import * as messages from "../support/kafka-schemas.ts";
import { callInside } from "./calls.ts";
import { Kafka } from "./kafka-socket.ts";
import {
  call,
  createTopic,
  env,
  expectStatus,
  produce,
  readValues,
  recordBatch,
  segmentsOf,
  type TopicJson,
  TWINS,
} from "./support.ts";

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

interface Appended {
  readonly ok: boolean;
  readonly baseOffset?: number;
  readonly error?: string;
}

async function newPartition(config: Readonly<Record<string, unknown>> = {}) {
  const topic = await createTopic(1, config);
  return { topic, stub: partitionStub(env, topic.topicId, 0) };
}

/** Every way for a client to append its own batch, behind one interface. */
const WAYS: readonly {
  readonly way: string;
  readonly append: (topic: TopicJson, bytes: Uint8Array) => Promise<Appended>;
}[] = [
  {
    way: "by RPC",
    append: (topic, bytes) => partitionStub(env, topic.topicId, 0).append({ batches: bytes }),
  },
  {
    way: "over HTTP",
    append: async ({ name }, bytes) => {
      const path = `/v1/topics/${name}/partitions/0/batches`;
      const { status, body } = await call<{ baseOffset?: number; code?: string }>(
        "POST",
        path,
        bytes,
      );
      const { baseOffset, code } = body;
      if (baseOffset !== undefined) return { ok: true, baseOffset };
      return { ok: false, error: `${status} ${code}` };
    },
  },
];
const EACH = TWINS.flatMap((twin) => WAYS.map((each) => ({ ...twin, ...each })));

/** Batch `index` of a producer, of two records each. */
function batch(index: number, producerId = 7, epoch = 0): Uint8Array {
  const values = [
    `${producerId}/${epoch}: ${2 * index}`,
    `${producerId}/${epoch}: ${2 * index + 1}`,
  ];
  return recordBatch(values, { producer: [producerId, epoch, 2 * index] });
}

describe("producers", () => {
  test.each(EACH)(
    "[IDM-1] a repeat of one of the last five appends $way gets the original offset$when",
    async ({ interrupt, append }) => {
      const { topic, stub } = await newPartition();
      for (let index = 0; index < 7; index++)
        expect(await append(topic, batch(index))).toMatchObject({
          ok: true,
          baseOffset: 2 * index,
        });
      await interrupt(stub);
      for (const index of [6, 2, 4, 3, 5, 6, 2])
        expect(await append(topic, batch(index))).toMatchObject({
          ok: true,
          baseOffset: 2 * index,
        });
      const stored = await readValues(topic);
      expect(stored).toEqual(Array.from({ length: 14 }, (_, offset) => [offset, `7/0: ${offset}`]));
      // Older ones are not recognized, and not stored either.
      expect((await append(topic, batch(1))).error).toMatch(/OUT_OF_ORDER_SEQUENCE_NUMBER/);
      await interrupt(stub);
      expect(await append(topic, batch(7))).toMatchObject({ ok: true, baseOffset: 14 });
      expect(await readValues(topic)).toHaveLength(16);
    },
  );

  test.each(TWINS)(
    "[IDM-1] repeats concurrent with the original are stored once$when",
    async ({ interrupt }) => {
      const { topic, stub } = await newPartition();
      await stub.append({ batches: recordBatch(["before"]) });
      await interrupt(stub);
      const answers = await Promise.all(
        Array.from({ length: 20 }, () => stub.append({ batches: batch(0) })),
      );
      for (const answer of answers) expect(answer).toMatchObject({ ok: true, baseOffset: 1 });
      await interrupt(stub);
      expect(await stub.append({ batches: batch(0) })).toMatchObject({ ok: true, baseOffset: 1 });
      expect(await readValues(topic)).toHaveLength(3);
    },
  );

  test.each(EACH)(
    "[IDM-2] a gap and an older epoch are rejected $way, a newer epoch starts at 0$when",
    async ({ interrupt, append }) => {
      const { topic, stub } = await newPartition();
      await append(topic, batch(0, 7, 1));
      await interrupt(stub);
      const gap = await append(topic, batch(2, 7, 1));
      expect(gap.error).toMatch(/^(409 )?OUT_OF_ORDER_SEQUENCE_NUMBER$/);
      const stale = await append(topic, batch(1, 7, 0));
      expect(stale.error).toMatch(/^(409 )?INVALID_PRODUCER_EPOCH$/);
      const late = await append(topic, batch(1, 7, 2));
      expect(late.error).toMatch(/^(409 )?OUT_OF_ORDER_SEQUENCE_NUMBER$/);
      await interrupt(stub);
      expect(await append(topic, batch(0, 7, 2))).toMatchObject({ ok: true, baseOffset: 2 });
      expect(await append(topic, batch(0, 7, 2))).toMatchObject({ ok: true, baseOffset: 2 });
      await interrupt(stub);
      expect((await append(topic, batch(1, 7, 1))).error).toMatch(/INVALID_PRODUCER_EPOCH$/);
      expect((await readValues(topic)).map(([, value]) => value)).toEqual([
        "7/1: 0",
        "7/1: 1",
        "7/2: 0",
        "7/2: 1",
      ]);
    },
  );

  test.each(TWINS)(
    "[IDM-4] repeats are recognized around every snapshot of the producers$when",
    async ({ interrupt }) => {
      const { topic, stub } = await newPartition();
      // A snapshot is stored every 64 chunks; each of these appends is one.
      for (let index = 0; index < 132; index++) {
        expect(await stub.append({ batches: batch(index) })).toMatchObject({
          baseOffset: 2 * index,
        });
        if (index % 64 < 3 || index % 64 > 61) {
          await interrupt(stub);
          for (let back = 4; back >= 0; back--) {
            const old = index - back;
            if (old < 0) continue;
            expect(await stub.append({ batches: batch(old) }), `${old}`).toMatchObject({
              baseOffset: 2 * old,
            });
          }
        }
      }
      expect(await readValues(topic)).toHaveLength(264);
    },
  );

  test.each(TWINS)(
    "[IDM-4] [SEG-1] repeats are recognized after the segment was rolled$when",
    async ({ interrupt }) => {
      const { topic, stub } = await newPartition({ "segment.ms": 1_000 });
      const startMs = Date.now();
      for (let index = 0; index < 4; index++) {
        vi.setSystemTime(startMs + 2_000 * index);
        expect(await stub.append({ batches: batch(index) })).toMatchObject({
          baseOffset: 2 * index,
        });
        await interrupt(stub);
        for (let old = 0; old <= index; old++)
          expect(await stub.append({ batches: batch(old) })).toMatchObject({
            ok: true,
            baseOffset: 2 * old,
          });
      }
      expect(await segmentsOf(stub)).toEqual([0, 2, 4, 6]);
      expect(await readValues(topic)).toHaveLength(8);
    },
  );

  test("[IDM-4] an append of a producer writes one row", async () => {
    const { stub } = await newPartition();
    await stub.append({ batches: batch(0) });
    const writes = await runInDurableObject(stub, (_, { storage }) => {
      const statements: string[] = [];
      const exec = storage.sql.exec.bind(storage.sql);
      storage.sql.exec = ((query: string, ...bindings: unknown[]) => {
        if (!query.startsWith("SELECT")) statements.push(query.slice(0, 21));
        return exec(query, ...bindings);
      }) as typeof storage.sql.exec;
      return statements;
    });
    for (let index = 1; index < 60; index++) await stub.append({ batches: batch(index) });
    expect(writes).toEqual(Array(59).fill("INSERT INTO segment_0"));
  });

  test.each(TWINS)(
    "[IDM-5] a producer silent for producer.id.expiration.ms is forgotten, another one is not$when",
    async ({ interrupt }) => {
      const config = { "producer.id.expiration.ms": 60_000, "segment.ms": 1_000 };
      const { stub } = await newPartition(config);
      const startMs = Date.now();
      vi.setSystemTime(startMs);
      await stub.append({ batches: batch(0, 1) });
      vi.setSystemTime(startMs + 30_000);
      await stub.append({ batches: batch(0, 2) });
      await interrupt(stub);
      vi.setSystemTime(startMs + 60_000);
      await stub.append({ batches: recordBatch(["rolls the segment"]) });
      await interrupt(stub);
      // A forgotten producer may start anywhere.
      expect(await stub.append({ batches: batch(50, 2) })).toMatchObject({
        error: "OUT_OF_ORDER_SEQUENCE_NUMBER",
      });
      expect(await stub.append({ batches: batch(50, 1) })).toMatchObject({
        ok: true,
        baseOffset: 5,
      });
    },
  );

  test.each(TWINS)(
    "[IDM-5] beyond the bound the producer silent for longest is forgotten$when",
    async ({ interrupt }) => {
      const { stub } = await newPartition();
      const first = 1_000_000;
      const appendAs = async (from: number, count: number) => {
        const ids = Array.from({ length: count }, (_, index) => from + index);
        // Inside the object: thousands of calls from outside would take most of this test's time.
        await runInDurableObject(stub, (partition) =>
          Promise.all(
            ids.map((id) =>
              callInside(partition, "partition", "append", { batches: batch(0, id) }),
            ),
          ),
        );
      };
      await stub.append({ batches: batch(0, 1) });
      await stub.append({ batches: batch(0, 2) });
      for (let count = 0; count < MAX_PRODUCERS_PER_PARTITION - 2; count += 1_999)
        await appendAs(first + count, 1_999);
      await interrupt(stub);
      // The maximum number; then producer 1 is heard of again, and one more comes.
      expect(await stub.append({ batches: batch(1, 1) })).toMatchObject({ ok: true });
      expect(await stub.append({ batches: batch(0, 3) })).toMatchObject({ ok: true });
      await interrupt(stub);
      expect(await stub.append({ batches: batch(9, 1) })).toMatchObject({ ok: false });
      expect(await stub.append({ batches: batch(9, first) })).toMatchObject({ ok: false });
      expect(await stub.append({ batches: batch(9, 2) })).toMatchObject({ ok: true });
    },
  );
});

describe("producer ids", () => {
  test("[IDM-3] a producer id is given out once, without the cluster, and nobody can predict the next", async () => {
    const asked = vi.spyOn(env.CLUSTER, "getByName");
    const kafka = await Kafka.open();
    const init = { transactionalId: null, transactionTimeoutMs: 1_000 };
    const ids: number[] = [];
    for (let round = 0; round < 200; round++) {
      const http = await expectStatus<Init>(201, "POST", "/v1/producers");
      const told = await kafka.ask<Init>(messages.INIT_PRODUCER_ID, 4, init);
      expect([http.producerEpoch, told.producerEpoch]).toEqual([0, 0]);
      ids.push(http.producerId, told.producerId);
      forgetEverything();
    }
    expect(asked).not.toHaveBeenCalled();
    await expectStatus(200, "GET", "/v1/topics");
    expect(asked, "it would have been noticed").toHaveBeenCalled();
    expect(ids.every((id) => Number.isSafeInteger(id) && id > 0)).toBe(true);
    // None of 2^53 random ones has a neighbor: the odds are one in ten million.
    const sorted = ids.toSorted((one, other) => one - other);
    const gaps = sorted.slice(1).map((id, i) => id - (sorted[i] as number));
    expect(Math.min(...gaps)).toBeGreaterThan(5_000);
    expect(Math.max(...ids)).toBeGreaterThan(2 ** 52);
    expect(Math.min(...ids)).toBeLessThan(2 ** 52);
  });

  test.each([
    { what: "without a key", headers: () => ({}) },
    {
      what: "with an Idempotency-Key each",
      headers: (n: number) => ({ "idempotency-key": `key ${n}` }),
    },
  ])(
    "[IDM-3] [KEY-1] requests $what that by chance get the same id are all stored",
    async ({ headers }) => {
      const { topic } = await newPartition();
      for (let n = 0; n < 3; n++) {
        forgetEverything();
        vi.spyOn(crypto, "getRandomValues").mockReturnValueOnce(Uint32Array.of(7, 7));
        const path = `/v1/topics/${topic.name}/records`;
        const body = { records: [{ value: `record ${n}` }] };
        const stored = await expectStatus<{ results: { offset: number }[] }>(
          200,
          "POST",
          path,
          body,
          headers(n),
        );
        expect(stored.results[0]?.offset).toBe(n);
        vi.restoreAllMocks();
      }
      expect((await readValues(topic)).map(([, value]) => value)).toEqual([
        "record 0",
        "record 1",
        "record 2",
      ]);
    },
  );
});

interface Init {
  readonly producerId: number;
  readonly producerEpoch: number;
}

type Append = PartitionObject["append"];

/** Replaces the next calls of `append`, one each; after that it works as ever. Returns the number of calls. */
function disturbAppends(
  ...disturbances: readonly ((original: () => ReturnType<Append>) => ReturnType<Append>)[]
): { readonly calls: number } {
  const original = PartitionObject.prototype.append;
  const count = { calls: 0 };
  vi.spyOn(PartitionObject.prototype, "append").mockImplementation(function (
    this: PartitionObject,
    ...args
  ) {
    const disturbance = disturbances[count.calls++];
    const proceed = () => original.apply(this, args);
    return disturbance === undefined ? proceed() : disturbance(proceed);
  });
  return count;
}

const lost = (): never => {
  throw new Error("the answer is lost, for the test");
};
const afterStoring = async (original: () => ReturnType<Append>): ReturnType<Append> => {
  expect(await original()).toMatchObject({ ok: true });
  return lost();
};
const beforeStoring = async (): ReturnType<Append> => lost();
const throttled = async (): ReturnType<Append> => ({
  ok: false,
  error: "THROTTLING_QUOTA_EXCEEDED",
  detail: "too much waits, for the test",
});

describe("an append whose partition's storage cannot be opened", () => {
  test("[ERR-2] is reported as that, without the platform's reference, and that the outcome is unknown", async () => {
    const { topic } = await newPartition();
    const hidden = (): never => {
      throw new Error("internal error; reference = abc123");
    };
    disturbAppends(...new Array<typeof hidden>(MAX_APPEND_TRIES).fill(hidden));
    vi.spyOn(console, "error").mockImplementation(() => {});
    const path = `/v1/topics/${topic.name}/records`;
    const answer = await call<{ detail: string }>("POST", path, { records: [{ value: "a" }] });
    expect(answer).toMatchObject({ status: 503, body: { code: "KAFKA_STORAGE_ERROR" } });
    for (const part of [`partition ${topic.topicId}/0`, "could not be opened", "is unknown"])
      expect(answer.body.detail).toContain(part);
    expect(answer.body.detail).not.toContain("reference");
  });
});

describe("the Worker", () => {
  const LOSSES = [
    { what: "a response is lost", disturbances: [afterStoring] },
    { what: "a request is lost", disturbances: [beforeStoring] },
    { what: "many responses are lost", disturbances: [beforeStoring, afterStoring, afterStoring] },
  ];

  test.each(TWINS.flatMap((twin) => LOSSES.map((each) => ({ ...twin, ...each }))))(
    "[IDM-6] when $what, records are stored once and answered$when",
    async ({ interrupt, disturbances }) => {
      const { topic, stub } = await newPartition();
      await produce(topic.name, [{ value: "first" }]);
      await interrupt(stub);
      const count = disturbAppends(...disturbances);
      const results = await produce(topic.name, [{ value: "a" }, { value: "b" }]);
      expect(count.calls).toBe(disturbances.length + 1);
      expect(results).toMatchObject([{ offset: 1 }, { offset: 2 }]);
      await interrupt(stub);
      expect(await produce(topic.name, [{ value: "c" }, { value: "d" }])).toMatchObject([
        { offset: 3 },
        { offset: 4 },
      ]);
      const stored = await readValues(topic);
      expect(stored.map(([, value]) => value)).toEqual(["first", "a", "b", "c", "d"]);
    },
  );

  test.each(TWINS)(
    "[IDM-6] a partition that dies after storing is asked again and knows the records$when",
    async ({ interrupt }) => {
      const { topic, stub } = await newPartition();
      await produce(topic.name, [{ value: "first" }]);
      await interrupt(stub);
      const original = PartitionObject.prototype.append;
      let deaths = 0;
      vi.spyOn(PartitionObject.prototype, "append").mockImplementation(async function (
        this: PartitionObject,
        ...args
      ) {
        const result = await original.apply(this, args);
        if (deaths++ > 0) return result;
        const { ctx } = this as unknown as { ctx: DurableObjectState };
        await ctx.storage.sync();
        ctx.abort("it dies, for the test");
        return result;
      });
      expect(await produce(topic.name, [{ value: "a" }])).toMatchObject([{ offset: 1 }]);
      expect(deaths).toBe(2);
      await interrupt(stub);
      expect((await readValues(topic)).map(([, value]) => value)).toEqual(["first", "a"]);
    },
  );

  const ENDS = [
    { what: "no try is answered", end: [afterStoring, afterStoring, afterStoring, afterStoring] },
    { what: "the second try is refused", end: [afterStoring, throttled] },
  ];

  test.each(TWINS.flatMap((twin) => ENDS.map((each) => ({ ...twin, ...each }))))(
    "[IDM-6] when $what, the records that follow are stored$when",
    async ({ interrupt, end }) => {
      const { topic, stub } = await newPartition();
      await produce(topic.name, [{ value: "first" }]);
      const count = disturbAppends(...end);
      const path = `/v1/topics/${topic.name}/records`;
      const answer = await call("POST", path, { records: [{ value: "nobody knows" }] });
      expect(answer.status).toBeGreaterThanOrEqual(429);
      expect(answer.body).toMatchObject({ retriable: true });
      expect(count.calls).toBe(end.length);
      await interrupt(stub);
      // As many records as in the previous request: nobody may take them for its repeat.
      expect(await produce(topic.name, [{ value: "next" }])).toMatchObject([{ offset: 2 }]);
      expect((await readValues(topic)).map(([, value]) => value)).toEqual([
        "first",
        "nobody knows",
        "next",
      ]);
    },
  );

  test.each(TWINS)(
    "[IDM-6] batches of a producer are retried, others are not$when",
    async ({ interrupt }) => {
      const { topic, stub } = await newPartition();
      await stub.offsets();
      await interrupt(stub);
      const path = `/v1/topics/${topic.name}/partitions/0/batches`;
      const tried = disturbAppends(afterStoring, beforeStoring);
      expect(await call("POST", path, batch(0))).toMatchObject({ body: { baseOffset: 0 } });
      expect(tried.calls).toBe(3);
      vi.restoreAllMocks();
      const once = disturbAppends(afterStoring);
      const answer = await call("POST", path, recordBatch(["whose?"]));
      expect(answer).toMatchObject({ status: 504, body: { code: "REQUEST_TIMED_OUT" } });
      expect(once.calls).toBe(1);
      expect(await readValues(topic)).toHaveLength(3);
    },
  );
});

describe("conditional appends", () => {
  type Conditional = (topic: TopicJson, value: string, expected: number) => Promise<unknown>;
  const records = ({ name }: TopicJson) => `/v1/topics/${name}/records`;
  const CONDITIONALS: readonly { readonly way: string; readonly append: Conditional }[] = [
    {
      way: "as a JSON field",
      append: (topic, value, expectedOffset) =>
        call("POST", records(topic), { records: [{ value }], expectedOffset }),
    },
    {
      way: "in the query",
      append: (topic, value, expected) =>
        call("POST", `${records(topic)}?expectedOffset=${expected}`, { records: [{ value }] }),
    },
    {
      way: "in the query of NDJSON",
      append: (topic, value, expected) =>
        call("POST", `${records(topic)}?expectedOffset=${expected}`, JSON.stringify({ value }), {
          "content-type": "application/x-ndjson",
        }),
    },
    {
      way: "with batches",
      append: ({ name }, value, expected) => {
        const path = `/v1/topics/${name}/partitions/0/batches?expectedOffset=${expected}`;
        return call("POST", path, recordBatch([value]));
      },
    },
  ];

  test.each(TWINS.flatMap((twin) => CONDITIONALS.map((each) => ({ ...twin, ...each }))))(
    "[CND-1] an expected offset $way stores at that offset or not at all$when",
    async ({ interrupt, append }) => {
      const { topic, stub } = await newPartition();
      expect(await append(topic, "a", 0)).toMatchObject({ status: 200 });
      await interrupt(stub);
      for (const wrong of [0, 2, Number.MAX_SAFE_INTEGER]) {
        expect(await append(topic, "wrong", wrong)).toMatchObject({
          status: 409,
          body: { code: "INVALID_UPDATE_VERSION", errorCode: 95, retriable: false, nextOffset: 1 },
        });
      }
      await interrupt(stub);
      expect(await append(topic, "b", 1)).toMatchObject({ status: 200 });
      expect(await readValues(topic)).toEqual([
        [0, "a"],
        [1, "b"],
      ]);
    },
  );

  test.each(TWINS)("[CND-1] an expected offset applies to calls$when", async ({ interrupt }) => {
    const { topic, stub } = await newPartition();
    expect(
      await stub.append({ batches: recordBatch(["a", "b"]), expectedOffset: 0 }),
    ).toMatchObject({ baseOffset: 0 });
    await interrupt(stub);
    expect(await stub.append({ batches: recordBatch(["wrong"]), expectedOffset: 1 })).toEqual({
      ok: false,
      error: "INVALID_UPDATE_VERSION",
      detail: expect.stringMatching(/1.*2/),
      nextOffset: 2,
    });
    expect(await stub.append({ batches: recordBatch(["c"]), expectedOffset: 2 })).toMatchObject({
      baseOffset: 2,
    });
    expect(await readValues(topic)).toHaveLength(3);
  });

  test.each(TWINS)("[CND-1] of many for the same offset one wins$when", async ({ interrupt }) => {
    const { topic, stub } = await newPartition();
    await produce(topic.name, [{ value: "before" }]);
    await interrupt(stub);
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        call<{ nextOffset?: number }>("POST", records(topic), {
          records: [{ value: `racer ${index}` }, { value: "and more" }],
          expectedOffset: 1,
        }),
      ),
    );
    const losers = answers.filter(({ status }) => status === 409);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(losers.map(({ body }) => body.nextOffset)).toEqual(Array(9).fill(3));
    expect(await readValues(topic)).toHaveLength(3);
  });

  test.each(TWINS)(
    "[CND-1] [IDM-6] a conditional append whose response is lost still gets its offset$when",
    async ({ interrupt }) => {
      const { topic, stub } = await newPartition();
      await produce(topic.name, [{ value: "before" }]);
      await interrupt(stub);
      disturbAppends(afterStoring);
      const body = { records: [{ value: "a" }], expectedOffset: 1 };
      expect(await call("POST", records(topic), body)).toMatchObject({
        status: 200,
        body: { results: [{ offset: 1 }] },
      });
      expect(await readValues(topic)).toHaveLength(2);
    },
  );

  test.each([
    { what: "two partitions", list: [{ partition: 0 }, { partition: 1 }], detail: /0, 1/ },
    { what: "no partition", list: [{ partition: 1 }, {}], detail: /records\[1\]/ },
  ])(
    "[CND-1] [PRD-4] an expected offset for $what is rejected, nothing stored",
    async ({ list, detail }) => {
      const topic = await createTopic(2);
      const body = { records: list.map((each) => ({ ...each, value: "a" })), expectedOffset: 0 };
      expect(await call("POST", records(topic), body)).toMatchObject({
        status: 400,
        body: { code: "INVALID_REQUEST", detail: expect.stringMatching(detail) },
      });
      for (const partition of [0, 1]) expect(await readValues(topic, partition)).toEqual([]);
    },
  );
});
