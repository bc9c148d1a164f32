// A consumer as a loop. Its handlers hand their records over one at a time and wait until the loop has had each.
import type { ConsumerRecord, TopicPartition } from "../../core/record.ts";

/** A record and its place. */
export type PlacedRecord = ConsumerRecord & TopicPartition;

/** The result of a handler that has not looked at its record. The record is then not done. */
export const ABANDONED = Symbol("abandoned");

type EachRecord<Record> = (record: Record, place: TopicPartition) => Promise<unknown>;

interface Item<Record> {
  readonly record: Record & TopicPartition;
  /** Lets the handler return. */
  readonly settle: (outcome?: symbol) => void;
}

/**
 * Yields the records that `run` hands to its handler. A record is done when the loop asks for the next. A record at a
 * `break` or a throw is not done. `onWaiting` is given a way to take back a record that the loop has not come to. Its
 * partition may have to go, and must not wait for the loop.
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
  running.catch(() => {}); // It is thrown below, unless the loop is left before.
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
