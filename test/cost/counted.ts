// What a run of the broker counts, beside what the program says.

/** A workload as a run of the broker takes it. */
export interface Shape {
  readonly topics: number;
  readonly partitions: number;
  readonly config: Readonly<Record<string, number>>;
  /** Of each topic. */
  readonly requestsPerSecond: number;
  readonly recordsPerRequest: number;
  readonly recordBytes: number;
  readonly keyBytes: number;
  readonly isKeyed: boolean;
  readonly groupsPerTopic: number;
  readonly membersPerGroup: number;
  readonly commitIntervalMs: number;
  /** How long a write takes to be durable. */
  readonly commitMs: number;
  readonly seconds: number;
}

/** What the objects of a kind are billed for. */
export interface Billed {
  readonly rowsWritten: number;
  readonly calls: number;
  readonly alarms: number;
  readonly messages: number;
  /** What their databases grow by. */
  readonly storedBytes: number;
}

/** Each is a rate per second. */
export interface Measured {
  readonly produceRequests: number;
  readonly workerRequests: number;
  readonly partition: Billed;
  readonly group: Billed;
  readonly cluster: Billed;
}
