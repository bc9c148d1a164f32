import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concatBytes } from "../../../../src/core/bytes.ts";
import { type ErrorName, unwrap } from "../../../../src/core/errors.ts";
import {
  MAX_PRODUCERS_PER_PARTITION,
  PRODUCER_SNAPSHOT_CHUNKS,
  PRODUCER_WINDOW,
} from "../../../../src/core/limits.ts";
import { type Append, validateAppend } from "../../../../src/core/log/append.ts";
import type { LogStore } from "../../../../src/core/log/log-store.ts";
import { type AppendOutcome, PartitionLog } from "../../../../src/core/log/partition-log.ts";
import {
  type AppendEntry,
  type AppendOrigin,
  addToSequence,
  type Compare,
  Producers,
} from "../../../../src/core/log/producers.ts";
import {
  answers,
  configOf,
  countCalls,
  dump,
  failing,
  memoryPlace,
  PLACES,
  RULES,
  type Sender,
  sentBatch,
  singleAppend,
} from "../../../support/log-fixtures.ts";
import { segmentsOf } from "../../../support/memory-log-store.ts";

const MAX_SEQUENCE = 2 ** 31 - 1;

/** An append of one batch of `count` records. */
function sent(baseSequence: number, count = 1, sender: Sender = {}): Append {
  const timestamps = new Array<number>(count).fill(0);
  return unwrap(validateAppend(sentBatch({ ...sender, baseSequence }, timestamps), RULES));
}

function origin(firstSequence: number, lastSequence = firstSequence, epoch = 0): AppendOrigin {
  const fingerprint = 9_000 + firstSequence;
  return {
    producerId: 1,
    producerEpoch: epoch,
    firstSequence,
    lastSequence,
    fingerprint,
    isOwn: false,
  };
}

/** An entry of a single record, whose offset and time tell it from others. */
function entry(producerId: number, sequence: number, epoch = 0): AppendEntry {
  const firstSequence = sequence;
  const baseOffset = 1_000 + sequence;
  const sender = { producerId, producerEpoch: epoch, fingerprint: 9_000 + sequence, isOwn: false };
  return { ...sender, firstSequence, lastSequence: sequence, baseOffset, atMs: sequence };
}

const NOT_COMPARED: Compare = () => expect.unreachable("no records are compared");

/** The known producers, the one silent for longest first. */
function known(producers: Producers): number[] {
  return [...new Set(producers.snapshot().map(({ producerId }) => producerId))];
}

function newLog(): PartitionLog {
  return new PartitionLog(memoryPlace().open(), configOf());
}

/** Commits each append by itself and returns the responses. */
function commitEach(log: PartitionLog, appends: readonly Append[], nowMs = 0) {
  return appends.flatMap((append) => answers(log.commit([append], nowMs)));
}

