// The appends of the SDK's producer to one partition: what shares one, what a failed one leaves to the next, and how they
// travel.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { SendOptions } from "../../../../src/sdk/producer.ts";
import {
  busyProducer,
  type FakePartition,
  producerOf,
  settle,
  type Trouble,
} from "../../../support/fake-partition.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** Lets everything finish that waits for less. */
async function untilDone(forMs = 60_000): Promise<void> {
  // The code for conditions and compression is loaded on demand.
  for (let i = 0; i < 4; i++) {
    await vi.dynamicImportSettled();
    await vi.advanceTimersByTimeAsync(forMs / 4);
  }
}

/** The received appends, by the given fields. */
function came<Field extends keyof FakePartition["came"][number]>(
  partition: FakePartition,
  ...fields: Field[]
) {
  return partition.came.map((each) => fields.map((field) => each[field]));
}

describe("a conditional append", () => {
  const at = (expectedOffset: number): SendOptions => ({ expectedOffset });

  test.each([
    [
      "first",
      [["a", at(0)], ["b"], ["c"]],
      [
        ["a", 0],
        ["b c", null],
      ],
    ],
    [
      "behind another",
      [["a"], ["b", at(1)], ["c"]],
      [
        ["a", null],
        ["b", 1],
        ["c", null],
      ],
    ],
    [
      "among those that share an append",
      [["a"], ["b"], ["c"], ["d", at(3)], ["e"], ["f"]],
      [
        ["a", null],
        ["b c", null],
        ["d", 3],
        ["e f", null],
      ],
    ],
    [
      "behind another conditional one",
      [["a"], ["b", at(1)], ["c", at(2)]],
      [
        ["a", null],
        ["b", 1],
        ["c", 2],
      ],
    ],
    [
      "at 0, behind another",
      [["a"], ["b", at(0)]],
      [
        ["a", null],
        ["b", 0],
      ],
    ],
  ] as [string, [string, SendOptions?][], unknown[]][])(
    "[CND-1] keeps its condition and its append to itself, over HTTP: %s",
    async (_, sends, expected) => {
      const { partition, send } = producerOf();
      for (const [value, options] of sends) void send(value, options);
      await untilDone();
      expect(came(partition, "values", "expectedOffset")).toEqual(expected);
    },
  );

  test("[CND-1] keeps its condition over a socket, follows none that is unanswered, and none follows it", async () => {
    const { partition, socket, send, outcomes } = await busyProducer(10);
    const waiting = () => socket.waiting.map((each) => each.expectedOffset);
    void send("a");
    await settle();
    void send("b", at(1));
    await untilDone(0);
    void send("c");
    void send("d", at(2 ** 33));
    await settle();
    expect(waiting()).toEqual([null]);
    await socket.letIn();
    expect(waiting()).toEqual([1]);
    await socket.letIn();
    expect(waiting()).toEqual([null]);
    await socket.letIn();
    expect(waiting()).toEqual([2 ** 33]);
    await socket.letIn();
    await untilDone(1_000);
    expect(partition.log.join("")).toBe("abc");
    expect(await outcomes()).toEqual([0, 1, 2, "INVALID_UPDATE_VERSION"]);
  });

  test.each([
    ["was not answered", "swallowed", 1],
    ["did not arrive", "unsent", 1],
    ["was put off", "THROTTLING_QUOTA_EXCEEDED", 1],
    ["is sent as another producer's", "OUT_OF_ORDER_SEQUENCE_NUMBER", 2],
  ] as [string, Trouble, number][])(
    "[CND-1] keeps its condition when it is sent again, because it %s",
    async (_, trouble, producer) => {
      const { partition, send } = producerOf();
      partition.troubles.push(trouble);
      const outcome = send("a", at(0));
      await untilDone();
      expect(await outcome).toBe(0);
      expect(partition.log).toEqual(["a"]);
      expect(partition.came.at(-1)).toMatchObject({ expectedOffset: 0, producer });
      expect(new Set(came(partition, "expectedOffset").flat())).toEqual(new Set([0]));
    },
  );

  test("[CND-1] a rejected one gets the next offset, and leaves its sequence to the next", async () => {
    const { partition, producer } = producerOf();
    await Promise.all([producer.send("t", [{ value: "a" }]), untilDone(10)]);
    const refused = producer.send("t", [{ value: "b" }], at(7));
    const told = expect(refused).rejects.toMatchObject({
      code: "INVALID_UPDATE_VERSION",
      data: { nextOffset: 1 },
    });
    await untilDone();
    await told;
    await Promise.all([producer.send("t", [{ value: "c" }], at(1)), untilDone()]);
    expect(came(partition, "values", "producer", "sequence")).toEqual([
      ["a", 1, 0],
      ["b", 1, 1],
      ["c", 1, 1],
    ]);
  });
});

