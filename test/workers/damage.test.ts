// A batch that cannot be read, in one of two partitions, and every way to reach it.
import { runInDurableObject } from "cloudflare:test";
import { exports } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import { ERRORS, KAFKA_ERRORS } from "../../src/core/errors.ts";
import { crc32c } from "../../src/core/log/crc32c.ts";
import { type PartitionStub, partitionStub } from "../../src/env.ts";
import { type AppendAnswer, writeAppendFrame } from "../../src/protocol/append-frame.ts";
import type { PartitionMessage } from "../../src/protocol/partition-socket.ts";
import type { PlainServerMessage } from "../../src/protocol/plain-consumer.ts";
import type { RivuletService } from "../../src/sdk/index.ts";
import * as messages from "../support/kafka-schemas.ts";
import { Kafka } from "./kafka-socket.ts";
import { sdkClient } from "./sdk-client.ts";
import {
  call,
  createTopic,
  decodeAll,
  env,
  eventually,
  evict,
  expectStatus,
  fetchRecords,
  isBytes,
  type JsonRecord,
  joined,
  ORIGIN,
  produce,
  readAs,
  recordBatch,
  TestSocket,
  type TopicJson,
  TWINS,
  unique,
} from "./support.ts";

afterEach(() => void vi.restoreAllMocks());

const BASE_MS = Date.now();
const CORRUPT = ERRORS.CORRUPT_MESSAGE.code;

/** The batch that cannot be read, of offset 3. Its time follows the others' by their offsets. */
const BAD = () => recordBatch(["pay 100"], { timestamps: [BASE_MS + 3] });

function batchesWith(bad: Uint8Array): Uint8Array[] {
  return [
    recordBatch(["p0 0", "p0 1"], { timestamps: [BASE_MS, BASE_MS + 1] }),
    recordBatch(["p0 2"], { timestamps: [BASE_MS + 2] }),
    bad,
    recordBatch(["p0 4", "p0 5"], { timestamps: [BASE_MS + 4, BASE_MS + 5] }),
  ];
}

/** A topic of two partitions: offset 3 of the first cannot be read, the second is intact. */
interface Damaged {
  readonly topic: TopicJson;
  readonly stub: PartitionStub;
}

function stubOf(topic: TopicJson, partition = 0) {
  return partitionStub(env, topic.topicId, partition);
}

async function topicOf(batches: readonly Uint8Array[]): Promise<Damaged> {
  const topic = await createTopic(2);
  const stub = stubOf(topic);
  expect(await stub.append({ batches: joined(...batches) })).toMatchObject({ ok: true });
  await produce(
    topic.name,
    [0, 1].map((i) => ({ value: `p1 ${i}`, partition: 1 })),
  );
  return { topic, stub };
}

/** Changes the data on the disk, and forgets the data in memory. */
async function overwrite(
  stub: DurableObjectStub,
  change: (bytes: Uint8Array) => void,
): Promise<void> {
  await runInDurableObject(stub, (_, { storage }) => {
    const [row] = storage.sql.exec<{ batches: ArrayBuffer }>("SELECT batches FROM segment_0");
    const bytes = new Uint8Array(row?.batches as ArrayBuffer);
    change(bytes);
    storage.sql.exec("UPDATE segment_0 SET batches = ?", bytes);
  });
  await evict(stub);
}

async function makeFlipped(): Promise<Damaged> {
  const batches = batchesWith(BAD());
  const made = await topicOf(batches);
  const end = joined(...batches.slice(0, 3)).length;
  await overwrite(made.stub, (bytes) => {
    bytes[end - 4] = (bytes[end - 4] as number) ^ 8; // pay 900
  });
  return made;
}

const KINDS: readonly { kind: string; make(): Promise<Damaged> }[] = [
  { kind: "a bit flipped on disk", make: makeFlipped },
  {
    kind: "a batch that nobody can decode",
    make: async () => {
      const bad = BAD();
      bad.fill(0xff, 61);
      new DataView(bad.buffer).setUint32(17, crc32c(bad, 21));
      const made = await topicOf(batchesWith(bad));
      await evict(made.stub);
      return made;
    },
  },
];

/** The error on every interface, with its own field names around it. */
function problem({ topic }: Damaged) {
  const place = { topic: topic.name, partition: 0, offset: 3 };
  return {
    code: "CORRUPT_MESSAGE",
    errorCode: CORRUPT,
    retriable: false,
    detail: expect.stringContaining(`${topic.name}/0`),
    ...place,
  };
}

