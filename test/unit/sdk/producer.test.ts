// The SDK's producer over a broker in memory: what shares an append, what waits for what, and where records go.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { HttpClient } from "../../../src/admin/http.ts";
import { decodeAnyBatch } from "../../../src/compression/decode.ts";
import { batches } from "../../../src/core/log/record-batch.ts";
import { Producer, type ProducerOptions, type SendOptions } from "../../../src/sdk/producer.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const UTF8 = new TextDecoder();
const PARTITIONS = 3;

/** Stores all appends; their responses wait while it is held. */
class FakeBroker {
  /** Each append: its place and its values. */
  readonly appends: string[] = [];
  isHeld = false;
  readonly #held: (() => void)[] = [];
  readonly #ends = new Map<string, number>();
  #producers = 0;

  readonly fetch = async (url: string, init: { method: string; body?: string | Uint8Array }) => {
    const { pathname } = new URL(url);
    if (pathname === "/v1/producers")
      return answer({ producerId: ++this.#producers, producerEpoch: 0 });
    const [, topic, place] = /topics\/(\w+)(?:\/partitions\/(\d+))?/.exec(pathname) ?? [];
    if (place === undefined)
      return answer({
        name: topic,
        topicId: `id-${topic}`,
        partitions: PARTITIONS,
        config: { "max.message.bytes": 1_000_000, "cleanup.policy": "delete" },
      });
    const bytes = init.body as Uint8Array;
    const records = [...batches(bytes)].flatMap(({ start }) => decodeAnyBatch(bytes, start));
    const name = `${topic}/${place}`;
    this.appends.push(
      `${name}: ${records.map(({ value }) => UTF8.decode(value ?? undefined)).join(" ")}`,
    );
    const baseOffset = this.#ends.get(name) ?? 0;
    this.#ends.set(name, baseOffset + records.length);
    if (this.isHeld) await new Promise<void>((resolve) => this.#held.push(resolve));
    return answer({ baseOffset });
  };

  release(): void {
    this.isHeld = false;
    for (const resolve of this.#held.splice(0)) resolve();
  }
}

function answer(body: object) {
  return { status: 200, ok: true, text: async () => JSON.stringify(body) };
}

function producerOf(options: ProducerOptions = {}) {
  const broker = new FakeBroker();
  return {
    broker,
    producer: new Producer(new HttpClient("http://b", broker.fetch), null, options),
  };
}

const to = (partition: number, ...values: string[]) =>
  values.map((value) => ({ value, partition }));
const settle = () => vi.advanceTimersByTimeAsync(0);

test.each([
  ["a BigInt in it", { value: { total: 12n } }, "value"],
  [
    "itself in it",
    {
      value: (() => {
        const own: Record<string, unknown> = {};
        own.own = own;
        return own;
      })(),
    },
    "value",
  ],
  ["a function", { value: () => 1 }, "value"],
  ["a symbol as its key", { key: Symbol("k"), value: 1 }, "key"],
])("[PRD-4] a record with %s is rejected before anything is sent", async (_, wrong, field) => {
  for (const options of [{}, { idempotencyKey: "once" }]) {
    const { broker, producer } = producerOf();
    const sent = producer.send("t", [{ value: "sound" }, wrong], options);
    await expect(sent).rejects.toMatchObject({
      code: "INVALID_REQUEST",
      message: expect.stringContaining(`records[1].${field}: has no JSON form`),
    });
    expect(broker.appends).toEqual([]);
  }
});

test.each([0, -1, -253_402_300_799_999])("[PRD-8] the SDK sends the time %i", async (timestamp) => {
  const { producer } = producerOf();
  const [outcome] = await producer.send("t", [{ value: 1, partition: 0, timestamp }]);
  expect(outcome).toMatchObject({ timestamp });
  await expect(
    producer.send("t", [{ value: 1, timestamp: -253_402_300_800_000 }]),
  ).rejects.toMatchObject({ code: "INVALID_REQUEST" });
});

describe("what is no broker's answer", () => {
  const nothing = [204, ""] as const;
  test.each([
    nothing,
    [200, ""],
    [200, "{}"],
    [200, "null"],
    [200, "[]"],
    [200, '"ok"'],
    [200, '{"baseOffset":"7"}'],
    [304, ""],
  ] as const)("[TRB-3] %i %j is not an acknowledgment", async (status, body) => {
    for (const wrong of [/\/batches/, /\/v1\/producers/, /\/topics\/t$/]) {
      const { broker } = producerOf();
      const producer = new Producer(
        new HttpClient("http://b", async (url, init) =>
          wrong.test(url)
            ? { status, ok: status < 300, text: async () => body }
            : broker.fetch(url, init),
        ),
        null,
      );
      const sent = producer.send("t", [{ value: "a" }], { deliveryTimeoutMs: 200 });
      const refused = expect(sent).rejects.toMatchObject({ name: "ConnectionError" });
      await vi.advanceTimersByTimeAsync(300);
      await refused;
    }
  });
});

describe("what is done to records after the call", () => {
  test("[PRO-7] changes nothing", async () => {
    const { broker, producer } = producerOf();
    const record = { value: { n: 1 } as object, partition: 0 };
    const list = [record];
    const sent = producer.send("t", list);
    record.value = { n: 2 };
    list.length = 0;
    expect(await sent).toMatchObject([{ partition: 0, offset: 0 }]);
    expect(broker.appends).toEqual(['t/0: {"n":1}']);
  });
});

describe("what shares an append", () => {
  test("[PRO-1] records that arrive during an append share the next", async () => {
    const { broker, producer } = producerOf();
    broker.isHeld = true;
    const sends = ["a", "b", "c"].map((value) => producer.send("t", to(0, value)));
    await settle();
    expect(broker.appends).toEqual(["t/0: a"]);
    broker.release();
    const outcomes = await Promise.all(sends);
    expect(broker.appends).toEqual(["t/0: a", "t/0: b c"]);
    expect(outcomes.flat().map((each) => "offset" in each && each.offset)).toEqual([0, 1, 2]);
  });

  test("[PRO-1] with lingerMs the first waits for others that long, and no longer", async () => {
    const { broker, producer } = producerOf({ lingerMs: 20 });
    const first = producer.send("t", to(0, "a"));
    await vi.advanceTimersByTimeAsync(19);
    void producer.send("t", to(0, "b"));
    expect(broker.appends).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    await first;
    expect(broker.appends).toEqual(["t/0: a b"]);
  });

  test("[PRO-1] a full batch does not wait, and holds no more", async () => {
    const { broker, producer } = producerOf({ lingerMs: 10_000, batchSize: 2 });
    const sends = ["a", "b", "c"].map((value) => producer.send("t", to(0, value)));
    await settle();
    expect(broker.appends).toEqual(["t/0: a b", "t/0: c"]);
    await Promise.all(sends);
    await producer.send("t", to(1, "x", "y"));
    expect(broker.appends.at(-1)).toBe("t/1: x y");
  });

  test("[PRO-1] a conditional append waits for nobody", async () => {
    const { producer } = producerOf({ lingerMs: 10_000 });
    expect(await producer.send("t", to(0, "a"), { expectedOffset: 0 })).toMatchObject([
      { offset: 0 },
    ]);
  });
});

describe("flush and close", () => {
  test("[PRO-2] flush sends what lingers and waits for every outcome", async () => {
    const { broker, producer } = producerOf({ lingerMs: 10_000 });
    const sent = [producer.send("t", to(0, "a")), producer.send("u", to(1, "b"))];
    await settle();
    broker.isHeld = true;
    let isFlushed = false;
    const flushed = producer.flush().then(() => {
      isFlushed = true;
    });
    await settle();
    expect(broker.appends.toSorted()).toEqual(["t/0: a", "u/1: b"]);
    expect(isFlushed).toBe(false);
    broker.release();
    await flushed;
    await Promise.all(sent);
    await producer.flush();
  });

  test("[PRO-2] nothing sent just before a flush or a close lingers", async () => {
    for (const end of ["flush", "close"] as const) {
      const { broker, producer } = producerOf({ lingerMs: 6_000 });
      const sent = producer.send("t", to(0, "a"));
      const ended = producer[end]();
      await vi.advanceTimersByTimeAsync(100);
      expect(broker.appends).toEqual(["t/0: a"]);
      await Promise.all([sent, ended]);
    }
  });

  test("[PRO-2] flush waits for a send with an idempotency key too", async () => {
    let answer = (_body: object) => {};
    const fetch = () =>
      new Promise<never>((resolve) => {
        answer = (body) =>
          resolve({ status: 200, text: async () => JSON.stringify(body) } as never);
      });
    const producer = new Producer(new HttpClient("http://b", fetch), null);
    const sent = producer.send("t", [{ value: 1 }], { idempotencyKey: "k" });
    let isFlushed = false;
    void producer.flush().then(() => {
      isFlushed = true;
    });
    await settle();
    await vi.dynamicImportSettled();
    expect(isFlushed).toBe(false);
    answer({ results: [{ partition: 0, offset: 0, timestamp: 0 }] });
    await sent;
    await settle();
    expect(isFlushed).toBe(true);
  });

  test("[PRO-3] [TRB-3] a serializer that never returns delays nobody for longer than its own time", async () => {
    const { broker, producer } = producerOf({
      valueSerde: {
        serialize: (value: string) => (value === "stuck" ? new Promise<string>(() => {}) : value),
        deserialize: () => "",
      },
    } as never);
    const stuck = producer.send("t", to(0, "stuck"), { deliveryTimeoutMs: 500 });
    const refused = expect(stuck).rejects.toMatchObject({ name: "ConnectionError" });
    const next = producer.send("t", to(0, "a"));
    await vi.advanceTimersByTimeAsync(600);
    await refused;
    await next;
    expect(broker.appends).toEqual(["t/0: a"]);
  });

  test("[PRO-2] close accepts nothing more", async () => {
    const { broker, producer } = producerOf({ lingerMs: 10_000 });
    const sent = producer.send("t", to(0, "a"));
    await settle();
    await producer.close();
    expect(await sent).toHaveLength(1);
    await expect(producer.send("t", to(0, "b"))).rejects.toThrow("the producer was closed");
    expect(broker.appends).toEqual(["t/0: a"]);
  });
});

describe("room", () => {
  test("[PRO-3] beyond the bound a send waits, in the order of the calls", async () => {
    const { broker, producer } = producerOf({ maxBufferedRecords: 2 });
    broker.isHeld = true;
    const done: string[] = [];
    const sends = ["a", "b", "c", "d"].map((value) =>
      producer.send("t", to(0, value)).then(() => void done.push(value)),
    );
    await settle();
    expect(broker.appends).toEqual(["t/0: a"]);
    broker.release();
    await Promise.all(sends);
    expect(done).toEqual(["a", "b", "c", "d"]);
    expect(broker.appends.join(" ").match(/[a-d](?= |$)/g)).toEqual(["a", "b", "c", "d"]);
  });

  test("[PRO-3] a small call does not overtake a large one that waits", async () => {
    const { broker, producer } = producerOf({ maxBufferedRecords: 3 });
    broker.isHeld = true;
    const sends = [
      producer.send("t", to(0, "a", "b")),
      producer.send("t", to(0, "c", "d")),
      producer.send("t", to(0, "e")),
    ];
    await settle();
    expect(broker.appends).toEqual(["t/0: a b"]);
    broker.release();
    await Promise.all(sends);
    expect(broker.appends.map((each) => each.slice(5)).join(" ")).toBe("a b c d e");
  });

  test("[PRO-3] more than the bound is sent alone; a caller that gives up waiting has sent nothing", async () => {
    const { broker, producer } = producerOf({ maxBufferedRecords: 2 });
    broker.isHeld = true;
    const large = producer.send("t", to(0, "a", "b", "c"));
    const controller = new AbortController();
    const given = producer.send("t", to(0, "d"), { signal: controller.signal });
    await settle();
    controller.abort(new Error("enough"));
    await expect(given).rejects.toThrow("enough");
    broker.release();
    expect(await large).toHaveLength(3);
    await producer.flush();
    expect(broker.appends).toEqual(["t/0: a b c"]);
  });
});

describe("where records go", () => {
  test("[PRO-4] the partitioner places records that name no partition", async () => {
    const { broker, producer } = producerOf({
      partitioner: ({ key }, { partitions }) => String(key).length % partitions,
    });
    await producer.send("t", [
      { key: "x", value: "one" },
      { key: "xx", value: "two" },
      { key: "xxx", value: "named", partition: 2 },
    ]);
    expect(broker.appends.toSorted()).toEqual(["t/1: one", "t/2: two named"]);
  });

  test.each([-1, PARTITIONS, 0.5, Number.NaN])(
    "[PRO-4] a result of %s is rejected, nothing is sent",
    async (partition) => {
      const { broker, producer } = producerOf({ partitioner: () => partition });
      await expect(producer.send("t", [{ value: "a" }])).rejects.toThrow(
        /^the partitioner's answer for records\[0\] is .*, it must be a whole number from 0 to 2$/,
      );
      expect(broker.appends).toEqual([]);
    },
  );

  test("[PRO-5] sendBatch goes to several topics and answers in order", async () => {
    const { broker, producer } = producerOf();
    const outcomes = await producer.sendBatch([
      { topic: "t", records: to(0, "a") },
      { topic: "u", records: to(1, "b", "c") },
    ]);
    expect(outcomes.map((each) => each.length)).toEqual([1, 2]);
    expect(broker.appends.toSorted()).toEqual(["t/0: a", "u/1: b c"]);
  });

  test("[PRO-5] the topics of a batch that fail have their errors, unless all do", async () => {
    const { producer } = producerOf();
    const wrong = { topic: "u", records: [{ value: 1n }, { value: 2 }] };
    const outcomes = await producer.sendBatch([wrong, { topic: "t", records: to(0, "a") }]);
    expect(outcomes).toMatchObject([
      [
        { partition: -1, error: { code: "INVALID_REQUEST", retriable: false } },
        { partition: -1, error: { code: "INVALID_REQUEST" } },
      ],
      [{ partition: 0, offset: 0 }],
    ]);
    await expect(producer.sendBatch([wrong])).rejects.toMatchObject({ code: "INVALID_REQUEST" });
  });
});

test.each([
  [{ lingerMs: -1 }, /^lingerMs is -1, it must be a whole number from 0 to 60000/],
  [{ batchSize: 0 }, /^batchSize is 0/],
  [{ batchSize: 10_001 }, /^batchSize is 10001/],
  [{ maxBufferedRecords: 0 }, /^maxBufferedRecords is 0/],
  [{ compression: "brotli" as never }, /^compression is "brotli"/],
  [{ deliveryTimeoutMs: -1 }, /^deliveryTimeoutMs is -1, it must be a whole number from 0/],
  [{ deliveryTimeoutMs: 2 ** 31 }, /^deliveryTimeoutMs is 2147483648/],
])("[CBK-7] rejected: %o", (options, message) => {
  expect(() => producerOf(options)).toThrow(message);
});

test.each([
  [{ compression: "brotli" }, /^compression is "brotli"/],
  [{ expectedOffset: -1 }, /^expectedOffset is -1, it must be a whole number from 0/],
  [{ expectedOffset: 1.5 }, /^expectedOffset is 1.5/],
  [{ deliveryTimeoutMs: Number.NaN }, /^deliveryTimeoutMs is NaN/],
  [{ idempotencyKey: "" }, /^idempotencyKey is ""/],
  [{ idempotencyKey: "x".repeat(256) }, /^idempotencyKey is "x/],
  [{ idempotencyKey: "\u00e4" }, /1 to 255 ASCII characters/],
  [{ idempotencyKey: "a\nb" }, /1 to 255 ASCII characters/],
  [{ idempotencyKey: "a\n" }, /1 to 255 ASCII characters/],
])("[CBK-7] [KEY-1] rejected by a send, before any request: %o", async (options, message) => {
  const fetch = vi.fn();
  const producer = new Producer(new HttpClient("http://b", fetch), null);
  await expect(producer.send("t", [{ value: 1 }], options as SendOptions)).rejects.toThrow(message);
  expect(fetch).not.toHaveBeenCalled();
});

test.each([
  [{}, "value"],
  [{ value: 1, valueBase64: "YQ==" }, "valueBase64"],
  [{ value: 1, key: "k", keyBase64: "aw==" }, "keyBase64"],
  [{ value: 1, partition: -1 }, "partition"],
  [{ value: 1, partition: 1_000 }, "partition"],
  [{ value: 1, partition: 0.5 }, "partition"],
  [{ value: 1, timestamp: 1.5 }, "timestamp"],
  [{ value: 1, timestamp: 253_402_300_800_000 }, "timestamp"],
  [{ value: 1, headers: { a: Array(101).fill("x") } }, "headers"],
  [
    {
      value: 1,
      headers: Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`h${i}`, "x"])),
    },
    "headers",
  ],
  [null, "value"],
  [undefined, "value"],
])("[PRD-4] an invalid record is rejected with its place and field: %j", async (wrong, field) => {
  const { broker, producer } = producerOf();
  const records = [{ value: "sound", partition: 0 }, wrong] as never;
  await expect(producer.send("t", records)).rejects.toMatchObject({
    code: "INVALID_REQUEST",
    message: expect.stringContaining(`records[1].${field}`),
  });
  expect(broker.appends).toEqual([]);
});

test.each([
  { value: null, key: "k" },
  { valueBase64: "YQ==", keyBase64: "aw==" },
  { value: 1, timestamp: 253_402_300_799_999 },
  { value: 1, headers: { a: Array(100).fill("x") } },
  { value: 1, headers: {} },
])("[PRD-4] a record at the bounds is sent: %j", async (record) => {
  const { producer } = producerOf();
  expect(await producer.send("t", [{ ...record, partition: 0 }])).toMatchObject([{ offset: 0 }]);
});

test("[PRD-1] no records make no request", async () => {
  const fetch = vi.fn();
  const producer = new Producer(new HttpClient("http://b", fetch), null);
  expect(await producer.send("t", [])).toEqual([]);
  expect(fetch).not.toHaveBeenCalled();
});

test.each([
  [{ value: "a", partition: 1 }, "the records go to the partitions 0, 1, not to one"],
  [{ value: "a" }, "records[1] needs a partition or a key"],
])(
  "[CND-1] records that no single partition could keep are rejected, and not sent: %j",
  async (other, message) => {
    const { broker, producer } = producerOf();
    const records = [{ value: "a", partition: 0 }, other];
    const sent = producer.send("t", records, { expectedOffset: 0 });
    const refused = expect(sent).rejects.toThrow(message);
    await vi.dynamicImportSettled();
    await refused;
    expect(broker.appends).toEqual([]);
  },
);

describe("a signal", () => {
  test("[TRB-4] aborted before sends nothing, and aborted later ends the wait with its reason", async () => {
    const { broker, producer } = producerOf();
    await expect(
      producer.send("t", to(0, "a"), { signal: AbortSignal.abort(new Error("before")) }),
    ).rejects.toThrow("before");
    expect(broker.appends).toEqual([]);
    broker.isHeld = true;
    const controller = new AbortController();
    const sent = producer.send("t", to(0, "b"), { signal: controller.signal });
    await settle();
    controller.abort(new Error("enough"));
    await expect(sent).rejects.toThrow("enough");
    broker.release();
    // It may be stored all the same, and the next is behind it.
    expect(await producer.send("t", to(0, "c"))).toMatchObject([{ offset: 1 }]);
    expect(broker.appends).toEqual(["t/0: b", "t/0: c"]);
  });
});
