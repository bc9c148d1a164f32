// The files of the project that the bill is computed from.
import { readFileSync } from "node:fs";
import { type Counts, countsOf } from "./counts.ts";

/** Returns the text of a file, whose path is relative to the project's root. */
export function textOf(path: string): string {
  return readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
}

export function projectCounts(): Counts {
  return countsOf(textOf("ARCHITECTURE.md"));
}

/** Returns the share of invocations that wrangler.toml has logged. Without a setting, all are. */
export function projectSampling(): number {
  return Number(/^head_sampling_rate = ([\d.]+)$/m.exec(textOf("wrangler.toml"))?.[1] ?? 1);
}
