// The budgets of principals, as one isolate knows them: what their requests have cost here since it was last told, and whose
// budgets are used up. The MetricsObject adds up what all isolates tell.
//
// The cost is an estimate, at the prices of the dollar meter: a request is one of the Worker and one of an object, and an
// append writes two rows. Nobody counts what else a request causes, such as what is stored.
import { MAX_BUDGETS } from "../limits.ts";
import { MESSAGES_PER_REQUEST, marginalDollars } from "../metrics/prices.ts";
import type { Caller } from "./caller.ts";
import { sharesOf } from "./quota-book.ts";

export const REQUEST_DOLLARS =
  marginalDollars("workerRequests", 1) + marginalDollars("objectRequests", 1);
export const APPEND_DOLLARS = marginalDollars("rowsWritten", 2);
/** An append over a socket to a partition: a message, and its rows. */
export const SOCKET_APPEND_DOLLARS =
  marginalDollars("objectRequests", 1 / MESSAGES_PER_REQUEST) + APPEND_DOLLARS;

/** What a principal has cost. */
export interface PrincipalSpent {
  /** Names the principal, with its name space before it. */
  readonly principal: string;
  readonly dollars: number;
  readonly dollarsPerDay: number;
}

export class PrincipalBudgets {
  #spent = new Map<string, PrincipalSpent>();
  #usedUp: ReadonlySet<string> = new Set();
  #untilMs = 0;

  /** [BGT-3] Adds what a caller has cost to those of its budgets that bound it. */
  spend(caller: Caller, dollars: number): void {
    for (const { key, quota } of sharesOf(caller)) {
      const { dollarsPerDay } = quota;
      if (dollarsPerDay === undefined) continue;
      const principal = key.trimStart();
      const known = this.#spent.get(principal);
      if (known === undefined && this.#spent.size >= MAX_BUDGETS) continue;
      const sum = (known?.dollars ?? 0) + dollars;
      this.#spent.set(principal, { principal, dollars: sum, dollarsPerDay });
    }
  }

  /** Returns what was added since this was last called. */
  take(): PrincipalSpent[] {
    const taken = [...this.#spent.values()];
    this.#spent = new Map();
    return taken;
  }

  /** Adds what could not be told. */
  giveBack(untold: readonly PrincipalSpent[]): void {
    for (const { principal, dollars, dollarsPerDay } of untold) {
      const sum = (this.#spent.get(principal)?.dollars ?? 0) + dollars;
      this.#spent.set(principal, { principal, dollars: sum, dollarsPerDay });
    }
  }

  /** Notes whose budgets are used up until then. All others have something left. */
  learn(principals: readonly string[], untilMs: number): void {
    this.#usedUp = new Set(principals);
    this.#untilMs = untilMs;
  }

  /** [BGT-3] Returns how long a caller has to wait until it has a budget again. 0 if it has one left, or none at all. */
  waitMs(caller: Caller, nowMs: number): number {
    if (this.#usedUp.size === 0 || nowMs >= this.#untilMs) return 0;
    const isUsedUp = sharesOf(caller).some(
      ({ key, quota }) => quota.dollarsPerDay !== undefined && this.#usedUp.has(key.trimStart()),
    );
    return isUsedUp ? this.#untilMs - nowMs : 0;
  }
}
