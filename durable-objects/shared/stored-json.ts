// JSON that an object has stored. It can be damaged, as anything that lies on a disk.
import { damaged } from "../../src/core/platform-errors.ts";

/** Parses stored JSON [CRC-2]. Throws KAFKA_STORAGE_ERROR, not retriable, with `where` the text is stored, if it is not JSON. */
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
