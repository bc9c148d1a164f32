// Drives a ConsumerCore by hand: the test plays the broker, the clock and the application. What the
// core does is kept as a log of short lines (`take`), and whatever it does is checked against what
// a consumer may never do, so a test only says what is special.
import assert from "node:assert/strict";
import { ERRORS, type ErrorName } from "../../src/core/errors.ts";
import { Coordinator } from "../../src/core/group/coordinator.ts";
import { parsePartitionKey, partitionKey, toSet } from "../../src/core/group/partition-key.ts";
import { emptyGroup } from "../../src/core/group/state.ts";
import type { MemberState } from "../../src/core/group-info.ts";
import { mayAttach, type OwnerToken } from "../../src/core/log/fences.ts";
import { type Compressor, encodeBatch } from "../../src/core/log/record-batch.ts";
import type { ConsumerRecord, TopicPartition } from "../../src/core/record.ts";
import { ConsumerCore, type ConsumerCoreConfig } from "../../src/member/consumer-core.ts";
import type { ConsumerEffect } from "../../src/member/effects.ts";
import {
  CLOSE_FENCED,
  CLOSE_REPLACED,
  CLOSE_SESSION_ENDED,
} from "../../src/protocol/close-codes.ts";
import type {
  AssignmentMessage,
  CoordinatorMessage,
  MemberMessage,
} from "../../src/protocol/group-socket.ts";
import { heartbeatIntervalMs } from "../../src/protocol/heartbeat.ts";
import type { PartitionMessage, ReaderMessage } from "../../src/protocol/partition-socket.ts";

/** A partition as tests write it: `t:0`. Its topic's id is `id-t`. */
export type Place = `${string}:${number}`;

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
/** The first backoff, where the jitter is at its most: `random` is 1. */
export const BACKOFF_MS = 50;
const UTF8 = new TextEncoder();

export function parsePlace(place: Place): TopicPartition & { topicId: string } {
  const colon = place.lastIndexOf(":");
  const topic = place.slice(0, colon);
  return { topic, topicId: `id-${topic}`, partition: Number(place.slice(colon + 1)) };
}

export function placeOf(place: { topic: string; partition: number }): Place {
  return `${place.topic}:${place.partition}`;
}

/** A batch whose values say which record they are. */
export function batchOf(
  place: Place,
  baseOffset: number,
  count: number,
  compression?: Compressor,
): Uint8Array {
  const records = Array.from({ length: count }, (_, i) => ({
    key: null,
    value: UTF8.encode(`${place}/${baseOffset + i}`),
    headers: [],
    timestamp: 1_000,
  }));
  return encodeBatch(records, compression ? { baseOffset, compression } : { baseOffset });
}

/** What the application sees of a partition it holds. */
interface Held {
  /**
   * The offset of the next record, or null where any may come: the log no longer had the position.
   */
  next: number | null;
  attachId: number;
}

export class ConsumerHarness {
  readonly core: ConsumerCore;
  readonly config: ConsumerCoreConfig;
  nowMs = 1_000_000;
  readonly sockets: FakeSocket[] = [];
  readonly effects: ConsumerEffect[] = [];
  /** The partitions the application was told that it has. */
  readonly held = new Map<Place, Held>();
  /** Told to be given up: may be finished, gets nothing more. */
  readonly draining = new Set<Place>();
  /** Released by the application; until that is through they may still be told to be lost. */
  readonly #letGo = new Set<Place>();
  readonly delivered: { readonly place: Place; readonly record: ConsumerRecord }[] = [];
  isClosed = false;
  /** Breaks of the group's connection that the application was told of. */
  outages = 0;
  /** Of the last join. */
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

  /** What the core has done since the last call, one line each. */
  take(): string[] {
    const log = this.#log;
    this.#log = [];
    return log;
  }

  // The clock.

  /** Time passes; the core's timer rings whenever it wanted to. */
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

