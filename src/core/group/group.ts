// A consumer group as one state machine. It has native members (coordinator.ts), or classic ones (classic.ts), or none.
// Every operation is a request, which is handled and yields events and replies. Only the replay of events changes state
// (state.ts), and one place decides what is allowed (admission.ts).
import type { KafkaErrorName, KafkaFailure, KafkaResult } from "../errors.ts";
import { MAX_TOPICS_PER_MEMBER } from "../limits.ts";
import {
  unknownMember,
  validateCommit,
  whyNotJoin,
  whyNotJoinClassic,
  whyNotKind,
  whyNotUnused,
} from "./admission.ts";
import { Changes, type Handled } from "./changes.ts";
import { ClassicGroup, mayAddMember } from "./classic.ts";
import { type GroupConfig, resolveGroupConfig } from "./config.ts";
import { Coordinator } from "./coordinator.ts";
import { beat, joinOf } from "./heartbeat.ts";
import { GroupOffsets, unknownNames } from "./offsets.ts";
import { whyNotBounded } from "./request-bounds.ts";
import type { AnswerTo, ClassicLeave, GroupRequest, Operations, RefusalOf } from "./requests.ts";
import type { Sight } from "./session.ts";
import { openShare, useShare, whyNotDeadLetters } from "./share-group.ts";
import {
  exists,
  type GroupEvent,
  type GroupState,
  hasMembers,
  holderOf,
  type Member,
} from "./state.ts";
import type { Subscription } from "./topic-pattern.ts";

/** A question to the cluster that must be answered before the request can be handled. */
export interface Lookup {
  readonly names: readonly string[];
  readonly pattern: string | null;
  /** True if names of nonexistent topics leave no trace. */
  readonly mustExist: boolean;
}

/** Marks a request that waits for other members. Its answer is among the replies of a later request. */
const WAITS = Symbol("waits");

type Answers<Request extends GroupRequest> = AnswerTo<Request> | typeof WAITS;

const DONE = { ok: true } as const;

export class Group {
  readonly state: GroupState;
  readonly #changes: Changes;
  readonly #sight: Sight;
  readonly #offsets: GroupOffsets;
  readonly #native: Coordinator;
  readonly #classic: ClassicGroup;

  constructor(state: GroupState, sight: Sight) {
    this.state = state;
    this.#changes = new Changes(state);
    this.#sight = sight;
    this.#offsets = new GroupOffsets(this.#changes);
    this.#native = new Coordinator(this.#changes, this.#offsets);
    this.#classic = new ClassicGroup(this.#changes, sight);
  }

  get exists(): boolean {
    return exists(this.state);
  }

  get config(): GroupConfig {
    return resolveGroupConfig(this.state.overrides);
  }

  /** The time at which the group must handle `expire` next. Infinity if nothing can expire. */
  get nextDeadlineMs(): number {
    return Math.min(
      this.#native.nextDeadlineMs(this.#sight),
      this.#classic.nextDeadlineMs,
      hasMembers(this.state) ? Number.POSITIVE_INFINITY : this.#offsets.nextExpiryMs,
    );
  }

  /** Returns the time at which the group must handle `expire` because of these events. Nothing else is checked. */
  deadlineAfter(events: readonly GroupEvent[]): number {
    const changed = new Set<Member>();
    let isEmpty = false;
    for (const event of events) {
      const memberId =
        event.type === "member"
          ? event.member.memberId
          : event.type === "unheard"
            ? event.memberId
            : "";
      const member = this.state.members.get(memberId);
      if (member !== undefined) changed.add(member);
      if (event.type === "group" && event.emptySinceMs !== null) isEmpty = true;
    }
    return Math.min(
      this.#native.nextDeadlineMs(this.#sight, changed),
      this.#classic.nextDeadlineMs,
      isEmpty ? this.#offsets.nextExpiryMs : Number.POSITIVE_INFINITY,
    );
  }

  /** [OFF-10] True if nothing is left of the group: Kafka's state DEAD. */
  isDead(nowMs: number): boolean {
    return this.#offsets.isDead(nowMs);
  }

  /**
   * Returns why the request would be refused now, or null. This is checked before asking the cluster, so a refused
   * request leaves no trace there. The rules are checked again when the request is handled.
   */
  whyNot<Request extends GroupRequest>(request: Request): RefusalOf<Request> | null {
    return this.#whyNot(request) as RefusalOf<Request> | null;
  }

  #whyNot(request: GroupRequest): KafkaFailure | null {
    const unbounded = whyNotBounded(request) ?? whyNotKind(this.state, request);
    if (unbounded !== null) return unbounded;
    switch (request.type) {
      case "join":
      case "poll":
        return whyNotJoin(this.state, this.config, request);
      case "heartbeat": {
        const join = joinOf(this.state, request);
        return join === null ? null : whyNotJoin(this.state, this.config, join);
      }
      case "joinClassic":
        return whyNotJoinClassic(this.state, this.config, request);
      case "commitOffsets":
        return refusalOf(validateCommit(this.state, request.token));
      case "resetOffsets":
        return whyNotUnused(this.state);
      case "alterConfig":
        return (
          whyNotDeadLetters(this.state, request) ??
          refusalOf(this.#native.validateConfig(request.changes))
        );
      default:
        return null;
    }
  }

