// A group as people see it, at moments that a test over sockets would have to catch.
import { describe, expect, test } from "vitest";
import { describeGroup } from "../../../../src/core/group/describe.ts";
import { partitionKey } from "../../../../src/core/group/partition-key.ts";
import * as responses from "../../../../src/worker/http/responses.ts";
import { ClassicRig } from "../../../support/classic-rig.ts";
import { GroupScenario } from "../../../support/group-scenario.ts";

describe("describe", () => {
  test("[OFF-6] while partitions move, a member's target is what it gets in the end", () => {
    const group = new GroupScenario({ t: 4 });
    group.join("a");
    group.join("b");
    const { state, members } = describeGroup(group.state);
    expect(state).toBe("RECONCILING");
    const [a, b] = members;
    expect(b).toMatchObject({ assignment: [], target: [{ topic: "t" }] });
    expect(b?.target[0]?.partitions).toHaveLength(2);
    expect(a?.target).toEqual(a?.assignment);
    // It may still be busy with what it was told to give up.
    expect(a?.revoking).toEqual(b?.target);
    expect(b).not.toHaveProperty("revoking");
    group.revoked("a");
    const settled = describeGroup(group.state);
    expect(settled.members[0]).not.toHaveProperty("revoking");
    expect(settled.state).toBe("STABLE");
    expect(settled.members[1]?.assignment).toEqual(b?.target);
    expect(settled.members[1]?.target).toEqual(b?.target);
  });

  test("[OFF-6] a group whose target is not yet computed is ASSIGNING, unless it is EMPTY", () => {
    const group = new GroupScenario({ t: 1 });
    group.join("a");
    const { state } = group;
    const ahead = { ...state, groupEpoch: state.assignmentEpoch + 1 };
    expect(describeGroup(ahead).state).toBe("ASSIGNING");
    const left = { ...ahead, members: new Map() };
    expect(describeGroup(left).state).toBe("EMPTY");
  });

  test("[OFF-6] members come in the order in which they joined, topics by name, each partition with its offset", () => {
    const group = new GroupScenario({ zeta: 1, alpha: 12, mid: 1 });
    group.join("z", { instanceId: "i" });
    group.commit("z", { [partitionKey("alpha", 11)]: 7, [partitionKey("mid", 0)]: 0 });
    group.join("a", { topics: [] });
    group.join("z", { instanceId: "i", memberEpoch: 1, owned: group.owned("z") });
    const { members, offsets } = describeGroup(group.state);
    expect(members.map(({ memberId }) => memberId)).toEqual(["z", "a"]);
    expect(members[0]?.assignment).toEqual([
      { topic: "alpha", partitions: Array.from({ length: 12 }, (_, i) => i) },
      { topic: "mid", partitions: [0] },
      { topic: "zeta", partitions: [0] },
    ]);
    expect(members[1]?.assignment).toEqual([]);
    const { state } = group;
    const loaded = new Map([...state.members].reverse());
    const topics = new Map(
      [...state.topics.values()].map((topic, i) => [`${9 - i}`, { ...topic, name: `${9 - i}` }]),
    );
    const other = describeGroup({ ...state, members: loaded, topics });
    expect(other.members.map(({ memberId }) => memberId)).toEqual(["z", "a"]);
    expect(other.members[0]?.assignment.map(({ topic }) => topic)).toEqual(["7", "8", "9"]);
    expect(offsets).toEqual([
      ...Array.from({ length: 12 }, (_, partition) => ({
        topic: "alpha",
        topicId: "alpha",
        partition,
        committedOffset: partition === 11 ? 7 : null,
      })),
      { topic: "mid", topicId: "mid", partition: 0, committedOffset: 0 },
      { topic: "zeta", topicId: "zeta", partition: 0, committedOffset: null },
    ]);
  });

  test("[OFF-6] what a member holds of a deleted topic is shown by its id", () => {
    const group = new GroupScenario({ t: 1, u: 1 });
    group.join("a");
    group.replaceTopic("t", 1);
    const [a] = describeGroup(group.state).members;
    expect(a).toMatchObject({ state: "UNREVOKED_PARTITIONS" });
    expect(a?.target).toEqual([
      { topic: "t", partitions: [0] },
      { topic: "u", partitions: [0] },
    ]);
    const [told] = describeGroup({ ...group.state, topics: new Map() }).members;
    expect(told?.target.map(({ topic }) => topic)).toEqual(["t-2", "u"]);
  });

  test.each([
    { title: "of a socket", join: {}, isSilent: false, connected: true },
    { title: "of a socket that is gone", join: {}, isSilent: true, connected: false },
    { title: "that polls", join: { polls: true }, isSilent: false, connected: true },
  ])("[OFF-6] a member $title is connected: $connected", ({ join, isSilent, connected }) => {
    const group = new GroupScenario({ t: 1 });
    group.join("a", join);
    if (isSilent) group.disconnect("a");
    const { members } = describeGroup(group.state);
    expect(members).toMatchObject([{ connected }]);
  });

  test("[OFF-6] a name that a member has is shown, a missing one left out", () => {
    const group = new GroupScenario({ t: 1 });
    group.join("a", { instanceId: "i" });
    group.join("b");
    const named = { ...group.member("b"), clientId: "c" };
    group.state.members.set("b", named);
    const [a, b] = describeGroup(group.state).members;
    expect(a).toMatchObject({ instanceId: "i" });
    expect(a).not.toHaveProperty("clientId");
    expect(b).toMatchObject({ clientId: "c" });
    expect(b).not.toHaveProperty("instanceId");
  });

  test("[CLS-8] [DOC-1] a classic group is described by its members, in each phase", () => {
    const rig = new ClassicRig();
    const one = rig.join("", { instanceId: "i" }).joined?.memberId ?? "";
    const told = () => {
      const group = describeGroup(rig.group.machine.state);
      // [DOC-1] It matches the API's description, whatever the phase.
      expect(group.members).toEqual(responses.group.shape.members.parse(group.members));
      expect(group.state).toBe(responses.group.shape.state.parse(group.state));
      return group;
    };
    expect(told()).toMatchObject({ state: "ASSIGNING", epoch: 1, assignor: "range" });
    // Version 0, one topic "t" with the partitions 0 and 3.
    const bytes = [0, 1, 0, 0, 0, 1, 0, 1, 0x74, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3];
    rig.sync(one, 1, { [one]: String.fromCharCode(...bytes) }, { instanceId: "i" });
    expect(told()).toMatchObject({ state: "STABLE", epoch: 1, assignor: "range" });
    expect(told().members).toEqual([
      {
        memberId: one,
        instanceId: "i",
        clientId: "c",
        memberEpoch: 1,
        state: "STABLE",
        connected: true,
        assignment: [{ topic: "t", partitions: [0, 3] }],
        target: [{ topic: "t", partitions: [0, 3] }],
      },
    ]);
    const { id } = rig.newcomer();
    expect(told()).toMatchObject({ state: "RECONCILING", epoch: 1, assignor: "" });
    expect(told().members[1]).toMatchObject({ memberId: id, assignment: [] });
    expect(told().members[1]).not.toHaveProperty("instanceId");
  });
});
