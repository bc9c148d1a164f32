// Metrics, as objects and isolates report them and as they are queried.
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { exports } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { GroupObject } from "../../durable-objects/group/group-object.ts";
import { MetricsObject } from "../../durable-objects/metrics/metrics-object.ts";
import { PartitionObject } from "../../durable-objects/partition/partition-object.ts";
import type { ObjectUsage } from "../../durable-objects/shared/usage.ts";
import { MAX_METRICS_ASKED } from "../../src/core/limits.ts";
import type { GroupSnapshot } from "../../src/core/metrics/snapshot.ts";
import { NO_USAGE, type Usage } from "../../src/core/metrics/usage.ts";
import { type Env, groupStub, metricsStub, partitionStub } from "../../src/env.ts";
import { isolate } from "../../src/worker/edge/isolate.ts";
import { app } from "../../src/worker/http/app.ts";
import {
  groupSnapshot,
  partitionSnapshot,
  position,
  workerSnapshot,
} from "../support/metrics-snapshots.ts";
import {
  call,
  closeSockets,
  createTopic,
  env,
  eventually,
  evict,
  expectStatus,
  ORIGIN,
  produce,
  readAs,
  TWINS,
  unique,
} from "./support.ts";

/** The reports of other files would fill the bounds. */
beforeEach(async () => {
  vi.useRealTimers();
  const metrics = metricsStub(env);
  await runInDurableObject(metrics, (_, { storage }) => storage.deleteAll());
  await evict(metrics);
});
afterEach(() => {
  vi.restoreAllMocks();
  closeSockets();
});

async function scrape(query = "", accept = "text/plain"): Promise<string> {
  const answer = await exports.default.fetch(`${ORIGIN}/metrics${query}`, { headers: { accept } });
  expect(answer.status).toBe(200);
  return await answer.text();
}

/** Returns the value of a series, or null if it is not there. */
function valueIn(text: string, series: string): number | null {
  const line = text.split("\n").find((each) => each.startsWith(`${series} `));
  return line === undefined ? null : Number(line.slice(series.length + 1));
}

async function seriesValue(series: string): Promise<number | null> {
  return valueIn(await scrape(), series);
}

describe.each(TWINS)("metrics$when", ({ interrupt }) => {
  test("[RPT-1] [RPT-2] news is reported at once: records, ends, committed offsets and lag", async () => {
    const topic = await createTopic(2);
    const group = unique("group");
    await produce(topic.name, [
      { value: "a", partition: 0 },
      { value: "b", partition: 0 },
      { value: "c", partition: 1 },
    ]);
    await readAs(group, topic, { 0: 1, 1: 1 });
    const labels = `topic="${topic.name}",partition="0"`;
    await eventually(
      async () =>
        (await seriesValue(`kafka_topic_partition_current_offset{${labels}}`)) === 2 &&
        (await seriesValue(`kafka_consumergroup_lag{consumergroup="${group}",${labels}}`)) === 1,
      "the partition and the group tell",
    );
    await interrupt(metricsStub(env));
    const total = await seriesValue(`rivulet_records_appended_total{topic="${topic.name}"}`);
    expect(total).toBe(3);
    const lag = await expectStatus<{ offsets: object[]; toldAtMs: number }>(
      200,
      "GET",
      `/v1/groups/${group}/lag`,
    );
    expect(lag.offsets).toEqual([
      expect.objectContaining({ partition: 0, committedOffset: 1, logEndOffset: 2, lag: 1 }),
      expect.objectContaining({ partition: 1, committedOffset: 1, logEndOffset: 1, lag: 0 }),
    ]);
    const described = await expectStatus<{ offsets: object[] }>(
      200,
      "GET",
      `/v1/groups/${group}?lag=told`,
    );
    expect(described.offsets).toMatchObject([{ lag: 1 }, { lag: 0 }]);
  });
});

test("[RPT-2] a query wakes no partition and no group", async () => {
  const topic = await createTopic(1);
  const group = unique("group");
  await produce(topic.name, [{ value: "a" }]);
  await readAs(group, topic, { 0: 1 });
  await eventually(
    async () =>
      (await seriesValue(`kafka_consumergroup_members{consumergroup="${group}"}`)) !== null,
    "the group tells",
  );
  const before = await usedBy(partitionStub(env, topic.topicId, 0), groupStub(env, group));
  await scrape();
  await scrape("?partitions=false");
  await expectStatus(200, "GET", `/v1/groups/${group}/lag`);
  await expectStatus(200, "GET", "/v1/costs");
  expect(await usedBy(partitionStub(env, topic.topicId, 0), groupStub(env, group))).toEqual(before);
});

