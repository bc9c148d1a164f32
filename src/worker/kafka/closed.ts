import { BrokerError } from "../../core/errors.ts";
import { brokerError } from "../../core/platform-errors.ts";
import { MalformedError } from "./wire.ts";

/** Logs why the server closed a connection. It logs nothing if the client simply went or is to connect again (null). */
export function closed(error: unknown, clientHost: string): void {
  if (error === null) return;
  const from = `from ${clientHost.slice(1) || "somewhere"}`;
  const isOurs = error instanceof MalformedError || error instanceof BrokerError;
  if (!isOurs && isGone(error)) return;
  // An object's error crosses the call without its class.
  const { code, message } =
    error instanceof MalformedError ? { code: null, message: error.message } : brokerError(error);
  if (code !== "UNKNOWN_SERVER_ERROR")
    console.warn(`kafka: connection closed: ${message} (${from})`);
  else
    console.error(
      `kafka: connection closed (${from}): ${error instanceof Error ? error.stack : error}`,
    );
}

/** True if the platform's error says that the peer is gone. */
function isGone(error: unknown): boolean {
  return /disconnected|connection lost|reset|broken pipe|canceled|closed/i.test(String(error));
}
