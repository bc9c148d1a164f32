// The rules for joining, committing, fetching, resetting and deleting. They cover members of every kind, native
// (sockets, polls, KIP-848) and classic, so no entry point considers only one kind [GRP-14]. They follow Kafka's
// Group.java (validateOffsetCommit, validateOffsetFetch, validateDeleteGroup). The functions are pure and change
// nothing.
import { sizeOf } from "../bytes.ts";
import {
  type Failure,
  fail,
  type KafkaFailure,
  type KafkaResult,
  preview,
  type Result,
} from "../errors.ts";
import { MAX_CLASSIC_GROUP_BYTES } from "../limits.ts";
import { readSubscription } from "./classic-assignment.ts";
import {
  type ClassicMember,
  type ClassicState,
  classicHolderOf,
  commonProtocols,
} from "./classic-state.ts";
import type { GroupConfig } from "./config.ts";
import type { ClassicJoin, ClassicToken, GroupRequest, JoinRequest } from "./requests.ts";
import {
  type GroupState,
  hasMembers,
  hasNativeMembers,
  holderOf,
  type Member,
  subscriberTest,
} from "./state.ts";
import { whyNotTopicPattern } from "./topic-pattern.ts";

// Kind.

/** The requests of a consumer group's members, and those that move its committed offsets. */
const OF_CONSUMERS: ReadonlySet<GroupRequest["type"]> = new Set([
  "join",
  "poll",
  "heartbeat",
  "joinClassic",
  "syncClassic",
  "commitOffsets",
  "resetOffsets",
  "deleteOffsets",
  "deletePositions",
] as const);

/**
 * [SHR-16] Returns why a group of this kind does not serve the request, or null. As in Kafka, a group of another kind is
 * not found: GROUP_ID_NOT_FOUND. The first use decides on the kind.
 */
export function whyNotKind(
  state: GroupState,
  { type }: Pick<GroupRequest, "type">,
): KafkaFailure | null {
  const { groupId, kind } = state;
  if (kind === "share") {
    if (!OF_CONSUMERS.has(type)) return null;
    const detail = `group ${groupId} is a share group; it has no consumers and no committed offsets`;
    return fail("GROUP_ID_NOT_FOUND", detail);
  }
  const isRefused = type === "useShare" || (type === "openShare" && isUsedByConsumers(state));
  return isRefused ? notShare(groupId) : null;
}

function isUsedByConsumers({ topics, nextMemberNumber, classic }: GroupState): boolean {
  return nextMemberNumber > 1 || classic.generation > 0 || topics.size > 0;
}

export function notShare(groupId: string): Failure {
  return fail("GROUP_ID_NOT_FOUND", `group ${groupId} is not a share group`);
}

// Join.

/**
 * [GRP-3] Returns why a native member may not join now, or null. NON_EMPTY_GROUP: classic members are in the group. A
 * client that only has an issued id is not a member [CLS-10]. When it joins, it either fits in with the present members
 * or is rejected. Also INVALID_SESSION_TIMEOUT, UNKNOWN_MEMBER_ID, FENCED_MEMBER_EPOCH, UNRELEASED_INSTANCE_ID,
 * GROUP_MAX_SIZE_REACHED, INVALID_REGULAR_EXPRESSION.
 */
export function whyNotJoin(
  state: GroupState,
  config: GroupConfig,
  request: JoinRequest,
): Failure | null {
  if (state.classic.members.size > 0) return nonEmpty(state);
  const known = state.members.get(request.memberId);
  const refused =
    whyNotSessionTimeout(config, request) ??
    (known === undefined ? whyNotNew(request) : whyNotAgain(known, request));
  if (refused !== null) return refused;
  const holder = holderOf(state, request.instanceId);
  const misnamed = whyNotClientId(request, known ?? holder);
  if (misnamed !== null) return misnamed;
  const isTaken = holder !== undefined && holder !== known;
  // A new member replaces a silent holder of its instance id, but an existing member does not. A polling holder is
  // silent between two polls, so it gives way to a socket.
  if (isTaken && (holder.silentSinceMs === null || known !== undefined)) {
    return fail(
      "UNRELEASED_INSTANCE_ID",
      `instanceId ${request.instanceId} is held by member ${holder.memberId}`,
    );
  }
  const { maxSize } = config;
  if (known === undefined && holder === undefined && state.members.size >= maxSize)
    return fail("GROUP_MAX_SIZE_REACHED", `the group has ${maxSize} members, the bound`);
  return (
    (known === undefined ? null : whyNotResume(known, request)) ??
    whyNotTopicPattern(request.topicPattern)
  );
}

