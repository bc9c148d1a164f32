// A member without a socket: each request acknowledges the last answer, keeps the member's place in the group
// and reads on. The Worker remembers nothing between two polls: the group knows what is committed, and a
// repeat of a poll whose answer was lost is answered from there again.
import { BrokerError, unwrap } from "../core/errors.ts";
import { unknownMember } from "../core/group/offsets.ts";
import { DEFAULT_FETCH_BYTES, DEFAULT_REBALANCE_TIMEOUT_MS, FAN_OUT } from "../core/limits.ts";
import { mapConcurrently } from "../core/map-concurrently.ts";
import type { ConsumerRecord, TopicPartition } from "../core/record.ts";
import { type Env, groupStub, partitionStub } from "../env.ts";
import type { AssignedPartition } from "../protocol/group-socket.ts";
import type { PollAnswer, PollRequest, RejectedAck } from "../protocol/poll.ts";
import { decodeFrom, waitForRecords } from "./fetch.ts";
import { groupExists } from "./groups.ts";
import { topicMetadata } from "./metadata.ts";

export interface PollOptions {
  readonly instanceId: string;
  readonly clientId: string | null;
  readonly topics: readonly string[];
  readonly topicPattern: string | null;
  readonly sessionTimeoutMs: number;
  readonly from: "earliest" | "latest";
  readonly maxRecords: number;
  readonly waitMs: number;
  /** Done up to and including these offsets. */
  readonly ack: readonly (TopicPartition & { readonly offset: number })[];
}

export interface PolledRecord extends TopicPartition {
  readonly record: ConsumerRecord;
}

export interface PollResult {
  readonly assignment: readonly AssignedPartition[];
  readonly records: readonly PolledRecord[];
  /** Acknowledgements that do not count, and why. */
  readonly rejected: readonly RejectedAck[];
  /** Of the topics asked for, those that do not exist. */
  readonly missing: readonly string[];
}

/** Of each partition, however many there are; in any case a whole batch is read. */
const MIN_READ_BYTES = 64 * 1024;

/** A poller that has nothing to read looks into the group this often, at most: something may be assigned to it. */
const LOOK_AGAIN_MS = 1_000;

/** [POL-1] [POL-2] [POL-3] */
export async function poll(env: Env, groupId: string, options: PollOptions): Promise<PollResult> {
  const deadlineMs = Date.now() + options.waitMs;
  await checkDelivered(env, options.ack);
  const member = new PollingMember(env, groupId, options);
  const first = await member.keepPlace(options.ack.map(ackOf));
  for (let answer = first; ; answer = await member.keepPlace([])) {
    const places = answer.assignment.partitions;
    const records = await member.read(answer);
    const leftMs = deadlineMs - Date.now();
    if (records.length > 0 || leftMs <= 0) {
      const missing = await member.missingTopics(places);
      return { assignment: places, records, rejected: first.rejected, missing };
    }
    // Half the session at most, or the wait itself would end it.
    const patienceMs = places.length === 0 ? LOOK_AGAIN_MS : options.sessionTimeoutMs / 2;
    await member.wait(Math.min(leftMs, patienceMs));
  }
}

/** Acknowledges, and gives the member's partitions to the others at once. */
export async function leave(
  env: Env,
  groupId: string,
  { instanceId, ack }: Pick<PollOptions, "instanceId" | "ack">,
): Promise<PollResult> {
  await checkDelivered(env, ack);
  const memberId = memberIdOf(instanceId);
  const rejected = (await groupExists(env, groupId))
    ? await groupStub(env, groupId).leave(memberId, ack.map(ackOf))
    : ack.map(({ topic, partition }) => {
        const { error: code, detail } = unknownMember(memberId);
        return { topic, partition, code, detail };
      });
  return { assignment: [], records: [], rejected, missing: [] };
}

/** One member for each instance, however often and from wherever it polls. */
function memberIdOf(instanceId: string): string {
  return `poll:${instanceId}`;
}

function ackOf({
  topic,
  partition,
  offset,
}: PollOptions["ack"][number]): PollRequest["acks"][number] {
  return { topic, partition, nextOffset: offset + 1, isRewind: false };
}

