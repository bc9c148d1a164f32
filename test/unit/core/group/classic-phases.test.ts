// A classic group in each of its phases, and a member that joins, syncs, beats, leaves, falls silent or returns during it.
import { describe, expect, test } from "vitest";
import { ERRORS, KAFKA_ERRORS } from "../../../../src/core/errors.ts";
import { NO_CLASSIC_MEMBERS } from "../../../../src/core/group/classic-state.ts";
import { ClassicRig, text, utf8 } from "../../../support/classic-rig.ts";
import { TestedClassic } from "../../../support/tested-classic.ts";

const { ILLEGAL_GENERATION, INCONSISTENT_GROUP_PROTOCOL } = KAFKA_ERRORS;
const { NONE, REBALANCE_IN_PROGRESS } = KAFKA_ERRORS;
const UNKNOWN = ERRORS.UNKNOWN_MEMBER_ID.code;
const OTHER = { protocols: [{ name: "range", metadata: utf8("other topics") }] };

/** Two members in COMPLETING of generation 2: a leads, and nobody has synced. */
function completing(more: Parameters<ClassicRig["newcomer"]>[0] = {}) {
  const rig = new ClassicRig();
  const a = rig.newcomer(more).id;
  rig.sync(a, 1, {});
  const b = rig.newcomer(more).id;
  rig.join(a, more);
  expect(rig.group.phase).toBe("COMPLETING");
  return { rig, a, b };
}

describe("joining again", () => {
  test.each([
    { title: "the leader, as before", who: "a", join: {}, isNews: true },
    { title: "the leader, with other topics", who: "a", join: OTHER, isNews: true },
    { title: "another, as before", who: "b", join: {}, isNews: false },
    { title: "another, with other topics", who: "b", join: OTHER, isNews: true },
  ] as const)("[CLS-1] in a stable group: $title; all join again: $isNews", (row) => {
    const rig = new ClassicRig();
    const members = rig.two();
    const told = rig.join(members[row.who], row.join);
    expect(rig.group.phase).toBe(row.isNews ? "PREPARING" : "STABLE");
    if (row.isNews) expect(told.joined).toBeUndefined();
    else expect(told.joined).toMatchObject({ errorCode: NONE, generation: 2, leaderId: members.a });
  });

  test.each([
    { title: "as before", join: {}, isNews: false },
    { title: "with other topics", join: OTHER, isNews: true },
  ])("[CLS-1] while the leader assigns, $title: all join again: $isNews", ({ join, isNews }) => {
    for (const who of ["a", "b"] as const) {
      const { rig, ...members } = completing();
      const told = rig.join(members[who], join);
      expect(rig.group.phase).toBe(isNews ? "PREPARING" : "COMPLETING");
      expect(told.joined?.generation).toBe(isNews ? undefined : 2);
    }
  });

  test("[CLS-1] the leader learns what each subscribes to now, by the chosen protocol", () => {
    const rig = new ClassicRig();
    const both = (first: string, text: string) => ({
      protocols: [first, first === "range" ? "sticky" : "range"].map((name) => ({
        name,
        metadata: utf8(`${text} by ${name}`),
      })),
    });
    const { a, b } = rig.two(both("range", "old"));
    rig.join(b, both("range", "new"));
    const leader = rig.join(a, both("range", "old")).joined;
    expect(leader?.members.map(({ memberId, metadata }) => [memberId, text(metadata)])).toEqual([
      [a, "old by range"],
      [b, "new by range"],
    ]);
  });

  test("[CLS-3] the times that a member names in its last join count", () => {
    const rig = new ClassicRig();
    const { a, b } = rig.two();
    rig.join(a);
    rig.join(b, { sessionTimeoutMs: 20_000 });
    rig.sync(b, 3);
    rig.sync(a, 3);
    rig.pass(10_000);
    expect(rig.ids).toEqual([b]);
    rig.pass(9_999);
    expect(rig.ids).toEqual([b]);
    rig.pass(1);
    expect(rig.ids).toEqual([]);
  });

  test("[CLS-1] an earlier waiting attempt is told to join or sync again, and the later one is answered", () => {
    const { rig, a, b } = completing();
    const first = rig.sync(b, 2);
    const second = rig.sync(b, 2);
    expect(first.synced?.errorCode).toBe(REBALANCE_IN_PROGRESS);
    expect(second.synced).toBeUndefined();
    rig.sync(a, 2, { [b]: "part" });
    expect(text(second.synced?.assignment)).toBe("part");
    const once = rig.join(b, OTHER);
    const twice = rig.join(b, OTHER);
    expect(once.joined).toEqual({
      errorCode: REBALANCE_IN_PROGRESS,
      memberId: b,
      generation: -1,
      protocolType: null,
      protocolName: null,
      leaderId: "",
      skipAssignment: false,
      members: [],
    });
    rig.join(a);
    expect(twice.joined).toMatchObject({ errorCode: NONE, generation: 3, skipAssignment: false });
    expect(twice.joined?.members).toEqual([]);
  });
});

