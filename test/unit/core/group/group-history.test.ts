// The history: the traces of the coordinator's operations for people.
import { expect, test } from "vitest";
import { GroupStore } from "../../../../durable-objects/group/group-store.ts";
import { type ClassicState, NO_CLASSIC_MEMBERS } from "../../../../src/core/group/classic-state.ts";
import { type HistoryEntry, HistoryRecorder } from "../../../../src/core/group/history.ts";
import type { PartitionKey } from "../../../../src/core/group/partition-key.ts";
import { emptyGroup, type GroupState, type Member } from "../../../../src/core/group/state.ts";
import {
  MAX_HISTORY_ENTRIES_PER_OPERATION,
  MAX_HISTORY_OPERATIONS,
  MAX_HISTORY_PARTITIONS,
  MAX_HISTORY_PARTITIONS_PER_OPERATION,
} from "../../../../src/core/limits.ts";
import { ClassicRig } from "../../../support/classic-rig.ts";
import { GroupScenario } from "../../../support/group-scenario.ts";
import { nodeSql } from "../../../support/node-sql.ts";
import { seen } from "../../../support/sight.ts";
import { TestedCoordinator } from "../../../support/tested-coordinator.ts";

const TOPIC = { topicId: "t-1", name: "orders", partitions: 4 };

class Recorded {
  readonly storage = nodeSql();
  store = new GroupStore(this.storage, "g");
  coordinator = new TestedCoordinator(this.store.load());
  nowMs = 1_000;

  join(memberId: string, more: { topics?: string[]; memberEpoch?: number } = {}): void {
    const known = this.coordinator.state.members.get(memberId);
    this.coordinator.join(
      {
        memberId,
        memberEpoch: more.memberEpoch ?? 0,
        instanceId: null,
        clientId: `client-${memberId}`,
        topics: more.topics ?? ["orders"],
        topicPattern: null,
        sessionTimeoutMs: 5_000,
        rebalanceTimeoutMs: 5_000,
        polls: false,
        heartbeats: false,
        owned: more.memberEpoch ? (known?.assigned ?? new Set()) : new Set<PartitionKey>(),
      },
      [TOPIC],
      this.nowMs,
    );
  }

  /** Persists, as the object does, and returns the entries in short. */
  told(): string[] {
    const events = this.coordinator.takeEvents();
    const history = this.coordinator.takeHistory();
    this.store.apply(events, history, this.nowMs);
    return history.map(short);
  }

  evict(): void {
    this.store = new GroupStore(this.storage, "g");
    this.coordinator = new TestedCoordinator(this.store.load());
  }
}

function short(entry: HistoryEntry): string {
  const places = entry.partitions?.map(({ topic, partitions }) => `${topic}:${partitions}`) ?? [];
  return [entry.type, entry.memberId, entry.topic, entry.reason, ...places]
    .filter((part) => part !== undefined)
    .join(" ");
}

test("[HIS-1] a join is noted with its effects: the epoch, why, who gives what up and gets it", () => {
  const group = new Recorded();
  group.join("a");
  expect(group.told()).toEqual([
    "joined a",
    "topic changed orders partitions: unknown → 4",
    "rebalanced client-a joined; topic orders has 4 partitions",
    "assigned a orders:0,1,2,3",
  ]);
  group.join("b");
  expect(group.told()).toEqual([
    "joined b",
    "rebalanced client-b joined",
    expect.stringMatching(/^revoking a orders:\d,\d$/),
  ]);
  const { revoking } = group.coordinator.state.members.get("a") ?? { revoking: new Set() };
  group.coordinator.revoked("a", revoking as ReadonlySet<PartitionKey>, group.nowMs);
  expect(group.told()).toEqual([
    expect.stringMatching(/^revoked a orders:\d,\d$/),
    expect.stringMatching(/^assigned b orders:\d,\d$/),
  ]);
});

