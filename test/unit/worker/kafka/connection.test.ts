// One connection of a Kafka client: how long it waits for its client, and where requests begin and end.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ANYBODY } from "../../../../src/core/access/caller.ts";
import { BrokerError } from "../../../../src/core/errors.ts";
import {
  HOLDER_SILENT_MS,
  MAX_KAFKA_CONNECTIONS,
  MAX_KAFKA_IN_FLIGHT_BYTES,
  MAX_KAFKA_REQUEST_BYTES,
} from "../../../../src/core/limits.ts";
import type { Env } from "../../../../src/env.ts";
import { memory } from "../../../../src/memory.ts";
import { isolate } from "../../../../src/worker/edge/isolate.ts";
import { Connection } from "../../../../src/worker/kafka/connection.ts";
import { Frames } from "../../../../src/worker/kafka/frames.ts";
import { InFlight } from "../../../../src/worker/kafka/in-flight.ts";
import { Nodes } from "../../../../src/worker/kafka/nodes.ts";
import { Watchdog } from "../../../../src/worker/kafka/watchdog.ts";
import { encodeRequest } from "../../../support/kafka-frames.ts";
import { API_VERSIONS, METADATA } from "../../../support/kafka-schemas.ts";
import { settle } from "./feed-bench.ts";

beforeEach(() => void vi.useFakeTimers({ now: 1_000_000 }));
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

describe("what a client has to do in time", () => {
  const enough = { otherwise: "too slow", withinMs: 1_000, minBytes: 100 };
  const whole = { otherwise: "not done", withinMs: 1_000, minBytes: 0 };

  function watched() {
    const late: string[] = [];
    return { late, dog: new Watchdog(({ message }) => late.push(message)) };
  }

  test("[BND-11] is done, or late when the time is over, once", () => {
    const { late, dog } = watched();
    dog.expect(whole);
    vi.advanceTimersByTime(999);
    expect(late).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(late).toEqual(["not done"]);
    vi.advanceTimersByTime(10_000);
    expect(late).toHaveLength(1);
  });

  test.each([
    ["as many as are enough", enough, 100, 0],
    ["too few", enough, 99, 1],
    ["many, where only the whole counts", whole, 1_000_000, 1],
  ])("[BND-11] bytes that arrive meanwhile: %s", (_, expected, bytes, count) => {
    const { late, dog } = watched();
    dog.expect(expected);
    for (let i = 0; i < 3 && late.length === 0; i++) {
      dog.moved(bytes - 1);
      dog.moved(1);
      vi.advanceTimersByTime(1_000);
    }
    expect(late).toHaveLength(count);
    // Bytes that came in one span do not count in the next.
    vi.advanceTimersByTime(1_000);
    expect(late).toHaveLength(1);
    dog.close();
  });

  test("[BND-11] is the newest of what was expected, which has its own time", () => {
    const { late, dog } = watched();
    dog.expect({ ...enough, otherwise: "first" });
    vi.advanceTimersByTime(900);
    dog.moved(1_000);
    dog.expect({ ...enough, otherwise: "second" });
    vi.advanceTimersByTime(900);
    expect(late).toEqual([]);
    // At most twice the time, and bytes for the first do not count.
    vi.advanceTimersByTime(200);
    expect(late).toEqual(["second"]);
  });

  test("[BND-11] is checked earlier if less time is given, and later if more", () => {
    const { late, dog } = watched();
    dog.expect({ ...whole, otherwise: "long", withinMs: 60_000 });
    dog.expect({ ...whole, otherwise: "short", withinMs: 1_000 });
    vi.advanceTimersByTime(1_000);
    expect(late).toEqual(["short"]);
    dog.expect({ ...whole, otherwise: "short" });
    dog.expect({ ...whole, otherwise: "longer", withinMs: 60_000 });
    vi.advanceTimersByTime(60_000);
    expect(late).toHaveLength(1);
    vi.advanceTimersByTime(1_000);
    expect(late).toEqual(["short", "longer"]);
  });

  test("[BND-11] is not restarted by a repetition, and is over when the server must do its part", () => {
    const { late, dog } = watched();
    dog.expect(whole);
    vi.advanceTimersByTime(999);
    dog.expect(whole);
    vi.advanceTimersByTime(1);
    expect(late).toHaveLength(1);
    dog.expect({ ...whole });
    dog.expect(null);
    vi.advanceTimersByTime(10_000);
    expect(late).toHaveLength(1);
    dog.expect(whole);
    dog.close();
    vi.advanceTimersByTime(10_000);
    expect(late).toHaveLength(1);
  });
});

