// The SDK's consumer over a broker that answers at once, on a clock that the test controls.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { TopicPartition } from "../../../src/core/record.ts";
import { Consumer } from "../../../src/sdk/consumer.ts";
import { OneMemberBroker, started } from "../../support/one-member-broker.ts";
import { placeOf } from "../../support/places.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Like `started`, on a broker that holds frames of `t:1`, with all its events in order. */
function startedHolding(sessionTimeoutMs: number) {
  const told: string[] = [];
  const tell = (what: string) => (places: readonly TopicPartition[]) =>
    void told.push(`${what} ${places.map(placeOf).sort().join(" ")}`);
  const each = started(
    { sessionTimeoutMs, onAssigned: tell("assigned"), onLost: tell("lost") },
    (place, offset) => void told.push(`${place}/${offset}`),
  );
  each.broker.heldFrames = ["t:1"];
  return { ...each, told };
}

const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

describe("a session that is over", () => {
  test.each([
    { how: "each record", isBatch: false },
    { how: "each batch", isBatch: true },
  ])(
    "[SES-4] delivers nothing that was deserialized while the process was suspended, $how",
    async ({ isBatch }) => {
      const gate = Promise.withResolvers<void>();
      const valueSerde = {
        serialize: () => "",
        deserialize: async () => {
          await gate.promise;
          return "";
        },
      };
      const handled: string[] = [];
      const { consumer, lost } = started(
        { valueSerde } as never,
        (place) => void handled.push(place),
        isBatch,
      );
      await vi.advanceTimersByTimeAsync(100);
      expect(consumer.assignment).toHaveLength(2);
      // The clock advances, and no timer has rung yet.
      vi.setSystemTime(Date.now() + 60_000);
      gate.resolve();
      for (let turn = 0; turn < 50; turn++) await Promise.resolve();
      expect(handled).toEqual([]);
      expect(lost).toEqual([["t:0", "t:1"]]);
    },
  );

  test("[SES-3] also loses a released partition whose last commit is not answered", async () => {
    const { broker, lost, ended } = started({ autoCommit: false }, () => {});
    await vi.advanceTimersByTimeAsync(100);
    broker.holdsCommits = true;
    broker.revoke("t:0");
    await vi.advanceTimersByTimeAsync(100);
    expect(broker.log).toEqual(["commit t:0=3 t:1=3"]);
    broker.endSession();
    await vi.advanceTimersByTimeAsync(100);
    expect(lost).toEqual([["t:0", "t:1"]]);
    expect(ended.isOver).toBe(false);
  });
});

test("[CBK-3] run rejects with the first error, not with one that it caused", async () => {
  const gate = Promise.withResolvers<void>();
  const { broker, ended } = started({}, (place) => {
    if (place === "t:0") throw new Error("the handler's own");
    return gate.promise;
  });
  await vi.advanceTimersByTimeAsync(100);
  broker.refuse();
  gate.resolve();
  await vi.advanceTimersByTimeAsync(100);
  expect(ended).toMatchObject({ isOver: true, error: { message: "the handler's own" } });
});

describe("records whose serde takes its time", () => {
  test.each([
    { how: "each record", isBatch: false, what: "a pause", handled: ["t:0/0"] },
    { how: "each batch", isBatch: true, what: "a pause", handled: ["t:0/0"] },
    { how: "each record", isBatch: false, what: "a seek", handled: ["t:0/2"] },
    { how: "each batch", isBatch: true, what: "a seek", handled: ["t:0/2"] },
  ])("[SES-1] are not handled after $what, $how", async ({ isBatch, what, handled }) => {
    const gate = Promise.withResolvers<void>();
    const valueSerde = { serialize: () => "", deserialize: () => gate.promise };
    const seen: string[] = [];
    const { consumer } = started(
      { valueSerde } as never,
      (place, offset) => void (place === "t:0" && seen.push(`${place}/${offset}`)),
      isBatch,
    );
    const t0 = { topic: "t", partition: 0 };
    await vi.advanceTimersByTimeAsync(100);
    if (what === "a pause") consumer.pause(t0);
    else consumer.seek(t0, 2);
    gate.resolve();
    await vi.advanceTimersByTimeAsync(100);
    expect(seen.slice(0, 1)).toEqual(what === "a pause" ? [] : handled);
    consumer.resume(t0);
    await vi.advanceTimersByTimeAsync(100);
    expect(seen.slice(0, 1)).toEqual(handled);
  });
});

