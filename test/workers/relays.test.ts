// Relays: who is sent to one, what its readers are sent whatever is evicted or fails, and how they end. Tests that read have
// a twin that evicts partition and relay in the middle.
import { listDurableObjectIds, runDurableObjectAlarm } from "cloudflare:test";
import { exports } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { PartitionObject } from "../../durable-objects/partition/partition-object.ts";
import { RelayObject } from "../../durable-objects/relay/relay-object.ts";
import { OBJECT_SOCKET_URL, upgradeFor } from "../../src/calls/socket-caller.ts";
import { ANYBODY, type Caller } from "../../src/core/access/caller.ts";
import { ROLES } from "../../src/core/access/grants.ts";
import { MAX_DIRECT_READERS } from "../../src/core/limits.ts";
import { partitionStub, relayStub } from "../../src/env.ts";
import { CLOSE_FATAL, CLOSE_UNAUTHENTICATED } from "../../src/protocol/close-codes.ts";
import type {
  AttachedMessage,
  PartitionMessage,
  ReaderErrorMessage,
  RelayMessage,
} from "../../src/protocol/partition-socket.ts";
import { createKey } from "../../src/worker/access/keys.ts";
import {
  call,
  createTopic,
  decodeAll,
  env,
  eventually,
  evict,
  expectStatus,
  isBytes,
  ORIGIN,
  produce,
  recordBatch,
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

const TEXT = new TextDecoder();

type Socket = TestSocket<PartitionMessage>;
type Kind = PartitionMessage["type"];
const is =
  <T extends PartitionMessage>(type: T["type"] & Kind) =>
  (message: unknown): message is T =>
    typeof message === "object" && message !== null && "type" in message && message.type === type;

function socketPath({ name }: TopicJson, relay?: number): string {
  return `/v1/topics/${name}/partitions/0/socket${relay === undefined ? "" : `?relay=${relay}`}`;
}

/** A topic whose partition has as many readers as it serves itself. */
async function crowdedTopic() {
  const topic = await createTopic(1);
  const partition = partitionStub(env, topic.topicId, 0);
  const crowd = await Promise.all(
    Array.from({ length: MAX_DIRECT_READERS }, () => attached(topic, "latest")),
  );
  return {
    topic,
    partition,
    crowd,
    relay: (number = 0) => relayStub(env, { topicId: topic.topicId, partition: 0, relay: number }),
    append: async (...values: string[]) => {
      for (const value of values)
        expect(await partition.append({ batches: recordBatch([value]) })).toMatchObject({
          ok: true,
        });
    },
  };
}

async function attached(topic: TopicJson, offset: number | "latest"): Promise<Socket> {
  const socket: Socket = await TestSocket.open(socketPath(topic));
  socket.send({ type: "attach", offset });
  await socket.next(is<AttachedMessage>("attached"));
  return socket;
}

/** A reader that can follow: its relay. */
async function sent(topic: TopicJson, offset: number | "earliest" | "latest" = 0) {
  const socket: Socket = await TestSocket.open(socketPath(topic));
  socket.send({ type: "attach", attachId: 7, offset, relays: true });
  return { socket, named: await socket.next(is<RelayMessage>("relay")) };
}

/** A reader of a relay. */
class Follower {
  readonly socket: Socket;
  readonly values: string[] = [];
  windowBytes = 0;

  private constructor(socket: Socket) {
    this.socket = socket;
  }

  static async of(
    topic: TopicJson,
    offset: number | "earliest" | "latest" = 0,
    windowBytes = 1_000_000,
  ): Promise<Follower> {
    const { socket, named } = await sent(topic, offset);
    socket.close(1000);
    const own: Socket = await TestSocket.open(socketPath(topic, named.relay));
    own.send({ type: "attach", attachId: 8, offset: named.offset, windowBytes });
    const follower = new Follower(own);
    await own.next(is<AttachedMessage>("attached"));
    return follower;
  }

  /** Reads until there are this many values in all. Bytes are returned at once. */
  async read(count: number): Promise<string[]> {
    while (this.values.length < count) {
      const frame = await this.socket.next(isBytes);
      for (const { value } of decodeAll(frame)) this.values.push(TEXT.decode(value ?? undefined));
      this.socket.send({ type: "window", attachId: 8, bytes: frame.length });
    }
    return this.values;
  }
}

const numbered = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => `v${from + i}`);

/**
 * The calls of this method of the object's class fail until the returned function is called. It returns the number of
 * failures.
 */
function failing(method: "push", times = Number.POSITIVE_INFINITY): { count: number } {
  const original = RelayObject.prototype[method];
  const failed = { count: 0 };
  vi.spyOn(RelayObject.prototype, method).mockImplementation(async function (
    this: RelayObject,
    ...args
  ) {
    if (failed.count++ < times) throw new Error("Network connection lost.");
    return original.apply(this, args);
  });
  return failed;
}

