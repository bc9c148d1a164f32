// A consumer as a loop. Its handlers pass their records on one at a time, and wait until the loop has processed each.
import type { ConsumerRecord, TopicPartition } from "../../core/record.ts";

/** A record with its topic and partition, as `for await` over a consumer yields it. */
export type PlacedRecord = ConsumerRecord & TopicPartition;

/** The result of a handler whose record was not processed. */
export const ABANDONED = Symbol("abandoned");

type EachRecord<Record> = (record: Record, place: TopicPartition) => Promise<unknown>;

interface Item<Record> {
  readonly record: Record & TopicPartition;
  /** Lets the handler return. */
  readonly settle: (outcome?: symbol) => void;
}

/**
 * Yields the records that `run` passes to its handler. A record is processed when the loop asks for the next one. A
 * record at a `break` or a throw is not processed. `onWaiting` gets a function that takes back a record that the loop
 * has not reached. Its partition may be revoked, and must not wait for the loop.
 */
export async function* recordLoop<Record>(
  run: (eachRecord: EachRecord<Record>) => Promise<void>,
  close: () => Promise<void>,
  onWaiting: (place: TopicPartition, abandon?: () => void) => void,
): AsyncGenerator<Record & TopicPartition, void, void> {
  let waiting: Item<Record>[] = [];
  let wake = () => {};
  let isOver = false;
  const running = run(
    (record, place) =>
      new Promise((settle) => {
        const item = { record: { ...place, ...record }, settle };
        waiting.push(item);
        onWaiting(place, () => {
          waiting = waiting.filter((each) => each !== item);
          settle(ABANDONED);
        });
        wake();
      }),
  ).finally(() => {
    isOver = true;
    wake();
  });
  running.catch(() => {}); // It is thrown below, unless the loop ends before.
  let current: Item<Record> | undefined;
  try {
    while (!isOver || waiting.length > 0) {
      current = waiting.shift();
      if (current === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        continue;
      }
      onWaiting(current.record);
      yield current.record;
      current.settle();
      current = undefined;
    }
    await running;
  } finally {
    current?.settle(ABANDONED);
    await close();
  }
}
