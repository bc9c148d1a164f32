import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { KafkaResult, Result } from "../../../../src/core/errors.ts";
import { whyNotUnused } from "../../../../src/core/group/admission.ts";
import { type PartitionKey, parsePartitionKey } from "../../../../src/core/group/partition-key.ts";
import { emptyGroup, replay } from "../../../../src/core/group/state.ts";
import { MAX_MEMBERS_PER_GROUP } from "../../../../src/core/limits.ts";
import { runs } from "../../../support/effort.ts";
import { GroupScenario, REBALANCE_MS, SESSION_MS } from "../../../support/group-scenario.ts";
import { TestedCoordinator } from "../../../support/tested-coordinator.ts";

/** The name of a refusal, or "ok". */
function outcome(result: Result<object>): string {
  return result.ok ? "ok" : result.error;
}

/** The result for the only partition of a commit: the name of a refusal, or "ok". */
function outcomeOfOne(result: KafkaResult<{ outcomes: readonly (string | null)[] }>): string {
  return result.ok ? (result.outcomes[0] ?? "ok") : result.error;
}

/** Why the group cannot be deleted, or "ok". */
function deletable({ state }: GroupScenario): string {
  return whyNotUnused(state)?.error ?? "ok";
}

/** `a` has everything, then `b` joins: `a` owes it three partitions. */
function twoMembers(): GroupScenario {
  const group = new GroupScenario({ t: 6 });
  group.join("a");
  group.join("b");
  return group;
}

/** Two members after their rebalance, three partitions each. */
function settled(options: { instanceId?: string; heartbeats?: boolean } = {}): GroupScenario {
  const group = new GroupScenario({ t: 6 });
  const { heartbeats = false } = options;
  group.join("a", options);
  group.join("b", { heartbeats });
  group.revokeAll();
  return group;
}

const JOIN = {
  memberEpoch: 0,
  clientId: null,
  topics: ["t"],
  topicPattern: null,
  sessionTimeoutMs: SESSION_MS,
  rebalanceTimeoutMs: REBALANCE_MS,
  owned: new Set<PartitionKey>(),
  polls: false,
  heartbeats: false,
};

/** The maximum number of members, `m1` a static one. Copies of one that joined: a thousand joins take long. */
function fullGroup(): TestedCoordinator {
  const state = emptyGroup("full");
  const coordinator = new TestedCoordinator(state);
  coordinator.join({ ...JOIN, memberId: "m1", instanceId: "i" }, [], 1);
  const first = state.members.get("m1");
  if (first === undefined) throw new Error("m1 did not join");
  for (let number = 2; number <= MAX_MEMBERS_PER_GROUP; number++) {
    const member = { ...first, memberId: `m${number}`, memberNumber: number, instanceId: null };
    replay(state, { type: "member", member });
  }
  const nextMemberNumber = MAX_MEMBERS_PER_GROUP + 1;
  const { kind: _none, ...group } = state;
  replay(state, { ...group, type: "group", nextMemberNumber });
  return coordinator;
}

const ALL: PartitionKey[] = ["t:0", "t:1", "t:2", "t:3", "t:4", "t:5"];

describe("joining", () => {
  test("[GRP-3] the first member creates the group and has all partitions at once", () => {
    const group = new GroupScenario({ t: 6 });
    expect(group.coordinator.exists).toBe(false);
    group.coordinator.changes.newIncarnation = group.nowMs;
    const joined = group.join("a");
    expect(joined).toMatchObject({
      ok: true,
      member: { memberEpoch: 1, memberNumber: 1, state: "STABLE" },
    });
    expect(group.assigned("a")).toEqual(ALL);
    expect(group.state).toMatchObject({ incarnation: group.nowMs, groupEpoch: 1 });
    expect(group.coordinator.stateName).toBe("STABLE");
  });

  test("[GRP-3] each join raises the group epoch by one and returns the member's assignment", () => {
    const group = new GroupScenario({ t: 6 });
    for (let i = 1; i <= 8; i++) {
      const joined = group.join(`m${i}`);
      group.revokeAll();
      expect(group.state.groupEpoch).toBe(i);
      expect(joined).toMatchObject({ ok: true, member: { memberId: `m${i}`, memberNumber: i } });
      expect(group.member(`m${i}`).memberEpoch).toBe(i);
    }
    // Two members more than partitions.
    const sizes = [...group.state.members.values()].map((member) => member.assigned.size);
    expect(sizes.sort()).toEqual([0, 0, 1, 1, 1, 1, 1, 1]);
  });

  test("[GRP-3] a subscription to a missing topic is stable with nothing", () => {
    const group = new GroupScenario({});
    expect(group.join("a", { topics: ["later"] })).toMatchObject({
      ok: true,
      member: { state: "STABLE", memberEpoch: 1 },
    });
    expect(group.assigned("a")).toEqual([]);
  });

  test("[GRP-3] a member that joins again unchanged causes no rebalance, in whatever order it names topics", () => {
    const group = new GroupScenario({ t: 2, u: 2 });
    group.join("a", { topics: ["t", "u"] });
    group.join("a", { topics: ["u", "t", "u"] });
    expect(group.state.groupEpoch).toBe(1);
    expect(group.member("a").topics).toEqual(["t", "u"]);
    expect(group.assigned("a")).toEqual(["t:0", "t:1", "u:0", "u:1"]);
  });

  test("[GRP-3] a member that joins again with another subscription gets a new target", () => {
    const group = new GroupScenario({ t: 2, u: 2 });
    group.join("a", { topics: ["t"] });
    group.join("b", { topics: ["t", "u"] });
    group.revokeAll();
    expect(group.assigned("b")).toEqual(["t:1", "u:0", "u:1"]);
    group.join("a", { topics: ["u"] });
    expect(group.state.groupEpoch).toBe(3);
    // It joined with nothing in hand, so its part of t is free at once; u must be revoked first.
    expect(group.assigned("a")).toEqual([]);
    expect(group.revoking("b")).toHaveLength(1);
    group.revokeAll();
    expect(group.assigned("a")).toHaveLength(1);
    expect(group.assigned("b")).toEqual(expect.arrayContaining(["t:0", "t:1"]));
  });

  test("[GRP-3] a group has at most its bound of members, and one more once one has left", () => {
    const coordinator = fullGroup();
    const join = (memberId: string, instanceId: string | null = null) =>
      outcome(coordinator.join({ ...JOIN, memberId, instanceId }, [], 1));
    expect(join("one more")).toBe("GROUP_MAX_SIZE_REACHED");
    expect(coordinator.state.members.size).toBe(MAX_MEMBERS_PER_GROUP);
    // An existing member, or one that takes over from one, makes the group no larger.
    expect(join("m5")).toBe("ok");
    coordinator.disconnect("m1", 1);
    expect(join("new m1", "i")).toBe("ok");
    expect(coordinator.state.members.size).toBe(MAX_MEMBERS_PER_GROUP);
    coordinator.leave("m5", 1);
    expect(join("one more")).toBe("ok");
    expect(join("yet one")).toBe("GROUP_MAX_SIZE_REACHED");
  });
});

