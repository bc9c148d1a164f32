// Calls as they cross the wire, for tests inside an object, or in place of one of its methods.
import {
  type CallRequest,
  type ObjectKind,
  toArguments,
  toRequest,
} from "../../src/calls/calls.ts";
import type { ClusterCalls } from "../../src/calls/cluster-calls.ts";
import type { GroupCalls } from "../../src/calls/group-calls.ts";
import type { MetricsCalls } from "../../src/calls/metrics-calls.ts";
import type { PartitionCalls } from "../../src/calls/partition-calls.ts";
import type { RelayCalls } from "../../src/calls/relay-calls.ts";

interface CallsOf {
  readonly cluster: ClusterCalls;
  readonly partition: PartitionCalls;
  readonly group: GroupCalls;
  readonly relay: RelayCalls;
  readonly metrics: MetricsCalls;
}

type Method = (request: never) => Promise<unknown>;
type RequestOf<M> = M extends (request: infer Request) => unknown ? Request : never;
type AnswerOf<M> = M extends (request: never) => infer Answer ? Answer : never;

/** Calls a method of this very object, without the way through the platform. */
export function callInside<K extends ObjectKind, M extends keyof CallsOf[K] & string>(
  object: unknown,
  kind: K,
  method: M,
  request: RequestOf<CallsOf[K][M]>,
): AnswerOf<CallsOf[K][M]> {
  const call = (object as Record<string, Method>)[method] as (...args: unknown[]) => unknown;
  const args = toArguments(kind, method, request as CallRequest);
  return call.apply(object, args) as AnswerOf<CallsOf[K][M]>;
}

/** Returns the request in the arguments that a method of the object's class gets. */
export function requestIn<K extends ObjectKind, M extends keyof CallsOf[K] & string>(
  kind: K,
  method: M,
  args: readonly unknown[],
): RequestOf<CallsOf[K][M]> {
  return toRequest(kind, method, args) as RequestOf<CallsOf[K][M]>;
}
