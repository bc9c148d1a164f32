// Texts for a screen reader. There is one live region, and what changes by itself is told at most every ten seconds.
import { signal } from "@preact/signals";

export const announcement = signal("");

/** Tells the outcome of what somebody did. */
export function announce(text: string): void {
  announcement.value = text;
}

const QUIET_MS = 10_000;
let toldMs = 0;
let told = "";

/** Tells a change that nobody asked for, unless something was told a moment ago. */
export function announceChange(text: string): void {
  const nowMs = Date.now();
  if (text === told || nowMs - toldMs < QUIET_MS) return;
  told = text;
  toldMs = nowMs;
  announcement.value = text;
}
