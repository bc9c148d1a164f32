// The cost of operations, counted by the meter that bills them. The tables of ARCHITECTURE.md are read here, so that they
// have exactly the counted values.
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import architecture from "../../ARCHITECTURE.md?raw";
import { RelayObject } from "../../durable-objects/relay/relay-object.ts";
import { MAX_FETCH_BYTES } from "../../src/core/limits.ts";
import { encodeBatch } from "../../src/core/log/record-batch.ts";
import { clusterStub, groupStub, partitionStub } from "../../src/env.ts";
import type { AppendAnswer } from "../../src/protocol/append-frame.ts";
import type { PartitionMessage } from "../../src/protocol/partition-socket.ts";
import { documented as documentedIn, numberOf } from "../support/cost-table.ts";
import { meteredFromStart } from "./metering.ts";
import {
  alarmOf,
  createTopic,
  decodeAll,
  env,
  eventually,
  evict,
  expectStatus,
  FREED,
  isBytes,
  produce,
  readAs,
  segmentsOf,
  signedOwner,
  signer,
  TestSocket,
  unique,
} from "./support.ts";

afterEach(() => void vi.useRealTimers());

interface Rows {
  readonly written: number;
  readonly read: number;
}

type Stub = ReturnType<typeof partitionStub>;
const APPEND = "append, any number of batches up to 1 MB";

/** Rows metered while `action` runs. Writes are what costs; reads are a thousand times cheaper. */
async function metered(
  stub: Stub | ReturnType<typeof groupStub> | ReturnType<typeof clusterStub>,
  action: () => Promise<unknown>,
): Promise<Rows> {
  const cursors: { rowsWritten: number; rowsRead: number }[] = [];
  const restore = await runInDurableObject(stub, (_, { storage }) => {
    const { sql } = storage;
    const { exec } = sql;
    sql.exec = ((...args: Parameters<typeof exec>) => {
      const cursor = exec.apply(sql, args);
      cursors.push(cursor);
      return cursor;
    }) as typeof exec;
    return () => {
      sql.exec = exec;
    };
  });
  await action();
  await runInDurableObject(stub, () => restore());
  return {
    written: cursors.reduce((sum, cursor) => sum + cursor.rowsWritten, 0),
    read: cursors.reduce((sum, cursor) => sum + cursor.rowsRead, 0),
  };
}

const UTF8 = new TextEncoder();
/** Records of 100 bytes, with key and framing, that make a megabyte. */
const RECORDS_PER_MB = 8_200;

let sequence = 0;

/** `count` records of `size` bytes, as an idempotent producer sends them: all produce that way here. */
function batchOf(count: number, size = 100, producerId = 1, keys = 50): Uint8Array {
  const records = Array.from({ length: count }, (_, i) => ({
    key: UTF8.encode(`k${(sequence + i) % keys}`),
    value: UTF8.encode("x".repeat(size)),
    headers: [],
    timestamp: Date.now(),
  }));
  const baseSequence = sequence;
  sequence += count;
  return encodeBatch(records, { producerId, producerEpoch: 0, baseSequence });
}

async function newPartition(config: Record<string, unknown> = {}) {
  const topic = await createTopic(1, config);
  const stub = partitionStub(env, topic.topicId, 0);
  sequence = 0;
  await append(stub, batchOf(1)); // The first use makes the tables.
  return { topic, stub };
}

async function append(stub: Stub, bytes: Uint8Array): Promise<void> {
  const result = await stub.append({ batches: bytes });
  expect(result).toMatchObject({ ok: true });
}

function documented(shape: string): string[] {
  return documentedIn(architecture, shape);
}

function perMillion(count: number, records: number): number {
  return Math.round((count / records) * 1_000_000);
}

describe("dollars per million records", () => {
  test.each([
    "unbatched produce",
    "produce in batches of 100",
    "64 concurrent producers of single records",
    "tail read",
    "catch-up read of chunks of 1 MB (100 B records)",
  ])("[COST-1] %s", (shape) => {
    const cells = documented(shape);
    const [written, read, objectRequests, workerRequests, dollars] = cells.map((cell) =>
      cell === "the same" ? numberOf(cells[0]) : numberOf(cell),
    ) as [number, number, number, number, number];
    const computed =
      (written * 1 + read * 0.001 + objectRequests * 0.15 + workerRequests * 0.3) / 1_000_000;
    const digits = cells[4]?.split(".")[1]?.length ?? 0;
    expect(computed.toFixed(digits)).toBe(dollars.toFixed(digits));
  });
});

