// The state of the metrics: what it accepts, what it forgets, and what comes back from storage.
import { describe, expect, test } from "vitest";
import {
  MAX_METRICS_COUNTERS,
  MAX_METRICS_GROUPS,
  MAX_METRICS_LIVES,
  MAX_METRICS_OBJECTS,
  MAX_METRICS_PIECE_CHARS,
  MAX_METRICS_POSITIONS,
  MAX_METRICS_TOPIC_IDS,
  MAX_METRICS_TOPICS,
  MAX_ROW_BYTES,
  METRICS_LATE_MS,
} from "../../../../src/core/limits.ts";
import { topicLagsOf } from "../../../../src/core/metrics/lag.ts";
import { MetricsState } from "../../../../src/core/metrics/metrics-state.ts";
import type { AnySnapshot, GroupPosition } from "../../../../src/core/metrics/snapshot.ts";
import { NO_USAGE } from "../../../../src/core/metrics/usage.ts";
import {
  groupSnapshot,
  HOUR_MS,
  MINUTE_MS,
  partitionSnapshot,
  position,
  relaySnapshot,
  START_MS,
  workerSnapshot,
} from "../../../support/metrics-snapshots.ts";

const later = (minutes: number) => START_MS + minutes * MINUTE_MS;

function appended(state: MetricsState, topic = "orders"): number | undefined {
  return state.topics.get(topic)?.total("appendedRecords");
}

function endOf(state: MetricsState): number | undefined {
  return state.partitionOf("id-of-orders", 0)?.sight.logEndOffset;
}

describe("counters", () => {
  test.each<{ name: string; told: [life: string, records: number][]; sum: number }>([
    {
      name: "one life tells more and more",
      told: [
        ["1", 5],
        ["1", 9],
      ],
      sum: 9,
    },
    {
      name: "a snapshot comes twice",
      told: [
        ["1", 5],
        ["1", 5],
      ],
      sum: 5,
    },
    {
      name: "a snapshot is late",
      told: [
        ["1", 9],
        ["1", 5],
        ["1", 10],
      ],
      sum: 10,
    },
    {
      name: "a new life begins at zero",
      told: [
        ["1", 9],
        ["2", 1],
        ["2", 4],
      ],
      sum: 13,
    },
    {
      name: "a life's last snapshot is late",
      told: [
        ["1", 9],
        ["2", 4],
        ["1", 11],
        ["2", 6],
      ],
      sum: 17,
    },
    {
      name: "a life is heard of only when it is over",
      told: [
        ["2", 4],
        ["1", 9],
        ["2", 6],
      ],
      sum: 15,
    },
  ])("[MET-3] a topic's sum is that of all lives where $name", ({ told, sum }) => {
    const state = new MetricsState();
    for (const [i, [life, appendedRecords]] of told.entries())
      state.take(later(i), "orders/0", partitionSnapshot({ life, appendedRecords }));
    expect(appended(state)).toBe(sum);
  });

  test("[MET-3] partitions and relays count for their topic, groups, isolates and overhead for themselves", () => {
    const state = new MetricsState();
    const usage = { ...NO_USAGE, requests: 2 };
    state.take(START_MS, "a", partitionSnapshot({ deliveredBytes: 10, usage }));
    state.take(START_MS, "b", partitionSnapshot({ partition: 1, deliveredBytes: 5, usage }));
    state.take(START_MS, "c", relaySnapshot({ deliveredBytes: 100, usage }));
    state.take(START_MS, "d", groupSnapshot({ rejected: { STALE_MEMBER_EPOCH: 3 }, usage }));
    const produced = { api: "produce", transport: "http", outcome: "NONE", count: 4 } as const;
    state.take(START_MS, "worker", workerSnapshot({ life: "x", requests: [produced], usage }));
    state.take(START_MS, "worker", workerSnapshot({ life: "y", requests: [produced], usage }));
    state.takeOverhead(START_MS, "metrics", { life: "1", usage, storedBytes: 1 });
    const orders = state.topics.get("orders");
    expect(orders?.total("deliveredBytes")).toBe(115);
    expect(orders?.countersOf("relay").get("requests")).toBe(2);
    expect(orders?.countersOf("partition").get("requests")).toBe(4);
    expect(state.groups.get("billing")?.total("rejected/STALE_MEMBER_EPOCH")).toBe(3);
    expect(state.classes.get("worker")?.total("requests/produce/http/NONE")).toBe(8);
    expect(state.classes.get("metrics")?.total("requests")).toBe(2);
  });

  test("[MET-3] isolates of one name have as many lives as they like", () => {
    const state = new MetricsState();
    const kafkaConnections = 1;
    for (const round of [1, 2])
      for (let i = 0; i < 3 * MAX_METRICS_LIVES; i++) {
        const requests = [
          { api: "fetch", transport: "kafka", outcome: "NONE", count: round },
        ] as const;
        const told = workerSnapshot({ life: `${i}`, requests, kafkaConnections });
        state.take(later(round), "worker", told);
      }
    expect(state.classes.get("worker")?.total("requests/fetch/kafka/NONE")).toBe(
      2 * 3 * MAX_METRICS_LIVES,
    );
  });

  test("[MET-10] a reason or an error that is not a known name is counted, and not repeated", () => {
    const state = new MetricsState();
    const lost = { "session timeout": 1, "10.0.0.1 went away": 2, "it said: 'secret'": 4 };
    state.take(START_MS, "billing", groupSnapshot({ lost }));
    const billing = state.groups.get("billing");
    expect(billing?.total("lost/session-timeout")).toBe(1);
    expect(billing?.total("lost/_other")).toBe(6);
  });
});

