// Drives a ConsumerCore by hand: the test plays the broker, the clock and the application. The core's actions are kept as a
// log of short lines (`take`). Each is checked against what a consumer may never do, so a test only states what is special.
import assert from "node:assert/strict";
import { ERRORS, type ErrorName } from "../../src/core/errors.ts";
import type { MemberState } from "../../src/core/group-info.ts";
import type { ConsumerRecord } from "../../src/core/record.ts";
import { ConsumerCore, type ConsumerCoreConfig } from "../../src/member/consumer-core.ts";
import type { ConsumerEffect } from "../../src/member/effects.ts";
import type {
  AssignmentMessage,
  CoordinatorMessage,
  MemberMessage,
} from "../../src/protocol/group-socket.ts";
import { heartbeatIntervalMs } from "../../src/protocol/heartbeat.ts";
import type { PartitionMessage, ReaderMessage } from "../../src/protocol/partition-socket.ts";
import { batchOf, type Place, parsePlace, placeOf } from "./places.ts";

export interface FakeSocket {
  readonly connection: number;
  /** Null for the group socket. */
  readonly place: Place | null;
  isOpen: boolean;
  /** By either side. */
  isClosed: boolean;
  readonly sent: (MemberMessage | ReaderMessage)[];
}

type Attach = Extract<ReaderMessage, { type: "attach" }>;
type Commit = Extract<MemberMessage, { type: "commit" }>;

export const SESSION_MS = 45_000;
/** The first back-off with the maximum jitter: `random` is 1. */
export const BACKOFF_MS = 50;
/** The application's view of a partition it holds. */
interface Held {
  /** The offset of the next record, or null if any may come: the log no longer had the position. */
  next: number | null;
  attachId: number;
}

export class ConsumerHarness {
  readonly core: ConsumerCore;
  readonly config: ConsumerCoreConfig;
  nowMs = 1_000_000;
  readonly sockets: FakeSocket[] = [];
  readonly effects: ConsumerEffect[] = [];
  /** The partitions that the application knows it has. */
  readonly held = new Map<Place, Held>();
  /** To be given up: may be finished, gets nothing more. */
  readonly draining = new Set<Place>();
  /** Released by the application; until that is through they may still be reported as lost. */
  readonly #letGo = new Set<Place>();
  readonly delivered: { readonly place: Place; readonly record: ConsumerRecord }[] = [];
  isClosed = false;
  /** Breaks of the group's connection that were reported to the application. */
  outages = 0;
  /** The last join's. */
  joinRequestId = 0;
  #log: string[] = [];

  constructor(config: Partial<ConsumerCoreConfig> = {}) {
    this.config = {
      groupId: "g",
      memberId: "m",
      topics: ["t"],
      instanceId: null,
      clientId: null,
      sessionTimeoutMs: SESSION_MS,
      from: "earliest",
      windowBytes: 1_000,
      commitIntervalMs: 0,
      ...config,
    };
    this.core = new ConsumerCore(this.config, () => 1);
  }

  /** The core's actions since the last call, one line each. */
  take(): string[] {
    const log = this.#log;
    this.#log = [];
    return log;
  }

  // The clock.

  /** Time passes; the core's timer rings whenever it was due. */
  advance(ms: number): void {
    const untilMs = this.nowMs + ms;
    let lastMs = -1;
    for (let rings = 0; ; ) {
      const atMs = this.core.nextTimerMs;
      if (atMs === null || atMs > untilMs) break;
      this.nowMs = Math.max(this.nowMs, atMs);
      rings = this.nowMs === lastMs ? rings + 1 : 0;
      lastMs = this.nowMs;
      assert(rings < 10, "the timer rings for ever without anything being done");
      this.run(() => this.core.tick(this.nowMs));
    }
    this.nowMs = untilMs;
  }

  // The group socket.

  start(): void {
    this.run(() => this.core.start(this.nowMs));
  }

  get group(): FakeSocket {
    const socket = this.sockets.findLast((each) => each.place === null && !each.isClosed);
    assert(socket !== undefined, "there is a group socket");
    return socket;
  }

  get hasGroup(): boolean {
    return this.sockets.some((each) => each.place === null && !each.isClosed);
  }

  openGroup(): void {
    this.openConnection(this.group.connection);
  }

  fromCoordinator(message: CoordinatorMessage): void {
    const { connection } = this.group;
    this.run(() => this.core.message(connection, message, this.nowMs));
  }

