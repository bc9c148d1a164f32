import { describe, expect, test } from "vitest";
import { SqlLogStore } from "../../durable-objects/partition/sql-log-store.ts";
import { hasTable } from "../../durable-objects/shared/sql.ts";
import type { Topic } from "../../src/core/cluster/topics.ts";
import type { Chunk } from "../../src/core/log/append.ts";
import type { LogStore, SegmentTotals } from "../../src/core/log/log-store.ts";
import { MemoryLogStore, segmentsOf } from "../support/memory-log-store.ts";
import { nodeSql } from "../support/node-sql.ts";

const TOPIC: Topic = {
  name: "orders",
  topicId: "t-1",
  partitions: 1,
  config: { maxMessageBytes: 1_000 },
};

/** A place for one log; each `open()` is a store on the same data, as after an eviction. */
interface Place {
  open(): LogStore;
}

storeContract("MemoryLogStore", () => {
  const store = new MemoryLogStore();
  return { open: () => store };
});

storeContract("SqlLogStore", () => {
  const storage = nodeSql();
  new SqlLogStore(storage).setTopic(TOPIC);
  return { open: () => new SqlLogStore(storage) };
});

function storeContract(name: string, newPlace: () => Place): void {
  describe(name, () => {
    test("[LOG-8] segments are listed in ascending order until they are dropped", () => {
      const store = newPlace().open();
      expect(segmentsOf(store)).toEqual([]);
      for (const base of [20, 5, 1_000_000_000_000]) store.createSegment(base);
      expect(segmentsOf(store)).toEqual([5, 20, 1_000_000_000_000]);
      store.dropSegment(20);
      expect(segmentsOf(store)).toEqual([5, 1_000_000_000_000]);
      store.createSegment(20);
      expect(segmentsOf(store)).toEqual([5, 20, 1_000_000_000_000]);
      expect(store.totals(20)).toBeNull();
    });

    test("[LOG-9] the segment of an offset and the one behind it are found by search", () => {
      const store = newPlace().open();
      expect([store.floorSegment(5), store.segmentAfter(-1)]).toEqual([null, null]);
      for (const base of [40, 5, 20]) store.createSegment(base);
      const around = (offset: number) => [store.floorSegment(offset), store.segmentAfter(offset)];
      expect(around(-1)).toEqual([null, 5]);
      expect(around(4)).toEqual([null, 5]);
      expect(around(5)).toEqual([5, 20]);
      expect(around(39)).toEqual([20, 40]);
      expect(around(40)).toEqual([40, null]);
      expect(around(Number.MAX_SAFE_INTEGER)).toEqual([40, null]);
      store.dropSegment(20);
      expect(around(30)).toEqual([5, 40]);
    });

    test("[LOG-5] the totals of a segment are those of its last chunk", () => {
      const store = newPlace().open();
      store.createSegment(0);
      store.createSegment(7);
      expect(store.totals(0)).toBeNull();
      fill(store, 0, [chunk(0, 3), chunk(3, 7)]);
      expect(store.totals(0)).toEqual(totals(7, 2));
      expect(store.totals(7)).toBeNull();
    });

    test("[LOG-5] what one store wrote the next one on the same place reads", () => {
      const place = newPlace();
      const first = place.open();
      first.createSegment(0);
      fill(first, 0, [chunk(0, 2)]);
      first.setLogStartOffset(1);
      const second = place.open();
      expect(segmentsOf(second)).toEqual([0]);
      expect(second.totals(0)).toEqual(totals(2, 1));
      expect(second.logStartOffset()).toBe(1);
      expect(Array.from(second.chunksFrom(0, 0))).toEqual([stored(chunk(0, 2))]);
    });

    test("[LOG-4] the floor chunk of an offset is the last that begins at or before it", () => {
      const store = newPlace().open();
      store.createSegment(10);
      expect(store.floorChunk(10, 99)).toBeNull();
      fill(store, 10, [chunk(10, 13), chunk(13, 20), chunk(20, 21)]);
      const floors = [9, 10, 12, 13, 19, 20, 500].map((offset) => store.floorChunk(10, offset));
      expect(floors.map((place) => place?.baseOffset ?? null)).toEqual([
        null,
        10,
        10,
        13,
        13,
        20,
        20,
      ]);
      expect(floors[3]).toEqual({ baseOffset: 13, ...totals(20, 2) });
    });

    test("[LOG-4] chunks come in order from the one asked for, of their segment only", () => {
      const store = newPlace().open();
      store.createSegment(0);
      store.createSegment(9);
      const chunks = [chunk(0, 4), chunk(4, 5), chunk(5, 9)];
      fill(store, 0, chunks);
      fill(store, 9, [chunk(9, 10)]);
      const from = (offset: number) => Array.from(store.chunksFrom(0, offset));
      expect(from(0)).toEqual(chunks.map(stored));
      expect(from(4)).toEqual(chunks.slice(1).map(stored));
      expect(from(6)).toEqual([]);
      expect(Array.from(store.chunksFrom(9, 9))).toEqual([stored(chunk(9, 10))]);
    });

    test("[LOG-4] a reader that stops early leaves the segment free to change", () => {
      const store = newPlace().open();
      store.createSegment(0);
      fill(store, 0, [chunk(0, 1), chunk(1, 2)]);
      for (const each of store.chunksFrom(0, 0)) {
        expect(each.baseOffset).toBe(0);
        break;
      }
      store.insertChunk(0, chunk(2, 3), totals(3, 3));
      store.dropSegment(0);
      expect(segmentsOf(store)).toEqual([]);
    });

    test("[LOG-5] stored bytes are a copy: nobody changes them afterwards", () => {
      const store = newPlace().open();
      store.createSegment(0);
      const around = Uint8Array.of(9, 9, 1, 2, 3, 9);
      const view = around.subarray(2, 5);
      store.insertChunk(0, { ...chunk(0, 1), bytes: view }, totals(1, 1));
      view.fill(0);
      const read = () => Array.from(store.chunksFrom(0, 0), ({ bytes }) => bytes);
      read()[0]?.fill(7);
      expect(read()).toEqual([Uint8Array.of(1, 2, 3)]);
    });

    test("[LOG-6] timestamps before 1970 and beyond 2^53 are kept", () => {
      const store = newPlace().open();
      for (const [segment, maxTimestamp] of [-1, 2 ** 62].entries()) {
        store.createSegment(segment);
        store.insertChunk(segment, chunk(segment, segment + 1), {
          ...totals(segment + 1, 1),
          maxTimestamp,
        });
        expect(store.totals(segment)?.maxTimestamp).toBe(maxTimestamp);
      }
    });

    test("[LOG-2] a throw inside a transaction takes back all that was written in it", () => {
      const place = newPlace();
      const store = place.open();
      store.createSegment(0);
      store.createSegment(2);
      fill(store, 0, [chunk(0, 2)]);
      fill(store, 2, [chunk(2, 4)]);
      const error = new Error("the disk is full");
      const attempt = () =>
        store.transaction(() => {
          store.insertChunk(2, chunk(4, 5), totals(5, 2));
          store.createSegment(5);
          store.insertChunk(5, chunk(5, 6), totals(6, 1));
          store.dropSegment(0);
          store.setLogStartOffset(3);
          // The transaction sees its own writes; nobody else ever does.
          expect(segmentsOf(store)).toEqual([2, 5]);
          expect(store.totals(2)).toEqual(totals(5, 2));
          throw error;
        });
      expect(attempt).toThrow(error);
      for (const each of [store, place.open()]) {
        expect(segmentsOf(each)).toEqual([0, 2]);
        expect(each.logStartOffset()).toBe(0);
        expect(Array.from(each.chunksFrom(0, 0))).toEqual([stored(chunk(0, 2))]);
        expect(Array.from(each.chunksFrom(2, 0))).toEqual([stored(chunk(2, 4))]);
        expect(each.totals(2)).toEqual(totals(4, 1));
      }
    });

    test("[LOG-2] a transaction keeps its writes and returns what its body returns", () => {
      const store = newPlace().open();
      const result = store.transaction(() => {
        store.createSegment(0);
        fill(store, 0, [chunk(0, 2)]);
        return "done";
      });
      expect(result).toBe("done");
      expect(() =>
        store.transaction(() => {
          throw new Error("later");
        }),
      ).toThrow("later");
      expect(store.totals(0)).toEqual(totals(2, 1));
    });

    test("[LOG-2] a chunk or segment that is there, or a segment that is not, is a throw", () => {
      const store = newPlace().open();
      store.createSegment(0);
      fill(store, 0, [chunk(0, 2)]);
      const wrong: (() => unknown)[] = [
        () => store.createSegment(0),
        () => store.insertChunk(0, chunk(0, 3), totals(3, 2)),
        () => store.insertChunk(4, chunk(4, 5), totals(5, 1)),
        () => store.dropSegment(4),
        () => store.totals(4),
        () => store.floorChunk(4, 4),
        () => Array.from(store.chunksFrom(4, 4)),
      ];
      for (const each of wrong) expect(each, String(each)).toThrow();
      expect(segmentsOf(store)).toEqual([0]);
      expect(Array.from(store.chunksFrom(0, 0))).toEqual([stored(chunk(0, 2))]);
    });

    test("[LOG-8] the log starts at 0 until it is told otherwise", () => {
      const store = newPlace().open();
      expect(store.logStartOffset()).toBe(0);
      store.setLogStartOffset(2 ** 40 + 1);
      expect(store.logStartOffset()).toBe(2 ** 40 + 1);
    });
  });
}

