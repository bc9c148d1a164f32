import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { decodeAnyBatch } from "../../../../src/compression/decode.ts";
import { concatBytes } from "../../../../src/core/bytes.ts";
import type { TopicConfig } from "../../../../src/core/cluster/config.ts";
import { BrokerError, type ErrorName, unwrap } from "../../../../src/core/errors.ts";
import { MAX_APPEND_BYTES, MAX_MESSAGE_BYTES } from "../../../../src/core/limits.ts";
import { type Append, planChunks, validateAppend } from "../../../../src/core/log/append.ts";
import { COMPRESSIONS } from "../../../../src/core/log/compression.ts";
import { PartitionLog } from "../../../../src/core/log/partition-log.ts";
import { BATCH_HEADER_BYTES, encodeBatch } from "../../../../src/core/log/record-batch.ts";
import {
  answers,
  appendOf,
  batchOf,
  batchOfSize,
  configOf,
  edit,
  PLACES,
  RULES,
  rulesOf,
  type Sender,
  sentBatch,
  shape,
  singleAppend,
} from "../../../support/log-fixtures.ts";

describe("validating appends", () => {
  const good = () => batchOf([shape(1), shape(2)], 0, 0);

  test("[VAL-1] [LOG-2] good batches are accepted, with their places", () => {
    const first = good();
    const second = batchOf([shape(9)], 5, 0);
    const result = unwrap(validateAppend(concatBytes([first, second]), RULES));
    expect(result).toMatchObject({
      recordCount: 3,
      batches: [
        { start: 0, sizeInBytes: first.length, recordCount: 2, maxTimestamp: 2 },
        { start: first.length, sizeInBytes: second.length, recordCount: 1, maxTimestamp: 9 },
      ],
    });
  });

  const broken: { title: string; bytes: () => Uint8Array; error: ErrorName; detail: RegExp }[] = [
    {
      title: "nothing at all",
      bytes: () => new Uint8Array(0),
      error: "INVALID_RECORD",
      detail: /at least one record batch/,
    },
    {
      title: "a flipped bit in the records",
      bytes: () => edit(good(), (view) => view.setUint8(view.byteLength - 1, 0xff), false),
      error: "CORRUPT_MESSAGE",
      detail: /CRC/,
    },
    {
      title: "a wrong CRC",
      bytes: () => edit(good(), (view) => view.setUint32(17, ~view.getUint32(17)), false),
      error: "CORRUPT_MESSAGE",
      detail: /CRC/,
    },
    {
      title: "magic 1",
      bytes: () => edit(good(), (view) => view.setInt8(16, 1)),
      error: "CORRUPT_MESSAGE",
      detail: /magic 1/,
    },
    {
      title: "a batchLength beyond the bytes",
      bytes: () => edit(good(), (view) => view.setInt32(8, view.getInt32(8) + 1)),
      error: "CORRUPT_MESSAGE",
      detail: /batchLength/,
    },
    {
      title: "a batchLength short of the bytes",
      bytes: () => edit(good(), (view) => view.setInt32(8, view.getInt32(8) - 1)),
      error: "CORRUPT_MESSAGE",
      detail: /CRC/,
    },
    {
      title: "a batchLength below zero",
      bytes: () => edit(good(), (view) => view.setInt32(8, -1)),
      error: "CORRUPT_MESSAGE",
      detail: /batchLength/,
    },
    {
      title: "less than a header",
      bytes: () => good().subarray(0, BATCH_HEADER_BYTES - 1),
      error: "CORRUPT_MESSAGE",
      detail: /header/,
    },
    {
      title: "bytes behind the last batch",
      bytes: () => concatBytes([good(), Uint8Array.of(0, 0, 0)]),
      error: "CORRUPT_MESSAGE",
      detail: /batch has 3 bytes/,
    },
    {
      title: "no records",
      bytes: () =>
        edit(good(), (view) => {
          view.setInt32(57, 0);
          view.setInt32(23, -1);
        }),
      error: "INVALID_RECORD",
      detail: /recordCount is 0/,
    },
    {
      title: "a lastOffsetDelta above the record count",
      bytes: () => edit(good(), (view) => view.setInt32(23, 2)),
      error: "INVALID_RECORD",
      detail: /lastOffsetDelta is 2, recordCount 2 requires 1/,
    },
    {
      title: "a lastOffsetDelta below the record count",
      bytes: () => edit(good(), (view) => view.setInt32(23, 0)),
      error: "INVALID_RECORD",
      detail: /lastOffsetDelta is 0/,
    },
    {
      title: "the transactional bit",
      bytes: () => edit(good(), (view) => view.setInt16(21, 0x10)),
      error: "INVALID_RECORD",
      detail: /transactional/,
    },
    {
      title: "the control bit",
      bytes: () => edit(good(), (view) => view.setInt16(21, 0x20)),
      error: "INVALID_RECORD",
      detail: /control/,
    },
    {
      title: "both of these bits",
      bytes: () => edit(good(), (view) => view.setInt16(21, 0x30)),
      error: "INVALID_RECORD",
      detail: /control and transactional/,
    },
    {
      title: "a delete horizon",
      bytes: () => edit(good(), (view) => view.setInt16(21, 0x40)),
      error: "INVALID_RECORD",
      detail: /delete horizon/,
    },
    {
      title: "the timestamp type LogAppendTime",
      bytes: () => edit(good(), (view) => view.setInt16(21, 0x08)),
      error: "INVALID_TIMESTAMP",
      detail: /LogAppendTime/,
    },
    ...[5, 6, 7].map((compression) => ({
      title: `compression ${compression}`,
      bytes: () => edit(good(), (view) => view.setInt16(21, compression)),
      error: "UNSUPPORTED_COMPRESSION_TYPE" as const,
      detail: new RegExp(`compression ${compression}, known are 0 to 4`),
    })),
    {
      title: "more records than bytes for them",
      bytes: () => edit(good(), (view) => view.setInt32(57, 2 ** 30)),
      error: "CORRUPT_MESSAGE",
      detail: /recordCount is 1073741824/,
    },
    {
      title: "less than no records",
      bytes: () => edit(good(), (view) => view.setInt32(57, -1)),
      error: "CORRUPT_MESSAGE",
      detail: /recordCount is -1/,
    },
    {
      title: "a base timestamp beyond the year 9999",
      bytes: () => edit(good(), (view) => view.setBigInt64(27, 2n ** 53n)),
      error: "INVALID_TIMESTAMP",
      detail: /beyond the year 9999/,
    },
    {
      title: "a largest timestamp beyond the year 9999",
      bytes: () => edit(good(), (view) => view.setBigInt64(35, 2n ** 62n)),
      error: "INVALID_TIMESTAMP",
      detail: /beyond the year 9999/,
    },
    {
      title: "attribute bits without a meaning",
      bytes: () => edit(good(), (view) => view.setInt16(21, 0x80)),
      error: "INVALID_RECORD",
      detail: /attribute bits/,
    },
    {
      title: "a producer id below -1",
      bytes: () => sentBatch({ producerId: -2 }),
      error: "INVALID_RECORD",
      detail: /producerId -2/,
    },
    {
      title: "a producer id beyond 2^53",
      bytes: () => edit(sentBatch({}), (view) => view.setBigInt64(43, 2n ** 53n)),
      error: "INVALID_RECORD",
      detail: /producerId 9007199254740992/,
    },
    {
      title: "a producer without an epoch",
      bytes: () => sentBatch({ producerEpoch: -1 }),
      error: "INVALID_RECORD",
      detail: /producerEpoch -1/,
    },
    {
      title: "a producer without a sequence",
      bytes: () => sentBatch({ baseSequence: -1 }),
      error: "INVALID_RECORD",
      detail: /baseSequence -1/,
    },
  ];

  test.each(broken)(
    "[VAL-1] [LOG-2] an append with $title is rejected",
    ({ bytes, error, detail }) => {
      const refused = validateAppend(bytes(), RULES);
      expect(refused).toMatchObject({ ok: false, error, detail: expect.stringMatching(detail) });
    },
  );

  test.each(broken.slice(1))(
    "[VAL-1] [LOG-2] good batches around one with $title do not save the append",
    ({ bytes }) => {
      expect(validateAppend(concatBytes([good(), bytes()]), RULES).ok).toBe(false);
      expect(validateAppend(concatBytes([bytes(), good()]), RULES).ok).toBe(false);
    },
  );

  test("[VAL-1] [LOG-2] a rejected append leaves its bytes as they were", () => {
    for (const { bytes } of broken) {
      const input = concatBytes([good(), bytes()]).slice();
      const before = input.slice();
      validateAppend(input, RULES);
      expect(input).toEqual(before);
    }
  });

  test("[VAL-1] [LOG-2] a batch of max.message.bytes is accepted, one byte more is too large", () => {
    const rules = rulesOf({ maxMessageBytes: 500 });
    expect(validateAppend(batchOfSize(500), rules).ok).toBe(true);
    const refused = { ok: false, error: "MESSAGE_TOO_LARGE" };
    expect(validateAppend(batchOfSize(501), rules)).toMatchObject(refused);
    expect(validateAppend(concatBytes([batchOfSize(500), batchOfSize(501)]), rules)).toMatchObject(
      refused,
    );
  });

  test("[VAL-1] [LOG-2] an append of the bound is accepted, one byte more is too large", () => {
    const sized = (last: number) =>
      concatBytes([...new Array(15).fill(batchOfSize(1_000_000)), batchOfSize(last)]);
    const rules = rulesOf({ maxMessageBytes: 2 * MAX_MESSAGE_BYTES });
    const rest = MAX_APPEND_BYTES - 15_000_000;
    const accept = (last: number) => validateAppend(sized(last), rules);
    expect(accept(rest).ok).toBe(true);
    expect(accept(rest + 1)).toMatchObject({ ok: false, error: "MESSAGE_TOO_LARGE" });
  });

  test("[VAL-1] [LOG-2] a batch read from a larger buffer is judged by its own bytes", () => {
    const around = concatBytes([Uint8Array.of(1, 2, 3), good(), Uint8Array.of(4)]);
    const view = around.subarray(3, around.length - 1);
    const append = unwrap(validateAppend(view, RULES));
    const [chunk] = planChunks([append], 70).chunks;
    expect(chunk?.bytes).toEqual(batchOf([shape(1), shape(2)], 0, 70));
    expect([around[2], around.at(-1)]).toEqual([3, 4]);
  });

  test.each(Object.entries(COMPRESSIONS))(
    "[VAL-1] [ZIP-1] a batch that says %s is accepted without being decompressed",
    (_name, compression) => {
      const bytes = edit(good(), (view) => view.setInt16(21, compression));
      const before = bytes.slice();
      const rules = { ...RULES, decode: () => expect.unreachable("nothing is decoded") };
      const append = unwrap(validateAppend(bytes, rules));
      expect(append).toMatchObject({ recordCount: 2, origin: null, expectedOffset: null });
      expect(bytes).toEqual(before);
    },
  );

  test("[VAL-1] what the producer writes outside the CRC does not matter", () => {
    const bytes = edit(good(), (view) => {
      view.setBigInt64(0, -1n);
      view.setInt32(12, 0x7fff_ffff);
    });
    expect(planChunks([unwrap(validateAppend(bytes, RULES))], 5).chunks[0]?.bytes).toEqual(
      batchOf([shape(1), shape(2)], 0, 5),
    );
  });
});

