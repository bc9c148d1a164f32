// Budgets: the dollars that a topic or a principal may cost in a day of UTC. What a topic has cost is what its objects have
// counted. What a principal has cost is an estimate, by its requests: nobody counts rows by who has caused them.
//
// At 80 % the audit log is told, and at 100 % it is told again, and what costs is refused until midnight. Nothing is
// deleted. What is under way, and what is told once a minute, may go beyond.

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

/** How much of a budget is used. */
export interface BudgetUse extends BudgetOwner {
  readonly dollarsPerDay: number;
  readonly dollars: number;
  readonly percent: number;
  /** Midnight UTC, when it begins anew. */
  readonly endsMs: number;
}

/** A step that a budget has come to. */
export interface BudgetStep extends BudgetUse {
  readonly level: 1 | 2;
}

interface Budget extends BudgetOwner {
  /** As it was told last. Two keys of a principal may have different ones, and each is held to its own. */
  dollarsPerDay: number;
  /** What it has cost in the day, of a principal. A topic's cost is known by the meter. */
  dollars: number;
  day: number;
  /** The highest step of the day: 0, 1 when the warning was given, 2 when it is used up. */
  level: 0 | 1 | 2;
  /** Who makes the tokens whose own budget this is. Absent for those of keys and of topics. */
  readonly maker?: string | undefined;
}

const DAY_MS = 86_400_000;

export class BudgetBook {
  readonly #budgets = new Map<string, Budget>();
  /** The day of which the principals are. */
  #day = 0;
  readonly #spentBy: (topic: string, nowMs: number) => number;

  /** `spentBy` returns the dollars that a topic has cost today. */
  constructor(spentBy: (topic: string, nowMs: number) => number) {
    this.#spentBy = spentBy;
  }

  get isEmpty(): boolean {
    return this.#budgets.size === 0;
  }

  /** When today's budgets end: at midnight UTC. */
  endsMs(nowMs: number): number {
    return (dayOf(nowMs) + 1) * DAY_MS;
  }

  /** Notes the budget that a topic has now. Null if it has none any more. */
  setTopic(name: string, dollarsPerDay: number | null, nowMs: number): void {
    const key = keyOf({ kind: "topic", name });
    const known = this.#budgets.get(key);
    if (dollarsPerDay === null) this.#budgets.delete(key);
    else if (known !== undefined) known.dollarsPerDay = dollarsPerDay;
    else if (this.#count("topic") < MAX_BUDGETS)
      this.#budgets.set(key, newBudget({ kind: "topic", name }, dollarsPerDay, nowMs));
  }

  /** [BGT-3] Adds what a principal has cost. One beyond the bounds is not bounded itself, but whoever made its token is. */
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

  /** Forgets the principals of a day that is over: with their next request they come back. */
  #turnDay(nowMs: number): void {
    const day = dayOf(nowMs);
    if (!isLater(day, this.#day)) return;
    this.#day = day;
    for (const [key, budget] of this.#budgets)
      if (budget.kind === "principal" && budget.day !== day) this.#budgets.delete(key);
  }

  /** A topic was deleted. */
  removeTopic(name: string): void {
    this.#budgets.delete(keyOf({ kind: "topic", name }));
  }

  /** [BGT-4] Returns the steps that budgets have come to since this was last asked, each once a day. */
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

  /** Returns when a topic may go on: midnight if its budget is used up, or null. */
  topicUntilMs(name: string, nowMs: number): number | null {
    const budget = this.#budgets.get(keyOf({ kind: "topic", name }));
    if (budget === undefined) return null;
    const { percent, endsMs } = this.#useOf(budget, nowMs);
    return percent >= 100 ? endsMs : null;
  }

  /** Returns what principals have cost today: those named, and all that have used up what was told of them last. */
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

  /** Takes what `toJSON` gave. What cannot be read is left out. */
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

/** A clock that was set back over midnight begins no new day, unless it was set back by more. */
function isLater(day: number, known: number): boolean {
  return day > known || day < known - 1;
}

/** A day begins anew. */
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
