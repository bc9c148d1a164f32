// A consumer as a loop, its own commits, and how many handlers run at once.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Consumer, type ConsumerOptions, type PlacedRecord } from "../../../src/sdk/consumer.ts";
import { OneMemberBroker, started } from "../../support/one-member-broker.ts";
import { type Place, placeOf } from "../../support/places.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const settle = () => vi.advanceTimersByTimeAsync(100);

function consumerOf(
  options: Partial<ConsumerOptions> = {},
  places: readonly Place[] = ["t:0", "t:1"],
) {
  const broker = new OneMemberBroker();
  broker.places = places;
  const consumer = new Consumer(broker, {
    groupId: "g",
    topics: ["t"],
    autoCommit: false,
    ...options,
  });
  return { broker, consumer };
}

/** Runs a loop; returns what it saw, and how it ended. */
function loop(consumer: Consumer, body: (record: PlacedRecord, index: number) => unknown) {
  const seen: string[] = [];
  const ended = { error: null as unknown, isOver: false };
  const run = async () => {
    for await (const record of consumer) {
      seen.push(`${placeOf(record)}/${record.offset}`);
      if ((await body(record, seen.length)) === "break") break;
    }
  };
  run()
    .catch((error: unknown) => {
      ended.error = error;
    })
    .finally(() => {
      ended.isOver = true;
    });
  return { seen, ended };
}

const THREE: readonly Place[] = ["t:0", "t:1", "t:2"];
const T1 = { topic: "t", partition: 1 };

describe("a record that waits for the loop", () => {
  test.each(["revoked", "lost"])(
    "[LOP-1] is not taken for that of a partition that is %s",
    async (how) => {
      const { broker, consumer } = consumerOf({}, THREE);
      const gate = Promise.withResolvers<void>();
      const { seen } = loop(consumer, () => gate.promise);
      await settle();
      expect(seen).toEqual(["t:0/0"]); // Those of t:1 and t:2 wait.
      if (how === "revoked") broker.revoke("t:1");
      else broker.endSession();
      await settle();
      gate.resolve();
      await settle();
      for (const place of how === "revoked" ? ["t:0", "t:2"] : THREE)
        for (const offset of [0, 1, 2]) expect(seen).toContain(`${place}/${offset}`);
    },
  );

  test("[LOP-1] [CBK-4] keeps waiting while its partition is paused, and comes once it is resumed", async () => {
    const { consumer } = consumerOf({}, THREE);
    const gate = Promise.withResolvers<void>();
    const { seen } = loop(consumer, () => gate.promise);
    await settle();
    consumer.pause(T1);
    gate.resolve();
    await settle();
    expect(seen.filter((line) => line.startsWith("t:1"))).toEqual([]);
    expect(seen.filter((line) => line.startsWith("t:2"))).toHaveLength(3);
    consumer.resume(T1);
    await settle();
    expect(seen.filter((line) => line.startsWith("t:1"))).toEqual(["t:1/0", "t:1/1", "t:1/2"]);
  });

  test("[LOP-1] [CBK-4] comes if its partition was paused and resumed before the loop reached it", async () => {
    const { consumer } = consumerOf();
    const gate = Promise.withResolvers<void>();
    const { seen } = loop(consumer, () => gate.promise);
    await settle();
    consumer.pause(T1);
    consumer.resume(T1);
    gate.resolve();
    await settle();
    expect(seen.filter((line) => line.startsWith("t:1"))).toEqual(["t:1/0", "t:1/1", "t:1/2"]);
  });

  test("[LOP-1] [SES-1] does not come once its partition was sought elsewhere", async () => {
    const { consumer } = consumerOf();
    const gate = Promise.withResolvers<void>();
    const { seen } = loop(consumer, () => gate.promise);
    await settle();
    consumer.seek(T1, 2);
    gate.resolve();
    await settle();
    expect(seen.filter((line) => line.startsWith("t:1"))[0]).toBe("t:1/2");
  });
});

describe("partitions that wait for a turn", () => {
  test.each([
    ["paused", ({ consumer }) => consumer.pause(T1)],
    ["sought to the end", ({ consumer }) => void consumer.seek(T1, 3)],
    ["revoked", ({ broker }) => broker.revoke("t:1")],
  ] as [string, (each: ReturnType<typeof consumerOf>) => void][])(
    "[LOP-3] get it even if the first of them is %s meanwhile",
    async (_how, meanwhile) => {
      const each = consumerOf({}, THREE);
      const gate = Promise.withResolvers<void>();
      const handled: string[] = [];
      void each.consumer.run({
        partitionsConsumedConcurrently: 1,
        eachBatch: async ({ topic, partition }) => {
          handled.push(placeOf({ topic, partition }));
          await gate.promise;
        },
      });
      await settle();
      expect(handled).toEqual(["t:0"]);
      meanwhile(each);
      await settle();
      gate.resolve();
      await settle();
      expect(handled).toContain("t:2");
    },
  );
});

