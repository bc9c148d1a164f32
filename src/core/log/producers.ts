// Idempotent producers (KIP-98, KIP-360; ProducerStateManager.java). A partition remembers of each producer
// its epoch and its last appends, so that a repeat is answered with the original offset instead of being
// stored again [IDM-1].
//
// Nothing is written per append: an append's entry lies in the chunk row that holds its batches, and a
// snapshot of all producers is stored now and then. Snapshot plus the entries since make the state again
// after an eviction [IDM-4].
import { type ErrorName, fail, type Result } from "../errors.ts";
import { MAX_PRODUCERS_PER_PARTITION, PRODUCER_WINDOW } from "../limits.ts";

/** Who appends, and which of its records: what the headers of an idempotent append say. */
export interface AppendOrigin {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly firstSequence: number;
  readonly lastSequence: number;
}

/** An append that was stored. */
export interface AppendEntry extends AppendOrigin {
  readonly baseOffset: number;
  readonly atMs: number;
}

/** Every entry of one producer, all of one epoch, oldest first; at most PRODUCER_WINDOW, at least one. */
type Entries = readonly AppendEntry[];

/** Sequence numbers are int32 and start again at 0 behind the largest. */
const MAX_SEQUENCE = 2 ** 31 - 1;

export function addToSequence(sequence: number, count: number): number {
  return (sequence + count) % (MAX_SEQUENCE + 1);
}

/**
 * True for errors that are only given after the append was found to be no repeat: it is not stored, whatever
 * became of earlier tries.
 */
export function isDecided(error: ErrorName): boolean {
  return error === "INVALID_UPDATE_VERSION" || isOutOfStep(error);
}

/** True where the partition knows another sequence for this producer id. As another producer it may go on. */
export function isOutOfStep(error: ErrorName): boolean {
  return error === "OUT_OF_ORDER_SEQUENCE_NUMBER" || error === "INVALID_PRODUCER_EPOCH";
}

export class Producers {
  /** In the order of their last append: the one silent for longest comes first. */
  readonly #entries = new Map<number, Entries>();

  constructor(entries: Iterable<AppendEntry>) {
    for (const entry of entries) this.#add(entry);
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Decides about appends that will be committed together. Nothing is remembered before `commit`. */
  stage(): StagedProducers {
    return new StagedProducers(this.#entries, (entry) => this.#add(entry));
  }

  #add(entry: AppendEntry): void {
    const entries = withEntry(this.#entries.get(entry.producerId), entry);
    this.#entries.delete(entry.producerId);
    this.#entries.set(entry.producerId, entries);
    if (this.#entries.size <= MAX_PRODUCERS_PER_PARTITION) return;
    const oldest = this.#entries.keys().next().value;
    if (oldest !== undefined) this.#entries.delete(oldest);
  }

  /** [IDM-5] Forgets producers that have been silent for `expirationMs`. */
  expire(nowMs: number, expirationMs: number): void {
    for (const [producerId, entries] of this.#entries) {
      // The others have appended later.
      if (nowMs - (entries.at(-1)?.atMs ?? nowMs) < expirationMs) return;
      this.#entries.delete(producerId);
    }
  }

  /** Everything that is known, in an order from which the constructor makes the same again. */
  snapshot(): AppendEntry[] {
    return [...this.#entries.values()].flat();
  }
}

export class StagedProducers {
  readonly #stored: ReadonlyMap<number, Entries>;
  readonly #remember: (entry: AppendEntry) => void;
  readonly #staged = new Map<number, Entries>();
  /** What `add` was given, in order. */
  readonly entries: AppendEntry[] = [];

  constructor(stored: ReadonlyMap<number, Entries>, remember: (entry: AppendEntry) => void) {
    this.#stored = stored;
    this.#remember = remember;
  }

  /**
   * [IDM-1] [IDM-2] The entry of which this append is a repeat, or null where it is new and in sequence.
   * A newer epoch starts at sequence 0; a producer that is not known (any more) may start anywhere, as in
   * Kafka, or one that was forgotten could never go on. INVALID_PRODUCER_EPOCH, OUT_OF_ORDER_SEQUENCE_NUMBER.
   */
  check(origin: AppendOrigin): Result<{ repeated: AppendEntry | null }> {
    const entries = this.#staged.get(origin.producerId) ?? this.#stored.get(origin.producerId);
    const last = entries?.at(-1);
    if (entries === undefined || last === undefined) return { ok: true, repeated: null };
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
    if (repeated !== undefined && !isNewEpoch) return { ok: true, repeated };
    return fail(
      "OUT_OF_ORDER_SEQUENCE_NUMBER",
      `producer ${producerId} sent sequence ${firstSequence} to ${lastSequence}, the next one is ${expected}`,
    );
  }

  add(entry: AppendEntry): void {
    const entries = this.#staged.get(entry.producerId) ?? this.#stored.get(entry.producerId);
    this.#staged.set(entry.producerId, withEntry(entries, entry));
    this.entries.push(entry);
  }

  /** The appends are stored: they count from now on. */
  commit(): void {
    for (const entry of this.entries) this.#remember(entry);
  }
}

function withEntry(entries: Entries | undefined, entry: AppendEntry): Entries {
  const sameEpoch = entries?.at(-1)?.producerEpoch === entry.producerEpoch ? entries : [];
  return [...(sameEpoch ?? []), entry].slice(-PRODUCER_WINDOW);
}
