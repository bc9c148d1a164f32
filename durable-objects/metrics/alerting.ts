// The alerts and the budgets of the MetricsObject. It looks at them while somebody tells something, and when something is
// known to change by then, such as a lag that grows older. Nobody is woken for it but the MetricsObject.
import { auditLog } from "../../src/audit-log.ts";
import { ROOT } from "../../src/core/access/caller.ts";
import { CLUSTER, topicResource } from "../../src/core/access/grants.ts";
import type { PrincipalSpent } from "../../src/core/access/principal-budgets.ts";
import type { AlertInfo, AlertRule } from "../../src/core/alerts/alert.ts";
import { AlertBook } from "../../src/core/alerts/alert-book.ts";
import { readingsFor } from "../../src/core/alerts/readings.ts";
import { BrokerError } from "../../src/core/errors.ts";
import { ALERT_LOOK_MS, FAN_OUT } from "../../src/core/limits.ts";
import { mapConcurrently } from "../../src/core/map-concurrently.ts";
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

  /** Takes what a snapshot says of a budget, and what principals have cost. */
  take(snapshots: readonly AnySnapshot[], spent: readonly PrincipalSpent[], nowMs: number): void {
    for (const snapshot of snapshots) {
      if (snapshot.kind !== "partition") continue;
      const { topic: name, budgetDollars = null } = snapshot;
      this.budgets.set({ kind: "topic", name }, budgetDollars, nowMs);
    }
    for (const { principal: name, dollars, dollarsPerDay } of spent) {
      this.budgets.set({ kind: "principal", name }, dollarsPerDay, nowMs);
      this.budgets.add(name, dollars, nowMs);
    }
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

  get nextMs(): number | null {
    return this.#book.nextMs;
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
  async ring(nowMs: number): Promise<void> {
    if (this.#book.isEmpty) return;
    const isTime = nowMs - this.#lookedMs >= ALERT_LOOK_MS || nowMs < this.#lookedMs;
    const isDue = (this.#book.nextMs ?? nowMs + 1) <= nowMs;
    if (!isTime && !isDue) return;
    if (this.#look(nowMs)) this.#parts.save();
    await this.#send(nowMs);
  }

  #look(nowMs: number): boolean {
    const { state } = this.#parts;
    this.#lookedMs = nowMs;
    return this.#book.evaluate((rule) => readingsFor(rule, state, this.budgets, nowMs), nowMs);
  }

  async #settle(): Promise<void> {
    this.#parts.save();
    await this.#send(Date.now());
    await this.#parts.schedule();
  }

  /**
   * [ALR-3] Sends what is due. That it will be due again is stored first, so that it is sent if this object dies meanwhile.
   * Nobody waits for the webhooks.
   */
  async #send(nowMs: number): Promise<void> {
    const due = this.#book.takeDue(nowMs);
    if (due.length === 0) return;
    this.#parts.save();
    const sent = mapConcurrently(due, FAN_OUT, async (delivery) => {
      const { isTaken, detail } = await sendToWebhook(delivery, Date.now());
      this.#book.answered(delivery, isTaken, detail, Date.now());
      this.#parts.save();
    });
    this.#parts.waitUntil(sent.then(() => this.#parts.schedule()));
  }
}