describe("who is sent to a relay", () => {
  test("[RLY-1] a client that can follow, and comes after those that the partition serves, with its offset", async () => {
    const { topic, append } = await crowdedTopic();
    await append("a", "b");
    const bounds = { logStartOffset: 0, highWatermark: 2 };
    expect((await sent(topic, "latest")).named).toEqual({
      ...{ type: "relay", attachId: 7, relay: 0, offset: 2 },
      ...bounds,
    });
    expect((await sent(topic, "earliest")).named).toMatchObject({ relay: 0, offset: 0, ...bounds });
  });

  test("[RLY-1] nobody else: no client that cannot follow, no owner, no reader already served", async () => {
    const { topic, crowd, append } = await crowdedTopic();
    await append("a");
    await attached(topic, 0); // Of release 0.2.
    const [direct] = crowd as [Socket];
    direct.send({ type: "attach", attachId: 3, offset: 0, relays: true });
    expect(await direct.next(is<AttachedMessage>("attached"))).toMatchObject({ attachId: 3 });
    const owner: Socket = await TestSocket.open(socketPath(topic));
    const token = { group: unique("group"), incarnation: 1, memberEpoch: 1, memberNumber: 1 };
    const place = { topicId: topic.topicId, partition: 0 };
    owner.send({ type: "attach", offset: 0, relays: true, owner: signedOwner(token, place) });
    await owner.next(is<AttachedMessage>("attached"));
  });

  test("[RLY-1] an offset outside the log is refused at the partition", async () => {
    const { topic } = await crowdedTopic();
    const socket: Socket = await TestSocket.open(socketPath(topic));
    socket.send({ type: "attach", offset: 5, relays: true });
    const error = await socket.next(is<ReaderErrorMessage>("error"));
    expect(error.code).toBe("OFFSET_OUT_OF_RANGE");
  });

  test("[RLY-1] once it has room, the partition serves newcomers itself", async () => {
    const { topic, crowd } = await crowdedTopic();
    const [first] = crowd as [Socket];
    first.close(1000);
    await first.closed;
    await attached(topic, 0);
    await sent(topic);
  });

  test("[RLY-1] an event stream and a wait for records follow", async () => {
    const { topic, append } = await crowdedTopic();
    const upgrades = vi.spyOn(RelayObject.prototype, "fetch");
    const path = `/v1/topics/${topic.name}`;
    const stream = await exports.default.fetch(`${ORIGIN}${path}/stream?from=latest`);
    const reader = (stream.body as ReadableStream<Uint8Array>).getReader();
    let text = "";
    const until = async (part: string) => {
      while (!text.includes(part)) text += TEXT.decode((await reader.read()).value);
    };
    await until("id:"); // It is attached.
    const waiting = call<{ records: { value: string }[] }>(
      "GET",
      `${path}/partitions/0/records?offset=0&waitMs=5000`,
    );
    await append("news");
    await until("news");
    expect((await waiting).body.records).toMatchObject([{ value: "news" }]);
    expect(upgrades).toHaveBeenCalled();
    await reader.cancel();
  });
});

