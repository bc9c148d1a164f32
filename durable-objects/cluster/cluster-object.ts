// The metadata of one deployment: its topics and the list of its groups. This is the control plane only. If
// this object is out of reach, producing and fetching continue with what the Worker and the partitions
// remember.
//
//
// A change is stored together with the tasks that follow from it: freeing a deleted topic's partitions,
// distributing a config, notifying groups. The tasks of a change run before it is answered, so nobody who has
// heard of a deletion can still write to the deleted topic. An alarm retries failed tasks until all are done:
// see jobs.ts.

import { DurableObject } from "cloudflare:workers";
import type { Changed } from "../../src/calls/calls.ts";
import {
  CLUSTER_CALLS,
  type ClusterCalls,
  type ClusterRequest,
  type HotTopics as Hot,
  type OwnerSecret,
  type UsedTopic,
} from "../../src/calls/cluster-calls.ts";
import type { KeptEvent } from "../../src/core/access/audit.ts";
import { type NamePattern, type Room, whyNoRoom } from "../../src/core/access/grants.ts";
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
import { errorOf, type Failure, fail, type Result } from "../../src/core/errors.ts";
import { subscribes, whyNotTopicPattern } from "../../src/core/group/topic-pattern.ts";
import {
  DELETE_DELAY_MS,
  FAN_OUT,
  MAX_API_KEYS,
  MAX_DELETED_TOPICS,
  MAX_GROUPS,
  MAX_LIST_PAGE,
  MAX_NAMES_PER_GROUP,
  MAX_PATTERNS_PER_GROUP,
  MAX_TOPICS,
  MAX_WRITERS_TOLD_OF_CLOCK,
} from "../../src/core/limits.ts";
import { mapConcurrently } from "../../src/core/map-concurrently.ts";
import { assertJurisdiction, jurisdictionOf, regionSet } from "../../src/core/placement.ts";
import { type Env, groupStub, outerClusterStub, partitionStub } from "../../src/env.ts";
import { logLine } from "../../src/log.ts";
import { isStanding, ObjectClock, startAnew } from "../shared/clock.ts";
import { newSecret, OWNER_SECRET } from "../shared/owner-signature.ts";
import { BEING_RESTORED, recoveryPoint, restoreTo } from "../shared/recovery.ts";
import { reportToMetrics } from "../shared/reporter.ts";
import { RetryPause } from "../shared/retry.ts";
import { serveCalls } from "../shared/serve-calls.ts";
import { type SizedSql, storageOf } from "../shared/sql.ts";
import { trace } from "../shared/trace.ts";
import { Turns } from "../shared/turns.ts";
import { type Alarm, type Counting, countEvents, ObjectUsage } from "../shared/usage.ts";
import { wallClockMs } from "../shared/wall-clock.ts";
import {
  ClusterStore,
  type KeptTopic,
  type ListedGroup,
  type StoredTask,
  type Task,
} from "./cluster-store.ts";
import { HotTopics } from "./hot-topics.ts";
import { Inspection } from "./inspection.ts";
import { Jobs, topicLine } from "./jobs.ts";
import { KeyChanges } from "./key-changes.ts";
import { PatternMatches } from "./pattern-matches.ts";

/** The wait before a failed alarm is retried. It doubles with each failure. */
const ALARM_RETRY_MS = 1_000;
const MAX_ALARM_RETRY_MS = 60_000;
/** The number of deleted topics that one alarm frees. The next alarm rings at once and frees more. */
const PURGED_AT_ONCE = 100;
/**
 * The number of topics whose partitions are notified at once of a change of the defaults. Each topic has up to
 * FAN_OUT calls in progress.
 */
const TOPICS_AT_ONCE = 4;

/** The subscriptions that a group keeps. */
interface Kept {
  readonly groupId: string;
  readonly names: Set<string>;
  readonly patterns: Set<string>;
}

/** A cluster with fewer topics reports metrics every time: somebody is trying it out. */
const NEW_TOPICS = 10;

