// The time when each member was last heard from: over its own socket, over a connection that watches for it, or
// by a call. Only the sockets' attachments store any of it, and reading it costs no row.
import type { Sight } from "../../src/core/group/session.ts";
import type { GroupEvent } from "../../src/core/group/state.ts";
import { DEFAULT_SESSION_TIMEOUT_MS } from "../../src/core/limits.ts";
import { CLOSE_REPLACED } from "../../src/protocol/close-codes.ts";
import { heartbeatIntervalMs } from "../../src/protocol/heartbeat.ts";
import type { ObjectSocket, ObjectSockets } from "../shared/object-socket.ts";
import { close } from "../shared/socket.ts";
import { attachState, callerOn } from "../shared/socket-caller.ts";
import type { GroupClock } from "./group-clock.ts";
import { Watchers } from "./watchers.ts";

/** The state of a member's socket. It is in the socket's attachment, so it outlives hibernation. */
interface Attachment {
  readonly memberId: string;
  /** The time when the member joined over this socket. It was alive then. */
  readonly joinedAtMs: number;
  /** Release 0.2 did not write it; it is then the default. */
  readonly sessionTimeoutMs: number;
  // Release 0.2 did not write these either.
  /** The time when the member was last given partitions, or was asked to give some up. */
  readonly movedAtMs?: number;
  readonly memberNumber?: number;
}

/** The facts about a member that joins over a socket. They stay with the socket. */
export interface ConnectedMember {
  readonly memberId: string;
  readonly memberNumber: number;
  readonly sessionTimeoutMs: number;
}

/** A member whose heartbeats are late gets this much time beyond the next heartbeat that it must send. */
const GRACE_MS = 1_000;
/** Members that were given partitions wait this long for others, so that all of them share an alarm. */
const SHARED_ALARM_MS = 1_000;

export class Presence implements Sight {
  readonly #ctx: ObjectSockets;
  readonly #clock: GroupClock;
  readonly #watchers: Watchers;
  /** The newest socket of each member that has joined over one. */
  readonly #sockets = new Map<string, ObjectSocket>();
  /** The time of the last call of each member without a socket. */
  readonly #heardMs = new Map<string, number>();
  #classicPhase = "";

  constructor(ctx: ObjectSockets, clock: GroupClock) {
    this.#ctx = ctx;
    this.#clock = clock;
    this.#watchers = new Watchers(ctx, clock);
    for (const socket of ctx.getWebSockets()) {
      const attachment = attachmentOf(socket);
      if (attachment === null) continue;
      this.#sockets.set(attachment.memberId, socket);
      clock.noted(attachment.joinedAtMs);
    }
    clock.noted(this.#watchers.latestMs);
  }

  lastSeenMs(memberId: string): number {
    const socket = this.#sockets.get(memberId);
    return Math.max(
      socket === undefined ? 0 : this.#seenOverMs(socket),
      this.#heardMs.get(memberId) ?? 0,
      this.#watchers.seenMs(memberId),
    );
  }

  #seenOverMs(socket: ObjectSocket): number {
    const answeredMs = this.#ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0;
    return Math.max(attachmentOf(socket)?.joinedAtMs ?? 0, this.#clock.heard(answeredMs));
  }

  isConnected(memberId: string): boolean {
    return this.#sockets.has(memberId) || this.#watchers.has(memberId);
  }

  /** The number of members that some connection reports alive. */
  get connectedMembers(): number {
    return new Set([...this.#sockets.keys(), ...this.#watchers.memberIds]).size;
  }

  get hasSockets(): boolean {
    return this.#sockets.size > 0;
  }

  /**
   * The time when to examine the watched members: the end of the first session unless its member is heard from;
   * Infinity if nobody is watched. A member that was silent for that long and is still watched may be waiting
   * for others, or has gone. It is examined again a session timeout later.
   */
  nextWatchDeadlineMs(nowMs: number): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const { memberId, sessionTimeoutMs } of this.#watchers.sessions()) {
      const endMs = this.lastSeenMs(memberId) + sessionTimeoutMs;
      earliest = Math.min(earliest, endMs > nowMs ? endMs : nowMs + sessionTimeoutMs);
    }
    return earliest;
  }

  #isAnyWatchSilent(nowMs: number): boolean {
    for (const { memberId, sessionTimeoutMs } of this.#watchers.sessions())
      if (this.lastSeenMs(memberId) + sessionTimeoutMs <= nowMs) return true;
    return false;
  }

  /**
   * The time when to remove the first member whose socket has been silent for its session timeout. Perhaps the
   * machine stood still, and with it the code that answers heartbeats, so each member gets the time of one more
   * heartbeat. Infinity if every member was heard from.
   */
  suspectDeadlineMs(nowMs: number): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const socket of this.#sockets.values()) {
      const attachment = attachmentOf(socket);
      if (attachment === null) continue;
      const { sessionTimeoutMs } = attachment;
      if (this.#seenOverMs(socket) + sessionTimeoutMs > nowMs) continue;
      earliest = Math.min(earliest, nowMs + heartbeatIntervalMs(sessionTimeoutMs) + GRACE_MS);
    }
    return earliest;
  }

