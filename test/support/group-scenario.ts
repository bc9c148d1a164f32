// A group as a story: members join, lose their connection, revoke, time passes. After every step the coordinator is checked
// against its invariants, so a test only states what is special.
import assert from "node:assert/strict";
import type { Failure, KafkaErrorName, KafkaResult, Result } from "../../src/core/errors.ts";
import {
  equalSets,
  type PartitionKey,
  type PartitionSet,
  parsePartitionKey,
  partitionKey,
} from "../../src/core/group/partition-key.ts";
import type { OffsetCommit, RejectedOffset } from "../../src/core/group/requests.ts";
import {
  emptyGroup,
  type GroupEvent,
  type GroupState,
  type GroupTopic,
  type Member,
  replay,
  subscriberTest,
} from "../../src/core/group/state.ts";
import { subscribes } from "../../src/core/group/topic-pattern.ts";
import { sightOf } from "./sight.ts";
import { TestedCoordinator } from "./tested-coordinator.ts";

export interface JoinOptions {
  /** Names. By default all topics of the scenario. */
  readonly topics?: readonly string[];
  readonly topicPattern?: string;
  readonly polls?: boolean;
  readonly heartbeats?: boolean;
  readonly memberEpoch?: number;
  readonly owned?: Iterable<PartitionKey>;
  readonly instanceId?: string;
  readonly clientId?: string;
  readonly sessionTimeoutMs?: number;
  readonly rebalanceTimeoutMs?: number;
}

export const SESSION_MS = 45_000;
export const REBALANCE_MS = 300_000;

export class GroupScenario {
  readonly coordinator = new TestedCoordinator(emptyGroup("group"));
  /** All events so far, as they would have been stored. */
  readonly events: GroupEvent[] = [];
  nowMs = 1_000_000;
  /** Built from the events alone. */
  readonly #replica = emptyGroup("group");
  /** The cluster's topics by name. */
  readonly #topics = new Map<string, GroupTopic>();
  readonly #generations = new Map<string, number>();
  /** Connected members whose heartbeats have stopped, and when the last one came. */
  readonly #mutedSince = new Map<string, number>();

  /** `topics`: name → partitions. A topic's id is its name, so partitions read `orders:0`. */
  constructor(topics: Readonly<Record<string, number>> = { t: 6 }) {
    for (const [name, partitions] of Object.entries(topics)) this.createTopic(name, partitions);
  }

  get state(): GroupState {
    return this.coordinator.state;
  }