describe("for await", () => {
  test("[LOP-1] gives all records, of each partition in order, one at a time, until close", async () => {
    const { broker, consumer } = consumerOf();
    let atWork = 0;
    const { seen, ended } = loop(consumer, async () => {
      expect(++atWork).toBe(1);
      await null;
      atWork--;
    });
    await settle();
    expect(seen.filter((line) => line.startsWith("t:0"))).toEqual(["t:0/0", "t:0/1", "t:0/2"]);
    expect(seen.filter((line) => line.startsWith("t:1"))).toEqual(["t:1/0", "t:1/1", "t:1/2"]);
    await consumer.close();
    await settle();
    expect(ended).toEqual({ error: null, isOver: true });
    expect(broker.log).toEqual(["commit t:0=3 t:1=3", "leave"]);
  });

  test("[LOP-1] [TRB-4] break leaves at once with a slow serde too", async () => {
    const valueSerde = { serialize: () => "", deserialize: async () => "value" };
    const { consumer } = consumerOf({ valueSerde } as never);
    const { seen, ended } = loop(consumer, () => "break");
    await settle();
    expect(seen).toHaveLength(1);
    expect(ended).toEqual({ error: null, isOver: true });
  });

  test("[LOP-1] break leaves at once; its record is not done", async () => {
    const { broker, consumer } = consumerOf();
    const { seen, ended } = loop(consumer, (_record, count) => (count === 3 ? "break" : null));
    await settle();
    expect(ended).toEqual({ error: null, isOver: true });
    expect(seen).toHaveLength(3);
    const done = seen.slice(0, 2).map((line) => line.split("/")[0]);
    const committed = [...new Set(done)].map(
      (place) => `${place}=${done.filter((each) => each === place).length}`,
    );
    expect(broker.log).toEqual([`commit ${committed.sort().join(" ")}`, "leave"]);
  });

  test("[LOP-1] an error from the body is thrown, and its record is not done", async () => {
    const { broker, consumer } = consumerOf();
    const { ended } = loop(consumer, () => {
      throw new Error("boom");
    });
    await settle();
    expect(ended).toEqual({ error: new Error("boom"), isOver: true });
    expect(broker.log).toEqual(["leave"]);
  });

  test("[LOP-1] a partition revoked while it waits for the loop goes at once, the loop's own after its record", async () => {
    const { broker, consumer } = consumerOf();
    const atWork = Promise.withResolvers<void>();
    const { seen } = loop(consumer, (_record, count) => (count === 1 ? atWork.promise : null));
    await settle();
    expect(seen).toEqual(["t:0/0"]);
    broker.revoke("t:1");
    await settle();
    expect(broker.log).toEqual(["revoked"]);
    atWork.resolve();
    await settle();
    expect(seen).toEqual(["t:0/0", "t:0/1", "t:0/2"]);
    await consumer.close();
  });

  test("[LOP-1] a session that ends returns records that come again; nothing from before is done", async () => {
    const { broker, consumer } = consumerOf();
    const atWork = Promise.withResolvers<void>();
    const { seen } = loop(consumer, (_record, count) => (count === 1 ? atWork.promise : null));
    await settle();
    broker.endSession();
    await vi.advanceTimersByTimeAsync(1_000);
    atWork.resolve();
    await settle();
    expect(seen.filter((line) => line.startsWith("t:0"))).toEqual([
      "t:0/0",
      "t:0/0",
      "t:0/1",
      "t:0/2",
    ]);
    expect(seen.filter((line) => line.startsWith("t:1"))).toEqual(["t:1/0", "t:1/1", "t:1/2"]);
    await consumer.close();
  });

  test("[LOP-1] a fatal error is thrown into the loop", async () => {
    const { consumer } = consumerOf({
      onAssigned: () => {
        throw new Error("no");
      },
    });
    const { ended } = loop(consumer, () => null);
    await settle();
    expect(ended).toEqual({ error: new Error("no"), isOver: true });
  });
});