/** The counts of objects in their lives. A query counts nothing. */
function usedBy(...stubs: DurableObjectStub[]): Promise<unknown[]> {
  return Promise.all(
    stubs.map((stub) =>
      runInDurableObject(stub, (object) => {
        const { life, requests, messages } = (object as unknown as { usage: ObjectUsage }).usage;
        return { life, requests, messages };
      }),
    ),
  );
}

test("[RPT-1] a busy object reports once a minute, and an object at rest reports nothing", async () => {
  const topic = await createTopic(1);
  const stub = partitionStub(env, topic.topicId, 0);
  const told: number[] = [];
  const { report } = MetricsObject.prototype;
  vi.spyOn(MetricsObject.prototype, "report").mockImplementation(async function (
    this: MetricsObject,
    ...args
  ) {
    const [request] = args;
    for (const each of request.snapshots)
      if (each.kind === "partition" && each.topicId === topic.topicId) told.push(each.logEndOffset);
    return await report.apply(this, args);
  });
  const append = (count: number) =>
    produce(
      topic.name,
      Array.from({ length: count }, (_, value) => ({ value })),
    );
  await append(990);
  await eventually(async () => told.at(-1) === 990, "it tells each time while it is new");
  await append(10);
  await append(10);
  expect(told).not.toContain(1_010);
  vi.useFakeTimers({ now: Date.now() + 61_000, toFake: ["Date"] });
  await append(1);
  await eventually(async () => told.at(-1) === 1_011, "it tells again after a minute");
  await append(1);
  expect(told).not.toContain(1_012);
  // Then it is at rest, and is asked until nothing has changed.
  vi.setSystemTime(Date.now() + 61_000);
  await runDurableObjectAlarm(metricsStub(env));
  const series = `kafka_topic_partition_current_offset{topic="${topic.name}",partition="0"}`;
  expect(await seriesValue(series)).toBe(1_012);
  vi.setSystemTime(Date.now() + 61_000);
  await runDurableObjectAlarm(metricsStub(env));
  const before = await usedBy(stub);
  vi.setSystemTime(Date.now() + 61_000);
  await runDurableObjectAlarm(metricsStub(env));
  expect(await usedBy(stub)).toEqual(before);
  await evict(stub);
});

test("[RPT-1] unreachable metrics delay nobody, and get the report later", async () => {
  const topic = await createTopic(1);
  const spy = vi
    .spyOn(MetricsObject.prototype, "report")
    .mockRejectedValue(new Error("Network connection lost."));
  await produce(topic.name, [{ value: "a" }]);
  await eventually(async () => spy.mock.calls.length > 0, "it was tried");
  spy.mockRestore();
  await produce(topic.name, [{ value: "b" }]);
  const series = `kafka_topic_partition_current_offset{topic="${topic.name}",partition="0"}`;
  await eventually(async () => (await seriesValue(series)) === 2, "it is told");
});

test("[RPT-3] requests count by their route and outcome, and no client's path is reported", async () => {
  const topic = await createTopic(1);
  isolate.requests.reportedMs = 0;
  await produce(topic.name, [{ value: "a" }]);
  await call("GET", "/v1/topics/none-such");
  await call("GET", "/whatever-a-client-says");
  await eventually(async () => {
    isolate.requests.reportedMs = 0;
    const text = await scrape();
    return (
      /rivulet_requests_total\{api="post-topics-topic-records",transport="http",outcome="NONE"\} \d/.test(
        text,
      ) &&
      /api="get-topics-topic",transport="http",outcome="UNKNOWN_TOPIC_OR_PARTITION"\} \d/.test(text)
    );
  }, "the isolate tells");
  const text = await scrape();
  expect(text).toMatch(/api="no-route"/);
  expect(text).not.toContain("whatever-a-client-says");
  expect(text).toMatch(
    /rivulet_request_duration_seconds_bucket\{api="post-topics-topic-records",le="\+Inf"\}/,
  );
});

