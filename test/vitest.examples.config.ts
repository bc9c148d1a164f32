// `npm run test:examples`: the demo and the examples, as the README has them.
import { defineConfig } from "vitest/config";

export default defineConfig({
  define: { RIVULET_VERSION: '"0.0.0"' },
  test: {
    name: "examples",
    silent: "passed-only",
    include: ["test/e2e/{demo,examples}.test.ts"],
    environment: "node",
    globalSetup: ["test/e2e/build.ts"],
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
});
