// The faults and their times, from a seed: the same seed gives the same schedule. The victim of a fault depends on what is
// there at the time, so a run repeats only nearly.
import { Random } from "../support/random.ts";

export interface Fault {
  readonly atMs: number;
  readonly kind: keyof typeof EVERY_MS | "growth";
  /** From 0 to 1: selects one of the candidates. */
  readonly pick: number;
  readonly durationMs: number;
}

/** The mean time between two faults of a kind, and how long one lasts. */
const EVERY_MS = {
  "broker kill": 24_000,
  "consumer kill": 9_000,
  "consumer stop": 40_000,
  "consumer pause": 8_000,
  cut: 1_800,
  stall: 2_500,
  "quiet burst": 18_000,
} as const;

const DURATION_MS: Readonly<Record<string, readonly [least: number, most: number]>> = {
  // Session timeouts are 3 and 4 s: about half of the pauses outlive them.
  "consumer pause": [300, 7_500],
  stall: [500, 6_000],
};

const GROWTH_EVERY_MS = 150_000;

export function planFaults(seed: number, lengthMs: number): Fault[] {
  const source = new Random(seed);
  const random = () => source.next();
  const faults: Fault[] = [];
  const add = (kind: Fault["kind"], atMs: number) => {
    const [least, most] = DURATION_MS[kind] ?? [0, 0];
    faults.push({ atMs, kind, pick: random(), durationMs: least + random() * (most - least) });
  };
  for (const kind of Object.keys(EVERY_MS) as (keyof typeof EVERY_MS)[]) {
    const everyMs = EVERY_MS[kind];
    // Bursts keep their distance, or nothing would ever be idle long enough to be evicted.
    const spread = kind === "quiet burst" ? 0.1 : 0.8;
    const step = () => everyMs * (1 + spread * (2 * random() - 1));
    for (let atMs = step(); atMs < lengthMs; atMs += step()) add(kind, atMs);
  }
  const growths = Math.max(1, Math.round(lengthMs / GROWTH_EVERY_MS));
  for (let i = 0; i < growths; i++) add("growth", ((i + random()) / growths) * lengthMs);
  return faults.sort((a, b) => a.atMs - b.atMs);
}
