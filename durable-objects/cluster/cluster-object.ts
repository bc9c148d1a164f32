// The metadata of one deployment: topics and the list of groups. It is the control plane only. If this object is out of
// reach, producing and fetching continue with what the Worker and the partitions remember.
//
// A change is stored together with the tasks that follow from it: freeing a deleted topic's partitions,
// spreading a config, telling groups. The tasks are done before the change is answered. Those that fail are
// left to an alarm, which comes back until all are done.
import { DurableObject } from "cloudflare:workers";
import type { Changed } from "../../src/calls/calls.ts";
import {
  CLUSTER_CALLS,
  type ClusterCalls,
  type ClusterRequest,
} from "../../src/calls/cluster-calls.ts";
import type { KeptEvent } from "../../src/core/access/audit.ts";
import { type Room, whyNoRoom } from "../../src/core/access/grants.ts";
import { whyNotKept } from "../../src/core/access/kept-caller.ts";
import {
  callerOfKey,
  dayOf,
  type ShownKey,
  type StoredKey,
  shownKey,
} from "../../src/core/access/stored-key.ts";
import {
  type ConfigOverrides,
  changeDefaults,
  changeOverrides,
  resolveConfig,
  type TopicConfig,
} from "../../src/core/cluster/config.ts";
import {
  changeTopicConfig,
  resolveTopic,
  type Topic,
  whyNotGroupId,
  whyNotPartitionCount,
  whyNotTopicName,
} from "../../src/core/cluster/topics.ts";
import { isSameOverrides } from "../../src/core/config-table.ts";
import { type Failure, fail, type Result } from "../../src/core/errors.ts";
import { subscribes, whyNotTopicPattern } from "../../src/core/group/topic-pattern.ts";
import {
  FAN_OUT,
  MAX_API_KEYS,
  MAX_GROUPS,
  MAX_NAMES_PER_GROUP,
  MAX_PATTERNS_PER_GROUP,
  MAX_TOPICS,
  MAX_WRITERS_TOLD_OF_CLOCK,
} from "../../src/core/limits.ts";
import { mapConcurrently } from "../../src/core/map-concurrently.ts";
import { assertJurisdiction, jurisdictionOf, regionSet } from "../../src/core/placement.ts";
import { type Env, groupStub, outerClusterStub, partitionStub } from "../../src/env.ts";
import { isStanding, ObjectClock, startAnew } from "../shared/clock.ts";
import { RetryPause } from "../shared/retry.ts";
import { serveCalls } from "../shared/serve-calls.ts";
import { type Sql, storageOf } from "../shared/sql.ts";
import { trace } from "../shared/trace.ts";
import { Turns } from "../shared/turns.ts";
import { wallClockMs } from "../shared/wall-clock.ts";
import { ClusterStore, type Task } from "./cluster-store.ts";

/**
 * How long failed tasks wait for their next try. The wait doubles after each failure, because damage does not go away.
 */
const TASK_RETRY_MS = 1_000;
const MAX_TASK_RETRY_MS = 60_000;

/** The subscriptions that a group keeps. */
interface Kept {
  readonly groupId: string;
  readonly names: Set<string>;
  readonly patterns: Set<string>;
}

export class ClusterObject extends DurableObject<Env> implements ClusterCalls {
  readonly #store: ClusterStore;
  readonly #taskRetry = new RetryPause(TASK_RETRY_MS, MAX_TASK_RETRY_MS);
  /** True once it is certain that this object is in the deployment's jurisdiction. */
  #isPlaced = false;
  /** Groups that are being asked whether they can be forgotten. Only the latest question counts. */
  readonly #forgetting = new Map<string, symbol>();
  /** Groups that are asked what they subscribe to, and what they have subscribed to meanwhile. */
  readonly #pruning = new Set<Kept>();
  #retiredIncarnation: number;
  readonly #sql: Sql;
  readonly #turns: Turns;
  /** Partitions that reported the ends of their logs in this life of the cluster. The latest one comes last. */
  readonly #writers = new Map<string, { readonly topicId: string; readonly partition: number }>();

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    trace(env, "cluster", "cluster", "start");
    this.#store = new ClusterStore(storageOf(ctx.storage));
    this.#sql = storageOf(ctx.storage).sql;
    this.#turns = new Turns(new ObjectClock(this.#sql));
    // [CLK-2] The clock that set the alarm may have been set back since.
    if (this.#store.tasks().length > 0) ctx.blockConcurrencyWhile(() => this.#tryAgainSoon());
    this.#retiredIncarnation = this.#store.retiredIncarnation();
  }

