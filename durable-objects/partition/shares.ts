// The share groups of this partition. The core decides (src/core/share). A decision is stored in the turn in which it is made,
// so the output gate holds the answer until it is durable [SHR-3].
import type {
  AcquiredBatches,
  HolderAcks,
  PartitionRequest,
  ShareDescription,
  ShareGroupName,
} from "../../src/calls/partition-calls.ts";
import { decodeAnyBatch } from "../../src/compression/decode.ts";
import { concatBytes } from "../../src/core/bytes.ts";
import { attempt, fail, type Result } from "../../src/core/errors.ts";
import { unknownGroup } from "../../src/core/group/admission.ts";
import { MAX_SHARE_GROUPS_PER_PARTITION } from "../../src/core/limits.ts";
import type { PartitionLog } from "../../src/core/log/partition-log.ts";
import {
  type LogBatch,
  type ShareLog,
  SharePartition,
} from "../../src/core/share/share-partition.ts";
import type { ShareTerms } from "../../src/core/share/share-terms.ts";
import type { Env } from "../../src/env.ts";
import { type DeadLetterSource, DeadLetterWriter } from "./dead-letters.ts";
import type { DeliveryTimes } from "./housekeeping.ts";
import type { ShareStore, StoredShare } from "./share-store.ts";

/** Asks a share group for its terms. It then knows that the partition keeps delivery states for it. */
export type AskGroup = (
  name: ShareGroupName,
) => Promise<Result<{ incarnation: number; terms: ShareTerms }>>;

/** The log, in which batches that compaction has thinned out are decoded for the offsets that are left. */
class LogOfShares implements ShareLog {
  readonly #log: PartitionLog;

  constructor(log: PartitionLog) {
    this.#log = log;
  }

  get logStartOffset(): number {
    return this.#log.logStartOffset;
  }

  get logEndOffset(): number {
    return this.#log.logEndOffset;
  }

  *batchesFrom(from: number): Generator<LogBatch> {
    for (const { isWhole, ...batch } of this.#log.batchesFrom(from))
      yield { ...batch, offsets: isWhole ? null : offsetsIn(batch.bytes) };
  }
}

/** Returns null for a batch that cannot be decoded. Its consumer finds that out, and gives it up [CRC-4]. */
function offsetsIn(bytes: Uint8Array): readonly number[] | null {
  const records = attempt(() => decodeAnyBatch(bytes));
  return "error" in records ? null : records.map(({ offset }) => offset);
}

interface Share {
  readonly incarnation: number;
  readonly partition: SharePartition;
  readonly deadLetters: DeadLetterWriter;
}

/** The parts of a partition that its share groups need. */
export interface ShareParts {
  readonly env: Env;
  readonly store: ShareStore;
  readonly log: PartitionLog;
  /** The partition, as dead letters name it. */
  readonly source: () => Pick<DeadLetterSource, "topicId" | "topic" | "partition" | "partitions">;
  readonly askGroup: AskGroup;
  readonly now: () => number;
  readonly waitUntil: (promise: Promise<unknown>) => void;
  /** Called after records may have become available, or locks have begun. */
  readonly changed: (group: string) => void;
  /** Called after a group was deleted. */
  readonly deleted: (group: string) => void;
  readonly failed: (work: string, error: unknown) => void;
}

export class Shares implements DeliveryTimes {
  readonly #parts: ShareParts;
  readonly #store: ShareStore;
  readonly #log: PartitionLog;
  readonly #now: () => number;
  /** All groups. */
  readonly #names: Set<string>;
  /** The groups that this life has read. */
  readonly #shares = new Map<string, Share>();
  /** The groups that have confirmed their terms in this life. */
  readonly #confirmed = new Set<string>();

  constructor(parts: ShareParts) {
    const { store, log, now } = parts;
    this.#parts = parts;
    this.#store = store;
    this.#names = new Set(store.groups());
    this.#log = log;
    this.#now = now;
  }

