// One partition from its consumer's point of view: its socket, its position, records delivered but not processed, and
// records processed but not committed.

import { type PartitionKey, partitionKey } from "../core/group/partition-key.ts";
import { MAX_DECODED_IN_HAND_BYTES } from "../core/limits.ts";
import { batches } from "../core/log/record-batch.ts";
import type { ConsumerRecord } from "../core/record.ts";
import type { AssignedPartition as Assignment } from "../protocol/group-socket.ts";
import { decode } from "./decoder.ts";
import { NEVER_MS } from "./effects.ts";
import type { AssignedPlace } from "./places.ts";

/**
 * - opening: the socket is being opened, or waits to be reopened.
 * - attaching: an attach was sent and is not answered.
 * - settling: it starts at "latest" and first commits that offset, so that the next owner starts there too.
 * - active: records flow.
 * - draining: it must be given up, and the application finishes its records.
 * - releasing: the last commit is in flight, and then the partition is given up.
 */
export type Phase = "opening" | "attaching" | "settling" | "active" | "draining" | "releasing";

/**
 * Batches that are delivered together. They stay encoded, because compressed ones may decompress to a thousand times
 * their size.
 */
export interface ReceivedFrame {
  /** The offset at which delivery continues if this frame is dropped. */
  readonly startOffset: number;
  readonly bytes: Uint8Array;
}

export class AssignedPartition {
  readonly key: PartitionKey;
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  phase: Phase = "opening";
  /** The socket in use, or null while there is none. */
  connection: number | null = null;
  isOpen = false;
  reopenAtMs = NEVER_MS;
  /** The time of the socket's last sign of life. */
  heardMs = 0;
  failures = 0;
  /** The id of the last attach, never reused. It distinguishes earlier frames and records from current ones. */
  attachId = 0;
  pingsSinceAttach = 0;
  /** True after `assigned` was emitted for it. */
  isAnnounced = false;
  isPaused = false;
  /** The epoch that a newer owner fenced. Attaching again only makes sense with a later one. */
  fencedEpoch: number | null = null;

  /** The next offset expected from the socket. Null until the start is known. */
  position: number | null;
  /** The application has processed all records before this offset. */
  processed: number | null;
  /** Null if the group has no committed offset, or it no longer counts. */
  committed: number | null;
  /** The time at which the application last finished a record. */
  processedAtMs = 0;
  /** The offset in the commit in flight, if there is one. */
  committing: number | null = null;
  /** True if the start was found by "latest" and is not committed yet. */
  isUnsettled = false;
  /** Set by a seek until a commit has gone through. */
  isRewind = false;
  /** The target of a seek that is not answered yet. */
  sought: number | null = null;

