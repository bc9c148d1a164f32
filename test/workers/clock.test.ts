// The machine's clock is set, back or forward. Here Date.now() is turned, and code in the same isolate sees it; the
// storage's own clock continues.
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { PartitionObject } from "../../durable-objects/partition/partition-object.ts";
import { MAX_BYTES_WITH_IDEMPOTENCY_KEYS } from "../../src/core/limits.ts";
import { clusterStub, groupStub, partitionStub } from "../../src/env.ts";
import type { AssignmentMessage, CoordinatorMessage } from "../../src/protocol/group-socket.ts";
import { noticeClock } from "../../src/worker/edge/clock.ts";
import { joinClassic } from "./kafka-members.ts";
import {
  alarmOf,
  call,
  createFreedTopic as createTopic,
  describeGroup,
  env,
  eventually,
  evict,
  expectStatus,
  guarded,
  produce,
  readValues,
  shiftWall,
  signedOwner,
  signer,
  TestSocket,
  type TopicJson,
  TWINS,
  unique,
} from "./support.ts";

beforeAll(() => signer.load());
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const SESSION_MS = 45_000;
/** No alarm rings by itself in a test. */
const startMs = () => Date.now() + 10 * HOUR_MS;

function turnTo(ms: number): void {
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(ms);
}

