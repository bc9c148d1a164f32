// `npm run test:clock`: a broker whose wall clock is set back and forward while it runs. Needs a C compiler.
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    name: "clock",
    include: ["test/clock/**/*.test.ts"],
    environment: "node",
    globalSetup: ["test/e2e/build.ts"],
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
});
