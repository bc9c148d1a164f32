// The sockets of native members (src/protocol/group-socket.ts). Turns their messages into requests to the
// group, and the group's decisions into messages to them.

import type * as z from "zod";
import { type Caller, namespaceOf } from "../../src/core/access/caller.ts";
import {
  groupResource,
  isAllowed,
  readableTopics,
  roomsFor,
  topicResource,
  whatIsMissing,
} from "../../src/core/access/grants.ts";
import {
  nameInside,
  nameOutside,
  patternInside,
  textOutside,
  WHOLE,
} from "../../src/core/access/namespace.ts";
import { BrokerError, type Failure, fail, failureOf } from "../../src/core/errors.ts";
import type { InitialPosition } from "../../src/core/group/config.ts";
import { heartbeatIntervalOf } from "../../src/core/group/heartbeat.ts";
import {
  fromSet,
  parsePartitionKey,
  partitionKey,
  toSet,
} from "../../src/core/group/partition-key.ts";
import type { JoinRequest } from "../../src/core/group/requests.ts";
import { type GroupEvent, isAddedPartition, type Member } from "../../src/core/group/state.ts";
import { logLine } from "../../src/log.ts";
import { CLOSE_SESSION_ENDED } from "../../src/protocol/close-codes.ts";
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
import { isUnknownType, parseFrame } from "../../src/protocol/parse.ts";
import type { ObjectSocket } from "../shared/object-socket.ts";
import type { OwnerSigner } from "../shared/owner-signature.ts";
import { assertRead, close, closeFatal, errorFields, sendJson } from "../shared/socket.ts";
import { callerOn } from "../shared/socket-caller.ts";
import type { GroupClock } from "./group-clock.ts";
import type { GroupKeeper } from "./group-keeper.ts";
import type { GroupServer } from "./group-server.ts";
import type { Presence } from "./presence.ts";

/** The parts of the group's object that are needed here. */
export interface MemberSocketParts {
  readonly keeper: GroupKeeper;
  readonly server: GroupServer;
  readonly presence: Presence;
  readonly clock: GroupClock;
  readonly signer: OwnerSigner;
  /** [ACL-8] False if the credential of the socket has expired. The socket is then closed. */
  isGood(socket: ObjectSocket): boolean;
  /** [ACL-7] Returns why the socket's caller may not read the topic, or null. */
  whyNot(socket: ObjectSocket, topic: string): Failure | null;
  /** Notifies the members of what has changed for them, and sets the alarm. `joined` is notified in any case. */
  announce(joined?: Joined): Promise<void>;
  /** Called when the socket has sent a message. */
  spoke(socket: ObjectSocket): void;
  /** Called when the socket is no longer of use. */
  lost(socket: ObjectSocket): Promise<void>;
}

/** The member whose join is to be answered. */
export interface Joined {
  readonly memberId: string;
  readonly requestId: number | undefined;
}

export class MemberSockets {
  readonly #parts: MemberSocketParts;
  /** The latest join of each member that waits for the cluster. */
  readonly #joins = new Map<string, symbol>();

  constructor(parts: MemberSocketParts) {
    this.#parts = parts;
  }

  // Messages from a member.

  async onMessage(socket: ObjectSocket, data: string | ArrayBuffer): Promise<void> {
    if (!this.#parts.isGood(socket)) return;
    try {
      assertRead(socket);
      await this.#handle(socket, data);
    } catch (error) {
      if (isUnknownType(error)) return refuse(socket, failureOf(error));
      closeFatal(socket, error);
      // The socket broke the protocol, or storing failed. In both cases its member is now not connected.
      await this.#parts.lost(socket);
    }
  }

  async #handle(socket: ObjectSocket, data: string | ArrayBuffer): Promise<void> {
    const message = parseFrame(memberMessage, data);
    switch (message.type) {
      case "join":
        return this.#join(socket, message);
      case "revoked":
        return this.#revoked(socket, message);
      case "commit":
        return this.#commit(socket, message);
      case "leave":
        return this.leave(socket);
    }
  }

