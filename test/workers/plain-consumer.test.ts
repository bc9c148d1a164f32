// Plain WebSocket clients on /v1/groups/:group/consume. Each is a session in the Worker, which is a member of the group;
// evictions happen below it, in the group and the partitions.
import { runDurableObjectAlarm } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import { groupStub, partitionStub } from "../../src/env.ts";
import type { PlainServerMessage } from "../../src/protocol/plain-consumer.ts";
import {
  committedOffsets,
  createTopic,
  describeGroup,
  env,
  eventually,
  evict,
  expectStatus,
  type JsonRecord,
  produce,
  TestSocket,
  type TopicJson,
  TWINS,
  unique,
} from "./support.ts";

type Received = readonly [partition: number, offset: number, value: string | null | undefined];
type ErrorMessage = Extract<PlainServerMessage, { type: "error" }>;

class Client {
  socket!: TestSocket<PlainServerMessage>;
  readonly #topic: TopicJson;
  /** The partitions held now, with the offset at which each was assigned. */
  readonly held = new Map<number, number>();
  /** Partitions to be given up: acks of delivered records still count. */
  readonly revoked = new Set<number>();
  readonly records: Received[] = [];
  readonly errors: ErrorMessage[] = [];
  readonly json: JsonRecord[] = [];
  assignments = 0;

  constructor(topic: TopicJson) {
    this.#topic = topic;
  }

  static async open(group: string, topic: TopicJson, query = ""): Promise<Client> {
    const client = new Client(topic);
    const path = `/v1/groups/${group}/consume?topics=${topic.name}${query}`;
    client.socket = await TestSocket.open<PlainServerMessage>(path, (event) => {
      if (typeof event === "object" && "type" in event) client.#take(event);
    });
    return client;
  }

  #take(message: PlainServerMessage): void {
    switch (message.type) {
      case "assigned":
        this.assignments++;
        for (const { partition, offset } of message.partitions) {
          this.held.set(partition, offset);
          this.revoked.delete(partition);
        }
        return;
      case "revoked":
        for (const { partition } of message.partitions) {
          this.held.delete(partition);
          this.revoked.add(partition);
        }
        return;
      case "records":
        for (const record of message.records) {
          this.json.push(record);
          this.records.push([message.partition, record.offset, record.value]);
        }
        return;
      case "error":
        this.errors.push(message);
    }
  }

  get partitions(): number[] {
    return [...this.held.keys()].sort((a, b) => a - b);
  }

  holds(count: number): Promise<void> {
    return this.socket.until(
      () => this.assignments > 0 && this.held.size === count,
      `${count} partitions`,
    );
  }

  has(count: number): Promise<void> {
    return this.socket.until(() => this.records.length >= count, `${count} records`);
  }

  /** The received offsets of one partition. */
  offsets(partition = 0): number[] {
    return this.records.filter(([from]) => from === partition).map(([, offset]) => offset);
  }

  say(type: "ack" | "seek", offset: number, partition?: number): void;
  say(type: "pause" | "resume", offset?: undefined, partition?: number): void;
  say(type: string, offset?: number, partition = 0): void {
    const { name } = this.#topic;
    this.socket.send({
      type,
      topic: name,
      partition,
      ...(offset === undefined ? {} : { offset }),
    });
  }

  async nextError(): Promise<ErrorMessage> {
    const count = this.errors.length;
    await this.socket.until(() => this.errors.length > count, "an error");
    return this.errors[count] as ErrorMessage;
  }

  /** Returns when the session has handled everything sent so far: it answers this in its turn. */
  async settled(): Promise<void> {
    const marker = unique("marker");
    this.socket.send({ type: "ack", topic: marker, partition: 0, offset: 0 });
    const isAnswered = () => this.errors.some(({ detail }) => detail.includes(marker));
    await this.socket.until(isAnswered, "the session to answer");
    const index = this.errors.findIndex(({ detail }) => detail.includes(marker));
    this.errors.splice(index, 1);
  }
}

function values(count: number, partition = 0, from = 0): { value: string; partition: number }[] {
  return Array.from({ length: count }, (_, index) => ({ value: `v${from + index}`, partition }));
}

function received(count: number, from = 0, partition = 0): Received[] {
  return Array.from({ length: count }, (_, index) => [partition, from + index, `v${from + index}`]);
}

function committed(group: string, topic: TopicJson, expected: (number | null)[]): Promise<boolean> {
  return eventually(
    async () => {
      const offsets = await committedOffsets(group, topic.name);
      return JSON.stringify(offsets) === JSON.stringify(expected);
    },
    `the commits to be ${JSON.stringify(expected)}`,
  );
}

function partition(topic: TopicJson, number = 0) {
  return partitionStub(env, topic.topicId, number);
}

