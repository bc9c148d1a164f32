// A closed broker, its callers of the access matrix, and how each of them connects.
import { request as httpRequest, type IncomingMessage } from "node:http";
import WebSocket from "ws";
import { kafkaSocketFactory } from "../../src/kafkajs/socket-factory.ts";
import { RawKafka } from "../support/kafka-client.ts";
import * as apis from "../support/kafka-schemas.ts";
import { BrokerProcess } from "./broker.ts";

export const ROOT_KEY = "the-root-key-of-this-test";

/** The columns of the matrix that are API keys. */
export const GRANTS = {
  R: [{ topics: { prefix: "orders." }, operations: ["READ"] }],
  W: [{ topics: { prefix: "orders." }, operations: ["WRITE"] }],
  G: [{ groups: { prefix: "billing." }, operations: ["READ"] }],
  P: [
    { topics: { prefix: "other." }, operations: ["READ", "WRITE"] },
    { groups: { prefix: "other." }, operations: ["READ"] },
  ],
  C: [
    { topics: { prefix: "orders." }, operations: ["READ"] },
    { groups: { prefix: "billing." }, operations: ["READ"] },
  ],
};
export type Name = keyof typeof GRANTS;

/** All columns: A is root. */
export const COLUMNS = ["R", "W", "G", "P", "C", "A"] as const;
export type Column = (typeof COLUMNS)[number];

export const REFUSED = {
  T: "TOPIC_AUTHORIZATION_FAILED",
  G: "GROUP_AUTHORIZATION_FAILED",
  C: "CLUSTER_AUTHORIZATION_FAILED",
} as const;

export const UNAUTHENTICATED = "SASL_AUTHENTICATION_FAILED";
/** The code with which sockets of a bad credential are closed. */
export const CLOSED = 4005;

export interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

export interface Key {
  readonly id: string;
  /** The whole key. */
  readonly key: string;
  /** The part of it that is the password of a Kafka client. */
  readonly secret: string;
}

type Message = Record<string, unknown>;

export class ClosedBroker {
  readonly keys: Record<Column, Key>;
  readonly #process: BrokerProcess;
  readonly #secrets = [ROOT_KEY];

  private constructor(process: BrokerProcess) {
    this.#process = process;
    const root = { id: "root", key: ROOT_KEY, secret: ROOT_KEY };
    this.keys = { R: root, W: root, G: root, P: root, C: root, A: root };
  }

  static async start(
    topics: readonly string[],
    env: Record<string, string> = {},
  ): Promise<ClosedBroker> {
    const started = new ClosedBroker(
      await BrokerProcess.start({ env: { RIVULET_ROOT_KEY: ROOT_KEY, ...env } }),
    );
    for (const name of topics) await started.createTopic(name);
    for (const [name, grants] of Object.entries(GRANTS))
      started.keys[name as Name] = await started.createKey(name, grants);
    return started;
  }

  get url(): string {
    return this.#process.url;
  }

  get kafka(): string {
    return this.#process.kafka;
  }

  /** The lines that the broker has printed. */
  get lines(): readonly string[] {
    return this.#process.lines;
  }

