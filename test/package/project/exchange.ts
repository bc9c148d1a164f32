// Sends records to a topic and reads them as a group: what a program does with the SDK, wherever it runs.
import { Rivulet, stringSerde } from "rivulet";

export async function exchange(url: string, topic: string): Promise<string[]> {
  const rivulet = new Rivulet({ url });
  await rivulet.admin.createTopic({ name: topic });
  await rivulet.producer.send(topic, [{ value: `hello from ${topic}` }]);
  // Folding a batch is a file of its own in the package, and so is unfolding it.
  await rivulet.producer.send(topic, [{ value: "compressed" }], { compression: "gzip" });
  const values: string[] = [];
  const consumer = rivulet.consumer({ groupId: topic, topics: [topic], valueSerde: stringSerde });
  for await (const { value } of consumer) {
    values.push(value ?? "");
    if (values.length === 2) break;
  }
  return values;
}
