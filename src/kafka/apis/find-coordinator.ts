import { ERRORS, KAFKA_ERRORS } from "../../core/errors.ts";
import { type RequestContext, readingService } from "../context.ts";
import { distinctNames } from "../distinct.ts";
import { NO_ERROR } from "../errors.ts";
import { FIND_COORDINATOR } from "../messages.ts";

const GROUP = 0;
const TRANSACTION = 1;

export const findCoordinator = readingService(
  FIND_COORDINATOR,
  async ({ key, keyType, keys }, { nodes, version }) => {
    const find = (each: string) => coordinatorOf(each, keyType, nodes);
    if (version < 4) return find(key);
    return { coordinators: distinctNames(keys).map((each) => ({ key: each, ...find(each) })) };
  },
);

/** Returns the coordinator of a group. Transactions and share groups have none. */
function coordinatorOf(key: string, keyType: number, nodes: RequestContext["nodes"]) {
  if (keyType === GROUP) return { ...NO_ERROR, ...nodes.coordinatorOf(key) };
  const nobody = { nodeId: -1, host: "", port: -1 };
  if (keyType === TRANSACTION)
    return {
      ...nobody,
      errorCode: KAFKA_ERRORS.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
      errorMessage: "transactions are not served",
    };
  return {
    ...nobody,
    errorCode: ERRORS.INVALID_REQUEST.code,
    errorMessage: `keyType is ${keyType}, it must be ${GROUP} (a group)`,
  };
}
