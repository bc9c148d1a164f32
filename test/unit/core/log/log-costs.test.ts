import { describe, expect, test } from "vitest";
import type { SqlValue } from "../../../../durable-objects/shared/sql.ts";
import { PartitionLog } from "../../../../src/core/log/partition-log.ts";
import {
  configOf,
  countCalls,
  countSql,
  lookUp,
  PLACES,
  type Place,
  singleAppend,
  sqlPlace,
} from "../../../support/log-fixtures.ts";
import { segmentsOf } from "../../../support/memory-log-store.ts";
import { nodeSql } from "../../../support/node-sql.ts";

describe.each(PLACES)("costs of a log on $name", ({ newPlace }) => {
  test("[LOG-6] a lookup among 2,000 chunks halves its way and does not walk", () => {
    const place = newPlace();
    const writer = new PartitionLog(place.open(), configOf());
    for (let i = 0; i < 2_000; i++) writer.commit([singleAppend([i])], 0);
    const { store, take } = countCalls(place.open());
    const log = new PartitionLog(store, configOf());
    for (const offset of [0, 1, 999, 1_500, 1_999]) {
      take();
      expect(lookUp(log, offset)).toBe(offset);
      // 2,000 offsets are halved 11 times; the rest is the segment, its totals and the chunk.
      expect(take().total, `look-up of ${offset}`).toBeLessThanOrEqual(11 + 5);
    }
  });

  test("[LOG-9] append, read and wake-up make the same requests at 10 chunks and at 2,000", () => {
    const costAt = (chunks: number) => {
      const place = newPlace();
      const writer = new PartitionLog(place.open(), configOf());
      for (let i = 0; i < chunks; i++) writer.commit([singleAppend([i % 7])], 0);
      return costs(place, configOf());
    };
    const few = costAt(10);
    expect(few.append).toMatchObject({ transaction: 1, insertChunk: 1, total: 2 });
    expect(few.readOne).toMatchObject({ floorChunk: 1, chunksFrom: 1, chunks: 1 });
    expect(few.readFour).toMatchObject({ floorChunk: 1, chunksFrom: 1, chunks: 4 });
    expect(costAt(2_000)).toEqual(few);
  });

  test("[LOG-9] append and read make the same requests in 2 segments and in 200", () => {
    const size = singleAppend([1]).bytes.length;
    const costAt = (segments: number) => {
      const place = newPlace();
      const options = configOf({ segmentBytes: 10 * size });
      const writer = new PartitionLog(place.open(), options);
      // The last segment has room, so that the append measured does not roll it.
      for (let i = 0; i < segments * 10 - 3; i++) writer.commit([singleAppend([i % 7])], 0);
      expect(segmentsOf(place.open())).toHaveLength(segments);
      const { append, readOne, readFour } = costs(place, options);
      return { append, readOne, readFour };
    };
    expect(costAt(200)).toEqual(costAt(2));
  });

  test("[LOG-9] a wake-up makes the same requests with 2 segments and with 200", () => {
    const costAt = (segments: number) => {
      const place = newPlace();
      filled(place, segments, configOf({ segmentBytes: 1 }));
      expect(segmentsOf(place.open())).toHaveLength(segments);
      const { store, take } = countCalls(place.open());
      expect(new PartitionLog(store, configOf({ segmentBytes: 1 })).logEndOffset).toBe(segments);
      return take();
    };
    expect(costAt(200)).toEqual(costAt(2));
  });
});

describe("rows of SQLite", () => {
  test("[LOG-9] append, read and wake-up cost the same rows at 10 chunks and at 2,000", () => {
    const costAt = (chunks: number) => {
      const storage = nodeSql();
      const sql = countSql(storage);
      const place = sqlPlace(sql.storage);
      const writer = new PartitionLog(place.open(), configOf());
      for (let i = 0; i < chunks; i++) writer.commit([singleAppend([i % 7])], 0);
      sql.take();
      const log = new PartitionLog(place.open(), configOf());
      const wakeUp = sql.take();
      log.commit([singleAppend([1])], 0);
      const append = sql.take();
      log.read(5, 1);
      const read = sql.take();
      return { wakeUp, append, read };
    };
    const few = costAt(10);
    expect(few.append).toEqual({ statements: 1, rows: 0 });
    // The segment, the place of the chunk in it, the chunk.
    expect(few.read).toEqual({ statements: 3, rows: 3 });
    expect(few.wakeUp.statements).toBeGreaterThan(0);
    expect(costAt(2_000)).toEqual(few);
  });

  test("[LOG-9] no query sorts, so that rows read are rows returned", () => {
    const storage = nodeSql();
    const sql = countSql(storage);
    const place = sqlPlace(sql.storage);
    const log = filled(place, 3, configOf({ segmentBytes: 1 }));
    log.deleteRecordsBefore(1, 0);
    const next = new PartitionLog(place.open(), configOf({ segmentBytes: 1 }));
    next.read(1, 100_000);
    next.findBatchByTimestamp(0, 0);
    // Dropped segments have no tables to explain; the last one's are like theirs.
    const queries = sql.queries
      .filter((query) => query.startsWith("SELECT"))
      .map((query) => query.replace(/segment_\d+/, "segment_2"));
    expect(queries.length).toBeGreaterThan(4);
    for (const query of queries) {
      const places = query.split("?").length - 1;
      const bindings = new Array<SqlValue>(places).fill(0);
      const plan = Array.from(
        storage.sql.exec<{ detail: string }>(`EXPLAIN QUERY PLAN ${query}`, ...bindings),
        ({ detail }) => detail,
      );
      expect(plan.join("; "), query).toMatch(/^(SEARCH|SCAN) [^;]+$/);
      // A scan stops at its first row; the table looked for at a wake-up is the first created.
      if (plan[0]?.startsWith("SCAN")) expect(query).toMatch(/sqlite_master|LIMIT 1$/);
    }
  });
});

/** A log with a commit, so a chunk, of one record for each. */
function filled(place: Place, count: number, config = configOf()): PartitionLog {
  const log = new PartitionLog(place.open(), config);
  for (let i = 0; i < count; i++) log.commit([singleAppend([i])], 0);
  return log;
}

/** The requests to the store of a wake-up, reads in the middle and an append. */
function costs(place: Place, config: ReturnType<typeof configOf>) {
  const { store, take } = countCalls(place.open());
  const log = new PartitionLog(store, config);
  const wakeUp = take();
  const [first] = log.read(5, 1).pieces;
  const size = first?.length ?? 0;
  take();
  log.read(5, 1);
  const readOne = take();
  log.read(5, 4 * size);
  const readFour = take();
  log.commit([singleAppend([1])], 0);
  return { wakeUp, readOne, readFour, append: take() };
}