describe("what shares an append", () => {
  const gzip: SendOptions = { compression: "gzip" };

  test.each([
    ["as long as they are compressed alike", [["b"], ["c"], ["d", gzip], ["e"]], ["b c", "d", "e"]],
    ["what is compressed too", [["b", gzip], ["c", gzip], ["d"]], ["b c", "d"]],
    [
      "up to 256 KiB",
      [["b".repeat(200_000)], ["c".repeat(60_000)], ["d".repeat(60_000)]],
      [`${"b".repeat(200_000)} ${"c".repeat(60_000)}`, "d".repeat(60_000)],
    ],
    ["one that is larger by itself", [["b".repeat(300_000)], ["c"]], ["b".repeat(300_000), "c"]],
  ] as [string, [string, SendOptions?][], string[]][])(
    "[PRO-1] in the order of the calls: %s",
    async (_, sends, expected) => {
      const { partition, send } = producerOf();
      void send("a");
      const outcomes = sends.map(([value, options]) => send(value, options));
      await untilDone();
      expect(came(partition, "values").flat().slice(1)).toEqual(expected);
      expect(await Promise.all(outcomes)).toEqual(sends.map((_each, i) => i + 1));
    },
  );

  test("[PRO-1] whole calls, up to batchSize records", async () => {
    const { partition, producer } = producerOf({ batchSize: 4 });
    const calls = ["a", "b c", "d e", "f", "g h i j k", "l"].map((values) =>
      producer.send(
        "t",
        values.split(" ").map((value) => ({ value })),
      ),
    );
    await untilDone();
    await Promise.all(calls);
    expect(came(partition, "values").flat()).toEqual(["a", "b c d e", "f", "g h i j k", "l"]);
  });

  test("[PRO-1] nothing that was planned for another max.message.bytes", async () => {
    const { partition, producer, send } = producerOf({ lingerMs: 60_000 });
    void send("a");
    await settle();
    await Promise.all([producer.flush(), untilDone(20)]);
    await vi.advanceTimersByTimeAsync(270_000);
    const config = { ...partition.topic.config, "max.message.bytes": 500_000 };
    partition.topic = { ...partition.topic, config };
    void send("b");
    // Five minutes after it was described the topic is described again.
    await vi.advanceTimersByTimeAsync(31_000);
    void send("c");
    await untilDone();
    expect(came(partition, "values").flat()).toEqual(["a", "b", "c"]);
  });
});

