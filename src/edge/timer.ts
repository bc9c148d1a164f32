// The Worker's timers, in one place: whatever counts time for a connection starts its timers here.

export interface Timer {
  cancel(): void;
}

/** Runs `action` once, when `delayMs` have passed. */
export function startTimer(delayMs: number, action: () => void): Timer {
  const timer = setTimeout(action, delayMs);
  return { cancel: () => clearTimeout(timer) };
}
