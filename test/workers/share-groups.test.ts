// /v1/share-groups: consumers that hold no connection. Each test has a twin in which the group and the partitions are evicted
// before each request.
import { listDurableObjectIds, runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { PartitionObject } from "../../durable-objects/partition/partition-object.ts";
import { MAX_SHARE_GROUPS_PER_PARTITION } from "../../src/core/limits.ts";
import { groupStub, partitionStub } from "../../src/env.ts";
import {
  alarmOf,
  call,
  createTopic,
  env,
  eventually,
  expectStatus,
  type JsonRecord,
  listedGroups,
  produce,
  refuse,
  type TopicJson,
  TWINS,
  unique,
} from "./support.ts";

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

interface SharedRecord extends JsonRecord {
  readonly topic: string;
  readonly partition: number;
  readonly deliveryCount: number;
  readonly leaseId: string;
}

interface Result {
  readonly ok: boolean;
  readonly code?: string;
}

interface ShareJson {
  readonly state: string;
  readonly partitions: readonly (Record<string, number> & { topic: string })[];
}

const LOCK_MS = 30_000;

class Queue {
  readonly group = unique("queue");
  readonly topic: TopicJson;
  readonly #interrupt: (typeof TWINS)[number]["interrupt"];

  constructor(topic: TopicJson, interrupt: (typeof TWINS)[number]["interrupt"] = async () => {}) {
    this.topic = topic;
    this.#interrupt = interrupt;
  }

  static async of(
    partitions: number,
    values: readonly string[],
    interrupt?: (typeof TWINS)[number]["interrupt"],
  ): Promise<Queue> {
    const topic = await createTopic(partitions);
    if (values.length > 0)
      await produce(
        topic.name,
        values.map((value) => ({ value })),
      );
    return new Queue(topic, interrupt);
  }

  async sleep(): Promise<void> {
    const { topicId, partitions } = this.topic;
    const all = Array.from({ length: partitions }, (_, i) => partitionStub(env, topicId, i));
    await this.#interrupt(groupStub(env, this.group), ...all);
  }

  async acquire(options: object = {}): Promise<SharedRecord[]> {
    await this.sleep();
    const body = { topics: [this.topic.name], ...options };
    const path = `/v1/share-groups/${this.group}/acquire`;
    return (await expectStatus<{ records: SharedRecord[] }>(200, "POST", path, body)).records;
  }

  /** Returns "ok" or the error of each. */
  async acknowledge(type: string, records: readonly SharedRecord[], more: object = {}) {
    await this.sleep();
    const acks = records.map(({ leaseId }) => ({ leaseId, type, ...more }));
    const path = `/v1/share-groups/${this.group}/acknowledge`;
    const { results } = await expectStatus<{ results: Result[] }>(200, "POST", path, { acks });
    return results.map(({ ok, code }) => (ok ? "ok" : code));
  }

  async configure(config: object): Promise<void> {
    await expectStatus(200, "PATCH", `/v1/groups/${this.group}`, { config });
  }

  async describe(): Promise<ShareJson> {
    await this.sleep();
    return await expectStatus<ShareJson>(200, "GET", `/v1/share-groups/${this.group}`);
  }

  /** Returns the description, or null if there is no such share group. */
  async described(): Promise<ShareJson | null> {
    const { status, body } = await call<ShareJson>("GET", `/v1/share-groups/${this.group}`);
    return status === 200 ? body : null;
  }

  /** Turns the time, and rings the alarm of the first partition if it is due. */
  async pass(ms: number): Promise<void> {
    vi.setSystemTime(Date.now() + ms);
    const stub = partitionStub(env, this.topic.topicId, 0);
    const atMs = await alarmOf(stub);
    if (atMs !== null && atMs <= Date.now()) await runDurableObjectAlarm(stub);
  }
}

function shown(records: readonly SharedRecord[]): string[] {
  return records.map(({ value, deliveryCount }) => `${value}×${deliveryCount}`).sort();
}

describe.each(TWINS)("a consumer without a connection$when", ({ interrupt }) => {
  test("[SHR-1] [SHR-3] [SHR-19] [SHR-20] gets each record once, and accepts it", async () => {
    const queue = await Queue.of(2, ["a", "b", "c", "d"], interrupt);
    const first = await queue.acquire({ maxRecords: 3 });
    expect(first).toHaveLength(3);
    expect(first[0]).toMatchObject({ topic: queue.topic.name, key: null, deliveryCount: 1 });
    const second = await queue.acquire();
    expect(shown([...first, ...second])).toEqual(["a×1", "b×1", "c×1", "d×1"]);
    expect(await queue.acquire()).toEqual([]);
    expect(await queue.acknowledge("accept", [...first, ...second])).toEqual(Array(4).fill("ok"));
    expect(await queue.acquire()).toEqual([]);
    const { state, partitions } = await queue.describe();
    expect(state).toBe("EMPTY");
    const sum = (field: string) =>
      partitions.reduce((total, each) => total + (each[field] ?? 0), 0);
    expect([sum("acknowledged"), sum("inFlight"), sum("lag"), sum("startOffset")]).toEqual([
      4, 0, 0, 4,
    ]);
  });

  test("[SHR-4] [SHR-5] [SHR-8] releases and rejects, and may say it once", async () => {
    const queue = await Queue.of(1, ["a", "b", "c"], interrupt);
    const [a, b, c] = (await queue.acquire()) as [SharedRecord, SharedRecord, SharedRecord];
    expect(await queue.acknowledge("release", [a, a])).toEqual(["ok", "INVALID_RECORD_STATE"]);
    expect(await queue.acknowledge("reject", [b], { reason: "no" })).toEqual(["ok"]);
    expect(await queue.acknowledge("accept", [b, c, c])).toEqual([
      "INVALID_RECORD_STATE",
      "ok",
      "INVALID_RECORD_STATE",
    ]);
    const again = await queue.acquire();
    expect(shown(again)).toEqual(["a×2"]);
    expect(await queue.acknowledge("accept", [a])).toEqual(["INVALID_RECORD_STATE"]);
    expect(await queue.acknowledge("accept", again)).toEqual(["ok"]);
    const [partition] = (await queue.describe()).partitions;
    expect(partition).toMatchObject({ startOffset: 3, acknowledged: 2, archived: 1, lag: 0 });
  });

  test("[SHR-7] loses what it does not acknowledge in time", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const queue = await Queue.of(1, ["a", "b"], interrupt);
    const held = await queue.acquire({ maxRecords: 1, lockMs: 5_000 });
    expect(shown(await queue.acquire())).toEqual(["b×1"]);
    await queue.pass(4_999);
    expect(await queue.acquire()).toEqual([]);
    await queue.pass(1);
    expect(await queue.acknowledge("accept", held)).toEqual(["INVALID_RECORD_STATE"]);
    expect(shown(await queue.acquire())).toEqual(["a×2"]);
  });

  test("[SHR-6] holds a record for longer, in time", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const queue = await Queue.of(1, ["a", "b"], interrupt);
    const [a, b] = (await queue.acquire()) as [SharedRecord, SharedRecord];
    await queue.pass(LOCK_MS - 1);
    expect(await queue.acknowledge("renew", [a])).toEqual(["ok"]);
    await queue.pass(1);
    expect(await queue.acknowledge("renew", [b])).toEqual(["INVALID_RECORD_STATE"]);
    expect(await queue.acknowledge("renew", [a], { delayMs: 3_600_000 })).toEqual(["ok"]);
    await queue.pass(3_599_999);
    expect(await queue.acknowledge("accept", [a])).toEqual(["ok"]);
  });

  test("[SHR-2] [SHR-4] gets a record as often as the config says, after the waits that it says", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const queue = await Queue.of(1, ["poison"], interrupt);
    await queue.configure({
      "share.delivery.count.limit": 3,
      "share.retry.backoff.ms": "1000, 5000",
    });
    for (const [count, waitMs] of [
      [1, 1_000],
      [2, 5_000],
      [3, 0],
    ] as const) {
      const records = await queue.acquire();
      expect(shown(records)).toEqual([`poison×${count}`]);
      expect(await queue.acknowledge("release", records)).toEqual(["ok"]);
      if (waitMs > 0) await queue.pass(waitMs - 1);
      expect(await queue.acquire()).toEqual([]);
      await queue.pass(1);
    }
    expect(await queue.acquire()).toEqual([]);
    const [partition] = (await queue.describe()).partitions;
    expect(partition).toMatchObject({ startOffset: 1, archived: 1 });
  });

  test("[SHR-17] follows a change of the group's config, also in partitions that it reads already", async () => {
    const queue = await Queue.of(1, ["a", "b"], interrupt);
    await queue.acknowledge("release", await queue.acquire({ maxRecords: 1 }));
    await queue.configure({
      "share.delivery.count.limit": 1,
      "share.record.lock.duration.ms": 7_000,
    });
    const path = `/v1/share-groups/${queue.group}/acquire`;
    const answer = await expectStatus<{ lockTimeoutMs: number; records: SharedRecord[] }>(
      200,
      "POST",
      path,
      { topics: [queue.topic.name] },
    );
    expect(shown(answer.records)).toEqual(["b×1"]);
  });

  test("[SHR-18] begins where it is asked to, or where the config says, and stays there", async () => {
    const queue = await Queue.of(1, ["old"], interrupt);
    expect(await queue.acquire({ from: "latest" })).toEqual([]);
    await produce(queue.topic.name, [{ value: "new" }]);
    expect(shown(await queue.acquire())).toEqual(["new×1"]);
    const other = new Queue(queue.topic, interrupt);
    await other.configure({ "share.auto.offset.reset": "latest" });
    expect(await other.acquire()).toEqual([]);
    const all = new Queue(queue.topic, interrupt);
    expect(shown(await all.acquire({ maxRecords: 1 }))).toEqual(["old×1"]);
  });

  test("[SHR-18] a group that begins at the end misses nothing of a partition that nobody has used", async () => {
    const queue = await Queue.of(1, [], interrupt);
    expect(await queue.acquire({ from: "latest" })).toEqual([]);
    await produce(queue.topic.name, [{ value: "first" }]);
    expect(shown(await queue.acquire({ from: "latest" }))).toEqual(["first×1"]);
  });

  test("[SHR-10] retention takes records away from it", async () => {
    const queue = await Queue.of(1, ["a", "b", "c"], interrupt);
    const held = await queue.acquire({ maxRecords: 1 });
    await expectStatus(
      200,
      "DELETE",
      `/v1/topics/${queue.topic.name}/partitions/0/records?before=2`,
    );
    expect(shown(await queue.acquire())).toEqual(["c×1"]);
    expect(await queue.acknowledge("accept", held)).toEqual(["ok"]);
    const [partition] = (await queue.describe()).partitions;
    expect(partition).toMatchObject({ startOffset: 2, archived: 2, acknowledged: 0 });
  });

  test("[SHR-19] waits for records, also for those that others release", async () => {
    const queue = await Queue.of(1, ["a"], interrupt);
    const held = await queue.acquire();
    const waiting = queue.acquire({ waitMs: 8_000 });
    await produce(queue.topic.name, [{ value: "b" }]);
    expect(shown(await waiting)).toEqual(["b×1"]);
    const next = queue.acquire({ waitMs: 8_000 });
    expect(await queue.acknowledge("release", held)).toEqual(["ok"]);
    expect(shown(await next)).toEqual(["a×2"]);
  });

  test("[SHR-12] goes back, or on, with a reset, which ends all locks", async () => {
    const queue = await Queue.of(1, ["a", "b", "c"], interrupt);
    const [a, b] = (await queue.acquire({ maxRecords: 2 })) as [SharedRecord, SharedRecord];
    await queue.acknowledge("accept", [a]);
    await queue.acknowledge("release", [b], { delayMs: 60_000 });
    const reset = async (to: unknown, dryRun = false) => {
      await queue.sleep();
      const path = `/v1/groups/${queue.group}/offsets`;
      return await expectStatus<{ offsets: object[] }>(200, "POST", path, { to, dryRun });
    };
    expect(await reset("latest", true)).toMatchObject({
      offsets: [{ committedOffset: 1, offset: 3 }],
    });
    expect(await reset({ offset: 1 })).toMatchObject({ offsets: [{ offset: 1 }] });
    expect(shown(await queue.acquire({ maxRecords: 1 }))).toEqual(["b×1"]);
    await reset("earliest");
    const again = await queue.acquire();
    expect(shown(again)).toEqual(["a×1", "b×1", "c×1"]);
    expect(await queue.acknowledge("accept", [b])).toEqual(["INVALID_RECORD_STATE"]);
    await reset("latest");
    expect(await queue.acknowledge("accept", again)).toEqual(["ok", "ok", "ok"]);
    expect(await queue.acquire()).toEqual([]);
    const group = await expectStatus(200, "GET", `/v1/groups/${queue.group}`);
    expect(group).toMatchObject({ kind: "share", offsets: [{ committedOffset: 3, lag: 0 }] });
  });

  test("[SHR-16] a deleted group begins anew, and its leases end with it", async () => {
    const queue = await Queue.of(1, ["a"], interrupt);
    const held = await queue.acquire();
    await queue.sleep();
    await expectStatus(204, "DELETE", `/v1/groups/${queue.group}`);
    expect(await queue.acknowledge("accept", held)).toEqual(["GROUP_ID_NOT_FOUND"]);
    expect(shown(await queue.acquire())).toEqual(["a×1"]);
    expect(await queue.acknowledge("accept", held)).toEqual(["INVALID_RECORD_STATE"]);
  });

  test("[SHR-16] the first use decides whether a group is a share group", async () => {
    const queue = await Queue.of(1, ["a"], interrupt);
    await queue.acquire();
    await queue.sleep();
    const poll = { instanceId: "i", topics: [queue.topic.name] };
    const refused = await expectStatus(404, "POST", `/v1/groups/${queue.group}/poll`, poll);
    expect(refused).toMatchObject({ code: "GROUP_ID_NOT_FOUND" });
    const consumers = new Queue(queue.topic, interrupt);
    await expectStatus(200, "POST", `/v1/groups/${consumers.group}/poll`, poll);
    await consumers.sleep();
    for (const [method, path, body] of [
      ["POST", `/v1/share-groups/${consumers.group}/acquire`, { topics: [queue.topic.name] }],
      ["GET", `/v1/share-groups/${consumers.group}`, undefined],
    ] as const) {
      const other = await expectStatus(404, method, path, body);
      expect(other).toMatchObject({ code: "GROUP_ID_NOT_FOUND" });
    }
  });

  test("[SHR-16] a deleted topic takes its leases and its states along", async () => {
    const queue = await Queue.of(1, ["a"], interrupt);
    const held = await queue.acquire();
    await expectStatus(204, "DELETE", `/v1/topics/${queue.topic.name}`);
    expect(await queue.acknowledge("accept", held)).toEqual(["UNKNOWN_TOPIC_OR_PARTITION"]);
    expect((await queue.describe()).partitions).toEqual([]);
    await createTopic(1, undefined, queue.topic.name);
    expect(await queue.acknowledge("accept", held)).toEqual(["UNKNOWN_TOPIC_ID"]);
  });
});

