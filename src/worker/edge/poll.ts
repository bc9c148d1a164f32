// Serves a member without a socket. Each request acknowledges the last answer, keeps the member's place in the
// group and reads on. The Worker remembers nothing between two polls. The group knows what was committed and
// what was delivered. If an answer is lost and its poll is repeated, the repeat is answered from the same
// place.
import { readableTopics } from "../../core/access/grants.ts";
import { leftOf } from "../../core/elapsed.ts";
import { BrokerError, unwrap } from "../../core/errors.ts";
import { unknownMember } from "../../core/group/admission.ts";
import { partitionKey } from "../../core/group/partition-key.ts";
import type { Delivery } from "../../core/group/requests.ts";
import {
  DEFAULT_FETCH_BYTES,
  DEFAULT_REBALANCE_TIMEOUT_MS,
  LARGE_FAN_OUT,
} from "../../core/limits.ts";
import type { ConsumerRecord, TopicPartition } from "../../core/record.ts";
import { type Env, groupStub } from "../../env.ts";
import type { AssignedPartition, InitialOffset } from "../../protocol/group-socket.ts";
import type { PollAnswer, PollRequest, RejectedAck } from "../../protocol/poll.ts";
import { AnswerDecoder } from "./answer-decoder.ts";
import { callerIn } from "./authorize.ts";
import { waitForRecords } from "./fetch.ts";
import { groupExists, groupRooms } from "./groups.ts";
import { beginOf, knowTopic, partitionAt, topicMetadata } from "./metadata.ts";
import { assertWithinQuota, countUse } from "./quotas.ts";
import { readInTurn } from "./read-room.ts";
import { answerOf, saysDeleted, type UnreadablePartition } from "./unreadable.ts";

export interface PollOptions {
  readonly instanceId: string;
  readonly clientId: string | null;
  readonly topics: readonly string[];
  readonly topicPattern: string | null;
  readonly sessionTimeoutMs: number;
  readonly from: "earliest" | "latest";
  readonly maxRecords: number;
  readonly waitMs: number;
  /** Acknowledges the records up to and including these offsets. */
  readonly ack: readonly (TopicPartition & { readonly offset: number })[];
}

export interface PolledRecord extends TopicPartition {
  readonly record: ConsumerRecord;
}

export interface PollResult {
  readonly assignment: readonly AssignedPartition[];
  readonly records: readonly PolledRecord[];
  /** Acknowledgements that do not count, each with a reason. */
  readonly rejected: readonly RejectedAck[];
  /** The requested topics that do not exist. */
  readonly missing: readonly string[];
  readonly unreadable: readonly UnreadablePartition[];
}

/** The least that is read of each partition, however many there are. At least one whole batch is always read. */
const MIN_READ_BYTES = 64 * 1024;

/** A member with nothing to read checks the group at most this often, because it may be assigned a partition. */
const LOOK_AGAIN_MS = 1_000;

/** Serves a poll. [POL-1] [POL-2] [POL-3] */
export async function poll(env: Env, groupId: string, options: PollOptions): Promise<PollResult> {
  assertWithinQuota(env, "consumerByteRate");
  const startMs = Date.now();
  const member = new PollingMember(env, groupId, options);
  member.lookAhead();
  const first = await member.keepPlace(options.ack);
  member.holdBack(first.rejected);
  for (let answer = first; ; answer = await member.keepPlace([])) {
    const { partitions } = answer.assignment;
    const { records, unreadable } = await member.read(answer);
    const leftMs = leftOf(startMs, options.waitMs, Date.now());
    if (records.length > 0 || leftMs <= 0) {
      const missing = await member.missingTopics(partitions);
      return { assignment: partitions, records, rejected: first.rejected, missing, unreadable };
    }
    // The wait is at most half the session; otherwise the wait itself would end it.
    const patienceMs = partitions.length === 0 ? LOOK_AGAIN_MS : options.sessionTimeoutMs / 2;
    await member.wait(Math.min(leftMs, patienceMs));
  }
}

/** Acknowledges, and frees the member's partitions for the others at once. */
export async function leave(
  env: Env,
  groupId: string,
  { instanceId, ack }: Pick<PollOptions, "instanceId" | "ack">,
): Promise<PollResult> {
  const memberId = memberIdOf(instanceId);
  const none = { assignment: [], records: [], missing: [], unreadable: [] };
  if (!(await groupExists(env, groupId))) {
    const { error: code, detail } = unknownMember(memberId);
    return { ...none, rejected: ack.map((each) => ({ ...each, code, detail })) };
  }
  const left = await groupStub(env, groupId).leave({ memberId, acks: ack });
  return { ...none, rejected: unwrap(left).rejected };
}

/** Returns the member id of an instance. It is the same however often and from wherever the instance polls. */
function memberIdOf(instanceId: string): string {
  return `poll:${instanceId}`;
}

