// Time limits of what the Worker waits for, in one place.

/** Does `action` in so many milliseconds, unless the returned function is called first. */
export function after(ms: number, action: () => void): () => void {
  const timer = setTimeout(action, ms);
  return () => clearTimeout(timer);
}
