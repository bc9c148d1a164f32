// The partition sockets of a consumer. They are opened, attached at the right offset, and reopened when they break.
// Frames become records here. A frame is delivered once its partition is announced and not paused.
import { BrokerError, type ErrorName } from "../core/errors.ts";
import type { PartitionKey } from "../core/group/partition-key.ts";
import { CLOSE_FATAL, CLOSE_FENCED, errorOfClose } from "../protocol/close-codes.ts";
import type { InitialOffset } from "../protocol/group-socket.ts";
import type {
  PartitionMessage,
  ReaderErrorMessage,
  ReaderMessage,
} from "../protocol/partition-socket.ts";
import type { AssignedPartition, ReceivedFrame } from "./assigned-partition.ts";
import { backoffMs } from "./backoff.ts";
import { NEVER_MS, type Outbox } from "./effects.ts";

type Owner = Extract<ReaderMessage, { type: "attach" }>["owner"];

/** After this many failures in a row, the next one is reported, once. */
const FAILURES_TO_TELL = 2;

export interface ReadersConfig {
  readonly groupId: string | null;
  readonly windowBytes: number;
  readonly isFull?: IsFull;
}

/**
 * [SES-11] Returns true if the unprocessed records of all partitions leave no room for the next frame of this
 * partition.
 */
export type IsFull = (
  partitions: ReadonlyMap<PartitionKey, AssignedPartition>,
  partition: AssignedPartition,
) => boolean;

/** The ping interval of partition sockets. It is long, because a dead one delays only its own records. */
const PING_MS = 15_000;
/** If some partitions of an assignment are slow to attach, the others are announced without them after this time. */
const ANNOUNCE_TIMEOUT_MS = 1_000;

export class PartitionReaders {
  readonly #partitions: Map<PartitionKey, AssignedPartition>;
  readonly #outbox: Outbox;
  readonly #config: ReadersConfig;
  readonly #random: () => number;
  /**
   * Returns the proof of ownership, without the signature. Undefined for a reader without a group, null while not a
   * member.
   */
  readonly #owner: () => Owner | null;
  /** Returns the start position without a committed offset: the group's setting, else the member's. */
  readonly #initialOffset: (partition: AssignedPartition) => InitialOffset;
  readonly #byConnection = new Map<number, AssignedPartition>();
  #announceAtMs = NEVER_MS;
  #pingAtMs = NEVER_MS;
  #nextAttachId = 1;

  constructor(
    partitions: Map<PartitionKey, AssignedPartition>,
    outbox: Outbox,
    config: ReadersConfig,
    random: () => number,
    owner: () => Owner | null,
    initialOffset: (partition: AssignedPartition) => InitialOffset,
  ) {
    this.#partitions = partitions;
    this.#outbox = outbox;
    this.#config = config;
    this.#random = random;
    this.#owner = owner;
    this.#initialOffset = initialOffset;
  }

  /** This is read after every record, so it builds no list. */
  get nextTimerMs(): number {
    let earliest = Math.min(this.#announceAtMs, this.#pingAtMs);
    for (const { reopenAtMs } of this.#partitions.values())
      if (reopenAtMs < earliest) earliest = reopenAtMs;
    return earliest;
  }

  /** Adds newly assigned partitions. They are announced together once all are attached. */
  add(partitions: readonly AssignedPartition[], nowMs: number): void {
    if (partitions.length === 0) return;
    this.#announceAtMs = nowMs + ANNOUNCE_TIMEOUT_MS;
    this.#pingAtMs = Math.min(this.#pingAtMs, nowMs + PING_MS);
    for (const partition of partitions) {
      this.#partitions.set(partition.key, partition);
      this.#open(partition, nowMs);
    }
  }

  #open(partition: AssignedPartition, nowMs: number): void {
    const connection = this.#outbox.newConnection();
    partition.phase = "opening";
    partition.connection = connection;
    partition.isOpen = false;
    partition.reopenAtMs = NEVER_MS;
    partition.heardMs = nowMs;
    this.#byConnection.set(connection, partition);
    const { place, topicId } = partition;
    this.#outbox.emit({ type: "open-partition", connection, ...place, topicId });
  }

  opened(connection: number, nowMs: number): void {
    const partition = this.#byConnection.get(connection);
    if (partition === undefined) return;
    partition.isOpen = true;
    partition.heardMs = nowMs;
    this.#attachWhenDone(partition);
  }

  /**
   * [SES-5] Attaches once the application has processed its records. Otherwise each reconnect would add another window.
   */
  #attachWhenDone(partition: AssignedPartition): void {
    if (partition.phase === "opening" && partition.isOpen && !partition.hasUnprocessed) {
      this.#attach(partition, partition.position);
    }
  }

