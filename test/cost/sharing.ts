// The rates of random events that wait for one another. Times are in seconds, rates are per second.

/** A partition with random appends. */
export interface Shared {
  /** Commits, each of which is a row. */
  readonly rows: number;
  /** The share of time in which an append waits or a commit is on its way to disk. */
  readonly awake: number;
}

/**
 * An append that meets an idle partition begins a row, which waits for others for `linger`. Appends that arrive while a
 * commit is on its way to disk go into the next one. So with an append each 1/r: a row each `1/r + linger`, or, without a
 * linger, each `commit + e^(-r·commit)/r`.
 */
export function shareRows(appends: number, linger: number, commit: number): Shared {
  if (appends === 0) return { rows: 0, awake: 0 };
  const wait = Math.max(0, commit - linger);
  const interval = Math.max(linger, commit) + Math.exp(-appends * wait) / appends;
  const idle = Math.exp(-appends * commit) / appends;
  return { rows: 1 / interval, awake: 1 - idle / interval };
}

/** The committer of a member: src/member/committer.ts. */
const IDLE = 0.25;
const SPACING = 1;

export interface Committing {
  /** Per partition. */
  readonly appends: number;
  /** Per partition: the frames that result from them. */
  readonly frames: number;
  readonly linger: number;
  /** The member's partitions whose records do not come with the same requests. */
  readonly independent: number;
  /** The requests that bring the member records. */
  readonly requests: number;
  readonly interval: number;
}

/**
 * The commits of a member. It commits when a partition has had nothing to do for a quarter of a second, once a second at
 * most. It also commits at the end of its interval.
 */
export function commitsOf(member: Committing): number {
  const { appends, frames, linger, independent, requests, interval } = member;
  if (appends === 0) return 0;
  const { idleShare, seconds } = untilIdle(appends, frames, linger);
  const busy = (1 - idleShare) ** independent;
  // If there are several, the first of them counts.
  const mean = seconds / Math.max(1 - idleShare, Number.MIN_VALUE) / independent;
  const atMost = Math.max(0, interval - SPACING);
  const waited = Number.isFinite(mean) ? -mean * Math.expm1(-atMost / mean) : atMost;
  return Math.min(1 / (SPACING + busy * waited), requests);
}

/**
 * The share of time in which a partition is idle, and the average time from any moment until it is. The gap between two
 * frames is the linger plus a random time X (rate r). It is long if X exceeds IDLE - linger, with probability q. From a
 * frame on, it takes `fromFrame`: IDLE in a long gap, and otherwise a short gap and as much again. `short` is E[gap; short],
 * `shortSquared` is E[gap²; short]. A moment is more likely to lie in a longer gap.
 */
function untilIdle(r: number, frames: number, linger: number) {
  if (linger >= IDLE) {
    const idleShare = Math.max(0, 1 - frames * IDLE);
    return { idleShare, seconds: (frames * IDLE ** 2) / 2 };
  }
  const q = Math.exp(-r * (IDLE - linger));
  const short = linger + 1 / r - (IDLE + 1 / r) * q;
  const shortSquared = linger ** 2 - IDLE ** 2 * q + (2 * short) / r;
  const fromFrame = IDLE + short / q;
  const seconds = frames * ((q * IDLE ** 2) / 2 + shortSquared / 2 + fromFrame * short);
  return { idleShare: Math.min(1, (frames * q) / r), seconds };
}
