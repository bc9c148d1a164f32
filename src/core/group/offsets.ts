// A group's positions. Members commit them, others set or delete them from outside, and they expire once the group is
// empty. The group itself expires with the last of them.
import { type Failure, fail, type Result } from "../errors.ts";
import { resolveGroupConfig } from "./config.ts";
import type { HistoryRecorder } from "./history.ts";
import { type PartitionKey, parsePartitionKey, partitionKey } from "./partition-key.ts";
import {
  type CommittedOffset,
  type GroupEvent,
  type GroupState,
  type GroupTopic,
  hasSubscriber,
  type Member,
  type TopicRemovalReason,
} from "./state.ts";

export interface OffsetCommit {
  readonly key: PartitionKey;
  readonly offset: number;
  readonly metadata: string;
  /** [OFF-13] Only Kafka's clients name one. */
  readonly leaderEpoch?: number;
  /** Set after a seek. Only then may a commit move an offset back [OFF-3]. */
  readonly isRewind: boolean;
}

export interface RejectedOffset extends Failure {
  readonly key: PartitionKey;
}

export class GroupOffsets {
  readonly #state: GroupState;
  readonly #history: HistoryRecorder;
  /** Changes the state at once. */
  readonly #emit: (event: GroupEvent) => void;

  constructor(state: GroupState, history: HistoryRecorder, emit: (event: GroupEvent) => void) {
    this.#state = state;
    this.#history = history;
    this.#emit = emit;
  }

