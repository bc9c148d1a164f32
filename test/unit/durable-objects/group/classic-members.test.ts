// The calls of classic members that wait for each other: what they are answered, when, and what is stored by then.
import { describe, expect, test, vi } from "vitest";
import { ERRORS } from "../../../../src/core/errors.ts";
import { KafkaMembersRig, standingDate } from "../../../support/kafka-members-rig.ts";

standingDate();

const CHANGED = { type: "changed" };
const MAX_SIZE = 100;

class Rig extends KafkaMembersRig {
  join(options: Parameters<KafkaMembersRig["classicJoin"]>[0] = {}) {
    return watched(this.classic.join(this.classicJoin(options), MAX_SIZE, this.clock.now()));
  }

  sync(memberId: string, generation: number) {
    const request = {
      ...{ memberId, instanceId: null, generation },
      ...{ protocolType: "consumer", protocolName: "range", assignments: [] },
    };
    return watched(this.classic.sync(request, this.clock.now()));
  }

  /** Two members of one generation that have their assignments. */
  async settledPair() {
    const a = await this.join({ memberId: "" }).promise;
    await this.sync(a.memberId, a.generation).promise;
    const b = this.join();
    const [againA, joinedB] = await Promise.all([
      this.join({ memberId: a.memberId }).promise,
      b.promise,
    ]);
    const { generation } = againA;
    const synced = [
      this.sync(joinedB.memberId, generation),
      this.sync(againA.memberId, generation),
    ];
    await Promise.all(synced.map(({ promise }) => promise));
    return { a: againA.memberId, b: joinedB.memberId, generation };
  }
}