describe("what a producer may append next", () => {
  const entries = [0, 1, 2, 3, 4, 5, 6].map((sequence) => entry(1, sequence, 3));

  test.each([
    { title: "the next sequence", of: origin(7, 9, 3), becomes: "stored" },
    { title: "the newest again", of: origin(6, 6, 3), becomes: 1_006 },
    { title: "the oldest of the last five again", of: origin(2, 2, 3), becomes: 1_002 },
    { title: "the sixth newest again", of: origin(1, 1, 3), becomes: "gap" },
    { title: "the first of all again", of: origin(0, 0, 3), becomes: "gap" },
    { title: "a gap of one", of: origin(8, 8, 3), becomes: "gap" },
    { title: "a known sequence with more records", of: origin(6, 7, 3), becomes: "gap" },
    { title: "a known end with another beginning", of: origin(5, 6, 3), becomes: "gap" },
    { title: "an older epoch in sequence", of: origin(7, 7, 2), becomes: "stale" },
    { title: "an older epoch from 0", of: origin(0, 0, 2), becomes: "stale" },
    { title: "an older epoch with a known sequence", of: origin(6, 6, 2), becomes: "stale" },
    { title: "a newer epoch from 0", of: origin(0, 4, 4), becomes: "stored" },
    { title: "a newer epoch that continues the sequence", of: origin(7, 7, 4), becomes: "gap" },
    { title: "a newer epoch with a known sequence", of: origin(6, 6, 4), becomes: "gap" },
    {
      title: "another producer, anywhere",
      of: { ...origin(99), producerId: 2 },
      becomes: "stored",
    },
  ])("[IDM-1] [IDM-2] $title is: $becomes", ({ of, becomes }) => {
    const refusals: Record<string, ErrorName> = {
      gap: "OUT_OF_ORDER_SEQUENCE_NUMBER",
      stale: "INVALID_PRODUCER_EPOCH",
    };
    const checked = new Producers(entries).stage().validateSequence(of, NOT_COMPARED);
    if (typeof becomes === "number") {
      expect(checked).toEqual({ ok: true, repeated: entries[becomes - 1_000] });
    } else if (becomes === "stored") {
      expect(checked).toEqual({ ok: true, repeated: null });
    } else {
      expect(checked).toMatchObject({ ok: false, error: refusals[becomes] });
    }
  });

  test("[IDM-2] a rejection names the producer, what it sent, and what is next", () => {
    const staged = new Producers([entry(1, 4, 3)]).stage();
    expect(staged.validateSequence(origin(8, 9, 3), NOT_COMPARED)).toMatchObject({
      detail: "producer 1 sent sequence 8 to 9, the next one is 5",
    });
    expect(staged.validateSequence(origin(8, 9, 2), NOT_COMPARED)).toMatchObject({
      detail: "producer 1 has epoch 2, epoch 3 has been seen",
    });
  });

  test.each([
    { from: 0, count: 1, to: 1 },
    { from: MAX_SEQUENCE - 1, count: 1, to: MAX_SEQUENCE },
    { from: MAX_SEQUENCE, count: 1, to: 0 },
    { from: MAX_SEQUENCE - 2, count: 5, to: 2 },
    { from: MAX_SEQUENCE, count: MAX_SEQUENCE, to: MAX_SEQUENCE - 1 },
  ])("[IDM-2] $count after sequence $from is $to", ({ from, count, to }) => {
    expect(addToSequence(from, count)).toBe(to);
  });
});

