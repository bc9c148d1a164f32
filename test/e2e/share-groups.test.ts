// Share groups over real connections: the SDK's consumer, and clients that go.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type BrokerError,
  jsonSerde,
  RejectRecord,
  ReleaseRecord,
  Rivulet,
  type SharedRecord,
} from "../../src/sdk/index.ts";
import { until } from "../support/until.ts";
import { BrokerProcess } from "./broker.ts";
import { runHere } from "./cli-here.ts";

let broker: BrokerProcess;
let rivulet: Rivulet;
beforeAll(async () => {
  broker = await BrokerProcess.start();
  rivulet = new Rivulet({ url: broker.url });
});
afterAll(() => broker.stop());

let number = 0;

/** A topic, a group, and the errors that its consumers report. */
async function place(values: readonly unknown[], partitions = 2) {
  const topic = `jobs-${++number}`;
  await rivulet.admin.createTopic({ name: topic, partitions });
  if (values.length > 0)
    await rivulet.producer.send(
      topic,
      values.map((value, i) => ({ value: value as string, key: `${i}` })),
    );
  const errors: BrokerError[] = [];
  const options = {
    ...{ groupId: `workers-${number}`, topics: [topic] },
    onError: (error: BrokerError) => void errors.push(error),
    valueSerde: jsonSerde<number>(),
  };
  return { topic, options, errors };
}

async function counts(groupId: string) {
  const response = await fetch(`${broker.url}/v1/share-groups/${groupId}`);
  // Until its first consumer comes, a group that is only configured is no share group.
  const { partitions = [] } = (await response.json()) as {
    partitions?: readonly Record<string, number>[];
  };
  const sum = (field: string) => partitions.reduce((total, each) => total + (each[field] ?? 0), 0);
  const fields = ["inFlight", "waiting", "acknowledged", "archived", "lag"];
  return Object.fromEntries(fields.map((field) => [field, sum(field)]));
}