test("[RPT-6] at rest nothing is lost: reports, costs, and whom to ask", async () => {
  const topic = await createTopic(1);
  const metrics = metricsStub(env);
  const ends = async () =>
    valueIn(
      await scrape(),
      `kafka_topic_partition_current_offset{topic="${topic.name}",partition="0"}`,
    );
  const toldEnds: number[] = [];
  const { report } = MetricsObject.prototype;
  const spy = vi.spyOn(MetricsObject.prototype, "report").mockImplementation(async function (
    this: MetricsObject,
    ...args
  ) {
    const answer = await report.apply(this, args);
    for (const each of args[0].snapshots)
      if (each.kind === "partition" && each.topicId === topic.topicId)
        toldEnds.push(each.logEndOffset);
    return answer;
  });
  await produce(topic.name, [{ value: "a" }]);
  await eventually(async () => toldEnds.at(-1) === 1, "the partition tells");
  spy.mockRestore();
  vi.useFakeTimers({ now: Date.now() + 9_000, toFake: ["Date"] });
  vi.spyOn(MetricsObject.prototype, "report").mockRejectedValue(new Error("Not now."));
  await produce(topic.name, [{ value: "b" }]);
  await runDurableObjectAlarm(metrics); // The partition has changed, so it is asked again.
  await evict(metrics);
  await produce(topic.name, [{ value: "c" }]);
  vi.setSystemTime(Date.now() + 61_000);
  await runDurableObjectAlarm(metrics);
  await evict(metrics);
  expect(await ends()).toBe(3);
  const { lines } = await expectStatus<{ lines: { name: string }[] }>(200, "GET", "/v1/costs");
  expect(lines.map(({ name }) => name)).toContain(topic.name);
});

test("[RPT-6] an isolate's report is stored, although no isolate is asked", async () => {
  const metrics = metricsStub(env);
  await metrics.report({ snapshots: [workerSnapshot({ life: "a", throttled: { rate: 7 } })] });
  vi.useFakeTimers({ now: Date.now() + 9_000, toFake: ["Date"] });
  expect(await runDurableObjectAlarm(metrics)).toBe(true);
  await evict(metrics);
  expect(await seriesValue('rivulet_throttled_total{reason="rate"}')).toBe(7);
});

describe.each(TWINS)("the lag of a group over time$when", ({ interrupt }) => {
  test("[MET-14] is noted with reports, and shown with the current lag", async () => {
    const metrics = metricsStub(env);
    const group = unique("group");
    const path = `/v1/groups/${group}/lag`;
    for (const [minute, end] of [10, 30, 20].entries()) {
      vi.useFakeTimers({ now: Date.now() + 61_000, toFake: ["Date"] });
      const positions = [position(end - 10 * minute)];
      await metrics.report({
        snapshots: [
          partitionSnapshot({ logEndOffset: 10 * minute + end }),
          groupSnapshot({ groupId: group, epoch: minute + 1, positions }),
        ],
      });
      vi.setSystemTime(Date.now() + 9_000);
      await runDurableObjectAlarm(metrics);
      await interrupt(metrics);
    }
    const { trend } = await expectStatus<{ trend: { atMs: number; lag: number }[] }>(
      200,
      "GET",
      path,
    );
    expect(trend).toMatchObject([{ lag: 0 }, { lag: 20 }, { lag: 40 }]);
    expect(trend.at(-1)?.atMs).toBe(Date.now());
    await expectStatus(200, "GET", path);
  });
});

