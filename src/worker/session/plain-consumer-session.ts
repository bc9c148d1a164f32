// A plain WebSocket client's membership. It uses the same consumer core as the SDK, over sockets to the
// objects, and speaks JSON to the client. The client sends no heartbeats. It counts as dead when its socket
// breaks, or when it holds unacknowledged records and has sent nothing for a session timeout [PLN-4].

import type * as z from "zod";
import type { Topic } from "../../core/cluster/topics.ts";
import { BrokerError, ERRORS } from "../../core/errors.ts";
import type { Holding } from "../../core/ledger.ts";
import {
  ANSWER_STALL_MS,
  DRAIN_TIMEOUT_MS,
  HOLDER_SILENT_MS,
  MAX_PLAIN_UNREAD_REPLY_BYTES,
  MAX_PLAIN_UNSENT_BYTES,
  MAX_RECORDS_PER_MESSAGE,
  SESSION_END_MS,
} from "../../core/limits.ts";
import type { ConsumerRecord, TopicPartition } from "../../core/record.ts";
import type { Env } from "../../env.ts";
import type { ConsumerCoreConfig } from "../../member/consumer-core.ts";
import type { ApplicationEffect } from "../../member/consumer-driver.ts";
import { ConsumerDriver } from "../../member/consumer-driver.ts";
import type { Transport } from "../../member/transport.ts";
import { memory } from "../../memory.ts";
import {
  CLOSE_FATAL,
  CLOSE_REPLACED,
  CLOSE_SESSION_ENDED,
  CLOSE_SPENT,
  CLOSE_UNAUTHENTICATED,
  closeReason,
  isCleanClose,
} from "../../protocol/close-codes.ts";
import type { CoordinatorMessage } from "../../protocol/group-socket.ts";
import { PING, PONG } from "../../protocol/heartbeat.ts";
import { isUnknownType, parseFrame } from "../../protocol/parse.ts";
import {
  type DeliveryOptions,
  type PlainServerMessage,
  plainClientMessage,
} from "../../protocol/plain-consumer.ts";
import { type RecordFilter, recordFilter } from "../../protocol/record-filter.ts";
import { unsentBytes } from "../../protocol/unsent.ts";
import { callerIn } from "../edge/authorize.ts";
import { recordBytes } from "../edge/fetch.ts";
import { keepRenewing } from "../edge/holders.ts";
import { Invocation } from "../edge/invocation.ts";
import { inside, outsideError, outsideTopic } from "../edge/namespace.ts";
import { stubTransport } from "../edge/stub-transport.ts";
import { after, atExpiry } from "../edge/timer.ts";
import { watchGrowth } from "./growth.ts";
import { SessionRoom } from "./session-room.ts";
import { ASKED_WINDOW_BYTES, SessionWindow } from "./session-window.ts";
import { UnreadReplies } from "./unread-replies.ts";

/** The interval at which a client that is behind is checked. */
const DRAIN_CHECK_MS = 20;
/** The time that the group's object may take to note that the member's connection has ended. */
const GROUP_CLOSE_MS = 5_000;

type ClientMessage = z.output<typeof plainClientMessage>;

/** The reader and its subscription: a member of a group, or a reader without one. */
export type Membership = Omit<
  ConsumerCoreConfig,
  | "memberId"
  | "sessionTimeoutMs"
  | "windowBytes"
  | "isFull"
  | "commitIntervalMs"
  | "commitsFirstAtOnce"
> & {
  /** The id under which the member rejoins, if its client has chosen one. */
  readonly memberId?: string | undefined;
};

/**
 * Records of a topic that is gone. The client was sent them and may still acknowledge them. An ack names a
 * topic, and another topic may have that name by then.
 */
interface Leftover {
  readonly topicId: string;
  /** The last offset that may be acknowledged. */
  readonly last: number;
  readonly timer: ReturnType<typeof setTimeout>;
}

/**
 * The records of a partition that a client was sent and has not acknowledged, and the records that wait after
 * them.
 */