describe("sights", () => {
  test.each<{ name: string; told: [life: string, records: number, end: number][]; end: number }>([
    {
      name: "it is told again later",
      told: [
        ["1", 5, 5],
        ["1", 9, 9],
      ],
      end: 9,
    },
    {
      name: "an older one of the life is late",
      told: [
        ["1", 9, 9],
        ["1", 5, 5],
      ],
      end: 9,
    },
    {
      name: "the last one of the life before is late",
      told: [
        ["1", 9, 9],
        ["2", 4, 13],
        ["1", 11, 11],
      ],
      end: 13,
    },
    {
      name: "the life before is heard of late",
      told: [
        ["2", 4, 13],
        ["1", 9, 9],
        ["2", 5, 14],
      ],
      end: 14,
    },
    {
      name: "a new life has a log that was restored",
      told: [
        ["1", 9, 9],
        ["2", 0, 3],
      ],
      end: 3,
    },
    {
      name: "the restored log goes on",
      told: [
        ["1", 9, 9],
        ["2", 0, 3],
        ["1", 10, 10],
        ["2", 1, 4],
      ],
      end: 4,
    },
  ])("[MET-5] the end of a log is the newest one where $name", ({ told, end }) => {
    const state = new MetricsState();
    for (const [i, [life, appendedRecords, logEndOffset]] of told.entries())
      state.take(later(i), "o", partitionSnapshot({ life, appendedRecords, logEndOffset }));
    expect(endOf(state)).toBe(end);
  });

  test("[MET-7] a snapshot of another release counts with what it has, and one of an unknown kind does not", () => {
    const state = new MetricsState();
    const { deliveredBytes: _missing, ...older } = partitionSnapshot({ appendedRecords: 3 });
    state.take(START_MS, "orders/0", older as AnySnapshot);
    state.take(START_MS, "x", { ...older, kind: "share" } as unknown as AnySnapshot);
    state.take(START_MS, "y", { ...older, topic: undefined } as unknown as AnySnapshot);
    const odd = { ...older, appendedRecords: Number.NaN, logEndOffset: "7" };
    state.take(START_MS, "orders/1", { ...odd, partition: 1 } as unknown as AnySnapshot);
    expect(appended(state)).toBe(3);
    expect([...state.objects()].map(({ key }) => key)).toEqual([
      "partition:orders/0",
      "partition:orders/1",
    ]);
  });
});

