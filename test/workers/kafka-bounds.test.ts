// Connections of Kafka clients can take nothing from each other. Over TCP and over a WebSocket.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { concatBytes } from "../../src/core/bytes.ts";
import { BrokerError } from "../../src/core/errors.ts";
import type { Spare, SpareHolding } from "../../src/core/ledger.ts";
import {
  MAX_ALL_FEEDS_BYTES,
  MAX_FEEDS_BYTES,
  MAX_KAFKA_AHEAD_BYTES,
  MAX_KAFKA_ANSWER_BYTES,
  MAX_KAFKA_CONNECTIONS,
  MAX_KAFKA_IN_FLIGHT_BYTES,
  MAX_KAFKA_QUEUED_BYTES,
  MAX_KAFKA_REQUEST_BYTES,
  MAX_KAFKA_UNREAD_BYTES,
  MIN_KAFKA_WRITE_BYTES,
} from "../../src/core/limits.ts";
import { encodeBatch } from "../../src/core/log/record-batch.ts";
import type { Env } from "../../src/env.ts";
import { memory } from "../../src/memory.ts";
import { isolate } from "../../src/worker/edge/isolate.ts";
import type { Patience } from "../../src/worker/kafka/connection.ts";
import { hasRoomForFeed } from "../../src/worker/kafka/feed-room.ts";
import { InFlight } from "../../src/worker/kafka/in-flight.ts";
import { Nodes } from "../../src/worker/kafka/nodes.ts";
import { serveTcp } from "../../src/worker/kafka/tcp.ts";
import { serveWebSocket } from "../../src/worker/kafka/websocket.ts";
import { Work } from "../../src/worker/kafka/work.ts";
import { encodeRequest, framed } from "../support/kafka-frames.ts";
import {
  API_VERSIONS,
  CREATE_TOPICS,
  DESCRIBE_GROUPS,
  FETCH,
  METADATA,
  PRODUCE,
} from "../support/kafka-schemas.ts";
import { envOf, held, NOTHING } from "./kafka-isolate.ts";
import { eventually } from "./support.ts";

const warned: string[] = [];
beforeEach(async () => {
  await eventually(
    async () => isolate.kafka.connections.size === 0,
    "others' connections to be closed",
  );
  warned.length = 0;
  vi.spyOn(console, "warn").mockImplementation((text) => warned.push(String(text)));
});
afterEach(async () => {
  vi.restoreAllMocks();
  for (const client of clients) client.close();
  await Promise.all([...clients].map(({ served }) => served));
  clients.clear();
  expect(held()).toEqual(NOTHING);
});
/** The connections that a test has opened, and does not close. */
const clients = new Set<Client>();

interface Client {
  send(bytes: Uint8Array): Promise<void>;
  /** The next response. */
  answer(): Promise<Uint8Array>;
  close(): void;
  /** The bytes that it was sent and has not read, if that is known. */
  readonly unreadBytes?: () => number;
  /** When nothing is served any more. */
  readonly served: Promise<void>;
}

interface Options {
  readonly env?: Env;
  readonly patience: Patience;
}

async function wholeFrame(next: () => Promise<Uint8Array>): Promise<Uint8Array> {
  let read: Uint8Array = new Uint8Array();
  const size = () => (read.length < 4 ? 4 : 4 + new DataView(read.buffer).getInt32(0));
  while (read.length < size()) read = concatBytes([read, await next()]).slice();
  return read;
}

/** A client that reads nothing unless told to. */
function overTcp({ env = envOf(), patience }: Options): Client {
  // Bytes, as a connection has them: data goes into the reader's own buffer.
  const [up, down] = [new IdentityTransformStream(), new TransformStream<Uint8Array>()];
  const [writer, reader] = [up.writable.getWriter(), down.readable.getReader()];
  const socket = {
    opened: Promise.resolve({ remoteAddress: "10.0.0.1:5" }),
    readable: up.readable,
    writable: down.writable,
    close: async () => {},
  } as unknown as Socket;
  const served = serveTcp(socket, { ...env, KAFKA_ADVERTISE: "h:1" }, patience);
  return {
    send: (bytes) => Promise.race([writer.write(bytes), served]).catch(() => {}),
    answer: () =>
      wholeFrame(async () => {
        const { value } = await reader.read();
        if (value === undefined) throw new Error("closed before it was answered");
        return value;
      }),
    close: () => void writer.close().catch(() => {}),
    served,
  };
}

