// Everything known of a deployment from its objects' reports. No object is asked.
//
// Counters are summed per topic, group and class of objects [MET-3]. The newest sight of each object is kept, and the
// end history of each partition. All of it is bounded [MET-7]: the objects that reported longest ago are forgotten, and
// their counts stay in the sums.
//
// A shown value must not be forgotten. So the owner stores `countersToJSON` before it shows counters [MET-4].
import { type PartitionKey, partitionKey } from "../group/partition-key.ts";
import {
  MAX_METRICS_CLASSES,
  MAX_METRICS_GROUPS,
  MAX_METRICS_NUMBERS,
  MAX_METRICS_OBJECTS,
  MAX_METRICS_REMOVED,
  MAX_METRICS_TOPICS,
  MAX_METRICS_WEIGHT,
  METRICS_LATE_MS,
} from "../limits.ts";
import {
  CounterMap,
  type Counters,
  countersOf,
  countUsage,
  isCount,
  labelOf,
  OTHER,
  readCounters,
} from "./counters.ts";
import { Directory, type Entry } from "./directory.ts";
import { EndHistory } from "./end-history.ts";
import { Lives } from "./lives.ts";
import { type PartitionSight, type RelaySight, type Sight, sightOf, versionOf } from "./sights.ts";
import type { AnySnapshot } from "./snapshot.ts";
import { piecesOf, positionsByTopic, readPieces, readPositions } from "./state-pieces.ts";
import type { Usage } from "./usage.ts";

/** A remembered object. */
export interface Remembered<Seen extends Sight = Sight> {
  readonly key: string;
  readonly entry: Entry;
  readonly lives: Lives;
  readonly sight: Seen;
  /** The time of the report with this sight. */
  readonly seenMs: number;
  /** Empty except for partitions. */
  readonly ends: EndHistory;
}

/** The increase that a snapshot reports. */
export interface Told {
  readonly key: string;
  readonly sight: Sight;
  readonly added: Counters;
}

interface OverheadSnapshot {
  readonly life: string;
  readonly usage: Usage;
  readonly storedBytes: number;
}

export class MetricsState {
  readonly topics = new Directory(MAX_METRICS_TOPICS, (entry) => this.#drop(entry));
  readonly groups = new Directory(MAX_METRICS_GROUPS, (entry) => this.#drop(entry));
  /** The Worker, the cluster's object, and objects that are overhead. */
  readonly classes = new Directory(MAX_METRICS_CLASSES, (entry) => this.#drop(entry));
  /** The counts of topics and groups that are no longer shown. Including them, the total never decreases. */
  readonly dropped = new CounterMap();
  /** In the order of their last report, the oldest first. */
  readonly #objects = new Map<string, Remembered>();
  readonly #partitions = new Map<PartitionKey, Remembered<PartitionSight>>();
  readonly #removed = new Map<string, number>();
  #numbers = 0;

  /**
   * Takes the report of an object. `name` identifies it among objects of its kind. Returns the increase, or null if
   * there is none.
   */
  take(nowMs: number, name: string, snapshot: AnySnapshot): Told | null {
    const sight = sightOf(snapshot);
    if (sight === null || this.#isRemoved(sight, nowMs)) return null;
    // All isolates of the Worker have one name, and each isolate is one life.
    const id = snapshot.kind === "worker" ? snapshot.life : name;
    const key = `${sight.kind}:${id}`;
    return this.#count(nowMs, key, sight, {
      ...{ life: snapshot.life, counters: countersOf(snapshot) },
      weight: weightOf(snapshot),
    });
  }

  /** Takes the counts of an object that serves no particular topic or group, such as the MetricsObject. */
  takeOverhead(nowMs: number, name: string, { life, usage, storedBytes }: OverheadSnapshot): Told {
    const counters = new CounterMap();
    countUsage(usage, (key, _labels, count) => {
      if (isCount(count)) counters.add(key, count);
    });
    const sight: Sight = { kind: "overhead", name: labelOf(name), storedBytes };
    const told = { life, counters: counters.toJSON(), weight: 1 };
    return this.#count(nowMs, `overhead:${name}`, sight, told);
  }

  #count(
    nowMs: number,
    key: string,
    sight: Sight,
    { life, counters, weight }: { life: string; counters: Counters; weight: number },
  ): Told {
    const known = this.#objects.get(key);
    const entry = known?.entry ?? this.#entryOf(sight);
    const lives = known?.lives ?? new Lives();
    const sizeBefore = known === undefined ? 0 : sizeOf(known);
    const { added: own, isNewLife, isNewest } = lives.advance(life, counters, versionOf(sight));
    const added = weighed(own, weight);
    const sums = entry.countersOf(classOf(sight));
    sums.addAll(added);
    if (isNewLife) sums.add("wakeups", weight);
    const ends = known?.ends ?? new EndHistory();
    if (isNewest && sight.kind === "partition") ends.add(nowMs, sight.logEndOffset);
    if (known === undefined) entry.objects++;
    else this.#forgetSight(known);
    this.#remember(
      known !== undefined && !isNewest ? known : { key, entry, lives, sight, seenMs: nowMs, ends },
    );
    this.#numbers -= sizeBefore;
    this.#keepBounds();
    return { key, sight, added };
  }