  async acquire(request: PartitionRequest<"acquire">): Promise<Result<AcquiredBatches>> {
    const known = await this.#share(request, request.from);
    if (!known.ok) return known;
    const { partition } = known.share;
    const nowMs = this.#now();
    const lockMs = request.lockMs ?? partition.terms.lockMs;
    const { holder, maxRecords, maxBytes } = request;
    return this.#decide(request.group, () => {
      const { ranges, batches } = partition.acquire(
        {
          ...{ holder, maxRecords, maxBytes, lockMs },
          ...{ takesWholeBatches: false, batchSize: Number.POSITIVE_INFINITY },
        },
        new LogOfShares(this.#log),
        nowMs,
      );
      const dueMs = partition.nextDueMs(nowMs);
      const nextDueMs = dueMs === Number.POSITIVE_INFINITY ? null : dueMs;
      return { ok: true, batches: concatBytes(batches), ranges, lockMs, nextDueMs };
    });
  }

  async acknowledge(
    request: ShareGroupName & { readonly acks: readonly HolderAcks[] },
  ): Promise<Result<{ results: readonly Result<object>[] }>> {
    const known = await this.#share(request);
    if (!known.ok) return known;
    const { partition } = known.share;
    const nowMs = this.#now();
    return this.#decide(request.group, () => ({
      ok: true,
      results: request.acks.map(({ holder, acks }) => partition.acknowledge(holder, acks, nowMs)),
    }));
  }

  async reset(request: ShareGroupName & { readonly startOffset: number }): Promise<Result<object>> {
    const known = await this.#share(request, "earliest");
    if (!known.ok) return known;
    const { logStartOffset, logEndOffset } = this.#log;
    const startOffset = Math.min(Math.max(request.startOffset, logStartOffset), logEndOffset);
    return this.#decide(request.group, () => {
      known.share.partition.reset(startOffset);
      return { ok: true };
    });
  }

  /** Returns null if there are no delivery states for the group. */
  describe(name: ShareGroupName): ShareDescription | null {
    const share = this.#known(name.group);
    if (share === null || share.incarnation !== name.incarnation) return null;
    const { partition } = share;
    const lag = partition.lag(this.#log.logEndOffset);
    return { startOffset: partition.startOffset, lag, ...partition.counts(this.#now()) };
  }

  configure({ group, incarnation, terms }: ShareGroupName & { readonly terms: ShareTerms }): void {
    const share = this.#known(group);
    if (share?.incarnation !== incarnation) return;
    share.partition.terms = terms;
    this.#save(group, share);
    this.#parts.changed(group);
  }

  delete({ group, incarnation }: ShareGroupName): void {
    if (this.#known(group)?.incarnation !== incarnation) return;
    this.#store.delete(group);
    this.#shares.delete(group);
    this.#names.delete(group);
    this.#confirmed.delete(group);
    this.#parts.deleted(group);
  }

  /** True if a consumer of the group would get records now. */
  hasAvailable(group: string): boolean {
    return this.#known(group)?.partition.hasAvailable(this.#log, this.#now()) ?? false;
  }

  nextDueMs(): number {
    const nowMs = this.#now();
    let earliest = Number.POSITIVE_INFINITY;
    for (const group of this.#names) {
      const { partition, deadLetters } = this.#known(group) ?? {};
      if (partition === undefined || deadLetters === undefined) continue;
      const isArchiving = partition.archiving.length > 0;
      const lettersMs = isArchiving ? deadLetters.nextDueMs(nowMs) : Number.POSITIVE_INFINITY;
      earliest = Math.min(earliest, partition.nextDueMs(nowMs), lettersMs);
    }
    return earliest;
  }

  expire(nowMs: number): void {
    for (const group of this.#names) {
      this.#decide(group, () => {
        this.#known(group)?.partition.expire(nowMs);
        return { ok: true };
      });
      this.#bury(group);
    }
  }

  /** Returns the delivery states of the group, from memory or from storage. */
  #known(group: string): Share | null {
    if (!this.#names.has(group)) return null;
    const known = this.#shares.get(group);
    if (known !== undefined) return known;
    const stored = this.#store.read(group);
    return stored === null ? null : this.#keep(group, stored);
  }

  #keep(group: string, { incarnation, terms, state }: StoredShare): Share {
    const share = this.#shareOf({ incarnation, terms, state });
    this.#shares.set(group, share);
    return share;
  }

  #shareOf({ incarnation, terms, state }: StoredShare): Share {
    const deadLetters = new DeadLetterWriter(this.#parts.env, this.#log);
    return { incarnation, partition: new SharePartition(state, terms), deadLetters };
  }

  /**
   * [SHR-17] Returns the delivery states of the group, and creates them at its first use. A partition asks the group once in
   * each life, because it may have missed a change of the group.
   */
  async #share(
    name: ShareGroupName,
    from?: "earliest" | "latest",
  ): Promise<Result<{ share: Share }>> {
    const { group, incarnation } = name;
    const before = this.#known(group);
    if (before?.incarnation === incarnation && this.#confirmed.has(group))
      return { ok: true, share: before };
    const asked = await this.#parts.askGroup(name);
    if (!asked.ok) return asked;
    const { terms } = asked;
    this.#confirmed.add(group);
    const known = this.#known(group); // Another request may have been faster.
    if (known?.incarnation === incarnation) {
      known.partition.terms = terms;
      return { ok: true, share: known };
    }
    if (from === undefined) return unknownGroup(group); // Nobody can hold anything.
    const count = this.#names.size;
    if (known === null && count >= MAX_SHARE_GROUPS_PER_PARTITION)
      return fail("INVALID_REQUEST", `${count} share groups read this partition, the bound`);
    return attempt(() => {
      const startOffset = this.#startOffset(terms, from);
      const state = { startOffset, epoch: 0, ranges: [], acknowledged: 0, archived: 0 };
      const share = this.#shareOf({ incarnation, terms, state });
      this.#save(group, share);
      this.#shares.set(group, share);
      return { ok: true, share };
    });
  }

  /** [SHR-18] Resolves where a new group begins. The offset is stored at once. */
  #startOffset({ autoOffsetReset }: ShareTerms, from: "earliest" | "latest"): number {
    const start = autoOffsetReset === "member" ? from : autoOffsetReset;
    if (start === "earliest") return this.#log.logStartOffset;
    if (start === "latest") return this.#log.logEndOffset;
    return this.#log.findOffsetByTimestamp(this.#now() - start.durationMs, decodeAnyBatch);
  }

  /**
   * Stores what the decision has changed. If it cannot be stored, it never happened: the states are read again, and the
   * caller gets the error.
   */
  #decide<T extends { readonly ok: boolean }>(group: string, decision: () => T): T {
    try {
      this.#shares.get(group)?.partition.logStartMoved(this.#log); // [SHR-10]
      const decided = decision();
      const share = this.#shares.get(group);
      if (share?.partition.takeChanged()) {
        this.#save(group, share);
        this.#bury(group);
        this.#parts.changed(group);
      }
      return decided;
    } catch (error) {
      this.#shares.delete(group);
      throw error;
    }
  }

  /** [DLQ-1] Writes dead letters, if there are any to write. Nobody waits for that. */
  #bury(group: string): void {
    const share = this.#shares.get(group);
    if (share === undefined || share.partition.archiving.length === 0) return;
    const buried = this.#buryOf(group, share).catch((error) => {
      this.#parts.failed(`writing dead letters of group ${group}`, error);
      this.#parts.changed(group); // It sets the alarm for the next try.
    });
    this.#parts.waitUntil(buried);
  }

  async #buryOf(group: string, { incarnation, partition, deadLetters }: Share): Promise<void> {
    const { deadLetters: terms } = partition.terms;
    const { archiving } = partition;
    if (terms === null) {
      // The config was changed: there are no dead letters any more.
      const offsets = archiving.flatMap(({ first, last }) =>
        Array.from({ length: last - first + 1 }, (_, i) => first + i),
      );
      this.#archived(group, partition, offsets);
      return;
    }
    const { epoch } = partition.state;
    const source = { group, incarnation, epoch, ...this.#parts.source() };
    const { written, failure } = await deadLetters.write(source, archiving, terms, this.#now());
    // After a reset or a failure to store, other states are in memory, which say what is to be done.
    if (written.length > 0 && partition.state.epoch === epoch)
      this.#archived(group, partition, written);
    if (failure !== null) throw failure;
  }

  #archived(group: string, partition: SharePartition, offsets: readonly number[]): void {
    if (this.#shares.get(group)?.partition !== partition) return;
    this.#decide(group, () => {
      partition.archived(offsets);
      return { ok: true };
    });
  }

  #save(group: string, { incarnation, partition: { terms, state } }: Share): void {
    this.#store.write(group, { incarnation, terms, state });
    this.#names.add(group);
  }
}
