import { bundle, type PlantedFault } from "./bundle.ts";
import { GLOBALS } from "./globals.ts";
import { simulate } from "./simulation.ts";

/** After how many seeds a planted fault is found, or null. */
export async function findFault(
  fault: PlantedFault,
  maxSeeds: number,
): Promise<{ seeds: number; finding: string } | null> {
  const program = await bundle(GLOBALS, [fault]);
  for (let seed = 1; seed <= maxSeeds; seed++) {
    const [finding] = (await simulate(program, seed)).findings;
    if (finding !== undefined) return { seeds: seed, finding: finding.slice(0, 160) };
  }
  return null;
}
