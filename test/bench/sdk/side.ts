// The sides of the comparison behind one interface: their own server and the client that its makers recommend for
// JavaScript.
export type SideName = "rivulet" | "redis" | "jetstream";

export interface Side {
  readonly name: SideName;
  /** The software, and what it guarantees when it acknowledges a record. Printed. */
  readonly note: string;
  /** The share of the records that it gets to produce: a slow side shows its rate with fewer, not in minutes. */
  readonly produceShare: number;
  /** A new, empty topic with this many partitions, whose records have values of this many bytes. */
  create(partitions: number, valueBytes: number): Promise<Target>;
  stop(): Promise<void>;
}

export interface Target {
  readonly partitions: number;
  /** One call for `count` records of one partition; resolves when every one of them is acknowledged. */
  send(partition: number, count: number): Promise<void>;
  /** One consumer of a new group, from the beginning, that hands over one record after another. */
  consume(onRecord: OnRecord): Promise<Consuming>;
  close(): Promise<void>;
}

/** Gets the length of the record's value. */
export type OnRecord = (valueBytes: number) => void;

export interface Consuming {
  /** Acknowledges the handled records. */
  stop(): Promise<void>;
}

const RECORDS_PER_CALL = 100;
const CALLS_AT_ONCE = 64;

/** Gives this many records to the client, in calls that alternate between the partitions. */
export async function sendAll(target: Target, records: number): Promise<void> {
  const calls = records / RECORDS_PER_CALL;
  let begun = 0;
  const sendSome = async () => {
    while (begun < calls) await target.send(begun++ % target.partitions, RECORDS_PER_CALL);
  };
  await Promise.all(Array.from({ length: CALLS_AT_ONCE }, sendSome));
}

let counted = 0;

/** A name that no topic and no group has had. */
export function newName(): string {
  return `bench-${++counted}`;
}
