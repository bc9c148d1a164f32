// The objects that the MetricsObject asks, and when.
import { expect, test } from "vitest";
import { Asks } from "../../../../durable-objects/metrics/asks.ts";
import { FEW_METRICS_MEMBERS } from "../../../../src/core/limits.ts";
import type { PartitionSnapshot } from "../../../../src/core/metrics/snapshot.ts";
import { NO_USAGE } from "../../../../src/core/metrics/usage.ts";
import { groupSnapshot } from "../../../support/metrics-snapshots.ts";

const told = (logEndOffset: number, partition = 0): PartitionSnapshot => ({
  ...{ kind: "partition", life: "l", usage: NO_USAGE, storedBytes: 1 },
  ...{ topic: "t", topicId: "id", partition, logStartOffset: 0, logEndOffset, logBytes: 1 },
  ...{ readers: 0, appendedRecords: 0, appendedBytes: 0, appendedBatches: 0, commits: 0 },
  deliveredBytes: 0,
});
const S = 1_000;

test("[RPT-1] an object is asked after its report, ever more seldom, until nothing has changed", () => {
  const asks = new Asks();
  asks.add(told(1), 0);
  const times: number[] = [];
  let end = 1;
  for (let nowMs = 0; nowMs <= 400 * S; nowMs += S)
    for (const ask of asks.takeDue(nowMs)) {
      times.push(nowMs / S);
      // It goes on for two minutes. Then it is at rest.
      if (nowMs < 120 * S) end++;
      asks.answered(ask, { ...told(end), usage: { ...NO_USAGE, requests: times.length } }, nowMs);
    }
  expect(times).toEqual([5, 15, 35, 70, 130]);
  expect(asks.nextMs).toBe(null);
});

test("[RPT-1] one that has reported in between is asked soon, and one that is asked reports on no other", () => {
  const asks = new Asks();
  asks.add(told(1), 0);
  asks.add(told(1, 1), 3 * S);
  expect(asks.nextMs).toBe(5 * S);
  const [ask] = asks.takeDue(5 * S);
  asks.add(told(2), 5 * S);
  if (ask !== undefined) asks.answered(ask, told(2), 6 * S);
  expect(asks.takeDue(10 * S).map(({ asked }) => asked)).toEqual([
    { kind: "partition", topicId: "id", partition: 1 },
    { kind: "partition", topicId: "id", partition: 0 },
  ]);
});

test("[RPT-1] after the clock was set back nobody waits forever, and the waiting have a bound", () => {
  const asks = new Asks();
  asks.add(told(1), 10_000 * S);
  expect(asks.takeDue(0)).toHaveLength(1);
  for (let partition = 0; partition < 10_010; partition++) asks.add(told(1, partition), 0);
  expect(asks.takeDue(10 * S)).toHaveLength(10_000);
});

test("[RPT-1] a group of many members is not asked, because it would read all of them", () => {
  const asks = new Asks();
  asks.add(groupSnapshot({ groupId: "large", members: FEW_METRICS_MEMBERS + 1 }), 0);
  expect(asks.nextMs).toBe(null);
  asks.add(groupSnapshot({ groupId: "grows", members: FEW_METRICS_MEMBERS }), 0);
  const [ask] = asks.takeDue(5 * S);
  expect(ask?.asked).toEqual({ kind: "group", groupId: "grows" });
  if (ask !== undefined)
    asks.answered(ask, groupSnapshot({ groupId: "grows", members: 1_000 }), 5 * S);
  expect(asks.nextMs).toBe(null);
});

test("[RPT-1] a group that is named like a partition keeps nobody from being asked", () => {
  const asks = new Asks();
  asks.add(told(1), 0);
  for (const groupId of ["id/0", "id:0"]) asks.add(groupSnapshot({ groupId }), 0);
  expect(asks.takeDue(5 * S)).toHaveLength(3);
});

test("[RPT-6] asks are stored and read again, and unreadable ones left out", () => {
  const asks = new Asks();
  asks.add(told(1), 0);
  asks.add(told(1, 1), 0);
  const stored = JSON.parse(JSON.stringify(asks)) as object[];
  expect(Asks.fromJSON(stored).toJSON()).toEqual(asks.toJSON());
  const [first, second] = stored;
  const broken = [null, 7, {}, { ...first, atMs: "soon" }, { ...first, asked: { kind: "relay" } }];
  const nobody = { ...first, asked: null };
  expect(Asks.fromJSON([...broken, nobody, second]).toJSON()).toEqual([second]);
  for (const wrong of [null, "asks", { length: 3 }]) expect(Asks.fromJSON(wrong).nextMs).toBe(null);
});
