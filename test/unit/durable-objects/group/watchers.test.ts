// The connections that watch a group for Kafka clients: for whom each speaks, and its notifications.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { GroupClock } from "../../../../durable-objects/group/group-clock.ts";
import { Watchers } from "../../../../durable-objects/group/watchers.ts";
import { FakeObjectSockets } from "../../../support/fake-object-sockets.ts";
import { fakeSocket, type TestedSocket } from "../../../support/fake-socket.ts";
import { DATE_SQL } from "../../../support/kafka-members-rig.ts";

const START_MS = 1_700_000_000_000;

beforeEach(() => {
  vi.useFakeTimers({ now: START_MS });
});
afterEach(() => {
  vi.useRealTimers();
});

const CHANGED = { type: "changed" };

class Rig {
  readonly sockets = new FakeObjectSockets();
  readonly clock = new GroupClock(DATE_SQL, () => {});
  readonly watchers = this.newWatchers();

  newWatchers(): Watchers {
    return new Watchers(this.sockets, this.clock);
  }

  watch(memberId: string, sessionTimeoutMs = 45_000): TestedSocket {
    const socket = fakeSocket();
    this.watchers.accept(socket, memberId, sessionTimeoutMs, this.clock.now());
    return socket;
  }
}

const watched = (watchers: Watchers) =>
  ["a", "b", "c"].filter((memberId) => watchers.has(memberId));

test("[KFK-20] the newest connection of a member watches for it, and the previous one is closed", () => {
  const rig = new Rig();
  const { watchers } = rig;
  const older = rig.watch("a");
  const other = rig.watch("b");
  expect(older.closed).toBe(null);
  const newer = rig.watch("a");
  expect(older.closed).toEqual({ code: 1000, reason: "watched by another connection" });
  expect([newer.closed, other.closed]).toEqual([null, null]);
  watchers.notify("a");
  watchers.notify("nobody");
  expect([older.sent, newer.sent, other.sent]).toEqual([[], [CHANGED], []]);
  expect(watchers.lost(older)).toBe(null);
  expect(watched(watchers)).toEqual(["a", "b"]);
  expect(watchers.lost(newer)).toBe("a");
  expect(watchers.lost(newer)).toBe(null);
  expect([watchers.has("a"), watchers.has("b")]).toEqual([false, true]);
});

test("[KFK-20] a member was last seen when its watch opened, or answered, and never without a watch", () => {
  const rig = new Rig();
  expect(rig.watchers.seenMs("a")).toBe(0);
  const socket = rig.watch("a");
  expect(rig.watchers.seenMs("a")).toBe(START_MS);
  rig.sockets.alive.set(socket, new Date(START_MS + 700));
  expect(rig.watchers.seenMs("a")).toBe(START_MS + 700);
  rig.sockets.alive.set(socket, new Date(START_MS - 700));
  expect(rig.watchers.seenMs("a")).toBe(START_MS);
  // A sign of life by a clock that has been set back since.
  rig.sockets.alive.set(socket, new Date(START_MS + 3_600_000));
  expect(rig.watchers.seenMs("a")).toBe(START_MS);
});

test("[KFK-20] after an eviction the same connections watch, since the same times", () => {
  const rig = new Rig();
  expect(rig.watchers.latestMs).toBe(0);
  const socket = rig.watch("a");
  vi.setSystemTime(START_MS + 50);
  rig.watch("b");
  const own = fakeSocket(); // It is a member's own, and no watch.
  rig.sockets.acceptWebSocket(own);
  own.serializeAttachment({ watches: "c", openedAtMs: START_MS });
  const woken = rig.newWatchers();
  expect(watched(woken)).toEqual(["a", "b"]);
  expect([woken.seenMs("a"), woken.seenMs("b")]).toEqual([START_MS, START_MS + 50]);
  expect(woken.latestMs).toBe(START_MS + 50);
  woken.beginSessionsAnew(START_MS + 90);
  expect([woken.seenMs("a"), rig.newWatchers().seenMs("b")]).toEqual([
    START_MS + 90,
    START_MS + 90,
  ]);
  expect(woken.lost(socket)).toBe("a");
  expect(woken.lost(fakeSocket()), "it never said what it is for").toBe(null);
});

test("[BND-15] the watch of one member that has gone makes room, the first, and no other", () => {
  const rig = new Rig();
  const sockets = ["a", "b", "c"].map((memberId) => rig.watch(memberId));
  const gone = new Set(["b", "c"]);
  const closeOne = () => rig.watchers.closeOneFor((memberId) => gone.has(memberId));
  expect(closeOne()).toBe(true);
  expect(sockets.map(({ closed }) => closed?.reason)).toEqual([
    undefined,
    "the member has gone",
    undefined,
  ]);
  expect(closeOne()).toBe(true);
  expect(closeOne()).toBe(false);
  expect(watched(rig.watchers)).toEqual(["a"]);
});
