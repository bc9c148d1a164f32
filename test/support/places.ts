// Partitions as tests of the consumer write them, and their content.
import { type Compressor, encodeBatch } from "../../src/core/log/record-batch.ts";
import type { TopicPartition } from "../../src/core/record.ts";

/** A partition as tests write it: `t:0`. Its topic's id is `id-t`. */
export type Place = `${string}:${number}`;

const UTF8 = new TextEncoder();

export function parsePlace(place: Place): TopicPartition & { topicId: string } {
  const colon = place.lastIndexOf(":");
  const topic = place.slice(0, colon);
  return { topic, topicId: `id-${topic}`, partition: Number(place.slice(colon + 1)) };
}

export function placeOf(place: { topic: string; partition: number }): Place {
  return `${place.topic}:${place.partition}`;
}

/** A batch whose values name their records. */
export function batchOf(
  place: Place,
  baseOffset: number,
  count: number,
  compression?: Compressor,
): Uint8Array {
  const records = Array.from({ length: count }, (_, i) => ({
    key: null,
    value: UTF8.encode(`${place}/${baseOffset + i}`),
    headers: [],
    timestamp: 1_000,
  }));
  return encodeBatch(records, compression ? { baseOffset, compression } : { baseOffset });
}