test("[HIS-1] a lost connection, its return, a timeout, a leave and outside changes are noted with their reasons", () => {
  const group = new Recorded();
  group.join("a");
  group.join("b");
  group.told();
  group.coordinator.disconnect("a", group.nowMs);
  expect(group.told()).toEqual(["disconnected a"]);
  group.join("a", { memberEpoch: 1 });
  expect(group.told()[0]).toBe("resumed a");
  group.coordinator.disconnect("a", group.nowMs);
  group.told();
  group.nowMs += 5_000;
  group.coordinator.expire(seen(group.nowMs), group.nowMs);
  expect(group.told().slice(0, 2)).toEqual([
    "removed a session timeout",
    "rebalanced client-a removed: session timeout",
  ]);
  group.coordinator.changeTopics([{ ...TOPIC, partitions: 6 }], [], group.nowMs);
  expect(group.told().slice(0, 2)).toEqual([
    "topic changed orders partitions: 4 → 6",
    "rebalanced topic orders has 6 partitions",
  ]);
  group.coordinator.leave("b", group.nowMs);
  expect(group.told()).toEqual(["removed b left", "rebalanced client-b removed: left"]);
  group.coordinator.offsets.reset(
    [{ topic: "orders", topicId: "t-1", partition: 2, offset: 7 }],
    [],
    group.nowMs,
  );
  expect(group.told()).toEqual(["offsets reset orders:2"]);
  group.coordinator.offsets.delete(["orders"]);
  expect(group.told()).toEqual(["offsets deleted orders"]);
  group.join("c");
  group.told();
  group.coordinator.changeTopics([], ["orders"], group.nowMs);
  expect(group.told().slice(0, 2)).toEqual([
    "topic removed orders",
    "rebalanced topic orders was deleted",
  ]);
});

test("[HIS-1] commits are not noted, and an entry names a bounded number of partitions", () => {
  const group = new Recorded();
  const many = { ...TOPIC, partitions: 1_000 };
  group.join("a");
  group.coordinator.changeTopics([many], [], group.nowMs);
  const assigned = group.coordinator
    .takeHistory()
    .find(({ partitionCount = 0 }) => partitionCount > 900);
  expect(assigned?.partitions?.flatMap(({ partitions }) => partitions)).toHaveLength(
    MAX_HISTORY_PARTITIONS,
  );
  group.told();
  const { memberEpoch } = group.coordinator.state.members.get("a") ?? { memberEpoch: 0 };
  const commit = { key: "t-1:0" as const, offset: 5, metadata: "", isRewind: false };
  group.coordinator.offsets.commit("a", memberEpoch, [commit], group.nowMs);
  expect(group.told()).toEqual([]);
});

test("[HIS-2] it survives evictions, in order, and the oldest operations make room", () => {
  const group = new Recorded();
  const rounds = MAX_HISTORY_OPERATIONS + 30;
  for (let round = 0; round < rounds; round++) {
    group.nowMs = 1_000 + round;
    group.join(`m${round}`);
    group.coordinator.leave(`m${round}`, group.nowMs);
    group.told();
    if (round % 97 === 0) group.evict();
  }
  group.evict();
  const joined = group.store.history(1_000_000).filter(({ type }) => type === "joined");
  expect(joined.map(({ memberId }) => memberId)).toEqual(
    Array.from(
      { length: MAX_HISTORY_OPERATIONS },
      (_, i) => `m${rounds - MAX_HISTORY_OPERATIONS + i}`,
    ),
  );
  expect(joined.map(({ atMs }) => atMs)).toEqual(
    joined.map(({ atMs }) => atMs).sort((a, b) => a - b),
  );
  const newest = group.store.history(3);
  expect(newest).toHaveLength(3);
  expect(newest.at(-1)?.atMs).toBe(1_000 + rounds - 1);
});

test("[HIS-1] a config that is set or removed is noted, with what is set then", () => {
  const group = new Recorded();
  group.join("a");
  group.told();
  group.coordinator.alterConfig({ "consumer.assignor": "range", "group.max.size": 9 }, 1_000);
  const [changed, rebalanced] = group.told();
  expect(changed).toMatch(/^config changed .*consumer\.assignor=range/);
  expect(changed).toContain("group.max.size=9");
  expect(rebalanced).toBe("rebalanced the config was changed");
  group.coordinator.alterConfig({ "consumer.assignor": null, "group.max.size": null }, 1_000);
  expect(group.told()[0]).toBe("config changed nothing set");
});