  /** The answer to a join, or news. `places`: what is assigned → the committed offset. */
  assign(
    places: Readonly<Record<Place, number | null>>,
    options: {
      epoch?: number;
      state?: MemberState;
      heartbeatMs?: number;
      /** Of the join that is answered; by default the last one. */
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

  /** Answers the last attach; `offset` says what earliest or latest is. */
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

  /** A frame of one batch, or of the bytes given. Returns its size. */
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

  /** `attachId` is by default that of the last records delivered. */
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
    // What comes next must be from there on, also within this call.
    if (held !== undefined && !this.draining.has(place)) held.next = offset;
    return this.run(() => this.core.seek(parsePlace(place), offset));
  }

  commitNow(): void {
    this.run(() => this.core.commitNow());
  }

  close(): void {
    this.run(() => this.core.close());
  }

  /** The offsets delivered of a partition, in the order of their delivery. */
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

  // What the core does.

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
          // Nobody hears it. Of no consequence, and its own test shows it; anything else would be
          // missed.
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
        // The position is not in the log any more: delivery goes on elsewhere, rightly.
        if (effect.error.code === "OFFSET_OUT_OF_RANGE")
          for (const held of this.held.values()) held.next = null;
        // Every break of the group's connection is told of once; the log says what the test has broken itself.
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

  /** [SES-1] and [SES-3]: nothing that is not held, no gap, nothing twice. */
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

// A broker to go with it, for tests in which nobody decides by hand what happens next: the
// coordinator is the real one, the logs are lists of batches, and every wire may be cut or go dead
// at any moment.

/** Numbers that look random and are the same for the same seed (mulberry32). */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** From 0 to below `bound`. */
  roll(bound: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * bound);
  }

  oneIn(odds: number): boolean {
    return this.roll(odds) === 0;
  }

  pick<T>(items: readonly T[]): T | undefined {
    return items[this.roll(items.length)];
  }
}

interface StoredBatch {
  readonly baseOffset: number;
  readonly nextOffset: number;
  readonly bytes: Uint8Array;
}

interface Log {
  readonly place: Place;
  readonly batches: StoredBatch[];
  endOffset: number;
  newest: OwnerToken | null;
}

type ToBroker =
  | { readonly type: "frame"; readonly message: MemberMessage | ReaderMessage }
  | { readonly type: "ping" }
  | { readonly type: "close"; readonly code: number };
type ToClient =
  | { readonly type: "frame"; readonly message: CoordinatorMessage | PartitionMessage }
  | { readonly type: "bytes"; readonly bytes: Uint8Array }
  | { readonly type: "pong" }
  | { readonly type: "close"; readonly code: number; readonly reason: string };

/** One socket: both ends and what is under way between them. */
interface Link {
  readonly client: Client;
  readonly connection: number;
  readonly place: Place | null;
  isOpen: boolean;
  /** Nothing arrives any more, and neither end is told. */
  isDead: boolean;
  readonly up: ToBroker[];
  readonly down: ToClient[];
  /** The broker's end: who joined over it, or where it reads. */
  memberId: string | null;
  reader: { attachId: number; next: number; window: number; owner: OwnerToken } | null;
}

/** A consumer and an application that takes its time. */
class Client {
  readonly harness: ConsumerHarness;
  /** Delivered and not processed. */
  readonly queues = new Map<Place, { offset: number; attachId: number }[]>();
  readonly paused = new Set<Place>();
  /** Until then it cannot reach the broker. */
  awayUntilMs = 0;
  seen = 0;

  constructor(config: Partial<ConsumerCoreConfig>) {
    this.harness = new ConsumerHarness(config);
  }
}

export interface World {
  readonly seed: number;
  readonly clients: number;
  readonly partitions: number;
  readonly recordsPerPartition: number;
  readonly config: Partial<ConsumerCoreConfig>;
  /** Whether clients are cut off for longer than their session lasts, vanish, and come anew. */
  readonly isRough: boolean;
}

export class FakeBroker {
  nowMs = 1_000_000;
  readonly clients: Client[] = [];
  readonly coordinator = new Coordinator(emptyGroup("g"));
  readonly logs: readonly Log[];
  /** How far each partition was processed, by whomever. */
  readonly processed = new Map<Place, number>();
  lostCount = 0;
  readonly #world: World;
  readonly #dice: Dice;
  readonly #lastSeen = new Map<string, number>();
  #links: Link[] = [];
  #clientCount = 0;

