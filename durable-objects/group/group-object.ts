// One consumer group: the object around the pure machine (src/core/group/group.ts). Every operation goes admit
// → persist → publish: the group decides, its events are stored in one transaction, and only then is anyone
// notified. The output gate holds every message until the write is durable.
//
//
// An idle group sleeps. The runtime answers heartbeats and remembers when it last answered each. So a group in
// which nothing happens wakes up twice an hour.

import { DurableObject } from "cloudflare:workers";
import {
  GROUP_CALLS,
  type GroupCalls,
  type GroupRequest,
  type HeartbeatReply,
  type HeartbeatRequest,
} from "../../src/calls/group-calls.ts";
import {
  codeOfFailure,
  codeOfOutcome,
  type JoinedReply,
  joinedReply,
  type SyncedReply,
  syncedReply,
} from "../../src/calls/kafka-replies.ts";
import { errorOf, type Failure, KAFKA_ERRORS, type Result, unwrap } from "../../src/core/errors.ts";
import {
  notShare,
  unknownGroup,
  whyNotFetch,
  whyNotUnused,
} from "../../src/core/group/admission.ts";
import { topicsAssignedBy } from "../../src/core/group/classic-assignment.ts";
import { resolveGroupConfig } from "../../src/core/group/config.ts";
import {
  describeClassic,
  describeConsumers,
  describeGroup,
  describeShareGroup,
  listedSummaryOf,
  positionsIn,
  positionsOf,
  type ShareGroupDescription,
  stateNameOf,
  summaryOf,
} from "../../src/core/group/describe.ts";
import {
  fromSet,
  type PartitionSet,
  parsePartitionKey,
  partitionKey,
  toSet,
} from "../../src/core/group/partition-key.ts";
import { shareTermsOf } from "../../src/core/group/share-group.ts";
import { type GroupState, newestEpoch } from "../../src/core/group/state.ts";
import { FAN_OUT, FEW_METRICS_MEMBERS, MAX_REPORTED_POSITIONS } from "../../src/core/limits.ts";
import { mapConcurrently } from "../../src/core/map-concurrently.ts";
import type { GroupSnapshot } from "../../src/core/metrics/snapshot.ts";
import { type Env, type PartitionStub, partitionStub } from "../../src/env.ts";
import { logLine } from "../../src/log.ts";
import { CLOSE_SESSION_ENDED } from "../../src/protocol/close-codes.ts";
import { PING, PONG } from "../../src/protocol/heartbeat.ts";
import type { PollAnswer } from "../../src/protocol/poll.ts";
import { Notes } from "../shared/notes.ts";
import { OwnerSigner } from "../shared/owner-signature.ts";
import { BEING_RESTORED, recoveryPoint, restoreTo } from "../shared/recovery.ts";
import { reportToMetrics } from "../shared/reporter.ts";
import { serveCalls } from "../shared/serve-calls.ts";
import { storageOf, type Transactional } from "../shared/sql.ts";
import { trace } from "../shared/trace.ts";
import { type Counting, countEvents, ObjectUsage } from "../shared/usage.ts";
import { GroupAlarm } from "./group-alarm.ts";
import { GroupClock } from "./group-clock.ts";
import { membersOf } from "./group-counts.ts";
import { GroupKeeper } from "./group-keeper.ts";
import { GroupServer } from "./group-server.ts";
import { GroupSockets } from "./group-sockets.ts";
import { GroupStore } from "./group-store.ts";
import { GroupTime } from "./group-time.ts";
import type { Joined } from "./member-sockets.ts";
import { Presence } from "./presence.ts";
import { groupTopic, Registration } from "./registration.ts";

