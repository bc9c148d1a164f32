// What the objects of each topic and group cost, from what they count. The parts add up to the total: whatever belongs to no
// topic and no group is overhead, and shown as that. Prices are those of prices.ts, without what a plan includes, because
// other Workers of the account share that.
import { MAX_COST_OWNERS } from "../limits.ts";
import { MESSAGES_PER_REQUEST, marginalDollars, OBJECT_GB, SECONDS_PER_MONTH } from "./prices.ts";
import { NO_USAGE, sumOf, type Usage } from "./usage.ts";

export const OWNER_KINDS = ["topic", "group", "overhead"] as const;
export type OwnerKind = (typeof OWNER_KINDS)[number];

export interface Owner {
  readonly kind: OwnerKind;
  /** The name of the topic or the group, or of the part of the broker: cluster, metrics, worker. */
  readonly name: string;
}

/** Units of what is billed, in a stretch of time. */
export interface Spent {
  readonly usage: Usage;
  /** Requests of the Worker, which have a price of their own. */
  readonly workerRequests: number;
  /** Bytes that were stored, times the seconds for which they were. */
  readonly byteSeconds: number;
  /** Records that were appended, their bytes, and the bytes that readers were sent. Nobody bills them here. */
  readonly recordsIn: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export const NOTHING_SPENT: Spent = {
  ...{ usage: NO_USAGE, workerRequests: 0, byteSeconds: 0 },
  ...{ recordsIn: 0, bytesIn: 0, bytesOut: 0 },
};

/** What an object has used since it last told. `storedBytes` is what it stores from now on. */
export interface Used extends Partial<Omit<Spent, "byteSeconds">> {
  readonly usage: Usage;
  readonly storedBytes: number;
}

export interface CostLine extends Owner {
  readonly today: Spent;
  readonly month: Spent;
  /** Dollars in the last hour, as the last minutes went on. */
  readonly perHour: number;
  readonly dollarsToday: number;
  readonly dollarsThisMonth: number;
  /** If the rest of the month goes on as the last hour. */
  readonly dollarsProjected: number;
  /** What goes through it now. */
  readonly rates: Rates;
}

/** What went through in the last minutes, by the second. */
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
  /** The minutes in which anything was told, the oldest first. */
  recent: Minute[];
  /** The bytes of each of its objects. */
  readonly stored: Map<string, number>;
  storedSinceMs: number;
}

/** What is left of a stored account. */
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

/** The rate of now is that of so many minutes. Objects tell once a minute. */
const RECENT_MINUTES = 5;
const MINUTE_MS = 60_000;
const GB = 1e9;

export class CostLedger {
  readonly #accounts = new Map<string, Account>();

  /**
   * Adds what an object has used since it last told. Beyond MAX_COST_OWNERS, what belongs to further owners is overhead,
   * under "others".
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

  /** Forgets what an object stores: it is gone. What it has cost stays. */
  removeObject(owner: Owner, object: string, nowMs: number): void {
    const account = this.#accounts.get(keyOf(owner));
    if (account === undefined) return;
    this.#turn(account, nowMs);
    account.stored.delete(object);
  }

  /** Returns dollars of today, for a budget. */
  dollarsToday(owner: Owner, nowMs: number): number {
    const account = this.#accounts.get(keyOf(owner));
    if (account === undefined) return 0;
    this.#turn(account, nowMs);
    return dollarsOf(account.today);
  }

  /** Returns what each owner costs, the dearest of this month first. */
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

  /** Forgets owners that have cost nothing in this month and store nothing: they are gone. */
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

  /** Brings an account up to now: what it stores costs all the time, and a day and a month may have begun. */
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

  /** Takes what `toJSON` gave. Whatever cannot be read is left out. */
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

/** Returns the minutes that count as now. */
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

/** What is owned by more owners than are told apart. */
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

/** Returns what it costs, at the marginal price. */
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

/** Days and months are those of UTC, as on the bill. */
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
