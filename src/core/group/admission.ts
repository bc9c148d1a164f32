// Who may do what in a group, whatever kind its members are: native (sockets, polls, KIP-848) or classic. Every join,
// commit, reset and deletion asks here, so that no way in knows one kind of member only [GRP-14]. After Kafka's
// Group.java (validateOffsetCommit, validateOffsetFetch, validateDeleteGroup). Pure: nothing is changed.
import { ERRORS, type Failure, fail, KAFKA_ERRORS } from "../errors.ts";
import type { ClassicGroup, ClassicMember, ClassicToken } from "./classic.ts";
import { readSubscription } from "./classic-assignment.ts";
import { unknownMember } from "./offsets.ts";
import { type GroupState, hasSubscriber } from "./state.ts";

/** A group's members of both kinds. There are members of one kind at most. */
export interface GroupMembers {
  readonly state: GroupState;
  readonly classic: Pick<ClassicGroup, "members" | "protocolType" | "generation" | "checkCommit">;
}

/**
 * Why a native member may not join, or null. NON_EMPTY_GROUP: classic members are in the group. Who was only told an id is
 * none [CLS-10]: it joins with the members that it then finds, or is refused.
 */
export function checkNativeJoin(group: GroupMembers): Failure | null {
  return group.classic.members.size > 0 ? nonEmpty(group) : null;
}

/** Why a classic member may not join, as Kafka's error code. */
export function checkClassicJoin({ state }: GroupMembers): number {
  return state.members.size > 0 ? KAFKA_ERRORS.INCONSISTENT_GROUP_PROTOCOL : KAFKA_ERRORS.NONE;
}

/** Why the group may not be deleted, or all its positions be set, or null. NON_EMPTY_GROUP. */
export function checkUnused(group: GroupMembers): Failure | null {
  return group.state.members.size > 0 || group.classic.members.size > 0 ? nonEmpty(group) : null;
}

/**
 * Why the group's positions in a topic may not be forgotten, or null. GROUP_SUBSCRIBED_TO_TOPIC: a member reads the topic.
 * NON_EMPTY_GROUP: there are members of a protocol other than the consumer's, so what they read is not known.
 */
export function checkForgetTopic(group: GroupMembers, topic: string): Failure | null {
  const { members, protocolType } = group.classic;
  if (members.size > 0 && protocolType !== "consumer") return nonEmpty(group);
  const isRead =
    hasSubscriber(group.state, topic) ||
    [...members.values()].some((member) => subscribedTopics(member).includes(topic));
  return isRead
    ? fail("GROUP_SUBSCRIBED_TO_TOPIC", `a member of the group subscribes to topic ${topic}`)
    : null;
}

/** As whom a commit of Kafka's protocol counts. */
export type Committer =
  | { readonly kind: "native" }
  | { readonly kind: "classic" }
  /** Nobody's: by an admin, or a consumer that chose its partitions itself. */
  | { readonly kind: "manual" }
  | { readonly kind: "refused"; readonly errorCode: number };

/** True where a commit of Kafka's protocol names no generation. A member that it names has left, or never joined. */
export function isByHand({ generation }: ClassicToken): boolean {
  return generation < 0;
}

/**
 * [CLS-6] As whom OffsetCommit counts. By hand only where the group has no members of any kind, whatever id is named, as in
 * Kafka: Java's consumer goes on naming the id that it had before it unsubscribed. Else only as the member named.
 */
export function committerOf(group: GroupMembers, token: ClassicToken): Committer {
  // [GRP-15] In the name of one that joined in another way nobody commits by this.
  const native = group.state.members.get(token.memberId);
  if (native?.heartbeats) {
    const isForeign = token.instanceId !== null && token.instanceId !== native.instanceId;
    if (isForeign) return { kind: "refused", errorCode: ERRORS.UNKNOWN_MEMBER_ID.code };
    return { kind: "native" };
  }
  if (isByHand(token) && checkUnused(group) === null) return { kind: "manual" };
  const errorCode = group.classic.checkCommit(token);
  return errorCode === KAFKA_ERRORS.NONE ? { kind: "classic" } : { kind: "refused", errorCode };
}

/**
 * Why a member may not fetch the group's positions, as Kafka's error code. A native one must be a member, at its epoch or one
 * that it was told before; of a classic one Kafka asks nothing.
 */
export function checkOffsetFetch(
  { state, classic }: GroupMembers,
  member: { readonly memberId: string; readonly memberEpoch: number },
): number {
  const isClassic = classic.members.size > 0 || (state.groupEpoch === 0 && classic.generation > 0);
  if (isClassic) return KAFKA_ERRORS.NONE;
  const known = state.members.get(member.memberId);
  if (known === undefined) return ERRORS[unknownMember(member.memberId).error].code;
  const isCurrent = member.memberEpoch > 0 && member.memberEpoch <= known.memberEpoch;
  return isCurrent ? KAFKA_ERRORS.NONE : ERRORS.STALE_MEMBER_EPOCH.code;
}

function nonEmpty({ state, classic }: GroupMembers): Failure {
  const count = state.members.size + classic.members.size;
  const kind = classic.members.size > 0 ? " that speak Kafka's classic protocol" : "";
  return fail(
    "NON_EMPTY_GROUP",
    `group ${state.groupId} has ${count} member(s)${kind}; stop them, or wait for their session timeout`,
  );
}

function subscribedTopics({ protocols }: ClassicMember): string[] {
  return protocols.flatMap(({ metadata }) => readSubscription(metadata));
}
