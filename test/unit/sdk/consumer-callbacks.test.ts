// The freedoms of an application in a consumer's callbacks, and its requests to the consumer.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { TopicPartition } from "../../../src/core/record.ts";
import { Consumer, type ConsumerOptions } from "../../../src/sdk/consumer.ts";
import { Rivulet } from "../../../src/sdk/rivulet.ts";
import { OneMemberBroker, started } from "../../support/one-member-broker.ts";
import type { Place } from "../../support/places.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const T0: TopicPartition = { topic: "t", partition: 0 };

/** Started, with the records handled in their order. */
function handling(
  options: Partial<ConsumerOptions> | ((own: () => Consumer) => Partial<ConsumerOptions>),
  handle: (place: Place, offset: number, consumer: Consumer) => unknown = () => {},
) {
  const handled: string[] = [];
  let consumer: Consumer | undefined;
  const own = () => consumer as Consumer;
  const each = started(typeof options === "function" ? options(own) : options, (place, offset) => {
    handled.push(`${place}/${offset}`);
    return handle(place, offset, own());
  });
  consumer = each.consumer;
  return { ...each, handled, ofT0: () => handled.filter((line) => line.startsWith("t:0")) };
}

const settle = () => vi.advanceTimersByTimeAsync(100);

describe("onAssigned", () => {
  test("[CBK-1] a seek there takes effect: nothing before it is handled", async () => {
    const { handled } = handling((own) => ({
      onAssigned: (places) => places.forEach((place) => void own().seek(place, 2)),
    }));
    await settle();
    expect(handled.sort()).toEqual(["t:0/2", "t:1/2"]);
  });

  test("[CBK-1] a pause there lasts until it is resumed", async () => {
    const { handled, consumer } = handling((own) => ({
      onAssigned: (places) => places.forEach((place) => void own().pause(place)),
    }));
    await settle();
    expect(handled).toEqual([]);
    consumer.resume(T0);
    await settle();
    expect(handled).toEqual(["t:0/0", "t:0/1", "t:0/2"]);
  });

  test("[CBK-1] nothing is handled before its promise has resolved", async () => {
    const ready = Promise.withResolvers<void>();
    const { handled } = handling({ onAssigned: () => ready.promise });
    await settle();
    expect(handled).toEqual([]);
    ready.resolve();
    await settle();
    expect(handled).toHaveLength(6);
  });
});

describe("onRevoked", () => {
  test("[CBK-2] the partition is kept until its promise has resolved, and then given up", async () => {
    const done = Promise.withResolvers<void>();
    const { broker } = handling({ onRevoked: () => done.promise });
    await settle();
    broker.revoke("t:0");
    await settle();
    expect(broker.log).not.toContain("revoked");
    done.resolve();
    await settle();
    expect(broker.log.slice(-2)).toEqual(["commit t:0=3 t:1=3", "revoked"]);
  });

  test("[CBK-2] a close waits for it too", async () => {
    const done = Promise.withResolvers<void>();
    const { broker, consumer, ended } = handling({ onRevoked: () => done.promise });
    await settle();
    broker.revoke("t:0");
    await settle();
    void consumer.close();
    await settle();
    expect(ended.isOver).toBe(false);
    done.resolve();
    await settle();
    expect(ended).toEqual({ error: null, isOver: true });
  });
});

describe("a callback that fails", () => {
  const boom = () => {
    throw new Error("boom");
  };
  test.each([
    ["onAssigned", boom],
    ["onAssigned", async () => boom()],
    ["onRevoked", boom],
    ["onRevoked", async () => boom()],
    ["onLost", boom],
    ["onLost", async () => boom()],
  ] as const)(
    "[CBK-3] %s: run rejects with it and the member leaves (%#)",
    async (name, callback) => {
      const { broker, ended } = handling({ [name]: callback });
      await settle();
      if (name === "onRevoked") broker.revoke("t:0");
      if (name === "onLost") broker.endSession();
      await vi.advanceTimersByTimeAsync(2_000);
      expect(ended).toEqual({ error: new Error("boom"), isOver: true });
      if (name !== "onLost") expect(broker.log.at(-1)).toBe("leave");
    },
  );
});

