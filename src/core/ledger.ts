// Counts the memory of an isolate, of which the platform gives so much and no more. Only bytes that exist count, never
// bytes that were announced.
//
// A `Budget` is what all share. Each kind of holder has a `Ledger` in it, with a bound of its own: request bodies,
// answers, incomplete requests. Where a bound is passed, holders are let go: the largest of the lowest rank first. So a
// few large holders never shut out many small ones [BND-1], and many small ones of no account never shut out a large one
// of some. A holder that cannot be let go is refused instead.
//
// A `SpareRoom` counts what can be had again from elsewhere, such as a cache. The budget takes that back before it lets
// anybody go [BND-23].
//
// Code that is cancelled does not run to its end, so nothing gives its memory back. A holder that has not moved for
// HOLDER_SILENT_MS therefore no longer counts, until it moves again.
import { BrokerError } from "./errors.ts";
import { ANSWER_SHARES, HOLDER_SILENT_MS, MIN_ANSWER_SHARE_BYTES } from "./limits.ts";

/** Who goes first where somebody has to: the lowest of these. */
export const RANKS = { stranger: 0, muted: 1, slow: 2, known: 3 } as const;

/** The bytes that one holder has in a ledger. */
export interface Holding {
  /** The bytes that it counts with now. */
  readonly bytes: number;
  /**
   * Sets the number of bytes that it holds from now on, which is a move. If this passes a bound, holders are let go, the
   * one of the lowest rank and then with the most first. Another holder is told by its `evict`, and this one by the
   * exception. One that cannot be let go keeps what it had.
   * @throws BrokerError THROTTLING_QUOTA_EXCEEDED if it is this one's turn, or if it was let go before
   */
  set(bytes: number): void;
  /** Sets the number of bytes, of which nobody can be spared any: they exist. Nobody is let go for them. */
  note(bytes: number): void;
  /** Gives everything back. May be called more than once. */
  release(): void;
}

export class Budget {
  readonly maxBytes: number;
  readonly #nowMs: () => number;
  readonly #ledgers: Ledger[] = [];
  readonly #spares: SpareRoom[] = [];
  /** When each holder last moved. The one that has not moved for longest comes first. */
  readonly #moves = new Map<Holder, number>();
  #bytes = 0;

  constructor(maxBytes: number, nowMs: () => number) {
    this.maxBytes = maxBytes;
    this.#nowMs = nowMs;
  }

