// Unused partitions are queried without a call to their objects.
import { describe, expect, test, vi } from "vitest";
import { fail } from "../../../../src/core/errors.ts";
import { deleteRecords, PartitionUse } from "../../../../src/worker/edge/partition-use.ts";
import { brokerOf, freshQuietIsolate } from "../kafka/kafka-bench.ts";

freshQuietIsolate();

const BOUNDS = { ok: true, logStartOffset: 3, highWatermark: 8 };

/** A topic of nine partitions, and the cluster's knowledge of their use. */
function broker(used: () => readonly (readonly number[] | null)[]) {
  const usedPartitions = vi.fn(async (_: { topicIds: readonly string[] }) => used());
  const offsets = vi.fn(async () => BOUNDS);
  const remove = vi.fn(async ({ before }: { before: number }) => ({
    ok: true,
    logStartOffset: before,
  }));
  const partition = { offsets, deleteRecords: remove };
  const env = brokerOf({ t: 9, other: 1 }, { partition, cluster: { usedPartitions } });
  return { env, usedPartitions, offsets };
}

describe("a request", () => {
  test("[PLC-3] asks about a topic once, and calls none of its unused partitions", async () => {
    const { env, usedPartitions, offsets } = broker(() => [[2]]);
    const use = new PartitionUse(env);
    const numbers = [0, 1, 2, 3, 2];
    const found = await Promise.all(numbers.map((number) => use.boundsOf("id-t", number)));
    const empty = { ok: true, logStartOffset: 0, highWatermark: 0 };
    expect(found).toEqual([empty, empty, BOUNDS, empty, BOUNDS]);
    expect(usedPartitions).toHaveBeenCalledTimes(1);
    expect(offsets).toHaveBeenCalledTimes(2);
  });

  test("[PLC-3] asks about several topics in one call", async () => {
    const { env, usedPartitions } = broker(() => [[0], []]);
    const use = new PartitionUse(env);
    use.ask(["id-t", "id-other"]);
    expect([await use.isUnused("id-t", 0), await use.isUnused("id-other", 0)]).toEqual([
      false,
      true,
    ]);
    expect(usedPartitions.mock.calls).toEqual([[{ topicIds: ["id-t", "id-other"] }]]);
  });

  test("[PLC-3] remembers for later ones what is used, and asks again about the rest", async () => {
    const { env, usedPartitions } = broker(() => [[0]]);
    const isUnused = (number: number) => new PartitionUse(env).isUnused("id-t", number);
    expect([await isUnused(0), await isUnused(0), await isUnused(0)]).toEqual(Array(3).fill(false));
    expect(usedPartitions).toHaveBeenCalledTimes(1);
    expect([await isUnused(1), await isUnused(1)]).toEqual([true, true]);
    expect(usedPartitions).toHaveBeenCalledTimes(3);
  });

  test("[PLC-3] asks the partition if the cluster is out of reach, and does not remember that", async () => {
    const { env, usedPartitions, offsets } = broker(() => {
      throw new Error("Network connection lost");
    });
    expect(await new PartitionUse(env).boundsOf("id-t", 0)).toEqual(BOUNDS);
    expect(await new PartitionUse(env).boundsOf("id-t", 0)).toEqual(BOUNDS);
    expect(usedPartitions).toHaveBeenCalledTimes(2);
    expect(offsets).toHaveBeenCalledTimes(2);
  });

  test("[PLC-3] asks the partition of a topic whose use is not remembered, and none of one that is gone", async () => {
    const { env, offsets } = broker(() => [null]);
    expect(await new PartitionUse(env).boundsOf("id-t", 0)).toEqual(BOUNDS);
    await expect(new PartitionUse(env).boundsOf("id-gone", 0)).rejects.toMatchObject({
      code: "UNKNOWN_TOPIC_ID",
    });
    expect(offsets).toHaveBeenCalledTimes(1);
  });
});

test.each([
  ["an unused one up to its beginning", [], 0, { ok: true, logStartOffset: 0 }],
  ["all of an unused one", [], "latest", { ok: true, logStartOffset: 0 }],
  ["an unused one further", [], 5, fail("OFFSET_OUT_OF_RANGE", "before is 5, the log ends at 0")],
  ["a used one", [0], 5, { ok: true, logStartOffset: 5 }],
  ["all of a used one", [0], "latest", { ok: true, logStartOffset: 8 }],
] as const)("[LOG-8] [PLC-3] the records of %s are deleted", async (_, used, before, expected) => {
  const { env } = broker(() => [used]);
  expect(await deleteRecords(env, "id-t", 0, before)).toMatchObject(expected);
});
