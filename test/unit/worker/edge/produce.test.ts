// The Worker's appends: what it does with lost responses, and which producer continues where.
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import type { AppendRequest } from "../../../../src/calls/partition-calls.ts";
import { resolveConfig } from "../../../../src/core/cluster/config.ts";
import type { Topic } from "../../../../src/core/cluster/topics.ts";
import { BrokerError, ERRORS, type ErrorName, fail } from "../../../../src/core/errors.ts";
import type { RequestPlan } from "../../../../src/core/log/keyed-request.ts";
import { batches, decodeBatch } from "../../../../src/core/log/record-batch.ts";
import type { Env } from "../../../../src/env.ts";
import type { UnplacedRecord } from "../../../../src/protocol/json-record.ts";
import { type AppendRefused, appendTo, refusalOf } from "../../../../src/worker/edge/append.ts";
import { forgetEverything, isolate } from "../../../../src/worker/edge/isolate.ts";
import { type ProduceOptions, produce } from "../../../../src/worker/edge/produce.ts";
import { newProducerId } from "../../../../src/worker/edge/producer-pool.ts";
import { batchAt } from "../kafka/feed-bench.ts";

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  vi.spyOn(Math, "random").mockReturnValue(1);
  forgetEverything();
});
afterEach(() => {
  forgetEverything();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** Thrown by a partition that does not answer, or its response in place of the usual one. */
type Reply =
  | Error
  | { readonly error: ErrorName; readonly retriable?: false; readonly nextOffset?: number };

const overloaded = Object.assign(new Error("too many requests"), { overloaded: true });
const reset = new Error("Network connection lost");
const full = new Error("database or disk is full");
const unreadable = new Error("disk I/O error");
const damaged = new Error("database disk image is malformed");
const refusedWith = (error: ErrorName) => ({ error });

interface CameIn {
  readonly place: string;
  readonly atMs: number;
  readonly values: string;
  readonly producer: number;
  readonly sequence: number;
  readonly expectedOffset: number | null;
  readonly keyed: unknown;
  readonly isOwn: boolean;
}

class Bench {
  readonly came: CameIn[] = [];
  /** The outcomes of the next appends to a partition. */
  readonly replies = new Map<string, Reply[]>();
  readonly #ends = new Map<string, number>();
  topics: Topic[] = [];
  /** Requests with a key: the calls to each partition, and the plans that it keeps. */
  readonly begun: { place: string; key: string; hash: string; plan: RequestPlan | null }[] = [];
  kept: RequestPlan | null = null;
  /** Partitions whose topic is gone. */
  readonly gone = new Set<string>();
  lookUps = 0;
  logAppendTimeMs: number | null = null;
  readonly env: Env;

  constructor() {
    this.env = {
      CLUSTER: {
        getByName: () => ({ topic: async ({ name }: { name: string }) => this.#topic(name) }),
      },
      PARTITION: {
        getByName: (place: string) => ({
          append: async (request: AppendRequest) => this.#append(place, request),
          beginRequest: async ({
            key,
            bodyHash: hash,
            plan,
          }: {
            key: string;
            bodyHash: string;
            plan: RequestPlan | null;
          }) => {
            this.begun.push({ place, key, hash, plan });
            if (this.gone.has(place)) return fail("UNKNOWN_TOPIC_ID", "gone");
            this.kept ??= plan;
            return { ok: true, request: this.kept === null ? null : { plan: this.kept } };
          },
        }),
      },
    } as unknown as Env;
  }

  topic(topicId = "id", partitions = 2, overrides: Topic["overrides"] = {}): void {
    const config = resolveConfig(overrides);
    const described = { name: "t", topicId, partitions, initialPartitions: 2, overrides };
    this.topics = [{ ...described, defaults: {}, config }];
  }

  #topic(name: string) {
    this.lookUps++;
    const topic = this.topics.find((each) => each.name === name);
    return topic === undefined
      ? { ok: false, error: "UNKNOWN_TOPIC_OR_PARTITION", detail: "there is none" }
      : { ok: true, topic };
  }

  #append(
    place: string,
    { batches: bytes, expectedOffset = null, keyed, isOwn = false }: AppendRequest,
  ) {
    const all = [...batches(bytes)];
    const records = all.flatMap(({ start }) => decodeBatch(bytes, start));
    const values = records.map(({ value }) => new TextDecoder().decode(value ?? undefined));
    const { producerId, baseSequence } = (all[0] as (typeof all)[number]).header;
    this.came.push({
      place,
      atMs: Date.now() - 1_000_000,
      values: values.join(" "),
      producer: producerId,
      sequence: baseSequence,
      expectedOffset,
      keyed,
      isOwn,
    });
    const reply = this.replies.get(place)?.shift();
    if (reply instanceof Error) throw reply;
    if (reply !== undefined) return { ok: false, detail: "for the test", ...reply };
    const baseOffset = this.#ends.get(place) ?? 0;
    this.#ends.set(place, baseOffset + records.length);
    return { ok: true, baseOffset, logAppendTimeMs: this.logAppendTimeMs };
  }

  fields<Field extends keyof CameIn>(...fields: Field[]) {
    return this.came.map((each) => fields.map((field) => each[field]));
  }
}

let bench: Bench;
beforeEach(() => {
  bench = new Bench();
  bench.topic();
});

const record = (value: string, partition: number | null = 0): UnplacedRecord => ({
  key: null,
  value: new TextEncoder().encode(value),
  headers: [],
  partition,
  timestamp: 5,
});

/** The outcome, after all waiting. */
async function outcome<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  await vi.advanceTimersByTimeAsync(1_100); // All tries take less, and topics are remembered for longer.
  return promise;
}

const produced = (records: readonly UnplacedRecord[], options: Partial<ProduceOptions> = {}) =>
  outcome(produce(bench.env, "t", records, { random: () => 0, nowMs: 1_000_000, ...options }));

describe("one append", () => {
  const TIMED_OUT = "REQUEST_TIMED_OUT";
  const STORAGE = "KAFKA_STORAGE_ERROR";

  test.each([
    ["is answered", [], 0, 1],
    ["is refused", [refusedWith("INVALID_RECORD")], "INVALID_RECORD", 1],
    ["finds the partition overloaded", [overloaded], "THROTTLING_QUOTA_EXCEEDED", 1],
    ["finds no room", [full], STORAGE, 1],
    ["finds damage", [damaged], STORAGE, 1],
    ["is not answered once", [reset], 0, 2],
    ["is not answered three times", [reset, reset, reset], 0, 4],
    ["is never answered", [reset, reset, reset, reset], TIMED_OUT, 4],
    ["fails in the storage", [unreadable, unreadable, unreadable, unreadable], STORAGE, 4],
    ["is not answered, and then finds the partition overloaded", [reset, overloaded], 0, 3],
    ["is not answered, and then finds no room", [reset, full, full, full], STORAGE, 4],
    ["may be stored, and is refused", [reset, refusedWith("INVALID_RECORD")], TIMED_OUT, 2],
    [
      "may be stored, and is not, as the offset says",
      [reset, refusedWith("INVALID_UPDATE_VERSION")],
      "INVALID_UPDATE_VERSION",
      2,
    ],
    [
      "may be stored, and is not, as the sequence says",
      [reset, refusedWith("OUT_OF_ORDER_SEQUENCE_NUMBER")],
      "OUT_OF_ORDER_SEQUENCE_NUMBER",
      2,
    ],
  ] as [string, Reply[], unknown, number][])(
    "[IDM-6] [ERR-2] of an idempotent producer that %s",
    async (_, replies, expected, tries) => {
      bench.replies.set("id/0", replies);
      const bytes = batchAt(0, "a");
      const options = { expectedOffset: 3, isIdempotent: true };
      const answer = await outcome(appendTo(bench.env, "id", 0, bytes, options));
      expect("code" in answer ? answer.code : answer.baseOffset).toBe(expected);
      expect(bench.fields("values", "expectedOffset", "keyed", "isOwn")).toEqual(
        Array(tries).fill(["a", 3, null, false]),
      );
      // Each try waits four times as long as the previous one.
      expect(bench.fields("atMs").flat()).toEqual([0, 50, 250, 1_050].slice(0, tries));
    },
  );

  test.each([
    ["is refused", refusedWith("INVALID_RECORD"), "INVALID_RECORD"],
    ["is not answered", reset, TIMED_OUT],
    ["fails in the storage", unreadable, STORAGE],
  ] as [string, Reply, ErrorName][])(
    "[IDM-6] of another producer is tried once: one that %s",
    async (_, reply, code) => {
      bench.replies.set("id/0", [reply]);
      const options = { expectedOffset: null, isIdempotent: false };
      expect(await outcome(appendTo(bench.env, "id", 0, batchAt(0, "a"), options))).toMatchObject({
        code,
      });
      expect(bench.came).toHaveLength(1);
    },
  );

  test.each([
    ["is refused", { error: "INVALID_RECORD" }, {}, undefined],
    [
      "is refused with data",
      { error: "INVALID_RECORD", nextOffset: 7 },
      { nextOffset: 7 },
      undefined,
    ],
    ["is refused for good", { error: STORAGE, retriable: false }, {}, false],
    ["finds no room", full, {}, undefined],
    ["finds damage", damaged, {}, false],
  ] as [string, Reply, object, false | undefined][])(
    "[ERR-2] that %s reports all that is known of why",
    async (_, reply, data, retriable) => {
      bench.replies.set("id/0", [reply]);
      const options = { expectedOffset: null, isIdempotent: true };
      const answer = await outcome(appendTo(bench.env, "id", 0, batchAt(0, "a"), options));
      expect(answer).toStrictEqual({
        code: expect.any(String),
        detail: expect.any(String),
        data,
        ...(retriable === undefined ? {} : { retriable }),
      });
      const { code } = answer as AppendRefused;
      expect(refusalOf(answer as AppendRefused)).toMatchObject({
        code,
        data,
        retriable: retriable ?? ERRORS[code].retriable,
      });
    },
  );

  test("[IDM-6] that was tried before in another way has the outcome of that way", async () => {
    bench.replies.set("id/0", [refusedWith("INVALID_RECORD")]);
    const options = { expectedOffset: null, isIdempotent: true, unanswered: "the socket broke" };
    expect(await outcome(appendTo(bench.env, "id", 0, batchAt(0, "a"), options))).toMatchObject({
      code: TIMED_OUT,
      detail: "the socket broke, then INVALID_RECORD: for the test",
    });
  });
});

test.each([
  [[0, 0], 1],
  [[0, 1], 1],
  [[3, 5], 3 * 2 ** 32 + 5],
  [[2 ** 21, 7], 7],
  [[2 ** 21 + 1, 0], 2 ** 32],
  [[2 ** 32 - 1, 2 ** 32 - 1], Number.MAX_SAFE_INTEGER],
])("[IDM-3] a producer id takes 53 bits of what is drawn, %j, and is never 0", (drawn, id) => {
  vi.spyOn(crypto, "getRandomValues").mockImplementation((array) => {
    (array as Uint32Array).set(drawn);
    return array;
  });
  expect(newProducerId()).toBe(id);
});

describe("a request", () => {
  test("[PRD-1] [PRD-2] answers for each record in its place, and appends each partition's in order, as the Worker's own", async () => {
    bench.replies.set("id/1", [refusedWith("INVALID_RECORD")]);
    const results = await produced([
      record("a", 1),
      record("b", 0),
      record("c", 1),
      record("d", 0),
    ]);
    expect(results).toMatchObject([
      { partition: 1, code: "INVALID_RECORD" },
      { partition: 0, offset: 0, timestamp: 5 },
      { partition: 1, code: "INVALID_RECORD" },
      { partition: 0, offset: 1, timestamp: 5 },
    ]);
    expect(bench.fields("place", "values", "isOwn").sort()).toEqual([
      ["id/0", "b d", true],
      ["id/1", "a c", true],
    ]);
  });

  test("[LOG-10] [PRD-8] reports the log's time if that is the topic's, then the record's own, then now", async () => {
    expect(await produced([record("a"), { ...record("b"), timestamp: null }])).toMatchObject([
      { timestamp: 5 },
      { timestamp: 1_000_000 },
    ]);
    bench.logAppendTimeMs = 77;
    expect(await produced([record("c")])).toMatchObject([{ timestamp: 77 }]);
  });

  test("[IDM-6] continues the sequence of the previous one, in each partition its own", async () => {
    await produced([record("a"), record("b"), record("c", 1)]);
    await produced([record("d"), record("e", 1)]);
    const [first] = bench.came as [CameIn];
    expect(bench.came.every(({ producer }) => producer === first.producer)).toBe(true);
    expect(bench.fields("place", "values", "sequence").sort()).toEqual([
      ["id/0", "a b", 0],
      ["id/0", "d", 2],
      ["id/1", "c", 0],
      ["id/1", "e", 1],
    ]);
    // The re-created topic has sequences of its own.
    bench.topic("new");
    isolate.topics.clear();
    await produced([record("f")]);
    expect(bench.came.at(-1)).toMatchObject({ place: "new/0", sequence: 0 });
  });

  test.each([
    ["is refused", [refusedWith("INVALID_RECORD")], true],
    ["is put off", [overloaded], true],
    ["may be stored", [reset, reset, reset, reset], false],
    ["fails in the storage, and may be stored", [unreadable, refusedWith("INVALID_RECORD")], false],
  ] as [string, Reply[], boolean][])(
    "[IDM-6] its producer is used again only if its progress is known: an append that %s",
    async (_, replies, isSame) => {
      bench.replies.set("id/0", replies);
      await produced([record("a")]);
      const { length } = bench.came;
      await produced([record("b")]);
      expect(bench.came).toHaveLength(length + 1);
      const [first, last] = [bench.came[0], bench.came.at(-1)] as [CameIn, CameIn];
      expect(last.producer === first.producer).toBe(isSame);
      expect(last.sequence).toBe(0);
    },
  );

  test.each(["OUT_OF_ORDER_SEQUENCE_NUMBER", "INVALID_PRODUCER_EPOCH"] as const)(
    "[IDM-6] [IDM-9] one whose id somebody else has used is sent as another's, once: %s",
    async (code) => {
      await produced([record("a")]);
      bench.replies.set("id/0", [refusedWith(code)]);
      expect(await produced([record("b"), record("c")])).toMatchObject([
        { offset: 1 },
        { offset: 2 },
      ]);
      const [, second, third] = bench.came as [CameIn, CameIn, CameIn];
      expect(second).toMatchObject({ values: "b c", sequence: 1 });
      expect(third).toMatchObject({ values: "b c", sequence: 0 });
      expect(third.producer).not.toBe(second.producer);
      bench.replies.set("id/0", [refusedWith(code), refusedWith(code)]);
      expect(await produced([record("d")])).toMatchObject([{ code }]);
      expect(bench.came).toHaveLength(5);
      // Nobody continues as the rejected one.
      expect([second.producer]).not.toContain(bench.came.at(-1)?.producer);
    },
  );

  test("[PRD-2] of several appends to a partition none follows a failed one, and each continues the sequence", async () => {
    const large = "x".repeat(900_000);
    bench.replies.set("id/0", [refusedWith("INVALID_RECORD")]);
    const many = (partition: number) => Array.from({ length: 20 }, () => record(large, partition));
    const results = await produced([...many(0), ...many(1)]);
    expect(bench.came.filter(({ place }) => place === "id/0")).toHaveLength(1);
    expect(
      results.slice(0, 20).every((each) => "code" in each && each.code === "INVALID_RECORD"),
    ).toBe(true);
    const others = bench.came.filter(({ place }) => place === "id/1");
    expect(others.length).toBeGreaterThan(1);
    let next = 0;
    for (const { sequence, values } of others) {
      expect(sequence).toBe(next);
      next += values.split(" ").length;
    }
    expect(next).toBe(20);
    expect(results.slice(20)).toMatchObject(
      Array.from({ length: 20 }, (_, offset) => ({ offset })),
    );
  });

  test("[CND-1] carries its condition, and one that no partition could keep is rejected before it is sent", async () => {
    expect(await produced([record("a")], { expectedOffset: 0 })).toMatchObject([{ offset: 0 }]);
    expect(bench.came).toMatchObject([{ expectedOffset: 0 }]);
    for (const records of [[record("a"), record("b", 1)], [record("a", null)]])
      await expect(produced(records, { expectedOffset: 0 })).rejects.toMatchObject({
        code: "INVALID_REQUEST",
      });
    expect(bench.came).toHaveLength(1);
  });

  test.each([
    ["before.max", -1, { "message.timestamp.before.max.ms": 1_000 }, -1_001],
    ["after.max", 1, { "message.timestamp.after.max.ms": 1_000 }, 1_001],
  ])(
    "[PRD-4] [LOG-10] a time beyond message.timestamp.%s.ms is rejected, one at the bound is not",
    async (name, _sign, overrides, beyondMs) => {
      bench.topic("id", 2, overrides);
      const at = (offsetMs: number) => ({ ...record("a"), timestamp: 1_000_000 + offsetMs });
      const bound = beyondMs - Math.sign(beyondMs);
      expect(await produced([at(bound)])).toMatchObject([{ offset: 0 }]);
      await expect(produced([record("a"), at(beyondMs)].reverse())).rejects.toMatchObject({
        code: "INVALID_TIMESTAMP",
        message: expect.stringContaining(name),
      });
      expect(bench.came).toHaveLength(1);
      isolate.topics.clear();
      bench.topic("id", 2, { ...overrides, "message.timestamp.type": "LogAppendTime" });
      expect(await produced([at(beyondMs)])).toMatchObject([{ offset: 1 }]);
    },
  );
});

describe("a topic that changes under the Worker", () => {
  test("[CLU-3] is requested again if a record names an unknown partition", async () => {
    await produced([record("a")]);
    await produced([record("b", 1)]);
    expect(bench.lookUps).toBe(1);
    bench.topic("id", 3);
    expect(await produced([record("c", 2)])).toMatchObject([{ partition: 2, offset: 0 }]);
    expect(bench.lookUps).toBe(2);
    await expect(produced([record("d", 3)])).rejects.toMatchObject({
      code: "UNKNOWN_TOPIC_OR_PARTITION",
    });
    expect(bench.lookUps).toBe(3);
  });

  test("[CLU-4] and was created again takes the records of those partitions that say so, once", async () => {
    await produced([record("a")]);
    bench.topic("new");
    bench.replies.set("id/0", [refusedWith("UNKNOWN_TOPIC_ID")]);
    bench.replies.set("id/1", [refusedWith("INVALID_RECORD")]);
    const results = await produced([record("b", 1), record("c", 0), record("d", 1)]);
    expect(results).toMatchObject([
      { code: "INVALID_RECORD" },
      { partition: 0, offset: 0 },
      { code: "INVALID_RECORD" },
    ]);
    expect(
      bench.came
        .slice(1)
        .map(({ place, values }) => `${place} ${values}`)
        .sort(),
    ).toEqual(["id/0 c", "id/1 b d", "new/0 c"]);
    bench.replies.set("new/0", [refusedWith("UNKNOWN_TOPIC_ID"), refusedWith("UNKNOWN_TOPIC_ID")]);
    expect(await produced([record("e")])).toMatchObject([{ code: "UNKNOWN_TOPIC_ID" }]);
    bench.topics = [];
    bench.replies.set("new/0", [refusedWith("UNKNOWN_TOPIC_ID")]);
    await expect(produced([record("f")])).rejects.toThrow(BrokerError);
  });

  test("[PRD-4] if the search for a new one fails, what is stored elsewhere is still reported", async () => {
    await produced([record("a")]);
    bench.topics = [];
    bench.replies.set("id/0", [refusedWith("UNKNOWN_TOPIC_ID")]);
    expect(await produced([record("b", 1), record("c", 0)])).toMatchObject([
      { partition: 1, offset: 0 },
      { partition: 0, code: "UNKNOWN_TOPIC_ID" },
    ]);
  });
});

describe("a request with a key", () => {
  // The Workers runtime has it, Node does not yet.
  beforeAll(() => {
    if ("toHex" in Uint8Array.prototype) return;
    Object.assign(Uint8Array.prototype, {
      toHex(this: Uint8Array) {
        return Array.from(this, (byte) => byte.toString(16).padStart(2, "0")).join("");
      },
    });
  });

  const keyed = (records: readonly UnplacedRecord[], options: Partial<ProduceOptions> = {}) =>
    produced(records, { idempotencyKey: "k", ...options });

  test("[KEY-1] is noted with its plan before anything is appended, and its appends under its own producer and id", async () => {
    await keyed([record("a"), record("b", 1)], { random: () => 0.7 });
    const [{ place, key, plan }] = bench.begun as [(typeof bench.begun)[number]];
    expect(place).toMatch(/^id\/[01]$/);
    expect(key).toBe("k");
    const { producerId, requestId } = plan as RequestPlan;
    expect(plan).toMatchObject({ partitions: 2, atMs: 1_000_000, random: 0.7, isCompacted: false });
    expect(bench.fields("place", "producer", "sequence", "keyed").sort()).toEqual([
      ["id/0", producerId, 0, { producerId, requestId, index: 0 }],
      ["id/1", producerId, 0, { producerId, requestId, index: 1 }],
    ]);
    // The producers of other requests are not affected.
    expect(isolate.idleProducers).toHaveLength(0);
  });

  test("[KEY-1] that is repeated follows the first plan: producer, places, times, and the topic as it was", async () => {
    const keyless = [{ ...record("a", null), timestamp: null }];
    expect(await keyed(keyless, { random: () => 0.9 })).toMatchObject([
      { partition: 1, timestamp: 1_000_000 },
    ]);
    bench.topic("id", 4);
    isolate.topics.clear();
    const again = await keyed(keyless, { random: () => 0, nowMs: 2_000_000 });
    expect(again).toMatchObject([{ partition: 1, timestamp: 1_000_000 }]);
    const [first, second] = bench.came as [CameIn, CameIn];
    expect(second).toMatchObject({ place: "id/1", producer: first.producer, keyed: first.keyed });
    expect(bench.begun.map(({ hash }) => hash)).toEqual(Array(2).fill(bench.begun[0]?.hash));
    expect(bench.begun.map(({ place }) => place)).toEqual(Array(2).fill(bench.begun[0]?.place));
  });

  test.each([
    ["value", [record("b")], {}],
    ["partition", [record("a", 1)], {}],
    ["time", [{ ...record("a"), timestamp: 6 }], {}],
    ["time, which it leaves to the broker", [{ ...record("a"), timestamp: null }], {}],
    ["condition", [record("a")], { expectedOffset: 0 }],
    ["condition at another offset", [record("a")], { expectedOffset: 1 }],
    ["number", [record("a"), record("a")], {}],
  ] as [string, UnplacedRecord[], Partial<ProduceOptions>][])(
    "[KEY-2] is another one with another %s",
    async (_, records, options) => {
      await keyed([record("a")]);
      await keyed(records, options);
      const [first, second] = bench.begun.map(({ hash }) => hash);
      expect(second).not.toBe(first);
    },
  );

  test("[KEY-1] that is invalid is noted without a plan, and rejected unless it is a repeat", async () => {
    bench.topic("id", 2, { "message.timestamp.after.max.ms": 1_000 });
    const late = [{ ...record("a"), timestamp: 9_000_000 }];
    await expect(keyed(late)).rejects.toMatchObject({ code: "INVALID_TIMESTAMP" });
    expect(bench.begun).toMatchObject([{ plan: null }]);
    expect(bench.came).toEqual([]);
    await keyed(late, { nowMs: 9_000_000 });
    expect(await keyed(late)).toMatchObject([{ partition: 0, timestamp: 9_000_000 }]);
  });

  test("[KEY-1] [CLU-4] goes to the topic that was created again under the name", async () => {
    await produced([record("before")]);
    bench.topic("new");
    for (const partition of [0, 1]) bench.gone.add(`id/${partition}`);
    expect(await keyed([record("a")])).toMatchObject([{ partition: 0, offset: 0 }]);
    expect(bench.came.at(-1)).toMatchObject({ place: "new/0", values: "a" });
    expect(bench.begun.map(({ place }) => place.split("/")[0])).toEqual(["id", "new"]);
  });

  test.each(["", "x".repeat(256), "\u00e4", "a\n"])(
    "[KEY-1] is rejected if the key is invalid: %j",
    async (idempotencyKey) => {
      await expect(keyed([record("a")], { idempotencyKey })).rejects.toMatchObject({
        code: "INVALID_REQUEST",
      });
      expect(bench.lookUps).toBe(0);
    },
  );
});