describe("assignment and records", () => {
  test.each(TWINS)(
    "[PLN-1] a client gets its partitions with offsets and records as JSON$when",
    async ({ interrupt }) => {
      const topic = await createTopic(2);
      const group = unique("group");
      await produce(topic.name, [
        { value: "päper", key: "k", headers: { a: "1", b: null }, timestamp: 5, partition: 0 },
        { value: null, partition: 0, timestamp: 6 },
        { valueBase64: "/w==", keyBase64: "gA==", partition: 1, timestamp: 7 },
      ]);
      const client = await Client.open(group, topic, "&clientId=me");
      await client.holds(2);
      expect([...client.held]).toEqual([
        [0, 0],
        [1, 0],
      ]);
      await client.has(3);
      expect(client.json).toEqual(
        expect.arrayContaining([
          { offset: 0, timestamp: 5, key: "k", value: "päper", headers: { a: "1", b: null } },
          { offset: 1, timestamp: 6, key: null, value: null, headers: {} },
          { offset: 0, timestamp: 7, keyBase64: "gA==", valueBase64: "/w==", headers: {} },
        ]),
      );
      const { members } = await describeGroup(group);
      expect(members).toMatchObject([
        { clientId: "me", assignment: [{ topic: topic.name, partitions: [0, 1] }] },
      ]);
      await interrupt(groupStub(env, group), partition(topic, 0), partition(topic, 1));
      await produce(topic.name, values(1, 1));
      await client.has(4);
      expect(client.records[3]).toEqual([1, 1, "v0"]);
      expect(client.errors).toEqual([]);
    },
  );

  test.each(TWINS)(
    "[PLN-1] two clients split the partitions and a third takes its share$when",
    async ({ interrupt }) => {
      const topic = await createTopic(6);
      const group = unique("group");
      const a = await Client.open(group, topic);
      await a.holds(6);
      const b = await Client.open(group, topic);
      await Promise.all([a.holds(3), b.holds(3)]);
      await interrupt(groupStub(env, group));
      const c = await Client.open(group, topic);
      await Promise.all([a.holds(2), b.holds(2), c.holds(2)]);
      const clients = [a, b, c];
      const all = clients.flatMap((client) => client.partitions).sort();
      expect(all).toEqual([0, 1, 2, 3, 4, 5]);

      const numbers = [0, 1, 2, 3, 4, 5];
      await interrupt(...numbers.map((number) => partition(topic, number)));
      await produce(
        topic.name,
        numbers.flatMap((number) => values(2, number)),
      );
      await Promise.all(clients.map((client) => client.has(4)));
      for (const client of clients) {
        await client.settled();
        const from = client.records.map(([number]) => number);
        expect([...new Set(from)].sort()).toEqual(client.partitions);
        for (const number of client.partitions) expect(client.offsets(number)).toEqual([0, 1]);
      }
    },
  );

  test.each(TWINS)(
    "[GRP-9] a client gets what its topic grows by, and loses what is deleted$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      const group = unique("group");
      const client = await Client.open(group, topic);
      await client.holds(1);
      await interrupt(groupStub(env, group));
      await expectStatus(200, "PATCH", `/v1/topics/${topic.name}`, { partitions: 3 });
      await client.holds(3);
      await produce(topic.name, values(1, 2));
      await client.has(1);
      expect(client.records).toEqual([[2, 0, "v0"]]);
      client.say("ack", 0, 2);
      await interrupt(groupStub(env, group));
      await expectStatus(204, "DELETE", `/v1/topics/${topic.name}`);
      await client.holds(0);
      expect([...client.revoked].sort()).toEqual([0, 1, 2]);
      // It is still there for a topic of that name.
      const again = await createTopic(2, {}, topic.name);
      await client.holds(2);
      await produce(again.name, values(1, 1));
      await client.has(2);
      expect(client.records[1]).toEqual([1, 0, "v0"]);
    },
  );

  test("[PLN-1] a client beyond the last partition is told that it has none", async () => {
    const topic = await createTopic(1);
    const group = unique("group");
    const a = await Client.open(group, topic);
    await a.holds(1);
    const b = await Client.open(group, topic);
    await b.holds(0);
    // It waits for its turn.
    a.socket.close(1000);
    await b.holds(1);
  });

  test.each(TWINS)(
    "[PLN-1] a client from latest starts at the end, and so does the next one$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      const group = unique("group");
      await produce(topic.name, values(3));
      const first = await Client.open(group, topic, "&from=latest");
      await first.holds(1);
      expect(first.held.get(0)).toBe(3);
      first.socket.close(1000);
      await eventually(
        async () => (await describeGroup(group)).members.length === 0,
        "the first to be gone",
      );
      await interrupt(groupStub(env, group), partition(topic));
      await produce(topic.name, values(2, 0, 3));
      const second = await Client.open(group, topic, "&from=latest");
      await second.has(2);
      expect(second.records).toEqual(received(2, 3));
    },
  );

  test.each(TWINS)(
    "[GRP-12] each of two groups receives every record$when",
    async ({ interrupt }) => {
      const topic = await createTopic(2);
      const groups = [unique("group"), unique("group")];
      const clients = await Promise.all(groups.map((group) => Client.open(group, topic)));
      await Promise.all(clients.map((client) => client.holds(2)));
      await produce(topic.name, [...values(3, 0), ...values(3, 1)]);
      await interrupt(partition(topic, 0), partition(topic, 1));
      await produce(topic.name, [...values(3, 0, 3), ...values(3, 1, 3)]);
      for (const client of clients) {
        await client.has(12);
        expect(client.offsets(0)).toEqual([0, 1, 2, 3, 4, 5]);
        expect(client.offsets(1)).toEqual([0, 1, 2, 3, 4, 5]);
      }
      // Acks of one mean nothing to the other.
      clients[0]?.say("ack", 5);
      await committed(groups[0] ?? "", topic, [6, null]);
      expect(await committedOffsets(groups[1] ?? "", topic.name)).toEqual([null, null]);
    },
  );

  test("[SES-1] a client continues without a gap when its partition and its group restart", async () => {
    const topic = await createTopic(1);
    const group = unique("group");
    const client = await Client.open(group, topic);
    await client.holds(1);
    for (let round = 0; round < 3; round++) {
      await produce(topic.name, values(2, 0, round * 2));
      await client.has(round * 2 + 2);
      client.say("ack", round * 2 + 1);
      await committed(group, topic, [round * 2 + 2]);
      await evict(partition(topic), "close");
      await evict(groupStub(env, group), "close");
    }
    await produce(topic.name, values(1, 0, 6));
    await client.has(7);
    expect(client.records).toEqual(received(7));
    client.say("ack", 6);
    await committed(group, topic, [7]);
  });
});

