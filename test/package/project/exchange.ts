// Sends records to a topic and reads them as a group, as a program does with the SDK in any runtime.
import { Rivulet, stringSerde } from "rivulet";

export async function exchange(url: string, topic: string): Promise<string[]> {
  const rivulet = new Rivulet({ url });
  await rivulet.admin.createTopic({ name: topic });
  await rivulet.producer.send(topic, [{ value: `hello from ${topic}` }]);
  // The package has a file of its own for compressing, and one for decompressing.
  await rivulet.producer.send(topic, [{ value: "compressed" }], { compression: "gzip" });
  const values: string[] = [];
  const consumer = rivulet.consumer({ groupId: topic, topics: [topic], valueSerde: stringSerde });
  for await (const { value } of consumer) {
    values.push(value ?? "");
    if (values.length === 2) break;
  }
  return values;
}
