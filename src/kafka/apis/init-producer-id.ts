import { KAFKA_ERRORS } from "../../core/errors.ts";
import { newProducerId } from "../../edge/producer-pool.ts";
import { service } from "../context.ts";
import { NO_ERROR, told } from "../errors.ts";
import { INIT_PRODUCER_ID } from "../messages.ts";

const MAX_EPOCH = 32_767;

/**
 * An id that nobody has had; a producer that lost track of its sequence numbers gets its own with the next epoch
 * (KIP-360). Transactions are not served.
 */
export const initProducerId = service(
  INIT_PRODUCER_ID,
  async ({ transactionalId, producerId, producerEpoch }, { env }) => {
    // The one error that every client takes for final: there are no transactions to wait for.
    if (transactionalId !== null)
      return { errorCode: KAFKA_ERRORS.TRANSACTIONAL_ID_AUTHORIZATION_FAILED };
    if (producerId >= 0 && producerEpoch >= 0 && producerEpoch < MAX_EPOCH)
      return { errorCode: NO_ERROR.errorCode, producerId, producerEpoch: producerEpoch + 1 };
    try {
      const fresh = await newProducerId(env);
      return { errorCode: NO_ERROR.errorCode, producerId: fresh, producerEpoch: 0 };
    } catch (error) {
      return { errorCode: told(error).errorCode };
    }
  },
);
