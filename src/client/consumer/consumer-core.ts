// The consumer: a member of a group, as a pure state machine. It holds no socket, clock or timer: what
// happened comes in as a method call with the time, what shall be done goes out as effects
// (`takeEffects`), and `nextTimerMs` says when `tick` is wanted. The SDK drives it over network sockets,
// the Worker over Durable Object stubs for plain WebSocket clients, the simulation over a scheduler.
//
// Guarantees, each under SES in SPEC.md: records of a partition are delivered in offset order and without
// a gap, also over reconnects [SES-1]; a partition is given up only after the application has let go of
// it and its last commit has been answered [SES-2]; after `lost` nothing more of it is delivered [SES-3].
import { BrokerError, isErrorName } from "../../core/errors.ts";
import { fromSet, type PartitionKey, partitionKey } from "../../core/group/partition-key.ts";
import { DEFAULT_REBALANCE_TIMEOUT_MS, MAX_HEARTBEAT_INTERVAL_MS } from "../../core/limits.ts";
import type { TopicPartition } from "../../core/record.ts";
import {
  CLOSE_CLIENT_LOST,
  CLOSE_FATAL,
  CLOSE_FENCED,
  CLOSE_REPLACED,
  CLOSE_SESSION_ENDED,
} from "../../protocol/close-codes.ts";
import type {
  AssignmentMessage,
  CommittedMessage,
  CoordinatorMessage,
  ErrorMessage,
} from "../../protocol/group-socket.ts";
import { heartbeatIntervalMs } from "../../protocol/heartbeat.ts";
import type { PartitionMessage } from "../../protocol/partition-socket.ts";
import { AssignedPartition, type ReceivedFrame } from "./assigned-partition.ts";
import { backoffMs } from "./backoff.ts";
import type { ConsumerEffect } from "./effects.ts";

export interface ConsumerCoreConfig {
  /** Null reads without a group: all of `partitions`, no commits. */
  readonly groupId: string | null;
  readonly memberId: string;
  readonly topics: readonly string[];
  /** What a reader without a group reads. */
  readonly partitions?: readonly AssignedPlace[];
  readonly instanceId: string | null;
  readonly clientId: string | null;
  readonly sessionTimeoutMs: number;
  /** Where to begin in partitions for which the group has committed nothing. */
  readonly from: "earliest" | "latest";
  /** Bytes in flight per partition. */
  readonly windowBytes: number;
  /** Time between commits; 0 commits at once, one commit in flight at a time. */
  readonly commitIntervalMs: number;
}

export interface AssignedPlace extends TopicPartition {
  readonly topicId: string;
}

/** Partition sockets are pinged this seldom: a dead one delays its records only, nothing else. */
const PARTITION_PING_MS = 15_000;
/** If some of the partitions of an assignment are slow to attach, the others are announced without them. */
const ANNOUNCE_TIMEOUT_MS = 1_000;
/** Codes after which the membership is over and a new one can begin. */
const REJOIN = new Set(["UNKNOWN_MEMBER_ID", "FENCED_MEMBER_EPOCH"]);

type State = "idle" | "connecting" | "joining" | "joined" | "waiting" | "closing" | "closed";

export class ConsumerCore {
  readonly #config: ConsumerCoreConfig;
  readonly #random: () => number;
  readonly #partitions = new Map<PartitionKey, AssignedPartition>();
  readonly #byConnection = new Map<number, AssignedPartition>();
  #effects: ConsumerEffect[] = [];
  #state: State = "idle";
  #nextConnection = 1;
  #group: number | null = null;
  #failures = 0;
  #reconnectAtMs: number | null = null;
  #heartbeatMs: number;
  #heartbeatAtMs: number | null = null;
  /** When the coordinator was last heard; silence for a session timeout means the session is over. */
  #heardMs = 0;
  #assignment: AssignmentMessage | null = null;
  #hasAnnouncedEmpty = false;
  #announceAtMs: number | null = null;
  #commitAtMs: number | null = null;
  #commitRequest: number | null = null;
  #nextRequestId = 1;
  #partitionPingAtMs: number | null = null;

