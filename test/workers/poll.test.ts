// POST /v1/groups/:group/poll: members of a group that hold no socket. Each has a twin in which the group and the partitions
// are evicted between any two polls.
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { crc32c } from "../../src/core/log/crc32c.ts";
import { groupStub, partitionStub } from "../../src/env.ts";
import type { CoordinatorMessage } from "../../src/protocol/group-socket.ts";
import {
  call,
  committedOffsets,
  createTopic,
  describeGroup,
  env,
  expectStatus,
  type JsonRecord,
  produce,
  recordBatch,
  signedOwner,
  signer,
  TestSocket,
  type TopicJson,
  TWINS,
  unique,
} from "./support.ts";

afterEach(() => void vi.useRealTimers());

interface PollJson {
  readonly assignment: readonly { readonly topic: string; readonly partitions: number[] }[];
  readonly records: readonly (JsonRecord & { topic: string; partition: number })[];
  readonly rejected?: readonly { topic: string; partition: number; code: string; detail: string }[];
}

type Ack = { topic: string; partition: number; offset: number };

/** The batch with a CRC that matches its bytes. */
function withCrc(batch: Uint8Array): void {
  new DataView(batch.buffer).setUint32(17, crc32c(batch, 21));
}

class Poller {
  readonly group: string;
  readonly instanceId: string;
  readonly options: object;
  /** Called before each poll. */
  interrupt: () => Promise<void> = async () => {};

  constructor(group: string, instanceId: string, options: object) {
    this.group = group;
    this.instanceId = instanceId;
    this.options = options;
  }

  async poll(more: object = {}): Promise<PollJson> {
    await this.interrupt();
    const body = { instanceId: this.instanceId, ...this.options, ...more };
    return expectStatus<PollJson>(200, "POST", `/v1/groups/${this.group}/poll`, body);
  }
}

/** The last offset of each partition in a response. */
function acksOf({ records }: PollJson): Ack[] {
  const last = new Map<string, Ack>();
  for (const { topic, partition, offset } of records)
    last.set(`${topic}/${partition}`, { topic, partition, offset });
  return [...last.values()];
}

function placesOf({ assignment }: PollJson): string[] {
  return assignment.flatMap(({ topic, partitions }) => partitions.map((p) => `${topic}/${p}`));
}

function valuesOf({ records }: PollJson): unknown[] {
  return records.map(({ value }) => value);
}

function interrupting(
  { interrupt }: (typeof TWINS)[number],
  group: string,
  topic: TopicJson,
): () => Promise<void> {
  return async () => {
    await interrupt(groupStub(env, group));
    for (let partition = 0; partition < topic.partitions; partition++)
      await interrupt(partitionStub(env, topic.topicId, partition));
  };
}

