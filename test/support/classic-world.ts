// A classic group among clients that join, sync, read, die, leave and return at random, and an object that is evicted now
// and then. After every step the group is checked against its invariants.
import assert from "node:assert/strict";
import type { JoinedReply, SyncedReply } from "../../src/calls/kafka-replies.ts";
import { ERRORS, KAFKA_ERRORS } from "../../src/core/errors.ts";
import { type ClassicState, isRebalancing } from "../../src/core/group/classic-state.ts";
import type { ClassicJoin } from "../../src/core/group/requests.ts";
import { MAX_PENDING_CLASSIC_MS } from "../../src/core/limits.ts";
import type { Random } from "./random.ts";
import { TestedClassic } from "./tested-classic.ts";

export const PARTITIONS = 7;
/** Either may be the longer one. */
const TIMEOUTS_MS = [10_000, 14_000, 30_000];
/** A live client does its part at least this often. */
const TICK_MS = 3_000;
const { NONE, MEMBER_ID_REQUIRED, FENCED_INSTANCE_ID } = KAFKA_ERRORS;
const UNKNOWN = ERRORS.UNKNOWN_MEMBER_ID.code;

const encoded = (text: string) => new TextEncoder().encode(text);
const decoded = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/**
 * - OUT: it has to join, with its id if it has one.
 * - JOINING, SYNCING: it waits for an answer.
 * - JOINED: it has to sync.
 * - IN: it reads its part.
 * - GONE: it never asks anything again.
 */
type Stage = "OUT" | "JOINING" | "JOINED" | "SYNCING" | "IN" | "GONE";

export interface Client {
  readonly name: string;
  readonly instanceId: string | null;
  readonly mustKnowId: boolean;
  readonly canSkipAssignment: boolean;
  readonly protocols: readonly string[];
  /** It changes when the client subscribes to something else. */
  subscription: number;
  /** The subscription that it last joined with. */
  told: number;
  /** The number of calls so far. Only the response to the last one is heard. */
  calls: number;
  memberId: string;
  stage: Stage;
  joined: JoinedReply | null;
  part: readonly number[];
  diedAtMs: number | null;
}

/** The responses to the members of one generation. */
interface Generation {
  readonly protocolName: string | null;
  readonly members: Set<string>;
  leader: string | null;
  parts: ReadonlyMap<string, string>;
}

export class ClassicWorld {
  readonly clients: Client[] = [];
  nowMs = 1_000_000;
  group: TestedClassic;
  readonly #random: Random;
  readonly #sessionMs: number;
  readonly #rebalanceMs: number;
  #stored: ClassicState | null = null;
  #generations = new Map<number, Generation>();
  #lastGeneration = 0;
  #ids = 0;
  /** The current phase of the group, and since when. */
  #phase: { readonly name: string; readonly sinceMs: number } = { name: "", sinceMs: 0 };

  constructor(random: Random) {
    this.#random = random;
    this.#sessionMs = random.pick(TIMEOUTS_MS);
    this.#rebalanceMs = random.pick(TIMEOUTS_MS);
    this.group = new TestedClassic(null, this.nowMs);
  }

  // The actions of clients.

  start(instanceId: string | null): Client {
    const client: Client = {
      name: `client-${++this.#ids}`,
      instanceId,
      mustKnowId: this.#random.chance(0.7),
      canSkipAssignment: this.#random.chance(0.5),
      protocols: this.#random.pick([["range"], ["range", "sticky"], ["sticky", "range"]]),
      subscription: 0,
      told: 0,
      calls: 0,
      memberId: "",
      stage: "OUT",
      joined: null,
      part: [],
      diedAtMs: null,
    };
    this.clients.push(client);
    return client;
  }

  /** The client does its next step. */
  act(client: Client): void {
    switch (client.stage) {
      case "OUT":
        this.#join(client);
        break;
      case "JOINED":
        this.#sync(client);
        break;
      case "IN":
        if (client.told === client.subscription) this.#beat(client);
        else this.#join(client);
        break;
      default: // It waits, or it is gone.
    }
  }

  die(client: Client): void {
    client.diedAtMs = this.nowMs;
    client.stage = "GONE";
  }

