// Counts the memory of an isolate, which the platform bounds. Only existing bytes count, never announced ones.
//
// A `Budget` is the memory that everything shares. Each kind of holder has a `Ledger` in it with a bound of its own:
// request bodies, answers, incomplete requests. When a bound is exceeded, holders are evicted: those of the lowest rank
// first, and the largest first among them. So a few large holders never shut out many small ones [BND-1], and many
// small strangers never shut out a large known holder. A holder that cannot be evicted is refused instead.
//
// A `SpareRoom` counts data that can be loaded again, such as a cache. The budget reclaims it before it evicts a holder
// [BND-23].
//
// Canceled code does not run to its end, so it does not give its memory back. A holder without activity for
// HOLDER_SILENT_MS therefore no longer counts, until its next activity.
import { isWithin } from "./elapsed.ts";
import { BrokerError } from "./errors.ts";
import { ANSWER_SHARES, HOLDER_SILENT_MS, MIN_ANSWER_SHARE_BYTES } from "./limits.ts";

/** The ranks of holders. The lowest is evicted first. */
export const RANKS = { stranger: 0, muted: 1, slow: 2, known: 3 } as const;

/** The bytes that one holder has in a ledger. */
export interface Holding {
  /** The bytes that it counts with now. */
  readonly bytes: number;
  /**
   * Sets the number of bytes that it holds, which counts as activity. If this exceeds a bound, holders are evicted, the
   * lowest rank first and then the largest. Another holder is notified by its `evict`, and this one by the exception. A
   * holder that cannot be evicted keeps its previous number.
   * @throws BrokerError THROTTLING_QUOTA_EXCEEDED if this holder is evicted, or was before
   */
  set(bytes: number): void;
  /** Sets the number of bytes without evicting anybody: the bytes exist and cannot be reduced. */
  note(bytes: number): void;
  /** Gives everything back. May be called more than once. */
  release(): void;
}

export class Budget {
  readonly maxBytes: number;
  readonly #nowMs: () => number;
  readonly #ledgers: Ledger[] = [];
  readonly #spares: SpareRoom[] = [];
  /** The time of each holder's last activity, the oldest first. */
  readonly #moves = new Map<Holder, number>();
  #bytes = 0;

  constructor(maxBytes: number, nowMs: () => number) {
    this.maxBytes = maxBytes;
    this.#nowMs = nowMs;
  }

