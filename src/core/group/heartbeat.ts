// KIP-848's ConsumerGroupHeartbeat in the coordinator. With this one call a Kafka consumer joins, reports the
// partitions it owns, and gets its assignment. Other native members use several messages for that.
import { type Failure, fail, type Result } from "../errors.ts";
import { DEFAULT_REBALANCE_TIMEOUT_MS, MAX_HEARTBEAT_INTERVAL_MS } from "../limits.ts";
import { unknownMember } from "./admission.ts";
import type { Changes } from "./changes.ts";
import { type GroupConfig, resolveGroupConfig, sessionTimeoutOf } from "./config.ts";
import type { Coordinator } from "./coordinator.ts";
import { EMPTY_SET, equalSets } from "./partition-key.ts";
import type { Found, Heartbeat, HeartbeatAnswer, JoinRequest } from "./requests.ts";
import type { GroupState, Member } from "./state.ts";
import { isSameSubscription } from "./topic-pattern.ts";

const LEAVE = -1;
const LEAVE_FOR_NOW = -2;

/** Returns the join that the heartbeat implies, or null if the member simply continues. */
export function joinOf(state: GroupState, heartbeat: Heartbeat): JoinRequest | null {
  const { memberId, memberEpoch, instanceId, clientId } = heartbeat;
  if (memberEpoch < 0) return null;
  const known = state.members.get(memberId);
  const topics = heartbeat.topics ?? known?.topics ?? [];
  const isNewPattern =
    heartbeat.topicPattern !== null || (memberEpoch === 0 && heartbeat.topics !== null);
  const topicPattern = isNewPattern
    ? heartbeat.topicPattern || null
    : (known?.topicPattern ?? null);
  const isAsBefore =
    known !== undefined &&
    memberEpoch > 0 &&
    known.silentSinceMs === null &&
    isSameSubscription(known, { topics, topicPattern, readable: heartbeat.readable });
  if (isAsBefore) return null;
  const { rebalanceTimeoutMs } = heartbeat;
  const holds = known === undefined ? EMPTY_SET : known.assigned.union(known.revoking);
  return {
    memberId,
    // A member at an older epoch may continue. A newer epoch is refused.
    memberEpoch,
    instanceId,
    clientId,
    topics,
    topicPattern,
    readable: heartbeat.readable,
    sessionTimeoutMs: sessionTimeoutOf(resolveGroupConfig(state.overrides)),
    rebalanceTimeoutMs:
      rebalanceTimeoutMs > 0
        ? rebalanceTimeoutMs
        : (known?.rebalanceTimeoutMs ?? DEFAULT_REBALANCE_TIMEOUT_MS),
    owned: memberEpoch === 0 ? EMPTY_SET : (heartbeat.owned ?? holds),
    polls: false,
    heartbeats: true,
  };
}

/** The answer to a member that has left, for good or for a while. */
const farewell = (memberEpoch: number): Result<HeartbeatAnswer> => ({
  ok: true,
  memberEpoch,
  heartbeatIntervalMs: 0,
  assignment: null,
});

/** [KCG-1] Answers a heartbeat. The assignment is included if the member does not know it yet. */
export function beat(
  changes: Changes,
  coordinator: Coordinator,
  heartbeat: Heartbeat & Found,
  nowMs: number,
): Result<HeartbeatAnswer> {
  const { memberId, memberEpoch } = heartbeat;
  const { state } = changes;
  const result = applied(changes, coordinator, heartbeat, nowMs);
  const isHere = result.ok && result.member !== null;
  // [GRP-15] The id may be that of a classic member, whose signs of life are noted elsewhere.
  if (isHere) changes.emit({ type: "heard", memberId });
  else if (state.members.has(memberId)) changes.emit({ type: "unheard", memberId });
  if (!result.ok) return result;
  const { member } = result;
  if (member === null) return farewell(memberEpoch);
  const told = state.told.get(memberId);
  // The assignment is also sent to a member that may have missed an answer. Such a member sends a full heartbeat, has
  // an older epoch (0 when it joins), or reports other partitions.
  const isNews =
    isFull(heartbeat) ||
    memberEpoch < member.memberEpoch ||
    told === undefined ||
    !equalSets(told, member.assigned) ||
    (heartbeat.owned !== null && !equalSets(heartbeat.owned, member.assigned));
  changes.emit({ type: "told", memberId, partitions: member.assigned });
  return {
    ok: true,
    memberEpoch: member.memberEpoch,
    heartbeatIntervalMs: heartbeatIntervalOf(member, resolveGroupConfig(state.overrides)),
    assignment: isNews ? member.assigned : null,
  };
}

/** Applies a heartbeat. `member` is null if it has left. */
function applied(
  changes: Changes,
  coordinator: Coordinator,
  heartbeat: Heartbeat & Found,
  nowMs: number,
): Result<{ member: Member | null }> {
  const { memberId, memberEpoch, instanceId, owned } = heartbeat;
  const { state } = changes;
  const known = state.members.get(memberId);
  if (known !== undefined && memberEpoch !== 0 && !known.heartbeats) return unknownMember(memberId);
  if (memberEpoch < 0) {
    const isStatic = memberEpoch === LEAVE_FOR_NOW;
    if (known === undefined) return unknownMember(memberId);
    if (isStatic && known.instanceId !== instanceId) return unknownMember(memberId);
    if (memberEpoch === LEAVE) coordinator.leave(memberId, nowMs);
    else coordinator.disconnect(memberId, nowMs);
    return { ok: true, member: null };
  }
  const join = joinOf(state, heartbeat);
  if (join !== null) return coordinator.join(join, heartbeat.found ?? [], nowMs);
  if (known === undefined) return unknownMember(memberId);
  const refused = whyNotBeat(known, heartbeat);
  if (refused !== null) return refused;
  if (owned !== null) coordinator.revoked(memberId, known.revoking.difference(owned), nowMs);
  return { ok: true, member: state.members.get(memberId) ?? null };
}

/** True for a full heartbeat. KIP-848: it is answered in full. */
function isFull({ rebalanceTimeoutMs, topics, topicPattern, owned }: Heartbeat): boolean {
  const isSubscribing = topics !== null || topicPattern !== null;
  return rebalanceTimeoutMs > 0 && isSubscribing && owned !== null;
}

/**
 * [GCF-5] Returns the heartbeat interval. Three heartbeats fit into any session timeout. A native member with a socket
 * has a lower maximum.
 */
export function heartbeatIntervalOf(
  { sessionTimeoutMs, heartbeats }: Pick<Member, "sessionTimeoutMs" | "heartbeats">,
  config: GroupConfig,
): number {
  const thirdMs = Math.floor(sessionTimeoutMs / 3);
  const atMostMs = heartbeats ? thirdMs : Math.min(thirdMs, MAX_HEARTBEAT_INTERVAL_MS);
  return Math.min(atMostMs, config.heartbeatIntervalMs);
}

function whyNotBeat(known: Member, { memberEpoch, owned }: Heartbeat): Failure | null {
  if (memberEpoch > known.memberEpoch)
    return fail(
      "FENCED_MEMBER_EPOCH",
      `memberEpoch ${memberEpoch} is ahead of ${known.memberEpoch}; join with epoch 0`,
    );
  if (owned === null || owned.isSubsetOf(known.assigned.union(known.revoking))) return null;
  return fail(
    "FENCED_MEMBER_EPOCH",
    "owned names partitions that are not the member's; join with epoch 0",
  );
}
