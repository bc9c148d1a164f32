// Kafka's messages: written and read in every version, and invalid ones.
import { describe, expect, test } from "vitest";
import { MAX_KAFKA_REQUEST_BYTES } from "../../../../src/core/limits.ts";
import { Lazily, weightOf } from "../../../../src/worker/kafka/answer-weight.ts";
import type { Api } from "../../../../src/worker/kafka/api.ts";
import { Frames } from "../../../../src/worker/kafka/frames.ts";
import {
  array,
  int32,
  nullableStruct,
  since,
  string,
  struct,
  type Type,
  tagged,
} from "../../../../src/worker/kafka/schema.ts";
import { MalformedError, Reader, Writer } from "../../../../src/worker/kafka/wire.ts";
import { framed } from "../../../support/kafka-frames.ts";
import * as messages from "../../../support/kafka-schemas.ts";
import { SERVED } from "../../../support/kafka-served.ts";

const VERSIONS = SERVED.flatMap((api) => {
  const [from, to] = api.versions;
  return Array.from({ length: to - from + 1 }, (_, i) => ({
    api,
    name: api.name,
    version: from + i,
  }));
});

function written<T>(
  type: Type<unknown, T>,
  value: T,
  version: number,
  isFlexible: boolean,
): Buffer {
  const to = new Writer();
  type.write(to, value, { version, isFlexible });
  return Buffer.concat(to.finish());
}

function readBack<T>(
  type: Type<T, unknown>,
  bytes: Uint8Array,
  version: number,
  isFlexible: boolean,
): T {
  const from = new Reader(bytes);
  const value = type.read(from, { version, isFlexible });
  expect(from.left).toBe(0);
  return value;
}