  /** Frames received but not delivered, because the partition is paused or not announced yet. */
  held: ReceivedFrame[] = [];
  /** Frames delivered and not fully processed: the end and the size of each. */
  #unprocessed: {
    readonly doneAt: number;
    readonly sizeInBytes: number;
    readonly decodedBytes: number;
  }[] = [];
  /** Bytes of the records that the application has not processed. */
  inHandBytes = 0;
  #returnBytes = 0;

  /** The facts from the group's last assignment. The signature belongs to the epoch of that message [ATT-5]. */
  told: Pick<Assignment, "isAdded" | "signature">;

  constructor(
    place: AssignedPlace & Pick<Assignment, "isAdded" | "signature">,
    committed: number | null,
  ) {
    this.key = partitionKey(place.topicId, place.partition);
    this.topic = place.topic;
    this.topicId = place.topicId;
    this.partition = place.partition;
    this.position = committed;
    this.processed = committed;
    this.committed = committed;
    this.told = place;
  }

  get place(): { topic: string; partition: number } {
    return { topic: this.topic, partition: this.partition };
  }

  get isGivingUp(): boolean {
    return this.phase === "draining" || this.phase === "releasing";
  }

  /** True if the application has processed more than is committed. */
  get hasUncommitted(): boolean {
    return this.processed !== null && this.processed !== this.committed;
  }

  /** True while the application has unprocessed records. */
  get hasUnprocessed(): boolean {
    return this.#unprocessed.length > 0;
  }

  /**
   * Takes a frame from the socket and moves the position past it. Uncompressed batches stay together. A compressed one
   * is delivered alone. Throws CORRUPT_MESSAGE if the bytes are not batches.
   */
  receive(bytes: Uint8Array): void {
    const frames: ReceivedFrame[] = [];
    let from = 0;
    let startOffset = this.position ?? 0;
    let nextOffset = startOffset;
    const close = (to: number) => {
      if (to > from) frames.push({ startOffset, bytes: bytes.subarray(from, to) });
      from = to;
      startOffset = nextOffset;
    };
    for (const { start, header } of batches(bytes)) {
      if (header.compression !== 0) close(start);
      nextOffset = Math.max(nextOffset, header.baseOffset + header.lastOffsetDelta + 1);
      if (header.compression !== 0) close(start + header.sizeInBytes);
    }
    close(bytes.length);
    this.position = nextOffset;
    this.held.push(...frames);
  }

  /** True while the application's unprocessed records leave room for more. */
  get hasRoom(): boolean {
    return this.inHandBytes < MAX_DECODED_IN_HAND_BYTES;
  }

  /**
   * Returns the records of the first held frame, starting at its start offset. They now count as unprocessed. A batch
   * that cannot be decoded stays held, with everything after it. Throws if it is the first one [CRC-4].
   */
  deliver({ startOffset, bytes }: ReceivedFrame): ConsumerRecord[] {
    const records: ConsumerRecord[] = [];
    let decodedBytes = 0;
    let sizeInBytes = bytes.length;
    for (const { start, header } of batches(bytes)) {
      let decoded: ConsumerRecord[];
      try {
        decoded = decode(bytes, start);
      } catch (error) {
        if (start === 0) throw error;
        sizeInBytes = start;
        this.held.splice(1, 0, { startOffset: header.baseOffset, bytes: bytes.subarray(start) });
        break;
      }
      for (const record of decoded) {
        if (record.offset < startOffset) continue;
        decodedBytes += (record.key?.length ?? 0) + (record.value?.length ?? 0);
        records.push(record);
      }
    }
    const last = records.at(-1);
    const doneAt = last === undefined ? startOffset : last.offset + 1;
    this.inHandBytes += decodedBytes;
    this.#unprocessed.push({ doneAt, sizeInBytes, decodedBytes });
    return records;
  }

  /**
   * Returns the window bytes to credit now, for fully processed frames. Small amounts wait until half the window is due
   * or no records are unprocessed.
   */
  settle(windowBytes: number): number {
    const processed = this.processed ?? 0;
    let done = 0;
    for (const frame of this.#unprocessed) {
      if (frame.doneAt > processed) break;
      this.#returnBytes += frame.sizeInBytes;
      this.inHandBytes -= frame.decodedBytes;
      done++;
    }
    this.#unprocessed.splice(0, done);
    const isDue = this.#returnBytes * 2 >= windowBytes || this.#unprocessed.length === 0;
    if (!isDue || this.#returnBytes === 0) return 0;
    // All bytes are credited, even those of a batch beyond the window. Otherwise the window would shrink and finally
    // close.
    const bytes = this.#returnBytes;
    this.#returnBytes = 0;
    return bytes;
  }

  /** Notes that the commit in flight was answered. */
  markCommitted(): void {
    if (this.committing === null) return;
    this.committed = this.committing;
    this.committing = null;
    this.isRewind = false;
    this.isUnsettled = false;
    if (this.phase === "settling") this.phase = "active";
  }

  /** Notes that the attach was answered. Reading starts at `offset`. */
  startReading(offset: number): void {
    this.position = offset;
    if (this.sought === null) this.processed ??= offset;
    else {
      this.processed = offset;
      this.rewind();
      this.sought = null;
    }
  }

  /** Allows the next commit to go back. A commit in flight says nothing about the new position [LOP-2]. */
  rewind(): void {
    this.isRewind = true;
    this.committed = null;
    this.committing = null;
  }

  /** Starts giving up the partition. Nothing more is delivered. */
  startDraining(): void {
    this.phase = "draining";
    this.held = [];
  }

  /** Notes that a newer owner has the partition. Nothing more is delivered, and commits would be refused. */
  fence(memberEpoch: number): void {
    this.phase = "opening";
    this.sought = null;
    this.fencedEpoch = memberEpoch;
    this.isAnnounced = false;
    this.held = [];
    this.processed = this.committed;
    this.reopenAtMs = NEVER_MS;
  }

  /** Drops frames that were received and not delivered. They are requested again later. */
  dropHeld(): void {
    this.position = this.held[0]?.startOffset ?? this.position;
    this.held = [];
  }

  /** Starts a new attach, with a full window and no unprocessed records from the earlier one. */
  startAttach(attachId: number, offset: number | null): void {
    this.attachId = attachId;
    this.pingsSinceAttach = 0;
    this.position = offset;
    this.held = [];
    this.#unprocessed = [];
    this.inHandBytes = 0;
    this.#returnBytes = 0;
  }
}
