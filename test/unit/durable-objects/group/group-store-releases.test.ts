// A group's storage between this release and the previous one, which uses it after a rollback [VER-6]: each finds what the
// other has written.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { GroupStore } from "../../../../durable-objects/group/group-store.ts";
import type { Transactional } from "../../../../durable-objects/shared/sql.ts";
import { type ClassicState, NO_CLASSIC_MEMBERS } from "../../../../src/core/group/classic-state.ts";
import type { PartitionKey } from "../../../../src/core/group/partition-key.ts";
import { emptyGroup, type GroupEvent, replay } from "../../../../src/core/group/state.ts";
import { runs } from "../../../support/effort.ts";
import { GroupScenario } from "../../../support/group-scenario.ts";
import { GroupStoreOf02 } from "../../../support/group-store-of-0-2.ts";
import { nodeSql } from "../../../support/node-sql.ts";
import { AGE_GROUP_TO_2 } from "../../../support/older-group.ts";
import { plain } from "../../../support/plain-state.ts";

const open = (storage: Transactional) => new GroupStore(storage, "group");
const openBefore = (storage: Transactional) => new GroupStoreOf02(storage, "group");

/** Writes the events with a newly opened store, which has loaded the content. */
function write(storage: Transactional, events: readonly GroupEvent[], isBefore = false): void {
  if (isBefore) {
    openBefore(storage).apply(events);
    return;
  }
  const store = open(storage);
  // As in the group: a decision is in its state when it is stored.
  const state = store.load();
  for (const event of events) replay(state, event);
  store.apply(events);
}

/** The events of an active group since the last time. */
class Story {
  readonly group = new GroupScenario({ t: 4, u: 2 });
  #told = 0;

