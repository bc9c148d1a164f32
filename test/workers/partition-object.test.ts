// PartitionObject over its calls and its socket. Tests that write have a twin that evicts the partition in the middle:
// [LOG-5] and [HIB-1] are every twin's second half.
import { runInDurableObject } from "cloudflare:test";
import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { GroupCommit } from "../../durable-objects/partition/group-commit.ts";
import { ERRORS, type Failure } from "../../src/core/errors.ts";
import { crc32c } from "../../src/core/log/crc32c.ts";
import { BATCH_HEADER_BYTES, encodeBatch } from "../../src/core/log/record-batch.ts";
import { partitionStub } from "../../src/env.ts";
import { writeAppendFrame } from "../../src/protocol/append-frame.ts";
import type {
  AttachedMessage,
  PartitionMessage,
  ReaderErrorMessage,
} from "../../src/protocol/partition-socket.ts";
import { listOffset } from "../../src/worker/edge/offsets.ts";
import * as messages from "../support/kafka-schemas.ts";
import { Kafka } from "./kafka-socket.ts";
import {
  type Closed,
  call,
  createTopic,
  decodeAll,
  env,
  evict,
  expectStatus,
  isBytes,
  signedOwner,
  signer,
  TestSocket,
  type TopicJson,
  TWINS,
  unique,
} from "./support.ts";

beforeAll(() => signer.load());
afterEach(() => void vi.restoreAllMocks());

const UTF8 = new TextEncoder();
const FROM_UTF8 = new TextDecoder();

/** One batch: a record for each value, at the timestamps or at 1, 2, 3 … */
function batchOf(values: readonly string[], timestamps?: readonly number[]): Uint8Array {
  return encodeBatch(
    values.map((value, index) => ({
      key: null,
      value: UTF8.encode(value),
      headers: [],
      timestamp: timestamps?.[index] ?? index + 1,
    })),
  );
}

/** One batch of one record and of exactly this many bytes. */
function batchOfBytes(sizeInBytes: number): Uint8Array {
  const make = (length: number) => batchOf(["x".repeat(length)]);
  // The lengths inside the batch are varints: start above and take off what is too much.
  let length = sizeInBytes - BATCH_HEADER_BYTES;
  while (make(length).length > sizeInBytes) length--;
  return make(length);
}

function joined(...batches: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(batches.reduce((sum, batch) => sum + batch.length, 0));
  let position = 0;
  for (const batch of batches) {
    bytes.set(batch, position);
    position += batch.length;
  }
  return bytes;
}

function unwrap<R extends { readonly ok: boolean }>(result: R): Extract<R, { readonly ok: true }> {
  if (!result.ok) throw new Error(JSON.stringify(result));
  return result as Extract<R, { readonly ok: true }>;
}

function textOf(value: Uint8Array | null): string {
  return value === null ? "null" : FROM_UTF8.decode(value);
}

/** The partition of a new topic. */
async function newPartition(config: Readonly<Record<string, unknown>> = {}) {
  const topic = await createTopic(1, config);
  const stub = partitionStub(env, topic.topicId, 0);
  return {
    topic,
    stub,
    async append(...batches: readonly Uint8Array[]): Promise<number> {
      return unwrap(await stub.append({ batches: joined(...batches) })).baseOffset;
    },
    /** Everything from `offset` on, as [offset, value]. */
    async readAll(offset = 0): Promise<[number, string][]> {
      const all: [number, string][] = [];
      for (let next = offset; ; ) {
        const { batches, nextOffset } = unwrap(
          await stub.read({ offset: next, maxBytes: 100_000 }),
        );
        if (batches.length === 0) return all;
        for (const record of decodeAll(batches))
          if (record.offset >= next) all.push([record.offset, textOf(record.value)]);
        next = nextOffset;
      }
    },
    async bounds(): Promise<{ logStartOffset: number; highWatermark: number }> {
      const { logStartOffset, highWatermark } = unwrap(await stub.offsets());
      return { logStartOffset, highWatermark };
    },
    open: (onEvent?: (event: PartitionMessage | Uint8Array | Closed | "pong") => void) =>
      Reader.open(topic, onEvent),
  };
}

interface Owner {
  readonly group: string;
  readonly incarnation: number;
  readonly memberEpoch: number;
  readonly memberNumber: number;
}

class Reader {
  readonly socket: TestSocket<PartitionMessage>;
  readonly #topicId: string;
  readonly #records: [number, string][] = [];
  #attachId = 0;

  constructor(socket: TestSocket<PartitionMessage>, topicId: string) {
    this.socket = socket;
    this.#topicId = topicId;
  }

  static async open(
    { name, topicId }: TopicJson,
    onEvent?: (event: PartitionMessage | Uint8Array | Closed | "pong") => void,
  ): Promise<Reader> {
    const path = `/v1/topics/${name}/partitions/0/socket`;
    return new Reader(await TestSocket.open(path, onEvent), topicId);
  }