describe("lag", () => {
  /** Partition 0 grew by 10 a minute, for ten minutes, and its records before 20 are gone. */
  function growing(): MetricsState {
    const state = new MetricsState();
    for (let minute = 0; minute <= 10; minute++)
      state.take(
        later(minute),
        "orders/0",
        partitionSnapshot({
          logStartOffset: 20,
          logEndOffset: 10 * minute,
          appendedRecords: minute,
        }),
      );
    return state;
  }

  test.each<{
    name: string;
    positions: GroupPosition[];
    records: number | null;
    minutes: number | null;
  }>([
    { name: "all is read", positions: [position(100)], records: 0, minutes: 0 },
    { name: "a part is read", positions: [position(59)], records: 41, minutes: 6 },
    { name: "it is ahead of what was told", positions: [position(105)], records: 0, minutes: 0 },
    { name: "what comes next was deleted", positions: [position(3)], records: 80, minutes: 9.9 },
    {
      name: "the partition has told nothing",
      positions: [position(3, 7)],
      records: null,
      minutes: null,
    },
    {
      name: "one of two partitions has told nothing",
      positions: [position(59), position(3, 7)],
      records: 41,
      minutes: 6,
    },
  ])("[MET-5] [MET-6] a group has its lag where $name", ({ positions, records, minutes }) => {
    const [lag] = topicLagsOf(growing(), positions, later(12));
    const oldestUnreadMs = minutes === null ? null : minutes * MINUTE_MS;
    expect(lag).toMatchObject({ records, oldestUnreadMs });
  });

  test("[MET-5] no commit is no lag", () => {
    expect(topicLagsOf(growing(), [], later(12))).toEqual([]);
  });

  test("[MET-6] a lag grows while no reports come, and survives an eviction", () => {
    const state = MetricsState.fromJSON(growing().toJSON());
    const [lag] = topicLagsOf(state, [position(59)], later(12) + 5 * HOUR_MS);
    expect(lag?.oldestUnreadMs).toBe(6 * MINUTE_MS + 5 * HOUR_MS);
  });
});