describe("one poller", () => {
  test.each(TWINS)(
    "[POL-1] reads what there is at once, acknowledges with the next poll, and continues$when",
    async (twin) => {
      const topic = await createTopic(2);
      await produce(topic.name, [
        { value: "a", partition: 0 },
        { value: "b", partition: 1 },
      ]);
      const group = unique("poll");
      const poller = new Poller(group, "i", { topics: [topic.name] });
      poller.interrupt = interrupting(twin, group, topic);
      const first = await poller.poll();
      expect(placesOf(first)).toEqual([`${topic.name}/0`, `${topic.name}/1`]);
      expect(valuesOf(first).sort()).toEqual(["a", "b"]);
      expect(await committedOffsets(group, topic.name)).toEqual([null, null]);
      // Its response was lost: the same again.
      expect(await poller.poll()).toEqual(first);
      await produce(topic.name, [{ value: "c", partition: 1 }]);
      const second = await poller.poll({ ack: acksOf(first) });
      expect(valuesOf(second)).toEqual(["c"]);
      expect(await committedOffsets(group, topic.name)).toEqual([1, 1]);
      // The same ack again is no error, nor does it go back.
      expect(await poller.poll({ ack: acksOf(first) })).toEqual(second);
      expect(valuesOf(await poller.poll({ ack: acksOf(second) }))).toEqual([]);
      const described = await describeGroup(group);
      expect(described).toMatchObject({
        state: "STABLE",
        members: [{ instanceId: "i", connected: true }],
      });
      expect(described.epoch, "no poll but the first was a rebalance").toBe(1);
    },
  );

  test("[POL-1] polls that change nothing are not in the history", async () => {
    const topic = await createTopic(1);
    const group = unique("poll");
    const poller = new Poller(group, "i", { topics: [topic.name] });
    await poller.poll();
    const before = await expectStatus<{ history: unknown[] }>(
      200,
      "GET",
      `/v1/groups/${group}/history`,
    );
    await poller.poll();
    await poller.poll();
    expect(await expectStatus(200, "GET", `/v1/groups/${group}/history`)).toEqual(before);
  });

  test.each(TWINS)(
    "[POL-1] keeps its place for its session timeout, not longer$when",
    async (twin) => {
      const topic = await createTopic(1);
      const group = unique("poll");
      const poller = new Poller(group, "i", { topics: [topic.name], sessionTimeoutMs: 1_000 });
      poller.interrupt = interrupting(twin, group, topic);
      await poller.poll();
      const stub = groupStub(env, group);
      await runDurableObjectAlarm(stub);
      expect((await describeGroup(group)).members).toHaveLength(1);
      await twin.interrupt(stub);
      await vi.waitFor(
        async () => expect((await describeGroup(group)).members).toEqual([]),
        10_000,
      );
      const { history } = await expectStatus<{ history: { type: string; reason?: string }[] }>(
        200,
        "GET",
        `/v1/groups/${group}/history`,
      );
      expect(history.find(({ type }) => type === "removed")).toMatchObject({
        reason: "session timeout",
      });
      // It returns as if nothing had happened.
      expect(placesOf(await poller.poll())).toEqual([`${topic.name}/0`]);
    },
  );

  test("[POL-1] leaves at once, and acknowledges", async () => {
    const topic = await createTopic(1);
    await produce(topic.name, [{ value: "a", partition: 0 }]);
    const group = unique("poll");
    const poller = new Poller(group, "i", { topics: [topic.name] });
    const ack = acksOf(await poller.poll());
    expect(await poller.poll({ leave: true, ack })).toEqual({ assignment: [], records: [] });
    expect(await describeGroup(group)).toMatchObject({ state: "EMPTY", members: [] });
    expect(await committedOffsets(group, topic.name)).toEqual([1]);
  });

  test("[POL-3] topics that do not exist are named", async () => {
    const topic = await createTopic(1);
    const missing = unique("missing");
    const poller = new Poller(unique("group"), "a", { topics: [topic.name, missing] });
    expect(await poller.poll()).toMatchObject({
      assignment: [{ topic: topic.name, partitions: [0] }],
      missing: [missing],
    });
    await expectStatus(201, "POST", "/v1/topics", { name: missing, partitions: 1 });
    expect(await poller.poll()).not.toHaveProperty("missing");
  });

  test("[POL-3] waits for records, and no longer than requested", async () => {
    const topic = await createTopic(2);
    const poller = new Poller(unique("poll"), "i", { topics: [topic.name] });
    await poller.poll();
    const waiting = poller.poll({ waitMs: 20_000 });
    await produce(topic.name, [{ value: "now", partition: 1 }]);
    expect(valuesOf(await waiting)).toEqual(["now"]);
    expect(valuesOf(await poller.poll({ ack: acksOf(await waiting), waitMs: 50 }))).toEqual([]);
  });

  test("[POL-3] a wait ends with partitions that are assigned meanwhile", async () => {
    const topic = await createTopic(1);
    const group = unique("poll");
    await produce(topic.name, [{ value: "a", partition: 0 }]);
    const holder = new Poller(group, "a", { topics: [topic.name] });
    await holder.poll();
    const waiting = new Poller(group, "b", { topics: [topic.name] }).poll({ waitMs: 20_000 });
    await holder.poll({ leave: true });
    expect(valuesOf(await waiting)).toEqual(["a"]);
  });

  test("[POL-3] reads from each partition, up to maxRecords", async () => {
    const topic = await createTopic(3);
    const records = [0, 1, 2].flatMap((partition) =>
      Array.from({ length: partition === 0 ? 50 : 3 }, (_, i) => ({ value: i, partition })),
    );
    await produce(topic.name, records);
    const poller = new Poller(unique("poll"), "i", { topics: [topic.name], maxRecords: 10 });
    let ack: Ack[] = [];
    const seen: string[] = [];
    for (let polls = 0; seen.length < records.length; polls++) {
      expect(polls, "it comes to an end").toBeLessThan(20);
      const answer = await poller.poll({ ack });
      expect(answer.records.length).toBeLessThanOrEqual(10);
      if (polls === 0)
        expect(new Set(answer.records.map(({ partition }) => partition))).toEqual(
          new Set([0, 1, 2]),
        );
      seen.push(...answer.records.map(({ partition, value }) => `${partition}/${value}`));
      ack = acksOf(answer);
    }
    expect(seen.sort()).toEqual(
      records.map(({ partition, value }) => `${partition}/${value}`).sort(),
    );
    const one = new Poller(unique("poll"), "i", { topics: [topic.name], maxRecords: 1 });
    expect((await one.poll()).records).toHaveLength(1);
  });

  test.each(TWINS)(
    "[POL-4] from latest the beginning is kept, even if nothing was read$when",
    async (twin) => {
      const topic = await createTopic(1);
      await produce(topic.name, [{ value: "old", partition: 0 }]);
      const group = unique("poll");
      const poller = new Poller(group, "i", { topics: [topic.name], from: "latest" });
      poller.interrupt = interrupting(twin, group, topic);
      expect(valuesOf(await poller.poll())).toEqual([]);
      await produce(topic.name, [{ value: "new", partition: 0 }]);
      expect(valuesOf(await poller.poll())).toEqual(["new"]);
    },
  );

  test("[POL-4] continues at the log's start if retention was faster", async () => {
    const topic = await createTopic(1);
    await produce(
      topic.name,
      [0, 1, 2, 3].map((value) => ({ value: `${value}`, partition: 0 })),
    );
    const group = unique("poll");
    const poller = new Poller(group, "i", { topics: [topic.name], maxRecords: 1 });
    const first = await poller.poll();
    await poller.poll({ ack: acksOf(first) });
    await expectStatus(200, "DELETE", `/v1/topics/${topic.name}/partitions/0/records?before=3`);
    const after = await poller.poll();
    expect(valuesOf(after)).toEqual(["3"]);
    await poller.poll({ ack: acksOf(after) });
    expect(await committedOffsets(group, topic.name)).toEqual([4]);
  });

  test("[POL-4] the group's own beginning takes precedence over the poller's", async () => {
    const topic = await createTopic(1);
    await produce(topic.name, [{ value: "old", partition: 0 }]);
    const group = unique("poll");
    await expectStatus(200, "PATCH", `/v1/groups/${group}`, {
      config: { "consumer.auto.offset.reset": "latest" },
    });
    const poller = new Poller(group, "i", { topics: [topic.name], from: "earliest" });
    expect(valuesOf(await poller.poll())).toEqual([]);
    expect(await committedOffsets(group, topic.name)).toEqual([1]);
  });

  test("[POL-1] subscribes by pattern, and anew", async () => {
    const prefix = unique("by-pattern");
    for (const name of [`${prefix}-a`, `${prefix}-b`]) {
      await expectStatus(201, "POST", "/v1/topics", { name });
      await produce(name, [{ value: name }]);
    }
    const poller = new Poller(unique("poll"), "i", {});
    const both = await poller.poll({ pattern: `${prefix}-.*` });
    expect(valuesOf(both).sort()).toEqual([`${prefix}-a`, `${prefix}-b`]);
    const one = await poller.poll({ topics: [`${prefix}-b`] });
    expect(placesOf(one)).toEqual([`${prefix}-b/0`]);
  });
});

