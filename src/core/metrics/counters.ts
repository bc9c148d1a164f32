// The counters of a snapshot, as one flat list. The key of a counter with labels is its family and the labels,
// separated by slashes: `lost/session-timeout`, `requests/produce/http/NONE`.
import { MAX_METRICS_COUNTERS, MAX_METRICS_LABEL_CHARS } from "../limits.ts";
import { type AnySnapshot, DURATION_BUCKETS, type WorkerSnapshot } from "./snapshot.ts";
import { NO_USAGE, type Usage } from "./usage.ts";

export type Counters = Readonly<Record<string, number>>;

/** The label for everything that has no room, or whose name may not be shown. */
export const OTHER = "_other";

/** Counters in bounded number. Those beyond the bound are summed as OTHER of their family. */
export class CounterMap {
  readonly #values = new Map<string, number>();

  get size(): number {
    return this.#values.size;
  }

  get(key: string): number {
    return this.#values.get(key) ?? 0;
  }

  add(key: string, more: number): void {
    const known = this.#values.has(key) || this.#values.size < MAX_METRICS_COUNTERS;
    const place = known ? key : summedKey(key);
    this.#values.set(place, this.get(place) + more);
  }

  addAll(counters: Counters): void {
    for (const [key, more] of Object.entries(counters)) this.add(key, more);
  }

  /** Returns the labels and values of a family, sorted by label. */
  under(family: string): { readonly labels: readonly string[]; readonly value: number }[] {
    return [...this.#values]
      .filter(([key]) => key.startsWith(`${family}/`))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]) => ({ labels: key.slice(family.length + 1).split("/"), value }));
  }

  toJSON(): Counters {
    return Object.fromEntries(this.#values);
  }
}

function summedKey(key: string): string {
  const [family = "", ...labels] = key.split("/");
  return [family, ...labels.map(() => OTHER)].join("/");
}

/** Returns the valid ones among counters from outside. */
export function readCounters(value: unknown): Counters {
  if (typeof value !== "object" || value === null) return {};
  return Object.fromEntries(
    Object.entries(value).filter(([, count]) => Number.isFinite(count) && count >= 0),
  );
}

export function countersOf(snapshot: AnySnapshot): Counters {
  const counters = new CounterMap();
  const add = (family: string, labels: readonly string[], count: unknown) => {
    const key = [family, ...labels.map(labelOf)].join("/");
    if (isCount(count) && count > 0) counters.add(key, count);
  };
  countUsage(snapshot.usage, add);
  switch (snapshot.kind) {
    case "partition":
      add("appendedRecords", [], snapshot.appendedRecords);
      add("appendedBytes", [], snapshot.appendedBytes);
      add("appendedBatches", [], snapshot.appendedBatches);
      add("commits", [], snapshot.commits);
      add("deliveredBytes", [], snapshot.deliveredBytes);
      break;
    case "relay":
      add("deliveredBytes", [], snapshot.deliveredBytes);
      break;
    case "group":
      add("rebalances", [], snapshot.rebalances);
      add("commits", [], snapshot.commitsTotal);
      countEach("lost", snapshot.lost, add);
      countEach("rejected", snapshot.rejected, add);
      break;
    case "worker":
      countRequests(snapshot, add);
      break;
    case "cluster":
      break;
  }
  return counters.toJSON();
}

type Add = (family: string, labels: readonly string[], count: unknown) => void;

export function countUsage(usage: Usage, add: Add): void {
  for (const name of Object.keys(NO_USAGE) as (keyof Usage)[]) add(name, [], usage?.[name]);
}

function countEach(family: string, counts: Readonly<Record<string, number>>, add: Add): void {
  for (const [label, count] of Object.entries(counts ?? {})) add(family, [label], count);
}

function countRequests(snapshot: WorkerSnapshot, add: Add): void {
  for (const { api, transport, outcome, count } of snapshot.requests ?? [])
    add("requests", [api, transport, outcome], count);
  for (const [api, { buckets, sumSeconds }] of Object.entries(snapshot.durations ?? {})) {
    for (let i = 0; i <= DURATION_BUCKETS.length; i++) add(`took-${i}`, [api], buckets[i]);
    add("tookSeconds", [api], sumSeconds);
  }
  countEach("authFailures", snapshot.authFailures, add);
  countEach("throttled", snapshot.throttled, add);
}

export function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}

const NAME = /^[A-Za-z][A-Za-z0-9_.-]*$/;

/**
 * [MET-10] Returns a reason, error or API as a label. Text that is not a name is never shown, because it may contain
 * anything.
 */
export function labelOf(text: string): string {
  const name = String(text).replaceAll(" ", "-");
  return NAME.test(name) && name.length <= MAX_METRICS_LABEL_CHARS ? name : OTHER;
}
