// The clock of an object and its turns of the event loop, over a wall clock and a Date.now() that the test sets.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { GroupClock } from "../../../../durable-objects/group/group-clock.ts";
import { isStanding, ObjectClock, startAnew } from "../../../../durable-objects/shared/clock.ts";
import type { Sql, SqlValue } from "../../../../durable-objects/shared/sql.ts";
import { Turns } from "../../../../durable-objects/shared/turns.ts";

const START_MS = 1_700_000_000_000;
const HOUR_MS = 3_600_000;

/** SQLite's clock. */
let wallMs = START_MS;
/** The number of questions to SQLite. */
let asked = 0;

const sql: Sql = {
  exec<Row extends Record<string, SqlValue>>() {
    asked++;
    return [{ ms: wallMs } as unknown as Row];
  },
};

beforeEach(() => {
  vi.useFakeTimers({ now: START_MS, toFake: ["Date", "setTimeout", "clearTimeout"] });
  wallMs = START_MS;
  asked = 0;
});
afterEach(() => {
  vi.useRealTimers();
});

/** Both clocks advance. */
function pass(ms: number): void {
  vi.setSystemTime(Date.now() + ms);
  wallMs += ms;
}

/** The wall clock is set back. The object's time stands still from then on. */
function setBack(ms: number): void {
  wallMs -= ms;
}

describe("an object's clock", () => {
  test.each([
    [20, false],
    [21, true],
  ])("[CLK-2] time that is %d ms ahead of the wall clock stands still: %s", (aheadMs, stands) => {
    wallMs = START_MS - aheadMs;
    expect(isStanding(sql)).toBe(stands);
    expect(new ObjectClock(sql).look().isAhead).toBe(stands);
  });

  test("[CLK-1] it shows Date.now() while both clocks advance", () => {
    const clock = new ObjectClock(sql);
    pass(5_000);
    wallMs -= 499; // This much may lie between two readings.
    expect(clock.now()).toBe(START_MS + 5_000);
    expect(clock.isStanding).toBe(false);
  });

  test.each([
    [500, false],
    [501, true],
  ])("[CLK-2] a wall clock that shows %d ms less than before was set back: %s", (ms, stands) => {
    const clock = new ObjectClock(sql);
    setBack(ms);
    expect(clock.now()).toBe(stands ? START_MS - ms : START_MS);
    expect(clock.isStanding).toBe(stands);
  });

  test("[CLK-2] once set back it follows the wall clock until that has caught up with Date.now()", () => {
    const clock = new ObjectClock(sql);
    setBack(HOUR_MS);
    expect(clock.now()).toBe(START_MS - HOUR_MS);
    wallMs = START_MS - 501;
    expect(clock.now()).toBe(START_MS - 501);
    expect(clock.isStanding).toBe(true);
    wallMs = START_MS - 500;
    expect(clock.now()).toBe(START_MS);
    expect(clock.isStanding).toBe(false);
  });

  test("[CLK-2] a life that begins while Date.now() is ahead has not been set back", () => {
    setBack(HOUR_MS);
    const clock = new ObjectClock(sql);
    expect(clock.now()).toBe(START_MS);
    expect(clock.look()).toEqual({
      wallMs: START_MS - HOUR_MS,
      shownMs: START_MS,
      isAhead: true,
    });
    expect(clock.isStanding).toBe(false);
  });

  test("[CLK-1] a glance asks SQLite only if the object's own time is not enough", () => {
    const clock = new ObjectClock(sql);
    const askedBy = (look: () => void) => {
      const before = asked;
      look();
      return asked - before;
    };
    const glance = () => void clock.glance();
    expect(askedBy(glance), "no time has passed").toBe(1);
    pass(1);
    expect(askedBy(glance), "time moves").toBe(0);
    pass(20);
    expect(askedBy(glance), "time has moved by as much as a busy object's").toBe(0);
    pass(21);
    expect(askedBy(glance), "it was idle meanwhile").toBe(1);
    setBack(HOUR_MS);
    expect(askedBy(glance), "time stands still").toBe(1);
    expect(clock.isStanding).toBe(true);
    vi.setSystemTime(Date.now() + 1);
    expect(askedBy(glance), "time was ahead at the last look").toBe(1);
  });

  test("[CLK-1] a life that began ahead of the wall clock asks SQLite from the first glance on", () => {
    setBack(HOUR_MS);
    const clock = new ObjectClock(sql);
    const before = asked;
    vi.setSystemTime(Date.now() + 1);
    expect(clock.glance()).toMatchObject({ isAhead: true, wallMs });
    expect(asked - before).toBe(1);
  });

  test("[CLK-2] a life ends only when its writes are durable and its responses under way", async () => {
    const steps: string[] = [];
    const sync = Promise.withResolvers<void>();
    const ended = startAnew({
      storage: { sync: () => sync.promise },
      abort: (reason) => steps.push(reason),
    });
    await Promise.resolve();
    expect(steps).toEqual([]);
    sync.resolve();
    void sync.promise.then(() => steps.push("durable"));
    await ended;
    expect(steps).toEqual(["durable", "the clock was set back"]);
  });
});

