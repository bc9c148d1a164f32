// Shared by the tests of the partition log. It has places to keep one, batches and appends to put into it, and stores that
// count calls or fail.
import fc from "fast-check";
import { PartitionStore } from "../../durable-objects/partition/partition-store.ts";
import { SqlLogStore } from "../../durable-objects/partition/sql-log-store.ts";
import type { SqlValue, Transactional } from "../../durable-objects/shared/sql.ts";
import { concatBytes } from "../../src/core/bytes.ts";
import { resolveConfig, type TopicConfig } from "../../src/core/cluster/config.ts";
import type { Topic } from "../../src/core/cluster/topics.ts";
import { unwrap } from "../../src/core/errors.ts";
import { type Append, type AppendRules, validateAppend } from "../../src/core/log/append.ts";
import { crc32c } from "../../src/core/log/crc32c.ts";
import type { LogStore } from "../../src/core/log/log-store.ts";
import type { AppendOutcome, PartitionLog } from "../../src/core/log/partition-log.ts";
import {
  BATCH_HEADER_BYTES,
  decodeBatch,
  encodeBatch,
  recordSize,
} from "../../src/core/log/record-batch.ts";
import type { ProducerRecord } from "../../src/core/record.ts";
import { MemoryLogStore, segmentsOf } from "./memory-log-store.ts";
import { nodeSql } from "./node-sql.ts";

/** The place of one log; each `open()` is a store on the same data, as after an eviction. */
export interface Place {
  open(): LogStore;
}

export const TOPIC: Topic = {
  name: "t",
  topicId: "t-1",
  partitions: 1,
  initialPartitions: 1,
  overrides: {},
  defaults: {},
  config: resolveConfig(),
};

export const PARTITION = { topicId: TOPIC.topicId, partition: 0 };

export function memoryPlace(): Place {
  const store = new MemoryLogStore();
  return { open: () => store };
}

export function sqlPlace(storage: Transactional = nodeSql()): Place {
  new PartitionStore(storage, PARTITION).setTopic(TOPIC);
  return { open: () => new SqlLogStore(storage) };
}

export const PLACES: { name: string; newPlace: () => Place }[] = [
  { name: "MemoryLogStore", newPlace: memoryPlace },
  { name: "SqlLogStore", newPlace: () => sqlPlace() },
];

/** The default configuration, without retention: these tests have their own times. */
export function configOf(changes: Partial<TopicConfig> = {}): TopicConfig {
  return { ...resolveConfig(), retentionMs: -1, ...changes };
}

export const RULES: AppendRules = { config: configOf(), nowMs: 0, decode: decodeBatch };

export function rulesOf(changes: Partial<TopicConfig>, nowMs = 0): AppendRules {
  return { ...RULES, config: configOf(changes), nowMs };
}

// Records, batches and appends.

export interface RecordShape {
  readonly timestamp: number;
  readonly valueBytes: number;
}
export type BatchShape = readonly RecordShape[];
export type AppendShape = readonly BatchShape[];

export function shape(timestamp: number, valueBytes = 5): RecordShape {
  return { timestamp, valueBytes };
}

function record({ timestamp, valueBytes }: RecordShape, seed: number): ProducerRecord {
  const value = new Uint8Array(valueBytes).fill(seed % 251);
  return { key: Uint8Array.of(seed >>> 16, seed >>> 8, seed), value, headers: [], timestamp };
}

/** The batch that `shape` makes when `seed` tells its records from all others. */
export function batchOf(shape: BatchShape, seed: number, baseOffset: number): Uint8Array {
  return encodeBatch(
    shape.map((each, i) => record(each, seed + i)),
    { baseOffset },
  );
}

export function appendOf(batchBytes: readonly Uint8Array[], expectedOffset?: number): Append {
  return unwrap(validateAppend(concatBytes(batchBytes), RULES, expectedOffset ?? null));
}

/** One append of one batch; producers may write anything in place of the base offset. */
export function singleAppend(timestamps: readonly number[], valueBytes = 5): Append {
  const shapes = timestamps.map((timestamp) => shape(timestamp, valueBytes));
  return appendOf([batchOf(shapes, 77, 123_456)]);
}

export interface Sender {
  readonly producerId?: number;
  readonly producerEpoch?: number;
  readonly baseSequence?: number;
}

/** The batch of an idempotent producer. */
export function sentBatch(
  sender: Sender,
  timestamps: readonly number[] = [0],
  valueBytes = 5,
): Uint8Array {
  const records = timestamps.map((timestamp, i) => record(shape(timestamp, valueBytes), i));
  return encodeBatch(records, { producerId: 1, producerEpoch: 0, baseSequence: 0, ...sender });
}

/** A batch of exactly `size` bytes. */
export function batchOfSize(size: number): Uint8Array {
  for (let valueBytes = size - BATCH_HEADER_BYTES; valueBytes > 0; valueBytes--) {
    const only = { key: null, headers: [], timestamp: 0, value: new Uint8Array(valueBytes) };
    if (BATCH_HEADER_BYTES + recordSize(only, 0, 0) === size) return encodeBatch([only]);
  }
  throw new Error(`no batch has ${size} bytes`);
}

