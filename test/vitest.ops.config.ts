// `npm run test:ops`: the metrics as Prometheus itself reads them, Debian's package `prometheus`.
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    name: "ops",
    include: ["test/ops/**/*.test.ts"],
    environment: "node",
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
