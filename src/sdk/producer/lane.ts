// The appends of one producer to one partition, in order. Records that cannot be sent at once wait together and share
// the next append. Over HTTP, one append is in flight at a time. A socket keeps the order, so a few may be in flight:
// the partition rejects appends that follow a rejected one. Rejected or unanswered appends are sent again one by one,
// each until its outcome is known or its deadline has passed.

import { answered, ConnectionError, type HttpClient } from "../../admin/http.ts";
import { BrokerError } from "../../core/errors.ts";
import { PRODUCER_WINDOW } from "../../core/limits.ts";
import { addToSequence, isOutOfStep } from "../../core/log/producers.ts";
import { joinAppends, type PlannedAppend } from "../../core/produce-plan.ts";
import type { ProducerRecord } from "../../core/record.ts";
import type { Appended } from "../../member/append-socket.ts";
import { monotonicMs } from "../../member/clock.ts";
import type { Transport } from "../../member/transport.ts";
import { PRODUCERS_PATH } from "../../protocol/paths.ts";
import {
  Delivery,
  type Identity,
  type Item,
  isRefusal,
  known,
  type LaneOptions,
  type LaneOutcome,
} from "./delivery.ts";
import {
  BUSY_APPENDS,
  BUSY_GAP_MS,
  FIRST_BACKOFF_MS,
  MAX_BACKOFF_MS,
  MAX_JOINED_BYTES,
} from "./limits.ts";
import { PartitionLink } from "./partition-link.ts";

/** An append that was sent before earlier ones were answered. Its answer never rejects. */
interface Flight {
  readonly delivery: Delivery;
  readonly answer: Promise<LaneOutcome>;
}

export class Lane {
  readonly #http: HttpClient;
  readonly #link: PartitionLink;
  readonly #topic: string;
  readonly #partition: number;
  readonly #queue: Item[] = [];
  /** The number of records in the queue. */
  #queued = 0;
  #isWorking = false;
  /** The number of appends in quick succession, and the end of the last one. */
  #busy = 0;
  #lastEndMs = Number.NEGATIVE_INFINITY;
  /** Ends the wait for more records, or for an answer. */
  #wake: (() => void) | null = null;
  /** Null before the first append, and if the sequence number is unknown. */
  #identity: Identity | null = null;
  /** The topic's id in its last description. */
  topicId = "";

  constructor(http: HttpClient, transport: Transport | null, topic: string, partition: number) {
    this.#http = http;
    this.#link = new PartitionLink(http, transport, topic, partition);
    this.#topic = topic;
    this.#partition = partition;
  }

  /** Resolves when the outcome of the records is known, or their deadline has passed. */
  append(
    records: readonly ProducerRecord[],
    { sizeInBytes, maxMessageBytes }: Pick<Item, "sizeInBytes" | "maxMessageBytes">,
    options: LaneOptions,
  ): Promise<LaneOutcome> {
    return new Promise((resolve) => {
      this.#queue.push({ records, sizeInBytes, maxMessageBytes, options, resolve });
      this.#queued += records.length;
      if (!this.#isWorking) void this.#work(options.lingerMs);
      else if (this.#link.isOrdered || this.#isFull(options)) this.hurry();
    });
  }

  /** Ends the wait for more records. */
  hurry(): void {
    this.#wake?.();
  }

  /** Notes that nothing more will be appended for now. */
  close(): void {
    this.#link.close();
  }

  #isFull({ batchSize }: LaneOptions): boolean {
    return this.#queued >= batchSize;
  }

  async #work(lingerMs: number): Promise<void> {
    this.#isWorking = true;
    const [first] = this.#queue;
    if (lingerMs > 0 && first !== undefined && !this.#isFull(first.options))
      await this.#linger(lingerMs);
    const flights: Flight[] = [];
    while (this.#queue.length > 0 || flights.length > 0) {
      const identity = this.#identityToSendAhead(flights.length);
      if (identity !== null) flights.push(await this.#launch(identity));
      else if (flights.length === 0) await this.#deliverAll([this.#next()]);
      else await this.#land(flights);
    }
    this.#isWorking = false;
  }

  async #linger(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = null;
  }

  /**
   * Returns the producer for an append that may be sent while `flights` are unanswered, or null. The partition must
   * already know the producer. It accepts any first sequence from an unknown producer, so nothing would keep their
   * order.
   */
  #identityToSendAhead(flights: number): Identity | null {
    const identity = this.#identity;
    const [next] = this.#queue;
    const mayFollow = next !== undefined && !isAlone(next) && flights < PRODUCER_WINDOW;
    return mayFollow && this.#link.isOrdered && identity?.isKnown ? identity : null;
  }