describe("appends and tasks", () => {
  test.each(TWINS)(
    "[CLK-1] after the clock was set back, sequential and concurrent appends complete$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      await produce(topic.name, [{ value: "before" }]);
      // As for an object whose time stands still: it is ahead of the storage's clock, and no timer rings.
      turnTo(Date.now() + HOUR_MS);
      await interrupt(partitionStub(env, topic.topicId, 0));
      const ring = globalThis.setTimeout;
      vi.spyOn(globalThis, "setTimeout").mockImplementation(((run: () => void, ms?: number) =>
        ms === 0 ? 0 : ring(run, ms)) as typeof setTimeout);
      for (let i = 0; i < 5; i++) await guarded(produce(topic.name, [{ value: "a" }]), "an append");
      const many = Array.from({ length: 20 }, () => produce(topic.name, [{ value: "b" }]));
      await guarded(Promise.all(many), "appends at once");
      expect(await readValues(topic)).toHaveLength(26);
    },
  );

  /** The storage's wall clock is off by this much; Date.now() is not. */
  const shiftWallClock = (topic: TopicJson, ms: number) =>
    runInDurableObject(partitionStub(env, topic.topicId, 0), (instance, { storage }) => {
      shiftWall(storage.sql, ms);
      return instance;
    });

  /**
   * As many appends as fit while one waits for a turn whose timer never rings, since it was set just before the step.
   */
  async function whileATurnIsHeldUp(topic: TopicJson, step: () => Promise<unknown>) {
    const ring = globalThis.setTimeout;
    const timers = vi.spyOn(globalThis, "setTimeout");
    timers.mockImplementation(((run: () => void, ms?: number) =>
      ms === 0 ? 0 : ring(run, ms)) as typeof setTimeout);
    await guarded(produce(topic.name, [{ value: "first" }]), "an append that nobody is before");
    const waiting = [1, 2, 3].map((i) => produce(topic.name, [{ value: `waits ${i}` }]));
    timers.mockRestore();
    await step();
    await guarded(Promise.all(waiting), "the appends that wait");
    await guarded(produce(topic.name, [{ value: "after" }]), "an append after the step");
    expect(await readValues(topic)).toHaveLength(5);
  }

  test.each([
    { step: "back", ms: -HOUR_MS },
    { step: "back and right again", ms: 5_000 },
  ])(
    "[CLK-1] a turn whose timer is held up is not waited for once the clock was set $step",
    async ({ ms }) => {
      const topic = await createTopic(1);
      await whileATurnIsHeldUp(topic, async () => {
        await shiftWallClock(topic, ms);
        // The Worker notices, and tells the partitions that were written to.
        const onMachine = { ...env, RIVULET_FILES: "/data" };
        await clusterStub(env).noteLogEnd({ topicId: topic.topicId, partition: 0, logEnd: 1 });
        turnTo(Date.now() + HOUR_MS);
        await noticeClock(onMachine);
        vi.useRealTimers();
        await noticeClock(onMachine);
      });
    },
  );

  test("[CLK-2] a partition whose time stands still begins a new life, and loses nothing", async () => {
    const topic = await createTopic(1);
    await produce(topic.name, [{ value: "before" }]);
    const first = await shiftWallClock(topic, -HOUR_MS);
    turnTo(Date.now()); // It stands still.
    const sent = ["a", "b", "c", "d"];
    for (const value of sent) await guarded(produce(topic.name, [{ value }]), "an append");
    await eventually(
      () =>
        runInDurableObject(
          partitionStub(env, topic.topicId, 0),
          (instance) => instance !== first,
        ).catch(() => false),
      "another life",
    );
    vi.useRealTimers();
    const stored = (await readValues(topic)).map(([, value]) => value);
    expect(stored.sort()).toEqual([...sent, "before"].sort());
  });

  test.each(TWINS)(
    "[CLK-2] what a cluster must retry it retries soon, whatever its alarm was set for$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      await produce(topic.name, [{ value: "used" }]); // An unused one is not destroyed.
      const cluster = clusterStub(env);
      vi.spyOn(PartitionObject.prototype, "destroy").mockRejectedValueOnce(new Error("a test"));
      await cluster.deleteTopic({ name: topic.name });
      const nowMs = Date.now();
      await runInDurableObject(cluster, (_, { storage }) => storage.setAlarm(nowMs + HOUR_MS));
      await evict(cluster);
      await cluster.topics();
      await interrupt(cluster);
      await cluster.topics();
      await eventually(async () => {
        const atMs = await alarmOf(cluster as never);
        return atMs === null || atMs < nowMs + HOUR_MS / 2;
      }, "an alarm that rings soon");
    },
  );

  test("[CLK-2] a cluster whose time stands still begins a new life only if it has something to retry", async () => {
    const [done, left] = [await createTopic(1), await createTopic(1)];
    for (const { name } of [done, left]) await produce(name, [{ value: "used" }]);
    const first = await runInDurableObject(clusterStub(env), (instance, { storage }) => {
      shiftWall(storage.sql, -HOUR_MS);
      return instance;
    });
    const isFirst = () =>
      runInDurableObject(clusterStub(env), (instance) => instance === first).catch(() => null);
    await clusterStub(env).deleteTopic({ name: done.name });
    expect(await isFirst()).toBe(true);
    vi.spyOn(console, "error").mockReturnValue();
    vi.spyOn(PartitionObject.prototype, "destroy").mockRejectedValueOnce(new Error("a test"));
    await clusterStub(env).deleteTopic({ name: left.name });
    await eventually(async () => (await isFirst()) === false, "another life");
    await eventually(async () => {
      await runDurableObjectAlarm(clusterStub(env));
      return await runInDurableObject(
        clusterStub(env),
        (_, { storage }) => storage.sql.exec("SELECT 1 FROM tasks").toArray().length === 0,
      );
    }, "the task to be done");
    expect(await partitionStub(env, left.topicId, 0).offsets()).toMatchObject({
      error: "UNKNOWN_TOPIC_ID",
    });
  });

  test("[CLK-2] a group whose time stands still begins a new life, and its alarm rings in time", async () => {
    const topic = await createTopic(1);
    const group = unique("group");
    const stub = groupStub(env, group);
    const poll = { topics: [topic.name], sessionTimeoutMs: SESSION_MS };
    const path = `/v1/groups/${group}/poll`;
    await expectStatus(200, "POST", path, { ...poll, instanceId: "one" });
    const first = await runInDurableObject(stub, (instance, { storage }) => {
      shiftWall(storage.sql, -HOUR_MS);
      return instance;
    });
    await expectStatus(200, "POST", path, { ...poll, instanceId: "two" });
    await eventually(
      () =>
        runInDurableObject(groupStub(env, group), (instance) => instance !== first).catch(
          () => false,
        ),
      "another life",
    );
    const { members } = await describeGroup(group);
    expect(members).toHaveLength(2);
    await call("POST", path, { ...poll, instanceId: "two" });
    expect(await alarmOf(groupStub(env, group) as never)).toBeLessThanOrEqual(
      Date.now() + SESSION_MS,
    );
  });
});

