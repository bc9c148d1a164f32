// The sides of the comparison behind one interface: a server of their own and the client that its makers
// recommend for JavaScript.
export type SideName = "rivulet" | "redis" | "jetstream";

export interface Side {
  readonly name: SideName;
  /** What runs, and what it has done with a record when it acknowledges it. Printed. */
  readonly note: string;
  /** The part of the records that it is given to produce: a slow side shows its rate in fewer, not in minutes. */
  readonly produceShare: number;
  /** A new, empty topic of so many partitions whose records have values of so many bytes. */
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
  /** Acknowledges what was handled. */
  stop(): Promise<void>;
}

const RECORDS_PER_CALL = 100;
const CALLS_AT_ONCE = 64;

/** Gives so many records to the client, in calls that take turns with the partitions. */
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
