// The way from records to appends: which partition each goes to, and where batches and appends are cut.
import { describe, expect, test } from "vitest";
import { whyNotConditional } from "../../../src/core/conditional-append.ts";
import { MAX_APPEND_BYTES } from "../../../src/core/limits.ts";
import { readBatchHeader, readBatchSize } from "../../../src/core/log/record-batch.ts";
import { partitionForKey } from "../../../src/core/partitioner.ts";
import {
  encodeAppend,
  joinAppends,
  type PlacedRecord,
  type PlannedAppend,
  type ProduceTarget,
  planAppends,
} from "../../../src/core/produce-plan.ts";

const TARGET: ProduceTarget = {
  name: "t",
  partitions: 4,
  maxMessageBytes: 1_000,
  isCompacted: false,
};
const utf8 = (text: string) => new TextEncoder().encode(text);

function record(more: Partial<PlacedRecord> = {}): PlacedRecord {
  return { key: null, value: utf8("v"), headers: [], timestamp: 1_000, partition: null, ...more };
}

const ofSize = (bytes: number) => record({ value: new Uint8Array(bytes), partition: 0 });
const places = (appends: readonly PlannedAppend[]) => appends.map(({ batches }) => batches);

/** The bytes of the batch that these records make. */
function sizeOfBatch(records: readonly PlacedRecord[]): number {
  const all = { ...TARGET, maxMessageBytes: MAX_APPEND_BYTES };
  const [append] = joinAppends(all, records, 0);
  if (append === undefined) throw new Error("there is one append");
  const bytes = encodeAppend(append, records, { producerId: -1, producerEpoch: -1, sequence: -1 });
  expect(append.sizeInBytes).toBe(bytes.length);
  return bytes.length;
}

describe("the partition", () => {
  test.each([
    { random: 0, partition: 0 },
    { random: 0.2499, partition: 0 },
    { random: 0.25, partition: 1 },
    { random: 0.9999, partition: 3 },
  ])("[PRD-3] keyless records go to one partition together: $random is $partition", (row) => {
    const plan = planAppends(TARGET, [record(), record(), record()], row.random);
    expect(plan).toMatchObject([
      { partition: row.partition, batches: [[0, 1, 2]], recordCount: 3 },
    ]);
  });

  test("[PAR-1] [PRD-2] a named partition goes before a key, a key before chance; each keeps its order", () => {
    const key = utf8("some key");
    const keyed = partitionForKey(key, 4);
    const named = (keyed + 1) % 4;
    const records = [
      record({ key }),
      record({ key, partition: named }),
      record({ partition: named }),
      record({ key }),
    ];
    const plan = planAppends(TARGET, records, ((keyed + 2) % 4) / 4);
    expect(plan.map(({ partition, batches }) => [partition, batches])).toEqual([
      [keyed, [[0, 3]]],
      [named, [[1, 2]]],
    ]);
  });

  test("[PRD-4] a missing partition or key is reported with the record's place", () => {
    expect(planAppends(TARGET, [record({ partition: 3 })], 0)).toMatchObject([{ partition: 3 }]);
    expect(() => planAppends(TARGET, [record(), record({ partition: 4 })], 0)).toThrow(
      "records[1].partition is 4, topic t has 4 (0 to 3)",
    );
    const compacted = { ...TARGET, isCompacted: true };
    const key = utf8("k");
    expect(planAppends(compacted, [record({ key })], 0)).toHaveLength(1);
    expect(() => planAppends(compacted, [record({ key }), record({ partition: 0 })], 0)).toThrow(
      "records[1].key is null, compacted topic t needs one",
    );
  });
});