describe("window and acknowledgements", () => {
  test.each(TWINS)(
    "[PLN-2] at most the window is unacknowledged; an ack commits and lets more through$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      const group = unique("group");
      await produce(topic.name, values(7));
      const client = await Client.open(group, topic, "&window=2&commitIntervalMs=1000");
      await client.has(2);
      await client.settled();
      expect(client.records).toEqual(received(2));
      await interrupt(groupStub(env, group), partition(topic));

      client.say("ack", 0);
      await client.has(3);
      await committed(group, topic, [1]);
      await client.settled();
      expect(client.records).toEqual(received(3));
      // An ack stands for everything before it, too.
      client.say("ack", 2);
      await client.has(5);
      await committed(group, topic, [3]);
      await interrupt(groupStub(env, group), partition(topic));
      client.say("ack", 4);
      await client.has(7);
      client.say("ack", 6);
      await committed(group, topic, [7]);
      await produce(topic.name, values(3, 0, 7));
      await client.has(9);
      await client.settled();
      expect(client.records).toEqual(received(9));
    },
  );

  // The other acks would be committed an hour later. When each is, to the millisecond: unit/member/committer.test.ts.
  const HOURLY = "&commitIntervalMs=3600000";

  test("[PLN-2] the first ack in an interval is committed at once, even with more in hand; others share a commit", async () => {
    const topic = await createTopic(1);
    const group = unique("group");
    await produce(topic.name, values(5));
    const client = await Client.open(group, topic, HOURLY);
    await client.has(5);
    client.say("ack", 0);
    await committed(group, topic, [1]);
    for (const offset of [1, 2, 3]) client.say("ack", offset);
    await client.settled();
    expect(await committedOffsets(group, topic.name)).toEqual([1]);
    client.socket.close(1000);
    await committed(group, topic, [4]);
  });

  test("[PLN-2] an ack that leaves nothing in hand is committed soon, whatever the interval", async () => {
    const topic = await createTopic(1);
    const group = unique("group");
    await produce(topic.name, values(3));
    const client = await Client.open(group, topic, HOURLY);
    await client.has(3);
    client.say("ack", 0);
    await committed(group, topic, [1]);
    client.say("ack", 2);
    await committed(group, topic, [3]);
    await produce(topic.name, values(2, 0, 3));
    await client.has(5);
    client.say("ack", 4);
    await committed(group, topic, [5]);
  });

  test("[PLN-2] an ack is committed within the interval, even with more in hand", async () => {
    const topic = await createTopic(1);
    const group = unique("group");
    await produce(topic.name, values(5));
    const client = await Client.open(group, topic, "&commitIntervalMs=1000");
    await client.has(5);
    client.say("ack", 0);
    await committed(group, topic, [1]);
    client.say("ack", 1);
    client.say("ack", 2);
    await committed(group, topic, [3]);
  });

  test("[PLN-6] a leave commits what was acknowledged, whatever the interval", async () => {
    const topic = await createTopic(1);
    const group = unique("group");
    await produce(topic.name, values(3));
    const client = await Client.open(group, topic, `${HOURLY}&instanceId=one`);
    await client.has(3);
    client.say("ack", 0);
    await committed(group, topic, [1]);
    client.say("ack", 1);
    client.socket.send({ type: "leave" });
    await committed(group, topic, [2]);
    const next = await Client.open(group, topic);
    await next.has(1);
    expect(next.records).toEqual(received(1, 2));
  });

  test("[PLN-2] the window counts for each partition by itself", async () => {
    const topic = await createTopic(2);
    const group = unique("group");
    await produce(topic.name, [...values(5, 0), ...values(5, 1)]);
    const client = await Client.open(group, topic, "&window=3");
    await client.has(6);
    await client.settled();
    expect([client.offsets(0), client.offsets(1)]).toEqual([
      [0, 1, 2],
      [0, 1, 2],
    ]);
    client.say("ack", 2, 1);
    await client.has(8);
    await client.settled();
    expect([client.offsets(0), client.offsets(1)]).toEqual([
      [0, 1, 2],
      [0, 1, 2, 3, 4],
    ]);
  });

  test("[PLN-2] a window larger than a message is filled over several", async () => {
    const topic = await createTopic(1);
    await produce(topic.name, values(1_300));
    const client = await Client.open(unique("group"), topic, "&window=1200");
    await client.has(1_200);
    await client.settled();
    expect(client.records).toEqual(received(1_200));
    client.say("ack", 1_199);
    await client.has(1_300);
    expect(client.records).toEqual(received(1_300));
  });

  test.each(TWINS)(
    "[PLN-2] with ack=auto everything flows and is committed once it is sent$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      const group = unique("group");
      await produce(topic.name, values(10));
      const client = await Client.open(group, topic, "&ack=auto&window=2");
      await client.has(10);
      await committed(group, topic, [10]);
      await interrupt(groupStub(env, group), partition(topic));
      await produce(topic.name, values(5, 0, 10));
      await client.has(15);
      expect(client.records).toEqual(received(15));
      await committed(group, topic, [15]);
    },
  );

  test("[PLN-2] an ack of an undelivered record is an error, a repeated one is none", async () => {
    const topic = await createTopic(1);
    const group = unique("group");
    await produce(topic.name, values(5));
    const client = await Client.open(group, topic, "&window=2");
    await client.has(2);
    client.say("ack", 2);
    await client.settled();
    expect(client.errors).toMatchObject(
      [{ code: "INVALID_REQUEST", errorCode: 42, retriable: false, detail: /./ }].map((each) => ({
        ...each,
        detail: expect.stringMatching(/offset 2 .*last was 1/),
      })),
    );
    expect(client.records).toEqual(received(2));
    client.say("ack", 1);
    client.say("ack", 1);
    client.say("ack", 0);
    await client.has(4);
    await committed(group, topic, [2]);
    await client.settled();
    expect(client.errors).toHaveLength(1);
    expect(client.records).toEqual(received(4));
    client.say("ack", 3);
    await client.has(5);
    client.say("ack", 4);
    client.say("ack", 5);
    await client.settled();
    expect(client.errors).toHaveLength(2);
    expect(client.errors[1]).toMatchObject({ detail: expect.stringMatching(/offset 5 /) });
    await committed(group, topic, [5]);
  });

  test.each((["ack", "seek", "pause", "resume"] as const).map((type) => ({ type })))(
    "[PLN-2] $type of a partition of another client is an error and changes nothing",
    async ({ type }) => {
      const topic = await createTopic(2);
      const group = unique("group");
      const [a, b] = [await Client.open(group, topic), await Client.open(group, topic)];
      await Promise.all([a.holds(1), b.holds(1)]);
      const foreign = b.partitions[0] as number;
      await produce(topic.name, values(2, foreign));
      await b.has(2);
      const offset = type === "ack" || type === "seek" ? { offset: 1 } : {};
      a.socket.send({ type, topic: topic.name, partition: foreign, ...offset });
      expect(await a.nextError()).toMatchObject({
        code: "FENCED_MEMBER_EPOCH",
        errorCode: 110,
        detail: expect.stringContaining(`${topic.name}/${foreign}`),
      });
      await produce(topic.name, values(1, foreign, 2));
      await b.has(3);
      expect(b.offsets(foreign)).toEqual([0, 1, 2]);
      expect(await committedOffsets(group, topic.name)).toEqual([null, null]);
    },
  );
});

