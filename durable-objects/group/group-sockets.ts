// The sockets of a group. They belong to its members, to connections that watch for a Kafka client, and to
// observers. Some have not yet said what they are for.
import { callerOfUpgrade } from "../../src/calls/socket-caller.ts";
import { topicResource } from "../../src/core/access/grants.ts";
import { errorOf, type Failure, fail, httpStatusOf } from "../../src/core/errors.ts";
import { unknownGroup } from "../../src/core/group/admission.ts";
import { memberOf } from "../../src/core/group/state.ts";
import {
  DEFAULT_SESSION_TIMEOUT_MS,
  MAX_OBSERVERS_PER_GROUP,
  MAX_SOCKETS_PER_GROUP,
} from "../../src/core/limits.ts";
import { type Env, isOpen } from "../../src/env.ts";
import { isCleanClose } from "../../src/protocol/close-codes.ts";
import { OBSERVE_PATH } from "../../src/protocol/group-events.ts";
import { WATCH_PATH } from "../../src/protocol/watch-socket.ts";
import type { ObjectSocket } from "../shared/object-socket.ts";
import type { OwnerSigner } from "../shared/owner-signature.ts";
import { SilentSockets } from "../shared/silent-sockets.ts";
import { finishClose } from "../shared/socket.ts";
import { SocketAccess } from "../shared/socket-access.ts";
import { keyTag, tagsOf, whyNoConnection } from "../shared/socket-caller.ts";
import type { GroupClock } from "./group-clock.ts";
import type { GroupKeeper } from "./group-keeper.ts";
import type { GroupServer } from "./group-server.ts";
import { type Joined, MemberSockets } from "./member-sockets.ts";
import { Observers } from "./observers.ts";
import type { Presence } from "./presence.ts";

/** The parts of the group's object that are needed here. */
export interface GroupSocketParts {
  readonly env: Env;
  readonly signer: OwnerSigner;
  readonly keeper: GroupKeeper;
  readonly server: GroupServer;
  readonly presence: Presence;
  readonly clock: GroupClock;
  /** Notifies the members of what has changed for them, and sets the alarm. */
  announce(joined?: Joined): Promise<void>;
  /** Called if storing failed. The alarm notes a member without a socket again. */
  couldNotNote(error: unknown): void;
}

export class GroupSockets {
  readonly members: MemberSockets;
  readonly observers: Observers;
  readonly #ctx: DurableObjectState;
  readonly #parts: GroupSocketParts;
  /** The sockets that have not joined. */
  readonly #silent: SilentSockets;
  readonly #access: SocketAccess;

