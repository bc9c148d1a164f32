import { bundle, type PlantedFault } from "./bundle.ts";
import { GLOBALS } from "./globals.ts";
import { simulateRelays } from "./relays.ts";
import { simulate } from "./simulation.ts";

/**
 * Returns the number of seeds until a planted fault is found, or null. The seed that is known to find it comes first.
 */
export async function findFault(
  fault: PlantedFault,
  maxSeeds: number,
): Promise<{ seeds: number; finding: string } | null> {
  const program = await bundle(GLOBALS, [fault]);
  const all = Array.from({ length: maxSeeds }, (_, index) => index + 1);
  const seeds = fault.seed === undefined ? all : [fault.seed, ...all];
  for (const [tried, seed] of seeds.entries()) {
    const run = fault.isOfRelays === true ? simulateRelays : simulate;
    const [finding] = (await run(program, seed)).findings;
    if (finding !== undefined) return { seeds: tried + 1, finding: finding.slice(0, 160) };
  }
  return null;
}