describe("validating who appends", () => {
  const last = 2 ** 31 - 1;

  test.each<{ title: string; senders: [Sender, number][]; lastSequence: number }>([
    { title: "one batch", senders: [[{ baseSequence: 7 }, 3]], lastSequence: 9 },
    {
      title: "batches in sequence",
      senders: [
        [{ baseSequence: 7 }, 3],
        [{ baseSequence: 10 }, 1],
        [{ baseSequence: 11 }, 2],
      ],
      lastSequence: 12,
    },
    {
      title: "batches around the largest sequence",
      senders: [
        [{ baseSequence: last - 1 }, 2],
        [{ baseSequence: 0 }, 2],
      ],
      lastSequence: 1,
    },
    {
      title: "a batch over the largest sequence",
      senders: [[{ baseSequence: last }, 3]],
      lastSequence: 1,
    },
  ])(
    "[VAL-1] [IDM-1] $title of a producer is one append of its own",
    ({ senders, lastSequence }) => {
      const sent = senders.map(([sender, count]) =>
        sentBatch({ producerId: 2 ** 52, producerEpoch: 9, ...sender }, new Array(count).fill(0)),
      );
      expect(unwrap(validateAppend(concatBytes(sent), RULES)).origin).toMatchObject({
        producerId: 2 ** 52,
        producerEpoch: 9,
        firstSequence: senders[0]?.[0].baseSequence,
        lastSequence,
      });
    },
  );

  test.each<{ title: string; second: Uint8Array }>([
    { title: "another producer", second: sentBatch({ producerId: 2, baseSequence: 1 }) },
    { title: "another epoch", second: sentBatch({ producerEpoch: 1, baseSequence: 1 }) },
    { title: "a gap", second: sentBatch({ baseSequence: 2 }) },
    { title: "the same sequence", second: sentBatch({ baseSequence: 0 }) },
    { title: "no producer", second: batchOf([shape(1)], 0, 0) },
  ])("[VAL-1] [IDM-2] an append that continues with $title is rejected", ({ second }) => {
    const first = sentBatch({ baseSequence: 0 });
    const refused = { ok: false, error: "INVALID_RECORD" };
    expect(validateAppend(first, RULES).ok).toBe(true);
    expect(validateAppend(second, RULES).ok).toBe(true);
    expect(validateAppend(concatBytes([first, second]), RULES)).toMatchObject(refused);
    expect(validateAppend(concatBytes([second, first]), RULES)).toMatchObject(refused);
  });
});