/** What lies behind the log's end was never delivered; to commit it would skip what is stored there next. */
async function checkDelivered(env: Env, acks: PollOptions["ack"]): Promise<void> {
  await mapConcurrently(acks, FAN_OUT, async ({ topic, partition, offset }) => {
    const { topicId } = await topicMetadata(env, topic);
    const { highWatermark } = unwrap(await partitionStub(env, topicId, partition).offsets());
    if (offset < highWatermark) return;
    throw new BrokerError(
      "INVALID_REQUEST",
      `ack: offset ${offset} of ${topic}/${partition} was not delivered; the log ends at ${highWatermark}`,
    );
  });
}

class PollingMember {
  readonly #env: Env;
  readonly #groupId: string;
  readonly #options: PollOptions;
  /** Where the last read found nothing more. */
  #ends: { readonly place: AssignedPartition; readonly offset: number }[] = [];

  constructor(env: Env, groupId: string, options: PollOptions) {
    this.#env = env;
    this.#groupId = groupId;
    this.#options = options;
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
        sessionTimeoutMs,
        rebalanceTimeoutMs: DEFAULT_REBALANCE_TIMEOUT_MS,
        acks,
      }),
    );
  }

  /** What has a partition here exists. */
  async missingTopics(places: readonly AssignedPartition[]): Promise<string[]> {
    const missing: string[] = [];
    for (const topic of this.#options.topics) {
      if (places.some((place) => place.topic === topic)) continue;
      try {
        await topicMetadata(this.#env, topic);
      } catch (error) {
        // Another error says nothing about the topic, and what was read is to be answered.
        if (error instanceof BrokerError && error.code === "UNKNOWN_TOPIC_OR_PARTITION")
          missing.push(topic);
      }
    }
    return missing;
  }

  /** Up to `maxRecords`, an equal share of each partition first; the same again while nothing is acknowledged. */
  async read({ assignment }: PollAnswer): Promise<PolledRecord[]> {
    const { maxRecords } = this.#options;
    const places = rotated(assignment.partitions);
    if (places.length === 0) return [];
    const maxBytes = Math.max(MIN_READ_BYTES, Math.floor(DEFAULT_FETCH_BYTES / places.length));
    this.#ends = [];
    const read = await mapConcurrently(places, FAN_OUT, (place) =>
      this.#readPartition(place, assignment, maxBytes),
    );
    const share = Math.max(1, Math.floor(maxRecords / places.length));
    const taken = read.map((records) => Math.min(records.length, share));
    let room = maxRecords - taken.reduce((sum, count) => sum + count, 0);
    const counts = taken.map((count, i) => {
      const more = Math.min(Math.max(room, -count), (read[i]?.length ?? 0) - count);
      room -= more;
      return count + more;
    });
    return places.flatMap(({ topic, partition }, i) =>
      (read[i] ?? []).slice(0, counts[i]).map((record) => ({ topic, partition, record })),
    );
  }

  async #readPartition(
    place: AssignedPartition,
    assignment: PollAnswer["assignment"],
    maxBytes: number,
  ): Promise<readonly ConsumerRecord[]> {
    const { incarnation, memberEpoch, memberNumber } = assignment;
    const owner = { group: this.#groupId, incarnation, memberEpoch, memberNumber };
    const initial = assignment.initialOffset ?? this.#options.from;
    const stub = partitionStub(this.#env, place.topicId, place.partition);
    let read = await stub.readAs(owner, { offset: place.committedOffset ?? initial, maxBytes });
    const isOutside = !read.ok && read.error === "OFFSET_OUT_OF_RANGE";
    if (isOutside) read = await stub.readAs(owner, { offset: initial, maxBytes });
    // Somebody else has it by now, or the topic is gone: the next poll knows.
    if (!read.ok) return [];
    const { topic, partition } = place;
    const isFound = place.committedOffset === null && initial !== "earliest";
    // [SES-7] Whoever comes next shall begin here too.
    if (isOutside || isFound)
      await this.keepPlace([{ topic, partition, nextOffset: read.offset, isRewind: true }]);
    this.#ends.push({ place, offset: read.nextOffset });
    return decodeFrom(read.batches, read.offset, this.#options.maxRecords).records;
  }

  /** Until one of the partitions has something new, or the time is over. */
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

/** Not always the same partition first, where there are more than records asked for: what is committed moves it. */
function rotated(places: readonly AssignedPartition[]): readonly AssignedPartition[] {
  const sum = places.reduce((total, { committedOffset }) => total + (committedOffset ?? 0), 0);
  const start = places.length === 0 ? 0 : sum % places.length;
  return [...places.slice(start), ...places.slice(0, start)];
}
