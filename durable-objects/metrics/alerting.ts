// The alerts and the budgets of the MetricsObject. It looks at them while somebody tells something, and when something is
// known to change by then, such as a lag that grows older. Nobody is woken for it but the MetricsObject.
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
  /** Has the alarm ring by the time that `nextMs` says. */
  readonly schedule: () => Promise<void>;
}

/** Who the audit log says has found a budget used up. */
const METER = { ...ROOT, principal: "User:dollar-meter" };

export class Alerting {
  readonly budgets: BudgetBook;
  readonly #parts: AlertingParts;
  readonly #book: AlertBook;
  #lookedMs = 0;
  /** True if something was told since the rules were looked at. */
  #isUnlooked = true;
  #isSavePending = false;
  /** The batches of what principals have cost that were taken. */
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

  /** Notes that something was told, or is gone: rules have to be looked at. */
  note(): void {
    this.#isUnlooked = true;
  }

  /** Takes what a snapshot says of a budget. */
  takeSnapshot(snapshot: AnySnapshot, nowMs: number): void {
    if (snapshot.kind !== "partition") return;
    const { topic, budgetDollars = null } = snapshot;
    this.budgets.setTopic(topic, budgetDollars, nowMs);
  }

  /** [BGT-3] Takes what principals have cost. A batch that comes again counts once. */
  takeSpent({ id, spent }: SpentBatch, nowMs: number): void {
    if (this.#batches.has(id)) return;
    this.#batches.add(id);
    const [oldest] = this.#batches;
    if (this.#batches.size > MAX_SPENT_BATCHES && oldest !== undefined)
      this.#batches.delete(oldest);
    for (const each of spent) this.budgets.spend(each, nowMs);
  }

  /** [BGT-4] Tells the audit log what budgets have come to. */
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

  /** When something is to be done. Null if nothing is, until something is told. */
  get nextMs(): number | null {
    const { nextMs } = this.#book;
    if (!this.#isUnlooked || this.#book.isEmpty) return nextMs;
    return Math.min(nextMs ?? Number.POSITIVE_INFINITY, this.#lookedMs + ALERT_LOOK_MS);
  }

  infos(): AlertInfo[] {
    return this.#book.infos();
  }

  /** Sets a rule, and returns its secret if it has a new one. */
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

  /** Looks at all that rules are about, if it is time, and sends what is due. */
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
   * [ALR-3] Sends what is due. That it will be due again is stored first, so that it is sent if this object dies meanwhile.
   * Nobody waits for the webhooks: whatever one of them has answered, the next message goes.
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