describe("rows per operation", () => {
  test("[COST-1] [SEG-1] roll of a segment", async () => {
    const { stub } = await newPartition({ "segment.ms": 3_600_000 });
    await append(stub, batchOf(1));
    const usual = await metered(stub, () => append(stub, batchOf(1)));
    vi.setSystemTime(Date.now() + 7_200_000);
    const rolled = await metered(stub, () => append(stub, batchOf(1)));
    expect((await segmentsOf(stub)).length).toBe(2);
    expect(documented("roll of a segment").slice(0, 2).map(numberOf)).toEqual([
      rolled.written - usual.written,
      rolled.read - usual.read,
    ]);
  });

  test("[COST-1] first use of a partition", async () => {
    const topic = await createTopic(1);
    const stub = partitionStub(env, topic.topicId, 0);
    const { written } = await metered(stub, () => stub.offsets());
    expect(numberOf(documented("first use of a partition")[0])).toBe(written);
  });

  test("[COST-1] [GRP-17] partition with a group's member and records", async () => {
    await signer.load();
    const { topic, stub } = await newPartition();
    const path = `/v1/topics/${topic.name}/partitions/0/socket`;
    const socket = await TestSocket.open<PartitionMessage>(path);
    const owner = { group: unique("g"), incarnation: 1, memberEpoch: 1, memberNumber: 1 };
    const signed = signedOwner(owner, { topicId: topic.topicId, partition: 0 });
    socket.send({ type: "attach", attachId: 1, offset: 1, owner: signed });
    await socket.next(
      (message): message is PartitionMessage => !isBytes(message) && message !== "pong",
    );
    const idle = await alarmOf(stub);
    const came = await meteredFromStart(stub, async () => {
      await append(stub, batchOf(1));
      const frame = (await socket.next(isBytes)) as Uint8Array;
      await eventually(
        async () => Number(await alarmOf(stub)) < Number(idle),
        "the alarm for the owner",
      );
      socket.send({ type: "window", attachId: 1, bytes: frame.length });
    });
    const rang = await meteredFromStart(stub, () => runDurableObjectAlarm(stub));
    expect(await alarmOf(stub)).toBeGreaterThanOrEqual(Number(idle));
    const written = came.written - numberOf(documented(APPEND)[0]) + rang.written;
    expect(
      documented("partition with a group's member and records").slice(0, 2).map(numberOf),
    ).toEqual([written, came.read - numberOf(documented(APPEND)[1]) + rang.read]);
    socket.close(1000);
  });

  test("[COST-1] [SHR-1] [SHR-3] acquire and acknowledgement of a share group", async () => {
    const { topic, stub } = await newPartition();
    await append(stub, batchOf(20));
    const group = unique("g");
    const opened = await groupStub(env, group).openShare({ topics: [topic.name] });
    if (!opened.ok) throw new Error(opened.detail);
    const own = { group, incarnation: opened.incarnation };
    const acquire = (maxRecords: number) =>
      stub.acquire({
        ...own,
        ...{ holder: "h", maxRecords, maxBytes: 1_000_000, lockMs: null, from: "earliest" },
      });
    await acquire(1);
    const acquired = await metered(stub, () => acquire(10));
    const acks = [{ holder: "h", acks: [{ first: 0, last: 9, type: "accept" as const }] }];
    const accepted = await metered(stub, () => stub.acknowledge({ ...own, acks }));
    expect(
      numberOf(documented("acquire of a share group, of any number of records of a partition")[0]),
    ).toBe(acquired.written);
    expect(
      documented("acknowledgement of any number of its records").slice(0, 2).map(numberOf),
    ).toEqual([accepted.written, accepted.read]);
  });

  test("[COST-1] [RLY-2] push of an append to R relays", async () => {
    const { stub } = await newPartition();
    await append(stub, batchOf(1));
    const alone = await metered(stub, () => append(stub, batchOf(1)));
    const RELAYS = 3;
    for (let relay = 0; relay < RELAYS; relay++) await stub.subscribeRelay({ relay });
    const push = vi.spyOn(RelayObject.prototype, "push");
    const { written, read } = await metered(stub, () => append(stub, batchOf(1)));
    await eventually(async () => push.mock.calls.length === RELAYS, "the pushes");
    const [rowsWritten, rowsRead, requests] = documented("push of an append to R relays");
    expect([rowsWritten, rowsRead].map(numberOf)).toEqual([
      written - alone.written,
      read - alone.read,
    ]);
    expect(requests).toMatch(/^R,/);
    const appends = 20;
    const { written: inAll } = await meteredFromStart(stub, async () => {
      for (let i = 0; i < appends; i++) await append(stub, batchOf(1));
    });
    // The safety alarm is set once in ten seconds.
    expect(inAll).toBeLessThanOrEqual(appends + 1);
    push.mockRestore();
  });

  test("[COST-1] [RLY-1] a relay's first reader", async () => {
    const { stub } = await newPartition();
    const { written } = await metered(stub, () => stub.subscribeRelay({ relay: 0 }));
    expect(numberOf(documented("attach of a relay's first reader")[0])).toBe(written);
    const again = await metered(stub, () => stub.subscribeRelay({ relay: 0 }));
    expect(again.written).toBe(0);
  });

  test("[COST-1] [OFF-9] describe of a group", async () => {
    const { topic, stub } = await newPartition();
    await append(stub, batchOf(10));
    const group = unique("group");
    await readAs(group, topic, { 0: 5 });
    const describe = () => expectStatus(200, "GET", `/v1/groups/${group}`);
    // In memory first; then the partition has only just woken, and must read the unread records.
    expect(await metered(stub, describe)).toEqual({ written: 0, read: 0 });
    await evict(stub);
    await stub.offsets();
    const { written, read } = await metered(stub, describe);
    expect(documented("describe of a group").slice(0, 2).map(numberOf)).toEqual([written, read]);
  });

  test("[COST-1] [POL-1] poll of a member without a socket", async () => {
    const topic = await createTopic(2);
    await produce(
      topic.name,
      [0, 1].map((value) => ({ value, partition: value })),
    );
    const group = unique("polled");
    const poll = (ack: object[]) =>
      expectStatus(200, "POST", `/v1/groups/${group}/poll`, {
        instanceId: "i",
        topics: [topic.name],
        ack,
      });
    await poll([]);
    const stub = groupStub(env, group);
    const written = numberOf(documented("poll of a member without a socket")[0]);
    expect(await metered(stub, () => poll([]))).toEqual({ written, read: 0 });
    const ack = [0, 1].map((partition) => ({ topic: topic.name, partition, offset: 0 }));
    // All acks of a poll are one row, however many partitions they cover. The first write of a life reads the existing rows.
    expect(await metered(stub, () => poll(ack))).toEqual({ written: written + 1, read: 2 });
    // A poll that sends something for the first time notes it, once for all partitions.
    await produce(
      topic.name,
      [0, 1].map((value) => ({ value, partition: value })),
    );
    expect(await metered(stub, () => poll([]))).toEqual({ written: written + 1, read: 0 });
    expect(await metered(stub, () => poll([]))).toEqual({ written, read: 0 });
    // The partitions know their owner: nothing is written there.
    const partition = partitionStub(env, topic.topicId, 0);
    expect(await metered(partition, () => poll([]))).toMatchObject({ written: 0 });
  });

  test("[COST-1] [KEY-1] produce with an `Idempotency-Key`", async () => {
    const { topic, stub } = await newPartition();
    const path = `/v1/topics/${topic.name}/records`;
    const body = { records: [{ value: "x", timestamp: Date.now() }] };
    const keyed = (key: string) =>
      expectStatus(200, "POST", path, body, { "idempotency-key": key });
    await keyed("the first makes the day's table");
    const plain = await metered(stub, () => expectStatus(200, "POST", path, body));
    const { written } = await metered(stub, () => keyed("k"));
    const [besides, perAppend] =
      documented("produce with an `Idempotency-Key`")[0]?.match(/\d+/g) ?? [];
    expect(Number(besides) + Number(perAppend)).toBe(written - plain.written);
  });
});

