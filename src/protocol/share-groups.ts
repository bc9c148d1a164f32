// The requests of consumers of a share group over HTTP.
import * as z from "zod";
import {
  DEFAULT_ACQUIRED_RECORDS,
  MAX_ACKS_PER_REQUEST,
  MAX_ACQUIRED_RECORDS,
  MAX_REJECT_REASON_LENGTH,
  MAX_SHARE_DELAY_MS,
  MAX_SHARE_LOCK_MS,
  MAX_TOPICS_PER_MEMBER,
  MAX_WAIT_MS,
  MIN_SHARE_LOCK_MS,
} from "../core/limits.ts";
import { integer } from "./parse.ts";

/** The longest lease id, with the longest name of a topic. */
const MAX_LEASE_ID_LENGTH = 500;

export const acquireSchema = z.strictObject({
  topics: z.array(z.string()).min(1).max(MAX_TOPICS_PER_MEMBER).describe("The topics to consume"),
  maxRecords: integer(1, MAX_ACQUIRED_RECORDS).default(DEFAULT_ACQUIRED_RECORDS),
  waitMs: integer(0, MAX_WAIT_MS)
    .default(0)
    .describe("How long to wait if there are no records, in milliseconds"),
  onlyWaits: z
    .boolean()
    .default(false)
    .describe(
      "True acquires nothing after the wait, so a client that has gone meanwhile holds nothing. Acquire then",
    ),
  lockMs: integer(MIN_SHARE_LOCK_MS, MAX_SHARE_LOCK_MS)
    .optional()
    .describe("How long nobody else gets the records; by default share.record.lock.duration.ms"),
  from: z
    .enum(["earliest", "latest"])
    .default("earliest")
    .describe("The start in partitions that the group has not read, unless its config sets it"),
});

export const redriveSchema = z.strictObject({
  maxRecords: integer(1, MAX_ACQUIRED_RECORDS)
    .default(MAX_ACQUIRED_RECORDS)
    .describe("The most dead letters that are sent back by this request"),
});

const acknowledgement = z
  .strictObject({
    leaseId: z.string().min(1).max(MAX_LEASE_ID_LENGTH).describe("The lease of an acquired record"),
    type: z
      .enum(["accept", "release", "reject", "renew"])
      .describe(
        "accept: it is done; release: deliver it again; reject: never deliver it again; renew: hold it for longer",
      ),
    delayMs: integer(0, MAX_SHARE_DELAY_MS)
      .optional()
      .describe("For release: the wait before the next delivery. For renew: how long to hold it"),
    reason: z
      .string()
      .max(MAX_REJECT_REASON_LENGTH)
      .optional()
      .describe("For reject: why, for people"),
  })
  .superRefine(({ type, delayMs, reason }, context) => {
    const refuse = (path: string, message: string) =>
      context.addIssue({ code: "custom", path: [path], message });
    if (delayMs !== undefined && type !== "release" && type !== "renew")
      refuse("delayMs", "must be absent unless type is release or renew");
    if (delayMs !== undefined && type === "renew" && delayMs < MIN_SHARE_LOCK_MS)
      refuse("delayMs", `must be at least ${MIN_SHARE_LOCK_MS} if type is renew`);
    if (reason !== undefined && type !== "reject")
      refuse("reason", "must be absent unless type is reject");
  });

export const acknowledgeSchema = z.strictObject({
  acks: z.array(acknowledgement).min(1).max(MAX_ACKS_PER_REQUEST),
});