  /**
   * [OFF-1] Commits offsets of a member at its current epoch. Another epoch refuses the whole commit
   * (STALE_MEMBER_EPOCH). A partition of another member is refused alone (FENCED_MEMBER_EPOCH), and so is an
   * offset that goes back without a seek (INVALID_REQUEST).
   */
  commit(
    memberId: string,
    memberEpoch: number,
    commits: readonly OffsetCommit[],
    nowMs: number,
  ): Result<{ rejected: readonly RejectedOffset[] }> {
    const member = this.#state.members.get(memberId);
    if (member === undefined) return unknownMember(memberId);
    if (memberEpoch !== member.memberEpoch) return staleEpoch(member, memberEpoch);
    return { ok: true, rejected: this.#commitEach(member, commits, nowMs) };
  }

  /**
   * [OFF-11] Commits offsets of a member that learns a new epoch only from its next heartbeat, and may commit at an
   * older one until then. Each partition counts from the epoch on at which it was assigned to the member (KIP-1251). A
   * commit from before the partition was given away and back is STALE_MEMBER_EPOCH for that partition.
   */
  commitSince(
    memberId: string,
    memberEpoch: number,
    commits: readonly OffsetCommit[],
    nowMs: number,
  ): Result<{ rejected: readonly RejectedOffset[] }> {
    const member = this.#state.members.get(memberId);
    if (member === undefined) return unknownMember(memberId);
    if (memberEpoch > member.memberEpoch) return staleEpoch(member, memberEpoch);
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
    return { ok: true, rejected: [...old, ...this.#commitEach(member, current, nowMs)] };
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
      else this.#emit({ type: "offset", key, committed: committedOf(commit, nowMs) });
    }
    return rejected;
  }

  /**
   * [POL-5] Commits the acknowledgements of a member that polls. For each partition they count up to the records that
   * the member was sent since it got the partition. One beyond that is INVALID_REQUEST, refuses all of them and changes
   * nothing. But if the member was sent nothing of the partition yet, the acknowledgement may be meant for an earlier
   * partition of that name. Then it alone is rejected, and so is its repeat (`noteRefused`).
   */
  acknowledge(
    memberId: string,
    acks: readonly OffsetCommit[],
    nowMs: number,
  ): Result<{ rejected: readonly RejectedOffset[] }> {
    const member = this.#state.members.get(memberId);
    const news = acks.filter(
      ({ key, offset }) => offset > (this.#state.offsets.get(key)?.offset ?? 0), // The others were sent before.
    );
    if (member === undefined)
      return { ok: true, rejected: news.map(({ key }) => ({ ...unknownMember(memberId), key })) };
    const undelivered = news.filter(
      ({ key, offset }) =>
        this.#state.owners.get(key) === memberId && offset > (member.delivered.get(key) ?? 0),
    );
    const isKnown = ({ key, offset }: OffsetCommit) =>
      !member.delivered.has(key) || offset <= (member.refusedAcks.get(key) ?? 0);
    const illegal = undelivered.find((ack) => !isKnown(ack));
    if (illegal !== undefined) return this.#notDelivered(member, illegal);
    const counting = news.filter((ack) => !undelivered.includes(ack));
    const rejected = undelivered.map((ack) => ({
      ...this.#notDelivered(member, ack),
      key: ack.key,
    }));
    return { ok: true, rejected: [...rejected, ...this.#commitEach(member, counting, nowMs)] };
  }

  /**
   * [POL-5] Remembers the acknowledgements that did not count, for
   * partitions that are now the member's. They may be repeated.
   */
  noteRefused(memberId: string, acks: readonly Pick<OffsetCommit, "key" | "offset">[]): void {
    const member = this.#state.members.get(memberId);
    if (member === undefined) return;
    const news = acks.filter(
      ({ key, offset }) =>
        this.#state.owners.get(key) === memberId &&
        offset > Math.max(member.refusedAcks.get(key) ?? 0, member.delivered.get(key) ?? 0),
    );
    if (news.length === 0) return;
    const added = news.map(({ key, offset }): [PartitionKey, number] => [key, offset]);
    const refusedAcks = new Map([...member.refusedAcks, ...added]);
    this.#emit({ type: "member", member: { ...member, refusedAcks } });
  }

  #notDelivered({ delivered }: Member, { key, offset }: OffsetCommit): Failure {
    const { topicId, partition } = parsePartitionKey(key);
    const topic = [...this.#state.topics.values()].find((each) => each.topicId === topicId);
    const end = delivered.get(key);
    return fail(
      "INVALID_REQUEST",
      `ack: offset ${offset - 1} of ${topic?.name}/${partition} was not delivered; ${end === undefined ? "nothing was" : `the last was ${end - 1}`}`,
    );
  }

  #whyNotCommit(member: Member, commit: OffsetCommit): Failure | null {
    if (this.#state.owners.get(commit.key) !== member.memberId) {
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

  /** True if the partition's topic exists. A member may still own a partition whose topic is already gone. */
  #hasTopicOf(key: PartitionKey): boolean {
    const { topicId } = parsePartitionKey(key);
    for (const topic of this.#state.topics.values()) if (topic.topicId === topicId) return true;
    return false;
  }

  /**
   * [CLS-6] Commits offsets of a member that the caller has checked.
   * They may go back, because its seeks are not known here.
   */
  commitClassic(
    commits: readonly OffsetCommit[],
    topics: readonly GroupTopic[],
    nowMs: number,
  ): readonly RejectedOffset[] {
    for (const topic of topics)
      if (!this.#state.topics.has(topic.name)) this.#emit({ type: "topic", topic });
    const rejected: RejectedOffset[] = [];
    for (const commit of commits) {
      const { key } = commit;
      const committed = committedOf(commit, nowMs);
      if (this.#hasTopicOf(key)) this.#emit({ type: "offset", key, committed });
      else rejected.push({ ...fail("UNKNOWN_TOPIC_OR_PARTITION", "there is no such topic"), key });
    }
    return rejected;
  }

  /**
   * [OFF-4] Sets positions from outside, also in `topics`, which the group has not read yet. Allowed only while nobody
   * consumes: NON_EMPTY_GROUP. Topics deleted since the positions were resolved are left out.
   */
  reset(
    resets: readonly { readonly key: PartitionKey; readonly offset: number }[],
    topics: readonly GroupTopic[],
    nowMs: number,
  ): Result<object> {
    if (this.#state.members.size > 0) return nonEmpty(this.#state);
    for (const topic of topics)
      if (!this.#state.topics.has(topic.name)) this.#emit({ type: "topic", topic });
    const offsets = resets.filter(({ key }) => this.#hasTopicOf(key));
    for (const { key, offset } of offsets) {
      const committed = { offset, metadata: "", committedAtMs: nowMs };
      this.#emit({ type: "offset", key, committed });
    }
    this.#history.reset(this.#state, new Set(offsets.map(({ key }) => key)));
    return { ok: true };
  }

  /**
   * [OFF-7] Forgets the group's positions in these topics. No member may subscribe to
   * them now (GROUP_SUBSCRIBED_TO_TOPIC, as with Kafka's OffsetDelete). A topic that
   * the group has not read is UNKNOWN_TOPIC_OR_PARTITION.
   */
  delete(topics: readonly string[]): Result<object> {
    for (const name of topics) {
      if (!this.#state.topics.has(name))
        return fail(
          "UNKNOWN_TOPIC_OR_PARTITION",
          `group ${this.#state.groupId} has not read topic ${name}`,
        );
      if (hasSubscriber(this.#state, name))
        return fail(
          "GROUP_SUBSCRIBED_TO_TOPIC",
          `a member of the group subscribes to topic ${name}`,
        );
    }
    for (const name of topics) {
      const topic = this.#state.topics.get(name);
      if (topic !== undefined) this.forgetTopic(topic, "offsets deleted");
    }
    return { ok: true };
  }

  /** Deletes one position. The topic stays known. If there is no position, nothing happens. */
  deletePosition(topic: string, partition: number): Result<object> {
    if (hasSubscriber(this.#state, topic))
      return fail(
        "GROUP_SUBSCRIBED_TO_TOPIC",
        `a member of the group subscribes to topic ${topic}`,
      );
    const known = this.#state.topics.get(topic);
    if (known === undefined)
      return fail("UNKNOWN_TOPIC_OR_PARTITION", `the group has not read topic ${topic}`);
    const key = partitionKey(known.topicId, partition);
    if (this.#state.offsets.has(key)) this.#emit({ type: "offset-removed", key });
    return { ok: true };
  }

  /** Forgets the topic and the group's positions in it. */
  forgetTopic(topic: GroupTopic, reason: TopicRemovalReason): void {
    this.#emit({ type: "topic-removed", name: topic.name, reason });
    for (const key of this.#keysOf(topic)) this.#emit({ type: "offset-removed", key });
  }

  #keysOf({ topicId }: GroupTopic): PartitionKey[] {
    return [...this.#state.offsets.keys()].filter((key) => key.startsWith(`${topicId}:`));
  }

  /**
   * [OFF-10] Forgets positions of an empty group, `offsets.retention.minutes`
   * after they were committed and the group was left.
   */
  expire(nowMs: number): void {
    for (const [key, { committedAtMs }] of [...this.#state.offsets])
      if (this.#retainedUntilMs(committedAtMs) <= nowMs)
        this.#emit({ type: "offset-removed", key });
    if (this.#retainedUntilMs(0) > nowMs) return;
    for (const topic of [...this.#state.topics.values()])
      if (this.#keysOf(topic).length === 0) this.forgetTopic(topic, "offsets expired");
  }

  /** When `expire` must be called next, or the group is dead. Infinity if that will never be. */
  get nextExpiryMs(): number {
    const { offsets, overrides } = this.#state;
    if (offsets.size === 0) {
      const isKept = Object.keys(overrides).length > 0;
      return isKept ? Number.POSITIVE_INFINITY : this.#retainedUntilMs(0);
    }
    let oldestMs = Number.POSITIVE_INFINITY;
    for (const { committedAtMs } of offsets.values()) oldestMs = Math.min(oldestMs, committedAtMs);
    return this.#retainedUntilMs(oldestMs);
  }

  /** [OFF-10] True if nothing is left of the group: Kafka's DEAD. */
  isDead(nowMs: number): boolean {
    const { incarnation, members, offsets, overrides } = this.#state;
    const isBare = members.size === 0 && offsets.size === 0 && Object.keys(overrides).length === 0;
    return incarnation !== 0 && isBare && this.#retainedUntilMs(0) <= nowMs;
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

function staleEpoch(member: Member, memberEpoch: number): Failure {
  return fail(
    "STALE_MEMBER_EPOCH",
    `memberEpoch is ${memberEpoch}, the member is at ${member.memberEpoch}`,
  );
}

export function unknownMember(memberId: string): Failure {
  return fail("UNKNOWN_MEMBER_ID", `member ${memberId} is not in the group; join again`);
}

export function nonEmpty(state: GroupState): Failure {
  return fail(
    "NON_EMPTY_GROUP",
    `group ${state.groupId} has ${state.members.size} member(s); stop them, or wait for their session timeout`,
  );
}
