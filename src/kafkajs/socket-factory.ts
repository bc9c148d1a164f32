// Lets KafkaJS use a WebSocket instead of a TCP connection. It then needs no bridge, not even in a Worker.
//
//   import { kafkaSocketFactory } from "rivulet/kafkajs";
//   const kafka = new Kafka({ brokers: ["rivulet:9092"], socketFactory: kafkaSocketFactory({ url }) });
//
// It needs node:stream, as KafkaJS itself does (in Workers, the flag nodejs_compat).
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { kafkaSocketUrl, socketProtocols } from "../protocol/paths.ts";

export interface KafkaSocketOptions {
  /** The broker's http or https address. The broker names in KafkaJS's configuration are only labels. */
  readonly url: string;
  /**
   * A token or an API key. Until KafkaJS signs in with SASL, its connections act for the principal of the token. A function
   * is called for each connection.
   */
  readonly token?: string | (() => string | Promise<string>);
}

/** Makes an `ISocketFactory` for KafkaJS. @throws if there is no WebSocket, as in Node before 22 */
export function kafkaSocketFactory(
  options: KafkaSocketOptions,
): (args: { onConnect: () => void }) => Socket {
  if (typeof WebSocket === "undefined")
    throw new Error("there is no global WebSocket here: use Node 22 or newer");
  const url = kafkaSocketUrl(options.url);
  const { token } = options;
  // It has only the members of a socket that KafkaJS uses.
  return ({ onConnect }) => new WebSocketDuplex(url, token, onConnect) as unknown as Socket;
}

class WebSocketDuplex extends Duplex {
  /** The connection, or null until there is a token. */
  #socket: WebSocket | null = null;

  constructor(url: string, token: KafkaSocketOptions["token"], onConnect: () => void) {
    super();
    if (typeof token === "function") void this.#connectWith(token, url, onConnect);
    else this.#connect(url, token, onConnect);
  }

  /** Connects with the token of the function. If the function fails, KafkaJS gets its error and no connection is made. */
  async #connectWith(
    token: () => string | Promise<string>,
    url: string,
    onConnect: () => void,
  ): Promise<void> {
    try {
      const given = await token();
      // KafkaJS may have given up in the meantime.
      if (!this.destroyed && !this.writableEnded) this.#connect(url, given, onConnect);
    } catch (error) {
      if (this.writableEnded) return;
      this.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #connect(url: string, token: string | undefined, onConnect: () => void): void {
    const socket = new WebSocket(url, socketProtocols(token));
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("open", () => onConnect());
    socket.addEventListener("message", ({ data }) => {
      this.push(Buffer.from(data as ArrayBuffer));
    });
    socket.addEventListener("close", ({ code, reason }) => {
      // KafkaJS would mistake the end of a connection that it has ended itself for the end of its next one.
      if (this.writableEnded) this.destroy();
      else if (code === 1000 || code === 1005) this.push(null);
      else this.destroy(new Error(`the WebSocket was closed: ${code} ${reason}`.trim()));
    });
    // A close event with the code follows. Some runtimes forget it, and only this event comes.
    socket.addEventListener("error", () => {
      if (socket.readyState === WebSocket.CONNECTING && !this.writableEnded)
        this.destroy(new Error(`cannot connect to ${url}`));
    });
  }

  override _read(): void {} // Data is pushed when it arrives.

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    try {
      // KafkaJS writes nothing before it is connected.
      this.#socket?.send(chunk as unknown as ArrayBuffer);
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  override _final(done: () => void): void {
    if (this.#socket === null) this.destroy();
    else this.#socket.close(1000, "done");
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket?.close();
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
