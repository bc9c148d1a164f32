// The shown part of the state, by label. Each series has only one label of its kind.
import { OTHER } from "./counters.ts";
import { topicLagsOf } from "./lag.ts";
import type { MetricsState, Remembered } from "./metrics-state.ts";
import type { GroupSight, PartitionSight, Sight } from "./sights.ts";
import type { GroupPosition } from "./snapshot.ts";

export interface FamilyOptions {
  readonly nowMs: number;
  /** True to show partitions one by one, as long as there are not too many. */
  readonly partitions: boolean;
  /** Selects the topics that are shown. Absent to show all. */
  readonly topicFilter?: (topic: string) => boolean;
  readonly maxSeries: number;
  /** The addresses for Kafka's clients: host and port of each node. */
  readonly brokers?: readonly string[];
  readonly version?: string;
}

export interface PairLag {
  readonly group: string;
  readonly topic: string;
  readonly offsetSum: number;
  readonly records: number | null;
  readonly oldestUnreadMs: number | null;
}

export class MetricsView {
  readonly state: MetricsState;
  readonly options: FamilyOptions;

  constructor(state: MetricsState, options: FamilyOptions) {
    this.state = state;
    this.options = options;
  }

  get nowMs(): number {
    return this.options.nowMs;
  }

  /** A filter excludes the sum of topics without a name, because its contents are unknown. */
  isShown(topic: string): boolean {
    const { topicFilter } = this.options;
    return topicFilter === undefined || (topic !== OTHER && topicFilter(topic));
  }

  objectsOf<Kind extends Sight["kind"]>(
    kind: Kind,
  ): Remembered<Extract<Sight, { readonly kind: Kind }>>[] {
    type Wanted = Remembered<Extract<Sight, { readonly kind: Kind }>>;
    return [...this.state.objects()].filter(
      (object): object is Wanted => object.sight.kind === kind,
    );
  }

  /**
   * Returns the partitions of topics with a name, sorted. Of two incarnations of a topic, the latest to report counts.
   */
  namedPartitions(): Remembered<PartitionSight>[] {
    const places = new Map<string, Remembered<PartitionSight>>();
    for (const object of this.objectsOf("partition")) {
      const { label } = object.entry;
      const place = `${object.sight.partition}/${label}`;
      if (label === OTHER || !this.isShown(label)) continue;
      if (object.seenMs >= (places.get(place)?.seenMs ?? 0)) places.set(place, object);
    }
    return [...places.values()].sort(
      (a, b) => compare(a.entry.label, b.entry.label) || a.sight.partition - b.sight.partition,
    );
  }

  groupObjects(): Remembered<GroupSight>[] {
    return this.objectsOf("group").sort((a, b) => compare(a.sight.groupId, b.sight.groupId));
  }

  /**
   * Returns the label of an offset's topic. Null if the topic is not shown or unknown: it was deleted, or has not
   * reported yet.
   */
  topicLabelOf({ topic, topicId }: Pick<GroupPosition, "topic" | "topicId">): string | null {
    const entry = this.state.topics.get(topic);
    if (entry !== undefined) return entry.ids.has(topicId) && this.isShown(topic) ? topic : null;
    return this.state.topics.other.objects > 0 && this.isShown(OTHER) ? OTHER : null;
  }

  /** Returns the lag of each group in each topic, sorted by both. */
  pairLags(): PairLag[] {
    const pairs = new Map<string, PairLag>();
    for (const { entry, sight } of this.groupObjects()) {
      for (const lag of topicLagsOf(this.state, sight.positions, this.nowMs)) {
        const topic = this.topicLabelOf(lag);
        if (topic === null) continue;
        const key = JSON.stringify([entry.label, topic]);
        const sum = pairs.get(key);
        pairs.set(key, {
          group: entry.label,
          topic,
          offsetSum: lag.offsetSum + (sum?.offsetSum ?? 0),
          records: joined(lag.records, sum?.records ?? null, (a, b) => a + b),
          oldestUnreadMs: joined(lag.oldestUnreadMs, sum?.oldestUnreadMs ?? null, Math.max),
        });
      }
    }
    return [...pairs.values()].sort(
      (a, b) => compare(a.group, b.group) || compare(a.topic, b.topic),
    );
  }
}

function joined(
  a: number | null,
  b: number | null,
  join: (a: number, b: number) => number,
): number | null {
  return a === null || b === null ? (a ?? b) : join(a, b);
}

function compare(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}