describe("bounds", () => {
  test("[MET-7] beyond the bound the object heard of longest ago is forgotten, and its topic keeps its sum", () => {
    const state = new MetricsState();
    for (let partition = 0; partition <= MAX_METRICS_OBJECTS; partition++)
      state.take(
        START_MS + partition,
        `orders/${partition}`,
        partitionSnapshot({ partition, appendedRecords: 1 }),
      );
    expect([...state.objects()]).toHaveLength(MAX_METRICS_OBJECTS);
    expect(state.partitionOf("id-of-orders", 0)).toBeUndefined();
    expect(state.partitionOf("id-of-orders", 1)).toBeDefined();
    expect(appended(state)).toBe(MAX_METRICS_OBJECTS + 1);
    const all = [...state.objects()];
    expect(state.numbers).toBe(
      all.reduce((sum, { lives, ends }) => sum + lives.size + ends.size, 0),
    );
  });

  test("[MET-7] topics and groups beyond the bound are summed, including one with that name", () => {
    const state = new MetricsState();
    const names = Array.from({ length: MAX_METRICS_TOPICS + 2 }, (_, i) => `t${i}`);
    for (const topic of ["_other", ...names])
      state.take(START_MS, topic, partitionSnapshot({ topic, appendedRecords: 1 }));
    for (let i = 0; i < MAX_METRICS_GROUPS + 3; i++)
      state.take(START_MS, `g${i}`, groupSnapshot({ groupId: `g${i}`, commitsTotal: 1 }));
    expect(state.topics.all()).toHaveLength(MAX_METRICS_TOPICS + 1);
    expect(state.topics.other.total("appendedRecords")).toBe(3);
    expect(state.groups.other.total("commits")).toBe(3);
    const restored = MetricsState.fromJSON(state.toJSON());
    expect(restored.toJSON()).toEqual(state.toJSON());
  });

  test("[MET-7] a deleted topic makes room for a name, and the sum of the others does not fall", () => {
    const state = new MetricsState();
    for (let i = 0; i <= MAX_METRICS_TOPICS; i++)
      state.take(START_MS, `t${i}`, partitionSnapshot({ topic: `t${i}`, appendedRecords: 1 }));
    state.removeTopic("id-of-t0", START_MS);
    state.take(START_MS, "new", partitionSnapshot({ topic: "new", appendedRecords: 1 }));
    expect(appended(state, "new")).toBe(1);
    expect(state.topics.other.total("appendedRecords")).toBe(1);
    expect(state.dropped.get("appendedRecords")).toBe(1);
  });

  test("[MET-7] counters and committed offsets of one object are bounded", () => {
    const state = new MetricsState();
    const rejected = Object.fromEntries(
      Array.from({ length: 2 * MAX_METRICS_COUNTERS }, (_, i) => [`E${i}`, 1]),
    );
    const positions = Array.from({ length: MAX_METRICS_POSITIONS + 1 }, (_, i) => position(1, i));
    state.take(START_MS, "g", groupSnapshot({ rejected, positions }));
    const counted = state.groups.get("billing")?.countersOf("group").under("rejected") ?? [];
    expect(counted.length).toBeLessThanOrEqual(MAX_METRICS_COUNTERS + 1);
    expect(counted.reduce((sum, { value }) => sum + value, 0)).toBe(2 * MAX_METRICS_COUNTERS);
    expect(state.numbers).toBeLessThanOrEqual(2 * MAX_METRICS_POSITIONS + MAX_METRICS_COUNTERS + 1);
  });

  test("[MET-7] the pieces of a large state fit a row each, and make the same state again", () => {
    const state = new MetricsState();
    const long = "é".repeat(200);
    for (let i = 0; i < 3_000; i++)
      state.take(
        START_MS,
        `${i}`,
        partitionSnapshot({ topic: long, partition: i, logEndOffset: i }),
      );
    const positions = Array.from({ length: 3_000 }, (_, i) => position(i, i, long));
    for (let i = 0; i < 20; i++)
      state.take(START_MS, `${i}`, groupSnapshot({ groupId: `${long}${i}`, positions }));
    const pieces = state.toJSON();
    expect(pieces.length).toBeGreaterThan(2);
    for (const piece of pieces) {
      expect(piece.length).toBeLessThanOrEqual(MAX_METRICS_PIECE_CHARS);
      expect(new TextEncoder().encode(piece).length).toBeLessThan(MAX_ROW_BYTES);
    }
    expect(MetricsState.fromJSON(pieces).toJSON()).toEqual(pieces);
  });
});