  /** The response to a join, or news. `places`: assigned partition → its committed offset. */
  assign(
    places: Readonly<Record<Place, number | null>>,
    options: {
      epoch?: number;
      state?: MemberState;
      heartbeatMs?: number;
      /** True if the group signs owners. */
      signs?: boolean;
      /** The request id of the answered join; by default the last one. */
      requestId?: number;
    } = {},
  ): void {
    const heartbeatMs = heartbeatIntervalMs(this.config.sessionTimeoutMs);
    const message: AssignmentMessage = {
      type: "assignment",
      requestId: options.requestId ?? this.joinRequestId,
      memberId: this.config.memberId,
      memberEpoch: options.epoch ?? 1,
      incarnation: 7,
      memberNumber: 3,
      heartbeatIntervalMs: options.heartbeatMs ?? heartbeatMs,
      sessionTimeoutMs: this.config.sessionTimeoutMs,
      state: options.state ?? "STABLE",
      partitions: Object.entries(places).map(([place, committedOffset]) => ({
        ...parsePlace(place as Place),
        committedOffset,
        ...(options.signs ? { signature: `${place} at ${options.epoch ?? 1}` } : {}),
      })),
      missingTopics: [],
    };
    this.fromCoordinator(message);
  }

  /** An error that answers no commit, or the commit in flight. */
  coordinatorError(code: ErrorName, options: { answersCommit?: boolean } = {}): void {
    const { code: errorCode, retriable } = ERRORS[code];
    this.fromCoordinator({
      type: "error",
      code,
      errorCode,
      retriable,
      detail: "because",
      ...(options.answersCommit ? { requestId: this.lastCommit.requestId } : {}),
    });
  }

  get lastCommit(): Commit {
    const commit = this.commits.at(-1);
    assert(commit !== undefined, "a commit was sent");
    return commit;
  }

  get commits(): Commit[] {
    return this.sockets
      .flatMap(({ sent }) => sent)
      .filter((message): message is Commit => message.type === "commit");
  }

  /** Answers the last commit. */
  committed(rejected: Readonly<Record<Place, ErrorName>> = {}): void {
    this.fromCoordinator({
      type: "committed",
      requestId: this.lastCommit.requestId,
      rejected: Object.entries(rejected).map(([place, code]) => {
        const { topicId, partition } = parsePlace(place as Place);
        return { topicId, partition, code, detail: "because" };
      }),
    });
  }

  pong(): void {
    const { connection } = this.group;
    this.run(() => this.core.pong(connection, this.nowMs));
  }

  breakGroup(code = 1006, reason = ""): void {
    this.breakConnection(this.group.connection, code, reason);
  }

  // The partition sockets.

  hasSocket(place: Place): boolean {
    return this.sockets.some((each) => each.place === place && !each.isClosed);
  }

  socket(place: Place): FakeSocket {
    const socket = this.sockets.findLast((each) => each.place === place && !each.isClosed);
    assert(socket !== undefined, `there is a socket to ${place}`);
    return socket;
  }

  open(place: Place): void {
    this.openConnection(this.socket(place).connection);
  }

  /** The last attach sent on the socket to `place`. */
  attach(place: Place): Attach {
    const attach = this.socket(place).sent.findLast((message) => message.type === "attach");
    assert(attach?.type === "attach", `${place} was attached`);
    return attach;
  }

  /** Answers the last attach; `offset` is where earliest or latest is. */
  attached(place: Place, offset?: number): void {
    const attach = this.attach(place);
    const from = offset ?? attach.offset;
    assert(typeof from === "number", `attach asked for ${from}: say where that is`);
    this.fromPartition(place, {
      type: "attached",
      attachId: attach.attachId ?? 0,
      offset: from,
      logStartOffset: 0,
      highWatermark: 1_000,
      windowBytes: attach.windowBytes ?? 0,
    });
  }

  fromPartition(place: Place, message: PartitionMessage): void {
    const { connection } = this.socket(place);
    this.run(() => this.core.message(connection, message, this.nowMs));
  }

  attachError(place: Place, code: ErrorName): void {
    const { code: errorCode, retriable } = ERRORS[code];
    const attachId = this.attach(place).attachId ?? 0;
    const message = { type: "error" as const, attachId, code, errorCode, retriable, detail: "no" };
    this.fromPartition(place, { ...message, logStartOffset: 0, highWatermark: 1_000 });
  }

  /** Opens and attaches. */
  connect(place: Place, offset?: number): void {
    this.open(place);
    this.attached(place, offset);
  }

  /** A frame of one batch, or of the given bytes. Returns its size. */
  data(place: Place, baseOffset: number, count: number): number {
    return this.frame(place, batchOf(place, baseOffset, count));
  }