describe("protocols", () => {
  const by = (...names: string[]) => ({
    protocols: names.map((name) => ({ name, metadata: utf8(name) })),
  });

  test.each([
    { title: "names no type", join: { protocolType: "" } },
    { title: "names no protocol", join: { protocols: [] } },
  ])("[CLS-2] a client that $title is refused, the first one too", ({ join }) => {
    const rig = new ClassicRig();
    for (const mustKnowId of [true, false])
      expect(rig.join("", { ...join, mustKnowId }).joined?.errorCode).toBe(
        INCONSISTENT_GROUP_PROTOCOL,
      );
    expect(rig.ids).toEqual([]);
  });

  test("[CLS-2] one protocol must be everybody's, not each a different one", () => {
    const rig = new ClassicRig();
    const known = { mustKnowId: false };
    rig.join("", { ...by("range", "sticky"), ...known, newMemberId: "a" });
    rig.join("", { ...by("sticky"), ...known, newMemberId: "b" });
    const third = rig.join("", { ...by("range", "other"), ...known });
    expect(third.joined?.errorCode).toBe(INCONSISTENT_GROUP_PROTOCOL);
    const named = rig.join("", { ...by("other"), instanceId: "i" });
    expect(named.joined?.errorCode).toBe(INCONSISTENT_GROUP_PROTOCOL);
    // A member itself may change, as long as it keeps what the others need.
    expect(rig.join("a", by("range")).joined?.errorCode).toBe(INCONSISTENT_GROUP_PROTOCOL);
    expect(rig.join("a", by("sticky")).joined?.protocolName).toBe("sticky");
  });

  test("[CLS-2] a lone member changes its protocol, under its id or its instance id", () => {
    const rig = new ClassicRig();
    const { id } = rig.newcomer(by("range"));
    expect(rig.join(id, by("sticky")).joined?.protocolName).toBe("sticky");
    rig.group.leave(id, null, rig.nowMs);
    const other = { ...by("range"), protocolType: "connect", instanceId: "i" };
    const first = rig.join("", other).joined;
    expect(first).toMatchObject({ protocolType: "connect" });
    const { memberId = "", generation = 0 } = first ?? {};
    rig.sync(memberId, generation, {}, { instanceId: "i", protocolType: "connect" });
    expect(rig.group.phase).toBe("STABLE");
    expect(rig.join("", { ...by("roundrobin"), instanceId: "i" }).joined?.errorCode).toBe(NONE);
  });

  test.each([
    { votes: ["x", "y", "y"], wins: "y" },
    { votes: ["y", "x", "y"], wins: "y" },
    { votes: ["x", "x", "y"], wins: "x" },
    { votes: ["x", "y"], wins: "x" },
  ])("[CLS-2] of $votes $wins is chosen: the most votes, then the earlier member's", (row) => {
    const rig = new ClassicRig();
    const joins = row.votes.map((vote, i) => by(`only of ${i}`, vote, vote === "x" ? "y" : "x"));
    joins.forEach((join, i) => {
      rig.join("", { ...join, newMemberId: `n${i}`, mustKnowId: false });
    });
    rig.join("n0", joins[0]);
    expect(rig.group.protocolName).toBe(row.wins);
  });

  test("[CLS-2] a group has a protocol from its choice until all must join again", () => {
    const rig = new ClassicRig();
    expect(rig.group.protocolName).toBeNull();
    const { id } = rig.newcomer();
    expect([rig.group.phase, rig.group.protocolName]).toEqual(["COMPLETING", "range"]);
    rig.sync(id, 1);
    expect([rig.group.phase, rig.group.protocolName]).toEqual(["STABLE", "range"]);
    rig.newcomer();
    expect([rig.group.phase, rig.group.protocolName]).toEqual(["PREPARING", null]);
  });
});

