import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { GroupStore } from "../../../../durable-objects/group/group-store.ts";
import type { SqlValue, Transactional } from "../../../../durable-objects/shared/sql.ts";
import {
  type ClassicMember,
  type ClassicState,
  NO_CLASSIC_MEMBERS,
} from "../../../../src/core/group/classic-state.ts";
import type { HistoryEntry } from "../../../../src/core/group/history.ts";
import {
  type PartitionKey,
  parsePartitionKey,
  partitionKey,
} from "../../../../src/core/group/partition-key.ts";
import {
  emptyGroup,
  type GroupEvent,
  type GroupState,
  replay,
} from "../../../../src/core/group/state.ts";
import { MAX_HISTORY_OPERATIONS, MAX_ROW_BYTES } from "../../../../src/core/limits.ts";
import { GroupScenario } from "../../../support/group-scenario.ts";
import { AGE_GROUP_TO_1 } from "../../../support/older-group.ts";
import { plain } from "../../../support/plain-state.ts";
import { seen } from "../../../support/sight.ts";
import { TestedCoordinator } from "../../../support/tested-coordinator.ts";

/** A database that outlives the stores on it, as an object's storage outlives the object. */
class Storage implements Transactional {
  readonly #database = new DatabaseSync(":memory:");
  /** Statements that write, so far. */
  writes = 0;
  /** The write with this number fails, as on a full disk. */
  failAt = Number.POSITIVE_INFINITY;

  readonly sql = {
    databaseSize: 0,
    exec: <Row extends Record<string, SqlValue>>(query: string, ...bindings: SqlValue[]): Row[] => {
      const statement = this.#database.prepare(query);
      const values = bindings.map((value) =>
        value instanceof ArrayBuffer ? new Uint8Array(value) : value,
      );
      if (!query.startsWith("SELECT") && this.writes++ >= this.failAt) throw new Error("disk full");
      return statement.all(...values) as Row[];
    },
  };