describe("what a failed append leaves to the next", () => {
  const UNSENT = Array(100).fill("unsent") as Trouble[];
  const BUSY = Array(100).fill("THROTTLING_QUOTA_EXCEEDED") as Trouble[];

  test.each([
    ["is refused", ["INVALID_RECORD"], "INVALID_RECORD", [1, 0]],
    ["is refused for a topic that is gone", ["UNKNOWN_TOPIC_ID"], "UNKNOWN_TOPIC_ID", [1, 0]],
    ["is put off until its time is up", BUSY, "THROTTLING_QUOTA_EXCEEDED", [1, 0]],
    ["is put off and then stored", BUSY.slice(0, 2), 0, [1, 1]],
    ["finds no room", ["KAFKA_STORAGE_ERROR"], 0, [1, 1]],
    ["does not arrive, and then is stored", UNSENT.slice(0, 2), 0, [1, 1]],
    ["is stored, and not answered at first", ["swallowed"], 0, [1, 1]],
    ["never arrives, as far as anybody knows", UNSENT, "ConnectionError", [2, 0]],
    ["may be stored, and is put off", ["swallowed", ...BUSY], "REQUEST_TIMED_OUT", [2, 0]],
    ["may be stored, and is refused", ["swallowed", "INVALID_RECORD"], "REQUEST_TIMED_OUT", [2, 0]],
    [
      "may be stored, as the partition says",
      ["REQUEST_TIMED_OUT", ...BUSY],
      "REQUEST_TIMED_OUT",
      [2, 0],
    ],
    ["is sent as another producer's", ["OUT_OF_ORDER_SEQUENCE_NUMBER"], 0, [2, 1]],
    ["is of an epoch that is over", ["INVALID_PRODUCER_EPOCH"], 0, [2, 1]],
    [
      "is refused as another producer's too",
      ["OUT_OF_ORDER_SEQUENCE_NUMBER", "OUT_OF_ORDER_SEQUENCE_NUMBER"],
      "OUT_OF_ORDER_SEQUENCE_NUMBER",
      [2, 0],
    ],
    [
      "may be stored, and is not, as the sequence says",
      ["unsent", "OUT_OF_ORDER_SEQUENCE_NUMBER"],
      0,
      [2, 1],
    ],
  ] as [string, Trouble[], unknown, [number, number]][])(
    "[PRO-6] [IDM-6] its sequence, or another producer's: one that %s",
    async (_, troubles, outcome, [producer, sequence]) => {
      const { partition, send } = producerOf();
      partition.troubles.push(...troubles);
      const first = send("a", { deliveryTimeoutMs: 3_000 });
      await untilDone();
      expect(await first).toBe(outcome);
      partition.troubles.length = 0;
      const next = send("b");
      await untilDone();
      expect(await next).toBe(partition.log.length - 1);
      expect(partition.came.at(-1)).toMatchObject({ values: "b", producer, sequence });
    },
  );

  test("[PRO-6] an append is sent again with the same bytes, whatever has come meanwhile", async () => {
    const { partition, send } = producerOf();
    partition.troubles.push("swallowed", "swallowed");
    const sends = ["a", "b", "c"].map((value) => send(value));
    await untilDone();
    expect(await Promise.all(sends)).toEqual([0, 1, 2]);
    expect(came(partition, "values", "producer", "sequence")).toEqual([
      ["a", 1, 0],
      ["a", 1, 0],
      ["a", 1, 0],
      ["b c", 1, 1],
    ]);
  });

  test("[PRO-6] of calls that share an append each is told when its own time is up, and the others continue", async () => {
    const { partition, send } = producerOf();
    void send("a");
    const told: unknown[] = [];
    const times = [2_000, 20_000, 4_000];
    for (const [i, deliveryTimeoutMs] of times.entries())
      void send("bcd"[i] as string, { deliveryTimeoutMs }).then((outcome) =>
        told.push([i, outcome]),
      );
    await vi.advanceTimersByTimeAsync(4);
    partition.isHttpDown = true;
    await vi.advanceTimersByTimeAsync(2_000);
    expect(told).toEqual([[0, "ConnectionError"]]);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(told).toEqual([
      [0, "ConnectionError"],
      [2, "ConnectionError"],
    ]);
    partition.isHttpDown = false;
    await vi.advanceTimersByTimeAsync(1_100);
    // They are one append, and its bytes are unchanged.
    expect(told.at(-1)).toEqual([1, 2]);
    expect(partition.log.join("")).toBe("abcd");
  });

  test("[PRO-6] it is retried after twice as long each time, a second at most, until its time is up", async () => {
    vi.spyOn(Math, "random").mockReturnValue(1);
    const { partition, send } = producerOf();
    await Promise.all([send("a"), untilDone(10)]);
    const startMs = performance.now();
    const tries: number[] = [];
    partition.onHttp = () => tries.push(performance.now() - startMs);
    partition.isHttpDown = true;
    const outcome = send("b", { deliveryTimeoutMs: 5_000 });
    await untilDone();
    expect(await outcome).toBe("ConnectionError");
    expect(tries).toEqual([0, 50, 150, 350, 750, 1_550, 2_550, 3_550, 4_550]);
  });

  test.each([
    ["ten seconds", 1, 30_000, 10_000],
    ["and a second for each 100,000 bytes", 250_000, 30_000, 12_501],
    ["but not beyond its time", 1, 2_000, 2_000],
  ])("[PRO-6] a response is waited for %s", async (_, bytes, deliveryTimeoutMs, expected) => {
    const { partition, send } = producerOf();
    await Promise.all([send("a"), untilDone(10)]);
    partition.troubles.push("stuck");
    void send("b".repeat(bytes), { deliveryTimeoutMs });
    await untilDone();
    expect(partition.gaveUpAfterMs).toHaveLength(1);
    expect(Math.round((partition.gaveUpAfterMs[0] as number) / 100)).toBe(
      Math.round(expected / 100),
    );
  });
});