describe("giving up", () => {
  test.each(TWINS)(
    "[PLN-3] after revoked acks still count until all are given, then the partition moves$when",
    async ({ interrupt }) => {
      const topic = await createTopic(2);
      const group = unique("group");
      await produce(topic.name, [...values(5, 0), ...values(5, 1)]);
      const a = await Client.open(group, topic);
      await a.has(10);
      const b = await Client.open(group, topic);
      await a.socket.until(() => a.revoked.size === 1, "a partition to be revoked");
      const [moving = -1] = a.revoked;
      await interrupt(groupStub(env, group), partition(topic, moving));
      a.say("ack", 2, moving);
      const expected = [null, null].map((none, number) => (number === moving ? 3 : none));
      await committed(group, topic, expected);
      // Two are unacknowledged: nothing new comes, and nobody else has the partition.
      await produce(topic.name, values(1, moving, 5));
      await a.settled();
      expect(a.offsets(moving)).toEqual([0, 1, 2, 3, 4]);
      expect(b.partitions).toEqual([]);
      a.say("ack", 4, moving);
      await b.holds(1);
      expect([...b.held]).toEqual([[moving, 5]]);
      await b.has(1);
      expect(b.records).toEqual([[moving, 5, "v5"]]);
      // The other partition was never interrupted.
      const kept = a.partitions[0] as number;
      await produce(topic.name, values(1, kept, 5));
      await a.has(11);
      expect(a.offsets(kept)).toEqual([0, 1, 2, 3, 4, 5]);
      expect(a.errors).toEqual([]);
    },
  );

  test("[PLN-3] after the drain time the partition moves with its unacknowledged records", async () => {
    const topic = await createTopic(2);
    const group = unique("group");
    await produce(topic.name, [...values(3, 0), ...values(3, 1)]);
    const a = await Client.open(group, topic);
    await a.has(6);
    const b = await Client.open(group, topic);
    await a.socket.until(() => a.revoked.size === 1, "a partition to be revoked");
    const [moving = -1] = a.revoked;
    a.say("ack", 0, moving);
    await b.holds(1);
    expect([...b.held]).toEqual([[moving, 1]]);
    await b.has(2);
    expect(b.offsets(moving)).toEqual([1, 2]);
    a.say("ack", 2, moving);
    expect(await a.nextError()).toMatchObject({ code: "FENCED_MEMBER_EPOCH" });
    const commits = await committedOffsets(group, topic.name);
    expect(commits[moving]).toBe(1);
  });

  test.each([
    { how: "once it has acknowledged the old ones", query: "", acks: true },
    { how: "after a session in which it did not", query: "&sessionTimeoutMs=1000", acks: false },
  ])(
    "[PLN-8] a client that holds records of a deleted topic is sent those of its namesake $how",
    async ({ query, acks }) => {
      const topic = await createTopic(1);
      const group = unique("group");
      await produce(topic.name, values(5));
      const client = await Client.open(group, topic, query);
      await client.has(5);
      await expectStatus(204, "DELETE", `/v1/topics/${topic.name}`);
      await client.socket.until(() => client.revoked.size === 1, "the partition to be revoked");
      await expectStatus(201, "POST", "/v1/topics", { name: topic.name, partitions: 1 });
      await produce(topic.name, values(8, 0, 10));
      // Signs of life, or it would count as dead.
      const pings = setInterval(() => client.socket.send({ type: "ping" }), 200);
      await client.socket.until(() => client.assignments === 2, "the new topic's partition");
      clearInterval(pings);
      // The topic was away meanwhile, and that was reported.
      client.errors.length = 0;
      if (acks) {
        await client.settled();
        expect(client.records).toHaveLength(5);
        for (const offset of [2, 3]) client.say("ack", offset);
        await client.settled();
        expect(client.records).toHaveLength(5);
        client.say("ack", 4);
      }
      await client.has(13);
      expect(client.records.slice(5)).toEqual(received(8, 10).map(([p, , v], i) => [p, i, v]));
      expect(await committedOffsets(group, topic.name)).toEqual([null]);
      client.say("ack", 6);
      await committed(group, topic, [7]);
      expect(client.errors).toEqual([]);
    },
  );

  test.each(TWINS)(
    "[GRP-5] a client that closes hands its partitions on at once$when",
    async ({ interrupt }) => {
      const topic = await createTopic(2);
      const group = unique("group");
      await produce(topic.name, [...values(3, 0), ...values(3, 1)]);
      const a = await Client.open(group, topic, "&window=2");
      await a.has(4);
      a.say("ack", 0, 1);
      const b = await Client.open(group, topic);
      await interrupt(groupStub(env, group));
      a.socket.close(1000);
      await b.holds(2);
      expect(b.held.get(1)).toBe(1);
      await b.has(5);
      expect([b.offsets(0), b.offsets(1)]).toEqual([
        [0, 1, 2],
        [1, 2],
      ]);
    },
  );

  test("[GRP-5] a client that closes right after connecting leaves no member behind", async () => {
    const topic = await createTopic(1);
    const group = unique("group");
    const hasty = await Client.open(group, topic);
    hasty.socket.close(1000);
    const patient = await Client.open(group, topic);
    await patient.holds(1);
    expect((await describeGroup(group)).members).toHaveLength(1);
  });

  test("[GRP-6] a client whose connection breaks keeps its partitions for its session timeout", async () => {
    const topic = await createTopic(2);
    const group = unique("group");
    const a = await Client.open(group, topic, "&sessionTimeoutMs=2000");
    await a.holds(2);
    const b = await Client.open(group, topic);
    await Promise.all([a.holds(1), b.holds(1)]);
    a.socket.close(3000, "as a connection that breaks");
    await a.socket.closed;
    await b.settled();
    expect((await describeGroup(group)).members).toHaveLength(2);
    expect(b.partitions).toHaveLength(1);
    await b.holds(2);
  });

  test.each(TWINS)(
    "[GRP-8] a static client that returns has its partitions as before$when",
    async ({ interrupt }) => {
      const topic = await createTopic(2);
      const group = unique("group");
      const a = await Client.open(group, topic, "&instanceId=desk");
      await a.holds(2);
      const b = await Client.open(group, topic);
      await Promise.all([a.holds(1), b.holds(1)]);
      const { epoch } = await describeGroup(group);
      const own = a.partitions;
      a.socket.close(1000);
      await a.socket.closed;
      await interrupt(groupStub(env, group));
      const again = await eventually(async () => {
        const client = await Client.open(group, topic, "&instanceId=desk");
        // As long as the group has not noticed the end of the first connection, the second is refused.
        return (
          (await Promise.race([client.holds(1).then(() => true), client.socket.closed])) === true &&
          client
        );
      }, "the static client to be back");
      expect(again.partitions).toEqual(own);
      expect((await describeGroup(group)).epoch).toBe(epoch);
      expect(b.assignments).toBe(1);
    },
  );

  test("[GRP-8] a second live client with the same instance id is refused", async () => {
    const topic = await createTopic(1);
    const group = unique("group");
    const a = await Client.open(group, topic, "&instanceId=desk");
    await a.holds(1);
    const second = await Client.open(group, topic, "&instanceId=desk");
    const { code, reason } = await second.socket.closed;
    expect(code).toBe(4000);
    expect(reason).toMatch(/^UNRELEASED_INSTANCE_ID: .*desk/);
    expect(second.errors).toMatchObject([{ code: "UNRELEASED_INSTANCE_ID", errorCode: 111 }]);
    await produce(topic.name, values(1));
    await a.has(1);
  });
});

