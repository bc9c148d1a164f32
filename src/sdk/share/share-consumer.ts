// A consumer of a share group. Its work is in share-engine.ts, which is loaded when it begins.
import type { HttpClient } from "../../admin/http.ts";
import type { AnySerdes, TypedRecord } from "../serde.ts";
import { assertWhole } from "../whole.ts";
import type { ShareEngine } from "./share-engine.ts";
import { type CheckedOptions, checkedOptions, type ShareConsumerOptions } from "./share-options.ts";
import type { SharedRecord, ShareRunOptions } from "./share-record.ts";

export class ShareConsumer<Record = TypedRecord<Uint8Array, Uint8Array>>
  implements AsyncIterable<SharedRecord<Record>>
{
  readonly #http: HttpClient;
  readonly #checked: CheckedOptions;
  readonly #options: ShareConsumerOptions & AnySerdes;
  #engine: Promise<ShareEngine<Record>> | null = null;

  constructor(http: HttpClient, options: ShareConsumerOptions & AnySerdes) {
    this.#http = http;
    this.#checked = checkedOptions(options);
    this.#options = options;
  }

  #load(): Promise<ShareEngine<Record>> {
    this.#engine ??= import("./share-engine.ts").then(
      ({ ShareEngine }) => new ShareEngine<Record>(this.#http, this.#checked, this.#options),
    );
    return this.#engine;
  }

  /**
   * Calls the handler for each record. If it returns, the record is accepted. If it throws, the record is released, or
   * rejected if it throws a RejectRecord. Resolves after `close`. @throws BrokerError if the broker refuses the consumer
   */
  async run(
    handlers: { readonly eachRecord: (record: SharedRecord<Record>) => unknown },
    { concurrency = this.#checked.maxInFlight }: ShareRunOptions = {},
  ): Promise<void> {
    assertWhole("concurrency", concurrency, 1, 1_000);
    await (await this.#load()).run(handlers, concurrency);
  }

  /**
   * Yields records. Acknowledge each one: until then it is held. A `break` or a throw closes the consumer, and releases what
   * is not acknowledged.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<SharedRecord<Record>, void, void> {
    yield* await this.#load();
  }

  /**
   * Releases what no handler has begun, waits for the acknowledgements under way, and ends. Running handlers go on, and `run`
   * waits for them. May be called more than once.
   */
  async close(): Promise<void> {
    await (await this.#load()).close();
  }
}
