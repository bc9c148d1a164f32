// The config of one group, subscriptions by pattern, where a group begins, and the fate of an empty one.
import { runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, describe, expect, type MockInstance, test, vi } from "vitest";
import { ClusterObject } from "../../durable-objects/cluster/cluster-object.ts";
import { clusterStub, groupStub } from "../../src/env.ts";
import type {
  AssignmentMessage,
  CoordinatorMessage,
  ErrorMessage,
} from "../../src/protocol/group-socket.ts";
import type { PlainServerMessage } from "../../src/protocol/plain-consumer.ts";
import {
  call,
  committedOffsets,
  createTopic,
  describeGroup,
  env,
  expectStatus,
  listedGroups,
  produce,
  readAs,
  TestSocket,
  TWINS,
  unique,
} from "./support.ts";

afterEach(() => void vi.useRealTimers());

interface ConfigJson {
  readonly groupId: string;
  readonly config: Readonly<Record<string, string | number>>;
  readonly overrides: Readonly<Record<string, string | number>>;
}

function alter(group: string, config: object): Promise<ConfigJson> {
  return expectStatus(200, "PATCH", `/v1/groups/${group}`, { config });
}

async function join(group: string, request: object): Promise<TestSocket<CoordinatorMessage>> {
  const socket = await TestSocket.open<CoordinatorMessage>(`/v1/groups/${group}/socket`);
  socket.send({ type: "join", memberId: unique("m"), memberEpoch: 0, ...request });
  return socket;
}

function assignment(
  socket: TestSocket<CoordinatorMessage>,
  isWanted: (message: AssignmentMessage) => boolean = () => true,
): Promise<AssignmentMessage> {
  return socket.next(
    (message): message is AssignmentMessage =>
      typeof message === "object" &&
      "type" in message &&
      message.type === "assignment" &&
      isWanted(message),
  );
}

function topicsOf({ partitions }: AssignmentMessage): string[] {
  return [...new Set(partitions.map(({ topic }) => topic))].sort();
}

function refusal(socket: TestSocket<CoordinatorMessage>) {
  return socket.next(
    (message): message is ErrorMessage =>
      typeof message === "object" && "type" in message && message.type === "error",
  );
}

describe("the list of groups", () => {
  test.each([
    { memberEpoch: 7, code: "UNKNOWN_MEMBER_ID" },
    { topicPattern: "(", code: "INVALID_REGULAR_EXPRESSION" },
    { topicPattern: "(.{0,999})".repeat(90), code: "INVALID_REGULAR_EXPRESSION" },
    { topics: ["no topic"], code: "INVALID_TOPIC_EXCEPTION" },
  ])(
    "[GRP-13] a join refused with $code leaves no group behind (%#)",
    async ({ code, ...request }) => {
      const group = unique("phantom");
      const socket = await join(group, { topics: [], topicPattern: "ph.*", ...request });
      expect(await refusal(socket)).toMatchObject({ code });
      expect(await listedGroups()).not.toContain(group);
      expect(await call("GET", `/v1/groups/${group}`)).toMatchObject({ status: 404 });
    },
  );

  test("[GRP-13] a group whose joins race with a delete is listed if and only if it exists", async () => {
    const topic = await createTopic(1);
    for (let i = 0; i < 10; i++) {
      const group = unique("race");
      await alter(group, { "group.max.size": 5 });
      const sockets = await Promise.all(
        [0, 1, 2].map(() => TestSocket.open<CoordinatorMessage>(`/v1/groups/${group}/socket`)),
      );
      const [deleted] = await Promise.all([
        call("DELETE", `/v1/groups/${group}`),
        ...sockets.map((socket, number) => {
          socket.send({
            type: "join",
            memberId: `m${number}`,
            memberEpoch: 0,
            topics: [topic.name],
          });
          return Promise.race([assignment(socket).catch(() => null), socket.closed]);
        }),
      ]);
      expect([204, 409]).toContain(deleted.status);
      const exists = (await call("GET", `/v1/groups/${group}`)).status === 200;
      expect((await listedGroups()).includes(group), `exists: ${exists}`).toBe(exists);
    }
  });

  test("[GRP-13] a delete removes from the list a group that is only listed", async () => {
    const group = unique("listed");
    await clusterStub(env).subscribe({ groupId: group, names: [], pattern: null });
    expect(await listedGroups()).toContain(group);
    expect(await call("DELETE", `/v1/groups/${group}`)).toMatchObject({ status: 404 });
    expect(await listedGroups()).not.toContain(group);
  });
});

