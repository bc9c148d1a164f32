// The calls that a PartitionObject answers. The names are on the wire: see calls.ts.

import type { ConfigOverrides } from "../core/cluster/config.ts";
import type { TopicDescription } from "../core/cluster/topics.ts";
import type { Result } from "../core/errors.ts";
import type { KeyedAppend, KeyedRequest, RequestPlan } from "../core/log/keyed-request.ts";
import type { TimestampCandidate } from "../core/log/timestamp-lookup.ts";
import type { PartitionSnapshot } from "../core/metrics/snapshot.ts";
import type { Acknowledgement, AcquiredRange, ShareCounts } from "../core/share/share-partition.ts";
import type { ShareTerms } from "../core/share/share-terms.ts";
import type { InitialOffset } from "../protocol/group-socket.ts";
import type { Owner } from "../protocol/partition-socket.ts";
import type { Changed } from "./calls.ts";
import type { RecoveryPoint, Restored } from "./recovery.ts";

export interface Bounds {
  readonly logStartOffset: number;
  readonly highWatermark: number;
}

/**
 * [PLC-3] The partition's topic, as the Worker knows it, if the Worker believes that the partition was never used. A
 * partition that starts then need not ask the cluster. With `isCurrent`, the cluster has confirmed it since this
 * request began, so an append need not wait for that. Absent if the Worker does not know, and in releases up to 0.3.
 */
export interface Beginning {
  readonly begin?: (TopicDescription & { readonly isCurrent?: boolean }) | undefined;
}

export interface AppendRequest extends Beginning {
  /** Whole record batches, one after another. */
  readonly batches: Uint8Array;
  /** [CND-1] Appends only if this will be the offset of the first record. */
  readonly expectedOffset?: number | null;
  /** [KEY-1] Set for an append of a request with an idempotency key. It is stored once while the key is remembered. */
  readonly keyed?: KeyedAppend | null;
  /** [IDM-9] True if the producer is the Worker's own. The Worker sets it only for batches that it encoded itself. */
  readonly isOwn?: boolean;
}

export type AppendResult = Result<{
  readonly baseOffset: number;
  /** The timestamp of its records if the topic has LogAppendTime, else null. */
  readonly logAppendTimeMs: number | null;
  /** The log start offset. Absent while it is still 0. */
  readonly logStartOffset?: number;
}>;

/** A share group in one of its incarnations. */
export interface ShareGroupName {
  readonly group: string;
  readonly incarnation: number;
}

export interface AcquiredBatches {
  /** Whole record batches, one after another. Records outside the ranges are not the holder's. */
  readonly batches: Uint8Array;
  readonly ranges: readonly AcquiredRange[];
  /** The time of the lock. */
  readonly lockMs: number;
  readonly nextDueMs: number | null;
}

export interface HolderAcks {
  readonly holder: string;
  /** In order of their offsets. */
  readonly acks: readonly Acknowledgement[];
}

export interface ShareDescription extends ShareCounts {
  readonly startOffset: number;
  /** The records that are not finished. */
  readonly lag: number;
}

export interface PartitionCalls {
  /** [RPT-1] Returns the partition's report, or null if it is not in use. Called by the MetricsObject. */
  snapshot(): Promise<PartitionSnapshot | null>;

  /** Appends whole record batches. Their records get consecutive offsets, starting at `baseOffset`. */
  append(request: AppendRequest): Promise<AppendResult>;

  /** Reads whole batches, starting with the one that contains `offset`. If there are any, it returns at least one. */
  read(
    request: {
      offset: number;
      maxBytes: number;
    } & Beginning,
  ): Promise<Result<{ batches: Uint8Array; nextOffset: number } & Bounds>>;

  /**
   * [POL-2] Reads for an owner without a socket. Only the newest owner may read, and the owner before it is cut off
   * first. `offset` in the answer is the start of the read.
   */
  readAs(
    request: {
      owner: Owner;
      offset: number | InitialOffset;
      maxBytes: number;
    } & Beginning,
  ): Promise<Result<{ offset: number; batches: Uint8Array; nextOffset: number } & Bounds>>;

  /** [RLY-4] Returns whether the partition has sent readers to this relay. */
  findRelay(request: { relay: number }): Promise<Result<{ isInUse: boolean }>>;

  /**
   * [RLY-2] Called by a relay with readers. New batches are pushed to it from now on, until it reports that it has no
   * readers.
   */
  subscribeRelay(request: { relay: number }): Promise<Result<{ topic: string } & Bounds>>;

  /** [RLY-2] Returns the offset at which a reader of a relay starts, and the bounds of the log. */
  locate(request: { offset: number | InitialOffset }): Promise<Result<{ offset: number } & Bounds>>;

  /** Returns the bounds of the log. */
  offsets(request?: Beginning): Promise<Result<Bounds>>;

  /** [DRX-1] Returns the bounds of the log, and the overrides in the config that this partition uses. */
  inspect(): Promise<Result<{ config: ConfigOverrides } & Bounds>>;

