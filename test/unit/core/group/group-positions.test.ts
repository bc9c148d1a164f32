// A group's committed offsets from outside and at the end: they are set, deleted and committed without a member, and they
// expire.
import { describe, expect, test } from "vitest";
import type { KafkaResult } from "../../../../src/core/errors.ts";
import { type PartitionKey, parsePartitionKey } from "../../../../src/core/group/partition-key.ts";
import type { NamedOffset } from "../../../../src/core/group/requests.ts";
import { ClassicRig } from "../../../support/classic-rig.ts";
import { GroupScenario } from "../../../support/group-scenario.ts";

const DAY_MS = 24 * 60 * 60_000;

function commitOf(key: PartitionKey, offset: number, more: Partial<NamedOffset> = {}): NamedOffset {
  const { topicId: topic, partition } = parsePartitionKey(key);
  return { topic, partition, offset, metadata: "", ...more };
}

const outcome = (result: KafkaResult<object>) => (result.ok ? "ok" : result.error);

/** A group that has read t and u, has no members now, and has committed in both. */
function left(): GroupScenario {
  const group = new GroupScenario({ t: 2, u: 1 });
  group.join("a");
  group.commit("a", { "t:0": 4, "t:1": 5, "u:0": 6 });
  group.leave("a");
  return group;
}

/** Does it and takes the changes, as the object does. Returns the number of changes. */
function changes(group: GroupScenario, act: () => unknown): number {
  act();
  return group.coordinator.takeEvents().length;
}

describe("deleting", () => {
  test("[OFF-7] the committed offsets of the named topics go, with the topics, and no others", () => {
    const group = left();
    const { offsets } = group.coordinator;
    expect(outcome(offsets.delete(["t"]))).toBe("ok");
    expect([group.committed("t:0"), group.committed("t:1"), group.committed("u:0")]).toEqual([
      null,
      null,
      6,
    ]);
    expect([...group.state.topics.keys()]).toEqual(["u"]);
    expect(outcome(offsets.delete(["t"]))).toBe("UNKNOWN_TOPIC_OR_PARTITION");
  });

  test("[OFF-7] if one topic is unknown, or is read, none is forgotten", () => {
    const unknown = left();
    const names = ["t", "nope"];
    expect(
      changes(unknown, () =>
        expect(outcome(unknown.coordinator.offsets.delete(names))).toBe(
          "UNKNOWN_TOPIC_OR_PARTITION",
        ),
      ),
    ).toBe(0);
    const read = left();
    read.join("b", { topics: ["u"] });
    expect(
      changes(read, () =>
        expect(outcome(read.coordinator.offsets.delete(["t", "u"]))).toBe(
          "GROUP_SUBSCRIBED_TO_TOPIC",
        ),
      ),
    ).toBe(0);
    expect(outcome(read.coordinator.offsets.delete(["t"]))).toBe("ok");
  });

  test("[KFK-14] one committed offset goes alone, its topic stays known, and what is read or unknown is refused", () => {
    const group = left();
    const deleted = ({ coordinator }: GroupScenario, topic: string, partition: number) => {
      const result = coordinator.offsets.deletePositions([{ topic, partition }]);
      return result.ok ? result.outcomes : result.error;
    };
    expect(changes(group, () => expect(deleted(group, "t", 1)).toEqual([null]))).toBe(1);
    expect([group.committed("t:0"), group.committed("t:1")]).toEqual([4, null]);
    expect(changes(group, () => expect(deleted(group, "t", 1)).toEqual([null]))).toBe(0);
    const both = [0, 1].map((partition) => ({ topic: "t", partition }));
    // [AUD-1] Only existing offsets are reported as deleted.
    expect(
      left().coordinator.offsets.deletePositions([...both, { topic: "t", partition: 7 }]),
    ).toEqual({
      ok: true,
      outcomes: [null, null, null],
      deleted: [true, true, false],
    });
    expect(group.state.topics.has("t")).toBe(true);
    expect(deleted(group, "nope", 0)).toEqual(["UNKNOWN_TOPIC_OR_PARTITION"]);
    const read = left();
    read.join("b", { topics: ["u"] });
    expect(deleted(read, "u", 0)).toEqual(["GROUP_SUBSCRIBED_TO_TOPIC"]);
    expect(read.committed("u:0")).toBe(6);
  });
});