test("[GRP-4] a join that the cluster answers late does not undo a later one", async () => {
  const topic = await createTopic(1);
  const group = unique("late");
  // Promises do not cross objects: both sides check.
  let isAsked = false;
  let isHeld = true;
  let isAnswered = false;
  const { subscribe } = ClusterObject.prototype;
  const spy = vi.spyOn(ClusterObject.prototype, "subscribe") as unknown as MockInstance<
    (...parameters: Parameters<typeof subscribe>) => unknown
  >;
  spy.mockImplementationOnce(async function (this: ClusterObject, ...parameters) {
    isAsked = true;
    while (isHeld) await new Promise((resolve) => setTimeout(resolve, 1));
    isAnswered = true;
    return subscribe.apply(this, parameters);
  });
  const socket = await TestSocket.open<CoordinatorMessage>(`/v1/groups/${group}/socket`);
  const join = { type: "join", memberId: "m", memberEpoch: 0, topics: [topic.name] };
  socket.send({ ...join, requestId: 1 });
  await vi.waitFor(() => expect(isAsked).toBe(true));
  socket.send({ ...join, requestId: 2 });
  expect(await assignment(socket)).toMatchObject({ requestId: 2 });
  isHeld = false;
  await vi.waitFor(() => expect(isAnswered).toBe(true));
  await describeGroup(group);
  const offsets = [{ topicId: topic.topicId, partition: 0, offset: 0 }];
  socket.send({ type: "commit", requestId: 3, memberEpoch: 1, offsets });
  const next = await socket.next(
    (message): message is CoordinatorMessage => typeof message === "object" && "type" in message,
  );
  expect(next, "the late join is answered by nothing").not.toMatchObject({ requestId: 1 });
  spy.mockRestore();
});

describe("a member of many topics", () => {
  test("[PAT-1] resumes with all it holds, which may be more than it could name", async () => {
    const prefix = unique("many");
    const topics = Array.from({ length: 101 }, (_, i) => `${prefix}-${i}`);
    for (const name of topics) await expectStatus(201, "POST", "/v1/topics", { name });
    const group = unique("wide");
    const first = await join(group, { memberId: "m", topics: [], topicPattern: `${prefix}-.*` });
    const { partitions, memberEpoch } = await assignment(
      first,
      (each) => each.partitions.length === 101,
    );
    first.close(4900);
    const owned = partitions.map(({ topicId, partition }) => ({
      topicId,
      partitions: [partition],
    }));
    const again = await join(group, {
      memberId: "m",
      memberEpoch,
      topics: [],
      topicPattern: `${prefix}-.*`,
      owned,
    });
    expect((await assignment(again)).partitions).toHaveLength(101);
    again.send({ type: "revoked", partitions: owned });
    again.send({ type: "leave" });
    expect(await again.closed).toMatchObject({ code: 1000 });
  });
});

describe("a position before reading", () => {
  test("[OFF-4] a group gets a place to begin in a topic that it has not read", async () => {
    const topic = await createTopic(2);
    await produce(
      topic.name,
      [0, 1, 2].map((value) => ({ value, partition: 1 })),
    );
    const group = unique("preset");
    await alter(group, { "group.max.size": 5 });
    const path = `/v1/groups/${group}/offsets`;
    await expectStatus(200, "POST", path, { to: "latest", topics: [topic.name], dryRun: true });
    expect((await describeGroup(group)).offsets).toEqual([]);
    await expectStatus(200, "POST", path, { to: "latest", topics: [topic.name] });
    expect(await committedOffsets(group, topic.name)).toEqual([0, 3]);
    await expectStatus(200, "POST", path, {
      offsets: [{ topic: topic.name, partition: 1, offset: 2 }],
    });
    const member = await join(group, { topics: [topic.name] });
    const { partitions } = await assignment(member);
    expect(partitions.map(({ committedOffset }) => committedOffset)).toEqual([0, 2]);
  });

  test("[OFF-4] it learns that the topic is gone, and forgets the offset", async () => {
    const topic = await createTopic(1);
    const group = unique("preset");
    await alter(group, { "group.max.size": 5 });
    const path = `/v1/groups/${group}/offsets`;
    await expectStatus(200, "POST", path, { to: "earliest", topics: [topic.name] });
    await expectStatus(204, "DELETE", `/v1/topics/${topic.name}`);
    await vi.waitFor(async () => expect((await describeGroup(group)).offsets).toEqual([]));
  });
});

