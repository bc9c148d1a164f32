// The sockets of a Kafka connection to objects: those for its appends, and those that watch the groups of its members.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { ErrorName } from "../../../../src/core/errors.ts";
import { MAX_KAFKA_APPEND_SOCKETS, MAX_KAFKA_WATCHES } from "../../../../src/core/limits.ts";
import type { Env } from "../../../../src/env.ts";
import { PING, PONG } from "../../../../src/protocol/heartbeat.ts";
import { readAppendFrame } from "../../../../src/protocol/read-append-frame.ts";
import { Appends } from "../../../../src/worker/kafka/appends.ts";
import { Watches } from "../../../../src/worker/kafka/watches.ts";
import { batchAt, settle } from "./feed-bench.ts";

beforeEach(() => void vi.useFakeTimers({ now: 1_000_000 }));
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

/** A socket to an object, and the messages sent to the object. */
class FakeSocket {
  readonly #listeners = new Map<string, (event: unknown) => void>();
  binaryType = "";
  readonly sent: (string | Uint8Array<ArrayBuffer>)[] = [];
  isClosed = false;
  accept(): void {}
  addEventListener(type: string, listener: (event: unknown) => void): void {
    this.#listeners.set(type, listener);
  }
  send(data: string | Uint8Array<ArrayBuffer>): void {
    this.sent.push(data);
  }
  close(): void {
    this.isClosed = true;
  }
  say(data: string): void {
    this.#listeners.get("message")?.({ data });
  }
  breaks(): void {
    this.#listeners.get("close")?.({ code: 1006, reason: "" });
  }
}