  frame(place: Place, bytes: Uint8Array, socket = this.socket(place)): number {
    this.run(() => this.core.data(socket.connection, bytes, this.nowMs));
    return bytes.length;
  }

  breakSocket(place: Place, code = 1006): void {
    this.breakConnection(this.socket(place).connection, code, "");
  }

  openConnection(connection: number): void {
    this.#byConnection(connection).isOpen = true;
    this.run(() => this.core.opened(connection, this.nowMs));
  }

  breakConnection(connection: number, code: number, reason: string): void {
    this.#byConnection(connection).isClosed = true;
    this.run(() => this.core.closed(connection, code, reason, this.nowMs));
  }

  // The application.

  /** `attachId` is by default that of the last delivered records. */
  processed(place: Place, nextOffset: number, attachId?: number): void {
    const of = attachId ?? this.attachId(place);
    this.run(() => this.core.processed(parsePlace(place), nextOffset, of, this.nowMs));
  }

  attachId(place: Place): number {
    const records = this.effects.findLast(
      (effect) => effect.type === "records" && placeOf(effect) === place,
    );
    assert(records?.type === "records", `${place} delivered something`);
    return records.attachId;
  }

  released(place: Place): void {
    if (this.draining.delete(place)) {
      this.held.delete(place);
      this.#letGo.add(place);
    }
    this.run(() => this.core.released(parsePlace(place)));
  }

  pause(place: Place): void {
    this.run(() => this.core.pause(parsePlace(place)));
  }

  resume(place: Place): void {
    this.run(() => this.core.resume(parsePlace(place), this.nowMs));
  }

  seek(place: Place, offset: number): boolean {
    const held = this.held.get(place);
    // Later records must be from there on, even within this call.
    if (held !== undefined && !this.draining.has(place)) held.next = offset;
    return this.run(() => this.core.seek(parsePlace(place), offset));
  }

  commitNow(): void {
    this.run(() => this.core.commitNow(this.nowMs));
  }

  close(): void {
    this.run(() => this.core.close());
  }

  /** The delivered offsets of a partition, in the order of their delivery. */
  offsets(place: Place): number[] {
    return this.delivered.filter((each) => each.place === place).map(({ record }) => record.offset);
  }

  /** Joined, assigned, attached and announced, in one go. */
  static joined(
    places: Readonly<Record<Place, number | null>>,
    config: Partial<ConsumerCoreConfig> = {},
  ): ConsumerHarness {
    const harness = new ConsumerHarness(config);
    harness.start();
    harness.openGroup();
    harness.assign(places);
    for (const [place, offset] of Object.entries(places))
      harness.connect(place as Place, offset ?? 0);
    harness.take();
    return harness;
  }

  // The core's actions.

  run<T>(action: () => T): T {
    const result = action();
    for (const effect of this.core.takeEffects()) {
      assert(!this.isClosed, `after "closed" comes ${effect.type}`);
      this.effects.push(effect);
      this.#carryOut(effect);
    }
    return result;
  }

  #carryOut(effect: ConsumerEffect): void {
    switch (effect.type) {
      case "open-group":
        assert(!this.hasGroup, "one group socket at a time");
        this.#newSocket(effect.connection, null);
        this.#log.push("open group");
        return;
      case "open-partition": {
        const place = placeOf(effect);
        assert(!this.hasSocket(place), `one socket to ${place} at a time`);
        assert.equal(effect.topicId, parsePlace(place).topicId);
        this.#newSocket(effect.connection, place);
        this.#log.push(`open ${place}`);
        return;
      }
      case "send":
      case "ping": {
        const socket = this.#byConnection(effect.connection);
        assert(!socket.isClosed, `${effect.type} on a socket that is closed`);
        if (!socket.isOpen && effect.type === "send" && effect.message.type === "leave") {
          // Nobody hears it. It has no effect, as its own test shows; anything else would be missed.
          this.#log.push("leave, unheard");
          return;
        }
        assert(socket.isOpen, `${effect.type} on a socket that is not open`);
        if (effect.type === "ping") this.#log.push(`ping ${socket.place ?? "group"}`);
        else this.#sent(socket, effect.message);
        return;
      }
      case "close": {
        const socket = this.#byConnection(effect.connection);
        assert(!socket.isClosed, "a socket is closed once");
        socket.isClosed = true;
        this.#log.push(`close ${socket.place ?? "group"} ${effect.code}`);
        return;
      }
      case "assigned":
        this.#assigned(effect.partitions.map((each) => [placeOf(each), each.offset]));
        return;
      case "revoked":
        for (const place of effect.partitions.map(placeOf)) {
          assert(this.held.has(place) && !this.draining.has(place), `${place} can be revoked`);
          this.draining.add(place);
        }
        this.#log.push(`revoked ${effect.partitions.map(placeOf).join(" ")}`);
        return;
      case "lost":
        for (const place of effect.partitions.map(placeOf)) {
          const wasHeld = this.held.delete(place);
          assert(this.#letGo.delete(place) || wasHeld, `${place} can be lost`);
          this.draining.delete(place);
        }
        this.#log.push(`lost ${effect.partitions.map(placeOf).join(" ")}`);
        return;
      case "records":
        this.#records(placeOf(effect), effect.attachId, effect.records);
        return;
      case "error":
        // The position is no longer in the log: delivery rightly continues elsewhere.
        if (effect.error.code === "OFFSET_OUT_OF_RANGE")
          for (const held of this.held.values()) held.next = null;
        // Every break of the group's connection is reported once; the log has the breaks that the test made.
        if (effect.error.code === "NETWORK_EXCEPTION") this.outages++;
        else this.#log.push(`${effect.isFatal ? "fatal" : "error"} ${effect.error.code}`);
        return;
      case "closed":
        this.isClosed = true;
        for (const socket of this.sockets)
          assert(socket.isClosed, `the socket to ${socket.place ?? "the group"} is left open`);
        this.#log.push("closed");
    }
  }

