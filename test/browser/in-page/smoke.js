// Runs inside the page: a bit of everything that the SDK does.
import { jsonSerde, Rivulet, stringSerde } from "./sdk/client.js";

globalThis.smoke = async (url) => {
  const rivulet = new Rivulet({ url });
  await rivulet.admin.createTopic({ name: "smoke", partitions: 2 });
  const valueSerde = jsonSerde();
  const producer = rivulet.newProducer({ compression: "gzip", valueSerde });
  const records = Array.from({ length: 100 }, (_, n) => ({ value: { n }, partition: 0 }));
  const outcomes = await producer.send("smoke", records);
  // In quick succession: most of these go over a socket.
  for (let n = 0; n < 20; n++) await producer.send("smoke", [{ value: { n }, partition: 1 }]);
  await producer.close();

  const consumer = rivulet.consumer({ groupId: "smoke", topics: ["smoke"], valueSerde });
  const seen = [];
  let hasSought = false;
  for await (const { topic, partition, value } of consumer) {
    if (partition === 0) seen.push(value.n);
    if (seen.length === 50 && !hasSought) {
      hasSought = true;
      consumer.seek({ topic, partition: 0 }, 0);
    }
    if (seen.length === 150) break;
  }

  const texts = [];
  const reader = await rivulet.reader({ topic: "smoke", valueSerde: stringSerde });
  for await (const { value } of reader) if (texts.push(value) === 120) break;
  const refused = await rivulet.admin.describeTopic("nosuch").catch(({ code }) => code);
  return { outcomes: outcomes.length, seen, texts: texts.length, refused };
};