  take(): GroupEvent[] {
    const events = this.group.events.slice(this.#told);
    this.#told = this.group.events.length;
    return events;
  }

  act({ action, member, amount }: Act): void {
    const { group } = this;
    const memberId = `m${member}`;
    const known = group.state.members.get(memberId);
    if (action === "join") group.join(memberId, { topics: amount % 3 === 0 ? ["u"] : ["t", "u"] });
    else if (action === "leave") group.leave(memberId);
    else if (action === "break") group.disconnect(memberId);
    else if (action === "revoked") group.revokeAll();
    else if (action === "grow") group.growTopic("t", (group.topics[0]?.partitions ?? 0) + 1);
    else if (action === "replace") group.replaceTopic("u", 2);
    else if (action === "time") group.advance(amount);
    else
      for (const key of known?.assigned ?? [])
        group.commit(memberId, { [key]: amount }, { metadata: `"${amount}'ä`, isRewind: true });
  }
}

const act = fc.record({
  action: fc.constantFrom(
    ...["join", "join", "leave", "break", "revoked", "grow", "replace", "time"],
    ...["commit", "commit"],
  ),
  member: fc.nat(2),
  amount: fc.nat(60_000),
});
type Act = typeof act extends fc.Arbitrary<infer Each> ? Each : never;

test("[VER-6] whichever of the two writes, and however often they change, both find the same group", () => {
  const life = fc.record({ isBefore: fc.boolean(), acts: fc.array(act, { maxLength: 4 }) });
  fc.assert(
    fc.property(fc.array(life, { maxLength: 25, size: "max" }), (lives) => {
      const storage = nodeSql();
      const story = new Story();
      const expected = emptyGroup("group");
      for (const { isBefore, acts } of lives) {
        for (const each of acts) story.act(each);
        const events = story.take();
        write(storage, events, isBefore);
        for (const event of events) replay(expected, event);
        expect(openBefore(storage).load()).toEqual(expected);
        expect(plain(open(storage).load())).toEqual(expected);
      }
    }),
    runs(30),
  );
});

/** A group with two members, one of which only follows the other's epochs, and with committed offsets. */
function written(): { storage: Transactional; story: Story } {
  const storage = nodeSql();
  const story = new Story();
  for (const action of ["join", "commit"]) story.act({ action, member: 0, amount: 7 });
  story.act({ action: "join", member: 1, amount: 0 });
  story.act({ action: "revoked", member: 0, amount: 0 });
  story.act({ action: "commit", member: 1, amount: 9 });
  write(storage, story.take());
  return { storage, story };
}

const rows = (storage: Transactional, query: string) =>
  Array.from(storage.sql.exec(query), (row) => ({ ...row }));

describe("what the release before is shown", () => {
  test("[VER-6] a stable member is at the epoch of its group, even if its row is older", () => {
    const { storage, story } = written();
    const stored = () => rows(storage, "SELECT member_id, json FROM stored_members");
    const before = stored();
    // Both have all that they will have, so the new epoch changes neither.
    story.group.join("m2", { topics: ["elsewhere"] });
    const events = story.take().filter((each) => each.type !== "member" || each.isOnlyEpoch);
    expect(events.map(({ type }) => type)).toContain("member");
    write(storage, events);
    expect(stored()).toEqual(before);
    const epoch = story.group.state.groupEpoch;
    expect(rows(storage, "SELECT json ->> '$.memberEpoch' AS epoch FROM members")).toEqual([
      { epoch },
      { epoch },
    ]);
    expect([...open(storage).load().members.values()].map((each) => each.memberEpoch)).toEqual([
      ...[epoch, epoch],
    ]);
  });

  test("[VER-6] a member that owes partitions, or waits for some, is at its own epoch", () => {
    const { storage, story } = written();
    for (const memberId of ["m0", "m1"]) story.group.revoked(memberId);
    story.group.join("m2", { topics: ["t"] });
    write(storage, story.take());
    const shown = rows(
      storage,
      "SELECT json ->> '$.memberId' AS id, json ->> '$.state' AS state, json ->> '$.memberEpoch' AS epoch FROM members ORDER BY id",
    );
    const { members } = story.group.state;
    expect(shown).toEqual(
      ["m0", "m1", "m2"].map((id) => {
        const member = members.get(id);
        return { id, state: member?.state, epoch: member?.memberEpoch };
      }),
    );
    expect(new Set(shown.map(({ state }) => state)).size).toBeGreaterThan(1);
  });

  test("[VER-6] its own version is still enough for it", () => {
    const { storage } = written();
    expect(rows(storage, "SELECT version, oldest_reader FROM schema_version")).toEqual([
      { version: 5, oldest_reader: 2 },
    ]);
  });

  test("[VER-6] the members of a classic group are found by both", () => {
    const { storage } = written();
    const classic: ClassicState = { ...NO_CLASSIC_MEMBERS, generation: 4 };
    const change = (generation: number): GroupEvent => ({
      ...{ type: "classic", classic: { ...classic, generation } },
      ...{ isStored: true, reason: "left" },
    });
    write(storage, [change(4)]);
    expect(openBefore(storage).load().classic).toEqual(classic);
    write(storage, [change(5)], true);
    expect(open(storage).load().classic.generation).toBe(5);
  });
});

describe("the deadline", () => {
  /** A group that has checked its members, and need not check again before `LATER_MS`. */
  const LATER_MS = 5_000_000;
  function looked() {
    const made = written();
    open(made.storage).setDeadline({ atMs: LATER_MS, setAtMs: 1 });
    return made;
  }
  const deadlineOf = (storage: Transactional) => open(storage).deadline().atMs;

  test("[GRP-7] of a new group is none, and is what was set last, across restarts", () => {
    const storage = nodeSql();
    const store = open(storage);
    store.setDeadline({ atMs: 5, setAtMs: 1 });
    expect(store.deadline(), "there is no group").toEqual({ atMs: null, setAtMs: 0 });
    expect(rows(storage, "SELECT name FROM sqlite_master")).toEqual([]);
    const story = new Story();
    story.act({ action: "join", member: 0, amount: 1 });
    write(storage, story.take());
    expect(deadlineOf(storage)).toBe(null);
    const kept = open(storage);
    kept.setDeadline({ atMs: 9, setAtMs: 7 });
    expect(kept.deadline()).toEqual({ atMs: 9, setAtMs: 7 });
    expect(open(storage).deadline()).toEqual({ atMs: 9, setAtMs: 7 });
    kept.setDeadline({ atMs: null, setAtMs: 8 });
    expect(open(storage).deadline()).toEqual({ atMs: null, setAtMs: 8 });
  });

  test("[VER-1] of a group from release 0.2 is due: it has checked nobody", () => {
    const { storage } = looked();
    for (const query of AGE_GROUP_TO_2) storage.sql.exec(query);
    expect(deadlineOf(storage)).toBe(0);
    open(storage).setDeadline({ atMs: LATER_MS, setAtMs: 1 });
    expect(deadlineOf(storage)).toBe(LATER_MS);
  });

  /** Each row is something that release 0.2 does after a rollback, and that its own alarm would have to end. */
  test.each<[string, (story: Story) => void]>([
    ["a member joins", ({ group }) => group.join("m2", { topics: ["t"] })],
    ["a member's connection is lost", ({ group }) => group.disconnect("m1")],
    ["a member leaves", ({ group }) => group.leave("m1")],
    ["all members leave", ({ group }) => void ["m0", "m1"].map((id) => group.leave(id))],
  ])("[VER-6] is due after a rollback in which %s", (_, act) => {
    const { storage, story } = looked();
    act(story);
    write(storage, story.take(), true);
    expect(deadlineOf(storage)).toBe(0);
    // Even once this release has written again, and has not checked yet.
    story.act({ action: "join", member: 0, amount: 0 });
    write(storage, story.take());
    expect(deadlineOf(storage)).toBe(0);
  });

  test("[VER-6] stays after a rollback with only commits", () => {
    const { storage, story } = looked();
    const [key] = story.group.assigned("m0") as [PartitionKey];
    story.group.commit("m0", { [key]: 99 });
    write(storage, story.take(), true);
    expect(deadlineOf(storage)).toBe(LATER_MS);
  });

  test("[GRP-7] stays while this release writes", () => {
    const { storage, story } = looked();
    for (const action of ["join", "grow", "commit", "leave"])
      story.act({ action, member: 2, amount: 1 });
    write(storage, story.take());
    expect(deadlineOf(storage)).toBe(LATER_MS);
  });
});

describe("the number of members, and of those that do not poll", () => {
  test("[HIB-2] [RPT-1] is known once it is written, and not from what the previous release wrote", () => {
    const storage = nodeSql();
    expect(open(storage).attachedMembers).toBe(0);
    expect(open(storage).memberCount).toBe(0);
    const story = new Story();
    story.group.join("m0", { topics: ["t"] });
    story.group.join("m1", { topics: ["t"] });
    story.group.join("p", { topics: ["t"], polls: true });
    write(storage, story.take());
    const known = () => {
      const store = open(storage);
      store.load();
      return [store.memberCount, store.attachedMembers];
    };
    expect(known()).toEqual([3, 2]);
    story.group.leave("m0");
    write(storage, story.take(), true);
    expect(known()).toEqual([null, null]);
    story.group.join("m3", { topics: ["t"] });
    write(storage, story.take());
    expect(known()).toEqual([3, 2]);
  });
});

describe("rows", () => {
  /** The storage, and the statements that read it. */
  function counted() {
    const { storage, story } = written();
    const reads: string[] = [];
    const counting: Transactional = {
      transactionSync: (body) => storage.transactionSync(body),
      sql: {
        databaseSize: 0,
        exec(query, ...bindings) {
          if (/FROM (stored_members|targets|topics|positions)/.test(query)) reads.push(query);
          return storage.sql.exec(query, ...bindings);
        },
      },
    };
    return { store: open(counting), reads, story };
  }

  test("[GRP-11] for members, targets, topics and offsets are read on request", () => {
    const { store, reads, story } = counted();
    const state = store.load();
    expect(reads, "waking up reads none").toEqual([]);
    expect(state.members.get("m0")).toEqual(story.group.state.members.get("m0"));
    expect(reads).toHaveLength(1);
    expect(state.topics.withId?.("u")).toEqual(story.group.state.topics.get("u"));
    expect(state.topics.withId?.("nowhere")).toBe(undefined);
    expect(state.targets.get("m1")).toEqual(story.group.state.targets.get("m1"));
    expect(reads.filter((query) => !query.includes("WHERE"))).toEqual([]);
    const { length } = reads;
    expect(new Map(state.offsets)).toEqual(story.group.state.offsets);
    expect(reads.slice(length)).toHaveLength(1);
  });

  test("[GRP-9] a topic is found by its id as it is now: another's id, a new one, or none", () => {
    const { store } = counted();
    const { topics } = store.load();
    const ids = (...wanted: string[]) => wanted.map((id) => topics.withId?.(id)?.name);
    topics.set("u", { name: "u", topicId: "u-2", partitions: 1 });
    expect(ids("u", "u-2", "t")).toEqual([undefined, "u", "t"]);
    topics.delete("t");
    expect(ids("t", "u-2")).toEqual([undefined, "u"]);
  });

  test("[OFF-2] a commit that is the first thing after a restart is stored, and reads no member", () => {
    const { store, reads, story } = counted();
    const state = store.load();
    const key: PartitionKey = "t:9";
    const committed = { offset: 40, metadata: "", committedAtMs: 1 };
    const event = { type: "offset", key, committed } as const;
    replay(state, event);
    store.apply([event]);
    expect(reads.filter((query) => query.includes("stored_members"))).toEqual([]);
    const { offsets } = story.group.state;
    expect(offsets.size).toBeGreaterThan(2);
    expect(plain(store.load()).offsets).toEqual(new Map([...offsets, [key, committed]]));
  });
});
