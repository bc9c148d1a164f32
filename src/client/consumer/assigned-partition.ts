// One partition as its consumer sees it: the socket, the position, what was delivered and not yet
// processed, and what was processed and not yet committed.

import { decodeAnyBatch } from "../../compression/codecs.ts";
import { type PartitionKey, partitionKey } from "../../core/group/partition-key.ts";
import { batches } from "../../core/log/record-batch.ts";
import type { ConsumerRecord } from "../../core/record.ts";
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

export interface ReceivedFrame {
  /** Where delivery has to go on if this frame is dropped. */
  readonly startOffset: number;
  readonly records: readonly ConsumerRecord[];
  /** Offset behind the last batch, which may lie behind the last record. */
  readonly nextOffset: number;
  readonly sizeInBytes: number;
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

  /** Received but not delivered: paused, or not announced yet. */
  held: ReceivedFrame[] = [];
  /** Delivered and not wholly processed: where each frame ends and how large it was. */
  #unprocessed: { readonly doneAt: number; readonly sizeInBytes: number }[] = [];
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

  /** The records of a frame that lie at or behind the position; moves the position behind them. */
  receive(bytes: Uint8Array): ReceivedFrame {
    const records: ConsumerRecord[] = [];
    const startOffset = this.position ?? 0;
    let nextOffset = startOffset;
    for (const { start, header } of batches(bytes)) {
      for (const record of decodeAnyBatch(bytes, start))
        if (record.offset >= startOffset) records.push(record);
      nextOffset = header.baseOffset + header.lastOffsetDelta + 1;
    }
    this.position = Math.max(startOffset, nextOffset);
    return { startOffset, records, nextOffset: this.position, sizeInBytes: bytes.length };
  }

  delivered(frame: ReceivedFrame): void {
    const last = frame.records.at(-1);
    const doneAt = last === undefined ? frame.startOffset : last.offset + 1;
    this.#unprocessed.push({ doneAt, sizeInBytes: frame.sizeInBytes });
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
      done++;
    }
    this.#unprocessed.splice(0, done);
    const isDue = this.#returnBytes * 2 >= windowBytes || this.#unprocessed.length === 0;
    if (!isDue || this.#returnBytes === 0) return 0;
    const bytes = Math.min(this.#returnBytes, windowBytes);
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

  /** To be given up: nothing more is delivered. */
  startDraining(): void {
    this.phase = "draining";
    this.held = [];
  }

  /** A newer owner has it: nothing more is delivered, and a commit would be refused. */
  fence(memberEpoch: number): void {
    this.phase = "opening";
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
    this.position = offset;
    this.held = [];
    this.#unprocessed = [];
    this.#returnBytes = 0;
  }
}