describe("where it is cut", () => {
  test("[PRD-2] a batch holds as many records as fit into max.message.bytes, to the byte", () => {
    const records = [ofSize(100), ofSize(100), ofSize(100)];
    const two = sizeOfBatch(records.slice(0, 2));
    expect(places(planAppends({ ...TARGET, maxMessageBytes: two }, records, 0))).toEqual([
      [[0, 1], [2]],
    ]);
    expect(places(planAppends({ ...TARGET, maxMessageBytes: two - 1 }, records, 0))).toEqual([
      [[0], [1], [2]],
    ]);
    const three = sizeOfBatch(records);
    expect(places(planAppends({ ...TARGET, maxMessageBytes: three }, records, 0))).toEqual([
      [[0, 1, 2]],
    ]);
  });

  test("[PRD-4] a record that fits no batch is rejected with its place and the bound, and one that just fits is not", () => {
    const one = sizeOfBatch([ofSize(100)]);
    const records = [ofSize(1), ofSize(100)];
    expect(planAppends({ ...TARGET, maxMessageBytes: one }, records, 0)).toHaveLength(1);
    expect(() => planAppends({ ...TARGET, maxMessageBytes: one - 1 }, records, 0)).toThrow(
      `records[1] has ${one} bytes as a batch, max.message.bytes of topic t is ${one - 1}`,
    );
  });

  test("[PRD-2] the time of a record counts from its own batch's", () => {
    const records = [0, 2 ** 40, 2 ** 40].map((timestamp) => ({ ...ofSize(10), timestamp }));
    const two = sizeOfBatch(records.slice(1));
    expect(places(planAppends({ ...TARGET, maxMessageBytes: two }, records, 0))).toEqual([
      [[0], [1, 2]],
    ]);
  });

  test("[PRD-2] an append holds as many batches as fit into its bound, to the byte", () => {
    const half = MAX_APPEND_BYTES / 2;
    const overhead = sizeOfBatch([ofSize(half)]) - half;
    const exact = { ...TARGET, maxMessageBytes: half };
    const records = Array.from({ length: 3 }, () => ofSize(half - overhead));
    const [first, second] = joinAppends(exact, records, 2);
    expect(first).toEqual({
      partition: 2,
      batches: [[0], [1]],
      recordCount: 2,
      sizeInBytes: MAX_APPEND_BYTES,
    });
    expect(second).toMatchObject({ batches: [[2]], recordCount: 1 });
    const larger = [ofSize(half - overhead), ofSize(half - overhead + 1)];
    const more = { ...TARGET, maxMessageBytes: half + 1 };
    expect(places(joinAppends(more, larger, 0))).toEqual([[[0]], [[1]]]);
  });

  test("[IDM-1] the batches of an append continue the sequence, across its end too", () => {
    const records = [ofSize(100), ofSize(100), ofSize(100)];
    const two = sizeOfBatch(records.slice(0, 2));
    for (const [sequence, next] of [
      [5, 7],
      [2 ** 31 - 2, 0],
    ] as const) {
      const [append] = planAppends({ ...TARGET, maxMessageBytes: two }, records, 0);
      if (append === undefined) throw new Error("there is one append");
      const bytes = encodeAppend(append, records, { producerId: 9, producerEpoch: 3, sequence });
      const start = readBatchSize(bytes, 0);
      expect(readBatchHeader(bytes)).toMatchObject({
        producerId: 9,
        producerEpoch: 3,
        baseSequence: sequence,
      });
      expect(readBatchHeader(bytes, start)).toMatchObject({ producerId: 9, baseSequence: next });
    }
  });
});

describe("an append at an offset", () => {
  const check = (records: readonly PlacedRecord[], partitions = 4, target = TARGET) =>
    whyNotConditional(records, planAppends({ ...target, partitions }, records, 0), partitions);
  const key = utf8("k");

  test("[CND-1] goes to one clear partition: named, a key's, or the only one", () => {
    expect(check([record({ partition: 2 }), record({ partition: 2, key })])).toBeNull();
    expect(check([record({ key }), record({ key })])).toBeNull();
    expect(check([record(), record()], 1)).toBeNull();
    expect(check([])).toBeNull();
  });

  test("[CND-1] is rejected if a record may go anywhere, with its place", () => {
    expect(check([record({ partition: 0 }), record()])).toEqual({
      ok: false,
      error: "INVALID_REQUEST",
      detail: "expectedOffset: records[1] needs a partition or a key",
    });
    expect(check([record()], 2)).toMatchObject({ detail: expect.stringContaining("records[0]") });
  });

  test("[CND-1] is rejected if its records go to several partitions, or are too many for one append", () => {
    expect(check([record({ partition: 0 }), record({ partition: 3 })])).toEqual({
      ok: false,
      error: "INVALID_REQUEST",
      detail: "expectedOffset: the records go to the partitions 0, 3, not to one",
    });
    const large = { ...TARGET, maxMessageBytes: MAX_APPEND_BYTES };
    expect(check([ofSize(MAX_APPEND_BYTES - 200), ofSize(400)], 4, large)).toEqual({
      ok: false,
      error: "MESSAGE_TOO_LARGE",
      detail: "expectedOffset: the records are too many for one append",
    });
  });
});
