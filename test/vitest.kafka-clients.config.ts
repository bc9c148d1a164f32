// `npm run test:kafka-clients`: the Kafka clients of others, kcat, kafka-python, Java's with Kafka's tools and Streams, franz-go.
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    name: "kafka-clients",
    include: ["test/kafka-clients/**/*.test.ts"],
    environment: "node",
    globalSetup: ["test/kafka-clients/installed.ts", "test/e2e/build.ts"],
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
});
