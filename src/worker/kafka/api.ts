// An API of Kafka's protocol: its key, its versions, and the fields of its request and its answer. Each API has
// a file in apis/.
import type { Type } from "./schema.ts";

/** An API. Without type arguments, it stands for any API. */
export interface Api<Request = unknown, Response = never> {
  readonly key: number;
  readonly name: string;
  /** The versions that are advertised. */
  readonly versions: readonly [minimum: number, maximum: number];
  /** The first version in which headers and fields are flexible (KIP-482). */
  readonly flexibleFrom: number;
  readonly request: Pick<Type<Request>, "absent" | "read">;
  readonly response: Pick<Type<unknown, Response>, "write">;
}

/** The parts of an API. */
interface Definition<Request, Response> extends Omit<Api, "request" | "response"> {
  readonly request: Type<Request, unknown>;
  readonly response: Type<unknown, Response>;
}

export function api<Request, Response>(
  definition: Definition<Request, Response>,
): Api<Request, Response> {
  return definition;
}

export type RequestOf<A> = A extends Api<infer Request, infer _> ? Request : never;

/** The `flexibleFrom` of an API without flexible versions. */
export const NEVER_FLEXIBLE = Number.POSITIVE_INFINITY;
