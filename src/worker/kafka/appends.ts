// Appends the records of one connection. A busy partition is appended to over a socket. A message costs a
// twentieth of the call that it replaces, and the whole socket counts as one call of the invocation. A
// partition with only occasional appends gets plain calls. Requests overlap, and their appends to a partition
// keep their order (append-order.ts).

import { WORKER } from "../../core/access/caller.ts";
import { isWithin } from "../../core/elapsed.ts";
import { BrokerError, failureOf, isErrorName } from "../../core/errors.ts";
import { MAX_KAFKA_APPEND_SOCKETS } from "../../core/limits.ts";
import type { Env } from "../../env.ts";
import { AppendSocket } from "../../member/append-socket.ts";
import type { AppendErrorMessage } from "../../protocol/append-frame.ts";
import { type AppendAnswer, appendTo, refusedBy } from "../edge/append.ts";
import { stubTransport } from "../edge/stub-transport.ts";
import { AppendOrder, type AppendSlot } from "./append-order.ts";

/** Appends that follow each other within this time go over a socket. A socket that is unused for longer is closed. */
const BUSY_MS = 2_000;
const ANSWER_TIMEOUT_MS = 30_000;

interface Place {
  usedAtMs: number;
  socket: AppendSocket | null;
}

/** The appends of one connection. */
export class Appends {
  readonly #env: Env;
  readonly #places = new Map<string, Place>();
  readonly order = new AppendOrder();
  #sweptMs = 0;

  constructor(env: Env) {
    this.#env = env;
  }

  /**
   * Appends when it is the slot's turn, and never throws. An append whose answer was lost is repeated only if
   * that cannot store it twice. After UNKNOWN_TOPIC_ID the caller may append again with the same slot.
   */
  async append(
    topicId: string,
    partition: number,
    batches: Uint8Array,
    isIdempotent: boolean,
    slot: AppendSlot,
  ): Promise<AppendAnswer> {
    const options = { expectedOffset: null, isIdempotent };
    const wait = slot.untilInOrder();
    if (wait !== null) await wait;
    const socket = this.#socketOf(topicId, partition, Date.now());
    if (socket === null) {
      await slot.untilAlone();
      // Copied, because a view would carry the whole request along in a call.
      return appendTo(this.#env, topicId, partition, batches.slice(), options);
    }
    try {
      const appended = socket.append(batches, null, ANSWER_TIMEOUT_MS);
      slot.pass();
      const { logAppendTimeMs = null, ...stored } = await appended;
      return { ...stored, logAppendTimeMs };
    } catch (error) {
      if (error instanceof BrokerError) {
        if (error.code === "UNKNOWN_TOPIC_ID") slot.hold();
        return refusedBy(failureOf(error));
      }
      const unanswered = `the outcome is unknown: ${(error as Error).message}`;
      if (!isIdempotent) return { code: "REQUEST_TIMED_OUT", detail: unanswered, data: {} };
      slot.hold();
      await slot.untilAlone();
      return appendTo(this.#env, topicId, partition, batches.slice(), { ...options, unanswered });
    }
  }

  close(): void {
    for (const { socket } of this.#places.values()) socket?.close("done");
    this.#places.clear();
  }

  /** Returns the open socket of the partition, or null if there is none yet. */
  #socketOf(topicId: string, partition: number, nowMs: number): AppendSocket | null {
    this.#sweep(nowMs);
    const name = `${topicId}/${partition}`;
    const place = this.#places.get(name);
    if (place === undefined) {
      if (this.#places.size < MAX_KAFKA_APPEND_SOCKETS)
        this.#places.set(name, { usedAtMs: nowMs, socket: null });
      return null;
    }
    place.usedAtMs = nowMs;
    if (place.socket === null) place.socket = this.#open(topicId, partition);
    else if (place.socket.isClosed) this.#places.delete(name); // The next append is a call, and then it is reopened.
    return place.socket.isOpen ? place.socket : null;
  }

  #open(topicId: string, partition: number): AppendSocket {
    return new AppendSocket({
      open: (events) =>
        stubTransport(this.#env, WORKER).openPartition({ topic: "", topicId, partition }, events),
      onIdle: () => {},
      parse: (text) => JSON.parse(text),
      refused: (answer) => errorOf(answer as AppendErrorMessage),
      lost: (reason) => new Error(reason),
    });
  }

  #sweep(nowMs: number): void {
    if (isWithin(this.#sweptMs, BUSY_MS, nowMs)) return;
    this.#sweptMs = nowMs;
    for (const [name, { usedAtMs, socket }] of this.#places) {
      if (isWithin(usedAtMs, BUSY_MS, nowMs)) continue;
      socket?.close("done");
      this.#places.delete(name);
    }
  }
}

function errorOf({ code, detail, retriable }: AppendErrorMessage): Error {
  return isErrorName(code) ? new BrokerError(code, detail, { retriable }) : new Error(detail);
}
