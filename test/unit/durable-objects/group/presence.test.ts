// Presence: what counts as a sign of life, for whom a socket speaks, and who is notified of changes.
import { describe, expect, test, vi } from "vitest";
import { GroupClock } from "../../../../durable-objects/group/group-clock.ts";
import { type ConnectedMember, Presence } from "../../../../durable-objects/group/presence.ts";
import {
  type ClassicMember,
  type ClassicPhase,
  type ClassicState,
  NO_CLASSIC_MEMBERS,
} from "../../../../src/core/group/classic-state.ts";
import type { GroupEvent, Member } from "../../../../src/core/group/state.ts";
import { DEFAULT_SESSION_TIMEOUT_MS } from "../../../../src/core/limits.ts";
import { CLOSE_REPLACED } from "../../../../src/protocol/close-codes.ts";
import { heartbeatIntervalMs } from "../../../../src/protocol/heartbeat.ts";
import { FakeObjectSockets } from "../../../support/fake-object-sockets.ts";
import { fakeSocket, type TestedSocket } from "../../../support/fake-socket.ts";
import { DATE_SQL, standingDate } from "../../../support/kafka-members-rig.ts";

standingDate();

const CHANGED = { type: "changed" };

class Rig {
  readonly sockets = new FakeObjectSockets();
  clock = new GroupClock(DATE_SQL, () => {});
  presence = new Presence(this.sockets, this.clock);

  /** The object is evicted. The sockets stay. */
  evict(): void {
    this.clock = new GroupClock(DATE_SQL, () => {});
    this.presence = new Presence(this.sockets, this.clock);
  }

  connect(memberId: string, socket = fakeSocket(), more: Partial<ConnectedMember> = {}) {
    if (!this.sockets.all.includes(socket)) this.sockets.acceptWebSocket(socket);
    const member = { memberId, memberNumber: 1, sessionTimeoutMs: 45_000, ...more };
    this.presence.connect(socket, member, this.clock.now());
    return socket;
  }

  watch(memberId: string, sessionTimeoutMs = 45_000): TestedSocket {
    const socket = fakeSocket();
    this.presence.watch(socket, memberId, sessionTimeoutMs, this.clock.now());
    return socket;
  }

  note(...events: GroupEvent[]): void {
    this.presence.note(events, this.clock.now());
  }
}

function pass(ms: number): number {
  vi.setSystemTime(Date.now() + ms);
  return Date.now();
}

const heard = (memberId: string): GroupEvent => ({ type: "heard", memberId });
const changed = (memberId: string): GroupEvent => ({
  type: "member",
  member: { memberId } as Member,
});
const removed = (memberId: string): GroupEvent => ({
  type: "member-removed",
  memberId,
  reason: "left",
});
const classic = (phase: ClassicPhase, more: { isStored?: boolean } = {}): GroupEvent => {
  const state: ClassicState = { ...NO_CLASSIC_MEMBERS, phase };
  return { type: "classic", classic: state, isStored: false, reason: "left", ...more };
};

