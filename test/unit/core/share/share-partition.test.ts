import { describe, expect, test } from "vitest";
import { MAX_SHARE_RANGES, MAX_SHARE_REASON_CHARS } from "../../../../src/core/limits.ts";
import { DEAD_LETTERS, ShareRig } from "./share-rig.ts";

describe("acquiring", () => {
  test("[SHR-1] records go to one holder each, in order of their offsets", () => {
    const rig = new ShareRig();
    expect(rig.acquire("a", 3)).toBe("0-2×1");
    expect(rig.acquire("b", 4)).toBe("3-6×1");
    expect(rig.acquire("a")).toBe("7-9×1");
    expect(rig.acquire("b")).toBe("");
    expect(rig.states).toEqual(["0-2 acquired×1 a", "3-6 acquired×1 b", "7-9 acquired×1 a"]);
  });

  test("[SHR-1] it returns the whole batches around the records, each once", () => {
    const rig = new ShareRig({}, [4, 4, 4]);
    expect(rig.acquired("a", 6).batches.map(({ length }) => length)).toEqual([40, 40]);
    expect(rig.release("a", 1)).toBe("ok");
    expect(rig.release("a", 3)).toBe("ok");
    // Both released records are in the first batch, and the rest is in the second and third.
    const { ranges, batches } = rig.acquired("b");
    expect(ranges.map(({ first, last }) => [first, last])).toEqual([
      [1, 1],
      [3, 3],
      [6, 11],
    ]);
    expect(batches).toHaveLength(3);
  });

  test("[SHR-1] maxBytes ends an acquisition between batches, after one batch at least", () => {
    const rig = new ShareRig({}, [10, 10, 10]);
    expect(rig.acquire("a", 500, { maxBytes: 1 })).toBe("0-9×1");
    expect(rig.acquire("a", 500, { maxBytes: 150 })).toBe("10-19×1");
  });

  test("[SHR-14] whole batches may exceed maxRecords, and are divided by batchSize at their borders", () => {
    const rig = new ShareRig({}, [10, 3, 3, 3]);
    expect(rig.acquire("a", 3, { takesWholeBatches: true, batchSize: 3 })).toBe("0-9×1");
    const more = { takesWholeBatches: true, batchSize: 6 };
    expect(rig.acquire("a", 500, more)).toBe("10-15×1 16-18×1");
  });

  test("[SHR-15] no more records are held than the group's config allows", () => {
    const rig = new ShareRig({ maxLocks: 5 });
    expect(rig.acquire("a", 3)).toBe("0-2×1");
    expect(rig.acquire("b")).toBe("3-4×1");
    expect(rig.acquire("b")).toBe("");
    expect(rig.accept("a", 1)).toBe("ok");
    // A finished record holds nothing up, although an earlier one is not finished.
    expect(rig.acquire("b")).toBe("5-5×1");
  });

  test("[SHR-15] [SHR-19] nobody is told of records while as many are held as may be", () => {
    const rig = new ShareRig({ maxLocks: 1 });
    rig.acquire("a", 1);
    expect(rig.share.hasAvailable(rig.log, rig.nowMs)).toBe(false);
    rig.release("a", 0);
    expect(rig.share.hasAvailable(rig.log, rig.nowMs)).toBe(true);
  });

  test("[SHR-15] new records wait while too many ranges differ", () => {
    const acknowledged = { state: "acknowledged", deliveryCount: 0 } as const;
    const held = { state: "acquired", deliveryCount: 1, holder: "b" } as const;
    const ranges = Array.from({ length: MAX_SHARE_RANGES }, (_, offset) => ({
      ...{ first: offset, last: offset },
      ...(offset % 2 === 0 ? held : acknowledged),
    }));
    const rig = new ShareRig({ maxLocks: MAX_SHARE_RANGES }, [MAX_SHARE_RANGES + 1], ranges);
    expect(rig.acquire("c")).toBe("");
    expect(rig.share.hasAvailable(rig.log, rig.nowMs)).toBe(false);
    rig.release("b", 2);
    expect(rig.acquire("c")).toBe("2-2×2");
    rig.accept("b", 4);
    expect(rig.acquire("c")).toBe(`${MAX_SHARE_RANGES}-${MAX_SHARE_RANGES}×1`);
  });
});

