// KIP-848's heartbeat on the coordinator, beside native members.
import assert from "node:assert/strict";
import { expect, test } from "vitest";
import { beat, joinOf } from "../../../../src/core/group/heartbeat.ts";
import { type PartitionKey, partitionKey } from "../../../../src/core/group/partition-key.ts";
import type { Heartbeat } from "../../../../src/core/group/requests.ts";
import { emptyGroup, type GroupEvent, type Member } from "../../../../src/core/group/state.ts";
import { DEFAULT_REBALANCE_TIMEOUT_MS } from "../../../../src/core/limits.ts";
import { seen } from "../../../support/sight.ts";
import { TestedCoordinator } from "../../../support/tested-coordinator.ts";

/** The response to a member that has left, or has gone for a while. */
const farewell = (memberEpoch: number) => ({
  ok: true,
  memberEpoch,
  heartbeatIntervalMs: 0,
  assignment: null,
});

const TOPIC = { topicId: "t", name: "t", partitions: 4 };

class Rig {
  readonly coordinator = new TestedCoordinator(emptyGroup("g"));
  nowMs = 1_000;

  heartbeat(memberId: string, memberEpoch: number, more: Partial<Heartbeat> = {}): Heartbeat {
    return {
      memberId,
      memberEpoch,
      instanceId: null,
      clientId: null,
      rebalanceTimeoutMs: memberEpoch === 0 ? 60_000 : -1,
      topics: memberEpoch === 0 ? ["t"] : null,
      topicPattern: null,
      owned: memberEpoch === 0 ? new Set<PartitionKey>() : null,
      ...more,
    };
  }

  beat(memberId: string, memberEpoch: number, more: Partial<Heartbeat> = {}) {
    const heartbeat = this.heartbeat(memberId, memberEpoch, more);
    const join = joinOf(this.coordinator.state, heartbeat);
    const refused = join === null ? null : this.coordinator.whyNotJoin(join);
    return refused ?? this.apply(heartbeat);
  }

  /** The heartbeat's topics have been looked up. */
  apply(heartbeat: Heartbeat) {
    const { changes } = this.coordinator;
    return beat(changes, this.coordinator, { ...heartbeat, found: [TOPIC] }, this.nowMs);
  }

  /** The events since the last call that must be stored. */
  takeStored(): GroupEvent[] {
    const stored = ({ type }: GroupEvent) =>
      type !== "heard" && type !== "unheard" && type !== "told";
    return this.coordinator.takeEvents().filter(stored);
  }

  /** Joins by a socket, not by heartbeats. */
  joinNatively(memberId: string): void {
    this.coordinator.join(
      {
        memberId,
        memberEpoch: 0,
        instanceId: null,
        clientId: null,
        topics: ["t"],
        topicPattern: null,
        sessionTimeoutMs: 20_000,
        rebalanceTimeoutMs: 1_000,
        owned: new Set(),
        polls: false,
        heartbeats: false,
      },
      [TOPIC],
      0,
    );
  }

  member(memberId: string): Member {
    const member = this.coordinator.state.members.get(memberId);
    assert(member !== undefined, `${memberId} is a member`);
    return member;
  }

  assigned(memberId: string): number[] {
    const member = this.coordinator.state.members.get(memberId);
    return [...(member?.assigned ?? [])].map((key) => Number(key.split(":")[1])).sort();
  }

  epoch(memberId: string): number {
    return this.coordinator.state.members.get(memberId)?.memberEpoch ?? -1;
  }
}

test("[KCG-1] a member joins with epoch 0 and gets everything; another's half is revoked first", () => {
  const rig = new Rig();
  expect(rig.beat("a", 0).ok).toBe(true);
  expect(rig.assigned("a")).toEqual([0, 1, 2, 3]);
  rig.beat("b", 0);
  expect(rig.assigned("b")).toEqual([]);
  const kept = rig.assigned("a");
  expect(kept).toHaveLength(2);
  // It still owns all; silence is no progress.
  rig.beat("a", rig.epoch("a"));
  expect(rig.assigned("b")).toEqual([]);
  const owned = new Set(kept.map((partition) => partitionKey("t", partition)));
  rig.beat("a", rig.epoch("a"), { owned });
  expect([...rig.assigned("a"), ...rig.assigned("b")].sort()).toEqual([0, 1, 2, 3]);
  expect(rig.assigned("b")).toHaveLength(2);
});