const MINUTE_MS = 60_000;

for (const { when, interrupt } of TWINS) {
  describe(`a group's config${when}`, () => {
    test("[GCF-1] it is set before anybody joins, shown, changed and removed", async () => {
      const group = unique("group");
      await expectStatus(404, "GET", `/v1/groups/${group}/config`);
      await alter(group, { "group.max.size": "3", "consumer.assignor": "range" });
      await interrupt(groupStub(env, group));
      const shown = await expectStatus<ConfigJson>(200, "GET", `/v1/groups/${group}/config`);
      expect(shown.overrides).toEqual({ "group.max.size": 3, "consumer.assignor": "range" });
      expect(shown.config).toMatchObject({
        "consumer.assignor": "range",
        "consumer.auto.offset.reset": "member",
        "offsets.retention.minutes": 10080,
      });
      expect(await describeGroup(group)).toMatchObject({ state: "EMPTY", assignor: "range" });
      await alter(group, { "group.max.size": null });
      await interrupt(groupStub(env, group));
      expect((await alter(group, {})).overrides).toEqual({ "consumer.assignor": "range" });
      await expectStatus(204, "DELETE", `/v1/groups/${group}`);
    });

    test("[GCF-1] an invalid config is rejected and creates no group", async () => {
      const group = unique("group");
      for (const config of [
        { unknown: 1 },
        { "group.max.size": 0 },
        { "consumer.assignor": "x" },
      ]) {
        const refused = await call<{ code: string }>("PATCH", `/v1/groups/${group}`, { config });
        expect(refused).toMatchObject({ status: 400, body: { code: "INVALID_CONFIG" } });
      }
      await interrupt(clusterStub(env));
      await expectStatus(404, "GET", `/v1/groups/${group}`);
      expect(await listedGroups()).not.toContain(group);
    });

    test("[GCF-3] group.max.size and session bounds apply to new members", async () => {
      const group = unique("group");
      const topic = await createTopic(2);
      await alter(group, { "group.max.size": 1, "consumer.max.session.timeout.ms": 5000 });
      await interrupt(groupStub(env, group));
      const first = await join(group, { topics: [topic.name], sessionTimeoutMs: 5000 });
      await assignment(first);
      const refused = async (request: object) => {
        const socket = await join(group, { topics: [topic.name], ...request });
        return socket.next((message): message is CoordinatorMessage => typeof message === "object");
      };
      expect(await refused({ sessionTimeoutMs: 5000 })).toMatchObject({
        code: "GROUP_MAX_SIZE_REACHED",
      });
      expect(await refused({ sessionTimeoutMs: 6000 })).toMatchObject({
        code: "INVALID_SESSION_TIMEOUT",
      });
    });

    test("[GCF-2] the assignor changes under a member at work", async () => {
      const group = unique("group");
      const topic = await createTopic(4);
      const member = await join(group, { topics: [topic.name] });
      const before = await assignment(member);
      await alter(group, { "consumer.assignor": "range" });
      await interrupt(groupStub(env, group));
      const after = await assignment(member);
      expect(after.memberEpoch).toBe(before.memberEpoch + 1);
      expect(after.partitions).toHaveLength(4);
    });
  });

  describe(`subscriptions by pattern${when}`, () => {
    test("[PAT-1] matching topics are assigned, including later ones, and deleted ones no more", async () => {
      const prefix = unique("pattern");
      const group = unique("group");
      await createTopic(1, {}, `${prefix}-a`);
      await createTopic(1, {}, `other-${prefix}`);
      const member = await join(group, { topicPattern: `${prefix}-.*` });
      expect(topicsOf(await assignment(member))).toEqual([`${prefix}-a`]);
      await interrupt(groupStub(env, group), clusterStub(env));
      await createTopic(2, {}, `${prefix}-b`);
      const grown = await assignment(member, ({ partitions }) => partitions.length === 3);
      expect(topicsOf(grown)).toEqual([`${prefix}-a`, `${prefix}-b`]);
      await expectStatus(204, "DELETE", `/v1/topics/${prefix}-a`);
      member.send({
        type: "revoked",
        partitions: grown.partitions
          .filter(({ topic }) => topic === `${prefix}-a`)
          .map(({ topicId, partition }) => ({ topicId, partitions: [partition] })),
      });
      const left = await assignment(member, ({ partitions }) => partitions.length === 2);
      expect(topicsOf(left)).toEqual([`${prefix}-b`]);
    });

    test("[PAT-2] an invalid pattern is rejected, over the group's socket and for plain clients", async () => {
      const member = await join(unique("group"), { topicPattern: "(" });
      await interrupt();
      expect(
        await member.next((message): message is CoordinatorMessage => typeof message === "object"),
      ).toMatchObject({
        code: "INVALID_REGULAR_EXPRESSION",
        detail: expect.stringContaining("missing closing"),
      });
      const path = `/v1/groups/${unique("group")}/consume?pattern=${encodeURIComponent("(")}`;
      expect(await call("GET", path)).toMatchObject({
        status: 400,
        body: { code: "INVALID_REGULAR_EXPRESSION" },
      });
    });

    test("[PAT-1] a plain client consumes by pattern", async () => {
      const prefix = unique("pattern");
      const group = unique("group");
      await createTopic(1, {}, `${prefix}-a`);
      await produce(`${prefix}-a`, [{ value: "one" }]);
      const client = await TestSocket.open<PlainServerMessage>(
        `/v1/groups/${group}/consume?pattern=${prefix}-.`,
      );
      await interrupt();
      const records = await client.next(
        (message): message is Extract<PlainServerMessage, { type: "records" }> =>
          typeof message === "object" && "type" in message && message.type === "records",
      );
      expect(records.records.map(({ value }) => value)).toEqual(["one"]);
    });
  });

  describe(`where a group begins${when}`, () => {
    test.each([
      ["earliest", ["old", "new"]],
      ["by_duration:PT1H", ["new"]],
      ["by_duration:P2D", ["old", "new"]],
    ])("[GCF-4] %s takes precedence over the member", async (position, values) => {
      const group = unique("group");
      const { name } = await createTopic(1);
      const nowMs = Date.now();
      await produce(name, [
        { value: "old", timestamp: nowMs - 24 * 60 * MINUTE_MS },
        { value: "new", timestamp: nowMs - MINUTE_MS },
      ]);
      await alter(group, { "consumer.auto.offset.reset": position });
      await interrupt(groupStub(env, group));
      const client = await TestSocket.open<PlainServerMessage>(
        `/v1/groups/${group}/consume?topics=${name}&from=latest`,
      );
      const { records } = await client.next(
        (message): message is Extract<PlainServerMessage, { type: "records" }> =>
          typeof message === "object" && "type" in message && message.type === "records",
      );
      expect(records.map(({ value }) => value)).toEqual(values);
      // The next one must start where this one began: by time or at the end that is committed first.
      const committed = await committedOffsets(group, name);
      expect(committed).toEqual([position === "earliest" ? null : 2 - values.length]);
    });
  });

  describe(`an empty group${when}`, () => {
    test("[OFF-10] it forgets its committed offsets after the retention, and then itself", async () => {
      const group = unique("group");
      const topic = await createTopic(1);
      await produce(topic.name, [{ value: "one" }]);
      await readAs(group, topic, { 0: 1 });
      const stub = groupStub(env, group);
      const nowMs = Date.now();
      vi.useFakeTimers({ toFake: ["Date"] });
      vi.setSystemTime(nowMs + 6 * 24 * 60 * MINUTE_MS);
      await interrupt(stub);
      await runDurableObjectAlarm(stub);
      expect(await committedOffsets(group, topic.name)).toEqual([1]);
      vi.setSystemTime(nowMs + 7 * 24 * 60 * MINUTE_MS + MINUTE_MS);
      await interrupt(stub);
      await runDurableObjectAlarm(stub);
      await expectStatus(404, "GET", `/v1/groups/${group}`);
      expect(await listedGroups()).not.toContain(group);
    });

    test("[OFF-10] with a config it stays, without its committed offsets", async () => {
      const group = unique("group");
      const topic = await createTopic(1);
      await alter(group, { "offsets.retention.minutes": 1 });
      await readAs(group, topic, { 0: 0 });
      const stub = groupStub(env, group);
      vi.useFakeTimers({ toFake: ["Date"] });
      vi.setSystemTime(Date.now() + 2 * MINUTE_MS);
      await interrupt(stub);
      await runDurableObjectAlarm(stub);
      expect(await describeGroup(group)).toMatchObject({ state: "EMPTY", offsets: [] });
    });
  });
}