describe("acknowledging", () => {
  test("[SHR-3] [SHR-11] accepted records are finished, and the start offset passes those that all are", () => {
    const rig = new ShareRig();
    rig.acquire("a");
    expect(rig.accept("a", 2, 3)).toBe("ok");
    expect(rig.share.startOffset).toBe(0);
    expect(rig.accept("a", 0, 1)).toBe("ok");
    expect(rig.share.startOffset).toBe(4);
    expect(rig.share.counts(rig.nowMs)).toMatchObject({ acquired: 6, acknowledged: 4 });
    expect(rig.share.lag(rig.log.logEndOffset)).toBe(6);
    expect(rig.accept("a", 4, 9)).toBe("ok");
    expect(rig.states).toEqual([]);
    expect([rig.share.startOffset, rig.share.nextOffset]).toEqual([10, 10]);
    expect(rig.acquire("a")).toBe("");
  });

  test("[SHR-4] released records are available again, with the count that they had", () => {
    const rig = new ShareRig();
    rig.acquire("a", 4);
    expect(rig.release("a", 1, 2)).toBe("ok");
    expect(rig.states).toEqual(["0-0 acquired×1 a", "1-2 available×1", "3-3 acquired×1 a"]);
    expect(rig.acquire("b", 3)).toBe("1-2×2 4-4×1");
  });

  test("[SHR-4] a delay holds back its records, and no others", () => {
    const rig = new ShareRig();
    rig.acquire("a", 2);
    rig.release("a", 0, 0, 5_000);
    expect(rig.acquire("b", 1)).toBe("2-2×1");
    expect(rig.share.counts(rig.nowMs)).toMatchObject({ waiting: 1, delayed: 1, acquired: 2 });
    expect(rig.share.nextDueMs(rig.nowMs)).toBe(rig.nowMs + 5_000);
    rig.pass(4_999);
    expect(rig.acquire("b", 1)).toBe("3-3×1");
    rig.pass(1);
    expect(rig.acquire("b", 1)).toBe("0-0×2");
  });

  test("[SHR-4] without a delay of its own, a release waits as the group's back-off says for its attempt", () => {
    const rig = new ShareRig({ backoff: [100, 400] }, [1]);
    for (const waitMs of [100, 400, 400]) {
      expect(rig.acquire("a")).not.toBe("");
      rig.release("a", 0);
      expect(rig.share.nextDueMs(rig.nowMs)).toBe(rig.nowMs + waitMs);
      rig.pass(waitMs);
    }
    rig.acquire("a");
    expect(rig.release("a", 0, 0, 0)).toBe("ok");
    expect(rig.share.hasAvailable(rig.log, rig.nowMs)).toBe(true);
  });

  test("[SHR-2] a record is delivered as often as the limit says, and then given up", () => {
    const rig = new ShareRig({ maxDeliveries: 3 }, [1]);
    for (const count of [1, 2, 3]) {
      expect(rig.acquire("a")).toBe(`0-0×${count}`);
      expect(rig.release("a", 0)).toBe("ok");
    }
    expect(rig.acquire("a")).toBe("");
    expect(rig.share.counts(rig.nowMs)).toMatchObject({ archived: 1, acknowledged: 0 });
    expect(rig.share.startOffset).toBe(1);
  });

  test("[SHR-2] a limit that was lowered applies at the next acquisition", () => {
    const rig = new ShareRig({}, [2]);
    for (let i = 0; i < 2; i++) {
      rig.acquire("a", 1);
      rig.release("a", 0);
    }
    rig.share.terms = { ...rig.share.terms, maxDeliveries: 2 };
    expect(rig.acquire("a")).toBe("1-1×1");
    expect(rig.share.startOffset).toBe(1);
  });

  test("[SHR-5] rejected records are given up at once", () => {
    const rig = new ShareRig();
    rig.acquire("a", 2);
    expect(rig.reject("a", 1)).toBe("ok");
    expect(rig.states).toEqual(["0-0 acquired×1 a", "1-1 archived"]);
  });

  test("[SHR-5] with dead letters, what is given up says why, and holds the start offset back", () => {
    const rig = new ShareRig({ deadLetters: DEAD_LETTERS, maxDeliveries: 1 });
    rig.acquire("a", 3);
    rig.reject("a", 0, 0, "no such customer");
    rig.release("a", 1);
    rig.accept("a", 2);
    expect(rig.states).toEqual([
      "0-0 archiving×1 no such customer",
      "1-1 archiving×1 Offset delivery count exceeded the threshold.",
      "2-2 acknowledged",
    ]);
    expect(rig.share.startOffset).toBe(0);
    expect(rig.acquire("b", 1)).toBe("3-3×1");
  });

  test("[SHR-6] renewing begins the lock again, for as long as asked", () => {
    const rig = new ShareRig();
    rig.acquire("a", 2);
    rig.pass(29_999);
    expect(rig.ack("a", { first: 0, last: 0, type: "renew" })).toBe("ok");
    expect(rig.ack("a", { first: 1, last: 1, type: "renew", delayMs: 60_000 })).toBe("ok");
    rig.pass(29_999);
    expect(rig.states).toEqual(["0-0 acquired×1 a", "1-1 acquired×1 a"]);
    rig.pass(1);
    expect(rig.states).toEqual(["0-0 available×1", "1-1 acquired×1 a"]);
    rig.share.terms = { ...rig.share.terms, mayRenew: false };
    expect(rig.ack("a", { first: 1, last: 1, type: "renew" })).toBe("INVALID_RECORD_STATE");
  });

  test("[SHR-8] what is not held cannot be acknowledged, and then nothing of the request counts", () => {
    const rig = new ShareRig();
    rig.acquire("a", 4);
    rig.acquire("b", 2);
    const first = { first: 0, last: 1, type: "accept" } as const;
    expect(rig.ack("a", first, { first: 3, last: 4, type: "accept" })).toBe("INVALID_RECORD_STATE");
    expect(rig.ack("a", first, { first: 1, last: 2, type: "accept" })).toBe("INVALID_REQUEST");
    expect(rig.ack("a", first, { first: 3, last: 2, type: "accept" })).toBe("INVALID_REQUEST");
    expect(rig.ack("a", first, { first: 9, last: 9, type: "accept" })).toBe("INVALID_REQUEST");
    expect(rig.states).toEqual(["0-3 acquired×1 a", "4-5 acquired×1 b"]);
    expect(rig.ack("a", first)).toBe("ok");
    // Records before the start offset are finished, whoever says so again.
    expect(rig.ack("a", { first: 0, last: 2, type: "accept" })).toBe("ok");
    expect(rig.share.startOffset).toBe(3);
    // A lock that is over cannot be renewed, wherever the start offset is.
    expect(rig.ack("a", { first: 0, last: 2, type: "renew" })).toBe("INVALID_RECORD_STATE");
    rig.accept("b", 4);
    expect(rig.accept("b", 4)).toBe("INVALID_RECORD_STATE");
  });

  test("[SHR-15] [DLQ-2] the reasons of many records take no more memory than their bound", () => {
    const records = (2 * MAX_SHARE_REASON_CHARS) / 1_000;
    const rig = new ShareRig({ deadLetters: DEAD_LETTERS }, [records]);
    rig.acquire("a");
    for (let offset = 0; offset < records; offset++)
      expect(
        rig.reject("a", offset, offset, `${offset} ${"x".repeat(1_000)}`.slice(0, 1_000)),
      ).toBe("ok");
    const reasons = rig.share.ranges.map(({ reason = "" }) => reason);
    expect(reasons.join("").length).toBeLessThan(MAX_SHARE_REASON_CHARS + 1_000);
    expect(reasons.at(-1)).toBe("Offset rejected by client.");
    expect(rig.share.archiving.reduce((sum, { first, last }) => sum + last - first + 1, 0)).toBe(
      records,
    );
  });

  test("[SHR-9] all that a holder holds is released when it goes, without a delay", () => {
    const rig = new ShareRig({ backoff: [1_000] });
    rig.acquire("a", 2);
    rig.acquire("b", 1);
    rig.acquire("a", 2);
    rig.share.releaseAll("a", rig.nowMs);
    expect(rig.states).toEqual(["0-1 available×1", "2-2 acquired×1 b", "3-4 available×1"]);
    expect(rig.acquire("c", 4)).toBe("0-1×2 3-4×2");
  });
});

