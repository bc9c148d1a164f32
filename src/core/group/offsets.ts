// A group's committed offsets. Members commit them, others set or delete them, and they expire once the group is empty.
// The group itself expires with the last of them.

import { whyNotTopicName } from "../cluster/topics.ts";
import {
  type Failure,
  fail,
  type KafkaErrorName,
  type KafkaResult,
  type Result,
} from "../errors.ts";
import { MAX_OFFSET_METADATA_LENGTH } from "../limits.ts";
import {
  forgetRule,
  unknownMember,
  validateCommit,
  validateMemberCommit,
  whyNotUnused,
} from "./admission.ts";
import type { Changes } from "./changes.ts";
import { resolveGroupConfig } from "./config.ts";
import { type PartitionKey, parsePartitionKey, partitionKey } from "./partition-key.ts";
import type {
  Ack,
  ClassicToken,
  NamedOffset,
  OffsetCommit,
  Position,
  RejectedAck,
  RejectedOffset,
} from "./requests.ts";
import {
  type CommittedOffset,
  exists,
  type GroupState,
  type GroupTopic,
  hasMembers,
  type Member,
  type TopicRemovalReason,
  topicWithId,
} from "./state.ts";

type Outcomes = { readonly outcomes: readonly (KafkaErrorName | null)[] };

export class GroupOffsets {
  readonly #changes: Changes;

  constructor(changes: Changes) {
    this.#changes = changes;
  }

