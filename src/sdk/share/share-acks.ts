// The acknowledgements of a share consumer. Those that come while a request is under way share the next one.
import { ConnectionError, type HttpClient, jsonBody } from "../../admin/http.ts";
import { BrokerError, type ErrorName, isErrorName } from "../../core/errors.ts";
import { MAX_ACKS_PER_REQUEST } from "../../core/limits.ts";
import { backoffMs } from "../../member/backoff.ts";

export interface Ack {
  readonly leaseId: string;
  readonly type: "accept" | "release" | "reject" | "renew";
  readonly delayMs?: number | undefined;
  readonly reason?: string | undefined;
}

interface AckResult {
  readonly ok: boolean;
  readonly code?: string;
  readonly detail?: string;
  readonly retriable?: boolean;
}

interface Waiting {
  readonly ack: Ack;
  /** True once a request with it got no answer. It may have counted then. */
  wasUnanswered: boolean;
  resolve(): void;
  reject(error: Error): void;
}

/** A request is tried so often. After that the lock ends, and the record is delivered again. */
const MAX_TRIES = 6;

export class ShareAcks {
  readonly #http: HttpClient;
  readonly #path: string;
  #waiting: Waiting[] = [];
  #sending: Promise<void> | null = null;

  constructor(http: HttpClient, path: string) {
    this.#http = http;
    this.#path = path;
  }

  /** Resolves once the broker has answered. @throws BrokerError INVALID_RECORD_STATE if the record is not held any more */
  send(ack: Ack): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ ack, wasUnanswered: false, resolve, reject });
      this.#sending ??= this.#sendAll();
    });
  }

  /** Resolves when nothing waits for an answer. */
  async idle(): Promise<void> {
    while (this.#sending !== null) await this.#sending;
  }

  async #sendAll(): Promise<void> {
    await null; // Acknowledgements of the same turn go together.
    while (this.#waiting.length > 0)
      await this.#sendSome(this.#waiting.splice(0, MAX_ACKS_PER_REQUEST));
    // In the turn of the last look, or one that comes right now would wait for ever.
    this.#sending = null;
  }

  async #sendSome(batch: readonly Waiting[]): Promise<void> {
    for (let failures = 0; ; failures++) {
      try {
        const body = jsonBody({ acks: batch.map(({ ack }) => ack) });
        const { results } = await this.#http.request<{ results: readonly AckResult[] }>(
          "POST",
          this.#path,
          body,
        );
        for (const [i, each] of batch.entries()) settle(each, results[i]);
        return;
      } catch (error) {
        const isUnanswered = error instanceof ConnectionError;
        if (isUnanswered) for (const each of batch) each.wasUnanswered = true;
        const mayTryAgain = isUnanswered || (error instanceof BrokerError && error.retriable);
        if (!mayTryAgain || failures + 1 >= MAX_TRIES) {
          for (const each of batch) each.reject(error as Error);
          return;
        }
        await new Promise((resolve) => setTimeout(resolve, backoffMs(failures, Math.random)));
      }
    }
  }
}

function settle({ wasUnanswered, resolve, reject }: Waiting, result: AckResult | undefined): void {
  const { ok = false, code = "", detail = "there is no answer", retriable } = result ?? {};
  // The first request has counted, and the second found nothing to do. Otherwise the record is delivered again.
  if (ok || (wasUnanswered && code === "INVALID_RECORD_STATE")) {
    resolve();
    return;
  }
  const name: ErrorName = isErrorName(code) ? code : "UNKNOWN_SERVER_ERROR";
  reject(new BrokerError(name, detail, retriable === undefined ? {} : { retriable }));
}

declare const setTimeout: (callback: (value: unknown) => void, ms: number) => unknown;
