// Sessions in the Worker that have used their invocation's CPU, as estimated. Locally nobody bounds it, so the brokers here
// are started with a bound that a session reaches in a moment.
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CLOSE_FATAL, CLOSE_SPENT } from "../../src/protocol/close-codes.ts";
import { Rivulet } from "../../src/sdk/index.ts";
import { RawKafka, RawKafkaSocket } from "../support/kafka-client.ts";
import { encodeRequest, framed } from "../support/kafka-frames.ts";
import { API_VERSIONS, CONSUMER_GROUP_HEARTBEAT } from "../support/kafka-schemas.ts";
import { until } from "../support/until.ts";
import { BrokerProcess } from "./broker.ts";
import { CLIENTS } from "./kafka/clients.ts";
import { PlainClient } from "./plain-client.ts";

/** Some thousands of records. */
const SESSION_CPU_MS = 20;
/** Some dozens of requests. */
const KAFKA_CPU_MS = 4;
const RECORDS = 12_000;
/** The number sent at a time. */
const KAFKA_RECORDS = 10;
const PARTITIONS = 4;

let broker: BrokerProcess;
let rivulet: Rivulet;
let forKafka: BrokerProcess;
let proxy: CountingProxy;
beforeAll(async () => {
  process.env.KAFKAJS_NO_PARTITIONER_WARNING = "1";
  proxy = await CountingProxy.start();
  const started = (cpuMs: number, env = {}) =>
    BrokerProcess.start({ env: { RIVULET_SESSION_CPU_MS: String(cpuMs), ...env } });
  broker = await started(SESSION_CPU_MS);
  rivulet = new Rivulet({ url: broker.url });
  forKafka = await started(KAFKA_CPU_MS, { KAFKA_ADVERTISE: proxy.address });
  proxy.target = forKafka.kafka;
});
afterAll(async () => {
  await broker.stop();
  await forKafka.stop();
  proxy.stop();
});

/** Forwards connections of Kafka clients, and counts how they end. */
class CountingProxy {
  readonly #server: Server;
  target = "";
  /** The connections that the broker has ended, and not the client. */
  ended = 0;

  private constructor(server: Server) {
    this.#server = server;
    server.on("connection", (client) => {
      const [host = "", port] = this.target.split(":");
      const own = connect({ host, port: Number(port), allowHalfOpen: true });
      let isOver = false;
      client.once("close", () => {
        isOver = true;
      });
      client.once("end", () => {
        isOver = true;
      });
      own.once("end", () => {
        if (!isOver) this.ended++;
      });
      client.on("error", () => own.destroy());
      own.on("error", () => client.destroy());
      client.pipe(own);
      own.pipe(client);
    });
  }

  static async start(): Promise<CountingProxy> {
    const server = createServer({ allowHalfOpen: true });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new CountingProxy(server);
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#server.close();
  }
}

let names = 0;
async function newTopic({ admin } = rivulet): Promise<string> {
  const name = `spent-${++names}`;
  await admin.createTopic({ name, partitions: PARTITIONS });
  return name;
}

async function fill(topic: string): Promise<void> {
  const records = everything.map((value) => ({ value, partition: value % PARTITIONS }));
  await rivulet.producer.send(topic, records);
}

const everything = Array.from({ length: RECORDS }, (_, i) => i);
const sorted = (values: readonly unknown[]) => values.map(Number).sort((a, b) => a - b);
const textOf = (value: Uint8Array | null) => Buffer.from(value ?? []).toString();

/** A client that does what PROTOCOL.md says: it connects again whenever that may help. */
class Stubborn {
  readonly values: unknown[] = [];
  readonly closes: { code: number; reason: string }[] = [];
  readonly #open: () => PlainClient;
  #client: PlainClient;
  #isOver = false;

  constructor(group: string, query: string) {
    this.#open = () => {
      const client = new PlainClient(broker.url, group, `window=100&${query}`);
      client.onMessage = (message) => {
        if (message.type === "records")
          this.values.push(...message.records.map(({ value }) => value));
      };
      client.onClose = () => this.#onClose(client);
      return client;
    };
    this.#client = this.#open();
  }

  #onClose({ closed }: PlainClient): void {
    if (this.#isOver || closed === null) return;
    this.closes.push(closed);
    if (closed.code !== CLOSE_FATAL) this.#client = this.#open();
  }

  get held(): Set<number> {
    return this.#client.held;
  }

  close(): void {
    this.#isOver = true;
    this.#client.close();
  }
}