describe("signs of life", () => {
  test("[GRP-7] a member was last heard from by its socket, its watch or its call, whichever was last", () => {
    const rig = new Rig();
    const { presence } = rig;
    expect(presence.lastSeenMs("m")).toBe(0);
    const startMs = Date.now();
    const socket = rig.connect("m");
    expect(presence.lastSeenMs("m")).toBe(startMs);
    rig.sockets.alive.set(socket, new Date(startMs + 100));
    expect(presence.lastSeenMs("m")).toBe(startMs + 100);
    const calledMs = pass(200);
    rig.note(heard("m"));
    expect(presence.lastSeenMs("m")).toBe(calledMs);
    rig.sockets.alive.set(rig.watch("m"), new Date(pass(300)));
    expect(presence.lastSeenMs("m")).toBe(startMs + 500);
    rig.sockets.alive.set(socket, new Date(startMs + 501));
    expect(presence.lastSeenMs("m")).toBe(startMs + 501);
    expect(presence.lastSeenMs("n")).toBe(0);
  });

  test("[CLK-4] an answer by a clock that was set back since does not count", () => {
    const rig = new Rig();
    const socket = rig.connect("m");
    rig.sockets.alive.set(socket, new Date(Date.now() + 3_600_000));
    expect(rig.presence.lastSeenMs("m")).toBe(Date.now());
  });

  test("[CLK-4] after the clock was set, members by socket, watch and call have a session from then on", () => {
    const rig = new Rig();
    rig.connect("own");
    rig.watch("watched");
    rig.note(heard("called"));
    const nowMs = Date.now() - 5_000;
    rig.presence.beginSessionsAnew(nowMs);
    for (const memberId of ["own", "watched", "called"])
      expect(rig.presence.lastSeenMs(memberId), memberId).toBe(nowMs);
    expect(rig.presence.lastSeenMs("nobody")).toBe(0);
    rig.evict();
    expect(rig.presence.lastSeenMs("own"), "it is kept with the socket").toBe(nowMs);
  });

  test("[HIB-1] after an eviction sockets and watches speak for the same members, and calls are forgotten", () => {
    const rig = new Rig();
    const startMs = Date.now();
    const socket = rig.connect("own");
    rig.watch("watched");
    rig.note(heard("called"));
    pass(700);
    rig.sockets.acceptWebSocket(fakeSocket()); // It has not joined.
    rig.evict();
    const seen = (memberId: string) => rig.presence.lastSeenMs(memberId);
    expect([seen("own"), seen("watched"), seen("called")]).toEqual([startMs, startMs, 0]);
    expect(rig.presence.socketOf("own")).toBe(socket);
    expect(rig.presence.socketOf("watched")).toBe(undefined);
  });

  test("[CLK-4] after an eviction the clock knows when the newest socket joined, or the newest watch opened", () => {
    for (const open of [(rig: Rig) => rig.connect("m"), (rig: Rig) => rig.watch("m")]) {
      const rig = new Rig();
      const openedMs = pass(60_000);
      const socket = open(rig);
      pass(-60_000); // Somebody sets the clock back while the group sleeps.
      rig.evict();
      rig.sockets.alive.set(socket, new Date(openedMs + 100));
      expect(rig.presence.lastSeenMs("m")).toBe(openedMs + 100);
    }
  });

  test("[KFK-20] a member that has gone, or is not believed, is heard no more, and others are", () => {
    const rig = new Rig();
    rig.note(heard("a"), heard("b"), heard("c"));
    rig.note(removed("a"), { type: "unheard", memberId: "b" });
    const seen = ["a", "b", "c"].map((memberId) => rig.presence.lastSeenMs(memberId) > 0);
    expect(seen).toEqual([false, false, true]);
  });
});

describe("a member's own socket", () => {
  test("[GRP-4] the newest socket of a member speaks for it, and the previous one is closed", () => {
    const rig = new Rig();
    const { presence } = rig;
    const older = rig.connect("m");
    rig.connect("m", older); // It joins again over the same socket.
    expect(older.closed).toBe(null);
    const newer = rig.connect("m");
    const other = rig.connect("n");
    expect(older.closed?.code).toBe(CLOSE_REPLACED);
    expect([newer.closed, other.closed]).toEqual([null, null]);
    expect([older, newer, other].map((socket) => presence.memberOf(socket))).toEqual([
      null,
      "m",
      "n",
    ]);
    expect(presence.socketOf("m")).toBe(newer);
    expect(presence.lost(older), "its end is nobody's").toBe(null);
    expect(presence.socketOf("m")).toBe(newer);
    presence.disconnect(newer);
    expect(presence.memberOf(older), "nor when the newer one has gone").toBe(null);
  });

  test("[GRP-5] a socket that closes while the group sleeps speaks for its member, unless another has joined", () => {
    const rig = new Rig();
    const socket = rig.connect("m");
    rig.sockets.all.length = 0; // The runtime no longer lists it.
    rig.evict();
    expect(rig.presence.socketOf("m")).toBe(undefined);
    expect(rig.presence.memberOf(socket)).toBe("m");
    rig.connect("m");
    expect(rig.presence.memberOf(socket)).toBe(null);
  });

  test("[GRP-6] a socket that has gone speaks for nobody, once, and its member is not seen by it", () => {
    const rig = new Rig();
    const { presence } = rig;
    const socket = rig.connect("m");
    expect(presence.lost(socket)).toBe("m");
    expect([presence.lastSeenMs("m"), presence.socketOf("m")]).toEqual([0, undefined]);
    expect([presence.lost(socket), presence.memberOf(socket)]).toEqual([null, null]);
    expect(presence.lost(fakeSocket()), "it never joined").toBe(null);
    const left = rig.connect("n");
    expect([presence.disconnect(left), presence.disconnect(left)]).toEqual(["n", null]);
    rig.evict();
    expect(rig.presence.memberOf(left), "nor after an eviction").toBe(null);
  });
});