describe("maxProcessingMs", () => {
  test.each([{}, { instanceId: "i" }])(
    "[SES-8] a stuck handler ends the consumer: it commits what was handled, leaves, and reports what is lost (%o)",
    async (options) => {
      const stuck = Promise.withResolvers<void>();
      const handled: string[] = [];
      const { broker, lost, ended } = started(
        { ...options, maxProcessingMs: 300 },
        (place, offset) => {
          handled.push(`${place}/${offset}`);
          return place === "t:0" && offset === 1 ? stuck.promise : undefined;
        },
      );
      await vi.advanceTimersByTimeAsync(299);
      expect(broker.log).toEqual([]);
      expect(handled).toHaveLength(5);
      await vi.advanceTimersByTimeAsync(1);
      expect(broker.log).toEqual(["commit t:0=1 t:1=3", "leave"]);
      expect(lost).toEqual([["t:0", "t:1"]]);
      expect(ended.error).toMatchObject({
        name: "BrokerError",
        code: "REQUEST_TIMED_OUT",
        message: "the handler for offset 1 of t/0 did not return within maxProcessingMs, 300 ms",
      });
      expect(vi.getTimerCount()).toBe(0);
      stuck.resolve();
      await vi.advanceTimersByTimeAsync(60_000);
      expect(broker.log).toEqual(["commit t:0=1 t:1=3", "leave"]);
      expect(handled).toHaveLength(5);
      expect(lost).toHaveLength(1);
    },
  );

  test("[SES-8] returns and errors of handlers after that change nothing", async () => {
    const late = { "t:0": Promise.withResolvers<void>(), "t:1": Promise.withResolvers<void>() };
    const { broker, ended } = started({ maxProcessingMs: 300 }, async (place, offset) => {
      // The other's second call begins later, so it is not the one that counts as stuck.
      if (offset === 0) return place === "t:1" ? wait(100) : undefined;
      await late[place as "t:0" | "t:1"].promise;
    });
    broker.holdsCommits = true;
    await vi.advanceTimersByTimeAsync(300);
    late["t:0"].reject(new Error("too late"));
    await vi.advanceTimersByTimeAsync(100); // By now the other is stuck as well.
    late["t:1"].resolve();
    await vi.advanceTimersByTimeAsync(100);
    expect(ended.isOver).toBe(false);
    broker.answerCommit();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(broker.log).toEqual(["commit t:0=1 t:1=1", "leave"]);
    expect(ended.error).toMatchObject({ message: expect.stringContaining("t/0") });
  });

  test("[SES-8] a batch is one call, and nothing of a stuck one is committed", async () => {
    const { broker, ended } = started(
      { maxProcessingMs: 300 },
      (place) => (place === "t:1" ? new Promise(() => {}) : undefined),
      true,
    );
    await vi.advanceTimersByTimeAsync(300);
    expect(broker.log).toEqual(["commit t:0=3", "leave"]);
    expect(ended.error).toMatchObject({ message: expect.stringContaining("t/1") });
  });

  test("[SES-8] each call is timed by itself, and calls that return in time end nothing", async () => {
    const { broker, consumer, ended } = started({ maxProcessingMs: 300 }, () => wait(299));
    await vi.advanceTimersByTimeAsync(5_000);
    consumer.close();
    await vi.advanceTimersByTimeAsync(0);
    expect(broker.log).toEqual(["commit t:0=3 t:1=3", "leave"]);
    expect(ended).toEqual({ error: null, isOver: true });
  });

  test("[SES-8] a close waits for a handler until it counts as stuck", async () => {
    const { broker, consumer, ended } = started({ maxProcessingMs: 300 }, (place) =>
      place === "t:0" ? new Promise(() => {}) : undefined,
    );
    await vi.advanceTimersByTimeAsync(100);
    consumer.close();
    await vi.advanceTimersByTimeAsync(199);
    expect(ended.isOver).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(broker.log).toEqual(["commit t:1=3", "leave"]);
    expect(ended.error).toMatchObject({ code: "REQUEST_TIMED_OUT" });
  });

  test("[SES-8] if the session has ended too, the partitions are reported as lost once", async () => {
    const options = { maxProcessingMs: 300, sessionTimeoutMs: 1_000 };
    const { broker, lost, ended } = started(options, () => new Promise(() => {}));
    await vi.advanceTimersByTimeAsync(200);
    vi.setSystemTime(Date.now() + 5_000); // The process was stopped.
    await vi.advanceTimersByTimeAsync(100);
    expect(lost).toEqual([["t:0", "t:1"]]);
    expect(broker.log).toEqual([]);
    expect(ended.error).toMatchObject({ code: "REQUEST_TIMED_OUT" });
  });

  test("[SES-8] without it a handler takes as long as it likes, and is not timed", async () => {
    const { broker, consumer, lost } = started({}, (place, offset) =>
      place === "t:0" && offset === 1 ? wait(3_600_000) : undefined,
    );
    await vi.advanceTimersByTimeAsync(1_000);
    // The handler's own and the session's.
    expect(vi.getTimerCount()).toBe(2);
    await vi.advanceTimersByTimeAsync(3_600_000);
    consumer.close();
    await vi.advanceTimersByTimeAsync(0);
    expect(broker.log).toEqual(["commit t:0=3 t:1=3", "leave"]);
    expect(lost).toEqual([]);
  });

  test.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31])(
    "[SES-8] it is a whole number of milliseconds that a timer can hold, not %s",
    (maxProcessingMs) => {
      expect(() => started({ maxProcessingMs }, () => {})).toThrowError(
        expect.objectContaining({
          name: "BrokerError",
          code: "INVALID_REQUEST",
          message: `maxProcessingMs is ${maxProcessingMs}, it must be a whole number from 1 to 2147483647`,
        }),
      );
    },
  );

  test.each([1, 2 ** 31 - 1])("[SES-8] %i ms are allowed", (maxProcessingMs) => {
    expect(
      () => new Consumer(new OneMemberBroker(), { groupId: "g", topics: ["t"], maxProcessingMs }),
    ).not.toThrow();
  });
});