describe.each(PLACES)("idempotent appends on $name", ({ newPlace }) => {
  test("[IDM-1] a repeat of one of the last five appends is answered and not stored", () => {
    const log = new PartitionLog(newPlace().open(), configOf());
    const counts = [2, 1, 3, 1, 2, 4, 1];
    const firsts = counts.map((_, i) => counts.slice(0, i).reduce((sum, each) => sum + each, 0));
    const appendAt = (i: number) => sent(firsts[i] ?? 0, counts[i]);
    for (const i of counts.keys()) expect(log.commit([appendAt(i)], 100 + i)).toMatchObject([{}]);
    const end = log.logEndOffset;
    expect(end).toBe(14);
    const repeats = counts.map((_, i) => log.commit([appendAt(i)], 900)[0] as AppendOutcome);
    expect(repeats.map((each) => each.ok)).toEqual(
      counts.map((_, i) => i >= counts.length - PRODUCER_WINDOW),
    );
    for (const [i, repeat] of repeats.entries()) {
      if (!repeat.ok) continue;
      expect(repeat).toEqual({ ok: true, baseOffset: firsts[i], appendedAtMs: 100 + i });
    }
    expect(log.logEndOffset).toBe(end);
    expect(log.read(0, 100_000).nextOffset).toBe(end);
  });

  test("[IDM-1] a commit of only repeats writes nothing", () => {
    const { store, take } = countCalls(newPlace().open());
    const log = new PartitionLog(store, configOf());
    log.commit([sent(0), sent(1)], 0);
    take();
    expect(answers(log.commit([sent(0), sent(1), sent(0)], 0))).toEqual([0, 1, 0]);
    expect(take()).toEqual({ total: 0 });
  });

  test("[IDM-1] an append of several batches is one append, and repeats as a whole", () => {
    const log = new PartitionLog(newPlace().open(), configOf());
    const two = (first: number) => {
      const batches = [first, first + 2].map((baseSequence) => sentBatch({ baseSequence }, [0, 0]));
      return unwrap(validateAppend(concatBytes(batches), RULES));
    };
    expect(commitEach(log, [two(0), two(0), two(4), two(0), two(4)])).toEqual([0, 0, 4, 0, 4]);
    // Half of it is not what was sent before.
    expect(commitEach(log, [sent(4, 2)])).toEqual(["OUT_OF_ORDER_SEQUENCE_NUMBER"]);
    expect(log.logEndOffset).toBe(8);
  });

  test("[IDM-1] repeats within the commit that stores the append get its offset", () => {
    const log = new PartitionLog(newPlace().open(), configOf());
    const other = { producerId: 2 };
    const outcomes = log.commit(
      [sent(0, 2), sent(0, 2), sent(0, 1, other), sent(2), sent(0, 2), sent(0, 1, other), sent(2)],
      0,
    );
    expect(answers(outcomes)).toEqual([0, 0, 2, 3, 0, 2, 3]);
    expect(log.logEndOffset).toBe(4);
  });

  test("[IDM-2] a gap within a commit rejects its own append and no other", () => {
    const log = new PartitionLog(newPlace().open(), configOf());
    const gap = "OUT_OF_ORDER_SEQUENCE_NUMBER";
    const appends = [sent(0), sent(2), sent(1), sent(2), singleAppend([1]), sent(9)];
    expect(answers(log.commit(appends, 0))).toEqual([0, gap, 1, 2, 3, gap]);
    expect(log.logEndOffset).toBe(4);
  });

  test("[IDM-2] a newer epoch within a commit makes the older one stale at once", () => {
    const log = new PartitionLog(newPlace().open(), configOf());
    const newer = { producerEpoch: 1 };
    const appends = [sent(0), sent(0, 1, newer), sent(1), sent(0), sent(1, 1, newer)];
    const stale = "INVALID_PRODUCER_EPOCH";
    expect(answers(log.commit(appends, 0))).toEqual([0, 1, stale, stale, 2]);
  });

  test("[IDM-2] sequences continue at 0 after the largest, within and between appends", () => {
    const log = new PartitionLog(newPlace().open(), configOf());
    const appends = [sent(MAX_SEQUENCE - 2, 2), sent(MAX_SEQUENCE, 3), sent(2), sent(3)];
    expect(commitEach(log, appends)).toEqual([0, 2, 5, 6]);
    expect(commitEach(log, appends)).toEqual([0, 2, 5, 6]);
    expect(commitEach(log, [sent(MAX_SEQUENCE)])).toEqual(["OUT_OF_ORDER_SEQUENCE_NUMBER"]);
    const other = { producerId: 2 };
    const exact = [sent(MAX_SEQUENCE, 1, other), sent(0, 1, other), sent(0, 1, other)];
    expect(commitEach(log, exact)).toEqual([7, 8, 8]);
  });

  test("[IDM-1] appends without a producer are stored each time", () => {
    const log = new PartitionLog(newPlace().open(), configOf());
    expect(commitEach(log, [singleAppend([1]), singleAppend([1])])).toEqual([0, 1]);
  });

  test("[IDM-1] [CND-1] a repeat is answered even if its expected offset has passed", () => {
    const log = new PartitionLog(newPlace().open(), configOf());
    const append = { ...sent(0), expectedOffset: 0 };
    expect(commitEach(log, [append, append])).toEqual([0, 0]);
    expect(commitEach(log, [{ ...sent(1), expectedOffset: 0 }])).toEqual([
      "INVALID_UPDATE_VERSION",
    ]);
    // A rejected append is not known: the same sequence may come again.
    expect(commitEach(log, [sent(1)])).toEqual([1]);
  });

  test("[IDM-1] [LOG-2] an append whose write failed is not taken for stored", () => {
    const place = newPlace();
    const log = new PartitionLog(failing(place.open(), "insertChunk", 2), configOf());
    log.commit([sent(0)], 0);
    expect(() => log.commit([sent(1)], 0)).toThrow("the disk is full");
    expect(commitEach(log, [sent(2)])).toEqual(["OUT_OF_ORDER_SEQUENCE_NUMBER"]);
    expect(commitEach(log, [sent(1), sent(1), sent(0), sent(2)])).toEqual([1, 1, 0, 2]);
  });
});