describe("the lags of all groups", () => {
  beforeEach(async () => {
    const told = (groupId: string, offset: number, more: Partial<GroupSnapshot> = {}) =>
      groupSnapshot({ groupId, positions: [position(offset)], ...more });
    await metricsStub(env).report({
      snapshots: [
        partitionSnapshot({ logEndOffset: 100 }),
        partitionSnapshot({ topic: "bills", logEndOffset: 10 }),
        told("near", 90),
        told("far", 10, { state: "Empty", members: 0 }),
        told("done", 100),
        groupSnapshot({ groupId: "new" }),
        told("both", 50, { positions: [position(50), position(5, 0, "bills")] }),
      ],
    });
  });

  interface Listed {
    groups: { groupId: string; lag: number | null; topics: string[] }[];
  }
  const listed = async (query: string) =>
    (await expectStatus<Listed>(200, "GET", `/v1/group-lags${query}`)).groups;

  test.each([
    ["?order=lag", ["far", "both", "near", "done", "new"]],
    ["?order=name", ["both", "done", "far", "near", "new"]],
    ["?order=lag&limit=2", ["far", "both"]],
    ["?order=name&state=EMPTY", ["far"]],
    ["?order=name&topic=bills", ["both"]],
    ["?topic=other", []],
  ])("[MET-15] are listed by %s", async (query, names) => {
    expect((await listed(query)).map(({ groupId }) => groupId)).toEqual(names);
  });

  test("[MET-15] are sums of all topics, and null if nothing is known", async () => {
    const groups = await listed("?order=name");
    expect(groups).toMatchObject([
      { groupId: "both", lag: 55, topics: ["orders", "bills"] },
      { groupId: "done", lag: 0, topics: ["orders"] },
      { lag: 90 },
      { lag: 10 },
      { groupId: "new", lag: null, topics: [] },
    ]);
  });

  test("[MET-15] [ACL-6] are those of groups and topics that the caller may describe", async () => {
    const caller = {
      ...{ principal: "User:looker", keyId: "k", expiresAtMs: null },
      grants: [
        { groups: { exact: "both" }, operations: ["DESCRIBE"] },
        { groups: { exact: "far" }, operations: ["DESCRIBE"] },
        { topics: { exact: "orders" }, operations: ["DESCRIBE"] },
      ],
    } as const;
    const answer = await app.fetch(
      new Request(`${ORIGIN}/v1/group-lags?order=name`),
      { ...env, caller },
      { waitUntil: () => {}, passThroughOnException: () => {}, props: {} } as never,
    );
    expect(await answer.json()).toMatchObject({
      groups: [
        { groupId: "both", lag: null, oldestUnreadMs: null, topics: ["orders"] },
        { groupId: "far", lag: 90 },
      ],
    });
  });
});

test("[MTR-5] costs include the current throughput, and as many lines as requested", async () => {
  const metrics = metricsStub(env);
  const through = { appendedRecords: 600, appendedBytes: 60_000, deliveredBytes: 120_000 };
  await metrics.report({
    snapshots: [
      partitionSnapshot(through),
      partitionSnapshot({ topic: "bills", appendedRecords: 300 }),
    ],
  });
  interface Told {
    rates: object;
    lines: { name: string; rates: object }[];
  }
  const all = await expectStatus<Told>(200, "GET", "/v1/costs");
  expect(all.rates).toEqual({ recordsIn: 3, bytesIn: 200, bytesOut: 400 });
  expect(all.lines.find(({ name }) => name === "bills")?.rates).toMatchObject({ recordsIn: 1 });
  const none = await expectStatus<Told>(200, "GET", "/v1/costs?limit=0");
  expect(none).toMatchObject({ rates: all.rates, lines: [] });
  const own = await expectStatus<Told>(200, "GET", "/v1/costs?kind=topic&name=bills");
  expect(own).toMatchObject({ rates: all.rates, lines: [{ name: "bills" }] });
  expect(await expectStatus(200, "GET", "/v1/costs?kind=group&name=bills")).toMatchObject({
    lines: [],
  });
  vi.useFakeTimers({ now: Date.now() + 6 * 60_000, toFake: ["Date"] });
  const later = await expectStatus<Told>(200, "GET", "/v1/costs?limit=1");
  expect(later).toMatchObject({ rates: { recordsIn: 0 }, lines: [{}] });
});

test("[RPT-6] while reports keep coming, they are not stored each time", async () => {
  const metrics = metricsStub(env);
  const rows = () =>
    runInDurableObject(
      metrics,
      (object) => (object as unknown as { usage: ObjectUsage }).usage.counts.rowsWritten,
    );
  await metrics.report({ snapshots: [partitionSnapshot()] });
  const before = await rows();
  await runDurableObjectAlarm(metrics);
  // It sets the alarm again, and no more.
  expect((await rows()) - before).toBeLessThanOrEqual(1);
});

test("[MET-4] what was shown never falls, even if the MetricsObject is evicted before it would store", async () => {
  const topic = await createTopic(1);
  await produce(topic.name, [{ value: "a" }, { value: "b" }]);
  const series = `rivulet_records_appended_total{topic="${topic.name}"}`;
  await eventually(async () => (await seriesValue(series)) === 2, "it is told");
  await evict(metricsStub(env));
  expect(await seriesValue(series)).toBe(2);
});

