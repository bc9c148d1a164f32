import { expect, test } from "vitest";
import {
  assignmentText,
  episodesOf,
  rangesText,
  sentenceOf,
} from "../../../src/console/history-text.ts";
import type { HistoryInfo, HistoryType } from "../../../src/core/group-info.ts";

const entry = (type: HistoryType, more: Partial<HistoryInfo> = {}, atMs = 1_000): HistoryInfo => ({
  type,
  epoch: 3,
  atMs,
  ...more,
});

const m3 = { memberId: "m-3" };
const m1 = { memberId: "m-1" };

test("[CON-9] a death is told with its reason and with what moved", () => {
  const [episode, ...rest] = episodesOf([
    entry("removed", { ...m3, reason: "session timeout" }),
    entry("rebalanced", { newEpoch: 4, reason: "m-3 removed: session timeout" }),
    entry("assigned", { ...m1, partitionCount: 2 }, 1_200),
  ]);
  expect(rest).toEqual([]);
  expect(episode).toMatchObject({
    atMs: 1_000,
    title: "m-3 was removed: its session timed out. 2 partitions moved.",
    isRebalance: true,
    epoch: 4,
  });
  expect(episode?.steps).toHaveLength(3);
});

test("[CON-9] the moves of a rebalance are listed with it, and the newest rebalance first", () => {
  const told = episodesOf([
    entry("joined", { ...m1, epoch: 0 }, 1),
    entry("rebalanced", { newEpoch: 1, epoch: 0 }, 1),
    entry("assigned", { ...m1, partitionCount: 6 }, 1),
    entry("disconnected", m1, 5),
    entry("resumed", m1, 6),
    entry("joined", m3, 9),
    entry("rebalanced", { newEpoch: 2 }, 9),
    entry("revoking", { ...m1, partitionCount: 3 }, 9),
    entry("revoked", { ...m1, partitionCount: 3 }, 11),
    entry("assigned", { ...m3, partitionCount: 1 }, 12),
    entry("offsets reset", { partitionCount: 1 }, 20),
  ]);
  expect(told.map(({ title }) => title)).toEqual([
    "The committed offsets of 1 partition were reset.",
    "m-3 joined. 1 partition moved.",
    "m-1 reconnected in time.",
    "m-1 lost its connection; its session timeout is running.",
    "m-1 joined. 6 partitions were assigned.",
  ]);
});

test("[CON-9] a thousand members that leave at once are not all named", () => {
  const gone = Array.from({ length: 10 }, (_, i) =>
    entry("removed", { memberId: `m-${i}`, reason: "left" }),
  );
  const [episode] = episodesOf([...gone, entry("rebalanced", { newEpoch: 4 })]);
  expect(episode?.title).toBe(
    "m-0 was removed: it left. m-1 was removed: it left. m-2 was removed: it left. 7 more causes. No partition moved.",
  );
});

test("[CON-9] a history that begins in the middle of a rebalance is told", () => {
  const [episode] = episodesOf([entry("assigned", { ...m1, partitionCount: 2 })]);
  expect(episode).toMatchObject({ title: "2 partitions moved.", isRebalance: false });
});

test.each([
  [entry("joined", { ...m1, clientId: "app" }), "app joined."],
  [entry("joined", { ...m1, clientId: "app", instanceId: "a-1" }), "a-1 joined."],
  [entry("subscribed", { ...m1, reason: "orders" }), "m-1 subscribed to orders."],
  [entry("removed", { ...m1, reason: "left" }), "m-1 was removed: it left."],
  [
    entry("removed", { ...m1, reason: "rebalance timeout" }),
    "m-1 was removed: it did not give up its partitions in time.",
  ],
  [
    entry("removed", { ...m1, reason: "replaced" }),
    "m-1 was removed: a new member with its instance id replaced it.",
  ],
  [
    entry("topic changed", { topic: "t", reason: "partitions: 2 → 3" }),
    "Topic t has 3 partitions now, after 2.",
  ],
  [
    entry("topic changed", { topic: "t", reason: "partitions: unknown → 1" }),
    "Topic t has 1 partition.",
  ],
  [entry("topic removed", { topic: "t" }), "Topic t was deleted."],
  [
    entry("revoking", {
      ...m1,
      partitions: [{ topic: "t", partitions: [0, 1, 2, 5] }],
      partitionCount: 4,
    }),
    "m-1 was asked to give up 4 partitions (t 0–2, 5).",
  ],
  [
    entry("assigned", {
      ...m1,
      partitions: [{ topic: "t", partitions: [0] }],
      partitionCount: 900,
    }),
    "m-1 was assigned 900 partitions (t 0, and others).",
  ],
  [entry("offsets expired", { topic: "t" }), "The committed offsets in topic t expired."],
  [entry("config changed", { reason: "" }), "The group's config was reset to the defaults."],
])("[CON-9] %j", (told, sentence) => {
  expect(sentenceOf(told)).toBe(sentence);
});

test.each([
  [[], ""],
  [[3], "3"],
  [[1, 0], "0, 1"],
  [[0, 1, 2, 3, 7], "0–3, 7"],
  [[9, 8, 7, 1], "1, 7–9"],
])("[CON-9] the partitions %j are named", (partitions, text) => {
  expect(rangesText(partitions)).toBe(text);
  expect(assignmentText({ topic: "t", partitions })).toBe(`t ${text}`);
});
