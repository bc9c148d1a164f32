// The log of one partition: segments of chunks of record batches, over a LogStore. Everything here is synchronous and
// deterministic. The object around it decides when to commit and whom to notify.
//
// Guarantees: Offsets are dense and increase [LOG-1]. An append is stored whole or not at all [LOG-2]. The cost of
// reads and appends does not depend on the length of the log [LOG-9].
import { assert } from "../assert.ts";
import { compacts, deletesByRetention, type TopicConfig } from "../cluster/config.ts";
import { dueMs, wasSetBack } from "../elapsed.ts";
import { type Failure, fail, type Result } from "../errors.ts";
import type { Spare, SpareHolding, SpareRoom } from "../ledger.ts";
import {
  MAX_COMPARED_BYTES,
  MAX_MESSAGE_BYTES,
  MAX_PARTITION_BYTES,
  MAX_SEGMENT_CHUNKS,
  MAX_SEGMENTS,
  MIN_SEGMENT_BYTES,
  PRODUCER_SNAPSHOT_CHUNKS,
} from "../limits.ts";
import { full } from "../platform-errors.ts";
import { type Append, type Chunk, planChunks } from "./append.ts";
import { ChunkVerifier, type Decode, type Run } from "./damage.ts";
import { validateInRange } from "./in-range.ts";
import {
  type CompactionState,
  type LogState,
  type LogStore,
  type ProducerSnapshot,
  type SegmentTotals,
  withoutSegment,
} from "./log-store.ts";
import { type AppendEntry, type Compare, Producers, type StagedProducers } from "./producers.ts";
import { batches, type Decompress, uncompressedOnly } from "./record-batch.ts";
import { type BatchBytes, ComparisonBudget, isSameAppend } from "./same-append.ts";
import { addToTotals, emptyTotals } from "./segment-totals.ts";
import { cutChunk, storedChunksFrom } from "./stored-chunks.ts";
import { TailCache } from "./tail-cache.ts";
import { findBatchByTimestamp, maxTimestamp, type TimestampCandidate } from "./timestamp-lookup.ts";

interface ActiveSegment {
  readonly baseOffset: number;
  readonly createdAtMs: number;
  readonly totals: SegmentTotals;
}

/** A stored batch. */
export interface LoggedBatch {
  readonly first: number;
  readonly last: number;
  readonly bytes: Uint8Array;
  /** False if compaction has removed records from it. */
  readonly isWhole: boolean;
}

export interface ReadResult {
  /** Whole batches, in order. The first may begin before the requested offset. */
  readonly pieces: readonly Uint8Array[];
  readonly sizeInBytes: number;
  /** The offset after the last batch returned. */
  readonly nextOffset: number;
}

/** The outcome of an append. A repeat gets the answer of the first append [IDM-1]. */
export type AppendOutcome = Result<{
  readonly baseOffset: number;
  /** The time of the append. With LogAppendTime, it is the timestamp of its records. */
  readonly appendedAtMs: number;
}>;

const WAY_OUT = "lower its retention, or delete records";

const TOO_MUCH_TO_COMPARE = `the repeats to compare in one commit have more than ${MAX_COMPARED_BYTES} bytes, the bound`;

export class PartitionLog implements Spare {
  readonly #store: LogStore;
  /** Verifies all data read from the store [CRC-1]. */
  readonly verifier: ChunkVerifier;
  /** May change at any time. Later decisions use the new one. */
  config: TopicConfig;
  #state: LogState;
  #active: ActiveSegment | null;
  #nextOffset: number;
  readonly #tail = new TailCache();
  /** The stored chunk that the last read returned only in part. The next read usually continues in it. */
  #partlyRead: Run | null = null;
  /** Null until the first idempotent append. Most wake-ups do not need it. */
  #producers: Producers | null = null;

  /** Counts the cached data, which can be read from the store again. Null if it is not counted. */
  readonly #holding: SpareHolding | null;