  /** Returns the question that the cluster must answer first, or null. */
  lookupFor(request: GroupRequest): Lookup | null {
    switch (request.type) {
      case "join":
      case "poll":
        return this.#lookupOf(request);
      case "heartbeat": {
        const join = joinOf(this.state, request);
        return join === null ? null : this.#lookupOf(join);
      }
      case "joinClassic": // [CLS-10] Only a member creates the group.
        return !this.exists && mayAddMember(this.state.classic, request) ? LISTED : null;
      case "alterConfig":
        return LISTED;
      case "openShare":
        return this.#lookupOfShare(request.topics);
      case "useShare":
        return existing(unknownNames(this.state, [request.topic.name]));
      case "commitOffsets":
        return existing(this.#offsets.unknownTopics(request.offsets));
      case "learnTopics":
        return existing(unknownNames(this.state, request.names).slice(0, MAX_TOPICS_PER_MEMBER));
      case "resetOffsets":
        return existing(
          unknownNames(
            this.state,
            request.offsets.map(({ topic }) => topic),
          ),
        );
      default:
        return null;
    }
  }

  /** [GRP-16] A known subscription needs no question: the cluster notifies the group of changes to its topics. */
  #lookupOf({ topics, topicPattern }: Subscription): Lookup | null {
    const { members } = this.state;
    const names = new Set(topics).difference(this.state.topics);
    for (const member of members.values())
      if (names.size > 0) for (const name of member.topics) names.delete(name);
    const isKnownPattern =
      topicPattern === null ||
      members.values().some((member) => member.topicPattern === topicPattern);
    if (this.exists && names.size === 0 && isKnownPattern) return null;
    return { names: topics, pattern: topicPattern, mustExist: false };
  }

