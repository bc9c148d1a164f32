// A caller that may reach the broker and owns nothing: it speaks for members it is not, and commits without being one. It
// forgets the committed offsets of groups that others read with. It appends under the ids of other producers, at the next
// sequence. It acts as if it spoke Kafka's protocol: the calls that its connection would make to the objects are made here.
import { type BatchHeader, batches, encodeBatch } from "../../src/core/log/record-batch.ts";
import type { History } from "./history.ts";
import { Process } from "./processes.ts";
import type { World } from "./world.ts";

interface Group {
  describe(): Promise<{ ok: boolean; group?: { members: readonly { memberId: string }[] } }>;
  commitOffsets(request: {
    token: { memberId: string; instanceId: null; generation: number };
    offsets: readonly { topic: string; partition: number; offset: number; metadata: string }[];
  }): Promise<unknown>;
  deleteOffsets(request: { topics: readonly string[] }): Promise<unknown>;
}

interface Partition {
  read(request: { offset: number; maxBytes: number }): Promise<{
    ok: boolean;
    batches?: Uint8Array;
    highWatermark?: number;
  }>;
}

interface Objects {
  readonly GROUP: { getByName(name: string): Group };
  readonly PARTITION: { getByName(name: string): Partition };
}

/** Generations and epochs that no member ever has. */
const FALSE_GENERATIONS = [0, -1, -99_999];

export class Liar extends Process {
  readonly #groups: readonly string[];
  readonly #topics: () => readonly string[];
  readonly #meanMs: number;
  #number = 0;
  #isStopping = false;

  constructor(
    world: World,
    history: History,
    groups: readonly string[],
    topics: () => readonly string[],
    meanMs: number,
  ) {
    super(world, history, "liar");
    this.#groups = groups;
    this.#topics = topics;
    this.#meanMs = meanMs;
  }

  start(): void {
    const { random } = this.world;
    const next = () => {
      if (this.#isStopping) return;
      const lie = random.pick([() => this.#commit(), () => this.#forget(), () => this.#forge()]);
      // It is refused, or nobody answers: it has all the time in the world.
      lie().catch(() => {});
      this.act(next, random.delay(this.#meanMs));
    };
    this.act(next);
  }

  stop(): void {
    this.#isStopping = true;
  }

  get #objects(): Objects {
    return this.world.env as Objects;
  }

  async #commit(): Promise<void> {
    const { random } = this.world;
    const group = this.#objects.GROUP.getByName(random.pick(this.#groups));
    const described = await group.describe();
    const members = described.group?.members ?? [];
    if (members.length === 0) return;
    const memberId = random.chance(0.5) ? "" : random.pick(members).memberId;
    const generation = memberId === "" ? -1 : random.pick(FALSE_GENERATIONS);
    const topic = random.pick(this.#topics());
    const offset = random.pick([0, 1, 1_000_000]);
    await group.commitOffsets({
      token: { memberId, instanceId: null, generation },
      offsets: [{ topic, partition: 0, offset, metadata: "" }],
    });
  }

  async #forget(): Promise<void> {
    const { random } = this.world;
    const group = this.#objects.GROUP.getByName(random.pick(this.#groups));
    const { group: described } = await group.describe();
    if ((described?.members.length ?? 0) > 0)
      await group.deleteOffsets({ topics: [random.pick(this.#topics())] });
  }

  /** A record under the last producer's id, at its next sequence, to its partition or to another topic. */
  async #forge(): Promise<void> {
    const { random } = this.world;
    const { fetch, url } = this.environment;
    const request = fetch as typeof globalThis.fetch;
    const from = random.pick(this.#topics());
    const described = await request(`${url}/v1/topics/${from}`, {});
    if (!described.ok) return;
    const { topicId } = (await described.json()) as { topicId: string };
    const partition = this.#objects.PARTITION.getByName(`${topicId}/0`);
    const { highWatermark = 0 } = await partition.read({ offset: 0, maxBytes: 1 });
    if (highWatermark === 0) return;
    const read = await partition.read({ offset: highWatermark - 1, maxBytes: 1 });
    const headers = Array.from(
      batches(read.batches ?? new Uint8Array()),
      ({ header }): BatchHeader => header,
    );
    const last = headers.at(-1);
    if (last === undefined || last.producerId < 0) return;
    const value = `liar-${this.#number++}`;
    this.history.sent.add(value);
    const next = last.baseSequence + last.recordCount;
    const sequence = random.pick([0, last.baseSequence, next]);
    const bytes = encodeBatch(
      [
        {
          key: null,
          value: new TextEncoder().encode(value),
          headers: [],
          timestamp: this.world.scheduler.nowMs,
        },
      ],
      {
        producerId: last.producerId,
        producerEpoch: last.producerEpoch,
        baseSequence: sequence,
      },
    );
    const to = random.chance(0.5) ? from : random.pick(this.#topics());
    if (sequence === next && to === from) this.history.forge({ topic: to, partition: 0 });
    await request(`${url}/v1/topics/${to}/partitions/0/batches`, { method: "POST", body: bytes });
  }
}
