// Heartbeats are bare text frames so that the runtime can answer them without waking the object.
import { MAX_HEARTBEAT_INTERVAL_MS } from "../core/limits.ts";

export const PING = "ping";
export const PONG = "pong";

/** Three heartbeats fit into a session, so one that is lost costs nothing. */
export function heartbeatIntervalMs(sessionTimeoutMs: number): number {
  return Math.min(MAX_HEARTBEAT_INTERVAL_MS, Math.floor(sessionTimeoutMs / 3));
}
