import { describe, expect, test } from "vitest";
import { concatBytes } from "../../../../src/core/bytes.ts";
import { unwrap } from "../../../../src/core/errors.ts";
import { validateAppend } from "../../../../src/core/log/append.ts";
import { PartitionLog } from "../../../../src/core/log/partition-log.ts";
import { batches, decodeBatch, hasValidCrc } from "../../../../src/core/log/record-batch.ts";
import {
  appendOf,
  batchOf,
  configOf,
  lookUp,
  PLACES,
  RULES,
  sentBatch,
  shape,
  singleAppend,
} from "../../../support/log-fixtures.ts";

describe.each(PLACES)("timestamps on $name", ({ newPlace }) => {
  const appended = configOf({ messageTimestampType: "LogAppendTime" });

  function recordsOf(log: PartitionLog) {
    const bytes = concatBytes(log.read(log.logStartOffset, 1_000_000).pieces);
    return Array.from(batches(bytes)).flatMap(({ start, header }) => {
      expect(hasValidCrc(bytes, start, header.sizeInBytes), `batch ${header.baseOffset}`).toBe(
        true,
      );
      return decodeBatch(bytes, start);
    });
  }

  test("[LOG-10] with LogAppendTime all records have the time of the append", () => {
    const place = newPlace();
    const log = new PartitionLog(place.open(), appended);
    const two = appendOf([batchOf([shape(7), shape(9_999)], 0, 0), batchOf([shape(-5)], 0, 0)]);
    const outcomes = log.commit([two, singleAppend([3])], 1_700_000_000_123);
    expect(outcomes).toEqual([
      { ok: true, baseOffset: 0, appendedAtMs: 1_700_000_000_123 },
      { ok: true, baseOffset: 3, appendedAtMs: 1_700_000_000_123 },
    ]);
    log.commit([singleAppend([1])], 1_700_000_000_124);
    for (const each of [log, new PartitionLog(place.open(), appended)]) {
      expect(recordsOf(each).map(({ timestamp }) => timestamp % 1_000)).toEqual([
        123, 123, 123, 123, 124,
      ]);
      expect(recordsOf(each).map(({ offset }) => offset)).toEqual([0, 1, 2, 3, 4]);
      expect(lookUp(each, 1_700_000_000_124)).toBe(4);
      expect(each.maxTimestamp(decodeBatch)).toBe(1_700_000_000_124);
    }
    expect(place.open().totals(0)?.maxTimestamp).toBe(1_700_000_000_124);
  });

  test("[LOG-10] keys, values and headers stay as they were sent", () => {
    const log = new PartitionLog(newPlace().open(), appended);
    const sent = singleAppend([1, 2], 300);
    const before = decodeBatch(sent.bytes.slice());
    log.commit([sent], 50);
    expect(recordsOf(log)).toEqual(
      before.map((each, offset) => ({ ...each, offset, timestamp: 50 })),
    );
  });

  test("[LOG-10] with CreateTime the records keep their own times", () => {
    const log = new PartitionLog(newPlace().open(), configOf());
    log.commit([singleAppend([7, 9_999, -5]), singleAppend([3])], 1_700_000_000_123);
    expect(recordsOf(log).map(({ timestamp }) => timestamp)).toEqual([7, 9_999, -5, 3]);
  });

  test("[LOG-10] a changed type counts from the next append on", () => {
    const log = new PartitionLog(newPlace().open(), configOf());
    log.commit([singleAppend([7])], 1_000);
    log.config = appended;
    log.commit([singleAppend([8])], 2_000);
    log.config = configOf();
    log.commit([singleAppend([9])], 3_000);
    expect(recordsOf(log).map(({ timestamp }) => timestamp)).toEqual([7, 2_000, 9]);
  });

  test("[LOG-10] [IDM-1] a repeat gets the time of the first append", () => {
    const log = new PartitionLog(newPlace().open(), appended);
    const append = () => unwrap(validateAppend(sentBatch({ baseSequence: 0 }), RULES));
    log.commit([append()], 1_000);
    expect(log.commit([append()], 2_000)).toEqual([
      { ok: true, baseOffset: 0, appendedAtMs: 1_000 },
    ]);
    expect(recordsOf(log).map(({ timestamp }) => timestamp)).toEqual([1_000]);
  });

  const layouts = [
    { layout: "in one chunk", isJoined: true, segmentBytes: 1 },
    { layout: "in chunks of one segment", isJoined: false, segmentBytes: 1_000_000 },
    { layout: "in segments of two chunks", isJoined: false, segmentBytes: 240 },
    { layout: "in a segment each", isJoined: false, segmentBytes: 1 },
  ];

  test.each(layouts)(
    "[LOG-11] batches $layout: the largest timestamp is that of the first remaining record that has it",
    ({ isJoined, segmentBytes }) => {
      const rows = [[90, 10], [95, 20, 95], [50], [40, 80, 60, 80], [30, 80], [-7]];
      const place = newPlace();
      const config = configOf({ segmentBytes });
      let log = new PartitionLog(place.open(), config);
      const appends = rows.map((times) => singleAppend(times));
      if (isJoined) log.commit(appends, 0);
      else for (const each of appends) log.commit([each], 0);
      const times = rows.flat();
      for (let start = 0; start <= times.length; start++) {
        log.deleteRecordsBefore(start, 0);
        const kept = times.slice(start);
        const largest = kept.length === 0 ? null : Math.max(...kept);
        for (const each of [log, new PartitionLog(place.open(), config)]) {
          expect(each.maxTimestamp(decodeBatch), `from ${start}`).toBe(largest);
          if (largest !== null) expect(lookUp(each, largest)).toBe(times.indexOf(largest, start));
        }
        if (start % 3 === 0) log = new PartitionLog(place.open(), config);
      }
    },
  );

  test("[LOG-11] an empty log has no largest timestamp", () => {
    const log = new PartitionLog(newPlace().open(), configOf());
    expect(log.maxTimestamp(decodeBatch)).toBeNull();
  });

  test("[LOG-11] at most the one batch in which the log starts is decoded", () => {
    const log = new PartitionLog(newPlace().open(), configOf());
    const appends = [[1, 2], [9, 3, 4], [5], [6, 7]].map((times) => singleAppend(times));
    log.commit(appends, 0);
    const decoded: number[] = [];
    const decode = (bytes: Uint8Array, start: number) => {
      const records = decodeBatch(bytes, start);
      decoded.push(records[0]?.offset ?? -1);
      return records;
    };
    expect(log.maxTimestamp(decode)).toBe(9);
    log.deleteRecordsBefore(2, 0);
    expect(log.maxTimestamp(decode)).toBe(9);
    expect(decoded).toEqual([]);
    log.deleteRecordsBefore(3, 0);
    expect(log.maxTimestamp(decode)).toBe(7);
    expect(decoded).toEqual([2]);
  });
});
