// The calls of classic members that wait for each other: their responses, when they come, and what is stored by then.
import { describe, expect, test, vi } from "vitest";
import { joinedReply, syncedReply } from "../../../../src/calls/kafka-replies.ts";
import { unwrap } from "../../../../src/core/errors.ts";
import type { ClassicJoin, ClassicSync } from "../../../../src/core/group/requests.ts";
import {
  BY_HAND,
  KafkaMembersRig,
  offset,
  standingDate,
} from "../../../support/kafka-members-rig.ts";

standingDate();

const CHANGED = { type: "changed" };
class Rig extends KafkaMembersRig {
  join(options: Parameters<KafkaMembersRig["classicJoin"]>[0] = {}) {
    return watched(this.#joined(this.classicJoin(options)));
  }

  async #joined(request: ClassicJoin) {
    return joinedReply(
      await this.keeper.ask({ type: "joinClassic", ...request, newIncarnation: 1 }),
      "",
    );
  }

  sync(memberId: string, generation: number) {
    const request = {
      ...{ memberId, instanceId: null, generation },
      ...{ protocolType: "consumer", protocolName: "range", assignments: [] },
    };
    return watched(this.#synced(request));
  }

  async #synced(request: ClassicSync) {
    return syncedReply(await this.keeper.ask({ type: "syncClassic", ...request }));
  }

  /** A member leaves. Returns its response. */
  leave(memberId: string) {
    const members = [{ memberId, instanceId: null }];
    const [outcome = null] = unwrap(this.keeper.handle({ type: "leaveClassic", members })).outcomes;
    return outcome;
  }

  beat(memberId: string, generation: number) {
    return this.keeper.handle({ type: "heartbeatClassic", memberId, instanceId: null, generation });
  }

  /** The alarm rings this much later. */
  pass(ms: number): void {
    vi.setSystemTime(Date.now() + ms);
    this.keeper.handle({ type: "expire" });
  }

  get memberIds(): string[] {
    return [...this.classic.members.keys()];
  }

