// The alert rules, the firing alerts, and the webhook messages on their way. An alert is sent once when it fires and
// once when it is resolved, in this order. A message stays here until its webhook accepts it, and every retry has the
// same id.
import { type Failure, fail } from "../errors.ts";
import {
  ALERT_GIVE_UP_MS,
  ALERT_RETRY_MS,
  MAX_ALERT_DELIVERIES,
  MAX_ALERT_RETRY_MS,
  MAX_ALERT_RULES,
  MAX_ALERT_TEXT_CHARS,
  MAX_ALERTS_STANDING,
  MAX_SENT_TO_WEBHOOK,
} from "../limits.ts";
import type {
  AlertInfo,
  AlertRule,
  AlertStatus,
  Delivery,
  Firing,
  LastDelivery,
  Reading,
  SecretRule,
} from "./alert.ts";

/** A subject that meets a rule. */
interface Standing {
  readonly subject: string;
  readonly sinceMs: number;
  readonly value: number;
  readonly text: string;
  /** False until the condition has held for as long as the rule requires. */
  readonly isFiring: boolean;
}

interface Entry {
  readonly rule: SecretRule;
  readonly standing: Map<string, Standing>;
  /** The number of further subjects that meet the rule but have no room. */
  beyond: number;
  lastDelivery: LastDelivery | null;
}

/** Returns the state of every subject of a rule. */
export type Read = (rule: AlertRule) => readonly Reading[];

export class AlertBook {
  readonly #entries = new Map<string, Entry>();
  #deliveries: Delivery[] = [];
  /** The ids of the messages being sent. */
  readonly #inFlight = new Set<string>();
  /** The next time at which an alert may change without a new report. */
  #changesMs: number | null = null;
  readonly #newId: () => string;

  /** `newId` must return a new, unique id each time. */
  constructor(newId: () => string) {
    this.#newId = newId;
  }

  get isEmpty(): boolean {
    return this.#entries.size === 0 && this.#deliveries.length === 0;
  }

  ruleOf(name: string): SecretRule | undefined {
    return this.#entries.get(name)?.rule;
  }

  /** [ALR-1] Sets a rule. Alerts that already fire continue if they still meet the rule. */
  set(rule: SecretRule): Failure | null {
    const known = this.#entries.get(rule.name);
    if (known === undefined && this.#entries.size >= MAX_ALERT_RULES)
      return fail(
        "INVALID_REQUEST",
        `there are ${MAX_ALERT_RULES} alerts already, and that is the bound`,
      );
    const { standing = new Map(), lastDelivery = null, beyond = 0 } = known ?? {};
    this.#entries.set(rule.name, { rule, standing, lastDelivery, beyond });
    // Messages that wait for the old webhook go to the new one at once.
    if (known?.rule.webhook !== rule.webhook || known?.rule.secret !== rule.secret)
      this.#deliveries = this.#deliveries.map((delivery) =>
        delivery.rule.name === rule.name ? { ...delivery, attempts: 0, nextMs: 0 } : delivery,
      );
    return null;
  }

  /** [ALR-1] Removes a rule and resolves its firing alerts. Returns false if there is no such rule. */
  remove(name: string, nowMs: number): boolean {
    const entry = this.#entries.get(name);
    if (entry === undefined) return false;
    for (const standing of entry.standing.values()) {
      const text = `the alert was removed; ${standing.text}`;
      if (standing.isFiring) this.#send(entry.rule, "resolved", { ...standing, text }, nowMs);
    }
    return this.#entries.delete(name);
  }

  /** Sends a test message to the webhook. Returns false if the rule has none. */
  test(name: string, nowMs: number): boolean {
    const rule = this.ruleOf(name);
    if (rule === undefined || rule.webhook === null) return false;
    const text = `this is a test of the alert ${name}`;
    this.#send(rule, "test", { subject: rule.match, value: 0, text, sinceMs: nowMs }, nowMs);
    return true;
  }

