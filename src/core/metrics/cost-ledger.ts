// The cost of each topic and group, computed from the counters of its objects. The parts add up to the total: anything
// that belongs to no topic or group is overhead, and is shown as such. The prices are those of prices.ts, without the
// amounts that a plan includes, because other Workers of the account share those.
import { MAX_COST_OWNERS } from "../limits.ts";
import { MESSAGES_PER_REQUEST, marginalDollars, OBJECT_GB, SECONDS_PER_MONTH } from "./prices.ts";
import { NO_USAGE, sumOf, type Usage } from "./usage.ts";

export const OWNER_KINDS = ["topic", "group", "overhead"] as const;
export type OwnerKind = (typeof OWNER_KINDS)[number];

export interface Owner {
  readonly kind: OwnerKind;
  /** The name of the topic or group, or of a part of the broker: cluster, metrics, worker. */
  readonly name: string;
}

/** Billed units in a period. */
export interface Spent {
  readonly usage: Usage;
  /** Requests of the Worker, which have their own price. */
  readonly workerRequests: number;
  /** Stored bytes, times the seconds for which they were stored. */
  readonly byteSeconds: number;
  /** Appended records, their bytes, and the bytes sent to readers. They are not billed themselves. */
  readonly recordsIn: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export const NOTHING_SPENT: Spent = {
  ...{ usage: NO_USAGE, workerRequests: 0, byteSeconds: 0 },
  ...{ recordsIn: 0, bytesIn: 0, bytesOut: 0 },
};

/** The usage of an object since its last report. `storedBytes` is its size from now on. */
export interface Used extends Partial<Omit<Spent, "byteSeconds">> {
  readonly usage: Usage;
  readonly storedBytes: number;
}

export interface CostLine extends Owner {
  readonly today: Spent;
  readonly month: Spent;
  /** Dollars per hour, extrapolated from the last minutes. */
  readonly perHour: number;
  readonly dollarsToday: number;
  readonly dollarsThisMonth: number;
  /** The month's total if the rest of the month costs as much per hour as now. */
  readonly dollarsProjected: number;
  /** The current traffic. */
  readonly rates: Rates;
}

/** Traffic of the last minutes, per second. */
export interface Rates {
  readonly recordsIn: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

interface Minute extends Rates {
  readonly minute: number;
  readonly dollars: number;
}

interface Account {
  readonly owner: Owner;
  day: string;
  month: string;
  today: Spent;
  thisMonth: Spent;
  /** The minutes with reports, the oldest first. */
  recent: Minute[];
  /** The stored bytes of each of its objects. */
  readonly stored: Map<string, number>;
  storedSinceMs: number;
}

/** An account in its stored form. */
interface StoredAccount {
  readonly kind: OwnerKind;
  readonly name: string;
  readonly day: string;
  readonly month: string;
  readonly today: Spent;
  readonly thisMonth: Spent;
  readonly stored: Readonly<Record<string, number>>;
  readonly storedSinceMs: number;
}

/** The number of minutes for current rates. Objects report once a minute. */
const RECENT_MINUTES = 5;
const MINUTE_MS = 60_000;
const GB = 1e9;

export class CostLedger {
  readonly #accounts = new Map<string, Account>();

  /**
   * Adds the usage of an object since its last report. Beyond MAX_COST_OWNERS, further owners count as overhead under
   * "others".
   */
  add(owner: Owner, object: string, { storedBytes, ...used }: Used, nowMs: number): void {
    const account = this.#account(owner, nowMs);
    this.#turn(account, nowMs);
    const spent = { ...NOTHING_SPENT, ...used };
    account.today = added(account.today, spent);
    account.thisMonth = added(account.thisMonth, spent);
    account.stored.set(object, storedBytes);
    const minute = Math.floor(nowMs / MINUTE_MS);
    const last = account.recent.at(-1);
    const known = last?.minute === minute ? account.recent.pop() : undefined;
    account.recent.push({
      minute,
      dollars: (known?.dollars ?? 0) + dollarsOf(spent),
      recordsIn: (known?.recordsIn ?? 0) + spent.recordsIn,
      bytesIn: (known?.bytesIn ?? 0) + spent.bytesIn,
      bytesOut: (known?.bytesOut ?? 0) + spent.bytesOut,
    });
    while ((account.recent[0]?.minute ?? minute) <= minute - RECENT_MINUTES) account.recent.shift();
  }

