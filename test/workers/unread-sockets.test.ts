// A client that sends requests over a socket to an object and does not read the responses.
import { runInDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import { MAX_SOCKET_UNREAD_BYTES, MIN_READER_UNREAD_BYTES } from "../../src/core/limits.ts";
import { groupStub, partitionStub } from "../../src/env.ts";
import { writeAppendFrame } from "../../src/protocol/append-frame.ts";
import type { CoordinatorMessage } from "../../src/protocol/group-socket.ts";
import {
  createTopic,
  decodeAll,
  describeGroup,
  env,
  eventually,
  isBytes,
  produce,
  readValues,
  recordBatch,
  TestSocket,
  TWINS,
  unique,
} from "./support.ts";

const THROTTLED = {
  code: 4000,
  reason: expect.stringMatching(
    `^THROTTLING_QUOTA_EXCEEDED: .* not read, the bound is ${MAX_SOCKET_UNREAD_BYTES}`,
  ),
};

/** From now on the clients of all sockets of this object leave this much unread. */
async function leaveUnread(stub: DurableObjectStub, bytes: number): Promise<void> {
  await runInDurableObject(stub, (_, state) => {
    const real = state.getWebSockets.bind(state);
    for (const socket of real())
      Object.defineProperty(socket, "bufferedAmount", { get: () => bytes, configurable: true });
  });
}

describe("a socket to a partition", () => {
  const MESSAGES: [string, object | Uint8Array][] = [
    ["attaches", { type: "attach", attachId: 2, offset: 0 }],
    ["attaches beyond the log", { type: "attach", attachId: 2, offset: 99 }],
    ["gives window back that it did not read", { type: "window", attachId: 1, bytes: 1_000_000 }],
    [
      "appends",
      writeAppendFrame({ requestId: 1, expectedOffset: null, batches: recordBatch(["b"]) }),
    ],
    ["says what nobody understands", { type: "nonsense" }],
  ];
  test.each(MESSAGES)(
    "[BND-17] that %s and does not read is closed, and nothing of it is done",
    async (_, message) => {
      const topic = await createTopic(1);
      await produce(topic.name, [{ value: "a" }]);
      const stub = partitionStub(env, topic.topicId, 0);
      const path = `/v1/topics/${topic.name}/partitions/0/socket`;
      const [unread, other] = [await TestSocket.open(path), await TestSocket.open(path)];
      unread.send({ type: "attach", attachId: 1, offset: "latest" });
      await unread.next((each): each is object => typeof each === "object");
      await leaveUnread(stub, MAX_SOCKET_UNREAD_BYTES);
      unread.send({ type: "attach", attachId: 1, offset: "latest" });
      await unread.next((each): each is object => typeof each === "object"); // At the bound it continues.
      await leaveUnread(stub, MAX_SOCKET_UNREAD_BYTES + 1);
      unread.send(message);
      expect(await unread.closed).toEqual(THROTTLED);
      expect(await readValues(topic)).toEqual([[0, "a"]]);
      expect(await other.untilPong()).toEqual([]);
    },
  );

  // There is no twin that evicts the object: it does not hibernate while it waits for a reader.
  test("[BND-18] a reader is sent more once it has taken what it was sent", async () => {
    const topic = await createTopic(1);
    const stub = partitionStub(env, topic.topicId, 0);
    const reader = await TestSocket.open(`/v1/topics/${topic.name}/partitions/0/socket`);
    reader.send({ type: "attach", attachId: 1, offset: 0 });
    await reader.next((each): each is object => typeof each === "object");
    await leaveUnread(stub, MIN_READER_UNREAD_BYTES + 1);
    await produce(topic.name, [{ value: "a" }]);
    await produce(topic.name, [{ value: "b" }]);
    expect(await reader.untilPong()).toEqual([]);
    await leaveUnread(stub, MIN_READER_UNREAD_BYTES);
    const frame = await reader.next(isBytes);
    expect(decodeAll(frame).map(({ offset }) => offset)).toEqual([0, 1]);
  });
});

describe("a socket to a group", () => {
  const join = (topic: string, memberId = unique("m")) => ({
    type: "join",
    memberId,
    memberEpoch: 0,
    topics: [topic],
  });
  const next = (socket: TestSocket<CoordinatorMessage>) =>
    socket.next((each): each is CoordinatorMessage => typeof each === "object" && "type" in each);

  const MESSAGES: [string, (topicId: string) => object][] = [
    ["joins again", () => join("other")],
    [
      "commits",
      (topicId) => ({
        type: "commit",
        requestId: 1,
        memberEpoch: 1,
        offsets: [{ topicId, partition: 0, offset: 1 }],
      }),
    ],
    [
      "says revoked",
      (topicId) => ({ type: "revoked", partitions: [{ topicId, partitions: [0] }] }),
    ],
  ];
  test.each(MESSAGES)(
    "[BND-17] that %s and does not read is closed, and its member keeps its place for a session",
    async (_, message) => {
      const topic = await createTopic(1);
      const group = unique("group");
      const member = await TestSocket.open<CoordinatorMessage>(`/v1/groups/${group}/socket`);
      member.send(join(topic.name));
      await next(member);
      await leaveUnread(groupStub(env, group), MAX_SOCKET_UNREAD_BYTES + 1);
      member.send(message(topic.topicId));
      expect(await member.closed).toEqual(THROTTLED);
      const { members, offsets } = await describeGroup(group);
      expect(members).toMatchObject([
        { connected: false, assignment: [{ topic: topic.name, partitions: [0] }] },
      ]);
      expect(offsets).toMatchObject([{ committedOffset: null }]);
    },
  );

  test.each(TWINS)(
    "[BND-17] news of others is not sent forever to a member that does not read$when",
    async ({ interrupt }) => {
      const topic = await createTopic(2);
      const group = unique("group");
      const stub = groupStub(env, group);
      const member = await TestSocket.open<CoordinatorMessage>(`/v1/groups/${group}/socket`);
      member.send(join(topic.name));
      await next(member);
      await interrupt(stub);
      await leaveUnread(stub, MAX_SOCKET_UNREAD_BYTES + 1);
      const other = await TestSocket.open<CoordinatorMessage>(`/v1/groups/${group}/socket`);
      other.send(join(topic.name));
      expect(await next(other)).toMatchObject({ type: "assignment" });
      expect(await member.closed).toEqual(THROTTLED);
      await eventually(
        async () => (await describeGroup(group)).members.some(({ connected }) => !connected),
        "the member to be known as not connected",
      );
    },
  );
});
