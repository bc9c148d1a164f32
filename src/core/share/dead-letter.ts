// The record of a dead letter (KIP-1191): the record that was given up, and headers that say where it came from and why. The
// header names are Kafka's, so its tools read them. Unlike Kafka, the original headers come along.
import type { ConsumerRecord, ProducerRecord, RecordHeader } from "../record.ts";

export interface DeadLetterPlace {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly group: string;
  readonly deliveryCount: number;
  readonly reason: string;
}

export const DEAD_LETTER_HEADERS = {
  topic: "__dlq.errors.topic",
  partition: "__dlq.errors.partition",
  offset: "__dlq.errors.offset",
  group: "__dlq.errors.group",
  deliveryCount: "__dlq.errors.delivery.count",
  message: "__dlq.errors.message",
} as const;

const UTF8 = new TextEncoder();

/** `record` is null if its content is not copied, or is gone. */
export function deadLetterOf(
  { topic, partition, offset, group, deliveryCount, reason }: DeadLetterPlace,
  record: ConsumerRecord | null,
  nowMs: number,
): ProducerRecord {
  const added = {
    [DEAD_LETTER_HEADERS.topic]: topic,
    [DEAD_LETTER_HEADERS.partition]: String(partition),
    [DEAD_LETTER_HEADERS.offset]: String(offset),
    [DEAD_LETTER_HEADERS.group]: group,
    [DEAD_LETTER_HEADERS.deliveryCount]: String(deliveryCount),
    [DEAD_LETTER_HEADERS.message]: reason,
  };
  const headers = Object.entries(added).map(
    ([key, value]): RecordHeader => ({ key, value: UTF8.encode(value) }),
  );
  // A dead letter that is given up again has its newest place only.
  const original = record?.headers.filter(({ key }) => !Object.hasOwn(added, key)) ?? [];
  return {
    timestamp: nowMs,
    key: record?.key ?? null,
    value: record?.value ?? null,
    headers: [...original, ...headers],
  };
}
