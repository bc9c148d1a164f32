// The objects that are asked for their state, so that their activity up to their rest is known without keeping
// them awake [RPT-1]. An object that has reported is asked a moment later, and again at growing intervals,
// until nothing has changed. The list is stored with the rest, because the MetricsObject may be evicted between
// two asks.
import { partitionKey } from "../../src/core/group/partition-key.ts";
import { FEW_METRICS_MEMBERS } from "../../src/core/limits.ts";
import { crc32c } from "../../src/core/log/crc32c.ts";
import { isCount } from "../../src/core/metrics/counters.ts";
import type { Sight } from "../../src/core/metrics/sights.ts";
import type { AnySnapshot } from "../../src/core/metrics/snapshot.ts";

/**
 * Objects are asked together, at multiples of this. With the first wait, the first ask comes within nine
 * seconds. The platform evicts an object ten seconds after its last call, so by then the object is still in
 * memory, and so is the MetricsObject.
 */
const TICK_MS = 5_000;
const FIRST_WAIT_MS = 4_000;
const MAX_WAIT_MS = 60_000;
/** The number of objects that wait to be asked. Above it, the object with the oldest report is dropped. */
const MAX_ASKS = 10_000;

/** The object that is asked: a partition or a group. */
export type Asked =
  | { readonly kind: "partition"; readonly topicId: string; readonly partition: number }
  | { readonly kind: "group"; readonly groupId: string };

export interface Ask {
  readonly asked: Asked;
  readonly atMs: number;
  readonly waitMs: number;
  /** A checksum of the object's last known state. */
  readonly look: number;
}

/**
 * Returns when to ask an object that has just reported, or that was asked `waitMs` ago: at the next tick after
 * that.
 */
export function tickAfter(nowMs: number, waitMs = FIRST_WAIT_MS): number {
  return Math.ceil((nowMs + waitMs) / TICK_MS) * TICK_MS;
}

export class Asks {
  readonly #waiting = new Map<string, Ask>();

  /** Reads the result of `toJSON`. Parts that it cannot read are left out. */
  static fromJSON(told: unknown): Asks {
    const asks = new Asks();
    for (const each of Array.isArray(told) ? told.slice(0, MAX_ASKS) : [])
      if (isAsk(each)) asks.#waiting.set(keyOf(each.asked), each);
    return asks;
  }

  toJSON(): Ask[] {
    return [...this.#waiting.values()];
  }

  /** The time of the next ask. Null if there is none. */
  get nextMs(): number | null {
    let next: number | null = null;
    for (const { atMs } of this.#waiting.values()) if (next === null || atMs < next) next = atMs;
    return next;
  }

  /** Notes that an object has reported. */
  add(snapshot: AnySnapshot, nowMs: number): void {
    const asked = askedOf(snapshot);
    if (asked !== null && isCheapToAsk(snapshot))
      this.#wait({ asked, look: lookOf(snapshot) }, FIRST_WAIT_MS, nowMs);
  }

  /** Notes the answer to an ask. An answer without changes ends the asking. */
  answered(ask: Ask, snapshot: AnySnapshot, nowMs: number): void {
    const look = lookOf(snapshot);
    if (look === ask.look || !isCheapToAsk(snapshot) || this.#waiting.has(keyOf(ask.asked))) return;
    this.#wait({ asked: ask.asked, look }, Math.min(2 * ask.waitMs, MAX_WAIT_MS), nowMs);
  }

  #wait(ask: Pick<Ask, "asked" | "look">, waitMs: number, nowMs: number): void {
    const key = keyOf(ask.asked);
    const atMs = tickAfter(nowMs, waitMs);
    this.#waiting.delete(key);
    this.#waiting.set(key, { ...ask, waitMs, atMs });
    for (const oldest of this.#waiting.keys()) {
      if (this.#waiting.size <= MAX_ASKS) return;
      this.#waiting.delete(oldest);
    }
  }

  /** Forgets a partition or a group that is gone. Asking would create it anew. */
  remove(isGone: (asked: Asked) => boolean): void {
    for (const [key, { asked }] of this.#waiting) if (isGone(asked)) this.#waiting.delete(key);
  }

  /** Removes and returns the asks that are due. After the clock was set back, all are. */
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

/** Returns the partition or group that has reported, or null for other kinds of objects, which are never asked. */
export function askedOf(told: AnySnapshot | Sight): Asked | null {
  if (told.kind === "partition") {
    const { kind, topicId, partition } = told;
    return { kind, topicId, partition };
  }
  return told.kind === "group" ? { kind: told.kind, groupId: told.groupId } : null;
}

/** A partition reads nothing to answer. An evicted group reads its members. */
function isCheapToAsk(snapshot: AnySnapshot): boolean {
  return snapshot.kind !== "group" || snapshot.members <= FEW_METRICS_MEMBERS;
}

function keyOf(asked: Asked): string {
  return asked.kind === "group"
    ? `group:${asked.groupId}`
    : partitionKey(asked.topicId, asked.partition);
}

function isAsk(told: unknown): told is Ask {
  const { asked, atMs, waitMs, look } = (told ?? {}) as Partial<Ask>;
  return [atMs, waitMs, look].every(isCount) && asked !== undefined && isAsked(asked);
}

function isAsked(told: Partial<Asked> | null): boolean {
  if (told?.kind === "group") return typeof told.groupId === "string";
  return told?.kind === "partition" && typeof told.topicId === "string" && isCount(told.partition);
}

const utf8 = new TextEncoder();

/** Returns a checksum of the parts of a snapshot that asking does not change. */
function lookOf(snapshot: AnySnapshot): number {
  const {
    usage: _usage,
    life: _life,
    weight: _weight,
    storedBytes: _storedBytes,
    ...rest
  } = snapshot;
  return crc32c(utf8.encode(JSON.stringify(rest)));
}
