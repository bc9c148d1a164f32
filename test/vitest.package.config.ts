// `npm run test:package`: what `npm pack` makes, installed into a project of its own.
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
