import { describe, expect, test } from "vitest";
import { PartitionStore } from "../../../../durable-objects/partition/partition-store.ts";
import { SqlLogStore } from "../../../../durable-objects/partition/sql-log-store.ts";
import { whichExist } from "../../../../durable-objects/shared/sql.ts";
import { resolveTopic } from "../../../../src/core/cluster/topics.ts";
import type { Chunk } from "../../../../src/core/log/append.ts";
import {
  COMPACTING,
  INITIAL_LOG_STATE,
  type LogState,
  type LogStore,
  type ProducerSnapshot,
  type SegmentTotals,
} from "../../../../src/core/log/log-store.ts";
import type { AppendEntry } from "../../../../src/core/log/producers.ts";
import { dump, PARTITION, PLACES, type Place, TOPIC } from "../../../support/log-fixtures.ts";
import { segmentsOf } from "../../../support/memory-log-store.ts";
import { nodeSql } from "../../../support/node-sql.ts";

for (const { name, newPlace } of PLACES) storeContract(name, newPlace);

function storeContract(name: string, newPlace: () => Place): void {
  describe(name, () => {
    test("[LOG-8] segments are listed in ascending order until they are dropped", () => {
      const store = newPlace().open();
      expect(segmentsOf(store)).toEqual([]);
      for (const base of [20, 5, 1_000_000_000_000]) store.createSegment(base, CREATED_MS);
      expect(segmentsOf(store)).toEqual([5, 20, 1_000_000_000_000]);
      store.dropSegment(20);
      expect(segmentsOf(store)).toEqual([5, 1_000_000_000_000]);
      store.createSegment(20, CREATED_MS);
      expect(segmentsOf(store)).toEqual([5, 20, 1_000_000_000_000]);
      expect(store.totals(20)).toBeNull();
    });

    test("[LOG-9] the segment of an offset and the next one are found by search", () => {
      const store = newPlace().open();
      expect([store.floorSegment(5), store.segmentAfter(-1)]).toEqual([null, null]);
      for (const base of [40, 5, 20]) store.createSegment(base, CREATED_MS);
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
      store.createSegment(0, CREATED_MS);
      store.createSegment(7, CREATED_MS);
      expect(store.totals(0)).toBeNull();
      fill(store, 0, [chunk(0, 3), chunk(3, 7)]);
      expect(store.totals(0)).toEqual(totals(7, 2));
      expect(store.totals(7)).toBeNull();
    });

    test("[LOG-5] the next store at the same place reads what one store wrote", () => {
      const place = newPlace();
      const first = place.open();
      first.createSegment(0, CREATED_MS);
      fill(first, 0, [chunk(0, 2)]);
      first.setState(startingAt(1));
      const second = place.open();
      expect(segmentsOf(second)).toEqual([0]);
      expect(second.totals(0)).toEqual(totals(2, 1));
      expect(second.state().logStartOffset).toBe(1);
      expect(Array.from(second.chunksFrom(0, 0))).toEqual([stored(chunk(0, 2))]);
    });

    test("[LOG-4] the floor chunk of an offset is the last that begins at or before it", () => {
      const store = newPlace().open();
      store.createSegment(10, CREATED_MS);
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
      expect(floors[3]).toEqual(place(13, 20, 2));
    });

    test("[LOG-4] chunks come in order from the requested one, of their segment only", () => {
      const store = newPlace().open();
      store.createSegment(0, CREATED_MS);
      store.createSegment(9, CREATED_MS);
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
      store.createSegment(0, CREATED_MS);
      fill(store, 0, [chunk(0, 1), chunk(1, 2)]);
      for (const each of store.chunksFrom(0, 0)) {
        expect(each.baseOffset).toBe(0);
        break;
      }
      store.insertChunk(0, chunk(2, 3), totals(3, 3));
      store.dropSegment(0);
      expect(segmentsOf(store)).toEqual([]);
    });

    test("[LOG-5] stored bytes are a copy: nobody changes them afterward", () => {
      const store = newPlace().open();
      store.createSegment(0, CREATED_MS);
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
        store.createSegment(segment, CREATED_MS);
        store.insertChunk(
          segment,
          { ...chunk(segment, segment + 1), maxTimestamp },
          { ...totals(segment + 1, 1), maxTimestamp },
        );
        expect(store.totals(segment)?.maxTimestamp).toBe(maxTimestamp);
        expect(store.floorChunk(segment, segment)?.chunkMaxTimestamp).toBe(maxTimestamp);
      }
    });

    test("[LOG-2] a throw inside a transaction undoes everything written in it", () => {
      const place = newPlace();
      const store = place.open();
      store.createSegment(0, CREATED_MS);
      store.createSegment(2, CREATED_MS);
      fill(store, 0, [chunk(0, 2)]);
      fill(store, 2, [chunk(2, 4)]);
      const error = new Error("the disk is full");
      const attempt = () =>
        store.transaction(() => {
          store.insertChunk(2, chunk(4, 5), totals(5, 2));
          store.createSegment(5, CREATED_MS);
          store.insertChunk(5, chunk(5, 6), totals(6, 1));
          store.dropSegment(0);
          store.setState(startingAt(3));
          // The transaction sees its own writes; nobody else ever does.
          expect(segmentsOf(store)).toEqual([2, 5]);
          expect(store.totals(2)).toEqual(totals(5, 2));
          throw error;
        });
      expect(attempt).toThrow(error);
      for (const each of [store, place.open()]) {
        expect(segmentsOf(each)).toEqual([0, 2]);
        expect(each.state().logStartOffset).toBe(0);
        expect(Array.from(each.chunksFrom(0, 0))).toEqual([stored(chunk(0, 2))]);
        expect(Array.from(each.chunksFrom(2, 0))).toEqual([stored(chunk(2, 4))]);
        expect(each.totals(2)).toEqual(totals(4, 1));
      }
    });

    test("[LOG-2] a transaction keeps its writes and returns what its body returns", () => {
      const store = newPlace().open();
      const result = store.transaction(() => {
        store.createSegment(0, CREATED_MS);
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

    test("[LOG-2] an existing chunk or segment, or a missing segment, throws", () => {
      const store = newPlace().open();
      store.createSegment(0, CREATED_MS);
      fill(store, 0, [chunk(0, 2)]);
      const wrong: (() => unknown)[] = [
        () => store.createSegment(0, CREATED_MS),
        () => store.insertChunk(0, chunk(0, 3), totals(3, 2)),
        () => store.insertChunk(4, chunk(4, 5), totals(5, 1)),
        () => store.dropSegment(4),
        () => store.totals(4),
        () => store.floorChunk(4, 4),
        () => Array.from(store.chunksFrom(4, 4)),
        () => Array.from(store.placesFrom(4, 4)),
        () => Array.from(store.appendsFrom(4, 4)),
        () => store.renameCompacting(4, CREATED_MS),
      ];
      for (const each of wrong) expect(each, String(each)).toThrow();
      expect(segmentsOf(store)).toEqual([0]);
      expect(Array.from(store.chunksFrom(0, 0))).toEqual([stored(chunk(0, 2))]);
    });

    test("[LOG-8] a log that was never written to is empty and starts at 0", () => {
      const store = newPlace().open();
      expect(store.state()).toEqual(INITIAL_LOG_STATE);
      expect(store.state()).toMatchObject({ logStartOffset: 0, sealedBytes: 0, segmentCount: 0 });
      expect(store.producerSnapshot()).toBeNull();
    });

    test("[LOG-5] the state is kept as a whole, with and without a pass of compaction", () => {
      const place = newPlace();
      const pass = { mapEnd: 90, groupBase: 10, position: 50, nextHorizonMs: 1_700_000_000_000 };
      const states: LogState[] = [
        { ...INITIAL_LOG_STATE, logStartOffset: 2 ** 40 + 1, sealedBytes: 7, segmentCount: 3 },
        { ...INITIAL_LOG_STATE, compaction: { cleanedOffset: 5, nextHorizonMs: 6, pass } },
        { ...INITIAL_LOG_STATE, compaction: { cleanedOffset: 9, nextHorizonMs: null, pass: null } },
      ];
      for (const state of states) {
        const store = place.open();
        store.setState(state);
        expect(store.state()).toEqual(state);
        expect(place.open().state()).toEqual(state);
      }
    });

    test("[SEG-1] a segment remembers when it was created", () => {
      const place = newPlace();
      const store = place.open();
      const times = [0, 1_700_000_000_000, 3];
      for (const [i, time] of times.entries()) store.createSegment(i * 10, time);
      for (const each of [store, place.open()])
        expect(times.map((_, i) => each.createdAtMs(i * 10))).toEqual(times);
    });

    test("[LOG-11] places describe each chunk, with its own largest timestamp", () => {
      const store = newPlace().open();
      store.createSegment(0, CREATED_MS);
      store.createSegment(9, CREATED_MS);
      fill(store, 0, [chunk(0, 4), chunk(4, 5), chunk(5, 9)]);
      fill(store, 9, [chunk(9, 10)]);
      const from = (offset: number) => Array.from(store.placesFrom(0, offset));
      const all = [place(0, 4, 1), place(4, 5, 2), place(5, 9, 3)];
      expect(from(0)).toEqual(all);
      expect(from(1)).toEqual(all.slice(1));
      expect(from(5)).toEqual(all.slice(2));
      expect(from(6)).toEqual([]);
      expect(all[2]).toEqual(store.floorChunk(0, 7));
    });

    test("[IDM-4] the appends of chunks come in order, of those chunks only", () => {
      const reopened = newPlace();
      const store = reopened.open();
      store.createSegment(0, CREATED_MS);
      store.createSegment(9, CREATED_MS);
      fill(store, 0, [
        { ...chunk(0, 4), appends: [entry(1, 0), entry(2, 3)] },
        chunk(4, 5),
        { ...chunk(5, 9), appends: [entry(1, 5)] },
      ]);
      fill(store, 9, [{ ...chunk(9, 10), appends: [entry(3, 9)] }]);
      for (const each of [store, reopened.open()]) {
        const from = (offset: number) => Array.from(each.appendsFrom(0, offset));
        expect(from(0)).toEqual([entry(1, 0), entry(2, 3), entry(1, 5)]);
        expect(from(4)).toEqual([entry(1, 5)]);
        expect(from(6)).toEqual([]);
        expect(Array.from(each.appendsFrom(9, 9))).toEqual([entry(3, 9)]);
      }
    });

    test("[IDM-4] the last snapshot of the producers is kept", () => {
      const place = newPlace();
      const snapshots: ProducerSnapshot[] = [
        { nextOffset: 4, entries: [entry(1, 0), entry(2, 3)] },
        { nextOffset: 2 ** 40, entries: [entry(2 ** 50, 2 ** 39)] },
        { nextOffset: 2 ** 41, entries: [] },
      ];
      for (const snapshot of snapshots) {
        const store = place.open();
        store.setProducerSnapshot(snapshot);
        expect(store.producerSnapshot()).toEqual(snapshot);
        expect(place.open().producerSnapshot()).toEqual(snapshot);
      }
    });

    test("[CMP-4] the segment being built is written and read like any, but listed nowhere", () => {
      const store = newPlace().open();
      store.createSegment(COMPACTING, CREATED_MS);
      expect(segmentsOf(store)).toEqual([]);
      expect([store.floorSegment(99), store.floorSegment(-1)]).toEqual([null, null]);
      expect(store.segmentAfter(-2)).toBeNull();
      expect(store.totals(COMPACTING)).toBeNull();
      fill(store, COMPACTING, [chunk(3, 4), chunk(6, 8)]);
      expect(store.totals(COMPACTING)).toEqual(totals(8, 2));
      expect(store.floorChunk(COMPACTING, 5)).toEqual(place(3, 4, 1));
      expect(Array.from(store.chunksFrom(COMPACTING, 4))).toEqual([stored(chunk(6, 8))]);
      expect(Array.from(store.placesFrom(COMPACTING, 0))).toEqual([place(3, 4, 1), place(6, 8, 2)]);
      store.dropSegment(COMPACTING);
      expect(() => store.totals(COMPACTING)).toThrow();
      store.createSegment(COMPACTING, CREATED_MS);
      expect(store.totals(COMPACTING)).toBeNull();
    });

    test("[CMP-4] the segment being built replaces another", () => {
      const reopened = newPlace();
      const store = reopened.open();
      store.createSegment(0, 10);
      store.createSegment(9, 20);
      fill(store, 0, [chunk(0, 9)]);
      store.createSegment(COMPACTING, 0);
      fill(store, COMPACTING, [chunk(3, 4), chunk(6, 8)]);
      store.transaction(() => {
        store.dropSegment(0);
        store.renameCompacting(0, 15);
      });
      for (const each of [store, reopened.open()]) {
        expect(segmentsOf(each)).toEqual([0, 9]);
        expect([each.createdAtMs(0), each.createdAtMs(9)]).toEqual([15, 20]);
        expect(each.totals(0)).toEqual(totals(8, 2));
        expect(each.floorChunk(0, 2)).toBeNull();
        expect(Array.from(each.chunksFrom(0, 0))).toEqual([
          stored(chunk(3, 4)),
          stored(chunk(6, 8)),
        ]);
        expect(() => each.totals(COMPACTING)).toThrow();
      }
    });

    test("[CMP-4] an empty segment being built can replace one too", () => {
      const store = newPlace().open();
      store.createSegment(COMPACTING, 0);
      store.renameCompacting(4, 15);
      expect(segmentsOf(store)).toEqual([4]);
      expect([store.totals(4), store.createdAtMs(4)]).toEqual([null, 15]);
    });

    const changes: { what: string; change: (store: LogStore) => void }[] = [
      { what: "the state", change: (store) => store.setState(startingAt(3)) },
      {
        what: "the snapshot of the producers",
        change: (store) => store.setProducerSnapshot({ nextOffset: 9, entries: [] }),
      },
      { what: "a new segment", change: (store) => store.createSegment(50, 60) },
      { what: "a dropped segment", change: (store) => store.dropSegment(0) },
      {
        what: "a chunk with its appends",
        change: (store) =>
          store.insertChunk(7, { ...chunk(7, 8), appends: [entry(9, 7)] }, totals(8, 1)),
      },
      {
        what: "a chunk of the segment being built",
        change: (store) => store.insertChunk(COMPACTING, chunk(5, 6), totals(6, 2)),
      },
      { what: "a dropped segment being built", change: (store) => store.dropSegment(COMPACTING) },
      {
        what: "a segment replaced",
        change: (store) => {
          store.dropSegment(0);
          store.renameCompacting(0, 99);
        },
      },
    ];

    test.each(changes)("[LOG-2] [LOG-12] a throw undoes $what", ({ change }) => {
      const place = newPlace();
      const store = place.open();
      store.createSegment(0, 10);
      store.createSegment(7, 20);
      fill(store, 0, [{ ...chunk(0, 4), appends: [entry(1, 0)] }, chunk(4, 7)]);
      store.createSegment(COMPACTING, 0);
      fill(store, COMPACTING, [chunk(2, 4)]);
      store.setState(startingAt(1));
      store.setProducerSnapshot({ nextOffset: 4, entries: [entry(1, 0)] });
      const everything = (each: LogStore) => ({
        ...dump(each),
        compacting: Array.from(each.placesFrom(COMPACTING, 0)),
      });
      const before = everything(store);
      const attempt = () =>
        store.transaction(() => {
          change(store);
          throw new Error("the disk is full");
        });
      expect(attempt).toThrow("the disk is full");
      for (const each of [store, place.open()]) expect(everything(each)).toEqual(before);
      // Without the throw there is something to undo.
      store.transaction(() => change(store));
      expect(everythingOrNothing(() => everything(store))).not.toEqual(before);
    });
  });
}

describe("SqlLogStore before and after its first use", () => {
  test("[LOG-5] a partition that was only queried owns no table", () => {
    const storage = nodeSql();
    expect(new PartitionStore(storage, PARTITION).open()).toBeNull();
    for (const table of ["partition", "log", "segments", "producers", "fences"])
      expect(whichExist(storage.sql, [table])).toEqual([]);
  });

  test("[LOG-5] a change of the topic's config keeps the log", () => {
    const storage = nodeSql();
    new PartitionStore(storage, PARTITION).setTopic(TOPIC);
    const store = new SqlLogStore(storage);
    store.createSegment(0, CREATED_MS);
    fill(store, 0, [chunk(0, 2)]);
    store.setState(startingAt(1));
    store.setProducerSnapshot({ nextOffset: 2, entries: [entry(1, 0)] });
    const before = dump(store);
    const changed = resolveTopic({ ...TOPIC, overrides: { "max.message.bytes": 500 } });
    expect(changed.config.maxMessageBytes).toBe(500);
    new PartitionStore(storage, PARTITION).setTopic(changed);
    expect(new PartitionStore(storage, PARTITION).open()).toEqual(changed);
    expect(dump(new SqlLogStore(storage))).toEqual(before);
    expect(before.segments).toHaveLength(1);
  });

  test("[LOG-9] an append without an idempotent producer stores no list of appends", () => {
    const storage = nodeSql();
    new PartitionStore(storage, PARTITION).setTopic(TOPIC);
    const store = new SqlLogStore(storage);
    store.createSegment(0, CREATED_MS);
    fill(store, 0, [chunk(0, 2), { ...chunk(2, 3), appends: [entry(1, 2)] }]);
    const rows = storage.sql.exec<{ is_null: number }>(
      "SELECT appends IS NULL AS is_null FROM segment_0 ORDER BY base_offset",
    );
    expect(Array.from(rows, (row) => row.is_null)).toEqual([1, 0]);
  });
});

/** The creation time of segments, where it does not matter. */
const CREATED_MS = 42;

function startingAt(logStartOffset: number): LogState {
  return { ...INITIAL_LOG_STATE, logStartOffset };
}

/** An append whose every number differs from every other. */
function entry(producerId: number, baseOffset: number): AppendEntry {
  const [firstSequence, lastSequence] = [100 + baseOffset, 200 + baseOffset];
  return {
    producerId,
    producerEpoch: 7,
    firstSequence,
    lastSequence,
    baseOffset,
    atMs: 1_700_000_000_000 + baseOffset,
    fingerprint: 4_000_000_000 + producerId,
    isOwn: producerId % 2 === 0,
  };
}

/** The place of `chunk(baseOffset, nextOffset)` after `fill` wrote it. */
function place(baseOffset: number, nextOffset: number, chunkCount: number) {
  const { maxTimestamp: chunkMaxTimestamp } = chunk(baseOffset, nextOffset);
  return { baseOffset, chunkMaxTimestamp, ...totals(nextOffset, chunkCount) };
}

/** The result of `read`, or null if a segment it reads has gone. */
function everythingOrNothing<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}

function chunk(baseOffset: number, nextOffset: number): Chunk {
  const bytes = Uint8Array.from({ length: 10 }, (_, i) => (baseOffset * 31 + i) % 256);
  return { baseOffset, nextOffset, maxTimestamp: 1_000 + baseOffset, bytes, appends: [] };
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
