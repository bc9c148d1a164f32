// A share group (KIP-932). Its partitions keep what is delivered to whom (core/share). The group knows which partitions these
// are, and sends them its config.
import { type Failure, fail } from "../errors.ts";
import type { ShareTerms } from "../share/share-terms.ts";
import { unknownGroup } from "./admission.ts";
import type { Changes } from "./changes.ts";
import { DEAD_LETTER_TOPIC, type GroupConfig, resolveGroupConfig } from "./config.ts";
import type { GroupOffsets } from "./offsets.ts";
import { partitionKey } from "./partition-key.ts";
import type { GroupRequest, Operations } from "./requests.ts";
import type { GroupState } from "./state.ts";

/** [SHR-16] Makes the group a share group. Admission has made sure that it is not a consumer group. */
export function openShare(
  changes: Changes,
  offsets: GroupOffsets,
  { topics, found = [] }: GroupRequest<"openShare">,
  nowMs: number,
): Operations["openShare"][1] {
  const { state } = changes;
  const { deadLetterTopic } = resolveGroupConfig(state.overrides);
  if (topics.includes(deadLetterTopic)) return readsItsDeadLetters(deadLetterTopic);
  changes.occupy(false, nowMs);
  if (state.kind === null) changes.emitGroup({ kind: "share" });
  offsets.learn(found);
  return answerOf(state);
}

/** [SHR-17] Notes that the partition keeps delivery states for the group. */
export function useShare(
  changes: Changes,
  offsets: GroupOffsets,
  { incarnation, topic, partition, found = [] }: GroupRequest<"useShare">,
): Operations["useShare"][1] {
  const { state } = changes;
  if (incarnation !== state.incarnation) return unknownGroup(state.groupId);
  offsets.learn(found);
  const known = state.topics.get(topic.name);
  if (known?.topicId !== topic.topicId)
    return fail("UNKNOWN_TOPIC_ID", `topic ${topic.name} was deleted, or created again`);
  const key = partitionKey(topic.topicId, partition);
  if (!state.sharePartitions.has(key)) changes.emit({ type: "share-partition", key });
  return answerOf(state);
}

/** [DLQ-3] A group that reads its own dead letters would write them again for ever. */
function readsItsDeadLetters(topic: string): Failure {
  const detail = `topic ${topic} has the dead letters of this group; read them in another group`;
  return fail("INVALID_REQUEST", detail);
}

/** [DLQ-3] Returns why a topic that the group reads cannot have its dead letters, or null. INVALID_CONFIG. */
export function whyNotDeadLetters(
  { kind, topics }: GroupState,
  { changes }: GroupRequest<"alterConfig">,
): Failure | null {
  const topic = changes[DEAD_LETTER_TOPIC];
  if (kind !== "share" || typeof topic !== "string" || !topics.has(topic)) return null;
  const detail = `config ${DEAD_LETTER_TOPIC} is ${topic}, which the group reads; it must be another topic`;
  return fail("INVALID_CONFIG", detail);
}

function answerOf({ incarnation, overrides }: GroupState) {
  return { ok: true as const, incarnation, terms: shareTermsOf(resolveGroupConfig(overrides)) };
}

/** Returns the part of a group's config that its partitions need. */
export function shareTermsOf(config: GroupConfig): ShareTerms {
  return {
    lockMs: config.shareLockMs,
    maxDeliveries: config.shareMaxDeliveries,
    maxLocks: config.shareMaxLocks,
    mayRenew: config.shareMayRenew,
    backoff: config.shareBackoff,
    deadLetters:
      config.deadLetterTopic === ""
        ? null
        : {
            topic: config.deadLetterTopic,
            copies: config.copiesDeadLetters,
            creates: config.createsDeadLetterTopic,
          },
    autoOffsetReset: config.shareAutoOffsetReset,
  };
}
