// Kafka's classic group protocol.
import { describe, expect, test } from "vitest";
import { ERRORS, KAFKA_ERRORS } from "../../../../src/core/errors.ts";
import { readAssignment, readSubscription } from "../../../../src/core/group/classic-assignment.ts";
import type { ClassicJoin } from "../../../../src/core/group/requests.ts";
import {
  MAX_PENDING_CLASSIC_MEMBERS,
  MAX_PENDING_CLASSIC_MS,
} from "../../../../src/core/limits.ts";
import { ClassicRig as Rig, text, utf8 } from "../../../support/classic-rig.ts";
import { TestedClassic } from "../../../support/tested-classic.ts";

describe("joining", () => {
  test("[CLS-1] a newcomer is told its id, joins with it, leads, and says who gets what", () => {
    const rig = new Rig();
    const { id, told } = rig.newcomer();
    expect(told.joined).toMatchObject({
      errorCode: 0,
      generation: 1,
      leaderId: id,
      protocolName: "range",
      members: [{ memberId: id }],
    });
    expect(text(rig.sync(id, 1, { [id]: "all" }).synced?.assignment)).toBe("all");
    expect(rig.beat(id, 1)).toBe(0);
  });

  test("[CLS-1] members wait for each other; only the leader learns of all; each gets its part", () => {
    const rig = new Rig();
    const { a, b } = rig.two();
    expect(text(rig.sync(b, 2).synced?.assignment)).toBe("rest");
    expect(text(rig.sync(a, 2).synced?.assignment)).toBe("half");
    expect(rig.beat(a, 1)).toBe(KAFKA_ERRORS.ILLEGAL_GENERATION);
    expect(rig.beat("nobody", 2)).toBe(ERRORS.UNKNOWN_MEMBER_ID.code);
  });

  test("[CLS-1] the leader names the members in any order, whoever syncs first", () => {
    const ids = ["a", "b", "c"];
    const orders = [ids, ["c", "a", "b"], [...ids].reverse()];
    for (const named of orders)
      for (const syncing of orders) {
        const rig = new Rig();
        const first = rig.join("", { newMemberId: "a", mustKnowId: false });
        const { generation = 0 } = first.joined ?? {};
        rig.sync("a", generation, {});
        for (const newMemberId of ["b", "c"]) rig.join("", { newMemberId, mustKnowId: false });
        const again = rig.join("a");
        const now = again.joined?.generation ?? 0;
        expect(again.joined?.members.map(({ memberId }) => memberId).sort()).toEqual(ids);
        const assignments = Object.fromEntries(named.map((id) => [id, `part of ${id}`]));
        const told = new Map(
          syncing.map((id) => [id, rig.sync(id, now, id === "a" ? assignments : {})]),
        );
        for (const id of ids) expect(text(told.get(id)?.synced?.assignment)).toBe(`part of ${id}`);
      }
  });

  test("[CLS-2] among the protocols that all support, the one that most prefer is chosen", () => {
    const rig = new Rig();
    const protocols = (...names: string[]) => ({
      protocols: names.map((name) => ({ name, metadata: utf8(name) })),
    });
    const a = rig.newcomer(protocols("sticky", "range"));
    const b = rig.newcomer(protocols("range", "other"));
    expect(rig.join("", protocols("roundrobin")).joined?.errorCode).toBe(
      KAFKA_ERRORS.INCONSISTENT_GROUP_PROTOCOL,
    );
    rig.join(a.id, protocols("sticky", "range"));
    expect(b.told.joined?.protocolName).toBe("range");
    const connect = { protocolType: "connect" };
    expect(rig.join("", connect).joined?.errorCode).toBe(KAFKA_ERRORS.INCONSISTENT_GROUP_PROTOCOL);
  });

  test("[CLS-3] a member that does not return in time is left out, and a silent one is removed", () => {
    const rig = new Rig();
    const { a, b } = rig.two();
    const c = rig.newcomer();
    rig.join(b);
    rig.pass(9_000);
    rig.beat(a, 2);
    expect(c.told.joined).toBeUndefined();
    rig.pass(9_000);
    rig.beat(a, 2);
    rig.pass(9_000);
    rig.beat(a, 2);
    rig.pass(3_000);
    expect(c.told.joined).toMatchObject({ errorCode: 0, generation: 3, leaderId: c.id });
    expect([...rig.group.members.keys()]).toEqual([b, c.id]);
    rig.sync(b, 3);
    rig.sync(c.id, 3, {});
    rig.pass(9_999);
    rig.beat(b, 3);
    rig.pass(1);
    expect([...rig.group.members.keys()]).toEqual([b]);
    expect(rig.beat(b, 3)).toBe(KAFKA_ERRORS.REBALANCE_IN_PROGRESS);
  });

  test("[CLS-3] a leader that is silent is replaced by another", () => {
    const rig = new Rig();
    const { id } = rig.newcomer();
    const b = rig.newcomer();
    rig.join(id);
    rig.sync(b.id, 2);
    rig.pass(30_000);
    expect([...rig.group.members.keys()]).toEqual([b.id]);
    expect(rig.group.phase).toBe("PREPARING");
  });

  test("[CLS-4] a leave acts at once; the last one leaves an empty group", () => {
    const rig = new Rig();
    const { a, b } = rig.two();
    expect(rig.group.leave(a, null, rig.nowMs)).toBe(0);
    expect(rig.group.leave(a, null, rig.nowMs)).toBe(ERRORS.UNKNOWN_MEMBER_ID.code);
    const again = rig.join(b);
    expect(again.joined).toMatchObject({ generation: 3, leaderId: b });
    rig.group.leave(b, null, rig.nowMs);
    expect(rig.group.phase).toBe("EMPTY");
    expect(rig.group.nextDeadlineMs).toBeNull();
  });
});

