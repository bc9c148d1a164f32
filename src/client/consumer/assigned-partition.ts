// One partition as its consumer sees it: the socket, the position, what was delivered and not yet
// processed, and what was processed and not yet committed.

import { type PartitionKey, partitionKey } from "../../core/group/partition-key.ts";
import { MAX_DECODED_IN_HAND_BYTES } from "../../core/limits.ts";
import { batches } from "../../core/log/record-batch.ts";
import type { ConsumerRecord } from "../../core/record.ts";
import { decode } from "./decoder.ts";
import type { AssignedPlace } from "./effects.ts";

/**
 * - opening: the socket is being opened, or waits to be opened again.
 * - attaching: asked to read, not yet answered.
 * - settling: reads from "latest" and first commits where that is, so that a successor starts there too.
 * - active: records flow.
 * - draining: to be given up; the application finishes what it has.
 * - releasing: the last commit is on its way; then the partition is given up.
 */
export type Phase = "opening" | "attaching" | "settling" | "active" | "draining" | "releasing";

/** Batches that are delivered together; still encoded, since compressed ones may unfold to a thousand times their size. */
export interface ReceivedFrame {
  /** Where delivery has to go on if this frame is dropped. */
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
  reopenAtMs: number | null = null;
  /** When the socket last showed a sign of life. */
  heardMs = 0;
  failures = 0;
  /** Of the last attach, never used twice: tells frames and records of an earlier one from those of this. */
  attachId = 0;
  pingsSinceAttach = 0;
  /** True once the application was told `assigned`. */
  isAnnounced = false;
  isPaused = false;
  /** The epoch a newer owner fenced; attaching again makes sense only with a later one. */
  fencedEpoch: number | null = null;

  /** The next offset expected from the socket; null until the start is known. */
  position: number | null;
  /** Everything before this offset was processed by the application. */
  processed: number | null;
  committed: number | null;
  /** What the commit in flight says, if one is in flight. */
  committing: number | null = null;
  /** The start was found by "latest" and is not committed yet. */
  isUnsettled = false;
  /** Set by a seek, until a commit has gone through. */
  isRewind = false;
  /** Where a seek that is not answered yet wants to go. */
  sought: number | null = null;

  /** Received but not delivered: paused, or not announced yet. */
  held: ReceivedFrame[] = [];
  /** Delivered and not wholly processed: where each frame ends and how large it was. */
  #unprocessed: {
    readonly doneAt: number;
    readonly sizeInBytes: number;
    readonly decodedBytes: number;
  }[] = [];
  #decodedBytes = 0;
  #returnBytes = 0;

  constructor(place: AssignedPlace, committed: number | null) {
    this.key = partitionKey(place.topicId, place.partition);
    this.topic = place.topic;
    this.topicId = place.topicId;
    this.partition = place.partition;
    this.position = committed;
    this.processed = committed;
    this.committed = committed;
  }

  get place(): { topic: string; partition: number } {
    return { topic: this.topic, partition: this.partition };
  }

  get isGivingUp(): boolean {
    return this.phase === "draining" || this.phase === "releasing";
  }

  /** True where the application got further than the group knows. */
  get hasUncommitted(): boolean {
    return this.processed !== null && this.processed !== this.committed;
  }

  /** True while the application has records in hand. */
  get hasUnprocessed(): boolean {
    return this.#unprocessed.length > 0;
  }

  /**
   * Takes a frame of the socket in and moves the position behind it. Uncompressed batches stay together, a
   * compressed one is delivered by itself. Throws CORRUPT_MESSAGE where there are no batches.
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

  /** True while what the application has in hand leaves room for more. */
  get hasRoom(): boolean {
    return this.#decodedBytes < MAX_DECODED_IN_HAND_BYTES;
  }

  /**
   * The records of the first frame held that lie at or behind its start; they are in the application's hands now. A batch
   * that cannot be decoded stays, with what is behind it; throws where it is the first [CRC-4].
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
    this.#decodedBytes += decodedBytes;
    this.#unprocessed.push({ doneAt, sizeInBytes, decodedBytes });
    return records;
  }

  /**
   * Everything before `nextOffset` is done. Returns the bytes of window to give back now: small change is
   * kept until half the window is due or nothing else is in hand.
   */
  markProcessed(nextOffset: number, windowBytes: number): number {
    this.processed = nextOffset;
    return this.settle(windowBytes);
  }

  /** Bytes of wholly processed frames that are due to be given back. */
  settle(windowBytes: number): number {
    const processed = this.processed ?? 0;
    let done = 0;
    for (const frame of this.#unprocessed) {
      if (frame.doneAt > processed) break;
      this.#returnBytes += frame.sizeInBytes;
      this.#decodedBytes -= frame.decodedBytes;
      done++;
    }
    this.#unprocessed.splice(0, done);
    const isDue = this.#returnBytes * 2 >= windowBytes || this.#unprocessed.length === 0;
    if (!isDue || this.#returnBytes === 0) return 0;
    // All of it, also what a batch went beyond the window: or the window would shrink, and close in the end.
    const bytes = this.#returnBytes;
    this.#returnBytes = 0;
    return bytes;
  }

  /** The commit in flight has been answered. */
  markCommitted(): void {
    if (this.committing === null) return;
    this.committed = this.committing;
    this.committing = null;
    if (!this.hasUncommitted) this.isRewind = false;
    this.isUnsettled = false;
    if (this.phase === "settling") this.phase = "active";
  }

  /** The attach was answered: reading begins at `offset`. */
  startReading(offset: number): void {
    this.position = offset;
    if (this.sought === null) this.processed ??= offset;
    else {
      this.processed = offset;
      this.isRewind = true;
      this.sought = null;
    }
  }

  /** To be given up: nothing more is delivered. */
  startDraining(): void {
    this.phase = "draining";
    this.held = [];
  }

  /** A newer owner has it: nothing more is delivered, and a commit would be refused. */
  fence(memberEpoch: number): void {
    this.phase = "opening";
    this.sought = null;
    this.fencedEpoch = memberEpoch;
    this.isAnnounced = false;
    this.held = [];
    this.processed = this.committed;
    this.reopenAtMs = null;
  }

  /** Forgets what was received and not delivered; it is received again later. */
  dropHeld(): void {
    this.position = this.held[0]?.startOffset ?? this.position;
    this.held = [];
  }

  /** A new attach begins with a full window and nothing in hand from the earlier one. */
  startAttach(attachId: number, offset: number | null): void {
    this.attachId = attachId;
    this.pingsSinceAttach = 0;
    this.position = offset;
    this.held = [];
    this.#unprocessed = [];
    this.#decodedBytes = 0;
    this.#returnBytes = 0;
  }
}
