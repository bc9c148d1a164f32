// The command line's output about a group's lag.
import { expect, test } from "vitest";
import { lagText, unreadableText } from "../../../src/cli/group-offsets.ts";

const row = (lag: number | null) => ({
  ...{ topic: "orders", partition: 0, committedOffset: lag === null ? null : 1 },
  ...{ logEndOffset: 5, lag, oldestUnreadMs: null },
});

test.each([
  [[], 0, "no committed offsets"],
  [[row(0)], 0, "0"],
  [[row(1), row(2)], 0, "3"],
  [[row(null)], 0, "nothing committed in 1 partition"],
  [[row(4), row(null), row(null)], 0, "4, nothing committed in 2 partitions"],
  // A partition that does not answer never counts as a lag of zero.
  [[], 1, "not known in 1 partition"],
  [[row(4), row(null)], 2, "4, nothing committed in 1 partition, not known in 2 partitions"],
])("[CLI-3] the lag in words: %j and %i that do not answer", (offsets, unreadable, text) => {
  expect(lagText(offsets, unreadable)).toBe(text);
});

test("[CLI-3] a partition that does not answer is named, with the reason", () => {
  const refused = { topic: "orders", partition: 3, offset: 1, code: "KAFKA_STORAGE_ERROR" };
  expect(unreadableText({ ...refused, detail: "the end of its log is lost" })).toBe(
    "orders/3 does not answer: KAFKA_STORAGE_ERROR: the end of its log is lost",
  );
});