test("[HIS-1] a changed subscription is noted with its topics and its pattern, and causes the rebalance", () => {
  const group = new Recorded();
  group.join("a");
  group.told();
  group.join("a", { topics: ["orders", "more"], memberEpoch: 1 });
  expect(group.told()).toEqual([
    "subscribed a more, orders",
    "rebalanced client-a subscribed to more, orders",
  ]);
  const { state } = group.coordinator;
  const a = state.members.get("a");
  if (a === undefined) throw new Error("a is a member");
  const told = (member: Member) => {
    const recorder = new HistoryRecorder();
    recorder.record(state, { type: "member", member });
    return recorder.take().map(short);
  };
  expect(told({ ...a, topicPattern: "x.*" })).toEqual(["subscribed a more, orders, /x.*/"]);
  expect(told({ ...a, topics: [], topicPattern: "x.*" })).toEqual(["subscribed a /x.*/"]);
  expect(told(a)).toEqual([]);
});

test("[HIS-1] only a lost or returned socket is noted as such, once, not a poll", () => {
  const group = new GroupScenario({ t: 1 });
  const told = () => group.coordinator.takeHistory().map(({ type }) => type);
  group.join("a");
  told();
  group.disconnect("a");
  expect(told()).toEqual(["disconnected"]);
  group.alterConfig({ "group.max.size": 9 });
  expect(told()).toEqual(["config changed"]);
  group.coordinator.beginSessionsAnew(5_000_000);
  group.coordinator.takeEvents();
  expect(told()).toEqual([]);
  const polling = new GroupScenario({ t: 1 });
  polling.join("p", { polls: true });
  polling.coordinator.takeHistory();
  polling.nowMs += 1_000;
  polling.join("p", { polls: true, memberEpoch: 0 });
  expect(polling.coordinator.takeHistory()).toEqual([]);
});

test("[HIS-1] entries have the names of the members, and epochs from before", () => {
  const group = new GroupScenario({ t: 1 });
  group.join("a", { instanceId: "i" });
  const [joined, , rebalanced] = group.coordinator.takeHistory();
  expect(joined).toEqual({
    type: "joined",
    epoch: 0,
    memberId: "a",
    instanceId: "i",
    memberEpoch: 0,
  });
  expect(rebalanced).toMatchObject({ type: "rebalanced", epoch: 0, newEpoch: 1 });
  const named = new Recorded();
  named.join("b");
  expect(named.coordinator.takeHistory()[0]).toEqual({
    type: "joined",
    epoch: 0,
    memberId: "b",
    clientId: "client-b",
    memberEpoch: 0,
  });
});

test("[HIS-1] expired or deleted offsets rebalance nobody and are no cause of the next rebalance", () => {
  const recorder = new HistoryRecorder();
  const state = emptyGroup("g");
  for (const reason of ["offsets deleted", "offsets expired", "topic removed"] as const)
    recorder.record(state, { type: "topic-removed", name: "t", reason });
  recorder.record(state, { ...groupEvent(state), groupEpoch: 1 });
  expect(recorder.take().map(short)).toEqual([
    "offsets deleted t",
    "offsets expired t",
    "topic removed t",
    "rebalanced topic t was deleted",
  ]);
});

function groupEvent({ incarnation, groupEpoch, assignmentEpoch, ...rest }: GroupState) {
  const { nextMemberNumber, overrides, emptySinceMs } = rest;
  const counts = { incarnation, groupEpoch, assignmentEpoch, nextMemberNumber };
  return { type: "group" as const, ...counts, overrides, emptySinceMs };
}