describe("revoke before assign", () => {
  test("[GRP-2] a newcomer gets nothing until the owner has revoked it", () => {
    const group = twoMembers();
    expect(group.member("a")).toMatchObject({ state: "UNREVOKED_PARTITIONS", memberEpoch: 1 });
    expect(group.assigned("a")).toHaveLength(3);
    expect(group.revoking("a")).toHaveLength(3);
    expect(group.member("b")).toMatchObject({ state: "UNRELEASED_PARTITIONS", memberEpoch: 2 });
    expect(group.assigned("b")).toEqual([]);
    expect(group.coordinator.stateName).toBe("RECONCILING");
    const given = group.revoking("a");

    group.advance(REBALANCE_MS - 1);
    expect(group.assigned("b"), "time alone gives nothing").toEqual([]);

    group.revoked("a");
    expect(group.assigned("b")).toEqual(given);
    expect(group.member("a")).toMatchObject({ state: "STABLE", memberEpoch: 2 });
    expect(group.member("b")).toMatchObject({ state: "STABLE", memberEpoch: 2 });
    expect(group.coordinator.stateName).toBe("STABLE");
  });

  test("[GRP-2] partitions revoked one by one move one by one", () => {
    const group = twoMembers();
    const given = group.revoking("a");
    for (const [i, key] of given.entries()) {
      expect(group.assigned("b")).toEqual(given.slice(0, i));
      group.revoked("a", [key]);
      expect(group.state.owners.get(key)).toBe("b");
    }
    expect(group.assigned("b")).toEqual(given);
    expect(group.coordinator.stateName).toBe("STABLE");
  });

  test("[GRP-2] a member cannot revoke what it was not told to give up", () => {
    const group = twoMembers();
    const kept = group.assigned("a");
    const events = group.events.length;
    group.revoked("a", kept);
    expect(group.events, "nothing to be stored or told").toHaveLength(events);
    expect(group.assigned("a")).toEqual(kept);
    expect(group.assigned("b")).toEqual([]);
    group.revoked("b", group.revoking("a"));
    expect(group.revoking("a")).toHaveLength(3);
    expect(group.assigned("b")).toEqual([]);
    expect(outcome(group.revoked("c", kept))).toBe("UNKNOWN_MEMBER_ID");
  });

  test("[GRP-2] a member that owes partitions gives those up before it learns of the next ones", () => {
    const group = twoMembers();
    const first = group.revoking("a");
    group.join("c");
    // 2/2/2 now, but one revocation is under way: the second begins when it is done.
    expect(group.revoking("a")).toEqual(first);
    group.revoked("a");
    expect(group.member("a").state).toBe("UNREVOKED_PARTITIONS");
    expect(group.revoking("a")).toHaveLength(1);
    expect([...group.assigned("b"), ...group.assigned("c")].sort()).toEqual(first);
    group.revoked("a");
    expect(group.coordinator.stateName).toBe("STABLE");
    for (const memberId of ["a", "b", "c"]) expect(group.assigned(memberId)).toHaveLength(2);
  });

  test("[GRP-2] a partition that is to be given up comes back only after it was revoked", () => {
    const group = twoMembers();
    const given = group.revoking("a");
    group.leave("b");
    // The member is finishing these: they are its own, but no longer its to read on.
    expect(group.revoking("a")).toEqual(given);
    expect(group.assigned("a")).toHaveLength(3);
    group.revoked("a", given.slice(0, 1));
    expect(group.assigned("a")).toHaveLength(3);
    group.revoked("a");
    expect(group.assigned("a")).toEqual(ALL);
    expect(group.member("a").state).toBe("STABLE");
  });

  test("[GRP-1] a partition has one owner while three members pass it on", () => {
    // The checks are in the scenario, after every step; here are the steps that press hardest.
    const group = new GroupScenario({ t: 2 });
    group.join("a");
    group.join("b");
    group.join("c");
    group.leave("b");
    group.revoked("a");
    group.join("b");
    group.disconnect("c");
    group.advance(SESSION_MS);
    group.revokeAll();
    expect(group.coordinator.stateName).toBe("STABLE");
    expect([...group.assigned("a"), ...group.assigned("b")].sort()).toEqual(["t:0", "t:1"]);
  });
});