  get topics(): readonly GroupTopic[] {
    return [...this.#topics.values()];
  }

  // The members' actions.

  join(memberId: string, options: JoinOptions = {}): Result<{ member: Member }> {
    const subscription = {
      topics: options.topics ?? [...this.#topics.keys()],
      topicPattern: options.topicPattern ?? null,
    };
    const result = this.#step(() =>
      this.coordinator.join(
        {
          memberId,
          memberEpoch: options.memberEpoch ?? 0,
          instanceId: options.instanceId ?? null,
          clientId: options.clientId ?? null,
          ...subscription,
          sessionTimeoutMs: options.sessionTimeoutMs ?? SESSION_MS,
          rebalanceTimeoutMs: options.rebalanceTimeoutMs ?? REBALANCE_MS,
          owned: new Set(options.owned ?? []),
          polls: options.polls ?? false,
          heartbeats: options.heartbeats ?? false,
        },
        [...this.#topics.values()].filter(({ name }) => subscribes(subscription, name)),
        this.nowMs,
      ),
    );
    if (result.ok) this.#mutedSince.delete(memberId);
    return result;
  }

  leave(memberId: string): void {
    this.#step(() => this.coordinator.leave(memberId, this.nowMs));
  }

  /** The member's connection breaks. */
  disconnect(memberId: string): void {
    this.#step(() => this.coordinator.disconnect(memberId, this.nowMs));
  }

  /** The member stays connected, but from now on sends no heartbeat. Others send them all the time. */
  mute(memberId: string): void {
    this.#mutedSince.set(memberId, this.nowMs);
  }

  /** The member reports these partitions revoked; by default all it was told to give up. */
  revoked(memberId: string, keys?: Iterable<PartitionKey>): Result<object> {
    const partitions = new Set(keys ?? this.state.members.get(memberId)?.revoking ?? []);
    return this.#step(() => this.coordinator.revoked(memberId, partitions, this.nowMs));
  }

  /** Commits `offsets` by partition, by default at the member's current epoch. */
  commit(
    memberId: string,
    offsets: Readonly<Record<PartitionKey, number>>,
    options: { memberEpoch?: number; isRewind?: boolean; metadata?: string } = {},
  ): Result<{ rejected: readonly RejectedOffset[] }> {
    const epoch = options.memberEpoch ?? this.state.members.get(memberId)?.memberEpoch ?? 0;
    const commits: OffsetCommit[] = Object.entries(offsets).map(([key, offset]) => ({
      key: key as PartitionKey,
      offset,
      metadata: options.metadata ?? "",
      isRewind: options.isRewind ?? false,
    }));
    return this.#step(() => this.coordinator.offsets.commit(memberId, epoch, commits, this.nowMs));
  }

  /**
   * The Kafka consumer commits an offset at an epoch that it received, even an older one. Returns the result for each
   * partition, or why none counts.
   */
  commitAt(
    memberId: string,
    memberEpoch: number,
    offset: number,
    keys: readonly PartitionKey[],
  ): KafkaResult<{ outcomes: readonly (KafkaErrorName | null)[] }> {
    const topics = [...this.state.topics.values()];
    const offsets = keys.map((key) => {
      const { topicId, partition } = parsePartitionKey(key);
      const topic = topics.find((each) => each.topicId === topicId)?.name ?? topicId;
      return { topic, partition, offset, metadata: "" };
    });
    const token = { memberId, instanceId: null, generation: memberEpoch };
    const makeGroup = () => assert.fail("a member's commit makes no group");
    return this.#step(() =>
      this.coordinator.offsets.commitNamed(token, offsets, [], makeGroup, this.nowMs),
    );
  }

  // The events around them.

  createTopic(name: string, partitions: number): void {
    const generation = (this.#generations.get(name) ?? 0) + 1;
    this.#generations.set(name, generation);
    const topicId = generation === 1 ? name : `${name}-${generation}`;
    this.#topics.set(name, { topicId, name, partitions });
    this.#tellTopic(name);
  }

  growTopic(name: string, partitions: number): void {
    const topic = this.#topics.get(name);
    assert(topic !== undefined && partitions >= topic.partitions, `topic ${name} only grows`);
    this.#topics.set(name, { ...topic, partitions });
    this.#tellTopic(name);
  }

  deleteTopic(name: string): void {
    this.#topics.delete(name);
    this.#step(() => this.coordinator.changeTopics([], [name], this.nowMs));
  }

  /** The topic is deleted and created again, and the group hears only of the second. */
  replaceTopic(name: string, partitions: number): void {
    this.#topics.delete(name);
    this.createTopic(name, partitions);
  }

  #tellTopic(name: string): void {
    const topic = this.#topics.get(name);
    assert(topic !== undefined);
    this.#step(() => this.coordinator.changeTopics([topic], [], this.nowMs));
  }

  reset(offsets: Readonly<Record<PartitionKey, number>>): Result<object> {
    const positions = Object.entries(offsets).map(([key, offset]) => {
      const { topicId, partition } = parsePartitionKey(key as PartitionKey);
      return { topic: topicId, topicId, partition, offset };
    });
    return this.#step(() => this.coordinator.offsets.reset(positions, [], this.nowMs));
  }

  alterConfig(changes: Readonly<Record<string, unknown>>): Result<object> {
    return this.#step(() => this.coordinator.alterConfig(changes, this.nowMs));
  }

  /** Time passes. The alarm rings whenever the coordinator requested it. */
  advance(ms: number): void {
    const untilMs = this.nowMs + ms;
    for (;;) {
      const deadlineMs = this.nextDeadlineMs;
      if (deadlineMs === null || deadlineMs > untilMs) break;
      const before = this.state.members.size + this.state.offsets.size;
      this.nowMs = Math.max(this.nowMs, deadlineMs);
      this.#step(() => this.coordinator.expire(this.#sight, this.nowMs));
      this.#step(() => this.coordinator.offsets.expire(this.nowMs));
      if (this.coordinator.offsets.isDead(this.nowMs)) break;
      const isSomebodyGone = this.state.members.size + this.state.offsets.size < before;
      const isLater = (this.nextDeadlineMs ?? Number.POSITIVE_INFINITY) > this.nowMs;
      assert(isSomebodyGone || isLater, "an alarm that changes nothing rings again at once");
    }
    this.nowMs = untilMs;
  }

  get nextDeadlineMs(): number | null {
    return this.coordinator.nextMs(this.#sight);
  }

  readonly #sight = sightOf((memberId) => this.#mutedSince.get(memberId) ?? this.nowMs);

  // The visible state.

  member(memberId: string): Member {
    const member = this.state.members.get(memberId);
    assert(member !== undefined, `${memberId} is a member`);
    return member;
  }

  assigned(memberId: string): PartitionKey[] {
    return [...this.member(memberId).assigned].sort();
  }

  revoking(memberId: string): PartitionKey[] {
    return [...this.member(memberId).revoking].sort();
  }

  /** The partitions that the member may have in hand: it knows of no others. */
  owned(memberId: string): PartitionSet {
    return this.member(memberId).assigned.union(this.member(memberId).revoking);
  }

  committed(key: PartitionKey): number | null {
    return this.state.offsets.get(key)?.offset ?? null;
  }

  /** Everybody revokes what they were told to, until nobody is told to any more. */
  revokeAll(): void {
    for (let rounds = 0; rounds < 100; rounds++) {
      const owing = [...this.state.members.values()].filter(({ revoking }) => revoking.size > 0);
      if (owing.length === 0) return;
      for (const { memberId } of owing) this.revoked(memberId);
    }
    assert.fail("the members were told to give partitions up for ever");
  }

  /** The partitions of all topics that a member subscribes to. */
  subscribedPartitions(): Set<PartitionKey> {
    const keys = new Set<PartitionKey>();
    const hasSubscriber = subscriberTest(this.state);
    for (const { topicId, name, partitions } of this.#topics.values()) {
      if (!hasSubscriber(name)) continue;
      for (let i = 0; i < partitions; i++) keys.add(partitionKey(topicId, i));
    }
    return keys;
  }

  #step<T>(action: () => T): T {
    const result = action();
    const events = this.coordinator.takeEvents();
    for (const event of events) {
      this.events.push(event);
      // A copy: state shared with the event would hide a change that no event reports.
      replay(this.#replica, structuredClone(event));
    }
    if (isFailure(result)) assert.deepEqual(events, [], "a refusal changes nothing");
    assert.deepStrictEqual(this.state, this.#replica, "the events alone carry the state");
    checkInvariants(this.state);
    const wanted = this.subscribedPartitions();
    const targeted = new Set([...this.state.targets.values()].flatMap((set) => [...set]));
    assert.deepStrictEqual(targeted, wanted, "the targets cover what is subscribed, no more");
    return result;
  }
}

function isFailure(result: unknown): result is Failure {
  return typeof result === "object" && result !== null && "ok" in result && result.ok === false;
}

/** The invariants between any two operations. Throws if one is broken. */
export function checkInvariants(state: GroupState): void {
  const owners = new Map<PartitionKey, string>();
  const instances = new Set<string>();
  const numbers = new Set<number>();
  for (const member of state.members.values()) {
    const { memberId, instanceId, memberNumber } = member;
    for (const key of [...member.assigned, ...member.revoking]) {
      // [GRP-1] Even within one member: assigned or to be given up, never both.
      assert(!owners.has(key), `${key} is owned by ${owners.get(key)} and by ${memberId}`);
      owners.set(key, memberId);
    }
    if (instanceId !== null) {
      assert(!instances.has(instanceId), `two members hold instance id ${instanceId}`);
      instances.add(instanceId);
    }
    assert(!numbers.has(memberNumber), `two members have number ${memberNumber}`);
    numbers.add(memberNumber);
    assert(memberNumber < state.nextMemberNumber, `number ${memberNumber} is given out again`);
    checkMember(state, member);
  }
  assert.deepStrictEqual(state.owners, owners, "the owners are who has assigned or revoking");
  assert.equal(state.assignmentEpoch, state.groupEpoch, "the target is the newest epoch's");
  checkTargets(state);
}

function checkMember(state: GroupState, member: Member): void {
  const { memberId } = member;
  const target = state.targets.get(memberId) ?? new Set();
  const missing = target.difference(member.assigned);
  const owes = member.revoking.size > 0;
  assert.equal(member.state === "UNREVOKED_PARTITIONS", owes, `${memberId} ${member.state}`);
  assert.equal(member.revokeDeadlineMs !== null, owes, `${memberId} has a deadline if it owes`);
  assert(member.memberEpoch <= state.assignmentEpoch, `${memberId} is ahead of the group`);
  // [OFF-11] It has each of its partitions from an epoch that it has reached, and remembers nothing of others.
  const owned = member.assigned.union(member.revoking);
  assert.deepStrictEqual(new Set(member.assignmentEpochs.keys()), new Set(owned));
  for (const epoch of member.assignmentEpochs.values()) assert(epoch <= member.memberEpoch);
  for (const known of [member.delivered, member.refusedAcks])
    for (const key of known.keys()) assert(owned.has(key), `${memberId} remembers ${key}`);
  if (owes) return;
  assert.equal(member.memberEpoch, state.assignmentEpoch, `${memberId} is at the newest epoch`);
  if (member.state === "STABLE") {
    assert(equalSets(member.assigned, target), `${memberId} is stable without its target`);
    return;
  }
  assert(missing.size > 0, `${memberId} waits for nothing`);
  assert(member.assigned.isSubsetOf(target), `${memberId} has more than its target`);
  for (const key of missing) {
    const owner = state.owners.get(key);
    assert(
      owner !== undefined && owner !== memberId,
      `${memberId} waits for ${key}, which is free`,
    );
  }
}

function checkTargets(state: GroupState): void {
  const targeted = new Set<PartitionKey>();
  for (const [memberId, partitions] of state.targets) {
    assert(state.members.has(memberId), `${memberId} has a target and is no member`);
    for (const key of partitions) {
      assert(!targeted.has(key), `${key} is in two targets`);
      targeted.add(key);
      // Owned, or free and then only until its next owner has revoked something else.
      const owner = state.owners.get(key);
      if (owner !== undefined)
        assert(state.members.has(owner), `${key} is owned by ${owner}, gone`);
      else
        assert.equal(state.members.get(memberId)?.state, "UNREVOKED_PARTITIONS", `${key} is idle`);
    }
  }
}
