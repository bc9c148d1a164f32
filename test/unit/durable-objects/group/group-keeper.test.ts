// The group between its state machine and its storage: what is stored when, who is answered when, and what is left if the
// storage refuses.
import { describe, expect, test, vi } from "vitest";
import { GroupStore } from "../../../../durable-objects/group/group-store.ts";
import type { GroupRequest } from "../../../../src/core/group/requests.ts";
import type { TestedSocket } from "../../../support/fake-socket.ts";
import { KafkaMembersRig, standingDate } from "../../../support/kafka-members-rig.ts";
import { plain } from "../../../support/plain-state.ts";

standingDate();

const DISK_FULL = new Error("disk full");
const REFUSED = {
  code: "KAFKA_STORAGE_ERROR",
  message: expect.stringContaining("nothing was stored: Error: disk full"),
};

/** The outcome of a call so far. */
function watched<T>(promise: Promise<T>) {
  const state: { answer?: T; error?: unknown } = {};
  promise.then(
    (answer) => {
      state.answer = answer;
    },
    (error: unknown) => {
      state.error = error;
    },
  );
  return state;
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

/** The alarm rings this much later. `watch` has just answered. */
function pass(rig: KafkaMembersRig, ms: number, watch?: TestedSocket): void {
  vi.setSystemTime(Date.now() + ms);
  if (watch !== undefined) rig.sockets.alive.set(watch, new Date());
  rig.keeper.handle({ type: "expire" });
}

const ask = (rig: KafkaMembersRig, request: GroupRequest) => watched(rig.keeper.ask(request));
const join = (rig: KafkaMembersRig, memberId: string, metadata = 1) =>
  ask(rig, {
    type: "joinClassic",
    ...rig.classicJoin({
      memberId,
      protocols: [{ name: "range", metadata: new Uint8Array([metadata]) }],
    }),
  });

/** A group of two classic members, a and b, that is settled. */
async function settledPair(): Promise<{ rig: KafkaMembersRig; a: string; b: string }> {
  const rig = new KafkaMembersRig();
  const { memberId: a } = await rig.settledClassic();
  const joins = [
    rig.kafka.joinClassic(rig.classicJoin()),
    rig.kafka.joinClassic(rig.classicJoin({ memberId: a })),
  ];
  const [joinedB, joinedA] = await Promise.all(joins);
  const { generation = 0, memberId: b = "" } = joinedB ?? {};
  expect(joinedA?.leaderId).toBe(a);
  await rig.syncClassic({ memberId: a, instanceId: null, generation }, {});
  expect(rig.classic.phase).toBe("STABLE");
  return { rig, a, b };
}

describe("what is stored", () => {
  test("[GRP-3] a decision is stored in the turn in which it is made, before anyone learns of it", () => {
    const rig = new KafkaMembersRig();
    expect(rig.keeper.hasStored).toBe(false);
    rig.joinNative("m");
    expect(rig.steps).toEqual(["stored"]);
    expect(rig.keeper.hasStored).toBe(true);
    expect([...rig.stored.members.keys()]).toEqual(["m"]);
    expect(rig.stored).toEqual(plain(rig.state));
    expect(rig.takeHistory().map(({ type }) => type)).toContain("joined");
  });

  test("[GRP-11] a request that changes nothing stores nothing", async () => {
    const { rig, a } = await settledPair();
    rig.steps.length = 0;
    const { generation } = rig.classic;
    rig.keeper.handle({ type: "heartbeatClassic", memberId: a, instanceId: null, generation });
    rig.keeper.handle({ type: "expire" });
    expect(rig.steps).toEqual([]);
    rig.evict();
    rig.keeper.handle({ type: "leave", memberId: "nobody" });
    rig.steps.length = 0;
    rig.keeper.handle({ type: "leave", memberId: "nobody" });
    expect([rig.steps, rig.keeper.hasStored]).toEqual([[], true]);
  });

  test("[GRP-3] the events that nobody has seen are handed out once", () => {
    const rig = new KafkaMembersRig();
    rig.joinNative("a");
    rig.leaveNative("a");
    const types = rig.keeper.takeUntold().map(({ type }) => type);
    expect(types).toContain("member");
    expect(types.indexOf("member-removed")).toBeGreaterThan(types.indexOf("member"));
    expect(rig.keeper.takeUntold()).toEqual([]);
  });

  test("[HIB-2] a group that wakes notes once, on its first request, who lost its socket", () => {
    const rig = new KafkaMembersRig();
    rig.joinNative("m");
    rig.evict();
    const wokenMs = Date.now() + 5_000;
    vi.setSystemTime(wokenMs);
    expect(rig.state.members.get("m")?.silentSinceMs, "nothing is asked yet").toBe(null);
    rig.keeper.handle({ type: "leave", memberId: "nobody" });
    expect(rig.stored.members.get("m")?.silentSinceMs).toBe(wokenMs);
    expect(rig.takeHistory().map(({ type }) => type)).toContain("disconnected");
    vi.setSystemTime(wokenMs + 1_000);
    rig.steps.length = 0;
    rig.keeper.wake();
    expect(rig.steps).toEqual([]);
    expect(rig.state.members.get("m")?.silentSinceMs).toBe(wokenMs);
  });
});

describe("who waits for others", () => {
  test("[CLS-1] each gets its own response, in the turn of the last one", async () => {
    const { rig, a, b } = await settledPair();
    const first = join(rig, a, 2);
    await settled();
    expect(first).toEqual({});
    const last = join(rig, b);
    await settled();
    expect([first.answer, last.answer]).toMatchObject([
      { ok: true, memberId: a, members: [{ memberId: a }, { memberId: b }] },
      { ok: true, memberId: b, members: [] },
    ]);
  });

  test("[CLS-1] a request that waits for nobody has its response at once", () => {
    const rig = new KafkaMembersRig();
    expect(rig.keeper.handle({ type: "leaveClassic", members: [] })).toEqual({
      ok: true,
      outcomes: [],
    });
    const waits = { type: "joinClassic", ...rig.classicJoin({ memberId: "stranger" }) } as const;
    expect(rig.keeper.handle(waits)).toMatchObject({ error: "UNKNOWN_MEMBER_ID" });
  });
});

describe("where the storage refuses", () => {
  test("[ERR-1] nothing was decided: the group is as stored, and asked again it decides again", () => {
    const rig = new KafkaMembersRig();
    rig.joinNative("a");
    rig.keeper.takeUntold();
    const watch = rig.watch("a");
    rig.storage.error = DISK_FULL;
    expect(() => rig.joinNative("b")).toThrow(expect.objectContaining(REFUSED));
    expect([...rig.state.members.keys()]).toEqual(["a"]);
    expect(plain(rig.state)).toEqual(rig.stored);
    expect(watch.sent, "nobody is told of it").toEqual([]);
    expect(rig.keeper.takeUntold()).toEqual([]);
    rig.storage.error = null;
    rig.joinNative("b");
    expect([...rig.stored.members.keys()].sort()).toEqual(["a", "b"]);
    expect(rig.state.members.get("b")?.memberNumber).toBe(2);
  });

  test("[CLS-7] all that wait are refused, whoever's request it was, and none is answered later", async () => {
    const { rig, a, b } = await settledPair();
    const newcomer = { type: "joinClassic", ...rig.classicJoin() } as const;
    const { newMemberId } = newcomer;
    const waiting = [join(rig, a, 2), ask(rig, newcomer)];
    await settled();
    expect(waiting).toEqual([{}, {}]);
    rig.storage.error = DISK_FULL;
    expect(() => rig.alterConfig({ "group.max.size": 9 })).toThrow(
      expect.objectContaining(REFUSED),
    );
    await settled();
    expect(waiting).toMatchObject([{ error: REFUSED }, { error: REFUSED }]);
    expect(rig.kafka.isHeard(newMemberId), "it is no member").toBe(false);
    rig.storage.error = null;
    // The rebalance, which is stored, continues without the calls.
    expect([rig.classic.phase, rig.classic.joining.size]).toEqual(["PREPARING", 0]);
    const again = [a, b].map((memberId) => join(rig, memberId));
    await settled();
    expect(again.map(({ answer }) => answer)).toMatchObject(Array(2).fill({ ok: true }));
    expect(waiting.map(({ answer }) => answer)).toEqual([undefined, undefined]);
  });

  test("[CLS-7] a request that must wait and cannot be stored is refused itself", async () => {
    const { rig, a, b } = await settledPair();
    rig.storage.error = DISK_FULL;
    await expect(
      (async () => rig.keeper.ask({ type: "joinClassic", ...rig.classicJoin() }))(),
    ).rejects.toMatchObject(REFUSED);
    expect([...rig.classic.members.keys()]).toEqual([a, b]);
    expect(rig.classic.phase).toBe("STABLE");
  });

  test("[CLS-13] the session of one that waited, for longer than its session, begins with the refusal", async () => {
    const { rig, a, b } = await settledPair();
    const watch = rig.watch(b);
    const waiting = join(rig, a, 2);
    pass(rig, 12_000, watch);
    rig.storage.error = DISK_FULL;
    expect(() => rig.alterConfig({ "group.max.size": 9 })).toThrow("disk full");
    await settled();
    expect(waiting).toMatchObject({ error: REFUSED });
    rig.storage.error = null;
    pass(rig, 9_999, watch);
    expect(rig.classic.members.has(a)).toBe(true);
    pass(rig, 1, watch);
    expect([...rig.classic.members.keys()]).toEqual([b]);
  });

  test("[CLS-13] so does the session of one that waited for the leader", async () => {
    const { rig, a, b } = await settledPair();
    join(rig, a, 2);
    join(rig, b);
    await settled();
    const { generation, phase } = rig.classic;
    expect(phase).toBe("COMPLETING");
    const sync = { instanceId: null, generation, protocolType: null, protocolName: null };
    const request = { type: "syncClassic", ...sync, memberId: b, assignments: [] } as const;
    const waiting = ask(rig, request);
    pass(rig, 9_000);
    rig.storage.error = DISK_FULL;
    expect(() => rig.alterConfig({ "group.max.size": 9 })).toThrow("disk full");
    await settled();
    expect(waiting).toMatchObject({ error: REFUSED });
    rig.storage.error = null;
    pass(rig, 9_999);
    expect([...rig.classic.members.keys()]).toEqual([b]);
    pass(rig, 1);
    expect([...rig.classic.members.keys()]).toEqual([]);
  });

  test("[HIB-2] changes by a restart are noted by a later request, with its time", () => {
    const rig = new KafkaMembersRig();
    rig.joinNative("m");
    rig.evict();
    rig.storage.error = DISK_FULL;
    expect(() => rig.keeper.wake()).toThrow(expect.objectContaining(REFUSED));
    expect(rig.state.members.get("m")?.silentSinceMs).toBe(null);
    rig.storage.error = null;
    vi.setSystemTime(Date.now() + 1_000);
    rig.keeper.wake();
    expect(rig.stored.members.get("m")?.silentSinceMs).toBe(Date.now());
  });
});

test("[GRP-10] a deleted group begins again with the storage that it then has", () => {
  const rig = new KafkaMembersRig();
  rig.joinNative("m");
  const other = new KafkaMembersRig();
  other.alterConfig({ "group.max.size": 9 });
  rig.keeper.restart(new GroupStore(other.storage, "g"));
  expect([rig.state.members.size, rig.keeper.group.config.maxSize]).toEqual([0, 9]);
  rig.joinNative("n");
  expect([...other.stored.members.keys()]).toEqual(["n"]);
  expect([...rig.stored.members.keys()]).toEqual(["m"]);
});

test("[CLS-1] a request that may wait must be marked so", async () => {
  const rig = new KafkaMembersRig();
  const { memberId } = await rig.settledClassic();
  expect(memberId).not.toBe("");
  const waits = { type: "joinClassic", ...rig.classicJoin() } as const;
  expect(() => rig.keeper.handle(waits)).toThrow("joinClassic was not answered");
});

describe("by whom a classic member is heard", () => {
  test("[GRP-15] a leave by another protocol under its id takes no sign of life from it", async () => {
    const { rig, a } = await settledPair();
    const seenMs = rig.kafka.seenMs(a);
    expect(seenMs).toBeGreaterThan(0);
    const beat = { instanceId: null, clientId: null, rebalanceTimeoutMs: -1, owned: null };
    const leave = { ...beat, memberId: a, memberEpoch: -1, topics: null, topicPattern: null };
    const answer = rig.keeper.handle({ type: "heartbeat", ...leave });
    expect(answer).toMatchObject({ error: "UNKNOWN_MEMBER_ID" });
    expect(rig.kafka.seenMs(a)).toBe(seenMs);
    pass(rig, 1);
    expect(rig.classic.members.has(a)).toBe(true);
  });

  test("[CLS-4] a member that left, or was replaced, is forgotten", async () => {
    const { rig, a, b } = await settledPair();
    rig.keeper.handle({ type: "leaveClassic", members: [{ memberId: b, instanceId: null }] });
    expect([rig.kafka.isHeard(a), rig.kafka.isHeard(b)]).toEqual([true, false]);
    const other = new KafkaMembersRig();
    const { memberId } = await other.settledClassic({ instanceId: "i" });
    const successor = await other.kafka.joinClassic(other.classicJoin({ instanceId: "i" }));
    expect([other.kafka.isHeard(memberId), other.kafka.isHeard(successor.memberId)]).toEqual([
      false,
      true,
    ]);
  });
});
