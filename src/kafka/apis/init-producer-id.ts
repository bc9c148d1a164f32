import { KAFKA_ERRORS } from "../../core/errors.ts";
import { newProducerId } from "../../edge/producer-pool.ts";
import { service } from "../context.ts";
import { INIT_PRODUCER_ID } from "../messages.ts";

/**
 * [IDM-7] Returns an id that nobody has had, whatever the client sends. @platformatic/kafka always sends (0, 0), and
 * if two producers shared an id, records of one would be taken for repeats of the other's. Kafka does the same if
 * there is no transactional id. Transactions are not served.
 */
export const initProducerId = service(INIT_PRODUCER_ID, async ({ transactionalId }) => {
  // Every client takes only this error for final. There are no transactions to wait for.
  if (transactionalId !== null)
    return { errorCode: KAFKA_ERRORS.TRANSACTIONAL_ID_AUTHORIZATION_FAILED };
  return { errorCode: KAFKA_ERRORS.NONE, producerId: newProducerId(), producerEpoch: 0 };
});