  #attach(partition: AssignedPartition, offset: number | null): void {
    const owner = this.#owner();
    if (owner === null || !partition.isOpen) return;
    partition.startAttach(this.#nextAttachId++, offset);
    partition.phase = "attaching";
    this.#outbox.send(partition.connection, {
      type: "attach",
      attachId: partition.attachId,
      offset: offset ?? this.#initialOffset(partition),
      windowBytes: this.#config.windowBytes,
      ...(owner && { owner: { ...owner, signature: partition.told.signature } }),
    });
  }

  pong(connection: number, nowMs: number): void {
    const partition = this.#byConnection.get(connection);
    if (partition === undefined) return;
    partition.heardMs = nowMs;
    partition.failures = 0;
  }

  /**
   * Handles a control message. Returns true if the partition must commit its start before it may continue, or an error
   * that a retry cannot fix.
   */
  message(connection: number, message: PartitionMessage, nowMs: number): boolean | BrokerError {
    const partition = this.#byConnection.get(connection);
    if (partition === undefined) return false;
    partition.heardMs = nowMs;
    if (message.attachId !== partition.attachId || partition.isGivingUp) return false;
    if (message.type === "error") return this.#attachFailed(partition, message, nowMs);
    if (message.type !== "attached") return false; // A newer release may send other messages.
    // All frames of the earlier attach have arrived. The part of the window that they used is credited.
    this.#giveBack(partition, this.#config.windowBytes - message.windowBytes);
    const isFirst = partition.position === null;
    partition.startReading(message.offset);
    if (isFirst && this.#initialOffset(partition) !== "earliest" && this.#config.groupId !== null) {
      partition.isUnsettled = true;
    }
    if (partition.isUnsettled && partition.hasUncommitted) {
      // [SES-7] The next owner must start where this one found the end.
      partition.phase = "settling";
      return true;
    }
    partition.isUnsettled = false;
    // There is nothing to commit until a record is processed.
    if (isFirst && !partition.isRewind) partition.committed = partition.processed;
    partition.phase = "active";
    this.proceed(nowMs);
    return false;
  }

  /** Returns the error if it is final: [ACL-7] the right to read, or to act as an owner, is missing. */
  #attachFailed(
    partition: AssignedPartition,
    { code, detail, offset }: ReaderErrorMessage,
    nowMs: number,
  ): false | BrokerError {
    if (/AUTHORIZATION/.test(code)) return new BrokerError(code, detail);
    this.#warn(partition, code, detail, offset);
    if (code !== "OFFSET_OUT_OF_RANGE") this.#reopenLater(partition, nowMs);
    else if (partition.sought !== null) {
      // A rejected seek changes nothing.
      partition.sought = null;
      this.#attach(partition, partition.processed);
    } else {
      // The position is no longer in the log (Kafka's auto.offset.reset), so reading continues at the configured end.
      partition.processed = null;
      partition.rewind();
      this.#attach(partition, null);
    }
    return false;
  }

  /** Handles a frame of record batches. */
  data(connection: number, bytes: Uint8Array, nowMs: number): void {
    const partition = this.#byConnection.get(connection);
    if (partition === undefined || partition.isGivingUp) return;
    if (partition.phase === "attaching" || partition.position === null) return; // It belongs to an earlier attach.
    partition.heardMs = nowMs;
    try {
      partition.receive(bytes);
    } catch (error) {
      this.#cannotRead(partition, error, nowMs);
      return;
    }
    this.#deliverHeld(partition, nowMs);
  }

  /**
   * [CRC-4] Handles bytes that are not batches or cannot be decoded. They are requested again, with backoff. Other
   * partitions continue.
   */
  #cannotRead(partition: AssignedPartition, error: unknown, nowMs: number): void {
    this.#warn(partition, "CORRUPT_MESSAGE", (error as Error).message);
    this.#reopenLater(partition, nowMs);
  }

  /** Reports a problem with the partition and the offset. */
  #warn(
    { topic, partition, held, position }: AssignedPartition,
    code: ErrorName,
    detail: string,
    offset = held[0]?.startOffset ?? position ?? 0,
  ): void {
    const data = { topic, partition, offset };
    this.#outbox.warn(code, `${topic}/${partition}: ${detail}`, data);
  }

  #deliver(partition: AssignedPartition, frame: ReceivedFrame): void {
    const records = partition.deliver(frame);
    if (records.length === 0) {
      this.#settle(partition);
      return;
    }
    const { place, attachId } = partition;
    this.#outbox.emit({ type: "records", ...place, attachId, records });
  }

  /** Notes that all records before `nextOffset` are processed, and credits window bytes. */
  processed(partition: AssignedPartition, nextOffset: number, nowMs: number): void {
    partition.processed = nextOffset;
    this.#settle(partition);
    this.#attachWhenDone(partition);
    this.#deliverHeld(partition, nowMs);
  }

  /** Credits the window bytes of fully processed frames, if they are due. */
  #settle(partition: AssignedPartition): void {
    const bytes = partition.settle(this.#config.windowBytes);
    if (partition.phase === "active") this.#giveBack(partition, bytes);
  }

  #giveBack(partition: AssignedPartition, bytes: number): void {
    const { connection, attachId } = partition;
    if (bytes > 0) this.#outbox.send(connection, { type: "window", attachId, bytes });
  }

  /** Announces partitions and delivers records that have become ready. */
  proceed(nowMs: number): void {
    this.#announce(nowMs);
    for (const partition of this.#partitions.values()) this.#deliverHeld(partition, nowMs);
  }

  /** Announces the ready partitions once all are ready, or after the longest wait for the others. */
  #announce(nowMs: number): void {
    const unannounced = [...this.#partitions.values()].filter(
      (partition) =>
        !partition.isAnnounced && !partition.isGivingUp && partition.fencedEpoch === null,
    );
    const ready = unannounced.filter((partition) => partition.phase === "active");
    const isLate = this.#announceAtMs <= nowMs;
    if (ready.length < unannounced.length && !isLate) return;
    this.#announceAtMs = ready.length < unannounced.length ? nowMs + ANNOUNCE_TIMEOUT_MS : NEVER_MS;
    if (ready.length === 0) return;
    for (const partition of ready) partition.isAnnounced = true;
    const positions = ready.map(({ place, processed }) => ({ ...place, offset: processed ?? 0 }));
    this.#outbox.emit({ type: "assigned", partitions: positions });
  }

  resume(partition: AssignedPartition, nowMs: number): void {
    partition.isPaused = false;
    this.#deliverHeld(partition, nowMs);
  }

  /** [SES-5] Delivers held frames while the unprocessed records leave room. The rest waits in encoded form. */
  #deliverHeld(partition: AssignedPartition, nowMs: number): void {
    const { isPaused, isAnnounced, phase, held } = partition;
    if (isPaused || !isAnnounced || phase !== "active") return;
    const { isFull } = this.#config;
    while (held.length > 0 && partition.hasRoom && !isFull?.(this.#partitions, partition)) {
      try {
        this.#deliver(partition, held[0] as ReceivedFrame);
      } catch (error) {
        // Earlier records have been delivered. Reading resumes with this batch.
        this.#cannotRead(partition, error, nowMs);
        return;
      }
      held.shift();
      partition.failures = 0;
    }
  }

  seek(partition: AssignedPartition, offset: number): void {
    partition.sought = offset;
    // Earlier deliveries no longer count from here on, even while the socket is still being opened.
    partition.startAttach(this.#nextAttachId++, offset);
    this.#attach(partition, offset);
  }

  /**
   * Notes that the socket was closed, or could not be opened. `isAlone` is true if the group's socket works. Returns an
   * error that a retry cannot fix.
   */
  closed(
    connection: number,
    code: number,
    reason: string,
    memberEpoch: number,
    isAlone: boolean,
    nowMs: number,
  ): BrokerError | null {
    const partition = this.#byConnection.get(connection);
    if (partition === undefined) return null;
    this.#byConnection.delete(connection);
    partition.connection = null;
    partition.isOpen = false;
    if (partition.isGivingUp) return null;
    const error = code === CLOSE_FATAL ? errorOfClose(reason) : null;
    // A reader without a group reads only this topic, never another one with the same name.
    const isFinal = this.#config.groupId === null && error?.code === "UNKNOWN_TOPIC_ID";
    if (error?.retriable === false || isFinal) return error;
    if (error !== null) this.#warn(partition, error.code, error.message);
    else if (isAlone && partition.failures === FAILURES_TO_TELL)
      this.#warn(partition, "NETWORK_EXCEPTION", `no connection (${code}); trying again`);
    // Being replaced (4002) is not a fence. The cause was an earlier attach of this same owner that arrived late.
    if (code === CLOSE_FENCED) this.#fenced(partition, memberEpoch);
    else this.#reopenLater(partition, nowMs);
    return null;
  }

  /** [SES-3] Handles a fence: a newer owner has the partition. The coordinator's next message decides what to do. */
  #fenced(partition: AssignedPartition, memberEpoch: number): void {
    const wasAnnounced = partition.isAnnounced;
    partition.fence(memberEpoch);
    if (wasAnnounced) {
      this.#outbox.emit({ type: "lost", partitions: [partition.place] });
      return;
    }
    this.#warn(partition, "FENCED_MEMBER_EPOCH", "a newer owner has attached");
  }

  /** [SES-1] Reopens later. Delivery continues after the last delivered record. */
  #reopenLater(partition: AssignedPartition, nowMs: number): void {
    this.close(partition);
    partition.phase = "opening";
    partition.dropHeld();
    partition.reopenAtMs = nowMs + backoffMs(partition.failures++, this.#random);
  }

  close(partition: AssignedPartition): void {
    partition.reopenAtMs = NEVER_MS;
    const { connection } = partition;
    if (connection === null) return;
    this.#outbox.emit({ type: "close", connection, code: 1000, reason: "done" });
    this.#byConnection.delete(connection);
    partition.connection = null;
    partition.isOpen = false;
  }

  /** Forgets a partition that no longer belongs to the consumer. */
  forget(partition: AssignedPartition): void {
    this.close(partition);
    this.#partitions.delete(partition.key);
  }

  tick(nowMs: number): void {
    if (this.#announceAtMs <= nowMs) this.proceed(nowMs);
    for (const partition of this.#partitions.values()) {
      if (partition.reopenAtMs <= nowMs) this.#open(partition, nowMs);
    }
    if (this.#pingAtMs <= nowMs) this.#ping(nowMs);
  }

  #ping(nowMs: number): void {
    this.#pingAtMs = this.#partitions.size === 0 ? NEVER_MS : nowMs + PING_MS;
    for (const partition of this.#partitions.values()) {
      if (partition.connection === null) continue;
      const isSilent = nowMs - partition.heardMs > 2 * PING_MS;
      // The runtime answers pings even for an object that does not answer.
      const isUnanswered = partition.phase === "attaching" && ++partition.pingsSinceAttach > 2;
      if (isSilent || isUnanswered) this.#reopenLater(partition, nowMs);
      else if (partition.isOpen)
        this.#outbox.emit({ type: "ping", connection: partition.connection });
    }
  }
}
