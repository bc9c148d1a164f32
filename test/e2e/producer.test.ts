// The SDK's producer over real sockets: repeats, conditions, compression.
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { BrokerError, type RecordOutcome, Rivulet } from "../../src/sdk/index.ts";
import { type Fate, TroubleProxy } from "../support/trouble-proxy.ts";
import { BrokerProcess } from "./broker.ts";

let broker: BrokerProcess;
let direct: Rivulet;
const proxies: TroubleProxy[] = [];
beforeAll(async () => {
  broker = await BrokerProcess.start();
  direct = new Rivulet({ url: broker.url });
});
afterAll(() => broker.stop());
afterEach(() => {
  for (const proxy of proxies.splice(0)) proxy.stop();
});

/** All goes over HTTP: no socket gets through. */
async function lossy(fateOf: (line: string) => Fate): Promise<Rivulet> {
  const proxy = await TroubleProxy.start(broker.port);
  proxy.fateOf = (line) => (line.includes("/socket") ? "lose request" : fateOf(line));
  proxies.push(proxy);
  return new Rivulet({ url: proxy.url });
}

/** Every value of a partition, at its offset. */
async function stored(topic: string, partition: number): Promise<(string | undefined)[]> {
  const values: (string | undefined)[] = [];
  for (;;) {
    const path = `/v1/topics/${topic}/partitions/${partition}/records?offset=${values.length}`;
    const response = await fetch(`${broker.url}${path}&maxRecords=10000`);
    const { records } = (await response.json()) as { records: { value?: string }[] };
    if (records.length === 0) return values;
    values.push(...records.map(({ value }) => value));
  }
}

function placeOf(outcome: RecordOutcome | undefined): [number, number] {
  if (outcome === undefined || "error" in outcome) throw new Error(JSON.stringify(outcome));
  return [outcome.partition, outcome.offset];
}

test("[IDM-6] records that the producer sends again over a lossy network are stored once, in order", async () => {
  await direct.admin.createTopic({ name: "lossy", partitions: 3 });
  const fates: readonly Fate[] = ["lose answer", "pass", "lose request", "lose answer", "pass"];
  let appends = 0;
  const { producer } = await lossy((path) =>
    path.includes("/batches") ? (fates[appends++ % fates.length] as Fate) : "pass",
  );
  const values = Array.from({ length: 300 }, (_, i) => `v${i}`);
  // Many concurrent calls: those that wait for an append share the next one.
  const outcomes = await Promise.all(
    values.map((value, i) => producer.send("lossy", [{ value, partition: i % 3 }])),
  );
  expect(appends).toBeGreaterThan(10);
  const found = await Promise.all([0, 1, 2].map((partition) => stored("lossy", partition)));
  for (const partition of [0, 1, 2])
    expect(found[partition]).toEqual(values.filter((_, i) => i % 3 === partition));
  for (const [i, value] of values.entries()) {
    const [partition, offset] = placeOf(outcomes[i]?.[0]);
    expect(found[partition]?.[offset]).toBe(value);
  }
});

test("[IDM-6] after an unknown outcome, the next records are stored, not taken for repeats", async () => {
  await direct.admin.createTopic({ name: "given-up" });
  let isLosing = true;
  const { producer } = await lossy((path) =>
    path.includes("/batches") && isLosing ? "lose answer" : "pass",
  );
  const lost = producer.send("given-up", [{ value: "a" }], { deliveryTimeoutMs: 1_500 });
  await expect(lost).rejects.toThrow(/no answer/);
  isLosing = false;
  expect(placeOf((await producer.send("given-up", [{ value: "b" }]))[0])).toEqual([0, 1]);
  expect(await stored("given-up", 0)).toEqual(["a", "b"]);
});

test("[IDM-6] one rejected record among calls that shared an append fails alone", async () => {
  await direct.admin.createTopic({
    name: "shared",
    config: { "message.timestamp.after.max.ms": 0 },
  });
  const { producer } = direct;
  const future = Date.now() + 3_600_000;
  const sent = ["a", "b", "late", "c"].map((value) =>
    producer.send("shared", [{ value, ...(value === "late" ? { timestamp: future } : {}) }]),
  );
  const settled = await Promise.allSettled(sent);
  expect(settled.map(({ status }) => status)).toEqual([
    "fulfilled",
    "fulfilled",
    "rejected",
    "fulfilled",
  ]);
  expect(settled[2]).toMatchObject({ reason: { code: "INVALID_TIMESTAMP" } });
  expect(await stored("shared", 0)).toEqual(["a", "b", "c"]);
});

test("[CND-1] a conditional send is stored at its offset, or told the next one", async () => {
  await direct.admin.createTopic({ name: "events" });
  let appends = 0;
  const { producer } = await lossy((path) =>
    path.includes("/batches") && appends++ % 3 === 0 ? "lose answer" : "pass",
  );
  for (let offset = 0; offset < 10; offset++) {
    const sent = await producer.send("events", [{ value: offset }], { expectedOffset: offset });
    expect(placeOf(sent[0])).toEqual([0, offset]);
  }
  const wrong = await producer
    .send("events", [{ value: "late" }], { expectedOffset: 4 })
    .catch((error: unknown) => error);
  expect(wrong).toBeInstanceOf(BrokerError);
  expect(wrong).toMatchObject({ code: "INVALID_UPDATE_VERSION", data: { nextOffset: 10 } });
  // Two writers race for each place: the log is one history.
  const race = (name: string) =>
    Promise.allSettled(
      Array.from({ length: 20 }, (_, i) =>
        producer.send("events", [{ value: `${name}${i}` }], { expectedOffset: 10 + i }),
      ),
    );
  const [a, b] = await Promise.all([race("a"), race("b")]);
  for (let i = 0; i < 20; i++)
    expect([a[i]?.status, b[i]?.status].filter((status) => status === "fulfilled")).toHaveLength(1);
  expect(await stored("events", 0)).toHaveLength(30);
});

test("[KEY-1] a send under an idempotency key is retried by itself, repeated by others, and stored once", async () => {
  await direct.admin.createTopic({ name: "keyed", partitions: 4 });
  const records = Array.from({ length: 20 }, (_, i) => ({ key: `k${i}`, value: i }));
  let losses = 3;
  const { producer } = await lossy((path) =>
    path.includes("/records") && losses-- > 0 ? "lose answer" : "pass",
  );
  const send = () => producer.send("keyed", records, { idempotencyKey: "order-17" });
  const [first, second] = [await send(), await send()];
  expect(losses).toBeLessThan(0);
  expect(second).toEqual(first);
  const all = await Promise.all([0, 1, 2, 3].map((partition) => stored("keyed", partition)));
  expect(all.flat()).toHaveLength(20);
});

test.each(["none", "gzip", "zstd"] as const)(
  "[ZIP-3] [ZIP-1] records sent with %s are read by HTTP and by a consumer",
  async (compression) => {
    const topic = `zip-${compression}`;
    await direct.admin.createTopic({ name: topic });
    const values = Array.from({ length: 500 }, (_, i) => `${i} `.repeat(100));
    await direct.producer.send(
      topic,
      values.map((value) => ({ value, headers: { h: "1" } })),
      { compression },
    );
    expect(await stored(topic, 0)).toEqual(values);
    const read: string[] = [];
    const reader = await direct.reader({ topic, from: "earliest" });
    await reader.run({
      eachRecord: ({ value }) => {
        read.push(new TextDecoder().decode(value ?? undefined));
        if (read.length === values.length) reader.close();
      },
    });
    expect(read).toEqual(values);
  },
);