describe("syncing", () => {
  test.each([
    { title: "of an unknown member", memberId: "x", more: {}, errorCode: UNKNOWN },
    { title: "of an earlier generation", more: { generation: 1 }, errorCode: ILLEGAL_GENERATION },
    { title: "of a later generation", more: { generation: 3 }, errorCode: ILLEGAL_GENERATION },
    {
      title: "by another type",
      more: { protocolType: "connect" },
      errorCode: INCONSISTENT_GROUP_PROTOCOL,
    },
    {
      title: "by another protocol",
      more: { protocolName: "sticky" },
      errorCode: INCONSISTENT_GROUP_PROTOCOL,
    },
    { title: "under a foreign instance id", more: { instanceId: "i" }, errorCode: UNKNOWN },
    { title: "that names neither", more: { protocolType: null, protocolName: null }, errorCode: 0 },
  ])("[CLS-1] a sync $title is answered with $errorCode", ({ memberId, more, errorCode }) => {
    const { rig, a, b } = completing();
    const told = rig.sync(memberId ?? b, 2, {}, more);
    if (errorCode !== NONE)
      expect(told.synced).toEqual({
        errorCode,
        protocolType: null,
        protocolName: null,
        assignment: new Uint8Array(),
      });
    rig.sync(a, 2, { [b]: "part" });
    const again = rig.sync(memberId ?? b, 2, {}, more).synced;
    expect(again?.errorCode).toBe(errorCode);
    expect(text(again?.assignment)).toBe(errorCode === NONE ? "part" : "");
    if (errorCode === NONE) expect(told.synced).toEqual(again);
  });

  test("[CLS-3] a sync while members must join again is told so", () => {
    const rig = new ClassicRig();
    const { a, b } = rig.two();
    rig.newcomer();
    for (const id of [a, b]) expect(rig.sync(id, 2).synced?.errorCode).toBe(REBALANCE_IN_PROGRESS);
  });

  test("[CLS-1] a member that gets nothing from the leader has nothing", () => {
    const { rig, a, b } = completing();
    rig.sync(a, 2, { [a]: "all", stranger: "some" });
    expect(rig.sync(b, 2).synced?.assignment).toEqual(new Uint8Array());
    expect(rig.ids).toEqual([a, b]);
  });
});

