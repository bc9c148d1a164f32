// The objects that are asked how things are, so that what they did until they came to rest is known, and nobody keeps them
// awake for it [RPT-1]. An object that has told something is asked a moment later, and again ever more seldom, until nothing
// has changed.
import type { AnySnapshot } from "../../src/core/metrics/snapshot.ts";

/** Asks are made together, at multiples of this. */
const TICK_MS = 10_000;
const MAX_WAIT_MS = 60_000;
/** Objects that wait to be asked. Beyond that, the one that told longest ago is not asked. */
const MAX_ASKS = 10_000;

/** The object that is asked: a partition, or a group. */
export type Asked =
  | { readonly kind: "partition"; readonly topicId: string; readonly partition: number }
  | { readonly kind: "group"; readonly groupId: string };

export interface Ask {
  readonly asked: Asked;
  readonly atMs: number;
  readonly waitMs: number;
  /** How the object was when it was last heard of. */
  readonly look: string;
}

export class Asks {
  readonly #waiting = new Map<string, Ask>();

  /** When the next one is due. Null if there is none. */
  get nextMs(): number | null {
    let next: number | null = null;
    for (const { atMs } of this.#waiting.values()) if (next === null || atMs < next) next = atMs;
    return next;
  }

  /** Notes that an object has told of itself. */
  add(snapshot: AnySnapshot, nowMs: number): void {
    const asked = askedOf(snapshot);
    if (asked !== null) this.#wait({ asked, look: lookOf(snapshot) }, TICK_MS, nowMs);
  }

  /** Notes the answer to an ask. One that tells nothing new is the last. */
  answered(ask: Ask, snapshot: AnySnapshot, nowMs: number): void {
    const look = lookOf(snapshot);
    if (look === ask.look || this.#waiting.has(keyOf(ask.asked))) return;
    this.#wait({ asked: ask.asked, look }, Math.min(2 * ask.waitMs, MAX_WAIT_MS), nowMs);
  }

  #wait(ask: Pick<Ask, "asked" | "look">, waitMs: number, nowMs: number): void {
    const key = keyOf(ask.asked);
    const atMs = Math.ceil((nowMs + waitMs) / TICK_MS) * TICK_MS;
    this.#waiting.delete(key);
    this.#waiting.set(key, { ...ask, waitMs, atMs });
    for (const oldest of this.#waiting.keys()) {
      if (this.#waiting.size <= MAX_ASKS) return;
      this.#waiting.delete(oldest);
    }
  }

  /** Returns those that are due, and forgets them. After the clock was set back, all are. */
  takeDue(nowMs: number): Ask[] {
    const due: Ask[] = [];
    for (const [key, ask] of this.#waiting) {
      if (ask.atMs > nowMs && ask.atMs <= nowMs + MAX_WAIT_MS + TICK_MS) continue;
      this.#waiting.delete(key);
      due.push(ask);
    }
    return due;
  }
}

function askedOf(snapshot: AnySnapshot): Asked | null {
  if (snapshot.kind === "partition") {
    const { kind, topicId, partition } = snapshot;
    return { kind, topicId, partition };
  }
  return snapshot.kind === "group" ? { kind: snapshot.kind, groupId: snapshot.groupId } : null;
}

function keyOf(asked: Asked): string {
  return asked.kind === "group" ? asked.groupId : `${asked.topicId}/${asked.partition}`;
}

/** Returns what of a snapshot does not change by asking for it. */
function lookOf(snapshot: AnySnapshot): string {
  const {
    usage: _usage,
    life: _life,
    weight: _weight,
    storedBytes: _storedBytes,
    ...rest
  } = snapshot;
  return JSON.stringify(rest);
}