test("[KCG-1] an epoch that was given earlier is accepted; one that was not, and another's, is fenced", () => {
  const rig = new Rig();
  rig.beat("a", 0);
  const epoch = rig.epoch("a");
  rig.beat("b", 0);
  expect(rig.beat("a", epoch).ok).toBe(true);
  expect(rig.beat("a", 99)).toMatchObject({ error: "FENCED_MEMBER_EPOCH" });
  expect(rig.beat("nobody", 1)).toMatchObject({ error: "UNKNOWN_MEMBER_ID" });
  const foreign = new Set([partitionKey("t", 0), partitionKey("t", 1)]);
  expect(rig.beat("b", rig.epoch("b"), { owned: foreign })).toMatchObject({
    error: "FENCED_MEMBER_EPOCH",
  });
});

test("[KCG-2] -1 leaves; -2 keeps a static member's place for whoever comes with its instance id", () => {
  const rig = new Rig();
  rig.beat("a", 0, { instanceId: "i" });
  rig.beat("b", 0);
  expect(rig.beat("b", -1)).toEqual(farewell(-1));
  expect(rig.coordinator.state.members.has("b")).toBe(false);
  expect(rig.beat("a", -2, { instanceId: "other" })).toMatchObject({ error: "UNKNOWN_MEMBER_ID" });
  rig.beat("a", -2, { instanceId: "i" });
  rig.beat("c", 0, { instanceId: "i" });
  expect(rig.assigned("c")).toEqual([0, 1, 2, 3]);
  expect(rig.coordinator.state.members.has("a")).toBe(false);
  expect(rig.beat("gone", -1)).toMatchObject({ error: "UNKNOWN_MEMBER_ID" });
});

test("[KCG-3] a changed subscription counts from that heartbeat on; an omitted one stays", () => {
  const rig = new Rig();
  rig.beat("a", 0);
  rig.beat("a", rig.epoch("a"));
  expect(rig.assigned("a")).toHaveLength(4);
  rig.beat("a", rig.epoch("a"), { topics: ["other"] });
  expect(rig.coordinator.state.members.get("a")?.topics).toEqual(["other"]);
  expect(rig.assigned("a")).toEqual([]);
  rig.beat("a", rig.epoch("a"), { topics: [], topicPattern: "t.*", owned: new Set() });
  expect(rig.assigned("a")).toHaveLength(4);
});

test("[GCF-5] a consumer has the session timeout of its group, and gets the new one when that changes", () => {
  const rig = new Rig();
  const { coordinator } = rig;
  const sessionOf = (memberId: string) => coordinator.state.members.get(memberId)?.sessionTimeoutMs;
  const alter = (config: Record<string, unknown>) => coordinator.alterConfig(config, 1_000);
  rig.beat("a", 0);
  expect(sessionOf("a")).toBe(45_000);
  alter({ "consumer.session.timeout.ms": 9_000 });
  rig.beat("b", 0);
  expect([sessionOf("a"), sessionOf("b")]).toEqual([9_000, 9_000]);
  coordinator.expire(seen(0), 8_999);
  expect(coordinator.state.members.size).toBe(2);
  // The default yields to the bounds. A set value does not: the bounds then yield, or are rejected.
  expect(alter({ "consumer.max.session.timeout.ms": 8_000 })).toMatchObject({
    error: "INVALID_CONFIG",
  });
  alter({ "consumer.session.timeout.ms": null, "consumer.max.session.timeout.ms": 8_000 });
  expect([sessionOf("a"), sessionOf("b")]).toEqual([8_000, 8_000]);
  coordinator.expire(seen(0), 8_000);
  expect(coordinator.state.members.size).toBe(0);
});

test("[GCF-5] a native member keeps the session timeout that it named", () => {
  const rig = new Rig();
  rig.joinNatively("n");
  const { coordinator } = rig;
  coordinator.alterConfig({ "consumer.session.timeout.ms": 9_000 }, 0);
  expect(coordinator.state.members.get("n")?.sessionTimeoutMs).toBe(20_000);
});