describe("idempotency keys", () => {
  const keyed = (topic: TopicJson, key: string) =>
    call(
      "POST",
      `/v1/topics/${topic.name}/records`,
      { records: [{ value: "x" }] },
      { "idempotency-key": key },
    );

  // Midnight, some days ahead.
  const midnightMs = () => (Math.floor(Date.now() / DAY_MS) + 10) * DAY_MS;

  test.each(
    TWINS.flatMap(({ when, interrupt }) =>
      [
        { from: 5_000, to: -5_000, step: "10 s over midnight" },
        { from: 5_000, to: -DAY_MS + 10_000, step: "a day over midnight" },
        { from: HOUR_MS, to: HOUR_MS / 2, step: "within a day" },
        { from: 5_000, to: -3 * DAY_MS, step: "three days" },
        { from: -5_000, to: 5_000, step: "10 s forward over midnight" },
      ].map(({ step, ...each }) => ({ ...each, interrupt, step: `${step}${when}` })),
    ),
  )(
    "[KEY-3] a key is found when the clock is set back, or goes: $step",
    async ({ interrupt, from, to }) => {
      const topic = await createTopic(1);
      const midnight = midnightMs();
      turnTo(midnight + from);
      const first = await keyed(topic, "once");
      expect(first.status).toBe(200);
      await interrupt(partitionStub(env, topic.topicId, 0));
      turnTo(midnight + to);
      expect(await keyed(topic, "once")).toEqual(first);
      // Other keys drop expired data, and this one has not expired.
      expect((await keyed(topic, "another")).status).toBe(200);
      turnTo(midnight + from);
      expect(await keyed(topic, "once")).toEqual(first);
      expect(await readValues(topic)).toHaveLength(2);
    },
  );

  test("[KEY-4] a partition without room accepts no more keys, says so and stores nothing", async () => {
    const topic = await createTopic(1);
    const stub = partitionStub(env, topic.topicId, 0);
    const first = await keyed(topic, "before");
    const size = (bytes: number) =>
      runInDurableObject(stub, (_, { storage }) => {
        Object.defineProperty(storage.sql, "databaseSize", { value: bytes, configurable: true });
      });
    await size(MAX_BYTES_WITH_IDEMPOTENCY_KEYS);
    const refused = await keyed(topic, "later");
    expect(refused).toMatchObject({ body: { code: "KAFKA_STORAGE_ERROR", retriable: false } });
    const { detail } = refused.body as { detail: string };
    for (const part of ["Idempotency-Key", "holds", String(MAX_BYTES_WITH_IDEMPOTENCY_KEYS)])
      expect(detail).toContain(part);
    expect(await keyed(topic, "before")).toEqual(first);
    expect(await readValues(topic)).toHaveLength(1);
    await size(MAX_BYTES_WITH_IDEMPOTENCY_KEYS - 1);
    expect((await keyed(topic, "later")).status).toBe(200);
  });
});