  constructor(world: World) {
    this.#world = world;
    this.#dice = new Dice(world.seed);
    this.logs = Array.from({ length: world.partitions }, (_, i) => ({
      place: `t:${i}` as const,
      batches: [],
      endOffset: 0,
      newest: null,
    }));
    for (let i = 0; i < world.clients; i++) this.#startClient();
  }

  #startClient(): void {
    const client = new Client({ ...this.#world.config, memberId: `m${this.#clientCount++}` });
    this.clients.push(client);
    client.harness.nowMs = this.nowMs;
    client.harness.start();
    this.#follow(client);
  }

  get #live(): Client[] {
    return this.clients.filter(({ harness }) => !harness.isClosed);
  }

  // What happens.

  /** One thing that may happen, good or bad. */
  step(): void {
    const dice = this.#dice;
    const kind = dice.roll(100);
    if (kind < 60) this.#moveSomething();
    else if (kind < 76) this.#processSomething();
    else if (kind < 82) this.#append();
    else if (kind < 90) this.#passTime(this.#someTime());
    else if (kind < 96) this.#breakSomething();
    else if (kind < 98) this.#pauseOrResume();
    else if (this.#world.isRough) this.#trouble();
  }

  #someTime(): number {
    if (this.#dice.oneIn(3)) return this.#untilNextTimer();
    // Now and then all stand still for long, as where a handler or a machine does.
    const isStandstill = this.#world.isRough && this.#dice.oneIn(12);
    return this.#dice.roll(isStandstill ? 2 * (this.#world.config.sessionTimeoutMs ?? 0) : 60);
  }

  /** Nothing bad happens any more: everything is delivered, processed and committed. */
  finish(): void {
    while (this.logs.some((log) => log.endOffset < this.#world.recordsPerPartition)) this.#append();
    for (let rounds = 0; rounds < 3_000; rounds++) {
      if (this.#live.length === 0) this.#startClient();
      for (const client of this.#live) {
        for (const place of client.paused) client.harness.resume(place);
        client.paused.clear();
        this.#follow(client);
      }
      while (this.#moveSomething() || this.#processSomething());
      if (this.#isAllCommitted()) return;
      this.#passTime(this.#untilNextTimer());
    }
    const where = this.logs.map(({ place }) => `${place}=${this.processed.get(place) ?? 0}`);
    assert.fail(
      `nothing goes on any more: ${where.join(" ")} of ${this.#world.recordsPerPartition}`,
    );
  }

  /** All close. Over a dead socket that takes until somebody notices. */
  closeAll(): void {
    for (const client of this.#live) {
      client.harness.close();
      this.#follow(client);
    }
    for (let rounds = 0; rounds < 100; rounds++) {
      while (this.#moveSomething());
      if (this.#live.length === 0 && this.coordinator.state.members.size === 0) return;
      this.#passTime(this.#untilNextTimer());
    }
    assert.fail(
      `${this.#live.length} have not closed, ${this.coordinator.state.members.size} left`,
    );
  }

  #isAllCommitted(): boolean {
    const { offsets } = this.coordinator.state;
    return this.logs.every(
      ({ place, endOffset }) => offsets.get(keyOf(place))?.offset === endOffset,
    );
  }

  #moveSomething(): boolean {
    const ready = this.#links.filter(
      ({ isDead, isOpen, up, down }) => !isDead && (!isOpen || up.length > 0 || down.length > 0),
    );
    const link = this.#dice.pick(ready);
    if (link === undefined) return false;
    const { harness } = link.client;
    if (!link.isOpen) {
      const isAway = link.client.awayUntilMs > this.nowMs;
      if (isAway) this.#cut(link);
      else {
        link.isOpen = true;
        harness.openConnection(link.connection);
        this.#follow(link.client);
      }
    } else if (link.down.length > 0 && (link.up.length === 0 || this.#dice.oneIn(2))) {
      this.#toClient(link, link.down.shift());
    } else this.#toBroker(link, link.up.shift());
    return true;
  }

  #append(): void {
    const log = this.#dice.pick(this.logs);
    if (log === undefined) return;
    const room = this.#world.recordsPerPartition - log.endOffset;
    const count = Math.min(room, 1 + this.#dice.roll(5));
    if (count === 0) return;
    const baseOffset = log.endOffset;
    const bytes = batchOf(log.place, baseOffset, count);
    log.endOffset += count;
    log.batches.push({ baseOffset, nextOffset: log.endOffset, bytes });
    for (const link of this.#links) if (link.place === log.place) this.#pump(link);
  }

  #untilNextTimer(): number {
    const timers = this.#live.map(({ harness }) => harness.core.nextTimerMs);
    // An empty group's next deadline is the expiry of its offsets, a week away.
    const isEmpty = this.coordinator.state.members.size === 0;
    timers.push(isEmpty ? null : this.coordinator.nextDeadlineMs(this.#seen));
    const next = Math.min(...timers.map((atMs) => atMs ?? Number.POSITIVE_INFINITY));
    return Number.isFinite(next) ? Math.max(0, next - this.nowMs) : 1_000;
  }

  #passTime(ms: number): void {
    this.nowMs += ms;
    for (const client of this.#live) {
      client.harness.nowMs = this.nowMs;
      client.harness.run(() => client.harness.core.tick(this.nowMs));
      this.#follow(client);
    }
    this.coordinator.expire(this.#seen, this.nowMs);
    this.#tell();
  }

  readonly #seen = (memberId: string): number => this.#lastSeen.get(memberId) ?? 0;

  #breakSomething(): void {
    const link = this.#dice.pick(this.#links);
    if (link === undefined) return;
    if (this.#dice.oneIn(4)) link.isDead = true;
    else this.#cut(link);
  }

  /** The socket breaks and both ends hear of it. */
  #cut(link: Link): void {
    this.#remove(link);
    this.#brokerLost(link);
    if (!isClosedByClient(link)) {
      link.client.harness.breakConnection(link.connection, 1006, "");
      this.#follow(link.client);
    }
  }

  #trouble(): void {
    const client = this.#dice.pick(this.#live);
    const kind = this.#dice.roll(4);
    if (client === undefined || kind === 0) this.#startSome();
    else if (kind === 1) {
      // Long enough for its session to end at times, and not always.
      client.awayUntilMs = this.nowMs + this.#dice.roll(2 * client.harness.config.sessionTimeoutMs);
      for (const link of this.#links.filter((each) => each.client === client)) this.#cut(link);
    } else if (kind === 2) {
      client.harness.close();
      this.#follow(client);
    } else {
      client.harness.run(() => client.harness.core.abandon());
      this.#follow(client);
    }
  }

  #startSome(): void {
    if (this.#live.length <= this.#world.clients) this.#startClient();
  }

  // The applications.

  #pauseOrResume(): void {
    const client = this.#dice.pick(this.#live);
    const place = this.#dice.pick([...(client?.harness.held.keys() ?? [])]);
    if (client === undefined || place === undefined) return;
    if (client.paused.delete(place)) client.harness.resume(place);
    else {
      client.harness.pause(place);
      client.paused.add(place);
    }
    this.#follow(client);
  }

  #processSomething(): boolean {
    const busy = this.#live.flatMap((client) =>
      [...client.queues].filter(([, queue]) => queue.length > 0).map((each) => ({ client, each })),
    );
    const chosen = this.#dice.pick(busy);
    if (chosen === undefined) return this.#releaseSomething();
    const { client, each } = chosen;
    const [place, queue] = each;
    const [next] = queue.splice(0, 1);
    assert(next !== undefined);
    this.processed.set(place, Math.max(this.processed.get(place) ?? 0, next.offset + 1));
    client.harness.processed(place, next.offset + 1, next.attachId);
    this.#follow(client);
    // A revoked partition is let go of after any record, what is left comes again at its next
    // owner.
    if (client.harness.draining.has(place) && this.#dice.oneIn(2)) this.#release(client, place);
    return true;
  }

  #releaseSomething(): boolean {
    for (const client of this.#live) {
      for (const place of client.harness.draining) {
        this.#release(client, place);
        return true;
      }
    }
    return false;
  }

  #release(client: Client, place: Place): void {
    client.queues.delete(place);
    client.harness.released(place);
    this.#follow(client);
  }

  /** Does what the consumer asked for, and gives the application what it was told. */
  #follow(client: Client): void {
    const { harness } = client;
    const effects = harness.effects.slice(client.seen);
    client.seen = harness.effects.length;
    for (const effect of effects) {
      if (effect.type === "open-group") this.#newLink(client, effect.connection, null);
      else if (effect.type === "open-partition")
        this.#newLink(client, effect.connection, placeOf(effect));
      else if (effect.type === "send")
        this.#link(client, effect.connection)?.up.push({ type: "frame", message: effect.message });
      else if (effect.type === "ping")
        this.#link(client, effect.connection)?.up.push({ type: "ping" });
      else if (effect.type === "close")
        this.#closedByClient(client, effect.connection, effect.code);
      else this.#tellApplication(client, effect);
    }
  }

  #tellApplication(client: Client, effect: ConsumerEffect): void {
    if (effect.type === "assigned") {
      for (const position of effect.partitions) {
        const place = placeOf(position);
        client.paused.delete(place);
        client.queues.set(place, []);
        // Nothing that nobody has processed may be left out.
        const processed = this.processed.get(place) ?? 0;
        assert(
          position.offset <= processed,
          `${place} begins at ${position.offset}, ${processed} is due`,
        );
      }
    } else if (effect.type === "lost") {
      this.lostCount += effect.partitions.length;
      for (const place of effect.partitions) client.queues.delete(placeOf(place));
    } else if (effect.type === "records") {
      const place = placeOf(effect);
      const queue = client.queues.get(place);
      assert(queue !== undefined, `${place} is the application's`);
      for (const { offset } of effect.records) queue.push({ offset, attachId: effect.attachId });
      this.#checkWindow(client, place, queue);
    } else if (effect.type === "error") {
      const isWarning =
        !effect.isFatal && ["FENCED_MEMBER_EPOCH", "NETWORK_EXCEPTION"].includes(effect.error.code);
      assert(
        isWarning,
        `${client.harness.config.memberId}: ${effect.error.code} ${effect.error.message}`,
      );
    }
  }

  /** [SES-5] */
  #checkWindow(client: Client, place: Place, queue: readonly { offset: number }[]): void {
    const log = this.#log(place);
    let inHand = 0;
    let largest = 0;
    for (const { baseOffset, nextOffset, bytes } of log.batches) {
      largest = Math.max(largest, bytes.length);
      if (queue.some(({ offset }) => offset >= baseOffset && offset < nextOffset))
        inHand += bytes.length;
    }
    const bound = client.harness.config.windowBytes + largest;
    assert(inHand <= bound, `${inHand} bytes of ${place} are in hand, at most ${bound} may be`);
  }

