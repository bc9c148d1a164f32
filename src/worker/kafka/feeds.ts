// The partitions that a connection reads. A fetch does not ask the partition. The partition pushes, as to any
// tail reader, into a feed of this connection, within a window, and the feed answers the fetch. So a partition
// without news sleeps however often it is fetched from, and a partition with a backlog has the next answer
// ready [KFK-4].

import { WORKER } from "../../core/access/caller.ts";
import { isWithin } from "../../core/elapsed.ts";
import { BrokerError, ERRORS, type ErrorName } from "../../core/errors.ts";
import type { Spare } from "../../core/ledger.ts";
import {
  MAX_FEED_BYTES,
  MAX_FEEDS_BYTES,
  MAX_KAFKA_FEEDS,
  MIN_FEED_BYTES,
} from "../../core/limits.ts";
import { batches } from "../../core/log/record-batch.ts";
import { brokerError } from "../../core/platform-errors.ts";
import type { Env } from "../../env.ts";
import type { Socket } from "../../member/transport.ts";
import { memory } from "../../memory.ts";
import { CLOSE_FATAL, errorOfClose } from "../../protocol/close-codes.ts";
import type { PartitionMessage, ReaderMessage } from "../../protocol/partition-socket.ts";
import { beginOf, partitionAt } from "../edge/metadata.ts";
import { stubTransport } from "../edge/stub-transport.ts";
import { after } from "../edge/timer.ts";
import { hasRoomForFeed } from "./feed-room.ts";

/** A feed that was not fetched from for this long is closed. The client reads elsewhere. */
const IDLE_MS = 60_000;

export interface Taken {
  readonly error: ErrorName | null;
  readonly highWatermark: number;
  readonly logStartOffset: number;
  /** Whole batches, one after another. The first may begin before the requested offset. */
  readonly records: readonly Uint8Array[];
  readonly bytes: number;
}

/** The memory that all feeds of a connection share. */
export interface FeedMemory {
  hasRoomFor(bytes: number): boolean;
  /** True if some partitions of the current fetch are waiting for room. */
  readonly isCrowded: boolean;
  hold(bytes: number): void;
}

/** The feeds of one connection, and the news that it is waiting for. */
export class Feeds implements FeedMemory, Spare {
  readonly #env: Env;
  readonly #feeds = new Map<string, Feed>();
  /**
   * The ids of topics that are fetched by name. While a feed is healthy, the cluster need not be asked for the
   * id.
   */
  readonly #ids = new Map<string, string>();
  /**
   * The current wait for news. The waiting request makes it, because a promise ends with the invocation that
   * made it.
   */
  #news: PromiseWithResolvers<void> | null = null;
  readonly #holding = memory.feeds.add(this);
  #fetchedAtMs = 0;
  #stopSweep: (() => void) | null = null;
  #isClosed = false;

  constructor(env: Env) {
    this.#env = env;
  }

  get heldBytes(): number {
    return this.#holding.bytes;
  }

