// A member that speaks Kafka's classic protocol: it joins, syncs, heartbeats, reads and commits, by calls. The leader
// assigns. As in KafkaMember, the connection is left out.
import { readAssignment, readSubscription } from "../../src/core/group/classic-assignment.ts";
import { consumerAssignment, consumerSubscription } from "../support/classic-bytes.ts";
import { CallingMember, type Held, type OffsetCalls, type Token } from "./calling-member.ts";

const NONE = 0;
const UNKNOWN_MEMBER_ID = 25;
const REBALANCE_IN_PROGRESS = 27;
const MEMBER_ID_REQUIRED = 79;
const FENCED_INSTANCE_ID = 82;

interface Joined {
  readonly errorCode: number;
  readonly memberId: string;
  readonly generation: number;
  readonly protocolName: string | null;
  readonly leaderId: string;
  readonly skipAssignment: boolean;
  readonly members: readonly { readonly memberId: string; readonly metadata: Uint8Array }[];
}

interface Group extends OffsetCalls {
  joinClassic(request: object): Promise<Joined>;
  syncClassic(request: object): Promise<{ errorCode: number; assignment: Uint8Array }>;
  heartbeatClassic(token: Token): Promise<number>;
  leaveClassic(request: {
    members: readonly { memberId: string; instanceId: string | null }[];
  }): Promise<number[]>;
}

/** A topic as the leader assigns it. */
interface Topic {
  readonly topicId: string;
  readonly partitions: number;
}

export class ClassicMember extends CallingMember<Group> {
  #memberId = "";
  #generation = -1;
  #ids = 0;
  protected held: Held[] = [];
  /**
   * The topics as they were when it joined. When one has grown, the leader makes all join again, as Kafka clients do.
   */
  #seenTopics = "";
  #isLeader = false;

  protected get token(): Token {
    return {
      memberId: this.#memberId,
      instanceId: this.options.instanceId,
      generation: this.#generation,
    };
  }

  protected async turn(): Promise<void> {
    if (this.isClosing) {
      await this.commit();
      const { instanceId } = this.options;
      if (this.#memberId !== "" && instanceId === null)
        await this.calls.leaveClassic({ members: [{ memberId: this.#memberId, instanceId }] });
      this.ended();
      return;
    }
    if (this.#generation < 0) {
      await this.#join();
      return;
    }
    const errorCode = await this.calls.heartbeatClassic(this.token);
    if (errorCode === REBALANCE_IN_PROGRESS) {
      await this.commit();
      this.#loseAll();
      return;
    }
    if (errorCode !== NONE) {
      this.#fenced(errorCode);
      return;
    }
    await this.readAll();
    await this.commitSomeTime();
    if (this.#isLeader && JSON.stringify(await this.#topics()) !== this.#seenTopics) {
      await this.commit();
      this.#loseAll();
    }
  }

  #loseAll(): void {
    for (const held of this.held) this.history.lost(this, held);
    this.held = [];
    this.#generation = -1;
  }

  #fenced(errorCode: number): void {
    this.#loseAll();
    if (errorCode === UNKNOWN_MEMBER_ID) this.#memberId = "";
    // Somebody else has its name: it gives up, as Kafka clients do.
    if (errorCode === FENCED_INSTANCE_ID) {
      this.ended();
    }
  }

  async #join(): Promise<void> {
    const { topics, sessionTimeoutMs, instanceId } = this.options;
    const seenTopics = await this.#topics();
    const joined = await this.calls.joinClassic({
      memberId: this.#memberId,
      newMemberId: `${this.name}-${this.#ids++}`,
      instanceId,
      clientId: this.name,
      clientHost: "/127.0.0.1",
      sessionTimeoutMs,
      rebalanceTimeoutMs: 2 * sessionTimeoutMs,
      protocolType: "consumer",
      protocols: [{ name: "range", metadata: consumerSubscription(...topics) }],
      mustKnowId: true,
      canSkipAssignment: true,
    });
    if (joined.errorCode === MEMBER_ID_REQUIRED) this.#memberId = joined.memberId;
    else if (joined.errorCode !== NONE) this.#fenced(joined.errorCode);
    if (joined.errorCode !== NONE) return;
    this.#memberId = joined.memberId;
    this.#isLeader = joined.leaderId === joined.memberId;
    this.#seenTopics = JSON.stringify(seenTopics);
    const isAssigning = this.#isLeader && !joined.skipAssignment;
    const token = { ...this.token, generation: joined.generation };
    const synced = await this.calls.syncClassic({
      ...token,
      protocolType: "consumer",
      protocolName: joined.protocolName,
      assignments: isAssigning ? assign(joined.members, seenTopics) : [],
    });
    if (synced.errorCode !== NONE) {
      if (synced.errorCode !== REBALANCE_IN_PROGRESS) this.#fenced(synced.errorCode);
      return;
    }
    const { offsets } = await this.calls.committedOffsets({ member: null });
    if (typeof offsets === "number") return;
    const found = await this.#topics(); // By now it may be another of its name.
    this.#generation = joined.generation;
    for (const { topic, partitions } of readAssignment(synced.assignment)) {
      const topicId = found[topic]?.topicId;
      if (topicId === undefined) continue;
      for (const partition of partitions) {
        const committed = offsets.find(
          (each) => each.topic === topic && each.partition === partition,
        );
        const nextOffset = committed?.offset ?? 0;
        this.held.push({ topic, topicId, partition, nextOffset });
        this.history.assigned(this, { topic, partition }, nextOffset);
      }
    }
  }

  async #topics(): Promise<Record<string, Topic>> {
    const { fetch, url } = this.environment;
    const found: Record<string, Topic> = {};
    for (const name of ["t1", "t2", "t3"]) {
      const response = await (fetch as typeof globalThis.fetch)(`${url}/v1/topics/${name}`);
      if (!response.ok) continue;
      const { topicId, partitions } = (await response.json()) as Topic;
      found[name] = { topicId, partitions };
    }
    return found;
  }
}

/** Deals each topic's partitions out among those that subscribe to it. */
function assign(members: Joined["members"], topics: Readonly<Record<string, Topic>>) {
  const dealt = members.map(({ memberId, metadata }) => ({
    memberId,
    topics: readSubscription(metadata),
    read: {} as Record<string, number[]>,
  }));
  for (const [topic, { partitions }] of Object.entries(topics)) {
    const takers = dealt.filter((member) => member.topics.includes(topic));
    const all = Array.from({ length: partitions }, (_, partition) => partition);
    for (const [i, { read }] of takers.entries())
      read[topic] = all.filter((partition) => partition % takers.length === i);
  }
  return dealt.map(({ memberId, read }) => ({ memberId, assignment: consumerAssignment(read) }));
}
