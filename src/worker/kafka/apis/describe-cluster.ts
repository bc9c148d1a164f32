// DescribeCluster (API key 60), versions 0 to 1: describes the cluster and its brokers (KIP-700). Its fields are
// flexible from the start.
// v1 adds `endpointType`, to ask the controllers (KIP-919).
//
// Unlike Kafka:
// - `endpointType` is ignored. The answer always lists the brokers, and says so.

import { api } from "../api.ts";
import { clusterAuthorized } from "../authorized-operations.ts";
import { CLUSTER_ID, readingService } from "../context.ts";
import { NO_ERROR } from "../errors.ts";
import {
  array,
  boolean,
  int8,
  int16,
  int32,
  nullableString,
  since,
  string,
  struct,
} from "../schema.ts";
import { NO_OPERATIONS } from "../structs.ts";

export const DESCRIBE_CLUSTER = api({
  key: 60,
  name: "DescribeCluster",
  versions: [0, 1],
  flexibleFrom: 0,
  request: struct({
    includeClusterAuthorizedOperations: boolean,
    endpointType: since(1, int8, 1),
  }),
  response: struct({
    throttleTimeMs: since(0, int32),
    errorCode: int16,
    errorMessage: nullableString,
    endpointType: since(1, int8, 1),
    clusterId: string,
    controllerId: int32,
    brokers: array(
      struct({ brokerId: int32, host: string, port: int32, rack: since(0, nullableString) }),
    ),
    clusterAuthorizedOperations: since(0, int32, NO_OPERATIONS),
  }),
});

export const describeCluster = readingService(
  DESCRIBE_CLUSTER,
  async ({ includeClusterAuthorizedOperations }, { env, nodes }) => ({
    ...NO_ERROR,
    clusterId: CLUSTER_ID,
    controllerId: nodes.controller.nodeId,
    brokers: nodes.all.map(({ nodeId, host, port }) => ({ brokerId: nodeId, host, port })),
    ...clusterAuthorized(env, includeClusterAuthorizedOperations),
  }),
);
