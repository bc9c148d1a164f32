// The clock of the broker's machine is set while clients of every kind are at work. Nothing here waits for a time to pass.
// Each expected event is waited for within GUARD_MS, which is far less than the clock is set back by.
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { PING } from "../../src/protocol/heartbeat.ts";
import { Rivulet } from "../../src/sdk/index.ts";
import { BrokerProcess } from "../e2e/broker.ts";
import { kafkaJs, kafkaOf } from "../e2e/kafka/kafkajs.ts";
import { MovedClock } from "./moved-clock.ts";

const HOUR_MS = 3_600_000;
const GUARD_MS = 18_000;
const SESSION_MS = 6_000;
const STEPS = [-20_000, -HOUR_MS, HOUR_MS, -30 * 24 * HOUR_MS];

let clock: MovedClock;
let broker: BrokerProcess;

beforeEach(async () => {
  clock = new MovedClock();
  broker = await BrokerProcess.start({ env: clock.env });
});

afterEach(async () => {
  await broker.stop();
  clock.close();
});

async function within<T>(what: string, promise: Promise<T>, guardMs = GUARD_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`never came true: ${what}`)), guardMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function ask<T>(
  method: string,
  path: string,
  body?: object,
  headers: object = {},
): Promise<T> {
  const response = await within(
    `${method} ${path}`,
    fetch(`${broker.url}${path}`, {
      method,
      headers: { "content-type": "application/json", ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }),
  );
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return (text === "" ? {} : JSON.parse(text)) as T;
}

const send = (topic: string, value: string, headers: object = {}) =>
  ask<{ results: readonly object[] }>(
    "POST",
    `/v1/topics/${topic}/records`,
    { records: [{ value }] },
    headers,
  );

const valuesOf = async (topic: string, partition = 0) => {
  const path = `/v1/topics/${topic}/partitions/${partition}/records?maxRecords=10000`;
  const { records } = await ask<{ records: { value: string }[] }>("GET", path);
  return records.map(({ value }) => value);
};

async function eventually(what: string, look: () => boolean | Promise<boolean>): Promise<void> {
  const untilMs = performance.now() + GUARD_MS;
  while (!(await look())) {
    if (performance.now() > untilMs) throw new Error(`never came true: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A member of the group `g` that sends heartbeats, gives up what it is told to, and joins again when it is cut off. */
class PlainMember {
  owns = 0;
  #socket!: WebSocket;
  #isOver = false;
  readonly #memberId: string;
  readonly #pings = setInterval(() => {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(PING);
  }, 1_000);

  constructor(memberId: string) {
    this.#memberId = memberId;
    this.#open();
  }

  #open(): void {
    const socket = new WebSocket(`${broker.url.replace("http", "ws")}/v1/groups/g/socket`);
    this.#socket = socket;
    socket.on("error", () => {});
    socket.on("close", () => this.#isOver || this.#open());
    socket.on("open", () => {
      const join = { type: "join", memberId: this.#memberId, memberEpoch: 0, topics: ["t"] };
      socket.send(JSON.stringify({ ...join, sessionTimeoutMs: SESSION_MS }));
    });
    socket.on("message", (data) => {
      const message = String(data).startsWith("{") ? JSON.parse(String(data)) : {};
      if (message.type !== "assignment") return;
      const given: { topicId: string; partition: number }[] = message.partitions;
      this.owns = given.length;
      if (message.state !== "UNREVOKED_PARTITIONS") return;
      const partitions = [0, 1].filter((each) =>
        given.every(({ partition }) => partition !== each),
      );
      const topicId = given[0]?.topicId ?? "";
      socket.send(JSON.stringify({ type: "revoked", partitions: [{ topicId, partitions }] }));
    });
  }

  /** Without a word. */
  end(): void {
    this.#isOver = true;
    clearInterval(this.#pings);
    this.#socket.terminate();
  }
}

describe.each(STEPS)("the clock is set by %i ms", (stepMs) => {
  test("[CLK-6] [CLK-1] producers continue, and a repeat is stored once", async () => {
    await ask("POST", "/v1/topics", { name: "t" });
    const first = await send("t", "keyed", { "idempotency-key": "once" });
    const producer = new Rivulet({ url: broker.url }).newProducer();
    await producer.send("t", [{ value: "sdk before" }]);
    const kafka = kafkaOf({ brokers: broker.kafka }).producer({ idempotent: true });
    await kafka.connect();
    await kafka.send({ topic: "t", messages: [{ value: "kafka before" }] });
    clock.set(stepMs);
    const sent: string[] = [];
    for (let i = 0; i < 20; i++) {
      sent.push(`http ${i}`, `sdk ${i}`, `kafka ${i}`);
      await send("t", `http ${i}`);
      await within("a send of the SDK", producer.send("t", [{ value: `sdk ${i}` }]));
      await within(
        "a send of Kafka",
        kafka.send({ topic: "t", messages: [{ value: `kafka ${i}` }] }),
      );
    }
    const many = Array.from({ length: 30 }, (_, i) => `at once ${i}`);
    await Promise.all(many.map((value) => send("t", value)));
    if (stepMs < 0) expect(await send("t", "keyed", { "idempotency-key": "once" })).toEqual(first);
    const before = ["keyed", "sdk before", "kafka before"];
    expect((await valuesOf("t")).sort()).toEqual([...before, ...sent, ...many].sort());
    await producer.close();
    await kafka.disconnect();
  });

  test("[CLK-6] [CLK-3] a wait ends, with records or without", async () => {
    await ask("POST", "/v1/topics", { name: "t" });
    const read = ask<object>("GET", "/v1/topics/t/partitions/0/records?waitMs=4000");
    const poll = ask<object>("POST", "/v1/groups/g/poll", {
      instanceId: "p",
      topics: ["t"],
      waitMs: 4_000,
    });
    await eventually("the poller to be in", async () => {
      const { groups } = await ask<{ groups: object[] }>("GET", "/v1/groups");
      return JSON.stringify(groups).includes('"g"');
    });
    clock.set(stepMs);
    await within("the read to end", read);
    await within("the poll to end", poll);
    const next = ask<{ records: object[] }>("POST", "/v1/groups/g/poll", {
      instanceId: "p",
      topics: ["t"],
      waitMs: 15_000,
    });
    await send("t", "a");
    expect((await within("the next poll", next)).records).toHaveLength(1);
  });

  test("[CLK-6] [CLK-4] a group reads on, rebalances, and reassigns a dead member's partitions", async () => {
    await ask("POST", "/v1/topics", { name: "t", partitions: 4 });
    const read: string[] = [];
    const consume = () => {
      const consumer = new Rivulet({ url: broker.url }).consumer({
        groupId: "g",
        topics: ["t"],
        sessionTimeoutMs: SESSION_MS,
        from: "earliest",
      });
      void consumer.run({
        eachRecord: ({ value }) => {
          read.push(new TextDecoder().decode(value ?? new Uint8Array()));
        },
      });
      return consumer;
    };
    const look = () =>
      ask<{ state: string; members: { assignment: { partitions: number[] }[] }[] }>(
        "GET",
        "/v1/groups/g",
      );
    const settled = (count: number, when: string) =>
      eventually(`${count} members to be settled ${when}`, async () => {
        const { state, members } = await look().catch(() => ({ state: "", members: [] }));
        return state === "STABLE" && members.length === count;
      });
    const one = consume();
    // A plain client that is cut off without a word.
    const plain = new WebSocket(
      `${broker.url.replace("http", "ws")}/v1/groups/g/consume?topics=t&ack=auto&sessionTimeoutMs=${SESSION_MS}`,
    );
    plain.on("error", () => {});
    plain.on("message", (data) => {
      const message = JSON.parse(String(data));
      if (message.type === "records") for (const { value } of message.records) read.push(value);
    });
    await settled(2, "at first");
    clock.set(stepMs);
    const all = Array.from({ length: 40 }, (_, i) => `r${i}`);
    for (const value of all) await send("t", value);
    await eventually("everything to be read", () => all.every((value) => read.includes(value)));
    await settled(2, "after the step");
    const two = consume();
    await settled(3, "with another");
    plain.terminate();
    await settled(2, "without the one that was cut off");
    await send("t", "last");
    await eventually("the last to be read", () => read.includes("last"));
    await one.close();
    await two.close();
  });

  test("[CLK-6] [CLK-4] a quiet group reassigns the partitions of a member that died before", async () => {
    await ask("POST", "/v1/topics", { name: "t", partitions: 2 });
    const members = ["a", "b"].map((memberId) => new PlainMember(memberId));
    const [stays, dies] = members as [PlainMember, PlainMember];
    try {
      await eventually("each to have one", () => members.every(({ owns }) => owns === 1));
      dies.end();
      await eventually("the group to have noticed", async () => {
        const { history } = await ask<{ history: object[] }>("GET", "/v1/groups/g/history");
        return JSON.stringify(history).includes('"disconnected"');
      });
      clock.set(stepMs);
      await eventually("the other to have both", () => stays.owns === 2);
    } finally {
      stays.end();
    }
  });

  test("[CLK-6] [CLK-4] Kafka's classic and new consumers read on", async () => {
    await ask("POST", "/v1/topics", { name: "t", partitions: 2 });
    const membership = { groupId: "k", topics: ["t"], commitsByHand: false };
    const one = await kafkaJs.join({ brokers: broker.kafka }, membership);
    await send("t", "before");
    await eventually("the first to be read", () => one.read.length === 1);
    clock.set(stepMs);
    for (let i = 0; i < 20; i++) await send("t", `r${i}`);
    await eventually("everything to be read", () => one.read.length >= 21);
    const two = await kafkaJs.join({ brokers: broker.kafka }, membership);
    for (let i = 0; i < 20; i++) await send("t", `s${i}`);
    await eventually("everything to be read", () => one.read.length + two.read.length >= 41);
    await one.stop();
    await two.stop();
  });
});

test.each([
  { how: "", config: {} },
  { how: ", including those that wait for others", config: { "commit.linger.ms": 100 } },
])(
  "[CLK-6] [CLK-1] the clock is set back and right again, repeatedly, and every append completes$how",
  async ({ config }) => {
    await ask("POST", "/v1/topics", { name: "t", partitions: 4, config });
    const sent: string[] = [];
    let isOver = false;
    // Three to each partition, so that some always wait for the previous commit.
    const producers = Array.from({ length: 12 }, async (_, p) => {
      for (let i = 0; !isOver; i++) {
        const partition = p % 4;
        const value = `${p} ${i}`;
        await ask("POST", "/v1/topics/t/records", { records: [{ value, partition }] });
        sent.push(value);
      }
    });
    const allGoOn = async (when: string) => {
      const sofar = sent.length;
      const hasEach = () => {
        const since = sent.slice(sofar);
        return producers.every((_, p) => since.some((value) => value.startsWith(`${p} `)));
      };
      await Promise.race([eventually(`an append by each, ${when}`, hasEach), ...producers]);
    };
    await allGoOn("at first");
    for (const stepMs of [-HOUR_MS, -20_000, -30 * 24 * HOUR_MS, -HOUR_MS, -20_000, -HOUR_MS]) {
      clock.set(stepMs);
      await allGoOn(`${stepMs} ms off`);
      clock.set(0);
      await allGoOn("right again");
    }
    isOver = true;
    await Promise.all(producers);
    const stored = await Promise.all([0, 1, 2, 3].map((partition) => valuesOf("t", partition)));
    expect(stored.flat().sort()).toEqual(sent.sort());
  },
);

test("[CLK-6] [CLK-3] a plain client that is silent over unacknowledged records is removed when the clock was set back", async () => {
  await ask("POST", "/v1/topics", { name: "t" });
  await send("t", "held");
  const query = `topics=t&sessionTimeoutMs=${SESSION_MS}`;
  const plain = new WebSocket(`${broker.url.replace("http", "ws")}/v1/groups/g/consume?${query}`);
  let isGiven = false;
  let code = 0;
  plain.on("error", () => {});
  plain.on("message", (data) => {
    isGiven ||= JSON.parse(String(data)).type === "records";
  });
  plain.on("close", (closed) => {
    code = closed;
  });
  await eventually("the record to be given", () => isGiven);
  clock.set(-HOUR_MS);
  await eventually("the client to be let go", () => code === 4003);
});