function whyNotSessionTimeout(
  { minSessionTimeoutMs, maxSessionTimeoutMs }: GroupConfig,
  { sessionTimeoutMs }: Pick<JoinRequest, "sessionTimeoutMs">,
): Failure | null {
  if (sessionTimeoutMs >= minSessionTimeoutMs && sessionTimeoutMs <= maxSessionTimeoutMs)
    return null;
  return fail(
    "INVALID_SESSION_TIMEOUT",
    `sessionTimeoutMs is ${sessionTimeoutMs}, in this group it must be ${minSessionTimeoutMs} to ${maxSessionTimeoutMs}`,
  );
}

/**
 * [GRP-20] Rejects control characters in a client id, which terminals and logs show. Kafka's clients choose theirs freely.
 * A member keeps the one with which an earlier release let it in.
 */
function whyNotClientId(
  { clientId, heartbeats }: JoinRequest,
  before: Member | undefined,
): Failure | null {
  if (heartbeats || clientId === null || clientId === before?.clientId) return null;
  if (!/\p{Cc}/u.test(clientId)) return null;
  const detail = `clientId is ${preview(clientId)}, it must have no control characters`;
  return fail("INVALID_REQUEST", detail);
}

function whyNotNew({ memberId, memberEpoch }: JoinRequest): Failure | null {
  if (memberEpoch === 0) return null;
  return fail("UNKNOWN_MEMBER_ID", `member ${memberId} is not in the group; join with epoch 0`);
}

/**
 * [GRP-15] Rejects a join in another way than the member's own. Member ids are public, so a member may only use the way
 * in which it joined. A silent member may come back in another way, except to or from polling: a polling member's id is
 * derived from its instance id.
 */
function whyNotAgain(known: Member, { memberId, polls, heartbeats }: JoinRequest): Failure | null {
  const isOtherKind =
    known.polls !== polls || (known.heartbeats !== heartbeats && known.silentSinceMs === null);
  return isOtherKind ? unknownMember(memberId) : null;
}

function whyNotResume(known: Member, { memberEpoch, owned }: JoinRequest): Failure | null {
  if (memberEpoch === 0) return null;
  if (memberEpoch > known.memberEpoch) {
    return fail(
      "FENCED_MEMBER_EPOCH",
      `memberEpoch ${memberEpoch} is ahead of ${known.memberEpoch}; join with epoch 0`,
    );
  }
  // [GRP-4] The partitions that it consumed while away must still be its own. Otherwise they would have two owners.
  if (owned.isSubsetOf(known.assigned.union(known.revoking))) return null;
  return fail(
    "FENCED_MEMBER_EPOCH",
    "owned names partitions that are no longer the member's; join with epoch 0",
  );
}

/**
 * Returns why a classic member may not join, or null. INCONSISTENT_GROUP_PROTOCOL: native members are in the group.
 * INVALID_SESSION_TIMEOUT.
 */
export function whyNotJoinClassic(
  state: GroupState,
  config: GroupConfig,
  request: Pick<ClassicJoin, "sessionTimeoutMs">,
): KafkaFailure | null {
  const refused = whyNotSessionTimeout(config, request);
  if (refused !== null || !hasNativeMembers(state)) return refused;
  return fail("INCONSISTENT_GROUP_PROTOCOL", "the group's members use another protocol");
}

/**
 * Returns why a classic member does not fit in with the others, or null. It needs a protocol in common with all of
 * them, and room for its metadata. INCONSISTENT_GROUP_PROTOCOL, GROUP_MAX_SIZE_REACHED.
 */
