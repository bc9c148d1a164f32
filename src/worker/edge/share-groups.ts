// Share groups for clients without a connection. They acquire records from any partition of the topics, and acknowledge each
// record by its lease. The Worker remembers nothing in between. The partitions know who holds what.
import type {
  AcquiredBatches,
  HolderAcks,
  ShareDescription,
  ShareGroupName,
} from "../../calls/partition-calls.ts";
import { WORKER } from "../../core/access/caller.ts";
import { isWithin, leftOf } from "../../core/elapsed.ts";
import { errorOf, type Failure, fail, type Result, unwrap } from "../../core/errors.ts";
import type { ShareGroupDescription } from "../../core/group/describe.ts";
import {
  DEFAULT_FETCH_BYTES,
  FAN_OUT,
  GROUP_KNOWN_MS,
  LARGE_FAN_OUT,
  MAX_WATCHED_PARTITIONS,
  METADATA_CACHE_GROUPS,
} from "../../core/limits.ts";
import { batches } from "../../core/log/record-batch.ts";
import { mapConcurrently } from "../../core/map-concurrently.ts";
import type { ConsumerRecord, TopicPartition } from "../../core/record.ts";
import { type Lease, parseLease } from "../../core/share/lease-id.ts";
import type { Acknowledgement, AcquiredRange } from "../../core/share/share-partition.ts";
import { type Env, groupStub } from "../../env.ts";
import { AnswerDecoder, type UnreadableBatch } from "./answer-decoder.ts";
import { groupRooms, lookAtGroup } from "./groups.ts";
import { forgetOldest, isolate, type OpenShareGroup } from "./isolate.ts";
import { beginOf, partitionAt, topicMetadata } from "./metadata.ts";
import { PartitionUse } from "./partition-use.ts";
import { assertWithinQuota, countUse } from "./quotas.ts";
import { readInTurn } from "./read-room.ts";
import { stubTransport } from "./stub-transport.ts";
import { after } from "./timer.ts";
import { answerOf } from "./unreadable.ts";

export interface AcquireOptions {
  readonly topics: readonly string[];
  readonly maxRecords: number;
  readonly waitMs: number;
  /** The group's config decides if it is absent. */
  readonly lockMs: number | null;
  /** Where a new group begins, unless its config says so. */
  readonly from: "earliest" | "latest";
  /** True if it acquires nothing after it has waited: a client that has gone would hold it. */
  readonly onlyWaits: boolean;
}

export interface AcquiredRecord extends Lease {
  readonly record: ConsumerRecord;
  readonly deliveryCount: number;
}

export interface AcquireResult {
  readonly lockMs: number;
  readonly records: readonly AcquiredRecord[];
}

interface Place extends TopicPartition {
  readonly topicId: string;
}

/** A round through very many partitions ends after this time, besides the time that the client waits. */
const MAX_ROUND_MS = 5_000;
/** With more partitions than can be watched, a waiting client looks again at all of them after this time. */
const LOOK_AGAIN_MS = 1_000;

/** [SHR-19] Acquires records. If there are none, it waits for the first ones. */
export async function acquire(
  env: Env,
  groupId: string,
  options: AcquireOptions,
): Promise<AcquireResult> {
  assertWithinQuota(env, "consumerByteRate");
  const startMs = Date.now();
  const places = await placesOf(env, options.topics);
  for (let wasGone = false; ; ) {
    const opened = await open(env, groupId, options.topics);
    const acquisition = new Acquisition(env, groupId, opened, options, startMs);
    const taken = await acquisition.take(rotated(places));
    if (!taken.ok) {
      isolate.shareGroups.delete(groupId);
      if (wasGone) throw errorOf(taken);
      wasGone = true; // The group was deleted, and the next one begins.
      continue;
    }
    wasGone = false;
    const leftMs = leftOf(startMs, options.waitMs, Date.now());
    const { records, lockMs } = acquisition;
    if (records.length > 0 || leftMs <= 0) return { lockMs, records };
    await acquisition.wait(leftMs);
    if (options.onlyWaits) return { lockMs, records: [] };
  }
}

async function placesOf(env: Env, topics: readonly string[]): Promise<Place[]> {
  const found = await mapConcurrently([...new Set(topics)], FAN_OUT, (topic) =>
    topicMetadata(env, topic),
  );
  return found.flatMap(({ name: topic, topicId, partitions }) =>
    Array.from({ length: partitions }, (_, partition) => ({ topic, topicId, partition })),
  );
}