describe("validating timestamps", () => {
  const now = 10_000;
  const bounds = { messageTimestampBeforeMaxMs: 100, messageTimestampAfterMaxMs: 10 };

  test.each<{ times: number[]; config: Partial<TopicConfig>; refusal: RegExp | null }>([
    { times: [now], config: bounds, refusal: null },
    { times: [now - 100, now + 10], config: bounds, refusal: null },
    { times: [now, now + 11], config: bounds, refusal: /10011 is after 10000 .*, 10$/ },
    { times: [now - 101, now], config: bounds, refusal: /9899 is before 10000 .*, 100$/ },
    { times: [now + 1], config: { messageTimestampAfterMaxMs: 0 }, refusal: /after\.max\.ms, 0$/ },
    {
      times: [now - 1],
      config: { messageTimestampBeforeMaxMs: 0 },
      refusal: /before\.max\.ms, 0$/,
    },
    {
      times: [now],
      config: { messageTimestampBeforeMaxMs: 0, messageTimestampAfterMaxMs: 0 },
      refusal: null,
    },
    { times: [-1, 0, 253_402_300_799_999], config: {}, refusal: null },
    { times: [0], config: { ...bounds, messageTimestampType: "LogAppendTime" }, refusal: null },
    {
      times: [now + 5_000],
      config: { ...bounds, messageTimestampType: "LogAppendTime" },
      refusal: null,
    },
  ])(
    "[VAL-1] timestamps $times with $config are rejected: $refusal",
    ({ times, config, refusal }) => {
      const bytes = batchOf(
        times.map((time) => shape(time)),
        0,
        0,
      );
      const result = validateAppend(bytes, rulesOf(config, now));
      if (refusal === null) expect(result).toMatchObject({ ok: true });
      else
        expect(result).toMatchObject({
          ok: false,
          error: "INVALID_TIMESTAMP",
          detail: expect.stringMatching(refusal),
        });
    },
  );
});

