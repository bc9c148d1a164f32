// A log with its compactor and a clock, over either store: for the tests of compaction and the model test.
import { expect } from "vitest";
import { PartitionStore } from "../../durable-objects/partition/partition-store.ts";
import { SqlLogStore } from "../../durable-objects/partition/sql-log-store.ts";
import { compressor } from "../../src/compression/compress.ts";
import { decodeAnyBatch } from "../../src/compression/decode.ts";
import { resolveConfig, type TopicConfig } from "../../src/core/cluster/config.ts";
import { unwrap } from "../../src/core/errors.ts";
import { validateAppend } from "../../src/core/log/append.ts";
import { Compactor } from "../../src/core/log/compaction.ts";
import { type ChunkPlace, COMPACTING, type LogStore } from "../../src/core/log/log-store.ts";
import { PartitionLog } from "../../src/core/log/partition-log.ts";
import {
  type BatchHeader,
  batches,
  type EncodeOptions,
  encodeBatch,
  hasValidCrc,
  readBatchHeader,
} from "../../src/core/log/record-batch.ts";
import { addToTotals, emptyTotals } from "../../src/core/log/segment-totals.ts";
import type { ConsumerRecord, ProducerRecord } from "../../src/core/record.ts";
import { MemoryLogStore, segmentsOf } from "./memory-log-store.ts";
import { nodeSql } from "./node-sql.ts";

/** The place of one log; each `open()` is a store on the same data, as after an eviction. */
export interface Place {
  open(): LogStore;
}

export const PLACES: readonly { name: string; newPlace: () => Place }[] = [
  {
    name: "MemoryLogStore",
    newPlace: () => {
      const store = new MemoryLogStore();
      return { open: () => store };
    },
  },
  {
    name: "SqlLogStore",
    newPlace: () => {
      const storage = nodeSql();
      const topic = { name: "t", topicId: "t-1", partitions: 1, initialPartitions: 1 };
      const own = { topicId: "t-1", partition: 0 };
      new PartitionStore(storage, own).setTopic({
        ...topic,
        overrides: {},
        defaults: {},
        config: EAGER,
      });
      return { open: () => new SqlLogStore(storage) };
    },
  },
];

/** Compacts all closed segments, at once. */
export const EAGER: TopicConfig = {
  ...resolveConfig({ "cleanup.policy": "compact", "min.cleanable.dirty.ratio": 0 }),
  retentionMs: -1,
  segmentBytes: 100_000,
};
export const HOUR = 3_600_000;
export const START = 100 * 24 * HOUR;

const UTF8 = new TextEncoder();
const TEXT = new TextDecoder();
export const CODEC = { decode: decodeAnyBatch, compressor };

export function record(
  key: string | null,
  value: string | null,
  timestamp = START,
): ProducerRecord {
  const bytes = (text: string | null) => (text === null ? null : UTF8.encode(text));
  return { key: bytes(key), value: bytes(value), headers: [], timestamp };
}

/** A record as one word; dots at the end of a value only make it long. */
export function show({ offset, key, value }: ConsumerRecord): string {
  const text = (bytes: Uint8Array | null) => (bytes === null ? "-" : TEXT.decode(bytes));
  return `${offset} ${text(key)}=${text(value).replace(/\.+$/, "")}`;
}

/** Decodes every decodable batch. */
export function decodeOrNothing(bytes: Uint8Array, start = 0): ConsumerRecord[] {
  try {
    return decodeAnyBatch(bytes, start);
  } catch {
    return [];
  }
}

/** `expect` takes its time, and there are many batches. */
export function check(isTrue: boolean, otherwise: string): void {
  if (!isTrue) throw new Error(otherwise);
}