  async #join(socket: ObjectSocket, message: z.output<typeof joinMessage>): Promise<void> {
    const { keeper, server, presence, clock, signer } = this.#parts;
    const { memberId } = message;
    const caller = callerOn(socket);
    const joining = joinRequest(message, namespaceOf(caller));
    const refused = this.#whyNotTopics(socket, joining.topics);
    if (refused !== null) return refuse(socket, refused);
    const readable = readableTopics(caller);
    const group = groupResource(keeper.group.state.groupId);
    const rooms = roomsFor(caller, "READ", group);
    const request = { type: "join", ...joining, readable, rooms } as const;
    const mine = Symbol();
    this.#joins.set(memberId, mine);
    // [ATT-5] If the cluster is asked anyway, it sends the secret along.
    if (keeper.look((each) => each.lookupFor(request)) === null) await signer.load();
    // [QUO-6] Nothing may come between the cluster's answer and the member. Until then the group reports what
    // it asked for.
    const found = await server.find(request);
    // The cluster may answer out of order. Once a later join was sent, the partitions that an earlier one
    // claims to own are void.
    if (this.#joins.get(memberId) !== mine) return;
    this.#joins.delete(memberId);
    if (!found.ok) {
      if (found.error === "KAFKA_STORAGE_ERROR") logLine("error", found.detail);
      return refuse(socket, found as Failure);
    }
    const joined = presence.memberOf(socket); // A join sent before this one was answered may have done it.
    if (joined !== null && joined !== memberId) {
      const detail = `memberId is ${memberId}, this socket has joined as ${joined}`;
      throw new BrokerError("INVALID_REQUEST", detail);
    }
    // The socket may have gone since the cluster was asked, or the join may now be refused.
    const isGone = socket.readyState !== WebSocket.OPEN;
    const { ok: _ok, ...known } = found;
    const result = isGone ? null : keeper.handle({ ...request, ...known });
    if (result === null || !result.ok) {
      await server.unlistUnlessMade();
      return result === null ? undefined : refuse(socket, result);
    }
    presence.connect(socket, result.member, clock.now());
    this.#parts.spoke(socket);
    await this.#parts.announce({ memberId, requestId: message.requestId });
  }

  #whyNotTopics(socket: ObjectSocket, topics: readonly string[]): Failure | null {
    for (const topic of topics) {
      const refused = this.#parts.whyNot(socket, topic);
      if (refused !== null) return refused;
    }
    return null;
  }

  async #revoked(socket: ObjectSocket, message: z.output<typeof revokedMessage>): Promise<void> {
    const memberId = this.#parts.presence.memberOf(socket);
    if (memberId === null) return refuse(socket, notJoined());
    const partitions = toSet(message.partitions);
    const result = this.#parts.keeper.handle({ type: "revoked", memberId, partitions });
    if (!result.ok) return refuse(socket, result);
    await this.#parts.announce();
  }

  async #commit(socket: ObjectSocket, message: z.output<typeof commitMessage>): Promise<void> {
    const { requestId, memberEpoch } = message;
    const memberId = this.#parts.presence.memberOf(socket);
    if (memberId === null) return refuse(socket, notJoined(), requestId);
    const caller = callerOn(socket);
    // A caller that may read all topics needs no names. Looking them up reads every topic of the group.
    const readsAll = readableTopics(caller) === undefined;
    const names = readsAll
      ? NO_NAMES
      : this.#namesOf(message.offsets.map(({ topicId }) => topicId));
    const isForbidden = ({ topicId }: { topicId: string }) =>
      !readsAll && !mayRead(caller, names.get(topicId) ?? "");
    const offsets = message.offsets
      .filter((offset) => !isForbidden(offset))
      .map((offset) => ({
        key: partitionKey(offset.topicId, offset.partition),
        offset: offset.offset,
        metadata: offset.metadata ?? "",
        isRewind: offset.isRewind ?? false,
      }));
    const result = this.#parts.keeper.handle({ type: "commit", memberId, memberEpoch, offsets });
    if (!result.ok) return refuse(socket, result, requestId);
    const rejected = [
      ...result.rejected.map(({ key, error, detail }) => ({
        ...parsePartitionKey(key),
        code: error,
        detail,
      })),
      ...message.offsets.filter(isForbidden).map(({ topicId, partition }) => {
        const name = names.get(topicId) ?? topicId;
        const { error, detail } = this.#parts.whyNot(socket, name) ?? unreadable(caller, name);
        return { topicId, partition, code: error, detail };
      }),
    ];
    const told = rejected.map((each) => ({
      ...each,
      detail: textOutside(namespaceOf(caller), each.detail),
    }));
    send(socket, { type: "committed", requestId, rejected: told });
  }

  /** Returns the names of topics by their ids. A topic that the group does not know has none. */
  #namesOf(topicIds: readonly string[]): ReadonlyMap<string, string> {
    const wanted = new Set(topicIds);
    const { topics } = this.#parts.keeper.group.state;
    const names = new Map<string, string>();
    for (const { topicId, name } of topics.values())
      if (wanted.has(topicId)) names.set(topicId, name);
    return names;
  }

  /** [ACL-7] The API key of the member's socket may now have other rights. */
  async alterRights(socket: ObjectSocket): Promise<void> {
    const memberId = this.#parts.presence.memberOf(socket);
    if (memberId === null) return;
    const readable = readableTopics(callerOn(socket));
    this.#parts.keeper.handle({ type: "alterRights", memberId, readable });
    await this.#parts.announce();
  }

  async leave(socket: ObjectSocket): Promise<void> {
    const memberId = this.#parts.presence.disconnect(socket);
    close(socket, 1000, "left");
    if (memberId === null) return;
    this.#parts.keeper.handle({ type: "leave", memberId });
    await this.#parts.announce();
  }

  // Messages to the members.

  /**
   * Sends a new assignment to each member whose assignment or epoch has changed, and to `joined` in any case.
   * Closes the sockets of removed members. Returns the sockets of members that do not read.
   */
  sendNews(news: readonly GroupEvent[], joined?: Joined): readonly ObjectSocket[] {
    const { keeper, presence } = this.#parts;
    const told = new Set<string>(joined === undefined ? [] : [joined.memberId]);
    for (const event of news) {
      if (event.type === "member") told.add(event.member.memberId);
      if (event.type === "member-removed") this.#endSession(event.memberId, event.reason);
    }
    const unread: ObjectSocket[] = [];
    for (const memberId of told) {
      const member = keeper.group.state.members.get(memberId);
      const socket = presence.socketOf(memberId);
      if (member === undefined || socket === undefined) continue;
      const requestId = memberId === joined?.memberId ? joined.requestId : undefined;
      const answer = requestId === undefined ? {} : { requestId };
      try {
        assertRead(socket);
        const assignment = outside(this.assignmentOf(member), namespaceOf(callerOn(socket)));
        send(socket, { ...assignment, ...answer });
      } catch (error) {
        closeFatal(socket, error);
        unread.push(socket);
      }
    }
    return unread;
  }

  #endSession(memberId: string, reason: string): void {
    const { keeper, presence } = this.#parts;
    const socket = presence.socketOf(memberId);
    if (socket === undefined || keeper.group.state.members.has(memberId)) return;
    presence.disconnect(socket);
    close(socket, CLOSE_SESSION_ENDED, `UNKNOWN_MEMBER_ID: ${reason}`);
  }

  /** [ATT-5] */
  #signatureOf(member: Member, topicId: string, partition: number): { signature?: string } {
    const { groupId: group, incarnation } = this.#parts.keeper.group.state;
    const { memberEpoch, memberNumber } = member;
    const owner = { group, incarnation, memberEpoch, memberNumber, topicId, partition };
    const signature = this.#parts.signer.sign(owner);
    return signature === null ? {} : { signature };
  }

  assignmentOf(member: Member): AssignmentMessage {
    const { state, config } = this.#parts.keeper.group;
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
          ...this.#signatureOf(member, topicId, partition),
        }));
      },
    );
    return {
      type: "assignment",
      memberId: member.memberId,
      memberEpoch: member.memberEpoch,
      incarnation: state.incarnation,
      memberNumber: member.memberNumber,
      heartbeatIntervalMs: heartbeatIntervalOf(member, config),
      sessionTimeoutMs: member.sessionTimeoutMs,
      state: member.state,
      partitions,
      missingTopics: member.topics.filter((name) => !state.topics.has(name)),
      ...initialOffset(config.autoOffsetReset),
    };
  }
}

