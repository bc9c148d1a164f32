// The SDK's producer when it has more to say than one append at a time can carry: over a partition socket, in
// order, a few appends ahead of their answers.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { HttpClient } from "../../src/client/http.ts";
import { Producer, type SendOptions } from "../../src/client/producer.ts";
import type { SocketEvents, Transport } from "../../src/client/transport/transport.ts";
import { decodeAnyBatch } from "../../src/compression/decode.ts";
import { ZLIB } from "../../src/compression/zlib.ts";
import type { ErrorName } from "../../src/core/errors.ts";
import { crcWithoutTimes, fingerprintWith } from "../../src/core/log/fingerprint.ts";
import { Producers } from "../../src/core/log/producers.ts";
import { batches, readBatchHeader } from "../../src/core/log/record-batch.ts";
import { readAppendFrame } from "../../src/protocol/read-append-frame.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const UTF8 = new TextDecoder();

type Answer =
  | { readonly type: "appended"; readonly baseOffset: number }
  | { readonly type: "error"; readonly code: ErrorName; readonly detail: string };

/** One partition that checks sequences as the real one does. What comes over the socket waits until it is let in. */
class FakePartition {
  readonly log: string[] = [];
  /** How each append came. */
  readonly ways: string[] = [];
  readonly #producers = new Producers([]);
  #producerIds = 0;
  /** Appends with this value are refused. */
  refused: string | null = null;
  isHttpDown = false;
  readonly sockets: FakeSocket[] = [];

