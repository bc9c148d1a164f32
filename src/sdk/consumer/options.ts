// Checks a consumer's options before anything is sent. The broker would reject some of them only over a socket, where
// the reason can be lost, and would never see others.
import { whyNotGroupId } from "../../core/cluster/topics.ts";
import { durationMs } from "../../core/duration.ts";
import { errorOf } from "../../core/errors.ts";
import {
  DEFAULT_SESSION_TIMEOUT_MS,
  DEFAULT_WINDOW_BYTES,
  MAX_SESSION_TIMEOUT_MS,
  MAX_WINDOW_BYTES,
  MIN_SESSION_TIMEOUT_MS,
} from "../../core/limits.ts";
import { MAX_TIMER_MS } from "../../member/clock.ts";
import type { ConsumerCoreConfig } from "../../member/consumer-core.ts";
import type { AssignedPlace } from "../../member/places.ts";
import type { InitialOffset } from "../../protocol/group-socket.ts";
import { assertWhole, refuse } from "../whole.ts";
import type { ConsumerOptions } from "./consumer-options.ts";

/** Kafka's auto.commit.interval.ms. */
const DEFAULT_COMMIT_INTERVAL_MS = 5_000;

/**
 * Checks the options and fills in the defaults. @throws BrokerError INVALID_REQUEST or INVALID_GROUP_ID, which names
 * the option, its value and its bound.
 */
export function coreConfig(
  options: Omit<ConsumerOptions, "groupId"> & {
    readonly groupId: string | null;
    readonly partitions?: readonly AssignedPlace[];
  },
  memberId: string,
): ConsumerCoreConfig {
  const {
    groupId,
    topics = [],
    topicPattern,
    partitions,
    maxProcessingMs = 1,
    sessionTimeoutMs = DEFAULT_SESSION_TIMEOUT_MS,
    windowBytes = DEFAULT_WINDOW_BYTES,
    commitIntervalMs = DEFAULT_COMMIT_INTERVAL_MS,
    autoCommit = true,
    instanceId = null,
    clientId = null,
  } = options;
  const invalid = groupId === null ? null : whyNotGroupId(groupId ?? "");
  if (invalid !== null) throw errorOf(invalid);
  if (!Array.isArray(topics) || topics.some((topic) => typeof topic !== "string"))
    refuse("topics", topics, "a list of names");
  if (topics.length === 0 && topicPattern === undefined)
    refuse("topics", topics, "at least one name, or a topicPattern");
  assertWhole("maxProcessingMs", maxProcessingMs, 1, MAX_TIMER_MS);
  assertWhole("sessionTimeoutMs", sessionTimeoutMs, MIN_SESSION_TIMEOUT_MS, MAX_SESSION_TIMEOUT_MS);
  assertWhole("windowBytes", windowBytes, 1, MAX_WINDOW_BYTES);
  assertWhole("commitIntervalMs", commitIntervalMs, 0, MAX_TIMER_MS);
  return {
    groupId,
    memberId,
    topics,
    topicPattern,
    partitions,
    instanceId,
    clientId,
    sessionTimeoutMs,
    from: initialOffset(options.from ?? "earliest"),
    windowBytes,
    commitIntervalMs: autoCommit ? commitIntervalMs : Number.POSITIVE_INFINITY,
  };
}

function initialOffset(from: NonNullable<ConsumerOptions["from"]>): InitialOffset {
  if (from === "earliest" || from === "latest") return from;
  if (typeof from !== "object") return refuse("from", from, "earliest, latest or {duration}");
  const { duration } = from;
  const ms = typeof duration === "number" ? duration : durationMs(String(duration));
  if (ms !== null && Number.isSafeInteger(ms) && ms >= 0) return { durationMs: ms };
  return refuse("from.duration", duration, "milliseconds or a duration like P1DT12H");
}
