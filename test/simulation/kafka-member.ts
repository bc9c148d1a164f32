// A member that speaks Kafka's consumer protocol (KIP-848): it heartbeats, reads, and commits, by calls. Its connection is left
// out: what the Worker would ask of the objects on its behalf is asked here.
import { batches, decodeBatch } from "../../src/core/log/record-batch.ts";
import type { Place } from "./history.ts";
import { Member } from "./processes.ts";

const utf8 = new TextDecoder();

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

interface Group {
  heartbeat(heartbeat: Heartbeat): Promise<{
    readonly ok: boolean;
    readonly memberEpoch: number;
    readonly assignment: readonly TopicPartitions[] | null;
  }>;
  committedOffsets(request: { member: { memberId: string; memberEpoch: number } }): Promise<{
    readonly offsets: number | readonly (Place & { offset: number })[];
  }>;
  commitOffsets(request: {
    token: { memberId: string; instanceId: null; generation: number };
    offsets: readonly (Place & { offset: number; metadata: string })[];
  }): Promise<unknown>;
}

interface Partition {
  read(request: { offset: number; maxBytes: number }): Promise<{
    readonly ok: boolean;
    readonly batches?: Uint8Array;
  }>;
}

interface Objects {
  readonly GROUP: { getByName(name: string): Group };
  readonly PARTITION: { getByName(name: string): Partition };
}

/** Small, so that a partition is held over several turns. */
const MAX_READ_BYTES = 300;
const JOIN = 0;
const LEAVE = -1;

interface Held extends Place {
  readonly topicId: string;
  nextOffset: number;
}

export class KafkaMember extends Member {
  readonly isSdk = false;
  #memberEpoch = JOIN;
  #isClosing = false;
  /** By topic id and partition. */
  readonly #held = new Map<string, Held>();
  readonly #topicIds = new Map<string, string>();

  start(): void {
    this.act(() => void this.#run());
  }

  close(): void {
    this.#isClosing = true;
  }

  async #run(): Promise<void> {
    while (this.isRunning) {
      // A call that failed may have been carried out. The next turn says everything again.
      await this.#turn().catch(() => {});
      await this.wait(this.world.random.integer(50, 300));
    }
  }

  async #turn(): Promise<void> {
    if (this.#isClosing) {
      await this.#commit();
      await this.#heartbeat(LEAVE);
      this.history.died(this);
      this.isRunning = false;
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
    for (const held of [...this.#held.values()]) await this.#read(held);
    if (this.#held.size > 0) await this.#commitSomeTime();
  }

  get #group(): Group {
    return (this.world.env as Objects).GROUP.getByName(this.group);
  }

  #heartbeat(memberEpoch: number) {
    const { topics, sessionTimeoutMs } = this.options;
    const isJoining = memberEpoch === JOIN;
    const byTopic = Map.groupBy(this.#held.values(), ({ topicId }) => topicId);
    return this.#group.heartbeat({
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

  /** What is lost is committed at the epoch at which it was read: the member says that it knows of the next one afterwards. */
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
    if (lost.length > 0) await this.#commit();
    for (const key of lost) {
      const held = this.#held.get(key);
      this.#held.delete(key);
      if (held !== undefined) this.history.lost(this, held);
    }
    this.#memberEpoch = memberEpoch;
    const added = [...assigned].filter(([key]) => !this.#held.has(key));
    if (added.length === 0) return;
    const member = { memberId: this.name, memberEpoch };
    const { offsets } = await this.#group.committedOffsets({ member });
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

  async #read(held: Held): Promise<void> {
    const { topic, topicId, partition } = held;
    const stub = (this.world.env as Objects).PARTITION.getByName(`${topicId}/${partition}`);
    const read = await stub.read({ offset: held.nextOffset, maxBytes: MAX_READ_BYTES });
    if (!read.ok || read.batches === undefined) return;
    for (const { start } of batches(read.batches)) {
      for (const { offset, value } of decodeBatch(read.batches, start)) {
        if (offset < held.nextOffset) continue;
        const text = utf8.decode(value ?? new Uint8Array());
        this.history.handling(this, { topic, partition }, offset, text);
        held.nextOffset = offset + 1;
      }
    }
    await this.wait(this.handlerMs());
  }

  /** Now, or once the network lets it through: meanwhile the partition may have been another's, and come back. */
  async #commitSomeTime(): Promise<void> {
    const { random, isCalm } = this.world;
    const commit = this.#commitOf();
    const delayMs = random.pick([300, 1_000, 3_000]);
    if (!isCalm && random.chance(0.3)) this.act(() => void commit().catch(() => {}), delayMs);
    await commit();
  }

  #commit(): Promise<unknown> {
    return this.#held.size === 0 ? Promise.resolve() : this.#commitOf()();
  }

  /** The commit of what has been handled by now, at the epoch of now. */
  #commitOf(): () => Promise<unknown> {
    const token = { memberId: this.name, instanceId: null, generation: this.#memberEpoch };
    const offsets = Array.from(this.#held.values(), ({ topic, partition, nextOffset }) => ({
      topic,
      partition,
      offset: nextOffset,
      metadata: "",
    }));
    return () => this.#group.commitOffsets({ token, offsets });
  }
}
