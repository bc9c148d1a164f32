// The SDK's promises, against a running broker: in Node (e2e/sdk.test.ts) and in the Workers runtime (workers/sdk.test.ts).
import { beforeAll, expect, expectTypeOf, test } from "vitest";
import * as z from "zod";
import {
  type BrokerError,
  type Consumer,
  jsonSerde,
  Rivulet,
  stringSerde,
} from "../../src/sdk/index.ts";
import { until } from "./until.ts";

/** `connect` is called when the broker is there. */
export function sdkSuite(connect: () => Rivulet): void {
  let rivulet: Rivulet;
  beforeAll(() => {
    rivulet = connect();
  });

  async function topicWith(name: string, count: number, partitions = 1): Promise<void> {
    await rivulet.admin.createTopic({ name, partitions });
    await rivulet.producer.send(
      name,
      Array.from({ length: count }, (_, i) => ({ value: i })),
    );
  }

  test("[SES-1] a handler that seeks gets the records from there next, and none from before the seek", async () => {
    await topicWith("sought", 20);
    const offsets: number[] = [];
    const consumer: Consumer = rivulet.consumer({ groupId: "seekers", topics: ["sought"] });
    await consumer.run({
      eachRecord: ({ offset }, place) => {
        offsets.push(offset);
        if (offsets.length === 5) consumer.seek(place, 2);
        if (offset === 19) consumer.close();
      },
    });
    const upTo = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, i) => from + i);
    expect(offsets).toEqual([...upTo(0, 5), ...upTo(2, 20)]);
  });

  test("[SES-6] a close commits what was handled and leaves at once", async () => {
    await topicWith("closed", 10);
    const consumer: Consumer = rivulet.consumer({
      groupId: "closers",
      topics: ["closed"],
      // Only the close can commit in time, and only a leave can empty the group.
      autoCommit: false,
      sessionTimeoutMs: 600_000,
    });
    await consumer.run({
      eachRecord: ({ offset }) => {
        if (offset === 6) consumer.close();
      },
    });
    const group = await until("the group is empty", async () => {
      const described = await rivulet.admin.describeGroup("closers");
      return described.state === "EMPTY" && described;
    });
    expect(group.offsets).toMatchObject([{ committedOffset: 7, lag: 3 }]);
  });

  test("[SES-2] a handler that throws ends the run with its error, and its record comes again", async () => {
    await topicWith("thrown", 3);
    const options = { groupId: "throwers", topics: ["thrown"] };
    const failing = rivulet.consumer(options).run({
      eachRecord: ({ offset }) => {
        if (offset === 1) throw new Error("cannot");
      },
    });
    await expect(failing).rejects.toThrow("cannot");
    const seen: number[] = [];
    const next: Consumer = rivulet.consumer(options);
    await next.run({
      eachRecord: ({ offset }) => {
        seen.push(offset);
        if (offset === 2) next.close();
      },
    });
    expect(seen).toEqual([1, 2]);
  });

  test("[SES-8] with maxProcessingMs, a member with a stuck handler leaves the group, a static one too", async () => {
    await topicWith("stuck", 3);
    // Only a leave can pass the partition on in time.
    const options = { groupId: "stuck", topics: ["stuck"], sessionTimeoutMs: 600_000 };
    const lost: unknown[] = [];
    const stuck = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const failing = rivulet
      .consumer({
        ...options,
        instanceId: "one",
        maxProcessingMs: 300,
        autoCommit: false,
        onLost: (partitions) => lost.push(...partitions),
      })
      .run({
        eachRecord: ({ offset }) => {
          if (offset === 0) return;
          begun.resolve();
          return stuck.promise;
        },
      });
    const ended = expect(failing).rejects.toMatchObject({
      code: "REQUEST_TIMED_OUT",
      message: expect.stringMatching(
        /offset 1 of stuck\/0 did not return within maxProcessingMs, 300 ms/,
      ),
    });
    await begun.promise;
    const seen: number[] = [];
    const other: Consumer = rivulet.consumer(options);
    await other.run({
      eachRecord: ({ offset }) => {
        seen.push(offset);
        if (offset === 2) other.close();
      },
    });
    await ended;
    expect(seen).toEqual([1, 2]);
    expect(lost).toEqual([{ topic: "stuck", partition: 0 }]);
    stuck.resolve();
  });

  test("[SES-8] without it, a handler that takes longer than the session keeps its partition, and its record comes once", async () => {
    await topicWith("slow", 2);
    const options = { groupId: "slow", topics: ["slow"], sessionTimeoutMs: 2_000 };
    const told: unknown[] = [];
    const handled: string[] = [];
    const slow: Consumer = rivulet.consumer({
      ...options,
      onRevoked: (partitions) => told.push(...partitions),
      onLost: (partitions) => told.push(...partitions),
    });
    const other: Consumer = rivulet.consumer(options);
    let others: Promise<void> | undefined;
    await slow.run({
      eachRecord: async ({ offset }) => {
        handled.push(`slow ${offset}`);
        if (offset === 1) return slow.close();
        others = other.run({ eachRecord: (record) => void handled.push(`other ${record.offset}`) });
        await new Promise((resolve) => setTimeout(resolve, 4_000));
      },
    });
    // It has the partition only now, with nothing left in it.
    await until("the other has the partition", () => other.assignment.length === 1);
    other.close();
    await others;
    expect(handled).toEqual(["slow 0", "slow 1"]);
    expect(told).toEqual([]);
  });

  test("[GRP-9] a consumer of a missing topic is told so, and reads the topic once it is created", async () => {
    const errors: BrokerError[] = [];
    let value: Uint8Array | null = null;
    const consumer: Consumer = rivulet.consumer({
      groupId: "early",
      topics: ["later"],
      onError: (error) => errors.push(error),
    });
    const running = consumer.run({
      eachRecord: (record) => {
        value = record.value;
        consumer.close();
      },
    });
    await until("it is told", () => errors.length > 0);
    expect(errors[0]).toMatchObject({
      code: "UNKNOWN_TOPIC_OR_PARTITION",
      message: expect.stringContaining("topic later does not exist"),
    });
    await topicWith("later", 1);
    await running;
    expect(value).toEqual(new TextEncoder().encode("0"));
    expect(errors).toHaveLength(1);
  });

  test("[SES-6] a reader without a group reads everything, each time from the start, and leaves no group behind", async () => {
    await topicWith("alone", 5);
    const read = async () => {
      const offsets: number[] = [];
      const reader: Consumer = await rivulet.reader({ topic: "alone" });
      await reader.run({
        eachRecord: ({ offset }) => {
          offsets.push(offset);
          if (offset === 4) reader.close();
        },
      });
      return offsets;
    };
    expect(await read()).toEqual([0, 1, 2, 3, 4]);
    expect(await read()).toEqual([0, 1, 2, 3, 4]);
    expect((await rivulet.admin.listGroups()).map(({ groupId }) => groupId)).not.toContain("");
  });

  test("[ERR-1] the SDK's errors carry the broker's code", async () => {
    const refused = rivulet.producer.send("nosuch", [{ value: 1 }]);
    await expect(refused).rejects.toMatchObject({
      name: "BrokerError",
      code: "UNKNOWN_TOPIC_OR_PARTITION",
      errorCode: 3,
      retriable: true,
    });
    const nobody = new Rivulet({ url: "http://127.0.0.1:9" });
    await expect(nobody.admin.listTopics()).rejects.toMatchObject({ name: "ConnectionError" });
  });

  test("[SRD-1] keys and values go through serdes, with their types", async () => {
    await rivulet.admin.createTopic({ name: "typed" });
    const order = z.object({
      id: z.int(),
      at: z.iso.date().transform((text) => new Date(text)),
      note: z.string().default("none"),
    });
    const serdes = { keySerde: stringSerde, valueSerde: jsonSerde(order) };
    const producer = rivulet.newProducer(serdes);
    await producer.send("typed", [
      { key: "a", value: { id: 1, at: "2026-11-01" } },
      { key: null, value: null },
    ]);
    const records: { key: string | null; value: z.output<typeof order> | null }[] = [];
    const consumer = rivulet.consumer({ groupId: "typed", topics: ["typed"], ...serdes });
    for await (const { key, value } of consumer) {
      expectTypeOf(key).toEqualTypeOf<string | null>();
      expectTypeOf(value).toEqualTypeOf<z.output<typeof order> | null>();
      if (records.push({ key, value }) === 2) break;
    }
    expect(records).toEqual([
      { key: "a", value: { id: 1, at: new Date("2026-11-01"), note: "none" } },
      { key: null, value: null },
    ]);
    // The input is sent, not the schema's output.
    const raw = await rivulet.reader({ topic: "typed", valueSerde: stringSerde });
    for await (const { value, key } of raw) {
      expectTypeOf(key).toEqualTypeOf<Uint8Array | null>();
      expect(value).toBe('{"id":1,"at":"2026-11-01"}');
      break;
    }
  });

  test("[SRD-2] [SRD-3] a value that a serde rejects is not sent, and ends a consumer where it is read", async () => {
    await rivulet.admin.createTopic({ name: "poison" });
    const valueSerde = jsonSerde(z.object({ total: z.number() }));
    const wrong = { total: "12" as unknown as number };
    await expect(
      rivulet
        .newProducer({ valueSerde })
        .send("poison", [{ value: { total: 1 } }, { value: wrong }]),
    ).rejects.toMatchObject({
      code: "INVALID_RECORD",
      message: expect.stringMatching(/^records\[1\]: value: total: .*number/),
    });
    await rivulet.producer.send("poison", [{ value: { total: 1 } }, { value: wrong }]);
    const seen: (number | undefined)[] = [];
    const consumer = rivulet.consumer({ groupId: "poison", topics: ["poison"], valueSerde });
    await expect(
      consumer.run({ eachRecord: ({ value }) => void seen.push(value?.total) }),
    ).rejects.toMatchObject({
      code: "INVALID_RECORD",
      message: expect.stringMatching(/^poison\/0 at offset 1: value: total: .*number/),
      data: { topic: "poison", partition: 0, offset: 1 },
    });
    expect(seen).toEqual([1]);
    const [offset] = (await rivulet.admin.describeGroup("poison")).offsets;
    expect(offset).toMatchObject({ committedOffset: 1 });
  });

  test("[KEY-1] [IDM-6] bytes and base64 are stored as they are, with an idempotency key and without", async () => {
    const record = {
      key: Uint8Array.of(0xff, 0),
      valueBase64: "/v8A",
      headers: { h: { base64: "/w==" } },
    };
    await rivulet.admin.createTopic({ name: "raw" });
    await rivulet.producer.send("raw", [record]);
    await rivulet.producer.send("raw", [record], { idempotencyKey: "raw" });
    const read: unknown[] = [];
    for await (const each of await rivulet.reader({ topic: "raw", from: "earliest" })) {
      read.push([each.key, each.value, each.headers]);
      if (read.length === 2) break;
    }
    const expected = [
      Uint8Array.of(0xff, 0),
      Uint8Array.of(0xfe, 0xff, 0),
      [{ key: "h", value: Uint8Array.of(0xff) }],
    ];
    expect(read).toEqual([expected, expected]);
  });

  test("[PRO-5] [PRO-1] a compressed batch over several topics is read back in order", async () => {
    for (const name of ["one", "two"]) await rivulet.admin.createTopic({ name });
    const producer = rivulet.newProducer({ compression: "gzip", lingerMs: 1 });
    const values = Array.from({ length: 500 }, (_, i) => `value ${i}`);
    const records = values.map((value) => ({ value }));
    const outcomes = await producer.sendBatch([
      { topic: "one", records },
      { topic: "two", records: records.slice(0, 3) },
    ]);
    expect(outcomes.map(({ length }) => length)).toEqual([500, 3]);
    await producer.close();
    const read: (string | null)[] = [];
    const reader = await rivulet.reader({ topic: "one", valueSerde: stringSerde });
    for await (const { value } of reader) if (read.push(value) === values.length) break;
    expect(read).toEqual(values);
  });

  test("[ADM-1] topics, configs, groups, offsets and records are managed", async () => {
    const { admin } = rivulet;
    await topicWith("managed", 10, 2);
    expect(
      await admin.alterTopic("managed", { partitions: 3, config: { "retention.ms": 60_000 } }),
    ).toMatchObject({ partitions: 3, overrides: { "retention.ms": 60_000 } });
    expect((await admin.listTopics()).map(({ name }) => name)).toContain("managed");
    const ends = await Promise.all([0, 1, 2].map((p) => admin.listOffset("managed", p, "latest")));
    const [full] = ends.flatMap(({ offset }, p) => (offset === 10 ? [p] : []));
    expect(await admin.deleteRecords("managed", full ?? 0, 4)).toEqual({ logStartOffset: 4 });
    const consumer: Consumer = rivulet.consumer({ groupId: "managers", topics: ["managed"] });
    let count = 0;
    await consumer.run({ eachRecord: () => void (++count === 6 && consumer.close()) });
    const plan = await admin.resetGroup("managers", { to: "earliest", dryRun: true });
    expect(plan.offsets).toContainEqual(
      expect.objectContaining({ partition: full, offset: 4, committedOffset: 10 }),
    );
    await admin.resetGroup("managers", { offsets: plan.offsets });
    const { offsets } = await admin.describeGroup("managers");
    expect(offsets.find(({ partition }) => partition === full)).toMatchObject({ lag: 6 });
    expect((await admin.groupHistory("managers")).length).toBeGreaterThan(1);
    await admin.deleteGroup("managers");
    await admin.deleteTopic("managed");
    await expect(admin.describeTopic("managed")).rejects.toMatchObject({
      code: "UNKNOWN_TOPIC_OR_PARTITION",
    });
  });

  test("[ADM-2] a signal ends every pending call, with its reason", async () => {
    const reason = new Error("enough");
    const admin = rivulet.admin.with({ signal: AbortSignal.abort(reason) });
    await expect(admin.listTopics()).rejects.toBe(reason);
    const controller = new AbortController();
    const listing = rivulet.admin.with({ signal: controller.signal }).listTopics();
    controller.abort(reason);
    await expect(listing).rejects.toBe(reason);
    await rivulet.admin.listTopics();
  });
}
