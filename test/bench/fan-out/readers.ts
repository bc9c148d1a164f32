// Raw sockets that read one partition, with no more WebSocket in them than the broker's frames need. Ten thousand of them
// must cost less than what is measured.
import { connect, type Socket } from "node:net";

const HEAD_END = "\r\n\r\n";
const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
/** A window that the records of a bench do not fill. */
const WINDOW_BYTES = 4 * 1024 * 1024;
/** The number of connections that are opened at a time. */
const AT_ONCE = 50;

/** A frame of a client is masked. The mask may be 0. */
function textFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  const head = Buffer.from([0x80 | TEXT, 0x80 | payload.length, 0, 0, 0, 0]);
  if (payload.length < 126) return Buffer.concat([head, payload]);
  const long = Buffer.from([0x80 | TEXT, 0x80 | 126, 0, 0, 0, 0, 0, 0]);
  long.writeUInt16BE(payload.length, 2);
  return Buffer.concat([long, payload]);
}

interface Frame {
  readonly opcode: number;
  readonly payload: Buffer;
}

/** One reader. It follows the partition to a relay on request. */
class Reader {
  readonly #onRecords: () => void;
  #socket: Socket | null = null;
  #rest: Buffer = Buffer.alloc(0);
  relay: number | null = null;

  constructor(onRecords: () => void) {
    this.#onRecords = onRecords;
  }

  open(url: URL, path: string, follows: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = connect(Number(url.port), url.hostname);
      this.#socket = socket;
      socket.setNoDelay(true);
      socket.on("error", reject);
      socket.on("close", () => reject(new Error("a reader's socket was closed")));
      const ask =
        `GET ${path} HTTP/1.1\r\nhost: ${url.host}\r\nupgrade: websocket\r\nconnection: Upgrade\r\n` +
        "sec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nsec-websocket-version: 13\r\n\r\n";
      socket.write(ask);
      let isUpgraded = false;
      socket.on("data", (data: Buffer) => {
        this.#rest = this.#rest.length === 0 ? data : Buffer.concat([this.#rest, data]);
        if (!isUpgraded) {
          const end = this.#rest.indexOf(HEAD_END);
          if (end === -1) return;
          const head = this.#rest.toString("latin1", 0, end);
          if (!head.startsWith("HTTP/1.1 101 ")) return reject(new Error(head));
          isUpgraded = true;
          this.#rest = this.#rest.subarray(end + HEAD_END.length);
          const attach = { type: "attach", offset: "latest", windowBytes: WINDOW_BYTES };
          socket.write(textFrame(JSON.stringify(follows ? { ...attach, relays: true } : attach)));
        }
        for (let frame = this.#take(); frame !== null; frame = this.#take()) {
          if (frame.opcode === BINARY) this.#onRecords();
          else if (frame.opcode === CLOSE) reject(new Error(frame.payload.toString("latin1", 2)));
          else if (frame.opcode === TEXT) {
            const message = JSON.parse(frame.payload.toString()) as {
              type: string;
              relay?: number;
            };
            if (message.type === "attached") resolve();
            else if (message.type === "relay") {
              this.close();
              this.relay = message.relay as number;
              this.open(url, `${path}?relay=${message.relay}`, false).then(resolve, reject);
              return;
            } else reject(new Error(frame.payload.toString()));
          }
        }
      });
    });
  }

  /** Takes the next whole frame. */
  #take(): Frame | null {
    const data = this.#rest;
    if (data.length < 2) return null;
    const opcode = (data[0] as number) & 0x0f;
    let length = (data[1] as number) & 0x7f;
    let from = 2;
    if (length === 126) {
      if (data.length < 4) return null;
      length = data.readUInt16BE(2);
      from = 4;
    } else if (length === 127) {
      if (data.length < 10) return null;
      length = Number(data.readBigUInt64BE(2));
      from = 10;
    }
    if (data.length < from + length) return null;
    this.#rest = data.subarray(from + length);
    return { opcode, payload: data.subarray(from, from + length) };
  }

  close(): void {
    this.#socket?.removeAllListeners("close");
    this.#socket?.removeAllListeners("data");
    this.#socket?.destroy();
    this.#rest = Buffer.alloc(0);
  }
}

/** The readers of one partition, and when each got the last append. */
export class Readers {
  readonly #readers: Reader[] = [];
  readonly #url: URL;
  readonly #path: string;
  #receivedMs: number[] = [];
  #all: PromiseWithResolvers<void> | null = null;

  constructor(url: string, topic: string) {
    this.#url = new URL(url);
    this.#path = `/v1/topics/${topic}/partitions/0/socket`;
  }

  get count(): number {
    return this.#readers.length;
  }

  get relays(): number {
    return new Set(this.#readers.flatMap(({ relay }) => relay ?? [])).size;
  }

  /** Opens readers until there are `count`. */
  async grow(count: number, follows: boolean): Promise<void> {
    while (this.#readers.length < count) {
      const more = Array.from(
        { length: Math.min(AT_ONCE, count - this.#readers.length) },
        () => new Reader(() => this.#received()),
      );
      await Promise.all(more.map((reader) => reader.open(this.#url, this.#path, follows)));
      this.#readers.push(...more);
    }
  }

  /** Closes all readers except those at the partition, those of the relay `full`, and one of each other relay. */
  thinOut(full: number | null): void {
    const seen = new Set<number | null>();
    const left = this.#readers.filter((reader) => {
      const isOfFull = reader.relay === null || reader.relay === full;
      const stays = isOfFull || !seen.has(reader.relay);
      seen.add(reader.relay);
      if (!stays) reader.close();
      return stays;
    });
    this.#readers.splice(0, this.#readers.length, ...left);
  }

  /** Runs an append. Returns how long after its start each reader had it. */
  async delays(append: () => Promise<unknown>): Promise<readonly number[]> {
    this.#receivedMs = [];
    this.#all = Promise.withResolvers();
    const startedMs = performance.now();
    await append();
    if (this.#readers.length > 0) await this.#all.promise;
    return this.#receivedMs.map((ms) => ms - startedMs);
  }

  #received(): void {
    this.#receivedMs.push(performance.now());
    if (this.#receivedMs.length === this.#readers.length) this.#all?.resolve();
  }

  close(): void {
    for (const reader of this.#readers) reader.close();
  }
}
