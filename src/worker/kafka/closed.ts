import { BrokerError } from "../../core/errors.ts";
import { MalformedError } from "./wire.ts";

/** Logs why the server closed a connection. It logs nothing if the client simply went or is to connect again (null). */
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

/** True if the platform's error says that the peer is gone. */
function isGone(error: unknown): boolean {
  return /disconnected|connection lost|reset|broken pipe|canceled|closed/i.test(String(error));
}