  /** Sends the next append without waiting for its answer. An encoding error is reported when it lands. */
  async #launch(identity: Identity): Promise<Flight> {
    const delivery = this.#next();
    const failed = (thrown: unknown): LaneOutcome => ({ ok: false, error: known(thrown) });
    try {
      await delivery.encodeAs(identity);
    } catch (thrown) {
      return { delivery, answer: Promise.resolve(failed(thrown)) };
    }
    const answer = this.#send(delivery).then(
      (appended): LaneOutcome => ({ ok: true, ...appended }),
      (thrown) => {
        delivery.note(known(thrown));
        return failed(thrown);
      },
    );
    return { delivery, answer };
  }

  /** Waits for the answer to the first flight, or for more to send. */
  async #land(flights: Flight[]): Promise<void> {
    const [first] = flights as [Flight];
    const woken = new Promise<null>((resolve) => {
      this.#wake = () => resolve(null);
    });
    const [next] = this.#queue;
    const isFree = flights.length < PRODUCER_WINDOW && (next === undefined || !isAlone(next));
    const outcome = await (isFree ? Promise.race([first.answer, woken]) : first.answer);
    this.#wake = null;
    if (outcome === null) return;
    if (outcome.ok) {
      flights.shift();
      first.delivery.settle(outcome);
      return;
    }
    // Later flights were rejected because of it, or are unanswered too.
    const landed = flights.splice(0);
    const outcomes = await Promise.all(landed.map(({ answer }) => answer));
    const again: Delivery[] = [];
    for (const [i, { delivery }] of landed.entries()) {
      const each = outcomes[i] as LaneOutcome;
      if (each.ok) delivery.settle(each);
      else again.push(delivery);
    }
    await this.#deliverAll(again);
  }

  /** Returns the first waiting append, joined with those after it that can share it. */
  #next(): Delivery {
    const first = this.#queue[0] as Item;
    let end = 1;
    let count = first.records.length;
    let { sizeInBytes } = first;
    for (; !isAlone(first); end++) {
      const next = this.#queue[end];
      if (next === undefined || isAlone(next)) break;
      const isAlike =
        next.options.compression === first.options.compression &&
        next.maxMessageBytes === first.maxMessageBytes;
      count += next.records.length;
      sizeInBytes += next.sizeInBytes;
      if (!isAlike || count > first.options.batchSize || sizeInBytes > MAX_JOINED_BYTES) break;
    }
    const delivery = this.#delivery(this.#queue.splice(0, end)); // All at once: repeated shifts would be slow.
    this.#queued -= delivery.records.length;
    return delivery;
  }

  /** Makes a delivery of items. Each of them fits one append, and together they are far smaller. */
  #delivery(items: readonly Item[]): Delivery {
    const { maxMessageBytes } = items[0] as Item;
    const records = items.flatMap((item) => item.records);
    const target = { name: this.#topic, maxMessageBytes };
    const [plan] = joinAppends(target, records, this.#partition);
    return new Delivery(items, records, plan as PlannedAppend);
  }

  /** Delivers one after another, each until its outcome is known. */
  async #deliverAll(deliveries: Delivery[]): Promise<void> {
    /** True if the outcome of one is unknown. Unanswered appends sent after it may still be stored with it. */
    let isSpoilt = false;
    for (;;) {
      const delivery = deliveries.shift();
      if (delivery === undefined) return;
      this.#busy = monotonicMs() - this.#lastEndMs <= BUSY_GAP_MS ? this.#busy + 1 : 0;
      if (this.#busy >= BUSY_APPENDS) this.#link.open(this.topicId);
      const outcome = await this.#deliver(delivery, !(isSpoilt && delivery.isUnknown));
      isSpoilt ||= delivery.isUnknown && !outcome.ok;
      // Only the failing append must fail.
      const isGuessing = !outcome.ok && isRefusal(outcome.error) && delivery.items.length > 1;
      if (isGuessing) deliveries.unshift(...delivery.items.map((item) => this.#delivery([item])));
      else delivery.settle(outcome);
      this.#lastEndMs = monotonicMs();
    }
  }

  /** Sends the same bytes until their outcome is known. If `isRenewable`, they may be sent as another producer's. */
  async #deliver(delivery: Delivery, isRenewable: boolean): Promise<LaneOutcome> {
    let mayRenew = isRenewable;
    for (let attempt = 0; ; attempt++) {
      try {
        if (delivery.bytes === null) {
          this.#identity ??= await this.#identify(delivery.deadlineMs - monotonicMs());
          await delivery.encodeAs(this.#identity);
        }
        const appended = await this.#send(delivery);
        return { ok: true, ...appended };
      } catch (thrown) {
        const error = known(thrown);
        const isBehind = error instanceof BrokerError && isOutOfStep(error.code);
        // An earlier copy may still be in flight, behind the append that it follows. So this rejection decides nothing.
        const isOpen = isBehind && !isRenewable;
        // Before the first bytes were sent, nothing can have been stored.
        if (delivery.bytes !== null && !isOpen) delivery.note(error);
        if (isBehind && mayRenew) {
          // The producer's id was used elsewhere, or an earlier append was rejected. Nothing of this append was stored.
          // It is sent again as another producer's.
          mayRenew = false;
          if (this.#identity === delivery.identity) this.#identity = null;
          delivery.bytes = null;
          continue;
        }
        const backoffMs = Math.min(FIRST_BACKOFF_MS * 2 ** attempt, MAX_BACKOFF_MS);
        // Items past their deadline get an unknown outcome, while others that share the bytes are retried.
        const isOver = delivery.expire(monotonicMs() + backoffMs, unknownOutcome(error));
        if (isOver || (isRefusal(error) && !isOpen)) {
          this.#giveUp(delivery);
          return { ok: false, error: delivery.isUnknown ? unknownOutcome(error) : error };
        }
        await new Promise((resolve) => setTimeout(resolve, backoffMs * (0.5 + Math.random() / 2)));
      }
    }
  }

  async #send(delivery: Delivery): Promise<Appended> {
    const { bytes, identity, deadlineMs, options } = delivery;
    const withinMs = deadlineMs - monotonicMs();
    const appended = await this.#link.append(bytes as Uint8Array, options.expectedOffset, withinMs);
    answered(appended?.baseOffset);
    if (identity !== null) identity.isKnown = true;
    return appended;
  }

  /** Frees the sequence numbers for the next append, if nothing was stored and nothing was sent after it. */
  #giveUp({ identity, sequence, plan, bytes, isUnknown }: Delivery): void {
    if (bytes === null || identity === null || identity !== this.#identity) return;
    const isLast = identity.sequence === addToSequence(sequence, plan.recordCount);
    if (isLast && !isUnknown) identity.sequence = sequence;
    else this.#identity = null;
  }

  async #identify(withinMs: number): Promise<Identity> {
    const timeoutMs = Math.max(1, withinMs);
    const given = await this.#http.request<Pick<Identity, "producerId" | "producerEpoch">>(
      "POST",
      PRODUCERS_PATH,
      undefined,
      { timeoutMs },
    );
    answered(given?.producerId);
    return { ...given, sequence: 0, isKnown: false };
  }
}

/** True for a conditional append. It is not joined with others, and follows no unanswered one. */
function isAlone({ options }: Item): boolean {
  return options.expectedOffset !== null;
}

function unknownOutcome(error: BrokerError | ConnectionError): BrokerError | ConnectionError {
  if (error instanceof ConnectionError) return error;
  const detail = `the outcome is unknown: ${error.message}`;
  return new BrokerError("REQUEST_TIMED_OUT", detail, { cause: error });
}
