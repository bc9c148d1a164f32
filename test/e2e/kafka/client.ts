// The features of each Kafka client, behind one interface. What a client cannot do, it says here.
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
  /** Otherwise every 200 ms. */
  readonly commitsByHand?: boolean;
  /** Called with each record, as it is read. */
  readonly onRead?: (record: Read) => void;
}

export interface Member {
  /** The records it has read so far. */
  readonly read: readonly Read[];
  commit(topic: string, partition: number, offset: number): Promise<void>;
  seek(topic: string, partition: number, offset: number): Promise<void>;
  /** It leaves its group. */
  stop(): Promise<void>;
}

export interface Address {
  readonly brokers: string;
  /** KafkaJS connects through it, if there is one. */
  readonly socketFactory?: ISocketFactory;
}

export interface Client {
  readonly name: string;
  /** The codecs it can write and read. */
  readonly compressions: readonly Compression[];
  /** True if it sends with its own time and to a partition of its choice, and returns the time of what it reads. */
  readonly hasTimes: boolean;
  /** Idempotently. */
  send(
    address: Address,
    topic: string,
    records: readonly Sent[],
    compression: Compression,
  ): Promise<void>;
  /** If the group has committed nothing it begins at the first record. */
  join(address: Address, membership: Membership): Promise<Member>;
  /** The records before `offset`. */
  deleteRecords(address: Address, topic: string, partition: number, offset: number): Promise<void>;
}

export const SESSION_MS = 10_000;
export const HEARTBEAT_MS = 500;
export const COMMIT_EVERY_MS = 200;
/** The time that a fetch waits for news. */
export const WAIT_MS = 200;

/** The records that were read, and who is to receive them. */
export function readings({ onRead }: Membership) {
  const read: Read[] = [];
  const take = (record: Read) => {
    read.push(record);
    onRead?.(record);
  };
  return { read, take };
}
