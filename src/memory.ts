// The memory of this isolate. Worker and objects are one script, and the platform may run them in one isolate with
// 128 MB for all. So the memory of both is counted here. See src/core/ledger.ts.
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
  /** Chunks that partitions keep for their readers. They can be read from storage again. */
  tails: new SpareRoom("oldest", budget),
  /** Records pushed ahead of fetches. They can be pushed again. */
  feeds: new SpareRoom("largest", budget),
  bodies: new Ledger(MAX_REQUEST_BYTES_IN_PROGRESS, "incoming bodies", budget),
  work: new Ledger(MAX_WORK_BYTES, "requests in progress", budget),
  /** Reads of partitions in progress. */
  reads: new Ledger(MAX_READS_BYTES, "reads in progress", budget),
  answers: new Ledger(MAX_ANSWER_BYTES_IN_PROGRESS, "unread answers", budget),
  /** Records that sessions in the Worker hold for their clients. */
  sessions: new Ledger(MAX_SESSIONS_BYTES, "records held by sessions", budget),
  kafka: new Ledger(MAX_KAFKA_IN_FLIGHT_BYTES, "Kafka requests and answers in flight", budget),
  /** Appends waiting for a commit at partitions. */
  appends: new Ledger(MAX_PENDING_APPENDS_BYTES, "appends waiting for a commit", budget),
  /** Records sent to readers of partitions that their clients have not read. */
  unread: new Ledger(MAX_UNREAD_BYTES, "records that readers have not read", budget),
};
