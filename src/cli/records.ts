// Prints records on standard output, as they come.
import { once } from "node:events";
import { toJsonRecord } from "../protocol/json-record.ts";
import type { Consumer, ConsumerRecord, TopicPartition } from "../sdk/index.ts";
import type { GlobalOptions } from "./context.ts";
import type { Progress } from "./progress.ts";
import { stopSignal } from "./stop.ts";

export interface PrintOptions {
  /** Stops after so many records. */
  readonly max?: number;
  /** Stops once all of this is read. */
  readonly unread?: Unread;
  /** Returns where the log of a place begins by now. Records deleted meanwhile will not come. */
  readonly startOf?: (place: string) => Promise<number>;
  readonly progress: Progress;
}

/** The offsets that are to be read from each partition: from `next` on, up to `end`. */
export type Unread = Map<string, { next: number; readonly end: number }>;

export function unreadOffsets(unread: Unread): number {
  return [...unread.values()].reduce((sum, { next, end }) => sum + end - next, 0);
}

/** Prints until there is nothing left, or nobody wants it any more. */
export async function printRecords(
  consumer: Consumer,
  global: GlobalOptions,
  { max = Number.POSITIVE_INFINITY, unread, startOf, progress }: PrintOptions,
): Promise<void> {
  const signal = stopSignal();
  signal.addEventListener("abort", () => consumer.close());
  let left = max;
  const looking = setInterval(async () => {
    for (const [key, range] of unread ?? []) {
      const start = await startOf?.(key).catch(() => 0); // It is asked again soon.
      if (start !== undefined && start > range.next) markRead(unread as Unread, key, start - 1);
    }
    if (unread?.size === 0) await consumer.close();
  }, LOOK_AGAIN_MS);
  try {
    await consumer.run({
      eachRecord: (record, place) => {
        if (left === 0) return undefined;
        left--;
        progress.add(1, record.value?.length ?? 0);
        if (unread !== undefined) markRead(unread, keyOf(place), record.offset);
        if (left === 0 || unread?.size === 0) consumer.close();
        if (process.stdout.write(lineOf(record, place, global))) return undefined;
        return once(process.stdout, "drain", { signal }).catch(() => {}); // Other code reports the reason.
      },
    });
  } finally {
    clearInterval(looking);
    progress.end();
  }
}

const LOOK_AGAIN_MS = 2_000;

export function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}

function markRead(unread: Unread, key: string, offset: number): void {
  const range = unread.get(key);
  if (range === undefined) return;
  range.next = offset + 1; // It skips records that compaction has removed.
  if (range.next >= range.end) unread.delete(key);
}

const NEWLINE = Buffer.from("\n");

/** Returns the value as it is, whatever its bytes mean, or the record as JSON. */
function lineOf(
  record: ConsumerRecord,
  place: TopicPartition,
  { json }: GlobalOptions,
): Uint8Array | string {
  if (json) return `${jsonOf(record, place)}\n`;
  return record.value === null ? "null\n" : Buffer.concat([record.value, NEWLINE]);
}

/** Returns the record as the HTTP API has it, with its place. */
function jsonOf(record: ConsumerRecord, place: TopicPartition): string {
  return JSON.stringify({ ...place, ...toJsonRecord(record) });
}
