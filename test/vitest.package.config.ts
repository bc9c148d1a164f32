// `npm run test:package`: the result of `npm pack`, installed into a project of its own.
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    name: "package",
    include: ["test/package/**/*.test.ts"],
    environment: "node",
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
});
