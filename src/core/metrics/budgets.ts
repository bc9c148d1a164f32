// Budgets: the dollars that a topic or a principal may cost per UTC day. The cost of a topic is counted by its objects.
// The cost of a principal is an estimate from its requests, because rows are not counted by principal.
//
// At 80 % the audit log gets a warning. At 100 % it gets another entry, and operations that cost money are refused
// until midnight. Nothing is deleted. Reports come once a minute and operations may be in flight, so a budget can be
// exceeded.

import type { PrincipalSpent } from "../access/principal-budgets.ts";
import {
  BUDGET_WARNING_PERCENT,
  MAX_BUDGETS,
  MAX_BUDGETS_PER_MAKER,
  MAX_TOKEN_BUDGETS,
} from "../limits.ts";

export type BudgetKind = "topic" | "principal";

export interface BudgetOwner {
  readonly kind: BudgetKind;
  readonly name: string;
}

/** The used part of a budget. */
export interface BudgetUse extends BudgetOwner {
  readonly dollarsPerDay: number;
  readonly dollars: number;
  readonly percent: number;
  /** Midnight UTC, when the budget is renewed. */
  readonly endsMs: number;
}

/** A threshold that a budget has reached. */
export interface BudgetStep extends BudgetUse {
  readonly level: 1 | 2;
}

interface Budget extends BudgetOwner {
  /**
   * The budget in the latest report. Two keys of a principal may have different budgets, and each key is held to its
   * own.
   */
  dollarsPerDay: number;
  /** The cost of the day, for a principal. For a topic, the cost ledger has it. */
  dollars: number;
  day: number;
  /** The highest threshold reached today: 0, 1 after the warning, 2 when it is used up. */
  level: 0 | 1 | 2;
  /** The maker of the tokens, if this is their own budget. Absent for keys and topics. */
  readonly maker?: string | undefined;
}

const DAY_MS = 86_400_000;

export class BudgetBook {
  readonly #budgets = new Map<string, Budget>();
  /** The day to which the principals' costs belong. */
  #day = 0;
  readonly #spentBy: (topic: string, nowMs: number) => number;

  /** `spentBy` returns the dollars that a topic has cost today. */
  constructor(spentBy: (topic: string, nowMs: number) => number) {
    this.#spentBy = spentBy;
  }

  get isEmpty(): boolean {
    return this.#budgets.size === 0;
  }

  /** Returns the end of today's budgets: midnight UTC. */
  endsMs(nowMs: number): number {
    return (dayOf(nowMs) + 1) * DAY_MS;
  }

  /** Sets a topic's budget. Null removes it. */
  setTopic(name: string, dollarsPerDay: number | null, nowMs: number): void {
    const key = keyOf({ kind: "topic", name });
    const known = this.#budgets.get(key);
    if (dollarsPerDay === null) this.#budgets.delete(key);
    else if (known !== undefined) known.dollarsPerDay = dollarsPerDay;
    else if (this.#count("topic") < MAX_BUDGETS)
      this.#budgets.set(key, newBudget({ kind: "topic", name }, dollarsPerDay, nowMs));
  }

  /**
   * [BGT-3] Adds to the cost of a principal. A token beyond the bounds has no budget of its own, but its maker's
   * applies.
   */
  spend({ principal: name, dollars, dollarsPerDay, maker }: PrincipalSpent, nowMs: number): void {
    this.#turnDay(nowMs);
    const key = keyOf({ kind: "principal", name });
    let budget = this.#budgets.get(key);
    if (budget === undefined) {
      const isFull =
        maker === undefined
          ? this.#count("principal") >= MAX_BUDGETS
          : this.#count("principal", maker) >= MAX_BUDGETS_PER_MAKER ||
            this.#count("token") >= MAX_TOKEN_BUDGETS;
      if (isFull) return;
      budget = { ...newBudget({ kind: "principal", name }, dollarsPerDay, nowMs), maker };
      this.#budgets.set(key, budget);
    }
    budget.dollarsPerDay = dollarsPerDay;
    budget.dollars += dollars;
  }

  #count(kind: BudgetKind | "token", maker?: string): number {
    let count = 0;
    for (const budget of this.#budgets.values()) {
      const isToken = budget.maker !== undefined;
      if (kind === "token") count += isToken ? 1 : 0;
      else if (budget.kind === kind && budget.maker === maker) count++;
    }
    return count;
  }

