// The consumer: a member of a group, as a pure state machine. It has no socket, clock or timer. Events come in as
// method calls with the time, actions go out as effects (`takeEffects`), and `nextTimerMs` is the time of the next
// `tick`. The SDK drives it over network sockets. The Worker drives it over Durable Object stubs for plain WebSocket
// clients.
//
//   idle ──start──▶ connecting ──opened──▶ joining ──assignment──▶ joined ──close──▶ closing ──▶ closed
//                       ▲                     │  ▲                    │
//                       └──backoff─── waiting ◀──┴── socket lost ─────┘
//
// This file handles the membership: join, assignment, revocation, loss, leave. The group's socket is in
// group-connection.ts, the partitions' sockets in partition-readers.ts, commits in committer.ts.
import { BrokerError } from "../core/errors.ts";
import { byTopics, type PartitionKey, partitionKey } from "../core/group/partition-key.ts";
import { DEFAULT_REBALANCE_TIMEOUT_MS } from "../core/limits.ts";
import type { TopicPartition } from "../core/record.ts";
import {
  CLOSE_CLIENT_LOST,
  CLOSE_FATAL,
  CLOSE_REPLACED,
  CLOSE_SESSION_ENDED,
  errorOfClose,
} from "../protocol/close-codes.ts";
import type {
  AssignmentMessage,
  CoordinatorMessage,
  ErrorMessage,
  InitialOffset,
} from "../protocol/group-socket.ts";
import { heartbeatIntervalMs } from "../protocol/heartbeat.ts";
import type { PartitionMessage } from "../protocol/partition-socket.ts";
import { AssignedPartition } from "./assigned-partition.ts";
import { type Commit, Committer } from "./committer.ts";
import { type ConsumerEffect, NEVER_MS, Outbox } from "./effects.ts";
import { GroupConnection } from "./group-connection.ts";
import { type IsFull, PartitionReaders } from "./partition-readers.ts";
import type { ReaderPlace } from "./places.ts";
import { RENEWED } from "./transport.ts";

export interface ConsumerCoreConfig {
  /** Null for a reader without a group. It reads all of `partitions` and makes no commits. */
  readonly groupId: string | null;
  readonly memberId: string;
  readonly topics: readonly string[];
  /** RE2. All topics whose whole names match are subscribed to as well. */
  readonly topicPattern?: string | undefined;
  /** The partitions that a reader without a group reads. */
  readonly partitions?: readonly ReaderPlace[] | undefined;
  readonly instanceId: string | null;
  readonly clientId: string | null;
  readonly sessionTimeoutMs: number;
  /** The start position in partitions without a committed offset. */
  readonly from: InitialOffset;
  /** Bytes in flight per partition. */
  readonly windowBytes: number;
  /**
   * Bounds the application's unprocessed records over all partitions. Without it, there is only a bound for each
   * partition.
   */
  readonly isFull?: IsFull;
  /**
   * The longest time before a processed record is committed. 0 commits at once, with one commit in flight at a time.
   * Infinity commits only on request.
   */
  readonly commitIntervalMs: number;
  /** [PLN-2] True commits the first record processed after an interval without commits at once. */
  readonly commitsFirstAtOnce?: boolean;
}

/** The codes after which the membership is over and a new one can start. */
const REJOIN: ReadonlySet<string> = new Set(["UNKNOWN_MEMBER_ID", "FENCED_MEMBER_EPOCH"]);

type State = "idle" | "connecting" | "joining" | "joined" | "waiting" | "closing" | "closed";

export class ConsumerCore {
  readonly #config: ConsumerCoreConfig;
  readonly #outbox = new Outbox();
  readonly #partitions = new Map<PartitionKey, AssignedPartition>();
  readonly #group: GroupConnection;
  readonly #readers: PartitionReaders;
  readonly #committer: Committer;
  #state: State = "idle";
  /** The coordinator's last assignment, or null while not a member. */
  #assignment: AssignmentMessage | null = null;
  /**
   * The start of the session: the time at which the last answered ping or join was sent. The coordinator counts from
   * its arrival, so the consumer never keeps its partitions longer than the coordinator does.
   */
  #sessionSinceMs = 0;
  #joinSentMs = 0;
  /** The id of the last join sent. The answer to an earlier join does not reflect the partitions given up since. */
  #joinRequestId = 0;
  /** The epoch of the last commit sent. */
  #commitEpoch = 0;
  #hasAnnouncedEmpty = false;
  /** The topics that were reported as missing. */
  readonly #missingTopics = new Set<string>();
  /** Partitions released after a join that claimed them was sent and before it was answered. */
  #unsaid: AssignedPartition[] = [];