  async createTopic({
    name,
    partitions,
    overrides,
    region,
    rooms,
  }: ClusterRequest<"createTopic">): Promise<Result<{ topic: Topic }>> {
    const invalid = whyNotTopicName(name) ?? whyNotPartitionCount(partitions);
    if (invalid !== null) return invalid;
    const changed = changeOverrides({}, overrides);
    if (!changed.ok) return changed;
    if (this.#store.topic(name) !== null)
      return fail("TOPIC_ALREADY_EXISTS", `topic ${name} exists`);
    if (this.#store.topicCount >= MAX_TOPICS) {
      return fail("THROTTLING_QUOTA_EXCEEDED", `there are ${MAX_TOPICS} topics, the bound`);
    }
    const full = rooms ? whyNoRoom(rooms, this.#store.topicNames()) : null;
    if (full !== null) return noRoom("topics", full);
    const noSpace = this.#store.whyNoSpace();
    if (noSpace !== null) return noSpace;
    const topic = resolveTopic({
      name,
      topicId: crypto.randomUUID(),
      partitions,
      initialPartitions: partitions,
      region: regionSet(changed.overrides) ?? region ?? undefined,
      overrides: changed.overrides,
      defaults: this.#store.defaults(),
    });
    this.#change(() => {
      this.#store.putTopic(topic);
      this.#store.rememberUse(topic.topicId);
      this.#addGroupTasks(name);
    });
    await this.#workOff();
    return { ok: true, topic };
  }

  async topic({ name }: ClusterRequest<"topic">): Promise<Result<{ topic: Topic }>> {
    const topic = this.#store.topic(name);
    return topic === null ? unknownTopic(name) : { ok: true, topic };
  }

  async topicById({ topicId }: ClusterRequest<"topicById">): Promise<Result<{ topic: Topic }>> {
    return this.#topicById(topicId);
  }

