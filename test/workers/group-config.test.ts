// The config of one group, subscriptions by pattern, where a group begins, and what becomes of an empty one.
import { runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { clusterStub, groupStub } from "../../src/env.ts";
import type { AssignmentMessage, CoordinatorMessage } from "../../src/protocol/group-socket.ts";
import type { PlainServerMessage } from "../../src/protocol/plain-consumer.ts";
import {
  call,
  closeSockets,
  committedOffsets,
  createTopic,
  describeGroup,
  env,
  expectStatus,
  produce,
  readAs,
  TestSocket,
  TWINS,
  unique,
} from "./support.ts";

afterEach(() => {
  vi.useRealTimers();
  closeSockets();
});

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

const MINUTE_MS = 60_000;

for (const { when, interrupt } of TWINS) {
  describe(`a group's config${when}`, () => {
    test("[GCF-1] it is set before anybody joins, shown, changed and taken away", async () => {
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

    test("[GCF-1] what is wrong is refused and makes no group", async () => {
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
      const { groups } = await expectStatus<{ groups: { groupId: string }[] }>(
        200,
        "GET",
        "/v1/groups",
      );
      expect(groups.map(({ groupId }) => groupId)).not.toContain(group);
    });

    test("[GCF-3] group.max.size and session bounds hold for whoever joins", async () => {
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
    test("[PAT-1] topics that match are assigned, those created later too, those deleted no more", async () => {
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

    test("[PAT-2] a pattern that is none is refused, over the group's socket and for plain clients", async () => {
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
    ])("[GCF-4] %s goes above what the member says", async (position, values) => {
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
      // Whoever comes next shall start where this one began: by time or at the end that is committed first.
      const committed = await committedOffsets(group, name);
      expect(committed).toEqual([position === "earliest" ? null : 2 - values.length]);
    });
  });

  describe(`an empty group${when}`, () => {
    test("[OFF-10] it forgets its positions after the retention, and then itself", async () => {
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
      const { groups } = await expectStatus<{ groups: { groupId: string }[] }>(
        200,
        "GET",
        "/v1/groups",
      );
      expect(groups.map(({ groupId }) => groupId)).not.toContain(group);
    });

    test("[OFF-10] with a config it stays, without its positions", async () => {
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
