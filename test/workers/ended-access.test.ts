// The end of access, if it takes a clock or a slow cluster. It comes five minutes after a key has changed, during a long request, or while a Kafka client's fetch looks up a topic.
import { afterEach, expect, test, vi } from "vitest";
import { ClusterObject } from "../../durable-objects/cluster/cluster-object.ts";
import { SocketAccess } from "../../durable-objects/shared/socket-access.ts";
import { OBJECT_SOCKET_URL, upgradeFor } from "../../src/calls/socket-caller.ts";
import type { Caller } from "../../src/core/access/caller.ts";
import { type Grant, ROLES } from "../../src/core/access/grants.ts";
import { SOCKET_KEY_AGE_MS } from "../../src/core/limits.ts";
import { clusterStub, type Env, groupStub, partitionStub, withCaller } from "../../src/env.ts";
import type { AssignmentMessage } from "../../src/protocol/group-socket.ts";
import { createKey } from "../../src/worker/access/keys.ts";
import { Invocation } from "../../src/worker/edge/invocation.ts";
import { forgetEverything } from "../../src/worker/edge/isolate.ts";
import { produceLines, readLines } from "../../src/worker/http/bulk.ts";
import * as messages from "../support/kafka-schemas.ts";
import { Kafka } from "./kafka-socket.ts";
import {
  closeSockets,
  createTopic,
  env,
  eventually,
  evict,
  expectStatus,
  isBytes,
  produce,
  readValues,
  TestSocket,
  unique,
} from "./support.ts";

