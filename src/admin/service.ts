// The broker as a service binding: the type of `env.RIVULET` in another Worker. These are types only.
//
//   interface Env { readonly RIVULET: RivuletService }

import type { JsonRecordInput } from "../protocol/json-record.ts";
import type { RecordOutcome } from "../protocol/record-outcome.ts";
import type { Admin } from "./admin.ts";

/** The records for one topic, in a call for several topics. */
export interface TopicRecords<Input = JsonRecordInput> {
  readonly topic: string;
  readonly records: readonly Input[];
}

export interface ProduceOptions {
  /**
   * Appends only if the first record gets this offset, as in the SDK's `send`. Otherwise throws INVALID_UPDATE_VERSION.
   */
  readonly expectedOffset?: number | undefined;
  /** A repeat with the same key within 24 hours gets the first answer and stores nothing. 1 to 255 ASCII characters. */
  readonly idempotencyKey?: string | undefined;
}

/** The methods of the SDK's `Admin`. */
export type AdminService = Omit<Admin, "with">;

/**
 * The broker's interface over a service binding. A call throws an Error whose message begins with the error's name. The
 * Error has `code`, `errorCode`, `retriable` and `data` if the platform transfers the properties of errors. For that,
 * both Workers need a compatibility date from 2026-04-21 on, and must run in one deployment or process.
 */
export interface RivuletService {
  /**
   * Appends records and returns their outcomes in the order given, as `POST …/records` does. Values and keys may also
   * be bytes (Uint8Array). @throws if nothing was stored.
   */
  produce(
    topic: string,
    records: readonly JsonRecordInput[],
    options?: ProduceOptions,
  ): Promise<RecordOutcome[]>;
  /**
   * Appends to several topics in one call, at most 100. It is not atomic, but like one `produce` for each topic. The
   * records of a topic that was rejected have its error as their outcome. @throws if nothing at all was stored.
   */
  produceBatch(batch: readonly TopicRecords[]): Promise<RecordOutcome[][]>;
  /**
   * Manages topics, configs, groups, offsets and records. If the broker runs in a separate `wrangler dev`, await the
   * property first: wrangler's registry does not support method calls on a property.
   */
  readonly admin: AdminService & PromiseLike<AdminService>;
  /**
   * Serves the HTTP API with its WebSockets, and asks who calls as it does from outside. The SDK runs over it:
   * `new Rivulet(overBinding(env.RIVULET))`, with `overBinding` of `rivulet/worker`.
   */
  fetch(request: Request): Promise<Response>;
}