/** The outcome of a call so far. */
function watched<T>(promise: Promise<T>) {
  const state: { promise: Promise<T>; answer?: T; error?: unknown } = { promise };
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

function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

test("[CLS-1] whoever waits for others has no answer until they come, and then each has one", async () => {
  const rig = new Rig();
  const { a, generation } = await rig.settledPair();
  const newcomer = rig.join();
  const again = rig.join({ memberId: a });
  await settled();
  expect([newcomer.answer, again.answer]).toEqual([undefined, undefined]);
  rig.classic.leave([...rig.classic.group.members.keys()][1] ?? "", null, rig.clock.now());
  await settled();
  expect(newcomer.answer).toMatchObject({ errorCode: 0, generation: generation + 1 });
  expect(again.answer).toMatchObject({ errorCode: 0, generation: generation + 1 });
});

describe("where the storage refuses", () => {
  test("[CLS-7] every call that waits is refused, and nothing of the decision is left", async () => {
    const rig = new Rig();
    const { a, b, generation } = await rig.settledPair();
    const writes = rig.classicWrites;
    const waiting = rig.join({
      memberId: a,
      protocols: [{ name: "range", metadata: new Uint8Array([2]) }],
    });
    await settled();
    expect(rig.classicWrites).toBe(writes + 1);
    rig.storageError = new Error("disk full");
    expect(() => rig.classic.leave(b, null, rig.clock.now())).toThrow(
      expect.objectContaining({
        code: "KAFKA_STORAGE_ERROR",
        message: expect.stringContaining("nothing was stored: Error: disk full"),
      }),
    );
    await settled();
    expect(waiting.error).toMatchObject({ code: "KAFKA_STORAGE_ERROR" });
    expect([...rig.classic.group.members.keys()]).toEqual([a, b]);
    rig.storageError = null;
    expect(rig.classic.group.generation).toBe(generation);
    // It joins again, as a client does, and is not answered by the call before.
    const again = [rig.join({ memberId: a }), rig.join({ memberId: b })];
    await Promise.all(again.map(({ promise }) => promise));
    expect(again.map(({ answer }) => answer?.generation)).toEqual([generation + 1, generation + 1]);
    expect(waiting.answer).toBe(undefined);
  });

  test("[CLS-7] a join that cannot be stored is refused itself, and whoever did not wait is not", async () => {
    const rig = new Rig();
    const { a, b } = await rig.settledPair();
    rig.storageError = new Error("disk full");
    const refused = rig.join();
    await settled();
    expect(refused.error).toMatchObject({ code: "KAFKA_STORAGE_ERROR" });
    expect([...rig.classic.group.members.keys()]).toEqual([a, b]);
  });
});

describe("watched members", () => {
  test("[KFK-20] all that are watched are told when a rebalance begins and when it ends, and not in between", async () => {
    const rig = new Rig();
    const { a, b, generation } = await rig.settledPair();
    const sockets = [rig.watch(a), rig.watch(b)];
    const told = () => sockets.map((socket) => socket.take());
    rig.classic.heartbeat({ memberId: a, instanceId: null, generation }, rig.clock.now());
    expect(told(), "a heartbeat is no news").toEqual([[], []]);
    const joins = [
      rig.join({ memberId: a, protocols: [{ name: "range", metadata: new Uint8Array([2]) }] }),
    ];
    expect(told()).toEqual([[CHANGED], [CHANGED]]);
    joins.push(rig.join({ memberId: b }));
    await Promise.all(joins.map(({ promise }) => promise));
    expect(told(), "all have joined").toEqual([[CHANGED], [CHANGED]]);
  });

  test("[CLS-5] the holder of an instance id is told when another takes its place, without a rebalance", async () => {
    const rig = new Rig();
    const { memberId } = await rig.settledClassic({ instanceId: "i" });
    const watch = rig.watch(memberId);
    const { generation } = rig.classic.group;
    const successor = await rig.join({ instanceId: "i" }).promise;
    expect(successor).toMatchObject({ errorCode: 0, generation });
    expect([watch.sent, rig.classic.group.phase]).toEqual([[CHANGED], "STABLE"]);
  });

  test("[CLK-4] where the clock was set those that are silent have a session from then on, stored at once", async () => {
    const rig = new Rig();
    const { a, b } = await rig.settledPair();
    const nowMs = rig.clock.now();
    rig.classic.unwatched(a, nowMs);
    rig.classic.beginSessionsAnew(nowMs + 9_000);
    expect(rig.classicState?.members.map(({ silentSinceMs }) => silentSinceMs)).toEqual([
      nowMs + 9_000,
      null,
    ]);
    rig.classic.expire(nowMs + 18_999);
    expect([...rig.classic.group.members.keys()]).toEqual([a, b]);
  });

  test("[CLS-3] one whose watch is lost has its session from then on, stored at once", async () => {
    const rig = new Rig();
    const { a, b } = await rig.settledPair();
    const nowMs = rig.clock.now();
    rig.classic.unwatched(a, nowMs);
    expect(rig.classicState?.members.map(({ silentSinceMs }) => silentSinceMs)).toEqual([
      nowMs,
      null,
    ]);
    rig.watch(b);
    rig.classic.expire(nowMs + 9_999);
    expect([...rig.classic.group.members.keys()]).toEqual([a, b]);
    rig.classic.expire(nowMs + 10_000);
    expect(rig.classic.group.members.has(a)).toBe(false);
  });

  test("[CLS-7] a group that wakes up stores who is not watched, and once", async () => {
    const rig = new Rig();
    const { b } = await rig.settledPair();
    rig.watch(b);
    const writes = rig.classicWrites;
    const woken = rig.newClassic();
    expect(rig.classicWrites).toBe(writes);
    woken.persist();
    woken.persist();
    expect(rig.classicWrites).toBe(writes + 1);
    expect(rig.classicState?.members.map(({ silentSinceMs }) => silentSinceMs !== null)).toEqual([
      true,
      false,
    ]);
  });
});

describe("the flight recorder", () => {
  const reasons = (rig: Rig) =>
    rig.classic.takeHistory().flatMap((entry) => ("reason" in entry ? [entry.reason] : []));

  test("[HIS-1] it says why a member is gone: it left, was silent, or came late", async () => {
    const rig = new Rig();
    const { a, b } = await rig.settledPair();
    rig.classic.takeHistory();
    rig.classic.leave(a, null, rig.clock.now());
    expect(reasons(rig)).toContain("left");
    expect(rig.classic.takeHistory()).toEqual([]);
    await rig.join({ memberId: b }).promise;
    await rig.sync(b, rig.classic.group.generation).promise;
    rig.classic.takeHistory();
    rig.classic.expire(rig.clock.now() + 60_000);
    expect(reasons(rig)).toContain("session timeout");
    const { a: c } = await rig.settledPair();
    rig.join({ memberId: c, protocols: [{ name: "range", metadata: new Uint8Array([2]) }] });
    rig.classic.takeHistory();
    rig.classic.expire(rig.clock.now() + 30_000);
    expect(reasons(rig)).toContain("rebalance timeout");
  });

  test("[CLS-9] a topic that is deleted from a group without members is nobody's news", async () => {
    const rig = new Rig();
    const { classic } = rig;
    rig.coordinator.alterConfig({ "group.max.size": 9 }, 1);
    const setOccupied = vi.spyOn(rig.coordinator, "setOccupied");
    classic.topicGone("t", 0);
    expect(setOccupied).not.toHaveBeenCalled();
    expect(rig.classicWrites).toBe(0);
    await rig.settledPair();
    const { phase } = classic.group;
    classic.topicGone("t", rig.clock.now());
    expect([phase, classic.group.phase]).toEqual(["STABLE", "PREPARING"]);
    expect(classic.group.isTopicGone("t")).toBe(true);
    expect(rig.classicState?.goneTopics).toEqual(["t"]);
  });
});

test("[CLS-4] a leave or heartbeat of a stranger changes nothing and stores nothing", async () => {
  const rig = new Rig();
  const { generation } = await rig.settledPair();
  const writes = rig.classicWrites;
  const nowMs = rig.clock.now();
  const { code } = ERRORS.UNKNOWN_MEMBER_ID;
  expect(rig.classic.leave("stranger", null, nowMs)).toBe(code);
  const token = { memberId: "stranger", instanceId: null, generation };
  expect(rig.classic.heartbeat(token, nowMs)).toBe(code);
  expect(rig.classicWrites).toBe(writes);
});
