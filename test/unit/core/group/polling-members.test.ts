// The coordinator's record of what a polling member was sent, and what it acknowledged.
import { expect, test } from "vitest";
import { type PartitionKey, parsePartitionKey } from "../../../../src/core/group/partition-key.ts";
import type { Ack, Delivery } from "../../../../src/core/group/requests.ts";
import { GroupScenario } from "../../../support/group-scenario.ts";

const sent = (key: PartitionKey, nextOffset: number | null, beginOffset: number | null = null) => ({
  key,
  nextOffset,
  beginOffset,
});

/** The acks of all records before these offsets. A topic's name is its id. */
function acksOf(offsets: Readonly<Record<PartitionKey, number>>): Ack[] {
  return Object.entries(offsets).map(([key, offset]) => {
    const { topicId, partition } = parsePartitionKey(key as PartitionKey);
    return { topic: topicId, partition, offset: offset - 1 };
  });
}

class Polls extends GroupScenario {
  constructor() {
    super({ t: 2 });
    this.join("p", { polls: true });
    this.coordinator.takeEvents();
  }

  /** Returns the partitions whose records may be sent, and the number of changes. */
  deliver(deliveries: readonly Delivery[], memberId = "p", epoch?: number) {
    const memberEpoch = epoch ?? this.state.members.get(memberId)?.memberEpoch ?? 0;
    const keys = this.coordinator.deliver(memberId, memberEpoch, deliveries, this.nowMs);
    return { keys: [...keys].sort(), changes: this.coordinator.takeEvents().length };
  }

  /** Returns why the acks were rejected, or the result for each. */
  ack(offsets: Readonly<Record<PartitionKey, number>>, memberId = "p") {
    const result = this.coordinator.offsets.acknowledge(memberId, acksOf(offsets), this.nowMs);
    const changes = this.coordinator.takeEvents().length;
    if (!result.ok) return { error: result.error, detail: result.detail, changes };
    const rejected = result.rejected.map(
      ({ topic, partition, code }) => `${topic}:${partition} ${code}`,
    );
    return { rejected, changes };
  }

  note(offsets: Readonly<Record<PartitionKey, number>>, memberId = "p"): number {
    this.coordinator.offsets.noteRefused(memberId, acksOf(offsets));
    return this.coordinator.takeEvents().length;
  }

  /** The member gives both partitions away and gets them back. */
  regain(): void {
    const other = this.coordinator.state.members.size + 1;
    this.join(`q${other}`, { polls: true, topics: ["t"] });
    this.revokeAll();
    this.leave(`q${other}`);
    this.coordinator.takeEvents();
  }
}

test("[POL-5] the group remembers up to where a member was sent records, and never less", () => {
  const group = new Polls();
  expect(group.deliver([sent("t:0", 9), sent("t:1", null)])).toEqual({
    keys: ["t:0", "t:1"],
    changes: 1,
  });
  expect([...group.member("p").delivered]).toEqual([["t:0", 9]]);
  for (const again of [9, 7, null])
    expect(group.deliver([sent("t:0", again)])).toEqual({ keys: ["t:0"], changes: 0 });
  expect([...group.member("p").delivered]).toEqual([["t:0", 9]]);
  expect(group.deliver([sent("t:0", 10), sent("t:1", 1)]).changes).toBe(1);
  expect([...group.member("p").delivered]).toEqual([
    ["t:0", 10],
    ["t:1", 1],
  ]);
});

test.each([
  ["nothing was committed, and now something is", null, 150],
  ["a position was committed, and now another one is", 90, 150],
])("[POL-4] [OFF-3] a beginning does not count if %s", (_, told, committed) => {
  const polls = new Polls();
  polls.deliver([sent("t:0", committed)]);
  polls.ack({ "t:0": committed });
  for (const beginOffset of [10, 500])
    polls.deliver([{ ...sent("t:0", 600, beginOffset), committedOffset: told }]);
  expect(polls.state.offsets.get("t:0")?.offset).toBe(committed);
  polls.deliver([{ ...sent("t:0", 600, 500), committedOffset: committed }]);
  expect(polls.state.offsets.get("t:0")?.offset).toBe(500);
});

test("[POL-4] a member's beginning is committed, back too, and only on request", () => {
  const group = new Polls();
  group.deliver([sent("t:0", 9, 5), sent("t:1", 3)]);
  expect([group.committed("t:0"), group.committed("t:1")]).toEqual([5, null]);
  group.deliver([sent("t:0", null, 2)]);
  expect(group.committed("t:0")).toBe(2);
  group.deliver([sent("t:0", null, 0)]);
  expect(group.committed("t:0")).toBe(0);
});

