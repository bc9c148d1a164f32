// Kafka's classic group protocol, as a state machine. Members join and wait for each other. One of
// them becomes the leader and is told about all. It decides on the assignments, and everyone fetches
// its part (sync). The members' subscriptions and assignments are bytes that mean nothing here. The
// code follows Kafka's own coordinator (group-coordinator/…/classic/ClassicGroup.java). The clock is
// passed in, and waiting members are answered by callbacks.
import { ERRORS, KAFKA_ERRORS } from "../errors.ts";
import { MAX_PENDING_CLASSIC_MEMBERS, MAX_PENDING_CLASSIC_MS } from "../limits.ts";
import type { LastSeen } from "./coordinator.ts";

export interface ClassicMember {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  /** The assignors that it can follow, its favorite first, each with its message to the leader. */
  readonly protocols: readonly ClassicProtocol[];
  readonly assignment: Uint8Array;
  /**
   * When reports that it is alive ended: its connection went, or the object woke up. Null while there are
   * reports. It is stored, so sleep does not prolong a session.
   */
  readonly silentSinceMs: number | null;
}

export interface ClassicProtocol {
  readonly name: string;
  readonly metadata: Uint8Array;
}

/** The stored state. Everything else begins anew when the object wakes up. */
export interface ClassicState {
  readonly generation: number;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly leaderId: string | null;
  readonly members: readonly ClassicMember[];
  /** True if a rebalance has begun and is not complete. It begins anew then. */
  readonly isRebalancing: boolean;
  /** Topics that were deleted while this generation read them. Missing if there are none. */
  readonly goneTopics?: readonly string[];
}

export interface ClassicJoin {
  /** Empty for a client that has no id yet. It then gets `newMemberId`. */
  readonly memberId: string;
  readonly newMemberId: string;
  readonly instanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly protocolType: string;
  readonly protocols: readonly ClassicProtocol[];
  /** KIP-394: a newcomer is first told its id and then joins with it. From version 4 on. */
  readonly mustKnowId: boolean;
  /** KIP-814: a leader can be told that nothing has to be assigned. From version 9 on. */
  readonly canSkipAssignment: boolean;
}

export interface ClassicJoined {
  readonly errorCode: number;
  readonly memberId: string;
  readonly generation: number;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly leaderId: string;
  readonly skipAssignment: boolean;
  /** Only the leader is told about the members. */
  readonly members: readonly {
    memberId: string;
    instanceId: string | null;
    metadata: Uint8Array;
  }[];
}

export interface ClassicSync {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly generation: number;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly assignments: readonly { memberId: string; assignment: Uint8Array }[];
}

export interface ClassicSynced {
  readonly errorCode: number;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly assignment: Uint8Array;
}

/** The sender of a heartbeat, a sync or a commit. */
export interface ClassicToken {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly generation: number;
}

/**
 * - EMPTY: there are no members.
 * - PREPARING: members have to join again.
 * - COMPLETING: all have joined, and the leader has to send the assignments.
 * - STABLE: everyone has its part, or can fetch it.
 */
export type ClassicPhase = "EMPTY" | "PREPARING" | "COMPLETING" | "STABLE";

const NOTHING = new Uint8Array();
const { NONE } = KAFKA_ERRORS;

export class ClassicGroup {
  #generation: number;
  #protocolType: string | null;
  #protocolName: string | null;
  #leaderId: string | null;
  readonly #members = new Map<string, ClassicMember>();
  #phase: ClassicPhase;
  /** When each member last asked something here. `#lastSeen` tells when it was last reported alive in other ways. */
  readonly #seenMs = new Map<string, number>();
  readonly #lastSeen: LastSeen;
  readonly #joining = new Map<string, (answer: ClassicJoined) => void>();
  readonly #syncing = new Map<string, (answer: ClassicSynced) => void>();
  /**
   * [CLS-10] Ids that were given out, oldest first, each with the time until which it is good. A client with such an id
   * is not a member. A rebalance waits for it, and nothing else does.
   */
  readonly #pending = new Map<string, number>();
  /**
   * [CLS-9] Topics that were deleted in this generation. A commit under such a name belongs to the deleted topic,
   * although there may be another topic of that name by now.
   */
  readonly #goneTopics = new Set<string>();
  /** When a rebalance goes on without the members that are missing. */
  #deadlineMs: number | null = null;
  /** Set when state has changed that must be stored. */
  #isChanged = false;