  leave(client: Client): void {
    const isMember = this.group.members.has(client.memberId);
    this.die(client);
    if (client.memberId === "") return;
    const errorCode = this.#step(() =>
      this.group.leave(client.memberId, client.instanceId, this.nowMs),
    );
    if (isMember) assert.equal(errorCode, NONE, `${client.name} may leave`);
    assert(!this.group.members.has(client.memberId), `${client.name} has left`);
  }

  /** A static client stops without a word and starts again. It knows its instance id and nothing else. */
  restart(client: Client): void {
    this.die(client);
    this.start(client.instanceId);
  }

  /** The client's connection breaks while it waits, and it repeats its request. */
  ask(client: Client): void {
    if (client.stage === "JOINING") this.#join(client);
    else if (client.stage === "SYNCING") this.#sync(client);
  }

  /** The client subscribes to something else, so all must join again. */
  subscribe(client: Client): void {
    client.subscription++;
  }

  /** The clock is set, and the group is told. Nobody is removed for that. */
  setClock(): void {
    this.nowMs += this.#random.pick([-100_000, 100_000]);
    this.#step(() => this.group.beginSessionsAnew(this.nowMs));
    this.#phase = { name: "", sinceMs: this.nowMs };
    const before = this.group.members.size;
    this.#step(() => this.group.expire(this.nowMs));
    assert.equal(this.group.members.size, before, "the clock was set, and somebody is gone");
  }

  /** A topic is deleted, and all must join again. */
  deleteTopic(): void {
    this.#step(() => this.group.topicGone("t", this.nowMs));
  }

  /** The object forgets what is not stored, and every waiting client repeats its request. */
  evict(): void {
    this.group = new TestedClassic(structuredClone(this.#stored), this.nowMs);
    this.#generations.delete(this.#lastGeneration);
    this.#lastGeneration = this.group.generation;
    this.#phase = { name: "", sinceMs: this.nowMs };
    for (const client of this.clients) {
      if (client.stage === "JOINING") client.stage = "OUT";
      if (client.stage === "SYNCING") client.stage = "JOINED";
    }
    this.#step(() => undefined);
  }

  /** Time passes. The alarm rings whenever the group requested it. */
  pass(ms: number): void {
    const untilMs = this.nowMs + ms;
    for (;;) {
      const deadlineMs = this.group.nextDeadlineMs;
      if (deadlineMs === null || deadlineMs > untilMs) break;
      this.nowMs = Math.max(this.nowMs, deadlineMs);
      const before = new Set(this.group.members.keys());
      this.#step(() => this.group.expire(this.nowMs));
      for (const memberId of before.difference(new Set(this.group.members.keys()))) {
        const client = this.clients.find((each) => each.memberId === memberId);
        assert.equal(client?.stage ?? "GONE", "GONE", `${client?.name} is alive and was removed`);
      }
      const next = this.group.nextDeadlineMs ?? Number.POSITIVE_INFINITY;
      assert(next > this.nowMs, "an alarm that rings again at once");
    }
    this.nowMs = untilMs;
    this.#checkTime();
  }

  /** Every live client does its part, in any order, and time moves on a little. */
  tick(): void {
    const alive = this.alive.map((client) => ({ client, place: this.#random.next() }));
    for (const { client } of alive.sort((a, b) => a.place - b.place)) this.act(client);
    this.pass(this.#random.integer(1, TICK_MS));
  }

  /** No more faults: the group comes to rest, with the live clients and no others. */
  settle(): void {
    const untilMs = this.nowMs + 4 * (this.#sessionMs + this.#rebalanceMs + MAX_PENDING_CLASSIC_MS);
    while (!this.#isAtRest() && this.nowMs < untilMs) this.tick();
    const { generation } = this.group;
    for (let i = 0; i < 5; i++) this.tick();
    assert.equal(this.group.generation, generation, "it stays at rest");
    const alive = this.alive;
    assert.equal(this.group.phase, alive.length === 0 ? "EMPTY" : "STABLE");
    const members = [...this.group.members.keys()].sort();
    assert.deepEqual(members, alive.map(({ memberId }) => memberId).sort(), "the dead are removed");
    for (const client of alive) assert.equal(client.stage, "IN", `${client.name} reads`);
    const parts = alive.flatMap(({ part }) => part).sort();
    const all = alive.length === 0 ? [] : Array.from({ length: PARTITIONS }, (_, i) => i);
    assert.deepEqual(parts, all, "each partition is read");
  }

  #isAtRest(): boolean {
    const { phase, members } = this.group;
    return (
      (phase === "STABLE" || phase === "EMPTY") &&
      members.size === this.alive.length &&
      this.alive.every(
        ({ stage, memberId, told, subscription }) =>
          stage === "IN" && members.has(memberId) && told === subscription,
      )
    );
  }

  get alive(): Client[] {
    return this.clients.filter(({ stage }) => stage !== "GONE");
  }

  #join(client: Client): void {
    client.told = client.subscription;
    const request: ClassicJoin = {
      memberId: client.memberId,
      newMemberId: `${client.name}-${++this.#ids}`,
      instanceId: client.instanceId,
      clientId: client.name,
      clientHost: "/",
      sessionTimeoutMs: this.#sessionMs,
      rebalanceTimeoutMs: this.#rebalanceMs,
      protocolType: "consumer",
      protocols: client.protocols.map((name) => ({ name, metadata: metadataOf(client, name) })),
      mustKnowId: client.mustKnowId,
      canSkipAssignment: client.canSkipAssignment,
    };
    client.stage = "JOINING";
    this.#ask<JoinedReply>(
      client,
      "JOINING",
      (later) => this.group.join(request, 100, this.nowMs, later),
      {
        answered: (joined) => this.#onJoined(client, joined),
      },
    );
  }

  #onJoined(client: Client, joined: JoinedReply): void {
    client.stage = "OUT";
    if (joined.errorCode === MEMBER_ID_REQUIRED) client.memberId = joined.memberId;
    else if (joined.errorCode === FENCED_INSTANCE_ID) this.die(client);
    else if (joined.errorCode === UNKNOWN) client.memberId = "";
    if (joined.errorCode !== NONE) return;
    client.memberId = joined.memberId;
    client.joined = joined;
    client.stage = "JOINED";
    const { protocolName } = joined;
    assert(client.protocols.includes(protocolName ?? ""), `${client.name} follows ${protocolName}`);
    const { members: told, generation } = joined;
    assert(generation >= this.#lastGeneration, "a generation goes back");
    this.#lastGeneration = generation;
    const known = this.#generations.get(generation);
    const now: Generation = known ?? {
      protocolName,
      members: new Set(this.group.members.keys()),
      leader: null,
      parts: new Map(),
    };
    this.#generations.set(generation, now);
    assert.equal(protocolName, now.protocolName, "one protocol in a generation");
    if (joined.leaderId !== joined.memberId) {
      assert.deepEqual(told, [], "only the leader is told of all");
      return;
    }
    if (!joined.skipAssignment) {
      assert.equal(now.leader, null, "one leader in a generation");
      now.leader = client.memberId;
    }
    assert.deepEqual(
      told.map(({ memberId }) => memberId).sort(),
      [...this.group.members.keys()].sort(),
    );
    for (const { memberId, instanceId, metadata } of told) {
      const member = this.clients.find((each) => each.memberId === memberId);
      // A client that died before it heard of its id is not to be found by it.
      if (member === undefined) continue;
      assert.equal(instanceId, member.instanceId);
      assert.deepEqual(metadata, metadataOf(member, protocolName ?? ""));
    }
  }

  #sync(client: Client): void {
    const { memberId, joined } = client;
    assert(joined !== null);
    const isLeader = joined.leaderId === memberId && !joined.skipAssignment;
    const parts = new Map<string, number[]>();
    if (isLeader) {
      for (const member of joined.members) parts.set(member.memberId, []);
      const members = [...parts.values()];
      for (let i = 0; i < PARTITIONS; i++) members[i % members.length]?.push(i);
    }
    const assignments = [...parts].map(([id, part]) => ({
      memberId: id,
      assignment: encoded(JSON.stringify(part)),
    }));
    const { generation, protocolType, protocolName } = joined;
    const request = {
      memberId,
      instanceId: client.instanceId,
      generation,
      protocolType: this.#random.pick([protocolType, null]),
      protocolName: this.#random.pick([protocolName, null]),
      assignments,
    };
    client.stage = "SYNCING";
    this.#ask<SyncedReply>(
      client,
      "SYNCING",
      (later) => this.group.sync(request, this.nowMs, later),
      {
        answered: (synced) => this.#onSynced(client, synced),
      },
    );
  }

  #onSynced(client: Client, { errorCode, assignment, protocolName }: SyncedReply): void {
    client.stage = "OUT";
    if (errorCode === UNKNOWN) client.memberId = "";
    if (errorCode === FENCED_INSTANCE_ID) this.die(client);
    if (errorCode !== NONE) return;
    client.stage = "IN";
    assert.equal(protocolName, client.joined?.protocolName);
    const text = decoded(assignment);
    client.part = text === "" ? [] : JSON.parse(text);
  }

  #beat(client: Client): void {
    const token = {
      memberId: client.memberId,
      instanceId: client.instanceId,
      generation: client.joined?.generation ?? -1,
    };
    const mayCommit = this.group.commitErrorCode(token);
    const errorCode = this.#step(() => this.group.heartbeat(token, this.nowMs));
    // It may commit what it has read as long as its generation is not over, even to be told so.
    if (errorCode === NONE && this.group.phase === "STABLE") assert.equal(mayCommit, NONE);
    if (errorCode === NONE) return;
    client.stage = "OUT";
    client.part = [];
    if (errorCode === UNKNOWN) client.memberId = "";
    if (errorCode === FENCED_INSTANCE_ID) this.die(client);
  }

  /** Sends the group a request that may be answered later. A client that is gone hears nothing. */
  #ask<T>(
    client: Client,
    stage: Stage,
    ask: (later: (answer: T) => void) => T | null,
    { answered }: { answered: (answer: T) => void },
  ): void {
    const call = ++client.calls;
    let answers = 0;
    const later = (answer: T) => {
      assert.equal(++answers, 1, `${client.name} is answered once`);
      if (client.stage === stage && client.calls === call) answered(answer);
    };
    this.#step(() => {
      const answer = ask(later);
      if (answer !== null) later(answer);
    });
  }

  // The invariants.

  #step<T>(action: () => T): T {
    const result = action();
    this.#stored = this.group.takeState() ?? this.#stored;
    this.#checkStored();
    this.#checkParts();
    return result;
  }

  /** [CLS-7] The stored group is the current one, unless a rebalance is under way. Then it says so. */
  #checkStored(): void {
    const { phase, members, generation, protocolType } = this.group;
    const stored = this.#stored;
    if (stored === null) {
      assert.equal(phase, "EMPTY");
      return;
    }
    const isOnItsWay = isRebalancing({ phase });
    assert.equal(isRebalancing(stored), isOnItsWay, "a rebalance is stored as one");
    assert.equal(phase === "EMPTY", members.size === 0, `${phase} with ${members.size} members`);
    if (isOnItsWay) return;
    assert.deepEqual(stored.members, members, "the members are stored");
    assert.equal(stored.generation, generation);
    assert.equal(stored.protocolType, protocolType);
    assert.equal(stored.protocolName, this.group.protocolName);
    const isLed = stored.members.has(stored.leaderId ?? "");
    assert.equal(isLed, members.size > 0, "the leader is a member");
  }

  /** No partition is read by two members of the current generation. */
  #checkParts(): void {
    if (this.group.phase !== "STABLE") return;
    const readers = new Map<number, string>();
    for (const client of this.clients) {
      const member = this.group.members.get(client.memberId);
      const isCurrent = client.joined?.generation === this.group.generation;
      if (client.stage !== "IN" || member === undefined || !isCurrent) continue;
      const text = decoded(member.assignment);
      assert.deepEqual(client.part, text === "" ? [] : JSON.parse(text));
      for (const partition of client.part) {
        assert(!readers.has(partition), `${partition} is read by two`);
        readers.set(partition, client.name);
      }
    }
  }

  /** [CLS-3] No phase but a stable one lasts: a rebalance continues without members that do not come. */
  #checkTime(): void {
    const name = `${this.group.phase} of ${this.group.generation}`;
    if (name !== this.#phase.name) this.#phase = { name, sinceMs: this.nowMs };
    if (this.group.phase !== "PREPARING" && this.group.phase !== "COMPLETING") return;
    const lasts = this.nowMs - this.#phase.sinceMs;
    assert(lasts <= this.#rebalanceMs, `the group is ${name} for ${lasts} ms`);
    assert(this.group.nextDeadlineMs !== null, "a rebalance has a deadline");
  }
}

function metadataOf(client: Client, protocol: string): Uint8Array {
  return encoded(`${client.name} by ${protocol}, ${client.told}`);
}