export function recordsOf(log: PartitionLog): ConsumerRecord[] {
  const records: ConsumerRecord[] = [];
  for (let offset = log.logStartOffset; offset < log.logEndOffset; ) {
    const { pieces, nextOffset } = log.read(offset, 200_000);
    expect(nextOffset).toBeGreaterThan(offset);
    for (const piece of pieces)
      for (const { start } of batches(piece)) records.push(...decodeOrNothing(piece, start));
    offset = nextOffset;
  }
  return records.filter(({ offset }) => offset >= log.logStartOffset);
}

/** A log with its compactor and a clock. */
export class Rig {
  readonly place: Place;
  store: LogStore;
  config: TopicConfig;
  log: PartitionLog;
  compactor: Compactor;
  nowMs = START;

  constructor(place: Place, overrides: Partial<TopicConfig> = {}) {
    this.place = place;
    this.store = place.open();
    this.config = { ...EAGER, ...overrides };
    this.log = new PartitionLog(this.store, this.config);
    this.compactor = new Compactor(this.log, this.store, CODEC);
  }

  /** An eviction. */
  reopen(): void {
    this.store = this.place.open();
    this.log = new PartitionLog(this.store, this.config);
    this.compactor = new Compactor(this.log, this.store, CODEC);
  }

  set(overrides: Partial<TopicConfig>): void {
    this.config = { ...this.config, ...overrides };
    this.log.config = this.config;
  }

  append(records: readonly ProducerRecord[], options: EncodeOptions = {}): number {
    return this.appendBytes(encodeBatch(records, options));
  }

  appendBytes(bytes: Uint8Array): number {
    const rules = { config: this.config, nowMs: this.nowMs, decode: decodeAnyBatch };
    const [outcome] = this.log.commit([unwrap(validateAppend(bytes, rules))], this.nowMs);
    if (outcome === undefined) throw new Error("no outcome");
    return unwrap(outcome).baseOffset;
  }

  /** One segment of these records, closed. */
  segment(...records: readonly ProducerRecord[]): void {
    this.append(records);
    this.close();
  }

  /** Closes the active segment. */
  close(): void {
    this.log.config = { ...this.config, cleanupPolicy: ["compact"], segmentMs: 0 };
    this.log.rollForCompaction(this.nowMs);
    this.log.config = this.config;
    expect(this.log.activeBaseOffset).toBe(this.log.logEndOffset);
  }

  step(): boolean {
    return this.compactor.step(this.nowMs);
  }

  /** Steps until there is nothing to do, and returns how many steps did something. */
  drain(after: () => void = () => {}): number {
    let steps = 0;
    const most = 50 + 4 * this.log.segmentCount;
    while (this.step()) {
      expect(++steps, "steps").toBeLessThan(most);
      after();
    }
    this.expectBooks();
    expect(() => this.store.totals(COMPACTING), "the table `compacting`").toThrow();
    const dueMs = this.compactor.nextDueMs(this.nowMs);
    if (dueMs !== null) expect(dueMs).toBeGreaterThan(this.nowMs);
    return steps;
  }

  /** The stored data, as an eviction would find it. */
  stored(): ConsumerRecord[] {
    return recordsOf(new PartitionLog(this.place.open(), this.config));
  }

  shown(): string[] {
    return this.stored().map(show);
  }

  headers(): BatchHeader[] {
    const headers: BatchHeader[] = [];
    for (const segment of segmentsOf(this.store))
      for (const { bytes } of this.store.chunksFrom(segment, 0))
        for (const { start, header } of batches(bytes)) {
          expect(hasValidCrc(bytes, start, header.sizeInBytes)).toBe(true);
          headers.push(header);
        }
    return headers;
  }

