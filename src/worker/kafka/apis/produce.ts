// Produce (API key 0), versions 0 to 11: appends batches of records.
// v1 adds `throttleTimeMs` to the answer.
// v2 adds `logAppendTimeMs` to the answer.
// v3 adds `transactionalId`, and accepts record batches of magic 2 (KIP-98).
// v4 may answer KAFKA_STORAGE_ERROR (KIP-112).
// v5 adds `logStartOffset` to the answer.
// v6 answers a client before it is throttled (KIP-219).
// v7 lets batches be compressed with zstd (KIP-110).
// v8 adds `recordErrors` and `errorMessage` to the answer (KIP-467).
// v9 makes fields flexible (KIP-482).
// v10 adds the current leader and its address to the answer, as tagged fields (KIP-951).
// v11 may answer TRANSACTION_ABORTABLE (KIP-890).
//
// Unlike Kafka:
// - Versions below 3 are listed and refused. librdkafka compresses nothing unless version 0 is listed (KAFKA-18659),
//   and the broker stores no older format than magic 2.
// - Transactions are refused [KFK-27].
// - `acks` 1 and -1 are the same, because an append is answered only once it is durable. So `timeoutMs` is ignored.
// - zstd is accepted in every version, because batches are stored as they come.
// - `recordErrors` stays empty. An append is refused whole, and `errorMessage` says why.
// - The answer names no current leader. A client looks it up.
// - With `acks` 0, the connection closes if the client may not write to a topic, and not for other errors.

import { BrokerError, ERRORS, KAFKA_ERRORS } from "../../../core/errors.ts";
import { NO_PRODUCER_ID, readBatchHeader } from "../../../core/log/record-batch.ts";
import { refusalOf as errorOfRefusal, isRefused } from "../../edge/append.ts";
import { assertMayUseTopic } from "../../edge/authorize.ts";
import { api, type RequestOf } from "../api.ts";
import type { AppendSlot } from "../append-order.ts";
import { AT_ONCE, atLeader, eachPartition, type RequestContext, service } from "../context.ts";
import { codeOf, NO_ERROR, NO_TRANSACTIONS, outcomeOfError } from "../errors.ts";
import {
  array,
  int16,
  int32,
  int64,
  message,
  nullableString,
  records,
  since,
  struct,
} from "../schema.ts";
import { topicsWith } from "../structs.ts";
import { MalformedError } from "../wire.ts";

const recordError = struct({ batchIndex: int32, batchIndexErrorMessage: since(8, message) });

export const PRODUCE = api({
  key: 0,
  name: "Produce",
  versions: [0, 11],
  flexibleFrom: 9,
  request: struct({
    transactionalId: since(3, nullableString),
    acks: int16,
    timeoutMs: int32,
    topics: topicsWith({ partition: int32, records }),
  }),
  response: struct({
    topics: topicsWith({
      partition: int32,
      errorCode: int16,
      baseOffset: int64,
      logAppendTimeMs: since(2, int64, -1),
      logStartOffset: since(5, int64, -1),
      recordErrors: since(8, array(recordError)),
      errorMessage: since(8, message),
    }),
    throttleTimeMs: since(1, int32),
  }),
});

type Request = RequestOf<typeof PRODUCE>;
type Partition = Request["topics"][number]["partitions"][number];

/** True if every append of a request takes its place in the order of its partition as soon as the request begins. */
function hasPlacesAtOnce({ topics }: Request): boolean {
  return topics.reduce((sum, { partitions }) => sum + partitions.length, 0) <= AT_ONCE;
}

/** The first version whose records are batches (magic 2). */
const FIRST_SERVED = 3;

/**
 * Appends to the partitions of a request at the same time. Each append is stored whole or not at all. The answer
 * waits for all of them. With acks 0 there is no answer.
 * @throws MalformedError with acks 0, if the client may not write to one of the topics
 */
export const produce = service(PRODUCE, answerTo, hasPlacesAtOnce);

async function answerTo({ transactionalId, acks, topics }: Request, context: RequestContext) {
  const refusal = refusalOf(transactionalId, acks, context.version);
  const answer = {
    topics: await eachPartition(context, topics, async (name, each) =>
      refusal === null
        ? appendTold(name, each, context)
        : { partition: each.partition, ...refusal, baseOffset: -1 },
    ),
  };
  if (acks !== 0) return answer;
  // As in Kafka, closing the connection reports the error to a client that waits for no answer.
  const forbidden = answer.topics.find(({ partitions }) =>
    partitions.some(({ errorCode }) => errorCode === codeOf("TOPIC_AUTHORIZATION_FAILED")),
  );
  if (forbidden !== undefined)
    throw new MalformedError(`TOPIC_AUTHORIZATION_FAILED: ${forbidden.name}, with acks 0`);
  return null;
}

function refusalOf(transactionalId: string | null, acks: number, version: number) {
  if (transactionalId !== null) return NO_TRANSACTIONS;
  if (version < FIRST_SERVED)
    return {
      errorCode: ERRORS.UNSUPPORTED_VERSION.code,
      errorMessage: `Produce version ${version}: only versions from ${FIRST_SERVED} are served`,
    };
  if (acks < -1 || acks > 1)
    return {
      errorCode: KAFKA_ERRORS.INVALID_REQUIRED_ACKS,
      errorMessage: `acks is ${acks}, it must be -1, 0 or 1`,
    };
  return null;
}

async function appendTold(
  topic: string,
  { partition, records }: Partition,
  context: RequestContext,
) {
  // Taken before any wait, because the requests of a connection begin in order.
  const slot = context.appends.order.next(topic, partition);
  try {
    return { partition, ...(await append(topic, partition, records, slot, context)) };
  } catch (error) {
    return { partition, ...outcomeOfError(error), baseOffset: -1 };
  } finally {
    slot.end();
  }
}

async function append(
  topic: string,
  partition: number,
  records: Uint8Array | null,
  slot: AppendSlot,
  context: RequestContext,
) {
  assertMayUseTopic(context.env, "WRITE", topic);
  if (records === null || records.length === 0)
    throw new BrokerError("INVALID_RECORD", `${topic}/${partition}: there are no records`);
  const isIdempotent = readBatchHeader(records).producerId !== NO_PRODUCER_ID;
  return atLeader(context, "WRITE", topic, partition, async (topicId) => {
    const answer = await context.appends.append(topicId, partition, records, isIdempotent, slot);
    if (!isRefused(answer))
      return {
        ...NO_ERROR,
        ...answer,
        logAppendTimeMs: answer.logAppendTimeMs ?? -1,
        logStartOffset: answer.logStartOffset ?? 0,
      };
    const refusal = errorOfRefusal(answer);
    if (refusal.code === "UNKNOWN_TOPIC_ID") throw refusal; // `atPartition` then asks the cluster again.
    return { ...outcomeOfError(refusal), baseOffset: -1 };
  });
}