  /** The owner is signed, as its group does. */
  sendAttach(
    offset: number | "earliest" | "latest",
    options: { readonly windowBytes?: number; readonly owner?: Owner } = {},
  ): void {
    const { owner } = options;
    const place = { topicId: this.#topicId, partition: 0 };
    const signed = owner === undefined ? {} : { owner: signedOwner(owner, place) };
    const attachId = ++this.#attachId;
    this.socket.send({ type: "attach", attachId, offset, ...options, ...signed });
  }

  async attach(
    offset: number | "earliest" | "latest",
    options: { readonly windowBytes?: number; readonly owner?: Owner } = {},
  ): Promise<AttachedMessage> {
    this.sendAttach(offset, options);
    return this.socket.next(
      (message): message is AttachedMessage =>
        typeof message === "object" &&
        "type" in message &&
        message.type === "attached" &&
        message.attachId === this.#attachId,
    );
  }

  error(): Promise<ReaderErrorMessage> {
    return this.socket.next(
      (message): message is ReaderErrorMessage =>
        typeof message === "object" && "type" in message && message.type === "error",
    );
  }

  giveBack(bytes: number, windowBytes?: number): void {
    this.socket.send({ type: "window", attachId: this.#attachId, bytes, windowBytes });
  }

  frame(): Promise<Uint8Array> {
    return this.socket.next(isBytes);
  }

  /** Fails if anything was received up to now that no test has requested. */
  async expectNothingMore(): Promise<void> {
    expect(await this.socket.untilPong()).toEqual([]);
    expect(this.#records).toEqual([]);
  }

  /** The next records, as [offset, value]: reads frames until there are as many. */
  async records(count: number): Promise<[number, string][]> {
    while (this.#records.length < count) {
      for (const { offset, value } of decodeAll(await this.frame()))
        this.#records.push([offset, textOf(value)]);
    }
    return this.#records.splice(0, count);
  }
}

/**
 * The partition's actions on its sockets from now on, in order. Between two sockets the order of arrival says nothing, so
 * this records the calls; object and test share an isolate, and so its prototypes.
 */
function spyOnPartition(): string[] {
  const calls: string[] = [];
  const send = WebSocket.prototype.send;
  vi.spyOn(WebSocket.prototype, "send").mockImplementation(function (this: WebSocket, data) {
    if (typeof data !== "string") calls.push("records");
    else if (data.includes('"attached"')) calls.push("attached");
    send.call(this, data);
  });
  const close = WebSocket.prototype.close;
  vi.spyOn(WebSocket.prototype, "close").mockImplementation(function (this: WebSocket, ...args) {
    calls.push(`close ${args[0]}`);
    close.apply(this, args);
  });
  return calls;
}

function owner(group: string, memberEpoch: number, options: Partial<Owner> = {}): Owner {
  return { group, incarnation: 1, memberNumber: 1, ...options, memberEpoch };
}

/** The output of `batchesOf`, as it is read back. All batches have the same size. */
function numbered(count: number, from = 0): [number, string][] {
  return Array.from({ length: count }, (_, index) => [from + index, nameOf(from + index)]);
}

function nameOf(offset: number): string {
  return `r${String(offset).padStart(2, "0")}`;
}

/** Single-record batches r00, r01, … */
function batchesOf(count: number, from = 0): Uint8Array[] {
  return numbered(count, from).map(([, value]) => batchOf([value]));
}

describe("the log", () => {
  test.each(TWINS)(
    "[LOG-1] offsets are dense and increase in the order of the appends$when",
    async ({ interrupt }) => {
      const { stub, append, readAll } = await newPartition();
      expect(await append(batchOf(["r00", "r01"]))).toBe(0);
      expect(await append(batchOf(["r02"]), batchOf(["r03", "r04"]))).toBe(2);
      await interrupt(stub);
      expect(await append(batchOf(["r05"]))).toBe(5);
      await interrupt(stub);
      expect(await append(batchOf(["r06"]))).toBe(6);
      expect(await readAll()).toEqual(numbered(7));
    },
  );

  test.each(TWINS)(
    "[LOG-1] concurrent appends get dense offsets, each its own$when",
    async ({ interrupt }) => {
      const { stub, append, readAll } = await newPartition();
      await append(batchOf(["first"]));
      await interrupt(stub);
      const values = Array.from({ length: 50 }, (_, index) => `at once ${index}`);
      const offsets = await Promise.all(values.map((value) => append(batchOf([value]))));
      expect([...offsets].sort((a, b) => a - b)).toEqual(values.map((_, index) => index + 1));
      await interrupt(stub);
      const stored = new Map(await readAll());
      expect(offsets.map((offset) => stored.get(offset))).toEqual(values);
      expect(stored.size).toBe(51);
    },
  );

  const corrupt = batchOf(["corrupt"]);
  corrupt[corrupt.length - 1] = (corrupt.at(-1) ?? 0) ^ 1;
  const empty = encodeBatch([{ key: null, value: null, headers: [], timestamp: 0 }]);
  const emptyView = new DataView(empty.buffer);
  emptyView.setInt32(57, 0);
  emptyView.setUint32(17, crc32c(empty, 21));
  const REFUSED: readonly { name: string; bytes: Uint8Array; code: Failure["error"] }[] = [
    { name: "a flipped bit", bytes: corrupt, code: "CORRUPT_MESSAGE" },
    { name: "a batch cut short", bytes: batchOf(["x"]).subarray(0, -1), code: "CORRUPT_MESSAGE" },
    { name: "no record", bytes: empty, code: "INVALID_RECORD" },
    { name: "no bytes", bytes: new Uint8Array(0), code: "INVALID_RECORD" },
    { name: "text", bytes: UTF8.encode("x".repeat(100)), code: "CORRUPT_MESSAGE" },
  ];

  test.each(TWINS.flatMap((twin) => REFUSED.map((each) => ({ ...twin, ...each }))))(
    "[LOG-2] an append with $name is rejected and nothing is stored$when",
    async ({ interrupt, bytes, code }) => {
      const { stub, append, readAll, bounds } = await newPartition();
      await append(batchOf(["r00"]));
      await interrupt(stub);
      expect(await stub.append({ batches: bytes })).toMatchObject({ ok: false, error: code });
      // A good batch before the bad one is not stored either.
      const good = batchOf(["good"]);
      if (bytes.length > 0)
        expect(await stub.append({ batches: joined(good, bytes) })).toMatchObject({
          ok: false,
          error: code,
        });
      await interrupt(stub);
      expect(await bounds()).toEqual({ logStartOffset: 0, highWatermark: 1 });
      expect(await append(batchOf(["r01"]))).toBe(1);
      expect(await readAll()).toEqual(numbered(2));
    },
  );

  test.each(TWINS)(
    "[LOG-2] a batch above max.message.bytes is rejected, one at the bound is stored$when",
    async ({ interrupt }) => {
      const { stub, append, bounds } = await newPartition({ "max.message.bytes": 1_000 });
      const [fitting, large] = [batchOfBytes(1_000), batchOfBytes(1_001)];
      expect([fitting.length, large.length]).toEqual([1_000, 1_001]);
      await interrupt(stub);
      const refused = await stub.append({ batches: joined(batchOf(["small"]), large) });
      expect(refused).toMatchObject({ ok: false, error: "MESSAGE_TOO_LARGE" });
      expect((refused as Failure).detail).toMatch(/1001.*1000/);
      expect(await append(fitting)).toBe(0);
      await interrupt(stub);
      expect(await bounds()).toEqual({ logStartOffset: 0, highWatermark: 1 });
    },
  );

  test.each(TWINS)(
    "[LOG-2] a bad append among good ones fails itself and no other$when",
    async ({ interrupt }) => {
      const { stub, readAll } = await newPartition();
      await stub.offsets();
      await interrupt(stub);
      const answers = await Promise.all([
        stub.append({ batches: batchOf(["r00"]) }),
        stub.append({ batches: corrupt }),
        stub.append({ batches: batchOf(["r01"]) }),
        stub.append({ batches: new Uint8Array(10) }),
        stub.append({ batches: batchOf(["r02"]) }),
      ]);
      expect(answers).toMatchObject([
        { ok: true, baseOffset: 0 },
        { ok: false, error: "CORRUPT_MESSAGE" },
        { ok: true, baseOffset: 1 },
        { ok: false, error: "CORRUPT_MESSAGE" },
        { ok: true, baseOffset: 2 },
      ]);
      await interrupt(stub);
      expect(await readAll()).toEqual(numbered(3));
    },
  );

  test.each(TWINS)(
    "[LOG-4] a read returns whole batches from the one that holds the offset on$when",
    async ({ interrupt }) => {
      const { stub, append } = await newPartition();
      const batches = [batchOf(["a", "b", "c"]), batchOf(["d", "e"]), batchOf(["f"])];
      const sizes = batches.map((batch) => batch.length);
      const [first = 0, second = 0, third = 0] = sizes;
      await append(...batches.slice(0, 2));
      await append(...batches.slice(2));
      await interrupt(stub);
      const read = async (offset: number, maxBytes: number) => {
        const result = unwrap(await stub.read({ offset, maxBytes }));
        return { bytes: result.batches.length, nextOffset: result.nextOffset };
      };
      // At least one batch however small the bound, and no half batch however near it.
      expect(await read(0, 1)).toEqual({ bytes: first, nextOffset: 3 });
      expect(await read(2, 1)).toEqual({ bytes: first, nextOffset: 3 });
      expect(await read(1, first + second - 1)).toEqual({ bytes: first, nextOffset: 3 });
      expect(await read(1, first + second)).toEqual({ bytes: first + second, nextOffset: 5 });
      expect(await read(4, 10_000)).toEqual({ bytes: second + third, nextOffset: 6 });
      expect(await read(3, second)).toEqual({ bytes: second, nextOffset: 5 });
      expect(await read(5, 10_000)).toEqual({ bytes: third, nextOffset: 6 });
      expect(await read(6, 10_000)).toEqual({ bytes: 0, nextOffset: 6 });
      const { batches: bytes } = unwrap(await stub.read({ offset: 4, maxBytes: 10_000 }));
      expect(decodeAll(bytes).map(({ offset }) => offset)).toEqual([3, 4, 5]);
    },
  );

  test.each(TWINS)(
    "[LOG-4] a read outside the log is refused with the log's bounds$when",
    async ({ interrupt }) => {
      const { stub, append } = await newPartition();
      await append(...batchesOf(5));
      await stub.deleteRecords({ before: 2 });
      await interrupt(stub);
      for (const offset of [1, 6]) {
        expect(await stub.read({ offset, maxBytes: 1 })).toMatchObject({
          ok: false,
          error: "OFFSET_OUT_OF_RANGE",
          logStartOffset: 2,
          highWatermark: 5,
          detail: expect.stringMatching(new RegExp(`${offset}.*2 to 5`)),
        });
      }
    },
  );

  test("[LOG-5] acknowledged records are at their offsets after every one of many evictions", async () => {
    const { stub, append, readAll } = await newPartition();
    for (let round = 0; round < 8; round++) {
      expect(await append(...batchesOf(3, round * 3))).toBe(round * 3);
      await evict(stub);
      expect(await readAll()).toEqual(numbered((round + 1) * 3));
    }
  });

  test("[LOG-5] appends under way during an eviction are answered and stored as answered", async () => {
    const { stub, append, readAll } = await newPartition();
    await append(batchOf(["first"]));
    const values = Array.from({ length: 20 }, (_, index) => `under way ${index}`);
    const appends = values.map((value) => append(batchOf([value])));
    await evict(stub);
    const offsets = await Promise.all(appends);
    const stored = new Map(await readAll());
    expect(offsets.map((offset) => stored.get(offset))).toEqual(values);
  });

  /** The partition finds batches, the Worker the record in them. */
  async function findOffset(topic: TopicJson, timestamp: number): Promise<number> {
    return (await listOffset(env, topic.topicId, 0, { timestamp })).offset;
  }

  test.each(TWINS)(
    "[LOG-6] a lookup by timestamp finds the first record that is as new$when",
    async ({ interrupt }) => {
      const { topic, stub, append } = await newPartition();
      // Out of order on purpose: first in offset order, not in time.
      await append(batchOf(["a", "b"], [100, 300]));
      await append(batchOf(["c"], [200]), batchOf(["d"], [500]));
      await append(batchOf(["e"], [400]));
      await interrupt(stub);
      const expected = new Map([
        [0, 0],
        [100, 0],
        [101, 1],
        [300, 1],
        [301, 3],
        [400, 3],
        [500, 3],
        [501, 5],
      ]);
      for (const [timestamp, offset] of expected)
        expect(await findOffset(topic, timestamp), `at ${timestamp}`).toBe(offset);
    },
  );

  test.each(TWINS)(
    "[LOG-6] a lookup by timestamp skips deleted records$when",
    async ({ interrupt }) => {
      const { topic, stub, append } = await newPartition();
      // Offset 0 is the newest of its batch and is deleted, offset 1 is kept and old.
      await append(batchOf(["a", "b"], [900, 100]));
      await append(batchOf(["c"], [500]));
      unwrap(await stub.deleteRecords({ before: 1 }));
      await interrupt(stub);
      expect(await findOffset(topic, 100)).toBe(1);
      expect(await findOffset(topic, 500)).toBe(2);
      expect(await findOffset(topic, 900)).toBe(3);
    },
  );

  test.each(TWINS)(
    "[LOG-8] deleting records moves the log start, never back and never past the end$when",
    async ({ interrupt }) => {
      const { stub, append, readAll, bounds } = await newPartition();
      await append(batchOf(["r00", "r01", "r02"]), ...batchesOf(3, 3));
      expect(await stub.deleteRecords({ before: 2 })).toMatchObject({
        ok: true,
        logStartOffset: 2,
      });
      await interrupt(stub);
      expect(await bounds()).toEqual({ logStartOffset: 2, highWatermark: 6 });
      expect(await stub.deleteRecords({ before: 1 })).toMatchObject({
        ok: true,
        logStartOffset: 2,
      });
      expect(await stub.deleteRecords({ before: 7 })).toMatchObject({
        ok: false,
        error: "OFFSET_OUT_OF_RANGE",
      });
      await interrupt(stub);
      expect(await bounds()).toEqual({ logStartOffset: 2, highWatermark: 6 });
      expect(await readAll(2)).toEqual(numbered(4, 2));
      // Everything: the log is empty and still continues where it was.
      expect(await stub.deleteRecords({ before: 6 })).toMatchObject({
        ok: true,
        logStartOffset: 6,
      });
      await interrupt(stub);
      expect(await bounds()).toEqual({ logStartOffset: 6, highWatermark: 6 });
      expect(await append(batchOf(["r06"]))).toBe(6);
      await interrupt(stub);
      expect(await readAll(6)).toEqual(numbered(1, 6));
    },
  );

  test.each(TWINS)(
    "[LOG-8] whole segments before the log start are freed$when",
    async ({ interrupt }) => {
      // The records' timestamps are of 1970: retention would drop them at the first roll.
      const { stub, append, bounds } = await newPartition({ "retention.ms": -1 });
      const batch = batchOfBytes(1_000_000);
      const append16 = joined(...Array.from({ length: 16 }, () => batch));
      for (let i = 0; i < 5; i++) await append(append16);
      await interrupt(stub);
      const segments = () =>
        runInDurableObject(stub, (_, { storage }) =>
          Array.from(
            storage.sql.exec<{ name: string }>(
              "SELECT name FROM sqlite_master WHERE name GLOB 'segment_*' ORDER BY name",
            ),
            ({ name }) => name,
          ),
        );
      const [first, second] = await segments();
      expect(first).toBe("segment_0");
      const base = Number(second?.slice("segment_".length));
      // The segment holds the record before `base`, so it goes only when that one goes.
      unwrap(await stub.deleteRecords({ before: base - 1 }));
      expect(await segments()).toEqual([first, second]);
      const before = await runInDurableObject(stub, (_, { storage }) => storage.sql.databaseSize);
      unwrap(await stub.deleteRecords({ before: base }));
      expect(await segments()).toEqual([second]);
      await interrupt(stub);
      const after = await runInDurableObject(stub, (_, { storage }) => storage.sql.databaseSize);
      expect(before - after).toBeGreaterThan(50_000_000);
      expect(await bounds()).toEqual({ logStartOffset: base, highWatermark: 80 });
      const { batches } = unwrap(await stub.read({ offset: base, maxBytes: 1 }));
      expect(decodeAll(batches)).toMatchObject([{ offset: base }]);
    },
  );
});

describe("attaching", () => {
  test.each(TWINS)(
    "[ATT-1] an older owner is closed with 4001 and the newer one reads on$when",
    async ({ interrupt }) => {
      const { stub, append, open } = await newPartition();
      const group = unique("group");
      await append(...batchesOf(2));
      const newer = await open();
      await newer.attach(0, { owner: owner(group, 5) });
      expect(await newer.records(2)).toEqual(numbered(2));
      for (const older of [
        owner(group, 4, { memberNumber: 9 }),
        owner(group, 5, { memberNumber: 0 }),
        owner(group, 9, { incarnation: 0 }),
      ]) {
        await interrupt(stub);
        const zombie = await open();
        zombie.sendAttach(0, { owner: older });
        const { code, reason } = await zombie.socket.closed;
        expect(code).toBe(4001);
        expect(reason).toMatch(/^FENCED_MEMBER_EPOCH/);
        expect(zombie.socket.received).toEqual([]);
      }
      await append(batchOf(["r02"]));
      expect(await newer.records(1)).toEqual(numbered(1, 2));
    },
  );

  test.each(TWINS)(
    "[ATT-1] the newest owner is remembered after it has gone$when",
    async ({ interrupt }) => {
      const { stub, append, open } = await newPartition();
      const group = unique("group");
      await append(batchOf(["r00"]));
      const newer = await open();
      await newer.attach(0, { owner: owner(group, 5) });
      newer.socket.close(1000);
      await newer.socket.closed;
      await interrupt(stub);
      const older = await open();
      older.sendAttach(0, { owner: owner(group, 4) });
      expect(await older.socket.closed).toMatchObject({ code: 4001 });
      const same = await open();
      await same.attach(0, { owner: owner(group, 5) });
      expect(await same.records(1)).toEqual(numbered(1));
    },
  );

  test.each(TWINS)(
    "[ATT-1] groups do not fence each other, nor do readers without a group$when",
    async ({ interrupt }) => {
      const { stub, append, open } = await newPartition();
      const readers = [await open(), await open(), await open()];
      const [high, low, none] = readers as [Reader, Reader, Reader];
      await high.attach(0, { owner: owner(unique("group"), 9) });
      await interrupt(stub);
      await low.attach(0, { owner: owner(unique("group"), 1) });
      await none.attach(0);
      await interrupt(stub);
      await append(batchOf(["r00"]));
      for (const reader of readers) expect(await reader.records(1)).toEqual(numbered(1));
    },
  );

  test.each(TWINS)(
    "[ATT-2] the older owner's socket is closed before the newer one is sent anything$when",
    async ({ interrupt }) => {
      const { stub, append, open } = await newPartition();
      const group = unique("group");
      await append(...batchesOf(3));
      const older = await open();
      await older.attach(0, { owner: owner(group, 1) });
      await older.records(3);
      await interrupt(stub);
      const newer = await open();
      const sent = spyOnPartition();
      await newer.attach(0, { owner: owner(group, 2, { memberNumber: 2 }) });
      expect(await newer.records(3)).toEqual(numbered(3));
      expect(await older.socket.closed).toMatchObject({ code: 4001 });
      expect(sent).toEqual(["close 4001", "attached", "records"]);
      const before = older.socket.received.length;
      await interrupt(stub);
      await append(batchOf(["r03"]));
      expect(await newer.records(1)).toEqual(numbered(1, 3));
      expect(older.socket.received).toHaveLength(before);
    },
  );

  test.each(TWINS)(
    "[ATT-2] an equal owner replaces the older socket with 4002$when",
    async ({ interrupt }) => {
      const { stub, append, open } = await newPartition();
      const group = unique("group");
      await append(batchOf(["r00"]));
      const [older, newer] = [await open(), await open()];
      await older.attach(0, { owner: owner(group, 3) });
      await older.records(1);
      await interrupt(stub);
      await newer.attach(1, { owner: owner(group, 3) });
      expect(await older.socket.closed).toMatchObject({ code: 4002 });
      await append(batchOf(["r01"]));
      expect(await newer.records(1)).toEqual(numbered(1, 1));
      // The same socket may attach again: that is a seek, and nobody is replaced.
      await interrupt(stub);
      await newer.attach(0, { owner: owner(group, 3) });
      expect(await newer.records(2)).toEqual(numbered(2));
    },
  );

  test.each(TWINS)(
    "[ATT-3] an incarnation from the future locks nobody out$when",
    async ({ interrupt }) => {
      const { stub, append, open } = await newPartition();
      const group = unique("group");
      await append(batchOf(["r00"]));
      const hostile = await open();
      const incarnation = Number.MAX_SAFE_INTEGER;
      hostile.sendAttach(0, { owner: owner(group, 1, { incarnation }) });
      const { code, reason } = await hostile.socket.closed;
      expect({ code, reason }).toMatchObject({
        code: 4000,
        reason: expect.stringContaining(`owner.incarnation is ${incarnation}`),
      });
      await interrupt(stub);
      const honest = await open();
      await honest.attach(0, { owner: owner(group, 1, { incarnation: Date.now() }) });
      expect(await honest.records(1)).toEqual(numbered(1));
    },
  );

  test.each(TWINS)(
    "[ATT-3] a later incarnation of the group attaches at a lower epoch$when",
    async ({ interrupt }) => {
      const { stub, append, open } = await newPartition();
      const group = unique("group");
      await append(batchOf(["r00"]));
      const past = await open();
      await past.attach(0, { owner: owner(group, 100, { incarnation: 1, memberNumber: 50 }) });
      await interrupt(stub);
      const renewed = await open();
      await renewed.attach(0, { owner: owner(group, 1, { incarnation: 2, memberNumber: 1 }) });
      expect(await renewed.records(1)).toEqual(numbered(1));
      expect(await past.socket.closed).toMatchObject({ code: 4001 });
      await interrupt(stub);
      const zombie = await open();
      zombie.sendAttach(0, { owner: owner(group, 200, { incarnation: 1, memberNumber: 51 }) });
      expect(await zombie.socket.closed).toMatchObject({ code: 4001 });
    },
  );
});

describe("tail readers", () => {
  test.each(TWINS)(
    "[TAIL-1] a reader gets every batch from its offset on, in order and once$when",
    async ({ interrupt }) => {
      const { stub, append, open } = await newPartition();
      await append(...batchesOf(5));
      const [early, middle, late] = [await open(), await open(), await open()];
      expect(await early.attach("earliest")).toMatchObject({
        offset: 0,
        logStartOffset: 0,
        highWatermark: 5,
      });
      expect(await middle.attach(3)).toMatchObject({ offset: 3 });
      expect(await late.attach("latest")).toMatchObject({ offset: 5 });
      expect(await early.records(5)).toEqual(numbered(5));
      await interrupt(stub);
      for (let next = 5; next < 15; next++) {
        await append(...batchesOf(1, next));
        if (next === 9) await interrupt(stub);
      }
      expect(await early.records(10)).toEqual(numbered(10, 5));
      expect(await middle.records(12)).toEqual(numbered(12, 3));
      expect(await late.records(10)).toEqual(numbered(10, 5));
      for (const reader of [early, middle, late]) await reader.expectNothingMore();
    },
  );

  test.each(TWINS)(
    "[TAIL-1] a reader that attaches inside a batch gets the whole batch first$when",
    async ({ interrupt }) => {
      const { stub, append, open } = await newPartition();
      await append(batchOf(["r00", "r01", "r02"]), ...batchesOf(1, 3));
      await interrupt(stub);
      const reader = await open();
      expect(await reader.attach(2)).toMatchObject({ offset: 2 });
      expect(await reader.records(4)).toEqual(numbered(4));
    },
  );

  test.each(TWINS)(
    "[TAIL-1] a reader that attaches again elsewhere reads on from there$when",
    async ({ interrupt }) => {
      const { stub, append, open } = await newPartition();
      await append(...batchesOf(4));
      const reader = await open();
      await reader.attach(0);
      await reader.records(4);
      await interrupt(stub);
      await reader.attach(2);
      expect(await reader.records(2)).toEqual(numbered(2, 2));
      await interrupt(stub);
      await append(...batchesOf(1, 4));
      expect(await reader.records(1)).toEqual(numbered(1, 4));
    },
  );

  test.each(TWINS)(
    "[TAIL-2] a reader that returns nothing gets its window, at most one batch more, and no more$when",
    async ({ interrupt }) => {
      const { stub, append, open } = await newPartition();
      const size = batchOf(["r00"]).length;
      await append(...batchesOf(10));
      const reader = await open();
      // Room for two batches and a byte: the third exceeds it, the fourth waits.
      await reader.attach(0, { windowBytes: 2 * size + 1 });
      const got = await reader.records(3);
      expect(got).toEqual(numbered(3));
      await reader.expectNothingMore();
      await interrupt(stub);
      await append(...batchesOf(2, 10));
      await reader.expectNothingMore();
      await interrupt(stub);
      // Returned bytes are owed first: the window was overdrawn by a batch less a byte.
      reader.giveBack(size);
      expect(await reader.records(1)).toEqual(numbered(1, 3));
      await reader.expectNothingMore();
      await interrupt(stub);
      for (let next = 4; next < 12; next++) {
        reader.giveBack(size);
        expect(await reader.records(1)).toEqual(numbered(1, next));
        if (next === 8) await interrupt(stub);
      }
      await append(...batchesOf(3, 12));
      await reader.expectNothingMore();
    },
  );

  test.each(TWINS)(
    "[TAIL-2] returning more than was taken does not enlarge the window$when",
    async ({ interrupt }) => {
      const { stub, append, open } = await newPartition();
      const size = batchOf(["r00"]).length;
      const reader = await open();
      await reader.attach("latest", { windowBytes: 2 * size });
      for (let i = 0; i < 5; i++) reader.giveBack(1_000_000);
      await reader.socket.untilPong();
      await interrupt(stub);
      await append(...batchesOf(10));
      expect(await reader.records(2)).toEqual(numbered(2));
      await reader.expectNothingMore();
    },
  );

  test.each(TWINS)(
    "[TAIL-2] a larger requested window applies from then on$when",
    async ({ interrupt }) => {
      const { stub, append, open } = await newPartition();
      const size = batchOf(["r00"]).length;
      await append(...batchesOf(20));
      const reader = await open();
      await reader.attach(0, { windowBytes: 2 * size });
      expect(await reader.records(2)).toEqual(numbered(2));
      await reader.expectNothingMore();
      await interrupt(stub);
      reader.giveBack(size, 4 * size);
      expect(await reader.records(3)).toEqual(numbered(3, 2));
      await reader.expectNothingMore();
      await interrupt(stub);
      reader.giveBack(1_000_000);
      expect(await reader.records(4)).toEqual(numbered(4, 5));
      await reader.expectNothingMore();
    },
  );

  test.each(TWINS)(
    "[TAIL-2] attaching again grants no more than what is not in flight$when",
    async ({ interrupt }) => {
      const { stub, append, open } = await newPartition();
      const size = batchOf(["r00"]).length;
      await append(...batchesOf(10));
      const reader = await open();
      const windowBytes = 2 * size;
      expect(await reader.attach(0, { windowBytes })).toMatchObject({ windowBytes });
      expect(await reader.records(2)).toEqual(numbered(2));
      await interrupt(stub);
      // Nothing was returned: the second attach, and a third, get nothing to send.
      expect(await reader.attach(0, { windowBytes })).toMatchObject({ windowBytes: 0 });
      expect(await reader.attach(0, { windowBytes })).toMatchObject({ windowBytes: 0 });
      await interrupt(stub);
      await reader.expectNothingMore();
      // A client that has seen `attached` has seen all frames before it, and says so.
      reader.giveBack(windowBytes);
      expect(await reader.records(2)).toEqual(numbered(2));
      await reader.expectNothingMore();
    },
  );

  test.each(TWINS)(
    "[TAIL-2] a reader that reads nothing slows no other$when",
    async ({ interrupt }) => {
      const { stub, append, open } = await newPartition();
      const [stuck, busy] = [await open(), await open()];
      await stuck.attach(0, { windowBytes: 1 });
      await busy.attach(0);
      await append(...batchesOf(1));
      await interrupt(stub);
      await append(...batchesOf(20, 1));
      expect(await busy.records(21)).toEqual(numbered(21));
      expect(await stuck.records(1)).toEqual(numbered(1));
      await stuck.expectNothingMore();
    },
  );

  test.each(TWINS.flatMap((twin) => [1, 6].map((offset) => ({ ...twin, offset }))))(
    "[TAIL-3] offset $offset outside the log gets its bounds and the socket stays$when",
    async ({ interrupt, offset }) => {
      const { stub, append, open } = await newPartition();
      await append(...batchesOf(5));
      unwrap(await stub.deleteRecords({ before: 2 }));
      await interrupt(stub);
      const reader = await open();
      reader.sendAttach(offset);
      expect(await reader.error()).toMatchObject({
        attachId: 1,
        code: "OFFSET_OUT_OF_RANGE",
        errorCode: 1,
        retriable: false,
        logStartOffset: 2,
        highWatermark: 5,
        detail: expect.stringContaining(String(offset)),
      });
      await interrupt(stub);
      // Refused means that it reads nothing, even of what comes now.
      await append(...batchesOf(1, 5));
      await reader.expectNothingMore();
      await reader.attach("earliest");
      expect(await reader.records(4)).toEqual(numbered(4, 2));
    },
  );

  test.each(TWINS)(
    "[TAIL-3] a reader whose next record was deleted is told so and the socket stays$when",
    async ({ interrupt }) => {
      const { stub, append, open } = await newPartition();
      const size = batchOf(["r00"]).length;
      await append(...batchesOf(6));
      const reader = await open();
      await reader.attach(0, { windowBytes: size });
      await reader.records(1);
      unwrap(await stub.deleteRecords({ before: 4 }));
      await interrupt(stub);
      reader.giveBack(size);
      expect(await reader.error()).toMatchObject({
        code: "OFFSET_OUT_OF_RANGE",
        logStartOffset: 4,
        highWatermark: 6,
      });
      await reader.attach("earliest");
      expect(await reader.records(2)).toEqual(numbered(2, 4));
    },
  );

  test("[HIB-1] an evicted partition continues to serve many readers, each at its place and with its window", async () => {
    const { stub, append, open } = await newPartition();
    const size = batchOf(["r00"]).length;
    await append(...batchesOf(8));
    const readers = await Promise.all(Array.from({ length: 8 }, () => open()));
    for (const [index, reader] of readers.entries()) {
      await reader.attach(index, { windowBytes: 4 * size });
      const count = Math.min(4, 8 - index);
      expect(await reader.records(count)).toEqual(numbered(count, index));
    }
    await evict(stub);
    await append(...batchesOf(4, 8));
    for (const [index, reader] of readers.entries()) {
      // Readers that had taken their whole window get nothing, the others what is left of it.
      const more = Math.max(0, index - 4);
      expect(await reader.records(more)).toEqual(numbered(more, 8));
      await reader.expectNothingMore();
    }
    await evict(stub);
    for (const [index, reader] of readers.entries()) {
      reader.giveBack(4 * size);
      const next = Math.max(8 + index - 4, index + 4);
      const count = Math.min(4, 12 - next);
      expect(await reader.records(count)).toEqual(numbered(count, next));
    }
  });

  test("[HIB-1] a heartbeat of a reader does not wake the partition", async () => {
    const { stub, append, open } = await newPartition();
    const reader = await open();
    await reader.attach("latest");
    await evict(stub);
    await reader.expectNothingMore();
    await expect(evict(stub)).rejects.toThrow("not currently running");
    await append(batchOf(["r00"]));
    expect(await reader.records(1)).toEqual(numbered(1));
  });

  test.each(TWINS)(
    "[HIB-1] a reader that breaks the protocol is closed and the others read on$when",
    async ({ interrupt }) => {
      const { stub, append, open } = await newPartition();
      const [good, bad, binary] = [await open(), await open(), await open()];
      await good.attach("earliest");
      await interrupt(stub);
      bad.socket.send({ type: "attach", offset: -1 });
      const { code, reason } = await bad.socket.closed;
      expect(code).toBe(4000);
      expect(reason).toMatch(/^INVALID_REQUEST: offset/);
      binary.socket.send(new Uint8Array([1]));
      expect(await binary.socket.closed).toMatchObject({ code: 4000 });
      await interrupt(stub);
      await append(batchOf(["r00"]));
      expect(await good.records(1)).toEqual(numbered(1));
    },
  );

  test.each(TWINS)(
    "[CLU-4] an append that waits while its topic is deleted finds no such topic, on every interface$when",
    async ({ interrupt }) => {
      const { topic, stub, append } = await newPartition();
      const { topic: other } = await newPartition();
      await append(batchOf(["r00"]));
      await interrupt(stub);
      const { socket } = await Reader.open(topic);
      const kafka = await Kafka.open();
      const came = vi.spyOn(GroupCommit.prototype, "append");
      const goOn = await runInDurableObject(stub, (_, { storage }) => {
        const { promise, resolve } = Promise.withResolvers<void>();
        storage.sync = () => promise;
        return resolve;
      });
      expect(await stub.append({ batches: batchOf(["stored"]) })).toMatchObject({
        ok: true,
        baseOffset: 1,
      });
      const records = `/v1/topics/${topic.name}/records`;
      const value = { value: "v" };
      const lines = { "content-type": "application/x-ndjson" };
      const waiting = [
        stub.append({ batches: batchOf(["called"]) }),
        call("POST", `/v1/topics/${topic.name}/partitions/0/batches`, batchOf(["batch"])),
        call("POST", records, { records: [value] }),
        call("POST", records, { records: [value] }, { "idempotency-key": "k" }),
        call("POST", records, JSON.stringify(value), lines),
        call("POST", records, JSON.stringify(value), { ...lines, accept: lines["content-type"] }),
        kafka.ask(messages.PRODUCE, 9, {
          transactionalId: null,
          acks: -1,
          timeoutMs: 10_000,
          topics: [topic, other].map(({ name }) => ({
            name,
            partitions: [{ partition: 0, records: [batchOf(["kafka"])] }],
          })),
        }),
      ];
      socket.send(
        writeAppendFrame({ requestId: 7, expectedOffset: null, batches: batchOf(["s"]) }),
      );
      // With the stored one, and the other topic's.
      await vi.waitFor(() => expect(came).toHaveBeenCalledTimes(waiting.length + 3));
      await expectStatus(204, "DELETE", `/v1/topics/${topic.name}`);
      const gone = { status: 404, body: { code: "UNKNOWN_TOPIC_OR_PARTITION" } };
      expect(await Promise.all(waiting)).toMatchObject([
        { ok: false, error: "UNKNOWN_TOPIC_ID" },
        gone,
        gone,
        gone,
        gone,
        { status: 200, body: { stored: 0, done: false, error: gone.body } },
        {
          topics: [
            { partitions: [{ errorCode: ERRORS.UNKNOWN_TOPIC_OR_PARTITION.code }] },
            { partitions: [{ errorCode: 0 }] },
          ],
        },
      ]);
      expect(await socket.next((each) => typeof each === "object")).toMatchObject({
        type: "error",
        requestId: 7,
        code: "UNKNOWN_TOPIC_ID",
      });
      expect(await socket.closed).toMatchObject({ code: 4000 });
      kafka.close();
      await runInDurableObject(stub, () => goOn());
    },
  );

  test("[HIB-1] readers of a deleted topic are closed with the reason", async () => {
    const { topic, append, open } = await newPartition();
    await append(batchOf(["r00"]));
    const reader = await open();
    await reader.attach("latest");
    await expectStatus(204, "DELETE", `/v1/topics/${topic.name}`);
    const { code, reason } = await reader.socket.closed;
    expect(code).toBe(4000);
    expect(reason).toMatch(/^UNKNOWN_TOPIC_ID/);
  });
});
