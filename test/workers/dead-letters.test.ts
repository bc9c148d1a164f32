// The dead letters of a share group. Each test has a twin in which the partition is evicted between any two steps.
import { runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { PartitionObject } from "../../durable-objects/partition/partition-object.ts";
import { MAX_MESSAGE_BYTES } from "../../src/core/limits.ts";
import { partitionStub } from "../../src/env.ts";
import {
  alarmOf,
  call,
  createTopic,
  env,
  eventually,
  expectStatus,
  fetchRecords,
  type JsonRecord,
  produce,
  type TopicJson,
  TWINS,
  unique,
} from "./support.ts";

afterEach(() => void vi.restoreAllMocks());

type Interrupt = (typeof TWINS)[number]["interrupt"];

interface Acquired {
  readonly records: readonly { readonly leaseId: string; readonly value: string }[];
}

interface ShareJson {
  readonly partitions: readonly { readonly archiving: number; readonly archived: number }[];
}

/** A queue with a dead-letter topic, which does not exist yet. */
class Queue {
  readonly group = unique("queue");
  readonly dead = unique("dead");
  readonly topic: TopicJson;
  readonly #interrupt: Interrupt;

  constructor(topic: TopicJson, interrupt: Interrupt) {
    this.topic = topic;
    this.#interrupt = interrupt;
  }

  static async of(
    records: readonly Parameters<typeof produce>[1][number][],
    interrupt: Interrupt = async () => {},
    config: object = {},
  ): Promise<Queue> {
    const queue = new Queue(await createTopic(2), interrupt);
    await produce(
      queue.topic.name,
      records.map((record) => ({ ...record, partition: 1 })),
    );
    await queue.configure({ "errors.deadletterqueue.topic.name": queue.dead, ...config });
    return queue;
  }

  get stub() {
    return partitionStub(env, this.topic.topicId, 1);
  }

  async sleep(): Promise<void> {
    await this.#interrupt(this.stub);
  }

  async configure(config: object): Promise<void> {
    await expectStatus(200, "PATCH", `/v1/groups/${this.group}`, { config });
  }

  /** Acquires all, and says this about all. */
  async say(type: string, more: object = {}): Promise<string[]> {
    const path = `/v1/share-groups/${this.group}`;
    const body = { topics: [this.topic.name] };
    const { records } = await expectStatus<Acquired>(200, "POST", `${path}/acquire`, body);
    if (records.length === 0) return [];
    await this.sleep();
    const acks = records.map(({ leaseId }) => ({ leaseId, type, ...more }));
    await expectStatus(200, "POST", `${path}/acknowledge`, { acks });
    return records.map(({ value }) => value);
  }

  async counts(): Promise<{ archiving: number; archived: number } | undefined> {
    const path = `/v1/share-groups/${this.group}`;
    const { partitions } = await expectStatus<ShareJson>(200, "GET", path);
    const sum = (field: "archiving" | "archived") =>
      partitions.reduce((total, each) => total + each[field], 0);
    return { archiving: sum("archiving"), archived: sum("archived") };
  }

  async archived(count: number): Promise<void> {
    await eventually(async () => {
      const counts = await this.counts();
      return counts?.archiving === 0 && counts.archived === count;
    }, `${count} records are archived`);
  }

  /** Returns the dead letters, of which there are so many. */
  async letters(partition = 1): Promise<readonly JsonRecord[]> {
    return (await fetchRecords(this.dead, partition)).records;
  }

  /** Rings the alarm until nothing is archiving. */
  async ring(): Promise<void> {
    await eventually(async () => {
      if ((await this.counts())?.archiving === 0) return true;
      vi.useFakeTimers({ toFake: ["Date"], now: (await alarmOf(this.stub)) ?? Date.now() });
      await runDurableObjectAlarm(this.stub);
      vi.useRealTimers();
      return false;
    }, "nothing is archiving");
  }
}

const HEADERS = {
  trace: "t-1",
  "__dlq.errors.partition": "1",
  "__dlq.errors.offset": "0",
  "__dlq.errors.delivery.count": "1",
};

describe.each(TWINS)("a record that is given up$when", ({ interrupt }) => {
  test("[DLQ-1] [DLQ-2] [DLQ-3] is written to the dead-letter topic, which is created, with all that it had", async () => {
    const queue = await Queue.of(
      [{ key: "k", value: "bad", headers: { trace: "t-1" } }],
      interrupt,
    );
    await queue.say("reject", { reason: "no such customer" });
    await queue.archived(1);
    const [letter, ...others] = await queue.letters();
    expect(others).toEqual([]);
    expect(letter).toMatchObject({ key: "k", value: "bad" });
    expect(letter?.headers).toEqual({
      ...HEADERS,
      "__dlq.errors.topic": queue.topic.name,
      "__dlq.errors.group": queue.group,
      "__dlq.errors.message": "no such customer",
    });
  });

  test("[DLQ-1] at the limit of deliveries", async () => {
    const config = { "share.delivery.count.limit": 2 };
    const queue = await Queue.of([{ value: "a" }, { value: "b" }], interrupt, config);
    await queue.say("release");
    await queue.say("release");
    await queue.archived(2);
    const letters = await queue.letters();
    expect(letters.map(({ value }) => value).sort()).toEqual(["a", "b"]);
    expect(letters[0]?.headers).toMatchObject({
      "__dlq.errors.delivery.count": "2",
      "__dlq.errors.message": "Offset delivery count exceeded the threshold.",
    });
  });

  test("[DLQ-1] is written once, although the answer of the append was lost", async () => {
    vi.spyOn(console, "error").mockReturnValue();
    const queue = await Queue.of([{ value: "bad" }], interrupt);
    const { append } = PartitionObject.prototype;
    let lost = 0;
    vi.spyOn(PartitionObject.prototype, "append").mockImplementation(async function (
      this: PartitionObject,
      ...sent
    ) {
      const answer = await append.apply(this, sent);
      const isLetter = JSON.stringify(sent).includes('"requestId":"dead-letter');
      if (!isLetter || lost++ > 1) return answer;
      throw new Error("Network connection lost.");
    });
    await queue.say("reject");
    await eventually(async () => lost > 0, "an answer is lost");
    await queue.sleep();
    await queue.ring();
    expect(lost).toBeGreaterThan(2);
    expect(await queue.letters()).toHaveLength(1);
    expect(await queue.counts()).toEqual({ archiving: 0, archived: 1 });
  });

  test("[DLQ-4] waits for its topic, and holds up nothing", async () => {
    vi.spyOn(console, "error").mockReturnValue();
    const config = { "errors.deadletterqueue.auto.create.topics.enable": "false" };
    const queue = await Queue.of([{ value: "bad" }], interrupt, config);
    await queue.say("reject");
    await produce(queue.topic.name, [{ value: "good", partition: 1 }]);
    expect(await queue.say("accept")).toEqual(["good"]);
    expect(await queue.counts()).toEqual({ archiving: 1, archived: 0 });
    await queue.sleep();
    await createTopic(1, undefined, queue.dead);
    await queue.ring();
    expect(await queue.letters(0)).toMatchObject([{ value: "bad" }]);
  });
});

describe.each(TWINS)("a redrive$when", ({ interrupt }) => {
  interface Redriven {
    readonly redriven: number;
    readonly skipped: number;
    readonly left: number;
    readonly failed: readonly { readonly detail: string }[];
  }
  const redrive = (queue: Queue, maxRecords = 1_000) =>
    expectStatus<Redriven>(200, "POST", `/v1/share-groups/${queue.group}/redrive`, { maxRecords });

  test("[DLQ-5] sends the dead letters of the group back, each once, as they were", async () => {
    const records = [{ key: "k", value: "a", headers: { trace: "t" } }, { value: "b" }];
    const queue = await Queue.of(records, interrupt);
    const other = new Queue(queue.topic, interrupt);
    await other.configure({ "errors.deadletterqueue.topic.name": queue.dead });
    await queue.say("reject");
    await other.say("reject");
    await queue.archived(2);
    await other.archived(2);
    const first = await redrive(queue, 3);
    await queue.sleep();
    const second = await redrive(queue, 3);
    expect(first.redriven + second.redriven).toBe(2);
    expect(first.skipped + second.skipped).toBe(2);
    expect(second).toMatchObject({ left: 0, failed: [] });
    expect(await redrive(queue)).toEqual({ redriven: 0, skipped: 0, left: 0, failed: [] });
    const { records: all } = await fetchRecords(queue.topic.name, 1);
    expect(all.slice(2).map(({ key, value, headers }) => ({ key, value, headers }))).toEqual([
      { key: "k", value: "a", headers: { trace: "t" } },
      { key: null, value: "b", headers: {} },
    ]);
    expect((await queue.say("accept")).sort()).toEqual(["a", "b"]);
  });

  test("[DLQ-5] tries again what has failed, and repeats nothing whose answer was lost", async () => {
    const queue = await Queue.of([{ value: "a" }], interrupt);
    await queue.say("reject");
    await queue.archived(1);
    const { append } = PartitionObject.prototype;
    let isStored = false;
    const lost = vi.spyOn(PartitionObject.prototype, "append");
    vi.spyOn(console, "error").mockReturnValue();
    lost.mockImplementation(async function (this: PartitionObject, ...sent) {
      const answer = await append.apply(this, sent);
      isStored ||= answer.ok;
      throw new Error("Network connection lost.");
    });
    const failed = await redrive(queue);
    expect(failed).toMatchObject({ redriven: 0, left: 1, failed: [{ partition: 1 }] });
    expect(isStored).toBe(true);
    lost.mockRestore();
    await queue.sleep();
    expect(await redrive(queue)).toMatchObject({ redriven: 1, left: 0 });
    expect((await fetchRecords(queue.topic.name, 1)).records).toHaveLength(2);
  });

  test("[DLQ-5] sends nothing while the topic does not exist, and the first letter at once", async () => {
    const queue = await Queue.of([{ value: "a" }], interrupt);
    expect(await redrive(queue)).toEqual({ redriven: 0, skipped: 0, left: 0, failed: [] });
    await queue.sleep();
    await queue.say("reject");
    await queue.archived(1);
    expect(await redrive(queue)).toMatchObject({ redriven: 1, left: 0 });
  });

  test("[DLQ-5] takes a group that has a dead-letter topic", async () => {
    const queue = new Queue(await createTopic(1), interrupt);
    await queue.say("accept");
    const refused = await expectStatus(400, "POST", `/v1/share-groups/${queue.group}/redrive`, {});
    expect(refused).toMatchObject({ code: "INVALID_REQUEST" });
  });
});

describe("a dead letter", () => {
  test("[DLQ-4] that cannot be written keeps no other back", async () => {
    vi.spyOn(console, "error").mockReturnValue();
    const values = Array.from({ length: 30 }, (_, i) => ({ key: `k${i}`, value: `v${i}` }));
    const queue = await Queue.of([{ value: "keyless" }, ...values]);
    await createTopic(2, { "cleanup.policy": "compact" }, queue.dead);
    await queue.say("reject");
    await eventually(async () => (await queue.letters()).length === 30, "all others are written");
    expect(await queue.counts()).toMatchObject({ archiving: 1 });
    const next = unique("dead");
    await queue.configure({ "errors.deadletterqueue.topic.name": next });
    await queue.ring();
    expect((await fetchRecords(next, 1)).records).toMatchObject([{ value: "keyless" }]);
  });

  test("[DLQ-1] [SHR-10] is not made of a record that retention took before it was given up", async () => {
    const queue = await Queue.of([{ value: "a" }]);
    const path = `/v1/share-groups/${queue.group}`;
    const body = { topics: [queue.topic.name] };
    const { records } = await expectStatus<Acquired>(200, "POST", `${path}/acquire`, body);
    await expectStatus(
      200,
      "DELETE",
      `/v1/topics/${queue.topic.name}/partitions/1/records?before=1`,
    );
    const acks = records.map(({ leaseId }) => ({ leaseId, type: "reject" }));
    await expectStatus(200, "POST", `${path}/acknowledge`, { acks });
    await queue.archived(1);
    expect((await call("GET", `/v1/topics/${queue.dead}`)).status).toBe(404);
  });

  test("[DLQ-2] has no content if the config says so, or if it would be too large", async () => {
    const config = { "errors.deadletterqueue.copy.record.enable": "false" };
    const queue = await Queue.of([{ key: "k", value: "bad" }], undefined, config);
    await queue.say("reject");
    await queue.archived(1);
    expect(await queue.letters()).toMatchObject([{ key: null, value: null }]);
    const large = await Queue.of([{ value: "x".repeat(MAX_MESSAGE_BYTES - 150) }]);
    await large.say("reject");
    await large.archived(1);
    const letters = await large.letters();
    expect(letters).toMatchObject([{ key: null, value: null }]);
    expect(letters[0]?.headers).toMatchObject({ "__dlq.errors.topic": large.topic.name });
  });

  test("[DLQ-1] [SHR-10] is not made by retention", async () => {
    const queue = await Queue.of([{ value: "a" }, { value: "b" }]);
    await queue.say("release", { delayMs: 60_000 });
    const path = `/v1/topics/${queue.topic.name}/partitions/1/records?before=2`;
    await expectStatus(200, "DELETE", path);
    expect(await queue.say("accept")).toEqual([]);
    await queue.archived(2);
    const none = await call("GET", `/v1/topics/${queue.dead}`);
    expect(none.status).toBe(404);
  });

  test("[DLQ-1] many are written, each once", async () => {
    const values = Array.from({ length: 250 }, (_, i) => ({ value: `v${i}` }));
    const queue = await Queue.of(values);
    while ((await queue.say("reject")).length > 0);
    await queue.archived(250);
    const found = (await queue.letters()).map(({ value }) => value);
    expect(new Set(found).size).toBe(250);
    expect(found).toHaveLength(250);
  });

  test("[DLQ-1] is dropped if the config no longer names a topic", async () => {
    vi.spyOn(console, "error").mockReturnValue();
    const queue = await Queue.of([{ value: "bad" }], undefined, {
      "errors.deadletterqueue.auto.create.topics.enable": "false",
    });
    await queue.say("reject");
    await eventually(async () => (await queue.counts())?.archiving === 1, "it is archiving");
    await queue.configure({ "errors.deadletterqueue.topic.name": null });
    await queue.ring();
    expect(await queue.counts()).toEqual({ archiving: 0, archived: 1 });
  });

  test("[DLQ-3] is not read by its own group", async () => {
    const queue = await Queue.of([{ value: "bad" }]);
    await queue.say("reject");
    await queue.archived(1);
    const path = `/v1/share-groups/${queue.group}/acquire`;
    const refused = await expectStatus(400, "POST", path, { topics: [queue.dead] });
    expect(refused).toMatchObject({ code: "INVALID_REQUEST" });
    const other = `/v1/share-groups/${unique("redrive")}/acquire`;
    const read = await expectStatus<Acquired>(200, "POST", other, { topics: [queue.dead] });
    expect(read.records).toHaveLength(1);
  });

  test("[DLQ-3] goes to no illegal topic", async () => {
    for (const name of ["__x", "a b", 7]) {
      const config = { "errors.deadletterqueue.topic.name": name };
      const answer = await call("PATCH", `/v1/groups/${unique("g")}`, { config });
      expect(answer).toMatchObject({ status: 400, body: { code: "INVALID_CONFIG" } });
    }
  });
});
