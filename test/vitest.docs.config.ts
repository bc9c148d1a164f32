// `npm run test:docs`: every command and program of README.md and docs/.
import { defineConfig } from "vitest/config";

export default defineConfig({
  define: { RIVULET_VERSION: '"0.0.0"' },
  test: {
    name: "docs",
    silent: "passed-only",
    include: ["test/docs/*.test.ts"],
    environment: "node",
    globalSetup: ["test/e2e/build.ts"],
    testTimeout: 240_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
  },
});