  /** Forgets the stored bytes of an object that is gone. Its past cost stays. */
  removeObject(owner: Owner, object: string, nowMs: number): void {
    const account = this.#accounts.get(keyOf(owner));
    if (account === undefined) return;
    this.#turn(account, nowMs);
    account.stored.delete(object);
  }

  /** Returns today's cost in dollars, for a budget. */
  dollarsToday(owner: Owner, nowMs: number): number {
    const account = this.#accounts.get(keyOf(owner));
    if (account === undefined) return 0;
    this.#turn(account, nowMs);
    return dollarsOf(account.today);
  }

  /** Returns the cost of each owner, the most expensive of this month first. */
  lines(nowMs: number): CostLine[] {
    this.#forgetUnused(nowMs);
    const lines = Array.from(this.#accounts.values(), (account) => {
      const { owner, today, thisMonth } = account;
      const perHour = this.#perHour(account, nowMs);
      const dollarsThisMonth = dollarsOf(thisMonth);
      const left = hoursLeft(nowMs);
      return {
        ...owner,
        ...{ today, month: thisMonth, perHour, dollarsToday: dollarsOf(today), dollarsThisMonth },
        dollarsProjected: dollarsThisMonth + perHour * left,
        rates: ratesOf(account, nowMs),
      };
    });
    return lines.sort((a, b) => b.dollarsThisMonth - a.dollarsThisMonth);
  }

  /** Forgets owners without a cost this month and without stored bytes: they are gone. */
  #forgetUnused(nowMs: number): void {
    for (const [key, account] of this.#accounts) {
      this.#turn(account, nowMs);
      if (account.stored.size === 0 && dollarsOf(account.thisMonth) === 0)
        this.#accounts.delete(key);
    }
  }

  #perHour({ recent, stored }: Account, nowMs: number): number {
    const dollars = counted(recent, nowMs).reduce((sum, each) => sum + each.dollars, 0);
    const byteSeconds = bytesOf(stored) * 3_600;
    const storing = dollarsOf({ ...NOTHING_SPENT, byteSeconds });
    return (dollars * 60) / RECENT_MINUTES + storing;
  }

  #account(owner: Owner, nowMs: number): Account {
    const key = keyOf(owner);
    const known = this.#accounts.get(key);
    if (known !== undefined) return known;
    const isFull = this.#accounts.size >= MAX_COST_OWNERS && owner.name !== OTHERS.name;
    if (isFull) return this.#account(OTHERS, nowMs);
    const account: Account = {
      ...{ owner, day: dayOf(nowMs), month: monthOf(nowMs) },
      ...{ today: NOTHING_SPENT, thisMonth: NOTHING_SPENT },
      ...{ recent: [], stored: new Map(), storedSinceMs: nowMs },
    };
    this.#accounts.set(key, account);
    return account;
  }

  /** Updates an account to the current time: storage costs accrue continuously, and a day or a month may have begun. */
  #turn(account: Account, nowMs: number): void {
    const seconds = Math.max(0, nowMs - account.storedSinceMs) / 1_000;
    const byteSeconds = bytesOf(account.stored) * seconds;
    account.storedSinceMs = nowMs;
    const kept = { ...NOTHING_SPENT, byteSeconds };
    const [day, month] = [dayOf(nowMs), monthOf(nowMs)];
    account.today = account.day === day ? added(account.today, kept) : NOTHING_SPENT;
    account.thisMonth = account.month === month ? added(account.thisMonth, kept) : NOTHING_SPENT;
    account.day = day;
    account.month = month;
  }

  toJSON(): { readonly version: 1; readonly accounts: readonly StoredAccount[] } {
    const accounts = Array.from(
      this.#accounts.values(),
      ({ owner, stored, recent: _, ...rest }) => ({
        ...{ ...owner, ...rest },
        stored: Object.fromEntries(stored),
      }),
    );
    return { version: 1, accounts };
  }

  /** Restores a ledger from `toJSON`. Unreadable parts are left out. */
  static fromJSON(json: unknown): CostLedger {
    const ledger = new CostLedger();
    const accounts = (json as { accounts?: unknown } | null)?.accounts;
    for (const each of Array.isArray(accounts) ? (accounts as Partial<StoredAccount>[]) : []) {
      const { kind, name, day, month, today, thisMonth, stored = {}, storedSinceMs } = each ?? {};
      if (kind === undefined || name === undefined || day === undefined || month === undefined)
        continue;
      ledger.#accounts.set(keyOf({ kind, name }), {
        ...{ owner: { kind, name }, day, month, recent: [] },
        ...{ today: { ...NOTHING_SPENT, ...today }, thisMonth: { ...NOTHING_SPENT, ...thisMonth } },
        ...{ stored: new Map(Object.entries(stored)), storedSinceMs: storedSinceMs ?? 0 },
      });
    }
    return ledger;
  }
}

