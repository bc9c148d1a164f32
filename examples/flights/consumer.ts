// One member of a group: reports what it is assigned and what it has handled. Stops cleanly on SIGTERM.
//   node consumer.ts GROUP NAME
import { Rivulet } from "../../src/sdk/index.ts";
import { type ConsumerReport, type Flight, TOPIC } from "./flight.ts";

const [groupId = "delays", clientId = "worker"] = process.argv.slice(2);
const rivulet = new Rivulet({ url: process.env.RIVULET_URL ?? "http://127.0.0.1:8787" });
const report = (line: ConsumerReport) => process.stdout.write(`${JSON.stringify(line)}\n`);
const numbers = (partitions: readonly { partition: number }[]) =>
  partitions.map(({ partition }) => partition);

const consumer = rivulet.consumer({
  groupId,
  clientId,
  topics: [TOPIC],
  sessionTimeoutMs: 2_000,
  onAssigned: (partitions) => report({ type: "assigned", partitions: numbers(partitions) }),
  onRevoked: (partitions) => report({ type: "revoked", partitions: numbers(partitions) }),
  onLost: (partitions) => report({ type: "lost", partitions: numbers(partitions) }),
});
process.on("SIGTERM", () => consumer.close());

const utf8 = new TextDecoder();
await consumer.run({
  eachBatch: ({ partition, records }) => {
    const flights = records.map(({ offset, value }) => {
      const { origin, delay } = JSON.parse(utf8.decode(value ?? new Uint8Array())) as Flight;
      return [offset, origin, delay] as const;
    });
    report({ type: "batch", partition, flights });
  },
});
