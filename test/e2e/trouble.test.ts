// Trouble for the SDK, over real sockets and against a real broker: each case names a fault and what still holds.
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import * as z from "zod";
import {
  type BrokerError,
  ConnectionError,
  type Consumer,
  type ConsumerOptions,
  type ConsumerRecord,
  type GroupInfo,
  jsonSerde,
  type Producer,
  type ProducerOptions,
  type RecordOutcome,
  Rivulet,
  type SendOptions,
  type TopicPartition,
  type TypedRecord,
} from "../../src/sdk/index.ts";
import {
  type Answer,
  BLACK_HOLE,
  type Fate,
  type Link,
  TroubleProxy,
} from "../support/trouble-proxy.ts";
import { until } from "../support/until.ts";
import { BrokerProcess } from "./broker.ts";

interface Case {
  readonly when: string;
  readonly promise: string;
  readonly run: () => Promise<void>;
}

/** The whole title: a table would cut it short. */
function titled(cases: readonly Case[]): [string, () => Promise<void>][] {
  return cases.map(({ when, promise, run }) => [`${when}: ${promise}`, run]);
}

let broker: BrokerProcess;
let direct: Rivulet;
const proxies: TroubleProxy[] = [];
const consumers: { close(): Promise<void> }[] = [];
const realNow = Date.now;

beforeAll(async () => {
  broker = await BrokerProcess.start();
  direct = new Rivulet({ url: broker.url });
});
afterAll(() => broker.stop());
afterEach(async () => {
  Date.now = realNow;
  // First the proxies: a consumer whose broker does not answer would wait for it.
  for (const proxy of proxies.splice(0)) proxy.stop();
  await Promise.all(consumers.splice(0).map((consumer) => consumer.close()));
});

/** A client with its own proxy for all of its traffic. */
async function trouble(): Promise<{ sdk: Rivulet; proxy: TroubleProxy }> {
  const proxy = await TroubleProxy.start(broker.port);
  proxies.push(proxy);
  return { sdk: new Rivulet({ url: proxy.url }), proxy };
}

/** Moves the wall clock of this process from now on. */
function moveClock(ms: number): void {
  const before = Date.now;
  Date.now = () => before() + ms;
}

async function restartBroker(): Promise<void> {
  const { port, dataDir } = broker;
  broker = await BrokerProcess.start({ port, dataDir });
}

const APPEND = /^POST .*\/batches/;
const PARTITION_SOCKET = /^GET .*\/partitions\/\d+\/socket/;
const GROUP_SOCKET = /^GET .*\/groups\/.*\/socket/;
const ANYTHING = /./;

const HTML: Answer = { status: 200, type: "text/html", body: "<h1>Welcome to the hotel</h1>" };
const EXPIRED: Answer = { status: 401, type: "text/plain", body: "the token has expired" };
const FORBIDDEN: Answer = {
  status: 403,
  type: "application/problem+json",
  body: JSON.stringify({ title: "Forbidden", status: 403, code: "ACCESS_DENIED", detail: "no" }),
};
const BUSY: Answer = problem(429, "THROTTLING_QUOTA_EXCEEDED", "come back later");
const FULL: Answer = problem(503, "KAFKA_STORAGE_ERROR", "nothing was stored");
const GATEWAY: Answer = { status: 503, type: "text/html", body: "<h1>Service unavailable</h1>" };

function problem(status: number, code: string, detail: string): Answer {
  const body = JSON.stringify({ type: "about:blank", title: code, status, code, detail });
  return { status, type: "application/problem+json", body };
}

/** The first `times` requests that match meet `fate`. */
function atFirst(times: number, match: RegExp, fate: Fate): (line: string) => Fate {
  let left = times;
  return (line) => (match.test(line) && left-- > 0 ? fate : "pass");
}

/** Its outcome, which it must have. */
async function settled<T>(promise: Promise<T>, guardMs = 15_000): Promise<PromiseSettledResult<T>> {
  let result: PromiseSettledResult<T> | undefined;
  void Promise.allSettled([promise]).then(([each]) => {
    result = each;
  });
  return until("it settles", () => result, guardMs);
}

async function errorOf(promise: Promise<unknown>, guardMs?: number): Promise<Error> {
  const result = await settled(promise, guardMs);
  if (result.status === "rejected") return result.reason as Error;
  throw new Error(`it was to fail, and gave ${JSON.stringify(result.value)}`);
}

// The content of the log.

/** The values of a partition, each at its offset. */
async function stored(topic: string, partition = 0): Promise<string[]> {
  const values: string[] = [];
  for (;;) {
    const path = `/v1/topics/${topic}/partitions/${partition}/records?offset=${values.length}`;
    const response = await fetch(`${broker.url}${path}&maxRecords=10000`);
    const { records } = (await response.json()) as { records: { value: string }[] };
    if (records.length === 0) return values;
    values.push(...records.map(({ value }) => value));
  }
}

async function topicWith(name: string, count: number, partitions = 1): Promise<string> {
  await direct.admin.createTopic({ name, partitions });
  await produce(name, 0, count, partitions);
  return name;
}

/** The values `from` to `to`, all of them in each partition: a value is its offset. */
async function produce(topic: string, from: number, to: number, partitions = 1): Promise<void> {
  const records = Array.from({ length: partitions }, (_, partition) =>
    upTo(from, to).map((value) => ({ value: String(value), partition })),
  ).flat();
  await direct.producer.send(topic, records);
}

