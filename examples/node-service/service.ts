// A consumer as a long-running service: what happens at its end matters as much as what it does.
import { Rivulet, stringSerde } from "rivulet";

const rivulet = new Rivulet({ url: process.env.RIVULET_URL ?? "http://127.0.0.1:8787" });
const { INSTANCE_ID: instanceId } = process.env;

const consumer = rivulet.consumer({
  groupId: "order-service",
  topics: ["orders"],
  valueSerde: stringSerde,
  ...(instanceId === undefined ? {} : { instanceId }),
  onAssigned: (places) => console.log(`assigned ${places.map(named).join(", ")}`),
  onRevoked: (places) => console.log(`revoked ${places.map(named).join(", ")}`),
  onLost: (places) => console.log(`lost ${places.map(named).join(", ")}`),
  onError: ({ code, message }) => console.warn(`${code}: ${message}`), // It goes on by itself.
});

function named({ topic, partition }: { topic: string; partition: number }): string {
  return `${topic}/${partition}`;
}

/** Ends once, whichever signal comes first; a second one ends the process. */
const stopping = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const)
  process.once(signal, () => {
    console.log("stopping");
    stopping.abort();
  });

try {
  await consumer.run({
    eachRecord: async ({ value }) => {
      await new Promise((resolve) => setTimeout(resolve, 10)); // What takes time: a database, a call.
      console.log(`handled ${value}`);
    },
    signal: stopping.signal,
  });
} catch (error) {
  if (!stopping.signal.aborted) throw error; // A handler failed: its record comes again after the restart.
}
console.log("stopped, everything handled is committed");
