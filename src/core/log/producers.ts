// Idempotent producers (KIP-98, KIP-360; ProducerStateManager.java). For each producer, a partition remembers the epoch
// and the last appends. A repeat then gets the original offset instead of being stored again [IDM-1].
//
// An append causes no extra write. Its entry is in the chunk row that stores its batches, and a snapshot of all
// producers is stored now and then. The snapshot plus the later entries restore the state after an eviction [IDM-4].
import { type ErrorName, fail, type Result } from "../errors.ts";
import { MAX_PRODUCERS_PER_PARTITION, PRODUCER_WINDOW } from "../limits.ts";

/** The producer and the sequence numbers, from the headers of an idempotent append. */
export interface AppendOrigin {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly firstSequence: number;
  readonly lastSequence: number;
  /**
   * [IDM-8] Distinguishes the append from another one at the same sequence (core/log/fingerprint.ts). Null for an
   * append stored by a release without fingerprints: any append at its sequence then counts as its repeat.
   */
  readonly fingerprint: number | null;
  /**
   * [IDM-9] True if the producer is the Worker's own. False if a client has chosen the id: the two kinds of ids are
   * independent.
   */
  readonly isOwn: boolean;
}

/** A stored append. */
export interface AppendEntry extends AppendOrigin {
  readonly baseOffset: number;
  readonly atMs: number;
}

/** All entries of one producer, with one epoch, oldest first. There are at least one and at most PRODUCER_WINDOW. */
type Entries = readonly AppendEntry[];

/** Returns true if the append has the records that are stored for this entry. */
export type Compare = (stored: AppendEntry) => Result<{ isSame: boolean }>;

/** The entries of each producer, by `keyOf`. */
type ProducerEntries = ReadonlyMap<number, Entries>;

/**
 * Returns the key of a producer. The Worker's own producers are numbered downward from -1, so no client can name one of
 * them.
 */
function keyOf({ producerId, isOwn }: Pick<AppendOrigin, "producerId" | "isOwn">): number {
  return isOwn ? -1 - producerId : producerId;
}

/**
 * Returns the known entries of the producer. Entries without a fingerprint do not say whose they are, so a producer of
 * the Worker continues from them.
 */
function entriesOf(all: ProducerEntries, origin: AppendOrigin): Entries | undefined {
  const entries = all.get(keyOf(origin));
  if (entries !== undefined || !origin.isOwn) return entries;
  const older = all.get(origin.producerId);
  if (older?.at(-1)?.fingerprint !== null) return undefined;
  return older.map((entry) => ({ ...entry, isOwn: true }));
}

/** Sequence numbers are int32, and continue with 0 after the largest. */
const MAX_SEQUENCE = 2 ** 31 - 1;

export function addToSequence(sequence: number, count: number): number {
  return (sequence + count) % (MAX_SEQUENCE + 1);
}

/** True if the partition knows another sequence for this producer id. The client can continue as another producer. */
export function isOutOfStep(error: ErrorName): boolean {
  return error === "OUT_OF_ORDER_SEQUENCE_NUMBER" || error === "INVALID_PRODUCER_EPOCH";
}

export class Producers {
  /** The producers in the order of their last append. The one that has been silent for longest comes first. */
  readonly #entries = new Map<number, Entries>();