test("[KCG-2] -1 leaves at once, a static member too; -2 keeps it, silent", () => {
  const rig = new Rig();
  for (const instanceId of [null, "i"]) {
    rig.beat("a", 0, { instanceId });
    expect(joinOf(rig.coordinator.state, rig.heartbeat("a", -1))).toBeNull();
    expect(rig.beat("a", -1)).toEqual(farewell(-1));
    expect(rig.coordinator.state.members.size).toBe(0);
  }
  rig.beat("a", 0, { instanceId: "i" });
  expect(rig.beat("a", -2, { instanceId: "i" })).toEqual(farewell(-2));
  expect(rig.member("a").silentSinceMs).toBe(1_000);
  expect(rig.beat("a", -2)).toMatchObject({ error: "UNKNOWN_MEMBER_ID" });
});

test("[KCG-4] a heartbeat without news changes nothing", () => {
  const rig = new Rig();
  rig.beat("a", 0, { topicPattern: "x.*" });
  rig.coordinator.takeEvents();
  const epoch = rig.epoch("a");
  const before = rig.member("a");
  const owned = before.assigned;
  for (const more of [{}, { topics: ["t"] }, { topicPattern: "x.*" }, { owned }]) {
    const result = rig.beat("a", epoch, more);
    expect(result).toMatchObject({ ok: true, memberEpoch: epoch, assignment: null });
    expect(rig.member("a")).toBe(before);
    expect(rig.takeStored()).toEqual([]);
  }
});

/** Each row has a heartbeat of a member of topic t and pattern x.*, and its subscription from then on. */
const PARTIAL: [
  title: string,
  said: Partial<Heartbeat>,
  topics: string[],
  pattern: string | null,
][] = [
  ["nothing", {}, ["t"], "x.*"],
  ["topics", { topics: ["u"] }, ["u"], "x.*"],
  ["no topics", { topics: [] }, [], "x.*"],
  ["a pattern", { topicPattern: "y.*" }, ["t"], "y.*"],
  ["no pattern", { topicPattern: "" }, ["t"], null],
  ["both", { topics: ["u"], topicPattern: "y.*" }, ["u"], "y.*"],
];

test.each(PARTIAL)(
  "[KCG-3] [KCG-4] a member that names %s subscribes to that and keeps the rest",
  (_, said, topics, pattern) => {
    for (const isSilent of [false, true]) {
      const rig = new Rig();
      rig.beat("a", 0, { topicPattern: "x.*", instanceId: "i" });
      if (isSilent) rig.beat("a", -2, { instanceId: "i" });
      rig.beat("a", rig.epoch("a"), { instanceId: "i", ...said });
      expect(rig.member("a")).toMatchObject({ topics, topicPattern: pattern, silentSinceMs: null });
    }
  },
);

test("[KCG-3] a joining member names its whole subscription", () => {
  const rig = new Rig();
  rig.beat("a", 0, { topics: null, topicPattern: "t.*" });
  expect(rig.member("a")).toMatchObject({ topics: [], topicPattern: "t.*" });
  rig.beat("a", 0);
  expect(rig.member("a")).toMatchObject({ topics: ["t"], topicPattern: null });
  rig.beat("a", rig.epoch("a"), { topicPattern: "x.*" });
  rig.beat("a", 0, { topics: null });
  expect(rig.member("a")).toMatchObject({ topics: ["t"], topicPattern: "x.*" });
});

test.each([
  { joins: 60_000, says: -1, is: 60_000 },
  { joins: -1, says: -1, is: DEFAULT_REBALANCE_TIMEOUT_MS },
  { joins: 0, says: 0, is: DEFAULT_REBALANCE_TIMEOUT_MS },
  { joins: 60_000, says: 0, is: 60_000 },
  { joins: 60_000, says: 1, is: 1 },
])(
  "[KCG-4] a member that joins with a rebalance timeout of $joins and then says $says has $is",
  (row) => {
    const rig = new Rig();
    rig.beat("a", 0, { rebalanceTimeoutMs: row.joins });
    rig.beat("a", rig.epoch("a"), { rebalanceTimeoutMs: row.says, topics: ["t", "u"] });
    expect(rig.member("a").rebalanceTimeoutMs).toBe(row.is);
  },
);

