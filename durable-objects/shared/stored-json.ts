// Parses JSON that an object has stored. A newer release may have written fields that this one does not know,
// and an older one may have left some out. Like anything on disk, it can be damaged.
import * as z from "zod";
import { MAX_PARTITIONS_PER_TOPIC } from "../../src/core/limits.ts";
import { damaged } from "../../src/core/platform-errors.ts";

/**
 * Parses stored JSON by a tolerant schema [VER-3]: unknown fields are ignored, and missing ones get their
 * defaults. [CRC-2] Throws a KAFKA_STORAGE_ERROR that is not retriable for anything else. `where` names the
 * place of storage.
 */
export function parseStored<Schema extends z.ZodType>(
  schema: Schema,
  text: string,
  where: string,
): z.output<Schema> {
  const result = schema.safeParse(parseJson(text, where));
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw damaged(
    `what is stored in ${where} is damaged: ${[...(issue?.path ?? []), issue?.message].join(": ")}`,
  );
}

/** Parses stored JSON. The caller checks its shape. */
export function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw damaged(`what is stored in ${where} is damaged: ${(error as Error).message}`);
  }
}

/** Set values by key. Keys that this release does not know are kept, because the next release may know them. */
export const storedOverrides = z.record(z.string(), z.union([z.string(), z.number()]));

/**
 * A topic's number of partitions. Lists get this length, so a damaged number must not be trusted. A later
 * release may allow more than this one, but not a hundred times as many.
 */
export const storedPartitionCount = z
  .int()
  .min(0)
  .max(100 * MAX_PARTITIONS_PER_TOPIC);
