// Keeps the appends of one connection to each partition in the order of their requests, although several are in
// progress. An append over a socket lets the next one go as soon as it is sent. An append by a call, or one
// that must be repeated, holds back the later ones until it is answered, because they could overtake it.

export class AppendOrder {
  /** The newest append to each partition that has any in progress. */
  readonly #newest = new Map<string, AppendSlot>();

  /** Takes the next place in the order of a partition. The caller must end it, whatever becomes of the append. */
  next(topic: string, partition: number): AppendSlot {
    const name = `${topic}/${partition}`;
    const slot = new AppendSlot(this.#newest.get(name) ?? null, () => {
      if (this.#newest.get(name) === slot) this.#newest.delete(name);
    });
    this.#newest.set(name, slot);
    return slot;
  }
}

export class AppendSlot {
  readonly #forget: () => void;
  readonly #passed = Promise.withResolvers<void>();
  readonly #settled = Promise.withResolvers<void>();
  #before: AppendSlot | null;
  #isHeld = false;
  isSettled = false;

  constructor(before: AppendSlot | null, forget: () => void) {
    this.#before = before;
    this.#forget = forget;
  }

  get passed(): Promise<void> {
    return this.#passed.promise;
  }

  get settled(): Promise<void> {
    return this.#settled.promise;
  }

  /**
   * Waits until this append may be sent over the socket: all earlier ones are sent over it, or settled. Returns
   * null if there is nothing to wait for, so that it is sent at once.
   */
  untilInOrder(): Promise<void> | null {
    return this.#unsettledBefore === null ? null : this.#waitInOrder();
  }

  async #waitInOrder(): Promise<void> {
    await this.#unsettledBefore?.passed;
    for (let slot = this.#unsettledBefore; slot !== null; slot = slot.#unsettledBefore)
      if (this.#isHeld || slot.#isHeld) return this.untilAlone();
  }

  /** Waits until this append may go any way: all earlier ones are settled. */
  async untilAlone(): Promise<void> {
    await this.#unsettledBefore?.settled;
  }

  /** Notes that this append was sent over the socket. */
  pass(): void {
    this.#passed.resolve();
  }

  /**
   * Notes that this append was sent and will be repeated. Later ones that are not sent yet wait until it is
   * settled.
   */
  hold(): void {
    this.#isHeld = true;
  }

  /** Notes the end of this append. It is settled once the earlier ones are. */
  end(): void {
    const before = this.#unsettledBefore;
    if (before === null) this.#settle();
    else void before.settled.then(() => this.#settle());
  }

  get #unsettledBefore(): AppendSlot | null {
    if (this.#before?.isSettled) this.#before = null; // Otherwise each would hold all earlier ones in memory.
    return this.#before;
  }

  #settle(): void {
    this.isSettled = true;
    this.#before = null;
    this.#passed.resolve();
    this.#settled.resolve();
    this.#forget();
  }
}