describe("messages", () => {
  test("[KFK-1] the tests know every API that is served, and each is served once", () => {
    const keys = SERVED.map(({ key }) => key);
    expect(keys).toEqual([...new Set(keys)].sort((a, b) => a - b));
    expect(new Set(Object.values(messages))).toEqual(new Set(SERVED));
    expect(keys.length).toBe(34);
  });

  test.each(VERSIONS)("[KFK-1] $name $version is read as it was written", ({ api, version }) => {
    const isFlexible = version >= api.flexibleFrom;
    for (const type of [api.request, api.response] as unknown as Type<object, object>[]) {
      const value = readBack(
        type,
        written(type, type.absent, version, isFlexible),
        version,
        isFlexible,
      );
      expect(written(type, value, version, isFlexible)).toEqual(
        written(type, type.absent, version, isFlexible),
      );
    }
  });

  test("[KFK-1] fields come and go with versions, nest, may be null, and unknown tags are skipped", () => {
    const type = struct({
      name: string,
      late: since(2, int32, 7),
      inner: array(struct({ a: int32, note: tagged(3, 0, string, "none") })),
      maybe: nullableStruct(struct({ b: int32 })),
    });
    const value = { name: "näme", inner: [{ a: 1 }, { a: -2 }], maybe: { b: 3 } };
    expect(readBack(type, written(type, value, 1, false), 1, false)).toEqual({
      name: "näme",
      late: 7,
      inner: [
        { a: 1, note: "none" },
        { a: -2, note: "none" },
      ],
      maybe: { b: 3 },
    });
    const flexible = written(type, { ...value, late: 5, maybe: null }, 2, true);
    expect(readBack(type, flexible, 2, true)).toMatchObject({ late: 5, maybe: null });
    // A known tag and an unknown one, in place of the last element's empty tags.
    const one = written(struct({ a: int32 }), { a: 9 }, 0, true).subarray(0, -1);
    const tags = Buffer.from([2, 3, 3, 3, 0x68, 0x69, 9, 2, 0xff, 0xff]);
    const element = struct({ a: int32, note: tagged(3, 0, string) });
    expect(readBack(element, Buffer.concat([one, tags]), 0, true)).toEqual({ a: 9, note: "hi" });
  });

  const inPartition = (partition: object) => ({ topics: [{ name: "t", partitions: [partition] }] });
  const noTime = { logAppendTimeMs: -1, logStartOffset: -1 };
  const fetched = { partition: 0, fetchOffset: 0, partitionMaxBytes: 9 };
  const fetching = { maxWaitMs: 0, minBytes: 0, ...inPartition(fetched) };
  const committing = { partition: 0, committedOffset: 3, committedMetadata: null };
  const noCommit = { committedLeaderEpoch: -1, commitTimestampMs: -1 };
  const joining = { groupId: "g", sessionTimeoutMs: 9, memberId: "", protocolType: "" };
  const ended = { partition: 0, errorCode: 0, timestamp: -1, offset: -1, leaderEpoch: -1 };

  test.each([
    [messages.FETCH, 4, fetching, { replicaId: -1, sessionEpoch: -1 }],
    [
      messages.FETCH,
      4,
      fetching,
      inPartition({ currentLeaderEpoch: -1, lastFetchedEpoch: -1, logStartOffset: -1 }),
    ],
    [
      messages.LIST_OFFSETS,
      1,
      { replicaId: -1, ...inPartition({ partition: 0, timestamp: -1 }) },
      inPartition({ currentLeaderEpoch: -1 }),
    ],
    [
      messages.OFFSET_COMMIT,
      1,
      { groupId: "g", ...inPartition(committing) },
      { generationId: -1, retentionTimeMs: -1, ...inPartition(noCommit) },
    ],
    [
      messages.OFFSET_FETCH,
      8,
      { groups: [{ groupId: "g", topics: null }], requireStable: false },
      { groups: [{ memberId: null, memberEpoch: -1 }] },
    ],
    [messages.JOIN_GROUP, 0, { ...joining, protocols: [] }, { rebalanceTimeoutMs: -1 }],
    [
      messages.INIT_PRODUCER_ID,
      2,
      { transactionalId: null, transactionTimeoutMs: 0 },
      { producerId: -1, producerEpoch: -1 },
    ],
    [
      messages.OFFSET_FOR_LEADER_EPOCH,
      2,
      inPartition({ partition: 0, leaderEpoch: 0 }),
      { replicaId: -2, ...inPartition({ currentLeaderEpoch: -1 }) },
    ],
    [messages.METADATA, 3, { topics: [] }, { allowAutoTopicCreation: true }],
  ] as [Api, number, object, object][])(
    "[KFK-1] fields that an old request lacks are as in Kafka: %#",
    ({ request, flexibleFrom }, version, said, expected) => {
      const isFlexible = version >= flexibleFrom;
      const type = request as unknown as Type<object, object>;
      const bytes = written(type, said, version, isFlexible);
      expect(readBack(type, bytes, version, isFlexible)).toMatchObject(expected);
    },
  );

  test.each([
    [messages.PRODUCE, 11, inPartition({ partition: 0, errorCode: 0, baseOffset: 0 }), noTime],
    [
      messages.FETCH,
      12,
      inPartition({ partition: 0, errorCode: 0, highWatermark: 3, records: null }),
      {
        lastStableOffset: -1,
        logStartOffset: -1,
        abortedTransactions: [],
        preferredReadReplica: -1,
      },
    ],
    [messages.LIST_OFFSETS, 9, inPartition({ partition: 0, errorCode: 0 }), ended],
    [
      messages.OFFSET_FETCH,
      7,
      inPartition({ partition: 0, committedOffset: 3, metadata: "" }),
      { committedLeaderEpoch: -1, errorCode: 0 },
    ],
    [
      messages.OFFSET_FOR_LEADER_EPOCH,
      4,
      inPartition({ errorCode: 0, partition: 0 }),
      { leaderEpoch: -1, endOffset: -1 },
    ],
    [messages.FIND_COORDINATOR, 3, { errorCode: 0, host: "" }, { nodeId: -1, port: -1 }],
    [messages.JOIN_GROUP, 9, { errorCode: 0, memberId: "", members: [] }, { generationId: -1 }],
    [messages.INIT_PRODUCER_ID, 5, { errorCode: 0 }, { producerId: -1, producerEpoch: -1 }],
    [
      messages.CREATE_TOPICS,
      6,
      { topics: [{ name: "t", errorCode: 0 }] },
      { numPartitions: -1, replicationFactor: -1 },
    ],
  ] as [Api, number, object, object][])(
    "[KFK-1] fields that a response omits are as in Kafka: %#",
    ({ response, flexibleFrom }, version, said, expected) => {
      const isFlexible = version >= flexibleFrom;
      const type = response as unknown as Type<object, object>;
      const told = readBack(type, written(type, said, version, isFlexible), version, isFlexible);
      const topic = (told as { topics?: object[] }).topics?.[0] ?? told;
      const partition = (topic as { partitions?: object[] }).partitions?.[0];
      expect(partition ?? topic).toMatchObject(expected);
    },
  );

  test("[KFK-1] numbers of 64 bits are exact as far as JavaScript's are", () => {
    for (const value of [0, -1, -2, 1, 2 ** 31, 2 ** 32, -(2 ** 32) - 1, Number.MAX_SAFE_INTEGER]) {
      const to = new Writer();
      to.int64(value);
      expect(new Reader(Buffer.concat(to.finish())).int64()).toBe(value);
    }
  });

  test("[KFK-2] 20,000 broken requests give only a typed error or a request", () => {
    let state = 4;
    const roll = (bound: number) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state % bound;
    };
    let refused = 0;
    for (let i = 0; i < 20_000; i++) {
      const { api, version } = VERSIONS[roll(VERSIONS.length)] as (typeof VERSIONS)[number];
      const isFlexible = version >= api.flexibleFrom;
      const type = api.request as unknown as Type<object, object>;
      const sound = written(type, type.absent, version, isFlexible);
      const bytes = Buffer.concat([sound, Buffer.alloc(roll(40))]);
      for (let j = roll(6); j >= 0 && bytes.length > 0; j--) bytes[roll(bytes.length)] = roll(256);
      try {
        type.read(new Reader(bytes.subarray(0, roll(bytes.length + 1))), { version, isFlexible });
      } catch (error) {
        if (!(error instanceof MalformedError)) throw error;
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(1_000);
  });

  test("[KFK-2] absurd lengths are rejected before anything is made of them", () => {
    const huge = Buffer.from([0x7f, 0xff, 0xff, 0xff]);
    const read = (type: Type<unknown>) => () =>
      type.read(new Reader(huge), { version: 0, isFlexible: false });
    expect(read(array(int32) as Type<unknown>)).toThrow(MalformedError);
    expect(read(array(struct({})) as Type<unknown>)).toThrow(MalformedError);
    const text = () => new Reader(Buffer.from([0xff])).text(1);
    expect(text).toThrow(MalformedError);
  });
});

describe("an answer in memory", () => {
  test.each([
    ["a number", 7, 8],
    ["nothing", null, 8],
    ["nothing at all", undefined, 8],
    ["true", true, 8],
    ["text", "abcd", 36],
    ["bytes", new Uint8Array(100), 132],
    ["an empty list", [], 32],
    ["a list", [1, "ab"], 32 + 8 + 8 + 8 + 34],
    ["an object", { a: 1, b: null }, 32 + 8 + 8 + 8 + 8],
    ["an object in a list", [{ a: "" }], 32 + 8 + 32 + 8 + 32],
    ["a list that is made as it is written", new Lazily(1_000_000, () => "x"), 32],
    ["one whose items have a source", new Lazily(3, () => "x", 500), 532],
  ])("[BND-16] weighs what it takes: %s", (_, value, weight) => {
    expect(weightOf(value)).toBe(weight);
  });

  test("[BND-12] has large bytes as they are, and gathers small ones", () => {
    const [small, large] = [new Uint8Array(4_095), new Uint8Array(4_096)];
    const to = new Writer();
    for (const bytes of [small, small, large, small]) to.bytes(bytes);
    expect(to.length).toBe(3 * small.length + large.length);
    const pieces = to.finish();
    expect(pieces.map(({ length }) => length)).toEqual([
      2 * small.length,
      large.length,
      small.length,
    ]);
    expect(pieces[1]).toBe(large);
  });
});

describe("frames", () => {
  test("[KFK-2] requests come out whole, however the stream is cut", () => {
    const requests = [3, 0, 70_000, 1].map((length, i) => Buffer.alloc(length, i + 1));
    const stream = Buffer.concat(requests.map(framed));
    for (const step of [1, 2, 5, 4_096, stream.length]) {
      const frames = new Frames();
      const out: Buffer[] = [];
      for (let at = 0; at < stream.length; at += step)
        for (const frame of frames.push(stream.subarray(at, at + step)))
          out.push(Buffer.from(frame));
      expect(out).toEqual(requests);
    }
  });

  test.each([-1, MAX_KAFKA_REQUEST_BYTES + 1])("[KFK-2] a length of %i ends it", (length) => {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32BE(length);
    expect(() => [...new Frames().push(bytes)]).toThrow(MalformedError);
  });
});
