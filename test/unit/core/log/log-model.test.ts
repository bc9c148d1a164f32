// The whole log against a plain model: thousands of random steps, each response predicted or checked. RIVULET_EFFORT=n runs
// n seeds.

import { expect, test } from "vitest";
import { compressor } from "../../../../src/compression/compress.ts";
import { decodeAnyBatch } from "../../../../src/compression/decode.ts";
import { concatBytes } from "../../../../src/core/bytes.ts";
import {
  compacts,
  deletesByRetention,
  type TopicConfig,
} from "../../../../src/core/cluster/config.ts";
import type { ErrorName } from "../../../../src/core/errors.ts";
import { type Append, validateAppend } from "../../../../src/core/log/append.ts";
import type { CompressionType } from "../../../../src/core/log/compression.ts";
import type { AppendOutcome } from "../../../../src/core/log/partition-log.ts";
import { batches, encodeBatch } from "../../../../src/core/log/record-batch.ts";
import type { ConsumerRecord, ProducerRecord } from "../../../../src/core/record.ts";
import {
  check,
  decodeOrNothing,
  HOUR,
  PLACES,
  Rig,
  refusing,
  START,
} from "../../../support/compaction-rig.ts";
import { runs } from "../../../support/effort.ts";
import { segmentsOf } from "../../../support/memory-log-store.ts";
import { Random } from "../../../support/random.ts";

const SEEDS = runs(1).numRuns;
const STEPS = 1_000;
const EXPIRATION_MS = 24 * HOUR;
const MAX_BATCH_BYTES = 2_000;
const EMPTY = new Uint8Array();

// The model.

interface ModelRecord {
  readonly offset: number;
  /** The whole record, as text. */
  readonly content: string;
  readonly key: string | null;
  readonly isTombstone: boolean;
  readonly timestamp: number;
  /** A pass may have looked at it; records that were never eligible must be there. */
  isEligible: boolean;
  /** The earliest time at which a pass may drop the tombstone. */
  earliestEndMs: number;
  /** The latest time at which a pass must drop it, if one of those up to now saw it. */
  latestEndMs: number;
  /** One of them surely did. */
  isSeen: boolean;
  /** It may have been dropped: superseded, without a key, or a tombstone whose time was over. */
  mayBeGone: boolean;
}

interface ModelEntry {
  readonly epoch: number;
  readonly first: number;
  readonly last: number;
  readonly baseOffset: number;
  readonly atMs: number;
  /** The append's content, without its times except for their differences within a batch. */
  readonly content: string;
  /** The producer has been silent for so long that it may have been forgotten. */
  isUncertain: boolean;
}

interface Origin {
  readonly producerId: number;
  /** The Worker's own producer of this id, separate from the one that clients name. */
  readonly isOwn: boolean;
  readonly epoch: number;
  readonly first: number;
  readonly last: number;
}

/** An append before it is encoded. */
interface Draft {
  readonly batches: readonly (readonly ProducerRecord[])[];
  readonly compression: CompressionType;
  readonly origin: Origin | null;
  readonly expectedOffset: number | null;
}

type Foretold =
  | { readonly kind: "stored" }
  | { readonly kind: "repeat"; readonly entry: ModelEntry }
  | { readonly kind: "refused"; readonly error: ErrorName };

const SEQUENCES = 2 ** 31;

class Model {
  readonly records: ModelRecord[] = [];
  readonly producers = new Map<string, ModelEntry[]>();
  start = 0;
  end = 0;

  foretell(draft: Draft): Foretold {
    const { origin, expectedOffset } = draft;
    const entries = origin === null ? undefined : this.producers.get(nameOf(origin));
    const last = entries?.at(-1);
    if (origin !== null && entries !== undefined && last !== undefined) {
      if (origin.epoch < last.epoch) return { kind: "refused", error: "INVALID_PRODUCER_EPOCH" };
      const isNewEpoch = origin.epoch > last.epoch;
      if (origin.first !== (isNewEpoch ? 0 : (last.last + 1) % SEQUENCES)) {
        const entry = entries.find(
          (each) => !isNewEpoch && each.first === origin.first && each.last === origin.last,
        );
        if (entry?.content === sentContent(draft)) return { kind: "repeat", entry };
        return { kind: "refused", error: "OUT_OF_ORDER_SEQUENCE_NUMBER" };
      }
    }
    if (expectedOffset !== null && expectedOffset !== this.end)
      return { kind: "refused", error: "INVALID_UPDATE_VERSION" };
    return { kind: "stored" };
  }

