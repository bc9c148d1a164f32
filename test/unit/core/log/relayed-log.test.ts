// A relay's view of a log, against the log itself. Whatever is pushed late, twice or never, and whatever is fetched, it
// returns what the log returns, or nothing.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concatBytes } from "../../../../src/core/bytes.ts";
import { Budget, SpareRoom } from "../../../../src/core/ledger.ts";
import { RELAY_CACHE_BYTES } from "../../../../src/core/limits.ts";
import { PartitionLog } from "../../../../src/core/log/partition-log.ts";
import { RelayedLog } from "../../../../src/core/log/relayed-log.ts";
import { appendOf, batchOf, configOf, shape } from "../../../support/log-fixtures.ts";
import { MemoryLogStore } from "../../../support/memory-log-store.ts";

function logOf(records: number, valueBytes = 10): PartitionLog {
  const log = new PartitionLog(new MemoryLogStore(), configOf());
  for (let i = 0; i < records; i++) grow(log, valueBytes);
  return log;
}

function grow(log: PartitionLog, valueBytes = 10): void {
  const { logEndOffset } = log;
  const batch = batchOf([shape(logEndOffset, valueBytes)], logEndOffset, 0);
  log.commit([appendOf([batch])], logEndOffset);
}

function chunkOf(log: PartitionLog, baseOffset: number, maxBytes = 1_000) {
  const { pieces, nextOffset } = log.read(baseOffset, maxBytes);
  return { baseOffset, nextOffset, bytes: concatBytes(pieces) };
}

const boundsOf = ({ logStartOffset, logEndOffset }: PartitionLog) => ({
  logStartOffset,
  highWatermark: logEndOffset,
});

/** Its result is the log's there, and it continues where it ends. */
function expectPartOf(log: PartitionLog, relayed: RelayedLog, offset: number, maxBytes: number) {
  const { pieces, nextOffset } = relayed.read(offset, maxBytes);
  if (nextOffset === offset) {
    expect(pieces).toEqual([]);
    return;
  }
  const bytes = concatBytes(pieces);
  expect(bytes).toEqual(concatBytes(log.read(offset, Math.max(1, bytes.length)).pieces));
  expect(log.read(offset, Math.max(1, bytes.length)).nextOffset).toBe(nextOffset);
}

type Step =
  | { readonly what: "append" }
  | { readonly what: "learn" }
  | { readonly what: "lose" }
  | { readonly what: "evict" }
  | { readonly what: "push" | "again"; readonly maxBytes: number }
  | { readonly what: "fetch"; readonly at: number; readonly maxBytes: number };

const bytes = fc.integer({ min: 1, max: 400 });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ what: fc.constantFrom("append", "append", "learn", "lose", "evict") }),
  fc.record({ what: fc.constantFrom("push", "again"), maxBytes: bytes }),
  fc.record({ what: fc.constant("fetch" as const), at: fc.nat(20), maxBytes: bytes }),
) as fc.Arbitrary<Step>;

test("[RLY-2] [RLY-3] it returns what the log has or nothing, whatever is pushed twice, late or never", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const log = logOf(3);
      let relayed = new RelayedLog(boundsOf(log));
      let pushedTo = log.logEndOffset;
      let before = pushedTo;
      for (const each of steps) {
        if (each.what === "append") grow(log);
        else if (each.what === "learn") relayed.learn(boundsOf(log));
        else if (each.what === "lose") pushedTo = log.logEndOffset;
        else if (each.what === "evict")
          relayed = new RelayedLog({ logStartOffset: 0, highWatermark: pushedTo });
        else if (each.what === "fetch") {
          const at = Math.min(each.at, log.logEndOffset);
          relayed.fetched(chunkOf(log, at, each.maxBytes), 0, () => {});
        } else {
          const from = each.what === "again" ? before : pushedTo;
          before = from;
          const chunk = chunkOf(log, from, each.maxBytes);
          relayed.push(chunk, 0);
          pushedTo = Math.max(pushedTo, chunk.nextOffset);
          expect(relayed.logEndOffset).toBeGreaterThanOrEqual(chunk.nextOffset);
        }
        for (let offset = 0; offset < log.logEndOffset; offset++) {
          expectPartOf(log, relayed, offset, 1);
          expectPartOf(log, relayed, offset, 250);
        }
      }
    }),
  );
});

