import { BrokerError, KAFKA_ERRORS } from "../../core/errors.ts";
import { NO_PRODUCER_ID, readBatchHeader } from "../../core/log/record-batch.ts";
import { isRefused } from "../../edge/append.ts";
import { atLeader, eachPartition, type RequestContext, service } from "../context.ts";
import { codeOf, NO_ERROR, NO_TRANSACTIONS, told } from "../errors.ts";
import { PRODUCE, type RequestOf } from "../messages.ts";

type Request = RequestOf<typeof PRODUCE>;
type Partition = Request["topics"][number]["partitions"][number];

/** The first version whose records are batches (magic 2). */
const FIRST_SERVED = 3;

/**
 * Appends to the partitions of a request at the same time. Each append is stored whole or not at all. The answer
 * waits for all of them. With acks 0 there is no answer.
 */
export const produce = service(PRODUCE, async ({ transactionalId, acks, topics }, context) => {
  const refusal = refusalOf(transactionalId, acks, context.version);
  const answer = {
    topics: await eachPartition(context, topics, async (name, each) =>
      refusal === null
        ? appendTold(name, each, context)
        : { partition: each.partition, ...refusal, baseOffset: -1 },
    ),
  };
  return acks === 0 ? null : answer;
});

function refusalOf(transactionalId: string | null, acks: number, version: number) {
  if (transactionalId !== null) return NO_TRANSACTIONS;
  if (version < FIRST_SERVED)
    return {
      errorCode: KAFKA_ERRORS.UNSUPPORTED_VERSION,
      errorMessage: `Produce version ${version}: versions from ${FIRST_SERVED} on are served`,
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
  try {
    return { partition, ...(await append(topic, partition, records, context)) };
  } catch (error) {
    return { partition, ...told(error), baseOffset: -1 };
  }
}

async function append(
  topic: string,
  partition: number,
  records: Uint8Array | null,
  context: RequestContext,
) {
  if (records === null || records.length === 0)
    throw new BrokerError("INVALID_RECORD", `${topic}/${partition}: there are no records`);
  const isIdempotent = readBatchHeader(records).producerId !== NO_PRODUCER_ID;
  return atLeader(context, topic, partition, async (topicId) => {
    const answer = await context.appends.append(topicId, partition, records, isIdempotent);
    if (!isRefused(answer))
      return {
        ...NO_ERROR,
        ...answer,
        logAppendTimeMs: answer.logAppendTimeMs ?? -1,
        logStartOffset: answer.logStartOffset ?? 0,
      };
    const { code, detail } = answer;
    if (code === "UNKNOWN_TOPIC_ID") throw new BrokerError(code, detail); // `atPartition` then asks again.
    return { errorCode: codeOf(code), errorMessage: detail, baseOffset: -1 };
  });
}