test("[SES-3] records waiting behind the current one when its partition is lost are not handled", async () => {
  const atWork = Promise.withResolvers<void>();
  const { broker, ofT0, consumer } = handling({}, (place) =>
    place === "t:0" ? atWork.promise : undefined,
  );
  broker.batches = [
    [0, 1],
    [1, 1],
    [2, 1],
  ];
  await settle();
  broker.endSession();
  atWork.resolve();
  await vi.advanceTimersByTimeAsync(0);
  expect(ofT0()).toEqual(["t:0/0"]);
  await consumer.close();
});

describe("pause and resume", () => {
  test("[CBK-4] a pause in a handler takes effect after the current record; resume continues with the next", async () => {
    const { consumer, ofT0 } = handling({}, (place, offset, own) => {
      if (place === "t:0" && offset === 0) own.pause(T0);
    });
    await settle();
    expect(ofT0()).toEqual(["t:0/0"]);
    consumer.resume(T0);
    await settle();
    expect(ofT0()).toEqual(["t:0/0", "t:0/1", "t:0/2"]);
  });

  test("[CBK-4] a partition revoked while paused is given up", async () => {
    const { broker } = handling({}, (place, offset, own) => {
      if (place === "t:0" && offset === 0) own.pause(T0);
    });
    await settle();
    broker.revoke("t:0");
    await settle();
    expect(broker.log.at(-1)).toBe("revoked");
  });

  test("[CBK-4] a close ends even if everything is paused", async () => {
    const { consumer, ended } = handling({}, (_place, _offset, own) => {
      for (const place of own.assignment) own.pause(place);
    });
    await settle();
    await consumer.close();
    await settle();
    expect(ended.isOver).toBe(true);
  });
});

describe("seek", () => {
  test.each([-1, 1.5, Number.NaN, 2 ** 53, "earliest" as unknown as number])(
    "[CBK-5] %s is not an offset: it is rejected and changes nothing",
    async (offset) => {
      const { broker, consumer, handled, ended } = handling({});
      await settle();
      expect(() => consumer.seek(T0, offset)).toThrow(
        /^offset is .*, it must be a whole number from 0/,
      );
      expect(handled).toHaveLength(6);
      await consumer.close();
      await settle();
      expect(ended.error).toBeNull();
      expect(broker.log).toEqual(["commit t:0=3 t:1=3", "leave"]);
    },
  );

  test("[CBK-5] an offset outside the log is reported; the consumer continues where it was", async () => {
    const errors: string[] = [];
    const { broker, consumer, ofT0 } = handling(
      { onError: ({ code }) => errors.push(code), from: "latest" },
      (place, offset, own) => {
        if (place === "t:0" && offset === 1 && errors.length === 0) own.seek(T0, 999);
      },
    );
    await settle();
    expect(errors).toEqual(["OFFSET_OUT_OF_RANGE"]);
    expect(ofT0()).toEqual(["t:0/0", "t:0/1", "t:0/2"]);
    await consumer.close();
    expect(broker.log.filter((line) => line.includes("999"))).toEqual([]);
  });
});

describe("what is thrown", () => {
  test.each([
    [Object.create(null)],
    [
      {
        toString: () => {
          throw new Error("odd");
        },
      },
    ],
    [undefined],
    [7],
  ])("[CBK-3] [SES-2] run rejects with it, whatever it is", async (thrown) => {
    const { ended } = handling({}, () => {
      throw thrown;
    });
    await settle();
    expect(ended.isOver).toBe(true);
    expect(ended.error).toBe(thrown);
  });
});

describe("close", () => {
  test("[CBK-6] its promise resolves once the member has left, however often it is called", async () => {
    const { broker, consumer } = handling({});
    await settle();
    const closing = consumer.close();
    expect(broker.log).toEqual([]);
    await Promise.all([closing, consumer.close()]);
    await settle();
    expect(broker.log).toEqual(["commit t:0=3 t:1=3", "leave"]);
  });

  test("[CBK-6] before run it resolves, and run does nothing", async () => {
    const broker = new OneMemberBroker();
    const consumer = new Consumer(broker, { groupId: "g", topics: ["t"] });
    await consumer.close();
    await consumer.run({ eachRecord: () => {} });
    expect(broker.log).toEqual([]);
  });

  test.each([
    (own: Consumer) => own.close(),
    async (own: Consumer) => own.close(),
    async (own: Consumer) => await own.close(),
  ])("[CBK-6] a handler may return it, or await it first thing (%#)", async (close) => {
    const { ended, handled } = handling({}, (_place, _offset, own) => close(own));
    await settle();
    expect(ended).toEqual({ error: null, isOver: true });
    expect(handled.length).toBeLessThan(6);
  });

  test("[CBK-6] [TRB-4] a handler that awaits it later is reported after a while, and waited for no longer than 30 s", async () => {
    const errors: string[] = [];
    const { ended } = handling(
      { onError: (error) => errors.push(error.message) },
      async (_p, _o, own) => {
        await null;
        await own.close();
      },
    );
    await vi.advanceTimersByTimeAsync(6_000);
    expect(ended.isOver).toBe(false);
    expect(errors).toEqual([expect.stringContaining("close waits for a handler")]);
    await vi.advanceTimersByTimeAsync(23_900);
    expect(ended.isOver).toBe(false);
    await vi.advanceTimersByTimeAsync(200);
    expect(ended.isOver).toBe(true);
  });
});