function overWebSocket({ env = envOf(), patience }: Options): Client {
  const { 0: client, 1: server } = new WebSocketPair();
  const nodes = new Nodes([{ host: "h", port: 1 }], null);
  let unreadBytes = 0;
  // Both ends are in this isolate, where a client cannot but read.
  const socket = new Proxy(server, {
    get: (_, name) => {
      if (name === "bufferedAmount") return unreadBytes;
      const value = Reflect.get(server, name);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        if (name === "send") unreadBytes += (args[0] as Uint8Array).length;
        return Reflect.apply(value, server, args);
      };
    },
    set: (_, name, value) => Reflect.set(server, name, value),
  });
  const served = serveWebSocket(socket, env, nodes, "/10.0.0.1", patience);
  const received: Uint8Array[] = [];
  let wake = () => {};
  client.binaryType = "arraybuffer";
  client.addEventListener("message", ({ data }) => {
    received.push(new Uint8Array(data as ArrayBuffer));
    wake();
  });
  client.accept();
  return {
    send: async (bytes) => {
      if (client.readyState === WebSocket.OPEN) client.send(bytes);
    },
    answer: () =>
      wholeFrame(async () => {
        for (;;) {
          const piece = received.shift();
          unreadBytes -= piece?.length ?? 0;
          if (piece !== undefined) return piece;
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }),
    close: () => client.close(1000, "done"),
    unreadBytes: () => unreadBytes,
    served,
  };
}

function opens(open: (options: Options) => Client) {
  return (options: Options): Client => {
    const client = open(options);
    clients.add(client);
    return client;
  };
}

/** `heldBytes` is what a nearly complete request takes: over TCP its own buffer. */
const WAYS = [
  { way: "TCP", open: opens(overTcp), heldBytes: () => 4 + MAX_KAFKA_REQUEST_BYTES },
  { way: "a WebSocket", open: opens(overWebSocket), heldBytes: (sent: number) => sent },
];

/** Lets everything begin that may begin now. */
async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setTimeout(resolve, 0));
}
const LONG: Patience = { silentMs: 60_000, idleMs: 60_000, halfSentMs: 60_000, stalledMs: 60_000 };
const SHORT_MS = 100;
const asks = framed(encodeRequest(API_VERSIONS, 0, {}));

/** The length of a request, and this many bytes of it. */
function begun(announced: number, sent: number): Uint8Array {
  const bytes = new Uint8Array(4 + sent);
  new DataView(bytes.buffer).setInt32(0, announced);
  return bytes;
}

/** A broker with so many topics that each response about all of them is megabytes. */
function largeAnswers(count = 100): Env {
  const topics = Array.from({ length: count }, (_, i) => ({
    name: `topic-${i}`,
    topicId: "00000000-0000-0000-0000-000000000000",
    partitions: 1_000,
    overrides: {},
  }));
  topics.sort((a, b) => (a.name < b.name ? -1 : 1));
  return envOf(async (_method, request) => {
    const { after, limit } = request as { after: string; limit: number };
    return { topics: topics.filter(({ name }) => name > after).slice(0, limit) };
  });
}

/** A broker whose groups are large; `asked` counts their requests. */
function largeGroups(asked: { count: number }, memberMetadata: Uint8Array): Env {
  return envOf(async (method) => {
    if (method === "hasGroup") return true;
    asked.count++;
    const member = { memberId: "m", groupInstanceId: null, clientId: "c", clientHost: "/" };
    return {
      groupState: "Stable",
      protocolType: "consumer",
      protocolData: "range",
      members: [{ ...member, memberMetadata, memberAssignment: memberMetadata }],
    };
  });
}

function names(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `name-${i}`);
}

