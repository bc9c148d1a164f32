// A partition's housekeeping over parts that say what is due: when its alarm is set, what it does, and when it ends.
import { describe, expect, test } from "vitest";
import { Housekeeping } from "../../../../durable-objects/partition/housekeeping.ts";
import type { RequestStore } from "../../../../durable-objects/partition/request-store.ts";
import { HOUSEKEEPING_INTERVAL_MS } from "../../../../src/core/limits.ts";
import type { Compactor } from "../../../../src/core/log/compaction.ts";
import type { PartitionLog } from "../../../../src/core/log/partition-log.ts";

const NOW_MS = 1_700_000_000_000;
const HOUR_MS = 3_600_000;
const NEVER_MS = Date.UTC(2189, 0, 1);

type Due = Partial<Pick<Rig, "retentionMs" | "compactionMs" | "requestsMs">>;

class Rig {
  alarmMs: number | null = null;
  /** The number of reads and writes of the alarm. */
  reads = 0;
  sets = 0;
  nowMs = NOW_MS;
  activeBaseOffset = 0;
  retentionMs: number | null = null;
  compactionMs: number | null = null;
  requestsMs: number | null = null;
  /** The time when the first owner with records is silent for its session. */
  silenceMs = Number.POSITIVE_INFINITY;
  /** The time when the relays must be checked. */
  lookMs = Number.POSITIVE_INFINITY;
  /** The time when the first lock or delay of a share group ends. */
  deliveryMs = Number.POSITIVE_INFINITY;
  /** The remaining slices of compaction, and the time that each takes. */
  slices = 0;
  sliceMs = 1;
  readonly steps: string[] = [];
  /** The parts that throw, by name, and the reports about them. */
  readonly throwing = new Set<string>();
  readonly failures: string[] = [];
  onTurn: () => void = () => {};
  onRead: () => Promise<void> | void = () => {};
  readonly housekeeping: Housekeeping;

  constructor() {
    const rig = this;
    const alarm = {
      async getAlarm() {
        rig.reads++;
        await rig.onRead();
        return rig.alarmMs;
      },
      async setAlarm(atMs: number) {
        rig.throwIf("alarm");
        rig.sets++;
        rig.alarmMs = atMs;
      },
    } as Pick<DurableObjectStorage, "getAlarm" | "setAlarm">;
    const log = {
      get activeBaseOffset() {
        return rig.activeBaseOffset;
      },
      nextHousekeepingMs: () => {
        rig.throwIf("due");
        return rig.retentionMs;
      },
      enforceRetention: (atMs: number) => rig.note("retention", atMs),
      rollForCompaction: (atMs: number) => rig.note("roll", atMs),
    } as unknown as PartitionLog;
    const compactor = {
      nextDueMs: () => rig.compactionMs,
      step: (atMs: number) => {
        rig.note("slice", atMs);
        rig.nowMs += rig.sliceMs;
        return --rig.slices > 0;
      },
    } as unknown as Compactor;
    const requests = {
      nextDueMs: () => rig.requestsMs,
      dropExpired: (atMs: number) => rig.note("keys", atMs),
    } as unknown as RequestStore;
    const turns = {
      async next() {
        rig.steps.push("turn");
        rig.onTurn();
      },
    };
    const owners = {
      nextSilenceMs: () => rig.silenceMs,
      reportSilent: (atMs: number) => rig.note("silent", atMs),
    };
    const relays = {
      nextLookMs: () => rig.lookMs,
      look: () => {
        rig.note("relays", NOW_MS);
        rig.lookMs = Number.POSITIVE_INFINITY;
      },
    };
    const shares = {
      nextDueMs: () => rig.deliveryMs,
      expire: (atMs: number) => {
        rig.note("locks", atMs);
        rig.deliveryMs = Number.POSITIVE_INFINITY;
      },
    };
    this.housekeeping = new Housekeeping(
      alarm,
      log,
      compactor,
      requests,
      turns,
      owners,
      relays,
      shares,
      (work) => void rig.failures.push(work),
    );
  }

  note(what: string, atMs: number): void {
    this.steps.push(`${what}+${atMs - NOW_MS}`);
    this.throwIf(what);
  }

  throwIf(what: string): void {
    if (this.throwing.has(what)) throw new Error("database or disk is full: SQLITE_FULL");
  }

  async committed(): Promise<void> {
    this.housekeeping.committed(this.nowMs);
    await settled();
  }

  run(): Promise<void> {
    return this.housekeeping.run(() => this.nowMs);
  }
}