  /** [GRP-13] The cluster lists the group, and tells it what becomes of its topics. */
  #lookupOfShare(topics: readonly string[]): Lookup | null {
    const names = unknownNames(this.state, topics);
    if (this.exists) return existing(names);
    return { names, pattern: null, mustExist: true };
  }

  /**
   * Handles a request. `ticket` identifies its reply. If the request waits for other members, the reply is among those
   * of a later request.
   */
  handle(request: GroupRequest, ticket: number, nowMs: number): Handled {
    this.#changes.newIncarnation =
      ("newIncarnation" in request ? request.newIncarnation : undefined) ?? null;
    const answer = this.#answer(request, ticket, nowMs);
    if (answer !== WAITS) this.#changes.reply(ticket, answer);
    return this.#changes.take();
  }

  #answer(request: GroupRequest, ticket: number, nowMs: number): Answers<GroupRequest> {
    const refused = whyNotKind(this.state, request);
    if (refused !== null) return refused as AnswerTo<GroupRequest>;
    switch (request.type) {
      case "join":
        return this.#native.join(request, request.found ?? [], nowMs);
      case "poll":
        return this.#poll(request, nowMs);
      case "deliver": {
        const { memberId, memberEpoch, deliveries } = request;
        return { ok: true, own: this.#native.deliver(memberId, memberEpoch, deliveries, nowMs) };
      }
      case "heartbeat":
        return beat(this.#changes, this.#native, request, nowMs);
      case "alterRights":
        return this.#native.alterRights(request.memberId, request.readable, nowMs);
      case "revoked":
        return this.#native.revoked(request.memberId, request.partitions, nowMs);
      case "commit":
        return this.#offsets.commit(request.memberId, request.memberEpoch, request.offsets, nowMs);
      case "leave":
        this.#native.leave(request.memberId, nowMs);
        return DONE;
      case "leavePolling":
        return this.#leavePolling(request, nowMs);
      case "joinClassic":
      case "syncClassic":
      case "heartbeatClassic":
      case "leaveClassic":
        return this.#answerClassic(request, ticket, nowMs);
      case "learnTopics":
        this.#offsets.learn(request.found ?? []);
        return DONE;
      case "lost":
        this.#native.disconnect(request.memberId, nowMs);
        this.#classic.silent(request.memberId, nowMs);
        return DONE;
      case "commitOffsets": {
        const { token, offsets, found = [] } = request;
        const makeGroup = () => this.#changes.occupy(false, nowMs);
        return this.#offsets.commitNamed(token, offsets, found, makeGroup, nowMs);
      }
      case "openShare":
        return openShare(this.#changes, this.#offsets, request, nowMs);
      case "useShare":
        return useShare(this.#changes, this.#offsets, request);
      case "resetOffsets":
        return this.#offsets.reset(request.offsets, request.found ?? [], nowMs);
      case "deleteOffsets":
        return this.#offsets.delete(request.topics);
      case "deletePositions":
        return this.#offsets.deletePositions(request.positions);
      case "alterConfig":
        return (
          whyNotDeadLetters(this.state, request) ?? this.#native.alterConfig(request.changes, nowMs)
        );
      case "changeTopic":
        return this.#changeTopic(request, nowMs);
      case "restorePositions":
        if (this.exists) this.#offsets.restore(request.topic, request.positions, nowMs);
        return DONE;
      case "expire":
        this.#native.noteLost(this.#sight, nowMs);
        this.#classic.expire(nowMs);
        this.#changes.noteMembers(nowMs);
        this.#native.expire(this.#sight, nowMs);
        this.#offsets.expire(nowMs);
        return DONE;
      case "wake":
        if (request.isAnyoneMissing) this.#native.noteLost(this.#sight, nowMs);
        this.#classic.wake(nowMs);
        this.#changes.noteMembers(nowMs);
        return DONE;
      case "beginSessionsAnew":
        this.#native.beginSessionsAnew(nowMs);
        this.#classic.beginSessionsAnew(nowMs);
        return DONE;
    }
  }

  #poll(request: GroupRequest<"poll">, nowMs: number): Operations["poll"][1] {
    // A refused join acknowledges nothing.
    const refused = whyNotJoin(this.state, this.config, request);
    if (refused !== null) return refused;
    const { memberId, acks, found = [] } = request;
    const acknowledged = this.#offsets.acknowledge(memberId, acks, nowMs);
    if (!acknowledged.ok) return acknowledged;
    const { rejected } = acknowledged;
    const joined = this.#native.join(request, found, nowMs);
    if (!joined.ok) return joined;
    this.#offsets.noteRefused(memberId, rejected);
    return { ok: true, member: this.state.members.get(memberId) ?? joined.member, rejected };
  }

  #leavePolling(
    { memberId, acks }: GroupRequest<"leavePolling">,
    nowMs: number,
  ): Operations["leavePolling"][1] {
    // [GRP-15] A member of another kind may have chosen the id that a polling member would have.
    if (this.state.members.get(memberId)?.polls === false) return unknownMember(memberId);
    const acknowledged = this.#offsets.acknowledge(memberId, acks, nowMs);
    if (acknowledged.ok) this.#native.leave(memberId, nowMs);
    return acknowledged;
  }

  #answerClassic(
    request: GroupRequest<"joinClassic" | "syncClassic" | "heartbeatClassic" | "leaveClassic">,
    ticket: number,
    nowMs: number,
  ): Answers<typeof request> {
    const answer = this.#answerOneClassic(request, ticket, nowMs);
    this.#changes.noteMembers(nowMs);
    return answer;
  }

  #answerOneClassic(
    request: GroupRequest<"joinClassic" | "syncClassic" | "heartbeatClassic" | "leaveClassic">,
    ticket: number,
    nowMs: number,
  ): Answers<typeof request> {
    switch (request.type) {
      case "joinClassic": {
        const refused = whyNotJoinClassic(this.state, this.config, request);
        if (refused !== null) return refused;
        this.#classic.join(request, this.config.maxSize, ticket, nowMs);
        return WAITS;
      }
      case "syncClassic":
        this.#classic.sync(request, ticket);
        return WAITS;
      case "heartbeatClassic":
        return this.#classic.heartbeat(request);
      case "leaveClassic":
        return {
          ok: true,
          outcomes: request.members.map((member) => this.#leaveClassic(member, nowMs)),
        };
    }
  }

  /**
   * [CLS-12] Removes a native static member named by its instance id alone, as Kafka's admins do. With a member id, a
   * client may not act for a member that joined in another way [GRP-15].
   */
  #leaveClassic(member: ClassicLeave, nowMs: number): KafkaErrorName | null {
    const native = member.memberId === "" ? holderOf(this.state, member.instanceId) : undefined;
    if (native !== undefined) {
      this.#native.leave(native.memberId, nowMs);
      return null;
    }
    const left = this.#classic.leave(member, nowMs);
    return left.ok ? null : left.error;
  }

  #changeTopic(
    { name, topic }: GroupRequest<"changeTopic">,
    nowMs: number,
  ): Operations["changeTopic"][1] {
    if (!this.exists) return DONE;
    const known = this.state.topics.get(name);
    if (known !== undefined && known.topicId !== topic?.topicId)
      this.#classic.topicGone(name, nowMs);
    if (topic === null) this.#native.changeTopics([], [name], nowMs);
    else this.#native.changeTopics([topic], [], nowMs);
    return DONE;
  }
}

/** The cluster lists the group, and no topic is looked up. */
const LISTED: Lookup = { names: [], pattern: null, mustExist: false };

function existing(names: readonly string[]): Lookup | null {
  return names.length === 0 ? null : { names, pattern: null, mustExist: true };
}

function refusalOf(result: KafkaResult<object>): KafkaFailure | null {
  return result.ok ? null : result;
}
