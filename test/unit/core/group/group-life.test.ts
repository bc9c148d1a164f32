// The life of a group: it is created, occupied by members of another kind, emptied, and created again. Also its times when
// the clock is set.
import { describe, expect, test } from "vitest";
import {
  type ClassicMember,
  NO_CLASSIC_MEMBERS,
} from "../../../../src/core/group/classic-state.ts";
import type { JoinRequest } from "../../../../src/core/group/requests.ts";
import { emptyGroup } from "../../../../src/core/group/state.ts";
import { GroupScenario, REBALANCE_MS, SESSION_MS } from "../../../support/group-scenario.ts";
import { TestedCoordinator } from "../../../support/tested-coordinator.ts";

const JOIN: JoinRequest = {
  memberId: "m",
  memberEpoch: 0,
  instanceId: null,
  clientId: null,
  topics: [],
  topicPattern: null,
  sessionTimeoutMs: SESSION_MS,
  rebalanceTimeoutMs: REBALANCE_MS,
  owned: new Set(),
  polls: false,
  heartbeats: false,
};

const CLASSIC_MEMBER: ClassicMember = {
  memberId: "c",
  instanceId: null,
  clientId: "",
  clientHost: "/",
  sessionTimeoutMs: SESSION_MS,
  rebalanceTimeoutMs: REBALANCE_MS,
  protocols: [],
  assignment: new Uint8Array(),
  silentSinceMs: null,
};

/** Each creates a group. */
const BEGINNINGS: Record<
  string,
  { begin: (group: TestedCoordinator, nowMs: number) => void; isEmpty: boolean }
> = {
  "a native member": {
    begin: (group, nowMs) => void group.join(JOIN, [], nowMs),
    isEmpty: false,
  },
  "a config": {
    begin: (group, nowMs) => void group.alterConfig({ "group.max.size": 9 }, nowMs),
    isEmpty: true,
  },
  "classic members": { begin: (group, nowMs) => group.changes.occupy(true, nowMs), isEmpty: false },
  "a commit by nobody": {
    begin: (group, nowMs) => group.changes.occupy(false, nowMs),
    isEmpty: true,
  },
};

describe.each(Object.entries(BEGINNINGS))("a group that %s makes", (_, { begin, isEmpty }) => {
  test("[GRP-13] exists from then on, once, and ages if it is empty", () => {
    const group = new TestedCoordinator(emptyGroup("g"));
    expect(group.exists).toBe(false);
    expect(group.takeEvents()).toEqual([]);
    group.changes.newIncarnation = 1_000;
    begin(group, 1_000);
    expect(group.exists).toBe(true);
    expect(group.state).toMatchObject({ incarnation: 1_000, emptySinceMs: isEmpty ? 1_000 : null });
    group.changes.newIncarnation = 2_000;
    for (const again of Object.values(BEGINNINGS)) again.begin(group, 2_000);
    expect(group.state.incarnation).toBe(1_000);
  });
});

test("[OFF-10] a group is empty from when the last member of any kind left, until one comes", () => {
  const group = new TestedCoordinator(emptyGroup("g"));
  const told = () => [group.state.emptySinceMs, group.takeEvents().length];
  /** Classic members are there, or are not. */
  const occupied = (isOccupied: boolean, nowMs: number) => {
    const members = new Map(isOccupied ? [["c", CLASSIC_MEMBER]] : []);
    group.state.classic = { ...NO_CLASSIC_MEMBERS, members };
    group.changes.noteMembers(nowMs);
    return told();
  };
  expect(occupied(false, 500)).toEqual([null, 0]);
  group.changes.newIncarnation = 1_000;
  group.changes.occupy(false, 1_000);
  expect(told()).toEqual([1_000, 1]);
  group.changes.newIncarnation = 1_500;
  expect(occupied(false, 2_000)).toEqual([1_000, 0]);
  expect(occupied(true, 3_000)).toEqual([null, 1]);
  expect(occupied(true, 4_000)).toEqual([null, 0]);
  expect(occupied(false, 5_000)).toEqual([5_000, 1]);
  group.join(JOIN, [], 6_000);
  group.takeEvents();
  expect(group.state.incarnation).toBe(1_000);
  // Native members are there: they count, not those of another kind.
  expect(occupied(false, 7_000)).toEqual([null, 0]);
  group.join({ ...JOIN, memberId: "n" }, [], 7_000);
  group.leave("m", 8_000);
  expect(group.state.emptySinceMs).toBeNull();
  group.leave("n", 9_000);
  expect(group.state.emptySinceMs).toBe(9_000);
});