  /** Forgets the principals of a past day. Their next request adds them again. */
  #turnDay(nowMs: number): void {
    const day = dayOf(nowMs);
    if (!isLater(day, this.#day)) return;
    this.#day = day;
    for (const [key, budget] of this.#budgets)
      if (budget.kind === "principal" && budget.day !== day) this.#budgets.delete(key);
  }

  /** Forgets a deleted topic. */
  removeTopic(name: string): void {
    this.#budgets.delete(keyOf({ kind: "topic", name }));
  }

  /** [BGT-4] Returns the thresholds reached since the last call, each once a day. */
  takeSteps(nowMs: number): BudgetStep[] {
    const steps: BudgetStep[] = [];
    for (const budget of this.#budgets.values()) {
      const use = this.#useOf(budget, nowMs);
      const level = levelOf(use.percent);
      if (level === 0 || level <= budget.level) continue;
      budget.level = level;
      steps.push({ ...use, level });
    }
    return steps;
  }

  /** Returns the time at which a topic's budget is renewed, if it is used up, or null. */
  topicUntilMs(name: string, nowMs: number): number | null {
    const budget = this.#budgets.get(keyOf({ kind: "topic", name }));
    if (budget === undefined) return null;
    const { percent, endsMs } = this.#useOf(budget, nowMs);
    return percent >= 100 ? endsMs : null;
  }

  /** Returns today's costs of the named principals, and of all whose latest known budget is used up. */
  spentToday(
    names: readonly string[],
    nowMs: number,
  ): { readonly principal: string; readonly dollars: number }[] {
    this.#turnDay(nowMs);
    const asked = new Set(names);
    return this.uses(nowMs).flatMap(({ kind, name, dollars, percent }) =>
      kind === "principal" && (percent >= 100 || asked.has(name))
        ? [{ principal: name, dollars }]
        : [],
    );
  }

  uses(nowMs: number): BudgetUse[] {
    this.#turnDay(nowMs);
    return Array.from(this.#budgets.values(), (budget) => this.#useOf(budget, nowMs));
  }

  #useOf(budget: Budget, nowMs: number): BudgetUse {
    turn(budget, nowMs);
    const { kind, name, dollarsPerDay } = budget;
    const dollars = kind === "topic" ? this.#spentBy(name, nowMs) : budget.dollars;
    const percent = (100 * dollars) / dollarsPerDay;
    return { kind, name, dollarsPerDay, dollars, percent, endsMs: this.endsMs(nowMs) };
  }

  toJSON(): readonly Budget[] {
    return [...this.#budgets.values()];
  }

  /** Restores the budgets from `toJSON`. Unreadable parts are left out. */
  restore(json: unknown): void {
    for (const each of Array.isArray(json) ? (json as Partial<Budget>[]) : []) {
      const { kind, name, dollarsPerDay, dollars = 0, day = 0, level = 0, maker } = each ?? {};
      if ((kind !== "topic" && kind !== "principal") || typeof name !== "string") continue;
      if (typeof dollarsPerDay !== "number" || !(dollarsPerDay > 0)) continue;
      const budget = { kind, name, dollarsPerDay, dollars, day, level, maker };
      this.#budgets.set(keyOf(budget), budget);
      this.#day = Math.max(this.#day, day);
    }
  }
}

function newBudget(owner: BudgetOwner, dollarsPerDay: number, nowMs: number): Budget {
  return { ...owner, dollarsPerDay, dollars: 0, day: dayOf(nowMs), level: 0 };
}

function keyOf({ kind, name }: BudgetOwner): string {
  return `${kind} ${name}`;
}

function dayOf(nowMs: number): number {
  return Math.floor(nowMs / DAY_MS);
}

/**
 * True if a new day has begun. A clock that was set back over midnight does not start one, unless it was set back by
 * more than a day.
 */
function isLater(day: number, known: number): boolean {
  return day > known || day < known - 1;
}

/** Starts a new day for the budget if one has begun. */
function turn(budget: Budget, nowMs: number): void {
  const day = dayOf(nowMs);
  if (!isLater(day, budget.day)) return;
  budget.day = day;
  budget.dollars = 0;
  budget.level = 0;
}

function levelOf(percent: number): 0 | 1 | 2 {
  if (percent >= 100) return 2;
  return percent >= BUDGET_WARNING_PERCENT ? 1 : 0;
}