describe("time", () => {
  test("[SHR-7] a lock that ends releases its records, and later acknowledgements are refused", () => {
    const rig = new ShareRig();
    rig.acquire("a", 2);
    rig.pass(1_000);
    rig.acquire("a", 2);
    rig.pass(29_000);
    expect(rig.states).toEqual(["0-1 available×1", "2-3 acquired×1 a"]);
    expect(rig.accept("a", 0)).toBe("INVALID_RECORD_STATE");
    expect(rig.acquire("b", 2)).toBe("0-1×2");
    expect(rig.accept("a", 0)).toBe("INVALID_RECORD_STATE");
  });

  test("[SHR-7] [CLK-3] a clock that is set back ends locks and delays, and holds nothing up", () => {
    const rig = new ShareRig();
    rig.acquire("a", 1);
    rig.acquire("a", 1);
    rig.release("a", 1, 1, 5_000);
    rig.nowMs -= 500_000;
    expect(rig.share.nextDueMs(rig.nowMs)).toBe(rig.nowMs);
    expect(rig.acquire("b", 2)).toBe("0-1×2");
  });

  test("[SHR-7] the next due time is that of the first lock or delay, and there is none without any", () => {
    const rig = new ShareRig();
    expect(rig.share.nextDueMs(rig.nowMs)).toBe(Number.POSITIVE_INFINITY);
    rig.acquire("a", 1);
    rig.nowMs += 7;
    rig.acquire("b", 1, { lockMs: 10_000 });
    expect(rig.share.nextDueMs(rig.nowMs)).toBe(rig.nowMs + 10_000);
  });
});

