// Kafka's classic group protocol as a state machine. Members join and wait for each other. One of them becomes the
// leader and gets the list of all members. It decides on the assignments, and each member fetches its own (sync).
// Subscriptions and assignments are opaque bytes here. The code follows Kafka's own coordinator
// (group-coordinator/…/classic/ClassicGroup.java).
//
// A rebalance costs two rows, whatever the number of members: one when it begins and one when it is done. The state in
// between need not survive a restart, because the rebalance then begins anew.
import { equalBytes } from "../bytes.ts";
import { fail, type KafkaFailure, type KafkaResult } from "../errors.ts";
import { MAX_PENDING_CLASSIC_MEMBERS, MAX_PENDING_CLASSIC_MS } from "../limits.ts";
import { unknownMember, whyNotClassicFit, whyNotOfGeneration } from "./admission.ts";
import type { Changes } from "./changes.ts";
import {
  type ClassicMember,
  type ClassicProtocol,
  type ClassicState,
  classicHolderOf,
  commonProtocols,
} from "./classic-state.ts";
import type {
  ClassicJoin,
  ClassicJoinAnswer,
  ClassicJoined,
  ClassicLeave,
  ClassicSync,
  ClassicSyncAnswer,
  ClassicToken,
} from "./requests.ts";
import { type Sight, sessionDeadlineMs, sessionEndMs } from "./session.ts";
import { newestEpoch, type RemovalReason } from "./state.ts";

const NOTHING = new Uint8Array();

export class ClassicGroup {
  readonly #changes: Changes;
  readonly #sight: Sight;

  constructor(changes: Changes, sight: Sight) {
    this.#changes = changes;
    this.#sight = sight;
  }