describe("coming back", () => {
  test("[GRP-4] a member that reconnects within its session has what it had, without a rebalance", () => {
    const group = settled();
    const held = group.assigned("a");
    group.disconnect("a");
    group.advance(SESSION_MS - 1);
    const resumed = group.join("a", { memberEpoch: 2, owned: held });
    expect(resumed).toMatchObject({
      ok: true,
      member: { memberEpoch: 2, state: "STABLE", silentSinceMs: null },
    });
    expect(group.assigned("a")).toEqual(held);
    expect(group.state.groupEpoch).toBe(2);
    // Its session continues: an earlier end has no effect now.
    group.advance(SESSION_MS);
    expect(group.assigned("a")).toEqual(held);
  });

  test("[GRP-4] a member may resume at an older epoch and learns what has changed since", () => {
    const group = new GroupScenario({ t: 6 });
    group.join("a");
    group.disconnect("a");
    group.join("b");
    const resumed = group.join("a", { memberEpoch: 1, owned: ALL });
    expect(resumed).toMatchObject({ ok: true, member: { state: "UNREVOKED_PARTITIONS" } });
    expect(group.revoking("a")).toHaveLength(3);
    expect(group.assigned("b"), "it still reads them").toEqual([]);
  });

  test("[GRP-4] a member that resumes with nothing left of what it owed has given it up", () => {
    const group = twoMembers();
    const [kept, given] = [group.assigned("a"), group.revoking("a")];
    group.disconnect("a");
    // It revoked while it was not connected, so it could not say so.
    group.join("a", { memberEpoch: 1, owned: kept });
    expect(group.member("a")).toMatchObject({ state: "STABLE", memberEpoch: 2 });
    expect(group.assigned("b")).toEqual(given);
  });

  test("[GRP-4] a member that resumes with a part of what it owed has given up the rest", () => {
    const group = twoMembers();
    const [kept, given] = [group.assigned("a"), group.revoking("a")];
    group.disconnect("a");
    // It revoked the first while it was not connected; it reports the others, each once.
    group.join("a", { memberEpoch: 1, owned: [...kept, ...given.slice(1)] });
    group.revoked("a", given.slice(1));
    expect(group.member("a")).toMatchObject({ state: "STABLE", memberEpoch: 2 });
    expect(group.assigned("b")).toEqual(given);
  });

  test("[GRP-4] a member need not give up what it was assigned and lost again while it was away", () => {
    const group = new GroupScenario({ t: 2, u: 2 });
    group.join("a");
    const held = group.assigned("a");
    group.disconnect("a");
    group.growTopic("t", 3);
    group.join("b");
    expect(group.revoking("a"), "one that it reads, one that it never heard of").toEqual([
      "t:2",
      "u:1",
    ]);
    group.join("a", { memberEpoch: 1, owned: held });
    group.revoked("a", ["u:1"]);
    expect(group.assigned("b")).toEqual(["t:2", "u:1"]);
    expect(group.coordinator.stateName).toBe("STABLE");
  });

  test("[GRP-4] nor what it was assigned while away, if that is removed while it reads it", () => {
    const group = new GroupScenario({ u: 1 });
    group.join("a", { topics: ["t", "u"] });
    group.disconnect("a");
    group.createTopic("t", 2);
    group.join("b", { topics: ["t"] });
    expect(group.revoking("a")).toEqual(["t:1"]);
    group.deleteTopic("t");
    group.deleteTopic("u");
    // It never heard of t. Told to give that up it could not confirm, and would be removed.
    group.join("a", { topics: ["t", "u"], memberEpoch: 1, owned: ["u:0"] });
    expect(group.revoking("a")).toEqual(["u:0"]);
    group.revoked("a", ["u:0"]);
    expect(group.coordinator.stateName).toBe("STABLE");
  });

  test("[GRP-4] a member that resumes with less than it was assigned still has it", () => {
    // The message with the partitions was lost with the connection.
    const group = settled();
    const held = group.assigned("b");
    group.disconnect("b");
    group.join("b", { memberEpoch: 2, owned: [] });
    expect(group.assigned("b")).toEqual(held);
    expect(group.state.groupEpoch).toBe(2);
  });

  test("[GRP-4] a member that claims another's partition is fenced, and nothing changes", () => {
    const group = settled();
    const foreign = group.assigned("b").slice(0, 1);
    group.disconnect("a");
    const refused = group.join("a", {
      memberEpoch: 2,
      owned: [...group.assigned("a"), ...foreign],
    });
    expect(outcome(refused)).toBe("FENCED_MEMBER_EPOCH");
    expect(group.member("a").silentSinceMs).toBe(group.nowMs);
  });

  test("[GRP-4] an epoch ahead of the member's own is fenced", () => {
    const group = settled();
    expect(outcome(group.join("a", { memberEpoch: 3, owned: [] }))).toBe("FENCED_MEMBER_EPOCH");
    expect(outcome(group.join("a", { memberEpoch: 2, owned: [] }))).toBe("ok");
  });

  test("[GRP-4] a fenced member joins again with epoch 0 and nothing in hand", () => {
    const group = twoMembers();
    const [kept, given] = [group.assigned("a"), group.revoking("a")];
    group.join("a");
    // Its owed partitions are free, as it has nothing in hand; those it was to keep are still its own.
    expect(group.assigned("a")).toEqual(kept);
    expect(group.assigned("b")).toEqual(given);
    expect(group.coordinator.stateName).toBe("STABLE");
    expect(group.state.groupEpoch).toBe(2);
  });

  test("[GRP-4] an unknown member cannot resume", () => {
    const group = settled();
    expect(outcome(group.join("c", { memberEpoch: 1 }))).toBe("UNKNOWN_MEMBER_ID");
    group.disconnect("a");
    group.advance(SESSION_MS);
    expect(outcome(group.join("a", { memberEpoch: 2 }))).toBe("UNKNOWN_MEMBER_ID");
    const empty = new GroupScenario();
    expect(outcome(empty.join("a", { memberEpoch: 1 }))).toBe("UNKNOWN_MEMBER_ID");
    expect(empty.coordinator.exists, "a refusal creates no group").toBe(false);
  });
});