describe("waiting", () => {
  const SLOW = { sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 60_000 };

  test("[CLS-13] a member that waited to join for longer than its session has a whole session from the response on", () => {
    const rig = new ClassicRig();
    const a = rig.newcomer(SLOW).id;
    rig.sync(a, 1);
    const b = rig.newcomer(SLOW);
    for (let i = 0; i < 4; i++) {
      rig.pass(9_000);
      rig.beat(a, 1);
    }
    rig.join(a, SLOW);
    expect(b.told.joined?.errorCode).toBe(NONE);
    rig.pass(9_999);
    expect(rig.ids).toEqual([a, b.id]);
    rig.pass(1);
    expect(rig.ids).toEqual([]);
  });

  test("[CLS-13] so has one that waited for its part", () => {
    const { rig, a, b } = completing(SLOW);
    rig.sync(b, 2);
    for (let i = 0; i < 4; i++) {
      rig.pass(9_000);
      expect(rig.beat(a, 2)).toBe(NONE);
    }
    rig.sync(a, 2, {});
    rig.pass(9_999);
    expect(rig.ids).toEqual([a, b]);
    rig.pass(1);
    expect(rig.ids).toEqual([]);
  });

  test.each([
    { title: "another joins", act: (rig: ClassicRig) => void rig.newcomer(SLOW) },
    {
      title: "the leader leaves",
      act: (rig: ClassicRig, a: string) => rig.group.leave(a, null, 36_000),
    },
    {
      title: "the leader joins again",
      act: (rig: ClassicRig, a: string) => void rig.join(a, { ...SLOW, ...OTHER }),
    },
  ])(
    "[CLS-13] so has one that waited for its part and is told to join again, because $title",
    ({ act }) => {
      const { rig, a, b } = completing(SLOW);
      const told = rig.sync(b, 2);
      for (let i = 0; i < 4; i++) {
        rig.pass(9_000);
        rig.beat(a, 2);
      }
      act(rig, a);
      expect(told.synced?.errorCode).toBe(REBALANCE_IN_PROGRESS);
      rig.pass(9_999);
      expect(rig.ids).toContain(b);
      rig.pass(1);
      expect(rig.ids).not.toContain(b);
    },
  );

  test("[CLS-3] a leader that beats and never assigns is left out when its time is over, with all that do not sync", () => {
    const { rig, a, b } = completing({ sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 20_000 });
    const told = rig.sync(b, 2);
    for (let i = 0; i < 2; i++) {
      rig.pass(9_000);
      expect(rig.beat(a, 2)).toBe(NONE);
    }
    rig.pass(1_999);
    expect(told.synced).toBeUndefined();
    expect(rig.ids).toEqual([a, b]);
    rig.pass(1);
    expect(told.synced?.errorCode).toBe(REBALANCE_IN_PROGRESS);
    expect(rig.ids).toEqual([b]);
    expect(rig.beat(a, 2)).toBe(UNKNOWN);
    expect(rig.join(b).joined).toMatchObject({ errorCode: NONE, generation: 3, leaderId: b });
  });

  test("[CLS-3] an alarm at which nobody's time is over changes nothing, in any phase", () => {
    const stable = new ClassicRig();
    stable.two();
    const preparing = new ClassicRig();
    preparing.two();
    preparing.newcomer();
    for (const rig of [new ClassicRig(), stable, preparing, completing().rig]) {
      rig.evict();
      const { phase, generation, nextDeadlineMs } = rig.group;
      rig.group.takeState();
      rig.pass(5_000);
      expect(rig.group).toMatchObject({ phase, generation, nextDeadlineMs });
      expect(rig.group.takeState()).toBeNull();
    }
  });
});