  constructor(entries: Iterable<AppendEntry>) {
    for (const entry of entries) this.#add(entry);
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Starts deciding on appends that will be committed together. Nothing is remembered before `commit`. */
  stage(): StagedProducers {
    return new StagedProducers(this.#entries, (entry) => this.#add(entry));
  }

  #add(entry: AppendEntry): void {
    const key = keyOf(entry);
    const entries = withEntry(entriesOf(this.#entries, entry), entry);
    this.#entries.delete(key);
    this.#entries.set(key, entries);
    if (this.#entries.size <= MAX_PRODUCERS_PER_PARTITION) return;
    const oldest = this.#entries.keys().next().value;
    if (oldest !== undefined) this.#entries.delete(oldest);
  }

  /** [IDM-5] Forgets producers that have been silent for `expirationMs`. */
  expire(nowMs: number, expirationMs: number): void {
    for (const [key, entries] of this.#entries) {
      // The remaining producers have appended later.
      if (nowMs - (entries.at(-1)?.atMs ?? nowMs) < expirationMs) return;
      this.#entries.delete(key);
    }
  }

  /** Returns all entries, in an order from which the constructor rebuilds the same state. */
  snapshot(): AppendEntry[] {
    return [...this.#entries.values()].flat();
  }
}

export class StagedProducers {
  readonly #stored: ProducerEntries;
  readonly #remember: (entry: AppendEntry) => void;
  readonly #staged = new Map<number, Entries>();
  /** The entries given to `add`, in order. */
  readonly entries: AppendEntry[] = [];

  constructor(stored: ProducerEntries, remember: (entry: AppendEntry) => void) {
    this.#stored = stored;
    this.#remember = remember;
  }

  /**
   * [IDM-1] [IDM-2] Returns the entry that this append repeats, or null if it is new and in sequence. It is a repeat
   * only if it is the same append [IDM-8]. If the fingerprints differ, `compare` decides whether it is the same append,
   * encoded again. A newer epoch starts at sequence 0. An unknown or forgotten producer may start anywhere, as in
   * Kafka; otherwise a forgotten one could never continue. Errors: INVALID_PRODUCER_EPOCH,
   * OUT_OF_ORDER_SEQUENCE_NUMBER, or the failure of `compare`.
   */
  validateSequence(
    origin: AppendOrigin,
    compare: Compare,
  ): Result<{ repeated: AppendEntry | null }> {
    const entries = this.#known(origin) ?? [];
    const last = entries.at(-1);
    if (last === undefined) return { ok: true, repeated: null };
    const { producerId, producerEpoch, firstSequence, lastSequence } = origin;
    if (producerEpoch < last.producerEpoch) {
      return fail(
        "INVALID_PRODUCER_EPOCH",
        `producer ${producerId} has epoch ${producerEpoch}, epoch ${last.producerEpoch} has been seen`,
      );
    }
    const isNewEpoch = producerEpoch > last.producerEpoch;
    const expected = isNewEpoch ? 0 : addToSequence(last.lastSequence, 1);
    if (firstSequence === expected) return { ok: true, repeated: null };
    const repeated = entries.find(
      (entry) => entry.firstSequence === firstSequence && entry.lastSequence === lastSequence,
    );
    const sent = `producer ${producerId} sent sequence ${firstSequence} to ${lastSequence}`;
    if (repeated === undefined || isNewEpoch)
      return fail("OUT_OF_ORDER_SEQUENCE_NUMBER", `${sent}, the next one is ${expected}`);
    if (repeated.fingerprint === null || repeated.fingerprint === origin.fingerprint)
      return { ok: true, repeated };
    const compared = compare(repeated);
    if (!compared.ok) return compared;
    if (compared.isSame) return { ok: true, repeated };
    return fail(
      "OUT_OF_ORDER_SEQUENCE_NUMBER",
      `${sent}, where another append is stored at offset ${repeated.baseOffset}; the next one is ${expected}`,
    );
  }

  #known(origin: AppendOrigin): Entries | undefined {
    return this.#staged.get(keyOf(origin)) ?? entriesOf(this.#stored, origin);
  }

  add(entry: AppendEntry): void {
    this.#staged.set(keyOf(entry), withEntry(this.#known(entry), entry));
    this.entries.push(entry);
  }

  /** Makes the appends count from now on, because they are stored. */
  commit(): void {
    for (const entry of this.entries) this.#remember(entry);
  }
}

function withEntry(entries: Entries | undefined, entry: AppendEntry): Entries {
  const sameEpoch = entries?.at(-1)?.producerEpoch === entry.producerEpoch ? entries : [];
  return [...(sameEpoch ?? []), entry].slice(-PRODUCER_WINDOW);
}
