// Doctor's findings from reports; test/e2e/doctor.test.ts runs it.
import { expect, test } from "vitest";
import {
  findingText,
  folderFindings,
  groupFinding,
  type KnownTopic,
  partitionFindings,
  partitionsToWake,
  positionFindings,
} from "../../../src/cli/doctor/findings.ts";

const topic: KnownTopic = {
  ...{ name: "orders", topicId: "id", partitions: 3 },
  used: [
    { partition: 1, logEnd: 9 },
    { partition: 2, logEnd: null },
  ],
};
const state = { logStartOffset: 0, highWatermark: 9, hasConfig: true };

test("[DRX-4] used partitions are woken, or all of a topic if its use is not remembered", () => {
  expect(partitionsToWake(topic)).toEqual([1, 2]);
  expect(partitionsToWake({ ...topic, used: null })).toEqual([0, 1, 2]);
  expect(partitionsToWake({ ...topic, used: [] })).toEqual([]);
});

test("[DRX-1] a log that ends before its earlier end is reported, with what is lost", () => {
  expect(partitionFindings(topic, 1, state)).toEqual([]);
  expect(partitionFindings(topic, 2, { ...state, highWatermark: 0 })).toEqual([]);
  const [found] = partitionFindings(topic, 1, { ...state, highWatermark: 4 });
  expect(found).toMatchObject({ kind: "log-end-behind", about: "orders/1", repair: null });
  expect(found?.meaning).toContain("Records 4 to 8 are lost");
});

test("[DRX-1] each finding says what it means and what to type, and only safe repairs are automatic", () => {
  const failed = { code: "KAFKA_STORAGE_ERROR", detail: "gone" };
  const known = new Map([[topic.topicId, topic]]);
  const file = "f.sqlite";
  const all = [
    ...partitionFindings(topic, 1, failed),
    ...partitionFindings(topic, 1, { ...state, highWatermark: 4, hasConfig: false }),
    groupFinding("billing", failed),
    groupFinding("billing", null),
    ...positionFindings("billing", [{ topic: "orders", partition: 1, offset: 10 }], () => 9),
    ...folderFindings(
      [
        { kind: "group", file, group: "hidden" },
        { kind: "partition", file, topicId: "id", topic: "orders", partition: 0 },
        { kind: "partition", file, topicId: "id", topic: "orders", partition: 3 },
        { kind: "partition", file, topicId: "other", topic: "gone", partition: 0 },
        { kind: "partition", file, topicId: "id", topic: "orders", partition: 1 },
        { kind: "group", file, group: "billing" },
      ],
      known,
      new Set(["billing"]),
    ),
  ];
  expect(all.map(({ kind, repair, orphan }) => [kind, repair?.method ?? null, orphan])).toEqual([
    ["partition-failing", null, undefined],
    ["log-end-behind", null, undefined],
    ["config-older", "PATCH", undefined],
    ["group-failing", null, undefined],
    ["group-missing", "DELETE", undefined],
    ["position-beyond-end", null, undefined],
    ["group-unlisted", "POST", undefined],
    ["partition-unknown", "GET", undefined],
    // A number beyond its topic's belongs to an existing topic: it is not freed.
    ["orphan", null, undefined],
    ["orphan", null, expect.objectContaining({ topicId: "other", partition: 0 })],
  ]);
  for (const each of all)
    expect(findingText(each)).toMatch(/^[a-z-]+: .+\n {2}.+\n {2}.+\.\n {2}Repair: .+$/);
});

test("[DRX-1] a committed offset at the end of a log, or in a log that was not read, is no finding", () => {
  const at = (offset: number, end: number | undefined) =>
    positionFindings("g", [{ topic: "orders", partition: 0, offset }], () => end).length;
  expect([at(9, 9), at(10, 9), at(10, undefined)]).toEqual([0, 1, 0]);
});