test("[HIS-1] an operation has a bounded number of entries, causes and partitions", () => {
  const recorder = new HistoryRecorder();
  const state = emptyGroup("g");
  const group = new GroupScenario({ t: 1 });
  group.join("a");
  const member = group.member("a");
  const each = MAX_HISTORY_PARTITIONS - 1;
  const count = Math.ceil(MAX_HISTORY_PARTITIONS_PER_OPERATION / each) + 2;
  for (let i = 0; i < count; i++)
    recorder.record(state, {
      type: "member",
      member: {
        ...member,
        memberId: `m${i}`,
        assigned: new Set(Array.from({ length: each }, (_, p) => `t${p % 2}:${p}` as const)),
      },
    });
  recorder.record(state, { ...groupEvent(state), groupEpoch: 1 });
  const told = recorder.take();
  const reason = told.find(({ type }) => type === "rebalanced")?.reason ?? "";
  expect(reason.split("; ")).toEqual(Array.from({ length: 10 }, (_, i) => `m${i} joined`));
  const named = told
    .filter(({ type }) => type === "assigned")
    .map((entry) => {
      expect(entry.partitionCount).toBe(each);
      for (const { partitions } of entry.partitions ?? []) expect(partitions).not.toEqual([]);
      return (entry.partitions ?? []).reduce((sum, { partitions }) => sum + partitions.length, 0);
    });
  expect(named.reduce((sum, n) => sum + n, 0)).toBe(MAX_HISTORY_PARTITIONS_PER_OPERATION);
  expect(named.slice(0, count - 3)).toEqual(Array.from({ length: count - 3 }, () => each));
  expect(named.slice(-2)).toEqual([0, 0]);
  for (let i = 0; i < MAX_HISTORY_ENTRIES_PER_OPERATION + 5; i++)
    recorder.record(state, { type: "topic", topic: { name: "t", topicId: "t", partitions: 1 } });
  expect(recorder.take()).toHaveLength(MAX_HISTORY_ENTRIES_PER_OPERATION);
});

/** A classic group and the traces of its operations. */
class RecordedClassic extends ClassicRig {
  takeHistory(): HistoryEntry[] {
    return this.group.history.splice(0);
  }

  told(act: () => unknown): string[] {
    act();
    return this.takeHistory().map(short);
  }
}

/** A consumer's assignment of partitions of "t", as text. */
function assignment(...partitions: number[]): string {
  const bytes = [0, 1, 0, 0, 0, 1, 0, 1, 0x74, 0, 0, 0, partitions.length];
  return String.fromCharCode(...bytes, ...partitions.flatMap((each) => [0, 0, 0, each]));
}

test("[HIS-1] a classic group notes who joined and was removed and why, and who was assigned what", () => {
  const rig = new RecordedClassic();
  const known = { mustKnowId: false, clientId: "" };
  expect(rig.told(() => rig.join("", { ...known, newMemberId: "a" }))).toEqual([
    "joined a",
    "rebalanced a joined",
  ]);
  expect(rig.told(() => rig.sync("a", 1, { a: assignment(0, 3) }))).toEqual(["assigned a t:0,3"]);
  expect(rig.told(() => rig.beat("a", 1))).toEqual([]);
  const b = { ...known, clientId: "client-b", newMemberId: "b", instanceId: "i" };
  expect(rig.told(() => rig.join("", b))).toEqual(["joined b"]);
  expect(rig.told(() => rig.join("a"))).toEqual(["rebalanced client-b joined"]);
  expect(rig.told(() => rig.sync("b", 2, {}, { instanceId: "i" }))).toEqual([]);
  expect(rig.told(() => rig.sync("a", 2, { a: assignment(), b: assignment(1) }))).toEqual([
    "assigned b t:1",
  ]);
  expect(rig.told(() => rig.join("a"))).toEqual([]);
  expect(rig.told(() => rig.join("b", { ...b, newMemberId: "" }))).toEqual([
    "rebalanced a member asked for it",
  ]);
  expect(rig.told(() => rig.sync("a", 3))).toEqual([]);
  rig.nowMs += 9_000;
  expect(rig.told(() => rig.beat("a", 3))).toEqual([]);
  expect(rig.told(() => rig.pass(1_000))).toEqual(["removed b session timeout"]);
  expect(rig.told(() => rig.join("a"))).toEqual(["rebalanced client-b removed: session timeout"]);
  expect(rig.told(() => rig.group.leave("a", null, rig.nowMs))).toEqual([
    "removed a left",
    "rebalanced a removed: left",
  ]);
});