const BEFORE = ["p0 0", "p0 1", "p0 2"];
const values = (records: readonly JsonRecord[]) => records.map(({ value }) => value);
const isOf = (partition: number, all: readonly string[]) =>
  all.filter((value) => value.startsWith(`p${partition} `));

/** The records of a reader that reads both partitions and continues by itself. */
interface Follower {
  readonly values: string[];
  readonly errors: object[];
  close(): Promise<void> | void;
}

const FOLLOWERS: readonly {
  way: string;
  follow(damaged: Damaged): Promise<Follower>;
}[] = [
  {
    way: "server-sent events",
    follow: async ({ topic }) => {
      const url = `${ORIGIN}/v1/topics/${topic.name}/stream?from=earliest`;
      const { body } = await exports.default.fetch(url);
      const reader = (body as ReadableStream<Uint8Array>).getReader();
      const follower: Follower = { values: [], errors: [], close: () => reader.cancel() };
      void (async () => {
        let text = "";
        for (const utf8 = new TextDecoder(); ; ) {
          const { done, value } = await reader.read();
          if (done) return;
          const blocks = (text + utf8.decode(value, { stream: true })).split("\n\n");
          text = blocks.pop() as string;
          for (const block of blocks) {
            const data = /^data: (.*)$/m.exec(block)?.[1];
            if (data === undefined) continue;
            const parsed = JSON.parse(data);
            if (block.startsWith("event: problem")) follower.errors.push(parsed);
            else follower.values.push(parsed.value);
          }
        }
      })().catch(() => {}); // Cancelled.
      return follower;
    },
  },
  ...["a plain WebSocket of a group", "a plain WebSocket without a group"].map((way) => ({
    way,
    follow: async ({ topic: { name } }: Damaged) => {
      const path = way.endsWith("without a group")
        ? `/v1/topics/${name}/stream?from=earliest`
        : `/v1/groups/${unique("group")}/consume?topics=${name}&from=earliest`;
      const follower = { values: [] as string[], errors: [] as object[] };
      const socket = await TestSocket.open<PlainServerMessage>(path, (event) => {
        if (typeof event !== "object" || !("type" in event)) return;
        if (event.type === "records") follower.values.push(...(values(event.records) as string[]));
        if (event.type === "error") follower.errors.push(event);
      });
      return { ...follower, close: () => socket.close() };
    },
  })),
  {
    way: "the SDK's consumer",
    follow: async ({ topic }) => {
      const follower = { values: [] as string[], errors: [] as object[] };
      const consumer = sdkClient().consumer({
        groupId: unique("group"),
        topics: [topic.name],
        from: "earliest",
        onError: ({ code, errorCode, retriable, message: detail, data }) =>
          follower.errors.push({ code, errorCode, retriable, detail, ...data }),
      });
      void consumer.run({
        eachRecord: ({ value }) => {
          follower.values.push(new TextDecoder().decode(value as Uint8Array));
        },
      });
      return { ...follower, close: () => consumer.close() };
    },
  },
];