describe("several members", () => {
  test.each(TWINS)(
    "[POL-2] share the partitions; one that takes over gets what was not acknowledged, the other no more$when",
    async (twin) => {
      const topic = await createTopic(2);
      await produce(
        topic.name,
        [0, 1].map((partition) => ({ value: `p${partition}`, partition })),
      );
      const group = unique("poll");
      const [a, b] = ["a", "b"].map((id) => {
        const poller = new Poller(group, id, { topics: [topic.name] });
        poller.interrupt = interrupting(twin, group, topic);
        return poller;
      }) as [Poller, Poller];
      const all = await a.poll();
      expect(placesOf(all)).toHaveLength(2);
      // It hears nothing of what the other still has in hand.
      expect(await b.poll()).toEqual({ assignment: [], records: [] });
      const kept = await a.poll({ ack: acksOf(all).slice(0, 1) });
      expect(placesOf(kept)).toHaveLength(1);
      const taken = await b.poll();
      expect([...placesOf(kept), ...placesOf(taken)].sort()).toEqual(placesOf(all).sort());
      const unacknowledged = all.records.filter(
        ({ partition }) => partition !== acksOf(all)[0]?.partition,
      );
      expect([...valuesOf(kept), ...valuesOf(taken)]).toEqual(
        unacknowledged.map(({ value }) => value),
      );
      // The first's acks for the other's partition do not count now.
      const [foreign] = acksOf(all).filter(({ partition }) =>
        placesOf(taken).includes(`${topic.name}/${partition}`),
      );
      const late = await a.poll({ ack: [foreign] });
      expect(late.rejected).toMatchObject([
        { partition: foreign?.partition, code: "FENCED_MEMBER_EPOCH" },
      ]);
    },
  );

  test("[POL-2] a poller and a socket share a group; the poller's reading cuts an older owner off", async () => {
    const topic = await createTopic(1);
    await produce(topic.name, [{ value: "a", partition: 0 }]);
    const group = unique("poll");
    const poller = new Poller(group, "i", { topics: [topic.name] });
    await poller.poll();
    const newer = { group, incarnation: 0, memberEpoch: 1, memberNumber: 1 };
    await signer.load();
    const signed = signedOwner(newer, { topicId: topic.topicId, partition: 0 });
    const old = await TestSocket.open(`/v1/topics/${topic.name}/partitions/0/socket`);
    old.send({ type: "attach", attachId: 1, offset: 0, windowBytes: 1_000, owner: signed });
    // Incarnation 0 is older than any real one.
    expect(await old.closed).toMatchObject({
      code: 4001,
      reason: expect.not.stringContaining("has not assigned"),
    });
    const stub = partitionStub(env, topic.topicId, 0);
    const refused = await stub.readAs({ owner: newer, offset: 0, maxBytes: 1 });
    expect(refused).toMatchObject({ ok: false, error: "FENCED_MEMBER_EPOCH" });
    const incarnation = await runInDurableObject(groupStub(env, group), (_, { storage }) => {
      const [row] = storage.sql.exec("SELECT incarnation FROM group_state").toArray();
      return Number(row?.incarnation);
    });
    const next = { ...newer, incarnation, memberEpoch: 1_000 };
    expect(await stub.readAs({ owner: next, offset: 0, maxBytes: 1 })).toMatchObject({
      ok: true,
      offset: 0,
    });
    // The poller is the older one now: it does not get what it might deliver a second time.
    expect(valuesOf(await poller.poll())).toEqual([]);
  });

  test("[POL-2] a live socket holds its instance id against a poller, a poller not against a socket", async () => {
    const topic = await createTopic(1);
    const group = unique("poll");
    const join = { type: "join", memberEpoch: 0, topics: [topic.name], instanceId: "i" };
    const poller = new Poller(group, "i", { topics: [topic.name] });
    await poller.poll();
    const socket = await TestSocket.open<CoordinatorMessage>(`/v1/groups/${group}/socket`);
    socket.send({ ...join, memberId: "m" });
    await vi.waitFor(async () =>
      expect((await describeGroup(group)).members.map(({ memberId }) => memberId)).toEqual(["m"]),
    );
    const refused = await call("POST", `/v1/groups/${group}/poll`, {
      instanceId: "i",
      topics: [topic.name],
    });
    expect(refused).toMatchObject({ status: 409, body: { code: "UNRELEASED_INSTANCE_ID" } });
  });
});