describe("sessions", () => {
  /** Each shows that a member is there. */
  const SIGNS: Record<string, (rig: ClassicRig, id: string) => void> = {
    "a heartbeat": (rig, id) => void rig.beat(id, 2),
    "a sync": (rig, id) => void rig.sync(id, 2),
    "a join": (rig, id) => void rig.join(id),
  };

  test.each(Object.entries(SIGNS))(
    "[CLS-3] %s begins the session again, after the connection went too",
    (_, sign) => {
      for (const isSilent of [false, true]) {
        const rig = new ClassicRig();
        const { b } = rig.two();
        if (isSilent) rig.group.silent(b, rig.nowMs);
        expect(rig.group.members.get(b)?.silentSinceMs).toBe(isSilent ? 0 : null);
        rig.group.takeState();
        rig.nowMs += 9_000;
        sign(rig, b);
        expect(rig.group.members.get(b)?.silentSinceMs).toBeNull();
        expect(rig.group.takeState() === null).toBe(!isSilent);
        rig.pass(9_999);
        expect(rig.ids).toEqual([b]);
        rig.pass(1);
        expect(rig.ids).toEqual([]);
      }
    },
  );

  test("[CLS-3] a connection that goes twice, or was nobody's, begins nothing again", () => {
    const rig = new ClassicRig();
    const { a, b } = rig.two();
    rig.group.silent("stranger", rig.nowMs);
    rig.group.takeState();
    rig.group.silent("stranger", rig.nowMs);
    expect(rig.group.takeState()).toBeNull();
    rig.group.silent(a, rig.nowMs);
    rig.nowMs += 5_000;
    rig.beat(b, 2);
    rig.group.silent(a, rig.nowMs);
    rig.pass(5_000);
    expect(rig.ids).toEqual([b]);
  });

  test("[CLS-3] nothing is remembered about when a member that left, ended or was replaced was last heard from", () => {
    const rig = new ClassicRig();
    const { a, b } = rig.two();
    expect(rig.group.heardIds.sort()).toEqual([a, b].sort());
    rig.group.leave(b, null, rig.nowMs);
    expect(rig.group.heardIds).toEqual([a]);
    const first = rig.join("", { instanceId: "i" });
    rig.join(a);
    const one = first.joined?.memberId ?? "";
    const { joined } = rig.join("", { instanceId: "i" }); // In a rebalance: it waits.
    expect(joined).toBeUndefined();
    expect(rig.group.heardIds).not.toContain(one);
    rig.pass(60_000);
    rig.pass(60_000);
    expect([rig.ids, rig.group.heardIds]).toEqual([[], []]);
  });

  test("[CLK-4] when the clock is set, members, a rebalance and ids have their full time, and nobody is silent longer than before", () => {
    const rig = new ClassicRig();
    rig.nowMs = 1_000_000;
    const { a, b } = rig.two();
    rig.group.silent(a, rig.nowMs);
    const c = rig.newcomer({ sessionTimeoutMs: 60_000 });
    const pending = rig.join("").joined?.memberId ?? "";
    rig.group.takeState();
    rig.nowMs = 500_000;
    rig.group.beginSessionsAnew(rig.nowMs);
    expect(rig.group.members.get(a)?.silentSinceMs).toBe(rig.nowMs);
    expect(rig.group.members.get(b)?.silentSinceMs).toBeNull();
    expect(rig.group.takeState()?.members.get(a)?.silentSinceMs).toBe(rig.nowMs);
    expect(rig.group.nextDeadlineMs).toBe(rig.nowMs + 10_000);
    rig.pass(9_999);
    expect(rig.ids).toEqual([a, b, c.id]);
    expect(rig.group.mayAddMember({ memberId: pending } as never)).toBe(true);
    rig.pass(1);
    expect(rig.ids).toEqual([c.id]);
    rig.group.beginSessionsAnew(rig.nowMs);
    expect(rig.group.takeState()).not.toBeNull();
    rig.group.beginSessionsAnew(rig.nowMs);
    expect(rig.group.takeState()).toBeNull();
  });
});

describe("ids that were given out", () => {
  test("[CLS-10] a client that gives its id back delays nobody", () => {
    const rig = new ClassicRig();
    const pending = rig.join("").joined?.memberId ?? "";
    const { told } = rig.newcomer();
    expect(told.joined).toBeUndefined();
    expect(rig.group.leave(pending, null, rig.nowMs)).toBe(NONE);
    expect(told.joined?.errorCode).toBe(NONE);
    expect(rig.group.leave(pending, null, rig.nowMs)).toBe(UNKNOWN);
  });

  test("[CLS-10] giving one back changes nothing in a group that waits for nobody", () => {
    const empty = new ClassicRig();
    const stable = new ClassicRig();
    stable.two();
    for (const rig of [empty, stable]) {
      const { phase, generation } = rig.group;
      rig.group.leave(rig.join("").joined?.memberId ?? "", null, rig.nowMs);
      expect(rig.group).toMatchObject({ phase, generation });
    }
  });

  test("[CLS-10] a rebalance whose time is over continues without it, and it joins the next one", () => {
    const rig = new ClassicRig();
    const quick = { rebalanceTimeoutMs: 2_000 };
    const pending = rig.join("", quick).joined?.memberId ?? "";
    const { told } = rig.newcomer(quick);
    rig.pass(2_000);
    expect(told.joined?.errorCode).toBe(NONE);
    expect(rig.join(pending, quick).joined).toBeUndefined();
    expect(rig.ids).toContain(pending);
  });

  test("[CLS-10] a group without members waits for none", () => {
    const rig = new ClassicRig();
    const { id } = rig.newcomer();
    rig.sync(id, 1);
    const pending = rig.join("").joined?.memberId ?? "";
    rig.group.leave(id, null, rig.nowMs);
    expect(rig.group).toMatchObject({ phase: "EMPTY", generation: 2, nextDeadlineMs: null });
    expect(rig.group.takeState()).toEqual({
      ...NO_CLASSIC_MEMBERS,
      phase: "EMPTY",
      generation: 2,
      protocolType: null,
      protocolName: null,
      leaderId: null,
      members: new Map(),
      goneTopics: new Set(),
    });
    expect(rig.join(pending).joined).toMatchObject({ errorCode: NONE, leaderId: pending });
  });
});

