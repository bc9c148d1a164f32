// The code of each step: programs that use the SDK to do what the step does, for Node, on the reader's broker.
// They work as shown, and test/e2e/learn.test.ts runs each of them.
import { OWN_CITY, PARTITIONS } from "./cities.ts";
import { SESSION_MS } from "./steps.ts";

export interface CodeNames {
  readonly url: string;
  readonly topic: string;
  /** True if the broker asks for a key or a token. */
  readonly isClosed: boolean;
}

/** Returns the code of a step. */
export function codeOf(id: string, { url, topic, isClosed }: CodeNames): string {
  const text = CODE[id]?.(JSON.stringify(topic), (group) => JSON.stringify(`${topic}-${group}`));
  const token = isClosed ? ", token: process.env.RIVULET_TOKEN" : "";
  return `import { ${text?.includes("jsonSerde") ? "jsonSerde, " : ""}Rivulet } from "rivulet";

const rivulet = new Rivulet({ url: ${JSON.stringify(url)}${token} });
${text}`;
}

type Quoted = (group: string) => string;

const CODE: Readonly<Record<string, (topic: string, group: Quoted) => string>> = {
  topic: (topic) => `const topics = await rivulet.admin.listTopics();
if (!topics.some(({ name }) => name === ${topic}))
  await rivulet.admin.createTopic({ name: ${topic}, partitions: ${PARTITIONS} });

const [stored] = await rivulet.producer.send(${topic}, [
  { key: "${OWN_CITY}", value: { total: 12.5 } },
]);
console.log(stored); // The partition and the offset.
`,
  one: (topic, group) => `const consumer = rivulet.consumer({
  groupId: ${group("billing")},
  topics: [${topic}],
  valueSerde: jsonSerde(),
});
process.once("SIGINT", () => consumer.close());
await consumer.run({
  eachRecord: ({ offset, value }, { partition }) => console.log(partition, offset, value),
});
`,
  two: (
    topic,
    group,
  ) => `const numbers = (places) => places.map(({ partition }) => partition).join(", ");
const consumer = rivulet.consumer({
  groupId: ${group("billing")}, // The same group, so the members share the partitions.
  topics: [${topic}],
  onAssigned: (places) => console.log("has", numbers(places)),
  onRevoked: (places) => console.log("gives up", numbers(places)),
});
process.once("SIGINT", () => consumer.close());
await consumer.run({ eachRecord: () => {} });
`,
  four: (topic, group) => `const consumers = ["a", "b", "c", "d"].map((clientId) =>
  rivulet.consumer({ groupId: ${group("billing")}, topics: [${topic}], clientId }),
);
process.once("SIGINT", () => consumers.forEach((consumer) => consumer.close()));
await Promise.all(
  consumers.map((consumer, i) =>
    consumer.run({ eachRecord: (_, { partition }) => console.log("member", i, "partition", partition) }),
  ),
);
`,
  five: (_, group) => `const { members } = await rivulet.admin.describeGroup(${group("billing")});
for (const { clientId, assignment } of members)
  console.log(clientId, assignment.flatMap(({ partitions }) => partitions)); // [] is a spare.
`,
  death: (topic, group) => `const consumer = rivulet.consumer({
  groupId: ${group("billing")},
  topics: [${topic}],
  sessionTimeoutMs: ${SESSION_MS / 1_000}_000, // The silence after which the others take over.
  commitIntervalMs: 1_000, // Records handled after a commit are delivered again.
});
let count = 0;
await consumer.run({
  eachRecord: () => {
    if (++count === 10) process.kill(process.pid, "SIGKILL"); // No goodbye.
  },
});
`,
  farewell: (
    topic,
    group,
  ) => `const consumer = rivulet.consumer({ groupId: ${group("billing")}, topics: [${topic}] });
let count = 0;
await consumer.run({
  eachRecord: () => {
    if (++count === 10) consumer.close(); // Commits, leaves, and ends run.
  },
});
console.log("left after", count, "records");
`,
  groups: (topic, group) => `const consumer = rivulet.consumer({
  groupId: ${group("audit")}, // Another group gets every record as well.
  topics: [${topic}],
  from: "earliest", // Applies if the group has committed nothing.
});
process.once("SIGINT", () => consumer.close());
await consumer.run({
  eachRecord: ({ offset }, { partition }) => console.log(partition, offset),
});
`,
  lag: (_, group) => `const { offsets } = await rivulet.admin.describeGroup(${group("billing")});
const lag = offsets.reduce((sum, each) => sum + (each.lag ?? 0), 0);
console.log("lag", lag);
`,
  rewind: (
    _,
    group,
  ) => `// The group must have no members. To jump while it works, use consumer.seek.
const { offsets } = await rivulet.admin.resetGroup(${group("audit")}, { to: "earliest" });
console.log(offsets);
`,
};