function rigWith(parts: Partial<Rig>): Rig {
  return Object.assign(new Rig(), parts);
}

function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

test.each<{ due: Due; at: number | null }>([
  { due: {}, at: null },
  { due: { compactionMs: NOW_MS + 7 }, at: NOW_MS + 7 },
  { due: { requestsMs: NOW_MS + 9 }, at: NOW_MS + 9 },
  { due: { retentionMs: NOW_MS + HOUR_MS }, at: NOW_MS + HOUR_MS },
  // It would find little each time.
  { due: { retentionMs: NOW_MS + 1 }, at: NOW_MS + HOUSEKEEPING_INTERVAL_MS },
  { due: { retentionMs: NOW_MS + HOUR_MS, compactionMs: NOW_MS + 7 }, at: NOW_MS + 7 },
  { due: { compactionMs: NOW_MS + 7, requestsMs: NOW_MS + 5 }, at: NOW_MS + 5 },
  // Overdue work is due now, because an alarm in the past does not say when.
  { due: { compactionMs: NOW_MS - HOUR_MS }, at: NOW_MS },
  { due: { requestsMs: 0 }, at: NOW_MS },
  { due: { compactionMs: NEVER_MS - 1 }, at: NEVER_MS - 1 },
  { due: { compactionMs: NEVER_MS }, at: null },
  { due: { compactionMs: Number.MAX_SAFE_INTEGER, requestsMs: NOW_MS + 3 }, at: NOW_MS + 3 },
])("[RET-1] where $due is due, the alarm is set for $at", async ({ due, at }) => {
  const rig = rigWith(due);
  await rig.housekeeping.schedule(NOW_MS);
  expect(rig.alarmMs).toBe(at);
  expect([rig.reads, rig.sets]).toEqual(at === null ? [0, 0] : [1, 1]);
});

test.each([
  { set: NOW_MS + 6, left: true },
  { set: NOW_MS + 7, left: true },
  { set: NOW_MS + 8, left: false },
  { set: NOW_MS - 1, left: true },
  { set: NOW_MS - 150_000, left: true },
  // workerd has lost it.
  { set: NOW_MS - 150_001, left: false },
])("[RET-1] an alarm set for $set is left as it is: $left", async ({ set, left }) => {
  const rig = rigWith({ compactionMs: NOW_MS + 7, alarmMs: set });
  await rig.housekeeping.schedule(NOW_MS);
  expect(rig.sets).toBe(left ? 0 : 1);
  expect(rig.alarmMs).toBe(left ? set : NOW_MS + 7);
});

test("[RET-1] commits check the alarm once in a life, and once after each roll", async () => {
  const rig = rigWith({ requestsMs: NOW_MS + HOUR_MS });
  for (const base of [0, 0, 0, 5, 5, 9]) {
    rig.activeBaseOffset = base;
    await rig.committed();
  }
  expect(rig.reads).toBe(3);
  expect(rig.sets).toBe(1);
});

test("[RET-1] after its alarm a partition considers the next one with the next commit", async () => {
  const rig = rigWith({ requestsMs: NOW_MS + HOUR_MS });
  await rig.committed();
  rig.alarmMs = null;
  rig.requestsMs = null;
  await rig.run();
  expect(rig.alarmMs).toBe(null);
  rig.requestsMs = NOW_MS + HOUR_MS;
  await rig.committed();
  expect(rig.alarmMs).toBe(NOW_MS + HOUR_MS);
});

test("[CMP-4] an alarm does everything that is due, yields after each slice, and sets the next", async () => {
  const rig = rigWith({ slices: 3, compactionMs: NOW_MS + HOUR_MS });
  await rig.run();
  expect(rig.steps).toEqual([
    ...["keys+0", "retention+0", "silent+0", "relays+0", "locks+0", "roll+0"],
    ...["slice+0", "turn", "slice+1", "turn", "slice+2"],
  ]);
  expect(rig.alarmMs).toBe(NOW_MS + HOUR_MS);
});

test.each([
  { sliceMs: 20_000, slices: 2 },
  { sliceMs: 20_001, slices: 1 },
])("[CMP-4] slices of $sliceMs ms yield to the next alarm after $slices", async (row) => {
  const { sliceMs, slices } = row;
  const rig = rigWith({ slices: 9, sliceMs, compactionMs: NOW_MS });
  await rig.run();
  expect(rig.steps.filter((step) => step.startsWith("slice"))).toHaveLength(slices);
  expect(rig.alarmMs, "the rest is due at once").toBe(rig.nowMs);
});

