// One topic, read as a queue and as publish/subscribe at once.
import { type Consumer, Rivulet, stringSerde } from "rivulet";

const JOBS = 12;
const topic = `jobs-${crypto.randomUUID()}`;
const rivulet = new Rivulet({ url: process.env.RIVULET_URL ?? "http://127.0.0.1:8787" });
await rivulet.admin.createTopic({ name: topic, partitions: 6 });

/** The jobs that each consumer has handled. */
const handled = new Map<string, string[]>();
const consumers: Consumer[] = [];

/** Resolves once the consumer has partitions. */
function start(name: string, groupId: string): Promise<void> {
  handled.set(name, []);
  return new Promise((resolve, reject) => {
    const consumer = rivulet.consumer({
      groupId,
      topics: [topic],
      clientId: name,
      valueSerde: stringSerde,
      onAssigned: () => resolve(),
    });
    consumers.push(consumer as unknown as Consumer);
    consumer
      .run({ eachRecord: ({ value }) => void handled.get(name)?.push(value ?? "") })
      .catch(reject);
  });
}

const workers = ["worker-1", "worker-2", "worker-3"];
const subscribers = ["mailer", "auditor"];
await Promise.all([
  ...workers.map((name) => start(name, `${topic}-workers`)), // One group for all.
  ...subscribers.map((name) => start(name, `${topic}-${name}`)), // A group for each.
]);

await rivulet.producer.send(
  topic,
  Array.from({ length: JOBS }, (_, i) => ({ value: `job ${i}`, partition: i % 6 })),
);
console.log(`${JOBS} jobs sent`);

const count = (name: string) => handled.get(name)?.length ?? 0;
while (
  workers.reduce((sum, name) => sum + count(name), 0) < JOBS ||
  subscribers.some((name) => count(name) < JOBS)
)
  await new Promise((resolve) => setTimeout(resolve, 20));
await Promise.all(consumers.map((consumer) => consumer.close()));

const queued = workers.flatMap((name) => handled.get(name) ?? []);
const once = new Set(queued).size === JOBS && queued.length === JOBS;
const busy = workers.filter((name) => count(name) > 0).length;
console.log(`queue: every job was handled ${once ? "once" : "NOT ONCE"}, by ${busy} workers`);
console.log(
  `publish/subscribe: ${subscribers.map((name) => `${name} had ${count(name)} of ${JOBS}`).join(", ")}`,
);
await rivulet.admin.deleteTopic(topic);
