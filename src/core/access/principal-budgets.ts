// The budgets of principals, as one isolate knows them: what their requests have cost here since it was last told, and what
// they have cost in all. The MetricsObject adds up what all isolates tell.
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

const DAY_MS = 86_400_000;

/** The dollars that a principal has cost, beside its budget. */
export interface PrincipalSpent {
  /** Names the principal, with its name space before it. */
  readonly principal: string;
  readonly dollars: number;
  readonly dollarsPerDay: number;
  /** Who makes its tokens, if the budget is that of a token. */
  readonly maker?: string | undefined;
}

/** A report of costs. It has an id, so that a report that is sent twice counts once. */
export interface SpentBatch {
  readonly id: string;
  readonly spent: readonly PrincipalSpent[];
}

export class PrincipalBudgets {
  #spent = new Map<string, PrincipalSpent>();
  /** The report that was sent, and may not have arrived. */
  #untold: SpentBatch | null = null;
  /** The whole cost of today, by principal: of those that a report has named, and those with nothing left. */
  #known: ReadonlyMap<string, number> = new Map();
  #untilMs = 0;
  readonly #newId: () => string;

  /** `newId` returns an id that was never used. */
  constructor(newId: () => string) {
    this.#newId = newId;
  }

  /** [BGT-3] Adds what a caller has cost to those of its budgets that bound it. */
  spend(caller: Caller, dollars: number): void {
    for (const { key, quota, maker } of sharesOf(caller)) {
      const { dollarsPerDay } = quota;
      if (dollarsPerDay === undefined) continue;
      const principal = nameOf(key);
      const known = this.#spent.get(principal);
      if (known === undefined && this.#spent.size >= MAX_BUDGETS) continue;
      const sum = (known?.dollars ?? 0) + dollars;
      const told = { principal, dollars: sum, dollarsPerDay };
      this.#spent.set(principal, maker === undefined ? told : { ...told, maker });
    }
  }

  /** Returns what is to be told: what could not be told before, else what was added since. Null if there is nothing. */
  take(): SpentBatch | null {
    if (this.#untold === null && this.#spent.size > 0) {
      this.#untold = { id: this.#newId(), spent: [...this.#spent.values()] };
      this.#spent = new Map();
    }
    return this.#untold;
  }

  /** Notes that what was told has arrived. */
  arrived(batch: SpentBatch): void {
    if (this.#untold?.id === batch.id) this.#untold = null;
  }

  /** Notes what principals have cost today in all. All others have something left. */
  learn(
    principals: readonly { readonly principal: string; readonly dollars: number }[],
    untilMs: number,
  ): void {
    this.#known = new Map(principals.map(({ principal, dollars }) => [principal, dollars]));
    this.#untilMs = untilMs;
  }

  /** [BGT-3] Returns how long a caller has to wait until it has a budget again. 0 if it has one left, or none at all. */
  waitMs(caller: Caller, nowMs: number): number {
    const leftMs = this.#untilMs - nowMs;
    // A clock that was set back says nothing until the metrics are heard of again.
    if (this.#known.size === 0 || leftMs <= 0 || leftMs > DAY_MS) return 0;
    const isUsedUp = sharesOf(caller).some(({ key, quota: { dollarsPerDay } }) => {
      const dollars = this.#known.get(nameOf(key));
      return dollarsPerDay !== undefined && dollars !== undefined && dollars >= dollarsPerDay;
    });
    return isUsedUp ? leftMs : 0;
  }
}

function nameOf(key: string): string {
  return key.trimStart();
}