  /** @throws if the broker has printed a secret */
  async stop(): Promise<void> {
    await this.#process.stop();
    const said = this.#process.lines.join("\n");
    for (const secret of this.#secrets)
      if (said.includes(secret)) throw new Error(`the broker has said a secret: ${said}`);
  }

  async ask(
    credential: string | null,
    method: string,
    path: string,
    body?: unknown,
  ): Promise<Answer> {
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(credential === null ? {} : { authorization: `Bearer ${credential}` }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text.startsWith("{") ? JSON.parse(text) : {} };
  }

  /** Sends a request as root, which must succeed. */
  async admin(method: string, path: string, body?: unknown): Promise<Answer["body"]> {
    const answer = await this.ask(ROOT_KEY, method, path, body);
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${JSON.stringify(answer)}`);
    return answer.body;
  }

  async createTopic(name: string): Promise<string> {
    const made = await this.admin("POST", "/v1/topics", { name, partitions: 1 });
    return made.topicId as string;
  }

  async createKey(principal: string, grants: readonly object[]): Promise<Key> {
    const { id, key } = (await this.admin("POST", "/v1/keys", { principal, grants })) as {
      id: string;
      key: string;
    };
    const secret = key.slice(`rvk_${id}_`.length, -6);
    this.#secrets.push(secret);
    return { id, key, secret };
  }

  /** Returns a token with C's rights, and when it expires. */
  async token(ttlMs: number): Promise<{ token: string; expiresAtMs: number }> {
    const { body } = await this.ask(this.keys.C.key, "POST", "/v1/tokens", { ttlMs });
    this.#secrets.push(String(body.token).split(".").at(-1) as string);
    return { token: body.token as string, expiresAtMs: Date.parse(body.expiresAt as string) };
  }

  /** The root writes. */
  async produce(topic: string, ...values: string[]): Promise<void> {
    const records = values.map((value) => ({ value }));
    await this.admin("POST", `/v1/topics/${topic}/records`, { records });
  }

  /** Opens a socket, or returns the response with which it is refused. */
  async open(
    path: string,
    credential: string | null,
    headers: Record<string, string> = {},
  ): Promise<TestSocket | Answer> {
    const token = credential === null ? [] : [`rivulet.token.${credential}`];
    const url = `${this.url.replace("http", "ws")}${path}`;
    const socket = new WebSocket(url, ["rivulet.v1", ...token], { headers });
    socket.on("error", () => {});
    const refused = new Promise<Answer>((resolve) =>
      socket.on("unexpected-response", async (_, response: IncomingMessage) => {
        const text = await textOf(response);
        resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) });
      }),
    );
    const opened = new TestSocket(socket);
    return Promise.race([refused, opened.opened.then(() => opened)]);
  }

  async opened(path: string, credential: string): Promise<TestSocket> {
    const socket = await this.open(path, credential);
    if ("status" in socket) throw new Error(`${path}: ${JSON.stringify(socket)}`);
    return socket;
  }

  /** A partition's socket that reads it. */
  async reader(topic: string, credential: string, offset: unknown = 0): Promise<TestSocket> {
    const socket = await this.opened(`/v1/topics/${topic}/partitions/0/socket`, credential);
    socket.send({ type: "attach", attachId: 1, offset });
    await socket.next("attached");
    return socket;
  }

  /** A member of a group by its own socket. */
  async member(group: string, topic: string, credential: string): Promise<TestSocket> {
    const socket = await this.opened(`/v1/groups/${group}/socket`, credential);
    const memberId = crypto.randomUUID();
    const times = { sessionTimeoutMs: 2_000, rebalanceTimeoutMs: 1_000 };
    socket.send({ type: "join", memberId, memberEpoch: 0, topics: [topic], ...times });
    await socket.next("assignment");
    return socket;
  }

  /** Server-sent events, as they come. */
  events(path: string, credential: string): Promise<EventReader> {
    return EventReader.open(`${this.url}${path}`, credential);
  }

  /** A connection to Kafka's port. */
  tcp(): RawKafka {
    return new RawKafka(this.kafka);
  }

  /** Kafka's protocol over a WebSocket, which this credential opens. */
  async kafkaWebSocket(token: string): Promise<RawKafka> {
    const open = kafkaSocketFactory({ url: this.url, token });
    const { promise: connected, resolve: onConnect } = Promise.withResolvers<void>();
    const client = new RawKafka(open({ onConnect }));
    await connected;
    return client;
  }
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = "";
  for await (const data of response) text += String(data);
  return text;
}

export class TestSocket {
  readonly messages: Message[] = [];
  /** Everything that arrived, as text. */
  text = "";
  readonly opened: Promise<void>;
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly #socket: WebSocket;
  #read = 0;
  #wake = () => {};
  #isClosed = false;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on("message", (data, isBinary) => {
      const text = String(data);
      this.text += text;
      if (isBinary) this.messages.push({ type: "bytes" });
      else this.messages.push(text === "pong" ? { type: "pong" } : JSON.parse(text));
      this.#wake();
    });
    this.opened = new Promise((resolve) => socket.once("open", () => resolve()));
    this.closed = new Promise((resolve) =>
      socket.once("close", (code, reason) => {
        this.#isClosed = true;
        this.#wake();
        resolve({ code, reason: String(reason) });
      }),
    );
  }

  send(message: object | string | Uint8Array): void {
    const isPlain = typeof message === "string" || message instanceof Uint8Array;
    this.#socket.send(isPlain ? message : JSON.stringify(message));
  }

  /** The next message of this type, or of any. */
  async next(type?: string): Promise<Message> {
    for (;;) {
      const message = this.messages[this.#read];
      if (message !== undefined) {
        this.#read++;
        if (type === undefined || message.type === type) return message;
        continue;
      }
      if (this.#isClosed) throw new Error(`closed before ${type}: ${this.text}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Takes nothing more, not even that it is closed. */
  stopReading(): void {
    this.#socket.pause();
  }

  close(): void {
    this.#socket.close(1000);
  }

  cut(): void {
    this.#socket.terminate();
  }
}

export class EventReader {
  /** Everything that arrived. */
  text = "";
  readonly ended: Promise<void>;
  #wake = () => {};

  private constructor(response: IncomingMessage) {
    response.on("data", (data) => {
      this.text += String(data);
      this.#wake();
    });
    response.on("error", () => {});
    this.ended = new Promise((resolve) => response.once("close", resolve));
  }

  static open(url: string, credential: string): Promise<EventReader> {
    return new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${credential}`, accept: "text/event-stream" };
      const request = httpRequest(url, { headers }, (response) => {
        if (response.statusCode === 200) resolve(new EventReader(response));
        else reject(new Error(`${url}: ${response.statusCode}`));
      });
      request.on("error", reject);
      request.end();
    });
  }

  async until(text: string): Promise<void> {
    while (!this.text.includes(text))
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
  }
}

/** Authenticates a Kafka client. */
export async function logIn(
  client: Pick<RawKafka, "ask">,
  mechanism: "PLAIN" | "OAUTHBEARER",
  { id, secret }: Pick<Key, "id" | "secret">,
): Promise<{ errorCode: number }> {
  await client.ask(apis.SASL_HANDSHAKE, 1, { mechanism });
  const text =
    mechanism === "PLAIN" ? `\0${id}\0${secret}` : `n,,\x01auth=Bearer ${secret}\x01\x01`;
  return await client.ask(apis.SASL_AUTHENTICATE, 2, { authBytes: Buffer.from(text) });
}

/** A fetch of the first partition of a topic. */
export const fetchOf = (name: string, fetchOffset: number, maxWaitMs: number) => ({
  replicaId: -1,
  maxWaitMs,
  minBytes: maxWaitMs === 0 ? 0 : 1,
  maxBytes: 1_000_000,
  isolationLevel: 0,
  sessionId: 0,
  sessionEpoch: -1,
  topics: [
    {
      name,
      partitions: [
        {
          partition: 0,
          currentLeaderEpoch: -1,
          fetchOffset,
          logStartOffset: -1,
          partitionMaxBytes: 1_000_000,
        },
      ],
    },
  ],
  forgottenTopics: [],
  rackId: "",
});
