// Compaction in the real object: by its alarm, in slices, observed by readers over HTTP and sockets. Time is set, alarms are
// run: nothing here waits for the clock.
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { decodeAnyBatch } from "../../src/compression/decode.ts";
import { HOUSEKEEPING_INTERVAL_MS } from "../../src/core/limits.ts";
import type { LogState } from "../../src/core/log/log-store.ts";
import { batches } from "../../src/core/log/record-batch.ts";
import { partitionStub } from "../../src/env.ts";
import type { PartitionMessage } from "../../src/protocol/partition-socket.ts";
import {
  alarmOf,
  call,
  createTopic,
  env,
  fetchRecords,
  isBytes,
  type JsonRecord,
  produce,
  readValues,
  recordBatch,
  segmentsOf,
  TestSocket,
  type TopicJson,
  TWINS,
} from "./support.ts";

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const MIB = 1024 * 1024;

/** Time stands still from here on, an hour from now: no real alarm comes in between. */
function stopClock(): number {
  const nowMs = Date.now() + HOUR_MS;
  vi.setSystemTime(nowMs);
  return nowMs;
}

async function newPartition(config: Readonly<Record<string, unknown>> = {}) {
  const topic = await createTopic(1, config);
  return { topic, stub: partitionStub(env, topic.topicId, 0) };
}

type Stub = ReturnType<typeof partitionStub>;

async function bounds(stub: Stub): Promise<[number, number]> {
  const result = await stub.offsets();
  if (!result.ok) throw new Error(result.detail);
  return [result.logStartOffset, result.highWatermark];
}

