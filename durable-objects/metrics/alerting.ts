// The alerts and the budgets of the MetricsObject. It evaluates them when reports come in, and at times when
// something is known to change, such as a lag that grows older. Only the MetricsObject is woken for this.
import { auditLog } from "../../src/audit-log.ts";
import { ROOT } from "../../src/core/access/caller.ts";
import { CLUSTER, topicResource } from "../../src/core/access/grants.ts";
import type { SpentBatch } from "../../src/core/access/principal-budgets.ts";
import type { AlertInfo, AlertRule, Delivery } from "../../src/core/alerts/alert.ts";
import { AlertBook } from "../../src/core/alerts/alert-book.ts";
import { readingsFor } from "../../src/core/alerts/readings.ts";
import { BrokerError } from "../../src/core/errors.ts";
import { ALERT_LOOK_MS, MAX_SPENT_BATCHES } from "../../src/core/limits.ts";
import { BudgetBook, type BudgetStep } from "../../src/core/metrics/budgets.ts";
import type { CostLedger } from "../../src/core/metrics/cost-ledger.ts";
import type { MetricsState } from "../../src/core/metrics/metrics-state.ts";
import type { AnySnapshot } from "../../src/core/metrics/snapshot.ts";
import type { Env } from "../../src/env.ts";
import { newSecret, sendToWebhook } from "./webhook.ts";

export interface AlertingParts {
  readonly env: Env;
  readonly state: MetricsState;
  readonly costs: CostLedger;
  readonly waitUntil: (promise: Promise<unknown>) => void;
  /** Stores what `toJSON` returns. */
  readonly save: () => void;
  /** Sets the alarm for `nextMs`. */
  readonly schedule: () => Promise<void>;
}

/** The principal that the audit log names for used-up budgets. */
const METER = { ...ROOT, principal: "User:dollar-meter" };

export class Alerting {
  readonly budgets: BudgetBook;
  readonly #parts: AlertingParts;
  readonly #book: AlertBook;
  #lookedMs = 0;
  /** True if there were reports since the rules were evaluated. */
  #isUnlooked = true;
  #isSavePending = false;
  /** The batches of principals' costs that have been counted. */
  readonly #batches = new Set<string>();

  constructor(parts: AlertingParts, stored: unknown) {
    const { book, budgets } = (stored ?? {}) as { book?: unknown; budgets?: unknown };
    this.#parts = parts;
    this.#book = AlertBook.fromJSON(book, () => `msg_${crypto.randomUUID()}`);
    this.budgets = new BudgetBook((topic, nowMs) =>
      parts.costs.dollarsToday({ kind: "topic", name: topic }, nowMs),
    );
    this.budgets.restore(budgets);
  }