describe("a connection", () => {
  const PATIENCE = { silentMs: 1_000, halfSentMs: 2_000, stalledMs: 4_000, idleMs: 8_000 };
  const nodes = new Nodes([{ host: "h", port: 1 }], null);
  const versions = encodeRequest(API_VERSIONS, 0, {});

  function opened(env: Partial<Record<keyof Env, unknown>> = {}, look = () => {}) {
    const ended: string[] = [];
    const namespace = { getByName: () => ({}) };
    const bindings = { CLUSTER: namespace, PARTITION: namespace, GROUP: namespace, ...env };
    const connection = new Connection({
      env: { caller: ANYBODY, ...(bindings as unknown as Env) },
      nodes,
      clientHost: "/",
      way: "tcp",
      end: ({ message }) => ended.push(message),
      patience: PATIENCE,
      look,
    });
    return { connection, ended };
  }
  type Opened = ReturnType<typeof opened>["connection"];

  const asks = async (connection: Opened) => {
    await connection.answer(versions);
    connection.answered();
    connection.expectRequest(0);
  };

  test.each([
    ["says nothing", async () => {}, 1_000, 0, "no request came"],
    [
      "begins, and says no more",
      async (c: Opened) => c.expectRequest(3),
      2_000,
      1_000,
      "a request does not arrive",
    ],
    [
      "has not begun by its first bytes",
      async (c: Opened) => c.expectRequest(0),
      1_000,
      0,
      "no request came",
    ],
    ["asks no more", asks, 8_000, 1_000, "no request came for"],
    [
      "asks, and begins again",
      async (c: Opened) => {
        await asks(c);
        c.expectRequest(1);
      },
      2_000,
      1_000,
      "a request does not arrive",
    ],
    [
      "does not take its answer",
      async (c: Opened) => {
        await c.answer(versions);
        c.expectTaken();
      },
      4_000,
      1_000,
      "the answers were not taken",
    ],
  ] as [string, (c: Opened) => Promise<void>, number, number, string][])(
    "[BND-11] [BND-12] that %s is ended in time, with the reason",
    async (_, does, withinMs, moreMs, reason) => {
      const { connection, ended } = opened();
      await does(connection);
      vi.advanceTimersByTime(withinMs - 1);
      expect(ended).toEqual([]);
      vi.advanceTimersByTime(1 + moreMs);
      expect(ended).toEqual([expect.stringContaining(reason)]);
      connection.close();
    },
  );

  test("[BND-11] is not ended while its client waits for a response, nor while bytes keep moving", async () => {
    const never = { getByName: () => ({ topicPage: () => new Promise(() => {}) }) };
    const { connection, ended } = opened({ CLUSTER: never });
    void connection.answer(encodeRequest(METADATA, 1, { topics: null }));
    await vi.advanceTimersByTimeAsync(100_000);
    expect(ended).toEqual([]);
    connection.close();
    const slow = opened();
    await slow.connection.answer(versions);
    slow.connection.expectTaken();
    for (let i = 0; i < 10; i++) {
      vi.advanceTimersByTime(3_900);
      slow.connection.moved(1);
    }
    expect(slow.ended).toEqual([]);
    slow.connection.close();
  });

  describe("of a principal with a quota", () => {
    const RATE = 2;
    const asksVersions = (connection: Opened) =>
      connection.answer(encodeRequest(METADATA, 3, { topics: [] }));
    const throttleIn = (pieces: readonly Uint8Array[]) => {
      const bytes = Buffer.concat(pieces);
      return bytes.readInt32BE(8); // After the length and the correlation id.
    };
    const limited = (
      principal = `User:${Math.random()}`,
      {
        look = () => {},
        rate = RATE,
        expiresAtMs = null,
      }: { look?: () => void; rate?: number; expiresAtMs?: number | null } = {},
    ) => {
      const caller = { ...ANYBODY, principal, expiresAtMs, quota: { requestRate: rate } };
      return opened({ caller } as never, look);
    };
    const NO_ROOM = new BrokerError("THROTTLING_QUOTA_EXCEEDED", "others need the room");

    test("[QUO-3] is told to wait, and its next request waits", async () => {
      const { connection } = limited();
      const first = await asksVersions(connection);
      expect(throttleIn(first)).toBe(0);
      const second = await asksVersions(connection);
      expect(throttleIn(second)).toBe(500);
      let isServed = false;
      const third = asksVersions(connection).then(() => {
        isServed = true;
      });
      await vi.advanceTimersByTimeAsync(499);
      expect(isServed).toBe(false);
      await vi.advanceTimersByTimeAsync(1);
      await third;
      connection.close();
    });

    test.each([
      ["its client has gone", (connection: Opened) => connection.stopWaiting(), "has gone"],
      ["it is closed", (connection: Opened) => connection.close(), "has gone"],
      ["others need its place", (connection: Opened) => connection.inFlight.letGo(NO_ROOM), null],
    ])(
      "[QUO-3] is not served once %s, and others need not wait for it",
      async (_, end, message) => {
        const principal = `User:${Math.random()}`;
        const [connection, other] = [limited(principal), limited(principal)].map(
          (each) => each.connection,
        ) as [Opened, Opened];
        for (let i = 0; i < 2; i++) await asksVersions(connection);
        const waits = asksVersions(connection);
        const refused = expect(waits).rejects.toThrow(message ?? "");
        await vi.advanceTimersByTimeAsync(100);
        expect(connection.inFlight.isMuted).toBe(true);
        end(connection);
        // The place of a connection is the transport's to close, when it is told to end.
        if (message === null) {
          await settle();
          connection.close();
        }
        await refused;
        expect(connection.inFlight.isMuted).toBe(false);
        let isServed = false;
        const next = asksVersions(other).then(() => {
          isServed = true;
        });
        await vi.advanceTimersByTimeAsync(399);
        expect(isServed).toBe(false);
        await vi.advanceTimersByTimeAsync(1);
        await next;
        for (const each of [connection, other]) each.close();
      },
    );

    test("[QUO-3] is checked every five seconds while it waits", async () => {
      let looks = 0;
      const { connection } = limited("User:looked", { look: () => looks++, rate: 0.05 });
      await asksVersions(connection);
      const next = asksVersions(connection);
      await vi.advanceTimersByTimeAsync(0);
      expect(looks).toBe(1);
      await vi.advanceTimersByTimeAsync(10_000);
      expect(looks).toBe(3);
      await vi.advanceTimersByTimeAsync(10_000);
      await next;
      connection.close();
    });

    test("[QUO-3] [SASL-5] is not served if its credential ends while it waits", async () => {
      const { connection } = limited("User:ends", { rate: 0.01, expiresAtMs: Date.now() + 20_000 });
      await asksVersions(connection);
      const refused = expect(asksVersions(connection)).rejects.toThrow("the session has ended");
      await vi.advanceTimersByTimeAsync(20_000);
      await refused;
      connection.close();
    });

    test("[QUO-3] those that wait are served in order of arrival, each after one wait", async () => {
      const principal = `User:${Math.random()}`;
      const connections = Array.from({ length: 10 }, () => limited(principal).connection);
      for (let i = 0; i < 2; i++) await asksVersions(connections[0] as Opened);
      const served: number[] = [];
      const all = connections.map((connection, i) =>
        asksVersions(connection).then(() => {
          served.push(i);
        }),
      );
      for (let i = 0; i < 10; i++) {
        await vi.advanceTimersByTimeAsync(0);
        expect(served).toHaveLength(i);
        expect(vi.getTimerCount()).toBeGreaterThan(0);
        await vi.advanceTimersByTimeAsync(1_000 / RATE);
      }
      await Promise.all(all);
      expect(served).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
      for (const connection of connections) connection.close();
    });

    test("[QUO-3] waits on every connection of its principal", async () => {
      const principal = `User:${Math.random()}`;
      const both = [1, 2].map(
        () =>
          opened({ caller: { ...ANYBODY, principal, quota: { requestRate: RATE } } } as never)
            .connection,
      );
      for (let i = 0; i < 2; i++) await asksVersions(both[0] as Opened);
      let isServed = false;
      const other = asksVersions(both[1] as Opened).then(() => {
        isServed = true;
      });
      await vi.advanceTimersByTimeAsync(499);
      expect(isServed).toBe(false);
      await vi.advanceTimersByTimeAsync(1);
      await other;
      for (const connection of both) connection.close();
    });

    test("[QUO-3] is told ten seconds at most, and waits as long as it must", async () => {
      const { connection } = opened({
        caller: { ...ANYBODY, principal: "User:late", quota: { requestRate: 0.001 } },
      } as never);
      expect(throttleIn(await asksVersions(connection))).toBe(10_000);
      let isServed = false;
      const next = asksVersions(connection).then(() => {
        isServed = true;
      });
      await vi.advanceTimersByTimeAsync(999_000);
      expect(isServed).toBe(false);
      await vi.advanceTimersByTimeAsync(1_000);
      await next;
      connection.close();
    });
  });

  test("[BND-11] is ended if nobody authenticates, however often it requests the versions", async () => {
    const { connection, ended } = opened({ caller: undefined } as never);
    await asks(connection);
    vi.advanceTimersByTime(2_000);
    expect(ended).toEqual([expect.stringContaining("nobody signed in")]);
    connection.close();
    const other = opened({ caller: undefined } as never).connection;
    const all = async () => {
      for (let i = 0; i < 30; i++) await asks(other);
    };
    await expect(all()).rejects.toThrow("more than 20 requests came, and nobody has signed in");
    other.close();
  });

  test("[BND-10] holds a response until it is taken, and nothing once it has ended", async () => {
    const inFlight = memory.kafka;
    const { connection } = opened();
    const pieces = await connection.answer(versions);
    const bytes = pieces.reduce((sum, { length }) => sum + length, 0);
    expect(inFlight.bytes).toBe(bytes);
    connection.inFlight.setAsked(1_000);
    expect(inFlight.bytes).toBe(bytes + 1_000);
    connection.answered();
    expect(inFlight.bytes).toBe(1_000);
    connection.close();
    expect(inFlight.bytes).toBe(0);
    expect(isolate.kafka.connections.size).toBe(0);
    expect(memory.feeds.size).toBe(0);
    await expect(connection.answer(versions)).rejects.toThrow("the connection is closed");
  });

  test("[BND-10] unauthenticated ones go first, then muted ones, however little they hold", async () => {
    const { connection, ended } = opened();
    const muted = Array.from({ length: 2 }, () => opened());
    const strangers = Array.from({ length: 100 }, () => opened({ caller: undefined }));
    const all = [connection, ...[...muted, ...strangers].map((each) => each.connection)];
    for (const each of muted) {
      each.connection.inFlight.isMuted = true;
      each.connection.inFlight.setAsked(MAX_KAFKA_IN_FLIGHT_BYTES / 8);
    }
    for (const each of strangers) each.connection.inFlight.setAsked(100_000);
    const gone = async () => {
      await settle();
      return [strangers, muted].map((some) => some.filter((each) => each.ended.length > 0).length);
    };
    const left = () => MAX_KAFKA_IN_FLIGHT_BYTES - memory.kafka.bytes;
    connection.inFlight.setAsked(20_000_000);
    connection.inFlight.setAnswer(left() + 1_000_000);
    expect(await gone()).toEqual([10, 0]);
    connection.inFlight.setAnswer(MAX_KAFKA_IN_FLIGHT_BYTES - 20_000_000);
    expect(await gone()).toEqual([100, 2]);
    expect(ended).toEqual([]);
    for (const each of all) each.close();
  });

  test("[BND-24] one that was killed no longer counts after a minute, and a live one does, however quiet", () => {
    const killed = Array.from({ length: MAX_KAFKA_CONNECTIONS - 1 }, () => new InFlight());
    for (const each of killed) {
      each.begin();
      each.setAsked(1);
    }
    vi.clearAllTimers(); // Nothing of theirs runs any more.
    const quiet = new InFlight();
    quiet.begin();
    quiet.setAsked(5);
    expect(() => new InFlight()).toThrow("all of them are at work");
    vi.advanceTimersByTime(HOLDER_SILENT_MS + 1);
    const next = new InFlight();
    expect(isolate.kafka.connections.size).toBe(2);
    expect(memory.kafka.bytes).toBe(5);
    for (const each of [...killed, quiet, next]) each.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  test("[BND-10] [BND-14] is quiet only when all its requests are answered, and is ended if others need the room", async () => {
    const { connection, ended } = opened();
    const first = connection.inFlight.quietSince;
    expect(first).not.toBeNull();
    expect(connection.inFlight.hasSpoken).toBe(false);
    const answered = connection.answer(versions);
    expect(connection.inFlight.quietSince).toBeNull();
    expect(connection.inFlight.hasSpoken).toBe(true);
    await answered;
    connection.answered();
    expect(connection.inFlight.quietSince).toBeNull();
    connection.expectRequest(0);
    const quietSince = connection.inFlight.quietSince as number;
    expect(quietSince).toBeGreaterThan(first as number);
    // More bytes that make no request change nothing.
    connection.expectRequest(10);
    expect(connection.inFlight.quietSince).toBe(quietSince);
    connection.inFlight.setAsked(30_000_000);
    const others = [opened(), opened()];
    for (const other of others) other.connection.inFlight.setAsked(MAX_KAFKA_IN_FLIGHT_BYTES / 3);
    await settle();
    expect(ended).toEqual([expect.stringContaining("this one takes the most")]);
    for (const each of [connection, ...others.map((other) => other.connection)]) each.close();
  });

  test.each([
    [
      "an API that is not served",
      new Uint8Array([0, 99, 0, 0, 0, 0, 0, 1]),
      "API key 99 is not served",
    ],
    [
      "a version above those served",
      encodeRequest(METADATA, 99, { topics: null }),
      "Metadata version 99 is not served",
    ],
    [
      "a version below those served",
      new Uint8Array([0, 1, 0, 0, 0, 0, 0, 1]),
      "Fetch version 0 is not served",
    ],
    [
      "a request that ends too early",
      encodeRequest(METADATA, 1, { topics: null }).subarray(0, 15),
      "Metadata version 1: ",
    ],
  ])("[KFK-2] refuses %s, and says which", async (_, frame, reason) => {
    const { connection } = opened();
    await expect(connection.answer(frame)).rejects.toThrow(reason);
    connection.close();
  });

  test("[KFK-3] answers ApiVersions of a future version in version 0, with the error", async () => {
    const { connection } = opened();
    const [length, body] = (await connection.answer(encodeRequest(API_VERSIONS, 3, {}, 7))) as [
      Uint8Array,
      Uint8Array,
    ];
    expect(new DataView(length.buffer, length.byteOffset).getInt32(0)).toBe(body.length);
    const unknown = new Uint8Array(encodeRequest(API_VERSIONS, 0, {}, 7));
    new DataView(unknown.buffer).setInt16(2, 99);
    const [, answer] = (await connection.answer(unknown)) as [Uint8Array, Uint8Array];
    const view = new DataView(answer.buffer, answer.byteOffset);
    expect([view.getInt32(0), view.getInt16(4)]).toEqual([7, 35]);
    connection.close();
  });
});

describe("where requests begin and end", () => {
  const length = (value: number) => {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setInt32(0, value);
    return bytes;
  };

  test.each([
    ["the largest", MAX_KAFKA_REQUEST_BYTES, null],
    [
      "one byte more",
      MAX_KAFKA_REQUEST_BYTES + 1,
      `a request of ${MAX_KAFKA_REQUEST_BYTES + 1} bytes is announced`,
    ],
    ["fewer than none", -1, "a request of -1 bytes"],
    ["TLS", 0x16_03_01_02, "is this TLS?"],
    ["HTTP", 0x47_45_54_20, "is this HTTP?"],
    ["POST", 0x50_4f_53_54, "is this HTTP?"],
  ])("[KFK-2] a length: %s", (_, value, reason) => {
    const frames = new Frames();
    const push = () => [...frames.push(length(value))];
    if (reason === null) expect(push()).toEqual([]);
    else expect(push).toThrow(reason);
  });

  test("[KFK-2] an empty request is one, and what is left is counted", () => {
    const frames = new Frames();
    expect([...frames.push(length(0))]).toEqual([new Uint8Array()]);
    expect(frames.buffered).toBe(0);
    expect([...frames.push(new Uint8Array([0, 0, 0]))]).toEqual([]);
    expect(frames.buffered).toBe(3);
    expect([...frames.push(new Uint8Array([2, 7, 8, 0]))]).toEqual([new Uint8Array([7, 8])]);
    expect(frames.buffered).toBe(1);
    expect([...frames.push(new Uint8Array())]).toEqual([]);
    expect(frames.buffered).toBe(1);
  });
});
