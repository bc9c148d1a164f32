// One consumer group: its members' sockets, and alarms, around the pure coordinator (src/core/group). Every operation
// goes admit → persist → tell: the coordinator decides, its events are stored in one transaction, and only then is
// anyone told. The output gate holds every message until the write is durable.
//
// An idle group sleeps. The runtime answers heartbeats, and the alarm reads when each was last answered. So a group in
// which nothing happens wakes up only for one alarm per session timeout.
import { DurableObject } from "cloudflare:workers";
import type * as z from "zod";
import {
  GROUP_CALLS,
  type GroupCalls,
  type GroupRequest,
  type HeartbeatAnswer,
  type HeartbeatRequest,
} from "../../src/calls/group-calls.ts";
import type { TopicDescription } from "../../src/core/cluster/topics.ts";
import type { ConfigOverrides } from "../../src/core/config-table.ts";
import { isTooLate } from "../../src/core/elapsed.ts";
import {
  BrokerError,
  errorOf,
  type Failure,
  fail,
  failureOf,
  type Result,
} from "../../src/core/errors.ts";
import {
  type GroupMembers,
  whyNotForgetTopic,
  whyNotNativeJoin,
  whyNotUnused,
} from "../../src/core/group/admission.ts";
import type {
  ClassicJoin,
  ClassicJoined,
  ClassicSync,
  ClassicSynced,
  ClassicToken,
} from "../../src/core/group/classic.ts";
import type { GroupConfig, InitialPosition } from "../../src/core/group/config.ts";
import { Coordinator, type JoinRequest, type LastSeen } from "../../src/core/group/coordinator.ts";
import { describeGroup, type GroupDescription } from "../../src/core/group/describe.ts";
import type { HistoryEntry } from "../../src/core/group/history.ts";
import { type OffsetCommit, unknownMember } from "../../src/core/group/offsets.ts";
import {
  fromSet,
  type PartitionKey,
  type PartitionSet,
  parsePartitionKey,
  partitionKey,
  toSet,
} from "../../src/core/group/partition-key.ts";
import {
  emptyGroup,
  type GroupEvent,
  type GroupTopic,
  isAddedPartition,
  type Member,
} from "../../src/core/group/state.ts";
import { isSameSubscription, whyNotTopicPattern } from "../../src/core/group/topic-pattern.ts";
import { MAX_SOCKETS_PER_GROUP } from "../../src/core/limits.ts";
import { brokerError, failureOf as platformFailureOf } from "../../src/core/platform-errors.ts";
import { clusterStub, type Env, placeOf } from "../../src/env.ts";
import {
  CLOSE_REPLACED,
  CLOSE_SESSION_ENDED,
  isCleanClose,
} from "../../src/protocol/close-codes.ts";
import {
  type AssignedPartition,
  type AssignmentMessage,
  type CoordinatorMessage,
  type commitMessage,
  type InitialOffset,
  type joinMessage,
  memberMessage,
  type revokedMessage,
} from "../../src/protocol/group-socket.ts";
import { PING, PONG } from "../../src/protocol/heartbeat.ts";
import { isUnknownType, parseFrame } from "../../src/protocol/parse.ts";
import type { PollAnswer, PollRequest, RejectedAck } from "../../src/protocol/poll.ts";
import { WATCH_PATH } from "../../src/protocol/watch-socket.ts";
import { startAnew } from "../shared/clock.ts";
import { serveCalls } from "../shared/serve-calls.ts";
import { SilentSockets } from "../shared/silent-sockets.ts";
import {
  assertRead,
  close,
  closeFatal,
  errorFields,
  finishClose,
  sendJson,
} from "../shared/socket.ts";
import { storageOf } from "../shared/sql.ts";
import { trace } from "../shared/trace.ts";
import { ClassicMembers, type ClassicStore } from "./classic-members.ts";
import { GroupClock } from "./group-clock.ts";
import { GroupStore } from "./group-store.ts";
import { type GroupParts, KafkaMembers } from "./kafka-members.ts";
import { Watchers } from "./watchers.ts";

/** How long a failed alarm waits for its next try. */
const ALARM_RETRY_MS = 1_000;

/** The state of a socket. It lives in the socket's attachment, so it outlives hibernation. */
interface Attachment {
  readonly memberId: string;
  /** When the member joined over this socket. It was alive then. */
  readonly joinedAtMs: number;
}

/** The member whose join is to be answered. */
interface Joined {
  readonly memberId: string;
  readonly requestId: number | undefined;
}