describe("the way that appends go", () => {
  /** Sends one after another, each this long after the response to the previous one. */
  async function sendEach(send: (value: string) => Promise<unknown>, count: number, gapMs: number) {
    for (let i = 0; i < count; i++) {
      const outcome = send(`${i}`);
      await vi.advanceTimersByTimeAsync(5);
      await outcome;
      await vi.advanceTimersByTimeAsync(gapMs);
    }
  }

  test.each([
    ["the sixth in a row opens a socket", 5, 95, 0],
    ["the sixth in a row opens a socket, no more than one", 9, 95, 1],
    ["not if they are further apart", 20, 105, 0],
  ])("[PRO-6] %s", async (_, count, gapMs, sockets) => {
    const { partition, send } = producerOf();
    await sendEach(send, count, gapMs);
    await vi.dynamicImportSettled();
    expect(partition.sockets).toHaveLength(sockets);
    expect(partition.openedFor).toEqual(Array(sockets).fill("id"));
  });

  test("[PRO-6] a pause begins the count again, and without a transport there is no socket", async () => {
    const { partition, send } = producerOf();
    for (let i = 0; i < 3; i++)
      await sendEach(send, 5, i === 0 ? 0 : 20).then(() => vi.advanceTimersByTimeAsync(200));
    await vi.dynamicImportSettled();
    expect(partition.sockets).toHaveLength(0);
    const plain = producerOf({}, false);
    await sendEach(plain.send, 10, 0);
    expect(plain.partition.log).toHaveLength(10);
  });

  test("[PRO-6] over HTTP until the socket is open, and again once it broke; another is tried five seconds later", async () => {
    const { partition, send } = producerOf();
    await sendEach(send, 6, 0);
    await vi.dynamicImportSettled();
    await sendEach(send, 2, 0);
    const [socket] = partition.sockets;
    expect(partition.sockets).toHaveLength(1);
    socket?.break();
    await sendEach(send, 40, 100);
    await vi.dynamicImportSettled();
    expect(partition.sockets).toHaveLength(1);
    expect(new Set(partition.ways)).toEqual(new Set(["http"]));
    await sendEach(send, 10, 100);
    await vi.dynamicImportSettled();
    expect(partition.sockets).toHaveLength(2);
    partition.sockets[1]?.open();
    const outcome = send("over it");
    await settle();
    await partition.sockets[1]?.letIn();
    expect(await outcome).toBe(58);
    expect(partition.came.at(-1)).toMatchObject({ way: "socket", values: "over it", sequence: 58 });
  });

  test("[PRO-6] a socket that opens after the producer was closed is closed again", async () => {
    const { partition, producer, send } = producerOf();
    await sendEach(send, 6, 0);
    await vi.dynamicImportSettled();
    const [socket] = partition.sockets;
    await producer.close();
    expect(socket?.isClosed).toBe(true);
  });

  test("[PRO-6] a socket is not idle while a response is awaited, nor as long as appends come", async () => {
    const { socket, send, outcomes } = await busyProducer();
    await vi.advanceTimersByTimeAsync(900);
    void send("a");
    await vi.advanceTimersByTimeAsync(5_000);
    expect(socket.isClosed).toBe(false);
    await socket.letIn();
    await vi.advanceTimersByTimeAsync(900);
    void send("b");
    void send("c");
    await settle();
    await socket.letIn();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(socket.isClosed).toBe(false);
    await socket.letIn();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(socket.isClosed).toBe(true);
    expect(await outcomes()).toEqual([0, 1, 2]);
  });

  test("[PRO-6] [TRB-3] a message that is no response to an append is not taken for one", async () => {
    const { partition, socket, send, outcomes } = await busyProducer();
    void send("a");
    await settle();
    const strange = { type: "appended", requestId: 1_000, baseOffset: 7 };
    for (const text of ["", "{}", "[]", "null", "7", JSON.stringify(strange)]) socket.say(text);
    await vi.advanceTimersByTimeAsync(900);
    expect(socket.isClosed).toBe(false);
    await socket.letIn();
    expect(await outcomes()).toEqual([0]);
    // Neither offset nor error: nobody knows whether it was stored, so it is sent again.
    void send("b");
    await settle();
    const { requestId } = socket.waiting[0] as { requestId: number };
    socket.swallow();
    socket.say({ type: "appended", requestId });
    await vi.advanceTimersByTimeAsync(100);
    await socket.letIn();
    expect(partition.log.join("")).toBe("ab");
    expect((await outcomes())[1]).toBe(1);
  });
});