describe("a group's clock", () => {
  function groupClock() {
    const told: number[] = [];
    const clock = new GroupClock(sql, (nowMs) => told.push(nowMs));
    return { clock, told };
  }

  test("[CLK-4] each setting back is reported once, before anybody learns the time", () => {
    const { clock, told } = groupClock();
    pass(10_000);
    clock.now();
    setBack(1_000);
    clock.now();
    expect(told, "by no more than two readings differ").toEqual([]);
    setBack(HOUR_MS);
    expect(clock.now()).toBe(wallMs);
    expect(told).toEqual([wallMs]);
    wallMs += 5;
    clock.now();
    expect(told).toHaveLength(1);
    setBack(2 * HOUR_MS);
    clock.now();
    expect(told).toHaveLength(2);
  });

  test("[CLK-4] a time of an earlier life shows that the clock was set back since; an older one does not", () => {
    const { clock, told } = groupClock();
    clock.noted(START_MS + 1_000);
    clock.noted(START_MS - HOUR_MS);
    clock.now();
    expect(told).toEqual([]);
    clock.noted(START_MS + 1_001);
    clock.noted(START_MS);
    clock.now();
    expect(told).toEqual([START_MS]);
  });

  test("[CLK-4] a sign of life from before the clock was set back means nothing", () => {
    const { clock } = groupClock();
    expect(clock.heard(START_MS + 1_000)).toBe(START_MS + 1_000);
    expect(clock.heard(START_MS + 1_001)).toBe(0);
    expect(clock.heard(0)).toBe(0);
  });

  test("[CLK-4] the latest known time stays, however often the clock is read", () => {
    const { clock, told } = groupClock();
    clock.noted(START_MS + 900);
    clock.now();
    clock.now();
    expect(told).toEqual([]);
    expect(clock.heard(START_MS + 1_900)).toBe(START_MS + 1_900);
  });

  test("[CLK-2] it says that its time stands still", () => {
    const { clock } = groupClock();
    expect(clock.isStanding).toBe(false);
    setBack(HOUR_MS);
    clock.now();
    expect(clock.isStanding).toBe(true);
  });
});

describe("turns of the event loop", () => {
  /** Returns true if the turn has come, after everything settled has run its listeners. */
  async function hasCome(turn: Promise<void>): Promise<boolean> {
    let came = false;
    void turn.then(() => {
      came = true;
    });
    for (let i = 0; i < 5; i++) await Promise.resolve();
    return came;
  }

  test("[CLK-1] a caller that comes before the timer rings shares it, and the next has another", async () => {
    const turns = new Turns(new ObjectClock(sql));
    const [first, second] = [turns.next(), turns.next()];
    expect(vi.getTimerCount()).toBe(1);
    expect(await hasCome(first)).toBe(false);
    vi.runAllTimers();
    expect(await hasCome(first)).toBe(true);
    expect(await hasCome(second)).toBe(true);
    const third = turns.next();
    expect(vi.getTimerCount()).toBe(1);
    expect(await hasCome(third)).toBe(false);
    vi.runAllTimers();
    expect(await hasCome(third)).toBe(true);
  });

  test("[CLK-1] if the object's time stands still, no timer is waited for", async () => {
    const turns = new Turns(new ObjectClock(sql));
    setBack(HOUR_MS);
    const turn = turns.next();
    expect(vi.getTimerCount()).toBe(0);
    await turn;
  });

  test("[CLK-1] told while nobody waits, the next turn needs no timer even if the time has moved a little", async () => {
    const clock = new ObjectClock(sql);
    const turns = new Turns(clock);
    pass(10);
    setBack(HOUR_MS);
    turns.hurry();
    const turn = turns.next();
    expect([vi.getTimerCount(), clock.isStanding]).toEqual([0, true]);
    await turn;
  });

  test.each([
    { what: "was set back", move: () => setBack(HOUR_MS), isHurried: true },
    { what: "goes on", move: () => pass(2_000), isHurried: false },
    { what: "shows the same", move: () => {}, isHurried: false },
  ])(
    "[CLK-1] any event hurries a turn where the clock $what: $isHurried",
    async ({ move, isHurried }) => {
      const turns = new Turns(new ObjectClock(sql));
      turns.hurryIfStanding(); // Nobody waits.
      const turn = turns.next();
      move();
      turns.hurryIfStanding();
      expect(await hasCome(turn)).toBe(isHurried);
      vi.runAllTimers();
      await turn;
    },
  );

  test.each([
    { what: "was set back", move: () => setBack(1), isHeldUp: true },
    { what: "shows a second more", move: () => pass(1_000), isHeldUp: true },
    { what: "shows less than a second more", move: () => pass(999), isHeldUp: false },
    { what: "shows the same", move: () => {}, isHeldUp: false },
  ])("[CLK-1] a turn is hurried where the clock $what: $isHeldUp", async ({ move, isHeldUp }) => {
    const turns = new Turns(new ObjectClock(sql));
    turns.hurry(); // Nobody waits.
    const turn = turns.next();
    move();
    turns.hurry();
    expect(await hasCome(turn)).toBe(isHeldUp);
    expect(vi.getTimerCount()).toBe(isHeldUp ? 0 : 1);
    // The next one arms its own timer, or shares the running one.
    void turns.next();
    if (!isStanding(sql)) expect(vi.getTimerCount()).toBe(1);
    vi.runAllTimers();
    expect(await hasCome(turn)).toBe(true);
  });
});
