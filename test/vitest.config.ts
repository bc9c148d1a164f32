// Three projects in one run: the pure parts in Node, the objects inside the Workers runtime, and real
// processes over real sockets.
import { cloudflareTest } from "@cloudflare/vitest-pool-workers";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // More than the two cores they are made for: the end-to-end tests wait far more than they compute.
    maxWorkers: 4,
    projects: [
      {
        test: {
          name: "core",
          include: ["test/core/**/*.test.ts", "test/tidy/**/*.test.ts"],
          environment: "node",
          testTimeout: 60_000,
        },
      },
      {
        plugins: [
          cloudflareTest({ main: "./src/index.ts", wrangler: { configPath: "./wrangler.toml" } }),
        ],
        test: { name: "workers", include: ["test/workers/**/*.test.ts"], testTimeout: 20_000 },
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
