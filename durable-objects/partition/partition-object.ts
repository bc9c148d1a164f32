// One partition: its log, its tail readers, and the owners that may read for each group. The core decides
// (src/core/log). This object stores and publishes the decision, in this order: admit → persist → publish. A
// reply or a frame sent after `sql.exec` leaves only once the write is durable (output gate). So nobody ever
// sees a record that could still be lost [LOG-5].

import { DurableObject } from "cloudflare:workers";
import type * as z from "zod";
import { budgets } from "../../src/budgets.ts";
import type { Changed } from "../../src/calls/calls.ts";
import type { ClusterCalls } from "../../src/calls/cluster-calls.ts";
import {
  type AcquiredBatches,
  type AppendRequest,
  type AppendResult,
  type Bounds,
  PARTITION_CALLS,
  type PartitionCalls,
  type PartitionRequest,
  type ShareDescription,
  type ShareGroupName,
} from "../../src/calls/partition-calls.ts";
import { beginOfUpgrade } from "../../src/calls/socket-caller.ts";
import { compressor } from "../../src/compression/compress.ts";
import { decodeAnyBatch, decoderWithin } from "../../src/compression/decode.ts";
import { decompress } from "../../src/compression/decompress.ts";
import { namespaceOf } from "../../src/core/access/caller.ts";
import { groupResource, topicResource } from "../../src/core/access/grants.ts";
import { nameInside } from "../../src/core/access/namespace.ts";
import { SOCKET_APPEND_DOLLARS } from "../../src/core/access/principal-budgets.ts";
import { QuotaBook } from "../../src/core/access/quota-book.ts";
import { assert } from "../../src/core/assert.ts";
import { concatBytes } from "../../src/core/bytes.ts";
import type { ConfigOverrides } from "../../src/core/cluster/config.ts";
import { resolveTopic, type Topic, type TopicDescription } from "../../src/core/cluster/topics.ts";
import {
  attempt,
  BrokerError,
  ERRORS,
  errorOf,
  type Failure,
  fail,
  failureOf,
  type Result,
} from "../../src/core/errors.ts";
import { unknownGroup } from "../../src/core/group/admission.ts";
import {
  FAN_OUT,
  MAX_DECODED_REQUEST_BYTES,
  MAX_DIRECT_READERS,
  MAX_FETCH_BYTES,
  MAX_INCARNATION_AHEAD_MS,
  MAX_READERS_PER_PARTITION,
} from "../../src/core/limits.ts";
import { validateAppend } from "../../src/core/log/append.ts";
import { Compactor } from "../../src/core/log/compaction.ts";
import { ChunkVerifier } from "../../src/core/log/damage.ts";
import type { KeyedRequest } from "../../src/core/log/keyed-request.ts";
import { PartitionLog } from "../../src/core/log/partition-log.ts";
import type { TimestampCandidate } from "../../src/core/log/timestamp-lookup.ts";
import { mapConcurrently } from "../../src/core/map-concurrently.ts";
import type { PartitionSnapshot } from "../../src/core/metrics/snapshot.ts";
import type { ShareTerms } from "../../src/core/share/share-terms.ts";
import {
  clusterStub,
  type Env,
  groupStub,
  placeOf,
  type RelayStub,
  relayStub,
} from "../../src/env.ts";
import { logLine } from "../../src/log.ts";
import { memory } from "../../src/memory.ts";
import type { AppendErrorMessage, AppendedMessage } from "../../src/protocol/append-frame.ts";
import type { InitialOffset } from "../../src/protocol/group-socket.ts";
import { PING, PONG } from "../../src/protocol/heartbeat.ts";
import { isUnknownType, parseFrame } from "../../src/protocol/parse.ts";
import {
  type Owner,
  partitionSocketMessage,
  type RelayMessage,
} from "../../src/protocol/partition-socket.ts";
import { readAppendFrame } from "../../src/protocol/read-append-frame.ts";
import { isStanding, ObjectClock, startAnew } from "../shared/clock.ts";
import { message } from "../shared/message.ts";
import { Notes } from "../shared/notes.ts";
import type { ObjectSocket } from "../shared/object-socket.ts";
import { OwnerSigner } from "../shared/owner-signature.ts";
import { readerGate } from "../shared/reader-gate.ts";
import { upgradeReader } from "../shared/reader-upgrade.ts";
import { BEING_RESTORED, recoveryPoint, restoreTo } from "../shared/recovery.ts";
import { reportToMetrics } from "../shared/reporter.ts";
import { serveCalls } from "../shared/serve-calls.ts";
import { SilentSockets } from "../shared/silent-sockets.ts";
import { assertRead, closeFatal, errorFields, finishClose, sendJson } from "../shared/socket.ts";
import { SocketAccess } from "../shared/socket-access.ts";
import { attachState, callerOn, keyTag } from "../shared/socket-caller.ts";
import { storageOf, type Transactional } from "../shared/sql.ts";
import { trace } from "../shared/trace.ts";
import { Turns } from "../shared/turns.ts";
import { type Alarm, type Counting, countEvents, ObjectUsage } from "../shared/usage.ts";
import { EndReports } from "./end-reports.ts";
import { type CommitTarget, GroupCommit } from "./group-commit.ts";
import { GroupOwners } from "./group-owners.ts";
import { Housekeeping } from "./housekeeping.ts";
import { PartitionCounts } from "./partition-counts.ts";
import { PartitionStore } from "./partition-store.ts";
import { Relays } from "./relays.ts";
import { RequestStore } from "./request-store.ts";
import { ShareStore } from "./share-store.ts";
import { ShareWatchers } from "./share-watchers.ts";
import { Shares } from "./shares.ts";
import { SqlLogStore } from "./sql-log-store.ts";
import { TailReaders } from "./tail-readers.ts";

/**
 * The records of a partition that somebody is trying out. A partition with fewer reports at once each time it
 * has grown by a certain share. The first five records are reported one by one, and all thousand in thirty
 * reports.
 */
const NEW_RECORDS = 1_000;
const NEWS_GROWTH = 1.2;

/** The note with the time until which the topic's budget is used up. The name is stored. */
const BUDGET_NOTE = "budget-until";
const DAY_MS = 86_400_000;

/** The wait before a partition retries to report its first use to the cluster. */
const LISTING_RETRY_MS = 60_000;

