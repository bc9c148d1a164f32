// A member of a group by one of Kafka's clients, over TCP, that reports every record it reads as a line of JSON, until SIGTERM.
//   node kafka-member.ts librdkafka|platformatic BROKERS TOPIC GROUP
const [name, brokers = "", topic = "", groupId = ""] = process.argv.slice(2);
// One of them: each takes its time to load.
const client =
  name === "librdkafka"
    ? (await import("../kafka/librdkafka.ts")).librdkafka("consumer")
    : (await import("../kafka/platformatic.ts")).platformatic("consumer");
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
