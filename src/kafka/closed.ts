import { BrokerError } from "../core/errors.ts";
import { MalformedError } from "./wire.ts";

/** Notes why a connection was closed from here, unless the client just went, or is to connect again (null). */
export function closed(error: unknown, clientHost: string): void {
  if (error === null) return;
  const from = `from ${clientHost.slice(1) || "somewhere"}`;
  if (error instanceof MalformedError || error instanceof BrokerError)
    console.warn(`kafka: connection closed: ${error.message} (${from})`);
  else if (!isGone(error))
    console.error(
      `kafka: connection closed (${from}): ${error instanceof Error ? error.stack : error}`,
    );
}

/** What the platform says of a peer that is there no more. */
function isGone(error: unknown): boolean {
  return /disconnected|connection lost|reset|broken pipe|canceled|closed/i.test(String(error));
}
