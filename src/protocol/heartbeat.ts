// Heartbeats are bare text frames, so the runtime can answer them without waking the object.
import { MAX_HEARTBEAT_INTERVAL_MS } from "../core/limits.ts";

export const PING = "ping";
export const PONG = "pong";

/** Returns the interval of heartbeats. Three fit into a session, so a lost one costs nothing. */
export function heartbeatIntervalMs(sessionTimeoutMs: number): number {
  return Math.min(MAX_HEARTBEAT_INTERVAL_MS, Math.floor(sessionTimeoutMs / 3));
}