  constructor(
    store: LogStore,
    config: TopicConfig,
    verifier = new ChunkVerifier(),
    room: SpareRoom | null = null,
  ) {
    this.#holding = room?.add(this) ?? null;
    this.#store = store;
    this.verifier = verifier;
    this.config = config;
    this.#state = store.state();
    this.#nextOffset = this.#state.logStartOffset;
    this.#active = null;
    const last = store.floorSegment(Number.MAX_SAFE_INTEGER);
    if (last !== null) {
      const totals = store.totals(last) ?? emptyTotals(last);
      this.#active = { baseOffset: last, createdAtMs: store.createdAtMs(last), totals };
      this.#nextOffset = totals.nextOffset;
    }
  }

  /** [BND-23] Drops data that can be read from the store again. */
  drop(): void {
    this.#tail.dropAll();
    this.#partlyRead = null;
    this.#count();
  }

  /**
   * Notes that all waiting readers have read the committed records. Only data that others may read soon stays in
   * memory.
   */
  trimTail(): void {
    this.#tail.trim();
    this.#count();
  }

  #count(): void {
    this.#holding?.set(this.#tail.sizeInBytes + (this.#partlyRead?.bytes.length ?? 0));
  }

  /** The oldest offset kept. */
  get logStartOffset(): number {
    return this.#state.logStartOffset;
  }

  /** The offset of the next record. It is also the high watermark, because every stored record is readable. */
  get logEndOffset(): number {
    return this.#nextOffset;
  }

  /** The bytes of all stored batches. */
  get sizeInBytes(): number {
    return this.#state.sealedBytes + (this.#active?.totals.sizeInBytes ?? 0);
  }

  /** True if the next append may find no room. */
  get isFull(): boolean {
    return this.sizeInBytes + MAX_MESSAGE_BYTES > MAX_PARTITION_BYTES;
  }

  /** The base offset of the active segment. Compaction never touches it. */
  get activeBaseOffset(): number {
    return this.#active?.baseOffset ?? this.#nextOffset;
  }

  get compaction(): CompactionState {
    return this.#state.compaction;
  }

  get segmentCount(): number {
    return this.#state.segmentCount;
  }

  /**
   * Decides on each append in the order given, and stores the accepted ones in one transaction [LOG-2] [LOG-3]. If the
   * store throws, the error is passed on, nothing is stored, and this log is unchanged. `decompress` is called only for
   * repeats that were encoded again [IDM-8]. With a `refusal`, nothing new is stored, and only repeats succeed.
   */
  commit(
    appends: readonly Append[],
    nowMs: number,
    decompress: Decompress = uncompressedOnly,
    refusal: Failure | null = null,
  ): readonly AppendOutcome[] {
    const staged = this.#stageProducers(appends, nowMs);
    const budget = new ComparisonBudget();
    const accepted: Append[] = [];
    const outcomes: AppendOutcome[] = [];
    let nextOffset = this.#nextOffset;
    let sizeInBytes = this.sizeInBytes;
    for (const append of appends) {
      const compare: Compare = ({ baseOffset }) => {
        if (!budget.isLeft) return fail("THROTTLING_QUOTA_EXCEEDED", TOO_MUCH_TO_COMPARE);
        const stored = this.#batchesFrom(baseOffset, accepted, budget);
        return { ok: true, isSame: isSameAppend(batchesOf(append), stored, decompress, budget) };
      };
      const refused = this.#decide(append, nextOffset, sizeInBytes, staged, compare) ?? refusal;
      if (refused !== null) {
        outcomes.push(refused);
        continue;
      }
      outcomes.push({ ok: true, baseOffset: nextOffset, appendedAtMs: nowMs });
      if (append.origin !== null)
        staged?.add({ ...append.origin, baseOffset: nextOffset, atMs: nowMs });
      accepted.push(append);
      nextOffset += append.recordCount;
      sizeInBytes += append.bytes.length;
    }
    if (accepted.length > 0) this.#write(accepted, staged, nowMs);
    return outcomes;
  }

  /**
   * Returns the outcome of an append that is not stored now, because it is already stored or is rejected. Null if it
   * will be stored.
   */
  #decide(
    append: Append,
    nextOffset: number,
    sizeInBytes: number,
    staged: StagedProducers | null,
    compare: Compare,
  ): AppendOutcome | null {
    if (append.origin !== null && staged !== null) {
      const checked = staged.validateSequence(append.origin, compare);
      if (!checked.ok) return checked;
      const { repeated } = checked;
      if (repeated !== null)
        return { ok: true, baseOffset: repeated.baseOffset, appendedAtMs: repeated.atMs };
    }
    if (append.expectedOffset !== null && append.expectedOffset !== nextOffset) {
      return {
        ...fail(
          "INVALID_UPDATE_VERSION",
          `expectedOffset is ${append.expectedOffset}, the next offset is ${nextOffset}`,
        ),
        nextOffset,
      };
    }
    if (sizeInBytes + append.bytes.length > MAX_PARTITION_BYTES) {
      return full("the partition", sizeInBytes, MAX_PARTITION_BYTES, WAY_OUT);
    }
    return null;
  }

  /**
   * Yields the batches from the one that begins at `offset`, as long as they are consecutive and intact. It also finds
   * the batches of `accepted`, which are not written yet.
   */
  *#batchesFrom(
    offset: number,
    accepted: readonly Append[],
    budget: ComparisonBudget,
  ): Generator<BatchBytes> {
    let acceptedAt = this.#nextOffset;
    for (const append of accepted) {
      if (acceptedAt >= offset) yield* batchesOf(append);
      acceptedAt += append.recordCount;
    }
    if (offset < this.logStartOffset) return; // Deleted records are not returned, even if a copy still exists.
    let next = offset;
    const isInMemory = this.#tail.holds(offset);
    for (const { bytes, damage } of this.#runsFrom(offset)) {
      if (!isInMemory) budget.spend(bytes.length);
      if (damage !== undefined) return;
      for (const { start, header } of batches(bytes)) {
        const end = header.baseOffset + header.lastOffsetDelta + 1;
        if (end <= next) continue;
        if (header.baseOffset !== next) return;
        yield { bytes, start };
        next = end;
      }
    }
  }

  #write(accepted: readonly Append[], staged: StagedProducers | null, nowMs: number): void {
    const isLogAppendTime = this.config.messageTimestampType === "LogAppendTime";
    const plan = planChunks(accepted, this.#nextOffset, isLogAppendTime ? nowMs : null);
    const entries = staged?.entries ?? [];
    const { active, state } = this.#store.transaction(() => {
      let active = this.#active;
      let state = this.#state;
      let hasRolled = false;
      for (const planned of plan.chunks) {
        const chunk: Chunk = { ...planned, appends: appendsWithin(entries, planned) };
        if (active === null || this.#mustRoll(active, chunk, state, nowMs)) {
          // [RET-4] Dropping expired segments makes room for the rows of a roll. This never drops the active segment,
          // which may still be needed to load the producers.
          if (active !== null && !hasRolled) state = this.#dropExpired(state, active, nowMs);
          ({ active, state } = this.#roll(active, state, chunk.baseOffset, nowMs));
          hasRolled = true;
        }
        const totals = addToTotals(active.totals, chunk);
        this.#store.insertChunk(active.baseOffset, chunk, totals);
        active = { ...active, totals };
      }
      for (const [i, append] of accepted.entries())
        append.stored?.(plan.baseOffsets[i] as number, nowMs);
      // Must run before the formerly active segment is dropped, because loading the producers may read it.
      if (hasRolled || this.#isSnapshotDue(this.#active, active))
        this.#writeSnapshot(entries, plan.nextOffset, nowMs);
      if (hasRolled || state.segmentCount >= MAX_SEGMENTS)
        state = this.#dropExpired(state, active as ActiveSegment, nowMs);
      if (state !== this.#state) this.#store.setState(state);
      return { active, state };
    });
    this.#active = active;
    this.#state = state;
    this.#nextOffset = plan.nextOffset;
    staged?.commit();
    for (const chunk of plan.chunks) {
      this.#tail.add(chunk);
      this.verifier.stored(chunk.baseOffset);
    }
    this.#count();
  }

  #mustRoll(active: ActiveSegment, chunk: Chunk, state: LogState, nowMs: number): boolean {
    const { totals, createdAtMs } = active;
    if (totals.chunkCount === 0 || state.segmentCount >= MAX_SEGMENTS) return false;
    return (
      totals.sizeInBytes + chunk.bytes.length > this.config.segmentBytes ||
      totals.chunkCount >= MAX_SEGMENT_CHUNKS ||
      dueMs(createdAtMs, this.config.segmentMs, nowMs) <= nowMs
    );
  }

  /** [SEG-1] Closes the active segment, if there is one, and creates the next. */
  #roll(
    active: ActiveSegment | null,
    state: LogState,
    baseOffset: number,
    nowMs: number,
  ): { active: ActiveSegment; state: LogState } {
    this.#store.createSegment(baseOffset, nowMs);
    return {
      active: { baseOffset, createdAtMs: nowMs, totals: emptyTotals(baseOffset) },
      state: {
        ...state,
        sealedBytes: state.sealedBytes + (active?.totals.sizeInBytes ?? 0),
        segmentCount: state.segmentCount + 1,
      },
    };
  }

  #stageProducers(appends: readonly Append[], nowMs: number): StagedProducers | null {
    if (appends.every((append) => append.origin === null)) return null;
    const producers = this.#loadProducers();
    producers.expire(nowMs, this.config.producerIdExpirationMs);
    return producers.stage();
  }

  /** [IDM-4] Loads the last snapshot and the appends in the chunks since then. */
  #loadProducers(): Producers {
    if (this.#producers !== null) return this.#producers;
    const snapshot = this.#store.producerSnapshot();
    const producers = new Producers(this.#storedAppends(snapshot));
    this.#producers = producers;
    return producers;
  }

  *#storedAppends(snapshot: ProducerSnapshot | null): Generator<AppendEntry> {
    if (snapshot !== null) yield* snapshot.entries;
    const from = Math.max(snapshot?.nextOffset ?? 0, this.activeBaseOffset);
    // Every roll stores a snapshot, so the appends after it are in the active segment.
    if (this.#active !== null) yield* this.#store.appendsFrom(this.#active.baseOffset, from);
  }

  /**
   * True whenever the chunks of the active segment complete a round. Rounds are computed from stored data, so evictions
   * do not lengthen them. With many producers the snapshot is large, so the rounds are longer.
   */
  #isSnapshotDue(before: ActiveSegment | null, after: ActiveSegment | null): boolean {
    const round = Math.max(PRODUCER_SNAPSHOT_CHUNKS, (this.#producers?.size ?? 0) / 16);
    const rounds = (active: ActiveSegment | null) =>
      Math.floor((active?.totals.chunkCount ?? 0) / round);
    return rounds(after) > rounds(before);
  }

  #writeSnapshot(entries: readonly AppendEntry[], nextOffset: number, nowMs: number): void {
    const producers = this.#loadProducers();
    producers.expire(nowMs, this.config.producerIdExpirationMs);
    const all = new Producers([...producers.snapshot(), ...entries]).snapshot();
    this.#store.setProducerSnapshot({ nextOffset, entries: all });
  }

  /** Returns OFFSET_OUT_OF_RANGE unless `logStartOffset ≤ offset ≤ logEndOffset`. */
  validateOffset(offset: number): Result<object> {
    const { logStartOffset } = this;
    return validateInRange(offset, { logStartOffset, highWatermark: this.#nextOffset });
  }

  /**
   * [LOG-4] Reads whole batches from the one that contains `offset`, up to `maxBytes`, but at least one if there is
   * one. The offset must be in range. The read ends before damaged data [CRC-1]. Throws CORRUPT_MESSAGE if it begins
   * there [CRC-2].
   */
  read(offset: number, maxBytes: number): ReadResult {
    assert(this.validateOffset(offset).ok, "read: the offset was checked by the caller");
    const pieces: Uint8Array[] = [];
    let sizeInBytes = 0;
    let nextOffset = offset;
    for (const chunk of this.#runsFrom(offset)) {
      if (chunk.damage !== undefined) {
        if (pieces.length > 0) break;
        throw this.verifier.error(chunk);
      }
      const room = maxBytes - sizeInBytes;
      const piece = cutChunk(chunk, nextOffset, room, pieces.length === 0);
      if (piece === null) {
        this.#partlyRead = chunk;
        break;
      }
      pieces.push(piece.bytes);
      sizeInBytes += piece.bytes.length;
      nextOffset = piece.nextOffset;
      if (nextOffset < chunk.nextOffset) {
        this.#partlyRead = chunk;
        break;
      }
      if (sizeInBytes >= maxBytes) break;
    }
    this.#count();
    // Compaction may have removed everything up to the end of the log.
    if (pieces.length === 0) nextOffset = this.#nextOffset;
    return { pieces, sizeInBytes, nextOffset };
  }

  /**
   * Yields the batches from the first one that ends at `offset` or later. Throws CORRUPT_MESSAGE at damaged data [CRC-2].
   * The log must not change before the last one is taken.
   */
  *batchesFrom(offset: number): Generator<LoggedBatch> {
    for (const run of this.#runsFrom(Math.max(offset, this.logStartOffset))) {
      if (run.damage !== undefined) throw this.verifier.error(run);
      for (const { start, header } of batches(run.bytes)) {
        const first = header.baseOffset;
        const last = first + header.lastOffsetDelta;
        const bytes = run.bytes.subarray(start, start + header.sizeInBytes);
        const isWhole = header.recordCount === header.lastOffsetDelta + 1;
        if (last >= offset) yield { first, last, bytes, isWhole };
      }
    }
  }

  *#runsFrom(offset: number): Generator<Run> {
    if (offset >= this.#nextOffset) return;
    this.#tail.noteRead(offset);
    if (this.#tail.holds(offset)) {
      this.#holding?.used();
      yield* this.#tail.from(offset);
      return;
    }
    const begun = this.#partlyRead;
    const isWithin = begun !== null && offset >= begun.baseOffset && offset < begun.nextOffset;
    if (isWithin) yield begun;
    const from = isWithin ? begun.nextOffset : offset;
    yield* this.verifier.runs(storedChunksFrom(this.#store, from), from);
  }

  /**
   * [LOG-8] Moves the log start offset up to `before`, never back and never past the end, and drops segments that are
   * entirely before it. The active segment stays until another replaces it, because it defines the end of the log.
   * [LOG-13] If it is large and none of its records is left, an empty segment replaces it now.
   */
  deleteRecordsBefore(before: number, nowMs: number): void {
    const start = Math.min(Math.max(before, this.logStartOffset), this.#nextOffset);
    if (start === this.logStartOffset) return;
    const dropBefore = (state: LogState) =>
      this.#dropBefore({ ...state, logStartOffset: start }, start);
    this.#changeState(dropBefore);
    const activeBytes = this.#active?.totals.sizeInBytes ?? 0;
    if (start < this.#nextOffset || activeBytes < MIN_SEGMENT_BYTES) return;
    this.#rollNow(nowMs);
    this.#changeState(dropBefore);
  }

  /**
   * [RET-1] [RET-2] Drops the segments that have expired. Each roll does that too; the object calls this for partitions
   * without appends. If everything has expired, an empty segment replaces the active one. [RET-4] Closed segments are
   * dropped first, to make room for that.
   */
  enforceRetention(nowMs: number): void {
    const active = this.#active;
    if (active === null) return;
    const dropExpired = (state: LogState) =>
      this.#dropExpired(state, this.#active as ActiveSegment, nowMs);
    this.#changeState(dropExpired);
    const { totals } = active;
    if (totals.chunkCount === 0 || !this.#hasExpired(active.baseOffset, totals, nowMs)) return;
    this.#rollNow(nowMs);
    this.#changeState(dropExpired);
  }

  /** [CMP-1] Closes the active segment if it is old enough for compaction and there were no appends. */
  rollForCompaction(nowMs: number): void {
    const rollMs = this.#compactionRollMs(nowMs);
    if (rollMs !== null && rollMs <= nowMs) this.#rollNow(nowMs);
  }

  #compactionRollMs(nowMs: number): number | null {
    const active = this.#active;
    if (active === null || active.totals.chunkCount === 0 || !compacts(this.config)) return null;
    if (this.#state.segmentCount >= MAX_SEGMENTS) return null;
    const { segmentMs, maxCompactionLagMs } = this.config;
    return dueMs(active.createdAtMs, Math.min(segmentMs, maxCompactionLagMs), nowMs);
  }

  #rollNow(nowMs: number): void {
    const rolled = this.#store.transaction(() => {
      const next = this.#roll(this.#active, this.#state, this.#nextOffset, nowMs);
      this.#store.setState(next.state);
      this.#writeSnapshot([], this.#nextOffset, nowMs);
      return next;
    });
    this.#active = rolled.active;
    this.#state = rolled.state;
  }

  /** Returns the time at which this log needs housekeeping even if nobody uses it, or null. */
  nextHousekeepingMs(nowMs: number): number | null {
    const times: number[] = [];
    const { retentionMs } = this.config;
    const oldest = this.#store.segmentAfter(-1);
    const totals = oldest === null ? null : this.#store.totals(oldest);
    if (deletesByRetention(this.config) && oldest !== null && totals !== null) {
      if (retentionMs >= 0) times.push(this.#newestMs(oldest, totals, nowMs) + retentionMs);
      const isSealed = oldest !== this.#active?.baseOffset;
      if (isSealed && this.#isTooMuch(this.sizeInBytes - totals.sizeInBytes)) times.push(0);
    }
    const rollMs = this.#compactionRollMs(nowMs);
    if (rollMs !== null) times.push(rollMs);
    return times.length === 0 ? null : Math.min(...times);
  }

  #hasExpired(segment: number, totals: SegmentTotals, nowMs: number): boolean {
    const { retentionMs } = this.config;
    if (!deletesByRetention(this.config) || retentionMs < 0) return false;
    return nowMs - this.#newestMs(segment, totals, nowMs) >= retentionMs;
  }

  /**
   * Returns the time of the segment's newest record. [CLK-1] If it is in the future and a later segment was created
   * before this one, the clock was set back in between. The records then count as old as the first segment created
   * after that.
   */
  #newestMs(segment: number, { maxTimestamp }: SegmentTotals, nowMs: number): number {
    if (!wasSetBack(maxTimestamp, nowMs)) return maxTimestamp;
    const createdAtMs = this.#store.createdAtMs(segment);
    let later = this.#store.segmentAfter(segment);
    for (; later !== null; later = this.#store.segmentAfter(later)) {
      const laterMs = this.#store.createdAtMs(later);
      if (wasSetBack(createdAtMs, laterMs)) return laterMs;
    }
    return maxTimestamp;
  }

  /** True if `leftBytes` are enough, so the segment before them may be dropped. */
  #isTooMuch(leftBytes: number): boolean {
    const { retentionBytes } = this.config;
    return deletesByRetention(this.config) && retentionBytes >= 0 && leftBytes >= retentionBytes;
  }

  /** Returns the state without the segments that are too old or exceed the size bound. The active one stays. */
  #dropExpired(state: LogState, active: ActiveSegment, nowMs: number): LogState {
    let left = state.sealedBytes + active.totals.sizeInBytes;
    let start = state.logStartOffset;
    for (let segment = this.#store.segmentAfter(-1); segment !== null; ) {
      const next = this.#store.segmentAfter(segment);
      if (next === null) break;
      const totals = this.#store.totals(segment);
      if (totals !== null) {
        const isTooMuch = this.#isTooMuch(left - totals.sizeInBytes);
        if (!isTooMuch && !this.#hasExpired(segment, totals, nowMs)) break;
        left -= totals.sizeInBytes;
      }
      start = Math.max(start, next);
      segment = next;
    }
    const moved = start === state.logStartOffset ? state : { ...state, logStartOffset: start };
    return this.#dropBefore(moved, start);
  }

  /** Returns the state without the segments that are entirely before `offset`. */
  #dropBefore(state: LogState, offset: number): LogState {
    let { sealedBytes, segmentCount, compaction } = state;
    for (let first = this.#store.segmentAfter(-1); first !== null; ) {
      const next = this.#store.segmentAfter(first);
      if (next === null || next > offset) break;
      sealedBytes -= this.#store.totals(first)?.sizeInBytes ?? 0;
      segmentCount--;
      this.#store.dropSegment(first);
      compaction = withoutSegment(this.#store, compaction, first, next);
      first = next;
    }
    if (segmentCount === state.segmentCount) return state;
    return { ...state, sealedBytes, segmentCount, compaction };
  }

  #changeState(change: (state: LogState) => LogState): void {
    this.#partlyRead = null;
    this.#state = this.#store.transaction(() => {
      const state = change(this.#state);
      if (state !== this.#state) this.#store.setState(state);
      return state;
    });
  }

  /**
   * Changes the log for compaction. `change` replaces segments, or only notes progress, and returns the new state. It
   * applies entirely or not at all.
   */
  compact(change: (state: LogState) => LogState): void {
    const group = this.#state.compaction.pass?.groupBase;
    this.#changeState(change);
    if (this.#state.compaction.pass?.groupBase === group) return;
    // [LOG-7] Segments were replaced, so the cache no longer matches the stored data.
    this.verifier.forget();
    this.#tail.dropBefore(this.activeBaseOffset);
    this.#count();
  }

  /**
   * [LOG-6] Returns the next place where a lookup by timestamp must search (core/log/timestamp-lookup.ts), or null.
   * Like the other lookups, it throws CORRUPT_MESSAGE at damaged data [CRC-2].
   */
  findBatchByTimestamp(timestamp: number, from: number): TimestampCandidate | null {
    const start = Math.max(from, this.logStartOffset);
    return findBatchByTimestamp(this.#store, this.verifier, timestamp, start);
  }

  /** [LOG-6] Returns the offset of the first record with at least this timestamp, or the end of the log. */
  findOffsetByTimestamp(timestamp: number, decode: Decode): number {
    for (let from = this.logStartOffset; ; ) {
      const candidate = this.findBatchByTimestamp(timestamp, from);
      if (candidate === null) return this.logEndOffset;
      const found = this.verifier
        .decoded(decode, candidate.batch, 0)
        .find((record) => record.offset >= this.logStartOffset && record.timestamp >= timestamp);
      if (found !== undefined) return found.offset;
      from = candidate.nextOffset;
    }
  }

  /** [LOG-11] Returns the largest timestamp of any stored record, or null. */
  maxTimestamp(decode: Decode): number | null {
    return maxTimestamp(this.#store, this.verifier, this.logStartOffset, decode);
  }
}

function* batchesOf({ bytes, batches }: Append): Generator<BatchBytes> {
  for (const { start } of batches) yield { bytes, start };
}

/** Returns the entries whose append begins in the chunk. */
function appendsWithin(
  entries: readonly AppendEntry[],
  chunk: Omit<Chunk, "appends">,
): readonly AppendEntry[] {
  if (entries.length === 0) return entries;
  return entries.filter(
    ({ baseOffset }) => baseOffset >= chunk.baseOffset && baseOffset < chunk.nextOffset,
  );
}