  /** The bytes of everybody. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The bytes that are free, or would be if everything that can be had again were dropped. */
  get roomBytes(): number {
    return this.maxBytes - this.#bytes + this.#spares.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Takes spare bytes back until so many are free. Returns false if there are not enough. Nobody is let go. */
  makeRoom(bytes: number): boolean {
    while (!this.hasFree(bytes)) if (!this.#takeBack()) return false;
    return true;
  }

  /** Lets everybody go and forgets them, as in a new isolate. */
  forgetEverything(): void {
    for (const each of [...this.#ledgers, ...this.#spares]) each.forgetEverything();
  }

  // Called by ledgers and spare rooms.

  join(part: Ledger | SpareRoom): void {
    if (part instanceof Ledger) this.#ledgers.push(part);
    else this.#spares.push(part);
  }

  /** Counts so many bytes more, or less. If there are too many, spare ones are taken back. */
  count(delta: number): void {
    this.#bytes += delta;
    if (delta > 0) this.makeRoom(0);
  }

  hasFree(bytes: number): boolean {
    return this.#bytes + bytes <= this.maxBytes;
  }

  get isOver(): boolean {
    return this.#bytes > this.maxBytes;
  }

  /** Returns the holder of all ledgers that is let go next. */
  nextToGo(growing: Holder): Holder {
    return this.#ledgers.reduce((next, ledger) => ledger.nextToGo(next, growing), growing);
  }

  moved(holder: Holder): void {
    this.#moves.delete(holder);
    this.#moves.set(holder, this.#nowMs());
  }

  forget(holder: Holder): void {
    this.#moves.delete(holder);
  }

  dropSilent(): void {
    const sinceMs = this.#nowMs() - HOLDER_SILENT_MS;
    for (const [holder, atMs] of this.#moves) {
      if (atMs >= sinceMs) return;
      holder.release();
    }
  }

  /** Takes back what is had again most easily. Returns false if there is nothing. */
  #takeBack(): boolean {
    return this.#spares.some((room) => room.takeBack());
  }
}

export class Ledger {
  readonly #budget: Budget;
  readonly #maxBytes: number;
  readonly #what: string;
  /** The holders that hold any bytes. */
  readonly #holders = new Set<Holder>();
  #bytes = 0;

  /** `what` is a plural that names the held things, for the error. */
  constructor(maxBytes: number, what: string, budget: Budget) {
    this.#maxBytes = maxBytes;
    this.#what = what;
    this.#budget = budget;
    budget.join(this);
  }

  /** The bytes of all holders together. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The bytes that one more holder may ask for, so that later ones find room as well. */
  get share(): number {
    const free = Math.min(this.#maxBytes - this.#bytes, this.#budget.roomBytes);
    return Math.max(MIN_ANSWER_SHARE_BYTES, Math.floor(free / ANSWER_SHARES));
  }

  /**
   * Adds a holder, which holds nothing yet. `evict` is called at most once, when it is let go. It must then free its
   * bytes. While `mayGo` returns false, it is not let go for another. `rank` is asked when somebody has to go.
   */
  hold(
    evict: (error: BrokerError) => void,
    mayGo: () => boolean = () => true,
    rank: () => number = () => RANKS.known,
  ): Holding {
    this.#budget.dropSilent();
    return new Holder(this, this.#budget, { evict, mayGo, rank, isFixed: false });
  }

  /** Adds a holder that cannot be let go. It is refused what there is no room for, and then holds what it held before. */
  holdFixed(): Holding {
    this.#budget.dropSilent();
    const rank = () => RANKS.known;
    return new Holder(this, this.#budget, {
      evict: () => {},
      mayGo: () => false,
      rank,
      isFixed: true,
    });
  }

  /** Lets everybody go and forgets them. */
  forgetEverything(): void {
    for (const holder of this.#holders) holder.release();
  }

  // Called by holders and the budget.

  /** Counts a change. Nobody is let go for it. */
  count(holder: Holder, delta: number): void {
    if (holder.bytes === 0) this.#holders.delete(holder);
    else this.#holders.add(holder);
    this.#bytes += delta;
    this.#budget.count(delta);
  }

  /** Lets holders go until the bounds are kept. @throws BrokerError THROTTLING_QUOTA_EXCEEDED if it is this one's turn */
  assertRoom(growing: Holder): void {
    if (this.#bytes <= this.#maxBytes && !this.#budget.isOver) return;
    this.#budget.dropSilent();
    // Without ranks one is enough: the one that is let go holds at least as much as the holder grew by.
    while (this.#bytes > this.#maxBytes) {
      const taken = `${this.#what} take ${this.#bytes} bytes, the bound is ${this.#maxBytes}`;
      letGo(this.nextToGo(growing, growing), growing, taken);
    }
    while (this.#budget.isOver) {
      const { bytes, maxBytes } = this.#budget;
      const taken = `everything that is in memory takes ${bytes} bytes, the bound is ${maxBytes}`;
      letGo(this.#budget.nextToGo(growing), growing, taken);
    }
  }

  /**
   * Returns the holder that is let go next: `first`, or one of those that may be, the largest of the lowest rank. Among
   * equals it is the one that grows, so two equal holders do not evict each other in turn.
   */
  nextToGo(first: Holder, growing: Holder): Holder {
    let next = first;
    let lowest = first.rank();
    for (const holder of this.#holders) {
      const rank = holder.rank();
      const isNext = rank < lowest || (rank === lowest && holder.bytes > next.bytes);
      if (!isNext || holder === growing || !holder.mayGo()) continue;
      next = holder;
      lowest = rank;
    }
    return next;
  }
}

/** @throws BrokerError if the one that goes is the one that grows */
function letGo(next: Holder, growing: Holder, taken: string): void {
  const error = new BrokerError(
    "THROTTLING_QUOTA_EXCEEDED",
    `${taken}, and of those that go first this one takes the most, ${next.bytes}`,
  );
  if (next === growing) throw error;
  next.letGo(error);
}

interface HolderOptions {
  readonly evict: (error: BrokerError) => void;
  readonly mayGo: () => boolean;
  readonly rank: () => number;
  readonly isFixed: boolean;
}

class Holder implements Holding {
  readonly #ledger: Ledger;
  readonly #budget: Budget;
  readonly #options: HolderOptions;
  #bytes = 0;
  #gone: BrokerError | null = null;

  constructor(ledger: Ledger, budget: Budget, options: HolderOptions) {
    this.#ledger = ledger;
    this.#budget = budget;
    this.#options = options;
  }

  get bytes(): number {
    return this.#bytes;
  }

  mayGo(): boolean {
    return this.#options.mayGo();
  }

  rank(): number {
    return this.#options.rank();
  }

  set(bytes: number): void {
    if (this.#gone !== null) throw this.#gone;
    const before = this.#bytes;
    this.note(bytes);
    if (bytes <= before) return;
    try {
      this.#ledger.assertRoom(this);
    } catch (error) {
      if (this.#options.isFixed) this.note(before);
      else this.#leave(error as BrokerError);
      throw error;
    }
  }

  note(bytes: number): void {
    const delta = bytes - this.#bytes;
    this.#bytes = bytes;
    // A holder that holds nothing is not kept for its last move. Others may hang on it.
    if (bytes === 0) this.#budget.forget(this);
    else this.#budget.moved(this);
    this.#ledger.count(this, delta);
  }

  release(): void {
    if (this.#bytes > 0) this.note(0);
  }

  /** Stops counting its bytes. It can hold none from now on. */
  letGo(error: BrokerError): void {
    this.#leave(error);
    this.#options.evict(error);
  }

  #leave(error: BrokerError): void {
    this.release();
    this.#gone = error;
  }
}

/** Something that can be dropped, because it can be had again. */
export interface Spare {
  /** Drops what it holds. It may hold something again later. */
  drop(): void;
}

/** The bytes of one spare thing. */
export interface SpareHolding {
  readonly bytes: number;
  set(bytes: number): void;
  /** Notes that it was of use. */
  used(): void;
  release(): void;
}

/**
 * Spare things of one kind. They are not kept alive by being here: an object that is evicted takes its own with it.
 * The one not used for longest is dropped first, or the largest.
 */
export class SpareRoom {
  readonly #budget: Budget;
  readonly #order: "oldest" | "largest";
  readonly #held = new Set<SpareHolder>();
  readonly #lost = new FinalizationRegistry<SpareHolder>((holder) => holder.release());
  #bytes = 0;

  constructor(order: "oldest" | "largest", budget: Budget) {
    this.#order = order;
    this.#budget = budget;
    budget.join(this);
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** How many of them hold anything. */
  get size(): number {
    return this.#held.size;
  }

  add(spare: Spare): SpareHolding {
    const holder = new SpareHolder(this, new WeakRef(spare));
    this.#lost.register(spare, holder);
    return holder;
  }

  /** Drops the next one. Returns false if there is none. */
  takeBack(): boolean {
    const next = this.next();
    if (next === null) return false;
    next.drop();
    return true;
  }

  /** Returns the one that is dropped next, besides `except`. */
  next(except: SpareHolding | null = null): (SpareHolding & Spare) | null {
    let next: SpareHolder | null = null;
    for (const each of this.#held) {
      if (each === except) continue;
      if (this.#order === "oldest") return each;
      if (each.bytes > (next?.bytes ?? 0)) next = each;
    }
    return next;
  }

  /** Drops some until so many bytes are free. Returns false if there are not enough. */
  makeRoom(bytes: number): boolean {
    while (!this.#budget.hasFree(bytes)) if (!this.takeBack()) return false;
    return true;
  }

  forgetEverything(): void {
    for (const each of this.#held) each.release();
  }

  // Called by holders.

  count(holder: SpareHolder, delta: number): void {
    if (holder.bytes === 0) this.#held.delete(holder);
    else this.#held.add(holder);
    this.#bytes += delta;
    this.#budget.count(delta);
  }

  used(holder: SpareHolder): void {
    if (this.#held.delete(holder)) this.#held.add(holder);
  }
}

class SpareHolder implements SpareHolding, Spare {
  readonly #room: SpareRoom;
  readonly #spare: WeakRef<Spare>;
  #bytes = 0;

  constructor(room: SpareRoom, spare: WeakRef<Spare>) {
    this.#room = room;
    this.#spare = spare;
  }

  get bytes(): number {
    return this.#bytes;
  }

  set(bytes: number): void {
    const delta = bytes - this.#bytes;
    if (delta === 0) return;
    this.#bytes = bytes;
    this.#room.count(this, delta);
  }

  used(): void {
    this.#room.used(this);
  }

  release(): void {
    this.set(0);
  }

  drop(): void {
    this.#spare.deref()?.drop();
    this.release();
  }
}