describe("going away", () => {
  test("[GRP-5] a leave gives the partitions to the others at once", () => {
    const group = settled();
    group.leave("a");
    expect(group.assigned("b")).toEqual(ALL);
    expect(group.state.groupEpoch).toBe(3);
    expect(group.member("b")).toMatchObject({ state: "STABLE", memberEpoch: 3 });
    group.leave("a");
    expect(group.state.groupEpoch, "a second leave is nothing").toBe(3);
  });

  test("[GRP-5] a member that leaves while it owes partitions gives up those too", () => {
    const group = twoMembers();
    group.leave("a");
    expect(group.assigned("b")).toEqual(ALL);
    expect(group.coordinator.stateName).toBe("STABLE");
  });

  test("[GRP-6] a member whose connection broke keeps its partitions to the last millisecond", () => {
    const group = settled();
    group.advance(1_234);
    group.disconnect("a");
    expect(group.nextDeadlineMs).toBe(group.nowMs + SESSION_MS);
    group.advance(SESSION_MS - 1);
    expect(group.assigned("a")).toHaveLength(3);
    group.advance(1);
    expect([...group.state.members.keys()]).toEqual(["b"]);
    expect(group.assigned("b")).toEqual(ALL);
  });

  test("[GRP-6] a second break does not start the timeout again", () => {
    const group = settled();
    group.disconnect("a");
    group.advance(SESSION_MS - 1);
    group.disconnect("a");
    group.advance(1);
    expect([...group.state.members.keys()]).toEqual(["b"]);
  });

  test("[GRP-7] a member that is connected and silent is removed after its own session timeout", () => {
    const group = new GroupScenario({ t: 6 });
    group.join("a", { sessionTimeoutMs: 10_000 });
    group.join("b", { sessionTimeoutMs: 30_000 });
    group.revokeAll();
    group.mute("a");
    group.mute("b");
    expect(group.nextDeadlineMs).toBe(group.nowMs + 10_000);
    group.advance(9_999);
    expect(group.state.members.size).toBe(2);
    group.advance(1);
    expect([...group.state.members.keys()]).toEqual(["b"]);
    group.advance(19_999);
    expect(group.assigned("b")).toEqual(ALL);
    group.advance(1);
    expect(group.coordinator.stateName).toBe("EMPTY");
    expect(group.coordinator.offsets.isDead(group.nextDeadlineMs ?? 0)).toBe(true);
  });

  test("[GRP-7] an owner that dies yields to those who wait for its partitions", () => {
    const group = twoMembers();
    group.join("c");
    group.disconnect("a");
    group.advance(SESSION_MS - 1);
    expect([group.assigned("b"), group.assigned("c")]).toEqual([[], []]);
    group.advance(1);
    expect(group.coordinator.stateName).toBe("STABLE");
    expect([group.assigned("b").length, group.assigned("c").length]).toEqual([3, 3]);
  });

  test("[GRP-7] members whose sessions end together are removed in one rebalance", () => {
    const group = settled();
    group.join("c");
    group.revokeAll();
    group.disconnect("a");
    group.disconnect("b");
    group.advance(SESSION_MS);
    expect(group.state.groupEpoch).toBe(4);
    expect(group.assigned("c")).toEqual(ALL);
  });

  test("[GRP-7] nobody must give up what it got and lost again within one alarm", () => {
    const group = new GroupScenario({ t: 1, x: 2, y: 1 });
    group.join("a", { topics: ["t"] });
    group.join("b", { topics: ["x"], rebalanceTimeoutMs: SESSION_MS });
    group.join("d", { topics: ["t", "y"] });
    group.join("c", { topics: ["t", "x"] });
    expect(group.revoking("b")).toEqual(["x:1"]);
    group.mute("a");
    // Both end at once. With the session of `a`, its t:0 is for `c`. With the rebalance timeout of `b`, its x makes `c` so
    // heavy that t:0 is for `d`. Only the final result is published.
    group.advance(SESSION_MS);
    expect([...group.state.members.keys()].sort()).toEqual(["c", "d"]);
    expect(group.revoking("c"), "it was never told of t:0").toEqual([]);
    expect(group.assigned("c")).toEqual(["x:0", "x:1"]);
    expect(group.assigned("d")).toEqual(["t:0", "y:0"]);
  });

  test("[GRP-7] a member that does not revoke is removed exactly at its rebalance timeout", () => {
    const group = new GroupScenario({ t: 6 });
    group.join("a", { rebalanceTimeoutMs: 60_000 });
    group.advance(500);
    group.join("b");
    expect(group.member("a").revokeDeadlineMs).toBe(group.nowMs + 60_000);
    group.advance(59_999);
    expect(group.assigned("b")).toEqual([]);
    group.advance(1);
    expect([...group.state.members.keys()]).toEqual(["b"]);
    expect(group.assigned("b")).toEqual(ALL);
    expect(group.events.filter((event) => event.type === "member-removed")).toEqual([
      { type: "member-removed", memberId: "a", reason: "rebalance timeout" },
    ]);
  });

  test("[GRP-7] a member that revokes only a part gets no more time for the rest", () => {
    const group = twoMembers();
    group.advance(REBALANCE_MS - 1);
    group.revoked("a", group.revoking("a").slice(0, 2));
    group.advance(1);
    expect([...group.state.members.keys()]).toEqual(["b"]);
  });

  test("[GRP-7] each revocation has its own rebalance timeout", () => {
    const group = twoMembers();
    group.join("c");
    group.advance(REBALANCE_MS - 1);
    group.revoked("a");
    expect(group.member("a").revokeDeadlineMs).toBe(group.nowMs + REBALANCE_MS);
    group.advance(REBALANCE_MS - 1);
    group.revoked("a");
    group.advance(REBALANCE_MS);
    expect(group.state.members.size).toBe(3);
  });

  test("[GRP-7] a new target while a member owes partitions gives it no more time", () => {
    const group = twoMembers();
    group.advance(REBALANCE_MS - 1);
    group.join("c");
    group.advance(1);
    expect([...group.state.members.keys()]).toEqual(["b", "c"]);
  });

  test("[GRP-7] the next deadline is the earliest of sessions and revocations", () => {
    const group = new GroupScenario({ t: 6 });
    expect(group.nextDeadlineMs).toBeNull();
    group.join("a", { sessionTimeoutMs: 90_000, rebalanceTimeoutMs: 20_000 });
    expect(group.nextDeadlineMs).toBe(group.nowMs + 90_000);
    group.join("b", { sessionTimeoutMs: 60_000 });
    expect(group.nextDeadlineMs).toBe(group.nowMs + 20_000);
    group.revoked("a");
    expect(group.nextDeadlineMs).toBe(group.nowMs + 60_000);
  });
});