describe("the log below it", () => {
  test("[SHR-10] records that retention has removed are finished, whoever holds them", () => {
    const rig = new ShareRig({ deadLetters: DEAD_LETTERS }, [5, 5]);
    rig.acquire("a", 3);
    rig.reject("a", 1, 1, "bad");
    rig.log.logStartOffset = 5;
    rig.log.remove(0);
    expect(rig.acquire("b", 1)).toBe("5-5×1");
    // Its dead letter is still to be written.
    expect(rig.states).toEqual(["1-1 archiving×1 bad", "2-4 archived", "5-5 acquired×1 b"]);
    expect(rig.accept("a", 0)).toBe("ok");
    expect(rig.accept("a", 2)).toBe("INVALID_RECORD_STATE");
    expect(rig.share.counts(rig.nowMs)).toMatchObject({ archived: 4, archiving: 1, acquired: 1 });
  });

  test("[SHR-10] a group that is far behind begins at the start of the log", () => {
    const rig = new ShareRig({}, [5, 5]);
    rig.log.logStartOffset = 5;
    rig.log.remove(0);
    expect(rig.acquire("b", 2)).toBe("5-6×1");
    expect(rig.share.startOffset).toBe(5);
  });

  test("[SHR-10] offsets that compaction has emptied are finished when they are met", () => {
    const rig = new ShareRig({}, [2, 3, 2]);
    rig.acquire("a", 3);
    rig.release("a", 2);
    rig.log.remove(2);
    expect(rig.acquire("b")).toBe("5-6×1");
    expect(rig.states).toEqual(["0-1 acquired×1 a", "2-4 archived", "5-6 acquired×1 b"]);
    expect(rig.ack("b", { first: 5, last: 5, type: "gap" })).toBe("ok");
    expect(rig.states.at(-2)).toBe("2-5 archived");
  });

  test("[SHR-10] offsets that compaction has removed from a batch are finished, and only records are counted", () => {
    const rig = new ShareRig({}, [8, 3]);
    rig.log.thin(0, [0, 3, 4, 6]);
    expect(rig.acquire("a", 2)).toBe("0-0×1 3-3×1");
    expect(rig.acquire("a", 2)).toBe("4-4×1 6-6×1");
    expect(rig.acquire("a", 2)).toBe("8-9×1");
    expect(rig.states).toEqual([
      ...["0-0 acquired×1 a", "1-2 archived", "3-4 acquired×1 a", "5-5 archived"],
      ...["6-6 acquired×1 a", "7-7 archived", "8-9 acquired×1 a"],
    ]);
  });

  test("[SHR-12] a reset forgets all deliveries and begins at the offset", () => {
    const rig = new ShareRig();
    rig.acquire("a", 5);
    rig.accept("a", 0, 1);
    rig.share.reset(1);
    expect(rig.accept("a", 3)).toBe("INVALID_REQUEST");
    expect(rig.acquire("b", 3)).toBe("1-3×1");
    expect(rig.accept("a", 2)).toBe("INVALID_RECORD_STATE");
  });
});

describe("records that end their consumers", () => {
  test("[SHR-13] from half the limit on they are delivered in halves, and the last time alone", () => {
    const rig = new ShareRig({ maxDeliveries: 6 }, [8]);
    const seen: string[] = [];
    for (let i = 0; i < 4; i++) {
      seen.push(rig.acquire("a"));
      rig.share.releaseAll("a", rig.nowMs);
    }
    expect(seen).toEqual(["0-7×1", "0-7×2", "0-7×3", "0-3×4"]);
    // The half that was not delivered is next; whoever has accepted it is done with it.
    expect(rig.acquire("b")).toBe("0-0×5");
    expect(rig.acquire("b")).toBe("1-1×5");
  });

  test("[SHR-13] with a limit of three, four released records come back as four, then one by one", () => {
    const rig = new ShareRig({ maxDeliveries: 3 }, [4]);
    expect(rig.acquire("a")).toBe("0-3×1");
    rig.share.releaseAll("a", rig.nowMs);
    expect(rig.acquire("a")).toBe("0-3×2");
    rig.share.releaseAll("a", rig.nowMs);
    for (const offset of [0, 1, 2, 3]) expect(rig.acquire("a")).toBe(`${offset}-${offset}×3`);
  });
});
