// The description of a group, for people and for Kafka's tools.
import { fail, type Result } from "../errors.ts";
import type {
  ClassicMemberState,
  GroupInfo,
  GroupStateName,
  MemberInfo,
  TopicAssignment,
} from "../group-info.ts";
import { readAssignment } from "./classic-assignment.ts";
import { type ClassicMember, type ClassicPhase, currentProtocol } from "./classic-state.ts";
import { resolveGroupConfig } from "./config.ts";
import { EMPTY_SET, fromSet, type PartitionSet, parsePartitionKey } from "./partition-key.ts";
import type { NamedOffset } from "./requests.ts";
import {
  exists,
  type GroupState,
  hasMembers,
  isSettled,
  type Member,
  newestEpoch,
} from "./state.ts";

/** A group's description of itself. The Worker adds the log end offsets. */
export interface GroupDescription
  extends Pick<GroupInfo, "groupId" | "kind" | "state" | "epoch" | "assignor" | "members"> {
  /** All partitions of the group's topics. `committedOffset` is null if nothing was committed. */
  readonly offsets: readonly {
    readonly topic: string;
    readonly topicId: string;
    readonly partition: number;
    readonly committedOffset: number | null;
  }[];
}

export function describeGroup(state: GroupState): GroupDescription {
  const { groupId, classic } = state;
  const offsets = describeOffsets(state);
  if (classic.members.size > 0)
    return {
      groupId,
      state: CLASSIC_STATES[classic.phase],
      epoch: classic.generation,
      assignor: currentProtocol(classic) ?? "",
      members: [...classic.members.values()].map((member) => ({
        ...identityOf(member),
        memberEpoch: classic.generation,
        state: CLASSIC_MEMBER_STATES[classic.phase],
        connected: member.silentSinceMs === null,
        assignment: readAssignment(member.assignment),
        target: readAssignment(member.assignment),
      })),
      offsets,
    };
  const names = topicNames(state);
  return {
    groupId,
    ...(state.kind === null ? {} : { kind: state.kind }),
    state: stateNameOf(state),
    epoch: state.members.size > 0 ? state.groupEpoch : newestEpoch(state),
    assignor: resolveGroupConfig(state.overrides).assignor,
    members: [...state.members.values()]
      .sort((a, b) => a.memberNumber - b.memberNumber)
      .map((member) => ({
        ...identityOf(member),
        memberEpoch: member.memberEpoch,
        state: member.state,
        connected: member.polls || member.silentSinceMs === null,
        assignment: byTopicName(member.assigned, names),
        ...(member.revoking.size === 0 ? {} : { revoking: byTopicName(member.revoking, names) }),
        target: byTopicName(state.targets.get(member.memberId) ?? EMPTY_SET, names),
      })),
    offsets,
  };
}

/** A share group's description of itself. The Worker adds what its partitions say. */
export interface ShareGroupDescription {
  readonly groupId: string;
  readonly incarnation: number;
  readonly state: GroupStateName;
  readonly epoch: number;
  readonly members: GroupInfo["members"];
  /** The partitions that keep delivery states for the group. */
  readonly partitions: readonly {
    readonly topic: string;
    readonly topicId: string;
    readonly partition: number;
  }[];
}

export function describeShareGroup(state: GroupState): ShareGroupDescription {
  const names = topicNames(state);
  const { members, ...group } = describeGroup(state);
  return {
    ...{ groupId: group.groupId, incarnation: state.incarnation },
    ...{ state: group.state, epoch: group.epoch, members },
    partitions: fromSet(state.sharePartitions).flatMap(({ topicId, partitions }) =>
      partitions.map((partition) => ({ topic: names.get(topicId) ?? topicId, topicId, partition })),
    ),
  };
}

export function stateNameOf(state: GroupState): GroupStateName {
  if (state.members.size === 0) return "EMPTY";
  if (state.groupEpoch > state.assignmentEpoch) return "ASSIGNING";
  for (const member of state.members.values()) if (!isSettled(state, member)) return "RECONCILING";
  return "STABLE";
}

/** The phases of a classic group in terms of KIP-848. */
const CLASSIC_STATES = {
  EMPTY: "EMPTY",
  PREPARING: "RECONCILING",
  COMPLETING: "ASSIGNING",
  STABLE: "STABLE",
} as const satisfies Record<ClassicPhase, GroupStateName>;

/** The states of its members. An EMPTY group has no members. */
const CLASSIC_MEMBER_STATES: Readonly<Record<ClassicPhase, ClassicMemberState>> = {
  ...CLASSIC_STATES,
  EMPTY: "STABLE",
};

function identityOf({
  memberId,
  instanceId,
  clientId,
}: Member | ClassicMember): Pick<MemberInfo, "memberId" | "instanceId" | "clientId"> {
  return {
    memberId,
    ...(instanceId === null ? {} : { instanceId }),
    ...(clientId === null ? {} : { clientId }),
  };
}