describe("what is stored", () => {
  test("[CLS-7] a member that leaves, or is left out, during a rebalance is not there after it", () => {
    const rig = new ClassicRig();
    const { a, b } = rig.two();
    const c = rig.newcomer();
    rig.evict();
    rig.group.leave(b, null, rig.nowMs);
    expect(c.told.joined).toBeUndefined();
    rig.evict();
    expect(rig.ids).toEqual([a, c.id]);
    rig.pass(10_000);
    rig.evict();
    expect(rig.ids).toEqual([]);
    expect(rig.group.phase).toBe("EMPTY");
  });

  test("[CLS-7] the leader is the leader after it, and a rebalance with nobody left is over", () => {
    const rig = new ClassicRig();
    const { a, b } = rig.two();
    rig.evict();
    expect(rig.join(b).joined).toMatchObject({ leaderId: a, generation: 2, protocolName: "range" });
    const state = rig.group.takeState();
    expect(state?.goneTopics).toEqual(new Set());
    const nobody = new TestedClassic(
      { ...(state ?? NO_CLASSIC_MEMBERS), members: new Map(), phase: "PREPARING" },
      0,
    );
    expect(nobody).toMatchObject({ phase: "EMPTY", protocolType: null });
    expect(nobody.takeState()).toMatchObject({ phase: "EMPTY", leaderId: null });
  });
});

describe("topics that were deleted", () => {
  test("[CLS-9] all join again, this generation's commits do not count, the next one's do; an eviction changes nothing", () => {
    for (const isEvicted of [false, true]) {
      const rig = new ClassicRig();
      const { a, b } = rig.two();
      expect(rig.group.takeState()?.goneTopics).toEqual(new Set());
      rig.group.topicGone("t", rig.nowMs);
      if (isEvicted) rig.evict();
      expect(rig.group.phase).toBe("PREPARING");
      expect([rig.group.isTopicGone("t"), rig.group.isTopicGone("u")]).toEqual([true, false]);
      for (const id of [a, b]) expect(rig.beat(id, 2)).toBe(REBALANCE_IN_PROGRESS);
      rig.join(a);
      rig.join(b);
      expect(rig.group.isTopicGone("t")).toBe(false);
      rig.sync(a, 3);
      expect(rig.group.takeState()?.goneTopics).toEqual(new Set());
    }
  });

  test.each(["PREPARING", "COMPLETING"] as const)(
    "[CLS-9] during a rebalance (%s) it is noted and stored, and begins no other",
    (phase) => {
      const { rig } = completing();
      if (phase === "PREPARING") rig.newcomer();
      rig.group.takeState();
      const { nextDeadlineMs } = rig.group;
      rig.nowMs += 1_000;
      rig.group.topicGone("t", rig.nowMs);
      expect(rig.group).toMatchObject({ phase, generation: 2, nextDeadlineMs });
      expect(rig.group.isTopicGone("t")).toBe(true);
      expect(rig.group.takeState()).toMatchObject({ goneTopics: new Set(["t"]) });
    },
  );

  test("[CLS-9] a group without members has nothing to note", () => {
    const rig = new ClassicRig();
    rig.group.topicGone("t", rig.nowMs);
    expect(rig.group.isTopicGone("t")).toBe(false);
    expect(rig.group.takeState()).toBeNull();
  });
});
