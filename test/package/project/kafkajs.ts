// KafkaJS over a WebSocket. It is compiled only.
import type { Socket } from "node:net";
import { type KafkaSocketOptions, kafkaSocketFactory } from "rivulet/kafkajs";

const options: KafkaSocketOptions = { url: "https://rivulet.example.com", token: "token" };
export const socketFactory: (args: { onConnect: () => void }) => Socket =
  kafkaSocketFactory(options);