describe("a share group", () => {
  test("[SHR-10] what compaction has removed inside a batch is finished, and holds nothing up", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const config = {
      ...{ "cleanup.policy": "compact", "segment.ms": 1_000, "min.compaction.lag.ms": 0 },
      "min.cleanable.dirty.ratio": 0,
    };
    const topic = await createTopic(1, config);
    const queue = new Queue(topic);
    const keyed = (keys: readonly string[]) =>
      produce(
        topic.name,
        keys.map((key) => ({ key, value: key })),
      );
    await keyed(["x", "a", "b", "c", "a", "b", "c"]); // Only the first one will be left.
    await queue.acknowledge("release", await queue.acquire({ maxRecords: 1 }));
    await queue.pass(2_000);
    await keyed(["a", "b", "c", "d"]);
    await queue.pass(2_000);
    await keyed(["e"]);
    const stub = partitionStub(env, topic.topicId, 0);
    vi.setSystemTime(Date.now() + 600_000);
    await runDurableObjectAlarm(stub);
    const seen: SharedRecord[] = [];
    for (let more = await queue.acquire({ maxRecords: 1 }); more.length > 0; ) {
      seen.push(...more);
      more = await queue.acquire({ maxRecords: 1 });
    }
    const values = seen.map(({ value }) => value);
    expect(values).toEqual(["x", "a", "b", "c", "d", "e"]);
    expect(new Set(seen.map(({ offset }) => offset)).size).toBe(seen.length);
    await queue.acknowledge("accept", seen);
    expect((await queue.describe()).partitions[0]).toMatchObject({ lag: 0, inFlight: 0 });
  });

  test("[SHR-19] gives no more than maxRecords, of however many partitions", async () => {
    const topic = await createTopic(7);
    const records = Array.from({ length: 70 }, (_, i) => ({ value: `${i}`, partition: i % 7 }));
    await produce(topic.name, records);
    const queue = new Queue(topic);
    for (const maxRecords of [1, 2, 7, 13, 20])
      expect(await queue.acquire({ maxRecords })).toHaveLength(maxRecords);
    expect(await queue.acquire()).toHaveLength(70 - 43);
  });

  test("[SHR-19] gives what it has, although another partition fails", async () => {
    vi.spyOn(console, "error").mockReturnValue();
    const topic = await createTopic(2);
    const queue = new Queue(topic);
    await produce(
      topic.name,
      [0, 1].map((partition) => ({ value: `${partition}`, partition })),
    );
    const { acquire } = PartitionObject.prototype;
    vi.spyOn(PartitionObject.prototype, "acquire").mockImplementation(async function (
      this: PartitionObject,
      ...sent
    ) {
      const { id } = (this as unknown as { ctx: DurableObjectState }).ctx;
      if (id.name?.endsWith("/0")) throw new Error("SQLITE_IOERR: disk I/O error");
      return acquire.apply(this, sent);
    });
    expect(shown(await queue.acquire())).toEqual(["1×1"]);
    const path = `/v1/share-groups/${queue.group}/acquire`;
    await expectStatus(503, "POST", path, { topics: [topic.name] });
    vi.restoreAllMocks();
    expect(shown(await queue.acquire())).toEqual(["0×1"]);
  });

  test("[SHR-17] says for how long records are held, also after a change of its config", async () => {
    const queue = await Queue.of(1, ["a", "b"]);
    const acquire = () =>
      expectStatus<{ lockTimeoutMs: number }>(
        200,
        "POST",
        `/v1/share-groups/${queue.group}/acquire`,
        { topics: [queue.topic.name], maxRecords: 1 },
      );
    expect((await acquire()).lockTimeoutMs).toBe(LOCK_MS);
    await queue.configure({ "share.record.lock.duration.ms": 1_000 });
    expect((await acquire()).lockTimeoutMs).toBe(1_000);
  });

  test("[SHR-20] [PLC-3] a lease of a partition that does not exist creates nothing", async () => {
    const queue = await Queue.of(1, ["a"]);
    const [record] = (await queue.acquire()) as [SharedRecord];
    const leaseId = record.leaseId.replace(
      `${queue.topic.topicId}.0.`,
      `${queue.topic.topicId}.77.`,
    );
    expect(await queue.acknowledge("accept", [{ ...record, leaseId }])).toEqual([
      "INVALID_REQUEST",
    ]);
    const name = env.PARTITION.idFromName(`${queue.topic.topicId}/77`);
    const ids = (await listDurableObjectIds(env.PARTITION)).map(String);
    expect(ids).not.toContain(String(name));
  });

  test("[SHR-16] keeps its partitions when somebody deletes offsets, which it has none of", async () => {
    const queue = await Queue.of(1, ["a"]);
    await queue.acquire();
    const path = `/v1/groups/${queue.group}/offsets?topics=${queue.topic.name}`;
    const refused = await expectStatus(404, "DELETE", path);
    expect(refused).toMatchObject({ code: "GROUP_ID_NOT_FOUND" });
    expect((await queue.describe()).partitions).toHaveLength(1);
  });

  test("[SHR-16] [SHR-19] a client that waits goes on with the next group when its group is deleted", async () => {
    const queue = await Queue.of(1, []);
    const waiting = queue.acquire({ waitMs: 8_000 });
    await eventually(async () => (await queue.described())?.partitions.length === 1, "it waits");
    await expectStatus(204, "DELETE", `/v1/groups/${queue.group}`);
    await eventually(
      async () => (await queue.described())?.partitions.length === 1,
      "the next one",
    );
    await produce(queue.topic.name, [{ value: "a" }]);
    expect(shown(await waiting)).toEqual(["a×1"]);
  });

  test("[DLQ-3] cannot be told to write its dead letters where it reads", async () => {
    const queue = await Queue.of(1, ["a"]);
    await queue.acquire();
    const config = { "errors.deadletterqueue.topic.name": queue.topic.name };
    const refused = await expectStatus(400, "PATCH", `/v1/groups/${queue.group}`, { config });
    expect(refused).toMatchObject({ code: "INVALID_CONFIG" });
  });

  test("[SHR-7] sets the partition's alarm only while something is held or delayed", async () => {
    const queue = await Queue.of(1, ["a", "b"]);
    const stub = partitionStub(env, queue.topic.topicId, 0);
    const before = await alarmOf(stub);
    const held = await queue.acquire({ maxRecords: 1 });
    const atMs = (await alarmOf(stub)) ?? 0;
    expect(atMs).toBeLessThanOrEqual(Date.now() + LOCK_MS);
    expect(atMs).not.toBe(before);
    await queue.acknowledge("accept", held);
    await runDurableObjectAlarm(stub);
    expect(await alarmOf(stub)).toBe(before);
  });

  test("[SHR-3] answers nothing that could not be stored", async () => {
    const queue = await Queue.of(1, ["a"]);
    const stub = partitionStub(env, queue.topic.topicId, 0);
    const held = await queue.acquire();
    vi.spyOn(console, "error").mockReturnValue();
    const restore = await refuse(stub, /INTO share_groups/);
    expect(await queue.acknowledge("accept", held)).not.toEqual(["ok"]);
    expect(restore()).toBeGreaterThan(0);
    expect(await queue.acknowledge("accept", held)).toEqual(["ok"]);
  });

  test("[SHR-15] has a place in a partition, of which there are so many", async () => {
    const topic = await createTopic(1);
    await produce(topic.name, [{ value: "a" }]);
    for (let i = 0; i < MAX_SHARE_GROUPS_PER_PARTITION; i++)
      expect(await new Queue(topic).acquire()).toHaveLength(1);
    const late = `/v1/share-groups/${unique("late")}/acquire`;
    const refused = await expectStatus(400, "POST", late, { topics: [topic.name] });
    expect(refused).toMatchObject({ code: "INVALID_REQUEST" });
  });

  test("[SHR-19] is not made by a request that is refused", async () => {
    const topic = await createTopic(1);
    const group = unique("none");
    for (const [status, body] of [
      [404, { topics: [unique("missing")] }],
      [400, { topics: [] }],
      [400, { topics: [topic.name], maxRecords: 1_001 }],
      [400, { topics: [topic.name], lockMs: 999 }],
    ] as const)
      await expectStatus(status, "POST", `/v1/share-groups/${group}/acquire`, body);
    await expectStatus(404, "GET", `/v1/share-groups/${group}`);
    expect(await listedGroups()).not.toContain(group);
  });

  test("[SHR-20] tells each wrong acknowledgement what is wrong", async () => {
    const queue = await Queue.of(1, ["a"]);
    const [record] = (await queue.acquire()) as [SharedRecord];
    expect(await queue.acknowledge("accept", [{ ...record, leaseId: "x" }, record])).toEqual([
      "INVALID_REQUEST",
      "ok",
    ]);
    const path = `/v1/share-groups/${queue.group}/acknowledge`;
    for (const ack of [
      { type: "accept", delayMs: 1 },
      { type: "release", reason: "why" },
      { type: "renew", delayMs: 999 },
      { type: "release", delayMs: 43_200_001 },
      { type: "gap" },
    ]) {
      const body = { acks: [{ leaseId: record.leaseId, ...ack }] };
      expect(await expectStatus(400, "POST", path, body)).toMatchObject({
        code: "INVALID_REQUEST",
      });
    }
    const none = await call("POST", `/v1/share-groups/${unique("none")}/acknowledge`, {
      acks: [{ leaseId: record.leaseId, type: "accept" }],
    });
    expect(none.body).toMatchObject({ results: [{ ok: false, code: "GROUP_ID_NOT_FOUND" }] });
  });
});
