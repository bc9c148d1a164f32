// A produce request with an `Idempotency-Key`: what is remembered of it, so that a repeat within
// IDEMPOTENCY_KEY_TTL_MS does what the first did and answers as the first was answered [KEY-1].
//
// One partition of the topic remembers the key; the records may go to others. Before anything is appended
// the plan is stored: whatever the first request decided (where keyless records go, which time they get,
// as which producer they are appended) holds for every repeat. So a repeat after a crash appends the same
// batches, which their partitions recognise. What has been appended is noted, for as long as the key lives.

export interface RequestPlan {
  /** The producer of this request's appends, and of no other's. Its sequence begins at 0 in each partition. */
  readonly producerId: number;
  /** The timestamp of records without one. */
  readonly atMs: number;
  /** How many partitions the topic had: keys are placed by it, also if it has grown since. */
  readonly partitions: number;
  /** The largest batch the topic took: records are cut into batches by it. */
  readonly maxMessageBytes: number;
  /** Every record needed a key. */
  readonly isCompacted: boolean;
  /** From 0 to 1: places the keyless records. */
  readonly random: number;
}

/** Of each append that was stored: its place in the request's order of appends, and what it got. */
export interface AppendDone {
  readonly index: number;
  readonly baseOffset: number;
  readonly logAppendTimeMs: number | null;
}

export interface KeyedRequest {
  readonly bodyHash: string;
  readonly plan: RequestPlan;
  readonly done: readonly AppendDone[];
}

/** Which of the topic's first partitions remembers the key. Partitions that are added change nothing. */
export function homePartition(key: string, initialPartitions: number): number {
  let hash = 0;
  for (let i = 0; i < key.length; i++) hash = (Math.imul(hash, 31) + key.charCodeAt(i)) | 0;
  return (hash >>> 0) % initialPartitions;
}
