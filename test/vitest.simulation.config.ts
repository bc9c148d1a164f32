// `npm run test:simulation`: the faults that the simulation must find, and what it counts beside what workloads cost.
// `npm test` runs the simulation itself, and `npm run test:deep` both.
import { defineConfig } from "vitest/config";

export const LONG_SIMULATIONS = "test/simulation/{cost,planted-faults}.test.ts";

export default defineConfig({
  define: { RIVULET_VERSION: '"0.0.0"' },
  test: {
    name: "simulation",
    silent: "passed-only",
    include: [LONG_SIMULATIONS],
    environment: "node",
    testTimeout: 60_000,
    maxWorkers: 2,
  },
});