  #entryOf(sight: Sight): Entry {
    switch (sight.kind) {
      case "partition":
      case "relay": {
        const entry = this.topics.entryOf(sight.topic);
        entry.addId(sight.topicId);
        return entry;
      }
      case "group":
        return this.groups.entryOf(sight.groupId);
      default:
        return this.classes.entryOf(classOf(sight));
    }
  }

  /** Adds an object as the latest to report. */
  #remember(object: Remembered): void {
    this.#objects.delete(object.key);
    this.#objects.set(object.key, object);
    this.#numbers += sizeOf(object);
    if (isPartition(object)) this.#partitions.set(keyOf(object.sight), object);
  }

  #forgetSight(object: Remembered): void {
    if (!isPartition(object)) return;
    const place = keyOf(object.sight);
    if (this.#partitions.get(place) === object) this.#partitions.delete(place);
  }

  #forget(object: Remembered): void {
    this.#objects.delete(object.key);
    this.#forgetSight(object);
    this.#numbers -= sizeOf(object);
    object.entry.objects--;
  }

  #keepBounds(): void {
    for (const oldest of this.#objects.values()) {
      const isWithin =
        this.#objects.size <= MAX_METRICS_OBJECTS && this.#numbers <= MAX_METRICS_NUMBERS;
      if (isWithin || this.#objects.size === 1) return;
      this.#forget(oldest);
    }
  }

  #drop(entry: Entry): void {
    for (const counters of entry.counters.values()) this.dropped.addAll(counters.toJSON());
  }

  /** Forgets a deleted topic. A new topic of the same name continues its counters. */
  removeTopic(topicId: string, nowMs: number): void {
    this.#noteRemoved(`topic:${topicId}`, nowMs);
    for (const object of [...this.#objects.values()])
      if (isOfTopic(object.sight) && object.sight.topicId === topicId) this.#forget(object);
    for (const entry of this.topics.all()) {
      const isLast = entry.ids.delete(topicId) && entry.ids.size === 0;
      if (isLast && entry.objects === 0) this.topics.remove(entry);
    }
  }

  /** Forgets a deleted group. */
  removeGroup(groupId: string, nowMs: number): void {
    this.#noteRemoved(`group:${groupId}`, nowMs);
    for (const object of [...this.#objects.values()])
      if (object.sight.kind === "group" && object.sight.groupId === groupId) this.#forget(object);
    const entry = this.groups.get(groupId);
    if (entry !== undefined) this.groups.remove(entry);
  }

  #noteRemoved(name: string, nowMs: number): void {
    this.#removed.delete(name);
    this.#removed.set(name, nowMs);
    for (const oldest of this.#removed.keys()) {
      if (this.#removed.size <= MAX_METRICS_REMOVED) return;
      this.#removed.delete(oldest);
    }
  }

  /**
   * True for a late snapshot of something deleted. Much later, a snapshot belongs to something restored or created
   * again.
   */
  #isRemoved(sight: Sight, nowMs: number): boolean {
    const name =
      sight.kind === "group"
        ? `group:${sight.groupId}`
        : isOfTopic(sight)
          ? `topic:${sight.topicId}`
          : "";
    const removedMs = this.#removed.get(name);
    return removedMs !== undefined && Math.abs(nowMs - removedMs) < METRICS_LATE_MS;
  }

  /** Returns the remembered objects, the one that reported longest ago first. */
  objects(): Iterable<Remembered> {
    return this.#objects.values();
  }

  partitionOf(topicId: string, partition: number): Remembered<PartitionSight> | undefined {
    return this.#partitions.get(partitionKey(topicId, partition));
  }

  /** Returns an object by its kind, and its name within that kind. */
  objectOf(kind: Sight["kind"], name: string): Remembered | undefined {
    return this.#objects.get(`${kind}:${name}`);
  }

  /** The number of remembered numbers of all objects. */
  get numbers(): number {
    return this.#numbers;
  }

  /** Returns the whole state, in pieces of bounded size. */
  toJSON(): string[] {
    return [...this.countersToJSON(), ...this.sightsToJSON()];
  }

  /** Returns the counters and the lives that they come from. These pieces belong together and are stored together. */
  countersToJSON(): string[] {
    return piecesOf(this.#counterRows());
  }

  *#counterRows(): Generator<unknown> {
    for (const kind of ["topics", "groups", "classes"] as const)
      for (const entry of this[kind].all())
        yield [kind, entry.label, [...entry.ids], Object.fromEntries(entry.counters)];
    yield ["dropped", this.dropped];
    yield ["removed", [...this.#removed]];
    for (const { key, entry, lives, sight, seenMs } of this.#objects.values()) {
      const known = sight.kind === "group" ? { ...sight, positions: [] } : sight;
      yield ["object", key, entry.label, lives, known, seenMs];
    }
  }

  /**
   * Returns committed offsets of groups and end histories. They are large, and may be older than the counters without
   * any sum decreasing.
   */
  sightsToJSON(): string[] {
    return piecesOf(this.#sightRows());
  }

  *#sightRows(): Generator<unknown> {
    for (const { key, sight, ends } of this.#objects.values()) {
      if (sight.kind === "group") yield ["positions", key, positionsByTopic(sight.positions)];
      if (sight.kind === "partition") yield ["ends", key, ends];
    }
  }

  /** Restores a state. Missing or unreadable parts are left out. */
  static fromJSON(pieces: Iterable<string>): MetricsState {
    const state = new MetricsState();
    const rows = readPieces(pieces);
    const rowsOf = (kind: string) => rows.get(kind) ?? [];
    for (const kind of ["topics", "groups", "classes"] as const)
      for (const row of rowsOf(kind)) restoreEntry(state[kind], row);
    for (const [counters] of rowsOf("dropped")) state.dropped.addAll(readCounters(counters));
    for (const [removed] of rowsOf("removed"))
      for (const [name, ms] of Array.isArray(removed) ? removed : [])
        state.#noteRemoved(String(name), Number(ms));
    const positions = new Map(rowsOf("positions").map(([key, row]) => [key, row]));
    const ends = new Map(rowsOf("ends").map(([key, steps]) => [key, steps]));
    for (const row of rowsOf("object")) state.#restoreObject(row, positions, ends);
    state.#keepBounds();
    return state;
  }

  #restoreObject(
    [key, label, lives, known, seenMs]: unknown[],
    positions: ReadonlyMap<unknown, unknown>,
    ends: ReadonlyMap<unknown, unknown>,
  ): void {
    if (typeof key !== "string" || typeof known !== "object" || known === null) return;
    const restored = { ...known, positions: readPositions(positions.get(key)) };
    const sight = sightOf(restored as unknown as Sight);
    if (sight === null || this.#objects.has(key)) return;
    const entry = label === OTHER ? this.#directoryOf(sight).other : this.#entryOf(sight);
    entry.objects++;
    this.#remember({
      key,
      entry,
      lives: Lives.fromJSON(lives),
      sight,
      seenMs: Number(seenMs) || 0,
      ends: EndHistory.fromJSON(ends.get(key)),
    });
  }

  #directoryOf(sight: Sight): Directory {
    if (isOfTopic(sight)) return this.topics;
    return sight.kind === "group" ? this.groups : this.classes;
  }
}

function restoreEntry(directory: Directory, [label, ids, classes]: unknown[]): void {
  if (typeof label !== "string" || typeof classes !== "object" || classes === null) return;
  const entry = directory.entryOf(label);
  for (const id of Array.isArray(ids) ? ids : []) entry.addId(String(id));
  for (const [name, counters] of Object.entries(classes))
    entry.countersOf(name).addAll(readCounters(counters));
}

/** Returns the class under which an object's counters are shown. */
export function classOf(sight: Sight): string {
  return sight.kind === "overhead" ? sight.name : sight.kind;
}

function isPartition(object: Remembered): object is Remembered<PartitionSight> {
  return object.sight.kind === "partition";
}

function keyOf({ topicId, partition }: PartitionSight): PartitionKey {
  return partitionKey(topicId, partition);
}

function isOfTopic(sight: Sight): sight is PartitionSight | RelaySight {
  return sight.kind === "partition" || sight.kind === "relay";
}

/** [RPT-1] A life may stand for others that have not reported. */
function weightOf({ weight = 1 }: AnySnapshot): number {
  return Number.isInteger(weight) && weight >= 1 && weight <= MAX_METRICS_WEIGHT ? weight : 1;
}

function weighed(counters: Counters, weight: number): Counters {
  if (weight === 1) return counters;
  return Object.fromEntries(
    Object.entries(counters).map(([name, count]) => [name, weight * count]),
  );
}

function sizeOf({ lives, sight, ends }: Remembered): number {
  const positions = sight.kind === "group" ? 2 * sight.positions.length : 0;
  return lives.size + ends.size + positions;
}