  constructor(config: ConsumerCoreConfig, random: () => number) {
    this.#config = config;
    const heartbeatMs = heartbeatIntervalMs(config.sessionTimeoutMs);
    this.#group = new GroupConnection(this.#outbox, random, heartbeatMs);
    this.#readers = new PartitionReaders(
      this.#partitions,
      this.#outbox,
      config,
      random,
      () => this.#owner(),
      ({ told }) => (told.isAdded ? "earliest" : (this.#assignment?.initialOffset ?? config.from)),
    );
    this.#committer = new Committer(this.#partitions, this.#outbox, config, (commit) =>
      this.#sendCommit(commit),
    );
  }

  takeEffects(): readonly ConsumerEffect[] {
    return this.#outbox.take();
  }

  /** The earliest time at which `tick` has something to do, or null. */
  get nextTimerMs(): number | null {
    if (this.#state === "closed") return null;
    const atMs = Math.min(
      this.#group.nextTimerMs,
      this.#readers.nextTimerMs,
      this.#committer.nextTimerMs,
      this.sessionEndMs,
    );
    return atMs < NEVER_MS ? atMs : null;
  }

  /** The partitions assigned now. */
  get assignment(): TopicPartition[] {
    const held = [...this.#partitions.values()].filter((p) => p.isAnnounced && !p.isGivingUp);
    return held.map((partition) => partition.place);
  }

  start(nowMs: number): void {
    if (this.#state !== "idle") return;
    if (this.#config.groupId !== null) {
      this.#connect(nowMs);
      return;
    }
    this.#state = "joined";
    this.add(this.#config.partitions ?? [], nowMs);
  }

  /** [STR-7] Adds partitions to a reader without a group. Returns false if it is not reading. */
  add(places: readonly ReaderPlace[], nowMs: number): boolean {
    const isReading = this.#state === "joined";
    const added = places.map((place) => new AssignedPartition(place, place.offset ?? null));
    if (isReading) this.#readers.add(added, nowMs);
    return isReading;
  }

  /** The time at which the group gives the member's partitions to others, unless the coordinator answers before. */
  get sessionEndMs(): number {
    if (this.#assignment === null || this.#state === "closing") return NEVER_MS;
    return this.#sessionSinceMs + this.#config.sessionTimeoutMs;
  }

  // Joining.

  #connect(nowMs: number): void {
    this.#state = "connecting";
    this.#group.connect(nowMs);
  }

  /** Notes that the socket numbered `connection` is open. */
  opened(connection: number, nowMs: number): void {
    if (connection !== this.#group.connection) {
      this.#readers.opened(connection, nowMs);
      return;
    }
    this.#group.opened(nowMs);
    this.#state = "joining";
    this.#sendJoin(nowMs);
  }

  /** Sends a join. Epoch 0 joins anew. The last epoch resumes the membership with its remaining partitions [GRP-4]. */
  #sendJoin(nowMs: number): void {
    this.#unsaid = [];
    this.#joinSentMs = nowMs;
    this.#joinRequestId++;
    this.#outbox.send(this.#group.connection, {
      type: "join",
      requestId: this.#joinRequestId,
      memberId: this.#config.memberId,
      memberEpoch: this.#assignment?.memberEpoch ?? 0,
      instanceId: this.#config.instanceId,
      clientId: this.#config.clientId,
      topics: [...this.#config.topics],
      topicPattern: this.#config.topicPattern ?? null,
      sessionTimeoutMs: this.#config.sessionTimeoutMs,
      rebalanceTimeoutMs: DEFAULT_REBALANCE_TIMEOUT_MS,
      owned: byTopics([...this.#partitions.values()].filter((p) => p.fencedEpoch === null)),
    });
  }

  #rejoin(nowMs: number): void {
    this.#loseAll();
    this.#state = "joining";
    this.#sendJoin(nowMs);
  }

  /** Notes that a heartbeat was answered. */
  pong(connection: number, nowMs: number): void {
    if (connection !== this.#group.connection) {
      this.#readers.pong(connection, nowMs);
      return;
    }
    const sentMs = this.#group.pong(nowMs);
    if (sentMs !== null && this.#state === "joined") this.#sessionSinceMs = sentMs;
  }

  /** Handles a control message of the socket numbered `connection`. */
  message(connection: number, message: CoordinatorMessage | PartitionMessage, nowMs: number): void {
    if (connection === this.#group.connection) {
      this.#group.heard(nowMs);
      this.#coordinatorMessage(message as CoordinatorMessage, nowMs);
      return;
    }
    const outcome = this.#readers.message(connection, message as PartitionMessage, nowMs);
    if (outcome === true) this.#committer.commitNow(nowMs);
    else if (outcome !== false) this.#fatal(outcome);
  }

  #coordinatorMessage(message: CoordinatorMessage, nowMs: number): void {
    if (message.type === "assignment") this.#assigned(message, nowMs);
    else if (message.type === "error") this.#refused(message, nowMs);
    else if (message.type === "committed" && this.#committer.answered(message))
      this.#afterCommit(nowMs);
  }

  #refused(message: ErrorMessage, nowMs: number): void {
    const { code, detail, requestId } = message;
    if (requestId !== undefined) {
      if (!this.#committer.refused(requestId)) return;
      if (message.retriable) {
        // The newer epoch was sent before this error, on the same socket. The commit is sent again with it.
        if (this.#assignment?.memberEpoch !== this.#commitEpoch) this.#committer.commitNow(nowMs);
        else this.#committer.retryLater(nowMs);
        return;
      }
    }
    if (this.#state === "closing") this.#finishClosing();
    else if (REJOIN.has(code)) this.#rejoin(nowMs);
    else this.#failed(new BrokerError(code, detail, { retriable: message.retriable }), nowMs);
  }

  /** Handles an error of the coordinator: ends the consumer, or reconnects if that may help. */
  #failed(error: BrokerError, nowMs: number): void {
    if (!error.retriable) {
      this.#fatal(error);
      return;
    }
    this.#outbox.warn(error.code, error.message);
    this.#group.drop(CLOSE_CLIENT_LOST, error.code);
    this.#waitToReconnect(nowMs);
  }

  // The assignment.

  #assigned(message: AssignmentMessage, nowMs: number): void {
    if (this.#state === "joining" && message.requestId !== this.#joinRequestId) return;
    this.#assignment = message;
    if (this.#state === "closing") return;
    if (this.#state === "joining") this.#sessionSinceMs = this.#joinSentMs;
    this.#state = "joined";
    this.#group.succeeded();
    this.#group.heartbeatMs = message.heartbeatIntervalMs;
    this.#sendRevoked(this.#unsaid);
    this.#unsaid = [];
    this.#applyAssignment(message, nowMs);
    this.#committer.schedule(nowMs);
  }

  #applyAssignment(message: AssignmentMessage, nowMs: number): void {
    for (const topic of message.missingTopics) this.#warnOnce(topic);
    const wanted = new Set<PartitionKey>();
    const added: AssignedPartition[] = [];
    for (const place of message.partitions) {
      const key = partitionKey(place.topicId, place.partition);
      wanted.add(key);
      const held = this.#partitions.get(key);
      // A later attach uses the epoch of this message, so it needs the signature of this message too.
      if (held !== undefined) held.told = place;
      const isRegained = (held?.fencedEpoch ?? message.memberEpoch) < message.memberEpoch;
      if (held === undefined || isRegained)
        added.push(new AssignedPartition(place, place.committedOffset));
    }
    this.#giveUp([...this.#partitions.values()].filter((partition) => !wanted.has(partition.key)));
    this.#readers.add(added, nowMs);
    const isEmpty = wanted.size === 0 && this.#partitions.size === 0;
    if (message.state === "STABLE" && isEmpty && !this.#hasAnnouncedEmpty) {
      this.#hasAnnouncedEmpty = true;
      this.#outbox.emit({ type: "assigned", partitions: [] });
    }
  }

  #warnOnce(topic: string): void {
    if (this.#missingTopics.has(topic)) return;
    this.#missingTopics.add(topic);
    const detail = `topic ${topic} does not exist; the consumer waits for it`;
    this.#outbox.warn("UNKNOWN_TOPIC_OR_PARTITION", detail);
  }

  /** Returns the owner for attaching a partition socket. Undefined without a group, null while not a member. */
  #owner() {
    const { groupId } = this.#config;
    if (groupId === null) return undefined;
    if (this.#assignment === null) return null;
    const { incarnation, memberEpoch, memberNumber, sessionTimeoutMs } = this.#assignment;
    return { group: groupId, incarnation, memberEpoch, memberNumber, sessionTimeoutMs };
  }

  /** [SES-2] Lets the application finish its unprocessed records. `released` continues after that. */
  #giveUp(partitions: readonly AssignedPartition[]): void {
    const announced: TopicPartition[] = [];
    const unused: AssignedPartition[] = [];
    for (const partition of partitions) {
      if (partition.isGivingUp) continue;
      this.#readers.close(partition);
      if (partition.isAnnounced) {
        partition.startDraining();
        announced.push(partition.place);
      } else {
        this.#readers.forget(partition);
        unused.push(partition);
      }
    }
    if (announced.length > 0) this.#outbox.emit({ type: "revoked", partitions: announced });
    this.#sendRevoked(unused);
  }

  /**
   * Notes that the application has released a revoked partition. Its records are committed, and then the coordinator is
   * notified.
   */
  released(place: TopicPartition): void {
    const partition = this.#find(place);
    if (partition?.phase !== "draining") return;
    partition.phase = "releasing";
    this.#committer.commitNow();
    this.#finishReleases();
  }

  #finishReleases(): void {
    const done = [...this.#partitions.values()].filter(
      (partition) => partition.phase === "releasing" && !partition.hasUncommitted,
    );
    for (const partition of done) this.#readers.forget(partition);
    this.#sendRevoked(done);
  }

  #sendRevoked(partitions: readonly AssignedPartition[]): void {
    if (partitions.length === 0) return;
    if (this.#state !== "joined") {
      // A join in flight has claimed these. A later join will not.
      if (this.#state === "joining") this.#unsaid.push(...partitions);
      return;
    }
    const message = { type: "revoked", partitions: byTopics(partitions) } as const;
    this.#outbox.send(this.#group.connection, message);
  }

  // Records.

  /** Handles a frame of record batches of the socket numbered `connection`. */
  data(connection: number, bytes: Uint8Array, nowMs: number): void {
    this.#readers.data(connection, bytes, nowMs);
  }

  /** Notes that the application has processed all records before `nextOffset`. */
  processed(place: TopicPartition, nextOffset: number, attachId: number, nowMs: number): void {
    const partition = this.#find(place);
    if (partition === undefined || partition.phase === "releasing") return;
    if (attachId !== partition.attachId) {
      // It was delivered before a seek. It counts if the seek is rejected.
      if (partition.sought !== null) partition.processed = nextOffset;
      return;
    }
    partition.processedAtMs = nowMs;
    this.#readers.processed(partition, nextOffset, nowMs);
    this.#committer.schedule(nowMs);
  }

  pause(place: TopicPartition): void {
    const partition = this.#find(place);
    if (partition !== undefined) partition.isPaused = true;
  }

  resume(place: TopicPartition, nowMs: number): void {
    const partition = this.#find(place);
    if (partition?.isPaused) this.#readers.resume(partition, nowMs);
  }

  commitNow(nowMs: number): void {
    this.#committer.commitNow(nowMs);
  }

  /**
   * Returns a check for the records that are processed and not committed now. The check returns true once they are
   * committed or belong to another member.
   */
  uncommitted(): () => boolean {
    const wanted = [...this.#partitions.values()]
      .filter(({ hasUncommitted }) => hasUncommitted)
      .map((partition) => ({ partition, offset: partition.processed ?? 0 }));
    return () =>
      this.#state === "closed" ||
      wanted.every(({ partition, offset }) => {
        const isHeld = this.#partitions.get(partition.key) === partition;
        const isBehind = (partition.committed ?? -1) < offset && partition.hasUncommitted;
        return !isHeld || !isBehind;
      });
  }

  /** Returns the offset after the processed records, or null. */
  position(place: TopicPartition): number | null {
    return this.#find(place)?.processed ?? null;
  }

  /** False for records from before a seek, and for a partition that no longer belongs to the consumer. */
  isCurrent(place: TopicPartition, attachId: number): boolean {
    return this.#find(place)?.attachId === attachId;
  }

  /**
   * Continues at `offset`. Earlier deliveries no longer count, and the next commit may go back. If the offset is not in
   * the log, OFFSET_OUT_OF_RANGE is reported and the consumer continues where it was.
   */
  seek(place: TopicPartition, offset: number): boolean {
    const partition = this.#find(place);
    if (partition === undefined || partition.isGivingUp) return false;
    this.#readers.seek(partition, offset);
    return true;
  }

  #sendCommit({ requestId, offsets }: Commit): boolean {
    const isInTouch = this.#state === "joined" || this.#state === "closing";
    if (!isInTouch || this.#assignment === null || this.#group.connection === null) return false;
    const { memberEpoch } = this.#assignment;
    this.#commitEpoch = memberEpoch;
    this.#outbox.send(this.#group.connection, { type: "commit", requestId, memberEpoch, offsets });
    return true;
  }

  #afterCommit(nowMs: number): void {
    this.#finishReleases();
    if (this.#state === "closing") {
      this.#committer.commitNow(nowMs);
      if (!this.#committer.hasUncommitted) this.#finishClosing();
      return;
    }
    this.#readers.proceed(nowMs);
    this.#committer.schedule(nowMs);
  }

  // Lost connections and time.

  /** Notes that the socket numbered `connection` was closed, or could not be opened. */
  closed(connection: number, code: number, reason: string, nowMs: number): void {
    if (connection === this.#group.connection) {
      this.#groupClosed(code, reason, nowMs);
      return;
    }
    const memberEpoch = this.#assignment?.memberEpoch ?? 0;
    const isAlone = this.#group.isFirstFailure;
    const error = this.#readers.closed(connection, code, reason, memberEpoch, isAlone, nowMs);
    if (error !== null) this.#fatal(error);
  }

  #groupClosed(code: number, reason: string, nowMs: number): void {
    this.#group.lost();
    this.#committer.disconnected();
    if (this.#state === "closing") {
      this.#finishClosing();
    } else if (code === RENEWED) {
      this.#connect(nowMs);
    } else if (code === CLOSE_FATAL) {
      this.#failed(errorOfClose(reason), nowMs);
    } else if (code === CLOSE_REPLACED && this.#group.attempts === 1) {
      // After a reconnect, the cause may be this consumer's own earlier join that arrived late.
      this.#fatal(new BrokerError("UNKNOWN_MEMBER_ID", "another connection joined as this member"));
    } else {
      if (code === CLOSE_SESSION_ENDED) this.#loseAll();
      this.#reconnect(`the group has no connection (${code} ${reason})`, nowMs);
    }
  }

  /** Reconnects. The problem is reported once, however long it lasts. */
  #reconnect(reason: string, nowMs: number): void {
    if (this.#group.isFirstFailure)
      this.#outbox.warn("NETWORK_EXCEPTION", `${reason}; trying again`);
    this.#waitToReconnect(nowMs);
  }

  #waitToReconnect(nowMs: number): void {
    this.#state = "waiting";
    this.#committer.disconnected();
    this.#group.reconnectLater(nowMs);
  }

  /** Handles timers. Extra or early calls are harmless. */
  tick(nowMs: number): void {
    if (this.#state === "closed") return;
    if (this.sessionEndMs <= nowMs) this.#endSession(nowMs);
    const isUnanswered = this.#group.isUnanswered(this.#unanswered, nowMs);
    if (isUnanswered || this.#group.isSilent(nowMs)) {
      const reason = "the group's coordinator does not answer";
      this.#group.drop(CLOSE_CLIENT_LOST, reason);
      if (this.#state === "closing") {
        this.#finishClosing();
        return;
      }
      this.#reconnect(reason, nowMs);
    }
    const before = this.#group.connection;
    this.#group.tick(nowMs);
    if (before === null && this.#group.connection !== null) this.#state = "connecting";
    this.#readers.tick(nowMs);
    this.#committer.tick(nowMs);
  }

  /** A unique name of the request that the coordinator has not answered yet, or null. */
  get #unanswered(): string | null {
    if (this.#group.connection === null) return null;
    if (this.#state === "joining") return `join ${this.#joinRequestId}`;
    if (this.#committer.inFlight !== null) return `commit ${this.#committer.inFlight}`;
    // The coordinator waits for revoked partitions, but none is left, so the message about them was lost.
    const isRevoking = this.#assignment?.state === "UNREVOKED_PARTITIONS";
    const isDone = ![...this.#partitions.values()].some(({ isGivingUp }) => isGivingUp);
    return isRevoking && isDone ? `revoked ${this.#assignment?.memberEpoch}` : null;
  }

  /**
   * [SES-4] Ends the session after a whole session timeout without contact, because the group has given the partitions
   * to others.
   */
  #endSession(nowMs: number): void {
    const wasJoined = this.#state === "joined";
    this.#loseAll();
    if (this.#state === "joining") this.#sendJoin(nowMs); // The claims of the join in flight are no longer valid.
    if (!wasJoined) return;
    this.#group.drop(CLOSE_CLIENT_LOST, "the session has ended");
    this.#waitToReconnect(nowMs);
  }

  // The end.

  /** [SES-6] Stops: commits the processed records, leaves the group at once, then emits `closed`. */
  close(): void {
    if (this.#state === "closed" || this.#state === "closing") return;
    const isInTouch = this.#state === "joined" && this.#group.connection !== null;
    this.#state = "closing";
    for (const partition of this.#partitions.values()) this.#readers.close(partition);
    if (isInTouch) this.#committer.commitNow();
    if (!isInTouch || !this.#committer.hasUncommitted) this.#finishClosing();
  }

  #finishClosing(): void {
    // A static member does not leave. Its partitions stay reserved for it [GRP-8].
    if (this.#config.instanceId === null && this.#assignment !== null && this.#group.isOpen) {
      this.#outbox.send(this.#group.connection, { type: "leave" });
    }
    this.#end(1000, "closed");
  }

  /** Leaves explicitly, even as a static member. */
  leave(): void {
    if (this.#config.instanceId !== null && this.#state === "joined") {
      this.#committer.flush();
      this.#outbox.send(this.#group.connection, { type: "leave" });
      this.#end(1000, "left");
    }
    this.close();
  }

  /** Handles the disappearance of this member's client. The member does not leave, and its session timeout starts. */
  abandon(): void {
    if (this.#state === "closed") return;
    this.#committer.flush();
    this.#end(CLOSE_CLIENT_LOST, "the client's connection was lost");
  }

  #fatal(error: BrokerError): void {
    this.#loseAll();
    this.#outbox.emit({ type: "error", error, isFatal: true });
    this.#end(1000, "fatal error");
  }

  #end(code: number, reason: string): void {
    for (const partition of this.#partitions.values()) this.#readers.forget(partition);
    this.#group.drop(code, reason);
    this.#state = "closed";
    this.#outbox.emit({ type: "closed" });
  }

  /** [SES-3] Ends the membership. Nothing more is delivered or committed. */
  #loseAll(): void {
    const announced = [...this.#partitions.values()].filter((partition) => partition.isAnnounced);
    for (const partition of this.#partitions.values()) this.#readers.forget(partition);
    this.#committer.disconnected();
    this.#assignment = null;
    this.#hasAnnouncedEmpty = false;
    if (announced.length === 0) return;
    this.#outbox.emit({ type: "lost", partitions: announced.map((partition) => partition.place) });
  }

  /** Returns the consumer's partition. A lost one is remembered, but does not count. */
  #find(place: TopicPartition): AssignedPartition | undefined {
    for (const partition of this.#partitions.values()) {
      const isIt = partition.partition === place.partition && partition.topic === place.topic;
      if (isIt && partition.fencedEpoch === null) return partition;
    }
    return undefined;
  }
}