describe("a relay's log", () => {
  test("[RLY-2] holds what was pushed, one push after another", () => {
    const log = logOf(2);
    const relayed = new RelayedLog(boundsOf(log));
    for (let i = 0; i < 5; i++) {
      grow(log);
      relayed.push(chunkOf(log, 2 + i), 0);
    }
    expect(relayed.logEndOffset).toBe(7);
    expect([1, 2, 6].map((offset) => relayed.holds(offset))).toEqual([false, true, true]);
    expect(relayed.read(2, 10_000).nextOffset).toBe(7);
    expect(relayed.read(1, 10_000)).toEqual({ pieces: [], sizeInBytes: 0, nextOffset: 1 });
  });

  test("[RLY-2] continues after a push that did not come, and holds nothing from before it", () => {
    const log = logOf(6);
    const relayed = new RelayedLog({ logStartOffset: 0, highWatermark: 2 });
    relayed.push({ ...chunkOf(log, 2, 1) }, 0);
    relayed.push({ ...chunkOf(log, 4, 1) }, 0);
    expect([2, 3, 4].map((offset) => relayed.holds(offset))).toEqual([false, false, true]);
    expect(relayed.logEndOffset).toBe(5);
  });

  test("[RLY-2] an empty push says where the log ends", () => {
    const relayed = new RelayedLog({ logStartOffset: 0, highWatermark: 2 });
    relayed.push({ baseOffset: 5, nextOffset: 5, bytes: new Uint8Array() }, 1);
    expect([relayed.logStartOffset, relayed.logEndOffset]).toEqual([1, 5]);
    expect(relayed.holds(4)).toBe(false);
  });

  test("[RLY-2] data that compaction has emptied is skipped", () => {
    const relayed = new RelayedLog({ logStartOffset: 0, highWatermark: 2 });
    relayed.push({ baseOffset: 2, nextOffset: 9, bytes: new Uint8Array() }, 0);
    expect(relayed.read(4, 100)).toEqual({ pieces: [], sizeInBytes: 0, nextOffset: 9 });
  });

  test("[RLY-3] keeps a bounded part of it", () => {
    const log = logOf(0);
    const relayed = new RelayedLog({ logStartOffset: 0, highWatermark: 0 });
    const count = 6;
    for (let i = 0; i < count; i++) {
      grow(log, 1_000_000);
      relayed.push(chunkOf(log, i, 2_000_000), 0);
    }
    const held = Array.from({ length: count }, (_, offset) => offset).filter((offset) =>
      relayed.holds(offset),
    );
    expect(held).toEqual([2, 3, 4, 5]);
    expect(relayed.read(2, 10_000_000).sizeInBytes).toBeLessThanOrEqual(RELAY_CACHE_BYTES);
  });

  test("[TAIL-3] [RLY-3] an offset before the log's start is refused, and one beyond what was pushed is not", () => {
    const relayed = new RelayedLog({ logStartOffset: 3, highWatermark: 5 });
    expect(relayed.validateOffset(2)).toMatchObject({ ok: false, error: "OFFSET_OUT_OF_RANGE" });
    expect([3, 5, 9].map((offset) => relayed.validateOffset(offset).ok)).toEqual([
      true,
      true,
      true,
    ]);
    expect([2, 3, 5, 6].map((offset) => relayed.isKnown(offset))).toEqual([
      false,
      true,
      true,
      false,
    ]);
  });
});

describe("where there is no room", () => {
  const tightRoom = (maxBytes: number) => {
    const budget = new Budget(maxBytes, () => 0);
    return { budget, room: new SpareRoom("oldest", budget) };
  };

  test("[RLY-3] [BND-23] a run is at hand while it is served, and is dropped after that", () => {
    const log = logOf(4, 100);
    const { budget, room } = tightRoom(150);
    const relayed = new RelayedLog(boundsOf(log), room);
    const run = chunkOf(log, 0);
    expect(run.bytes.length).toBeGreaterThan(budget.maxBytes);
    let isServed = false;
    relayed.fetched(run, 0, () => {
      budget.makeRoom(100); // As its reader requests it.
      expect(concatBytes(relayed.read(0, 1_000).pieces)).toEqual(run.bytes);
      isServed = true;
    });
    expect(isServed).toBe(true);
    expect(relayed.holds(0)).toBe(false);
    expect(budget.bytes).toBe(0);
  });

  test("[RLY-3] [BND-23] a run that fails to be served is not kept at hand either", () => {
    const log = logOf(4, 100);
    const { budget, room } = tightRoom(150);
    const relayed = new RelayedLog(boundsOf(log), room);
    const fail = () => {
      throw new Error("served no one");
    };
    expect(() => relayed.fetched(chunkOf(log, 0), 0, fail)).toThrow("served no one");
    expect(relayed.holds(0)).toBe(false);
    expect(budget.bytes).toBe(0);
  });
});
