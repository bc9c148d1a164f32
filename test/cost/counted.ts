// The figures that a run of the broker counts, beside the program's prediction.

/** A workload in the form that a run of the broker takes. */
export interface Shape {
  readonly topics: number;
  readonly partitions: number;
  readonly config: Readonly<Record<string, number>>;
  /** Per topic. */
  readonly requestsPerSecond: number;
  readonly recordsPerRequest: number;
  readonly recordBytes: number;
  readonly keyBytes: number;
  readonly isKeyed: boolean;
  readonly groupsPerTopic: number;
  readonly membersPerGroup: number;
  readonly commitIntervalMs: number;
  /** The time that a write takes to be durable. */
  readonly commitMs: number;
  readonly seconds: number;
}

/** The billed usage of the objects of a kind. */
export interface Billed {
  readonly rowsWritten: number;
  readonly calls: number;
  readonly alarms: number;
  readonly messages: number;
  /** The growth of their databases. */
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
