// The package's main export.

export {
  Admin,
  type CallerInfo,
  type ConfigInfo,
  type CreatedKey,
  type Grant,
  type GroupConfigInfo,
  type GroupInfo,
  type GroupOffsetInfo,
  type GroupReset,
  type HistoryInfo,
  type KeyInfo,
  type PlannedOffset,
  type Quota,
  type ResetResult,
  type ResetTo,
  type Rights,
  type Role,
  type TokenInfo,
  type TopicInfo,
} from "../admin/admin.ts";
export { ConnectionError } from "../admin/http.ts";
export type { AdminService, ProduceOptions, RivuletService } from "../admin/service.ts";
export { BrokerError, type ErrorName } from "../core/errors.ts";
export type { ConsumerRecord, TopicPartition } from "../core/record.ts";
export type { PartitionPosition } from "../member/places.ts";
export {
  type Batch,
  Consumer,
  type ConsumerOptions,
  type Handlers,
  type PlacedRecord,
  type RunOptions,
} from "./consumer.ts";
export {
  Producer,
  type ProducerOptions,
  type RecordInput,
  type RecordOutcome,
  type SendOptions,
  type TopicRecords,
  type TypedRecordInput,
} from "./producer.ts";
export { type ReaderOptions, Rivulet, type RivuletOptions } from "./rivulet.ts";
export {
  bytesSerde,
  jsonSerde,
  type Serde,
  type Serdes,
  type StandardSchema,
  stringSerde,
  type TypedRecord,
} from "./serde.ts";
export { ShareConsumer } from "./share/share-consumer.ts";
export type { ShareConsumerOptions } from "./share/share-options.ts";
export {
  RejectRecord,
  ReleaseRecord,
  type SharedRecord,
  type ShareRunOptions,
} from "./share/share-record.ts";
export type { Token } from "./token.ts";
