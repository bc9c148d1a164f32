/** The factor by which the properties do the work of `npm test`: RIVULET_EFFORT, which `npm run test:deep` sets. */
const EFFORT = Number(process.env.RIVULET_EFFORT ?? 1);

/** This many runs of a property, times the effort. */
export function runs(count: number): { numRuns: number } {
  return { numRuns: count * EFFORT };
}

export const isDeep = EFFORT > 1;