test("[GRP-7] an alarm is set while somebody can be removed, and otherwise for the committed offsets", () => {
  const group = new GroupScenario({ t: 1 });
  expect(group.nextDeadlineMs).toBeNull();
  group.join("a");
  expect(group.nextDeadlineMs).toBe(group.nowMs + SESSION_MS);
  group.commit("a", { "t:0": 1 });
  const leftMs = group.nowMs;
  group.leave("a");
  const retentionMs = group.coordinator.config.offsetsRetentionMinutes * 60_000;
  expect(group.nextDeadlineMs).toBe(leftMs + retentionMs);
});

test("[CLK-4] when the clock is set, silent and revoking members have their full time, and nothing else changes", () => {
  const group = new GroupScenario({ t: 4 });
  group.join("a");
  group.join("b", { rebalanceTimeoutMs: 7_000 });
  group.join("silent", { topics: [] });
  group.disconnect("silent");
  const { coordinator } = group;
  expect(group.revoking("a")).toHaveLength(2);
  const before = group.member("b");
  const nowMs = group.nowMs - 500_000;
  coordinator.beginSessionsAnew(nowMs);
  expect(coordinator.takeEvents()).toHaveLength(2);
  expect(group.member("a")).toMatchObject({
    silentSinceMs: null,
    revokeDeadlineMs: nowMs + REBALANCE_MS,
  });
  expect(group.member("silent")).toMatchObject({ silentSinceMs: nowMs, revokeDeadlineMs: null });
  expect(group.member("b")).toBe(before);
});

test("[GCF-5] a change of either time reaches Kafka consumers, one of another key nobody", () => {
  const group = new GroupScenario({ t: 2 });
  group.join("k", { heartbeats: true });
  group.join("n");
  group.revokeAll();
  const told = (changes: Record<string, unknown>) => {
    const before = group.events.length;
    expect(group.alterConfig(changes).ok).toBe(true);
    return group.events
      .slice(before)
      .flatMap((event) => (event.type === "member" ? [event.member.memberId] : []));
  };
  expect(told({ "group.max.size": 9 })).toEqual([]);
  expect(told({ "consumer.heartbeat.interval.ms": 4_000 })).toEqual(["k"]);
  expect(told({ "consumer.session.timeout.ms": 50_000 })).toEqual(["k"]);
  expect(told({ "consumer.session.timeout.ms": 50_000 })).toEqual([]);
  expect(group.member("n").sessionTimeoutMs).toBe(SESSION_MS);
});

test("[GCF-2] a change of the assignor rebalances a group with members, at once, and no other", () => {
  const group = new GroupScenario({ t: 3, u: 3 });
  group.alterConfig({ "consumer.assignor": "range" });
  expect(group.state.groupEpoch).toBe(0);
  group.join("a");
  group.join("b");
  group.revokeAll();
  const { groupEpoch } = group.state;
  group.alterConfig({ "consumer.assignor": "uniform" });
  expect(group.state.groupEpoch).toBe(groupEpoch + 1);
  group.alterConfig({ "consumer.assignor": "uniform", "group.max.size": 9 });
  expect(group.state.groupEpoch).toBe(groupEpoch + 1);
});

test("[GRP-2] revoking nothing, or what one need not give up, is no error and changes nothing", () => {
  const group = new GroupScenario({ t: 4 });
  group.join("a");
  group.join("b");
  const [kept] = group.assigned("a");
  if (kept === undefined) throw new Error("a keeps some");
  const before = group.events.length;
  for (const keys of [[], [kept]]) expect(group.revoked("a", keys)).toEqual({ ok: true });
  expect(group.events.length).toBe(before);
});

test("[GRP-3] only members whose target changes get a new one", () => {
  const group = new GroupScenario({ t: 2, u: 2 });
  group.join("a", { topics: ["t"] });
  const before = group.events.length;
  group.join("b", { topics: ["u"] });
  const targets = group.events.slice(before).filter(({ type }) => type === "target");
  expect(targets).toMatchObject([{ memberId: "b" }]);
});
