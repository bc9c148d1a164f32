// Prints records on standard output as they come.
import { once } from "node:events";
import { toJsonRecord } from "../protocol/json-record.ts";
import type { Consumer } from "../sdk/consumer.ts";
import type { ConsumerRecord, TopicPartition } from "../sdk/index.ts";
import type { Progress } from "./progress.ts";
import { stopSignal } from "./stop.ts";
import type { Unread } from "./unread.ts";

export interface PrintOptions {
  /** Stops after so many records. */
  readonly max?: number;
  /** Stops once all of this is read. Null reads on. */
  readonly unread: Unread | null;
  /** False while more partitions may still be assigned. Without it there are none to come. */
  readonly isAssigned?: () => Promise<boolean>;
  /** Returns the start of a partition's log. Records that were deleted before they were read will not come. */
  readonly startOf: (place: TopicPartition) => Promise<number>;
  readonly lineOf: (record: ConsumerRecord, place: TopicPartition) => Uint8Array | string;
  readonly progress: Progress;
}

/** The intervals at which the ends are checked, besides after each record, and the starts of the logs are looked up. */
const CHECK_MS = 500;
const LOOK_AGAIN_MS = 2_000;

/** Prints until everything is read, enough is printed, or nobody reads standard output any more. */
export async function printRecords(
  consumer: Consumer,
  { max = Number.POSITIVE_INFINITY, unread, isAssigned, startOf, lineOf, progress }: PrintOptions,
): Promise<void> {
  const signal = stopSignal();
  signal.addEventListener("abort", () => consumer.close());
  let left = max;
  let failure: { readonly error: unknown } | null = null;
  let isChecking = false;
  const closeIfDone = async () => {
    if (unread?.isEmpty !== true || isChecking) return;
    isChecking = true;
    try {
      const isComplete = (await isAssigned?.()) ?? true;
      if (isComplete && unread.isEmpty) consumer.close();
    } catch (error) {
      failure = { error };
      consumer.close();
    }
    isChecking = false;
  };
  const checking = setInterval(closeIfDone, CHECK_MS);
  const looking = setInterval(async () => {
    for (const { place, next } of unread?.ranges ?? []) {
      const start = await startOf(place).catch(() => 0); // It is asked again soon.
      if (start > next && unread?.readUpTo(place, start)) consumer.pause(place);
    }
  }, LOOK_AGAIN_MS);
  try {
    await consumer.run({
      eachRecord: (record, place) => {
        if (left === 0) return undefined;
        if (unread !== null && !unread.includes(place, record.offset)) {
          // Compaction has removed the last records before the end. This one is not read, and not committed.
          unread.readUpTo(place, record.offset);
          consumer.pause(place);
          consumer.seek(place, record.offset);
          return undefined;
        }
        left--;
        progress.add(1, record.value?.length ?? 0);
        if (unread?.readUpTo(place, record.offset + 1)) consumer.pause(place);
        if (left === 0) consumer.close();
        else void closeIfDone();
        if (process.stdout.write(lineOf(record, place))) return undefined;
        return once(process.stdout, "drain", { signal }).catch(() => {}); // Other code reports the reason.
      },
    });
  } finally {
    clearInterval(checking);
    clearInterval(looking);
    progress.end();
  }
  if (failure !== null) throw (failure as { error: unknown }).error;
}

/** Returns the record as the HTTP API has it, with its place. */
export function jsonLine(record: ConsumerRecord, place: TopicPartition): string {
  return `${JSON.stringify({ ...place, ...toJsonRecord(record) })}\n`;
}