export function whyNotClassicFit(
  classic: ClassicState,
  { memberId, instanceId, protocolType, protocols }: ClassicJoin,
): KafkaFailure | null {
  const others = [...classic.members.values()].filter(
    (member) =>
      member.memberId !== memberId && (instanceId === null || member.instanceId !== instanceId),
  );
  const common = commonProtocols(others);
  const isCommon = ({ name }: { readonly name: string }) => common.has(name);
  const isFit =
    protocolType !== "" &&
    protocols.length > 0 &&
    (others.length === 0 || (protocolType === classic.protocolType && protocols.some(isCommon)));
  if (!isFit)
    return fail("INCONSISTENT_GROUP_PROTOCOL", "it has no protocol in common with the group");
  const bytes = sizeOf([...others.flatMap(metadataOf), ...metadataOf({ protocols })]);
  if (bytes <= MAX_CLASSIC_GROUP_BYTES) return null;
  const detail = `the metadata of all members has ${bytes} bytes, the bound is ${MAX_CLASSIC_GROUP_BYTES}`;
  return fail("GROUP_MAX_SIZE_REACHED", detail);
}

function metadataOf({ protocols }: Pick<ClassicMember, "protocols">): Uint8Array[] {
  return protocols.map(({ metadata }) => metadata);
}

// Commit.

/** The role in which a commit over Kafka's protocol counts. */
export type Committer =
  | { readonly kind: "native"; readonly member: Member }
  | { readonly kind: "classic" }
  /** A commit without a member: by an admin, or by a consumer that chose its partitions itself. */
  | { readonly kind: "manual" };

/**
 * True if a commit over Kafka's protocol names no generation. If it names a member, that member has left or never
 * joined.
 */
export function isByHand({ generation }: ClassicToken): boolean {
  return generation < 0;
}

/**
 * [CLS-6] Returns the role in which an OffsetCommit counts. As in Kafka, a commit by hand counts only if the group has
 * no members of any kind, whatever id it names. After unsubscribing, Java's consumer still sends its former id. Any
 * other commit counts only as that of the member it names.
 */
export function validateCommit(state: GroupState, token: ClassicToken): KafkaResult<Committer> {
  // [GRP-15] This call may not commit for a member that joined in another way.
  const native = state.members.get(token.memberId);
  if (native?.heartbeats) {
    const isForeign = token.instanceId !== null && token.instanceId !== native.instanceId;
    if (isForeign) return unknownMember(token.memberId);
    const isAhead = token.generation > native.memberEpoch;
    return isAhead
      ? staleEpoch(native, token.generation)
      : { ok: true, kind: "native", member: native };
  }
  if (isByHand(token) && !hasMembers(state)) return { ok: true, kind: "manual" };
  const refused = whyNotOfGeneration(state.classic, token);
  if (refused !== null) return refused;
  return state.classic.phase === "COMPLETING"
    ? fail("REBALANCE_IN_PROGRESS", "the assignments of this generation are not ready yet")
    : { ok: true, kind: "classic" };
}

/**
 * Returns why the sender of a request is not a member in this generation, or null. An instance id in the request must
 * be the sender's own, as in Kafka.
 */
export function whyNotOfGeneration(
  classic: ClassicState,
  { memberId, instanceId, generation }: ClassicToken,
): KafkaFailure | null {
  const holder = classicHolderOf(classic, instanceId);
  if (holder !== undefined && holder.memberId !== memberId)
    return fail("FENCED_INSTANCE_ID", `instanceId ${instanceId} is held by another member`);
  const isForeign = instanceId !== null && holder === undefined;
  if (!classic.members.has(memberId) || isForeign) return unknownMember(memberId);
  // No member knows of generation 0: the members of the first generation wait for each other. Kafka would let them
  // commit in it.
  const isCurrent = generation === classic.generation && generation > 0;
  if (isCurrent) return null;
  const detail = `generation is ${generation}, the group is in ${classic.generation}`;
  return fail("ILLEGAL_GENERATION", detail);
}