  /** @param lastSeen returns 0 if nobody watches for the member */
  constructor(state: ClassicState | null, nowMs: number, lastSeen: LastSeen = () => 0) {
    this.#lastSeen = lastSeen;
    this.#generation = state?.generation ?? 0;
    this.#protocolType = state?.protocolType ?? null;
    this.#protocolName = state?.protocolName ?? null;
    this.#leaderId = state?.leaderId ?? null;
    for (const topic of state?.goneTopics ?? []) this.#goneTopics.add(topic);
    for (const member of state?.members ?? []) {
      this.#members.set(member.memberId, member);
      if (lastSeen(member.memberId) === 0) this.silent(member.memberId, nowMs);
    }
    this.#phase = this.#members.size === 0 ? "EMPTY" : "STABLE";
    if (state?.isRebalancing) this.#prepare(nowMs);
  }

  get phase(): ClassicPhase {
    return this.#phase;
  }

  get members(): ReadonlyMap<string, ClassicMember> {
    return this.#members;
  }

  get protocolType(): string | null {
    return this.#protocolType;
  }

  get protocolName(): string | null {
    return this.#phase === "STABLE" || this.#phase === "COMPLETING" ? this.#protocolName : null;
  }

  get generation(): number {
    return this.#generation;
  }

  /** Returns the state to store if it has changed since the last call. */
  takeState(): ClassicState | null {
    if (!this.#isChanged) return null;
    this.#isChanged = false;
    return {
      generation: this.#generation,
      protocolType: this.#protocolType,
      protocolName: this.#protocolName,
      leaderId: this.#leaderId,
      members: [...this.#members.values()],
      isRebalancing: this.#phase === "PREPARING" || this.#phase === "COMPLETING",
      ...(this.#goneTopics.size === 0 ? {} : { goneTopics: [...this.#goneTopics] }),
    };
  }

  /** When `expire` must be called next. Null if nothing can expire. */
  get nextDeadlineMs(): number | null {
    let earliest = this.#deadlineMs ?? Number.POSITIVE_INFINITY;
    if (this.#phase === "PREPARING")
      for (const untilMs of this.#pending.values()) earliest = Math.min(earliest, untilMs);
    for (const member of this.#members.values())
      if (!this.#isWaiting(member.memberId)) earliest = Math.min(earliest, this.#endMs(member));
    return earliest === Number.POSITIVE_INFINITY ? null : earliest;
  }

  /** [CLK-4] Starts every session anew, and gives a rebalance its full time, because the clock was set. */
  beginSessionsAnew(nowMs: number): void {
    for (const member of [...this.#members.values()]) {
      this.#seenMs.set(member.memberId, nowMs);
      if (member.silentSinceMs === null) continue;
      this.#members.set(member.memberId, { ...member, silentSinceMs: nowMs });
      this.#isChanged = true;
    }
    if (this.#deadlineMs !== null) this.#deadlineMs = this.#untilMs(nowMs);
    for (const memberId of this.#pending.keys())
      this.#pending.set(memberId, nowMs + MAX_PENDING_CLASSIC_MS);
  }

  // Join.

  /** [CLS-10] True if the join may create a member. Otherwise it is told an id, told what it missed, or refused. */
  mayAddMember({ memberId, instanceId, mustKnowId }: ClassicJoin): boolean {
    return memberId === "" ? !mustKnowId || instanceId !== null : this.#pending.has(memberId);
  }

  /** Returns the answer, or null. If null, `later` gets the answer, perhaps at once. */
  join(
    request: ClassicJoin,
    maxSize: number,
    nowMs: number,
    later: (joined: ClassicJoined) => void,
  ): ClassicJoined | null {
    const { memberId, protocolType, protocols } = request;
    this.#forgetLateIds(nowMs);
    if (protocolType === "" || protocols.length === 0 || !this.#follows(request))
      return notJoinedClassic(KAFKA_ERRORS.INCONSISTENT_GROUP_PROTOCOL, memberId);
    const holder = this.#holderOf(request.instanceId);
    if (memberId === "" && holder !== undefined)
      return this.#replace(holder, request, nowMs, later);
    if (holder !== undefined && holder.memberId !== memberId)
      return notJoinedClassic(KAFKA_ERRORS.FENCED_INSTANCE_ID, memberId);
    const isPending = this.#pending.has(memberId);
    if (memberId === "" || isPending) {
      if (this.#members.size >= maxSize)
        return notJoinedClassic(ERRORS.GROUP_MAX_SIZE_REACHED.code, memberId);
      if (!this.mayAddMember(request)) return this.#giveOutId(request, nowMs);
      this.#pending.delete(memberId);
      return this.#add(request, isPending ? memberId : request.newMemberId, nowMs, later);
    }
    const member = this.#members.get(memberId);
    if (member === undefined || (request.instanceId !== null && holder === undefined))
      return notJoinedClassic(ERRORS.UNKNOWN_MEMBER_ID.code, memberId);
    this.#seen(memberId, nowMs);
    const isSame = sameProtocols(member.protocols, request.protocols);
    const isNews =
      this.#phase === "COMPLETING"
        ? !isSame
        : this.#phase !== "STABLE" || memberId === this.#leaderId || !isSame;
    if (!isNews) return this.#joined(memberId); // It only missed the answer.
    this.#members.set(memberId, { ...member, ...termsOf(request), silentSinceMs: null });
    return this.#wait(memberId, nowMs, later);
  }

  #giveOutId({ newMemberId, sessionTimeoutMs }: ClassicJoin, nowMs: number): ClassicJoined {
    const oldest = this.#pending.keys().next().value;
    if (oldest !== undefined && this.#pending.size >= MAX_PENDING_CLASSIC_MEMBERS)
      this.#pending.delete(oldest);
    this.#pending.set(newMemberId, nowMs + Math.min(sessionTimeoutMs, MAX_PENDING_CLASSIC_MS));
    return notJoinedClassic(KAFKA_ERRORS.MEMBER_ID_REQUIRED, newMemberId);
  }

  #forgetLateIds(nowMs: number): void {
    for (const [memberId, untilMs] of this.#pending)
      if (untilMs <= nowMs) this.#pending.delete(memberId);
  }

  #add(
    request: ClassicJoin,
    memberId: string,
    nowMs: number,
    later: (joined: ClassicJoined) => void,
  ): null {
    const { instanceId, clientId, clientHost } = request;
    const terms = termsOf(request);
    const identity = { memberId, instanceId, clientId, clientHost };
    this.#protocolType = request.protocolType;
    this.#members.set(memberId, {
      ...identity,
      ...terms,
      assignment: NOTHING,
      silentSinceMs: null,
    });
    return this.#wait(memberId, nowMs, later);
  }

  /**
   * Handles a static member that comes back without its id. It continues
   * where it was, and the holder of the old id is fenced.
   */
  #replace(
    old: ClassicMember,
    request: ClassicJoin,
    nowMs: number,
    later: (joined: ClassicJoined) => void,
  ): ClassicJoined | null {
    const memberId = request.newMemberId;
    const oldLeaderId = this.#leaderId ?? "";
    this.#forget(old.memberId, KAFKA_ERRORS.FENCED_INSTANCE_ID);
    this.#members.set(memberId, { ...old, ...termsOf(request), memberId, silentSinceMs: null });
    this.#seenMs.set(memberId, nowMs);
    if (oldLeaderId === old.memberId) this.#leaderId = memberId;
    this.#isChanged = true;
    const chosen = (protocols: readonly ClassicProtocol[]) =>
      protocols.find(({ name }) => name === this.#protocolName)?.metadata.join();
    if (this.#phase !== "STABLE" || chosen(old.protocols) !== chosen(request.protocols))
      return this.#wait(memberId, nowMs, later);
    const joined = this.#joined(memberId);
    // A client that cannot be told to skip the assignment must not believe that it is the leader, and assign anew.
    if (request.canSkipAssignment) return { ...joined, skipAssignment: true };
    return { ...joined, leaderId: oldLeaderId, members: [] };
  }

  #wait(memberId: string, nowMs: number, later: (joined: ClassicJoined) => void): null {
    this.#joining.get(memberId)?.(notJoinedClassic(KAFKA_ERRORS.REBALANCE_IN_PROGRESS, memberId)); // An earlier try.
    this.#joining.set(memberId, later);
    this.#prepare(nowMs);
    return null;
  }

  /** Makes all members join again. The rebalance continues as soon as they have. */
  #prepare(nowMs: number): void {
    if (this.#phase !== "PREPARING") {
      this.#isChanged = true; // Otherwise a restart would take it for complete.
      this.#deadlineMs = this.#untilMs(nowMs);
    }
    for (const [memberId, tell] of this.#syncing) {
      this.#seenMs.set(memberId, nowMs); // It may have waited for longer than its session.
      tell(notSynced(KAFKA_ERRORS.REBALANCE_IN_PROGRESS));
    }
    this.#syncing.clear();
    this.#phase = "PREPARING";
    this.#completeWhenAllAreHere(nowMs);
  }

  #untilMs(nowMs: number): number {
    const timeouts = [...this.#members.values()].map((member) => member.rebalanceTimeoutMs);
    return nowMs + Math.max(0, ...timeouts);
  }

  #completeWhenAllAreHere(nowMs: number): void {
    if (this.#phase !== "PREPARING") return;
    const isAnybodyMissing = this.#pending.size > 0 || this.#joining.size < this.#members.size;
    if (this.#members.size === 0 || !isAnybodyMissing) this.#complete(nowMs);
  }

  /** Starts a new generation with the members that are here. */
  #complete(nowMs: number): void {
    this.#generation++;
    this.#goneTopics.clear();
    this.#deadlineMs = null;
    if (this.#members.size === 0) {
      this.#phase = "EMPTY";
      [this.#leaderId, this.#protocolName, this.#protocolType] = [null, null, null];
      this.#isChanged = true;
      return;
    }
    this.#protocolName = this.#elect();
    if (this.#leaderId === null || !this.#joining.has(this.#leaderId))
      this.#leaderId = this.#joining.keys().next().value ?? [...this.#members.keys()][0] ?? null;
    this.#phase = "COMPLETING";
    this.#deadlineMs = this.#untilMs(nowMs);
    for (const [memberId, tell] of [...this.#joining]) {
      this.#seenMs.set(memberId, nowMs);
      tell(this.#joined(memberId));
    }
    this.#joining.clear();
  }

  /** Chooses among the protocols that all members can follow the one that most members prefer. */
  #elect(): string {
    const all = [...this.#members.values()];
    const isCommon = (name: string) =>
      all.every(({ protocols }) => protocols.some((each) => each.name === name));
    const votes = new Map<string, number>();
    for (const { protocols } of all) {
      const vote = protocols.find(({ name }) => isCommon(name))?.name ?? "";
      votes.set(vote, (votes.get(vote) ?? 0) + 1);
    }
    return [...votes].reduce((best, each) => (each[1] > best[1] ? each : best))[0];
  }

  #joined(memberId: string): ClassicJoined {
    const isLeader = memberId === this.#leaderId;
    return {
      errorCode: NONE,
      memberId,
      generation: this.#generation,
      protocolType: this.#protocolType,
      protocolName: this.#protocolName,
      leaderId: this.#leaderId ?? "",
      skipAssignment: false,
      members: !isLeader
        ? []
        : [...this.#members.values()].map((member) => ({
            memberId: member.memberId,
            instanceId: member.instanceId,
            metadata:
              member.protocols.find(({ name }) => name === this.#protocolName)?.metadata ?? NOTHING,
          })),
    };
  }

  /** True if it has a protocol in common with everyone in the group. */
  #follows({ memberId, instanceId, protocolType, protocols }: ClassicJoin): boolean {
    const others = [...this.#members.values()].filter(
      (member) =>
        member.memberId !== memberId && (instanceId === null || member.instanceId !== instanceId),
    );
    if (others.length === 0) return true;
    return (
      protocolType === this.#protocolType &&
      protocols.some(({ name }) =>
        others.every((member) => member.protocols.some((each) => each.name === name)),
      )
    );
  }

  // Sync, heartbeat, leave.

  /** Returns the answer, or null. If null, `later` gets the answer, perhaps at once. */
  sync(
    request: ClassicSync,
    nowMs: number,
    later: (synced: ClassicSynced) => void,
  ): ClassicSynced | null {
    const errorCode = this.errorCodeFor(request);
    if (errorCode !== NONE) return notSynced(errorCode);
    const { memberId, protocolType, protocolName } = request;
    const isOurs =
      (protocolType === null || protocolType === this.#protocolType) &&
      (protocolName === null || protocolName === this.#protocolName);
    if (!isOurs) return notSynced(KAFKA_ERRORS.INCONSISTENT_GROUP_PROTOCOL);
    this.#seen(memberId, nowMs);
    if (this.#phase === "PREPARING") return notSynced(KAFKA_ERRORS.REBALANCE_IN_PROGRESS);
    if (this.#phase === "STABLE") return this.#synced(memberId);
    this.#syncing.get(memberId)?.(notSynced(KAFKA_ERRORS.REBALANCE_IN_PROGRESS)); // An earlier try.
    this.#syncing.set(memberId, later);
    if (memberId === this.#leaderId) this.#assign(request.assignments, nowMs);
    return null;
  }

  /** Stores the assignments that the leader has sent. */
  #assign(assignments: ClassicSync["assignments"], nowMs: number): void {
    const byMember = new Map(assignments.map((each) => [each.memberId, each.assignment]));
    for (const member of [...this.#members.values()]) {
      const assignment = byMember.get(member.memberId) ?? NOTHING;
      this.#members.set(member.memberId, { ...member, assignment });
    }
    this.#phase = "STABLE";
    this.#isChanged = true;
    this.#deadlineMs = null; // A member that has not fetched its part yet has as long as its session lasts.
    for (const [waiting, tell] of [...this.#syncing]) {
      this.#seenMs.set(waiting, nowMs);
      tell(this.#synced(waiting));
    }
    this.#syncing.clear();
  }

  #synced(memberId: string): ClassicSynced {
    return {
      errorCode: NONE,
      protocolType: this.#protocolType,
      protocolName: this.#protocolName,
      assignment: this.#members.get(memberId)?.assignment ?? NOTHING,
    };
  }

  heartbeat(token: ClassicToken, nowMs: number): number {
    const errorCode = this.errorCodeFor(token);
    if (errorCode !== NONE) return errorCode;
    this.#seen(token.memberId, nowMs);
    return this.#phase === "PREPARING" ? KAFKA_ERRORS.REBALANCE_IN_PROGRESS : NONE;
  }

  /**
   * [CLS-9] Notes that the topic was deleted. This generation's commits for it do not count, and all must join again.
   */
  topicGone(topic: string, nowMs: number): void {
    if (this.#members.size === 0) return;
    this.#goneTopics.add(topic);
    this.#isChanged = true;
    if (this.#phase === "STABLE") this.#prepare(nowMs);
  }

  isTopicGone(topic: string): boolean {
    return this.#goneTopics.has(topic);
  }

  /** Returns the error code of a commit: NONE if a member of this generation may commit now. */
  commitErrorCode(token: ClassicToken): number {
    const errorCode = this.errorCodeFor(token);
    if (errorCode !== NONE) return errorCode;
    return this.#phase === "COMPLETING" ? KAFKA_ERRORS.REBALANCE_IN_PROGRESS : NONE;
  }

  /**
   * Returns the error code of a request: NONE if its sender is a member of this generation. If it
   * names an instance id, that must be its own, as in Kafka.
   */
  errorCodeFor({ memberId, instanceId, generation }: ClassicToken): number {
    const holder = this.#holderOf(instanceId);
    if (holder !== undefined && holder.memberId !== memberId)
      return KAFKA_ERRORS.FENCED_INSTANCE_ID;
    const member = this.#members.get(memberId);
    const isForeign = instanceId !== null && holder === undefined;
    if (member === undefined || isForeign) return ERRORS.UNKNOWN_MEMBER_ID.code;
    // Nobody was told of generation 0: the members of the first wait for each other. Kafka would let them commit in it.
    const isCurrent = generation === this.#generation && generation > 0;
    return isCurrent ? NONE : KAFKA_ERRORS.ILLEGAL_GENERATION;
  }

  /** Removes a member by its id, or a static member by its instance id alone. Returns an error code. */
  leave(memberId: string, instanceId: string | null, nowMs: number): number {
    if (this.#pending.delete(memberId)) {
      this.#completeWhenAllAreHere(nowMs);
      return NONE;
    }
    const holder = this.#holderOf(instanceId);
    if (holder !== undefined && memberId !== "" && holder.memberId !== memberId)
      return KAFKA_ERRORS.FENCED_INSTANCE_ID;
    const member = instanceId === null ? this.#members.get(memberId) : holder;
    if (member === undefined) return ERRORS.UNKNOWN_MEMBER_ID.code;
    this.#remove([member.memberId], nowMs);
    return NONE;
  }

  /** Removes members that were silent for too long, and continues a rebalance that has waited long enough. */
  expire(nowMs: number): void {
    this.#forgetLateIds(nowMs);
    const silent = [...this.#members.values()].filter(
      (member) => !this.#isWaiting(member.memberId) && this.#endMs(member) <= nowMs,
    );
    if (silent.length > 0)
      this.#remove(
        silent.map(({ memberId }) => memberId),
        nowMs,
      );
    else this.#completeWhenAllAreHere(nowMs); // An id that was waited for may have gone.
    if (this.#deadlineMs === null || this.#deadlineMs > nowMs) return;
    if (this.#phase === "PREPARING") {
      // A static member may be restarting. Its session decides.
      for (const { memberId, instanceId } of [...this.#members.values()])
        if (!this.#joining.has(memberId) && instanceId === null) this.#forget(memberId);
      this.#complete(nowMs);
    } else {
      const late = [...this.#members.keys()].filter((memberId) => !this.#syncing.has(memberId));
      this.#remove(late, nowMs);
    }
  }

  #remove(memberIds: readonly string[], nowMs: number): void {
    for (const memberId of memberIds) this.#forget(memberId);
    this.#isChanged = true;
    this.#prepare(nowMs);
  }

  #forget(memberId: string, errorCode: number = ERRORS.UNKNOWN_MEMBER_ID.code): void {
    this.#members.delete(memberId);
    this.#seenMs.delete(memberId);
    this.#joining.get(memberId)?.(notJoinedClassic(errorCode, memberId));
    this.#joining.delete(memberId);
    this.#syncing.get(memberId)?.(notSynced(errorCode));
    this.#syncing.delete(memberId);
  }

  /** True if the member waits for an answer. It then need not show that it is alive. */
  #isWaiting(memberId: string): boolean {
    return this.#joining.has(memberId) || this.#syncing.has(memberId);
  }

  #endMs({ memberId, sessionTimeoutMs, silentSinceMs }: ClassicMember): number {
    const seenMs = Math.max(this.#seenMs.get(memberId) ?? 0, this.#lastSeen(memberId));
    return (silentSinceMs ?? seenMs) + sessionTimeoutMs;
  }

  #seen(memberId: string, nowMs: number): void {
    this.#seenMs.set(memberId, nowMs);
    const member = this.#members.get(memberId);
    if (member === undefined || member.silentSinceMs === null) return;
    this.#members.set(memberId, { ...member, silentSinceMs: null });
    this.#isChanged = true;
  }

  /** Notes that nobody reports the member alive any more. Its session begins to end, unless it asks something. */
  silent(memberId: string, nowMs: number): void {
    const member = this.#members.get(memberId);
    if (member === undefined || member.silentSinceMs !== null) return;
    this.#members.set(memberId, { ...member, silentSinceMs: nowMs });
    this.#isChanged = true;
  }

  #holderOf(instanceId: string | null): ClassicMember | undefined {
    if (instanceId === null) return undefined;
    for (const member of this.#members.values())
      if (member.instanceId === instanceId) return member;
    return undefined;
  }
}

function termsOf({ sessionTimeoutMs, rebalanceTimeoutMs, protocols }: ClassicJoin) {
  return { sessionTimeoutMs, rebalanceTimeoutMs, protocols };
}

export function notJoinedClassic(errorCode: number, memberId: string): ClassicJoined {
  return {
    errorCode,
    memberId,
    generation: -1,
    protocolType: null,
    protocolName: null,
    leaderId: "",
    skipAssignment: false,
    members: [],
  };
}

export function notSynced(errorCode: number): ClassicSynced {
  return { errorCode, protocolType: null, protocolName: null, assignment: NOTHING };
}

function sameProtocols(a: readonly ClassicProtocol[], b: readonly ClassicProtocol[]): boolean {
  const text = (all: readonly ClassicProtocol[]) =>
    all.map(({ name, metadata }) => `${name}=${metadata.join()}`).join(";");
  return text(a) === text(b);
}
