// Reading records page by page, from a broker that is a list.
import { afterEach, describe, expect, test, vi } from "vitest";
import {
  type Filter,
  type From,
  isFit,
  NO_FILTER,
  type Progress,
  partitionOfKey,
  Scan,
} from "../../../src/console/record-scan.ts";
import type { JsonRecord } from "../../../src/protocol/json-record.ts";

afterEach(() => vi.unstubAllGlobals());

const record = (offset: number, more: Partial<JsonRecord> = {}): JsonRecord => ({
  offset,
  timestamp: offset,
  key: `k${offset % 3}`,
  value: `v${offset}`,
  headers: {},
  ...more,
});

/** Responds like a broker with these logs, at most `most` records at a time, and notes the requests. */
function broker(logs: readonly (readonly JsonRecord[])[], most = 1_000): string[] {
  const asked: string[] = [];
  vi.stubGlobal("fetch", async (path: string) => {
    asked.push(path);
    const [, partition, what] = /partitions\/(\d+)\/(\w+)/.exec(path) ?? [];
    const query = new URL(path, "http://localhost").searchParams;
    const log = logs[Number(partition)] ?? [];
    const end = (log.at(-1)?.offset ?? -1) + 1;
    if (what === "state")
      return Response.json({ logStartOffset: log[0]?.offset ?? 0, highWatermark: end });
    if (what === "offsets") {
      const at = Number(query.get("at"));
      return Response.json({ offset: log.find(({ timestamp }) => timestamp >= at)?.offset ?? end });
    }
    const wanted = Math.min(most, Number(query.get("maxRecords")));
    const from = Number(query.get("offset"));
    const records = log.filter(({ offset }) => offset >= from).slice(0, wanted);
    return Response.json({ records, nextOffset: (records.at(-1)?.offset ?? end - 1) + 1 });
  });
  return asked;
}

const log = (count: number) => Array.from({ length: count }, (_, i) => record(i));

async function looked(
  partitions: number[],
  from: From,
  filter: Filter = NO_FILTER,
  count = 10,
): Promise<Progress> {
  let last: Progress | null = null;
  const scan = new Scan("t", partitions, from, filter);
  await scan.more(count, new AbortController().signal, (progress) => {
    last = progress;
  });
  if (last === null) throw new Error("it told nothing");
  return last;
}

const offsetsOf = ({ found }: Progress) => found.map(({ offset }) => offset);

describe("a look through records", () => {
  test("[CON-12] begins with the newest", async () => {
    broker([log(100)]);
    const told = await looked([0], { type: "newest" });
    expect(offsetsOf(told)).toEqual([99, 98, 97, 96, 95, 94, 93, 92, 91, 90]);
    expect(told).toMatchObject({ looked: 10, total: 100, isDone: false });
  });

  test("[CON-12] begins with the oldest, at an offset, at a time", async () => {
    broker([log(100).slice(20)]);
    expect(offsetsOf(await looked([0], { type: "oldest" })).slice(0, 2)).toEqual([20, 21]);
    expect(offsetsOf(await looked([0], { type: "offset", offset: 90 }))[0]).toBe(90);
    expect(offsetsOf(await looked([0], { type: "offset", offset: 3 }))[0]).toBe(20);
    expect(offsetsOf(await looked([0], { type: "time", timestamp: 55 }))[0]).toBe(55);
  });

  test.each(["newest", "oldest"] as const)("[CON-12] finds all, from the %s", async (type) => {
    broker([log(2_500), log(10), []], 300);
    const told = await looked([0, 1, 2], { type }, { ...NO_FILTER, key: "k1" }, 5_000);
    expect(told.found).toHaveLength(833 + 3);
    expect(told).toMatchObject({ looked: 2_510, total: 2_510, isDone: true });
  });

  test("[CON-12] skips gaps that compaction left", async () => {
    broker([[record(3), record(700), record(1_500)]]);
    const told = await looked([0], { type: "newest" }, NO_FILTER, 50);
    expect(offsetsOf(told)).toEqual([1_500, 700, 3]);
    expect(told.isDone).toBe(true);
  });

  test("[CON-12] continues where it ended, and ends on request", async () => {
    broker([log(30)]);
    const scan = new Scan("t", [0], { type: "oldest" }, NO_FILTER);
    const { signal } = new AbortController();
    const offsets: number[][] = [];
    const note = (progress: Progress) => offsets.push(offsetsOf(progress));
    await scan.more(5, signal, note);
    await scan.more(5, signal, note);
    expect(offsets.at(-1)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });
});

test("[CON-12] a key is looked for where Kafka clients put it", () => {
  // The test vectors of Kafka's own murmur2.
  expect(partitionOfKey("21", 1_000)).toBe((-973932308 & 0x7fffffff) % 1_000);
  expect(partitionOfKey("foobar", 1_000)).toBe((-790332482 & 0x7fffffff) % 1_000);
});

test.each([
  [{ key: "k1" }, true],
  [{ key: "k" }, false],
  [{ headerName: "h" }, true],
  [{ headerName: "h", headerValue: "2" }, true],
  [{ headerName: "h", headerValue: "3" }, false],
  [{ headerName: "constructor" }, false],
  [{ text: "V1" }, true],
  [{ text: "other" }, false],
])("[CON-12] a record matches %j: %s", (filter, expected) => {
  const one = record(1, { headers: { h: ["1", "2"], b: { base64: "AA==" }, n: null } });
  expect(isFit(one, { ...NO_FILTER, ...filter })).toBe(expected);
});