describe("connections that watch", () => {
  test("[KFK-20] a member whose watch is lost is no longer heard by its calls, unless it has a newer watch", () => {
    const rig = new Rig();
    const { presence } = rig;
    const [older, newer] = [rig.watch("m"), rig.watch("m")];
    rig.note(heard("m"));
    expect(presence.memberOf(newer), "it is not the member's own").toBe(null);
    expect([presence.lost(older), presence.lastSeenMs("m") > 0]).toEqual([null, true]);
    expect([presence.lost(newer), presence.lastSeenMs("m")]).toEqual(["m", 0]);
  });

  test("[KFK-20] a member that has changed, or has gone, is told to ask, and nobody else", () => {
    const rig = new Rig();
    const watches = ["a", "b", "c"].map((memberId) => rig.watch(memberId));
    rig.note(changed("a"), removed("b"), heard("c"), {
      type: "target",
      memberId: "c",
      partitions: new Set(),
    });
    expect(watches.map((socket) => socket.take())).toEqual([[CHANGED], [CHANGED], []]);
  });

  test("[KFK-20] of a classic group all learn what is stored, and that its phase has changed", () => {
    const rig = new Rig();
    const watches = ["a", "b"].map((memberId) => rig.watch(memberId));
    const told = () => watches.map((socket) => socket.take().length);
    rig.note(classic("STABLE", { isStored: true }));
    expect(told()).toEqual([1, 1]);
    rig.note(classic("STABLE"), heard("a"));
    expect(told(), "nothing is new").toEqual([0, 0]);
    rig.note(heard("a"));
    expect(told(), "nothing of it is classic").toEqual([0, 0]);
    rig.note(classic("PREPARING"), classic("COMPLETING"));
    expect(told(), "once, however much happened").toEqual([1, 1]);
    rig.note(classic("COMPLETING"));
    expect(told()).toEqual([0, 0]);
    rig.note(classic("COMPLETING", { isStored: true }), classic("COMPLETING"));
    expect(told(), "a member was replaced").toEqual([1, 1]);
  });

  test("[BND-15] the watch of a member that has gone makes room, and that of a member does not", () => {
    const rig = new Rig();
    const [a, b] = [rig.watch("a"), rig.watch("b")];
    const own = rig.connect("c");
    const isMember = (memberId: string) => memberId === "a";
    expect(rig.presence.closeWatchOfNobody(isMember)).toBe(true);
    expect(rig.presence.closeWatchOfNobody(isMember)).toBe(false);
    expect([a.closed, own.closed]).toEqual([null, null]);
    expect(b.closed?.reason).toBe("the member has gone");
  });
});

test("[GRP-10] all sockets of a deleted group are closed, and speak for nobody", () => {
  const rig = new Rig();
  const sockets = [rig.connect("m"), rig.watch("n"), fakeSocket()];
  rig.sockets.acceptWebSocket(sockets[2] as TestedSocket);
  rig.presence.closeAll(4000, "the group was deleted");
  for (const socket of sockets)
    expect(socket.closed).toEqual({ code: 4000, reason: "the group was deleted" });
  expect(rig.presence.socketOf("m")).toBe(undefined);
});

