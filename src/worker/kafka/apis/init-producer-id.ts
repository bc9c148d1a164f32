// InitProducerId (API key 22), versions 0 to 5: gives an idempotent producer its id.
// v1 answers a client before it is throttled (KIP-219).
// v2 makes fields flexible (KIP-482).
// v3 adds `producerId` and `producerEpoch`, to continue after an error (KIP-360).
// v4 may answer PRODUCER_FENCED (KIP-588).
// v5 may answer TRANSACTION_ABORTABLE (KIP-890).
//
// Unlike Kafka:
// - Transactions are refused [KFK-27].

import { KAFKA_ERRORS } from "../../../core/errors.ts";
import { assertMayProduceSomewhere } from "../../edge/authorize.ts";
import { newProducerId } from "../../edge/producer-pool.ts";
import { api } from "../api.ts";
import { service } from "../context.ts";
import { NO_TRANSACTIONS, outcomeOfError } from "../errors.ts";
import { int16, int32, int64, nullableString, since, struct } from "../schema.ts";

export const INIT_PRODUCER_ID = api({
  key: 22,
  name: "InitProducerId",
  versions: [0, 5],
  flexibleFrom: 2,
  request: struct({
    transactionalId: nullableString,
    transactionTimeoutMs: int32,
    producerId: since(3, int64, -1),
    producerEpoch: since(3, int16, -1),
  }),
  response: struct({
    throttleTimeMs: since(0, int32),
    errorCode: int16,
    producerId: since(0, int64, -1),
    producerEpoch: since(0, int16, -1),
  }),
});

/**
 * [IDM-7] Returns an id that nobody has had, whatever the client sends. @platformatic/kafka always sends (0,
 * 0). If two producers shared an id, records of one would count as repeats of the other's. Kafka does the same
 * without a transactional id.
 */
export const initProducerId = service(INIT_PRODUCER_ID, async ({ transactionalId }, { env }) => {
  if (transactionalId !== null) return { errorCode: NO_TRANSACTIONS.errorCode };
  try {
    assertMayProduceSomewhere(env);
  } catch (error) {
    return { errorCode: outcomeOfError(error).errorCode };
  }
  return { errorCode: KAFKA_ERRORS.NONE, producerId: newProducerId(), producerEpoch: 0 };
});
