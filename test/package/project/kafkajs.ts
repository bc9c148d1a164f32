// KafkaJS over a WebSocket. It is compiled only.
import type { Socket } from "node:net";
import { type KafkaSocketOptions, kafkaSocketFactory } from "rivulet/kafkajs";

const url = "https://rivulet.example.com";
const tokens: readonly KafkaSocketOptions[] = [
  { url },
  { url, token: "token" },
  { url, token: () => "token" },
  { url, token: async () => "token" },
];
export const socketFactories: readonly ((args: { onConnect: () => void }) => Socket)[] =
  tokens.map(kafkaSocketFactory);