/** The decoded records from one partition. */
interface ReadPartition {
  readonly place: AssignedPartition;
  readonly records: readonly ConsumerRecord[];
  /** The offset at which it starts, unless that is committed. */
  readonly beginOffset: number | null;
  readonly unreadable: UnreadablePartition | null;
}

class PollingMember {
  readonly #env: Env;
  readonly #groupId: string;
  readonly #options: PollOptions;
  /** The offsets at which the last read found nothing more. */
  #ends: { readonly place: AssignedPartition; readonly offset: number }[] = [];
  /** The offsets, by topic and partition, from which on this answer sends nothing. */
  readonly #heldBack = new Map<string, number>();

  constructor(env: Env, groupId: string, options: PollOptions) {
    this.#env = env;
    this.#groupId = groupId;
    this.#options = options;
  }

  /**
   * Looks up the topics that the poll names while the group is being asked. Partitions about to be created need
   * them.
   */
  lookAhead(): void {
    for (const topic of this.#options.topics) topicMetadata(this.#env, topic).catch(() => {});
  }

  async keepPlace(acks: PollRequest["acks"]): Promise<PollAnswer> {
    const { instanceId, clientId, topics, topicPattern, sessionTimeoutMs } = this.#options;
    return unwrap(
      await groupStub(this.#env, this.#groupId).poll({
        memberId: memberIdOf(instanceId),
        instanceId,
        clientId,
        topics,
        topicPattern,
        readable: readableTopics(callerIn(this.#env)),
        ...groupRooms(this.#env, "READ", this.#groupId),
        sessionTimeoutMs,
        rebalanceTimeoutMs: DEFAULT_REBALANCE_TIMEOUT_MS,
        acks,
      }),
    );
  }

  /**
   * [POL-5] Holds records back. A rejected acknowledgement was meant for an earlier assignment, or for an
   * earlier topic of that name. This poll may be repeated word for word. So this answer does not send the
   * record that it names, nor later ones. Otherwise the repeat would acknowledge them.
   */
  holdBack(rejected: readonly RejectedAck[]): void {
    for (const { topic, partition, offset } of rejected) {
      const place = nameOf({ topic, partition });
      this.#heldBack.set(place, Math.min(offset, this.#heldBack.get(place) ?? offset));
    }
  }

  /** Returns the requested topics that do not exist. A topic with a partition here exists. */
  async missingTopics(places: readonly AssignedPartition[]): Promise<string[]> {
    const missing: string[] = [];
    for (const topic of this.#options.topics) {
      if (places.some((place) => place.topic === topic)) continue;
      try {
        await topicMetadata(this.#env, topic);
      } catch (error) {
        // Another error says nothing about the topic, and the records read so far must be returned.
        if (error instanceof BrokerError && error.code === "UNKNOWN_TOPIC_OR_PARTITION")
          missing.push(topic);
      }
    }
    return missing;
  }

  /**
   * Returns up to `maxRecords`, first an equal share of each partition. The same records are returned until
   * they are acknowledged.
   */
  async read(answer: PollAnswer): Promise<Pick<PollResult, "records" | "unreadable">> {
    const { maxRecords } = this.#options;
    const places = rotated(answer.assignment.partitions);
    const read = await this.#readSome(places, answer);
    const share = shareOf(maxRecords, places);
    const taken = read.map(({ records }) => Math.min(records.length, share));
    let room = maxRecords - taken.reduce((sum, count) => sum + count, 0);
    const chosen = read.map((each, i) => {
      const count = taken[i] ?? 0;
      const more = Math.min(Math.max(room, -count), each.records.length - count);
      room -= more;
      return { ...each, records: each.records.slice(0, count + more) };
    });
    const own = await this.#deliver(chosen, answer);
    return {
      records: own.flatMap(({ place: { topic, partition }, records }) =>
        records.map((record) => ({ topic, partition, record })),
      ),
      unreadable: own.flatMap(({ unreadable, records }) =>
        unreadable === null || records.length > 0 ? [] : [unreadable],
      ),
    };
  }

  /**
   * [POL-7] Reads partition after partition, a few at the same time, until there are enough records or
   * decompressed bytes. The next polls start with other partitions and return the rest.
   */
  async #readSome(
    places: readonly AssignedPartition[],
    answer: PollAnswer,
  ): Promise<ReadPartition[]> {
    const { maxRecords } = this.#options;
    const maxBytes = Math.max(MIN_READ_BYTES, Math.floor(DEFAULT_FETCH_BYTES / places.length));
    const decoder = new AnswerDecoder();
    const read: ReadPartition[] = [];
    const share = shareOf(maxRecords, places);
    let count = 0;
    this.#ends = [];
    for (let from = 0; from < places.length; from += LARGE_FAN_OUT) {
      if (count >= maxRecords || decoder.isSpent) break;
      const some = places.slice(from, from + LARGE_FAN_OUT);
      for (const each of await Promise.all(
        some.map((place) => this.#readPartition(place, answer, maxBytes)),
      )) {
        if (each === null) continue;
        if (count >= maxRecords || decoder.isSpent) break;
        const { place, offset, batches, nextOffset, beginOffset, failure } = each;
        const limit = this.#heldBack.get(nameOf(place)) ?? Number.POSITIVE_INFINITY;
        const decoded = decoder.records(batches, offset, Math.min(limit, nextOffset), maxRecords);
        const { records } = decoded;
        const unreadable = decoded.unreadable ?? failure;
        if (unreadable === null && records.length === 0)
          this.#ends.push({ place, offset: nextOffset });
        const { topic, partition } = place;
        read.push({
          place,
          records,
          beginOffset,
          unreadable: unreadable === null ? null : { topic, partition, ...unreadable },
        });
        count += Math.min(records.length, share);
      }
    }
    return read;
  }

  /** Reads a partition. Null if another member owns it by now, or the topic is gone. The next poll finds out. */
  async #readPartition(place: AssignedPartition, { assignment }: PollAnswer, maxBytes: number) {
    const { incarnation, memberEpoch, memberNumber } = assignment;
    const owner = { group: this.#groupId, incarnation, memberEpoch, memberNumber };
    const isAdded = place.committedOffset === null && place.isAdded; // [OFF-14]
    const initial = isAdded ? "earliest" : (assignment.initialOffset ?? this.#options.from);
    // Only an existing partition has a committed offset.
    if (place.committedOffset === null) await knowTopic(this.#env, place.topicId);
    const stub = partitionAt(this.#env, place.topicId, place.partition);
    const readFrom = (offset: number | InitialOffset) =>
      readInTurn(maxBytes, () =>
        answerOf(async () => {
          const begin = beginOf(this.#env, place.topicId, place.partition);
          return await stub.readAs({ owner, offset, maxBytes, begin });
        }),
      );
    let read = await readFrom(place.committedOffset ?? initial);
    const isOutside = !read.ok && read.error === "OFFSET_OUT_OF_RANGE";
    if (isOutside) read = await readFrom(initial);
    if (!read.ok) {
      if (read.error === "FENCED_MEMBER_EPOCH" || saysDeleted(read)) return null;
      const offset = read.offset ?? place.committedOffset ?? 0;
      const failure = { offset, code: read.error, detail: read.detail };
      const nothing = { batches: new Uint8Array(), nextOffset: offset, beginOffset: null };
      return { place, offset, ...nothing, failure };
    }
    const { offset, batches, nextOffset } = read;
    countUse(this.#env, "consumerByteRate", batches.length);
    const isFound = place.committedOffset === null && initial !== "earliest";
    // [SES-7] The next owner must start here too.
    const beginOffset = isOutside || isFound ? offset : null;
    return { place, offset, batches, nextOffset, beginOffset, failure: null };
  }

  /** Makes the group note the records that are about to be sent. Leaves out partitions that others own now. */
  async #deliver(read: readonly ReadPartition[], answer: PollAnswer): Promise<ReadPartition[]> {
    const deliveries = read.map(({ place, records, beginOffset }): Delivery => {
      const last = records.at(-1);
      return {
        key: keyOf(place),
        beginOffset,
        committedOffset: place.committedOffset,
        nextOffset: last === undefined ? null : last.offset + 1,
      };
    });
    const isNews = ({ key, beginOffset, nextOffset }: Delivery) =>
      beginOffset !== null || (nextOffset ?? 0) > (answer.delivered.get(key) ?? 0);
    if (!deliveries.some(isNews)) return [...read];
    const { memberEpoch } = answer.assignment;
    const memberId = memberIdOf(this.#options.instanceId);
    const stub = groupStub(this.#env, this.#groupId);
    const own = await stub.deliver({ memberId, memberEpoch, deliveries });
    return read.filter(({ place }) => own.has(keyOf(place)));
  }

  /** Waits until one of the partitions has new records, or the time is over. */
  async wait(ms: number): Promise<void> {
    if (this.#ends.length === 0) {
      await new Promise((resolve) => setTimeout(resolve, ms));
      return;
    }
    const waits = this.#ends.map(({ place, offset }) =>
      waitForRecords(this.#env, place.topicId, place.partition, offset, ms),
    );
    await Promise.race(waits.map(({ ended }) => ended));
    for (const each of waits) each.stop();
  }
}

/** Returns how many records each partition may have before any gets more. */
function shareOf(maxRecords: number, places: readonly AssignedPartition[]): number {
  return Math.max(1, Math.floor(maxRecords / Math.max(1, places.length)));
}

function keyOf({ topicId, partition }: AssignedPartition) {
  return partitionKey(topicId, partition);
}

function nameOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}

/**
 * Rotates the partitions. If there are more records than requested, the first partition changes with the
 * committed offsets.
 */
function rotated(places: readonly AssignedPartition[]): readonly AssignedPartition[] {
  const sum = places.reduce((total, { committedOffset }) => total + (committedOffset ?? 0), 0);
  const start = places.length === 0 ? 0 : sum % places.length;
  return [...places.slice(start), ...places.slice(0, start)];
}