describe("silence", () => {
  /** Returns after a session timeout of a second, as shown by a client that is removed for its silence. */
  async function silencePasses(): Promise<void> {
    const topic = await createTopic(1);
    await produce(topic.name, values(1));
    const silent = await Client.open(unique("group"), topic, "&sessionTimeoutMs=1000");
    await silent.has(1);
    await silent.nextError();
  }

  test("[PLN-4] a client that holds records and is silent is removed, one that pings is not", async () => {
    const topics = [await createTopic(1), await createTopic(1)] as const;
    const groups = [unique("group"), unique("group")] as const;
    for (const { name } of topics) await produce(name, values(1));
    const alive = await Client.open(groups[0], topics[0], "&sessionTimeoutMs=2000");
    await alive.has(1);
    const silent = await Client.open(groups[1], topics[1], "&sessionTimeoutMs=2000");
    await silent.has(1);
    const heir = await Client.open(groups[1], topics[1]);
    await eventually(async () => {
      alive.socket.send({ type: "ping" });
      return silent.errors.length > 0;
    }, "the silent one to be removed");
    expect(silent.errors).toMatchObject([{ code: "UNKNOWN_MEMBER_ID", errorCode: 25 }]);
    expect(await silent.socket.closed).toMatchObject({
      code: 4003,
      reason: expect.stringMatching(/^UNKNOWN_MEMBER_ID: .*2000 ms/),
    });
    await heir.has(1);
    expect(heir.records).toEqual(received(1));
    // The other one held its record for even longer.
    alive.say("ack", 0);
    await committed(groups[0], topics[0], [1]);
    expect(alive.errors).toEqual([]);
  });

  test("[PLN-4] a client without records yet may be silent for as long as it likes", async () => {
    const topic = await createTopic(1);
    const group = unique("group");
    const idle = await Client.open(group, topic, "&sessionTimeoutMs=1000");
    await idle.holds(1);
    await silencePasses();
    await produce(topic.name, values(2));
    await idle.has(2);
    await idle.settled();
    idle.say("ack", 1);
    await committed(group, topic, [2]);
    expect(idle.errors).toEqual([]);
  });

  test("[PLN-4] a client that has acknowledged everything may be silent for as long as it likes", async () => {
    const topic = await createTopic(1);
    const group = unique("group");
    await produce(topic.name, values(1));
    const idle = await Client.open(group, topic, "&sessionTimeoutMs=1000");
    await idle.has(1);
    idle.say("ack", 0);
    await committed(group, topic, [1]);
    await silencePasses();
    await silencePasses();
    await produce(topic.name, values(1, 0, 1));
    await idle.has(2);
    await idle.settled();
    idle.say("ack", 1);
    await committed(group, topic, [2]);
    expect(idle.errors).toEqual([]);
  });
});