describe("ids that nobody joins with", () => {
  const { MEMBER_ID_REQUIRED, NONE } = KAFKA_ERRORS;
  const FULL = ERRORS.GROUP_MAX_SIZE_REACHED.code;

  test("[CLS-10] the oldest makes room for the next, and no member is kept out", () => {
    const rig = new Rig();
    const given = Array.from({ length: MAX_PENDING_CLASSIC_MEMBERS + 2 }, () => {
      const { joined } = rig.join("");
      expect(joined?.errorCode).toBe(MEMBER_ID_REQUIRED);
      return joined?.memberId ?? "";
    });
    for (const id of given.slice(0, 2))
      expect(rig.join(id).joined?.errorCode).toBe(ERRORS.UNKNOWN_MEMBER_ID.code);
    rig.join(given[2] ?? "");
    rig.join(given.at(-1) ?? "");
    expect([...rig.group.members.keys()]).toEqual([given[2], given.at(-1)]);
    expect(rig.join("", { instanceId: "i" }).joined?.errorCode).not.toBe(FULL);
    expect(rig.group.members.size).toBe(3);
  });

  test("[CLS-10] they count toward no bound, which is for members, in each way of joining", () => {
    const rig = new Rig();
    rig.maxSize = 2;
    const ids = Array.from({ length: 4 }, () => rig.join("").joined?.memberId ?? "");
    for (const id of ids.slice(0, 2)) rig.join(id);
    expect(rig.group.members.size).toBe(2);
    expect(rig.join(ids[2] ?? "").joined?.errorCode).toBe(FULL);
    expect(rig.join("").joined?.errorCode).toBe(FULL);
    expect(rig.join("", { mustKnowId: false }).joined?.errorCode).toBe(FULL);
    expect(rig.join("", { instanceId: "i" }).joined?.errorCode).toBe(FULL);
    expect(rig.join(ids[0] ?? "").joined?.errorCode).not.toBe(FULL);
  });

  test("[CLS-10] nothing is kept for them, no alarm is set, and they end by themselves", () => {
    const rig = new Rig();
    const id = rig.join("", { sessionTimeoutMs: 1_800_000 }).joined?.memberId ?? "";
    expect(rig.group.takeState()).toBeNull();
    expect(rig.group.nextDeadlineMs).toBeNull();
    expect(rig.group.phase).toBe("EMPTY");
    rig.nowMs += MAX_PENDING_CLASSIC_MS;
    expect(rig.join(id).joined?.errorCode).toBe(ERRORS.UNKNOWN_MEMBER_ID.code);
  });

  test("[CLS-10] a rebalance waits for one for a while, not for its session", () => {
    const rig = new Rig();
    const ask = { sessionTimeoutMs: 1_800_000, rebalanceTimeoutMs: 1_800_000 };
    rig.join("", ask);
    rig.nowMs += 1_000;
    const { told } = rig.newcomer(ask);
    expect(told.joined).toBeUndefined();
    expect(rig.group.nextDeadlineMs).toBe(MAX_PENDING_CLASSIC_MS);
    rig.pass(MAX_PENDING_CLASSIC_MS - 1_000);
    expect(told.joined?.errorCode).toBe(NONE);
    // One whose time is over when the next rebalance begins delays nobody at all.
    rig.join("", ask);
    rig.sync(told.joined?.memberId ?? "", 1, {});
    rig.nowMs += MAX_PENDING_CLASSIC_MS;
    expect(rig.join(told.joined?.memberId ?? "", ask).joined?.errorCode).toBe(NONE);
  });

  test.each([
    { title: "asks for its id", join: {}, may: false },
    { title: "no longer asks for its id", join: { mustKnowId: false }, may: true },
    { title: "has an instance id", join: { instanceId: "i" }, may: true },
    { title: "names an unknown id", join: { memberId: "stranger" }, may: false },
  ])("[CLS-10] who $title may make a member: $may", ({ join, may }) => {
    const asked = { memberId: "", mustKnowId: true, instanceId: null, ...join };
    expect(new Rig().group.mayAddMember(asked as ClassicJoin)).toBe(may);
  });
});

