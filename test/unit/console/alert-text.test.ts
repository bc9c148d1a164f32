// Alerts in sentences.
import { expect, test } from "vitest";
import { ruleText } from "../../../src/console/alert-text.ts";
import type { AlertRule } from "../../../src/core/alerts/alert.ts";

test.each<[Partial<AlertRule>, string]>([
  [{ type: "group-lag", match: "billing", threshold: 90 }, "Group billing is 1 min 30 s behind."],
  [
    { type: "group-lag", match: "bill*", threshold: 60 },
    "Any of the groups bill* is 1 min behind.",
  ],
  [{ type: "group-empty", forSeconds: 300 }, "Any group has no members, for 5 min."],
  [
    { type: "partition-full", threshold: 80 },
    "A partition of any topic has used 80 % of its storage.",
  ],
  [
    { type: "partition-full", match: "orders", threshold: 90 },
    "A partition of topic orders has used 90 % of its storage.",
  ],
  [{ type: "budget", match: "orders", threshold: 80 }, "Budget orders is 80 % used."],
])("[CON-21] %j: %s", (rule, text) => {
  const whole = { name: "a", match: "*", threshold: 0, forSeconds: 0, webhook: null, ...rule };
  expect(ruleText(whole as AlertRule)).toBe(text);
});
