// The relays of a partition. Relays serve the readers without a group beyond MAX_DIRECT_READERS. The partition
// pushes appended records once to each relay, which passes them on to its own readers. So an append costs the
// partition its relays, not its readers.
//
//
// The list of relays is stored. How far each was pushed is not. After an eviction the next push begins with the
// first append of that life, and a relay reads what it has missed before that [RLY-3].
import type { Push, RelayCalls } from "../../src/calls/relay-calls.ts";
import { concatBytes } from "../../src/core/bytes.ts";
import { attempt } from "../../src/core/errors.ts";
import {
  MAX_READERS_PER_RELAY,
  MAX_RELAYS_PER_PARTITION,
  RELAY_LOOK_MS,
  RELAY_PUSH_BYTES,
} from "../../src/core/limits.ts";
import type { PartitionLog } from "../../src/core/log/partition-log.ts";
import type { PartitionStore } from "./partition-store.ts";

/** The number of times that a push is tried before it waits for the next append or the next check. */
const TRIES = 2;

interface Relay {
  /** Created once, because that costs as much as a call. A stub whose call has failed may be unusable. */
  stub: Pick<RelayCalls, "push"> | null;
  /** The last known number of its readers. Null if it has not reported one in this life. */
  readers: number | null;
  /** It has everything before this offset. */
  pushedTo: number;
  isBusy: boolean;
  /** True until it has answered once in this life. */
  isUnsure: boolean;
  /** The time when a reader was sent there, or it reported having one. */
  wantedMs: number;
}

export interface RelayParts {
  readonly log: PartitionLog;
  readonly store: Pick<PartitionStore, "relays" | "addRelay" | "removeRelay">;
  /** The name of the topic. */
  readonly topic: string;
  readonly stub: (relay: number) => Pick<RelayCalls, "push">;
  waitUntil(promise: Promise<unknown>): void;
  /** Called when a push has failed, so the relays have to be checked later. */
  failed(): void;
}

export class Relays {
  readonly #parts: RelayParts;
  /** Null until it is first needed in this life. */
  #relays: Map<number, Relay> | null = null;
  /** The end of the log when this life began. */
  readonly #beganAt: number;
  /**
   * The time when to check that the relays have everything appended. Null if nothing was appended since the
   * last check.
   */
  #lookMs: number | null = null;

  constructor(parts: RelayParts) {
    this.#parts = parts;
    this.#beganAt = parts.log.logEndOffset;
  }

  get #known(): Map<number, Relay> {
    this.#relays ??= new Map(
      this.#parts.store.relays().map((relay) => [relay, this.#unsure(null)]),
    );
    return this.#relays;
  }

  #unsure(readers: number | null): Relay {
    const pushedTo = this.#beganAt;
    return { stub: null, readers, pushedTo, isBusy: false, isUnsure: true, wantedMs: 0 };
  }

  get numbers(): number[] {
    return [...this.#known.keys()];
  }

  has(relay: number): boolean {
    return this.#known.has(relay);
  }

  /** [RLY-1] Resolves once each relay has reported its number of readers. Relays that do not answer count as full. */
  async learn(): Promise<void> {
    const unknown = [...this.#known].filter(([, { readers }]) => readers === null);
    await Promise.all(unknown.map(([relay, state]) => this.#push(relay, state)));
  }

  /** [RLY-1] Returns the relay for one more reader, or null if none has room. */
  assign(nowMs: number): number | null {
    for (let relay = 0; relay < MAX_RELAYS_PER_PARTITION; relay++) {
      const state = this.#known.get(relay) ?? this.#add(relay);
      if ((state.readers ?? MAX_READERS_PER_RELAY) >= MAX_READERS_PER_RELAY) continue;
      state.readers = (state.readers ?? 0) + 1;
      state.wantedMs = nowMs;
      return relay;
    }
    return null;
  }

  /** [RLY-2] Notes that the relay has readers. It knows the log as of now. */
  subscribe(relay: number, nowMs: number): void {
    const state = this.#known.get(relay) ?? this.#add(relay);
    state.wantedMs = nowMs;
  }

  #add(relay: number): Relay {
    this.#parts.store.addRelay(relay);
    const state = this.#unsure(0);
    // A reader that attaches there later reads older records from this partition.
    state.pushedTo = this.#parts.log.logEndOffset;
    this.#known.set(relay, state);
    return state;
  }

  /** [RLY-2] Called in the turn of a commit. The output gate holds back pushes until it is durable. */
  committed(nowMs: number): void {
    if (this.#known.size === 0) return;
    this.#lookMs ??= nowMs + RELAY_LOOK_MS;
    this.#pushAll();
  }

  /** The time when to check that all relays have everything appended. Infinity if there is nothing to check. */
  nextLookMs(): number {
    return this.#lookMs ?? Number.POSITIVE_INFINITY;
  }

  /**
   * [RLY-5] Called by the alarm. In a life that began after the last append, it pushes the end of the log to
   * each relay.
   */
  look(): void {
    this.#lookMs = null;
    this.#pushAll();
  }

  /** Pushes to every relay that may lack something, unless a push to it is in progress. */
  #pushAll(): void {
    for (const [relay, state] of this.#known) {
      const isBehind = state.isUnsure || state.pushedTo < this.#parts.log.logEndOffset;
      if (isBehind && !state.isBusy) this.#parts.waitUntil(this.#push(relay, state));
    }
  }

  /**
   * Pushes until the relay has everything. One push is in progress at a time, so a slow relay gets fewer and
   * larger ones.
   */
  async #push(relay: number, state: Relay): Promise<void> {
    if (state.isBusy) return;
    state.isBusy = true;
    try {
      do {
        const push = this.#next(state.pushedTo);
        const { readers } = await this.#send(relay, state, push);
        state.pushedTo = push.nextOffset;
        state.isUnsure = false;
        state.readers = readers;
        if (readers === 0 && Date.now() > state.wantedMs + RELAY_LOOK_MS) {
          this.#parts.store.removeRelay(relay);
          this.#known.delete(relay);
          return;
        }
      } while (state.pushedTo < this.#parts.log.logEndOffset);
    } catch {
      // The stub has logged it. The next append retries, and so does the alarm.
      state.isUnsure = true;
      this.#lookMs ??= Date.now() + RELAY_LOOK_MS;
      this.#parts.failed();
    } finally {
      state.isBusy = false;
    }
  }

  async #send(relay: number, state: Relay, push: Push): Promise<{ readers: number }> {
    for (let tries = 1; ; tries++) {
      try {
        state.stub ??= this.#parts.stub(relay);
        return await state.stub.push(push);
      } catch (error) {
        state.stub = null;
        if (tries === TRIES) throw error;
      }
    }
  }

  #next(pushedTo: number): Push {
    const { log, topic } = this.#parts;
    const { logStartOffset, logEndOffset: highWatermark } = log;
    const from = Math.max(pushedTo, logStartOffset);
    const bounds = { topic, logStartOffset, highWatermark };
    const read = attempt(() => ({
      ok: true as const,
      ...(from === highWatermark
        ? { pieces: [], nextOffset: from }
        : log.read(from, RELAY_PUSH_BYTES)),
    }));
    // [CRC-2] Unreadable records are not pushed. The relay's readers ask for them and get the error.
    if (!read.ok)
      return { ...bounds, from: highWatermark, nextOffset: highWatermark, batches: NOTHING };
    return { ...bounds, from, nextOffset: read.nextOffset, batches: concatBytes(read.pieces) };
  }
}

const NOTHING = new Uint8Array();
