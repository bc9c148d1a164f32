// A group as it is shown to people.
import type {
  ClassicMemberState,
  GroupInfo,
  GroupStateName,
  TopicAssignment,
} from "../group-info.ts";
import type { ClassicGroup } from "./classic.ts";
import { readAssignment } from "./classic-assignment.ts";
import type { Coordinator } from "./coordinator.ts";
import { EMPTY_SET, fromSet, type PartitionSet } from "./partition-key.ts";
import type { GroupTopic } from "./state.ts";

/** A group as it describes itself. The Worker adds the ends of the logs. */
export interface GroupDescription
  extends Pick<GroupInfo, "groupId" | "state" | "epoch" | "assignor" | "members"> {
  /** Every partition of the group's topics. `committedOffset` is null if nothing was committed. */
  readonly offsets: readonly {
    readonly topic: string;
    readonly topicId: string;
    readonly partition: number;
    readonly committedOffset: number | null;
  }[];
}

/** `classic` holds the members that speak Kafka's classic protocol, if there are any. */
export function describeGroup(
  coordinator: Coordinator,
  classic: Pick<ClassicGroup, "members" | "phase" | "protocolName" | "generation">,
): GroupDescription {
  const { state } = coordinator;
  const offsets = describeOffsets(coordinator, [...state.topics.values()]);
  if (classic.members.size > 0)
    return {
      groupId: state.groupId,
      state: CLASSIC_STATES[classic.phase],
      epoch: classic.generation,
      assignor: classic.protocolName ?? "",
      members: [...classic.members.values()].map((member) => ({
        memberId: member.memberId,
        ...(member.instanceId === null ? {} : { instanceId: member.instanceId }),
        clientId: member.clientId,
        memberEpoch: classic.generation,
        state: CLASSIC_MEMBER_STATES[classic.phase],
        connected: member.silentSinceMs === null,
        assignment: readAssignment(member.assignment),
        target: readAssignment(member.assignment),
      })),
      offsets,
    };
  const names = new Map([...state.topics.values()].map((topic) => [topic.topicId, topic.name]));
  return {
    groupId: state.groupId,
    state: coordinator.stateName,
    epoch: state.groupEpoch,
    assignor: coordinator.config.assignor,
    members: [...state.members.values()]
      .sort((a, b) => a.memberNumber - b.memberNumber)
      .map((member) => ({
        memberId: member.memberId,
        ...(member.instanceId === null ? {} : { instanceId: member.instanceId }),
        ...(member.clientId === null ? {} : { clientId: member.clientId }),
        memberEpoch: member.memberEpoch,
        state: member.state,
        connected: member.polls || member.silentSinceMs === null,
        assignment: byTopicName(member.assigned, names),
        target: byTopicName(state.targets.get(member.memberId) ?? EMPTY_SET, names),
      })),
    offsets,
  };
}

/** The states in the words of KIP-848. */
const CLASSIC_STATES = {
  EMPTY: "EMPTY",
  PREPARING: "RECONCILING",
  COMPLETING: "ASSIGNING",
  STABLE: "STABLE",
} as const satisfies Record<ClassicGroup["phase"], GroupStateName>;

/** The states of its members. A group that is EMPTY has none. */
const CLASSIC_MEMBER_STATES: Readonly<Record<ClassicGroup["phase"], ClassicMemberState>> = {
  ...CLASSIC_STATES,
  EMPTY: "STABLE",
};

function describeOffsets(
  coordinator: Coordinator,
  topics: readonly GroupTopic[],
): GroupDescription["offsets"] {
  const { offsets } = coordinator.state;
  const committed = new Map([...offsets].map(([key, value]) => [key, value.offset]));
  return [...topics]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((topic) =>
      Array.from({ length: topic.partitions }, (_, partition) => ({
        topic: topic.name,
        topicId: topic.topicId,
        partition,
        committedOffset: committed.get(`${topic.topicId}:${partition}`) ?? null,
      })),
    );
}

function byTopicName(set: PartitionSet, names: ReadonlyMap<string, string>): TopicAssignment[] {
  return fromSet(set)
    .map(({ topicId, partitions }) => ({ topic: names.get(topicId) ?? topicId, partitions }))
    .sort((a, b) => (a.topic < b.topic ? -1 : 1));
}