describe("setting", () => {
  const topic = (name: string) => ({ name, topicId: name, partitions: 1 });

  test("[OFF-4] offsets are set in topics that the group has not read, and in none that is gone", () => {
    const group = left();
    const { offsets } = group.coordinator;
    const resets = [
      { topic: "t", topicId: "t", partition: 0, offset: 1 },
      { topic: "new", topicId: "new", partition: 0, offset: 2 },
      { topic: "gone", topicId: "gone", partition: 0, offset: 3 },
    ];
    expect(outcome(offsets.reset(resets, [topic("new"), topic("t")], group.nowMs))).toBe("ok");
    const told = ["t:0", "new:0", "gone:0"] as const;
    expect(told.map((key) => group.committed(key))).toEqual([1, 2, null]);
    expect(group.state.offsets.get("new:0")).toEqual({
      offset: 2,
      metadata: "",
      committedAtMs: group.nowMs,
    });
    // The group keeps its own knowledge of t, because the reset's may be older.
    expect(group.state.topics.get("t")?.partitions).toBe(2);
    const entry = group.coordinator.takeHistory().at(-1);
    expect(entry).toMatchObject({ type: "offsets reset", partitionCount: 2 });
  });

  test("[OFF-4] nothing is set while there are members, and the refusal says how many", () => {
    const group = left();
    group.join("a");
    const result = group.reset({ "t:0": 1 });
    expect(result).toMatchObject({
      error: "NON_EMPTY_GROUP",
      detail: expect.stringContaining("group group has 1 member(s)"),
    });
    expect(group.committed("t:0")).toBe(4);
  });

  test("[CLS-6] a commit of a classic member goes back too, makes its topics known, and reports deleted ones", () => {
    const group = left();
    const rig = new ClassicRig();
    const { id: memberId } = rig.newcomer();
    rig.sync(memberId, 1);
    group.state.classic = rig.group.state;
    const result = group.coordinator.offsets.commitNamed(
      { memberId, instanceId: null, generation: 1 },
      [commitOf("t:0", 1), commitOf("new:0", 2), commitOf("gone:0", 3)],
      [topic("new"), topic("t")],
      () => expect.fail("the group is there"),
      group.nowMs,
    );
    expect(result).toEqual({ ok: true, outcomes: [null, null, "UNKNOWN_TOPIC_OR_PARTITION"] });
    const told = ["t:0", "new:0", "gone:0"] as const;
    expect(told.map((key) => group.committed(key))).toEqual([1, 2, null]);
    expect(group.state.topics.get("t")?.partitions).toBe(2);
  });

  test("[OFF-13] a leader epoch is kept if one was named, even 0", () => {
    const group = left();
    const commits = [
      commitOf("t:0", 1, { leaderEpoch: 0, metadata: "m" }),
      commitOf("t:1", 1, { leaderEpoch: 7 }),
      commitOf("u:0", 1),
    ];
    const byHand = { memberId: "", instanceId: null, generation: -1 };
    const result = group.coordinator.offsets.commitNamed(
      byHand,
      commits,
      [],
      () => {},
      group.nowMs,
    );
    expect(result).toEqual({ ok: true, outcomes: [null, null, null] });
    expect(group.state.offsets.get("t:0")).toMatchObject({ leaderEpoch: 0, metadata: "m" });
    expect(group.state.offsets.get("t:1")).toMatchObject({ leaderEpoch: 7 });
    expect(group.state.offsets.get("u:0")).not.toHaveProperty("leaderEpoch");
  });
});

