import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concatBytes } from "../../../../src/core/bytes.ts";
import { unwrap } from "../../../../src/core/errors.ts";
import { MAX_WINDOW_BYTES } from "../../../../src/core/limits.ts";
import { validateAppend } from "../../../../src/core/log/append.ts";
import { PartitionLog } from "../../../../src/core/log/partition-log.ts";
import { batches, encodeBatch } from "../../../../src/core/log/record-batch.ts";
import {
  clampWindow,
  Frames,
  openWindow,
  pump,
  type TailReader,
} from "../../../../src/core/log/tail-reader.ts";
import { configOf, RULES } from "../../../support/log-fixtures.ts";
import { MemoryLogStore } from "../../../support/memory-log-store.ts";

/** The cost of one record of a batch is what a window is spent on. */
interface BatchShape {
  readonly records: number;
  readonly valueBytes: number;
}

/** A log, the batches it must hold, and a reader of it that remembers what it was sent. */
class Bench {
  readonly store = new MemoryLogStore();
  log = new PartitionLog(this.store, configOf({ segmentBytes: 500_000 }));
  reader: TailReader;
  /** The batches of the log as they are stored, by the model. */
  readonly stored: { baseOffset: number; nextOffset: number; bytes: Uint8Array }[] = [];
  readonly frames: Uint8Array[] = [];
  sentBytes = 0;
  givenBack = 0;

  constructor(windowBytes: number, nextOffset = 0) {
    this.reader = { nextOffset, windowBytes, maxWindowBytes: windowBytes, owner: null };
  }

  commit(appends: readonly (readonly BatchShape[])[]): void {
    this.log.commit(
      appends.map((shapes) => {
        const sent = shapes.map((shape) => {
          const baseOffset = this.stored.at(-1)?.nextOffset ?? 0;
          const bytes = batchOf(shape, baseOffset, baseOffset);
          this.stored.push({ baseOffset, nextOffset: baseOffset + shape.records, bytes });
          return bytes.slice();
        });
        return unwrap(validateAppend(concatBytes(sent), RULES));
      }),
      0,
    );
  }

  pump(): void {
    this.reader = pump(this.log, this.reader, new Frames(this.log), (frame) => {
      this.frames.push(frame);
      this.sentBytes += frame.length;
      return true;
    });
  }

  giveBack(bytes: number): void {
    this.givenBack += bytes;
    this.reader = openWindow(this.reader, bytes);
  }

  /** Sent and not returned. */
  get outstanding(): number {
    return this.sentBytes - this.givenBack;
  }

  /** The reader's view: the batches it got, in the order it got them. */
  get received(): { baseOffset: number; bytes: Uint8Array }[] {
    return this.frames.flatMap((frame) =>
      Array.from(batches(frame), ({ start, header }) => ({
        baseOffset: header.baseOffset,
        bytes: frame.subarray(start, start + header.sizeInBytes),
      })),
    );
  }
}

function batchOf(shape: BatchShape, seed: number, baseOffset: number): Uint8Array {
  const value = new Uint8Array(shape.valueBytes).fill(seed % 251);
  const one = { key: null, value, headers: [], timestamp: seed };
  return encodeBatch(new Array(shape.records).fill(one), { baseOffset });
}

/** Expects that the received batches are the model's from the one that holds `offset` on. */
function expectInOrder(bench: Bench, offset: number): void {
  const expected = bench.stored.filter((batch) => batch.nextOffset > offset);
  const { received } = bench;
  expect(received.map(({ baseOffset }) => baseOffset)).toEqual(
    expected.slice(0, received.length).map(({ baseOffset }) => baseOffset),
  );
}

/** Expects all of the model's batches from the one that holds `offset` on, byte for byte. */
function expectAll(bench: Bench, offset: number): void {
  expectInOrder(bench, offset);
  const expected = bench.stored.filter((batch) => batch.nextOffset > offset);
  const bytes = concatBytes(expected.map((batch) => batch.bytes));
  expect(Buffer.compare(concatBytes(bench.frames), bytes)).toBe(0);
}

const shape = fc.oneof(
  { withCrossShrink: true },
  {
    weight: 9,
    arbitrary: fc.record({ records: fc.integer({ min: 1, max: 4 }), valueBytes: fc.nat(60) }),
  },
  // Above and below the size of a frame, and far above the small windows.
  {
    weight: 1,
    arbitrary: fc.record({
      records: fc.integer({ min: 1, max: 2 }),
      valueBytes: fc.integer({ min: 1_000, max: 300_000 }),
    }),
  },
);
const appends = fc.array(fc.array(shape, { minLength: 1, maxLength: 4 }), {
  minLength: 1,
  maxLength: 3,
});
type Step =
  | { readonly type: "commit"; readonly appends: readonly (readonly BatchShape[])[] }
  | { readonly type: "give-back"; readonly share: number }
  | { readonly type: "evict" };
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ type: fc.constant("commit" as const), appends }) },
    {
      weight: 5,
      arbitrary: fc.record({
        type: fc.constant("give-back" as const),
        share: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ type: fc.constant("evict" as const) }) },
  ),
  { minLength: 5, maxLength: 40, size: "max" },
);

