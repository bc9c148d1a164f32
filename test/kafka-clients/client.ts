// The common part of the clients: what they write, what they read, and how they share a group's work.

import type { CompressionName } from "../../src/core/log/compression.ts";
import type { Rivulet } from "../../src/sdk/index.ts";

export type Codec = CompressionName;

export type Header = readonly [name: string, value: Buffer | null];

export interface Sent {
  readonly partition: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly Header[];
  readonly timestamp: number;
}

export interface Read extends Sent {
  readonly offset: number;
}

export interface Client {
  readonly name: string;
  /** The codecs it can write, and decompress when it reads. */
  readonly writes: readonly Codec[];
  readonly reads: readonly Codec[];
  /** True if a record has the given time; otherwise it is that of sending. */
  readonly sendsTime: boolean;
  /** True if a header's value may be null. */
  readonly sendsNullHeaders: boolean;
  /** Resolves when all are acknowledged; each partition's in their order. */
  send(brokers: string, topic: string, records: readonly Sent[], codec?: Codec): Promise<void>;
  /** Everything, `count` records: the order is each partition's. */
  readAll(brokers: string, topic: string, count: number): Promise<Read[]>;
}

/** One that takes part in groups. */
export interface GroupClient extends Client {
  join(brokers: string, groupId: string, topic: string): Promise<Member>;
}

export interface Member {
  /** The records it has read so far. */
  readonly read: readonly Read[];
  /** Commits, leaves and ends. */
  stop(): Promise<void>;
}

export const SESSION_MS = 10_000;
export const HEARTBEAT_MS = 500;

/** Makes a group's members of KIP-848 beat as often: the group's config sets this, not their own. */
export async function beatOften({ admin }: Rivulet, groupId: string): Promise<void> {
  await admin.alterGroup(groupId, { config: { "consumer.heartbeat.interval.ms": HEARTBEAT_MS } });
}