  /** Since when each stored member has been silent. */
  get storedSilences(): (number | null)[] {
    return Array.from(this.stored.classic.members.values(), ({ silentSinceMs }) => silentSinceMs);
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

test("[CLS-1] a member that waits for others has no response until they come, and then each has one", async () => {
  const rig = new Rig();
  const { a, generation } = await rig.settledPair();
  const newcomer = rig.join();
  const again = rig.join({ memberId: a });
  await settled();
  expect([newcomer.answer, again.answer]).toEqual([undefined, undefined]);
  rig.leave(rig.memberIds[1] ?? "");
  await settled();
  expect(newcomer.answer).toMatchObject({ errorCode: 0, generation: generation + 1 });
  expect(again.answer).toMatchObject({ errorCode: 0, generation: generation + 1 });
});

describe("where the storage refuses", () => {
  test("[CLS-7] every call that waits is refused, and nothing of the decision is left", async () => {
    const rig = new Rig();
    const { a, b, generation } = await rig.settledPair();
    const writes = rig.storage.classicWrites;
    const waiting = rig.join({
      memberId: a,
      protocols: [{ name: "range", metadata: new Uint8Array([2]) }],
    });
    await settled();
    expect(rig.storage.classicWrites).toBe(writes + 1);
    rig.storage.error = new Error("disk full");
    expect(() => rig.leave(b)).toThrow(
      expect.objectContaining({
        code: "KAFKA_STORAGE_ERROR",
        message: expect.stringContaining("nothing was stored: Error: disk full"),
      }),
    );
    await settled();
    expect(waiting.error).toMatchObject({ code: "KAFKA_STORAGE_ERROR" });
    expect(rig.memberIds).toEqual([a, b]);
    rig.storage.error = null;
    expect(rig.classic.generation).toBe(generation);
    // It joins again, as a client does, and gets no response to the earlier call.
    const again = [rig.join({ memberId: a }), rig.join({ memberId: b })];
    await Promise.all(again.map(({ promise }) => promise));
    expect(again.map(({ answer }) => answer?.generation)).toEqual([generation + 1, generation + 1]);
    expect(waiting.answer).toBe(undefined);
  });

  test("[CLS-7] a join that cannot be stored is refused itself, and calls that did not wait are not", async () => {
    const rig = new Rig();
    const { a, b } = await rig.settledPair();
    rig.storage.error = new Error("disk full");
    const refused = rig.join();
    await settled();
    expect(refused.error).toMatchObject({ code: "KAFKA_STORAGE_ERROR" });
    expect(rig.memberIds).toEqual([a, b]);
  });
});

describe("watched members", () => {
  test("[KFK-20] all watched members learn when a rebalance begins and when it ends, and not in between", async () => {
    const rig = new Rig();
    const { a, b, generation } = await rig.settledPair();
    const sockets = [rig.watch(a), rig.watch(b)];
    const told = () => sockets.map((socket) => socket.take());
    rig.beat(a, generation);
    expect(told(), "a heartbeat is no news").toEqual([[], []]);
    const joins = [
      rig.join({ memberId: a, protocols: [{ name: "range", metadata: new Uint8Array([2]) }] }),
    ];
    expect(told()).toEqual([[CHANGED], [CHANGED]]);
    joins.push(rig.join({ memberId: b }));
    await Promise.all(joins.map(({ promise }) => promise));
    expect(told(), "all have joined").toEqual([[CHANGED], [CHANGED]]);
  });

  test("[CLS-5] the holder of an instance id learns when another takes its place, without a rebalance", async () => {
    const rig = new Rig();
    const { memberId } = await rig.settledClassic({ instanceId: "i" });
    const watch = rig.watch(memberId);
    const { generation } = rig.classic;
    const successor = await rig.join({ instanceId: "i" }).promise;
    expect(successor).toMatchObject({ errorCode: 0, generation });
    expect([watch.sent, rig.classic.phase]).toEqual([[CHANGED], "STABLE"]);
  });

  test("[CLK-4] when the clock was set, silent members have a session from then on, stored at once", async () => {
    const rig = new Rig();
    const { a, b } = await rig.settledPair();
    rig.lose(rig.watch(a));
    vi.setSystemTime(Date.now() + 9_000);
    rig.watch(b);
    rig.keeper.handle({ type: "beginSessionsAnew" });
    expect(rig.storedSilences).toEqual([Date.now(), null]);
    rig.pass(9_999);
    expect(rig.memberIds).toEqual([a, b]);
  });

  test("[CLS-3] one whose watch is lost has its session from then on, stored at once", async () => {
    const rig = new Rig();
    const { a, b } = await rig.settledPair();
    rig.lose(rig.watch(a));
    expect(rig.storedSilences).toEqual([Date.now(), null]);
    rig.watch(b);
    rig.pass(9_999);
    expect(rig.memberIds).toEqual([a, b]);
    rig.pass(1);
    expect(rig.classic.members.has(a)).toBe(false);
  });

  test("[CLS-7] a group that wakes stores who is not watched, once", async () => {
    const rig = new Rig();
    const { b } = await rig.settledPair();
    rig.watch(b);
    const writes = rig.storage.classicWrites;
    rig.evict();
    expect(rig.storage.classicWrites).toBe(writes);
    rig.keeper.wake();
    rig.keeper.wake();
    expect(rig.storage.classicWrites).toBe(writes + 1);
    expect(rig.storedSilences.map((silentSinceMs) => silentSinceMs !== null)).toEqual([
      true,
      false,
    ]);
  });
});

describe("the flight recorder", () => {
  const reasons = (rig: Rig) =>
    rig.takeHistory().flatMap((entry) => ("reason" in entry ? [entry.reason] : []));

  test("[HIS-1] it says why a member is gone: it left, was silent, or came late", async () => {
    const rig = new Rig();
    const { a, b } = await rig.settledPair();
    rig.takeHistory();
    rig.leave(a);
    expect(reasons(rig)).toContain("left");
    expect(rig.takeHistory()).toEqual([]);
    await rig.join({ memberId: b }).promise;
    await rig.sync(b, rig.classic.generation).promise;
    rig.takeHistory();
    rig.pass(60_000);
    expect(reasons(rig)).toContain("session timeout");
    const { a: c } = await rig.settledPair();
    rig.join({ memberId: c, protocols: [{ name: "range", metadata: new Uint8Array([2]) }] });
    rig.takeHistory();
    rig.pass(30_000);
    expect(reasons(rig)).toContain("rebalance timeout");
  });

  test("[CLS-9] deleting a topic of a group without members is news for nobody", async () => {
    const rig = new Rig();
    await rig.kafka.commitOffsets(BY_HAND, [offset("t")]);
    const { emptySinceMs } = rig.state;
    vi.setSystemTime(Date.now() + 1);
    rig.changeTopic("t", null);
    expect([rig.exists, rig.state.topics.size]).toEqual([true, 0]);
    expect(rig.state.emptySinceMs).toBe(emptySinceMs);
    expect(rig.storage.classicWrites).toBe(0);
    const { a, generation } = await rig.settledPair();
    const token = { memberId: a, instanceId: null, generation };
    await rig.kafka.commitOffsets(token, [offset("t")]);
    const { phase } = rig.classic;
    rig.changeTopic("t", null);
    expect([phase, rig.classic.phase]).toEqual(["STABLE", "PREPARING"]);
    expect(rig.classic.goneTopics.has("t")).toBe(true);
    expect([...rig.stored.classic.goneTopics]).toEqual(["t"]);
  });
});

test("[CLS-4] a leave or heartbeat of a stranger changes nothing and stores nothing", async () => {
  const rig = new Rig();
  const { generation } = await rig.settledPair();
  const writes = rig.storage.classicWrites;
  expect(rig.leave("stranger")).toBe("UNKNOWN_MEMBER_ID");
  expect(rig.beat("stranger", generation)).toMatchObject({ error: "UNKNOWN_MEMBER_ID" });
  expect(rig.storage.classicWrites).toBe(writes);
});