  // The wires.

  #newLink(client: Client, connection: number, place: Place | null): void {
    const wires = { up: [], down: [], memberId: null, reader: null };
    this.#links.push({ client, connection, place, isOpen: false, isDead: false, ...wires });
  }

  #link(client: Client, connection: number): Link | undefined {
    return this.#links.find((each) => each.client === client && each.connection === connection);
  }

  #remove(link: Link): void {
    this.#links = this.#links.filter((each) => each !== link);
  }

  #closedByClient(client: Client, connection: number, code: number): void {
    const link = this.#link(client, connection);
    if (link === undefined) return;
    link.down.length = 0;
    if (!link.isOpen || (link.isDead && this.#dice.oneIn(2))) {
      this.#remove(link);
      return;
    }
    // What was under way arrives after all, also after what is sent over the next socket.
    link.isDead = false;
    link.up.push({ type: "close", code });
  }

  #toClient(link: Link, frame: ToClient | undefined): void {
    const { harness } = link.client;
    const { connection } = link;
    if (frame === undefined || isClosedByClient(link)) return;
    if (frame.type === "close") {
      this.#remove(link);
      harness.breakConnection(connection, frame.code, frame.reason);
    } else if (frame.type === "pong") harness.run(() => harness.core.pong(connection, this.nowMs));
    else if (frame.type === "bytes")
      harness.run(() => harness.core.data(connection, frame.bytes, this.nowMs));
    else harness.run(() => harness.core.message(connection, frame.message, this.nowMs));
    this.#follow(link.client);
  }

  #toBroker(link: Link, frame: ToBroker | undefined): void {
    if (frame === undefined) return;
    if (frame.type === "ping") {
      if (link.memberId !== null) this.#lastSeen.set(link.memberId, this.nowMs);
      link.down.push({ type: "pong" });
    } else if (frame.type === "close") {
      this.#remove(link);
      if (frame.code === 1000 && link.memberId !== null) this.#left(link);
      else this.#brokerLost(link);
    } else if (link.place === null) this.#fromMember(link, frame.message as MemberMessage);
    else this.#fromReader(link, link.place, frame.message as ReaderMessage);
  }

  #closeFromBroker(link: Link, code: number, reason: string): void {
    link.memberId = null;
    link.reader = null;
    link.up.length = 0;
    if (!isClosedByClient(link)) link.down.push({ type: "close", code, reason });
  }

  #brokerLost(link: Link): void {
    const { memberId } = link;
    link.memberId = null;
    link.reader = null;
    if (memberId === null) return;
    this.coordinator.disconnect(memberId, this.nowMs);
    this.#tell();
  }

  // The group, as durable-objects/group/group-object.ts does it.

  #fromMember(link: Link, message: MemberMessage): void {
    if (message.type === "join") {
      this.#join(link, message);
      return;
    }
    if (message.type === "leave") {
      this.#left(link);
      return;
    }
    const requestId = message.type === "commit" ? message.requestId : undefined;
    if (link.memberId === null) {
      this.#refuse(link, "UNKNOWN_MEMBER_ID", requestId);
    } else if (message.type === "revoked") {
      const result = this.coordinator.revoked(link.memberId, toSet(message.partitions), this.nowMs);
      if (!result.ok) this.#refuse(link, result.error);
      this.#tell();
    } else this.#commit(link, link.memberId, message);
  }

  #join(link: Link, message: Extract<MemberMessage, { type: "join" }>): void {
    const { memberId, memberEpoch } = message;
    const joined = this.coordinator.join(
      {
        memberId,
        memberEpoch,
        instanceId: message.instanceId ?? null,
        clientId: null,
        topics: message.topics ?? [],
        topicPattern: message.topicPattern ?? null,
        sessionTimeoutMs: message.sessionTimeoutMs ?? SESSION_MS,
        rebalanceTimeoutMs: message.rebalanceTimeoutMs ?? SESSION_MS,
        owned: toSet(message.owned ?? []),
        polls: false,
        heartbeats: false,
      },
      [{ topicId: "id-t", name: "t", partitions: this.#world.partitions }],
      this.nowMs,
    );
    if (!joined.ok) {
      this.#refuse(link, joined.error);
      return;
    }
    for (const older of this.#links) {
      if (older !== link && older.memberId === memberId)
        this.#closeFromBroker(older, CLOSE_REPLACED, "the member connected again");
    }
    link.memberId = memberId;
    this.#lastSeen.set(memberId, this.nowMs);
    this.#tell(memberId, message.requestId);
  }

  #commit(link: Link, memberId: string, message: Commit): void {
    const { requestId, memberEpoch, offsets } = message;
    const commits = offsets.map(({ topicId, partition, offset, isRewind }) => ({
      key: partitionKey(topicId, partition),
      offset,
      metadata: "",
      isRewind: isRewind ?? false,
    }));
    const result = this.coordinator.offsets.commit(memberId, memberEpoch, commits, this.nowMs);
    this.coordinator.takeEvents();
    if (!result.ok) {
      this.#refuse(link, result.error, requestId);
      return;
    }
    const rejected = result.rejected.map(({ key, error, detail }) => ({
      ...parsePartitionKey(key),
      code: error,
      detail,
    }));
    link.down.push({ type: "frame", message: { type: "committed", requestId, rejected } });
    for (const { key, offset } of commits) {
      const place = `t:${parsePartitionKey(key).partition}` as const;
      const processed = this.processed.get(place) ?? 0;
      assert(offset <= processed, `${place}: ${offset} is committed, ${processed} is processed`);
    }
  }

  #left(link: Link): void {
    const { memberId } = link;
    this.#closeFromBroker(link, 1000, "left");
    if (memberId === null) return;
    this.coordinator.leave(memberId, this.nowMs);
    this.#tell();
  }

  #refuse(link: Link, code: ErrorName, requestId?: number): void {
    const { code: errorCode, retriable } = ERRORS[code];
    const error = { type: "error" as const, code, errorCode, retriable, detail: "refused" };
    const answer = requestId === undefined ? {} : { requestId };
    link.down.push({ type: "frame", message: { ...error, ...answer } });
  }

  #tell(joined?: string, requestId?: number): void {
    const told = new Set(joined === undefined ? [] : [joined]);
    for (const event of this.coordinator.takeEvents()) {
      if (event.type === "member") told.add(event.member.memberId);
      if (event.type !== "member-removed" || event.reason === "left") continue;
      const link = this.#links.find(({ memberId }) => memberId === event.memberId);
      if (link !== undefined) this.#closeFromBroker(link, CLOSE_SESSION_ENDED, event.reason);
    }
    const { state } = this.coordinator;
    for (const link of this.#links) {
      const member = link.memberId === null ? undefined : state.members.get(link.memberId);
      if (member === undefined || !told.has(member.memberId)) continue;
      const isAnswer = member.memberId === joined && requestId !== undefined;
      const message: AssignmentMessage = {
        type: "assignment",
        ...(isAnswer ? { requestId } : {}),
        memberId: member.memberId,
        memberEpoch: member.memberEpoch,
        incarnation: state.incarnation,
        memberNumber: member.memberNumber,
        heartbeatIntervalMs: heartbeatIntervalMs(member.sessionTimeoutMs),
        sessionTimeoutMs: member.sessionTimeoutMs,
        state: member.state,
        partitions: [...member.assigned].map((key) => ({
          ...parsePartitionKey(key),
          topic: "t",
          committedOffset: state.offsets.get(key)?.offset ?? null,
        })),
        missingTopics: [],
      };
      link.down.push({ type: "frame", message });
    }
  }

  // The partitions, as durable-objects/partition/partition-object.ts does it.

  #log(place: Place): Log {
    const log = this.logs.find((each) => each.place === place);
    assert(log !== undefined, `${place} exists`);
    return log;
  }

  #fromReader(link: Link, place: Place, message: ReaderMessage): void {
    const attachId = message.attachId ?? 0;
    if (message.type === "window") {
      if (link.reader?.attachId !== attachId) return;
      link.reader.window += message.bytes;
      assert(
        link.reader.window <= link.client.harness.config.windowBytes,
        "a window only fills up",
      );
      this.#pump(link);
      return;
    }
    const log = this.#log(place);
    const { owner } = message;
    assert(owner !== undefined, "a member proves that it owns the partition");
    if (!mayAttach(log.newest, owner)) {
      this.#closeFromBroker(link, CLOSE_FENCED, "a newer owner attached");
      return;
    }
    log.newest = owner;
    for (const other of this.#links) {
      if (other === link || other.place !== place || other.reader === null) continue;
      const isSame = other.reader.owner.memberNumber === owner.memberNumber;
      this.#closeFromBroker(other, isSame ? CLOSE_REPLACED : CLOSE_FENCED, "a newer owner");
    }
    const next = message.offset === "earliest" ? 0 : message.offset;
    assert(typeof next === "number" && next <= log.endOffset, `${place} is read at ${next}`);
    const windowBytes = message.windowBytes ?? 0;
    link.reader = { attachId, next, window: windowBytes, owner };
    const bounds = { logStartOffset: 0, highWatermark: log.endOffset, windowBytes };
    const attached = { type: "attached" as const, attachId, offset: next, ...bounds };
    link.down.push({ type: "frame", message: attached });
    this.#pump(link);
  }

  #pump(link: Link): void {
    const { reader, place } = link;
    if (reader === null || place === null || isClosedByClient(link)) return;
    for (const { baseOffset, nextOffset, bytes } of this.#log(place).batches) {
      if (nextOffset <= reader.next || reader.window <= 0) continue;
      assert(baseOffset <= reader.next);
      link.down.push({ type: "bytes", bytes });
      reader.next = nextOffset;
      reader.window -= bytes.length;
    }
  }
}

function isClosedByClient(link: Link): boolean {
  return link.up.some(({ type }) => type === "close");
}

function keyOf(place: Place) {
  const { topicId, partition } = parsePlace(place);
  return partitionKey(topicId, partition);
}