describe("silence over a socket", () => {
  const SESSION_MS = 20_000;
  const GRACE_MS = heartbeatIntervalMs(SESSION_MS) + 1_000;
  const NEVER = Number.POSITIVE_INFINITY;

  const suspected = (rig: Rig) => rig.presence.suspectDeadlineMs(rig.clock.now());
  const isSilent = (rig: Rig) => rig.presence.isAnyoneSilent(rig.clock.now());

  test("[GRP-17] a member not heard from for its session timeout has the time of one more heartbeat", () => {
    const rig = new Rig();
    const socket = rig.connect("m", fakeSocket(), { sessionTimeoutMs: SESSION_MS });
    pass(SESSION_MS - 1);
    expect([suspected(rig), isSilent(rig)]).toEqual([NEVER, false]);
    const nowMs = pass(1);
    expect([suspected(rig), isSilent(rig)]).toEqual([nowMs + GRACE_MS, true]);
    rig.evict();
    expect([suspected(rig), isSilent(rig)], "its timeout is kept").toEqual([
      nowMs + GRACE_MS,
      true,
    ]);
    rig.sockets.alive.set(socket, new Date(nowMs));
    expect([suspected(rig), isSilent(rig)]).toEqual([NEVER, false]);
  });

  test("[GRP-17] of several, the one with the shortest session is first, and one that beats does not count", () => {
    const rig = new Rig();
    for (const [memberId, sessionTimeoutMs] of [
      ["a", 60_000],
      ["b", 6_000],
      ["c", 30_000],
    ] as const)
      rig.connect(memberId, fakeSocket(), { sessionTimeoutMs });
    const nowMs = pass(30_000);
    expect(suspected(rig)).toBe(nowMs + heartbeatIntervalMs(6_000) + 1_000);
    for (const socket of rig.sockets.all.slice(1)) rig.sockets.alive.set(socket, new Date(nowMs));
    expect(suspected(rig)).toBe(NEVER);
  });

  test("[GRP-17] a member whose socket has gone is no suspect", () => {
    const rig = new Rig();
    const socket = rig.connect("m", fakeSocket(), { sessionTimeoutMs: SESSION_MS });
    pass(SESSION_MS);
    rig.presence.lost(socket);
    expect([suspected(rig), isSilent(rig), rig.presence.hasSockets]).toEqual([NEVER, false, false]);
  });

  test("[VER-3] a socket that release 0.2 accepted has the default session, and no number", () => {
    const rig = new Rig();
    const startMs = Date.now();
    const socket = rig.connect("m");
    socket.serializeAttachment({ memberId: "m", joinedAtMs: startMs });
    pass(DEFAULT_SESSION_TIMEOUT_MS - 1);
    expect(isSilent(rig)).toBe(false);
    pass(1);
    expect(isSilent(rig)).toBe(true);
    expect(rig.presence.sessionEndMs(1)).toBe(null);
    expect(rig.presence.movedDeadlineMs(startMs)).toBe(NEVER);
  });

  test("[GRP-17] by its number, a member's session ends so long after it was last heard from", () => {
    const rig = new Rig();
    const startMs = Date.now();
    const more = { sessionTimeoutMs: SESSION_MS };
    const socket = rig.connect("m", fakeSocket(), { ...more, memberNumber: 7 });
    rig.connect("n", fakeSocket(), { ...more, memberNumber: 8 });
    rig.watch("w");
    rig.sockets.alive.set(socket, new Date(startMs + 500));
    expect([7, 8, 9].map((number) => rig.presence.sessionEndMs(number))).toEqual([
      startMs + 500 + SESSION_MS,
      startMs + SESSION_MS,
      null,
    ]);
    rig.evict();
    expect(rig.presence.sessionEndMs(7)).toBe(startMs + 500 + SESSION_MS);
  });

  test("[GRP-7] a member that got partitions is checked a session later, and once more if it is late then", () => {
    const rig = new Rig();
    const startMs = Date.now();
    const moved = () => rig.presence.movedDeadlineMs(rig.clock.now()) - startMs;
    const socket = rig.connect("m", fakeSocket(), { sessionTimeoutMs: SESSION_MS });
    expect(moved(), "it has joined").toBe(SESSION_MS + 1_000);
    pass(5_000);
    rig.note({ ...changed("m"), isOnlyEpoch: true } as GroupEvent, changed("nobody"));
    expect(moved(), "nothing has moved").toBe(SESSION_MS + 1_000);
    rig.note(changed("m"));
    rig.sockets.alive.set(socket, new Date(startMs + 6_000)); // The last.
    rig.evict();
    expect(moved()).toBe(6_000 + SESSION_MS);
    pass(SESSION_MS - 1);
    expect(moved()).toBe(6_000 + SESSION_MS);
    pass(1);
    expect(moved(), "when its session ends").toBe(6_000 + SESSION_MS);
    rig.sockets.alive.set(socket, new Date());
    expect(moved(), "it has beaten").toBe(NEVER);
    pass(SESSION_MS);
    expect(moved(), "it is a suspect like any other then").toBe(NEVER);
  });
});