/** Returns the minutes that count for current rates. */
function counted(recent: readonly Minute[], nowMs: number): readonly Minute[] {
  const minute = Math.floor(nowMs / MINUTE_MS);
  return recent.filter((each) => each.minute > minute - RECENT_MINUTES);
}

function ratesOf({ recent }: Account, nowMs: number): Rates {
  const minutes = counted(recent, nowMs);
  const perSecond = (field: keyof Rates) =>
    minutes.reduce((sum, each) => sum + each[field], 0) / (RECENT_MINUTES * 60);
  return {
    recordsIn: perSecond("recordsIn"),
    bytesIn: perSecond("bytesIn"),
    bytesOut: perSecond("bytesOut"),
  };
}

/** The sum of the owners that are too many to be listed. */
const OTHERS: Owner = { kind: "overhead", name: "others" };

function keyOf({ kind, name }: Owner): string {
  return `${kind} ${name}`;
}

function bytesOf(stored: ReadonlyMap<string, number>): number {
  let bytes = 0;
  for (const each of stored.values()) bytes += each;
  return bytes;
}

function added(a: Spent, b: Spent): Spent {
  return {
    usage: sumOf(a.usage, b.usage),
    workerRequests: a.workerRequests + b.workerRequests,
    byteSeconds: a.byteSeconds + b.byteSeconds,
    recordsIn: a.recordsIn + b.recordsIn,
    bytesIn: a.bytesIn + b.bytesIn,
    bytesOut: a.bytesOut + b.bytesOut,
  };
}

/** Returns the cost in dollars, at the marginal price. */
export function dollarsOf({ usage, workerRequests, byteSeconds }: Spent): number {
  const { rowsWritten, rowsRead, requests, messages, awakeMs } = usage;
  return (
    marginalDollars("rowsWritten", rowsWritten) +
    marginalDollars("rowsRead", rowsRead) +
    marginalDollars("objectRequests", requests + messages / MESSAGES_PER_REQUEST) +
    marginalDollars("duration", (awakeMs / 1_000) * OBJECT_GB) +
    marginalDollars("workerRequests", workerRequests) +
    marginalDollars("stored", byteSeconds / SECONDS_PER_MONTH / GB)
  );
}

/** Days and months are in UTC, as on the bill. */
function dayOf(nowMs: number): string {
  return new Date(nowMs).toISOString().slice(0, 10);
}

function monthOf(nowMs: number): string {
  return dayOf(nowMs).slice(0, 7);
}

function hoursLeft(nowMs: number): number {
  const now = new Date(nowMs);
  const next = Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1);
  return (next - nowMs) / 3_600_000;
}
