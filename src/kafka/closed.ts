import { BrokerError } from "../core/errors.ts";
import { MalformedError } from "./wire.ts";

/** Notes why a connection was closed from here, unless the client just went, or is to connect again (null). */
export function closed(error: unknown): void {
  if (error === null) return;
  if (error instanceof MalformedError || error instanceof BrokerError)
    console.warn(`kafka: connection closed: ${error.message}`);
  else if (!isGone(error))
    console.error(`kafka: connection closed: ${error instanceof Error ? error.stack : error}`);
}

/** What the platform says of a peer that is there no more. */
function isGone(error: unknown): boolean {
  return /disconnected|connection lost|reset|broken pipe|canceled|closed/i.test(String(error));
}