  infos(): AlertInfo[] {
    return Array.from(this.#entries.values(), ({ rule, standing, beyond, lastDelivery }) => {
      const { secret: _, ...shown } = rule;
      const firing = [...standing.values()].filter(({ isFiring }) => isFiring);
      return { ...shown, firing: firing.map(firingOf), beyond, lastDelivery };
    });
  }

  /** [ALR-2] Checks every subject of all rules. Returns true if the book must be stored. */
  evaluate(read: Read, nowMs: number): boolean {
    this.#changesMs = null;
    let isChanged = false;
    for (const entry of this.#entries.values())
      if (this.#evaluate(entry, read(entry.rule), nowMs)) isChanged = true;
    return isChanged;
  }

  #evaluate(entry: Entry, readings: readonly Reading[], nowMs: number): boolean {
    const { rule, standing } = entry;
    // Each rule has a share of the room, so one rule's subjects cannot crowd out another's.
    const share = Math.floor(MAX_ALERTS_STANDING / this.#entries.size);
    entry.beyond = 0;
    let isChanged = false;
    const met = new Set<string>();
    const calm = new Map<string, Reading>();
    for (const reading of readings) {
      const { subject, isMet, changesMs } = reading;
      if (changesMs !== undefined) this.#changeBy(changesMs);
      if (!isMet) {
        calm.set(subject, reading);
        continue;
      }
      if (!standing.has(subject) && standing.size >= share) {
        entry.beyond++;
        continue;
      }
      met.add(subject);
      if (this.#stand(rule, standing, reading, nowMs)) isChanged = true;
    }
    for (const [subject, stood] of standing) {
      if (met.has(subject)) continue;
      standing.delete(subject);
      isChanged = true;
      const { value, text } = calm.get(subject) ?? { value: 0, text: `${subject} is gone` };
      if (stood.isFiring) this.#send(rule, "resolved", { ...stood, value, text }, nowMs);
    }
    return isChanged;
  }

  /** Notes that a reading meets the rule. Returns true if the book must be stored. */
  #stand(
    rule: SecretRule,
    standing: Map<string, Standing>,
    { subject, value, text }: Reading,
    nowMs: number,
  ): boolean {
    const known = standing.get(subject);
    // The clock may have been set back.
    const sinceMs = Math.min(known?.sinceMs ?? nowMs, nowMs);
    const firesMs = sinceMs + rule.forSeconds * 1_000;
    const wasFiring = known?.isFiring ?? false;
    const isFiring = wasFiring || nowMs >= firesMs;
    const now = { subject, value, text: text.slice(0, MAX_ALERT_TEXT_CHARS), sinceMs, isFiring };
    standing.set(subject, now);
    if (!isFiring) this.#changeBy(firesMs);
    if (isFiring && !wasFiring) this.#send(rule, "firing", now, nowMs);
    return known === undefined || isFiring !== wasFiring;
  }

  #changeBy(ms: number): void {
    this.#changesMs = Math.min(this.#changesMs ?? ms, ms);
  }

  #send(rule: SecretRule, status: AlertStatus, about: Firing, nowMs: number): void {
    const { webhook } = rule;
    if (webhook === null) return;
    const { subject, value, text, sinceMs } = about;
    this.#deliveries.push({
      ...{ id: this.#newId(), rule: { ...rule, webhook }, subject, status, value, text, sinceMs },
      ...{ atMs: nowMs, attempts: 0, nextMs: nowMs },
    });
    // A webhook that has not accepted a thousand messages misses the oldest ones.
    this.#deliveries = this.#deliveries.slice(-MAX_ALERT_DELIVERIES);
  }

  /** The next time at which something must be done. Null if there is nothing to do. */
  get nextMs(): number | null {
    const times = this.#sendable().map(({ nextMs }) => nextMs);
    if (this.#changesMs !== null) times.push(this.#changesMs);
    return times.length === 0 ? null : Math.min(...times);
  }

  /** Messages of one alert go one after another. Test messages have a queue of their own. */
  #sendable(): Delivery[] {
    const seen = new Set<string>();
    return this.#deliveries.filter(({ id, rule, subject, status }) => {
      const line = JSON.stringify([rule.name, status === "test", subject]);
      const isFirst = !seen.has(line);
      seen.add(line);
      return isFirst && !this.#inFlight.has(id);
    });
  }

  /**
   * [ALR-3] Returns the messages to send now, a few to each webhook, so a webhook that hangs does not delay others.
   * They are in flight until `answered`. Each is scheduled again as if it had failed, because the sender may die.
   */
  takeDue(nowMs: number): Delivery[] {
    const busy = new Map<string, number>();
    for (const { id, rule } of this.#deliveries)
      if (this.#inFlight.has(id)) busy.set(rule.webhook, (busy.get(rule.webhook) ?? 0) + 1);
    const taken = new Map<string, Delivery>();
    for (const waiting of this.#sendable()) {
      // After the clock was set back, a message from the future is due as if it were made now.
      const isOfFuture = waiting.atMs > nowMs;
      if (waiting.nextMs > nowMs && !isOfFuture) continue;
      const { rule } = waiting;
      const { webhook = rule.webhook, secret = rule.secret } = this.ruleOf(rule.name) ?? {};
      if (webhook === null) {
        this.#deliveries = this.#deliveries.filter(({ id }) => id !== waiting.id);
        continue;
      }
      const count = busy.get(webhook) ?? 0;
      if (count >= MAX_SENT_TO_WEBHOOK) continue;
      busy.set(webhook, count + 1);
      const waitMs = Math.min(ALERT_RETRY_MS * 2 ** waiting.attempts, MAX_ALERT_RETRY_MS);
      taken.set(waiting.id, {
        ...{ ...waiting, rule: { ...rule, webhook, secret }, attempts: waiting.attempts + 1 },
        ...{ atMs: Math.min(waiting.atMs, nowMs), nextMs: nowMs + waitMs },
      });
      this.#inFlight.add(waiting.id);
    }
    this.#deliveries = this.#deliveries.map((each) => taken.get(each.id) ?? each);
    return [...taken.values()];
  }

  /** Notes a webhook's answer to a message. A message that was not accepted is retried for a day. */
  answered({ id, rule, atMs }: Delivery, isTaken: boolean, detail: string, nowMs: number): void {
    this.#inFlight.delete(id);
    const isGivenUp = !isTaken && nowMs - atMs >= ALERT_GIVE_UP_MS;
    if (isTaken || isGivenUp)
      this.#deliveries = this.#deliveries.filter((delivery) => delivery.id !== id);
    const entry = this.#entries.get(rule.name);
    if (entry === undefined) return;
    const outcome = isTaken ? "delivered" : isGivenUp ? "given up" : "failing";
    entry.lastDelivery = { atMs: nowMs, outcome, detail: detail.slice(0, MAX_ALERT_TEXT_CHARS) };
  }

  toJSON() {
    const entries = Array.from(this.#entries.values(), ({ rule, standing, lastDelivery }) => ({
      ...{ rule, standing: [...standing.values()], lastDelivery },
    }));
    return { version: 1, entries, deliveries: this.#deliveries };
  }

  /** Restores a book from `toJSON`. Unreadable parts are left out. */
  static fromJSON(json: unknown, newId: () => string): AlertBook {
    const book = new AlertBook(newId);
    const { entries, deliveries } = (json ?? {}) as { entries?: unknown; deliveries?: unknown };
    for (const { rule, standing, lastDelivery = null } of listOf<StoredEntry>(entries)) {
      if (!isRule(rule)) continue;
      const stood = listOf<Standing>(standing).map((each) => [each.subject, each] as const);
      book.#entries.set(rule.name, { rule, standing: new Map(stood), lastDelivery, beyond: 0 });
    }
    book.#deliveries = listOf<Delivery>(deliveries).filter(({ rule }) => isRule(rule));
    return book;
  }
}

interface StoredEntry {
  readonly rule?: SecretRule;
  readonly standing?: unknown;
  readonly lastDelivery?: LastDelivery | null;
}

function listOf<T>(value: unknown): T[] {
  return (Array.isArray(value) ? value : []).filter(
    (each) => typeof each === "object" && each !== null,
  );
}

function isRule(rule: Partial<SecretRule> | undefined): rule is SecretRule {
  const texts = [rule?.name, rule?.type, rule?.match, rule?.secret];
  const numbers = [rule?.threshold, rule?.forSeconds];
  return (
    texts.every((text) => typeof text === "string") &&
    numbers.every((each) => Number.isFinite(each))
  );
}

function firingOf({ subject, sinceMs, value, text }: Standing): Firing {
  return { subject, sinceMs, value, text };
}
