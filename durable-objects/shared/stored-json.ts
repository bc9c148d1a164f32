// JSON that an object has stored. It can be damaged, as anything that lies on a disk.
import { BrokerError } from "../../src/core/errors.ts";

/** What was stored. Throws KAFKA_STORAGE_ERROR, which names `where` it stands, for what is no JSON [CRC-2]. */
export function parseStored<T>(text: string, where: string): T {
  try {
    return JSON.parse(text) as T;
  } catch (error) {
    throw new BrokerError(
      "KAFKA_STORAGE_ERROR",
      `what is stored in ${where} is damaged: ${(error as Error).message}`,
      { cause: error },
    );
  }
}