describe("acknowledgements", () => {
  const values = (prefix: string, count: number) =>
    Array.from({ length: count }, (_, i) => ({ value: `${prefix}${i}`, partition: 0 }));

  test.each(TWINS)(
    "[POL-5] a poll that is repeated after its topic was created again skips nothing$when",
    async (twin) => {
      const topic = await createTopic(1);
      const group = unique("poll");
      await produce(topic.name, values("old", 5));
      const poller = new Poller(group, "i", { topics: [topic.name] });
      const ack = acksOf(await poller.poll());
      await expectStatus(204, "DELETE", `/v1/topics/${topic.name}`);
      await expectStatus(201, "POST", "/v1/topics", { name: topic.name, partitions: 1 });
      await produce(topic.name, values("new", 8));
      poller.interrupt = async () => twin.interrupt(groupStub(env, group));
      const seen: unknown[] = [];
      // The response is lost, and lost again: each time it is requested word by word.
      for (let repeat = 0; repeat < 3; repeat++) {
        const answer = await poller.poll({ ack });
        expect(answer.rejected).toMatchObject([{ partition: 0, offset: 4 }]);
        expect(await committedOffsets(group, topic.name)).toEqual([null]);
        // It does not contain what the repeat would seem to acknowledge.
        expect(valuesOf(answer)).toEqual(["new0", "new1", "new2", "new3"]);
        if (repeat === 2) seen.push(...valuesOf(answer));
      }
      let next: Ack[] = [{ topic: topic.name, partition: 0, offset: 3 }];
      while (seen.length < 8) {
        const answer = await poller.poll({ ack: next });
        expect(answer).not.toHaveProperty("rejected");
        seen.push(...valuesOf(answer));
        next = acksOf(answer);
      }
      expect(seen).toEqual(values("new", 8).map(({ value }) => value));
      await poller.poll({ ack: next });
      expect(await committedOffsets(group, topic.name)).toEqual([8]);
    },
  );

  test.each(TWINS)(
    "[POL-5] an ack for a deleted topic is reported, and the other topics continue$when",
    async (twin) => {
      const [gone, kept] = [await createTopic(1), await createTopic(1)];
      const group = unique("poll");
      for (const { name } of [gone, kept]) await produce(name, values("v", 2));
      const poller = new Poller(group, "i", { topics: [gone.name, kept.name] });
      poller.interrupt = async () => twin.interrupt(groupStub(env, group));
      const ack = acksOf(await poller.poll());
      await expectStatus(204, "DELETE", `/v1/topics/${gone.name}`);
      const answer = await poller.poll({ ack });
      expect(answer.rejected).toMatchObject([{ topic: gone.name, offset: 1 }]);
      expect(await committedOffsets(group, kept.name)).toEqual([2]);
    },
  );

  test.each(TWINS)(
    "[POL-5] records that were not sent are not acknowledged, even if the log has them$when",
    async (twin) => {
      const topic = await createTopic(1);
      const group = unique("poll");
      await produce(topic.name, values("v", 10));
      const poller = new Poller(group, "i", { topics: [topic.name], maxRecords: 3 });
      poller.interrupt = interrupting(twin, group, topic);
      await poller.poll();
      const poll = (ack: object[]) =>
        call("POST", `/v1/groups/${group}/poll`, { instanceId: "i", topics: [topic.name], ack });
      const place = { topic: topic.name, partition: 0 };
      const refused = await poll([{ ...place, offset: 3 }]);
      expect(refused).toMatchObject({ status: 400, body: { code: "INVALID_REQUEST" } });
      // A wrong one rejects the others of the request, and changes nothing.
      expect(await committedOffsets(group, topic.name)).toEqual([null]);
      expect(await poll([{ ...place, offset: 2 }])).toMatchObject({ status: 200 });
      expect(await committedOffsets(group, topic.name)).toEqual([3]);
    },
  );

  test("[POL-5] records sent before a partition was given away and back are not acknowledged", async () => {
    const topic = await createTopic(2);
    const group = unique("poll");
    await produce(
      topic.name,
      [0, 1].flatMap((partition) => values("v", 3).map((record) => ({ ...record, partition }))),
    );
    const [a, b] = ["a", "b"].map((id) => new Poller(group, id, { topics: [topic.name] })) as [
      Poller,
      Poller,
    ];
    const all = acksOf(await a.poll());
    await b.poll();
    const [kept] = (await a.poll()).assignment.flatMap(({ partitions }) => partitions);
    await b.poll({ leave: true });
    // Before it is sent anything of the partition that came back.
    const moved = all.filter(({ partition }) => partition !== kept);
    const answer = await a.poll({ ack: moved });
    expect(answer.rejected).toHaveLength(1);
    const committed = await committedOffsets(group, topic.name);
    expect(committed[moved[0]?.partition ?? -1]).toBeNull();
  });

  test("[POL-6] a batch that cannot be read stops its own partition, and is reported", async () => {
    const topic = await createTopic(2);
    const group = unique("poll");
    await produce(topic.name, [{ value: "good", partition: 0 }]);
    // A partition's socket and Kafka's protocol store what is right on the outside: nobody looks inside.
    const garbage = recordBatch(["x"]);
    garbage.fill(0xff, 61);
    withCrc(garbage);
    const stored = await partitionStub(env, topic.topicId, 0).append({ batches: garbage });
    expect(stored).toMatchObject({ ok: true, baseOffset: 1 });
    await produce(topic.name, [
      { value: "behind", partition: 0 },
      { value: "other", partition: 1 },
    ]);
    const poller = new Poller(group, "i", { topics: [topic.name] });
    const first = await poller.poll();
    expect(valuesOf(first).sort()).toEqual(["good", "other"]);
    const second = await poller.poll({ ack: acksOf(first) });
    expect(second).toMatchObject({
      records: [],
      unreadable: [{ topic: topic.name, partition: 0, offset: 1, code: "CORRUPT_MESSAGE" }],
    });
    await produce(topic.name, [{ value: "more", partition: 1 }]);
    expect(valuesOf(await poller.poll())).toEqual(["more"]);
  });
});