describe("the appends of a connection", () => {
  const batch = batchAt(0, "a");

  function bench() {
    const sockets: FakeSocket[] = [];
    const calls: { place: string; bytes: Uint8Array }[] = [];
    let isDown = false;
    /** Calls are answered when this resolves. */
    let mayAnswer = Promise.resolve();
    const stubOf = (place: string) => ({
      fetch: async () => {
        const webSocket = new FakeSocket();
        sockets.push(webSocket);
        return { status: 101, webSocket };
      },
      append: async ({ batches: bytes }: { batches: Uint8Array }) => {
        calls.push({ place, bytes });
        await mayAnswer;
        if (isDown) throw new Error("reset");
        return { ok: true, baseOffset: calls.length, logAppendTimeMs: null };
      },
    });
    const appends = new Appends({ PARTITION: { getByName: stubOf } } as unknown as Env);
    const append = (partition = 0, isIdempotent = true, batches = batch, topicId = "id") => {
      const slot = appends.order.next("t", partition);
      return appends
        .append(topicId, partition, batches, isIdempotent, slot)
        .finally(() => slot.end());
    };
    return {
      appends,
      append,
      sockets,
      calls,
      setDown: () => {
        isDown = true;
      },
      /** From now on calls are answered once the returned function is called. */
      holdCalls: () => {
        const held = Promise.withResolvers<void>();
        mayAnswer = held.promise;
        return held.resolve;
      },
    };
  }

  /** One whose partition is busy: its next append goes over the socket. */
  async function busy() {
    const made = bench();
    await made.append();
    await made.append();
    await settle();
    return { ...made, socket: made.sockets[0] as FakeSocket };
  }

  const requestId = (socket: FakeSocket) => {
    const { buffer, byteOffset, byteLength } = socket.sent.at(-1) as Uint8Array<ArrayBuffer>;
    const frame = readAppendFrame(buffer.slice(byteOffset, byteOffset + byteLength));
    expect(frame).toMatchObject({ expectedOffset: null, batches: batch });
    return frame.requestId;
  };
  const sentOver = (socket: FakeSocket) => socket.sent.filter((each) => typeof each !== "string");
  const answer = (
    socket: FakeSocket,
    requestId: number,
    said: object = { baseOffset: requestId },
  ) => socket.say(JSON.stringify({ type: "appended", requestId, ...said }));
  const unknown = { type: "error", code: "UNKNOWN_TOPIC_ID", detail: "gone" };

  test("[KFK-5] are calls, and go over a socket once the partition is busy", async () => {
    const { appends, append, sockets, calls } = bench();
    expect(await append()).toMatchObject({ baseOffset: 1 });
    await settle();
    expect(sockets).toHaveLength(0);
    expect(await append()).toMatchObject({ baseOffset: 2 });
    await settle();
    expect(sockets).toHaveLength(1);
    const over = append();
    const [socket] = sockets as [FakeSocket];
    socket.say(JSON.stringify({ type: "appended", requestId: requestId(socket), baseOffset: 9 }));
    expect(await over).toMatchObject({ baseOffset: 9, logAppendTimeMs: null });
    expect(calls).toEqual([
      { place: "id/0", bytes: batch },
      { place: "id/0", bytes: batch },
    ]);
    // Another partition is not busy because of that.
    await append(1);
    expect(calls.at(-1)?.place).toBe("id/1");
    appends.close();
    expect(socket.isClosed).toBe(true);
  });

  test.each([
    ["the time of the log", { logAppendTimeMs: 5 }, { logAppendTimeMs: 5 }],
    ["the log's start", { logStartOffset: 3 }, { logStartOffset: 3, logAppendTimeMs: null }],
  ])("[KFK-29] [LOG-10] over a socket report %s", async (_, said, expected) => {
    const { appends, append, socket } = await busy();
    const over = append();
    const id = requestId(socket);
    socket.say(JSON.stringify({ type: "appended", requestId: id, baseOffset: 9, ...said }));
    expect(await over).toMatchObject({ baseOffset: 9, ...expected });
    appends.close();
  });

  test("[KFK-5] over a socket are refused with the partition's error, and not sent again", async () => {
    const { appends, append, socket, calls } = await busy();
    const over = append();
    const code: ErrorName = "INVALID_RECORD";
    const said = { type: "error", requestId: requestId(socket), code, detail: "no key" };
    socket.say(JSON.stringify(said));
    expect(await over).toMatchObject({ code, detail: "no key" });
    expect(calls).toHaveLength(2);
    appends.close();
  });

  test.each([
    ["that a repeat cannot store twice are called again", true, { baseOffset: 3 }, 3],
    ["of other producers have an unknown outcome", false, { code: "REQUEST_TIMED_OUT" }, 2],
  ])("[KFK-5] [IDM-6] whose response was lost, %s", async (_, isIdempotent, expected, count) => {
    const { appends, append, socket, calls } = await busy();
    const over = append(0, isIdempotent);
    socket.breaks();
    expect(await over).toMatchObject(expected);
    expect(calls).toHaveLength(count);
    // A broken socket is abandoned, and opened again while the partition is busy.
    await append();
    appends.close();
  });

  test("[KFK-5] that are not answered at all for 30 seconds abandon the socket", async () => {
    const { appends, append, socket, calls } = await busy();
    const over = append();
    await vi.advanceTimersByTimeAsync(29_999);
    expect(socket.isClosed).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(socket.isClosed).toBe(true);
    expect(await over).toMatchObject({ baseOffset: 3 });
    expect(calls).toHaveLength(3);
    appends.close();
  });

  test("[KFK-5] whose outcome was unknown say so, whatever the repeat is refused with", async () => {
    const { appends, append, socket, setDown } = await busy();
    const over = append();
    setDown();
    socket.breaks();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await over).toMatchObject({ code: "REQUEST_TIMED_OUT" });
    appends.close();
  });

  const [a, b, c, d] = ["a", "b", "c", "d"].map((value) => batchAt(0, value)) as [
    Uint8Array<ArrayBuffer>,
    Uint8Array<ArrayBuffer>,
    Uint8Array<ArrayBuffer>,
    Uint8Array<ArrayBuffer>,
  ];

  test("[KFK-35] that overlap go over the socket at once, and are answered in any order", async () => {
    const { appends, append, socket } = await busy();
    const all = [append(), append(), append()];
    await settle();
    expect(sentOver(socket)).toHaveLength(3);
    for (const id of [2, 0, 1]) answer(socket, id);
    expect(await Promise.all(all)).toMatchObject([0, 1, 2].map((baseOffset) => ({ baseOffset })));
    appends.close();
  });

  test("[KFK-35] never overtake one that goes by a call, even if the socket has opened meanwhile", async () => {
    const { appends, append, sockets, calls, holdCalls } = bench();
    await append();
    const answerCalls = holdCalls();
    const byCall = append(0, false, a);
    await settle();
    const [socket] = sockets as [FakeSocket];
    // The socket is open, and its messages arrive at once.
    const others = [append(0, false, b), append(0, false, c)];
    const elsewhere = append(1, false, d);
    await settle();
    expect(sentOver(socket)).toEqual([]);
    expect(calls.map(({ place, bytes }) => [place, bytes])).toEqual([
      ["id/0", batch],
      ["id/0", a],
      ["id/1", d],
    ]);
    answerCalls();
    await Promise.all([byCall, elsewhere]);
    await settle();
    expect(sentOver(socket)).toHaveLength(2);
    for (const id of [0, 1]) answer(socket, id);
    expect(await Promise.all(others)).toMatchObject([{ baseOffset: 0 }, { baseOffset: 1 }]);
    appends.close();
  });

  test("[KFK-35] are repeated in their order if the socket breaks, before any later one", async () => {
    const { appends, append, socket, calls, holdCalls } = await busy();
    const answerCalls = holdCalls();
    const lost = [append(0, true, a), append(0, true, b)];
    const unknownOutcome = append(0, false, c);
    await settle();
    expect(sentOver(socket)).toHaveLength(3);
    socket.breaks();
    const later = append(0, false, d);
    await settle();
    expect(calls.slice(2).map(({ bytes }) => bytes)).toEqual([a]);
    expect(await unknownOutcome).toMatchObject({ code: "REQUEST_TIMED_OUT" });
    answerCalls();
    await Promise.all([...lost, later]);
    expect(calls.slice(2).map(({ bytes }) => bytes)).toEqual([a, b, d]);
    appends.close();
  });

  test("[KFK-35] [CLU-4] that find their topic gone may be repeated in their order, before any later one", async () => {
    const { appends, append, socket, sockets, calls, holdCalls } = await busy();
    const repeated = async (batches: Uint8Array<ArrayBuffer>, waits: Promise<void>) => {
      const slot = appends.order.next("t", 0);
      const first = await appends.append("id", 0, batches, false, slot);
      expect(first).toMatchObject({ code: "UNKNOWN_TOPIC_ID" });
      await waits; // Asks the cluster for the topic's new id.
      await appends.append("new", 0, batches, false, slot);
      slot.end();
    };
    const asks = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const;
    const both = [repeated(a, asks[0].promise), repeated(b, asks[1].promise)];
    await settle();
    expect(sentOver(socket)).toHaveLength(2);
    socket.say(JSON.stringify({ ...unknown, requestId: 0 }));
    await settle();
    // Begun when the first is about to be repeated. It already knows the new id.
    const later = append(0, false, c, "new");
    socket.say(JSON.stringify({ ...unknown, requestId: 1 }));
    asks[1].resolve();
    await settle();
    expect(calls).toHaveLength(2);
    const answerCalls = holdCalls();
    asks[0].resolve();
    await settle();
    expect(calls.slice(2)).toEqual([{ place: "new/0", bytes: a }]);
    answerCalls();
    await Promise.all(both);
    expect(calls.slice(2)).toEqual([
      { place: "new/0", bytes: a },
      { place: "new/0", bytes: b },
    ]);
    // By then that partition is busy, too.
    await settle();
    const over = sockets[1] as FakeSocket;
    expect(sentOver(over)).toHaveLength(1);
    answer(over, 0);
    expect(await later).toMatchObject({ baseOffset: 0 });
    appends.close();
  });

  test("[KFK-21] keep a socket as long as appends come, and close it two seconds later", async () => {
    const { appends, append, socket, sockets } = await busy();
    for (let i = 0; i < 3; i++) {
      vi.advanceTimersByTime(1_500);
      const over = append();
      socket.say(JSON.stringify({ type: "appended", requestId: requestId(socket), baseOffset: i }));
      expect(await over).toMatchObject({ baseOffset: i });
    }
    vi.advanceTimersByTime(2_000);
    // The next append checks.
    await append(1);
    expect(socket.isClosed).toBe(true);
    await append();
    await settle();
    expect(sockets).toHaveLength(1);
    appends.close();
  });

  test("[KFK-21] go over a bounded number of sockets", async () => {
    const { appends, append, sockets, calls } = bench();
    for (let round = 0; round < 2; round++)
      for (let partition = 0; partition <= MAX_KAFKA_APPEND_SOCKETS; partition++)
        await append(partition);
    await settle();
    expect(sockets).toHaveLength(MAX_KAFKA_APPEND_SOCKETS);
    expect(calls).toHaveLength(2 * (MAX_KAFKA_APPEND_SOCKETS + 1));
    appends.close();
    expect(sockets.every(({ isClosed }) => isClosed)).toBe(true);
  });
});