describe.each(PLACES)("what $name keeps of producers", ({ newPlace }) => {
  const around = [-1, 0, 1].flatMap((by) => [
    PRODUCER_SNAPSHOT_CHUNKS + by,
    2 * PRODUCER_SNAPSHOT_CHUNKS + by,
  ]);
  const chunkCounts = [1, 2, 5, 6, 30, ...around];

  /** Every repeat in the window gets its offset, the next append its own, and the rest is a gap. */
  function expectRestored(store: LogStore, config: ReturnType<typeof configOf>, count: number) {
    const log = new PartitionLog(store, config);
    for (let i = Math.max(0, count - PRODUCER_WINDOW); i < count; i++)
      expect(commitEach(log, [sent(i)]), `repeat of ${i}`).toEqual([i]);
    const gap = ["OUT_OF_ORDER_SEQUENCE_NUMBER"];
    if (count > PRODUCER_WINDOW)
      expect(commitEach(log, [sent(count - PRODUCER_WINDOW - 1)])).toEqual(gap);
    expect(commitEach(log, [sent(count + 1)])).toEqual(gap);
    expect(log.logEndOffset).toBe(count);
    return log;
  }

  test.each(chunkCounts)(
    "[IDM-4] a log of %i chunks knows its producers when reopened",
    (count) => {
      const place = newPlace();
      const log = new PartitionLog(place.open(), configOf());
      for (let i = 0; i < count; i++) log.commit([sent(i)], 0);
      expect(segmentsOf(place.open())).toEqual([0]);
      const reopened = expectRestored(place.open(), configOf(), count);
      expect(commitEach(reopened, [sent(count)])).toEqual([count]);
    },
  );

  test.each([1, 2, 3, 5, 7, 64])(
    "[IDM-4] producers stay known across rolls, with %i chunks in a segment",
    (perSegment) => {
      const config = configOf({ segmentBytes: perSegment * sent(0).bytes.length });
      const place = newPlace();
      let log = new PartitionLog(place.open(), config);
      for (let i = 0; i < 2 * perSegment + 3; i++) {
        log.commit([sent(i)], 0);
        // Reopened at every place relative to a roll.
        log = expectRestored(place.open(), config, i + 1);
      }
      expect(segmentsOf(place.open()).length).toBeGreaterThanOrEqual(3);
    },
  );

  test("[IDM-4] evictions do not make the rounds between snapshots longer", () => {
    const place = newPlace();
    const read: number[] = [];
    for (let i = 0; i < 3 * PRODUCER_SNAPSHOT_CHUNKS; i++) {
      new PartitionLog(place.open(), configOf()).commit([sent(i)], 0);
      const from = place.open().producerSnapshot()?.nextOffset ?? 0;
      read.push(Array.from(place.open().appendsFrom(0, from)).length);
    }
    expect(Math.max(...read)).toBeLessThan(PRODUCER_SNAPSHOT_CHUNKS);
  });

  test.each([
    { what: "idempotent", appendAt: (i: number) => sent(i) },
    { what: "other", appendAt: () => singleAppend([1]) },
  ])("[IDM-4] a snapshot is stored once a round of $what appends", ({ appendAt }) => {
    const { store, take } = countCalls(newPlace().open());
    const log = new PartitionLog(store, configOf());
    const snapshotAt: number[] = [];
    take();
    const count = 4 * PRODUCER_SNAPSHOT_CHUNKS;
    for (let i = 0; i < count; i++) {
      log.commit([appendAt(i)], 0);
      const { setProducerSnapshot = 0, insertChunk = 0 } = take();
      expect(insertChunk).toBe(1);
      if (setProducerSnapshot > 0) snapshotAt.push(i + 1);
    }
    const rounds = [1, 2, 3, 4].map((round) => round * PRODUCER_SNAPSHOT_CHUNKS);
    expect(snapshotAt.filter((at) => at > 1)).toEqual(rounds);
  });

  test("[IDM-4] an append between snapshots writes its chunk and nothing else", () => {
    const { store, take } = countCalls(newPlace().open());
    const log = new PartitionLog(store, configOf());
    log.commit([sent(0)], 0);
    take();
    log.commit([sent(1), sent(0, 1, { producerId: 2 }), sent(2)], 0);
    expect(take()).toEqual({ transaction: 1, insertChunk: 1, total: 2 });
  });

  test("[IDM-4] an append over several chunks is kept with the one it begins in", () => {
    const place = newPlace();
    const log = new PartitionLog(place.open(), configOf());
    const large = (baseSequence: number) => sentBatch({ baseSequence }, [0], 700_000);
    const append = unwrap(validateAppend(concatBytes([large(0), large(1), large(2)]), RULES));
    log.commit([append, sent(3)], 0);
    expect(Array.from(place.open().appendsFrom(0, 0))).toMatchObject([
      { firstSequence: 0, lastSequence: 2, baseOffset: 0 },
      { firstSequence: 3, lastSequence: 3, baseOffset: 3 },
    ]);
    expect(place.open().totals(0)?.chunkCount).toBe(3);
    const next = new PartitionLog(place.open(), configOf());
    expect(commitEach(next, [append, sent(3), sent(4)])).toEqual([0, 3, 4]);
  });

  test("[IDM-4] a snapshot that cannot be written leaves log and store as they were", () => {
    const place = newPlace();
    const size = sent(0).bytes.length;
    const config = configOf({ segmentBytes: 2 * size });
    new PartitionLog(place.open(), config).commit([sent(0), sent(1)], 0);
    const before = dump(place.open());
    const log = new PartitionLog(failing(place.open(), "setProducerSnapshot", 1), config);
    expect(() => log.commit([sent(2)], 0)).toThrow("the disk is full");
    expect(dump(place.open())).toEqual(before);
    expect(commitEach(log, [sent(1), sent(2), sent(3), sent(2)])).toEqual([1, 2, 3, 2]);
  });

  test("[IDM-4] dropped segments take no producer with them", () => {
    const place = newPlace();
    const config = configOf({ segmentBytes: 1 });
    const log = new PartitionLog(place.open(), config);
    for (let i = 0; i < 4; i++) log.commit([sent(i)], 0);
    log.commit([singleAppend([1])], 0);
    log.deleteRecordsBefore(5, 0);
    log.commit([singleAppend([1])], 0);
    expect(log.logStartOffset).toBe(5);
    const next = new PartitionLog(place.open(), config);
    expect(commitEach(next, [sent(3), sent(0), sent(4)])).toEqual([3, 0, 6]);
  });
});