  /**
   * The time when to examine the members that were given partitions. Each must be heard from within a session
   * timeout: if it dies before it reads, no partition knows of it. A member whose heartbeats are late by then
   * is examined again when its session ends. Members that join together share an alarm. Infinity if there are
   * none.
   */
  movedDeadlineMs(nowMs: number): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const socket of this.#sockets.values()) {
      const attachment = attachmentOf(socket);
      if (attachment?.movedAtMs === undefined) continue;
      const { movedAtMs, sessionTimeoutMs } = attachment;
      if (movedAtMs + 2 * sessionTimeoutMs <= nowMs) continue;
      const lookMs = movedAtMs + sessionTimeoutMs;
      const seenMs = this.#seenOverMs(socket);
      const isLate = seenMs + heartbeatIntervalMs(sessionTimeoutMs) + GRACE_MS <= nowMs;
      const endMs = isLate ? seenMs + sessionTimeoutMs : Number.POSITIVE_INFINITY;
      if (lookMs > nowMs) earliest = Math.min(earliest, lookMs + SHARED_ALARM_MS);
      if (endMs > nowMs) earliest = Math.min(earliest, endMs);
    }
    return earliest;
  }

  /** [ACL-8] The time when the first credential of a member's socket expires. Infinity if none does. */
  get nextExpiryMs(): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const socket of this.#sockets.values())
      earliest = Math.min(earliest, callerOn(socket).expiresAtMs ?? Number.POSITIVE_INFINITY);
    return earliest;
  }

  /** True if a member with a connection has been silent for its session timeout. */
  isAnyoneSilent(nowMs: number): boolean {
    return (
      this.suspectDeadlineMs(nowMs) < Number.POSITIVE_INFINITY || this.#isAnyWatchSilent(nowMs)
    );
  }

  /**
   * The time when the session of the member with this number ends unless it is heard from. Null if it has no
   * socket.
   */
  sessionEndMs(memberNumber: number): number | null {
    for (const socket of this.#sockets.values()) {
      const attachment = attachmentOf(socket);
      if (attachment?.memberNumber !== memberNumber) continue;
      return this.#seenOverMs(socket) + attachment.sessionTimeoutMs;
    }
    return null;
  }

  /** Notes the group's decisions. The next heartbeats of changed members then reach the group. */
  note(events: readonly GroupEvent[], nowMs: number): void {
    for (const event of events) {
      switch (event.type) {
        case "heard":
          this.#heardMs.set(event.memberId, nowMs);
          break;
        case "unheard":
          this.#heardMs.delete(event.memberId);
          break;
        case "member":
          this.#watchers.setSessionTimeout(event.member.memberId, event.member.sessionTimeoutMs);
          this.#watchers.notify(event.member.memberId);
          if (!event.isOnlyEpoch) this.#noteMoved(event.member.memberId, nowMs);
          break;
        case "member-removed":
          this.#watchers.notify(event.memberId);
          this.#heardMs.delete(event.memberId);
          break;
        default:
      }
    }
    this.#noteClassic(events);
  }

  #noteMoved(memberId: string, nowMs: number): void {
    const socket = this.#sockets.get(memberId);
    const attachment = socket === undefined ? null : attachmentOf(socket);
    if (socket !== undefined && attachment !== null)
      attach(socket, { ...attachment, movedAtMs: nowMs });
  }

  /** All members are notified when a rebalance of a classic group begins or ends, and when a member is replaced. */
  #noteClassic(events: readonly GroupEvent[]): void {
    const classic = events.filter((event) => event.type === "classic");
    const last = classic.at(-1)?.classic;
    if (last === undefined) return;
    const isNews = classic.some(({ isStored }) => isStored) || last.phase !== this.#classicPhase;
    this.#classicPhase = last.phase;
    if (!isNews) return;
    for (const { memberId, sessionTimeoutMs } of last.members.values())
      this.#watchers.setSessionTimeout(memberId, sessionTimeoutMs);
    this.#watchers.notifyAll();
  }

  /** [CLK-4] Starts all sessions anew. */
  beginSessionsAnew(nowMs: number): void {
    for (const socket of this.#sockets.values()) {
      const attachment = attachmentOf(socket);
      if (attachment !== null)
        attach(socket, { ...attachment, joinedAtMs: nowMs, movedAtMs: nowMs });
    }
    for (const memberId of this.#heardMs.keys()) this.#heardMs.set(memberId, nowMs);
    this.#watchers.beginSessionsAnew(nowMs);
  }

  // The members' own sockets.

  /** Notes that the member has joined over this socket. Its earlier socket is closed. */
  connect(socket: ObjectSocket, member: ConnectedMember, nowMs: number): void {
    const { memberId, memberNumber, sessionTimeoutMs } = member;
    const older = this.#sockets.get(memberId);
    if (older !== undefined && older !== socket) {
      attachState(older, null);
      close(older, CLOSE_REPLACED, "the member connected again");
    }
    this.#sockets.set(memberId, socket);
    const times = { joinedAtMs: nowMs, movedAtMs: nowMs };
    attach(socket, { memberId, memberNumber, sessionTimeoutMs, ...times });
  }

  socketOf(memberId: string): ObjectSocket | undefined {
    return this.#sockets.get(memberId);
  }

  /**
   * Returns the member that has joined over this socket and has not connected again since. A socket that closes
   * while the object sleeps is not among the sockets that it wakes up with, but it still stands for its member.
   */
  memberOf(socket: ObjectSocket): string | null {
    const attachment = attachmentOf(socket);
    if (attachment === null) return null;
    const current = this.#sockets.get(attachment.memberId);
    return current === undefined || current === socket ? attachment.memberId : null;
  }

  /** Notes that the socket stands for nobody any more. Returns the member that joined over it, or null. */
  disconnect(socket: ObjectSocket): string | null {
    const memberId = this.memberOf(socket);
    if (memberId !== null) this.#sockets.delete(memberId);
    attachState(socket, null);
    return memberId;
  }

  // The connections that watch for a member.

  watch(socket: ObjectSocket, memberId: string, sessionTimeoutMs: number, nowMs: number): void {
    this.#watchers.accept(socket, memberId, sessionTimeoutMs, nowMs);
  }

  /** Handles a socket that has gone. Returns the member that no connection reports alive any more, or null. */
  lost(socket: ObjectSocket): string | null {
    const watched = this.#watchers.lost(socket);
    if (watched === null) return this.memberOf(socket) === null ? null : this.disconnect(socket);
    this.#heardMs.delete(watched);
    return watched;
  }

  /** Closes the silent watches of members that have gone. A live client asks the group again. */
  closeSilentWatches(isMember: (memberId: string) => boolean, nowMs: number): void {
    const isOver = new Set<string>();
    for (const { memberId, sessionTimeoutMs } of this.#watchers.sessions())
      if (this.lastSeenMs(memberId) + sessionTimeoutMs <= nowMs && !isMember(memberId))
        isOver.add(memberId);
    while (this.#watchers.closeOneFor((memberId) => isOver.has(memberId)));
  }

  /** [BND-15] Closes the watch of a member that has gone. Returns false if there is none. */
  closeWatchOfNobody(isMember: (memberId: string) => boolean): boolean {
    return this.#watchers.closeOneFor((memberId) => !isMember(memberId));
  }

  /** Closes all sockets, because the group is deleted. */
  closeAll(code: number, reason: string): void {
    for (const socket of this.#ctx.getWebSockets()) close(socket, code, reason);
    this.#sockets.clear();
  }
}

function attach(socket: ObjectSocket, attachment: Attachment): void {
  attachState(socket, attachment);
}

/** Returns null for a socket that has not joined, or that only watches for a member. */
function attachmentOf(socket: ObjectSocket): Attachment | null {
  const attachment = socket.deserializeAttachment() as Partial<Attachment> | null;
  if (attachment?.memberId === undefined) return null;
  return { sessionTimeoutMs: DEFAULT_SESSION_TIMEOUT_MS, ...attachment } as Attachment;
}