describe("close", () => {
  test.each([
    ["a record", false, ["t:0/0"]],
    ["a batch", true, ["t:0/0"]],
  ] as const)(
    "[SES-6] while a handler has %s at work and its partition is lost meanwhile: run ends when it returns",
    async (_, isBatch, expected) => {
      const atWork = Promise.withResolvers<void>();
      const handled: string[] = [];
      const { broker, consumer, lost, ended } = started(
        {},
        (place, offset) => {
          if (place === "t:1") return;
          handled.push(`${place}/${offset}`);
          return atWork.promise;
        },
        isBatch,
      );
      await vi.advanceTimersByTimeAsync(100);
      consumer.close();
      broker.endSession();
      await vi.advanceTimersByTimeAsync(0);
      expect(lost).toEqual([["t:0", "t:1"]]);
      // The handler is waited for all the same: the application may release things once run is over.
      expect(ended.isOver).toBe(false);
      atWork.resolve();
      await vi.advanceTimersByTimeAsync(0);
      expect(ended).toEqual({ error: null, isOver: true });
      expect(handled).toEqual(expected);
      // The lost partition is another's: nothing of it is committed, and there is no membership to leave.
      expect(broker.log).toEqual([]);
      expect(vi.getTimerCount()).toBe(0);
    },
  );

  test("[SES-6] after the partition at work was lost: run ends when its handler returns, not before", async () => {
    const atWork = Promise.withResolvers<void>();
    const { broker, consumer, ended } = started({}, (place) =>
      place === "t:0" ? atWork.promise : undefined,
    );
    await vi.advanceTimersByTimeAsync(100);
    broker.endSession();
    consumer.close();
    await vi.advanceTimersByTimeAsync(29_000);
    expect(ended.isOver).toBe(false);
    atWork.resolve();
    await vi.advanceTimersByTimeAsync(0);
    expect(ended).toEqual({ error: null, isOver: true });
  });
});