  #newSocket(connection: number, place: Place | null): void {
    assert(!this.sockets.some((each) => each.connection === connection), "numbers are used once");
    this.sockets.push({ connection, place, isOpen: false, isClosed: false, sent: [] });
  }

  #byConnection(connection: number): FakeSocket {
    const socket = this.sockets.find((each) => each.connection === connection);
    assert(socket !== undefined, `socket ${connection} exists`);
    return socket;
  }

  #assigned(places: readonly (readonly [Place, number])[]): void {
    for (const [place, offset] of places) {
      assert(!this.held.has(place), `${place} is assigned while it is held`);
      this.held.set(place, { next: offset, attachId: -1 });
      this.#letGo.delete(place);
    }
    this.#log.push(`assigned ${places.map(([place, offset]) => `${place}@${offset}`).join(" ")}`);
  }

  /** [SES-1] and [SES-3]: nothing from partitions that are not held, no gap, nothing twice. */
  #records(place: Place, attachId: number, records: readonly ConsumerRecord[]): void {
    const held = this.held.get(place);
    assert(held !== undefined && !this.draining.has(place), `${place} is held`);
    assert(attachId >= held.attachId, "attachIds grow");
    held.attachId = attachId;
    for (const record of records) {
      if (held.next !== null) assert.equal(record.offset, held.next, `${place}: the next offset`);
      held.next = record.offset + 1;
      const value = new TextDecoder().decode(record.value ?? new Uint8Array());
      assert.equal(value, `${place}/${record.offset}`, "the record that belongs to the offset");
      this.delivered.push({ place, record });
    }
    const [first, last] = [records[0]?.offset, records.at(-1)?.offset];
    this.#log.push(`records ${place} ${first}-${last}`);
  }

  #sent(socket: FakeSocket, message: MemberMessage | ReaderMessage): void {
    if (message.type === "join") this.joinRequestId = message.requestId ?? 0;
    socket.sent.push(message);
    switch (message.type) {
      case "join":
        this.#log.push(
          `join epoch ${message.memberEpoch} owns [${keysOf(message.owned ?? []).join(" ")}]`,
        );
        return;
      case "revoked":
        this.#log.push(`say revoked ${keysOf(message.partitions).join(" ")}`);
        return;
      case "commit": {
        const offsets = message.offsets.map(
          ({ topicId, partition, offset, isRewind }) =>
            `${topicId.slice(3)}:${partition}=${offset}${isRewind ? " rewind" : ""}`,
        );
        this.#log.push(`commit epoch ${message.memberEpoch} ${offsets.sort().join(" ")}`);
        return;
      }
      case "leave":
        this.#log.push("leave");
        return;
      case "attach":
        this.#log.push(`attach ${socket.place} ${message.offset}`);
        return;
      case "window":
        this.#log.push(`window ${socket.place} ${message.bytes}`);
    }
  }
}

function keysOf(topics: readonly { topicId: string; partitions: readonly number[] }[]): string[] {
  return topics
    .flatMap(({ topicId, partitions }) =>
      partitions.map((partition) => `${topicId.slice(3)}:${partition}`),
    )
    .sort();
}