export class ClusterObject extends DurableObject<Env> implements ClusterCalls, Counting {
  readonly usage = new ObjectUsage();
  readonly #store: ClusterStore;
  readonly #jobs: Jobs;
  readonly #matches = new PatternMatches();
  readonly #hot = new HotTopics();
  readonly #keyChanges = new KeyChanges();
  readonly #alarmRetry = new RetryPause(ALARM_RETRY_MS, MAX_ALARM_RETRY_MS);
  /** True once this object is known to be in the deployment's jurisdiction. */
  #isPlaced = false;
  /** Groups that are being asked whether they can be forgotten. Only the latest question counts. */
  readonly #forgetting = new Map<string, symbol>();
  /** Groups that are being asked for their subscriptions, each with what it has subscribed to since the question. */
  readonly #pruning = new Set<Kept>();
  #retiredIncarnation: number;
  readonly #sql: SizedSql;
  readonly #alarm: Alarm;
  readonly #inspection: Inspection;
  #isRestoring = false;
  readonly #turns: Turns;
  /** Partitions that have reported their log ends in this life of the cluster. The latest comes last. */
  readonly #writers = new Map<string, { readonly topicId: string; readonly partition: number }>();

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    trace(env, "cluster", "cluster", "start");
    const storage = storageOf(ctx.storage, this.usage);
    this.#store = new ClusterStore(storage);
    this.#sql = storage.sql;
    this.#alarm = this.usage.alarmOf(ctx.storage);
    this.#inspection = new Inspection(this.#sql, this.#store);
    this.#turns = new Turns(new ObjectClock(this.#sql));
    this.#jobs = new Jobs({
      store: this.#store,
      run: (task) => this.#run(task),
      setAlarm: (atMs) => this.#setAlarm(atMs),
      nowMs: () => wallClockMs(this.#sql),
      failed: (task, error) => {
        logLine("error", `task ${JSON.stringify(task)} failed, it will be tried again: ${error}`);
      },
      waiting: () => {
        if (isStanding(this.#sql)) this.ctx.waitUntil(startAnew(this.ctx));
      },
      otherwiseDueMs: () => this.#store.nextPurgeMs(),
    });
    if (this.#store.hasTasks || this.#store.nextPurgeMs() !== null)
      ctx.blockConcurrencyWhile(() => this.#jobs.resume());
    this.#retiredIncarnation = this.#store.retiredIncarnation();
    reportToMetrics({
      ...{ env, ctx, usage: this.usage },
      hasNews: () => this.#store.topicCount < NEW_TOPICS,
      snapshot: () => ({
        kind: "cluster",
        ...{ life: this.usage.life, usage: this.usage.counts },
        storedBytes: this.#sql.databaseSize,
        ...{ topics: this.#store.topicCount, groups: this.#store.groupCount },
      }),
    });
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
    const full = whyNoRoom(rooms ?? undefined, (pattern, max) =>
      this.#countOf(
        pattern,
        max,
        (name) => this.#store.hasTopic(name),
        (prefix, limit) => this.#store.topicNames(prefix, limit),
      ),
    );
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
    const tasks = this.#change(() => {
      this.#store.putTopic(topic);
      this.#store.rememberUse(topic.topicId);
      return this.#addGroupTasks(name);
    });
    this.#matches.forget();
    await this.#jobs.do(tasks);
    return { ok: true, topic };
  }

  async topic({
    name,
    wantsHot = false,
  }: ClusterRequest<"topic">): Promise<Result<UsedTopic & Hot>> {
    const topic = this.#store.topic(name);
    return topic === null ? unknownTopic(name) : this.#asked(topic, wantsHot);
  }

  async topicById({
    topicId,
    wantsHot = false,
  }: ClusterRequest<"topicById">): Promise<Result<UsedTopic & Hot>> {
    const found = this.#topicById(topicId);
    return found.ok ? this.#asked(found.topic, wantsHot) : found;
  }