function upTo(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

function placeOf(outcomes: readonly RecordOutcome[]): [number, number] {
  const [outcome] = outcomes;
  if (outcome === undefined || "error" in outcome) throw new Error(JSON.stringify(outcome));
  return [outcome.partition, outcome.offset];
}

/** The sends of one producer to partition 0 of a topic, a call for each value, and its results. */
class Sending {
  readonly topic: string;
  readonly producer: Producer;
  /** The acknowledged offset, or why there is none. */
  readonly #told: Promise<number | Error>[] = [];
  readonly #options: SendOptions;

  private constructor(topic: string, producer: Producer, options: SendOptions) {
    this.topic = topic;
    this.producer = producer;
    this.#options = options;
  }

  static async to(
    topic: string,
    sdk: Rivulet,
    options: SendOptions & ProducerOptions = {},
  ): Promise<Sending> {
    await direct.admin.createTopic({ name: topic });
    return new Sending(topic, sdk.newProducer(options), options);
  }

  get count(): number {
    return this.#told.length;
  }

  /** Sends the next values, without waiting for any. Returns the result of the last. */
  send(count = 1, options: SendOptions = {}): Promise<number | Error> {
    for (let i = 0; i < count; i++) {
      const record = { value: String(this.count), partition: 0 };
      const sent = this.producer.send(this.topic, [record], { ...this.#options, ...options });
      this.#told.push(
        sent.then(
          (outcomes) => placeOf(outcomes)[1],
          (error: Error) => error,
        ),
      );
    }
    return this.#told.at(-1) as Promise<number | Error>;
  }

  /** Sends until an outcome comes from the other side. On a busy machine the time may be over before. */
  async answered(): Promise<number | Error> {
    return until("it is answered", async () => {
      const outcome = await this.send();
      return outcome instanceof Error && outcome.message.startsWith("no answer") ? null : outcome;
    });
  }

  /** Sends until the producer appends over a socket. */
  async onSocket(proxy: TroubleProxy): Promise<Link> {
    return until("it appends over a socket", async () => {
      await this.send();
      return proxy.links(PARTITION_SOCKET).find(({ isUsed }) => isUsed);
    });
  }

  /**
   * [TRB-1] Everything acknowledged is at its offset, in the order of the calls, and nothing is there twice. Returns why the
   * others were not acknowledged.
   */
  async check(): Promise<Error[]> {
    const result = await settled(Promise.all(this.#told), 40_000);
    if (result.status === "rejected") throw result.reason;
    const log = await stored(this.topic);
    expect(new Set(log).size, "nothing twice").toBe(log.length);
    let last = -1;
    for (const [call, offset] of result.value.entries()) {
      if (offset instanceof Error) continue;
      expect(log[offset], `offset ${offset}`).toBe(String(call));
      expect(offset, `the order of call ${call}`).toBeGreaterThan(last);
      last = offset;
    }
    return result.value.filter((each) => each instanceof Error);
  }
}

// The records that a group reads.

interface Handled extends TopicPartition {
  readonly member: string;
  readonly offset: number;
  readonly value: string;
}

interface Member {
  readonly consumer: Consumer;
  readonly running: Promise<void>;
  /** The errors passed to `onError`. */
  readonly errors: BrokerError[];
  /** The events of its partitions, as in `assigned t/0`. */
  readonly told: string[];
}

const utf8 = new TextDecoder();

/** The members of a group, and the invariants of what they handle. */
class Crew {
  readonly groupId: string;
  readonly handled: Handled[] = [];
  /** The violations. */
  readonly faults: string[] = [];
  readonly #topics: readonly string[];
  readonly #owners = new Map<string, string>();
  readonly #next = new Map<string, number>();
  readonly #committed = new Map<string, number>();

  constructor(...topics: string[]) {
    this.groupId = `${topics[0]}-readers`;
    this.#topics = topics;
  }

  join(
    name: string,
    sdk: Rivulet,
    options: Partial<ConsumerOptions> & { signal?: AbortSignal } = {},
    handle: (record: ConsumerRecord, place: TopicPartition) => unknown = () => {},
  ): Member {
    const errors: BrokerError[] = [];
    const told: string[] = [];
    const tell = (what: string, places: readonly TopicPartition[]) =>
      void told.push(...places.map((place) => `${what} ${keyOf(place)}`));
    const consumer: Consumer = sdk.consumer({
      groupId: this.groupId,
      topics: this.#topics,
      commitIntervalMs: 20,
      onError: (error) => errors.push(error),
      ...options,
      onAssigned: (places) => {
        tell("assigned", places);
        for (const place of places) this.#owners.set(keyOf(place), name);
        return options.onAssigned?.(places);
      },
      onRevoked: (places) => tell("revoked", places),
      onLost: (places) => tell("lost", places),
    });
    consumers.push(consumer);
    const running = consumer.run({
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      eachRecord: (record, place) => {
        const { offset } = record;
        this.#check(name, place, offset);
        const value = utf8.decode(record.value ?? undefined);
        this.handled.push({ member: name, ...place, offset, value });
        return handle(record, place);
      },
    });
    running.catch(() => {}); // The caller can await `running`.
    return { consumer, running, errors, told };
  }

  /** [TRB-2] */
  #check(member: string, place: TopicPartition, offset: number): void {
    const key = keyOf(place);
    const at = `${member} at ${key} offset ${offset}`;
    const owner = this.#owners.get(key);
    if (owner !== member) this.faults.push(`${at}: it was assigned to ${owner} last`);
    const next = this.#next.get(key) ?? 0;
    if (offset > next) this.faults.push(`${at}: skipped ${next}`);
    this.#next.set(key, Math.max(next, offset + 1));
    const committed = this.#committed.get(key) ?? 0;
    if (offset < committed) this.faults.push(`${at}: again, though ${committed} was committed`);
  }

  /** Records committed by now must not come again. */
  async noteCommitted(): Promise<void> {
    for (const { topic, partition, committedOffset } of await this.offsets())
      this.#committed.set(keyOf({ topic, partition }), committedOffset ?? 0);
  }

  /** Empty while nobody has joined. */
  async offsets(): Promise<GroupInfo["offsets"]> {
    const groups = await direct.admin.listGroups();
    if (!groups.some(({ groupId }) => groupId === this.groupId)) return [];
    return (await direct.admin.describeGroup(this.groupId)).offsets;
  }

  /** The log begins here by now: earlier records are not missed. */
  beginsAt(place: TopicPartition, offset: number): void {
    this.#next.set(keyOf(place), offset);
  }

  /** Everything was handled and committed, up to the ends of the logs, and all was well. */
  async finish(): Promise<void> {
    await until("everything is committed", async () => {
      const offsets = await this.offsets();
      return offsets.length > 0 && offsets.every(({ lag }) => lag === 0);
    });
    for (const { topic, partition, logEndOffset } of await this.offsets())
      expect(this.#next.get(keyOf({ topic, partition })) ?? 0).toBe(logEndOffset);
    expect(this.faults).toEqual([]);
  }

  values(): number[] {
    return this.handled.map(({ value }) => Number(value));
  }
}

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}

const PRODUCER: readonly Case[] = [
  {
    when: "the socket breaks and the answers to what is in flight are lost",
    promise: "all of it is stored once, in order",
    run: async () => {
      const { sdk, proxy } = await trouble();
      const sending = await Sending.to("answers-lost", sdk);
      const link = await sending.onSocket(proxy);
      const before = sending.count;
      link.lose("answers");
      sending.send(200);
      await until("some are stored", async () => (await stored(sending.topic)).length > before);
      await until("their answers are lost", () => link.withheld > 0);
      link.cut();
      expect(await sending.check()).toEqual([]);
    },
  },
  {
    when: "the socket breaks and what is in flight is lost",
    promise: "all of it is stored once, in order",
    run: async () => {
      const { sdk, proxy } = await trouble();
      const sending = await Sending.to("frames-lost", sdk);
      const link = await sending.onSocket(proxy);
      link.lose("requests");
      sending.send(200);
      await until("some are lost", () => link.withheld > 0);
      link.cut();
      expect(await sending.check()).toEqual([]);
    },
  },
  {
    when: "the socket breaks again and again under load, and HTTP loses requests and answers",
    promise: "all of it is stored once, in order",
    run: async () => {
      const { sdk, proxy } = await trouble();
      const sending = await Sending.to("cut-often", sdk);
      for (let cut = 0; cut < 3; cut++) {
        proxy.fateOf = () => "pass";
        // Unless it was cut it is open: after a break HTTP is used for a while.
        if (cut === 0) await sending.onSocket(proxy);
        sending.send(100);
        proxy.fateOf = atFirst(2, APPEND, cut % 2 === 0 ? "lose answer" : "lose request");
        proxy.cut();
        await sending.send();
      }
      expect(await sending.check()).toEqual([]);
    },
  },
  {
    when: "the socket stands still for a while",
    promise: "what was in flight is stored once, in order",
    run: async () => {
      const { sdk, proxy } = await trouble();
      const sending = await Sending.to("stalled", sdk);
      const link = await sending.onSocket(proxy);
      link.stall();
      sending.send(100);
      await until("something is under way", () => link.withheld > 0);
      link.flow();
      expect(await sending.check()).toEqual([]);
    },
  },
  {
    when: "the socket stands still until the time of the sends is up, and what it held arrives late",
    promise:
      "they are told that nobody knows, what is sent then is stored, nothing is stored twice",
    run: async () => {
      const { sdk, proxy } = await trouble();
      const sending = await Sending.to("too-late", sdk, { deliveryTimeoutMs: 1_000 });
      const link = await sending.onSocket(proxy);
      const before = sending.count;
      proxy.fateOf = () => BLACK_HOLE;
      link.stall();
      const last = await sending.send(20);
      expect(last).toBeInstanceOf(ConnectionError);
      proxy.fateOf = () => "pass";
      const next = sending.send();
      link.flow();
      expect(await next).toBeTypeOf("number");
      await sending.send(10);
      expect(await sending.check()).toHaveLength(20);
      expect(sending.count).toBe(before + 31);
    },
  },
  ...[
    { name: "429 THROTTLING_QUOTA_EXCEEDED", topic: "busy", answer: BUSY },
    { name: "503 KAFKA_STORAGE_ERROR", topic: "full", answer: FULL },
    { name: "a gateway's 503", topic: "gateway", answer: GATEWAY },
  ].map(({ name, topic, answer }) => ({
    when: `appends are answered with ${name} for a while`,
    promise: "all of it is stored once, in order",
    run: async () => {
      const { sdk, proxy } = await trouble();
      const sending = await Sending.to(`${topic}-appends`, sdk);
      await sending.send();
      proxy.fateOf = atFirst(3, APPEND, answer);
      sending.send(20);
      expect(await sending.check()).toEqual([]);
    },
  })),
  {
    when: "the socket cannot be opened, for nothing answers",
    promise: "a busy producer goes on over HTTP",
    run: async () => {
      const { sdk, proxy } = await trouble();
      const sending = await Sending.to("no-socket", sdk);
      proxy.fateOf = (line) => (PARTITION_SOCKET.test(line) ? BLACK_HOLE : "pass");
      await until("it has tried", async () => {
        await sending.send();
        return proxy.lines.some((line) => PARTITION_SOCKET.test(line));
      });
      sending.send(50);
      expect(await sending.check()).toEqual([]);
    },
  },
  {
    when: "a send that may take long shares an append with one whose time is up",
    promise: "it is tried again for as long as it may take, and stored",
    run: async () => {
      const { sdk, proxy } = await trouble();
      const sending = await Sending.to("shared-deadline", sdk);
      await sending.send();
      const gate = Promise.withResolvers<Fate>();
      proxy.fateOf = (line) => (APPEND.test(line) ? gate.promise : "pass");
      const sent = proxy.lines.length;
      sending.send();
      await until("one is under way", () => proxy.lines.length > sent);
      // Both wait for it, and share the next append.
      const hasty = sending.send(1, { deliveryTimeoutMs: 300 });
      const patient = sending.send();
      proxy.fateOf = () => "lose request";
      gate.resolve("pass");
      expect(await hasty).toBeInstanceOf(ConnectionError);
      proxy.fateOf = () => "pass";
      expect(await patient).toBeTypeOf("number");
      expect(await sending.check()).toHaveLength(1);
    },
  },
  {
    when: "the broker is overloaded when a new producer asks for its topic and its id",
    promise: "it asks again, and the records are stored",
    run: async () => {
      const { sdk, proxy } = await trouble();
      const sending = await Sending.to("busy-from-the-first", sdk);
      const asks = [atFirst(2, /^GET .*\/topics/, BUSY), atFirst(2, /^POST .*\/producers/, BUSY)];
      proxy.fateOf = (line) =>
        asks.map((fateOf) => fateOf(line)).find((fate) => fate !== "pass") ?? "pass";
      sending.send(3);
      expect(await sending.check()).toEqual([]);
    },
  },
  {
    when: "the clock is put an hour forward with sends in flight",
    promise: "whatever is acknowledged is stored once, and what is sent then is stored",
    run: async () => {
      const { sdk, proxy } = await trouble();
      const sending = await Sending.to("clock-forward", sdk);
      await sending.send();
      const gate = Promise.withResolvers<Fate>();
      proxy.fateOf = (line) => (APPEND.test(line) ? gate.promise : "pass");
      const sent = proxy.lines.length;
      sending.send(20);
      await until("one is under way", () => proxy.lines.length > sent);
      moveClock(3_600_000);
      gate.resolve("pass");
      await sending.send();
      expect(await sending.send(5)).toBeTypeOf("number");
      await sending.check();
    },
  },
  {
    when: "its topic is deleted and created again under its socket",
    promise: "it goes on in the new topic; what is acknowledged from then on is stored there once",
    run: async () => {
      const { sdk, proxy } = await trouble();
      const sending = await Sending.to("renewed", sdk);
      await sending.onSocket(proxy);
      await direct.admin.deleteTopic("renewed");
      await until("it is told", async () => (await sending.send()) instanceof Error);
      await direct.admin.createTopic({ name: "renewed" });
      const next = new Map<number, string>();
      const isStored = async (value: string) => {
        const sent = await settled(sending.producer.send("renewed", [{ value }]));
        if (sent.status === "fulfilled") next.set(placeOf(sent.value)[1], value);
        return sent.status === "fulfilled";
      };
      let count = 0;
      await until("it is acknowledged", () => isStored(`new ${count++}`));
      for (let i = 0; i < 20; i++) expect(await isStored(`more ${i}`)).toBe(true);
      const log = await stored("renewed");
      expect(new Set(log).size).toBe(log.length);
      for (const [offset, value] of next) expect(log[offset]).toBe(value);
    },
  },
  {
    when: "its topic is created again with fewer partitions",
    promise: "keyed records go to the partitions that there are",
    run: async () => {
      const { sdk } = await trouble();
      await direct.admin.createTopic({ name: "shrunk", partitions: 8 });
      const producer = sdk.newProducer();
      const records = upTo(0, 20).map((i) => ({ key: `k${i}`, value: String(i) }));
      await producer.send("shrunk", records);
      await direct.admin.deleteTopic("shrunk");
      await direct.admin.createTopic({ name: "shrunk", partitions: 1 });
      await until(
        "all are acknowledged",
        async () => {
          const sent = await settled(producer.send("shrunk", records));
          return sent.status === "fulfilled" && sent.value.every((each) => !("error" in each));
        },
        5_000,
      );
    },
  },
  {
    when: "its topic gets more partitions",
    promise: "a record that names a new one is stored there",
    run: async () => {
      const { sdk } = await trouble();
      const sending = await Sending.to("grown", sdk);
      await sending.send();
      const record = { value: "x", partition: 2 };
      const refused = await errorOf(sending.producer.send("grown", [record]));
      expect(refused).toMatchObject({ code: "UNKNOWN_TOPIC_OR_PARTITION" });
      await direct.admin.alterTopic("grown", { partitions: 3 });
      expect(placeOf(await sending.producer.send("grown", [record]))).toEqual([2, 0]);
    },
  },
  {
    when: "two producers race for each offset over a network that loses answers",
    promise: "exactly one wins, and the other is told where the log has got to",
    run: async () => {
      await direct.admin.createTopic({ name: "raced" });
      const racers = await Promise.all(
        ["a", "b"].map(async (name, i) => {
          const { sdk, proxy } = await trouble();
          let appends = i;
          proxy.fateOf = (line) =>
            APPEND.test(line) && appends++ % 3 === 0 ? "lose answer" : "pass";
          return { name, producer: sdk.newProducer() };
        }),
      );
      const winners: string[] = [];
      for (let offset = 0; offset < 10; offset++) {
        const results = await Promise.allSettled(
          racers.map(({ name, producer }) =>
            producer.send("raced", [{ value: `${name}${offset}` }], { expectedOffset: offset }),
          ),
        );
        const won = results.flatMap((result, i) =>
          result.status === "fulfilled" ? [`${racers[i]?.name}${offset}`] : [],
        );
        expect(won).toHaveLength(1);
        winners.push(...won);
        expect(results).toContainEqual({
          status: "rejected",
          reason: expect.objectContaining({
            code: "INVALID_UPDATE_VERSION",
            data: { nextOffset: offset + 1 },
          }),
        });
      }
      expect(await stored("raced")).toEqual(winners);
    },
  },
  {
    when: "a record is too large among good ones",
    promise: "it fails alone, with MESSAGE_TOO_LARGE, and the others are stored once, in order",
    run: async () => {
      const { sdk } = await trouble();
      const config = { "max.message.bytes": 1_000 };
      await direct.admin.createTopic({ name: "one-large", config });
      const producer = sdk.newProducer();
      const values = upTo(0, 20).map((i) => (i === 7 ? "x".repeat(5_000) : String(i)));
      const results = await Promise.allSettled(
        values.map((value) => producer.send("one-large", [{ value }])),
      );
      const failed = results.flatMap(({ status }, i) => (status === "rejected" ? [i] : []));
      expect(failed).toEqual([7]);
      expect(results[7]).toMatchObject({ reason: { code: "MESSAGE_TOO_LARGE" } });
      expect(await stored("one-large")).toEqual(values.filter((_, i) => i !== 7));
    },
  },
];

test.each(titled(PRODUCER))("[TRB-1] %s", (_, run) => run());

const CONSUMER: readonly Case[] = [
  {
    when: "all connections of two members are cut again and again, with commits in flight",
    promise: "nothing is skipped, and what repeats was not committed",
    run: async () => {
      const { sdk, proxy } = await trouble();
      const topic = await topicWith("cut", 0, 4);
      const crew = new Crew(topic);
      const members = ["a", "b"].map((name) => crew.join(name, sdk));
      for (let wave = 0; wave < 5; wave++) {
        const before = crew.handled.length;
        await produce(topic, wave * 50, (wave + 1) * 50, 4);
        await until("some are handled", () => crew.handled.length > before + 20);
        await crew.noteCommitted();
        proxy.cut();
      }
      await crew.finish();
      // Their sessions continued: nobody lost anything.
      expect(members.flatMap(({ told }) => told).filter((each) => /^lost/.test(each))).toEqual([]);
    },
  },
  {
    when: "the answer to a commit is lost with its connection",
    promise: "the commit counts, and nothing comes again",
    run: async () => {
      const { sdk, proxy } = await trouble();
      const topic = await topicWith("commit-lost", 5);
      const crew = new Crew(topic);
      crew.join("a", sdk);
      await crew.finish();
      const [link] = proxy.links(GROUP_SOCKET);
      link?.lose("answers");
      await produce(topic, 5, 10);
      await crew.finish();
      proxy.cut();
      await produce(topic, 10, 15);
      await crew.finish();
      expect(crew.values()).toEqual(upTo(0, 15));
    },
  },
  {
    when: "its heartbeats are not answered",
    promise: "it connects anew within its session, keeps its partitions, and nothing comes again",
    run: async () => {
      const { sdk, proxy } = await trouble();
      const topic = await topicWith("silent", 5);
      const crew = new Crew(topic);
      // A connection that is silent for three beats counts as dead, after 3 s at the earliest.
      const config = { "consumer.heartbeat.interval.ms": 500 };
      await direct.admin.alterGroup(crew.groupId, { config });
      const member = crew.join("a", sdk, { sessionTimeoutMs: 9_000 });
      await crew.finish();
      for (const link of proxy.links(GROUP_SOCKET)) link.stall();
      await produce(topic, 5, 10);
      await crew.finish();
      expect(member.errors).toMatchObject([{ code: "NETWORK_EXCEPTION" }]);
      expect(member.told).toEqual([`assigned ${topic}/0`]);
      expect(crew.values()).toEqual(upTo(0, 10));
    },
  },
  {
    when: "a member is cut off in silence for its session, with a handler at work, and comes back",
    promise: "another goes on from the last commit, and nothing comes to both",
    run: async () => {
      const [away, { sdk }] = await Promise.all([trouble(), trouble()]);
      const topic = await topicWith("cut-off", 6);
      const crew = new Crew(topic);
      const [begun, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const session = { sessionTimeoutMs: 1_000 };
      const a = crew.join("a", away.sdk, session, ({ offset }) => {
        if (offset !== 4) return;
        begun.resolve();
        return gate.promise;
      });
      await begun.promise;
      const b = crew.join("b", sdk, session);
      await until("what is done is committed", async () =>
        (await crew.offsets()).some(({ committedOffset }) => committedOffset === 4),
      );
      await crew.noteCommitted();
      away.proxy.fateOf = () => BLACK_HOLE;
      for (const link of away.proxy.links(ANYTHING)) link.stall();
      await until("the other has it", () => b.told.includes(`assigned ${topic}/0`));
      await until("it knows", () => a.told.includes(`lost ${topic}/0`));
      gate.resolve();
      away.proxy.fateOf = () => "pass";
      for (const link of away.proxy.links(ANYTHING)) link.flow();
      await crew.finish();
      expect(crew.handled.filter(({ member }) => member === "a")).toHaveLength(5);
      expect(crew.handled.filter(({ member }) => member === "b")).toMatchObject(
        [4, 5].map((offset) => ({ offset })),
      );
    },
  },
  {
    when: "a handler takes longer than the session, and the connection is cut meanwhile",
    promise: "it keeps its partition, and nothing comes again",
    run: async () => {
      const { sdk, proxy } = await trouble();
      const topic = await topicWith("slow-handler", 4);
      const crew = new Crew(topic);
      const slow = { sessionTimeoutMs: 1_000 };
      let other: Member | undefined;
      const a = crew.join("a", sdk, slow, async ({ offset }) => {
        if (offset !== 1) return;
        other = crew.join("b", direct, slow);
        proxy.cut();
        await new Promise((resolve) => setTimeout(resolve, 1_500)); // The work it does.
      });
      await crew.finish();
      expect(crew.values()).toEqual(upTo(0, 4));
      // The other has it only now, if at all: there is nothing left to hand over.
      expect(crew.handled.map(({ member }) => member)).toEqual(["a", "a", "a", "a"]);
      expect(a.told.concat(other?.told ?? [])).not.toContain(`lost ${topic}/0`);
    },
  },
  {
    when: "a handler blocks the whole process for longer than the session",
    promise: "its partition is lost, its record comes again, and nothing is skipped",
    run: async () => {
      const { sdk } = await trouble();
      const topic = await topicWith("blocked", 4);
      const crew = new Crew(topic);
      let blocks = 1;
      const a = crew.join("a", sdk, { sessionTimeoutMs: 1_000 }, ({ offset }) => {
        const nothing = new Int32Array(new SharedArrayBuffer(4));
        if (offset === 1 && blocks-- > 0) Atomics.wait(nothing, 0, 0, 1_500);
      });
      await crew.finish();
      expect(a.told).toEqual(["assigned", "lost", "assigned"].map((what) => `${what} ${topic}/0`));
      expect(crew.values().filter((value) => value === 1)).toHaveLength(2);
    },
  },
  {
    when: "the broker is overloaded and refuses every connection for a while",
    promise: "it is told once, and goes on behind its last commit",
    run: async () => {
      const { sdk, proxy } = await trouble();
      const topic = await topicWith("refused", 5);
      const crew = new Crew(topic);
      const member = crew.join("a", sdk);
      await crew.finish();
      await crew.noteCommitted();
      proxy.fateOf = () => BUSY;
      const before = proxy.lines.length;
      proxy.cut();
      await produce(topic, 5, 10);
      await until("it has tried", () => proxy.lines.length > before + 4);
      proxy.fateOf = () => "pass";
      await crew.finish();
      expect(member.errors).toMatchObject([{ code: "NETWORK_EXCEPTION" }]);
      expect(crew.values()).toEqual(upTo(0, 10));
    },
  },
  {
    when: "the clock jumps hours forward and back",
    promise: "nothing is skipped, what repeats was not committed, and it goes on",
    run: async () => {
      const { sdk } = await trouble();
      const topic = await topicWith("clock", 10);
      const crew = new Crew(topic);
      crew.join("a", sdk);
      await crew.finish();
      let end = 10;
      for (const hours of [2, -5, 3]) {
        await crew.noteCommitted();
        moveClock(hours * 3_600_000);
        await produce(topic, end, end + 10);
        end += 10;
        await crew.finish();
      }
    },
  },
  {
    when: "one of its topics is deleted",
    promise: "it is told once, and goes on with the others",
    run: async () => {
      const { sdk } = await trouble();
      const topics = [await topicWith("goes", 5), await topicWith("stays", 5)];
      const crew = new Crew(...topics);
      const member = crew.join("a", sdk);
      await crew.finish();
      await direct.admin.deleteTopic("goes");
      await until("it has let go", () => member.consumer.assignment.length === 1);
      await produce("stays", 5, 10);
      await crew.finish();
      await until("it is told", () => member.errors.length > 0);
      expect(member.errors.map(({ code, message }) => `${code}: ${message}`)).toEqual([
        expect.stringMatching(/^UNKNOWN_TOPIC_OR_PARTITION: .*goes/),
      ]);
    },
  },
  {
    when: "its topic is deleted and created again",
    promise: "it reads the new one from its beginning, once",
    run: async () => {
      const { sdk } = await trouble();
      const topic = await topicWith("again", 10);
      const crew = new Crew(topic);
      const member = crew.join("a", sdk);
      await crew.finish();
      await direct.admin.deleteTopic(topic);
      await topicWith(topic, 0);
      crew.beginsAt({ topic, partition: 0 }, 0);
      await direct.newProducer().send(topic, [{ value: "100" }, { value: "101" }]);
      await until("both are handled", () => crew.values().includes(101));
      await crew.finish();
      expect(crew.values()).toEqual([...upTo(0, 10), 100, 101]);
      expect(member.consumer.assignment).toEqual([{ topic, partition: 0 }]);
    },
  },
  {
    when: "its topic gets more partitions",
    promise: "all of them are read, each by one member",
    run: async () => {
      const { sdk } = await trouble();
      const topic = await topicWith("more", 5);
      const crew = new Crew(topic);
      const members = ["a", "b"].map((name) => crew.join(name, sdk));
      await crew.finish();
      await direct.admin.alterTopic(topic, { partitions: 4 });
      await direct.newProducer().send(
        topic,
        [1, 2, 3].map((partition) => ({ value: "0", partition })),
      );
      await until("all are handled", () => crew.handled.length === 8);
      await crew.finish();
      await until("each has its share", () =>
        members.every(({ consumer }) => consumer.assignment.length === 2),
      );
    },
  },
  {
    when: "records beyond its position are deleted while it is away",
    promise: "it is told once, and goes on where the log begins",
    run: async () => {
      const { sdk } = await trouble();
      const topic = await topicWith("trimmed", 3);
      const crew = new Crew(topic);
      const a = crew.join("a", sdk);
      await crew.finish();
      await a.consumer.close();
      await produce(topic, 3, 10);
      await direct.admin.deleteRecords(topic, 0, 7);
      crew.beginsAt({ topic, partition: 0 }, 7);
      const b = crew.join("b", sdk);
      await crew.finish();
      expect(b.errors).toMatchObject([{ code: "OFFSET_OUT_OF_RANGE" }]);
      expect(crew.values()).toEqual([0, 1, 2, 7, 8, 9]);
    },
  },
  {
    when: "records beyond its position are deleted while it reads",
    promise: "it goes on, and nothing that the log still has is skipped",
    run: async () => {
      const { sdk } = await trouble();
      const topic = await topicWith("trimmed-live", 0);
      // A batch each: its window lets few of these through.
      for (let i = 0; i < 10; i++) await produce(topic, i, i + 1);
      const crew = new Crew(topic);
      const [begun, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const member = crew.join("a", sdk, { windowBytes: 1 }, () => {
        begun.resolve();
        return gate.promise;
      });
      await begun.promise;
      await direct.admin.deleteRecords(topic, 0, 8);
      gate.resolve();
      await until("the last is handled", () => crew.values().includes(9));
      expect(crew.values().slice(-2)).toEqual([8, 9]);
      expect(new Set(crew.values()).size).toBe(crew.values().length);
      expect(member.errors.map(({ code }) => code)).toEqual(["OFFSET_OUT_OF_RANGE"]);
    },
  },
  {
    when: "it seeks beyond the end of the log",
    promise: "it is told once, and goes on where it was",
    run: async () => {
      const { sdk } = await trouble();
      const topic = await topicWith("beyond", 6);
      const crew = new Crew(topic);
      let seeks = 1;
      const member = crew.join("a", sdk, {}, ({ offset }, place) => {
        if (offset === 2 && seeks-- > 0) member.consumer.seek(place, 1_000);
      });
      await crew.finish();
      expect(member.errors).toMatchObject([{ code: "OFFSET_OUT_OF_RANGE" }]);
      expect(crew.values()).toEqual([0, 1, 2, 3, 4, 5]);
    },
  },
  {
    when: "a static member is restarted within its session",
    promise: "it has its partitions back, the others are told nothing, and nothing comes again",
    run: async () => {
      const { sdk } = await trouble();
      const topic = await topicWith("static", 5, 2);
      const crew = new Crew(topic);
      const one = crew.join("a", sdk, { instanceId: "one" });
      const other = crew.join("b", sdk, { instanceId: "two" });
      await until("each has one", () =>
        [one, other].every(({ consumer }) => consumer.assignment.length === 1),
      );
      await crew.finish();
      const { assignment } = one.consumer;
      const before = [...other.told];
      await one.consumer.close();
      await produce(topic, 5, 10, 2);
      const back = crew.join("a", sdk, { instanceId: "one" });
      await crew.finish();
      expect(back.consumer.assignment).toEqual(assignment);
      expect(other.told).toEqual(before);
      expect(crew.handled.slice(10)).toHaveLength(10);
    },
  },
  {
    when: "a handler throws",
    promise: "run rejects with it, and the record comes to another member again",
    run: async () => {
      const { sdk } = await trouble();
      const topic = await topicWith("thrower", 5);
      const crew = new Crew(topic);
      const failing = crew.join("a", sdk, {}, ({ offset }) => {
        if (offset === 3) throw new Error("cannot");
      });
      expect(await errorOf(failing.running)).toMatchObject({ message: "cannot" });
      await crew.noteCommitted();
      crew.join("b", sdk);
      await crew.finish();
      expect(crew.values()).toEqual([0, 1, 2, 3, 3, 4]);
    },
  },
  {
    when: "eachBatch throws",
    promise: "run rejects with it, and the whole batch comes again",
    run: async () => {
      const { sdk } = await trouble();
      const topic = await topicWith("batch-thrower", 0);
      const crew = new Crew(topic);
      const seen: number[][] = [];
      const consumer = sdk.consumer({ groupId: crew.groupId, topics: [topic] });
      consumers.push(consumer);
      const running = consumer.run({
        eachBatch: ({ records }) => {
          seen.push(records.map(({ offset }) => offset));
          if (seen.length === 2) throw new Error("cannot");
        },
      });
      const failed = errorOf(running);
      await produce(topic, 0, 3);
      await until("the first batch is done", () => seen.length === 1);
      await produce(topic, 3, 6);
      expect(await failed).toMatchObject({ message: "cannot" });
      expect(seen).toEqual([upTo(0, 3), upTo(3, 6)]);
      crew.beginsAt({ topic, partition: 0 }, 3);
      crew.join("b", sdk);
      await crew.finish();
      expect(crew.values()).toEqual(upTo(3, 6));
    },
  },
  {
    when: "onAssigned throws",
    promise: "run rejects with it, it has handled nothing, and another member handles everything",
    run: async () => {
      const { sdk } = await trouble();
      const topic = await topicWith("assign-thrower", 5);
      const crew = new Crew(topic);
      const onAssigned = () => {
        throw new Error("not these");
      };
      const failing = crew.join("a", sdk, { onAssigned });
      expect(await errorOf(failing.running)).toMatchObject({ message: "not these" });
      crew.join("b", sdk);
      await crew.finish();
      expect(crew.handled.map(({ member }) => member)).toEqual(new Array(5).fill("b"));
    },
  },
];

test.each(titled(CONSUMER))("[TRB-2] %s", (_, run) => run());

/** The time to store something, on any slow machine. */
const PATIENT = { deliveryTimeoutMs: 30_000 };

const TOLD: readonly Case[] = [
  {
    when: "nothing answers",
    promise: "a send is told so when its time is up, and what is sent later is stored",
    run: async () => {
      const { sdk, proxy } = await trouble();
      const sending = await Sending.to("black-hole", sdk, { deliveryTimeoutMs: 300 });
      await sending.send(1, PATIENT);
      proxy.fateOf = () => BLACK_HOLE;
      const told = await sending.send();
      expect(told).toBeInstanceOf(ConnectionError);
      expect(told).toMatchObject({ message: expect.stringMatching(/no answer/) });
      proxy.fateOf = () => "pass";
      expect(await sending.send(1, PATIENT)).toBeTypeOf("number");
      expect(await sending.check()).toHaveLength(1);
    },
  },
  {
    when: "nothing answers from the first request on",
    promise: "a new producer's send is told so when its time is up",
    run: async () => {
      const { sdk, proxy } = await trouble();
      proxy.fateOf = () => BLACK_HOLE;
      const sent = sdk.newProducer().send("nowhere", [{ value: 1 }], { deliveryTimeoutMs: 300 });
      expect(await errorOf(sent, 5_000)).toBeInstanceOf(ConnectionError);
    },
  },
  {
    when: "nothing answers a send with an idempotency key",
    promise: "it is told so when its time is up",
    run: async () => {
      const { sdk, proxy } = await trouble();
      proxy.fateOf = () => BLACK_HOLE;
      const options = { deliveryTimeoutMs: 300, idempotencyKey: "k" };
      const sent = sdk.newProducer().send("nowhere", [{ value: 1 }], options);
      expect(await errorOf(sent, 5_000)).toBeInstanceOf(ConnectionError);
    },
  },
  {
    when: "the clock is put an hour back while nothing answers",
    promise: "a send is told so when its time is up",
    run: async () => {
      const { sdk, proxy } = await trouble();
      const sending = await Sending.to("clock-back", sdk, { deliveryTimeoutMs: 500 });
      await sending.send(1, PATIENT);
      proxy.fateOf = () => "lose request";
      const sent = proxy.lines.length;
      const told = sending.send();
      await until("it is under way", () => proxy.lines.length > sent);
      moveClock(-3_600_000);
      expect(await settled(told, 5_000)).toMatchObject({ value: expect.any(ConnectionError) });
    },
  },
  {
    when: "the token has expired and all is answered with 401",
    promise: "admin and producer say so, the consumer is told once, and all go on with a new one",
    run: async () => {
      const { sdk, proxy } = await trouble();
      const sending = await Sending.to("expired", sdk, { deliveryTimeoutMs: 300 });
      const crew = new Crew("expired");
      const member = crew.join("a", sdk);
      await sending.send(5, PATIENT);
      await crew.finish();
      proxy.fateOf = () => EXPIRED;
      proxy.cut();
      expect(await errorOf(sdk.admin.listTopics())).toMatchObject({
        message: expect.stringContaining("401"),
      });
      expect(await sending.answered()).toMatchObject({ message: expect.stringContaining("401") });
      const before = proxy.lines.length;
      await until("the consumer has tried", () => proxy.lines.length > before + 4);
      expect(member.errors).toMatchObject([{ code: "NETWORK_EXCEPTION" }]);
      proxy.fateOf = () => "pass";
      await sdk.admin.listTopics();
      expect(await sending.send(1, PATIENT)).toBeTypeOf("number");
      expect(await sending.check()).toHaveLength(1);
      await crew.finish();
      expect(member.errors).toHaveLength(1);
    },
  },
  {
    when: "a gateway forbids everything, with a problem of its own",
    promise: "admin and producer say so, and nothing counts as stored",
    run: async () => {
      const { sdk, proxy } = await trouble();
      const sending = await Sending.to("forbidden", sdk, { deliveryTimeoutMs: 300 });
      await sending.send(1, PATIENT);
      proxy.fateOf = () => FORBIDDEN;
      expect(await errorOf(sdk.admin.deleteTopic("forbidden"))).toMatchObject({
        message: expect.stringContaining("403"),
      });
      expect(await sending.answered()).toMatchObject({ message: expect.stringContaining("403") });
      proxy.fateOf = () => "pass";
      expect(await sending.check()).toHaveLength(1);
    },
  },
  {
    when: "a page answers in the broker's place, with 200",
    promise: "an admin call says that it is no broker",
    run: async () => {
      const { sdk, proxy } = await trouble();
      proxy.fateOf = () => HTML;
      expect(await errorOf(sdk.admin.listTopics())).toBeInstanceOf(ConnectionError);
      expect(await errorOf(sdk.admin.describeTopic("any"))).toBeInstanceOf(ConnectionError);
    },
  },
  {
    when: "a page answers a new producer in the broker's place, with 200",
    promise: "its send says that it is no broker",
    run: async () => {
      const { sdk, proxy } = await trouble();
      proxy.fateOf = () => HTML;
      const sent = sdk.newProducer().send("any", [{ value: 1 }], { deliveryTimeoutMs: 300 });
      expect(await errorOf(sent)).toBeInstanceOf(ConnectionError);
    },
  },
  {
    when: "a page answers appends in the broker's place, with 200",
    promise: "that is no acknowledgement: what is acknowledged is stored",
    run: async () => {
      const { sdk, proxy } = await trouble();
      const sending = await Sending.to("page", sdk, { deliveryTimeoutMs: 300 });
      await sending.send(1, PATIENT);
      proxy.fateOf = () => HTML;
      expect(await sending.send()).toBeInstanceOf(ConnectionError);
    },
  },
  {
    when: "its topic is deleted",
    promise: "a send is told UNKNOWN_TOPIC_OR_PARTITION, and stored once there is a topic again",
    run: async () => {
      const { sdk } = await trouble();
      const sending = await Sending.to("deleted", sdk);
      await sending.send(5, PATIENT);
      await direct.admin.deleteTopic("deleted");
      expect(await sending.send()).toMatchObject({ code: "UNKNOWN_TOPIC_OR_PARTITION" });
      await direct.admin.createTopic({ name: "deleted" });
      expect(placeOf(await sending.producer.send("deleted", [{ value: "new" }]))).toEqual([0, 0]);
      expect(await stored("deleted")).toEqual(["new"]);
    },
  },
  {
    when: "the connections to its partitions are refused, while the group's is not",
    promise: "a consumer is told, and reads everything once they are taken",
    run: async () => {
      const { sdk, proxy } = await trouble();
      const topic = await topicWith("half-refused", 5);
      const crew = new Crew(topic);
      proxy.fateOf = (line) => (PARTITION_SOCKET.test(line) ? FORBIDDEN : "pass");
      const member = crew.join("a", sdk);
      await until(
        "it has tried",
        () => proxy.lines.filter((line) => PARTITION_SOCKET.test(line)).length > 3,
      );
      expect(member.errors).toMatchObject([{ code: "NETWORK_EXCEPTION" }]);
      proxy.fateOf = () => "pass";
      await crew.finish();
    },
  },
  {
    when: "the topic of a reader without a group is deleted",
    promise:
      "its run rejects with UNKNOWN_TOPIC_ID: what is created under the name is another topic",
    run: async () => {
      const { sdk } = await trouble();
      const topic = await topicWith("read-and-deleted", 3);
      const begun = Promise.withResolvers<void>();
      const reader = await sdk.reader({ topic, onError: () => {} });
      consumers.push(reader);
      // It may reject before the deletion is answered.
      const error = errorOf(reader.run({ eachRecord: () => begun.resolve() }), 60_000);
      await begun.promise;
      await direct.admin.deleteTopic(topic);
      expect(await error).toMatchObject({ code: "UNKNOWN_TOPIC_ID" });
    },
  },
  {
    when: "another member lives under its instanceId",
    promise: "run rejects with UNRELEASED_INSTANCE_ID, and the other reads on",
    run: async () => {
      const { sdk } = await trouble();
      const topic = await topicWith("held", 5);
      const crew = new Crew(topic);
      crew.join("a", sdk, { instanceId: "one" });
      await crew.finish();
      const second = crew.join("b", sdk, { instanceId: "one" });
      expect(await errorOf(second.running)).toMatchObject({ code: "UNRELEASED_INSTANCE_ID" });
      await produce(topic, 5, 10);
      await crew.finish();
      expect(crew.values()).toEqual(upTo(0, 10));
    },
  },
  {
    when: "onError throws",
    promise: "run rejects with what it threw, as with any callback",
    run: async () => {
      const { sdk } = await trouble();
      const consumer = sdk.consumer({
        groupId: "error-thrower",
        topics: ["not-there"],
        onError: () => {
          throw new Error("enough of it");
        },
      });
      consumers.push(consumer);
      const running = consumer.run({ eachRecord: () => {} });
      expect(await errorOf(running, 5_000)).toMatchObject({ message: "enough of it" });
    },
  },
  {
    when: "a group that reads is reset",
    promise:
      "that is refused with NON_EMPTY_GROUP and changes nothing; once it is empty it is done",
    run: async () => {
      const { sdk } = await trouble();
      const topic = await topicWith("reset", 5);
      const crew = new Crew(topic);
      const { consumer } = crew.join("a", sdk);
      await crew.finish();
      const reset = { to: "earliest" } as const;
      expect(await errorOf(sdk.admin.resetGroup(crew.groupId, reset))).toMatchObject({
        code: "NON_EMPTY_GROUP",
      });
      expect(await crew.offsets()).toMatchObject([{ committedOffset: 5 }]);
      await consumer.close();
      await sdk.admin.resetGroup(crew.groupId, reset);
      crew.join("b", sdk);
      await crew.finish();
      expect(crew.values()).toEqual([...upTo(0, 5), ...upTo(0, 5)]);
    },
  },
  {
    when: "a record is no JSON, under a serde of JSON",
    promise: "run rejects with INVALID_RECORD and its place, the good ones before it are committed",
    run: async () => {
      const { sdk } = await trouble();
      await direct.admin.createTopic({ name: "no-json" });
      const values = ['{"n":0}', '{"n":1}', "{oops", '{"n":3}'];
      await direct.producer.send(
        "no-json",
        values.map((value) => ({ value })),
      );
      const options = { groupId: "no-json", topics: ["no-json"] };
      const valueSerde = jsonSerde(z.object({ n: z.int() }));
      const seen: (number | undefined)[] = [];
      const read = (skipping: number | null) => {
        const consumer: Consumer<TypedRecord<Uint8Array, { n: number }>> = sdk.consumer({
          ...options,
          valueSerde,
          // An option overrides it.
          onAssigned: (places) => {
            for (const place of places) if (skipping !== null) consumer.seek(place, skipping);
          },
        });
        consumers.push(consumer);
        return consumer.run({
          eachRecord: ({ value }) => {
            seen.push(value?.n);
            if (value?.n === 3) void consumer.close();
          },
        });
      };
      for (let i = 0; i < 2; i++)
        expect(await errorOf(read(null))).toMatchObject({
          code: "INVALID_RECORD",
          message: expect.stringContaining("no-json/0 at offset 2"),
        });
      await read(3);
      expect(seen).toEqual([0, 1, 3]);
    },
  },
];

test.each(titled(TOLD))("[TRB-3] %s", (_, run) => run());

const ENDS: readonly Case[] = [
  {
    when: "a send on its way is aborted",
    promise: "it rejects with the signal's reason, and what is sent then is stored in order",
    run: async () => {
      const { sdk, proxy } = await trouble();
      const sending = await Sending.to("aborted", sdk);
      await sending.send();
      const gate = Promise.withResolvers<Fate>();
      proxy.fateOf = (line) => (APPEND.test(line) ? gate.promise : "pass");
      const before = proxy.lines.length;
      const controller = new AbortController();
      const { signal } = controller;
      const aborted = sending.producer.send("aborted", [{ value: "x" }], { signal });
      await until("it is on its way", () => proxy.lines.length > before);
      const reason = new Error("enough");
      controller.abort(reason);
      expect(await errorOf(aborted)).toBe(reason);
      gate.resolve("pass");
      await sending.producer.send("aborted", [{ value: "y" }]);
      expect(await stored("aborted")).toEqual(["0", "x", "y"]);
    },
  },
  {
    when: "a send is aborted while its producer asks for the topic",
    promise: "it rejects with the signal's reason, and nothing of it is stored",
    run: async () => {
      const { sdk, proxy } = await trouble();
      await direct.admin.createTopic({ name: "asked" });
      const gate = Promise.withResolvers<Fate>();
      proxy.fateOf = () => gate.promise;
      const producer = sdk.newProducer();
      const reason = new Error("enough");
      const controller = new AbortController();
      const { signal } = controller;
      const aborted = producer.send("asked", [{ value: "x" }], { signal });
      await until("it asks", () => proxy.lines.length > 0);
      controller.abort(reason);
      expect(await errorOf(aborted)).toBe(reason);
      gate.resolve("pass");
      await producer.flush();
      expect(await stored("asked")).toEqual([]);
    },
  },
  {
    when: "a send is aborted while it waits behind another that waits for room",
    promise: "it rejects with the signal's reason, and nothing of it is stored",
    run: async () => {
      const { sdk, proxy } = await trouble();
      await direct.admin.createTopic({ name: "no-room" });
      const producer = sdk.newProducer({ maxBufferedRecords: 2 });
      await producer.send("no-room", [{ value: "0" }]);
      const gate = Promise.withResolvers<Fate>();
      proxy.fateOf = (line) => (APPEND.test(line) ? gate.promise : "pass");
      const first = producer.send("no-room", [{ value: "1" }, { value: "2" }]);
      const second = producer.send("no-room", [{ value: "3" }]);
      const reason = new Error("enough");
      const controller = new AbortController();
      const { signal } = controller;
      const third = producer.send("no-room", [{ value: "x" }], { signal });
      controller.abort(reason);
      expect(await errorOf(third)).toBe(reason);
      gate.resolve("pass");
      await Promise.all([first, second, producer.flush()]);
      expect(await stored("no-room")).toEqual(["0", "1", "2", "3"]);
    },
  },
  {
    when: "a signal ends run while a handler is at work",
    promise: "it rejects with the reason, what was handled is committed, and the group is left",
    run: async () => {
      const { sdk } = await trouble();
      const topic = await topicWith("run-aborted", 5);
      const crew = new Crew(topic);
      const [begun, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const controller = new AbortController();
      const { signal } = controller;
      const { running } = crew.join("a", sdk, { signal }, ({ offset }) => {
        if (offset !== 2) return;
        begun.resolve();
        return gate.promise;
      });
      await begun.promise;
      const reason = new Error("enough");
      controller.abort(reason);
      gate.resolve();
      expect(await errorOf(running)).toBe(reason);
      crew.join("b", sdk);
      await crew.finish();
      expect(crew.values()).toEqual(upTo(0, 5));
    },
  },
  {
    when: "both members are closed in the middle of a rebalance",
    promise: "both end, and the next one goes on without a gap or a repeat",
    run: async () => {
      const { sdk } = await trouble();
      const topic = await topicWith("closed-midway", 5, 2);
      const crew = new Crew(topic);
      const [begun, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const a = crew.join("a", sdk, {}, ({ offset }) => {
        if (offset !== 2) return;
        begun.resolve();
        return gate.promise; // The partition that is to go cannot go yet.
      });
      await begun.promise;
      const b = crew.join("b", sdk);
      await until("a partition is to move", () => a.told.some((each) => /^revoked/.test(each)));
      const closed = Promise.all([a.consumer.close(), b.consumer.close()]);
      gate.resolve();
      await settled(closed);
      await Promise.all([a.running, b.running]);
      crew.join("c", sdk);
      await crew.finish();
      expect(crew.handled).toHaveLength(10);
    },
  },
  {
    when: "close is called twice at once and once more",
    promise: "all of them resolve, run too, and what was handled is committed",
    run: async () => {
      const { sdk } = await trouble();
      const topic = await topicWith("closed-twice", 5);
      const crew = new Crew(topic);
      const { consumer, running } = crew.join("a", sdk, { autoCommit: false });
      await until("all are handled", () => crew.handled.length === 5);
      await Promise.all([consumer.close(), consumer.close()]);
      await Promise.all([consumer.close(), running]);
      expect(await crew.offsets()).toMatchObject([{ committedOffset: 5 }]);
      const never = sdk.consumer({ groupId: "never", topics: [topic] });
      await Promise.all([never.close(), never.close()]);
      await never.run({ eachRecord: () => {} });
    },
  },
  {
    when: "close is called while nothing answers, not even a commit",
    promise: "commit, close and run resolve, and what was not committed comes again",
    run: async () => {
      const { sdk, proxy } = await trouble();
      const topic = await topicWith("closed-in-silence", 5);
      const crew = new Crew(topic);
      const options = { autoCommit: false, sessionTimeoutMs: 3_000 };
      const { consumer, running } = crew.join("a", sdk, options);
      await until("all are handled", () => crew.handled.length === 5);
      proxy.fateOf = () => BLACK_HOLE;
      for (const link of proxy.links(ANYTHING)) link.stall();
      const all = Promise.all([consumer.commit(), consumer.close(), running]);
      expect(await settled(all)).toMatchObject({ status: "fulfilled" });
      crew.join("b", direct);
      await crew.finish();
      expect(crew.values()).toEqual([...upTo(0, 5), ...upTo(0, 5)]);
    },
  },
  {
    when: "a producer is closed twice at once with a send that nobody answers",
    promise: "the send is told, close resolves, and nothing more is taken",
    run: async () => {
      const { sdk, proxy } = await trouble();
      const sending = await Sending.to("producer-closed", sdk, { deliveryTimeoutMs: 300 });
      await sending.send();
      proxy.fateOf = () => BLACK_HOLE;
      const told = sending.send();
      const closed = Promise.all([sending.producer.close(), sending.producer.close()]);
      expect(await settled(closed)).toMatchObject({ status: "fulfilled" });
      expect(await told).toBeInstanceOf(ConnectionError);
      expect(await sending.send()).toMatchObject({ code: "INVALID_REQUEST" });
    },
  },
];

test.each(titled(ENDS))("[TRB-4] %s", (_, run) => run());

// Cases that need the broker to die come last.

test("[TRB-1] the broker is killed with many sends in flight over a socket, and restarted: all are stored once, in order", async () => {
  const { sdk, proxy } = await trouble();
  const sending = await Sending.to("killed-busy", sdk);
  await sending.onSocket(proxy);
  const enough = sending.count + 200;
  let isOver = false;
  const load = (async () => {
    while (!isOver) await sending.send(20);
  })();
  await until("they are on their way", () => sending.count > enough);
  await broker.kill();
  await restartBroker();
  isOver = true;
  await load;
  expect(await sending.check()).toEqual([]);
});

test("[TRB-1] the broker is killed with a lone send in flight, and restarted: it is stored once", async () => {
  const { sdk, proxy } = await trouble();
  const sending = await Sending.to("killed-lone", sdk);
  await sending.send();
  const before = proxy.lines.length;
  const sent = sending.send();
  await until("it is on its way", () => proxy.lines.length > before);
  await broker.kill();
  await restartBroker();
  expect(await sent).toBe(1);
  expect(await sending.check()).toEqual([]);
});

test("[TRB-2] the broker is killed while two members read, and restarted: nothing is skipped, and only uncommitted records repeat", async () => {
  const { sdk } = await trouble();
  const topic = await topicWith("killed-readers", 200, 4);
  const crew = new Crew(topic);
  // One that goes while the broker is down cannot leave: its partitions wait for this long.
  const session = { sessionTimeoutMs: 1_500 };
  const members = ["a", "b"].map((name) =>
    crew.join(name, sdk, session, () => new Promise((resolve) => setImmediate(resolve))),
  );
  await until("some are committed", async () =>
    (await crew.offsets()).some(({ committedOffset }) => committedOffset !== null),
  );
  await crew.noteCommitted();
  await broker.kill();
  // [TRB-4] One of them is closed meanwhile.
  const last = members.pop();
  expect(await settled(Promise.all([last?.consumer.close(), last?.running]))).toMatchObject({
    status: "fulfilled",
  });
  await restartBroker();
  await produce(topic, 200, 250, 4);
  crew.join("c", sdk, session);
  await crew.finish();
});
