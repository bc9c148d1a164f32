// A partition that has reached its bound, on a broker as a person runs it. Every client hears so at once and for good, and
// each remedy makes room.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, expect, test } from "vitest";
import { MAX_PARTITION_BYTES } from "../../src/core/limits.ts";
import { Rivulet } from "../../src/sdk/index.ts";
import { BrokerProcess } from "./broker.ts";
import { CLIENTS } from "./kafka/clients.ts";

const TOPIC = "full";
/** Clients retry for a minute at least if an error is retriable. */
const FAST_MS = 20_000;

let broker: BrokerProcess;

/** The partition's log says that its closed segments hold this much. */
function setSealedBytes(dataDir: string, bytes: number): void {
  const objects = join(dataDir, "objects");
  const folder = join(
    objects,
    readdirSync(objects).find((name) => name.includes("partition")) ?? "",
  );
  for (const file of readdirSync(folder)) {
    if (!file.endsWith(".sqlite") || file === "metadata.sqlite") continue;
    const database = new DatabaseSync(join(folder, file));
    database.prepare("UPDATE log SET state = json_set(state, '$.sealedBytes', ?)").run(bytes);
    database.close();
  }
}

beforeAll(async () => {
  const first = await BrokerProcess.start();
  const { url, port, dataDir } = first;
  const { admin, producer } = new Rivulet({ url });
  const config = { "segment.bytes": 1_048_576, "retention.ms": -1 };
  await admin.createTopic({ name: TOPIC, partitions: 1, config });
  for (const letter of ["a", "b"]) await producer.send(TOPIC, [{ value: letter.repeat(900_000) }]);
  await first.signal("SIGTERM");
  setSealedBytes(dataDir, MAX_PARTITION_BYTES);
  broker = await BrokerProcess.start({ port, dataDir });
});
afterAll(() => broker.stop());

/** The time until it was refused, and the error. */
async function refusedAfter(send: Promise<unknown>): Promise<{ ms: number; reason: string }> {
  const startMs = performance.now();
  const reason = await send.then(
    () => "it was stored",
    (error: unknown) => String(error),
  );
  return { ms: performance.now() - startMs, reason };
}

test.each(CLIENTS)("[LOG-13] $name learns at once that the partition is full", async (client) => {
  const record = { partition: 0, key: null, headers: {}, timestamp: 1, value: Buffer.from("x") };
  const sent = client.send({ brokers: broker.kafka }, TOPIC, [record], "none");
  const { ms, reason } = await refusedAfter(sent);
  expect(reason).toMatch(/polic/i);
  expect(ms).toBeLessThan(FAST_MS);
});

test("[LOG-13] the SDK does too, and the reason says what makes room", async () => {
  const { producer } = new Rivulet({ url: broker.url });
  const { ms, reason } = await refusedAfter(producer.send(TOPIC, [{ value: "x" }]));
  expect(reason).toMatch(/full.*retention/);
  expect(ms).toBeLessThan(FAST_MS);
});

test("[LOG-13] it can be read, and with a lower retention it takes records again", async () => {
  const { admin, producer } = new Rivulet({ url: broker.url });
  const path = `${broker.url}/v1/topics/${TOPIC}/partitions/0/records?offset=0&maxRecords=1`;
  expect((await fetch(path)).status).toBe(200);
  // Its data about closed segments is made up. So the first goes, and with it what it holds.
  await admin.alterTopic(TOPIC, { config: { "retention.bytes": 0 } });
  await expect
    .poll(() => admin.listOffset(TOPIC, 0, "earliest"), { timeout: 30_000 })
    .toEqual({ offset: 1 });
  await broker.signal("SIGTERM");
  const { port, dataDir } = broker;
  setSealedBytes(dataDir, 0);
  broker = await BrokerProcess.start({ port, dataDir });
  expect(await producer.send(TOPIC, [{ value: "c" }])).toMatchObject([{ offset: 2 }]);
}, 60_000);
