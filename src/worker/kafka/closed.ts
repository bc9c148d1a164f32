import { BrokerError } from "../../core/errors.ts";
import { brokerError } from "../../core/platform-errors.ts";
import { logLine, stackOf } from "../../log.ts";
import { MalformedError } from "./wire.ts";

/** Logs why the server closed a connection. Logs nothing if the client simply left or is to reconnect (null). */
export function closed(error: unknown, clientHost: string): void {
  if (error === null) return;
  const from = `from ${clientHost.slice(1) || "somewhere"}`;
  const isOurs = error instanceof MalformedError || error instanceof BrokerError;
  if (!isOurs && isGone(error)) return;
  // An object's error crosses the call without its class.
  const { code, message } =
    error instanceof MalformedError ? { code: null, message: error.message } : brokerError(error);
  if (code !== "UNKNOWN_SERVER_ERROR")
    logLine("warn", `kafka: connection closed: ${message} (${from})`);
  else logLine("error", `kafka: connection closed (${from}): ${stackOf(error)}`);
}

/** True if the platform's error says that the peer is gone. */
function isGone(error: unknown): boolean {
  return /disconnected|connection lost|reset|broken pipe|canceled|closed/i.test(String(error));
}
