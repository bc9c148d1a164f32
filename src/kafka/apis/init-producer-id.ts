import { KAFKA_ERRORS } from "../../core/errors.ts";
import { newProducerId } from "../../edge/producer-pool.ts";
import { service } from "../context.ts";
import { NO_TRANSACTIONS } from "../errors.ts";
import { INIT_PRODUCER_ID } from "../messages.ts";

/**
 * [IDM-7] Returns an id that nobody has had, whatever the client sends. @platformatic/kafka always sends (0, 0), and
 * if two producers shared an id, records of one would be taken for repeats of the other's. Kafka does the same if
 * there is no transactional id. Transactions are not served.
 */
export const initProducerId = service(INIT_PRODUCER_ID, async ({ transactionalId }) => {
  if (transactionalId !== null) return { errorCode: NO_TRANSACTIONS.errorCode };
  return { errorCode: KAFKA_ERRORS.NONE, producerId: newProducerId(), producerEpoch: 0 };
});