describe("the topic that a producer knows", () => {
  test("[PRO-6] is requested once by all that wait, and again after five minutes", async () => {
    const { partition, send } = producerOf();
    const sends = ["a", "b", "c"].map((value) => send(value));
    await untilDone(20);
    await Promise.all(sends);
    await vi.advanceTimersByTimeAsync(299_000);
    await Promise.all([send("d"), untilDone(20)]);
    expect(partition.descriptions).toBe(1);
    await vi.advanceTimersByTimeAsync(1_000);
    await Promise.all([send("e"), untilDone(20)]);
    expect(partition.descriptions).toBe(2);
  });

  test("[PRO-6] [TRB-3] is requested again after twice as long each time, a second at most, until the time is up", async () => {
    const { partition, send } = producerOf();
    partition.isTopicDown = true;
    const startMs = performance.now();
    const tries: number[] = [];
    partition.onDescribe = () => tries.push(performance.now() - startMs);
    const outcome = send("a", { deliveryTimeoutMs: 5_000 });
    await untilDone();
    expect(await outcome).toBe("ConnectionError");
    expect(tries).toEqual([0, 50, 150, 350, 750, 1_550, 2_550, 3_550, 4_550]);
    partition.isTopicDown = false;
    const next = send("b");
    await untilDone(20);
    expect(await next).toBe(0);
  });

  test("[PRO-6] is requested again if it may have changed: more partitions, or none of that name", async () => {
    const { partition, producer, send } = producerOf();
    await Promise.all([send("a"), untilDone(20)]);
    const toNext = () => producer.send("t", [{ value: "b", partition: 1 }]);
    await expect(toNext()).rejects.toMatchObject({ code: "UNKNOWN_TOPIC_OR_PARTITION" });
    expect(partition.descriptions).toBe(2);
    partition.topic = { ...partition.topic, partitions: 2 };
    const grown = toNext();
    await untilDone(100);
    expect(await grown).toMatchObject([{ partition: 1 }]);
    expect(partition.descriptions).toBe(3);
    partition.troubles.push("UNKNOWN_TOPIC_ID");
    const refused = producer.send("t", [{ value: "c", partition: 0 }]);
    const told = expect(refused).rejects.toMatchObject({ code: "UNKNOWN_TOPIC_ID" });
    await untilDone(100);
    await told;
    expect(partition.descriptions).toBe(3);
    await Promise.all([producer.send("t", [{ value: "d", partition: 0 }]), untilDone(100)]);
    expect(partition.descriptions).toBe(4);
  });
});

test.each([
  ["first", [0, 1]],
  ["last", [1, 0]],
])(
  "[PRD-1] a send throws if all of it fails, otherwise each record has its outcome: what fails is %s",
  async (_, order) => {
    const { partition, producer } = producerOf();
    partition.topic = { ...partition.topic, partitions: 2 };
    partition.refused = "wrong";
    const records = [
      { value: "wrong", partition: 0 },
      { value: "sound", partition: 1 },
    ];
    const outcomes = producer.send(
      "t",
      order.map((i) => records[i] as (typeof records)[number]),
    );
    await untilDone(100);
    const told = await outcomes;
    expect(told[order[0] as number]).toMatchObject({
      partition: 0,
      error: { code: "INVALID_RECORD" },
    });
    expect(told[order[1] as number]).toMatchObject({ partition: 1, offset: 0 });
    const refused = producer.send("t", [records[0], records[0]] as typeof records);
    const thrown = expect(refused).rejects.toMatchObject({ code: "INVALID_RECORD" });
    await untilDone(100);
    await thrown;
  },
);