describe("a plain client whose session has used its CPU", () => {
  test.each([
    ["memberId", `memberId=${crypto.randomUUID()}`],
    ["instanceId", "instanceId=one"],
  ])(
    "[SES-14] [PLN-9] returns under its %s: nothing is lost or repeated, and nobody rebalances",
    async (_, name) => {
      const topic = await newTopic();
      const groupId = `${topic}-group`;
      const others: unknown[] = [];
      const consumer = rivulet.consumer({ groupId, topics: [topic], from: "earliest" });
      void consumer.run({ eachRecord: ({ value }) => void others.push(textOf(value)) });
      const client = new Stubborn(groupId, `topics=${topic}&${name}`);
      const group = () => rivulet.admin.describeGroup(groupId).catch(() => null);
      await until("both have a share", async () => {
        const { state, members } = (await group()) ?? { state: "", members: [] };
        return state === "STABLE" && members.length === 2;
      });
      const epoch = (await group())?.epoch;
      await fill(topic);
      await until("all has come", () => others.length + client.values.length >= RECORDS);
      expect(sorted([...others, ...client.values])).toEqual(everything);
      expect(client.closes.length).toBeGreaterThan(1);
      for (const { code, reason } of client.closes)
        expect([code, reason]).toEqual([CLOSE_SPENT, expect.stringContaining("connect again")]);
      expect((await group())?.epoch).toBe(epoch);
      client.close();
      await consumer.close();
    },
  );

  test("[SES-14] without a name leaves and joins again: nothing is lost or repeated", async () => {
    const topic = await newTopic();
    const client = new Stubborn(`${topic}-group`, `topics=${topic}`);
    await until("it has all", () => client.held.size === PARTITIONS);
    await fill(topic);
    await until("all has come", () => client.values.length >= RECORDS);
    expect(sorted(client.values)).toEqual(everything);
    expect(client.closes.length).toBeGreaterThan(1);
    const { members } = await rivulet.admin.describeGroup(`${topic}-group`);
    expect(members.length).toBeLessThanOrEqual(1); // Earlier ones are gone.
    client.close();
  });

  test("[PLN-9] cuts its older connection off when it returns", async () => {
    const topic = await newTopic();
    const groupId = `${topic}-group`;
    const query = `topics=${topic}&memberId=${crypto.randomUUID()}`;
    const older = new PlainClient(broker.url, groupId, query);
    await until("it has all", () => older.held.size === PARTITIONS);
    const newer = new PlainClient(broker.url, groupId, query);
    await until("the older one is cut off", () => older.closed !== null);
    expect(older.closed?.code).toBe(4002);
    await until("the newer one has all", () => newer.held.size === PARTITIONS);
    expect((await rivulet.admin.describeGroup(groupId)).epoch).toBe(1);
    newer.close();
  });

  test("[PLN-9] is told if a member of another kind has its id, and gives up", async () => {
    const topic = await newTopic();
    const groupId = `${topic}-group`;
    const memberId = crypto.randomUUID();
    const kafka = new RawKafka(broker.kafka);
    const { memberEpoch } = await kafka.ask<{ memberEpoch: number }>(CONSUMER_GROUP_HEARTBEAT, 1, {
      groupId,
      memberId,
      memberEpoch: 0,
      instanceId: null,
      rackId: null,
      rebalanceTimeoutMs: 60_000,
      subscribedTopicNames: [topic],
      subscribedTopicRegex: null,
      serverAssignor: null,
      topicPartitions: [],
    });
    expect(memberEpoch).toBe(1);
    const client = new PlainClient(broker.url, groupId, `topics=${topic}&memberId=${memberId}`);
    await until("it is refused", () => client.closed);
    expect(client.closed).toEqual({
      code: CLOSE_FATAL,
      reason: expect.stringContaining("UNKNOWN_MEMBER_ID: memberId: "),
    });
    kafka.close();
  });
});

test("[SES-14] [STR-2] an event stream ends after a whole event, and continues with Last-Event-ID", async () => {
  const topic = await newTopic();
  await fill(topic);
  const values: unknown[] = [];
  let lastEventId = "";
  let streams = 0;
  for (; values.length < RECORDS; streams++) {
    const headers: Record<string, string> =
      lastEventId === "" ? {} : { "last-event-id": lastEventId };
    const path = `${broker.url}/v1/topics/${topic}/stream?from=earliest`;
    const events = await (await fetch(path, { headers })).text();
    expect(events.endsWith("\n\n")).toBe(true);
    for (const event of events.split("\n\n")) {
      lastEventId = /^id: (.*)$/m.exec(event)?.[1] ?? lastEventId;
      const data = /^data: (.*)$/m.exec(event)?.[1];
      if (data !== undefined) values.push(JSON.parse(data).value);
    }
  }
  expect(sorted(values)).toEqual(everything);
  expect(streams).toBeGreaterThan(2);
});