test("[CLU-4] a partition that ends while its alarm runs does no more and sets none", async () => {
  const rig = rigWith({ slices: 9, compactionMs: NOW_MS, requestsMs: NOW_MS });
  rig.onTurn = () => rig.housekeeping.stop();
  await rig.run();
  expect(rig.steps.filter((step) => step.startsWith("slice"))).toHaveLength(1);
  expect([rig.reads, rig.alarmMs]).toEqual([0, null]);
});

test("[CLU-4] a partition that has ended is not compacted, and no alarm is set for it", async () => {
  const rig = rigWith({ slices: 9, compactionMs: NOW_MS });
  rig.housekeeping.stop();
  await rig.run();
  await rig.committed();
  expect(rig.steps.filter((step) => step.startsWith("slice"))).toEqual([]);
  expect(rig.alarmMs).toBe(null);
});

test("[CLU-4] a partition that ends while the alarm is looked up sets none", async () => {
  const rig = rigWith({ compactionMs: NOW_MS + 7 });
  rig.onRead = () => rig.housekeeping.stop();
  await rig.housekeeping.schedule(NOW_MS);
  expect(rig.alarmMs).toBe(null);
});

describe("work that fails", () => {
  const MINUTE_MS = 60_000;
  const STAGES = ["keys", "retention", "silent", "relays", "locks", "roll", "slice"];

  test.each(STAGES)(
    "[ALM-1] if %s throws, the rest is done, and the alarm comes back",
    async (stage) => {
      const rig = rigWith({ slices: 2, retentionMs: NOW_MS, compactionMs: NOW_MS });
      rig.throwing.add(stage);
      await rig.run();
      expect(rig.steps.filter((step) => step !== "turn").map((step) => step.split("+")[0])).toEqual(
        stage === "slice" ? STAGES : [...STAGES, "slice"],
      );
      expect(rig.failures).toHaveLength(1);
      expect(rig.alarmMs).toBe(rig.nowMs + MINUTE_MS);
      // Once there is room again it continues as ever.
      rig.throwing.clear();
      rig.nowMs = rig.alarmMs as number;
      Object.assign(rig, { alarmMs: null, retentionMs: NOW_MS + HOUR_MS, compactionMs: null });
      await rig.run();
      expect(rig.failures).toHaveLength(1);
      expect(rig.alarmMs).toBe(NOW_MS + HOUR_MS);
    },
  );

  test("[ALM-1] the pause doubles up to an hour, and is a minute again once all was done", async () => {
    const rig = rigWith({ retentionMs: NOW_MS, requestsMs: NOW_MS + 1_000 * HOUR_MS });
    const pauses: number[] = [];
    const ring = async () => {
      rig.alarmMs = null;
      await rig.run();
      pauses.push(((rig.alarmMs ?? 0) - rig.nowMs) / MINUTE_MS);
      rig.nowMs = rig.alarmMs ?? rig.nowMs;
    };
    rig.throwing.add("retention");
    for (let i = 0; i < 9; i++) await ring();
    expect(pauses.splice(0)).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60]);
    rig.throwing.clear();
    await ring();
    rig.throwing.add("retention");
    await ring();
    expect(pauses.at(-1)).toBe(1);
  });

  test("[ALM-1] commits in between do not cause a retry at once, and their alarm is not forgotten", async () => {
    const rig = rigWith({ slices: 1, compactionMs: NOW_MS });
    rig.throwing.add("slice");
    await rig.run();
    const retryMs = rig.alarmMs;
    rig.nowMs += 1_000;
    for (rig.activeBaseOffset = 1; rig.activeBaseOffset < 5; rig.activeBaseOffset++)
      await rig.committed();
    expect([rig.alarmMs, rig.sets]).toEqual([retryMs, 1]);
    // Nor if the alarm was lost.
    rig.alarmMs = null;
    rig.activeBaseOffset = 9;
    await rig.committed();
    expect(rig.alarmMs).toBe(retryMs);
  });

  test("[ALM-1] [GRP-17] owners that will be silent before the next try are reported in time", async () => {
    const rig = rigWith({ silenceMs: NOW_MS + 5_000, compactionMs: NOW_MS, slices: 1 });
    rig.throwing.add("slice");
    await rig.run();
    expect(rig.alarmMs).toBe(NOW_MS + 5_000);
  });

  test("[ALM-1] if the due work cannot be found, the alarm comes back, after a run and after a commit", async () => {
    const rig = new Rig();
    rig.throwing.add("due");
    await rig.committed();
    expect(rig.alarmMs).toBe(NOW_MS + MINUTE_MS);
    rig.nowMs = NOW_MS + MINUTE_MS;
    rig.alarmMs = null;
    await rig.run();
    expect(rig.alarmMs).toBe(rig.nowMs + 2 * MINUTE_MS);
    expect(rig.failures).toEqual(["finding what is due", "finding what is due"]);
  });

  test("[ALM-1] an alarm that cannot be set is left to the platform, and to the next commit", async () => {
    const rig = rigWith({ requestsMs: NOW_MS + HOUR_MS });
    rig.throwing.add("alarm");
    await expect(rig.run()).rejects.toThrow("SQLITE_FULL");
    await rig.committed();
    expect([rig.alarmMs, rig.failures.at(-1)]).toEqual([null, "setting the alarm"]);
    rig.throwing.clear();
    await rig.committed();
    expect(rig.alarmMs).not.toBe(null);
  });

  test("[ALM-1] [CLK-3] after the clock was set back, failed work is due at once", async () => {
    const rig = rigWith({ compactionMs: NOW_MS, slices: 1 });
    rig.throwing.add("slice");
    await rig.run();
    rig.alarmMs = null;
    rig.nowMs = NOW_MS - HOUR_MS;
    await rig.committed();
    expect(rig.alarmMs).toBe(rig.nowMs);
  });

  test("[LOG-13] urgent work waits neither for the next try nor for the interval", async () => {
    const rig = rigWith({ retentionMs: NOW_MS, compactionMs: NOW_MS + HOUR_MS, slices: 1 });
    rig.throwing.add("slice");
    await rig.run();
    await rig.housekeeping.schedule(rig.nowMs, true);
    expect(rig.alarmMs).toBe(rig.nowMs);
  });
});

