// Producing over HTTP: one request, one answer for each record.
import type { ErrorName } from "../core/errors.ts";
import type { JsonRecordInput } from "../protocol/json-record.ts";
import { recordsPath } from "../protocol/paths.ts";
import type { HttpClient } from "./http.ts";

/** `value` and `key`: a string is its UTF-8 bytes, another JSON value its JSON text, null is null. */
export type RecordInput = JsonRecordInput;

export type RecordOutcome =
  | { readonly partition: number; readonly offset: number; readonly timestamp: number }
  | {
      readonly partition: number;
      readonly error: {
        readonly code: ErrorName;
        readonly errorCode: number;
        readonly retriable: boolean;
        readonly detail: string;
      };
    };

export class Producer {
  readonly #http: HttpClient;

  constructor(http: HttpClient) {
    this.#http = http;
  }

  /**
   * Appends records, at most 100,000 and 16 MiB of JSON in one call, and answers for each in the order
   * given. An outcome with an `error` was not stored, unless the error is REQUEST_TIMED_OUT: then nobody
   * knows. @throws BrokerError where nothing was stored; ConnectionError where nobody knows.
   */
  async send(
    topic: string,
    records: readonly RecordInput[],
    options: { signal?: AbortSignal } = {},
  ): Promise<readonly RecordOutcome[]> {
    const text = records.map((record) => JSON.stringify(record)).join("\n");
    const body = { type: "application/x-ndjson", text };
    const answer = await this.#http.request<{ results: RecordOutcome[] }>(
      "POST",
      recordsPath(topic),
      body,
      options.signal,
    );
    return answer.results;
  }
}