  constructor(config: ConsumerCoreConfig, random: () => number) {
    this.#config = config;
    this.#random = random;
    this.#heartbeatMs = heartbeatIntervalMs(config.sessionTimeoutMs);
  }

  takeEffects(): readonly ConsumerEffect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** The earliest time at which `tick` has something to do, or null. */
  get nextTimerMs(): number | null {
    if (this.#state === "closed") return null;
    let earliest = Number.POSITIVE_INFINITY;
    const times = [
      this.#reconnectAtMs,
      this.#heartbeatAtMs,
      this.#announceAtMs,
      this.#commitAtMs,
      this.#partitionPingAtMs,
    ];
    if (this.#isCutOff) times.push(this.#heardMs + this.#config.sessionTimeoutMs);
    for (const partition of this.#partitions.values()) times.push(partition.reopenAtMs);
    for (const time of times) if (time !== null && time < earliest) earliest = time;
    return earliest === Number.POSITIVE_INFINITY ? null : earliest;
  }

  /** The partitions held now. */
  get assignment(): TopicPartition[] {
    return [...this.#partitions.values()]
      .filter((p) => p.isAnnounced && !p.isGivingUp)
      .map((p) => p.place);
  }

  start(nowMs: number): void {
    if (this.#state !== "idle") return;
    this.#partitionPingAtMs = nowMs + PARTITION_PING_MS;
    if (this.#config.groupId !== null) {
      this.#connect(nowMs);
      return;
    }
    this.#state = "joined";
    this.#announceAtMs = nowMs + ANNOUNCE_TIMEOUT_MS;
    for (const place of this.#config.partitions ?? []) {
      const key = partitionKey(place.topicId, place.partition);
      this.#open(new AssignedPartition({ key, ...place }, null), nowMs);
    }
  }

  /** Joined once, but not in touch with the coordinator now. */
  get #isCutOff(): boolean {
    return this.#assignment !== null && this.#state !== "joined" && this.#state !== "closing";
  }

  // The group socket.

  #connect(nowMs: number): void {
    this.#state = "connecting";
    this.#reconnectAtMs = null;
    this.#group = this.#nextConnection++;
    this.#startHeartbeats(nowMs);
    this.#emit({ type: "open-group", connection: this.#group });
  }

  #startHeartbeats(nowMs: number): void {
    this.#heardOnConnectionMs = nowMs;
    this.#heartbeatAtMs = nowMs + this.#heartbeatMs;
  }

  /** When this connection last showed a sign of life. */
  #heardOnConnectionMs = 0;

  /** The socket numbered `connection` is open. */
  opened(connection: number, nowMs: number): void {
    if (connection === this.#group) {
      this.#state = "joining";
      this.#heardOnConnectionMs = nowMs;
      this.#sendJoin();
      return;
    }
    const partition = this.#byConnection.get(connection);
    if (partition === undefined) return;
    partition.isOpen = true;
    partition.heardMs = nowMs;
    // What the application has in hand is finished first, or reconnects would pile up windows [SES-5].
    if (!partition.hasUnprocessed) this.#attach(partition, partition.position);
  }

  #sendJoin(): void {
    const memberEpoch = this.#assignment?.memberEpoch ?? 0;
    const held = memberEpoch === 0 ? [] : [...this.#partitions.keys()];
    this.#send(this.#group, {
      type: "join",
      memberId: this.#config.memberId,
      memberEpoch,
      instanceId: this.#config.instanceId,
      clientId: this.#config.clientId,
      topics: [...this.#config.topics],
      sessionTimeoutMs: this.#config.sessionTimeoutMs,
      rebalanceTimeoutMs: DEFAULT_REBALANCE_TIMEOUT_MS,
      owned: fromSet(new Set(held)).map(({ topicId, partitions }) => ({
        topicId,
        partitions: [...partitions],
      })),
    });
  }

  /** A heartbeat was answered. */
  pong(connection: number, nowMs: number): void {
    const partition = this.#byConnection.get(connection);
    if (partition !== undefined) partition.heardMs = nowMs;
    if (connection === this.#group) this.#heard(nowMs);
  }

  #heard(nowMs: number): void {
    this.#heardOnConnectionMs = nowMs;
    if (this.#state === "joined") this.#heardMs = nowMs;
  }

  /** A control message of the socket numbered `connection`. */
  message(connection: number, message: CoordinatorMessage | PartitionMessage, nowMs: number): void {
    if (connection === this.#group) {
      this.#heard(nowMs);
      this.#coordinatorMessage(message as CoordinatorMessage, nowMs);
      return;
    }
    const partition = this.#byConnection.get(connection);
    if (partition === undefined) return;
    partition.heardMs = nowMs;
    this.#partitionMessage(partition, message as PartitionMessage, nowMs);
  }

  #coordinatorMessage(message: CoordinatorMessage, nowMs: number): void {
    if (message.type === "assignment") this.#assigned(message, nowMs);
    else if (message.type === "committed") this.#committed(message, nowMs);
    else if (message.requestId !== undefined) this.#commitFailed(message);
    else this.#joinFailed(message, nowMs);
  }

  #joinFailed(message: ErrorMessage, nowMs: number): void {
    const error = new BrokerError(message.code, message.detail);
    if (REJOIN.has(message.code)) {
      this.#loseAll();
      this.#assignment = null;
      this.#sendJoin();
    } else if (message.retriable) {
      this.#emit({ type: "error", error, isFatal: false });
      this.#dropGroup(CLOSE_CLIENT_LOST, "retrying");
      this.#waitToReconnect(nowMs);
    } else {
      this.#fatal(error);
    }
  }

