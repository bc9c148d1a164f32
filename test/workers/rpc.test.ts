// Producing over a service binding, as another Worker does it.
import { exports } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import { PartitionObject } from "../../durable-objects/partition/partition-object.ts";
import { partitionStub } from "../../src/env.ts";
import { Rivulet, type RivuletService } from "../../src/sdk/index.ts";
import { createTopic, env, expectStatus, fetchRecords, readValues, TWINS } from "./support.ts";

afterEach(() => void vi.restoreAllMocks());

async function newPartition() {
  const topic = await createTopic(1);
  return { topic, stub: partitionStub(env, topic.topicId, 0) };
}

describe("a service binding", () => {
  const binding = (exports as unknown as { Rivulet: RivuletService }).Rivulet;
  /** Awaited here: a failed call must leave nothing else unhandled. */
  const rivulet = {
    produce: async (...call: Parameters<RivuletService["produce"]>) =>
      await binding.produce(...call),
    produceBatch: async (...call: Parameters<RivuletService["produceBatch"]>) =>
      await binding.produceBatch(...call),
  };

  test.each(TWINS)(
    "[RPC-1] another Worker produces bytes and JSON and gets offsets$when",
    async ({ interrupt }) => {
      const { topic, stub } = await newPartition();
      const results = await rivulet.produce(topic.name, [
        { key: "k", value: { total: 12 }, timestamp: 5 },
        { key: Uint8Array.of(255, 1), value: Uint8Array.of(254, 2), timestamp: 6 },
        { value: null, headers: { h: "1" }, timestamp: 7 },
      ]);
      expect(results).toEqual([
        { partition: 0, offset: 0, timestamp: 5 },
        { partition: 0, offset: 1, timestamp: 6 },
        { partition: 0, offset: 2, timestamp: 7 },
      ]);
      await interrupt(stub);
      expect((await fetchRecords(topic.name, 0)).records).toEqual([
        { offset: 0, timestamp: 5, key: "k", value: '{"total":12}', headers: {} },
        { offset: 1, timestamp: 6, keyBase64: "/wE=", valueBase64: "/gI=", headers: {} },
        { offset: 2, timestamp: 7, key: null, value: null, headers: { h: "1" } },
      ]);
    },
  );

  test.each(TWINS)(
    "[RPC-1] [CND-1] [KEY-1] [KEY-2] options count as over HTTP$when",
    async ({ interrupt }) => {
      const { topic, stub } = await newPartition();
      const options = { expectedOffset: 0, idempotencyKey: "once" };
      const first = await rivulet.produce(topic.name, [{ value: "a" }], options);
      await interrupt(stub);
      expect(await rivulet.produce(topic.name, [{ value: "a" }], options)).toEqual(first);
      const path = `/v1/topics/${topic.name}/records`;
      const body = { records: [{ value: "a" }], expectedOffset: 0 };
      const headers = { "idempotency-key": "once" };
      expect(await expectStatus(200, "POST", path, body, headers)).toEqual({ results: first });
      await expect(rivulet.produce(topic.name, [{ value: "b" }], options)).rejects.toMatchObject({
        code: "DUPLICATE_RESOURCE",
        errorCode: 92,
        retriable: false,
      });
      await expect(
        rivulet.produce(topic.name, [{ value: "b" }], { expectedOffset: 0 }),
      ).rejects.toMatchObject({
        code: "INVALID_UPDATE_VERSION",
        errorCode: 95,
        data: { nextOffset: 1 },
      });
      await interrupt(stub);
      expect(await readValues(topic)).toEqual([[0, "a"]]);
    },
  );

  test.each([
    {
      what: "an unknown topic",
      records: [{ value: "a" }],
      topic: "no-such-topic",
      code: "UNKNOWN_TOPIC_OR_PARTITION",
    },
    {
      what: "an illegal topic",
      records: [{ value: "a" }],
      topic: "a b",
      code: "INVALID_TOPIC_EXCEPTION",
    },
    { what: "no records", records: [], code: "INVALID_REQUEST" },
    { what: "a record without a value", records: [{ key: "k" }], code: "INVALID_REQUEST" },
    { what: "an unknown field", records: [{ value: "a", offset: 1 }], code: "INVALID_REQUEST" },
    {
      what: "too large a record",
      records: [{ value: new Uint8Array(2 ** 21) }],
      code: "MESSAGE_TOO_LARGE",
    },
    {
      what: "a missing partition",
      records: [{ value: "a", partition: 1 }],
      code: "UNKNOWN_TOPIC_OR_PARTITION",
    },
  ])("[RPC-1] [PRD-4] $what is refused with its code and nothing is stored", async (each) => {
    const { topic } = await newPartition();
    const answer = rivulet.produce(each.topic ?? topic.name, each.records);
    await expect(answer).rejects.toMatchObject({
      message: expect.stringMatching(/./),
      code: each.code,
    });
    expect(await readValues(topic)).toEqual([]);
  });

  test("[RPC-1] [PRD-1] failures are reported per record and the others are stored", async () => {
    const topic = await createTopic(2);
    const records = [0, 1].map((partition) => ({ value: "x", partition }));
    const original = PartitionObject.prototype.append;
    vi.spyOn(PartitionObject.prototype, "append").mockImplementation(async function (
      this: PartitionObject,
      ...args
    ) {
      const { ctx } = this as unknown as { ctx: DurableObjectState };
      if (ctx.id.name?.endsWith("/0")) return original.apply(this, args);
      return { ok: false, error: "KAFKA_STORAGE_ERROR", detail: "no room, for the test" };
    });
    expect(await rivulet.produce(topic.name, records)).toMatchObject([
      { partition: 0, offset: 0 },
      { partition: 1, error: { code: "KAFKA_STORAGE_ERROR", errorCode: 56, retriable: true } },
    ]);
  });

  test("[RPC-1] options do not replace the records, and headers come by name", async () => {
    const topic = await createTopic(1);
    const other = { records: [{ value: "other" }] } as object;
    await rivulet.produce(topic.name, [{ value: "own" }], other);
    expect(await readValues(topic)).toEqual([[0, "own"]]);
    const headers = new Map([["h", "v"]]) as never;
    await expect(rivulet.produce(topic.name, [{ value: 1, headers }])).rejects.toMatchObject({
      code: "INVALID_REQUEST",
      message: expect.stringContaining("records[0].headers"),
    });
  });

  test("[RPC-2] a batch goes to many topics and is answered in order", async () => {
    const [one, two] = [await createTopic(1), await createTopic(1)];
    const outcomes = await rivulet.produceBatch([
      { topic: one.name, records: [{ value: "a" }, { value: "b" }] },
      { topic: two.name, records: [{ value: "c" }] },
    ]);
    expect(outcomes.map((each) => each.length)).toEqual([2, 1]);
    expect(await readValues(one)).toEqual([
      [0, "a"],
      [1, "b"],
    ]);
    expect(await readValues(two)).toEqual([[0, "c"]]);
  });

  test("[RPC-2] a refused topic has its error, and does not affect the others", async () => {
    const topic = await createTopic(1);
    const missing = { topic: "not-there", records: [{ value: 1 }, { value: 2 }] };
    const outcomes = await rivulet.produceBatch([
      missing,
      { topic: topic.name, records: [{ value: "c" }] },
    ]);
    expect(outcomes).toMatchObject([
      [
        { partition: -1, error: { code: "UNKNOWN_TOPIC_OR_PARTITION" } },
        { partition: -1, error: { code: "UNKNOWN_TOPIC_OR_PARTITION" } },
      ],
      [{ partition: 0, offset: 0 }],
    ]);
    await expect(rivulet.produceBatch([missing])).rejects.toMatchObject({
      code: "UNKNOWN_TOPIC_OR_PARTITION",
    });
  });

  test.each([
    { what: "no topic", batch: [], reason: /batch: must name 1 to 100 topics/ },
    {
      what: "101 topics",
      batch: Array.from({ length: 101 }, () => ({ topic: "t", records: [{ value: 1 }] })),
      reason: /batch: must name 1 to 100 topics/,
    },
    {
      what: "a record without a value",
      batch: [{ topic: "t", records: [{}] }],
      reason: /batch\[0\]\.records\[0\]\.value/,
    },
  ])("[RPC-2] $what is rejected", async ({ batch, reason }) => {
    await expect(rivulet.produceBatch(batch)).rejects.toMatchObject({
      code: "INVALID_REQUEST",
      message: expect.stringMatching(reason),
    });
  });

  test("[RPC-4] the HTTP API is there too, for the SDK among others", async () => {
    const topic = await createTopic(1);
    const sdk = new Rivulet({
      url: "http://rivulet",
      fetch: (url, init) => binding.fetch(new Request(url, init as RequestInit)),
    });
    await sdk.producer.send(topic.name, [{ value: "through" }]);
    expect(await readValues(topic)).toEqual([[0, "through"]]);
  });
});