export class GroupObject extends DurableObject<Env> implements GroupCalls {
  readonly #groupId: string;
  readonly #clock: GroupClock;
  readonly #sockets = new Map<string, WebSocket>();
  /** The sockets that have not joined. */
  readonly #silent: SilentSockets;
  #store: GroupStore;
  #coordinator: Coordinator;
  /** The members that speak Kafka's classic protocol. A group has these or members of other kinds, never both. */
  #classic: ClassicMembers;
  readonly #watchers: Watchers;
  readonly #kafka: KafkaMembers;
  /** When the alarm will ring. Null if that is not known, for example after waking up. */
  #alarmAtMs: number | null = null;
  /** The number of joins that wait for the cluster. They may bring the group into being. */
  #subscribing = 0;
  /** True if the group was deleted in this life. It then rightly has nothing stored. */
  #wasDestroyed = false;
  /** [FIL-6] Why the group's stored data cannot be read. The group then behaves as if it had lost its data. */
  #damage: Failure | null = null;
  /** True if the cluster knows that the group has stored something. */
  #isNoted = false;
  /** The last join of each member that waits for the cluster. */
  readonly #joins = new Map<string, symbol>();

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#groupId = ctx.id.name ?? "";
    trace(env, "group", this.#groupId, "start");
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING, PONG));
    const storage = storageOf(ctx.storage);
    this.#clock = new GroupClock(storage.sql, (nowMs) => this.#wasSetBack(nowMs));
    this.#store = new GroupStore(storage, this.#groupId); // [FIL-7] If it throws, every call gets the error.
    this.#coordinator = this.#load();
    this.#silent = new SilentSockets(ctx.getWebSockets());
    this.#watchers = new Watchers(ctx, this.#clock);
    this.#classic = this.#newClassic();
    this.#kafka = new KafkaMembers(this.#parts(), this.#watchers, this.#clock);
    for (const socket of ctx.getWebSockets()) {
      const attachment = attachmentOf(socket);
      if (attachment !== null && this.#coordinator.state.members.has(attachment.memberId)) {
        this.#sockets.set(attachment.memberId, socket);
        this.#clock.noted(attachment.joinedAtMs);
      }
    }
    this.#clock.noted(this.#watchers.latestMs);
    for (const { silentSinceMs } of this.#coordinator.state.members.values())
      this.#clock.noted(silentSinceMs ?? 0);
    for (const { silentSinceMs } of this.#classic.group.members.values())
      this.#clock.noted(silentSinceMs ?? 0);
    this.#noteLostSockets(this.#clock.now());
    try {
      this.#classic.persist();
      this.#persist();
    } catch (error) {
      this.#couldNotNote(error); // If it threw, the message that woke the object would be lost as well.
    }
  }

  /** Loads the group. If its data cannot be read, it begins as an empty group, and nothing is written over the data. */
  #load(): Coordinator {
    try {
      const state = this.#store.load();
      this.#store.loadClassic();
      return new Coordinator(state);
    } catch (error) {
      // If the database itself cannot be read, the platform's error describes that better.
      if (!(error instanceof BrokerError) && platformFailureOf(error) !== "unexpected") throw error;
      this.#damage = this.#unusable(`what it has stored is damaged: ${(error as Error).message}`);
      return new Coordinator(emptyGroup(this.#groupId));
    }
  }

  /**
   * [HIB-2] Starts the timeouts of members without a socket. A restart of the machine loses all sockets. A lost socket
   * also may have gone unnoted because the storage refused.
   */
  #noteLostSockets(nowMs: number): void {
    for (const memberId of [...this.#coordinator.state.members.keys()]) {
      if (!this.#sockets.has(memberId) && !this.#kafka.isHeard(memberId))
        this.#coordinator.disconnect(memberId, nowMs);
    }
  }

  /**
   * [CLK-4] Starts all sessions anew, as after a restart. Somebody set the clock, so nobody knows how long a member has
   * been silent. The new start is noted, or it would happen again and again.
   */
  #beginSessionsAnew(nowMs: number): void {
    for (const [memberId, socket] of this.#sockets) attach(socket, memberId, nowMs);
    this.#kafka.beginSessionsAnew(nowMs);
    this.#coordinator.beginSessionsAnew(nowMs);
    this.#classic.beginSessionsAnew(nowMs);
    this.#alarmAtMs = null; // It was set by a clock that now shows a different time.
  }

  /**
   * [CLK-4] Stores the new start of all sessions and sets the alarm anew, even if the group was asked for something
   * else, such as a commit. The old alarm waits for a later time of the clock, and nothing else may wake the group.
   */
  #wasSetBack(nowMs: number): void {
    this.#beginSessionsAnew(nowMs);
    const stored = Promise.resolve().then(() => this.#persistAndTell());
    this.ctx.waitUntil(stored.catch((error) => this.#couldNotNote(error)));
  }

  /** [CLK-4] True if the alarm rings too late, as it does after the clock was set forward. */
  #wasSetForward(dueMs: number, nowMs: number): boolean {
    const members = [
      ...this.#coordinator.state.members.values(),
      ...this.#classic.group.members.values(),
    ];
    return members.some(({ sessionTimeoutMs }) => isTooLate(dueMs, sessionTimeoutMs, nowMs));
  }

  /** Logs that the storage refused. The alarm notes a member without a socket again. */
  #couldNotNote(error: unknown): void {
    console.error(`group ${this.#groupId}: a lost socket could not be noted: ${error}`);
  }

  // Calls from the Worker.

  async describe(): Promise<Result<{ group: GroupDescription }>> {
    await this.#assertKept();
    if (!this.#coordinator.exists) return this.#unknownGroup();
    return { ok: true, group: describeGroup(this.#coordinator, this.#classic.group) };
  }

  async history({
    limit,
  }: GroupRequest<"history">): Promise<
    Result<{ history: (HistoryEntry & { readonly atMs: number })[] }>
  > {
    await this.#assertKept();
    if (!this.#coordinator.exists) return this.#unknownGroup();
    return { ok: true, history: this.#store.history(limit) };
  }

  async resetOffsets({ offsets }: GroupRequest<"resetOffsets">): Promise<Result<object>> {
    await this.#assertKept();
    if (!this.#coordinator.exists) return this.#unknownGroup();
    const used = whyNotUnused(this.#members);
    if (used !== null) return used;
    const known = this.#coordinator.state.topics;
    const unread = new Set(offsets.map(({ topic }) => topic)).difference(known);
    const subscribed = unread.size === 0 ? null : await this.#subscribe([...unread], null, true);
    if (subscribed?.ok === false) return subscribed;
    const usedNow = whyNotUnused(this.#members); // Somebody may have joined while the cluster was asked.
    if (usedNow !== null) return usedNow;
    const topics = subscribed?.topics ?? [];
    const resets = offsets.map(({ topicId, partition, offset }) => ({
      key: partitionKey(topicId, partition),
      offset,
    }));
    const result = this.#coordinator.offsets.reset(resets, topics, this.#clock.now());
    await this.#persistAndTell();
    return result;
  }

  async deleteOffsets({ topics }: GroupRequest<"deleteOffsets">): Promise<Result<object>> {
    await this.#assertKept();
    if (!this.#coordinator.exists) return this.#unknownGroup();
    for (const topic of topics) {
      const read = whyNotForgetTopic(this.#members, topic);
      if (read !== null) return read;
    }
    const result = this.#coordinator.offsets.delete(topics);
    await this.#persistAndTell();
    return result;
  }

  async config(): Promise<Result<{ overrides: ConfigOverrides; config: GroupConfig }>> {
    await this.#assertKept();
    if (!this.#coordinator.exists) return this.#unknownGroup();
    return {
      ok: true,
      overrides: this.#coordinator.state.overrides,
      config: this.#coordinator.config,
    };
  }

  async alterConfig({
    changes,
  }: GroupRequest<"alterConfig">): Promise<
    Result<{ overrides: ConfigOverrides; config: GroupConfig }>
  > {
    const checked = this.#coordinator.validateConfig(changes);
    if (!checked.ok) return checked;
    const listed = await this.#subscribe([], null);
    if (!listed.ok) return listed;
    const altered = this.#coordinator.alterConfig(changes, this.#clock.now());
    await this.#persistAndTell();
    return altered.ok ? this.config() : altered;
  }

  async destroy(): Promise<Result<object>> {
    if (!this.#coordinator.exists && !(await this.#isLost())) {
      await this.#unlist(true);
      return this.#unknownGroup();
    }
    const used = whyNotUnused(this.#members);
    if (used !== null) return used;
    const { incarnation } = this.#coordinator.state;
    await clusterStub(this.env).retireIncarnation({ incarnation });
    const usedNow = whyNotUnused(this.#members); // Somebody may have joined meanwhile.
    if (usedNow !== null) return usedNow;
    for (const socket of this.ctx.getWebSockets())
      close(socket, CLOSE_SESSION_ENDED, "the group was deleted");
    this.#sockets.clear();
    this.#alarmAtMs = null;
    this.#wasDestroyed = true;
    this.#damage = null;
    this.#isNoted = false;
    await this.ctx.storage.deleteAll();
    this.#store = new GroupStore(storageOf(this.ctx.storage), this.#groupId);
    this.#coordinator = new Coordinator(this.#store.load());
    this.#classic = this.#newClassic();
    await this.#unlist();
    return { ok: true };
  }

  /** [GRP-13] Takes the group off the cluster's list, unless it exists by the time the cluster asks. */
  async #unlist(isDeleted = false): Promise<void> {
    const stub = clusterStub(this.env);
    // [FIL-6] A group that has lost its data stays listed until somebody deletes it.
    if (!isDeleted && !this.#wasDestroyed && (await stub.isGroupMade(this.#own))) return;
    await stub.forgetGroup(this.#own);
  }

  async isNeeded(): Promise<boolean> {
    return this.#coordinator.exists || this.#subscribing > 0 || this.#damage !== null;
  }

  async hasIncarnation({ incarnation }: GroupRequest<"hasIncarnation">): Promise<boolean> {
    return this.#coordinator.exists && this.#coordinator.state.incarnation === incarnation;
  }

  async noticeClock(): Promise<void> {
    this.#clock.now();
    await this.#persistAndTell();
    if (this.#clock.isStanding) await startAnew(this.ctx);
  }

  async changeTopic({ name, topic }: GroupRequest<"changeTopic">): Promise<void> {
    if (!this.#coordinator.exists) return;
    const known = this.#coordinator.state.topics.get(name);
    if (known !== undefined && known.topicId !== topic?.topicId)
      this.#classic.topicGone(name, this.#clock.now());
    if (topic === null) this.#coordinator.changeTopics([], [name], this.#clock.now());
    else this.#coordinator.changeTopics([groupTopic(topic)], [], this.#clock.now());
    await this.#persistAndTell();
  }

  /** The group, as the cluster is told. */
  get #own(): { groupId: string } {
    return { groupId: this.#groupId };
  }

  /** The members of every kind, for the code that makes decisions about them. */
  get #members(): GroupMembers {
    return { state: this.#coordinator.state, classic: this.#classic.group };
  }

  #unknownGroup(): Failure {
    return fail("GROUP_ID_NOT_FOUND", `group ${this.#groupId} does not exist`);
  }

  async poll(request: PollRequest): Promise<Result<PollAnswer>> {
    const { memberId, topics, topicPattern } = request;
    const before = this.#coordinator.state.members.get(memberId);
    const join = {
      ...request,
      memberEpoch: 0,
      owned: new Set<PartitionKey>(),
      polls: true,
      heartbeats: false,
    };
    const refused = this.#whyNotJoin(join) ?? whyNotTopicPattern(topicPattern);
    if (refused !== null) return refused;
    const isSubscribed = before !== undefined && isSameSubscription(before, request);
    const subscribed = isSubscribed ? null : await this.#subscribe(topics, topicPattern);
    if (subscribed?.ok === false) return subscribed;
    const acknowledged = this.#acknowledge(memberId, request.acks);
    if (!acknowledged.ok) return acknowledged;
    const known = subscribed?.topics ?? [];
    const refusedNow = whyNotNativeJoin(this.#members);
    const result = refusedNow ?? this.#coordinator.join(join, known, this.#clock.now());
    this.#coordinator.offsets.noteRefused(memberId, this.#commitsOf(acknowledged.rejected));
    await this.#persistAndTell();
    if (!this.#coordinator.exists) await this.#unlist();
    if (!result.ok) return result;
    const { member } = result;
    return {
      ok: true,
      assignment: this.#assignmentOf(member),
      rejected: acknowledged.rejected,
      delivered: member.delivered,
    };
  }

  /** [POL-5] Commits acknowledgements. An invalid one refuses all of them, and nothing changes. */
  #acknowledge(memberId: string, acks: PollRequest["acks"]): Result<{ rejected: RejectedAck[] }> {
    const commits = this.#commitsOf(acks);
    const result = this.#coordinator.offsets.acknowledge(memberId, commits, this.#clock.now());
    if (!result.ok) return result;
    const failures = new Map(result.rejected.map((failure) => [failure.key, failure]));
    const rejected = acks.flatMap(({ topic, partition, offset }, i) => {
      const failure = failures.get((commits[i] as OffsetCommit).key);
      if (failure === undefined) return [];
      return [{ topic, partition, offset, code: failure.error, detail: failure.detail }];
    });
    return { ok: true, rejected };
  }

  /**
   * Converts acknowledgements to commits. The records up to and including an offset are done, so the next
   * offset is committed. Topic names mean the current topics.
   */
  #commitsOf(acks: PollRequest["acks"]): OffsetCommit[] {
    const { topics } = this.#coordinator.state;
    return acks.map(({ topic, partition, offset }) => ({
      key: partitionKey(topics.get(topic)?.topicId ?? "", partition),
      offset: offset + 1,
      metadata: "",
      isRewind: false,
    }));
  }

  async deliver({
    memberId,
    memberEpoch,
    deliveries,
  }: GroupRequest<"deliver">): Promise<PartitionSet> {
    const own = this.#coordinator.deliver(memberId, memberEpoch, deliveries, this.#clock.now());
    await this.#persistAndTell();
    return own;
  }

  async leave({
    memberId,
    acks,
  }: GroupRequest<"leave">): Promise<Result<{ rejected: readonly RejectedAck[] }>> {
    // [GRP-15] Another kind of member may have chosen an id that a poller would have.
    if (this.#coordinator.state.members.get(memberId)?.polls === false)
      return unknownMember(memberId);
    const acknowledged = this.#acknowledge(memberId, acks);
    if (!acknowledged.ok) return acknowledged;
    this.#coordinator.leave(memberId, this.#clock.now());
    await this.#persistAndTell();
    return acknowledged;
  }

  #whyNotJoin(request: JoinRequest): Failure | null {
    return whyNotNativeJoin(this.#members) ?? this.#coordinator.whyNotJoin(request);
  }

  // Calls for Kafka's clients: see kafka-members.ts.

  #newClassic(): ClassicMembers {
    const store = this.#damage === null ? this.#store : NOTHING_STORED;
    return new ClassicMembers(store, this.#watchers, this.#clock, () => {
      const isOccupied = this.#classic.group.members.size > 0;
      if (isOccupied || this.#coordinator.exists)
        this.#coordinator.setOccupied(isOccupied, this.#clock.now());
    });
  }

  #parts(): GroupParts {
    const coordinator = () => this.#coordinator;
    const classic = () => this.#classic;
    return {
      get coordinator() {
        return coordinator();
      },
      get classic() {
        return classic();
      },
      members: () => this.#members,
      subscribe: (topics, topicPattern) => this.#subscribe(topics, topicPattern),
      learn: (topics) => this.#subscribe(topics, null, true),
      whyNotJoin: (request) => this.#whyNotJoin(request),
      persistAndTell: () => this.#persistAndTell(),
      unlist: () => this.#unlist(),
    };
  }

  joinClassic(request: ClassicJoin): Promise<ClassicJoined> {
    return this.#kafka.joinClassic(request);
  }

  syncClassic(request: ClassicSync): Promise<ClassicSynced> {
    return this.#kafka.syncClassic(request);
  }

  heartbeatClassic(token: ClassicToken): Promise<number> {
    return this.#kafka.heartbeatClassic(token);
  }

  leaveClassic({ members }: GroupRequest<"leaveClassic">): Promise<number[]> {
    return this.#kafka.leaveClassic(members);
  }

  heartbeat(request: HeartbeatRequest): Promise<Result<HeartbeatAnswer>> {
    return this.#kafka.heartbeat(request);
  }

  commitOffsets({
    token,
    offsets,
  }: GroupRequest<"commitOffsets">): Promise<{ errorCode: number; errorCodes: number[] }> {
    return this.#kafka.commitOffsets(token, offsets);
  }

  async deletePositions({ positions }: GroupRequest<"deletePositions">) {
    await this.#assertKept();
    return this.#kafka.deletePositions(positions);
  }

  async committedOffsets({ member }: GroupRequest<"committedOffsets">) {
    await this.#assertKept();
    return this.#kafka.committedOffsets(member);
  }

  async describeClassic() {
    await this.#assertKept();
    return this.#kafka.describeClassic();
  }

  async describeConsumers() {
    await this.#assertKept();
    return this.#kafka.describeConsumers();
  }

  async summary() {
    await this.#assertKept();
    return this.#kafka.summary();
  }

  // The members' sockets.

  override fetch(request: Request): Response {
    if (!this.#hasRoomForSocket()) {
      const failure = fail(
        "GROUP_MAX_SIZE_REACHED",
        `the group has ${MAX_SOCKETS_PER_GROUP} sockets in use, the bound`,
      );
      return Response.json(failure, { status: 429 });
    }
    const { 0: client, 1: server } = new WebSocketPair();
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === WATCH_PATH)
      this.#watchers.accept(server, searchParams.get("memberId") ?? "", this.#clock.now());
    else {
      this.ctx.acceptWebSocket(server);
      this.#silent.add(server, this.#clock.now());
    }
    return new Response(null, { status: 101, webSocket: client });
  }

  /**
   * [BND-15] Makes room: first sockets that have not joined close, then those that watch for a member that has gone.
   */
  #hasRoomForSocket(): boolean {
    if (this.#silent.hasRoom(this.ctx.getWebSockets(), MAX_SOCKETS_PER_GROUP)) return true;
    const { members } = this.#coordinator.state;
    const classic = this.#classic.group.members;
    return this.#watchers.closeOneFor(
      (memberId) => !members.has(memberId) && !classic.has(memberId),
    );
  }

  override async webSocketMessage(socket: WebSocket, data: string | ArrayBuffer): Promise<void> {
    try {
      assertRead(socket);
      await this.#handle(socket, data);
    } catch (error) {
      if (isUnknownType(error)) return this.#refuse(socket, failureOf(error));
      closeFatal(socket, error);
      // The socket broke the protocol, or the storage failed. Either way its member is not connected now.
      await this.#lostSocket(socket);
    }
  }

  async #handle(socket: WebSocket, data: string | ArrayBuffer): Promise<void> {
    const message = parseFrame(memberMessage, data);
    switch (message.type) {
      case "join":
        return this.#join(socket, message);
      case "revoked":
        return this.#revoked(socket, message);
      case "commit":
        return this.#commit(socket, message);
      case "leave":
        return this.#leave(socket);
    }
  }

  async #join(socket: WebSocket, message: z.output<typeof joinMessage>): Promise<void> {
    const topicPattern = message.topicPattern ?? null;
    if (message.topics.length === 0 && topicPattern === null)
      throw new BrokerError(
        "INVALID_REQUEST",
        "join: topics is empty and there is no topicPattern",
      );
    const request: JoinRequest = {
      memberId: message.memberId,
      memberEpoch: message.memberEpoch,
      instanceId: message.instanceId ?? null,
      clientId: message.clientId ?? null,
      topics: message.topics,
      topicPattern,
      sessionTimeoutMs: message.sessionTimeoutMs,
      rebalanceTimeoutMs: message.rebalanceTimeoutMs,
      owned: toSet(message.owned),
      polls: false,
      heartbeats: false,
    };
    const refused = this.#whyNotJoin(request) ?? whyNotTopicPattern(topicPattern);
    if (refused !== null) return this.#refuse(socket, refused);
    const mine = Symbol();
    this.#joins.set(message.memberId, mine);
    const subscribed = await this.#subscribe(message.topics, topicPattern);
    // The cluster may answer out of order. What an earlier join claims to own is void once a later one was sent.
    if (this.#joins.get(message.memberId) !== mine) return;
    this.#joins.delete(message.memberId);
    if (!subscribed.ok) {
      if (subscribed.error === "KAFKA_STORAGE_ERROR") console.error(subscribed.detail);
      return this.#refuse(socket, subscribed);
    }
    const joined = this.#memberOf(socket); // Perhaps through a join that was sent before this one was answered.
    if (joined !== null && joined !== message.memberId) {
      const detail = `memberId is ${message.memberId}, this socket has joined as ${joined}`;
      throw new BrokerError("INVALID_REQUEST", detail);
    }
    // The socket may have gone, or the join may now be refused, since the cluster was asked.
    const isGone = socket.readyState !== WebSocket.OPEN;
    const { topics } = subscribed;
    const refusedNow = whyNotNativeJoin(this.#members);
    const result = isGone
      ? null
      : (refusedNow ?? this.#coordinator.join(request, topics, this.#clock.now()));
    if (result === null || !result.ok) {
      if (!this.#coordinator.exists) await this.#unlist();
      return result === null ? undefined : this.#refuse(socket, result);
    }

    const older = this.#sockets.get(message.memberId);
    if (older !== undefined && older !== socket) {
      older.serializeAttachment(null);
      close(older, CLOSE_REPLACED, "the member connected again");
    }
    this.#sockets.set(message.memberId, socket);
    attach(socket, message.memberId, this.#clock.now());
    this.#silent.delete(socket);
    await this.#persistAndTell({ memberId: message.memberId, requestId: message.requestId });
  }

  async #subscribe(
    topics: readonly string[],
    topicPattern: string | null,
    mustExist = false,
  ): Promise<Result<{ topics: readonly GroupTopic[] }>> {
    if (this.#damage !== null) return this.#damage;
    this.#subscribing++;
    try {
      const stub = clusterStub(this.env);
      const subscribed = await stub.subscribe({
        ...this.#own,
        names: topics,
        pattern: topicPattern,
        mustExist,
      });
      if (!subscribed.ok) return subscribed;
      this.#coordinator.retiredIncarnation = subscribed.retiredIncarnation;
      if (subscribed.isMade && !this.#coordinator.exists && !this.#wasDestroyed)
        return this.#goneFailure();
      return { ok: true, topics: subscribed.topics.map(groupTopic) };
    } catch (error) {
      if (platformFailureOf(error) === "damaged") return failureOf(brokerError(error));
      return fail(
        "COORDINATOR_NOT_AVAILABLE",
        `the cluster's metadata cannot be reached: ${error}`,
      );
    } finally {
      this.#subscribing--; // The waiting join continues in this turn. It creates the group or has it unlisted.
    }
  }

  /**
   * [FIL-6] Must run before anything is said about a group without stored data. It throws if there was
   * data, so that nobody takes the group for a new one.
   */
  async #assertKept(): Promise<void> {
    if (this.#damage !== null) throw errorOf(this.#damage);
    if (this.#coordinator.exists || this.#wasDestroyed) return;
    const isMade = await clusterStub(this.env).isGroupMade(this.#own);
    if (isMade && !this.#coordinator.exists && !this.#wasDestroyed)
      throw errorOf(this.#goneFailure());
  }

  /** [FIL-6] True if the group's data is gone, or none of it can be read. */
  async #isLost(): Promise<boolean> {
    if (this.#wasDestroyed) return false;
    return this.#damage !== null || (await clusterStub(this.env).isGroupMade(this.#own));
  }

  /**
   * [FIL-6] Refuses to begin anew by itself. Members would read records again
   * that they have done, or skip some that they have not.
   */
  #goneFailure(): Failure {
    return this.#unusable("its storage is gone, and with it what was committed");
  }

  /** [ERR-3] The caller logs this failure. A stub does so by itself, and for a socket the join below does. */
  #unusable(what: string): Failure {
    const { file } = placeOf(this.env, "group", "", String(this.ctx.id));
    const detail = `group ${this.#groupId}: ${what} (${file}); restore the file, or delete the group to begin anew`;
    return { ...fail("KAFKA_STORAGE_ERROR", detail), retriable: false };
  }

  /**
   * [FIL-6] Tells the cluster, once in a life, that there is data to lose, if a disk may lose it. Nobody waits for it.
   */
  #noteMade(): void {
    if (this.#isNoted || this.env.RIVULET_FILES === undefined || !this.#coordinator.exists) return;
    this.#isNoted = true;
    const noted = clusterStub(this.env).noteGroupMade(this.#own);
    this.ctx.waitUntil(
      noted.catch(() => {
        this.#isNoted = false;
      }),
    );
  }

  async #revoked(socket: WebSocket, message: z.output<typeof revokedMessage>): Promise<void> {
    const memberId = this.#memberOf(socket);
    if (memberId === null) return this.#refuse(socket, notJoined());
    const result = this.#coordinator.revoked(
      memberId,
      toSet(message.partitions),
      this.#clock.now(),
    );
    if (!result.ok) return this.#refuse(socket, result);
    await this.#persistAndTell();
  }

  async #commit(socket: WebSocket, message: z.output<typeof commitMessage>): Promise<void> {
    const { requestId } = message;
    const memberId = this.#memberOf(socket);
    if (memberId === null) return this.#refuse(socket, notJoined(), requestId);
    const commits = message.offsets.map((offset) => ({
      key: partitionKey(offset.topicId, offset.partition),
      offset: offset.offset,
      metadata: offset.metadata ?? "",
      isRewind: offset.isRewind ?? false,
    }));
    const result = this.#coordinator.offsets.commit(
      memberId,
      message.memberEpoch,
      commits,
      this.#clock.now(),
    );
    if (!result.ok) return this.#refuse(socket, result, requestId);
    this.#persist();
    const rejected = result.rejected.map(({ key, error, detail }) => ({
      ...parsePartitionKey(key),
      code: error,
      detail,
    }));
    this.#send(socket, { type: "committed", requestId, rejected });
  }

  async #leave(socket: WebSocket): Promise<void> {
    const memberId = this.#memberOf(socket);
    this.#forget(socket);
    close(socket, 1000, "left");
    if (memberId === null) return;
    this.#coordinator.leave(memberId, this.#clock.now());
    await this.#persistAndTell();
  }

  /** [GRP-5] [GRP-6] Takes a clean close by a non-static member for a leave. Any other close starts the timeout. */
  override async webSocketClose(socket: WebSocket, code: number): Promise<void> {
    const memberId = this.#memberOf(socket);
    const member = memberId === null ? undefined : this.#coordinator.state.members.get(memberId);
    finishClose(socket, code);
    const isLeave = isCleanClose(code) && member !== undefined && member.instanceId === null;
    if (!isLeave) return this.#lostSocket(socket);
    try {
      await this.#leave(socket);
    } catch (error) {
      this.#couldNotNote(error);
    }
  }

  override async webSocketError(socket: WebSocket): Promise<void> {
    return this.#lostSocket(socket);
  }

  async #lostSocket(socket: WebSocket): Promise<void> {
    this.#silent.delete(socket);
    const watched = this.#watchers.lost(socket);
    if (watched !== null) this.#kafka.unwatched(watched, this.#clock.now());
    const memberId = this.#memberOf(socket);
    if (memberId !== null) {
      this.#forget(socket);
      this.#coordinator.disconnect(memberId, this.#clock.now());
    }
    try {
      await this.#persistAndTell();
    } catch (error) {
      this.#couldNotNote(error);
    }
  }

  /** [GRP-7] The platform gives up on an alarm that keeps failing. This alarm comes back until it succeeds. */
  override async alarm(info?: AlarmInvocationInfo): Promise<void> {
    trace(this.env, "group", this.#groupId, "alarm");
    this.#alarmAtMs = null;
    try {
      const nowMs = this.#clock.now();
      const dueMs = info?.scheduledTime ?? nowMs;
      if (this.#wasSetForward(dueMs, nowMs)) this.#beginSessionsAnew(nowMs);
      this.#noteLostSockets(nowMs);
      this.#classic.expire(nowMs);
      this.#coordinator.expire(this.#lastSeen, nowMs);
      this.#coordinator.offsets.expire(nowMs);
      await this.#persistAndTell();
      if (this.#coordinator.offsets.isDead(nowMs)) await this.destroy();
      else if (!this.#coordinator.exists) await this.#unlist(); // An earlier alarm could not do it.
    } catch (error) {
      console.error(`group ${this.#groupId}: the alarm failed, it will be tried again: ${error}`);
      await this.ctx.storage.setAlarm(this.#clock.now() + ALARM_RETRY_MS);
    }
  }

  // Persist, then tell.

  /**
   * Stores the decisions of the coordinator. Then it sends each member whose assignment or epoch changed its new
   * assignment (and `joined` in any case), ends the sockets of removed members and sets the alarm.
   */
  async #persistAndTell(joined?: Joined): Promise<void> {
    const events = this.#persist();
    const told = new Set<string>(joined === undefined ? [] : [joined.memberId]);
    for (const event of events) {
      if (event.type === "member") told.add(event.member.memberId);
      if (event.type === "member-removed") this.#endSession(event.memberId, event.reason);
    }
    this.#kafka.notify(events);
    const unread: WebSocket[] = [];
    for (const memberId of told) {
      const member = this.#coordinator.state.members.get(memberId);
      const socket = this.#sockets.get(memberId);
      if (member === undefined || socket === undefined) continue;
      const requestId = memberId === joined?.memberId ? joined.requestId : undefined;
      const answer = requestId === undefined ? {} : { requestId };
      try {
        assertRead(socket);
        this.#send(socket, { ...this.#assignmentOf(member), ...answer });
      } catch (error) {
        closeFatal(socket, error);
        unread.push(socket);
      }
    }
    await this.#scheduleAlarm();
    for (const socket of unread) await this.#lostSocket(socket);
  }

  #persist(): readonly GroupEvent[] {
    const events = this.#coordinator.takeEvents();
    try {
      const history = [...this.#classic.takeHistory(), ...this.#coordinator.takeHistory()];
      this.#store.apply(events, history, this.#clock.now());
    } catch (error) {
      // Memory is ahead of storage: the decisions did not happen.
      this.#coordinator = new Coordinator(this.#store.load());
      throw new BrokerError(
        "KAFKA_STORAGE_ERROR",
        `the write failed, nothing was stored: ${error}`,
      );
    }
    if (events.length > 0) this.#noteMade();
    return events;
  }

  #endSession(memberId: string, reason: string): void {
    const socket = this.#sockets.get(memberId);
    if (socket === undefined || this.#coordinator.state.members.has(memberId)) return;
    this.#forget(socket);
    close(socket, CLOSE_SESSION_ENDED, `UNKNOWN_MEMBER_ID: ${reason}`);
  }

  #assignmentOf(member: Member): AssignmentMessage {
    const { state, config } = this.#coordinator;
    const topics = new Map([...state.topics.values()].map((topic) => [topic.topicId, topic]));
    const partitions: AssignedPartition[] = fromSet(member.assigned).flatMap(
      ({ topicId, partitions: numbers }) => {
        const topic = topics.get(topicId);
        return numbers.map((partition) => ({
          topic: topic?.name ?? "",
          topicId,
          partition,
          committedOffset: state.offsets.get(partitionKey(topicId, partition))?.offset ?? null,
          ...(topic && isAddedPartition(topic, partition) ? { isAdded: true } : {}),
        }));
      },
    );
    return {
      type: "assignment",
      memberId: member.memberId,
      memberEpoch: member.memberEpoch,
      incarnation: state.incarnation,
      memberNumber: member.memberNumber,
      heartbeatIntervalMs: this.#kafka.heartbeatIntervalMs(member),
      sessionTimeoutMs: member.sessionTimeoutMs,
      state: member.state,
      partitions,
      missingTopics: member.topics.filter((name) => !state.topics.has(name)),
      ...initialOffset(config.autoOffsetReset),
    };
  }

  /**
   * Sets an alarm that rings at the earliest deadline, or earlier. An
   * early alarm finds nothing to do and sets itself anew.
   */
  async #scheduleAlarm(): Promise<void> {
    if (this.#deadlineMs === null) return;
    // [CLK-4] An alarm from an earlier life rings on time, even if the clock was set forward
    // since. If it were set anew, for a time that has already passed by that clock, it would ring
    // at once, before members could show that they are there.
    if (this.#alarmAtMs === null) this.#alarmAtMs = await this.ctx.storage.getAlarm();
    const deadlineMs = this.#deadlineMs; // It may have changed meanwhile.
    if (deadlineMs === null || (this.#alarmAtMs !== null && this.#alarmAtMs <= deadlineMs)) return;
    this.#alarmAtMs = deadlineMs;
    if (this.#clock.isStanding) this.ctx.waitUntil(startAnew(this.ctx));
    await this.ctx.storage.setAlarm(deadlineMs);
  }

  get #deadlineMs(): number | null {
    return earlier(
      this.#coordinator.nextDeadlineMs(this.#lastSeen),
      this.#classic.group.nextDeadlineMs,
    );
  }

  readonly #lastSeen: LastSeen = (memberId) => {
    const socket = this.#sockets.get(memberId);
    if (socket === undefined) return this.#kafka.seenMs(memberId);
    const attachment = attachmentOf(socket);
    const answeredMs = this.ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0;
    return Math.max(attachment?.joinedAtMs ?? 0, this.#clock.heard(answeredMs));
  };

  /**
   * Returns the member that joined over this socket and has not connected again since. A socket that closes while the
   * object sleeps is not among the sockets that it wakes up with, but it still speaks for its member.
   */
  #memberOf(socket: WebSocket): string | null {
    const attachment = attachmentOf(socket);
    if (attachment === null) return null;
    const current = this.#sockets.get(attachment.memberId);
    return current === undefined || current === socket ? attachment.memberId : null;
  }

  #forget(socket: WebSocket): void {
    const memberId = this.#memberOf(socket);
    if (memberId !== null) this.#sockets.delete(memberId);
    socket.serializeAttachment(null);
  }

  #refuse(socket: WebSocket, failure: Failure, requestId?: number): void {
    this.#send(socket, {
      type: "error",
      ...errorFields(failure),
      ...(requestId === undefined ? {} : { requestId }),
    });
  }

  #send(socket: WebSocket, message: CoordinatorMessage): void {
    sendJson(socket, message);
  }
}

serveCalls(GroupObject, "group", GROUP_CALLS);

/** A store that takes the place of damaged data. */
const NOTHING_STORED: ClassicStore = { loadClassic: () => null, setClassic: () => {} };

function initialOffset(position: InitialPosition): { initialOffset?: InitialOffset } {
  if (position === "member") return {};
  if (typeof position === "string") return { initialOffset: position };
  return { initialOffset: { durationMs: position.durationMs } };
}

function attach(socket: WebSocket, memberId: string, joinedAtMs: number): void {
  const attachment: Attachment = { memberId, joinedAtMs };
  socket.serializeAttachment(attachment);
}

/** Returns null for a socket that has not joined, or that only watches for a member. */
function attachmentOf(socket: WebSocket): Attachment | null {
  const attachment = socket.deserializeAttachment() as Partial<Attachment> | null;
  return attachment?.memberId === undefined ? null : (attachment as Attachment);
}

function earlier(a: number | null, b: number | null): number | null {
  return a === null || b === null ? (a ?? b) : Math.min(a, b);
}

function notJoined(): Failure {
  return fail("UNKNOWN_MEMBER_ID", "this socket has not joined the group");
}

function groupTopic(topic: TopicDescription): GroupTopic {
  return { topicId: topic.topicId, name: topic.name, partitions: topic.partitions };
}
