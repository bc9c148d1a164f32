// The output for people before and after a recovery.
import { expect, test } from "vitest";
import { restoredText, warningText } from "../../../src/cli/recovery-text.ts";

const partition = { type: "partition", topic: "orders", partition: 0 } as const;
const group = { type: "group", group: "billing" } as const;
const plan = { bookmark: "b", dryRun: true };
const TIME = "2026-11-29T12:00:00Z";

test("[RCV-3] before a partition goes back, the lost offsets are named, and that they are given out again", () => {
  const log = { ...plan, logStartOffset: 0, logEndOffset: 9 };
  const told = warningText(partition, { ...log, firstLostOffset: 4 }, TIME);
  expect(told).toContain(`orders/0 ends at 9. Records that were stored since ${TIME} will be lost`);
  expect(told).toContain("offsets 4 to 8");
  expect(told).toContain("THEIR OFFSETS WILL BE GIVEN OUT AGAIN");
  expect(warningText(partition, { ...log, firstLostOffset: 9 }, TIME)).toContain(
    "will be lost all the same",
  );
  expect(warningText(partition, log, null)).toContain(
    "offsets 0 to 8. Records that were stored since that state",
  );
  expect(warningText(partition, { ...plan, failing: "its file is damaged" }, TIME)).toMatch(
    /^It cannot be read now: its file is damaged\nEverything that orders\/0 has stored since/,
  );
});

test("[RCV-2] before a group or the cluster goes back, the plan says what is lost, and what comes back", () => {
  expect(warningText(group, { ...plan, positions: 3 }, TIME)).toContain(
    "It has 3 committed offsets now.",
  );
  const told = warningText({ type: "cluster" }, { ...plan, topics: 2, groups: 1 }, TIME);
  expect(told).toContain("There are 2 topics and 1 groups.");
  expect(told).toContain("API KEYS THAT WERE REVOKED SINCE WILL BE VALID AGAIN");
  expect(told).toContain("begin anew at offset 0");
});

test("[RCV-3] afterward it says where the log ends, which offsets are given out again, and how to undo it", () => {
  const restored = { ...plan, undoBookmark: "u", logEndOffset: 9, restoredLogEndOffset: 5 };
  expect(restoredText(partition, restored)).toBe(
    [
      "orders/0 is as it was.",
      "Its log ends at 5.",
      "Offsets 5 to 8 will be given out again.",
      "To undo that: rivulet recover partition orders 0 --bookmark u",
      "To see what does not fit now: rivulet doctor",
    ].join("\n"),
  );
  expect(restoredText(partition, { ...plan, undoBookmark: "u", failing: "gone" })).toContain(
    "It cannot be read: gone",
  );
  expect(restoredText(group, { ...plan, undoBookmark: "u" })).toContain("recover group billing");
});