describe("static members", () => {
  test("[GRP-8] one that returns under a new id takes over without a rebalance", () => {
    const group = settled({ instanceId: "i" });
    const [held, others] = [group.assigned("a"), group.assigned("b")];
    const before = group.member("a");
    group.disconnect("a");
    group.advance(SESSION_MS - 1);
    const joined = group.join("a2", { instanceId: "i" });
    expect(joined).toMatchObject({
      ok: true,
      member: { memberId: "a2", memberEpoch: before.memberEpoch, state: "STABLE" },
    });
    expect(group.assigned("a2")).toEqual(held);
    expect(group.assigned("b")).toEqual(others);
    expect(group.state.groupEpoch).toBe(2);
    // The higher number fences the replaced one, which is at the same epoch.
    expect(group.member("a2").memberNumber).toBeGreaterThan(before.memberNumber);
    group.advance(SESSION_MS);
    expect(group.assigned("a2")).toEqual(held);
  });

  test("[GRP-8] the replaced one is unknown from then on", () => {
    const group = settled({ instanceId: "i" });
    const held = group.assigned("a");
    group.disconnect("a");
    group.join("a2", { instanceId: "i" });
    expect(outcome(group.commit("a", { "t:0": 5 }, { memberEpoch: 2 }))).toBe("UNKNOWN_MEMBER_ID");
    const resume = group.join("a", { memberEpoch: 2, instanceId: "i", owned: held });
    expect(outcome(resume)).toBe("UNKNOWN_MEMBER_ID");
    expect(outcome(group.join("a", { instanceId: "i" }))).toBe("UNRELEASED_INSTANCE_ID");
  });

  test("[GRP-8] a second live holder is refused", () => {
    const group = settled({ instanceId: "i" });
    expect(outcome(group.join("a2", { instanceId: "i" }))).toBe("UNRELEASED_INSTANCE_ID");
    // Silent, but its connection is open: it may be reading.
    group.mute("a");
    group.advance(SESSION_MS - 1);
    expect(outcome(group.join("a2", { instanceId: "i" }))).toBe("UNRELEASED_INSTANCE_ID");
    group.advance(1);
    expect(outcome(group.join("a2", { instanceId: "i" }))).toBe("ok");
  });

  test.each([0, 2])(
    "[GRP-8] a member with epoch %i and the instance id of another member is refused",
    (memberEpoch) => {
      const group = settled({ instanceId: "i" });
      const join = { instanceId: "i", memberEpoch, owned: [] };
      expect(outcome(group.join("b", join))).toBe("UNRELEASED_INSTANCE_ID");
      // Away or not: an existing member cannot take over what waits for another.
      group.disconnect("a");
      expect(outcome(group.join("b", join))).toBe("UNRELEASED_INSTANCE_ID");
    },
  );

  test("[GRP-8] one that takes over from a member that owed partitions has given those up", () => {
    const group = new GroupScenario({ t: 6 });
    group.join("a", { instanceId: "i" });
    group.join("b");
    const [kept, given] = [group.assigned("a"), group.revoking("a")];
    group.disconnect("a");
    group.join("a2", { instanceId: "i" });
    expect(group.assigned("a2")).toEqual(kept);
    expect(group.assigned("b")).toEqual(given);
    expect(group.coordinator.stateName).toBe("STABLE");
  });

  test("[GRP-8] one that takes over with another subscription causes a rebalance", () => {
    const group = new GroupScenario({ t: 2, u: 2 });
    group.join("a", { topics: ["t"], instanceId: "i" });
    group.disconnect("a");
    group.join("a2", { topics: ["u"], instanceId: "i" });
    expect(group.state.groupEpoch).toBe(2);
    expect(group.assigned("a2")).toEqual(["u:0", "u:1"]);
  });

  test("[GRP-8] one that stays away for its session timeout is removed like any other", () => {
    const group = settled({ instanceId: "i" });
    group.disconnect("a");
    group.advance(SESSION_MS);
    expect(group.assigned("b")).toEqual(ALL);
    group.join("a2", { instanceId: "i" });
    expect(group.assigned("a2"), "an ordinary join").toEqual([]);
    expect(group.state.groupEpoch).toBe(4);
  });

  test("[GRP-8] different instance ids are different members", () => {
    const group = new GroupScenario({ t: 6 });
    group.join("a", { instanceId: "i" });
    group.disconnect("a");
    group.join("b", { instanceId: "j" });
    expect(group.state.members.size).toBe(2);
    expect(group.state.groupEpoch).toBe(2);
  });
});

describe("topics", () => {
  test("[GRP-9] new partitions of a grown topic go to its subscribers, and nobody gives any up", () => {
    const group = settled();
    const before = group.assigned("a");
    group.growTopic("t", 9);
    expect(group.state.groupEpoch).toBe(3);
    expect(group.coordinator.stateName).toBe("STABLE");
    expect(group.assigned("a")).toEqual(expect.arrayContaining(before));
    expect([group.assigned("a").length, group.assigned("b").length].sort()).toEqual([4, 5]);
  });

  test("[GRP-9] a topic created after it was subscribed to is assigned then", () => {
    const group = new GroupScenario({ t: 1 });
    group.join("a", { topics: ["t", "later"] });
    group.createTopic("later", 2);
    expect(group.assigned("a")).toEqual(["later:0", "later:1", "t:0"]);
    expect(group.state.groupEpoch).toBe(2);
  });

  test("[GRP-9] a topic without a subscriber in the group changes nothing", () => {
    const group = settled();
    const events = group.events.length;
    group.createTopic("other", 3);
    group.growTopic("other", 4);
    group.deleteTopic("other");
    expect(group.events).toHaveLength(events);
  });

  test("[GRP-9] repeated news changes nothing", () => {
    const group = settled();
    const events = group.events.length;
    group.growTopic("t", 6);
    expect(group.events).toHaveLength(events);
  });

  test("[GRP-9] a join with news of a topic gives all its subscribers a new target", () => {
    const group = new GroupScenario({ t: 2 });
    group.join("a");
    const grown = [{ topicId: "t", name: "t", partitions: 4 }];
    group.coordinator.join(
      {
        ...JOIN,
        memberId: "a",
        instanceId: null,
        memberEpoch: 1,
        owned: new Set(["t:0", "t:1"]),
      },
      grown,
      group.nowMs,
    );
    expect(group.assigned("a")).toEqual(["t:0", "t:1", "t:2", "t:3"]);
    expect(group.state.groupEpoch).toBe(2);
  });

  test("[GRP-9] the partitions of a deleted topic must be given up, and its offsets are gone", () => {
    const group = new GroupScenario({ t: 2, u: 1 });
    group.join("a");
    group.commit("a", { "t:0": 7, "u:0": 3 });
    group.deleteTopic("t");
    expect(group.assigned("a")).toEqual(["u:0"]);
    expect(group.revoking("a")).toEqual(["t:0", "t:1"]);
    expect(group.committed("t:0")).toBeNull();
    expect(group.committed("u:0")).toBe(3);
    group.revoked("a");
    expect(group.coordinator.stateName).toBe("STABLE");
  });

  test("[GRP-9] a member's last commit does not bring back offsets of a deleted topic", () => {
    const group = new GroupScenario({ t: 1, u: 1 });
    group.join("a");
    group.deleteTopic("t");
    // It finishes what it has in hand and commits that, as with any partition it gives up.
    group.commit("a", { "t:0": 8, "u:0": 4 });
    group.revoked("a");
    expect(Object.fromEntries(group.state.offsets)).toEqual({
      "u:0": { offset: 4, metadata: "", committedAtMs: group.nowMs },
    });
  });

  test("[GRP-9] a topic deleted and created again is another topic that begins anew", () => {
    const group = new GroupScenario({ t: 2 });
    group.join("a");
    group.commit("a", { "t:0": 7 });
    group.deleteTopic("t");
    group.createTopic("t", 3);
    group.revokeAll();
    expect(group.assigned("a")).toEqual(["t-2:0", "t-2:1", "t-2:2"]);
    expect(group.committed("t-2:0")).toBeNull();
  });

  test("[GRP-9] a topic replaced by another of its name is recognized by its id", () => {
    const group = new GroupScenario({ t: 2 });
    group.join("a");
    group.commit("a", { "t:0": 7 });
    group.replaceTopic("t", 2);
    expect(group.revoking("a")).toEqual(["t:0", "t:1"]);
    expect(group.state.offsets.size).toBe(0);
    group.revokeAll();
    expect(group.assigned("a")).toEqual(["t-2:0", "t-2:1"]);
  });

  test("[GRP-10] only a group without members can be deleted", () => {
    const group = settled();
    expect(deletable(group)).toBe("NON_EMPTY_GROUP");
    group.leave("a");
    // One whose connection broke is a member until its session has ended.
    group.disconnect("b");
    expect(deletable(group)).toBe("NON_EMPTY_GROUP");
    group.advance(SESSION_MS);
    expect(deletable(group)).toBe("ok");
    expect(group.coordinator.stateName).toBe("EMPTY");
  });
});

