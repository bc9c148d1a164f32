/**
 * Returns the wait before a retry. It starts short and doubles up to five seconds, with jitter that spreads many
 * clients.
 */
export function backoffMs(failures: number, random: () => number): number {
  const fullMs = Math.min(5_000, 50 * 2 ** Math.min(failures, 10));
  return Math.round(fullMs * (0.5 + random() / 2));
}
