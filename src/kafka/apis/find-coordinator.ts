import { ERRORS, KAFKA_ERRORS } from "../../core/errors.ts";
import { type RequestContext, readingService } from "../context.ts";
import { distinctNames } from "../distinct.ts";
import { NO_ERROR, NO_TRANSACTIONS } from "../errors.ts";
import { FIND_COORDINATOR } from "../messages.ts";

const GROUP = 0;
const TRANSACTION = 1;

export const findCoordinator = readingService(
  FIND_COORDINATOR,
  async ({ key, keyType, keys }, { nodes, version }) => {
    const find = (each: string) =>
      keyType === TRANSACTION ? noTransactions(version) : coordinatorOf(each, keyType, nodes);
    if (version < 4) return find(key);
    return { coordinators: distinctNames(keys).map((each) => ({ key: each, ...find(each) })) };
  },
);

const NOBODY = { nodeId: -1, host: "", port: -1 };

/** The first version that librdkafka does not ask in. */
const FIRST_NOT_OF_LIBRDKAFKA = 3;

/**
 * Refuses a transaction's coordinator. librdkafka asks again until its time is over, whatever the error, unless it is one
 * of authorization. It then shows that error with the message.
 */
function noTransactions(version: number) {
  const isLibrdkafka = version < FIRST_NOT_OF_LIBRDKAFKA;
  const { TRANSACTIONAL_ID_AUTHORIZATION_FAILED } = KAFKA_ERRORS;
  const { errorCode } = NO_TRANSACTIONS;
  return {
    ...NOBODY,
    ...NO_TRANSACTIONS,
    errorCode: isLibrdkafka ? TRANSACTIONAL_ID_AUTHORIZATION_FAILED : errorCode,
  };
}

/** Returns the coordinator of a group. Share groups have none. */
function coordinatorOf(key: string, keyType: number, nodes: RequestContext["nodes"]) {
  if (keyType === GROUP) return { ...NO_ERROR, ...nodes.coordinatorOf(key) };
  return {
    ...NOBODY,
    errorCode: ERRORS.INVALID_REQUEST.code,
    errorMessage: `keyType is ${keyType}, it must be ${GROUP} (a group)`,
  };
}