describe("the SDK's share consumer", () => {
  test("[SHC-1] two of them handle each record once, and accept it", async () => {
    const all = Array.from({ length: 500 }, (_, i) => i);
    const { options, errors } = await place(all);
    const handled: number[] = [];
    const pair = [1, 2].map(() => rivulet.shareConsumer({ ...options, maxInFlight: 20 }));
    const running = pair.map((each) =>
      each.run({
        eachRecord: async ({ value }) => {
          await null;
          handled.push(value as number);
        },
      }),
    );
    await until("all are handled", () => handled.length >= all.length);
    await Promise.all(pair.map((each) => each.close()));
    await Promise.all(running);
    expect(handled.sort((a, b) => a - b)).toEqual(all);
    expect(await counts(options.groupId)).toMatchObject({ acknowledged: 500, inFlight: 0, lag: 0 });
    expect(errors).toEqual([]);
  });

  test("[SHC-2] a handler that throws releases its record, and RejectRecord gives it up", async () => {
    const { options, errors } = await place([1, 2, 3]);
    const config = { "errors.deadletterqueue.topic.name": "jobs.dead" };
    await rivulet.admin.alterGroup(options.groupId, { config });
    const seen: string[] = [];
    const consumer = rivulet.shareConsumer(options);
    const running = consumer.run({
      eachRecord: ({ value, deliveryCount }) => {
        seen.push(`${value}×${deliveryCount}`);
        if (value === 1 && deliveryCount < 3) throw new Error("not yet");
        if (value === 2 && deliveryCount < 2) throw new ReleaseRecord(10);
        if (value === 3) throw new RejectRecord("never");
      },
    });
    await until("all are done", async () => {
      const { acknowledged = 0, archived = 0 } = await counts(options.groupId);
      return acknowledged + archived === 3;
    });
    await consumer.close();
    await running;
    expect(seen.sort()).toEqual(["1×1", "1×2", "1×3", "2×1", "2×2", "3×1"]);
    expect(errors.map(({ message }) => message)).toEqual(
      Array(2).fill(
        expect.stringContaining("the handler threw, so the record is released: not yet"),
      ),
    );
    expect(await counts(options.groupId)).toMatchObject({ acknowledged: 2, archived: 1 });
    const [dead] = await letters("jobs.dead");
    expect(dead?.headers).toMatchObject({ "__dlq.errors.message": "never" });
  });

  test("[SHC-3] it holds a record for as long as its handler takes", async () => {
    const { options, errors } = await place([1], 1);
    const first = rivulet.shareConsumer({ ...options, lockMs: 1_000 });
    const { promise: done, resolve } = Promise.withResolvers<void>();
    let begun = 0;
    const running = first.run({
      eachRecord: async () => {
        begun = Date.now();
        await done;
      },
    });
    await until("the handler runs", () => begun > 0);
    const body = JSON.stringify({ topics: options.topics, waitMs: 3_000 });
    const path = `${broker.url}/v1/share-groups/${options.groupId}/acquire`;
    const other = await fetch(path, { method: "POST", body });
    expect(await other.json()).toMatchObject({ records: [] });
    resolve();
    await until("it is accepted", async () => (await counts(options.groupId)).lag === 0);
    await first.close();
    await running;
    expect(errors).toEqual([]);
  });

  test("[SHC-4] a loop says what becomes of each record, and once", async () => {
    const { options } = await place([1, 2, 3], 1);
    const consumer = rivulet.shareConsumer(options);
    const said: unknown[] = [];
    for await (const record of consumer) {
      await record.renew();
      if (record.value === 1) await record.accept();
      else if (record.value === 2 && record.deliveryCount === 1) await record.release();
      else await record.reject("why");
      said.push(await record.accept().catch(({ code }: BrokerError) => code));
      if (said.length === 4) break;
    }
    // After the first, and after the last, all records before the offset are finished.
    const twice = "INVALID_RECORD_STATE";
    expect(said).toEqual([undefined, twice, twice, undefined]);
    expect(await counts(options.groupId)).toMatchObject({ acknowledged: 1, archived: 2, lag: 0 });
  });

  test("[SHC-5] it gives back what it has not begun when it closes", async () => {
    const { options } = await place([1, 2, 3, 4], 1);
    const consumer = rivulet.shareConsumer(options);
    for await (const record of consumer) {
      await (record as SharedRecord<object>).accept();
      break;
    }
    expect(await counts(options.groupId)).toMatchObject({
      acknowledged: 1,
      waiting: 3,
      inFlight: 0,
    });
  });

  test("[SHC-5] it gives back what comes while it closes", async () => {
    const { options } = await place([1, 2], 1);
    const answered = Promise.withResolvers<void>();
    const closing = Promise.withResolvers<void>();
    const client = new Rivulet({
      url: broker.url,
      fetch: async (url, init) => {
        const response = await fetch(url, init as RequestInit);
        if (!`${url}`.endsWith("/acquire")) return response;
        answered.resolve();
        await closing.promise;
        init?.signal?.throwIfAborted();
        return response;
      },
    });
    const consumer = client.shareConsumer(options);
    const seen: unknown[] = [];
    const running = consumer.run({ eachRecord: ({ value }) => void seen.push(value) });
    await answered.promise;
    expect(await counts(options.groupId)).toMatchObject({ inFlight: 2 });
    const closed = consumer.close();
    closing.resolve();
    await Promise.all([closed, running]);
    expect(seen).toEqual([]);
    expect(await counts(options.groupId)).toMatchObject({ inFlight: 0, waiting: 2 });
  });

  test("[SHC-6] it goes on after a restart of the broker", async () => {
    const own = await BrokerProcess.start();
    const client = new Rivulet({ url: own.url });
    await client.admin.createTopic({ name: "jobs" });
    const errors: BrokerError[] = [];
    const handled: string[] = [];
    const consumer = client.shareConsumer({
      ...{ groupId: "w", topics: ["jobs"] },
      onError: (error) => void errors.push(error),
    });
    const running = consumer.run({
      eachRecord: ({ value }) => void handled.push(new TextDecoder().decode(value ?? undefined)),
    });
    await client.producer.send("jobs", [{ value: "before" }]);
    await until("the first is handled", () => handled.length === 1);
    await own.kill();
    const { port, dataDir } = own;
    const again = await BrokerProcess.start({ port, dataDir });
    await client.producer.send("jobs", [{ value: "after" }]);
    await until("the next is handled", () => handled.includes("after"));
    await consumer.close();
    await running;
    expect(new Set(handled)).toEqual(new Set(["before", "after"]));
    await again.stop();
  });

  test("[SHC-7] refuses wrong options, and ends if the broker refuses it", async () => {
    const { options } = await place([]);
    for (const wrong of [
      { maxInFlight: 0 },
      { maxInFlight: 1_001 },
      { lockMs: 999 },
      { topics: [] },
      { from: "middle" as "earliest" },
    ])
      expect(() => rivulet.shareConsumer({ ...options, ...wrong })).toThrow(/it must be/);
    const poll = { instanceId: "i", topics: options.topics };
    const path = `${broker.url}/v1/groups/${options.groupId}/poll`;
    expect((await fetch(path, { method: "POST", body: JSON.stringify(poll) })).status).toBe(200);
    const consumer = rivulet.shareConsumer(options);
    await expect(consumer.run({ eachRecord: () => {} }, { concurrency: 1 })).rejects.toMatchObject({
      code: "GROUP_ID_NOT_FOUND",
    });
  });
});

