// KIP-848's ConsumerGroupHeartbeat on the coordinator. It is the one call with which a Kafka consumer joins, says what
// it owns, and learns what it has to own. A native member does the same with several messages.
import { type Failure, fail, type Result } from "../errors.ts";
import { DEFAULT_REBALANCE_TIMEOUT_MS } from "../limits.ts";
import { sessionTimeoutOf } from "./config.ts";
import type { Coordinator, JoinRequest } from "./coordinator.ts";
import { unknownMember } from "./offsets.ts";
import { EMPTY_SET, type PartitionSet } from "./partition-key.ts";
import type { GroupTopic, Member } from "./state.ts";
import { isSameSubscription } from "./topic-pattern.ts";

export interface Heartbeat {
  readonly memberId: string;
  /** 0 joins, -1 leaves, -2 leaves for a while (a static member). Above 0 is the epoch that the member was told. */
  readonly memberEpoch: number;
  readonly instanceId: string | null;
  readonly clientId: string | null;
  /** -1 means the same as before. */
  readonly rebalanceTimeoutMs: number;
  /** Null means the same as before. Each of the two is told by itself, but a join that names topics names all. */
  readonly topics: readonly string[] | null;
  /** Empty means that there is none any more. */
  readonly topicPattern: string | null;
  /** The partitions that it consumes now. Null means the same as before. */
  readonly owned: PartitionSet | null;
}

const LEAVE = -1;
const LEAVE_FOR_NOW = -2;

/** Returns the join that the heartbeat amounts to, or null if the member only continues as it is. */
export function joinOf(coordinator: Coordinator, heartbeat: Heartbeat): JoinRequest | null {
  const { memberId, memberEpoch, instanceId, clientId } = heartbeat;
  if (memberEpoch < 0) return null;
  const known = coordinator.state.members.get(memberId);
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
    isSameSubscription(known, { topics, topicPattern });
  if (isAsBefore) return null;
  const { rebalanceTimeoutMs } = heartbeat;
  const holds = known === undefined ? EMPTY_SET : known.assigned.union(known.revoking);
  return {
    memberId,
    // A member at an older epoch than the current one may still continue. One at a newer epoch is refused.
    memberEpoch,
    instanceId,
    clientId,
    topics,
    topicPattern,
    sessionTimeoutMs: sessionTimeoutOf(coordinator.config),
    rebalanceTimeoutMs:
      rebalanceTimeoutMs > 0
        ? rebalanceTimeoutMs
        : (known?.rebalanceTimeoutMs ?? DEFAULT_REBALANCE_TIMEOUT_MS),
    owned: memberEpoch === 0 ? EMPTY_SET : (heartbeat.owned ?? holds),
    polls: false,
    heartbeats: true,
  };
}

/**
 * Applies a heartbeat. `topics` are the existing topics of the
 * subscription of `join`. The member is null if it has left.
 */
export function applyHeartbeat(
  coordinator: Coordinator,
  heartbeat: Heartbeat,
  join: JoinRequest | null,
  topics: readonly GroupTopic[],
  nowMs: number,
): Result<{ member: Member | null }> {
  const { memberId, memberEpoch, instanceId, owned } = heartbeat;
  const known = coordinator.state.members.get(memberId);
  if (known !== undefined && memberEpoch !== 0 && !known.heartbeats) return unknownMember(memberId);
  if (memberEpoch < 0) {
    const isStatic = memberEpoch === LEAVE_FOR_NOW;
    if (known === undefined) return unknownMember(memberId);
    if (isStatic && known.instanceId !== instanceId) return unknownMember(memberId);
    if (memberEpoch === LEAVE) coordinator.leave(memberId, nowMs);
    else coordinator.disconnect(memberId, nowMs);
    return { ok: true, member: null };
  }
  if (join !== null) return coordinator.join(join, topics, nowMs);
  if (known === undefined) return unknownMember(memberId);
  const refused = whyNotBeat(known, heartbeat);
  if (refused !== null) return refused;
  if (owned !== null) coordinator.revoked(memberId, known.revoking.difference(owned), nowMs);
  return { ok: true, member: coordinator.state.members.get(memberId) ?? null };
}

function whyNotBeat(known: Member, { memberEpoch, owned }: Heartbeat): Failure | null {
  if (memberEpoch > known.memberEpoch)
    return fail(
      "FENCED_MEMBER_EPOCH",
      `memberEpoch ${memberEpoch} is ahead of ${known.memberEpoch}; join with epoch 0`,
    );
  if (owned === null || owned.isSubsetOf(known.assigned.union(known.revoking))) return null;
  return fail("FENCED_MEMBER_EPOCH", "what it owns is not the member's; join with epoch 0");
}
