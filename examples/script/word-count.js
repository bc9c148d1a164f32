// Sends a few lines and counts their words. Nothing here belongs to one runtime.
import { Rivulet, stringSerde } from "../../dist/client.js"; // "rivulet" in a project of yours.

const url = globalThis.process?.env.RIVULET_URL ?? "http://127.0.0.1:8787";
const rivulet = new Rivulet({ url });
const topic = `lines-${crypto.randomUUID()}`;
await rivulet.admin.createTopic({ name: topic });

const lines = ["the quick brown fox", "jumps the dog", "the fox sleeps"];
await rivulet.producer.send(
  topic,
  lines.map((value) => ({ value })),
);
console.log(`${lines.length} lines sent`);

const counts = new Map();
const consumer = rivulet.consumer({
  groupId: `counters-${topic}`,
  topics: [topic],
  valueSerde: stringSerde,
});
for await (const { offset, value } of consumer) {
  for (const word of value.split(" ")) counts.set(word, (counts.get(word) ?? 0) + 1);
  if (offset === lines.length - 1) break; // Leaves the group.
}
const sorted = [...counts].sort(([, a], [, b]) => b - a);
console.log(sorted.map(([word, count]) => `${word} ${count}`).join(", "));
await rivulet.admin.deleteTopic(topic);