describe("rows per million records", () => {
  test("[COST-1] unbatched produce", async () => {
    const { stub } = await newPartition();
    const { written, read } = await metered(stub, async () => {
      for (let i = 0; i < 256; i++) await append(stub, batchOf(1));
    });
    expect(documented("unbatched produce").slice(0, 2).map(numberOf)).toEqual([
      perMillion(written, 256),
      perMillion(read, 256),
    ]);
  });

  test("[COST-1] produce in batches of 100", async () => {
    const { stub } = await newPartition();
    const { written, read } = await metered(stub, async () => {
      for (let i = 0; i < 256; i++) await append(stub, batchOf(100));
    });
    expect(documented("produce in batches of 100").slice(0, 2).map(numberOf)).toEqual([
      perMillion(written, 25_600),
      perMillion(read, 25_600),
    ]);
  });

  test("[COST-1] [LOG-3] 64 concurrent producers of single records write at most a row per ten", async () => {
    const { topic, stub } = await newPartition();
    const producers = Array.from({ length: 64 }, (_, i) => ({ producerId: i, sequence: 0 }));
    const path = `/v1/topics/${topic.name}/partitions/0/socket`;
    const ROUNDS = 10;
    const work = async () => {
      // Each producer has one record in flight, on a connection of its own.
      const sockets = await Promise.all(producers.map(() => TestSocket.open<AppendAnswer>(path)));
      await Promise.all(
        sockets.map(async (socket, i) => {
          for (let round = 0; round < ROUNDS; round++) {
            sequence = round;
            socket.send(appendFrame(round, batchOf(1, 100, i)));
            await socket.next(
              (message): message is AppendAnswer =>
                !isBytes(message) && message !== "pong" && message.type === "appended",
            );
          }
          socket.close(1000);
        }),
      );
    };
    const { written } = await metered(stub, work);
    const records = producers.length * ROUNDS;
    expect(written).toBeLessThanOrEqual(records / 10);
    const bound = numberOf(documented("64 concurrent producers of single records")[0]);
    expect(perMillion(written, records)).toBeLessThanOrEqual(bound);
  });

  test.each([20, 100])(
    "[COST-1] [LNG-1] a thousand records a second that wait %i ms for one another",
    async (lingerMs) => {
      const { stub } = await newPartition({ "commit.linger.ms": lingerMs });
      const RECORDS = 500;
      const startMs = Date.now();
      const work = async () => {
        const appends: Promise<void>[] = [];
        while (appends.length < RECORDS) {
          const due = Math.min(RECORDS, Date.now() - startMs + 1);
          while (appends.length < due) appends.push(append(stub, batchOf(1)));
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
        await Promise.all(appends);
      };
      const { written } = await metered(stub, work);
      const commits = Math.ceil((Date.now() - startMs) / lingerMs) + 1;
      expect(written).toBeLessThanOrEqual(commits + Math.ceil(commits / 64));
      const bound = (1_000 / lingerMs) * 1_000 * (1 + 1 / 64);
      expect(numberOf(documented(`a record a second each, ${lingerMs} ms`)[0])).toBe(
        Math.round(bound),
      );
    },
  );

  test("[COST-1] tail read", async () => {
    const { topic, stub } = await newPartition();
    const path = `/v1/topics/${topic.name}/partitions/0/socket`;
    const socket = await TestSocket.open<PartitionMessage>(path);
    socket.send({ type: "attach", offset: 1 });
    await socket.next(
      (message): message is PartitionMessage => !isBytes(message) && message !== "pong",
    );
    const alone = await metered(stub, () => append(stub, batchOf(100)));
    const { written, read } = await metered(stub, async () => {
      await append(stub, batchOf(100));
      await socket.next(isBytes);
      await socket.next(isBytes);
    });
    expect({ written, read }).toEqual(alone);
    expect(documented("tail read").slice(0, 2).map(numberOf)).toEqual([0, 0]);
    socket.close(1000);
  });

  test("[COST-1] catch-up read of chunks of 1 MB", async () => {
    const { stub } = await newPartition();
    // Ten megabytes, of which the tail cache holds four: the read ones are in storage.
    for (let i = 0; i < 10; i++) await append(stub, batchOf(RECORDS_PER_MB));
    await evict(stub);
    let records = 0;
    const { written, read } = await metered(stub, async () => {
      for (let offset = 0; ; ) {
        const result = await stub.read({ offset, maxBytes: MAX_FETCH_BYTES });
        if (!result.ok || result.batches.length === 0) break;
        records += result.nextOffset - offset;
        offset = result.nextOffset;
      }
    });
    expect(written).toBe(0);
    expect(numberOf(documented("catch-up read of chunks of 1 MB (100 B records)")[1])).toBe(
      perMillion(read, records),
    );
  });

  test("[COST-1] retention", async () => {
    const { stub } = await newPartition({ "segment.bytes": 1_048_576, "retention.ms": 3_600_000 });
    for (let i = 0; i < 10; i++) await append(stub, batchOf(RECORDS_PER_MB));
    const before = (await segmentsOf(stub)).length;
    expect(before).toBe(10);
    vi.setSystemTime(Date.now() + 7_200_000);
    const { written, read } = await metered(stub, () => runDurableObjectAlarm(stub));
    expect((await segmentsOf(stub)).length).toBe(1); // An empty one, which says where the log ends.
    expect(documented("retention, per segment").slice(0, 2).map(numberOf)).toEqual([
      Math.ceil(written / before),
      Math.ceil(read / before),
    ]);
  });

  test.each([
    { shape: "compaction, per MB that goes", keys: 50 },
    { shape: "compaction, per MB that stays", keys: Number.POSITIVE_INFINITY },
  ])("[COST-1] $shape", async ({ shape, keys }) => {
    const { stub } = await newPartition({ "cleanup.policy": "compact", "segment.ms": 3_600_000 });
    const MEGABYTES = 10;
    for (let i = 0; i < MEGABYTES; i++) await append(stub, batchOf(RECORDS_PER_MB, 100, 1, keys));
    vi.setSystemTime(Date.now() + 7_200_000); // Old enough to be closed and compacted.
    const { written, read } = await metered(stub, () => runDurableObjectAlarm(stub));
    const left = await stub.read({ offset: 0, maxBytes: 1_000_000 });
    expect(left.ok && decodeAll(left.batches)[0]?.offset).toBe(keys === 50 ? 81_951 : 0);
    expect(documented(shape).slice(0, 2).map(numberOf)).toEqual([
      Math.ceil(written / MEGABYTES),
      Math.ceil(read / MEGABYTES),
    ]);
  });
});

function appendFrame(requestId: number, batches: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(12 + batches.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, requestId);
  view.setBigInt64(4, -1n);
  bytes.set(batches, 12);
  return bytes;
}

test("[COST-1] [CLU-1] a topic and a group cost the same to create and to delete, however many there are", async () => {
  const cluster = clusterStub(env);
  /** Makes one of each and deletes the topic. */
  const round = async () => {
    const name = unique("t").padEnd(40, "x"); // Patterns are looked up by each prefix of a name.
    expect(await cluster.createTopic({ name, partitions: 1, overrides: FREED })).toMatchObject({
      ok: true,
    });
    expect(
      await cluster.subscribe({ groupId: unique("g"), names: [], pattern: null }),
    ).toMatchObject({ ok: true });
    expect(await cluster.deleteTopic({ name })).toMatchObject({ ok: true });
  };
  await round(); // The first of a life counts.
  const first = await metered(cluster, round);
  for (let i = 0; i < 30; i++) {
    await cluster.createTopic({ name: unique("t"), partitions: 1, overrides: {} });
    await cluster.subscribe({ groupId: unique("g"), names: [], pattern: null });
  }
  const { written, read } = await metered(cluster, round);
  expect(written).toBe(first.written);
  // An index lookup that finds nothing reads the row behind its place, if there is one, which depends on the name.
  expect(Math.abs(read - first.read)).toBeLessThan(10);
});
