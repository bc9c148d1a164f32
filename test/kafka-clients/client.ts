// What the clients have in common: what they write, what they read, and how they share a group's work.

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
  /** What it can write, and unfold when it reads. */
  readonly writes: readonly Codec[];
  readonly reads: readonly Codec[];
  /** Whether a record has the time that it is given; else it is that of sending. */
  readonly sendsTime: boolean;
  /** Whether a header may have a null for a value. */
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
  /** What it has read so far. */
  readonly read: readonly Read[];
  /** Commits, leaves and ends. */
  stop(): Promise<void>;
}

export const SESSION_MS = 10_000;
export const HEARTBEAT_MS = 500;

/** Has a group's members of KIP-848 beat as often: it is the group's config that tells them, not their own. */
export async function beatOften({ admin }: Rivulet, groupId: string): Promise<void> {
  await admin.alterGroup(groupId, { config: { "consumer.heartbeat.interval.ms": HEARTBEAT_MS } });
}