  get #state(): GroupState {
    return this.#changes.state;
  }

  // Commits of native members.

  /**
   * [OFF-1] Commits offsets of a member at its current epoch. With another epoch the whole commit is rejected
   * (STALE_MEMBER_EPOCH). A partition of another member is rejected alone (FENCED_MEMBER_EPOCH), and so is an offset
   * that goes back without a seek (INVALID_REQUEST).
   */
  commit(
    memberId: string,
    memberEpoch: number,
    commits: readonly OffsetCommit[],
    nowMs: number,
  ): Result<{ rejected: readonly RejectedOffset[] }> {
    const committer = validateMemberCommit(this.#state, memberId, memberEpoch);
    if (!committer.ok) return committer;
    return { ok: true, rejected: this.#commitEach(committer.member, commits, nowMs) };
  }

  /**
   * [OFF-11] Commits offsets of a member that learns a new epoch only from its next heartbeat. Until then it may commit
   * with an older one. Each partition accepts epochs since it was assigned to the member (KIP-1251). A commit from
   * before the partition was given away and back gets STALE_MEMBER_EPOCH for that partition.
   */
  commitSince(
    member: Member,
    memberEpoch: number,
    commits: readonly OffsetCommit[],
    nowMs: number,
  ): readonly RejectedOffset[] {
    const isOld = ({ key }: OffsetCommit) =>
      memberEpoch < (member.assignmentEpochs.get(key) ?? Number.NEGATIVE_INFINITY);
    const old = commits.filter(isOld).map(({ key }) => ({
      ...fail(
        "STALE_MEMBER_EPOCH",
        `memberEpoch is ${memberEpoch}, the partition is the member's from epoch ${member.assignmentEpochs.get(key)} on`,
      ),
      key,
    }));
    const current = commits.filter((commit) => !isOld(commit));
    return [...old, ...this.#commitEach(member, current, nowMs)];
  }

  #commitEach(
    member: Member,
    commits: readonly OffsetCommit[],
    nowMs: number,
  ): readonly RejectedOffset[] {
    const rejected: RejectedOffset[] = [];
    for (const commit of commits) {
      const { key } = commit;
      const failure = this.#whyNotCommit(member, commit);
      if (failure !== null) rejected.push({ ...failure, key });
      else this.#changes.emit({ type: "offset", key, committed: committedOf(commit, nowMs) });
    }
    return rejected;
  }

  /**
   * [POL-5] Commits the acknowledgements of a polling member. In each partition they count up to the last record that
   * the member was sent since it got the partition. An acknowledgement beyond that is INVALID_REQUEST: it rejects all
   * of them and changes nothing. If the member was sent nothing of the partition yet, the acknowledgement may belong to
   * an earlier partition of the same name. Then it alone is rejected, and so is its repeat (`noteRefused`).
   */
  acknowledge(
    memberId: string,
    acks: readonly Ack[],
    nowMs: number,
  ): Result<{ rejected: readonly RejectedAck[] }> {
    const member = this.#state.members.get(memberId);
    const commits = acks.map((ack) => ({ ack, ...this.#commitOf(ack) }));
    const news = commits.filter(
      ({ key, offset }) => offset > (this.#state.offsets.get(key)?.offset ?? 0), // The others are repeats.
    );
    if (member === undefined)
      return {
        ok: true,
        rejected: news.map(({ ack }) => rejectedAck(ack, unknownMember(memberId))),
      };
    const undelivered = news.filter(
      ({ key, offset }) => owns(member, key) && offset > (member.delivered.get(key) ?? 0),
    );
    const isKnown = ({ key, offset }: OffsetCommit) =>
      !member.delivered.has(key) || offset <= (member.refusedAcks.get(key) ?? 0);
    const illegal = undelivered.find((commit) => !isKnown(commit));
    if (illegal !== undefined) return this.#notDelivered(member, illegal);
    const counting = news.filter((commit) => !undelivered.includes(commit));
    const refused = new Map(
      this.#commitEach(member, counting, nowMs).map((failure) => [failure.key, failure]),
    );
    const rejected = news.flatMap((commit) => {
      const failure = undelivered.includes(commit)
        ? this.#notDelivered(member, commit)
        : refused.get(commit.key);
      return failure === undefined ? [] : [rejectedAck(commit.ack, failure)];
    });
    return { ok: true, rejected };
  }

  /**
   * Converts an acknowledgement to a commit. It includes the record at its offset, so the next offset is committed. A
   * topic name means the current topic of that name.
   */
  #commitOf({ topic, partition, offset }: Ack): OffsetCommit {
    const key = partitionKey(this.#state.topics.get(topic)?.topicId ?? "", partition);
    return { key, offset: offset + 1, metadata: "", isRewind: false };
  }

  /** [POL-5] Remembers the rejected acknowledgements for partitions that the member owns now. They may be repeated. */
  noteRefused(memberId: string, acks: readonly Ack[]): void {
    const member = this.#state.members.get(memberId);
    if (member === undefined) return;
    const news = acks
      .map((ack) => this.#commitOf(ack))
      .filter(
        ({ key, offset }) =>
          owns(member, key) &&
          offset > Math.max(member.refusedAcks.get(key) ?? 0, member.delivered.get(key) ?? 0),
      );
    if (news.length === 0) return;
    const added = news.map(({ key, offset }): [PartitionKey, number] => [key, offset]);
    const refusedAcks = new Map([...member.refusedAcks, ...added]);
    this.#changes.emit({ type: "member", member: { ...member, refusedAcks } });
  }

  #notDelivered({ delivered }: Member, { key, offset }: OffsetCommit): Failure {
    const { topicId, partition } = parsePartitionKey(key);
    const topic = topicWithId(this.#state, topicId);
    const end = delivered.get(key);
    return fail(
      "INVALID_REQUEST",
      `ack: offset ${offset - 1} of ${topic?.name}/${partition} was not delivered; ${end === undefined ? "nothing was" : `the last was ${end - 1}`}`,
    );
  }

  #whyNotCommit(member: Member, commit: OffsetCommit): Failure | null {
    if (!owns(member, commit.key)) {
      return fail("FENCED_MEMBER_EPOCH", "the partition is not assigned to the member");
    }
    if (!this.#hasTopicOf(commit.key)) {
      return fail("UNKNOWN_TOPIC_OR_PARTITION", "the topic was deleted");
    }
    const current = this.#state.offsets.get(commit.key);
    if (current !== undefined && commit.offset < current.offset && !commit.isRewind) {
      return fail(
        "INVALID_REQUEST",
        `offset ${commit.offset} is before the committed ${current.offset}; seek to go back`,
      );
    }
    return null;
  }

  /** True if the partition's topic exists. A member may still own a partition of a deleted topic. */
  #hasTopicOf(key: PartitionKey): boolean {
    return topicWithId(this.#state, parsePartitionKey(key).topicId) !== undefined;
  }

  // Commits of Kafka's clients.

  /** Returns the topics of a commit that the cluster must be asked about. Offsets that are invalid need none. */
  unknownTopics(offsets: readonly NamedOffset[]): string[] {
    const legal = offsets.filter((offset) => wrongPosition(offset) === null);
    return unknownNames(
      this.#state,
      legal.map(({ topic }) => topic),
    );
  }

  /**
   * [CLS-6] Commits offsets of the sender that the token names. They may go back, because the seeks of Kafka's clients
   * are not visible here. [GRP-13] If no offset is valid, nothing is created: neither the group nor a topic in it.
   * `makeGroup` is called before the first commit by hand.
   */
  commitNamed(
    token: ClassicToken,
    offsets: readonly NamedOffset[],
    found: readonly GroupTopic[],
    makeGroup: () => void,
    nowMs: number,
  ): KafkaResult<Outcomes> {
    const committer = validateCommit(this.#state, token);
    if (!committer.ok) return committer;
    const foundByName = new Map(found.map((topic) => [topic.name, topic]));
    const { goneTopics } = this.#state.classic;
    const isGone = ({ topic }: NamedOffset) =>
      committer.kind === "classic" && goneTopics.has(topic);
    const wrong = offsets.map((each) =>
      isGone(each) ? ("ILLEGAL_GENERATION" as const) : wrongPosition(each),
    );
    const committed = new Set<string>();
    const commits = offsets.map(({ topic, partition, offset, metadata, leaderEpoch }, i) => {
      const known = this.#state.topics.get(topic) ?? foundByName.get(topic);
      const isThere = known !== undefined && partition >= 0 && partition < known.partitions;
      if (isThere && wrong[i] === null) committed.add(topic);
      const key = partitionKey(isThere ? known.topicId : "", partition);
      const epoch = leaderEpoch === undefined ? {} : { leaderEpoch };
      return { key, offset, metadata, ...epoch, isRewind: true };
    });
    const counting = commits.filter((_, i) => wrong[i] === null);
    if (committer.kind === "manual" && committed.size > 0) makeGroup();
    const rejected =
      committer.kind === "native"
        ? this.commitSince(committer.member, token.generation, counting, nowMs)
        : this.#commitUnowned(
            counting,
            found.filter(({ name }) => committed.has(name)),
            nowMs,
          );
    const refusals = new Map(rejected.map(({ key, error }) => [key, error]));
    return {
      ok: true,
      outcomes: commits.map(({ key }, i) => wrong[i] ?? refusals.get(key) ?? null),
    };
  }

  /** Commits offsets of partitions that have no owner here. */
  #commitUnowned(
    commits: readonly OffsetCommit[],
    topics: readonly GroupTopic[],
    nowMs: number,
  ): readonly RejectedOffset[] {
    this.learn(topics);
    const rejected: RejectedOffset[] = [];
    for (const commit of commits) {
      const { key } = commit;
      const committed = committedOf(commit, nowMs);
      if (this.#hasTopicOf(key)) this.#changes.emit({ type: "offset", key, committed });
      else rejected.push({ ...fail("UNKNOWN_TOPIC_OR_PARTITION", "there is no such topic"), key });
    }
    return rejected;
  }

  /** Remembers topics that the group has not read yet. */
  learn(topics: readonly GroupTopic[]): void {
    for (const topic of topics)
      if (!this.#state.topics.has(topic.name)) this.#changes.emit({ type: "topic", topic });
  }

  // Offsets set and deleted by others than members.

  /**
   * [OFF-4] Sets committed offsets, including ones in `topics`, which the group has not read yet. Allowed only in a
   * group without members: NON_EMPTY_GROUP. Topics that were deleted since the offsets were resolved are left out.
   */
  reset(
    positions: readonly Position[],
    topics: readonly GroupTopic[],
    nowMs: number,
  ): Result<object> {
    const used = whyNotUnused(this.#state);
    if (used !== null) return used;
    this.learn(topics);
    const keyed = positions.map(({ topicId, partition, offset }) => ({
      key: partitionKey(topicId, partition),
      offset,
    }));
    const offsets = keyed.filter(({ key }) => this.#hasTopicOf(key));
    for (const { key, offset } of offsets) {
      const committed = { offset, metadata: "", committedAtMs: nowMs };
      this.#changes.emit({ type: "offset", key, committed });
    }
    this.#changes.recordReset(new Set(offsets.map(({ key }) => key)));
    return { ok: true };
  }

  /**
   * [DEL-3] Restores offsets in a topic that was deleted and restored. Offsets committed since then take precedence. If
   * the group knows another topic under this name, nothing changes.
   */
  restore(topic: GroupTopic, positions: readonly NamedOffset[], nowMs: number): void {
    this.learn([topic]);
    if (this.#state.topics.get(topic.name)?.topicId !== topic.topicId) return;
    const restored = new Set<PartitionKey>();
    for (const { partition, offset, metadata, leaderEpoch } of positions) {
      const key = partitionKey(topic.topicId, partition);
      if (this.#state.offsets.has(key)) continue;
      const epoch = leaderEpoch === undefined ? {} : { leaderEpoch };
      const committed = { offset, metadata, ...epoch, committedAtMs: nowMs };
      this.#changes.emit({ type: "offset", key, committed });
      restored.add(key);
    }
    if (restored.size > 0) this.#changes.recordReset(restored);
  }

  /** [OFF-7] Deletes the group's offsets in these topics. */
  delete(topics: readonly string[]): Result<object> {
    const whyNotForget = forgetRule(this.#state);
    for (const name of topics) {
      const refused = whyNotForget(name);
      if (refused !== null) return refused;
    }
    for (const name of topics) {
      const topic = this.#state.topics.get(name);
      if (topic !== undefined) this.forgetTopic(topic, "offsets deleted");
    }
    return { ok: true };
  }

  /**
   * Deletes these offsets. The topics stay known. If there is no such offset, nothing happens, and its entry in
   * `deleted` is false.
   */
  deletePositions(
    positions: readonly { topic: string; partition: number }[],
  ): Result<Outcomes & { readonly deleted: readonly boolean[] }> {
    const names = new Set(positions.map(({ topic }) => topic));
    const whyNotForget = forgetRule(this.#state);
    const refusals = new Map([...names].map((name) => [name, whyNotForget(name)]));
    for (const refused of refusals.values())
      if (refused?.error === "NON_EMPTY_GROUP") return refused;
    const deleted: boolean[] = [];
    const outcomes = positions.map(({ topic, partition }) => {
      const refused = refusals.get(topic);
      const key = partitionKey(this.#state.topics.get(topic)?.topicId ?? "", partition);
      const isDeleted = !refused && this.#state.offsets.has(key);
      if (isDeleted) this.#changes.emit({ type: "offset-removed", key });
      deleted.push(isDeleted);
      return refused?.error ?? null;
    });
    return { ok: true, outcomes, deleted };
  }

  /** Forgets the topic and deletes the group's offsets in it. */
  forgetTopic(topic: GroupTopic, reason: TopicRemovalReason): void {
    this.#changes.emit({ type: "topic-removed", name: topic.name, reason });
    for (const key of this.#keysOf(topic)) this.#changes.emit({ type: "offset-removed", key });
  }

  #keysOf({ topicId }: GroupTopic): PartitionKey[] {
    return [...this.#state.offsets.keys()].filter((key) => key.startsWith(`${topicId}:`));
  }

  /**
   * [OFF-10] Deletes offsets of an empty group when `offsets.retention.minutes` have passed since both their commit and
   * the last member's leaving. [SHR-16] Delivery states of a share group do not expire.
   */
  expire(nowMs: number): void {
    if (this.#state.sharePartitions.size > 0) return;
    for (const [key, { committedAtMs }] of [...this.#state.offsets])
      if (this.#retainedUntilMs(committedAtMs) <= nowMs)
        this.#changes.emit({ type: "offset-removed", key });
    if (this.#retainedUntilMs(0) > nowMs) return;
    for (const topic of [...this.#state.topics.values()])
      if (this.#keysOf(topic).length === 0) this.forgetTopic(topic, "offsets expired");
  }

  /** The time at which `expire` must be called next, or the group is dead. Infinity if neither will happen. */
  get nextExpiryMs(): number {
    const { offsets, overrides, sharePartitions } = this.#state;
    if (sharePartitions.size > 0) return Number.POSITIVE_INFINITY;
    if (offsets.size === 0) {
      const isKept = Object.keys(overrides).length > 0;
      return isKept ? Number.POSITIVE_INFINITY : this.#retainedUntilMs(0);
    }
    let oldestMs = Number.POSITIVE_INFINITY;
    for (const { committedAtMs } of offsets.values()) oldestMs = Math.min(oldestMs, committedAtMs);
    return this.#retainedUntilMs(oldestMs);
  }

  /** [OFF-10] True if nothing is left of the group: Kafka's state DEAD. */
  isDead(nowMs: number): boolean {
    if (!exists(this.#state) || this.#retainedUntilMs(0) > nowMs) return false;
    const { offsets, overrides, sharePartitions } = this.#state;
    const isKept = Object.keys(overrides).length > 0 || sharePartitions.size > 0;
    return !hasMembers(this.#state) && offsets.size === 0 && !isKept;
  }

  #retainedUntilMs(committedAtMs: number): number {
    const { emptySinceMs, overrides } = this.#state;
    if (emptySinceMs === null) return Number.POSITIVE_INFINITY;
    const { offsetsRetentionMinutes } = resolveGroupConfig(overrides);
    return Math.max(emptySinceMs, committedAtMs) + offsetsRetentionMinutes * 60_000;
  }
}

function committedOf(
  { offset, metadata, leaderEpoch }: OffsetCommit,
  committedAtMs: number,
): CommittedOffset {
  const epoch = leaderEpoch === undefined ? {} : { leaderEpoch };
  return { offset, metadata, ...epoch, committedAtMs };
}

function rejectedAck({ topic, partition, offset }: Ack, failure: Failure): RejectedAck {
  return { topic, partition, offset, code: failure.error, detail: failure.detail };
}

/** Returns the error in an offset that a Kafka client commits, or null. */
function wrongPosition({ offset, metadata }: NamedOffset): KafkaErrorName | null {
  if (!Number.isSafeInteger(offset) || offset < 0) return "INVALID_REQUEST";
  return metadata.length > MAX_OFFSET_METADATA_LENGTH ? "OFFSET_METADATA_TOO_LARGE" : null;
}

/** Returns the names of topics unknown to the group. Illegal names are left out, because no such topic can exist. */
export function unknownNames({ topics }: GroupState, names: readonly string[]): string[] {
  return [...new Set(names)].filter((name) => whyNotTopicName(name) === null && !topics.has(name));
}

/**
 * True if the member owns the partition. It still owns a partition that it must give up. No partition has two owners
 * [GRP-1].
 */
function owns({ assigned, revoking }: Member, key: PartitionKey): boolean {
  return assigned.has(key) || revoking.has(key);
}