interface Delivery {
  readonly place: TopicPartition;
  readonly topicId: string;
  attachId: number;
  waiting: ConsumerRecord[];
  /** The memory that the waiting records take. */
  waitingBytes: number;
  /** The offset after the last record that was sent, or left out by the filter. */
  doneBefore: number;
  /** The offsets sent and not acknowledged, ascending; at most as many as the window. */
  unacknowledged: number[];
  isPaused: boolean;
  /** Set while the partition is being given up. */
  drainTimer: ReturnType<typeof setTimeout> | null;
}

/** The number of times per session timeout that a silent client is checked. */
const RINGS_PER_SESSION = 8;

export class PlainConsumerSession {
  /** Resolves when the membership has ended and all messages were sent. */
  readonly closed: Promise<void>;
  readonly #env: Env;
  readonly #socket: WebSocket;
  readonly #options: DeliveryOptions;
  readonly #filter: RecordFilter | null;
  readonly #hasGroup: boolean;
  /** True if the group keeps the member's partitions for it until it rejoins. */
  readonly #keepsPlace: boolean;
  readonly #invocation: Invocation;
  readonly #driver: ConsumerDriver;
  readonly #deliveries = new Map<string, Delivery>();
  readonly #leftovers = new Map<string, Leftover>();
  /** The topic id of each partition that is being read. */
  readonly #topicIds = new Map<string, string>();
  #resolveClosed: () => void = () => {};
  #fatal: BrokerError | null = null;
  /**
   * The number of timer rings since the client's last message, or since it was first given something to acknowledge.
   */
  #quietRings = 0;
  #silenceTimer: ReturnType<typeof setTimeout> | null = null;
  readonly #replies = new UnreadReplies();
  readonly #room = new SessionRoom();
  readonly #window = new SessionWindow();
  /** The bytes counted among those of all sessions. */
  readonly #holding: Holding;
  readonly #stopRenewing: () => void;
  /** True if the client is being closed for too many unread replies. Its requests no longer count. */
  #isFlooded = false;
  readonly #stopExpiry: () => void;
  /** True once the group has taken the member in. */
  #hasJoined = false;
  /** Set while the session has to end and waits for the client's acks [SES-14]. */
  #ending: PromiseWithResolvers<void> | null = null;
  /** The close code for the client, if the error does not determine it. */
  #closeCode: number | null = null;
  /** Resolves when the group has noted that the member's last connection has ended. */
  #groupClosed: Promise<void> = Promise.resolve();
  /** Set while the client is behind. */
  #stopDrainCheck: (() => void) | null = null;
  /** True if the client's socket has closed. The membership may still be ending. */
  #hasClosed = false;
  #isOver = false;