describe("validating keys", () => {
  const keyed = (...keys: (string | null)[]) =>
    encodeBatch(
      keys.map((key) => ({
        key: key === null ? null : Buffer.from(key),
        value: null,
        headers: [],
        timestamp: 0,
      })),
      { baseOffset: 40 },
    );

  test.each<{ policy: TopicConfig["cleanupPolicy"]; isAccepted: boolean }>([
    { policy: ["delete"], isAccepted: true },
    { policy: [], isAccepted: true },
    { policy: ["compact"], isAccepted: false },
    { policy: ["compact", "delete"], isAccepted: false },
  ])("[CMP-5] with the policy $policy a record without a key is accepted: $isAccepted", (row) => {
    const rules = rulesOf({ cleanupPolicy: row.policy });
    expect(validateAppend(keyed("a", "b", null), rules).ok).toBe(row.isAccepted);
    expect(validateAppend(keyed("a", "", "b"), rules).ok).toBe(true);
    expect(validateAppend(concatBytes([keyed("a"), keyed("b", null)]), rules).ok).toBe(
      row.isAccepted,
    );
  });

  test("[CMP-5] the rejection names the record", () => {
    const rules = rulesOf({ cleanupPolicy: ["compact"] });
    expect(validateAppend(keyed("a", null, null), rules)).toMatchObject({
      ok: false,
      error: "INVALID_RECORD",
      detail: expect.stringContaining("record 1 has no key"),
    });
  });

  test("[CMP-5] compressed records are checked too", () => {
    const compressor = { type: COMPRESSIONS.gzip, compress: gzipSync };
    const record = (key: Uint8Array | null) => ({ key, value: null, headers: [], timestamp: 0 });
    const rules = { ...rulesOf({ cleanupPolicy: ["compact"] }), decode: decodeAnyBatch };
    const good = encodeBatch([record(Uint8Array.of(1))], { compression: compressor });
    const bad = encodeBatch([record(Uint8Array.of(1)), record(null)], { compression: compressor });
    expect(validateAppend(good, rules).ok).toBe(true);
    expect(validateAppend(bad, rules)).toMatchObject({ error: "INVALID_RECORD" });
  });

  test("[CMP-5] [VAL-1] records that cannot be read are rejected with the reader's error", () => {
    const decode = () => {
      throw new BrokerError("CORRUPT_MESSAGE", "no such stream");
    };
    const rules = { ...rulesOf({ cleanupPolicy: ["compact"] }), decode };
    expect(validateAppend(keyed("a"), rules)).toEqual({
      ok: false,
      error: "CORRUPT_MESSAGE",
      detail: "no such stream",
    });
    expect(validateAppend(keyed("a"), { ...RULES, decode }).ok).toBe(true);
    const failure = new TypeError("a bug");
    const broken = () => {
      throw failure;
    };
    expect(() => validateAppend(keyed("a"), { ...rules, decode: broken })).toThrow(failure);
  });
});