  transactionSync<T>(body: () => T): T {
    this.#database.exec("BEGIN");
    try {
      const result = body();
      this.#database.exec("COMMIT");
      return result;
    } catch (error) {
      this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  get tables(): string[] {
    return this.sql
      .exec<{ name: string }>("SELECT name FROM sqlite_master ORDER BY name")
      .map(({ name }) => name);
  }
}

const step = fc.record({
  action: fc.constantFrom(
    ...["join", "join", "static", "revoked", "revoked", "leave", "break", "time", "commit"],
    ...["commit", "create", "grow", "delete", "replace"],
  ),
  member: fc.nat(3),
  topic: fc.constantFrom("t", "u", "v"),
  amount: fc.nat(60_000),
});
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

/** Plays the steps; the events of each step are what the object stores in one transaction. */
function play(steps: readonly Step[]): { group: GroupScenario; operations: GroupEvent[][] } {
  const group = new GroupScenario({ t: 3, u: 1 });
  const operations: GroupEvent[][] = [];
  for (const each of steps) {
    const before = group.events.length;
    act(group, each);
    operations.push(group.events.slice(before));
  }
  return { group, operations };
}

function act(group: GroupScenario, { action, member: number, topic: name, amount }: Step): void {
  const memberId = `m${number}`;
  const member = group.state.members.get(memberId);
  const topic = group.topics.find((each) => each.name === name);
  if (action === "join") {
    // A name with everything that JSON and SQL might trip over.
    group.join(memberId, { topics: amount % 2 === 0 ? ["t", "u"] : [name, 'it\'s "ünknown"'] });
  } else if (action === "static") group.join(`s${amount}`, { topics: [name], instanceId: "i" });
  else if (action === "leave") group.leave(memberId);
  else if (action === "break") {
    for (const each of group.state.members.keys())
      if (each === memberId || each.startsWith("s")) group.disconnect(each);
  } else if (action === "time") group.advance(amount);
  else if (action === "revoked") {
    const owed = group.state.members.values().find(({ revoking }) => revoking.size > 0);
    if (owed !== undefined) group.revoked(owed.memberId, [...owed.revoking].slice(amount % 2));
  } else if (action === "commit" && member !== undefined) {
    for (const key of member.assigned)
      group.commit(memberId, { [key]: amount }, { metadata: `m'${amount}`, isRewind: true });
  } else if (action === "create" && topic === undefined) group.createTopic(name, 1 + (amount % 3));
  else if (action === "grow" && topic !== undefined) group.growTopic(name, topic.partitions + 1);
  else if (action === "delete" && topic !== undefined) group.deleteTopic(name);
  else if (action === "replace" && topic !== undefined) group.replaceTopic(name, 1 + (amount % 3));
}

const story = fc.array(step, { maxLength: 40, size: "max" });

describe("GroupStore", () => {
  test("[GRP-3] whatever any events leave is loaded, however many are stored at once", () => {
    fc.assert(
      fc.property(story, fc.infiniteStream(fc.integer({ min: 1, max: 5 })), (steps, sizes) => {
        const { group, operations } = play(steps);
        const storage = new Storage();
        const expected = emptyGroup("group");
        let store = new GroupStore(storage, "group");
        for (let at = 0; at < operations.length; ) {
          const size = sizes.next().value ?? 1;
          const piece = operations.slice(at, at + size).flat();
          at += size;
          store.apply(piece);
          for (const event of piece) replay(expected, event);
          // A new store each time: nothing is remembered except what is stored.
          store = new GroupStore(storage, "group");
          expect(loaded(store)).toEqual(expected);
        }
        expect(loaded(store)).toEqual(group.state);
      }),
      { numRuns: 100 },
    );
  });

  describe("a classic group", () => {
    const member: ClassicMember = {
      ...{ memberId: "m'1", instanceId: "i", clientId: "c", clientHost: "/h" },
      ...{ sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 30_000, silentSinceMs: 7 },
      protocols: [{ name: "range", metadata: new Uint8Array([0, 255]) }],
      assignment: new Uint8Array([1, 2]),
    };
    const settled: ClassicState = {
      ...NO_CLASSIC_MEMBERS,
      ...{ phase: "STABLE", generation: 3, protocolType: "consumer", protocolName: "range" },
      ...{ leaderId: "m'1", members: new Map([["m'1", member]]), goneTopics: new Set(["t"]) },
    };
    const change = (classic: ClassicState, isStored: boolean): GroupEvent => ({
      type: "classic",
      classic,
      isStored,
      reason: "left",
    });
    /** A group that exists, and its storage. */
    const made = () => {
      const storage = new Storage();
      const store = new GroupStore(storage, "group");
      const coordinator = new TestedCoordinator(store.load());
      coordinator.alterConfig({ "group.max.size": 9 }, 1);
      store.apply(coordinator.takeEvents());
      return { storage, store, load: () => new GroupStore(storage, "group").load().classic };
    };

    test("[CLS-7] its last state is stored if any change of it must outlive a restart, otherwise nothing", () => {
      const { storage, store, load } = made();
      const { writes } = storage;
      expect(store.apply([change(settled, false), change(settled, false)])).toBe(false);
      expect([storage.writes, load()]).toEqual([writes, NO_CLASSIC_MEMBERS]);
      const next = { ...settled, generation: 4 };
      expect(store.apply([change(settled, true), change(next, false)])).toBe(true);
      expect(storage.writes, "it costs one row").toBe(writes + 1);
      expect(load()).toEqual(next);
    });

    test("[BND-20] [CLS-7] metadata that is too large for a row continues in others, and frees them again", () => {
      const { storage, store, load } = made();
      const rows = () => storage.sql.exec<{ json: string }>("SELECT json FROM classic ORDER BY id");
      const members = new Map(
        Array.from({ length: 3 }, (_, i): [string, ClassicMember] => {
          const metadata = new Uint8Array(600_000).fill(i);
          const protocols = [{ name: "range", metadata }];
          return [`m${i}`, { ...member, memberId: `m${i}`, protocols }];
        }),
      );
      const large = { ...settled, members };
      store.apply([change(large, true)]);
      expect(rows().length).toBeGreaterThan(2);
      for (const { json } of rows()) expect(json.length).toBeLessThan(MAX_ROW_BYTES);
      // As text, because a list of so many numbers is compared number by number.
      const shown = (state: ClassicState) =>
        Array.from(state.members.values(), ({ memberId, protocols }) => [
          memberId,
          ...protocols.map(({ metadata }) => Buffer.from(metadata).toString("latin1")),
        ]);
      expect(shown(load()).join() === shown(large).join()).toBe(true);
      store.apply([change(settled, true)]);
      expect(rows()).toHaveLength(1);
      expect(load()).toEqual(settled);
    });

    test("[CLS-7] a rebalance is loaded as one that begins again: nobody waits, and there is no deadline", () => {
      const { store, load } = made();
      const waiting = {
        deadlineMs: 9,
        pending: new Map([["p", 9]]),
        joining: new Map([["m'1", 1]]),
        syncing: new Map([["m'1", 2]]),
      };
      for (const phase of ["PREPARING", "COMPLETING"] as const) {
        store.apply([change({ ...settled, ...waiting, phase }, true)]);
        expect(load()).toEqual({ ...settled, phase: "PREPARING" });
      }
      store.apply([change({ ...NO_CLASSIC_MEMBERS, generation: 5 }, true)]);
      expect(load()).toEqual({ ...NO_CLASSIC_MEMBERS, generation: 5 });
    });

    test("[KFK-20] signs of life and sent news are not stored", () => {
      const { storage, store } = made();
      const { writes } = storage;
      const events: GroupEvent[] = [
        { type: "heard", memberId: "m" },
        { type: "unheard", memberId: "m" },
        { type: "told", memberId: "m", partitions: new Set() },
      ];
      expect(store.apply(events)).toBe(false);
      expect(storage.writes).toBe(writes);
      expect(new GroupStore(storage, "group").load().told.size).toBe(0);
    });
  });

  test("[VER-5] a member whose id SQLite kept in another spelling is known by that, and can be removed", () => {
    const storage = new Storage();
    const scenario = new GroupScenario({ t: 1 });
    scenario.join("m\ufffd");
    const store = new GroupStore(storage, "group");
    store.load();
    store.apply(scenario.events);
    storage.sql.exec(
      `UPDATE stored_members SET json = replace(json, 'm\ufffd', 'm' || char(92) || 'ud800')`,
    );
    const again = new GroupStore(storage, "group");
    const loaded = new TestedCoordinator(again.load());
    for (const [id, { memberId }] of loaded.state.members) expect(memberId).toBe(id);
    loaded.leave("m\ufffd", 1);
    again.apply(loaded.takeEvents());
    expect([...new GroupStore(storage, "group").load().members.keys()]).toEqual([]);
  });

  test("[OFF-13] data of a release without leader epochs is read, and accepts them from then on", () => {
    const storage = new Storage();
    const at = (partition: number) => partitionKey("t", partition);
    const commit = (partition: number, leaderEpoch: object): GroupEvent => ({
      type: "offset",
      key: at(partition),
      committed: { offset: partition, metadata: "", ...leaderEpoch, committedAtMs: 1 },
    });
    const apply = (...events: GroupEvent[]) => new GroupStore(storage, "group").apply(events);
    const epochs = () =>
      [0, 1].map((partition) => {
        const { offsets } = new GroupStore(storage, "group").load();
        return offsets.get(at(partition))?.leaderEpoch;
      });
    const { operations } = play([{ action: "join", member: 0, topic: "t", amount: 0 }]);
    apply(...operations.flat(), commit(0, {}));
    for (const query of AGE_GROUP_TO_1) storage.sql.exec(query);
    expect(epochs()).toEqual([undefined, undefined]);
    apply(commit(1, { leaderEpoch: 7 }));
    expect(epochs()).toEqual([undefined, 7]);
    apply(commit(0, { leaderEpoch: 0 }), commit(1, {}));
    expect(epochs()).toEqual([0, undefined]);
  });

  test("[GRP-2] a loaded coordinator continues as the evicted one would have", () => {
    fc.assert(
      fc.property(story, story, (steps, later) => {
        const { group, operations } = play(steps);
        const store = new GroupStore(new Storage(), "group");
        for (const events of operations) store.apply(events);
        const woken = new TestedCoordinator(store.load());
        // The same commands to both: all members let go, one joins, time passes.
        for (const { member: number, amount } of later) {
          for (const coordinator of [group.coordinator, woken]) {
            for (const { memberId, revoking } of [...coordinator.state.members.values()])
              coordinator.revoked(memberId, revoking, group.nowMs);
            const join = {
              memberId: `m${number}`,
              memberEpoch: 0,
              instanceId: null,
              clientId: null,
              topics: ["t", "u"],
              topicPattern: null,
              sessionTimeoutMs: 10_000,
              rebalanceTimeoutMs: 5_000,
              owned: new Set<PartitionKey>(),
              polls: false,
              heartbeats: false,
            };
            coordinator.join(join, [...coordinator.state.topics.values()], group.nowMs);
            coordinator.expire(seen(group.nowMs), group.nowMs + (amount % 8_000));
          }
          expect(plain(woken.state)).toEqual(group.state);
        }
      }),
      { numRuns: 50 },
    );
  });

  test("[GRP-3] a failed write stores nothing of its operation", () => {
    const { operations } = play([
      { action: "join", member: 1, topic: "t", amount: 0 },
      { action: "commit", member: 1, topic: "t", amount: 7 },
      { action: "join", member: 2, topic: "t", amount: 0 },
    ]);
    const [first = [], second = [], third = []] = operations;
    for (let failAt = 0; ; failAt++) {
      const storage = new Storage();
      const store = new GroupStore(storage, "group");
      const before = emptyGroup("group");
      for (const events of [first, second, third]) {
        storage.failAt = storage.writes + failAt;
        if (!hasFailed(() => store.apply(events))) {
          for (const event of events) replay(before, event);
          continue;
        }
        expect(loaded(new GroupStore(storage, "group"))).toEqual(before);
        expect(loaded(store), "the store that failed").toEqual(before);
        // It was full for a moment only: the same store accepts the same events then.
        storage.failAt = Number.POSITIVE_INFINITY;
        store.apply(events);
        for (const event of events) replay(before, event);
        expect(loaded(new GroupStore(storage, "group"))).toEqual(before);
      }
      const mostWrites = 5 + Math.max(first.length, second.length, third.length);
      if (failAt >= mostWrites) return;
    }
  });

  test("[GRP-3] a group that nobody joined owns no tables", () => {
    const storage = new Storage();
    const store = new GroupStore(storage, "group");
    expect(store.load()).toEqual(emptyGroup("group"));
    store.apply([]);
    expect(storage.tables).toEqual([]);
    expect(storage.writes).toBe(0);
  });

  test("[GRP-3] of several events about one thing only the last costs a write", () => {
    const group = new GroupScenario({ t: 2 });
    const storage = new Storage();
    const store = new GroupStore(storage, "group");
    group.join("a");
    store.apply(group.events);
    const [writes, events] = [storage.writes, group.events.length];
    for (let offset = 1; offset <= 100; offset++) group.commit("a", { "t:0": offset });
    store.apply(group.events.slice(events));
    expect(storage.writes - writes).toBe(1);
    expect(loaded(store)).toEqual(group.state);
  });

  test("[GRP-5] a member that leaves and joins again within one write is stored as it is now", () => {
    const group = new GroupScenario({ t: 2, u: 2 });
    const store = new GroupStore(new Storage(), "group");
    group.join("a", { topics: ["t", "u"] });
    group.join("b", { topics: ["t"] });
    store.apply(group.events);
    const events = group.events.length;
    group.leave("a");
    group.join("a", { topics: ["u"] });
    store.apply(group.events.slice(events));
    expect(loaded(store)).toEqual(group.state);
  });

  test("[GRP-9] several topics that go or come within one write are all stored", () => {
    const store = new GroupStore(new Storage(), "group");
    const { operations } = play([{ action: "join", member: 0, topic: "t", amount: 0 }]);
    store.apply(operations.flat());
    const known = (...names: string[]) =>
      expect([...store.load().topics.keys()].sort()).toEqual(names);
    known("t", "u");
    const topic = (name: string): GroupEvent => ({
      type: "topic",
      topic: { name, topicId: name, partitions: 1 },
    });
    const removed = (name: string): GroupEvent => ({
      type: "topic-removed",
      name,
      reason: "topic removed",
    });
    store.apply([topic("v"), removed("t"), removed("u")]);
    known("v");
    store.apply([removed("v"), topic("v"), topic("w"), removed("w")]);
    known("v");
  });

  test("[OFF-7] several committed offsets that go or come within one write are all stored", () => {
    const store = new GroupStore(new Storage(), "group");
    const { operations } = play([{ action: "join", member: 0, topic: "t", amount: 0 }]);
    const key = (partition: number) => partitionKey("t", partition);
    const offset = (partition: number): GroupEvent => ({
      type: "offset",
      key: key(partition),
      committed: { offset: partition, metadata: "", committedAtMs: 1 },
    });
    const removed = (partition: number): GroupEvent => ({
      type: "offset-removed",
      key: key(partition),
    });
    store.apply([...operations.flat(), offset(0), offset(1), offset(2)]);
    store.apply([removed(0), removed(1), offset(1), offset(3), removed(3)]);
    expect([...store.load().offsets.keys()].sort()).toEqual([key(1), key(2)]);
  });

  test("[GRP-3] a member of an older release counts as one without what that release did not write", () => {
    const storage = new Storage();
    const store = new GroupStore(storage, "group");
    const { operations } = play([{ action: "join", member: 0, topic: "t", amount: 0 }]);
    store.apply(operations.flat());
    storage.sql.exec(
      "UPDATE stored_members SET json = json_remove(json, '$.heartbeats', '$.assignmentEpochs')",
    );
    const [member] = store.load().members.values();
    expect(member).toMatchObject({
      heartbeats: false,
      delivered: new Map(),
      refusedAcks: new Map(),
    });
    // It has held its partitions since its own epoch.
    const epochs = new Set(member?.assignmentEpochs.values());
    expect(epochs).toEqual(new Set([member?.memberEpoch]));
    expect(member?.assignmentEpochs.size).toBe(member?.assigned.size);
  });

  test("[POL-5] what a member was sent, and which acks did not count, is loaded as it was", () => {
    const store = new GroupStore(new Storage(), "group");
    const group = new GroupScenario({ t: 2 });
    group.join("a", { polls: true });
    store.apply(group.events);
    const [member] = group.state.members.values();
    if (member === undefined) throw new Error("nobody joined");
    const key = partitionKey("t", 1);
    const changed = { ...member, delivered: new Map([[key, 4]]), refusedAcks: new Map([[key, 9]]) };
    store.apply([{ type: "member", member: changed }]);
    expect(store.load().members.get("a")).toEqual(changed);
  });

  test("[HIS-2] the newest entries come oldest first, across evictions, and the ring keeps its bound", () => {
    const storage = new Storage();
    const { operations } = play([{ action: "join", member: 0, topic: "t", amount: 0 }]);
    let store = new GroupStore(storage, "group");
    expect(store.history(5)).toEqual([]);
    const entry = (number: number) =>
      ({ type: "left", epoch: 1, memberId: `m${number}` }) as unknown as HistoryEntry;
    store.apply(operations.flat(), [entry(1), entry(2)], 100);
    store.apply([], [entry(3)], 200);
    store = new GroupStore(storage, "group");
    store.apply([], [entry(4), entry(5)], 300);
    const told = (limit: number) =>
      store
        .history(limit)
        .map(({ atMs, ...each }) => [
          atMs,
          Number((each as unknown as { memberId: string }).memberId.slice(1)),
        ]);
    expect(told(9)).toEqual([
      ...[
        [100, 1],
        [100, 2],
        [200, 3],
        [300, 4],
        [300, 5],
      ],
    ]);
    expect([told(1), told(2), told(3)]).toEqual([
      [[300, 5]],
      [
        [300, 4],
        [300, 5],
      ],
      [
        [200, 3],
        [300, 4],
        [300, 5],
      ],
    ]);
    for (let i = 0; i < MAX_HISTORY_OPERATIONS; i++) store.apply([], [entry(10 + i)], 400 + i);
    const rows = storage.sql.exec<{ count: number }>("SELECT count(*) AS count FROM history");
    expect(rows[0]?.count).toBe(MAX_HISTORY_OPERATIONS);
    expect(told(MAX_HISTORY_OPERATIONS + 9)[0]).toEqual([400, 10]);
  });

  test("[OFF-13] leader epochs are stored whatever else is written with them", () => {
    const store = new GroupStore(new Storage(), "group");
    const { operations } = play([{ action: "join", member: 0, topic: "t", amount: 0 }]);
    const offset = (partition: number, leaderEpoch: object): GroupEvent => ({
      type: "offset",
      key: partitionKey("t", partition),
      committed: { offset: 1, metadata: "", ...leaderEpoch, committedAtMs: 1 },
    });
    store.apply([...operations.flat(), offset(0, {}), offset(1, { leaderEpoch: 4 })]);
    const epochs = [...store.load().offsets.values()].map(({ leaderEpoch }) => leaderEpoch);
    expect(epochs).toEqual([undefined, 4]);
  });

  test("[GRP-5] a member that comes and goes within one write leaves nothing, at the cost of its removal", () => {
    const storage = new Storage();
    const store = new GroupStore(storage, "group");
    const group = new GroupScenario({ t: 2 });
    group.join("a");
    store.apply(group.events);
    const before = group.events.length;
    group.join("b");
    group.leave("b");
    const news = group.events
      .slice(before)
      .filter((event) => "memberId" in event || event.type === "member");
    const own = news.filter((event) =>
      event.type === "member"
        ? event.member.memberId === "b"
        : "memberId" in event && event.memberId === "b",
    );
    expect(own.map(({ type }) => type)).toEqual(
      expect.arrayContaining(["member", "target", "member-removed"]),
    );
    const writes = storage.writes;
    store.apply(own);
    expect(storage.writes - writes).toBe(2);
    const tables = ["stored_members", "targets"].map((table) =>
      storage.sql.exec<{ member_id: string }>(`SELECT member_id FROM ${table}`),
    );
    expect(tables).toEqual([[{ member_id: "a" }], [{ member_id: "a" }]]);
    store.apply([{ type: "member-removed", memberId: "a", reason: "left" }]);
    expect(store.load().members.size + store.load().targets.size).toBe(0);
  });

  test("[OFF-2] committed offsets of any size are loaded as they were committed", () => {
    const offset = fc.nat(Number.MAX_SAFE_INTEGER);
    const commit = fc.record({ key: fc.constantFrom<PartitionKey>("t:0", "t:1", "t:2"), offset });
    fc.assert(
      fc.property(
        fc.array(commit),
        fc.string({ unit: "grapheme", maxLength: 20 }),
        (commits, metadata) => {
          const group = new GroupScenario({ t: 3 });
          const storage = new Storage();
          group.join("a");
          for (const { key, offset } of commits)
            group.commit("a", { [key]: offset }, { metadata, isRewind: true });
          new GroupStore(storage, "group").apply(group.events);
          expect(loaded(new GroupStore(storage, "group")).offsets).toEqual(group.state.offsets);
        },
      ),
    );
  });

  test("[OFF-2] after an eviction the next owner starts where the previous one committed", () => {
    const group = new GroupScenario({ t: 2 });
    const storage = new Storage();
    const store = new GroupStore(storage, "group");
    group.join("a");
    group.commit("a", { "t:0": 41, "t:1": 17 });
    group.join("b");
    const [key] = group.revoking("a");
    expect(key).toBeDefined();
    group.commit("a", { [key ?? "t:0"]: 42 });
    store.apply(group.events);

    const woken = new TestedCoordinator(new GroupStore(storage, "group").load());
    woken.revoked("a", new Set(key === undefined ? [] : [key]), group.nowMs);
    expect([...(woken.state.members.get("b")?.assigned ?? [])]).toEqual([key]);
    expect(woken.state.offsets.get(key ?? "t:0")?.offset).toBe(42);
  });

  test("[OFF-2] the offsets of a deleted topic stay deleted", () => {
    const group = new GroupScenario({ t: 2, u: 1 });
    const storage = new Storage();
    const store = new GroupStore(storage, "group");
    group.join("a");
    group.commit("a", { "t:0": 1, "t:1": 2, "u:0": 3 });
    store.apply(group.events);
    const events = group.events.length;
    group.deleteTopic("t");
    store.apply(group.events.slice(events));
    const { offsets } = new GroupStore(storage, "group").load();
    expect([...offsets.keys()].map((key) => parsePartitionKey(key).topicId)).toEqual(["u"]);
  });
});

/** Everything that the store finds. */
function loaded(store: GroupStore): GroupState {
  return plain(store.load());
}

function hasFailed(action: () => void): boolean {
  try {
    action();
    return false;
  } catch (error) {
    expect(String(error)).toContain("disk full");
    return true;
  }
}