  constructor(ctx: DurableObjectState, parts: GroupSocketParts) {
    this.#ctx = ctx;
    this.#parts = parts;
    this.#silent = new SilentSockets(ctx.getWebSockets());
    this.#access = new SocketAccess({
      env: parts.env,
      waitUntil: (promise) => ctx.waitUntil(promise),
      ended: (socket) => ctx.waitUntil(this.lost(socket)),
      changed: (socket) => ctx.waitUntil(this.members.alterRights(socket)),
    });
    const isGood = (socket: ObjectSocket) => this.#access.isGood(socket, parts.clock.now());
    this.observers = new Observers(ctx, isGood);
    parts.keeper.stored = (handled) => this.observers.publish(handled);
    this.members = new MemberSockets({
      ...parts,
      isGood,
      whyNot: (socket, topic) => this.#access.whyNot(socket, "READ", topicResource(topic)),
      announce: (joined) => parts.announce(joined),
      spoke: (socket) => void this.#silent.delete(socket),
      lost: (socket) => this.lost(socket),
    });
  }

  /** Upgrades a request to a socket. */
  accept(request: Request): Response {
    if (!this.#hasRoom()) {
      const failure = fail(
        "GROUP_MAX_SIZE_REACHED",
        `the group has ${MAX_SOCKETS_PER_GROUP} sockets in use, the bound`,
      );
      return Response.json(failure, { status: 429 });
    }
    const caller = callerOfUpgrade(request, isOpen(this.#parts.env));
    const nowMs = this.#parts.clock.now();
    const tooMany = whyNoConnection(caller, this.#ctx, () => this.#silent.closeOld(nowMs));
    if (tooMany !== null) return Response.json(tooMany, { status: 429 });
    const { pathname, searchParams } = new URL(request.url);
    const refused = pathname === OBSERVE_PATH ? this.#whyNotObserve() : null;
    if (refused !== null) return Response.json(refused, { status: httpStatusOf(errorOf(refused)) });
    const { 0: client, 1: server } = new WebSocketPair();
    this.#access.admit(server, caller, this.#parts.clock.now());
    if (pathname === WATCH_PATH) this.#watch(server, searchParams.get("memberId") ?? "");
    else if (pathname === OBSERVE_PATH) this.observers.accept(server, tagsOf(caller));
    else {
      this.#ctx.acceptWebSocket(server, tagsOf(caller));
      this.#silent.add(server, this.#parts.clock.now());
    }
    return new Response(null, { status: 101, webSocket: client });
  }

  /** Observing a group does not create it. */
  #whyNotObserve(): Failure | null {
    const { group } = this.#parts.keeper;
    if (!group.exists) return unknownGroup(group.state.groupId);
    if (this.observers.count < MAX_OBSERVERS_PER_GROUP) return null;
    const detail = `${MAX_OBSERVERS_PER_GROUP} sockets observe the group, the bound`;
    return fail("THROTTLING_QUOTA_EXCEEDED", detail);
  }

  #watch(socket: ObjectSocket, memberId: string): void {
    const { keeper, presence, clock } = this.#parts;
    const member = keeper.look(({ state }) => memberOf(state, memberId));
    const sessionTimeoutMs = member?.sessionTimeoutMs ?? DEFAULT_SESSION_TIMEOUT_MS;
    presence.watch(socket, memberId, sessionTimeoutMs, clock.now());
  }

  /**
   * [BND-15] Makes room. Sockets that have not joined are closed first, then those that watch for a member that
   * has gone.
   */
  #hasRoom(): boolean {
    if (this.#silent.hasRoom(this.#ctx.getWebSockets(), MAX_SOCKETS_PER_GROUP)) return true;
    const { keeper, presence } = this.#parts;
    return keeper.look(({ state }) =>
      presence.closeWatchOfNobody((memberId) => memberOf(state, memberId) !== undefined),
    );
  }

  /** [GRP-5] [GRP-6] Treats a clean close by a non-static member as a leave. Any other close starts the timeout. */
  async closed(socket: ObjectSocket, code: number): Promise<void> {
    const { keeper, presence, couldNotNote } = this.#parts;
    if (this.observers.has(socket)) {
      this.observers.delete(socket);
      return finishClose(socket, code);
    }
    const memberId = presence.memberOf(socket);
    const member = keeper.look(({ state }) =>
      memberId === null ? undefined : state.members.get(memberId),
    );
    finishClose(socket, code);
    const isLeave = isCleanClose(code) && member !== undefined && member.instanceId === null;
    if (!isLeave) return this.lost(socket);
    await this.members.leave(socket).catch(couldNotNote);
  }

  /** [ACL-8] */
  revoke(keyId: string): void {
    this.#access.revoke(this.#ctx.getWebSockets(keyTag(keyId)));
  }

  /** [ACL-8] Closes the sockets of members whose credentials have expired. Their sessions end if they do not come back. */
  closeExpired(): void {
    for (const socket of this.#ctx.getWebSockets())
      if (socket.readyState === WebSocket.OPEN)
        this.#access.isGood(socket, this.#parts.clock.now());
  }

  async lost(socket: ObjectSocket): Promise<void> {
    const { keeper, presence, couldNotNote, announce } = this.#parts;
    this.observers.delete(socket);
    this.#silent.delete(socket);
    const memberId = presence.lost(socket);
    try {
      if (memberId !== null) keeper.handle({ type: "lost", memberId });
      await announce();
    } catch (error) {
      couldNotNote(error);
    }
  }
}
