// A member that speaks Kafka's consumer protocol (KIP-848): it heartbeats, reads, and commits, by calls.
import { CallingMember, type Held, type OffsetCalls, type Token } from "./calling-member.ts";

interface TopicPartitions {
  readonly topicId: string;
  readonly partitions: readonly number[];
}

interface Heartbeat {
  readonly memberId: string;
  readonly memberEpoch: number;
  readonly instanceId: null;
  readonly clientId: string;
  readonly rebalanceTimeoutMs: number;
  readonly topics: readonly string[] | null;
  readonly topicPattern: null;
  readonly owned: readonly TopicPartitions[];
}

interface Group extends OffsetCalls {
  heartbeat(heartbeat: Heartbeat): Promise<{
    readonly ok: boolean;
    readonly memberEpoch: number;
    readonly assignment: readonly TopicPartitions[] | null;
  }>;
}

const JOIN = 0;
const LEAVE = -1;

export class KafkaMember extends CallingMember<Group> {
  #memberEpoch = JOIN;
  /** By topic id and partition. */
  readonly #held = new Map<string, Held>();
  readonly #topicIds = new Map<string, string>();

  protected get token(): Token {
    return { memberId: this.name, instanceId: null, generation: this.#memberEpoch };
  }

  protected get held(): readonly Held[] {
    return [...this.#held.values()];
  }

  protected async turn(): Promise<void> {
    if (this.isClosing) {
      await this.commit();
      await this.#heartbeat(LEAVE);
      this.ended();
      return;
    }
    const { ok, memberEpoch, assignment } = await this.#heartbeat(this.#memberEpoch);
    if (!ok) {
      this.#held.clear();
      this.#memberEpoch = JOIN;
      this.history.died(this);
      return;
    }
    await this.#reconcile(memberEpoch, assignment);
    await this.readAll();
    await this.commitSomeTime();
  }

  #heartbeat(memberEpoch: number) {
    const { topics, sessionTimeoutMs } = this.options;
    const isJoining = memberEpoch === JOIN;
    const byTopic = Map.groupBy(this.#held.values(), ({ topicId }) => topicId);
    return this.calls.heartbeat({
      memberId: this.name,
      memberEpoch,
      instanceId: null,
      clientId: this.name,
      rebalanceTimeoutMs: isJoining ? 2 * sessionTimeoutMs : -1,
      topics: isJoining ? topics : null,
      topicPattern: null,
      owned: Array.from(byTopic, ([topicId, held]) => ({
        topicId,
        partitions: held.map(({ partition }) => partition),
      })),
    });
  }

  /**
   * Records of a lost partition are committed at the epoch at which they were read: the member acknowledges the next one
   * afterward.
   */
  async #reconcile(
    memberEpoch: number,
    assignment: readonly TopicPartitions[] | null,
  ): Promise<void> {
    const assigned = new Map<string, { readonly topicId: string; readonly partition: number }>(
      (assignment ?? []).flatMap(({ topicId, partitions }) =>
        partitions.map((partition) => [`${topicId}/${partition}`, { topicId, partition }] as const),
      ),
    );
    const lost = [...this.#held.keys()].filter((key) => assignment !== null && !assigned.has(key));
    if (lost.length > 0) await this.commit();
    for (const key of lost) {
      const held = this.#held.get(key);
      this.#held.delete(key);
      if (held !== undefined) this.history.lost(this, held);
    }
    this.#memberEpoch = memberEpoch;
    const added = [...assigned].filter(([key]) => !this.#held.has(key));
    if (added.length === 0) return;
    const member = { memberId: this.name, memberEpoch };
    const { offsets } = await this.calls.committedOffsets({ member });
    if (typeof offsets === "number") return;
    const names = await this.#topicNames();
    for (const [key, { topicId, partition }] of added) {
      const topic = names.get(topicId);
      if (topic === undefined) continue;
      const committed = offsets.find(
        (each) => each.topic === topic && each.partition === partition,
      );
      const nextOffset = committed?.offset ?? 0;
      this.#held.set(key, { topic, topicId, partition, nextOffset });
      this.history.assigned(this, { topic, partition }, nextOffset);
    }
  }

  /** By id. */
  async #topicNames(): Promise<ReadonlyMap<string, string>> {
    const { fetch, url } = this.environment;
    for (const topic of this.options.topics) {
      const response = await (fetch as typeof globalThis.fetch)(`${url}/v1/topics/${topic}`);
      if (!response.ok) continue;
      const { topicId } = (await response.json()) as { topicId: string };
      this.#topicIds.set(topicId, topic);
    }
    return this.#topicIds;
  }
}