describe.each(PLACES)("expected offsets on $name", ({ newPlace }) => {
  const at = (expectedOffset: number): Append =>
    appendOf([batchOf([shape(1)], 0, 0)], expectedOffset);

  test("[CND-1] an append is stored at its expected offset and nowhere else", () => {
    const place = newPlace();
    const log = new PartitionLog(place.open(), configOf());
    log.commit([singleAppend([1, 2])], 0);
    for (const each of [log, new PartitionLog(place.open(), configOf())]) {
      for (const wrong of [0, 1, 3, 2 ** 40]) {
        expect(each.commit([at(wrong)], 0)).toEqual([
          {
            ok: false,
            error: "INVALID_UPDATE_VERSION",
            detail: `expectedOffset is ${wrong}, the next offset is 2`,
            nextOffset: 2,
          },
        ]);
      }
      expect(each.logEndOffset).toBe(2);
    }
    expect(answers(log.commit([at(2)], 0))).toEqual([2]);
    expect(answers(new PartitionLog(newPlace().open(), configOf()).commit([at(0)], 0))).toEqual([
      0,
    ]);
  });

  test("[CND-1] of appends in one commit that expect the same offset the first is stored", () => {
    const log = new PartitionLog(newPlace().open(), configOf());
    const outcomes = log.commit([at(0), at(0), at(1), singleAppend([1, 2]), at(4), at(3)], 0);
    const refused = "INVALID_UPDATE_VERSION";
    expect(answers(outcomes)).toEqual([0, refused, 1, 2, 4, refused]);
    expect(outcomes[1]).toMatchObject({ nextOffset: 1 });
    expect(outcomes[5]).toMatchObject({ nextOffset: 5 });
    expect(log.logEndOffset).toBe(5);
  });

  test("[CND-1] an expected offset is one of the log, even if its start has moved", () => {
    const log = new PartitionLog(newPlace().open(), configOf());
    log.commit([singleAppend([1, 2, 3])], 0);
    log.deleteRecordsBefore(3, 0);
    expect(answers(log.commit([at(0), at(3)], 0))).toEqual(["INVALID_UPDATE_VERSION", 3]);
  });
});
