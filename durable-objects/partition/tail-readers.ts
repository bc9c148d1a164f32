// The sockets that read this partition. They are attached, fed and fenced here. The position and window of each
// are in its socket's attachment, so they outlive hibernation [HIB-1].
import type * as z from "zod";
import { decodeAnyBatch } from "../../src/compression/decode.ts";
import { attempt, type Failure, fail, type Result } from "../../src/core/errors.ts";
import { DEFAULT_SESSION_TIMEOUT_MS, FENCE_REFRESH_MS } from "../../src/core/limits.ts";
import { compareOwners, mayAttach } from "../../src/core/log/fences.ts";
import {
  clampWindow,
  Frames,
  openWindow,
  pump,
  type ReadersLog,
  type TailReader,
} from "../../src/core/log/tail-reader.ts";
import { CLOSE_FENCED, CLOSE_REPLACED } from "../../src/protocol/close-codes.ts";
import type {
  attachMessage,
  Owner,
  PartitionMessage,
  windowMessage,
} from "../../src/protocol/partition-socket.ts";
import type { ObjectSocket } from "../shared/object-socket.ts";
import { close, errorFields, send, sendJson } from "../shared/socket.ts";
import { attachState } from "../shared/socket-caller.ts";
import type { PartitionStore } from "./partition-store.ts";
import { SlowReaders } from "./slow-readers.ts";
import { ThrottledReaders } from "./throttled-readers.ts";

interface Reader {
  readonly attachId: number;
  readonly tail: TailReader;
  /** The time of its last message. Release 0.2 did not write it. */
  readonly heardMs?: number;
  /** The session timeout of the owner. Release 0.2 did not write it. */
  readonly sessionTimeoutMs?: number;
  /** True if its offset was refused. Nothing is sent to it, but its bytes in flight still count. */
  readonly isStopped?: true;
}

/** An owner that has been silent for its session timeout although there are records for it. */
export type SilentOwner = Pick<Owner, "group" | "incarnation" | "memberNumber">;

/** Decides whether a socket is sent records now. */
export interface ReaderGate {
  /** [ACL-7] Called before a socket is sent records. Closes the socket if its credential has expired. */
  mayRead(socket: ObjectSocket): boolean;
  /** [QUO-3] Returns how long the caller of the socket has to wait until it may be sent more. */
  waitMs(socket: ObjectSocket): number;
  /** Counts the bytes that the socket was sent. */
  sent(socket: ObjectSocket, bytes: number): void;
  /**
   * [RLY-3] True if the log does not have the records from `offset` on. They are then fetched, and the socket
   * is resumed. Absent if the log has everything.
   */
  fetches?(socket: ObjectSocket, offset: number): boolean;
}

/** The newest owner of each group. */
export type Fences = Pick<PartitionStore, "fence" | "polledAtMs" | "notePoll" | "setFence">;

type AttachMessage = z.output<typeof attachMessage>;
type WindowMessage = z.output<typeof windowMessage>;