test("[RPT-1] [MET-8] deleted objects are not asked any more, because that would begin them again", async () => {
  const topic = await createTopic(1);
  const group = unique("group");
  await produce(topic.name, [{ value: "a" }]);
  await readAs(group, topic, { 0: 1 });
  await eventually(async () => (await scrape()).includes(`"${group}"`), "they tell");
  await expectStatus(204, "DELETE", `/v1/groups/${group}`);
  await expectStatus(204, "DELETE", `/v1/topics/${topic.name}`);
  await eventually(async () => !(await scrape()).includes(`"${group}"`), "they are forgotten");
  const asked: string[] = [];
  for (const object of [PartitionObject, GroupObject])
    vi.spyOn(object.prototype, "snapshot").mockImplementation(async function (
      this: PartitionObject | GroupObject,
    ) {
      asked.push((this as unknown as { ctx: DurableObjectState }).ctx.id.name ?? "");
      return null;
    });
  await metricsStub(env).report({
    snapshots: [partitionSnapshot({ topicId: topic.topicId, topic: topic.name })],
  });
  vi.useFakeTimers({ now: Date.now() + 60_000, toFake: ["Date"] });
  await runDurableObjectAlarm(metricsStub(env));
  expect(asked.filter((name) => name === group || name.startsWith(topic.topicId))).toEqual([]);
});

test("[MET-8] a deleted topic and a deleted group no longer have series", async () => {
  const topic = await createTopic(1);
  const group = unique("group");
  await produce(topic.name, [{ value: "a" }]);
  await readAs(group, topic, { 0: 1 });
  const isShown = async () => {
    const text = await scrape();
    return text.includes(`"${topic.name}"`) && text.includes(`"${group}"`);
  };
  await eventually(isShown, "they are told");
  await expectStatus(204, "DELETE", `/v1/groups/${group}`);
  await expectStatus(204, "DELETE", `/v1/topics/${topic.name}`);
  await eventually(async () => {
    const text = await scrape();
    return !text.includes(`"${topic.name}"`) && !text.includes(`"${group}"`);
  }, "they are forgotten");
});

test("[MTR-1] costs add up, and a topic has what its partitions have used", async () => {
  const topic = await createTopic(1);
  for (let i = 0; i < 3; i++) await produce(topic.name, [{ value: "a" }]);
  interface Costs {
    total: { month: number };
    lines: {
      kind: string;
      name: string;
      month: number;
      usedThisMonth: { usage: { rowsWritten: number } };
    }[];
  }
  const own = await eventually(async () => {
    const costs = await expectStatus<Costs>(200, "GET", "/v1/costs");
    const sum = costs.lines.reduce((total, { month }) => total + month, 0);
    expect(costs.total.month).toBeCloseTo(sum, 12);
    return costs.lines.find(({ kind, name }) => kind === "topic" && name === topic.name);
  }, "the partition tells");
  expect(own.usedThisMonth.usage.rowsWritten).toBeGreaterThan(3);
  expect(own.month).toBeGreaterThan(3e-6);
});

test("[MTR-4] a topic has its records of the month, and what they would have cost elsewhere", async () => {
  const topic = await createTopic(1);
  const value = "a".repeat(1_000);
  for (let i = 0; i < 3; i++) await produce(topic.name, [{ value }]);
  interface Costs {
    elsewhere: { k2: number; queues: number };
    lines: {
      name: string;
      usedThisMonth: { recordsIn: number; bytesIn: number };
      elsewhere: { k2: number; queues: number };
    }[];
  }
  const { costs, own } = await eventually(async () => {
    const costs = await expectStatus<Costs>(200, "GET", "/v1/costs");
    const own = costs.lines.find(({ name }) => name === topic.name);
    return own?.usedThisMonth.recordsIn === 3 ? { costs, own } : null;
  }, "the partition has told all three");
  expect(own.usedThisMonth.bytesIn).toBeGreaterThan(3_000);
  expect(own.elsewhere.k2).toBeGreaterThanOrEqual((own.usedThisMonth.bytesIn / 1e9) * 0.04);
  expect(own.elsewhere.queues).toBeCloseTo((3 / 1e6) * 0.4, 12);
  for (const where of ["k2", "queues"] as const) {
    const sum = costs.lines.reduce((total, { elsewhere }) => total + elsewhere[where], 0);
    expect(costs.elsewhere[where]).toBeCloseTo(sum, 12);
  }
});