async function letters(topic: string) {
  const found = await Promise.all(
    [0, 1].map(async (partition) => {
      const response = await fetch(
        `${broker.url}/v1/topics/${topic}/partitions/${partition}/records`,
      );
      return ((await response.json()) as { records?: { headers: object }[] }).records ?? [];
    }),
  );
  return found.flat();
}

test("[CLI-26] the command line consumes, shows and redrives", async () => {
  const { topic, options } = await place([1, 2, 3], 1);
  const cli = (...args: string[]) => runHere(args, "", { RIVULET_URL: broker.url });
  const { groupId } = options;
  const config = { "errors.deadletterqueue.topic.name": `${topic}.dead` };
  await rivulet.admin.alterGroup(groupId, { config });
  const one = await cli("queue", "consume", groupId, "--topic", topic, "--count", "1");
  expect(one).toMatchObject({ code: 0, out: "1\n", err: "" });
  const consumer = rivulet.shareConsumer(options);
  for await (const record of consumer) {
    if (record.value === 3) break;
    await record.reject("why");
  }
  await until("the dead letter is written", async () => (await counts(groupId)).archived === 1);
  const shown = await cli("queue", "stats", groupId);
  expect(shown.out).toMatch(/^TOPIC +PARTITION +START +IN FLIGHT/);
  const json = JSON.parse((await cli("--json", "queue", "stats", groupId)).out);
  expect(json.partitions).toMatchObject([{ acknowledged: 1, archived: 1, lag: 1 }]);
  const sent = await cli("queue", "redrive", groupId);
  expect(sent).toMatchObject({ code: 0, out: "Sent 1 back. 0 to go.\n", err: "" });
  const rest = await cli("--json", "queue", "consume", groupId, "--topic", topic, "--count", "2");
  const values = rest.out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line).value);
  expect(values.sort()).toEqual(["2", "3"]);
  const none = await cli("queue", "redrive", "nobody");
  expect(none).toMatchObject({ code: 1, err: expect.stringContaining("GROUP_ID_NOT_FOUND") });
});

test("[SHR-19] a client that goes while it only waits holds nothing", async () => {
  const { topic, options } = await place([], 1);
  const path = `${broker.url}/v1/share-groups/${options.groupId}/acquire`;
  const body = { topics: [topic], waitMs: 20_000, onlyWaits: true };
  const ask = (more: object = {}, signal?: AbortSignal) =>
    fetch(path, {
      method: "POST",
      body: JSON.stringify({ ...body, ...more }),
      ...(signal && { signal }),
    });
  const cut = new AbortController();
  const gone = ask({}, cut.signal);
  await until("it waits", async () => {
    const response = await fetch(`${broker.url}/v1/share-groups/${options.groupId}`);
    const { partitions } = (await response.json()) as { partitions?: readonly object[] };
    return partitions?.length === 1;
  });
  cut.abort();
  await expect(gone).rejects.toThrow();
  const waiting = ask();
  await rivulet.producer.send(topic, [{ value: "1" }]);
  expect(await (await waiting).json()).toMatchObject({ records: [] });
  expect(await (await ask()).json()).toMatchObject({ records: [{ deliveryCount: 1 }] });
});