  #asked(topic: Topic, wantsHot: boolean): { ok: true } & UsedTopic & Hot {
    const { config: _, ...description } = topic; // It is derived from the other fields.
    const used = this.#store.usedPartitions(topic.topicId);
    const hot = wantsHot ? { hot: this.#hot.newest() } : {};
    this.#hot.note({ topic: description, used });
    return { ok: true, topic, used, ...hot };
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

  async topicPage({ after, limit }: ClusterRequest<"topicPage">): Promise<{ topics: Topic[] }> {
    return { topics: this.#store.topicsAfter(after, Math.min(limit, MAX_LIST_PAGE)) };
  }

  async usePartition({
    topicId,
    partition,
    hasBegun = false,
  }: ClusterRequest<"usePartition">): Promise<
    | ({ ok: true; topic: Topic; knownLogEnd: number | null } & OwnerSecret)
    | (Failure & { isKept?: boolean })
  > {
    const found = this.#topicById(topicId);
    if (!found.ok && this.#store.deletedTopic(topicId) !== null) {
      if (hasBegun) this.#store.usePartition(topicId, partition, hasBegun);
      return { ...found, isKept: true };
    }
    if (!found.ok || partition >= found.topic.partitions)
      return found.ok ? { ...found, knownLogEnd: null } : found;
    const knownLogEnd = this.#store.usePartition(topicId, partition, hasBegun);
    if (knownLogEnd === null) this.#hot.forget(found.topic.name);
    return { ...found, knownLogEnd, ownerSecret: this.#ownerSecret() };
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
    this.#hot.forget(name);
    const tasks = this.#change(() => {
      this.#store.putTopic(altered);
      const { topicId } = topic;
      const configure =
        change.config === undefined
          ? []
          : [this.#store.addTask({ type: "configure-topic", topicId })];
      return partitions === topic.partitions
        ? configure
        : [...configure, ...this.#addGroupTasks(name)];
    });
    await this.#jobs.do(tasks);
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
    const isChanged = !isSameOverrides(overrides, before);
    const keys = Object.keys(changes);
    this.#hot.clear();
    const tasks = this.#change(() => {
      this.#store.setDefaults(overrides);
      return isChanged ? [this.#store.addTask({ type: "configure-all", keys })] : [];
    });
    await this.#jobs.do(tasks);
    return { ok: true, ...(await this.defaults()), isChanged };
  }

  async deleteTopic({ name }: ClusterRequest<"deleteTopic">): Promise<Result<object>> {
    const topic = this.#store.topic(name);
    if (topic === null) return unknownTopic(name);
    this.#hot.forget(name);
    const delayMs = this.#deleteDelayMs(topic);
    const nowMs = wallClockMs(this.#sql);
    const tasks = this.#change(() => {
      if (delayMs === 0) {
        const used = this.#store.usedPartitions(topic.topicId);
        this.#store.deleteTopic(topic);
        return [this.#addDestroyTask(topic, used), ...this.#addGroupTasks(name)];
      }
      this.#store.keepDeleted(topic, nowMs, nowMs + delayMs);
      const { topicId } = topic;
      const retire = this.#store.addTask({ type: "retire-topic", topicId });
      const full = this.#store.deletedCount > MAX_DELETED_TOPICS ? this.#purgeOldest(1) : [];
      return [retire, ...this.#addGroupTasks(name), ...full];
    });
    this.#matches.forget();
    await this.#jobs.do(tasks);
    return { ok: true };
  }

  /**
   * [DEL-1] Returns how long a deleted topic is kept. On a machine, keeping copies on its disk is the owner's
   * choice.
   */
  #deleteDelayMs({ config }: Topic): number {
    if (config.deleteDelayMs >= 0) return config.deleteDelayMs;
    return this.env.RIVULET_FILES === undefined ? DELETE_DELAY_MS : 0;
  }

  #addDestroyTask({ topicId, partitions }: Topic, used: number[] | null): StoredTask {
    return this.#store.addTask({
      type: "destroy-topic",
      topicId,
      partitions,
      ...(used === null ? {} : { used }),
    });
  }

  async deletedTopics({
    name,
    after = "",
    limit,
  }: ClusterRequest<"deletedTopics">): Promise<{ topics: KeptTopic[] }> {
    const bounded = Math.min(limit, MAX_LIST_PAGE);
    if (name !== undefined) return { topics: this.#store.deletedNamed(name, bounded) };
    const [afterName = "", afterId = ""] = after.split("/");
    return { topics: this.#store.deletedAfter(afterName, afterId, bounded) };
  }

  /** [DEL-2] */
  async undeleteTopic({
    topicId,
  }: ClusterRequest<"undeleteTopic">): Promise<Result<{ topic: Topic }>> {
    const kept = this.#store.deletedTopic(topicId);
    if (kept === null) return unknownDeleted(topicId);
    const { topic } = kept;
    const { name } = topic;
    if (this.#store.hasTopic(name))
      return fail("TOPIC_ALREADY_EXISTS", `topic ${name} exists; delete it first`);
    if (this.#store.topicCount >= MAX_TOPICS)
      return fail("THROTTLING_QUOTA_EXCEEDED", `there are ${MAX_TOPICS} topics, the bound`);
    const [partitions, ...groups] = this.#change(() => {
      this.#store.forgetDeleted(topicId);
      this.#store.putTopic(topic);
      const positions = this.#store
        .groupsWithPositions(topicId)
        .map((groupId) =>
          this.#store.addTask({ type: "restore-positions", groupId, topic: name, topicId }),
        );
      const restore = this.#store.addTask({ type: "restore-topic", topicId });
      return [restore, ...positions, ...this.#addGroupTasks(name)] as const;
    });
    this.#matches.forget();
    await this.#jobs.do([partitions]);
    await this.#jobs.do(groups);
    return { ok: true, topic };
  }

  async purgeTopic({ topicId }: ClusterRequest<"purgeTopic">): Promise<Result<object>> {
    const kept = this.#store.deletedTopic(topicId);
    if (kept === null) return unknownDeleted(topicId);
    const task = this.#change(() => this.#purge(kept.topic));
    await this.#jobs.do([task]);
    return { ok: true };
  }

  /** [DEL-1] Frees the deleted topics that are due first. */
  #purgeOldest(count: number): StoredTask[] {
    return this.#store.deletedByEnd(count).map(({ topic }) => this.#purge(topic));
  }

  #purge(topic: Topic): StoredTask {
    const used = this.#store.usedPartitions(topic.topicId);
    this.#store.purgeDeleted(topic.topicId);
    return this.#addDestroyTask(topic, used);
  }

  /** [DEL-1] Frees the deleted topics that are due, some at a time. */
  #purgeDue(): void {
    const nowMs = wallClockMs(this.#sql);
    const due = this.#store.deletedByEnd(PURGED_AT_ONCE).filter((kept) => kept.purgeAtMs <= nowMs);
    if (due.length > 0) this.#change(() => due.map(({ topic }) => this.#purge(topic)));
  }

  #noteWriter(topicId: string, partition: number): void {
    const place = `${topicId}/${partition}`;
    this.#writers.delete(place);
    this.#writers.set(place, { topicId, partition });
    if (this.#writers.size <= MAX_WRITERS_TOLD_OF_CLOCK) return;
    const oldest = this.#writers.keys().next().value;
    if (oldest !== undefined) this.#writers.delete(oldest);
  }

  /** A sleeping partition needs no notice. */
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
   * [PLC-1] Refuses to work in a jurisdiction other than the deployment's. In another jurisdiction this would
   * be another object, which cannot see what the first one has noted. So each asks the object outside of all
   * jurisdictions once, and then remembers the answer.
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

  /** Returns null if the jurisdiction has been checked. */
  ready(method: string): Promise<void> | null {
    if (this.#isRestoring) return Promise.reject(errorOf(BEING_RESTORED));
    return this.#isPlaced || method === "claimJurisdiction" ? null : this.#assertPlace();
  }

  async inspectTopics({ after, limit }: ClusterRequest<"inspectTopics">) {
    return { topics: this.#inspection.topics(after, limit) };
  }

  async inspectTasks({ limit }: ClusterRequest<"inspectTasks">) {
    return { tasks: this.#inspection.tasks(limit) };
  }

  async knowsTopic({ topicId }: ClusterRequest<"knowsTopic">) {
    return { isKnown: this.#inspection.knowsTopic(topicId) };
  }

  async recoveryPoint({ toMs }: ClusterRequest<"recoveryPoint">) {
    return await recoveryPoint(this.ctx, toMs);
  }

  async recoverTo({ bookmark }: ClusterRequest<"recoverTo">) {
    return await restoreTo(this.ctx, bookmark, () => {
      this.#isRestoring = true;
    });
  }

  async groups(): Promise<string[]> {
    return this.#store.groups();
  }

  async groupPage({
    after,
    limit,
  }: ClusterRequest<"groupPage">): Promise<{ groups: ListedGroup[] }> {
    return { groups: this.#store.groupsAfter(after, Math.min(limit, MAX_LIST_PAGE)) };
  }

  async summarizeGroup({ groupId, summary }: ClusterRequest<"summarizeGroup">): Promise<void> {
    this.#change(() => this.#store.summarizeGroup(groupId, summary));
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
    summary = null,
  }: ClusterRequest<"subscribe">): Promise<
    Result<{
      topics: Topic[];
      retiredIncarnation: number;
      isMade: boolean;
      isListedNow: boolean;
      ownerSecret: string;
    }>
  > {
    const invalid = whyNotGroupId(groupId) ?? whyNotTopicPattern(pattern);
    if (invalid !== null) return invalid;
    if (!this.#store.hasGroup(groupId) && this.#store.groupCount >= MAX_GROUPS) {
      return fail("THROTTLING_QUOTA_EXCEEDED", `there are ${MAX_GROUPS} groups, the bound`);
    }
    if (rooms && !this.#store.hasGroup(groupId)) {
      const full = whyNoRoom(rooms, (pattern, max) =>
        this.#countOf(
          pattern,
          max,
          (id) => this.#store.hasGroup(id),
          (prefix, limit) => this.#store.groupIds(prefix, limit),
        ),
      );
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
    const wasListed = this.#store.hasGroup(groupId);
    const noSpace = this.#whyNoSpaceFor(groupId, whatCounts(), pattern);
    if (noSpace !== null) return noSpace;
    const found = names.flatMap((name) => this.#store.topic(name) ?? []);
    const remembered = mustExist ? found.map(({ name }) => name) : names;
    if (!mustExist || found.length > 0) {
      this.#forgetting.delete(groupId);
      this.#change(() => {
        this.#store.putGroup(groupId, summary);
        for (const name of remembered) this.#store.subscribe(groupId, name);
        for (const kept of this.#pruning) {
          if (kept.groupId !== groupId) continue;
          for (const name of remembered) kept.names.add(name);
          if (pattern !== null) kept.patterns.add(pattern);
        }
        if (pattern !== null) this.#store.subscribeToPattern(groupId, pattern);
      });
    }
    const isListedNow = !wasListed && this.#store.hasGroup(groupId);
    const isMade = this.#store.isGroupMade(groupId);
    const retiredIncarnation = this.#retiredIncarnation;
    const ownerSecret = this.#ownerSecret();
    const group = { retiredIncarnation, isMade, isListedNow, ownerSecret };
    if (pattern === null) return { ok: true, topics: found, ...group };
    const matching = this.#matches.of(pattern, (beginning) => this.#store.topicNames(beginning));
    const all = new Set([...found.map(({ name }) => name), ...matching]);
    const topics = [...all].sort().flatMap((name) => this.#store.topic(name) ?? []);
    return { ok: true, topics, ...group };
  }

  /** [QUO-5] Counts the names that fit a pattern, up to `max`. */
  #countOf(
    pattern: NamePattern,
    max: number,
    has: (name: string) => boolean,
    begin: (prefix: string, limit: number) => readonly string[],
  ): number {
    if ("exact" in pattern) return has(pattern.exact) ? 1 : 0;
    return begin(pattern.prefix, max).length;
  }

  /**
   * [QUO-6] Returns why the group may not add these subscriptions, or null. Before it refuses, it forgets what
   * the group's members no longer subscribe to, because nobody reports that to the cluster.
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

  /** [LOG-13] Existing subscriptions of the group take no more room. */
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

  /**
   * Asks the group for its subscriptions and forgets the others. Subscriptions that are added during the
   * question stay.
   */
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
   * [CLK-5] A new group takes the incarnation after the newest retired one. A group that has lost its data does
   * not know its own incarnation. That was at most the retired one, so the next one is later than both.
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
    this.#keyChanges.note(key.id);
    return { ok: true };
  }

  async apiKey({
    id,
  }: ClusterRequest<"apiKey">): Promise<{ key: StoredKey | null; version: string }> {
    return { key: this.#store.access.key(id), version: this.#keyChanges.version };
  }

  /** [APK-4] */
  async apiKeyChanges({ since }: ClusterRequest<"apiKeyChanges">) {
    return { version: this.#keyChanges.version, changed: this.#keyChanges.since(since) };
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
    // [ACL-9] A key from an earlier release may be too large. It can still expire or get a quota.
    const tooLarge = grants === undefined ? null : whyNotKept(callerOfKey(altered));
    if (tooLarge !== null) return tooLarge;
    const isChanged = JSON.stringify(altered) !== JSON.stringify(key);
    this.#change(() => this.#store.access.putKey(altered));
    this.#keyChanges.note(id);
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
    this.#keyChanges.note(id);
    return { ok: true, key: shownKey(key) };
  }

  /** [APK-2] Writes at most one row a day. */
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

  /**
   * [ATT-5] Returns the secret that signs owner tokens. It is sent with other answers to the objects that need
   * it next.
   */
  #ownerSecret(): string {
    const { access } = this.#store;
    const kept = access.secret(OWNER_SECRET);
    if (kept !== null) return kept;
    const made = newSecret();
    this.#change(() => access.putSecret(OWNER_SECRET, made));
    return made;
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
      this.#purgeDue();
      await this.#jobs.doAll();
      this.#alarmRetry.succeeded();
    } catch (error) {
      // [ALM-1] The platform gives up on an alarm that keeps failing.
      logLine("error", `cluster: the alarm failed, it will be tried again: ${error}`);
      await this.#setAlarm(wallClockMs(this.#sql) + this.#alarmRetry.failed());
    }
  }

  async #setAlarm(atMs: number | null): Promise<void> {
    if (atMs === null) await this.#alarm.deleteAlarm();
    else await this.#alarm.setAlarm(atMs);
  }

  async #run(task: Task): Promise<void> {
    await this.ready("alarm"); // In another jurisdiction, objects of the same names are different objects.
    if (task.type === "tell-group") {
      const topic = this.#store.topic(task.topic);
      const group = groupStub(this.env, task.groupId);
      const told = await group.changeTopic({ name: task.topic, topic });
      const forgotten = told?.forgotten ?? null;
      const isKept = forgotten !== null && this.#store.deletedTopic(forgotten.topicId) !== null;
      if (isKept && forgotten.positions.length > 0)
        this.#store.keepPositions(task.groupId, forgotten);
      return;
    }
    if (task.type === "restore-positions") {
      const topic = this.#store.topicById(task.topicId);
      const positions = this.#store.positionsKept(task.topicId, task.groupId);
      // This must not bring back a group that was deleted in the meantime.
      if (topic !== null && this.#store.hasGroup(task.groupId))
        await groupStub(this.env, task.groupId).restorePositions({ topic, positions });
      this.#store.forgetPositions(task.topicId, task.groupId);
      return;
    }
    if (task.type === "retire-topic" || task.type === "restore-topic") {
      await this.#retireOrRestore(task.topicId);
      return;
    }
    if (task.type === "destroy-topic") {
      const used = task.used ?? partitionsOf(task.partitions);
      const failures: unknown[] = []; // A damaged partition stays damaged and must not stop the others from being freed.
      await mapConcurrently(used, FAN_OUT, async (partition) => {
        const destroyed = partitionStub(this.env, task.topicId, partition).destroy();
        await destroyed.catch((error: unknown) => failures.push(error));
        await this.#turns.next(); // Otherwise a topic with many partitions would block other callers.
      });
      if (failures.length > 0) throw failures[0];
      return;
    }
    if (task.type === "configure-all") await this.#configureAll(task.keys);
    else await this.#configure(task.topicId);
  }

  /** [CFG-3] Notifies the partitions of all topics that do not set all of these keys themselves. */
  async #configureAll(keys: readonly string[]): Promise<void> {
    let failure: { readonly error: unknown } | null = null;
    for (let after = ""; ; ) {
      const topics = this.#store.topicsAfter(after, MAX_LIST_PAGE);
      const last = topics.at(-1);
      if (last === undefined) break;
      after = last.name;
      const inheriting = topics.filter(({ overrides }) =>
        keys.some((key) => !Object.hasOwn(overrides, key)),
      );
      await mapConcurrently(inheriting, TOPICS_AT_ONCE, async ({ topicId }) => {
        // A topic that cannot be reached does not stop the others from being notified.
        await this.#jobs
          .inLine(topicLine(topicId), () => this.#configure(topicId))
          .catch((error: unknown) => {
            failure ??= { error };
          });
      });
      await this.#turns.next();
    }
    if (failure !== null) throw (failure as { readonly error: unknown }).error;
  }

  /** [DEL-1] [DEL-2] Notifies the used partitions of a topic whether it is deleted, as of now. */
  async #retireOrRestore(topicId: string): Promise<void> {
    const topic = this.#store.topicById(topicId);
    const kept = topic ?? this.#store.deletedTopic(topicId)?.topic ?? null;
    if (kept === null) return; // It is being freed.
    const used = this.#store.usedPartitions(topicId) ?? partitionsOf(kept.partitions);
    await mapConcurrently(used, FAN_OUT, async (partition) => {
      const stub = partitionStub(this.env, topicId, partition);
      await (topic === null ? stub.retire() : stub.restore({ topic }));
      await this.#turns.next();
    });
  }

  /** Sends the topic's current config to its used partitions. */
  async #configure(topicId: string): Promise<void> {
    const topic = this.#store.topicById(topicId);
    if (topic === null) return; // It was deleted in the meantime.
    const used = this.#store.usedPartitions(topicId) ?? partitionsOf(topic.partitions);
    await mapConcurrently(used, FAN_OUT, async (partition) => {
      await partitionStub(this.env, topicId, partition).configure({ topic });
      await this.#turns.next();
    });
  }

  #change<T>(body: () => T): T {
    return this.#store.transaction(body);
  }

  #addGroupTasks(topic: string): StoredTask[] {
    const groupIds = new Set(this.#store.subscribers(topic));
    for (const [topicPattern, groups] of this.#store.patternsFor(topic))
      if (subscribes({ topics: [], topicPattern }, topic))
        for (const groupId of groups) groupIds.add(groupId);
    return [...groupIds].map((groupId) =>
      this.#store.addTask({ type: "tell-group", groupId, topic }),
    );
  }
}

countEvents(ClusterObject);
serveCalls(ClusterObject, "cluster", CLUSTER_CALLS, (object: ClusterObject, method) =>
  object.ready(method),
);

function partitionsOf(count: number): number[] {
  return Array.from({ length: count }, (_, partition) => partition);
}

function unknownKey(id: string): Failure {
  return fail("RESOURCE_NOT_FOUND", `there is no API key ${id}`);
}

function unknownDeleted(topicId: string): Failure {
  return fail("UNKNOWN_TOPIC_ID", `there is no deleted topic ${topicId}`);
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
