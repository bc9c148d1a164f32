// A record that no repeat can help goes to the topic `orders.failed`, so that it does not hold up those behind it.
import type { RivuletService } from "rivulet";

/** Thrown for a record whose content is at fault. For all other errors the record comes again. */
export class BadRecord extends Error {}

export interface FailedRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly key: string | Uint8Array | null;
  readonly value: string | Uint8Array | null;
}

/**
 * Produces a bad record to the topic of failed records. Its headers say why it failed, for which group, and where it comes
 * from. If the record comes again within 24 hours, the idempotency key keeps it from being stored twice.
 */
export async function setAside(
  service: RivuletService,
  group: string,
  { topic, partition, offset, key, value }: FailedRecord,
  { message: reason }: BadRecord,
): Promise<void> {
  const source = `${topic}/${partition}/${offset}`;
  const record = { key, value, headers: { reason, group, source } };
  const [outcome] = await service.produce(`${topic}.failed`, [record], {
    idempotencyKey: `${group}/${source}`,
  });
  if (outcome === undefined || "error" in outcome) throw new Error(outcome?.error.detail);
  console.warn(`${group} set aside ${source}: ${reason}`);
}