/** [OFF-1] Returns the member that commits over its socket. The commit must have its current epoch. */
export function validateMemberCommit(
  state: GroupState,
  memberId: string,
  memberEpoch: number,
): Result<{ member: Member }> {
  const member = state.members.get(memberId);
  if (member === undefined) return unknownMember(memberId);
  return memberEpoch === member.memberEpoch
    ? { ok: true, member }
    : staleEpoch(member, memberEpoch);
}

// Fetch.

/**
 * [CLS-11] Returns why a member may not fetch the group's committed offsets, or null. Member and epoch matter only in a
 * group with native members, past or present. There the id must belong to a member, at its current epoch or an earlier
 * one. Any other group ignores them, as Kafka's ClassicGroup does. That is a classic group, a group with only commits
 * by hand, or a group that does not exist. Clients of the classic protocol send them too. `member` is null for an
 * admin.
 */
export function whyNotFetch(
  state: GroupState,
  member: { readonly memberId: string; readonly memberEpoch: number } | null,
): Failure | null {
  // The group epoch rises with the first native member.
  if (member === null || state.classic.members.size > 0 || state.groupEpoch === 0) return null;
  const known = state.members.get(member.memberId);
  if (known === undefined) return unknownMember(member.memberId);
  const isCurrent = member.memberEpoch > 0 && member.memberEpoch <= known.memberEpoch;
  return isCurrent ? null : staleEpoch(known, member.memberEpoch);
}

// Reset and delete.

/** Returns why the group may not be deleted or have all its offsets reset, or null. NON_EMPTY_GROUP. */
export function whyNotUnused(state: GroupState): Failure | null {
  return hasMembers(state) ? nonEmpty(state) : null;
}

/**
 * [OFF-7] Returns a function that returns why the group's offsets of a topic may not be deleted, or null. It reads the
 * members once, for any number of topics. UNKNOWN_TOPIC_OR_PARTITION: the group has not read the topic.
 * GROUP_SUBSCRIBED_TO_TOPIC: a member reads the topic, as with Kafka's OffsetDelete. NON_EMPTY_GROUP: the members use a
 * protocol other than the consumer's, so their topics are unknown.
 */
export function forgetRule(state: GroupState): (topic: string) => Failure | null {
  const { members, protocolType } = state.classic;
  if (members.size > 0 && protocolType !== "consumer") return () => nonEmpty(state);
  const hasSubscriber = subscriberTest(state);
  const classicTopics = new Set([...members.values()].flatMap(subscribedTopics));
  return (topic) => {
    if (hasSubscriber(topic) || classicTopics.has(topic)) {
      const detail = `a member of the group subscribes to topic ${topic}`;
      return fail("GROUP_SUBSCRIBED_TO_TOPIC", detail);
    }
    if (state.topics.has(topic)) return null;
    return fail("UNKNOWN_TOPIC_OR_PARTITION", `group ${state.groupId} has not read topic ${topic}`);
  };
}

function subscribedTopics({ protocols }: ClassicMember): string[] {
  return protocols.flatMap(({ metadata }) => readSubscription(metadata));
}

// Refusals.

export function unknownMember(memberId: string): Failure {
  return fail("UNKNOWN_MEMBER_ID", `member ${memberId} is not in the group; join again`);
}

export function unknownGroup(groupId: string): Failure {
  return fail("GROUP_ID_NOT_FOUND", `group ${groupId} does not exist`);
}

function staleEpoch(member: Member, memberEpoch: number): Failure {
  const detail = `memberEpoch is ${memberEpoch}, the member is at ${member.memberEpoch}`;
  return fail("STALE_MEMBER_EPOCH", detail);
}

function nonEmpty({ groupId, members, classic }: GroupState): Failure {
  const count = members.size + classic.members.size;
  const kind = classic.members.size > 0 ? " that use Kafka's classic protocol" : "";
  return fail(
    "NON_EMPTY_GROUP",
    `group ${groupId} has ${count} member(s)${kind}; stop them, or wait for their session timeout`,
  );
}