  #topicById(topicId: string): Result<{ topic: Topic }> {
    const topic = this.#store.topicById(topicId);
    return topic === null
      ? fail("UNKNOWN_TOPIC_ID", `topic id ${topicId} does not exist`)
      : { ok: true, topic };
  }

  async topics(): Promise<Topic[]> {
    return this.#store.topics();
  }

  async usePartition({
    topicId,
    partition,
  }: ClusterRequest<"usePartition">): Promise<
    Result<{ topic: Topic; knownLogEnd: number | null }>
  > {
    const found = this.#topicById(topicId);
    if (!found.ok || partition >= found.topic.partitions)
      return found.ok ? { ...found, knownLogEnd: null } : found;
    return { ...found, knownLogEnd: this.#store.usePartition(topicId, partition) };
  }

  async noteLogEnd({ topicId, partition, logEnd }: ClusterRequest<"noteLogEnd">): Promise<void> {
    this.#noteWriter(topicId, partition);
    if (this.#store.topicById(topicId) !== null) this.#store.noteLogEnd(topicId, partition, logEnd);
  }

  async usedPartitions({
    topicIds,
  }: ClusterRequest<"usedPartitions">): Promise<(readonly number[] | null)[]> {
    return topicIds.map((topicId) => this.#store.usedPartitions(topicId));
  }

  async alterTopic({
    name,
    ...change
  }: ClusterRequest<"alterTopic">): Promise<Result<{ topic: Topic } & Changed>> {
    const topic = this.#store.topic(name);
    if (topic === null) return unknownTopic(name);
    const partitions = change.partitions ?? topic.partitions;
    const invalid = whyNotPartitionCount(partitions);
    if (invalid !== null) return invalid;
    if (partitions < topic.partitions) {
      return fail(
        "INVALID_PARTITIONS",
        `partitions is ${partitions}, topic ${name} has ${topic.partitions} and may only grow`,
      );
    }
    const changed = changeTopicConfig(topic, change.config ?? {});
    if (!changed.ok) return changed;
    const { overrides } = changed;
    const altered = resolveTopic({ ...topic, partitions, overrides });
    this.#change(() => {
      this.#store.putTopic(altered);
      if (change.config !== undefined)
        this.#store.addTask({ type: "configure-topic", topicId: topic.topicId });
      if (partitions !== topic.partitions) this.#addGroupTasks(name);
    });
    await this.#workOff();
    const isChanged =
      partitions !== topic.partitions || !isSameOverrides(overrides, topic.overrides);
    return { ok: true, topic: altered, isChanged };
  }

  async defaults(): Promise<{ overrides: ConfigOverrides; config: TopicConfig }> {
    const overrides = this.#store.defaults();
    return { overrides, config: resolveConfig(overrides) };
  }

  async alterDefaults({
    changes,
  }: ClusterRequest<"alterDefaults">): Promise<
    Result<{ overrides: ConfigOverrides; config: TopicConfig } & Changed>
  > {
    const before = this.#store.defaults();
    const changed = changeDefaults(before, changes);
    if (!changed.ok) return changed;
    const { overrides } = changed;
    const topics = this.#store.topics();
    this.#change(() => {
      this.#store.setDefaults(overrides);
      for (const topic of topics) {
        const altered = resolveTopic({ ...topic, defaults: overrides });
        if (setOn(altered) === setOn(topic)) continue;
        this.#store.putTopic(altered);
        this.#store.addTask({ type: "configure-topic", topicId: topic.topicId });
      }
    });
    await this.#workOff();
    const isChanged = !isSameOverrides(overrides, before);
    return { ok: true, ...(await this.defaults()), isChanged };
  }

  async deleteTopic({ name }: ClusterRequest<"deleteTopic">): Promise<Result<object>> {
    const topic = this.#store.topic(name);
    if (topic === null) return unknownTopic(name);
    this.#change(() => {
      const used = this.#store.usedPartitions(topic.topicId);
      this.#store.deleteTopic(topic);
      this.#store.addTask({
        type: "destroy-topic",
        topicId: topic.topicId,
        partitions: topic.partitions,
        ...(used === null ? {} : { used }),
      });
      this.#addGroupTasks(name);
    });
    await this.#workOff();
    return { ok: true };
  }

  #noteWriter(topicId: string, partition: number): void {
    const place = `${topicId}/${partition}`;
    this.#writers.delete(place);
    this.#writers.set(place, { topicId, partition });
    if (this.#writers.size <= MAX_WRITERS_TOLD_OF_CLOCK) return;
    const oldest = this.#writers.keys().next().value;
    if (oldest !== undefined) this.#writers.delete(oldest);
  }

  /** A partition that is not awake needs no notice. */
  async noticeClock() {
    this.#turns.hurry();
    return { groups: this.#store.groups(), partitions: [...this.#writers.values()] };
  }

  /** [PLC-1] */
  async claimJurisdiction({
    jurisdiction,
  }: ClusterRequest<"claimJurisdiction">): Promise<{ jurisdiction: string }> {
    const noted = this.#store.jurisdiction();
    if (noted !== null) return { jurisdiction: noted };
    if (!this.#store.isEmpty()) return { jurisdiction: "" };
    this.#store.setJurisdiction(jurisdiction);
    return { jurisdiction };
  }

  /**
   * [PLC-1] Refuses to work in another jurisdiction than the deployment's. With another one this is another object, which
   * sees nothing of what the first has noted. So both ask the object outside of any, once; from then on they note it too.
   */
  async #assertPlace(): Promise<void> {
    const jurisdiction = jurisdictionOf(this.env.RIVULET_JURISDICTION) ?? "";
    const noted = this.#store.jurisdiction();
    if (jurisdiction === "") assertJurisdiction(jurisdiction, noted ?? "");
    else if (noted !== jurisdiction) {
      const claimed = await outerClusterStub(this.env).claimJurisdiction({ jurisdiction });
      assertJurisdiction(jurisdiction, claimed.jurisdiction);
      this.#store.setJurisdiction(jurisdiction);
    }
    this.#isPlaced = true;
  }

  /** Returns null where that is settled. */
  ready(method: string): Promise<void> | null {
    return this.#isPlaced || method === "claimJurisdiction" ? null : this.#assertPlace();
  }

  async groups(): Promise<string[]> {
    return this.#store.groups();
  }

  async hasGroup({ groupId }: ClusterRequest<"hasGroup">): Promise<boolean> {
    return this.#store.hasGroup(groupId);
  }

  async noteGroupMade({ groupId }: ClusterRequest<"noteGroupMade">): Promise<void> {
    if (this.#store.hasGroup(groupId)) this.#store.noteGroupMade(groupId);
  }

  async isGroupMade({ groupId }: ClusterRequest<"isGroupMade">): Promise<boolean> {
    return this.#store.isGroupMade(groupId);
  }

  async subscribe({
    groupId,
    names,
    pattern,
    mustExist = false,
    rooms,
  }: ClusterRequest<"subscribe">): Promise<
    Result<{ topics: Topic[]; retiredIncarnation: number; isMade: boolean }>
  > {
    const invalid = whyNotGroupId(groupId) ?? whyNotTopicPattern(pattern);
    if (invalid !== null) return invalid;
    if (!this.#store.hasGroup(groupId) && this.#store.groupCount >= MAX_GROUPS) {
      return fail("THROTTLING_QUOTA_EXCEEDED", `there are ${MAX_GROUPS} groups, the bound`);
    }
    if (rooms && !this.#store.hasGroup(groupId)) {
      const full = whyNoRoom(rooms, this.#store.groups());
      if (full !== null) return noRoom("groups", full);
    }
    for (const name of names) {
      const illegal = whyNotTopicName(name);
      if (illegal !== null) return illegal;
    }
    const whatCounts = () =>
      mustExist ? names.filter((name) => this.#store.hasTopic(name)) : names;
    const crowded = await this.#whyNotSubscribed(groupId, whatCounts(), pattern);
    if (crowded !== null) return crowded;
    const noSpace = this.#whyNoSpaceFor(groupId, whatCounts(), pattern);
    if (noSpace !== null) return noSpace;
    const found = names.flatMap((name) => this.#store.topic(name) ?? []);
    const remembered = mustExist ? found.map(({ name }) => name) : names;
    if (!mustExist || found.length > 0) {
      this.#forgetting.delete(groupId);
      this.#change(() => {
        this.#store.putGroup(groupId);
        for (const name of remembered) this.#store.subscribe(groupId, name);
        for (const kept of this.#pruning) {
          if (kept.groupId !== groupId) continue;
          for (const name of remembered) kept.names.add(name);
          if (pattern !== null) kept.patterns.add(pattern);
        }
        if (pattern !== null) this.#store.subscribeToPattern(groupId, pattern);
      });
    }
    const isMade = this.#store.isGroupMade(groupId);
    const retiredIncarnation = this.#retiredIncarnation;
    if (pattern === null) return { ok: true, topics: found, retiredIncarnation, isMade };
    const subscription = { topics: names, topicPattern: pattern };
    const topics = this.#store.topics().filter(({ name }) => subscribes(subscription, name));
    return { ok: true, topics, retiredIncarnation, isMade };
  }

  /**
   * [QUO-6] Returns why the group may not subscribe to these besides, or null. First it forgets what the group's members
   * do not subscribe to any more: nobody tells the cluster of that.
   */
  async #whyNotSubscribed(
    groupId: string,
    names: readonly string[],
    pattern: string | null,
  ): Promise<Failure | null> {
    const crowded = this.#whyNotMore(groupId, names, pattern);
    if (crowded === null || !this.#store.hasGroup(groupId)) return crowded;
    await this.#prune(groupId);
    return this.#whyNotMore(groupId, names, pattern);
  }

  #whyNotMore(groupId: string, names: readonly string[], pattern: string | null): Failure | null {
    if (names.length > 0) {
      const { known, added } = this.#store.subscriptionCounts(groupId, names);
      if (added > 0 && known + added > MAX_NAMES_PER_GROUP)
        return fail(
          "THROTTLING_QUOTA_EXCEEDED",
          `group ${groupId} subscribes to ${known} topics, with ${added} more it would pass the bound of ${MAX_NAMES_PER_GROUP}`,
        );
    }
    if (pattern === null) return null;
    const known = this.#store.patternsOf(groupId);
    if (known.includes(pattern) || known.length < MAX_PATTERNS_PER_GROUP) return null;
    return fail(
      "THROTTLING_QUOTA_EXCEEDED",
      `group ${groupId} subscribes to ${known.length} patterns, the bound`,
    );
  }

  /** [LOG-13] What the group subscribes to already takes no more room. */
  #whyNoSpaceFor(
    groupId: string,
    names: readonly string[],
    pattern: string | null,
  ): Failure | null {
    const isKnown =
      this.#store.hasGroup(groupId) &&
      (names.length === 0 || this.#store.subscriptionCounts(groupId, names).added === 0) &&
      (pattern === null || this.#store.patternsOf(groupId).includes(pattern));
    return isKnown ? null : this.#store.whyNoSpace();
  }

  /** The group answers with what its members subscribe to and what it asks for. What others ask for meanwhile stays too. */
  async #prune(groupId: string): Promise<void> {
    const kept: Kept = { groupId, names: new Set(), patterns: new Set() };
    this.#pruning.add(kept);
    try {
      const { names, patterns } = await groupStub(this.env, groupId).subscriptions();
      for (const name of names) kept.names.add(name);
      for (const pattern of patterns) kept.patterns.add(pattern);
      this.#change(() => this.#store.keepSubscriptions(groupId, kept.names, kept.patterns));
    } finally {
      this.#pruning.delete(kept);
    }
  }

  /**
   * [CLK-5] A group that is created takes the incarnation after the newest retired one. So one that has lost its data, and
   * does not know its own, had at most that, and the next one is later than both.
   */
  async retireIncarnation({ incarnation }: ClusterRequest<"retireIncarnation">): Promise<void> {
    const newest = Math.max(incarnation, this.#retiredIncarnation + 1);
    this.#change(() => this.#store.setRetiredIncarnation(newest));
    this.#retiredIncarnation = newest;
  }

  async forgetGroup({ groupId }: ClusterRequest<"forgetGroup">): Promise<void> {
    const mine = Symbol(groupId);
    this.#forgetting.set(groupId, mine);
    const isNeeded = await groupStub(this.env, groupId).isNeeded();
    if (this.#forgetting.get(groupId) !== mine) return;
    this.#forgetting.delete(groupId);
    if (!isNeeded) this.#change(() => this.#store.deleteGroup(groupId));
  }

  /** [APK-2] A repeat of the call stores the same key. */
  async putApiKey({ key }: ClusterRequest<"putApiKey">): Promise<Result<object>> {
    const { access } = this.#store;
    if (access.key(key.id) === null && !access.hasRoom)
      return fail("THROTTLING_QUOTA_EXCEEDED", `there are ${MAX_API_KEYS} API keys, the bound`);
    const noSpace = access.key(key.id) === null ? this.#store.whyNoSpace() : null;
    if (noSpace !== null) return noSpace;
    this.#change(() => access.putKey(key));
    return { ok: true };
  }

  async apiKey({ id }: ClusterRequest<"apiKey">): Promise<{ key: StoredKey | null }> {
    return { key: this.#store.access.key(id) };
  }

  async apiKeys(): Promise<ShownKey[]> {
    return this.#store.access.keys();
  }

  /** [APK-3] */
  async alterApiKey({
    id,
    grants,
    expiresAtMs,
    quota,
  }: ClusterRequest<"alterApiKey">): Promise<Result<{ key: ShownKey } & Changed>> {
    const key = this.#store.access.key(id);
    if (key === null) return unknownKey(id);
    const altered = {
      ...key,
      ...(grants === undefined ? {} : { grants }),
      ...(expiresAtMs === undefined ? {} : { expiresAtMs }),
      ...(quota === undefined ? {} : { quota: quota ?? undefined }),
    };
    // [ACL-9] A key of a release before may be too large, and end or get a quota all the same.
    const tooLarge = grants === undefined ? null : whyNotKept(callerOfKey(altered));
    if (tooLarge !== null) return tooLarge;
    const isChanged = JSON.stringify(altered) !== JSON.stringify(key);
    this.#change(() => this.#store.access.putKey(altered));
    return { ok: true, key: shownKey(altered), isChanged };
  }

  /** [AUD-2] */
  async noteAudit({ events }: ClusterRequest<"noteAudit">): Promise<void> {
    this.#change(() => this.#store.access.addEvents(events));
  }

  async audit({ limit, before = null }: ClusterRequest<"audit">): Promise<{ events: KeptEvent[] }> {
    return { events: this.#store.access.events(limit, before) };
  }

  async deleteApiKey({ id }: ClusterRequest<"deleteApiKey">): Promise<Result<{ key: ShownKey }>> {
    const key = this.#store.access.key(id);
    if (key === null) return unknownKey(id);
    this.#change(() => this.#store.access.deleteKey(id));
    return { ok: true, key: shownKey(key) };
  }

  /** [APK-2] Writes at most a row a day. */
  async noteApiKeyUsed({ id }: ClusterRequest<"noteApiKeyUsed">): Promise<void> {
    const key = this.#store.access.key(id);
    const lastUsedDay = dayOf(wallClockMs(this.#sql));
    if (key === null || key.lastUsedDay === lastUsedDay) return;
    this.#change(() => this.#store.access.putKey({ ...key, lastUsedDay }));
  }

  async secret({
    name,
    proposal = null,
  }: ClusterRequest<"secret">): Promise<{ value: string | null }> {
    const { access } = this.#store;
    const kept = access.secret(name);
    if (kept === null && proposal !== null) this.#change(() => access.putSecret(name, proposal));
    return { value: kept ?? proposal };
  }

  async issuerKeys({ url }: ClusterRequest<"issuerKeys">) {
    return { kept: this.#store.access.issuerKeys(url) };
  }

  async keepIssuerKeys({ url, jwks, atMs }: ClusterRequest<"keepIssuerKeys">): Promise<void> {
    this.#change(() => this.#store.access.putIssuerKeys(url, jwks, atMs));
  }

  override async alarm(): Promise<void> {
    trace(this.env, "cluster", "cluster", "alarm");
    try {
      await this.#workOff();
    } catch (error) {
      // [ALM-1] The platform gives up on an alarm that keeps failing.
      console.error(`cluster: the alarm failed, it will be tried again: ${error}`);
      this.#taskRetry.failed();
      await this.#tryAgainSoon();
    }
  }

  /**
   * Does the tasks. When it returns, they are done, so nobody who heard of a deletion can still write to the deleted
   * topic. Otherwise the alarm is set that tries again.
   */
  async #workOff(): Promise<void> {
    if (this.#store.tasks().length === 0) return;
    await this.#tryAgainSoon();
    let hasFailed = false;
    while (!hasFailed && this.#store.tasks().length > 0) {
      for (const { id, task } of this.#store.tasks()) {
        try {
          if (task instanceof Error) throw task;
          await this.#run(task);
          this.#store.deleteTask(id);
        } catch (error) {
          const what = task instanceof Error ? id : JSON.stringify(task);
          console.error(`task ${what} failed, it will be tried again: ${error}`);
          hasFailed = true;
        }
      }
    }
    if (hasFailed && isStanding(this.#sql)) this.ctx.waitUntil(startAnew(this.ctx));
    // Another change may have left tasks and set the alarm anew while these were in progress.
    const isDone = this.#store.tasks().length === 0;
    if (isDone) await this.ctx.storage.deleteAlarm();
    if (isDone) this.#taskRetry.succeeded();
    else this.#taskRetry.failed();
  }

  async #tryAgainSoon(): Promise<void> {
    await this.ctx.storage.setAlarm(wallClockMs(this.#sql) + this.#taskRetry.ms);
  }

  async #run(task: Task): Promise<void> {
    await this.ready("alarm"); // Elsewhere a task would meet objects of the same names that are not the same.
    if (task.type === "tell-group") {
      const topic = this.#store.topic(task.topic);
      await groupStub(this.env, task.groupId).changeTopic({ name: task.topic, topic });
      return;
    }
    if (task.type === "destroy-topic") {
      const used = task.used ?? partitionsOf(task.partitions);
      const failures: unknown[] = []; // A damaged partition stays damaged, and must not keep others from being freed.
      await mapConcurrently(used, FAN_OUT, async (partition) => {
        const destroyed = partitionStub(this.env, task.topicId, partition).destroy();
        await destroyed.catch((error: unknown) => failures.push(error));
        await this.#turns.next(); // Otherwise a topic with many partitions would hold up everybody else.
      });
      if (failures.length > 0) throw failures[0];
      return;
    }
    const topic = this.#store.topicById(task.topicId);
    if (topic === null) return; // It was deleted meanwhile.
    const used = this.#store.usedPartitions(task.topicId) ?? partitionsOf(topic.partitions);
    await mapConcurrently(used, FAN_OUT, async (partition) => {
      await partitionStub(this.env, task.topicId, partition).configure({ topic });
      await this.#turns.next();
    });
  }

  #change(body: () => void): void {
    this.#store.transaction(body);
  }

  #addGroupTasks(topic: string): void {
    const groupIds = new Set(this.#store.subscribers(topic));
    for (const { groupId, pattern } of this.#store.patterns())
      if (subscribes({ topics: [], topicPattern: pattern }, topic)) groupIds.add(groupId);
    for (const groupId of groupIds) this.#store.addTask({ type: "tell-group", groupId, topic });
  }
}

/** Returns the config values that are set on the topic or for all topics, as text to compare. */
function setOn({ defaults, overrides }: Topic): string {
  return JSON.stringify({ ...defaults, ...overrides });
}

serveCalls(ClusterObject, "cluster", CLUSTER_CALLS, (object: ClusterObject, method) =>
  object.ready(method),
);

function partitionsOf(count: number): number[] {
  return Array.from({ length: count }, (_, partition) => partition);
}

function unknownKey(id: string): Failure {
  return fail("RESOURCE_NOT_FOUND", `there is no API key ${id}`);
}

function unknownTopic(name: string): Failure {
  return fail("UNKNOWN_TOPIC_OR_PARTITION", `topic ${name} does not exist`);
}

/** [QUO-5] */
function noRoom(what: "topics" | "groups", { pattern, max }: Room): Failure {
  const named = "exact" in pattern ? `named ${pattern.exact}` : `that begin with ${pattern.prefix}`;
  const detail = `there are ${max} ${what} ${named}, the bound of the grant`;
  return { ...fail("THROTTLING_QUOTA_EXCEEDED", detail), retriable: false };
}