describe("offsets", () => {
  test("[OFF-1] the owner commits at its current epoch", () => {
    const group = settled();
    const key = group.assigned("b")[0] ?? "t:0";
    expect(group.commit("b", { [key]: 5 }, { metadata: "m" })).toEqual({ ok: true, rejected: [] });
    expect(group.state.offsets.get(key)).toEqual({
      offset: 5,
      metadata: "m",
      committedAtMs: group.nowMs,
    });
  });

  test("[OFF-1] a commit by a stranger is rejected", () => {
    const group = settled();
    expect(outcome(group.commit("c", { "t:0": 1 }))).toBe("UNKNOWN_MEMBER_ID");
    group.disconnect("a");
    group.advance(SESSION_MS);
    expect(outcome(group.commit("a", { "t:0": 1 }, { memberEpoch: 2 }))).toBe("UNKNOWN_MEMBER_ID");
    expect(group.state.offsets.size).toBe(0);
  });

  test.each([0, 1, 3])(
    "[OFF-1] a commit at epoch %i by a member at epoch 2 is rejected whole",
    (epoch) => {
      const group = settled();
      const [key] = group.assigned("a");
      expect(key).toBeDefined();
      const commit = group.commit("a", { [key ?? "t:0"]: 5 }, { memberEpoch: epoch });
      expect(outcome(commit)).toBe("STALE_MEMBER_EPOCH");
      expect(group.state.offsets.size).toBe(0);
    },
  );

  test("[OFF-1] of a commit, only the partitions of another are rejected", () => {
    const group = settled();
    const own = group.assigned("a")[0] ?? "t:0";
    const foreign = group.assigned("b")[0] ?? "t:0";
    const commit = group.commit("a", { [foreign]: 5, [own]: 6, "x:0": 7 });
    expect(commit).toMatchObject({
      ok: true,
      rejected: [
        { key: foreign, error: "FENCED_MEMBER_EPOCH" },
        { key: "x:0", error: "FENCED_MEMBER_EPOCH" },
      ],
    });
    expect([...group.state.offsets.keys()]).toEqual([own]);
  });

  test("[OFF-1] a member commits what it must give up until it has revoked it, and not after", () => {
    const group = twoMembers();
    const key = group.revoking("a")[0] ?? "t:0";
    expect(group.commit("a", { [key]: 5 })).toEqual({ ok: true, rejected: [] });
    expect(group.commit("b", { [key]: 9 })).toMatchObject({ rejected: [{ key }] });
    group.revoked("a", [key]);
    expect(group.commit("a", { [key]: 6 })).toMatchObject({ rejected: [{ key }] });
    expect(group.committed(key)).toBe(5);
    expect(group.commit("b", { [key]: 6 })).toEqual({ ok: true, rejected: [] });
    expect(group.committed(key)).toBe(6);
  });

  test.each([
    { joined: {}, other: { heartbeats: true }, isRefused: true },
    { joined: { heartbeats: true }, other: {}, isRefused: true },
    { joined: { polls: true }, other: {}, isRefused: true },
    { joined: {}, other: { polls: true }, isRefused: true },
    { joined: { polls: true }, other: { heartbeats: true }, isRefused: true },
    { joined: {}, other: {}, isRefused: false },
    { joined: { heartbeats: true }, other: { heartbeats: true }, isRefused: false },
  ])(
    "[GRP-15] a live member that joined with $joined joins with $other: refused $isRefused",
    (row) => {
      const group = new GroupScenario();
      group.join("a", row.joined);
      expect(outcome(group.join("a", row.other))).toBe(row.isRefused ? "UNKNOWN_MEMBER_ID" : "ok");
    },
  );

  test("[GRP-15] a silent member returns with another client", () => {
    const group = new GroupScenario();
    group.join("a");
    group.disconnect("a");
    expect(outcome(group.join("a", { heartbeats: true }))).toBe("ok");
  });

  test("[OFF-11] older epochs count from the one at which the member got the partition", () => {
    const group = settled({ heartbeats: true }); // Epoch 2; a has its remaining ones from epoch 1 on.
    const [kept = "t:0"] = group.assigned("a");
    const since = (memberId: string, epoch: number, key: PartitionKey) =>
      outcomeOfOne(group.commitAt(memberId, epoch, 5, [key]));
    expect([1, 2].map((epoch) => since("a", epoch, kept))).toEqual(["ok", "ok"]);
    for (const epoch of [0, -1, -99_999])
      expect(since("a", epoch, kept)).toBe("STALE_MEMBER_EPOCH");
    expect(since("a", 3, kept)).toBe("STALE_MEMBER_EPOCH");
    const [moved = "t:5"] = group.assigned("b");
    expect(since("b", 2, moved)).toBe("ok");
    expect(since("b", 1, moved)).toBe("STALE_MEMBER_EPOCH");
    expect(since("a", 2, moved)).toBe("FENCED_MEMBER_EPOCH");
  });

  test("[OFF-11] a partition that was given away and back does not count what came before", () => {
    const group = new GroupScenario({ t: 2 });
    group.join("a", { heartbeats: true });
    group.join("b", { heartbeats: true });
    group.revokeAll();
    const [moved = "t:1"] = group.assigned("b");
    group.leave("b");
    expect(group.assigned("a")).toContain(moved);
    const { memberEpoch } = group.member("a");
    const commit = (epoch: number, offset: number) =>
      outcomeOfOne(group.commitAt("a", epoch, offset, [moved]));
    expect(commit(memberEpoch, 10)).toBe("ok");
    for (let epoch = 1; epoch < memberEpoch; epoch++)
      expect(commit(epoch, 3)).toBe("STALE_MEMBER_EPOCH");
    expect(group.committed(moved)).toBe(10);
  });

  test("[OFF-11] a member that joins again under its id begins anew", () => {
    const group = settled();
    group.join("c");
    group.revokeAll();
    const [key = "t:0"] = group.assigned("a");
    const { memberEpoch } = group.member("a");
    group.join("a");
    expect(group.member("a").assignmentEpochs.get(key)).toBe(memberEpoch);
  });

  test("[OFF-11] [GRP-1] however members come and go, a commit counts from the epoch of its assignment on", () => {
    const step = fc.record({
      action: fc.constantFrom("join", "join", "leave", "revoked", "rejoin", "break"),
      member: fc.constantFrom("a", "b", "c"),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        const group = new GroupScenario({ t: 3 });
        /** By member and partition: the epoch at which it last got it, computed from outside. */
        const since = new Map<string, number>();
        for (const { action, member } of steps) {
          const isThere = group.state.members.has(member);
          if (action === "join" && !isThere) group.join(member);
          else if (action === "rejoin" && isThere) group.join(member);
          else if (action === "leave" && isThere) group.leave(member);
          else if (action === "break" && isThere) group.disconnect(member);
          else if (action === "revoked" && isThere) group.revoked(member, group.revoking(member));
          for (const id of [...since.keys()]) {
            const [memberId = "", key = ""] = id.split(" ");
            if (group.state.owners.get(key as PartitionKey) !== memberId) since.delete(id);
          }
          for (const [key, memberId] of group.state.owners) {
            const { memberEpoch } = group.member(memberId);
            const id = `${memberId} ${key}`;
            if (!since.has(id)) since.set(id, memberEpoch);
            const known = group.member(memberId).assignmentEpochs.get(key) ?? 0;
            expect(known, id).toBeGreaterThanOrEqual(since.get(id) ?? 0);
            expect(known, id).toBeLessThanOrEqual(memberEpoch);
          }
        }
      }),
      runs(100),
    );
  });

  test("[OFF-3] a committed offset does not go back, and the rest of the commit stands", () => {
    const group = new GroupScenario({ t: 2 });
    group.join("a");
    group.commit("a", { "t:0": 10, "t:1": 10 });
    expect(group.commit("a", { "t:0": 9, "t:1": 11 })).toMatchObject({
      ok: true,
      rejected: [{ key: "t:0", error: "INVALID_REQUEST" }],
    });
    expect([group.committed("t:0"), group.committed("t:1")]).toEqual([10, 11]);
    expect(group.commit("a", { "t:0": 10 }), "the same again is no step back").toEqual({
      ok: true,
      rejected: [],
    });
  });

  test("[OFF-3] a commit after a seek may go back, and later ones may not go behind it", () => {
    const group = new GroupScenario({ t: 1 });
    group.join("a");
    group.commit("a", { "t:0": 10 });
    expect(group.commit("a", { "t:0": 4 }, { isRewind: true })).toEqual({ ok: true, rejected: [] });
    expect(group.committed("t:0")).toBe(4);
    group.commit("a", { "t:0": 3 });
    expect(group.committed("t:0")).toBe(4);
    group.commit("a", { "t:0": 5 });
    expect(group.committed("t:0")).toBe(5);
  });

  test("[OFF-3] a commit that goes back is rejected by the next owner too", () => {
    const group = twoMembers();
    const key = group.revoking("a")[0] ?? "t:0";
    group.commit("a", { [key]: 10 });
    group.revoked("a");
    expect(group.commit("b", { [key]: 9 })).toMatchObject({ rejected: [{ key }] });
    expect(group.committed(key)).toBe(10);
  });

  test("[OFF-4] a reset moves committed offsets back and forth, only in a group without members", () => {
    const group = new GroupScenario({ t: 2 });
    group.join("a");
    group.commit("a", { "t:0": 10 });
    expect(outcome(group.reset({ "t:0": 3 }))).toBe("NON_EMPTY_GROUP");
    group.disconnect("a");
    expect(outcome(group.reset({ "t:0": 3 }))).toBe("NON_EMPTY_GROUP");
    group.advance(SESSION_MS);
    expect(outcome(group.reset({ "t:0": 3, "t:1": 8 }))).toBe("ok");
    expect([group.committed("t:0"), group.committed("t:1")]).toEqual([3, 8]);
    group.join("a");
    expect(group.commit("a", { "t:0": 4 })).toEqual({ ok: true, rejected: [] });
  });
});

