// FindCoordinator (API key 10), versions 0 to 6: finds the node that coordinates a group.
// v1 adds `keyType` (KIP-98), and `throttleTimeMs` and `errorMessage` to the answer.
// v2 answers a client before it is throttled (KIP-219).
// v3 makes fields flexible (KIP-482).
// v4 asks for several keys at once (KIP-699).
// v5 may answer TRANSACTION_ABORTABLE (KIP-890).
// v6 adds share groups (KIP-932).
//
// Unlike Kafka:
// - Transactions are refused [KFK-27]. The error depends on the version, because that is how clients differ.
// - Share groups are not served. Their key type is INVALID_REQUEST.

import { ERRORS, KAFKA_ERRORS } from "../../../core/errors.ts";
import { mayUseGroup } from "../../edge/authorize.ts";
import { api } from "../api.ts";
import { type RequestContext, readingService } from "../context.ts";
import { distinctNames } from "../distinct.ts";
import { NO_ERROR, NO_TRANSACTIONS } from "../errors.ts";
import {
  array,
  between,
  groupName,
  int8,
  int16,
  int32,
  message,
  since,
  string,
  struct,
} from "../schema.ts";

const coordinator = { nodeId: int32, host: string, port: int32 };

export const FIND_COORDINATOR = api({
  key: 10,
  name: "FindCoordinator",
  versions: [0, 6],
  flexibleFrom: 3,
  request: struct({
    key: between(0, 3, groupName),
    keyType: since(1, int8),
    keys: since(4, array(groupName)),
  }),
  response: struct({
    throttleTimeMs: since(1, int32),
    errorCode: between(0, 3, int16),
    errorMessage: between(1, 3, message),
    nodeId: between(0, 3, int32, -1),
    host: between(0, 3, string),
    port: between(0, 3, int32, -1),
    coordinators: since(
      4,
      array(
        struct({
          key: groupName,
          ...coordinator,
          errorCode: int16,
          errorMessage: since(4, message),
        }),
      ),
    ),
  }),
});

const GROUP = 0;
const TRANSACTION = 1;

export const findCoordinator = readingService(
  FIND_COORDINATOR,
  async ({ key, keyType, keys }, { env, nodes, version }) => {
    const find = (each: string) =>
      keyType === TRANSACTION
        ? noTransactions(version)
        : keyType === GROUP && !mayUseGroup(env, "DESCRIBE", each)
          ? { ...NOBODY, errorCode: ERRORS.GROUP_AUTHORIZATION_FAILED.code }
          : coordinatorOf(each, keyType, nodes);
    if (version < 4) return find(key);
    return { coordinators: distinctNames(keys).map((each) => ({ key: each, ...find(each) })) };
  },
);

const NOBODY = { nodeId: -1, host: "", port: -1 };

/** The first version that librdkafka does not use. */
const FIRST_NOT_OF_LIBRDKAFKA = 3;

/**
 * Refuses a transaction's coordinator. librdkafka retries until its timeout, whatever the error, unless it is
 * an authorization error. It then shows that error with the message.
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
