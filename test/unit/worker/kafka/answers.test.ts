// Responses to requests that are served concurrently: in the order of the requests, a few at a time.
import { expect, test } from "vitest";
import {
  MAX_KAFKA_OVERLAPPED_BYTES,
  MAX_KAFKA_OVERLAPPED_REQUESTS,
} from "../../../../src/core/limits.ts";
import { Answers } from "../../../../src/worker/kafka/answers.ts";

/** Lets everything happen that has a reason to. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

function bench() {
  const written: number[] = [];
  const failures: unknown[] = [];
  let taken = Promise.resolve();
  const answers = new Answers({
    write: async ([piece]) => {
      written.push(piece?.[0] ?? -1);
      await taken;
    },
    failed: (error) => failures.push(error),
  });
  const add = (bytes = 1) => {
    const made = Promise.withResolvers<readonly Uint8Array[]>();
    answers.add(bytes, made.promise);
    return { make: (id: number) => made.resolve([Uint8Array.of(id)]), fail: made.reject };
  };
  const holdWrites = () => {
    const held = Promise.withResolvers<void>();
    taken = held.promise;
    return held.resolve;
  };
  const isDone = async (promise: Promise<void>) => {
    let done = false;
    void promise.then(() => {
      done = true;
    });
    await settle();
    return done;
  };
  return { answers, written, failures, add, holdWrites, isDone };
}

test("[KFK-35] are written in the order of their requests, in whatever order they are made", async () => {
  const { answers, written, add, isDone } = bench();
  const all = [add(), add(), add()];
  for (const id of [2, 1]) all[id]?.make(id);
  await settle();
  expect(written).toEqual([]);
  const end = answers.untilTaken();
  expect(await isDone(end)).toBe(false);
  all[0]?.make(0);
  await end;
  expect(written).toEqual([0, 1, 2]);
  expect(answers.askedBytes).toBe(0);
});

test("[KFK-35] there is room for a bounded number of requests, until the oldest response is taken", async () => {
  const { answers, add, holdWrites, isDone } = bench();
  const take = holdWrites();
  const all = Array.from({ length: MAX_KAFKA_OVERLAPPED_REQUESTS - 1 }, () => add());
  expect(await isDone(answers.untilRoom(1))).toBe(true);
  all.push(add());
  const room = answers.untilRoom(1);
  for (const each of all.slice(1)) each.make(1);
  expect(await isDone(room)).toBe(false);
  all[0]?.make(0);
  expect(await isDone(room)).toBe(false);
  take();
  await room;
});

test("[KFK-35] there is room for a bounded number of bytes, and for one request of any size", async () => {
  const { answers, add, isDone } = bench();
  expect(await isDone(answers.untilRoom(10 * MAX_KAFKA_OVERLAPPED_BYTES))).toBe(true);
  const [first, second] = [add(MAX_KAFKA_OVERLAPPED_BYTES - 10), add(5)];
  expect(answers.askedBytes).toBe(MAX_KAFKA_OVERLAPPED_BYTES - 5);
  expect(await isDone(answers.untilRoom(5))).toBe(true);
  const room = answers.untilRoom(6);
  expect(await isDone(room)).toBe(false);
  first.make(1);
  await room;
  second.make(2);
  await answers.untilTaken();
});

test("[KFK-35] a failure is reported in its turn, and nothing behind it is written", async () => {
  const { answers, written, failures, add } = bench();
  const all = [add(), add(), add()];
  const error = new Error("broken");
  all[1]?.fail(error);
  all[2]?.make(2);
  await settle();
  expect(failures).toEqual([]);
  all[0]?.make(0);
  await expect(answers.untilTaken()).rejects.toThrow("broken");
  await settle();
  expect(written).toEqual([0]);
  expect(failures).toEqual([error, error]);
  await expect(answers.untilRoom(MAX_KAFKA_OVERLAPPED_BYTES + 1)).rejects.toThrow("broken");
});