  #assigned(message: AssignmentMessage, nowMs: number): void {
    const isClosing = this.#state === "closing";
    if (!isClosing) this.#state = "joined";
    this.#failures = 0;
    this.#heardMs = nowMs;
    this.#assignment = message;
    this.#heartbeatMs = message.heartbeatIntervalMs;
    if (!isClosing) this.#applyAssignment(message, nowMs);
    this.#scheduleCommit(nowMs);
  }

  #applyAssignment(message: AssignmentMessage, nowMs: number): void {
    const wanted = new Set<PartitionKey>();
    let hasNew = false;
    for (const place of message.partitions) {
      const key = partitionKey(place.topicId, place.partition);
      wanted.add(key);
      const held = this.#partitions.get(key);
      const isRegained =
        held !== undefined && held.fencedEpoch !== null && held.fencedEpoch < message.memberEpoch;
      if (held !== undefined && !isRegained) continue;
      this.#open(new AssignedPartition({ key, ...place }, place.committedOffset), nowMs);
      hasNew = true;
    }
    if (hasNew) this.#announceAtMs = nowMs + ANNOUNCE_TIMEOUT_MS;
    this.#giveUp([...this.#partitions.values()].filter((partition) => !wanted.has(partition.key)));
    if (
      message.state === "STABLE" &&
      wanted.size === 0 &&
      !this.#hasAnnouncedEmpty &&
      this.#partitions.size === 0
    ) {
      this.#hasAnnouncedEmpty = true;
      this.#emit({ type: "assigned", partitions: [] });
    }
  }

  /** [SES-2] The application first finishes what it has in hand; then `released` goes on. */
  #giveUp(partitions: readonly AssignedPartition[]): void {
    const announced: TopicPartition[] = [];
    const unused: AssignedPartition[] = [];
    for (const partition of partitions) {
      if (partition.isGivingUp) continue;
      this.#closePartition(partition);
      partition.held = [];
      if (partition.isAnnounced) {
        partition.phase = "draining";
        announced.push(partition.place);
      } else {
        unused.push(partition);
      }
    }
    if (announced.length > 0) this.#emit({ type: "revoked", partitions: announced });
    for (const partition of unused) this.#forget(partition);
    if (unused.length > 0) this.#sendRevoked(unused);
  }

  /** The application has let go of a revoked partition: commit what it did, then tell the coordinator. */
  released(place: TopicPartition): void {
    const partition = this.#find(place);
    if (partition?.phase !== "draining") return;
    partition.phase = "releasing";
    this.#commitNow();
    this.#finishReleases();
  }

  #finishReleases(): void {
    const done = [...this.#partitions.values()].filter(
      (partition) => partition.phase === "releasing" && !partition.hasUncommitted,
    );
    if (done.length === 0) return;
    for (const partition of done) this.#forget(partition);
    this.#sendRevoked(done);
  }

  #sendRevoked(partitions: readonly AssignedPartition[]): void {
    if (this.#state !== "joined") return; // The next join says what is still held.
    const topics = fromSet(new Set(partitions.map((partition) => partition.key)));
    this.#send(this.#group, {
      type: "revoked",
      partitions: topics.map(({ topicId, partitions: numbers }) => ({
        topicId,
        partitions: [...numbers],
      })),
    });
  }

  // The partition sockets.

  #open(partition: AssignedPartition, nowMs: number): void {
    this.#partitions.set(partition.key, partition);
    const connection = this.#nextConnection++;
    partition.phase = "opening";
    partition.connection = connection;
    partition.isOpen = false;
    partition.reopenAtMs = null;
    partition.heardMs = nowMs;
    this.#byConnection.set(connection, partition);
    const { topic, topicId, partition: number } = partition;
    this.#emit({ type: "open-partition", connection, topic, topicId, partition: number });
  }

  #attach(partition: AssignedPartition, offset: number | null): void {
    const owner = this.#ownerToken();
    if (owner === null || !partition.isOpen) return;
    partition.startAttach(offset);
    partition.phase = "attaching";
    this.#send(partition.connection, {
      type: "attach",
      attachId: partition.attachId,
      offset: offset ?? this.#config.from,
      windowBytes: this.#config.windowBytes,
      ...owner,
    });
  }

  /** What proves the ownership of a partition; nothing for a reader without a group; null when not joined. */
  #ownerToken() {
    const { groupId } = this.#config;
    if (groupId === null) return {};
    if (this.#assignment === null) return null;
    const { incarnation, memberEpoch, memberNumber } = this.#assignment;
    return { owner: { group: groupId, incarnation, memberEpoch, memberNumber } };
  }

  #partitionMessage(partition: AssignedPartition, message: PartitionMessage, nowMs: number): void {
    if (message.attachId !== partition.attachId || partition.isGivingUp) return;
    if (message.type === "error") {
      this.#attachFailed(partition, message, nowMs);
      return;
    }
    partition.failures = 0;
    const isFirst = partition.position === null;
    partition.position = message.offset;
    partition.processed ??= message.offset;
    if (isFirst && this.#config.from === "latest" && this.#config.groupId !== null) {
      // Commit where "latest" is before anything is delivered: whoever comes next starts there too.
      partition.phase = "settling";
      this.#commitNow();
      return;
    }
    if (isFirst) partition.committed = partition.processed; // Nothing to commit until something is processed.
    partition.phase = "active";
    this.#announce(nowMs);
  }

  #attachFailed(
    partition: AssignedPartition,
    message: Extract<PartitionMessage, { type: "error" }>,
    nowMs: number,
  ): void {
    const error = new BrokerError(message.code, message.detail);
    this.#emit({ type: "error", error, isFatal: false });
    if (message.code === "OFFSET_OUT_OF_RANGE") {
      // The log no longer holds the position (Kafka's auto.offset.reset): go on at the configured end.
      partition.processed = null;
      partition.isRewind = true;
      this.#attach(partition, null);
      return;
    }
    this.#reopenLater(partition, nowMs);
  }

  /** A frame of record batches. */
  data(connection: number, bytes: Uint8Array, nowMs: number): void {
    const partition = this.#byConnection.get(connection);
    if (partition === undefined || partition.isGivingUp) return;
    if (partition.phase === "attaching" || partition.position === null) return; // Of an earlier attach.
    try {
      const frame = partition.receive(bytes);
      partition.heardMs = nowMs;
      if (partition.isPaused || !partition.isAnnounced) partition.held.push(frame);
      else this.#deliver(partition, frame);
    } catch (error) {
      const cause =
        error instanceof BrokerError ? error : new BrokerError("CORRUPT_MESSAGE", String(error));
      this.#emit({ type: "error", error: cause, isFatal: false });
      this.#closePartition(partition);
      this.#reopenLater(partition, nowMs);
    }
  }

  #deliver(partition: AssignedPartition, frame: ReceivedFrame): void {
    partition.delivered(frame);
    const { topic, partition: number, attachId: generation } = partition;
    if (frame.records.length > 0) {
      this.#emit({ type: "records", topic, partition: number, generation, records: frame.records });
    } else {
      this.#giveBack(
        partition,
        partition.markProcessed(partition.processed ?? 0, this.#config.windowBytes),
      );
    }
  }

  #giveBack(partition: AssignedPartition, bytes: number): void {
    if (bytes === 0 || partition.phase !== "active") return;
    this.#send(partition.connection, { type: "window", attachId: partition.attachId, bytes });
  }

  /** Announces the ready partitions once all are ready, or once waiting for the others has taken too long. */
  #announce(nowMs: number): void {
    const unannounced = [...this.#partitions.values()].filter(
      (p) => !p.isAnnounced && !p.isGivingUp,
    );
    const ready = unannounced.filter((partition) => partition.phase === "active");
    const isLate = this.#announceAtMs !== null && this.#announceAtMs <= nowMs;
    if (ready.length < unannounced.length && !isLate) return;
    this.#announceAtMs = ready.length < unannounced.length ? nowMs + ANNOUNCE_TIMEOUT_MS : null;
    if (ready.length === 0) return;
    for (const partition of ready) partition.isAnnounced = true;
    this.#emit({
      type: "assigned",
      partitions: ready.map((partition) => ({
        ...partition.place,
        offset: partition.processed ?? 0,
      })),
    });
    for (const partition of ready) this.#deliverHeld(partition);
  }

  #deliverHeld(partition: AssignedPartition): void {
    if (partition.isPaused || !partition.isAnnounced) return;
    const held = partition.held;
    partition.held = [];
    for (const frame of held) this.#deliver(partition, frame);
  }

  /** The application is done with everything before `nextOffset`. */
  processed(place: TopicPartition, nextOffset: number, generation: number, nowMs: number): void {
    const partition = this.#find(place);
    if (partition === undefined || partition.phase === "releasing") return;
    if (generation !== partition.attachId) return; // Delivered before a seek.
    this.#giveBack(partition, partition.markProcessed(nextOffset, this.#config.windowBytes));
    const isWaitingToAttach =
      partition.phase === "opening" && partition.isOpen && !partition.hasUnprocessed;
    if (isWaitingToAttach) this.#attach(partition, partition.position);
    this.#scheduleCommit(nowMs);
  }

  pause(place: TopicPartition): void {
    const partition = this.#find(place);
    if (partition !== undefined) partition.isPaused = true;
  }

  resume(place: TopicPartition): void {
    const partition = this.#find(place);
    if (partition === undefined || !partition.isPaused) return;
    partition.isPaused = false;
    this.#deliverHeld(partition);
  }

  /** Goes on at `offset`. What was delivered before no longer counts; the next commit may go back. */
  seek(place: TopicPartition, offset: number): boolean {
    const partition = this.#find(place);
    if (partition === undefined || partition.isGivingUp) return false;
    partition.isRewind = true;
    partition.processed = offset;
    partition.position = offset;
    this.#attach(partition, offset);
    return true;
  }

  // Commits: one in flight, so that what is processed meanwhile shares the next.

  #scheduleCommit(nowMs: number): void {
    if (this.#config.commitIntervalMs === 0) this.#commitNow();
    else if (this.#commitAtMs === null && this.#hasUncommitted)
      this.#commitAtMs = nowMs + this.#config.commitIntervalMs;
  }

  get #hasUncommitted(): boolean {
    if (this.#config.groupId === null) return false;
    for (const partition of this.#partitions.values()) if (partition.hasUncommitted) return true;
    return false;
  }

  #commitNow(): void {
    this.#commitAtMs = null;
    if (this.#commitRequest !== null) return; // Its answer commits the rest.
    if (this.#state === "joined" || this.#state === "closing") this.#sendCommit();
  }

  #sendCommit(): void {
    if (this.#assignment === null || this.#group === null) return;
    const offsets = [];
    for (const partition of this.#partitions.values()) {
      if (!partition.hasUncommitted || partition.processed === null) continue;
      partition.committing = partition.processed;
      const { topicId, partition: number, isRewind } = partition;
      offsets.push({
        topicId,
        partition: number,
        offset: partition.processed,
        ...(isRewind ? { isRewind } : {}),
      });
    }
    if (offsets.length === 0) return;
    this.#commitRequest = this.#nextRequestId++;
    const { memberEpoch } = this.#assignment;
    this.#send(this.#group, {
      type: "commit",
      requestId: this.#commitRequest,
      memberEpoch,
      offsets,
    });
  }

  #committed(message: CommittedMessage, nowMs: number): void {
    if (message.requestId !== this.#commitRequest) return;
    this.#commitRequest = null;
    for (const { topicId, partition: number, code, detail } of message.rejected) {
      const partition = this.#partitions.get(partitionKey(topicId, number));
      this.#emit({
        type: "error",
        error: new BrokerError(
          code,
          `commit of ${partition?.topic ?? topicId}/${number}: ${detail}`,
        ),
        isFatal: false,
      });
    }
    // A refused offset is not tried again: the partition is somebody else's, or the offset is wrong.
    for (const partition of this.#partitions.values()) {
      if (partition.committing === null) continue;
      partition.committed = partition.committing;
      partition.committing = null;
      if (!partition.hasUncommitted) partition.isRewind = false;
      if (partition.phase === "settling") partition.phase = "active";
    }
    this.#announce(nowMs);
    this.#afterCommit(nowMs);
  }

  #commitFailed(message: ErrorMessage): void {
    if (message.requestId !== this.#commitRequest) return;
    this.#commitRequest = null;
    for (const partition of this.#partitions.values()) partition.committing = null;
    // The newer epoch was sent before this refusal, on the same socket: the commit goes again with it.
    if (message.code === "STALE_MEMBER_EPOCH" || message.retriable) {
      this.#commitNow();
      return;
    }
    if (REJOIN.has(message.code)) {
      this.#loseAll();
      this.#assignment = null;
      if (this.#state === "closing") this.#finishClosing();
      else this.#sendJoin();
      return;
    }
    this.#fatal(new BrokerError(message.code, message.detail));
  }

  #afterCommit(nowMs: number): void {
    this.#finishReleases();
    if (this.#state === "closing") {
      if (this.#hasUncommitted) this.#commitNow();
      else this.#finishClosing();
      return;
    }
    this.#scheduleCommit(nowMs);
  }

  // Lost connections.

  /** The socket numbered `connection` has closed, or could not be opened. */
  closed(connection: number, code: number, reason: string, nowMs: number): void {
    if (connection === this.#group) {
      this.#groupClosed(code, reason, nowMs);
      return;
    }
    const partition = this.#byConnection.get(connection);
    if (partition === undefined) return;
    this.#byConnection.delete(connection);
    partition.connection = null;
    partition.isOpen = false;
    if (partition.isGivingUp || this.#state === "closing") return;
    if (code === CLOSE_FENCED || code === CLOSE_REPLACED) this.#fenced(partition);
    else this.#reopenLater(partition, nowMs);
  }

  /** [SES-3] A newer owner has the partition. The coordinator knows more; its next word decides. */
  #fenced(partition: AssignedPartition): void {
    partition.phase = "opening";
    partition.fencedEpoch = this.#assignment?.memberEpoch ?? 0;
    partition.held = [];
    partition.processed = partition.committed; // A commit would be refused.
    partition.reopenAtMs = null;
    if (!partition.isAnnounced) return;
    partition.isAnnounced = false;
    this.#emit({ type: "lost", partitions: [partition.place] });
  }

  #reopenLater(partition: AssignedPartition, nowMs: number): void {
    this.#closePartition(partition);
    partition.phase = "opening";
    partition.dropHeld();
    // Delivery goes on behind the last record that the application was given [SES-1].
    partition.reopenAtMs = nowMs + backoffMs(partition.failures++, this.#random);
  }

  #groupClosed(code: number, reason: string, nowMs: number): void {
    this.#group = null;
    this.#heartbeatAtMs = null;
    this.#commitRequest = null;
    for (const partition of this.#partitions.values()) partition.committing = null;
    if (this.#state === "closed") return;
    if (this.#state === "closing") {
      this.#finishClosing();
      return;
    }
    if (code === CLOSE_FATAL || code === CLOSE_REPLACED) {
      const name = reason.split(":")[0] ?? "";
      const detail =
        code === CLOSE_REPLACED ? "another connection joined under the same member id" : reason;
      this.#fatal(new BrokerError(isErrorName(name) ? name : "UNKNOWN_MEMBER_ID", detail));
      return;
    }
    if (code === CLOSE_SESSION_ENDED) {
      this.#loseAll();
      this.#assignment = null;
    }
    this.#waitToReconnect(nowMs);
  }

  #waitToReconnect(nowMs: number): void {
    this.#state = "waiting";
    this.#reconnectAtMs = nowMs + backoffMs(this.#failures++, this.#random);
  }

  /** Timers. Calling it early or often is harmless. */
  tick(nowMs: number): void {
    if (this.#state === "closed") return;
    if (this.#isCutOff) this.#checkSession(nowMs);
    if (this.#partitionPingAtMs !== null && this.#partitionPingAtMs <= nowMs)
      this.#pingPartitions(nowMs);
    if (this.#heartbeatAtMs !== null && this.#heartbeatAtMs <= nowMs) this.#heartbeat(nowMs);
    if (this.#reconnectAtMs !== null && this.#reconnectAtMs <= nowMs) this.#connect(nowMs);
    if (this.#announceAtMs !== null && this.#announceAtMs <= nowMs) this.#announce(nowMs);
    if (this.#commitAtMs !== null && this.#commitAtMs <= nowMs) this.#commitNow();
    for (const partition of this.#partitions.values()) {
      if (partition.reopenAtMs === null || partition.reopenAtMs > nowMs) continue;
      partition.reopenAtMs = null;
      if (!partition.isGivingUp && partition.fencedEpoch === null) this.#open(partition, nowMs);
    }
  }

  #pingPartitions(nowMs: number): void {
    this.#partitionPingAtMs = nowMs + PARTITION_PING_MS;
    for (const partition of this.#partitions.values()) {
      if (partition.connection === null) continue;
      if (nowMs - partition.heardMs > 2 * PARTITION_PING_MS) this.#reopenLater(partition, nowMs);
      else if (partition.isOpen) this.#emit({ type: "ping", connection: partition.connection });
    }
  }

  /** [SES-4] Cut off for a whole session timeout: the group has given the partitions to others. */
  #checkSession(nowMs: number): void {
    if (nowMs - this.#heardMs < this.#config.sessionTimeoutMs) return;
    this.#loseAll();
    this.#assignment = null;
  }

  #heartbeat(nowMs: number): void {
    if (this.#group === null) {
      this.#heartbeatAtMs = null;
      return;
    }
    // Three beats without an answer: the connection is dead even if nobody said so.
    const patienceMs = 3 * Math.max(this.#heartbeatMs, 1_000);
    if (nowMs - this.#heardOnConnectionMs >= Math.min(patienceMs, 3 * MAX_HEARTBEAT_INTERVAL_MS)) {
      const wasClosing = this.#state === "closing";
      this.#dropGroup(CLOSE_CLIENT_LOST, "no heartbeat answered");
      this.#commitRequest = null;
      for (const partition of this.#partitions.values()) partition.committing = null;
      if (wasClosing) this.#finishClosing();
      else this.#waitToReconnect(nowMs);
      return;
    }
    if (this.#state !== "connecting") this.#emit({ type: "ping", connection: this.#group });
    this.#heartbeatAtMs = nowMs + this.#heartbeatMs;
  }

  // The end.

  /** Stops: commits what was processed, leaves the group at once, then `closed`. */
  close(): void {
    if (this.#state === "closed" || this.#state === "closing") return;
    const wasJoined = this.#state === "joined";
    this.#state = "closing";
    this.#reconnectAtMs = null;
    for (const partition of this.#partitions.values()) this.#closePartition(partition);
    if (!wasJoined || (!this.#hasUncommitted && this.#commitRequest === null)) {
      this.#finishClosing();
      return;
    }
    this.#commitNow();
  }

  #finishClosing(): void {
    if (this.#group !== null) {
      // A static member goes without leaving: its partitions wait for it [GRP-8].
      if (this.#config.instanceId === null && this.#assignment !== null)
        this.#send(this.#group, { type: "leave" });
      this.#emit({ type: "close", connection: this.#group, code: 1000, reason: "closed" });
      this.#group = null;
    }
    this.#state = "closed";
    this.#emit({ type: "closed" });
  }

  /** An explicit good-bye, also of a static member. */
  leave(): void {
    if (this.#group !== null && this.#config.instanceId !== null && this.#state === "joined") {
      this.#sendCommit();
      this.#send(this.#group, { type: "leave" });
    }
    this.close();
  }

  /** The client behind this member has vanished: no leave, its session timeout starts. */
  abandon(): void {
    if (this.#state === "closed") return;
    if (this.#state === "joined") this.#sendCommit();
    this.#end(CLOSE_CLIENT_LOST, "the client's connection was lost");
  }

  #fatal(error: BrokerError): void {
    this.#loseAll();
    this.#emit({ type: "error", error, isFatal: true });
    this.#end(1000, "fatal error");
  }

  #end(code: number, reason: string): void {
    for (const partition of [...this.#partitions.values()]) this.#forget(partition);
    this.#dropGroup(code, reason);
    this.#state = "closed";
    this.#emit({ type: "closed" });
  }

  #loseAll(): void {
    const announced = [...this.#partitions.values()].filter((partition) => partition.isAnnounced);
    for (const partition of [...this.#partitions.values()]) this.#forget(partition);
    this.#hasAnnouncedEmpty = false;
    if (announced.length > 0)
      this.#emit({ type: "lost", partitions: announced.map((partition) => partition.place) });
  }

  #forget(partition: AssignedPartition): void {
    this.#closePartition(partition);
    this.#partitions.delete(partition.key);
  }

  #closePartition(partition: AssignedPartition): void {
    if (partition.connection === null) return;
    this.#emit({ type: "close", connection: partition.connection, code: 1000, reason: "done" });
    this.#byConnection.delete(partition.connection);
    partition.connection = null;
    partition.isOpen = false;
  }

  #dropGroup(code: number, reason: string): void {
    if (this.#group !== null) this.#emit({ type: "close", connection: this.#group, code, reason });
    this.#group = null;
    this.#heartbeatAtMs = null;
  }

  #find(place: TopicPartition): AssignedPartition | undefined {
    for (const partition of this.#partitions.values()) {
      if (partition.partition === place.partition && partition.topic === place.topic)
        return partition;
    }
    return undefined;
  }

  #send(
    connection: number | null,
    message: Extract<ConsumerEffect, { type: "send" }>["message"],
  ): void {
    if (connection !== null) this.#emit({ type: "send", connection, message });
  }

  #emit(effect: ConsumerEffect): void {
    this.#effects.push(effect);
  }
}