/** Begins anywhere, so that all partitions are asked equally often. */
function rotated(places: readonly Place[]): Place[] {
  const start = Math.floor(Math.random() * places.length);
  return [...places.slice(start), ...places.slice(0, start)];
}

/** [SHR-16] Returns the share group, and creates it if it does not exist. */
async function open(env: Env, groupId: string, topics: readonly string[]): Promise<OpenShareGroup> {
  const known = isolate.shareGroups.get(groupId);
  const isKnown = known !== undefined && isWithin(known.atMs, GROUP_KNOWN_MS, Date.now());
  if (isKnown && topics.every((topic) => known.topics.has(topic))) return known;
  const rooms = groupRooms(env, "READ", groupId);
  const opened = unwrap(await groupStub(env, groupId).openShare({ topics, ...rooms }));
  const { incarnation, terms } = opened;
  const group = { incarnation, terms, topics: new Set(topics), atMs: Date.now() };
  isolate.shareGroups.delete(groupId);
  isolate.shareGroups.set(groupId, group);
  forgetOldest(isolate.shareGroups, METADATA_CACHE_GROUPS);
  return group;
}

/** One round through the partitions. */
class Acquisition {
  readonly records: AcquiredRecord[] = [];
  readonly #env: Env;
  readonly #name: ShareGroupName;
  readonly #group: OpenShareGroup;
  readonly #options: AcquireOptions;
  readonly #holder = crypto.randomUUID().replaceAll("-", "").slice(0, 16);
  readonly #decoder = new AnswerDecoder();
  readonly #startMs: number;
  /** The time of the lock, as the partitions say, which know the newest config. */
  lockMs: number;
  /** The partitions that know the group. */
  #asked: Place[] = [];
  /** The time at which the first lock or delay ends. */
  #nextDueMs = Number.POSITIVE_INFINITY;

  constructor(
    env: Env,
    group: string,
    opened: OpenShareGroup,
    options: AcquireOptions,
    startMs: number,
  ) {
    this.#env = env;
    this.#startMs = startMs;
    this.lockMs = options.lockMs ?? opened.terms.lockMs;
    this.#group = opened;
    this.#name = { group, incarnation: opened.incarnation };
    this.#options = options;
  }