describe("SqlLogStore before and after its first use", () => {
  test("[LOG-5] a partition that was only asked about is empty and owns no table", () => {
    const storage = nodeSql();
    const store = new SqlLogStore(storage);
    expect(store.topic()).toBeNull();
    expect(segmentsOf(store)).toEqual([]);
    expect([store.floorSegment(0), store.segmentAfter(-1)]).toEqual([null, null]);
    expect(store.logStartOffset()).toBe(0);
    expect(hasTable(storage.sql, "partition")).toBe(false);
  });

  test("[LOG-5] a change of the topic's config keeps the log", () => {
    const storage = nodeSql();
    const store = new SqlLogStore(storage);
    store.setTopic(TOPIC);
    store.createSegment(0);
    fill(store, 0, [chunk(0, 2)]);
    store.setLogStartOffset(1);
    const changed = { ...TOPIC, config: { maxMessageBytes: 500 } };
    new SqlLogStore(storage).setTopic(changed);
    const next = new SqlLogStore(storage);
    expect(next.topic()).toEqual(changed);
    expect(segmentsOf(next)).toEqual([0]);
    expect(next.logStartOffset()).toBe(1);
  });
});

function chunk(baseOffset: number, nextOffset: number): Chunk {
  const bytes = Uint8Array.from({ length: 10 }, (_, i) => (baseOffset * 31 + i) % 256);
  return { baseOffset, nextOffset, maxTimestamp: 1_000 + baseOffset, bytes };
}

function stored({ baseOffset, nextOffset, bytes }: Chunk) {
  return { baseOffset, nextOffset, bytes };
}

/** Totals after the chunk that ends at `nextOffset`; every number differs from every other. */
function totals(nextOffset: number, chunkCount: number): SegmentTotals {
  return {
    nextOffset,
    maxTimestamp: 5_000 + nextOffset,
    sizeInBytes: 100_000 * chunkCount,
    chunkCount,
  };
}

function fill(store: LogStore, segment: number, chunks: readonly Chunk[]): void {
  for (const [i, each] of chunks.entries()) {
    store.insertChunk(segment, each, totals(each.nextOffset, i + 1));
  }
}