describe("committing", () => {
  test("[OFF-11] commits at an epoch that the member received count for what it had by then, and those ahead for nothing", () => {
    const group = new GroupScenario({ t: 2 });
    group.join("a", { heartbeats: true });
    group.join("b", { heartbeats: true });
    group.revokeAll();
    group.leave("b");
    const { memberEpoch, assignmentEpochs } = group.member("a");
    const epochs = [...assignmentEpochs].sort(([, x], [, y]) => x - y);
    const [old, late] = epochs.map(([key]) => key);
    if (old === undefined || late === undefined) throw new Error("a has both");
    const commit = (epoch: number, offset: number) => {
      const result = group.commitAt("a", epoch, offset, [old, late]);
      return result.ok ? result.outcomes : result.error;
    };
    expect(commit(memberEpoch + 1, 1)).toBe("STALE_MEMBER_EPOCH");
    expect(commit(memberEpoch, 1)).toEqual([null, null]);
    expect(commit(memberEpoch - 1, 2)).toEqual([null, "STALE_MEMBER_EPOCH"]);
    expect([group.committed(old), group.committed(late)]).toEqual([2, 1]);
    expect(outcome(group.commitAt("x", 1, 9, [old]))).toBe("UNKNOWN_MEMBER_ID");
  });

  test("[OFF-3] the same offset again is committed, one less is not, unless the member sought", () => {
    const group = new GroupScenario({ t: 1 });
    group.join("a");
    const commit = (offset: number, isRewind = false) => {
      const result = group.commit("a", { "t:0": offset }, { isRewind, metadata: `${offset}` });
      return result.ok ? result.rejected.map(({ error }) => error) : result.error;
    };
    expect(commit(5)).toEqual([]);
    group.nowMs += 1;
    expect(commit(5)).toEqual([]);
    expect(group.state.offsets.get("t:0")?.committedAtMs).toBe(group.nowMs);
    expect(commit(4)).toEqual(["INVALID_REQUEST"]);
    expect(commit(4, true)).toEqual([]);
    expect(group.committed("t:0")).toBe(4);
  });
});

describe("expiring", () => {
  test("[OFF-10] each committed offset goes a retention after its commit and after the group was left, and the topics with the last", () => {
    const group = new GroupScenario({ t: 2, u: 1 });
    group.alterConfig({ "offsets.retention.minutes": 24 * 60 });
    group.join("a");
    group.commit("a", { "t:0": 4 });
    group.nowMs += 5 * DAY_MS;
    group.leave("a");
    const leftMs = group.nowMs;
    group.nowMs += DAY_MS / 2;
    group.reset({ "t:1": 1, "u:0": 2 });
    const { offsets } = group.coordinator;
    expect(offsets.nextExpiryMs).toBe(leftMs + DAY_MS);
    expect(changes(group, () => offsets.expire(leftMs + DAY_MS - 1))).toBe(0);
    expect(changes(group, () => offsets.expire(leftMs + DAY_MS))).toBe(1);
    expect([...group.state.offsets.keys()]).toEqual(["t:1", "u:0"]);
    expect([...group.state.topics.keys()]).toEqual(["t", "u"]);
    expect(offsets.nextExpiryMs).toBe(leftMs + DAY_MS + DAY_MS / 2);
    offsets.expire(leftMs + DAY_MS + DAY_MS / 2);
    expect(group.state.offsets.size).toBe(0);
    expect(group.state.topics.size).toBe(0);
    // Its config keeps it, permanently.
    expect(offsets.nextExpiryMs).toBe(Number.POSITIVE_INFINITY);
    expect(offsets.isDead(leftMs + 99 * DAY_MS)).toBe(false);
    group.coordinator.alterConfig({ "offsets.retention.minutes": null }, group.nowMs);
    const retentionMs = group.coordinator.config.offsetsRetentionMinutes * 60_000;
    expect(offsets.nextExpiryMs).toBe(leftMs + retentionMs);
    expect(offsets.isDead(leftMs + retentionMs - 1)).toBe(false);
    expect(offsets.isDead(leftMs + retentionMs)).toBe(true);
  });

  test("[OFF-10] a group that does not exist, has a member, or has a committed offset is not dead, whatever the time", () => {
    const never = new GroupScenario({ t: 1 });
    expect(never.coordinator.offsets.isDead(1e15)).toBe(false);
    const read = new GroupScenario({ t: 1 });
    read.join("a");
    read.coordinator.offsets.expire(1e15);
    expect(read.coordinator.offsets.isDead(1e15)).toBe(false);
    expect(read.coordinator.offsets.nextExpiryMs).toBe(Number.POSITIVE_INFINITY);
    expect(read.state.topics.size).toBe(1);
    const kept = left();
    expect(kept.coordinator.offsets.isDead(1e15)).toBe(false);
    const { offsets } = kept.coordinator;
    offsets.expire(1e15);
    expect(offsets.isDead(1e15)).toBe(true);
  });
});