describe("static members", () => {
  test("[CLS-5] one that returns takes its place without a rebalance, and whoever had the id is fenced", () => {
    const rig = new Rig();
    const one = rig.join("", { instanceId: "i" }).joined?.memberId ?? "";
    rig.sync(one, 1, { [one]: "all" });
    const back = rig.join("", { instanceId: "i" }).joined;
    expect(back).toMatchObject({ errorCode: 0, generation: 1, skipAssignment: true });
    expect(back?.memberId).not.toBe(one);
    expect(rig.beat(one, 1, "i")).toBe(KAFKA_ERRORS.FENCED_INSTANCE_ID);
    expect(text(rig.sync(back?.memberId ?? "", 1).synced?.assignment)).toBe("all");
    const old = rig.join("", { instanceId: "i", canSkipAssignment: false }).joined;
    expect(old?.leaderId).not.toBe(old?.memberId);
    expect(rig.group.leave("", "i", rig.nowMs)).toBe(0);
  });
});

describe("state", () => {
  test("[CLS-7] a group that wakes is as it was after its last finished rebalance", () => {
    const rig = new Rig();
    const { a, b } = rig.two();
    const state = rig.group.takeState();
    expect(state?.members.size).toBe(2);
    expect(rig.group.takeState()).toBeNull();
    rig.group = new TestedClassic(state, rig.nowMs);
    expect(rig.beat(a, 2)).toBe(0);
    expect(text(rig.sync(b, 2).synced?.assignment)).toBe("rest");
  });

  test("[CLS-7] an unfinished rebalance begins again, and continues without members that do not come", () => {
    const rig = new Rig();
    const { a, b } = rig.two();
    expect(rig.group.leave(b, null, rig.nowMs)).toBe(0);
    rig.group = new TestedClassic(rig.group.takeState(), rig.nowMs);
    expect(rig.beat(a, 2)).toBe(KAFKA_ERRORS.REBALANCE_IN_PROGRESS);
    const { id } = rig.newcomer();
    rig.group = new TestedClassic(rig.group.takeState(), rig.nowMs);
    expect(rig.beat(a, 2)).toBe(KAFKA_ERRORS.REBALANCE_IN_PROGRESS);
    const { joined } = rig.join(a);
    expect(joined).toBeUndefined(); // The newcomer is waited for.
    rig.pass(30_000);
    expect(rig.group.members.has(id)).toBe(false);
    expect(rig.group.phase).toBe("COMPLETING");
  });

  test("[CLS-3] a member that was silent when the group woke, or lost its connection, has its session left, and no more", () => {
    const rig = new Rig();
    const { a, b } = rig.two();
    const seen = new Map([[a, 0]]);
    const wakeUp = () => {
      const lastSeen = (memberId: string) => seen.get(memberId) ?? 0;
      rig.group = new TestedClassic(rig.group.takeState() ?? kept, rig.nowMs, lastSeen);
      kept = rig.group.takeState() ?? kept;
    };
    let kept = rig.group.takeState();
    for (let i = 1; i <= 9; i++) {
      rig.nowMs += 1_000;
      seen.set(a, rig.nowMs);
      wakeUp();
      rig.group.expire(rig.nowMs);
      expect([...rig.group.members.keys()]).toEqual([a, b]);
    }
    rig.pass(2_000);
    expect([...rig.group.members.keys()]).toEqual([a]);
    rig.group.silent(a, rig.nowMs);
    rig.pass(9_999);
    expect(rig.group.members.size).toBe(1);
    rig.pass(1);
    expect(rig.group.members.size).toBe(0);
  });

  test("[CLS-6] only a member of this generation commits", () => {
    const rig = new Rig();
    const commit = (memberId: string, generation: number) =>
      rig.group.commitErrorCode({ memberId, instanceId: null, generation });
    const { a } = rig.two();
    expect(commit(a, 2)).toBe(0);
    expect(commit(a, 1)).toBe(KAFKA_ERRORS.ILLEGAL_GENERATION);
    expect(commit("", -1)).toBe(ERRORS.UNKNOWN_MEMBER_ID.code);
  });

  test("[CLS-6] nobody commits, heartbeats or syncs before the first generation", () => {
    const rig = new Rig();
    const a = rig.join("").joined?.memberId ?? "";
    rig.join(""); // Another has an id, and is waited for.
    rig.join(a);
    expect(rig.group.phase).toBe("PREPARING");
    const token = { memberId: a, instanceId: null, generation: 0 };
    expect(rig.group.commitErrorCode(token)).toBe(KAFKA_ERRORS.ILLEGAL_GENERATION);
    expect(rig.beat(a, 0)).toBe(KAFKA_ERRORS.ILLEGAL_GENERATION);
    expect(rig.sync(a, 0).synced?.errorCode).toBe(KAFKA_ERRORS.ILLEGAL_GENERATION);
  });

  test("[CLS-8] a consumer's assignment is readable, and empty if the bytes are not one", () => {
    const bytes = Buffer.from([0, 1, 0, 0, 0, 1, 0, 1, 0x74, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3]);
    expect(readAssignment(bytes)).toEqual([{ topic: "t", partitions: [0, 3] }]);
    expect(readAssignment(bytes.subarray(0, 9))).toEqual([]);
    expect(readAssignment(new Uint8Array())).toEqual([]);
  });

  test.each([
    { title: "one topic", bytes: [0, 0, 0, 1, 0, 1, 0x74], topics: ["t"] },
    { title: "a topic without a name", bytes: [0, 0, 0, 1, 0, 0], topics: [""] },
    { title: "no topic", bytes: [0, 0, 0, 0], topics: [] },
    { title: "a count below 0", bytes: [255, 255, 255, 255, 0, 1, 0x74], topics: [] },
    { title: "more topics than bytes", bytes: [0, 0, 0, 9, 0, 1, 0x74], topics: [] },
    { title: "a name that is longer than the rest", bytes: [0, 0, 0, 1, 0, 2, 0x74], topics: [] },
    { title: "a name that is null", bytes: [0, 0, 0, 1, 255, 255, 0x74, 0x75], topics: [] },
  ])("[CLS-8] a subscription with $title is read as $topics", ({ bytes, topics }) => {
    expect(readSubscription(Uint8Array.from([0, 0, ...bytes]))).toEqual(topics);
  });

  test("[CLS-8] an assignment with an impossible count of partitions is none", () => {
    for (const count of [
      [255, 255, 255, 255],
      [0, 0, 0, 2],
    ])
      expect(
        readAssignment(Uint8Array.from([0, 0, 0, 0, 0, 1, 0, 1, 0x74, ...count, 0, 0, 0, 0])),
      ).toEqual([]);
  });
});
