// Lets KafkaJS use a WebSocket in the place of its TCP connections. It then needs no bridge, not even in a Worker.
//
//   import { kafkaSocketFactory } from "rivulet/kafkajs";
//   const kafka = new Kafka({ brokers: ["rivulet:9092"], socketFactory: kafkaSocketFactory({ url }) });
//
// It needs node:stream, which KafkaJS itself needs (in Workers, the flag nodejs_compat).
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { kafkaSocketUrl, socketProtocols } from "../protocol/paths.ts";

export interface KafkaSocketOptions {
  /** The broker's http or https address. The broker names that KafkaJS is given are only labels. */
  readonly url: string;
  /** A token or an API key. Until KafkaJS logs in by SASL, its connections act for whom it names. */
  readonly token?: string;
}

/** Makes KafkaJS's `ISocketFactory`. @throws if there is no WebSocket, as in Node before 22 */
export function kafkaSocketFactory(
  options: KafkaSocketOptions,
): (args: { onConnect: () => void }) => Socket {
  if (typeof WebSocket === "undefined")
    throw new Error("there is no global WebSocket here: use Node 22 or newer");
  const url = kafkaSocketUrl(options.url);
  const protocols = socketProtocols(options.token);
  // It has the members of a socket that KafkaJS uses, and no others.
  return ({ onConnect }) => new WebSocketDuplex(url, protocols, onConnect) as unknown as Socket;
}

class WebSocketDuplex extends Duplex {
  readonly #socket: WebSocket;

  constructor(url: string, protocols: string[], onConnect: () => void) {
    super();
    this.#socket = new WebSocket(url, protocols);
    this.#socket.binaryType = "arraybuffer";
    this.#socket.addEventListener("open", () => onConnect());
    this.#socket.addEventListener("message", ({ data }) => {
      this.push(Buffer.from(data as ArrayBuffer));
    });
    this.#socket.addEventListener("close", ({ code, reason }) => {
      if (code === 1000 || code === 1005) this.push(null);
      else this.destroy(new Error(`the WebSocket was closed: ${code} ${reason}`.trim()));
    });
    // A close with the code follows. If the runtime forgets it, only this event comes.
    this.#socket.addEventListener("error", () => {
      if (this.#socket.readyState === WebSocket.CONNECTING)
        this.destroy(new Error(`cannot connect to ${url}`));
    });
  }

  override _read(): void {} // Data is pushed as it comes.

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    try {
      this.#socket.send(chunk as unknown as ArrayBuffer);
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  override _final(done: () => void): void {
    this.#socket.close(1000, "done");
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.close();
    done(error);
  }

  setKeepAlive(): this {
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setTimeout(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}