describe.each(TWINS)("a reader of a relay$when", ({ interrupt }) => {
  test("[RLY-2] gets every batch from its offset on, in order, once", async () => {
    const { topic, partition, relay, append } = await crowdedTopic();
    await append(...numbered(0, 3));
    const follower = await Follower.of(topic, 1);
    await interrupt(relay());
    expect(await follower.read(2)).toEqual(numbered(1, 3));
    await append(...numbered(3, 5));
    await interrupt(partition);
    await append(...numbered(5, 7));
    await interrupt(relay(), partition);
    await append(...numbered(7, 9));
    expect(await follower.read(8)).toEqual(numbered(1, 9));
    await interrupt(relay());
    await append(...numbered(9, 10));
    expect(await follower.read(9)).toEqual(numbered(1, 10));
    expect((await follower.socket.untilPong()).filter(isBytes)).toEqual([]);
  });

  test("[RLY-3] [TAIL-2] gets one batch for each that it gives back, from the partition where the relay has none", async () => {
    const { topic, partition, relay, append } = await crowdedTopic();
    await append(...numbered(0, 4));
    const follower = await Follower.of(topic, 0, 1);
    for (let count = 1; count <= 4; count++) {
      expect(await follower.read(count)).toEqual(numbered(0, count));
      await interrupt(relay(), partition);
      await append(`v${3 + count}`);
    }
    expect(await follower.read(8)).toEqual(numbered(0, 8));
  });

  test("[RLY-3] [TAIL-3] learns where the log begins, once its records are deleted", async () => {
    const { topic, partition, relay, append } = await crowdedTopic();
    await append(...numbered(0, 3));
    const follower = await Follower.of(topic, 0, 1);
    await follower.socket.next(isBytes);
    await partition.deleteRecords({ before: 3 });
    await interrupt(relay(), partition);
    await append("after");
    const error = await follower.socket.next(is<ReaderErrorMessage>("error"));
    expect(error).toMatchObject({ attachId: 8, code: "OFFSET_OUT_OF_RANGE", logStartOffset: 3 });
    follower.socket.send({ type: "attach", attachId: 8, offset: "earliest" });
    expect(await follower.read(1)).toEqual(["after"]);
  });

  test("[CLU-4] [RLY-6] is closed when the topic is deleted, and its relay is no longer known", async () => {
    const { topic, partition, relay, append } = await crowdedTopic();
    const follower = await Follower.of(topic);
    await append("a");
    await follower.read(1);
    await interrupt(relay(), partition);
    await expectStatus(204, "DELETE", `/v1/topics/${topic.name}`);
    const closed = await follower.socket.closed;
    expect(closed).toMatchObject({ code: CLOSE_FATAL });
    expect(closed.reason).toContain("UNKNOWN_TOPIC_ID");
    const again = await createTopic(1, {}, topic.name);
    await expect(TestSocket.open(socketPath(again, 0))).rejects.toThrow("INVALID_REQUEST");
    await attached(again, "latest");
  });

  test("[ACL-8] [RLY-6] is closed at the first push after its credential has expired", async () => {
    const { topic, partition, relay, append } = await crowdedTopic();
    await sent(topic);
    const expiresAtMs = Date.now() + 60_000;
    const reading = await openedBy(relay(), { ...READER, expiresAtMs });
    reading.send({ type: "attach", offset: 0 });
    await append("a");
    await reading.next(isBytes);
    await interrupt(relay(), partition);
    vi.useFakeTimers({ toFake: ["Date"], now: expiresAtMs });
    await append("b");
    expect(await reading.closed).toMatchObject({ code: CLOSE_UNAUTHENTICATED });
    expect(reading.received.filter(isBytes)).toHaveLength(1);
  });

  test("[ACL-8] [RLY-6] is closed when its key is revoked, if its topic is named", async () => {
    const { topic, partition, relay, append } = await crowdedTopic();
    await sent(topic);
    const made = { principal: `User:${unique("user")}`, grants: ROLES.read, expiresAtMs: null };
    const { key } = await createKey(env, made);
    const reading = await openedBy(relay(), { ...made, keyId: key.id });
    reading.send({ type: "attach", offset: 0 });
    await append("a");
    await reading.next(isBytes);
    await interrupt(relay(), partition);
    await partition.revokeKey({ keyId: key.id });
    expect(await reading.closed).toMatchObject({ code: CLOSE_UNAUTHENTICATED });
  });
});

const READER: Caller = { principal: "User:t", grants: ROLES.read, expiresAtMs: null, keyId: null };

async function openedBy(stub: DurableObjectStub, caller: Caller): Promise<Socket> {
  const { webSocket } = await stub.fetch(OBJECT_SOCKET_URL, upgradeFor(caller));
  if (webSocket === null) throw new Error("the object opened no socket");
  const socket: Socket = new TestSocket(webSocket, () => {});
  webSocket.accept();
  return socket;
}

describe("what a relay refuses", () => {
  test("[RLY-4] a relay to which the partition sends nobody, and creates none", async () => {
    const { topic, partition } = await crowdedTopic();
    const before = await listDurableObjectIds(env.RELAY);
    for (const relay of [0, 1, 63])
      await expect(TestSocket.open(socketPath(topic, relay))).rejects.toThrow("INVALID_REQUEST");
    for (const relay of ["-1", "64", "x", "0.5"])
      await expect(TestSocket.open(`${socketPath(topic)}?relay=${relay}`)).rejects.toThrow(
        "answered 400",
      );
    expect(await listDurableObjectIds(env.RELAY)).toHaveLength(before.length);
    await sent(topic);
    expect(await partition.findRelay({ relay: 0 })).toEqual({ ok: true, isInUse: true });
    await TestSocket.open(socketPath(topic, 0));
  });

  test.each([
    ["an append", new Uint8Array(20), "takes no appends"],
    [
      "an owner",
      {
        type: "attach",
        offset: 0,
        owner: { group: "g", incarnation: 1, memberEpoch: 1, memberNumber: 1 },
      },
      "attach at the partition",
    ],
  ])("[RLY-4] %s closes the socket, which says where to go", async (_, message, told) => {
    const { topic } = await crowdedTopic();
    await sent(topic);
    const socket: Socket = await TestSocket.open(socketPath(topic, 0));
    socket.send(message);
    const { code, reason } = await socket.closed;
    expect(code).toBe(CLOSE_FATAL);
    expect(reason).toContain("INVALID_REQUEST");
    expect(reason).toContain(told);
  });

  test("[ACL-7] [RLY-6] a reader without the right to read, as the partition does", async () => {
    const { topic, relay } = await crowdedTopic();
    await sent(topic);
    const socket = await openedBy(relay(), { ...READER, grants: [] });
    socket.send({ type: "attach", attachId: 4, offset: 0 });
    const error = await socket.next(is<ReaderErrorMessage>("error"));
    expect(error).toMatchObject({ attachId: 4, code: "TOPIC_AUTHORIZATION_FAILED" });
  });
});