/** Requests about many missing topics. */
const ABOUT_MANY = [
  {
    what: "a fetch",
    isRead: true,
    request: encodeRequest(FETCH, 4, {
      maxWaitMs: 0,
      minBytes: 1,
      maxBytes: 1_000,
      topics: names(3_000).map((name) => ({
        name,
        partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1_000 }],
      })),
    }),
  },
  {
    what: "a creation",
    isRead: false,
    request: encodeRequest(CREATE_TOPICS, 5, {
      topics: names(500).map((name) => ({
        name,
        numPartitions: 1,
        replicationFactor: 1,
        assignments: [],
        configs: [],
      })),
      timeoutMs: 1,
    }),
  },
];

const DOES_NOTHING = async () => {};
const trickle = async (client: Client) => {
  let isServed = false;
  void client.served.then(() => {
    isServed = true;
  });
  await client.send(begun(MAX_KAFKA_REQUEST_BYTES, 0));
  while (!isServed) {
    await client.send(new Uint8Array(1));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};
const SILENCES = [
  { what: "says nothing", short: "silentMs", does: DOES_NOTHING, reason: "no request came" },
  {
    what: "sends half a length",
    short: "halfSentMs",
    does: (client: Client) => client.send(new Uint8Array(2)),
    reason: "a request does not arrive",
  },
  {
    what: "sends half a request",
    short: "halfSentMs",
    does: (client: Client) => client.send(begun(1_000, 10)),
    reason: "a request does not arrive",
  },
  {
    what: "sends a request and half of the next",
    short: "halfSentMs",
    does: async (client: Client) => {
      await client.send(asks);
      await client.answer();
      await client.send(begun(1_000_000, 100_000));
    },
    reason: "a request does not arrive",
  },
  {
    what: "sends a byte now and then",
    short: "halfSentMs",
    does: trickle,
    reason: "a request does not arrive",
  },
  {
    what: "sends no more requests",
    short: "idleMs",
    does: async (client: Client) => {
      await client.send(asks);
      await client.answer();
    },
    reason: "no request came for",
  },
] as const;

describe.each(WAYS)("over $way", ({ open, heldBytes }) => {
  test.each(SILENCES)("[BND-11] a client that $what is closed", async ({ short, does, reason }) => {
    const client = open({ patience: { ...LONG, [short]: SHORT_MS } });
    await does(client);
    await eventually(async () => warned.length > 0, "the connection to be closed");
    expect(warned).toEqual([expect.stringContaining(reason)]);
    expect(warned[0]).toContain("(from 10.0.0.1)");
    expect(held()).toEqual(NOTHING);
  });

  test("[BND-11] a request that keeps coming is waited for, however long it takes", async () => {
    const client = open({ patience: { ...LONG, silentMs: SHORT_MS, halfSentMs: SHORT_MS } });
    const request = encodeRequest(METADATA, 1, { topics: [] });
    const large = framed(concatBytes([request, new Uint8Array(400_000)]));
    const startedMs = Date.now();
    for (let at = 0; at < large.length; at += 20_000) {
      await client.send(large.subarray(at, at + 20_000));
      await new Promise((resolve) => setTimeout(resolve, SHORT_MS / 5));
    }
    await client.answer();
    expect(Date.now() - startedMs).toBeGreaterThan(2 * SHORT_MS);
    expect(warned).toEqual([]);
  });

  test.each([
    { what: "waits", asksOn: false },
    { what: "sends more and more requests", asksOn: true },
  ])(
    "[BND-12] a client that takes no responses and $what is closed, and is sent little until then",
    async ({ asksOn }) => {
      const client = open({ env: largeAnswers(), patience: { ...LONG, stalledMs: SHORT_MS } });
      const all = framed(encodeRequest(METADATA, 1, { topics: null }));
      await client.send(concatBytes(Array.from({ length: 20 }, () => all)));
      await eventually(async () => {
        if (asksOn) void client.send(all);
        return warned.length > 0;
      }, "the connection to be closed");
      expect(client.unreadBytes?.() ?? 0).toBeLessThanOrEqual(
        MAX_KAFKA_UNREAD_BYTES + MIN_KAFKA_WRITE_BYTES,
      );
      expect(warned).toEqual([expect.stringContaining("the answers were not taken")]);
      expect(held()).toEqual(NOTHING);
    },
  );

  test.each([
    {
      what: "as it is written",
      env: () => largeAnswers(2_000),
      request: encodeRequest(METADATA, 1, { topics: null }),
    },
    {
      what: "as it is made",
      env: () => largeGroups({ count: 0 }, new Uint8Array(1_000_000)),
      request: encodeRequest(DESCRIBE_GROUPS, 0, { groups: names(1_000) }),
    },
  ])(
    "[BND-16] a response that is too large closes its connection $what",
    async ({ env, request }) => {
      const client = open({ env: env(), patience: LONG });
      await client.send(framed(request));
      await eventually(async () => warned.length > 0, "the connection to be closed");
      expect(warned).toEqual([expect.stringContaining(`the bound is ${MAX_KAFKA_ANSWER_BYTES}`)]);
      expect(held()).toEqual(NOTHING);
    },
  );

  test("[BND-16] no more of a response is made than fits", async () => {
    const asked = { count: 0 };
    const large = new Uint8Array(1_000_000);
    const client = open({ env: largeGroups(asked, large), patience: LONG });
    await client.send(framed(encodeRequest(DESCRIBE_GROUPS, 0, { groups: names(1_000) })));
    await eventually(async () => warned.length > 0, "the connection to be closed");
    expect(asked.count).toBeLessThan(MAX_KAFKA_ANSWER_BYTES / large.length);
  });

  test.each(ABOUT_MANY)(
    "[BND-16] $what continues after its client has gone only if it changes something",
    async ({ isRead, request }) => {
      const [asked, all] = [new Set<unknown>(), isRead ? 3_000 : 500];
      let mostAtOnce = 0;
      let atOnce = 0;
      const env = envOf(async (_method, name) => {
        asked.add(name);
        mostAtOnce = Math.max(mostAtOnce, ++atOnce);
        await new Promise((resolve) => setTimeout(resolve, 0));
        atOnce--;
        return { ok: false, error: "UNKNOWN_TOPIC_OR_PARTITION", detail: "none" };
      });
      const client = open({ env, patience: LONG });
      await client.send(framed(request));
      void client.answer().catch(() => {}); // Over TCP it is taken still.
      await eventually(async () => asked.size > 0, "the request to be begun");
      client.close();
      await client.served;
      if (isRead) expect(asked.size).toBeLessThan(all);
      else expect(asked.size).toBe(all);
      expect(mostAtOnce).toBeLessThanOrEqual(64);
      expect(warned).toEqual([]);
    },
  );

  test("[BND-12] a client that takes its responses gets all of them, whole", async () => {
    const client = open({ env: largeAnswers(), patience: LONG });
    const all = framed(encodeRequest(METADATA, 1, { topics: null }));
    await client.send(concatBytes([all, all, asks]));
    const [first, second] = [await client.answer(), await client.answer()];
    expect(first.length).toBeGreaterThan(1_000_000);
    expect(second).toEqual(first);
    expect((await client.answer()).length).toBeLessThan(1_000);
    expect(warned).toEqual([]);
    await eventually(async () => held().inFlightBytes === 0, "nothing to be in flight");
  });

  test("[BND-10] as many requests of the largest size come in at once as there is room for; one more closes the largest", async () => {
    const count = Math.floor(MAX_KAFKA_IN_FLIGHT_BYTES / MAX_KAFKA_REQUEST_BYTES);
    const all = Array.from({ length: count }, () => open({ patience: LONG }));
    const half = begun(MAX_KAFKA_REQUEST_BYTES, MAX_KAFKA_REQUEST_BYTES - 100_000);
    for (const client of all) await client.send(half);
    const bytes = heldBytes(half.length);
    await eventually(async () => held().inFlightBytes === count * bytes, "all to come");
    expect(warned).toEqual([]);
    const next = open({ patience: LONG });
    await next.send(half.subarray(0, half.length - 1));
    await eventually(async () => warned.length > 0, "one to be closed");
    expect(warned).toEqual([expect.stringContaining("this one takes the most")]);
    const others = (count - 1) * bytes + heldBytes(half.length - 1);
    await eventually(async () => held().inFlightBytes === others, "the next to be there");
    await next.send(new Uint8Array(1));
    const small = open({ patience: LONG });
    await small.send(asks);
    expect((await small.answer()).length).toBeGreaterThan(4);
    expect(warned).toHaveLength(1);
  });

  test.each([
    { what: "leaves", end: (client: Client) => client.close() },
    { what: "breaks the protocol", end: (client: Client) => client.send(begun(-1, 0)) },
    {
      what: "sends an unsupported request",
      end: (client: Client) => client.send(framed(new Uint8Array([0, 99, 0, 0, 0, 0, 0, 1]))),
    },
  ])("[BND-10] a connection that $what no longer counts", async ({ end }) => {
    const client = open({ patience: LONG });
    await client.send(asks);
    await client.answer();
    await end(client);
    await eventually(async () => held().connections === 0, "it to be forgotten");
    expect(held()).toEqual(NOTHING);
    client.close();
    await client.served;
  });

  test("[BND-10] a connection that is closed while it is answered no longer counts, then or later", async () => {
    const answered = Promise.withResolvers<unknown>();
    const client = open({ env: envOf(() => answered.promise), patience: LONG });
    await client.send(framed(encodeRequest(METADATA, 1, { topics: null })));
    await eventually(async () => held().inFlightBytes > 0, "the request to come");
    for (const each of isolate.kafka.connections)
      each.letGo(new BrokerError("THROTTLING_QUOTA_EXCEEDED", "let go"));
    await eventually(async () => warned.length > 0, "the connection to be closed");
    answered.resolve([]);
    await client.served;
    expect(held()).toEqual(NOTHING);
  });
});

test.each([
  { what: "side by side", others: MAX_KAFKA_AHEAD_BYTES / 2, atOnce: 3 },
  { what: "one by one if others hold much", others: MAX_KAFKA_AHEAD_BYTES, atOnce: 1 },
])("[BND-10] [KFK-35] requests sent ahead are served $what", async ({ others, atOnce }) => {
  const waiting: (() => void)[] = [];
  let appends = 0;
  const topic = { name: "t", topicId: "id", partitions: 4, overrides: {} };
  const env = envOf(async (method) => {
    if (method === "topic") return { ok: true, topic };
    appends++;
    await new Promise<void>((resolve) => waiting.push(resolve));
    return { ok: true, baseOffset: 0, logAppendTimeMs: null };
  });
  const client = opens(overTcp)({ env, patience: LONG });
  const other = new InFlight();
  const value = new Uint8Array(10);
  const records = [encodeBatch([{ key: null, value, headers: [], timestamp: 0 }])];
  const produce = (partition: number) =>
    framed(
      encodeRequest(PRODUCE, 3, {
        transactionalId: null,
        acks: 1,
        timeoutMs: 1,
        topics: [{ name: "t", partitions: [{ partition, records }] }],
      }),
    );
  await client.send(produce(0));
  await eventually(async () => appends === 1, "the first to be stored");
  waiting.shift()?.();
  await client.answer();
  other.setAsked(others);
  // Not in one piece, which is read at once.
  for (const partition of [1, 2, 3]) void client.send(produce(partition));
  const answered = (async () => {
    for (let i = 0; i < 3; i++) await client.answer();
  })();
  for (let stored = 1; stored < 4; ) {
    await eventually(async () => waiting.length > 0, "some to be begun");
    await settled();
    expect(waiting).toHaveLength(Math.min(atOnce, 4 - stored));
    stored += waiting.length;
    for (const answer of waiting.splice(0)) answer();
  }
  await answered;
  other.close();
});

test("[BND-16] responses being made count for all connections together", () => {
  const works = Array.from({ length: 3 }, () => {
    const inFlight = new InFlight();
    const options = { name: "Metadata", isReadOnly: true, hasGone: () => false, look: () => {} };
    return { inFlight, work: new Work({ ...options, inFlight }) };
  });
  const part = new Uint8Array(MAX_KAFKA_IN_FLIGHT_BYTES / 3);
  const gone: number[] = [];
  for (const [i, { inFlight }] of works.entries()) void inFlight.evicted.then(() => gone.push(i));
  for (const { work } of works.slice(0, 2)) work.made(part);
  expect(() => works[2]?.work.made([part, 1])).toThrow("this one takes the most");
  for (const { inFlight } of works) inFlight.close();
});

test("[KFK-21] what one connection has in flight is bounded", () => {
  const one = new InFlight();
  one.setAsked(MAX_KAFKA_QUEUED_BYTES);
  expect(() => one.setAsked(MAX_KAFKA_QUEUED_BYTES + 1)).toThrow(
    `${MAX_KAFKA_QUEUED_BYTES + 1} bytes of this connection wait for an answer`,
  );
  one.close();
  expect(() => one.setAnswer(1)).toThrow("the connection is closed");
});

test("[BND-10] the largest holder is dropped, not the newest", async () => {
  const all = Array.from({ length: 5 }, () => new InFlight());
  const gone: number[] = [];
  for (const [i, each] of all.entries()) void each.evicted.then(() => gone.push(i));
  const [large, ...others] = all;
  large?.setAsked(MAX_KAFKA_IN_FLIGHT_BYTES / 4 + 1);
  for (const each of others) each.setAsked(MAX_KAFKA_IN_FLIGHT_BYTES / 4);
  await Promise.resolve();
  expect(gone).toEqual([0]);
  for (const each of all) each.close();
});

test("[BND-14] with too many connections the silent go first, then the one quiet for longest, never one at work", async () => {
  const all = Array.from({ length: MAX_KAFKA_CONNECTIONS }, () => new InFlight());
  const gone: number[] = [];
  for (const [i, each] of all.entries()) void each.evicted.then(() => gone.push(i));
  for (const each of all) each.begin();
  expect(() => new InFlight()).toThrow("the bound, and all of them are at work");
  for (const i of [7, 5, 6]) all[i]?.end();
  const late = [new InFlight(), new InFlight()]; // The second finds the first silent.
  await Promise.resolve();
  expect(gone).toEqual([7]);
  late[1]?.begin();
  late.push(new InFlight());
  await Promise.resolve();
  expect(gone).toEqual([7, 5]);
  expect(isolate.kafka.connections.size).toBe(MAX_KAFKA_CONNECTIONS);
  for (const each of [...all, ...late]) each.close();
});

/** Feeds that hold this much. */
function feedsOf(bytes: number): SpareHolding {
  const feeds = { drop: () => {} };
  kept.push(feeds); // The room keeps none alive.
  const holding = memory.feeds.add(feeds);
  holding.set(bytes);
  return holding;
}
const kept: Spare[] = [];

test("[BND-13] feeds that hold the most give it back to those that hold less, and one that holds nothing always has room", () => {
  const all = [feedsOf(1)];
  const [small] = all as [SpareHolding];
  expect(hasRoomForFeed(small, MAX_FEEDS_BYTES - 1)).toBe(true);
  expect(hasRoomForFeed(small, MAX_FEEDS_BYTES)).toBe(false);
  const count = MAX_ALL_FEEDS_BYTES / MAX_FEEDS_BYTES;
  const large = Array.from({ length: count }, () => feedsOf(MAX_FEEDS_BYTES - 1));
  all.push(...large);
  expect(hasRoomForFeed(small, 1_000)).toBe(true);
  expect(large.filter(({ bytes }) => bytes === 0)).toHaveLength(1);
  for (const each of all) each.release();
  const many = Array.from({ length: 32 }, () => feedsOf(MAX_ALL_FEEDS_BYTES / 32));
  const equal = feedsOf(1_000);
  expect(hasRoomForFeed(equal, MAX_ALL_FEEDS_BYTES / 32)).toBe(false);
  expect(hasRoomForFeed(feedsOf(0), MAX_ALL_FEEDS_BYTES / 32)).toBe(true);
  expect(many.filter(({ bytes }) => bytes === 0)).toHaveLength(2);
  memory.feeds.forgetEverything();
});