const NO_NAMES: ReadonlyMap<string, string> = new Map();

/** [ACL-7] True if the caller may read the topic. */
function mayRead(caller: Caller, topic: string): boolean {
  return isAllowed(caller, "READ", topicResource(topic));
}

function unreadable(caller: Caller, topic: string): Failure {
  return fail("TOPIC_AUTHORIZATION_FAILED", whatIsMissing(caller, "READ", topicResource(topic)));
}

function joinRequest(message: z.output<typeof joinMessage>, namespace: string): JoinRequest {
  const pattern = message.topicPattern ?? null;
  if (message.topics.length === 0 && pattern === null)
    throw new BrokerError("INVALID_REQUEST", "join: topics is empty and there is no topicPattern");
  return {
    memberId: message.memberId,
    memberEpoch: message.memberEpoch,
    instanceId: message.instanceId ?? null,
    clientId: message.clientId ?? null,
    topics: message.topics.map((name) => nameInside(namespace, name)),
    topicPattern: pattern === null ? null : patternInside(namespace, pattern),
    sessionTimeoutMs: message.sessionTimeoutMs,
    rebalanceTimeoutMs: message.rebalanceTimeoutMs,
    owned: toSet(message.owned),
    polls: false,
    heartbeats: false,
  };
}

/** [TEN-2] Returns the assignment with names in the form that its member uses. */
function outside(message: AssignmentMessage, namespace: string): AssignmentMessage {
  if (namespace === WHOLE) return message;
  const partitions = message.partitions.map((each) => ({
    ...each,
    topic: nameOutside(namespace, each.topic),
  }));
  const missingTopics = message.missingTopics.map((name) => nameOutside(namespace, name));
  return { ...message, partitions, missingTopics };
}

function initialOffset(position: InitialPosition): { initialOffset?: InitialOffset } {
  if (position === "member") return {};
  if (typeof position === "string") return { initialOffset: position };
  return { initialOffset: { durationMs: position.durationMs } };
}

function notJoined(): Failure {
  return fail("UNKNOWN_MEMBER_ID", "this socket has not joined the group");
}

function refuse(socket: ObjectSocket, failure: Failure, requestId?: number): void {
  send(socket, {
    type: "error",
    ...errorFields(failure),
    ...(requestId === undefined ? {} : { requestId }),
  });
}

function send(socket: ObjectSocket, message: CoordinatorMessage): void {
  sendJson(socket, message);
}
