// The names of topics and groups, counts of partitions, and lengths of time, as people give them.
import { expect, test } from "vitest";
import {
  whyNotGroupId,
  whyNotPartitionCount,
  whyNotTopicName,
} from "../../../src/core/cluster/topics.ts";
import { durationMs } from "../../../src/core/duration.ts";
import {
  MAX_GROUP_ID_LENGTH,
  MAX_PARTITIONS_PER_TOPIC,
  MAX_TOPIC_NAME_LENGTH,
} from "../../../src/core/limits.ts";
import { textHash } from "../../../src/core/text-hash.ts";

const DAY_MS = 86_400_000;

test.each([
  ["t", true],
  ["orders.eu_1-2", true],
  ["A.Z.0.9", true],
  ["...", true],
  [".a", true],
  ["x".repeat(MAX_TOPIC_NAME_LENGTH), true],
  ["x".repeat(MAX_TOPIC_NAME_LENGTH + 1), false],
  ["", false],
  [".", false],
  ["..", false],
  ["a b", false],
  ["/a", false],
  ["a/", false],
  ["/", false],
  ["\u00e4", false],
  ["a\n", false],
])("[CLU-1] %j may be a topic's name: %s", (name, isLegal) => {
  expect(whyNotTopicName(name)?.error).toBe(isLegal ? undefined : "INVALID_TOPIC_EXCEPTION");
});

test.each([
  ["g", true],
  ["a group / of ours \u00e4 \u{1f600}", true],
  ["...", true],
  ["x".repeat(MAX_GROUP_ID_LENGTH), true],
  ["x".repeat(MAX_GROUP_ID_LENGTH + 1), false],
  ["", false],
  [".", false],
  ["..", false],
  ["a\n", false],
  ["\u0000", false],
  ["\u007f", false],
  ["a\ud83d", false],
])("[GRP-13] %j may be a group's id: %s", (groupId, isLegal) => {
  expect(whyNotGroupId(groupId)?.error).toBe(isLegal ? undefined : "INVALID_GROUP_ID");
});

test.each([
  [1, true],
  [MAX_PARTITIONS_PER_TOPIC, true],
  [0, false],
  [-1, false],
  [1.5, false],
  [MAX_PARTITIONS_PER_TOPIC + 1, false],
  [Number.NaN, false],
  [Number.POSITIVE_INFINITY, false],
])("[CLU-1] a topic may have %d partitions: %s", (partitions, isLegal) => {
  expect(whyNotPartitionCount(partitions)?.error).toBe(isLegal ? undefined : "INVALID_PARTITIONS");
});

test("[CLU-1] a rejected name or count comes with the reason and its bound", () => {
  expect(whyNotTopicName("")?.detail).toContain(
    `has 0 characters, it needs 1 to ${MAX_TOPIC_NAME_LENGTH}`,
  );
  expect(whyNotTopicName("..")?.detail).toContain('may not be ".."');
  expect(whyNotTopicName("a b")?.detail).toContain('"a b"');
  expect(whyNotGroupId("")?.detail).toContain(`group id has 0 characters`);
  expect(whyNotGroupId(".")?.detail).toContain('may not be "."');
  expect(whyNotGroupId("\n")?.detail).toContain("control character");
  expect(whyNotPartitionCount(0)?.detail).toContain(
    `is 0, it must be 1 to ${MAX_PARTITIONS_PER_TOPIC}`,
  );
});

test.each<[string, number | null]>([
  ["P1D", DAY_MS],
  ["P12DT3H4M5S", 12 * DAY_MS + (3 * 3600 + 4 * 60 + 5) * 1000],
  ["PT10H", 36_000_000],
  ["PT15M", 900_000],
  ["PT12S", 12_000],
  ["PT0S", 0],
  ["PT12.25S", 12_250],
  ["PT0.0004S", 0],
  ["P12DT1S", 12 * DAY_MS + 1000],
  ["P", null],
  ["PT", null],
  ["", null],
  ["1D", null],
  ["-P1D", null],
  ["xP1D", null],
  ["P1Dx", null],
  ["P1H", null],
  ["P1Y", null],
  ["P1W", null],
  ["PT1M2H", null],
  ["P1.5D", null],
  ["PT1.S", null],
  ["PT1.xS", null],
  ["PxDT1S", null],
  ["PTxH", null],
  ["PTxM", null],
  ["PTxS", null],
  ["P99999999999999D", null],
])("[OFF-4] the duration %s is %s milliseconds", (text, ms) => {
  expect(durationMs(text)).toBe(ms);
});

test.each([
  ["", 0],
  ["a", 97],
  ["ab", 97 * 31 + 98],
  ["group", 98_629_247],
  ["polygenelubricants", 2_147_483_648],
])("[KFK-6] the name %j has Java's hash %d, so it always has the same node", (text, hash) => {
  expect(textHash(text)).toBe(hash);
});
