// The Worker's timers, in one place. All code that waits, or bounds a wait, starts its timer here.

/** Runs `action` after so many milliseconds, unless the returned function is called first. */
export function after(ms: number, action: () => void): () => void {
  const timer = setTimeout(action, ms);
  return () => clearTimeout(timer);
}

/** Resolves in a later turn of the event loop. What takes long lets others have theirs: on one machine all share a thread. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