describe("silence of those who are watched", () => {
  test("[KFK-20] each has its own session timeout, which may change, even by an eviction", () => {
    const rig = new Rig();
    const startMs = Date.now();
    const next = () => rig.presence.nextWatchDeadlineMs(rig.clock.now()) - startMs;
    expect(next()).toBe(Number.POSITIVE_INFINITY);
    rig.watch("a", 30_000);
    const socket = rig.watch("b", 10_000);
    expect(next()).toBe(10_000);
    rig.note({ type: "member", member: { memberId: "b", sessionTimeoutMs: 12_000 } as Member });
    expect(next()).toBe(12_000);
    rig.evict();
    expect(next()).toBe(12_000);
    rig.sockets.alive.set(socket, new Date(startMs + 900));
    expect(next()).toBe(12_900);
    vi.setSystemTime(startMs + 12_899);
    expect(rig.presence.isAnyoneSilent(rig.clock.now())).toBe(false);
    vi.setSystemTime(startMs + 12_900);
    expect(rig.presence.isAnyoneSilent(rig.clock.now())).toBe(true);
    expect(next(), "it is looked at again a session later").toBe(2 * 12_000 + 900);
    rig.presence.lost(socket);
    expect(next()).toBe(30_000);
  });

  test("[CLS-3] those of classic members change with what they join with", () => {
    const rig = new Rig();
    const startMs = Date.now();
    rig.watch("c", 10_000);
    const member = { memberId: "c", sessionTimeoutMs: 6_000 } as ClassicMember;
    const state = { ...NO_CLASSIC_MEMBERS, members: new Map([["c", member]]) };
    rig.note({ type: "classic", classic: state, isStored: true, reason: "left" });
    expect(rig.presence.nextWatchDeadlineMs(startMs)).toBe(startMs + 6_000);
  });

  test("[VER-3] a watch that release 0.2 opened has the default session", () => {
    const rig = new Rig();
    rig.watch("a").serializeAttachment({ watches: "a", openedAtMs: Date.now() });
    const nowMs = Date.now();
    expect(rig.presence.nextWatchDeadlineMs(nowMs)).toBe(nowMs + DEFAULT_SESSION_TIMEOUT_MS);
  });
});

test("[HIB-2] members with a socket or a watch are connected, each once", () => {
  const rig = new Rig();
  const count = () => [rig.presence.connectedMembers, rig.presence.hasSockets];
  expect(count()).toEqual([0, false]);
  rig.watch("a");
  rig.watch("a");
  rig.note(heard("c"));
  expect(count()).toEqual([1, false]);
  const socket = rig.connect("a");
  rig.connect("b");
  expect(count()).toEqual([2, true]);
  const connected = ["a", "b", "c"].map((memberId) => rig.presence.isConnected(memberId));
  expect(connected).toEqual([true, true, false]);
  rig.evict();
  expect(count()).toEqual([2, true]);
  rig.presence.lost(socket);
  expect([...count(), rig.presence.isConnected("a")]).toEqual([2, true, true]);
});