describe("what is forgotten of producers", () => {
  test("[IDM-5] beyond the bound the producer silent for longest is forgotten", () => {
    const producers = new Producers([]);
    const add = (...entries: readonly AppendEntry[]) => {
      const staged = producers.stage();
      for (const each of entries) staged.add(each);
      staged.commit();
    };
    for (let id = 0; id < MAX_PRODUCERS_PER_PARTITION; id++) add(entry(id, 0));
    expect(producers.size).toBe(MAX_PRODUCERS_PER_PARTITION);
    // Producer 0 appends again, so 1 is now the one silent for longest.
    add(entry(0, 1), entry(70_000, 0));
    expect(producers.size).toBe(MAX_PRODUCERS_PER_PARTITION);
    const expected = Array.from({ length: MAX_PRODUCERS_PER_PARTITION - 2 }, (_, i) => i + 2);
    expect(known(producers)).toEqual([...expected, 0, 70_000]);
  });

  test("[IDM-5] a snapshot keeps the order in which producers fell silent", () => {
    const producers = new Producers([entry(1, 0), entry(2, 0), entry(3, 0), entry(1, 1)]);
    expect(known(producers)).toEqual([2, 3, 1]);
    const again = new Producers(producers.snapshot());
    expect(again.snapshot()).toEqual(producers.snapshot());
    const entries = Array.from({ length: MAX_PRODUCERS_PER_PARTITION - 1 }, (_, i) =>
      entry(100 + i, 0),
    );
    const full = new Producers([...again.snapshot(), ...entries]);
    expect(known(full).slice(0, 2)).toEqual([1, 100]);
  });

  test("[IDM-5] a snapshot bounds what it keeps of a producer too", () => {
    const entries = Array.from({ length: 20 }, (_, i) => entry(1, i));
    expect(new Producers(entries).snapshot()).toEqual(entries.slice(-PRODUCER_WINDOW));
    const newEpoch = entry(1, 0, 1);
    expect(new Producers([...entries, newEpoch]).snapshot()).toEqual([newEpoch]);
  });

  test("[IDM-5] producers expire by their last append, and no others", () => {
    const producers = new Producers([entry(1, 10), entry(2, 11), entry(3, 12), entry(1, 13)]);
    const knownAfter = (nowMs: number) => {
      producers.expire(nowMs, 100);
      return known(producers);
    };
    expect(knownAfter(110)).toEqual([2, 3, 1]);
    expect(knownAfter(111)).toEqual([3, 1]);
    expect(knownAfter(112)).toEqual([1]);
    expect(knownAfter(113)).toEqual([]);
  });

  test("[IDM-5] a snapshot leaves out expired producers, and keeps those that append with it", () => {
    const place = memoryPlace();
    const config = configOf({ producerIdExpirationMs: 100, segmentMs: 150 });
    const log = new PartitionLog(place.open(), config);
    const by = (producerId: number, sequence: number) => sent(sequence, 1, { producerId });
    log.commit([by(1, 0), by(2, 0), by(3, 0)], 0);
    log.commit([by(2, 1)], 60);
    log.commit([by(3, 1)], 150); // Begins a segment, and so stores a snapshot.
    const snapshot = place.open().producerSnapshot();
    expect(snapshot?.entries.map(({ producerId }) => producerId)).toEqual([2, 2, 3]);
    expect(snapshot?.nextOffset).toBe(5);
    for (const each of [log, new PartitionLog(place.open(), config)])
      expect(answers(each.commit([by(2, 1), by(3, 1)], 150))).toEqual([3, 4]);
    // The first is no longer known and may start anywhere.
    expect(answers(log.commit([by(1, 5)], 150))).toEqual([5]);
  });

  test.each([
    { nowMs: 99, isKnown: true },
    { nowMs: 100, isKnown: false },
    { nowMs: 1_000, isKnown: false },
  ])("[IDM-5] after $nowMs of 100 ms of silence a producer is known: $isKnown", (row) => {
    const place = memoryPlace();
    const config = configOf({ producerIdExpirationMs: 100 });
    const log = new PartitionLog(place.open(), config);
    log.commit([sent(0)], 0);
    // No snapshot is due here: only the time shows it.
    for (const each of [new PartitionLog(place.open(), config), log]) {
      const [outcome] = each.commit([sent(7)], row.nowMs);
      expect(outcome?.ok).toBe(!row.isKnown);
      if (!row.isKnown) break;
    }
  });
});

