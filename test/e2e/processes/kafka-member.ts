// A member of a group by one of Kafka's clients, over TCP, that reports every record it reads as a line of JSON, until SIGTERM.
//   node kafka-member.ts CLIENT BROKERS TOPIC GROUP
import { CLIENTS } from "../kafka/clients.ts";

const [name, brokers = "", topic = "", groupId = ""] = process.argv.slice(2);
const client = CLIENTS.find((each) => each.name === name);
if (client === undefined) throw new Error(`no client is called ${name}`);
const member = await client.join(
  { brokers },
  {
    groupId,
    topics: [topic],
    onRead: ({ partition, offset }) =>
      process.stdout.write(`${JSON.stringify({ partition, offset })}\n`),
  },
);
process.on("SIGTERM", async () => {
  await member.stop();
  process.exit();
});