describe("bad frames", () => {
  const place = { topic: "t", partition: 0 };
  const FRAMES: readonly { what: string; frame: string | Uint8Array | object; reason: RegExp }[] = [
    { what: "bytes", frame: new Uint8Array([1, 2]), reason: /text/ },
    { what: "text that is not JSON", frame: "hello", reason: /not JSON/ },
    { what: "nothing", frame: "", reason: /not JSON/ },
    { what: "a list", frame: "[]", reason: /object/ },
    { what: "null", frame: "null", reason: /object/ },
    { what: "no type", frame: {}, reason: /type/ },
    { what: "an ack without offset", frame: { type: "ack", ...place }, reason: /offset/ },
    {
      what: "an ack of text",
      frame: { type: "ack", ...place, offset: "1" },
      reason: /offset.*"1"/,
    },
    { what: "an ack of -1", frame: { type: "ack", ...place, offset: -1 }, reason: /offset.*0 to/ },
    {
      what: "a topic that is a number",
      frame: { type: "ack", topic: 5, partition: 0, offset: 0 },
      reason: /topic/,
    },
    {
      what: "partition 1.5",
      frame: { type: "pause", topic: "t", partition: 1.5 },
      reason: /partition/,
    },
    { what: "more than a MiB", frame: `"${"x".repeat(1024 * 1024)}"`, reason: /1048578.*1048576/ },
  ];

  test.each(FRAMES)(
    "[PLN-5] $what closes that socket with a reason and others continue",
    async ({ frame, reason }) => {
      const topic = await createTopic(2);
      const group = unique("group");
      const [bad, good] = [await Client.open(group, topic), await Client.open(group, topic)];
      await Promise.all([bad.holds(1), good.holds(1)]);
      bad.socket.send(frame);
      const closed = await bad.socket.closed;
      expect(closed.code).toBe(4000);
      expect(closed.reason).toMatch(/^INVALID_REQUEST: /);
      expect(closed.reason).toMatch(reason);
      expect(bad.errors).toMatchObject([{ code: "INVALID_REQUEST", errorCode: 42 }]);
      // It has left, so the other one has everything.
      await good.holds(2);
      await produce(topic.name, [...values(1, 0), ...values(1, 1)]);
      await good.has(2);
      expect(good.errors).toEqual([]);
    },
  );
});