function describeOffsets({ topics, offsets }: GroupState): GroupDescription["offsets"] {
  const committed = new Map(Array.from(offsets, ([key, { offset }]) => [key as string, offset]));
  return [...topics.values()]
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

function topicNames({ topics }: GroupState): Map<string, string> {
  return new Map([...topics.values()].map(({ topicId, name }) => [topicId, name]));
}

// Descriptions for Kafka's clients.

/** Returns all committed offsets. */
export function positionsOf(state: GroupState): NamedOffset[] {
  const names = topicNames(state);
  return Array.from(state.offsets, ([key, { offset, metadata, leaderEpoch }]) => {
    const { topicId, partition } = parsePartitionKey(key);
    const epoch = leaderEpoch === undefined ? {} : { leaderEpoch };
    return { topic: names.get(topicId) ?? "", partition, offset, metadata, ...epoch };
  });
}

/** Returns the group's committed offsets in one topic. */
export function positionsIn(state: GroupState, topicId: string): Omit<NamedOffset, "topic">[] {
  return [...state.offsets].flatMap(([key, { offset, metadata, leaderEpoch }]) => {
    const parsed = parsePartitionKey(key);
    const epoch = leaderEpoch === undefined ? {} : { leaderEpoch };
    return parsed.topicId === topicId
      ? [{ partition: parsed.partition, offset, metadata, ...epoch }]
      : [];
  });
}

/** Kafka's description of a classic group. */
export interface ClassicDescription {
  readonly groupState: string;
  readonly protocolType: string;
  readonly protocolData: string;
  readonly members: readonly {
    readonly memberId: string;
    readonly groupInstanceId: string | null;
    readonly clientId: string;
    readonly clientHost: string;
    readonly memberMetadata: Uint8Array;
    readonly memberAssignment: Uint8Array;
  }[];
}

/** Describes the group as Kafka's DescribeGroups does. A group that does not exist or has native members is Dead. */
export function describeClassic(state: GroupState): ClassicDescription {
  const { classic } = state;
  const protocolName = currentProtocol(classic);
  const isThere = exists(state) && state.members.size === 0;
  return {
    groupState: isThere ? KAFKA_STATES[classic.phase] : "Dead",
    protocolType: classic.protocolType ?? (exists(state) ? "consumer" : ""),
    protocolData: protocolName ?? "",
    members: Array.from(classic.members.values(), (member) => ({
      memberId: member.memberId,
      groupInstanceId: member.instanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      memberMetadata:
        member.protocols.find(({ name }) => name === protocolName)?.metadata ?? new Uint8Array(),
      memberAssignment: member.assignment,
    })),
  };
}

/** Kafka's names of the phases. */
const KAFKA_STATES: Readonly<Record<ClassicPhase, string>> = {
  EMPTY: "Empty",
  PREPARING: "PreparingRebalance",
  COMPLETING: "CompletingRebalance",
  STABLE: "Stable",
};

/** Describes the group as Kafka's ConsumerGroupDescribe does: the native members and their subscriptions. */
export function describeConsumers(state: GroupState): Result<{
  group: GroupDescription;
  subscriptions: Record<string, { topics: readonly string[]; topicPattern: string | null }>;
}> {
  if (!exists(state) || state.classic.members.size > 0)
    return fail("GROUP_ID_NOT_FOUND", "there is no group of this type and name");
  const subscriptions = Object.fromEntries(
    [...state.members].map(([memberId, { topics, topicPattern }]) => [
      memberId,
      { topics, topicPattern },
    ]),
  );
  return { ok: true, group: describeGroup(state), subscriptions };
}

/** A group as Kafka's ListGroups lists it. */
export interface GroupSummary {
  readonly protocolType: string;
  readonly groupState: string;
  readonly groupType: string;
}

/**
 * [KFK-34] Returns the group's entry in a list, which must not require asking the group: whether it has members, and
 * their protocol. Rebalances are too short to be shown. Null if there is no group.
 */
export function listedSummaryOf(state: GroupState): GroupSummary | null {
  const summary = summaryOf(state);
  return summary && { ...summary, groupState: hasMembers(state) ? "Stable" : "Empty" };
}

/** Returns the group's current summary. Null if there is no group. */
export function summaryOf(state: GroupState): GroupSummary | null {
  if (!exists(state)) return null;
  const { members, phase, protocolType, generation } = state.classic;
  const hasMember = state.members.size > 0;
  if (state.kind === "share")
    return {
      protocolType: "share",
      groupState: hasMember ? "Stable" : "Empty",
      groupType: "share",
    };
  // The last members were classic, and no native member has joined since.
  const wasClassic = state.groupEpoch === 0 && generation > 0;
  if (members.size > 0 || wasClassic)
    return {
      protocolType: protocolType ?? "consumer",
      groupState: KAFKA_STATES[phase],
      groupType: "classic",
    };
  const name = stateNameOf(state).toLowerCase();
  const groupState = `${name.charAt(0).toUpperCase()}${name.slice(1)}`;
  return { protocolType: "consumer", groupState, groupType: "consumer" };
}