describe("owners that are silent", () => {
  const SESSION_MS = 20_000;

  async function watch(rig: Rig): Promise<void> {
    rig.housekeeping.watchOwners(rig.nowMs);
    await settled();
  }

  test.each<{ due: Due; silenceMs: number; at: number }>([
    { due: {}, silenceMs: NOW_MS + 5, at: NOW_MS + 5 },
    { due: {}, silenceMs: NOW_MS - 5, at: NOW_MS },
    { due: { compactionMs: NOW_MS + 7 }, silenceMs: NOW_MS + 5, at: NOW_MS + 5 },
    { due: { compactionMs: NOW_MS + 3 }, silenceMs: NOW_MS + 5, at: NOW_MS + 3 },
  ])(
    "[GRP-17] with $due and an owner silent at $silenceMs the alarm is set for $at",
    async (row) => {
      const rig = rigWith({ ...row.due, silenceMs: row.silenceMs });
      await rig.housekeeping.schedule(NOW_MS);
      expect(rig.alarmMs).toBe(row.at);
    },
  );

  test("[GRP-17] while nobody has records, no alarm is checked", async () => {
    const rig = new Rig();
    for (let i = 0; i < 5; i++) {
      await watch(rig);
      await rig.committed();
    }
    expect([rig.reads, rig.sets, rig.alarmMs]).toEqual([0, 0, null]);
  });

  test("[GRP-17] commits and messages of owners set it once, until it rings", async () => {
    const rig = new Rig();
    await rig.committed(); // That of this life.
    rig.silenceMs = NOW_MS + SESSION_MS;
    for (let i = 0; i < 50; i++) {
      await rig.committed();
      await watch(rig);
      rig.silenceMs++; // The owner is heard from all the time.
    }
    expect([rig.reads, rig.sets, rig.alarmMs]).toEqual([1, 1, NOW_MS + SESSION_MS]);
  });

  test("[GRP-17] a partition that is busy for an hour sets an alarm once in a session timeout", async () => {
    const rig = new Rig();
    while (rig.nowMs < NOW_MS + HOUR_MS) {
      await rig.committed();
      rig.nowMs += 1_000;
      rig.silenceMs = rig.nowMs + SESSION_MS;
      if (rig.alarmMs !== null && rig.alarmMs <= rig.nowMs) {
        rig.alarmMs = null;
        await rig.run();
      }
    }
    expect(rig.sets).toBeLessThanOrEqual(1 + HOUR_MS / SESSION_MS);
  });

  test("[GRP-17] the alarm reports members that are silent then, and is set for the next candidates", async () => {
    const rig = rigWith({ silenceMs: NOW_MS + SESSION_MS });
    await watch(rig);
    rig.nowMs = NOW_MS + SESSION_MS;
    rig.alarmMs = null;
    rig.silenceMs = NOW_MS + 2 * SESSION_MS;
    await rig.run();
    expect(rig.steps).toContain(`silent+${SESSION_MS}`);
    expect(rig.alarmMs).toBe(NOW_MS + 2 * SESSION_MS);
    await watch(rig);
    expect(rig.sets).toBe(2);
  });

  test("[GRP-17] once nobody has records there is no next alarm, and the next records set it again", async () => {
    const rig = rigWith({ silenceMs: NOW_MS + SESSION_MS });
    await watch(rig);
    rig.nowMs = NOW_MS + SESSION_MS;
    rig.alarmMs = null;
    rig.silenceMs = Number.POSITIVE_INFINITY;
    await rig.run();
    expect([rig.alarmMs, rig.sets]).toEqual([null, 1]);
    rig.silenceMs = NOW_MS + 3 * SESSION_MS;
    await watch(rig);
    expect([rig.alarmMs, rig.sets]).toEqual([NOW_MS + 3 * SESSION_MS, 2]);
  });

  test("[CLU-4] a partition that has ended watches nobody", async () => {
    const rig = rigWith({ silenceMs: NOW_MS + SESSION_MS });
    rig.housekeeping.stop();
    await watch(rig);
    expect(rig.alarmMs).toBe(null);
  });
});