describe("seek, pause, resume and leave", () => {
  test.each(TWINS)(
    "[PLN-6] a seek continues at its offset, back and forth, and the next ack commits there$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      const group = unique("group");
      await produce(topic.name, values(6));
      const client = await Client.open(group, topic, "&commitIntervalMs=1000");
      await client.has(6);
      client.say("ack", 5);
      await committed(group, topic, [6]);
      await interrupt(groupStub(env, group), partition(topic));
      client.say("seek", 2);
      await client.has(10);
      expect(client.offsets()).toEqual([0, 1, 2, 3, 4, 5, 2, 3, 4, 5]);
      client.say("ack", 2);
      await committed(group, topic, [3]);
      client.say("seek", 5);
      await client.has(11);
      expect(client.offsets().slice(10)).toEqual([5]);
      client.say("ack", 5);
      await committed(group, topic, [6]);
      await produce(topic.name, values(1, 0, 6));
      await client.has(12);
      expect(client.offsets().slice(11)).toEqual([6]);
      expect(client.errors).toEqual([]);
    },
  );

  test("[PLN-6] records delivered before a seek are not acknowledged by later acks", async () => {
    const topic = await createTopic(1);
    const group = unique("group");
    await produce(topic.name, values(6));
    const client = await Client.open(group, topic, "&window=2");
    await client.has(2);
    client.say("seek", 4);
    client.say("ack", 1);
    await client.has(4);
    expect(client.offsets()).toEqual([0, 1, 4, 5]);
    client.say("ack", 4);
    await committed(group, topic, [5]);
  });

  test("[PLN-6] a seek beyond the end is reported and continues at the configured end", async () => {
    const topic = await createTopic(1);
    const group = unique("group");
    await produce(topic.name, values(2));
    const client = await Client.open(group, topic);
    await client.has(2);
    client.say("seek", 99);
    expect(await client.nextError()).toMatchObject({
      code: "OFFSET_OUT_OF_RANGE",
      detail: expect.stringMatching(/99.*0 to 2/),
    });
    await client.has(4);
    expect(client.offsets()).toEqual([0, 1, 0, 1]);
  });

  test("[PLN-6] a seek while the partition restarts is not lost", async () => {
    const topic = await createTopic(1);
    const group = unique("group");
    await produce(topic.name, values(4));
    const client = await Client.open(group, topic);
    await client.has(4);
    await evict(partition(topic), "close");
    client.say("seek", 1);
    await client.has(7);
    expect(client.offsets()).toEqual([0, 1, 2, 3, 1, 2, 3]);
  });

  test.each(TWINS)(
    "[PLN-6] a paused partition delivers nothing until it is resumed, others do$when",
    async ({ interrupt }) => {
      const topic = await createTopic(2);
      const group = unique("group");
      const client = await Client.open(group, topic);
      await client.holds(2);
      client.say("pause", undefined, 0);
      await client.settled();
      await interrupt(groupStub(env, group));
      // Another group's client has these records, so they have been sent to this one's session, too.
      const witness = await Client.open(unique("group"), topic);
      await witness.holds(2);
      await produce(topic.name, values(3, 0));
      await witness.has(3);
      await produce(topic.name, values(3, 1));
      await client.has(3);
      await client.settled();
      expect([client.offsets(0), client.offsets(1)]).toEqual([[], [0, 1, 2]]);
      client.say("resume", undefined, 0);
      await client.has(6);
      expect(client.offsets(0)).toEqual([0, 1, 2]);
    },
  );

  test("[PLN-6] a paused partition delivers nothing more when records are acknowledged", async () => {
    const topic = await createTopic(1);
    const group = unique("group");
    await produce(topic.name, values(6));
    const client = await Client.open(group, topic, "&window=2");
    await client.has(2);
    client.say("pause");
    client.say("ack", 1);
    await client.settled();
    await committed(group, topic, [2]);
    await client.settled();
    expect(client.offsets()).toEqual([0, 1]);
    client.say("resume");
    await client.has(4);
    await client.settled();
    expect(client.offsets()).toEqual([0, 1, 2, 3]);
  });

  test.each(TWINS)(
    "[PLN-6] a leave commits what was acknowledged and hands the partitions on$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      const group = unique("group");
      await produce(topic.name, values(4));
      const a = await Client.open(group, topic, "&window=2");
      await a.has(2);
      const b = await Client.open(group, topic);
      await interrupt(groupStub(env, group));
      a.say("ack", 1);
      a.socket.send({ type: "leave" });
      expect(await a.socket.closed).toEqual({ code: 1000, reason: "left" });
      await b.has(2);
      expect(b.offsets()).toEqual([2, 3]);
      expect((await describeGroup(group)).members).toHaveLength(1);
    },
  );

  test("[PLN-6] a leave of a static client is a leave", async () => {
    const topic = await createTopic(1);
    const group = unique("group");
    const client = await Client.open(group, topic, "&instanceId=desk");
    await client.holds(1);
    client.socket.send({ type: "leave" });
    expect(await client.socket.closed).toMatchObject({ code: 1000 });
    await eventually(
      async () => (await describeGroup(group)).members.length === 0,
      "the static member to be gone",
    );
  });
});

