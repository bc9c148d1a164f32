// A group as people see it, at moments that a test over sockets would have to catch.
import { describe, expect, test } from "vitest";
import { ClassicGroup } from "../../src/core/group/classic.ts";
import { Coordinator } from "../../src/core/group/coordinator.ts";
import { describeGroup } from "../../src/core/group/describe.ts";
import { GroupScenario } from "../support/group-scenario.ts";

const NO_CLASSIC = new ClassicGroup(null, 0);

describe("describe", () => {
  test("[OFF-6] while partitions move, a member's target is what it shall have in the end", () => {
    const group = new GroupScenario({ t: 4 });
    group.join("a");
    group.join("b");
    const { state, members } = describeGroup(group.coordinator, NO_CLASSIC);
    expect(state).toBe("RECONCILING");
    const [a, b] = members;
    expect(b).toMatchObject({ assignment: [], target: [{ topic: "t" }] });
    expect(b?.target[0]?.partitions).toHaveLength(2);
    expect(a?.target).toEqual(a?.assignment);
    group.revoked("a");
    const settled = describeGroup(group.coordinator, NO_CLASSIC);
    expect(settled.state).toBe("STABLE");
    expect(settled.members[1]?.assignment).toEqual(b?.target);
    expect(settled.members[1]?.target).toEqual(b?.target);
  });

  test("[OFF-6] a group whose target is yet to be computed is ASSIGNING, unless it is EMPTY", () => {
    const group = new GroupScenario({ t: 1 });
    group.join("a");
    const { state } = group;
    const ahead = { ...state, groupEpoch: state.assignmentEpoch + 1 };
    expect(describeGroup(new Coordinator(ahead), NO_CLASSIC).state).toBe("ASSIGNING");
    const left = { ...ahead, members: new Map() };
    expect(describeGroup(new Coordinator(left), NO_CLASSIC).state).toBe("EMPTY");
  });
});