export class TailReaders {
  readonly #log: ReadersLog;
  readonly #store: Fences;
  readonly #gate: ReaderGate;
  readonly #readers = new Map<ObjectSocket, Reader>();
  /** The readers that own the partition in their group. They are few, however many readers there are. */
  readonly #owning = new Set<ObjectSocket>();
  /**
   * The time when a silent owner was reported to its group. It is reported again after another silent session
   * timeout.
   */
  readonly #reportedMs = new WeakMap<ObjectSocket, number>();
  readonly #throttled = new ThrottledReaders((socket) => this.#pump(socket, new Frames(this.#log)));
  readonly #slow = new SlowReaders((socket) =>
    this.#pump(socket as ObjectSocket, new Frames(this.#log)),
  );

  /** `sockets` have outlived hibernation. They continue at their positions. */
  constructor(log: ReadersLog, store: Fences, sockets: readonly ObjectSocket[], gate: ReaderGate) {
    this.#log = log;
    this.#store = store;
    this.#gate = gate;
    for (const socket of sockets) {
      // A socket that has not attached has another attachment, or none.
      const reader = socket.deserializeAttachment() as Partial<Reader> | null;
      if (reader?.tail !== undefined) this.#keep(socket, reader as Reader);
    }
  }

  get count(): number {
    return this.#readers.size;
  }

  /** The number of readers that own nothing. */
  get plainCount(): number {
    return this.#readers.size - this.#owning.size;
  }

  /** The offset that the socket reads next, and the bytes that it may be sent. Null if it is sent nothing. */
  placeOf(socket: ObjectSocket): Pick<TailReader, "nextOffset" | "windowBytes"> | null {
    const reader = this.#readers.get(socket);
    return reader === undefined || reader.isStopped ? null : reader.tail;
  }

  /** Sends the socket the records that have become available for it. */
  resume(socket: ObjectSocket, frames: Frames): void {
    this.#pump(socket, frames);
  }

  /** Notifies the socket why it gets nothing more. It may attach elsewhere. */
  stop(socket: ObjectSocket, failure: Failure): void {
    const reader = this.#readers.get(socket);
    if (reader !== undefined) this.#refuseOffset(socket, reader.attachId, failure);
  }

  remove(socket: ObjectSocket): void {
    this.#drop(socket);
    this.#slow.delete(socket);
  }

  openWindow(socket: ObjectSocket, message: WindowMessage): void {
    const reader = this.#readers.get(socket);
    if (reader === undefined || reader.attachId !== message.attachId) return; // From before a seek or an error.
    this.#slow.noteRead(socket);
    const tail = openWindow(reader.tail, message.bytes, message.windowBytes);
    this.#update(socket, { ...reader, tail, heardMs: Date.now() });
    this.#pump(socket, new Frames(this.#log));
  }

  /** Attaches a reader. Returns true if it reads from now on. */
  attach(socket: ObjectSocket, message: AttachMessage): boolean {
    const { attachId, owner } = message;
    const fenced = owner === undefined ? null : this.admit(socket, owner);
    if (fenced !== null) {
      this.#drop(socket);
      close(socket, CLOSE_FENCED, `${fenced.error}: ${fenced.detail}`);
      return false;
    }
    const started = attempt(() => this.#validateOffset(message.offset));
    if (!started.ok) {
      this.#refuseOffset(socket, attachId, started);
      return false;
    }
    const { offset } = started;
    // [TAIL-2] Bytes that this socket has in flight from an earlier attach reduce the window until they are
    // given back.
    const before = this.#readers.get(socket)?.tail;
    const inFlight = before === undefined ? 0 : before.maxWindowBytes - before.windowBytes;
    const maxWindowBytes = clampWindow(message.windowBytes);
    const windowBytes = Math.max(0, maxWindowBytes - inFlight);
    const tail = { nextOffset: offset, windowBytes, maxWindowBytes, owner: owner ?? null };
    const sessionTimeoutMs = owner?.sessionTimeoutMs ?? DEFAULT_SESSION_TIMEOUT_MS;
    this.#update(socket, { attachId, tail, heardMs: Date.now(), sessionTimeoutMs });
    this.#send(socket, {
      type: "attached",
      attachId,
      offset,
      ...this.#bounds(offset),
      windowBytes,
    });
    this.#pump(socket, new Frames(this.#log));
    return true;
  }

  /** [ACL-7] [ATT-5] Refuses an attach. A caller that is not an owner is fenced; others may attach in another way. */
  refuse(socket: ObjectSocket, attachId: number, failure: Failure): void {
    this.#drop(socket);
    if (failure.error === "FENCED_MEMBER_EPOCH")
      close(socket, CLOSE_FENCED, `${failure.error}: ${failure.detail}`);
    else this.#send(socket, { type: "error", attachId, ...errorFields(failure) });
  }

  /**
   * [ATT-1] [ATT-2] Admits only the newest owner. It closes the socket of the previous owner in the same turn,
   * before anything is sent to the new one. So a partition never feeds two members of a group. A new owner
   * without a socket reads by calls. Older owners get FENCED_MEMBER_EPOCH. The incarnation has already been
   * checked [CLK-5].
   */
  admit(socket: ObjectSocket | null, owner: Owner): Failure | null {
    const fence = this.#store.fence(owner.group);
    const attached = this.#attachedOwners(owner.group);
    // [ATT-4] An attached owner counts too, whatever became of its fence.
    if (![fence, ...attached].every((newest) => mayAttach(newest, owner)))
      return fail("FENCED_MEMBER_EPOCH", `a newer owner attached for group ${owner.group}`);
    const nowMs = Date.now();
    // A reader by calls attaches again and again. Nothing is new then, and nothing is written.
    const isPoll = socket === null;
    const isKnown =
      isPoll &&
      fence !== null &&
      compareOwners(fence, owner) === 0 &&
      nowMs - this.#store.polledAtMs(owner.group) < FENCE_REFRESH_MS;
    if (isPoll && !isKnown) this.#store.notePoll(owner.group, nowMs);
    if (!isKnown)
      this.#store.setFence(owner.group, owner, nowMs, fence === null, () => this.#attachedGroups());
    for (const [other, reader] of this.#readers) {
      if (other === socket || reader.tail.owner?.group !== owner.group) continue;
      const isSameMember = reader.tail.owner.memberNumber === owner.memberNumber;
      this.#cutOff(other, isSameMember ? CLOSE_REPLACED : CLOSE_FENCED, "a newer owner attached");
    }
    return null;
  }

  /** [CLK-5] True if an owner of a later incarnation of the group has attached. */
  isOfEarlierIncarnation({ group, incarnation }: Owner): boolean {
    const fence = this.#store.fence(group);
    return [...(fence === null ? [] : [fence]), ...this.#attachedOwners(group)].some(
      (other) => other.incarnation > incarnation,
    );
  }

  /** [CLK-5] Forgets the owners of other incarnations of the group, because this is the group's own. */
  forgetOtherIncarnations(owner: Owner): void {
    const { group, incarnation } = owner;
    if (this.#store.fence(group) !== null)
      this.#store.setFence(group, owner, Date.now(), false, () => this.#attachedGroups());
    for (const [socket, { tail }] of this.#readers) {
      if (tail.owner?.group !== group || tail.owner.incarnation === incarnation) continue;
      this.#cutOff(socket, CLOSE_FENCED, "the group has another incarnation");
    }
  }

  /** [GRP-17] Cuts off an owner that is not a member of its group. */
  dismiss({ group, incarnation, memberNumber }: SilentOwner): void {
    for (const [socket, { tail }] of this.#readers) {
      const isIt =
        tail.owner?.group === group &&
        tail.owner.incarnation === incarnation &&
        tail.owner.memberNumber === memberNumber;
      if (isIt) this.#cutOff(socket, CLOSE_FENCED, "it is not a member of its group");
    }
  }

  /** Ends a reader. Its client may take long to close, so an eviction must not find a reader in the socket. */
  #cutOff(socket: ObjectSocket, code: number, reason: string): void {
    this.#drop(socket);
    attachState(socket, null);
    close(socket, code, reason);
  }

  /**
   * [GRP-17] The time when the first owner that has records to read or to give back will have been silent for
   * its session timeout. Infinity if there is none. `answeredMs` returns when a socket last answered a ping.
   */
  nextSilenceMs(answeredMs: (socket: ObjectSocket) => number): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const socket of this.#owning) {
      const reader = this.#readers.get(socket);
      if (reader !== undefined && this.#hasWork(reader))
        earliest = Math.min(earliest, this.#silentFromMs(socket, reader, answeredMs));
    }
    return earliest;
  }

  /** [GRP-17] Returns the owners that are silent now, to be reported to their groups. */
  takeSilentOwners(answeredMs: (socket: ObjectSocket) => number, nowMs: number): SilentOwner[] {
    return [...this.#owning].flatMap((socket) => {
      const reader = this.#readers.get(socket);
      const owner = reader?.tail.owner ?? null;
      if (reader === undefined || owner === null || !this.#hasWork(reader)) return [];
      if (this.#silentFromMs(socket, reader, answeredMs) > nowMs) return [];
      this.#reportedMs.set(socket, nowMs);
      return [owner];
    });
  }

  #silentFromMs(
    socket: ObjectSocket,
    { heardMs = 0, sessionTimeoutMs = DEFAULT_SESSION_TIMEOUT_MS }: Reader,
    answeredMs: (socket: ObjectSocket) => number,
  ): number {
    const reportedMs = this.#reportedMs.get(socket) ?? 0;
    return Math.max(heardMs, answeredMs(socket), reportedMs) + sessionTimeoutMs;
  }

  /** True if an owner has records that it was not sent yet, or has not given back. */
  #hasWork({ tail, isStopped }: Reader): boolean {
    if (tail.owner === null || isStopped) return false;
    return tail.windowBytes < tail.maxWindowBytes || tail.nextOffset < this.#log.logEndOffset;
  }

  #attachedOwners(group: string): Owner[] {
    return [...this.#readers.values()].flatMap(({ tail: { owner } }) =>
      owner?.group === group ? [owner] : [],
    );
  }

  #attachedGroups(): Set<string> {
    return new Set(
      [...this.#readers.values()].flatMap(({ tail: { owner } }) => owner?.group ?? []),
    );
  }

  #validateOffset(at: AttachMessage["offset"]): Result<{ offset: number }> {
    const offset = this.startOffset(at);
    const inRange = this.#log.validateOffset(offset);
    return inRange.ok ? { ok: true, offset } : inRange;
  }

  /** Throws CORRUPT_MESSAGE if a lookup by time meets data that cannot be read. */
  startOffset(offset: AttachMessage["offset"]): number {
    if (offset === "earliest") return this.#log.logStartOffset;
    if (offset === "latest") return this.#log.logEndOffset;
    if (typeof offset === "number") return offset;
    return this.#log.findOffsetByTimestamp(Date.now() - offset.durationMs, decodeAnyBatch);
  }

  /** Sends the new records to every reader. */
  pumpAll(): void {
    const frames = new Frames(this.#log);
    for (const socket of this.#readers.keys()) this.#pump(socket, frames);
  }

  #pump(socket: ObjectSocket, frames: Frames): void {
    const reader = this.#readers.get(socket);
    if (reader === undefined || reader.isStopped) return;
    if (reader.tail.nextOffset < this.#log.logEndOffset) {
      if (!this.#gate.mayRead(socket)) {
        this.#stopUnlessGone(socket);
        return;
      }
      const waitMs = this.#gate.waitMs(socket);
      if (waitMs > 0) {
        this.#throttled.add(socket, waitMs);
        return;
      }
    }
    if (this.#slow.isFull(socket)) {
      if (this.#isWaiting(reader)) this.#slow.add(socket);
      return;
    }
    const inRange = this.#log.validateOffset(reader.tail.nextOffset);
    if (!inRange.ok) {
      this.#refuseOffset(socket, reader.attachId, inRange);
      return;
    }
    let unreadable: Failure | null = null;
    const tail = pump(
      this.#log,
      reader.tail,
      frames,
      (frame) => {
        send(socket, frame);
        this.#gate.sent(socket, frame.length);
        return !this.#slow.isFull(socket);
      },
      (failure) => {
        unreadable = failure;
      },
      this.#slow.allowedBytes(socket),
    );
    if (tail !== reader.tail) this.#update(socket, { ...reader, tail });
    if (unreadable !== null) this.#refuseOffset(socket, reader.attachId, unreadable);
    else if (this.#isWaiting({ ...reader, tail }) && !this.#gate.fetches?.(socket, tail.nextOffset))
      this.#slow.add(socket);
  }

  /** [ACL-7] Stops a socket whose rights are narrower than when it attached. */
  #stopUnlessGone(socket: ObjectSocket): void {
    const reader = this.#readers.get(socket);
    if (reader === undefined) return;
    const failure = fail("TOPIC_AUTHORIZATION_FAILED", "the right to READ this topic was revoked");
    this.#refuseOffset(socket, reader.attachId, failure);
  }

  /** True if there are records that fit the reader's window. They are sent once it has taken earlier ones. */
  #isWaiting({ tail, isStopped }: Reader): boolean {
    return !isStopped && tail.windowBytes > 0 && tail.nextOffset < this.#log.logEndOffset;
  }

  /** [TAIL-3] [CRC-2] Refuses an offset that cannot be read (any more). The reader may attach elsewhere. */
  #refuseOffset(socket: ObjectSocket, attachId: number, failure: Failure): void {
    const reader = this.#readers.get(socket);
    if (reader !== undefined) this.#update(socket, { ...reader, attachId, isStopped: true });
    const { ok: _ok, error: _error, detail: _detail, ...data } = failure;
    const fields = { ...errorFields(failure), ...data, ...this.#bounds() };
    this.#send(socket, { type: "error", attachId, ...fields });
  }

  /** The bounds of the log. Its end is at least `reached`. */
  #bounds(reached = 0): { logStartOffset: number; highWatermark: number } {
    const { logStartOffset, logEndOffset } = this.#log;
    return { logStartOffset, highWatermark: Math.max(logEndOffset, reached) };
  }

  #keep(socket: ObjectSocket, reader: Reader): void {
    this.#readers.set(socket, reader);
    if (reader.tail.owner === null) this.#owning.delete(socket);
    else this.#owning.add(socket);
  }

  #drop(socket: ObjectSocket): void {
    this.#readers.delete(socket);
    this.#owning.delete(socket);
  }

  #update(socket: ObjectSocket, reader: Reader): void {
    this.#keep(socket, reader);
    attachState(socket, reader);
  }

  #send(socket: ObjectSocket, message: PartitionMessage): void {
    sendJson(socket, message);
  }
}