  toJSON() {
    return { version: 1, book: this.#book, budgets: this.budgets };
  }

  get isEmpty(): boolean {
    return this.#book.isEmpty && this.budgets.isEmpty;
  }

  /** Notes a report, or that an object is gone: the rules have to be evaluated. */
  note(): void {
    this.#isUnlooked = true;
  }

  /** Takes the budget that a snapshot reports. */
  takeSnapshot(snapshot: AnySnapshot, nowMs: number): void {
    if (snapshot.kind !== "partition") return;
    const { topic, budgetDollars = null } = snapshot;
    this.budgets.setTopic(topic, budgetDollars, nowMs);
  }

  /** [BGT-3] Adds costs of principals. A repeated batch counts once. */
  takeSpent({ id, spent }: SpentBatch, nowMs: number): void {
    if (this.#batches.has(id)) return;
    this.#batches.add(id);
    const [oldest] = this.#batches;
    if (this.#batches.size > MAX_SPENT_BATCHES && oldest !== undefined)
      this.#batches.delete(oldest);
    for (const each of spent) this.budgets.spend(each, nowMs);
  }

  /** [BGT-4] Adds budgets that have reached a step to the audit log. */
  noteSteps(nowMs: number): void {
    for (const step of this.budgets.takeSteps(nowMs)) this.#noteStep(step);
  }

  /** [BGT-4] */
  #noteStep(step: BudgetStep): void {
    const { kind, name, dollarsPerDay, level } = step;
    const resource = kind === "topic" ? topicResource(name) : CLUSTER;
    const used = level === 2 ? "all" : "80 %";
    const detail = `${kind} ${name} has used ${used} of its budget of $${dollarsPerDay} for today`;
    const { env, waitUntil } = this.#parts;
    const noted =
      level === 2
        ? ({ decision: "refused", action: "budgetUsedUp", resource, detail } as const)
        : ({ decision: "allowed", action: "budgetNearlyUsedUp", resource, detail } as const);
    auditLog.note(env, METER, { way: "rpc" }, noted, waitUntil);
  }

  /** The time of the next work. Null if there is none until the next report. */
  get nextMs(): number | null {
    const { nextMs } = this.#book;
    if (!this.#isUnlooked || this.#book.isEmpty) return nextMs;
    return Math.min(nextMs ?? Number.POSITIVE_INFINITY, this.#lookedMs + ALERT_LOOK_MS);
  }

  infos(): AlertInfo[] {
    return this.#book.infos();
  }

  /** Sets a rule. Returns its secret if it has a new one. */
  async set(rule: AlertRule, hasNewSecret: boolean): Promise<string | null> {
    const known = this.#book.ruleOf(rule.name);
    const secret = hasNewSecret || known === undefined ? newSecret() : known.secret;
    const refused = this.#book.set({ ...rule, secret });
    if (refused !== null) throw new BrokerError(refused.error, refused.detail);
    this.#look(Date.now());
    await this.#settle();
    return secret === known?.secret ? null : secret;
  }

  /** Removes a rule. Returns false if there is none. */
  async remove(name: string): Promise<boolean> {
    const isRemoved = this.#book.remove(name, Date.now());
    if (isRemoved) await this.#settle();
    return isRemoved;
  }

  /** Sends a test. Returns false if there is no such rule, or it has no webhook. */
  async test(name: string): Promise<boolean> {
    const isSent = this.#book.test(name, Date.now());
    if (isSent) await this.#settle();
    return isSent;
  }

  /** Evaluates the rules if it is time, and sends what is due. */
  ring(nowMs: number): void {
    if (this.#book.isEmpty) return;
    const isTime = nowMs - this.#lookedMs >= ALERT_LOOK_MS || nowMs < this.#lookedMs;
    const isDue = (this.#book.nextMs ?? nowMs + 1) <= nowMs;
    if (!isTime && !isDue) return;
    if (this.#look(nowMs)) this.#parts.save();
    this.#send(nowMs);
  }

  #look(nowMs: number): boolean {
    const { state } = this.#parts;
    this.#lookedMs = nowMs;
    this.#isUnlooked = false;
    return this.#book.evaluate((rule) => readingsFor(rule, state, this.budgets, nowMs), nowMs);
  }

  async #settle(): Promise<void> {
    this.#parts.save();
    this.#send(Date.now());
    await this.#parts.schedule();
  }

  /**
   * [ALR-3] Sends what is due. First it stores that the messages are due again, so that they are sent even if
   * this object dies. Webhooks do not wait for each other: each gets its next message, whatever the others
   * answered.
   */
  #send(nowMs: number): void {
    const due = this.#book.takeDue(nowMs);
    if (due.length === 0) return;
    this.#parts.save();
    for (const delivery of due) this.#parts.waitUntil(this.#sendOne(delivery));
  }

  async #sendOne(delivery: Delivery): Promise<void> {
    const { isTaken, detail } = await sendToWebhook(delivery, Date.now());
    this.#book.answered(delivery, isTaken, detail, Date.now());
    // Many answers may come at the same time. They are stored together.
    if (this.#isSavePending) return;
    this.#isSavePending = true;
    await Promise.resolve();
    this.#isSavePending = false;
    this.#parts.save();
    this.#send(Date.now());
    await this.#parts.schedule();
  }
}
