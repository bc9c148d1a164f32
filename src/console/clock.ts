// The time, as a signal, for what is shown as "3 min ago".
import { signal } from "@preact/signals";

export const now = signal(Date.now());

const TICK_MS = 10_000;

/** Times that are seconds old are told once more when the page is loaded, so a slow tick is enough. */
export function startClock(): void {
  setInterval(() => {
    if (!document.hidden) now.value = Date.now();
  }, TICK_MS);
}
