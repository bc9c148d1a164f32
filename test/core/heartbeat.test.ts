// KIP-848's heartbeat on the coordinator, beside native members.
import { expect, test } from "vitest";
import { Coordinator } from "../../src/core/group/coordinator.ts";
import { applyHeartbeat, type Heartbeat, joinOf } from "../../src/core/group/heartbeat.ts";
import { type PartitionKey, partitionKey } from "../../src/core/group/partition-key.ts";
import { emptyGroup } from "../../src/core/group/state.ts";

const TOPIC = { topicId: "t", name: "t", partitions: 4 };

class Rig {
  readonly coordinator = new Coordinator(emptyGroup("g"));

  beat(memberId: string, memberEpoch: number, more: Partial<Heartbeat> = {}) {
    const heartbeat: Heartbeat = {
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
    const join = joinOf(this.coordinator, heartbeat);
    const refused = join === null ? null : this.coordinator.checkJoin(join);
    return refused ?? applyHeartbeat(this.coordinator, heartbeat, join, [TOPIC], 1_000);
  }

  assigned(memberId: string): number[] {
    const member = this.coordinator.state.members.get(memberId);
    return [...(member?.assigned ?? [])].map((key) => Number(key.split(":")[1])).sort();
  }

  epoch(memberId: string): number {
    return this.coordinator.state.members.get(memberId)?.memberEpoch ?? -1;
  }
}

test("[KCG-1] a member joins with epoch 0 and is given everything; another's half is revoked first", () => {
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

test("[KCG-1] an epoch that was told earlier is taken; one that was not, and what is another's, is fenced", () => {
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

test("[KCG-2] -1 leaves; -2 keeps a static member's place for who comes with its instance id", () => {
  const rig = new Rig();
  rig.beat("a", 0, { instanceId: "i" });
  rig.beat("b", 0);
  expect(rig.beat("b", -1)).toEqual({ ok: true, member: null });
  expect(rig.coordinator.state.members.has("b")).toBe(false);
  expect(rig.beat("a", -2, { instanceId: "other" })).toMatchObject({ error: "UNKNOWN_MEMBER_ID" });
  rig.beat("a", -2, { instanceId: "i" });
  rig.beat("c", 0, { instanceId: "i" });
  expect(rig.assigned("c")).toEqual([0, 1, 2, 3]);
  expect(rig.coordinator.state.members.has("a")).toBe(false);
  expect(rig.beat("gone", -1)).toMatchObject({ error: "UNKNOWN_MEMBER_ID" });
});

test("[KCG-3] a subscription that changes counts from that heartbeat on; one that is not told stays", () => {
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
  coordinator.expire(() => 0, 8_999);
  expect(coordinator.state.members.size).toBe(2);
  // The default gives way to the bounds. One that was set does not: the bounds then give way, or are refused.
  expect(alter({ "consumer.max.session.timeout.ms": 8_000 })).toMatchObject({
    error: "INVALID_CONFIG",
  });
  alter({ "consumer.session.timeout.ms": null, "consumer.max.session.timeout.ms": 8_000 });
  expect([sessionOf("a"), sessionOf("b")]).toEqual([8_000, 8_000]);
  coordinator.expire(() => 0, 8_000);
  expect(coordinator.state.members.size).toBe(0);
});

test("[GCF-5] a native member keeps the session timeout that it named", () => {
  const { coordinator } = new Rig();
  coordinator.join(
    {
      memberId: "n",
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
  coordinator.alterConfig({ "consumer.session.timeout.ms": 9_000 }, 0);
  expect(coordinator.state.members.get("n")?.sessionTimeoutMs).toBe(20_000);
});