  /**
   * [BND-13] Releases all bytes, because others need the room. A fetch that waits for news ends, and its client
   * asks again.
   */
  drop(): void {
    for (const feed of this.#feeds.values()) if (feed.bytes > 0) feed.discard();
    this.#wake();
  }

  /**
   * Returns the partition's feed, from `offset` on. @throws
   * BrokerError if there are too many feeds or the client has gone
   */
  of(topicId: string, partition: number, offset: number, nowMs: number): Feed {
    if (this.#isClosed) throw new BrokerError("NETWORK_EXCEPTION", "the client has gone");
    const place = `${topicId}/${partition}`;
    let feed = this.#feeds.get(place);
    if (feed === undefined || !feed.canServe(offset)) {
      if (feed === undefined && this.#feeds.size >= MAX_KAFKA_FEEDS)
        throw new BrokerError(
          "THROTTLING_QUOTA_EXCEEDED",
          `this connection reads ${MAX_KAFKA_FEEDS} partitions already, the bound`,
        );
      feed?.close();
      feed = new Feed(this.#env, topicId, partition, this, () => this.#wake());
      this.#feeds.set(place, feed);
      this.#stopSweep ??= after(IDLE_MS, () => this.#sweep());
    }
    feed.usedAtMs = nowMs;
    this.#fetchedAtMs = nowMs;
    if (!this.hasRoomFor(1)) this.#makeRoom(nowMs);
    const share = Math.floor(MAX_FEEDS_BYTES / this.#feeds.size);
    feed.readFrom(offset, Math.min(Math.max(share, MIN_FEED_BYTES), MAX_FEED_BYTES));
    return feed;
  }

  hasRoomFor(bytes: number): boolean {
    return hasRoomForFeed(this.#holding, bytes);
  }

  get isCrowded(): boolean {
    for (const feed of this.#feeds.values())
      if (feed.isWaiting && feed.usedAtMs === this.#fetchedAtMs) return true;
    return false;
  }

  hold(bytes: number): void {
    this.#holding.set(this.#holding.bytes + bytes);
  }

  /** Lets the partitions push as many bytes again as the last answer took from their feeds. */
  giveBack(): void {
    for (const feed of this.#feeds.values()) feed.giveBack();
  }

  /** Releases the bytes of partitions that the current fetch does not ask for. They can be pushed again. */
  #makeRoom(nowMs: number): void {
    for (const feed of this.#feeds.values()) if (feed.usedAtMs !== nowMs) feed.discard();
  }

  /** True if there is a feed of this partition and it has no error. */
  has(topicId: string, partition: number): boolean {
    return this.#feeds.get(`${topicId}/${partition}`)?.error === null;
  }

  /** Returns the id of the topic with this name when it was last looked up, or null if it is not known. */
  knownId(name: string, partition: number): string | null {
    return this.#ids.get(`${name}/${partition}`) ?? null;
  }

  setId(name: string, partition: number, topicId: string): void {
    const place = `${name}/${partition}`;
    // Ids of partitions that are no longer read are forgotten once a minute.
    if (this.#ids.size < MAX_KAFKA_FEEDS || this.#ids.has(place)) this.#ids.set(place, topicId);
  }

  /** Resolves when any feed has news, or when the time is over. */
  async news(waitMs: number): Promise<void> {
    this.#news ??= Promise.withResolvers();
    const late = Promise.withResolvers<void>();
    const stop = after(waitMs, late.resolve);
    await Promise.race([this.#news.promise, late.promise]);
    stop();
  }

  close(): void {
    this.#isClosed = true;
    this.#stopSweep?.();
    this.closeAll();
  }

  /**
   * Stops all pushing, because the session has ended [SASL-5]. A waiting fetch ends. The next one starts the
   * feeds anew.
   */
  closeAll(): void {
    for (const feed of this.#feeds.values()) feed.close();
    this.#feeds.clear();
    this.#ids.clear();
    this.#wake();
  }

  /** Ends the wait. Another connection may call this when it needs the room. */
  #wake(): void {
    this.#news?.resolve();
    this.#news = null;
  }

  #sweep(): void {
    const nowMs = Date.now();
    for (const [place, feed] of this.#feeds) {
      if (feed.usedAtMs > nowMs) feed.usedAtMs = nowMs; // The clock was set back.
      if (isWithin(feed.usedAtMs, IDLE_MS, nowMs)) continue;
      feed.close();
      this.#feeds.delete(place);
    }
    for (const [name, topicId] of this.#ids) {
      const partition = name.slice(name.lastIndexOf("/"));
      if (!this.#feeds.has(`${topicId}${partition}`)) this.#ids.delete(name);
    }
    this.#stopSweep = this.#feeds.size === 0 ? null : after(IDLE_MS, () => this.#sweep());
  }
}

/** A pushed run of batches, and the end of each batch. */
interface Frame {
  readonly bytes: Uint8Array;
  readonly ends: readonly { readonly position: number; readonly nextOffset: number }[];
}

/** One partition's pushed batches. */
export class Feed {
  readonly #env: Env;
  readonly #topicId: string;
  readonly #partition: number;
  readonly #memory: FeedMemory;
  readonly #wake: () => void;
  readonly #socket: Socket;
  #isOpen = false;
  #attachId = 0;
  #isAttached = false;
  /** True if there was no room. Batches are then ignored until the next fetch restarts the feed. */
  isWaiting = false;
  /**
   * True if a fetch has waited for this feed in vain. Later fetches do not wait for it until it has news
   * [KFK-26].
   */
  isLate = false;
  /** The next offset to hand out. The pushed batches start there. */
  #offset = -1;
  #windowBytes = 0;
  #frames: Frame[] = [];
  #highWatermark = -1;
  #logStartOffset = -1;
  usedAtMs = 0;
  /** Once this is set, nothing more is pushed. The next fetch opens another feed. */
  error: ErrorName | null = null;
  #isTold = false;
  /** The bytes that can be handed out. */
  bytes = 0;
  /** The bytes that were handed out and are missing from the window. */
  #takenBytes = 0;

  constructor(env: Env, topicId: string, partition: number, memory: FeedMemory, wake: () => void) {
    this.#env = env;
    this.#topicId = topicId;
    this.#partition = partition;
    this.#memory = memory;
    this.#wake = wake;
    this.#socket = stubTransport(env, WORKER).openPartition(
      { topic: "", topicId, partition },
      {
        opened: () => {
          this.#isOpen = true;
          if (!this.isWaiting) this.#attach();
        },
        text: (text) => this.#outcomeOfError(JSON.parse(text) as PartitionMessage),
        bytes: (bytes) => this.#pushed(bytes),
        closed: (code, reason) => this.#closed(code, reason),
      },
    );
  }

  /** True if there is something to hand out, or certainly nothing will come. */
  get isSettled(): boolean {
    const isAtEnd = this.#isAttached && this.#offset >= this.#highWatermark;
    return this.error !== null || this.bytes > 0 || isAtEnd || this.isWaiting;
  }

  /** True if the partition has pushed all that it may, and may have more. */
  get isFull(): boolean {
    return this.#isAttached && this.bytes + this.#takenBytes >= this.#windowBytes;
  }

  /**
   * False if nothing more is pushed, and no pushed batches from `offset` on are left. A final error must be
   * reported first, because a fetch may have been answered before the error came.
   */
  canServe(offset: number): boolean {
    if (this.error === null) return true;
    const isUntold = !this.#isTold && !ERRORS[this.error].retriable;
    return offset === this.#offset && (this.bytes > 0 || isUntold);
  }

  /** Continues where the last fetch ended, or restarts at another offset. */
  readFrom(offset: number, windowBytes: number): void {
    if (offset === this.#offset && !this.isWaiting) return;
    this.discard();
    this.#offset = offset;
    if (!this.#memory.hasRoomFor(1)) return;
    this.isWaiting = false;
    this.#windowBytes = windowBytes;
    if (this.#isOpen) this.#attach();
  }

  /** Releases the pushed batches and takes nothing more. */
  discard(): void {
    this.#memory.hold(-this.bytes);
    this.bytes = 0;
    this.#takenBytes = 0;
    this.#frames = [];
    this.#isAttached = false;
    this.#attachId++;
    this.isWaiting = true;
  }

  /**
   * Returns whole batches, up to `maxBytes`, but at least one if `isFirst`. The partition may push as many
   * bytes again after `giveBack`.
   */
  take(maxBytes: number, isFirst: boolean): Taken {
    const records: Uint8Array[] = [];
    let taken = 0;
    for (let frame = this.#frames[0]; frame !== undefined; frame = this.#frames[0]) {
      const room = maxBytes - taken;
      const isForced = isFirst && taken === 0;
      const fitting = frame.ends.filter(
        ({ position }, i) => position <= room || (isForced && i === 0),
      );
      const last = fitting.at(-1);
      if (last === undefined) break;
      records.push(frame.bytes.subarray(0, last.position));
      taken += last.position;
      this.#offset = last.nextOffset;
      if (fitting.length === frame.ends.length) this.#frames.shift();
      else this.#frames[0] = rest(frame, fitting.length, last.position);
    }
    this.bytes -= taken;
    this.#memory.hold(-taken);
    // If others wait for room, this feed gets in line with them.
    if (taken > 0 && this.bytes === 0 && this.#memory.isCrowded) this.discard();
    else this.#takenBytes += taken;
    // [CRC-2] Batches that came before an error are handed out first. Clients ignore batches that come with an
    // error.
    const error = taken > 0 || this.bytes > 0 ? null : this.error;
    this.#isTold ||= error !== null;
    return {
      error,
      highWatermark: this.#highWatermark,
      logStartOffset: this.#logStartOffset,
      records,
      bytes: taken,
    };
  }

  close(): void {
    this.discard();
    this.error ??= "NETWORK_EXCEPTION";
    this.#socket.close(1000, "done");
  }

  /**
   * Gives the window back for the batches that were taken. Called when the answer is on its way: the
   * partition's work for the next answer must not delay it.
   */
  giveBack(): void {
    const bytes = this.#takenBytes;
    this.#takenBytes = 0;
    if (bytes > 0) this.#giveBack(bytes);
  }

  #giveBack(bytes: number): void {
    this.#send({ type: "window", attachId: this.#attachId, bytes });
  }

  #attach(): void {
    const [attachId, offset, windowBytes] = [this.#attachId, this.#offset, this.#windowBytes];
    this.#send({ type: "attach", attachId, offset, windowBytes });
  }

  #send(message: ReaderMessage): void {
    this.#socket.send(JSON.stringify(message));
  }

  #outcomeOfError(message: PartitionMessage): void {
    if (message.attachId !== this.#attachId) return; // It belongs to an earlier attach.
    this.isLate = false;
    if (message.type === "attached") {
      this.#isAttached = true;
      // Bytes in flight for an earlier attach have come by now, and were dropped.
      const inFlight = this.#windowBytes - message.windowBytes;
      if (inFlight > 0) this.#giveBack(inFlight);
    } else if (message.type === "error") this.error = message.code;
    this.#highWatermark = message.highWatermark ?? this.#highWatermark;
    this.#logStartOffset = message.logStartOffset ?? this.#logStartOffset;
    if (this.error !== null) this.#socket.close(1000, "done");
    this.#wake();
  }

  #pushed(bytes: Uint8Array): void {
    if (!this.#isAttached) return; // They belong to an earlier attach.
    this.isLate = false;
    if (!this.#memory.hasRoomFor(bytes.length)) {
      this.discard();
      this.#wake();
      return;
    }
    try {
      const ends = Array.from(batches(bytes), ({ start, header }) => ({
        position: start + header.sizeInBytes,
        nextOffset: header.baseOffset + header.lastOffsetDelta + 1,
      }));
      this.#frames.push({ bytes, ends });
      this.#env.meter?.did("batch", ends.length);
      this.bytes += bytes.length;
      this.#memory.hold(bytes.length);
      this.#highWatermark = Math.max(this.#highWatermark, ends.at(-1)?.nextOffset ?? 0);
    } catch (error) {
      this.error = brokerError(error).code;
      this.#socket.close(1000, "done");
    }
    this.#wake();
  }

  #closed(code: number, reason: string): void {
    if (this.error !== null) return;
    if (code === CLOSE_FATAL) this.#fail(errorOfClose(reason).code);
    else if (this.#isAttached) this.#fail("NETWORK_EXCEPTION");
    else void this.#ask();
  }

  /** The socket was refused. A call finds out why. */
  async #ask(): Promise<void> {
    try {
      const bounds = await partitionAt(this.#env, this.#topicId, this.#partition).offsets({
        begin: beginOf(this.#env, this.#topicId, this.#partition),
      });
      this.#fail(bounds.ok ? "NETWORK_EXCEPTION" : bounds.error);
    } catch {
      this.#fail("NETWORK_EXCEPTION");
    }
  }

  #fail(error: ErrorName): void {
    this.error = error;
    this.#wake();
  }
}

function rest({ bytes, ends }: Frame, count: number, position: number): Frame {
  return {
    bytes: bytes.subarray(position),
    ends: ends.slice(count).map((each) => ({ ...each, position: each.position - position })),
  };
}