describe("positions", () => {
  test.each(TWINS)(
    "[OFF-2] the next client starts exactly behind the last ack$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      const group = unique("group");
      await produce(topic.name, values(5));
      const first = await Client.open(group, topic);
      await first.has(5);
      first.say("ack", 2);
      first.socket.close(1000);
      await eventually(
        async () => (await describeGroup(group)).members.length === 0,
        "the first to be gone",
      );
      expect(await committedOffsets(group, topic.name)).toEqual([3]);
      await interrupt(groupStub(env, group), partition(topic));
      const second = await Client.open(group, topic);
      await second.has(2);
      expect(second.held.get(0)).toBe(3);
      expect(second.offsets()).toEqual([3, 4]);
    },
  );

  test("[OFF-2] acks from before its connection broke count", async () => {
    const topic = await createTopic(1);
    const group = unique("group");
    await produce(topic.name, values(5));
    const first = await Client.open(group, topic, "&sessionTimeoutMs=1000");
    await first.has(5);
    first.say("ack", 2);
    first.socket.close(3000);
    const second = await Client.open(group, topic);
    await second.has(2);
    expect(second.offsets()).toEqual([3, 4]);
  });

  test.each(TWINS)(
    "[OFF-4] after a reset the same records come again from there$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      const group = unique("group");
      await produce(topic.name, values(5));
      const run = async (count: number) => {
        const client = await Client.open(group, topic);
        await client.has(count);
        client.say("ack", client.offsets().at(-1) ?? 0);
        client.socket.send({ type: "leave" });
        await client.socket.closed;
        await committed(group, topic, [5]);
        return client.records;
      };
      expect(await run(5)).toEqual(received(5));
      await interrupt(groupStub(env, group), partition(topic));
      const path = `/v1/groups/${group}/offsets`;
      await expectStatus(200, "POST", path, { to: "earliest" });
      expect(await run(5)).toEqual(received(5));
      await expectStatus(200, "POST", path, { to: { offset: 2 } });
      await interrupt(groupStub(env, group), partition(topic));
      expect(await run(3)).toEqual(received(3, 2));
      await expectStatus(200, "POST", path, { to: { shiftBy: -1 } });
      expect(await run(1)).toEqual(received(1, 4));
    },
  );

  test("[GRP-11] an alarm that finds everybody alive changes nothing", async () => {
    const topic = await createTopic(1);
    const group = unique("group");
    const client = await Client.open(group, topic);
    await client.holds(1);
    expect(await runDurableObjectAlarm(groupStub(env, group))).toBe(true);
    await produce(topic.name, values(1));
    await client.has(1);
    expect(client.assignments).toBe(1);
    expect((await describeGroup(group)).epoch).toBe(1);
  });
});