describe("heartbeats of a connection's members", () => {
  function bench() {
    const sockets: FakeSocket[] = [];
    const fetch = async () => {
      const webSocket = new FakeSocket();
      sockets.push(webSocket);
      return { status: 101, webSocket };
    };
    const watches = new Watches({ GROUP: { getByName: () => ({ fetch }) } } as unknown as Env);
    let asked = 0;
    /** True if the group was asked. */
    const beat = async ({ member = "m", said = "s", isQuiet = true } = {}) => {
      const before = asked;
      const answer = await watches.heartbeat("g", member, said, async () => ({
        answer: ++asked,
        isQuiet,
      }));
      await settle();
      expect(answer).toBeLessThanOrEqual(asked);
      return asked > before;
    };
    return { watches, sockets, beat };
  }

  /** A member whose heartbeats are answered here. */
  async function quiet() {
    const made = bench();
    expect([await made.beat(), await made.beat(), await made.beat()]).toEqual([true, true, false]);
    return { ...made, socket: made.sockets[0] as FakeSocket };
  }

  test("[KFK-20] go to the group until it is watched, and from then on are PINGs", async () => {
    const { watches, socket, sockets, beat } = await quiet();
    socket.say(PONG);
    expect(await beat()).toBe(false);
    expect(socket.sent).toEqual([PING, PING]);
    expect(sockets).toHaveLength(1);
    watches.close();
    expect(socket.isClosed).toBe(true);
  });

  test.each([
    [
      "says something else",
      async ({ beat }: Awaited<ReturnType<typeof quiet>>) => beat({ said: "new" }),
    ],
    [
      "hears of a change",
      async ({ beat, socket }) => {
        socket.say("changed");
        return beat();
      },
    ],
    [
      "lost its watch",
      async ({ beat, socket }) => {
        socket.breaks();
        return beat();
      },
    ],
    ["is another", async ({ beat }) => beat({ member: "other" })],
    [
      "finds the clock set back",
      async ({ beat }) => {
        vi.setSystemTime(Date.now() - 60_000);
        return beat();
      },
    ],
  ] as [string, (made: Awaited<ReturnType<typeof quiet>>) => Promise<boolean>][])(
    "[KFK-20] [CLK-4] go to the group again if the member %s",
    async (_, again) => {
      const made = await quiet();
      expect(await again(made)).toBe(true);
      made.watches.close();
    },
  );

  test("[KFK-20] go to the group as long as it has something to say, and are not watched before", async () => {
    const { watches, sockets, beat } = bench();
    for (let i = 0; i < 3; i++) expect(await beat({ isQuiet: false })).toBe(true);
    expect(sockets).toHaveLength(0);
    expect(await beat()).toBe(true);
    expect(await beat({ isQuiet: false })).toBe(true);
    // A response with news is not given again.
    expect(await beat()).toBe(true);
    expect(await beat()).toBe(false);
    watches.close();
  });

  test("[KFK-20] are asked again if the group changed while it was asked", async () => {
    const { watches, socket, beat } = await quiet();
    const changing = watches.heartbeat("g", "m", "new", async () => {
      socket.say("changed");
      return { answer: 0, isQuiet: true };
    });
    await changing;
    expect(await beat({ said: "new" })).toBe(true);
    expect(await beat({ said: "new" })).toBe(false);
    watches.close();
  });

  test("[KFK-21] are watched for a bounded number of members, the newest", async () => {
    const { watches, sockets, beat } = bench();
    for (let i = 0; i <= MAX_KAFKA_WATCHES; i++) await beat({ member: `m${i}` });
    expect(sockets).toHaveLength(MAX_KAFKA_WATCHES + 1);
    expect(sockets.map(({ isClosed }) => isClosed).indexOf(false)).toBe(1);
    expect(sockets.filter(({ isClosed }) => isClosed)).toHaveLength(1);
    watches.close();
    expect(sockets.every(({ isClosed }) => isClosed)).toBe(true);
  });
});