describe("any appends by several producers", () => {
  test("[IDM-1] [IDM-2] [IDM-4] each append is stored once, in sequence, over any evictions", () => {
    const step = fc.record({
      producer: fc.nat(2),
      back: fc.constantFrom(0, 0, 0, 1, 2, 5, 6),
      evicted: fc.boolean(),
    });
    const run = (steps: readonly { producer: number; back: number; evicted: boolean }[]) => {
      const place = memoryPlace();
      const config = configOf({ segmentBytes: 4 * sent(0).bytes.length });
      let log = new PartitionLog(place.open(), config);
      const offsets: number[][] = [[], [], []];
      for (const { producer, back, evicted } of steps) {
        if (evicted) log = new PartitionLog(place.open(), config);
        const mine = offsets[producer] as number[];
        const sequence = mine.length - back;
        if (sequence < 0) continue;
        const append = sent(sequence, 1, { producerId: producer });
        const end = log.logEndOffset;
        const [answer] = answers(log.commit([append], 0));
        if (back === 0) mine.push(end);
        const isKnown = back <= PRODUCER_WINDOW;
        expect(answer).toBe(isKnown ? mine[sequence] : "OUT_OF_ORDER_SEQUENCE_NUMBER");
        expect(log.logEndOffset).toBe(back === 0 ? end + 1 : end);
      }
      return log.logEndOffset;
    };
    let longest = 0;
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 120, size: "max" }), (steps) => {
        longest = Math.max(longest, run(steps));
      }),
      { seed: 11, numRuns: 40 },
    );
    expect(longest).toBeGreaterThan(30);
  });

  test("[IDM-1] a fresh log accepts a producer that starts anywhere", () => {
    expect(commitEach(newLog(), [sent(41), sent(42), sent(41), sent(0)])).toEqual([
      0,
      1,
      0,
      "OUT_OF_ORDER_SEQUENCE_NUMBER",
    ]);
  });
});