/** Changes fields of a batch; its CRC is corrected unless given otherwise. */
export function edit(
  bytes: Uint8Array,
  change: (view: DataView) => void,
  fixCrc = true,
): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  change(view);
  if (fixCrc) view.setUint32(17, crc32c(bytes, 21));
  return bytes;
}

const smallRecord = fc.record({
  timestamp: fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: -3, max: 1_000 })),
  valueBytes: fc.nat(40),
});
/** Two or three of these fill a chunk. */
const largeRecord = fc.record({
  timestamp: fc.integer({ min: 1, max: 30 }),
  valueBytes: fc.integer({ min: 300_000, max: 700_000 }),
});
export const smallBatch = fc.array(smallRecord, { minLength: 1, maxLength: 5 });
const anyBatch = fc.oneof(
  { withCrossShrink: true },
  { weight: 4, arbitrary: smallBatch },
  { weight: 1, arbitrary: fc.tuple(largeRecord) },
);
export const anyAppends = fc.array(
  fc.array(anyBatch, { minLength: 1, maxLength: 4, size: "max" }),
  { minLength: 1, maxLength: 3 },
);

// The log's responses, and the stored data.

/** The base offset of each append, or the error it was rejected with. */
export function answers(outcomes: readonly AppendOutcome[]): (number | string)[] {
  return outcomes.map((outcome) => (outcome.ok ? outcome.baseOffset : outcome.error));
}

/** Finds the record as the callers of the log do: in the returned batches. */
export function lookUp(log: PartitionLog, timestamp: number): number | null {
  let from = 0;
  for (;;) {
    const candidate = log.findBatchByTimestamp(timestamp, from);
    if (candidate === null) return null;
    const found = decodeBatch(candidate.batch).find(
      (each) => each.offset >= log.logStartOffset && each.timestamp >= timestamp,
    );
    if (found !== undefined) return found.offset;
    from = candidate.nextOffset;
  }
}

/** All stored data. */
export function dump(store: LogStore) {
  return {
    state: store.state(),
    producers: store.producerSnapshot(),
    segments: segmentsOf(store).map((segment) => ({
      segment,
      createdAtMs: store.createdAtMs(segment),
      totals: store.totals(segment),
      places: Array.from(store.placesFrom(segment, segment)),
      chunks: Array.from(store.chunksFrom(segment, segment)),
      appends: Array.from(store.appendsFrom(segment, segment)),
    })),
  };
}

// Stores that count or fail.

/** The store, except that the `nth` call of `method` throws after it has done its work. */
export function failing(store: LogStore, method: keyof LogStore, nth: number): LogStore {
  let calls = 0;
  return wrap(store, (name, call) => {
    const result = call();
    if (name === method && ++calls === nth) throw new Error("the disk is full");
    return result;
  });
}

function wrap(store: LogStore, around: (name: string, call: () => unknown) => unknown): LogStore {
  return new Proxy(store, {
    get(target, name) {
      const method = Reflect.get(target, name) as (...parameters: unknown[]) => unknown;
      return (...parameters: unknown[]) =>
        around(String(name), () => method.apply(target, parameters));
    },
  });
}

/** The counts of `countCalls`, by name, and in total. */
export type Calls = Partial<Record<keyof LogStore | "chunks", number>> & { total: number };

/** Counts the calls by name, the chunks handed out, and the total. */
export function countCalls(store: LogStore): { store: LogStore; take(): Calls } {
  let counts: Calls = { total: 0 };
  const count = (what: string) => {
    const name = what as keyof Calls;
    counts[name] = (counts[name] ?? 0) + 1;
    counts.total++;
  };
  const counted = wrap(store, (name, call) => {
    count(name);
    const result = call();
    if (name === "chunksFrom") return countEach(result as Iterable<unknown>, () => count("chunks"));
    return result;
  });
  const take = () => {
    const taken = counts;
    counts = { total: 0 };
    return taken;
  };
  return { store: counted, take };
}

function* countEach<T>(items: Iterable<T>, count: () => void): Generator<T> {
  for (const item of items) {
    count();
    yield item;
  }
}

/** Counts statements and the rows read from them, and remembers the texts. */
export function countSql(storage: Transactional) {
  let counts = { statements: 0, rows: 0 };
  const queries = new Set<string>();
  const counted: Transactional = {
    transactionSync: (body) => storage.transactionSync(body),
    sql: {
      databaseSize: 0,
      exec<Row extends Record<string, SqlValue>>(query: string, ...bindings: SqlValue[]) {
        counts.statements++;
        queries.add(query);
        const rows = storage.sql.exec<Row>(query, ...bindings);
        return countEach(rows, () => counts.rows++);
      },
    },
  };
  const take = () => {
    const taken = counts;
    counts = { statements: 0, rows: 0 };
    return taken;
  };
  return {
    storage: counted,
    take,
    get queries() {
      return Array.from(queries);
    },
  };
}
