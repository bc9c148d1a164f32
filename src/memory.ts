// The memory of this isolate, in one place: the Worker and the objects are one script, and the platform may run them in
// one isolate, with 128 MB for all. What either holds counts here. See src/core/ledger.ts.
import { Budget, Ledger, SpareRoom } from "./core/ledger.ts";
import {
  MAX_ANSWER_BYTES_IN_PROGRESS,
  MAX_ISOLATE_BYTES,
  MAX_KAFKA_IN_FLIGHT_BYTES,
  MAX_PENDING_APPENDS_BYTES,
  MAX_READS_BYTES,
  MAX_REQUEST_BYTES_IN_PROGRESS,
  MAX_SESSIONS_BYTES,
  MAX_UNREAD_BYTES,
  MAX_WORK_BYTES,
} from "./core/limits.ts";

const budget = new Budget(MAX_ISOLATE_BYTES, () => Date.now());

export const memory = {
  budget,
  /** Chunks that partitions keep for their readers. They can be read from storage. */
  tails: new SpareRoom("oldest", budget),
  /** Records that were pushed ahead of fetches. They can be pushed again. */
  feeds: new SpareRoom("largest", budget),
  bodies: new Ledger(MAX_REQUEST_BYTES_IN_PROGRESS, "bodies that come in", budget),
  work: new Ledger(MAX_WORK_BYTES, "requests that are worked on", budget),
  /** Reads of partitions that are under way. */
  reads: new Ledger(MAX_READS_BYTES, "reads that are under way", budget),
  answers: new Ledger(MAX_ANSWER_BYTES_IN_PROGRESS, "answers that are not read", budget),
  /** Records that sessions in the Worker hold for their clients. */
  sessions: new Ledger(MAX_SESSIONS_BYTES, "records that sessions hold", budget),
  kafka: new Ledger(MAX_KAFKA_IN_FLIGHT_BYTES, "Kafka requests and answers in flight", budget),
  /** Appends that wait for a commit at partitions. */
  appends: new Ledger(MAX_PENDING_APPENDS_BYTES, "appends that wait for a commit", budget),
  /** Records that readers of partitions were sent and have not taken. */
  unread: new Ledger(MAX_UNREAD_BYTES, "records that readers have not taken", budget),
};
