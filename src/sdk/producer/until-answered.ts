// Retries of HTTP requests.

import { ConnectionError } from "../../admin/http.ts";
import { BrokerError } from "../../core/errors.ts";
import { monotonicMs } from "../../member/clock.ts";
import { isRefusal } from "./delivery.ts";
import { FIRST_BACKOFF_MS, MAX_BACKOFF_MS } from "./limits.ts";

/** Retries a request while it may succeed later. `ask` gets the remaining time in milliseconds. */
export async function untilAnswered<T>(
  ask: (leftMs: number) => Promise<T>,
  deadlineMs: () => number,
): Promise<T> {
  for (let backoffMs = FIRST_BACKOFF_MS; ; backoffMs = Math.min(2 * backoffMs, MAX_BACKOFF_MS)) {
    try {
      return await ask(Math.max(1, deadlineMs() - monotonicMs()));
    } catch (error) {
      const isOurs = error instanceof BrokerError || error instanceof ConnectionError;
      if (!isOurs || isRefusal(error) || monotonicMs() + backoffMs >= deadlineMs()) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, backoffMs));
  }
}
