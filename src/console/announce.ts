// Texts for screen readers. There is one live region. Changes that happen by themselves are announced at most
// every ten seconds.
import { signal } from "@preact/signals";

export const announcement = signal("");

/** Announces the outcome of a user's action. */
export function announce(text: string): void {
  announcement.value = text;
}

const QUIET_MS = 10_000;
let toldMs = 0;
let told = "";

/** Announces a change that happened by itself, unless something was announced just before. */
export function announceChange(text: string): void {
  const nowMs = Date.now();
  if (text === told || nowMs - toldMs < QUIET_MS) return;
  told = text;
  toldMs = nowMs;
  announcement.value = text;
}