  /** [LOG-6] Returns the next batch that may contain a record with at least this timestamp, or null. */
  findBatchByTimestamp(request: {
    timestamp: number;
    from: number;
  }): Promise<Result<{ candidate: TimestampCandidate | null; topic: string } & Bounds>>;

  /** [LOG-6] Returns the largest timestamp of any record, or null for an empty log (KIP-734). */
  maxTimestamp(): Promise<Result<{ timestamp: number | null }>>;

  /** [LOG-8] Hides all records before `before` from readers. Their storage is freed together with their segment. */
  deleteRecords(request: { before: number }): Promise<Result<{ logStartOffset: number } & Changed>>;

  /**
   * [KEY-1] Returns the remembered request with this idempotency key. Otherwise, a given `plan` is remembered from now
   * on.
   */
  beginRequest(
    request: {
      key: string;
      bodyHash: string;
      plan: RequestPlan | null;
    } & Beginning,
  ): Promise<Result<{ request: KeyedRequest | null }>>;

  /**
   * [SHR-1] Acquires records for a consumer of a share group. Returns whole batches, the ranges in them that the holder
   * has now, and for how long. If there are none, `nextDueMs` is the time at which a lock or a delay ends, or null.
   */
  acquire(
    request: ShareGroupName & {
      holder: string;
      maxRecords: number;
      maxBytes: number;
      /** The time of the lock. The group's config decides if it is null. */
      lockMs: number | null;
      /** Where a new group begins, unless its config says so. */
      from: "earliest" | "latest";
    } & Beginning,
  ): Promise<Result<AcquiredBatches>>;

  /** [SHR-3] Applies the acknowledgements of holders. Each element counts as a whole or not at all, and has its result. */
  acknowledge(
    request: ShareGroupName & { acks: readonly HolderAcks[] },
  ): Promise<Result<{ results: readonly Result<object>[] }>>;

  /** Describes the delivery states of a share group, or null if the partition keeps none for it. It changes nothing. */
  describeShare(
    request: ShareGroupName,
  ): Promise<Result<{ share: ShareDescription | null } & Bounds>>;

  /** [SHR-12] Begins again at an offset, within the log. All locks end, and all deliveries are forgotten. */
  resetShare(request: ShareGroupName & { startOffset: number }): Promise<Result<object>>;

  /** [SHR-17] Applies a change of the group's config. Called by the group. */
  configureShare(request: ShareGroupName & { terms: ShareTerms }): Promise<void>;

  /** [SHR-16] Forgets the delivery states of a group. Called by the group when it is deleted. */
  deleteShare(request: ShareGroupName): Promise<void>;

  /** Applies a change of the topic's config. An unused partition gets it with its first use. */
  configure(request: { topic: TopicDescription }): Promise<void>;

  /** [ACL-8] Closes the sockets that were opened with this API key. Called by the Worker when the key is revoked. */
  revokeKey(request: { keyId: string }): Promise<void>;

  /** [CLK-1] [CLK-2] Notes that the clock was set back. Called by the Worker. */
  noticeClock(): Promise<void>;

  /**
   * [DEL-1] Stops serving, as if the partition did not exist, and keeps the stored data. Called by the cluster when the
   * topic is deleted. A partition without storage has nothing to keep.
   */
  retire(): Promise<void>;
  /** [DEL-2] Serves the kept data again. Called by the cluster when the topic is restored. */
  restore(request: { topic: TopicDescription }): Promise<void>;

  /** [RCV-1] Finds the state that was stored at a time. It changes nothing. */
  recoveryPoint(request: { toMs: number }): Promise<Result<RecoveryPoint>>;

  /** [RCV-2] Starts a new life with the state of a bookmark. Later changes are lost. */
  recoverTo(request: { bookmark: string }): Promise<Result<Restored>>;

  /** [CLU-4] Frees all storage. After this the partition does not exist. Repeating the call is harmless. */
  destroy(): Promise<void>;
}

/** The fields of a call. */
export type PartitionRequest<Method extends keyof PartitionCalls> = Parameters<
  PartitionCalls[Method]
>[0];

/** [VER-10] True for calls that may run twice without harm. The platform may repeat those whose answer was lost. */
export const PARTITION_CALLS: Readonly<Record<keyof PartitionCalls, boolean>> = {
  append: false,
  read: true,
  readAs: true,
  findRelay: true,
  subscribeRelay: true,
  locate: true,
  offsets: true,
  inspect: true,
  snapshot: true,
  findBatchByTimestamp: true,
  maxTimestamp: true,
  deleteRecords: true,
  beginRequest: true,
  acquire: false,
  acknowledge: false,
  describeShare: true,
  resetShare: true,
  configureShare: true,
  deleteShare: true,
  configure: true,
  revokeKey: true,
  noticeClock: true,
  retire: true,
  restore: true,
  recoveryPoint: true,
  recoverTo: false,
  destroy: true,
};