test("[HIS-1] an entry of a classic group has the member's names and the generation from before", () => {
  const rig = new RecordedClassic();
  rig.join("", { newMemberId: "a", instanceId: "i", clientId: "c" });
  expect(rig.takeHistory()).toEqual([
    { type: "joined", epoch: 0, memberId: "a", clientId: "c", instanceId: "i" },
    { type: "rebalanced", epoch: 0, newEpoch: 1, reason: "c joined" },
  ]);
  rig.sync("a", 1, { a: assignment(2) }, { instanceId: "i" });
  expect(rig.takeHistory()).toEqual([
    {
      type: "assigned",
      epoch: 1,
      memberId: "a",
      clientId: "c",
      instanceId: "i",
      memberEpoch: 1,
      partitions: [{ topic: "t", partitions: [2] }],
      partitionCount: 1,
    },
  ]);
  expect(rig.takeHistory()).toEqual([]);
  rig.join("", { newMemberId: "b", mustKnowId: false });
  expect(rig.takeHistory()[0]).not.toHaveProperty("instanceId");
});

test("[HIS-1] an operation of a classic group has a bounded number of entries, causes and partitions", () => {
  const member = (i: number, partitions: number) => ({
    memberId: `m${i}`,
    instanceId: null,
    clientId: "",
    clientHost: "/",
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 10_000,
    protocols: [],
    silentSinceMs: null,
    assignment: Uint8Array.from(
      [0, 1, 0, 0, 0, 2].concat(
        [0, 1].flatMap((topic) => {
          const count = topic === 0 ? 1 : partitions - 1;
          const ids = Array.from({ length: count }, (_, p) => [0, 0, p >> 8, p & 255]).flat();
          return [0, 1, 0x74 + topic, 0, 0, count >> 8, count & 255, ...ids];
        }),
      ),
    ),
  });
  const record = (count: number, partitions: number) => {
    const recorder = new HistoryRecorder();
    const members = new Map(
      Array.from({ length: count }, (_, i) => [`m${i}`, member(i, partitions)]),
    );
    const before: ClassicState = { ...NO_CLASSIC_MEMBERS, phase: "COMPLETING" };
    const classic: ClassicState = { ...before, members, phase: "STABLE", generation: 1 };
    const event = { type: "classic", classic, isStored: true, reason: "left" } as const;
    recorder.record({ ...emptyGroup("g"), classic: before }, event);
    return recorder.take();
  };
  const each = MAX_HISTORY_PARTITIONS - 1;
  const count = Math.ceil(MAX_HISTORY_PARTITIONS_PER_OPERATION / each) + 2;
  const told = record(count, each);
  const reason = told.find(({ type }) => type === "rebalanced")?.reason ?? "";
  expect(reason.split("; ")).toHaveLength(Math.min(count, 10));
  const named = told
    .filter(({ type }) => type === "assigned")
    .map(({ partitions = [], partitionCount }) => {
      expect(partitionCount).toBe(each);
      for (const some of partitions) expect(some.partitions).not.toEqual([]);
      return partitions.reduce((sum, some) => sum + some.partitions.length, 0);
    });
  expect(named.reduce((sum, n) => sum + n, 0)).toBe(MAX_HISTORY_PARTITIONS_PER_OPERATION);
  expect(named[0]).toBe(each);
  const one = record(1, MAX_HISTORY_PARTITIONS + 5).at(-1);
  expect(one).toMatchObject({ partitionCount: MAX_HISTORY_PARTITIONS + 5 });
  expect(one?.partitions?.flatMap(({ partitions }) => partitions)).toHaveLength(
    MAX_HISTORY_PARTITIONS,
  );
  expect(record(MAX_HISTORY_ENTRIES_PER_OPERATION + 5, 1)).toHaveLength(
    MAX_HISTORY_ENTRIES_PER_OPERATION,
  );
});
