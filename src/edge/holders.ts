// Memory that the requests of a Worker hold at once, counted while they hold it. The code of a cancelled request does
// not run to its end, so nothing gives back what it held: whoever has not moved for HOLDER_SILENT_MS counts no more.
import { BrokerError } from "../core/errors.ts";
import { type Holding, Ledger } from "../core/ledger.ts";
import {
  ANSWER_SHARES,
  HOLDER_SILENT_MS,
  MAX_WORK_BYTES,
  MAX_WORK_BYTES_PER_REQUEST,
  MIN_ANSWER_SHARE_BYTES,
} from "../core/limits.ts";

/** When each holder moved last, the longest ago first. */
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

/** A ledger for what requests hold: bodies that come in, answers that go out. */
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

  /** What one more may ask for, so that those who come next find room as well. */
  get share(): number {
    const free = this.#maxBytes - this.#ledger.bytes;
    return Math.max(MIN_ANSWER_SHARE_BYTES, Math.floor(free / ANSWER_SHARES));
  }

  /** A new holder: see `Ledger.hold`. Each `set` is a move; one that comes after all counts again. */
  hold(evict: (error: BrokerError) => void): Holding {
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
        });
        // Whoever is let go is not remembered for its last move: it may hold megabytes, and come again and again.
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
 * [BND-3] Requests that are worked on: what was begun is not let go, for nobody could say how far it came. So a request
 * begins only where as much again as it takes stays free: the many small ones always find room beside the large.
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

  /** For the works. @throws BrokerError THROTTLING_QUOTA_EXCEEDED */
  change(from: number, to: number): void {
    const others = this.#bytes - from;
    if (to > from && others + 2 * to > MAX_WORK_BYTES)
      throw new BrokerError(
        "THROTTLING_QUOTA_EXCEEDED",
        `requests that are worked on take ${others} bytes; with this one's ${to}, and as many that stay free for smaller ones, the bound of ${MAX_WORK_BYTES} is passed`,
      );
    this.#bytes = others + to;
  }

  /** For the works. */
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

  /** It takes so many bytes more. @throws BrokerError THROTTLING_QUOTA_EXCEEDED */
  add(bytes: number): void {
    const more = Math.min(this.#bytes + bytes, MAX_WORK_BYTES_PER_REQUEST);
    this.#room.change(this.#bytes, more);
    this.#bytes = more;
  }

  /** May be called more than once. */
  end(): void {
    this.#room.change(this.#bytes, 0);
    this.#bytes = 0;
    this.#room.forget(this);
  }
}
