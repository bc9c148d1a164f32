/** First retry at once-ish, then doubling to five seconds, with jitter so that many do not come together. */
export function backoffMs(failures: number, random: () => number): number {
  const fullMs = Math.min(5_000, 50 * 2 ** Math.min(failures, 10));
  return Math.round(fullMs * (0.5 + random() / 2));
}