describe("compaction", () => {
  const KEYS = 6;
  const COMPACTED = { "cleanup.policy": "compact", "segment.bytes": MIB };

  /** About 4 MiB over several segments, by few keys. Compaction waits until `min.compaction.lag.ms` is over. */
  async function fill(topic: TopicJson): Promise<void> {
    const filling = "x".repeat(20_000);
    for (let request = 0; request < 9; request++) {
      const records = Array.from({ length: 24 }, (_, index) => {
        const n = 24 * request + index;
        return { key: `k${(n * 7) % KEYS}`, value: `${n} ${filling}` };
      });
      // A key that occurs once, in the oldest segment.
      if (request === 0) records.unshift({ key: "rare", value: "once" });
      await produce(topic.name, records);
    }
  }

  async function readAll(topic: TopicJson): Promise<JsonRecord[]> {
    const records: JsonRecord[] = [];
    for (let offset = 0; ; ) {
      const some = await fetchRecords(topic.name, 0, `?offset=${offset}&maxRecords=10000`);
      records.push(...some.records);
      offset = some.nextOffset;
      if (offset >= some.highWatermark) return records;
    }
  }

  const compactionOf = (stub: Stub) =>
    runInDurableObject(stub, (_, { storage }) => {
      const { state } = storage.sql.exec<{ state: string }>("SELECT state FROM log").one();
      return (JSON.parse(state) as LogState).compaction;
    });

  /** The expected rest: the newest record of each key before the active segment, and all of that. */
  function survivors(records: readonly JsonRecord[], active: number): JsonRecord[] {
    const newest = new Map<unknown, number>();
    for (const { key, offset } of records) if (offset < active) newest.set(key, offset);
    return records.filter(({ key, offset }) => offset >= active || newest.get(key) === offset);
  }

  test.each(TWINS)(
    "[CMP-1] [CMP-3] [CMP-4] a pass by alarm, slice by slice, keeps the newest of each key$when",
    async ({ interrupt }) => {
      const startMs = stopClock();
      const { topic, stub } = await newPartition({
        ...COMPACTED,
        "min.compaction.lag.ms": HOUR_MS,
      });
      await fill(topic);
      const before = await readAll(topic);
      expect(before).toHaveLength(9 * 24 + 1);
      const active = (await segmentsOf(stub)).at(-1) as number;
      expect(active).toBeGreaterThan(100);
      expect(await alarmOf(stub)).toBe(startMs + HOUR_MS);
      await interrupt(stub);
      // A clock that races: an alarm has time for one slice only, and sets the next.
      let nowMs = startMs + HOUR_MS;
      const clock = vi.spyOn(Date, "now").mockImplementation(() => (nowMs += 30_000));
      const after = survivors(before, active);
      expect(after.length).toBeLessThan(KEYS + 2 + before.length - active);
      let slices = 0;
      let wasSeenHalf = false;
      let stored = "";
      while ((await compactionOf(stub)).cleanedOffset < active) {
        expect(await runDurableObjectAlarm(stub)).toBe(true);
        slices++;
        expect(slices).toBeLessThan(50);
        // Keys are read again after an eviction, so this evicts where the pass has made progress, and once in between.
        const state = JSON.stringify(await compactionOf(stub));
        if (state !== stored || slices === 8) await interrupt(stub);
        stored = state;
        wasSeenHalf ||= (await compactionOf(stub)).pass !== null;
        // Whatever is left already: nothing that survives is missing, changed or out of order.
        const seen = await readAll(topic);
        const offsets = new Set(seen.map(({ offset }) => offset));
        expect(after.filter(({ offset }) => !offsets.has(offset))).toEqual([]);
        expect(before.filter(({ offset }) => offsets.has(offset))).toEqual(seen);
      }
      expect(slices).toBeGreaterThan(4);
      expect(wasSeenHalf).toBe(true);
      clock.mockRestore();
      await interrupt(stub);
      expect((await readAll(topic)).map(({ offset }) => offset)).toEqual(
        after.map(({ offset }) => offset),
      );
      expect(await bounds(stub)).toEqual([0, before.length]);
      const left = Array.from({ length: before.length }, (_, offset) =>
        after.find((record) => record.offset >= offset),
      );
      for (const offset of [1, 50, active - 1]) {
        const { records } = await fetchRecords(topic.name, 0, `?offset=${offset}`);
        expect(records[0]).toEqual(left[offset]);
      }
      // Over a socket too; batches cover the offsets that they always covered.
      const path = `/v1/topics/${topic.name}/partitions/0/socket`;
      const reader = await TestSocket.open<PartitionMessage>(path);
      reader.send({ type: "attach", offset: 0, windowBytes: 4 * MIB });
      const offsets: number[] = [];
      while (offsets.at(-1) !== before.length - 1) {
        const frame = await reader.next(isBytes);
        for (const { start } of batches(frame))
          offsets.push(...decodeAnyBatch(frame, start).map(({ offset }) => offset));
      }
      expect(offsets).toEqual(after.map(({ offset }) => offset));
      expect(await produce(topic.name, [{ key: "k0", value: "next" }])).toMatchObject([
        { offset: before.length },
      ]);
    },
  );

  test.each(TWINS)(
    "[CMP-2] a tombstone is kept for delete.retention.ms after the first pass$when",
    async ({ interrupt }) => {
      const startMs = stopClock();
      const { topic, stub } = await newPartition({
        ...COMPACTED,
        "max.compaction.lag.ms": MINUTE_MS,
        "delete.retention.ms": HOUR_MS,
      });
      await produce(topic.name, [
        { key: "a", value: "1" },
        { key: "b", value: "1" },
        { key: "a", value: null },
        { key: "c", value: "1" },
      ]);
      const read = async () => (await readAll(topic)).map(({ key, value }) => [key, value]);
      // Nobody appends: the alarm closes the segment itself.
      const rollMs = await alarmOf(stub);
      expect(rollMs).toBe(startMs + HOUSEKEEPING_INTERVAL_MS);
      await interrupt(stub);
      const passMs = startMs + HOUSEKEEPING_INTERVAL_MS;
      vi.setSystemTime(passMs);
      expect(await runDurableObjectAlarm(stub)).toBe(true);
      await interrupt(stub);
      expect(await read()).toEqual([
        ["b", "1"],
        ["a", null],
        ["c", "1"],
      ]);
      expect(await alarmOf(stub)).toBe(passMs + HOUR_MS);
      vi.setSystemTime(passMs + HOUR_MS);
      expect(await runDurableObjectAlarm(stub)).toBe(true);
      await interrupt(stub);
      expect(await read()).toEqual([
        ["b", "1"],
        ["c", "1"],
      ]);
      expect(await bounds(stub)).toEqual([0, 4]);
      expect(await alarmOf(stub)).toBe(null);
    },
  );

  test.each(TWINS)(
    "[CMP-1] [LOG-7] a partition in memory serves what compaction has left$when",
    async ({ interrupt }) => {
      const startMs = stopClock();
      const { topic, stub } = await newPartition({
        ...COMPACTED,
        "max.compaction.lag.ms": MINUTE_MS,
      });
      const value = "superseded";
      await produce(topic.name, [{ key: "a", value }]);
      await produce(topic.name, [{ key: "a", value: "newest" }]);
      vi.setSystemTime(startMs + HOUSEKEEPING_INTERVAL_MS);
      expect(await runDurableObjectAlarm(stub)).toBe(true);
      await interrupt(stub);
      expect(await readValues(topic)).toEqual([[1, "newest"]]);
    },
  );

  test.each(TWINS)(
    "[CMP-5] a compacted topic rejects a record without a key$when",
    async ({ interrupt }) => {
      const { topic, stub } = await newPartition(COMPACTED);
      await produce(topic.name, [{ key: "a", value: "1" }]);
      await interrupt(stub);
      const refused = (detail: RegExp) => ({
        status: 400,
        body: { code: "INVALID_RECORD", errorCode: 87, detail: expect.stringMatching(detail) },
      });
      const records = [{ key: "b", value: "2" }, { value: "3" }];
      expect(await call("POST", `/v1/topics/${topic.name}/records`, { records })).toMatchObject(
        refused(/^records\[1\]\.key is null, compacted topic /),
      );
      const batch = recordBatch(["4", "5"], { keys: ["c", null] });
      const path = `/v1/topics/${topic.name}/partitions/0/batches`;
      expect(await call("POST", path, batch)).toMatchObject(refused(/record 1 has no key/));
      await interrupt(stub);
      expect(await readValues(topic)).toEqual([[0, "1"]]);
    },
  );
});