// Clients that act like real ones. They read what they are told, and continue while their connection is broken. They revoke
// in their own time what is taken from them, and report it if they can.

const TOPICS = ["t", "u", "v"];

const step = fc.record({
  action: fc.constantFrom(
    ...["join", "join", "resume", "resume", "let go", "let go", "let go", "leave", "break", "mute"],
    ...["time", "commit", "create", "grow", "delete", "replace"],
  ),
  client: fc.nat(5),
  topics: fc.subarray(TOPICS, { minLength: 1 }),
  amount: fc.nat(100_000),
});
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

class Clients {
  readonly group = new GroupScenario({ t: 3, u: 1 });
  readonly #clients = new Map<string, Client>();

  run(steps: readonly Step[]): void {
    for (const each of steps) this.#step(each);
    this.#letEveryBrokenOneEnd();
    this.#letGoOfEverything();
    const { group } = this;
    const wanted = group.subscribedPartitions();
    expect(group.coordinator.stateName).toBe(this.#live().length === 0 ? "EMPTY" : "STABLE");
    expect(new Set(group.state.owners.keys())).toEqual(wanted);
    for (const [key, memberId] of group.state.owners) {
      const { topicId } = parsePartitionKey(key);
      const topic = group.topics.find((each) => each.topicId === topicId);
      expect(group.member(memberId).topics, `${memberId} owns ${key}`).toContain(topic?.name);
    }
  }

  #step({ action, client: number, topics, amount }: Step): void {
    const { group } = this;
    const client = this.#client(number);
    const { memberId } = client;
    const name = topics[0] ?? "t";
    const topic = group.topics.find((each) => each.name === name);
    if (action === "join") this.#join(client, topics, amount);
    else if (action === "resume") this.#resume(client);
    else if (action === "let go") this.#letGo(client, amount);
    else if (action === "leave" && client.isConnected) {
      group.leave(memberId);
      client.end();
    } else if (action === "break" && client.isConnected) {
      group.disconnect(memberId);
      client.isConnected = false;
    } else if (action === "mute" && client.isConnected) group.mute(memberId);
    else if (action === "time") this.#passTime(amount);
    else if (action === "commit") this.#commit(client, amount);
    else if (action === "create" && topic === undefined) group.createTopic(name, 1 + (amount % 4));
    else if (action === "grow" && topic !== undefined && topic.partitions < 6)
      group.growTopic(name, topic.partitions + 1);
    else if (action === "delete" && topic !== undefined) group.deleteTopic(name);
    else if (action === "replace" && topic !== undefined)
      group.replaceTopic(name, 1 + (amount % 4));
    this.#tell();
  }

