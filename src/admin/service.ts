// The broker as a service binding: the type of `env.RIVULET` in another Worker. Types only.
//
//   interface Env { readonly RIVULET: RivuletService }

import type { JsonRecordInput } from "../protocol/json-record.ts";
import type { RecordOutcome } from "../protocol/record-outcome.ts";
import type { Admin } from "./admin.ts";

/** Records for one topic, in a call for several. */
export interface TopicRecords<Input = JsonRecordInput> {
  readonly topic: string;
  readonly records: readonly Input[];
}

export interface ProduceOptions {
  /** The same as in the SDK's `send`. */
  readonly expectedOffset?: number | undefined;
  readonly idempotencyKey?: string | undefined;
}

/** The same as the SDK's `Admin`. */
export type AdminService = Omit<Admin, "with">;

/**
 * A call throws an Error whose message begins with the error's name. The Error has `code`, `errorCode`,
 * `retriable` and `data` if the platform carries over the properties of errors: if both Workers have a
 * compatibility date from 2026-04-21 on, in one deployment or process.
 */
export interface RivuletService {
  /**
   * Appends records and answers for each in the order given, as `POST …/records` does. Values and keys may also
   * be bytes (Uint8Array). @throws if nothing was stored.
   */
  produce(
    topic: string,
    records: readonly JsonRecordInput[],
    options?: ProduceOptions,
  ): Promise<RecordOutcome[]>;
  /**
   * Appends to several topics in one call, at most 100. It is not atomic, but like one `produce` each: the records of a
   * refused topic have its error as their outcome. @throws if nothing at all was stored.
   */
  produceBatch(batch: readonly TopicRecords[]): Promise<RecordOutcome[][]>;
  /**
   * Topics, configs, groups, offsets, records. Await it once, as a stub, if the broker runs in a separate
   * `wrangler dev`: wrangler's registry does not carry calls of a property's methods.
   */
  readonly admin: AdminService & PromiseLike<AdminService>;
  /** The HTTP API with its WebSockets. It also serves the SDK: `new Rivulet({ url: "http://rivulet", fetch: … })`. */
  fetch(request: Request): Promise<Response>;
}
