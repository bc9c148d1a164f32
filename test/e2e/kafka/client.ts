// What each of Kafka's clients does, behind one interface. What one of them cannot do, it says here.
import type { ISocketFactory } from "kafkajs";

export type Compression = "none" | "gzip" | "snappy" | "lz4" | "zstd";

export interface Sent {
  readonly partition: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly timestamp: number;
}

export interface Read extends Sent {
  readonly topic: string;
  readonly offset: number;
}

export interface Membership {
  readonly groupId: string;
  readonly topics: readonly string[];
  /** Else every 200 ms. */
  readonly commitsByHand?: boolean;
  /** Told of each record, as it is read. */
  readonly onRead?: (record: Read) => void;
}

export interface Member {
  /** What it has read so far. */
  readonly read: readonly Read[];
  commit(topic: string, partition: number, offset: number): Promise<void>;
  seek(topic: string, partition: number, offset: number): Promise<void>;
  /** It leaves its group. */
  stop(): Promise<void>;
}

export interface Address {
  readonly brokers: string;
  /** KafkaJS connects by it, where there is one. */
  readonly socketFactory?: ISocketFactory;
}

export interface Client {
  readonly name: string;
  /** Those it can write and read. */
  readonly compressions: readonly Compression[];
  /** Whether it sends with a time of its own, and to a partition of its choice; and tells the time of what it reads. */
  readonly hasTimes: boolean;
  /** Idempotently. */
  send(
    address: Address,
    topic: string,
    records: readonly Sent[],
    compression: Compression,
  ): Promise<void>;
  /** Where the group has committed nothing it begins at the first record. */
  join(address: Address, membership: Membership): Promise<Member>;
  /** Those before `offset`. */
  deleteRecords(address: Address, topic: string, partition: number, offset: number): Promise<void>;
}

export const SESSION_MS = 10_000;
export const HEARTBEAT_MS = 500;
export const COMMIT_EVERY_MS = 200;
/** How long a fetch waits for news. */
export const WAIT_MS = 200;

/** What has been read, and whoever is to be told of it. */
export function readings({ onRead }: Membership) {
  const read: Read[] = [];
  const take = (record: Read) => {
    read.push(record);
    onRead?.(record);
  };
  return { read, take };
}
