// `npm run test:upgrade`: this release with the data of earlier ones, its rollback, and both side by side.
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    name: "upgrade",
    include: ["test/upgrade/**/*.test.ts"],
    execArgv: ["--disable-warning=TimeoutNegativeWarning"], // KafkaJS sets such timers.
    environment: "node",
    globalSetup: ["test/e2e/build.ts"],
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
});