export class GroupObject extends DurableObject<Env> implements GroupCalls, Counting {
  readonly usage = new ObjectUsage();
  readonly #storage: Transactional;
  readonly #groupId: string;
  readonly #presence: Presence;
  readonly #registration: Registration;
  readonly #keeper: GroupKeeper;
  readonly #server: GroupServer;
  readonly #alarm: GroupAlarm;
  readonly #sockets: GroupSockets;
  readonly #time: GroupTime;
  readonly #signer: OwnerSigner;
  #store: GroupStore;
  #isRestoring = false;
  /** The number of changes, commits aside, at the last report to the metrics. */
  #toldChanges = 0;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#groupId = ctx.id.name ?? "";
    trace(env, "group", this.#groupId, "start");
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING, PONG));
    const storage = storageOf(ctx.storage, this.usage);
    this.#storage = storage;
    const storedAlarm = this.usage.alarmOf(ctx.storage);
    const clock = new GroupClock(storage.sql, (nowMs) => this.#time.wasSetBack(nowMs));
    this.#presence = new Presence(ctx, clock);
    const notes = new Notes(storage.sql, () => this.#keeper.group.exists);
    this.#signer = new OwnerSigner(env, notes);
    this.#registration = new Registration({
      ...{ env, notes, signer: this.#signer },
      ...{ groupId: this.#groupId, objectId: String(ctx.id) },
      exists: () => this.#keeper.group.exists,
      waitUntil: (promise) => ctx.waitUntil(promise),
    });
    // [FIL-7] If it throws, every call gets the error.
    this.#store = new GroupStore(storage, this.#groupId, (atMs) => clock.noted(atMs));
    this.#keeper = new GroupKeeper(this.#store, this.#presence, clock, (error) =>
      errorOf(this.#registration.noteDamage(error)),
    );
    this.#alarm = new GroupAlarm(ctx, this.#presence, clock, storedAlarm);
    this.#server = new GroupServer(this.#keeper, this.#registration, () => this.#announce());
    const parts = {
      ...{ env, signer: this.#signer },
      ...{ keeper: this.#keeper, server: this.#server, presence: this.#presence, clock },
      ...{ storedAlarm, alarm: this.#alarm, store: () => this.#store, end: () => this.#end() },
      announce: (joined?: Joined) => this.#announce(joined),
      closeExpired: () => this.#sockets.closeExpired(),
      couldNotNote: (error: unknown) => this.#couldNotNote(error),
    };
    this.#sockets = new GroupSockets(ctx, parts);
    this.#time = new GroupTime(ctx, parts);
    reportToMetrics({
      ...{ env, ctx, usage: this.usage },
      // A heartbeat that wakes the group must not read all members to report them, and no report may read very
      // many.
      isWorthIt: () =>
        this.#keeper.counts.commits > 0 &&
        // Earlier releases did not store their number. There may be many.
        (this.#store.memberCount ?? Number.POSITIVE_INFINITY) <= FEW_METRICS_MEMBERS &&
        this.#keeper.group.state.classic.members.size <= FEW_METRICS_MEMBERS,
      hasNews: () => this.#keeper.counts.changes > this.#toldChanges,
      snapshot: () => {
        this.#toldChanges = this.#keeper.counts.changes;
        return this.#snapshot();
      },
    });
    this.#store.deadline(); // This tells the group's clock when the deadline was set.
    try {
      this.#keeper.wake();
    } catch (error) {
      this.#couldNotNote(error); // Throwing would lose the message that woke the object too.
    }
  }

  /** [RPT-1] */
  async snapshot(): Promise<GroupSnapshot | null> {
    this.usage.asked();
    return this.#snapshot();
  }

  /** Returns null if there is no group, or its data cannot be read. */
  #snapshot(): GroupSnapshot | null {
    const { group, counts } = this.#keeper;
    if (!group.exists || this.#registration.isDamaged) return null;
    const { state } = group;
    const { members, empty } = membersOf(state);
    const names = new Map(
      Array.from(state.topics.values(), (topic) => [topic.topicId, topic.name]),
    );
    const positions = [...state.offsets].slice(0, MAX_REPORTED_POSITIONS);
    return {
      kind: "group",
      ...{ life: this.usage.life, usage: this.usage.counts },
      storedBytes: this.#storage.sql.databaseSize,
      groupId: this.#groupId,
      ...{ state: stateNameOf(state), epoch: newestEpoch(state), members, emptyMembers: empty },
      positions: positions.map(([key, { offset }]) => {
        const place = parsePartitionKey(key);
        return { topic: names.get(place.topicId) ?? "", ...place, offset };
      }),
      ...{ rebalances: counts.rebalances, commitsTotal: counts.commits },
      ...{ lost: { ...counts.lost }, rejected: { ...counts.rejected } },
    };
  }

  /**
   * Logs that storing failed. The alarm notes a member without a socket again. [FIL-6] If the data is damaged,
   * the next caller gets the error.
   */
  #couldNotNote(error: unknown): void {
    if (this.#registration.isDamaged) return;
    logLine("error", `group ${this.#groupId}: a lost socket could not be noted: ${error}`);
  }

  /** Notifies the members of what has changed for them, and sets the alarm. */
  async #announce(joined?: Joined): Promise<void> {
    if (this.#keeper.hasStored) {
      this.#registration.noteMade();
      this.#registration.reportSummary(this.#keeper.look(({ state }) => listedSummaryOf(state)));
    }
    const news = this.#keeper.takeUntold();
    const { members } = this.#sockets;
    const unread = this.#keeper.look(() => members.sendNews(news, joined));
    await this.#alarm.schedule(this.#store, this.#keeper.group, news);
    for (const socket of unread) await this.#sockets.lost(socket);
  }

  // Calls about the group.

  async describe() {
    return await this.#look((state) => ({ ok: true, group: describeGroup(state) }) as const);
  }

  async history({ limit }: GroupRequest<"history">) {
    return await this.#look(() => ({ ok: true, history: this.#store.history(limit) }) as const);
  }

  async config() {
    return await this.#look(({ overrides }) => {
      return { ok: true, overrides, config: resolveGroupConfig(overrides) } as const;
    });
  }

  /** Answers a request that only reads, if there is a group. */
  async #look<T>(answer: (state: GroupState) => T): Promise<T | Failure> {
    await this.#registration.assertKept();
    await this.#alarm.look();
    const { exists } = this.#keeper.group;
    return exists ? this.#keeper.look(({ state }) => answer(state)) : unknownGroup(this.#groupId);
  }

  async resetOffsets({ offsets }: GroupRequest<"resetOffsets">) {
    const missing = await this.#look(() => null);
    return missing ?? (await this.#server.serve({ type: "resetOffsets", offsets }));
  }

  async deleteOffsets({ topics }: GroupRequest<"deleteOffsets">) {
    const missing = await this.#look(() => null);
    return missing ?? (await this.#server.serve({ type: "deleteOffsets", topics }));
  }

  async alterConfig({ changes, rooms }: GroupRequest<"alterConfig">) {
    const altered = await this.#server.serve({ type: "alterConfig", changes, rooms });
    if (!altered.ok) return altered;
    if (altered.isChanged) await this.#sendTerms();
    return { ...(await this.config()), isChanged: altered.isChanged };
  }

  async changeTopic({ name, topic }: GroupRequest<"changeTopic">) {
    const changed = topic === null ? null : groupTopic(topic);
    const forgotten = this.#keeper.look(({ state }) => {
      const known = state.topics.get(name);
      return known === undefined || known.topicId === topic?.topicId
        ? null
        : { topicId: known.topicId, positions: positionsIn(state, known.topicId) };
    });
    await this.#server.serve({ type: "changeTopic", name, topic: changed });
    return { forgotten };
  }

  /** [DEL-3] */
  async restorePositions({ topic, positions }: GroupRequest<"restorePositions">): Promise<void> {
    const { name } = topic;
    const named = positions.map(({ metadata = "", ...position }) => ({
      ...position,
      topic: name,
      metadata,
    }));
    const request = { topic: groupTopic(topic), positions: named };
    await this.#server.serve({ type: "restorePositions", ...request });
  }

  async destroy(): Promise<Result<object>> {
    if (!this.#keeper.group.exists && !(await this.#registration.isLost())) {
      await this.#registration.unlist(true);
      return unknownGroup(this.#groupId);
    }
    const used = this.#whyNotUnused();
    if (used !== null) return used;
    await this.#callSharePartitions((partition, own) => partition.deleteShare(own));
    await this.#registration.retire(this.#keeper.group.state.incarnation);
    const usedNow = this.#whyNotUnused(); // Somebody may have joined in the meantime.
    if (usedNow !== null) return usedNow;
    this.#presence.closeAll(CLOSE_SESSION_ENDED, "the group was deleted");
    this.#sockets.observers.closeAll(CLOSE_SESSION_ENDED, "the group was deleted");
    this.#alarm.forget();
    this.#registration.noteDestroyed();
    await this.ctx.storage.deleteAll();
    this.#store = new GroupStore(this.#storage, this.#groupId);
    this.#keeper.restart(this.#store);
    await this.#registration.unlist();
    return { ok: true };
  }

  /**
   * Deletes the group if nothing of it is left, or removes it from the cluster's list, in case an earlier
   * request could not.
   */
  async #end(): Promise<void> {
    if (this.#keeper.group.exists) await this.destroy();
    else await this.#server.unlistUnlessMade();
  }

  /** [FIL-6] A group whose data cannot be read has no members. */
  #whyNotUnused(): Failure | null {
    try {
      return this.#keeper.look(({ state }) => whyNotUnused(state));
    } catch (error) {
      if (!this.#registration.isDamaged) throw error;
      return null;
    }
  }

  async isNeeded(): Promise<boolean> {
    return this.#registration.isNeeded;
  }

  /** [QUO-6] */
  async subscriptions() {
    return this.#keeper.look(({ state }) => {
      const asked = this.#registration.asked;
      const members = [...state.members.values()];
      const patterns = [
        ...members.map(({ topicPattern }) => topicPattern),
        ...asked.map(({ pattern }) => pattern),
      ];
      const names = [
        ...state.topics.keys(),
        ...members.flatMap(({ topics }) => topics),
        ...asked.flatMap((each) => each.names),
      ];
      return {
        names: [...new Set(names)],
        patterns: [...new Set(patterns.filter((pattern) => pattern !== null))],
      };
    });
  }

  /** A group that has lost its storage can be recovered too. */
  async recoveryPoint({ toMs }: GroupRequest<"recoveryPoint">) {
    return await recoveryPoint(this.ctx, toMs);
  }

  async recoverTo({ bookmark }: GroupRequest<"recoverTo">) {
    return await restoreTo(this.ctx, bookmark, () => {
      this.#isRestoring = true;
      this.#presence.closeAll(CLOSE_SESSION_ENDED, "the group is being restored");
    });
  }

  /** [RCV-2] Nothing is stored or acknowledged that the restore would undo at once. */
  ready(): Promise<void> | null {
    return this.#isRestoring ? Promise.reject(errorOf(BEING_RESTORED)) : null;
  }

  async incarnation() {
    return { incarnation: this.#keeper.group.state.incarnation };
  }

  /** [RCV-4] The restored members are not connected, and the current ones join again. */
  async beginAnew({ incarnation }: GroupRequest<"beginAnew">): Promise<Result<object>> {
    if (!this.#keeper.group.exists) return unknownGroup(this.#groupId);
    this.#presence.closeAll(CLOSE_SESSION_ENDED, "the group was restored");
    this.#alarm.forget();
    this.#store.beginAnew(incarnation);
    this.#store = new GroupStore(this.#storage, this.#groupId);
    this.#keeper.restart(this.#store);
    await this.#announce();
    return { ok: true };
  }

  async hasIncarnation({ incarnation }: GroupRequest<"hasIncarnation">): Promise<boolean> {
    const { exists, state } = this.#keeper.group;
    return exists && state.incarnation === incarnation;
  }

  /** [ATT-5] True if the member that joined under this number holds the partition now. */
  async isOwner(request: GroupRequest<"isOwner">): Promise<boolean> {
    const { incarnation, memberNumber, memberEpoch, topicId, partition } = request;
    const { exists, state } = this.#keeper.group;
    if (!exists || state.incarnation !== incarnation) return false;
    return this.#keeper.look(({ state: { members, owners } }) => {
      const owner = owners.get(partitionKey(topicId, partition));
      const member = owner === undefined ? undefined : members.get(owner);
      return member?.memberNumber === memberNumber && memberEpoch <= member.memberEpoch;
    });
  }

  /** [ACL-8] */
  async revokeKey({ keyId }: GroupRequest<"revokeKey">): Promise<void> {
    this.#sockets.revoke(keyId);
  }

  /**
   * [GRP-17] Handles the report of a partition that has records for an owner but has not heard from it for a
   * session timeout. If the group has not heard from it either, the alarm removes it as soon as its session
   * ends. Returns false if the owner is not a member.
   */
  async noticeSilence(request: GroupRequest<"noticeSilence">): Promise<boolean> {
    const { incarnation, memberNumber } = request;
    const { exists, state } = this.#keeper.group;
    if (!exists || state.incarnation !== incarnation) {
      await this.#registration.assertKept(); // If the group's data is lost, its members are not known.
      return false;
    }
    if (await this.#alarm.suspect(memberNumber)) return true;
    this.#keeper.handle({ type: "expire" }); // It has no socket, and perhaps that is not noted yet.
    await this.#announce();
    return this.#keeper.look(({ state: { members } }) =>
      members.values().some((member) => member.memberNumber === memberNumber),
    );
  }

  // Members without a connection.

  async poll({ acks, ...member }: GroupRequest<"poll">): Promise<Result<PollAnswer>> {
    const polls = { memberEpoch: 0, owned: NO_PARTITIONS, polls: true, heartbeats: false };
    const answer = await this.#server.serve({ type: "poll", ...member, ...polls, acks });
    if (!answer.ok) return answer;
    const { rejected } = answer;
    const { members } = this.#sockets;
    const assignment = this.#keeper.look(() => members.assignmentOf(answer.member));
    return { ok: true, assignment, rejected, delivered: answer.member.delivered };
  }

  // Share groups.

  async openShare({ topics, rooms }: GroupRequest<"openShare">) {
    return await this.#server.serve({ type: "openShare", topics, rooms });
  }

  async useShare({ incarnation, topic, partition }: GroupRequest<"useShare">) {
    const missing = await this.#look(() => null);
    if (missing !== null) return missing;
    const request = { incarnation, topic: groupTopic(topic), partition };
    return await this.#server.serve({ type: "useShare", ...request });
  }

  async describeShare(): Promise<Result<{ group: ShareGroupDescription }>> {
    return await this.#look((state) =>
      state.kind === "share"
        ? ({ ok: true, group: describeShareGroup(state) } as const)
        : notShare(this.#groupId),
    );
  }

  /** [SHR-17] Sends the group's terms to the partitions that keep delivery states for it. */
  async #sendTerms(): Promise<void> {
    const terms = shareTermsOf(this.#keeper.group.config);
    await this.#callSharePartitions((partition, own) =>
      partition.configureShare({ ...own, terms }),
    );
  }

  /** Calls all partitions that keep delivery states for the group. Throws if one cannot be reached. */
  async #callSharePartitions(
    call: (partition: PartitionStub, own: { group: string; incarnation: number }) => Promise<void>,
  ): Promise<void> {
    const { incarnation, sharePartitions } = this.#keeper.group.state;
    await mapConcurrently([...sharePartitions], FAN_OUT, (key) => {
      const { topicId, partition } = parsePartitionKey(key);
      const own = { group: this.#groupId, incarnation };
      return call(partitionStub(this.env, topicId, partition), own);
    });
  }

  async deliver(request: GroupRequest<"deliver">): Promise<PartitionSet> {
    const answer = await this.#server.serve({ type: "deliver", ...request });
    return unwrap(answer).own;
  }

  async leave(request: GroupRequest<"leave">) {
    return await this.#server.serve({ type: "leavePolling", ...request });
  }

  // Kafka's clients. Answers to the classic protocol have Kafka's error codes.

  async joinClassic(request: GroupRequest<"joinClassic">): Promise<JoinedReply> {
    const answer = await this.#server.serve({ type: "joinClassic", ...request });
    return joinedReply(answer, request.memberId);
  }

  async syncClassic(request: GroupRequest<"syncClassic">): Promise<SyncedReply> {
    const synced = await this.#server.serve({ type: "syncClassic", ...request });
    if (!synced.ok) return syncedReply(synced);
    const names = topicsAssignedBy(this.#keeper.group.state.classic, request);
    await this.#server.serve({ type: "learnTopics", names });
    return syncedReply(synced);
  }

  async heartbeatClassic(token: GroupRequest<"heartbeatClassic">): Promise<number> {
    const answer = await this.#server.serve({ type: "heartbeatClassic", ...token });
    return answer.ok ? KAFKA_ERRORS.NONE : codeOfFailure(answer);
  }

  async leaveClassic({ members }: GroupRequest<"leaveClassic">): Promise<number[]> {
    const answer = await this.#server.serve({ type: "leaveClassic", members });
    return unwrap(answer).outcomes.map(codeOfOutcome);
  }

  async heartbeat({ owned, ...request }: HeartbeatRequest): Promise<Result<HeartbeatReply>> {
    const partitions = owned === null ? null : toSet(owned);
    const answer = await this.#server.serve({ type: "heartbeat", ...request, owned: partitions });
    if (!answer.ok) return answer;
    return { ...answer, assignment: answer.assignment && fromSet(answer.assignment) };
  }

  async commitOffsets(request: GroupRequest<"commitOffsets">) {
    const answer = await this.#server.serve({ type: "commitOffsets", ...request });
    return answer.ok
      ? { errorCode: KAFKA_ERRORS.NONE, errorCodes: answer.outcomes.map(codeOfOutcome) }
      : { errorCode: codeOfFailure(answer), errorCodes: [] };
  }

  async deletePositions({ positions, asksDeleted = false }: GroupRequest<"deletePositions">) {
    const missing = await this.#look(() => null);
    const answer = missing ?? (await this.#server.serve({ type: "deletePositions", positions }));
    if (!answer.ok) return codeOfFailure(answer);
    const codes = answer.outcomes.map(codeOfOutcome);
    return asksDeleted ? { codes, deleted: answer.deleted } : codes;
  }

  async committedOffsets({ member }: GroupRequest<"committedOffsets">) {
    await this.#registration.assertKept();
    return this.#keeper.look(({ state }) => {
      const refused = whyNotFetch(state, member);
      return { offsets: refused === null ? positionsOf(state) : codeOfFailure(refused) };
    });
  }

  async describeClassic() {
    await this.#registration.assertKept();
    return this.#keeper.look(({ state }) => describeClassic(state));
  }

  async describeConsumers() {
    await this.#registration.assertKept();
    return this.#keeper.look(({ state }) => describeConsumers(state));
  }

  async summary() {
    await this.#registration.assertKept();
    return this.#keeper.look(({ state }) => summaryOf(state));
  }

  // Sockets and time.

  override fetch(request: Request): Response {
    return this.#sockets.accept(request);
  }

  override async webSocketMessage(socket: WebSocket, data: string | ArrayBuffer): Promise<void> {
    if (this.#sockets.observers.has(socket)) return; // Observers send no messages.
    await this.#sockets.members.onMessage(socket, data);
    await this.#alarm.look();
  }

  override async webSocketClose(socket: WebSocket, code: number): Promise<void> {
    await this.#sockets.closed(socket, code);
  }

  override async webSocketError(socket: WebSocket): Promise<void> {
    await this.#sockets.lost(socket);
  }

  override async alarm(info?: AlarmInvocationInfo): Promise<void> {
    trace(this.env, "group", this.#groupId, "alarm");
    await this.#time.ring(info?.scheduledTime);
  }

  async noticeClock(): Promise<void> {
    await this.#time.noticeClock();
  }
}

serveCalls(GroupObject, "group", GROUP_CALLS, (object: GroupObject) => object.ready());
countEvents(GroupObject);

const NO_PARTITIONS: PartitionSet = new Set();
