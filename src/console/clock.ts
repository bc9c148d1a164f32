// The time, as a signal, for texts such as "3 min ago".
import { signal } from "@preact/signals";

export const now = signal(Date.now());

const TICK_MS = 10_000;

/** Starts the clock. Texts may be seconds old, so a slow tick is enough. */
export function startClock(): void {
  setInterval(() => {
    if (!document.hidden) now.value = Date.now();
  }, TICK_MS);
}