  /** The bytes of all holders and spare rooms. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The bytes that are free, or would be if all spare data were dropped. */
  get roomBytes(): number {
    return this.maxBytes - this.#bytes + this.#spares.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Drops spare data until this many bytes are free. Returns false if that is not enough. No holder is evicted. */
  makeRoom(bytes: number): boolean {
    while (!this.hasFree(bytes)) if (!this.#takeBack()) return false;
    return true;
  }

  /** Forgets all holders and spare data, as in a new isolate. */
  forgetEverything(): void {
    for (const each of [...this.#ledgers, ...this.#spares]) each.forgetEverything();
  }

  // Called by ledgers and spare rooms.

  join(part: Ledger | SpareRoom): void {
    if (part instanceof Ledger) this.#ledgers.push(part);
    else this.#spares.push(part);
  }

  /** Adds to the number of bytes, or subtracts. If there are too many, spare data is dropped. */
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

  /** Returns the holder in all ledgers that is evicted next. */
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

  /** [CLK-3] A holder whose last activity is in the future, because the clock was set back, counts as active now. */
  dropSilent(): void {
    const nowMs = this.#nowMs();
    const ahead: Holder[] = [];
    for (const [holder, atMs] of this.#moves) {
      if (atMs > nowMs) ahead.push(holder);
      else if (isWithin(atMs, HOLDER_SILENT_MS, nowMs)) break;
      else holder.release();
    }
    for (const holder of ahead) this.moved(holder);
  }

  /** Drops the spare data that is easiest to load again. Returns false if there is none. */
  #takeBack(): boolean {
    return this.#spares.some((room) => room.takeBack());
  }
}

export class Ledger {
  readonly #budget: Budget;
  readonly #maxBytes: number;
  readonly #what: string;
  /** The holders with any bytes. */
  readonly #holders = new Set<Holder>();
  #bytes = 0;

  /** `what` is a plural noun for the held data, used in the error text. */
  constructor(maxBytes: number, what: string, budget: Budget) {
    this.#maxBytes = maxBytes;
    this.#what = what;
    this.#budget = budget;
    budget.join(this);
  }

  /** The bytes of all holders. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The bytes that one more holder may ask for, so that later ones also find room. */
  get share(): number {
    const free = Math.min(this.#maxBytes - this.#bytes, this.#budget.roomBytes);
    return Math.max(MIN_ANSWER_SHARE_BYTES, Math.floor(free / ANSWER_SHARES));
  }

  /**
   * Adds a holder, at first with no bytes. `evict` is called at most once, when the holder is evicted. It must then
   * free its bytes. While `mayGo` returns false, the holder is not evicted in favor of another. `rank` is called when a
   * holder must be evicted.
   */
  hold(
    evict: (error: BrokerError) => void,
    mayGo: () => boolean = () => true,
    rank: () => number = () => RANKS.known,
  ): Holding {
    this.#budget.dropSilent();
    return new Holder(this, this.#budget, { evict, mayGo, rank, isFixed: false });
  }

  /** Adds a holder that cannot be evicted. If there is no room, its request is refused, and it keeps what it had. */
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

  /** Forgets all holders. */
  forgetEverything(): void {
    for (const holder of this.#holders) holder.release();
  }

  // Called by holders and the budget.

  /** Counts a change. No holder is evicted for it. */
  count(holder: Holder, delta: number): void {
    if (holder.bytes === 0) this.#holders.delete(holder);
    else this.#holders.add(holder);
    this.#bytes += delta;
    this.#budget.count(delta);
  }

  /** Evicts holders until the bounds are kept. @throws BrokerError THROTTLING_QUOTA_EXCEEDED if `growing` is evicted */
  assertRoom(growing: Holder): void {
    if (this.#bytes <= this.#maxBytes && !this.#budget.isOver) return;
    this.#budget.dropSilent();
    // Without ranks, one is enough: the evicted holder has at least as many bytes as `growing` has added.
    while (this.#bytes > this.#maxBytes) {
      const taken = `${this.#what} take ${this.#bytes} bytes, the bound is ${this.#maxBytes}`;
      letGo(this.nextToGo(growing, growing), growing, taken);
    }
    while (this.#budget.isOver) {
      const { bytes, maxBytes } = this.#budget;
      const taken = `all data in memory takes ${bytes} bytes, the bound is ${maxBytes}`;
      letGo(this.#budget.nextToGo(growing), growing, taken);
    }
  }

  /**
   * Returns the holder that is evicted next: `first`, or the largest of the lowest rank among those that may be
   * evicted. Among equals it is the growing one, so two equal holders do not evict each other in turn.
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

/** @throws BrokerError if the evicted holder is the growing one */
function letGo(next: Holder, growing: Holder, taken: string): void {
  const error = new BrokerError(
    "THROTTLING_QUOTA_EXCEEDED",
    `${taken}; in the lowest rank, this one takes the most, ${next.bytes}`,
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
    // A holder without bytes is not kept for its last activity, because it may keep other objects alive.
    if (bytes === 0) this.#budget.forget(this);
    else this.#budget.moved(this);
    this.#ledger.count(this, delta);
  }

  release(): void {
    if (this.#bytes > 0) this.note(0);
  }

  /** Stops counting its bytes. It cannot hold any from now on. */
  letGo(error: BrokerError): void {
    this.#leave(error);
    this.#options.evict(error);
  }

  #leave(error: BrokerError): void {
    this.release();
    this.#gone = error;
  }
}

/** Data that can be dropped, because it can be loaded again. */
export interface Spare {
  /** Drops the data. It may be loaded again later. */
  drop(): void;
}

/** The bytes of one piece of spare data. */
export interface SpareHolding {
  readonly bytes: number;
  set(bytes: number): void;
  /** Notes that the data was used. */
  used(): void;
  release(): void;
}

/**
 * Spare data of one kind. This class does not keep it alive: an evicted object takes its own data with it. The least
 * recently used is dropped first, or the largest, depending on the order.
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

  /** The number of pieces with any bytes. */
  get size(): number {
    return this.#held.size;
  }

  add(spare: Spare): SpareHolding {
    const holder = new SpareHolder(this, new WeakRef(spare));
    this.#lost.register(spare, holder);
    return holder;
  }

  /** Drops the next piece. Returns false if there is none. */
  takeBack(): boolean {
    const next = this.next();
    if (next === null) return false;
    next.drop();
    return true;
  }

  /** Returns the piece that is dropped next, other than `except`. */
  next(except: SpareHolding | null = null): (SpareHolding & Spare) | null {
    let next: SpareHolder | null = null;
    for (const each of this.#held) {
      if (each === except) continue;
      if (this.#order === "oldest") return each;
      if (each.bytes > (next?.bytes ?? 0)) next = each;
    }
    return next;
  }

  /** Drops pieces until this many bytes are free. Returns false if that is not enough. */
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
