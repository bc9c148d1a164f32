// The broker as a service binding: what `env.RIVULET` is in another Worker. Types only.
//
//   interface Env { readonly RIVULET: RivuletService }
import type { RecordOutcome } from "../protocol/record-outcome.ts";
import type { Admin } from "./admin.ts";
import type { RecordInput, TopicRecords } from "./producer.ts";

export type { TopicRecords };

export interface ProduceOptions {
  /** As in the SDK's `send`. */
  readonly expectedOffset?: number | undefined;
  readonly idempotencyKey?: string | undefined;
}

/** As the SDK's `Admin`. */
export type AdminService = Omit<Admin, "with">;

/**
 * What a call throws is an Error whose message begins with the error's name. It has `code`, `errorCode`, `retriable`
 * and `data` where the platform carries the properties of errors over: both Workers with a compatibility date from
 * 2026-04-21 on, in one deployment or process.
 */
export interface RivuletService {
  /**
   * Appends records and answers for each in the order given, as `POST …/records` does. Values and keys may be bytes
   * (Uint8Array) too. @throws where nothing was stored.
   */
  produce(
    topic: string,
    records: readonly RecordInput[],
    options?: ProduceOptions,
  ): Promise<RecordOutcome[]>;
  /**
   * Several topics in one call, at most 100. Not atomic, but as one `produce` each: the records of a topic that was refused
   * have its error for an outcome. @throws where nothing at all was stored.
   */
  produceBatch(batch: readonly TopicRecords[]): Promise<RecordOutcome[][]>;
  /**
   * Topics, configs, groups, offsets, records. Await it once, as a stub, where the broker runs in a `wrangler dev` of its
   * own: wrangler's registry does not carry calls of a property's methods.
   */
  readonly admin: AdminService & PromiseLike<AdminService>;
  /** The HTTP API with its WebSockets, so also for the SDK: `new Rivulet({ url: "http://rivulet", fetch: … })`. */
  fetch(request: Request): Promise<Response>;
}
