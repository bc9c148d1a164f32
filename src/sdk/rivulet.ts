// The SDK's entry point: one address, three roles. It needs only `fetch` and `WebSocket`, so it runs in browsers, Node,
// Deno, Bun and Workers.

import { Admin } from "../admin/admin.ts";
import { type Fetch, HttpClient } from "../admin/http.ts";
import { BrokerError, preview } from "../core/errors.ts";
import type { Transport } from "../member/transport.ts";
import { socketProtocols } from "../protocol/paths.ts";
import { Consumer, type ConsumerOptions } from "./consumer.ts";
import { Producer, type ProducerOptions, type TypedRecordInput } from "./producer.ts";
import type { AnySerdes, Serdes, SomeSerdes, TypedRecord } from "./serde.ts";
import { ShareConsumer } from "./share/share-consumer.ts";
import type { ShareConsumerOptions } from "./share/share-options.ts";
import { type Token, tokenFetch, tokenTransport } from "./token.ts";
import { networkTransport, type WebSocketConstructor } from "./transport/network.ts";

/** The options of a Rivulet. */
export interface RivuletOptions {
  /** The broker's http or https address. */
  readonly url: string;
  /**
   * An API key or a token. It is sent as `Authorization: Bearer` with requests, and as a subprotocol with sockets. A
   * function is called before each request and each socket, and before a token that is a JWT expires. Required unless
   * the broker is open.
   */
  readonly token?: Token;
  /** @default the global fetch */
  readonly fetch?: Fetch;
  /** @default the global WebSocket */
  readonly WebSocket?: WebSocketConstructor;
}

/** The options of `rivulet.reader`. */
export interface ReaderOptions extends Pick<ConsumerOptions, "from" | "onAssigned" | "onError"> {
  /** The topic to read. All of its partitions are read. */
  readonly topic: string;
}

/**
 * A client of one broker: an admin, a producer, and any number of consumers, readers and further producers. Creating it
 * opens no connection.
 * @throws BrokerError INVALID_REQUEST if `url` is not an http or https URL
 */
export class Rivulet {
  /** Manages topics, groups, keys and tokens. */
  readonly admin: Admin;
  /** A producer with default options. */
  readonly producer: Producer;
  readonly #options: RivuletOptions;
  readonly #http: HttpClient;

  constructor(options: RivuletOptions) {
    if (!/^https?:\/\//i.test(options.url) || !URL.canParse(options.url))
      throw new BrokerError(
        "INVALID_REQUEST",
        `url is ${preview(options.url)}, it must begin with http:// or https://`,
      );
    const { url, token } = options;
    const plain = options.fetch ?? ((url, init) => fetch(url, init as RequestInit));
    const http = new HttpClient(url, token === undefined ? plain : tokenFetch(plain, token));
    this.admin = new Admin(http);
    this.#http = http;
    this.#options = options;
    this.producer = this.newProducer({});
  }

  /**
   * Makes a producer with its own options, buffers and sequence numbers.
   * @throws BrokerError INVALID_REQUEST for an option outside its bounds
   */
  newProducer<Key = unknown, Value = unknown>(
    options: ProducerOptions & SomeSerdes<Key, Value>,
  ): Producer<TypedRecordInput<Key, Value>>;
  newProducer(options?: ProducerOptions): Producer;
  newProducer(options: ProducerOptions & AnySerdes = {}): Producer {
    return new Producer(this.#http, this.#WebSocket ? this.#transport() : null, options);
  }

  get #WebSocket(): WebSocketConstructor | undefined {
    const { WebSocket: given } = this.#options;
    return given ?? (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket;
  }

  #transport(): Transport {
    const WebSocketClass = this.#WebSocket;
    if (WebSocketClass === undefined)
      throw new Error(
        "there is no global WebSocket here: use Node 22 or newer, or pass one as `WebSocket`",
      );
    const { url, token } = this.#options;
    const transportWith = (protocols?: string[]) =>
      networkTransport(url, WebSocketClass, protocols);
    return token === undefined
      ? transportWith()
      : tokenTransport(token, (value) => transportWith(socketProtocols(value)));
  }

  /**
   * Makes a member of a group. It joins with `run` or a `for await` loop. Keys and values are bytes, or the output of
   * its serdes.
   * @throws BrokerError INVALID_REQUEST or INVALID_GROUP_ID for a wrong option; Error if there is no WebSocket
   */
  consumer<Key = Uint8Array, Value = Uint8Array>(
    options: ConsumerOptions & Serdes<never, Key, never, Value>,
  ): Consumer<TypedRecord<Key, Value>> {
    return new Consumer(this.#transport(), options);
  }

  /**
   * Makes a consumer of a share group, which is a queue: any number of consumers acquire records and acknowledge each one. It
   * begins with `run` or a `for await` loop. Keys and values are bytes, or the output of its serdes.
   * @throws BrokerError INVALID_REQUEST or INVALID_GROUP_ID for a wrong option
   */
  shareConsumer<Key = Uint8Array, Value = Uint8Array>(
    options: ShareConsumerOptions & Serdes<never, Key, never, Value>,
  ): ShareConsumer<TypedRecord<Key, Value>> {
    return new ShareConsumer(this.#http, options);
  }

  /**
   * Makes a reader of a whole topic, without a group. It shares nothing and commits nothing. Partitions added later are
   * read too, from their beginning.
   * @throws UNKNOWN_TOPIC_OR_PARTITION; BrokerError INVALID_REQUEST for a wrong option; Error if there is no WebSocket
   */
  async reader<Key = Uint8Array, Value = Uint8Array>(
    options: ReaderOptions & Serdes<never, Key, never, Value>,
  ): Promise<Consumer<TypedRecord<Key, Value>>> {
    const [{ name, topicId, partitions }, { followingTransport }] = await Promise.all([
      this.admin.describeTopic(options.topic),
      import("../member/following-socket.ts"),
    ]);
    const places = (from: number, to: number, offset?: number) =>
      Array.from({ length: to - from }, (_, i) => ({
        topic: name,
        topicId,
        partition: from + i,
        ...(offset === undefined ? {} : { offset }),
      }));
    let known = partitions;
    let timer: Timer | null = null;
    /** [STR-7] Partitions added while it reads are read from their beginning. */
    const look = async () => {
      const now = await this.admin.describeTopic(name).catch(() => null); // It is asked again soon.
      const grown = now?.topicId === topicId ? Math.max(known, now.partitions) : known;
      if (!consumer.add(places(known, grown, 0))) clearInterval(timer);
      known = grown;
    };
    const consumer: Consumer<TypedRecord<Key, Value>> = new Consumer(
      followingTransport(this.#transport()),
      {
        ...options,
        onAssigned: (assigned) => {
          if (timer === null) {
            timer = setInterval(look, LOOK_AGAIN_MS);
            timer.unref?.(); // Only sockets keep a process alive.
          }
          return options.onAssigned?.(assigned);
        },
        groupId: null,
        topics: [name],
        partitions: places(0, partitions),
      },
    );
    return consumer;
  }
}

/** The interval at which a reader without a group checks for added partitions. */
const LOOK_AGAIN_MS = 15_000;

interface Timer {
  unref?(): void;
}
declare const setInterval: (callback: () => unknown, ms: number) => Timer;
declare const clearInterval: (timer: unknown) => void;
