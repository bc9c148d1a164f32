// The budgets of principals, as one isolate knows them: the cost of their requests here since its last report, and
// their total cost. The MetricsObject adds up the reports of all isolates.
//
// The cost is an estimate, at the prices of the dollar meter. A request counts as one request of the Worker and one of
// an object, and an append as two written rows. Other costs of a request, such as storage, are not counted.
import { MAX_BUDGETS } from "../limits.ts";
import { MESSAGES_PER_REQUEST, marginalDollars } from "../metrics/prices.ts";
import type { Caller } from "./caller.ts";
import { sharesOf } from "./quota-book.ts";

export const REQUEST_DOLLARS =
  marginalDollars("workerRequests", 1) + marginalDollars("objectRequests", 1);
export const APPEND_DOLLARS = marginalDollars("rowsWritten", 2);
/** The cost of an append over a socket to a partition: one message and its rows. */
export const SOCKET_APPEND_DOLLARS =
  marginalDollars("objectRequests", 1 / MESSAGES_PER_REQUEST) + APPEND_DOLLARS;

const DAY_MS = 86_400_000;

/** The cost of a principal, and its budget. */
export interface PrincipalSpent {
  /** The principal's name, preceded by its namespace. */
  readonly principal: string;
  readonly dollars: number;
  readonly dollarsPerDay: number;
  /** The maker of the token, if this is the budget of a token. */
  readonly maker?: string | undefined;
}

/** A report of costs. Its id makes a repeated report count once. */
export interface SpentBatch {
  readonly id: string;
  readonly spent: readonly PrincipalSpent[];
}

export class PrincipalBudgets {
  #spent = new Map<string, PrincipalSpent>();
  /** The report that was sent but not confirmed. */
  #untold: SpentBatch | null = null;
  /** Today's total cost by principal. It covers the principals in reports and those whose budget is used up. */
  #known: ReadonlyMap<string, number> = new Map();
  #untilMs = 0;
  readonly #newId: () => string;

  /** `newId` must return a new, unique id each time. */
  constructor(newId: () => string) {
    this.#newId = newId;
  }

  /** [BGT-3] Adds a cost to the caller's own budget and to its maker's budget. */
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

  /** Returns the next report: the unconfirmed one, or else the costs since then. Null if there is nothing to report. */
  take(): SpentBatch | null {
    if (this.#untold === null && this.#spent.size > 0) {
      this.#untold = { id: this.#newId(), spent: [...this.#spent.values()] };
      this.#spent = new Map();
    }
    return this.#untold;
  }

  /** Notes that a report has arrived. */
  arrived(batch: SpentBatch): void {
    if (this.#untold?.id === batch.id) this.#untold = null;
  }

  /** Notes the total cost of principals today. All others have budget left. */
  learn(
    principals: readonly { readonly principal: string; readonly dollars: number }[],
    untilMs: number,
  ): void {
    this.#known = new Map(principals.map(({ principal, dollars }) => [principal, dollars]));
    this.#untilMs = untilMs;
  }

  /**
   * [BGT-3] Returns how many milliseconds a caller must wait until its budget is renewed. 0 if it has budget left, or
   * no budget.
   */
  waitMs(caller: Caller, nowMs: number): number {
    const leftMs = this.#untilMs - nowMs;
    // After the clock was set back, nothing is known until the next answer from the MetricsObject.
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