/** Lets the partition's alarm ring, which it has set, until the reader has this many frames. */
async function ring(stub: DurableObjectStub, { socket }: Follower, frames: number): Promise<void> {
  await eventually(async () => {
    await runDurableObjectAlarm(stub);
    return socket.received.filter(isBytes).length >= frames;
  }, "what the alarm brings");
}

describe("a push that fails", () => {
  test("[RLY-5] comes with the next append", async () => {
    const { topic, append } = await crowdedTopic();
    const follower = await Follower.of(topic);
    const failed = failing("push", 2); // Each is tried twice.
    await append("v0");
    await eventually(async () => failed.count === 2, "two tries");
    await append("v1");
    expect(await follower.read(2)).toEqual(["v0", "v1"]);
  });

  test("[RLY-5] comes with the alarm, if nothing more is appended", async () => {
    const { topic, partition, append } = await crowdedTopic();
    const follower = await Follower.of(topic);
    const failed = failing("push", 2);
    await append("v0");
    await eventually(async () => failed.count === 2, "two tries");
    await ring(partition, follower, 1);
    expect(await follower.read(1)).toEqual(["v0"]);
  });

  test("[RLY-5] comes with the alarm of the partition's next life, if it crashed", async () => {
    const { topic, partition, relay, append } = await crowdedTopic();
    const follower = await Follower.of(topic);
    await append("v0");
    await follower.read(1);
    const failed = failing("push");
    await append("v1");
    await eventually(async () => failed.count === 2, "two tries");
    vi.restoreAllMocks();
    await evict(partition);
    await evict(relay());
    await ring(partition, follower, 2);
    expect(await follower.read(2)).toEqual(["v0", "v1"]);
  });
});

test("[RLY-2] a reader that comes just after the relay reported none is pushed to", async () => {
  const { topic, partition, relay, append } = await crowdedTopic();
  await sent(topic);
  const held = Promise.withResolvers<void>();
  const original = RelayObject.prototype.push;
  vi.spyOn(RelayObject.prototype, "push").mockImplementationOnce(async function (
    this: RelayObject,
    ...args
  ) {
    const answer = await original.apply(this, args);
    await held.promise;
    return answer;
  });
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 60_000 }); // Nobody was sent there lately.
  await append("v0");
  const reading = await openedBy(relay(), ANYBODY);
  reading.send({ type: "attach", attachId: 8, offset: 0 });
  await reading.next(isBytes);
  held.resolve();
  await append("v1");
  await reading.next(isBytes);
  expect(await partition.findRelay({ relay: 0 })).toMatchObject({ isInUse: true });
});

test("[RLY-2] a relay without readers gets no more pushes, and is no longer known", async () => {
  const { topic, partition, append } = await crowdedTopic();
  const follower = await Follower.of(topic);
  await append("a");
  await follower.read(1);
  follower.socket.close(1000);
  await follower.socket.closed;
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 60_000 });
  await append("b");
  await eventually(async () => {
    const found = await partition.findRelay({ relay: 0 });
    return found.ok && !found.isInUse;
  }, "the relay to be known no more");
  const push = vi.spyOn(RelayObject.prototype, "push");
  await append("c");
  expect(push).not.toHaveBeenCalled();
});

test("[RLY-3] readers at the same offset share what is read for them", async () => {
  const { topic, relay, append } = await crowdedTopic();
  await append(...numbered(0, 3));
  const followers = await Promise.all(
    Array.from({ length: 20 }, () => Follower.of(topic, "latest")),
  );
  const failed = failing("push");
  await append(...numbered(3, 5));
  await eventually(async () => failed.count >= 2, "two tries");
  vi.restoreAllMocks();
  await evict(relay());
  const read = vi.spyOn(PartitionObject.prototype, "read");
  await produce(topic.name, [{ value: "v5" }]);
  for (const follower of followers) expect(await follower.read(3)).toEqual(numbered(3, 6));
  expect(read.mock.calls.length).toBeLessThanOrEqual(2);
});
