// When a token should be replaced. Only a JWT tells. Those who ask a function for tokens load this file.
import { MAX_TIMER_MS } from "../member/clock.ts";

/** So long before a token expires, another one is asked for. */
const LEAD_MS = 60_000;
/** If it lives for a short time only: this part of its life before. */
const LEAD_PART = 0.2;

/**
 * Returns how long to wait until the token should be replaced, or null if that cannot be told, is over, or is no concern.
 * It is a little earlier at random, so that many clients, and the sockets of one, do not ask at once.
 */
export function renewalMs(token: string, nowMs: number, random: number): number | null {
  const leftMs = expiryMs(token) - nowMs;
  const leadMs = Math.min(LEAD_MS, LEAD_PART * leftMs) * (1 + random / 2);
  const waitMs = leftMs - leadMs;
  return waitMs > 0 && waitMs <= MAX_TIMER_MS ? waitMs : null;
}

/** Returns the time of the claim `exp`, or NaN. Nothing is verified, because the broker does that. */
function expiryMs(token: string): number {
  try {
    const claims = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const { exp } = JSON.parse(atob(claims)) as { exp?: unknown };
    return typeof exp === "number" ? exp * 1_000 : Number.NaN;
  } catch {
    return Number.NaN;
  }
}
