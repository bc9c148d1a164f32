// The options of a share consumer, and their check before anything is sent.
import { whyNotGroupId } from "../../core/cluster/topics.ts";
import { type BrokerError, errorOf } from "../../core/errors.ts";
import {
  DEFAULT_ACQUIRED_RECORDS,
  MAX_ACQUIRED_RECORDS,
  MAX_SHARE_LOCK_MS,
  MAX_TOPICS_PER_MEMBER,
  MIN_SHARE_LOCK_MS,
} from "../../core/limits.ts";
import { assertWhole, refuse } from "../whole.ts";

/** The options of `rivulet.shareConsumer`. A wrong one throws a BrokerError that names it, its value and its bound. */
export interface ShareConsumerOptions {
  /** The id of the share group, 1 to 255 characters. Its consumers share the records of its topics. */
  readonly groupId: string;
  /** Topic names, 1 to 100. A topic that does not exist yet is asked for again. */
  readonly topics: readonly string[];
  /** The most records that it holds, 1 to 1,000: those in handlers, and those that wait for one. @default 100 */
  readonly maxInFlight?: number;
  /**
   * The time for which it has a record, in ms, 1,000 to 43,200,000. It is renewed while the record is held. So this is the
   * time after which others get the records of a consumer that has crashed. @default the group's config: 30,000
   */
  readonly lockMs?: number;
  /** Where the group begins in partitions that it has not read, unless its config says so. @default "earliest" */
  readonly from?: "earliest" | "latest";
  /**
   * Called for problems that the consumer handles itself: requests that are tried again, locks that were lost, handlers
   * that threw. If it throws, the consumer ends. @default console.warn
   */
  readonly onError?: (error: BrokerError) => void;
}

export interface CheckedOptions {
  readonly groupId: string;
  readonly topics: readonly string[];
  readonly maxInFlight: number;
  readonly lockMs: number | undefined;
  readonly from: "earliest" | "latest";
}

/** Fills in the defaults. @throws BrokerError INVALID_REQUEST or INVALID_GROUP_ID */
export function checkedOptions(options: ShareConsumerOptions): CheckedOptions {
  const { groupId, topics, maxInFlight = DEFAULT_ACQUIRED_RECORDS, lockMs } = options;
  const { from = "earliest" } = options;
  const invalid = whyNotGroupId(groupId ?? "");
  if (invalid !== null) throw errorOf(invalid);
  const isList = Array.isArray(topics) && topics.every((topic) => typeof topic === "string");
  if (!isList || topics.length === 0 || topics.length > MAX_TOPICS_PER_MEMBER)
    refuse("topics", topics, `a list of 1 to ${MAX_TOPICS_PER_MEMBER} names`);
  assertWhole("maxInFlight", maxInFlight, 1, MAX_ACQUIRED_RECORDS);
  if (lockMs !== undefined) assertWhole("lockMs", lockMs, MIN_SHARE_LOCK_MS, MAX_SHARE_LOCK_MS);
  if (from !== "earliest" && from !== "latest") refuse("from", from, "earliest or latest");
  return { groupId, topics, maxInFlight, lockMs, from };
}
