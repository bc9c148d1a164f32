// A broker for consumers whose events nobody decides by hand. The coordinator is the real one, and the logs are lists of
// batches. Every wire may be cut or go dead at any moment.

import assert from "node:assert/strict";
import { ERRORS, type ErrorName } from "../../src/core/errors.ts";
import { parsePartitionKey, partitionKey, toSet } from "../../src/core/group/partition-key.ts";
import { emptyGroup } from "../../src/core/group/state.ts";
import { mayAttach, type OwnerToken } from "../../src/core/log/fences.ts";
import type { ConsumerCoreConfig } from "../../src/member/consumer-core.ts";
import type { ConsumerEffect } from "../../src/member/effects.ts";
import {
  CLOSE_FENCED,
  CLOSE_REPLACED,
  CLOSE_SESSION_ENDED,
} from "../../src/protocol/close-codes.ts";
import type { AssignmentMessage, MemberMessage } from "../../src/protocol/group-socket.ts";
import { heartbeatIntervalMs } from "../../src/protocol/heartbeat.ts";
import type { ReaderMessage } from "../../src/protocol/partition-socket.ts";
import { SESSION_MS } from "./consumer-harness.ts";
import { Client, isClosedByClient, type Link, type ToBroker, type ToClient } from "./fake-links.ts";
import { batchOf, type Place, parsePlace, placeOf } from "./places.ts";
import { Random } from "./random.ts";
import { sightOf } from "./sight.ts";
import { TestedCoordinator } from "./tested-coordinator.ts";

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

type Commit = Extract<MemberMessage, { type: "commit" }>;

export interface World {
  readonly seed: number;
  readonly clients: number;
  readonly partitions: number;
  readonly recordsPerPartition: number;
  readonly config: Partial<ConsumerCoreConfig>;
  /** True if clients are also cut off for longer than their session lasts, or vanish and come anew. */
  readonly isRough: boolean;
}

export class FakeBroker {
  nowMs = 1_000_000;
  readonly clients: Client[] = [];
  readonly coordinator = new TestedCoordinator(emptyGroup("g"));
  readonly logs: readonly Log[];
  /** The offset up to which each partition was processed, by any client. */
  readonly processed = new Map<Place, number>();
  lostCount = 0;
  readonly #world: World;
  readonly #random: Random;
  readonly #lastSeen = new Map<string, number>();
  #links: Link[] = [];
  #clientCount = 0;

  constructor(world: World) {
    this.#world = world;
    this.#random = new Random(world.seed);
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

  // The events of the world.

  /** One thing that may happen, good or bad. */
  step(): void {
    const random = this.#random;
    const kind = random.integer(0, 99);
    if (kind < 60) this.#moveSomething();
    else if (kind < 76) this.#processSomething();
    else if (kind < 82) this.#append();
    else if (kind < 90) this.#passTime(this.#someTime());
    else if (kind < 96) this.#breakSomething();
    else if (kind < 98) this.#pauseOrResume();
    else if (this.#world.isRough) this.#trouble();
  }

  #someTime(): number {
    if (this.#random.chance(1 / 3)) return this.#untilNextTimer();
    // Now and then everything stands still for long, as if a handler or a machine did.
    const isStandstill = this.#world.isRough && this.#random.chance(1 / 12);
    return this.#random.integer(
      0,
      isStandstill ? 2 * (this.#world.config.sessionTimeoutMs ?? 0) : 60 - 1,
    );
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
    const link = this.#random.pick(ready);
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
    } else if (link.down.length > 0 && (link.up.length === 0 || this.#random.chance(1 / 2))) {
      this.#toClient(link, link.down.shift());
    } else this.#toBroker(link, link.up.shift());
    return true;
  }

  #append(): void {
    const log = this.#random.pick(this.logs);
    if (log === undefined) return;
    const room = this.#world.recordsPerPartition - log.endOffset;
    const count = Math.min(room, 1 + this.#random.integer(0, 4));
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
    timers.push(isEmpty ? null : this.coordinator.nextDeadlineMs(this.#sight));
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
    this.coordinator.expire(this.#sight, this.nowMs);
    this.#tell();
  }

  readonly #sight = sightOf((memberId) => this.#lastSeen.get(memberId) ?? 0);

  #breakSomething(): void {
    const link = this.#random.pick(this.#links);
    if (link === undefined) return;
    if (this.#random.chance(1 / 4)) link.isDead = true;
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
    const client = this.#random.pick(this.#live);
    const kind = this.#random.integer(0, 3);
    if (client === undefined || kind === 0) this.#startSome();
    else if (kind === 1) {
      // Long enough for its session to end at times, and not always.
      client.awayUntilMs =
        this.nowMs + this.#random.integer(0, 2 * client.harness.config.sessionTimeoutMs - 1);
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
    const client = this.#random.pick(this.#live);
    const place = this.#random.pick([...(client?.harness.held.keys() ?? [])]);
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
    const chosen = this.#random.pick(busy);
    if (chosen === undefined) return this.#releaseSomething();
    const { client, each } = chosen;
    const [place, queue] = each;
    const [next] = queue.splice(0, 1);
    assert(next !== undefined);
    this.processed.set(place, Math.max(this.processed.get(place) ?? 0, next.offset + 1));
    client.harness.processed(place, next.offset + 1, next.attachId);
    this.#follow(client);
    // A revoked partition is released after any record; the rest comes again at its next owner.
    if (client.harness.draining.has(place) && this.#random.chance(1 / 2))
      this.#release(client, place);
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

  /** Carries out the consumer's commands, and gives the application its news. */
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
        // No unprocessed record may be skipped.
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
    if (!link.isOpen || (link.isDead && this.#random.chance(1 / 2))) {
      this.#remove(link);
      return;
    }
    // Messages in flight arrive after all, even after those of the next socket.
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

  // The group's part, as in durable-objects/group/group-object.ts.

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

  // The partitions' part, as in durable-objects/partition/partition-object.ts.

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

function keyOf(place: Place) {
  const { topicId, partition } = parsePlace(place);
  return partitionKey(topicId, partition);
}