describe.each(CLIENTS)("$name, whose connections have used their CPU", (client) => {
  test("[SES-14] [KFK-21] continues: nothing is lost or repeated, and nobody rebalances", async () => {
    const own = new Rivulet({ url: forKafka.url });
    const topic = await newTopic(own);
    const groupId = `${topic}-group`;
    const address = { brokers: proxy.address };
    const before = proxy.ended;
    const member = await client.join(address, { groupId, topics: [topic] });
    const send = (from: number, to: number) =>
      client.send(
        address,
        topic,
        Array.from({ length: to - from }, (_, i) => ({
          partition: i % PARTITIONS,
          key: null,
          value: Buffer.from(String(from + i)),
          headers: {},
          timestamp: 1_700_000_000_000,
        })),
        "none",
      );
    await until("it is a member", async () => {
      const group = await own.admin.describeGroup(groupId).catch(() => null);
      return group?.state === "STABLE" && group.members.length === 1;
    });
    const { epoch } = await own.admin.describeGroup(groupId);
    let sent = 0;
    // A few records are fetched at a time, so that a connection is used up soon.
    while (proxy.ended < before + 3) {
      await send(sent, sent + KAFKA_RECORDS);
      sent += KAFKA_RECORDS;
      await until("it has read", () => member.read.length >= sent);
    }
    const read = member.read.map(({ value }) => value?.toString());
    expect(sorted(read)).toEqual(everything.slice(0, sent));
    const group = await own.admin.describeGroup(groupId);
    expect(group.members).toHaveLength(1);
    expect(group.epoch).toBe(epoch);
    await member.stop();
  });
});

test("[SES-14] [KFK-21] a Kafka connection over a WebSocket closes between two requests", async () => {
  const kafka = new RawKafkaSocket(forKafka.url);
  let answered = 0;
  const askOn = async () => {
    for (;;) {
      kafka.write(framed(encodeRequest(API_VERSIONS, 0, {})));
      await kafka.frame();
      answered++;
    }
  };
  await expect(askOn()).rejects.toThrow("closed");
  expect(answered).toBeGreaterThan(1);
});

describe("a request of any length", () => {
  const NDJSON = { "content-type": "application/x-ndjson", accept: "application/x-ndjson" };

  test("[SES-14] [BLK-1] that writes ends with the number of lines done, and the next request continues behind them", async () => {
    const topic = await newTopic();
    const lines = everything.map((value) =>
      JSON.stringify({ value, partition: value % PARTITIONS }),
    );
    let requests = 0;
    let isDone = false;
    for (let done = 0; !isDone; requests++) {
      // Piece by piece, as a large file arrives.
      const rest = lines.slice(done);
      const body = new ReadableStream<Uint8Array>({
        pull: (controller) => {
          const piece = rest.splice(0, 200);
          if (piece.length === 0) controller.close();
          else controller.enqueue(new TextEncoder().encode(`${piece.join("\n")}\n`));
        },
      });
      const url = `${broker.url}/v1/topics/${topic}/records`;
      const answer = await fetch(url, { method: "POST", headers: NDJSON, body, duplex: "half" });
      const last = JSON.parse((await answer.text()).trim().split("\n").at(-1) ?? "");
      done += last.lines;
      isDone = last.done;
      if (!isDone)
        expect(last.error).toMatchObject({ code: "THROTTLING_QUOTA_EXCEEDED", retriable: true });
    }
    expect(requests).toBeGreaterThan(1);
    const values: unknown[] = [];
    for await (const { value } of await rivulet.reader({ topic, from: "earliest" })) {
      values.push(textOf(value));
      if (values.length === RECORDS) break;
    }
    expect(sorted(values)).toEqual(everything);
  });

  test("[SES-14] [BLK-2] that reads ends with the next offset", async () => {
    const topic = await newTopic();
    for (let i = 0; i < 4; i++) await fill(topic);
    const offsets: number[] = [];
    let requests = 0;
    for (let next: number | null = 0; next !== null; requests++) {
      const url = `${broker.url}/v1/topics/${topic}/partitions/0/records?offset=${next}`;
      const answer = await fetch(url, { headers: { accept: NDJSON.accept } });
      next = null;
      for (const line of (await answer.text()).trim().split("\n")) {
        const { offset, error } = JSON.parse(line);
        if (error === undefined) offsets.push(offset);
        else next = error.nextOffset;
      }
    }
    expect(requests).toBeGreaterThan(1);
    expect(offsets).toEqual(Array.from({ length: RECORDS }, (_, i) => i));
  });
});
