// Budgets: the dollars that a topic or a principal may cost in a day of UTC. What a topic has cost is what its objects have
// counted. What a principal has cost is an estimate, by its requests: nobody counts rows by who has caused them.
//
// At 80 % the audit log is told, and at 100 % it is told again, and what costs is refused until midnight. Nothing is
// deleted. What is under way, and what is told once a minute, may go beyond.
import { BUDGET_WARNING_PERCENT, MAX_BUDGETS } from "../limits.ts";

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
  dollarsPerDay: number;
  /** What it has cost in the day, of a principal. A topic's cost is known by the meter. */
  dollars: number;
  day: number;
  /** 0, 1 when the warning was given, 2 when it is used up. */
  level: 0 | 1 | 2;
}

const DAY_MS = 86_400_000;

export class BudgetBook {
  readonly #budgets = new Map<string, Budget>();
  readonly #spentBy: (topic: string, nowMs: number) => number;

  /** `spentBy` returns the dollars that a topic has cost today. */
  constructor(spentBy: (topic: string, nowMs: number) => number) {
    this.#spentBy = spentBy;
  }

  /** Notes the budget that an owner has now. Null if it has none any more. */
  set(owner: BudgetOwner, dollarsPerDay: number | null, nowMs: number): void {
    const key = keyOf(owner);
    if (dollarsPerDay === null) {
      this.#budgets.delete(key);
      return;
    }
    const known = this.#budgets.get(key);
    if (known !== undefined) known.dollarsPerDay = dollarsPerDay;
    else if (this.#budgets.size < MAX_BUDGETS)
      this.#budgets.set(key, { ...owner, dollarsPerDay, dollars: 0, day: dayOf(nowMs), level: 0 });
  }

  /** Adds what a principal has cost. */
  add(principal: string, dollars: number, nowMs: number): void {
    const budget = this.#budgets.get(keyOf({ kind: "principal", name: principal }));
    if (budget === undefined) return;
    turn(budget, nowMs);
    budget.dollars += dollars;
  }

  /** [BGT-2] Returns the steps that budgets have come to since this was last asked. */
  takeSteps(nowMs: number): BudgetStep[] {
    const steps: BudgetStep[] = [];
    for (const budget of this.#budgets.values()) {
      const use = this.#useOf(budget, nowMs);
      const level = levelOf(use.percent);
      if (level > budget.level && level !== 0) steps.push({ ...use, level });
      budget.level = level;
    }
    return steps;
  }

  /** Returns when an owner may go on: midnight if its budget is used up, or null. */
  usedUpUntilMs(owner: BudgetOwner, nowMs: number): number | null {
    const budget = this.#budgets.get(keyOf(owner));
    if (budget === undefined) return null;
    const { percent, endsMs } = this.#useOf(budget, nowMs);
    return percent >= 100 ? endsMs : null;
  }

  /** Returns the principals whose budgets are used up. */
  principalsUsedUp(nowMs: number): string[] {
    return this.uses(nowMs).flatMap(({ kind, name, percent }) =>
      kind === "principal" && percent >= 100 ? [name] : [],
    );
  }

  get isEmpty(): boolean {
    return this.#budgets.size === 0;
  }

  /** When today's budgets end: at midnight UTC. */
  endsMs(nowMs: number): number {
    return (dayOf(nowMs) + 1) * DAY_MS;
  }

  uses(nowMs: number): BudgetUse[] {
    return Array.from(this.#budgets.values(), (budget) => this.#useOf(budget, nowMs));
  }

  #useOf(budget: Budget, nowMs: number): BudgetUse {
    turn(budget, nowMs);
    const { kind, name, dollarsPerDay, day } = budget;
    const dollars = kind === "topic" ? this.#spentBy(name, nowMs) : budget.dollars;
    const percent = (100 * dollars) / dollarsPerDay;
    return { kind, name, dollarsPerDay, dollars, percent, endsMs: (day + 1) * DAY_MS };
  }

  toJSON(): readonly Budget[] {
    return [...this.#budgets.values()];
  }

  /** Takes what `toJSON` gave. What cannot be read is left out. */
  restore(json: unknown): void {
    for (const each of Array.isArray(json) ? (json as Partial<Budget>[]) : []) {
      const { kind, name, dollarsPerDay, dollars = 0, day = 0, level = 0 } = each ?? {};
      if ((kind !== "topic" && kind !== "principal") || typeof name !== "string") continue;
      if (typeof dollarsPerDay !== "number" || !(dollarsPerDay > 0)) continue;
      this.#budgets.set(keyOf({ kind, name }), { kind, name, dollarsPerDay, dollars, day, level });
    }
  }
}

function keyOf({ kind, name }: BudgetOwner): string {
  return `${kind} ${name}`;
}

function dayOf(nowMs: number): number {
  return Math.floor(nowMs / DAY_MS);
}

/** A day begins anew, also where the clock was set back. */
function turn(budget: Budget, nowMs: number): void {
  const day = dayOf(nowMs);
  if (budget.day === day) return;
  budget.day = day;
  budget.dollars = 0;
  budget.level = 0;
}

function levelOf(percent: number): 0 | 1 | 2 {
  if (percent >= 100) return 2;
  return percent >= BUDGET_WARNING_PERCENT ? 1 : 0;
}
