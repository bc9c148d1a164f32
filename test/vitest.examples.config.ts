// `npm run test:examples`: the demo, the examples, the lesson and the page at /, as they are shown.
import { defineConfig } from "vitest/config";

export default defineConfig({
  define: { RIVULET_VERSION: '"0.0.0"' },
  test: {
    name: "examples",
    silent: "passed-only",
    include: ["test/e2e/{demo,examples,learn,start-page}.test.ts"],
    environment: "node",
    globalSetup: ["test/e2e/build.ts"],
    setupFiles: ["test/e2e/secrets-told.ts"],
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
});
