// The partitions that were added to a topic while the group was there to read them.
import { describe, expect, test } from "vitest";
import { emptyGroup, isAddedPartition, replay } from "../../../../src/core/group/state.ts";
import { GroupScenario } from "../../../support/group-scenario.ts";
import { TestedCoordinator } from "../../../support/tested-coordinator.ts";

/** The partitions of the topic that were added, by number. */
function added({ state }: { readonly state: GroupScenario["state"] }, name = "t"): number[] {
  const topic = state.topics.get(name);
  if (topic === undefined) throw new Error(`the group does not know ${name}`);
  return Array.from({ length: topic.partitions }, (_, partition) => partition).filter((partition) =>
    isAddedPartition(topic, partition),
  );
}

const STORIES: readonly {
  readonly story: string;
  readonly tell: (group: GroupScenario) => void;
  readonly added: readonly number[];
}[] = [
  { story: "joined for the first time", tell: (group) => group.join("a"), added: [] },
  {
    story: "grown under a member",
    tell: (group) => {
      group.join("a");
      group.growTopic("t", 4);
    },
    added: [2, 3],
  },
  {
    story: "grown twice",
    tell: (group) => {
      group.join("a");
      group.growTopic("t", 3);
      group.growTopic("t", 4);
    },
    added: [2, 3],
  },
  {
    story: "grown while nobody was there",
    tell: (group) => {
      group.join("a");
      group.leave("a");
      group.growTopic("t", 3);
      group.join("b");
    },
    added: [2],
  },
  {
    story: "grown before anybody was there",
    tell: (group) => {
      group.growTopic("t", 3);
      group.join("a");
    },
    added: [],
  },
  {
    story: "joined by a second member with the same subscription",
    tell: (group) => {
      group.join("a");
      group.join("b");
    },
    added: [],
  },
  {
    story: "subscribed to by a member that was there for another topic",
    tell: (group) => {
      group.createTopic("other", 1);
      group.join("a", { topics: ["other"] });
      group.join("b", { topics: ["t"] });
    },
    added: [],
  },
  {
    story: "created again under a member",
    tell: (group) => {
      group.join("a");
      group.deleteTopic("t");
      group.createTopic("t", 2);
    },
    added: [0, 1],
  },
  {
    story: "deleted and created again while nobody was there",
    tell: (group) => {
      group.join("a");
      group.leave("a");
      group.deleteTopic("t");
      group.createTopic("t", 2);
      group.join("b");
    },
    added: [],
  },
  {
    story: "created again, reported with the next join",
    tell: (group) => {
      group.join("a");
      group.leave("a");
      const anew = { topicId: "t-2", name: "t", partitions: 2 };
      group.coordinator.changeTopics([anew], [], group.nowMs);
    },
    added: [0, 1],
  },
];

describe("a group", () => {
  test.each(STORIES)("[OFF-14] a topic $story: what was added", ({ tell, added: expected }) => {
    const group = new GroupScenario({ t: 2 });
    tell(group);
    expect(added(group)).toEqual(expected);
  });

  test.each([
    { by: "name", subscription: { topics: ["later"] } },
    { by: "pattern", subscription: { topics: [], topicPattern: "lat.*" } },
  ])("[OFF-14] a topic created after its subscription by $by is added as a whole", (each) => {
    const group = new GroupScenario({ t: 2 });
    group.join("a", each.subscription);
    group.createTopic("later", 2);
    expect(added(group, "later")).toEqual([0, 1]);
  });

  test("[OFF-14] a topic created while no subscriber is present was all there before", () => {
    const group = new GroupScenario({ t: 2 });
    group.join("a", { topics: ["later"] });
    group.leave("a");
    group.createTopic("later", 2);
    group.join("b", { topics: ["later"] });
    expect(added(group, "later")).toEqual([]);
  });

  test("[OFF-14] a join reports a topic that others wait for", () => {
    const group = new GroupScenario({ t: 2 });
    group.join("a", { topics: ["later"] });
    const later = { topicId: "later", name: "later", partitions: 2 };
    const { members } = group.state;
    const a = members.get("a");
    if (a === undefined) throw new Error("a is not there");
    const request = { ...a, memberId: "b", memberEpoch: 0, owned: new Set<never>() };
    expect(group.coordinator.join(request, [later], group.nowMs).ok).toBe(true);
    expect(added(group, "later")).toEqual([0, 1]);
  });

  test("[OFF-14] with a topic stored by release 0.1, all of it was there", () => {
    const state = emptyGroup("group");
    const old = { topicId: "t", name: "t", partitions: 2 };
    replay(state, { type: "topic", topic: old });
    const coordinator = new TestedCoordinator(state);
    expect(added(coordinator)).toEqual([]);
    coordinator.changeTopics([{ ...old, partitions: 3 }], [], 1);
    expect(added(coordinator)).toEqual([2]);
  });
});