describe("locks and delays of share groups", () => {
  test("[SHR-7] the alarm is set for the first end of one, again only for an earlier one, and rings", async () => {
    const rig = new Rig();
    const watch = async (atMs: number) => {
      rig.deliveryMs = atMs;
      rig.housekeeping.watchShares(rig.nowMs);
      await settled();
    };
    await watch(Number.POSITIVE_INFINITY);
    expect(rig.alarmMs).toBe(null);
    await watch(NOW_MS + 30_000);
    await watch(NOW_MS + 40_000);
    await watch(NOW_MS + 30_000);
    expect([rig.alarmMs, rig.sets]).toEqual([NOW_MS + 30_000, 1]);
    await watch(NOW_MS + 1_000);
    expect([rig.alarmMs, rig.sets]).toEqual([NOW_MS + 1_000, 2]);
    rig.nowMs = NOW_MS + 1_000;
    rig.alarmMs = null;
    await rig.run();
    expect(rig.steps).toContain("locks+1000");
    expect(rig.alarmMs).toBe(null);
    await watch(NOW_MS + 50_000);
    expect(rig.alarmMs).toBe(NOW_MS + 50_000);
  });
});

describe("relays", () => {
  const LOOK_MS = 10_000;

  test("[RLY-5] commits set the alarm for them once, until it rings and they are checked", async () => {
    const rig = new Rig();
    await rig.committed(); // That of this life.
    rig.lookMs = NOW_MS + LOOK_MS;
    for (let i = 0; i < 50; i++) await rig.committed();
    expect([rig.reads, rig.sets, rig.alarmMs]).toEqual([1, 1, NOW_MS + LOOK_MS]);
    rig.alarmMs = null;
    await rig.run();
    expect(rig.steps).toContain("relays+0");
    expect(rig.alarmMs, "nothing was appended since").toBe(null);
    rig.lookMs = NOW_MS + 2 * LOOK_MS;
    await rig.committed();
    expect(rig.alarmMs).toBe(NOW_MS + 2 * LOOK_MS);
  });

  test.each([
    { silenceMs: NOW_MS + 1_000, at: NOW_MS + 1_000 },
    { silenceMs: NOW_MS + 45_000, at: NOW_MS + LOOK_MS },
  ])(
    "[GRP-17] [RLY-5] with an owner silent at $silenceMs the alarm is set for $at",
    async (row) => {
      const rig = new Rig();
      await rig.committed();
      rig.lookMs = NOW_MS + LOOK_MS;
      rig.silenceMs = row.silenceMs;
      await rig.committed();
      expect([rig.alarmMs, rig.sets]).toEqual([row.at, 1]);
    },
  );

  test("[RLY-5] a failed push sets the alarm, whatever it is set for", async () => {
    const rig = rigWith({ alarmMs: NOW_MS + HOUR_MS, lookMs: NOW_MS + LOOK_MS });
    rig.housekeeping.watchRelays(NOW_MS);
    await settled();
    expect(rig.alarmMs).toBe(NOW_MS + LOOK_MS);
  });
});