  store(draft: Draft, nowMs: number, isLogAppendTime: boolean): void {
    const { origin } = draft;
    if (origin !== null) {
      const { epoch, first, last } = origin;
      const before = this.producers.get(nameOf(origin)) ?? [];
      const isSame = before.at(-1)?.epoch === epoch;
      const content = sentContent(draft);
      const stored = { baseOffset: this.end, atMs: nowMs, isUncertain: false };
      const entry = { epoch, first, last, content, ...stored };
      this.producers.set(nameOf(origin), [...(isSame ? before : []), entry].slice(-5));
    }
    for (const record of draft.batches.flat()) {
      const timestamp = isLogAppendTime ? nowMs : record.timestamp;
      const stored = { ...record, timestamp, offset: this.end++ };
      this.records.push({
        offset: stored.offset,
        content: contentOf(stored),
        key: record.key === null ? null : record.key.join(),
        isTombstone: record.value === null,
        timestamp,
        isEligible: false,
        earliestEndMs: Number.POSITIVE_INFINITY,
        latestEndMs: 0,
        isSeen: false,
        mayBeGone: false,
      });
    }
  }

  /** The log starts here now; earlier records no longer matter. */
  cut(start: number): void {
    this.start = start;
    const kept = this.records.findIndex(({ offset }) => offset >= start);
    this.records.splice(0, kept === -1 ? this.records.length : kept);
  }

  /** A slice of compaction may do this much. */
  compact(activeBaseOffset: number, config: TopicConfig, nowMs: number): void {
    if (!compacts(config)) return;
    const { minCompactionLagMs, deleteRetentionMs } = config;
    const seen = new Set<string>();
    for (const record of this.records.toReversed()) {
      if (record.offset >= activeBaseOffset) continue;
      if (minCompactionLagMs === 0 || nowMs - record.timestamp >= minCompactionLagMs)
        record.isEligible = true;
      if (!record.isEligible) continue;
      const endMs = nowMs + deleteRetentionMs;
      record.earliestEndMs = Math.min(record.earliestEndMs, endMs);
      if (!record.isSeen) record.latestEndMs = Math.max(record.latestEndMs, endMs);
      const { key } = record;
      record.mayBeGone ||=
        key === null || seen.has(key) || (record.isTombstone && record.earliestEndMs <= nowMs);
      if (key !== null) seen.add(key);
    }
  }
}

/** Two producers may have one id: the Worker's and a client's [IDM-9]. */
function nameOf({ producerId, isOwn }: Origin): string {
  return `${isOwn ? "own" : "named"} ${producerId}`;
}

/** The properties that make an append the same as another at its sequence [IDM-8]. */
function sentContent({ batches: drafted, compression }: Draft): string {
  const batchOf = (records: readonly ProducerRecord[]) =>
    records.map((record) => {
      const timestamp = record.timestamp - (records[0]?.timestamp ?? 0);
      return contentOf({ ...record, timestamp, offset: 0 });
    });
  return JSON.stringify([compression, drafted.map(batchOf)]);
}

function contentOf({ offset, key, value, timestamp, headers }: ConsumerRecord): string {
  const header = headers.map((each) => `${each.key}:${each.value?.join()}`);
  return [offset, key?.join(), value?.join(), timestamp, ...header].join("|");
}

// The log under the model.

class Walk {
  readonly random: Random;
  readonly model = new Model();
  readonly fuse = { left: 0 };
  readonly rig: Rig;
  /** Earlier sends of producers, so that they can send them again. */
  readonly sent: Draft[] = [];
  unique = 0;

  constructor(seed: number) {
    this.random = new Random(seed);
    const { newPlace } = PLACES[seed % PLACES.length] as (typeof PLACES)[number];
    this.rig = new Rig(refusing(newPlace(), this.fuse), {
      ...this.anyConfig(),
      producerIdExpirationMs: EXPIRATION_MS,
      maxMessageBytes: MAX_BATCH_BYTES,
    });
  }

