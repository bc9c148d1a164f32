// Silent sockets keep nobody out, of a group or of a partition.
import { runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { SilentSockets } from "../../durable-objects/shared/silent-sockets.ts";
import { upgradeFor } from "../../src/calls/socket-caller.ts";
import { ANYBODY, type Caller } from "../../src/core/access/caller.ts";
import { MAX_READERS_PER_PARTITION, MAX_SOCKETS_PER_GROUP } from "../../src/core/limits.ts";
import { groupStub, partitionStub } from "../../src/env.ts";
import { writeAppendFrame } from "../../src/protocol/append-frame.ts";
import { CLOSE_FATAL } from "../../src/protocol/close-codes.ts";
import { watchUrl } from "../../src/protocol/watch-socket.ts";
import {
  type Closed,
  createTopic,
  env,
  eventually,
  evict,
  recordBatch,
  type TopicJson,
  TWINS,
  unique,
} from "./support.ts";

interface Opened {
  readonly socket: WebSocket;
  readonly status: number;
  closed: Closed | null;
  messages: number;
}

type Stub = DurableObjectStub;

const opened: Opened[] = [];
afterEach(() => {
  for (const { socket, closed } of opened) if (closed === null) socket?.close(1000, "done");
  opened.length = 0;
});

async function open(
  stub: Stub,
  url = "https://object/socket",
  caller: Caller = ANYBODY,
): Promise<Opened> {
  const response = await stub.fetch(url, upgradeFor(caller));
  const { status, webSocket } = response;
  if (webSocket === null) await response.text();
  const one: Opened = { socket: webSocket as WebSocket, status, closed: null, messages: 0 };
  opened.push(one);
  if (webSocket === null) return one;
  webSocket.addEventListener("message", () => {
    one.messages++;
  });
  webSocket.addEventListener("close", ({ code, reason }) => {
    one.closed = { code, reason };
    webSocket.close();
  });
  webSocket.accept();
  return one;
}

function openMany(stub: Stub, count: number): Promise<Opened[]> {
  return Promise.all(Array.from({ length: count }, () => open(stub)));
}

/** From now on, until it is evicted, the object believes that it has `others` more sockets, which have spoken. */
async function crowd(stub: DurableObjectStub, others: number): Promise<void> {
  await runInDurableObject(stub, (_, state) => {
    const real = state.getWebSockets.bind(state);
    const spoken = Array.from({ length: others }, () => ({ readyState: WebSocket.OPEN }));
    state.getWebSockets = (tag) => [...real(tag), ...(spoken as WebSocket[])];
  });
}

/** As an earlier version left them: it did not note since when they are silent. They are the first to go. */
async function forgetWhen(stub: DurableObjectStub, count: number): Promise<void> {
  await runInDurableObject(stub, (_, state) => {
    const silent = state
      .getWebSockets()
      .filter((socket) => "silentSinceMs" in (socket.deserializeAttachment() ?? {}));
    for (const socket of silent.slice(-count)) socket.serializeAttachment(null);
  });
  await evict(stub);
}

async function answered(one: Opened, message: string | Uint8Array): Promise<void> {
  const before = one.messages;
  one.socket.send(message);
  await eventually(async () => one.messages > before, "an answer");
}

interface Place {
  readonly stub: Stub;
  readonly topic: TopicJson;
}

const KINDS = [
  {
    of: "a group",
    bound: MAX_SOCKETS_PER_GROUP,
    find: (topic: TopicJson) => ({ stub: groupStub(env, unique("g")) as Stub, topic }),
    ways: [
      ({ topic }: Place) =>
        JSON.stringify({
          type: "join",
          memberId: unique("m"),
          memberEpoch: 0,
          topics: [topic.name],
        }),
    ],
    wrong: JSON.stringify({
      type: "commit",
      requestId: 1,
      memberEpoch: 1,
      offsets: [{ topicId: "t", partition: 0, offset: 0 }],
    }),
  },
  {
    of: "a partition",
    bound: MAX_READERS_PER_PARTITION,
    find: (topic: TopicJson) => ({ stub: partitionStub(env, topic.topicId, 0) as Stub, topic }),
    ways: [
      () => JSON.stringify({ type: "attach", attachId: 1, offset: 0, windowBytes: 1_000 }),
      () => writeAppendFrame({ requestId: 1, expectedOffset: null, batches: recordBatch(["v"]) }),
    ],
    wrong: JSON.stringify({ type: "attach", attachId: 1, offset: 9_999, windowBytes: 1_000 }),
  },
];

describe.each(KINDS)("of $of", ({ bound, find, ways, wrong }) => {
  test.each(TWINS)(
    "[BND-15] the one silent for longest makes room, and one that spoke stays$when",
    async ({ interrupt }) => {
      const place = find(await createTopic(1));
      const { stub } = place;
      const speakers = await openMany(stub, ways.length);
      for (const [i, way] of ways.entries()) await answered(speakers[i] as Opened, way(place));
      const silent = await openMany(stub, 8);
      await answered(silent[0] as Opened, wrong); // It requests something that is refused: no more than noise.
      await forgetWhen(stub, 2);
      const others = bound - speakers.length - silent.length;
      await crowd(stub, others);
      const next = await openMany(stub, 3);
      await interrupt(stub);
      await crowd(stub, others);
      next.push(...(await openMany(stub, 2)));
      expect(next.every(({ status }) => status === 101)).toBe(true);
      const gone = () => silent.filter(({ closed }) => closed !== null);
      await eventually(async () => gone().length >= 5, "five to be closed");
      expect(gone()).toHaveLength(5);
      for (const { closed } of gone()) {
        expect(closed?.code).toBe(CLOSE_FATAL);
        expect(closed?.reason).toMatch(/^THROTTLING_QUOTA_EXCEEDED: .*silent for longest/);
      }
      for (const [i, way] of ways.entries()) await answered(next[i] as Opened, way(place));
      expect(speakers.map(({ closed }) => closed)).toEqual(speakers.map(() => null));
      // If nobody is silent the next is refused.
      await crowd(stub, bound);
      for (const { socket } of silent) socket.close(1000, "done");
      await eventually(async () => {
        const { socket, status } = await open(stub);
        if (status === 429) return true;
        socket.close(1000, "done");
        return false;
      }, "one to be refused");
      const spoke = [...speakers, ...next.slice(0, ways.length)];
      expect(spoke.map(({ closed }) => closed)).toEqual(spoke.map(() => null));
    },
  );

  test.each(["webSocketClose", "webSocketError"] as const)(
    "[BND-15] one that goes without a word is forgotten: %s",
    async (event) => {
      const { stub } = find(await createTopic(1));
      await open(stub);
      const forgets = vi.spyOn(SilentSockets.prototype, "delete");
      await runInDurableObject(stub, async (object, state) => {
        const [socket] = state.getWebSockets();
        await (object as DurableObject)[event]?.(socket as WebSocket, 1_006, "", false);
      });
      expect(forgets.mock.results).toMatchObject([{ value: true }]);
      forgets.mockRestore();
    },
  );
});

describe.each(KINDS)("of $of", ({ find }) => {
  test.each(TWINS)(
    "[BND-22] one that was silent for a minute makes room for its principal$when",
    async ({ interrupt }) => {
      const { stub } = find(await createTopic(1));
      const caller = { ...ANYBODY, principal: unique("User:q"), quota: { connections: 1 } };
      const first = await open(stub, undefined, caller);
      expect((await open(stub, undefined, caller)).status).toBe(429);
      await interrupt(stub);
      expect((await open(stub, undefined, caller)).status).toBe(429);
      expect(first.closed).toBeNull();
      await runInDurableObject(stub, (_, state) => {
        const [socket] = state.getWebSockets();
        const attachment = socket?.deserializeAttachment() as object;
        socket?.serializeAttachment({ ...attachment, silentSinceMs: 1 });
      });
      expect((await open(stub, undefined, caller)).status).toBe(101);
      await eventually(async () => first.closed !== null, "the first to be closed");
      expect(first.closed?.reason).toMatch(/^REQUEST_TIMED_OUT: it has said nothing for/);
    },
  );
});

test("[BND-15] watches for members that have gone make room", async () => {
  const topic = await createTopic(1);
  const stub = groupStub(env, unique("g"));
  const watches = await Promise.all(
    Array.from({ length: 3 }, (_, i) => open(stub, watchUrl(`gone-${i}`))),
  );
  await crowd(stub, MAX_SOCKETS_PER_GROUP - watches.length);
  const member = await open(stub);
  expect(member.status).toBe(101);
  const join = { type: "join", memberId: "m", memberEpoch: 0, topics: [topic.name] };
  await answered(member, JSON.stringify(join));
  await eventually(async () => watches.some(({ closed }) => closed !== null), "a watch to end");
  expect(member.closed).toBe(null);
});
