// One partition as its consumer sees it: the socket, the position, records delivered but not yet
// processed, and records processed but not yet committed.

import { type PartitionKey, partitionKey } from "../core/group/partition-key.ts";
import { MAX_DECODED_IN_HAND_BYTES } from "../core/limits.ts";
import { batches } from "../core/log/record-batch.ts";
import type { ConsumerRecord } from "../core/record.ts";
import type { AssignedPartition as Assignment } from "../protocol/group-socket.ts";
import { decode } from "./decoder.ts";
import { NEVER_MS } from "./effects.ts";
import type { AssignedPlace } from "./places.ts";

/**
 * - opening: the socket is being opened, or waits to be opened again.
 * - attaching: reading was requested and is not yet answered.
 * - settling: it reads from "latest" and first commits that position, so that a successor starts there too.
 * - active: records flow.
 * - draining: it must be given up, and the application finishes the records it has.
 * - releasing: the last commit is under way, and then the partition is given up.
 */
export type Phase = "opening" | "attaching" | "settling" | "active" | "draining" | "releasing";

/**
 * Batches that are delivered together. They are still encoded, since
 * compressed ones may unfold to a thousand times their size.
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
  /** When the socket last showed a sign of life. */
  heardMs = 0;
  failures = 0;
  /** The id of the last attach, never used twice. It tells earlier frames and records from current ones. */
  attachId = 0;
  pingsSinceAttach = 0;
  /** True once the application was told `assigned`. */
  isAnnounced = false;
  isPaused = false;
  /** The epoch that a newer owner fenced. Attaching again makes sense only with a later one. */
  fencedEpoch: number | null = null;

  /** The next offset expected from the socket. Null until the start is known. */
  position: number | null;
  /** The application has processed everything before this offset. */
  processed: number | null;
  /** Null while the group has committed nothing, or what it has no longer counts. */
  committed: number | null;
  /** When the application was last done with a record. */
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
  /** Frames delivered and not wholly processed: the end and the size of each. */
  #unprocessed: {
    readonly doneAt: number;
    readonly sizeInBytes: number;
    readonly decodedBytes: number;
  }[] = [];
  /** Bytes of the records in the application's hands. */
  inHandBytes = 0;
  #returnBytes = 0;

  /** What the group said of it in its last assignment. The signature belongs to the epoch of that message [ATT-5]. */
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

  /** True if the application got further than the group knows. */
  get hasUncommitted(): boolean {
    return this.processed !== null && this.processed !== this.committed;
  }

  /** True while the application has records in hand. */
  get hasUnprocessed(): boolean {
    return this.#unprocessed.length > 0;
  }

  /**
   * Takes in a frame of the socket and moves the position past it. Uncompressed batches stay together. A compressed one
   * is delivered by itself. Throws CORRUPT_MESSAGE if the bytes are not batches.
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

  /** True while the application's records in hand leave room for more. */
  get hasRoom(): boolean {
    return this.inHandBytes < MAX_DECODED_IN_HAND_BYTES;
  }

  /**
   * Returns the records of the first held frame that are at or after its start. They are now in the application's
   * hands. A batch that cannot be decoded stays held, with everything after it. Throws if it is the first [CRC-4].
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
   * Returns the bytes of window to give back now, for frames that are wholly processed. Small amounts are kept until
   * half the window is due or nothing else is in hand.
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
    // All of it is given back, even bytes of a batch beyond the window.
    // Otherwise the window would shrink, and finally close.
    const bytes = this.#returnBytes;
    this.#returnBytes = 0;
    return bytes;
  }

  /** Notes that the commit in flight has been answered. */
  markCommitted(): void {
    if (this.committing === null) return;
    this.committed = this.committing;
    this.committing = null;
    this.isRewind = false;
    this.isUnsettled = false;
    if (this.phase === "settling") this.phase = "active";
  }

  /** Notes that the attach was answered. Reading begins at `offset`. */
  startReading(offset: number): void {
    this.position = offset;
    if (this.sought === null) this.processed ??= offset;
    else {
      this.processed = offset;
      this.rewind();
      this.sought = null;
    }
  }

  /** Lets the next commit go back. One that is in flight says nothing of what comes now [LOP-2]. */
  rewind(): void {
    this.isRewind = true;
    this.committed = null;
    this.committing = null;
  }

  /** Begins to give the partition up. Nothing more is delivered. */
  startDraining(): void {
    this.phase = "draining";
    this.held = [];
  }

  /** Notes that a newer owner has the partition. Nothing more is delivered, and a commit would be refused. */
  fence(memberEpoch: number): void {
    this.phase = "opening";
    this.sought = null;
    this.fencedEpoch = memberEpoch;
    this.isAnnounced = false;
    this.held = [];
    this.processed = this.committed;
    this.reopenAtMs = NEVER_MS;
  }

  /** Forgets frames that were received and not delivered. They are received again later. */
  dropHeld(): void {
    this.position = this.held[0]?.startOffset ?? this.position;
    this.held = [];
  }

  /** Begins a new attach, with a full window and nothing in hand from the earlier one. */
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