describe.each(KINDS)("$kind", ({ make }) => {
  test.each(FOLLOWERS)(
    "[CRC-2] [CRC-4] is reported by $way, after the data before it; other partitions continue",
    async ({ follow }) => {
      const damaged = await make();
      const follower = await follow(damaged);
      await eventually(async () => follower.errors.length > 0, "the error");
      expect(follower.errors[0]).toMatchObject(problem(damaged));
      await eventually(async () => isOf(0, follower.values).length >= 3, "what is before it");
      expect(isOf(0, follower.values)).toEqual(BEFORE);
      await evict(damaged.stub);
      await evict(stubOf(damaged.topic, 1));
      await produce(damaged.topic.name, [{ value: "p1 2", partition: 1 }]);
      await eventually(async () => isOf(1, follower.values).length >= 3, "the other partition");
      expect(isOf(1, follower.values)).toEqual(["p1 0", "p1 1", "p1 2"]);
      expect(isOf(0, follower.values)).toEqual(BEFORE);
      await follower.close();
    },
  );

  test.each(TWINS)("[CRC-2] [CRC-4] is a broker error over HTTP$when", async ({ interrupt }) => {
    const damaged = await make();
    const { topic, stub } = damaged;
    const path = `/v1/topics/${topic.name}/partitions/0/records`;
    expect(await fetchRecords(topic.name, 0)).toMatchObject({ nextOffset: 3, highWatermark: 6 });
    expect(values((await fetchRecords(topic.name, 0)).records)).toEqual(BEFORE);
    await interrupt(stub);
    expect(await call("GET", `${path}?offset=3`)).toMatchObject({
      status: 500,
      contentType: "application/problem+json",
      body: { ...problem(damaged), status: 500 },
    });
    expect(values((await fetchRecords(topic.name, 0, "?offset=4")).records)).toEqual([
      "p0 4",
      "p0 5",
    ]);
    expect((await fetchRecords(topic.name, 1)).records).toHaveLength(2);
    // From a producer it is still the request's fault.
    const sent = recordBatch(["x"]);
    sent[65] = (sent[65] as number) ^ 1;
    const batches = `/v1/topics/${topic.name}/partitions/0/batches`;
    expect(await call("POST", batches, sent)).toMatchObject({
      status: 400,
      body: { code: "CORRUPT_MESSAGE" },
    });
    expect(await produce(topic.name, [{ value: "p0 6", partition: 0 }])).toMatchObject([
      { offset: 6 },
    ]);
  });

  test("[CRC-2] [CRC-4] ends a read of lines with the error", async () => {
    const damaged = await make();
    const { name } = damaged.topic;
    const path = `/v1/topics/${name}/partitions/0/records`;
    const response = await exports.default.fetch(`${ORIGIN}${path}`, {
      headers: { accept: "application/x-ndjson" },
    });
    const lines = (await response.text()).trim().split("\n");
    const parsed = lines.map((line) => JSON.parse(line));
    expect(values(parsed.slice(0, 3))).toEqual(BEFORE);
    expect(parsed.slice(3)).toMatchObject([{ error: { ...problem(damaged), status: 500 } }]);
  });

  test.each(TWINS)(
    "[CRC-2] [CRC-4] is found by no lookup by time, and data elsewhere is$when",
    async ({ interrupt }) => {
      const damaged = await make();
      const { topic, stub } = damaged;
      const path = (at: number) => `/v1/topics/${topic.name}/partitions/0/offsets?at=${at}`;
      expect(await expectStatus(200, "GET", path(BASE_MS + 2))).toMatchObject({ offset: 2 });
      await interrupt(stub);
      expect(await call("GET", path(BASE_MS + 3))).toMatchObject({
        status: 500,
        body: problem(damaged),
      });
      const kafka = await Kafka.open();
      const ask = async (timestamp: number) => {
        const partitions = [0, 1].map((partition) => ({ partition, timestamp }));
        const { topics } = await kafka.ask<{ topics: { partitions: object[] }[] }>(
          messages.LIST_OFFSETS,
          5,
          { replicaId: -1, isolationLevel: 0, topics: [{ name: topic.name, partitions }] },
        );
        return topics[0]?.partitions;
      };
      expect(await ask(BASE_MS + 3)).toMatchObject([
        { partition: 0, errorCode: CORRUPT },
        { partition: 1, errorCode: KAFKA_ERRORS.NONE, offset: 0 },
      ]);
      expect(await ask(-1)).toMatchObject([{ offset: 6 }, { offset: 2 }]);
    },
  );

  test("[CRC-2] [CRC-4] hides no group's committed offsets", async () => {
    const { topic } = await make();
    const group = unique("group");
    await readAs(group, topic, { 0: 3, 1: 1 });
    expect(await expectStatus(200, "GET", `/v1/groups/${group}`)).toMatchObject({
      offsets: [
        { partition: 0, committedOffset: 3, lag: 3, oldestUnreadMs: null },
        { partition: 1, committedOffset: 1, lag: 1 },
      ],
    });
  });
});

