const MIN_PAUSE_MS = 10;
const MAX_PAUSE_MS = 200;

/** Waits for a condition; the guard only ends a test that has failed already. */
export async function until<T>(
  what: string,
  condition: () => T | undefined | false | null | Promise<T | undefined | false | null>,
  guardMs = 30_000,
): Promise<T> {
  const startedMs = Date.now();
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== false && value !== null) return value;
    const waitedMs = Date.now() - startedMs;
    if (waitedMs > guardMs) throw new Error(`never came true: ${what}`);
    // What takes long is asked about less often: each look costs, of the broker too.
    const pauseMs = Math.min(Math.max(MIN_PAUSE_MS, waitedMs / 20), MAX_PAUSE_MS);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}