  /** From alarm to alarm: after each the clients are told. */
  #passTime(ms: number): void {
    const { group } = this;
    const untilMs = group.nowMs + ms;
    while ((group.nextDeadlineMs ?? Number.POSITIVE_INFINITY) <= untilMs) {
      group.advance((group.nextDeadlineMs ?? 0) - group.nowMs);
      this.#tell();
    }
    group.advance(untilMs - group.nowMs);
  }

  #client(number: number): Client {
    const id = `c${number}`;
    const client =
      this.#clients.get(id) ?? new Client(id, number < 2 ? `instance-${number}` : null);
    this.#clients.set(id, client);
    return client;
  }

  #join(client: Client, topics: readonly string[], amount: number): void {
    if (client.isConnected && client.topics.length > 0) return;
    client.topics = topics;
    // A static client starts as a new process with a new member id, others keep theirs.
    if (client.instanceId !== null && amount % 2 === 0) client.restart();
    client.end();
    const joined = this.group.join(client.memberId, {
      topics,
      // On either side of the session timeout and together with it.
      rebalanceTimeoutMs: [20_000, SESSION_MS, REBALANCE_MS][amount % 3] ?? REBALANCE_MS,
      ...(client.instanceId === null ? {} : { instanceId: client.instanceId }),
    });
    client.isConnected = joined.ok;
  }

  #resume(client: Client): void {
    const { memberId, instanceId, topics, held, epoch } = client;
    if (epoch === 0 || topics.length === 0) return;
    const joined = this.group.join(memberId, {
      topics,
      memberEpoch: epoch,
      owned: held,
      ...(instanceId === null ? {} : { instanceId }),
    });
    client.isConnected = joined.ok;
    if (!joined.ok) client.end();
  }

  /** The client revokes one of the taken partitions. Without a connection nobody hears of it. */
  #letGo(client: Client, amount: number): void {
    const taken = [...client.held.difference(client.told)].sort();
    const key = taken[amount % taken.length];
    if (key === undefined) return;
    client.held.delete(key);
    if (client.isConnected) this.group.revoked(client.memberId, [key]);
  }

  #commit(client: Client, amount: number): void {
    const { group } = this;
    const key = [...client.held].sort()[amount % client.held.size];
    if (key === undefined || !group.state.members.has(client.memberId)) return;
    const owner = group.state.owners.get(key);
    const before = group.committed(key);
    const isRewind = amount % 5 === 0;
    const committed = group.commit(client.memberId, { [key]: amount }, { isRewind });
    const { topicId } = parsePartitionKey(key);
    if (!group.topics.some((topic) => topic.topicId === topicId)) return; // [GRP-9] covers those.
    const isAccepted = committed.ok && committed.rejected.length === 0;
    const isForward = before === null || amount >= before;
    expect(isAccepted, key).toBe(owner === client.memberId && (isForward || isRewind));
  }

  /** The object's messages after each step: assignments, and the end of sessions. */
  #tell(): void {
    for (const client of this.#live()) {
      const member = this.group.state.members.get(client.memberId);
      if (member === undefined) client.end();
      else client.tell(member.memberEpoch, member.assigned);
    }
    // [GRP-1] from outside: no two connected clients read the same partition.
    const reading = new Map<PartitionKey, string>();
    for (const { held, memberId } of this.#live()) {
      for (const key of held) {
        expect(reading.get(key), `${key} is read by ${memberId} and another`).toBeUndefined();
        reading.set(key, memberId);
      }
    }
  }

  #live(): Client[] {
    return [...this.#clients.values()].filter((client) => client.isConnected);
  }

  #letEveryBrokenOneEnd(): void {
    for (const client of this.#clients.values()) {
      if (!client.isConnected) this.group.leave(client.memberId);
    }
    this.#tell();
  }

  #letGoOfEverything(): void {
    for (let isBusy = true; isBusy; ) {
      isBusy = false;
      for (const client of this.#live()) {
        if (client.held.isSubsetOf(client.told)) continue;
        this.#letGo(client, 0);
        this.#tell();
        isBusy = true;
      }
    }
  }
}

class Client {
  readonly instanceId: string | null;
  memberId: string;
  topics: readonly string[] = [];
  isConnected = false;
  /** The partitions that it reads. */
  held = new Set<PartitionKey>();
  /** The partitions that it was last told it may read. */
  told = new Set<PartitionKey>();
  epoch = 0;

  constructor(memberId: string, instanceId: string | null) {
    this.memberId = memberId;
    this.instanceId = instanceId;
  }

  restart(): void {
    this.memberId += "'";
  }

  tell(epoch: number, assigned: ReadonlySet<PartitionKey>): void {
    this.epoch = epoch;
    this.told = new Set(assigned);
    // Partitions taken away meanwhile stay in hand until the client revokes them.
    this.held = this.held.union(this.told);
  }

  end(): void {
    this.isConnected = false;
    this.held = new Set();
    this.told = new Set();
    this.epoch = 0;
  }
}

test("[GRP-1] whatever the members do, no partition has two owners, and in the end each has one", () => {
  // Without bias, so that stories are long: about sixty steps.
  const story = fc.noBias(fc.array(step, { maxLength: 120, size: "max" }));
  fc.assert(
    fc.property(story, (steps) => new Clients().run(steps)),
    { ...runs(100), seed: 859 },
  );
}, 60_000); // Only so that a failure has time to be shrunk.