describe("tail reader", () => {
  test("[TAIL-1] with any appends and windows a reader gets every batch once, in order", () => {
    const windows = fc.oneof(fc.integer({ min: 1, max: 500 }), fc.nat(600_000).map(clampWindow));
    let shut = 0;
    let sent = 0;
    fc.assert(
      fc.property(steps, windows, fc.nat(30), (all, windowBytes, from) => {
        const bench = new Bench(windowBytes);
        // Enough for the offset to lie somewhere in the log, at times in the middle of a batch.
        bench.commit([new Array(11).fill({ records: 3, valueBytes: 20 })]);
        bench.reader = { ...bench.reader, nextOffset: from };
        bench.pump();
        for (const step of all) {
          if (step.type === "commit") bench.commit(step.appends);
          else if (step.type === "evict") bench.log = new PartitionLog(bench.store, configOf());
          else bench.giveBack(Math.round(step.share * bench.outstanding));
          bench.pump();
          expectInOrder(bench, from);
          // Everything up to the window's end was sent, and nothing that has room is held back.
          const end = bench.log.logEndOffset;
          if (bench.reader.windowBytes > 0) expect(bench.reader.nextOffset).toBe(end);
          else shut++;
        }
        while (bench.reader.nextOffset < bench.log.logEndOffset) {
          bench.giveBack(bench.outstanding);
          bench.pump();
        }
        expectAll(bench, from);
        sent += bench.frames.length;
      }),
      { seed: 11, numRuns: 50 },
    );
    // The runs would show little if windows never shut or nothing were sent.
    expect(shut).toBeGreaterThan(100);
    expect(sent).toBeGreaterThan(500);
  });

  test("[TAIL-2] never more than the window and one batch is outstanding", () => {
    const windows = fc.oneof(fc.integer({ min: 1, max: 500 }), fc.nat(600_000).map(clampWindow));
    let most = 0;
    fc.assert(
      fc.property(steps, windows, (all, windowBytes) => {
        const bench = new Bench(windowBytes);
        for (const step of all) {
          if (step.type === "commit") bench.commit(step.appends);
          else if (step.type === "evict") bench.log = new PartitionLog(bench.store, configOf());
          else bench.giveBack(Math.round(step.share * bench.outstanding));
          bench.pump();
          const last = bench.received.at(-1)?.bytes.length ?? 0;
          expect(bench.outstanding - last).toBeLessThan(windowBytes);
          expect(bench.reader.windowBytes).toBe(windowBytes - bench.outstanding);
          most = Math.max(most, bench.outstanding - windowBytes);
        }
      }),
      { seed: 12, numRuns: 50 },
    );
    // Some runs went beyond the window, by that one batch.
    expect(most).toBeGreaterThan(1_000);
  });

  test("[TAIL-2] a reader that returns nothing is sent its window and no more", () => {
    const bench = new Bench(1_000);
    const batch = { records: 1, valueBytes: 300 };
    const size = batchOf(batch, 0, 0).length;
    for (let i = 0; i < 20; i++) {
      bench.commit([[batch]]);
      bench.pump();
    }
    const count = Math.ceil(1_000 / size);
    expect(bench.received).toHaveLength(count);
    expect(bench.reader).toMatchObject({ nextOffset: count, windowBytes: 1_000 - count * size });
    const frames = bench.frames.length;
    bench.pump();
    expect(bench.frames).toHaveLength(frames);
    // One byte short of an open window nothing comes; with that byte there is room for one batch.
    bench.giveBack(count * size - 1_000);
    bench.pump();
    expect(bench.frames).toHaveLength(frames);
    bench.giveBack(1);
    bench.pump();
    expect(bench.received).toHaveLength(count + 1);
  });

  test("[TAIL-1] a batch larger than the window comes whole when the window is open at all", () => {
    const bench = new Bench(1);
    bench.commit([
      [
        { records: 3, valueBytes: 5_000 },
        { records: 1, valueBytes: 1 },
      ],
    ]);
    bench.pump();
    expect(bench.received.map(({ baseOffset }) => baseOffset)).toEqual([0]);
    bench.giveBack(bench.outstanding);
    bench.pump();
    expect(bench.received.map(({ baseOffset }) => baseOffset)).toEqual([0, 3]);
  });

  test("[TAIL-1] a reader at the end of the log is sent nothing and stays the same", () => {
    const bench = new Bench(1_000);
    bench.commit([[{ records: 2, valueBytes: 5 }]]);
    const reader = { ...bench.reader, nextOffset: 2 };
    const unexpected = () => {
      throw new Error("nothing is to be sent");
    };
    const frames = new Frames(bench.log);
    expect(pump(bench.log, reader, frames, unexpected)).toBe(reader);
    const shut = { ...bench.reader, windowBytes: 0 };
    expect(pump(bench.log, shut, frames, unexpected)).toBe(shut);
  });

  test("[TAIL-1] small batches are joined into frames, and a long log comes in several", () => {
    const bench = new Bench(MAX_WINDOW_BYTES);
    const count = 3_000;
    for (let i = 0; i < count; i++) bench.commit([[{ records: 1, valueBytes: 200 }]]);
    bench.pump();
    expect(bench.received).toHaveLength(count);
    expectAll(bench, 0);
    const sizes = bench.frames.map((frame) => frame.length);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(256 * 1024);
    expect(sizes.length).toBe(Math.ceil(bench.sentBytes / (256 * 1024)));
  });

  test("[TAIL-4] readers at the same offset are sent the same buffer, others their own", () => {
    const bench = new Bench(MAX_WINDOW_BYTES);
    for (let i = 0; i < 20; i++) bench.commit([[{ records: 1, valueBytes: 200 }]]);
    const frames = new Frames(bench.log);
    const sentTo = (nextOffset: number): Uint8Array => {
      const sent: Uint8Array[] = [];
      pump(bench.log, { ...bench.reader, nextOffset }, frames, (frame) => sent.push(frame) > 0);
      expect(sent).toHaveLength(1);
      return sent[0] as Uint8Array;
    };
    const first = sentTo(0);
    for (let i = 0; i < 100; i++) expect(sentTo(0)).toBe(first);
    expect(sentTo(5)).not.toBe(first);
    expect(sentTo(0)).toBe(first);
    // Places that few readers share do not pile up.
    for (let offset = 1; offset < 20; offset++) sentTo(offset);
    expect(Buffer.compare(sentTo(0), first)).toBe(0);
  });

  test("[TAIL-2] a larger requested window opens at once, by the difference", () => {
    const bench = new Bench(500);
    bench.commit([[{ records: 1, valueBytes: 700 }]]);
    bench.pump();
    const spent = bench.reader.windowBytes;
    const larger = openWindow(bench.reader, 100, 2_000);
    expect(larger).toMatchObject({ windowBytes: spent + 100 + 1_500, maxWindowBytes: 2_000 });
    expect(openWindow(larger, 1_000_000).windowBytes).toBe(2_000);
    expect(openWindow(larger, 100, 600), "a smaller one changes nothing").toMatchObject({
      windowBytes: spent + 100 + 1_500 + 100,
      maxWindowBytes: 2_000,
    });
    expect(openWindow(larger, 1, 2 * MAX_WINDOW_BYTES).maxWindowBytes).toBe(MAX_WINDOW_BYTES);
  });

  test("[TAIL-2] a window never opens beyond what it was at the attach", () => {
    const bench = new Bench(500);
    bench.giveBack(10_000);
    expect(bench.reader.windowBytes).toBe(500);
    bench.commit([[{ records: 1, valueBytes: 700 }]]);
    bench.pump();
    const spent = bench.reader.windowBytes;
    expect(spent).toBeLessThan(0);
    expect(openWindow(bench.reader, 100).windowBytes).toBe(spent + 100);
    expect(openWindow(bench.reader, 1_000_000).windowBytes).toBe(500);
  });

  test.each([
    [-5, 1],
    [0, 1],
    [1, 1],
    [MAX_WINDOW_BYTES, MAX_WINDOW_BYTES],
    [MAX_WINDOW_BYTES + 1, MAX_WINDOW_BYTES],
  ])("[TAIL-2] a requested window of %i bytes is one of %i", (asked, granted) => {
    expect(clampWindow(asked)).toBe(granted);
  });
});

test("[TAIL-1] if compaction has left nothing up to the end, no frame is sent and the reader is at the end", () => {
  const reader: TailReader = { nextOffset: 2, windowBytes: 10, maxWindowBytes: 10, owner: null };
  const frames = { at: () => ({ bytes: new Uint8Array(), nextOffset: 5 }) };
  const sent: Uint8Array[] = [];
  const after = pump(
    { logEndOffset: 5 } as PartitionLog,
    reader,
    frames as unknown as Frames,
    (frame) => sent.push(frame) > 0,
  );
  expect(sent).toEqual([]);
  expect(after).toEqual({ ...reader, nextOffset: 5 });
});