describe("commit and position", () => {
  test("[LOP-2] commit sends what was processed and resolves once the group has it", async () => {
    const { broker, consumer } = started({ autoCommit: false }, () => {});
    await settle();
    expect(broker.log).toEqual([]);
    expect(consumer.position({ topic: "t", partition: 0 })).toBe(3);
    expect(consumer.position({ topic: "t", partition: 7 })).toBeNull();
    broker.holdsCommits = true;
    let isDone = false;
    void consumer.commit().then(() => {
      isDone = true;
    });
    await settle();
    expect(broker.log).toEqual(["commit t:0=3 t:1=3"]);
    expect(isDone).toBe(false);
    broker.answerCommit();
    await settle();
    expect(isDone).toBe(true);
    await consumer.commit();
    expect(broker.log).toHaveLength(1);
  });

  test("[LOP-2] a commit while one is in flight waits for its own", async () => {
    const gates: PromiseWithResolvers<void>[] = [];
    const { broker, consumer } = started({ autoCommit: false }, (_place, offset) => {
      if (offset !== 1) return;
      const gate = Promise.withResolvers<void>();
      gates.push(gate);
      return gate.promise;
    });
    await settle();
    broker.holdsCommits = true;
    void consumer.commit();
    await settle();
    for (const gate of gates) gate.resolve();
    await settle();
    let isDone = false;
    void consumer.commit().then(() => {
      isDone = true;
    });
    broker.answerCommit();
    await settle();
    expect(broker.log).toEqual(["commit t:0=1 t:1=1", "commit t:0=3 t:1=3"]);
    expect(isDone).toBe(false);
    broker.answerCommit();
    await settle();
    expect(isDone).toBe(true);
  });

  test.each([0, null])(
    "[LOP-2] a commit of the first record waits for its response, where %s is committed",
    async (committedOffset) => {
      const { broker, consumer } = consumerOf({ autoCommit: false });
      broker.committedOffset = committedOffset;
      broker.batches = [[0, 1]];
      void consumer.run({ eachRecord: () => {} });
      await settle();
      broker.holdsCommits = true;
      let isDone = false;
      void consumer.commit().then(() => {
        isDone = true;
      });
      await settle();
      expect(broker.log).toEqual(["commit t:0=1 t:1=1"]);
      expect(isDone).toBe(false);
      broker.answerCommit();
      await settle();
      expect(isDone).toBe(true);
      await consumer.close();
    },
  );

  test("[LOP-2] once a commit is answered nothing is committed until it is requested again", async () => {
    const gate = Promise.withResolvers<void>();
    const { broker, consumer } = started({ autoCommit: false }, (_place, offset) =>
      offset === 1 ? gate.promise : undefined,
    );
    await settle();
    await consumer.commit();
    gate.resolve();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(consumer.position({ topic: "t", partition: 0 })).toBe(3);
    expect(broker.log).toEqual(["commit t:0=1 t:1=1"]);
    await consumer.commit();
    expect(broker.log).toEqual(["commit t:0=1 t:1=1", "commit t:0=3 t:1=3"]);
  });

  test("[LOP-2] a commit whose session ends resolves: there is nothing left to commit", async () => {
    const { broker, consumer } = started({ autoCommit: false }, () => {});
    await settle();
    broker.holdsCommits = true;
    const committed = consumer.commit();
    await settle();
    broker.endSession();
    await committed;
  });

  test("[LOP-2] without autoCommit, records are committed when a partition goes and on close", async () => {
    const { broker, consumer } = started({ autoCommit: false }, () => {});
    await vi.advanceTimersByTimeAsync(60_000);
    expect(broker.log).toEqual([]);
    broker.revoke("t:0");
    await settle();
    expect(broker.log).toEqual(["commit t:0=3 t:1=3", "revoked"]);
    void consumer.close();
    await settle();
    expect(broker.log.at(-1)).toBe("leave");
  });
});

describe("run", () => {
  test.each([1, 2])(
    "[LOP-3] at most %i partitions are at work at once, and all get their turn",
    async (limit) => {
      const { broker, consumer } = consumerOf();
      broker.batches = [
        [0, 1],
        [1, 1],
        [2, 1],
      ];
      let atWork = 0;
      let most = 0;
      const handled: Place[] = [];
      void consumer.run({
        partitionsConsumedConcurrently: limit,
        eachRecord: async (_record, place) => {
          most = Math.max(most, ++atWork);
          handled.push(placeOf(place));
          await new Promise((resolve) => setTimeout(resolve, 10));
          atWork--;
        },
      });
      await settle();
      expect(most).toBe(limit);
      expect(handled.toSorted()).toEqual(["t:0", "t:0", "t:0", "t:1", "t:1", "t:1"]);
      if (limit === 1) expect(handled.slice(0, 2).sort(), "in turns").toEqual(["t:0", "t:1"]);
      await consumer.close();
    },
  );

  test("[LOP-4] a signal closes; run rejects with its reason", async () => {
    const { broker, consumer } = consumerOf();
    const controller = new AbortController();
    const running = consumer.run({ eachRecord: () => {}, signal: controller.signal });
    const outcome = expect(running).rejects.toThrow("enough");
    await settle();
    controller.abort(new Error("enough"));
    await outcome;
    await settle();
    expect(broker.log).toEqual(["commit t:0=3 t:1=3", "leave"]);
  });

  test("[LOP-4] a signal that has already fired joins nothing", async () => {
    const { broker, consumer } = consumerOf();
    await expect(
      consumer.run({ eachRecord: () => {}, signal: AbortSignal.abort(new Error("before")) }),
    ).rejects.toThrow("before");
    expect(broker.log).toEqual([]);
  });

  test.each([
    [{}, /run needs eachRecord or eachBatch/],
    [
      { eachRecord: () => {}, partitionsConsumedConcurrently: 0 },
      /^partitionsConsumedConcurrently is 0/,
    ],
  ])("[CBK-7] rejected: %o", async (handlers, message) => {
    const { consumer } = consumerOf();
    await expect(consumer.run(handlers as never)).rejects.toThrow(message);
  });
});