describe("a bit flipped on disk, for who is given batches", () => {
  const make = makeFlipped;

  test.each(TWINS)(
    "[CRC-2] is reported over a partition's socket, which may attach elsewhere$when",
    async ({ interrupt }) => {
      const damaged = await make();
      const { topic, stub } = damaged;
      const socket = await TestSocket.open<PartitionMessage>(
        `/v1/topics/${topic.name}/partitions/0/socket`,
      );
      const attach = (attachId: number, offset: number | { durationMs: number }) =>
        socket.send({ type: "attach", attachId, offset });
      const told = () => socket.next((message): message is PartitionMessage => !isBytes(message));
      attach(1, 0);
      expect(await told()).toMatchObject({ type: "attached" });
      expect(decodeAll(await socket.next(isBytes)).map(({ offset }) => offset)).toEqual([0, 1, 2]);
      expect(await told()).toMatchObject({ type: "error", attachId: 1, ...problem(damaged) });
      await interrupt(stub);
      attach(2, 3);
      expect(await told()).toMatchObject({ type: "attached", offset: 3 });
      expect(await told()).toMatchObject({ type: "error", attachId: 2, ...problem(damaged) });
      attach(3, 4);
      expect(await told()).toMatchObject({ type: "attached", offset: 4 });
      expect(decodeAll(await socket.next(isBytes)).map(({ offset }) => offset)).toEqual([4, 5]);
      await interrupt(stub);
      await produce(topic.name, [{ value: "p0 6", partition: 0 }]);
      expect(decodeAll(await socket.next(isBytes)).map(({ offset }) => offset)).toEqual([6]);
    },
  );

  test.each(TWINS)(
    "[CRC-2] is error 2 of its partition in Kafka's Fetch, after the data before it$when",
    async ({ interrupt }) => {
      const { topic, stub } = await make();
      const kafka = await Kafka.open();
      const fetch = async (fetchOffset: number) => {
        const of = (partition: number, offset: number) => ({
          partition,
          fetchOffset: offset,
          partitionMaxBytes: 100_000,
        });
        const { topics } = await kafka.ask<{
          topics: { partitions: { errorCode: number; records: Uint8Array | null }[] }[];
        }>(messages.FETCH, 11, {
          maxWaitMs: 5_000,
          minBytes: 1,
          maxBytes: 1_000_000,
          topics: [{ name: topic.name, partitions: [of(0, fetchOffset), of(1, 0)] }],
        });
        return topics[0]?.partitions.map(({ errorCode, records }) => [
          errorCode,
          decodeAll(records ?? new Uint8Array()).map(({ offset }) => offset),
        ]);
      };
      /** Fetched again while the feeds are being opened. */
      const eventuallyFetch = (offset: number, isDone: (answer: unknown) => boolean) =>
        eventually(async () => {
          const answer = await fetch(offset);
          return isDone(answer?.[0]) ? answer : null;
        }, `a fetch from ${offset}`);
      const isEmpty = (answer: unknown) => JSON.stringify(answer) === "[0,[]]";
      expect((await eventuallyFetch(0, (answer) => !isEmpty(answer)))?.[0]).toEqual([0, [0, 1, 2]]);
      await interrupt(stub);
      expect((await eventuallyFetch(3, (answer) => !isEmpty(answer)))?.[0]).toEqual([CORRUPT, []]);
      // Repeatedly, while the other partition is served.
      const seen = new Set<string>();
      await eventually(async () => {
        for (const each of (await fetch(3)) ?? []) seen.add(JSON.stringify(each));
        return seen.has(`[${CORRUPT},[]]`) && seen.has("[0,[0,1]]");
      }, "both partitions");
      expect((await eventuallyFetch(4, (answer) => !isEmpty(answer)))?.[0]).toEqual([0, [4, 5]]);
    },
  );
});

describe("who runs the broker", () => {
  test("[CRC-2] learns of damage once, with the partition, the offset and the object's file", async () => {
    const { topic, stub } = await makeFlipped();
    const log = vi.spyOn(console, "error").mockImplementation(() => {});
    const said = () =>
      log.mock.calls.map(([line]) => String(line)).filter((each) => each.includes(topic.name));
    for (let i = 0; i < 3; i++) await stub.read({ offset: 0, maxBytes: 100_000 });
    expect(said()).toEqual([
      expect.stringMatching(new RegExp(`${topic.name}/0 at offset 3 .*${stub.id}\\.sqlite`)),
    ]);
    await evict(stub);
    await stub.read({ offset: 0, maxBytes: 100_000 });
    expect(said()).toHaveLength(2);
  });
});

