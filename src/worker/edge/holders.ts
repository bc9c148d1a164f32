// Counts the memory that the requests of a Worker hold at once, while they hold it. The code of a
// cancelled request does not run to its end, so nothing gives its memory back. A holder that has not
// moved for HOLDER_SILENT_MS therefore no longer counts.
import { BrokerError } from "../../core/errors.ts";
import { type Holding, Ledger } from "../../core/ledger.ts";
import {
  ANSWER_SHARES,
  HOLDER_SILENT_MS,
  MAX_WORK_BYTES,
  MAX_WORK_BYTES_PER_REQUEST,
  MIN_ANSWER_SHARE_BYTES,
} from "../../core/limits.ts";

/** When each holder last moved. The one that has not moved for longest comes first. */
class LastMoves<T> {
  readonly #atMs = new Map<T, number>();

  touch(holder: T): void {
    this.#atMs.delete(holder);
    this.#atMs.set(holder, Date.now());
  }

  delete(holder: T): void {
    this.#atMs.delete(holder);
  }

  *silent(): Generator<T> {
    const sinceMs = Date.now() - HOLDER_SILENT_MS;
    for (const [holder, atMs] of this.#atMs) {
      if (atMs >= sinceMs) return;
      yield holder;
    }
  }
}

/** A ledger for the bytes that requests hold: bodies that come in, answers that go out. */
export class RequestLedger {
  readonly #maxBytes: number;
  readonly #ledger: Ledger;
  readonly #moves = new LastMoves<Holding>();

  constructor(maxBytes: number, what: string) {
    this.#maxBytes = maxBytes;
    this.#ledger = new Ledger(maxBytes, what);
  }

  get bytes(): number {
    return this.#ledger.bytes;
  }

  /** The bytes that one more holder may ask for, so that later ones find room as well. */
  get share(): number {
    const free = this.#maxBytes - this.#ledger.bytes;
    return Math.max(MIN_ANSWER_SHARE_BYTES, Math.floor(free / ANSWER_SHARES));
  }

  /**
   * Adds a holder: see `Ledger.hold`. Each `set` is a move. A holder
   * that was dropped as silent counts again when it moves.
   */
  hold(evict: (error: BrokerError) => void, mayGo?: () => boolean): Holding {
    for (const holding of this.#moves.silent()) holding.release();
    const ledger = this.#ledger;
    const moves = this.#moves;
    let inner: Holding | null = null;
    const holding: Holding = {
      get bytes() {
        return inner?.bytes ?? 0;
      },
      set(bytes) {
        inner ??= ledger.hold((error) => {
          moves.delete(holding);
          evict(error);
        }, mayGo);
        // A holder that was let go is not kept for its last move. It may hold megabytes, and many of them may come.
        moves.delete(holding);
        inner.set(bytes);
        moves.touch(holding);
      },
      release() {
        moves.delete(holding);
        inner?.release();
        inner = null;
      },
    };
    return holding;
  }
}

/**
 * [BND-3] Requests that are worked on. A request that has begun is never let go, because nobody could
 * say how far it got. So a request begins only if as much again as it takes stays free. Many small
 * requests then always find room beside the large ones.
 */
export class WorkRoom {
  readonly #moves = new LastMoves<Work>();
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  begin(): Work {
    for (const work of this.#moves.silent()) work.end();
    const work = new Work(this);
    this.#moves.touch(work);
    return work;
  }

  /** Called by works. @throws BrokerError THROTTLING_QUOTA_EXCEEDED */
  change(from: number, to: number): void {
    const others = this.#bytes - from;
    if (to > from && others + 2 * to > MAX_WORK_BYTES)
      throw new BrokerError(
        "THROTTLING_QUOTA_EXCEEDED",
        `requests that are worked on take ${others} bytes; with this one's ${to}, and as many that stay free for smaller ones, the bound of ${MAX_WORK_BYTES} is passed`,
      );
    this.#bytes = others + to;
  }

  /** Called by works. */
  forget(work: Work): void {
    this.#moves.delete(work);
  }
}

export class Work {
  readonly #room: WorkRoom;
  #bytes = 0;

  constructor(room: WorkRoom) {
    this.#room = room;
  }

  /** Adds so many bytes to the work. @throws BrokerError THROTTLING_QUOTA_EXCEEDED */
  add(bytes: number): void {
    const more = Math.min(this.#bytes + bytes, MAX_WORK_BYTES_PER_REQUEST);
    this.#room.change(this.#bytes, more);
    this.#bytes = more;
  }

  /** Ends the work. May be called more than once. */
  end(): void {
    this.#room.change(this.#bytes, 0);
    this.#bytes = 0;
    this.#room.forget(this);
  }
}
