// Prints records on standard output, as they come.
import { once } from "node:events";
import type { Consumer, ConsumerRecord, TopicPartition } from "../client/index.ts";
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

function jsonOf(record: ConsumerRecord, place: TopicPartition): string {
  const headers: Record<string, unknown> = {};
  for (const { key, value } of record.headers) {
    const before = Object.hasOwn(headers, key) ? [headers[key]].flat() : [];
    headers[key] = before.length === 0 ? text(value) : [...before, text(value)];
  }
  return JSON.stringify({
    ...place,
    offset: record.offset,
    timestamp: record.timestamp,
    ...field("key", record.key),
    ...field("value", record.value),
    headers,
  });
}

/** Returns a field as the HTTP API has it: bytes that are not UTF-8 become `keyBase64` and `valueBase64`. */
function field(name: "key" | "value", bytes: Uint8Array | null): object {
  const shown = text(bytes);
  return shown === null || typeof shown === "string"
    ? { [name]: shown }
    : { [`${name}Base64`]: shown.base64 };
}

/** Shows bytes that are not UTF-8 as `{base64}`, as the HTTP API does in headers. */
function text(bytes: Uint8Array | null): string | null | { base64: string } {
  if (bytes === null) return null;
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const decoded = buffer.toString("utf8");
  return decoded.includes("\ufffd") && !buffer.equals(Buffer.from(decoded))
    ? { base64: buffer.toString("base64") }
    : decoded;
}
