// `npm run test:kafka-clients`: other people's Kafka clients: kcat, kafka-python, Java's with Kafka's tools and Streams,
// franz-go.
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    name: "kafka-clients",
    include: ["test/kafka-clients/**/*.test.ts"],
    environment: "node",
    globalSetup: ["test/kafka-clients/installed.ts", "test/e2e/build.ts"],
    // Each file has a broker of its own, and waits for heartbeats much of the time.
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
});