describe("sessions", () => {
  class Member {
    readonly memberId = crypto.randomUUID();
    readonly socket: TestSocket<CoordinatorMessage>;
    readonly #group: string;
    joined!: AssignmentMessage;

    private constructor(group: string, socket: TestSocket<CoordinatorMessage>) {
      this.#group = group;
      this.socket = socket;
    }

    static async join(group: string, topic: TopicJson): Promise<Member> {
      const path = `/v1/groups/${group}/socket`;
      const member = new Member(group, await TestSocket.open<CoordinatorMessage>(path));
      const { memberId } = member;
      const topics = [topic.name];
      member.socket.send({ type: "join", memberId, memberEpoch: 0, topics });
      member.joined = await member.assignment();
      return member;
    }

    assignment(): Promise<AssignmentMessage> {
      return this.socket.next(
        (message): message is AssignmentMessage =>
          typeof message === "object" && "type" in message && message.type === "assignment",
      );
    }

    /** Its connection breaks, and the group has noticed. */
    async break(): Promise<void> {
      this.socket.close(4004, "lost");
      const isSilent = () =>
        runInDurableObject(groupStub(env, this.#group), (_, { storage }) => {
          const query = "SELECT json FROM members WHERE member_id = ?";
          const [row] = [...storage.sql.exec(query, this.memberId)];
          return row !== undefined && JSON.parse(String(row.json)).silentSinceMs !== null;
        });
      await eventually(isSilent, "the member to be silent");
    }
  }

  const members = async (group: string) =>
    (await describeGroup(group)).members.map(({ memberId }) => memberId).sort();
  const alarmAt = async (group: string, ms: number) => {
    turnTo(ms);
    expect(await runDurableObjectAlarm(groupStub(env, group))).toBe(true);
  };
  /** As the runtime rings it, with its set time. */
  const rings = async (group: string, scheduledTime: number, ms: number) => {
    turnTo(ms);
    const info = { scheduledTime, retryCount: 0, isRetry: false };
    await runInDurableObject(groupStub(env, group), async (instance, { storage }) => {
      await storage.deleteAlarm(); // While it rings, none is set.
      await instance.alarm?.(info);
    });
  };
  const dueMs = (group: string) => alarmOf(groupStub(env, group) as never);
  const pollAs = (group: string, topic: TopicJson, instanceId: string) =>
    expectStatus(200, "POST", `/v1/groups/${group}/poll`, { instanceId, topics: [topic.name] });

  test.each(TWINS)(
    "[CLK-4] a member lost before the clock was set back has a session from when that is noticed, and no more$when",
    async ({ interrupt }) => {
      const topic = await createTopic(4);
      const group = unique("group");
      const fromMs = startMs();
      turnTo(fromMs);
      const lost = await Member.join(group, topic);
      const stays = await Member.join(group, topic);
      await lost.break();
      turnTo(fromMs - HOUR_MS);
      await interrupt(groupStub(env, group));
      await pollAs(group, topic, "another"); // The group notices on any event.
      expect(await dueMs(group)).toBe(fromMs - HOUR_MS + SESSION_MS);
      await alarmAt(group, fromMs - HOUR_MS + SESSION_MS - 1);
      expect(await members(group)).toContain(lost.memberId);
      await interrupt(groupStub(env, group));
      stays.socket.send({
        type: "join",
        memberId: stays.memberId,
        memberEpoch: 0,
        topics: [topic.name],
      });
      await stays.assignment();
      await pollAs(group, topic, "another");
      await alarmAt(group, fromMs - HOUR_MS + SESSION_MS);
      expect(await members(group)).toEqual([stays.memberId, "poll:another"].sort());
    },
  );

  test.each(TWINS)(
    "[CLK-4] after the clock is set forward no present member is removed, and an absent one is, a session later$when",
    async ({ interrupt }) => {
      const topic = await createTopic(4);
      const group = unique("group");
      const fromMs = startMs();
      turnTo(fromMs);
      const one = await Member.join(group, topic);
      await pollAs(group, topic, "poller");
      const all = await members(group);
      await interrupt(groupStub(env, group));
      await rings(group, fromMs + SESSION_MS, fromMs + HOUR_MS);
      expect(await members(group)).toEqual(all);
      await interrupt(groupStub(env, group));
      expect(await one.socket.untilPong()).not.toContainEqual(
        expect.objectContaining({ code: 4003 }),
      );
      const nextMs = fromMs + HOUR_MS + SESSION_MS;
      await rings(group, nextMs, nextMs);
      expect(await members(group)).toEqual([]);
    },
  );

  test.each(TWINS)(
    "[CLK-4] after the clock is set forward a classic member has a session from then on$when",
    async ({ interrupt }) => {
      const group = unique("group");
      const stub = groupStub(env, group);
      const fromMs = startMs();
      turnTo(fromMs);
      const timeouts = { sessionTimeoutMs: SESSION_MS, rebalanceTimeoutMs: SESSION_MS };
      const { memberId } = await joinClassic(stub, timeouts);
      await interrupt(stub);
      const laterMs = fromMs + HOUR_MS;
      await rings(group, fromMs + SESSION_MS, laterMs);
      expect((await stub.describeClassic()).members).toMatchObject([{ memberId }]);
      await interrupt(stub);
      await rings(group, laterMs + SESSION_MS - 1, laterMs + SESSION_MS - 1);
      expect((await stub.describeClassic()).members).toMatchObject([{ memberId }]);
      await rings(group, laterMs + SESSION_MS, laterMs + SESSION_MS);
      expect((await stub.describeClassic()).members).toEqual([]);
    },
  );

  /** Each asks something different of a group that has slept. */
  const WAYS: {
    way: string;
    wake: (group: string, topic: TopicJson, member: Member) => Promise<unknown>;
  }[] = [
    {
      way: "a commit",
      wake: async (_, { topicId }, { socket }) => {
        const offsets = [{ topicId, partition: 0, offset: 0 }];
        socket.send({ type: "commit", requestId: 1, memberEpoch: 1, offsets });
        await socket.next(
          (message): message is CoordinatorMessage =>
            typeof message === "object" && "requestId" in message,
        );
      },
    },
    {
      way: "a member that joins again",
      wake: (_, { name }, member) => {
        const { memberId } = member;
        member.socket.send({ type: "join", memberId, memberEpoch: 0, topics: [name] });
        return member.assignment();
      },
    },
    { way: "another member", wake: (group, topic) => Member.join(group, topic) },
    { way: "a poll", wake: (group, topic) => pollAs(group, topic, "another") },
    { way: "a socket", wake: (group) => TestSocket.open(`/v1/groups/${group}/socket`) },
    {
      way: "a change of its config",
      wake: (group) =>
        expectStatus(200, "PATCH", `/v1/groups/${group}`, {
          config: { "consumer.assignor": "range" },
        }),
    },
    {
      way: "a change of its topic",
      wake: (_, { name }) => expectStatus(200, "PATCH", `/v1/topics/${name}`, { partitions: 5 }),
    },
    {
      way: "a heartbeat of Kafka's",
      wake: (group) =>
        groupStub(env, group).heartbeatClassic({ memberId: "x", generation: 1, instanceId: null }),
    },
  ];

  test.each(WAYS)(
    "[CLK-4] a member lost when the clock is set back has a session, however the group notices: by $way",
    async ({ wake }) => {
      const topic = await createTopic(4);
      const group = unique("group");
      const fromMs = startMs();
      turnTo(fromMs);
      const [lost, stays] = [await Member.join(group, topic), await Member.join(group, topic)];
      await lost.break();
      await evict(groupStub(env, group));
      turnTo(fromMs - HOUR_MS);
      await wake(group, topic, stays);
      const endMs = fromMs - HOUR_MS + SESSION_MS;
      await eventually(
        async () => (await dueMs(group)) === endMs,
        "an alarm when the session ends",
      );
      await alarmAt(group, endMs);
      expect(await members(group)).not.toContain(lost.memberId);
    },
  );

  test.each(
    WAYS.flatMap((each) =>
      [SESSION_MS + 1_000, 60_000, HOUR_MS].map((aheadMs) => ({ ...each, aheadMs })),
    ),
  )(
    "[CLK-4] nobody is removed by a sleeping group that the clock ($aheadMs ms ahead) finds, woken by $way",
    async ({ wake, aheadMs }) => {
      const topic = await createTopic(4);
      const group = unique("group");
      const fromMs = startMs();
      turnTo(fromMs);
      const one = await Member.join(group, topic);
      await pollAs(group, topic, "poller");
      const all = await members(group);
      await evict(groupStub(env, group));
      turnTo(fromMs + aheadMs);
      await wake(group, topic, one);
      const setMs = (await dueMs(group)) ?? 0;
      expect(setMs).toBeLessThanOrEqual(fromMs + aheadMs + SESSION_MS);
      if (setMs <= fromMs + aheadMs) await rings(group, setMs, fromMs + aheadMs);
      expect(await members(group)).toEqual(expect.arrayContaining(all));
      // A whole session, and no more.
      await rings(group, fromMs + aheadMs + SESSION_MS - 1, fromMs + aheadMs + SESSION_MS - 1);
      expect(await members(group)).toEqual(expect.arrayContaining(all));
      await alarmAt(group, fromMs + aheadMs + SESSION_MS);
      expect(await members(group)).not.toContain("poll:poller");
    },
  );

  const place = ({ topicId }: TopicJson) => ({ topicId, partition: 0 });
  /** [ATT-5] Why an owner without its group's signature is refused. */
  const notAssigned = ({ group, memberNumber }: { group: string; memberNumber: number }) =>
    `FENCED_MEMBER_EPOCH: group ${group} has not assigned this partition to member ${memberNumber}`;
  const attach = async (topic: TopicJson, owner: object) => {
    const path = `/v1/topics/${topic.name}/partitions/0/socket`;
    const socket = await TestSocket.open<{ type: string }>(path);
    socket.send({ type: "attach", attachId: 1, offset: 0, owner });
    return socket;
  };

  describe.each([HOUR_MS, 30 * DAY_MS, 400 * DAY_MS, 10_000 * DAY_MS])(
    "the clock was %i ms ahead",
    (aheadMs) => {
      test.each(TWINS)(
        "[CLK-5] a group that is deleted then and created again reads by polls and sockets$when",
        async ({ interrupt }) => {
          const topic = await createTopic(1);
          await produce(topic.name, [{ value: "a" }]);
          const group = unique("group");
          const nowMs = Date.now();
          const before = (await Member.join(unique("group"), topic)).joined.incarnation;
          turnTo(nowMs + aheadMs);
          await pollAs(group, topic, "first");
          await groupStub(env, group).leave({ memberId: "poll:first", acks: [] });
          await expectStatus(204, "DELETE", `/v1/groups/${group}`);
          turnTo(nowMs);
          await interrupt(
            groupStub(env, group),
            partitionStub(env, topic.topicId, 0),
            clusterStub(env),
          );
          expect(await pollAs(group, topic, "second")).toMatchObject({ records: [{ value: "a" }] });
          await groupStub(env, group).leave({ memberId: "poll:second", acks: [] });
          // No clock is involved.
          const other = unique("group");
          const member = await Member.join(other, topic);
          const { incarnation, memberEpoch, memberNumber } = member.joined;
          expect(incarnation).toBeLessThan(before + 1_000);
          const owner = { group: other, incarnation, memberEpoch, memberNumber };
          const socket = await attach(topic, owner);
          await socket.next((message): message is Uint8Array => message instanceof Uint8Array);
        },
      );

      test.each(TWINS)(
        "[CLK-5] a made-up incarnation so far ahead does not lock the group out$when",
        async ({ interrupt }) => {
          const topic = await createTopic(1);
          await produce(topic.name, [{ value: "a" }]);
          const group = unique("group");
          await pollAs(group, topic, "one");
          for (const name of [group, unique("no-group")]) {
            // Later than any clock of these tests has shown: the group's own is one ahead of the retired ones.
            const incarnation = Date.now() + 20_000 * DAY_MS + aheadMs;
            const owner = { group: name, incarnation, memberEpoch: 1, memberNumber: 1 };
            const forger = await attach(topic, owner);
            expect(await forger.closed).toEqual({ code: 4001, reason: notAssigned(owner) });
            const signed = await attach(topic, signedOwner(owner, place(topic)));
            expect(await signed.closed).toEqual({
              code: 4000,
              reason: expect.stringContaining(`owner.incarnation is ${incarnation}`),
            });
            const read = await partitionStub(env, topic.topicId, 0).readAs({
              owner,
              offset: 0,
              maxBytes: 1,
            });
            expect(read).toMatchObject({ ok: false, error: "INVALID_REQUEST" });
          }
          await interrupt(partitionStub(env, topic.topicId, 0));
          expect(await pollAs(group, topic, "one")).toMatchObject({ records: [{ value: "a" }] });
        },
      );
    },
  );

  const isFrame = (message: unknown): message is Uint8Array => message instanceof Uint8Array;

  /**
   * Attaches with an incarnation that a clock could have shown, which the group does not have, and is sent records. So is an
   * owner that a deleted group has signed. A made-up one has no signature, and is refused.
   */
  const forge = async (topic: TopicJson, group: string) => {
    const incarnation = Date.now() + 30_000;
    const owner = { group, incarnation, memberEpoch: 1_000, memberNumber: 1_000 };
    const unsigned = await attach(topic, owner);
    expect(await unsigned.closed).toEqual({ code: 4001, reason: notAssigned(owner) });
    const forger = await attach(topic, signedOwner(owner, place(topic)));
    await forger.next(isFrame);
    return forger;
  };

  test.each(TWINS)(
    "[CLK-5] an incarnation a little ahead that is not the group's attaches if it is signed, and the group's owner still gets the partition$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      await produce(topic.name, [{ value: "a" }]);
      const group = unique("group");
      const partition = partitionStub(env, topic.topicId, 0);
      const member = await Member.join(group, topic);
      const { incarnation, memberEpoch, memberNumber } = member.joined;
      const owner = { group, incarnation, memberEpoch, memberNumber };
      // Also where the group's owner has attached before, and only the forger's fence is left.
      for (const isGone of [false, true, false]) {
        const forger = await forge(topic, group);
        if (isGone) forger.close(1000);
        await interrupt(partition, groupStub(env, group));
        const own = await attach(topic, owner);
        await own.next(isFrame);
        if (!isGone) expect(await forger.closed).toMatchObject({ code: 4001 });
        await interrupt(partition);
      }
      // One of another member of this incarnation is as old as ever.
      const older = { ...owner, memberEpoch: memberEpoch - 1 };
      const { code, reason } = await (await attach(topic, signedOwner(older, place(topic)))).closed;
      expect([code, reason]).toEqual([4001, expect.not.stringContaining("has not assigned")]);
    },
  );

  test.each(TWINS)(
    "[CLK-5] a signed incarnation a little ahead that is not the group's does not keep a polling member from reading$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      await produce(topic.name, [{ value: "a" }]);
      const group = unique("group");
      const forger = await forge(topic, group); // There is no such group yet.
      await interrupt(partitionStub(env, topic.topicId, 0));
      expect(await pollAs(group, topic, "one")).toMatchObject({ records: [{ value: "a" }] });
      expect(await forger.closed).toMatchObject({ code: 4001 });
      await forge(topic, group);
      await interrupt(partitionStub(env, topic.topicId, 0), groupStub(env, group));
      expect(await pollAs(group, topic, "one")).toMatchObject({ records: [{ value: "a" }] });
    },
  );

  test.each(TWINS)(
    "[CLK-5] a group that is deleted and created again while the clock goes back is not locked out$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      await produce(topic.name, [{ value: "a" }]);
      const group = unique("group");
      const fromMs = startMs();
      turnTo(fromMs);
      await pollAs(group, topic, "first");
      await groupStub(env, group).leave({ memberId: "poll:first", acks: [] });
      await expectStatus(204, "DELETE", `/v1/groups/${group}`);
      turnTo(fromMs - HOUR_MS);
      await interrupt(
        groupStub(env, group),
        partitionStub(env, topic.topicId, 0),
        clusterStub(env),
      );
      const polled = await pollAs(group, topic, "second");
      expect(polled).toMatchObject({ records: [{ value: "a" }] });
    },
  );

  test.each(TWINS)(
    "[CLK-5] a group from before the clock was set back reads on$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      await produce(topic.name, [{ value: "a" }]);
      const group = unique("group");
      const fromMs = startMs();
      turnTo(fromMs);
      await pollAs(group, topic, "one");
      turnTo(fromMs - 400 * DAY_MS);
      await interrupt(groupStub(env, group), partitionStub(env, topic.topicId, 0));
      expect(await pollAs(group, topic, "one")).toMatchObject({ records: [{ value: "a" }] });
    },
  );
});

describe("a group that nobody asks anything", () => {
  test.each(TWINS)(
    "[CLK-4] learns from the Worker that the clock was set back$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      const group = unique("group");
      const fromMs = startMs();
      turnTo(fromMs);
      const poll = { instanceId: "gone", topics: [topic.name] };
      await expectStatus(200, "POST", `/v1/groups/${group}/poll`, poll);
      const onMachine = { ...env, RIVULET_FILES: "/data" };
      await noticeClock(onMachine);
      turnTo(fromMs - HOUR_MS);
      await interrupt(groupStub(env, group));
      await noticeClock(onMachine);
      const dueMs = () => alarmOf(groupStub(env, group) as never);
      await eventually(
        async () => (await dueMs()) === fromMs - HOUR_MS + SESSION_MS,
        "the alarm to be set anew",
      );
    },
  );
});