  /** The notes about chunks and segments match their content. */
  expectBooks(): void {
    const segments = segmentsOf(this.store);
    let allBytes = 0;
    let activeBytes = 0;
    let end = 0;
    const noted: (ChunkPlace | null)[] = [];
    const counted: ChunkPlace[] = [];
    for (const segment of segments) {
      let totals = emptyTotals(segment);
      check(segment >= end, `segment ${segment} begins before ${end}`);
      for (const { bytes, baseOffset, nextOffset } of this.store.chunksFrom(segment, 0)) {
        let maxTimestamp = Number.MIN_SAFE_INTEGER;
        const firstOffset = readBatchHeader(bytes).baseOffset;
        check(firstOffset === baseOffset, `chunk ${baseOffset} begins at ${firstOffset}`);
        for (const { header } of batches(bytes)) {
          check(header.baseOffset >= end, `batch ${header.baseOffset} begins before ${end}`);
          end = header.baseOffset + header.lastOffsetDelta + 1;
          maxTimestamp = Math.max(maxTimestamp, header.maxTimestamp);
        }
        check(nextOffset === end, `chunk ${baseOffset} ends at ${end}, not at ${nextOffset}`);
        totals = addToTotals(totals, { baseOffset, nextOffset, maxTimestamp, bytes });
        counted.push({ ...totals, baseOffset, chunkMaxTimestamp: maxTimestamp });
        noted.push(this.store.floorChunk(segment, baseOffset));
      }
      allBytes += totals.sizeInBytes;
      activeBytes = totals.sizeInBytes;
      const { chunkCount } = this.store.totals(segment) ?? emptyTotals(segment);
      check(chunkCount === totals.chunkCount, `segment ${segment} has ${totals.chunkCount} chunks`);
    }
    expect(noted).toEqual(counted);
    expect(this.log.sizeInBytes).toBe(allBytes);
    const { sealedBytes, segmentCount } = this.store.state();
    expect({ sealedBytes, segmentCount }).toEqual({
      sealedBytes: allBytes - activeBytes,
      segmentCount: segments.length,
    });
  }
}

/** The newest record of each key. */
export function newest(records: readonly ConsumerRecord[]): string[] {
  const byKey = new Map(records.map((each) => [TEXT.decode(each.key ?? undefined), show(each)]));
  return [...byKey.values()].sort();
}

export function expectAscending(records: readonly ConsumerRecord[]): void {
  const offsets = records.map(({ offset }) => offset);
  expect(offsets).toEqual([...new Set(offsets)].sort((a, b) => a - b));
}

/** Eight small closed segments of ten batches over seven keys, and some in the active one. */
export function fillSmall(rig: Rig, valueBytes = 20): void {
  let count = 0;
  for (let segment = 0; segment < 9; segment++) {
    for (let batch = 0; batch < 10; batch++) {
      const key = () => `k${(count * count + segment) % 7}`;
      const value = () => (count % 11 === 0 ? null : `v${count}`.padEnd(valueBytes, "."));
      const next = () => {
        const made = record(key(), value(), START + ((count * 37) % 100));
        count++;
        return made;
      };
      rig.append([next(), next(), record(`only${count}`, "once")]);
    }
    if (segment < 8) rig.close();
  }
}

/** Closed segments of seven batches of 90 KB each: several slices, and survivors for several chunks. */
export function fillLarge(rig: Rig, count = 60): void {
  for (let i = 0; i < count; i++) {
    rig.append([record(`k${(i * 7) % 23}`, `v${i}`.padEnd(90_000, "."))]);
    if (i % 7 === 6) rig.close();
  }
  rig.close();
}

const WRITES: ReadonlySet<string | symbol> = new Set([
  "insertChunk",
  "createSegment",
  "dropSegment",
  "renameCompacting",
  "setState",
  "setProducerSnapshot",
]);

/** The place with a storage that refuses one write: the one at which `fuse.left` reaches zero. */
export function refusing(place: Place, fuse: { left: number }): Place {
  const open = () =>
    new Proxy(place.open(), {
      get(store, name) {
        const method = Reflect.get(store, name) as (...values: unknown[]) => unknown;
        return (...values: unknown[]) => {
          if (WRITES.has(name) && --fuse.left === 0) throw new Error("refused");
          return method.apply(store, values);
        };
      },
    });
  return { open };
}