test("[MET-16] a report is a data point if there is a dataset for it, indexed by the name of a topic or group", async () => {
  const points: { indexes: string[]; blobs: string[]; doubles: number[] }[] = [];
  const topic = "ü".repeat(60);
  await runInDurableObject(metricsStub(env), async (object) => {
    const own = (object as unknown as { env: { ANALYTICS?: Env["ANALYTICS"] | undefined } }).env;
    own.ANALYTICS = { writeDataPoint: (point) => void points.push(point) };
    const usage = { ...NO_USAGE, rowsWritten: 7, requests: 2, awakeMs: 1.5 };
    const told = partitionSnapshot({ topic, appendedRecords: 3, appendedBytes: 99, usage });
    await (object as MetricsObject).report({ snapshots: [told] });
    await (object as MetricsObject).report({ snapshots: [told, groupSnapshot({ rebalances: 4 })] });
    own.ANALYTICS = undefined;
    await (object as MetricsObject).report({ snapshots: [groupSnapshot({ rebalances: 9 })] });
  });
  expect(points).toEqual([
    {
      indexes: [expect.stringMatching(/^ü{40,}/)],
      blobs: ["partition", topic],
      doubles: [3, 99, 0, 7, 0, 2, 0, 1.5, 0, 0],
    },
    { indexes: ["billing"], blobs: ["group", "billing"], doubles: [0, 0, 0, 0, 0, 0, 0, 0, 0, 4] },
  ]);
  const bytes = new TextEncoder().encode(points[0]?.indexes[0]).length;
  expect(bytes).toBeLessThanOrEqual(96);
});

describe("the meter itself", () => {
  interface Costs {
    total: { month: number };
    lines: { kind: string; name: string; month: number; usedToday: { usage: Usage } }[];
  }
  const costs = () => expectStatus<Costs>(200, "GET", "/v1/costs");

  test("[MTR-6] costs less than a hundredth of what it measures", async () => {
    const metrics = metricsStub(env);
    // Ten minutes of two appends a second in each of three partitions, as they report it: a row and a request each.
    for (let minute = 1; minute <= 10; minute++) {
      vi.useFakeTimers({ now: Date.now() + 60_000, toFake: ["Date"] });
      const count = 120 * minute;
      const usage = { ...NO_USAGE, rowsWritten: count, requests: count };
      for (const topic of ["orders", "bills", "mails"])
        await metrics.report({
          snapshots: [
            partitionSnapshot({ topic, usage, logEndOffset: count, appendedRecords: count }),
          ],
        });
      await runDurableObjectAlarm(metrics);
    }
    vi.setSystemTime(Date.now() + 9_000);
    await runDurableObjectAlarm(metricsStub(env));
    const { total, lines } = await costs();
    const own = lines.find(({ name }) => name === "metrics")?.month ?? 0;
    expect(own).toBeGreaterThan(0);
    console.info(`the meter costs ${((100 * own) / total.month).toFixed(2)} % of the whole`);
    expect(own / total.month).toBeLessThan(0.01);
  });

  test("[MTR-6] shows how long an object was awake, to a fifth", async () => {
    const topic = await createTopic(1);
    await expectStatus(200, "PATCH", `/v1/topics/${topic.name}`, {
      config: { "commit.linger.ms": 500 },
    });
    await produce(topic.name, [{ value: "a" }]);
    const stub = partitionStub(env, topic.topicId, 0);
    const used = () =>
      runInDurableObject(stub, (object) => (object as unknown as { usage: Usage }).usage.awakeMs);
    const before = await used();
    const startMs = performance.now();
    for (let i = 0; i < 5; i++) await produce(topic.name, [{ value: "a" }]);
    const tookMs = performance.now() - startMs;
    const awakeMs = (await used()) - before;
    expect(awakeMs / tookMs).toBeGreaterThan(0.8);
    expect(awakeMs / tookMs).toBeLessThan(1.2);
  });
});

