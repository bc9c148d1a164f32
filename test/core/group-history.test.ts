// The flight recorder: what the coordinator's operations leave behind for people.
import { expect, test } from "vitest";
import { GroupStore } from "../../durable-objects/group/group-store.ts";
import { Coordinator } from "../../src/core/group/coordinator.ts";
import type { HistoryEntry } from "../../src/core/group/history.ts";
import type { PartitionKey } from "../../src/core/group/partition-key.ts";
import { MAX_HISTORY_OPERATIONS, MAX_HISTORY_PARTITIONS } from "../../src/core/limits.ts";
import { nodeSql } from "../support/node-sql.ts";

const TOPIC = { topicId: "t-1", name: "orders", partitions: 4 };

class Recorded {
  readonly storage = nodeSql();
  store = new GroupStore(this.storage, "g");
  coordinator = new Coordinator(this.store.load());
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
    this.coordinator = new Coordinator(this.store.load());
  }
}

function short(entry: HistoryEntry): string {
  const places = entry.partitions?.map(({ topic, partitions }) => `${topic}:${partitions}`) ?? [];
  return [entry.type, entry.memberId, entry.topic, entry.reason, ...places]
    .filter((part) => part !== undefined)
    .join(" ");
}

test("[HIS-1] a join is told with what it set off: the epoch, why, who gives what up and gets it", () => {
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

test("[HIS-1] a lost connection, its return, a timeout, a leave and changes from outside are told with their reasons", () => {
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
  group.coordinator.expire(() => group.nowMs, group.nowMs);
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
  group.coordinator.offsets.reset([{ key: "t-1:2", offset: 7 }], [], group.nowMs);
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

test("[HIS-1] commits are not told, and an entry names so many partitions at most", () => {
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

test("[HIS-2] it outlives evictions, in order, and the oldest operations make room", () => {
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