/** The parts of a partition in use. They do not exist before its first use and after its end. */
interface Parts {
  topic: Topic;
  readonly log: PartitionLog;
  readonly commits: GroupCommit;
  readonly readers: TailReaders;
  readonly relays: Relays;
  readonly requests: RequestStore;
  readonly housekeeping: Housekeeping;
  readonly turns: Turns;
  readonly shares: Shares;
  readonly watchers: ShareWatchers;
}

export class PartitionObject extends DurableObject<Env> implements PartitionCalls, Counting {
  readonly usage = new ObjectUsage();
  readonly #storage: Transactional;
  readonly #alarm: Alarm;
  readonly #store: PartitionStore;
  readonly #topicId: string;
  readonly #partition: number;
  readonly #ends: EndReports;
  readonly #silent: SilentSockets;
  readonly #access: SocketAccess;
  readonly #notes: Notes;
  readonly #signer: OwnerSigner;
  /** [QUO-2] The remaining quotas of callers that read and append here over sockets. */
  readonly #quotas = new QuotaBook();
  /** The latest attach of each socket. The group may have to be asked if the caller is an owner. */
  readonly #attaching = new WeakMap<WebSocket, symbol>();
  readonly #counts = new PartitionCounts();
  /**
   * [BGT-2] The time until which the topic's budget is used up, as last reported by the metrics. 0 if it is not
   * used up, null if the metrics must be asked.
   */
  #topicUntilMs: number | null = null;
  /** The end of the log in the last report to the metrics. Null if this life has reported nothing. */
  #toldEnd: number | null = null;
  #parts: Parts | null = null;
  #isDestroyed = false;
  /**
   * True if the cluster was asked, in this life, for what it remembers of this partition. Only a machine's disk
   * can lose data.
   */
  #isCompared: boolean;
  #loading: Promise<Result<{ parts: Parts }>> | null = null;
  #listing: Promise<void> | null = null;
  /** [FIL-3] [FIL-4] [CRC-4] The reason why this partition no longer serves anything. */
  #damage: Failure | null = null;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const name = ctx.id.name ?? "";
    const slash = name.lastIndexOf("/");
    assert(slash > 0, `a partition is named topic-id/number, not ${name}`);
    this.#topicId = name.slice(0, slash);
    this.#partition = Number(name.slice(slash + 1));
    trace(env, "partition", name, "start");
    this.#storage = storageOf(ctx.storage, this.usage);
    this.#alarm = this.usage.alarmOf(ctx.storage);