describe("what was deleted", () => {
  test("[MET-8] a deleted topic goes, and late snapshots of it are ignored", () => {
    const state = new MetricsState();
    state.take(START_MS, "orders/0", partitionSnapshot({ appendedRecords: 5 }));
    state.removeTopic("id-of-orders", later(1));
    state.take(later(1), "orders/0", partitionSnapshot({ appendedRecords: 6 }));
    expect(state.topics.all()).toEqual([]);
    expect([...state.objects()]).toEqual([]);
    expect(state.numbers).toBe(0);
    // The topic was restored.
    state.take(later(1) + METRICS_LATE_MS, "orders/0", partitionSnapshot({ appendedRecords: 7 }));
    expect(appended(state)).toBe(7);
  });

  test("[MET-8] a topic that was created again continues the counters of its name", () => {
    const state = new MetricsState();
    state.take(START_MS, "old/0", partitionSnapshot({ topicId: "old", appendedRecords: 5 }));
    state.take(later(1), "new/0", partitionSnapshot({ topicId: "new", appendedRecords: 1 }));
    state.removeTopic("old", later(2));
    expect(appended(state)).toBe(6);
    state.removeTopic("new", later(2));
    expect(appended(state)).toBeUndefined();
  });

  test("[MET-8] a name used for many topics in turn is there as long as one of them is", () => {
    const state = new MetricsState();
    const ids = Array.from({ length: 2 * MAX_METRICS_TOPIC_IDS }, (_, i) => `id-${i}`);
    for (const topicId of ids)
      state.take(START_MS, topicId, partitionSnapshot({ topicId, appendedRecords: 1 }));
    const last = ids.at(-1) ?? "";
    for (const topicId of ids.slice(0, -1).reverse()) {
      state.removeTopic(topicId, later(1));
      expect(appended(state)).toBe(ids.length);
    }
    state.removeTopic(last, later(1));
    expect(appended(state)).toBeUndefined();
    expect(state.dropped.get("appendedRecords")).toBe(ids.length);
  });

  test("[MET-8] a deleted group goes, and is there again when it is created again", () => {
    const state = new MetricsState();
    state.take(START_MS, "billing", groupSnapshot({ commitsTotal: 5 }));
    state.removeGroup("billing", later(1));
    const restored = MetricsState.fromJSON(state.toJSON());
    restored.take(later(2), "billing", groupSnapshot({ commitsTotal: 6 }));
    expect(restored.groups.all()).toEqual([]);
    restored.take(later(5), "billing", groupSnapshot({ life: "2", commitsTotal: 1 }));
    expect(restored.groups.get("billing")?.total("commits")).toBe(1);
  });
});

describe("storage", () => {
  function told(): MetricsState {
    const state = new MetricsState();
    state.take(START_MS, "orders/0", partitionSnapshot({ appendedRecords: 5, logEndOffset: 5 }));
    state.take(START_MS, "billing", groupSnapshot({ positions: [position(2)], commitsTotal: 1 }));
    return state;
  }

  test("[MET-4] counters come back without the pieces of views, and views are then reported again", () => {
    const state = MetricsState.fromJSON(told().countersToJSON());
    expect(appended(state)).toBe(5);
    state.take(START_MS, "orders/0", partitionSnapshot({ appendedRecords: 6, logEndOffset: 6 }));
    expect(appended(state)).toBe(6);
    expect(endOf(state)).toBe(6);
  });

  test.each([
    ["nothing", []],
    ["no JSON", ['{"version":1,"rows":[["topics"']],
    ["another version", ['{"version":99,"rows":[["topics","orders",[],{}]]}']],
    ["JSON of another shape", ["null", "7", '{"version":1}', '{"version":1,"rows":[7,[],["x"]]}']],
    [
      "damaged rows",
      [
        '{"version":1,"rows":[["topics"],["topics",7,[],{}],["object"],["object","k","l",[],null],' +
          '["object","k","l",7,{"kind":"partition"}],["removed",7],["dropped",7],["ends",7],["positions"]]}',
      ],
    ],
  ])("[MET-4] a state of %s is empty, and works", (_, pieces) => {
    const state = MetricsState.fromJSON(pieces);
    expect([...state.objects()]).toEqual([]);
    state.take(START_MS, "orders/0", partitionSnapshot({ appendedRecords: 5 }));
    expect(appended(state)).toBe(5);
  });

  test("[MET-4] a lost piece takes nothing else with it", () => {
    const pieces = told().toJSON();
    for (const lost of pieces) {
      const state = MetricsState.fromJSON(pieces.filter((piece) => piece !== lost));
      state.take(START_MS, "clicks/0", partitionSnapshot({ topic: "clicks", appendedRecords: 1 }));
      expect(appended(state, "clicks")).toBe(1);
    }
  });
});