describe("options", () => {
  test.each([
    [{ groupId: "" }, /^group id has 0 characters/],
    [{ groupId: undefined }, /^group id has 0 characters/],
    [{ groupId: ".." }, /^group id may not be ".."/],
    [{ groupId: "a\nb" }, /control character/],
    [{ groupId: "\ud800" }, /half a character/],
    [{ topics: "orders" }, /^topics is "orders", it must be a list of names/],
    [{ topics: [7] }, /^topics is \[7\]/],
    [{ topics: [] }, /^topics is \[\], it must be at least one name/],
    [{ topics: undefined }, /at least one name, or a topicPattern/],
    [{ from: "none" }, /^from is "none", it must be earliest, latest or \{duration\}/],
    [{ from: 3 }, /^from is 3/],
    [{ from: { duration: "1h" } }, /^from.duration is "1h"/],
    [{ from: { duration: -1 } }, /^from.duration is -1/],
    [{ from: { duration: 1.5 } }, /^from.duration is 1.5/],
    [{ from: { duration: Number.POSITIVE_INFINITY } }, /^from.duration is Infinity/],
    [{ from: {} }, /^from.duration is nothing/],
    [{ topics: ["t", 7] }, /^topics is \["t",7\]/],
    [{ windowBytes: 4_194_305 }, /^windowBytes is 4194305/],
    [{ sessionTimeoutMs: 1_800_001 }, /^sessionTimeoutMs is 1800001/],
    [{ sessionTimeoutMs: 1_500.5 }, /^sessionTimeoutMs is 1500.5/],
    [{ commitIntervalMs: 2 ** 31 }, /^commitIntervalMs is 2147483648/],
    [{ windowBytes: 0 }, /^windowBytes is 0, it must be a whole number from 1 to 4194304/],
    [{ sessionTimeoutMs: 999 }, /^sessionTimeoutMs is 999, .* from 1000 to 1800000/],
    [{ commitIntervalMs: -1 }, /^commitIntervalMs is -1, .* from 0/],
    [{ maxProcessingMs: Number.NaN }, /^maxProcessingMs is NaN/],
  ])("[CBK-7] rejected: %o", (option, message) => {
    const options = { groupId: "g", topics: ["t"], ...(option as object) } as ConsumerOptions;
    expect(() => new Consumer(new OneMemberBroker(), options)).toThrow(message);
  });

  test.each([
    { from: { duration: 0 } },
    { from: { duration: "PT0S" } },
    { from: { duration: "P1DT12H" } },
    { windowBytes: 1 },
    { windowBytes: 4_194_304 },
    { sessionTimeoutMs: 1_000 },
    { sessionTimeoutMs: 1_800_000 },
    { commitIntervalMs: 0 },
    { maxProcessingMs: 1 },
  ])("[CBK-7] accepted, at the bound: %o", (option) => {
    const options = { groupId: "g", topics: ["t"], ...option } as ConsumerOptions;
    expect(() => new Consumer(new OneMemberBroker(), options)).not.toThrow();
  });

  test("[CBK-7] a pattern alone is enough", () => {
    expect(
      () => new Consumer(new OneMemberBroker(), { groupId: "g", topicPattern: "t.*" }),
    ).not.toThrow();
  });

  test.each(["127.0.0.1:8787", "ftp://x", "http://", ""])("[CBK-7] no url: %j", (url) => {
    expect(() => new Rivulet({ url })).toThrow(/^url is ".*", it must begin with http/);
  });
});
