// Static members of a classic group: they keep their place under their instance id, whatever their member id is.
import { describe, expect, test } from "vitest";
import { ERRORS, KAFKA_ERRORS } from "../../../../src/core/errors.ts";
import { ClassicRig, text, utf8 } from "../../../support/classic-rig.ts";

const { FENCED_INSTANCE_ID, ILLEGAL_GENERATION, NONE } = KAFKA_ERRORS;
const UNKNOWN = ERRORS.UNKNOWN_MEMBER_ID.code;
const OTHER = { protocols: [{ name: "range", metadata: utf8("other topics") }] };

describe("static members", () => {
  const STATIC = { instanceId: "i" };
  const other = { ...STATIC, ...OTHER };

  /** A static member leads, and another is there, stable. */
  function led() {
    const rig = new ClassicRig();
    const leader = rig.join("", STATIC).joined?.memberId ?? "";
    rig.sync(leader, 1, {}, STATIC);
    const { id } = rig.newcomer();
    rig.join(leader, STATIC);
    rig.sync(id, 2);
    rig.sync(leader, 2, { [leader]: "half", [id]: "rest" }, STATIC);
    rig.group.takeState();
    return { rig, leader, id };
  }

  test("[CLS-5] one that returns leads if it led, and that is stored", () => {
    const { rig, leader, id } = led();
    const back = rig.join("", STATIC).joined;
    expect(back).toMatchObject({ generation: 2, leaderId: back?.memberId, skipAssignment: true });
    expect(back?.members.map(({ memberId }) => memberId).sort()).toEqual(
      [id, back?.memberId].sort(),
    );
    expect(rig.ids).not.toContain(leader);
    rig.evict();
    expect(rig.ids.sort()).toEqual([id, back?.memberId].sort());
    expect(text(rig.sync(back?.memberId ?? "", 2, {}, STATIC).synced?.assignment)).toBe("half");
    // It is still the leader: its next join makes all join again.
    rig.join(back?.memberId ?? "", STATIC);
    expect(rig.group.phase).toBe("PREPARING");
  });

  test("[CLS-5] one that did not lead does not lead then", () => {
    const rig = new ClassicRig();
    const { id } = rig.newcomer();
    rig.sync(id, 1);
    const old = rig.join("", STATIC);
    rig.join(id);
    rig.sync(old.joined?.memberId ?? "", 2, {}, STATIC);
    rig.sync(id, 2);
    for (const canSkipAssignment of [true, false]) {
      const back = rig.join("", { ...STATIC, canSkipAssignment }).joined;
      expect(back).toMatchObject({ leaderId: id, members: [], generation: 2 });
    }
  });

  test("[CLS-5] a client that cannot be told to skip the assignment is told of the former leader", () => {
    const { rig, leader } = led();
    const back = rig.join("", { ...STATIC, canSkipAssignment: false }).joined;
    expect(back).toMatchObject({ leaderId: leader, members: [], skipAssignment: false });
    expect(back?.members).toEqual([]);
  });

  test("[CLS-5] one that returns with other topics makes all join again; an unused protocol changes nothing", () => {
    for (const canSkipAssignment of [true, false]) {
      const { rig } = led();
      expect(rig.join("", { ...other, canSkipAssignment }).joined).toBeUndefined();
      expect(rig.group.phase).toBe("PREPARING");
    }
    const { rig } = led();
    const more = [
      { name: "sticky", metadata: utf8("x") },
      { name: "range", metadata: utf8("meta") },
    ];
    expect(rig.join("", { ...STATIC, protocols: more }).joined?.errorCode).toBe(NONE);
    expect(rig.group.phase).toBe("STABLE");
  });

  test("[CLS-5] one that returns during a rebalance joins it", () => {
    const { rig, id } = led();
    rig.newcomer();
    const back = rig.join("", STATIC);
    expect(back.joined).toBeUndefined();
    rig.join(id);
    expect(back.joined).toMatchObject({ errorCode: NONE, generation: 3 });
  });

  test("[CLS-5] one that returns has a whole session, even at the end of its last", () => {
    const { rig, id } = led();
    rig.group.silent(rig.ids[0] ?? "", rig.nowMs);
    rig.nowMs += 9_000;
    rig.beat(id, 2);
    const back = rig.join("", STATIC).joined?.memberId ?? "";
    rig.pass(9_000);
    rig.beat(id, 2);
    rig.pass(999);
    expect(rig.ids.sort()).toEqual([back, id].sort());
    rig.pass(1);
    expect(rig.ids).toEqual([id]);
  });

  test("[CLS-5] one that joins with its id keeps it", () => {
    const { rig, leader, id } = led();
    const told = rig.join(leader, STATIC);
    rig.join(id);
    expect(told.joined).toMatchObject({ memberId: leader, generation: 3, leaderId: leader });
  });

  test("[CLS-5] a client with its old id, or another's instance id, is refused at each call", () => {
    const { rig, leader, id } = led();
    const back = rig.join("", STATIC).joined?.memberId ?? "";
    const told = (memberId: string, instanceId: string) => [
      rig.join(memberId, { instanceId }).joined?.errorCode,
      rig.sync(memberId, 2, {}, { instanceId }).synced?.errorCode,
      rig.beat(memberId, 2, instanceId),
      rig.group.commitErrorCode({ memberId, instanceId, generation: 2 }),
    ];
    const FENCED = FENCED_INSTANCE_ID;
    for (const memberId of [leader, id, "stranger"]) {
      expect(told(memberId, "i")).toEqual([FENCED, FENCED, FENCED, FENCED]);
      expect(rig.group.leave(memberId, "i", rig.nowMs)).toBe(FENCED);
    }
    expect(told(id, "nobody's")).toEqual([UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN]);
    expect(rig.group.leave(id, "nobody's", rig.nowMs)).toBe(UNKNOWN);
    expect(rig.beat(back, 2, "i")).toBe(NONE);
    expect(rig.group.phase).toBe("STABLE");
  });

  test.each([
    { title: "joins", phase: "PREPARING" },
    { title: "syncs", phase: "COMPLETING" },
  ])("[CLS-5] a client that waits under its old id while it $title is fenced", ({ phase }) => {
    const rig = new ClassicRig();
    const { id } = rig.newcomer();
    rig.sync(id, 1);
    const first = rig.join("", STATIC);
    if (phase === "PREPARING") {
      rig.join("", STATIC);
      expect(first.joined?.errorCode).toBe(FENCED_INSTANCE_ID);
      return;
    }
    rig.join(id);
    const syncing = rig.sync(first.joined?.memberId ?? "", 2, {}, STATIC);
    rig.join("", STATIC);
    expect(syncing.synced?.errorCode).toBe(FENCED_INSTANCE_ID);
  });

  test("[CLS-5] a rebalance continues without one that restarts, and keeps its place for its session", () => {
    const rig = new ClassicRig();
    const long = { ...STATIC, sessionTimeoutMs: 100_000 };
    const one = rig.join("", long).joined?.memberId ?? "";
    rig.sync(one, 1, {}, STATIC);
    const { id, told } = rig.newcomer({ sessionTimeoutMs: 100_000 });
    rig.pass(30_000);
    expect(rig.ids).toEqual([one, id]);
    expect(told.joined).toMatchObject({ errorCode: NONE, generation: 2, leaderId: id });
    expect(told.joined?.members).toHaveLength(2);
    expect(rig.beat(one, 1, "i")).toBe(ILLEGAL_GENERATION);
  });

  test("[CLS-5] if nobody joins the next generation, one with a running session leads it", () => {
    const rig = new ClassicRig();
    const long = { ...STATIC, sessionTimeoutMs: 100_000 };
    const one = rig.join("", long).joined?.memberId ?? "";
    rig.sync(one, 1, {}, STATIC);
    const { id } = rig.newcomer();
    rig.group.leave(id, null, rig.nowMs);
    rig.pass(30_000);
    expect(rig.group).toMatchObject({ phase: "COMPLETING", generation: 2 });
    expect(rig.join(one, long).joined).toMatchObject({ generation: 2, leaderId: one });
  });
});
