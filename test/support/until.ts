/** Waits for a condition; the guard only ends a test that has already failed. */
export async function until<T>(
  what: string,
  condition: () => T | undefined | false | null | Promise<T | undefined | false | null>,
  guardMs = 30_000,
  pauseMs = 10,
): Promise<T> {
  const startedMs = Date.now();
  // A long wait asks less often, because each question takes time from what is waited for.
  for (let nextMs = pauseMs; ; nextMs = Math.min(nextMs * 1.2, 5 * pauseMs)) {
    const value = await condition();
    if (value !== undefined && value !== false && value !== null) return value;
    if (Date.now() - startedMs > guardMs) throw new Error(`never came true: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, nextMs));
  }
}
