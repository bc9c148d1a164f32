// Kafka's numbers for a group's responses.
import { expect, test } from "vitest";
import { codeOfFailure, joinedReply } from "../../../src/calls/kafka-replies.ts";
import { ERRORS, fail } from "../../../src/core/errors.ts";

test("[CLS-1] a group without room in the cluster is unavailable, and its members retry", () => {
  const full = fail("THROTTLING_QUOTA_EXCEEDED", "there are so many groups, the bound");
  const { code } = ERRORS.COORDINATOR_NOT_AVAILABLE;
  expect(codeOfFailure(full)).toBe(code);
  expect(joinedReply(full, "m")).toMatchObject({ errorCode: code, memberId: "m", generation: -1 });
});

test("[FIL-6] lost data is an error and not a number, and other failures have their own errors", () => {
  expect(() => codeOfFailure(fail("KAFKA_STORAGE_ERROR", "its storage is gone"))).toThrow("gone");
  expect(codeOfFailure(fail("UNKNOWN_MEMBER_ID", ""))).toBe(ERRORS.UNKNOWN_MEMBER_ID.code);
});
