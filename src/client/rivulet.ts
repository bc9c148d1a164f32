// The SDK's entry: one address, three roles. Needs `fetch` and `WebSocket` and nothing else, so it runs in
// browsers, Node, Deno, Bun and Workers.
import { BrokerError, preview } from "../core/errors.ts";
import { Admin } from "./admin.ts";
import type { Transport } from "./consumer/transport.ts";
import { Consumer, type ConsumerOptions } from "./consumer.ts";
import { type Fetch, HttpClient } from "./http.ts";
import { Producer, type ProducerOptions } from "./producer.ts";
import { networkTransport, type WebSocketConstructor } from "./transport/network.ts";

export interface RivuletOptions {
  /** The broker's http or https address. */
  readonly url: string;
  /** @default the global fetch */
  readonly fetch?: Fetch;
  /** @default the global WebSocket */
  readonly WebSocket?: WebSocketConstructor;
}

export class Rivulet {
  readonly admin: Admin;
  readonly producer: Producer;
  readonly #options: RivuletOptions;
  readonly #http: HttpClient;

  constructor(options: RivuletOptions) {
    if (!/^https?:\/\//i.test(options.url) || !URL.canParse(options.url))
      throw new BrokerError(
        "INVALID_REQUEST",
        `url is ${preview(options.url)}, it must begin with http:// or https://`,
      );
    const http = new HttpClient(
      options.url,
      options.fetch ?? ((url, init) => fetch(url, init as RequestInit)),
    );
    this.admin = new Admin(http);
    this.producer = new Producer(http);
    this.#http = http;
    this.#options = options;
  }

  /** A producer with its own options, buffers and sequence; `producer` is one without options. */
  newProducer(options: ProducerOptions): Producer {
    return new Producer(this.#http, options);
  }

  #transport(): Transport {
    const { url, WebSocket: given } = this.#options;
    const found = given ?? (globalThis as { WebSocket?: unknown }).WebSocket;
    if (found === undefined) {
      throw new Error(
        "there is no global WebSocket here: use Node 22 or newer, or pass one as `WebSocket`",
      );
    }
    return networkTransport(url, found as WebSocketConstructor);
  }

  /** A member of a group. It joins with `run`. */
  consumer(options: ConsumerOptions): Consumer {
    return new Consumer(this.#transport(), options);
  }

  /** A reader of a whole topic, without a group: nothing is shared, nothing committed. */
  async reader(
    options: Pick<ConsumerOptions, "from" | "onAssigned" | "onError"> & { topic: string },
  ): Promise<Consumer> {
    const { name, topicId, partitions } = await this.admin.describeTopic(options.topic);
    const places = Array.from({ length: partitions }, (_, partition) => ({
      topic: name,
      topicId,
      partition,
    }));
    return new Consumer(this.#transport(), {
      ...options,
      groupId: null,
      topics: [name],
      partitions: places,
    });
  }
}