  readonly fetch = async (url: string, init: { body?: string | Uint8Array }) => {
    if (url.endsWith("/v1/producers"))
      return answered({ producerId: ++this.#producerIds, producerEpoch: 0 });
    if (!url.includes("/batches"))
      return answered({
        name: "t",
        topicId: "id",
        partitions: 1,
        config: { "max.message.bytes": 1_000_000, "cleanup.policy": "delete" },
      });
    if (this.isHttpDown) throw new TypeError("fetch failed");
    this.ways.push("http");
    // Time passes, so that others come meanwhile.
    await new Promise((resolve) => setTimeout(resolve, 5));
    const { type: _, ...rest } = this.append(init.body as Uint8Array);
    return answered(rest, "code" in rest ? 400 : 200);
  };

  readonly transport: Transport = {
    openGroup: () => {
      throw new Error("there is no group");
    },
    openPartition: (_place, events) => {
      const socket = new FakeSocket(this, events);
      this.sockets.push(socket);
      return socket;
    },
  };

  append(bytes: Uint8Array, refusal?: ErrorName): Answer {
    if (refusal !== undefined) return { type: "error", code: refusal, detail: "for the test" };
    const { producerId, producerEpoch, baseSequence } = readBatchHeader(bytes);
    const records = [...batches(bytes)].flatMap(({ start }) => decodeAnyBatch(bytes, start));
    const values = records.map(({ value }) => UTF8.decode(value ?? undefined));
    if (values.includes(this.refused ?? ""))
      return { type: "error", code: "INVALID_RECORD", detail: "for the test" };
    const lastSequence = baseSequence + records.length - 1;
    const fingerprint = Array.from(batches(bytes)).reduce(
      (whole, { start, header }) =>
        fingerprintWith(whole, crcWithoutTimes(bytes, start, header.sizeInBytes)),
      0,
    );
    const sequences = { firstSequence: baseSequence, lastSequence };
    const origin = { producerId, producerEpoch, ...sequences, fingerprint, isOwn: false };
    const staged = this.#producers.stage();
    const checked = staged.check(origin, () => ({ ok: true, isSame: false }));
    if (!checked.ok) return { type: "error", code: checked.error, detail: checked.detail };
    if (checked.repeated !== null)
      return { type: "appended", baseOffset: checked.repeated.baseOffset };
    const baseOffset = this.log.length;
    staged.add({ ...origin, baseOffset, atMs: 0 });
    staged.commit();
    this.log.push(...values);
    return { type: "appended", baseOffset };
  }
}

class FakeSocket {
  readonly #partition: FakePartition;
  readonly #events: SocketEvents;
  readonly waiting: { readonly requestId: number; readonly batches: Uint8Array }[] = [];
  isClosed = false;

  constructor(partition: FakePartition, events: SocketEvents) {
    this.#partition = partition;
    this.#events = events;
  }

  open(): void {
    this.#events.opened();
  }

  send(data: string | Uint8Array): void {
    this.#partition.ways.push("socket");
    const { buffer, byteOffset, byteLength } = data as Uint8Array<ArrayBuffer>;
    this.waiting.push(readAppendFrame(buffer.slice(byteOffset, byteOffset + byteLength)));
  }

  close(): void {
    this.isClosed = true;
  }

  /** The partition takes the first of what came; `refusal`: and says so. */
  async letIn(refusal?: ErrorName): Promise<void> {
    const { requestId, batches: bytes } = this.waiting.shift() as (typeof this.waiting)[number];
    const answer = this.#partition.append(bytes, refusal);
    this.#events.text(JSON.stringify({ ...answer, requestId }));
    await settle();
  }

  /** The partition takes it, and its answer is lost. */
  swallow(): void {
    const { batches: bytes } = this.waiting.shift() as (typeof this.waiting)[number];
    this.#partition.append(bytes);
  }

  break(): void {
    this.#events.closed(1006, "");
  }
}

function answered(body: object, status = 200) {
  return { status, ok: status < 400, text: async () => JSON.stringify(body) };
}

const settle = () => vi.advanceTimersByTimeAsync(0);

/** A producer that is busy enough for a socket, and nothing on its way. */
async function busyProducer(batchSize = 1) {
  const partition = new FakePartition();
  const producer = new Producer(
    new HttpClient("http://b", partition.fetch as never),
    partition.transport,
    { batchSize },
  );
  const sent: Promise<unknown>[] = [];
  let isSettled = false;
  const send = (value: string, options: SendOptions = {}) => {
    const outcome = producer.send("t", [{ value }], options).then(
      ([result]) => (result !== undefined && "offset" in result ? result.offset : result),
      (error) => error.code ?? error.name,
    );
    sent.push(outcome);
    return outcome;
  };
  const warming = 6 * batchSize;
  const first = Array.from({ length: warming }, (_, i) => send(`w${i}`));
  while (partition.sockets.length === 0) await vi.advanceTimersByTimeAsync(1);
  void Promise.all(first).then(() => {
    isSettled = true;
  });
  while (!isSettled) await vi.advanceTimersByTimeAsync(1);
  expect(new Set(partition.ways)).toEqual(new Set(["http"]));
  const socket = partition.sockets[0] as FakeSocket;
  socket.open();
  partition.log.splice(0);
  partition.ways.splice(0);
  return { partition, producer, socket, send, outcomes: () => Promise.all(sent.slice(warming)) };
}

describe("over a partition socket", () => {
  test("[PRO-6] at most five appends are ahead of their answers, in order", async () => {
    const { partition, socket, send, outcomes } = await busyProducer();
    for (const value of "abcdefg") void send(value);
    await settle();
    expect(socket.waiting).toHaveLength(5);
    while (socket.waiting.length > 0) await socket.letIn();
    expect(partition.log.join("")).toBe("abcdefg");
    expect(partition.ways).toEqual(Array(7).fill("socket"));
    expect(await outcomes()).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  test("[PRO-6] what was stored before the connection broke is not stored again", async () => {
    const { partition, socket, send, outcomes } = await busyProducer();
    for (const value of "abcd") void send(value);
    await settle();
    await socket.letIn();
    socket.swallow();
    socket.swallow();
    socket.break();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(partition.log.join("")).toBe("abcd");
    expect(await outcomes()).toEqual([0, 1, 2, 3]);
  });

  test("[PRO-6] what is refused fails alone, and what was behind it keeps its order", async () => {
    const { partition, socket, send, outcomes } = await busyProducer();
    for (const value of "abcd") void send(value);
    await settle();
    partition.refused = "b";
    while (socket.waiting.length > 0) {
      await socket.letIn();
      await vi.advanceTimersByTimeAsync(100);
    }
    await vi.advanceTimersByTimeAsync(1_000);
    expect(partition.log.join("")).toBe("acd");
    expect(await outcomes()).toEqual([0, "INVALID_RECORD", 1, 2]);
  });

  test("[PRO-6] what is refused for now is tried again before what was behind it", async () => {
    const { partition, socket, send, outcomes } = await busyProducer();
    for (const value of "abc") void send(value);
    await settle();
    await socket.letIn("THROTTLING_QUOTA_EXCEEDED");
    while (socket.waiting.length > 0) {
      await socket.letIn();
      await vi.advanceTimersByTimeAsync(100);
    }
    await vi.advanceTimersByTimeAsync(1_000);
    expect(partition.log.join("")).toBe("abc");
    expect(await outcomes()).toEqual([0, 1, 2]);
  });

  test("[PRO-6] behind one whose outcome stays unknown nothing is sent as another's", async () => {
    const { partition, socket, send, outcomes } = await busyProducer();
    for (const value of "abc") void send(value);
    await settle();
    const late = socket.waiting.splice(0);
    partition.isHttpDown = true;
    socket.break();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await outcomes()).toEqual(Array(3).fill("ConnectionError"));
    // They were under way all the same: each is stored once, in order, before what is sent next.
    for (const { batches: bytes } of late) partition.append(bytes);
    partition.isHttpDown = false;
    void send("d");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(partition.log.join("")).toBe("abcd");
  });

  test.each([
    ["alone", 1],
    ["sharing an append", 2],
  ])(
    "[PRO-6] [TRB-1] behind one that may yet be stored nobody is told of a refusal, nor sent as another's: %s",
    async (_how, count) => {
      const { partition, socket, send, outcomes } = await busyProducer(count);
      void send("a", { deliveryTimeoutMs: 3_000 });
      await settle();
      const values = "bc".slice(0, count);
      for (const value of values) void send(value, { deliveryTimeoutMs: 20_000 });
      await settle();
      const late = socket.waiting.splice(0);
      partition.isHttpDown = true;
      socket.break();
      await vi.advanceTimersByTimeAsync(4_000);
      partition.isHttpDown = false;
      await vi.advanceTimersByTimeAsync(2_000);
      // The partition lacks what came before it; what was held up on the way may bring it, and the first copy.
      expect(partition.log.join("")).toBe("");
      for (const { batches: bytes } of late) partition.append(bytes);
      await vi.advanceTimersByTimeAsync(2_000);
      void send("d");
      await vi.advanceTimersByTimeAsync(2_000);
      expect(partition.log.join("")).toBe(`a${values}d`);
      const stored = Array.from({ length: count + 1 }, (_, i) => i + 1);
      expect(await outcomes()).toEqual(["ConnectionError", ...stored]);
    },
  );

  test("[PRO-6] [TRB-3] what this runtime cannot fold is refused, and those around it are stored", async () => {
    const { partition, socket, send, outcomes, producer } = await busyProducer();
    vi.spyOn(
      ZLIB as object as { zstdCompressSync: unknown },
      "zstdCompressSync",
      "get" as never,
    ).mockReturnValue(undefined as never);
    void send("a");
    void send("b", { compression: "zstd" });
    void send("c");
    for (let i = 0; i < 20; i++) {
      await vi.dynamicImportSettled();
      await vi.advanceTimersByTimeAsync(100);
      while (socket.waiting.length > 0) await socket.letIn();
    }
    expect(partition.log.join("")).toBe("ac");
    expect(await outcomes()).toEqual([0, "UNSUPPORTED_COMPRESSION_TYPE", 1]);
    await producer.close();
  });

  test("[PRO-6] a partition that does not answer is given up with its socket", async () => {
    const { partition, socket, send, outcomes } = await busyProducer();
    void send("a");
    await settle();
    expect(socket.waiting).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(11_000);
    expect(socket.isClosed).toBe(true);
    expect(partition.log.join("")).toBe("a");
    expect(await outcomes()).toEqual([0]);
  });

  test("[PRO-6] an idle socket is closed after a second, and one of a closed producer at once", async () => {
    const { producer, socket, send } = await busyProducer();
    void send("a");
    await settle();
    await socket.letIn();
    await vi.advanceTimersByTimeAsync(999);
    expect(socket.isClosed).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(socket.isClosed).toBe(true);
    const other = await busyProducer();
    await other.producer.close();
    expect(other.socket.isClosed).toBe(true);
    await producer.close();
  });
});