// The process is stopped (SIGSTOP, a laptop's lid) for longer than the session. When it continues, the data in its sockets
// may be read before the timer of the session's end rings.
describe("a process that was stopped", () => {
  test("[SES-4] does not report a partition whose socket says attached after the session has ended", async () => {
    const { broker, consumer, told } = startedHolding(10_000);
    await vi.advanceTimersByTimeAsync(2_000);
    const before = ["assigned t:0", "t:0/0", "t:0/1", "t:0/2"];
    expect(told).toEqual(before);
    vi.setSystemTime(Date.now() + 10_000);
    broker.deliverFrame();
    expect(told).toEqual([...before, "lost t:0"]);
    expect(consumer.assignment).toEqual([]);
    broker.deliverFrame();
    expect(told).toEqual([...before, "lost t:0"]);
  });

  test("[SES-4] handles no records that arrive after the session has ended", async () => {
    const { broker, consumer, told } = startedHolding(10_000);
    await vi.advanceTimersByTimeAsync(0);
    broker.deliverFrame();
    await vi.advanceTimersByTimeAsync(0);
    const before = ["assigned t:0 t:1", "t:0/0", "t:0/1", "t:0/2"];
    expect(told).toEqual(before);
    vi.setSystemTime(Date.now() + 10_000);
    broker.deliverFrame();
    expect(told).toEqual([...before, "lost t:0 t:1"]);
    expect(consumer.assignment).toEqual([]);
    // A new membership handles them.
    broker.heldFrames = [];
    await vi.advanceTimersByTimeAsync(1_000);
    const all = [0, 1, 2].flatMap((offset) => [`t:0/${offset}`, `t:1/${offset}`]);
    const after = told.slice(before.length + 1);
    expect(after[0]).toBe("assigned t:0 t:1");
    expect(after.slice(1).sort()).toEqual(all.sort());
  });

  test.each([0, 1])(
    "[SES-4] in the middle of a batch, at offset %i, handles no more of it, even if its handler waits for nothing",
    async (stoppedAt) => {
      const told: string[] = [];
      let isStopped = false;
      started(
        { sessionTimeoutMs: 10_000, onLost: () => void told.push("lost") },
        (place, offset) => {
          told.push(`${place}/${offset}`);
          if (isStopped || place !== "t:0" || offset !== stoppedAt) return;
          isStopped = true;
          vi.setSystemTime(Date.now() + 10_000);
        },
      );
      await vi.advanceTimersByTimeAsync(0);
      expect(told[told.indexOf(`t:0/${stoppedAt}`) + 1]).toBe("lost");
    },
  );

  test("[SES-4] continues as before if the session has not ended yet", async () => {
    const { broker, told } = startedHolding(10_000);
    await vi.advanceTimersByTimeAsync(0);
    broker.deliverFrame();
    await vi.advanceTimersByTimeAsync(0);
    vi.setSystemTime(Date.now() + 9_999);
    broker.deliverFrame();
    expect(told.filter((line) => line.startsWith("lost"))).toEqual([]);
    await vi.advanceTimersByTimeAsync(0);
    expect(told.slice(-3)).toEqual(["t:1/0", "t:1/1", "t:1/2"]);
  });
});