describe("what a partition has stored besides batches", () => {
  const TABLES: readonly { where: string; spoil: string; needs: "anything" | "producers" }[] = [
    { where: "partition.topic", spoil: "UPDATE partition SET topic = '{\"na'", needs: "anything" },
    { where: "log.state", spoil: "UPDATE log SET state = 'x'", needs: "anything" },
    {
      where: "producers.entries",
      spoil: "UPDATE producers SET entries = '[['",
      needs: "producers",
    },
    {
      where: "segment_0.appends",
      spoil: "UPDATE segment_0 SET appends = '[1,' WHERE base_offset = 1",
      needs: "producers",
    },
  ];

  test.each(TABLES)(
    "[CRC-2] [ERR-2] $where: an error that names it and is not retriable, and nothing is written over it",
    async ({ where, spoil, needs }) => {
      vi.spyOn(console, "error").mockImplementation(() => {});
      const topic = await createTopic(1);
      const stub = stubOf(topic);
      await produce(topic.name, [{ value: "a" }]);
      await produce(topic.name, [{ value: "b" }]);
      // A state is written only by rare operations.
      await stub.deleteRecords({ before: 1 });
      const place = `/v1/topics/${topic.name}`;
      const path = `${place}/partitions/0`;
      const before = await Promise.all(
        [1, 2].map(() => TestSocket.open<AppendAnswer>(`${path}/socket`)),
      );
      await runInDurableObject(stub, (_, { storage }) => {
        storage.sql.exec(spoil);
      });
      await evict(stub);
      const failure = {
        ok: false,
        error: "KAFKA_STORAGE_ERROR",
        detail: expect.stringContaining(where),
        retriable: false,
      };
      const batch = recordBatch(["c"], { producer: [5, 0, 0] });
      for (let i = 0; i < 2; i++) {
        expect(await stub.append({ batches: batch })).toMatchObject(failure);
        await evict(stub);
      }
      if (needs === "anything") {
        before[0]?.send({ type: "attach", attachId: 1, offset: 0, windowBytes: 1_000 });
        before[1]?.send(writeAppendFrame({ requestId: 1, expectedOffset: null, batches: batch }));
        const reason = expect.stringMatching(/^KAFKA_STORAGE_ERROR: /);
        for (const socket of before) expect(await socket.closed).toEqual({ code: 4000, reason });
      }
      const read = await stub.read({ offset: 1, maxBytes: 1_000 });
      if (needs === "producers") expect(read).toMatchObject({ ok: true, nextOffset: 2 });
      else expect(read).toMatchObject(failure);
      expect((await call("GET", `${path}/records?offset=1`)).status).toBe(
        needs === "producers" ? 200 : 503,
      );
      const { ok: _ok, error: code, ...told } = failure;
      const problem = { status: 503, body: { code, ...told } };
      const records = [{ value: "c" }];
      for (const key of [undefined, "a key"]) {
        const headers: Record<string, string> = key === undefined ? {} : { "idempotency-key": key };
        const answer = await call("POST", `${place}/records`, { records }, headers);
        expect(answer, `key: ${key}`).toMatchObject(problem);
      }
      expect(await call("POST", `${path}/batches`, batch)).toMatchObject(problem);
      const { Rivulet } = exports as unknown as { Rivulet: RivuletService };
      const thrown = await Rivulet.produce(topic.name, records).catch((error: unknown) => error);
      expect(thrown).toMatchObject({ code, retriable: false });
      if (needs === "anything") return;
      const socket = await TestSocket.open<AppendAnswer>(`${path}/socket`);
      socket.send(writeAppendFrame({ requestId: 1, expectedOffset: null, batches: batch }));
      const isAnswer = (message: unknown): message is AppendAnswer =>
        typeof message === "object" && message !== null && "requestId" in message;
      expect(await socket.next(isAnswer)).toMatchObject({ type: "error", code, ...told });
    },
  );
});

describe("a partition that cannot answer", () => {
  test.each([
    {
      how: "its stored data is damaged",
      spoil: "UPDATE partition SET topic = '{'",
      code: "KAFKA_STORAGE_ERROR",
    },
    { how: "its object breaks", spoil: "DROP TABLE log", code: expect.any(String) },
  ])(
    "[POL-6] [OFF-6] affects nothing that the others answer for, where $how",
    async ({ spoil, code }) => {
      vi.spyOn(console, "error").mockImplementation(() => {});
      const topic = await createTopic(2);
      const { name } = topic;
      await produce(name, [
        { value: "lost", partition: 0 },
        { value: "a", partition: 1 },
      ]);
      const group = unique("group");
      await readAs(group, topic, { 0: 1, 1: 0 });
      const stub = stubOf(topic);
      await runInDurableObject(stub, (_, { storage }) => {
        storage.sql.exec(spoil);
      });
      await evict(stub);
      const unreadable = [
        { topic: name, partition: 0, offset: 1, code, detail: expect.any(String) },
      ];
      const path = `/v1/groups/${group}`;
      expect(await expectStatus(200, "GET", path)).toMatchObject({
        offsets: [{ topic: name, partition: 1, committedOffset: 0, logEndOffset: 1, lag: 1 }],
        unreadable,
      });
      const poll = { instanceId: "i", topics: [name] };
      expect(await expectStatus(200, "POST", `${path}/poll`, poll)).toMatchObject({
        records: [{ value: "a" }],
        unreadable,
      });
      const ack = [{ topic: name, partition: 1, offset: 0 }];
      expect(await expectStatus(200, "POST", `${path}/poll`, { ...poll, ack })).toMatchObject({
        records: [],
        unreadable,
      });
    },
  );
});
