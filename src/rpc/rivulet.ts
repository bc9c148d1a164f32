// The entrypoint for service bindings: another Worker produces without HTTP.
//
//   [[services]]
//   binding = "RIVULET"
//   service = "rivulet"
//   entrypoint = "Rivulet"
//
//   await env.RIVULET.produce("orders", [{ key: "customer-7", value: { total: 12 } }]);
import { WorkerEntrypoint } from "cloudflare:workers";
import * as z from "zod";
import { BrokerError } from "../core/errors.ts";
import { isRefused } from "../edge/append.ts";
import { produce } from "../edge/produce.ts";
import type { Env } from "../env.ts";
import { fromJsonRecord, type JsonRecordInput } from "../protocol/json-record.ts";
import { recordList } from "../protocol/json-record-schema.ts";
import { integer, parse } from "../protocol/parse.ts";
import { type RecordOutcome, refusedRecord } from "../protocol/record-outcome.ts";

const inputSchema = z.strictObject({
  records: recordList,
  expectedOffset: integer(0, Number.MAX_SAFE_INTEGER).optional(),
  idempotencyKey: z.string().optional(),
});

export interface RpcProduceOptions {
  /** Append only if the first record gets this offset, else INVALID_UPDATE_VERSION with `data.nextOffset`. */
  readonly expectedOffset?: number;
  /** A repeat with the same key within 24 hours gets the first answer and stores nothing. */
  readonly idempotencyKey?: string;
}

export class Rivulet extends WorkerEntrypoint<Env> {
  /**
   * Appends records and answers for each in the order given, as `POST …/records` does. Values and keys may be
   * bytes (Uint8Array) too. @throws an Error where nothing was stored: its message begins with the error's
   * name, and it has `code`, `errorCode`, `retriable` and `data` where the platform carries the properties of
   * errors over (both Workers with a compatibility date from 2026-04-21 on, in one deployment or process).
   */
  async produce(
    topic: string,
    records: readonly JsonRecordInput[],
    options: RpcProduceOptions = {},
  ): Promise<RecordOutcome[]> {
    try {
      return await this.#produce(topic, records, options);
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      const { code, message, data } = error;
      throw new BrokerError(code, `${code}: ${message}`, { data });
    }
  }

  async #produce(
    topic: string,
    records: readonly JsonRecordInput[],
    options: RpcProduceOptions,
  ): Promise<RecordOutcome[]> {
    const input = parse(inputSchema, { records, ...options });
    const results = await produce(this.env, topic, input.records.map(fromJsonRecord), {
      expectedOffset: input.expectedOffset,
      idempotencyKey: input.idempotencyKey,
      random: Math.random,
      nowMs: Date.now(),
    });
    const first = results[0];
    if (first !== undefined && isRefused(first) && results.every((result) => isRefused(result)))
      throw new BrokerError(first.code, first.detail, { data: first.data });
    return results.map((result) => {
      if (!isRefused(result)) return result;
      return refusedRecord(result.partition, result.code, result.detail, result.data);
    });
  }
}