describe.each(TWINS)("fresh metrics$when", ({ interrupt }) => {
  test("[RPT-5] an admin sees what a partition and a group have not yet reported", async () => {
    const topic = await createTopic(1);
    const group = unique("group");
    await produce(topic.name, [{ value: "a" }]);
    await readAs(group, topic, { 0: 1 });
    const labels = `topic="${topic.name}",partition="0"`;
    const shownIn = (text: string) => [
      valueIn(text, `kafka_topic_partition_current_offset{${labels}}`),
      valueIn(text, `kafka_consumergroup_current_offset{consumergroup="${group}",${labels}}`),
    ];
    await eventually(
      async () => shownIn(await scrape()).every((value) => value === 1),
      "the partition and the group tell",
    );
    vi.spyOn(MetricsObject.prototype, "report").mockRejectedValue(new Error("Not now."));
    await produce(topic.name, [{ value: "b" }, { value: "c" }]);
    await readAs(group, topic, { 0: 2 });
    await interrupt(metricsStub(env));
    expect(shownIn(await scrape())).toEqual([1, 1]);
    expect(shownIn(await scrape(`?fresh=true&topic=${topic.name}`))).toEqual([3, 2]);
    expect(shownIn(await scrape())).toEqual([3, 2]);
  });

  test("[RPT-5] objects that do not answer are shown as last reported", async () => {
    const topics = [await createTopic(1), await createTopic(1)] as const;
    for (const { name } of topics) await produce(name, [{ value: "a" }]);
    const ends = (text: string) =>
      topics.map(({ name }) =>
        valueIn(text, `kafka_topic_partition_current_offset{topic="${name}",partition="0"}`),
      );
    await eventually(
      async () => ends(await scrape()).every((value) => value === 1),
      "the partitions tell",
    );
    await interrupt(metricsStub(env));
    vi.spyOn(MetricsObject.prototype, "report").mockRejectedValue(new Error("Not now."));
    for (const { name } of topics) await produce(name, [{ value: "b" }]);
    const { snapshot } = PartitionObject.prototype;
    vi.spyOn(PartitionObject.prototype, "snapshot").mockImplementation(async function (
      this: PartitionObject,
    ) {
      const told = await snapshot.call(this);
      if (told?.topicId === topics[0].topicId) throw new Error("Network connection lost.");
      return told;
    });
    expect(ends(await scrape("?fresh=true"))).toEqual([1, 2]);
  });
});

test("[RPT-5] only the partitions of the named topics are asked, and the groups that read them", async () => {
  const [topic, other] = [await createTopic(1), await createTopic(1)];
  const [group, otherGroup] = [unique("group"), unique("group")];
  await produce(topic.name, [{ value: "a" }]);
  await produce(other.name, [{ value: "a" }]);
  await readAs(group, topic, { 0: 1 });
  await readAs(otherGroup, other, { 0: 1 });
  await eventually(async () => {
    const text = await scrape();
    return [group, otherGroup].every((each) =>
      text.includes(`kafka_consumergroup_current_offset{consumergroup="${each}"`),
    );
  }, "the groups tell");
  const metrics = metricsStub(env);
  expect(await metrics.refresh({ topicPrefix: topic.name })).toEqual({ asked: 2, answered: 2 });
  expect(await metrics.refresh({ topicPrefix: "none-such" })).toEqual({ asked: 0, answered: 0 });
  expect(await metrics.refresh({ topicPrefix: "" })).toEqual({ asked: 4, answered: 4 });
});

test("[RPT-5] if there are more partitions than may be asked, none is", async () => {
  const asked = vi.spyOn(PartitionObject.prototype, "snapshot");
  const many = Array.from({ length: MAX_METRICS_ASKED + 1 }, (_, partition) =>
    partitionSnapshot({ topic: "many", topicId: "many-id", partition }),
  );
  await metricsStub(env).report({ snapshots: many });
  const refused = await call("GET", "/metrics?fresh=true");
  expect(refused).toMatchObject({ status: 400, body: { code: "INVALID_REQUEST" } });
  expect(JSON.stringify(refused.body)).toMatch(/fresh: .*1001 .* 1000 /);
  expect(asked).not.toHaveBeenCalled();
});

test("[MET-2] the format is what the client accepts", async () => {
  const openmetrics = "application/openmetrics-text; version=1.0.0";
  const text = await scrape("", openmetrics);
  expect(text.endsWith("# EOF\n")).toBe(true);
  expect((await scrape()).endsWith("# EOF\n")).toBe(false);
  const wrong = await call("GET", "/metrics?partitions=perhaps");
  expect(wrong).toMatchObject({ status: 400, body: { code: "INVALID_REQUEST" } });
});