  constructor(env: Env, member: Membership, options: DeliveryOptions, socket: WebSocket) {
    this.#env = env;
    this.#socket = socket;
    this.#options = options;
    this.#filter = recordFilter(options);
    this.#hasGroup = member.groupId !== null;
    this.#keepsPlace = (member.instanceId ?? member.memberId ?? null) !== null;
    this.#invocation = new Invocation(env);
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    // The platform lets no invocation touch what belongs to another, but a promise may be resolved from there.
    const evicted = Promise.withResolvers<BrokerError>();
    void evicted.promise.then((error) => this.#endWith(error));
    this.#holding = memory.sessions.hold(evicted.resolve);
    this.#stopRenewing = keepRenewing(HOLDER_SILENT_MS / 3, () => this.#hold());
    this.#driver = new ConsumerDriver(
      {
        ...member,
        memberId: member.memberId ?? crypto.randomUUID(),
        sessionTimeoutMs: options.sessionTimeoutMs,
        windowBytes: ASKED_WINDOW_BYTES,
        isFull: this.#room.isFull,
        commitIntervalMs: options.commitIntervalMs ?? 0,
        commitsFirstAtOnce: true,
      },
      this.#transport(this.#invocation.env),
      (effect) => this.#onEffect(effect),
    );
    this.#stopExpiry = atExpiry(callerIn(env), () => {
      const detail = "the credential has expired";
      if (this.#fatal === null)
        this.#endWith(new BrokerError("SASL_AUTHENTICATION_FAILED", detail));
    });
    void this.#invocation.spent.then(() => this.#endSpent());
  }

  /** Learns topic ids from the partitions that are read, because the application only gets names. */
  #transport(env: Env): Transport {
    const objects = stubTransport(env, callerIn(env), (error) => {
      if (this.#fatal === null) this.#endWith(error); // The sockets of one session end together.
    });
    const transport = this.#window.over(objects);
    return {
      openGroup: (groupId, events) => {
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#groupClosed = promise;
        return transport.openGroup(groupId, {
          ...events,
          text: (data) => {
            if (!this.#isRefused(data)) events.text(data);
          },
          closed: (code, reason) => {
            resolve();
            events.closed(code, reason);
          },
        });
      },
      openPartition: (place, events) => {
        this.#topicIds.set(keyOf(place), place.topicId);
        return transport.openPartition(place, events);
      },
    };
  }

  /**
   * True if the group refuses the id that the client has chosen, because a member of another kind has it.
   * Without this check the consumer would join again and again.
   */
  #isRefused(data: string): boolean {
    if (this.#hasJoined || data === PONG) return false;
    const answer = JSON.parse(data) as CoordinatorMessage;
    if (answer.type !== "error" || answer.code !== "UNKNOWN_MEMBER_ID") {
      this.#hasJoined = answer.type === "assignment";
      return false;
    }
    this.#closeCode = CLOSE_FATAL;
    this.#endWith(new BrokerError("UNKNOWN_MEMBER_ID", `memberId: ${answer.detail}`));
    return true;
  }

  /** [STR-7] Also reads the partitions that are added to the topic. */
  follow(topic: Topic): void {
    const stop = watchGrowth(this.#invocation.env, topic, (places) => this.#driver.add(places));
    void this.closed.then(stop);
  }

  start(): void {
    this.#socket.accept();
    this.#socket.addEventListener("message", (event) => this.#onMessage(event.data));
    this.#socket.addEventListener("close", (event) => this.#onClose(event.code));
    this.#socket.addEventListener("error", () => this.#onClose(1006));
    this.#driver.start();
  }

  // Messages from the client.

  #onMessage(data: unknown): void {
    if (this.#isOver || this.#isFlooded) return;
    this.#quietRings = 0;
    this.#countMessage(data);
    if (data === PING) {
      this.#sendText(PONG, true);
      return;
    }
    try {
      this.#handle(this.#inside(parseFrame(plainClientMessage, data)));
      this.#room.serve(this.#driver);
      this.#hold();
      this.#lookForEnd();
    } catch (error) {
      if (isUnknownType(error)) this.#sendError(error);
      else
        this.#endWith(
          error instanceof BrokerError
            ? error
            : new BrokerError("UNKNOWN_SERVER_ERROR", String(error)),
        );
    }
  }

  /** [TEN-2] */
  #inside(message: ClientMessage): ClientMessage {
    return "topic" in message ? { ...message, topic: inside(this.#env, message.topic) } : message;
  }

  #handle(message: ClientMessage): void {
    switch (message.type) {
      case "ping":
        return;
      case "leave":
        this.#driver.leave();
        return;
      case "pause":
      case "resume":
        this.#setPaused(message, message.type === "pause");
        return;
      case "seek":
        this.#seek(message);
        return;
      case "ack":
        this.#acknowledge(message);
    }
  }

  /**
   * Returns the client's partition. If it is null, for example because it was just revoked, the client gets an
   * error.
   */
  #delivery(place: TopicPartition): Delivery | null {
    const delivery = this.#deliveries.get(keyOf(place));
    if (delivery !== undefined) return delivery;
    this.#sendError(
      new BrokerError(
        "FENCED_MEMBER_EPOCH",
        `${place.topic}/${place.partition} is not assigned to this consumer`,
      ),
    );
    return null;
  }

  #acknowledge(ack: TopicPartition & { offset: number }): void {
    if (this.#isForLeftover(ack)) return;
    const delivery = this.#delivery(ack);
    if (delivery === null) return;
    const last = delivery.unacknowledged.at(-1);
    if (ack.offset > (last ?? delivery.doneBefore - 1)) {
      const known = last === undefined ? "nothing is waiting" : `the last was ${last}`;
      this.#sendError(
        new BrokerError(
          "INVALID_REQUEST",
          `ack: offset ${ack.offset} of ${ack.topic}/${ack.partition} was not delivered; ${known}`,
        ),
      );
      return;
    }
    if (last === undefined || ack.offset < (delivery.unacknowledged[0] ?? 0)) return; // It was acknowledged before.
    delivery.unacknowledged = delivery.unacknowledged.filter((offset) => offset > ack.offset);
    this.#settle(delivery);
    if (delivery.drainTimer === null) this.#flush(delivery);
    else if (delivery.unacknowledged.length === 0) this.#release(delivery);
  }

  /** [PLN-8] True if the ack is for records of an earlier topic of that name. */
  #isForLeftover(ack: TopicPartition & { offset: number }): boolean {
    const key = keyOf(ack);
    const leftover = this.#leftovers.get(key);
    const delivery = this.#deliveries.get(key);
    if (leftover === undefined || delivery === undefined) return false;
    if (ack.offset > leftover.last) return false;
    if (ack.offset === leftover.last) this.#dropLeftover(key);
    return true;
  }

  /** Ends the acknowledgements for the earlier topic. Records of the current one can now be sent. */
  #dropLeftover(key: string): void {
    const leftover = this.#leftovers.get(key);
    if (leftover === undefined) return;
    clearTimeout(leftover.timer);
    this.#leftovers.delete(key);
    const delivery = this.#deliveries.get(key);
    if (delivery?.drainTimer === null) this.#flush(delivery);
  }

  /** Marks everything before the first unacknowledged record as processed. */
  #settle({ place, unacknowledged, doneBefore, attachId }: Delivery): void {
    this.#driver.processed(place, unacknowledged[0] ?? doneBefore, attachId);
  }

  #setPaused(place: TopicPartition, isPaused: boolean): void {
    const delivery = this.#delivery(place);
    if (delivery === null || delivery.drainTimer !== null) return;
    delivery.isPaused = isPaused;
    if (isPaused) {
      this.#driver.pause(place);
      return;
    }
    this.#flush(delivery);
    this.#driver.resume(place);
  }

  #seek(seek: TopicPartition & { offset: number }): void {
    const delivery = this.#delivery(seek);
    if (delivery === null || delivery.drainTimer !== null) return;
    dropWaiting(delivery);
    delivery.unacknowledged = [];
    this.#driver.seek(delivery.place, seek.offset);
  }

  /** Handles a close. The first event decides how a socket ended, because an error may follow a clean close. */
  #onClose(code: number): void {
    if (this.#isOver || this.#hasClosed) return;
    this.#hasClosed = true;
    if (isCleanClose(code)) this.#driver.close();
    else this.#driver.abandon();
  }

  // Effects of the consumer core.

  #onEffect(effect: ApplicationEffect): void {
    if (effect.type === "error") this.#restartSilence();
    switch (effect.type) {
      case "assigned":
        for (const { topic, partition } of effect.partitions)
          this.#startDelivery({ topic, partition });
        this.#send({ type: "assigned", partitions: effect.partitions });
        return;
      case "records":
        this.#receive(effect);
        this.#room.serve(this.#driver);
        return;
      case "revoked":
        this.#send({ type: "revoked", partitions: effect.partitions });
        for (const place of effect.partitions) this.#drain(place);
        this.#lookForEnd();
        return;
      case "lost":
        for (const place of effect.partitions) this.#stopDelivery(place);
        this.#room.serve(this.#driver);
        this.#send({ type: "revoked", partitions: effect.partitions, lost: true });
        this.#lookForEnd();
        return;
      case "error":
        if (effect.isFatal) this.#fatal = effect.error;
        // The consumer's own error of this name means that its id has joined elsewhere.
        if (effect.isFatal && effect.error.code === "UNKNOWN_MEMBER_ID")
          this.#closeCode = CLOSE_REPLACED;
        // Without a group, nobody revokes the partition. A topic of that name may be created again, but this
        // one is gone.
        if (!this.#hasGroup && effect.error.code === "UNKNOWN_TOPIC_ID")
          this.#endWith(effect.error);
        else this.#sendError(effect.error);
        return;
      case "closed":
        void this.#finish();
    }
  }

  #startDelivery(place: TopicPartition): void {
    const topicId = this.#topicIds.get(keyOf(place)) ?? "";
    // It is the same topic again, so the records sent before are the same records.
    if (this.#leftovers.get(keyOf(place))?.topicId === topicId) this.#dropLeftover(keyOf(place));
    this.#deliveries.set(keyOf(place), {
      place,
      topicId,
      attachId: 0,
      waiting: [],
      waitingBytes: 0,
      doneBefore: 0,
      unacknowledged: [],
      isPaused: false,
      drainTimer: null,
    });
  }

  #receive(effect: Extract<ApplicationEffect, { type: "records" }>): void {
    const delivery = this.#deliveries.get(keyOf(effect));
    if (delivery === undefined || delivery.drainTimer !== null) return;
    delivery.attachId = effect.attachId;
    delivery.waiting.push(...effect.records);
    delivery.waitingBytes += bytesOf(effect.records);
    this.#flush(delivery);
    this.#hold();
  }

  /** [BND-23] Counts the bytes that the session holds for its client. */
  #hold(): void {
    if (this.#isOver || this.#fatal !== null) return;
    let bytes = this.#window.heldBytes + this.#unsentBytes;
    for (const { waitingBytes } of this.#deliveries.values()) bytes += waitingBytes;
    try {
      this.#holding.set(bytes);
    } catch (error) {
      this.#endWith(error as BrokerError);
    }
  }

  /** [PLN-2] Sends the records that the window has room for. */
  #flush(delivery: Delivery): void {
    if (this.#leftovers.has(keyOf(delivery.place)) || this.#fatal !== null) return;
    if (this.#ending !== null) return;
    while (delivery.waiting.length > 0 && !delivery.isPaused) {
      const room = this.#options.window - delivery.unacknowledged.length;
      if (room <= 0 || this.#isBehind()) break;
      const taken = delivery.waiting.splice(0, Math.min(room, MAX_RECORDS_PER_MESSAGE));
      delivery.waitingBytes -= bytesOf(taken);
      this.#invocation.didRecords(taken);
      delivery.doneBefore = (taken.at(-1)?.offset ?? 0) + 1;
      const records = this.#filter === null ? taken : taken.filter(this.#filter);
      if (records.length > 0) {
        const json = records.map((record) => this.#invocation.jsonOf(record));
        this.#send({ type: "records", ...delivery.place, records: json });
        if (!this.#holdsRecords) this.#quietRings = 0;
      }
      if (this.#options.ack === "explicit")
        for (const record of records) delivery.unacknowledged.push(record.offset);
      // Nothing more is done if the client still has all of it unacknowledged.
      if (records.length < taken.length || this.#options.ack === "auto") this.#settle(delivery);
    }
    if (delivery.unacknowledged.length > 0) this.#watchSilence();
  }

  /**
   * [BND-7] True if the client does not read as fast as records come. Nothing more is sent, or counts as done,
   * until it has read.
   */
  #isBehind(): boolean {
    const unsentBytes = this.#unsentBytes;
    if (unsentBytes <= MAX_PLAIN_UNSENT_BYTES) return false;
    if (this.#stopDrainCheck === null) this.#awaitDrain(unsentBytes, Date.now());
    return true;
  }

  /** 0 if the runtime does not report it. */
  get #unsentBytes(): number {
    return unsentBytes(this.#socket) ?? 0;
  }

  #awaitDrain(unsentBytes: number, sinceMs: number): void {
    this.#stopDrainCheck = after(DRAIN_CHECK_MS, () => {
      this.#stopDrainCheck = null;
      if (this.#isOver || this.#hasClosed) return;
      const left = this.#unsentBytes;
      const nowMs = Date.now();
      if (left <= MAX_PLAIN_UNSENT_BYTES) {
        for (const delivery of this.#deliveries.values()) {
          if (delivery.drainTimer === null) this.#flush(delivery);
        }
        this.#room.serve(this.#driver);
        this.#hold();
      } else if (left < unsentBytes) this.#awaitDrain(left, nowMs);
      // [CLK-3] The clock may have been set back.
      else if (nowMs - sinceMs <= ANSWER_STALL_MS) this.#awaitDrain(left, Math.min(sinceMs, nowMs));
      else
        this.#endWith(
          new BrokerError(
            "REQUEST_TIMED_OUT",
            `the client took nothing for ${ANSWER_STALL_MS} ms, and ${left} bytes are waiting for it`,
          ),
        );
    });
  }

  /**
   * [PLN-3] Stops new records. Records that were sent may be acknowledged for a while; then the partition is
   * given up.
   */
  #drain(place: TopicPartition): void {
    const delivery = this.#deliveries.get(keyOf(place));
    if (delivery === undefined || delivery.unacknowledged.length === 0) {
      this.#stopDelivery(place);
      this.#driver.released(place);
      return;
    }
    dropWaiting(delivery);
    delivery.drainTimer = setTimeout(() => this.#release(delivery), DRAIN_TIMEOUT_MS);
  }

  #release(delivery: Delivery): void {
    this.#stopDelivery(delivery.place);
    this.#driver.released(delivery.place);
    this.#room.serve(this.#driver);
    this.#lookForEnd();
  }

  #stopDelivery(place: TopicPartition): void {
    const key = keyOf(place);
    const delivery = this.#deliveries.get(key);
    if (delivery === undefined) return;
    if (delivery.drainTimer !== null) clearTimeout(delivery.drainTimer);
    this.#deliveries.delete(key);
    const last = delivery.unacknowledged.at(-1);
    if (last === undefined || this.#isOver) return;
    clearTimeout(this.#leftovers.get(key)?.timer ?? null);
    // As long as a client may hold records and say nothing [PLN-4].
    const timer = setTimeout(() => this.#dropLeftover(key), this.#options.sessionTimeoutMs);
    this.#leftovers.set(key, { topicId: delivery.topicId, last, timer });
  }

  /**
   * [PLN-4] Treats a client as dead if it holds records and says nothing for a session timeout. [CLK-3] The
   * time is counted in rings of a timer, and not by a clock that somebody may set. One extra ring is needed,
   * because the first comes somewhere in between.
   */
  #watchSilence(): void {
    if (this.#silenceTimer !== null || this.#isOver) return;
    if (!this.#holdsRecords) return;
    if (this.#quietRings > RINGS_PER_SESSION) {
      this.#fatal = new BrokerError(
        "UNKNOWN_MEMBER_ID",
        `nothing was heard for ${this.#options.sessionTimeoutMs} ms while records were unacknowledged`,
      );
      this.#sendError(this.#fatal);
      this.#driver.leave();
      return;
    }
    this.#silenceTimer = setTimeout(() => {
      this.#silenceTimer = null;
      this.#quietRings++;
      this.#watchSilence();
    }, this.#options.sessionTimeoutMs / RINGS_PER_SESSION);
  }

  /**
   * [CLK-3] Restarts the timer. If the clock was set back, a connection breaks, and a timer set earlier may be
   * late by that difference. A timer set afterwards is on time.
   */
  #restartSilence(): void {
    if (this.#silenceTimer === null) return;
    clearTimeout(this.#silenceTimer);
    this.#silenceTimer = null;
    this.#watchSilence();
  }

  get #holdsRecords(): boolean {
    for (const { unacknowledged } of this.#deliveries.values()) {
      if (unacknowledged.length > 0) return true;
    }
    return false;
  }

  // The end of the session.

  /**
   * Ends the session because the client broke the protocol. The client leaves, and its socket closes with the
   * reason.
   */
  #endWith(error: BrokerError): void {
    this.#fatal = error;
    this.#sendError(error);
    this.#driver.leave();
  }

  /**
   * [SES-14] Ends the session because its invocation has to end. Nothing more is sent to the client. It may
   * acknowledge the records that it has, and that is committed before its socket closes. A member with an id of
   * its own keeps its place for a session timeout. Any other member leaves, and joins anew.
   */
  async #endSpent(): Promise<void> {
    if (this.#isOver || this.#hasClosed || this.#fatal !== null) return;
    this.#ending = Promise.withResolvers();
    const late = Promise.withResolvers<void>();
    const stop = after(SESSION_END_MS, late.resolve);
    this.#lookForEnd();
    await Promise.race([this.#ending.promise, late.promise]);
    if (this.#hasGroup) await Promise.race([this.#driver.commit(), late.promise]);
    stop();
    if (this.#isOver || this.#hasClosed || this.#fatal !== null) return;
    this.#closeCode = CLOSE_SPENT;
    if (this.#hasGroup && this.#keepsPlace) this.#driver.abandon();
    else this.#driver.close();
  }

  /** Lets a session that has to end continue its ending, if the client has no unacknowledged records left. */
  #lookForEnd(): void {
    if (this.#ending !== null && !this.#holdsRecords) this.#ending.resolve();
  }

  #countMessage(data: unknown): void {
    this.#invocation.did("message");
    if (typeof data === "string") this.#invocation.did("byte", data.length);
  }

  async #finish(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#silenceTimer !== null) clearTimeout(this.#silenceTimer);
    this.#stopDrainCheck?.();
    this.#stopExpiry();
    this.#stopRenewing();
    this.#holding.release();
    for (const { place } of [...this.#deliveries.values()]) this.#stopDelivery(place);
    for (const { timer } of this.#leftovers.values()) clearTimeout(timer);
    if (this.#closeCode === CLOSE_SPENT) {
      // Otherwise the client might be back before the group knows that it has gone.
      const late = Promise.withResolvers<void>();
      const stop = after(GROUP_CLOSE_MS, late.resolve);
      if (this.#hasGroup) await Promise.race([this.#groupClosed, late.promise]);
      stop();
    }
    try {
      this.#socket.close(this.#closeCode ?? closeCodeOf(this.#fatal), this.#closeReason());
    } catch {
      // It is already closed.
    }
    this.#resolveClosed();
  }

  #closeReason(): string {
    const error = this.#fatal;
    if (error !== null)
      return closeReason(`${error.code}: ${outsideError(this.#env, error).message}`);
    return this.#closeCode === CLOSE_SPENT
      ? "the session has used up its CPU; connect again"
      : "left";
  }

  #sendError(error: BrokerError): void {
    const { code } = ERRORS[error.code];
    const { retriable } = error;
    const { message: detail, data } = outsideError(this.#env, error);
    this.#send({ type: "error", code: error.code, errorCode: code, retriable, detail, ...data });
  }

  #send(message: PlainServerMessage): void {
    this.#sendText(JSON.stringify(this.#outside(message)), message.type !== "records");
  }

  /** [TEN-2] */
  #outside(message: PlainServerMessage): PlainServerMessage {
    if (message.type === "error") return message;
    if (message.type === "records") return outsideTopic(this.#env, message);
    const named = message.partitions.map((place) => outsideTopic(this.#env, place));
    return { ...message, partitions: named } as PlainServerMessage;
  }

  /**
   * Sends a text. Records wait if the client is behind. Everything else is sent, until too much of it is unread
   * [BND-17].
   */
  #sendText(text: string, isReply: boolean): void {
    const beforeBytes = this.#unsentBytes;
    this.#invocation.did("byte", text.length);
    try {
      this.#socket.send(text);
    } catch {
      return; // The close event follows.
    }
    if (this.#replies.sent(isReply, beforeBytes, this.#unsentBytes) || this.#isFlooded) return;
    this.#isFlooded = true;
    const bound = `more than ${MAX_PLAIN_UNREAD_REPLY_BYTES} bytes of replies are unread`;
    this.#endWith(new BrokerError("THROTTLING_QUOTA_EXCEEDED", bound));
  }
}

/** Returns the memory that the records take. */
function bytesOf(records: readonly ConsumerRecord[]): number {
  return records.reduce((sum, record) => sum + recordBytes(record), 0);
}

function dropWaiting(delivery: Delivery): void {
  delivery.waiting = [];
  delivery.waitingBytes = 0;
}

function closeCodeOf(error: BrokerError | null): number {
  if (error === null) return 1000;
  if (error.code === "UNKNOWN_MEMBER_ID") return CLOSE_SESSION_ENDED;
  return error.code === "SASL_AUTHENTICATION_FAILED" ? CLOSE_UNAUTHENTICATED : CLOSE_FATAL;
}

function keyOf(place: TopicPartition): string {
  return `${place.partition} ${place.topic}`;
}
