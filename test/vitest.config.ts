// Three projects in one run: the pure parts in Node, the objects inside the Workers runtime, and real
// processes over real sockets.

import { fileURLToPath } from "node:url";
import { cloudflareTest } from "@cloudflare/vitest-pool-workers";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Node keeps the code it has compiled there. The tests start more than a hundred processes from the sources. */
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(
  new URL("../node_modules/.cache/node", import.meta.url),
);

/** What takes longest begins first, or it would be alone in the end. */
const LONGEST = [
  "e2e/bounds",
  "e2e/idle",
  "e2e/files",
  "e2e/kafka-silence",
  "core/simulation",
  "e2e/trouble",
  "e2e/cli",
  "core/planted-faults",
  "e2e/kafka-mixed-group",
  "core/compaction",
  "e2e/kafka",
  "e2e/demo",
  "e2e/examples",
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      if (moduleId.includes("/workers/")) return -1; // All of them are one runtime, in which one follows another.
      const place = LONGEST.findIndex((name) => moduleId.endsWith(`${name}.test.ts`));
      if (place !== -1) return place;
      // What waits goes before what computes, which fills the gaps.
      return moduleId.includes("/e2e/") ? LONGEST.length : LONGEST.length + 1;
    };
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    // More than the two cores they are made for: the end-to-end tests wait far more than they compute.
    maxWorkers: 5,
    // What a test makes the program say is shown where the test fails.
    silent: "passed-only",
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        define: { RIVULET_VERSION: '"0.0.0"' }, // As the build does.
        test: {
          name: "core",
          include: ["test/core/**/*.test.ts", "test/tidy/**/*.test.ts"],
          environment: "node",
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        plugins: [
          cloudflareTest({ main: "./src/index.ts", wrangler: { configPath: "./wrangler.toml" } }),
        ],
        test: {
          name: "workers",
          include: ["test/workers/**/*.test.ts"],
          // One runtime for many files, for its start costs more than most of them: no two may share a name.
          isolate: false,
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          environment: "node",
          globalSetup: ["test/e2e/build.ts"],
          testTimeout: 120_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