test("[POL-2] nobody is sent what is another's, or was read before it was its own", () => {
  const group = new Polls();
  expect(group.deliver([sent("t:0", 9, 5)], "stranger", 9)).toEqual({ keys: [], changes: 0 });
  group.join("other", { polls: true });
  group.revokeAll();
  group.coordinator.takeEvents();
  const own = group.assigned("p");
  const foreign = group.assigned("other");
  const all = [...own, ...foreign].map((key) => sent(key, 9, 5));
  expect(group.deliver(all, "p").keys).toEqual(own);
  expect(foreign.map((key) => group.committed(key))).toEqual([null]);
  const regained = new Polls();
  regained.regain();
  const { memberEpoch, assignmentEpochs } = regained.member("p");
  const [late] = [...assignmentEpochs].find(([, epoch]) => epoch === memberEpoch) ?? [];
  if (late === undefined) throw new Error("the member got a partition back");
  expect(regained.deliver([sent(late, 9, 5)], "p", memberEpoch - 1)).toEqual({
    keys: [],
    changes: 0,
  });
  expect(regained.deliver([sent(late, 9, 5)], "p", memberEpoch).keys).toEqual([late]);
});

test("[POL-5] an ack counts up to what was sent; one beyond rejects all and changes nothing", () => {
  const group = new Polls();
  group.deliver([sent("t:0", 9), sent("t:1", 4)]);
  expect(group.ack({ "t:0": 9, "t:1": 5 })).toEqual({
    error: "INVALID_REQUEST",
    detail: expect.stringContaining("offset 4 of t/1 was not delivered; the last was 3"),
    changes: 0,
  });
  expect(group.ack({ "t:0": 9, "t:1": 4 })).toEqual({ rejected: [], changes: 2 });
  expect([group.committed("t:0"), group.committed("t:1")]).toEqual([9, 4]);
  // A committed offset is no news, even if the records were not sent.
  expect(group.ack({ "t:0": 9, "t:1": 3 })).toEqual({ rejected: [], changes: 0 });
});

test("[POL-5] an ack of a partition of which nothing was sent is reported, and the others count", () => {
  const group = new Polls();
  group.deliver([sent("t:0", 9)]);
  expect(group.ack({ "t:1": 5, "t:0": 9 })).toEqual({
    rejected: ["t:1 INVALID_REQUEST"],
    changes: 1,
  });
  expect([group.committed("t:0"), group.committed("t:1")]).toEqual([9, null]);
  expect(group.note({ "t:1": 5 })).toBe(1);
  group.deliver([sent("t:1", 2)]);
  // It may be repeated however often, even after records were sent; a later one may not.
  for (const offset of [5, 4, 3])
    expect(group.ack({ "t:1": offset })).toEqual({ rejected: ["t:1 INVALID_REQUEST"], changes: 0 });
  expect(group.ack({ "t:1": 6 })).toMatchObject({ error: "INVALID_REQUEST", changes: 0 });
  expect(group.ack({ "t:1": 2 })).toEqual({ rejected: [], changes: 1 });
});

test("[POL-2] an ack for another's partition, or by a non-member, is reported and does not count", () => {
  const group = new Polls();
  expect(group.ack({ "t:0": 1 }, "stranger")).toEqual({
    rejected: ["t:0 UNKNOWN_MEMBER_ID"],
    changes: 0,
  });
  group.join("other", { polls: true });
  group.revokeAll();
  group.coordinator.takeEvents();
  const [own] = group.assigned("p");
  const [foreign] = group.assigned("other");
  if (own === undefined || foreign === undefined) throw new Error("each has one");
  group.deliver([sent(own, 3)]);
  expect(group.ack({ [own]: 3, [foreign]: 3 })).toEqual({
    rejected: [`${foreign} FENCED_MEMBER_EPOCH`],
    changes: 1,
  });
});

test("[POL-5] only a new rejection, for a partition that the member has now, is remembered", () => {
  const group = new Polls();
  group.deliver([sent("t:0", 4)]);
  expect(group.note({ "t:0": 4 })).toBe(0);
  expect(group.note({ "t:0": 5, "u:0": 5 })).toBe(1);
  expect([...group.member("p").refusedAcks]).toEqual([["t:0", 5]]);
  for (const offset of [5, 4]) expect(group.note({ "t:0": offset })).toBe(0);
  expect(group.note({ "t:0": 6, "t:1": 1 })).toBe(1);
  expect([...group.member("p").refusedAcks]).toEqual([
    ["t:0", 6],
    ["t:1", 1],
  ]);
  expect(group.note({ "t:0": 9 }, "stranger")).toBe(0);
});