test("[KCG-1] [KCG-4] a member that returns, or subscribes anew, and omits what it owns owns what it did", () => {
  for (const isSilent of [false, true]) {
    const rig = new Rig();
    rig.beat("a", 0, { instanceId: "i" });
    rig.beat("b", 0);
    const { revoking, assigned } = rig.member("a");
    expect(revoking.size).toBe(2);
    if (isSilent) rig.beat("a", -2, { instanceId: "i" });
    rig.beat("a", 1, { instanceId: "i", ...(isSilent ? {} : { topics: ["t", "u"] }) });
    expect(rig.member("a")).toMatchObject({ revoking, assigned, silentSinceMs: null });
    expect(rig.assigned("b")).toEqual([]);
    // Once it reports them, they are the other's, one by one.
    const [kept] = revoking;
    assert(kept !== undefined);
    rig.beat("a", 1, { instanceId: "i", owned: new Set([...assigned, kept]) });
    expect([...rig.member("a").revoking]).toEqual([kept]);
    expect(rig.assigned("b")).toHaveLength(1);
    rig.beat("a", 1, { instanceId: "i", owned: assigned });
    expect(rig.member("a").revoking.size).toBe(0);
    expect(rig.assigned("b")).toHaveLength(2);
  }
});

test("[KCG-1] a member that joins again owns nothing, whatever it says", () => {
  const rig = new Rig();
  rig.beat("a", 0);
  rig.beat("b", 0);
  const { assigned, revoking } = rig.member("a");
  rig.beat("a", 0, { owned: assigned.union(revoking) });
  expect(rig.member("a").revoking.size).toBe(0);
  expect(rig.assigned("b")).toHaveLength(2);
});

test("[GRP-15] heartbeats reach no live member that joined in another way; a silent one may return so", () => {
  const rig = new Rig();
  rig.joinNatively("n");
  for (const epoch of [-2, -1, 0, 1])
    expect(rig.beat("n", epoch)).toMatchObject({ error: "UNKNOWN_MEMBER_ID" });
  expect(rig.member("n")).toMatchObject({ heartbeats: false, silentSinceMs: null });
  rig.coordinator.disconnect("n", 1_000);
  for (const epoch of [-2, -1, 1])
    expect(rig.beat("n", epoch)).toMatchObject({ error: "UNKNOWN_MEMBER_ID" });
  const { memberEpoch, assigned: assignment } = rig.member("n");
  expect(rig.beat("n", 0)).toMatchObject({ ok: true, memberEpoch, assignment });
  expect(rig.member("n")).toMatchObject({ heartbeats: true, silentSinceMs: null });
});

test("[KCG-1] a member that left, or was refused, while its topics were looked up is told so, and nothing changes", () => {
  const rig = new Rig();
  rig.beat("a", 0);
  const quiet = rig.heartbeat("a", 1);
  const resuming = rig.heartbeat("a", 1, { topics: ["u"] });
  const joins = [quiet, resuming].map((heartbeat) => joinOf(rig.coordinator.state, heartbeat));
  expect(joins.map((join) => join === null)).toEqual([true, false]);
  rig.coordinator.takeEvents();
  const ahead = { ...resuming, memberEpoch: 99 };
  expect(rig.apply(ahead)).toMatchObject({ error: "FENCED_MEMBER_EPOCH" });
  expect(rig.takeStored()).toEqual([]);
  rig.coordinator.leave("a", 1_000);
  rig.coordinator.takeEvents();
  for (const heartbeat of [quiet, resuming])
    expect(rig.apply(heartbeat)).toMatchObject({ ok: false, error: "UNKNOWN_MEMBER_ID" });
  expect(rig.takeStored()).toEqual([]);
});

test("[KCG-1] an epoch ahead of the member's is fenced by the heartbeat too, and so are foreign partitions", () => {
  const rig = new Rig();
  rig.beat("a", 0);
  rig.beat("b", 0);
  const { assigned, revoking, memberEpoch } = rig.member("a");
  const told = (owned: Iterable<PartitionKey>) =>
    rig.beat("a", memberEpoch, { owned: new Set(owned) });
  expect(told([...assigned, partitionKey("t", 9)])).toMatchObject({ error: "FENCED_MEMBER_EPOCH" });
  expect(rig.beat("a", memberEpoch + 1)).toMatchObject({ error: "FENCED_MEMBER_EPOCH" });
  expect(told([...assigned, ...revoking]).ok).toBe(true);
  expect(told(assigned).ok).toBe(true);
});