    this.#silent = new SilentSockets(ctx.getWebSockets());
    this.#access = new SocketAccess({
      env,
      waitUntil: (promise) => ctx.waitUntil(promise),
      ended: (socket) => this.#forget(socket),
      changed: () => {}, // Every message and every frame is judged by the current rights.
    });
    this.#notes = new Notes(this.#storage.sql, () => this.#parts !== null);
    this.#signer = new OwnerSigner(env, this.#notes);
    const own = { topicId: this.#topicId, partition: this.#partition };
    this.#store = new PartitionStore(this.#storage, own);
    this.#ends = new EndReports((end) => this.#noteLogEnd(end));
    this.#isCompared = env.RIVULET_FILES === undefined;
    const woken = attempt(() => {
      const topic = this.#store.open();
      const isServed = topic !== null && !this.#store.isRetired;
      return { ok: true as const, parts: isServed ? this.#assemble(topic) : null };
    });
    if (woken.ok) this.#parts = woken.parts;
    else this.#fail(woken);
    if (this.#parts !== null && hasBudget(this.#parts.topic)) {
      const untilMs = Number(this.#notes.get(BUDGET_NOTE) ?? 0);
      if (untilMs > Date.now()) this.#topicUntilMs = untilMs;
    }
    reportToMetrics({
      ...{ env, ctx, usage: this.usage },
      hasNews: () => this.#hasNews(),
      answered: (answer) => {
        if (this.#parts !== null && hasBudget(this.#parts.topic))
          this.#learnBudget(answer?.topicUntilMs ?? null);
      },
      snapshot: () => this.#snapshot(),
    });
    // [PLC-3] The previous life may have ended before it reported to the cluster.
    if (this.#parts !== null && this.#store.isUnlisted) ctx.waitUntil(this.#list());
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING, PONG));
  }

  /** [RPT-1] [BGT-2] */
  #hasNews(): boolean {
    if (this.#parts === null) return false;
    const { topic, log } = this.#parts;
    if (this.#topicUntilMs === null && hasBudget(topic)) return true;
    const { logEndOffset } = log;
    const told = this.#toldEnd ?? -1;
    return logEndOffset > told && logEndOffset < NEW_RECORDS && logEndOffset >= NEWS_GROWTH * told;
  }

  /** [RPT-1] */
  async snapshot(): Promise<PartitionSnapshot | null> {
    this.usage.asked();
    return this.#snapshot();
  }

  /** Returns null if the partition is not in use. */
  #snapshot(): PartitionSnapshot | null {
    if (this.#parts === null) return null;
    const { topic, log, readers } = this.#parts;
    this.#toldEnd = log.logEndOffset;
    const { appendedRecords, appendedBytes, appendedBatches, commits, deliveredBytes } =
      this.#counts;
    return {
      kind: "partition",
      ...{ life: this.usage.life, usage: this.usage.counts },
      storedBytes: this.#storage.sql.databaseSize,
      ...{ topic: topic.name, topicId: this.#topicId, partition: this.#partition },
      ...{ logStartOffset: log.logStartOffset, logEndOffset: log.logEndOffset },
      ...{ logBytes: log.sizeInBytes, readers: readers.count },
      ...{ appendedRecords, appendedBytes, appendedBatches, commits, deliveredBytes },
      ...(hasBudget(topic) ? { budgetDollars: topic.config.budgetDollars } : {}),
    };
  }

  /** [BGT-2] Returns why the topic may cost no more today, or null. */
  #whyOverBudget(topic: Topic): Failure | null {
    const retryAfterMs = (this.#topicUntilMs ?? 0) - Date.now();
    if (retryAfterMs <= 0 || retryAfterMs > DAY_MS || !hasBudget(topic)) return null;
    const detail = `the topic has used up its budget of $${topic.config.budgetDollars} a day; raise budget.usd.per.day, or try again after midnight UTC`;
    // No client waits for hours.
    return { ...fail("THROTTLING_QUOTA_EXCEEDED", detail), retriable: false, retryAfterMs };
  }

  /**
   * Remembers until when the budget is used up. Otherwise each life of this object would start with a full
   * budget.
   */
  #learnBudget(topicUntilMs: number | null): void {
    this.#topicUntilMs = topicUntilMs ?? 0;
    if (topicUntilMs !== null || this.#notes.get(BUDGET_NOTE) !== null)
      this.#notes.set(BUDGET_NOTE, String(this.#topicUntilMs));
  }

  /** Answers every call with the failure. Data that cannot be read is never overwritten. */
  #fail(failure: Failure): void {
    const place = `${this.#topicId}/${this.#partition}`;
    logLine("error", `${place}: ${failure.detail}; the object is ${this.ctx.id}.sqlite`);
    this.#damage = { ...failure, retriable: false };
  }

  /** [ALM-1] */
  #logFailure(topic: string, work: string, error: unknown): void {
    const place = `${topic}/${this.#partition}`;
    const { file } = placeOf(this.env, "partition", "", String(this.ctx.id));
    logLine("error", `${place}: ${work} failed, it will be tried again: ${error} (${file})`);
  }

  #assemble(topic: Topic): Parts {
    const { storage } = this.ctx;
    const store = new SqlLogStore(this.#storage);
    const verifier = new ChunkVerifier(
      { topic: topic.name, partition: this.#partition },
      ({ message }) => logLine("error", `${message}; the object is ${this.ctx.id}.sqlite`),
    );
    const log = new PartitionLog(store, topic.config, verifier, memory.tails);
    const gate = readerGate(topic.name, this.#access, this.#quotas, this.#counts);
    const readers = new TailReaders(log, this.#store, this.ctx.getWebSockets(), gate);
    const requests = new RequestStore(this.#storage.sql);
    const codec = { decode: decodeAnyBatch, compressor };
    const compactor = new Compactor(log, store, codec);
    const clock = new ObjectClock(this.#storage.sql);
    const turns = new Turns(clock);
    const owners = new GroupOwners(readers, this.ctx, this.env);
    const relays = new Relays({
      log,
      store: this.#store,
      topic: topic.name,
      stub: (relay) => this.#relayStub(relay, topic.region),
      waitUntil: (promise) => this.ctx.waitUntil(promise),
      failed: () => housekeeping.watchRelays(Date.now()),
    });
    const shares: Shares = new Shares({
      env: this.env,
      store: new ShareStore(this.#storage.sql),
      log,
      source: () => {
        const { name, topicId, partitions } = this.#parts?.topic ?? topic;
        return { topicId, topic: name, partition: this.#partition, partitions };
      },
      askGroup: (name) => this.#askShareGroup(name),
      now: () => clock.now(),
      waitUntil: (promise) => this.ctx.waitUntil(promise),
      changed: (group) => {
        watchers.changed(group);
        housekeeping.watchShares(Date.now());
      },
      deleted: (group) => watchers.notifyAll(group),
      failed: (work, error) => this.#logFailure(topic.name, work, error),
    });
    const watchers = new ShareWatchers(this.ctx.getWebSockets(), (group) =>
      shares.hasAvailable(group),
    );
    const housekeeping: Housekeeping = new Housekeeping(
      this.#alarm,
      log,
      compactor,
      requests,
      turns,
      owners,
      relays,
      shares,
      (work, error) => this.#logFailure(topic.name, work, error),
    );
    const target: CommitTarget = {
      commit: (appends) => {
        const { logEndOffset } = log;
        const refusal = this.#whyOverBudget(this.#parts?.topic ?? topic);
        const outcomes = log.commit(appends, Date.now(), decompress, refusal);
        this.#counts.add(appends, outcomes, logEndOffset);
        return outcomes;
      },
      sync: async () => {
        await storage.sync();
        // First handles the events that have arrived. Otherwise a commit would include one or two appends while
        // dozens are waiting to be read from their sockets.
        await turns.next();
        if (clock.isStanding) await startAnew(this.ctx);
      },
      committed: () => {
        readers.pumpAll();
        watchers.changed();
        relays.committed(Date.now());
        log.trimTail();
        housekeeping.committed(Date.now());
        if (this.env.RIVULET_FILES !== undefined) this.#ends.note(log.logEndOffset);
      },
      lingerMs: () => log.config.commitLingerMs,
    };
    const commits = new GroupCommit(target, clock);
    return {
      ...{ topic, log, commits, readers, relays, requests, housekeeping, turns },
      ...{ shares, watchers },
    };
  }

  #relayStub(relay: number, region: string | undefined): RelayStub {
    const place = { topicId: this.#topicId, partition: this.#partition, relay };
    return relayStub(this.env, place, region);
  }

  async append(request: AppendRequest): Promise<AppendResult> {
    const loaded = await this.#load(request.begin);
    return loaded.ok ? await this.#append(loaded.parts, request) : loaded;
  }

  async #append(
    { topic, log, commits, requests }: Parts,
    { batches, expectedOffset = null, keyed = null, isOwn = false, begin }: AppendRequest,
  ): Promise<AppendResult> {
    const { config } = topic;
    const nowMs = Date.now();
    const isLogAppendTime = config.messageTimestampType === "LogAppendTime";
    const answer = (baseOffset: number, atMs: number): AppendResult => {
      const { logStartOffset } = log;
      const start = logStartOffset === 0 ? {} : { logStartOffset };
      return { ok: true, baseOffset, logAppendTimeMs: isLogAppendTime ? atMs : null, ...start };
    };
    if (keyed !== null) {
      const noted = requests.appended(keyed, nowMs);
      if (noted !== null) return answer(noted.base_offset, noted.appended_at_ms);
      const room = requests.validateRoom(nowMs);
      if (!room.ok) return room;
    }
    const rules = { config, nowMs, isOwn, decode: decoderWithin(MAX_DECODED_REQUEST_BYTES) };
    const append = validateAppend(batches, rules, expectedOffset);
    if (!append.ok) return append;
    // An idempotent producer's repeat is answered as before. Only the commit finds that out.
    const overBudget = append.origin === null ? this.#whyOverBudget(topic) : null;
    if (overBudget !== null) return overBudget;
    const outcome = await commits.append(
      keyed === null
        ? append
        : { ...append, stored: (baseOffset, atMs) => requests.note(keyed, baseOffset, atMs) },
    );
    // [PLC-3] The topic may have been deleted, and created anew under its name, since the Worker looked it up.
    // Its records then belong to the new one.
    if (this.#store.isUnlisted && begin?.isCurrent !== true) {
      await this.#list();
      if (this.#parts === null) return this.#damage ?? this.#unknownTopic();
    }
    return outcome.ok ? answer(outcome.baseOffset, outcome.appendedAtMs) : outcome;
  }

  async read(
    request: PartitionRequest<"read">,
  ): Promise<Result<{ batches: Uint8Array; nextOffset: number } & Bounds>> {
    const loaded = await this.#load(request.begin);
    if (!loaded.ok) return loaded;
    const { log, turns, commits } = loaded.parts;
    turns.hurryIfStanding();
    commits.hurryIfLate();
    const inRange = log.validateOffset(request.offset);
    if (!inRange.ok) return inRange;
    return attempt(() => {
      const maxBytes = Math.min(request.maxBytes, MAX_FETCH_BYTES);
      const { pieces, nextOffset } = log.read(request.offset, maxBytes);
      return { ok: true, batches: concatBytes(pieces), nextOffset, ...boundsOf(log) };
    });
  }

  async readAs({
    owner,
    ...request
  }: PartitionRequest<"readAs">): Promise<
    Result<{ offset: number; batches: Uint8Array; nextOffset: number } & Bounds>
  > {
    const invalid = await this.#whyNotIncarnation(owner);
    if (invalid !== null) return invalid;
    const loaded = await this.#load(request.begin);
    if (!loaded.ok) return loaded;
    const { readers } = loaded.parts;
    if (readers.isOfEarlierIncarnation(owner)) await this.#restoreOwner(loaded.parts, owner);
    const refused = readers.admit(null, owner);
    if (refused !== null) return refused;
    const started = attempt(() => ({
      ok: true as const,
      offset: readers.startOffset(request.offset),
    }));
    if (!started.ok) return started;
    const { offset } = started;
    const read = await this.read({ offset, maxBytes: request.maxBytes });
    return read.ok ? { ...read, offset } : read;
  }

  /**
   * [CLK-5] Admits an owner even though an owner of a later incarnation of its group has attached, if the group
   * has the owner's incarnation. The later one was then made up, or came from a clock that was ahead. The group
   * is asked only in this case: an old incarnation attaches once or twice more and then never again.
   */
  async #restoreOwner(parts: Parts, owner: Owner): Promise<void> {
    if (await this.#hasIncarnation(owner)) parts.readers.forgetOtherIncarnations(owner);
  }

  /** Asks the group. Throws if it does not answer. The cluster is asked first, so that no group is created. */
  async #hasIncarnation({ group, incarnation }: Owner): Promise<boolean> {
    const isListed = await this.#isListedGroup(group);
    return isListed && (await groupStub(this.env, group).hasIncarnation({ incarnation }));
  }

  /** True if the cluster lists the group, or cannot be asked; the group itself then knows. */
  #isListedGroup(groupId: string): Promise<boolean> {
    return clusterStub(this.env)
      .hasGroup({ groupId })
      .catch(() => true);
  }

  /** [CLK-5] True if a clock ahead of this one gave the group its incarnation, or no clock did. */
  #isFromAhead({ group, incarnation }: Owner): boolean {
    if (incarnation <= Date.now() + MAX_INCARNATION_AHEAD_MS) return false;
    return this.#parts === null || this.#store.fence(group)?.incarnation !== incarnation;
  }

  /**
   * [CLK-5] Checks the incarnation of an owner. An incarnation is a time by a clock that may have been set back
   * since, so it may be ahead by any amount. But an incarnation that no clock has shown would lock the group
   * out forever. The group knows its own. It is asked only if the incarnation is ahead, and not again once that
   * has attached.
   */
  async #whyNotIncarnation(owner: Owner): Promise<Failure | null> {
    if (!this.#isFromAhead(owner)) return null;
    const { group, incarnation } = owner;
    try {
      if (await this.#hasIncarnation(owner)) return null;
    } catch (error) {
      return fail("COORDINATOR_NOT_AVAILABLE", `group ${group} cannot be asked: ${error}`);
    }
    const latestMs = Date.now() + MAX_INCARNATION_AHEAD_MS;
    const detail = `owner.incarnation is ${incarnation}, it must be at most ${latestMs}, or the one that group ${group} has`;
    return fail("INVALID_REQUEST", detail);
  }

  async findRelay({ relay }: PartitionRequest<"findRelay">): Promise<Result<{ isInUse: boolean }>> {
    const loaded = await this.#load();
    return loaded.ok ? { ok: true, isInUse: loaded.parts.relays.has(relay) } : loaded;
  }

  async subscribeRelay({
    relay,
  }: PartitionRequest<"subscribeRelay">): Promise<Result<{ topic: string } & Bounds>> {
    const loaded = await this.#load();
    if (!loaded.ok) return loaded;
    const { log, relays, topic } = loaded.parts;
    relays.subscribe(relay, Date.now());
    return { ok: true, topic: topic.name, ...boundsOf(log) };
  }

  async locate({
    offset: at,
  }: PartitionRequest<"locate">): Promise<Result<{ offset: number } & Bounds>> {
    const loaded = await this.#load();
    return loaded.ok ? locate(loaded.parts, at) : loaded;
  }

  async offsets({ begin }: PartitionRequest<"offsets"> = {}): Promise<Result<Bounds>> {
    const loaded = await this.#load(begin);
    return loaded.ok ? { ok: true, ...boundsOf(loaded.parts.log) } : loaded;
  }

  async inspect(): Promise<Result<{ config: ConfigOverrides } & Bounds>> {
    const loaded = await this.#load();
    if (!loaded.ok) return loaded;
    const { log, topic } = loaded.parts;
    return { ok: true, ...boundsOf(log), config: { ...topic.defaults, ...topic.overrides } };
  }

  async findBatchByTimestamp({
    timestamp,
    from,
  }: PartitionRequest<"findBatchByTimestamp">): Promise<
    Result<{ candidate: TimestampCandidate | null; topic: string } & Bounds>
  > {
    const loaded = await this.#load();
    if (!loaded.ok) return loaded;
    const { log, topic } = loaded.parts;
    return attempt(() => {
      const candidate = log.findBatchByTimestamp(timestamp, from);
      return { ok: true, candidate, topic: topic.name, ...boundsOf(log) };
    });
  }

  async maxTimestamp(): Promise<Result<{ timestamp: number | null }>> {
    const loaded = await this.#load();
    if (!loaded.ok) return loaded;
    const { log } = loaded.parts;
    return attempt(() => ({ ok: true, timestamp: log.maxTimestamp(decodeAnyBatch) }));
  }

  async deleteRecords({
    before,
  }: PartitionRequest<"deleteRecords">): Promise<Result<{ logStartOffset: number } & Changed>> {
    const loaded = await this.#load();
    if (!loaded.ok) return loaded;
    const { log } = loaded.parts;
    if (before > log.logEndOffset) {
      return fail(
        "OFFSET_OUT_OF_RANGE",
        `before is ${before}, the log ends at ${log.logEndOffset}`,
      );
    }
    const isChanged = before > log.logStartOffset;
    log.deleteRecordsBefore(before, Date.now());
    return { ok: true, logStartOffset: log.logStartOffset, isChanged };
  }

  async beginRequest({
    key,
    bodyHash,
    plan,
    begin,
  }: PartitionRequest<"beginRequest">): Promise<Result<{ request: KeyedRequest | null }>> {
    const loaded = await this.#load(begin);
    if (!loaded.ok) return loaded;
    const { topic, requests, housekeeping } = loaded.parts;
    const refusal = this.#whyOverBudget(topic);
    const begun = requests.begin(key, bodyHash, plan, Date.now(), refusal);
    await housekeeping.schedule(Date.now());
    return begun;
  }

  // Share groups.

  async acquire(request: PartitionRequest<"acquire">): Promise<Result<AcquiredBatches>> {
    const loaded = await this.#load(request.begin);
    return loaded.ok ? await loaded.parts.shares.acquire(request) : loaded;
  }

  async acknowledge(request: PartitionRequest<"acknowledge">) {
    const loaded = await this.#load();
    return loaded.ok ? await loaded.parts.shares.acknowledge(request) : loaded;
  }

  async describeShare(
    name: PartitionRequest<"describeShare">,
  ): Promise<Result<{ share: ShareDescription | null } & Bounds>> {
    const loaded = await this.#load();
    if (!loaded.ok) return loaded;
    const { shares, log } = loaded.parts;
    return { ok: true, share: shares.describe(name), ...boundsOf(log) };
  }

  async resetShare(request: PartitionRequest<"resetShare">): Promise<Result<object>> {
    const loaded = await this.#load();
    return loaded.ok ? await loaded.parts.shares.reset(request) : loaded;
  }

  async configureShare(request: PartitionRequest<"configureShare">): Promise<void> {
    this.#parts?.shares.configure(request);
  }

  async deleteShare(name: PartitionRequest<"deleteShare">): Promise<void> {
    this.#parts?.shares.delete(name);
  }

  /** [SHR-17] The cluster is asked first, so that no group is created. */
  async #askShareGroup({
    group,
    incarnation,
  }: ShareGroupName): Promise<Result<{ incarnation: number; terms: ShareTerms }>> {
    const topic = this.#parts?.topic;
    if (topic === undefined) return this.#unknownTopic();
    if (!(await this.#isListedGroup(group))) return unknownGroup(group);
    const { topicId, name, partitions } = topic;
    const place = { topic: { topicId, name, partitions }, partition: this.#partition };
    return await groupStub(this.env, group).useShare({ incarnation, ...place });
  }

  async configure({ topic }: PartitionRequest<"configure">): Promise<void> {
    await this.#configure(resolveTopic(topic));
  }

  async #configure(topic: Topic, isUnlisted?: boolean): Promise<void> {
    const parts = this.#parts;
    if (parts === null) return;
    this.#store.setTopic(topic, isUnlisted);
    // [BGT-2] The metrics know only the previous budget.
    if (topic.config.budgetDollars !== parts.topic.config.budgetDollars) {
      if ((this.#topicUntilMs ?? 0) > 0) this.#learnBudget(null);
      this.#topicUntilMs = null;
    }
    parts.topic = topic;
    parts.log.config = topic.config;
    parts.commits.hurry(); // The configured wait may have changed.
    await parts.housekeeping.schedule(Date.now(), parts.log.isFull);
  }

  /**
   * [CLK-1] [CLK-2] Ends the waits of appends for a commit. If time stands still, a new life begins with the
   * clock as it is now. Appends not stored by then are not stored in this life.
   */
  async noticeClock(): Promise<void> {
    const parts = this.#parts;
    if (parts === null) return;
    parts.turns.hurry();
    parts.commits.hurry();
    if (isStanding(this.#storage.sql) && parts.commits.stop())
      this.ctx.waitUntil(startAnew(this.ctx));
  }

  override async alarm(): Promise<void> {
    trace(this.env, "partition", this.ctx.id.name ?? "", "alarm");
    if (this.#parts === null) return;
    if (this.#store.isUnlisted) await this.#list();
    const loaded = await this.#load();
    if (loaded.ok) await loaded.parts.housekeeping.run(Date.now);
  }

  /** A partition that serves nothing can be recovered too. */
  async recoveryPoint({ toMs }: PartitionRequest<"recoveryPoint">) {
    return await recoveryPoint(this.ctx, toMs);
  }

  async recoverTo({ bookmark }: PartitionRequest<"recoverTo">) {
    return await restoreTo(this.ctx, bookmark, () => {
      const parts = this.#parts;
      this.#parts = null;
      this.#damage = BEING_RESTORED;
      parts?.housekeeping.stop();
      parts?.commits.end(BEING_RESTORED);
    });
  }

  /**
   * [CLU-4] Frees everything. From here on this partition does not exist. Waiting appends get that error before
   * their sockets are closed. Repeating the call is harmless. [FIL-7] It never frees data of another topic.
   */
  async destroy(): Promise<void> {
    if (this.#damage !== null && this.#store.isAnothers) throw errorOf(this.#damage);
    this.#isDestroyed = true;
    await this.#leave();
    await this.ctx.storage.deleteAll();
  }

  /** [DEL-1] */
  async retire(): Promise<void> {
    if (this.#damage !== null) return; // It serves nothing, and unreadable data is never overwritten.
    this.#store.setRetired(true);
    await this.#leave();
    await this.ctx.storage.deleteAlarm();
  }

  /** [DEL-2] */
  async restore({ topic }: PartitionRequest<"restore">): Promise<void> {
    const kept =
      this.#damage === null && this.#store.isRetired ? this.#store.setRetired(false) : null;
    if (kept !== null) this.#parts = this.#assemble(kept);
    await this.#configure(resolveTopic(topic));
  }

  /** Stops serving. Waiting appends get the error before their sockets are closed. */
  async #leave(): Promise<void> {
    const parts = this.#parts;
    this.#parts = null;
    parts?.log.drop();
    parts?.housekeeping.stop();
    parts?.commits.end(this.#unknownTopic());
    await message();
    for (const socket of this.ctx.getWebSockets()) {
      parts?.readers.remove(socket);
      closeFatal(socket, new BrokerError("UNKNOWN_TOPIC_ID", "the topic was deleted"));
    }
    await this.#callRelays((relay) => relay.end());
  }

  /**
   * Loads the partition. Its first use begins it, so creating a topic wakes no partition. A request after a
   * topic's deletion leaves nothing behind, because the cluster is asked about, or receives, each first use.
   */
  async #load(begin?: TopicDescription): Promise<Result<{ parts: Parts }>> {
    if (this.#damage !== null) return this.#isDestroyed ? this.#unknownTopic() : this.#damage;
    if (this.#store.isRetired) return this.#unknownTopic();
    if (this.#parts !== null && this.#isCompared) return { ok: true, parts: this.#parts };
    const hint = begin?.topicId === this.#topicId ? begin : null;
    this.#loading ??= (
      this.#parts === null ? this.#begin(hint) : this.#compare(this.#parts)
    ).finally(() => {
      this.#loading = null;
    });
    return this.#loading;
  }

  /**
   * [PLC-3] Begins the first use. If the Worker has described the topic, the cluster gets the report
   * afterwards, and only appends wait for that. [FIL-3] A machine's disk may have lost the stored data. So
   * there the cluster is asked first, and the Worker's description counts only while the cluster is out of
   * reach.
   */
  async #begin(hint: TopicDescription | null): Promise<Result<{ parts: Parts }>> {
    let found: Awaited<ReturnType<ClusterCalls["usePartition"]>> | null = null;
    if (hint === null || this.env.RIVULET_FILES !== undefined) {
      try {
        found = await this.#use();
      } catch (error) {
        if (hint === null) throw error;
      }
    }
    const isGone = this.#isDestroyed || this.#store.isRetired; // It may have been deleted in the meantime.
    if (isGone || found?.ok === false) return this.#unknownTopic();
    const topic = resolveTopic(found?.topic ?? (hint as TopicDescription));
    if (this.#partition >= topic.partitions) {
      return fail(
        "UNKNOWN_TOPIC_OR_PARTITION",
        `topic ${topic.name} has no partition ${this.#partition}`,
      );
    }
    const knownLogEnd = found?.knownLogEnd ?? null;
    if (knownLogEnd !== null) return this.#storageGone(topic, knownLogEnd);
    this.#store.setTopic(topic, found === null);
    this.#parts = this.#assemble(topic);
    this.#isCompared = true;
    if (found?.ok && found.ownerSecret !== undefined) this.#signer.learn(found.ownerSecret);
    if (found === null) this.ctx.waitUntil(this.#list());
    else await this.#noteFirstUse();
    return this.#loaded();
  }

  #storageGone(topic: Topic, knownLogEnd: number): Failure {
    return this.#stop(topic, `its storage is gone, though its log had ended at ${knownLogEnd}`);
  }

  /**
   * Reports to the cluster that this partition is in use, once it has its tables. All who need that wait for
   * one call. If the topic no longer exists, the partition is gone when this resolves. If the cluster is out of
   * reach, the next append and an alarm retry, because a deletion frees only partitions that are listed.
   */
  #list(): Promise<void> {
    this.#listing ??= this.#listOnce().finally(() => {
      this.#listing = null;
    });
    return this.#listing;
  }

  async #listOnce(): Promise<void> {
    const { storage } = this.ctx;
    const before = this.#parts?.topic;
    try {
      await storage.sync(); // Listed without tables, it would look like one whose storage is gone.
      const found = await this.#use(true);
      if (found.ok && found.ownerSecret !== undefined) this.#signer.learn(found.ownerSecret);
      const parts = this.#parts;
      if (parts === null) return; // It was destroyed in the meantime.
      const known = found.ok ? (found.knownLogEnd ?? 0) : 0;
      if (!found.ok) await (found.isKept ? this.retire() : this.destroy());
      else if (known > parts.log.logEndOffset) this.#storageGone(parts.topic, known);
      else {
        // [CFG-3] The Worker's description may precede a change that only listed partitions are notified of.
        const topic = parts.topic === before ? resolveTopic(found.topic) : parts.topic;
        await this.#configure(topic, false);
      }
    } catch {
      const atMs = Date.now() + LISTING_RETRY_MS;
      const alarmMs = await this.#alarm.getAlarm();
      if (this.#parts !== null && (alarmMs === null || alarmMs > atMs))
        await this.#alarm.setAlarm(atMs);
    }
  }

  /** [FIL-4] Checks the log at the first use in a life, because the disk may have lost its end. */
  async #compare(parts: Parts): Promise<Result<{ parts: Parts }>> {
    const { logEndOffset } = parts.log;
    try {
      const found = await this.#use();
      const known = found.ok ? (found.knownLogEnd ?? 0) : 0; // A deleted topic's partition will be freed in a moment.
      if (logEndOffset < known)
        return this.#stop(
          parts.topic,
          `its log ends at ${logEndOffset}, but had ended at ${known}: the end of it is lost`,
        );
    } catch {
      // The cluster is out of reach. This partition does not depend on it, and the stub has logged it.
    }
    this.#isCompared = true;
    return this.#loaded();
  }

  #use(hasBegun = false) {
    const place = { topicId: this.#topicId, partition: this.#partition };
    return clusterStub(this.env).usePartition({ ...place, hasBegun });
  }

  /**
   * [FIL-3] Reports to the cluster that the partition has its tables, before anything is appended. The tables
   * are created first, because a crash in between would otherwise look like a loss. If the cluster is out of
   * reach, later appends report it again.
   */
  async #noteFirstUse(): Promise<void> {
    await this.ctx.storage.sync();
    await this.#noteLogEnd(0).catch(() => {});
  }

  #loaded(): Result<{ parts: Parts }> {
    return this.#parts === null ? this.#unknownTopic() : { ok: true, parts: this.#parts };
  }

  /** Stops serving for good. Anything stored later would get offsets that were used before. */
  #stop({ name }: Topic, what: string): Failure {
    const { file } = placeOf(this.env, "partition", "", String(this.ctx.id));
    const detail = `${name}/${this.#partition}: ${what} (${file}); restore the file, or delete the topic`;
    this.#parts?.housekeeping.stop();
    this.#parts = null;
    this.#damage = { ...fail("KAFKA_STORAGE_ERROR", detail), retriable: false };
    return this.#damage;
  }

  async #noteLogEnd(logEnd: number): Promise<void> {
    const place = { topicId: this.#topicId, partition: this.#partition };
    await clusterStub(this.env).noteLogEnd({ ...place, logEnd });
  }

  #unknownTopic(): Failure {
    return fail(
      "UNKNOWN_TOPIC_ID",
      `topic id ${this.#topicId} does not exist; the topic was deleted`,
    );
  }

  /** [ACL-8] */
  async revokeKey({ keyId }: PartitionRequest<"revokeKey">): Promise<void> {
    this.#access.revoke(this.ctx.getWebSockets(keyTag(keyId)));
    await this.#callRelays((relay) => relay.revokeKey({ keyId }));
  }

  /** Calls all relays. Throws if one cannot be reached. */
  async #callRelays(call: (relay: RelayStub) => Promise<void>): Promise<void> {
    const region = this.#parts?.topic.region;
    await mapConcurrently(this.#storedRelays(), FAN_OUT, (relay) =>
      call(this.#relayStub(relay, region)),
    );
  }

  /**
   * Returns no relays before the first use. Damage must not stop the partition of a deleted topic from being
   * freed.
   */
  #storedRelays(): number[] {
    try {
      return this.#store.relays();
    } catch {
      return [];
    }
  }

  #forget(socket: WebSocket): void {
    this.#silent.delete(socket);
    this.#parts?.readers.remove(socket);
    this.#parts?.watchers.remove(socket);
  }

  /** Upgrades a request to a partition socket. [ACL-7] Each of its messages is judged by its caller's rights. */
  override async fetch(request: Request): Promise<Response> {
    const loaded = await this.#load(beginOfUpgrade(request) ?? undefined);
    if (!loaded.ok) return Response.json(loaded, { status: ERRORS[loaded.error].httpStatus });
    const { ctx, env } = this;
    const [silent, access] = [this.#silent, this.#access];
    const maxSockets = MAX_READERS_PER_PARTITION;
    return upgradeReader(request, { ctx, env, silent, access, own: "partition", maxSockets });
  }

  override async webSocketMessage(socket: WebSocket, data: string | ArrayBuffer): Promise<void> {
    let parts = this.#parts;
    if (parts === null || !this.#isCompared) {
      const loaded = await this.#load();
      if (!loaded.ok) return closeFatal(socket, errorOf(loaded));
      parts = loaded.parts;
    }
    if (!this.#access.isGood(socket, Date.now())) return;
    try {
      assertRead(socket);
      if (typeof data !== "string") {
        await this.#appendFrame(parts, socket, data);
        return;
      }
      parts.turns.hurryIfStanding();
      parts.commits.hurryIfLate();
      const message = inside(socket, parseFrame(partitionSocketMessage, data));
      if (message.type === "attach") {
        const mine = Symbol();
        this.#attaching.set(socket, mine);
        const refused = await this.#whyNotAttach(socket, parts.topic.name, message.owner);
        if (this.#attaching.get(socket) !== mine) return; // A later attach of this socket counts.
        if (this.#parts !== parts) return closeFatal(socket, errorOf(this.#unknownTopic()));
        if (refused !== null) return parts.readers.refuse(socket, message.attachId, refused);
        if (message.owner !== undefined && this.#isFromAhead(message.owner)) {
          const invalid = await this.#whyNotIncarnation(message.owner);
          if (invalid !== null) throw errorOf(invalid);
          if (this.#parts !== parts) return closeFatal(socket, errorOf(this.#unknownTopic()));
        }
        if (message.owner !== undefined && parts.readers.isOfEarlierIncarnation(message.owner)) {
          await this.#restoreOwner(parts, message.owner).catch(() => {}); // It is fenced then, and retries.
          if (this.#parts !== parts) return closeFatal(socket, errorOf(this.#unknownTopic()));
        }
        if (message.owner === undefined && message.relays) {
          const relay = await this.#relayFor(parts, socket);
          if (this.#attaching.get(socket) !== mine) return;
          if (this.#parts !== parts) return closeFatal(socket, errorOf(this.#unknownTopic()));
          if (relay !== null && this.#sendToRelay(parts, socket, message, relay)) return;
        }
        if (parts.readers.attach(socket, message)) this.#silent.delete(socket);
      } else if (message.type === "watch") {
        const refused =
          this.#access.whyNot(socket, "READ", topicResource(parts.topic.name)) ??
          this.#access.whyNot(socket, "READ", groupResource(message.group));
        if (refused !== null) throw errorOf(refused);
        this.#silent.delete(socket);
        parts.watchers.watch(socket, message.group);
      } else parts.readers.openWindow(socket, message);
      parts.housekeeping.watchOwners(Date.now());
    } catch (error) {
      if (isUnknownType(error))
        return sendJson(socket, { type: "error", ...errorFields(failureOf(error)) });
      this.#forget(socket);
      closeFatal(socket, error);
    }
  }

  /** [RLY-1] Returns the relay for one more reader, or null if the partition serves it itself. */
  async #relayFor({ readers, relays }: Parts, socket: ObjectSocket): Promise<number | null> {
    if (readers.plainCount < MAX_DIRECT_READERS || readers.placeOf(socket) !== null) return null;
    await relays.learn();
    return relays.assign(Date.now());
  }

  /**
   * [RLY-1] Sends a reader to its relay. Returns false if its offset cannot be read; the reader gets that error
   * elsewhere.
   */
  #sendToRelay(
    parts: Parts,
    socket: ObjectSocket,
    { attachId, offset: at }: Extract<ReaderMessage, { type: "attach" }>,
    relay: number,
  ): boolean {
    const found = locate(parts, at);
    if (!found.ok) return false;
    const { ok: _ok, ...place } = found;
    parts.readers.remove(socket);
    const named: RelayMessage = { type: "relay", attachId, relay, ...place };
    sendJson(socket, named);
    return true;
  }

  /** [ACL-7] [ATT-5] Returns why the socket may not read here, or may not read as this owner. */
  async #whyNotAttach(
    socket: WebSocket,
    topic: string,
    owner: Owner | undefined,
  ): Promise<Failure | null> {
    const refused = this.#access.whyNot(socket, "READ", topicResource(topic));
    if (refused !== null || owner === undefined) return refused;
    const place = { topicId: this.#topicId, partition: this.#partition };
    const notInGroup = this.#access.whyNot(socket, "READ", groupResource(owner.group));
    if (notInGroup !== null) return notInGroup;
    if (owner.signature !== undefined) {
      if (!this.#signer.isLoaded && this.#listing !== null) await this.#listing;
      await this.#signer.load();
      if (this.#signer.isSigned({ ...owner, ...place }, owner.signature)) return null;
    }
    try {
      const isListed = await this.#isListedGroup(owner.group);
      const { incarnation, memberNumber, memberEpoch } = owner;
      const asked = { incarnation, memberNumber, memberEpoch, ...place };
      if (isListed && (await groupStub(this.env, owner.group).isOwner(asked))) return null;
    } catch (error) {
      return fail("COORDINATOR_NOT_AVAILABLE", `group ${owner.group} cannot be asked: ${error}`);
    }
    const detail = `group ${owner.group} has not assigned this partition to member ${owner.memberNumber}`;
    return fail("FENCED_MEMBER_EPOCH", detail);
  }

  /** Appends a binary frame. Errors in the batches are answered, and the socket stays open. */
  async #appendFrame(parts: Parts, socket: WebSocket, data: ArrayBuffer): Promise<void> {
    const { requestId, expectedOffset, batches } = readAppendFrame(data);
    const resource = topicResource(parts.topic.name);
    const refused = this.#access.whyNot(socket, "WRITE", resource);
    const result =
      refused ??
      this.#whyTooMuch(socket, batches) ??
      (await this.#append(parts, { batches, expectedOffset }));
    if (result.ok) {
      if (this.#silent.delete(socket)) attachState(socket, { hasAppended: true });
      const { baseOffset, logAppendTimeMs, logStartOffset } = result;
      const time = logAppendTimeMs === null ? {} : { logAppendTimeMs };
      const start = logStartOffset === undefined ? {} : { logStartOffset };
      const answer: AppendedMessage = {
        type: "appended",
        requestId,
        baseOffset,
        ...time,
        ...start,
      };
      sendJson(socket, answer);
      return;
    }
    const { nextOffset, retryAfterMs } = result;
    const next = {
      ...(nextOffset === undefined ? {} : { nextOffset }),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    };
    const answer: AppendErrorMessage = {
      type: "error",
      requestId,
      ...errorFields(result),
      ...next,
    };
    sendJson(socket, answer);
  }

  /** [QUO-2] Counts the bytes that the socket's caller appends. Returns why it is too much now, or null. */
  #whyTooMuch(socket: ObjectSocket, batches: Uint8Array): Failure | null {
    const caller = callerOn(socket);
    const nowMs = Date.now();
    const budgetMs = budgets.waitMs(caller, nowMs);
    if (budgetMs > 0) {
      const detail = `${caller.principal} has used up its budget of dollars a day; try again after midnight UTC`;
      const failure = fail("THROTTLING_QUOTA_EXCEEDED", detail);
      return { ...failure, retriable: false, retryAfterMs: budgetMs };
    }
    const retryAfterMs = this.#quotas.waitMs(caller, "producerByteRate", nowMs);
    if (retryAfterMs === 0) {
      this.#quotas.take(caller, "producerByteRate", batches.length, nowMs);
      budgets.spend(caller, SOCKET_APPEND_DOLLARS);
      return null;
    }
    const detail = `${caller.principal} has used up its quota of bytes produced per second here; try again in ${retryAfterMs} ms`;
    return { ...fail("THROTTLING_QUOTA_EXCEEDED", detail), retryAfterMs };
  }

  override webSocketClose(socket: WebSocket, code: number): void {
    this.#forget(socket);
    finishClose(socket, code);
  }

  override webSocketError(socket: WebSocket): void {
    this.#forget(socket);
  }
}

serveCalls(PartitionObject, "partition", PARTITION_CALLS);
countEvents(PartitionObject);

type ReaderMessage = z.output<typeof partitionSocketMessage>;

/** [TEN-2] Returns the message with the group's name as it is in the whole deployment. */
function inside(socket: ObjectSocket, message: ReaderMessage): ReaderMessage {
  const name = (group: string) => nameInside(namespaceOf(callerOn(socket)), group);
  if (message.type === "watch") return { ...message, group: name(message.group) };
  if (message.type !== "attach" || message.owner === undefined) return message;
  return { ...message, owner: { ...message.owner, group: name(message.owner.group) } };
}

/** Returns the offset at which a reader would start, if it can. */
function locate(
  { readers, log }: Pick<Parts, "readers" | "log">,
  at: number | InitialOffset,
): Result<{ offset: number } & Bounds> {
  return attempt(() => {
    const offset = readers.startOffset(at);
    const inRange = log.validateOffset(offset);
    return inRange.ok ? { ok: true as const, offset, ...boundsOf(log) } : inRange;
  });
}

function hasBudget({ config }: Topic): boolean {
  return config.budgetDollars > 0;
}

function boundsOf(log: PartitionLog): Bounds {
  return { logStartOffset: log.logStartOffset, highWatermark: log.logEndOffset };
}
