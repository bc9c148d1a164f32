// The rules of a group for members of every kind: native (sockets, polls, KIP-848) or classic. Every
// join, commit, reset and deletion asks here, so no entry point considers only one kind of member
// [GRP-14]. They follow Kafka's Group.java (validateOffsetCommit, validateOffsetFetch,
// validateDeleteGroup). The functions are pure and change nothing.
import { ERRORS, type Failure, fail, KAFKA_ERRORS } from "../errors.ts";
import type { ClassicGroup, ClassicMember, ClassicToken } from "./classic.ts";
import { readSubscription } from "./classic-assignment.ts";
import { unknownMember } from "./offsets.ts";
import { type GroupState, hasSubscriber } from "./state.ts";

/** A group's members of both kinds. At most one kind has members. */
export interface GroupMembers {
  readonly state: GroupState;
  readonly classic: Pick<
    ClassicGroup,
    "members" | "protocolType" | "generation" | "commitErrorCode"
  >;
}

/**
 * Returns why a native member may not join, or null. NON_EMPTY_GROUP: classic members are in the group. A client that
 * was only given an id is not a member [CLS-10]: it joins the members that it then finds, or is refused.
 */
export function whyNotNativeJoin(group: GroupMembers): Failure | null {
  return group.classic.members.size > 0 ? nonEmpty(group) : null;
}

/** Returns why a classic member may not join, as Kafka's error code. */
export function classicJoinErrorCode({ state }: GroupMembers): number {
  return state.members.size > 0 ? KAFKA_ERRORS.INCONSISTENT_GROUP_PROTOCOL : KAFKA_ERRORS.NONE;
}

/** Returns why the group may not be deleted, or all its positions set, or null. NON_EMPTY_GROUP. */
export function whyNotUnused(group: GroupMembers): Failure | null {
  return group.state.members.size > 0 || group.classic.members.size > 0 ? nonEmpty(group) : null;
}

/**
 * Returns why the group's positions in a topic may not be forgotten, or null.
 * GROUP_SUBSCRIBED_TO_TOPIC: a member reads the topic. NON_EMPTY_GROUP: there are members of a protocol
 * other than the consumer's, so nobody knows what they read.
 */
export function whyNotForgetTopic(group: GroupMembers, topic: string): Failure | null {
  const { members, protocolType } = group.classic;
  if (members.size > 0 && protocolType !== "consumer") return nonEmpty(group);
  const isRead =
    hasSubscriber(group.state, topic) ||
    [...members.values()].some((member) => subscribedTopics(member).includes(topic));
  return isRead
    ? fail("GROUP_SUBSCRIBED_TO_TOPIC", `a member of the group subscribes to topic ${topic}`)
    : null;
}

/** The role in which a commit of Kafka's protocol counts. */
export type Committer =
  | { readonly kind: "native" }
  | { readonly kind: "classic" }
  /** A commit by no member: by an admin, or by a consumer that chose its partitions itself. */
  | { readonly kind: "manual" }
  | { readonly kind: "refused"; readonly errorCode: number };

/**
 * True if a commit of Kafka's protocol names no generation. If it names a member, that member has left or never joined.
 */
export function isByHand({ generation }: ClassicToken): boolean {
  return generation < 0;
}

/**
 * [CLS-6] Returns the role in which an OffsetCommit counts. A commit by hand counts only if the group has no members of
 * any kind, whatever id it names, as in Kafka: Java's consumer keeps naming the id that it had before it unsubscribed.
 * Any other commit counts only as that of the member it names.
 */
export function committerOf(group: GroupMembers, token: ClassicToken): Committer {
  // [GRP-15] Nobody may use this call to commit in the name of a member that joined in another way.
  const native = group.state.members.get(token.memberId);
  if (native?.heartbeats) {
    const isForeign = token.instanceId !== null && token.instanceId !== native.instanceId;
    if (isForeign) return { kind: "refused", errorCode: ERRORS.UNKNOWN_MEMBER_ID.code };
    return { kind: "native" };
  }
  if (isByHand(token) && whyNotUnused(group) === null) return { kind: "manual" };
  const errorCode = group.classic.commitErrorCode(token);
  return errorCode === KAFKA_ERRORS.NONE ? { kind: "classic" } : { kind: "refused", errorCode };
}

/**
 * [CLS-11] Returns why a member may not fetch the group's positions, as Kafka's error code. A member and its epoch mean
 * something only in a group that native members have made. There the id must belong to a member, at its epoch or an
 * earlier one that it was told. Any other group ignores them, as Kafka's ClassicGroup does: a classic group, one that
 * only commits by hand have made, and one that does not exist. Clients of the classic protocol send them too.
 */
export function offsetFetchErrorCode(
  { state, classic }: GroupMembers,
  member: { readonly memberId: string; readonly memberEpoch: number },
): number {
  if (isOfClassicKind({ state, classic })) return KAFKA_ERRORS.NONE;
  const known = state.members.get(member.memberId);
  if (known === undefined) return ERRORS[unknownMember(member.memberId).error].code;
  const isCurrent = member.memberEpoch > 0 && member.memberEpoch <= known.memberEpoch;
  return isCurrent ? KAFKA_ERRORS.NONE : ERRORS.STALE_MEMBER_EPOCH.code;
}

/** True if the group has classic members, or never had a native one. The group epoch grows with the first of those. */
function isOfClassicKind({ state, classic }: GroupMembers): boolean {
  return classic.members.size > 0 || state.groupEpoch === 0;
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
