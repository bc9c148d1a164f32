// Parses JSON that an object has stored. Like anything on a disk, it can be damaged.
import { damaged } from "../../src/core/platform-errors.ts";

/**
 * Parses stored JSON [CRC-2]. If it is not JSON, throws KAFKA_STORAGE_ERROR,
 * not retriable. `where` names the place it is stored.
 */
export function parseStored<T>(
  text: string,
  where: string,
  revive?: (key: string, value: unknown) => unknown,
): T {
  try {
    return JSON.parse(text, revive) as T;
  } catch (error) {
    throw damaged(`what is stored in ${where} is damaged: ${(error as Error).message}`);
  }
}