  get #state(): ClassicState {
    return this.#changes.state.classic;
  }

  /** The time at which `expire` must be called next. Infinity if nothing can expire. */
  get nextDeadlineMs(): number {
    const { phase, pending, members, deadlineMs } = this.#state;
    let earliest = deadlineMs ?? Number.POSITIVE_INFINITY;
    if (phase === "PREPARING")
      for (const untilMs of pending.values()) earliest = Math.min(earliest, untilMs);
    for (const member of members.values())
      if (!this.#isWaiting(member.memberId))
        earliest = Math.min(earliest, sessionDeadlineMs(member, this.#sight));
    return earliest;
  }

  // Join.

  /** [CLS-1] Replies when all members have joined, or after the longest wait. */
  join(request: ClassicJoin, maxSize: number, ticket: number, nowMs: number): void {
    const answer = this.#join(request, maxSize, ticket, nowMs);
    if (answer !== null) this.#changes.reply(ticket, answer);
    this.#completeWhenAllAreHere(nowMs);
  }

  /** Returns the answer, or null if the member waits for others. */
  #join(
    request: ClassicJoin,
    maxSize: number,
    ticket: number,
    nowMs: number,
  ): ClassicJoinAnswer | null {
    const { memberId, instanceId } = request;
    this.#forgetLateIds(nowMs);
    const unfit = whyNotClassicFit(this.#state, request);
    if (unfit !== null) return unfit;
    const holder = classicHolderOf(this.#state, instanceId);
    if (memberId === "" && holder !== undefined)
      return this.#replace(holder, request, ticket, nowMs);
    if (holder !== undefined && holder.memberId !== memberId) return fenced(instanceId);
    const isPending = this.#state.pending.has(memberId);
    if (memberId === "" || isPending) {
      if (this.#state.members.size >= maxSize)
        return fail("GROUP_MAX_SIZE_REACHED", `the group has ${maxSize} members, the bound`);
      if (!mayAddMember(this.#state, request)) return this.#giveOutId(request, nowMs);
      return this.#add(request, isPending ? memberId : request.newMemberId, ticket, nowMs);
    }
    const member = this.#state.members.get(memberId);
    if (member === undefined || (instanceId !== null && holder === undefined))
      return unknownMember(memberId);
    this.#seen(memberId);
    const { phase, leaderId } = this.#state;
    const isSame = sameProtocols(member.protocols, request.protocols);
    const isNews =
      phase === "COMPLETING" ? !isSame : phase !== "STABLE" || memberId === leaderId || !isSame;
    if (!isNews) return this.#joined(memberId); // It only missed the answer.
    this.#setMember({ ...member, ...termsOf(request), silentSinceMs: null });
    return this.#wait(memberId, ticket, nowMs);
  }

  #giveOutId({ newMemberId, sessionTimeoutMs }: ClassicJoin, nowMs: number): ClassicJoinAnswer {
    const pending = new Map(this.#state.pending);
    const oldest = pending.keys().next().value;
    if (oldest !== undefined && pending.size >= MAX_PENDING_CLASSIC_MEMBERS) pending.delete(oldest);
    pending.set(newMemberId, nowMs + Math.min(sessionTimeoutMs, MAX_PENDING_CLASSIC_MS));
    this.#set({ pending });
    const failure = fail("MEMBER_ID_REQUIRED", `join again with the memberId ${newMemberId}`);
    return { ...failure, memberId: newMemberId };
  }

  #forgetLateIds(nowMs: number): void {
    const pending = new Map([...this.#state.pending].filter(([, untilMs]) => untilMs > nowMs));
    if (pending.size < this.#state.pending.size) this.#set({ pending });
  }

  #add(request: ClassicJoin, memberId: string, ticket: number, nowMs: number): null {
    const { instanceId, clientId, clientHost, protocolType } = request;
    const identity = { memberId, instanceId, clientId, clientHost };
    this.#set({ protocolType, pending: without(this.#state.pending, [memberId]) });
    const terms = termsOf(request);
    this.#setMember({ ...identity, ...terms, assignment: NOTHING, silentSinceMs: null });
    return this.#wait(memberId, ticket, nowMs);
  }

  /**
   * Handles a static member that comes back without its id. It takes over the membership, and the holder of the old id
   * is fenced.
   */
  #replace(
    old: ClassicMember,
    request: ClassicJoin,
    ticket: number,
    nowMs: number,
  ): ClassicJoinAnswer | null {
    const memberId = request.newMemberId;
    const oldLeaderId = this.#state.leaderId ?? "";
    this.#answer([old.memberId], fenced(request.instanceId));
    const member = { ...old, ...termsOf(request), memberId, silentSinceMs: null };
    this.#set(
      {
        members: new Map([...without(this.#state.members, [old.memberId]), [memberId, member]]),
        leaderId: oldLeaderId === old.memberId ? memberId : this.#state.leaderId,
      },
      { isStored: true, reason: "replaced" },
    );
    this.#changes.emit({ type: "unheard", memberId: old.memberId });
    this.#seen(memberId);
    const chosen = (protocols: readonly ClassicProtocol[]) =>
      protocols.find(({ name }) => name === this.#state.protocolName)?.metadata ?? null;
    const isAsBefore = equalBytes(chosen(old.protocols), chosen(request.protocols));
    if (this.#state.phase !== "STABLE" || !isAsBefore) return this.#wait(memberId, ticket, nowMs);
    const joined = this.#joined(memberId);
    // A client that cannot be told to skip the assignment must not believe that it is the leader. Otherwise it would
    // assign anew.
    if (request.canSkipAssignment) return { ...joined, skipAssignment: true };
    return { ...joined, leaderId: oldLeaderId, members: [] };
  }

  /** Makes the member wait for the others. An earlier join of the same member is answered. */
  #wait(memberId: string, ticket: number, nowMs: number): null {
    const earlier = this.#state.joining.get(memberId);
    if (earlier !== undefined) this.#changes.reply(earlier, { ...rebalancing(), memberId });
    this.#set({ joining: new Map([...this.#state.joining, [memberId, ticket]]) });
    this.#prepare(nowMs);
    return null;
  }

  /** Makes all members join again. */
  #prepare(nowMs: number): void {
    const isNew = this.#state.phase !== "PREPARING";
    for (const [memberId, ticket] of this.#state.syncing) {
      this.#changes.reply(ticket, rebalancing());
      this.#heard(memberId); // It may have waited longer than its session timeout.
    }
    // This is stored. Otherwise a restart would consider the rebalance complete.
    const deadlineMs = isNew ? this.#untilMs(nowMs) : this.#state.deadlineMs;
    this.#set({ phase: "PREPARING", deadlineMs, syncing: new Map() }, { isStored: isNew });
  }

  #untilMs(nowMs: number): number {
    const timeouts = [...this.#state.members.values()].map((member) => member.rebalanceTimeoutMs);
    return nowMs + Math.max(0, ...timeouts);
  }

  #completeWhenAllAreHere(nowMs: number): void {
    const { phase, pending, joining, members } = this.#state;
    if (phase !== "PREPARING") return;
    const isAnybodyMissing = pending.size > 0 || joining.size < members.size;
    if (members.size === 0 || !isAnybodyMissing) this.#complete(nowMs);
  }

  /** Starts a new generation with the members that have joined. */
  #complete(nowMs: number): void {
    const { members, joining } = this.#state;
    const generation = newestEpoch(this.#changes.state) + 1;
    const begun = { generation, goneTopics: new Set<string>() };
    if (members.size === 0) {
      const nobody = { leaderId: null, protocolName: null, protocolType: null, deadlineMs: null };
      this.#set({ ...begun, ...nobody, phase: "EMPTY" }, { isStored: true });
      return;
    }
    const { leaderId: former } = this.#state;
    const first = joining.keys().next().value ?? [...members.keys()][0] ?? null;
    const leaderId = former === null || !joining.has(former) ? first : former;
    const protocolName = elect([...members.values()]);
    const deadlineMs = this.#untilMs(nowMs);
    const next = { ...begun, protocolName, leaderId, deadlineMs, joining: new Map() };
    this.#set({ ...next, phase: "COMPLETING" });
    for (const [memberId, ticket] of joining) {
      this.#heard(memberId);
      this.#changes.reply(ticket, this.#joined(memberId));
    }
  }

  #joined(memberId: string): { readonly ok: true } & ClassicJoined {
    const { leaderId, generation, protocolType, protocolName, members } = this.#state;
    return {
      ok: true,
      memberId,
      generation,
      protocolType,
      protocolName,
      leaderId: leaderId ?? "",
      skipAssignment: false,
      members:
        memberId !== leaderId
          ? []
          : Array.from(members.values(), ({ memberId, instanceId, protocols }) => ({
              memberId,
              instanceId,
              metadata: protocols.find(({ name }) => name === protocolName)?.metadata ?? NOTHING,
            })),
    };
  }

  // Sync, heartbeat, leave.

  /** [CLS-2] Replies when the leader has sent the assignments. */
  sync(request: ClassicSync, ticket: number): void {
    const answer = this.#sync(request, ticket);
    if (answer !== null) this.#changes.reply(ticket, answer);
  }

  /** Returns the answer, or null if the member waits for the leader. */
  #sync(request: ClassicSync, ticket: number): ClassicSyncAnswer | null {
    const refused = whyNotOfGeneration(this.#state, request);
    if (refused !== null) return refused;
    const { memberId, protocolType, protocolName } = request;
    const { phase, leaderId } = this.#state;
    const isOurs =
      (protocolType === null || protocolType === this.#state.protocolType) &&
      (protocolName === null || protocolName === this.#state.protocolName);
    if (!isOurs)
      return fail("INCONSISTENT_GROUP_PROTOCOL", `the protocol is ${this.#state.protocolName}`);
    this.#seen(memberId);
    if (phase === "PREPARING") return rebalancing();
    if (phase === "STABLE") return this.#synced(memberId);
    const earlier = this.#state.syncing.get(memberId);
    if (earlier !== undefined) this.#changes.reply(earlier, rebalancing());
    this.#set({ syncing: new Map([...this.#state.syncing, [memberId, ticket]]) });
    if (memberId === leaderId) this.#assign(request.assignments);
    return null;
  }

  /** Stores the leader's assignments. */
  #assign(assignments: ClassicSync["assignments"]): void {
    const { members, syncing } = this.#state;
    const byMember = new Map(assignments.map((each) => [each.memberId, each.assignment]));
    const assigned = Array.from(members, ([memberId, member]): [string, ClassicMember] => [
      memberId,
      { ...member, assignment: byMember.get(memberId) ?? NOTHING },
    ]);
    // There is no deadline: a member that has not fetched its assignment yet has until its session ends.
    const stable = { phase: "STABLE", deadlineMs: null, syncing: new Map() } as const;
    this.#set({ ...stable, members: new Map(assigned) }, { isStored: true });
    for (const [memberId, ticket] of syncing) {
      this.#heard(memberId);
      this.#changes.reply(ticket, this.#synced(memberId));
    }
  }

  #synced(memberId: string): ClassicSyncAnswer {
    const { protocolType, protocolName, members } = this.#state;
    const assignment = members.get(memberId)?.assignment ?? NOTHING;
    return { ok: true, protocolType, protocolName, assignment };
  }

  /** [CLS-4] Notes that the member is alive. REBALANCE_IN_PROGRESS asks it to join again. */
  heartbeat(token: ClassicToken): KafkaResult<object> {
    const refused = whyNotOfGeneration(this.#state, token);
    if (refused !== null) return refused;
    this.#seen(token.memberId);
    return this.#state.phase === "PREPARING" ? rebalancing() : { ok: true };
  }

  /**
   * [CLS-9] Notes that the topic was deleted. This generation's commits for it no longer count, and all members must
   * join again.
   */
  topicGone(topic: string, nowMs: number): void {
    if (this.#state.members.size === 0) return;
    this.#set({ goneTopics: new Set([...this.#state.goneTopics, topic]) }, { isStored: true });
    if (this.#state.phase === "STABLE") this.#prepare(nowMs);
  }

  /** Removes a member by its id, or a static member by its instance id alone. */
  leave({ memberId, instanceId }: ClassicLeave, nowMs: number): KafkaResult<object> {
    if (this.#state.pending.has(memberId)) {
      this.#set({ pending: without(this.#state.pending, [memberId]) });
      this.#completeWhenAllAreHere(nowMs);
      return { ok: true };
    }
    const holder = classicHolderOf(this.#state, instanceId);
    if (holder !== undefined && memberId !== "" && holder.memberId !== memberId)
      return fenced(instanceId);
    const member = instanceId === null ? this.#state.members.get(memberId) : holder;
    if (member === undefined) return unknownMember(memberId);
    this.#remove([member.memberId], "left", nowMs);
    return { ok: true };
  }

  /** [CLS-3] Removes members whose session has ended, and continues a rebalance whose deadline has passed. */
  expire(nowMs: number): void {
    this.#forgetLateIds(nowMs);
    const silent = [...this.#state.members.values()].filter(
      (member) => !this.#isWaiting(member.memberId) && sessionEndMs(member, this.#sight) <= nowMs,
    );
    const silentIds = silent.map(({ memberId }) => memberId);
    const isPreparing = this.#state.phase !== "STABLE";
    const reason = isPreparing ? "rebalance timeout" : "session timeout";
    if (silent.length > 0) this.#remove(silentIds, reason, nowMs);
    else this.#completeWhenAllAreHere(nowMs); // An id that the rebalance waited for may have expired.
    const { phase, deadlineMs, members, joining, syncing } = this.#state;
    if (deadlineMs === null || deadlineMs > nowMs) return;
    if (phase === "PREPARING") {
      // A static member may be restarting. Its session timeout decides.
      const late = [...members.values()].filter(
        ({ memberId, instanceId }) => !joining.has(memberId) && instanceId === null,
      );
      this.#forget(
        late.map(({ memberId }) => memberId),
        "rebalance timeout",
      );
      this.#complete(nowMs);
    } else {
      const late = [...members.keys()].filter((memberId) => !syncing.has(memberId));
      this.#remove(late, "rebalance timeout", nowMs);
    }
  }

  #remove(memberIds: readonly string[], reason: RemovalReason, nowMs: number): void {
    this.#forget(memberIds, reason);
    this.#prepare(nowMs);
    this.#completeWhenAllAreHere(nowMs);
  }

  #forget(memberIds: readonly string[], reason: RemovalReason): void {
    this.#answer(memberIds, null);
    const members = without(this.#state.members, memberIds);
    this.#set({ members }, { isStored: true, reason });
    for (const memberId of memberIds) this.#changes.emit({ type: "unheard", memberId });
  }

  /** Answers the joins and syncs of members that are removed. Their last signs of life can be forgotten. */
  #answer(memberIds: readonly string[], failure: KafkaFailure | null): void {
    const { joining, syncing } = this.#state;
    for (const memberId of memberIds) this.#changes.emit({ type: "unheard", memberId });
    for (const memberId of memberIds)
      for (const ticket of [joining.get(memberId), syncing.get(memberId)])
        if (ticket !== undefined)
          this.#changes.reply(ticket, { ...(failure ?? unknownMember(memberId)), memberId });
    this.#set({ joining: without(joining, memberIds), syncing: without(syncing, memberIds) });
  }

  /** True if the member waits for an answer. While waiting, it need not show that it is alive. */
  #isWaiting(memberId: string): boolean {
    return this.#state.joining.has(memberId) || this.#state.syncing.has(memberId);
  }

  // Signs of life.

  #seen(memberId: string): void {
    this.#heard(memberId);
    const member = this.#state.members.get(memberId);
    if (member !== undefined && member.silentSinceMs !== null)
      this.#setMember({ ...member, silentSinceMs: null }, true);
  }

  #heard(memberId: string): void {
    this.#changes.emit({ type: "heard", memberId });
  }

  /** Notes that the member is no longer known to be alive. Its session timeout starts, unless it sends a request. */
  silent(memberId: string, nowMs: number): void {
    const member = this.#state.members.get(memberId);
    if (member !== undefined && member.silentSinceMs === null)
      this.#setMember({ ...member, silentSinceMs: nowMs }, true);
  }

  /** [CLS-7] Continues after a restart: no request waits for an answer any more, and a rebalance begins anew. */
  wake(nowMs: number): void {
    for (const memberId of this.#state.members.keys())
      if (this.#sight.lastSeenMs(memberId) === 0) this.silent(memberId, nowMs);
    if (this.#state.phase !== "PREPARING") return;
    this.#set({ deadlineMs: this.#untilMs(nowMs) });
    this.#completeWhenAllAreHere(nowMs);
  }

  /** [CLK-4] Restarts every session timeout, and gives a rebalance its full time, because the clock was set. */
  beginSessionsAnew(nowMs: number): void {
    const { members, pending, deadlineMs } = this.#state;
    if (members.size === 0 && pending.size === 0) return;
    const silent = [...members.values()].filter(({ silentSinceMs }) => silentSinceMs !== null);
    const anew = silent.map((member) => ({ ...member, silentSinceMs: nowMs }));
    for (const memberId of members.keys()) this.#heard(memberId);
    this.#set(
      {
        members: new Map([
          ...members,
          ...anew.map((member): [string, ClassicMember] => [member.memberId, member]),
        ]),
        deadlineMs: deadlineMs === null ? null : this.#untilMs(nowMs),
        pending: new Map(
          Array.from(pending.keys(), (memberId) => [memberId, nowMs + MAX_PENDING_CLASSIC_MS]),
        ),
      },
      { isStored: silent.length > 0 },
    );
  }

  #setMember(member: ClassicMember, isStored = false): void {
    this.#set(
      { members: new Map([...this.#state.members, [member.memberId, member]]) },
      { isStored },
    );
  }

  #set(
    change: Partial<ClassicState>,
    { isStored = false, reason = "left" }: { isStored?: boolean; reason?: RemovalReason } = {},
  ): void {
    const classic = { ...this.#state, ...change };
    this.#changes.emit({ type: "classic", classic, isStored, reason });
  }
}

/** [CLS-10] True if the join may create a member. Otherwise it gets an id, an answer that it missed, or an error. */
export function mayAddMember(
  { pending }: ClassicState,
  { memberId, instanceId, mustKnowId }: ClassicJoin,
): boolean {
  return memberId === "" ? !mustKnowId || instanceId !== null : pending.has(memberId);
}

/** Returns the protocol that most members prefer, among those that all members support. */
function elect(members: readonly ClassicMember[]): string {
  const common = commonProtocols(members);
  const votes = new Map<string, number>();
  for (const { protocols } of members) {
    const vote = protocols.find(({ name }) => common.has(name))?.name ?? "";
    votes.set(vote, (votes.get(vote) ?? 0) + 1);
  }
  return [...votes].reduce((best, each) => (each[1] > best[1] ? each : best))[0];
}

function termsOf({ sessionTimeoutMs, rebalanceTimeoutMs, protocols }: ClassicJoin) {
  return { sessionTimeoutMs, rebalanceTimeoutMs, protocols };
}

function sameProtocols(a: readonly ClassicProtocol[], b: readonly ClassicProtocol[]): boolean {
  const isSame = ({ name, metadata }: ClassicProtocol, other: ClassicProtocol | undefined) =>
    name === other?.name && equalBytes(metadata, other.metadata);
  return a.length === b.length && a.every((each, index) => isSame(each, b[index]));
}

function without<T>(map: ReadonlyMap<string, T>, keys: readonly string[]): Map<string, T> {
  const rest = new Map(map);
  for (const key of keys) rest.delete(key);
  return rest;
}

function fenced(instanceId: string | null): KafkaFailure {
  return fail("FENCED_INSTANCE_ID", `instanceId ${instanceId} is held by another member`);
}

function rebalancing(): KafkaFailure {
  return fail("REBALANCE_IN_PROGRESS", "all members have to join again");
}