afterEach(() => {
  closeSockets();
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const READ: Caller = { principal: "User:t", grants: ROLES.read, expiresAtMs: null, keyId: null };
const mayRead = (...names: string[]): Grant[] =>
  names.map((name) => ({ topics: { exact: name }, operations: ["READ"] }));

/** The clock advances by this much. */
function pass(ms: number): void {
  const nowMs = Date.now() + ms;
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(nowMs);
}

/** A key, and the caller that it is. */
async function keyWith(grants: readonly Grant[]): Promise<Caller & { readonly keyId: string }> {
  const made = { principal: `User:${unique("user")}`, grants, expiresAtMs: null };
  const { key } = await createKey(env, made);
  return { ...made, keyId: key.id };
}

/** A socket of an object that this caller opened. */
async function openedBy(stub: DurableObjectStub, caller: Caller): Promise<TestSocket<Message>> {
  const { webSocket } = await stub.fetch(OBJECT_SOCKET_URL, upgradeFor(caller));
  if (webSocket === null) throw new Error("the object opened no socket");
  const socket = new TestSocket<Message>(webSocket, () => {});
  webSocket.accept();
  return socket;
}

type Message = { readonly type: string } & Partial<AssignmentMessage>;
const is =
  (type: string) =>
  (message: Message | Uint8Array | "pong"): message is Message =>
    typeof message === "object" && "type" in message && message.type === type;

/** A socket that reads a topic, and one of a member that reads topics. */
async function reader(topicId: string, caller: Caller): Promise<TestSocket<Message>> {
  const socket = await openedBy(partitionStub(env, topicId, 0), caller);
  socket.send({ type: "attach", attachId: 1, offset: 0 });
  await socket.next(is("attached"));
  return socket;
}
async function member(topics: string[], caller: Caller) {
  const socket = await openedBy(groupStub(env, unique("group")), caller);
  const times = { sessionTimeoutMs: 30 * 60_000 };
  socket.send({ type: "join", memberId: unique("m"), memberEpoch: 0, topics, ...times });
  const assignment = await socket.next(is("assignment"));
  const commit = (requestId: number, topicId: string) => {
    const { memberEpoch } = assignment;
    const offsets = [{ topicId, partition: 0, offset: 0 }];
    socket.send({ type: "commit", requestId, memberEpoch, offsets });
  };
  return { socket, assignment, commit };
}

test("[ACL-8] a revoked key that nobody names ends its sockets at their first activity after five minutes", async () => {
  const { name, topicId } = await createTopic(1);
  const key = await keyWith(mayRead(name));
  const reading = await reader(topicId, key);
  const joined = await member([name], key);
  await expectStatus(204, "DELETE", `/v1/keys/${key.keyId}`);
  await produce(name, [{ value: "a" }]);
  await reading.next(isBytes);
  pass(SOCKET_KEY_AGE_MS);
  joined.commit(1, topicId);
  await produce(name, [{ value: "b" }]);
  expect(await reading.closed).toMatchObject({ code: 4005 });
  expect(await joined.socket.closed).toMatchObject({ code: 4005 });
});

test("[ACL-7] [ACL-8] a narrowed key takes partitions from a member, and records from a reader", async () => {
  const [kept, gone] = [await createTopic(1), await createTopic(1)];
  const key = await keyWith(mayRead(kept.name, gone.name));
  const reading = await reader(gone.topicId, key);
  const { socket, assignment, commit } = await member([kept.name, gone.name], key);
  const topicsOf = ({ partitions = [] }: Message) => partitions.map(({ topic }) => topic).sort();
  expect(topicsOf(assignment)).toEqual([gone.name, kept.name].sort());
  await expectStatus(200, "PATCH", `/v1/keys/${key.keyId}`, { grants: mayRead(kept.name) });
  pass(SOCKET_KEY_AGE_MS);
  commit(1, kept.topicId);
  expect(topicsOf(await socket.next(is("assignment")))).toEqual([kept.name]);
  commit(2, gone.topicId);
  const isAnswer = (message: Message | Uint8Array | "pong"): message is Message =>
    is("committed")(message) && (message as { requestId?: number }).requestId === 2;
  expect(await socket.next(isAnswer)).toMatchObject({
    rejected: [{ topicId: gone.topicId, code: "TOPIC_AUTHORIZATION_FAILED" }],
  });
  // The first activity asks for the key's rights, and the next one is checked against them.
  await produce(gone.name, [{ value: "a" }]);
  await reading.next(isBytes);
  const count = reading.received.filter(isBytes).length;
  await produce(gone.name, [{ value: "b" }]);
  expect(await reading.next(is("error"))).toMatchObject({ code: "TOPIC_AUTHORIZATION_FAILED" });
  expect(reading.received.filter(isBytes).length).toBe(count);
});

test("[APK-4] [ACL-8] an object that wakes asks for the key of a socket only once it is old", async () => {
  const { name, topicId } = await createTopic(1);
  const key = await keyWith(mayRead(name));
  const reading = await reader(topicId, key);
  const asked = vi.spyOn(ClusterObject.prototype, "apiKey");
  const wakes = async (value: string) => {
    await evict(partitionStub(env, topicId, 0));
    await produce(name, [{ value }]);
    await reading.next(isBytes);
    return asked.mock.calls.length;
  };
  expect(await wakes("a")).toBe(0);
  pass(SOCKET_KEY_AGE_MS);
  await wakes("b");
  await eventually(async () => asked.mock.calls.length === 1, "the question");
  await Promise.all(asked.mock.results.map(({ value }) => value));
  expect(await wakes("c")).toBe(1);
});

test("[APK-4] [ACL-8] a socket continues while its key cannot be checked, and asks again", async () => {
  const asked: Promise<unknown>[] = [];
  const down = new Proxy({}, { get: () => () => Promise.reject(new Error("out of reach")) });
  const ended = vi.fn();
  const access = new SocketAccess({
    env: { ...env, CLUSTER: { getByName: () => down } } as unknown as Env,
    waitUntil: (promise) => asked.push(promise),
    ended,
    changed: () => {},
  });
  const { 1: socket } = new WebSocketPair();
  socket.accept();
  access.admit(socket, { ...READ, keyId: "a".repeat(16) }, 0);
  for (const nowMs of [1, SOCKET_KEY_AGE_MS, SOCKET_KEY_AGE_MS + 1, 2 * SOCKET_KEY_AGE_MS])
    expect(access.isGood(socket, nowMs)).toBe(true);
  await Promise.all(asked);
  expect(asked).toHaveLength(2);
  expect(ended).not.toHaveBeenCalled();
  socket.close();
});

test("[ACL-8] a long read ends in the middle when its token expires", async () => {
  const { name } = await createTopic(1);
  // Two reads' worth.
  const value = "x".repeat(900_000);
  for (let i = 0; i < 6; i++) await produce(name, [{ value: `${i}${value}` }]);
  const caller = { ...READ, expiresAtMs: Date.now() + 60_000 };
  const all = { offset: null, maxRecords: Number.MAX_SAFE_INTEGER, hold: () => {} };
  let lines = "";
  for await (const text of readLines(withCaller(env, caller), name, 0, all)) {
    if (lines === "") pass(60_000);
    lines += text;
  }
  expect(lines).toContain('"offset":0');
  expect(lines).not.toContain('"offset":5');
  expect(lines.trim().split("\n").at(-1)).toContain("SASL_AUTHENTICATION_FAILED");
});

test("[ACL-8] a long write ends in the middle when its token expires", async () => {
  const topic = await createTopic(1);
  const { name } = topic;
  const caller = { ...READ, grants: ROLES.write, expiresAtMs: Date.now() + 60_000 };
  async function* lines() {
    for (let number = 1; number <= 3; number++) {
      const text = JSON.stringify({ value: `${number}` });
      yield { number, text, sizeInBytes: 5_000_000 };
    }
  }
  const invocation = new Invocation(withCaller(env, caller));
  const source = Object.assign(lines(), { hold: () => {}, body: { close: () => {} } });
  let answer = "";
  for await (const text of produceLines(invocation, name, source as never)) {
    if (answer === "") pass(60_000);
    answer += text;
  }
  const last = JSON.parse(answer.trim().split("\n").at(-1) as string);
  expect(last).toMatchObject({
    ...{ done: false, stored: 1, error: { code: "SASL_AUTHENTICATION_FAILED" } },
  });
  vi.useRealTimers();
  expect(await readValues(topic, 0)).toEqual([[0, "1"]]);
});

test("[SASL-5] a fetch that looks up its topic while the session ends is sent nothing", async () => {
  const { name } = await createTopic(1);
  await produce(name, [{ value: "a" }]);
  forgetEverything();
  const caller = { ...READ, expiresAtMs: Date.now() + 60_000 };
  const asked = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  const slowly = (method: string) => async (request: object) => {
    asked.resolve();
    await ended.promise;
    const stub = clusterStub(env) as unknown as Record<string, (each: object) => unknown>;
    return stub[method]?.(request);
  };
  const cluster = new Proxy({}, { get: (_, method) => slowly(String(method)) });
  const slow = { ...env, RIVULET_OPEN: "", CLUSTER: { getByName: () => cluster } };
  const client = Kafka.openWith(withCaller(slow as unknown as Env, caller));
  const answer = client.ask<{
    topics: { partitions: { records: Uint8Array; errorCode: number }[] }[];
  }>(messages.FETCH, 12, {
    ...{ maxWaitMs: 1_000, minBytes: 1, isolationLevel: 0 },
    topics: [{ name, partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1_000 }] }],
  });
  await asked.promise;
  pass(60_000);
  ended.resolve();
  const [partition] = (await answer).topics[0]?.partitions ?? [];
  expect(partition?.records).toHaveLength(0);
  expect(partition?.errorCode).not.toBe(0);
});
