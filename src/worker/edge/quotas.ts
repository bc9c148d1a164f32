// Quotas at the Worker's ways in. A request that exceeds a quota is refused before it does anything, with the
// time after which it may be retried. Requests in progress finish, and count.
import { budgets } from "../../budgets.ts";
import type { Caller } from "../../core/access/caller.ts";
import { APPEND_DOLLARS, REQUEST_DOLLARS } from "../../core/access/principal-budgets.ts";
import { type Quota, type Rate, strictest } from "../../core/access/quota.ts";
import { BrokerError } from "../../core/errors.ts";
import { HOLDER_SILENT_MS, MAX_THROTTLE_MS } from "../../core/limits.ts";
import type { Env } from "../../env.ts";
import { callerIn } from "./authorize.ts";
import { keepRenewing } from "./holders.ts";
import { isolate } from "./isolate.ts";
import { after, pause } from "./timer.ts";

/** The interval at which to check that the client of a muted connection is still there and still has its rights. */
const LOOK_MS = 5_000;

/** Returns the quota of a caller, combined with that of its maker. */
export function boundOf({ quota, madeBy }: Caller): Quota | undefined {
  return strictest(quota, madeBy?.quota);
}

const WORDS: Readonly<Record<Rate, string>> = {
  producerByteRate: "bytes produced per second",
  consumerByteRate: "bytes read per second",
  requestRate: "requests per second",
};

/** [QUO-2] Returns how long the caller has to wait before it may do more of this. */
export function throttleMs(env: Env, rate: Rate): number {
  const [caller, nowMs] = [callerIn(env), Date.now()];
  return Math.max(isolate.quotas.waitMs(caller, rate, nowMs), budgets.waitMs(caller, nowMs));
}

/** [BGT-3] Returns how long the caller has to wait for its next budget. */
export function budgetWaitMs(env: Env): number {
  return budgets.waitMs(callerIn(env), Date.now());
}

/** [QUO-2] Throws THROTTLING_QUOTA_EXCEEDED if the caller has to wait before it may do more of this. */
export function assertWithinQuota(env: Env, rate: Rate): void {
  const caller = callerIn(env);
  const retryAfterMs = throttleMs(env, rate);
  if (retryAfterMs === 0) return;
  if (budgets.waitMs(caller, Date.now()) > 0) throw usedUpError(caller, retryAfterMs);
  throw new BrokerError(
    "THROTTLING_QUOTA_EXCEEDED",
    `${caller.principal} has used up its quota of ${boundOf(caller)?.[rate]} ${WORDS[rate]}; try again in ${retryAfterMs} ms`,
    { data: { retryAfterMs } },
  );
}

/** [BGT-3] */
function usedUpError(caller: Caller, retryAfterMs: number): BrokerError {
  const bound = boundOf(caller)?.dollarsPerDay;
  const detail = `${caller.principal} has used up its budget of $${bound} a day; try again after midnight UTC`;
  // No client waits for hours.
  return new BrokerError("THROTTLING_QUOTA_EXCEEDED", detail, {
    ...{ data: { retryAfterMs }, retriable: false },
  });
}

/** [QUO-2] [BGT-3] Counts an action of the caller. A request that is not served after all is taken back by -1. */
export function countUse(env: Env, rate: Rate, amount: number): void {
  const caller = callerIn(env);
  isolate.quotas.take(caller, rate, amount, Date.now());
  if (rate === "requestRate") budgets.spend(caller, amount * REQUEST_DOLLARS);
  if (rate === "producerByteRate") budgets.spend(caller, Math.sign(amount) * APPEND_DOLLARS);
}

/** [QUO-2] Waits until the caller may do more of this. For long-running requests. */
export async function untilWithinQuota(env: Env, rate: Rate): Promise<void> {
  for (let waitMs = throttleMs(env, rate); waitMs > 0; waitMs = throttleMs(env, rate))
    await pause(Math.min(waitMs, MAX_THROTTLE_MS));
}

/**
 * [QUO-3] The waits of a connection whose principal has used up its quota. A request counts when it arrives,
 * not when its wait is over. So waiting requests are served in the order of arrival, each after one wait of its
 * own.
 */
export class Mute {
  #isOver = false;
  #stop: () => void = () => {};

  /**
   * Waits this long. Calls `look` before, every LOOK_MS, and after; it throws if nobody is waiting any more.
   * @throws BrokerError NETWORK_EXCEPTION if the connection has ended or the client has gone
   */
  async wait(waitMs: number, look: () => Promise<unknown>): Promise<void> {
    for (let leftMs = waitMs; leftMs > 0; leftMs -= LOOK_MS) {
      await this.#assertThere(look);
      const { promise, resolve } = Promise.withResolvers<void>();
      const cancel = after(Math.min(leftMs, LOOK_MS), resolve);
      this.#stop = () => {
        cancel();
        resolve();
      };
      await promise;
    }
    await this.#assertThere(look);
  }

  async #assertThere(look: () => Promise<unknown>): Promise<void> {
    await look();
    if (this.#isOver) throw new BrokerError("NETWORK_EXCEPTION", "the client has gone");
  }

  /** Ends the wait at once, and every later one, because nobody is waiting any more. */
  stop(): void {
    this.#isOver = true;
    this.#stop();
  }
}

/** Returns how long the caller has to wait before it may do more of all of these. */
export function longestOf(env: Env, rates: readonly Rate[]): number {
  return Math.max(0, ...rates.map((rate) => throttleMs(env, rate)));
}

/**
 * [QUO-4] Counts a connection of this caller. Returns a function that frees its place. If the invocation is
 * killed, nobody calls it, and the place becomes free a while later.
 * @throws BrokerError THROTTLING_QUOTA_EXCEEDED if the caller has as many connections as it may
 */
export function openConnection(caller: Caller): () => void {
  if (boundOf(caller)?.connections === undefined) return () => {};
  const place = isolate.quotas.open(caller, Date.now());
  if (place === null) throw tooManyConnections(caller);
  const stop = keepRenewing(HOLDER_SILENT_MS / 3, () => place.renew(Date.now()));
  return () => {
    stop();
    place.close();
  };
}

function tooManyConnections(caller: Caller): BrokerError {
  const detail = `${caller.principal} has ${boundOf(caller)?.connections} connections, its bound; close one first`;
  return new BrokerError("THROTTLING_QUOTA_EXCEEDED", detail);
}