  /** Takes records until there are enough. Fails if the group does not exist any more. */
  async take(places: readonly Place[]): Promise<Result<object>> {
    const { maxRecords, waitMs } = this.#options;
    const use = new PartitionUse(this.#env);
    // A partition that is watched must know the group. One that was never used has nothing to begin with, unless the group
    // begins at the end, which has to be noted.
    const skipsUnused =
      startOf(this.#group, this.#options) === "earliest" &&
      (waitMs === 0 || places.length > MAX_WATCHED_PARTITIONS);
    const asking = [...places];
    while (asking.length > 0 && this.#mayTakeMore()) {
      const left = maxRecords - this.records.length;
      const some = asking.splice(0, Math.min(LARGE_FAN_OUT, left));
      const asked = await Promise.all(
        some.map(async (place, i) => {
          const { topicId, partition } = place;
          if (skipsUnused && (await use.isUnused(topicId, partition))) return null;
          const share = Math.floor(left / some.length) + (i < left % some.length ? 1 : 0);
          return { place, acquired: await this.#acquire(place, share) };
        }),
      );
      const failures: Failure[] = [];
      for (const each of asked) {
        if (each === null) continue;
        const { place, acquired } = each;
        if (!acquired.ok) {
          failures.push(acquired);
          continue;
        }
        await this.#keep(place, acquired);
        // It may have more, if others have less. Each round finishes some offsets or holds them, so there is an end.
        if (acquired.ranges.length > 0) asking.push(place);
      }
      // Others have given records, which are held now.
      if (this.records.length > 0) continue;
      const gone = failures.find(({ error }) => error === "GROUP_ID_NOT_FOUND");
      if (gone !== undefined) return gone;
      const [failure] = failures;
      if (failure !== undefined && asking.length === 0) throw errorOf(failure);
    }
    return { ok: true };
  }

  #mayTakeMore(): boolean {
    const { maxRecords, waitMs } = this.#options;
    const isLate = leftOf(this.#startMs, waitMs + MAX_ROUND_MS, Date.now()) === 0;
    return this.records.length < maxRecords && !this.#decoder.isSpent && !isLate;
  }

  #acquire({ topicId, partition }: Place, maxRecords: number): Promise<Result<AcquiredBatches>> {
    const stub = partitionAt(this.#env, topicId, partition);
    const { lockMs, from } = this.#options;
    const holder = this.#holder;
    const maxBytes = DEFAULT_FETCH_BYTES;
    return readInTurn(maxBytes, () =>
      answerOf(async () => {
        const begin = beginOf(this.#env, topicId, partition);
        const limits = { maxRecords, maxBytes, lockMs, from };
        return await stub.acquire({ ...this.#name, holder, ...limits, begin });
      }),
    );
  }

  /** Decodes what was acquired. What has no room in the answer is given back. */
  async #keep(place: Place, acquired: AcquiredBatches): Promise<void> {
    countUse(this.#env, "consumerByteRate", acquired.batches.length);
    this.#asked.push(place);
    this.lockMs = Math.min(this.lockMs, acquired.lockMs);
    if (acquired.nextDueMs !== null)
      this.#nextDueMs = Math.min(this.#nextDueMs, acquired.nextDueMs);
    const others: Acknowledgement[] = [];
    for (const range of acquired.ranges) {
      const { first, last, deliveryCount } = range;
      const size = last - first + 1;
      const bytes = acquired.batches;
      const { records, unreadable } = this.#decoder.records(bytes, first, last + 1, size);
      for (const record of records) {
        const { offset } = record;
        this.records.push({ ...place, offset, holder: this.#holder, record, deliveryCount });
      }
      const bad = badBatch(acquired.batches, unreadable);
      others.push(...unsentOf(range, records, bad, this.#decoder.isSpent));
    }
    if (others.length === 0) return;
    const { topicId, partition } = place;
    const acks = [{ holder: this.#holder, acks: others }];
    // If this fails, the locks end by themselves.
    const stub = partitionAt(this.#env, topicId, partition);
    await answerOf(async () => await stub.acknowledge({ ...this.#name, acks }));
  }

  /** [SHR-19] Waits until a partition has something, or the time is over. */
  async wait(leftMs: number): Promise<void> {
    const places = this.#asked;
    const isAll = places.length > 0 && places.length <= MAX_WATCHED_PARTITIONS;
    const dueMs = Math.max(0, this.#nextDueMs - Date.now());
    const waitMs = Math.min(leftMs, dueMs, isAll ? leftMs : LOOK_AGAIN_MS);
    const watches = places
      .slice(0, MAX_WATCHED_PARTITIONS)
      .map((place) => watch(this.#env, place, this.#name.group));
    const { promise: timeUp, resolve } = Promise.withResolvers<void>();
    const stop = after(waitMs, resolve);
    await Promise.race([timeUp, ...watches.map(({ ended }) => ended)]);
    stop();
    for (const each of watches) each.stop();
  }
}

function startOf({ terms }: OpenShareGroup, { from }: AcquireOptions): unknown {
  return terms.autoOffsetReset === "member" ? from : terms.autoOffsetReset;
}

/** A batch that cannot be decoded. */
interface BadBatch {
  readonly first: number;
  readonly last: number;
  readonly why: string;
}

function badBatch(bytes: Uint8Array, unreadable: UnreadableBatch | null): BadBatch | null {
  if (unreadable === null) return null;
  const { offset: first, detail: why } = unreadable;
  const found = batches(bytes).find(({ header }) => header.baseOffset === first);
  return { first, last: first + (found?.header.lastOffsetDelta ?? 0), why };
}

/**
 * Returns what is to be said about the offsets of a range without a record in the answer. Compaction has removed them, unless
 * the answer is full: then the rest is given back. [CRC-4] A batch that cannot be decoded is given up, because nobody can ever
 * process it.
 */
function unsentOf(
  { first, last }: AcquiredRange,
  records: readonly ConsumerRecord[],
  bad: BadBatch | null,
  isFull: boolean,
): Acknowledgement[] {
  const acks: Acknowledgement[] = [];
  let next = first;
  const add = (end: number, ack: Pick<Acknowledgement, "type" | "reason">) => {
    const to = Math.min(end, last);
    if (to >= next) acks.push({ first: next, last: to, ...ack });
    next = Math.max(next, to + 1);
  };
  for (const { offset } of records) {
    add(offset - 1, { type: "gap" });
    next = offset + 1;
  }
  if (bad !== null) {
    add(bad.first - 1, { type: "gap" });
    add(bad.last, { type: "reject", reason: bad.why });
  }
  // Behind a batch that cannot be decoded nothing was looked at.
  add(last, { type: isFull || bad !== null ? "return" : "gap" });
  return acks;
}

/** Waits over a socket, so that the partition may sleep meanwhile. */
function watch(
  env: Env,
  { topicId, partition }: Place,
  group: string,
): { readonly ended: Promise<void>; stop(): void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const stop = () => {
    socket.close(1000, "done");
    resolve();
  };
  const socket = stubTransport(env, WORKER).openPartition(
    { topic: "", topicId, partition },
    {
      opened: () => socket.send(JSON.stringify({ type: "watch", group })),
      text: stop,
      bytes: () => {},
      closed: stop,
    },
  );
  return { ended: promise, stop };
}

/** An acknowledgement of one record. */
export interface LeaseAck extends Pick<Acknowledgement, "type" | "delayMs" | "reason"> {
  readonly leaseId: string;
}

/**
 * [SHR-20] Applies acknowledgements, each by itself, and returns their results in order. `topicOf` returns the name of a
 * lease's topic in the whole deployment, or why the caller may not acknowledge there.
 */
export async function acknowledge(
  env: Env,
  groupId: string,
  acks: readonly LeaseAck[],
  topicOf: (topic: string) => Result<{ topic: string }>,
): Promise<Result<object>[]> {
  const results = new Array<Result<object>>(acks.length);
  const byPlace = new Map<string, { place: Place; items: { index: number; ack: HolderAcks }[] }>();
  for (const [index, { leaseId, ...ack }] of acks.entries()) {
    const lease = parseLease(leaseId);
    const named = lease === null ? noLease() : topicOf(lease.topic);
    if (lease === null || !named.ok) {
      results[index] = named;
      continue;
    }
    const { topicId, partition, offset, holder } = lease;
    const key = `${topicId}/${partition}`;
    const at = byPlace.get(key) ?? { place: { ...named, topicId, partition }, items: [] };
    at.items.push({ index, ack: { holder, acks: [{ ...ack, first: offset, last: offset }] } });
    byPlace.set(key, at);
  }
  if (byPlace.size === 0) return results;
  const named = await nameOfGroup(env, groupId);
  await mapConcurrently([...byPlace.values()], FAN_OUT, async ({ place, items }) => {
    const answers = named.ok
      ? await acknowledgeAt(env, named.name, place, items)
      : items.map(() => named);
    for (const [i, { index }] of items.entries())
      results[index] = answers[i] ?? fail("UNKNOWN_SERVER_ERROR", "there is no answer");
  });
  return results;
}

function noLease(): Failure {
  return fail("INVALID_REQUEST", "leaseId: must be the leaseId of an acquired record");
}

async function nameOfGroup(env: Env, group: string): Promise<Result<{ name: ShareGroupName }>> {
  const known = isolate.shareGroups.get(group);
  if (known !== undefined && isWithin(known.atMs, GROUP_KNOWN_MS, Date.now()))
    return { ok: true, name: { group, incarnation: known.incarnation } };
  const described = await describeGroup(env, group);
  if (!described.ok) return described;
  return { ok: true, name: { group, incarnation: described.group.incarnation } };
}

async function acknowledgeAt(
  env: Env,
  name: ShareGroupName,
  { topic, topicId, partition }: Place,
  items: readonly { readonly ack: HolderAcks }[],
): Promise<readonly Result<object>[]> {
  const answer = await answerOf<Result<{ results: readonly Result<object>[] }>>(async () => {
    const current = await topicMetadata(env, topic);
    if (partition >= current.partitions) return noLease();
    if (current.topicId !== topicId)
      return fail("UNKNOWN_TOPIC_ID", `topic ${topic} was deleted, and created again`);
    const acks = items.map(({ ack }) => ack);
    return await partitionAt(env, topicId, partition).acknowledge({ ...name, acks });
  });
  return answer.ok ? answer.results : items.map(() => answer);
}

/** A share group with the delivery states of its partitions. */
export interface ShareGroup extends ShareGroupDescription {
  readonly shares: readonly (TopicPartition & ShareDescription)[];
}

/** Describes the group. @throws GROUP_ID_NOT_FOUND for a consumer group too */
export async function describeShareGroup(env: Env, groupId: string): Promise<ShareGroup> {
  const { group } = unwrap(await describeGroup(env, groupId));
  const { incarnation } = group;
  const shares = await mapConcurrently(group.partitions, FAN_OUT, async (place) => {
    const { topic, topicId, partition } = place;
    const stub = partitionAt(env, topicId, partition);
    const described = await stub.describeShare({ group: groupId, incarnation });
    return described.ok && described.share !== null
      ? [{ topic, partition, ...described.share }]
      : []; // Deleted in the meantime.
  });
  return { ...group, shares: shares.flat() };
}

function describeGroup(
  env: Env,
  groupId: string,
): Promise<Result<{ group: ShareGroupDescription }>> {
  return lookAtGroup(env, groupId, async (group) => await group.describeShare());
}
