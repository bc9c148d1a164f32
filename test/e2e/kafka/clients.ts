// Kafka's clients, unmodified from npm.
import type { Client } from "./client.ts";
import { kafkaJs } from "./kafkajs.ts";
import { librdkafka } from "./librdkafka.ts";
import { platformatic } from "./platformatic.ts";

export const CLIENTS: readonly Client[] = [
  kafkaJs,
  platformatic("classic"),
  platformatic("consumer"),
  librdkafka("classic"),
  librdkafka("consumer"),
];