describe("bad polls", () => {
  test.each([
    [{}, /^instanceId: is required/],
    [{ instanceId: "" }, /^instanceId: must have at least 1 character/],
    [{ instanceId: "i" }, /^topics: must name at least one topic, or there must be a pattern/],
    [{ instanceId: "i", topics: ["a b"] }, /topic name/],
    [{ instanceId: "i", topics: ["t"], maxRecords: 0 }, /^maxRecords: .*from 1 to 10000; got 0/],
    [{ instanceId: "i", topics: ["t"], waitMs: 30_001 }, /^waitMs: .*from 0 to 30000/],
    [{ instanceId: "i", topics: ["t"], sessionTimeoutMs: 5 }, /^sessionTimeoutMs: .*from 1000/],
    [{ instanceId: "i", topics: ["t"], from: "here" }, /^from: must be one of earliest, latest/],
    [{ instanceId: "i", pattern: "(" }, /^pattern is "\("/],
    [{ instanceId: "i", topics: ["t"], acks: [] }, /unknown field "acks"/],
  ])("[ERR-1] %j is rejected, and no group is created", async (body, detail) => {
    const group = unique("poll");
    const answer = await call<{ detail: string }>("POST", `/v1/groups/${group}/poll`, body);
    expect(answer.status).toBe(400);
    expect(answer.body.detail).toMatch(detail);
    expect(await call("GET", `/v1/groups/${group}`)).toMatchObject({ status: 404 });
  });

  test("[ERR-1] an ack of a record never delivered is rejected", async () => {
    const topic = await createTopic(1);
    await produce(topic.name, [{ value: "a", partition: 0 }]);
    const group = unique("poll");
    const poller = new Poller(group, "i", { topics: [topic.name] });
    await poller.poll();
    const ack = [{ topic: topic.name, partition: 0, offset: 1 }];
    const answer = await call("POST", `/v1/groups/${group}/poll`, {
      instanceId: "i",
      topics: [topic.name],
      ack,
    });
    expect(answer).toMatchObject({
      status: 400,
      body: {
        code: "INVALID_REQUEST",
        detail: `ack: offset 1 of ${topic.name}/0 was not delivered; the last was 0`,
      },
    });
    expect(await committedOffsets(group, topic.name)).toEqual([null]);
  });
});
