// The base of members that speak one of Kafka's protocols: they read and commit by calls. Their connections are left out.
// The member calls the objects here, as the Worker would on its behalf.
import { batches, decodeBatch } from "../../src/core/log/record-batch.ts";
import type { Place } from "./history.ts";
import { Member } from "./processes.ts";

const utf8 = new TextDecoder();

interface Partition {
  read(request: { offset: number; maxBytes: number }): Promise<{
    readonly ok: boolean;
    readonly batches?: Uint8Array;
  }>;
}

/** The identity under which a member commits. */
export interface Token {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly generation: number;
}

/** The calls of a group that both protocols use. */
export interface OffsetCalls {
  committedOffsets(request: {
    member: { memberId: string; memberEpoch: number } | null;
  }): Promise<{ readonly offsets: number | readonly (Place & { offset: number })[] }>;
  commitOffsets(request: {
    token: Token;
    offsets: readonly (Place & { offset: number; metadata: string })[];
  }): Promise<unknown>;
}

interface Objects<Group> {
  readonly GROUP: { getByName(name: string): Group };
  readonly PARTITION: { getByName(name: string): Partition };
}

/** Small, so that a partition is held over several turns. */
const MAX_READ_BYTES = 300;

export interface Held extends Place {
  readonly topicId: string;
  nextOffset: number;
}

export abstract class CallingMember<Group extends OffsetCalls> extends Member {
  readonly isSdk = false;
  protected isClosing = false;

  /** Sends everything that it has to send, once. */
  protected abstract turn(): Promise<void>;
  protected abstract get token(): Token;
  protected abstract get held(): readonly Held[];

  start(): void {
    this.act(() => void this.#run());
  }

  close(): void {
    this.isClosing = true;
  }

  async #run(): Promise<void> {
    while (this.isRunning) {
      // A failed call may have been carried out. The next turn sends everything again.
      await this.turn().catch(() => {});
      await this.wait(this.world.random.integer(50, 300));
    }
  }

  get #objects(): Objects<Group> {
    return this.world.env as Objects<Group>;
  }

  protected get calls(): Group {
    return this.#objects.GROUP.getByName(this.group);
  }

  protected ended(): void {
    this.history.died(this);
    this.isRunning = false;
  }

  protected async readAll(): Promise<void> {
    for (const held of [...this.held]) await this.#read(held);
  }

  async #read(held: Held): Promise<void> {
    const { topic, topicId, partition } = held;
    const stub = this.#objects.PARTITION.getByName(`${topicId}/${partition}`);
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
  protected async commitSomeTime(): Promise<void> {
    if (this.held.length === 0) return;
    const { random, isCalm } = this.world;
    const commit = this.#commitOf();
    const delayMs = random.pick([300, 1_000, 3_000]);
    if (!isCalm && random.chance(0.3)) this.act(() => void commit().catch(() => {}), delayMs);
    await commit();
  }

  protected async commit(): Promise<void> {
    if (this.held.length > 0) await this.#commitOf()();
  }

  /** Returns the commit of the records handled so far, under the current identity. */
  #commitOf(): () => Promise<unknown> {
    const { token } = this;
    const offsets = this.held.map(({ topic, partition, nextOffset }) => ({
      topic,
      partition,
      offset: nextOffset,
      metadata: "",
    }));
    return () => this.calls.commitOffsets({ token, offsets });
  }
}