  upTo(count: number): number {
    return this.random.integer(0, count);
  }

  chance(share: number): boolean {
    return this.random.chance(share);
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.upTo(choices.length - 1)] as T;
  }

  anyConfig(): Partial<TopicConfig> {
    return {
      cleanupPolicy: this.pick<TopicConfig["cleanupPolicy"]>([
        ["compact"],
        ["compact"],
        ["compact", "delete"],
        ["delete"],
        [],
      ]),
      retentionMs: this.pick([-1, 2 * HOUR, 10 * HOUR]),
      retentionBytes: this.pick([-1, -1, 3_000, 20_000]),
      segmentBytes: this.pick([300, 1_500, 6_000]),
      segmentMs: this.pick([1, HOUR, 1_000 * HOUR]),
      deleteRetentionMs: this.pick([0, 1_000, HOUR, 24 * HOUR]),
      minCompactionLagMs: this.pick([0, 0, 0, HOUR]),
      maxCompactionLagMs: this.pick([1_000, 5 * HOUR, Number.MAX_SAFE_INTEGER]),
      minCleanableDirtyRatio: this.pick([0, 0, 0.3, 0.9]),
      messageTimestampType: this.pick(["CreateTime", "CreateTime", "LogAppendTime"]),
    };
  }

  step(): void {
    const { rig } = this;
    const kind = this.upTo(99);
    if (kind < 40) this.append();
    else if (kind < 52) this.read();
    else if (kind < 60) this.lookUp();
    else if (kind < 66) this.tick();
    else if (kind < 70) this.deleteRecords();
    else if (kind < 72) this.changeConfig();
    else if (kind < 76) this.refuse();
    else if (kind < 92) for (let i = this.upTo(4); i >= 0; i--) this.compact();
    else if (kind < 95) this.drain();
    else if (kind < 98) this.reopen();
    else this.checkAll();
    const { logStartOffset, logEndOffset } = rig.log;
    check(logStartOffset === this.model.start, `the log starts at ${logStartOffset}`);
    check(logEndOffset === this.model.end, `the log ends at ${logEndOffset}`);
  }

  // Appends.

  anyRecord(): ProducerRecord {
    const bytes = (...values: number[]) => Uint8Array.from(values);
    const isKeyless = !compacts(this.rig.config) && this.chance(0.2);
    const id = this.unique++;
    const value = bytes(id >>> 16, id >>> 8, id, ...new Uint8Array(this.upTo(60)));
    return {
      key: isKeyless ? null : bytes(...(this.chance(0.9) ? [this.upTo(12)] : [id >>> 8, id])),
      value: this.chance(0.2) ? null : value,
      headers: this.chance(0.1) ? [{ key: "h", value: bytes(id) }] : [],
      timestamp: this.rig.nowMs - this.upTo(this.chance(0.1) ? 20 * HOUR : 5_000) + 1_000,
    };
  }

  anyDraft(): Draft {
    const origin = this.chance(0.6) ? this.pick([1, 2, 3, 4, 5]) : null;
    if (origin !== null && this.chance(0.2) && this.sent.length > 0)
      return this.sentAgain(this.pick(this.sent.slice(-12)));
    const anyBatch = () => Array.from({ length: 1 + this.upTo(4) }, () => this.anyRecord());
    const drafted = Array.from({ length: 1 + this.upTo(2) }, anyBatch);
    const { end } = this.model;
    return {
      batches: drafted,
      compression: this.pick([0, 0, 1, 4]),
      origin: origin === null ? null : this.anyOrigin(origin, drafted.flat().length),
      expectedOffset: this.chance(0.2) ? end + this.pick([0, 0, 0, 1, -1, 7]) : null,
    };
  }

  /**
   * Unchanged, or encoded again at another time; or forged: with other records at its sequence, or as the other producer of
   * its id.
   */
  sentAgain(draft: Draft): Draft {
    const change = (record: (each: ProducerRecord) => ProducerRecord) => ({
      ...draft,
      batches: draft.batches.map((records) => records.map(record)),
    });
    const { origin } = draft;
    if (origin === null || this.chance(0.4)) return draft;
    const laterMs = this.upTo(999);
    if (this.chance(0.5))
      return change((each) => ({ ...each, timestamp: each.timestamp - laterMs }));
    if (this.chance(0.5)) return { ...draft, origin: { ...origin, isOwn: !origin.isOwn } };
    return change((each) => ({ ...each, value: this.anyRecord().value }));
  }

  anyOrigin(producerId: number, count: number): Origin {
    const isOwn = this.chance(0.5);
    const named = { producerId, isOwn };
    const last = this.model.producers
      .get(nameOf({ ...named, epoch: 0, first: 0, last: 0 }))
      ?.at(-1);
    const of = (epoch: number, first: number) => {
      return { ...named, epoch, first, last: (first + count - 1) % SEQUENCES };
    };
    if (last === undefined) return of(this.upTo(3), this.pick([0, 5, SEQUENCES - 4]));
    const next = (last.last + 1) % SEQUENCES;
    const { epoch } = last;
    if (this.chance(0.8)) return of(epoch, next);
    return this.pick([
      of(epoch + 1, 0),
      of(epoch + 1, 3),
      of(epoch, (next + 2) % SEQUENCES),
      of(Math.max(0, epoch - 1), next),
    ]);
  }

  encode({ batches: drafted, compression, origin }: Draft): Uint8Array[] {
    let sequence = origin?.first ?? 0;
    return drafted.map((records) => {
      const made = compressor(compression);
      const bytes = encodeBatch(records, {
        baseOffset: 77,
        ...(made === undefined ? {} : { compression: made }),
        ...(origin === null ? {} : producerOf(origin, sequence)),
      });
      sequence = (sequence + records.length) % SEQUENCES;
      return bytes;
    });
  }

  validate(bytes: Uint8Array, expectedOffset: number | null = null, isOwn = false) {
    const { config, nowMs } = this.rig;
    const rules = { config, nowMs, isOwn, decode: decodeAnyBatch };
    return validateAppend(bytes, rules, expectedOffset);
  }

  /** [LOG-2] The effect of one bad batch on an append. */
  expectBad(drafts: readonly Draft[]): void {
    const good = this.encode(this.pick(drafts));
    const bad = this.encode({ ...this.pick(drafts), origin: null })[0] as Uint8Array;
    const spoil: [ErrorName, Uint8Array][] = [];
    const corrupted = bad.slice();
    const at = 21 + this.upTo(bad.length - 22);
    corrupted[at] = (corrupted[at] ?? 0) ^ (1 << this.upTo(7));
    spoil.push(["CORRUPT_MESSAGE", corrupted], ["CORRUPT_MESSAGE", bad.subarray(0, -1)]);
    const large = { ...this.anyRecord(), value: new Uint8Array(MAX_BATCH_BYTES) };
    spoil.push(["MESSAGE_TOO_LARGE", encodeBatch([large])]);
    if (compacts(this.rig.config))
      spoil.push(["INVALID_RECORD", encodeBatch([{ ...this.anyRecord(), key: null }])]);
    const [error, bytes] = this.pick(spoil);
    const first = this.chance(0.5) ? good.slice(0, 1) : [];
    const isAlone = first.length === 0 || good.length === 0;
    const result = this.validate(concatBytes([...first, bytes]));
    expect(result.ok, `append with ${error}`).toBe(false);
    if (!result.ok && isAlone) expect([error, "CORRUPT_MESSAGE"]).toContain(result.error);
  }

  append(): void {
    const { rig } = this;
    const drafts = Array.from({ length: 1 + this.upTo(2) }, () => this.anyDraft());
    if (this.chance(0.15)) {
      this.expectBad(drafts);
      return;
    }
    const valid: Draft[] = [];
    const appends: Append[] = [];
    for (const draft of drafts) {
      const bytes = concatBytes(this.encode(draft));
      const isOwn = draft.origin?.isOwn ?? false;
      const result = this.validate(bytes, draft.expectedOffset, isOwn);
      // Records sent before the policy came may lack a key.
      if (!result.ok && draft.batches.flat().some(({ key }) => key === null)) {
        expect(compacts(rig.config)).toBe(true);
        continue;
      }
      expect(result).toMatchObject({ ok: true });
      if (result.ok) appends.push(result);
      valid.push(draft);
      if (draft.origin !== null) this.sent.push(draft);
    }
    const outcomes = rig.log.commit(appends, rig.nowMs);
    expect(outcomes).toHaveLength(appends.length);
    for (const [i, draft] of valid.entries()) this.settle(draft, outcomes[i] as AppendOutcome);
    this.followRetention();
  }

  /** The outcome is the predicted one; if a producer may have been forgotten, either of two. */
  settle(draft: Draft, outcome: AppendOutcome): void {
    const { model, rig } = this;
    const isLogAppendTime = rig.config.messageTimestampType === "LogAppendTime";
    const name = draft.origin === null ? "" : nameOf(draft.origin);
    const entries = model.producers.get(name);
    const silentMs = rig.nowMs - (entries?.at(-1)?.atMs ?? rig.nowMs);
    let foretold = model.foretell(draft);
    if (draft.origin !== null && silentMs >= EXPIRATION_MS) {
      for (const entry of entries ?? []) entry.isUncertain = true;
      if (foretold.kind === "refused" && (outcome.ok || outcome.error !== foretold.error)) {
        model.producers.delete(name);
        foretold = model.foretell(draft);
      }
    }
    if (foretold.kind === "repeat" && foretold.entry.isUncertain) {
      const { baseOffset } = foretold.entry;
      if (outcome.ok && outcome.baseOffset === baseOffset) return;
      if (!outcome.ok && silentMs < EXPIRATION_MS)
        foretold = { kind: "refused", error: "OUT_OF_ORDER_SEQUENCE_NUMBER" };
      else {
        model.producers.delete(name);
        foretold = model.foretell(draft);
      }
    }
    if (foretold.kind === "refused") {
      expect(outcome).toMatchObject({ ok: false, error: foretold.error });
      if (foretold.error === "INVALID_UPDATE_VERSION")
        expect(outcome).toMatchObject({ nextOffset: model.end });
    } else if (foretold.kind === "repeat") {
      const { baseOffset, atMs } = foretold.entry;
      expect(outcome).toEqual({ ok: true, baseOffset, appendedAtMs: atMs });
    } else {
      expect(outcome).toEqual({ ok: true, baseOffset: model.end, appendedAtMs: rig.nowMs });
      model.store(draft, rig.nowMs, isLogAppendTime);
    }
  }

  // Retention.

  /** [RET-1] [RET-2] [RET-3] Segments dropped by a roll or the clock were too old or too much. */
  followRetention(): void {
    const { model, rig } = this;
    const { config, log, nowMs } = rig;
    const { logStartOffset } = log;
    if (logStartOffset === model.start) return;
    expect(logStartOffset).toBeGreaterThan(model.start);
    expect(deletesByRetention(config), "something was dropped").toBe(true);
    const isOld = ({ timestamp }: ModelRecord) =>
      config.retentionMs >= 0 && nowMs - timestamp >= config.retentionMs;
    const dropped = model.records.filter(({ offset }) => offset < logStartOffset);
    // Too much was left then; less may be now, if something old behind it has gone.
    const isTooMuch =
      config.retentionBytes >= 0 &&
      (log.sizeInBytes >= config.retentionBytes || dropped.some(isOld));
    expect(
      isTooMuch || dropped.every((each) => each.mayBeGone || isOld(each)),
      "it was old or too much",
    ).toBe(true);
    model.cut(logStartOffset);
  }

  tick(): void {
    const { rig } = this;
    rig.nowMs += this.pick([1, 500, 500, 2_000, HOUR, 7 * HOUR]);
    if (this.chance(0.01)) rig.nowMs += EXPIRATION_MS;
    if (this.chance(0.5)) rig.log.rollForCompaction(rig.nowMs);
    const { config, nowMs, log } = rig;
    if (this.chance(0.5)) return;
    log.enforceRetention(nowMs);
    this.followRetention();
    if (!deletesByRetention(config)) return;
    const [oldest, ...others] = segmentsOf(rig.store);
    const totals = oldest === undefined ? null : rig.store.totals(oldest);
    if (totals === null) return;
    if (config.retentionMs >= 0)
      expect(nowMs - totals.maxTimestamp).toBeLessThan(config.retentionMs);
    if (config.retentionBytes >= 0 && others.length > 0)
      expect(log.sizeInBytes - totals.sizeInBytes).toBeLessThan(config.retentionBytes);
  }

  /** [LOG-8] */
  deleteRecords(): void {
    const { model, rig } = this;
    const size = model.end - model.start;
    const before = model.start - 2 + this.upTo(Math.ceil(size * this.pick([0.1, 0.5, 1])) + 4);
    rig.log.deleteRecordsBefore(before, 0);
    model.cut(Math.min(Math.max(before, model.start), model.end));
  }

  changeConfig(): void {
    const all = Object.entries(this.anyConfig());
    this.rig.set(this.chance(0.3) ? Object.fromEntries(all) : Object.fromEntries([this.pick(all)]));
  }

  /** [LOG-12] The storage refuses a write; nothing has changed then. */
  refuse(): void {
    const { rig } = this;
    const { log, config } = rig;
    const append = this.validate(concatBytes(this.encode({ ...this.anyDraft(), origin: null })));
    const before = JSON.stringify([rig.store.state(), log.logEndOffset, log.sizeInBytes]);
    this.fuse.left = 1 + this.upTo(3);
    try {
      const kind = this.upTo(2);
      if (kind === 0 && append.ok) {
        // The first write of a commit is a new segment or the chunk.
        this.fuse.left = 1;
        log.commit([append], rig.nowMs);
      } else if (kind === 1) rig.log.rollForCompaction(rig.nowMs);
      else {
        this.model.compact(log.activeBaseOffset, config, rig.nowMs);
        rig.step();
      }
      this.fuse.left = 0;
    } catch (error) {
      expect(error).toEqual(new Error("refused"));
      expect(JSON.stringify([rig.store.state(), log.logEndOffset, log.sizeInBytes])).toBe(before);
      if (this.chance(0.5)) this.reopen();
    }
  }

  // Compaction and evictions.

  compact(): boolean {
    const { model, rig } = this;
    model.compact(rig.log.activeBaseOffset, rig.config, rig.nowMs);
    return rig.step();
  }

  /** [CMP-1] [CMP-2] Once there is nothing to do, everything that had to go has gone. */
  drain(): void {
    const { model, rig } = this;
    if (this.chance(0.5)) rig.log.rollForCompaction(rig.nowMs);
    model.compact(rig.log.activeBaseOffset, rig.config, rig.nowMs);
    rig.drain();
    model.compact(rig.log.activeBaseOffset, rig.config, rig.nowMs);
    this.checkAll();
    const { config, nowMs } = rig;
    if (!compacts(config) || config.minCleanableDirtyRatio + config.minCompactionLagMs > 0) return;
    const keys = new Set<string>();
    const { activeBaseOffset } = rig.log;
    const byOffset = new Map(model.records.map((each) => [each.offset, each]));
    const closed = this.storedBatches().filter(({ offset }) => offset < activeBaseOffset);
    for (const { offset } of closed) {
      const record = byOffset.get(offset);
      if (record === undefined) continue;
      expect(record.key, `key at ${offset}`).not.toBeNull();
      expect(keys.has(record.key ?? ""), `superseded: a newer one than ${offset}`).toBe(false);
      keys.add(record.key ?? "");
      const isOver = record.isSeen && record.latestEndMs <= nowMs;
      expect(isOver, `the tombstone at ${offset} is over`).toBe(false);
      record.isSeen = record.isTombstone;
    }
  }

  /** [LOG-5] */
  reopen(): void {
    const { rig } = this;
    const seen = () => [rig.log.logStartOffset, rig.log.logEndOffset, rig.log.sizeInBytes];
    const before = seen();
    rig.reopen();
    expect(seen(), "after an eviction").toEqual(before);
  }

  // Reads.

  /** Checks records that stand one behind another in the log from `from` up to `to`. */
  expectRecords(
    found: readonly ConsumerRecord[],
    from: number,
    to: number,
    firstKept: number,
  ): void {
    let last = -1;
    const offsets = new Set<number>();
    const byOffset = new Map(this.model.records.map((each) => [each.offset, each]));
    for (const record of found) {
      check(record.offset > last, `offset ${record.offset} is behind ${last}`);
      last = record.offset;
      if (record.offset < firstKept) continue;
      offsets.add(record.offset);
      const content = contentOf(record);
      const expected = byOffset.get(record.offset)?.content;
      check(content === expected, `the record is ${content}, it was ${expected}`);
    }
    for (const { offset, mayBeGone } of this.model.records)
      if (offset >= Math.max(from, firstKept) && offset < to && !mayBeGone)
        check(offsets.has(offset), `the record at ${offset} is missing`);
  }

  /** [LOG-4] */
  read(): void {
    const { model, rig } = this;
    const { log } = rig;
    const offset = model.start + this.upTo(model.end - model.start);
    const maxBytes = this.pick([1, 200, 1_000, 100_000]);
    const { pieces, sizeInBytes, nextOffset } = log.read(offset, maxBytes);
    const bytes = concatBytes([...pieces, EMPTY]);
    expect(sizeInBytes).toBe(bytes.length);
    const headers = [...batches(bytes)];
    let fitting = 0;
    let count = 0;
    for (const { header } of batches(concatBytes([...log.read(offset, 1e9).pieces, EMPTY]))) {
      if (count > 0 && fitting + header.sizeInBytes > maxBytes) break;
      fitting += header.sizeInBytes;
      count++;
    }
    expect([headers.length, sizeInBytes], "batches, bytes").toEqual([count, fitting]);
    const found = headers.flatMap(({ start }) => decodeAnyBatch(bytes, start));
    this.expectRecords(found, offset, nextOffset, model.start);
    const last = headers.at(-1)?.header;
    const end = last === undefined ? model.end : last.baseOffset + last.lastOffsetDelta + 1;
    expect(nextOffset).toBe(end);
    if (offset < model.end) expect(nextOffset).toBeGreaterThan(offset);
  }

  /** All stored records, as a reader finds them after an eviction. */
  storedBatches(): ConsumerRecord[] {
    const found: ConsumerRecord[] = [];
    const { store } = this.rig;
    for (const segment of segmentsOf(store))
      for (const { bytes } of store.chunksFrom(segment, 0))
        for (const { start } of batches(bytes)) found.push(...decodeOrNothing(bytes, start));
    return found;
  }

  checkAll(): void {
    const { model, rig } = this;
    this.expectRecords(this.storedBatches(), model.start, model.end, model.start);
    rig.expectBooks();
  }

  /** [LOG-6] [LOG-11] */
  lookUp(): void {
    const { model, rig } = this;
    const kept = this.storedBatches().filter(({ offset }) => offset >= model.start);
    const { timestamp } =
      kept.length === 0 ? { timestamp: START } : (this.pick(kept) as ConsumerRecord);
    const wanted = timestamp + this.pick([-1, 0, 0, 1, 10_000]);
    const first = kept.find((each) => each.timestamp >= wanted)?.offset ?? null;
    let answer: number | null = null;
    for (let from = 0; answer === null; ) {
      const candidate = rig.log.findBatchByTimestamp(wanted, from);
      if (candidate === null) break;
      answer =
        decodeAnyBatch(candidate.batch).find(
          (each) => each.offset >= model.start && each.timestamp >= wanted,
        )?.offset ?? null;
      expect(candidate.nextOffset).toBeGreaterThan(from);
      from = candidate.nextOffset;
    }
    expect(answer, `look-up of ${wanted}`).toBe(first);
    const largest = kept.reduce((most, each) => Math.max(most, each.timestamp), -1);
    expect(rig.log.maxTimestamp(decodeAnyBatch) ?? -1, "maxTimestamp").toBe(largest);
  }
}

function producerOf(
  { producerId, epoch }: Pick<Origin, "producerId" | "epoch">,
  baseSequence: number,
) {
  return { producerId, producerEpoch: epoch, baseSequence };
}

test("[LOG-1] [LOG-2] [LOG-4] [LOG-5] [LOG-6] [LOG-8] [CND-1] [RET-1] [RET-2] [RET-3] [CMP-1] [CMP-2] [CMP-4] [IDM-1] [IDM-2] [IDM-4] the log does what its model predicts", {
  timeout: 3_600_000,
}, () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const walk = new Walk(seed);
    for (let step = 1; step <= STEPS; step++) {
      try {
        walk.step();
      } catch (error) {
        throw new Error(`seed ${seed}, step ${step}: ${String(error)}`, { cause: error });
      }
    }
    walk.checkAll();
    walk.reopen();
    walk.drain();
  }
});
