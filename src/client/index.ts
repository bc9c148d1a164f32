// The package's main export.
export { BrokerError, type ErrorName } from "../core/errors.ts";
export type { ConsumerRecord, TopicPartition } from "../core/record.ts";
export {
  Admin,
  type ConfigInfo,
  type GroupConfigInfo,
  type GroupInfo,
  type GroupOffsetInfo,
  type GroupReset,
  type HistoryInfo,
  type PlannedOffset,
  type ResetResult,
  type ResetTo,
  type TopicInfo,
} from "./admin.ts";
export type { PartitionPosition } from "./consumer/effects.ts";
export {
  type Batch,
  Consumer,
  type ConsumerOptions,
  type Handlers,
  type PlacedRecord,
  type RunOptions,
} from "./consumer.ts";
export { ConnectionError } from "./http.ts";
export {
  Producer,
  type ProducerOptions,
  type RecordInput,
  type RecordOutcome,
  type SendOptions,
  type TopicRecords,
} from "./producer.ts";
export { Rivulet, type RivuletOptions } from "./rivulet.ts";
